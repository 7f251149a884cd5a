//! The texts on the wire and in the journal, read and written: bytes in, bytes out, and nothing else.
//!
//! Every byte of an answer and of a record goes through this, so it is a package of its own: the release profile optimises it for speed, while the
//! rest of the library is built for size. What is called from there in one place only is never put in line: it would be built for size
//! with its caller. The library's error type and its status codes are not known here.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod fields;
pub mod form;
pub mod head;
pub mod hex;
pub mod json;
pub mod prints;
mod text;

pub use text::{folded, push_string};
