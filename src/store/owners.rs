//! Which of the processes that share a journal are alive.
//!
//! Each has a number and holds the POSIX lock on that byte of the file `NAME.owners`. Such a lock ends with the process,
//! however it ends and whoever it has forked, and is lost when the process closes *any* descriptor of the file: so the file is
//! opened once in a process and never closed. A line in it says whose the number is, by a random mark: a second copy of the
//! library in one process, which the lock would not keep out, is told by it.
//!
//! Process ids, start times and boot ids are compared with one's own only; they are never proof of a death.

use super::file::Folder;
use super::gate::Pass;
use super::{failed, random};
use crate::error::{Error, Result};
use crate::log::log_line;
use crate::process::{self, PerProcess};
use crate::status::*;
use crate::sys::{self, Status};
use kiosklink_wire::hex;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

/// How the file begins; the highest number that was given follows.
const HEAD: &str = "kiosklink-owners 1 ";
/// More than this is no owners' file.
const LARGEST: usize = 256 * 1024;

/// The owners' file as this process has it open, for as long as it lives.
struct Opened {
    process: u32,
    id: (u64, u64),
    file: File,
    /// This process's number in it, and the mark beside it.
    mine: Mutex<Option<Mine>>,
}

struct Mine {
    number: u64,
    mark: String,
    /// The file as it was when this process's line was last seen in it.
    seen: Option<Status>,
}

/// Every owners' file that this process has opened. A child begins with none: it has no lock of its parent's either.
static OPENED: PerProcess<Mutex<Vec<&'static Opened>>> = PerProcess::new();

/// The owners of one journal.
pub(crate) struct Owners {
    folder: Arc<Folder>,
    name: String,
    /// The numbers this process has had through this journal; the last one is the present one.
    had: Vec<u64>,
}

/// One line of the file.
struct Line<'a> {
    number: u64,
    mark: &'a str,
    process: &'a str,
}

impl Opened {
    fn mine(&self) -> Option<u64> {
        self.mine.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|mine| mine.number)
    }
}

impl Owners {
    /// Those of the journal `name`. Touches nothing yet.
    pub(crate) fn new(folder: Arc<Folder>, name: &str) -> Owners {
        Owners { folder, name: [name, ".owners"].concat(), had: Vec::new() }
    }

    /// This process's number, if it has one.
    pub(crate) fn own(&self) -> Option<u64> {
        self.had.last().copied()
    }

    /// This process's number, and true if it is new. To be called before every command: the lock is taken again, and if it
    /// or the file was lost, the process gets another number, above `floor` and above every one given before. What it had
    /// begun under the old one is fenced by whoever reads the records.
    pub(crate) fn take(&mut self, _pass: &Pass<'_>, floor: u64) -> Result<(u64, bool)> {
        let taken = self.opened(true).and_then(|opened| match opened {
            Some((opened, now)) => self.take_in(opened, now, floor),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        });
        let (number, fresh) = match taken {
            Ok(Some(taken)) => taken,
            Ok(None) => {
                return Err(Error::new(
                    KL_E_RESOURCE,
                    "the journal: the numbers for its owners are used up, or the system gives no random numbers",
                ));
            }
            Err(e) => {
                return Err(failed("its owner cannot be written down", &self.folder.shown(&self.name), &e));
            }
        };
        if self.own() != Some(number) {
            if let Some(old) = self.own() {
                log_line!(
                    Warn,
                    "the journal: the owner's mark of this process was removed; it was {old} and is now {number}"
                );
            }
            self.had.push(number);
        }
        Ok((number, fresh))
    }

    fn take_in(&self, opened: &Opened, now: Option<Status>, floor: u64) -> io::Result<Option<(u64, bool)>> {
        let mut mine = opened.mine.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(m) = mine.as_ref().filter(|m| now.is_some() && m.seen == now) {
            // Nobody has written to the file since.
            if sys::try_lock_byte(&opened.file, byte(m.number))? {
                return Ok(Some((m.number, false)));
            }
        }
        let text = text(&opened.file)?;
        if let Some(m) = &mut *mine {
            let known = lines(&text).any(|l| l.number == m.number && l.mark == m.mark);
            if known && sys::try_lock_byte(&opened.file, byte(m.number))? {
                m.seen = now;
                return Ok(Some((m.number, false)));
            }
        }
        let Ok(mark) = random::<8>() else { return Ok(None) };
        let mark = hex::lower(&mark);
        let process = this_process();
        let last = lines(&text).map(|l| l.number).max().unwrap_or(0).max(last(&text)).max(floor);
        let mut number = last;
        loop {
            number = match number.checked_add(1).filter(|n| i64::try_from(*n).is_ok()) {
                Some(number) => number,
                None => return Ok(None),
            };
            if sys::try_lock_byte(&opened.file, byte(number))? {
                break;
            }
        }
        let mut fresh = [HEAD, &number.to_string(), "\n"].concat();
        for line in lines(&text).filter(|l| lives(&opened.file, l.number, l.process, &process)) {
            push(&mut fresh, &line);
        }
        push(&mut fresh, &Line { number, mark: &mark, process: &process });
        opened.file.write_all_at(fresh.as_bytes(), 0)?;
        opened.file.set_len(fresh.len() as u64)?;
        *mine = Some(Mine { number, mark, seen: None });
        Ok(Some((number, true)))
    }

    /// Whether that is a number of this process: one that it has had through this journal, or has through another client.
    pub(crate) fn is_own(&self, number: u64) -> bool {
        self.had.contains(&number)
            || self.opened(false).ok().flatten().is_some_and(|(o, _)| o.mine() == Some(number))
    }

