//! What is kept and sent later: each condition of the rules, one by one.

use super::record::*;
use super::rules::*;
use super::tests::*;
use super::*;
use crate::platform::Span;

const HOUR: u32 = 3_600_000;
/// The platform's time when the calls of these tests begin.
const THEN: i64 = 1_700_000_000_000;

fn keep(w: &World) -> Keep {
    Keep {
        since: At { wall_s: 0, up_ms: w.up_ms },
        boot: w.boot.into(),
        within_ms: HOUR,
        platform_ms: Some(THEN),
        rest: Some(["u", "1", "", ""].map(str::to_owned)),
    }
}

fn failed(status: kl_status) -> End {
    End { outcome: Outcome::NotDone, by: SettledBy::Answer, status, message: "m".into(), ..End::nothing() }
}

/// The claim that is made to keep it, or to send it later.
fn claim_kept(w: &mut World, id: &str, keep: Option<Keep>) -> u64 {
    let e = w.state.get(id).unwrap().clone();
    w.apply(Record::Intent(Intent {
        id: id.into(),
        act: e.act,
        owner: w.owner,
        boot: w.boot.into(),
        at: At { wall_s: 0, up_ms: w.up_ms },
        mark: e.mark,
        mark_is_ours: e.mark_is_ours,
        hold_ms: e.hold_ms,
        print: None,
        earlier: None,
        keep: keep.map(Box::new).or(e.keep),
    }))
}

fn ends(w: &mut World, id: &str, claim: u64, with: End) {
    let ended = w.with(|s, now| end(s, id, claim, with, now)).unwrap();
    w.apply(Record::Ended(ended));
}

/// Begun, and kept since there was no network.
fn kept(w: &mut World, id: &str, act: Act) {
    let since = keep(w);
    let claim = w.intent(id, act);
    assert!(w.with(|s, now| keeps(s, id, claim, &failed(KL_E_DNS), now)));
    let claim = claim_kept(w, id, Some(since));
    ends(w, id, claim, failed(KL_E_DNS));
    assert_eq!(w.stage(id), Stage::Kept);
}

fn next(w: &World, id: &str, platform: Option<Span>) -> Due {
    w.with(|s, now| later(s, id, platform, now))
}

fn payment(order: &str) -> Act {
    write("payment_report", order)
}

#[test]
fn only_what_may_go_away_is_kept() {
    let mut w = World::new();
    let claim = w.intent("a", payment("1"));
    let keeps = |w: &World, end: &End| w.with(|s, now| keeps(s, "a", claim, end, now));
    let good = [
        KL_E_DNS,
        KL_E_CONNECT,
        KL_E_LOST,
        KL_E_PROXY,
        KL_E_TIMEOUT_DNS,
        KL_E_TIMEOUT_CONNECT,
        KL_E_TIMEOUT_TLS,
        KL_E_TIMEOUT_SEND,
        KL_E_TLS,
        KL_E_TLS_UNTRUSTED,
        KL_E_TLS_EXPIRED,
        KL_E_TLS_NOT_YET_VALID,
        KL_E_TLS_PIN,
        KL_E_CLOCK,
        KL_E_RATE_LIMIT,
        KL_E_STALE,
    ];
    let bad = [
        KL_E_CANCELLED,
        KL_E_ARGUMENT,
        KL_E_UNSUPPORTED,
        KL_E_CONFIG_MISSING,
        KL_E_TLS_CLIENT_CERT,
        KL_E_AUTH,
        KL_E_PERMISSION,
        KL_E_JOURNAL,
        KL_E_INTERNAL,
    ];
    for code in good {
        assert!(keeps(&w, &failed(code)), "{code}");
    }
    for code in bad {
        assert!(!keeps(&w, &failed(code)), "{code}");
    }
    assert!(!keeps(&w, &End { outcome: Outcome::Unknown, ..failed(KL_E_LOST) }), "a byte may have left");
    assert!(!keeps(&w, &End { by: SettledBy::Query, ..failed(KL_E_LOST) }), "a byte left, and did nothing");
    let refused = |status| End { refusal: Refused { http: 400, ..Refused::default() }, ..failed(status) };
    // What was in the way of it was refused, and not it.
    assert!(keeps(&w, &refused(KL_E_HTTP)));
    w.sent("a", claim).unwrap();
    assert!(!keeps(&w, &refused(KL_E_OFFLINE)), "the platform refused it");
    assert!(keeps(&w, &refused(KL_E_RATE_LIMIT)), "that one asks to come again");
    assert!(keeps(&w, &failed(KL_E_LOST)), "the connection went before the first byte");
    // Of another claim nothing is kept, and of what ended.
    assert!(!w.with(|s, now| super::rules::keeps(s, "a", claim + 1, &failed(KL_E_DNS), now)));
    // Numbers come again after a card forgot records: this claim is another process's.
    let owner = std::mem::replace(&mut w.owner, 77);
    assert!(!keeps(&w, &failed(KL_E_DNS)));
    w.owner = owner;
    w.end("a", claim, Outcome::Unknown).unwrap();
    assert!(!keeps(&w, &failed(KL_E_DNS)));
}

