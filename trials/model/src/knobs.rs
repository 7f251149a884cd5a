//! The assumptions and the fences that can be taken away, and the small worlds in which the rules are tried.

use crate::world::Wrong;
use kiosklink::command::Act;
use kiosklink::command::rules::Limits;
use kiosklink::model::{DoorRequest, RedeemRequest};

/// What is taken away. With none of them everything holds that the library takes for granted, and every fence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // `ALL` says each in words.
pub enum Knob {
    LatePacket,
    DuplicatedPacket,
    SyncLies,
    PoisonIgnored,
    ByteBeforeSync,
    NoMaturity,
    MaturityFromBegin,
    ClockJumps,
    BuriedWhileStopped,
    LateByteUnrecorded,
    NoClaim,
    LockOutlives,
    NeverMature,
    DoneNamesForgotten,
    BeyondThePromise,
    LowWaterIgnored,
    CancelUnseen,
    TwoSpellings,
    OtherDoorOnTheWire,
    RefundedCodeRedeemed,
    RepeatBlockedByItself,
    UnreadIsNotDone,
    UnreadIsFresh,
    OlderJournal,
    CopiedCard,
    NamesComeAgain,
    ForeignMark,
    OldCallback,
    UnprovedRefusal,
    AbsenceProves,
    JudgedLate,
    SensorLies,
    PersonOverrules,
    UnclaimedLater,
}

/// A knob, the world that shows it, what gives way, the lines of faults of which it is one, and what it is.
pub type Row = (Knob, &'static str, Wrong, &'static str, &'static str);

/// All knobs.
pub const ALL: &[Row] = {
    use Knob::*;
    use Wrong::*;
    &[
        (LatePacket, "door", FalseNotDone, "A6", "a packet arrives after maturity"),
        (DuplicatedPacket, "door", ActedTwice, "", "the network delivers a packet twice"),
        (SyncLies, "door", FalseNotDone, "A3", "a sync says that it is durable and it is not"),
        (PoisonIgnored, "short", FalseNotDone, "A3", "after a failed sync the same file is used on"),
        (ByteBeforeSync, "door", FalseNotDone, "A4", "the first byte leaves before `sent` is durable"),
        (NoMaturity, "door", FalseNotDone, "A5", "not done is taken before maturity"),
        (
            MaturityFromBegin,
            "door",
            FalseNotDone,
            "B4",
            "maturity counts from the beginning, not from the sending",
        ),
        (
            ClockJumps,
            "door",
            FalseNotDone,
            "",
            "the boot clock jumps forward (a time namespace, a restored memory image)",
        ),
        (
            BuriedWhileStopped,
            "door",
            FalseNotDone,
            "A7",
            "a stopped process is taken for dead between its last check and its first byte",
        ),
        (
            LateByteUnrecorded,
            "door",
            FalseNotDone,
            "",
            "a process was stopped past its deadline, sends, and dies before that is durable",
        ),
        (NoClaim, "door", FalseNotDone, "A7", "records are not fenced by their claims"),
        (LockOutlives, "door", Blocked, "F1", "a dead process's lock is held on (a forked child)"),
        (NeverMature, "door", Blocked, "F9", "an unknown command blocks its door for ever"),
        (DoneNamesForgotten, "names", ActedTwice, "A8 A9", "done names leave no fingerprint"),
        (
            BeyondThePromise,
            "names",
            ActedTwice,
            "A9",
            "a caller's own name comes again after more names than are promised",
        ),
        (LowWaterIgnored, "issued", ActedTwice, "A9", "names below the low-water mark are not refused"),
        (
            CancelUnseen,
            "door",
            SentAfterCancel,
            "A12",
            "a cancel during the sync is not looked at before the first byte",
        ),
        (
            TwoSpellings,
            "order",
            GoodsAndRefund,
            "C B12",
            "two spellings of one order are two orders for the guard: more than blanks, width and case differ",
        ),
        (OtherDoorOnTheWire, "door", OthersGoods, "A14", "another door is sent than is recorded"),
        (
            RefundedCodeRedeemed,
            "order",
            GoodsAndRefund,
            "B12",
            "the platform redeems the code of an order that was refunded",
        ),
        (
            RepeatBlockedByItself,
            "door",
            FalseNotDone,
            "B5",
            "a repetition of an unknown command is answered as not done",
        ),
        (UnreadIsNotDone, "door", FalseNotDone, "B6", "a journal that cannot be read answers not done"),
        (
            UnreadIsFresh,
            "door",
            FalseNotDone,
            "A10 A11",
            "a journal that cannot be read or found is a fresh start",
        ),
        (
            OlderJournal,
            "door",
            FalseNotDone,
            "A10 A11",
            "an older journal is used without a word (a backup, a folder that was reset)",
        ),
        (CopiedCard, "door", FalseNotDone, "", "two machines use copies of one journal"),
        (NamesComeAgain, "door", FalseDone, "A13", "a second customer's action has the first one's name"),
        (ForeignMark, "code", FalseDone, "B1 B2", "somebody else's use of a code counts as ours"),
        (OldCallback, "door", FalseDone, "F17 B2", "an old callback is taken for one of this command"),
        (
            UnprovedRefusal,
            "door",
            FalseNotDone,
            "A1 A2",
            "a name that no row of the table holds is taken for a refusal",
        ),
        (
            AbsenceProves,
            "door",
            FalseNotDone,
            "B3",
            "a query that does not show it proves that it did not happen",
        ),
        (
            JudgedLate,
            "door",
            FalseNotDone,
            "",
            "a query is judged by the clock of its answer, not of its question",
        ),
        (SensorLies, "door", FalseDone, "", "a sensor says the wrong thing"),
        (PersonOverrules, "door", FalseNotDone, "", "a person says not done before maturity"),
        (UnclaimedLater, "kept", FalseNotDone, "", "what is kept is sent later without a claim of its own"),
    ]
};

/// What a name stands for in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A door, by its number.
    Door(u8),
    /// The one code.
    Code,
    /// Goods of the order.
    Goods,
    /// The order's money.
    Refund,
    /// The report that the order is paid, which is kept if it cannot leave.
    Report,
}

