//! Commands at most once: an act that cannot be undone has a name, its `request_id`, and under one name it is sent at
//! most once: in the life of a client, or with a `state_dir` for as long as the journal remembers it.
//!
//! Every change is a record. With a `state_dir` it is appended to the `journal` first; either way it is then
//! applied to the book in memory, by the same code that reads the journal after a restart.
//!
//! ```text
//! intent, synced ──► sent ──► end: done | not done | unknown ──► moved
//!                                               unknown ──► end: done | not done, by query, event, sensor or person
//! ```

use crate::error::{Advice, Error, Outcome, Result};
use crate::journal::{self, Found, Journal};
use crate::json::{Json, Object, Writer};
use crate::log::{self, log_line};
use crate::model::*;
use crate::platform::{Known, Span};
use crate::status::*;
use crate::sys;
use crate::transport::Deadline;
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

#[cfg(test)]
mod tests;

/// The longest `request_id`, in bytes.
pub const KL_REQUEST_ID_MAX: usize = 128;

/// How many settled commands are remembered without a journal. Unsettled ones are never forgotten.
const REMEMBERED: usize = 16_384;
/// So many settled commands at most are kept whole when the journal is written anew, within a third of its room; of older
/// ones what answers a repetition.
const WHOLE: usize = 64;
/// As much of a platform's answer is kept in the journal; a longer one is left out.
const JSON_KEPT: usize = 2048;
/// Reports of movement that came before the answer to their command.
const EARLY: usize = 64;
/// How long a record that follows the sending waits for the journal's lock.
const LOCK_MS: Duration = Duration::from_millis(2000);

/// What a command does.
#[derive(Clone, Debug)]
pub enum Act {
    /// Opens a door, or pushes goods out.
    Door(DoorRequest),
    /// Uses up a pickup code.
    Redeem(RedeemRequest),
    /// Changes something else at the platform.
    Write {
        /// The verb, as the Rust method is called.
        verb: String,
        /// The platform's order that it is about, if there is one yet.
        order_no: String,
        /// The caller's own number for what is made.
        trade_no: String,
        /// Tells this write from another with the same numbers.
        digest: String,
    },
}

/// Which kind of act a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum CommandKind {
    Door = 1,
    Redeem = 2,
    Write = 3,
}

/// What the machine did: another question than what became of the command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum Physical {
    /// Nothing moves.
    #[default]
    None = 0,
    /// Not known yet.
    Pending = 1,
    /// The door opened, or the goods came out.
    Confirmed = 2,
    /// The machine reports that it did not.
    Failed = 3,
    /// The platform does not tell and will not.
    Unknowable = 4,
}

/// Who said what became of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum SettledBy {
    /// Nobody yet.
    #[default]
    Nobody = 0,
    /// The platform, in its answer; or the call itself, when it could not be sent.
    Answer = 1,
    /// The platform, asked later.
    Query = 2,
    /// The platform, by a callback.
    Event = 3,
    /// A sensor at the machine.
    Sensor = 4,
    /// A person.
    Person = 5,
    /// The journal: the process ended before it had sent anything.
    Journal = 6,
}

/// What is known of a command.
#[derive(Clone, Debug)]
pub struct Command {
    /// The caller's name for it.
    pub request_id: String,
    /// What the platform said to it.
    pub receipt: Receipt,
    /// Answered from memory: nothing was sent this time.
    pub recorded: bool,
    /// What it does.
    pub kind: CommandKind,
    /// The request, as it was recorded.
    pub act: Act,
    /// What became of it.
    pub outcome: Outcome,
    /// What the machine did.
    pub physical: Physical,
    /// Why it did not, in the platform's words.
    pub physical_error: String,
    /// Who says so.
    pub settled_by: SettledBy,
    /// Why it is not *done*, as a code; `KL_OK` for *done*.
    pub status: kl_status,
    /// The same as a sentence, or the note of whoever settled it.
    pub message: String,
    /// Its place in the order of all commands of the account. Never goes back, whatever the clock does.
    pub sequence: u64,
    /// When it was begun, Unix seconds by the client's clock: for people, nothing depends on it.
    pub started_at: i64,
    /// When its first byte was about to leave, Unix seconds by the client's clock; 0 if none was.
    pub sent_at: i64,
    /// How long ago it was begun, in milliseconds, whatever the clocks were set to meanwhile.
    pub age_ms: u64,
    /// How long it is too early to say *not done* of it, in milliseconds; 0: it is taken now.
    pub mature_in_ms: u32,
    /// The customer's visit that it belongs to; empty for none.
    pub visit_id: String,
    /// The caller's own words, as they were given with it.
    pub context: String,
    /// The number by which the platform's record shows that it is ours; empty where the platform keeps none.
    pub mark: String,
}

/// Which commands to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum CommandFilter {
    /// All that are remembered.
    #[default]
    Any = 0,
    /// Those under way and those unknown.
    Open = 1,
    /// Those that are done.
    Done = 2,
    /// Those that are not done.
    NotDone = 3,
    /// Those of which it is not known, without those under way.
    Unknown = 4,
}

/// How a journal does.
#[derive(Clone, Debug, Default)]
pub struct JournalInfo {
    /// The file; empty without a `state_dir`.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// Commands that are known to be done or not done.
    pub settled: u64,
    /// Commands that are unknown or under way.
    pub unsettled: u64,
    /// How often this process synced it.
    pub syncs: u64,
    /// How long the last sync took, in microseconds.
    pub sync_last_us: u64,
    /// The longest of them, in microseconds.
    pub sync_max_us: u64,
    /// All of them, in microseconds.
    pub sync_total_us: u64,
    /// Where it is damaged; empty if it is whole.
    pub damage: String,
    /// The installation that it belongs to; empty without a `state_dir`.
    pub installation: String,
    /// How often the installation was adopted by a person.
    pub epoch: u32,
    /// The kind of file system that it is on, `ext4`; empty if that is not known.
    pub file_system: String,
    /// The names of done commands that are remembered.
    pub names: u64,
}

/// How a command ended.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub outcome: Outcome,
    pub by: SettledBy,
    pub receipt: Receipt,
    pub physical: Physical,
    pub status: kl_status,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    InFlight,
    Done,
    NotDone,
    Unknown,
}

