//! The crash-safe file under the commands: one record a line, appended and never changed, its format in
//! `docs/journal.md`.
//!
//! Here is what concerns the file: its lock between processes, damage, a torn tail, replacing it whole. What the
//! records mean is known to [`crate::command`] alone.
//!
//! Every append happens under an advisory lock, after reading what other processes have appended. So a tail that is
//! not whole was left by somebody who died in the middle; nothing was sent on the strength of it, and it is cut off.

use crate::error::{Advice, Error, Result};
use crate::json::{Json, Writer};
use crate::log::log_line;
use crate::status::*;
use crate::sys;
use crate::time::Deadline;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The form of the file. A library refuses a higher number than its own.
const VERSION: i64 = 1;
/// How the first record calls itself.
const HEAD: &str = "kiosklink-journal";
/// The file is written anew when it has grown to this.
pub(crate) const COMPACT_AT: u64 = 208 * 1024;
/// Settled commands are kept, the newest first, within this.
pub(crate) const KEEP: usize = 144 * 1024;
/// Nothing is appended beyond this: so many commands are unsettled.
pub(crate) const LARGEST: u64 = 256 * 1024;
/// How often a lock that another process holds is tried.
const LOCK_PAUSE: Duration = Duration::from_millis(2);
/// The lock is held for microseconds, and for a few syncs while the file is written anew.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// A record that reached the disk only in parts has a hole of at least this many zeroes.
const HOLE: &[u8] = &[0; 8];

/// What is read from the file.
pub(crate) enum Found<'a> {
    /// Everything read before is void: the file is another one now.
    Anew,
    /// The next record.
    Record(Json<'a>),
}

/// One account's journal. Used by one thread at a time.
pub(crate) struct Journal {
    folder: PathBuf,
    name: String,
    account: String,
    pid: u32,
    lock: Option<File>,
    open: Option<Open>,
    owner: Option<(u64, File)>,
    boot: Option<String>,
    damage: Option<String>,
    /// The highest number of a file that is gone.
    floor: u64,
    /// Something was appended after the last intent.
    dirty: bool,
}

struct Open {
    file: Arc<File>,
    read_only: bool,
    id: (u64, u64),
    /// Up to here everything is read and whole.
    read_to: u64,
    /// The last whole record lacks the end of its line.
    newline_owed: bool,
    lines: u64,
    /// The number of the last record.
    last: u64,
}