/// A name that a caller uses.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    /// The `request_id`.
    pub id: &'static str,
    /// What it stands for.
    pub kind: Kind,
}

/// A small world.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// The names in it.
    pub names: &'static [Name],
    /// How many processes share the journal: 1 or 2.
    pub processes: usize,
    /// How often a command is begun at most.
    pub begins: u8,
    /// How many ticks pass at most.
    pub ticks: u8,
    /// How many deaths, cuts, resets, failed writes and lost owners there are at most.
    pub faults: u8,
    /// How often the journal is written anew at most.
    pub compactions: u8,
    /// What is kept then.
    pub limits: Limits,
    /// Only answers: nobody gives up, asks or looks.
    pub calm: bool,
    /// Ticks that a call goes on: the first try, and the repetition.
    pub left: [u8; 2],
    /// Ticks that a request may take effect after its call's end.
    pub hold: u8,
    /// A repetition is the platform's way to ask.
    pub repeat_asks: bool,
}

/// The worlds.
pub const PLANS: &[Plan] = &[
    Plan {
        name: "door",
        about: "two customers at one door, two processes, every death",
        names: &[Name { id: "a", kind: Kind::Door(1) }, Name { id: "b", kind: Kind::Door(1) }],
        processes: 2,
        begins: 3,
        ticks: 3,
        faults: 2,
        compactions: 0,
        limits: Limits { whole: 1, keep: 1, prints: 9, visits: 9 },
        calm: false,
        left: [1, 1],
        hold: 1,
        repeat_asks: false,
    },
    Plan {
        name: "code",
        about: "one code under two names and at another kiosk; repeating is the way to ask",
        names: &[Name { id: "a", kind: Kind::Code }, Name { id: "b", kind: Kind::Code }],
        processes: 2,
        begins: 3,
        ticks: 3,
        faults: 1,
        compactions: 0,
        limits: Limits { whole: 1, keep: 1, prints: 9, visits: 9 },
        calm: false,
        left: [2, 0],
        hold: 1,
        repeat_asks: true,
    },
    Plan {
        name: "order",
        about: "goods by item, goods by code and the refund of one order",
        names: &[
            Name { id: "g", kind: Kind::Goods },
            Name { id: "k", kind: Kind::Code },
            Name { id: "r", kind: Kind::Refund },
        ],
        processes: 2,
        begins: 3,
        ticks: 2,
        faults: 0,
        compactions: 0,
        limits: Limits { whole: 1, keep: 1, prints: 9, visits: 9 },
        calm: false,
        left: [1, 1],
        hold: 1,
        repeat_asks: false,
    },
    Plan {
        name: "names",
        about: "forgetting, with callers' names",
        names: &[
            Name { id: "x", kind: Kind::Door(1) },
            Name { id: "y", kind: Kind::Door(2) },
            Name { id: "z", kind: Kind::Door(3) },
        ],
        processes: 1,
        begins: 5,
        ticks: 0,
        faults: 0,
        compactions: 2,
        limits: Limits { whole: 1, keep: 1, prints: 9, visits: 9 },
        calm: true,
        left: [1, 1],
        hold: 1,
        repeat_asks: false,
    },
    Plan {
        name: "issued",
        about: "forgetting beyond the fingerprints, with names that the library issued",
        names: &[
            Name { id: "kl-1-00000000000000aa", kind: Kind::Door(1) },
            Name { id: "kl-1-00000000000000bb", kind: Kind::Door(2) },
            Name { id: "kl-1-00000000000000cc", kind: Kind::Door(3) },
        ],
        processes: 1,
        begins: 5,
        ticks: 0,
        faults: 0,
        compactions: 2,
        limits: Limits { whole: 1, keep: 0, prints: 1, visits: 9 },
        calm: true,
        left: [1, 1],
        hold: 1,
        repeat_asks: false,
    },
    Plan {
        name: "short",
        about: "what is left of settled commands after the journal was written anew, and a restart",
        names: &[Name { id: "a", kind: Kind::Door(1) }, Name { id: "b", kind: Kind::Door(2) }],
        processes: 1,
        begins: 3,
        ticks: 0,
        faults: 1,
        compactions: 1,
        limits: Limits { whole: 1, keep: 2, prints: 9, visits: 9 },
        calm: false,
        left: [1, 1],
        hold: 1,
        repeat_asks: false,
    },
    Plan {
        name: "kept",
        about: "a payment report that is kept and sent later by either process, every death",
        names: &[Name { id: "p", kind: Kind::Report }],
        processes: 2,
        begins: 3,
        ticks: 3,
        faults: 2,
        compactions: 0,
        limits: Limits { whole: 1, keep: 1, prints: 9, visits: 9 },
        calm: false,
        left: [1, 1],
        hold: 1,
        repeat_asks: false,
    },
];

