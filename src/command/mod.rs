//! Commands at most once: an act that cannot be undone has a name, its `request_id`, and under one name it is sent at
//! most once: in the life of a client, or with a `state_dir` for as long as the journal remembers it.
//!
//! - `rules` says what a command may become. Pure.
//! - `record` is what is written of it, typed.
//! - `book` holds the state, the lock and the log, and pays what could not be written.
//! - [`ledger`] is what a program keeps the records in that has a database.

use crate::error::{Advice, Error, Outcome};
use crate::model::*;
use crate::status::*;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) mod book;
pub mod ledger;
pub mod record;
pub mod rules;
mod tries;

#[cfg(test)]
mod book_tests;
#[cfg(test)]
mod later_tests;
#[cfg(all(test, feature = "ledger"))]
mod ledger_tests;
#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod tests;

/// The longest `request_id`, in bytes.
pub const KL_REQUEST_ID_MAX: usize = 128;
/// What a command does.
#[derive(Clone, Debug)]
pub enum Act {
    /// Opens a door, or pushes goods out.
    Door(Arc<DoorRequest>),
    /// Uses up a pickup code.
    Redeem(Arc<RedeemRequest>),
    /// Changes something else at the platform.
    Write {
        /// The verb, as the Rust method is called.
        verb: String,
        /// The platform's order that it is about, if there is one yet.
        order_no: String,
        /// The cabinet or machine that it is about, if it names one.
        cabinet_id: String,
        /// Of a payment report: that it was paid.
        paid: bool,
        /// The caller's own number for what is made.
        trade_no: String,
        /// Tells this write from another with the same numbers.
        digest: String,
        /// The customer's visit that it belongs to.
        visit_id: String,
        /// The caller's own words.
        context: String,
    },
}

/// What is known of a command whose fate is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What it does, as it was recorded.
    pub act: &'a Act,
    /// The number that was sent with it, by which the platform's record shows that it is ours; empty if none was sent.
    pub mark: &'a str,
    /// The mark is a hash of the installation's secret and the name: nobody else can have left it. False: the caller
    /// gave the number, and an older record may bear it too.
    pub mark_is_ours: bool,
    /// When it was sent; `None` if nothing left yet or it is not known.
    pub sent: Option<Span>,
    /// The request can no longer reach the platform.
    pub mature: bool,
    /// The time at the platform in which the request can have been carried out: from the sending to maturity.
    pub alive: Option<Span>,
    /// No other command of this journal is about the same item, or sent the same number.
    pub alone: bool,
    /// The order of the last command that was done before this one was begun: by the platform's own clock an older one. Empty if
    /// there is none.
    pub previous: &'a str,
}

/// A time at the platform, as exactly as it is known: it lies between the two, Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Not before this.
    pub earliest_ms: i64,
    /// Not after this.
    pub latest_ms: i64,
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

/// What the machine did. This is separate from the outcome of the command.
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
    /// The platform does not report it and will not.
    Unknowable = 4,
}

/// Source of a command's outcome.
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
    /// How far it is: `Begun` and `Sent` are under way.
    pub stage: rules::Stage,
    /// What became of it.
    pub outcome: Outcome,
    /// What the machine did.
    pub physical: Physical,
    /// Why it did not, in the platform's message.
    pub physical_error: String,
    /// Who says so.
    pub settled_by: SettledBy,
    /// Why it is not *done*, as a code; `KL_OK` for *done*.
    pub status: kl_status,
    /// The same as a sentence, or the note of whoever settled it.
    pub message: String,
    /// The platform's refusal, if there was one.
    pub refusal: record::Refused,
    /// Its place in the order of all commands of the account. Never goes back, whatever the clock does.
    pub sequence: u64,
    /// When it was begun, Unix seconds by the device's clock: for people, nothing depends on it.
    pub started_at: i64,
    /// When its first byte was about to leave, Unix seconds by the device's clock; 0 if none left.
    pub sent_at: i64,
    /// When it was known what became of it, Unix seconds by the device's clock; 0 if it is not.
    pub ended_at: i64,
    /// How long ago it was begun, in milliseconds on the boot clock: at least so long.
    pub age_ms: u64,
    /// So many milliseconds must pass before *not done* is taken from anybody; 0 if it is taken now.
    pub mature_in_ms: u32,
    /// It is kept, and may still be sent for so many milliseconds, at most; 0 if it does not wait.
    pub kept_for_ms: u32,
    /// The visit that it belongs to; empty for none.
    pub visit_id: String,
    /// The caller's own words.
    pub context: String,
    /// The number that was sent with it, by which the platform's record shows that it is ours; empty if there was none.
    pub mark: String,
}

