//! The crash-safe file under the commands: one record a line, appended and never changed, its format in
//! `docs/journal.md`.
//!
//! Every append happens inside the [`Gate`], after reading what other processes have appended. So a tail that is not whole
//! was left by somebody who died in the middle; nothing was sent on the strength of it, and it is cut off. Anything else
//! that is wrong is damage, and damage is looked at twice before it is believed.

use super::file::Folder;
use super::gate::{Gate, Pass};
use super::identity::{Fit, Found as FoundIdentity, HighWater, Identity, Kept, Machine};
use super::owners::Owners;
use super::{failed, random, unhex};
use crate::error::{Advice, Error, Result};
use crate::json::{Json, Writer};
use crate::log::log_line;
use crate::status::*;
use crate::switch::off;
use crate::sys::{self, Status};
use kiosklink_wire::fields::{Line, line, number_of, push_line};
use kiosklink_wire::hex;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The form of the file. A library refuses a higher number than its own.
const VERSION: i64 = 4;
/// Whether an open file still begins as it did is looked at again after this, in milliseconds.
const LOOK_AGAIN: u64 = 1000;
/// How the first record calls itself.
const HEAD: &str = "kiosklink-journal";
/// Nothing is appended beyond this. When to write the file anew is the caller's to say.
pub(crate) const LARGEST: u64 = 4 * 1024 * 1024;
/// A record that reached the disk only in parts has a hole of at least this many zeroes.
const HOLE: &[u8] = &[0; 8];
/// The head is looked for within this, should the first copy be damaged.
const HEAD_WITHIN: usize = 8 * 1024;
/// The high-water mark is written once in so many records.
const MARK_EVERY: u64 = 32;
/// An adopted journal's numbers begin so far above every number that is known: the mark may lag behind.
const JUMP: u64 = 10_000;

/// What is read from the file.
pub(crate) enum Found<'a> {
    /// Everything read before is void: the file is another one now.
    Anew,
    /// The next record.
    Record(&'a str),
}

/// One account's journal. Used by one thread at a time, inside its gate.
pub(crate) struct Journal {
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    account: String,
    owners: Owners,
    machine: Machine,
    identity: Option<Arc<Identity>>,
    /// Why what is there is not the journal that was left here.
    trouble: Option<(kl_status, String)>,
    judged: bool,
    fit: Fit,
    open: Option<Open>,
    damage: Option<String>,
    /// Numbers begin above this.
    floor: u64,
    /// The high-water mark as it was last written.
    marked: u64,
    low: u64,
}

/// What a journal and its syncs share.
struct Shared {
    folder: Arc<Folder>,
    name: String,
    /// Of the file itself.
    journal: String,
    /// A write or sync failed: what the file says is not to be relied upon.
    poisoned: AtomicBool,
    /// And the mark that tells others of it could not be made.
    unmarked: AtomicBool,
    /// The number of the last record that was synced, as far as this process knows.
    synced: Mutex<u64>,
    /// One thread syncs at a time: what the others appended meanwhile is done by the next one for all of them.
    syncing: Mutex<()>,
}

/// An open file, and the number of the last record that this process knows to be in it.
struct Held {
    file: File,
    last: Mutex<u64>,
}

/// A file with records that are not synced yet. Used with no lock held.
pub(crate) struct SyncHandle {
    shared: Arc<Shared>,
    held: Arc<Held>,
    last: u64,
}

/// What was found after a sync.
#[derive(Default)]
pub(crate) struct Synced {
    /// How long it took; nothing if another thread's sync covered it.
    pub(crate) took: Option<Duration>,
    /// The file as it then was.
    now: Option<Status>,
}

impl Synced {
    /// What made records durable was no file of ours, and took this long.
    pub(crate) fn elsewhere(took: Duration) -> Synced {
        Synced { took: Some(took), now: None }
    }
}

/// How a journal does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Info {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// How long it is, in bytes; 0 before the first record.
    pub(crate) bytes: u64,
    /// What is wrong in the middle of the file; empty if nothing is.
    pub(crate) damage: String,
    /// `KL_E_JOURNAL_MISSING`, `_OLDER`, `_COPIED`, or `KL_OK`.
    pub(crate) trouble: kl_status,
    /// The same in words.
    pub(crate) trouble_words: String,
    /// A write or sync failed; the file is written anew with the next record.
    pub(crate) poisoned: bool,
    /// Which installation this is, in hexadecimal digits; empty before the first record.
    pub(crate) installation: String,
    /// Grows with every adoption; 0 before the first record.
    pub(crate) epoch: u32,
    /// It is bound to this machine: a copy on another one would be noticed.
    pub(crate) bound: bool,
    /// What the folder lies on, in words.
    pub(crate) file_system: String,
}

/// The head of a file.
#[derive(Clone)]
struct Head {
    json: String,
    generation: u64,
    installation: [u8; 16],
    epoch: u32,
    print_key: [u8; 32],
    /// The highest number when the file was written.
    at: u64,
    low: u64,
}

struct Open {
    held: Arc<Held>,
    read_only: bool,
    id: (u64, u64),
    head: Option<Head>,
    /// The bytes by which it begins, and when they were compared last.
    begins: Vec<u8>,
    looked: u64,
    /// Its length when this process came in: more than is read is a torn tail.
    size: u64,
    /// Up to here everything is read.
    read_to: u64,
    /// The number of the last record that was read; in a file written anew they begin below the head's.
    seen: u64,
    /// The highest number that was given.
    last: u64,
}

impl Shared {
    fn file(&self, ending: &str) -> String {
        [&self.name, ending].concat()
    }

    fn shown(&self) -> String {
        self.folder.shown(&self.journal)
    }

    fn cannot_read(&self, e: &io::Error) -> Error {
        failed("it cannot be read", &self.shown(), e)
    }

