//! Spoiled answers, callbacks, files and settings: never a panic, always an error that can be shown, never a success that
//! was not said. Deterministic; `KIOSKLINK_FUZZ_ITERATIONS` makes it longer and `KIOSKLINK_FUZZ_SEED` repeats a case.

mod common;
#[path = "common/mutate.rs"]
mod mutate;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::{CABINET, scratch, simulator};
use kiosklink::client::Client;
use kiosklink::config::{Config, KEYS};
use kiosklink::error::{Error, Outcome};
use kiosklink::json::Json;
use kiosklink::log::{Masked, mask};
use kiosklink::model::*;
use kiosklink::platform::{self, Answer, Kind, Moment, Nature, Op, Platform};
use kiosklink::status;
use kiosklink::time::clock::parse_http_date;
use kiosklink::transport::{Headers, Proxy, Reply, Request, Timing, Url, parse_pin};
use kiosklink_sim::Simulator;
use md5::{Digest, Md5};
use mutate::{Rng, cases, mutate, mutate_text};
use std::io::{Read, Write};
use std::net::TcpStream;

/// No message is longer, whatever a platform or a file puts into it.
const LONGEST: usize = 600;
const SECRET: &str = "Fz7secretQ9xKm2VtL4w";
const NOW_MS: i64 = 1_700_000_000_000;
const STATUSES: &[u16] = &[200, 200, 200, 200, 204, 302, 400, 401, 403, 404, 407, 418, 429, 500, 502, 999];

/// What every error must be. `echoed`: the platform itself was made to say the secret.
fn check(error: &Error, secrets: &[String], echoed: bool) {
    let d = error.details();
    assert!(d.status != status::KL_OK && status::name(d.status).is_some(), "status {}: {d:?}", d.status);
    assert!(!d.message.trim().is_empty() && !d.message.contains('\0'), "{d:?}");
    assert!(d.message.len() < LONGEST, "{} bytes: {d:?}", d.message.len());
    let shown = [mask(&d.message), mask(&d.platform_message)];
    for secret in secrets {
        assert!(echoed || !d.message.contains(&**secret), "{d:?}");
        // Not even the beginning of one, which a cut in the wrong place would leave.
        let part = &secret[..secret.len().min(10)];
        assert!(shown.iter().all(|text| !text.contains(part)), "{d:?}");
    }
}

/// One platform with the answers that its operations had from the simulator.
struct Bench {
    platform: Box<dyn Platform>,
    xml: bool,
    secrets: Vec<String>,
    _masked: Vec<Masked>,
    /// A name of the operation in [`with_ops`], and what it was answered.
    samples: Vec<(usize, Vec<u8>)>,
    tokens: Vec<Vec<u8>>,
}

fn settings(sim: &Simulator, name: &str, xml: bool) -> Config {
    let mut config = Config::new(name).unwrap();
    for (key, value) in sim.info()["platforms"][name].as_object().unwrap() {
        if key != "platform" {
            config.set(key, &value.as_str().unwrap().replace("https://", "http://")).unwrap();
        }
    }
    config.set("allow_http", "yes").unwrap();
    if xml {
        config.set("format", "xml").unwrap();
    }
    config
}