impl Journal {
    /// The journal of this name. Touches nothing yet.
    pub(crate) fn new(folder: PathBuf, name: String, account: String) -> Journal {
        Journal {
            folder,
            name,
            account,
            pid: std::process::id(),
            lock: None,
            open: None,
            owner: None,
            boot: None,
            damage: None,
            floor: 0,
            dirty: false,
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.file(".journal")
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.folder.join([&self.name, ending].concat())
    }

    /// How long it is, in bytes; 0 before the first record.
    pub(crate) fn size(&self) -> u64 {
        self.open.as_ref().map_or(0, |o| o.read_to)
    }

    /// The number for the next record.
    pub(crate) fn next(&self) -> u64 {
        self.open.as_ref().map_or(0, |o| o.last).max(self.floor) + 1
    }

    /// What is wrong in the middle of the file, if anything is.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Takes the lock and reads what is new. [`Journal::leave`] must follow, also after an error.
    pub(crate) fn enter(&mut self, deadline: Deadline, found: &mut dyn FnMut(Found<'_>)) -> Result<()> {
        if self.pid != std::process::id() {
            // The lock is the parent's: it would not keep the two apart.
            return Err(Error::new(KL_E_FORKED, "the journal was opened before a fork; make a new client"));
        }
        if self.lock.is_none() {
            let path = self.file(".lock");
            let open = |write: bool| {
                let mut options = OpenOptions::new();
                options.read(true).write(write).create(write).mode(0o600).custom_flags(libc::O_NOFOLLOW);
                options.open(&path)
            };
            self.lock = Some(
                open(true)
                    // To read a journal no more is needed.
                    .or_else(|e| if e.raw_os_error() == Some(libc::EROFS) { open(false) } else { Err(e) })
                    .map_err(|e| failed("its lock cannot be opened", &path, &e))?,
            );
        }
        let Some(lock) = &self.lock else { return Ok(()) };
        let mut waited = Duration::ZERO;
        loop {
            match sys::try_lock(lock) {
                Ok(true) => break,
                Ok(false) if waited >= LOCK_PATIENCE || deadline.expired() => {
                    return Err(Error::new(
                        KL_E_JOURNAL_BUSY,
                        "the journal: another process holds its lock and does not let go",
                    ));
                }
                Ok(false) => {
                    std::thread::sleep(LOCK_PAUSE);
                    waited += LOCK_PAUSE;
                }
                Err(e) => return Err(failed("it cannot be locked", &self.file(".lock"), &e)),
            }
        }
        self.catch_up(found)
    }

    /// Gives the lock back.
    pub(crate) fn leave(&self) {
        if let Some(lock) = &self.lock {
            sys::unlock(lock);
        }
    }

    fn catch_up(&mut self, found: &mut dyn FnMut(Found<'_>)) -> Result<()> {
        let path = self.path();
        let on_disk = match fs::symlink_metadata(&path) {
            Ok(m) => m,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                // Not there yet, or taken away: what is known is written anew with the next record.
                self.floor = self.next() - 1;
                self.open = None;
                self.damage = None;
                return Ok(());
            }
            Err(e) => return Err(failed("it cannot be read", &path, &e)),
        };
        let id = (on_disk.dev(), on_disk.ino());
        if self.open.as_ref().is_none_or(|o| o.id != id) {
            let mine = sys::effective_user();
            if on_disk.uid() != mine {
                return Err(Error::new(
                    KL_E_JOURNAL_OWNER,
                    format!(
                        "the journal: {} belongs to user {}, and this is user {mine}: run as its owner",
                        path.display(),
                        on_disk.uid()
                    ),
                ));
            }
            let open = |write: bool| {
                OpenOptions::new().read(true).write(write).custom_flags(libc::O_NOFOLLOW).open(&path)
            };
            let (file, read_only) = match open(true) {
                Err(e) if e.raw_os_error() == Some(libc::EROFS) => (open(false), true),
                other => (other, false),
            };
            let file = file.map_err(|e| failed("it cannot be opened", &path, &e))?;
            self.open = Some(Open {
                file: Arc::new(file),
                read_only,
                id,
                read_to: 0,
                newline_owed: false,
                lines: 0,
                last: 0,
            });
            self.damage = None;
            found(Found::Anew);
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        let mut bytes = Vec::new();
        read_from(&open.file, open.read_to, &mut bytes)
            .map_err(|e| failed("it cannot be read", &path, &e))?;
        let outcome = open.take(&bytes, &self.account, &mut self.damage, found);
        if outcome.is_err() {
            // Of a file that must not be read nothing was read.
            self.open = None;
        }
        outcome
    }

    /// Appends a record, with the lock held. `everything` gives all that is known, should the file have to be made.
    /// What it returns is to be synced before the record may be relied upon.
    pub(crate) fn append(&mut self, record: &str, everything: &dyn Fn() -> Vec<String>) -> Result<Arc<File>> {
        self.sound()?;
        if self.open.is_none() {
            self.replace(&everything())?;
        }
        let (path, number) = (self.path(), self.next());
        let Some(open) = &mut self.open else {
            return Err(Error::new(KL_E_INTERNAL, "the journal was made and is not open"));
        };
        if open.read_only {
            let e = io::Error::from_raw_os_error(libc::EROFS);
            return Err(failed("it cannot be written", &path, &e));
        }
        let mut text = String::with_capacity(record.len() + 24);
        if open.newline_owed {
            text.push('\n');
        }
        push_line(&mut text, record);
        if open.read_to + text.len() as u64 > LARGEST + COMPACT_AT {
            return Err(Error::new(KL_E_JOURNAL_FULL, "the journal: it has reached its bound"));
        }
        let written = (|| {
            if open.file.metadata()?.len() != open.read_to {
                open.file.set_len(open.read_to)?;
            }
            open.file.write_all_at(text.as_bytes(), open.read_to)
        })();
        if let Err(e) = written {
            // Half a record must not stay in front of the next one. If this fails too, the next append does it.
            let _ = open.file.set_len(open.read_to);
            return Err(failed("it cannot be written", &path, &e));
        }
        open.read_to += text.len() as u64;
        open.newline_owed = false;
        open.lines += 1;
        open.last = number;
        self.dirty = true;
        Ok(open.file.clone())
    }

    /// Writes the file anew, whole or not at all, with the lock held.
    pub(crate) fn replace(&mut self, records: &[String]) -> Result<()> {
        self.sound()?;
        let (path, temp) = (self.path(), self.file(".journal.new"));
        let mut text = String::new();
        let mut head = Writer::new();
        head.int("n", 0).text("k", HEAD).int("version", VERSION).text("account", &self.account);
        push_line(&mut text, &head.finish());
        for record in records {
            push_line(&mut text, record);
        }
        let last = self.next() - 1;
        let write = || {
            // What a crash left behind.
            fs::remove_file(&temp).or_else(|e| match e.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(e),
            })?;
            let mut file =
                OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&temp)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temp, &path)?;
            File::open(&self.folder)?.sync_all()?;
            let m = file.metadata()?;
            Ok((file, (m.dev(), m.ino())))
        };
        match write() {
            Ok((file, id)) => {
                self.open = Some(Open {
                    file: Arc::new(file),
                    read_only: false,
                    id,
                    read_to: text.len() as u64,
                    newline_owed: false,
                    lines: 1 + records.len() as u64,
                    last,
                });
                Ok(())
            }
            Err(e) => {
                let _ = fs::remove_file(&temp);
                Err(failed("it cannot be written anew", &path, &e))
            }
        }
    }

