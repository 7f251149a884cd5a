//! Breadth-first search: the first violation that is found is one with the fewest steps.

use crate::knobs::{Knob, Plan};
use crate::world::{Event, Play, World, Wrong};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What a search found.
#[derive(Debug)]
pub struct Found {
    /// States that were seen.
    pub states: usize,
    /// Journals that came up.
    pub journals: usize,
    /// All states were looked at, or the search ended at a violation.
    pub whole: bool,
    /// Every history of so many steps was looked at.
    pub steps: usize,
    /// What is wrong, and how it came to be, a line for each step.
    pub wrong: Option<(Wrong, Vec<String>)>,
}

/// A state by 128 bits of hash: two states with the same would be taken for one.
fn key(w: &World) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        w.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

/// Looks at every state of a plan, at most at so many.
pub fn search(plan: &Plan, knob: Option<Knob>, most: usize) -> Found {
    let mut stage = Play::new(plan, knob);
    let first = stage.begin();
    let mut seen = HashSet::from([key(&first)]);
    let mut came: Vec<(u32, Event)> = vec![(0, Event::default())];
    let mut level = vec![(0u32, first)];
    let mut steps = Vec::new();
    let (mut whole, mut depth) = (true, 0);
    while !level.is_empty() {
        let mut next = Vec::new();
        for (from, w) in level {
            stage.steps(&w, &mut steps);
            for (event, w) in steps.drain(..) {
                if let Some(wrong) = w.wrong {
                    came.push((from, event));
                    let trace = trace(plan, &came);
                    let (states, journals) = (seen.len(), stage.books.count());
                    let wrong = Some((wrong, trace));
                    return Found { states, journals, whole: true, steps: depth, wrong };
                }
                if seen.len() >= most {
                    whole = false;
                } else if seen.insert(key(&w)) {
                    came.push((from, event));
                    next.push((came.len() as u32 - 1, w));
                }
            }
        }
        depth += usize::from(whole);
        level = next;
    }
    Found { states: seen.len(), journals: stage.books.count(), whole, steps: depth, wrong: None }
}

fn trace(plan: &Plan, came: &[(u32, Event)]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut at = came.len() - 1;
    while at != 0 {
        let (from, event) = came[at];
        lines.push(event.words(plan));
        at = from as usize;
    }
    lines.reverse();
    lines
}
