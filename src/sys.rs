//! The system calls that the standard library does not offer.

use std::ffi::{CStr, CString, c_void};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};
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
    /// `process::not_for_children` makes them: it sees to it that a child looks here.
    pub(crate) fn new(fd: BorrowedFd<'_>) -> NotForChildren {
        let fd = fd.as_raw_fd();
        let mut places = &NOT_FOR_CHILDREN;
        loop {
            for place in &places.fds {
                if place.compare_exchange(-1, fd, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    return NotForChildren(place);
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
pub(crate) fn in_forked_child() {
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

/// Puts an open file under another number too, in the place of what was open there: what a careless program does.
#[cfg(test)]
pub(crate) fn put_under(file: &impl AsFd, number: RawFd) -> io::Result<()> {
    // SAFETY: a system call on numbers that touches no memory; the descriptor is open.
    let at = unsafe { libc::dup2(file.as_fd().as_raw_fd(), number) };
    if at == number { Ok(()) } else { Err(io::Error::last_os_error()) }
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

/// A name inside a folder, as the system wants it. A name with a zero byte is refused.
fn c_name(name: &str) -> io::Result<CString> {
    CString::new(name).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Opens what is called `name` inside the folder; a symbolic link is not followed. The descriptor is closed on exec and is
/// 3 or higher: what a program prints to a closed standard output must not land in it.
pub(crate) fn open_at(folder: &impl AsFd, name: &str, flags: libc::c_int) -> io::Result<File> {
    let name = c_name(name)?;
    // A pipe in a file's place is not waited for; an ordinary file knows no difference.
    let flags = flags | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK;
    // SAFETY: `name` is a C string and the folder's descriptor is open, both for the time of the call; the mode is the
    // variable argument that O_CREAT asks for and others ignore.
    let fd = unsafe { libc::openat(folder.as_fd().as_raw_fd(), name.as_ptr(), flags, 0o600 as libc::c_uint) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system has just given this descriptor to us alone.
    high_fd(unsafe { File::from_raw_fd(fd) })
}

/// Gives `from` the name `to`, in one step, inside the folder.
pub(crate) fn rename_at(folder: &impl AsFd, from: &str, to: &str) -> io::Result<()> {
    let (from, to, at) = (c_name(from)?, c_name(to)?, folder.as_fd().as_raw_fd());
    // SAFETY: both names are C strings and the descriptor is open, for the time of the call.
    done(unsafe { libc::renameat(at, from.as_ptr(), at, to.as_ptr()) })
}

/// Gives `from` a second name, inside the folder.
pub(crate) fn link_at(folder: &impl AsFd, from: &str, to: &str) -> io::Result<()> {
    let (from, to, at) = (c_name(from)?, c_name(to)?, folder.as_fd().as_raw_fd());
    // SAFETY: as in `rename_at`.
    done(unsafe { libc::linkat(at, from.as_ptr(), at, to.as_ptr(), 0) })
}

/// Removes a name from the folder.
pub(crate) fn unlink_at(folder: &impl AsFd, name: &str) -> io::Result<()> {
    let name = c_name(name)?;
    // SAFETY: the name is a C string and the descriptor is open, for the time of the call.
    done(unsafe { libc::unlinkat(folder.as_fd().as_raw_fd(), name.as_ptr(), 0) })
}

/// What the system knows of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// Device and inode.
    pub(crate) id: (u64, u64),
    /// Whose it is.
    pub(crate) user: u32,
    /// How many names it has.
    pub(crate) names: u64,
    /// Bytes.
    pub(crate) size: u64,
    /// When it was written last: seconds and nanoseconds.
    pub(crate) written: (i64, i64),
    /// It is a file, and no pipe, device, link or folder.
    pub(crate) ordinary: bool,
}

// Where `stat` has 32 bits for an inode, the other has 64.
#[cfg(not(any(all(target_os = "linux", not(target_env = "musl")), target_os = "android")))]
use libc::{fstat as system_fstat, fstatat as system_fstatat, stat as SystemStat};
#[cfg(any(all(target_os = "linux", not(target_env = "musl")), target_os = "android"))]
use libc::{fstat64 as system_fstat, fstatat64 as system_fstatat, stat64 as SystemStat};

#[allow(clippy::unnecessary_cast)] // the fields have other widths on other targets
impl From<SystemStat> for Status {
    fn from(s: SystemStat) -> Status {
        Status {
            id: (s.st_dev as u64, s.st_ino as u64),
            user: s.st_uid as u32,
            names: s.st_nlink as u64,
            size: s.st_size as u64,
            written: (s.st_mtime as i64, s.st_mtime_nsec as i64),
            ordinary: s.st_mode as u32 & libc::S_IFMT as u32 == libc::S_IFREG as u32,
        }
    }
}

/// What is called `name` inside the folder; a symbolic link is not followed. One system call, nothing is opened.
pub(crate) fn status_at(folder: &impl AsFd, name: &str) -> io::Result<Status> {
    // Asked several times a command: the name is put together without memory of its own, if it fits.
    let mut place = [0; 96];
    let long;
    let name = match place.get_mut(..name.len()) {
        Some(front) if name.len() < 96 => {
            front.copy_from_slice(name.as_bytes());
            CStr::from_bytes_with_nul(&place[..=name.len()])
                .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?
        }
        _ => {
            long = c_name(name)?;
            &long
        }
    };
    // SAFETY: `stat` is plain integers, for which all zeros is a value.
    let mut found: SystemStat = unsafe { std::mem::zeroed() };
    let (at, flags) = (folder.as_fd().as_raw_fd(), libc::AT_SYMLINK_NOFOLLOW);
    // SAFETY: the name is a C string, the descriptor is open and `found` is a valid place to write to, for the time of the
    // call.
    done(unsafe { system_fstatat(at, name.as_ptr(), &mut found, flags) })?;
    Ok(found.into())
}

/// The same of an open file.
pub(crate) fn status(file: &impl AsFd) -> io::Result<Status> {
    // SAFETY: as in `status_at`.
    let mut found: SystemStat = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and `found` is a valid place to write to, for the time of the call.
    done(unsafe { system_fstat(file.as_fd().as_raw_fd(), &mut found) })?;
    Ok(found.into())
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// One byte of a file, as a POSIX lock sees it.
fn byte(kind: libc::c_int, at: u32) -> libc::flock {
    // SAFETY: `flock` is plain integers, for which all zeros is a value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as _;
    lock.l_whence = libc::SEEK_SET as _;
    lock.l_start = (at & 0x3fff_ffff) as _;
    lock.l_len = 1;
    lock
}

/// Takes the POSIX lock on one byte of an open file, without waiting: false if another process has it. It belongs to the
/// process, is not inherited by a forked child, and is lost when the process closes *any* descriptor of that file. Taking it
/// again does no harm.
pub(crate) fn try_lock_byte(file: &impl AsFd, at: u32) -> io::Result<bool> {
    let lock = byte(libc::F_WRLCK as libc::c_int, at);
    // SAFETY: the descriptor is open and `lock` is a valid `flock`, both for the time of the call, which only reads it.
    if unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_SETLK, &lock) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EAGAIN | libc::EINTR) => Ok(false),
        _ => Err(error),
    }
}

/// Which *other* process has the POSIX lock on that byte. The number is 0 if it lives in another PID namespace.
pub(crate) fn byte_holder(file: &impl AsFd, at: u32) -> io::Result<Option<u32>> {
    let mut lock = byte(libc::F_WRLCK as libc::c_int, at);
    // SAFETY: the descriptor is open and `lock` is a valid `flock` that the call may write, for its whole time.
    done(unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_GETLK, &mut lock) })?;
    let free = i64::from(lock.l_type) == libc::F_UNLCK as i64;
    Ok(if free { None } else { Some(u32::try_from(lock.l_pid).unwrap_or(0)) })
}

/// Asks the system to forget what it keeps of a file in memory, so that the next read comes from the disk. What was not
/// written yet stays.
pub(crate) fn forget_pages(file: &impl AsFd) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: the descriptor is open for the time of the call, which touches no memory of ours.
    unsafe {
        libc::posix_fadvise(file.as_fd().as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED);
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = file;
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

/// A descriptor that is readable while it is set (`eventfd`).
pub(crate) struct Readiness(File);

impl Readiness {
    /// One that is not set, close-on-exec and 3 or higher.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn new() -> io::Result<Readiness> {
        // SAFETY: takes numbers and touches no memory.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the system has just given this descriptor to us alone.
        high_fd(unsafe { File::from_raw_fd(fd) }).map(Readiness)
    }

    /// As above: there is none.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) fn new() -> io::Result<Readiness> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    /// It is readable from now on. Never waits.
    pub(crate) fn set(&self) {
        // Refused only by a counter at its end, which is readable.
        let _ = (&self.0).write(&1u64.to_ne_bytes());
    }

    /// It is not readable any more. Never waits.
    pub(crate) fn clear(&self) {
        let _ = (&self.0).read(&mut [0; 8]);
    }
}

impl AsFd for Readiness {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What [`ring`] counts up and [`listen`] waits on. One for the process: those who listen look for themselves what it was
/// about.
static BELL: AtomicU32 = AtomicU32::new(0);

/// How often it was rung: to be taken before one looks whether there is anything to do.
pub(crate) fn rung() -> u32 {
    BELL.load(Ordering::Acquire)
}

/// Wakes all who listen. Safe in a signal handler.
pub(crate) fn ring() {
    BELL.fetch_add(1, Ordering::AcqRel);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: the address is that of a static, of which the call reads nothing.
    unsafe {
        libc::syscall(libc::SYS_futex, BELL.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, i32::MAX);
    }
}

/// Waits until it is rung again after `seen`, or so long. May return without either.
pub(crate) fn listen(seen: u32, at_most: Duration) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // What the kernel takes under this number: two words, on 32 bits too.
        let wait = at_most.min(Duration::from_secs(3600));
        let time = [wait.as_secs() as libc::c_long, libc::c_long::from(wait.subsec_nanos() as i32)];
        // SAFETY: the address is that of a static, and the time lies here for as long as the call.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                BELL.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                seen,
                time.as_ptr(),
            );
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    if rung() == seen {
        #[expect(clippy::disallowed_methods, reason = "no longer than a cancel may wait")]
        std::thread::sleep(at_most.min(Duration::from_millis(20)));
    }
}

/// Has the threads that this one makes while this lives take no signal of the program: they inherit the mask. The signals
/// that tell of a fault of the thread itself stay, or a crash handler would not see it.
pub(crate) struct SignalsBlocked(libc::sigset_t);

impl SignalsBlocked {
    pub(crate) fn begin() -> SignalsBlocked {
        // SAFETY: `sigset_t` is plain integers, for which all zeros is a value; the calls write the sets, which are ours.
        unsafe {
            let (mut all, mut before): (libc::sigset_t, libc::sigset_t) =
                (std::mem::zeroed(), std::mem::zeroed());
            libc::sigfillset(&mut all);
            for own in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS]
            {
                libc::sigdelset(&mut all, own);
            }
            libc::sigdelset(&mut all, libc::SIGABRT);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
            SignalsBlocked(before)
        }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: the set that the call in `begin` wrote; it concerns this thread alone.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, ptr::null_mut()) };
    }
}

