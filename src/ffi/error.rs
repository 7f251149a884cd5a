//! `kl_error`, and how a Rust error becomes one.

use super::text;
use crate::error::Result;
use crate::status::*;
use std::ffi::c_char;

/// The call was no command.
pub const KL_OUTCOME_NONE: i32 = 0;
/// The platform took the command.
pub const KL_OUTCOME_DONE: i32 = 1;
/// The command did not happen and will not.
pub const KL_OUTCOME_NOT_DONE: i32 = 2;
/// The command may have happened. Find out; never send it again under another `request_id`.
pub const KL_OUTCOME_UNKNOWN: i32 = 3;

/// Nothing in particular.
pub const KL_ADVICE_NONE: i32 = 0;
/// Trying again is safe, after `retry_after_ms` if that is not 0.
pub const KL_ADVICE_RETRY: i32 = 1;
/// Ask what became of it before anything else: the same `request_id` again, or a query.
pub const KL_ADVICE_ASK_FIRST: i32 = 2;
/// Only a person, or a sensor, can tell.
pub const KL_ADVICE_CALL_PERSON: i32 = 3;
/// Trying again will not help: a setting, a credential or a parameter must change.
pub const KL_ADVICE_FIX: i32 = 4;

/// Why a call failed. Yours, on the stack if you like: `kl_error err = KL_ERROR_INIT;`. Every call that is given one
/// writes it, on success too. Texts are UTF-8, terminated, cut at a character, and never hold a secret.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_error {
    /// `sizeof(kl_error)`, set by `KL_ERROR_INIT`.
    pub struct_size: u32,
    /// What the call returned.
    pub status: kl_status,
    /// For commands and other writes: `KL_OUTCOME_*`.
    pub outcome: i32,
    /// What to do about it: `KL_ADVICE_*`.
    pub advice: i32,
    /// The HTTP status of the answer, 0 if there was none.
    pub http_status: i32,
    /// The platform's own code, 0 if it gave none.
    pub platform_code: i32,
    /// The system's `errno`, 0 if the system was not the reason.
    pub os_errno: i32,
    /// How long the platform asks to wait, in milliseconds; 0 if it does not say.
    pub retry_after_ms: u32,
    /// The platform's own words.
    pub platform_message: [c_char; 128],
    /// One sentence for a log or a technician.
    pub message: [c_char; 256],
}

/// Writes the outcome of a call and returns its status.
pub(super) fn report(err: *mut kl_error, outcome: Result<()>) -> kl_status {
    let mut fresh = kl_error {
        struct_size: size_of::<kl_error>() as u32,
        status: KL_OK,
        outcome: KL_OUTCOME_NONE,
        advice: KL_ADVICE_NONE,
        http_status: 0,
        platform_code: 0,
        os_errno: 0,
        retry_after_ms: 0,
        platform_message: [0; 128],
        message: [0; 256],
    };
    if let Err(error) = outcome {
        let d = error.details();
        fresh.status = d.status;
        fresh.outcome = d.outcome as i32;
        fresh.advice = d.advice as i32;
        fresh.http_status = d.http_status;
        fresh.platform_code = d.platform_code;
        fresh.os_errno = d.os_errno;
        fresh.retry_after_ms = d.retry_after_ms;
        text::copy(&mut fresh.platform_message, &crate::log::mask(&d.platform_message));
        text::copy(&mut fresh.message, &crate::log::mask(&d.message));
    }
    write(err, &mut fresh);
    fresh.status
}

/// The error of a call that is well so far but is a command that was done.
pub(super) fn mark_done(err: *mut kl_error) {
    let at = std::mem::offset_of!(kl_error, outcome);
    if !err.is_null() {
        // SAFETY: not NULL, and as many bytes are the caller's as its first field says.
        unsafe {
            if (*err).struct_size as usize >= at + size_of::<i32>() {
                (&raw mut (*err).outcome).write(KL_OUTCOME_DONE);
            }
        }
    }
}

fn write(err: *mut kl_error, fresh: &mut kl_error) {
    if err.is_null() {
        return;
    }
    // SAFETY: not NULL; a caller of an older header has fewer bytes and says so in the first field. Never more than
    // that is written, and nothing at all if there is not even room for the status.
    unsafe {
        let theirs = err.cast::<u32>().read_unaligned();
        if theirs < 8 {
            return;
        }
        fresh.struct_size = theirs;
        let bytes = (theirs as usize).min(size_of::<kl_error>());
        std::ptr::copy_nonoverlapping((&raw const *fresh).cast::<u8>(), err.cast::<u8>(), bytes);
        terminate(err, bytes);
    }
}

/// An older, shorter struct may end in the middle of a text: it still ends with a NUL.
unsafe fn terminate(err: *mut kl_error, bytes: usize) {
    let first_text = std::mem::offset_of!(kl_error, platform_message);
    if bytes > first_text && bytes < size_of::<kl_error>() {
        // SAFETY: `bytes` bytes are the caller's.
        unsafe { err.cast::<u8>().add(bytes - 1).write(0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Advice, Error, Outcome};
    use crate::ffi::text::copy;

    #[test]
    fn the_numbers_are_those_of_the_rust_side() {
        let outcomes = [Outcome::None, Outcome::Done, Outcome::NotDone, Outcome::Unknown].map(|o| o as i32);
        assert_eq!(outcomes, [KL_OUTCOME_NONE, KL_OUTCOME_DONE, KL_OUTCOME_NOT_DONE, KL_OUTCOME_UNKNOWN]);
        let advices = [Advice::None, Advice::Retry, Advice::AskFirst, Advice::CallPerson, Advice::Fix]
            .map(|a| a as i32);
        assert_eq!(
            advices,
            [KL_ADVICE_NONE, KL_ADVICE_RETRY, KL_ADVICE_ASK_FIRST, KL_ADVICE_CALL_PERSON, KL_ADVICE_FIX]
        );
    }

    #[test]
    fn an_older_shorter_struct_is_not_written_past_its_end() {
        for size in [0u32, 4, 8, 12, 32, 33, 40, 159, 160, 200, 415] {
            let mut bytes = [0x55u8; 600];
            bytes[..4].copy_from_slice(&size.to_ne_bytes());
            let err = bytes.as_mut_ptr().cast::<kl_error>();
            let long = Error::new(KL_E_DNS, "中".repeat(200)).with(|d| d.platform_message = "é".repeat(100));
            assert_eq!(report(err, Err(long)), KL_E_DNS);
            assert!(bytes[(size as usize).max(4)..].iter().all(|b| *b == 0x55), "size {size}");
            assert_eq!(bytes[..4], size.to_ne_bytes());
            if size >= 8 {
                assert_eq!(bytes[4..8], KL_E_DNS.to_ne_bytes());
            }
            if size > 32 {
                assert_eq!(bytes[size as usize - 1], 0);
            }
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