#[derive(Debug)]
struct Entry {
    n: u64,
    act: Act,
    owner: u64,
    boot: String,
    /// Milliseconds since boot when it was begun.
    up_ms: u64,
    started_at: i64,
    /// `started_at` is the platform's time.
    platform_time: bool,
    sent_n: u64,
    end_n: u64,
    moved_n: u64,
    state: State,
    receipt: Receipt,
    by: SettledBy,
    status: kl_status,
    message: String,
    physical: Physical,
    physical_error: String,
    /// Somebody says that there is news of its movement.
    hinted: bool,
    /// Only what answers a repetition is left of it.
    short: bool,
}

/// When a command is begun.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Began {
    pub at: i64,
    /// By the platform's time, not by the device's.
    pub platform_time: bool,
}

/// What is known of the circumstances of a command whose fate is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// When it was begun by the platform's own time, Unix seconds; `None` if that was not known then.
    pub started_at: Option<i64>,
    /// At least so long ago, in milliseconds.
    pub elapsed_ms: u64,
    /// No other command of this journal is about the same item.
    pub alone: bool,
}

/// The commands of one account: of one client, or of all that share a journal.
#[derive(Clone)]
pub(crate) struct Commands(Arc<Shared>);

#[derive(Default)]
struct Shared {
    book: Mutex<Book>,
    changed: Condvar,
}

#[derive(Default)]
struct Book {
    entries: HashMap<String, Entry>,
    journal: Option<Journal>,
    /// The number of the last record, without a journal.
    last: u64,
    /// Records that could not be written yet, without their numbers.
    debt: Vec<String>,
    early: VecDeque<Moved>,
    /// Not to be written anew before it is this long.
    compact_at: u64,
    syncs: u64,
    sync_last_us: u64,
    sync_max_us: u64,
    sync_total_us: u64,
    /// Counts what others should look at.
    changes: u64,
}

/// What a callback tells of a movement.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    pub order_no: String,
    pub item_no: String,
    /// `Pending`: a hint of somebody who cannot be believed; the platform should be asked.
    pub physical: Physical,
    pub error: String,
}

/// What is to be done with a command.
pub(crate) enum Begin<'a> {
    /// It was done before; this was the answer.
    Recorded(Box<Command>),
    /// It was sent before, and what became of it is not known: ask.
    Ask(Error),
    /// Send it, then say how it ended.
    Send(Ticket<'a>),
}

/// The right to send one command once. Dropped without a word, the command counts as unknown.
pub(crate) struct Ticket<'a> {
    commands: &'a Commands,
    request_id: String,
    again: bool,
    sent: AtomicBool,
    settled: bool,
}

static SHARED: Mutex<Vec<(u32, PathBuf, Weak<Shared>)>> = Mutex::new(Vec::new());

impl Commands {
    /// Kept in memory only.
    pub(crate) fn in_memory() -> Commands {
        Commands(Arc::default())
    }

