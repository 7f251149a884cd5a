//! The control API itself.

use std::time::{Duration, Instant};

use kiosklink_sim::{Options, Simulator};
use serde_json::{Value, json};

use crate::common::*;

#[test]
fn the_same_over_http_and_in_process() {
    let sim = start();
    let over_http = |request: &[u8]| exchange(&sim, request);
    let info = over_http(b"GET /_sim HTTP/1.1\r\n\r\n").json();
    assert_eq!(info, control(&sim, "GET", "/_sim", Value::Null));
    assert_eq!(info["platforms"]["yopoint"]["base_url"], format!("{}/yopoint", sim.origin()));
    assert_eq!(info["platforms"]["yopoint"]["app_secret"], SECRET);
    let door = json!({"cabinet": CABINET, "action": "open"}).to_string();
    let cabinet = over_http(&post("/_sim/doors", "application/json", &door)).json();
    assert_eq!(cabinet["doors"][0]["open"], true);
    let shown = over_http(b"GET /_sim/openings?door=1 HTTP/1.1\r\n\r\n").json();
    assert_eq!(shown[0]["cause"]["by"], "control");
    assert_eq!(over_http(&post("/_sim/doors", "application/json", "{")).status, 400);
    assert_eq!(over_http(b"GET /_sim/nothing HTTP/1.1\r\n\r\n").status, 404);
    assert_eq!(over_http(b"GET / HTTP/1.1\r\n\r\n").status, 200);
    let accounts = sim.accounts("/tmp/ca.pem");
    assert_eq!(accounts["accounts"]["yopoint"]["ca_file"], "/tmp/ca.pem");
    assert_eq!(accounts["accounts"]["yopoint"]["platform"], "yopoint");
}

#[test]
fn doors_by_hand() {
    let sim = start();
    let act = |door: u32, action: &str| {
        sim.control("POST", "/_sim/doors", json!({"cabinet": TWO_DOORS, "door": door, "action": action}))
    };
    assert_eq!(act(2, "open").0, 200);
    assert_eq!(act(2, "open").0, 409);
    assert_eq!(act(2, "shut").1["doors"][1]["opened_times"], 1);
    assert_eq!(act(2, "shut").0, 409);
    assert_eq!(act(1, "jam").0, 200);
    assert_eq!(act(1, "open").0, 409);
    assert_eq!(act(1, "unjam").0, 200);
    assert_eq!(act(1, "open").0, 200);
    assert_eq!(act(3, "open").0, 404);
    assert_eq!(act(0, "open").0, 404);
    assert!(act(1, "kick").1["error"].as_str().is_some_and(|e| e.contains("known are open")));
    assert_eq!(act(1, "offline").1["online"], false);
}

#[test]
fn the_world_is_read_patched_and_replaced() {
    let sim = start();
    let patch = json!({
        "goods": [{"barcode": "6900000000011", "price": 250}, {"barcode": "1", "name": "新品", "price": 5}],
        "cabinets": [{"id": CABINET, "name": "改名"}],
        "platforms": {"yopoint": {"orders": [{"ReceiptNo": "VI1", "CID": CABINET, "Price": 7}]}},
    });
    let world = control(&sim, "PATCH", "/_sim/world", patch);
    assert_eq!((&world["goods"][0]["price"], &world["goods"][5]["name"]), (&json!(250), &json!("新品")));
    assert_eq!(world["cabinets"][0]["name"], "改名");
    assert_eq!(data(&sim, "cabinet.order.get", json!({"ReceiptNo": "VI1"}))["Price"], 7);
    control(&sim, "PATCH", &format!("/_sim/cabinets/{CABINET}/stock/6900000000011"), json!({"stock": 1}));
    control(&sim, "PATCH", &format!("/_sim/cabinets/{CABINET}/stock/1"), json!({"stock": 4}));
    let cabinet = control(&sim, "PATCH", &format!("/_sim/cabinets/{CABINET}"), json!({"online": false}));
    assert_eq!(cabinet["stock"][0]["stock"], 1);
    assert_eq!((&cabinet["stock"][4]["price"], &cabinet["online"]), (&json!(5), &json!(false)));
    let (status, why) = sim.control("PATCH", "/_sim/world", json!({"cabinet": []}));
    assert_eq!(status, 400, "{why}");
    assert_eq!(sim.control("PATCH", "/_sim/world", json!({"cabinets": [{"id": "9"}]})).0, 400);
    assert_eq!(sim.control("PATCH", "/_sim/world", json!({"platforms": {"nobody": {}}})).0, 400);
    let whole = json!({
        "cabinets": [{"id": "c", "name": "only", "doors": [{}]}], "platforms": {"yopoint": {}},
    });
    let world = control(&sim, "PUT", "/_sim/world", whole);
    assert_eq!(world["goods"], json!([]));
    assert_eq!(data(&sim, "cabinet.list", json!({}))["total"], 1);
    assert_eq!(world["platforms"]["yopoint"]["orders"], json!([]));
    // What was read can be written back.
    let copy = control(&sim, "GET", "/_sim/world", Value::Null);
    assert_eq!(control(&sim, "PUT", "/_sim/world", copy.clone()), copy);
    control(&sim, "POST", "/_sim/reset", Value::Null);
    assert_eq!(data(&sim, "cabinet.list", json!({}))["total"], 5);
}

