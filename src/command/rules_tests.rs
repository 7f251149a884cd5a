//! Each condition of the rules, one by one: `scripts/mutants` takes them away and looks whether one of these fails.

use super::record::*;
use super::rules::*;
use super::tests::*;
use super::*;
use crate::platform::Span;

const ISSUED: &str = "kl-3-0123456789abcdef";

fn span(earliest_ms: i64, latest_ms: i64) -> Option<Span> {
    Some(Span { earliest_ms, latest_ms })
}

fn refuse(refusal: Refusal) -> Decision {
    Decision::Refuse(refusal)
}

/// Done with this order, for the item that is named.
fn done_with(w: &mut World, id: &str, act: Act, order_no: &str) {
    done_as(w, id, act, Receipt { order_no: order_no.into(), ..Receipt::default() });
}

/// Done with this answer.
fn done_as(w: &mut World, id: &str, act: Act, receipt: Receipt) {
    let claim = w.intent(id, act);
    w.sent(id, claim).unwrap();
    let done = End { outcome: Outcome::Done, physical: Physical::Pending, receipt, ..End::nothing() };
    let done = w.with(|s, now| end(s, id, claim, done, now)).unwrap();
    w.apply(Record::Ended(done));
}

/// Sent once more under the same name, as the platform is asked.
fn repeat(w: &mut World, id: &str, platform: Option<Span>) -> u64 {
    let e = w.state.get(id).unwrap();
    let (sent, boot) = e.sent.clone().unwrap();
    let earlier = Earlier { at: sent.at, boot, left_ms: sent.left_ms, platform: e.span };
    let (act, hold_ms) = (e.act.clone(), e.hold_ms);
    let claim = w.apply(Record::Intent(Intent {
        id: id.into(),
        act,
        owner: w.owner,
        boot: w.boot.into(),
        at: At { wall_s: 0, up_ms: w.up_ms },
        mark: id.into(),
        mark_is_ours: true,
        hold_ms,
        print: None,
        earlier: Some(earlier),
        keep: None,
    }));
    let sent = w.with(|s, now| send(s, id, claim, LEFT, platform, now)).unwrap();
    w.apply(Record::Sent(sent));
    claim
}

#[test]
fn an_issued_name_that_may_be_forgotten_is_refused_unless_it_is_known() {
    let mut w = World::new();
    let claim = w.intent(ISSUED, door("1"));
    w.end(ISSUED, claim, Outcome::NotDone).unwrap();
    w.apply(Record::Forgotten(100));
    assert_eq!(w.decide(ISSUED, &door("1")), Decision::Claim, "it is known as not done");
    assert_eq!(w.decide("kl-4-0123456789abcdef", &door("1")), refuse(Refusal::TooOld));
    // The caller's own names, which only look like it.
    for own in
        ["kl-4-0123456789abcde", "kl-4-0123456789abcdeg", "kl-4-", "kl-4", "kl-x-0123456789abcdef", "KL-4-1"]
    {
        assert_eq!((issued_at(own), w.decide(own, &door("1"))), (None, Decision::Claim), "{own}");
    }
    // A lower mark that comes later takes nothing back.
    w.apply(Record::Forgotten(2));
    assert_eq!(
        (w.state.low_water(), w.decide("kl-4-0123456789abcdef", &door("1"))),
        (100, refuse(Refusal::TooOld))
    );
}

#[test]
// FAULTS B6: what an error before any look-up means for a name.
fn a_name_is_known_if_anything_may_have_been_done_under_it() {
    let mut w = World::new();
    let claim = w.intent("no", door("1"));
    w.end("no", claim, Outcome::NotDone).unwrap();
    w.intent("yes", door("1"));
    w.apply(Record::Prints(vec![Print::new(&print("old"), 1, 1).text()]));
    w.apply(Record::Forgotten(5));
    let knows = |id: &str| w.state.knows(id, Some(&print(id)));
    assert!(!knows("no") && knows("yes") && knows("old") && !knows("new"));
    assert!(knows(ISSUED) && !knows("kl-5-0123456789abcdef"));
    assert!(!w.state.knows("old", None));
}

#[test]
fn an_order_belongs_to_the_command_that_made_it() {
    let mut w = World::new();
    done_with(&mut w, "a", door("1"), "o1");
    done_with(&mut w, "b", door("2"), "");
    let claimed = |order: &str, id: &str| w.state.order_claimed(order, id);
    assert!(claimed("o1", "x") && !claimed("o1", "a") && !claimed("o2", "x"));
    assert!(!claimed("", "x"), "what has no number is nobody's");
}

#[test]
fn a_command_is_alone_unless_another_is_about_its_item() {
    let mut w = World::new();
    w.lost("a", item("o1", "1"));
    w.lost("b", item("o1", "2"));
    w.lost("c", item("o2", "1"));
    w.lost("d", door("1"));
    assert!(["a", "b", "c", "d", "none"].iter().all(|id| w.state.alone(id)));
    w.settle("a", Outcome::Done, SettledBy::Person).unwrap();
    done_with(&mut w, "e", item("o1", "1"), "o1");
    assert!(!w.state.alone("a") && !w.state.alone("e") && w.state.alone("b") && w.state.alone("c"));
}

