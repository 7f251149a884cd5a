//! Dingshang's verbs that take more than one call, against a small scripted service: what is lost, late, done by
//! somebody else or by two threads at once.

mod common;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kiosklink::client::Client;
use kiosklink::config::Config;
use kiosklink::error::{Advice, Error, Outcome};
use kiosklink::event::SignedWith;
use kiosklink::model::*;
use kiosklink::status::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

const MACHINE: &str = "16327129";

/// What the service holds, what it is told to spoil, and what it saw.
#[derive(Default)]
struct World {
    /// id → code, product, expiry.
    codes: BTreeMap<u64, (String, String, String)>,
    /// id → trade id, code, status of the one record.
    orders: BTreeMap<u64, (String, String, String)>,
    used: BTreeMap<String, u64>,
    next: u64,
    /// Path and whether to act before the connection is dropped; each spoils one request.
    drops: Vec<(String, bool)>,
    /// Path and the body to answer instead of acting; each spoils one request.
    answers: Vec<(String, String)>,
    /// How many creations end under another maker's hands.
    intruders: u32,
    /// Lists that still show the old state after a creation.
    stale_lists: u32,
    hidden: Vec<u64>,
    seen: Vec<String>,
    deliveries: u32,
}

#[derive(Clone)]
struct Service {
    port: u16,
    world: Arc<Mutex<World>>,
}

enum Reply {
    Data(Value),
    Raw(u16, String),
    Drop,
}