/// Names this thread, at most 15 bytes.
fn name_thread(name: &CStr) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: `name` is a C string for the time of the call, which copies it.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, name.as_ptr() as libc::c_ulong, 0, 0, 0);
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = name;
}

/// Names this thread, at most 15 bytes, and takes it out of a realtime policy that it inherited.
pub(crate) fn ordinary_thread(name: &CStr) {
    name_thread(name);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: `none` is a `sched_param` for the time of the call that reads it. The policy is this thread's alone: the system
    // call is asked, since musl has no function for it.
    unsafe {
        // libc has no such name for Android.
        const SCHED_OTHER: libc::c_int = 0;
        let none: libc::sched_param = std::mem::zeroed();
        libc::syscall(libc::SYS_sched_setscheduler, 0, SCHED_OTHER, &raw const none);
    }
}

/// Runs `main` on a thread of its own, which nobody joins. A panic ends the thread and nothing else. std's threads bring along
/// handles, hooks and a watch over their stacks.
pub(crate) fn thread(name: &'static CStr, stack: usize, main: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    struct Begin(&'static CStr, Box<dyn FnOnce() + Send>);
    extern "C-unwind" fn run(begin: *mut c_void) -> *mut c_void {
        // SAFETY: the `Begin` that was made below for this thread alone.
        let Begin(name, main) = *unsafe { Box::from_raw(begin.cast::<Begin>()) };
        name_thread(name);
        if let Err(payload) = catch_unwind(AssertUnwindSafe(main)) {
            // Its own destructor may panic too.
            std::mem::forget(payload);
        }
        ptr::null_mut()
    }
    let begin = Box::into_raw(Box::new(Begin(name, main)));
    bare_thread(stack, run, begin.cast()).inspect_err(|_| {
        // SAFETY: made above, and no thread has it.
        drop(unsafe { Box::from_raw(begin) });
    })
}

