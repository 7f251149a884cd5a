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
    assert_eq!(data(&sim, "cabinet.list", json!({}))["total"], 4);
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