    /// Tells every process that what the file says is not to be relied upon.
    fn poison(&self, why: &str) {
        self.poisoned.store(true, Ordering::SeqCst);
        log_line!(Error, "the journal: {why}; it is written anew before the next command");
        let mark = self.file(".poison");
        // A second name of the file itself: whoever looks at the file sees by the number of its names that it has one.
        let made = self.folder.remove(&mark).and_then(|()| self.folder.link(&self.journal, &mark));
        let made = made.or_else(|_| self.folder.open_file(&mark, libc::O_WRONLY | libc::O_CREAT).map(drop));
        if let Err(e) = made {
            self.unmarked.store(true, Ordering::SeqCst);
            log_line!(Error, "the journal: other processes cannot be told of it: {e}");
        }
    }

    /// The number of the last record that was synced. Behind a lock: small cores have no atomics of 64 bits.
    fn synced(&self) -> u64 {
        *self.synced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_synced(&self, last: u64) {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        *synced = last.max(*synced);
    }

    /// `now`: the file as it was just found.
    fn is_poisoned(&self, now: Option<&Status>) -> io::Result<bool> {
        if off("poison") {
            return Ok(false);
        }
        // Where a file has one name only, the mark is a file of its own, and is looked for.
        let unnamed = |now: &Status| now.names < 2 && self.folder.kind().links();
        Ok(self.poisoned.load(Ordering::SeqCst) || !now.is_some_and(unnamed) && self.is_marked()?)
    }

    fn is_marked(&self) -> io::Result<bool> {
        Ok(self.folder.stat(&self.file(".poison"))?.is_some())
    }

    fn heal(&self) -> io::Result<()> {
        self.folder.remove(&self.file(".poison"))?;
        self.unmarked.store(false, Ordering::SeqCst);
        self.poisoned.store(false, Ordering::SeqCst);
        Ok(())
    }
}

impl SyncHandle {
    /// Makes durable what was appended before the handle was made. After an error nothing of it may be relied upon: the file
    /// is poisoned for every process.
    pub(crate) fn sync(&self) -> Result<Synced> {
        let shared = &self.shared;
        let turn = shared.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut took = None;
        // Whoever waited for its turn may have been waited for: the sync before it was not begun before it came.
        if shared.synced() < self.last {
            let start = Instant::now();
            let last = *self.held.last.lock().unwrap_or_else(PoisonError::into_inner);
            let synced = super::fault("sync-data", &shared.name).and_then(|()| self.held.file.sync_data());
            if let Err(e) = synced {
                shared.poison("it cannot be synced");
                return Err(failed("it cannot be synced", &shared.shown(), &e));
            }
            took = Some((start.elapsed(), last));
        }
        // Somebody else may have heard of an error that this sync was not told of: the system tells it once.
        let now = shared.folder.stat(&shared.journal).map_err(|e| shared.cannot_read(&e))?;
        match shared.is_poisoned(now.as_ref()) {
            Ok(false) => {}
            Ok(true) => {
                return Err(Error::new(
                    KL_E_JOURNAL,
                    "the journal: another write or sync of it failed meanwhile; it is written anew before the next command",
                ));
            }
            Err(e) => return Err(shared.cannot_read(&e)),
        }
        if let Some((_, last)) = took {
            shared.note_synced(last);
        }
        drop(turn);
        Ok(Synced { took: took.map(|(took, _)| took), now })
    }
}

impl Journal {
    /// The journal of this name. Touches nothing yet. Not to be used by a forked child.
    pub(crate) fn new(folder: Arc<Folder>, name: &str, account: &str) -> Journal {
        Journal::on_machine(folder, name, account, Machine::read(Path::new("/")))
    }

    /// The same on a machine of one's choice.
    pub(super) fn on_machine(folder: Arc<Folder>, name: &str, account: &str, machine: Machine) -> Journal {
        Journal {
            gate: Arc::new(Gate::new(folder.clone(), name)),
            owners: Owners::new(folder.clone(), name),
            shared: Arc::new(Shared {
                folder,
                name: name.to_owned(),
                journal: [name, ".journal"].concat(),
                poisoned: AtomicBool::new(false),
                unmarked: AtomicBool::new(false),
                synced: Mutex::new(0),
                syncing: Mutex::new(()),
            }),
            account: account.to_owned(),
            machine,
            identity: None,
            trouble: None,
            judged: false,
            fit: Fit::Unbound,
            open: None,
            damage: None,
            floor: 0,
            marked: 0,
            low: 0,
        }
    }

    /// What is to be entered before anything else is called here. Kept apart, so that the journal's own lock need not be
    /// held while it is waited for.
    pub(crate) fn gate(&self) -> Arc<Gate> {
        self.gate.clone()
    }

    /// Whether there is one.
    pub(crate) fn exists(&self) -> bool {
        matches!(self.shared.folder.stat(&self.shared.journal), Ok(Some(_)))
    }

    /// Where it is, for people.
    pub(crate) fn path(&self) -> PathBuf {
        self.shared.folder.path().join(&self.shared.journal)
    }

    /// How long it is, in bytes; 0 before the first record.
    pub(crate) fn size(&self) -> u64 {
        self.open.as_ref().map_or(0, |o| o.read_to)
    }

    /// The number of the last record.
    pub(crate) fn last(&self) -> u64 {
        self.open.as_ref().map_or(0, |o| o.last).max(self.floor)
    }

    /// The number for the next record; it stands at the record's beginning, before a tab.
    pub(crate) fn next(&self) -> u64 {
        self.last().saturating_add(1)
    }

    /// Names issued below this are forgotten: what the caller last gave to [`Journal::set_low`], here or before a restart.
    pub(crate) fn low(&self) -> u64 {
        self.low
    }

    /// Keeps the low-water mark; it is written with the next [`Journal::replace`].
    pub(crate) fn set_low(&mut self, low: u64) {
        self.low = low;
    }

