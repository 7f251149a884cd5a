//! What a command may become. Pure: the state and the surroundings go in, a decision or a record comes out; [`apply`] makes
//! the next state of a record, by the same code after a restart. Nothing here waits, reads a clock or a file.
//!
//! ```text
//! intent ──► sent ──► done | not done | unknown ──► moved
//!    │                              unknown ──► done: at once, by query, event, sensor or person
//!    ├──► not done: no byte left    unknown ──► not done: after maturity
//!    └──► kept: no byte left ──► intent: sent later, or not done when its own time is up
//! ```
//!
//! The model checker runs this code through every interleaving (`trials/`, `make model`).

use super::Span;
use super::record::*;
use super::{Act, CommandKind, Physical, SettledBy, alike};
use crate::error::Outcome;
use kiosklink_wire::folded;
use kiosklink_wire::prints::Prints;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};

/// How far a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Claimed; no byte of it has left.
    Begun,
    /// Its bytes may leave or have left; the call is under way.
    Sent,
    /// The platform took it.
    Done,
    /// It did not happen and will not.
    NotDone,
    /// It may have happened.
    Unknown,
    /// No byte of it has left; the library sends it later.
    Kept,
}

impl Stage {
    /// The call is under way, or was when its process ended.
    pub fn in_flight(self) -> bool {
        matches!(self, Stage::Begun | Stage::Sent)
    }

    /// Known to be done or not done.
    pub fn settled(self) -> bool {
        matches!(self, Stage::Done | Stage::NotDone)
    }
}

/// One command, as the records show it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The number of its intent: whoever holds it may send.
    pub claim: u64,
    /// What it does.
    pub act: Act,
    /// Which process has the claim.
    pub owner: u64,
    /// Which start of the system it was begun in.
    pub boot: String,
    /// When it was begun.
    pub begun: At,
    /// The number that was sent with it.
    pub mark: String,
    /// Nobody else can have left the mark.
    pub mark_is_ours: bool,
    /// How long after the call's end it may still take effect, in milliseconds.
    pub hold_ms: u32,
    /// When it was sent last, and in which start of the system.
    pub sent: Option<(Sent, String)>,
    /// Of a repetition by which the platform is asked: the same before it.
    pub earlier: Option<(Sent, String)>,
    /// The platform's time of all sendings; `None` if it was not known at one of them.
    pub span: Option<Span>,
    /// How far it is.
    pub stage: Stage,
    /// How it ended.
    pub end: Option<End>,
    /// When it ended.
    pub ended_at: At,
    /// What the machine did, as told after the end, with its words.
    pub moved: Option<(Physical, String)>,
    /// What is needed to send it later.
    pub keep: Option<Box<Keep>>,
    /// When that was heard of.
    pub moved_at: At,
    /// The fingerprint of its name, if it was made.
    pub print: Option<[u8; 12]>,
    /// Only what answers a repetition is left of it.
    pub short: bool,
    /// The numbers of its records beside the intent; 0 for none.
    pub numbers: Numbers,
}

/// The numbers of a command's later records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Of the sending.
    pub sent: u64,
    /// Of the end.
    pub end: u64,
    /// Of the movement.
    pub moved: u64,
}

/// Everything that the records of one account show.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Each in a place of its own: a table that grows moves none of them.
    entries: HashMap<String, Box<Entry>, Seed>,
    /// The names that are not settled, in the order of their claims: nothing is looked for among all.
    open: Vec<(u64, String)>,
    prints: Prints,
    forgotten: u64,
    forgotten_n: u64,
    seen: VecDeque<(u64, [u8; 16], i64)>,
    /// The record by which each visit was closed last; of those that have commands.
    closed_visits: HashMap<String, (u64, At)>,
}

/// How names are spread in the table: by a number that only this process knows, eight bytes at a time.
#[derive(Clone, Debug)]
struct Seed(u64);

impl Default for Seed {
    fn default() -> Seed {
        Seed(RandomState::new().hash_one(0))
    }
}

impl BuildHasher for Seed {
    type Hasher = Fold;

    fn build_hasher(&self) -> Fold {
        Fold(self.0)
    }
}

struct Fold(u64);

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = folded(self.0, bytes);
    }

    /// The end of a text, whose length is in already.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The surroundings of a decision.
#[derive(Clone, Copy)]
pub struct Now<'a> {
    /// When.
    pub at: At,
    /// Which start of the system this is; empty if it cannot be known.
    pub boot: &'a str,
    /// This process.
    pub owner: u64,
    /// Whether somebody still has a claim in hand, by its owner and number: another process that lives, or a call of this
    /// one. An owner that cannot be asked for lives.
    pub held: &'a dyn Fn(u64, u64) -> bool,
}

/// What is to be done with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Claim it: append an intent.
    Claim,
    /// It was done before: the record is the answer.
    Recorded,
    /// It was done so long ago that only this is left of it.
    Printed(Print),
    /// What became of it is not known: ask.
    Ask,
    /// Nothing may be sent.
    Refuse(Refusal),
}

/// Why something is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No command of this name is recorded.
    NotFound,
    /// The name stands for another act.
    OtherAct,
    /// The command of this name is under way.
    InFlight,
    /// The command of this name is kept and will be sent.
    Kept,
    /// Another command is under way at the same door, for the same code or for the same order.
    Busy(String),
    /// What became of another command is not known; with the time after which the door is free again, in milliseconds, if
    /// it is only the door.
    Blocked(String, Option<u64>),
    /// The library issued the name so long ago that it may have been forgotten.
    TooOld,
    /// *Not done* is not taken before this many milliseconds have passed.
    TooEarly(u64),
    /// It is settled already, the other way.
    Settled,
    /// The claim is not theirs any more.
    Fenced,
}

