//! What outlives a crash: a folder held by its descriptor, a journal in it, and who is who.
//!
//! - [`file`]: the folder; a file replaced whole or not at all.
//! - [`gate`]: one at a time, threads and processes, waited for on the clock and never under a mutex.
//! - [`owners`]: which processes that share a journal are alive.
//! - [`journal`]: records that are appended, checked and never changed.
//! - [`identity`]: whose journal it is, and whether it is the one that was left here.
//! - [`token_file`]: the tokens of one account.
//!
//! Nothing here knows what a record means. Files are made in the folder of the setting `state_dir` only.

pub(crate) mod file;
pub(crate) mod gate;
pub(crate) mod identity;
pub(crate) mod journal;
pub(crate) mod owners;
pub(crate) mod token_file;

#[cfg(test)]
mod disk_trials;
#[cfg(test)]
mod folder_tests;
#[cfg(test)]
pub(crate) mod tests;

use crate::error::{Error, Result};
use crate::status::*;
use ring::rand::{SecureRandom, SystemRandom};
use std::io;

/// Random bytes of the system, or [`KL_E_RESOURCE`].
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::new(KL_E_RESOURCE, "the system gives no random numbers"))?;
    Ok(bytes)
}

/// A failed file operation. Each cause has its own code, so that a kiosk can show the right sign.
#[cold]
fn failed(what: &str, path: &str, cause: &io::Error) -> Error {
    let status = match cause.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG) => KL_E_JOURNAL_FULL,
        Some(libc::EROFS) => KL_E_JOURNAL_READ_ONLY,
        Some(libc::EACCES | libc::EPERM) => KL_E_JOURNAL_OWNER,
        _ => KL_E_JOURNAL,
    };
    Error::os(status, ["the journal: ", what, ": ", path].concat(), cause)
}

/// The number that a hexadecimal text of even length stands for, byte by byte.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(out)
}

/// Where the tests of this room put a fault in the way of a file operation. Nothing anywhere else.
#[inline]
fn fault(operation: &str, name: &str) -> io::Result<()> {
    #[cfg(test)]
    tests::fault(operation, name)?;
    let _ = (operation, name);
    Ok(())
}

/// Where they make a read go wrong.
#[inline]
fn garble(name: &str, bytes: &mut [u8]) {
    #[cfg(test)]
    tests::garble(name, bytes);
    let _ = (name, bytes);
}
