//! Text across the border: borrowed from C on the way in, owned by a result on the way out.

use crate::error::{Error, Result};
use crate::status::*;
use std::ffi::{CStr, c_char};

/// A C string that must be there.
///
/// # Safety
/// `text` is NULL or a terminated string that outlives the returned slice.
pub(super) unsafe fn need<'a>(name: &str, text: *const c_char) -> Result<&'a str> {
    // SAFETY: this function asks of `text` what `optional` does.
    unsafe { optional(name, text)? }.ok_or_else(|| Error::new(KL_E_NULL, format!("{name} is NULL")))
}

/// A C string that may be NULL.
///
/// # Safety
/// `text` is NULL or a terminated string that outlives what is returned.
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
/// `text` is NULL or a terminated string that outlives what is returned.
pub(super) unsafe fn owned(name: &str, text: *const c_char) -> Result<String> {
    // SAFETY: this function asks of `text` what `optional` does; what is returned is a copy.
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
            Err(Error::new(KL_E_ARGUMENT, format!("the length of {name} is larger than memory can be")))
        }
        // SAFETY: not NULL, `len` bytes by the caller's promise, and not longer than a slice may be.
        (false, len) => Ok(unsafe { std::slice::from_raw_parts(bytes, len) }),
    }
}

/// A struct that the caller allocates: it begins with its size.
///
/// # Safety
/// All zeroes are a value of it, and its first field is a `u32`.
pub(super) unsafe trait CallerStruct: Copy {
    /// How many bytes it had in the first release: what a `struct_size` of 0 means. Nothing is released yet, so it is all of
    /// it; a field that is added after that comes behind this size.
    const FIRST: usize;
    /// Where its fields end, and the whole.
    const ENDS: &'static [usize];
}

pub(super) const fn size_of_field<S, F>(_: fn(&S) -> &F) -> usize {
    size_of::<F>()
}

/// Makes a struct whose fields are named a [`CallerStruct`]. A field that is left out does not compile.
macro_rules! caller_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        // SAFETY: numbers, pointers and arrays of bytes; the size is in front, as its _INIT macro shows.
        unsafe impl $crate::ffi::text::CallerStruct for $name {
            const FIRST: usize = size_of::<$name>();
            const ENDS: &'static [usize] = &[
                $(std::mem::offset_of!($name, $field)
                    + $crate::ffi::text::size_of_field(|s: &$name| &s.$field),)*
                size_of::<$name>(),
            ];
        }
        const _: fn($name) = |$name { $($field: _),* }| {};
    };
}
pub(super) use caller_struct;

/// More than a page is no struct of ours but one that was never initialised.
const LARGEST: usize = 4096;

/// How many bytes a struct of the caller's has by the size in it; `None` if it is none that such a struct has: smaller than
/// any, cut through a field, or absurd.
pub(super) fn size_of_theirs(given: u32, ends: &[usize], first: usize) -> Option<usize> {
    let given = given as usize;
    let whole = ends.last().copied().unwrap_or_default();
    match given {
        0 => Some(first),
        8..=LARGEST if given > whole || ends.contains(&given) => Some(given),
        _ => None,
    }
}

/// Reads a struct of the caller's. An older, shorter one reads as if its missing fields were zero; a newer, longer one is
/// taken if all that this version does not know is zero.
///
/// # Safety
/// `from` is NULL or points to as many readable bytes as its first field says (0: the size of the first release).
pub(super) unsafe fn request<T: CallerStruct>(name: &str, from: *const T) -> Result<T> {
    // SAFETY: zeroes are a valid T, and `fill` writes no more than the size of one.
    unsafe {
        let mut value: T = std::mem::zeroed();
        fill(name, from.cast(), (&raw mut value).cast(), T::ENDS, T::FIRST)?;
        Ok(value)
    }
}

/// [`request`] without its type, of which there are many.
///
/// # Safety
/// `from` is NULL or points to as many readable bytes as its first field says (0: `first`). As many bytes at `to` are
/// writable as the last of `ends` says, and the two do not overlap.
unsafe fn fill(name: &str, from: *const u8, to: *mut u8, ends: &[usize], first: usize) -> Result<()> {
    // SAFETY: `from` is NULL or has its size in front, as `theirs` asks.
    let given = unsafe { theirs(name, from, ends, first)? };
    let known = ends.last().copied().unwrap_or_default();
    // SAFETY: `given` bytes are readable by the caller's promise.
    let tail = unsafe { std::slice::from_raw_parts(from.add(known.min(given)), given.saturating_sub(known)) };
    if tail.iter().any(|b| *b != 0) {
        return Err(Error::new(
            KL_E_ARGUMENT,
            [name, " is from a newer header and uses fields that this library does not know"].concat(),
        ));
    }
    // SAFETY: the copy stays within both.
    unsafe { std::ptr::copy_nonoverlapping(from, to, known.min(given)) };
    Ok(())
}

