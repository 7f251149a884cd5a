//! What a command may become, and what a process remembers of its commands; without a network.

use super::book::{Begin, Claim, Commands, Request, Wait};
use super::record::*;
use super::rules::*;
use super::*;
use crate::cancel::CancelToken;
use crate::error::Result;
use crate::store::file::Folder;
use crate::time::Deadline;
use std::time::Duration;

// --- the rules ---------------------------------------------------------------------------------------------------------

pub(super) const HOLD: u32 = 60_000;
pub(super) const LEFT: u32 = 20_000;

/// A little world: the state, the record numbers, the surroundings.
pub(super) struct World {
    pub(super) state: State,
    pub(super) n: u64,
    pub(super) up_ms: u64,
    pub(super) boot: &'static str,
    pub(super) owner: u64,
    pub(super) living: Vec<u64>,
}

impl World {
    pub(super) fn new() -> World {
        World { state: State::default(), n: 0, up_ms: 1_000, boot: "b1", owner: 1, living: vec![1] }
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&State, &Now<'_>) -> T) -> T {
        let held = |owner: u64, _| self.living.contains(&owner);
        let at = At { wall_s: 1_700_000_000, up_ms: self.up_ms };
        work(&self.state, &Now { at, boot: self.boot, owner: self.owner, held: &held })
    }

    pub(super) fn apply(&mut self, record: Record) -> u64 {
        self.n += 1;
        apply(&mut self.state, self.n, record);
        self.n
    }

    pub(super) fn decide(&self, id: &str, act: &Act) -> Decision {
        self.with(|s, now| begin(s, id, Some(&print(id)), act, now))
    }

    pub(super) fn intent(&mut self, id: &str, act: Act) -> u64 {
        assert_eq!(self.decide(id, &act), Decision::Claim, "{id}");
        let (owner, boot, at) = (self.owner, self.boot.to_owned(), At { wall_s: 0, up_ms: self.up_ms });
        let (mark, id) = (id.to_owned(), id.to_owned());
        self.apply(Record::Intent(Intent {
            id,
            act,
            owner,
            boot,
            at,
            mark,
            mark_is_ours: true,
            hold_ms: HOLD,
            print: None,
            earlier: None,
            keep: None,
        }))
    }

    pub(super) fn sent(&mut self, id: &str, claim: u64) -> std::result::Result<(), Refusal> {
        let sent = self.with(|s, now| send(s, id, claim, LEFT, None, now))?;
        self.apply(Record::Sent(sent));
        Ok(())
    }

    pub(super) fn end(&mut self, id: &str, claim: u64, outcome: Outcome) -> std::result::Result<(), Refusal> {
        let ended = self.with(|s, now| end(s, id, claim, End { outcome, ..End::nothing() }, now))?;
        self.apply(Record::Ended(ended));
        Ok(())
    }

    pub(super) fn settle(
        &mut self,
        id: &str,
        outcome: Outcome,
        by: SettledBy,
    ) -> std::result::Result<bool, Refusal> {
        let ended = self.with(|s, now| settle(s, id, End { outcome, by, ..End::nothing() }, false, now))?;
        let news = ended.is_some();
        if let Some(ended) = ended {
            self.apply(Record::Ended(ended));
        }
        Ok(news)
    }

    pub(super) fn bury(&mut self) {
        for ended in self.with(orphans) {
            self.apply(Record::Ended(ended));
        }
    }

    pub(super) fn lost(&mut self, id: &str, act: Act) {
        let claim = self.intent(id, act);
        self.sent(id, claim).unwrap();
        self.end(id, claim, Outcome::Unknown).unwrap();
    }

    pub(super) fn stage(&self, id: &str) -> Stage {
        self.state.get(id).unwrap().stage
    }
}

pub(super) fn print(id: &str) -> [u8; 12] {
    let mut print = [0u8; 12];
    for (i, b) in id.bytes().enumerate() {
        print[i % 12] = print[i % 12].wrapping_mul(31) ^ b;
    }
    print
}

pub(super) fn door(n: &str) -> Act {
    Act::Door(DoorRequest { cabinet_id: "c".into(), door: n.into(), ..DoorRequest::default() }.into())
}

pub(super) fn item(order: &str, item: &str) -> Act {
    Act::Door(
        DoorRequest {
            cabinet_id: "c".into(),
            order_no: order.into(),
            item_no: item.into(),
            ..DoorRequest::default()
        }
        .into(),
    )
}

pub(super) fn code(code: &str) -> Act {
    Act::Redeem(
        RedeemRequest { cabinet_id: "c".into(), code: code.into(), ..RedeemRequest::default() }.into(),
    )
}

pub(super) fn write(verb: &str, order: &str) -> Act {
    Act::Write {
        verb: verb.into(),
        order_no: order.into(),
        cabinet_id: String::new(),
        paid: false,
        trade_no: String::new(),
        digest: String::new(),
        visit_id: String::new(),
        context: String::new(),
    }
}

