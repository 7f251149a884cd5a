//! The system calls that the standard library does not offer.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
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
    let mut one = [libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 }];
    poll(&mut one, timeout).map(|n| n > 0)
}

/// Waits until one of the descriptors has room to write, or is in error: says of each whether it does. None does when
/// the time is up or a signal came.
pub(crate) fn wait_writable(fds: &[BorrowedFd<'_>], timeout: Duration) -> io::Result<Vec<bool>> {
    let mut all: Vec<libc::pollfd> =
        fds.iter().map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 }).collect();
    poll(&mut all, timeout)?;
    Ok(all.iter().map(|fd| fd.revents != 0).collect())
}

/// How many are ready; 0 as well after a signal.
fn poll(fds: &mut [libc::pollfd], timeout: Duration) -> io::Result<usize> {
    // Rounded up: the last fraction of a millisecond would otherwise be spent spinning.
    let ms = timeout.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as libc::c_int;
    let count = libc::nfds_t::try_from(fds.len()).map_err(io::Error::other)?;
    // SAFETY: `fds` is a slice of `count` valid `pollfd`s, borrowed mutably across the call; the callers borrow the
    // descriptors in it for as long.
    let n = unsafe { libc::poll(fds.as_mut_ptr(), count, ms) };
    if let Ok(n) = usize::try_from(n) {
        return Ok(n);
    }
    let error = io::Error::last_os_error();
    for fd in fds {
        fd.revents = 0;
    }
    if error.kind() == io::ErrorKind::Interrupted { Ok(0) } else { Err(error) }
}

/// The same file or socket under a number of 3 or more. A firmware may have closed its standard streams; what is
/// opened then gets their numbers, and its next `fprintf(stderr, ...)` would go into our journal or our connection.
pub(crate) fn high_fd<T: From<OwnedFd> + Into<OwnedFd>>(opened: T) -> io::Result<T> {
    let fd: OwnedFd = opened.into();
    if fd.as_raw_fd() > 2 {
        return Ok(T::from(fd));
    }
    // SAFETY: `fd` is open and ours; the command takes one int and touches no memory.
    let high = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3 as libc::c_int) };
    if high < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just made this descriptor, so nobody else owns it.
    Ok(T::from(unsafe { OwnedFd::from_raw_fd(high) }))
}

/// Descriptors that no forked child may keep: while a child holds a socket, the death of this process does not end the
/// connection, and the kernel goes on delivering what is queued in it. Places are added, never taken away, so that the
/// handler in a child finds them whole whenever the fork came.
struct Places {
    /// -1 is a free one.
    fds: [AtomicI32; 64],
    more: AtomicPtr<Places>,
}

