//! SIGINT and SIGTERM as something to wait for. The standard library has no word for signals, so this is the one place of the
//! command with unsafe code.
//!
//! Handlers, and no mask: a mask would go on to the programs that are started, which then could not be ended.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

static CAME: AtomicBool = AtomicBool::new(false);
/// Never closed once it is set.
static WAKE: AtomicI32 = AtomicI32::new(-1);

/// From here on the first of the two ends nothing: [`came`] tells of it, and `wake` gets a byte. What is ignored, as SIGINT is in
/// the background of a script, remains ignored.
pub fn watch(wake: UnixStream) -> io::Result<()> {
    WAKE.store(wake.into_raw_fd(), Ordering::SeqCst);
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: a `sigaction` is plain integers and an optional pointer, for which all zeros is a value.
        let (mut new, mut old): (libc::sigaction, libc::sigaction) = unsafe { std::mem::zeroed() };
        new.sa_sigaction = handle as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // The second of its kind ends the process as it would any.
        new.sa_flags = libc::SA_RESTART | libc::SA_RESETHAND;
        // SAFETY: without a new action the call only writes the valid `old`.
        if unsafe { libc::sigaction(signal, ptr::null(), &mut old) } != 0 {
            return Err(io::Error::last_os_error());
        }
        if old.sa_sigaction == libc::SIG_IGN {
            continue;
        }
        // SAFETY: `new` is valid, its mask is empty, and its handler does nothing that a handler may not do.
        if unsafe { libc::sigaction(signal, &new, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Whether one came.
pub fn came() -> bool {
    CAME.load(Ordering::SeqCst)
}

/// If one came, the next of either kind ends the process at once, as it would any.
pub fn release() {
    if !came() {
        return;
    }
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: puts the default back; no code of ours is called any more.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

extern "C" fn handle(_: libc::c_int) {
    CAME.store(true, Ordering::SeqCst);
    // SAFETY: `send` may be called in a handler, the one byte is valid, and the descriptor is never closed. A full socket has
    // woken whoever reads it already. What was interrupted must find its `errno` again.
    unsafe {
        let errno = *libc::__errno_location();
        libc::send(
            WAKE.load(Ordering::SeqCst),
            ptr::from_ref(&0u8).cast(),
            1,
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        );
        *libc::__errno_location() = errno;
    }
}
