//! Dingshang over real TLS, against the simulator: an independent reading of the same pages.

mod common;

use common::{client_of, control, simulator};
use kiosklink::client::Client;
use kiosklink::error::{Advice, Error, Outcome};
use kiosklink::event::{EventKind, SignedWith};
use kiosklink::model::*;
use kiosklink::status::*;
use kiosklink_sim::Simulator;
use serde_json::{Value, json};
use std::thread;
use std::time::Duration;

const MACHINE: &str = "16327129";
const WITHOUT_CODES: &str = "8668380625375492";
const OFFLINE: &str = "16327130";
const STOPPED: &str = "16327131";
/// The product of lane A21.
const PRODUCT: &str = "131";

fn client_with(sim: &Simulator, changes: &[(&str, &str)]) -> Client {
    client_of(sim, "dingshang", changes)
}

fn client(sim: &Simulator) -> Client {
    client_with(sim, &[])
}

fn settings(sim: &Simulator, change: Value) {
    control(sim, "POST", "/_sim/dingshang/settings", change);
}

fn refuse(sim: &Simulator, operation: &str, code: i32, data: Value) {
    let rule =
        json!({"operation": operation, "code": code, "message": "sorry, no", "data": data, "count": 1});
    control(sim, "POST", "/_sim/dingshang/refusals", rule);
}

fn fault(sim: &Simulator, method: &str, fault: &str) {
    let rule = json!({"platform": "dingshang", "method": method, "fault": fault});
    control(sim, "POST", "/_sim/faults", rule);
}

fn fallen(sim: &Simulator) -> usize {
    control(sim, "GET", "/_sim/dingshang/dispenses", Value::Null).as_array().unwrap().len()
}

fn order_of(client: &Client, order_no: &str) -> Order {
    let r = OrderRef { order_no: order_no.into(), cabinet_id: MACHINE.into(), ..OrderRef::default() };
    client.order_get(&r).unwrap()
}

fn facts(e: &Error) -> (kl_status, Outcome, Advice) {
    (e.status(), e.details().outcome, e.details().advice)
}

fn create(count: u32) -> CodeCreate {
    CodeCreate { cabinet_id: MACHINE.into(), product_id: PRODUCT.into(), count, ..CodeCreate::default() }
}

fn query(code: &str) -> CodeQuery {
    CodeQuery {
        cabinet_id: MACHINE.into(),
        product_id: PRODUCT.into(),
        code: code.into(),
        ..CodeQuery::default()
    }
}

fn redeem(request_id: &str, code: &str) -> RedeemRequest {
    RedeemRequest {
        request_id: request_id.into(),
        code: code.into(),
        cabinet_id: MACHINE.into(),
        product_id: PRODUCT.into(),
        notify_url: "https://me.example/cb/3fa9".into(),
        ..RedeemRequest::default()
    }
}

fn dispense(request_id: &str, order_no: &str, item_no: &str) -> DoorRequest {
    DoorRequest {
        request_id: request_id.into(),
        cabinet_id: MACHINE.into(),
        order_no: order_no.into(),
        item_no: item_no.into(),
        ..DoorRequest::default()
    }
}

fn order_create(trade_no: &str) -> OrderCreate {
    OrderCreate {
        cabinet_id: MACHINE.into(),
        trade_no: trade_no.into(),
        notify_url: "https://me.example/cb/3fa9".into(),
        lines: vec![(PRODUCT.into(), 1)],
        extra_json: None,
        ..Default::default()
    }
}