    /// What is wrong in the middle of the file, if anything is.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Whether a record may be appended, as far as is known: not when the file is damaged, or not the one that was left
    /// here. What could be read of it is valid all the same.
    pub(crate) fn sound(&self) -> Result<()> {
        if let Some((status, what)) = &self.trouble {
            return Err(Error::new(
                *status,
                [
                    "the journal: ",
                    &self.shared.name,
                    ": ",
                    what,
                    "; nothing is sent before a person adopts it",
                ]
                .concat(),
            ));
        }
        match &self.damage {
            None => Ok(()),
            Some(what) => Err(Error::new(
                KL_E_JOURNAL_DAMAGED,
                [
                    "the journal: ",
                    &self.shared.name,
                    " is damaged: ",
                    what,
                    "; nothing is sent before it is repaired",
                ]
                .concat(),
            )
            .with(|d| d.advice = Advice::CallPerson)),
        }
    }

    /// How it does, as of the last [`Journal::read`].
    pub(crate) fn info(&self) -> Info {
        let (trouble, words) = self.trouble.clone().unwrap_or_default();
        Info {
            path: self.path(),
            bytes: self.size(),
            damage: self.damage.clone().unwrap_or_default(),
            trouble,
            trouble_words: words,
            poisoned: self.shared.is_poisoned(None).unwrap_or(true),
            installation: self.identity.as_ref().map_or_else(String::new, |i| hex::lower(i.installation())),
            epoch: self.identity.as_ref().map_or(0, |i| i.epoch()),
            bound: self.fit == Fit::Same,
            file_system: self.shared.folder.kind().words(),
        }
    }

    /// Reads what is new. An error means that nothing of it may be used; a journal that may be read but not continued is no
    /// error here ([`Journal::sound`]).
    pub(crate) fn read(&mut self, pass: &Pass<'_>, found: &mut dyn FnMut(Found<'_>)) -> Result<()> {
        self.inside(pass)?;
        let shared = self.shared.clone();
        let cannot = |e: io::Error| shared.cannot_read(&e);
        let on_disk = shared.folder.stat(&shared.journal).map_err(cannot)?;
        let same = match (&mut self.open, &on_disk) {
            (Some(open), Some(now)) => open.id == now.id && open.is_continued(now.size),
            (None, None) => self.judged,
            _ => false,
        };
        if same && shared.is_poisoned(on_disk.as_ref()).map_err(cannot)? {
            shared.poisoned.store(true, Ordering::SeqCst);
        }
        if !same {
            self.floor = self.last();
            self.open = None;
            self.damage = None;
            self.judged = false;
            if !shared.unmarked.load(Ordering::SeqCst) {
                // Without a mark another process has written it anew since.
                shared.poisoned.store(shared.is_marked().map_err(cannot)?, Ordering::SeqCst);
            }
            if let Some(now) = on_disk {
                self.open_file(now)?;
                found(Found::Anew);
            }
        }
        let news = !same || self.open.as_ref().is_some_and(|open| open.size != open.read_to);
        if let Err(e) = if news { self.take(found) } else { Ok(()) } {
            // Of a file that must not be read nothing was read.
            self.open = None;
            self.judged = false;
            return Err(e);
        }
        if !self.judged || self.trouble.is_some() {
            self.judge()?;
            self.judged = true;
        }
        Ok(())
    }

    /// Appends one record. `everything` gives all that is known before it, should the file have to be written anew. What is
    /// appended may be relied upon after [`SyncHandle::sync`].
    pub(crate) fn append(
        &mut self,
        pass: &Pass<'_>,
        record: &str,
        everything: &dyn Fn() -> Vec<String>,
    ) -> Result<()> {
        self.append_all(pass, &[record], everything)
    }

    /// Appends several records, all or none of them as far as this process is concerned.
    pub(crate) fn append_all(
        &mut self,
        pass: &Pass<'_>,
        records: &[&str],
        everything: &dyn Fn() -> Vec<String>,
    ) -> Result<()> {
        self.ready(pass)?;
        if !off("poison") && self.shared.poisoned.load(Ordering::SeqCst) {
            self.rewrite(&everything())?;
        }
        let next = self.next();
        let Some((generation, open)) =
            self.open.as_mut().and_then(|o| Some((o.head.as_ref()?.generation, o)))
        else {
            return Err(Error::new(KL_E_INTERNAL, "the journal was made and is not open"));
        };
        if open.read_only {
            let e = io::Error::from_raw_os_error(libc::EROFS);
            return Err(failed("it cannot be written", &self.shared.shown(), &e));
        }
        let mut text = Vec::with_capacity(records.iter().map(|r| r.len() + 24).sum());
        for (record, number) in records.iter().zip(next..) {
            if number_of(record.as_bytes()) != Some(number) {
                return Err(Error::new(
                    KL_E_INTERNAL,
                    "a record for the journal has another number than the next",
                ));
            }
            let at = open.read_to + text.len() as u64;
            push_line(&mut text, record.as_bytes(), Some((generation, at)));
        }
        if open.read_to + text.len() as u64 > LARGEST {
            return Err(Error::new(KL_E_JOURNAL_FULL, "the journal: it has reached its bound"));
        }
        let written = (|| {
            super::fault("append", &self.shared.name)?;
            // Nobody else writes while this process is inside.
            if open.size != open.read_to {
                open.held.file.set_len(open.read_to)?;
            }
            open.held.file.write_all_at(&text, open.read_to)
        })();
        if let Err(e) = written {
            // Half a record must not be taken for more than that, here or by another process.
            let _ = open.held.file.set_len(open.read_to);
            self.shared.poison("it cannot be written");
            return Err(failed("it cannot be written", &self.shared.shown(), &e));
        }
        open.read_to += text.len() as u64;
        open.size = open.read_to;
        open.last = next + records.len() as u64 - 1;
        open.seen = open.last;
        *open.held.last.lock().unwrap_or_else(PoisonError::into_inner) = open.last;
        self.mark_high(false);
        Ok(())
    }

    /// What makes durable all that was appended so far; `None` if there is no file yet.
    pub(crate) fn sync_handle(&self) -> Option<SyncHandle> {
        let open = self.open.as_ref()?;
        Some(SyncHandle { shared: self.shared.clone(), held: open.held.clone(), last: open.last })
    }

