//! What a vendor could say inside the notes, and the record of what really happened beside it.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use kiosklink_sim::{Options, Simulator};
use serde_json::{Value, json};

use crate::common::*;

const MACHINE: &str = "16327129";
const CODE: &str = "10000000001";

/// Names of failures that the notes have.
const NOTES: [&str; 8] = [
    "ERR_SYSTEM",
    "ERR_BARCODE_OUTSTOCK",
    "ERR_TERMINAL_NOT_EXIST",
    "ERR_NONE_STOCK",
    "ERR_NONE_COSTPRICE",
    "ERR_USER_CREATE_FAIL",
    "ERR_ORDER_CREATE_FAIL",
    "ERR_INVALID_VOUCHER_ID",
];

fn kinds(sim: &Simulator) -> Vec<Value> {
    let listed = control(sim, "GET", "/_sim/dialect", Value::Null);
    assert_eq!(listed["on"], json!({}), "a dialect is off until it is switched on");
    listed["kinds"].as_array().expect("a list").clone()
}

fn names() -> Vec<String> {
    kinds(&start()).iter().map(|k| k["name"].as_str().expect("a name").to_owned()).collect()
}

/// A simulator that says the same every time: its clock stands.
fn still() -> Simulator {
    let sim = start();
    control(&sim, "POST", "/_sim/clock", json!({"now_ms": 1_800_000_000_000i64, "freeze": true}));
    sim
}

fn door(sim: &Simulator) -> Vec<u8> {
    gateway_request(sim, "cabinet.open.door", &json!({"CID": CABINET, "TradeNo": "mark-1", "OpenID": "o"}))
}

/// The bytes of an answer, all of them: interim ones too.
fn bytes(sim: &Simulator, request: &[u8]) -> Vec<u8> {
    let mut socket = plain(sim);
    let text = String::from_utf8(request.to_vec()).expect("UTF-8");
    let asked = text.replacen("Host: localhost\r\n", "Host: localhost\r\nConnection: close\r\n", 1);
    socket.write_all(asked.as_bytes()).expect("it reads");
    let mut got = Vec::new();
    socket.read_to_end(&mut got).expect("an end");
    got
}

/// Head and body of the last answer in the bytes.
fn last(got: &[u8]) -> (String, Vec<u8>) {
    let mut rest = got;
    loop {
        let end = rest.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") + 4;
        let head: String = rest[..end].iter().map(|b| char::from(*b)).collect();
        if !head.starts_with("HTTP/1.1 1") {
            return (head, rest[end..].to_vec());
        }
        rest = &rest[end..];
    }
}