#[test]
// FAULTS B1: a use that shows may be that of an earlier command with the same code, at whatever cabinet.
fn a_command_is_alone_unless_another_may_have_used_its_code() {
    let mut w = World::new();
    let code = |code: &str, cabinet: &str, kind| {
        Act::Redeem(
            RedeemRequest { code: code.into(), cabinet_id: cabinet.into(), kind, ..RedeemRequest::default() }
                .into(),
        )
    };
    let number = |w: &mut World, id: &str, act: Act, outcome, by| {
        let claim = w.intent(id, act);
        w.sent(id, claim).unwrap();
        w.end(id, claim, Outcome::Unknown).unwrap();
        w.up_ms += u64::from(HOLD + LEFT);
        if outcome != Outcome::Unknown {
            w.settle(id, outcome, by).unwrap();
        }
    };
    number(&mut w, "done", code("1", "a", CodeKind::Virtual), Outcome::Done, SettledBy::Query);
    number(&mut w, "again", code("1", "b", CodeKind::Virtual), Outcome::Unknown, SettledBy::Nobody);
    assert!(!w.state.alone("again") && !w.state.alone("done"));
    // That nothing was done proves that the use is not its own; a person's word proves nothing.
    number(&mut w, "refused", code("2", "a", CodeKind::Virtual), Outcome::NotDone, SettledBy::Query);
    number(&mut w, "second", code("2", "a", CodeKind::Virtual), Outcome::Unknown, SettledBy::Nobody);
    assert!(w.state.alone("second") && !w.state.alone("refused"));
    number(&mut w, "said", code("3", "a", CodeKind::Virtual), Outcome::NotDone, SettledBy::Person);
    number(&mut w, "third", code("3", "a", CodeKind::Virtual), Outcome::Unknown, SettledBy::Nobody);
    assert!(!w.state.alone("third"));
    // The same digits of another kind are another code.
    number(&mut w, "kind", code("3", "a", CodeKind::Voucher), Outcome::Unknown, SettledBy::Nobody);
    assert!(w.state.alone("kind"));
}

#[test]
// FAULTS C: a door, an item, an order and a code are the same in whatever spelling the platform may take for them.
fn what_is_the_same_is_not_unlocked_by_its_spelling() {
    let door = |cabinet: &str, door: &str| {
        Act::Door(
            DoorRequest { cabinet_id: cabinet.into(), door: door.into(), ..DoorRequest::default() }.into(),
        )
    };
    let item = |cabinet: &str, order: &str, item: &str| {
        Act::Door(
            DoorRequest {
                cabinet_id: cabinet.into(),
                order_no: order.into(),
                item_no: item.into(),
                ..DoorRequest::default()
            }
            .into(),
        )
    };
    let code = |cabinet: &str, code: &str| {
        Act::Redeem(
            RedeemRequest { code: code.into(), cabinet_id: cabinet.into(), ..RedeemRequest::default() }
                .into(),
        )
    };
    for (act, others) in [
        (door("5f6da", "a1"), vec![door("5F6DA", "a1"), door(" 5f6da\r\n", "Ａ１"), door("5f6da", "A1 ")]),
        (
            item("16", "60", "78"),
            vec![item("１6", "60", "78"), item("16", " 60", "78"), item("16", "60", "78\t")],
        ),
        (code("16", "E20a"), vec![code("16", "e20A"), code(" 16", "E20a")]),
    ] {
        for other in others {
            let mut w = World::new();
            w.lost("a", act.clone());
            let blocked = |d| matches!(d, Decision::Refuse(Refusal::Blocked(..)));
            assert!(blocked(w.decide("b", &other)), "{act:?} {other:?}");
        }
    }
    let mut w = World::new();
    w.lost("a", door("5f6da", "1"));
    assert_eq!(w.decide("b", &door("5f6da", "11")), Decision::Claim);
}

#[test]
// FAULTS B1: nothing outside this time can be of this command.
fn a_request_lives_from_its_first_sending_to_its_maturity() {
    let mut w = World::new();
    let claim = w.intent("a", door("1"));
    assert_eq!(w.state.get("a").unwrap().alive(), None, "nothing left yet");
    let send_at = |w: &mut World, platform| {
        let sent = w.with(|s, now| send(s, "a", claim, LEFT, platform, now)).unwrap();
        w.apply(Record::Sent(sent));
    };
    let longer = i64::from(HOLD + LEFT);
    send_at(&mut w, span(5_000, 5_400));
    assert_eq!(w.state.get("a").unwrap().alive(), span(5_000, 5_400 + longer));
    send_at(&mut w, span(5_100, 5_900));
    assert_eq!(w.state.get("a").unwrap().alive(), span(5_000, 5_900 + longer));
    send_at(&mut w, span(4_000, 5_000));
    assert_eq!(w.state.get("a").unwrap().alive(), span(4_000, 5_900 + longer));
    let mut copy = State::default();
    for (n, record) in snapshot(&w.state) {
        apply(&mut copy, n, record);
    }
    assert_eq!(copy.get("a").unwrap().span, span(4_000, 5_900), "in a file written anew too");
    // Not known at one of them: not known.
    send_at(&mut w, None);
    assert_eq!(w.state.get("a").unwrap().alive(), None);
    send_at(&mut w, span(6_000, 6_100));
    assert_eq!(w.state.get("a").unwrap().alive(), None);
    let mut w = World::new();
    let claim = w.intent("a", door("1"));
    w.sent("a", claim).unwrap();
    let sent = w.with(|s, now| send(s, "a", claim, LEFT, span(6_000, 6_100), now)).unwrap();
    w.apply(Record::Sent(sent));
    assert_eq!(w.state.get("a").unwrap().alive(), None, "the first time was not known");
}