#[test]
fn reads() {
    let sim = simulator();
    let client = client(&sim);
    client.ping().unwrap();
    let machines = client.cabinets(0).collect_all().unwrap();
    assert_eq!(machines.len(), 4);
    let of = |id: &str| machines.iter().find(|m| m.id == id).unwrap();
    assert_eq!((of(MACHINE).online, of(MACHINE).sale), (Tri::Yes, SaleState::Selling));
    assert_eq!(of(OFFLINE).online, Tri::No);
    assert_eq!(of(STOPPED).sale, SaleState::Stopped);

    let stock = client.stock(MACHINE, 0, Some(r#"{"select_all":1}"#)).collect_all().unwrap();
    let lane = |name: &str| stock.iter().find(|s| s.lanes == name).unwrap();
    assert_eq!(lane("A21").id, PRODUCT);
    assert!(lane("A21").stock > 0 && lane("A21").price > 0 && !lane("A21").name.is_empty());
    assert_eq!(lane("A23").stock, 0, "a zero is left out of the answer");
    // Page by page it is the same list.
    let whole = client.stock(MACHINE, 0, None).collect_all().unwrap();
    let pieces = client.stock(MACHINE, 1, None).collect_all().unwrap();
    assert!(whole.len() > 1 && whole == pieces);
    assert!(client.stock(MACHINE, 0, Some(r#"{"category_id":999}"#)).collect_all().unwrap().is_empty());

    let e = client.stock(OFFLINE, 0, None).collect_all().unwrap_err();
    assert_eq!((e.status(), e.details().platform_code), (KL_E_OFFLINE, 30002));
    let e = client.stock("00000000", 0, None).collect_all().unwrap_err();
    assert_eq!(e.status(), KL_E_NOT_FOUND);

    let params = json!({"machine_no": MACHINE}).to_string();
    for method in ["POST /floors", "POST /banners", "POST /categories"] {
        assert!(client.call(method, &params).unwrap().starts_with('['), "{method}");
    }
    let detail = client.call(&format!("POST /rent/machines/{MACHINE}"), "").unwrap();
    assert_eq!(serde_json::from_str::<Value>(&detail).unwrap()["machine_type"], 1);
    assert_eq!(client.call("POST /ping", "").unwrap(), "\"pong\"");
}

#[test]
fn both_generations_of_codes_say_the_same() {
    let sim = simulator();
    for generation in ["legacy", "current"] {
        for (http, no_data) in [(400, false), (200, true)] {
            settings(
                &sim,
                json!({"error_codes": generation, "http_error_status": http, "failure_data_null": no_data}),
            );
            let good = client(&sim);
            let ping =
                |key: &str, value: &str| client_with(&sim, &[(key, value)]).ping().unwrap_err().status();
            assert_eq!(ping("app_id", "ds999"), KL_E_AUTH);
            assert_eq!(ping("app_secret", "wrong"), KL_E_AUTH);
            let e =
                client_with(&sim, &[("app_key", "wrong")]).stock(MACHINE, 0, None).collect_all().unwrap_err();
            assert!(e.status() == KL_E_AUTH && e.message().contains("app_key"), "{e}");
            let e = good.stock(OFFLINE, 0, None).collect_all().unwrap_err();
            assert_eq!(e.status(), KL_E_OFFLINE, "{generation} {http}");
            let e =
                good.code_create(&CodeCreate { cabinet_id: WITHOUT_CODES.into(), ..create(1) }).unwrap_err();
            assert_eq!(facts(&e), (KL_E_PERMISSION, Outcome::NotDone, Advice::Fix));
            let e = good.code_redeem(&redeem("x", "000000")).unwrap_err();
            assert_eq!(facts(&e), (KL_E_NOT_FOUND, Outcome::NotDone, Advice::None));
            let e = good
                .code_cancel(&CodeCancel { cabinet_id: MACHINE.into(), id: "99".into(), extra_json: None })
                .unwrap_err();
            assert_eq!((e.status(), e.details().outcome), (KL_E_NOT_FOUND, Outcome::NotDone));
        }
    }
    settings(&sim, json!({"merchant_expired": true}));
    let e = client(&sim).stock(MACHINE, 0, None).collect_all().unwrap_err();
    assert_eq!(e.status(), KL_E_ACCOUNT);
}

#[test]
fn the_other_way_to_sign_is_a_setting() {
    let sim = simulator();
    settings(&sim, json!({"sign_value_encoding": "query"}));
    let timed = CodeCreate { expires_at: 4_000_000_000, ..create(1) };
    let raw = client_with(&sim, &[("sign_value_encoding", "raw")]);
    assert_eq!(raw.code_create(&timed).unwrap_err().status(), KL_E_AUTH);
    let query = client_with(&sim, &[("sign_value_encoding", "query")]);
    assert_eq!(query.code_create(&timed).unwrap()[0].expires_at, 4_000_000_000);
    // Texts sent as texts pass the strictest service, and so does the time.
    settings(
        &sim,
        json!({"sign_value_encoding": "raw", "strict_strings": true, "timestamp_tolerance_s": 60}),
    );
    assert_eq!(client(&sim).code_create(&timed).unwrap().len(), 1);
}

#[test]
fn a_code_from_creation_to_the_falling_goods() {
    let sim = simulator();
    let client = client(&sim);
    let codes =
        client.code_create(&CodeCreate { length: 8, expires_at: 4_000_000_000, ..create(2) }).unwrap();
    assert!(codes.len() == 2 && codes.iter().all(|c| c.code.len() == 8 && c.expires_at == 4_000_000_000));
    assert_eq!(client.code_list(&query("")).unwrap().items.len(), 2);
    assert_eq!(client.code_lookup(&query(&codes[0].code)).unwrap().state, CodeState::Unused);

    let taken = client.code_redeem(&redeem("r1", &codes[0].code)).unwrap();
    assert_eq!(client.code_lookup(&query(&codes[0].code)).unwrap_err().status(), KL_E_NOT_FOUND);
    let order = order_of(&client, &taken.receipt.order_no);
    assert_eq!((order.state_text.as_str(), order.payment), ("PICKUPCODE", PaymentState::Paid));
    assert_eq!(order.delivery, DeliveryState::AwaitingPickup);
    assert_eq!(fallen(&sim), 0, "nothing moved yet");

    let door = dispense("d1", &taken.receipt.order_no, &taken.receipt.item_no);
    let delivery = client.door_open(&door).unwrap().receipt.delivery_no;
    assert!(client.door_open(&door).unwrap().recorded);
    assert_eq!(fallen(&sim), 1);
    control(&sim, "POST", &format!("/_sim/dingshang/deliveries/{delivery}/result"), Value::Null);
    let order = order_of(&client, &taken.receipt.order_no);
    assert_eq!(
        (order.delivery, order.lines[0].delivery),
        (DeliveryState::Delivered, DeliveryState::Delivered)
    );
    let params = json!({"machine_no": MACHINE}).to_string();
    assert!(client.call(&format!("POST /deliveries/{delivery}"), &params).unwrap().contains("出货完成"));

    // Another name for the same item: the platform refuses.
    let e = client.door_open(&DoorRequest { request_id: "d2".into(), ..door }).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_ORDER_STATE, Outcome::NotDone));
    assert_eq!(fallen(&sim), 1);
}

#[test]
fn a_lost_redemption_is_recovered_and_a_strangers_is_not() {
    let sim = simulator();
    settings(&sim, json!({"consume_lost_answer": 1}));
    let folder = common::scratch("ds-sim-lost-redemption");
    let kept = || client_with(&sim, &[("state_dir", folder.to_str().unwrap())]);
    let one = kept();
    let code = one.code_create(&create(1)).unwrap().remove(0).code;
    let e = one.code_redeem(&redeem("r1", &code)).unwrap_err();
    assert_eq!((e.details().outcome, e.details().advice), (Outcome::Unknown, Advice::AskFirst));
    // After a restart, with a plain number of its own, and in the other generation: the journal keeps what was sent.
    drop(one);
    settings(&sim, json!({"error_codes": "current", "consume_trade_id": "plain"}));
    let one = kept();
    let taken = one.code_redeem(&redeem("r1", &code)).unwrap();
    let order = order_of(&one, &taken.receipt.order_no);
    assert_eq!(order.lines[0].item_no, taken.receipt.item_no);
    let e = client(&sim).code_redeem(&redeem("r2", &code)).unwrap_err();
    assert_eq!(facts(&e), (KL_E_CODE_USED, Outcome::NotDone, Advice::None));
    let orders = control(&sim, "GET", "/_sim/dingshang/orders", Value::Null);
    assert_eq!(orders.as_array().unwrap().len(), 1);
}

#[test]
fn a_lost_creation_is_unknown_and_threads_share_nothing() {
    let sim = simulator();
    settings(&sim, json!({"create_lost_answer": 1}));
    let client = client(&sim);
    // It was made, but a code bears nothing that says by whom.
    let e = client.code_create(&create(2)).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_LOST, Outcome::Unknown), "{e}");
    assert!(e.message().contains("the list shows 2 new: id "), "{e}");
    assert_eq!(client.code_list(&query("")).unwrap().items.len(), 2);
    let makers: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            thread::spawn(move || client.code_create(&create(1)).unwrap().remove(0).id)
        })
        .collect();
    let mut ids: Vec<_> = makers.into_iter().map(|m| m.join().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    fault(&sim, "codes_create", "drop_before_acting");
    let e = client.code_create(&create(1)).unwrap_err();
    assert_eq!(e.details().outcome, Outcome::Unknown);
    for shape in ["per_product", "per_item"] {
        settings(&sim, json!({"create_all": shape, "create_answer": "codes"}));
        let all = client.code_create(&CodeCreate { product_id: String::new(), ..create(0) }).unwrap();
        assert!(all.len() > 1 && all.iter().any(|c| c.product_id == PRODUCT), "{shape}");
    }
    client.code_cancel(&CodeCancel { cabinet_id: MACHINE.into(), ..CodeCancel::default() }).unwrap();
    assert!(client.code_list(&query("")).unwrap().items.is_empty());
}

