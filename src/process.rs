//! The process: which one this is, and what all clients of one process share.
//!
//! A child of `fork` inherits the memory of its parent but none of its threads: a lock that another thread held at that
//! moment stays locked forever. So whatever a process shares lies in a [`PerProcess`], of which a child gets a fresh
//! one. Which process this is costs one load: a page that the kernel wipes in every child says so (Linux 4.14), be the
//! child made by `fork` or by a raw `clone`. An older kernel leaves it to a handler of `pthread_atfork`, which does not
//! see a raw `clone`; there [`check`] asks for the process id, before anything is done for a client.

use crate::sys::{self, NotForChildren, Published};
use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

/// Does what a destructor does. The builds for boards abort when a panic leaves one (`scripts/arm`), so none does.
pub(crate) fn contained(work: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(work)) {
        // Its own destructor may panic too.
        std::mem::forget(payload);
    }
}

/// How a process is told from its parent.
#[derive(Clone, Copy)]
enum Telling {
    /// By a number that is 0 in every child, and else the generation.
    Wiped(&'static AtomicU32),
    /// By the handler, which counts [`LAST`] up in a child.
    Handler,
    /// By the process id alone: there was no memory for a handler.
    Pid,
}

static TELLING: Published<Telling> = Published::nothing();
/// The highest generation that was given out, here or in a process further up.
static LAST: AtomicU32 = AtomicU32::new(0);
/// The process that [`LAST`] belongs to.
static PID: AtomicU32 = AtomicU32::new(0);
static HOOKS: [Published<fn()>; 4] = [const { Published::nothing() }; 4];

/// A number that is another one in a child than in its parent. One load where the kernel helps, never a system call
/// where it does not.
#[inline]
pub(crate) fn generation() -> u32 {
    match TELLING.get() {
        Some(Telling::Wiped(number)) => match number.load(Ordering::Relaxed) {
            0 => renew(),
            generation => generation,
        },
        Some(Telling::Handler) => LAST.load(Ordering::Relaxed),
        Some(Telling::Pid) => check(),
        None => begin(),
    }
}

/// The same, and a child of a raw `clone` is told on every kernel; where the kernel does not help, by a system call.
pub(crate) fn check() -> u32 {
    match TELLING.get() {
        Some(Telling::Handler | Telling::Pid) if PID.load(Ordering::Relaxed) != pid() => renew(),
        Some(Telling::Pid) => LAST.load(Ordering::Relaxed),
        _ => generation(),
    }
}

/// This process's id. A system call.
pub(crate) fn pid() -> u32 {
    std::process::id()
}

/// What tells one start of the system from another; empty if it cannot be known.
pub(crate) fn boot_id() -> &'static str {
    static BOOT: Published<String> = Published::nothing();
    BOOT.get_or(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.trim().to_owned()
    })
}

/// Takes a descriptor away from every child forked while the result lives. To be dropped before the descriptor is closed.
/// An error if the process can register no handler.
pub(crate) fn not_for_children(fd: BorrowedFd<'_>) -> io::Result<NotForChildren> {
    if !on_fork_child(sys::in_forked_child) {
        return Err(io::Error::from_raw_os_error(libc::ENOMEM));
    }
    Ok(NotForChildren::new(fd))
}

/// Has a function called in every child, before `fork` returns there; after a raw `clone`, at the child's first use of
/// the library. It may do only what is safe in a signal handler: no memory, no lock. It may be called more than once in
/// one child, and must then do nothing. False if there is no room for it: there are four places.
#[allow(dead_code)]
pub(crate) fn on_fork_child(hook: fn()) -> bool {
    generation();
    HOOKS.iter().any(|place| std::ptr::fn_addr_eq(*place.get_or(|| hook), hook))
}

/// The first use of the library in this line of processes.
#[cold]
fn begin() -> u32 {
    // Several threads may get here at once, and a child may be forked meanwhile. None of them goes on before there is a
    // handler; two of them do no harm.
    PID.store(pid(), Ordering::Relaxed);
    let first = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    let handler = sys::at_fork_in_child(forked);
    let telling = match sys::number_wiped_in_children() {
        Some(number) => {
            number.store(first, Ordering::Relaxed);
            Telling::Wiped(number)
        }
        None if handler => Telling::Handler,
        None => Telling::Pid,
    };
    TELLING.replace(None, telling);
    generation()
}

/// The handler of `fork`. It trusts no page: there is one thread, and it is another process for certain.
extern "C" fn forked() {
    if let Some(Telling::Wiped(number)) = TELLING.get() {
        number.store(0, Ordering::Relaxed);
    }
    renew();
}

/// Makes a child another process than its parent. Safe in a signal handler.
#[cold]
fn renew() -> u32 {
    PID.store(pid(), Ordering::Relaxed);
    let fresh = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    if let Some(Telling::Wiped(number)) = TELLING.get() {
        if let Err(winner) = number.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
            // Another thread of this child was here first.
            return winner;
        }
    }
    for hook in HOOKS.iter().filter_map(Published::get) {
        hook();
    }
    fresh
}

/// What all threads of one process share, and a child does not share with its parent: it gets a fresh one, and touches
/// no lock of the old. The parent's is kept reachable, so that leak checkers do not take it for lost.
pub(crate) struct PerProcess<T: 'static>(Published<Of<T>>);

struct Of<T: 'static> {
    generation: u32,
    /// Never read: it keeps what is behind it reachable.
    _parent: Option<&'static Of<T>>,
    value: T,
}

impl<T: Send + Sync> PerProcess<T> {
    /// Made at its first use in each process.
    pub(crate) const fn new() -> PerProcess<T> {
        PerProcess(Published::nothing())
    }

    /// This process's.
    #[inline]
    pub(crate) fn get(&self) -> &'static T
    where
        T: Default,
    {
        self.get_or(|_| T::default())
    }

    /// This process's; `make` is given the parent's, of which it may take only what is read without a lock.
    #[inline]
    pub(crate) fn get_or(&self, make: impl FnOnce(Option<&T>) -> T) -> &'static T {
        let generation = generation();
        match self.0.get() {
            Some(of) if of.generation == generation => &of.value,
            old => {
                let value = make(old.map(|of| &of.value));
                &self.0.replace(old, Of { generation, _parent: old, value }).value
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_of_a_process_have_one() {
        static SHARED: PerProcess<AtomicU32> = PerProcess::new();
        let made = AtomicU32::new(0);
        std::thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| {
                    let shared = SHARED.get_or(|parent| {
                        assert!(parent.is_none());
                        made.fetch_add(1, Ordering::Relaxed);
                        AtomicU32::new(0)
                    });
                    shared.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        assert_eq!(SHARED.get().load(Ordering::Relaxed), 8);
        assert!(made.load(Ordering::Relaxed) >= 1);
    }

    #[test]
    fn one_start_of_the_system_has_one_name() {
        assert!(boot_id().is_empty() || boot_id().len() == 36);
        assert!(std::ptr::eq(boot_id(), boot_id()));
        assert_eq!(check(), generation());
    }
}