/// Commands that may wait to be sent at a time: the journal has room for others.
pub(crate) const KEPT: usize = 64;
/// Settled commands that are kept whole.
pub(crate) const WHOLE: usize = 64;
/// As many bytes of what is only kept of whole ones.
pub(crate) const WHOLE_BYTES: usize = 64 * 1024;
/// Settled commands that are kept short.
pub(crate) const SHORT: usize = 448;
/// Done commands that are remembered by their fingerprints.
pub(crate) const PRINTS: usize = 10_000;
/// Fingerprints in one record.
const PRINTS_A_RECORD: usize = 64;
/// Callbacks that are remembered.
pub(crate) const SEEN: usize = 1024;
/// How long a callback is remembered, in seconds: longer than any is believed.
pub(crate) const SEEN_S: i64 = 8 * 86_400;
/// Open visits whose commands are kept before others.
pub(crate) const VISITS: usize = 256;

impl State {
    /// A command.
    pub fn get(&self, id: &str) -> Option<&Entry> {
        self.entries.get(id).map(|e| &**e)
    }

    /// All commands.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(id, e)| (id.as_str(), &**e))
    }

    /// Those that are not settled, the oldest first.
    pub fn open(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.open
            .iter()
            .filter_map(|(_, id)| self.entries.get_key_value(id))
            .map(|(id, e)| (id.as_str(), &**e))
    }

    /// Those that are kept to be sent, the oldest first; also while somebody tries to send them.
    pub fn kept(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.open().filter(|(_, e)| e.is_kept())
    }

    /// How many commands are not settled, and how many are.
    pub fn counts(&self) -> (usize, usize) {
        (self.open.len(), self.entries.len() - self.open.len())
    }

    /// How many done commands are remembered, whole, short or by their fingerprints.
    pub fn names(&self) -> usize {
        self.prints.all().len() + self.entries.values().filter(|e| e.stage == Stage::Done).count()
    }

    /// The fingerprint of a done command that was forgotten.
    pub fn print(&self, print: &[u8; 12]) -> Option<Print> {
        self.prints.get(print)
    }

    /// Whether anything may have been done under this name.
    pub fn knows(&self, id: &str, print: Option<&[u8; 12]>) -> bool {
        match self.entries.get(id) {
            Some(e) => e.stage != Stage::NotDone,
            None => {
                print.is_some_and(|print| self.prints.get(print).is_some())
                    || issued_at(id).is_some_and(|n| n < self.forgotten)
            }
        }
    }

    /// Names that the library issued before this record may have been forgotten.
    pub fn low_water(&self) -> u64 {
        self.forgotten
    }

    /// Whether this callback was taken before.
    pub fn was_seen(&self, identity: &[u8; 16]) -> bool {
        self.seen.iter().any(|(_, known, _)| known == identity)
    }

    /// Whether another command than this one has this order in its receipt.
    pub fn order_claimed(&self, order_no: &str, id: &str) -> bool {
        !order_no.is_empty()
            && self.entries.iter().any(|(other, e)| {
                other != id && e.end.as_ref().is_some_and(|end| end.receipt.order_no == order_no)
            })
    }

    /// Whether no other command is about the same item or bears the same number, nor may have used the same code: what shows
    /// that it happened may be of that one.
    pub fn alone(&self, id: &str) -> bool {
        self.entries.get(id).is_none_or(|mine| {
            !self.entries.iter().any(|(other, e)| {
                let same_code = e.act.is_code_of(&mine.act) && !e.surely_did_nothing();
                let same = e.act.same_item(&mine.act) || e.act.same_number(&mine.act) || same_code;
                other != id && same
            })
        })
    }

    /// The order of the last command that was done before this one was begun.
    pub fn previous(&self, id: &str) -> &str {
        let Some(mine) = self.get(id) else { return "" };
        let order = |e: &'_ Entry| e.end.as_ref().map_or(0, |end| end.receipt.order_no.len());
        let before = |e: &&Entry| {
            // When a short one ended is not kept.
            e.stage == Stage::Done && !e.short && (1..mine.claim).contains(&e.numbers.end) && order(e) > 0
        };
        let last = self.entries.values().map(|e| &**e).filter(before).max_by_key(|e| e.numbers.end);
        last.and_then(|e| e.end.as_ref()).map_or("", |end| &end.receipt.order_no)
    }

    /// The visits that have commands and were not closed, the oldest first.
    pub fn open_visits(&self) -> Vec<&str> {
        let mut first: HashMap<&str, u64> = HashMap::new();
        for e in self.entries.values() {
            let (visit, _) = e.act.visit();
            if !visit.is_empty() && self.closed_visits.get(visit).is_none_or(|(n, _)| *n < e.claim) {
                let n = first.entry(visit).or_insert(e.claim);
                *n = e.claim.min(*n);
            }
        }
        let mut first: Vec<(u64, &str)> = first.into_iter().map(|(visit, n)| (n, visit)).collect();
        first.sort_unstable();
        first.into_iter().map(|(_, visit)| visit).collect()
    }

    /// Whether a visit is open.
    pub fn is_open(&self, visit: &str) -> bool {
        let closed = self.closed_visits.get(visit).map_or(0, |(n, _)| *n);
        self.entries.values().any(|e| e.act.visit().0 == visit && e.claim > closed)
    }

    /// Whether a command is of this visit.
    fn has_visit(&self, visit: &str) -> bool {
        self.entries.values().any(|e| e.act.visit().0 == visit)
    }
}

impl Entry {
    /// How long *not done* is not taken yet, in milliseconds: until network, proxy and platform can no longer hold the
    /// request. Counted from the sending on the boot clock, after a restart of the system from that start.
    pub fn immature_ms(&self, now: &Now<'_>) -> u64 {
        self.left_of(&self.sent, now)
    }