    /// Whether all that stood in the file after that sync is known here.
    pub(crate) fn knows(&self, synced: &Synced) -> bool {
        let open = self.open.as_ref();
        open.zip(synced.now).is_some_and(|(open, now)| open.id == now.id && now.size <= open.read_to)
    }

    /// Whether a record was appended that is not known to be synced.
    pub(crate) fn unsynced(&self) -> bool {
        self.open.as_ref().is_some_and(|o| o.last > self.shared.synced())
    }

    /// Writes the file anew with these records, whole or not at all; durable when it returns. Their numbers are those they
    /// had, and they grow.
    pub(crate) fn replace(&mut self, pass: &Pass<'_>, records: &[String]) -> Result<()> {
        self.ready(pass)?;
        self.rewrite(records)
    }

    /// Puts a damaged file aside and writes what could be read of it. Gives the name of the old one.
    pub(crate) fn repair(&mut self, pass: &Pass<'_>, records: &[String]) -> Result<PathBuf> {
        self.inside(pass)?;
        let damage = self.damage.take();
        let repaired = self.sound().and_then(|()| {
            let aside = self.put_aside(".journal.damaged-")?;
            // Numbers that were lost are not given again, as far as they are known.
            let high = HighWater::read(&self.shared.folder, &self.shared.file(".mark"));
            let high = high.ok().flatten().map_or(0, |h| h.last);
            self.floor = self.last().max(high).max(self.shared.synced());
            self.ready(pass)?;
            self.rewrite(records)?;
            Ok(aside)
        });
        if repaired.is_err() {
            self.damage = damage;
        }
        repaired
    }

    /// A person says that what is there is to be continued: with a new secret, the next epoch, and numbers above all that
    /// were ever given. `records` is what could be read, and is kept.
    pub(crate) fn adopt(&mut self, pass: &Pass<'_>, note: &str, records: &[String]) -> Result<()> {
        self.inside(pass)?;
        let Some((status, _)) = self.trouble else {
            return Err(Error::new(
                KL_E_ARGUMENT,
                "the journal: it is the one that was left here; there is nothing to adopt",
            ));
        };
        let folder = self.shared.folder.clone();
        let (id, mark) = (self.shared.file(".id"), self.shared.file(".mark"));
        let cannot = |e: io::Error| failed("it cannot be adopted", &folder.shown(&id), &e);
        let kept = match Kept::read(&folder, &id).map_err(cannot)? {
            FoundIdentity::Kept(kept) => Some(kept),
            _ => None,
        };
        let high = HighWater::read(&folder, &mark).map_err(cannot)?;
        let head = self.open.as_ref().and_then(|o| o.head.clone());
        let epochs = [
            kept.as_ref().map(|k| k.identity.epoch()),
            head.as_ref().map(|h| h.epoch),
            high.map(|h| h.epoch),
            self.identity.as_ref().map(|i| i.epoch()),
        ];
        let numbers = [kept.as_ref().map_or(0, |k| k.floor), high.map_or(0, |h| h.last), self.last()];
        let end = || Error::new(KL_E_JOURNAL, "the journal: its epochs or numbers are used up");
        let epoch = epochs.into_iter().flatten().max().unwrap_or(0).checked_add(1).ok_or_else(end)?;
        let floor = numbers.into_iter().max().unwrap_or(0).checked_add(JUMP).ok_or_else(end)?;
        let mut fresh = Kept::adopting(
            kept.as_ref().map(|k| &k.identity).or(self.identity.as_deref()),
            epoch,
            floor,
            status == KL_E_JOURNAL_COPIED,
            head.map(|h| h.print_key),
            &self.machine,
        )?;
        if self.open.is_some() {
            self.put_aside(".journal.adopted-")?;
        }
        // In this order: whenever the power goes, the next start either finds what it was before, or an adoption that was
        // not finished and has to be made again.
        step("adopt: identity")?;
        fresh.write(&folder, &id).map_err(cannot)?;
        step("adopt: journal")?;
        self.floor = floor;
        self.write_anew(&fresh.identity, records)?;
        step("adopt: made")?;
        fresh.made = true;
        fresh.write(&folder, &id).map_err(cannot)?;
        log_line!(Warn, "the journal: {} is adopted, epoch {epoch}: {note}", self.shared.name);
        self.fit = fresh.fits(&self.machine);
        self.identity = Some(Arc::new(fresh.identity));
        self.trouble = None;
        self.damage = None;
        self.judged = true;
        self.mark_high(true);
        Ok(())
    }

    /// The installation's identity. Makes it, and the journal, at their first use.
    pub(crate) fn identity(&mut self, pass: &Pass<'_>) -> Result<Arc<Identity>> {
        self.ready(pass)?;
        self.identity.clone().ok_or_else(|| Error::new(KL_E_INTERNAL, "the journal has no identity"))
    }

    /// The installation's identity, if it is known and nothing is known to be wrong.
    pub(crate) fn known(&self) -> Option<Arc<Identity>> {
        let sound = self.trouble.is_none() && self.damage.is_none() && self.open.is_some();
        self.identity.clone().filter(|_| sound)
    }

    /// A name's fingerprint as this journal keeps it, also when it is not to be continued. `None` before there is a journal.
    pub(crate) fn print(&self, name: &str) -> Option<[u8; 12]> {
        if let Some(identity) = &self.identity {
            return Some(identity.print(name));
        }
        let head = self.open.as_ref()?.head.as_ref()?;
        Some(super::identity::print(&head.print_key, name))
    }

    /// This process's number among those that share the journal, and true if it is another than before. To be called before
    /// every command: it finds out whether the mark of this process was lost.
    pub(crate) fn owner(&mut self, pass: &Pass<'_>) -> Result<(u64, bool)> {
        self.inside(pass)?;
        let (number, fresh) = self.owners.take(pass, self.next())?;
        if fresh {
            self.mark_high(true);
        }
        Ok((number, fresh))
    }

    /// This process's number, if it has one.
    pub(crate) fn own(&self) -> Option<u64> {
        self.owners.own()
    }

    /// Whether that is a number of this process.
    pub(crate) fn is_own(&self, number: u64) -> bool {
        self.owners.is_own(number)
    }