#[test]
fn maturity_counts_from_the_end_of_the_call_on_the_boot_clock() {
    let whole = u64::from(HOLD + LEFT);
    let left = |w: &World| w.with(|s, now| s.get("a").unwrap().immature_ms(now));
    for boot in ["b1", ""] {
        let mut w = World::new();
        w.boot = boot;
        let claim = w.intent("a", door("1"));
        assert_eq!(left(&w), 0, "nothing left");
        w.sent("a", claim).unwrap();
        assert_eq!(left(&w), whole);
        w.up_ms += 7_000;
        assert_eq!(left(&w), whole - 7_000);
        // Once more for the same claim: from the last.
        w.sent("a", claim).unwrap();
        assert_eq!(left(&w), whole);
        w.up_ms += whole;
        assert_eq!(left(&w), 0);
    }
    // Another start of the system, whose clock stands higher than at the sending.
    let mut w = World::new();
    w.lost("a", door("1"));
    (w.boot, w.up_ms) = ("b2", 11_000);
    assert_eq!(left(&w), whole - 11_000);
}

#[test]
fn an_age_is_at_least_so_much() {
    let mut w = World::new();
    w.lost("a", door("1"));
    w.up_ms += 500;
    let age = |w: &World| w.with(|s, now| s.get("a").unwrap().age_ms(now));
    assert_eq!(age(&w), 500);
    (w.boot, w.up_ms) = ("b2", 30_000);
    assert_eq!(age(&w), 30_000, "since the start of the system at least");
    (w.boot, w.up_ms) = ("", 40_000);
    assert_eq!(age(&w), 40_000);
}

#[test]
fn what_somebody_has_in_hand_is_not_buried() {
    let mut w = World::new();
    let claim = w.intent("a", door("1"));
    w.sent("a", claim).unwrap();
    w.bury();
    assert_eq!(w.stage("a"), Stage::Sent);
    w.up_ms += 10_000_000;
    assert_eq!(w.settle("a", Outcome::NotDone, SettledBy::Sensor), Err(Refusal::InFlight));
    // Its own process or another: once nobody has it, it is unknown.
    w.living.clear();
    w.bury();
    assert_eq!(w.stage("a"), Stage::Unknown);
}

#[test]
fn what_is_unknown_already_is_buried_no_more() {
    let mut w = World::new();
    w.lost("a", door("1"));
    (w.owner, w.living) = (2, vec![2]);
    assert!(w.with(orphans).is_empty());
}

#[test]
fn what_conflicts_and_what_does_not() {
    let numbered = |verb: &str, trade: &str| match write(verb, "") {
        Act::Write { verb, order_no, cabinet_id, paid, digest, visit_id, context, .. } => {
            let trade_no = trade.into();
            Act::Write { verb, order_no, cabinet_id, paid, trade_no, digest, visit_id, context }
        }
        other => other,
    };
    let elsewhere = |n: &str| {
        Act::Door(DoorRequest { cabinet_id: "d".into(), door: n.into(), ..DoorRequest::default() }.into())
    };
    let named = |n: &str, order: &str| {
        Act::Door(
            DoorRequest {
                cabinet_id: "c".into(),
                door: n.into(),
                order_no: order.into(),
                ..DoorRequest::default()
            }
            .into(),
        )
    };
    let coded = |cabinet: &str, text: &str, kind| {
        Act::Redeem(
            RedeemRequest { cabinet_id: cabinet.into(), code: text.into(), kind, ..RedeemRequest::default() }
                .into(),
        )
    };
    let (pickup, voucher) = (CodeKind::Pickup, CodeKind::Voucher);
    for (name, first, second, conflict) in [
        ("doors", door("1"), door("2"), false),
        ("doors of two cabinets", door("1"), elsewhere("1"), false),
        ("a door and any", door("1"), door(""), true),
        ("any and a door", door(""), door("1"), true),
        ("any of another cabinet", door(""), elsewhere("1"), false),
        // A door's own number is the caller's: it names no order of the platform's.
        ("doors with the caller's number", named("1", "o1"), write("payment_report", "o1"), false),
        ("items", item("o1", "1"), item("o1", "2"), false),
        ("an item twice", item("o1", "1"), item("o1", "1"), true),
        ("an item's number in two orders", item("o1", "1"), item("o2", "1"), false),
        ("an item and money", item("o1", "1"), write("payment_report", "o1"), true),
        ("money and an item", write("payment_report", "o1"), item("o1", "1"), true),
        ("money of two orders", write("payment_report", "o1"), write("payment_report", "o2"), false),
        ("writes without an order", write("code_cancel", ""), write("order_create", ""), false),
        ("the caller's number twice", numbered("order_create", "t1"), numbered("order_create", "t1"), true),
        ("two numbers", numbered("order_create", "t1"), numbered("order_create", "t2"), false),
        ("one number, two verbs", numbered("order_create", "t1"), numbered("code_create", "t1"), false),
        ("writes without a number", numbered("order_create", ""), numbered("order_create", ""), false),
        ("a code twice", code("7"), code("7"), true),
        ("codes", code("7"), code("8"), false),
        ("a code of two cabinets", coded("c", "7", pickup), coded("d", "7", pickup), false),
        ("a code of any cabinet", coded("", "7", pickup), coded("d", "7", pickup), true),
        ("any cabinet's code after one's", coded("c", "7", pickup), coded("", "7", pickup), true),
        ("digits of two kinds", coded("c", "7", pickup), coded("c", "7", voucher), false),
        // Goods whose order nobody knows may be of the one that is refunded; only a refund waits for that.
        ("a code and a refund", code("7"), write("refund_apply", "o1"), true),
        ("a door and a refund", door("1"), write("refund_apply", "o1"), true),
        ("a door and a report", door("1"), write("payment_report", "o1"), false),
        ("a door and an appeal", door("1"), write("appeal_file", "o1"), false),
        ("an item and another order's refund", item("o1", "1"), write("refund_apply", "o2"), false),
        ("a write and a refund", write("code_cancel", ""), write("refund_apply", "o1"), false),
    ] {
        let mut w = World::new();
        let claim = w.intent("a", first);
        let busy = w.decide("b", &second);
        assert_eq!(
            busy,
            if conflict { refuse(Refusal::Busy("a".into())) } else { Decision::Claim },
            "{name}"
        );
        w.sent("a", claim).unwrap();
        w.end("a", claim, Outcome::Unknown).unwrap();
        let blocked = w.decide("b", &second);
        assert_eq!(matches!(blocked, Decision::Refuse(Refusal::Blocked(..))), conflict, "{name}");
        w.settle("a", Outcome::Done, SettledBy::Query).unwrap();
        assert_eq!(w.decide("b", &second), Decision::Claim, "{name}, when it is settled");
    }
}

