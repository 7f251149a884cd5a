//! The hub as kiosks, platforms and operators meet it: a process, over TLS, against the simulator.

mod common;

use common::*;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const USUAL: &[&str] = &["--account", "yopoint", "--cabinet", CABINET];

#[test]
fn a_door_opens_once_under_one_name_and_what_was_answered_survives_a_kill() {
    let w = World::new("door");
    let mut hub = w.hub();
    let mut kiosk = w.kiosk(&hub, USUAL);
    let done = kiosk.good("door_open", json!({"request_id": "a", "door": "1"}));
    assert_eq!((&done["outcome"], &done["recorded"]), (&json!("done"), &json!(false)), "{done}");
    assert_eq!(kiosk.good("door_open", json!({"request_id": "a", "door": "1"}))["recorded"], true);
    assert_eq!(w.openings(), 1);
    hub.kill();
    let hub = w.hub_on(hub.port);
    let known = kiosk.good("command_get", json!({"request_id": "a"}));
    assert_eq!((&known["outcome"], &known["order_no"]), (&json!("done"), &done["order_no"]));
    let again = kiosk.good("door_open", json!({"request_id": "a", "door": "1"}));
    assert_eq!((&again["outcome"], &again["recorded"]), (&json!("done"), &json!(true)));
    // Another act under the same name is refused, and nothing is sent.
    let other = kiosk.good("door_open", json!({"request_id": "a", "door": "2"}));
    assert_eq!((&other["status_name"], w.openings()), (&json!("KL_E_REQUEST_ID"), 1), "{other}");
    // Another kiosk may use the same name for its own.
    let mut second = w.kiosk(&hub, &["--account", "yopoint", "--cabinet", OTHER]);
    assert_eq!(second.good("door_open", json!({"request_id": "a", "door": "1"}))["outcome"], "done");
    assert_eq!(w.openings(), 2);
    let stranger = second.good("command_get", json!({"request_id": "b"}));
    assert_eq!(
        (&stranger["outcome"], &stranger["status_name"]),
        (&json!("not_done"), &json!("KL_E_NOT_FOUND"))
    );
    assert!(!stranger["message"].as_str().unwrap().contains(&second.device), "{stranger}");
}

#[test]
fn a_lost_answer_is_unknown_until_the_platform_tells_and_its_callbacks_come_all_the_same() {
    let w = World::new("lost");
    let hub = w.hub();
    w.callbacks_to(&hub, "yopoint");
    let mut kiosk = w.kiosk(&hub, USUAL);
    let fault = json!({"method": "cabinet.open.door", "fault": "act_then_drop"});
    assert_eq!(w.sim.control("POST", "/_sim/faults", fault).0, 200);
    let lost = kiosk.good("door_open", json!({"request_id": "a", "door": "1"}));
    assert_eq!((&lost["outcome"], &lost["request_id"]), (&json!("unknown"), &json!("a")), "{lost}");
    assert_eq!(kiosk.good("commands_pending", json!({}))["items"][0]["request_id"], "a");
    let found = kiosk.good("command_resolve", json!({"request_id": "a"}));
    assert_eq!((&found["outcome"], &found["settled_by"]), (&json!("done"), &json!("query")), "{found}");
    // The first callback names an order that the hub was never told of; by the second it is known whose it is.
    let (status, answer) = w.sim.control("POST", "/_sim/wait", json!({"for": "quiet", "timeout_ms": 20000}));
    assert_eq!(status, 200, "{answer}");
    let events = kiosk.good("inbox", json!({}));
    let kinds: Vec<&Value> =
        events["events"].as_array().unwrap().iter().map(|e| &e["event"]["kind"]).collect();
    assert_eq!(kinds, ["door_closed", "recognized"]);
    assert!(w.lines(&["unowned"]).is_empty());
    assert_eq!(w.openings(), 1);
}