#[test]
fn a_name_is_claimed_once_and_stands_for_one_act() {
    let mut w = World::new();
    let claim = w.intent("a", door("1"));
    assert_eq!(w.decide("a", &door("1")), Decision::Refuse(Refusal::InFlight));
    assert_eq!(w.decide("a", &door("2")), Decision::Refuse(Refusal::OtherAct));
    w.sent("a", claim).unwrap();
    w.end("a", claim, Outcome::Done).unwrap();
    assert_eq!(w.decide("a", &door("1")), Decision::Recorded);
    // The same digits of another kind are another code.
    let claim = w.intent("k", code("7"));
    w.end("k", claim, Outcome::NotDone).unwrap();
    let claim = w.intent("k", code("7"));
    w.sent("k", claim).unwrap();
    let Act::Redeem(r) = code("7") else { unreachable!() };
    let voucher = Act::Redeem(RedeemRequest { kind: CodeKind::Voucher, ..(*r).clone() }.into());
    assert_eq!(w.decide("k", &voucher), Decision::Refuse(Refusal::OtherAct));
    w.end("k", claim, Outcome::NotDone).unwrap();
    // Of unknown ones the same: another order, another item, another product are another act.
    for (id, act, other) in [
        ("o", item("1", "1"), item("2", "1")),
        ("i", item("3", "1"), item("3", "2")),
        ("w", write("refund_apply", "4"), write("refund_apply", "5")),
    ] {
        w.lost(id, act.clone());
        assert_eq!(w.decide(id, &act), Decision::Ask);
        assert_eq!(w.decide(id, &other), Decision::Refuse(Refusal::OtherAct));
    }
}

#[test]
// FAULTS A5: not done is refused until nothing of the request can come any more; done is taken at once.
fn not_done_waits_for_maturity_and_done_does_not() {
    for by in [SettledBy::Sensor, SettledBy::Person, SettledBy::Query] {
        let mut w = World::new();
        w.lost("a", door("1"));
        let whole = u64::from(HOLD + LEFT);
        assert_eq!(w.settle("a", Outcome::NotDone, by), Err(Refusal::TooEarly(whole)));
        w.up_ms += whole - 1;
        assert_eq!(w.settle("a", Outcome::NotDone, by), Err(Refusal::TooEarly(1)));
        w.up_ms += 1;
        assert_eq!(w.settle("a", Outcome::NotDone, by), Ok(true));
        assert_eq!((w.stage("a"), w.settle("a", Outcome::NotDone, by)), (Stage::NotDone, Ok(false)));
        let mut w = World::new();
        w.lost("b", door("1"));
        assert_eq!(w.settle("b", Outcome::Done, by), Ok(true));
        assert_eq!(w.settle("b", Outcome::NotDone, by), Err(Refusal::Settled));
    }
}

#[test]
// FAULTS B4: a request that waited a minute for its turn is not a minute old when it leaves.
fn what_can_still_come_is_counted_from_the_sending() {
    let mut w = World::new();
    let claim = w.intent("a", door("1"));
    w.up_ms += 61_800;
    w.sent("a", claim).unwrap();
    w.end("a", claim, Outcome::Unknown).unwrap();
    let whole = u64::from(HOLD + LEFT);
    assert_eq!(w.settle("a", Outcome::NotDone, SettledBy::Query), Err(Refusal::TooEarly(whole)));
    w.up_ms += whole - 1;
    assert_eq!(w.settle("a", Outcome::NotDone, SettledBy::Query), Err(Refusal::TooEarly(1)));
}

#[test]
fn after_a_restart_of_the_system_maturity_counts_from_there() {
    let mut w = World::new();
    w.up_ms = 10_000_000;
    w.lost("a", door("1"));
    (w.boot, w.up_ms) = ("b2", 30_000);
    let left = u64::from(HOLD + LEFT) - 30_000;
    assert_eq!(w.settle("a", Outcome::NotDone, SettledBy::Sensor), Err(Refusal::TooEarly(left)));
    // Without a boot id the clock that stands lower than at the sending shows the restart.
    let mut w = World::new();
    (w.boot, w.up_ms) = ("", 10_000_000);
    w.lost("a", door("1"));
    w.up_ms = 30_000;
    assert_eq!(w.settle("a", Outcome::NotDone, SettledBy::Sensor), Err(Refusal::TooEarly(left)));
}

#[test]
// FAULTS A5, F1: a process that lives may still send, however long it takes.
fn while_the_owner_lives_no_not_done_is_taken_from_outside() {
    let mut w = World::new();
    let claim = w.intent("a", door("1"));
    w.sent("a", claim).unwrap();
    (w.owner, w.living) = (2, vec![1, 2]);
    w.up_ms += 10_000_000;
    assert_eq!(w.settle("a", Outcome::NotDone, SettledBy::Person), Err(Refusal::InFlight));
    w.bury();
    assert_eq!(w.stage("a"), Stage::Sent);
    w.living = vec![2];
    w.bury();
    assert_eq!(w.stage("a"), Stage::Unknown);
    assert_eq!(w.settle("a", Outcome::NotDone, SettledBy::Person), Ok(true));
}