    /// Kept in a journal, which all clients of this account in this process share.
    pub(crate) fn journaled(folder: PathBuf, name: String, account: String) -> Commands {
        let journal = Journal::new(folder, name, account);
        let (pid, path) = (std::process::id(), journal.path());
        let mut all = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, _, shared)| shared.strong_count() > 0);
        // After a fork the child has a journal of its own: the parent's may be locked for ever.
        let known = all.iter().find(|(p, at, _)| *p == pid && *at == path);
        if let Some(shared) = known.and_then(|(_, _, shared)| shared.upgrade()) {
            return Commands(shared);
        }
        let mut book = Book::default();
        book.journal = Some(journal);
        let shared = Arc::new(Shared { book: Mutex::new(book), changed: Condvar::new() });
        all.push((pid, path, Arc::downgrade(&shared)));
        Commands(shared)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the journal's lock held, after reading what others wrote.
    fn inside<T>(&self, deadline: Deadline, work: impl FnOnce(&mut Book) -> Result<T>) -> Result<T> {
        struct Leave<'a>(MutexGuard<'a, Book>);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                if let Some(journal) = &self.0.journal {
                    journal.leave();
                }
            }
        }
        let mut inside = Leave(self.book());
        let before = inside.0.changes;
        let outcome = inside.0.enter(deadline).and_then(|()| work(&mut inside.0));
        if inside.0.changes != before {
            self.0.changed.notify_all();
        }
        outcome
    }

    /// Claims a `request_id` for an act, or says why nothing may be sent. When it returns `Send`, the intent is on the
    /// disk.
    pub(crate) fn begin(&self, id: &str, act: Act, began: Began, deadline: Deadline) -> Result<Begin<'_>> {
        if id.is_empty() || id.len() > KL_REQUEST_ID_MAX || id.contains(char::is_control) {
            return Err(not_done(Error::new(
                KL_E_ARGUMENT,
                format!("request_id must be 1 to {KL_REQUEST_ID_MAX} bytes of text"),
            )));
        }
        enum Way {
            Recorded(Box<Command>),
            Ask(Error),
            Send(Option<(Arc<std::fs::File>, PathBuf)>),
        }
        let way = self
            .inside(deadline, |book| {
                book.bury_orphans();
                if let Some(entry) = book.entries.get(id).filter(|e| e.state != State::NotDone) {
                    // What the name stands for: the same name for another act is a bug of the caller's.
                    if entry.act.target() != act.target() {
                        return Err(not_done(Error::new(
                            KL_E_REQUEST_ID,
                            ["request_id ", id, " was already used for another act; nothing was sent"]
                                .concat(),
                        )));
                    }
                    return match entry.state {
                        State::Done => Ok(Way::Recorded(Box::new(entry.command(id, true)))),
                        State::Unknown => Ok(Way::Ask(unsettled(id, entry))),
                        _ => Err(in_flight(id)),
                    };
                }
                book.refuse_conflicts(id, &act)?;
                book.make_room().map_err(not_done)?;
                let (owner, boot) = match &mut book.journal {
                    Some(journal) => (journal.owner().map_err(not_done)?, journal.boot().to_owned()),
                    None => (0, String::new()),
                };
                let rest = intent(id, &act, owner, &boot, sys::boot_ms(), began);
                let file = book.record(rest).map_err(not_done)?;
                Ok(Way::Send(file.zip(book.journal.as_ref().map(Journal::path))))
            })
            .map_err(|e| if e.details().outcome == Outcome::None { not_done(e) } else { e })?;
        let on_disk = match way {
            Way::Recorded(command) => return Ok(Begin::Recorded(command)),
            Way::Ask(why) => return Ok(Begin::Ask(why)),
            Way::Send(on_disk) => on_disk,
        };
        let ticket = Ticket {
            commands: self,
            request_id: id.to_owned(),
            again: false,
            sent: AtomicBool::new(false),
            settled: false,
        };
        if let Some((file, path)) = on_disk {
            match journal::sync(&file, &path) {
                Ok(took) => self.book().synced(took),
                Err(e) => {
                    let e = not_done(e);
                    return Err(match ticket.settle(Err(e), false) {
                        Err(e) => e,
                        Ok(_) => Error::new(KL_E_INTERNAL, "a command that was not sent is done"),
                    });
                }
            }
        }
        Ok(Begin::Send(ticket))
    }

    /// Claims an unknown command for a repetition that is the platform's way to ask.
    pub(crate) fn again(&self, id: &str) -> Result<Ticket<'_>> {
        let mut book = self.book();
        match book.entries.get_mut(id) {
            Some(entry) if entry.state == State::Unknown => entry.state = State::InFlight,
            _ => return Err(in_flight(id)),
        }
        Ok(Ticket {
            commands: self,
            request_id: id.to_owned(),
            again: true,
            sent: AtomicBool::new(true),
            settled: false,
        })
    }

    /// What is recorded of a command.
    pub(crate) fn get(&self, id: &str) -> Result<Command> {
        self.inside(Deadline::after(LOCK_MS), |book| {
            book.bury_orphans();
            let entry = book.entries.get(id).ok_or_else(|| {
                Error::new(KL_E_NOT_FOUND, ["no command of the name ", id, " is recorded"].concat())
            })?;
            Ok(entry.command(id, true))
        })
    }

    /// What is known of a command, for the one who judges its fate.
    pub(crate) fn known<'a>(&self, id: &str, act: &'a Act) -> Known<'a> {
        let c = self.circumstances(id);
        let sent = c.started_at.map(|s| Span { earliest_ms: s * 1000 - 1000, latest_ms: s * 1000 + 1000 });
        let mark = match act {
            Act::Door(r) => &r.mark,
            Act::Redeem(r) => &r.mark,
            Act::Write { .. } => "",
        };
        Known {
            act,
            mark,
            mark_is_ours: false,
            sent,
            mature: c.elapsed_ms >= 60_000,
            alive: sent.map(|s| Span { latest_ms: s.latest_ms + 60_000, ..s }),
            alone: c.alone,
        }
    }

    /// The circumstances of a command, for the one who judges its fate.
    pub(crate) fn circumstances(&self, id: &str) -> Circumstances {
        let mut book = self.book();
        let boot = book.journal.as_mut().map(|j| j.boot().to_owned()).unwrap_or_default();
        let Some(entry) = book.entries.get(id) else {
            return Circumstances { started_at: None, elapsed_ms: 0, alone: false };
        };
        let now = sys::boot_ms();
        Circumstances {
            started_at: Some(entry.started_at).filter(|_| entry.platform_time),
            // After a restart of the system at least its own running time has passed.
            elapsed_ms: if entry.boot == boot { now.saturating_sub(entry.up_ms) } else { now },
            alone: !book.entries.iter().any(|(other, e)| other != id && e.act.same_item(&entry.act)),
        }
    }

    /// Whether this order belongs to another command than this one.
    pub(crate) fn claimed(&self, order_no: &str, id: &str) -> bool {
        let book = self.book();
        book.entries.iter().any(|(other, e)| other != id && e.receipt.order_no == order_no)
    }

    /// The unsettled commands, the oldest first.
    pub(crate) fn pending(&self) -> Result<Vec<Command>> {
        self.listed(|state| matches!(state, State::Unknown | State::InFlight))
    }

    /// All that are remembered, the oldest first.
    pub(crate) fn remembered(&self) -> Result<Vec<Command>> {
        self.listed(|_| true)
    }

    fn listed(&self, wanted: fn(State) -> bool) -> Result<Vec<Command>> {
        self.inside(Deadline::after(LOCK_MS), |book| {
            book.whole()?;
            book.bury_orphans();
            let mut all: Vec<Command> = book
                .entries
                .iter()
                .filter(|(_, e)| wanted(e.state))
                .map(|(id, e)| e.command(id, true))
                .collect();
            all.sort_by_key(|c| c.sequence);
            Ok(all)
        })
    }

    /// Refuses what may not happen while a command of this order is not settled. One whose order is not known may be
    /// of any.
    pub(crate) fn refuse_unsettled_order(&self, order_no: &str) -> Result<()> {
        self.inside(Deadline::after(LOCK_MS), |book| {
            book.whole()?;
            book.bury_orphans();
            let settled =
                book.entries.values().any(|e| e.state == State::Done && e.receipt.order_no == order_no);
            let blocking = book.entries.iter().find(|(_, e)| {
                if !matches!(e.state, State::Unknown | State::InFlight) {
                    return false;
                }
                match e.act.order_no() {
                    "" => !settled && !matches!(e.act, Act::Write { .. }),
                    named => named == order_no,
                }
            });
            match blocking {
                Some((id, _)) => Err(blocked(id, "no refund before that")),
                None => Ok(()),
            }
        })
        .map_err(not_done)
    }

    /// Records how an unknown command ended, by whoever found out.
    pub(crate) fn settle(&self, id: &str, end: &End) -> Result<()> {
        self.inside(Deadline::after(LOCK_MS), |book| {
            book.bury_orphans();
            let entry = book.entries.get(id).ok_or_else(|| {
                Error::new(KL_E_NOT_FOUND, ["no command of the name ", id, " is recorded"].concat())
            })?;
            let told = match end.outcome {
                Outcome::Done => State::Done,
                _ => State::NotDone,
            };
            match entry.state {
                State::InFlight => return Err(in_flight(id)),
                // Told twice.
                known if known == told => return Ok(()),
                State::Unknown => {}
                _ => {
                    return Err(Error::new(
                        KL_E_REQUEST_ID,
                        [
                            "request_id ",
                            id,
                            " is settled already, the other way; only an unknown one can be settled",
                        ]
                        .concat(),
                    ));
                }
            }
            let order_no = end.receipt.order_no.clone();
            book.record(ended(id, end))?;
            book.take_early(id, &order_no);
            Ok(())
        })
    }

    /// Records what a machine did. False if no command is known that it can be about.
    pub(crate) fn moved(&self, moved: &Moved) -> bool {
        let known = self.inside(Deadline::after(LOCK_MS), |book| {
            let found = book.entries.iter().find(|(_, e)| {
                matches!(e.act, Act::Door(_))
                    && e.state == State::Done
                    && e.receipt.order_no == moved.order_no
                    && (moved.item_no.is_empty() || e.receipt.item_no == moved.item_no)
            });
            let Some((id, entry)) = found else { return Ok(false) };
            let id = id.clone();
            if moved.physical == Physical::Pending {
                // The hint itself is the news.
                book.changes += 1;
                if let Some(entry) = book.entries.get_mut(&id) {
                    entry.hinted = true;
                }
            } else if entry.physical == Physical::Pending {
                book.owe(movement(&id, moved.physical, &moved.error));
            } else if entry.physical != moved.physical {
                log_line!(Warn, "order {}: a later report contradicts what the machine did", moved.order_no);
            }
            Ok(true)
        });
        match known {
            Ok(true) => true,
            other => {
                if let Err(e) = other {
                    log_line!(Warn, "a report of the machine could not be recorded: {}", e.message());
                }
                let mut book = self.book();
                if book.early.len() == EARLY {
                    book.early.pop_front();
                }
                book.early.push_back(moved.clone());
                false
            }
        }
    }

    /// Records what a query found out about a movement.
    pub(crate) fn set_physical(&self, id: &str, physical: Physical, error: &str) {
        let recorded = self.inside(Deadline::after(LOCK_MS), |book| {
            if book.entries.get(id).is_some_and(|e| e.physical == Physical::Pending) {
                book.owe(movement(id, physical, error));
            }
            Ok(())
        });
        if let Err(e) = recorded {
            log_line!(Warn, "what the machine did could not be recorded: {}", e.message());
        }
    }

    /// Whether somebody said since the last time that there is news of its movement.
    pub(crate) fn hinted(&self, id: &str) -> bool {
        self.book().entries.get_mut(id).is_some_and(|e| std::mem::take(&mut e.hinted))
    }

    /// Counts up whenever something changes.
    pub(crate) fn changes(&self) -> u64 {
        self.book().changes
    }

    /// Waits for a change after `seen`, or for the time.
    pub(crate) fn wait(&self, seen: u64, time: Duration) {
        let book = self.book();
        let _ = self.0.changed.wait_timeout_while(book, time, |book| book.changes == seen);
    }

    /// Wakes those who wait, so that they see that they were cancelled.
    pub(crate) fn wake(&self) {
        self.book().changes += 1;
        self.0.changed.notify_all();
    }

    /// Syncs the ends that came since the last intent: for calls in which nobody waits for a door.
    pub(crate) fn flush(&self) {
        let file = self.book().journal.as_mut().and_then(Journal::unsynced);
        if let Some(Err(e)) = file.map(|file| file.sync_data()) {
            log_line!(Warn, "the journal could not be synced: {e}");
        }
    }

    /// How the journal does.
    pub(crate) fn info(&self) -> Result<JournalInfo> {
        self.inside(Deadline::after(LOCK_MS), |book| {
            book.bury_orphans();
            let unsettled =
                book.entries.values().filter(|e| matches!(e.state, State::Unknown | State::InFlight)).count()
                    as u64;
            let journal = book.journal.as_ref();
            Ok(JournalInfo {
                path: journal.map(Journal::path).unwrap_or_default(),
                bytes: journal.map_or(0, Journal::size),
                settled: book.entries.len() as u64 - unsettled,
                unsettled,
                syncs: book.syncs,
                sync_last_us: book.sync_last_us,
                sync_max_us: book.sync_max_us,
                sync_total_us: book.sync_total_us,
                damage: journal.and_then(Journal::damage).unwrap_or_default().to_owned(),
                ..JournalInfo::default()
            })
        })
    }

    /// Puts a damaged journal aside and goes on with what could be read of it. Gives the old one's new name; `None` if
    /// nothing was damaged.
    pub(crate) fn repair(&self) -> Result<Option<PathBuf>> {
        self.inside(Deadline::after(LOCK_MS), |book| {
            let records = snapshot(&book.entries);
            match &mut book.journal {
                Some(journal) if journal.damage().is_some() => journal.repair(&records).map(Some),
                _ => Ok(None),
            }
        })
    }
}

