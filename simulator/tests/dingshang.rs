//! Dingshang seen from outside: every byte sent or expected is written here, from the notes.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kiosklink_sim::{Options, Simulator};
use md5::{Digest, Md5};
use serde_json::{Value, json};

const BASE: &str = "/dingshang/api/openapi/v1/";
const MACHINE: &str = "16327129";
const NO_CODES: &str = "8668380625375492";
const OFFLINE: &str = "16327130";
const STOPPED: &str = "16327131";
const KEY: &str = "kva";
const LIMIT: Duration = Duration::from_secs(10);
const HEADERS: &str = "Appid: 10001\r\nAppSecret: test-app-secret\r\n";

fn start() -> Simulator {
    let sim = Simulator::start(Options::default()).expect("it starts");
    control(&sim, "POST", "/_sim/clock", json!({"freeze": true}));
    sim
}

fn control(sim: &Simulator, method: &str, path: &str, body: Value) -> Value {
    let (status, answer) = sim.control(method, path, body);
    assert_eq!(status, 200, "{method} {path}: {answer}");
    answer
}

fn set(sim: &Simulator, settings: Value) {
    control(sim, "POST", "/_sim/dingshang/settings", settings);
}

fn machine(sim: &Simulator, no: &str, patch: Value) {
    control(sim, "PATCH", &format!("/_sim/dingshang/machines/{no}"), patch);
}

fn lane(sim: &Simulator, name: &str, patch: Value) -> Value {
    control(sim, "PATCH", &format!("/_sim/dingshang/machines/{MACHINE}/lanes/{name}"), patch)
}

fn advance(sim: &Simulator, ms: i64) {
    control(sim, "POST", "/_sim/clock/advance", json!({"ms": ms}));
}

fn now_ms(sim: &Simulator) -> i64 {
    control(sim, "GET", "/_sim/clock", Value::Null)["now_ms"].as_i64().expect("a number")
}

fn dispenses(sim: &Simulator) -> Vec<Value> {
    control(sim, "GET", "/_sim/openings", Value::Null).as_array().expect("a list").clone()
}

/// The sign over fields as the notes have it.
fn sign(fields: &BTreeMap<String, String>, encode: fn(&str) -> String) -> String {
    let kept = fields.iter().filter(|(n, v)| *n != "sign" && !v.is_empty());
    let pairs: Vec<_> = kept.map(|(n, v)| format!("{n}={}", encode(v))).collect();
    let text = format!("{}&key={KEY}", pairs.join("&"));
    Md5::digest(text.as_bytes()).iter().map(|b| format!("{b:02X}")).collect()
}

fn raw(value: &str) -> String {
    value.to_owned()
}

fn query(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    let one = |b: u8| match b {
        b' ' => "+".to_owned(),
        b if plain(b) => (b as char).to_string(),
        b => format!("%{b:02X}"),
    };
    value.bytes().map(one).collect()
}

fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

fn wrap(inner: &Value) -> String {
    json!({"payload": STANDARD.encode(inner.to_string())}).to_string()
}

/// Machine, time and the given fields, signed.
fn payload(machine: &str, pairs: &[(&str, &str)]) -> String {
    let mut all = fields(pairs);
    all.insert("machine_no".into(), machine.into());
    all.insert("timestamp".into(), "1714185061".into());
    all.insert("sign".into(), sign(&all, raw));
    wrap(&json!(all))
}

fn send(sim: &Simulator, method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, Value)> {
    let mut socket = TcpStream::connect(("127.0.0.1", sim.port())).expect("it listens");
    socket.set_read_timeout(Some(LIMIT)).expect("a timeout");
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    socket.write_all(&[head.as_bytes(), body.as_bytes()].concat()).expect("it reads");
    let mut got = String::new();
    socket.read_to_string(&mut got).expect("an end");
    let (head, body) = got.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}

fn ask(sim: &Simulator, method: &str, action: &str, body: &str) -> (u16, Value) {
    send(sim, method, &format!("{BASE}{action}"), HEADERS, body).expect("an answer")
}

/// A signed POST that must succeed; its data.
fn post(sim: &Simulator, action: &str, pairs: &[(&str, &str)]) -> Value {
    ok(ask(sim, "POST", action, &payload(MACHINE, pairs)))
}

fn put(sim: &Simulator, action: &str, pairs: &[(&str, &str)]) -> Value {
    ok(ask(sim, "PUT", action, &payload(MACHINE, pairs)))
}

fn ok((status, body): (u16, Value)) -> Value {
    assert_eq!((status, &body["code"], &body["message"]), (200, &json!(0), &json!("ok")), "{body}");
    body["data"].clone()
}

/// The code of an answer that must be a failure.
fn failure((status, body): (u16, Value)) -> (u16, i64) {
    assert_ne!(body["message"], "ok", "{body}");
    (status, body["code"].as_i64().expect("a code"))
}

fn refused(sim: &Simulator, action: &str, pairs: &[(&str, &str)]) -> i64 {
    failure(ask(sim, "POST", action, &payload(MACHINE, pairs))).1
}

fn refused_put(sim: &Simulator, action: &str, pairs: &[(&str, &str)]) -> i64 {
    failure(ask(sim, "PUT", action, &payload(MACHINE, pairs))).1
}

/// Receives notices and answers them with nothing.
struct Notices {
    url: String,
    arrived: Receiver<(String, Value)>,
}

impl Notices {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/notice/7f3a", listener.local_addr().expect("an address"));
        let (sender, arrived) = channel();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.expect("a connection");
                let mut got = String::new();
                let mut piece = [0u8; 4096];
                loop {
                    let length = got.split("Content-Length: ").nth(1).and_then(|l| l.split("\r\n").next());
                    let length = length.and_then(|l| l.parse::<usize>().ok());
                    if got.split_once("\r\n\r\n").is_some_and(|(_, b)| Some(b.len()) >= length) {
                        break;
                    }
                    match socket.read(&mut piece) {
                        Ok(n) if n > 0 => got.push_str(&String::from_utf8_lossy(&piece[..n])),
                        _ => break,
                    }
                }
                let _ = socket.write_all(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
                let (head, body) = got.split_once("\r\n\r\n").expect("a request");
                let body = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
                if sender.send((head.to_owned(), body)).is_err() {
                    return;
                }
            }
        });
        Self { url, arrived }
    }

    fn next(&self) -> Value {
        self.arrived.recv_timeout(LIMIT).expect("a notice").1
    }

    fn none_waiting(&self, sim: &Simulator) -> bool {
        control(sim, "POST", "/_sim/wait", json!({"for": "callbacks_idle"}));
        self.arrived.try_recv().is_err()
    }
}

const CREATE: (&str, &str) = ("method", "pickup_code.product.id");
const DELIVER: (&str, &str) = ("method", "device.delivery.put");
const TRADE: &str = "800a7e9500d345c8987d3aafa412c77d";

/// Makes a code for a product and finds it; its row and text.
fn new_code(sim: &Simulator, product: &str, more: &[(&str, &str)]) -> (i64, String) {
    let path = format!("products/{product}/pickup_code");
    let ids = |list: &Value| -> Vec<i64> {
        list.as_array().expect("a list").iter().filter_map(|c| c["id"].as_i64()).collect()
    };
    let before = ids(&post(sim, &path, &[]));
    assert_eq!(post(sim, "pickup_codes", &[&[CREATE, ("product_id", product)], more].concat()), json!({}));
    let after = post(sim, &path, &[]);
    let new =
        after.as_array().expect("a list").iter().find(|c| !before.contains(&c["id"].as_i64().unwrap_or(0)));
    let new = new.expect("a new code");
    (new["id"].as_i64().expect("a row"), new["code"].as_str().expect("a text").to_owned())
}

