//! kiosklink.
pub mod clock;
pub mod error;
pub mod log;
pub mod status;
mod sys;
pub mod transport;
