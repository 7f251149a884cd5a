//! The Youzan platform, seen by a client that knows nothing but HTTP.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use kiosklink_sim::{Options, Simulator};
use md5::{Digest, Md5};
use serde_json::{Value, json};

const CLIENT: &str = "yz-test-client-0001";
const SECRET: &str = "yz-test-secret-0001";
const TOOL: &str = "yz-test-client-0002";
const TOOL_SECRET: &str = "yz-test-secret-0002";
const SHOP: i64 = 90_000_001;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

const CODE_GET: &str = "youzan.trade.selffetchcode.get/3.0.0";
const CODE_APPLY: &str = "youzan.trade.selffetchcode.apply/3.0.0";

struct Answer {
    status: u16,
    head: String,
    body: Value,
}

/// One request on a connection of its own.
fn http(port: u16, method: &str, path: &str, kind: &str, body: &str) -> Answer {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("the simulator listens");
    let kind = if kind.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{kind}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    socket.write_all(text.as_bytes()).expect("sent");
    let mut got = String::new();
    socket.read_to_string(&mut got).expect("an answer");
    let (head, body) = got.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    Answer { status, head: head.into(), body: serde_json::from_str(body).unwrap_or(Value::Null) }
}

struct Bench {
    sim: Simulator,
    token: String,
}

impl Bench {
    /// A simulator whose clock stands still, and a token for the shop.
    fn new() -> Self {
        let sim = Simulator::start(Options::default()).expect("it starts");
        let mut bench = Self { sim, token: String::new() };
        bench.control("/_sim/clock", json!({"freeze": true}));
        bench.token = bench.fresh()["access_token"].as_str().expect("a token").to_owned();
        bench
    }

    fn control(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.sim.control("POST", path, body);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    fn read(&self, path: &str) -> Value {
        self.sim.control("GET", path, Value::Null).1
    }

    fn set(&self, settings: Value) {
        self.control("/_sim/youzan/settings", settings);
    }

    fn advance(&self, ms: i64) {
        self.control("/_sim/clock/advance", json!({"ms": ms}));
    }

    fn idle(&self) {
        self.control("/_sim/wait", json!({"for": "callbacks_idle"}));
    }

    fn now(&self) -> i64 {
        self.read("/_sim/clock")["now_ms"].as_i64().expect("a time")
    }

    fn redemptions(&self) -> Vec<Value> {
        self.read("/_sim/youzan/redemptions").as_array().cloned().expect("a list")
    }

    fn auth(&self, body: Value) -> Value {
        let answer =
            http(self.sim.port(), "POST", "/youzan/auth/token", "application/json", &body.to_string());
        assert_eq!(answer.status, 200);
        answer.body
    }

    fn silent(&self, refresh: Value) -> Value {
        self.auth(json!({
            "client_id": CLIENT, "client_secret": SECRET, "authorize_type": "silent",
            "grant_id": "90000001", "refresh": refresh,
        }))
    }

    fn fresh(&self) -> Value {
        let answer = self.silent(json!(false));
        assert_eq!(answer["success"], json!(true), "{answer}");
        assert_eq!(answer["code"], json!(200));
        assert!(answer["message"].is_null());
        answer["data"].clone()
    }

    fn renew(&self, refresh_token: &Value) -> Value {
        self.auth(json!({
            "client_id": CLIENT, "client_secret": SECRET, "authorize_type": "refresh_token",
            "refresh_token": refresh_token,
        }))
    }

    fn with(&self, token: &str, api: &str, params: Value) -> Value {
        let path = format!("/youzan/api/{api}?access_token={token}");
        let answer = http(self.sim.port(), "POST", &path, "application/json", &params.to_string());
        assert_eq!(answer.status, 200);
        answer.body
    }

    fn call(&self, api: &str, params: Value) -> Value {
        self.with(&self.token, api, params)
    }

    fn shop(&self) -> Value {
        self.call("youzan.shop.get/3.0.0", json!({}))
    }

    /// The data of a success in the new envelope.
    fn data(&self, api: &str, params: Value) -> Value {
        let answer = self.call(api, params);
        assert_eq!(answer["success"], json!(true), "{api}: {answer}");
        assert_eq!(answer["code"], json!(200));
        assert!(answer["trace_id"].as_str().is_some_and(|t| t.starts_with("yz7-")));
        answer["data"].clone()
    }

    /// The code and text of a refusal in the new envelope.
    fn refused(&self, api: &str, params: Value) -> (i64, String) {
        let answer = self.call(api, params);
        assert_eq!(answer["success"], json!(false), "{api}: {answer}");
        assert!(answer["data"].is_null() && answer.get("request_id").is_some());
        (answer["code"].as_i64().expect("a code"), answer["message"].as_str().expect("a text").into())
    }

    /// The payload of a success in the old envelope.
    fn response(&self, api: &str, params: Value) -> Value {
        let answer = self.call(api, params);
        assert!(answer["response"].is_object(), "{api}: {answer}");
        answer["response"].clone()
    }

    /// The code and text of a refusal in the old envelope.
    fn error(&self, api: &str, params: Value) -> (i64, String) {
        let answer = self.call(api, params);
        let error = &answer["error_response"];
        let code = error["code"].as_i64().unwrap_or_else(|| panic!("{api}: {answer}"));
        (code, error["msg"].as_str().expect("a text").into())
    }
}

/// The gateway's code.
fn gateway(answer: &Value) -> i64 {
    assert!(answer.get("code").is_none() && answer.get("success").is_none(), "{answer}");
    assert!(answer["gw_err_resp"]["err_msg"].is_string() && answer["gw_err_resp"]["trace_id"].is_string());
    answer["gw_err_resp"]["err_code"].as_i64().expect("a code")
}

fn tid(n: u64) -> String {
    format!("E20260101000000{n:09}")
}

fn md5_hex(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// A message as the receiver got it.
struct Got {
    line: String,
    head: String,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        let found = self.head.lines().filter_map(|l| l.split_once(": ")).find(|(n, _)| *n == name);
        found.map(|(_, v)| v).unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// What `msg` says, its encoding undone.
    fn msg(&self) -> Value {
        let text = self.json()["msg"].as_str().expect("a text").replace('+', "%20");
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'%' => {
                    let hex = [rest.next().expect("a digit"), rest.next().expect("a digit")];
                    u8::from_str_radix(std::str::from_utf8(&hex).expect("ascii"), 16).expect("hex")
                }
                other => other,
            });
        }
        serde_json::from_slice(&bytes).expect("JSON in msg")
    }

    fn header_sign_holds(&self) -> bool {
        self.header("Event-Sign") == md5_hex(&format!("{CLIENT}{}{SECRET}", self.body))
    }

    fn body_sign_holds(&self) -> bool {
        let body = self.json();
        let msg = body["msg"].as_str().map_or_else(|| body["msg"].to_string(), str::to_owned);
        body["sign"] == json!(md5_hex(&format!("{CLIENT}{msg}{SECRET}")))
    }
}

/// Takes messages and answers each with the next of the answers, the last one for ever.
fn receiver(answers: &'static [&'static str]) -> (String, Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://127.0.0.1:{}/push", listener.local_addr().expect("an address").port());
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for (n, socket) in listener.incoming().enumerate() {
            let Ok(mut socket) = socket else { return };
            let mut bytes = Vec::new();
            let mut piece = [0u8; 4096];
            let (head, body) = loop {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: "));
                    if body.len() >= length.and_then(|l| l.parse().ok()).unwrap_or(0) {
                        break (head.to_owned(), body.to_owned());
                    }
                }
                match socket.read(&mut piece) {
                    Ok(0) | Err(_) => return,
                    Ok(n) => bytes.extend_from_slice(&piece[..n]),
                }
            };
            let (line, head) = head.split_once("\r\n").expect("a request line");
            let got = Got { line: line.into(), head: head.into(), body };
            let answer = answers[n.min(answers.len() - 1)];
            let (status, text) = answer.split_once(' ').expect("a status and a body");
            let reply = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{text}", text.len());
            let _ = socket.write_all(reply.as_bytes());
            if send.send(got).is_err() {
                return;
            }
        }
    });
    (url, receive)
}

const TAKEN: &str = r#"200 {"code":0,"msg":"success"}"#;
const AGAIN: &str = r#"200 {"code":0,"msg":"failed"}"#;

fn next(receive: &Receiver<Got>) -> Got {
    receive.recv_timeout(Duration::from_secs(10)).expect("a message")
}

fn listen(bench: &Bench, answers: &'static [&'static str]) -> Receiver<Got> {
    let (url, receive) = receiver(answers);
    bench.control("/_sim/callbacks", json!({"platform": "youzan", "account": CLIENT, "url": url}));
    receive
}