#[test]
fn a_callback_is_committed_and_reaches_the_kiosk_at_least_once_and_in_order() {
    let w = World::new("callback");
    let mut hub = w.hub();
    w.callbacks_to(&hub, "yopoint");
    let mut kiosk = w.kiosk(&hub, USUAL);
    let mut other = w.kiosk(&hub, &["--account", "yopoint", "--cabinet", OTHER]);
    w.sim.control(
        "POST",
        "/_sim/callbacks/rules",
        json!({"do": "duplicate", "method": "notify.close.door", "count": null}),
    );
    let done = kiosk.good("door_open", json!({"request_id": "a", "door": "1"}));
    // The poll is there before the callback is.
    let (status, first) = kiosk.ask("inbox", json!({"wait_s": 50}));
    assert_eq!((status, &first["events"][0]["seq"]), (200, &json!(1)), "{first}");
    let (status, answer) = w.sim.control("POST", "/_sim/wait", json!({"for": "quiet", "timeout_ms": 20000}));
    assert_eq!(status, 200, "{answer}");
    let seen = kiosk.good("inbox", json!({}))["events"].as_array().unwrap().clone();
    let seqs: Vec<i64> = seen.iter().map(|e| e["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, [1, 2], "in order, each once in an inbox");
    assert_eq!(
        (&seen[0]["event"]["kind"], &seen[0]["event"]["order_no"]),
        (&json!("door_closed"), &done["order_no"])
    );
    // It was not acknowledged: it comes again, also after a kill.
    hub.kill();
    let hub = w.hub_on(hub.port);
    let again = kiosk.good("inbox", json!({"cursor": 0}));
    assert_eq!(again["events"].as_array().unwrap(), &seen);
    // Acknowledged in part, then whole.
    assert_eq!(kiosk.good("inbox", json!({"cursor": 1}))["events"][0]["seq"], 2);
    assert_eq!(kiosk.ask("inbox", json!({"cursor": 2})).0, 204);
    assert_eq!(kiosk.ask("inbox", json!({"cursor": 0})).0, 204);
    let (status, ahead) = kiosk.ask("inbox", json!({"cursor": 99}));
    assert_eq!((status, &ahead["error"]), (409, &json!("cursor")), "{ahead}");
    assert_eq!(other.ask("inbox", json!({})).0, 204, "somebody else's");
    drop(hub);
}

#[test]
fn what_nobody_owns_is_listed_and_what_is_forged_is_kept_aside() {
    let w = World::new("aside");
    let hub = w.hub();
    w.callbacks_to(&hub, "yopoint");
    // No kiosk has this cabinet.
    w.sim.control(
        "POST",
        "/_sim/yopoint/notify",
        json!({"method": "notify.cabinet.changed", "cabinet": OTHER}),
    );
    wait_delivered(&w);
    let listed = w.lines(&["unowned"]);
    assert_eq!((listed.len(), &listed[0]["event"]["kind"]), (1, &json!("cabinet_changed")), "{listed:?}");
    let forged = request(
        hub.port,
        "POST",
        "/callback/yopoint",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        b"method=x&sign=1",
    );
    let forged = forged.unwrap();
    assert!(forged.status == 400 || forged.status == 403, "{forged:?}");
    assert!(serde_json::from_str::<Value>(&forged.body).is_ok(), "in the platform's words: {}", forged.body);
    assert_eq!(request(hub.port, "POST", "/callback/nobody", "", b"x").unwrap().status, 404);
    let large = vec![b'x'; 65 * 1024];
    assert_eq!(request(hub.port, "POST", "/callback/yopoint", "", &large).unwrap().status, 413);
    let until = Instant::now() + Duration::from_secs(10);
    while w.lines(&["aside"]).is_empty() {
        assert!(Instant::now() < until, "it is kept aside");
    }
    let aside = &w.lines(&["aside"])[0];
    assert!(
        aside["body"].as_str().unwrap().contains("sign=1") && aside["line"] == "POST /callback/yopoint",
        "{aside}"
    );
    let metrics = hub.admin("/metrics").1;
    assert!(metrics.contains("result=\"unowned\"} 1"), "{metrics}");
}

fn wait_delivered(w: &World) {
    let (status, answer) =
        w.sim.control("POST", "/_sim/wait", json!({"for": "callbacks_idle", "timeout_ms": 20000}));
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn a_kiosk_does_what_its_policy_says_and_nothing_else() {
    let w = World::new("policy");
    let hub = w.hub();
    let mut kiosk = w.kiosk(
        &hub,
        &[
            "--account",
            "yopoint",
            "--cabinet",
            CABINET,
            "--verbs",
            "door_open,code_redeem,order_get,cabinet_list,payment_report",
            "--code-tries",
            "2",
        ],
    );
    for (verb, fields) in [
        ("door_open", json!({"request_id": "x", "door": "1", "cabinet_id": OTHER})),
        ("stock_fetch", json!({})),
        ("code_create", json!({})),
        ("refund_apply", json!({"request_id": "x", "order_no": "VI1"})),
        (
            "payment_report",
            json!({"request_id": "x", "order_no": "VI1", "trade_no": "t", "paid": true, "amount": 1}),
        ),
    ] {
        let (status, answer) = kiosk.ask(verb, fields);
        assert_eq!((status, &answer["sent"]), (403, &json!(false)), "{verb}: {answer}");
    }
    for (fields, reason) in [
        (json!({"request_id": "x", "dor": "1"}), "json"),
        (json!({"request_id": "x", "notify_url": "https://elsewhere"}), "json"),
        (json!({"request_id": ""}), "request_id"),
        (json!({"request_id": "x".repeat(101)}), "request_id"),
    ] {
        let (status, answer) = kiosk.ask("door_open", fields);
        assert_eq!((status, &answer["error"]), (400, &json!(reason)), "{answer}");
    }
    let cabinets = kiosk.good("cabinet_list", json!({}));
    assert_eq!(cabinets["items"].as_array().unwrap().len(), 1, "{cabinets}");
    assert_eq!(kiosk.ask("no_verb", json!({})).0, 404);
    // Guesses.
    for n in 0..2 {
        let (status, _) = kiosk.ask(
            "code_redeem",
            json!({"request_id": format!("g{n}"), "kind": "voucher", "code": format!("999{n}")}),
        );
        assert_eq!(status, 200);
    }
    let (status, answer) =
        kiosk.ask("code_redeem", json!({"request_id": "g9", "kind": "voucher", "code": "9999"}));
    assert_eq!((status, &answer["error"]), (429, &json!("code_tries")), "{answer}");
    assert_eq!(w.openings(), 0);
}

#[test]
fn a_code_is_good_once_and_its_repetition_gets_the_same_answer() {
    let w = World::new("enrol");
    let hub = w.hub();
    let code = w.code(USUAL);
    let mut first = Kiosk::new(hub.port);
    let (_, answer) = first.enrol(&code);
    let (status, again) = first.enrol(&code.to_lowercase().replace('-', " "));
    assert_eq!((status, &again["device"]), (200, &answer["device"]), "{again}");
    let mut thief = Kiosk::new(hub.port);
    let (status, refused) = thief.enrol(&code);
    assert_eq!((status, &refused["error"]), (403, &json!("code")), "{refused}");
    // A key that is not one's own.
    let second = w.code(USUAL);
    let stolen = spki(&first.pair);
    let proof = kiosklink_hub::b64(&sign(&thief.pair, &kiosklink_hub::enrol::proof_text(&second, &stolen)));
    let body = json!({"code": second, "public_key": stolen, "proof": proof}).to_string();
    assert_eq!(request(hub.port, "POST", "/v1/enrol", "", body.as_bytes()).unwrap().status, 400);
    // Guessing is slowed down, for whoever comes from there.
    for _ in 0..4 {
        thief.enrol("AAAA-AAAA-AAAA-AAAA");
    }
    let (status, slowed) = thief.enrol("AAAA-AAAA-AAAA-AAAA");
    assert_eq!((status, &slowed["error"]), (429, &json!("too_often")), "{slowed}");
}

#[test]
fn a_request_is_taken_once_and_only_as_it_was_signed() {
    let w = World::new("replay");
    let mut hub = w.hub();
    let mut kiosk = w.kiosk(&hub, USUAL);
    kiosk.good("ping", json!({}));
    let path = "/v1/door_open";
    let body = json!({"request_id": "a", "door": "1"}).to_string();
    let header = kiosk.header(path, &body, "0123456789abcdef");
    let send = |port: u16, path: &str, header: &str, body: &str| {
        let got = request(port, "POST", path, header, body.as_bytes()).unwrap();
        let answer: Value = serde_json::from_str(&got.body).unwrap();
        (got.status, answer["error"].as_str().unwrap_or_default().to_owned())
    };
    // Changed on the way: body, verb, query.
    let other = json!({"request_id": "b", "door": "1"}).to_string();
    assert_eq!(send(hub.port, path, &header, &other), (401, "unknown_device".into()));
    assert_eq!(send(hub.port, "/v1/code_redeem", &header, &body), (401, "unknown_device".into()));
    assert_eq!(send(hub.port, "/v1/door_open?x=1", &header, &body), (401, "unknown_device".into()));
    assert_eq!(send(hub.port, path, "", &body), (401, "unsigned".into()));
    assert_eq!(w.openings(), 0);
    assert_eq!(send(hub.port, path, &header, &body).0, 200);
    assert_eq!(send(hub.port, path, &header, &body), (409, "replay".into()));
    hub.kill();
    let hub = w.hub_on(hub.port);
    assert_eq!(send(hub.port, path, &header, &body), (401, "challenge".into()));
    let large = json!({"request_id": "a", "note": "x".repeat(17 * 1024)}).to_string();
    assert_eq!(
        send(hub.port, path, &kiosk.header(path, &large, "0123456789abcdee"), &large),
        (413, "too_large".into())
    );
    assert_eq!(w.openings(), 1);
}

#[test]
fn a_revoked_kiosk_does_nothing_any_more_and_its_poll_ends() {
    let w = World::new("revoke");
    let hub = w.hub();
    let mut kiosk = w.kiosk(&hub, USUAL);
    let device = kiosk.device.clone();
    let begun = Instant::now();
    let poll = std::thread::spawn(move || {
        let answer = kiosk.ask("inbox", json!({"wait_s": 50}));
        (kiosk, answer)
    });
    let until = Instant::now() + Duration::from_secs(10);
    while !hub.admin("/metrics").1.contains("kiosklink_hub_polls 1") {
        assert!(Instant::now() < until, "the poll waits");
    }
    assert!(w.operator(&["revoke", "--device", &device]).status.success());
    let (mut kiosk, (status, answer)) = poll.join().unwrap();
    assert_eq!((status, &answer["error"]), (403, &json!("revoked")), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(30), "at once, and not when the poll is over");
    assert_eq!(kiosk.ask("door_open", json!({"request_id": "a", "door": "1"})).0, 403);
    assert!(!w.operator(&["revoke", "--device", &device]).status.success());
    assert_eq!(w.openings(), 0);
}

#[test]
fn a_key_is_changed_and_an_expired_kiosk_may_do_only_that() {
    let w = World::new("rotate");
    let hub = w.hub();
    let mut kiosk = w.kiosk(&hub, USUAL);
    let device = kiosk.device.clone();
    kiosk.good("ping", json!({}));
    assert!(w.operator(&["expire", "--device", &device, "--days", "0"]).status.success());
    let (status, answer) = kiosk.ask("ping", json!({}));
    assert_eq!((status, &answer["error"]), (403, &json!("expired")), "{answer}");
    let fresh = key_pair();
    let public = spki(&fresh);
    let rotate = |pair: &ring::signature::EcdsaKeyPair| json!({"public_key": public, "proof": kiosklink_hub::b64(&sign(pair, &kiosklink_hub::enrol::proof_text(&device, &public)))});
    assert_eq!(kiosk.ask("key_rotate", rotate(&kiosk.pair)).0, 400, "not by the new key");
    let number = kiosk.good("key_rotate", rotate(&fresh))["key"].as_u64().unwrap();
    assert_eq!(kiosk.good("key_rotate", rotate(&fresh))["key"], number, "the answer was lost");
    assert!(w.operator(&["expire", "--device", &device, "--days", "9"]).status.success());
    // Both are good until the new one was used.
    kiosk.good("ping", json!({}));
    let old = std::mem::replace(&mut kiosk.pair, fresh);
    kiosk.key = number as u32;
    kiosk.good("ping", json!({}));
    (kiosk.pair, kiosk.key) = (old, 1);
    assert_eq!(kiosk.ask("ping", json!({})).0, 401);
    // A board that lost its key: a new code for the same device.
    let code = w.code(&["--device", &device]);
    let mut again = Kiosk::new(hub.port);
    assert_eq!(again.enrol(&code).1["device"], json!(device));
    again.good("ping", json!({}));
}

#[test]
fn it_stops_in_order_while_polls_wait_and_says_how_it_is() {
    let w = World::new("stop");
    let mut hub = w.hub();
    assert_eq!((hub.admin("/healthz").0, hub.admin("/readyz").0), (200, 200));
    let mut kiosk = w.kiosk(&hub, USUAL);
    let poll = std::thread::spawn(move || kiosk.ask("inbox", json!({"wait_s": 50})).0);
    let until = Instant::now() + Duration::from_secs(10);
    while !hub.admin("/metrics").1.contains("kiosklink_hub_polls 1") {
        assert!(Instant::now() < until, "the poll waits");
    }
    // A second hub does not get the folder.
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_kiosklink-hub"))
        .args(["--data", &w.data().to_string_lossy(), "--accounts", &w.accounts().to_string_lossy()])
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert!(!second.status.success() && String::from_utf8_lossy(&second.stderr).contains("another hub has"));
    assert!(hub.stop());
    assert_eq!(poll.join().unwrap(), 204);
}

#[test]
fn silent_and_slow_peers_hold_nobody_up() {
    let w = World::new("slow");
    let hub = w.hub();
    let silent: Vec<_> =
        (0..300).map(|_| std::net::TcpStream::connect(("127.0.0.1", hub.port)).unwrap()).collect();
    let half: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = connect(hub.port).unwrap();
            std::io::Write::write_all(&mut stream, b"POST /v1/ping HTTP/1.1\r\nHost:").unwrap();
            stream
        })
        .collect();
    let mut kiosk = w.kiosk(&hub, USUAL);
    kiosk.good("ping", json!({}));
    drop((silent, half));
}

#[test]
fn no_secret_of_a_platform_leaves_the_hub() {
    let w = World::new("secret");
    let mut hub = w.hub();
    w.callbacks_to(&hub, "yopoint");
    let accounts: Value = serde_json::from_slice(&std::fs::read(w.accounts()).unwrap()).unwrap();
    let secrets: Vec<String> = accounts["accounts"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|a| {
            ["app_secret", "app_key", "pay_key", "client_secret", "access_token"]
                .map(|k| a[k].as_str().map(str::to_owned))
        })
        .flatten()
        .collect();
    assert!(secrets.len() >= 4);
    let mut kiosk = w.kiosk(&hub, USUAL);
    let mut said = String::new();
    // Whatever goes wrong in between, and what is said of it.
    for fault in ["reset", "garbage", "rate_limit"] {
        let (status, answer) =
            w.sim.control("POST", "/_sim/faults", json!({"platform": "yopoint", "fault": fault}));
        assert_eq!(status, 200, "{answer}");
        said += &kiosk.good("cabinet_list", json!({})).to_string();
    }
    said += &kiosk.good("door_open", json!({"request_id": "a", "door": "1"})).to_string();
    let (_, events) = kiosk.ask("inbox", json!({"wait_s": 20}));
    said += &events.to_string();
    said += &hub.admin("/metrics").1;
    hub.stop();
    said += &std::fs::read_to_string(&hub.log).unwrap();
    assert!(said.contains("done") && said.contains("ready"));
    for secret in secrets {
        assert!(!said.contains(&secret), "{secret} was told");
    }
}

/// Somebody holds the database: whatever the hub writes is refused after five seconds.
fn hold(w: &World) -> rusqlite::Connection {
    let db = rusqlite::Connection::open(w.data().join("hub.sqlite")).unwrap();
    db.busy_timeout(Duration::from_secs(10)).unwrap();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    db
}

#[test]
fn without_the_database_nothing_is_sent_and_no_callback_is_acknowledged() {
    let w = World::new("away");
    let hub = w.hub();
    w.callbacks_to(&hub, "yopoint");
    assert_eq!(w.sim.control("POST", "/_sim/callbacks", json!({"retry_ms": vec![200; 300]})).0, 200);
    let mut kiosk = w.kiosk(&hub, USUAL);
    kiosk.good("ping", json!({}));
    let held = hold(&w);
    let refused = kiosk.good("door_open", json!({"request_id": "a", "door": "1"}));
    assert_eq!((&refused["outcome"], w.openings()), (&json!("not_done"), 0), "{refused}");
    w.sim.control(
        "POST",
        "/_sim/yopoint/notify",
        json!({"method": "notify.cabinet.changed", "cabinet": CABINET}),
    );
    let until = Instant::now() + Duration::from_secs(30);
    while hub.admin("/readyz").0 == 200 || !hub.admin("/metrics").1.contains("result=\"database\"") {
        assert!(Instant::now() < until, "{}", hub.admin("/metrics").1);
    }
    assert_eq!(
        w.sim.control("GET", "/_sim/callbacks?progress=delivered", Value::Null).1["deliveries"],
        json!([])
    );
    // It may do no more than refuse: who is nobody is still told so.
    assert_eq!(request(hub.port, "POST", "/v1/ping", "", b"{}").unwrap().status, 401);
    drop(held);
    let (status, events) = kiosk.ask("inbox", json!({"wait_s": 30}));
    assert_eq!((status, &events["events"][0]["event"]["kind"]), (200, &json!("cabinet_changed")), "{events}");
    let done = kiosk.good("door_open", json!({"request_id": "a", "door": "1"}));
    assert_eq!(
        (&done["outcome"], &done["recorded"], w.openings()),
        (&json!("done"), &json!(false), 1),
        "{done}"
    );
    let until = Instant::now() + Duration::from_secs(30);
    while hub.admin("/readyz").0 != 200 {
        assert!(Instant::now() < until);
    }
}

#[test]
fn done_is_not_told_before_it_is_durable() {
    let w = World::new("durable");
    let mut hub = w.hub();
    let mut kiosk = w.kiosk(&hub, USUAL);
    kiosk.good("ping", json!({}));
    let late = json!({"method": "cabinet.open.door", "fault": "late", "ms": 2000});
    assert_eq!(w.sim.control("POST", "/_sim/faults", late).0, 200);
    let opening = std::thread::spawn(move || {
        let answer = kiosk.good("door_open", json!({"request_id": "a", "door": "1"}));
        (kiosk, answer)
    });
    let until = Instant::now() + Duration::from_secs(10);
    while w.openings() == 0 {
        assert!(Instant::now() < until);
    }
    let held = hold(&w);
    let (mut kiosk, answer) = opening.join().unwrap();
    assert_eq!(answer["outcome"], "unknown", "{answer}");
    drop(held);
    let known = kiosk.good("door_open", json!({"request_id": "a", "door": "1"}));
    assert_eq!(
        (&known["outcome"], &known["recorded"], w.openings()),
        (&json!("done"), &json!(true), 1),
        "{known}"
    );
    hub.kill();
    let _hub = w.hub_on(hub.port);
    assert_eq!(kiosk.good("command_get", json!({"request_id": "a"}))["outcome"], "done");
}

#[test]
fn a_command_goes_on_when_its_kiosk_is_gone() {
    let w = World::new("gone");
    let hub = w.hub();
    let mut kiosk = w.kiosk(&hub, USUAL);
    kiosk.good("ping", json!({}));
    let late = json!({"method": "cabinet.open.door", "fault": "late", "ms": 1000});
    assert_eq!(w.sim.control("POST", "/_sim/faults", late).0, 200);
    let (path, body) = ("/v1/door_open", json!({"request_id": "a", "door": "1"}).to_string());
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: hub\r\nContent-Length: {}\r\n{}\r\n{body}",
        body.len(),
        kiosk.header(path, &body, "0123456789abcdef")
    );
    let mut stream = connect(hub.port).unwrap();
    std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while w.openings() == 0 {
        assert!(Instant::now() < until);
    }
    drop(stream);
    let until = Instant::now() + Duration::from_secs(10);
    while kiosk.good("command_get", json!({"request_id": "a"}))["outcome"] != "done" {
        assert!(Instant::now() < until);
    }
    assert_eq!(kiosk.good("door_open", json!({"request_id": "a", "door": "1"}))["recorded"], true);
    assert_eq!(w.openings(), 1);
}

