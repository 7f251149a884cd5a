//! What the calls of a client, and of its views, have come to.

use crate::error::Outcome;
use std::sync::atomic::{AtomicU32, Ordering};

/// Counters that only grow, and wrap.
#[derive(Default)]
pub struct Tally {
    /// Calls that have ended.
    pub calls: AtomicU32,
    /// How long all of them took together.
    pub call_ms: AtomicU32,
    /// How long the slowest took.
    pub slowest_ms: AtomicU32,
    /// How often one tried again.
    pub retries: AtomicU32,
    /// How often each outcome was told, by its number.
    outcomes: [AtomicU32; 4],
}

impl Tally {
    /// A call ended that took so long.
    pub fn took(&self, ms: u64) {
        let ms = super::small(ms);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.call_ms.fetch_add(ms, Ordering::Relaxed);
        self.slowest_ms.fetch_max(ms, Ordering::Relaxed);
    }

    /// What became of an act was told.
    pub fn told(&self, outcome: Outcome) {
        if let Some(counter) = self.outcomes.get(outcome as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often this was told.
    pub fn outcome(&self, outcome: Outcome) -> u32 {
        self.outcomes.get(outcome as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}