#[test]
fn a_token_dies_in_the_middle_of_a_call() {
    let mut bench = Bench::new();
    bench.control("/_sim/faults", json!({"fault": "kill_token", "platform": "youzan"}));
    let first = bench.call(CODE_APPLY, json!({"code": "10000000001"}));
    assert!(first["error_response"]["code"] == json!(4203) || first.to_string().contains("4203"), "{first}");
    assert!(bench.redemptions().is_empty());
    bench.token = bench.fresh()["access_token"].as_str().expect("a token").to_owned();
    bench.call(CODE_APPLY, json!({"code": "10000000001"}));
    assert_eq!(bench.redemptions().len(), 1);
}

#[test]
fn credentials_are_in_the_words_of_an_accounts_file() {
    let bench = Bench::new();
    let account = &bench.sim.accounts("/ca.pem")["accounts"]["youzan"];
    assert_eq!(account["platform"], json!("youzan"));
    assert_eq!(account["client_id"], json!(CLIENT));
    assert_eq!(account["client_secret"], json!(SECRET));
    assert_eq!(account["grant_id"], json!("90000001"));
    assert!(account["base_url"].as_str().is_some_and(|u| u.ends_with("/youzan")));
}

#[test]
fn a_live_token_comes_back_the_same() {
    let bench = Bench::new();
    let first = bench.fresh();
    assert_eq!(first["expires"], json!(bench.now() + 7 * DAY));
    assert_eq!(first["authority_id"], json!("90000001"));
    assert!(first["scope"].as_str().is_some_and(|s| s.contains("selffetchcode")));
    bench.advance(3 * DAY);
    assert_eq!(bench.fresh(), first);
    // The shop's number may come as a number.
    let body =
        json!({"client_id": CLIENT, "client_secret": SECRET, "authorize_type": "silent", "grant_id": SHOP});
    assert_eq!(bench.auth(body)["data"], first);
    bench.advance(4 * DAY - 1);
    assert_eq!(bench.shop()["code"], json!(200));
    bench.advance(1);
    assert_eq!(gateway(&bench.shop()), 4202);
    assert_ne!(bench.fresh()["access_token"], first["access_token"]);
}

#[test]
fn refresh_makes_a_new_token_and_leaves_the_old_one_an_hour() {
    let bench = Bench::new();
    for refresh in [json!(true), json!("true")] {
        let before = bench.fresh();
        assert_eq!(bench.silent(json!("false"))["data"], before);
        assert_ne!(bench.silent(refresh)["data"]["access_token"], before["access_token"]);
    }
    bench.advance(HOUR - 1);
    assert_eq!(bench.shop()["code"], json!(200));
    bench.advance(1);
    assert_eq!(gateway(&bench.shop()), 4202);
    bench.set(json!({"old_token_after_silent": "dead"}));
    let old = bench.fresh()["access_token"].as_str().expect("a token").to_owned();
    bench.silent(json!(true));
    assert_eq!(gateway(&bench.with(&old, "youzan.shop.get/3.0.0", json!({}))), 4202);
}

#[test]
fn a_lost_answer_to_refresh_token_can_be_had_again_for_an_hour() {
    let bench = Bench::new();
    let first = bench.fresh();
    let second = bench.renew(&first["refresh_token"])["data"].clone();
    assert_ne!(second["access_token"], first["access_token"]);
    bench.advance(HOUR - 1);
    assert_eq!(bench.renew(&first["refresh_token"])["data"], second);
    // The first use of the new one ends the old one.
    let third = bench.renew(&second["refresh_token"])["data"].clone();
    assert_eq!(bench.renew(&first["refresh_token"])["code"], json!(1103));
    bench.advance(HOUR);
    assert_eq!(bench.renew(&second["refresh_token"])["code"], json!(1103));
    assert_eq!(bench.renew(&json!("made-up"))["code"], json!(1103));
    bench.advance(28 * DAY - HOUR);
    assert_eq!(bench.renew(&third["refresh_token"])["code"], json!(1103));
}

#[test]
fn what_becomes_of_the_old_access_token_can_be_chosen() {
    for (fate, at_once, after_an_hour) in
        [("grace", true, false), ("dead", false, false), ("kept", true, true)]
    {
        let bench = Bench::new();
        bench.set(json!({"old_token_after_refresh": fate}));
        bench.renew(&bench.fresh()["refresh_token"]);
        let works = || bench.shop()["success"] == json!(true);
        assert_eq!(works(), at_once, "{fate}");
        bench.advance(HOUR);
        assert_eq!(works(), after_an_hour, "{fate}");
    }
}

#[test]
fn a_storm_of_refreshes_yields_one_pair() {
    let bench = Bench::new();
    let refresh = bench.fresh()["refresh_token"].clone();
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..16).map(|_| scope.spawn(|| bench.renew(&refresh)["data"].clone())).collect();
        all.into_iter().map(|t| t.join().expect("joined")).collect()
    });
    assert!(answers.iter().all(|a| *a == answers[0] && a["access_token"].is_string()));
    bench.set(json!({"token_limit": {"calls": 2, "window_ms": 1000}}));
    assert_eq!(bench.silent(json!(false))["code"], json!(200));
    assert_eq!(bench.silent(json!(false))["code"], json!(200));
    assert_eq!(bench.silent(json!(false))["code"], json!(4101));
    bench.advance(1000);
    assert_eq!(bench.silent(json!(false))["code"], json!(200));
}

#[test]
fn whether_silent_gives_a_refresh_token_can_be_chosen() {
    for (given, plain, refreshed) in
        [("always", true, true), ("on_refresh", false, true), ("never", false, false)]
    {
        let bench = Bench::new();
        bench.set(json!({"silent_refresh_token": given}));
        let has = |refresh: bool| bench.silent(json!(refresh))["data"].get("refresh_token").is_some();
        assert_eq!((has(false), has(true)), (plain, refreshed), "{given}");
    }
}

#[test]
fn every_error_of_the_token_address() {
    let bench = Bench::new();
    let ask = |changes: Value| {
        let mut body = json!({
            "client_id": CLIENT, "client_secret": SECRET, "authorize_type": "silent",
            "grant_id": "90000001", "refresh": false,
        });
        for (key, value) in changes.as_object().expect("an object") {
            body[key] = value.clone();
        }
        let answer = bench.auth(body);
        assert_eq!(answer["success"], json!(false), "{answer}");
        assert!(answer["data"].is_null());
        (answer["code"].as_i64().expect("a code"), answer["message"].as_str().expect("a text").to_owned())
    };
    let is = |code: i64, text: &str| (code, text.to_owned());
    assert_eq!(ask(json!({"client_secret": "wrong"})), is(1000, "应用信息错误"));
    assert_eq!(ask(json!({"client_id": "nobody"})), is(1103, "Client 不存在"));
    assert_eq!(ask(json!({"grant_id": "90000002"})), is(1103, "授权关系不存在"));
    assert_eq!(ask(json!({"authorize_type": "authorization_code"})), is(1105, "不支持的应用类型"));
    assert_eq!(ask(json!({"authorize_type": "odd"})), is(1105, "不支持的应用类型"));
    let tool = json!({"client_id": TOOL, "client_secret": TOOL_SECRET});
    assert_eq!(ask(tool), is(1105, "不支持的应用类型"));
    bench.control("/_sim/youzan/tokens/kill", json!({"mode": "lapse"}));
    assert_eq!(ask(json!({})), is(1004, "授权关系已过期"));
    let form = "application/x-www-form-urlencoded;charset=UTF-8";
    let answer = http(bench.sim.port(), "POST", "/youzan/auth/token", form, "client_id=x");
    assert_eq!(answer.body["code"], json!(1000));
    assert_eq!(
        answer.body["message"],
        json!(format!("Content type '{form}' not supported,Please use 'application/json;charset=UTF-8'"))
    );
    // No secret stands in the request log.
    assert!(!bench.read("/_sim/requests").to_string().contains(SECRET));
}

#[test]
fn authorisation_codes_work_once_and_for_two_minutes() {
    let bench = Bench::new();
    let code = |body: Value| bench.control("/_sim/youzan/codes", body)["code"].clone();
    let change = |code: &Value| {
        bench.auth(json!({
            "client_id": TOOL, "client_secret": TOOL_SECRET, "authorize_type": "authorization_code",
            "code": code, "redirect_uri": "https://example.com/back",
        }))
    };
    let good = code(json!({"kdt_id": 90_000_002}));
    let answer = change(&good);
    assert_eq!(answer["data"]["authority_id"], json!("90000002"));
    let token = answer["data"]["access_token"].as_str().expect("a token");
    assert_eq!(bench.with(token, "youzan.shop.get/3.0.0", json!({}))["data"]["type"], json!("7"));
    assert_eq!(change(&good)["code"], json!(1005));
    assert_eq!(change(&json!("made-up"))["message"], json!("非法授权码"));
    let other = change(&code(json!({"client_id": CLIENT})));
    assert_eq!((&other["code"], &other["message"]), (&json!(1103), &json!("授权应用不匹配")));
    let late = code(json!({}));
    bench.advance(120_000);
    assert_eq!(change(&late)["code"], json!(1005));
}