#[test]
// FAULTS A4: sent is durable before the first byte, so an intent without it was never sent, whatever start of the system.
fn an_orphan_without_a_sending_is_not_done_and_one_with_it_is_unknown() {
    for boot in ["b1", "b2"] {
        let mut w = World::new();
        w.intent("a", door("1"));
        let claim = w.intent("b", door("2"));
        w.sent("b", claim).unwrap();
        (w.owner, w.living, w.boot) = (2, vec![2], boot);
        w.bury();
        assert_eq!((w.stage("a"), w.stage("b")), (Stage::NotDone, Stage::Unknown), "{boot}");
    }
}

#[test]
// FAULTS A7: a claim that another process buried sends no more, and ends nothing.
fn every_record_is_fenced_by_its_claim() {
    let mut w = World::new();
    let first = w.intent("a", door("1"));
    (w.owner, w.living) = (2, vec![2]);
    w.bury();
    let second = w.intent("a", door("1"));
    w.owner = 1;
    assert_eq!(w.sent("a", first), Err(Refusal::Fenced));
    assert_eq!(w.end("a", first, Outcome::Done), Err(Refusal::Fenced));
    assert_eq!(w.sent("a", second), Err(Refusal::Fenced), "it is another process's");
    w.owner = 2;
    w.sent("a", second).unwrap();
    w.end("a", second, Outcome::Done).unwrap();
    // A record of the old claim that was written all the same changes nothing.
    let late = Ended {
        id: "a".into(),
        claim: first,
        at: At::default(),
        end: End { outcome: Outcome::NotDone, ..End::nothing() },
    };
    w.apply(Record::Ended(late));
    assert_eq!(w.stage("a"), Stage::Done);
    // Nor does it end the one that has the name now.
    let mut w = World::new();
    let first = w.intent("b", door("2"));
    w.end("b", first, Outcome::NotDone).unwrap();
    let second = w.intent("b", door("2"));
    w.sent("b", second).unwrap();
    let late = Ended { id: "b".into(), claim: first, at: At::default(), end: End::nothing() };
    w.apply(Record::Ended(late));
    assert_eq!(w.stage("b"), Stage::Sent);
}

#[test]
fn one_that_was_taken_for_dead_and_has_its_answer_is_believed() {
    let mut w = World::new();
    let claim = w.intent("a", door("1"));
    w.sent("a", claim).unwrap();
    (w.owner, w.living) = (2, vec![2]);
    w.bury();
    w.owner = 1;
    assert_eq!(w.end("a", claim, Outcome::Unknown), Err(Refusal::Fenced));
    w.end("a", claim, Outcome::Done).unwrap();
    assert_eq!(w.stage("a"), Stage::Done);
}

#[test]
// FAULTS F9: the next customer is served after maturity; the name stays unknown.
fn a_door_is_free_again_after_maturity_and_its_code_and_order_are_not() {
    let mut w = World::new();
    w.lost("a", door("1"));
    let whole = u64::from(HOLD + LEFT);
    assert_eq!(w.decide("b", &door("1")), Decision::Refuse(Refusal::Blocked("a".into(), Some(whole))));
    assert_eq!(w.decide("b", &door("")), Decision::Refuse(Refusal::Blocked("a".into(), Some(whole))));
    assert_eq!(w.decide("b", &door("2")), Decision::Claim);
    w.lost("k", code("7"));
    w.lost("i", item("o1", "1"));
    w.up_ms += whole;
    assert_eq!(w.decide("b", &door("1")), Decision::Claim);
    assert_eq!((w.stage("a"), w.decide("a", &door("1"))), (Stage::Unknown, Decision::Ask));
    assert_eq!(w.decide("l", &code("7")), Decision::Refuse(Refusal::Blocked("k".into(), None)));
    assert_eq!(w.decide("j", &item("o1", "1")), Decision::Refuse(Refusal::Blocked("i".into(), None)));
    assert_eq!(w.decide("j", &item("o1", "2")), Decision::Claim);
}

