//! Codes by which devices are enrolled: 16 letters, 80 bits, one use, only their hash kept.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Letters that are not taken for one another, on a screen or aloud.
const LETTERS: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// Wrong codes a minute from one address.
const TRIES: u32 = 5;

/// A new code, in groups of four.
pub fn code() -> String {
    let bytes: [u8; 16] = crate::random();
    let letters: Vec<char> = bytes.iter().map(|b| char::from(LETTERS[usize::from(b & 31)])).collect();
    letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// What is kept of a code, however it was typed.
pub fn hash(code: &str) -> [u8; 32] {
    let plain: String =
        code.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_uppercase()).collect();
    let mut out = [0; 32];
    out.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, plain.as_bytes()).as_ref());
    out
}

/// A new name for a device.
pub fn device_id() -> String {
    let bytes: [u8; 10] = crate::random();
    let letters = bytes.iter().map(|b| char::from(LETTERS[usize::from(b & 31)]).to_ascii_lowercase());
    std::iter::once('d').chain(letters).collect()
}

/// The text that proves that whoever enrols has the key.
pub fn proof_text(code: &str, spki: &str) -> String {
    ["KL1-ENROL", code, spki].join("\n")
}

/// Who guesses.
#[derive(Default)]
pub struct Guesses(Mutex<HashMap<IpAddr, (u32, u64)>>);

impl Guesses {
    /// Whether this address may try a code in this minute.
    pub fn may(&self, from: IpAddr, minute: u64) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&from).is_none_or(|(n, at)| *at != minute || *n < TRIES)
    }

    /// It was wrong.
    pub fn wrong(&self, from: IpAddr, minute: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (_, at)| *at == minute);
        if all.len() < 100_000 {
            let known = all.entry(from).or_insert((0, minute));
            *known = (known.0 + 1, minute);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_however_it_is_typed_and_guesses_are_few() {
        let one = code();
        assert_eq!((one.len(), one.split('-').count()), (19, 4));
        assert_eq!(hash(&one), hash(&one.to_lowercase().replace('-', " ")));
        assert_ne!(hash(&one), hash(&code()));
        let (guesses, from) = (Guesses::default(), IpAddr::from([127, 0, 0, 1]));
        for _ in 0..TRIES {
            assert!(guesses.may(from, 1));
            guesses.wrong(from, 1);
        }
        assert!(!guesses.may(from, 1) && guesses.may(from, 2) && guesses.may(IpAddr::from([1, 1, 1, 1]), 1));
    }
}