    fn left_of(&self, sent: &Option<(Sent, String)>, now: &Now<'_>) -> u64 {
        let Some((sent, boot)) = sent else { return 0 };
        let same = !boot.is_empty() && *boot == now.boot || boot.is_empty() && now.at.up_ms >= sent.at.up_ms;
        let elapsed = if same { now.at.up_ms.saturating_sub(sent.at.up_ms) } else { now.at.up_ms };
        (u64::from(sent.left_ms) + u64::from(self.hold_ms)).saturating_sub(elapsed)
    }

    /// How long ago it was begun, in milliseconds: at least so long.
    pub fn age_ms(&self, now: &Now<'_>) -> u64 {
        let (begun, boot) = self.first();
        let up = now.at.up_ms;
        if !boot.is_empty() && boot == now.boot { up.saturating_sub(begun.up_ms) } else { up }
    }

    /// When the caller began it, and in which start of the system.
    pub fn first(&self) -> (At, &str) {
        match &self.keep {
            Some(keep) => (keep.since, &keep.boot),
            None => (self.begun, &self.boot),
        }
    }

    /// What is needed to send it is kept.
    fn is_kept(&self) -> bool {
        self.keep.as_ref().is_some_and(|keep| keep.rest.is_some())
    }

    /// It is kept, and nothing of this try is to leave yet.
    pub fn waits(&self) -> bool {
        self.stage == Stage::Kept || self.stage == Stage::Begun && self.is_kept()
    }

    /// How long it may still be sent if it is kept, in milliseconds, at most.
    pub fn kept_for_ms(&self, now: &Now<'_>) -> u64 {
        let most = |keep: &Keep| u64::from(keep.within_ms).saturating_sub(now.at.up_ms);
        match self.keep.as_ref().filter(|_| self.waits()) {
            Some(keep) => keep.left_ms(None, now).unwrap_or_else(|| most(keep)),
            None => 0,
        }
    }

    /// Takes what the platform's clock says now: when it was sent follows from the time that has passed since.
    pub fn learn(&mut self, platform: Option<Span>, now: &Now<'_>) {
        let (Some(platform), Some((sent, boot))) = (platform, &self.sent) else { return };
        // Of the first sending of a repetition only its record tells.
        if self.earlier.is_some() || boot.is_empty() || *boot != now.boot {
            return;
        }
        let ago = |at: At| now.at.up_ms.saturating_sub(at.up_ms) as i64;
        // Two clocks drift apart, by 100 ppm at most.
        let drift = ago(self.begun) / 10_000;
        let late = Span {
            earliest_ms: platform.earliest_ms - ago(self.begun) - drift,
            latest_ms: platform.latest_ms - ago(sent.at) + drift,
        };
        let both = |known: Span| Span {
            earliest_ms: known.earliest_ms.max(late.earliest_ms),
            latest_ms: known.latest_ms.min(late.latest_ms),
        };
        self.span = match self.span {
            None => Some(late),
            Some(known) => Some(both(known)).filter(|s| s.earliest_ms <= s.latest_ms).or(Some(known)),
        };
    }

    /// The platform's time in which it can have been carried out.
    pub fn alive(&self) -> Option<Span> {
        let (sent, _) = self.sent.as_ref()?;
        let span = self.span?;
        let latest_ms = span.latest_ms + i64::from(sent.left_ms) + i64::from(self.hold_ms);
        Some(Span { latest_ms, ..span })
    }

    /// Whether its call is still under way.
    fn held(&self, now: &Now<'_>) -> bool {
        self.stage.in_flight() && (now.held)(self.owner, self.claim)
    }

    /// It was not done, and that was proved: nobody's word is all that there is for it.
    fn surely_did_nothing(&self) -> bool {
        let told = |end: &End| matches!(end.by, SettledBy::Sensor | SettledBy::Person);
        self.stage == Stage::NotDone && !self.end.as_ref().is_some_and(told)
    }

    /// The orders that it is about, as far as they are known.
    fn is_of_order(&self, order_no: &str) -> bool {
        !order_no.is_empty()
            && (alike(self.act.order_no(), order_no)
                || self.end.as_ref().is_some_and(|end| alike(&end.receipt.order_no, order_no)))
    }

    /// `of_visit`: its visit is open, so what its order needs is still asked for.
    fn shorten(&mut self, of_visit: bool) {
        self.short = true;
        if let Some(end) = &mut self.end {
            end.receipt.json.clear();
            if !of_visit {
                end.receipt.report_url.clear();
            }
            end.refusal = Refused::default();
            if self.stage == Stage::Done {
                end.message.clear();
            }
        }
        self.act.shorten();
    }

    /// As many bytes as shortening would save.
    fn extra_bytes(&self) -> usize {
        let end = self
            .end
            .as_ref()
            .map_or(0, |e| e.receipt.json.len() + e.receipt.report_url.len() + e.message.len());
        end + self.act.extra_bytes()
    }
}

impl Keep {
    /// How long it may still be sent, in milliseconds; `None` if only the platform's time can tell it, and that is not known now.
    /// Over a restart of the system nobody knows how long the power was off but the platform's clock: a clock of the
    /// device may have been set back. What can never be known is over.
    pub fn left_ms(&self, platform: Option<Span>, now: &Now<'_>) -> Option<u64> {
        let within = u64::from(self.within_ms);
        if !self.boot.is_empty() && self.boot == now.boot {
            return Some(within.saturating_sub(now.at.up_ms.saturating_sub(self.since.up_ms)));
        }
        // Since that start it is at least so long.
        let most = within.saturating_sub(now.at.up_ms);
        let Some(then) = self.platform_ms.filter(|_| most > 0) else { return Some(0) };
        let passed = platform?.latest_ms.saturating_sub(then);
        // A clock that went back tells nothing.
        let left = u64::try_from(passed).map_or(0, |passed| within.saturating_sub(passed));
        Some(left.min(most))
    }
}