#[test]
fn reset_forgets_everything() {
    let sim = start();
    control(&sim, "POST", "/_sim/tls", json!({"certificate": "expired"}));
    control(&sim, "POST", "/_sim/faults", json!({"fault": "late"}));
    control(&sim, "POST", "/_sim/clock", json!({"now_s": 0, "freeze": true}));
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"pay_key": "x"}));
    control(&sim, "POST", "/_sim/callbacks", json!({"platform": "yopoint", "url": "http://localhost:1/"}));
    control(&sim, "POST", "/_sim/reset", Value::Null);
    assert_eq!(control(&sim, "GET", "/_sim/tls", Value::Null)["certificate"], "good");
    assert_eq!(control(&sim, "GET", "/_sim/faults", Value::Null)["rules"], json!([]));
    let clock = control(&sim, "GET", "/_sim/clock", Value::Null);
    assert!(clock["frozen"] == json!(false) && clock["offset_ms"].as_i64().is_some_and(|o| o.abs() < 1000));
    assert_eq!(control(&sim, "GET", "/_sim/yopoint/settings", Value::Null)["pay_key"], PAY_KEY);
    assert_eq!(control(&sim, "GET", "/_sim/callbacks", Value::Null)["targets"], json!([]));
}

#[test]
fn the_clock_jumps_and_advances() {
    let sim = start();
    control(&sim, "POST", "/_sim/clock", json!({"freeze": true}));
    data(&sim, "cabinet.open.door", json!({"CID": CABINET}));
    let open = || control(&sim, "GET", "/_sim/openings", Value::Null)[0]["shut_ms"].is_null();
    // A corrected clock shuts no door ...
    control(&sim, "POST", "/_sim/clock", json!({"now_s": 4_000_000_000i64}));
    assert!(open());
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 1999}));
    assert!(open());
    // ... time that passes does.
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 1}));
    assert!(!open());
    let shut = control(&sim, "GET", "/_sim/openings", Value::Null)[0]["shut_ms"].clone();
    assert_eq!(shut, 4_000_000_002_000i64);
    assert_eq!(sim.control("POST", "/_sim/clock/advance", json!({"ms": -1})).0, 400);
    control(&sim, "POST", "/_sim/clock", json!({"offset_ms": -3_600_000}));
    let clock = control(&sim, "GET", "/_sim/clock", Value::Null);
    assert!(clock["offset_ms"].as_i64().is_some_and(|o| (o + 3_600_000).abs() < 5_000), "{clock}");
}

