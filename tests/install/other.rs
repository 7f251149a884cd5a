//! Another library for C, with a std of its own: formatting, a thread, a panic that it catches.

use std::ffi::{CStr, c_char};
use std::panic::catch_unwind;

/// The number in a text, read on another thread; -1 if that panicked.
///
/// # Safety
/// `text` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn other_catches(text: *const c_char) -> i32 {
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
    std::panic::set_hook(Box::new(|_| {}));
    let read = || std::thread::spawn(move || text.parse::<i32>().expect("a number")).join();
    catch_unwind(read).ok().and_then(Result::ok).unwrap_or(-1)
}