#[test]
fn the_gateway_checks_in_its_order() {
    let bench = Bench::new();
    let port = bench.sim.port();
    let ask = |method: &str, path: &str, kind: &str, body: &str| {
        let answer = http(port, method, path, kind, body);
        assert_eq!(answer.status, 200);
        gateway(&answer.body)
    };
    let json_type = "application/json";
    let good = format!("/youzan/api/{CODE_GET}?access_token={}", bench.token);
    // Each request has every later fault too.
    for path in ["/youzan/api/youzan.trade.get", "/youzan/api/a/1/b", "/youzan/elsewhere"] {
        assert_eq!(ask("PUT", path, "text/plain", "x"), 4001);
    }
    for path in ["/youzan/api/youzan.no.such/3.0.0", "/youzan/api/youzan.trade.get/9.9.9"] {
        assert_eq!(ask("PUT", path, "text/plain", "x"), 4005);
    }
    assert_eq!(ask("POST", &good.replace("/api/", "/api/_textarea_/"), json_type, "{}"), 4008);
    let bare = format!("/youzan/api/{CODE_GET}");
    assert_eq!(ask("PUT", &bare, json_type, "x"), 4007);
    let odd = http(port, "POST", &bare, "text/plain", "x");
    let text = json!("非法的请求姿势，httpMethod:POST, contentType:text/plain");
    assert_eq!(odd.body["gw_err_resp"]["err_msg"], text);
    assert_eq!(ask("POST", &bare, json_type, "x"), 4201);
    assert_eq!(ask("POST", &format!("{bare}?access_token=unknown"), json_type, "x"), 4203);
    assert_eq!(ask("POST", &good.replace("/api/", "/api/auth_exempt/"), json_type, "x"), 4201);
    bench.set(json!({"exempt_apis": ["youzan.shop.get"]}));
    let exempt = http(port, "POST", "/youzan/api/auth_exempt/youzan.shop.get/3.0.0", json_type, "{}");
    assert_eq!(exempt.body["data"]["id"], json!(SHOP));
    assert_eq!(ask("POST", &good, json_type, "x"), 4004);
    assert_eq!(ask("POST", &good, json_type, "[]"), 4004);
    // A token in the body is not looked at.
    let body = json!({"access_token": bench.token}).to_string();
    assert_eq!(ask("POST", &bare, json_type, &body), 4201);
    bench.set(json!({"ip_refused": "203.0.113.7"}));
    let refused = http(port, "POST", &bare, json_type, "{}");
    let text = refused.body["gw_err_resp"]["err_msg"].as_str().expect("a text").to_owned();
    assert!(text.contains("203.0.113.7") && text.contains("IP白名单"));
    assert_eq!(gateway(&refused.body), 4007);
}

#[test]
fn bodies_may_be_forms_and_queries() {
    let bench = Bench::new();
    let port = bench.sim.port();
    let path = format!("/youzan/api/{CODE_GET}?access_token={}", bench.token);
    let form = http(port, "POST", &path, "application/x-www-form-urlencoded", "code=10000000001");
    assert_eq!(form.body["response"]["status"], json!(0));
    let query = http(port, "GET", &format!("{path}&code=10000000001"), "", "");
    assert_eq!(query.body["response"]["code"], json!("10000000001"));
    bench.set(json!({"accept_get": false}));
    assert_eq!(gateway(&http(port, "GET", &path, "", "").body), 4007);
    let multipart = "--B\r\nContent-Disposition: form-data; name=\"code\"\r\n\r\n10000000001\r\n--B--\r\n";
    let parts = http(port, "POST", &path, "multipart/form-data; boundary=B", multipart);
    assert_eq!(parts.body["response"]["status"], json!(0));
}

#[test]
fn tokens_die_in_three_ways_and_between_two_calls() {
    let mut bench = Bench::new();
    let kill = |bench: &Bench, how: Value| bench.control("/_sim/youzan/tokens/kill", how);
    kill(&bench, json!({"mode": "lapse"}));
    assert_eq!(gateway(&bench.shop()), 4201);
    kill(&bench, json!({"mode": "restore"}));
    assert_eq!(bench.shop()["code"], json!(200));
    kill(&bench, json!({"mode": "expire"}));
    assert_eq!(gateway(&bench.shop()), 4202);
    bench.token = bench.fresh()["access_token"].as_str().expect("a token").to_owned();
    kill(&bench, json!({"after": 1}));
    assert_eq!(bench.shop()["code"], json!(200));
    assert_eq!(bench.shop()["code"], json!(200));
    assert_eq!(gateway(&bench.shop()), 4202);
    kill(&bench, json!({"mode": "forget"}));
    assert_eq!(gateway(&bench.shop()), 4203);
}

#[test]
fn rights_limits_and_quota() {
    let bench = Bench::new();
    let mut apps = bench.read("/_sim/youzan/settings")["apps"].clone();
    apps[0]["apis"] = json!(["youzan.item.get"]);
    bench.set(json!({"apps": apps}));
    assert_eq!(gateway(&bench.shop()), 4204);
    apps[0]["apis"] = Value::Null;
    bench.set(json!({"apps": apps, "rate_limits": true, "qps": {"youzan.item.quantity.update": 2}}));
    let update = || {
        let params = json!({"item_id": 400_000_001, "quantity": 5});
        bench.call("youzan.item.quantity.update/3.0.0", params)
    };
    assert_eq!(update()["code"], json!(200));
    assert_eq!(update()["code"], json!(200));
    assert_eq!(gateway(&update()), 4101);
    bench.advance(1000);
    assert_eq!(update()["code"], json!(200));
    // The advised back-off outlives a limit of ten seconds.
    bench.control("/_sim/youzan/throttle", json!({"ms": 10_000}));
    let mut tries = 0;
    for pause in [3, 6, 12, 24, 48] {
        if bench.shop().get("gw_err_resp").is_none() {
            break;
        }
        tries += 1;
        bench.advance(pause * 1000);
    }
    assert_eq!(tries, 3);
    bench.set(json!({"limit_shape": "bare"}));
    for (code, body) in [
        (4101, json!({"code": "4101", "msg": "访问频繁"})),
        (500_100_004, json!({"msg": "请求被限流", "code": 500_100_004})),
        (123_000_042, json!({"code": 123_000_042, "success": false, "message": "请求被限流"})),
    ] {
        bench.control("/_sim/youzan/throttle", json!({"api": "youzan.shop.get", "code": code, "count": 1}));
        assert_eq!(bench.shop(), body);
    }
    bench.control("/_sim/youzan/throttle", json!({"code": 141_500_203, "count": 1}));
    let limited = bench.refused("youzan.shop.get/3.0.0", json!({}));
    assert_eq!(limited, (141_500_203, "api rate limiting".into()));
    assert_eq!(bench.shop()["code"], json!(200));
    bench.set(json!({"quota": 1}));
    assert_eq!(bench.shop()["code"], json!(200));
    assert_eq!(gateway(&bench.shop()), 4204);
}

#[test]
fn every_documented_code_on_demand() {
    let bench = Bench::new();
    let of_the_gateway =
        [4001, 4004, 4005, 4006, 4007, 4008, 4009, 4010, 4101, 4201, 4202, 4203, 4204, 5001, 5002, 5003];
    for code in of_the_gateway {
        bench.control("/_sim/youzan/errors", json!({"code": code}));
        assert_eq!(gateway(&bench.shop()), code);
    }
    let of_the_apis = [
        5000,
        50_000,
        53_001,
        53_002,
        80_001,
        101_300_000,
        101_600_002,
        102_510_001,
        102_570_007,
        102_570_020,
        102_599_996,
        105_000_003,
        105_000_016,
        106_000_001,
        106_100_118,
        106_000_003,
        106_000_004,
        106_100_110,
        120_009_001,
        121_000_100,
        122_001_001,
        123_005_001,
        123_000_104,
        123_003_023,
        123_004_002,
        160_900_100,
        160_950_100,
        234_000_002,
        234_000_003,
        500_000_000,
        500_000_003,
        500_100_004,
        123_000_042,
        141_500_203,
    ];
    for code in of_the_apis {
        bench.control("/_sim/youzan/errors", json!({"code": code, "api": "youzan.shop.get", "count": 1}));
        let (got, text) = bench.refused("youzan.shop.get/3.0.0", json!({}));
        assert!(got == code && !text.is_empty());
    }
    // An error after the fact.
    let error = json!({"code": 80_001, "act": true, "api": "youzan.trade.selffetchcode.apply"});
    bench.control("/_sim/youzan/errors", error);
    let answer = bench.error(CODE_APPLY, json!({"code": "10000000001"}));
    assert_eq!(answer, (80_001, "服务请求失败,请重试!".into()));
    assert_eq!(bench.redemptions().len(), 1);
    assert_eq!(bench.response(CODE_GET, json!({"code": "10000000001"}))["status"], json!(1));
}

#[test]
fn plain_http_is_redirected_when_asked() {
    let bench = Bench::new();
    bench.set(json!({"redirect_plain_http": true}));
    let answer = http(bench.sim.port(), "POST", "/youzan/auth/token?a=b", "application/json", "{}");
    assert_eq!(answer.status, 301);
    let location = format!("Location: {}/youzan/auth/token?a=b", bench.sim.origin());
    assert!(answer.head.contains(&location), "{}", answer.head);
}

