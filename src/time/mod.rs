//! Time: by when a call must be over, what time it is, and how times are written.

pub mod calendar;
pub mod clock;
pub mod deadline;
pub mod stamp;

pub use deadline::Deadline;
pub use stamp::{Elapsed, Stamp};