impl Book {
    fn enter(&mut self, deadline: Deadline) -> Result<()> {
        let Some(mut journal) = self.journal.take() else { return Ok(()) };
        let mut anew = false;
        let outcome = journal.enter(deadline, &mut |found| match found {
            Found::Anew => {
                self.entries.clear();
                anew = true;
            }
            Found::Record(json) => self.apply(json),
        });
        self.journal = Some(journal);
        if anew {
            for rest in std::mem::take(&mut self.debt) {
                self.apply_text(&numbered(0, &rest));
                self.debt.push(rest);
            }
        }
        outcome
    }

    fn whole(&self) -> Result<()> {
        match self.journal.as_ref().and_then(Journal::damage) {
            None => Ok(()),
            Some(what) => Err(Error::new(
                KL_E_JOURNAL_DAMAGED,
                format!("the journal is damaged: {what}; what it knew there is not known any more"),
            )),
        }
    }

    /// Appends a record and applies it. The file is to be synced before an intent is acted upon.
    fn record(&mut self, rest: String) -> Result<Option<Arc<std::fs::File>>> {
        if self.journal.is_none() {
            self.last += 1;
            self.apply_text(&numbered(self.last, &rest));
            self.trim();
            return Ok(None);
        }
        // What could not be written before comes first.
        while let (Some(owed), Some(journal)) = (self.debt.first(), &mut self.journal) {
            let text = numbered(journal.next(), owed);
            journal.append(&text, &|| snapshot(&self.entries))?;
            self.debt.remove(0);
            self.apply_text(&text);
        }
        let Some(journal) = &mut self.journal else { return Ok(None) };
        let text = numbered(journal.next(), &rest);
        let file = journal.append(&text, &|| snapshot(&self.entries))?;
        self.apply_text(&text);
        Ok(Some(file))
    }