#[test]
// FAULTS B12, B5: one lock per order across goods and money, and none by oneself.
fn one_lock_per_order() {
    let mut w = World::new();
    w.lost("r", write("refund_apply", "o1"));
    for act in [item("o1", "1"), write("payment_report", "o1"), write("appeal_file", "o1")] {
        assert_eq!(w.decide("x", &act), Decision::Refuse(Refusal::Blocked("r".into(), None)), "{act:?}");
    }
    assert_eq!(w.decide("x", &item("o2", "1")), Decision::Claim);
    assert_eq!(w.decide("r", &write("refund_apply", "o1")), Decision::Ask);
    let mut w = World::new();
    let claim = w.intent("g", item("o1", "1"));
    assert_eq!(w.decide("x", &write("refund_apply", "o1")), Decision::Refuse(Refusal::Busy("g".into())));
    w.sent("g", claim).unwrap();
    w.end("g", claim, Outcome::Unknown).unwrap();
    w.up_ms += 10_000_000;
    assert_eq!(
        w.decide("x", &write("refund_apply", "o1")),
        Decision::Refuse(Refusal::Blocked("g".into(), None))
    );
    // An opening whose order nobody knows may be of any order that no other command made.
    let mut w = World::new();
    let claim = w.intent("d", door("2"));
    w.sent("d", claim).unwrap();
    let receipt = Receipt { order_no: "o7".into(), ..Receipt::default() };
    let done = End { outcome: Outcome::Done, receipt, ..End::nothing() };
    let done = w.with(|s, now| end(s, "d", claim, done, now)).unwrap();
    w.apply(Record::Ended(done));
    w.lost("a", door("1"));
    assert_eq!(
        w.decide("x", &write("refund_apply", "o1")),
        Decision::Refuse(Refusal::Blocked("a".into(), None))
    );
    assert_eq!(w.decide("x", &write("refund_apply", "o7")), Decision::Claim);
}

#[test]
// FAULTS B12: a code was bought before, so it may be of an order that another command made, and of one that is paid back.
fn a_redemption_and_a_refund_do_not_cross() {
    let mut w = World::new();
    let claim = w.intent("c", write("order_create", ""));
    let receipt = Receipt { order_no: "o1".into(), ..Receipt::default() };
    let made = End { outcome: Outcome::Done, receipt, ..End::nothing() };
    let made = w.with(|s, now| end(s, "c", claim, made, now)).unwrap();
    w.apply(Record::Ended(made));
    w.lost("k", code("7"));
    w.up_ms += 10_000_000;
    let blocked = |by: &str, left| Decision::Refuse(Refusal::Blocked(by.into(), left));
    assert_eq!(w.decide("r", &write("refund_apply", "o1")), blocked("k", None));
    w.settle("k", Outcome::NotDone, SettledBy::Person).unwrap();
    w.lost("r", write("refund_apply", "o1"));
    let whole = u64::from(HOLD + LEFT);
    assert_eq!(w.decide("l", &code("8")), blocked("r", Some(whole)));
    w.up_ms += whole;
    assert_eq!(w.decide("l", &code("8")), Decision::Claim);
}

#[test]
fn an_end_that_is_written_late_takes_back_nothing() {
    let late = |outcome| {
        Record::Ended(Ended {
            id: "a".into(),
            claim: 1,
            at: At::default(),
            end: End { outcome, ..End::nothing() },
        })
    };
    for outcome in [Outcome::Unknown, Outcome::NotDone] {
        let mut w = World::new();
        let claim = w.intent("a", door("1"));
        w.sent("a", claim).unwrap();
        w.settle("a", Outcome::Done, SettledBy::Event).unwrap();
        w.apply(late(outcome));
        assert_eq!((w.stage("a"), w.state.counts()), (Stage::Done, (0, 1)));
    }
    // One that is owed has its number when it is paid, and is in no file before.
    let mut w = World::new();
    let claim = w.intent("a", door("1"));
    w.sent("a", claim).unwrap();
    apply(&mut w.state, 0, late(Outcome::Done));
    assert_eq!(snapshot(&w.state).len(), 2);
    w.apply(late(Outcome::Done));
    assert_eq!(snapshot(&w.state).last().map(|(n, _)| *n), Some(w.n));
}

#[test]
fn a_claim_whose_number_came_again_is_ended_by_its_owner_alone() {
    let mut w = World::new();
    let claim = w.intent("a", door("1"));
    w.sent("a", claim).unwrap();
    w.owner = 2;
    for outcome in [Outcome::NotDone, Outcome::Unknown] {
        assert_eq!(w.end("a", claim, outcome), Err(Refusal::Fenced));
    }
    w.owner = 1;
    w.end("a", claim, Outcome::NotDone).unwrap();
}

#[test]
fn a_shorter_sending_does_not_shorten_maturity() {
    let mut w = World::new();
    let claim = w.intent("a", code("7"));
    w.sent("a", claim).unwrap();
    w.up_ms += 1000;
    let short = w.with(|s, now| send(s, "a", claim, 1, None, now)).unwrap();
    w.apply(Record::Sent(short));
    let left = w.with(|s, now| s.get("a").unwrap().immature_ms(now));
    assert_eq!(left, u64::from(HOLD + LEFT) - 1000);
}