#[test]
fn the_journal_has_room_for_others_than_those_that_wait() {
    let mut w = World::new();
    for i in 0..KEPT {
        kept(&mut w, &format!("k{i}"), payment(&format!("o{i}")));
    }
    let claim = w.intent("a", payment("1"));
    assert!(!w.with(|s, now| keeps(s, "a", claim, &failed(KL_E_DNS), now)));
    assert_eq!((w.state.kept().count(), w.state.counts()), (KEPT, (KEPT + 1, 0)));
}

#[test]
fn what_is_kept_locks_its_name_and_its_order_and_no_other_customer() {
    let mut w = World::new();
    kept(&mut w, "a", write("refund_apply", "1"));
    assert_eq!(w.decide("a", &write("refund_apply", "1")), Decision::Refuse(Refusal::Kept));
    assert_eq!(w.decide("a", &write("refund_apply", "2")), Decision::Refuse(Refusal::OtherAct));
    assert_eq!(w.decide("b", &payment("1")), Decision::Refuse(Refusal::Busy("a".into())));
    assert_eq!(w.decide("b", &item("1", "1")), Decision::Refuse(Refusal::Busy("a".into())));
    // A code of another customer, and its own door; also while a try looks for a connection.
    for _ in 0..2 {
        assert_eq!(w.decide("a", &write("refund_apply", "1")), Decision::Refuse(Refusal::Kept));
        assert!(w.with(|s, now| s.get("a").unwrap().kept_for_ms(now)) > 0);
        assert_eq!(w.decide("c", &code("7")), Decision::Claim);
        assert_eq!(w.decide("c", &door("1")), Decision::Claim);
        assert_eq!(w.decide("c", &payment("2")), Decision::Claim);
        claim_kept(&mut w, "a", None);
    }
    // From its sending on it is as any other refund.
    let claim = w.state.get("a").unwrap().claim;
    w.sent("a", claim).unwrap();
    assert_eq!(w.decide("c", &code("7")), Decision::Refuse(Refusal::Busy("a".into())));
}

#[test]
fn it_is_not_sent_beside_another_command_that_may_be_of_its_order() {
    let mut w = World::new();
    kept(&mut w, "a", write("refund_apply", "1"));
    let claim = claim_kept(&mut w, "a", None);
    let goods = w.intent("c", code("7"));
    assert_eq!(w.sent("a", claim), Err(Refusal::Busy("c".into())));
    ends(&mut w, "a", claim, failed(KL_E_BUSY));
    assert_eq!(w.stage("a"), Stage::Kept);
    w.sent("c", goods).unwrap();
    w.end("c", goods, Outcome::Unknown).unwrap();
    assert_eq!(next(&w, "a", None), Due::Wait, "goods may have gone out for it");
    assert_eq!(w.settle("c", Outcome::Done, SettledBy::Person), Ok(true));
    assert!(matches!(next(&w, "a", None), Due::Claim(_)));
}