    /// The same for a record that must not be lost though the disk may refuse it now.
    fn owe(&mut self, rest: String) {
        if let Err(e) = self.record(rest.clone()) {
            log_line!(Error, "{}; it is kept in memory until it can be written", e.message());
            self.apply_text(&numbered(0, &rest));
            self.debt.push(rest);
        }
    }

    /// One that was written just now.
    fn apply_text(&mut self, text: &str) {
        self.apply(Json::written(text));
    }

    /// One record. What a later library may add is passed over.
    fn apply(&mut self, json: Json<'_>) {
        let Ok(o) = json.object() else { return };
        let text = |key: &str| o.string(&[key]).ok().flatten().unwrap_or_default();
        let int = |key: &str| o.int(&[key]).ok().flatten().unwrap_or(0);
        let n = int("n") as u64;
        let id = text("id");
        let kind = text("k");
        self.changes += 1;
        if kind == "intent" || kind == "was" {
            let entry = Entry {
                n,
                act: Act::read(&o, &id),
                owner: int("owner") as u64,
                boot: text("boot"),
                up_ms: int("up") as u64,
                started_at: int("t"),
                platform_time: int("pt") != 0,
                sent_n: 0,
                end_n: 0,
                moved_n: 0,
                state: State::InFlight,
                receipt: Receipt::default(),
                by: SettledBy::Nobody,
                status: KL_E_IN_FLIGHT,
                message: "it is under way".to_owned(),
                physical: Physical::None,
                physical_error: String::new(),
                hinted: false,
                short: kind == "was",
            };
            self.entries.insert(id.clone(), entry);
        }
        let Some(entry) = self.entries.get_mut(&id) else { return };
        match kind.as_str() {
            "sent" => entry.sent_n = n,
            // All of a command in one record.
            "end" | "was" => {
                entry.end_n = n;
                entry.state = match text("outcome").as_str() {
                    "done" => State::Done,
                    "not_done" => State::NotDone,
                    _ => State::Unknown,
                };
                entry.by = settled_by(int("by"));
                entry.status = int("status") as kl_status;
                entry.message = text("message");
                entry.receipt = Receipt {
                    order_no: text("receipt_no"),
                    item_no: text("receipt_item"),
                    delivery_no: text("delivery_no"),
                    notify_url: text("report_url"),
                    json: text("json"),
                };
                entry.physical = physical(int("physical"));
            }
            "moved" => {
                entry.moved_n = n;
                entry.physical = physical(int("physical"));
                entry.physical_error = text("error");
            }
            _ => {}
        }
    }

    /// What another process had under way when it ended: not sent for certain, or unknown.
    fn bury_orphans(&mut self) {
        let Some(journal) = &mut self.journal else { return };
        let (own, boot) = (journal.own().unwrap_or(0), journal.boot().to_owned());
        let orphans: Vec<(String, bool)> = self
            .entries
            .iter()
            .filter(|(_, e)| e.state == State::InFlight && e.owner != own)
            .filter(|(_, e)| !journal.alive(e.owner))
            .map(|(id, e)| (id.clone(), e.sent_n == 0 && !boot.is_empty() && e.boot == boot))
            .collect();
        for (id, never_sent) in orphans {
            let end = if never_sent {
                // Written by the same running system, so the record of the sending would be here.
                End {
                    outcome: Outcome::NotDone,
                    by: SettledBy::Journal,
                    receipt: Receipt::default(),
                    physical: Physical::None,
                    status: KL_E_CANCELLED,
                    message: "the process ended before anything was sent".to_owned(),
                }
            } else {
                End {
                    outcome: Outcome::Unknown,
                    by: SettledBy::Nobody,
                    receipt: Receipt::default(),
                    physical: Physical::None,
                    status: KL_E_LOST,
                    message: "the process or the power ended before the answer came".to_owned(),
                }
            };
            self.owe(ended(&id, &end));
        }
    }

    /// At one door, for one code and for one order there is one unsettled command.
    fn refuse_conflicts(&self, id: &str, act: &Act) -> Result<()> {
        let other = self.entries.iter().find(|(other, e)| {
            other.as_str() != id
                && matches!(e.state, State::Unknown | State::InFlight)
                && e.act.conflicts_with(act)
        });
        match other {
            None => Ok(()),
            Some((other, e)) if e.state == State::InFlight => Err(not_done(Error::new(
                KL_E_BUSY,
                [
                    "the command ",
                    other,
                    " is under way at the same door, for the same code or order; nothing was sent",
                ]
                .concat(),
            ))),
            Some((other, _)) => Err(not_done(blocked(other, "nothing was sent"))),
        }
    }

