//! Trials of what the library promises: a door never opens twice for one request, and nothing that it says of a
//! command is untrue.
//!
//! - [`crash`] runs a firmware program against the simulator, kills it at every step, restarts it and looks.
//! - [`soak`] gives thousands of commands to platforms with faults, and compares at the end.
//! - [`preload`] is what both know of the shim that is loaded into a program, and of power cuts.
//! - [`stage`] is a simulator with what is needed around it.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod crash;
pub mod preload;
pub mod soak;
pub mod stage;
