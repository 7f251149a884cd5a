//! One state of the world, and every step from it. Around the real rules stands what the library does with them: the gate,
//! appending and syncing, the check before the first byte, debts, what is told to the caller; and a platform, a network, a
//! sensor and faults.

use crate::books::{Books, Node, print};
use crate::knobs::{Kind, Knob, ORDER, Plan, WITHIN, act, door, write};
use kiosklink::command::record::*;
use kiosklink::command::rules::{self, Decision, Due, Now, Refusal, Stage};
use kiosklink::command::{SettledBy, Span};
use kiosklink::error::Outcome;
use kiosklink::status::KL_E_CONNECT;
use std::collections::HashMap;

const NAMES: usize = 3;
const BOOTS: [&str; 4] = ["b0", "b1", "b2", "b3"];

/// What must never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // `words` says each.
pub enum Wrong {
    ActedTwice,
    FalseDone,
    FalseNotDone,
    GoodsAndRefund,
    OthersGoods,
    Blocked,
    SentAfterCancel,
    Hidden,
}

impl Wrong {
    /// As a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Wrong::ActedTwice => "one name acted twice",
            Wrong::FalseDone => "done without an act",
            Wrong::FalseNotDone => "not done, and it happened or can still happen",
            Wrong::GoodsAndRefund => "the goods and the money of one order",
            Wrong::OthersGoods => "a door's earlier request can open it for the next customer",
            Wrong::Blocked => "the next customer is blocked for ever",
            Wrong::SentAfterCancel => "a byte left after the cancel",
            Wrong::Hidden => "an unsettled command is not among the open ones",
        }
    }
}

/// A call under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Job {
    name: u8,
    claim: u16,
    again: bool,
    /// Ticks since `sent` was recorded.
    since: u8,
    /// Ticks that the call goes on from there.
    left: u8,
    /// It was stopped after its last check.
    late: bool,
    cancelled: bool,
}

/// What has come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reply {
    Nothing,
    Taken,
    Refused,
}

/// Where a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Idle,
    Claimed(Job),
    Appended(Job),
    Synced(Job),
    Checked(Job),
    /// The first byte left late, and that is not recorded yet.
    Late(Job),
    Waiting(Job, Reply),
    /// The platform's answer to a question is on its way: whether it shows the act, and whether the command was mature
    /// when it was asked.
    Asked(u8, bool, bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Process {
    alive: bool,
    owner: u8,
    view: Node,
    /// The journal had this record: one that ends before it is older.
    floor: u16,
    /// The others take it for dead.
    lost: bool,
    /// A record that could not be written yet, plus one.
    debt: u32,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Packet {
    name: u8,
    claim: u16,
    ticks: u8,
}

/// One state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    files: [Node; 2],
    durable: Node,
    poisoned: bool,
    /// Syncs make nothing durable any more.
    stuck: bool,
    cloned: bool,
    boot: u8,
    up: u8,
    processes: [Process; 2],
    packets: Vec<Packet>,
    acts: [u8; NAMES],
    /// Another kiosk used the code.
    foreign: bool,
    /// Locks of dead owners that are held on.
    held: u8,
    owners: u8,
    begins: u8,
    ticks: u8,
    faults: u8,
    compactions: u8,
    /// How often the knob's own step happened.
    extra: u8,
    /// What is wrong.
    pub wrong: Option<Wrong>,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // `words` says each.
pub enum Do {
    Nothing,
    Start,
    Kill,
    Tick,
    Cut,
    Reset,
    LoseOwner,
    Begin,
    BeginFull,
    BeginCompact,
    Later,
    Send,
    Sync,
    SyncFails,
    Check,
    GiveUp,
    Cancel,
    Write,
    RecordLate,
    Deliver,
    Refuse,
    Answer,
    AnswerOwed,
    Timeout,
    TimeoutOwed,
    Pay,
    Judge,
    Sensor,
    Callback,
    Foreign,
    Knob,
}

/// A step with its process and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    what: Do,
    process: u8,
    name: u8,
}

const ANY: u8 = 9;

impl Event {
    /// In words.
    pub fn words(&self, plan: &Plan) -> String {
        let what = match self.what {
            Do::Nothing => "nothing",
            Do::Start => "starts",
            Do::Kill => "is killed",
            Do::Tick => "time passes",
            Do::Cut => "the power is cut: what was not synced is gone, another boot",
            Do::Reset => "the card resets: what was not synced is gone, the same boot",
            Do::LoseOwner => "is taken for dead by the others from now on",
            Do::Begin => "begins",
            Do::BeginFull => "begins, and the disk takes no record",
            Do::BeginCompact => "begins, and the journal is written anew before it",
            Do::Later => "looks whether it may send later",
            Do::Send => "appends `sent` for",
            Do::Sync => "syncs",
            Do::SyncFails => "fails to sync, so gives up",
            Do::Check => "checks its claim to",
            Do::GiveUp => "gives up before a byte of",
            Do::Cancel => "is cancelled before a byte of",
            Do::Write => "writes the first byte of",
            Do::RecordLate => "records that it left late:",
            Do::Deliver => "the platform gets and does",
            Do::Refuse => "the platform gets and refuses",
            Do::Answer => "has the answer to",
            Do::AnswerOwed => "has the answer to, and cannot write it now,",
            Do::Timeout => "has no answer in time to",
            Do::TimeoutOwed => "has no answer in time to, and cannot write that now,",
            Do::Pay => "writes what it owed",
            Do::Judge => "hears what the platform shows of",
            Do::Sensor => "is told by a sensor of",
            Do::Callback => "gets a callback about",
            Do::Foreign => "another kiosk uses the code",
            Do::Knob => "THE KNOB",
        };
        let mut text = String::new();
        if self.process != ANY {
            text.push_str(["P1 ", "P2 "][usize::from(self.process)]);
        }
        text.push_str(what);
        if self.name != ANY {
            text.push(' ');
            text.push_str(plan.names[usize::from(self.name)].id);
        }
        text
    }
}

/// What the steps need to know.
pub struct Play<'a> {
    /// The small world.
    pub plan: &'a Plan,
    /// What is taken away.
    pub knob: Option<Knob>,
    /// All journals.
    pub books: Books,
    doors: HashMap<(Node, u8, u8), bool>,
    sound: HashMap<Node, bool>,
}