    /// The file, if something was appended that was not synced since.
    pub(crate) fn unsynced(&mut self) -> Option<Arc<File>> {
        let open = self.open.as_ref().filter(|_| std::mem::take(&mut self.dirty))?;
        Some(open.file.clone())
    }

    /// Puts a damaged file aside and writes what could be read of it, with the lock held. Gives the name of the old one.
    pub(crate) fn repair(&mut self, records: &[String]) -> Result<PathBuf> {
        let path = self.path();
        let mut k = 1;
        let aside = loop {
            let aside = self.file(&format!(".journal.damaged-{k}"));
            if !aside.exists() {
                break aside;
            }
            k += 1;
        };
        // A second name first: at no moment is there no journal.
        fs::hard_link(&path, &aside)
            .or_else(|_| fs::copy(&path, &aside).map(drop))
            .map_err(|e| failed("the damaged one cannot be put aside", &aside, &e))?;
        let damage = self.damage.take();
        self.replace(records).inspect_err(|_| self.damage = damage)?;
        Ok(aside)
    }

    fn sound(&self) -> Result<()> {
        match &self.damage {
            None => Ok(()),
            Some(what) => Err(Error::new(
                KL_E_JOURNAL_DAMAGED,
                format!(
                    "the journal: {} is damaged: {what}; nothing is sent before it is repaired",
                    self.name
                ),
            )
            .with(|d| d.advice = Advice::CallPerson)),
        }
    }

    /// The number of this process among those that share the journal, with the lock held. Its file stays locked for as
    /// long as the process lives, however it ends.
    pub(crate) fn owner(&mut self) -> Result<u64> {
        if let Some((number, _)) = &self.owner {
            return Ok(*number);
        }
        let prefix = [&self.name, ".owner-"].concat();
        let mut highest = 0;
        let entries =
            fs::read_dir(&self.folder).map_err(|e| failed("it cannot be read", &self.folder, &e))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(number) = name.to_str().and_then(|n| n.strip_prefix(&prefix)?.parse::<u64>().ok())
            else {
                continue;
            };
            highest = highest.max(number);
            if !self.alive(number) {
                let _ = fs::remove_file(entry.path());
            }
        }
        // Higher than any in the records too: a number is never given twice.
        let number = highest.max(self.next()) + 1;
        let path = self.owner_file(number);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|file| {
                if sys::try_lock(&file)? { Ok(file) } else { Err(io::Error::from(io::ErrorKind::WouldBlock)) }
            })
            .map_err(|e| failed("it cannot be used", &path, &e))?;
        self.owner = Some((number, file));
        Ok(number)
    }

    /// This process's number, if it has one.
    pub(crate) fn own(&self) -> Option<u64> {
        self.owner.as_ref().map(|(number, _)| *number)
    }

    fn owner_file(&self, number: u64) -> PathBuf {
        self.file(&format!(".owner-{number}"))
    }

    /// Whether that process lives, with the lock held. One that cannot be asked for counts as living: its commands stay
    /// under way.
    pub(crate) fn alive(&self, number: u64) -> bool {
        if self.own() == Some(number) {
            return true;
        }
        match OpenOptions::new().read(true).open(self.owner_file(number)) {
            Ok(file) => !matches!(sys::try_lock(&file), Ok(true)),
            Err(e) => e.kind() != io::ErrorKind::NotFound,
        }
    }

    /// What tells one start of the system from another; empty if it cannot be known.
    pub(crate) fn boot(&mut self) -> &str {
        self.boot.get_or_insert_with(|| {
            let id = crate::process::boot_id();
            if id.is_empty() {
                log_line!(Warn, "the system's boot id cannot be read");
            }
            id.to_owned()
        })
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Some((number, _)) = self.owner.as_ref().filter(|_| self.pid == std::process::id()) {
            let _ = fs::remove_file(self.owner_file(*number));
        }
    }
}