    /// Whether the process of that number lives. One that cannot be asked for counts as living.
    pub(crate) fn alive(&self, pass: &Pass<'_>, number: u64) -> bool {
        self.owners.alive(pass, number)
    }

    /// In words who holds that number; empty if nobody does, or this process.
    pub(crate) fn holder(&self, pass: &Pass<'_>, number: u64) -> String {
        self.owners.holder(pass, number)
    }

    /// Writes the high-water mark, before the client goes.
    pub(crate) fn close(&mut self, pass: &Pass<'_>) {
        if self.inside(pass).is_ok() {
            self.mark_high(true);
        }
    }

    /// What a journal would do that takes the next sync's word for it: for the trials, which must notice.
    #[cfg(test)]
    pub(super) fn forget_poison(&self) {
        self.shared.heal().unwrap();
    }

    fn inside(&self, pass: &Pass<'_>) -> Result<()> {
        if pass.is_of(&self.gate) {
            return Ok(());
        }
        Err(Error::new(KL_E_INTERNAL, "the journal is used outside its gate"))
    }

    fn open_file(&mut self, stat: Status) -> Result<()> {
        let name = &self.shared.journal;
        let mine = sys::effective_user();
        if stat.user != mine && !self.shared.folder.kind().modeless {
            let words = [
                "the journal: ",
                &self.shared.shown(),
                " belongs to user ",
                &stat.user.to_string(),
                ", and this is user ",
                &mine.to_string(),
                ": run as its owner",
            ];
            return Err(Error::new(KL_E_JOURNAL_OWNER, words.concat()));
        }
        let folder = &self.shared.folder;
        let (file, read_only) = match folder.open_file(name, libc::O_RDWR) {
            Err(e) if e.raw_os_error() == Some(libc::EROFS) => (folder.open_file(name, libc::O_RDONLY), true),
            other => (other, false),
        };
        let cannot = |e: io::Error| failed("it cannot be opened", &self.shared.shown(), &e);
        let file = file.map_err(cannot)?;
        let Status { id, size, .. } = sys::status(&file).map_err(cannot)?;
        // Whoever gave it its name may have died before making that durable.
        if !read_only {
            folder
                .sync()
                .or_else(|e| if e.raw_os_error() == Some(libc::EROFS) { Ok(()) } else { Err(e) })
                .map_err(|e| {
                    self.shared.poison("its folder cannot be synced");
                    failed("its folder cannot be synced", &self.shared.shown(), &e)
                })?;
        }
        self.open = Some(Open {
            held: Arc::new(Held { file, last: Mutex::new(0) }),
            read_only,
            id,
            head: None,
            begins: Vec::new(),
            looked: sys::boot_ms(),
            size,
            read_to: 0,
            seen: 0,
            last: 0,
        });
        Ok(())
    }