/// May this name be sent for this act? `print` is the name's fingerprint; `None` if nothing was forgotten yet.
pub fn begin(state: &State, id: &str, print: Option<&[u8; 12]>, act: &Act, now: &Now<'_>) -> Decision {
    let entry = state.entries.get(id).filter(|e| e.stage != Stage::NotDone);
    if let Some(entry) = entry {
        // The same name for another act is a bug of the caller's.
        if entry.act.target() != act.target() {
            return Decision::Refuse(Refusal::OtherAct);
        }
        return match entry.stage {
            Stage::Done => Decision::Recorded,
            Stage::Unknown => Decision::Ask,
            _ if entry.waits() => Decision::Refuse(Refusal::Kept),
            _ => Decision::Refuse(Refusal::InFlight),
        };
    }
    if let Some(known) = print.and_then(|print| state.prints.get(print)) {
        return if known.act() == act.print() {
            Decision::Printed(known)
        } else {
            Decision::Refuse(Refusal::OtherAct)
        };
    }
    // One that is known as not done was not forgotten.
    if !state.entries.contains_key(id) && issued_at(id).is_some_and(|n| n < state.forgotten) {
        return Decision::Refuse(Refusal::TooOld);
    }
    match conflict(state, id, act, now) {
        Some(refusal) => Decision::Refuse(refusal),
        None => Decision::Claim,
    }
}

/// At one door, for one code and for one order there is one unsettled command.
fn conflict(state: &State, id: &str, act: &Act, now: &Now<'_>) -> Option<Refusal> {
    for (other, e) in state.open().filter(|(other, _)| *other != id) {
        // What waits is in the way of its own order, and of nobody else; also while a connection is looked for.
        let kept = e.waits();
        let in_flight = e.stage.in_flight() || kept;
        let locked = e.act.same_code(act)
            || e.act.same_item(act)
            || e.act.same_write(act)
            || !e.act.is_door_beside(act) && e.is_of_order(act.order_no())
            || act.is_refund() && may_be_of_order(state, e, act.order_no());
        let left_ms = e.immature_ms(now);
        // After maturity the next customer is served: nothing of the earlier one can come any more.
        // And the platform, which knows the code's order, has decided about the money of it.
        let passing = e.act.same_door(act) || e.act.is_refund() && act.kind() == CommandKind::Redeem;
        let door = passing && !kept && (in_flight || left_ms > 0);
        if !locked && !door {
            continue;
        }
        return Some(if in_flight {
            Refusal::Busy(other.to_owned())
        } else {
            Refusal::Blocked(other.to_owned(), (!locked).then_some(left_ms))
        });
    }
    None
}

/// A command of goods whose order nobody knows may be of any. Only a door makes an order of its own: it is of none that
/// another command made. A code was bought before. An order is of one machine: a command at another one is not of it.
fn may_be_of_order(state: &State, e: &Entry, order_no: &str) -> bool {
    if !e.act.order_no().is_empty() || !e.act.gives_goods() {
        return false;
    }
    let here = e.act.cabinet_id();
    let (mut made, mut elsewhere) = (false, false);
    for maker in state.entries.values().filter(|other| other.stage == Stage::Done) {
        if maker.end.as_ref().is_some_and(|end| end.receipt.order_no == order_no) {
            let there = maker.act.cabinet_id();
            made = true;
            elsewhere |= !here.is_empty() && !there.is_empty() && here != there;
        }
    }
    !made || e.act.kind() == CommandKind::Redeem && !elsewhere
}

/// The record number at which the library issued this name; `None` if it is the caller's own.
pub fn issued_at(id: &str) -> Option<u64> {
    let rest = id.strip_prefix("kl-")?;
    let (number, random) = rest.split_once('-')?;
    if random.len() != 16 || !random.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    number.parse().ok()
}

/// Claims an unknown command for the repetition by which the platform is asked.
pub fn again(state: &State, id: &str) -> Result<(), Refusal> {
    match state.entries.get(id) {
        None => Err(Refusal::NotFound),
        Some(e) if e.stage == Stage::Unknown => Ok(()),
        Some(e) if e.stage.in_flight() => Err(Refusal::InFlight),
        Some(_) => Err(Refusal::Settled),
    }
}

/// May the bytes of this claim leave now? The record must be durable before the first one does. Once more for the same
/// claim, if the process was stopped between the check and the first byte: maturity counts from the last.
pub fn send(
    state: &State,
    id: &str,
    claim: u64,
    left_ms: u32,
    platform: Option<Span>,
    now: &Now<'_>,
) -> Result<Sent, Refusal> {
    match state.entries.get(id) {
        Some(e) if e.claim == claim && e.stage.in_flight() && e.owner == now.owner => {
            // Nobody was kept waiting by one that waited itself.
            if let Some(refusal) = conflict(state, id, &e.act, now).filter(|_| e.waits()) {
                return Err(refusal);
            }
            Ok(Sent { id: id.to_owned(), claim, at: now.at, left_ms, platform })
        }
        _ => Err(Refusal::Fenced),
    }
}

/// What is to be done with a command that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing now: somebody has it in hand, it is over, or another command of its order is not settled.
    Wait,
    /// Its time cannot be known without the platform's.
    AskTime,
    /// Its time is up.
    Over(Box<Ended>),
    /// Claim it; it may leave within so many milliseconds.
    Claim(u64),
}

/// May this one, which is kept, be sent now? `platform`: the platform's time, as far as it is known.
pub fn later(state: &State, id: &str, platform: Option<Span>, now: &Now<'_>) -> Due {
    let entry = state.entries.get(id).filter(|e| e.stage == Stage::Kept);
    let Some((e, keep)) = entry.and_then(|e| Some((e, e.keep.as_ref()?))) else { return Due::Wait };
    match keep.left_ms(platform, now) {
        None => Due::AskTime,
        Some(0) => Due::Over(Box::new(over(id, e, now))),
        Some(_) if conflict(state, id, &e.act, now).is_some() => Due::Wait,
        Some(left) => Due::Claim(left),
    }
}