fn consume(sim: &Simulator, code: &str, product: &str, trade: &str, url: &str) -> (u16, Value) {
    let pairs = [
        ("method", "event.consume.pickup_code"),
        ("code", code),
        ("product_id", product),
        ("trade_id", trade),
        ("notify_url", url),
    ];
    ask(sim, "POST", "consumes", &payload(MACHINE, &pairs))
}

fn trade(n: u32) -> String {
    format!("{n:020}")
}

fn new_order(sim: &Simulator, product: i64, quantity: i64, n: u32, url: &str) -> (u16, Value) {
    let products = json!([{"product_id": product, "quantity": quantity}]);
    let body = json!({"machine_no": MACHINE, "notify_url": url, "trade_id": trade(n), "products": products});
    ask(sim, "POST", "orders", &body.to_string())
}

fn inventory(sim: &Simulator, product: i64) -> i64 {
    let listed = post(sim, "products", &[("page", "1"), ("select_all", "1")]);
    let found = listed["data"].as_array().expect("a list").iter().find(|p| p["id"] == product).cloned();
    found.expect("the product")["current_inventory"].as_i64().unwrap_or(0)
}

fn deliver(sim: &Simulator, order: i64, record: i64) -> (u16, Value) {
    let (order, record) = (order.to_string(), record.to_string());
    let pairs = [DELIVER, ("order_id", &*order), ("record_id", &*record)];
    ask(sim, "POST", "deliveries", &payload(MACHINE, &pairs))
}

fn order(sim: &Simulator, id: i64) -> Value {
    post(sim, &format!("orders/{id}"), &[])
}

#[test]
fn credentials_are_in_the_words_of_the_accounts_file() {
    let sim = start();
    let account = sim.accounts("ca.pem")["accounts"]["dingshang"].clone();
    assert_eq!(account["platform"], "dingshang");
    assert!(account["base_url"].as_str().is_some_and(|u| u.ends_with("/dingshang")));
    assert_eq!(
        (&account["app_id"], &account["app_secret"], &account["app_key"], &account["sign_value_encoding"]),
        (&json!("10001"), &json!("test-app-secret"), &json!("kva"), &json!("raw"))
    );
}

#[test]
fn headers_are_checked_first() {
    let sim = start();
    assert_eq!(ok(ask(&sim, "POST", "ping", "")), "pong");
    let with = |headers: &str| {
        let (status, body) = send(&sim, "POST", &format!("{BASE}ping"), headers, "").expect("an answer");
        (status, body["code"].as_i64().unwrap_or(-1), body["message"].as_str().unwrap_or("").to_owned())
    };
    let empty = (401, 10008, "appid or appsecret is empty".to_owned());
    assert_eq!(with(""), empty);
    assert_eq!(with("Appid: 10001\r\n"), empty);
    assert_eq!(with("AppSecret: test-app-secret\r\n"), empty);
    let nobody = "Appid: 1\r\nAppSecret: test-app-secret\r\n";
    assert_eq!(with(nobody), (401, 10014, "appid is invalid".into()));
    let wrong = "Appid: 10001\r\nAppSecret: x\r\n";
    assert_eq!(with(wrong), (401, 10013, "app secret is invalid".into()));
    set(&sim, json!({"error_codes": "current"}));
    assert_eq!((with("").1, with(nobody).1, with(wrong).1), (4000, 4001, 4009));
    set(&sim, json!({"merchant_expired": true}));
    assert_eq!(ok(ask(&sim, "POST", "ping", "")), "pong", "ping checks nothing else");
    assert_eq!(failure(ask(&sim, "POST", "rent/machines", "")), (400, 6017));
    set(&sim, json!({"merchant_expired": false, "merchant_verified": false}));
    assert_eq!(failure(ask(&sim, "POST", "rent/machines", "")).1, 6018);
    set(&sim, json!({"error_codes": "legacy"}));
    assert_eq!(failure(ask(&sim, "POST", "rent/machines", "")).1, 10010);
    set(&sim, json!({"merchant_expired": true}));
    assert_eq!(failure(ask(&sim, "POST", "rent/machines", "")).1, 10009);
}

#[test]
fn paths_and_methods() {
    let sim = start();
    assert_eq!(failure(ask(&sim, "POST", "nothing", "")), (404, 404));
    assert_eq!(failure(ask(&sim, "GET", "ping", "")), (405, 400));
    assert_eq!(failure(ask(&sim, "DELETE", "pickup_codes", "")), (405, 400));
    set(&sim, json!({"error_codes": "current"}));
    assert_eq!(failure(ask(&sim, "POST", "nothing", "")), (404, 6016));
    assert_eq!(failure(ask(&sim, "GET", "ping", "")), (405, 6021));
}

#[test]
fn vectors_are_taken_as_printed() {
    let sim = start();
    // V3: the payload whose text is fully visible. Order and status are not the point: the sign is.
    let v3 = "eyJtYWNoaW5lX25vIjoiMTYzMjcxMjkiLCJzaWduIjoiOUM4NEZEMUNFMkM3Njg0OUU3Nzc4QUNGMkM1MEZGRjAiLCJzdGF0dXMi\
        OjIsInRpbWVzdGFtcCI6IjE3MTQxMjgzNTgifQ==";
    let body = json!({"payload": v3}).to_string();
    assert_eq!(failure(ask(&sim, "PUT", "orders/99", &body)).1, 80002, "only the order is missing");
    set(&sim, json!({"strict_strings": true}));
    assert_eq!(failure(ask(&sim, "PUT", "orders/99", &body)).1, 10001, "its status is a number");
    set(&sim, json!({"strict_strings": false}));
    control(&sim, "POST", "/_sim/clock", json!({"now_s": 1_714_185_061}));
    let printed = [
        (
            "POST",
            "pickup_codes",
            "6C73E1EE2B92089A61DC721E72BB3139",
            "code_length=7&count=2&expired_at=2024-12-31 23:59:59&machine_no=16327129&\
             method=pickup_code.product.id&product_id=1323442&quantity=1&timestamp=1714185061",
            0,
        ),
        (
            "POST",
            "deliveries",
            "2457E8CE3CB49D31EC2054365FC8AD90",
            "machine_no=16327129&method=device.delivery.put&order_id=60&record_id=78&timestamp=1714373688",
            80002,
        ),
        (
            "POST",
            "products",
            "219C16BDF42D3668FF5B85A30FE97F54",
            "category_id=1&machine_no=8668380625375492&page=1&per_page=10&timestamp=1713255411",
            0,
        ),
        (
            "POST",
            "banners",
            "7BBE34F94D97B8C0F2A259CB0061739B",
            "machine_no=8668380625375492&timestamp=1713251726",
            0,
        ),
    ];
    for (method, action, sign, text, code) in printed {
        let mut all: BTreeMap<_, _> = text.split('&').filter_map(|p| p.split_once('=')).collect();
        all.insert("sign", sign);
        assert_eq!(ask(&sim, method, action, &wrap(&json!(all))).1["code"], code, "{action}");
    }
    let codes = post(&sim, "products/1323442/pickup_code", &[]);
    assert_eq!(codes.as_array().map(Vec::len), Some(2));
    assert_eq!(codes[0]["expired_at"], "2024-12-31 23:59:59");
    assert_eq!(codes[0]["created_at"], "2024-04-27 10:31:01");
    assert_eq!(codes[0]["code"].as_str().map(str::len), Some(7));
}

