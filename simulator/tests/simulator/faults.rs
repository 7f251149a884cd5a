//! What each fault does to the bytes on the wire.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use kiosklink_sim::Simulator;
use serde_json::{Value, json};

use crate::common::*;

/// Orders a fault for the next call, opens a door, and answers every byte that came back.
fn bytes(sim: &Simulator, fault: Value) -> io::Result<Vec<u8>> {
    control(sim, "POST", "/_sim/faults", fault);
    let mut socket = plain(sim);
    socket.set_read_timeout(Some(Duration::from_millis(300)))?;
    socket.write_all(&gateway_request(sim, "cabinet.open.door", &json!({"CID": CABINET})))?;
    let mut got = Vec::new();
    match socket.read_to_end(&mut got) {
        // The connection is kept: what came is what there is.
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) && !got.is_empty() => {
            Ok(got)
        }
        Err(e) => Err(e),
        Ok(_) => Ok(got),
    }
}

fn openings(sim: &Simulator) -> usize {
    control(sim, "GET", "/_sim/openings", Value::Null).as_array().map_or(0, Vec::len)
}

fn text(sim: &Simulator, fault: Value) -> String {
    String::from_utf8(bytes(sim, fault).expect("bytes")).expect("UTF-8")
}

/// Head and body, split.
fn halves(text: &str) -> (&str, &str) {
    text.split_once("\r\n\r\n").expect("a head")
}

#[test]
fn answers_that_are_lost() {
    for (fault, opened) in [
        (json!({"fault": "act_then_drop"}), 1),
        (json!({"fault": "drop_before_acting"}), 0),
        (json!({"fault": "act_then_drop", "act": false}), 0),
    ] {
        let sim = start();
        assert_eq!(bytes(&sim, fault).expect("a plain end"), b"");
        assert_eq!(openings(&sim), opened);
    }
}

#[test]
fn resets_and_silence() {
    let sim = start();
    let error = bytes(&sim, json!({"fault": "reset"})).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(openings(&sim), 1);
    let sim = start();
    let error = bytes(&sim, json!({"fault": "half_open"})).expect_err("no answer");
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    assert_eq!(openings(&sim), 1);
}

#[test]
fn parts_of_answers() {
    let sim = start();
    let whole = text(&sim, json!({"fault": "connection_close"}));
    assert!(whole.contains("Connection: close\r\n"));
    let half = text(&start(), json!({"fault": "half_answer"}));
    assert_eq!(&half[..15], &whole[..15]);
    assert!(half.len() < whole.len() * 6 / 10 && half.len() > whole.len() * 4 / 10, "{half}");
    let tail = text(&start(), json!({"fault": "half_answer", "percent": 95}));
    assert!(halves(&tail).1.len() > 20);
    let long = text(&start(), json!({"fault": "wrong_length", "delta": 7}));
    let (head, body) = halves(&long);
    assert!(head.contains(&format!("Content-Length: {}", body.len() + 7)), "{head}");
    let short = text(&start(), json!({"fault": "wrong_length", "delta": -7}));
    let (head, body) = halves(&short);
    assert!(head.contains(&format!("Content-Length: {}", body.len() - 7)), "{head}");
}

#[test]
fn twice_and_closed_after() {
    let twice = text(&start(), json!({"fault": "answer_twice"}));
    let (first, second) = twice.split_at(twice.len() / 2);
    assert_eq!(first, second);
    let sim = start();
    let kept = text(&sim, json!({"fault": "close_after_answer"}));
    assert!(kept.contains("Connection: keep-alive"), "it promises what it does not hold");
}

#[test]
fn framings() {
    let chunked = text(&start(), json!({"fault": "chunked", "bytes": 16}));
    let (head, body) = halves(&chunked);
    assert!(head.contains("Transfer-Encoding: chunked") && !head.contains("Content-Length"));
    assert!(body.starts_with("10\r\n{\"error_code\":0,\r\n") && body.ends_with("\r\n0\r\n\r\n"), "{body}");
    let open_end = text(&start(), json!({"fault": "no_content_length"}));
    let (head, body) = halves(&open_end);
    assert!(!head.contains("Content-Length") && head.contains("Connection: close"));
    assert!(serde_json::from_str::<Value>(body).is_ok());
}