impl Open {
    /// Takes the records out of what stands behind `read_to`.
    fn take(
        &mut self,
        bytes: &[u8],
        account: &str,
        damage: &mut Option<String>,
        found: &mut dyn FnMut(Found<'_>),
    ) -> Result<()> {
        let mut rest = bytes;
        if self.newline_owed {
            match rest {
                // Another process has written what was owed.
                [b'\n', ..] => {
                    rest = &rest[1..];
                    self.read_to += 1;
                    self.newline_owed = false;
                }
                _ => return Ok(()),
            }
        }
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let (line, behind) = (&rest[..end], &rest[end + 1..]);
            match self.whole(line, account, found) {
                Ok(true) => {}
                Ok(false) if behind.is_empty() && line.windows(HOLE.len()).any(|w| w == HOLE) => {
                    return Ok(());
                }
                Ok(false) => {
                    self.lines += 1;
                    if damage.is_none() {
                        *damage = Some(format!("line {} (byte {})", self.lines, self.read_to));
                    }
                }
                Err(e) => return Err(e),
            }
            self.read_to += end as u64 + 1;
            rest = behind;
        }
        // The end of the last line may be all that is missing, or wrong.
        for cut in [0, 1] {
            let Some(line) = rest.len().checked_sub(cut).map(|n| &rest[..n]) else { break };
            if !line.is_empty() && self.whole(line, account, found)? {
                self.read_to += line.len() as u64;
                self.newline_owed = true;
                break;
            }
        }
        Ok(())
    }

    /// Hands out one record; false if the line is none.
    fn whole(&mut self, line: &[u8], account: &str, found: &mut dyn FnMut(Found<'_>)) -> Result<bool> {
        let Some(json) = checked(line) else { return Ok(false) };
        let Ok(json) = Json::parse(json) else { return Ok(false) };
        let Ok(object) = json.object() else { return Ok(false) };
        let number = object.int(&["n"]).ok().flatten().unwrap_or(-1);
        let kind = object.string(&["k"]).ok().flatten().unwrap_or_default();
        if kind == HEAD {
            let version = object.int(&["version"]).ok().flatten().unwrap_or(0);
            if version > VERSION {
                return Err(Error::new(
                    KL_E_JOURNAL_VERSION,
                    format!(
                        "the journal: it was written by a newer library, in form {version}; this one knows {VERSION}"
                    ),
                ));
            }
            let whose = object.string(&["account"]).ok().flatten().unwrap_or_default();
            if whose != account {
                return Err(Error::new(
                    KL_E_JOURNAL,
                    format!("the journal: it belongs to the account {whose}, not to {account}"),
                ));
            }
            self.lines += 1;
            return Ok(self.lines == 1);
        }
        // Numbers only grow: anything else is a block from elsewhere.
        let Ok(number) = u64::try_from(number) else { return Ok(false) };
        if number <= self.last {
            return Ok(false);
        }
        self.last = number;
        self.lines += 1;
        found(Found::Record(json));
        Ok(true)
    }
}

/// Syncs what was appended and says how long it took.
pub(crate) fn sync(file: &File, path: &Path) -> Result<Duration> {
    let start = std::time::Instant::now();
    file.sync_data().map_err(|e| failed("it cannot be synced", path, &e))?;
    Ok(start.elapsed())
}

fn read_from(file: &File, mut at: u64, into: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 8192];
    loop {
        match file.read_at(&mut chunk, at) {
            Ok(0) => return Ok(()),
            Ok(n) => {
                into.extend_from_slice(&chunk[..n]);
                at += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// `<crc32> <length> <json>`: the sum covers the length too.
fn push_line(out: &mut String, json: &str) {
    let body = format!("{:x} {json}", json.len());
    out.push_str(&format!("{:08x} ", crc32(body.as_bytes())));
    out.push_str(&body);
    out.push('\n');
}

/// The JSON of a line, if the line is whole.
fn checked(line: &[u8]) -> Option<&[u8]> {
    let (sum, body) = line.split_at_checked(8)?;
    let body = body.strip_prefix(b" ")?;
    if sum != format!("{:08x}", crc32(body)).as_bytes() {
        return None;
    }
    let space = body.iter().position(|b| *b == b' ')?;
    let length = usize::from_str_radix(std::str::from_utf8(&body[..space]).ok()?, 16).ok()?;
    Some(&body[space + 1..]).filter(|json| json.len() == length)
}

/// The CRC of Ethernet and zip. A few hundred bytes a command: no table is worth its kilobyte.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |mut crc: u32, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ 0xEDB8_8320 & (crc & 1).wrapping_neg();
        }
        crc
    })
}