    /// Writes the journal anew when it has grown; refuses when it is full of what is unsettled.
    fn make_room(&mut self) -> Result<()> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        let due = self.compact_at.clamp(journal::COMPACT_AT, journal::LARGEST);
        if journal.size() >= due && journal.damage().is_none() {
            let mut settled: Vec<(u64, String)> = self
                .entries
                .iter()
                .filter(|(_, e)| matches!(e.state, State::Done | State::NotDone))
                .map(|(id, e)| (e.n, id.clone()))
                .collect();
            // The newest first.
            settled.sort_unstable_by_key(|(n, _)| std::cmp::Reverse(*n));
            let mut kept = 0;
            for (place, (_, id)) in settled.into_iter().enumerate() {
                let Some(entry) = self.entries.get_mut(&id) else { continue };
                if place >= WHOLE || kept > journal::KEEP / 3 {
                    entry.shorten();
                }
                kept += entry.records(&id).iter().map(|(_, r)| r.len() + 16).sum::<usize>();
                if kept > journal::KEEP {
                    self.entries.remove(&id);
                }
            }
            journal.replace(&snapshot(&self.entries))?;
            self.compact_at = journal.size() + 32 * 1024;
        }
        if journal.size() >= journal::LARGEST {
            return Err(Error::new(
                KL_E_JOURNAL_FULL,
                "the journal: unsettled commands fill it; settle them (kl_command_pending)",
            ));
        }
        Ok(())
    }

    /// Without a journal memory is the bound.
    fn trim(&mut self) {
        if self.entries.len() < REMEMBERED * 2 {
            return;
        }
        let mut settled: Vec<u64> = self
            .entries
            .values()
            .filter(|e| matches!(e.state, State::Done | State::NotDone))
            .map(|e| e.n)
            .collect();
        settled.sort_unstable();
        let oldest = settled.len().saturating_sub(REMEMBERED).checked_sub(1).map_or(0, |i| settled[i]);
        self.entries.retain(|_, e| e.n > oldest || !matches!(e.state, State::Done | State::NotDone));
    }

    /// A report that came before the answer to its command.
    fn take_early(&mut self, id: &str, order_no: &str) {
        let item_no = self.entries.get(id).map(|e| e.receipt.item_no.clone()).unwrap_or_default();
        let found = self.early.iter().position(|m| {
            !order_no.is_empty() && m.order_no == order_no && (m.item_no.is_empty() || m.item_no == item_no)
        });
        let Some(moved) = found.and_then(|i| self.early.remove(i)) else { return };
        if self.entries.get(id).is_some_and(|e| e.physical == Physical::Pending)
            && moved.physical != Physical::Pending
        {
            self.owe(movement(id, moved.physical, &moved.error));
        }
    }

    fn synced(&mut self, took: Duration) {
        let us = took.as_micros() as u64;
        self.syncs += 1;
        self.sync_last_us = us;
        self.sync_max_us = self.sync_max_us.max(us);
        self.sync_total_us += us;
    }
}

impl Drop for Book {
    fn drop(&mut self) {
        // Nobody waits for this one: what ended since the last intent survives a power cut too.
        if let Some(journal) = &mut self.journal {
            if let Some(Err(e)) = journal.unsynced().map(|file| file.sync_data()) {
                log_line!(Warn, "the journal could not be synced: {e}");
            }
        }
    }
}

impl Ticket<'_> {
    /// To be called when the first byte is about to leave: from here on the command may happen.
    pub(crate) fn sending(&self) -> Result<()> {
        if self.sent.load(Ordering::Relaxed) {
            return Ok(());
        }
        let rest = {
            let mut w = Writer::new();
            w.text("k", "sent").text("id", &self.request_id);
            w.finish()
        };
        self.commands.inside(Deadline::after(LOCK_MS), |book| book.record(rest))?;
        self.sent.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// What an error means for the command: that its repetition did nothing says nothing about the first try.
    pub(crate) fn doubt(&self, error: Error) -> Error {
        if !self.again || error.details().outcome != Outcome::NotDone {
            return error;
        }
        unknown(error.with(|d| d.message.push_str("; what became of the first try is still not known")))
    }

    /// Records how it ended and gives the command, or what went wrong. *Not done* frees the name: the caller may try
    /// again. `moves` says that a machine has something to do now.
    pub(crate) fn settle(mut self, outcome: Result<Receipt>, moves: bool) -> Result<Command> {
        self.settled = true;
        let by = if self.again { SettledBy::Query } else { SettledBy::Answer };
        let end = match &outcome {
            Ok(receipt) => End {
                outcome: Outcome::Done,
                by,
                receipt: receipt.clone(),
                physical: if moves { Physical::Pending } else { Physical::None },
                status: KL_OK,
                message: String::new(),
            },
            Err(e) => {
                let outcome = match e.details().outcome {
                    Outcome::NotDone => Outcome::NotDone,
                    _ => Outcome::Unknown,
                };
                End {
                    outcome,
                    by: if outcome == Outcome::NotDone { by } else { SettledBy::Nobody },
                    receipt: Receipt::default(),
                    physical: Physical::None,
                    status: e.status(),
                    message: e.message().to_owned(),
                }
            }
        };
        self.close(&end);
        let receipt = outcome?;
        let book = self.commands.book();
        let entry = book.entries.get(&self.request_id).ok_or_else(|| {
            Error::new(KL_E_INTERNAL, "a command is gone that was just done")
                .with(|d| d.outcome = Outcome::Done)
        })?;
        // The record may be shorter than the answer.
        Ok(Command { receipt, ..entry.command(&self.request_id, false) })
    }

    fn close(&self, end: &End) {
        let rest = ended(&self.request_id, end);
        let still_unknown = self.again && end.outcome == Outcome::Unknown;
        let close = |book: &mut Book| {
            if still_unknown {
                // Nothing new to be recorded.
                if let Some(entry) = book.entries.get_mut(&self.request_id) {
                    entry.state = State::Unknown;
                    entry.status = end.status;
                    entry.message.clone_from(&end.message);
                }
                book.changes += 1;
                return;
            }
            book.owe(rest.clone());
            book.take_early(&self.request_id, &end.receipt.order_no);
        };
        let closed = self.commands.inside(Deadline::after(LOCK_MS), |book| {
            close(book);
            Ok(())
        });
        if let Err(e) = closed {
            log_line!(Error, "how {} ended cannot be recorded yet: {}", self.request_id, e.message());
            let mut book = self.commands.book();
            if still_unknown {
                close(&mut book);
            } else {
                book.apply_text(&numbered(0, &rest));
                book.debt.push(rest);
            }
            drop(book);
            self.commands.0.changed.notify_all();
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.close(&End {
                outcome: Outcome::Unknown,
                by: SettledBy::Nobody,
                receipt: Receipt::default(),
                physical: Physical::None,
                status: KL_E_INTERNAL,
                message: "the call ended in an internal error".to_owned(),
            });
        }
    }
}