#[test]
fn callbacks_of_an_unknown_command_are_routed_before_it_is_settled() {
    let w = World::new("early");
    let hub = w.hub();
    w.callbacks_to(&hub, "yopoint");
    let mut kiosk = w.kiosk(&hub, USUAL);
    let fault = json!({"method": "cabinet.open.door", "fault": "act_then_drop"});
    assert_eq!(w.sim.control("POST", "/_sim/faults", fault).0, 200);
    assert_eq!(kiosk.good("door_open", json!({"request_id": "a", "door": "1"}))["outcome"], "unknown");
    assert_eq!(w.sim.control("POST", "/_sim/wait", json!({"for": "quiet", "timeout_ms": 20000})).0, 200);
    let events = kiosk.good("inbox", json!({}));
    let kinds: Vec<&Value> =
        events["events"].as_array().unwrap().iter().map(|e| &e["event"]["kind"]).collect();
    assert_eq!(kinds, ["door_closed", "recognized"]);
    // A signed callback is proof: nobody had to ask.
    let known = kiosk.good("command_get", json!({"request_id": "a"}));
    assert_eq!((&known["outcome"], &known["settled_by"]), (&json!("done"), &json!("event")), "{known}");
}

#[test]
fn a_person_settles_what_nobody_can_tell() {
    let w = World::new("person");
    let hub = w.hub();
    let mut kiosk = w.kiosk(&hub, USUAL);
    let device = kiosk.device.clone();
    // The request is lost, and so is every question.
    for (fault, method) in [("drop_before_acting", "cabinet.open.door"), ("rate_limit", "cabinet.order.get")]
    {
        let fault = json!({"method": method, "fault": fault, "count": null});
        assert_eq!(w.sim.control("POST", "/_sim/faults", fault).0, 200);
    }
    assert_eq!(kiosk.good("door_open", json!({"request_id": "a", "door": "1"}))["outcome"], "unknown");
    let listed = w.lines(&["unsettled"]);
    assert_eq!(
        (listed.len(), &listed[0]["device"], &listed[0]["request_id"]),
        (1, &json!(device), &json!("a"))
    );
    let word = [
        "settle",
        "--device",
        &device,
        "--request",
        "a",
        "--outcome",
        "not_done",
        "--who",
        "Li",
        "--note",
        "it is shut",
    ];
    assert_eq!(listed[0]["about"]["cabinet_id"], CABINET);
    let early = w.operator(&word);
    assert!(!early.status.success());
    assert!(String::from_utf8_lossy(&early.stderr).contains("may still take effect"), "{early:?}");
    let overruled = w.lines(&[&word[..], &["--overrule"]].concat());
    assert_eq!(
        (&overruled[0]["outcome"], &overruled[0]["message"]),
        (&json!("not_done"), &json!("Li: it is shut"))
    );
    assert!(w.lines(&["unsettled"]).is_empty());
    let known = kiosk.good("command_get", json!({"request_id": "a"}));
    assert_eq!((&known["outcome"], &known["settled_by"]), (&json!("not_done"), &json!("person")));
    // A kiosk speaks for a sensor, and for no person.
    let (_, person) =
        kiosk.ask("command_settle", json!({"request_id": "a", "outcome": "done", "by": "person"}));
    assert_eq!(person["status_name"], "KL_E_PERMISSION", "{person}");
}