    /// Whether the process of this number lives. One that cannot be asked for counts as living: its commands stay under way.
    pub(crate) fn alive(&self, _pass: &Pass<'_>, number: u64) -> bool {
        if self.had.contains(&number) {
            return true;
        }
        let look = || {
            let Some((opened, _)) = self.opened(false)? else { return Ok(false) };
            if opened.mine() == Some(number) || sys::byte_holder(&opened.file, byte(number))?.is_some() {
                return Ok(true);
            }
            let text = text(&opened.file)?;
            let line = lines(&text).find(|l| l.number == number);
            Ok::<_, io::Error>(line.is_some_and(|l| is_this(l.process, &this_process())))
        };
        look().unwrap_or(true)
    }

    /// In words who holds that number, for a technician: a process's id, as far as it can be known.
    pub(crate) fn holder(&self, _pass: &Pass<'_>, number: u64) -> String {
        let held = self
            .opened(false)
            .ok()
            .flatten()
            .and_then(|(o, _)| sys::byte_holder(&o.file, byte(number)).ok()?);
        match held {
            Some(0) => "a process of another container".to_owned(),
            // A child that shares the descriptors of a dead process holds its locks under the dead one's id.
            Some(pid) => ["process ", &pid.to_string(), " or one that shares its files"].concat(),
            None => String::new(),
        }
    }

    /// The file that has the name now, and how it is, if it was open. It is opened once in a process: to close it would lose
    /// the lock.
    fn opened(&self, make: bool) -> io::Result<Option<(&'static Opened, Option<Status>)>> {
        let process = process::check();
        let known = |id: (u64, u64)| {
            let all = OPENED.get().lock().unwrap_or_else(PoisonError::into_inner);
            all.iter().copied().find(|o| o.process == process && o.id == id)
        };
        let now = self.folder.stat(&self.name)?;
        if let Some(opened) = now.and_then(|s| known(s.id)) {
            return Ok(Some((opened, now)));
        }
        let flags = if make { libc::O_RDWR | libc::O_CREAT } else { libc::O_RDWR };
        let file = match self.folder.open_file(&self.name, flags) {
            Ok(file) => file,
            Err(e) if !make && e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) if !make && e.raw_os_error() == Some(libc::EROFS) => {
                self.folder.open_file(&self.name, libc::O_RDONLY)?
            }
            Err(e) => return Err(e),
        };
        let id = match sys::status(&file) {
            Ok(status) => status.id,
            Err(e) => {
                std::mem::forget(file);
                return Err(e);
            }
        };
        if let Some(opened) = known(id) {
            // Opened meanwhile for another client: not to be closed.
            std::mem::forget(file);
            return Ok(Some((opened, None)));
        }
        let opened: &'static Opened =
            Box::leak(Box::new(Opened { process, id, file, mine: Mutex::new(None) }));
        OPENED.get().lock().unwrap_or_else(PoisonError::into_inner).push(opened);
        Ok(Some((opened, None)))
    }
}

/// The byte that stands for a number. Two numbers that share one are a thousand million apart.
fn byte(number: u64) -> u32 {
    (number & 0x3fff_ffff) as u32
}

fn text(file: &File) -> io::Result<String> {
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(LARGEST).min(LARGEST)];
    let mut got = 0;
    while got < bytes.len() {
        match file.read_at(&mut bytes[got..], got as u64) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(got);
    Ok(String::from_utf8(bytes).unwrap_or_default())
}

fn last(text: &str) -> u64 {
    text.lines().next().and_then(|l| l.strip_prefix(HEAD)?.parse().ok()).unwrap_or(0)
}

/// The lines that are whole.
fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().skip(1).filter_map(|line| {
        let mut parts = line.splitn(3, ' ');
        let number = parts.next()?.parse().ok()?;
        let mark = parts.next()?;
        Some(Line { number, mark, process: parts.next()? })
    })
}

fn push(out: &mut String, line: &Line<'_>) {
    out.push_str(&[&line.number.to_string(), " ", line.mark, " ", line.process, "\n"].concat());
}

fn lives(file: &File, number: u64, process: &str, this: &str) -> bool {
    !matches!(sys::byte_holder(file, byte(number)), Ok(None)) || is_this(process, this)
}

/// Whether a line is of a second copy of the library in this very process. A lock of one's own is shown to nobody.
fn is_this(process: &str, this: &str) -> bool {
    !this.is_empty() && process == this
}

/// Process id, start time, PID namespace and boot id; empty if not all of them can be known.
fn this_process() -> String {
    let known = || {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // Behind the command's name, which may hold anything: the state is the third field, the start time the 22nd.
        let start = stat.get(stat.rfind(')')? + 2..)?.split(' ').nth(19)?.to_owned();
        let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
        let boot = process::boot_id();
        let parts = [&std::process::id().to_string(), " ", &start, " ", namespace.to_str()?, " ", boot];
        (!boot.is_empty()).then(|| parts.concat())
    };
    known().unwrap_or_default()
}

/// What a second copy of the library in this process would see: its own table of open files, which is empty.
#[cfg(test)]
pub(super) fn forget_all_in(folder: &Folder, name: &str) {
    let id = folder.stat(&[name, ".owners"].concat()).unwrap().unwrap().id;
    OPENED.get().lock().unwrap().retain(|o| o.id != id);
}

/// The table in a thread's hand, for a test that forks meanwhile.
#[cfg(test)]
pub(crate) fn table_in_hand() -> impl Drop {
    OPENED.get().lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a thread of this process would wait for it.
#[cfg(test)]
pub(crate) fn table_is_free() -> bool {
    OPENED.get().try_lock().is_ok()
}
