//! Callbacks as the simulator sends them: received over HTTP, verified, answered, de-duplicated.

mod common;

use common::*;
use kiosklink::client::Client;
use kiosklink::command::{Physical, SettledBy};
use kiosklink::error::Outcome;
use kiosklink::event::{Event, EventKind, SignedWith};
use kiosklink::model::*;
use kiosklink::status::*;
use kiosklink_sim::Simulator;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

/// What became of one callback at the receiver.
enum Came {
    Taken(Box<Event>),
    Refused(kl_status),
}

/// Receives callbacks until the simulator is gone, answers them with `reply`, and passes on what came.
fn receive(
    sim: &Simulator,
    client: &Client,
    reply: impl Fn(&Client, &Event) -> String + Send + 'static,
) -> mpsc::Receiver<Came> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/callback", listener.local_addr().unwrap());
    control(
        sim,
        "POST",
        "/_sim/callbacks",
        json!({"platform": "yopoint", "url": url, "retry_ms": [50, 50, 50]}),
    );
    let (tell, came) = mpsc::channel();
    let client = client.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                    break;
                }
                if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = n.trim().parse().unwrap();
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let (status, answer, what) = match client.event_parse(&head, &body) {
                Ok(event) => ("200 OK", reply(&client, &event), Came::Taken(Box::new(event))),
                Err(e) => ("403 Forbidden", String::new(), Came::Refused(e.status())),
            };
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
            if stream.write_all((head + &answer).as_bytes()).is_err() || tell.send(what).is_err() {
                return;
            }
        }
    });
    came
}

fn accept(client: &Client, event: &Event) -> String {
    client.event_reply(event, 0, "SUCCESS", None).unwrap()
}

fn next(came: &mpsc::Receiver<Came>) -> Came {
    came.recv_timeout(Duration::from_secs(20)).expect("a callback arrives")
}

fn event(came: &mpsc::Receiver<Came>) -> Event {
    match next(came) {
        Came::Taken(event) => *event,
        Came::Refused(status) => panic!("refused with {status}"),
    }
}

fn open(client: &Client, id: &str) -> Receipt {
    let request = DoorRequest { request_id: id.into(), cabinet_id: CABINET.into(), ..Default::default() };
    client.door_open(&request).unwrap().receipt
}

/// By the number that was sent with the opening, and only by that.
#[test]
fn a_callback_settles_the_opening_whose_answer_was_lost() {
    let sim = simulator();
    let client = client(&sim);
    let came = receive(&sim, &client, accept);
    let lost = |id: &str, cabinet: &str, fate: &str| {
        fault(&sim, "cabinet.open.door", json!({"fault": fate}));
        let request = DoorRequest { request_id: id.into(), cabinet_id: cabinet.into(), ..Default::default() };
        assert_eq!(client.door_open(&request).unwrap_err().details().outcome, Outcome::Unknown);
        request
    };
    let opened = lost("opened", CABINET, "act_then_drop");
    lost("elsewhere", "5f6da2362201410011000002", "drop_before_acting");
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 10_000}));
    let (closed, seen) = (event(&came), event(&came));
    assert_eq!((closed.kind, seen.kind), (EventKind::DoorClosed, EventKind::Recognized));
    let known = client.command_get("opened").unwrap();
    assert_eq!(
        (known.outcome, known.settled_by, known.physical),
        (Outcome::Done, SettledBy::Event, Physical::Confirmed)
    );
    assert_eq!(known.receipt.order_no, closed.order_no);
    assert!(!seen.report_url.is_empty() && known.receipt.report_url == seen.report_url, "{known:?}");
    let other = client.command_get("elsewhere").unwrap();
    assert_eq!((other.outcome, other.settled_by), (Outcome::Unknown, SettledBy::Nobody));
    // The name answers from memory; nobody was asked.
    assert_eq!(client.door_open(&opened).unwrap().receipt, known.receipt);
    assert_eq!((openings(&sim).len(), requests(&sim, "cabinet.order.get").len()), (1, 0));
}