/// What a thread of [`bare_thread`] runs. It may be left by `pthread_exit`.
pub(crate) type BareMain = extern "C-unwind" fn(*mut c_void) -> *mut c_void;

/// Makes a thread with no code of the standard library below its function, so that `pthread_exit` in it tears through
/// nothing. It ends by itself, nobody joins it.
pub(crate) fn bare_thread(stack: usize, main: BareMain, argument: *mut c_void) -> io::Result<()> {
    let page = 4095;
    // SAFETY: a `pthread_attr_t` is initialised before it is used and destroyed after; `main` has the type that is asked
    // for, but for what may leave it, which is the same code (a thread's function may be left by `pthread_exit`).
    unsafe {
        let mut how: libc::pthread_attr_t = std::mem::zeroed();
        let mut made: libc::pthread_t = std::mem::zeroed();
        let mut failed = libc::pthread_attr_init(&mut how);
        if failed == 0 {
            libc::pthread_attr_setdetachstate(&mut how, libc::PTHREAD_CREATE_DETACHED);
            failed = libc::pthread_attr_setstacksize(&mut how, (stack + page) & !page);
            if failed == 0 {
                let main: extern "C" fn(*mut c_void) -> *mut c_void = std::mem::transmute(main);
                failed = libc::pthread_create(&mut made, &how, main, argument);
            }
            libc::pthread_attr_destroy(&mut how);
        }
        if failed == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(failed)) }
    }
}

