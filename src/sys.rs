//! The system calls that the standard library does not offer.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
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

/// A value that may be replaced but is never freed, so that a reference to it stays good. For what a whole process
/// shares: it is read without a lock, also in a child that was forked at any moment.
pub(crate) struct Published<T: 'static>(AtomicPtr<T>);

impl<T: Send + Sync> Published<T> {
    /// Nothing yet.
    pub(crate) const fn nothing() -> Published<T> {
        Published(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// The value, if there is one.
    #[inline]
    pub(crate) fn get(&self) -> Option<&'static T> {
        // SAFETY: the pointer is NULL or comes from `Box::into_raw` in `replace`, which published a whole value with
        // `Release`; nothing that was published is ever freed or written to. `T: Sync` lets all threads read it.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// The value, made if there is none.
    pub(crate) fn get_or(&self, make: impl FnOnce() -> T) -> &'static T {
        self.get().unwrap_or_else(|| self.replace(None, make()))
    }

    /// Puts a value into the place of `seen`, what [`get`](Self::get) gave. Of several threads one wins, and all are
    /// given its value.
    pub(crate) fn replace(&self, seen: Option<&'static T>, fresh: T) -> &'static T {
        let old = seen.map_or(std::ptr::null_mut(), |seen| std::ptr::from_ref(seen).cast_mut());
        let fresh = Box::into_raw(Box::new(fresh));
        match self.0.compare_exchange(old, fresh, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: just made, and never freed from here on.
            Ok(_) => unsafe { &*fresh },
            Err(winner) => {
                // SAFETY: `fresh` was not published, so nobody else knows it. `winner` was published, and is not
                // NULL: nothing ever replaces a value by none.
                unsafe {
                    drop(Box::from_raw(fresh));
                    &*winner
                }
            }
        }
    }
}

/// Has a function called in each child of `fork`, before `fork` returns there. It may do only what is safe in a signal
/// handler. False if the system has no memory for it.
pub(crate) fn at_fork_in_child(handler: extern "C" fn()) -> bool {
    // SAFETY: `handler` has the type that is asked for and lives as long as the program: the shared library is never
    // unloaded (`-z nodelete`).
    unsafe { libc::pthread_atfork(None, None, Some(handler)) == 0 }
}

/// A number that reads 0 in every child of this process, however the child was made, and in this process what was
/// stored in it last. `None` where the kernel has no such memory (Linux before 4.14).
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn number_wiped_in_children() -> Option<&'static AtomicU32> {
    /// `MADV_WIPEONFORK`
    const WIPE_ON_FORK: libc::c_int = 18;
    // SAFETY: takes a number, cannot harm.
    let size = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok().filter(|size| *size > 0)?;
    // SAFETY: a fresh private mapping, at a place that the kernel chooses: it touches no memory that is in use.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return None;
    }
    // Emulators that ignore the call say yes to nonsense too.
    // SAFETY: both are about this mapping alone, which nobody uses yet.
    let wiped = unsafe { libc::madvise(page, size, -1) != 0 && libc::madvise(page, size, WIPE_ON_FORK) == 0 };
    if !wiped {
        // SAFETY: the mapping from above, which nobody uses.
        unsafe { libc::munmap(page, size) };
        return None;
    }
    // SAFETY: the mapping is readable, writable, zeroed, aligned to a page, and never unmapped from here on.
    Some(unsafe { &*page.cast::<AtomicU32>() })
}

/// As above: there is none.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn number_wiped_in_children() -> Option<&'static AtomicU32> {
    None
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

    static HOOKED: AtomicU32 = AtomicU32::new(0);

    fn hook() {
        HOOKED.store(std::process::id(), Ordering::Relaxed);
    }

    #[test]
    fn a_child_is_another_process_and_its_hooks_have_run() {
        let before = crate::process::generation();
        assert!(crate::process::on_fork_child(hook) && crate::process::on_fork_child(hook));
        // SAFETY: the child compares numbers and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let mut told = HOOKED.load(Ordering::Relaxed) == std::process::id();
            let generation = crate::process::generation();
            told &= generation != before && generation == crate::process::check();
            told &= generation == crate::process::generation();
            // A child of the child is a third one.
            // SAFETY: as above.
            let grandchild = unsafe { libc::fork() };
            if grandchild == 0 {
                let told = ![before, generation].contains(&crate::process::generation())
                    && HOOKED.load(Ordering::Relaxed) == std::process::id();
                // SAFETY: ends the process, no more.
                unsafe { libc::_exit(i32::from(!told)) };
            }
            let mut status = -1;
            // SAFETY: a valid place, a child of ours; and the end.
            unsafe {
                told &= libc::waitpid(grandchild, &mut status, 0) == grandchild && status == 0;
                libc::_exit(i32::from(!told));
            }
        }
        let mut status = -1;
        // SAFETY: a valid place, and a child of ours.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0);
        assert_eq!(crate::process::generation(), before);
        assert_eq!(HOOKED.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_published_stays() {
        static ONE: Published<String> = Published::nothing();
        let first = ONE.get_or(|| "first".to_owned());
        assert_eq!(ONE.get_or(|| "second".to_owned()), first);
        assert_eq!(ONE.replace(None, "late".to_owned()), first, "who comes late is given what is there");
        assert_eq!(ONE.replace(Some(first), "next".to_owned()), "next");
        assert_eq!((ONE.get().unwrap().as_str(), first.as_str()), ("next", "first"));
    }
}
