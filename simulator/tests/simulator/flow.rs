//! A door, its order, the callbacks, the payment, the refund and the appeals.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use kiosklink_sim::Simulator;
use serde_json::{Value, json};

use crate::common::*;

/// Opens a door and answers the receipt number and the path for the payment report.
fn open(sim: &Simulator, biz: Value) -> (String, String) {
    let opened = data(sim, "cabinet.open.door", biz);
    let url = opened["NotifyUrl"].as_str().expect("an address");
    let path = url.strip_prefix(&sim.http_origin()).expect("under this origin");
    (opened["ReceiptNo"].as_str().expect("a number").to_owned(), path.to_owned())
}

/// Lets the shopper finish: the door shuts, the goods are recognised.
fn pass(sim: &Simulator) {
    control(sim, "POST", "/_sim/clock/advance", json!({"ms": 10_000}));
}

fn order(sim: &Simulator, receipt: &str) -> Value {
    control(sim, "GET", &format!("/_sim/yopoint/orders/{receipt}"), Value::Null)
}

fn pay(sim: &Simulator, path: &str, receipt: &str, trade_no: &str, status: &str, key: &str) -> String {
    let mut fields: Fields = [
        ("receipt_no", receipt),
        ("trade_no", trade_no),
        ("trade_status", status),
        ("trade_rawdata", "{}"),
        ("timestamp", &now(sim).to_string()),
    ]
    .map(|(n, v)| (n.to_owned(), v.to_owned()))
    .to_vec();
    fields.push(("sign".into(), sign(&fields, key)));
    fields.push(("price".into(), "200".into()));
    exchange(sim, &post(path, "application/x-www-form-urlencoded", &form(&fields))).text()
}

#[test]
fn from_the_door_to_the_payment() {
    let sim = start();
    let callbacks = Callbacks::of(&sim);
    let (receipt, path) = open(&sim, json!({"CID": CABINET, "OpenID": "o1", "TradeNo": "T1"}));
    let openings = control(&sim, "GET", "/_sim/openings", Value::Null);
    assert_eq!(openings[0]["cabinet"], CABINET);
    assert_eq!(
        openings[0]["cause"],
        json!({"by": "yopoint", "request": 1, "receipt": receipt, "trade_no": "T1"})
    );
    assert_eq!(openings[0]["shut_ms"], Value::Null);
    let going = data(&sim, "cabinet.order.get", json!({"TradeNo": "T1"}));
    assert_eq!((&going["DoorStatus"], &going["ServiceStatus"]), (&json!(1), &json!(1)));
    assert_eq!(pay(&sim, &path, &receipt, "W1", "1", PAY_KEY), "fail");

    pass(&sim);
    let (method, content) = callbacks.next_signed(SECRET);
    assert_eq!(method, "notify.close.door");
    assert_eq!(content, json!({"Status": 1, "ReceiptNo": receipt, "Msg": ""}));
    let (method, content) = callbacks.next_signed(PAY_KEY);
    assert_eq!(method, "cabinet.order.vi.result.notify");
    assert_eq!((&content["Price"], &content["Products"][0]["Qty"]), (&json!(200), &json!(1)));
    assert_eq!(content["NotifyUrl"], format!("{}{path}", sim.http_origin()));
    let stock = data(&sim, "cabinet.product.stock", json!({"cid": CABINET}));
    assert_eq!(stock["data"][0]["Stock"], 9);

    assert_eq!(pay(&sim, &path, &receipt, "W1", "1", SECRET), "fail");
    let log = control(&sim, "GET", "/_sim/requests?method=NotifyUrl", Value::Null);
    let last = log.as_array().and_then(|l| l.last()).expect("an entry");
    assert_eq!(last["signature"]["differs"], "it is signed with the appSecret of an account");
    assert_eq!(pay(&sim, &path, "VI0", "W1", "1", PAY_KEY), "fail");
    assert_eq!(pay(&sim, &path, &receipt, "W1", "-1", PAY_KEY), "success");
    assert_eq!(order(&sim, &receipt)["TradeStatus"], -1);
    assert_eq!(pay(&sim, &path, &receipt, "W1", "1", PAY_KEY), "success");
    let (method, content) = callbacks.next_signed(SECRET);
    assert_eq!(method, "notify.cabinet.order.simple");
    assert_eq!((&content["ReceiptNo"], &content["CID"]), (&json!(receipt), &json!(CABINET)));
    assert_eq!(pay(&sim, &path, &receipt, "W1", "1", PAY_KEY), "success");
    assert_eq!(pay(&sim, &path, &receipt, "W2", "1", PAY_KEY), "fail");
    control(&sim, "POST", "/_sim/wait", json!({"for": "quiet"}));
    assert!(callbacks.none_waiting(), "a repeated report makes no second notice");
    let paid = data(&sim, "cabinet.order.get", json!({"ReceiptNo": receipt}));
    assert_eq!((&paid["TradeStatus"], &paid["TradeNo"]), (&json!(1), &json!("W1")));
}

