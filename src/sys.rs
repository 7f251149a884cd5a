//! The system calls that the standard library does not offer.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// Something to read, or the end of it.
    Read,
    /// Room to write, or a finished `connect`.
    Write,
}

/// Waits until the descriptor is ready or in error. False when the time is up or a signal came: look at the
/// clock and call again.
pub(crate) fn wait(fd: BorrowedFd<'_>, ready: Ready, timeout: Duration) -> io::Result<bool> {
    let events = match ready {
        Ready::Read => libc::POLLIN,
        Ready::Write => libc::POLLOUT,
    };
    // Rounded up: the last fraction of a millisecond would otherwise be spent spinning.
    let ms = timeout.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as libc::c_int;
    let mut one = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    // SAFETY: `one` is a valid `pollfd` that lives across the call, the count of 1 matches it, and the borrowed
    // descriptor stays open for as long as `fd` lives.
    let n = unsafe { libc::poll(&mut one, 1, ms) };
    if n >= 0 {
        return Ok(n > 0);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) }
}

/// Takes an exclusive advisory lock on an open file, without waiting: false if somebody else has it. It ends with
/// [`unlock`], with the last descriptor of this opening, or with the process.
pub(crate) fn try_lock(file: &impl AsFd) -> io::Result<bool> {
    // SAFETY: the borrowed descriptor stays open for the time of the call; `flock` touches no memory of ours.
    if unsafe { libc::flock(file.as_fd().as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(false),
        _ => Err(error),
    }
}

/// Gives the lock back, also on behalf of a forked child that inherited the descriptor.
pub(crate) fn unlock(file: &impl AsFd) {
    // SAFETY: as in `try_lock`.
    unsafe { libc::flock(file.as_fd().as_raw_fd(), libc::LOCK_UN) };
}

/// The user in whose name files are opened.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::geteuid() }
}

/// Milliseconds since boot, suspend included where the system can count it. Never goes back.
pub(crate) fn boot_ms() -> u64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(ms) = read_clock(libc::CLOCK_BOOTTIME) {
        return ms;
    }
    read_clock(libc::CLOCK_MONOTONIC).unwrap_or(0)
}

fn read_clock(id: libc::clockid_t) -> Option<u64> {
    // SAFETY: `timespec` is plain integers, for which all zeros is a value.
    let mut t: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: `t` is a valid place for the one `timespec` that the call writes; an unknown `id` is an error, not
    // undefined behaviour.
    if unsafe { libc::clock_gettime(id, &mut t) } != 0 {
        return None;
    }
    #[allow(clippy::unnecessary_cast)] // both fields are 32 bits wide on some targets
    Some((t.tv_sec as u64).wrapping_mul(1000).wrapping_add(t.tv_nsec as u64 / 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn waits_for_a_byte_and_gives_up_without_one() {
        let (a, mut b) = UnixStream::pair().unwrap();
        assert!(!wait(a.as_fd(), Ready::Read, Duration::ZERO).unwrap());
        assert!(wait(a.as_fd(), Ready::Write, Duration::from_secs(5)).unwrap());
        b.write_all(b"x").unwrap();
        assert!(wait(a.as_fd(), Ready::Read, Duration::from_secs(u64::MAX)).unwrap());
    }

    #[test]
    fn boot_time_moves_forward() {
        let a = boot_ms();
        assert!(a > 0);
        assert!(boot_ms() >= a);
    }
}
