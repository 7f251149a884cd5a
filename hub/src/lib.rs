//! kiosklink-hub: one server for a fleet of kiosks. Secrets of platforms stay here, callbacks reach kiosks behind NAT, and a
//! command acts at most once, by the same rules as on a kiosk.
//!
//! - [`server`] accepts connections; [`api`] is what kiosks ask, [`callbacks`] what platforms tell.
//! - [`auth`], [`enrol`] and [`policy`] say who may ask what.
//! - [`accounts`] has a client of the library for each account; [`ledger`] keeps the records of its commands.
//! - [`store`] is the boundary to the database.
//! - [`operator`] is the command line beside the hub, [`desk`] what it asks of the hub itself.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod accounts;
pub mod api;
pub mod args;
pub mod auth;
pub mod callbacks;
pub mod desk;
pub mod enrol;
pub mod hub;
pub mod json;
pub mod ledger;
pub mod metrics;
pub mod operator;
pub mod policy;
pub mod pool;
pub mod run;
pub mod server;
pub mod store;
pub mod tls;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};

/// Random bytes of the system. Without them nothing here can be done.
///
/// # Panics
/// If the system has none.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the system gives no random numbers");
    bytes
}

/// Bytes in digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Bytes out of digits.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok();
    // A sign is none: one text for each bytes.
    let two_digits = |two: &[u8]| two.len() == 2 && two.iter().all(u8::is_ascii_hexdigit);
    digits.map(|two| byte(two).filter(|_| two_digits(two))).collect()
}

/// Bytes in Base64.
pub fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Bytes out of Base64.
pub fn unb64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_have_digits_and_no_signs() {
        assert_eq!(super::unhex("0aFF"), Some(vec![10, 255]));
        assert_eq!(["+1", "-1", "0", "0g", " 1"].map(super::unhex), [None, None, None, None, None]);
    }
}