#[test]
fn only_an_unknown_command_is_repeated() {
    let mut w = World::new();
    let asked = |w: &World, id: &str| w.with(|s, _| again(s, id));
    assert_eq!(asked(&w, "a"), Err(Refusal::NotFound));
    let claim = w.intent("a", door("1"));
    assert_eq!(asked(&w, "a"), Err(Refusal::InFlight));
    w.sent("a", claim).unwrap();
    assert_eq!(asked(&w, "a"), Err(Refusal::InFlight));
    w.end("a", claim, Outcome::Done).unwrap();
    assert_eq!(asked(&w, "a"), Err(Refusal::Settled));
    let claim = w.intent("b", door("2"));
    w.end("b", claim, Outcome::NotDone).unwrap();
    assert_eq!(asked(&w, "b"), Err(Refusal::Settled));
}

#[test]
fn what_is_ended_sends_no_more_and_is_ended_no_more() {
    for outcome in [Outcome::Done, Outcome::NotDone, Outcome::Unknown] {
        let mut w = World::new();
        let claim = w.intent("a", door("1"));
        w.sent("a", claim).unwrap();
        w.end("a", claim, outcome).unwrap();
        assert_eq!(w.sent("a", claim), Err(Refusal::Fenced));
        if outcome != Outcome::Unknown {
            assert_eq!(w.end("a", claim, Outcome::Done), Err(Refusal::Fenced));
        }
        // A sending that was written all the same opens nothing again.
        let stage = w.stage("a");
        let late = Sent { id: "a".into(), claim, at: At::default(), left_ms: LEFT, platform: None };
        w.apply(Record::Sent(late));
        assert_eq!(w.stage("a"), stage);
    }
}

#[test]
// FAULTS A7: every record is fenced by its claim, and a claim that was taken over sends nothing.
fn a_record_of_a_claim_that_was_taken_over_changes_nothing() {
    let mut w = World::new();
    let first = w.intent("a", door("1"));
    w.end("a", first, Outcome::NotDone).unwrap();
    let second = w.intent("a", door("1"));
    assert_eq!(w.sent("a", first), Err(Refusal::Fenced), "though it is the same process");
    let late = Sent { id: "a".into(), claim: first, at: At::default(), left_ms: LEFT, platform: None };
    w.apply(Record::Sent(late));
    assert_eq!((w.stage("a"), w.state.get("a").unwrap().sent.is_none()), (Stage::Begun, true));
    w.sent("a", second).unwrap();
    w.end("a", second, Outcome::Done).unwrap();
    let (id, at, error) = ("a".to_owned(), At::default(), String::new());
    w.apply(Record::Moved(Movement { id, claim: first, at, physical: Physical::Failed, error }));
    assert_eq!(current_physical(w.state.get("a").unwrap()), Physical::None);
}

#[test]
// FAULTS B11: what the repetition heard, and when it proves anything of the first try.
fn a_repetition_is_not_done_only_by_a_read_after_maturity() {
    for (by, waits, stage) in [
        (SettledBy::Answer, false, Stage::Unknown),
        (SettledBy::Answer, true, Stage::Unknown),
        (SettledBy::Query, false, Stage::Unknown),
        (SettledBy::Query, true, Stage::NotDone),
    ] {
        let mut w = World::new();
        w.lost("a", code("7"));
        let claim = repeat(&mut w, "a", None);
        if waits {
            w.up_ms += u64::from(HOLD + LEFT);
        }
        let heard = End { outcome: Outcome::NotDone, by, ..End::nothing() };
        let ended = w.with(|s, now| end(s, "a", claim, heard.clone(), now)).unwrap();
        w.apply(Record::Ended(ended));
        assert_eq!(w.stage("a"), stage);
        // It is the first try that must be over: the repetition itself was answered.
        let mut later = World::new();
        later.lost("a", code("7"));
        later.up_ms += if waits { u64::from(HOLD + LEFT) } else { u64::from(HOLD + LEFT) - 1 };
        let claim = repeat(&mut later, "a", None);
        later.sent("a", claim).unwrap();
        let ended = later.with(|s, now| end(s, "a", claim, heard.clone(), now)).unwrap();
        later.apply(Record::Ended(ended));
        assert_eq!(later.stage("a"), stage);
        // A first try is believed at once.
        let claim = w.intent("b", code("8"));
        w.sent("b", claim).unwrap();
        let ended = w.with(|s, now| end(s, "b", claim, heard, now)).unwrap();
        assert_eq!((ended.end.outcome, ended.end.by), (Outcome::NotDone, by));
    }
}