#[test]
fn a_visit_told_by_callbacks() {
    let sim = simulator();
    let client = client(&sim);
    let came = receive(&sim, &client, accept);
    let opened = open(&client, "visit");
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 10_000}));
    let closed = event(&came);
    assert_eq!((closed.kind, closed.door), (EventKind::DoorClosed, DoorState::Shut));
    assert_eq!((closed.order_no.as_str(), closed.duplicate), (opened.order_no.as_str(), false));
    let seen = event(&came);
    assert_eq!((seen.kind, seen.amount, seen.lines.len()), (EventKind::Recognized, 200, 1));
    assert_eq!(
        (seen.signed_with, seen.report_url.as_str()),
        (SignedWith::PayKey, opened.report_url.as_str())
    );
    client
        .payment_report(&PaymentReport {
            report_url: seen.report_url,
            order_no: seen.order_no,
            trade_no: "WX1".into(),
            paid: true,
            amount: seen.amount,
            ..Default::default()
        })
        .unwrap();
    let paid = event(&came);
    assert_eq!((paid.kind, paid.cabinet_id.as_str()), (EventKind::OrderPaid, CABINET));
    assert!(paid.at > 1_700_000_000);
    let wait = control(&sim, "POST", "/_sim/wait", json!({"for": "callbacks_idle", "timeout_ms": 10_000}));
    assert!(wait.is_object());
    let all = control(&sim, "GET", "/_sim/callbacks", Value::Null);
    for delivery in all["deliveries"].as_array().unwrap() {
        assert_eq!(delivery["progress"], "delivered", "{delivery}");
    }
}

#[test]
fn duplicates_are_marked_and_still_answered() {
    let sim = simulator();
    let client = client(&sim);
    let came = receive(&sim, &client, accept);
    let rule = json!({"do": "duplicate", "method": "notify.close.door", "copies": 3});
    control(&sim, "POST", "/_sim/callbacks/rules", rule);
    open(&client, "twice");
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 2_000}));
    let mut marks = Vec::new();
    while marks.len() < 4 {
        let event = event(&came);
        if event.kind == EventKind::DoorClosed {
            marks.push(event.duplicate);
        }
    }
    assert_eq!(marks, [false, true, true, true]);
}

#[test]
fn a_callback_that_was_not_taken_comes_again_and_is_no_duplicate() {
    let sim = simulator();
    let client = client(&sim);
    let first = std::sync::atomic::AtomicBool::new(true);
    let came = receive(&sim, &client, move |client, event| {
        let refuse = first.swap(false, std::sync::atomic::Ordering::SeqCst);
        client.event_reply(event, if refuse { -1 } else { 0 }, "busy", None).unwrap()
    });
    open(&client, "again");
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 2_000}));
    let (one, two) = (event(&came), event(&came));
    assert_eq!((one.kind, two.kind), (EventKind::DoorClosed, EventKind::DoorClosed));
    assert_eq!((one.duplicate, two.duplicate), (false, false));
}

#[test]
fn forged_ones_are_refused_and_milliseconds_are_understood() {
    let sim = simulator();
    let client = client(&sim);
    let came = receive(&sim, &client, accept);
    let rule = |what: &str| control(&sim, "POST", "/_sim/callbacks/rules", json!({"do": what, "count": 1}));
    rule("forge");
    control(
        &sim,
        "POST",
        "/_sim/yopoint/notify",
        json!({"method": "notify.cabinet.changed", "cabinet": CABINET}),
    );
    assert!(matches!(next(&came), Came::Refused(KL_E_EVENT_SIGNATURE)));
    control(&sim, "DELETE", "/_sim/callbacks/rules", Value::Null);
    rule("ms_timestamp");
    control(
        &sim,
        "POST",
        "/_sim/yopoint/notify",
        json!({"method": "notify.cabinet.changed", "cabinet": TWO_DOORS}),
    );
    let changed = loop {
        // The forged one is sent again, rightly signed, by the retry schedule.
        match next(&came) {
            Came::Taken(event) if event.cabinet.as_ref().is_some_and(|c| c.door_count == 2) => break event,
            _ => continue,
        }
    };
    assert_eq!(changed.kind, EventKind::CabinetChanged);
    assert!((1_700_000_000..4_000_000_000).contains(&changed.sent_at), "{}", changed.sent_at);
    assert!(!changed.notice_id.is_empty());
}

#[test]
fn a_refund_is_answered_with_its_result() {
    let sim = simulator();
    let client = client(&sim);
    let came = receive(&sim, &client, |client, event| {
        let data = (event.kind == EventKind::RefundApproved).then_some(r#"{"RefundsNo":"R-1"}"#);
        client.event_reply(event, 0, "SUCCESS", data).unwrap()
    });
    let opened = open(&client, "refund");
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 10_000}));
    client
        .payment_report(&PaymentReport {
            report_url: opened.report_url,
            order_no: opened.order_no.clone(),
            trade_no: "WX1".into(),
            paid: true,
            amount: 200,
            ..Default::default()
        })
        .unwrap();
    client.refund_apply(&Complaint { order_no: opened.order_no.clone(), ..Default::default() }).unwrap();
    let approve = format!("/_sim/yopoint/orders/{}/refund", opened.order_no);
    control(&sim, "POST", &approve, json!({"approve": true}));
    let approved = loop {
        let event = event(&came);
        if event.kind == EventKind::RefundApproved {
            break event;
        }
    };
    assert_eq!((approved.order_no.as_str(), approved.amount), (opened.order_no.as_str(), 200));
    let done = json!({"for": "order", "receipt": opened.order_no, "stage": "refunded", "timeout_ms": 10_000});
    control(&sim, "POST", "/_sim/wait", done);
    let order = client.order_get(&OrderRef { order_no: opened.order_no, ..Default::default() }).unwrap();
    assert_eq!(order.refunded, 200);
}