#[test]
fn payloads_and_signs() {
    let sim = start();
    let floors = |body: &str| failure(ask(&sim, "POST", "floors", body)).1;
    for odd in ["", "[]", "{}", r#"{"payload": 1}"#, r#"{"payload": "%"}"#] {
        assert_eq!(floors(odd), 10001, "{odd}");
    }
    assert_eq!(floors(&json!({"payload": STANDARD.encode("[1]")}).to_string()), 10001);
    let good = fields(&[("machine_no", MACHINE), ("timestamp", "1714185061")]);
    let with = |name: &str, value: &str| {
        let mut all = good.clone();
        all.insert("sign".into(), sign(&good, raw));
        all.insert(name.into(), value.into());
        wrap(&json!(all))
    };
    assert_eq!(floors(&with("sign", "")), 4006);
    assert_eq!(floors(&with("sign", &sign(&good, raw).to_lowercase())), 4006);
    assert_eq!(floors(&with("machine_no", OFFLINE)), 4006);
    ok(ask(&sim, "POST", "floors", &with("empty", "")));
    ok(ask(&sim, "POST", "floors", &with("empty", "NULL")));
    let log = control(&sim, "GET", "/_sim/requests?method=floors", Value::Null);
    let signature = |n: usize| log[n]["signature"].clone();
    assert!(signature(7)["differs"].as_str().is_some_and(|d| d.contains("lower case")), "{log}");
    assert_eq!(signature(9)["differs"], "nothing");
    assert!(signature(9)["base"].as_str().is_some_and(|b| b.ends_with("&key=[secret]")));

    // A zero is a value; numbers are signed by their digits.
    let zero = json!({"machine_no": MACHINE, "timestamp": 1_714_185_061, "category_id": 0, "page": 1,
        "sign": sign(&fields(&[("machine_no", MACHINE), ("timestamp", "1714185061"), ("category_id", "0"),
                               ("page", "1")]), raw)});
    ok(ask(&sim, "POST", "products", &wrap(&zero)));

    let stamped = |stamp: &str| {
        let mut all = fields(&[("machine_no", MACHINE), ("timestamp", stamp)]);
        all.insert("sign".into(), sign(&all, raw));
        ask(&sim, "POST", "floors", &wrap(&json!(all)))
    };
    assert_eq!(failure(stamped("1714185061000")).1, 10001);
    assert_eq!(failure(stamped("")).1, 10001);
    let now = now_ms(&sim) / 1000;
    set(&sim, json!({"timestamp_tolerance_s": 300}));
    assert_eq!(failure(stamped(&(now - 301).to_string())).1, 10001);
    ok(stamped(&(now - 300).to_string()));
}

#[test]
fn both_readings_of_the_sign_rule() {
    let sim = start();
    let expiry = "2999-12-31 23:59:59";
    let with = |encode| {
        let pairs = [CREATE, ("product_id", "131"), ("expired_at", expiry), ("machine_no", MACHINE)];
        let mut all = fields(&pairs);
        all.insert("timestamp".into(), "1714185061".into());
        all.insert("sign".into(), sign(&all, encode));
        ask(&sim, "POST", "pickup_codes", &wrap(&json!(all))).1["code"].clone()
    };
    for (setting, as_raw, as_query) in [("raw", 0, 4006), ("query", 4006, 0), ("any", 0, 0)] {
        set(&sim, json!({"sign_value_encoding": setting}));
        assert_eq!((with(raw), with(query)), (json!(as_raw), json!(as_query)), "{setting}");
    }
    let account = |sim: &Simulator| sim.accounts("")["accounts"]["dingshang"]["sign_value_encoding"].clone();
    set(&sim, json!({"sign_value_encoding": "query"}));
    assert_eq!(account(&sim), "query");
}

#[test]
fn machines() {
    let sim = start();
    let all = ok(ask(&sim, "POST", "rent/machines", ""));
    assert_eq!(all[0]["machine_no"], MACHINE);
    assert_eq!((&all[0]["is_online"], &all[0]["status"]), (&json!(true), &json!(true)));
    assert_eq!((all[2].get("is_online"), all[3].get("status")), (None, None), "false is left out");
    assert_eq!(all[0].get("notify_message"), None);
    let one = ok(ask(&sim, "POST", &format!("rent/machines/{MACHINE}"), ""));
    assert_eq!(one["model"]["cabinet_names"], json!(["A", "B"]));
    assert_eq!((&one["machine_type"], &one["merchant"]["status"]), (&json!(1), &json!("VERIFIED")));
    assert_eq!(one["currency"]["code"], "CNY");
    let detail = |no: &str| failure(ask(&sim, "POST", &format!("rent/machines/{no}"), "")).1;
    assert_eq!((detail(OFFLINE), detail("1")), (30002, 30003));
    set(&sim, json!({"error_codes": "current"}));
    assert_eq!((detail(OFFLINE), detail("1")), (6025, 6026));
    set(&sim, json!({"debug_mode": true, "omit_zero_values": false}));
    let one = ok(ask(&sim, "POST", &format!("rent/machines/{OFFLINE}"), ""));
    assert_eq!(one["is_online"], false);
    control(&sim, "PUT", "/_sim/world", json!({"platforms": {"dingshang": {}}}));
    assert_eq!(ok(ask(&sim, "POST", "rent/machines", "")), json!([]));
    set(&sim, json!({"no_machines_fails": true, "error_codes": "legacy"}));
    assert_eq!(failure(ask(&sim, "POST", "rent/machines", "")).1, 30001);
}

#[test]
fn products_floors_banners_categories() {
    let sim = start();
    let page = post(&sim, "products", &[("page", "1"), ("per_page", "2")]);
    assert_eq!(
        (&page["total"], &page["current_page"], &page["last_page"]),
        (&json!(4), &json!(1), &json!(2))
    );
    let first = &page["data"][0];
    assert_eq!((&first["id"], &first["good"]["price"]), (&json!(1_323_442), &json!("2.00")));
    assert_eq!((&first["current_inventory"], &first["inventory"]), (&json!(6), &json!(10)));
    let place = json!({"name": "A20", "cabinet_name": "A", "code": "020", "x": "2", "y": "0", "addr": 1});
    assert_eq!(first["channel"], place);
    let second = post(&sim, "products", &[("page", "2"), ("per_page", "2")]);
    assert_eq!(second["data"][0]["good"]["price"], "0.10");
    assert_eq!(second["data"][1]["id"], 133);
    assert_eq!(second["data"][1].get("current_inventory"), None, "nothing left is left out");
    assert_eq!(post(&sim, "products", &[("page", "3"), ("per_page", "2")]), json!([]));
    assert_eq!(post(&sim, "products", &[("category_id", "99")]), json!([]));
    let ids = |pairs: &[(&str, &str)]| -> Vec<i64> {
        let listed = post(&sim, "products", pairs);
        listed["data"].as_array().expect("a list").iter().filter_map(|p| p["id"].as_i64()).collect()
    };
    assert_eq!(ids(&[("category_id", "2")]), [132, 133]);
    assert_eq!(ids(&[("cabinet_name", "B")]), [141, 142]);
    assert_eq!(ids(&[("addr", "2")]), [141, 142]);
    assert_eq!(ids(&[("select_all", "1"), ("per_page", "1")]).len(), 4);
    for odd in [
        &[("cabinet_name", "A"), ("addr", "1")][..],
        &[("cabinet_name", "AB")],
        &[("addr", "9")],
        &[("page", "0")],
        &[("page", "x")],
        &[("select_all", "2")],
    ] {
        assert_eq!(refused(&sim, "products", odd), 10001, "{odd:?}");
    }
    set(&sim, json!({"page_required": true}));
    assert_eq!(refused(&sim, "products", &[]), 10001);

    let floors = post(&sim, "floors", &[]);
    assert_eq!(floors.as_array().map(Vec::len), Some(6), "all cabinets, without what is off sale");
    assert_eq!(floors[0]["status"], "1");
    assert!(floors[0]["good"]["id"].as_i64() >= floors[5]["good"]["id"].as_i64());
    assert_eq!(post(&sim, "banners", &[])[0]["status"], "APPROVED");
    assert_eq!(post(&sim, "categories", &[])[0]["id"], 1);
    machine(&sim, MACHINE, json!({"banners": [], "categories": []}));
    assert_eq!((post(&sim, "banners", &[]), post(&sim, "categories", &[])), (json!([]), json!([])));
    for action in ["products", "floors", "banners", "categories"] {
        assert_eq!(failure(ask(&sim, "POST", action, &payload(OFFLINE, &[("page", "1")]))).1, 30002);
        assert_eq!(failure(ask(&sim, "POST", action, &payload("1", &[("page", "1")]))).1, 30003);
    }
}