#[test]
fn slow_answers() {
    let sim = start();
    control(&sim, "POST", "/_sim/faults", json!({"fault": "late", "ms": 120}));
    let begin = Instant::now();
    data(&sim, "api.test", json!({}));
    assert!(begin.elapsed() >= Duration::from_millis(120));
    control(&sim, "POST", "/_sim/faults", json!({"fault": "slow_drip", "bytes": 100, "ms": 30}));
    let begin = Instant::now();
    data(&sim, "api.test", json!({}));
    assert!(begin.elapsed() >= Duration::from_millis(60), "at least two pauses");
}

#[test]
fn other_peoples_answers() {
    let sim = start();
    let gateway = text(&sim, json!({"fault": "http_5xx", "code": 503}));
    assert!(gateway.starts_with("HTTP/1.1 503 Service Unavailable\r\n") && gateway.contains("<h1>503</h1>"));
    let limited = text(&sim, json!({"fault": "rate_limit", "retry_after_s": 9}));
    assert!(limited.starts_with("HTTP/1.1 429 ") && limited.contains("\r\nRetry-After: 9\r\n"));
    let portal = text(&sim, json!({"fault": "html_portal"}));
    assert!(portal.starts_with("HTTP/1.1 200 ") && portal.contains("Content-Type: text/html"));
    let moved =
        text(&sim, json!({"fault": "html_portal", "redirect": true, "location": "http://localhost/x"}));
    assert!(moved.starts_with("HTTP/1.1 302 ") && moved.contains("\r\nLocation: http://localhost/x\r\n"));
    assert_eq!(openings(&sim), 0, "none of them reached the platform");
    text(&sim, json!({"fault": "http_5xx", "act": true}));
    assert_eq!(openings(&sim), 1, "unless it is told so");
}