#[test]
fn what_was_sent_first_is_not_forgotten_over_the_repetition() {
    let mut w = World::new();
    let claim = w.intent("a", code("7"));
    let sent = w.with(|s, now| send(s, "a", claim, LEFT, span(1_000, 2_000), now)).unwrap();
    w.apply(Record::Sent(sent));
    w.end("a", claim, Outcome::Unknown).unwrap();
    w.up_ms += 5_000;
    let claim = repeat(&mut w, "a", span(6_000, 7_000));
    assert_eq!(w.state.get("a").unwrap().span, span(1_000, 7_000));
    // Only one claim of the name is open.
    assert_eq!(w.state.counts(), (1, 0));
    // The same after the file was written anew, whole and after the repetition's own sending alone.
    let mut copy = State::default();
    for (n, record) in snapshot(&w.state) {
        apply(&mut copy, n, record);
    }
    let (mine, other) = (w.state.get("a").unwrap(), copy.get("a").unwrap());
    let when = |e: &Entry| e.sent.clone().map(|(sent, boot)| (sent.at, sent.left_ms, boot));
    assert!(other.claim == claim && other.span == mine.span && when(other) == when(mine));
    let first = |e: &Entry| e.earlier.clone().map(|(sent, boot)| (sent.at, sent.left_ms, boot));
    assert!(first(mine).is_some() && first(other) == first(mine) && first(other) != when(other));
    w.end("a", claim, Outcome::Done).unwrap();
    assert_eq!(w.state.counts(), (0, 1));
}

#[test]
fn a_repetition_that_was_not_sent_yet_keeps_the_first_try_in_a_file_written_anew() {
    let mut w = World::new();
    w.lost("a", code("7"));
    let (sent, boot) = w.state.get("a").unwrap().sent.clone().unwrap();
    w.apply(Record::Intent(Intent {
        id: "a".into(),
        act: code("7"),
        owner: 1,
        boot: "b1".into(),
        at: At::default(),
        mark: "T".into(),
        mark_is_ours: false,
        hold_ms: HOLD,
        print: None,
        earlier: Some(Earlier { at: sent.at, boot, left_ms: sent.left_ms, platform: None }),
        keep: None,
    }));
    let mut copy = State::default();
    for (n, record) in snapshot(&w.state) {
        apply(&mut copy, n, record);
    }
    let e = copy.get("a").unwrap();
    assert!(e.earlier.is_some() && e.sent.is_some() && e.stage == Stage::Begun && !e.mark_is_ours);
    w.state = copy;
    (w.owner, w.living) = (2, vec![2]);
    w.bury();
    assert_eq!(w.stage("a"), Stage::Unknown, "the first try may have happened");
}

#[test]
fn a_claim_that_was_replaced_is_in_nobodys_way() {
    let mut w = World::new();
    w.intent("a", door("1"));
    // A file of another hand: claimed once more without an end.
    w.apply(Record::Intent(Intent {
        id: "a".into(),
        act: door("2"),
        owner: 1,
        boot: "b1".into(),
        at: At::default(),
        mark: String::new(),
        mark_is_ours: true,
        hold_ms: HOLD,
        print: None,
        earlier: None,
        keep: None,
    }));
    assert_eq!((w.state.counts(), w.state.open().count()), ((1, 0), 1));
    assert_eq!(w.decide("b", &door("1")), Decision::Claim);
}

#[test]
fn settling_twice_alike_is_no_error_and_a_person_may_overrule_the_clock() {
    let mut w = World::new();
    assert_eq!(w.settle("none", Outcome::Done, SettledBy::Person), Err(Refusal::NotFound));
    w.lost("a", door("1"));
    assert_eq!(w.settle("a", Outcome::Done, SettledBy::Event), Ok(true));
    assert_eq!(w.settle("a", Outcome::Done, SettledBy::Query), Ok(false));
    w.lost("b", door("2"));
    let not_done = End { outcome: Outcome::NotDone, by: SettledBy::Person, ..End::nothing() };
    let early = w.with(|s, now| settle(s, "b", not_done.clone(), false, now));
    assert!(matches!(early, Err(Refusal::TooEarly(_))));
    let aloud = w.with(|s, now| settle(s, "b", not_done, true, now)).unwrap().unwrap();
    w.apply(Record::Ended(aloud));
    assert_eq!(w.stage("b"), Stage::NotDone);
    for by in [SettledBy::Person, SettledBy::Sensor, SettledBy::Answer] {
        assert_eq!(w.settle("b", Outcome::Done, by), Err(Refusal::Settled));
    }
    assert_eq!(w.settle("b", Outcome::NotDone, SettledBy::Query), Ok(false));
    assert_eq!(w.settle("b", Outcome::Done, SettledBy::Query), Ok(true));
}

#[test]
fn what_the_machine_did_is_told_once() {
    let mut w = World::new();
    let told = |w: &World, id: &str, physical| w.with(|s, now| movement(s, id, physical, "", now)).is_some();
    done_with(&mut w, "a", door("1"), "o1");
    assert!(!told(&w, "a", Physical::Pending), "that nothing is known is no news");
    assert!(told(&w, "a", Physical::Confirmed) && told(&w, "a", Physical::Failed));
    let moved = w.with(|s, now| movement(s, "a", Physical::Failed, "jam", now)).unwrap();
    let at = At { wall_s: 9, up_ms: 99_713 };
    w.apply(Record::Moved(Movement { at, ..moved }));
    assert!(!told(&w, "a", Physical::Confirmed), "a later contrary report changes nothing");
    // In a file written anew too, whole and short.
    let mut copy = State::default();
    for (n, record) in snapshot(&w.state) {
        apply(&mut copy, n, record);
    }
    let e = copy.get("a").unwrap();
    assert_eq!(e.moved_at, at);
    assert_eq!((current_physical(e), e.moved.clone().unwrap().1.as_str()), (Physical::Failed, "jam"));
    // What is not done moves nothing, whatever its last word was.
    let claim = w.intent("b", door("2"));
    w.sent("b", claim).unwrap();
    let end = End { physical: Physical::Pending, ..End::nothing() };
    w.apply(Record::Ended(Ended { id: "b".into(), claim, at: At::default(), end }));
    assert!(!told(&w, "b", Physical::Confirmed));
}

