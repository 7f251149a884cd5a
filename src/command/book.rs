//! The commands of one account: the state that the records show, the log that keeps them, the one way in.
//!
//! Every change is a record. It is appended to the log first and then applied to the state, by the code that also reads the
//! log after a restart. Which records there may be, `rules` decides; here is only when and how they are written.
//!
//! Locks, in this order: the gate (turn in the process, lock among processes), then the book's mutex. The mutex is never
//! held while somebody waits for the gate or the disk is synced. Whoever waits for news or cancels takes neither.

use super::ledger::Keeper;
#[cfg(not(feature = "ledger"))]
use super::ledger::Ledger;
use super::record::*;
use super::rules::{self, Decision, Entry, Now, Refusal, Stage, State};
use super::tries::Tries;
use super::*;
use super::{Known, Span};
use crate::cancel::CancelToken;
use crate::error::Result;
use crate::log::log_line;
use crate::process::{self, PerProcess};
use crate::store::file::Folder;
use crate::store::gate::{Gate, Pass};
use crate::store::identity::Identity;
use crate::store::journal::{Found, Journal, LARGEST, SyncHandle, Synced};
use crate::switch::off;
use crate::sys;
use crate::time::Deadline;
use crate::time::clock::device_ms;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// How many settled commands are remembered without a journal before the rules forget some.
const IN_MEMORY: usize = 16_384;
/// Without a journal: the rules forget when there are so many more.
const MEMORY_STEP: usize = 4096;
/// The journal is written anew when it is this long, and so much longer for each done name that is remembered.
const COMPACT_AT: u64 = 352 * 1024;
const BYTES_A_NAME: u64 = 30;
/// And not again before it has grown by so much.
const COMPACT_STEP: u64 = 256 * 1024;
/// That is done after an end. A command that is begun waits for it only if the journal is so much longer still.
const COMPACT_LATE: u64 = 128 * 1024;
/// So many commands may be unsettled: more is a fault that a person must see.
const UNSETTLED_MAX: usize = 512;
/// Reports of movement that came before the answer to their command.
const EARLY: usize = 64;
/// Names that were issued and not used yet.
const ISSUED: usize = 256;
/// How long a record that follows the sending waits for the gate.
const AFTERWARDS: Duration = Duration::from_millis(2000);
/// How long a command waits for the gate at most.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// How long the last owner waits for the gate to pay what is owed.
const AT_THE_END: Duration = Duration::from_millis(200);
/// What could not be written is tried again after this, and after longer pauses up to the next.
const DEBT_PAUSE: Duration = Duration::from_millis(250);
const DEBT_PAUSE_MAX: Duration = Duration::from_secs(5);
/// A debtor's thread needs little.
const DEBT_STACK: usize = 128 * 1024;

/// The commands of one account: of one client, or of all that share a journal.
#[derive(Clone)]
pub(crate) struct Commands(Arc<Shared>);

struct Shared {
    gate: Option<Arc<Gate>>,
    book: Mutex<Book>,
    news: News,
    /// Names that this process issued and nobody has used.
    issued: Mutex<VecDeque<String>>,
    debtor: AtomicBool,
    hands: Hands,
    durable: bool,
}

/// The claims that calls of this process have in hand. All clients of one journal share them, also one that a panic went
/// through and the one that came after it.
#[derive(Clone, Default)]
struct Hands(Arc<Mutex<Vec<u64>>>);

/// A claim in hand: it is laid down when this is dropped.
struct InHand {
    hands: Hands,
    number: u64,
}

/// Counts what others should look at. Its lock is held for moments only, never during I/O.
#[derive(Default)]
struct News {
    count: Mutex<Counted>,
    came: Condvar,
}

#[derive(Default)]
struct Counted {
    changes: u64,
    /// How many wait for the next: where nobody does, nobody is woken.
    waiting: usize,
}

struct Book {
    state: State,
    log: Log,
    hands: Hands,
    /// Records that could not be written yet.
    debt: VecDeque<Record>,
    early: VecDeque<Moved>,
    /// Commands of whose movement somebody says that there is news.
    hinted: Vec<String>,
    /// A record of the file that this library does not understand.
    trouble: Option<String>,
    tries: Tries,
    /// The journal is not written anew before it is so long.
    room_until: u64,
    syncs: u64,
    sync_last_us: u64,
    sync_max_us: u64,
    sync_total_us: u64,
}

/// Where the records are kept.
enum Log {
    /// In memory only: the number of the last record.
    Memory { last: u64, identity: Arc<Identity> },
    /// In a file.
    File(Box<Journal>),
    /// Where the program says; with the number of the last record.
    #[cfg_attr(not(feature = "ledger"), allow(dead_code))]
    Ledger { ledger: Keeper, last: u64, identity: Arc<Identity> },
}

/// What is to be synced.
enum Unsynced {
    File(SyncHandle),
    Ledger(Keeper),
}

impl Unsynced {
    #[cfg_attr(not(feature = "ledger"), allow(unreachable_code))]
    fn of(ledger: &Keeper) -> Option<Unsynced> {
        Some(Unsynced::Ledger(ledger.clone()))
    }

    fn sync(&self) -> Result<Synced> {
        match self {
            Unsynced::File(handle) => handle.sync(),
            Unsynced::Ledger(ledger) => {
                let begun = std::time::Instant::now();
                ledger.sync().map(|()| Synced::elsewhere(begun.elapsed()))
            }
        }
    }
}

/// How a call waits for the gate.
#[derive(Clone, Copy)]
pub(crate) struct Wait<'a> {
    pub patience: Deadline,
    pub token: &'a CancelToken,
}

/// A command to be begun.
pub(crate) struct Request<'a> {
    pub id: &'a str,
    pub act: Act,
    /// The caller's own number for it, if there is one.
    pub own_number: &'a str,
    pub hold_ms: u32,
    /// The most guesses of codes a minute; 0 for no bound.
    pub tries_a_minute: u32,
}

/// What is to be done with a command.
pub(crate) enum Begin<'a> {
    /// It was done before; this was the answer.
    Recorded(Box<Command>),
    /// It was sent before, and what became of it is not known: ask.
    Ask(Box<Error>),
    /// Send it, then say how it ended.
    Claimed(Claim<'a>),
}

/// What is to be done with a command that is kept.
pub(crate) enum Retry<'a> {
    /// Nothing now.
    Wait,
    /// Its time cannot be known without the platform's.
    AskTime,
    /// Send it within so many milliseconds, then say how it ended.
    Claimed(Box<(Claim<'a>, Act, Rest, u64)>),
}

/// The right to send one command once. Dropped without a word, the command is not done if nothing of it was to leave yet,
/// and unknown otherwise.
pub(crate) struct Claim<'a> {
    commands: &'a Commands,
    id: String,
    number: Cell<u64>,
    /// The number to be sent with it.
    pub(crate) mark: String,
    /// What the library needs to send it later if nothing can leave now; the platform's time in it is that of any moment of
    /// the call.
    pub(crate) keep: Option<Box<Keep>>,
    sent: AtomicBool,
    ended: bool,
    /// It is to be claimed with its sending.
    ahead: RefCell<Option<Box<Ahead>>>,
    /// What came of that, if it is not claimed.
    instead: RefCell<Option<Result<KnownName>>>,
    /// For its drop: after the end is recorded nobody has the claim in hand. `None` until it is claimed.
    in_hand: RefCell<Option<InHand>>,
}

/// The number to be sent with a command that is not claimed yet, and whose it is.
pub(crate) struct Drawn {
    pub(crate) mark: String,
    identity: Arc<Identity>,
}

/// A command that is claimed in the moment in which it is sent.
struct Ahead {
    act: Act,
    mark_is_ours: bool,
    hold_ms: u32,
    tries_a_minute: u32,
    /// Whose mark it bears.
    identity: Arc<Identity>,
}

/// What is known of a name that is to be sent.
enum Decided {
    /// Nothing that is in its way: the intent to be appended.
    New(Box<Intent>),
    Known(KnownName),
}

/// What is to be done with a name instead of sending it.
enum KnownName {
    Recorded(Box<Command>),
    Ask(Box<Error>),
}

impl From<KnownName> for Begin<'_> {
    fn from(known: KnownName) -> Self {
        match known {
            KnownName::Recorded(command) => Begin::Recorded(command),
            KnownName::Ask(why) => Begin::Ask(why),
        }
    }
}

/// All journals of this process, each with its place: the folder as the system knows it, and the name.
static SHARED: PerProcess<Mutex<Vec<Opened>>> = PerProcess::new();

type Place = ((u64, u64), String);
type Opened = (Place, Weak<Shared>);

impl Commands {
    /// Kept in memory only.
    pub(crate) fn in_memory() -> Result<Commands> {
        let log = Log::Memory { last: 0, identity: Arc::new(Identity::ephemeral()?) };
        Ok(Commands(Shared::new(None, log, Hands::default())))
    }

    /// Kept by the program.
    #[cfg(feature = "ledger")]
    pub(crate) fn kept_by(ledger: Keeper) -> Commands {
        let identity = Arc::new(Identity::of_secret(&ledger.secret()));
        let log = Log::Ledger { last: 0, identity, ledger };
        Commands(Shared::new(None, log, Hands::default()))
    }