#[test]
fn codes_are_made_listed_and_cancelled() {
    let sim = start();
    let list = |product: &str| post(&sim, &format!("products/{product}/pickup_code"), &[]);
    assert_eq!(list("131"), json!([]));
    let create = |more: &[(&str, &str)]| {
        post(&sim, "pickup_codes", &[&[CREATE, ("product_id", "131")], more].concat())
    };
    assert_eq!(create(&[("count", "3"), ("code_length", "10"), ("quantity", "5")]), json!({}));
    let made = list("131");
    assert_eq!(made.as_array().map(Vec::len), Some(3));
    for code in made.as_array().into_iter().flatten() {
        let text = code["code"].as_str().expect("a text");
        assert!(text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit()), "{text}");
        assert_eq!((&code["status"], &code["quantity"]), (&json!("UNUSED"), &json!(1)));
        assert_eq!(code.get("expired_at"), None, "it never expires");
    }
    assert_eq!(post(&sim, "pickup_codes", &[("method", "pickup_code.product.all")]), json!({}));
    let counts =
        ["1323442", "131", "132", "133", "134", "141", "142"].map(|p| list(p).as_array().map(Vec::len));
    assert_eq!(counts, [1, 4, 1, 1, 1, 1, 1].map(Some));
    assert_eq!(list("131")[3]["code"].as_str().map(str::len), Some(6));

    let first = made[0]["id"].to_string();
    let cancel = [("method", "pickup_code.delete.id"), ("id", &*first)];
    assert_eq!(put(&sim, "pickup_codes", &cancel), json!({}));
    assert_eq!(refused_put(&sim, "pickup_codes", &cancel), 80002);
    assert_eq!(refused_put(&sim, "pickup_codes", &[("method", "x")]), 10001);
    assert_eq!(refused_put(&sim, "pickup_codes", &[("method", "pickup_code.delete.id")]), 10001);
    assert_eq!(put(&sim, "pickup_codes", &[("method", "pickup_code.delete.all")]), json!({}));
    assert_eq!((list("131"), list("142")), (json!([]), json!([])));

    let bad = |more: &[(&str, &str)]| {
        refused(&sim, "pickup_codes", &[&[CREATE, ("product_id", "131")], more].concat())
    };
    for odd in [("count", "0"), ("count", "11"), ("code_length", "5"), ("code_length", "11"), ("count", "x")]
    {
        assert_eq!(bad(&[odd]), 10001, "{odd:?}");
    }
    for odd in ["2020-01-01 00:00:00", "tomorrow", "2999-02-30 00:00:00", "2999-01-01"] {
        assert_eq!(bad(&[("expired_at", odd)]), 6029, "{odd}");
    }
    assert_eq!(refused(&sim, "pickup_codes", &[CREATE, ("product_id", "9")]), 6045);
    assert_eq!(refused(&sim, "pickup_codes", &[("method", "x")]), 10001);
    let off = payload(NO_CODES, &[CREATE, ("product_id", "151")]);
    let (status, body) = ask(&sim, "POST", "pickup_codes", &off);
    assert_eq!((status, &body["code"], &body["message"]), (400, &json!(10023), &json!("取货码功能尚未开启")));
    let unknown = payload("1", &[]);
    assert_eq!(failure(ask(&sim, "POST", "products/131/pickup_code", &unknown)).1, 30003);
    set(&sim, json!({"error_codes": "current", "failure_data_null": true}));
    assert_eq!(failure(ask(&sim, "POST", "pickup_codes", &off)).1, 6031);
    assert_eq!(ask(&sim, "POST", "pickup_codes", &off).1["data"], Value::Null);
}

#[test]
fn creation_by_other_readings() {
    let sim = start();
    set(&sim, json!({"create_answer": "codes", "create_all": "per_item"}));
    let made = post(&sim, "pickup_codes", &[("method", "pickup_code.product.all")]);
    assert_eq!(made.as_array().map(Vec::len), Some(6 + 5 + 1 + 3 + 4 + 10), "one for each piece");
    set(&sim, json!({"create_limits_live_codes": true}));
    let create = [CREATE, ("product_id", "131"), ("count", "6")];
    assert_eq!(refused(&sim, "pickup_codes", &create), 6035);
    set(&sim, json!({"create_refuses_existing": true}));
    assert_eq!(refused(&sim, "pickup_codes", &create), 6030);
    assert_eq!(post(&sim, "products/9/pickup_code", &[]), json!([]));
    set(&sim, json!({"unknown_product_codes_fail": true}));
    assert_eq!(refused(&sim, "products/9/pickup_code", &[]), 80002);
}

#[test]
fn a_lost_answer_to_a_creation_leaves_the_codes() {
    let sim = start();
    set(&sim, json!({"create_lost_answer": 1}));
    let body = payload(MACHINE, &[CREATE, ("product_id", "131")]);
    assert_eq!(send(&sim, "POST", &format!("{BASE}pickup_codes"), HEADERS, &body), None);
    assert_eq!(post(&sim, "products/131/pickup_code", &[]).as_array().map(Vec::len), Some(1));
    ok(ask(&sim, "POST", "pickup_codes", &body));
    assert_eq!(
        post(&sim, "products/131/pickup_code", &[]).as_array().map(Vec::len),
        Some(2),
        "not idempotent"
    );
}

#[test]
fn codes_expire_by_the_wall_clock_of_china() {
    let sim = start();
    // 2024-12-31 15:59:58 UTC is two seconds before midnight in Guangzhou.
    control(&sim, "POST", "/_sim/clock", json!({"now_s": 1_735_660_798}));
    let (_, code) = new_code(&sim, "131", &[("expired_at", "2024-12-31 23:59:59")]);
    advance(&sim, 1000);
    assert_eq!(post(&sim, "products/131/pickup_code", &[]).as_array().map(Vec::len), Some(1));
    advance(&sim, 1);
    assert_eq!(post(&sim, "products/131/pickup_code", &[]), json!([]));
    assert_eq!(failure(consume(&sim, &code, "131", TRADE, "http://127.0.0.1:9/")).1, 6032);
    assert!(dispenses(&sim).is_empty());
    // As it was before the fix of April 2024: the same text, eight hours later.
    set(&sim, json!({"zone_hours": 0}));
    new_code(&sim, "131", &[("expired_at", "2024-12-31 23:59:59")]);
}