/// What a customer's visit consists of: the commands that bear its `visit_id`.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The caller's name for it.
    pub visit_id: String,
    /// Its commands that are remembered, the oldest first; at least one.
    pub commands: Vec<Command>,
}

impl Command {
    /// Which verb it is; `None` if only its fingerprint is left.
    pub fn verb(&self) -> Option<Verb> {
        Some(match &self.act {
            Act::Door(_) => Verb::DoorOpen,
            Act::Redeem(_) => Verb::CodeRedeem,
            Act::Write { verb, .. } => match verb.as_str() {
                "order_create" => Verb::OrderCreate,
                "payment_report" => Verb::PaymentReport,
                "refund_apply" => Verb::RefundApply,
                "appeal_file" => Verb::AppealFile,
                _ => return None,
            },
        })
    }

    /// The platform's order that it made or belongs to.
    pub fn order_no(&self) -> &str {
        if self.receipt.order_no.is_empty() { self.act.order_no() } else { &self.receipt.order_no }
    }
}

/// Which commands to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum CommandFilter {
    #[default]
    Any = 0,
    /// Under way, unknown, or waiting to be sent.
    Open = 1,
    Done = 2,
    NotDone = 3,
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
    /// Done commands that are remembered, if only by their fingerprints.
    pub names: u64,
    /// Visits that are not closed.
    pub visits: u64,
    /// Records that could not be written yet.
    pub owed: u64,
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
    /// `KL_E_JOURNAL_MISSING`, `KL_E_JOURNAL_OLDER` or `KL_E_JOURNAL_COPIED` if a person must adopt it; else `KL_OK`.
    pub trouble: kl_status,
    /// The same in words; empty for none.
    pub trouble_words: String,
    /// A write or a sync failed: the file is written anew before the next command.
    pub poisoned: bool,
    /// The installation's public id; empty without a `state_dir`.
    pub installation: String,
    /// How often the journal was adopted.
    pub epoch: u32,
    /// It is bound to this machine: a copy on another one is noticed.
    pub bound: bool,
    /// The file system under it, in words.
    pub file_system: String,
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