/// Calls `with` for each operation that the platform has, with parameters that the simulator knows.
fn with_ops(p: &dyn Platform, mut with: impl FnMut(usize, &Op<'_>)) {
    let machine = if p.kind() == Kind::Yopoint { CABINET } else { "16327129" };
    let page = PageRequest { number: 1, size: 20 };
    let text = str::to_owned;
    let door = DoorRequest { request_id: text("r"), cabinet_id: text(machine), ..Default::default() };
    let dispense = DoorRequest { order_no: text("60"), item_no: text("78"), ..door.clone() };
    let order = OrderRef { order_no: text("60"), cabinet_id: text(machine), ..Default::default() };
    let vending = OrderRef { kind: OrderKind::Vending, ..order.clone() };
    let period = OrderQuery { from: 1, to: 5_000_000, ..Default::default() };
    let sales = OrderQuery { kind: OrderKind::Vending, ..period.clone() };
    let claim = Complaint { order_no: text("60"), cabinet_id: text(machine), ..Default::default() };
    let report = PaymentReport {
        report_url: format!("http://{}/notify", p.origin().authority()),
        order_no: text("60"),
        cabinet_id: text(machine),
        trade_no: text("T1"),
        paid: true,
        amount: 350,
        ..Default::default()
    };
    let create = OrderCreate {
        cabinet_id: text(machine),
        trade_no: text("20240612000000000001"),
        notify_url: text("https://me.example/n"),
        lines: vec![(text("131"), 1)],
        extra_json: None,
        ..Default::default()
    };
    let query = CodeQuery {
        code: text("10000000001"),
        cabinet_id: text(machine),
        product_id: text("131"),
        ..Default::default()
    };
    let virtual_query =
        CodeQuery { kind: CodeKind::Virtual, code: text("E20260101000000000000911"), ..query.clone() };
    let voucher_query =
        CodeQuery { kind: CodeKind::Voucher, code: text("20260101000000000021"), ..query.clone() };
    let codes =
        CodeCreate { cabinet_id: text(machine), product_id: text("131"), count: 2, ..Default::default() };
    let cancel = CodeCancel { cabinet_id: text(machine), ..Default::default() };
    let redeem = RedeemRequest {
        request_id: text("r"),
        code: text("10000000001"),
        cabinet_id: text(machine),
        product_id: text("131"),
        notify_url: if p.kind() == Kind::Dingshang { text("https://me.example/n") } else { String::new() },
        ..Default::default()
    };
    let redeem_virtual =
        RedeemRequest { kind: CodeKind::Virtual, code: text("E20260101000000000000911"), ..redeem.clone() };
    let redeem_voucher =
        RedeemRequest { kind: CodeKind::Voucher, code: text("20260101000000000021"), ..redeem.clone() };
    let method = match p.kind() {
        Kind::Yopoint => "cabinet.order.list",
        Kind::Dingshang => "POST /products",
        Kind::Youzan => "youzan.trade.get/4.0.1",
        Kind::Zhiyun => "userService/getUserInfo",
    };
    let ops = [
        Op::Ping,
        Op::CabinetList { page },
        Op::Stock { cabinet_id: machine, page, extra_json: None },
        Op::DoorOpen(&door),
        Op::DoorOpen(&dispense),
        Op::OrderGet(&order),
        Op::OrderGet(&vending),
        Op::OrderList { query: &period, page },
        Op::OrderList { query: &sales, page },
        Op::RefundApply(&claim),
        Op::AppealFile(&claim),
        Op::PaymentReport(&report),
        Op::OrderCreate(&create),
        Op::CodeList(&query),
        Op::CodeLookup(&query),
        Op::CodeLookup(&virtual_query),
        Op::CodeLookup(&voucher_query),
        Op::CodeCreate(&codes),
        Op::CodeCancel(&cancel),
        Op::CodeRedeem(&redeem),
        Op::CodeRedeem(&redeem_virtual),
        Op::CodeRedeem(&redeem_voucher),
        Op::UserGet,
        Op::CompanyGet,
        Op::Call { method, params_json: r#"{"page":1}"# },
    ];
    for (n, op) in ops.iter().enumerate() {
        if p.nature(op).is_ok() && p.draft(op).is_ok() {
            with(n, op);
        }
    }
}

/// The body that a request has from the simulator.
fn ask(sim: &Simulator, request: &Request) -> Vec<u8> {
    let mut socket = TcpStream::connect(("127.0.0.1", sim.port())).unwrap();
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.url.path_and_query);
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let length = request.body.len();
    head.push_str(&format!("Host: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"));
    socket.write_all(&[head.as_bytes(), &request.body].concat()).unwrap();
    let mut all = Vec::new();
    socket.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
    all.split_off(end + 4)
}

/// Those that are long enough to be masked.
fn secrets_of(config: &Config) -> Vec<String> {
    config.secrets().filter(|s| s.len() >= 4).map(str::to_owned).collect()
}

fn bench(sim: &Simulator, kind: Kind, xml: bool) -> Bench {
    let config = settings(sim, kind.name(), xml);
    let platform = platform::make(&config).unwrap();
    let secrets = secrets_of(&config);
    let _masked = secrets.iter().filter_map(|s| Masked::new(s)).collect();
    let now_ms =
        common::control(sim, "GET", "/_sim/clock", serde_json::Value::Null)["now_ms"].as_i64().unwrap();
    let mut tokens = Vec::new();
    let mut token = String::new();
    if let Some(source) = platform.tokens() {
        let draft = source.draft(platform::Way::Usual, None).unwrap();
        let body = ask(sim, &(draft.seal)(&Moment { now_ms, token: "" }));
        token = source.answer(&reply(200, &body), now_ms).unwrap().access;
        tokens.push(body);
    }
    let mut samples = Vec::new();
    with_ops(&*platform, |n, op| {
        let shown = match platform.tokens() {
            Some(source) if source.needed(op) => token.as_str(),
            _ => "",
        };
        let request = (platform.draft(op).unwrap().seal)(&Moment { now_ms, token: shown });
        samples.push((n, ask(sim, &request)));
        samples.extend(written(kind, op).into_iter().map(|text| (n, text.as_bytes().to_vec())));
    });
    Bench { platform, xml, secrets, _masked, samples, tokens }
}

/// Answers out of the notes, for what the simulator's world refuses.
fn written(kind: Kind, op: &Op<'_>) -> Option<&'static str> {
    Some(match (kind, op) {
        (Kind::Yopoint, Op::DoorOpen(_)) => {
            r#"{"error_code":0,"error_msg":"ok","data":{"ReceiptNo":"VI1","NotifyUrl":"https://x.example/n"}}"#
        }
        (Kind::Yopoint, Op::OrderGet(_)) => {
            r#"{"error_code":0,"data":{"ReceiptNo":"VI1","TradeStatus":1,"PayTime":1700000000,"DoorStatus":1,"DoorStatus":0,"Price":450,"Products":[{"BarCode":"69","Name":"茶","Qty":1,"Price":450}],"CreatedAt":"2024-01-01 00:00:00"}}"#
        }
        (Kind::Yopoint, Op::PaymentReport(_)) => "success",
        (Kind::Dingshang, Op::DoorOpen(_)) => {
            r#"{"code":0,"message":"ok","data":{"delivery_id":"5121763043809673","status":"未取货或正在出货"}}"#
        }
        (Kind::Dingshang, Op::CodeRedeem(_)) => {
            r#"{"code":0,"message":"ok","data":{"order_id":60,"record_id":78,"product_id":131}}"#
        }
        (Kind::Youzan, Op::CodeRedeem(_)) => {
            r#"{"response":{"is_success":true,"success":true,"item_title":"茶","tid":"E1"}}"#
        }
        (Kind::Youzan, Op::OrderGet(_)) => {
            r#"{"code":200,"success":true,"data":{"full_order_info":{"order_info":{"tid":"E1","status":"TRADE_SUCCESS","created":"2024-01-01 00:00:00","pay_time":"2024-01-01 00:00:05"},"pay_info":{"payment":"3.29","outer_transactions":["4200"]},"orders":[{"title":"茶","num":1,"price":"3.29"}]}}}"#
        }
        (Kind::Youzan, _) => r#"{"gw_err_resp":{"err_code":4203,"err_msg":"请求凭证不存在"}}"#,
        _ => return None,
    })
}

fn reply(status: u16, body: &[u8]) -> Reply {
    Reply { status, headers: Headers::default(), body: body.to_vec(), timing: Timing::default() }
}

fn benches(sim: &Simulator) -> Vec<Bench> {
    let mut all: Vec<Bench> = Kind::ALL.iter().map(|kind| bench(sim, *kind, false)).collect();
    all.push(bench(sim, Kind::Zhiyun, true));
    all
}

#[test]
fn a_cut_answer_is_never_a_success() {
    let sim = simulator();
    for bench in benches(&sim) {
        let p = &*bench.platform;
        let (mut commands, mut good) = (0, 0);
        with_ops(p, |n, op| {
            for (_, sample) in bench.samples.iter().filter(|(of, _)| *of == n) {
                if p.answer(op, &reply(200, sample)).is_err() {
                    continue;
                }
                good += 1;
                commands += usize::from(p.nature(op).unwrap() == Nature::Command);
                let whole = sample.trim_ascii_end();
                // Every cut of what matters, and a good many of long lists.
                let step = 1 + whole.len() / 250;
                for end in (0..whole.len()).step_by(step) {
                    let cut = p.answer(op, &reply(200, &whole[..end]));
                    check(&cut.expect_err("a cut answer"), &bench.secrets, false);
                }
            }
        });
        let expected = if p.kind() == Kind::Zhiyun { 0 } else { 1 };
        assert!(good > 0 && commands >= expected, "{:?}: {good} good answers, {commands}", p.kind());
    }
}

#[test]
fn spoiled_answers_are_read_or_refused_in_words() {
    let sim = simulator();
    let benches = benches(&sim);
    cases(1500, |rng| {
        let bench = rng.pick(&benches);
        let p = &*bench.platform;
        let (n, sample) = rng.pick(&bench.samples);
        let (_, other) = rng.pick(&bench.samples);
        let mut body = mutate(rng, sample, other);
        // The platform repeats what it was sent, at length.
        let echoed = rng.one_in(8);
        if echoed {
            echo(rng, &mut body, &bench.secrets);
        }
        let reply = reply(*rng.pick(STATUSES), &body);
        with_ops(p, |of, op| {
            if of == *n || rng.one_in(40) {
                look(p, op, &reply, bench, echoed);
            }
        });
        if let (Some(source), Some(token)) = (p.tokens(), bench.tokens.first()) {
            let body = mutate(rng, token, sample);
            let reply = self::reply(*rng.pick(STATUSES), &body);
            match source.answer(&reply, NOW_MS) {
                Ok(token) => assert!(!token.access.is_empty()),
                Err(e) => check(&e, &bench.secrets, false),
            }
        }
    });
}

/// Puts a secret into a text of the answer, with much beside it.
fn echo(rng: &mut Rng, body: &mut Vec<u8>, secrets: &[String]) {
    let words = ["错".repeat(rng.below(300)), rng.pick(secrets).clone(), "x".repeat(rng.below(300))].concat();
    for name in [&b"message\":\""[..], b"msg\":\"", b"<message>"] {
        if let Some(at) = body.windows(name.len()).position(|w| w == name) {
            body.splice(at + name.len()..at + name.len(), words.bytes());
        }
    }
}

fn look(p: &dyn Platform, op: &Op<'_>, reply: &Reply, bench: &Bench, echoed: bool) {
    match p.answer(op, reply) {
        Ok(answer) => {
            assert!((200..300).contains(&reply.status), "{op:?}: a success under HTTP {}", reply.status);
            // Words in another coding are read as far as they can be.
            let text = kiosklink::json::decoded(&reply.body);
            let whole =
                matches!(op, Op::PaymentReport(_)) || bench.xml || Json::parse(text.as_bytes()).is_ok();
            assert!(whole, "{op:?}: a success out of {:?}", String::from_utf8_lossy(&reply.body));
            match answer {
                Answer::Json(text) => assert!(Json::parse(text.as_bytes()).is_ok(), "{text}"),
                Answer::UsedBy { refusal, .. } => check(&refusal, &bench.secrets, echoed),
                _ => {}
            }
        }
        Err(error) => {
            check(&error, &bench.secrets, echoed);
            // Not done is proved by a row of the table, and a row has the platform's name or the gateway's status.
            let d = error.details();
            let named = !d.platform_name.is_empty() || d.http_status != 0;
            assert!(d.outcome != Outcome::NotDone || named, "{op:?}: {error}");
            assert!(d.outcome != Outcome::Done, "{op:?}: {error}");
        }
    }
}

fn hex(sum: impl AsRef<[u8]>) -> String {
    sum.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

fn escaped(text: &[u8]) -> String {
    text.iter()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(*b).into() } else { format!("%{b:02X}") })
        .collect()
}

/// Yopoint's sign over fields.
fn yopoint_sign(fields: &[(String, String)], key: &str) -> String {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let text: String = sorted.iter().map(|(n, v)| format!("{n}={v}&")).collect();
    hex(Md5::digest(text + key))
}

/// The application market's wrapping, with the key that is part of the secret.
fn market(secret: &str, text: &[u8]) -> Vec<u8> {
    use aes::cipher::{BlockEncrypt, KeyInit};
    let cipher = aes::Aes128::new_from_slice(&secret.as_bytes()[..16]).unwrap();
    let pad = 16 - text.len() % 16;
    let mut bytes = [text, &vec![pad as u8; pad]].concat();
    let mut before = *b"0102030405060708";
    for block in bytes.chunks_exact_mut(16) {
        block.iter_mut().zip(before).for_each(|(b, p)| *b ^= p);
        cipher.encrypt_block(block.into());
        before.copy_from_slice(block);
    }
    format!("message={}", escaped(STANDARD.encode(bytes).as_bytes())).into_bytes()
}

const NOTICES: &[(&str, &str)] = &[
    ("notify.close.door", r#"{"ReceiptNo":"VI1","CID":"c","Status":0,"RequestID":"u-1"}"#),
    ("notify.cabinet.order.simple", r#"{"ReceiptNo":"VI1","CID":"c","PayTime":1700000001}"#),
    (
        "notify.consumer.order.simple",
        r#"{"ReceiptNo":"VI1","TID":"t","ShipmentsStatus":-1,"ShipmentsError":"stuck"}"#,
    ),
    (
        "notify.activity.voucher.exchangecode",
        r#"{"VoucherID":"v","VoucherCode":"123","TID":"t","ReceiptNo":"VI1","ShipmentsStatus":3}"#,
    ),
    (
        "notify.cabinet.changed",
        r#"{"RequestID":"u-1","Name":"n","Code":"c","SellStatus":1,"EnableSell":true,"OnlineStatus":0,"Location":[113.2,23.1],"CabinetCount":2}"#,
    ),
    (
        "notify.depot.pickup.return",
        r#"{"RequestID":"u","BizID":"b","ReceiptNo":"r","DepotID":"d","AccountID":"a","CreateReturnOrderAt":5,"ProductList":[{"BarCode":"69","Qty":3}]}"#,
    ),
    (
        "cabinet.order.vi.result.notify",
        r#"{"ReceiptNo":"VI1","Price":450,"NotifyUrl":"https://x.example/n","Products":[{"BarCode":"69","Qty":1,"Price":450}]}"#,
    ),
    ("cabinet.order.product.modify", r#"{"ReceiptNo":"VI2","PaySuccessNotifyUrl":"https://x.example/p"}"#),
    ("cabinet.order.refunds.result.notify", r#"{"ReceiptNo":"VI1","RefundsPrice":200,"Price":450}"#),
    ("consumer.order.refunds", r#"{"ReceiptNo":"OD1","TradeNo":"T"}"#),
    ("api.test", r#"{"a":1}"#),
];

const DELIVERIES: &[&str] = &[
    r#"{"deliver_status":"0","error_msg":"Slave Comm Error","floor_status":"3","method":"device.delivery.response","order_id":60,"record_id":78}"#,
    "method=device.delivery.response&order_id=60&record_id=78&deliver_status=0&fail_reason=Over+Current",
];

const MESSAGES: &[&str] = &[
    r#"{"client_id":"1","type":"trade_TradePaid","status":"TRADE_PAID","id":"E1","msg_id":"m","version":1,"sign":"x","msg":"%7B%22full_order_info%22%3A%7B%22order_info%22%3A%7B%22tid%22%3A%22E1%22%7D%2C%22pay_info%22%3A%7B%22payment%22%3A%223.29%22%7D%7D%7D"}"#,
    r#"{"type":"trade_refund_RefundSuccess","id":"E9","version":1700000000,"msg":{"tid":"E9","refunded_fee":"1.20","update_time":"2024-01-01 00:00:00"}}"#,
    r#"{"type":"youzan_item_SkuStockChanged","id":"7","msg":"%7B%7D"}"#,
    r#"{"type":"APP_SUBSCRIBE","appId":110,"clientId":"1","kdtId":"2"}"#,
];

/// A callback, spoiled, and signed afterwards every other time: `(headers, body)`.
fn callback(rng: &mut Rng, kind: Kind, config: &Config) -> (String, Vec<u8>) {
    let good = rng.one_in(2);
    match kind {
        Kind::Yopoint => {
            let (method, biz) = rng.pick(NOTICES);
            let (_, other) = rng.pick(NOTICES);
            let mut fields: Vec<(String, String)> = if rng.one_in(4) {
                [
                    ("receipt_no", "OD1"),
                    ("return_url", "https://x.example/r"),
                    ("notify_url", "https://x.example/n"),
                ]
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .into()
            } else {
                [("appid", "1"), ("method", method), ("biz_content", biz), ("sign_type", "md5")]
                    .map(|(n, v)| (n.to_owned(), v.to_owned()))
                    .into()
            };
            let now = if rng.one_in(3) { "-9223372036854775808" } else { "1700000000" };
            fields.push(("timestamp".into(), now.into()));
            if good {
                for _ in 0..1 + rng.below(2) {
                    let at = rng.below(fields.len());
                    fields[at].1 = mutate_text(rng, &fields[at].1, other);
                }
            }
            let key = if rng.one_in(2) { "app_secret" } else { "pay_key" };
            fields.push(("sign".into(), yopoint_sign(&fields, config.get(key).unwrap())));
            let body = if rng.one_in(3) {
                let object = fields.iter().map(|(n, v)| (n.clone(), v.clone().into())).collect();
                serde_json::Value::Object(object).to_string()
            } else {
                let pair = |(n, v): &(String, String)| format!("{n}={}", escaped(v.as_bytes()));
                fields.iter().map(pair).collect::<Vec<_>>().join("&")
            };
            let body = if good { body.into_bytes() } else { mutate(rng, body.as_bytes(), biz.as_bytes()) };
            (String::new(), body)
        }
        Kind::Youzan => {
            let secret = config.get("client_secret").unwrap();
            let (sample, other) = (*rng.pick(MESSAGES), *rng.pick(MESSAGES));
            let body = mutate(rng, sample.as_bytes(), other.as_bytes());
            if rng.one_in(4) {
                let wrapped = market(secret, &body);
                return (String::new(), if good { wrapped } else { mutate(rng, &wrapped, other.as_bytes()) });
            }
            let id = config.get("client_id").unwrap();
            let sum = Md5::new().chain_update(id).chain_update(&body).chain_update(secret).finalize();
            let headers = format!("Content-Type: application/json\r\nEvent-Sign: {}\r\n", hex(sum));
            (if good { headers } else { mutate_text(rng, &headers, other) }, body)
        }
        _ => {
            let (sample, other) = (*rng.pick(DELIVERIES), *rng.pick(DELIVERIES));
            (mutate_text(rng, "A: b\r\n", other), mutate(rng, sample.as_bytes(), other.as_bytes()))
        }
    }
}

#[test]
fn spoiled_callbacks_are_read_or_refused_in_words() {
    let sim = simulator();
    let desks: Vec<_> = Kind::ALL
        .iter()
        .map(|kind| {
            let mut config = settings(&sim, kind.name(), false);
            let kinds_own = if *kind == Kind::Yopoint { "pay_key" } else { "client_secret" };
            if matches!(kind, Kind::Yopoint | Kind::Youzan) {
                config.set(kinds_own, SECRET).unwrap();
            }
            let secrets = secrets_of(&config);
            let masked: Vec<_> = secrets.iter().filter_map(|s| Masked::new(s)).collect();
            (platform::make(&config).unwrap(), config, secrets, masked)
        })
        .collect();
    let mut taken = [0; 4];
    let mut run = 0;
    cases(2000, |rng| {
        run += 1;
        let n = rng.below(desks.len());
        let (p, config, secrets, _) = &desks[n];
        let (headers, body) = callback(rng, p.kind(), config);
        let now_ms = *rng.pick(&[NOW_MS, NOW_MS, 0, i64::MAX]);
        match p.event(&headers, &body, now_ms) {
            Ok(event) => {
                taken[n] += 1;
                assert!(Json::parse(event.json.as_bytes()).is_ok(), "{event:?}");
                let message = mutate_text(rng, "SUCCESS", &event.json);
                for data in [None, Some(mutate_text(rng, r#"{"Status":1}"#, &event.json))] {
                    match p.event_reply(&event, rng.below(3) as i32 - 1, &message, data.as_deref()) {
                        Ok(text) => assert!(Json::parse(text.as_bytes()).is_ok(), "{text}"),
                        Err(e) => check(&e, secrets, false),
                    }
                }
            }
            Err(e) => check(&e, secrets, false),
        }
    });
    // Else only signatures were tested.
    assert!(run < 1000 || taken[..3].iter().all(|n| *n > 20), "{taken:?}");
}

#[test]
fn spoiled_parameters_are_sent_or_refused_in_words() {
    let sim = simulator();
    let benches = benches(&sim);
    cases(500, |rng| {
        let bench = rng.pick(&benches);
        let p = &*bench.platform;
        let json = mutate_text(rng, r#"{"page":1,"name":"茶","extra":{"a":[1]},"sign":"x"}"#, "CID");
        let id = mutate_text(rng, "16327129", "");
        let extra = rng.one_in(2).then(|| json.clone());
        let page = PageRequest { number: rng.next() as u32, size: rng.next() as u32 >> rng.below(32) };
        let time = (rng.next() as i64) >> rng.below(50);
        let method = mutate_text(rng, sample_method(p.kind()), "auth_exempt/");
        let door = DoorRequest {
            request_id: id.clone(),
            cabinet_id: id.clone(),
            door: id.clone(),
            extra_json: extra.clone(),
            ..Default::default()
        };
        let query = OrderQuery { from: time, to: time.saturating_mul(2), ..Default::default() };
        let create = CodeCreate {
            cabinet_id: id.clone(),
            expires_at: time,
            extra_json: extra.clone(),
            ..Default::default()
        };
        let redeem = RedeemRequest {
            request_id: id.clone(),
            code: id.clone(),
            cabinet_id: id.clone(),
            product_id: id.clone(),
            extra_json: extra.clone(),
            ..Default::default()
        };
        let report = PaymentReport {
            report_url: mutate_text(rng, "http://x.example/n?a=b", "@"),
            order_no: id.clone(),
            cabinet_id: id.clone(),
            trade_no: id.clone(),
            channel_json: Some(json.clone()),
            extra_json: extra.clone(),
            ..Default::default()
        };
        for op in [
            Op::Stock { cabinet_id: &id, page, extra_json: extra.as_deref() },
            Op::CabinetList { page },
            Op::DoorOpen(&door),
            Op::OrderList { query: &query, page },
            Op::CodeCreate(&create),
            Op::CodeRedeem(&redeem),
            Op::PaymentReport(&report),
            Op::Call { method: &method, params_json: &json },
        ] {
            if let Err(e) = p.nature(&op) {
                check(&e, &bench.secrets, false);
            }
            match p.draft(&op) {
                Ok(draft) => {
                    let now_ms = *rng.pick(&[0, NOW_MS, -1, 253_402_300_800_000]);
                    let request = (draft.seal)(&Moment { now_ms, token: "a+b&c" });
                    assert!(
                        request.url.path_and_query.bytes().all(|b| b.is_ascii_graphic()),
                        "{}",
                        request.url.path_and_query
                    );
                }
                Err(e) => check(&e, &bench.secrets, false),
            }
        }
    });
}

fn sample_method(kind: Kind) -> &'static str {
    match kind {
        Kind::Yopoint => "cabinet.order.list",
        Kind::Dingshang => "POST /products/131/pickup_code",
        Kind::Youzan => "youzan.item.quantity.update/3.0.0",
        Kind::Zhiyun => "userService/getUserInfo",
    }
}

#[test]
fn spoiled_files_of_accounts_are_read_or_refused_in_words() {
    const FILE: &str = r#"{"accounts":{"desk":{"platform":"yopoint","app_id":"100","app_secret":"Fz7secretQ9xKm2VtL4w","timeout_ms":9000,"allow_http":"no","proxy":"http://u:Fz7secretQ9xKm2VtL4w@10.0.0.1:3128","pin_sha256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},"shop":{"platform":"dingshang","base_url":"https://d.example","app_id":"ds1","app_secret":"Fz7secretQ9xKm2VtL4w","app_key":"k","sign_value_encoding":"raw"}}}"#;
    let secrets = [SECRET.to_owned()];
    let _masked = Masked::new(SECRET);
    let path = scratch("mutations").join("accounts.json");
    let path = path.to_str().unwrap();
    cases(250, |rng| {
        std::fs::write(path, mutate(rng, FILE.as_bytes(), b"\"state_dir\":\"x\"")).unwrap();
        let account = mutate_text(rng, "desk", "shop");
        for account in [None, Some("desk"), Some("shop"), Some(account.as_str())] {
            match Config::load(path, account).and_then(|c| platform::make(&c).map(|_| c)) {
                Ok(config) => assert!(!format!("{config:?}").contains(SECRET) || secret_moved(path)),
                // A secret under another key is no secret that could be known; it is not repeated all the same.
                Err(e) => check(&e, &secrets, false),
            }
        }
    });
}

/// Whether the value stands under a key that holds none.
fn secret_moved(path: &str) -> bool {
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let at_home = text.matches(&format!("app_secret\":\"{SECRET}")).count()
        + text.matches(&format!("\"http://u:{SECRET}@")).count();
    text.matches(SECRET).count() > at_home
}

#[test]
fn spoiled_settings_are_taken_or_refused_in_words() {
    let sim = simulator();
    let (chain, key) = sim.client_pair_pem();
    let folder = scratch("mutations-pem");
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let secrets = [SECRET.to_owned()];
    let _masked = Masked::new(SECRET);
    let samples = [
        "https://api.example.com:8443/a/b?c=d",
        "http://[::1]:80/",
        "http://u:Fz7secretQ9xKm2VtL4w@10.0.0.1:3128",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Thu, 29 Feb 2024 23:59:60 GMT",
        "10000",
        "yes",
    ];
    cases(100, |rng| {
        let text = {
            let (sample, other) = (*rng.pick(&samples), *rng.pick(&samples));
            mutate_text(rng, sample, other)
        };
        let clause = |why: String| {
            assert!(!why.is_empty() && why.len() < LONGEST && !why.contains('\0'), "{why:?}");
            assert!(!why.contains(&SECRET[..10]), "{why:?}");
        };
        match Url::parse(&text) {
            Ok(url) => assert!(url.path_and_query.starts_with('/') && !url.host.is_empty(), "{text:?}"),
            Err(why) => clause(why),
        }
        if let Err(why) = Proxy::parse(&text) {
            clause(why);
        }
        if let Err(why) = parse_pin(&text) {
            clause(why);
        }
        assert!(parse_http_date(&text).is_none_or(|t| (0..253_402_300_801).contains(&t)), "{text:?}");
        for kind in Kind::ALL {
            let mut config = Config::new(kind.name()).unwrap();
            for key in KEYS {
                if let Err(e) = config.set(key.name, &text) {
                    check(&e, &secrets, false);
                }
            }
            // Names are repeated, and a spoiled secret is no secret.
            if let Err(e) = config.set(&text, "x") {
                check(&e, &[], false);
            }
        }
        if let Err(e) = Config::new(&text) {
            check(&e, &[], false);
        }
        // PEM of every sort in every place.
        if rng.one_in(4) {
            let mut config = settings(&sim, "yopoint", false);
            let pem = mutate(rng, sim.ca_pem().as_bytes(), key.as_bytes());
            std::fs::write(file("ca"), &pem).unwrap();
            let chain = if rng.one_in(2) { chain.into() } else { mutate(rng, chain.as_bytes(), &pem) };
            let key = if rng.one_in(2) { key.into() } else { mutate(rng, key.as_bytes(), &pem) };
            std::fs::write(file("chain"), chain).unwrap();
            std::fs::write(file("key"), key).unwrap();
            for (name, at) in [("ca_file", "ca"), ("client_cert_file", "chain"), ("client_key_file", "key")] {
                config.set(name, &file(at)).unwrap();
            }
            if let Err(e) = Client::new(&config) {
                check(&e, &secrets, false);
            }
        }
    });
}