/// Each cause has its own code, so that a kiosk can show the right sign.
fn failed(what: &str, path: &Path, cause: &io::Error) -> Error {
    let status = match cause.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG) => KL_E_JOURNAL_FULL,
        Some(libc::EROFS) => KL_E_JOURNAL_READ_ONLY,
        Some(libc::EACCES | libc::EPERM) => KL_E_JOURNAL_OWNER,
        _ => KL_E_JOURNAL,
    };
    Error::os(status, format!("the journal: {what}: {}", path.display()), cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> (Vec<i64>, Option<String>, u64) {
        let mut open = Open {
            file: Arc::new(File::open("/dev/null").unwrap()),
            read_only: true,
            id: (0, 0),
            read_to: 0,
            newline_owed: false,
            lines: 0,
            last: 0,
        };
        let (mut seen, mut damage) = (Vec::new(), None);
        open.take(bytes, "a", &mut damage, &mut |found| {
            if let Found::Record(json) = found {
                seen.push(json.object().unwrap().int(&["n"]).unwrap().unwrap());
            }
        })
        .unwrap();
        (seen, damage, open.read_to)
    }

    fn sample() -> Vec<u8> {
        let mut text = String::new();
        push_line(&mut text, r#"{"n":0,"k":"kiosklink-journal","version":1,"account":"a"}"#);
        for n in 1..=5 {
            push_line(&mut text, &format!(r#"{{"n":{n},"k":"end","id":"visit-{n}","message":"门\n{n}"}}"#));
        }
        text.into_bytes()
    }

    #[test]
    fn the_sum_is_the_one_of_ethernet() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn a_tail_cut_anywhere_loses_only_the_record_that_was_cut() {
        let whole = sample();
        let mut ends = Vec::new();
        for (i, b) in whole.iter().enumerate() {
            if *b == b'\n' {
                ends.push(i);
            }
        }
        for cut in 0..=whole.len() {
            let (seen, damage, read_to) = lines(&whole[..cut]);
            // A record counts as soon as its last byte is there, its newline or not.
            let complete = ends.iter().filter(|end| cut >= **end).count();
            assert_eq!(seen.len(), complete.saturating_sub(1), "cut at {cut}");
            assert_eq!(damage, None, "cut at {cut}");
            assert!(read_to <= cut as u64);
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed_and_costs_no_other_record() {
        let whole = sample();
        let last_newline = whole.len() - 1;
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (seen, damage, _) = lines(&bytes);
            let broken = whole[..bit / 8].iter().filter(|b| **b == b'\n').count();
            if bit / 8 == last_newline {
                assert_eq!((seen.len(), damage), (5, None), "bit {bit}");
                continue;
            }
            assert!(damage.is_some(), "bit {bit} went unnoticed");
            // The end of a line takes the next one with it.
            let width = if whole[bit / 8] == b'\n' { 2 } else { 1 };
            let expected: Vec<i64> =
                (1..=5).filter(|n| !(broken..broken + width).contains(&(*n as usize))).collect();
            assert_eq!(seen, expected, "bit {bit}");
        }
    }

    #[test]
    fn a_tail_with_a_hole_is_torn_and_a_hole_before_a_record_is_damage() {
        let mut bytes = sample();
        let start = bytes.len();
        let mut text = String::new();
        push_line(&mut text, r#"{"n":6,"k":"intent","id":"visit-6"}"#);
        let mut record = text.into_bytes();
        record[3..20].fill(0);
        bytes.extend_from_slice(&record);
        assert_eq!(lines(&bytes), (vec![1, 2, 3, 4, 5], None, start as u64));
        bytes.extend_from_slice(&sample()[start - 20..]);
        assert!(lines(&bytes).1.is_some());
        // Zeroes to the end of the block.
        let mut bytes = sample();
        bytes.extend_from_slice(&[0; 300]);
        assert_eq!(lines(&bytes), (vec![1, 2, 3, 4, 5], None, start as u64));
    }

    #[test]
    fn a_record_from_elsewhere_is_damage() {
        let mut bytes = sample();
        let mut text = String::new();
        push_line(&mut text, r#"{"n":3,"k":"end","id":"visit-3"}"#);
        bytes.extend_from_slice(text.as_bytes());
        let (seen, damage, _) = lines(&bytes);
        assert_eq!(seen, [1, 2, 3, 4, 5]);
        assert!(damage.is_some());
    }
}