/// The JSON of a body, with half characters taken out.
fn body(got: &[u8]) -> Value {
    let text = String::from_utf8(last(got).1).expect("UTF-8").replace("\\ud83d", "").replace("\\ude00", "");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn status(got: &[u8]) -> u16 {
    last(got).0.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status")
}

#[test]
fn every_kind_is_listed_and_described() {
    let sim = start();
    let kinds = kinds(&sim);
    assert!(kinds.len() >= 35, "{}", kinds.len());
    let readme = include_str!("../../README.md");
    for kind in &kinds {
        let name = kind["name"].as_str().expect("a name");
        assert!(kind["about"].as_str().is_some_and(|a| a.len() > 10), "{name}");
        let (layer, about) =
            (kind["layer"].as_str().expect("a layer"), kind["about"].as_str().expect("a text"));
        let row =
            format!("| `{name}` | {layer} | {} | {about} |", if kind["acts"] == true { "yes" } else { "no" });
        assert!(readme.contains(&row), "the README has no row {row}");
        // Each can be had alone, for one platform or all.
        control(&sim, "POST", "/_sim/dialect", json!({"share": 0.5, "kinds": [name]}));
        let on = control(&sim, "GET", "/_sim/dialect", Value::Null)["on"].clone();
        assert_eq!(on.as_object().map(|o| o.len()), Some(4));
        assert_eq!(on["youzan"]["kinds"], json!([name]));
    }
    let wish =
        json!({"platform": "youzan", "share": 1, "kinds": ["time", "half_emoji"], "without": ["times_ms"]});
    let on = control(&sim, "POST", "/_sim/dialect", wish)["on"]["youzan"]["kinds"].clone();
    assert_eq!(
        on,
        json!(["times_zoned", "times_fraction", "times_unreadable", "half_emoji"]),
        "layers are names too"
    );
    control(&sim, "POST", "/_sim/dialect", json!({"platform": "zhiyun", "share": 0}));
    let on = control(&sim, "GET", "/_sim/dialect", Value::Null)["on"].clone();
    assert_eq!(on.as_object().map(|o| o.len()), Some(3));
    control(&sim, "DELETE", "/_sim/dialect", Value::Null);
    assert_eq!(control(&sim, "GET", "/_sim/dialect", Value::Null)["on"], json!({}));
}

#[test]
fn wrong_wishes_are_explained() {
    let sim = start();
    for (wish, want) in [
        (json!({"share": 1, "kinds": ["new_eror"]}), "known are new_error_acted"),
        (json!({"share": 1, "without": ["shapes"]}), "unknown kind or layer"),
        (json!({"share": 1, "platform": "yopint"}), "known are yopoint, dingshang"),
        (json!({"share": 2}), "from 0 to 1"),
        (json!({"seed": 1}), "share"),
        (json!({"share": 1, "sed": 1}), "unknown field"),
    ] {
        let (status, answer) = sim.control("POST", "/_sim/dialect", wish.clone());
        assert_eq!(status, 400, "{wish}");
        assert!(answer["error"].as_str().expect("a sentence").contains(want), "{wish}: {answer}");
    }
    assert!(sim.set_dialect(Some("yopoint"), 1, 0.5, Some(&["half_emoji"])).is_ok());
    assert!(
        sim.set_dialect(None, 1, 0.5, Some(&["half_emojy"])).is_err_and(|why| why.contains("half_emoji"))
    );
}

#[test]
fn one_seed_one_dialect() {
    let told = |kind: &str, seed: u64| {
        let sim = still();
        speak(&sim, "yopoint", kind, seed);
        let mut all = bytes(&sim, &door(&sim));
        let stock = json!({"cid": CABINET});
        for (method, biz) in [
            ("cabinet.order.get", json!({"TradeNo": "mark-1"})),
            ("cabinet.product.stock", stock),
            ("cabinet.list", json!({})),
        ] {
            all.extend(bytes(&sim, &gateway_request(&sim, method, &biz)));
        }
        let text: String = all.iter().map(|b| char::from(*b)).collect();
        // With its colon: the digits of a port stand in numbers of orders too.
        (text.replace(&format!(":{}", sim.port()), ":PORT"), acts(&sim, "").len())
    };
    for name in names() {
        let (one, other) = (told(&name, 5), told(&name, 5));
        assert!(one == other, "{name}: {} {}", one.0, other.0);
    }
    let many: BTreeSet<_> = (0..6).map(|seed| told("new_error_acted", seed).0).collect();
    assert!(many.len() > 1, "seeds do not differ");
}

#[test]
fn the_record_of_acts_says_what_happened() {
    for kind in kinds(&start()) {
        let name = kind["name"].as_str().expect("a name");
        let acts_on = kind["acts"].as_bool().expect("a flag");
        // These need a code or an old number.
        if name.starts_with("other_") || name.starts_with("says_false") {
            continue;
        }
        for seed in 0..4 {
            let sim = start();
            speak(&sim, "yopoint", name, seed);
            let got = bytes(&sim, &door(&sim));
            let opened = acts(&sim, "kind=open_door");
            assert_eq!(opened.len(), usize::from(acts_on), "{name} {seed}");
            let openings = control(&sim, "GET", "/_sim/openings", Value::Null);
            assert_eq!(openings.as_array().map(Vec::len), Some(opened.len()), "{name}");
            let log = control(&sim, "GET", "/_sim/requests", Value::Null);
            assert_eq!(log[0]["acted"], acts_on, "{name}");
            if let Some(act) = opened.first() {
                for (field, want) in [
                    ("platform", json!("yopoint")),
                    ("by", json!("request")),
                    ("cabinet", json!(CABINET)),
                    ("door", json!(1)),
                    ("mark", json!("mark-1")),
                    ("request", json!(1)),
                    ("connection", log[0]["connection"].clone()),
                ] {
                    assert_eq!(act[field], want, "{name}: {field}");
                }
                assert!(act["received_ms"].as_i64() <= act["at_ms"].as_i64());
            }
            if name == "old_number_not_acted" {
                assert!(got.is_empty());
            } else if name != "gbk_words" {
                let envelope = body(&got);
                assert!(
                    envelope.get("error_code").is_some() && envelope.get("error_msg").is_some(),
                    "{name}: {envelope}"
                );
            }
        }
    }
}

#[test]
fn new_errors_are_new_and_look_like_the_vendors() {
    let mut seen = BTreeSet::new();
    for seed in 0..40 {
        for kind in ["new_error_acted", "new_error_not_acted"] {
            let sim = start();
            speak(&sim, "yopoint", kind, seed);
            let envelope = body(&bytes(&sim, &door(&sim)));
            let name = envelope["error_msg"].as_str().expect("a name").to_owned();
            assert!(name.starts_with("ERR_") && !NOTES.contains(&name.as_str()), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
            assert!(envelope["error_code"].as_i64().is_some_and(|c| c != 0), "{envelope}");
            seen.insert(name);
        }
    }
    assert!(seen.len() > 30, "{seen:?}");
    // Some hold the words of refusals, which prove nothing.
    assert!(seen.iter().any(|n| n.contains("SIGN") || n.contains("OFFLINE")), "{seen:?}");
    let sim = start();
    speak(&sim, "yopoint", "new_text_acted", 1);
    let envelope = body(&bytes(&sim, &door(&sim)));
    assert_eq!(envelope["error_msg"], "ERR_SYSTEM");
    assert!(envelope["sub_error_msg"].as_str().is_some_and(|t| !t.is_empty()), "{envelope}");
}

#[test]
fn a_refusal_stays_one_under_any_status() {
    for (kind, class) in [("status_2xx", 2), ("status_4xx", 4), ("status_5xx", 5)] {
        for seed in 0..5 {
            let sim = start();
            speak(&sim, "yopoint", kind, seed);
            let good = bytes(&sim, &door(&sim));
            assert_eq!((status(&good) / 100, &body(&good)["error_code"]), (class, &json!(0)), "{kind}");
            let bad = bytes(&sim, &gateway_request(&sim, "cabinet.open.door", &json!({"CID": "0"})));
            assert_eq!(status(&bad) / 100, class);
            assert_eq!(body(&bad)["error_msg"], "ERR_CABINET_NOT_EXIST");
        }
    }
    // A refusal is not turned into something that may have acted.
    let sim = start();
    speak(&sim, "yopoint", "new_error_acted", 1);
    assert_eq!(refusal(&sim, "cabinet.open.door", json!({"CID": "0"})), "ERR_CABINET_NOT_EXIST");
    let sim = start();
    speak(&sim, "yopoint", "throttled_not_acted", 3);
    let got = bytes(&sim, &door(&sim));
    assert!([429, 503].contains(&status(&got)) && body(&got)["error_msg"] == "ERR_SYSTEM");
}

#[test]
fn the_other_platforms_speak_too() {
    let sim = start();
    let consume = |trade: &str| {
        dingshang_request(
            "POST",
            "deliveries/debug",
            &[
                ("machine_no", MACHINE),
                ("method", "device.delivery.put"),
                ("channel_name", "A20"),
                ("notify_url", trade),
            ],
        )
    };
    speak(&sim, "dingshang", "new_error_acted", 2);
    let envelope = body(&bytes(&sim, &consume("http://127.0.0.1:9/n1")));
    assert!(envelope["code"].as_i64().is_some_and(|c| c > 6056 && c != 10_001), "{envelope}");
    assert!(envelope["message"].is_string());
    let fell = acts(&sim, "platform=dingshang&kind=dispense&notify_url=http://127.0.0.1:9/n1");
    assert_eq!((fell.len(), &fell[0]["lane"]), (1, &json!("A20")));
    speak(&sim, "dingshang", "new_text_not_acted", 2);
    let envelope = body(&bytes(&sim, &consume("http://127.0.0.1:9/n2")));
    assert_eq!(envelope["code"], 0);
    assert_ne!(envelope["message"], "ok");
    assert!(acts(&sim, "notify_url=http://127.0.0.1:9/n2").is_empty());

    let token = youzan_token(&sim);
    let apply = |code: &str, info: &str| {
        youzan_request(
            "youzan.trade.selffetchcode.apply/3.0.0",
            &token,
            &json!({"code": code, "extra_info": info}),
        )
    };
    for (seed, code) in (0..6).zip(["10000000001", "10000000009", "10000000006", "10000000001", "x", "y"]) {
        speak(&sim, "youzan", "new_error_acted", seed);
        let envelope = body(&bytes(&sim, &apply(code, &format!("mark-{seed}"))));
        let shaped = ["error_response", "gw_err_resp", "success"].iter().any(|k| envelope.get(*k).is_some());
        assert!(shaped, "{envelope}");
    }
    let used = acts(&sim, "platform=youzan&kind=redeem&code=10000000001");
    assert_eq!((used.len(), &used[0]["mark"]), (1, &json!("mark-0")));
    speak(&sim, "youzan", "new_text_acted", 4);
    control(&sim, "POST", "/_sim/youzan/orders", json!({"pickup": {"code": "10000000077"}, "message": null}));
    let text = String::from_utf8(last(&bytes(&sim, &apply("10000000077", "m"))).1).expect("UTF-8");
    assert!(text.contains("50000") || text.contains("5002") || text.contains("5003"), "{text}");
    assert_eq!(acts(&sim, "code=10000000077").len(), 1);

    for (kind, format) in [("new_error_acted", "json"), ("new_error_not_acted", "xml")] {
        speak(&sim, "zhiyun", kind, 5);
        let text = String::from_utf8(last(&bytes(&sim, &zhiyun_request(&sim, format))).1).expect("UTF-8");
        let shape = if format == "xml" { "<apiResponse>\n  <code>100" } else { "{\"code\":100" };
        assert!(text.contains(shape), "{text}");
    }
    let codes = control(&sim, "GET", "/_sim/zhiyun/codes", Value::Null);
    assert_eq!(codes.as_array().map(Vec::len), Some(1), "one of the two made a code");
}

#[test]
fn shapes_of_php() {
    let told = |kind: &str, method: &str, biz: Value| {
        let sim = start();
        speak(&sim, "yopoint", kind, 3);
        last(&bytes(&sim, &gateway_request(&sim, method, &biz))).1
    };
    let stock = json!({"cid": CABINET, "page": 1, "pageSize": 10});
    let text = |kind: &str, method: &str, biz: &Value| {
        String::from_utf8(told(kind, method, biz.clone())).expect("UTF-8")
    };
    let listed = text("list_as_object", "cabinet.product.stock", &stock);
    assert!(listed.contains(r#":{"1":{"#) || listed.contains(r#":{"0":{"#), "{listed}");
    let numbers = text("number_as_text", "cabinet.product.stock", &stock);
    assert!(
        numbers.contains(r#":"450""#) || numbers.contains(r#""Stock":"10""#) || numbers.contains(r#":"12""#),
        "{numbers}"
    );
    let texts = text("text_as_number", "cabinet.product.stock", &stock);
    assert!(texts.contains(r#""BarCode":69000"#), "{texts}");
    let floats = text("number_as_float", "cabinet.product.stock", &stock);
    assert!(floats.contains(".0,") || floats.contains("E+"), "{floats}");
    let halves = text("half_emoji", "cabinet.product.stock", &stock);
    assert!(halves.contains("\\ud83d") || halves.contains("\\ude00"), "{halves}");
    let empty = text("empty_list_odd", "api.test", &json!({}));
    assert!(
        ["{}", "[]", "\"\"", "false", "null"].iter().any(|e| empty.contains(&format!("\"data\":{e}"))),
        "{empty}"
    );
    let nothing = text("false_for_empty", "cabinet.product.stock", &stock);
    assert!(nothing.contains(":false"), "{nothing}");
    let gbk = told("gbk_words", "cabinet.list", json!({}));
    assert!(String::from_utf8(gbk.clone()).is_err());
    let (words, _, broken) = encoding_rs::GBK.decode(&gbk);
    assert!(!broken && words.contains("一号柜"), "{words}");
    let value: Value = serde_json::from_str(&words).expect("JSON");
    assert_eq!(value["error_msg"], "SUCCESS");
}

#[test]
fn times_with_zones() {
    let sim = start();
    let token = youzan_token(&sim);
    let get = youzan_request("youzan.trade.selffetchcode.get/3.0.0", &token, &json!({"code": CODE}));
    let plain = body(&bytes(&sim, &get));
    let mut zoned = 0;
    for seed in 0..8 {
        speak(&sim, "youzan", "times_zoned", seed);
        let told = body(&bytes(&sim, &get));
        for name in ["created", "pay_time", "update_time"] {
            let old = plain["response"]["trade"][name].as_str().expect("a time");
            let new = told["response"]["trade"][name].as_str().expect("a time");
            if new == old {
                continue;
            }
            zoned += 1;
            assert_eq!(&new[10..11], "T", "{new}");
            let zone = new[19..].trim_start_matches(['.', '0']);
            let hours: i64 = match zone {
                "Z" | "+" | "" => 0,
                "+8" => 8,
                other if other.starts_with("+0800") || other.starts_with("+08:00") => 8,
                other if other.starts_with("-05:00") => -5,
                "+0000" => 0,
                other => panic!("{new}: {other}"),
            };
            // The same moment: minutes and seconds agree, hours as the zone has it.
            assert_eq!(&new[13..19], &old[13..19], "{old} {new}");
            let hour = |t: &str| t[11..13].parse::<i64>().expect("an hour");
            assert_eq!((hour(new) - hour(old) - hours + 8).rem_euclid(24), 0, "{old} {new}");
        }
    }
    assert!(zoned > 8);
    speak(&sim, "youzan", "times_unreadable", 1);
    let told = body(&bytes(&sim, &get));
    assert_ne!(told["response"]["trade"], plain["response"]["trade"]);
    speak(&sim, "yopoint", "times_ms", 1);
    let list = json!({"page": 1, "StartTime": 1, "EndTime": 4_000_000_000i64, "pageSize": 3});
    let orders = data(&sim, "cabinet.order.list", list);
    let ms = |o: &Value| ["CreateAt", "PayTime"].iter().any(|n| o[*n].as_i64() > Some(1_000_000_000_000));
    assert!(orders.as_array().expect("a list").iter().any(ms), "{orders}");
}

#[test]
fn clocks_of_hosts_and_answers() {
    let date = |got: &[u8]| {
        let head = last(got).0;
        head.lines().find_map(|l| l.strip_prefix("Date: ")).expect("a Date").to_owned()
    };
    let sim = still();
    let right = date(&bytes(&sim, &gateway_request(&sim, "api.test", &json!({}))));
    speak(&sim, "yopoint", "date_skew_host", 4);
    let told: BTreeSet<_> = (0..3).map(|_| date(&bytes(&sim, &door(&sim)))).collect();
    assert_eq!(told.len(), 1, "a host's clock is off by the same at every answer");
    assert!(!told.contains(&right));
    // The host of the payment address has a clock of its own, and requests are checked against the right time.
    let receipt = data(&sim, "api.test", json!({}));
    assert_eq!(receipt, json!({}));
    let pay = bytes(&sim, &post("/yopoint/api/pay/notify/x", "application/x-www-form-urlencoded", "a=1"));
    assert!(!told.contains(&date(&pay)));
    speak(&sim, "yopoint", "date_skew_answer", 4);
    let told: BTreeSet<_> = (0..5).map(|_| date(&bytes(&sim, &door(&sim)))).collect();
    assert!(told.len() > 2, "{told:?}");
}

#[test]
fn before_and_around_the_answer() {
    let told = |kind: &str, seed: u64| {
        let sim = start();
        speak(&sim, "yopoint", kind, seed);
        bytes(&sim, &gateway_request(&sim, "api.test", &json!({})))
    };
    for seed in 0..4 {
        let got = told("interim_100", seed);
        assert!(got.starts_with(b"HTTP/1.1 100 Continue\r\n"));
        assert_eq!((status(&got), &body(&got)["error_code"]), (200, &json!(0)));
        let got = told("interim_103", seed);
        assert!(
            got.starts_with(b"HTTP/1.1 103 Early Hints\r\nLink: ")
                || got.starts_with(b"HTTP/1.1 102 Processing\r\nLink: ")
        );
        assert_eq!(status(&got), 200);
    }
    let encodings: BTreeSet<String> = (0..12)
        .map(|seed| {
            let head = last(&told("content_encoding_odd", seed)).0;
            head.lines()
                .find_map(|l| l.strip_prefix("Content-Encoding:"))
                .expect("the field")
                .trim()
                .to_owned()
        })
        .collect();
    assert!(
        encodings.len() > 2
            && encodings.iter().all(|e| ["utf-8", "UTF-8", "none", "identity", ""].contains(&e.as_str()))
    );
    let letters: Vec<u8> = (0..8).flat_map(|seed| told("header_latin1", seed)).collect();
    assert!(
        letters.windows(2).any(|w| w == b"\xfcn") || letters.windows(2).any(|w| w == b"f\xe9"),
        "no Latin-1"
    );
}

#[test]
fn connections_close_at_the_edge() {
    let sim = start();
    let stays = |kind: &str, seed: u64| {
        speak(&sim, "yopoint", kind, seed);
        let mut socket = plain(&sim);
        socket.write_all(&gateway_request(&sim, "api.test", &json!({}))).expect("it reads");
        let answer = read_answer(&mut socket).expect("an answer");
        let begun = Instant::now();
        let end = socket.read(&mut [0u8; 1]);
        assert!(matches!(end, Ok(0)) || end.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
        (answer.header("keep-alive").map(str::to_owned), begun.elapsed())
    };
    // A seed whose timeout is short, so that the test is.
    let seed = (0..40).find(|seed| {
        let probe = start();
        speak(&probe, "yopoint", "keep_alive_edge", *seed);
        let mut socket = plain(&probe);
        socket.write_all(&gateway_request(&probe, "api.test", &json!({}))).expect("it reads");
        let answer = read_answer(&mut socket).expect("an answer");
        answer.header("keep-alive") == Some("timeout=1, max=100")
    });
    let (told, open) = stays("keep_alive_edge", seed.expect("a seed"));
    assert_eq!(told.as_deref(), Some("timeout=1, max=100"));
    assert!((Duration::from_millis(880)..Duration::from_millis(2_500)).contains(&open), "{open:?}");
}

#[test]
fn somebody_else_redeems_the_same_code() {
    let apply = |sim: &Simulator, token: &str| {
        let params = json!({"code": CODE, "extra_info": "mine"});
        bytes(sim, &youzan_request("youzan.trade.selffetchcode.apply/3.0.0", token, &params))
    };
    let begin = |kind: &str| {
        let sim = start();
        let token = youzan_token(&sim);
        speak(&sim, "youzan", kind, 2);
        let got = apply(&sim, &token);
        (sim, got)
    };
    let (sim, got) = begin("other_before");
    assert_eq!(body(&got)["error_response"]["msg"], "不能重复核销订单!");
    let used = acts(&sim, "kind=redeem");
    assert_eq!(used.len(), 1);
    assert_eq!((&used[0]["by"], &used[0]["code"]), (&json!("other"), &json!(CODE)));
    assert_eq!(used[0]["request"], Value::Null);

    let (sim, got) = begin("other_within");
    assert!(got.is_empty());
    assert_eq!(acts(&sim, "kind=redeem&by=other").len(), 1);
    assert!(acts(&sim, "by=request").is_empty());

    let (sim, got) = begin("other_after");
    assert!(got.is_empty() && acts(&sim, "").is_empty());
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 8_100}));
    assert_eq!(acts(&sim, "kind=redeem&by=other").len(), 1);
    let shown = {
        control(&sim, "DELETE", "/_sim/dialect", Value::Null);
        let token = youzan_token(&sim);
        body(&bytes(
            &sim,
            &youzan_request("youzan.trade.selffetchcode.get/3.0.0", &token, &json!({"code": CODE})),
        ))
    };
    assert_eq!(shown["response"]["extra_info"], "another kiosk", "the record says whose it was");

    // Operations that redeem nothing are left alone.
    let sim = start();
    speak(&sim, "yopoint", "other_within", 1);
    assert_eq!(data(&sim, "api.test", json!({})), json!({}));
    let biz = json!({"Code": "20000001", "TID": "5f7000000000000000000001"});
    assert!(bytes(&sim, &gateway_request(&sim, "activity.voucher.exchange", &biz)).is_empty());
    assert_eq!(acts(&sim, "kind=redeem&by=other&code=20000001").len(), 1);
}

#[test]
fn a_number_that_was_used_before() {
    for (kind, opened) in [("old_number_acted", 1), ("old_number_not_acted", 0)] {
        let sim = start();
        speak(&sim, "yopoint", kind, 9);
        let got = bytes(&sim, &door(&sim));
        assert_eq!(got.is_empty(), opened == 0);
        assert_eq!(acts(&sim, "kind=open_door&mark=mark-1").len(), opened);
        let old = acts(&sim, "kind=order&by=other&mark=mark-1");
        assert_eq!(old.len(), 1);
        control(&sim, "DELETE", "/_sim/dialect", Value::Null);
        let found = data(&sim, "cabinet.order.get", json!({"TradeNo": "mark-1"}));
        assert_eq!(found["ReceiptNo"], old[0]["order"], "the old one is found first");
        assert!(found["CreateAt"].as_i64() <= Some(now(&sim) - 600), "{found}");
    }
    // With a word, only numbers that begin so are used again.
    let sim = start();
    let wish = json!({"platform": "yopoint", "share": 1, "kinds": ["old_number_acted"], "word": "visit-"});
    control(&sim, "POST", "/_sim/dialect", wish);
    bytes(&sim, &door(&sim));
    assert!(acts(&sim, "kind=order").is_empty());
    let named = json!({"CID": TWO_DOORS, "TradeNo": "visit-7"});
    bytes(&sim, &gateway_request(&sim, "cabinet.open.door", &named));
    assert_eq!(acts(&sim, "kind=order&mark=visit-7").len(), 1);
    let met = control(&sim, "GET", "/_sim/dialect/met", Value::Null);
    assert_eq!(met["yopoint"]["visit-7 cabinet.open.door"], json!(["old_number_acted"]));
}

#[test]
fn a_word_meets_the_same_in_any_order() {
    let met = |words: &[&str]| {
        let sim = start();
        let wish = json!({"platform": "yopoint", "seed": 3, "share": 0.6, "word": "w-"});
        control(&sim, "POST", "/_sim/dialect", wish);
        for word in words {
            let mut socket = plain(&sim);
            socket.write_all(&gateway_request(&sim, "api.test", &json!({"a": word}))).expect("it reads");
            let _ = socket.read(&mut [0u8; 1]);
        }
        control(&sim, "GET", "/_sim/dialect/met", Value::Null)["yopoint"].clone()
    };
    let one = met(&["w-1", "w-1", "w-2", "w-3", "w-4", "w-5"]);
    let other = met(&["w-5", "w-3", "w-1", "w-4", "x", "w-2", "w-1"]);
    for word in ["w-1", "w-2", "w-3", "w-4", "w-5"] {
        let key = format!("{word} api.test");
        assert!(one[&key].is_array(), "{one}");
        assert_eq!(one[&key], other[&key], "{word}");
    }
    assert!(one.as_object().expect("an object").values().any(|met| *met != json!([null])), "{one}");
}

#[test]
fn the_share_is_kept() {
    let sim = start();
    sim.set_dialect(Some("yopoint"), 8, 0.25, Some(&["content_encoding_odd", "new_success_words"]))
        .expect("on");
    let mut socket = plain(&sim);
    for _ in 0..200 {
        socket.write_all(&gateway_request(&sim, "api.test", &json!({}))).expect("it reads");
        read_answer(&mut socket).expect("an answer");
    }
    let on = control(&sim, "GET", "/_sim/dialect", Value::Null)["on"]["yopoint"].clone();
    assert_eq!(on["asked"], 200);
    let log = control(&sim, "GET", "/_sim/requests", Value::Null);
    let odd = log.as_array().expect("a log").iter().filter(|e| e["dialect"] != json!([])).count();
    assert!((30..75).contains(&odd), "{odd} of 200");
}

#[test]
fn only_the_methods_named() {
    let sim = start();
    let wish = json!({"share": 1, "kinds": ["new_error_acted"], "methods": ["cabinet.open.door"]});
    control(&sim, "POST", "/_sim/dialect", wish);
    assert_eq!(data(&sim, "api.test", json!({})), json!({}));
    assert_ne!(body(&bytes(&sim, &door(&sim)))["error_msg"], "SUCCESS");
}

#[test]
fn notices_are_signed_as_they_are_written() {
    for kind in
        ["list_as_object", "number_as_text", "half_emoji", "ornament_odd", "times_zoned", "number_as_float"]
    {
        let sim = start();
        let callbacks = Callbacks::of(&sim);
        control(&sim, "POST", "/_sim/yopoint/settings", json!({"door_open_ms": 1, "recognition_ms": 1}));
        speak(&sim, "yopoint", kind, 6);
        bytes(&sim, &door(&sim));
        let mut changed = false;
        for _ in 0..2 {
            let fields = callbacks.next();
            let secret = if get(&fields, "method") == "notify.close.door" { SECRET } else { PAY_KEY };
            assert_eq!(get(&fields, "sign"), sign(&fields, secret), "{kind}");
            let plain = get(&fields, "biz_content").replace("\\ud83d", "").replace("\\ude00", "");
            let content: Value =
                serde_json::from_str(&plain).unwrap_or_else(|e| panic!("{kind}: {e}: {plain}"));
            assert!(content["ReceiptNo"].as_str().is_some_and(|r| r.starts_with("VI")), "{kind}: {content}");
            let sent = control(&sim, "GET", "/_sim/callbacks", Value::Null);
            changed |= sent.to_string().contains(&format!("\"dialect\":[\"{kind}\"]"));
        }
        assert!(changed, "{kind}");
    }
}

#[test]
fn a_success_that_says_nothing() {
    let mut seen = BTreeSet::new();
    for seed in 0..12 {
        let sim = start();
        speak(&sim, "yopoint", "success_without_data", seed);
        let envelope = body(&bytes(&sim, &door(&sim)));
        assert_eq!(envelope["error_code"], 0);
        assert!(envelope["data"].get("ReceiptNo").is_none());
        seen.insert(envelope.get("data").map_or("missing".to_owned(), Value::to_string));
        assert_eq!(acts(&sim, "kind=open_door").len(), 1);
    }
    assert!(seen.len() > 3, "{seen:?}");
    for (kind, redeemed) in [("says_false_acted", 1), ("says_false_not_acted", 0)] {
        let sim = start();
        let token = youzan_token(&sim);
        speak(&sim, "youzan", kind, 1);
        let apply = youzan_request("youzan.trade.selffetchcode.apply/3.0.0", &token, &json!({"code": CODE}));
        assert_eq!(body(&bytes(&sim, &apply)), json!({"response": {"is_success": false}}));
        assert_eq!(acts(&sim, "kind=redeem").len(), redeemed);
    }
}

/// Every kind at every answer: what is acted on stands in the record, and nothing else does.
#[test]
fn the_record_agrees_with_the_log_whatever_is_said() {
    let sim = start();
    control(&sim, "POST", "/_sim/yopoint/generate", json!({"cabinets": 400, "stock_lines": 2}));
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"door_open_ms": 1, "recognition_ms": 1}));
    let token = youzan_token(&sim);
    sim.set_dialect(None, 77, 1.0, None).expect("on");
    let mut met = BTreeSet::new();
    for n in 0..400u64 {
        let cabinet = format!("5e00{n:020x}");
        let open = json!({"CID": cabinet, "TradeNo": format!("m-{n}")});
        let code = format!("{}", 50_000_000_000 + n);
        control(
            &sim,
            "POST",
            "/_sim/youzan/orders",
            json!({"tid": format!("E{n:023}"), "pickup": {"code": code}, "message": null}),
        );
        let apply = json!({"code": code, "extra_info": format!("m-{n}")});
        for request in [
            gateway_request(&sim, "cabinet.open.door", &open),
            youzan_request("youzan.trade.selffetchcode.apply/3.0.0", &token, &apply),
            zhiyun_request(&sim, "json"),
            gateway_request(&sim, "cabinet.order.get", &json!({"TradeNo": format!("m-{n}")})),
        ] {
            let got = bytes(&sim, &request);
            assert!(got.is_empty() || got.starts_with(b"HTTP/1.1 "), "{n}");
        }
    }
    let log = control(&sim, "GET", "/_sim/requests", Value::Null);
    let writes: Vec<_> = log
        .as_array()
        .expect("a log")
        .iter()
        .filter(|e| {
            ["cabinet.open.door", "youzan.trade.selffetchcode.apply"]
                .contains(&e["method"].as_str().unwrap_or(""))
        })
        .collect();
    assert_eq!(writes.len(), 800);
    let done: BTreeSet<u64> = acts(&sim, "by=request").iter().filter_map(|a| a["request"].as_u64()).collect();
    for entry in &writes {
        let acted = entry["acted"].as_bool().expect("a flag");
        let names: Vec<&str> =
            entry["dialect"].as_array().expect("names").iter().filter_map(Value::as_str).collect();
        met.extend(names.iter().map(|n| (*n).to_owned()));
        // Where somebody was there before, the platform looked at the request and refused it.
        let late = names.contains(&"other_before");
        let number = entry["number"].as_u64().expect("a number");
        assert_eq!(done.contains(&number), acted && !late, "{entry}");
    }
    let reached = names().into_iter().filter(|n| !n.starts_with("callback_") && n != "date_skew_host");
    for name in reached {
        assert!(met.contains(&name), "{name} was never met");
    }
    let all = acts(&sim, "");
    assert!(all.iter().enumerate().all(|(i, a)| a["number"] == json!(i as u64 + 1)));
}

#[test]
fn the_same_seed_over_two_simulators_in_rust() {
    let first = |seed: u64| {
        let sim = Simulator::start(Options { seed: 3, ..Options::default() }).expect("it starts");
        sim.set_dialect(None, seed, 0.5, None).expect("on");
        for _ in 0..20 {
            let mut socket = plain(&sim);
            socket.write_all(&gateway_request(&sim, "api.test", &json!({}))).expect("it reads");
            let _ = socket.read(&mut [0u8; 1]);
        }
        let log = control(&sim, "GET", "/_sim/requests", Value::Null);
        log.as_array().expect("a log").iter().map(|e| e["dialect"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(first(11), first(11));
    assert_ne!(first(11), first(12));
}
