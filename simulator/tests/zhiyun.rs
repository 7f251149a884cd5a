//! Zhiyun seen from outside: every byte sent or expected is written here, from the notes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kiosklink_sim::{Options, Simulator};
use serde_json::{Value, json};

const CLIENT: &str = "1100000001";
const SECRET: &str = "testSecret000001";
const OTHER: &str = "1100000002";
const OTHER_SECRET: &str = "testSecret000002";
const TOKEN: &str = "test0access0token0000000000000001152";
const NO_COMPANY: &str = "test0access0token000000000000001153";
const NO_USER: &str = "test0access0token00000000001999";
const AUTHORIZE: &str = "authService/authorize/json";
const USER: &str = "userService/getUserInfo/json";
const COMPANY: &str = "companyService/getCompanyInfo/json";

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
    control(sim, "POST", "/_sim/zhiyun/settings", settings);
}

fn advance(sim: &Simulator, ms: i64) {
    control(sim, "POST", "/_sim/clock/advance", json!({"ms": ms}));
}

fn now_ms(sim: &Simulator) -> i64 {
    control(sim, "GET", "/_sim/clock", Value::Null)["now_ms"].as_i64().expect("a number")
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    fn code(&self) -> i64 {
        assert_eq!(self.status, 200, "always 200");
        let json = self.json();
        assert!(json.get("data").is_none(), "{json}");
        json["code"].as_i64().expect("a code")
    }
}

fn send(sim: &Simulator, method: &str, target: &str, headers: &str, body: &str) -> Answer {
    let mut socket = TcpStream::connect(("127.0.0.1", sim.port())).expect("it listens");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    socket.write_all(&[head.as_bytes(), body.as_bytes()].concat()).expect("it reads");
    let mut got = String::new();
    socket.read_to_string(&mut got).expect("an end");
    let (head, body) = got.split_once("\r\n\r\n").expect("an answer");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")))
}

/// A time and its check number.
fn stamp(t: i64) -> String {
    format!("t_={t}&p_={}", t % 10_000 * 3 + 2345)
}

fn target(action: &str, query: &str) -> String {
    format!("/zhiyun/apis/rest/{action}?{query}")
}

/// A call with everything right but what `query` adds or says once more: the last counts.
fn call(sim: &Simulator, action: &str, query: &str) -> Answer {
    let all = format!("{}&access_token={TOKEN}&client_id={CLIENT}&{query}", stamp(now_ms(sim)));
    send(sim, "GET", &target(action, &all), &basic(CLIENT, SECRET), "")
}

fn data(answer: &Answer) -> Value {
    let json = answer.json();
    assert_eq!((&json["code"], &json["message"]), (&json!(200), &json!("ok")), "{json}");
    json["data"].clone()
}

fn authorize(sim: &Simulator) -> String {
    data(&call(sim, AUTHORIZE, ""))["auth_code"].as_str().expect("a text").to_owned()
}

#[test]
fn credentials_are_in_the_words_of_the_accounts_file() {
    let sim = start();
    let account = sim.accounts("ca.pem")["accounts"]["zhiyun"].clone();
    assert_eq!(account["platform"], "zhiyun");
    assert_eq!((&account["client_id"], &account["client_secret"]), (&json!(CLIENT), &json!(SECRET)));
    assert_eq!((&account["access_token"], &account["format"]), (&json!(TOKEN), &json!("json")));
}

#[test]
fn check_numbers_of_the_notes() {
    let sim = start();
    for (t, p) in [
        (1_422_339_152_058, 8519),
        (1_700_000_000_000, 2345),
        (1_422_339_159_999, 32_342),
        (1_522_404_566, 16_043),
    ] {
        let ms: i64 = if t > 9_999_999_999 { t } else { t * 1000 };
        control(&sim, "POST", "/_sim/clock", json!({"now_ms": ms}));
        let good = call(&sim, AUTHORIZE, &format!("t_={t}&p_={p}"));
        assert_eq!(good.json()["code"], 200, "{}", good.body);
        assert_eq!(call(&sim, AUTHORIZE, &format!("t_={t}&p_={}", p + 1)).code(), 401);
    }
}