/// Has `destructor` called with `value` when this thread ends, however it does. False if the system has no place for it.
/// All callers of a process give the same destructor.
pub(crate) fn at_thread_end(destructor: unsafe extern "C" fn(*mut c_void), value: *mut c_void) -> bool {
    static KEY: Published<libc::pthread_key_t> = Published::nothing();
    let key = KEY.get().or_else(|| {
        let mut key = 0;
        // SAFETY: a valid place for the key; the destructor lives as long as the program (`-z nodelete`).
        let made = unsafe { libc::pthread_key_create(&mut key, Some(destructor)) == 0 };
        made.then(|| KEY.get_or(|| key))
    });
    // SAFETY: a key of the process, which is never deleted.
    key.is_some_and(|key| unsafe { libc::pthread_setspecific(*key, value) == 0 })
}

/// Holds `pthread_cancel` of this thread off for good.
pub(crate) fn never_cancelled() {
    std::mem::forget(Uncancelled::begin());
}

/// Holds `pthread_cancel` of this thread off while it lives: a cancellation would tear through frames whose destructors
/// must not run like that, and end the process. One that came meanwhile is there when this ends, and is acted upon in the
/// caller's own code.
pub(crate) struct Uncancelled {
    #[cfg(target_os = "linux")]
    before: libc::c_int,
}

impl Uncancelled {
    #[cfg(target_os = "linux")]
    pub(crate) fn begin() -> Uncancelled {
        let mut before = CANCEL_ENABLE;
        // SAFETY: a valid place for the old state, which the call writes; it concerns this thread alone.
        unsafe { pthread_setcancelstate(CANCEL_DISABLE, &mut before) };
        Uncancelled { before }
    }

    /// Android has no `pthread_cancel`.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn begin() -> Uncancelled {
        Uncancelled {}
    }
}

#[cfg(target_os = "linux")]
impl Drop for Uncancelled {
    fn drop(&mut self) {
        let mut ours = 0;
        // SAFETY: as above. A pending cancellation is acted upon by a later call that POSIX names, never by this one.
        unsafe { pthread_setcancelstate(self.before, &mut ours) };
    }
}

#[cfg(target_os = "linux")]
const CANCEL_ENABLE: libc::c_int = 0;
#[cfg(target_os = "linux")]
const CANCEL_DISABLE: libc::c_int = 1;

