//! Spoiled requests over plain HTTP: each is answered or its connection ended, no thread of the simulator panics, and clean
//! requests are still served. Deterministic; `KIOSKLINK_FUZZ_ITERATIONS` makes it longer and `KIOSKLINK_FUZZ_SEED` repeats a
//! case.

#[path = "../../tests/common/mutate.rs"]
mod mutate;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kiosklink_sim::{Options, Simulator};
use md5::{Digest, Md5};
use mutate::{Rng, cases, mutate, mutate_text};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(20);

/// What the panicking threads of the simulator said.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn listen_for_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let thread = std::thread::current();
            if thread.name().is_some_and(|name| name.starts_with("sim-")) {
                PANICS.lock().expect("nobody panics here").push(info.to_string());
            }
            usual(info);
        }));
    });
}

/// Sends bytes, ends the sending side, and reads what comes until the end.
fn exchange(sim: &Simulator, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(("127.0.0.1", sim.port())).expect("it listens");
    socket.set_read_timeout(Some(LIMIT)).expect("a timeout");
    socket.set_write_timeout(Some(LIMIT)).expect("a timeout");
    // It may have answered and closed before it had everything.
    if socket.write_all(bytes).is_ok() {
        socket.shutdown(Shutdown::Write).unwrap_or_default();
    }
    let mut got = Vec::new();
    match socket.read_to_end(&mut got) {
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("neither an answer nor an end to {:?}", String::from_utf8_lossy(bytes))
        }
        _ => got,
    }
}

fn post(target: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).into() } else { format!("%{b:02X}") })
        .collect()
}

fn md5(text: &str) -> String {
    Md5::digest(text).iter().map(|b| format!("{b:02x}")).collect()
}

/// Yopoint's form, signed.
fn yopoint(sim: &Simulator, method: &str, biz: &str) -> Vec<u8> {
    let account = sim.info()["platforms"]["yopoint"].clone();
    let now = now_ms(sim) / 1000;
    let fields = [
        ("appid", account["app_id"].as_str().expect("a text").to_owned()),
        ("biz_content", biz.to_owned()),
        ("method", method.to_owned()),
        ("sign_type", "md5".into()),
        ("timestamp", now.to_string()),
        ("version", "1.0.0".into()),
    ];
    let text: String = fields.iter().map(|(n, v)| format!("{n}={v}&")).collect();
    let sign = md5(&(text + account["app_secret"].as_str().expect("a text")));
    let body: String = fields.iter().map(|(n, v)| format!("{n}={}&", escaped(v))).collect();
    let target = "/yopoint/api/gateway/index";
    post(target, "application/x-www-form-urlencoded", &format!("{body}sign={sign}"))
}

/// Dingshang's payload, signed.
fn dingshang(sim: &Simulator, method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let account = sim.info()["platforms"]["dingshang"].clone();
    let word = |key: &str| account[key].as_str().expect("a text").to_owned();
    let now = (now_ms(sim) / 1000).to_string();
    let mut all: Vec<_> = fields.iter().copied().filter(|(_, v)| !v.is_empty()).collect();
    all.push(("timestamp", &now));
    all.sort_unstable();
    let text: String = all.iter().map(|(n, v)| format!("{n}={v}&")).collect();
    let sign = md5(&format!("{text}key={}", word("app_key"))).to_uppercase();
    all.push(("sign", &sign));
    let object: serde_json::Map<_, _> = all.iter().map(|(n, v)| ((*n).to_owned(), json!(v))).collect();
    let body = json!({"payload": STANDARD.encode(Value::Object(object).to_string())}).to_string();
    let length = body.len();
    format!(
        "{method} /dingshang/api/openapi/v1{path} HTTP/1.1\r\nHost: localhost\r\nAppid: {}\r\nAppSecret: {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}",
        word("app_id"), word("app_secret"),
    )
    .into_bytes()
}