#[test]
fn a_payment_is_reported_where_the_platform_said_and_nowhere_else() {
    let w = World::new("pay");
    let hub = w.hub();
    w.callbacks_to(&hub, "yopoint");
    let mut kiosk = w.kiosk(&hub, USUAL);
    let order = kiosk.good("door_open", json!({"request_id": "a", "door": "1"}))["order_no"].clone();
    assert_eq!(w.sim.control("POST", "/_sim/wait", json!({"for": "quiet", "timeout_ms": 20000})).0, 200);
    let pay = json!({"request_id": "p", "order_no": order, "trade_no": "WX1", "paid": true, "amount": 200});
    let paid = kiosk.good("payment_report", pay.clone());
    assert_eq!((&paid["outcome"], &paid["recorded"]), (&json!("done"), &json!(false)), "{paid}");
    assert_eq!(kiosk.good("payment_report", pay)["outcome"], "done");
    assert_eq!(kiosk.good("order_get", json!({"order_no": order}))["payment"], "paid");
    let paid = w.sim.acts().iter().filter(|a| a["kind"] == "pay").count();
    assert_eq!(paid, 1);
    // Another kiosk sees nothing of it.
    let mut other = w.kiosk(&hub, &["--account", "yopoint", "--cabinet", OTHER]);
    assert_eq!(other.good("order_get", json!({"order_no": order}))["error"]["status_name"], "KL_E_NOT_FOUND");
    assert_eq!(
        other.ask("payment_report", json!({"request_id": "p", "order_no": order, "trade_no": "WX2"})).0,
        403
    );
}