#[test]
fn a_pickup_code_is_redeemed_once() {
    let bench = Bench::new();
    let before = bench.response(CODE_GET, json!({"code": "10000000001"}));
    assert_eq!(before["status"], json!(0));
    assert_eq!(before["tid"], json!(tid(1)));
    let trade = &before["trade"];
    assert_eq!(trade["status"], json!("WAIT_SELLER_SEND_GOODS"));
    assert_eq!((&trade["shipping_type"], &trade["refund_state"]), (&json!("fetch"), &json!("NO_REFUND")));
    assert_eq!((&trade["price"], &trade["payment"]), (&json!("2.00"), &json!("4.00")));
    assert_eq!(trade["orders"][0]["num"], json!("2"));
    assert_eq!(trade["fetch_detail"]["shop_id"], json!(700_001));
    let some = bench.response(CODE_GET, json!({"code": "10000000001", "fields": "tid, status"}));
    assert_eq!(some["trade"].as_object().map(|t| t.len()), Some(2));

    let apply = json!({"code": "10000000001", "extra_info": "K-7"});
    assert_eq!(bench.call(CODE_APPLY, apply.clone()), json!({"response": {"is_success": true}}));
    assert_eq!(bench.error(CODE_APPLY, apply), (50_000, "不能重复核销订单!".into()));
    let after = bench.response(CODE_GET, json!({"code": "10000000001"}));
    assert_eq!((&after["status"], &after["extra_info"]), (&json!(1), &json!("K-7")));
    let order = bench.data("youzan.trade.get/4.0.0", json!({"tid": tid(1)}));
    assert_eq!(order["full_order_info"]["order_info"]["status"], json!("TRADE_SUCCESS"));

    let done = bench.redemptions();
    assert_eq!(done.len(), 1);
    assert_eq!((&done[0]["code"], &done[0]["kind"]), (&json!("10000000001"), &json!("self_fetch")));
    let cause = &done[0]["cause"];
    assert_eq!((&cause["by"], &cause["trade_no"]), (&json!("youzan"), &json!("K-7")));
    let log = bench.read(&format!("/_sim/requests?number={}", cause["request"]));
    assert_eq!(log[0]["method"], json!("youzan.trade.selffetchcode.apply"));
    bench.control("/_sim/wait", json!({"for": "redemptions", "code": "10000000001"}));
    bench.control("/_sim/wait", json!({"for": "youzan_order", "tid": tid(1), "status": "TRADE_SUCCESS"}));
}

#[test]
fn a_redemption_whose_answer_is_lost_has_happened() {
    let bench = Bench::new();
    let fault = json!({
        "fault": "empty_body", "platform": "youzan", "method": "youzan.trade.selffetchcode.apply", "count": 1,
    });
    bench.control("/_sim/faults", fault);
    let apply = json!({"code": "10000000001"});
    assert_eq!(bench.call(CODE_APPLY, apply.clone()), Value::Null);
    assert_eq!(bench.error(CODE_APPLY, apply), (50_000, "不能重复核销订单!".into()));
    assert_eq!(bench.redemptions().len(), 1);
}

#[test]
fn codes_in_every_state() {
    let bench = Bench::new();
    let apply = |code: &str| bench.error(CODE_APPLY, json!({"code": code})).1;
    assert_eq!(apply("10000000002"), "不能重复核销订单!");
    assert_eq!(apply("10000000003"), "订单已退款,不能核销");
    assert_eq!(apply("10000000004"), "订单不存在");
    assert_eq!(apply("10000000005"), "提货码已过期");
    assert_eq!(apply("10000000007"), "订单未支付,不能核销");
    assert_eq!(apply("10000000008"), "订单退款中,不能核销");
    assert_eq!(apply("99999999999"), "订单不存在");
    for odd in ["", "123", "abcdefghijk", "selfFetch10000000001"] {
        assert_eq!(apply(odd), "提货码（code）格式不正确");
    }
    assert_eq!(bench.error(CODE_GET, json!({"code": "10000000004"})).1, "订单不存在");
    assert_eq!(bench.response(CODE_GET, json!({"code": "10000000002"}))["status"], json!(1));
    let refunded = bench.response(CODE_GET, json!({"code": "10000000003"}));
    assert_eq!(refunded["trade"]["refund_state"], json!("FULL_REFUNDED"));
    assert!(bench.redemptions().is_empty());
    bench.set(json!({"redeem_while_refunding": true}));
    let number = json!({"code": 10_000_000_008_i64});
    assert_eq!(bench.response(CODE_APPLY, number)["is_success"], json!(true));
    // A code that expires as time passes.
    let pickup = json!({"code": "20000000001", "expires_ms": bench.now() + 1000});
    let order = bench.control("/_sim/youzan/orders", json!({"pickup": pickup}));
    bench.advance(1000);
    assert_eq!(apply("20000000001"), "提货码已过期");
    let path = format!("/_sim/youzan/orders/{}", order["tid"].as_str().expect("a tid"));
    bench.control(&path, json!({"pickup": {"expires_ms": 0}}));
    assert_eq!(bench.response(CODE_APPLY, json!({"code": "20000000001"}))["is_success"], json!(true));
}

#[test]
fn a_periodic_order_goes_on_to_its_next_period() {
    let bench = Bench::new();
    let code = json!({"code": "10000000006"});
    let before = bench.response(CODE_GET, code.clone());
    assert_eq!((&before["current_count"], &before["total_count"]), (&json!(8), &json!(10)));
    bench.response(CODE_APPLY, code.clone());
    assert_eq!(bench.response(CODE_GET, code.clone())["status"], json!(0));
    bench.response(CODE_APPLY, code.clone());
    assert_eq!(bench.response(CODE_GET, code.clone())["status"], json!(1));
    assert_eq!(bench.error(CODE_APPLY, code).0, 50_000);
    assert_eq!(bench.redemptions().len(), 2);
}

#[test]
fn one_of_many_at_once_succeeds_unless_it_is_racy() {
    let race = |bench: &Bench, code: &str| {
        std::thread::scope(|scope| {
            let apply = || bench.call(CODE_APPLY, json!({"code": code}));
            let all: Vec<_> = (0..8).map(|_| scope.spawn(apply)).collect();
            let won = all.into_iter().map(|t| t.join().expect("joined"));
            won.filter(|a| a.get("response").is_some()).count()
        })
    };
    let bench = Bench::new();
    assert_eq!(race(&bench, "10000000001"), 1);
    assert_eq!(bench.redemptions().len(), 1);
    bench.set(json!({"race_window_ms": 50}));
    assert_eq!(race(&bench, "10000000009"), 8);
    assert_eq!(bench.redemptions().len(), 9);
    bench.advance(51);
    assert_eq!(bench.error(CODE_APPLY, json!({"code": "10000000009"})).0, 50_000);
}

#[test]
fn queries_lag_behind_when_asked() {
    let bench = Bench::new();
    bench.set(json!({"query_lag_ms": 30_000}));
    let status = || {
        let order = bench.data("youzan.trade.get/4.0.0", json!({"tid": tid(1)}));
        order["full_order_info"]["order_info"]["status"].clone()
    };
    let code = || bench.response(CODE_GET, json!({"code": "10000000001"}))["status"].clone();
    bench.response(CODE_APPLY, json!({"code": "10000000001"}));
    assert_eq!((status(), code()), (json!("WAIT_SELLER_SEND_GOODS"), json!(1)));
    bench.set(json!({"lag_covers_codes": true}));
    assert_eq!(code(), json!(0));
    bench.advance(30_000);
    assert_eq!((status(), code()), (json!("TRADE_SUCCESS"), json!(1)));
}

#[test]
fn virtual_codes() {
    let bench = Bench::new();
    let (get, apply) = ("youzan.trade.virtualcode.get/3.0.0", "youzan.trade.virtualcode.apply/3.0.0");
    let code = |n: u64| json!({"code": tid(900 + n)});
    let before = bench.response(get, code(11));
    assert_eq!((&before["status"], &before["use_time"]), (&json!(1), &json!("")));
    assert_eq!(before["tid"], json!(tid(11)));
    assert_eq!(bench.response(apply, code(11)), json!({"is_success": true}));
    assert_eq!(bench.response(get, code(11))["status"], json!(2));
    assert_eq!(bench.error(apply, code(11)), (101_600_002, "订单已被核销,重复核销无效".into()));
    assert_eq!(bench.error(apply, code(12)), (101_600_002, "订单已被核销,重复核销无效".into()));
    assert_eq!(bench.error(apply, code(13)), (101_600_002, "订单已被关闭无法核销".into()));
    assert_eq!(bench.error(apply, json!({"code": tid(999)})), (101_300_000, "订单不存在".into()));
    assert_eq!(bench.error(apply, json!({})), (50_000, "找不到虚拟商品的交易码".into()));
    assert_eq!(bench.error(get, json!({"code": "x"})), (50_000, "找不到虚拟商品的交易码".into()));
    assert_eq!(bench.redemptions().len(), 1);
}

