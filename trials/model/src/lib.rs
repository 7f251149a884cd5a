//! Every interleaving of a small world with the library's own rules for commands: `make model`.
//!
//! - [`books`] keeps the journals, and the state that the real rules make of each.
//! - [`world`] is a state with all its steps, and what must never be.
//! - [`knobs`] are the small worlds, and the assumptions and fences that can be taken away.
//! - [`search`] looks at all of it, the shortest way first.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod books;
pub mod knobs;
pub mod search;
pub mod world;