#[test]
fn an_order_is_paid_dispensed_and_refunded() {
    let sim = simulator();
    let client = client(&sim);
    let own = client.order_create(&order_create("")).unwrap().order_no;
    assert_eq!(order_of(&client, &own).trade_no.len(), 24, "the library's own number");
    let order_no = client.order_create(&order_create("11111111111111111111")).unwrap().order_no;
    let order = order_of(&client, &order_no);
    assert_eq!((order.payment, order.trade_no.as_str()), (PaymentState::Unpaid, "11111111111111111111"));
    // Refused with code 0.
    let item = order.lines[0].item_no.clone();
    let e = client.door_open(&dispense("d0", &order_no, &item)).unwrap_err();
    assert_eq!(facts(&e), (KL_E_ORDER_STATE, Outcome::NotDone, Advice::None));
    assert_eq!(e.details().platform_code, 0);

    let mut report = PaymentReport {
        order_no: order_no.clone(),
        cabinet_id: MACHINE.into(),
        paid: true,
        amount: -1,
        ..PaymentReport::default()
    };
    client.payment_report(&report).unwrap();
    assert_eq!(order_of(&client, &order_no).payment, PaymentState::Paid);
    client.door_open(&dispense("d1", &order_no, &item)).unwrap();
    assert_eq!(fallen(&sim), 1);

    // The same number again may be the first one's: not a plain refusal.
    let e = client.order_create(&order_create("11111111111111111111")).unwrap_err();
    assert_eq!(facts(&e), (KL_E_DUPLICATE, Outcome::Unknown, Advice::AskFirst));

    let second = client.order_create(&order_create("22222222222222222222")).unwrap().order_no;
    report.order_no = second.clone();
    report.paid = false;
    client.payment_report(&report).unwrap();
    let failed = order_of(&client, &second);
    assert_eq!((failed.payment, failed.state_text.as_str()), (PaymentState::Failed, "PAYERROR"));

    let third = client.order_create(&order_create("33333333333333333333")).unwrap().order_no;
    report.order_no = third.clone();
    report.paid = true;
    client.payment_report(&report).unwrap();
    let claim = Complaint { order_no: third.clone(), cabinet_id: MACHINE.into(), ..Complaint::default() };
    client.refund_apply(&claim).unwrap();
    assert_eq!(order_of(&client, &third).refund_state, 2);
    let mut gone = order_create("44444444444444444444");
    gone.lines[0].0 = "134".into();
    assert_eq!(client.order_create(&gone).unwrap_err().status(), KL_E_OUT_OF_STOCK);
}

