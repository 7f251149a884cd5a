//! Unkind platforms: what each fault looks like to a read and to a command. A read ends well or says why; a command
//! opens the door at most once, and its outcome is never wrong.

mod common;

use common::*;
use kiosklink::client::Client;
use kiosklink::error::{Advice, Outcome};
use kiosklink::model::*;
use kiosklink::status::*;
use kiosklink_sim::Simulator;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn door(id: &str) -> DoorRequest {
    DoorRequest { request_id: id.into(), cabinet_id: CABINET.into(), ..Default::default() }
}

fn quick(sim: &Simulator) -> Client {
    client_with(
        sim,
        &[("timeout_ms", "2500"), ("connect_timeout_ms", "1500"), ("max_reply_bytes", "1000000")],
    )
}

/// Every fault that spoils an answer, and the status of a command that meets it.
fn spoilers() -> Vec<(Value, &'static [kl_status])> {
    vec![
        (json!({"fault": "act_then_drop"}), &[KL_E_LOST]),
        (json!({"fault": "drop_before_acting"}), &[KL_E_LOST]),
        (json!({"fault": "reset", "percent": 0}), &[KL_E_LOST]),
        (json!({"fault": "reset", "percent": 60}), &[KL_E_LOST]),
        (json!({"fault": "half_open", "hold_ms": 60_000}), &[KL_E_TIMEOUT_REPLY]),
        (json!({"fault": "late", "ms": 60_000}), &[KL_E_TIMEOUT_REPLY]),
        (json!({"fault": "slow_drip", "bytes": 1, "ms": 300}), &[KL_E_TIMEOUT_REPLY]),
        (json!({"fault": "half_answer"}), &[KL_E_LOST]),
        (json!({"fault": "wrong_length", "delta": 10}), &[KL_E_LOST]),
        (json!({"fault": "wrong_length", "delta": -10}), &[KL_E_PROTOCOL]),
        (json!({"fault": "http_5xx", "act": true}), &[KL_E_HTTP]),
        (json!({"fault": "html_portal"}), &[KL_E_PROTOCOL]),
        (json!({"fault": "garbage"}), &[KL_E_PROTOCOL]),
        (json!({"fault": "empty_body"}), &[KL_E_PROTOCOL]),
        (json!({"fault": "wrong_types"}), &[KL_E_PROTOCOL]),
        (json!({"fault": "missing_fields", "fields": ["error_code"]}), &[KL_E_PROTOCOL]),
        (json!({"fault": "missing_fields", "fields": ["ReceiptNo"]}), &[KL_E_PROTOCOL]),
        (json!({"fault": "null_fields", "fields": ["data"]}), &[KL_E_PROTOCOL]),
        (json!({"fault": "duplicate_keys"}), &[KL_E_PROTOCOL]),
        (json!({"fault": "huge", "bytes": 3_000_000}), &[KL_E_TOO_LARGE]),
    ]
}

#[test]
fn a_spoilt_answer_leaves_a_command_unknown_and_the_door_opens_at_most_once() {
    let sim = simulator();
    for (n, (spoiler, statuses)) in spoilers().into_iter().enumerate() {
        control(&sim, "POST", "/_sim/reset", Value::Null);
        fault(&sim, "cabinet.open.door", spoiler.clone());
        let client = quick(&sim);
        let id = format!("r{n}");
        let begun = Instant::now();
        let e = client.door_open(&door(&id)).unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(10), "{spoiler} hung");
        let d = e.details();
        assert!(statuses.contains(&d.status), "{spoiler}: {e:?}");
        assert_eq!((d.outcome, d.advice), (Outcome::Unknown, Advice::AskFirst), "{spoiler}: {e:?}");
        assert!(openings(&sim).len() <= 1, "{spoiler}");
        assert_eq!(requests(&sim, "cabinet.open.door").len(), 1, "{spoiler}: sent more than once");

        // The same name again: nothing is sent, and what the platform knows of it is said.
        let opened = openings(&sim).len();
        match client.door_open(&door(&id)) {
            Ok(known) => {
                assert!(opened == 1 && known.recorded && !known.receipt.order_no.is_empty(), "{spoiler}")
            }
            Err(e) => {
                assert_eq!((e.status(), e.details().outcome), (KL_E_UNSETTLED, Outcome::Unknown), "{e:?}");
                // It may still arrive: nobody need come before it cannot any more.
                let d = e.details();
                assert!(opened == 0 && d.advice == Advice::AskFirst, "{spoiler}: {e:?}");
                assert!((1..=62_500).contains(&d.retry_after_ms), "{spoiler}: {e:?}");
            }
        }
        assert_eq!(requests(&sim, "cabinet.open.door").len(), 1);
    }
}