#[test]
fn a_repetition_that_did_nothing_proves_nothing_of_the_first_try() {
    let mut w = World::new();
    w.lost("a", code("7"));
    let (earlier, boot) = w.state.get("a").unwrap().sent.clone().unwrap();
    let earlier = Earlier { at: earlier.at, boot, left_ms: earlier.left_ms, platform: None };
    assert_eq!(w.with(|s, _| again(s, "a")), Ok(()));
    let at = At { wall_s: 0, up_ms: w.up_ms };
    let claim = w.apply(Record::Intent(Intent {
        id: "a".into(),
        act: code("7"),
        owner: 1,
        boot: "b1".into(),
        at,
        mark: "a".into(),
        mark_is_ours: true,
        hold_ms: HOLD,
        print: None,
        earlier: Some(earlier),
        keep: None,
    }));
    assert_eq!(w.with(|s, _| again(s, "a")), Err(Refusal::InFlight));
    w.sent("a", claim).unwrap();
    w.end("a", claim, Outcome::NotDone).unwrap();
    assert_eq!(w.stage("a"), Stage::Unknown);
    // Dead before it was sent again: unknown, not not done.
    let (earlier, boot) = w.state.get("a").unwrap().sent.clone().unwrap();
    let earlier = Earlier { at: earlier.at, boot, left_ms: earlier.left_ms, platform: None };
    w.apply(Record::Intent(Intent {
        id: "a".into(),
        act: code("7"),
        owner: 1,
        boot: "b1".into(),
        at,
        mark: "a".into(),
        mark_is_ours: true,
        hold_ms: HOLD,
        print: None,
        earlier: Some(earlier),
        keep: None,
    }));
    w.living.clear();
    w.owner = 2;
    w.bury();
    assert_eq!(w.stage("a"), Stage::Unknown);
}

#[test]
fn what_only_our_act_can_have_left_overrules_a_persons_word() {
    let mut w = World::new();
    w.lost("a", door("1"));
    w.up_ms += 10_000_000;
    w.settle("a", Outcome::NotDone, SettledBy::Person).unwrap();
    assert_eq!(w.settle("a", Outcome::Done, SettledBy::Person), Err(Refusal::Settled));
    assert_eq!(w.settle("a", Outcome::Done, SettledBy::Event), Ok(true));
    assert_eq!(w.stage("a"), Stage::Done);
    // Of one of which no byte left nothing can be proved.
    let claim = w.intent("b", door("2"));
    assert_eq!(w.settle("b", Outcome::Done, SettledBy::Event), Err(Refusal::InFlight));
    w.end("b", claim, Outcome::NotDone).unwrap();
    assert_eq!(w.settle("b", Outcome::Done, SettledBy::Event), Err(Refusal::Settled));
}

#[test]
fn a_callback_settles_a_command_under_way_as_done() {
    let mut w = World::new();
    let claim = w.intent("a", door("1"));
    w.sent("a", claim).unwrap();
    assert_eq!(w.settle("a", Outcome::Done, SettledBy::Event), Ok(true));
    assert_eq!(w.end("a", claim, Outcome::Unknown), Err(Refusal::Fenced));
    assert_eq!(w.stage("a"), Stage::Done);
}

#[test]
// FAULTS A8, A9: what was not done leaves first, a large record pushes nothing out, and done names are kept as
// fingerprints, the newest ten thousand.
fn forgetting_keeps_what_is_promised() {
    let mut w = World::new();
    w.lost("open", code("1"));
    for i in 0..PRINTS + SHORT + WHOLE + 10 {
        let id = format!("done-{i}");
        let big = if i % 1000 == 0 { "x".repeat(200_000) } else { String::new() };
        let act = Act::Door(
            DoorRequest {
                cabinet_id: "c".into(),
                door: "9".into(),
                extra_json: Some(big),
                ..DoorRequest::default()
            }
            .into(),
        );
        let claim = w.intent(&id, act);
        w.end(&id, claim, Outcome::Done).unwrap();
        let guess = format!("guess-{i}");
        let claim = w.intent(&guess, code(&format!("9{i}")));
        w.end(&guess, claim, Outcome::NotDone).unwrap();
        if i % 500 == 499 {
            forget(&mut w.state, SHORT + WHOLE, &print);
        }
    }
    let before = w.decide("kl-3-0123456789abcdef", &door("5"));
    forget(&mut w.state, SHORT + WHOLE, &print);
    assert_eq!(w.state.counts(), (1, SHORT + WHOLE));
    assert_eq!(w.stage("open"), Stage::Unknown);
    for i in 10..PRINTS + SHORT + WHOLE + 10 {
        let id = format!("done-{i}");
        let known = w.decide(&id, &door("9"));
        assert!(matches!(known, Decision::Recorded | Decision::Printed(_)), "{id}: {known:?}");
        if i % 997 == 0 {
            assert_eq!(w.decide(&id, &door("8")), Decision::Refuse(Refusal::OtherAct));
        }
    }
    assert_eq!(w.decide("done-9", &door("9")), Decision::Claim, "beyond what is promised");
    // A name that the library issued then may have been one of those that are gone; a newer one cannot.
    assert_eq!(before, Decision::Claim);
    assert_eq!(w.decide("kl-3-0123456789abcdef", &door("5")), Decision::Refuse(Refusal::TooOld));
    assert_eq!(w.decide(&format!("kl-{}-0123456789abcdef", w.n), &door("5")), Decision::Claim);
    let bytes: usize = texts(&w.state, At::default()).iter().map(String::len).sum();
    assert!(bytes < 450_000, "{bytes}");
}