#[test]
fn waiting_instead_of_sleeping() {
    let sim = start();
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"door_open_ms": 80}));
    data(&sim, "cabinet.open.door", json!({"CID": CABINET}));
    control(&sim, "POST", "/_sim/wait", json!({"for": "openings"}));
    control(&sim, "POST", "/_sim/wait", json!({"for": "door_shut", "cabinet": CABINET}));
    let begin = Instant::now();
    let (status, answer) =
        sim.control("POST", "/_sim/wait", json!({"for": "door_open", "cabinet": CABINET, "timeout_ms": 50}));
    assert_eq!(status, 408, "{answer}");
    assert!(begin.elapsed() >= Duration::from_millis(50));
    for odd in [json!({"for": "rain"}), json!({}), json!({"for": "door_open", "cabinet": "0"})] {
        assert_eq!(sim.control("POST", "/_sim/wait", odd).0, 400);
    }
    let met = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            control(
                &sim,
                "POST",
                "/_sim/wait",
                json!({"for": "requests", "operation": "yopoint api.test", "count": 2}),
            )
        });
        data(&sim, "api.test", json!({}));
        data(&sim, "api.test", json!({}));
        waiting.join().expect("no panic")
    });
    assert_eq!(met["met"], true);
}

#[test]
fn it_listens_on_the_loopback_only_and_stops_when_dropped() {
    let away = Options { listen: "0.0.0.0:0".parse().expect("an address"), ..Options::default() };
    assert!(Simulator::start(away).is_err());
    let sim = start();
    let mut idle = plain(&sim);
    control(&sim, "POST", "/_sim/faults", json!({"fault": "half_open", "hold_ms": 600_000}));
    let mut mute = plain(&sim);
    std::io::Write::write_all(&mut mute, &gateway_request(&sim, "api.test", &json!({}))).expect("it reads");
    control(&sim, "POST", "/_sim/wait", json!({"for": "requests"}));
    let begin = Instant::now();
    drop(sim);
    assert!(begin.elapsed() < Duration::from_secs(2), "neither idle nor held connections keep it");
    // An end or a reset: gone in any case.
    assert!(std::io::Read::read(&mut idle, &mut [0u8; 1]).unwrap_or(0) == 0);
}

#[test]
fn the_log_is_bounded() {
    let sim = Simulator::start(Options { log_limit: 2, ..Options::default() }).expect("it starts");
    for _ in 0..3 {
        data(&sim, "api.test", json!({}));
    }
    let log = control(&sim, "GET", "/_sim/requests", Value::Null);
    assert_eq!((&log[0]["number"], &log[1]["number"]), (&json!(2), &json!(3)));
    assert_eq!(control(&sim, "GET", "/_sim/requests?since=2", Value::Null).as_array().map(Vec::len), Some(1));
    control(&sim, "DELETE", "/_sim/requests", Value::Null);
    assert_eq!(control(&sim, "GET", "/_sim/requests", Value::Null), json!([]));
}