#[test]
fn a_code_is_redeemed_and_its_record_delivered() {
    let sim = start();
    let notices = Notices::start();
    let (row, code) = new_code(&sim, "131", &[("code_length", "7")]);
    let redeemed = ok(consume(&sim, &code, "131", TRADE, &notices.url));
    assert_eq!(redeemed["order_id"], 60);
    assert_eq!(redeemed["trade_id"], "800a7e95-00d3-45c8-987d-3aafa412c77d");
    assert_eq!((&redeemed["status"], &redeemed["pickup_code_id"]), (&json!("PICKUPCODE"), &json!(row)));
    let record = json!([{"id": 78, "product_id": 131, "quantity": 1, "price": "4.50", "status": "未取货",
        "notify_sent": "0"}]);
    assert_eq!((&redeemed["records"], &redeemed["amount"]), (&record, &json!("4.50")));
    assert!(dispenses(&sim).is_empty(), "to redeem moves no motor");
    assert_eq!(post(&sim, "products/131/pickup_code", &[]), json!([]));
    assert_eq!(order(&sim, 60)["trade_id"], TRADE);
    assert_eq!(order(&sim, 60)["records"][0]["status"], "WAITING_PICKED_UP");

    let (status, again) = consume(&sim, &code, "131", &trade(2), &notices.url);
    assert_eq!((status, &again["code"], &again["message"]), (400, &json!(10025), &json!("取货码已使用")));
    assert_eq!(again["data"], json!({"order_id": 60}));

    let delivery = ok(deliver(&sim, 60, 78));
    let id = delivery["delivery_id"].as_str().expect("a text").to_owned();
    assert_eq!((id.len(), &delivery["status"]), (16, &json!("未取货或正在出货")));
    assert_eq!(order(&sim, 60)["records"][0]["status"], "IS_DELIVERING");
    let asked = post(&sim, &format!("deliveries/{id}"), &[]);
    assert_eq!((&asked["status"], asked.get("pickup_at")), (&json!("未取货或正在出货"), None));

    let fallen = dispenses(&sim);
    assert_eq!(fallen.len(), 1);
    assert_eq!((&fallen[0]["cabinet"], &fallen[0]["lane"]), (&json!(MACHINE), &json!("A21")));
    let cause = &fallen[0]["cause"];
    assert_eq!(
        (&cause["by"], &cause["receipt"], &cause["trade_no"]),
        (&json!("dingshang"), &json!(id), &json!(TRADE))
    );
    let path = format!("/_sim/requests?number={}", cause["request"]);
    assert_eq!(control(&sim, "GET", &path, Value::Null)[0]["method"], "deliver");

    advance(&sim, 700);
    let want = json!({"deliver_status": "1", "error_msg": "", "floor_status": "1",
        "method": "device.delivery.response", "order_id": 60, "record_id": 78});
    assert_eq!(notices.next(), want);
    assert!(notices.none_waiting(&sim));
    let done = order(&sim, 60);
    assert_eq!(done["notify_send_count"], 1);
    assert_eq!(
        (&done["records"][0]["status"], &done["records"][0]["notify_sent"]),
        (&json!("IS_SUCCESS"), &json!("1"))
    );
    let asked = post(&sim, &format!("deliveries/{id}"), &[]);
    assert_eq!((&asked["status"], asked.get("fail_reason")), (&json!("出货完成"), None));
    assert!(asked["pickup_at"].is_string());
    assert_eq!(failure(deliver(&sim, 60, 78)).1, 6034);
    assert_eq!(inventory(&sim, 131), 4);
    advance(&sim, 200_000);
    assert_eq!(dispenses(&sim).len(), 1);
    assert!(notices.none_waiting(&sim), "no timeout after a result");
}

#[test]
fn redemptions_that_are_refused() {
    let sim = start();
    let url = "http://127.0.0.1:9/";
    let (_, code) = new_code(&sim, "131", &[]);
    let fails = |code: &str, product: &str, trade: &str| failure(consume(&sim, code, product, trade, url)).1;
    assert_eq!(fails("000", "131", TRADE), 80002);
    assert_eq!(fails(&code, "132", TRADE), 80002, "another product's");
    assert_eq!(fails(&code, "131", ""), 6041);
    assert_eq!(fails(&code, "131", "1234567890123456789"), 10001, "too short");
    assert_eq!(fails(&code, "", TRADE), 10001);
    assert_eq!(fails("", "131", TRADE), 10001);
    assert_eq!(failure(consume(&sim, &code, "131", TRADE, "")).1, 10001);
    assert_eq!(refused(&sim, "consumes", &[("method", "x")]), 10001);
    lane(&sim, "A21", json!({"stock": 0}));
    assert_eq!(fails(&code, "131", TRADE), 60003);
    lane(&sim, "A21", json!({"stock": 5, "on_sale": false}));
    assert_eq!(fails(&code, "131", TRADE), 60002);
    lane(&sim, "A21", json!({"on_sale": true}));
    machine(&sim, MACHINE, json!({"pickup_codes": false}));
    assert_eq!(fails(&code, "131", TRADE), 10023);
    machine(&sim, MACHINE, json!({"pickup_codes": true, "is_online": false}));
    assert_eq!(fails(&code, "131", TRADE), 30002);
    machine(&sim, MACHINE, json!({"is_online": true, "status": false}));
    assert_eq!(fails(&code, "131", TRADE), 30004);
    machine(&sim, MACHINE, json!({"status": true}));
    ok(consume(&sim, &code, "131", TRADE, url));
    let (_, other) = new_code(&sim, "131", &[]);
    assert_eq!(fails(&other, "131", TRADE), 6040);
    assert_eq!(fails(&other, "131", "800a7e95-00d3-45c8-987d-3aafa412c77d"), 6040, "dashes change nothing");
    set(&sim, json!({"error_codes": "current", "consume_trade_id": "plain"}));
    assert_eq!(fails(&code, "131", &trade(3)), 6033);
    assert_eq!(ok(consume(&sim, &other, "131", &"a".repeat(32), url))["trade_id"], "a".repeat(32));
    // A used row cannot be cancelled, unless that is allowed.
    let used = control(&sim, "GET", "/_sim/dingshang/codes", Value::Null)[0]["id"].to_string();
    let cancel = [("method", "pickup_code.delete.id"), ("id", &*used)];
    assert_eq!(refused_put(&sim, "pickup_codes", &cancel), 4004);
    put(&sim, "pickup_codes", &[("method", "pickup_code.delete.all")]);
    assert_eq!(fails(&code, "131", &trade(4)), 6033, "used rows outlive the others");
    set(&sim, json!({"cancel_used": true}));
    put(&sim, "pickup_codes", &cancel);
    assert_eq!(fails(&code, "131", &trade(4)), 4004);
}

#[test]
fn a_lost_redemption_is_recovered_from_its_repeat() {
    let sim = start();
    set(&sim, json!({"consume_lost_answer": 1}));
    let (_, code) = new_code(&sim, "131", &[]);
    let pairs = [
        ("method", "event.consume.pickup_code"),
        ("code", &*code),
        ("product_id", "131"),
        ("trade_id", TRADE),
        ("notify_url", "http://127.0.0.1:9/"),
    ];
    let body = payload(MACHINE, &pairs);
    assert_eq!(send(&sim, "POST", &format!("{BASE}consumes"), HEADERS, &body), None);
    let (_, again) = ask(&sim, "POST", "consumes", &body);
    assert_eq!((&again["code"], &again["data"]["order_id"]), (&json!(10025), &json!(60)));
    assert_eq!(order(&sim, 60)["records"][0]["status"], "WAITING_PICKED_UP");
    ok(deliver(&sim, 60, 78));
    assert_eq!(dispenses(&sim).len(), 1);
}

#[test]
fn a_race_redeems_twice() {
    let sim = start();
    set(&sim, json!({"racy_redeem_ms": 1000}));
    let (_, code) = new_code(&sim, "131", &[]);
    let url = "http://127.0.0.1:9/";
    let first = ok(consume(&sim, &code, "131", &trade(1), url));
    let second = ok(consume(&sim, &code, "131", &trade(2), url));
    assert_eq!((&first["order_id"], &second["order_id"]), (&json!(60), &json!(61)));
    assert_eq!(first["pickup_code_id"], second["pickup_code_id"]);
    advance(&sim, 1000);
    let (_, third) = consume(&sim, &code, "131", &trade(3), url);
    assert_eq!((&third["code"], &third["data"]["order_id"]), (&json!(10025), &json!(60)));
}

