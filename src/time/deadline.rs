//! By when a call must be over.

use std::time::{Duration, Instant};

/// A point in time by which a call must be over.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// So much from now.
    pub fn after(time: Duration) -> Deadline {
        // A century is forever here, and can be added to any instant.
        let time = time.min(Duration::from_secs(100 * 365 * 86_400));
        let now = Instant::now();
        Deadline(now.checked_add(time).unwrap_or(now))
    }

    /// The time left, zero if it has passed.
    pub fn remaining(&self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn expired(&self) -> bool {
        self.remaining().is_zero()
    }

    /// The earlier of the two.
    pub fn earlier(self, other: Deadline) -> Deadline {
        Deadline(self.0.min(other.0))
    }
}