impl Places {
    const fn new() -> Places {
        Places { fds: [const { AtomicI32::new(-1) }; 64], more: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The places behind these.
    fn next(&self) -> Option<&'static Places> {
        let next = self.more.load(Ordering::Acquire);
        // SAFETY: it is null or comes from `Box::leak` below, written whole before it was published, and is never freed.
        unsafe { next.as_ref() }
    }
}

static NOT_FOR_CHILDREN: Places = Places::new();

/// Takes a descriptor away from every child forked while this lives. To be dropped before the descriptor is closed.
#[derive(Debug)]
pub(crate) struct NotForChildren(&'static AtomicI32);

impl NotForChildren {
    /// An error if the process can register no handler.
    pub(crate) fn new(fd: BorrowedFd<'_>) -> io::Result<NotForChildren> {
        static HANDLER: Once = Once::new();
        static REGISTERED: AtomicI32 = AtomicI32::new(-1);
        HANDLER.call_once(|| {
            // SAFETY: the handler is a function of this library, which is never unloaded while it is in use; it does
            // only what is allowed between `fork` and `exec` in a process that had several threads.
            let result = unsafe { libc::pthread_atfork(None, None, Some(in_forked_child)) };
            REGISTERED.store(result, Ordering::Relaxed);
        });
        match REGISTERED.load(Ordering::Relaxed) {
            0 => {}
            error => return Err(io::Error::from_raw_os_error(error)),
        }
        let fd = fd.as_raw_fd();
        let mut places = &NOT_FOR_CHILDREN;
        loop {
            for place in &places.fds {
                if place.compare_exchange(-1, fd, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    return Ok(NotForChildren(place));
                }
            }
            places = match places.next() {
                Some(next) => next,
                None => {
                    let new: &'static Places = Box::leak(Box::new(Places::new()));
                    let new_ptr = ptr::from_ref(new).cast_mut();
                    // Whoever comes second leaves its own unused and takes the first one's.
                    let _ = places.more.compare_exchange(
                        ptr::null_mut(),
                        new_ptr,
                        Ordering::AcqRel,
                        Ordering::Acquire,
                    );
                    places.next().unwrap_or(new)
                }
            };
        }
    }
}

impl Drop for NotForChildren {
    fn drop(&mut self) {
        self.0.store(-1, Ordering::Release);
    }
}

/// Runs in a forked child, where only async-signal-safe calls are allowed: atomics without a lock, `socket`, `dup2`,
/// `fcntl` and `close` are.
extern "C" fn in_forked_child() {
    let mut places = Some(&NOT_FOR_CHILDREN);
    while let Some(these) = places {
        these.fds.iter().map(|place| place.load(Ordering::Acquire)).filter(|fd| *fd >= 0).for_each(take_away);
        places = these.next();
    }
}

/// Leaves the number taken, by a socket that leads nowhere: whatever in this child still believes that it owns the
/// number must not meet somebody else's file under it.
fn take_away(fd: RawFd) {
    // SAFETY: system calls on descriptors of this process that touch no memory; `fd` is open, for its owner leaves the
    // table before it closes it.
    unsafe {
        let nowhere = libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0);
        if nowhere >= 0 && libc::dup2(nowhere, fd) == fd {
            libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        } else {
            libc::close(fd);
        }
        if nowhere >= 0 && nowhere != fd {
            libc::close(nowhere);
        }
    }
}

/// Ends a TCP connection at once: what is queued and not acknowledged is dropped, the peer gets a reset, whoever else
/// holds the descriptor. An error where the system cannot; closing with a linger time of zero is left then.
pub(crate) fn disconnect(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: `sockaddr` is plain integers, for which all zeros is a value: an address of the family AF_UNSPEC.
    let nowhere: libc::sockaddr = unsafe { std::mem::zeroed() };
    let length = size_of::<libc::sockaddr>() as libc::socklen_t;
    // SAFETY: `nowhere` is a valid address of `length` bytes that the call only reads; the borrowed descriptor stays
    // open across it.
    if unsafe { libc::connect(socket.as_raw_fd(), &nowhere, length) } == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
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

    // FAULTS F14
    #[test]
    fn a_low_descriptor_is_moved_up_and_a_high_one_stays() {
        let (a, b) = UnixStream::pair().unwrap();
        let (number, high) = (a.as_raw_fd(), high_fd(a).unwrap());
        assert_eq!(number, high.as_raw_fd());
        assert!(number > 2);
        drop(b);
    }

    #[test]
    fn there_is_a_place_for_every_descriptor() {
        let (a, _b) = UnixStream::pair().unwrap();
        let many: Vec<_> = (0..300).map(|_| NotForChildren::new(a.as_fd()).unwrap()).collect();
        let count = || {
            let mut places = Some(&NOT_FOR_CHILDREN);
            let mut found = 0;
            while let Some(these) = places {
                found += these.fds.iter().filter(|p| p.load(Ordering::SeqCst) == a.as_raw_fd()).count();
                places = these.next();
            }
            found
        };
        assert_eq!(count(), 300);
        drop(many);
        assert_eq!(count(), 0);
    }

    #[test]
    fn boot_time_moves_forward() {
        let a = boot_ms();
        assert!(a > 0);
        assert!(boot_ms() >= a);
    }
}