#[test]
fn a_pickup_code_is_redeemed_and_the_notice_that_nobody_signed_comes_by_a_secret_path() {
    let w = World::new("pickup");
    let hub = w.public_hub();
    let ca = std::fs::read_to_string(w.data().join("tls-cert.pem")).unwrap();
    assert_eq!(w.sim.control("POST", "/_sim/callbacks", json!({"ca_pem": ca})).0, 200);
    let mut kiosk = w.kiosk(
        &hub,
        &[
            "--account",
            "dingshang",
            "--cabinet",
            "16327129",
            "--verbs",
            "code_create,code_redeem,code_lookup,door_open",
        ],
    );
    let made = kiosk.good("code_create", json!({"product_id": "131", "count": 1}));
    let code = made["items"][0]["code"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    let taken = kiosk.good("code_redeem", json!({"request_id": "r", "code": code, "product_id": "131"}));
    assert_eq!(taken["outcome"], "done", "{taken}");
    let out = json!({"request_id": "d", "order_no": taken["order_no"], "item_no": taken["item_no"]});
    assert_eq!(kiosk.good("door_open", out)["outcome"], "done");
    let (status, events) = kiosk.ask("inbox", json!({"wait_s": 20}));
    let event = &events["events"][0]["event"];
    assert_eq!(
        (status, &event["kind"], &event["signed"]),
        (200, &json!("delivery"), &json!(false)),
        "{events}"
    );
    assert_eq!((&event["order_no"], &event["delivery"]), (&taken["order_no"], &json!("delivered")));
    // Without the secret there is no such path.
    for path in ["/callback/dingshang", "/callback/dingshang/0123456789abcdef0123456789abcdef"] {
        assert_eq!(request(hub.port, "POST", path, "", b"{}").unwrap().status, 404, "{path}");
    }
}