    /// Kept in a journal, which all clients of this account in this process share.
    pub(crate) fn journaled(folder: Arc<Folder>, name: String, account: String) -> Result<Commands> {
        let id = folder.id().map_err(|e| Error::os(KL_E_STATE_DIR, "state_dir", &e))?;
        let place = (id, name.clone());
        let all = SHARED.get();
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.iter().find(|(at, _)| *at == place).and_then(|(_, shared)| shared.upgrade());
        if let Some(shared) = known.as_ref().filter(|shared| !shared.book.is_poisoned()) {
            return Ok(Commands(shared.clone()));
        }
        // One that a panic went through is lost; a new client reads the file. Its calls may still be under way, so it stays
        // known until there is that client.
        let hands = known.map(|shared| shared.hands.clone()).unwrap_or_default();
        all.retain(|(at, shared)| *at != place && shared.strong_count() > 0);
        let journal = Journal::new(folder, &name, &account);
        let shared = Shared::new(Some(journal.gate()), Log::File(Box::new(journal)), hands);
        all.push((place, Arc::downgrade(&shared)));
        Ok(Commands(shared))
    }

    /// Claims a `request_id` for an act, or says why nothing may be sent. The intent is appended, not synced: `sent` is
    /// durable before the first byte, and covers it.
    pub(crate) fn begin(&self, r: Request<'_>, wait: Wait<'_>) -> Result<Begin<'_>> {
        let id = r.id;
        if !is_name(id) {
            return Err(not_done(Error::new(KL_E_ARGUMENT, "request_id must be 1 to 128 bytes of text")));
        }
        let wait = Wait { patience: wait.patience.earlier(Deadline::after(LOCK_PATIENCE)), ..wait };
        let begun = self.inside(wait, |book, pass| {
            Ok(match book.decide(pass, r, None)? {
                Decided::Known(known) => known.into(),
                Decided::New(intent) => {
                    let mark = intent.mark.clone();
                    let number = book.record(pass, Record::Intent(*intent)).map_err(not_done)?;
                    Begin::Claimed(self.claim(id, number, mark, false))
                }
            })
        });
        self.begun(id, begun)
    }

    /// What came of a beginning, as an answer to the caller.
    fn begun<'a>(&self, id: &str, begun: Result<Begin<'a>>) -> Result<Begin<'a>> {
        let begun = begun.map_err(|e| self.outcome_of_trouble(id, e));
        self.used(id);
        begun
    }

    /// The mark of a command that is to be claimed with its sending, for [`Commands::ahead`]. `None` if it is to be begun as ever:
    /// the name is known, or the journal is still to be made.
    pub(crate) fn draw(&self, id: &str, own_number: &str) -> Option<Drawn> {
        let book = self.book().ok()?;
        let Log::File(journal) = &book.log else { return None };
        let identity = journal.known()?;
        if !is_name(id) || journal.own().is_none() || book.state.get(id).is_some() {
            return None;
        }
        let mark = if own_number.is_empty() { mark_of(&identity, id) } else { own_number.to_owned() };
        Some(Drawn { mark, identity })
    }

    /// A claim that is made with the sending, in one section: for a connection that stands already, where no time passes
    /// between the two. Nothing is written before.
    pub(crate) fn ahead(&self, drawn: Drawn, r: Request<'_>) -> Claim<'_> {
        let ahead = Ahead {
            act: r.act,
            mark_is_ours: r.own_number.is_empty(),
            hold_ms: r.hold_ms,
            tries_a_minute: r.tries_a_minute,
            identity: drawn.identity,
        };
        Claim {
            commands: self,
            id: r.id.to_owned(),
            number: Cell::new(0),
            mark: drawn.mark,
            keep: None,
            sent: AtomicBool::new(false),
            ended: false,
            ahead: RefCell::new(Some(Box::new(ahead))),
            instead: RefCell::default(),
            in_hand: RefCell::default(),
        }
    }

    /// Claims an unknown command for the repetition that is the platform's way to ask.
    pub(crate) fn again(&self, id: &str, wait: Wait<'_>) -> Result<Claim<'_>> {
        self.inside(wait, |book, pass| {
            book.sound()?;
            book.bury(pass);
            rules::again(&book.state, id).map_err(|refusal| book.refused(id, refusal))?;
            let mut intent = book.intent(pass, id)?;
            let e = book.state.get(id).ok_or_else(gone)?;
            let (sent, boot) = e.sent.clone().ok_or_else(gone)?;
            intent.earlier = Some(Earlier { at: sent.at, boot, left_ms: sent.left_ms, platform: e.span })
                .filter(|_| !off("again-doubt"));
            let mark = intent.mark.clone();
            let number = book.record(pass, Record::Intent(intent))?;
            Ok(self.claim(id, number, mark, true))
        })
        .map_err(unknown)
    }

    /// Claims one that is kept, if it may be sent now.
    pub(crate) fn later(&self, id: &str, platform: Option<Span>, wait: Wait<'_>) -> Result<Retry<'_>> {
        self.inside(wait, |book, pass| {
            book.sound()?;
            book.bury(pass);
            let left_ms = match rules::later(&book.state, id, platform, &book.now()) {
                rules::Due::Wait => return Ok(Retry::Wait),
                rules::Due::AskTime => return Ok(Retry::AskTime),
                rules::Due::Over(ended) => {
                    return book.record(pass, Record::Ended(*ended)).map(|_| Retry::Wait);
                }
                rules::Due::Claim(left_ms) => left_ms,
            };
            book.make_room(pass)?;
            let intent = book.intent(pass, id)?;
            let (act, mark) = (intent.act.clone(), intent.mark.clone());
            let rest = intent.keep.as_ref().and_then(|keep| keep.rest.clone()).ok_or_else(gone)?;
            let number = book.record(pass, Record::Intent(intent))?;
            Ok(Retry::Claimed(Box::new((self.claim(id, number, mark, false), act, rest, left_ms))))
        })
    }

    /// Those that are kept to be sent, the oldest first; also while somebody tries to send them.
    pub(crate) fn kept(&self, wait: Wait<'_>) -> Result<Vec<String>> {
        self.inside(wait, |book, pass| {
            book.bury(pass);
            Ok(book.state.kept().map(|(id, _)| id.to_owned()).collect())
        })
    }

    /// Whether anything is kept in a journal that is there.
    pub(crate) fn keeps_any(&self) -> bool {
        let there = match (&self.0.gate, self.book()) {
            (Some(_), Ok(book)) => matches!(&book.log, Log::File(journal) if journal.exists()),
            _ => false,
        };
        let token = CancelToken::never();
        let wait = Wait { patience: Deadline::after(AT_THE_END), token: &token };
        // Who cannot look now looks later.
        there && self.kept(wait).map_or_else(|e| e.status() == KL_E_JOURNAL_BUSY, |ids| !ids.is_empty())
    }

    /// Does this unless a kept one of this process is about to leave or has left: that one's answer is waited for.
    pub(crate) fn unless_leaving(&self, work: impl FnOnce()) {
        let Ok(book) = self.book() else { return work() };
        let leaves = |e: &Entry| e.stage == Stage::Sent && e.owner == book.log.own();
        if !book.state.kept().any(|(_, e)| leaves(e)) {
            work();
        }
    }

    /// Whether the records outlive the process.
    pub(crate) fn durable(&self) -> bool {
        self.0.durable
    }

    fn claim(&self, id: &str, number: u64, mark: String, sent: bool) -> Claim<'_> {
        let sent = AtomicBool::new(sent);
        Claim {
            commands: self,
            id: id.to_owned(),
            number: Cell::new(number),
            mark,
            keep: None,
            sent,
            ended: false,
            ahead: RefCell::default(),
            instead: RefCell::default(),
            in_hand: RefCell::new(Some(self.0.hands.take(number))),
        }
    }

    /// What the outcome of an error about this name is that came before anything was looked up or sent: the outcome belongs
    /// to the name, not to the call.
    pub(crate) fn outcome_of(&self, id: &str, error: Error, wait: Wait<'_>) -> Error {
        let never = self.inside(wait, |book, pass| {
            book.sound()?;
            book.bury(pass);
            let print = book.log.print(id);
            Ok(!book.state.knows(id, print.as_ref()))
        });
        match never {
            Ok(true) => not_done(error),
            Ok(false) => unknown(error),
            Err(e) => {
                log_line!(Warn, "{}", e.message());
                self.outcome_of_trouble(id, error.with(|d| d.outcome = Outcome::None))
            }
        }
    }

    /// The journal could not be asked: only a name that this process issued and that was never begun is known not to be done.
    fn outcome_of_trouble(&self, id: &str, error: Error) -> Error {
        if error.details().outcome != Outcome::None {
            return error;
        }
        if self.issued().iter().any(|name| name == id) { not_done(error) } else { unknown(error) }
    }

    /// A name that nobody has used: it bears the number of the journal's last record, so that it is known later whether it
    /// may have been forgotten.
    pub(crate) fn request_id_new(&self, wait: Wait<'_>) -> Result<String> {
        let number = self.inside(wait, |book, _| Ok(book.log.next()))?;
        let random: [u8; 8] = crate::store::random()?;
        let name = ["kl-", &number.to_string(), "-", &kiosklink_wire::hex::lower(&random)].concat();
        let mut issued = self.issued();
        if issued.len() == ISSUED {
            issued.pop_front();
        }
        issued.push_back(name.clone());
        Ok(name)
    }

    fn used(&self, id: &str) {
        self.issued().retain(|name| name != id);
    }

    fn issued(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is recorded of a command.
    pub(crate) fn get(&self, id: &str, wait: Wait<'_>) -> Result<Command> {
        self.inside(wait, |book, pass| {
            book.bury(pass);
            if let Some(command) = book.command(id) {
                // What was not done may have been tried again in the part that cannot be read.
                if command.outcome == Outcome::NotDone {
                    book.sound()?;
                }
                return Ok(command);
            }
            book.sound()?;
            match book.log.print(id).and_then(|print| book.state.print(&print)) {
                Some(print) => Ok(printed(id, forgotten_act(), print)),
                None => Err(book.never_begun(id)),
            }
        })
    }

    /// What is known of a command, for the one who judges its fate. `platform`: the platform's time now, as far as it is
    /// known.
    pub(crate) fn known<T>(
        &self,
        id: &str,
        platform: Option<Span>,
        wait: Wait<'_>,
        judge: impl FnOnce(&Known<'_>) -> T,
    ) -> Result<T> {
        let (entry, alone, mature, previous) = self.inside(wait, |book, _| {
            let e = book.state.get(id).ok_or_else(|| not_found(id))?;
            let (mut e, alone, now) = (e.clone(), book.state.alone(id), book.now());
            e.learn(platform, &now);
            let mature = e.immature_ms(&now) == 0;
            Ok((e, alone, mature, book.state.previous(id).to_owned()))
        })?;
        Ok(judge(&Known {
            act: &entry.act,
            mark: &entry.mark,
            mark_is_ours: entry.mark_is_ours,
            sent: entry.span,
            mature,
            alive: entry.alive(),
            alone,
            previous: &previous,
        }))
    }

    /// Whether this order belongs to another command than this one.
    pub(crate) fn order_claimed(&self, order_no: &str, id: &str) -> Result<bool> {
        Ok(self.book()?.state.order_claimed(order_no, id))
    }

    /// The commands since a sequence number, itself not included, the oldest first.
    pub(crate) fn list(&self, since: u64, filter: CommandFilter, wait: Wait<'_>) -> Result<Vec<Command>> {
        self.inside(wait, |book, pass| {
            book.sound()?;
            book.bury(pass);
            let fits = |e: &Entry| match filter {
                CommandFilter::Any => true,
                CommandFilter::Open => !e.stage.settled(),
                CommandFilter::Done => e.stage == Stage::Done,
                CommandFilter::NotDone => e.stage == Stage::NotDone,
                CommandFilter::Unknown => e.stage == Stage::Unknown,
            };
            let ids: Vec<String> = match filter {
                CommandFilter::Open | CommandFilter::Unknown => book
                    .state
                    .open()
                    .filter(|(_, e)| fits(e) && e.claim > since)
                    .map(|(id, _)| id.to_owned())
                    .collect(),
                _ => book
                    .state
                    .entries()
                    .filter(|(_, e)| fits(e) && e.claim > since)
                    .map(|(id, _)| id.to_owned())
                    .collect(),
            };
            let mut all: Vec<Command> = ids.iter().filter_map(|id| book.command(id)).collect();
            all.sort_by_key(|c| c.sequence);
            Ok(all)
        })
    }

    /// Records how a command ended, by whoever found out. `overrule`: a person, aloud, before maturity. Gives it as it is then:
    /// one that is not done may be forgotten at once.
    pub(crate) fn settle(&self, id: &str, end: End, overrule: bool, wait: Wait<'_>) -> Result<Command> {
        let settled = self.inside(wait, |book, pass| {
            book.sound()?;
            book.bury(pass);
            let order_no = end.receipt.order_no.clone();
            let before = book.state.get(id).map(|e| e.stage);
            let record = rules::settle(&book.state, id, end, overrule, &book.now())
                .map_err(|refusal| book.refused(id, refusal))?;
            let Some(record) = record else { return book.command(id).ok_or_else(gone) };
            if before == Some(Stage::NotDone) {
                log_line!(Error, "{id} was settled as not done, but the platform proves that it was done");
            }
            book.record(pass, Record::Ended(record))?;
            book.take_early(pass, id, &order_no);
            book.command(id).ok_or_else(gone)
        })?;
        self.flush();
        Ok(settled)
    }

    /// Records what a machine did. False if no command is known that it can be about.
    pub(crate) fn moved(&self, moved: &Moved, wait: Wait<'_>) -> bool {
        let known = self.inside(wait, |book, pass| {
            let found = book.state.entries().find(|(_, e)| {
                let receipt = e.end.as_ref().map(|end| &end.receipt);
                e.stage == Stage::Done
                    && e.act.kind() == CommandKind::Door
                    && receipt.is_some_and(|r| {
                        r.order_no == moved.order_no
                            && (moved.item_no.is_empty() || r.item_no == moved.item_no)
                    })
            });
            let Some((id, e)) = found else { return Ok(false) };
            let (id, before) = (id.to_owned(), rules::current_physical(e));
            if moved.physical == Physical::Pending {
                // The hint itself is the news.
                book.hinted.retain(|known| *known != id);
                book.hinted.push(id);
            } else if let Some(record) =
                rules::movement(&book.state, &id, moved.physical, &moved.error, &book.now())
            {
                book.owe(pass, Record::Moved(record));
            } else if before != moved.physical {
                log_line!(Warn, "order {}: a later report contradicts what the machine did", moved.order_no);
            }
            Ok(true)
        });
        self.0.news.tell();
        match known {
            Ok(true) => true,
            other => {
                if let Err(e) = other {
                    log_line!(Warn, "a report of the machine could not be recorded: {}", e.message());
                }
                if let Ok(mut book) = self.book() {
                    if book.early.len() == EARLY {
                        book.early.pop_front();
                    }
                    book.early.push_back(moved.clone());
                }
                false
            }
        }
    }

    /// Records what a query found out about a movement.
    pub(crate) fn set_physical(&self, id: &str, physical: Physical, error: &str, wait: Wait<'_>) {
        let recorded = self.inside(wait, |book, pass| {
            if let Some(record) = rules::movement(&book.state, id, physical, error, &book.now()) {
                book.owe(pass, Record::Moved(record));
            }
            Ok(())
        });
        if let Err(e) = recorded {
            log_line!(Warn, "what the machine did could not be recorded: {}", e.message());
        }
    }

    /// Whether this callback was taken before; from now on it was. A callback that cannot be recorded is new.
    pub(crate) fn seen_before(&self, identity: &[u8; 16], at_s: i64, wait: Wait<'_>) -> bool {
        let seen = self.inside(wait, |book, pass| {
            if book.state.was_seen(identity) {
                return Ok(true);
            }
            book.owe(pass, Record::Seen(*identity, at_s));
            Ok(false)
        });
        seen.unwrap_or_else(|e| {
            log_line!(Warn, "a callback could not be recorded: {}", e.message());
            false
        })
    }

    /// Whether it was. One that cannot be looked up is new.
    pub(crate) fn was_seen(&self, identity: &[u8; 16], wait: Wait<'_>) -> bool {
        self.inside(wait, |book, _| Ok(book.state.was_seen(identity))).unwrap_or(false)
    }

    /// A callback was not taken: its repetition is no duplicate.
    pub(crate) fn not_taken(&self, identity: &[u8; 16], wait: Wait<'_>) {
        let forgotten = self.inside(wait, |book, pass| {
            book.owe(pass, Record::Seen(*identity, 0));
            Ok(())
        });
        if let Err(e) = forgotten {
            log_line!(Warn, "that a callback was not taken could not be recorded: {}", e.message());
        }
    }

    /// Whether somebody said since the last time that there is news of its movement.
    pub(crate) fn hinted(&self, id: &str) -> bool {
        let Ok(mut book) = self.book() else { return false };
        let before = book.hinted.len();
        book.hinted.retain(|known| known != id);
        book.hinted.len() != before
    }

    /// Counts up whenever something changes.
    pub(crate) fn changes(&self) -> u64 {
        self.0.news.lock().changes
    }

    /// Waits for a change after `seen`, or for the time. A cancel is a change.
    pub(crate) fn wait(&self, seen: u64, time: Duration) {
        let mut count = self.0.news.lock();
        count.waiting += 1;
        let waited = self.0.news.came.wait_timeout_while(count, time, |count| count.changes == seen);
        waited.unwrap_or_else(PoisonError::into_inner).0.waiting -= 1;
    }

    /// Wakes those who wait, so that they see that they were cancelled. Takes no lock that is held during I/O.
    pub(crate) fn wake(&self) {
        self.0.news.tell();
    }

    /// Syncs what came since the last command: for calls in which nobody waits for a door.
    pub(crate) fn flush(&self) {
        let handle = match self.book() {
            Ok(book) => book.log.unsynced(),
            Err(_) => None,
        };
        if let Some(Err(e)) = handle.map(|handle| handle.sync()) {
            log_line!(Warn, "{}", e.message());
        }
    }

    /// How the journal does.
    pub(crate) fn info(&self, wait: Wait<'_>) -> Result<JournalInfo> {
        self.inside(wait, |book, pass| {
            book.bury(pass);
            let (unsettled, settled) = book.state.counts();
            let mut info = JournalInfo {
                settled: settled as u64,
                unsettled: unsettled as u64,
                names: book.state.names() as u64,
                visits: book.state.open_visits().len() as u64,
                owed: book.debt.len() as u64,
                syncs: book.syncs,
                sync_last_us: book.sync_last_us,
                sync_max_us: book.sync_max_us,
                sync_total_us: book.sync_total_us,
                ..JournalInfo::default()
            };
            if let Log::File(journal) = &book.log {
                let file = journal.info();
                info.path = file.path;
                info.bytes = file.bytes;
                info.damage = file.damage;
                info.trouble = file.trouble;
                info.trouble_words = file.trouble_words;
                info.poisoned = file.poisoned;
                info.file_system = file.file_system;
                info.installation = file.installation;
                info.epoch = file.epoch;
                info.bound = file.bound;
                if let Some(trouble) = &book.trouble {
                    info.damage.clone_from(trouble);
                }
            }
            Ok(info)
        })
    }

    /// Puts a damaged journal aside and goes on with what could be read of it. Gives the old one's new name; `None` if
    /// nothing was damaged.
    pub(crate) fn repair(&self, wait: Wait<'_>) -> Result<Option<PathBuf>> {
        self.inside(wait, |book, pass| {
            let records = rules::texts(&book.state, book.now().at);
            let damaged = book.trouble.is_some();
            let (Log::File(journal), Some(pass)) = (&mut book.log, pass) else { return Ok(None) };
            if journal.damage().is_none() && !damaged {
                return Ok(None);
            }
            let aside = journal.repair(pass, &records)?;
            book.trouble = None;
            book.forget_issued(Some(pass))?;
            Ok(Some(aside))
        })
    }

    /// Goes on with a journal that is missing, older than it was, or copied, when a person has decided so.
    pub(crate) fn adopt(&self, note: &str, wait: Wait<'_>) -> Result<()> {
        self.inside(wait, |book, pass| {
            let records = rules::texts(&book.state, book.now().at);
            match (&mut book.log, pass) {
                (Log::File(journal), Some(pass)) => journal.adopt(pass, note, &records)?,
                _ => return Ok(()),
            }
            for ended in rules::adopted(&book.state, &book.now()) {
                book.record(pass, Record::Ended(ended))?;
            }
            book.forget_issued(pass)
        })
    }

    /// The visits that were not closed, the oldest first, each with its commands.
    pub(crate) fn visits(&self, wait: Wait<'_>) -> Result<Vec<Visit>> {
        self.inside(wait, |book, pass| {
            book.sound()?;
            book.bury(pass);
            let open = book.state.open_visits();
            let mut visits: Vec<Visit> =
                open.iter().map(|id| Visit { visit_id: (*id).to_owned(), commands: Vec::new() }).collect();
            let places: HashMap<&str, usize> = open.iter().enumerate().map(|(i, id)| (*id, i)).collect();
            let now = book.now();
            for (id, e) in book.state.entries() {
                if let Some(place) = places.get(e.act.visit().0) {
                    visits[*place].commands.push(command(id, e, &now));
                }
            }
            for visit in &mut visits {
                visit.commands.sort_unstable_by_key(|c| c.sequence);
            }
            Ok(visits)
        })
    }

    /// Ends a visit: it is not listed any more.
    pub(crate) fn visit_close(&self, visit: &str, wait: Wait<'_>) -> Result<()> {
        self.inside(wait, |book, pass| {
            book.sound()?;
            if !book.state.is_open(visit) {
                return Ok(());
            }
            let at = book.now().at;
            book.record(pass, Record::VisitClosed(visit.to_owned(), at)).map(drop)
        })?;
        self.flush();
        Ok(())
    }

    /// For a test: a bug while the state is in hand.
    #[cfg(test)]
    pub(crate) fn panic_inside(&self, wait: Wait<'_>) {
        let _: Result<()> = self.inside(wait, |_, _| panic!("forced by a test"));
    }

    fn book(&self) -> Result<MutexGuard<'_, Book>> {
        // A panic went through it: what it holds may be half changed, and nothing may be sent on the strength of it.
        self.0.book.lock().map_err(|_| {
            Error::new(
                KL_E_JOURNAL,
                "the journal: this process lost it in an internal error; make a new client",
            )
        })
    }

    /// Does something inside the gate, after reading what others wrote.
    fn inside<T>(
        &self,
        wait: Wait<'_>,
        work: impl FnOnce(&mut Book, Option<&Pass<'_>>) -> Result<T>,
    ) -> Result<T> {
        let mut inside = self.enter(wait)?;
        let (book, pass) = inside.parts()?;
        work(book, pass)
    }

    /// Goes inside the gate and reads what others wrote.
    #[inline(never)]
    fn enter(&self, wait: Wait<'_>) -> Result<Inside<'_>> {
        let pass = match &self.0.gate {
            Some(gate) => Some(gate.enter(wait.patience, &|time| wait.token.pause(time))?),
            None => None,
        };
        let book = self.book()?;
        let before = book.log.next();
        let mut inside = Inside { shared: &self.0, book: Some(book), pass, before };
        let (book, pass) = inside.parts()?;
        book.catch_up(pass)?;
        Ok(inside)
    }
}

/// Being inside the gate with the book in hand. Its end tells whoever waits for news, and has paid later what is owed.
struct Inside<'a> {
    shared: &'a Arc<Shared>,
    /// There until the end.
    book: Option<MutexGuard<'a, Book>>,
    pass: Option<Pass<'a>>,
    /// The number of the next record when it began.
    before: u64,
}

impl<'a> Inside<'a> {
    fn parts(&mut self) -> Result<(&mut Book, Option<&Pass<'a>>)> {
        let book = self.book.as_mut().ok_or_else(gone)?;
        Ok((book, self.pass.as_ref()))
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let Some(book) = self.book.take() else { return };
        let (changed, owing) = (book.log.next() != self.before, !book.debt.is_empty());
        drop(book);
        drop(self.pass.take());
        // After a panic nobody can read the book any more.
        if std::thread::panicking() {
            return;
        }
        if changed {
            self.shared.news.tell();
        }
        if owing {
            process::contained(|| self.shared.pay_later());
        }
    }
}

impl Shared {
    fn new(gate: Option<Arc<Gate>>, log: Log, hands: Hands) -> Arc<Shared> {
        let durable = !matches!(log, Log::Memory { .. });
        let book = Book {
            state: State::default(),
            log,
            hands: hands.clone(),
            debt: VecDeque::new(),
            early: VecDeque::new(),
            hinted: Vec::new(),
            trouble: None,
            tries: Tries::default(),
            room_until: 0,
            syncs: 0,
            sync_last_us: 0,
            sync_max_us: 0,
            sync_total_us: 0,
        };
        Arc::new(Shared {
            gate,
            book: Mutex::new(book),
            news: News::default(),
            issued: Mutex::default(),
            debtor: AtomicBool::new(false),
            hands,
            durable,
        })
    }

    /// Has a thread pay what is owed as soon as the obstacle goes. It lives until then.
    fn pay_later(self: &Arc<Shared>) {
        if self.debtor.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared = Arc::downgrade(self);
        let work = move || {
            let mut pause = DEBT_PAUSE;
            loop {
                #[expect(clippy::disallowed_methods, reason = "a thread of its own: nobody waits for it")]
                std::thread::sleep(pause);
                pause = (pause * 2).min(DEBT_PAUSE_MAX);
                let Some(shared) = shared.upgrade() else { return };
                if shared.pay(AFTERWARDS) {
                    shared.debtor.store(false, Ordering::Release);
                    return;
                }
            }
        };
        let made = sys::thread(c"kl-debt", DEBT_STACK, Box::new(work));
        if let Err(e) = made {
            self.debtor.store(false, Ordering::Release);
            log_line!(Warn, "no thread can be had to write later what could not be written: {e}");
        }
    }

    /// Writes and syncs what is owed; whether nothing is owed any more.
    fn pay(&self, patience: Duration) -> bool {
        let token = CancelToken::never();
        let pay = || {
            let pass = match &self.gate {
                Some(gate) => Some(gate.enter(Deadline::after(patience), &|time| token.pause(time))?),
                None => None,
            };
            let mut book = self.book.lock().map_err(|_| gone())?;
            book.catch_up(pass.as_ref())?;
            book.pay(pass.as_ref())?;
            Ok(book.log.unsynced())
        };
        let paid: Result<_> = pay();
        match paid {
            Ok(handle) => {
                if let Some(Err(e)) = handle.map(|handle| handle.sync()) {
                    log_line!(Warn, "{}", e.message());
                }
                true
            }
            Err(_) => self.book.is_poisoned(),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        process::contained(|| self.at_the_end());
    }
}

impl Shared {
    /// Nobody waits for this one: what ended since the last command survives a power cut too.
    fn at_the_end(&mut self) {
        if self.book.is_poisoned() {
            return;
        }
        if !self.pay(AT_THE_END) {
            log_line!(Error, "the journal could not be written: what ended last is not recorded");
        }
        let (Some(gate), Ok(book)) = (&self.gate, self.book.get_mut()) else { return };
        let token = CancelToken::never();
        if let Ok(pass) = gate.enter(Deadline::after(AT_THE_END), &|time| token.pause(time)) {
            if let Log::File(journal) = &mut book.log {
                journal.close(&pass);
            }
        }
    }
}

impl News {
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        let mut count = self.lock();
        count.changes += 1;
        let waiting = count.waiting > 0;
        drop(count);
        if waiting {
            self.came.notify_all();
        }
    }
}

impl Log {
    /// The number of the next record.
    fn next(&self) -> u64 {
        match self {
            Log::Memory { last, .. } | Log::Ledger { last, .. } => last + 1,
            Log::File(journal) => journal.next(),
        }
    }

    /// Whose it is; made with the first use.
    fn identity(&mut self, pass: Option<&Pass<'_>>) -> Result<Arc<Identity>> {
        match (self, pass) {
            (Log::Memory { identity, .. } | Log::Ledger { identity, .. }, _) => Ok(identity.clone()),
            (Log::File(journal), Some(pass)) => journal.identity(pass),
            _ => Err(gone()),
        }
    }

    /// A name's fingerprint; `None` if nothing can have been forgotten yet.
    fn print(&self, name: &str) -> Option<[u8; 12]> {
        match self {
            _ if off("prints") => None,
            Log::Memory { identity, .. } | Log::Ledger { identity, .. } => Some(identity.print(name)),
            Log::File(journal) => journal.print(name),
        }
    }

    /// What must be synced so that nothing is lost; `None` if nothing must.
    fn unsynced(&self) -> Option<Unsynced> {
        match self {
            Log::File(journal) if journal.unsynced() => journal.sync_handle().map(Unsynced::File),
            Log::Ledger { ledger, .. } if ledger.unsynced() => Unsynced::of(ledger),
            _ => None,
        }
    }

    /// What makes durable all that was appended.
    fn appended(&self) -> Option<Unsynced> {
        match self {
            Log::File(journal) => journal.sync_handle().map(Unsynced::File),
            Log::Ledger { ledger, .. } => Unsynced::of(ledger),
            Log::Memory { .. } => None,
        }
    }

    /// Whether all is known that others had written when this was synced.
    fn knows(&self, synced: &Synced) -> bool {
        matches!(self, Log::File(journal) if journal.knows(synced))
    }

    /// So many commands may be unsettled.
    fn unsettled_max(&self) -> usize {
        match self {
            Log::Ledger { ledger, .. } => ledger.unsettled_max(),
            _ => UNSETTLED_MAX,
        }
    }

    /// The number of this process among those that share the journal.
    fn owner(&mut self, pass: Option<&Pass<'_>>) -> Result<u64> {
        match (self, pass) {
            (Log::Memory { .. }, _) => Ok(0),
            (Log::Ledger { ledger, .. }, _) => Ok(ledger.owner()),
            (Log::File(journal), Some(pass)) => journal.owner(pass).map(|(number, _)| number),
            _ => Err(gone()),
        }
    }

    fn own(&self) -> u64 {
        match self {
            Log::Memory { .. } => 0,
            Log::Ledger { ledger, .. } => ledger.owner(),
            Log::File(journal) => journal.own().unwrap_or(u64::MAX),
        }
    }

    /// Whether somebody has a claim in hand.
    fn held(&self, pass: Option<&Pass<'_>>, hands: &Hands, owner: u64, claim: u64) -> bool {
        match (self, pass) {
            (Log::File(_), Some(_)) if off("owner-alive") => false,
            // Of its own calls a process knows more than that it lives itself. A claim of another copy of the journal, or
            // one whose end a panic swallowed, is nobody's.
            (Log::File(journal), Some(_)) if journal.is_own(owner) => hands.hold(claim),
            (Log::File(journal), Some(pass)) => journal.alive(pass, owner),
            (Log::Ledger { ledger, .. }, _) if ledger.owner() == owner => hands.hold(claim),
            (Log::Ledger { ledger, .. }, _) => ledger.alive(owner),
            _ => true,
        }
    }
}

impl Hands {
    fn claims(&self) -> MutexGuard<'_, Vec<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, number: u64) -> InHand {
        self.claims().push(number);
        InHand { hands: self.clone(), number }
    }

    fn hold(&self, number: u64) -> bool {
        self.claims().contains(&number)
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        // A number may be there twice: after a card forgot records they are given again.
        let mut claims = self.hands.claims();
        if let Some(at) = claims.iter().position(|n| *n == self.number) {
            claims.swap_remove(at);
        }
    }
}

impl Book {
    /// Runs the rules in these surroundings.
    fn now(&self) -> Now<'_> {
        Now { at: now_at(), boot: process::boot_id(), owner: self.log.own(), held: &|_, _| true }
    }

    /// Reads what others wrote.
    fn catch_up(&mut self, pass: Option<&Pass<'_>>) -> Result<()> {
        let (state, trouble) = (&mut self.state, &mut self.trouble);
        let (journal, pass) = match (&mut self.log, pass) {
            (Log::File(journal), Some(pass)) => (journal, pass),
            (Log::Ledger { ledger, last, .. }, _) => {
                let highest = ledger.read(*last, &mut |text| match Record::from_text(text) {
                    Ok((n, record)) => rules::apply(state, n, record),
                    Err(bad) => *trouble = Some(bad.sentence("a record of the ledger")),
                })?;
                *last = highest.max(*last);
                if ledger.has_lost() {
                    // What fails now fails when a record is appended too, and is told there.
                    let _ = ledger.replace(rules::numbered(state, now_at()));
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        let mut anew = false;
        let outcome = journal.read(pass, &mut |found| match found {
            Found::Anew => {
                *state = State::default();
                *trouble = None;
                anew = true;
            }
            Found::Record(text) => match Record::from_text(text) {
                Ok((n, record)) => rules::apply(state, n, record),
                Err(bad) => *trouble = Some(bad.sentence("a record")),
            },
        });
        if anew {
            self.room_until = 0;
            for record in &self.debt {
                rules::apply(&mut self.state, 0, record.clone());
            }
        }
        outcome
    }

    /// Refuses to go on when something that the journal knew cannot be read.
    fn sound(&self) -> Result<()> {
        if let Log::File(journal) = &self.log {
            journal.sound()?;
        }
        match &self.trouble {
            None => Ok(()),
            Some(what) => Err(Error::new(
                KL_E_JOURNAL_DAMAGED,
                ["the journal is damaged: ", what, "; nothing is sent before it is repaired"].concat(),
            )),
        }
    }

    /// Appends a record and applies it.
    fn record(&mut self, pass: Option<&Pass<'_>>, record: Record) -> Result<u64> {
        self.pay(pass)?;
        let n = self.append(pass, &record)?;
        self.apply(n, record);
        Ok(n)
    }

    fn append(&mut self, pass: Option<&Pass<'_>>, record: &Record) -> Result<u64> {
        let n = self.log.next();
        match (&mut self.log, pass) {
            (Log::Memory { last, .. }, _) => *last = n,
            (Log::File(journal), Some(pass)) => {
                let (state, now) = (&self.state, now_at());
                journal.append(pass, &record.to_text(n, now), &|| rules::texts(state, now))?;
            }
            (Log::Ledger { ledger, last, .. }, _) => {
                ledger.append(n, &record.to_text(n, now_at()))?;
                *last = n;
            }
            _ => return Err(gone()),
        }
        Ok(n)
    }

    fn apply(&mut self, n: u64, record: Record) {
        rules::apply(&mut self.state, n, record);
        if let Log::Memory { identity, .. } = &self.log {
            if self.state.counts().1 > IN_MEMORY + MEMORY_STEP {
                rules::forget(&mut self.state, IN_MEMORY, &|name| identity.print(name));
            }
        }
    }

    /// Appends a claim and its sending, both or none of them.
    fn claim_and_send(
        &mut self,
        pass: Option<&Pass<'_>>,
        intent: Intent,
        left_ms: u32,
        platform: Option<Span>,
    ) -> Result<u64> {
        self.pay(pass)?;
        let (Log::File(journal), Some(pass)) = (&mut self.log, pass) else { return Err(gone()) };
        let n = journal.next();
        let sent = Sent { id: intent.id.clone(), claim: n, at: intent.at, left_ms, platform };
        let (intent, sent) = (Record::Intent(intent), Record::Sent(sent));
        let (state, now) = (&self.state, now_at());
        let texts = [intent.to_text(n, now), sent.to_text(n + 1, now)];
        journal.append_all(pass, &[&texts[0], &texts[1]], &|| rules::texts(state, now))?;
        rules::apply(&mut self.state, n, intent);
        rules::apply(&mut self.state, n + 1, sent);
        Ok(n)
    }

    /// Writes what could not be written before, in its order.
    fn pay(&mut self, pass: Option<&Pass<'_>>) -> Result<()> {
        while let Some(record) = self.debt.pop_front() {
            match self.append(pass, &record) {
                Ok(n) => self.apply(n, record),
                Err(e) => {
                    self.debt.push_front(record);
                    return Err(e);
                }
            }
        }
        Ok(())
    }

    /// The same for a record that must not be lost though the disk may refuse it now.
    fn owe(&mut self, pass: Option<&Pass<'_>>, record: Record) {
        match self.pay(pass).and_then(|()| self.append(pass, &record)) {
            Ok(n) => self.apply(n, record),
            Err(e) => {
                log_line!(Error, "{}; it is kept in memory until it can be written", e.message());
                self.keep_in_debt(record);
            }
        }
    }

    fn keep_in_debt(&mut self, record: Record) {
        rules::apply(&mut self.state, 0, record.clone());
        self.debt.push_back(record);
    }

    /// What is to be done with a name. `ahead`: whose mark it bears already.
    fn decide(
        &mut self,
        pass: Option<&Pass<'_>>,
        r: Request<'_>,
        ahead: Option<&Claim<'_>>,
    ) -> Result<Decided> {
        let id = r.id;
        self.sound()?;
        self.bury(pass);
        let print = self.log.print(id);
        match rules::begin(&self.state, id, print.as_ref(), &r.act, &self.now()) {
            Decision::Claim => {}
            Decision::Recorded => {
                let command = self.command(id).ok_or_else(gone)?;
                return Ok(Decided::Known(KnownName::Recorded(Box::new(command))));
            }
            Decision::Printed(print) => {
                return Ok(Decided::Known(KnownName::Recorded(Box::new(printed(id, r.act, print)))));
            }
            Decision::Ask => return Ok(Decided::Known(KnownName::Ask(Box::new(self.unsettled(id))))),
            Decision::Refuse(Refusal::Busy(_) | Refusal::Blocked(..)) if off("locks") => {}
            Decision::Refuse(refusal) => return Err(self.refused(id, refusal)),
        }
        if let Act::Redeem(redeem) = &r.act {
            self.tries.take(&redeem.cabinet_id, r.tries_a_minute, sys::boot_ms()).map_err(too_many_tries)?;
        }
        self.make_room(pass)?;
        let mark = match (ahead, r.own_number) {
            (Some(claim), _) => claim.mark.clone(),
            (None, "") => mark_of(&*self.log.identity(pass)?, id),
            (None, own) => own.to_owned(),
        };
        Ok(Decided::New(Box::new(Intent {
            id: id.to_owned(),
            act: r.act,
            owner: self.log.owner(pass)?,
            boot: process::boot_id().to_owned(),
            at: self.now().at,
            mark,
            mark_is_ours: r.own_number.is_empty(),
            hold_ms: if off("maturity") { 0 } else { r.hold_ms },
            // The first command of a folder makes its key.
            print: print.or_else(|| self.log.print(id)),
            earlier: None,
            keep: None,
        })))
    }

    /// The next claim of a command that is known.
    fn intent(&mut self, pass: Option<&Pass<'_>>, id: &str) -> Result<Intent> {
        let owner = self.log.owner(pass)?;
        let e = self.state.get(id).ok_or_else(gone)?;
        Ok(Intent {
            id: id.to_owned(),
            act: e.act.clone(),
            owner,
            boot: process::boot_id().to_owned(),
            at: self.now().at,
            mark: e.mark.clone(),
            mark_is_ours: e.mark_is_ours,
            hold_ms: e.hold_ms,
            print: e.print,
            earlier: None,
            keep: e.keep.clone(),
        })
    }

    /// What was under way and nobody has in hand any more: mostly what other processes had when they ended.
    fn bury(&mut self, pass: Option<&Pass<'_>>) {
        if self.sound().is_err() {
            return;
        }
        let (log, hands) = (&self.log, &self.hands);
        let held = |owner: u64, claim: u64| log.held(pass, hands, owner, claim);
        let orphans = rules::orphans(&self.state, &Now { held: &held, ..self.now() });
        for mut ended in orphans {
            if off("orphans") {
                ended.end.outcome = Outcome::NotDone;
            }
            // Not owed: before it is written, the process may turn out to live, and its sending would be none.
            if let Err(e) = self.record(pass, Record::Ended(ended)) {
                log_line!(Warn, "what a dead process had under way cannot be recorded yet: {}", e.message());
                return;
            }
        }
    }

    /// Before a command is begun: refuses when too much is unsettled, or when the journal should have been written anew after
    /// an end and could not be.
    fn make_room(&mut self, pass: Option<&Pass<'_>>) -> Result<()> {
        if self.state.counts().0 >= self.log.unsettled_max() {
            return Err(not_done(Error::new(
                KL_E_JOURNAL_FULL,
                "the journal: too many commands are unsettled; settle them (kl_command_pending)",
            )));
        }
        self.compact(pass, COMPACT_LATE).map_err(not_done)
    }

    /// After an end, when nobody waits for a door: writes the journal anew when it has grown. Where that fails it is tried again
    /// when it has grown by some more; as long as there is room for records, doors open.
    fn tidy(&mut self, pass: Option<&Pass<'_>>) {
        if let Err(e) = self.compact(pass, 0) {
            log_line!(Warn, "the journal could not be written anew after a command: {}", e.message());
            if let Log::File(journal) = &self.log {
                self.room_until = journal.size() + COMPACT_LATE / 2;
            }
        }
    }

    /// Writes the journal anew if it is so much longer than it need be.
    fn compact(&mut self, pass: Option<&Pass<'_>>, late: u64) -> Result<()> {
        if let Log::Ledger { ledger, identity, .. } = &self.log {
            if ledger.has_grown() && self.debt.is_empty() {
                rules::forget_beyond(&mut self.state, ledger.limits(), &|name| identity.print(name));
                ledger.replace(rules::numbered(&self.state, now_at()))?;
            }
            return Ok(());
        }
        let (Log::File(journal), Some(pass)) = (&mut self.log, pass) else { return Ok(()) };
        if self.room_until == 0 && journal.size() >= COMPACT_AT {
            self.room_until = full_at(&self.state);
        }
        // However long it may be because of what could not be done: before no record has room.
        let until = COMPACT_AT.max(self.room_until).min(LARGEST - 2 * COMPACT_LATE);
        if journal.size() < until + late || !self.debt.is_empty() {
            return Ok(());
        }
        let identity = journal.identity(pass)?;
        let left = rules::forget(&mut self.state, rules::SHORT + rules::WHOLE, &|name| identity.print(name));
        if left > 0 {
            log_line!(Warn, "{left} visits that were not closed are not listed any more (kl_visit_close)");
        }
        let now = At { wall_s: wall_s(), up_ms: sys::boot_ms() };
        journal.replace(pass, &rules::texts(&self.state, now))?;
        // What is large because much is to be kept would not be smaller the next time.
        self.room_until = (journal.size() + COMPACT_STEP).max(full_at(&self.state));
        Ok(())
    }

    /// Something that the journal knew is lost: a name that was issued before now may have been used there.
    fn forget_issued(&mut self, pass: Option<&Pass<'_>>) -> Result<()> {
        let below = self.log.next();
        self.record(pass, Record::Forgotten(below)).map(drop)
    }

    /// A report that came before the answer to its command.
    fn take_early(&mut self, pass: Option<&Pass<'_>>, id: &str, order_no: &str) {
        let receipt = self.state.get(id).and_then(|e| e.end.as_ref()).map(|end| end.receipt.item_no.clone());
        let item_no = receipt.unwrap_or_default();
        let found = self.early.iter().position(|m| {
            !order_no.is_empty() && m.order_no == order_no && (m.item_no.is_empty() || m.item_no == item_no)
        });
        let Some(moved) = found.and_then(|i| self.early.remove(i)) else { return };
        if let Some(record) = rules::movement(&self.state, id, moved.physical, &moved.error, &self.now()) {
            self.owe(pass, Record::Moved(record));
        }
    }

    /// The error about a name that no record has. It was never begun, unless it may have been forgotten.
    fn never_begun(&self, id: &str) -> Error {
        let forgotten = self.state.low_water() != 0
            && rules::issued_at(id).is_none_or(|number| number < self.state.low_water());
        if forgotten { unknown(not_found(id)) } else { not_done(not_found(id)) }
    }

    fn command(&self, id: &str) -> Option<Command> {
        let e = self.state.get(id)?;
        Some(command(id, e, &self.now()))
    }

    fn unsettled(&self, id: &str) -> Error {
        let why = self.state.get(id).and_then(|e| e.end.as_ref()).map_or("", |end| &end.message);
        let words = ["what became of request_id ", id, " is not known (", why, "); nothing was sent"];
        unknown(Error::new(KL_E_UNSETTLED, words.concat()))
    }

    /// A refusal of the rules as an error, with what became of the name.
    fn refused(&self, id: &str, refusal: Refusal) -> Error {
        match refusal {
            Refusal::NotFound => not_found(id),
            Refusal::OtherAct => {
                let words = ["request_id ", id, " was already used for another act; nothing was sent"];
                unknown(Error::new(KL_E_REQUEST_ID, words.concat()))
            }
            Refusal::InFlight => unknown(Error::new(
                KL_E_IN_FLIGHT,
                ["request_id ", id, " is under way; nothing was sent"].concat(),
            )),
            Refusal::Kept => {
                let why = self.state.get(id).and_then(|e| e.end.as_ref()).map_or("", |end| &end.message);
                kept(id, Error::new(KL_E_KEPT, why))
            }
            Refusal::Busy(other) => not_done(Error::new(
                KL_E_BUSY,
                [
                    "the command ",
                    &other,
                    " is under way at the same door, for the same code or order; nothing was sent",
                ]
                .concat(),
            )),
            Refusal::Blocked(other, left_ms) => {
                let so = "is not known: resolve or settle it first; nothing was sent";
                let words = ["what became of the command ", &other, " ", so].concat();
                not_done(
                    Error::new(KL_E_BLOCKED, words).with(|d| d.retry_after_ms = small(left_ms.unwrap_or(0))),
                )
            }
            Refusal::TooOld => unknown(Error::new(
                KL_E_REQUEST_TOO_OLD,
                ["request_id ", id, " was issued so long ago that its outcome is not kept; nothing was sent"]
                    .concat(),
            )),
            Refusal::TooEarly(left_ms) => {
                let s = left_ms.div_ceil(1000).to_string();
                let words =
                    ["the request of ", id, " may still take effect; not done is taken in ", &s, " s"];
                unknown(Error::new(KL_E_TOO_EARLY, words.concat())).with(|d| {
                    d.retry_after_ms = small(left_ms);
                    d.advice = Advice::Retry;
                })
            }
            Refusal::Settled => Error::new(
                KL_E_REQUEST_ID,
                ["request_id ", id, " is settled already, the other way"].concat(),
            ),
            Refusal::Fenced => unknown(Error::new(
                KL_E_IN_FLIGHT,
                ["request_id ", id, " is in other hands: this process was taken for dead"].concat(),
            )),
        }
    }

    /// A code that was good is no guess.
    fn count_try(&mut self, ended: &Ended) {
        if ended.end.outcome == Outcome::Done {
            if let Some(Act::Redeem(r)) = self.state.get(&ended.id).map(|e| &e.act) {
                self.tries.give_back(&r.cabinet_id);
            }
        }
    }

    fn synced(&mut self, synced: &Synced) {
        let Some(took) = synced.took else { return };
        let us = took.as_micros() as u64;
        self.syncs += 1;
        self.sync_last_us = us;
        self.sync_max_us = self.sync_max_us.max(us);
        self.sync_total_us += us;
    }
}

impl<'a> Claim<'a> {
    /// The last thing before the first byte: `sent` is appended and one sync makes it and the intent durable; then it is
    /// looked at once more whether the claim is still ours. Whoever calls checks cancel and time to live after it.
    pub(crate) fn sending(&self, left: Duration, platform: Option<Span>, token: &CancelToken) -> Result<()> {
        let commands = self.commands;
        let left_ms = if off("maturity") { 0 } else { small(left.as_millis() as u64) };
        let wait = Wait { patience: Deadline::after(left.min(AFTERWARDS)), token };
        let ahead = self.ahead.take();
        let handle = match ahead {
            Some(ahead) => {
                let patience = Deadline::after(left.min(LOCK_PATIENCE));
                self.claim_ahead(ahead, left_ms, platform, Wait { patience, token })?
            }
            None => commands.inside(wait, |book, pass| {
                let at = book.now().at;
                let unfenced = Sent { id: self.id.clone(), claim: self.number.get(), at, left_ms, platform };
                let sent =
                    rules::send(&book.state, &self.id, self.number.get(), left_ms, platform, &book.now())
                        .or_else(|refusal| if off("claim-fence") { Ok(unfenced) } else { Err(refusal) })
                        .map_err(|refusal| book.refused(&self.id, refusal))?;
                book.record(pass, Record::Sent(sent))?;
                Ok(book.log.appended())
            })?,
        };
        self.sent.store(true, Ordering::Relaxed);
        let Some(handle) = handle.filter(|_| !off("sent-durable")) else { return Ok(()) };
        let synced = handle.sync()?;
        let mut book = commands.book()?;
        book.synced(&synced);
        let still_ours = |book: &Book| {
            rules::send(&book.state, &self.id, self.number.get(), left_ms, platform, &book.now())
                .map(drop)
                .or_else(|refusal| if off("claim-fence") { Ok(()) } else { Err(refusal) })
                .map_err(|refusal| book.refused(&self.id, refusal))
        };
        // Where nobody else has written anything, nothing is to be read.
        if book.log.knows(&synced) {
            return still_ours(&book);
        }
        drop(book);
        commands.inside(wait, |book, _| still_ours(book))
    }

    /// Claims and sends in one section. If nothing is claimed, what came of it is kept for [`Claim::begun`].
    fn claim_ahead(
        &self,
        ahead: Box<Ahead>,
        left_ms: u32,
        platform: Option<Span>,
        wait: Wait<'_>,
    ) -> Result<Option<Unsynced>> {
        let commands = self.commands;
        let claimed = commands.inside(wait, |book, pass| {
            let request = Request {
                id: &self.id,
                act: ahead.act,
                own_number: if ahead.mark_is_ours { "" } else { &self.mark },
                hold_ms: ahead.hold_ms,
                tries_a_minute: ahead.tries_a_minute,
            };
            let intent = match book.decide(pass, request, Some(self))? {
                Decided::New(intent) => intent,
                Decided::Known(begun) => return Ok(Err(begun)),
            };
            // Read again from the disk it is another value, and mostly the same installation.
            if ahead.identity != book.log.identity(pass)? {
                let e = Error::new(KL_E_JOURNAL, "the journal: it was adopted in this moment; try again");
                return Err(not_done(e));
            }
            let number = book.claim_and_send(pass, *intent, left_ms, platform).map_err(not_done)?;
            self.number.set(number);
            self.in_hand.replace(Some(commands.0.hands.take(number)));
            Ok(Ok(book.log.appended()))
        });
        let instead = match claimed {
            Ok(Ok(handle)) => {
                commands.used(&self.id);
                return Ok(handle);
            }
            Ok(Err(begun)) => Ok(begun),
            Err(e) => Err(e),
        };
        self.instead.replace(Some(instead));
        Err(not_done(Error::new(KL_E_INTERNAL, "the command was not claimed")))
    }

    /// Of one that was to be claimed with its sending and has not been: what is to be done with its name instead, as
    /// [`Commands::begin`] says it; `None` if nobody has asked for the name yet. `Err`: it is claimed.
    pub(crate) fn unclaimed(mut self) -> std::result::Result<Option<Result<Begin<'a>>>, Box<Self>> {
        let instead = self.instead.take();
        if instead.is_none() && self.ahead.borrow().is_none() {
            return Err(Box::new(self));
        }
        self.ended = true;
        Ok(instead.map(|known| self.commands.begun(&self.id, known.map(Begin::from))))
    }

    /// The process was stopped between the last check and the first byte: maturity counts from now.
    pub(crate) fn sent_late(&self, left: Duration, platform: Option<Span>) {
        let token = CancelToken::never();
        let wait = Wait { patience: Deadline::after(AFTERWARDS), token: &token };
        let again = self.commands.inside(wait, |book, pass| {
            let left_ms = small(left.as_millis() as u64);
            if let Ok(sent) =
                rules::send(&book.state, &self.id, self.number.get(), left_ms, platform, &book.now())
            {
                book.owe(pass, Record::Sent(sent));
            }
            Ok(())
        });
        if let Err(e) = again {
            log_line!(Warn, "that {} left late could not be recorded: {}", self.id, e.message());
        }
        // A card that forgot it would let *not done* be taken too early.
        self.commands.flush();
    }

    /// Records how it ended and gives the command, or what went wrong. *Not done* frees the name: the caller may try
    /// again. `moves`: a machine has something to do now. `by` is `Query` if another read of this call proved it.
    pub(crate) fn finish(mut self, outcome: Result<Receipt>, moves: bool, by: SettledBy) -> Result<Command> {
        self.ended = true;
        let end = match &outcome {
            Ok(receipt) => End {
                outcome: Outcome::Done,
                by,
                receipt: receipt.clone(),
                physical: if moves { Physical::Pending } else { Physical::None },
                ..End::nothing()
            },
            // Of what is not known nobody has told.
            Err(e) => {
                let end = end_of(e);
                if end.outcome == Outcome::NotDone { End { by, ..end } } else { end }
            }
        };
        let recorded = self.close(end);
        match (outcome, recorded) {
            // The record may be shorter than the answer.
            (Ok(receipt), Some(command)) if command.outcome == Outcome::Done => {
                Ok(Command { receipt, recorded: false, ..command })
            }
            (Err(e), Some(command)) if command.stage == Stage::Kept => {
                // Nobody repeats it: it must be there after a power cut.
                self.commands.flush();
                Err(kept(&self.id, e))
            }
            (Err(e), Some(command)) => Err(match (command.outcome, e.details().outcome) {
                // What was proved meanwhile is true, whatever this call heard.
                (Outcome::Done, _) => return Ok(Command { recorded: true, ..command }),
                (Outcome::NotDone, _) => not_done(e),
                _ => unknown(e),
            }),
            (Ok(_), _) => Err(unknown(Error::new(
                KL_E_INTERNAL,
                "the record of a command that was just done is missing",
            ))),
            // The claim is gone with what the card forgot: another process may have the name in hand.
            (Err(e), None) => Err(unknown(e)),
        }
    }

    /// Writes the end, or keeps it until it can be written. Gives the command as it then stands.
    fn close(&self, end: End) -> Option<Command> {
        let mut end = Some(end);
        let commands = self.commands;
        let token = CancelToken::never();
        let wait = Wait { patience: Deadline::after(AFTERWARDS), token: &token };
        let closed = commands.inside(wait, |book, pass| {
            let end = end.take().ok_or_else(gone)?;
            let order_no = if book.early.is_empty() { String::new() } else { end.receipt.order_no.clone() };
            let number = self.keep(book, pass, &end).unwrap_or(self.number.get());
            match rules::end(&book.state, &self.id, number, end, &book.now()) {
                Ok(ended) => {
                    book.count_try(&ended);
                    book.owe(pass, Record::Ended(ended));
                    book.take_early(pass, &self.id, &order_no);
                }
                Err(_) => log_line!(Warn, "{}: another hand has recorded how it ended", self.id),
            }
            // What the caller is told is whole, also if the command is shortened now.
            let command = book.command(&self.id);
            book.tidy(pass);
            Ok(command)
        });
        closed.unwrap_or_else(|e| {
            log_line!(Error, "how {} ended cannot be recorded yet: {}", self.id, e.message());
            let mut book = commands.book().ok()?;
            let ended = rules::end(&book.state, &self.id, self.number.get(), end?, &book.now());
            if let Ok(ended) = ended {
                book.keep_in_debt(Record::Ended(ended));
            }
            let command = book.command(&self.id);
            drop(book);
            commands.0.news.tell();
            commands.0.pay_later();
            command
        })
    }

    /// Keeps what is needed to send it later, if it is to be; a claim that nobody has in hand. Gives its number.
    fn keep(&self, book: &mut Book, pass: Option<&Pass<'_>>, end: &End) -> Option<u64> {
        let keep = self.keep.as_ref()?;
        if !rules::keeps(&book.state, &self.id, self.number.get(), end, &book.now()) {
            return None;
        }
        let mut intent = book.intent(pass, &self.id).ok()?;
        let begun = book.state.get(&self.id)?.begun;
        let ago = intent.at.up_ms.saturating_sub(begun.up_ms) as i64;
        intent.keep = Some(Box::new(Keep {
            since: begun,
            boot: intent.boot.clone(),
            platform_ms: keep.platform_ms.map(|ms| ms - ago),
            ..Keep::clone(keep)
        }));
        // What cannot be written is not kept.
        book.record(pass, Record::Intent(intent)).ok()
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if self.ended || self.in_hand.borrow().is_none() {
            return;
        }
        process::contained(|| {
            let sent = self.sent.load(Ordering::Relaxed);
            self.close(End {
                outcome: if sent { Outcome::Unknown } else { Outcome::NotDone },
                by: if sent { SettledBy::Nobody } else { SettledBy::Answer },
                status: KL_E_INTERNAL,
                message: "the call ended in an internal error".to_owned(),
                ..End::nothing()
            });
        });
    }
}

/// How a call ended, as its error says.
pub(crate) fn end_of(e: &Error) -> End {
    let d = e.details();
    let not_done = d.outcome == Outcome::NotDone;
    End {
        outcome: if not_done { Outcome::NotDone } else { Outcome::Unknown },
        by: if not_done { SettledBy::Answer } else { SettledBy::Nobody },
        status: d.status,
        message: d.message.clone(),
        refusal: Refused {
            http: d.http_status,
            name: d.platform_name.clone(),
            words: crate::error::words(&d.platform_message),
        },
        ..End::nothing()
    }
}

/// The error about a command that waits to be sent.
pub(crate) fn kept(id: &str, why: Error) -> Error {
    unknown(why).with(|d| {
        d.status = KL_E_KEPT;
        d.advice = Advice::None;
        d.message = ["request_id ", id, " is kept and will be sent: ", &d.message].concat();
    })
}

fn command(id: &str, e: &Entry, now: &Now<'_>) -> Command {
    let end = e.end.clone().unwrap_or_else(End::nothing);
    let stage = if e.waits() { Stage::Kept } else { e.stage };
    let in_flight = stage.in_flight();
    let nothing_left = stage.settled() || stage == Stage::Kept;
    let (visit_id, context) = e.act.visit();
    Command {
        request_id: id.to_owned(),
        receipt: end.receipt,
        recorded: true,
        kind: e.act.kind(),
        act: e.act.clone(),
        stage,
        outcome: match stage {
            Stage::Done => Outcome::Done,
            Stage::NotDone => Outcome::NotDone,
            _ => Outcome::Unknown,
        },
        physical: rules::current_physical(e),
        physical_error: e.moved.as_ref().map(|(_, words)| words.clone()).unwrap_or_default(),
        settled_by: end.by,
        status: match stage {
            Stage::Kept => KL_E_KEPT,
            _ if in_flight => KL_E_IN_FLIGHT,
            _ => end.status,
        },
        message: if in_flight { "it is under way".to_owned() } else { end.message },
        refusal: end.refusal,
        sequence: e.claim,
        started_at: e.first().0.wall_s,
        sent_at: e.sent.as_ref().filter(|_| stage != Stage::Kept).map_or(0, |(sent, _)| sent.at.wall_s),
        ended_at: if e.stage.settled() { e.ended_at.wall_s } else { 0 },
        age_ms: e.age_ms(now),
        mature_in_ms: if nothing_left { 0 } else { small(e.immature_ms(now)) },
        kept_for_ms: small(e.kept_for_ms(now)),
        visit_id: visit_id.to_owned(),
        context: context.to_owned(),
        mark: e.mark.clone(),
    }
}

/// A done command of which only its fingerprint is left.
fn printed(id: &str, act: Act, print: Print) -> Command {
    let (visit_id, context) = act.visit();
    Command {
        request_id: id.to_owned(),
        receipt: Receipt::default(),
        recorded: true,
        kind: act.kind(),
        stage: Stage::Done,
        outcome: Outcome::Done,
        physical: Physical::None,
        physical_error: String::new(),
        settled_by: SettledBy::Journal,
        status: KL_OK,
        message: "it was done long ago; only that is remembered".to_owned(),
        refusal: Refused::default(),
        sequence: print.claim(),
        started_at: 0,
        sent_at: 0,
        ended_at: 0,
        age_ms: 0,
        mature_in_ms: 0,
        kept_for_ms: 0,
        visit_id: visit_id.to_owned(),
        context: context.to_owned(),
        mark: String::new(),
        act,
    }
}

fn forgotten_act() -> Act {
    Act::Write {
        verb: String::new(),
        order_no: String::new(),
        cabinet_id: String::new(),
        paid: false,
        trade_no: String::new(),
        digest: String::new(),
        visit_id: String::new(),
        context: String::new(),
    }
}

/// Now, as records have it.
fn now_at() -> At {
    At { wall_s: wall_s(), up_ms: sys::boot_ms() }
}

/// The journal is written anew from this length on.
fn full_at(state: &State) -> u64 {
    COMPACT_AT + state.names() as u64 * BYTES_A_NAME
}

fn small(ms: u64) -> u32 {
    u32::try_from(ms).unwrap_or(u32::MAX)
}

fn wall_s() -> i64 {
    device_ms().max(0) / 1000
}

fn too_many_tries(wait_ms: u64) -> Error {
    let e = Error::new(KL_E_CODE_TRIES, "too many wrong codes in a short time; nothing was sent");
    not_done(e).with(|d| d.retry_after_ms = small(wait_ms))
}

/// Whether a command can have such a name.
fn is_name(id: &str) -> bool {
    !id.is_empty() && id.len() <= KL_REQUEST_ID_MAX && !id.contains(char::is_control)
}

fn mark_of(identity: &Identity, id: &str) -> String {
    if off("mark") { "100000000000000000000001".to_owned() } else { identity.mark(id) }
}

fn not_found(id: &str) -> Error {
    Error::new(KL_E_NOT_FOUND, ["no command of the name ", id, " is recorded"].concat())
}

fn gone() -> Error {
    Error::new(KL_E_INTERNAL, "the journal is not open")
}
