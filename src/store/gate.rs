//! One at a time: threads of this process by turns, processes by a lock on a file, for short sections.
//!
//! The lock's file is opened for each section. A child that is forked between two sections has nothing of it, so it cannot
//! keep a dead parent's lock.
//!
//! A process that waits tries again and again, and would lose against one whose threads follow each other at once. So it
//! makes the lock's file a byte long; who comes in sees that, makes it empty, and stays away for a moment after its section.

use super::failed;
use super::file::{Folder, Stat};
use crate::error::{Error, Result};
use crate::status::*;
use crate::sys;
use crate::time::Deadline;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
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
    pid: u32,
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
}

/// Being inside. Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    /// `None` until the file's lock is held.
    lock: Option<File>,
    /// Another process waits.
    awaited: bool,
}

/// One try to lock the file.
enum Try {
    Locked(File),
    /// It was locked, and another process waits.
    Awaited(File),
    /// Another has it, or removed it; the file, if it is there.
    Held(Option<File>),
}

impl Gate {
    /// The gate of `name`; its lock is the file `name.lock`.
    pub(crate) fn new(folder: Arc<Folder>, name: &str) -> Gate {
        let name = [name, ".lock"].concat();
        Gate { folder, name, pid: std::process::id(), turns: Mutex::default(), freed: Condvar::new() }
    }

    /// Goes in, alone. Waits until `patience` ends (`KL_E_JOURNAL_BUSY`), by the clock; no mutex is held meanwhile. `pause`
    /// waits at most so long and errs once the caller was cancelled; its error is passed on.
    pub(crate) fn enter(
        &self,
        patience: Deadline,
        pause: &dyn Fn(Duration) -> Result<()>,
    ) -> Result<Pass<'_>> {
        if self.pid != std::process::id() {
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
                Ok(Try::Held(file)) => {
                    // Not on a read-only file system: there nobody is kept waiting for long.
                    let _ = file.map(|file| file.set_len(1));
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
                drop(turns);
                self.freed.notify_all();
                return Err(e);
            }
        }
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_file(&self) -> io::Result<Try> {
        let file = match self.folder.open_file(&self.name, libc::O_RDWR | libc::O_CREAT) {
            // To read a journal no more is needed.
            Err(e) if e.raw_os_error() == Some(libc::EROFS) => {
                self.folder.open_file(&self.name, libc::O_RDONLY)?
            }
            other => other?,
        };
        super::fault("lock", &self.name)?;
        if !sys::try_lock(&file)? {
            return Ok(Try::Held(Some(file)));
        }
        // A cleaner may have removed the file that was just locked: then it keeps nobody out.
        let (named, mine) = (self.folder.stat(&self.name)?, Stat::of(&file)?);
        if named.map(|n| n.id) != Some(mine.id) {
            return Ok(Try::Held(None));
        }
        Ok(if mine.size > 0 && file.set_len(0).is_ok() { Try::Awaited(file) } else { Try::Locked(file) })
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
        if let Some(lock) = self.lock.take() {
            // By name: a child that was forked inside the section has the file open too.
            sys::unlock(&lock);
        }
        let mut turns = self.gate.turns();
        turns.inside = false;
        turns.away = self.awaited.then(|| Deadline::after(AWAY));
        drop(turns);
        self.gate.freed.notify_all();
    }
}

#[cold]
fn busy(who: &str) -> Error {
    Error::new(
        KL_E_JOURNAL_BUSY,
        ["the journal: another ", who, " holds its lock and does not let go"].concat(),
    )
}