/// Ticks within which a report may be sent.
pub const WITHIN: u32 = 2;

/// The order of the world.
pub const ORDER: &str = "o1";

/// A door.
pub fn door(n: &str) -> Act {
    Act::Door(DoorRequest { cabinet_id: "c".into(), door: n.into(), ..DoorRequest::default() }.into())
}

/// A write about an order.
pub fn write(verb: &str, order_no: &str) -> Act {
    let empty = String::new;
    Act::Write {
        verb: verb.into(),
        order_no: order_no.into(),
        cabinet_id: empty(),
        paid: false,
        trade_no: empty(),
        digest: empty(),
        visit_id: empty(),
        context: empty(),
    }
}

/// What a name is recorded as.
pub fn act(plan: &Plan, name: usize, knob: Option<Knob>) -> Act {
    match plan.names[name].kind {
        Kind::Door(_) if name == 1 && knob == Some(Knob::OtherDoorOnTheWire) => door("2"),
        Kind::Door(n) => door(["0", "1", "2", "3"][usize::from(n)]),
        Kind::Code => Act::Redeem(
            RedeemRequest { cabinet_id: "c".into(), code: "7".into(), ..RedeemRequest::default() }.into(),
        ),
        Kind::Goods => Act::Door(
            DoorRequest {
                cabinet_id: "c".into(),
                order_no: if knob == Some(Knob::TwoSpellings) { "0o1" } else { ORDER }.into(),
                item_no: "1".into(),
                ..DoorRequest::default()
            }
            .into(),
        ),
        Kind::Refund => write("refund_apply", ORDER),
        Kind::Report => write("payment_report", ORDER),
    }
}