#[test]
fn orders_are_paid_and_delivered_piece_by_piece() {
    let sim = start();
    let notices = Notices::start();
    assert_eq!(ok(new_order(&sim, 131, 2, 1, &notices.url)), json!({"order_id": 60}));
    assert_eq!(inventory(&sim, 131), 3, "reserved");
    let made = order(&sim, 60);
    assert_eq!(
        (&made["status"], &made["amount"], &made["trade_id"]),
        (&json!("NOTPAY"), &json!("9.00"), &json!(trade(1)))
    );
    assert_eq!((made.get("pickup_code_id"), made.get("notify_send_count")), (None, None));
    assert_eq!(made["records"].as_array().map(Vec::len), Some(2));
    let (status, unpaid) = deliver(&sim, 60, 78);
    assert_eq!((status, &unpaid["code"], &unpaid["message"]), (400, &json!(0), &json!("订单未支付")));
    set(&sim, json!({"code_zero_http_status": 200}));
    assert_eq!(deliver(&sim, 60, 78).0, 200, "the trap: 200 and code 0");
    set(&sim, json!({"error_codes": "current"}));
    assert_eq!(failure(deliver(&sim, 60, 78)), (400, 6054));
    set(&sim, json!({"error_codes": "legacy"}));
    assert_eq!(put(&sim, "orders/60", &[("status", "1")]), "");
    assert_eq!(order(&sim, 60)["status"], "SUCCESS");
    assert_eq!(refused_put(&sim, "orders/60", &[("status", "1")]), 40006);
    assert_eq!(refused_put(&sim, "orders/60", &[("status", "7")]), 10001);

    ok(deliver(&sim, 60, 78));
    let (status, busy) = deliver(&sim, 60, 79);
    assert_eq!((status, &busy["code"]), (400, &json!(400)), "{busy}");
    assert_eq!(failure(deliver(&sim, 60, 78)).1, 400, "it is on its way");
    advance(&sim, 700);
    assert_eq!(notices.next()["record_id"], 78);
    ok(deliver(&sim, 60, 79));
    advance(&sim, 700);
    assert_eq!(notices.next()["record_id"], 79);
    assert_eq!((dispenses(&sim).len(), inventory(&sim, 131)), (2, 3));
    advance(&sim, 30 * 60_000);
    assert_eq!(order(&sim, 60)["status"], "SUCCESS", "a paid order does not expire");

    machine(&sim, MACHINE, json!({"whole_quantity": true}));
    assert_eq!(ok(new_order(&sim, 142, 3, 2, &notices.url))["order_id"], 61);
    put(&sim, "orders/61", &[("status", "1")]);
    assert_eq!(
        order(&sim, 61)["records"],
        json!([{"id": 80, "product_id": 142, "quantity": 3, "price": "0.10",
        "status": "WAITING_PICKED_UP", "notify_sent": "0"}])
    );
    ok(deliver(&sim, 61, 80));
    assert_eq!(dispenses(&sim).len(), 5);
}

#[test]
fn orders_that_are_refused() {
    let sim = start();
    let url = "http://127.0.0.1:9/";
    let fails = |product, quantity| failure(new_order(&sim, product, quantity, 1, url)).1;
    assert_eq!(
        (fails(134, 1), fails(133, 1), fails(131, 6), fails(9, 1), fails(131, 0)),
        (60002, 60003, 60003, 6045, 10001)
    );
    let whole = json!({"machine_no": MACHINE, "notify_url": url, "trade_id": trade(1),
        "products": [{"product_id": 131, "quantity": 1}]});
    let with = |name: &str, value: Value| {
        let mut body = whole.clone();
        body[name] = value;
        failure(ask(&sim, "POST", "orders", &body.to_string())).1
    };
    assert_eq!(with("trade_id", json!("")), 6041);
    assert_eq!(with("trade_id", json!("1")), 10001);
    assert_eq!(with("notify_url", json!("")), 10001);
    assert_eq!(with("products", json!([])), 10001);
    assert_eq!(with("products", json!([{"product_id": "131", "quantity": 1}])), 10001, "numbers here");
    assert_eq!(with("machine_no", json!("1")), 30003);
    assert_eq!(with("machine_no", json!(OFFLINE)), 30002);
    assert_eq!(with("machine_no", json!(STOPPED)), 30004);
    assert_eq!(failure(ask(&sim, "POST", "orders", &payload(MACHINE, &[]))).1, 10001, "no payload here");
    ok(new_order(&sim, 131, 1, 1, url));
    assert_eq!(fails(131, 1), 6040);
    set(&sim, json!({"error_codes": "current"}));
    assert_eq!(failure(new_order(&sim, 134, 1, 2, url)).1, 6046);
    assert_eq!(failure(new_order(&sim, 133, 1, 2, url)).1, 6047);
    assert_eq!(refused(&sim, "orders/99", &[]), 4004);
    let other = payload(NO_CODES, &[]);
    assert_eq!(failure(ask(&sim, "POST", "orders/60", &other)).1, 4004, "another machine's");
    set(&sim, json!({"http_error_status": 200}));
    assert_eq!(failure(ask(&sim, "POST", "orders/60", &other)), (200, 4004));
}

#[test]
fn unpaid_orders_expire_after_twenty_minutes() {
    let sim = start();
    let notices = Notices::start();
    ok(new_order(&sim, 131, 2, 1, &notices.url));
    advance(&sim, 20 * 60_000 - 1);
    assert_eq!(order(&sim, 60)["status"], "NOTPAY");
    advance(&sim, 1);
    for record in [78, 79] {
        let notice = notices.next();
        assert_eq!((&notice["record_id"], &notice["deliver_status"]), (&json!(record), &json!("0")));
    }
    assert_eq!(inventory(&sim, 131), 5);
    assert_eq!(refused(&sim, "orders/60", &[]), 40005);
    assert_eq!(refused_put(&sim, "orders/60", &[("status", "1")]), 40005);
    assert_eq!(failure(deliver(&sim, 60, 78)).1, 40005);
    set(&sim, json!({"error_codes": "current"}));
    assert_eq!(refused(&sim, "orders/60", &[]), 6042);

    // By other readings the rule binds orders of codes too, and paid ones.
    set(&sim, json!({"pickup_order_expiry_ms": 1_200_000, "paid_delivery_limit_ms": 1_200_000}));
    let (_, code) = new_code(&sim, "131", &[]);
    ok(consume(&sim, &code, "131", TRADE, &notices.url));
    ok(new_order(&sim, 131, 1, 2, &notices.url));
    put(&sim, "orders/62", &[("status", "1")]);
    advance(&sim, 20 * 60_000 + 1);
    assert_eq!(refused(&sim, "orders/61", &[]), 6042);
    assert_eq!(notices.next()["order_id"], 61);
    assert_eq!(failure(deliver(&sim, 62, 81)).1, 6042);
}

