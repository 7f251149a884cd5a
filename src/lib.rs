//! kiosklink.
pub mod error;
pub mod log;
pub mod status;