/// FAULTS D: words in another charset beside a whole envelope lose no receipt.
#[test]
fn an_answer_in_gbk_loses_no_receipt() {
    let sim = simulator();
    fault(&sim, "cabinet.open.door", json!({"fault": "gbk_body"}));
    let command = quick(&sim).door_open(&door("gbk")).unwrap();
    assert_eq!(json!(command.receipt.order_no), openings(&sim)[0]["cause"]["receipt"]);
}

#[test]
fn a_read_gets_over_a_passing_fault_or_says_what_came() {
    let sim = simulator();
    for (spoiler, _) in spoilers() {
        control(&sim, "POST", "/_sim/reset", Value::Null);
        fault(&sim, "cabinet.list", spoiler.clone());
        let client = quick(&sim);
        let e = match client.cabinet_list(PageRequest { number: 1, size: 0 }) {
            Ok(page) => {
                assert_eq!(page.items.len(), 5, "{spoiler}: a wrong success");
                continue;
            }
            Err(e) => e,
        };
        let d = e.details();
        assert_eq!(d.outcome, Outcome::None, "{spoiler}: a read has no outcome");
        assert!(
            matches!(d.status, KL_E_PROTOCOL | KL_E_TOO_LARGE | KL_E_TIMEOUT_REPLY | KL_E_LOST | KL_E_HTTP),
            "{spoiler}: {e:?}"
        );
        assert!(d.message.len() > 10, "{spoiler}: {e:?}");
        // Whatever it was, the next call is clean.
        assert_eq!(client.cabinet_list(PageRequest { number: 1, size: 0 }).unwrap().items.len(), 5);
    }
}

#[test]
fn what_the_platform_may_do_is_put_up_with() {
    let sim = simulator();
    let client = quick(&sim);
    let tolerated = [
        json!({"fault": "unknown_fields", "extra": 5}),
        json!({"fault": "chunked", "bytes": 3}),
        json!({"fault": "no_content_length"}),
        json!({"fault": "bom"}),
        json!({"fault": "connection_close"}),
        json!({"fault": "close_after_answer"}),
        json!({"fault": "answer_twice"}),
        json!({"fault": "deep_nesting"}),
        json!({"fault": "wrong_date", "offset_s": -86_400}),
        json!({"fault": "no_date"}),
        json!({"fault": "date_with_age"}),
        json!({"fault": "late", "ms": 200}),
        json!({"fault": "slow_drip", "bytes": 200, "ms": 5}),
    ];
    for kind in tolerated {
        control(&sim, "POST", "/_sim/yopoint/settings", json!({"timestamp_tolerance_s": null}));
        fault(&sim, "cabinet.list", kind.clone());
        let page = client.cabinet_list(PageRequest { number: 1, size: 0 });
        assert_eq!(page.unwrap_or_else(|e| panic!("{kind}: {e:?}")).items.len(), 5);
    }
    // And after all of that a command still goes out once.
    client.door_open(&door("after")).unwrap();
    assert_eq!(openings(&sim).len(), 1);
}

#[test]
fn a_gateway_that_refuses_before_the_platform_proves_that_nothing_happened() {
    let sim = simulator();
    let client = quick(&sim);
    fault(&sim, "cabinet.open.door", json!({"fault": "rate_limit", "retry_after_s": 7}));
    let e = client.door_open(&door("a")).unwrap_err();
    let d = e.details();
    assert_eq!((d.status, d.outcome, d.advice), (KL_E_RATE_LIMIT, Outcome::NotDone, Advice::Retry), "{e:?}");
    assert_eq!((d.http_status, d.retry_after_ms), (429, 7000));
    client.door_open(&door("a")).unwrap();
    assert_eq!(openings(&sim).len(), 1);
    // A redirect says nothing of the kind: whoever answers with one may have acted before.
    fault(&sim, "cabinet.open.door", json!({"fault": "html_portal", "redirect": true}));
    let e = client.door_open(&door("b")).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_HTTP, Outcome::Unknown), "{e:?}");
    assert_eq!(openings(&sim).len(), 1);
}