#[test]
fn a_delivery_whose_answer_is_lost_runs_once() {
    let sim = simulator();
    let client = client(&sim);
    let code = client.code_create(&create(1)).unwrap().remove(0).code;
    let taken = client.code_redeem(&redeem("r1", &code)).unwrap().receipt;
    let door = dispense("d1", &taken.order_no, &taken.item_no);
    fault(&sim, "deliver", "act_then_drop");
    let e = client.door_open(&door).unwrap_err();
    assert_eq!((e.details().outcome, e.details().advice), (Outcome::Unknown, Advice::AskFirst));
    // The same name asks, and the order shows that it is on its way.
    let known = client.door_open(&door).unwrap();
    assert!(known.recorded && known.receipt.item_no == taken.item_no, "{known:?}");
    assert_eq!(fallen(&sim), 1);
    // The order tells what became of it.
    let wait = json!({"for": "record", "order_id": taken.order_no.parse::<u64>().unwrap(),
        "record_id": taken.item_no.parse::<u64>().unwrap(), "status": "IS_SUCCESS", "timeout_ms": 5000});
    control(&sim, "POST", "/_sim/wait", wait);
    assert_eq!(order_of(&client, &taken.order_no).delivery, DeliveryState::Delivered);

    // A lane by its name, as a test.
    settings(&sim, json!({"result_ms": 1}));
    let lane = DoorRequest {
        door: "A20".into(),
        notify_url: "https://me.example/cb/3fa9".into(),
        ..dispense("d2", "", "")
    };
    assert!(!client.door_open(&lane).unwrap().receipt.delivery_no.is_empty());
    assert_eq!(fallen(&sim), 2);
    // The machine is busy until it has reported.
    thread::sleep(Duration::from_millis(200));
    let empty = DoorRequest { request_id: "d3".into(), door: "A23".into(), ..lane };
    let e = client.door_open(&empty).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_OUT_OF_STOCK, Outcome::NotDone));
}

