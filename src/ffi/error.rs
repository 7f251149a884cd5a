//! `kl_error`, and how a Rust error becomes one.

use super::text::{self, CallerStruct};
use crate::error::{Outcome, Result};
use crate::status::*;
use std::ffi::c_char;

/// What became of an act: `KL_DONE`, `KL_NOT_DONE` or `KL_UNKNOWN`. 0 is none of them, so a zeroed struct never says done.
pub type kl_outcome = i32;

/// The platform took it.
pub const KL_DONE: kl_outcome = 1;

/// It did not happen and will not.
pub const KL_NOT_DONE: kl_outcome = 2;

/// It may have happened. Find out; never send it again under another `request_id`.
pub const KL_UNKNOWN: kl_outcome = 3;

/// What to do about an error: `KL_ADVICE_*`.
pub type kl_advice = i32;

/// Nothing in particular.
pub const KL_ADVICE_NONE: kl_advice = 0;
/// Trying again is safe, after `retry_after_ms` if that is not 0.
pub const KL_ADVICE_RETRY: kl_advice = 1;
/// Ask what became of it before anything else: the same `request_id` again, or a query.
pub const KL_ADVICE_ASK_FIRST: kl_advice = 2;
/// Only a person or a sensor can decide.
pub const KL_ADVICE_CALL_PERSON: kl_advice = 3;
/// Trying again will not help: a setting, a credential or a parameter must change.
pub const KL_ADVICE_FIX: kl_advice = 4;

/// Why a call failed. Yours, on the stack if you like: `kl_error err = KL_ERROR_INIT;` or `= {0}`. Every call that is given
/// one writes it, on success too. Texts are UTF-8, terminated, cut at a character, and never hold a secret.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_error {
    /// `sizeof(kl_error)`, set by `KL_ERROR_INIT`; 0 for the size that it had in the first release.
    pub struct_size: u32,
    /// Why: `KL_OK` or `KL_E_*`. What a function that returns `kl_status` returned.
    pub status: kl_status,
    /// What became of the act; 0 for a call that only reads. What a function that returns `kl_outcome` returned.
    pub outcome: kl_outcome,
    /// What to do about it: `KL_ADVICE_*`.
    pub advice: kl_advice,
    /// The HTTP status of the answer, 0 if there was none.
    pub http_status: i32,
    /// The platform's own code, 0 if it gave none, or none that is a number.
    pub platform_code: i32,
    /// The system's `errno`, 0 if the system was not the reason.
    pub os_errno: i32,
    /// How long to wait before the next try, in milliseconds; 0 if no time is known.
    pub retry_after_ms: u32,
    /// The platform's own name or code of the refusal, whole (`ERR_SIGN`, `10025`); empty if it gave none.
    pub platform_name: [c_char; 96],
    /// The platform's own message.
    pub platform_message: [c_char; 128],
    /// One sentence for a log or a technician.
    pub message: [c_char; 256],
}

super::text::caller_struct!(kl_error {
    struct_size,
    status,
    outcome,
    advice,
    http_status,
    platform_code,
    os_errno,
    retry_after_ms,
    platform_name,
    platform_message,
    message,
});

/// Where the error of a call goes: an address and how many bytes there are the caller's.
#[derive(Clone, Copy)]
pub(super) struct Place(*mut u8, usize);

/// Looks at it before anything else is done. `None`: its size is none that a `kl_error` has, so that nothing in it is
/// certain.
pub(super) fn place(err: *mut kl_error) -> Option<Place> {
    if err.is_null() {
        return Some(Place(std::ptr::null_mut(), 0));
    }
    // SAFETY: not NULL, so it is a struct of the caller's, which has its size in front: those four bytes are there.
    let given = unsafe { err.cast::<u32>().read_unaligned() };
    text::size_of_theirs(given, kl_error::ENDS, kl_error::FIRST).map(|size| Place(err.cast(), size))
}