/// One that is kept and whose time is up is not done.
fn over(id: &str, e: &Entry, now: &Now<'_>) -> Ended {
    let last = e.end.as_ref().map_or("", |end| &end.message);
    let end = End {
        outcome: Outcome::NotDone,
        by: SettledBy::Answer,
        message: ["its time was up before it could be sent; the last try: ", last].concat(),
        status: crate::status::KL_E_STALE,
        ..End::nothing()
    };
    Ended { id: id.to_owned(), claim: e.claim, at: now.at, end }
}

/// Whether a call that ended like this may do better later: nothing of it was done, nobody refused it, and what was in the way
/// may go. `sent`: what it would have sent may have reached somebody who answered.
pub fn may_go_away(end: &End, sent: bool) -> bool {
    use crate::status::*;
    let retry = crate::error::default_advice(end.status) == crate::error::Advice::Retry;
    let way = retry || matches!(end.status, KL_E_PROXY | KL_E_TLS..=KL_E_TLS_PIN | KL_E_CLOCK);
    let refused = sent && end.refusal.http != 0 && end.status != KL_E_RATE_LIMIT;
    end.outcome == Outcome::NotDone
        && end.by == SettledBy::Answer
        && way
        && !refused
        && end.status != KL_E_CANCELLED
}

/// Whether the call of this claim, which ended like this, is to be kept: there is room, and something is to be sent.
pub fn keeps(state: &State, id: &str, claim: u64, end: &End, now: &Now<'_>) -> bool {
    // After a card forgot records their numbers come again: the claim can be another process's.
    let ours = |e: &&Entry| e.claim == claim && e.owner == now.owner;
    let mine = state.get(id).filter(ours).filter(|e| e.stage.in_flight() && e.earlier.is_none());
    mine.is_some_and(|e| may_go_away(end, e.stage == Stage::Sent)) && state.kept().count() < KEPT
}

/// How the call of this claim ended, by its own answer; `by` is `Query` if another read of the same call proved it.
pub fn end(state: &State, id: &str, claim: u64, end: End, now: &Now<'_>) -> Result<Ended, Refusal> {
    // After a card forgot records their numbers come again: the claim can be another process's. Only who sent can have
    // an answer, so *done* is not mistaken.
    let ours = |e: &&Entry| e.claim == claim && (e.owner == now.owner || end.outcome == Outcome::Done);
    let Some(e) = state.get(id).filter(ours) else { return Err(Refusal::Fenced) };
    let mut end = end;
    if e.earlier.is_some()
        && end.outcome == Outcome::NotDone
        && (end.by != SettledBy::Query || e.left_of(&e.earlier, now) > 0)
    {
        // That the repetition did nothing says nothing of the first try, unless another read says so that nothing can precede.
        end.outcome = Outcome::Unknown;
        end.by = SettledBy::Nobody;
        end.message.push_str("; what became of the first try is still not known");
    }
    match e.stage {
        Stage::Begun | Stage::Sent => {
            // Of one that is sent later nobody but the library cancels a try.
            let stopped = end.outcome == Outcome::NotDone
                && matches!(end.status, crate::status::KL_E_CANCELLED | crate::status::KL_E_RETIRED);
            let in_time = e.keep.as_ref().is_some_and(|keep| keep.left_ms(None, now) != Some(0));
            if e.is_kept() && in_time && (stopped || may_go_away(&end, e.stage == Stage::Sent)) {
                wait_on(&mut end);
            }
        }
        // Somebody took us for dead; the answer is an answer all the same.
        Stage::Unknown if end.outcome != Outcome::Unknown => {}
        _ => return Err(Refusal::Fenced),
    }
    Ok(Ended { id: id.to_owned(), claim, at: now.at, end })
}

/// It waits to be sent; the message is what was in the way.
fn wait_on(end: &mut End) {
    end.outcome = Outcome::Unknown;
    end.by = SettledBy::Nobody;
    end.status = crate::status::KL_E_KEPT;
}

/// Settles a command from outside its call: by a query, a callback, a sensor, a person. `Ok(None)`: it is known already.
/// With `overrule` a person says *not done* aloud before maturity.
pub fn settle(
    state: &State,
    id: &str,
    end: End,
    overrule: bool,
    now: &Now<'_>,
) -> Result<Option<Ended>, Refusal> {
    let e = state.entries.get(id).ok_or(Refusal::NotFound)?;
    let done = end.outcome == Outcome::Done;
    let record = |mut end: End| {
        // The platform's refusal stays to be explained, whoever says what it came to.
        if let Some(before) = e.end.as_ref().filter(|_| !done && end.refusal == Refused::default()) {
            end.refusal.clone_from(&before.refusal);
        }
        Ok(Some(Ended { id: id.to_owned(), claim: e.claim, at: now.at, end }))
    };
    match e.stage {
        Stage::Done if done => Ok(None),
        Stage::NotDone if !done => Ok(None),
        Stage::Done => Err(Refusal::Settled),
        // What a sensor or a person said is overruled by what only our act can have left at the platform.
        Stage::NotDone if e.sent.is_some() && matches!(end.by, SettledBy::Query | SettledBy::Event) => {
            record(end)
        }
        Stage::NotDone => Err(Refusal::Settled),
        // Nothing of it has left.
        Stage::Begun if e.sent.is_none() => Err(Refusal::InFlight),
        // And nobody has it in hand: it is withdrawn.
        Stage::Kept if !done => record(end),
        Stage::Kept => Err(Refusal::InFlight),
        _ if done => record(end),
        _ if e.held(now) => Err(Refusal::InFlight),
        _ => match e.immature_ms(now) {
            left if left > 0 && !overrule => Err(Refusal::TooEarly(left)),
            _ => record(end),
        },
    }
}

