//! kiosklink: open doors, check stock and redeem pickup codes on the cloud platforms behind kiosks, lockers and
//! vending cabinets.
//!
//! The library is meant to be linked by firmware through its C header; these are its insides, usable from Rust too.
//! A call travels down this list, and its answer comes back up:
//!
//! - [`ffi`] is the C surface: translation only.
//! - [`callback`] reads the connections on which callbacks come: bytes in, an event and the bytes of its answer out.
//! - [`client`] is one account on one platform, with the verbs as methods. What waits and retries is here; a verb that takes
//!   several calls is a list of steps that the platform says.
//! - [`command`] is what may be done once: the rules, the records, the book of one account. `store` is the folder with the
//!   crash-safe files under it.
//! - [`platform`] says how each platform is spoken to. Pure: no I/O, no clock, no threads.
//! - [`model`] and [`event`] are what the verbs and the callbacks speak of.
//! - [`transport`] makes HTTPS calls that know their deadline and whether a byte left; [`time`] knows the platform's
//!   time with the RTC at 1970.
//! - [`cancel`] gives a call up, wherever it waits.
//! - `process` knows which process this is, and keeps what its clients share.
//! - [`wording`] says what the codes mean, in English and in Chinese, for a program that shows it to people.
//! - [`config`], [`error`], [`status`], [`log`] and [`json`] are used by all of them. The texts on the wire are read and written in a
//!   package of their own, `kiosklink-wire`, which is optimised for speed.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
#![warn(missing_docs)]
#![deny(unsafe_code)]

pub mod callback;
pub mod cancel;
pub mod client;
pub mod command;
pub mod config;
pub mod error;
pub mod event;
#[allow(unsafe_code)]
pub mod ffi;
pub mod json;
pub mod log;
pub mod model;
pub mod platform;
mod process;
pub mod settings;
pub mod status;
#[allow(dead_code)] // its trials use more of it than the library does
mod store;
mod switch;
#[allow(unsafe_code)]
mod sys;
pub mod time;
mod token;
pub mod transport;
pub mod wording;