#[test]
// FAULTS F17: a callback is remembered for longer than any is believed, and callbacks do not fill the memory.
fn callbacks_are_remembered_for_as_long_as_they_are_believed() {
    let identity = |n: u32| {
        let mut all = [0; 16];
        all[..4].copy_from_slice(&n.to_le_bytes());
        all
    };
    let mut w = World::new();
    w.apply(Record::Seen(identity(1), 1_000_000));
    w.apply(Record::Seen(identity(2), 1_000_000 + SEEN_S));
    assert!(w.state.was_seen(&identity(1)));
    w.apply(Record::Seen(identity(3), 1_000_001 + SEEN_S));
    assert!(!w.state.was_seen(&identity(1)) && w.state.was_seen(&identity(2)));
    let mut w = World::new();
    for n in 0..=SEEN as u32 {
        w.apply(Record::Seen(identity(n), 1_000_000));
    }
    assert!(!w.state.was_seen(&identity(0)) && w.state.was_seen(&identity(1)));
    w.apply(Record::Seen(identity(7), 0));
    assert!(!w.state.was_seen(&identity(7)));
}

#[test]
// FAULTS A8, A9: what is left out first, and what is left of it.
fn wrong_codes_leave_nothing_and_done_ones_their_fingerprints() {
    let mut w = World::new();
    w.apply(Record::VisitClosed("v".into(), At::default()));
    w.apply(Record::Seen([7; 16], 5));
    w.apply(Record::Forgotten(3));
    w.lost("open", code("1"));
    for n in 0..4 {
        done_with(&mut w, &format!("done-{n}"), door("9"), "");
    }
    for n in 0..4 {
        let id = format!("wrong-{n}");
        let claim = w.intent(&id, code("2"));
        w.end(&id, claim, Outcome::NotDone).unwrap();
    }
    let keep = |w: &mut World, n| forget(&mut w.state, n, &print);
    keep(&mut w, 4);
    assert!((0..4).all(|n| w.stage(&format!("done-{n}")) == Stage::Done), "though they are the older ones");
    keep(&mut w, 2);
    assert_eq!((w.state.counts(), w.stage("open")), ((1, 2), Stage::Unknown));
    for n in 0..4 {
        assert_eq!(w.decide(&format!("wrong-{n}"), &code("2")), Decision::Claim);
        assert!(!w.state.knows(&format!("wrong-{n}"), Some(&print(&format!("wrong-{n}")))));
    }
    assert!(matches!(w.decide("done-0", &door("9")), Decision::Printed(_)));
    assert_eq!(w.decide("done-0", &door("8")), refuse(Refusal::OtherAct));
    assert_eq!(w.decide("done-3", &door("9")), Decision::Recorded);
    // All of it is in a file that is written anew.
    let mut copy = State::default();
    for (n, record) in snapshot(&w.state) {
        apply(&mut copy, n, record);
    }
    assert!(copy.was_seen(&[7; 16]) && copy.low_water() == 3 && copy.print(&print("done-0")).is_some());
    w.state = copy;
    w.intent("in", Act::Door(DoorRequest { visit_id: "w".into(), ..DoorRequest::default() }.into()));
    assert_eq!(w.state.open_visits(), ["w"]);
}

#[test]
fn a_closed_visit_stays_closed_in_a_file_written_anew() {
    let mut w = World::new();
    w.intent("a", Act::Door(DoorRequest { visit_id: "v".into(), ..DoorRequest::default() }.into()));
    w.apply(Record::VisitClosed("v".into(), At::default()));
    let mut copy = State::default();
    for (n, record) in snapshot(&w.state) {
        apply(&mut copy, n, record);
    }
    assert!(copy.open_visits().is_empty());
}

#[test]
fn the_commands_of_open_visits_stay_before_others_and_those_of_closed_ones_do_not() {
    let mut w = World::new();
    let door_of = |visit: &str| {
        let (cabinet_id, visit_id) = ("c".into(), visit.into());
        Act::Door(DoorRequest { cabinet_id, visit_id, door: visit.into(), ..DoorRequest::default() }.into())
    };
    for visit in ["old", "shut", "kept", "newer"] {
        done_as(
            &mut w,
            visit,
            door_of(visit),
            Receipt { report_url: "https://pay".into(), ..Receipt::default() },
        );
    }
    let wrong = w.intent("wrong", door_of("kept"));
    w.end("wrong", wrong, Outcome::NotDone).unwrap();
    w.apply(Record::VisitClosed("shut".into(), At::default()));
    for n in 0..5 {
        done_with(&mut w, &format!("other-{n}"), door(&n.to_string()), "");
    }
    assert_eq!(w.state.open_visits(), ["old", "kept", "newer"]);
    let limits = |keep, visits| Limits { whole: 1, keep, prints: 100, visits };
    assert_eq!(forget_beyond(&mut w.state, limits(9, 9), &print), 0);
    assert!(w.state.get("wrong").is_none(), "what was not done leaves first, also of an open visit");
    // Of more visits than are kept, the oldest is as any other command; it is told how many are not listed any more.
    assert_eq!(forget_beyond(&mut w.state, limits(4, 2), &print), 1);
    assert_eq!(w.state.open_visits(), ["kept", "newer"]);
    for (id, kept) in [("old", false), ("shut", false), ("kept", true), ("newer", true), ("other-4", true)] {
        assert_eq!(w.state.get(id).is_some(), kept, "{id}");
    }
    let url = |w: &World, id: &str| w.state.get(id).unwrap().end.clone().unwrap().receipt.report_url;
    assert_eq!((url(&w, "kept").as_str(), w.state.get("kept").unwrap().short), ("https://pay", true));
    // What its order needs is dropped when the visit is over; and then nothing of it is left at the next time.
    w.apply(Record::VisitClosed("kept".into(), At::default()));
    assert!(!w.state.is_open("kept") && w.state.is_open("newer"));
    forget_beyond(&mut w.state, limits(4, 2), &print);
    assert_eq!(url(&w, "kept"), "");
    assert_eq!(forget_beyond(&mut w.state, limits(1, 2), &print), 0);
    assert!(w.state.get("kept").is_none() && w.state.get("newer").is_some());
    assert!(!snapshot(&w.state).iter().any(|(_, r)| matches!(r, Record::VisitClosed(..))));
    // However many visits are closed, none comes back.
    for n in 0..400 {
        let visit = format!("v-{n}");
        done_with(&mut w, &visit, door_of(&visit), "");
        w.apply(Record::VisitClosed(visit, At::default()));
    }
    assert_eq!(w.state.open_visits(), ["newer"]);
}