#[test]
fn refusals_open_nothing() {
    let sim = start();
    let refused = |biz: Value| refusal(&sim, "cabinet.open.door", biz);
    assert_eq!(refused(json!({})), "MISSING_PARAMS_CID");
    assert_eq!(refused(json!({"CID": "1"})), "ERR_CABINET_NOT_EXIST");
    assert_eq!(refused(json!({"cid": OFFLINE})), "ERR_CABINET_OFFLINE");
    assert_eq!(refused(json!({"cid": NOT_SELLING})), "ERR_CABINET_NOT_SELLING");
    assert_eq!(refused(json!({"cid": CABINET, "Door": 2})), "ERR_DOOR_NOT_EXIST");
    assert_eq!(refused(json!({"cid": CABINET, "Door": -1})), "ERR_DOOR_NOT_EXIST");
    for (settings, want) in [
        (json!({"payment_product": false}), "ERR_PAYMENT_NOT_PURCHASED"),
        (json!({"payment_product": true, "credit": 0}), "ERR_CREDIT_NOT_ENOUGH"),
        (json!({"credit": null, "require_open_id": true}), "MISSING_PARAMS_OPENID"),
    ] {
        control(&sim, "POST", "/_sim/yopoint/settings", settings);
        assert_eq!(refused(json!({"cid": CABINET})), want);
    }
    assert_eq!(control(&sim, "GET", "/_sim/openings", Value::Null), json!([]));
    control(
        &sim,
        "POST",
        "/_sim/yopoint/settings",
        json!({"require_open_id": false, "unique_trade_no": true}),
    );
    open(&sim, json!({"cid": TWO_DOORS, "Door": 2, "TradeNo": "T"}));
    assert_eq!(refused(json!({"cid": TWO_DOORS, "Door": 1})), "ERR_CABINET_IN_USE");
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"busy_whole_cabinet": false}));
    assert_eq!(refused(json!({"cid": TWO_DOORS, "Door": 2})), "ERR_CABINET_IN_USE");
    assert_eq!(refused(json!({"cid": TWO_DOORS, "Door": 1, "TradeNo": "T"})), "ERR_TRADENO_EXIST");
    open(&sim, json!({"cid": TWO_DOORS, "TradeNo": "U"}));
    let openings = control(&sim, "GET", "/_sim/openings?cabinet=5f6da2362201410011000002", Value::Null);
    assert_eq!((&openings[0]["door"], &openings[1]["door"]), (&json!(2), &json!(1)));
}

#[test]
fn the_same_call_twice_opens_twice() {
    let sim = start();
    let biz = json!({"CID": CABINET, "TradeNo": "T1"});
    open(&sim, biz.clone());
    pass(&sim);
    open(&sim, biz);
    assert_eq!(control(&sim, "GET", "/_sim/openings", Value::Null).as_array().map(Vec::len), Some(2));
}

#[test]
fn a_jammed_door_is_taken_for_open_until_the_report() {
    let sim = start();
    let callbacks = Callbacks::of(&sim);
    control(&sim, "POST", "/_sim/doors", json!({"cabinet": CABINET, "action": "jam"}));
    let (receipt, path) = open(&sim, json!({"CID": CABINET}));
    assert_eq!(control(&sim, "GET", "/_sim/openings", Value::Null), json!([]));
    pass(&sim);
    let (method, content) = callbacks.next_signed(SECRET);
    assert_eq!((method.as_str(), &content["Status"]), ("notify.close.door", &json!(2)));
    assert_eq!(order(&sim, &receipt)["DoorStatus"], -1);
    assert_eq!(pay(&sim, &path, &receipt, "W", "1", PAY_KEY), "fail");
    control(&sim, "POST", "/_sim/wait", json!({"for": "quiet"}));
    assert!(callbacks.none_waiting(), "nothing is recognised behind a door that never opened");
}