#[test]
fn vouchers_and_their_tickets() {
    let bench = Bench::new();
    let get = "youzan.trade.virtualticket.get/3.0.0";
    let one = "youzan.trade.virtualticket.verifyticket/3.0.0";
    let all = "youzan.trade.virtualticket.verifycode/3.0.0";
    let code = json!({"code": "20260101000000000021"});
    let before = bench.response(get, code.clone());
    assert_eq!((&before["state"], &before["tid"]), (&json!("NOT_VERIFY"), &json!(tid(21))));
    let first = &before["tickets"][0];
    assert_eq!((&first["ticket_state"], &first["verify_time"]), (&json!("NOT_VERIFY"), &json!("")));
    assert_eq!(before["tickets"][2]["ticket_state"], json!("VERIFIED"));
    bench.set(json!({"ticket_states_as_prose": true}));
    assert_eq!(bench.response(get, code.clone())["state"], json!("NOT_VERIFIED"));

    let ticket = |n: u64| json!({"ticket_code": format!("{}", 200_000_000_000 + n)});
    assert_eq!(bench.response(one, ticket(1)), json!({"is_success": true}));
    assert_eq!(bench.error(one, ticket(1)), (50_000, "电子卡券已核销".into()));
    assert_eq!(bench.error(one, ticket(4)).1, "电子卡券已过期");
    assert_eq!(bench.error(one, ticket(5)).1, "电子卡券退款中");
    assert_eq!(bench.error(one, ticket(6)).1, "电子卡券不可用");
    assert_eq!(bench.error(one, ticket(99)), (50_000, "电子码券不存在".into()));
    bench.set(json!({"unknown_ticket_code": 5000}));
    assert_eq!(bench.error(one, ticket(99)).0, 5000);
    let done = json!({"code": 1, "successful": true, "msg": "successful"});
    assert_eq!(bench.response(all, code.clone()), done);
    assert_eq!(bench.response(get, code.clone())["state"], json!("VERIFIED"));
    assert_eq!(bench.error(all, code), (50_000, "电子卡券已核销".into()));
    assert_eq!(bench.error(all, json!({"code": "x"})), (50_000, "没有该订单的电子卡券信息".into()));
    assert_eq!(bench.error(get, json!({"code": "x"})), (50_000, "没有该订单的电子卡券信息".into()));
    assert_eq!(bench.redemptions().len(), 2);
    let order = bench.data("youzan.trade.get/4.0.2", json!({"tid": tid(21)}));
    assert_eq!(order["full_order_info"]["order_info"]["status"], json!("TRADE_SUCCESS"));
    assert_eq!(order["full_order_info"]["orders"][0]["item_type"], json!(183));
}

#[test]
fn orders_in_full() {
    let bench = Bench::new();
    let get =
        |version: &str, n: u64| bench.data(&format!("youzan.trade.get/{version}"), json!({"tid": tid(n)}));
    let order = get("4.0.0", 9);
    let info = &order["full_order_info"];
    assert_eq!(info["order_info"]["express_type"], json!(1));
    assert_eq!(info["order_info"]["status_str"], json!("待发货"));
    assert_eq!(info["order_info"]["consign_time"], json!(""));
    assert_eq!(info["pay_info"]["payment"], json!("14.90"));
    let line = &info["orders"][0];
    assert_eq!(
        (&line["sku_id"], &line["price"], &line["num"]),
        (&json!(500_021), &json!("14.90"), &json!(1))
    );
    let named = line["sku_properties_name"].as_str().expect("a text");
    let named: Value = serde_json::from_str(named).expect("JSON in sku_properties_name");
    assert_eq!(named[0]["v"], json!("大杯"));
    assert!(line.get("sku_no").is_none());
    assert_eq!(get("4.0.1", 9)["full_order_info"]["orders"][0]["sku_no"], json!("S0021"));
    assert_eq!(get("4.0.2", 9)["full_order_info"]["orders"][0]["unified_sku_id"], json!(500_021));
    let fetch = info["address_info"]["self_fetch_info"].as_str().expect("a text");
    let fetch: Value = serde_json::from_str(fetch).expect("JSON in self_fetch_info");
    assert_eq!((&fetch["id"], &fetch["user_name"]), (&json!(700_001), &json!("张三")));
    assert_eq!(order["delivery_order"], json!([]));

    let shipped = get("4.0.0", 31);
    assert_eq!(shipped["full_order_info"]["address_info"]["self_fetch_info"], json!(""));
    assert_eq!(shipped["full_order_info"]["orders"][0]["sku_properties_name"], json!("[]"));
    let express = &shipped["delivery_order"][0]["dists"][0]["express_info"];
    assert_eq!(express["express_no"], json!("770000000000031"));
    assert_eq!(get("4.0.0", 3)["refund_order"][0]["refund_fee"], json!("4.00"));
    assert!(info["order_info"]["order_tags"].get("is_refund").is_none());

    let trade = "youzan.trade.get/4.0.0";
    assert_eq!(bench.refused(trade, json!({"tid": tid(4)})), (5000, "trade not found".into()));
    assert_eq!(bench.refused(trade, json!({"tid": tid(77)})), (5000, "trade not found".into()));
    assert_eq!(bench.refused(trade, json!({"tid": "E1"})).0, 106_000_004);
    bench.set(json!({"encrypt_personal": true}));
    let name = get("4.0.0", 1)["full_order_info"]["address_info"]["receiver_name"].clone();
    assert!(name.as_str().is_some_and(|n| n.starts_with('$') && n.ends_with("$1$")));
}

#[test]
fn lists_of_orders() {
    let bench = Bench::new();
    let sold = "youzan.trades.sold.get/4.0.4";
    let all = bench.data(sold, json!({}));
    assert_eq!(all["total_results"], json!(15));
    assert_eq!(all["full_order_info_list"].as_array().map(Vec::len), Some(15));
    let page = bench.data(sold, json!({"page_no": 3, "page_size": 7}));
    assert_eq!(page["total_results"], json!(15));
    assert_eq!(page["full_order_info_list"].as_array().map(Vec::len), Some(1));
    let count = |params: Value| bench.data(sold, params)["total_results"].clone();
    assert_eq!(count(json!({"express_type": "SELF_FETCH"})), json!(8));
    assert_eq!(count(json!({"status": "TRADE_CLOSED"})), json!(2));
    assert_eq!(count(json!({"tid": tid(9)})), json!(1));
    assert_eq!(count(json!({"offline_id": 700_001})), json!(8));
    assert_eq!(count(json!({"keywords": "咖啡"})), json!(1));
    assert_eq!(count(json!({"receiver_phone": "13800000000"})), json!(8));

    let order = bench.data("youzan.trade.get/4.0.0", json!({"tid": tid(5)}));
    let created = order["full_order_info"]["order_info"]["created"].clone();
    assert_eq!(count(json!({"start_created": created, "end_created": created})), json!(1));
    let one = |params: Value| bench.refused(sold, params);
    assert_eq!(one(json!({"page_size": 101})), (5000, "每页最多显示100条数据".into()));
    assert_eq!(one(json!({"page_no": 101})).0, 5000);
    let span = |from: &str, to: &str| json!({"start_pay": from, "end_pay": to});
    let reversed = one(span("2024-02-01 00:00:00", "2024-01-01 00:00:00"));
    assert_eq!(reversed, (5000, "开始时间不能大于结束时间".into()));
    assert_eq!(count(span("2024-01-01 00:00:00", "2024-04-01 00:00:00")), json!(0));
    let long = one(span("2024-01-01 00:00:00", "2024-04-01 00:00:01"));
    assert_eq!(long, (5000, "时间跨度不能超过3个月".into()));
    assert_eq!(one(json!({"end_update": "2099-01-01 00:00:00"})).0, 106_000_003);
    assert_eq!(gateway(&bench.call(sold, json!({"start_created": "2024-01-01"}))), 5001);
    assert_eq!(gateway(&bench.call(sold, json!({"page_no": "x"}))), 5001);
    // Orders before 2020 are in the first version only.
    let old = json!({"tid": tid(500), "created_ms": 1_500_000_000_000_i64, "message": null});
    bench.control("/_sim/youzan/orders", old);
    assert_eq!(count(json!({})), json!(15));
    assert_eq!(bench.data("youzan.trades.sold.get/4.0.0", json!({}))["total_results"], json!(16));
}