#[test]
fn bodies_that_do_not_read() {
    let body = |fault: Value| {
        let all = bytes(&start(), fault).expect("bytes");
        let at = all.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") + 4;
        all[at..].to_vec()
    };
    assert!(serde_json::from_slice::<Value>(&body(json!({"fault": "garbage"}))).is_err());
    assert_eq!(body(json!({"fault": "garbage"})), body(json!({"fault": "garbage"})), "the noise is seeded");
    assert_eq!(body(json!({"fault": "bom"}))[..4], *b"\xEF\xBB\xBF{");
    assert_eq!(body(json!({"fault": "empty_body"})), b"");
    let gbk = body(json!({"fault": "gbk_body"}));
    assert!(gbk.windows(4).any(|w| w == [0xCF, 0xB5, 0xCD, 0xB3]) && String::from_utf8(gbk).is_err());
    let doubled = body(json!({"fault": "duplicate_keys"}));
    assert!(doubled.starts_with(br#"{"error_code":null,"error_code":0,"#));
    let deep = body(json!({"fault": "deep_nesting", "depth": 5000}));
    assert!(deep.windows(5000).any(|w| w.iter().all(|b| *b == b'[')));
    assert!(body(json!({"fault": "huge", "bytes": 300_000})).len() >= 300_000);
}

#[test]
fn bodies_that_read_and_are_odd() {
    let sim = start();
    let with = |fault: Value| {
        control(&sim, "POST", "/_sim/faults", fault);
        call(&sim, "cabinet.product.stock", json!({"cid": CABINET}))
    };
    let swapped = with(json!({"fault": "wrong_types"}));
    assert_eq!((&swapped["error_code"], swapped["error_msg"].is_i64()), (&json!("0"), true));
    assert!(swapped["data"]["data"].is_object(), "a list became an object");
    let strings = with(json!({"fault": "wrong_types", "mode": "strings", "fields": ["Stock"]}));
    assert_eq!((&strings["data"]["data"][0]["Stock"], &strings["error_code"]), (&json!("10"), &json!(0)));
    let missing = with(json!({"fault": "missing_fields", "fields": ["Stock", "error_msg"]}));
    assert!(missing.get("error_msg").is_none() && missing["data"]["data"][0].get("Stock").is_none());
    let nulls = with(json!({"fault": "null_fields", "fields": ["Price"]}));
    assert_eq!(nulls["data"]["data"][0]["Price"], Value::Null);
    let more = with(json!({"fault": "unknown_fields"}));
    assert!(more["data"]["data"][0]["未知_0"].is_object());
}

#[test]
fn dates() {
    let sim = start();
    control(&sim, "POST", "/_sim/clock", json!({"now_s": 784_111_777}));
    let answer = || exchange(&sim, &gateway_request(&sim, "api.test", &json!({})));
    assert_eq!(answer().header("date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    control(&sim, "POST", "/_sim/faults", json!({"fault": "no_date"}));
    assert_eq!(answer().header("date"), None);
    control(&sim, "POST", "/_sim/faults", json!({"fault": "wrong_date", "offset_s": 86_400}));
    assert!(answer().header("date").is_some_and(|d| d.starts_with("Mon, 07 Nov 1994")));
    control(&sim, "POST", "/_sim/faults", json!({"fault": "date_with_age", "age_s": 3600}));
    let aged = answer();
    assert_eq!(aged.header("age"), Some("3600"));
    assert!(aged.header("date").is_some_and(|d| d.contains("07:49")));
}

#[test]
fn rules_by_method_and_count() {
    let sim = start();
    let rule = json!({"platform": "yopoint", "method": "cabinet.list", "fault": "http_5xx", "count": 2});
    let id = control(&sim, "POST", "/_sim/faults", rule)["id"].clone();
    let status = |method: &str| exchange(&sim, &gateway_request(&sim, method, &json!({}))).status;
    assert_eq!(
        ["api.test", "cabinet.list", "cabinet.list", "cabinet.list"].map(status),
        [200, 502, 502, 200]
    );
    let shown = control(&sim, "GET", "/_sim/faults", Value::Null);
    assert_eq!((&shown["rules"][0]["left"], &shown["rules"][0]["applied"]), (&json!(0), &json!(2)));
    let stats = control(&sim, "GET", "/_sim/stats", Value::Null);
    assert_eq!(stats["faults"], json!({"http_5xx": 2}));
    let log = control(&sim, "GET", "/_sim/requests?acted=false", Value::Null);
    assert_eq!(log[0]["faults"], json!(["http_5xx"]));
    control(&sim, "DELETE", &format!("/_sim/faults/{id}"), Value::Null);
    assert_eq!(sim.control("DELETE", &format!("/_sim/faults/{id}"), Value::Null).0, 404);
    let both = json!({"faults": [{"fault": "late", "ms": 1}, "chunked"], "count": null});
    control(&sim, "POST", "/_sim/faults", both);
    let answers = [1, 2].map(|_| exchange(&sim, &gateway_request(&sim, "api.test", &json!({}))));
    assert!(answers.iter().all(|a| a.header("transfer-encoding") == Some("chunked")));
    control(&sim, "DELETE", "/_sim/faults", Value::Null);
    assert_eq!(status("api.test"), 200);
}

#[test]
fn the_dice_of_a_seed_fall_the_same_again() {
    let run = || {
        let sim = start();
        let random = json!({"probability": 0.4, "seed": 42, "faults": ["http_5xx", "rate_limit"]});
        control(&sim, "POST", "/_sim/faults", json!({"random": random}));
        (0..20)
            .map(|_| exchange(&sim, &gateway_request(&sim, "api.test", &json!({}))).status)
            .collect::<Vec<_>>()
    };
    let first = run();
    assert_eq!(first, run());
    assert!([200, 429, 502].iter().all(|status| first.contains(status)), "{first:?}");
}

#[test]
fn a_word_meets_the_same_whatever_else_is_asked() {
    let run = |others: usize| {
        let sim = start();
        let random =
            json!({"probability": 0.4, "seed": 42, "word": "visit-", "faults": ["http_5xx", "rate_limit"]});
        control(&sim, "POST", "/_sim/faults", json!({"random": random}));
        let statuses: Vec<_> = (0..12)
            .map(|n| {
                for _ in 0..others {
                    exchange(&sim, &gateway_request(&sim, "api.test", &json!({})));
                }
                let biz = json!({"CID": CABINET, "TradeNo": format!("visit-{n}")});
                exchange(&sim, &gateway_request(&sim, "cabinet.open.door", &biz)).status
            })
            .collect();
        (statuses, control(&sim, "GET", "/_sim/faults/met", Value::Null))
    };
    let (alone, met) = run(0);
    assert_eq!((alone.clone(), met.clone()), run(2));
    for (n, status) in alone.iter().enumerate() {
        let expected = match status {
            502 => json!(["cabinet.open.door http_5xx"]),
            429 => json!(["cabinet.open.door rate_limit"]),
            _ => json!([null]),
        };
        assert_eq!(met[format!("visit-{n}")], expected);
    }
    assert!([200, 429, 502].iter().all(|status| alone.contains(status)), "{alone:?}");
}

#[test]
fn certificates_that_are_wrong_for_a_while() {
    let sim = start();
    let config = std::sync::Arc::new(client_config(&sim));
    for kind in ["expired", "not_yet_valid", "wrong_name", "untrusted"] {
        let fault = json!({"fault": "bad_certificate", "certificate": kind, "handshakes": 2});
        control(&sim, "POST", "/_sim/faults", fault);
        let mut stream = tls(&sim, &config, "localhost").expect("the first is good");
        stream.write_all(&gateway_request(&sim, "api.test", &json!({}))).expect("it reads");
        let mut got = Vec::new();
        // It closes without a farewell.
        let _ = stream.read_to_end(&mut got);
        assert!(got.starts_with(b"HTTP/1.1 200"), "{kind}");
        for _ in 0..2 {
            assert!(tls(&sim, &config, "localhost").is_err(), "{kind}");
        }
        tls(&sim, &config, "localhost").expect("good again");
    }
    let odd = json!({"fault": "bad_certificate", "certificate": "green"});
    let (status, why) = sim.control("POST", "/_sim/faults", odd);
    assert!(status == 400 && why["error"].as_str().is_some_and(|w| w.contains("untrusted")), "{why}");
}

#[test]
fn a_clock_that_is_off_for_one_request() {
    let sim = start();
    control(&sim, "POST", "/_sim/faults", json!({"fault": "clock_skew", "offset_s": -7200}));
    let before = now(&sim);
    let refused = exchange(&sim, &gateway_request(&sim, "cabinet.open.door", &json!({"CID": CABINET})));
    assert_eq!((refused.json()["error_code"].clone(), openings(&sim)), (json!(-1), 0));
    let date = refused.header("date").expect("a date").to_owned();
    assert!((now(&sim) - before).abs() < 5, "the clock is right again");
    data(&sim, "cabinet.open.door", json!({"CID": CABINET}));
    let later = exchange(&sim, &gateway_request(&sim, "api.test", &json!({})));
    assert_ne!(later.header("date").map(|d| &d[..19]), Some(&date[..19]), "two hours apart");
    // What was to happen in a while happens in that while: the door shuts.
    control(&sim, "POST", "/_sim/faults", json!({"fault": "clock_skew", "offset_s": 500}));
    let two = json!({"CID": "5f6da2362201410011000002"});
    data(&sim, "cabinet.open.door", two);
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 2_100}));
    let shut = control(&sim, "GET", "/_sim/openings", Value::Null);
    assert!(shut[1]["shut_ms"].is_i64(), "{shut}");
}

#[test]
fn callbacks_are_twisted_by_a_fault() {
    let sim = start();
    let callbacks = Callbacks::of(&sim);
    let fault = json!({"fault": "twist_callback", "do": "duplicate", "method": "cabinet.open.door"});
    control(&sim, "POST", "/_sim/faults", fault);
    data(&sim, "cabinet.open.door", json!({"CID": CABINET}));
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 2_100}));
    let (first, second) = (callbacks.next(), callbacks.next());
    assert_eq!((get(&first, "method"), &first), ("notify.close.door", &second));
    control(&sim, "POST", "/_sim/faults", json!({"fault": "twist_callback"}));
    data(&sim, "api.test", json!({}));
    control(
        &sim,
        "POST",
        "/_sim/yopoint/notify",
        json!({"method": "notify.cabinet.changed", "cabinet": CABINET}),
    );
    let forged = std::iter::repeat_with(|| callbacks.next())
        .find(|fields| get(fields, "method") != "cabinet.order.vi.result.notify")
        .expect("endless");
    assert_ne!(get(&forged, "sign"), sign(&forged, SECRET));
}