#[test]
fn every_published_code_is_understood_over_the_wire() {
    let sim = simulator();
    let client = client(&sim);
    for (code, status, outcome) in [
        (6032, KL_E_CODE_EXPIRED, Outcome::NotDone),
        // By whom it does not say: perhaps by this very request.
        (6033, KL_E_CODE_USED, Outcome::Unknown),
        (6040, KL_E_DUPLICATE, Outcome::Unknown),
        (6047, KL_E_OUT_OF_STOCK, Outcome::NotDone),
        (30004, KL_E_NOT_READY, Outcome::NotDone),
        (6015, KL_E_PLATFORM, Outcome::Unknown),
        (9999, KL_E_PLATFORM, Outcome::Unknown),
    ] {
        refuse(&sim, "consume", code, json!({}));
        let e = client.code_redeem(&redeem(&format!("r{code}"), &format!("12{code:04}"))).unwrap_err();
        assert_eq!((e.status(), e.details().outcome), (status, outcome), "{code}: {e}");
        assert_eq!(e.details().platform_message, "sorry, no");
    }
}

#[test]
fn the_simulators_notices_are_read() {
    let sim = simulator();
    let client = client(&sim);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/cb/3fa9", listener.local_addr().unwrap());
    for (form, key) in [("json", "error_msg"), ("form", "fail_reason")] {
        settings(&sim, json!({"notify_form": form, "notify_error_key": key}));
        let path = format!("/_sim/dingshang/machines/{MACHINE}/lanes/A21");
        control(&sim, "PATCH", &path, json!({"outcomes": [{"error": "Goods are Stuck", "result_ms": 1}]}));
        let code = client.code_create(&create(1)).unwrap().remove(0).code;
        let name = format!("n{form}");
        let taken =
            client.code_redeem(&RedeemRequest { notify_url: url.clone(), ..redeem(&name, &code) }).unwrap();
        let r = taken.receipt;
        client.door_open(&dispense(&format!("d{form}"), &r.order_no, &r.item_no)).unwrap();
        let (head, body) = received(&listener);
        let event = client.event_parse(&head, &body).unwrap();
        assert_eq!((event.kind, event.signed_with), (EventKind::Delivery, SignedWith::Nothing));
        assert_eq!(
            (event.order_no.as_str(), event.item_no.as_str()),
            (r.order_no.as_str(), r.item_no.as_str())
        );
        assert_eq!((event.delivery, event.message.as_str()), (DeliveryState::Failed, "Goods are Stuck"));
        // Believed only when the order says so too.
        assert_eq!(order_of(&client, &event.order_no).delivery, DeliveryState::Failed);
    }
}

/// Takes one notice and answers it.
fn received(listener: &std::net::TcpListener) -> (String, Vec<u8>) {
    use std::io::{BufRead, BufReader, Read, Write};
    let (mut stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0);
    }
    let length = head
        .to_lowercase()
        .lines()
        .find_map(|l| l.strip_prefix("content-length:").map(|n| n.trim().parse::<usize>().unwrap()))
        .unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").unwrap();
    (head, body)
}