#[test]
fn delivery_and_logistics() {
    let bench = Bench::new();
    let (confirm, sign) = ("youzan.logistics.online.confirm/3.0.0", "youzan.logistics.online.marksign/3.0.0");
    let query = "youzan.logistics.expressbyorderno.get/3.0.0";
    let parcel = bench.data(query, json!({"tid": tid(31)}));
    assert_eq!((&parcel["com"], &parcel["state"]), (&json!("shentong"), &json!(0)));
    let track = parcel["data"].as_str().expect("a text");
    let track: Value = serde_json::from_str(track).expect("JSON in data");
    assert_eq!(track[0]["status"], json!("揽收"));
    assert!(parcel["created_time"].is_string());
    bench.set(json!({"logistics_created_number": true, "logistics_under_code": true}));
    let odd = bench.call(query, json!({"tid": tid(31)}));
    assert!(odd["code"]["created_time"].is_number() && odd["success"] == json!(true));
    bench.set(json!({"logistics_under_code": false}));
    assert_eq!(bench.refused(query, json!({"tid": tid(32)})), (120_009_001, "查询的数据不存在".into()));

    let ship = |params: Value| bench.refused(confirm, params).0;
    assert_eq!(ship(json!({"tid": tid(77)})), 105_000_016);
    assert_eq!(ship(json!({"tid": tid(31)})), 102_570_007);
    assert_eq!(ship(json!({"tid": tid(32), "oids": "x"})), 102_599_996);
    assert_eq!(ship(json!({"tid": tid(32), "out_stype": 1})), 105_000_003);
    assert_eq!(ship(json!({"tid": tid(32), "oids": "1", "is_no_express": 1})), 102_570_020);
    assert_eq!(bench.error(sign, json!({"tid": tid(32)})), (50_000, "订单不存在".into()));
    let done = bench.data(confirm, json!({"tid": tid(32), "out_stype": 5, "out_sid": "SF123"}));
    assert_eq!(done, json!({"is_success": true}));
    assert_eq!(bench.data(query, json!({"tid": tid(32)}))["nu"], json!("SF123"));
    assert_eq!(bench.response(sign, json!({"tid": tid(32)})), json!({"is_success": true}));
    let memo = json!({"tid": tid(32), "memo": "取走", "flag": 3});
    assert_eq!(bench.response("youzan.trade.memo.update/3.0.0", memo), json!({"is_success": true}));
    let order = bench.data("youzan.trade.get/4.0.0", json!({"tid": tid(32)}));
    assert_eq!(order["full_order_info"]["remark_info"]["trade_memo"], json!("取走"));
    assert_eq!(order["full_order_info"]["order_info"]["status"], json!("TRADE_SUCCESS"));
}

#[test]
fn items_in_fen_and_skus_in_yuan() {
    let bench = Bench::new();
    let get = "youzan.item.get/3.0.0";
    let coffee = bench.data(get, json!({"item_id": 400_000_002}))["item"].clone();
    assert_eq!((&coffee["price"], &coffee["quantity"]), (&json!(1290), &json!(13)));
    assert_eq!(coffee["skus"][0]["price"], json!(1490));
    assert_eq!(coffee["skus"][0]["sku_unique_code"], json!("400000002500021"));
    assert_eq!(bench.data(get, json!({"alias": "yztest0002"}))["item"], coffee);
    assert!(bench.data(get, json!({"item_id": 400_000_004}))["item"]["virtual_extend"].is_object());
    for odd in [json!({"item_id": 400_000_009}), json!({}), json!({"alias": "x"})] {
        assert_eq!(bench.refused(get, odd).0, 122_001_001);
    }
    let sku = json!({"item_id": 400_000_002, "sku_id": 500_021});
    assert_eq!(bench.data("youzan.item.sku.get/3.0.0", sku)["sku"]["price"], json!("14.90"));
    let none = json!({"item_id": 400_000_002, "sku_id": 1});
    assert_eq!(bench.refused("youzan.item.sku.get/3.0.0", none).0, 123_004_002);
    let detail = bench.data("youzan.item.detail.get/1.0.2", json!({"item_id": 400_000_002}));
    assert_eq!((&detail["sku_list"][1]["stock_num"], &detail["price"]), (&json!(5), &json!(1290)));
    let asked = json!({"request": {"kdt_id": SHOP, "item_code": "P0001", "channel": 1}});
    let retail = bench.data("youzan.item.itemdetail.get/1.0.0", asked);
    assert_eq!((&retail["stock_num"], &retail["stock_num_str"]), (&json!(100_000), &json!("100")));
}

#[test]
fn items_on_sale() {
    let bench = Bench::new();
    let list = "youzan.items.onsale.get/3.0.0";
    let all = bench.data(list, json!({}));
    assert_eq!(all["count"], json!(5));
    assert_eq!(all["items"].as_array().map(Vec::len), Some(5));
    let sorted = bench.data(list, json!({"order_by": "price:asc", "page_size": 2, "page_no": 1}));
    assert_eq!((&sorted["count"], &sorted["items"][0]["price"]), (&json!(5), &json!(200)));
    assert_eq!(bench.data(list, json!({"q": "咖啡"}))["count"], json!(1));
    assert_eq!(bench.refused(list, json!({"order_by": "odd:asc"})), (121_000_100, "内部服务错误".into()));
    assert_eq!(bench.refused(list, json!({"page_no": 100, "page_size": 40})).0, 121_000_100);
    bench.set(json!({"lists_beside_data": true}));
    let beside = bench.call(list, json!({}));
    assert_eq!((&beside["count"], &beside["data"]), (&json!(5), &json!({})));
    assert!(beside["items"].is_array());
}

#[test]
fn stock_is_set_and_added_to() {
    let bench = Bench::new();
    let update = "youzan.item.quantity.update/3.0.0";
    let stock = |id: i64| bench.data("youzan.item.get/3.0.0", json!({"item_id": id}))["item"].clone();
    let set = |params: Value| assert_eq!(bench.data(update, params), json!({"is_success": true}));
    set(json!({"item_id": 400_000_001, "quantity": 7}));
    set(json!({"item_id": 400_000_001, "quantity": 7}));
    assert_eq!(stock(400_000_001)["quantity"], json!(7));
    set(json!({"item_id": 400_000_001, "quantity": 3, "type": 1}));
    set(json!({"item_id": 400_000_001, "quantity": -4, "type": 1}));
    assert_eq!(stock(400_000_001)["quantity"], json!(6));
    set(json!({"item_id": 400_000_002, "sku_id": 500_022, "quantity": 1}));
    assert_eq!(stock(400_000_002)["skus"][1]["quantity"], json!(1));
    let newer =
        json!({"kdt_id": SHOP, "item_id": 400_000_001, "channel": 0, "stock_num_str": "12", "type": 0});
    bench.data("youzan.item.quantity.update/4.0.0", newer);
    assert_eq!(stock(400_000_001)["quantity"], json!(12));
    let bad = |params: Value| bench.refused(update, params);
    assert_eq!(bad(json!({"item_id": 1, "quantity": 1})), (123_005_001, "商品不存在".into()));
    assert_eq!(bad(json!({"item_id": 400_000_002, "quantity": 1})).0, 123_004_002);
    assert_eq!(bad(json!({"item_id": 400_000_002, "sku_id": 9, "quantity": 1})).0, 123_004_002);
    assert_eq!(bad(json!({"item_id": 400_000_006, "quantity": 1})).0, 123_003_023);
    let kind = bad(json!({"item_id": 400_000_001, "quantity": 1, "type": 3}));
    assert_eq!(kind, (123_000_104, "不支持的库存更新类型:3".into()));
    assert_eq!(gateway(&bench.call(update, json!({"item_id": 400_000_001}))), 5001);
}

#[test]
fn retail_stock() {
    let bench = Bench::new();
    let query = "youzan.retail.open.query.warehousestock/1.0.0";
    let adjust = "youzan.retail.open.stock.adjust/3.0.0";
    let asked = json!({"warehouse_code": "WH001", "sku_codes": ["P0001", "P0009"]});
    let answer = bench.call(query, asked.clone());
    assert_eq!((&answer["count"], &answer["data"][0]["stock_num"]), (&json!(1), &json!("40")));
    let nowhere = bench.refused(query, json!({"sku_codes": ["P0001"]}));
    assert_eq!(nowhere, (234_000_002, "业务异常仓库编码不能为空".into()));
    let change = |number: &str, kind: &str, quantity: &str| {
        json!({
            "create_time": "2026-01-01 00:00:00", "source_order_no": number, "warehouse_code": "WH001",
            "operate_type": kind, "order_items": [{"sku_code": "P0001", "quantity": quantity}],
        })
    };
    assert_eq!(bench.data(adjust, change("A1", "1", "5")), json!(true));
    assert_eq!(bench.data(adjust, change("A1", "1", "5")), json!(true));
    assert_eq!(bench.data(query, asked.clone())[0]["stock_num"], json!("45"));
    bench.data(adjust, change("A2", "2", "3"));
    assert_eq!(bench.data(query, asked.clone())[0]["stock_num"], json!("42"));
    bench.data(adjust, change("A3", "", "9"));
    assert_eq!(bench.data(query, asked.clone())[0]["stock_num"], json!("9"));
    assert_eq!(bench.refused(adjust, change(&"x".repeat(31), "1", "1")).0, 500_000_000);
    let plan = json!({
        "idempotent_no": "P1", "warehouse_code": "WH001", "operate_type": "1",
        "order_items": [{"sku_code": "P0001", "quantity": 2}],
    });
    assert_eq!(bench.data("youzan.retail.open.modify.planstock/1.0.0", plan), json!(true));
    assert_eq!(bench.data(query, asked)[0]["plan_num"], json!("12"));
    bench.set(json!({"shapes": {"youzan.retail.open.stock.adjust": "legacy"}}));
    assert_eq!(bench.call(adjust, change("A4", "1", "1")), json!({"response": true}));
}