#[test]
fn every_other_status_ends_an_order_and_returns_the_stock() {
    let sim = start();
    let notices = Notices::start();
    let names = ["REFUND", "CLOSED", "REVOKED", "USERPAYING", "PAYERROR"];
    for (n, (status, name)) in (2u32..).zip(names).enumerate().map(|(i, (s, n))| (i as u32, (s, n))) {
        let id = ok(new_order(&sim, 131, 1, n, &notices.url))["order_id"].as_i64().expect("a number");
        assert_eq!(inventory(&sim, 131), 4);
        put(&sim, &format!("orders/{id}"), &[("status", &status.to_string())]);
        assert_eq!((&order(&sim, id)["status"], inventory(&sim, 131)), (&json!(name), 5));
        assert_eq!(refused_put(&sim, &format!("orders/{id}"), &[("status", "1")]), 40006, "{name}");
    }
    assert_eq!(failure(deliver(&sim, 60, 78)).1, 40006);
    advance(&sim, 30 * 60_000);
    assert!(notices.none_waiting(&sim), "the merchant's own cancelling sends nothing");

    set(&sim, json!({"paying_is_final": false}));
    ok(new_order(&sim, 131, 1, 9, &notices.url));
    put(&sim, "orders/65", &[("status", "5")]);
    assert_eq!(inventory(&sim, 131), 4);
    put(&sim, "orders/65", &[("status", "1")]);
    assert_eq!(refused_put(&sim, "orders/65", &[("status", "6")]), 40006);
    put(&sim, "orders/65", &[("status", "2")]);
    assert_eq!(order(&sim, 65)["records"][0]["status"], "IS_REFUND");
    assert_eq!(inventory(&sim, 131), 4, "the stock of a refund takes its time");
    advance(&sim, 300_000);
    assert_eq!(inventory(&sim, 131), 5);
}