    /// Takes in what stands behind what was read before.
    fn take(&mut self, found: &mut dyn FnMut(Found<'_>)) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let cannot = |e: io::Error| self.shared.cannot_read(&e);
        let mut bytes = Vec::new();
        let held = open.held.clone();
        let file = &held.file;
        read_from(file, open.read_to, &mut bytes, &self.shared.name).map_err(cannot)?;
        let mut scanned = Scanned::of(open, &bytes);
        if scanned.is_odd() {
            // A block may be read wrong once and right the next time.
            sys::forget_pages(file);
            let mut again = Vec::new();
            let fresh = self.shared.folder.open_file(&self.shared.journal, libc::O_RDONLY).map_err(cannot)?;
            let file = if sys::status(&fresh).map_err(cannot)?.id == open.id { &fresh } else { file };
            read_from(file, open.read_to, &mut again, &self.shared.name).map_err(cannot)?;
            if again != bytes {
                let shown = self.shared.shown();
                log_line!(Warn, "the journal: {shown}: two reads of a part gave different bytes");
                bytes = again;
                scanned = Scanned::of(open, &bytes);
            }
        }
        if let Some(head) = &scanned.head {
            if open.read_to == 0 {
                if head.version != VERSION {
                    return Err(wrong_version(head.version));
                }
                if head.account != self.account {
                    let words = [
                        "the journal: it belongs to the account ",
                        &head.account,
                        ", not to ",
                        &self.account,
                    ];
                    return Err(Error::new(KL_E_JOURNAL, words.concat()));
                }
                self.low = self.low.max(head.head.low);
                open.begins = framed(&head.head.json);
                open.head = Some(head.head.clone());
            }
        }
        for place in &scanned.records {
            found(Found::Record(std::str::from_utf8(&bytes[place.clone()]).unwrap_or_default()));
        }
        open.seen = scanned.last;
        open.last = open.seen.max(open.head.as_ref().map_or(0, |h| h.at));
        open.read_to += scanned.read as u64;
        *held.last.lock().unwrap_or_else(PoisonError::into_inner) = open.last;
        if self.damage.is_none() {
            self.damage = scanned.damage.map(|at| ["byte ", &at.to_string()].concat());
        }
        Ok(())
    }

    /// Whether what is there is the journal that was left here.
    fn judge(&mut self) -> Result<()> {
        let folder = self.shared.folder.clone();
        let id = self.shared.file(".id");
        let cannot = |e: io::Error| failed("its identity cannot be read", &folder.shown(&id), &e);
        let kept = Kept::read(&folder, &id).map_err(cannot)?;
        let high = HighWater::read(&folder, &self.shared.file(".mark")).map_err(cannot)?;
        self.marked = high.map_or(0, |h| h.last);
        let head = self.open.as_ref().map(|o| o.head.as_ref());
        let trouble = match (&kept, head) {
            (FoundIdentity::Nothing, None) if high.is_some() || self.identity.is_some() => {
                Some((KL_E_JOURNAL_MISSING, "it and its identity are gone, and it held records"))
            }
            (FoundIdentity::Nothing, None) => None,
            (FoundIdentity::Unreadable, None) => {
                Some((KL_E_JOURNAL_MISSING, "it is gone, and its identity cannot be read"))
            }
            (FoundIdentity::Nothing, Some(_)) => Some((KL_E_JOURNAL_COPIED, "its identity is missing")),
            (FoundIdentity::Unreadable, Some(_)) => {
                Some((KL_E_JOURNAL_COPIED, "its identity cannot be read"))
            }
            (FoundIdentity::Kept(kept), None) => {
                let held = high.is_some_and(|h| {
                    h.installation == *kept.identity.installation() && h.epoch == kept.identity.epoch()
                });
                (kept.made || held || self.identity.is_some())
                    .then_some((KL_E_JOURNAL_MISSING, "it is gone, and it held records"))
            }
            (FoundIdentity::Kept(kept), Some(head)) => {
                let synced = self.shared.synced();
                let last = self.open.as_ref().map_or(0, |o| o.last);
                kept.judge(head.map(|h| (&h.installation, h.epoch)), last, synced, high)
                    .or_else(|| self.foreign(kept))
            }
        };
        self.trouble = trouble.map(|(status, words)| (status, words.to_owned()));
        if let (FoundIdentity::Kept(mut kept), None) = (kept, &self.trouble) {
            self.floor = self.floor.max(kept.floor);
            self.fit = kept.fits(&self.machine);
            if kept.made && self.open.is_some() {
                if !self.open.as_ref().is_some_and(|o| o.read_only) && kept.rebind(&self.machine) {
                    // Parts are exchanged one by one; without this the last old one would seem to be another machine.
                    if let Err(e) = kept.write(&folder, &id) {
                        log_line!(Warn, "the journal: its binding to this machine could not be renewed: {e}");
                    }
                    self.fit = kept.fits(&self.machine);
                }
                self.identity = Some(Arc::new(kept.identity));
            }
        }
        Ok(())
    }

    fn foreign(&self, kept: &Kept) -> Option<(kl_status, &'static str)> {
        (kept.fits(&self.machine) == Fit::Another)
            .then_some((KL_E_JOURNAL_COPIED, "it was made on another machine"))
    }

    /// Makes identity and journal at their first use, or goes on where that was interrupted: identity, journal, and only
    /// then the word that there is a journal. Before that word nothing can have been recorded.
    fn ready(&mut self, pass: &Pass<'_>) -> Result<()> {
        self.inside(pass)?;
        self.sound()?;
        if self.open.is_some() && self.identity.is_some() {
            return Ok(());
        }
        if !self.judged {
            return Err(Error::new(KL_E_INTERNAL, "the journal was to be written before it was read"));
        }
        let folder = self.shared.folder.clone();
        let id = self.shared.file(".id");
        let cannot = |e: io::Error| failed("its identity cannot be written", &folder.shown(&id), &e);
        let mut kept = match Kept::read(&folder, &id).map_err(cannot)? {
            FoundIdentity::Kept(kept) => kept,
            FoundIdentity::Nothing => {
                let fresh = Box::new(Kept::fresh(&self.machine)?);
                step("make: identity")?;
                fresh.write(&folder, &id).map_err(cannot)?;
                fresh
            }
            FoundIdentity::Unreadable => {
                return Err(Error::new(KL_E_JOURNAL_MISSING, "the journal: its identity cannot be read"));
            }
        };
        self.floor = self.floor.max(kept.floor);
        if self.open.is_none() {
            step("make: journal")?;
            self.write_anew(&kept.identity, &[])?;
        }
        if !kept.made {
            step("make: made")?;
            kept.made = true;
            kept.write(&folder, &id).map_err(cannot)?;
        }
        self.fit = kept.fits(&self.machine);
        self.identity = Some(Arc::new(kept.identity));
        step("make: mark")?;
        self.mark_high(true);
        Ok(())
    }

    /// Writes the file anew under the identity it has, and lifts the poison.
    fn rewrite(&mut self, records: &[String]) -> Result<()> {
        let Some(identity) = self.identity.clone() else {
            return Err(Error::new(KL_E_INTERNAL, "the journal has no identity"));
        };
        self.write_anew(&identity, records)?;
        self.shared.heal().map_err(|e| failed("it cannot be healed", &self.shared.shown(), &e))?;
        self.mark_high(true);
        Ok(())
    }

    fn write_anew(&mut self, identity: &Identity, records: &[String]) -> Result<()> {
        let last = self.last();
        let generation = u64::from_le_bytes(random()?);
        let json = head(&self.account, identity, generation, last, self.low);
        let mut text =
            Vec::with_capacity(2 * json.len() + records.iter().map(|r| r.len() + 24).sum::<usize>());
        // Twice: without its generation nothing of a file can be checked.
        push_line(&mut text, json.as_bytes(), None);
        push_line(&mut text, json.as_bytes(), None);
        let mut seen = 0;
        for record in records {
            let at = text.len() as u64;
            // Out of its order a record would be read as damage.
            seen = number_of(record.as_bytes()).filter(|n| *n > seen && *n <= last).ok_or_else(|| {
                Error::new(KL_E_INTERNAL, "the records for the journal are not in the order of their numbers")
            })?;
            push_line(&mut text, record.as_bytes(), Some((generation, at)));
        }
        if text.len() as u64 > LARGEST {
            return Err(Error::new(KL_E_JOURNAL_FULL, "the journal: it has reached its bound"));
        }
        let name = &self.shared.journal;
        let written = self.shared.folder.replace(name, &text).and_then(|f| Ok((sys::status(&f)?.id, f)));
        match written {
            Ok((id, file)) => {
                self.open = Some(Open {
                    held: Arc::new(Held { file, last: Mutex::new(last) }),
                    read_only: false,
                    id,
                    head: parse_head(json.as_bytes()).map(|h| h.head),
                    begins: framed(&json),
                    looked: sys::boot_ms(),
                    size: text.len() as u64,
                    read_to: text.len() as u64,
                    seen: last,
                    last,
                });
                self.shared.note_synced(last);
                Ok(())
            }
            Err(e) => {
                // On a full disk the old file stays in its place, as it was. Otherwise it is not known which of the two is there,
                // nor which will be there after a power cut.
                let full = matches!(e.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT));
                let there = self.shared.folder.stat(name).ok().flatten().map(|now| now.id);
                let is_untouched = there.is_some() && there == self.open.as_ref().map(|open| open.id);
                if !(full && is_untouched) {
                    self.shared.poison("it cannot be written anew");
                }
                Err(failed("it cannot be written anew", &self.shared.shown(), &e))
            }
        }
    }