#[test]
fn the_table_is_readable() {
    let sim = start();
    let known = control(&sim, "GET", "/_sim/faults/known", Value::Null);
    let known = known.as_array().expect("a list");
    assert!(known.len() >= 25);
    for fault in known {
        assert!(fault["about"].as_str().is_some_and(|a| !a.is_empty()));
        control(&sim, "POST", "/_sim/faults", json!({"fault": fault["name"], "params": fault["params"]}));
    }
    // The README's table is this table.
    let readme = include_str!("../../README.md");
    for fault in known {
        let name = fault["name"].as_str().expect("a name");
        assert!(readme.contains(&format!("| `{name}` |")), "the README does not describe {name}");
    }
}

#[test]
fn a_reset_over_tls_is_a_reset() {
    let sim = start();
    control(&sim, "POST", "/_sim/faults", json!({"fault": "reset", "percent": 50}));
    let config = std::sync::Arc::new(client_config(&sim));
    let mut stream = tls(&sim, &config, "localhost").expect("a handshake");
    stream.write_all(&gateway_request(&sim, "api.test", &json!({}))).expect("it reads");
    let mut got = Vec::new();
    let error = stream.read_to_end(&mut got).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn pooled_connections_die_without_a_word() {
    let sim = start();
    let (mut pooled, mut controlling) = (plain(&sim), plain(&sim));
    pooled.write_all(&gateway_request(&sim, "api.test", &json!({}))).expect("it reads");
    assert_eq!(read_answer(&mut pooled).expect("an answer").header("connection"), Some("keep-alive"));
    controlling.write_all(&post("/_sim/connections/close", "application/json", "")).expect("it reads");
    assert_eq!(read_answer(&mut controlling).expect("an answer").json(), json!({"closed": 1}));
    assert_eq!(pooled.read(&mut [0u8; 1]).expect("an end"), 0);
}

#[test]
fn a_cut_answer_over_tls_has_no_farewell() {
    let sim = start();
    control(
        &sim,
        "POST",
        "/_sim/faults",
        json!({"faults": ["no_content_length", {"fault": "half_answer", "percent": 90}]}),
    );
    let config = std::sync::Arc::new(client_config(&sim));
    let mut cut = tls(&sim, &config, "localhost").expect("a handshake");
    cut.write_all(&gateway_request(&sim, "api.test", &json!({}))).expect("it reads");
    let error = cut.read_to_end(&mut Vec::new()).expect_err("an end without close_notify");
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    control(&sim, "POST", "/_sim/faults", json!({"fault": "no_content_length"}));
    let mut whole = tls(&sim, &config, "localhost").expect("a handshake");
    whole.write_all(&gateway_request(&sim, "api.test", &json!({}))).expect("it reads");
    assert!(whole.read_to_end(&mut Vec::new()).is_ok(), "close_notify tells a whole answer from a cut one");
}