/// How many bytes of a struct are the caller's.
///
/// # Safety
/// `from` is NULL or points to such a struct.
unsafe fn theirs(name: &str, from: *const u8, ends: &[usize], first: usize) -> Result<usize> {
    if from.is_null() {
        return Err(Error::new(KL_E_NULL, [name, " is NULL"].concat()));
    }
    // SAFETY: every such struct has its size in front.
    let given = unsafe { from.cast::<u32>().read_unaligned() };
    size_of_theirs(given, ends, first).ok_or_else(|| {
        let given = given.to_string();
        Error::new(
            KL_E_ARGUMENT,
            [name, ": struct_size is ", &given, "; initialise it with its _INIT macro"].concat(),
        )
    })
}

/// The text that a field of a caller's struct leads to, however much else of it cannot be read; `None` if its size says
/// nothing of whether the field is there.
///
/// # Safety
/// `from` is NULL or points to a struct that begins with its size.
pub(super) unsafe fn pointer_at(from: *const u8, at: usize) -> Option<*const c_char> {
    if from.is_null() {
        return Some(std::ptr::null());
    }
    // SAFETY: every such struct has its size in front.
    let given = unsafe { from.cast::<u32>().read_unaligned() } as usize;
    match given {
        1..8 => None,
        8..=LARGEST if given < at + size_of::<*const c_char>() => Some(std::ptr::null()),
        // SAFETY: the field is within the size. All that have a name had it in the first release.
        0 | 8..=LARGEST => Some(unsafe { from.add(at).cast::<*const c_char>().read_unaligned() }),
        _ => None,
    }
}

/// Fills a struct of the caller's.
///
/// # Safety
/// `to` is NULL or points to as many writable bytes as its first field says (0: the size of the first release).
pub(super) unsafe fn answer<T: CallerStruct>(
    name: &str,
    to: *mut T,
    make: impl FnOnce(&mut T) -> Result<()>,
) -> Result<()> {
    // SAFETY: zeroes are a valid T; what is written stays within what is the caller's.
    unsafe {
        let size = theirs(name, to.cast(), T::ENDS, T::FIRST)?;
        let mut value: T = std::mem::zeroed();
        make(&mut value)?;
        store_behind_size(&value, to.cast(), size);
    }
    Ok(())
}

/// Copies a struct to the caller's, all but the size in front, and never more than there is room for. What the caller's has
/// more is made zero.
///
/// # Safety
/// `to` has `size` writable bytes.
pub(super) unsafe fn store_behind_size<T: CallerStruct>(from: &T, to: *mut u8, size: usize) {
    const SIZE: usize = size_of::<u32>();
    let known = size.min(size_of::<T>());
    // SAFETY: `known` is within both, and all of `size` is the caller's.
    unsafe {
        let from = std::ptr::from_ref(from).cast::<u8>();
        std::ptr::copy_nonoverlapping(from.add(SIZE), to.add(SIZE), known - SIZE);
        std::ptr::write_bytes(to.add(known), 0, size - known);
    }
}

/// Where C wants a text: so many bytes, which hold an empty one until something is written.
pub(super) struct Buffer(*mut c_char, usize);

impl Buffer {
    /// # Safety
    /// `at` is NULL, or `size` bytes there are writable and nobody else's while this lives.
    pub(super) unsafe fn cleared(at: *mut c_char, size: usize) -> Buffer {
        let buffer = Buffer(at, size);
        buffer.write("");
        buffer
    }

    /// `KL_E_NULL` if the caller gave none. `name` is the parameter's.
    pub(super) fn present(&self, name: &str) -> Result<()> {
        if self.0.is_null() { Err(Error::new(KL_E_NULL, [name, " is NULL"].concat())) } else { Ok(()) }
    }

    /// Writes a text and its NUL; false, and nothing done, if there is no room for both.
    pub(super) fn write(&self, text: &str) -> bool {
        let fits = !self.0.is_null() && text.len() < self.1;
        if fits {
            // SAFETY: `cleared` was promised that `self.1` bytes are writable there; the text with its NUL is no longer, and
            // as bytes of ours it cannot overlap them.
            unsafe {
                std::ptr::copy_nonoverlapping(text.as_ptr().cast(), self.0, text.len());
                self.0.add(text.len()).write(0);
            }
        }
        fits
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
/// As much is taken beforehand where there must be room for what a platform answers: receipts are smaller.
const RESERVED: usize = 4096;

impl Arena {
    /// One that needs no memory for as much as a command's result usually holds.
    pub(super) fn reserved() -> Result<Arena> {
        let mut chunk = Vec::new();
        let mut chunks = Vec::new();
        if chunk.try_reserve_exact(RESERVED).is_err() || chunks.try_reserve(4).is_err() {
            return Err(Error::new(KL_E_RESOURCE, "no memory for the result; nothing was sent"));
        }
        chunks.push(chunk);
        Ok(Arena(chunks))
    }

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
        // Looked for at libc's speed first: there is none in all that platforms are known to send.
        // SAFETY: so many bytes are the text's.
        if unsafe { !libc::memchr(text.as_ptr().cast(), 0, text.len()).is_null() } {
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
        // SAFETY: kept by the arena, which lives.
        unsafe {
            assert_eq!(CStr::from_ptr(long).to_bytes().len(), 10_000);
            assert_eq!(CStr::from_ptr(arena.keep("a\0b")).to_str().unwrap(), "a b");
            assert_eq!(CStr::from_ptr(arena.keep("")).to_bytes(), b"");
        }
    }
}