#[test]
fn a_snapshot_is_the_same_state_and_its_numbers_ascend() {
    let mut w = World::new();
    for i in 0..SHORT + WHOLE + 200 {
        let id = format!("d{i}");
        let claim = w.intent(&id, door("9"));
        w.sent(&id, claim).unwrap();
        w.end(&id, claim, if i % 3 == 0 { Outcome::NotDone } else { Outcome::Done }).unwrap();
    }
    w.lost("u", door("1"));
    let claim = w.intent("f", door("2"));
    w.sent("f", claim).unwrap();
    w.apply(Record::Seen([1; 16], 5));
    w.apply(Record::Seen([2; 16], 6));
    w.apply(Record::Seen([1; 16], 0));
    w.apply(Record::VisitClosed("v".into(), At::default()));
    forget(&mut w.state, SHORT + WHOLE, &print);
    let records = snapshot(&w.state);
    let mut copy = State::default();
    let mut last = 0;
    for (n, record) in records {
        assert!(n > last, "{n} after {last}: {record:?}");
        last = n;
        let (n, record) = Record::from_text(&record.to_text(n, At::default())).unwrap();
        apply(&mut copy, n, record);
    }
    let records =
        |s: &State| snapshot(s).iter().map(|(n, r)| r.to_text(*n, At::default())).collect::<Vec<_>>();
    assert_eq!(records(&copy), records(&w.state));
    assert_eq!(texts(&w.state, At::default()), records(&w.state), "written without copies it is the same");
    assert!(copy.was_seen(&[2; 16]) && !copy.was_seen(&[1; 16]));
    assert_eq!(copy.counts(), w.state.counts());
}

#[test]
fn a_visit_is_open_until_it_is_closed() {
    let mut w = World::new();
    let visit = |door: &str, visit: &str| {
        Act::Door(
            DoorRequest {
                cabinet_id: "c".into(),
                door: door.into(),
                visit_id: visit.into(),
                ..DoorRequest::default()
            }
            .into(),
        )
    };
    w.intent("a", visit("1", "v2"));
    w.intent("b", visit("2", "v1"));
    w.intent("c", visit("3", "v2"));
    w.intent("d", door("4"));
    assert_eq!(w.state.open_visits(), ["v2", "v1"]);
    w.apply(Record::VisitClosed("v2".into(), At::default()));
    assert_eq!(w.state.open_visits(), ["v1"]);
    // Another command of it opens it again.
    w.intent("e", visit("5", "v2"));
    assert_eq!(w.state.open_visits(), ["v1", "v2"]);
}

// --- the book ----------------------------------------------------------------------------------------------------------

pub(super) fn soon(token: &CancelToken) -> Wait<'_> {
    Wait { patience: Deadline::after(Duration::from_secs(5)), token }
}

pub(super) fn begin_door<'a>(commands: &'a Commands, id: &str, n: &str) -> Result<Begin<'a>> {
    let request = Request { id, act: door(n), own_number: "", hold_ms: HOLD, tries_a_minute: 0 };
    commands.begin(request, soon(&CancelToken::never()))
}

pub(super) fn claim<'a>(commands: &'a Commands, id: &str, n: &str) -> Claim<'a> {
    match begin_door(commands, id, n).unwrap() {
        Begin::Claimed(claim) => claim,
        _ => panic!("{id} is not to be sent"),
    }
}

pub(super) fn leave(claim: &Claim<'_>) {
    claim.sending(Duration::from_secs(20), None, &CancelToken::never()).unwrap();
}

pub(super) fn lost() -> Error {
    unknown(Error::new(KL_E_TIMEOUT_REPLY, "no answer"))
}

pub(super) fn refused() -> Error {
    not_done(Error::new(KL_E_CONNECT, "refused"))
}

pub(super) fn get(commands: &Commands, id: &str) -> Result<Command> {
    commands.get(id, soon(&CancelToken::never()))
}

pub(super) fn status(begun: Result<Begin<'_>>) -> (kl_status, Outcome) {
    let e = begun.err().unwrap();
    (e.status(), e.details().outcome)
}

/// A folder of a test; it goes with this.
pub(super) struct OwnFolder(PathBuf);

impl std::ops::Deref for OwnFolder {
    type Target = PathBuf;

    fn deref(&self) -> &PathBuf {
        &self.0
    }
}