/// What the commands became whose process has ended: not done if no byte can have left, unknown otherwise. One that is kept waits
/// on until its time is up.
pub fn orphans(state: &State, now: &Now<'_>) -> Vec<Ended> {
    let mut found = Vec::new();
    for (id, e) in state.open() {
        if e.stage == Stage::Kept && e.kept_for_ms(now) == 0 {
            found.push(over(id, e, now));
        }
        if !e.stage.in_flight() || e.held(now) {
            continue;
        }
        let end = if e.sent.is_none() && e.is_kept() {
            let mut end =
                End { message: "the process ended before it was sent".to_owned(), ..End::nothing() };
            wait_on(&mut end);
            end
        } else if e.sent.is_none() {
            End {
                outcome: Outcome::NotDone,
                by: SettledBy::Journal,
                message: "the process ended before anything was sent".to_owned(),
                status: crate::status::KL_E_CANCELLED,
                ..End::nothing()
            }
        } else {
            End {
                message: "the process or the power ended before the answer came".to_owned(),
                status: crate::status::KL_E_LOST,
                ..End::nothing()
            }
        };
        found.push(Ended { id: id.to_owned(), claim: e.claim, at: now.at, end });
    }
    found
}

/// What the commands became that an older journal shows under way or kept when a person adopts it: what followed is lost, so
/// also that a byte left may be.
pub fn adopted(state: &State, now: &Now<'_>) -> Vec<Ended> {
    let open = state.open().filter(|(_, e)| e.stage.in_flight() || e.stage == Stage::Kept);
    open.map(|(id, e)| Ended {
        id: id.to_owned(),
        claim: e.claim,
        at: now.at,
        end: End {
            message: "what became of it was in the part of the journal that is lost".to_owned(),
            status: crate::status::KL_E_LOST,
            ..End::nothing()
        },
    })
    .collect()
}

/// What a report says of a machine's movement; `None` if it is known already.
pub fn movement(state: &State, id: &str, physical: Physical, error: &str, now: &Now<'_>) -> Option<Movement> {
    let e = state.entries.get(id)?;
    (e.stage == Stage::Done && current_physical(e) == Physical::Pending && physical != Physical::Pending)
        .then(|| Movement {
            id: id.to_owned(),
            claim: e.claim,
            at: now.at,
            physical,
            error: error.to_owned(),
        })
}

/// What is known of a command's movement.
pub fn current_physical(e: &Entry) -> Physical {
    match (&e.moved, &e.end) {
        (Some((physical, _)), _) => *physical,
        (None, Some(end)) => end.physical,
        (None, None) => Physical::None,
    }
}

impl End {
    /// Unknown, by nobody, without a word.
    pub fn nothing() -> End {
        End {
            outcome: Outcome::Unknown,
            by: SettledBy::Nobody,
            receipt: Default::default(),
            physical: Physical::None,
            status: 0,
            message: String::new(),
            refusal: Refused::default(),
        }
    }
}

/// The next state. A record of a claim that is no longer the command's changes nothing. `n` is 0 for one that is known and
/// could not be written yet.
pub fn apply(state: &mut State, n: u64, record: Record) {
    match record {
        Record::Intent(i) => begun(state, n, i),
        Record::Sent(s) => {
            let Some(e) = state.entries.get_mut(&s.id).filter(|e| e.claim == s.claim) else { return };
            if e.stage.in_flight() {
                e.stage = Stage::Sent;
            }
            e.span = match (e.sent.is_some(), e.span, s.platform) {
                (false, _, span) => span,
                (true, Some(a), Some(b)) => Some(Span {
                    earliest_ms: a.earliest_ms.min(b.earliest_ms),
                    latest_ms: a.latest_ms.max(b.latest_ms),
                }),
                _ => None,
            };
            e.numbers.sent = e.numbers.sent.max(n);
            let mut s = s;
            if let Some((before, boot)) = &e.sent {
                s.left_ms = s.left_ms.max(left_of(before, *boot == e.boot, s.at.up_ms));
            }
            e.sent = Some((s, e.boot.clone()));
        }
        Record::Ended(ended) => {
            let Some(e) = state.entries.get_mut(&ended.id).filter(|e| e.claim == ended.claim) else { return };
            let stage = stage_of(&ended.end);
            // What could not be written yet has its number later.
            e.numbers.end = e.numbers.end.max(n);
            // One that was written late says less than what was proved meanwhile.
            if e.stage == Stage::Done || e.stage == Stage::NotDone && stage != Stage::Done {
                return;
            }
            e.stage = stage;
            if e.stage.settled() {
                close(&mut state.open, e.claim);
            }
            if let Some(keep) = e.keep.as_mut().filter(|_| stage != Stage::Kept) {
                // Never again.
                keep.rest = None;
            }
            e.ended_at = ended.at;
            e.end = Some(ended.end);
        }
        Record::Moved(m) => {
            let Some(e) = state.entries.get_mut(&m.id).filter(|e| e.claim == m.claim) else { return };
            e.moved = Some((m.physical, m.error));
            e.moved_at = m.at;
            e.numbers.moved = e.numbers.moved.max(n);
        }
        Record::Was(was) => {
            let stage = stage_of(&was.end);
            let e = Entry {
                claim: was.claim,
                act: was.act,
                owner: 0,
                boot: String::new(),
                begun: was.begun,
                mark: was.mark,
                mark_is_ours: true,
                hold_ms: 0,
                sent: None,
                earlier: None,
                span: None,
                stage,
                end: Some(was.end),
                ended_at: was.ended,
                moved: was.moved,
                moved_at: was.ended,
                print: was.print,
                keep: None,
                short: true,
                numbers: Numbers { end: n, ..Numbers::default() },
            };
            if let Some(before) = state.entries.insert(was.id, Box::new(e)) {
                close(&mut state.open, before.claim);
            }
        }
        Record::Prints(prints) => state.prints.add(&prints),
        Record::Forgotten(below) => {
            state.forgotten = state.forgotten.max(below);
            state.forgotten_n = n;
        }
        // It was not taken after all.
        Record::Seen(identity, 0) => state.seen.retain(|(_, known, _)| *known != identity),
        Record::Seen(identity, at) => {
            state.seen.retain(|(_, known, _)| *known != identity);
            state.seen.push_back((n, identity, at));
            while state.seen.len() > SEEN || state.seen.front().is_some_and(|(_, _, t)| t + SEEN_S < at) {
                state.seen.pop_front();
            }
        }
        Record::VisitClosed(id, at) => {
            // Of a visit without commands there is nothing to list.
            if state.has_visit(&id) {
                state.closed_visits.insert(id, (n, at));
            }
        }
    }
}