    /// Gives the file a second name: at no moment is there no journal.
    fn put_aside(&self, ending: &str) -> Result<PathBuf> {
        let (name, folder) = (&self.shared.journal, &self.shared.folder);
        let mut k = 1;
        loop {
            let aside = [&self.shared.name, ending, &k.to_string()].concat();
            match folder.link(name, &aside) {
                Ok(()) => return Ok(folder.path().join(aside)),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && k < 10_000 => k += 1,
                // No second names here (vfat): a copy.
                Err(e)
                    if matches!(
                        e.raw_os_error(),
                        Some(libc::EPERM | libc::ENOTSUP | libc::ENOSYS | libc::EMLINK)
                    ) =>
                {
                    let copied = folder
                        .read(name, 2 * LARGEST)
                        .and_then(|bytes| folder.replace(&aside, &bytes.unwrap_or_default()));
                    return match copied {
                        Ok(_) => Ok(folder.path().join(aside)),
                        Err(e) => Err(failed("it cannot be put aside", &folder.shown(&aside), &e)),
                    };
                }
                Err(e) => return Err(failed("it cannot be put aside", &folder.shown(&aside), &e)),
            }
        }
    }

    /// Writes what is known to be synced beside the journal, if `now` or if that has grown enough. May be lost.
    fn mark_high(&mut self, now: bool) {
        let Some(identity) = &self.identity else { return };
        let synced = self.shared.synced().min(self.last());
        if synced < self.marked + MARK_EVERY && !(now && (synced > self.marked || self.marked == 0)) {
            return;
        }
        let (installation, epoch) = (*identity.installation(), identity.epoch());
        let (folder, name) = (&self.shared.folder, self.shared.file(".mark"));
        match (HighWater { installation, epoch, last: synced }).raise(folder, &name) {
            Ok(last) => self.marked = last,
            Err(e) => log_line!(Debug, "the journal: its high-water mark could not be written: {e}"),
        }
    }
}

impl Kept {
    /// What is wrong with a journal of this head beside this identity.
    fn judge(
        &self,
        head: Option<(&[u8; 16], u32)>,
        last: u64,
        synced: u64,
        high: Option<HighWater>,
    ) -> Option<(kl_status, &'static str)> {
        let (installation, epoch) = (self.identity.installation(), self.identity.epoch());
        let high = high.filter(|h| h.installation == *installation);
        match head {
            Some((whose, _)) if whose != installation => {
                return Some((
                    KL_E_JOURNAL_COPIED,
                    "it belongs to another installation, or its adoption was not finished",
                ));
            }
            Some((_, of)) if of < epoch => {
                return Some((
                    KL_E_JOURNAL_OLDER,
                    "it is older than its identity, or its adoption was not finished",
                ));
            }
            Some((_, of)) if of > epoch => {
                return Some((KL_E_JOURNAL_OLDER, "its identity is older than it"));
            }
            _ => {}
        }
        // A damaged one may have lost its last records by that; it is named for the damage.
        let older =
            high.is_some_and(|h| h.epoch > epoch || h.epoch == epoch && h.last > last) || synced > last;
        (older && head.is_some()).then_some((KL_E_JOURNAL_OLDER, "it lacks records that it held"))
    }
}

impl Open {
    /// Whether the open file still is what was read: not cut, not written over.
    fn is_continued(&mut self, size: u64) -> bool {
        if size < self.read_to {
            return false;
        }
        let now = sys::boot_ms();
        // Written over in place, it has the old length by a rare chance only.
        let due = size != self.size || now.saturating_sub(self.looked) >= LOOK_AGAIN;
        self.size = size;
        let Some(head) = self.head.as_ref().filter(|_| due) else { return true };
        self.looked = now;
        let mut now = vec![0; self.begins.len()];
        // One that cannot be read, or whose head is damaged, is no other file.
        self.held.file.read_exact_at(&mut now, 0).is_err()
            || now == self.begins
            || parse_head(unframed(&now).unwrap_or_default())
                .is_none_or(|h| h.head.generation == head.generation)
    }
}

#[cold]
fn wrong_version(version: i64) -> Error {
    let which = if version > VERSION { "a newer" } else { "an older" };
    let words = [
        "the journal: it was written by ",
        which,
        " library, in format version ",
        &version.to_string(),
        "; this one knows ",
        &VERSION.to_string(),
    ];
    Error::new(KL_E_JOURNAL_VERSION, words.concat())
}

/// The head as JSON.
fn head(account: &str, identity: &Identity, generation: u64, at: u64, low: u64) -> String {
    let int = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let mut head = Writer::new();
    head.int("n", 0).text("k", HEAD).int("version", VERSION).text("account", account);
    head.text("installation", &hex::lower(identity.installation())).int("epoch", identity.epoch().into());
    head.text("generation", &hex::lower(&generation.to_be_bytes()))
        .text("print", &hex::lower(identity.print_key()));
    head.int("at", int(at)).int("low", int(low));
    head.finish()
}

struct ParsedHead {
    head: Head,
    version: i64,
    account: String,
}