#[test]
fn the_time_window() {
    let sim = start();
    let now = now_ms(&sim) / 1000 * 1000;
    control(&sim, "POST", "/_sim/clock", json!({"now_ms": now}));
    let at = |ms: i64| call(&sim, AUTHORIZE, &stamp(ms)).json()["code"].clone();
    assert_eq!((at(now - 3_600_000), at(now + 3_600_000)), (json!(200), json!(200)));
    assert_eq!((at(now - 3_601_000), at(now + 3_601_000)), (json!(401), json!(401)));
    assert_eq!(at(now / 1000), 200, "seconds will do");
    assert_eq!(at(5), 401);
    for odd in ["t_=", "p_=", "t_=x&p_=2345", "t_=-1&p_=2342"] {
        assert_eq!(call(&sim, AUTHORIZE, odd).code(), 401, "{odd}");
    }
    let refused = call(&sim, AUTHORIZE, "p_=1");
    assert_eq!(refused.body, r#"{"code":401,"message":"Unauthorized"}"#);
    let xml = call(&sim, "authService/authorize/xml", "p_=1");
    assert!(xml.body.starts_with("<?xml") && xml.body.contains("<code>401</code>"), "{}", xml.body);
    let log = control(&sim, "GET", "/_sim/requests?platform=zhiyun", Value::Null);
    let differs = |n: usize| log[n]["signature"]["differs"].as_str().unwrap_or("").to_owned();
    assert!(differs(2).contains("-3601 s") && differs(0) == "nothing", "{log}");
    set(&sim, json!({"check_window": false}));
    assert_eq!((at(5), call(&sim, AUTHORIZE, "p_=1").code()), (json!(200), 401));
    set(&sim, json!({"check_p": false}));
    assert_eq!(call(&sim, AUTHORIZE, "t_=&p_=").json()["code"], 200);
    set(&sim, json!({"check_window": true, "window_s": 10}));
    assert_eq!(at(now - 11_000), 401);
}

#[test]
fn the_checks_come_in_order() {
    let sim = start();
    let time = stamp(now_ms(&sim));
    let with = |query: &str, headers: &str| {
        send(&sim, "GET", &target(AUTHORIZE, &format!("{time}&{query}")), headers, "").code()
    };
    let params = |token: &str, client: &str| format!("access_token={token}&client_id={client}");
    let good = params(TOKEN, CLIENT);
    // Each line repairs what the one before was refused for, and has everything after it wrong.
    assert_eq!(send(&sim, "GET", &target(AUTHORIZE, ""), "", "").code(), 401);
    for odd in
        ["", "access_token=x", "access_token=X&client_id=1100000001", "access_token=x&client_id=110000000"]
    {
        assert_eq!(with(odd, ""), 601, "{odd}");
    }
    assert_eq!(with(&params("x", "9999999999"), ""), 100_009);
    assert_eq!(with(&params("x", "9999999999"), &basic(CLIENT, "")), 100_009);
    assert_eq!(with(&params("x", "9999999999"), "Authorization: Bearer x\r\n"), 100_009);
    assert_eq!(with(&params("x", "9999999999"), &basic(CLIENT, "x")), 100_002);
    assert_eq!(with(&params("x", "9999999999"), &basic("9999999999", "x")), 100_008);
    assert_eq!(with(&params("x", CLIENT), &basic(CLIENT, "x")), 100_013);
    assert_eq!(with(&params("x", CLIENT), &basic(CLIENT, SECRET)), 100_014);
    let target = target(AUTHORIZE, &format!("{time}&{good}"));
    data(&send(&sim, "GET", &target, &basic(CLIENT, SECRET), ""));

    let code = |n: u32| format!("auth_code={n:040}");
    assert_eq!(call(&sim, USER, "").code(), 601, "data wants a code");
    assert_eq!(call(&sim, USER, "auth_code=x").code(), 601);
    assert_eq!(call(&sim, USER, &code(1)).code(), 100_019);
    // A code with everything wrong; its faults are mended one by one.
    let put = |client: &str, uid: i64, expires_s: i64, scope: &str| {
        let row = json!({"auth_code": format!("{:040}", 1), "client_id": client, "uid": uid,
            "expires_s": expires_s, "scope": scope});
        control(&sim, "PATCH", "/_sim/world", json!({"platforms": {"zhiyun": {"codes": [row]}}}));
        call(&sim, USER, &code(1)).json()["code"].as_i64().expect("a code")
    };
    let later = now_ms(&sim) / 1000 + 30;
    assert_eq!(put(OTHER, 1, 0, ""), 100_020);
    assert_eq!(put(OTHER, 1, later, "getCompanyInfo"), 100_018);
    assert_eq!(put(OTHER, 1, later, "getUserInfo"), 100_021);
    assert_eq!(put(CLIENT, 1, later, "basic"), 100_023);
    assert_eq!(put(CLIENT, 1152, later, "basic"), 200);
}

#[test]
fn messages_of_the_source() {
    let sim = start();
    let text = |answer: Answer| answer.json()["message"].as_str().expect("a text").to_owned();
    let time = stamp(now_ms(&sim));
    let raw = |client: &str, secret: &str| {
        let query = format!("{time}&access_token={TOKEN}&client_id={client}");
        text(send(&sim, "GET", &target(AUTHORIZE, &query), &basic(client, secret), ""))
    };
    assert_eq!(raw("9999999999", "x"), "The client_id  does not exist.");
    assert_eq!(raw(CLIENT, "x"), "client_secret  access is illegal");
    assert_eq!(text(call(&sim, AUTHORIZE, "client_id=")), "Invalid argument");
    assert_eq!(text(call(&sim, "x/y/json", "")), "Service or method not found!");
}

#[test]
fn a_code_lives_for_thirty_seconds_and_is_not_used_up() {
    let sim = start();
    let code = authorize(&sim);
    assert!(code.len() == 40 && code.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
    let query = format!("auth_code={code}");
    let other = authorize(&sim);
    assert_ne!(code, other);
    for _ in 0..2 {
        data(&call(&sim, USER, &query));
        data(&call(&sim, COMPANY, &query));
    }
    advance(&sim, 30_000);
    data(&call(&sim, USER, &query));
    advance(&sim, 1_000);
    assert_eq!(call(&sim, USER, &query).code(), 100_020);
    assert_eq!(call(&sim, COMPANY, &format!("auth_code={other}")).code(), 100_020);
    set(&sim, json!({"auth_code_life_s": 60}));
    let query = format!("auth_code={}", authorize(&sim));
    advance(&sim, 60_000);
    data(&call(&sim, USER, &query));
    let path = format!("/_sim/zhiyun/codes/{}/expire", &query[10..]);
    control(&sim, "POST", &path, Value::Null);
    assert_eq!(call(&sim, USER, &query).code(), 100_020);
    assert_eq!(control(&sim, "GET", "/_sim/zhiyun/codes", Value::Null).as_array().map(Vec::len), Some(3));
    control(&sim, "DELETE", "/_sim/zhiyun/codes", Value::Null);
    assert_eq!(call(&sim, USER, &query).code(), 100_019);
}

#[test]
fn what_is_known_of_user_and_company() {
    let sim = start();
    control(&sim, "POST", "/_sim/clock", json!({"now_s": 1_522_404_566}));
    let query = format!("auth_code={}", authorize(&sim));
    let user = call(&sim, USER, &query);
    assert_eq!(user.status, 200);
    assert!(user.head.contains("Content-Type: application/json"));
    let base = r"http:\/\/avatar.example.com\/data\/avatar\/000\/00\/11\/52_avatar_small";
    let want = [
        r#"{"data":{"username":"test01","truename":"\u5f20\u6d4b\u8bd5","sex":"3","phone":"13800001152","#,
        r#""is_admin":"1","status":null,"avatar":""#,
        base,
        r#"","created":"2017-11-30 10:37:30","nowtime":1522404566},"code":200,"message":"ok"}"#,
    ];
    assert_eq!(user.body, want.concat());
    let company = data(&call(&sim, COMPANY, &query));
    let keys: Vec<_> = company.as_object().expect("an object").keys().map(String::as_str).collect();
    let want = "company_name company_type tax_number province city zone address disable tel_phone \
        legal_person_phone legal_person_name created nowtime";
    assert_eq!(keys.join(" "), want);
    assert_eq!((&company["company_type"], &company["city"]), (&json!("1"), &json!("")));
    assert_eq!(company["nowtime"], 1_522_404_566);
}

#[test]
fn the_same_in_xml() {
    let sim = start();
    let code = call(&sim, "authService/authorize/xml", "");
    assert!(code.head.contains("Content-Type: application/xml"));
    let text = code.body.split("<auth_code>").nth(1).and_then(|t| t.get(..40)).expect("a code");
    let want = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<apiResponse>\n  <data>\n    <auth_code>{text}</auth_code>\n  \
         </data>\n  <code>200</code>\n  <message>ok</message>\n</apiResponse>"
    );
    assert_eq!(code.body, want);
    let user = call(&sim, "userService/getUserInfo/xml", &format!("auth_code={text}")).body;
    assert!(user.contains("    <truename>张测试</truename>\n    <sex>3</sex>\n"), "{user}");
    assert!(user.contains("    <status />\n"), "null is an empty element: {user}");
    let company = call(&sim, "companyService/getCompanyInfo/xml", &format!("auth_code={text}")).body;
    assert!(company.contains("    <province />\n    <city />\n    <zone />\n"), "{company}");
    let refused = call(&sim, "userService/getUserInfo/xml", "").body;
    assert_eq!(
        refused,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<apiResponse>\n  <code>601</code>\n  \
         <message>Invalid argument</message>\n</apiResponse>"
    );
}

#[test]
fn odd_requests() {
    let sim = start();
    assert_eq!(call(&sim, "noService/authorize/json", "").code(), 501);
    assert_eq!(call(&sim, "authService/nothing/json", "").code(), 501);
    assert_eq!(call(&sim, "AUTHSERVICE/authorize/json", "").code(), 501);
    data(&call(&sim, "AuthService/AUTHORIZE/json", ""));
    let empty = call(&sim, "authService/authorize/yaml", "");
    assert_eq!((empty.status, empty.body.as_str()), (200, ""));
    assert_eq!(call(&sim, "authService/authorize", "").body, "");
    assert_eq!(
        control(&sim, "GET", "/_sim/zhiyun/codes", Value::Null).as_array().map(Vec::len),
        Some(3),
        "it acted"
    );

    // The verb does not matter, the query goes before the form, of repeated parameters the last counts.
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let headers = format!("{form}{}", basic(CLIENT, SECRET));
    let all = format!("{}&access_token={TOKEN}&client_id={CLIENT}&unneeded=1", stamp(now_ms(&sim)));
    data(&send(&sim, "POST", "/zhiyun/apis/rest/authService/authorize/json", &headers, &all));
    let mixed = send(&sim, "POST", &target(AUTHORIZE, "access_token=x"), &headers, &all);
    assert_eq!(mixed.code(), 100_014);
    data(&call(&sim, AUTHORIZE, &format!("access_token=x&access_token={TOKEN}")));

    let script = call(&sim, AUTHORIZE, "callback=go").body;
    assert!(
        script.starts_with("var _callbackvar={\"data\":") && script.ends_with("};go(_callbackvar);"),
        "{script}"
    );
    data(&call(&sim, AUTHORIZE, "callback=alert(1)"));
    assert_eq!(send(&sim, "GET", "/zhiyun/other", "", "").status, 404);
}

#[test]
fn access_tokens_live_for_three_months() {
    let sim = start();
    advance(&sim, 89 * 86_400_000);
    authorize(&sim);
    advance(&sim, 2 * 86_400_000);
    assert_eq!(call(&sim, AUTHORIZE, "").code(), 100_014);
    // Somebody logs in again; and a token can be ended at once.
    control(&sim, "POST", "/_sim/zhiyun/tokens", json!({"access_token": TOKEN, "uid": 1152, "life_s": 60}));
    let query = format!("auth_code={}", authorize(&sim));
    control(&sim, "POST", &format!("/_sim/zhiyun/tokens/{TOKEN}/expire"), Value::Null);
    assert_eq!(call(&sim, USER, &query).code(), 100_014, "before the code is looked at");
    assert_eq!(sim.control("POST", "/_sim/zhiyun/tokens/x/expire", Value::Null).0, 404);
    assert_eq!(sim.control("POST", "/_sim/zhiyun/tokens", json!({})).0, 400);
}

#[test]
fn codes_belong_to_one_program_and_one_user() {
    let sim = start();
    let query = format!("auth_code={}", authorize(&sim));
    let all = format!("{}&access_token={TOKEN}&client_id={OTHER}&{query}", stamp(now_ms(&sim)));
    assert_eq!(send(&sim, "GET", &target(USER, &all), &basic(OTHER, OTHER_SECRET), "").code(), 100_021);
    assert_eq!(call(&sim, USER, &format!("{query}&access_token={NO_COMPANY}")).code(), 100_023);
    let as_user = |token: &str, action: &str| {
        let token = format!("access_token={token}");
        let code = data(&call(&sim, AUTHORIZE, &token))["auth_code"].as_str().expect("a text").to_owned();
        call(&sim, action, &format!("{token}&auth_code={code}"))
    };
    assert_eq!(data(&as_user(NO_COMPANY, USER))["truename"], "李<测试>");
    assert_eq!(as_user(NO_COMPANY, COMPANY).code(), 905);
    assert_eq!((as_user(NO_USER, USER).code(), as_user(NO_USER, COMPANY).code()), (704, 704));
}

#[test]
fn refusals_by_command() {
    let sim = start();
    set(&sim, json!({"store_fails": true}));
    let failed = call(&sim, AUTHORIZE, "");
    assert_eq!(failed.code(), 100_018);
    assert!(failed.body.contains("Failed to create authorization code"));
    set(&sim, json!({"store_fails": false}));
    for code in [304, 400, 500, 602, 714] {
        set(&sim, json!({"answer_instead": {"code": code, "message": "x"}}));
        assert_eq!(call(&sim, AUTHORIZE, "").code(), code);
    }
    set(&sim, json!({"answer_instead": null}));
    authorize(&sim);
    // A fault rule finds the method by its name.
    let fault = json!({"platform": "zhiyun", "method": "authorize", "fault": "http_5xx"});
    control(&sim, "POST", "/_sim/faults", fault);
    assert_eq!(call(&sim, AUTHORIZE, "").status, 502);
    assert_eq!(sim.control("POST", "/_sim/zhiyun/settings", json!({"x": 1})).0, 400);
    assert_eq!(sim.control("PATCH", "/_sim/world", json!({"platforms": {"zhiyun": {"x": []}}})).0, 400);
}