/// Whatever happens on the way: *done* has acted once, *not done* has not acted, and asking again redeems nothing twice.
#[test]
fn no_fault_makes_an_outcome_lie() {
    let sim = simulator();
    settings(&sim, json!({"result_ms": 1}));
    let lane = format!("/_sim/dingshang/machines/{MACHINE}/lanes/A21");
    control(&sim, "PATCH", &lane, json!({"stock": 60, "capacity": 60}));
    control(&sim, "PATCH", &format!("/_sim/dingshang/machines/{MACHINE}"), json!({"lock_ms": 1}));
    let client = client_with(&sim, &[("timeout_ms", "1500")]);
    let codes = client.code_create(&create(30)).unwrap();
    let orders = || control(&sim, "GET", "/_sim/dingshang/orders", Value::Null).as_array().unwrap().len();
    let faults = [
        "act_then_drop",
        "drop_before_acting",
        "reset",
        "half_open",
        "half_answer",
        "wrong_length",
        "answer_twice",
        "close_after_answer",
        "connection_close",
        "chunked",
        "no_content_length",
        "http_5xx",
        "rate_limit",
        "html_portal",
        "garbage",
        "gbk_body",
        "bom",
        "empty_body",
        "wrong_types",
        "missing_fields",
        "unknown_fields",
        "null_fields",
        "duplicate_keys",
        "deep_nesting",
    ];
    for (name, code) in faults.iter().zip(&codes) {
        let request = redeem(name, &code.code);
        let before = orders();
        fault(&sim, "consume", name);
        match client.code_redeem(&request) {
            Ok(_) => assert_eq!(orders(), before + 1, "{name}"),
            Err(e) if e.details().outcome == Outcome::NotDone => assert_eq!(orders(), before, "{name}: {e}"),
            Err(e) => assert_eq!(e.details().outcome, Outcome::Unknown, "{name}: {e}"),
        }
        control(&sim, "DELETE", "/_sim/faults", Value::Null);
        let taken = client.code_redeem(&request).unwrap_or_else(|e| panic!("{name}: {e}")).receipt;
        assert_eq!(orders(), before + 1, "{name}");

        let before = fallen(&sim);
        let door = dispense(&format!("d-{name}"), &taken.order_no, &taken.item_no);
        fault(&sim, "deliver", name);
        let outcome = match client.door_open(&door) {
            Ok(_) => Outcome::Done,
            Err(e) => e.details().outcome,
        };
        control(&sim, "DELETE", "/_sim/faults", Value::Null);
        let after = fallen(&sim);
        match outcome {
            Outcome::Done => assert_eq!(after, before + 1, "{name}"),
            Outcome::NotDone => assert_eq!(after, before, "{name}"),
            _ => assert!(after <= before + 1, "{name}"),
        }
        // The same name again sends nothing unless nothing had happened.
        let again = client.door_open(&door);
        let wanted = if outcome == Outcome::NotDone { before + 1 } else { after };
        assert_eq!(fallen(&sim), wanted, "{name}: {outcome:?}, {again:?}");
        match again {
            // What was unknown is known now if the order tells, and then it is true.
            Ok(known) if outcome == Outcome::Unknown => {
                assert!(known.recorded && after == before + 1, "{name}: {known:?}");
            }
            Ok(_) => {}
            Err(e) => assert!(outcome == Outcome::Unknown && e.status() == KL_E_UNSETTLED, "{name}: {e}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Every path of the documents that is no command, by its name.
#[test]
fn every_path_goes_through_call_but_the_commands_do_not() {
    let sim = simulator();
    let client = client(&sim);
    let call = |method: &str, params: Value| -> Value {
        let answer = client.call(method, &params.to_string()).unwrap_or_else(|e| panic!("{method}: {e}"));
        serde_json::from_str(&answer).unwrap()
    };
    let with = |more: Value| {
        let mut all = json!({"machine_no": MACHINE});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let none = || json!({});
    assert_eq!(call("POST /ping", none()), "pong");
    assert_eq!(call("POST /rent/machines", none()).as_array().map(Vec::len), Some(4));
    let machine = call(&format!("POST /rent/machines/{MACHINE}"), none());
    assert_eq!((&machine["machine_type"], machine["model"].is_object()), (&json!(1), true));
    let products = call("POST /products", with(json!({"page": "1", "per_page": "2"})));
    assert_eq!((&products["per_page"], products["data"].as_array().map(Vec::len)), (&json!(2), Some(2)));
    let floors = call("POST /floors", with(none()));
    assert!(floors[0]["channel"].is_object() && floors[0]["status"].is_string(), "{floors}");
    assert_eq!(call("POST /banners", with(none()))[0]["status"], "APPROVED");
    assert!(call("POST /categories", with(none()))[0]["title"].is_string());

    let trade = "11111111111111111111";
    let order = with(json!({"notify_url": "https://me.example/cb/3fa9", "trade_id": trade,
        "products": [{"product_id": 131, "quantity": 1}]}));
    let path = format!("/orders/{}", call("POST /orders", order)["order_id"]);
    assert_eq!(call(&format!("POST {path}"), with(none()))["status"], "NOTPAY");
    assert_eq!(call(&format!("PUT {path}"), with(json!({"status": "1"}))), "");
    let order = call(&format!("POST {path}"), with(none()));
    assert_eq!((&order["status"], &order["trade_id"]), (&json!("SUCCESS"), &json!(trade)));
    for (status, shown) in [("2", "REFUND"), ("3", "CLOSED"), ("4", "REVOKED"), ("5", "USERPAYING")] {
        let order =
            with(json!({"notify_url": "https://me.example/cb/3fa9", "trade_id": trade.replace('1', status),
            "products": [{"product_id": 131, "quantity": 1}]}));
        let path = format!("/orders/{}", call("POST /orders", order)["order_id"]);
        call(&format!("PUT {path}"), with(json!({"status": status})));
        assert_eq!(call(&format!("POST {path}"), with(none()))["status"], shown);
    }

    let codes = format!("POST /products/{PRODUCT}/pickup_code");
    let one = json!({"method": "pickup_code.product.id", "product_id": PRODUCT, "count": "2"});
    assert_eq!(call("POST /pickup_codes", with(one)), json!({}));
    let listed = call(&codes, with(none()));
    assert_eq!((listed.as_array().map(Vec::len), &listed[0]["status"]), (Some(2), &json!("UNUSED")));
    let id = listed[0]["id"].to_string();
    call("PUT /pickup_codes", with(json!({"method": "pickup_code.delete.id", "id": id})));
    assert_eq!(call(&codes, with(none())).as_array().map(Vec::len), Some(1));
    call("POST /pickup_codes", with(json!({"method": "pickup_code.product.all"})));
    assert!(call(&codes, with(none())).as_array().is_some_and(|a| a.len() > 1));
    call("PUT /pickup_codes", with(json!({"method": "pickup_code.delete.all"})));
    assert_eq!(call(&codes, with(none())), json!([]));

    let delivery = {
        let lane = DoorRequest {
            door: "A20".into(),
            notify_url: "https://me.example/cb/3fa9".into(),
            ..dispense("d1", "", "")
        };
        client.door_open(&lane).unwrap().receipt.delivery_no
    };
    assert!(call(&format!("POST /deliveries/{delivery}"), with(none()))["status"].is_string());
    for command in ["POST /consumes", "POST /deliveries", "POST /deliveries/debug"] {
        let e = client.call(command, &with(none()).to_string()).unwrap_err();
        assert_eq!(e.status(), KL_E_ARGUMENT, "{command}: {e}");
    }
    assert_eq!(fallen(&sim), 1);
}

#[test]
fn the_three_ways_to_restock_go_through_call() {
    let sim = simulator();
    let client = client(&sim);
    let restock = |more: Value| {
        let mut all = json!({"machine_no": MACHINE});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client.call("POST /replenishments", &all.to_string())
    };
    let stock = |lane: &str| {
        let all = client.stock(MACHINE, 0, Some(r#"{"select_all":1}"#)).collect_all().unwrap();
        let lane = all.iter().find(|s| s.lanes == lane).unwrap();
        (lane.stock, lane.capacity)
    };
    let before = stock("A21").0;
    let one = json!({"method": "replenishment.product.id", "product_id": PRODUCT, "current_inventory": "1"});
    assert_eq!(restock(one.clone()).unwrap(), "{}");
    assert_eq!(stock("A21").0, before + 1);
    let category = json!({"method": "replenishment.category.id", "category_id": "2",
        "current_inventory": "0", "cabinet_name": "A"});
    assert_eq!(restock(category).unwrap(), "{}");
    restock(json!({"method": "replenishment.machine.all", "cabinet_name": "A"})).unwrap();
    let (full, capacity) = stock("A21");
    assert_eq!(full, capacity);
    // Refused with code 0.
    let e = restock(one).unwrap_err();
    assert_eq!((e.status(), e.details().platform_code), (KL_E_PARAMETER, 0), "{e}");
}