impl Drop for OwnFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn folder(name: &str) -> OwnFolder {
    let path = std::env::temp_dir().join(format!("kiosklink-book-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    OwnFolder(path)
}

pub(super) fn in_folder(path: &std::path::Path) -> Commands {
    let folder = std::sync::Arc::new(Folder::open(path, true).unwrap());
    Commands::journaled(folder, "commands-test".into(), "test 1".into()).unwrap()
}

#[test]
fn a_name_is_sent_once() {
    for commands in [Commands::in_memory().unwrap(), in_folder(&folder("once"))] {
        let first = claim(&commands, "a", "1");
        assert_eq!(status(begin_door(&commands, "a", "1")), (KL_E_IN_FLIGHT, Outcome::Unknown));
        assert_eq!(status(begin_door(&commands, "a", "2")), (KL_E_REQUEST_ID, Outcome::Unknown));
        assert_eq!(status(begin_door(&commands, "b", "1")), (KL_E_BUSY, Outcome::NotDone));
        leave(&first);
        let receipt = Receipt { order_no: "VI1".into(), ..Default::default() };
        let done = first.finish(Ok(receipt), true, SettledBy::Answer).unwrap();
        assert!(!done.recorded && done.physical == Physical::Pending);
        match begin_door(&commands, "a", "1").unwrap() {
            Begin::Recorded(c) => assert!(c.recorded && c.receipt.order_no == "VI1"),
            _ => panic!("sent again"),
        }
    }
}

#[test]
fn unknown_stays_unknown_and_not_done_is_free_again() {
    let commands = Commands::in_memory().unwrap();
    let first = claim(&commands, "a", "1");
    leave(&first);
    assert_eq!(
        first.finish(Err(lost()), true, SettledBy::Answer).unwrap_err().details().outcome,
        Outcome::Unknown
    );
    assert!(matches!(begin_door(&commands, "a", "1").unwrap(), Begin::Ask(_)));
    claim(&commands, "b", "2").finish(Err(refused()), true, SettledBy::Answer).unwrap_err();
    // Dropped before anything was to leave: not done.
    drop(claim(&commands, "b", "2"));
    assert_eq!(get(&commands, "b").unwrap().outcome, Outcome::NotDone);
    let second = claim(&commands, "b", "2");
    leave(&second);
    drop(second);
    assert_eq!(get(&commands, "b").unwrap().outcome, Outcome::Unknown);
}

#[test]
// FAULTS B2: the number that is sent is drawn from the installation's secret, not from the name alone.
fn the_mark_is_the_same_at_every_try_and_nobody_elses() {
    let (here, there) = (folder("mark-a"), folder("mark-b"));
    let (a, b) = (in_folder(&here), in_folder(&there));
    let first = claim(&a, "visit-0001", "1");
    let mark = first.mark.clone();
    assert!(mark.len() == 24 && mark.bytes().all(|b| b.is_ascii_digit()), "{mark}");
    first.finish(Err(refused()), true, SettledBy::Answer).unwrap_err();
    assert_eq!(claim(&a, "visit-0001", "1").mark, mark);
    assert_ne!(claim(&b, "visit-0001", "1").mark, mark);
    assert_ne!(claim(&a, "visit-0002", "2").mark, mark);
}

#[test]
// FAULTS A3, F2: what could not be written yet has no number, and takes nothing with it when the file is written anew.
fn what_is_owed_does_not_stand_in_the_way_of_the_file() {
    let mut w = World::new();
    let claim = w.intent("a", door("1"));
    w.sent("a", claim).unwrap();
    apply(&mut w.state, 0, Record::Seen([7; 16], 1_700_000_000));
    let late = w.with(|s, now| send(s, "a", claim, LEFT + 1, None, now)).unwrap();
    apply(&mut w.state, 0, Record::Sent(late));
    let end = End { outcome: Outcome::Done, ..End::nothing() };
    let ended = w.with(|s, now| super::rules::end(s, "a", claim, end, now)).unwrap();
    apply(&mut w.state, 0, Record::Ended(ended.clone()));
    let numbers = |s: &State| snapshot(s).iter().map(|(n, _)| *n).collect::<Vec<u64>>();
    assert_eq!(numbers(&w.state), [claim, claim + 1], "an intent never loses its sending");
    let left =
        snapshot(&w.state).into_iter().any(|(_, r)| matches!(r, Record::Sent(s) if s.left_ms == LEFT + 1));
    assert!(left, "the later of the two");
    w.apply(Record::Seen([7; 16], 1_700_000_000));
    w.apply(Record::Ended(ended));
    assert_eq!(numbers(&w.state), [1, 2, 3, 4]);
    assert_eq!(w.stage("a"), Stage::Done);
}

#[test]
fn what_one_client_knows_another_finds_in_the_file() {
    let path = folder("file");
    let commands = in_folder(&path);
    let first = claim(&commands, "a", "1");
    leave(&first);
    first
        .finish(Ok(Receipt { order_no: "VI1".into(), ..Default::default() }), true, SettledBy::Answer)
        .unwrap();
    let second = claim(&commands, "b", "2");
    leave(&second);
    second.finish(Err(lost()), true, SettledBy::Answer).unwrap_err();
    drop(commands);
    let commands = in_folder(&path);
    assert!(matches!(begin_door(&commands, "a", "1").unwrap(), Begin::Recorded(_)));
    assert!(matches!(begin_door(&commands, "b", "2").unwrap(), Begin::Ask(_)));
    let info = commands.info(soon(&CancelToken::never())).unwrap();
    assert_eq!((info.settled, info.unsettled, info.epoch), (1, 1, 1));
}

#[test]
// FAULTS B6: the outcome belongs to the name: what cannot be looked up is unknown, but for a name that was never begun.
fn a_journal_that_cannot_be_read_leaves_a_name_unknown() {
    let path = folder("unreadable");
    let commands = in_folder(&path);
    let token = CancelToken::never();
    let issued = commands.request_id_new(soon(&token)).unwrap();
    let first = claim(&commands, "a", "1");
    leave(&first);
    first.finish(Ok(Receipt::default()), false, SettledBy::Answer).unwrap();
    commands.flush();
    let file = std::fs::read_dir(&*path)
        .unwrap()
        .flatten()
        .find(|f| f.path().extension().is_some_and(|e| e == "journal"));
    let file = file.unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    drop(commands);
    std::fs::write(&file, bytes).unwrap();
    let commands = in_folder(&path);
    for (id, outcome) in [("a", Outcome::Unknown), ("new", Outcome::Unknown)] {
        assert_eq!(status(begin_door(&commands, id, "1")), (KL_E_JOURNAL_DAMAGED, outcome), "{id}");
        let e = get(&commands, id).err();
        assert!(e.is_none_or(|e| e.status() == KL_E_JOURNAL_DAMAGED), "{id}");
    }
    drop(issued);
    let issued = commands.request_id_new(soon(&token));
    if let Ok(issued) = issued {
        assert_eq!(status(begin_door(&commands, &issued, "1")), (KL_E_JOURNAL_DAMAGED, Outcome::NotDone));
    }
}

#[test]
fn a_callback_is_known_after_a_restart() {
    // FAULTS F17.
    let path = folder("seen");
    let token = CancelToken::never();
    let commands = in_folder(&path);
    assert!(!commands.seen_before(&[7; 16], 1_700_000_000, soon(&token)));
    assert!(commands.seen_before(&[7; 16], 1_700_000_000, soon(&token)));
    drop(commands);
    let commands = in_folder(&path);
    assert!(commands.seen_before(&[7; 16], 1_700_000_001, soon(&token)));
    commands.not_taken(&[7; 16], soon(&token));
    assert!(!commands.seen_before(&[7; 16], 1_700_000_002, soon(&token)));
}

#[test]
// FAULTS A9: six hundred wrong codes push no done command out of the journal's file.
fn wrong_codes_push_nothing_out() {
    let path = folder("guesses");
    let commands = in_folder(&path);
    let token = CancelToken::never();
    let first = claim(&commands, "done", "1");
    leave(&first);
    first.finish(Ok(Receipt::default()), true, SettledBy::Answer).unwrap();
    for i in 0..1500 {
        let id = format!("guess-{i}");
        let request =
            Request { id: &id, act: code(&format!("{i}")), own_number: "", hold_ms: HOLD, tries_a_minute: 0 };
        match commands.begin(request, soon(&token)).unwrap() {
            Begin::Claimed(claim) => claim.finish(Err(refused()), false, SettledBy::Answer).unwrap_err(),
            _ => panic!("{id}"),
        };
    }
    assert!(matches!(begin_door(&commands, "done", "1").unwrap(), Begin::Recorded(_)));
    drop(commands);
    let commands = in_folder(&path);
    assert!(matches!(begin_door(&commands, "done", "1").unwrap(), Begin::Recorded(_)));
}

#[test]
// FAULTS F18: a panic inside leaves no client without its journal.
fn a_panic_inside_refuses_commands_until_a_new_client_reads_the_file() {
    let path = folder("panic");
    let commands = in_folder(&path);
    let first = claim(&commands, "a", "1");
    leave(&first);
    first.finish(Ok(Receipt::default()), true, SettledBy::Answer).unwrap();
    let token = CancelToken::never();
    let other = commands.clone();
    let panicked = std::thread::spawn(move || {
        let token = CancelToken::never();
        other.known("a", None, soon(&token), |_| ()).unwrap();
        other.panic_inside(soon(&token));
    });
    assert!(panicked.join().is_err());
    assert_eq!(status(begin_door(&commands, "a", "1")), (KL_E_JOURNAL, Outcome::Unknown));
    assert_eq!(commands.get("a", soon(&token)).unwrap_err().status(), KL_E_JOURNAL);
    let commands = in_folder(&path);
    assert!(matches!(begin_door(&commands, "a", "1").unwrap(), Begin::Recorded(_)));
}