#[test]
fn a_fault_is_reported_and_may_lie() {
    let sim = start();
    let notices = Notices::start();
    let script = json!([
        {"error": "Slave Comm Error"},
        {"error": "Dlv Detect Error", "dropped": true},
        {"error": "Goods are Stuck"},
        {"dropped": false},
    ]);
    lane(&sim, "A21", json!({"outcomes": script}));
    ok(new_order(&sim, 131, 1, 1, &notices.url));
    put(&sim, "orders/60", &[("status", "1")]);
    let try_it = |fallen: usize| {
        let id = ok(deliver(&sim, 60, 78))["delivery_id"].as_str().expect("a text").to_owned();
        advance(&sim, 700);
        assert_eq!(dispenses(&sim).len(), fallen);
        (id, notices.next())
    };
    let (id, notice) = try_it(0);
    let want = json!({"deliver_status": "0", "error_msg": "Slave Comm Error", "floor_status": "3",
        "method": "device.delivery.response", "order_id": 60, "record_id": 78});
    assert_eq!(notice, want);
    let asked = post(&sim, &format!("deliveries/{id}"), &[]);
    assert_eq!((&asked["status"], &asked["fail_reason"]), (&json!("出货完成"), &json!("Slave Comm Error")));
    assert_eq!(order(&sim, 60)["records"][0]["status"], "IS_FAILED");
    assert_eq!(post(&sim, "floors", &[]).to_string().matches(r#""status":"3""#).count(), 1);
    assert_eq!(try_it(1).1["deliver_status"], "0", "it fell, and nobody says so");
    assert_eq!(try_it(1).1["floor_status"], "2");
    assert_eq!(try_it(1).1["deliver_status"], "1", "nothing fell, and it is said to have");
    assert_eq!(order(&sim, 60)["records"][0]["status"], "IS_SUCCESS");
}

#[test]
fn a_delivery_without_a_result_times_out() {
    let sim = start();
    let notices = Notices::start();
    lane(&sim, "A21", json!({"outcomes": [{"silent": true, "dropped": true}]}));
    ok(new_order(&sim, 131, 2, 1, &notices.url));
    put(&sim, "orders/60", &[("status", "1")]);
    let id = ok(deliver(&sim, 60, 78))["delivery_id"].as_str().expect("a text").to_owned();
    advance(&sim, 44_999);
    assert_eq!(failure(deliver(&sim, 60, 79)).1, 400, "the machine is locked for 45 s");
    advance(&sim, 1);
    ok(deliver(&sim, 60, 79));
    advance(&sim, 700);
    assert_eq!(notices.next()["record_id"], 79);
    advance(&sim, 120_000 - 45_700 - 1);
    assert!(notices.none_waiting(&sim));
    advance(&sim, 1);
    let notice = notices.next();
    assert_eq!((&notice["deliver_status"], &notice["record_id"]), (&json!("0"), &json!(78)));
    assert_eq!(order(&sim, 60)["records"][0]["status"], "IS_TIMEOUT");
    assert_eq!(post(&sim, &format!("deliveries/{id}"), &[])["fail_reason"], "Delivery Timeout");
    assert_eq!(dispenses(&sim).len(), 2, "and yet it fell");
}

#[test]
fn a_result_waits_for_the_connection() {
    let sim = start();
    let notices = Notices::start();
    ok(new_order(&sim, 131, 2, 1, &notices.url));
    put(&sim, "orders/60", &[("status", "1")]);
    ok(deliver(&sim, 60, 78));
    machine(&sim, MACHINE, json!({"is_online": false}));
    advance(&sim, 60_000);
    assert!(notices.none_waiting(&sim));
    set(&sim, json!({"debug_mode": true}));
    assert_eq!(failure(deliver(&sim, 60, 79)).1, 30002, "the debug mode does not apply to deliveries");
    machine(&sim, MACHINE, json!({"is_online": true}));
    assert_eq!(notices.next()["deliver_status"], "1");
    // The machine may report early, and something else than planned.
    let id = ok(deliver(&sim, 60, 79))["delivery_id"].as_str().expect("a text").to_owned();
    let path = format!("/_sim/dingshang/deliveries/{id}/result");
    control(&sim, "POST", &path, json!({"error": "Over Current"}));
    assert_eq!(notices.next()["error_msg"], "Over Current");
    assert_eq!(sim.control("POST", &path, Value::Null).0, 409);
    let what = json!({"for": "record", "order_id": 60, "record_id": 79, "status": "IS_FAILED"});
    control(&sim, "POST", "/_sim/wait", what);
}

#[test]
fn lanes_are_tried_by_name() {
    let sim = start();
    let notices = Notices::start();
    let debug = |channel: &str| {
        let pairs = [DELIVER, ("channel_name", channel), ("notify_url", &*notices.url)];
        ask(&sim, "POST", "deliveries/debug", &payload(MACHINE, &pairs))
    };
    let id = ok(debug("A20"))["delivery_id"].as_str().expect("a text").to_owned();
    assert_eq!(failure(debug("A21")).1, 400, "busy");
    advance(&sim, 700);
    let notice = notices.next();
    assert_eq!((&notice["order_id"], &notice["deliver_status"]), (&json!(0), &json!("1")));
    assert_eq!(post(&sim, &format!("deliveries/{id}"), &[])["status"], "出货完成");
    assert_eq!(dispenses(&sim)[0]["lane"], "A20");
    assert_eq!((failure(debug("A23")).1, failure(debug("Z99")).1), (60003, 80002));
    assert_eq!(refused(&sim, "deliveries/debug", &[DELIVER, ("channel_name", "A20")]), 10001);
    assert_eq!(refused(&sim, "deliveries/debug", &[("method", "x")]), 10001);
    let (status, unknown) = ask(&sim, "POST", "deliveries/5121000000000000", &payload(MACHINE, &[]));
    assert_eq!((status, &unknown["code"], &unknown["message"]), (404, &json!(404), &json!("Not Found")));
    assert_eq!(refused(&sim, "deliveries", &[DELIVER, ("order_id", "60"), ("record_id", "78")]), 80002);
    assert_eq!(refused(&sim, "deliveries", &[("method", "x")]), 10001);
    let stopped = payload(STOPPED, &[DELIVER, ("channel_name", "A00"), ("notify_url", "x")]);
    assert_eq!(failure(ask(&sim, "POST", "deliveries/debug", &stopped)).1, 30004);
}

#[test]
fn notices_get_lost_doubled_late_and_contradicted() {
    let sim = start();
    let notices = Notices::start();
    let dispense = || {
        let pairs = [DELIVER, ("channel_name", "B01"), ("notify_url", &*notices.url)];
        ok(ask(&sim, "POST", "deliveries/debug", &payload(MACHINE, &pairs)));
        advance(&sim, 700);
    };
    let status = || notices.next()["deliver_status"].as_str().expect("a text").to_owned();
    set(&sim, json!({"notify_lost": true}));
    dispense();
    assert!(notices.none_waiting(&sim));
    set(&sim, json!({"notify_lost": false, "notify_duplicate": 1, "notify_contradict": true}));
    dispense();
    assert_eq!([status(), status(), status()], ["1", "1", "0"]);
    set(&sim, json!({"notify_duplicate": 0, "notify_contradict": false, "notify_delay_ms": 5000}));
    dispense();
    advance(&sim, 4999 - 700);
    assert!(notices.none_waiting(&sim));
    advance(&sim, 701);
    assert_eq!(status(), "1");
    set(&sim, json!({"notify_delay_ms": 0, "notify_error_key": "fail_reason"}));
    dispense();
    let notice = notices.next();
    assert_eq!((&notice["fail_reason"], notice.get("error_msg")), (&json!(""), None));
    set(&sim, json!({"notify_error_key": "both", "notify_form": "form"}));
    dispense();
    let (head, body) = notices.arrived.recv_timeout(LIMIT).expect("a notice");
    assert!(head.contains("application/x-www-form-urlencoded"));
    assert!(body.as_str().is_some_and(|b| b.contains("deliver_status=1&error_msg=&")), "{body}");

    // The common rules work here too, and a press of the dashboard's button.
    set(&sim, json!({"notify_error_key": "error_msg", "notify_form": "json"}));
    control(&sim, "POST", "/_sim/callbacks/rules", json!({"do": "forge", "platform": "dingshang"}));
    dispense();
    assert_eq!(status(), "0", "unsigned as they are, anybody could have sent this");
    ok(new_order(&sim, 142, 1, 1, &notices.url));
    let button = "/_sim/dingshang/orders/60/records/78/notice";
    control(&sim, "POST", button, json!({"success": true}));
    control(&sim, "POST", button, json!({"success": false, "error": "Lift Goods"}));
    assert_eq!((status(), notices.next()["error_msg"].clone()), ("1".into(), json!("Lift Goods")));
    assert_eq!(order(&sim, 60)["records"][0]["status"], "WAITING_PICKED_UP", "a notice is only a notice");
}

#[test]
fn a_notice_never_leaves_this_machine() {
    let sim = start();
    let pairs = [DELIVER, ("channel_name", "B01"), ("notify_url", "https://example.com/notice")];
    ok(ask(&sim, "POST", "deliveries/debug", &payload(MACHINE, &pairs)));
    advance(&sim, 700);
    let all = control(&sim, "GET", "/_sim/callbacks?platform=dingshang", Value::Null);
    assert_eq!(all["deliveries"][0]["progress"], "no_url");
    // A common address catches such notices.
    let notices = Notices::start();
    control(&sim, "POST", "/_sim/callbacks", json!({"platform": "dingshang", "url": notices.url}));
    ok(ask(&sim, "POST", "deliveries/debug", &payload(MACHINE, &pairs)));
    advance(&sim, 700);
    assert_eq!(notices.next()["deliver_status"], "1");
}

#[test]
fn restocking() {
    let sim = start();
    let product = |id: &str, add: &str| {
        let pairs = [("method", "replenishment.product.id"), ("product_id", id), ("current_inventory", add)];
        ask(&sim, "POST", "replenishments", &payload(MACHINE, &pairs))
    };
    assert_eq!(ok(product("131", "5")), json!({}));
    assert_eq!(inventory(&sim, 131), 10);
    let (_, above) = product("131", "1");
    assert_eq!((&above["code"], &above["message"]), (&json!(0), &json!("超出货道最大库存")));
    assert_eq!((failure(product("9", "1")).1, failure(product("131", "-1")).1), (80002, 10001));
    let category =
        [("method", "replenishment.category.id"), ("category_id", "2"), ("current_inventory", "8")];
    let (_, above) = ask(&sim, "POST", "replenishments", &payload(MACHINE, &category));
    assert_eq!(above["message"], "1 个货道库存更新失败, 超出货道最大库存");
    assert_eq!((inventory(&sim, 132), inventory(&sim, 133)), (1, 8), "what fits is done");
    assert_eq!(
        post(&sim, "replenishments", &[("method", "replenishment.machine.all"), ("cabinet_name", "A")]),
        json!({})
    );
    assert_eq!((inventory(&sim, 1_323_442), inventory(&sim, 132)), (10, 8));
    assert_eq!(refused(&sim, "replenishments", &[("method", "x")]), 10001);
    set(&sim, json!({"replenishments_served": false}));
    assert_eq!(failure(product("131", "1")), (404, 404));
}

#[test]
fn any_other_number_can_be_ordered() {
    let sim = start();
    let refusal = json!({"operation": "consume", "code": 6044, "message": "sorry, permission denied",
        "http_status": 403, "count": 2});
    control(&sim, "POST", "/_sim/dingshang/refusals", refusal);
    assert_eq!(ok(ask(&sim, "POST", "ping", "")), "pong");
    let fails = || failure(consume(&sim, "1", "131", TRADE, "x"));
    assert_eq!((fails(), fails(), fails()), ((403, 6044), (403, 6044), (400, 80002)));
    assert_eq!(control(&sim, "DELETE", "/_sim/dingshang/refusals", Value::Null), json!([]));
}

#[test]
fn a_lost_answer_to_a_delivery_has_moved_the_motor_once() {
    let sim = start();
    ok(new_order(&sim, 131, 1, 1, "http://127.0.0.1:9/"));
    put(&sim, "orders/60", &[("status", "1")]);
    let fault = json!({"platform": "dingshang", "method": "deliver", "fault": "act_then_drop"});
    control(&sim, "POST", "/_sim/faults", fault);
    let body = payload(MACHINE, &[DELIVER, ("order_id", "60"), ("record_id", "78")]);
    assert_eq!(send(&sim, "POST", &format!("{BASE}deliveries"), HEADERS, &body), None);
    assert_eq!(dispenses(&sim).len(), 1);
    assert_eq!(order(&sim, 60)["records"][0]["status"], "IS_DELIVERING");
    advance(&sim, 700);
    assert_eq!(failure(deliver(&sim, 60, 78)).1, 6034);
    assert_eq!(dispenses(&sim).len(), 1);
}

#[test]
fn the_world_can_be_kept_and_put_back() {
    let sim = start();
    let (_, code) = new_code(&sim, "131", &[]);
    ok(consume(&sim, &code, "131", TRADE, "http://127.0.0.1:9/"));
    ok(deliver(&sim, 60, 78));
    let kept = control(&sim, "GET", "/_sim/world", Value::Null)["platforms"]["dingshang"].clone();
    control(&sim, "POST", "/_sim/reset", Value::Null);
    control(&sim, "PUT", "/_sim/world", json!({"platforms": {"dingshang": kept}}));
    let back = control(&sim, "GET", "/_sim/world", Value::Null)["platforms"]["dingshang"].clone();
    assert_eq!(back, kept);
    assert_eq!(failure(consume(&sim, &code, "131", &trade(2), "x")).1, 10025);
    assert_eq!(sim.control("PATCH", "/_sim/world", json!({"platforms": {"dingshang": {"x": 1}}})).0, 400);
    assert_eq!(sim.control("POST", "/_sim/dingshang/settings", json!({"x": 1})).0, 400);
    assert_eq!(sim.control("GET", "/_sim/dingshang/nothing", Value::Null).0, 404);
}
