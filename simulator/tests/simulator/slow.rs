//! Slow lines, and platforms that act when nobody waits any more.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::*;

fn door() -> Value {
    json!({"CID": CABINET, "TradeNo": "late-1"})
}

#[test]
fn acting_long_after_the_caller_gave_up() {
    for (answer, want) in [("drop", None), ("gateway", Some(504))] {
        let sim = start();
        let fault = json!({"fault": "act_later", "act_after_ms": 60_000, "answer": answer});
        control(&sim, "POST", "/_sim/faults", fault);
        let mut socket = plain(&sim);
        socket.write_all(&gateway_request(&sim, "cabinet.open.door", &door())).expect("it reads");
        let got = read_answer(&mut socket).ok().map(|a| a.status);
        assert_eq!(got, want);
        drop(socket);
        assert!(acts(&sim, "").is_empty());
        let log = control(&sim, "GET", "/_sim/requests", Value::Null);
        assert_eq!((&log[0]["acted"], &log[0]["acts_after_ms"]), (&json!(false), &json!(60_000)));
        control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 59_000}));
        assert!(acts(&sim, "").is_empty());
        control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 1_500}));
        let opened = acts(&sim, "kind=open_door&mark=late-1");
        assert_eq!(
            (opened.len(), &opened[0]["request"], &opened[0]["by"]),
            (1, &json!(1), &json!("request"))
        );
        let log = control(&sim, "GET", "/_sim/requests", Value::Null);
        assert_eq!((&log[1]["acted"], &log[1]["late"]), (&json!(true), &json!(true)));
    }
}

#[test]
fn nothing_is_answered_while_it_waits() {
    let sim = start();
    let fault = json!({"fault": "act_later", "act_after_ms": 50, "hold_ms": 300});
    control(&sim, "POST", "/_sim/faults", fault);
    let begun = Instant::now();
    let mut socket = plain(&sim);
    socket.write_all(&gateway_request(&sim, "cabinet.open.door", &door())).expect("it reads");
    control(&sim, "POST", "/_sim/wait", json!({"for": "acts", "kind": "open_door", "mark": "late-1"}));
    let never = json!({"for": "acts", "mark": "late-2", "timeout_ms": 1});
    assert_eq!(sim.control("POST", "/_sim/wait", never).0, 408);
    assert!(read_answer(&mut socket).is_err());
    assert!(begun.elapsed() >= Duration::from_millis(250));
    let wrong = json!({"fault": "act_later", "answer": "maybe"});
    assert_eq!(sim.control("POST", "/_sim/faults", wrong).0, 400);
}

#[test]
fn a_request_that_trickles_up_arrives_later() {
    let sim = start();
    let request = gateway_request(&sim, "cabinet.open.door", &door());
    // So fast that it takes 400 ms.
    let rate = request.len() * 1000 / 400;
    control(&sim, "POST", "/_sim/faults", json!({"fault": "slow_uplink", "bytes_per_s": rate}));
    let begun = Instant::now();
    let answer = exchange(&sim, &request);
    assert!(begun.elapsed() >= Duration::from_millis(380), "{:?}", begun.elapsed());
    assert_eq!(answer.json()["error_code"], 0);
    let log = control(&sim, "GET", "/_sim/requests", Value::Null);
    assert!((380..=420).contains(&log[0]["uplink_ms"].as_i64().expect("a number")), "{log}");
}

#[test]
fn both_ways_take_their_time() {
    let took = || {
        let sim = start();
        control(&sim, "POST", "/_sim/faults", json!({"fault": "latency", "max_ms": 400, "count": 8}));
        let mut socket = plain(&sim);
        for _ in 0..8 {
            socket.write_all(&gateway_request(&sim, "api.test", &json!({}))).expect("it reads");
            read_answer(&mut socket).expect("an answer");
        }
        let log = control(&sim, "GET", "/_sim/requests", Value::Null);
        let up = |e: &Value| e["uplink_ms"].as_i64().expect("a number");
        log.as_array().expect("a log").iter().map(up).collect::<Vec<_>>()
    };
    let ways = took();
    assert!(ways.iter().all(|ms| (0..=400).contains(ms)) && ways.iter().any(|ms| *ms > 0), "{ways:?}");
    assert_eq!(ways, took(), "the same request, the same way");
}

#[test]
fn who_hangs_up_early_may_be_too_late() {
    for (delivered, opened) in [(true, 1), (false, 0)] {
        let sim = start();
        let fault = json!({"fault": "slow_uplink", "bytes_per_s": 1_000_000, "latency_ms": 300, "delivered": delivered});
        control(&sim, "POST", "/_sim/faults", fault);
        let mut socket = plain(&sim);
        socket.write_all(&gateway_request(&sim, "cabinet.open.door", &door())).expect("it reads");
        control(&sim, "POST", "/_sim/wait", json!({"for": "requests", "count": 1}));
        drop(socket);
        control(&sim, "POST", "/_sim/wait", json!({"for": "connections", "count": 0}));
        assert_eq!(acts(&sim, "").len(), opened, "delivered: {delivered}");
        let log = control(&sim, "GET", "/_sim/requests", Value::Null);
        assert_eq!(log[0]["acted"], delivered);
        assert_eq!(log[0]["lost"].is_string(), !delivered);
    }
}

#[test]
fn a_line_that_is_slow_both_ways() {
    let sim = start();
    let link =
        json!({"platform": "yopoint", "latency_ms": 60, "up_bytes_per_s": 4_000, "down_bytes_per_s": 2_000});
    assert_eq!(control(&sim, "POST", "/_sim/link", link)["latency_ms"], 60);
    let begun = Instant::now();
    assert_eq!(data(&sim, "api.test", json!({})), json!({}));
    let took = begun.elapsed();
    // 120 ms of way, about 90 ms up and 130 ms down.
    assert!((Duration::from_millis(250)..Duration::from_secs(5)).contains(&took), "{took:?}");
    let begun = Instant::now();
    youzan_token(&sim);
    assert!(begun.elapsed() < Duration::from_millis(150), "the other platforms do not feel it");
    let back = json!({"platform": null, "latency_ms": 0, "up_bytes_per_s": null, "down_bytes_per_s": null});
    assert_eq!(control(&sim, "POST", "/_sim/link", back)["up_bytes_per_s"], Value::Null);
    assert_eq!(sim.control("POST", "/_sim/link", json!({"up": 1})).0, 400);
}

#[test]
fn the_seed_of_a_skewed_clock_stays_out_of_the_record() {
    let sim = start();
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"timestamp_tolerance_s": null}));
    control(&sim, "POST", "/_sim/faults", json!({"fault": "clock_skew", "offset_s": 7_200}));
    data(&sim, "cabinet.open.door", door());
    let at = acts(&sim, "kind=open_door")[0]["at_ms"].as_i64().expect("a time");
    assert!((at / 1000 - now(&sim)).abs() < 60, "acts are recorded by the right clock");
}