/// How long the call of an earlier sending can still have gone on at this moment, in milliseconds.
fn left_of(before: &Sent, same_boot: bool, up_ms: u64) -> u32 {
    let from = if same_boot { before.at.up_ms } else { 0 };
    let end = from + u64::from(before.left_ms);
    u32::try_from(end.saturating_sub(up_ms)).unwrap_or(u32::MAX)
}

fn close(open: &mut Vec<(u64, String)>, claim: u64) {
    open.retain(|(other, _)| *other != claim);
}

fn begun(state: &mut State, n: u64, i: Intent) {
    if let Some(before) = state.entries.remove(&i.id) {
        close(&mut state.open, before.claim);
    }
    let span = i.earlier.as_ref().and_then(|e| e.platform);
    // What an earlier try of an unknown command may have done is not forgotten over the repetition.
    let sent = i.earlier.map(|e| {
        let sent = Sent { id: i.id.clone(), claim: n, at: e.at, left_ms: e.left_ms, platform: e.platform };
        (sent, e.boot)
    });
    let e = Entry {
        claim: n,
        act: i.act,
        owner: i.owner,
        boot: i.boot,
        begun: i.at,
        mark: i.mark,
        mark_is_ours: i.mark_is_ours,
        hold_ms: i.hold_ms,
        earlier: sent.clone(),
        sent,
        span,
        stage: Stage::Begun,
        end: None,
        ended_at: At::default(),
        moved: None,
        moved_at: At::default(),
        print: i.print,
        keep: i.keep,
        short: false,
        numbers: Numbers::default(),
    };
    close(&mut state.open, n);
    let at = state.open.partition_point(|(claim, _)| *claim < n);
    state.open.insert(at, (n, i.id.clone()));
    state.entries.insert(i.id, Box::new(e));
}

fn stage_of(end: &End) -> Stage {
    match end.outcome {
        Outcome::Done => Stage::Done,
        Outcome::NotDone => Stage::NotDone,
        // Only what waits to be sent has this code.
        _ if end.status == crate::status::KL_E_KEPT => Stage::Kept,
        _ => Stage::Unknown,
    }
}

/// Leaves out what is not promised any more: those that were not done first; of done ones what answers a repetition, then
/// their fingerprints, and of the oldest fingerprints the low-water mark. Commands of open visits stay before others of their
/// kind. What is not settled is never forgotten. Nothing is left out because something else is large. So many settled commands
/// are kept, whole or short. Gives how many open visits are not listed any more.
pub fn forget(state: &mut State, keep: usize, print_of: &dyn Fn(&str) -> [u8; 12]) -> usize {
    forget_beyond(state, Limits { whole: WHOLE, keep, prints: PRINTS, visits: VISITS }, print_of)
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Settled commands that are kept whole.
    pub whole: usize,
    /// Settled commands that are kept, whole or short.
    pub keep: usize,
    /// Fingerprints of done ones.
    pub prints: usize,
    /// Open visits, the newest, whose commands are kept before others.
    pub visits: usize,
}

/// The same within other limits.
pub fn forget_beyond(state: &mut State, limits: Limits, print_of: &dyn Fn(&str) -> [u8; 12]) -> usize {
    let Limits { whole, keep, prints, visits } = limits;
    let open = state.open_visits();
    let (listed, newest) = (open.len(), open.iter().rev().take(visits));
    let of_visits: HashSet<String> = newest.map(|visit| (*visit).to_owned()).collect();
    let is_of_visit = |e: &Entry| of_visits.contains(e.act.visit().0);
    // The done ones first, of them those of open visits, of each the newest first.
    let rank = |e: &Entry| {
        u64::from(e.stage == Stage::Done) << 63
            | u64::from(is_of_visit(e)) << 62
            | (e.claim & ((1 << 62) - 1))
    };
    let settled = state.entries.values().filter(|e| e.stage.settled());
    let (mut ranks, mut claims): (Vec<u64>, Vec<u64>) = settled.map(|e| (rank(e), e.claim)).unzip();
    // The smallest of the so many largest.
    let least = |all: &mut [u64], of: usize| {
        // Std's selection would be a kilobyte more.
        all.sort_unstable();
        all.len().checked_sub(of).map_or(0, |at| all[at])
    };
    let kept_from = if keep == 0 { u64::MAX } else { least(&mut ranks, keep) };
    let whole_from = least(&mut claims, whole.max(1));
    let mut gone = Vec::new();
    state.entries.retain(|id, e| {
        let stays = !e.stage.settled() || rank(e) >= kept_from;
        if !stays && e.stage == Stage::Done {
            let name = e.print.unwrap_or_else(|| print_of(id));
            gone.push(Print::new(&name, e.act.print(), e.claim).0);
        }
        stays
    });
    // What is large is shortened before what comes after it in that order, and pushes out no other.
    let mut large: Vec<(u64, usize)> = Vec::new();
    for e in state.entries.values_mut().filter(|e| e.stage.settled()) {
        if e.claim >= whole_from {
            large.push((rank(e), e.extra_bytes()));
        } else {
            e.shorten(is_of_visit(e));
        }
    }
    let mut bytes = 0;
    let mut too_large = Vec::new();
    while let Some(first) = (0..large.len()).max_by_key(|i| large[*i].0) {
        let (rank, extra) = large.swap_remove(first);
        if bytes + extra > WHOLE_BYTES {
            too_large.push(rank);
        } else {
            bytes += extra;
        }
    }
    if !too_large.is_empty() {
        for e in state.entries.values_mut().filter(|e| e.stage.settled() && too_large.contains(&rank(e))) {
            e.shorten(is_of_visit(e));
        }
    }
    gone.sort_unstable_by_key(Print::order);
    state.prints.add(&gone);
    if !state.closed_visits.is_empty() {
        let with_commands: HashSet<&str> = state.entries.values().map(|e| e.act.visit().0).collect();
        state.closed_visits.retain(|visit, _| with_commands.contains(visit.as_str()));
    }
    if let Some(gone) = state.prints.leave(prints) {
        state.forgotten = state.forgotten.max(gone.claim() + 1);
        state.forgotten_n = gone.claim();
    }
    listed - state.open_visits().len()
}