fn youzan_token(sim: &Simulator) -> String {
    let account = sim.info()["platforms"]["youzan"].clone();
    let body = json!({
        "client_id": account["client_id"], "client_secret": account["client_secret"],
        "authorize_type": "silent", "grant_id": account["grant_id"], "refresh": false,
    });
    let got = exchange(sim, &post("/youzan/auth/token", "application/json", &body.to_string()));
    let text = String::from_utf8_lossy(&got).into_owned();
    let body = text.split_once("\r\n\r\n").expect("an answer").1;
    let answer: Value = serde_json::from_str(body).expect("JSON");
    answer["data"]["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn zhiyun(sim: &Simulator, action: &str, query: &str) -> Vec<u8> {
    let account = sim.info()["platforms"]["zhiyun"].clone();
    let word = |key: &str| account[key].as_str().expect("a text").to_owned();
    let t = now_ms(sim);
    let basic = STANDARD.encode(format!("{}:{}", word("client_id"), word("client_secret")));
    format!(
        "GET /zhiyun/apis/rest/{action}?access_token={}&client_id={}&t_={t}&p_={}&{query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {basic}\r\n\r\n",
        word("access_token"), word("client_id"), t % 10_000 * 3 + 2345,
    )
    .into_bytes()
}

fn now_ms(sim: &Simulator) -> i64 {
    sim.control("GET", "/_sim/clock", Value::Null).1["now_ms"].as_i64().expect("a number")
}

const CABINET: &str = "5f6da2362201410011000001";
const MACHINE: &str = "16327129";

/// A well-formed request whose parameters are spoiled before they are signed, so that what lies behind the signature is
/// reached too. `spoil` leaves some of them alone.
fn request(sim: &Simulator, token: &str, rng: &mut Rng, spoil: bool) -> Vec<u8> {
    let value = |rng: &mut Rng, sample: &str| {
        if spoil && rng.one_in(2) { mutate_text(rng, sample, "\"x\":[1,null]") } else { sample.to_owned() }
    };
    match rng.below(4) {
        0 => {
            let methods = [
                "api.test",
                "cabinet.list",
                "cabinet.product.stock",
                "cabinet.open.door",
                "cabinet.order.get",
                "cabinet.order.list",
                "consumer.order.list",
                "consumer.order.get",
                "cabinet.order.refund.apply",
                "cabinet.order.user.appeal",
            ];
            let method = *rng.pick(&methods);
            let biz = format!(
                r#"{{"CID":"{CABINET}","page":1,"pageSize":20,"StartTime":1,"EndTime":5000000,"ReceiptNo":"VI1","TradeNo":"T","Door":"1","UserRefundsReason":"x"}}"#
            );
            let biz = value(rng, &biz);
            yopoint(sim, method, &biz)
        }
        1 => {
            let paths = [
                ("POST", "/ping"),
                ("POST", "/rent/machines"),
                ("POST", "/rent/machines/16327129"),
                ("POST", "/products"),
                ("POST", "/floors"),
                ("POST", "/categories"),
                ("POST", "/banners"),
                ("POST", "/deliveries"),
                ("POST", "/deliveries/debug"),
                ("POST", "/deliveries/60"),
                ("POST", "/consumes"),
                ("POST", "/pickup_codes"),
                ("PUT", "/pickup_codes"),
                ("POST", "/products/131/pickup_code"),
                ("POST", "/orders/60"),
                ("PUT", "/orders/60"),
                ("POST", "/replenishments"),
            ];
            let (method, path) = *rng.pick(&paths);
            let samples = [
                ("machine_no", MACHINE),
                ("page", "1"),
                ("per_page", "10"),
                ("product_id", "131"),
                ("quantity", "1"),
                ("count", "2"),
                ("code_length", "7"),
                ("code", "938810"),
                ("expired_at", "2030-12-31 23:59:59"),
                ("trade_id", "20240612000000000001"),
                ("notify_url", "http://127.0.0.1:1/n"),
                ("order_id", "60"),
                ("record_id", "78"),
                ("channel_name", "A21"),
                ("status", "1"),
                ("method", "pickup_code.product.id"),
                ("category_id", "0"),
            ];
            let fields: Vec<_> = samples.iter().map(|(n, v)| (*n, value(rng, v))).collect();
            let chosen: Vec<_> =
                fields.iter().map(|(n, v)| (*n, v.as_str())).filter(|_| !rng.one_in(6)).collect();
            let path = if spoil && rng.one_in(6) {
                mutate_text(rng, path, "..").replace([' ', '\r', '\n'], "%20")
            } else {
                path.into()
            };
            if path != "/orders" && !rng.one_in(10) {
                return dingshang(sim, method, &path, &chosen);
            }
            let order = format!(
                r#"{{"machine_no":"{MACHINE}","trade_id":"20240612000000000009","notify_url":"http://127.0.0.1:1/n","products":[{{"product_id":131,"quantity":1}}]}}"#
            );
            let order = value(rng, &order);
            post("/dingshang/api/openapi/v1/orders", "application/json", &order)
        }
        2 => {
            let apis = [
                ("youzan.trade.get/4.0.1", r#"{"tid":"E20260101000000000000001"}"#),
                (
                    "youzan.trades.sold.get/4.0.4",
                    r#"{"start_created":"2024-01-01 00:00:00","end_created":"2024-01-31 00:00:00","page_no":1,"page_size":20}"#,
                ),
                ("youzan.items.onsale.get/3.0.0", r#"{"page_no":1,"page_size":20,"q":"茶","tag_id":1}"#),
                (
                    "youzan.multistore.offline.search/3.0.0",
                    r#"{"type":"self_fetch","page_no":1,"page_size":10}"#,
                ),
                ("youzan.trade.selffetchcode.get/3.0.0", r#"{"code":"10000000001"}"#),
                ("youzan.trade.selffetchcode.apply/3.0.0", r#"{"code":"10000000001","extra_info":"k"}"#),
                ("youzan.trade.virtualcode.get/3.0.0", r#"{"code":"E20260101000000000000911"}"#),
                ("youzan.trade.virtualticket.get/3.0.0", r#"{"code":"20260101000000000021"}"#),
                ("youzan.trade.virtualticket.verifyticket/3.0.0", r#"{"ticket_code":"200000000003"}"#),
                ("youzan.item.quantity.update/3.0.0", r#"{"item_id":1,"sku_id":1,"quantity":3,"type":1}"#),
                ("youzan.item.get/3.0.0", r#"{"item_id":1}"#),
            ];
            let (api, params) = *rng.pick(&apis);
            let params = value(rng, params);
            post(&format!("/youzan/api/{api}?access_token={token}"), "application/json", &params)
        }
        _ => {
            let actions =
                ["authService/authorize", "userService/getUserInfo", "companyService/getCompanyInfo"];
            let form = if rng.one_in(2) { "json" } else { "xml" };
            let action = format!("{}/{form}", rng.pick(&actions));
            let query = value(rng, "auth_code=c3a8ad070c745db455e30a51511dca819b607bf7&t_=1&p_=2348");
            zhiyun(sim, &action, &query.replace([' ', '\r', '\n'], "%20"))
        }
    }
}

/// Control requests; those that make the simulator slow or mute on purpose are left out.
const CONTROLS: &[(&str, &str, &str)] = &[
    ("GET", "/_sim", ""),
    ("GET", "/_sim/stats", ""),
    ("GET", "/_sim/world", ""),
    ("GET", "/_sim/openings", ""),
    ("GET", "/_sim/requests?method=api.test&limit=3", ""),
    ("GET", "/_sim/callbacks", ""),
    ("POST", "/_sim/clock", r#"{"now_ms":1700000000000,"freeze":false,"rate":1.0,"offset_ms":5}"#),
    ("POST", "/_sim/clock/advance", r#"{"ms":1000}"#),
    (
        "POST",
        "/_sim/faults",
        r#"{"platform":"yopoint","method":"api.test","fault":"act_then_drop","count":1,"at":2,"percent":30}"#,
    ),
    ("DELETE", "/_sim/faults", ""),
    (
        "POST",
        "/_sim/world",
        r#"{"cabinets":[{"id":"5f6da2362201410011000001","name":"x","online":true}],"goods":[{"barcode":"69","price":5}]}"#,
    ),
    ("POST", "/_sim/dingshang/settings", r#"{"page_size":3}"#),
    (
        "POST",
        "/_sim/dingshang/refusals",
        r#"{"operation":"ping","code":6017,"message":"sorry","data":{},"count":1}"#,
    ),
    ("POST", "/_sim/youzan/settings", r#"{"rate_limit":3}"#),
    ("POST", "/_sim/youzan/tokens/kill", r#"{"mode":"expired"}"#),
    ("POST", "/_sim/zhiyun/settings", r#"{"window_ms":300000}"#),
    (
        "POST",
        "/_sim/callbacks",
        r#"{"platform":"yopoint","method":"api.test","content":{},"url":"http://127.0.0.1:1/n"}"#,
    ),
    ("POST", "/_sim/visit/shut", r#"{"cabinet":"5f6da2362201410011000001","door":1}"#),
    ("POST", "/_sim/reset", r#"{}"#),
    ("GET", "/_sim/tls", ""),
];

/// It still serves, and nothing in it broke.
fn is_well(sim: &Simulator) {
    let (status, answer) = sim.control("POST", "/_sim/reset", json!({}));
    assert_eq!(status, 200, "{answer}");
    let got = exchange(sim, &yopoint(sim, "api.test", "{}"));
    let text = String::from_utf8_lossy(&got).into_owned();
    assert!(text.starts_with("HTTP/1.1 200") && text.contains(r#""error_code":0"#), "{text}");
    let got = exchange(sim, b"GET /_sim/stats HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(got.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&got));
    let panics = PANICS.lock().expect("nobody panics here");
    assert!(panics.is_empty(), "{}", panics.join("\n"));
}

/// A thread that dies leaves its connection on the list.
fn all_connections_end(sim: &Simulator) {
    let end = Instant::now() + LIMIT;
    loop {
        let open = sim.control("GET", "/_sim/stats", Value::Null).1["open_connections"].as_u64();
        if open == Some(0) {
            return;
        }
        assert!(Instant::now() < end, "{open:?} connections are still open");
        std::thread::yield_now();
    }
}

#[test]
fn spoiled_requests_are_answered_and_leave_the_simulator_well() {
    listen_for_panics();
    let sim = Simulator::start(Options::default()).expect("it starts");
    let mut token = youzan_token(&sim);
    let mut n = 0;
    cases(1500, |rng| {
        let spoil = !rng.one_in(8);
        let mut bytes = request(&sim, &token, rng, spoil);
        if rng.one_in(3) {
            let other = request(&sim, &token, rng, false);
            bytes = mutate(rng, &bytes, &other);
        }
        // TLS has its own tests, and waits for the rest of a record.
        if bytes.first() == Some(&0x16) {
            return;
        }
        exchange(&sim, &bytes);
        n += 1;
        if n % 250 == 0 {
            is_well(&sim);
            token = youzan_token(&sim);
        }
    });
    is_well(&sim);
    all_connections_end(&sim);
}

#[test]
fn spoiled_controls_are_answered_and_leave_the_simulator_well() {
    listen_for_panics();
    let sim = Simulator::start(Options::default()).expect("it starts");
    let mut n = 0;
    cases(1500, |rng| {
        let (method, path, body) = *rng.pick(CONTROLS);
        let (_, _, other) = *rng.pick(CONTROLS);
        let path =
            if rng.one_in(4) { mutate_text(rng, path, "?platform=x&limit=2") } else { path.to_owned() };
        // What it is told to wait for, it waits for.
        if ["wait", "stop"].iter().any(|word| path.contains(word)) {
            return;
        }
        let body = mutate_text(rng, body, other);
        if rng.one_in(2) {
            let path = path.replace([' ', '\r', '\n'], "%20");
            let length = body.len();
            let text = format!(
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            let mut bytes = text.into_bytes();
            if rng.one_in(4) {
                bytes = mutate(rng, &bytes, b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n");
            }
            if bytes.first() != Some(&0x16) {
                exchange(&sim, &bytes);
            }
        } else if let Ok(json) = serde_json::from_str(&body) {
            sim.control(method, &path, json);
        }
        // What it was told to do now, it shall do to a request.
        if rng.one_in(4) {
            let body = yopoint(&sim, "api.test", "{}");
            exchange(&sim, &body);
        }
        n += 1;
        if n % 100 == 0 {
            is_well(&sim);
        }
    });
    is_well(&sim);
    all_connections_end(&sim);
}