#[test]
fn no_platform_at_all_is_not_done() {
    let sim = simulator();
    let config = {
        let mut c = settings(&sim);
        // Nobody listens on this port any more once the simulator is gone.
        c.set("timeout_ms", "2000").unwrap();
        c
    };
    drop(sim);
    let client = Client::new(&config).unwrap();
    let e = client.door_open(&door("a")).unwrap_err();
    assert_eq!(
        (e.status(), e.details().outcome, e.details().advice),
        (KL_E_CONNECT, Outcome::NotDone, Advice::Retry)
    );
    assert_eq!(client.ping().unwrap_err().status(), KL_E_CONNECT);
}

#[test]
fn a_stale_command_is_not_sent() {
    let sim = simulator();
    control(&sim, "POST", "/_sim/tls", json!({"handshake_stall": true}));
    let client = client_with(&sim, &[("timeout_ms", "3000"), ("connect_timeout_ms", "400")]);
    let e = client.door_open(&door("stalled")).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_TIMEOUT_TLS, Outcome::NotDone), "{e:?}");
    control(&sim, "POST", "/_sim/tls", json!({"handshake_stall": false}));
    let mut late = door("late");
    late.ttl_ms = 1;
    // The handshake alone takes longer than a millisecond.
    let e = client.door_open(&late).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_STALE, Outcome::NotDone), "{e:?}");
    assert!(requests(&sim, "cabinet.open.door").is_empty() && openings(&sim).is_empty());
    late.ttl_ms = 0;
    client.door_open(&late).unwrap();
}

#[test]
fn one_name_from_many_threads_opens_one_door() {
    let sim = simulator();
    let client = client(&sim);
    fault(&sim, "cabinet.open.door", json!({"fault": "late", "ms": 300}));
    let start = std::sync::Barrier::new(8);
    let ends: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    client.door_open(&door("one"))
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(openings(&sim).len(), 1);
    let done = ends.iter().filter(|e| e.is_ok()).count();
    assert!(done >= 1);
    for e in ends.iter().filter_map(|e| e.as_ref().err()) {
        assert_eq!((e.status(), e.details().outcome), (KL_E_IN_FLIGHT, Outcome::Unknown));
    }
    let recorded = client.door_open(&door("one")).unwrap();
    assert!(recorded.recorded && openings(&sim).len() == 1);
}

#[test]
fn an_open_door_is_not_opened_by_another_request_under_the_same_name() {
    let sim = simulator();
    let client = client(&sim);
    client.door_open(&door("x")).unwrap();
    let other = DoorRequest { cabinet_id: TWO_DOORS.into(), ..door("x") };
    let e = client.door_open(&other).unwrap_err();
    // FAULTS B6: the name is done, so it is not said that it is not.
    assert_eq!((e.status(), e.details().outcome), (KL_E_REQUEST_ID, Outcome::Unknown));
    assert_eq!(requests(&sim, "cabinet.open.door").len(), 1);
}

#[test]
fn a_jammed_door_is_done_but_never_opened() {
    let sim = simulator();
    let client = client(&sim);
    control(&sim, "POST", "/_sim/doors", json!({"cabinet": CABINET, "door": 1, "action": "jam"}));
    let order_no = client.door_open(&door("jam")).unwrap().receipt.order_no;
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 10_000}));
    let order = client.order_get(&OrderRef { order_no, ..Default::default() }).unwrap();
    assert_eq!(order.door, DoorState::NeverOpened);
    assert!(openings(&sim).is_empty());
}

#[test]
fn a_clock_that_is_off_mends_itself() {
    let sim = simulator();
    // The platform lives two hours ahead of this device.
    control(&sim, "POST", "/_sim/clock", json!({"offset_ms": 7_200_000}));
    let read = client(&sim);
    read.ping().unwrap();
    let command = client(&sim);
    let e = command.door_open(&door("off")).unwrap_err();
    let d = e.details();
    assert_eq!((d.status, d.outcome, d.advice), (KL_E_TIMESTAMP, Outcome::NotDone, Advice::Retry), "{e:?}");
    assert!(d.message.contains("7200 s") || d.message.contains("7199 s"), "{}", d.message);
    command.door_open(&door("off")).unwrap();
    assert_eq!(openings(&sim).len(), 1);
    assert!((command.now_ms() - read.now_ms()).abs() < 2000);
}