#[test]
fn it_waits_on_after_a_try_and_after_a_death_and_is_never_sent_twice() {
    let mut w = World::new();
    kept(&mut w, "a", payment("1"));
    // A try fails, or the library stops it.
    for code in [KL_E_CONNECT, KL_E_CANCELLED, KL_E_RETIRED] {
        let claim = claim_kept(&mut w, "a", None);
        assert_eq!(next(&w, "a", None), Due::Wait, "somebody has it in hand");
        ends(&mut w, "a", claim, failed(code));
        assert_eq!(w.stage("a"), Stage::Kept, "{code}");
    }
    // Its process dies before it is sent.
    let old = claim_kept(&mut w, "a", None);
    w.bury();
    assert_eq!(w.stage("a"), Stage::Begun, "it lives");
    (w.owner, w.living) = (2, vec![2]);
    w.bury();
    assert_eq!(w.stage("a"), Stage::Kept);
    // One that was taken for dead sends nothing.
    w.owner = 1;
    assert_eq!(w.sent("a", old), Err(Refusal::Fenced));
    w.owner = 2;
    // It dies after it.
    let claim = claim_kept(&mut w, "a", None);
    w.sent("a", claim).unwrap();
    (w.owner, w.living) = (3, vec![3]);
    w.bury();
    assert_eq!(w.stage("a"), Stage::Unknown);
    assert_eq!((next(&w, "a", None), w.state.kept().count()), (Due::Wait, 0));
    assert_eq!(w.decide("a", &payment("1")), Decision::Ask);
}

#[test]
fn what_the_platform_says_later_is_what_became_of_it() {
    for (outcome, stage) in
        [(Outcome::Done, Stage::Done), (Outcome::NotDone, Stage::NotDone), (Outcome::Unknown, Stage::Unknown)]
    {
        let mut w = World::new();
        kept(&mut w, "a", payment("1"));
        let claim = claim_kept(&mut w, "a", None);
        w.sent("a", claim).unwrap();
        ends(&mut w, "a", claim, End { outcome, ..failed(KL_E_ORDER_STATE) });
        assert_eq!((w.stage("a"), w.state.kept().count()), (stage, 0));
        assert!(w.state.get("a").unwrap().keep.as_ref().is_some_and(|keep| keep.rest.is_none()));
    }
}

#[test]
fn its_time_counts_from_its_call_on_the_boot_clock() {
    let mut w = World::new();
    kept(&mut w, "a", payment("1"));
    let begun = w.up_ms;
    let age =
        |w: &World| w.with(|s, now| (s.get("a").unwrap().age_ms(now), s.get("a").unwrap().kept_for_ms(now)));
    w.up_ms += 600_000;
    let claim = claim_kept(&mut w, "a", None);
    ends(&mut w, "a", claim, failed(KL_E_DNS));
    assert_eq!(age(&w), (600_000, u64::from(HOUR) - 600_000), "a try does not begin it anew");
    w.up_ms = begun + u64::from(HOUR) - 1;
    assert_eq!(next(&w, "a", None), Due::Claim(1));
    w.bury();
    assert_eq!(w.stage("a"), Stage::Kept);
    let claim = claim_kept(&mut w, "a", None);
    w.up_ms += 1;
    // A try that is over too late is the last one.
    let ended = w.with(|s, now| end(s, "a", claim, failed(KL_E_DNS), now)).unwrap();
    assert_eq!(ended.end.outcome, Outcome::NotDone);
    let mut other = w.state.clone();
    let late = End { status: KL_E_KEPT, outcome: Outcome::Unknown, ..failed(KL_E_DNS) };
    apply(&mut other, 99, Record::Ended(Ended { id: "a".into(), claim, at: At::default(), end: late }));
    w.state = other;
    assert!(matches!(next(&w, "a", None), Due::Over(_)));
    w.bury();
    let e = w.state.get("a").unwrap();
    assert_eq!((e.stage, e.end.as_ref().unwrap().status), (Stage::NotDone, KL_E_STALE));
    assert_eq!(w.decide("a", &payment("1")), Decision::Claim, "not done: it may be asked for again");
}

