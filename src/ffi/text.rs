//! Text across the border: borrowed from C on the way in, owned by a result on the way out.

use crate::error::{Error, Result};
use crate::status::*;
use std::ffi::{CStr, c_char};

/// A C string that must be there.
///
/// # Safety
/// `text` is NULL or a terminated string that outlives the returned slice.
pub(super) unsafe fn need<'a>(name: &str, text: *const c_char) -> Result<&'a str> {
    // SAFETY: passed on from the caller.
    unsafe { optional(name, text)? }.ok_or_else(|| Error::new(KL_E_NULL, format!("{name} is NULL")))
}

/// A C string that may be NULL.
///
/// # Safety
/// As for [`need`].
pub(super) unsafe fn optional<'a>(name: &str, text: *const c_char) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, and terminated by the caller's promise.
    match unsafe { CStr::from_ptr(text) }.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(e) => Err(Error::new(KL_E_UTF8, format!("{name} is not UTF-8 (byte {})", e.valid_up_to()))),
    }
}

/// A C string that may be NULL, which is the same as empty.
///
/// # Safety
/// As for [`need`].
pub(super) unsafe fn owned(name: &str, text: *const c_char) -> Result<String> {
    // SAFETY: passed on from the caller.
    Ok(unsafe { optional(name, text)? }.unwrap_or("").to_owned())
}

/// Bytes with a length: NULL with 0 is empty, NULL with a length is an error.
///
/// # Safety
/// `bytes` is NULL or has `len` readable bytes that outlive the returned slice.
pub(super) unsafe fn bytes<'a>(name: &str, bytes: *const u8, len: usize) -> Result<&'a [u8]> {
    match (bytes.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Error::new(KL_E_NULL, format!("{name} is NULL but its length is {len}"))),
        (false, len) if len > isize::MAX as usize => {
            Err(Error::new(KL_E_ARGUMENT, format!("the length of {name} is absurd")))
        }
        // SAFETY: not NULL, `len` bytes by the caller's promise, and not longer than a slice may be.
        (false, len) => Ok(unsafe { std::slice::from_raw_parts(bytes, len) }),
    }
}

/// Sets an out-pointer to NULL before anything else is looked at; a NULL one is found out later.
///
/// # Safety
/// `out` is NULL or writable.
pub(super) unsafe fn reset<T>(out: *mut *mut T) {
    if !out.is_null() {
        // SAFETY: not NULL, writable by the caller's promise.
        unsafe { out.write(std::ptr::null_mut()) };
    }
}

/// Sets an out-pointer to NULL, so that it never holds an old value after an error.
///
/// # Safety
/// `out` is NULL or writable.
pub(super) unsafe fn clear<T>(name: &str, out: *mut *mut T) -> Result<()> {
    if out.is_null() {
        return Err(Error::new(KL_E_NULL, format!("{name} is NULL")));
    }
    // SAFETY: not NULL, writable by the caller's promise.
    unsafe { out.write(std::ptr::null_mut()) };
    Ok(())
}

/// Reads a struct of the caller's that begins with its size. An older, shorter one reads as if its missing fields
/// were zero; a newer, longer one is taken if all that this version does not know is zero.
///
/// # Safety
/// `from` is NULL or points to as many readable bytes as its first field says, and all zeroes are a valid `T`.
pub(super) unsafe fn request<T: Copy>(name: &str, from: *const T) -> Result<T> {
    // SAFETY: zeroes are a valid T by the caller's promise, and `fill` writes no more than the size of one.
    unsafe {
        let mut value: T = std::mem::zeroed();
        fill(name, from.cast(), (&raw mut value).cast(), size_of::<T>())?;
        Ok(value)
    }
}