// The numbers are those of glibc and of musl; the crate libc has neither them nor the function.
#[cfg(target_os = "linux")]
unsafe extern "C" {
    fn pthread_setcancelstate(state: libc::c_int, old: *mut libc::c_int) -> libc::c_int;
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
        let many: Vec<_> = (0..300).map(|_| NotForChildren::new(a.as_fd())).collect();
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

    /// A file that is gone at once; its descriptor stays.
    fn scratch(name: &str) -> (std::path::PathBuf, File) {
        let path = std::env::temp_dir().join(format!("kiosklink-sys-{name}-{}", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        (path, file)
    }

    /// Forks; the child does what `act` says and ends. `act` may only do what is safe in a signal handler.
    fn forked(act: impl FnOnce()) -> libc::pid_t {
        // SAFETY: the child calls only `act`, which is bound to async-signal-safe calls, and `_exit`.
        match unsafe { libc::fork() } {
            0 => {
                act();
                unsafe { libc::_exit(0) }
            }
            pid => {
                assert!(pid > 0);
                pid
            }
        }
    }

    fn reap(pid: libc::pid_t) -> libc::c_int {
        let mut status = 0;
        // SAFETY: `status` is a valid place for the time of the call.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        status
    }

    /// An owner takes the lock and makes a child that lives on; then it is killed. Says whether the lock is held before and
    /// after its death, and ends the child.
    fn owner_and_heir(shares_files: bool) -> (bool, bool) {
        use std::io::Read;
        let (path, file) = scratch(if shares_files { "clone" } else { "fork" });
        let opened = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let (mut told, tell) = UnixStream::pair().unwrap();
        // Nothing is done for the first time in the child.
        assert!(try_lock_byte(&opened, 8).unwrap());
        let owner = forked(|| {
            let tell = tell.as_raw_fd();
            let _ = try_lock_byte(&opened, 7);
            // SAFETY: system calls on open descriptors and on memory that outlives them. The raw `clone` makes a process
            // with a copy of the memory, as `fork` does, which at most shares the table of descriptors.
            unsafe {
                let flags = libc::SIGCHLD | if shares_files { libc::CLONE_FILES } else { 0 };
                let heir = libc::syscall(libc::SYS_clone, flags as libc::c_long, 0, 0, 0, 0);
                if heir == 0 {
                    loop {
                        libc::pause();
                    }
                }
                let heir = (heir as u32).to_le_bytes();
                libc::write(tell, heir.as_ptr().cast(), heir.len());
                loop {
                    libc::pause();
                }
            }
        });
        let mut heir = [0; 4];
        told.read_exact(&mut heir).unwrap();
        let before = byte_holder(&file, 7).unwrap();
        // SAFETY: our own child, not yet waited for.
        unsafe { libc::kill(owner, libc::SIGKILL) };
        reap(owner);
        let after = byte_holder(&file, 7).unwrap();
        // SAFETY: the heir was made a moment ago and waits; its number cannot have been given again.
        unsafe { libc::kill(u32::from_le_bytes(heir) as libc::pid_t, libc::SIGKILL) };
        assert_eq!(before, Some(owner as u32));
        std::fs::remove_file(path).unwrap();
        (before.is_some(), after.is_some())
    }

    // FAULTS F1: dead is dead, whoever it has forked.
    #[test]
    fn a_forked_child_does_not_keep_a_dead_owner_alive() {
        assert_eq!(owner_and_heir(false), (true, false));
    }

    // DISK 8.7: a child that shares the table of descriptors is the owner as far as the system goes: it counts as living.
    #[test]
    fn a_child_that_shares_the_descriptors_counts_as_the_owner() {
        assert_eq!(owner_and_heir(true), (true, true));
    }

    // FAULTS F11: a child is forked while another thread has the table of the journals' owners in hand.
    #[test]
    fn a_child_has_a_table_of_owners_of_its_own() {
        let in_hand = crate::store::owners::table_in_hand();
        let child = forked(|| {
            if !crate::store::owners::table_is_free() {
                // SAFETY: ends the child.
                unsafe { libc::_exit(1) };
            }
        });
        assert_eq!(libc::WEXITSTATUS(reap(child)), 0);
        drop(in_hand);
    }

    // FAULTS F14: with the standard descriptors closed a file still gets none of them.
    #[test]
    fn no_file_becomes_a_standard_descriptor() {
        let folder = File::open("/proc/self").unwrap();
        let child = forked(|| {
            // SAFETY: closes descriptors of the child alone; nothing of the child uses them.
            unsafe {
                for fd in 0..3 {
                    libc::close(fd);
                }
            }
            let name = c"stat";
            // SAFETY: as in `open_at`; by hand, since that allocates.
            let file = unsafe {
                let fd = libc::openat(folder.as_raw_fd(), name.as_ptr(), libc::O_RDONLY);
                assert_low(fd);
                File::from_raw_fd(fd)
            };
            let high = high_fd(file).map_or(0, |f| f.as_raw_fd());
            // SAFETY: asks for a descriptor's flags; ends the child.
            unsafe { libc::_exit(if high > 2 && libc::fcntl(0, libc::F_GETFD) < 0 { 42 } else { 1 }) };
        });
        assert_eq!(libc::WEXITSTATUS(reap(child)), 42);
    }

    fn assert_low(fd: libc::c_int) {
        if fd != 0 {
            // SAFETY: ends the child of the test.
            unsafe { libc::_exit(2) };
        }
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