impl Entry {
    fn command(&self, id: &str, recorded: bool) -> Command {
        Command {
            request_id: id.to_owned(),
            receipt: self.receipt.clone(),
            recorded,
            kind: self.act.kind(),
            act: self.act.clone(),
            outcome: match self.state {
                State::Done => Outcome::Done,
                State::NotDone => Outcome::NotDone,
                State::Unknown | State::InFlight => Outcome::Unknown,
            },
            physical: self.physical,
            physical_error: self.physical_error.clone(),
            settled_by: self.by,
            status: if self.state == State::InFlight { KL_E_IN_FLIGHT } else { self.status },
            message: self.message.clone(),
            sequence: self.n,
            started_at: self.started_at,
            sent_at: 0,
            age_ms: 0,
            mature_in_ms: 0,
            visit_id: self.act.belongs_to().0.to_owned(),
            context: self.act.belongs_to().1.to_owned(),
            mark: String::new(),
        }
    }

    fn end(&self) -> End {
        End {
            outcome: match self.state {
                State::Done => Outcome::Done,
                State::NotDone => Outcome::NotDone,
                _ => Outcome::Unknown,
            },
            by: self.by,
            receipt: self.receipt.clone(),
            physical: self.physical,
            status: self.status,
            message: self.message.clone(),
        }
    }

    /// Leaves of a settled command what answers a repetition: what it was about, how it ended, the platform's numbers.
    fn shorten(&mut self) {
        self.short = true;
        self.receipt.json.clear();
        self.receipt.notify_url.clear();
        if self.state == State::Done {
            self.message.clear();
        }
        match &mut self.act {
            Act::Door(r) => {
                r.user_id.clear();
                r.notify_url.clear();
                r.extra_json = None;
            }
            Act::Redeem(r) => {
                r.trade_no.clear();
                r.notify_url.clear();
                r.redeemer.clear();
                r.extra_json = None;
            }
            Act::Write { .. } => {}
        }
    }

    /// Its records as they are written, with their numbers.
    fn records(&self, id: &str) -> Vec<(u64, String)> {
        if self.short {
            let mut w = Writer::new();
            w.text("k", "was").text("id", id);
            self.act.write(&mut w);
            w.int("t", self.started_at);
            self.end().write(&mut w);
            return vec![(self.n, numbered(self.n, &w.finish()))];
        }
        let began = Began { at: self.started_at, platform_time: self.platform_time };
        let rest = intent(id, &self.act, self.owner, &self.boot, self.up_ms, began);
        let mut all = vec![(self.n, numbered(self.n, &rest))];
        if self.sent_n != 0 {
            let mut w = Writer::new();
            w.text("k", "sent").text("id", id);
            all.push((self.sent_n, numbered(self.sent_n, &w.finish())));
        }
        if self.end_n != 0 {
            let mut end = self.end();
            if self.moved_n != 0 {
                end.physical = Physical::Pending;
            }
            all.push((self.end_n, numbered(self.end_n, &ended(id, &end))));
        }
        if self.moved_n != 0 {
            let rest = movement(id, self.physical, &self.physical_error);
            all.push((self.moved_n, numbered(self.moved_n, &rest)));
        }
        all
    }
}

impl Act {
    /// Which kind it is.
    pub fn kind(&self) -> CommandKind {
        match self {
            Act::Door(_) => CommandKind::Door,
            Act::Redeem(_) => CommandKind::Redeem,
            Act::Write { .. } => CommandKind::Write,
        }
    }

    /// The visit, and the caller's own words.
    fn belongs_to(&self) -> (&str, &str) {
        match self {
            Act::Door(r) => (&r.visit_id, &r.context),
            Act::Redeem(r) => (&r.visit_id, &r.context),
            Act::Write { .. } => ("", ""),
        }
    }

    /// What it is about, for comparing: the same name must stand for the same.
    fn target(&self) -> String {
        let parts: [&str; 5] = match self {
            Act::Door(r) => ["door", &r.cabinet_id, &r.door, &r.item_no, &r.order_no],
            Act::Redeem(r) => ["code", &r.cabinet_id, &r.code, &r.product_id, ""],
            Act::Write { verb, order_no, trade_no, digest } => [verb, order_no, trade_no, digest, ""],
        };
        parts.join("\u{1f}")
    }

    /// The platform's order that it is about, as far as the request says so.
    fn order_no(&self) -> &str {
        match self {
            // A door's own order_no is the platform's only where an item is named.
            Act::Door(r) if !r.item_no.is_empty() => &r.order_no,
            Act::Write { order_no, .. } => order_no,
            _ => "",
        }
    }

    fn same_item(&self, other: &Act) -> bool {
        match (self, other) {
            (Act::Door(a), Act::Door(b)) => {
                !a.item_no.is_empty()
                    && (&a.cabinet_id, &a.order_no, &a.item_no) == (&b.cabinet_id, &b.order_no, &b.item_no)
            }
            _ => false,
        }
    }

    fn conflicts_with(&self, other: &Act) -> bool {
        match (self, other) {
            (Act::Door(a), Act::Door(b)) if a.item_no.is_empty() && b.item_no.is_empty() => {
                a.cabinet_id == b.cabinet_id && (a.door == b.door || a.door.is_empty() || b.door.is_empty())
            }
            (Act::Door(_), Act::Door(_)) => self.same_item(other),
            (Act::Redeem(a), Act::Redeem(b)) => {
                (&a.code, a.kind, &a.cabinet_id) == (&b.code, b.kind, &b.cabinet_id)
            }
            (
                Act::Write { verb, order_no, trade_no, .. },
                Act::Write { verb: v, order_no: o, trade_no: t, .. },
            ) => (verb, order_no, trade_no) == (v, o, t) && !(order_no.is_empty() && trade_no.is_empty()),
            _ => false,
        }
    }

    fn write(&self, w: &mut Writer) {
        match self {
            Act::Door(r) => {
                w.text("act", "door")
                    .text("cabinet_id", &r.cabinet_id)
                    .text("door", &r.door)
                    .text("user_id", &r.user_id)
                    .text("order_no", &r.order_no)
                    .text("item_no", &r.item_no)
                    .text("notify_url", &r.notify_url)
                    .text("extra_json", r.extra_json.as_deref().unwrap_or_default())
                    .text("visit_id", &r.visit_id)
                    .text("context", &r.context);
            }
            Act::Redeem(r) => {
                w.text("act", "redeem")
                    .int("kind", r.kind as i64)
                    .text("code", &r.code)
                    .text("cabinet_id", &r.cabinet_id)
                    .text("product_id", &r.product_id)
                    .text("trade_no", &r.trade_no)
                    .text("notify_url", &r.notify_url)
                    .text("redeemer", &r.redeemer)
                    .text("extra_json", r.extra_json.as_deref().unwrap_or_default())
                    .text("visit_id", &r.visit_id)
                    .text("context", &r.context);
            }
            Act::Write { verb, order_no, trade_no, digest } => {
                w.text("act", verb)
                    .text("order_no", order_no)
                    .text("trade_no", trade_no)
                    .text("digest", digest);
            }
        }
    }