#[test]
// FAULTS A8: large answers are shortened, and push nothing out.
fn the_newest_answers_are_kept_whole_as_far_as_they_have_room() {
    let big = |bytes: usize| {
        let extra_json = Some("x".repeat(bytes));
        Act::Door(
            DoorRequest { cabinet_id: "c".into(), door: "9".into(), extra_json, ..DoorRequest::default() }
                .into(),
        )
    };
    let extra = |w: &World, id: &str| match &w.state.get(id).unwrap().act {
        Act::Door(r) => r.extra_json.as_ref().map_or(0, String::len),
        _ => 0,
    };
    let mut w = World::new();
    for n in 0..WHOLE + 2 {
        done_with(&mut w, &format!("d{n}"), big(10), "");
    }
    forget(&mut w.state, SHORT + WHOLE, &print);
    assert_eq!((extra(&w, "d0"), extra(&w, "d1"), extra(&w, "d2")), (0, 0, 10));
    // One that is too large gives way, not those after it.
    done_with(&mut w, "large", big(WHOLE_BYTES), "");
    done_with(&mut w, "small", big(20), "");
    forget(&mut w.state, SHORT + WHOLE, &print);
    assert_eq!((extra(&w, "large"), extra(&w, "small"), extra(&w, "d10")), (0, 20, 10));
}

#[test]
// FAULTS A3: a file is written anew after a failed write, just when something is owed: no record is out of its order, and
// none that is in the file already is lost over the one that replaces it.
fn what_is_owed_is_in_no_rewritten_file_and_takes_nothing_out_of_it() {
    let mut w = World::new();
    let claim = w.intent("a", door("1"));
    w.sent("a", claim).unwrap();
    let late = Sent { id: "a".into(), claim, at: At { wall_s: 0, up_ms: 9 }, left_ms: LEFT, platform: None };
    apply(&mut w.state, 0, Record::Sent(late));
    let end = End { outcome: Outcome::Done, ..End::nothing() };
    apply(&mut w.state, 0, Record::Ended(Ended { id: "a".into(), claim, at: At::default(), end }));
    apply(&mut w.state, 0, Record::Seen([1; 16], 5));
    let (id, at, error) = ("a".to_owned(), At::default(), String::new());
    apply(&mut w.state, 0, Record::Moved(Movement { id, claim, at, physical: Physical::Failed, error }));
    assert_eq!((w.stage("a"), w.state.was_seen(&[1; 16])), (Stage::Done, true));
    let kinds: Vec<_> = snapshot(&w.state).iter().map(|(n, record)| (*n, record.kind())).collect();
    assert_eq!(kinds, [(1, "intent"), (2, "sent")]);
    assert_eq!(texts(&w.state, at).len(), 2);
}