/// Writes how a call ended and returns its status. `worked` is its outcome if it did.
pub(super) fn report(place: Place, result: Result<()>, worked: Outcome) -> kl_status {
    if place.0.is_null() {
        return result.err().map_or(KL_OK, |error| error.status());
    }
    let mut fresh = kl_error {
        struct_size: 0,
        status: KL_OK,
        outcome: worked as i32,
        advice: KL_ADVICE_NONE,
        http_status: 0,
        platform_code: 0,
        os_errno: 0,
        retry_after_ms: 0,
        platform_name: [0; 96],
        platform_message: [0; 128],
        message: [0; 256],
    };
    if let Err(error) = result {
        let d = error.details();
        fresh.status = d.status;
        fresh.outcome = d.outcome as i32;
        fresh.advice = d.advice as i32;
        fresh.http_status = d.http_status;
        fresh.platform_code = d.platform_code;
        fresh.os_errno = d.os_errno;
        fresh.retry_after_ms = d.retry_after_ms;
        text::copy(&mut fresh.platform_name, &crate::log::mask(&d.platform_name));
        text::copy(&mut fresh.platform_message, &crate::log::mask(&d.platform_message));
        text::copy(&mut fresh.message, &crate::log::mask(&d.message));
    }
    let Place(at, size) = place;
    // The size stays as the caller wrote it.
    // SAFETY: `size` bytes are the caller's, by what `place` read, and `at` is not NULL.
    unsafe { text::store_behind_size(&fresh, at, size) };
    fresh.status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Advice, Error, Outcome};
    use crate::ffi::text::copy;

    #[test]
    fn the_numbers_are_those_of_the_rust_side() {
        let outcomes = [Outcome::None, Outcome::Done, Outcome::NotDone, Outcome::Unknown].map(|o| o as i32);
        assert_eq!(outcomes, [0, KL_DONE, KL_NOT_DONE, KL_UNKNOWN]);
        let advices = [Advice::None, Advice::Retry, Advice::AskFirst, Advice::CallPerson, Advice::Fix]
            .map(|a| a as i32);
        assert_eq!(
            advices,
            [KL_ADVICE_NONE, KL_ADVICE_RETRY, KL_ADVICE_ASK_FIRST, KL_ADVICE_CALL_PERSON, KL_ADVICE_FIX]
        );
    }

    /// FAULTS B9: `kl_error e = {0}` is written.
    #[test]
    fn a_struct_of_zeroes_is_written_whole_and_a_shorter_one_not_past_its_end() {
        let whole = size_of::<kl_error>();
        for size in [0usize, 8, 12, 32, 128, 256, whole, 520, 4096] {
            let mut bytes = vec![0x55u8; 5000];
            bytes[..4].copy_from_slice(&(size as u32).to_ne_bytes());
            let long = Error::new(KL_E_DNS, "中".repeat(200)).with(|d| {
                d.platform_message = "é".repeat(100);
                d.outcome = Outcome::Unknown;
            });
            let place = place(bytes.as_mut_ptr().cast()).expect("it is a size of ours");
            assert_eq!(report(place, Err(long), Outcome::None), KL_E_DNS);
            let theirs = if size == 0 { whole } else { size };
            assert!(bytes[theirs..].iter().all(|b| *b == 0x55), "size {size}");
            assert_eq!(bytes[..4], (size as u32).to_ne_bytes());
            assert_eq!(bytes[4..8], KL_E_DNS.to_ne_bytes());
            if theirs > 8 {
                assert_eq!(bytes[8..12], KL_UNKNOWN.to_ne_bytes());
            }
            assert!(theirs <= 32 || bytes[theirs - 1] == 0, "size {size}");
            // What a newer header has more reads as nothing.
            assert!(theirs <= whole || bytes[whole..theirs].iter().all(|b| *b == 0), "size {size}");
        }
        for size in [1u32, 4, 7, 9, 33, 129, 415, 511, 4097, 0xffff_ffff] {
            let mut bytes = [0x55u8; 600];
            bytes[..4].copy_from_slice(&size.to_ne_bytes());
            assert!(place(bytes.as_mut_ptr().cast()).is_none(), "size {size}");
        }
    }

    #[test]
    fn texts_are_cut_at_a_character() {
        let mut to = [1 as c_char; 8];
        to.fill(0);
        copy(&mut to, "中文字");
        let bytes: Vec<u8> = to.iter().map(|c| *c as u8).collect();
        assert_eq!(std::str::from_utf8(&bytes[..6]).unwrap(), "中文");
        assert_eq!(bytes[6..], [0, 0]);
    }
}
