//! kiosklink.