#[test]
fn fingerprints_are_found_however_they_came() {
    let mut state = State::default();
    let name = |i: u64| print(&format!("n{i}"));
    let known = |state: &State, i: u64| state.print(&name(i)).map(|p| (p.act(), p.claim()));
    let mut came: Vec<u64> = Vec::new();
    for (n, part) in [500..900, 10..500, 900..3000, 0..10, 100..110, 950..955].into_iter().enumerate() {
        came.extend(part.clone());
        let prints = part.map(|i| Print::new(&name(i), i as u32, i + 1).text()).collect();
        apply(&mut state, n as u64 + 1, Record::Prints(prints));
        assert!(came.iter().all(|i| known(&state, *i).is_some()));
    }
    for i in 0..3000 {
        assert_eq!(known(&state, i), Some((i as u32, i + 1)));
    }
    assert_eq!((known(&state, 3000), state.names()), (None, 3000));
    let claims: Vec<u64> = snapshot(&state)
        .into_iter()
        .flat_map(|(_, record)| match record {
            Record::Prints(prints) => prints.iter().map(|print| Print(*print).claim()).collect(),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(claims, (1..=3000).collect::<Vec<_>>(), "the oldest first");
    forget_beyond(&mut state, Limits { whole: 1, keep: 1, prints: 10, visits: 9 }, &print);
    assert_eq!((state.names(), state.low_water()), (10, 2991));
    for i in 0..3000 {
        assert_eq!(known(&state, i).is_some(), i >= 2990, "{i}");
    }
}

#[test]
// FAULTS A5: what a name stands for.
fn another_cabinet_product_or_content_is_another_act() {
    let Act::Door(d) = door("1") else { unreachable!() };
    let Act::Redeem(r) = code("7") else { unreachable!() };
    let digest = |digest: &str| match write("order_create", "o1") {
        Act::Write { verb, order_no, cabinet_id, paid, trade_no, visit_id, context, .. } => {
            let digest = digest.into();
            Act::Write { verb, order_no, cabinet_id, paid, trade_no, digest, visit_id, context }
        }
        other => other,
    };
    for (first, second) in [
        (door("1"), Act::Door(DoorRequest { cabinet_id: "d".into(), ..(*d).clone() }.into())),
        (code("7"), Act::Redeem(RedeemRequest { product_id: "p".into(), ..(*r).clone() }.into())),
        (code("7"), Act::Redeem(RedeemRequest { cabinet_id: "d".into(), ..(*r).clone() }.into())),
        (digest("1"), digest("2")),
    ] {
        let mut w = World::new();
        w.lost("a", first.clone());
        assert_eq!(w.decide("a", &second), refuse(Refusal::OtherAct));
        assert_eq!(w.decide("a", &first), Decision::Ask);
    }
}

#[test]
fn a_lost_code_at_another_machine_is_not_of_this_order() {
    let bought = || {
        let mut w = World::new();
        let claim = w.intent("bought", code("1"));
        w.sent("bought", claim).unwrap();
        let receipt = Receipt { order_no: "o1".into(), ..Receipt::default() };
        let end = End { outcome: Outcome::Done, by: SettledBy::Answer, receipt, ..End::nothing() };
        let ended = w.with(|s, now| super::rules::end(s, "bought", claim, end, now)).unwrap();
        w.apply(Record::Ended(ended));
        w
    };
    let blocked = |w: &World, order: &str| {
        matches!(w.decide("back", &write("refund_apply", order)), Decision::Refuse(Refusal::Blocked(..)))
    };
    let mut w = bought();
    w.lost("a", code("2"));
    assert!(blocked(&w, "o1"));
    let mut w = bought();
    let Act::Redeem(r) = code("2") else { return };
    w.lost("a", Act::Redeem(RedeemRequest { cabinet_id: "d".into(), ..(*r).clone() }.into()));
    assert!(!blocked(&w, "o1"));
    // Of an order that nobody here made it may be all the same, and at a machine that is not named.
    assert!(blocked(&w, "o2"));
    let mut w = bought();
    w.lost("a", Act::Redeem(RedeemRequest { cabinet_id: String::new(), ..(*r).clone() }.into()));
    assert!(blocked(&w, "o1"));
}

#[test]
fn when_it_was_sent_is_learned_later_too() {
    let mut w = World::new();
    let claim = w.intent("a", door("1"));
    w.up_ms += 500;
    w.sent("a", claim).unwrap();
    w.up_ms += 100_000;
    let learned = |w: &World, platform, change: &dyn Fn(&mut Entry)| {
        let mut e = w.state.get("a").unwrap().clone();
        change(&mut e);
        w.with(|_, now| e.learn(platform, now));
        e.span
    };
    assert_eq!(learned(&w, None, &|_| ()), None);
    // The platform's clock stands at 900,000 now; it was begun 100.5 s ago and sent 100 s ago. Clocks drift.
    let at = span(900_000, 901_000);
    assert_eq!(learned(&w, at, &|_| ()), span(900_000 - 100_500 - 10, 901_000 - 100_000 + 10));
    // What was known then and what is known now hold both, unless they contradict each other.
    assert_eq!(learned(&w, at, &|e| e.span = span(0, 800_500)), span(799_490, 800_500));
    assert_eq!(learned(&w, at, &|e| e.span = span(800_000, 2_000_000)), span(800_000, 801_010));
    assert_eq!(learned(&w, at, &|e| e.span = span(5, 6)), span(5, 6));
    assert_eq!(learned(&w, at, &|e| e.earlier = e.sent.clone()), None, "the first try was earlier");
    // Another start of the system counts from another moment.
    w.boot = "b2";
    assert_eq!(learned(&w, at, &|_| ()), None);
    w.boot = "";
    assert_eq!(learned(&w, at, &|e| e.sent.as_mut().unwrap().1.clear()), None);
}

#[test]
fn the_order_before_is_of_a_command_that_was_over_before() {
    let mut w = World::new();
    let open = |w: &mut World, id: &str, n: &str| {
        let claim = w.intent(id, door(n));
        w.sent(id, claim).unwrap();
        claim
    };
    let done = |w: &mut World, id: &str, claim, order: &str| {
        let receipt = Receipt { order_no: order.into(), ..Receipt::default() };
        let how = End { outcome: Outcome::Done, by: SettledBy::Answer, receipt, ..End::nothing() };
        let ended = w.with(|s, now| end(s, id, claim, how, now)).unwrap();
        w.apply(Record::Ended(ended));
    };
    for (id, order) in [("a", "o1"), ("b", "o2"), ("c", "")] {
        let claim = open(&mut w, id, "1");
        done(&mut w, id, claim, order);
    }
    let meanwhile = open(&mut w, "d", "4");
    open(&mut w, "mine", "5");
    done(&mut w, "d", meanwhile, "o4");
    assert_eq!(w.state.previous("mine"), "o2", "the last one with an order");
    assert_eq!((w.state.previous("a"), w.state.previous("none")), ("", ""));
    let mut copy = State::default();
    for (n, record) in snapshot(&w.state) {
        apply(&mut copy, n, record);
    }
    assert_eq!(copy.previous("mine"), "o2", "in a file written anew too");
}

#[test]
fn two_doors_under_one_number_are_not_alone() {
    let numbered = |n: &str, own: &str| match door(n) {
        Act::Door(d) => Act::Door(DoorRequest { order_no: own.into(), ..(*d).clone() }.into()),
        other => other,
    };
    let mut w = World::new();
    for (id, act) in [
        ("a", numbered("1", "T")),
        ("b", numbered("2", " t")),
        ("c", numbered("3", "U")),
        ("d", numbered("4", "")),
        ("e", numbered("5", "")),
    ] {
        w.intent(id, act);
    }
    let alone = ["a", "b", "c", "d", "e"].map(|id| w.state.alone(id));
    assert_eq!(alone, [false, false, true, true, true]);
}