    fn read(o: &Object<'_>, id: &str) -> Act {
        let text = |key: &str| o.string(&[key]).ok().flatten().unwrap_or_default();
        let extra_json = Some(text("extra_json")).filter(|t| !t.is_empty());
        match text("act").as_str() {
            "door" => Act::Door(DoorRequest {
                request_id: id.to_owned(),
                cabinet_id: text("cabinet_id"),
                door: text("door"),
                user_id: text("user_id"),
                order_no: text("order_no"),
                item_no: text("item_no"),
                notify_url: text("notify_url"),
                ttl_ms: 0,
                extra_json,
                visit_id: text("visit_id"),
                context: text("context"),
                ..DoorRequest::default()
            }),
            "redeem" => Act::Redeem(RedeemRequest {
                request_id: id.to_owned(),
                kind: match o.int(&["kind"]).ok().flatten() {
                    Some(1) => CodeKind::Virtual,
                    Some(2) => CodeKind::Voucher,
                    _ => CodeKind::Pickup,
                },
                code: text("code"),
                cabinet_id: text("cabinet_id"),
                product_id: text("product_id"),
                trade_no: text("trade_no"),
                notify_url: text("notify_url"),
                redeemer: text("redeemer"),
                ttl_ms: 0,
                extra_json,
                visit_id: text("visit_id"),
                context: text("context"),
                ..RedeemRequest::default()
            }),
            verb => Act::Write {
                verb: verb.to_owned(),
                order_no: text("order_no"),
                trade_no: text("trade_no"),
                digest: text("digest"),
            },
        }
    }
}

/// A record with its number in front.
fn numbered(n: u64, rest: &str) -> String {
    ["{\"n\":", &n.to_string(), ",", rest.strip_prefix('{').unwrap_or(rest)].concat()
}

fn intent(id: &str, act: &Act, owner: u64, boot: &str, up_ms: u64, began: Began) -> String {
    let mut w = Writer::new();
    w.text("k", "intent").text("id", id);
    act.write(&mut w);
    w.int("t", began.at);
    if began.platform_time {
        w.int("pt", 1);
    }
    w.int("up", up_ms as i64);
    if owner != 0 {
        w.int("owner", owner as i64).text("boot", boot);
    }
    w.finish()
}

fn ended(id: &str, end: &End) -> String {
    let mut w = Writer::new();
    w.text("k", "end").text("id", id);
    end.write(&mut w);
    w.finish()
}

impl End {
    fn write(&self, w: &mut Writer) {
        let outcome = match self.outcome {
            Outcome::Done => "done",
            Outcome::NotDone => "not_done",
            _ => "unknown",
        };
        let r = &self.receipt;
        w.text("outcome", outcome).int("by", self.by as i64);
        if self.status != KL_OK {
            w.int("status", self.status.into());
        }
        // Whatever a platform repeated in its words: no secret comes to rest on the disk.
        w.text("message", &log::mask(&self.message))
            .text("receipt_no", &r.order_no)
            .text("receipt_item", &r.item_no)
            .text("delivery_no", &r.delivery_no)
            .text("report_url", &r.notify_url)
            .text("json", if r.json.len() <= JSON_KEPT { &r.json } else { "" });
        if self.physical != Physical::None {
            w.int("physical", self.physical as i64);
        }
    }
}

fn movement(id: &str, physical: Physical, error: &str) -> String {
    let mut w = Writer::new();
    w.text("k", "moved").text("id", id).int("physical", physical as i64).text("error", &log::mask(error));
    w.finish()
}

/// Everything that is known, in the order in which it became known.
fn snapshot(entries: &HashMap<String, Entry>) -> Vec<String> {
    let mut all: Vec<(u64, String)> = entries.iter().flat_map(|(id, e)| e.records(id)).collect();
    all.sort_unstable_by_key(|(n, _)| *n);
    all.into_iter().map(|(_, record)| record).collect()
}

fn physical(number: i64) -> Physical {
    match number {
        1 => Physical::Pending,
        2 => Physical::Confirmed,
        3 => Physical::Failed,
        4 => Physical::Unknowable,
        _ => Physical::None,
    }
}

fn settled_by(number: i64) -> SettledBy {
    match number {
        1 => SettledBy::Answer,
        2 => SettledBy::Query,
        3 => SettledBy::Event,
        4 => SettledBy::Sensor,
        5 => SettledBy::Person,
        6 => SettledBy::Journal,
        _ => SettledBy::Nobody,
    }
}

fn in_flight(id: &str) -> Error {
    Error::new(KL_E_IN_FLIGHT, ["request_id ", id, " is under way; nothing was sent"].concat())
        .with(|d| d.outcome = Outcome::Unknown)
}

fn blocked(id: &str, so: &str) -> Error {
    Error::new(
        KL_E_BLOCKED,
        ["what became of the command ", id, " is not known: resolve or settle it first; ", so].concat(),
    )
}

fn unsettled(id: &str, entry: &Entry) -> Error {
    let why = &entry.message;
    Error::new(
        KL_E_UNSETTLED,
        ["what became of request_id ", id, " is not known (", why, "); nothing was sent"].concat(),
    )
    .with(|d| d.outcome = Outcome::Unknown)
}

/// The error of a command of which nothing happened.
pub(crate) fn not_done(error: Error) -> Error {
    error.with(|d| d.outcome = Outcome::NotDone)
}

/// The error of a command that may have happened.
pub(crate) fn unknown(error: Error) -> Error {
    error.with(|d| {
        d.outcome = Outcome::Unknown;
        d.advice = Advice::AskFirst;
    })
}