#[test]
fn a_cabinet_that_loses_its_connection_reports_later() {
    let sim = start();
    let callbacks = Callbacks::of(&sim);
    let (receipt, _) = open(&sim, json!({"CID": CABINET}));
    control(&sim, "POST", "/_sim/doors", json!({"cabinet": CABINET, "action": "offline"}));
    pass(&sim);
    control(&sim, "POST", "/_sim/wait", json!({"for": "quiet"}));
    assert!(callbacks.none_waiting());
    control(&sim, "POST", "/_sim/doors", json!({"cabinet": CABINET, "action": "online"}));
    assert_eq!(callbacks.next_signed(SECRET).1["ReceiptNo"], receipt);
    pass(&sim);
    assert_eq!(callbacks.next_signed(PAY_KEY).0, "cabinet.order.vi.result.notify");
}

#[test]
fn shoppers_and_recognition() {
    let sim = start();
    let callbacks = Callbacks::of(&sim);
    let take = json!([{"barcode": "6900000000028", "qty": 2}, {"barcode": "6900000000035", "qty": 99}]);
    control(&sim, "POST", "/_sim/yopoint/shopper", json!({"cabinet": CABINET, "take": take}));
    for (recognition, want) in [
        (json!("right"), json!([["6900000000028", 2], ["6900000000035", 5]])),
        (json!("more"), json!([["6900000000011", 2]])),
        (json!("empty"), json!([])),
        (json!("wrong"), json!([["6900000000028", 1]])),
    ] {
        control(&sim, "POST", "/_sim/yopoint/settings", json!({"recognition": recognition}));
        open(&sim, json!({"CID": CABINET}));
        pass(&sim);
        callbacks.next_signed(SECRET);
        let (_, content) = callbacks.next_signed(PAY_KEY);
        let products = content["Products"].as_array().expect("a list");
        let got: Vec<_> = products.iter().map(|p| json!([p["BarCode"], p["Qty"]])).collect();
        assert_eq!(json!(got), want);
    }
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"recognition": "suspicious"}));
    let (receipt, _) = open(&sim, json!({"CID": CABINET}));
    pass(&sim);
    callbacks.next_signed(SECRET);
    assert_eq!(order(&sim, &receipt)["IsSuspicious"], 1);
    control(&sim, "POST", &format!("/_sim/yopoint/orders/{receipt}/settle"), json!({}));
    assert_eq!(callbacks.next_signed(PAY_KEY).1["ReceiptNo"], receipt);
    assert_eq!(order(&sim, &receipt)["IsSuspicious"], 0);
}