#[test]
fn over_a_restart_of_the_system_only_the_platforms_clock_tells_its_time() {
    let within = i64::from(HOUR);
    let now = |ms: i64| Some(Span { earliest_ms: THEN, latest_ms: THEN + ms });
    let restarted = |platform_ms, boot| {
        let mut w = World::new();
        w.boot = boot;
        kept(&mut w, "a", payment("1"));
        let keep = Keep { platform_ms, ..keep(&w) };
        let claim = claim_kept(&mut w, "a", Some(keep));
        ends(&mut w, "a", claim, failed(KL_E_DNS));
        (w.boot, w.up_ms) = (if boot.is_empty() { "" } else { "b2" }, 5_000);
        w
    };
    for boot in ["b1", ""] {
        let mut w = restarted(Some(THEN), boot);
        w.bury();
        assert_eq!(next(&w, "a", None), Due::AskTime);
        assert_eq!(next(&w, "a", now(within - 1)), Due::Claim(1));
        assert_eq!(next(&w, "a", now(0)), Due::Claim(u64::from(HOUR) - 5_000), "it is up for so long");
        assert!(matches!(next(&w, "a", now(within)), Due::Over(_)));
        assert!(matches!(next(&w, "a", now(-1)), Due::Over(_)), "a clock that went back tells nothing");
        // The start alone is longer ago.
        w.up_ms = u64::from(HOUR) - 1;
        assert_eq!(w.with(|s, now| s.get("a").unwrap().kept_for_ms(now)), 1);
        w.up_ms += 1;
        w.bury();
        assert_eq!(w.stage("a"), Stage::NotDone);
        // What can never be known is over at once.
        let mut w = restarted(None, boot);
        w.bury();
        assert_eq!(w.stage("a"), Stage::NotDone);
    }
}

#[test]
fn who_keeps_it_may_withdraw_it_while_nobody_sends() {
    let mut w = World::new();
    kept(&mut w, "a", payment("1"));
    for by in [SettledBy::Person, SettledBy::Sensor, SettledBy::Event] {
        assert_eq!(w.settle("a", Outcome::Done, by), Err(Refusal::InFlight), "nothing of it has left");
    }
    let claim = claim_kept(&mut w, "a", None);
    assert_eq!(w.settle("a", Outcome::NotDone, SettledBy::Person), Err(Refusal::InFlight));
    ends(&mut w, "a", claim, failed(KL_E_DNS));
    assert_eq!(w.settle("a", Outcome::NotDone, SettledBy::Person), Ok(true));
    assert_eq!((w.stage("a"), next(&w, "a", None)), (Stage::NotDone, Due::Wait));
    assert_eq!(w.decide("b", &payment("1")), Decision::Claim);
}

#[test]
fn in_an_older_journal_it_may_have_been_sent() {
    let mut w = World::new();
    kept(&mut w, "a", payment("1"));
    for ended in w.with(adopted) {
        w.apply(Record::Ended(ended));
    }
    assert_eq!((w.stage("a"), next(&w, "a", None)), (Stage::Unknown, Due::Wait));
}

#[test]
fn a_file_written_anew_keeps_what_waits_with_its_time() {
    let mut w = World::new();
    kept(&mut w, "a", payment("1"));
    kept(&mut w, "b", payment("2"));
    claim_kept(&mut w, "b", None);
    let mut copy = State::default();
    for (n, record) in snapshot(&w.state) {
        apply(&mut copy, n, record);
    }
    for id in ["a", "b"] {
        let (before, after) = (w.state.get(id).unwrap(), copy.get(id).unwrap());
        assert_eq!((before.stage, &before.keep), (after.stage, &after.keep));
    }
    w.state = copy;
    w.up_ms += 1;
    assert_eq!(next(&w, "a", None), Due::Claim(u64::from(HOUR) - 1));
}