/// Everything that is known as records with their numbers, in the order in which it became known; without what could not be
/// written yet.
pub fn snapshot(state: &State) -> Vec<(u64, Record)> {
    let mut all = Vec::new();
    for (id, e) in &state.entries {
        entry_records(id, e, &mut all);
    }
    for part in state.prints.all().chunks(PRINTS_A_RECORD) {
        all.push((claim_of(part), Record::Prints(part.to_vec())));
    }
    other_records(state, &mut all);
    all.retain(|(n, _)| *n != 0);
    all.sort_by_key(|(n, _)| *n);
    all
}

/// The same as texts, as they are written now.
pub(crate) fn texts(state: &State, now: At) -> Vec<String> {
    numbered(state, now).into_iter().map(|(_, text)| text).collect()
}

/// The same with the number of each.
pub(crate) fn numbered(state: &State, now: At) -> Vec<(u64, String)> {
    let mut some = Vec::new();
    let mut all: Vec<(u64, String)> = Vec::with_capacity(state.entries.len() + PRINTS / PRINTS_A_RECORD);
    for (id, e) in &state.entries {
        match &e.end {
            // Most of them, and none is copied.
            Some(end) if e.short => {
                let moved = e.moved.as_ref().map(|(physical, words)| (*physical, words.as_str()));
                let text = was_text(id, e.claim, e.begun, e.ended_at, &e.mark, e.print, moved, end, &e.act);
                all.push((e.claim, text));
            }
            _ => entry_records(id, e, &mut some),
        }
    }
    for part in state.prints.all().chunks(PRINTS_A_RECORD) {
        let n = claim_of(part);
        all.push((n, prints_text(n, now, part.as_flattened())));
    }
    other_records(state, &mut some);
    all.extend(some.iter().map(|(n, record)| (*n, record.to_text(*n, now))));
    all.retain(|(n, _)| *n != 0);
    all.sort_unstable_by_key(|(n, _)| *n);
    all
}

/// The number of a record of fingerprints: that of a command that is gone is free.
fn claim_of(part: &[[u8; Print::LENGTH]]) -> u64 {
    part.last().map_or(0, |last| Print(*last).claim())
}

fn other_records(state: &State, all: &mut Vec<(u64, Record)>) {
    if state.forgotten_n != 0 {
        all.push((state.forgotten_n, Record::Forgotten(state.forgotten)));
    }
    all.extend(state.seen.iter().map(|(n, identity, at)| (*n, Record::Seen(*identity, *at))));
    all.extend(state.closed_visits.iter().map(|(id, (n, at))| (*n, Record::VisitClosed(id.clone(), *at))));
}

fn entry_records(id: &str, e: &Entry, all: &mut Vec<(u64, Record)>) {
    let id = id.to_owned();
    if let (true, Some(end)) = (e.short, &e.end) {
        let was = Was {
            id,
            act: e.act.clone(),
            claim: e.claim,
            begun: e.begun,
            ended: e.ended_at,
            mark: e.mark.clone(),
            print: e.print,
            end: end.clone(),
            moved: e.moved.clone(),
        };
        all.push((e.claim, Record::Was(was)));
        return;
    }
    let intent = Intent {
        id: id.clone(),
        act: e.act.clone(),
        owner: e.owner,
        boot: e.boot.clone(),
        at: e.begun,
        mark: e.mark.clone(),
        mark_is_ours: e.mark_is_ours,
        hold_ms: e.hold_ms,
        print: e.print,
        earlier: e.earlier.as_ref().map(|(sent, boot)| Earlier {
            at: sent.at,
            boot: boot.clone(),
            left_ms: sent.left_ms,
            platform: e.span,
        }),
        keep: e.keep.clone(),
    };
    all.push((e.claim, Record::Intent(intent)));
    if let Some((sent, _)) = e.sent.as_ref().filter(|_| e.numbers.sent != 0) {
        all.push((e.numbers.sent, Record::Sent(Sent { platform: e.span, ..sent.clone() })));
    }
    if let Some(end) = &e.end {
        all.push((
            e.numbers.end,
            Record::Ended(Ended { id: id.clone(), claim: e.claim, at: e.ended_at, end: end.clone() }),
        ));
    }
    if let Some((physical, error)) = &e.moved {
        let moved =
            Movement { id, claim: e.claim, at: e.moved_at, physical: *physical, error: error.clone() };
        all.push((e.numbers.moved, Record::Moved(moved)));
    }
}