fn parse_head(json: &[u8]) -> Option<ParsedHead> {
    let object = Json::parse(json).ok()?.object().ok()?;
    let text = |key| object.string(&[key]).ok().flatten();
    let int = |key| object.int(&[key]).ok().flatten();
    if text("k")? != HEAD {
        return None;
    }
    let version = int("version")?;
    let known = version == VERSION;
    let account = text("account")?;
    // Of another form nothing more is asked than which.
    let generation = text("generation").and_then(|t| unhex(&t)).map(u64::from_be_bytes);
    let installation = text("installation").and_then(|t| unhex(&t));
    let print_key = text("print").and_then(|t| unhex(&t));
    if known && (generation.is_none() || installation.is_none() || print_key.is_none()) {
        return None;
    }
    let number = |key| int(key).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    Some(ParsedHead {
        head: Head {
            json: String::from_utf8(json.to_vec()).ok()?,
            generation: generation.unwrap_or(0),
            installation: installation.unwrap_or_default(),
            epoch: u32::try_from(number("epoch")).ok()?,
            print_key: print_key.unwrap_or_default(),
            at: number("at"),
            low: number("low"),
        },
        version,
        account,
    })
}

/// What stands in a piece of a file.
struct Scanned {
    head: Option<ParsedHead>,
    /// Where the JSON of each record is.
    records: Vec<std::ops::Range<usize>>,
    /// Up to here the piece is read; behind it is nothing, or a torn tail.
    read: usize,
    /// A record's end is missing, and nothing is behind it.
    torn: bool,
    /// Where in the file the first bad byte is.
    damage: Option<u64>,
    last: u64,
}

impl Scanned {
    /// Of the bytes behind what was read of an open file.
    fn of(open: &Open, bytes: &[u8]) -> Scanned {
        let found = if open.read_to == 0 { find_head(bytes) } else { None };
        let head = found.as_ref().map(|h| &h.head).or(open.head.as_ref()).cloned();
        let mut scanned = Scanned::records(bytes, open.read_to, head.as_ref(), open.seen);
        scanned.head = found;
        scanned
    }

    fn is_odd(&self) -> bool {
        self.torn || self.damage.is_some()
    }

    fn records(bytes: &[u8], base: u64, head: Option<&Head>, last: u64) -> Scanned {
        let mut s = Scanned { head: None, records: Vec::new(), read: 0, torn: false, damage: None, last };
        let Some(head) = head else {
            if base == 0 {
                // Nothing of it can be checked.
                s.damage = Some(0);
            }
            return s;
        };
        // One sum a record: the head's is plain, the others' know where they stand.
        let seed = |at: usize| Some((head.generation, base + at as u64));
        let at_head = |at: usize| {
            frame(&bytes[at..], None).filter(|f| bytes[at..][f.text.clone()] == *head.json.as_bytes())
        };
        let valid = |at: usize| frame(&bytes[at..], seed(at)).or_else(|| at_head(at));
        let mut at = 0;
        let mut bad = |at: usize| {
            s.damage.get_or_insert(base + at as u64);
        };
        loop {
            let rest = &bytes[at..];
            // Nothing, or room that was made beforehand.
            if rest.iter().all(|b| *b == 0) {
                break;
            }
            if let Some(f) = frame(rest, seed(at)) {
                let json = at + f.text.start..at + f.text.end;
                // Numbers only grow: anything else is from elsewhere.
                match number_of(&bytes[json.clone()]).filter(|n| *n > s.last) {
                    Some(number) => {
                        s.last = number;
                        s.records.push(json);
                    }
                    None => bad(at),
                }
                at += f.length;
            } else if let Some(f) = at_head(at).filter(|_| base + (at as u64) < HEAD_WITHIN as u64) {
                at += f.length;
            } else if let Some(next) =
                (at + 1..bytes.len()).find(|next| looks_like_a_frame(bytes, *next) && valid(*next).is_some())
            {
                bad(at);
                at = next;
            } else {
                s.torn = is_torn(rest, seed(at));
                if !s.torn {
                    bad(at);
                }
                break;
            }
        }
        s.read = at;
        s
    }
}

/// The first whole head of a file: the one at its beginning, or the second copy.
fn find_head(bytes: &[u8]) -> Option<ParsedHead> {
    let within = bytes.len().min(HEAD_WITHIN);
    (0..within).filter(|at| looks_like_a_frame(bytes, *at)).find_map(|at| {
        let f = frame(&bytes[at..], None)?;
        parse_head(&bytes[at..][f.text])
    })
}

fn looks_like_a_frame(bytes: &[u8], at: usize) -> bool {
    bytes.get(at..at + 9).is_some_and(|b| b[8] == b' ' && b[..8].iter().all(u8::is_ascii_hexdigit))
}

/// The whole line that begins here.
fn frame(bytes: &[u8], seed: Option<(u64, u64)>) -> Option<Line> {
    line(bytes, seed).filter(|f| bytes.get(f.length - 1) == Some(&b'\n'))
}

/// Whether these bytes, behind which nothing whole stands, are what is left of a record that did not reach the disk. Such a
/// one ends early or has a hole; a line that is there to its end and wrong is damage.
fn is_torn(rest: &[u8], seed: Option<(u64, u64)>) -> bool {
    // Room that was made beforehand is no hole in the record.
    let rest = &rest[..rest.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1)];
    if let Some(f) = line(rest, seed) {
        return rest.len() < f.length;
    }
    !rest.contains(&b'\n') || rest.windows(HOLE.len()).any(|w| w == HOLE)
}

/// One line with a plain sum: what the small files beside the journal are.
pub(super) fn framed(json: &str) -> Vec<u8> {
    let mut out = Vec::new();
    push_line(&mut out, json.as_bytes(), None);
    out
}

/// The JSON of such a file.
pub(super) fn unframed(bytes: &[u8]) -> Option<&[u8]> {
    let f = frame(bytes, None).filter(|f| f.length == bytes.len())?;
    bytes.get(f.text)
}

fn read_from(file: &File, mut at: u64, into: &mut Vec<u8>, name: &str) -> io::Result<()> {
    let mut chunk = [0; 8192];
    loop {
        match file.read_at(&mut chunk, at) {
            Ok(0) => break,
            Ok(n) => {
                into.extend_from_slice(&chunk[..n]);
                at += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    super::garble(name, into);
    Ok(())
}

/// A place where a test kills the making of the files.
#[inline]
fn step(what: &str) -> Result<()> {
    super::fault("step", what).map_err(|e| Error::os(KL_E_JOURNAL, what, &e))
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
