//! One at a time: threads of this process by turns, processes by a lock on a file, for short sections.
//!
//! The lock's file stays open between the sections, out of reach of forked children: so none keeps a dead parent's lock.
//!
//! A process that waits tries again and again, and would lose against one whose threads follow each other at once. So it
//! makes the lock's file a byte long; who comes in sees that, makes it empty, and stays away for a moment after its section.

use super::failed;
use super::file::Folder;
use crate::error::{Error, Result};
use crate::process;
use crate::status::*;
use crate::sys::{self, NotForChildren};
use crate::time::Deadline;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often another process's lock is tried: soon at first, then less often.
const SOON: Duration = Duration::from_millis(1);
/// The longest time between two tries.
const SELDOM: Duration = Duration::from_millis(8);
/// So long a process stays away when another one waits: longer than that one's pauses.
const AWAY: Duration = Duration::from_millis(12);
/// A thread that waits for another one looks this often whether it was cancelled.
const LOOK: Duration = Duration::from_millis(10);

/// The way in to what one name in a folder stands for.
#[derive(Debug)]
pub(crate) struct Gate {
    folder: Arc<Folder>,
    name: String,
    /// Which process made it.
    process: u32,
    turns: Mutex<Turns>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Turns {
    inside: bool,
    next: u64,
    waiting: VecDeque<u64>,
    /// Another process waits: nobody of this one tries before.
    away: Option<Deadline>,
    /// Left open by the section before.
    file: Option<Opened>,
}

/// The lock's file. Taken away from children before it is closed.
#[derive(Debug)]
struct Opened {
    /// `None` if a child may have it: it is not kept open then.
    _apart: Option<NotForChildren>,
    /// Which file it was when it was opened: a program that closes what it does not know may have put another in its place.
    id: (u64, u64),
    file: File,
}

/// Being inside. Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    /// `None` until the file's lock is held.
    lock: Option<Opened>,
    /// Another process waits.
    awaited: bool,
}

/// One try to lock the file.
enum Try {
    Locked(Opened),
    /// It was locked, and another process waits.
    Awaited(Opened),
    /// Another has it, or removed it; the file, if it is there.
    Held(Option<Opened>),
}

impl Gate {
    /// The gate of `name`; its lock is the file `name.lock`.
    pub(crate) fn new(folder: Arc<Folder>, name: &str) -> Gate {
        let name = [name, ".lock"].concat();
        Gate { folder, name, process: process::check(), turns: Mutex::default(), freed: Condvar::new() }
    }