#[test]
fn pickup_points() {
    let bench = Bench::new();
    let (get, search) = ("youzan.multistore.offline.get/3.0.0", "youzan.multistore.offline.search/3.0.0");
    let found = bench.data(search, json!({"type": "self_fetch"}));
    assert_eq!((&found["count"], &found["list"][0]["id"]), (&json!(2), &json!("700001")));
    assert_eq!(found["list"][0]["is_self_fetch"], json!("1"));
    assert_eq!(bench.data(search, json!({"keyword": "门店"}))["count"], json!(1));
    assert_eq!(bench.refused(search, json!({"page_size": 101})).0, 500_000_000);
    let point = bench.data(get, json!({"id": 700_001}));
    assert_eq!((&point["id"], &point["is_store"]), (&json!(700_001), &json!(0)));
    assert_eq!(point["business_hours_advanced"][0]["weekdays"][6], json!("周日"));
    assert_eq!(bench.refused(get, json!({})), (53_001, "id cannot be empty".into()));
    assert_eq!(bench.refused(get, json!({"id": 700_009})).0, 53_002);
    bench.set(json!({"offline_get_as_sample": true}));
    let sample = bench.data(get, json!({"id": 700_001}));
    assert_eq!((&sample["id"], &sample["isSelfFetch"]), (&json!("700001"), &json!("1")));
    assert_eq!(sample["businessHoursAdvanced"][0]["openTime"], json!("09:00"));

    let create = "youzan.multistore.offline.create/3.0.0";
    let mut new = json!({
        "name": "新柜", "address": "路 2 号", "area": "余杭区", "city": "杭州市", "province": "浙江省",
        "county_id": 330_110, "lat": "30.1", "lng": "120.1", "phone1": "0571", "phone2": "1", "image": [],
        "description": "<b>新</b>", "is_self_fetch": 1, "is_store": 0,
    });
    // This one takes rich text.
    let rich = format!("_textarea_/{create}");
    assert_eq!(bench.data(&rich, new.clone()), json!({"is_success": true, "id": "700010"}));
    assert_eq!(bench.data(search, json!({"type": "self_fetch"}))["count"], json!(3));
    bench.set(json!({"point_limit": 4}));
    assert_eq!(bench.refused(create, new.clone()).0, 50_000);
    new["name"] = Value::Null;
    assert_eq!(bench.refused(create, new).0, 53_002);
    let setting = bench.data("youzan.multistore.setting.get/3.0.0", json!({}));
    assert_eq!(setting["default_offline_id"], json!(700_001));

    let (read, write) = ("youzan.multistore.goods.sku.get/3.0.0", "youzan.multistore.goods.sku.update/3.0.0");
    let goods = json!({"num_iid": 400_000_002, "offline_id": 700_001});
    let mut change = goods.clone();
    change["skus_with_json"] = json!(r#"[{"sku_id":500021,"quantity":4,"price":1000}]"#);
    bench.data(write, change);
    assert_eq!(bench.data(read, goods.clone())["skus"][0]["quantity"], json!(4));
    // Without its SKUs an update sets what is missing to 0.
    bench.data(write, goods.clone());
    assert_eq!(bench.data(read, goods)["skus"][0]["quantity"], json!(0));
    assert_eq!(bench.refused(read, json!({"num_iid": 1})).0, 160_900_100);
    assert_eq!(bench.data("youzan.shop.get/3.0.0", json!({}))["name"], json!("测试店"));
    assert_eq!(bench.data("youzan.shop.basic.get/3.0.0", json!({}))["sid"], json!("90000001"));
}

#[test]
fn envelopes_can_be_swapped() {
    let bench = Bench::new();
    bench.set(json!({"shapes": {"youzan.trade.selffetchcode.get": "modern", "youzan.trade.get": "legacy"}}));
    assert_eq!(bench.data(CODE_GET, json!({"code": "10000000001"}))["status"], json!(0));
    assert_eq!(bench.refused(CODE_GET, json!({"code": "x"})).0, 50_000);
    assert!(bench.response("youzan.trade.get/4.0.0", json!({"tid": tid(1)}))["full_order_info"].is_object());
}

#[test]
fn the_world_is_read_and_set() {
    let bench = Bench::new();
    let world = bench.read("/_sim/world")["platforms"]["youzan"].clone();
    assert_eq!(world["orders"].as_array().map(Vec::len), Some(16));
    assert_eq!(world["tokens"].as_array().map(Vec::len), Some(1));
    let patch = json!({"platforms": {"youzan": {
        "orders": [
            {"tid": tid(1), "pickup": {"expires_ms": 1}},
            {"tid": "E20260202000000000000001", "status": "WAIT_SELLER_SEND_GOODS", "express_type": 1,
             "pickup": {"code": "55555555555"}},
        ],
        "items": [{"item_id": 400_000_001, "quantity": 1}],
    }}});
    bench.control("/_sim/world", patch);
    assert_eq!(bench.error(CODE_APPLY, json!({"code": "10000000001"})).1, "提货码已过期");
    assert_eq!(bench.response(CODE_APPLY, json!({"code": "55555555555"}))["is_success"], json!(true));
    let odd = json!({"platforms": {"youzan": {"ordres": []}}});
    assert_eq!(bench.sim.control("PATCH", "/_sim/world", odd).0, 400);
    bench.control("/_sim/reset", json!({}));
    assert!(bench.redemptions().is_empty());
    assert_eq!(gateway(&bench.shop()), 4203);
}

#[test]
fn a_redemption_is_followed_by_a_message() {
    let bench = Bench::new();
    let receive = listen(&bench, &[TAKEN]);
    bench.set(json!({"redemption_messages": ["trade_TradeSellerShip", "trade_TradeSuccess"]}));
    bench.response(CODE_APPLY, json!({"code": "10000000001"}));
    assert_eq!(next(&receive).header("Event-Type"), "trade_TradeSellerShip");
    let got = next(&receive);
    assert!(got.line.starts_with("POST /push "));
    assert_eq!(got.header("Content-Type"), "application/json");
    assert_eq!((got.header("Event-Type"), got.header("Client-Id")), ("trade_TradeSuccess", CLIENT));
    assert!(got.header_sign_holds() && got.body_sign_holds());
    let body = got.json();
    let keys: Vec<&String> = body.as_object().expect("an object").keys().collect();
    let capture = [
        "msg",
        "kdt_name",
        "test",
        "sign",
        "sendCount",
        "type",
        "version",
        "client_id",
        "mode",
        "kdt_id",
        "id",
        "msg_id",
        "root_kdt_id",
        "status",
    ];
    assert_eq!(keys, capture);
    assert_eq!((&body["status"], &body["id"]), (&json!("TRADE_SUCCESS"), &json!(tid(1))));
    assert_eq!((&body["kdt_id"], &body["version"]), (&json!(SHOP), &json!(bench.now() / 1000)));
    assert_eq!(body["msg_id"].as_str().map(str::len), Some(36));
    assert_eq!(got.msg()["tid"], json!(tid(1)));
}

#[test]
fn a_paid_order_is_told_in_full() {
    let bench = Bench::new();
    let receive = listen(&bench, &[TAKEN]);
    let order = bench.control("/_sim/youzan/orders", json!({"buyer_message": "a b+c:[d],*~ 柜"}));
    let got = next(&receive);
    let text = got.json()["msg"].as_str().expect("a text").to_owned();
    assert!(text.contains("a+b%2Bc%3A%5Bd%5D%2C*%7E+%E6%9F%9C"), "{text}");
    let msg = got.msg();
    for part in ["delivery_order", "order_promotion", "refund_order", "full_order_info"] {
        assert!(msg.get(part).is_some());
    }
    assert_eq!(msg["full_order_info"]["order_info"]["tid"], order["tid"]);
    assert_eq!(got.json()["status"], json!("TRADE_PAID"));
    let tid = order["tid"].as_str().expect("a tid");
    assert_eq!(tid.len(), 24);
    assert_eq!(bench.response(CODE_GET, json!({"code": order["pickup"]["code"]}))["tid"], json!(tid));
    // The other encodings, all under good signatures.
    for how in ["loose", "percent", "plain", "object"] {
        let push = json!({"type": "trade_TradeSuccess", "tid": tid, "encoding": how});
        bench.control("/_sim/youzan/push", push);
        let got = next(&receive);
        assert!(got.header_sign_holds() && got.body_sign_holds(), "{how}");
        let msg = &got.json()["msg"];
        match how {
            "loose" => assert!(msg.as_str().is_some_and(|m| m.contains(':') && m.contains("%22"))),
            "percent" => assert!(msg.as_str().is_some_and(|m| m.contains("%20"))),
            "plain" => assert!(msg.as_str().is_some_and(|m| m.starts_with("{\""))),
            _ => assert_eq!(msg["tid"], json!(tid)),
        }
    }
}

#[test]
fn messages_are_sent_again_on_the_published_schedules() {
    let minutes = (1..=10).chain([20, 30, 60, 120]).map(|m| m * 60);
    let sixteen: Vec<i64> = [10, 30].into_iter().chain(minutes).collect();
    for (name, schedule) in [("sixteen", sixteen), ("four", vec![5, 320, 1280, 7200])] {
        let bench = Bench::new();
        bench.set(json!({"push_retries": name}));
        let receive = listen(&bench, &[AGAIN]);
        bench.control("/_sim/youzan/push", json!({"type": "trade_TradeClose", "tid": tid(3)}));
        let first = next(&receive);
        assert_eq!(first.json()["sendCount"], json!(0));
        bench.idle();
        for (n, pause) in (1..).zip(schedule) {
            bench.advance(pause * 1000 - 1);
            bench.idle();
            assert!(receive.try_recv().is_err(), "{name}: too early for {n}");
            bench.advance(1);
            let got = next(&receive);
            assert_eq!(got.json()["sendCount"], json!(n));
            assert_eq!(got.json()["msg_id"], first.json()["msg_id"]);
            assert!(got.header_sign_holds());
            bench.idle();
        }
        let failed =
            json!({"for": "callback", "platform": "youzan", "progress": "failed", "account": CLIENT});
        bench.control("/_sim/wait", failed);
    }
}

#[test]
fn only_the_exact_answer_ends_the_sending() {
    const ANSWERS: &[&str] = &[
        "500 success",
        "200 success",
        r#"200 {"code":1,"msg":"success"}"#,
        r#"200 {"code":"0","msg":"success"}"#,
        "200 {}",
        TAKEN,
    ];
    let bench = Bench::new();
    let receive = listen(&bench, ANSWERS);
    bench.set(json!({"push_retries": "callbacks", "send_count_on_resend_only": true}));
    bench.control("/_sim/callbacks", json!({"retry_ms": [0, 0, 0, 0, 0, 0]}));
    bench.control("/_sim/youzan/push", json!({"type": "trade_TradeSuccess", "tid": tid(2)}));
    for n in 0..ANSWERS.len() {
        let count = next(&receive).json().get("sendCount").cloned();
        assert_eq!(count, (n > 0).then(|| json!(n)));
    }
    let mut delivered = json!({"for": "callback", "platform": "youzan", "account": CLIENT});
    bench.control("/_sim/wait", delivered.clone());
    bench.set(json!({"push_answer": "contains"}));
    let receive = listen(&bench, &["200 success"]);
    bench.control("/_sim/youzan/push", json!({"type": "trade_TradeSuccess", "tid": tid(2)}));
    next(&receive);
    delivered["count"] = json!(2);
    bench.control("/_sim/wait", delivered);
}

#[test]
fn messages_forged_doubled_swapped_and_odd() {
    let bench = Bench::new();
    let receive = listen(&bench, &[TAKEN]);
    let push = |body: Value| {
        let mut whole = json!({"type": "trade_TradeSuccess", "tid": tid(2)});
        for (key, value) in body.as_object().expect("an object") {
            whole[key] = value.clone();
        }
        bench.control("/_sim/youzan/push", whole)
    };
    for (which, header, body) in [("header", false, true), ("body", true, false), ("both", false, false)] {
        push(json!({"forge": which}));
        let got = next(&receive);
        assert_eq!((got.header_sign_holds(), got.body_sign_holds()), (header, body), "{which}");
    }
    // Two applications hear of the shop, so a rule that is to catch one message counts two.
    let rule = |name: &str| {
        bench.control("/_sim/callbacks/rules", json!({"do": name, "platform": "youzan", "count": 2}));
    };
    rule("forge");
    push(json!({}));
    assert!(!next(&receive).header_sign_holds());
    rule("duplicate");
    push(json!({"msg_id": "00000000-0000-4000-a000-000000000001"}));
    let (one, two) = (next(&receive), next(&receive));
    assert_eq!(one.body, two.body);
    assert_eq!(one.json()["msg_id"], json!("00000000-0000-4000-a000-000000000001"));
    rule("ms_timestamp");
    push(json!({"version": 1_621_946_649}));
    assert_eq!(next(&receive).json()["version"], json!(1_621_946_649_000_i64));
    // Versions out of order.
    bench.control("/_sim/callbacks", json!({"hold": true}));
    push(json!({"version": 1}));
    push(json!({"version": 2}));
    let list = bench.read(&format!("/_sim/callbacks?account={CLIENT}&progress=queued"));
    let list = list["deliveries"].as_array().expect("a list");
    let ids: Vec<Value> = list.iter().rev().map(|d| d["id"].clone()).collect();
    bench.control("/_sim/callbacks/reorder", json!({"ids": ids}));
    bench.control("/_sim/callbacks", json!({"hold": false}));
    assert_eq!(next(&receive).json()["version"], json!(2));
    assert_eq!(next(&receive).json()["version"], json!(1));
    bench.control("/_sim/youzan/heartbeat", Value::Null);
    let beat = next(&receive);
    assert!(beat.json()["test"] == json!(true) && beat.header_sign_holds());
    push(json!({"head_kdt_id": 1, "app_id": "old", "mode": 0}));
    let odd = next(&receive).json();
    assert_eq!((&odd["head_kdt_id"], &odd["app_id"], &odd["mode"]), (&json!(1), &json!("old"), &json!(0)));
    let (status, _) = bench.sim.control("POST", "/_sim/youzan/push", json!({"type": "x", "odd": 1}));
    assert_eq!(status, 400);
    // A lapsed shop sends nothing.
    bench.control("/_sim/youzan/tokens/kill", json!({"mode": "lapse"}));
    assert_eq!(push(json!({}))["msg_ids"], json!([]));
}

#[test]
fn a_push_by_hand_ends_the_automatic_ones() {
    let bench = Bench::new();
    let receive = listen(&bench, &[AGAIN, TAKEN]);
    bench.control("/_sim/youzan/push", json!({"type": "trade_TradeClose", "tid": tid(3)}));
    let first = next(&receive).json();
    bench.idle();
    bench.control("/_sim/youzan/repush", json!({"msg_id": first["msg_id"]}));
    let again = next(&receive).json();
    assert_eq!((&again["msg_id"], &again["sendCount"]), (&first["msg_id"], &json!(1)));
    bench.control("/_sim/wait", json!({"for": "callback", "platform": "youzan", "account": CLIENT}));
    bench.advance(7 * DAY + 1);
    bench.idle();
    assert!(receive.try_recv().is_err());
    let (status, _) = bench.sim.control("POST", "/_sim/youzan/repush", json!({"msg_id": first["msg_id"]}));
    assert_eq!(status, 409);
}

#[test]
fn messages_come_late_and_stock_messages_without_a_number() {
    let bench = Bench::new();
    let receive = listen(&bench, &[TAKEN]);
    bench.set(json!({"message_delay_ms": 5000, "stock_messages": true}));
    let params = json!({"item_id": 400_000_001, "quantity": 3});
    bench.data("youzan.item.quantity.update/3.0.0", params);
    bench.advance(4999);
    bench.idle();
    assert!(receive.try_recv().is_err());
    bench.advance(1);
    let got = next(&receive);
    assert_eq!(got.header("Event-Type"), "youzan_item_SkuStockChanged");
    assert_eq!(got.msg()["item_id"], json!(400_000_001));
    assert!(got.msg().get("quantity").is_none());
}

#[test]
fn messages_of_the_market_are_encrypted() {
    use aes::Aes128;
    use base64::Engine;
    use cbc::cipher::block_padding::Pkcs7;
    use cbc::cipher::{BlockDecryptMut, KeyIvInit};

    let bench = Bench::new();
    let receive = listen(&bench, &["200 ok"]);
    bench.control("/_sim/youzan/subscription", json!({"note": "柜"}));
    let got = next(&receive);
    assert!(got.line.starts_with("GET /push?message=") && got.body.is_empty());
    let message = got.line.split(['=', ' ']).nth(2).expect("a message");
    let message = message.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    let bytes = base64::engine::general_purpose::STANDARD.decode(message).expect("base64");
    let key: [u8; 16] = SECRET.as_bytes()[..16].try_into().expect("sixteen");
    let cipher = cbc::Decryptor::<Aes128>::new(&key.into(), b"0102030405060708".into());
    let plain = cipher.decrypt_padded_vec_mut::<Pkcs7>(&bytes).expect("padding");
    let plain: Value = serde_json::from_slice(&plain).expect("JSON");
    assert_eq!((&plain["type"], &plain["note"]), (&json!("APP_SUBSCRIBE"), &json!("柜")));
    assert_eq!(plain["appId"], json!(110));
}