impl Service {
    fn start() -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Service {
            port: listener.local_addr().unwrap().port(),
            world: Arc::new(Mutex::new(World { next: 100, ..World::default() })),
        };
        let serving = service.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let service = serving.clone();
                thread::spawn(move || service.serve(stream));
            }
        });
        service
    }

    fn client(&self) -> Client {
        self.client_with(&[])
    }

    fn client_with(&self, changes: &[(&str, &str)]) -> Client {
        let mut config = Config::new("dingshang").unwrap();
        let base = format!("http://127.0.0.1:{}", self.port);
        let settings = [
            ("base_url", base.as_str()),
            ("allow_http", "yes"),
            ("app_id", "ds0123456789"),
            ("app_secret", "a-secret"),
            ("app_key", "a-key"),
            ("timeout_ms", "4000"),
            ("state_dir", "none"),
        ];
        for (key, value) in settings.iter().chain(changes) {
            config.set(key, value).unwrap();
        }
        Client::new(&config).unwrap()
    }

    fn edit(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world.lock().unwrap());
    }

    fn count(&self, path: &str) -> usize {
        self.world.lock().unwrap().seen.iter().filter(|p| *p == path).count()
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        while let Some((line, headers, body)) = read(&mut reader) {
            let mut words = line.split(' ');
            let (method, path) = (words.next().unwrap(), words.next().unwrap());
            let path = format!("{method} {}", path.strip_prefix("/api/openapi/v1").unwrap());
            assert!(headers.contains("appid: ds0123456789") && headers.contains("appsecret: a-secret"));
            let (status, body) = match self.answer(&path, &body) {
                Reply::Drop => return,
                Reply::Data(data) => (200, json!({"code": 0, "message": "ok", "data": data}).to_string()),
                Reply::Raw(status, body) => (status, body),
            };
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
            if writer.write_all((head + &body).as_bytes()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, path: &str, body: &[u8]) -> Reply {
        let mut world = self.world.lock().unwrap();
        world.seen.push(path.to_owned());
        if let Some(at) = world.answers.iter().position(|(p, _)| p == path) {
            let (_, body) = world.answers.remove(at);
            return Reply::Raw(400, body);
        }
        let spoiled = world.drops.iter().position(|(p, _)| p == path);
        let spoiled = spoiled.map(|at| world.drops.remove(at).1);
        if spoiled == Some(false) {
            return Reply::Drop;
        }
        let reply = world.act(path, body);
        if spoiled == Some(true) { Reply::Drop } else { reply }
    }
}

impl World {
    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn make(&mut self, product: &str, count: u64, expiry: &str, hide: bool) {
        for _ in 0..count {
            let id = self.id();
            self.codes.insert(id, (format!("{:06}", id * 7), product.to_owned(), expiry.to_owned()));
            if hide {
                self.hidden.push(id);
            }
        }
    }

    fn order(&self, id: u64) -> Value {
        let (trade, _, status) = &self.orders[&id];
        let dashed = format!(
            "{}-{}-{}-{}-{}",
            &trade[..8],
            &trade[8..12],
            &trade[12..16],
            &trade[16..20],
            &trade[20..]
        );
        json!({"order_id": id, "trade_id": dashed, "amount": "1.00", "status": "PICKUPCODE", "pickup_code_id": 9,
            "records": [{"id": id + 1000, "product_id": 131, "quantity": 1, "price": "1.00", "status": status}]})
    }

    fn act(&mut self, path: &str, body: &[u8]) -> Reply {
        let refuse = |code: i32, data: Value| {
            Reply::Raw(400, json!({"code": code, "message": "no", "data": data}).to_string())
        };
        let fields = payload(body);
        let field = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
        let parts: Vec<_> = path.split('/').collect();
        match parts[..] {
            ["POST ", "ping"] => Reply::Data(json!("pong")),
            ["POST ", "products"] => Reply::Data(json!({"data": [
                {"id": 131, "good": {"name": "water", "price": "1.00"}, "channel": {"name": "A21"}, "inventory": 9},
                {"id": 132, "good": {"name": "tea", "price": "2.00"}, "channel": {"name": "A22"}, "inventory": 9},
            ], "total": 2, "current_page": 1, "last_page": 1, "per_page": 10})),
            ["POST ", "products", product, "pickup_code"] => {
                if self.stale_lists > 0 {
                    self.stale_lists -= 1;
                } else {
                    self.hidden.clear();
                }
                let rows: Vec<_> = self
                    .codes
                    .iter()
                    .filter(|(id, (_, p, _))| p == product && !self.hidden.contains(id))
                    .map(|(id, (code, _, expiry))| match expiry.as_str() {
                        "" => json!({"id": id, "code": code, "status": "UNUSED", "quantity": 1}),
                        _ => json!({"id": id, "code": code, "status": "UNUSED", "expired_at": expiry}),
                    })
                    .collect();
                Reply::Data(json!(rows))
            }
            ["POST ", "pickup_codes"] => {
                let hide = self.stale_lists > 0;
                if field("method") == "pickup_code.product.all" {
                    self.make("131", 1, &field("expired_at"), hide);
                    self.make("132", 1, &field("expired_at"), hide);
                } else {
                    let count = field("count").parse().unwrap();
                    self.make(&field("product_id"), count, &field("expired_at"), hide);
                }
                if self.intruders > 0 {
                    self.intruders -= 1;
                    self.make("131", 1, "", false);
                }
                Reply::Data(json!({}))
            }
            ["PUT ", "pickup_codes"] => {
                let gone = field("id").parse().ok().and_then(|id: u64| self.codes.remove(&id));
                if gone.is_some() { Reply::Data(json!({})) } else { refuse(80002, json!({})) }
            }
            ["POST ", "consumes"] => {
                let code = field("code");
                if let Some(order) = self.used.get(&code) {
                    return refuse(10025, json!({"order_id": order}));
                }
                let Some(id) = self.codes.iter().find(|(_, c)| c.0 == code).map(|(id, _)| *id) else {
                    return refuse(80002, json!({}));
                };
                self.codes.remove(&id);
                let order = self.id();
                self.orders.insert(order, (field("trade_id"), code.clone(), "未取货".into()));
                self.used.insert(code, order);
                Reply::Data(self.order(order))
            }
            ["POST ", "orders", id] => Reply::Data(self.order(id.parse().unwrap())),
            ["POST ", "deliveries"] => {
                self.deliveries += 1;
                Reply::Data(json!({"delivery_id": "5121763043809673", "status": "未取货或正在出货"}))
            }
            _ => refuse(6016, json!({})),
        }
    }
}

/// One request: its first line, its headers in lower case, its body.
fn read(reader: &mut BufReader<TcpStream>) -> Option<(String, String, Vec<u8>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut headers = String::new();
    loop {
        let before = headers.len();
        reader.read_line(&mut headers).ok().filter(|n| *n > 0)?;
        if headers[before..].trim().is_empty() {
            break;
        }
    }
    // Names in lower case; the values here are anyway.
    let headers = headers.to_lowercase();
    let length = headers
        .lines()
        .find_map(|l| l.strip_prefix("content-length:"))
        .map_or(0, |n| n.trim().parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((line.trim().to_owned(), headers, body))
}

fn payload(body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    let outer: Value = serde_json::from_slice(body).unwrap();
    let inner = STANDARD.decode(outer["payload"].as_str().unwrap()).unwrap();
    let fields: Value = serde_json::from_slice(&inner).unwrap();
    assert!(fields.as_object().unwrap().values().all(Value::is_string), "{fields}");
    assert_eq!(fields["sign"].as_str().unwrap().len(), 32);
    fields
}

fn create(count: u32) -> CodeCreate {
    CodeCreate { cabinet_id: MACHINE.into(), product_id: "131".into(), count, ..CodeCreate::default() }
}

fn redeem(request_id: &str, code: &str) -> RedeemRequest {
    RedeemRequest {
        request_id: request_id.into(),
        code: code.into(),
        cabinet_id: MACHINE.into(),
        product_id: "131".into(),
        notify_url: "https://me.example/cb/3fa9".into(),
        ..RedeemRequest::default()
    }
}

fn facts(e: &Error) -> (kl_status, Outcome, Advice) {
    (e.status(), e.details().outcome, e.details().advice)
}

const CREATE: &str = "POST /pickup_codes";
const CONSUME: &str = "POST /consumes";
const LIST: &str = "POST /products/131/pickup_code";

#[test]
fn creation_gives_exactly_the_new_codes() {
    let service = Service::start();
    let client = service.client();
    let first = client.code_create(&create(2)).unwrap();
    let second = client.code_create(&CodeCreate { expires_at: 1_735_660_799, ..create(3) }).unwrap();
    assert_eq!((first.len(), second.len()), (2, 3));
    assert!(second.iter().all(|c| c.expires_at == 1_735_660_799 && !first.iter().any(|f| f.id == c.id)));
    let all = client.code_create(&CodeCreate { product_id: String::new(), ..create(0) }).unwrap();
    let mut products: Vec<_> = all.iter().map(|c| c.product_id.as_str()).collect();
    products.sort_unstable();
    assert_eq!(products, ["131", "132"]);

    let found = CodeQuery {
        cabinet_id: MACHINE.into(),
        product_id: "131".into(),
        code: first[0].code.clone(),
        ..CodeQuery::default()
    };
    assert_eq!(client.code_lookup(&found).unwrap().id, first[0].id);
    let cancel = CodeCancel { cabinet_id: MACHINE.into(), id: first[0].id.clone(), extra_json: None };
    client.code_cancel(&cancel).unwrap();
    assert_eq!(client.code_lookup(&found).unwrap_err().status(), KL_E_NOT_FOUND);
    let again = client.code_cancel(&cancel).unwrap_err();
    assert_eq!(facts(&again), (KL_E_NOT_FOUND, Outcome::NotDone, Advice::None));
}

#[test]
fn threads_of_one_client_get_codes_of_their_own() {
    let service = Service::start();
    let client = service.client();
    let makers: Vec<_> = (0..6)
        .map(|_| {
            let client = client.clone();
            thread::spawn(move || client.code_create(&create(2)).unwrap())
        })
        .collect();
    let mut ids: Vec<_> = makers.into_iter().flat_map(|m| m.join().unwrap()).map(|c| c.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 12);
}

#[test]
fn a_creation_whose_answer_was_lost_is_unknown_and_the_new_codes_are_named() {
    let service = Service::start();
    let client = service.client();
    // Codes bear nothing of ours: those that are new are named, and taken for nobody's.
    service.edit(|w| w.drops.push((CREATE.into(), true)));
    let e = client.code_create(&create(2)).unwrap_err();
    assert_eq!(facts(&e), (KL_E_LOST, Outcome::Unknown, Advice::AskFirst));
    assert!(e.message().contains("the list shows 2 new: id 101, 102, ours or somebody else's"), "{e}");
    assert_eq!(service.count(CREATE), 1, "sent once");

    // Lost before it acted: nothing new is there, but it may still come.
    service.edit(|w| w.drops.push((CREATE.into(), false)));
    let e = client.code_create(&create(2)).unwrap_err();
    assert_eq!(facts(&e), (KL_E_LOST, Outcome::Unknown, Advice::AskFirst));
    assert!(e.message().contains("the list shows no new code"), "{e}");
    assert_eq!(service.count(CREATE), 2);

    // Nothing was sent: nothing was made.
    service.edit(|w| w.answers.push((LIST.into(), r#"{"code":30003,"message":"no","data":null}"#.into())));
    let e = client.code_create(&create(2)).unwrap_err();
    assert_eq!(facts(&e), (KL_E_NOT_FOUND, Outcome::NotDone, Advice::None));
    service.edit(|w| w.answers.push((CREATE.into(), r#"{"code":10023,"message":"no","data":{}}"#.into())));
    let e = client.code_create(&create(2)).unwrap_err();
    assert_eq!(facts(&e), (KL_E_PERMISSION, Outcome::NotDone, Advice::Fix));
}

#[test]
fn a_list_that_lags_behind_is_read_again_and_a_strangers_codes_are_not_ours() {
    let service = Service::start();
    let client = service.client();
    // The one before, and the first one after.
    service.edit(|w| w.stale_lists = 2);
    assert_eq!(client.code_create(&create(2)).unwrap().len(), 2);

    // A stranger's code ends at another time: it is told apart.
    service.edit(|w| w.intruders = 1);
    let ours = client.code_create(&CodeCreate { expires_at: 1_735_660_799, ..create(2) }).unwrap();
    assert!(ours.len() == 2 && ours.iter().all(|c| c.expires_at == 1_735_660_799));
    // Alike in everything: nobody can tell.
    service.edit(|w| w.intruders = 1);
    let e = client.code_create(&create(2)).unwrap_err();
    assert_eq!(facts(&e), (KL_E_PROTOCOL, Outcome::Unknown, Advice::AskFirst));
    assert!(e.message().contains("which are ours cannot be told; listed afterwards: 3 new codes"), "{e}");
}

#[test]
fn a_code_is_redeemed_and_its_goods_are_dispensed() {
    let service = Service::start();
    let client = service.client();
    let code = client.code_create(&create(1)).unwrap().remove(0).code;
    let taken = client.code_redeem(&redeem("r1", &code)).unwrap();
    assert!(!taken.recorded && !taken.receipt.item_no.is_empty());
    let again = client.code_redeem(&redeem("r1", &code)).unwrap();
    assert!(again.recorded && again.receipt == taken.receipt);
    assert_eq!(service.count(CONSUME), 1);

    let order = OrderRef {
        order_no: taken.receipt.order_no.clone(),
        cabinet_id: MACHINE.into(),
        ..OrderRef::default()
    };
    let order = client.order_get(&order).unwrap();
    assert_eq!(order.lines[0].item_no, taken.receipt.item_no);
    let door = DoorRequest {
        request_id: "r1-door".into(),
        cabinet_id: MACHINE.into(),
        order_no: taken.receipt.order_no,
        item_no: taken.receipt.item_no,
        ..DoorRequest::default()
    };
    assert_eq!(client.door_open(&door).unwrap().receipt.delivery_no, "5121763043809673");
    assert!(client.door_open(&door).unwrap().recorded);
    // A delivery whose answer is lost is not repeated: it may have run.
    let lost = DoorRequest { request_id: "r2-door".into(), ..door };
    service.edit(|w| w.drops.push(("POST /deliveries".into(), true)));
    let e = client.door_open(&lost).unwrap_err();
    assert_eq!(facts(&e), (KL_E_LOST, Outcome::Unknown, Advice::AskFirst));
    assert_eq!(client.door_open(&lost).unwrap_err().status(), KL_E_UNSETTLED);
    assert_eq!(service.world.lock().unwrap().deliveries, 2);
}

#[test]
fn a_redemption_whose_answer_was_lost_is_ours_when_asked_again() {
    let service = Service::start();
    let folder = common::scratch("ds-lost-redemption");
    let kept = || service.client_with(&[("state_dir", folder.to_str().unwrap())]);
    let client = kept();
    let code = client.code_create(&create(1)).unwrap().remove(0).code;
    service.edit(|w| w.drops.push((CONSUME.into(), true)));
    let e = client.code_redeem(&redeem("r1", &code)).unwrap_err();
    assert_eq!(facts(&e), (KL_E_LOST, Outcome::Unknown, Advice::AskFirst));

    // The question meets a refusal of its own: still not known, and the name is not free.
    service.edit(|w| w.answers.push((CONSUME.into(), r#"{"code":30002,"message":"no","data":null}"#.into())));
    let e = client.code_redeem(&redeem("r1", &code)).unwrap_err();
    assert_eq!(facts(&e), (KL_E_OFFLINE, Outcome::Unknown, Advice::AskFirst));
    // A refusal without the order says nothing either.
    service.edit(|w| w.answers.push((CONSUME.into(), r#"{"code":6033,"message":"no","data":{}}"#.into())));
    let e = client.code_redeem(&redeem("r1", &code)).unwrap_err();
    assert_eq!(facts(&e), (KL_E_CODE_USED, Outcome::Unknown, Advice::AskFirst));
    // The order cannot be read now.
    let order = format!("POST /orders/{}", service.world.lock().unwrap().used[&code]);
    service.edit(|w| w.answers.push((order, r#"{"code":4006,"message":"no","data":{}}"#.into())));
    let e = client.code_redeem(&redeem("r1", &code)).unwrap_err();
    assert_eq!(facts(&e), (KL_E_AUTH, Outcome::Unknown, Advice::AskFirst));

    // After a restart, too: the journal keeps the number that was sent.
    drop(client);
    let client = kept();
    let taken = client.code_redeem(&redeem("r1", &code)).unwrap();
    assert!(!taken.recorded && !taken.receipt.order_no.is_empty() && !taken.receipt.item_no.is_empty());
    assert!(client.code_redeem(&redeem("r1", &code)).unwrap().recorded);
    assert_eq!(service.world.lock().unwrap().orders.len(), 1);

    // Another installation's request of the same name is another's: its number is not on the order.
    let e = service.client().code_redeem(&redeem("r1", &code)).unwrap_err();
    assert_eq!(facts(&e), (KL_E_CODE_USED, Outcome::NotDone, Advice::None));
    assert!(e.message().contains("not of this request"), "{e}");
}

#[test]
fn a_code_used_by_another_program_is_not_done() {
    let service = Service::start();
    let client = service.client();
    let code = client.code_create(&create(1)).unwrap().remove(0).code;
    client.code_redeem(&redeem("r1", &code)).unwrap();
    let e = client.code_redeem(&redeem("r2", &code)).unwrap_err();
    assert_eq!(facts(&e), (KL_E_CODE_USED, Outcome::NotDone, Advice::None));
    assert!(e.message().contains("not of this request"), "{e}");
    // Its order is too old to be read: whose it is cannot be said, and a request may reach the platform twice.
    let order = format!("POST /orders/{}", service.world.lock().unwrap().used[&code]);
    service.edit(|w| w.answers.push((order, r#"{"code":40005,"message":"no","data":{}}"#.into())));
    let e = client.code_redeem(&redeem("r3", &code)).unwrap_err();
    assert_eq!(facts(&e), (KL_E_ORDER_STATE, Outcome::Unknown, Advice::AskFirst));
    // Never made.
    let e = client.code_redeem(&redeem("r4", "000000")).unwrap_err();
    assert_eq!(facts(&e), (KL_E_NOT_FOUND, Outcome::NotDone, Advice::None));
    // A trade number that is taken may be ours.
    service.edit(|w| w.answers.push((CONSUME.into(), r#"{"code":6040,"message":"no","data":{}}"#.into())));
    let e = client.code_redeem(&redeem("r5", "000000")).unwrap_err();
    assert_eq!(facts(&e), (KL_E_DUPLICATE, Outcome::Unknown, Advice::AskFirst));
}

#[test]
fn a_command_is_not_slipped_through_the_raw_call() {
    let service = Service::start();
    let client = service.client();
    for method in ["POST /consumes", "POST /deliveries", "POST /deliveries/debug", "POST /Deliveries"] {
        assert_eq!(client.call(method, "{}").unwrap_err().status(), KL_E_ARGUMENT);
    }
    assert!(service.world.lock().unwrap().seen.is_empty());
    let stock =
        client.call("POST /products", &json!({"machine_no": MACHINE, "page": 1}).to_string()).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&stock).unwrap()["total"], 2);
    // A read is tried again, a write is not.
    service.edit(|w| w.drops.push(("POST /products".into(), false)));
    client.call("POST /products", &json!({"machine_no": MACHINE}).to_string()).unwrap();
    service.edit(|w| w.drops.push(("PUT /pickup_codes".into(), false)));
    let e = client.call("PUT /pickup_codes", "{}").unwrap_err();
    assert_eq!(e.details().outcome, Outcome::Unknown);
    assert_eq!(service.count("PUT /pickup_codes"), 1);
}

#[test]
fn callbacks_are_hints_and_only_the_same_is_a_duplicate() {
    let client = Service::start().client();
    let notice = |status: u8| {
        json!({"method": "device.delivery.response", "order_id": 60, "record_id": 78,
            "deliver_status": status.to_string(), "error_msg": ""})
        .to_string()
    };
    let parse = |status| client.event_parse("", notice(status).as_bytes()).unwrap();
    let first = parse(0);
    assert!(!first.duplicate && first.signed_with == SignedWith::Nothing);
    assert!(parse(0).duplicate);
    let contrary = parse(1);
    assert!(!contrary.duplicate && contrary.delivery == DeliveryState::Delivered);
    assert_eq!(client.event_reply(&first, 0, "ok", None).unwrap(), r#"{"code":0,"message":"ok"}"#);
}