#[test]
fn refund_with_a_synchronous_answer() {
    let sim = start();
    let callbacks = Callbacks::of(&sim);
    let (receipt, path) = open(&sim, json!({"CID": CABINET}));
    let ask = json!({"ReceiptNo": receipt, "Reason": "REFUNDS_REASON_PRODUCT_EXPIRED"});
    assert_eq!(refusal(&sim, "cabinet.order.refund.apply", ask.clone()), "ERR_ORDER_NOT_PAID");
    pass(&sim);
    assert_eq!(pay(&sim, &path, &receipt, "W", "1", PAY_KEY), "success");
    for _ in 0..3 {
        callbacks.next();
    }
    data(&sim, "cabinet.order.refund.apply", ask.clone());
    assert_eq!(refusal(&sim, "cabinet.order.refund.apply", ask), "ERR_REFUNDS_EXIST");
    assert!(callbacks.none_waiting(), "nothing is sent before staff approve");
    callbacks.answer_with(r#"{"error_code":0,"error_msg":"SUCCESS","data":{},"refundsRawData":{"id":"R1"}}"#);
    control(&sim, "POST", &format!("/_sim/yopoint/orders/{receipt}/refund"), json!({"approve": true}));
    let (method, content) = callbacks.next_signed(PAY_KEY);
    assert_eq!(method, "cabinet.order.refunds.result.notify");
    assert_eq!((&content["TradeNo"], &content["RefundsPrice"]), (&json!("W"), &json!(200)));
    control(&sim, "POST", "/_sim/wait", json!({"for": "order", "receipt": receipt, "stage": "refunded"}));
    let done = order(&sim, &receipt);
    assert_eq!((&done["RefundsPrice"], &done["RefundsRawData"]), (&json!(200), &json!({"id": "R1"})));
}

#[test]
fn appeals_before_and_after_payment() {
    let sim = start();
    let callbacks = Callbacks::of(&sim);
    let (receipt, path) = open(&sim, json!({"CID": CABINET}));
    assert_eq!(
        refusal(&sim, "cabinet.order.user.appeal", json!({"ReceiptNo": receipt})),
        "ERR_ORDER_NOT_FINISHED"
    );
    pass(&sim);
    callbacks.next_signed(SECRET);
    callbacks.next_signed(PAY_KEY);
    data(&sim, "cabinet.order.user.appeal", json!({"ReceiptNo": receipt}));
    let correct = |receipt: &str, barcode: &str| {
        let goods = json!({"products": [{"barcode": barcode, "qty": 1}]});
        control(&sim, "POST", &format!("/_sim/yopoint/orders/{receipt}/correct"), goods)
    };
    correct(&receipt, "6900000000042");
    let (method, content) = callbacks.next_signed(PAY_KEY);
    assert_eq!((method.as_str(), &content["Price"]), ("cabinet.order.vi.result.notify", &json!(150)));
    assert_eq!(pay(&sim, &path, &receipt, "W", "1", PAY_KEY), "success");
    callbacks.next_signed(SECRET);

    let new = correct(&receipt, "6900000000028")["ReceiptNo"].clone();
    let (method, content) = callbacks.next_signed(PAY_KEY);
    assert_eq!(method, "cabinet.order.product.modify");
    assert_eq!((&content["ReceiptNo"], &content["Price"]), (&new, &json!(450)));
    let url = content["PaySuccessNotifyUrl"].as_str().expect("an address").to_owned();
    let (method, content) = callbacks.next_signed(PAY_KEY);
    assert_eq!(
        (method.as_str(), &content["ReceiptNo"]),
        ("cabinet.order.refunds.result.notify", &json!(receipt))
    );
    let path = url.strip_prefix(&sim.http_origin()).expect("under this origin");
    assert_eq!(pay(&sim, path, new.as_str().expect("a number"), "W2", "1", PAY_KEY), "success");
    assert_eq!(callbacks.next_signed(SECRET).1["ReceiptNo"], new);
}

#[test]
fn callbacks_are_repeated_forged_delayed_and_reordered() {
    let sim = start();
    let callbacks = Callbacks::of(&sim);
    let rule = |body: Value| control(&sim, "POST", "/_sim/callbacks/rules", body);
    rule(json!({"do": "reorder", "method": "notify.close.door"}));
    rule(json!({"do": "duplicate", "method": "cabinet.order.vi.result.notify"}));
    rule(json!({"do": "ms_timestamp", "method": "notify.close.door"}));
    open(&sim, json!({"CID": CABINET}));
    pass(&sim);
    assert_eq!(callbacks.next_signed(PAY_KEY).0, "cabinet.order.vi.result.notify");
    let close = callbacks.next();
    assert_eq!((get(&close, "method"), get(&close, "timestamp").len()), ("notify.close.door", 13));
    assert_eq!(callbacks.next_signed(PAY_KEY).0, "cabinet.order.vi.result.notify");

    control(&sim, "POST", "/_sim/callbacks/1/resend", json!({"forge": true}));
    let forged = callbacks.next();
    assert_ne!(get(&forged, "sign"), sign(&forged, SECRET));

    rule(json!({"do": "drop"}));
    rule(json!({"do": "delay", "ms": 5_000, "count": 2}));
    let notice = json!({"method": "notify.cabinet.changed", "cabinet": CABINET});
    control(&sim, "POST", "/_sim/yopoint/notify", notice.clone());
    control(&sim, "POST", "/_sim/yopoint/notify", notice);
    control(&sim, "POST", "/_sim/wait", json!({"for": "callbacks_idle"}));
    assert!(callbacks.none_waiting());
    pass(&sim);
    assert_eq!(callbacks.next_signed(SECRET).1["CargoConfig"][0]["BarCode"], "6900000000011");
    control(&sim, "POST", "/_sim/wait", json!({"for": "quiet"}));
    assert!(callbacks.none_waiting(), "one was lost, the other came once");
}

#[test]
fn a_callback_that_is_not_taken_comes_again() {
    let sim = start();
    let callbacks = Callbacks::of(&sim);
    callbacks.answer_with("success");
    control(&sim, "POST", "/_sim/callbacks", json!({"retry_ms": [1000, 2000]}));
    control(&sim, "POST", "/_sim/yopoint/consumer_orders", json!({"status": -1, "error": "卡货"}));
    let first = callbacks.next();
    let deliveries = |progress: &str| {
        let path = format!("/_sim/callbacks?progress={progress}");
        control(&sim, "GET", &path, Value::Null)["deliveries"].clone()
    };
    control(&sim, "POST", "/_sim/wait", json!({"for": "callbacks_idle"}));
    let waiting = deliveries("queued");
    let error = waiting[0]["attempts"][0]["error"].as_str().expect("a reason");
    assert!(error.contains("not JSON"), "{error}");
    callbacks.answer_with(r#"{"error_code":0,"error_msg":"SUCCESS"}"#);
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 1000}));
    assert_eq!(callbacks.next(), first, "the same text comes again");
    control(&sim, "POST", "/_sim/wait", json!({"for": "callbacks_idle"}));
    callbacks.answer_with(TAKEN);
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 2000}));
    callbacks.next();
    control(&sim, "POST", "/_sim/wait", json!({"for": "callback", "method": "notify.consumer.order.simple"}));
    assert_eq!(deliveries("delivered")[0]["attempts"].as_array().map(Vec::len), Some(3));
}