/// [`request`] without its type, of which there are many: `known` bytes at `to` are its value.
///
/// # Safety
/// As for [`request`]; `known` bytes at `to` are writable.
unsafe fn fill(name: &str, from: *const u8, to: *mut u8, known: usize) -> Result<()> {
    if from.is_null() {
        return Err(Error::new(KL_E_NULL, format!("{name} is NULL")));
    }
    // SAFETY: every such struct has its size in front.
    let given = unsafe { from.cast::<u32>().read_unaligned() } as usize;
    // More than a page is no struct of ours but one that was never initialised.
    if !(8..=4096).contains(&given) {
        return Err(Error::new(
            KL_E_ARGUMENT,
            format!("{name}: struct_size is {given}; initialise it with its _INIT macro"),
        ));
    }
    // SAFETY: `given` bytes are readable by the caller's promise.
    let tail = unsafe { std::slice::from_raw_parts(from.add(known.min(given)), given.saturating_sub(known)) };
    if tail.iter().any(|b| *b != 0) {
        return Err(Error::new(
            KL_E_ARGUMENT,
            format!("{name} is from a newer header and uses fields that this library does not know"),
        ));
    }
    // SAFETY: the copy stays within both.
    unsafe { std::ptr::copy_nonoverlapping(from, to, known.min(given)) };
    Ok(())
}

/// Copies what is known into a struct of the caller's, never more than it has room for.
///
/// # Safety
/// `to` has `size` writable bytes.
pub(super) unsafe fn store<T: Copy>(from: &T, to: *mut T, size: usize) {
    // SAFETY: passed on from the caller.
    unsafe {
        std::ptr::copy_nonoverlapping(
            std::ptr::from_ref(from).cast::<u8>(),
            to.cast::<u8>(),
            size.min(size_of::<T>()),
        );
    }
}

/// Copies a text into a field of fixed size, cut at a character and terminated.
pub(super) fn copy(to: &mut [c_char], text: &str) {
    let mut end = text.len().min(to.len() - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    for (slot, byte) in to.iter_mut().zip(text[..end].bytes()) {
        // A NUL inside would hide the rest.
        *slot = (if byte == 0 { b' ' } else { byte }) as c_char;
    }
}

/// Keeps the text of a result at addresses that do not move.
#[derive(Default)]
pub(super) struct Arena(Vec<Vec<u8>>);

const CHUNK: usize = 2048;

impl Arena {
    /// Keeps a text and gives its address. A NUL inside becomes a blank: C cannot hold it.
    pub(super) fn keep(&mut self, text: &str) -> *const c_char {
        if text.is_empty() {
            return c"".as_ptr();
        }
        let room = self.0.last().map_or(0, |chunk| chunk.capacity() - chunk.len());
        if room <= text.len() {
            self.0.push(Vec::with_capacity(CHUNK.max(text.len() + 1)));
        }
        let Some(chunk) = self.0.last_mut() else { return c"".as_ptr() };
        let start = chunk.len();
        chunk.extend_from_slice(text.as_bytes());
        chunk.push(0);
        // Looked for at std's speed first: there is none in all that platforms are known to send.
        if text.as_bytes().contains(&0) {
            chunk[start..start + text.len()].iter_mut().filter(|b| **b == 0).for_each(|b| *b = b' ');
        }
        chunk[start..].as_ptr().cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_texts_stay_where_they_are() {
        let mut arena = Arena::default();
        let texts: Vec<String> = (0..500).map(|n| format!("{n}{}", "x".repeat(n * 7 % 300))).collect();
        let kept: Vec<_> = texts.iter().map(|t| arena.keep(t)).collect();
        let long = arena.keep(&"y".repeat(10_000));
        for (text, at) in texts.iter().zip(kept) {
            // SAFETY: kept above, the arena lives.
            assert_eq!(unsafe { CStr::from_ptr(at) }.to_str().unwrap(), text);
        }
        // SAFETY: as above.
        unsafe {
            assert_eq!(CStr::from_ptr(long).to_bytes().len(), 10_000);
            assert_eq!(CStr::from_ptr(arena.keep("a\0b")).to_str().unwrap(), "a b");
            assert_eq!(CStr::from_ptr(arena.keep("")).to_bytes(), b"");
        }
    }
}