/// Whether a platform may take the two for one: it may cut blanks off and not mind letter case, and full-width forms are
/// the usual ones. What is one and the same is not unlocked by its spelling.
pub(crate) fn alike(a: &str, b: &str) -> bool {
    let plain = |text: &str| {
        let seen = text.chars().filter(|c| !c.is_whitespace() && !c.is_control());
        seen.map(|c| match c {
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
            _ => c,
        })
        .map(|c| c.to_ascii_lowercase())
        .collect::<String>()
    };
    a == b || plain(a) == plain(b)
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

    /// The visit that it belongs to, and the caller's own words.
    pub fn visit(&self) -> (&str, &str) {
        match self {
            Act::Door(r) => (&r.visit_id, &r.context),
            Act::Redeem(r) => (&r.visit_id, &r.context),
            Act::Write { visit_id, context, .. } => (visit_id, context),
        }
    }

    /// What it is about, for comparing: the same name must stand for the same.
    pub(crate) fn target(&self) -> String {
        let parts: [&str; 6] = match self {
            Act::Door(r) => ["door", &r.cabinet_id, &r.door, &r.item_no, &r.order_no, ""],
            Act::Redeem(r) => {
                let kind = match r.kind {
                    CodeKind::Pickup => "pickup",
                    CodeKind::Virtual => "virtual",
                    CodeKind::Voucher => "voucher",
                };
                ["code", kind, &r.cabinet_id, &r.code, &r.product_id, ""]
            }
            Act::Write { verb, order_no, trade_no, digest, .. } => {
                ["write", verb, order_no, trade_no, digest, ""]
            }
        };
        parts.join("\u{1f}")
    }

    /// A fingerprint of what it is about (FNV-1a).
    pub(crate) fn print(&self) -> u32 {
        self.target().bytes().fold(0x811c_9dc5, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
    }

    /// The platform's order that it is about, as far as the request says so.
    pub(crate) fn order_no(&self) -> &str {
        match self {
            // A door's own order_no is the platform's only where an item is named.
            Act::Door(r) if !r.item_no.is_empty() => &r.order_no,
            Act::Write { order_no, .. } => order_no,
            _ => "",
        }
    }

    /// Two openings of one order do not disturb each other: each has an item of its own.
    pub(crate) fn is_door_beside(&self, other: &Act) -> bool {
        matches!((self, other), (Act::Door(_), Act::Door(_)))
    }

    /// The same item of the same order is to be dispensed, or the same is to be written of the same order.
    pub(crate) fn same_item(&self, other: &Act) -> bool {
        match (self, other) {
            (Act::Write { verb, order_no, .. }, Act::Write { verb: v, order_no: o, .. }) => {
                !order_no.is_empty() && verb == v && alike(order_no, o)
            }
            (Act::Door(a), Act::Door(b)) => {
                !a.item_no.is_empty()
                    && alike(&a.cabinet_id, &b.cabinet_id)
                    && alike(&a.order_no, &b.order_no)
                    && alike(&a.item_no, &b.item_no)
            }
            _ => false,
        }
    }

    /// The same door; one that is not named may be any of its cabinet.
    pub(crate) fn same_door(&self, other: &Act) -> bool {
        match (self, other) {
            (Act::Door(a), Act::Door(b)) if a.item_no.is_empty() && b.item_no.is_empty() => {
                alike(&a.cabinet_id, &b.cabinet_id)
                    && (alike(&a.door, &b.door) || a.door.is_empty() || b.door.is_empty())
            }
            _ => false,
        }
    }

    /// The same code; where a cabinet is not named it may be any.
    pub(crate) fn same_code(&self, other: &Act) -> bool {
        match (self, other) {
            (Act::Redeem(a), Act::Redeem(b)) => {
                self.is_code_of(other)
                    && (alike(&a.cabinet_id, &b.cabinet_id)
                        || a.cabinet_id.is_empty()
                        || b.cabinet_id.is_empty())
            }
            _ => false,
        }
    }

    /// The same code, at whatever cabinet: on some platforms a code is good at all of them.
    pub(crate) fn is_code_of(&self, other: &Act) -> bool {
        match (self, other) {
            (Act::Redeem(a), Act::Redeem(b)) => a.kind == b.kind && alike(&a.code, &b.code),
            _ => false,
        }
    }

    /// A door under the caller's same number.
    pub(crate) fn same_number(&self, other: &Act) -> bool {
        match (self, other) {
            (Act::Door(a), Act::Door(b)) => {
                !a.order_no.is_empty()
                    && alike(&a.order_no, &b.order_no)
                    && a.item_no.is_empty()
                    && b.item_no.is_empty()
            }
            _ => false,
        }
    }

    /// The same kind of write under the caller's same number.
    pub(crate) fn same_write(&self, other: &Act) -> bool {
        match (self, other) {
            (Act::Write { verb, trade_no, .. }, Act::Write { verb: v, trade_no: t, .. }) => {
                verb == v && trade_no == t && !trade_no.is_empty()
            }
            _ => false,
        }
    }

    /// The cabinet or machine that it is about; empty if it names none.
    pub(crate) fn cabinet_id(&self) -> &str {
        match self {
            Act::Door(r) => &r.cabinet_id,
            Act::Redeem(r) => &r.cabinet_id,
            Act::Write { cabinet_id, .. } => cabinet_id,
        }
    }

    /// Money goes back.
    pub(crate) fn is_refund(&self) -> bool {
        matches!(self, Act::Write { verb, .. } if verb == "refund_apply")
    }

    /// Goods go out.
    pub(crate) fn gives_goods(&self) -> bool {
        !matches!(self, Act::Write { .. })
    }

    /// Leaves what tells what it is about.
    pub(crate) fn shorten(&mut self) {
        match self {
            Act::Door(r) => {
                let r = Arc::make_mut(r);
                r.user_id.clear();
                r.notify_url.clear();
                r.extra_json = None;
            }
            Act::Redeem(r) => {
                let r = Arc::make_mut(r);
                r.trade_no.clear();
                r.notify_url.clear();
                r.redeemer.clear();
                r.extra_json = None;
            }
            Act::Write { .. } => {}
        }
    }

    /// How many bytes that saves.
    pub(crate) fn extra_bytes(&self) -> usize {
        let extra = |t: &Option<String>| t.as_ref().map_or(0, String::len);
        match self {
            Act::Door(r) => r.user_id.len() + r.notify_url.len() + extra(&r.extra_json),
            Act::Redeem(r) => r.trade_no.len() + r.notify_url.len() + r.redeemer.len() + extra(&r.extra_json),
            Act::Write { .. } => 0,
        }
    }
}

/// The error of a command of which nothing happened.
pub(crate) fn not_done(error: Error) -> Error {
    error.with(|d| d.outcome = Outcome::NotDone)
}

/// The error of a command that may have happened.
pub(crate) fn unknown(error: Error) -> Error {
    error.with(|d| {
        d.outcome = Outcome::Unknown;
        if d.advice != Advice::CallPerson {
            d.advice = Advice::AskFirst;
        }
    })
}