#[test]
fn every_account_with_an_address_is_told() {
    let sim = start();
    let callbacks = Callbacks::of(&sim);
    let accounts = json!({"accounts": [
        {"appid": APPID, "secret": SECRET}, {"appid": "2", "secret": "second"},
        {"appid": "3", "secret": "third", "methods": ["api.test"]},
    ]});
    control(&sim, "POST", "/_sim/yopoint/settings", accounts);
    control(&sim, "POST", "/_sim/yopoint/notify", json!({"method": "notify.depot.pickup.return"}));
    callbacks.next_signed(SECRET);
    callbacks.next_signed("second");
    control(&sim, "POST", "/_sim/wait", json!({"for": "quiet"}));
    assert!(callbacks.none_waiting());
    control(&sim, "POST", "/_sim/yopoint/notify", json!({"method": "notify.activity.voucher.exchangecode"}));
    assert_eq!(callbacks.next_signed(SECRET).1["ShipmentsStatus"], 1);
}

#[test]
fn held_callbacks_go_in_the_order_wanted() {
    let sim = start();
    let callbacks = Callbacks::of(&sim);
    control(&sim, "POST", "/_sim/callbacks", json!({"hold": true}));
    open(&sim, json!({"CID": CABINET}));
    pass(&sim);
    control(&sim, "POST", "/_sim/callbacks/reorder", json!({"ids": [2, 1]}));
    control(&sim, "POST", "/_sim/callbacks", json!({"hold": false}));
    assert_eq!(callbacks.next_signed(PAY_KEY).0, "cabinet.order.vi.result.notify");
    assert_eq!(callbacks.next_signed(SECRET).0, "notify.close.door");
    let away = json!({"platform": "yopoint", "url": "https://example.com/"});
    assert_eq!(sim.control("POST", "/_sim/callbacks", away).0, 400);
    assert!(callbacks.url.starts_with("http://127.0.0.1"));
}

#[test]
fn over_tls_the_payment_address_is_https() {
    let sim = start();
    let config = Arc::new(client_config(&sim));
    let mut stream = tls(&sim, &config, "localhost").expect("a handshake");
    let request = gateway_request(&sim, "cabinet.open.door", &json!({"CID": CABINET}));
    stream.write_all(&request).expect("it reads");
    let answer = read_answer(&mut stream).expect("an answer").json();
    assert!(answer["data"]["NotifyUrl"].as_str().is_some_and(|u| u.starts_with(&sim.origin())));
}

#[test]
fn callbacks_over_https_need_a_trusted_certificate() {
    let sim = start();
    let own = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(own.key_pair.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key.into())
        .expect("a pair");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let url = format!("https://localhost:{port}/callback");
    control(&sim, "POST", "/_sim/callbacks", json!({"platform": "yopoint", "url": url, "retry_ms": []}));
    let config = Arc::new(config);
    let serve = |listener: &TcpListener| {
        let (socket, _) = listener.accept().expect("a connection");
        let server = rustls::ServerConnection::new(config.clone()).expect("a server");
        let mut stream = rustls::StreamOwned::new(server, socket);
        let mut got = [0u8; 4096];
        let n = stream.read(&mut got).unwrap_or(0);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{TAKEN}", TAKEN.len());
        let _ = stream.write_all(head.as_bytes());
        n
    };
    let notice = json!({"method": "notify.cabinet.changed"});
    for (pem, progress) in [(Value::Null, "failed"), (json!(own.cert.pem()), "delivered")] {
        control(&sim, "POST", "/_sim/callbacks", json!({"ca_pem": pem}));
        control(&sim, "POST", "/_sim/yopoint/notify", notice.clone());
        assert_eq!(serve(&listener) > 0, progress == "delivered");
        let wait = json!({"for": "callback", "progress": progress});
        control(&sim, "POST", "/_sim/wait", wait);
    }
}