#[test]
fn the_story_of_a_command_hangs_together_by_any_of_its_numbers() {
    let sim = start();
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"door_open_ms": 5}));
    control(&sim, "POST", "/_sim/callbacks", json!({"platform": "yopoint", "url": "http://localhost:1/"}));
    control(&sim, "POST", "/_sim/faults", json!({"method": "cabinet.open.door", "fault": "act_then_drop"}));
    let biz = json!({"CID": CABINET, "TradeNo": "visit-4711"});
    let mut lost = plain(&sim);
    std::io::Write::write_all(&mut lost, &gateway_request(&sim, "cabinet.open.door", &biz)).expect("sent");
    assert!(read_answer(&mut lost).is_err(), "its answer is lost");
    control(&sim, "POST", "/_sim/wait", json!({"for": "door_shut", "cabinet": CABINET}));
    let order = data(&sim, "cabinet.order.get", json!({"TradeNo": "visit-4711"}))["ReceiptNo"].clone();
    let order = order.as_str().expect("a number").to_owned();
    // Somebody else's door, and a question about another order.
    data(&sim, "cabinet.open.door", json!({"CID": "5f6da2362201410011000002", "TradeNo": "visit-4712"}));
    let mut all = Vec::new();
    for query in ["request=1".to_owned(), "mark=visit-4711".to_owned(), format!("order={order}")] {
        let story = control(&sim, "GET", &format!("/_sim/story?{query}"), Value::Null);
        assert_eq!((&story["marks"], &story["orders"]), (&json!(["visit-4711"]), &json!([order])), "{query}");
        let moments = story["moments"].as_array().expect("a list").clone();
        let kinds: Vec<String> =
            moments.iter().map(|m| m["kind"].as_str().expect("a word").to_owned()).collect();
        for kind in ["received", "opened", "answer_lost", "shut", "asked", "answered", "callback"] {
            assert!(kinds.iter().any(|k| k == kind), "{query}: no {kind}: {kinds:?}");
        }
        assert_eq!(moments[0]["faults"], json!(["act_then_drop"]));
        assert!(moments.windows(2).all(|w| w[0]["at_ms"].as_i64() <= w[1]["at_ms"].as_i64()));
        assert!(moments.iter().all(|m| m["cabinet"].is_null() || m["cabinet"] == CABINET), "{moments:?}");
        all.push(kinds);
    }
    assert!(all[0] == all[1] && all[1] == all[2], "{all:?}");
    // One that was not acted on is found by what it said.
    control(&sim, "POST", "/_sim/faults", json!({"method": "cabinet.open.door", "fault": "http_5xx"}));
    let biz = json!({"CID": CABINET, "TradeNo": "visit-4713"});
    assert_eq!(exchange(&sim, &gateway_request(&sim, "cabinet.open.door", &biz)).status, 502);
    let story = control(&sim, "GET", "/_sim/story?mark=visit-4713", Value::Null);
    assert_eq!(
        (&story["moments"][0]["kind"], &story["moments"][0]["acted"]),
        (&json!("received"), &json!(false))
    );
    assert_eq!(control(&sim, "GET", "/_sim/story?mark=nobody", Value::Null)["moments"], json!([]));
    assert_eq!(sim.control("GET", "/_sim/story", Value::Null).0, 400);
}

#[test]
fn a_callback_is_sent_by_its_name() {
    let sim = start();
    let all = control(&sim, "GET", "/_sim/triggers", Value::Null);
    assert_eq!(all.as_array().map(Vec::len), Some(21), "{all}");
    for platform in ["yopoint", "dingshang", "youzan"] {
        control(&sim, "POST", "/_sim/callbacks", json!({"platform": platform, "url": "http://localhost:1/"}));
    }
    for one in all.as_array().expect("a list") {
        let wish = json!({"platform": one["platform"], "name": one["name"]});
        let sent = control(&sim, "POST", "/_sim/trigger", wish);
        let id = sent["callbacks"][0].as_u64().unwrap_or_else(|| panic!("{one}: {sent}"));
        let shown = control(&sim, "GET", &format!("/_sim/callbacks?id={id}"), Value::Null);
        let delivery = &shown["deliveries"][0];
        assert_eq!(delivery["platform"], one["platform"], "{one}");
        // The address that was set is still there: a notice of an order without an address takes none away.
        assert_eq!(delivery["url"], "http://localhost:1/", "{one}");
        if one["name"] != "test" && one["platform"] != "youzan" {
            assert_eq!(delivery["method"], one["method"], "{one}");
        }
    }
    for (wish, status) in [
        (json!({"name": "nothing"}), 404),
        (json!({"name": "test"}), 400),
        (json!({"name": "door_closed", "platform": "zhiyun"}), 404),
        (json!({"name": "recognized", "order": "VI0"}), 404),
        (json!({"name": "door_closed", "odd": 1}), 400),
    ] {
        assert_eq!(sim.control("POST", "/_sim/trigger", wish.clone()).0, status, "{wish}");
    }
}

#[test]
fn a_cabinet_is_taken_away() {
    let sim = start();
    control(&sim, "DELETE", &format!("/_sim/cabinets/{CABINET}"), Value::Null);
    assert_eq!(data(&sim, "cabinet.list", json!({}))["total"], 4);
    assert_eq!(sim.control("DELETE", &format!("/_sim/cabinets/{CABINET}"), Value::Null).0, 404);
}