    /// Goes in, alone. Waits until `patience` ends (`KL_E_JOURNAL_BUSY`), by the clock; no mutex is held meanwhile. `pause`
    /// waits at most so long and errs once the caller was cancelled; its error is passed on.
    pub(crate) fn enter(
        &self,
        patience: Deadline,
        pause: &dyn Fn(Duration) -> Result<()>,
    ) -> Result<Pass<'_>> {
        if self.process != process::check() {
            return Err(Error::new(KL_E_FORKED, "the journal was opened before a fork; make a new client"));
        }
        let mut pass = self.turn(patience, pause)?;
        let away = self.turns().away.take();
        if let Some(away) = away.filter(|away| !away.expired()) {
            pause(away.earlier(patience).remaining())?;
        }
        let mut wait = SOON;
        loop {
            match self.try_file() {
                Ok(Try::Locked(lock)) => {
                    pass.lock = Some(lock);
                    return Ok(pass);
                }
                Ok(Try::Awaited(lock)) => {
                    // Who has waited itself has seen its own mark.
                    pass.awaited = wait == SOON;
                    pass.lock = Some(lock);
                    return Ok(pass);
                }
                Ok(Try::Held(_)) if patience.expired() => return Err(busy("process")),
                Ok(Try::Held(held)) => {
                    if let Some(held) = held {
                        // Not on a read-only file system: there nobody is kept waiting for long.
                        let _ = held.file.set_len(1);
                        self.turns().file = Some(held);
                    }
                    pause(wait.min(patience.remaining()))?;
                    wait = (wait * 2).min(SELDOM);
                }
                Err(e) => return Err(failed("it cannot be locked", &self.folder.shown(&self.name), &e)),
            }
        }
    }

    /// The turn among the threads of this process, in the order of their coming.
    fn turn(&self, patience: Deadline, pause: &dyn Fn(Duration) -> Result<()>) -> Result<Pass<'_>> {
        let mut turns = self.turns();
        let mine = turns.next;
        turns.next += 1;
        turns.waiting.push_back(mine);
        loop {
            if !turns.inside && turns.waiting.front() == Some(&mine) {
                turns.inside = true;
                turns.waiting.pop_front();
                return Ok(Pass { gate: self, lock: None, awaited: false });
            }
            let wait = LOOK.min(patience.remaining());
            if !wait.is_zero() {
                turns = self.freed.wait_timeout(turns, wait).unwrap_or_else(PoisonError::into_inner).0;
                if !turns.inside && turns.waiting.front() == Some(&mine) {
                    continue;
                }
            }
            drop(turns);
            let asked = if patience.expired() { Err(busy("thread")) } else { pause(Duration::ZERO) };
            turns = self.turns();
            if let Err(e) = asked {
                turns.waiting.retain(|n| *n != mine);
                let others = !turns.waiting.is_empty();
                drop(turns);
                self.free(others);
                return Err(e);
            }
        }
    }

    /// The number of the lock's file between two sections.
    #[cfg(test)]
    pub(super) fn left_open(&self) -> Option<std::os::fd::RawFd> {
        use std::os::fd::AsRawFd;
        self.turns().file.as_ref().map(|opened| opened.file.as_raw_fd())
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody is woken where nobody waits: that would be a system call.
    fn free(&self, others: bool) {
        if others {
            self.freed.notify_all();
        }
    }

    fn opened(&self) -> io::Result<Opened> {
        let file = match self.folder.open_file(&self.name, libc::O_RDWR | libc::O_CREAT) {
            // To read a journal no more is needed.
            Err(e) if e.raw_os_error() == Some(libc::EROFS) => {
                self.folder.open_file(&self.name, libc::O_RDONLY)?
            }
            other => other?,
        };
        let id = sys::status(&file)?.id;
        Ok(Opened { _apart: process::not_for_children(file.as_fd()).ok(), id, file })
    }

    fn try_file(&self) -> io::Result<Try> {
        let left_open = self.turns().file.take();
        if let Some(opened) = left_open {
            match self.try_opened(opened)? {
                Try::Held(None) => {}
                tried => return Ok(tried),
            }
        }
        self.try_opened(self.opened()?)
    }

    fn try_opened(&self, opened: Opened) -> io::Result<Try> {
        super::fault("lock", &self.name)?;
        let locked = sys::try_lock(&opened.file);
        let mine = sys::status(&opened.file);
        if mine.as_ref().map(|mine| mine.id).ok() != Some(opened.id) {
            // The number is another file's now, which is not ours to close or to lock.
            if let Ok(true) = locked {
                sys::unlock(&opened.file);
            }
            std::mem::forget(opened.file);
            return Ok(Try::Held(None));
        }
        let mine = mine?;
        // A cleaner may have removed the file: then it keeps nobody out.
        if mine.names == 0 {
            return Ok(Try::Held(None));
        }
        if !locked? {
            return Ok(Try::Held(Some(opened)));
        }
        let awaited = mine.size > 0 && opened.file.set_len(0).is_ok();
        Ok(if awaited { Try::Awaited(opened) } else { Try::Locked(opened) })
    }
}

impl Pass<'_> {
    /// Whether it is this gate's.
    pub(super) fn is_of(&self, gate: &Gate) -> bool {
        std::ptr::eq(self.gate, gate)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let lock = self.lock.take();
        if let Some(lock) = &lock {
            // By name: a child that was made by `clone` inside the section has the file open too.
            sys::unlock(&lock.file);
        }
        let mut turns = self.gate.turns();
        turns.inside = false;
        turns.away = self.awaited.then(|| Deadline::after(AWAY));
        // Where a child would have it, it is opened anew for each section.
        turns.file = lock.filter(|lock| lock._apart.is_some()).or(turns.file.take());
        let others = !turns.waiting.is_empty();
        drop(turns);
        self.gate.free(others);
    }
}

#[cold]
fn busy(who: &str) -> Error {
    Error::new(
        KL_E_JOURNAL_BUSY,
        ["the journal: another ", who, " holds its lock and does not let go"].concat(),
    )
}