#[test]
fn an_appeal_after_payment_brings_a_new_order() {
    let sim = simulator();
    let client = client(&sim);
    let came = receive(&sim, &client, accept);
    let opened = open(&client, "appeal");
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 10_000}));
    let mut report = PaymentReport {
        report_url: opened.report_url,
        order_no: opened.order_no.clone(),
        trade_no: "WX1".into(),
        paid: true,
        amount: 200,
        ..Default::default()
    };
    client.payment_report(&report).unwrap();
    client.appeal_file(&Complaint { order_no: opened.order_no.clone(), ..Default::default() }).unwrap();
    let correct = format!("/_sim/yopoint/orders/{}/correct", opened.order_no);
    control(&sim, "POST", &correct, json!({"products": [{"barcode": "6900000000028", "qty": 1}]}));
    let replaced = loop {
        let event = event(&came);
        if event.kind == EventKind::OrderReplaced {
            break event;
        }
    };
    assert_ne!(replaced.order_no, opened.order_no);
    assert_eq!(replaced.amount, 450);
    report.report_url = replaced.report_url;
    report.order_no = replaced.order_no.clone();
    report.amount = 450;
    client.payment_report(&report).unwrap();
    let order = client.order_get(&OrderRef { order_no: replaced.order_no, ..Default::default() }).unwrap();
    assert_eq!(order.payment, PaymentState::Paid);
}

/// Whatever the documents and public receivers name, sent by the simulator and answered.
#[test]
fn every_notice_that_is_documented_arrives_and_is_answered() {
    let sim = simulator();
    let client = client(&sim);
    let came = receive(&sim, &client, |client, event| {
        // The members of this one's answer stand at the top.
        let data = (event.kind == EventKind::RefundRequested).then_some(r#"{"refundsTime":1}"#);
        client.event_reply(event, 0, "SUCCESS", data).unwrap()
    });
    let refund = json!({"ReceiptNo": "OD1", "TradeNo": "T"});
    for (method, biz, kind) in [
        ("api.test", json!({"a": 1}), EventKind::Test),
        ("notify.close.door", json!({"Status": 2, "ReceiptNo": "VI1", "Msg": ""}), EventKind::DoorClosed),
        (
            "notify.cabinet.order.simple",
            json!({"ReceiptNo": "VI1", "CID": CABINET, "PayTime": 1_700_000_001}),
            EventKind::OrderPaid,
        ),
        (
            "notify.consumer.order.simple",
            json!({"ReceiptNo": "OD1", "TID": "t", "ShipmentsStatus": -1, "ShipmentsError": "stuck"}),
            EventKind::Delivery,
        ),
        ("notify.activity.voucher.exchangecode", Value::Null, EventKind::VoucherRedeemed),
        ("notify.cabinet.changed", Value::Null, EventKind::CabinetChanged),
        ("notify.depot.pickup.return", Value::Null, EventKind::ReturnSlip),
        (
            "cabinet.order.vi.result.notify",
            json!({"ReceiptNo": "VI1", "Price": 450, "NotifyUrl": "https://x/n", "Products": []}),
            EventKind::Recognized,
        ),
        (
            "cabinet.order.refunds.result.notify",
            json!({"ReceiptNo": "VI1", "RefundsPrice": 200}),
            EventKind::RefundApproved,
        ),
        (
            "cabinet.order.product.modify",
            json!({"ReceiptNo": "VI2", "PaySuccessNotifyUrl": "https://x/p"}),
            EventKind::OrderReplaced,
        ),
        ("consumer.order.refunds", refund.clone(), EventKind::RefundRequested),
        ("consumer.order.refunds.notify", refund, EventKind::RefundFinished),
    ] {
        let mut notice = json!({"method": method});
        if !biz.is_null() {
            notice["biz_content"] = biz;
        }
        control(&sim, "POST", "/_sim/yopoint/notify", notice);
        let event = event(&came);
        assert_eq!((event.method.as_str(), event.kind, event.duplicate), (method, kind, false));
    }
    control(&sim, "POST", "/_sim/wait", json!({"for": "callbacks_idle", "timeout_ms": 10_000}));
    let all = control(&sim, "GET", "/_sim/callbacks", Value::Null);
    for delivery in all["deliveries"].as_array().unwrap() {
        assert_eq!(delivery["progress"], "delivered", "{delivery}");
    }
}