/// All steps from a world.
pub type Steps = Vec<(Event, World)>;

impl<'a> Play<'a> {
    /// An empty stage.
    pub fn new(plan: &'a Plan, knob: Option<Knob>) -> Play<'a> {
        Play { plan, knob, books: Books::new(), doors: HashMap::new(), sound: HashMap::new() }
    }

    fn k(&self, knob: Knob) -> bool {
        self.knob == Some(knob)
    }

    /// The world at the beginning.
    pub fn begin(&mut self) -> World {
        let mut file = 0;
        if self.plan.name == "order" {
            // The order was made here before.
            let receipt = kiosklink::model::Receipt { order_no: ORDER.into(), ..Default::default() };
            for record in [
                Record::Intent(Intent {
                    id: "c".into(),
                    act: write("order_create", ""),
                    owner: 0,
                    boot: BOOTS[0].into(),
                    at: At::default(),
                    mark: String::new(),
                    mark_is_ours: true,
                    hold_ms: 0,
                    print: None,
                    earlier: None,
                    keep: None,
                }),
                Record::Ended(Ended {
                    id: "c".into(),
                    claim: 1,
                    at: At::default(),
                    end: End { outcome: Outcome::Done, receipt, ..End::nothing() },
                }),
            ] {
                let id = self.books.intern(&record);
                file = self.books.append(file, id);
            }
        }
        let process = |owner: u8| Process {
            alive: usize::from(owner) <= self.plan.processes,
            owner,
            view: file,
            floor: 0,
            lost: false,
            debt: 0,
            phase: Phase::Idle,
        };
        World {
            files: [file; 2],
            durable: file,
            poisoned: false,
            stuck: false,
            cloned: false,
            boot: 0,
            up: 0,
            processes: [process(1), process(2)],
            packets: Vec::new(),
            acts: [0; NAMES],
            foreign: false,
            held: 0,
            owners: self.plan.processes as u8,
            begins: 0,
            ticks: 0,
            faults: 0,
            compactions: 0,
            extra: 0,
            wrong: None,
        }
    }

    /// Every step that can come next.
    pub fn steps(&mut self, w: &World, out: &mut Steps) {
        let plan = self.plan;
        let whole = plan.names.len();
        for p in 0..plan.processes {
            let process = w.processes[p];
            if !process.alive {
                if w.owners < 5 {
                    self.put(out, w, Do::Start, p, None, |s, w| s.start(w, p));
                }
                continue;
            }
            self.deaths(w, p, out);
            let older = self.older(w, p);
            if process.debt != 0 && !older {
                self.put(out, w, Do::Pay, p, None, |s, w| s.pay(w, p));
            }
            match process.phase {
                Phase::Idle if !older => {
                    for name in 0..whole {
                        self.idle(w, p, name, out);
                    }
                }
                Phase::Idle => {}
                phase => self.call(w, p, phase, older, out),
            }
        }
        for i in 0..w.packets.len() {
            self.put_named(out, w, Do::Deliver, ANY, w.packets[i].name, |s, w| s.deliver(w, i, false));
            self.put_named(out, w, Do::Refuse, ANY, w.packets[i].name, |s, w| s.deliver(w, i, true));
        }
        self.surroundings(w, out);
        if self.knob.is_some() && w.extra == 0 {
            self.knobs(w, out);
        }
    }

    // --- what a process does ----------------------------------------------------------------------------------------

    fn idle(&mut self, w: &World, p: usize, name: usize, out: &mut Steps) {
        if w.begins < self.plan.begins {
            let at = (out.len(), w.faults);
            self.put(out, w, Do::Begin, p, Some(name), |s, w| s.command(w, p, name, false, false));
            if at.1 < self.plan.faults && w.processes[p].debt == 0 {
                self.put(out, w, Do::BeginFull, p, Some(name), |s, w| s.command(w, p, name, true, false));
            }
            if w.compactions < self.plan.compactions && w.processes[p].debt == 0 {
                self.put(out, w, Do::BeginCompact, p, Some(name), |s, w| s.command(w, p, name, false, true));
            }
            if self.plan.names[name].kind == Kind::Report {
                self.put(out, w, Do::Later, p, Some(name), |s, w| s.later(w, p, name));
            }
        }
        if self.plan.calm || self.books.state(w.processes[p].view).get(self.plan.names[name].id).is_none() {
            return;
        }
        let happened = w.acts[name] > 0;
        let outcome = if happened { Outcome::Done } else { Outcome::NotDone };
        self.put(out, w, Do::Sensor, p, Some(name), |s, w| {
            s.settle(w, p, name, outcome, SettledBy::Sensor, s.k(Knob::NoMaturity))
        });
        if happened {
            self.put(out, w, Do::Callback, p, Some(name), |s, w| {
                s.settle(w, p, name, Outcome::Done, SettledBy::Event, false)
            });
        }
    }

    fn call(&mut self, w: &World, p: usize, phase: Phase, older: bool, out: &mut Steps) {
        match phase {
            Phase::Idle => {}
            Phase::Asked(name, shown, mature) => {
                let name = usize::from(name);
                self.put(out, w, Do::Judge, p, Some(name), |s, w| s.judge(w, p, name, shown, mature, older));
            }
            Phase::Claimed(job) => {
                let name = Some(usize::from(job.name));
                if !older {
                    self.put(out, w, Do::Send, p, name, |s, w| s.sending(w, p, job));
                }
                if !self.plan.calm {
                    self.put(out, w, Do::GiveUp, p, name, |s, w| s.given_up(w, p, job));
                }
            }
            Phase::Appended(job) => {
                let name = Some(usize::from(job.name));
                self.put(out, w, Do::Sync, p, None, |s, w| {
                    s.sync(w, p);
                    w.processes[p].phase = Phase::Synced(job);
                    true
                });
                if w.faults < self.plan.faults {
                    self.put(out, w, Do::SyncFails, p, None, |s, w| {
                        w.faults += u8::from(!s.k(Knob::PoisonIgnored));
                        w.poisoned = true;
                        s.given_up(w, p, job)
                    });
                }
                if self.k(Knob::ByteBeforeSync) {
                    self.put(out, w, Do::Write, p, name, |s, w| s.first_byte(w, p, job));
                }
                if self.k(Knob::CancelUnseen) && !job.cancelled {
                    self.put(out, w, Do::Cancel, p, name, |_, w| {
                        w.processes[p].phase = Phase::Appended(Job { cancelled: true, ..job });
                        true
                    });
                }
            }
            Phase::Synced(job) => {
                let name = Some(usize::from(job.name));
                // The call's deadline is looked at with the claim.
                if !older && job.since <= job.left && self.may_send(w, p, job, Phase::Checked(job)) {
                    self.put(out, w, Do::Check, p, name, |_, w| {
                        w.processes[p].phase = Phase::Checked(job);
                        true
                    });
                }
                if !self.plan.calm {
                    self.put(out, w, Do::GiveUp, p, name, |s, w| s.given_up(w, p, job));
                }
            }
            Phase::Checked(job) => {
                let name = Some(usize::from(job.name));
                self.put(out, w, Do::Write, p, name, |s, w| s.first_byte(w, p, job));
            }
            Phase::Late(job) => {
                let name = Some(usize::from(job.name));
                self.put(out, w, Do::RecordLate, p, name, |s, w| s.record_late(w, p, job));
            }
            Phase::Waiting(job, reply) => {
                let name = Some(usize::from(job.name));
                let owed = w.faults < self.plan.faults && w.processes[p].debt == 0 && !older;
                if !self.plan.calm {
                    self.put(out, w, Do::Timeout, p, name, |s, w| s.over(w, p, job, Reply::Nothing, older));
                }
                if owed {
                    self.put(out, w, Do::TimeoutOwed, p, name, |s, w| {
                        w.faults += 1;
                        s.over(w, p, job, Reply::Nothing, true)
                    });
                }
                if reply != Reply::Nothing {
                    self.put(out, w, Do::Answer, p, name, |s, w| s.over(w, p, job, reply, older));
                    if owed {
                        self.put(out, w, Do::AnswerOwed, p, name, |s, w| {
                            w.faults += 1;
                            s.over(w, p, job, reply, true)
                        });
                    }
                }
            }
        }
    }

    fn start(&mut self, w: &mut World, p: usize) -> bool {
        w.owners += 1;
        let file = w.files[self.file(w, p)];
        let owner = w.owners;
        w.processes[p] =
            Process { alive: true, owner, view: file, floor: 0, lost: false, debt: 0, phase: Phase::Idle };
        true
    }

    /// A command's name is begun or repeated.
    fn command(&mut self, w: &mut World, p: usize, name: usize, full: bool, compact: bool) -> bool {
        w.begins += 1;
        if full {
            w.faults += 1;
        }
        // The caller gives no goods of an order that it knows as paid back, and no money for goods that it knows as given.
        let kind = self.plan.names[name].kind;
        let known = |s: &Self, kind: Kind| {
            s.plan.names.iter().any(|n| n.kind == kind && s.stage(w, p, n.id) == Some(Stage::Done))
        };
        if self.plan.name == "order"
            && (kind == Kind::Refund && (known(self, Kind::Goods) || known(self, Kind::Code))
                || kind != Kind::Refund && known(self, Kind::Refund))
        {
            return false;
        }
        if !full {
            self.bury(w, p);
        }
        let id = self.plan.names[name].id;
        let act = act(self.plan, name, self.knob);
        let view = w.processes[p].view;
        let decision =
            self.with(w, p, |s, now| rules::begin(s.books.state(view), id, Some(&print(id)), &act, now));
        let decision = match decision {
            Decision::Refuse(Refusal::TooOld) if self.k(Knob::LowWaterIgnored) => Decision::Claim,
            other => other,
        };
        match decision {
            Decision::Claim if full => {
                self.told(w, name, Outcome::NotDone);
            }
            Decision::Claim => {
                if compact {
                    w.compactions += 1;
                    self.compact(w, p);
                }
                let hold = if self.k(Knob::NeverMature) { u32::MAX } else { self.plan.hold.into() };
                self.intent(w, p, name, act, hold, None);
            }
            _ if compact => return false,
            Decision::Recorded | Decision::Printed(_) => {
                self.told(w, name, Outcome::Done);
                if self.k(Knob::NamesComeAgain) {
                    w.wrong = Some(Wrong::FalseDone);
                }
            }
            Decision::Ask if full => return false,
            Decision::Ask if self.k(Knob::RepeatBlockedByItself) => self.told(w, name, Outcome::NotDone),
            Decision::Ask if self.plan.repeat_asks => {
                let again = rules::again(self.books.state(view), id);
                let e = self.books.state(view).get(id).expect("it is asked for");
                let (Ok(()), Some((sent, boot))) = (again, e.sent.clone()) else { return false };
                let earlier = Earlier { at: sent.at, boot, left_ms: sent.left_ms, platform: e.span };
                let hold = e.hold_ms;
                self.intent(w, p, name, act, hold, Some(earlier));
            }
            Decision::Ask => {
                let e = self.books.state(view).get(id).expect("it is asked for").clone();
                let mature = self.with(w, p, |_, now| e.immature_ms(now) == 0);
                w.processes[p].phase = Phase::Asked(name as u8, self.shown(w, name), mature);
            }
            Decision::Refuse(Refusal::Busy(_) | Refusal::Blocked(..)) => self.told(w, name, Outcome::NotDone),
            Decision::Refuse(_) => {}
        }
        true
    }

    fn intent(
        &mut self,
        w: &mut World,
        p: usize,
        name: usize,
        act: kiosklink::command::Act,
        hold_ms: u32,
        earlier: Option<Earlier>,
    ) {
        let again = earlier.is_some();
        let id = self.plan.names[name].id;
        let n = self.append(
            w,
            p,
            Record::Intent(Intent {
                id: id.into(),
                act,
                owner: w.processes[p].owner.into(),
                boot: BOOTS[usize::from(w.boot)].into(),
                // Nobody judges by it but the time of what is kept, so it is left out to have fewer states.
                at: if self.k(Knob::MaturityFromBegin) || self.plan.names[name].kind == Kind::Report {
                    at(w)
                } else {
                    At::default()
                },
                mark: id.into(),
                mark_is_ours: true,
                hold_ms,
                print: None,
                earlier,
                keep: None,
            }),
        );
        self.claimed(w, p, name, n, again);
    }

    fn claimed(&self, w: &mut World, p: usize, name: usize, n: u64, again: bool) {
        let left = self.plan.left[usize::from(again)];
        w.processes[p].phase = Phase::Claimed(Job {
            name: name as u8,
            claim: n as u16,
            again,
            since: 0,
            left,
            late: false,
            cancelled: false,
        });
    }

    /// The thread that sends later looks at a report.
    fn later(&mut self, w: &mut World, p: usize, name: usize) -> bool {
        self.bury(w, p);
        let (id, view, now) = (self.plan.names[name].id, w.processes[p].view, i64::from(w.ticks));
        let clock = Some(Span { earliest_ms: now, latest_ms: now });
        match self.with(w, p, |s, now| rules::later(s.books.state(view), id, clock, now)) {
            Due::Wait | Due::AskTime => return false,
            Due::Over(ended) => {
                self.append(w, p, Record::Ended(Ended { at: At::default(), ..*ended }));
            }
            Due::Claim(_) if self.k(Knob::UnclaimedLater) => {
                w.begins += 1;
                let n = self.books.state(view).get(id).map_or(0, |e| e.claim);
                self.claimed(w, p, name, n, false);
            }
            Due::Claim(_) => {
                w.begins += 1;
                let keep = self.books.state(view).get(id).and_then(|e| e.keep.clone());
                let n = self.claim_kept(w, p, name, keep);
                self.claimed(w, p, name, n, false);
            }
        }
        true
    }

    /// A claim of what is kept.
    fn claim_kept(&mut self, w: &mut World, p: usize, name: usize, keep: Option<Box<Keep>>) -> u64 {
        let id = self.plan.names[name].id;
        let intent = Intent {
            id: id.into(),
            act: act(self.plan, name, self.knob),
            owner: w.processes[p].owner.into(),
            boot: BOOTS[usize::from(w.boot)].into(),
            at: at(w),
            mark: id.into(),
            mark_is_ours: true,
            hold_ms: self.plan.hold.into(),
            print: None,
            earlier: None,
            keep,
        };
        self.append(w, p, Record::Intent(intent))
    }

    /// What cannot leave in its own call is kept: the claim by which it ends.
    fn kept(&mut self, w: &mut World, p: usize, job: Job, end: &End) -> Job {
        let (name, view) = (usize::from(job.name), w.processes[p].view);
        let state = self.books.state(view);
        let id = self.plan.names[name].id;
        let Some(e) = state.get(id).filter(|e| e.keep.is_none()) else { return job };
        let keeps =
            |s: &Self, now: &Now<'_>| rules::keeps(s.books.state(view), id, job.claim.into(), end, now);
        if self.plan.names[name].kind != Kind::Report || !self.with(w, p, keeps) {
            return job;
        }
        let ago = u64::from(w.up).saturating_sub(e.begun.up_ms) as i64;
        let keep = Keep {
            since: e.begun,
            boot: e.boot.clone(),
            within_ms: WITHIN,
            platform_ms: Some(i64::from(w.ticks) - ago),
            rest: Some(Rest::default()),
        };
        let n = self.claim_kept(w, p, name, Some(Box::new(keep)));
        Job { claim: n as u16, ..job }
    }

    /// Whether the rules let these bytes leave.
    fn may_send(&mut self, w: &World, p: usize, job: Job, _next: Phase) -> bool {
        self.k(Knob::NoClaim)
            || self.k(Knob::UnclaimedLater)
            || self.sent_record(w, p, job, job.left).is_some()
    }

    fn sent_record(&self, w: &World, p: usize, job: Job, left: u8) -> Option<Record> {
        let id = self.plan.names[usize::from(job.name)].id;
        let view = w.processes[p].view;
        let sent = self.with(w, p, |s, now| {
            rules::send(s.books.state(view), id, job.claim.into(), left.into(), None, now)
        });
        sent.ok().map(Record::Sent)
    }

    fn sending(&mut self, w: &mut World, p: usize, job: Job) -> bool {
        let mut record = self.sent_record(w, p, job, job.left);
        let id = self.plan.names[usize::from(job.name)].id;
        if (self.k(Knob::NoClaim) || self.k(Knob::UnclaimedLater)) && record.is_none() {
            let claim = job.claim.into();
            record = Some(Record::Sent(Sent {
                id: id.into(),
                claim,
                at: at(w),
                left_ms: job.left.into(),
                platform: None,
            }));
        }
        if self.k(Knob::MaturityFromBegin) {
            let begun = self.books.state(w.processes[p].view).get(id).map_or(At::default(), |e| e.begun);
            if let Some(Record::Sent(sent)) = &mut record {
                sent.at = begun;
            }
        }
        let Some(record) = record else { return false };
        self.append(w, p, record);
        w.processes[p].phase = Phase::Appended(job);
        true
    }

    fn sync(&mut self, w: &mut World, p: usize) {
        if self.file(w, p) == 0 && !w.stuck && !self.older(w, p) {
            w.durable = w.files[0];
        }
    }

    fn first_byte(&mut self, w: &mut World, p: usize, job: Job) -> bool {
        let ticks = job.left.saturating_sub(job.since) + self.plan.hold;
        let name = usize::from(job.name);
        if job.cancelled {
            w.wrong = Some(Wrong::SentAfterCancel);
        }
        if let Kind::Door(n) = self.plan.names[name].kind {
            let others = |packet: &Packet| {
                packet.name != job.name && self.plan.names[usize::from(packet.name)].kind == Kind::Door(n)
            };
            if w.packets.iter().any(others) {
                w.wrong = Some(Wrong::OthersGoods);
            }
        }
        w.packets.push(Packet { name: job.name, claim: job.claim, ticks });
        w.packets.sort_unstable();
        w.processes[p].phase = if job.late { Phase::Late(job) } else { Phase::Waiting(job, Reply::Nothing) };
        true
    }

    /// It is recorded and synced before anything else.
    fn record_late(&mut self, w: &mut World, p: usize, job: Job) -> bool {
        let left = job.left.saturating_sub(job.since);
        if !self.older(w, p) {
            if let Some(record) = self.sent_record(w, p, job, left) {
                self.append(w, p, record);
                self.sync(w, p);
            }
        }
        w.processes[p].phase = Phase::Waiting(job, Reply::Nothing);
        true
    }

    /// No byte left.
    fn given_up(&mut self, w: &mut World, p: usize, job: Job) -> bool {
        let mut end = End { outcome: Outcome::NotDone, by: SettledBy::Answer, ..End::nothing() };
        if self.plan.names[usize::from(job.name)].kind == Kind::Report {
            end.status = KL_E_CONNECT;
        }
        let older = self.older(w, p);
        let job = if older { job } else { self.kept(w, p, job, &end) };
        self.ended(w, p, job, end, older)
    }

    fn over(&mut self, w: &mut World, p: usize, job: Job, reply: Reply, owed: bool) -> bool {
        let (outcome, by) = match reply {
            Reply::Nothing => (Outcome::Unknown, SettledBy::Nobody),
            Reply::Taken => (Outcome::Done, SettledBy::Answer),
            Reply::Refused => (Outcome::NotDone, SettledBy::Answer),
        };
        self.ended(w, p, job, End { outcome, by, ..End::nothing() }, owed)
    }

    fn ended(&mut self, w: &mut World, p: usize, job: Job, end: End, owed: bool) -> bool {
        w.processes[p].phase = Phase::Idle;
        let (name, view) = (usize::from(job.name), w.processes[p].view);
        let id = self.plan.names[name].id;
        let said = end.outcome;
        let record =
            self.with(w, p, |s, now| rules::end(s.books.state(view), id, job.claim.into(), end.clone(), now));
        let record = match record {
            Ok(ended) => Some(ended),
            Err(_) if self.k(Knob::NoClaim) => {
                let claim = self.books.state(view).get(id).map_or(0, |e| e.claim);
                Some(Ended { id: id.into(), claim, at: At::default(), end })
            }
            Err(_) => None,
        };
        if let Some(ended) = record {
            let record = Record::Ended(Ended { at: At::default(), ..ended });
            if owed {
                self.owe(w, p, record);
            } else {
                self.append(w, p, record);
            }
        }
        // What the caller is told: the record, or what the call itself knows.
        match self.stage(w, p, id) {
            Some(Stage::Done) => self.told(w, name, Outcome::Done),
            Some(Stage::NotDone) if said != Outcome::Done => self.told(w, name, Outcome::NotDone),
            // Under way in other hands, unknown, or gone with what the card forgot.
            _ => {}
        }
        true
    }

    fn judge(
        &mut self,
        w: &mut World,
        p: usize,
        name: usize,
        shown: bool,
        mature: bool,
        older: bool,
    ) -> bool {
        w.processes[p].phase = Phase::Idle;
        if older {
            return true;
        }
        let absent = mature || self.k(Knob::JudgedLate) || self.k(Knob::AbsenceProves);
        if shown {
            self.settle(w, p, name, Outcome::Done, SettledBy::Query, false);
        } else if absent {
            self.settle(w, p, name, Outcome::NotDone, SettledBy::Query, false);
        }
        true
    }

    /// Whether the platform shows the act to one who asks.
    fn shown(&self, w: &World, name: usize) -> bool {
        !self.k(Knob::AbsenceProves) && w.acts[name] > 0
    }

    fn settle(
        &mut self,
        w: &mut World,
        p: usize,
        name: usize,
        outcome: Outcome,
        by: SettledBy,
        overrule: bool,
    ) -> bool {
        let id = self.plan.names[name].id;
        self.bury(w, p);
        let view = w.processes[p].view;
        let end = End { outcome, by, ..End::nothing() };
        let record = self.with(w, p, |s, now| rules::settle(s.books.state(view), id, end, overrule, now));
        let Ok(Some(ended)) = record else { return false };
        self.append(w, p, Record::Ended(Ended { at: At::default(), ..ended }));
        true
    }

    // --- the journal ------------------------------------------------------------------------------------------------

    fn file(&self, w: &World, p: usize) -> usize {
        usize::from(w.cloned && p == 1)
    }

    /// The journal ends before what this process knew of it: it refuses everything.
    fn older(&self, w: &World, p: usize) -> bool {
        self.books.next(w.files[self.file(w, p)]) <= w.processes[p].floor.into()
    }

    fn append(&mut self, w: &mut World, p: usize, record: Record) -> u64 {
        let owed = std::mem::take(&mut w.processes[p].debt);
        if owed != 0 {
            let record = self.books.record(owed - 1).clone();
            self.append(w, p, record);
        }
        if w.poisoned {
            if self.k(Knob::PoisonIgnored) {
                w.stuck = true;
            } else {
                self.rewrite(w, p);
            }
            w.poisoned = false;
        }
        let id = self.books.intern(&record);
        let f = self.file(w, p);
        let n = self.books.next(w.files[f]);
        w.files[f] = self.books.append(w.files[f], id);
        for q in 0..self.plan.processes {
            if w.processes[q].alive && self.file(w, q) == f {
                w.processes[q].view = self.books.add(w.processes[q].view, id, n);
            }
        }
        n
    }

    /// The file is written anew from what this process knows. The others read it again.
    fn rewrite(&mut self, w: &mut World, p: usize) {
        let drop_prints = self.k(Knob::DoneNamesForgotten);
        let f = self.file(w, p);
        let root = self.books.anew(w.processes[p].view, &|r| drop_prints && matches!(r, Record::Prints(_)));
        w.files[f] = root;
        if f == 0 {
            w.durable = root;
        }
        for q in 0..self.plan.processes {
            if q != p && w.processes[q].alive && self.file(w, q) == f {
                self.read_again(w, q);
            }
        }
    }

    fn read_again(&mut self, w: &mut World, p: usize) {
        let file = w.files[self.file(w, p)];
        let debt = w.processes[p].debt;
        w.processes[p].view = if debt == 0 { file } else { self.books.add(file, debt - 1, 0) };
    }

    fn compact(&mut self, w: &mut World, p: usize) {
        let mut limits = self.plan.limits;
        if self.k(Knob::BeyondThePromise) {
            (limits.keep, limits.prints) = (0, 1);
        }
        w.processes[p].view = self.books.forget(w.processes[p].view, limits);
        self.rewrite(w, p);
        if self.plan.calm {
            // As after a restart.
            self.read_again(w, p);
        }
    }

    fn owe(&mut self, w: &mut World, p: usize, record: Record) {
        let id = self.books.intern(&record);
        let process = &mut w.processes[p];
        process.view = self.books.add(process.view, id, 0);
        if process.debt == 0 {
            process.debt = id + 1;
        }
    }

    fn pay(&mut self, w: &mut World, p: usize) -> bool {
        let owed = std::mem::take(&mut w.processes[p].debt);
        let record = self.books.record(owed - 1).clone();
        self.append(w, p, record);
        self.sync(w, p);
        true
    }

    /// What dead processes had under way. What cannot be written is not known either: it is never owed.
    fn bury(&mut self, w: &mut World, p: usize) {
        let view = w.processes[p].view;
        for ended in self.with(w, p, |s, now| rules::orphans(s.books.state(view), now)) {
            self.append(w, p, Record::Ended(Ended { at: At::default(), ..ended }));
        }
    }

    fn stage(&self, w: &World, p: usize, id: &str) -> Option<Stage> {
        self.books.state(w.processes[p].view).get(id).map(|e| e.stage)
    }

    fn with<T>(&self, w: &World, p: usize, work: impl FnOnce(&Self, &Now<'_>) -> T) -> T {
        let held = |owner: u64, _| {
            w.held & (1 << owner) != 0
                || w.processes.iter().any(|q| q.alive && u64::from(q.owner) == owner && !q.lost)
        };
        let now = Now {
            at: at(w),
            boot: BOOTS[usize::from(w.boot)],
            owner: w.processes[p].owner.into(),
            held: &held,
        };
        work(self, &now)
    }

    // --- the platform and the faults --------------------------------------------------------------------------------

    fn deliver(&mut self, w: &mut World, i: usize, refuse: bool) -> bool {
        let packet = w.packets[i];
        let name = usize::from(packet.name);
        let twice = self.k(Knob::DuplicatedPacket) && w.extra == 0;
        if twice {
            w.extra = 1;
        } else {
            w.packets.remove(i);
        }
        let code = self.plan.names[name].kind == Kind::Code;
        let by_other = code && (w.foreign || self.used_by_other(w, name));
        let refunded = self.plan.name == "order"
            && code
            && !self.k(Knob::RefundedCodeRedeemed)
            && self.acted(w, Kind::Refund);
        let used_by_us = code && w.acts[name] > 0;
        let reply = if used_by_us {
            // The mark shows it.
            if refuse {
                return false;
            }
            Reply::Taken
        } else if by_other || refunded || refuse {
            if (by_other || refunded) && !refuse {
                return false;
            }
            if by_other && self.k(Knob::ForeignMark) { Reply::Taken } else { Reply::Refused }
        } else {
            w.acts[name] += 1;
            Reply::Taken
        };
        for process in &mut w.processes {
            match &mut process.phase {
                Phase::Waiting(job, answer) if process.alive && job.claim == packet.claim => *answer = reply,
                _ => {}
            }
        }
        true
    }

    fn acted(&self, w: &World, kind: Kind) -> bool {
        (0..self.plan.names.len()).any(|i| self.plan.names[i].kind == kind && w.acts[i] > 0)
    }

    fn used_by_other(&self, w: &World, name: usize) -> bool {
        (0..self.plan.names.len())
            .any(|i| i != name && self.plan.names[i].kind == Kind::Code && w.acts[i] > 0)
    }

    fn deaths(&mut self, w: &World, p: usize, out: &mut Steps) {
        if w.faults >= self.plan.faults {
            return;
        }
        let process = w.processes[p];
        let unsafe_now = matches!(process.phase, Phase::Late(job) if job.since > job.left);
        if !unsafe_now || self.k(Knob::LateByteUnrecorded) {
            self.put(out, w, Do::Kill, p, None, |s, w| {
                w.faults += 1;
                if s.k(Knob::LockOutlives) {
                    w.held |= 1 << process.owner;
                }
                w.processes[p] = Process {
                    alive: false,
                    owner: 0,
                    view: 0,
                    floor: 0,
                    lost: false,
                    debt: 0,
                    phase: Phase::Idle,
                };
                true
            });
        }
        let stopped = match process.phase {
            Phase::Checked(job) => job.late,
            Phase::Late(_) => true,
            _ => false,
        };
        if self.plan.processes > 1 && !process.lost && (!stopped || self.k(Knob::BuriedWhileStopped)) {
            self.put(out, w, Do::LoseOwner, p, None, |_, w| {
                w.faults += 1;
                w.processes[p].lost = true;
                true
            });
        }
    }

    fn surroundings(&mut self, w: &World, out: &mut Steps) {
        let lost_and_checked =
            w.processes.iter().any(|q| q.lost && matches!(q.phase, Phase::Checked(_) | Phase::Late(_)));
        if w.ticks < self.plan.ticks && (!lost_and_checked || self.k(Knob::BuriedWhileStopped)) {
            self.put_named(out, w, Do::Tick, ANY, ANY, |s, w| {
                w.ticks += 1;
                w.up += 1;
                for packet in &mut w.packets {
                    packet.ticks = packet.ticks.saturating_sub(1);
                }
                if !s.k(Knob::LatePacket) {
                    w.packets.retain(|packet| packet.ticks > 0);
                }
                for q in &mut w.processes {
                    match &mut q.phase {
                        Phase::Appended(job) | Phase::Synced(job) | Phase::Late(job) => job.since += 1,
                        Phase::Checked(job) => {
                            job.since += 1;
                            job.late = true;
                        }
                        _ => {}
                    }
                }
                true
            });
        }
        if w.faults < self.plan.faults && !w.cloned {
            self.put_named(out, w, Do::Cut, ANY, ANY, |_, w| {
                w.faults += 1;
                w.boot += 1;
                w.up = 0;
                w.poisoned = false;
                w.stuck = false;
                w.files[0] = w.durable;
                for q in &mut w.processes {
                    *q = Process {
                        alive: false,
                        owner: 0,
                        view: 0,
                        floor: 0,
                        lost: false,
                        debt: 0,
                        phase: Phase::Idle,
                    };
                }
                true
            });
            let late = |q: &Process| matches!(q.phase, Phase::Late(job) if job.since > job.left);
            let unsafe_now = w.processes.iter().any(late) && !self.k(Knob::LateByteUnrecorded);
            if w.files[0] != w.durable && !unsafe_now {
                self.put_named(out, w, Do::Reset, ANY, ANY, |s, w| {
                    w.faults += 1;
                    let last = s.books.next(w.files[0]) - 1;
                    w.poisoned = false;
                    w.files[0] = w.durable;
                    for q in 0..s.plan.processes {
                        if w.processes[q].alive {
                            w.processes[q].floor = last as u16;
                            s.read_again(w, q);
                        }
                    }
                    true
                });
            }
        }
        let code = self.plan.names.iter().any(|n| n.kind == Kind::Code);
        if self.plan.name == "code" && code && !w.foreign && w.acts.iter().all(|n| *n == 0) {
            self.put_named(out, w, Do::Foreign, ANY, ANY, |_, w| {
                w.foreign = true;
                true
            });
        }
    }

    /// What only happens when the knob is turned.
    fn knobs(&mut self, w: &World, out: &mut Steps) {
        let Some(knob) = self.knob else { return };
        let once = |w: &mut World| w.extra = 1;
        match knob {
            Knob::SyncLies => self.put_named(out, w, Do::Knob, ANY, ANY, |_, w| {
                once(w);
                w.stuck = true;
                true
            }),
            Knob::ClockJumps => self.put_named(out, w, Do::Knob, ANY, ANY, |_, w| {
                once(w);
                w.up += 5;
                true
            }),
            Knob::OlderJournal => self.put_named(out, w, Do::Knob, ANY, ANY, |s, w| {
                once(w);
                w.files[0] = 0;
                w.durable = 0;
                for q in 0..s.plan.processes {
                    s.read_again(w, q);
                }
                true
            }),
            Knob::CopiedCard => self.put_named(out, w, Do::Knob, ANY, ANY, |_, w| {
                once(w);
                w.cloned = true;
                w.files[1] = w.files[0];
                true
            }),
            _ => {}
        }
        for p in 0..self.plan.processes {
            if !w.processes[p].alive || w.processes[p].phase != Phase::Idle || self.older(w, p) {
                continue;
            }
            for name in 0..self.plan.names.len() {
                let happened = w.acts[name] > 0;
                let opposite = if happened { Outcome::NotDone } else { Outcome::Done };
                let known = self.stage(w, p, self.plan.names[name].id).is_some();
                let settled = |outcome, by, overrule| {
                    move |s: &mut Self, w: &mut World| {
                        w.extra = 1;
                        s.settle(w, p, name, outcome, by, overrule)
                    }
                };
                let at = Some(name);
                match knob {
                    Knob::SensorLies if known => {
                        let does = settled(opposite, SettledBy::Sensor, false);
                        self.put(out, w, Do::Knob, p, at, does);
                    }
                    Knob::PersonOverrules if known => {
                        let does = settled(Outcome::NotDone, SettledBy::Person, true);
                        self.put(out, w, Do::Knob, p, at, does);
                    }
                    Knob::OldCallback if known => {
                        let does = settled(Outcome::Done, SettledBy::Event, false);
                        self.put(out, w, Do::Knob, p, at, does);
                    }
                    Knob::UnreadIsNotDone if w.begins < self.plan.begins => {
                        self.put(out, w, Do::Knob, p, at, |s, w| {
                            once(w);
                            s.told(w, name, Outcome::NotDone);
                            true
                        });
                    }
                    Knob::UnreadIsFresh if w.begins < self.plan.begins => {
                        self.put(out, w, Do::Knob, p, at, |s, w| {
                            once(w);
                            w.files[0] = 0;
                            w.durable = 0;
                            for q in 0..s.plan.processes {
                                s.read_again(w, q);
                            }
                            s.command(w, p, name, false, false)
                        });
                    }
                    _ => {}
                }
            }
        }
        if knob == Knob::UnprovedRefusal {
            for i in 0..w.packets.len() {
                let packet = w.packets[i];
                self.put_named(out, w, Do::Knob, ANY, packet.name, |s, w| {
                    once(w);
                    s.deliver(w, i, false);
                    for q in &mut w.processes {
                        if let Phase::Waiting(job, reply) = &mut q.phase {
                            if job.claim == packet.claim {
                                *reply = Reply::Refused;
                            }
                        }
                    }
                    true
                });
            }
        }
    }

    // --- what must be true ------------------------------------------------------------------------------------------

    /// The caller was told what became of a name.
    fn told(&self, w: &mut World, name: usize, outcome: Outcome) {
        match outcome {
            Outcome::Done if w.acts[name] == 0 => w.wrong = Some(Wrong::FalseDone),
            Outcome::NotDone if self.may_happen(w, name) => w.wrong = Some(Wrong::FalseNotDone),
            _ => {}
        }
    }

    /// It happened, or can still happen without being begun anew.
    fn may_happen(&self, w: &World, name: usize) -> bool {
        let of_name = |job: &Job| usize::from(job.name) == name;
        w.acts[name] > 0
            || w.packets.iter().any(|packet| usize::from(packet.name) == name)
            || w.processes.iter().any(|q| match &q.phase {
                Phase::Checked(job) => q.alive && of_name(job),
                _ => false,
            })
    }

    fn judge_world(&mut self, w: &mut World) {
        if w.wrong.is_some() {
            return;
        }
        let mut readers = vec![w.files[0]];
        if w.cloned {
            readers.push(w.files[1]);
        }
        for p in 0..self.plan.processes {
            if w.processes[p].alive && !self.older(w, p) {
                readers.push(w.processes[p].view);
            }
        }
        readers.dedup();
        for (name, its) in self.plan.names.iter().enumerate() {
            if w.acts[name] > 1 {
                w.wrong = Some(Wrong::ActedTwice);
            }
            for reader in &readers {
                match self.books.state(*reader).get(its.id).map(|e| e.stage) {
                    Some(Stage::NotDone) if self.may_happen(w, name) => w.wrong = Some(Wrong::FalseNotDone),
                    Some(Stage::Done) if w.acts[name] == 0 => w.wrong = Some(Wrong::FalseDone),
                    _ => {}
                }
            }
        }
        let goods = self.acted(w, Kind::Goods) || self.acted(w, Kind::Code);
        if self.acted(w, Kind::Refund) && goods {
            w.wrong = Some(Wrong::GoodsAndRefund);
        }
        for reader in readers {
            let state = self.books.state(reader);
            let sound = *self.sound.entry(reader).or_insert_with(|| {
                state.counts().0 == state.entries().filter(|(_, e)| !e.stage.settled()).count()
            });
            if !sound {
                w.wrong = Some(Wrong::Hidden);
            }
        }
        if w.wrong.is_none() && !w.cloned && self.is_blocked(w) {
            w.wrong = Some(Wrong::Blocked);
        }
    }

    /// Long after everything has ended the next customer's door is refused.
    fn is_blocked(&mut self, w: &World) -> bool {
        let resting = (0..self.plan.processes).all(|p| {
            let q = &w.processes[p];
            // One that met an older journal is to be started again.
            !q.alive || q.phase == Phase::Idle && q.debt == 0 && q.floor == 0
        });
        if !resting {
            return false;
        }
        let mut alive = w.held;
        for q in w.processes.iter().filter(|q| q.alive && !q.lost) {
            alive |= 1 << q.owner;
        }
        let key = (w.files[0], alive, w.boot);
        if let Some(known) = self.doors.get(&key) {
            return *known;
        }
        let lives = |owner: u64, _| alive & (1 << owner) != 0;
        let now = Now {
            at: At { wall_s: 0, up_ms: 1000 },
            boot: BOOTS[usize::from(w.boot)],
            owner: 63,
            held: &lives,
        };
        let mut state = self.books.state(w.files[0]).clone();
        for ended in rules::orphans(&state, &now) {
            rules::apply(&mut state, 0, Record::Ended(ended));
        }
        let next = rules::begin(&state, "next", Some(&print("next")), &door("1"), &now);
        let blocked = next != Decision::Claim;
        self.doors.insert(key, blocked);
        blocked
    }

    fn put(
        &mut self,
        out: &mut Steps,
        w: &World,
        what: Do,
        p: usize,
        name: Option<usize>,
        does: impl FnOnce(&mut Self, &mut World) -> bool,
    ) {
        self.put_named(out, w, what, p as u8, name.map_or(ANY, |n| n as u8), does);
    }

    fn put_named(
        &mut self,
        out: &mut Steps,
        w: &World,
        what: Do,
        process: u8,
        name: u8,
        does: impl FnOnce(&mut Self, &mut World) -> bool,
    ) {
        let mut next = w.clone();
        if does(self, &mut next) {
            self.judge_world(&mut next);
            out.push((Event { what, process, name }, next));
        }
    }
}

impl Default for Event {
    fn default() -> Event {
        Event { what: Do::Nothing, process: ANY, name: ANY }
    }
}

fn at(w: &World) -> At {
    At { wall_s: 0, up_ms: w.up.into() }
}
