//! Tests of the whole folder.

use super::callbacks::fields_of;
use super::*;
use crate::command::{Act, Physical};
use crate::config::Config;
use crate::error::Error;
use crate::error::Outcome;
use crate::event::{Event, EventKind, SignedWith};
use crate::model::*;
use crate::platform::{CallsBack, Known, Moment, Query, Recovers, Span, Verdict};
use crate::status::*;
use crate::transport::{Headers, Timing};
use kiosklink_wire::form;

fn yopoint(settings: &[(&str, &str)]) -> Yopoint {
    let mut config = Config::new("yopoint").unwrap();
    for (key, value) in
        [("app_id", "100000000001"), ("app_secret", "test-secret"), ("pay_key", "test-pay-key")]
    {
        config.set(key, value).unwrap();
    }
    for (key, value) in settings {
        config.set(key, value).unwrap();
    }
    Yopoint::new(&config).unwrap()
}

fn reply(status: u16, body: &str) -> Reply {
    Reply { status, headers: Headers::default(), body: body.as_bytes().to_vec(), timing: Timing::default() }
}

fn sent(platform: &Yopoint, op: &Op<'_>, now_ms: i64) -> Vec<(String, String)> {
    let draft = platform.draft(op).unwrap();
    let request = (draft.seal)(&Moment { now_ms, token: "" });
    let text = |value: Vec<u8>| String::from_utf8(value).unwrap();
    fields_of(&request.body).unwrap().into_iter().map(|(name, value)| (name, text(value))).collect()
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
}

#[test]
fn the_published_string_and_the_computed_vectors() {
    // The vendor's page prints another digest, made with a secret that it does not print.
    let mut published = [
        ("appid", "930859529955"),
        ("biz_content", r#"{"ReceiptNo":"OD190425164650841431"}"#),
        ("method", "consumer.order.get"),
        ("sign_type", "md5"),
        ("timestamp", "1556943545748"),
        ("version", "1.0.0"),
    ];
    assert_eq!(sign(&mut published, "xxxxxx"), "83271d89b205934a374d70eb7b4a7b97");
    let computed = [
        ("cabinet.list", r#"{"Page":1,"PageSize":5}"#, "1700000000", "e8acd748960cb6a9d910dad993569f20"),
        ("cabinet.list", r#"{"Page":1,"PageSize":5}"#, "1700000000000", "d2859e132ac15685e1469edbc0612888"),
        ("api.test", "", "1700000000", "c8493e9120e73aa55c6954fb8adf7bc2"),
    ];
    for (method, biz, timestamp, expected) in computed {
        // In any order: sorting is the rule.
        let mut fields = [
            ("version", "1.0.0"),
            ("timestamp", timestamp),
            ("sign_type", "md5"),
            ("method", method),
            ("biz_content", biz),
            ("appid", "100000000001"),
        ];
        assert_eq!(sign(&mut fields, "test-secret"), expected, "{method} {timestamp}");
    }
}

#[test]
fn a_whole_request_carries_the_vector_in_both_writings() {
    let op = Op::Call { method: "cabinet.list", params_json: r#"{"Page":1,"PageSize":5}"# };
    for format in ["form", "json"] {
        for (unit, sign) in
            [("s", "e8acd748960cb6a9d910dad993569f20"), ("ms", "d2859e132ac15685e1469edbc0612888")]
        {
            let platform = yopoint(&[("format", format), ("timestamp_unit", unit)]);
            let fields = sent(&platform, &op, 1_700_000_000_000);
            assert_eq!(field(&fields, "sign"), sign, "{format} {unit}");
            assert_eq!(fields.len(), 7);
        }
    }
}

#[test]
fn the_gateway_is_found_from_whatever_part_of_it_is_given() {
    for (given, path) in [
        ("https://h", "/api/gateway/index"),
        ("https://h/", "/api/gateway/index"),
        ("https://h/yopoint", "/yopoint/api/gateway/index"),
        ("https://h/api/gateway/index", "/api/gateway/index"),
        ("https://h/p/api/gateway/index/", "/p/api/gateway/index"),
    ] {
        assert_eq!(yopoint(&[("base_url", given)]).gateway.path_and_query, path, "{given}");
    }
}

#[test]
fn the_vendors_own_order_record_with_its_key_twice() {
    let record = r#"{"CID":"c1","OID":"o","UserID":"u","OpenID":"w","PayType":202,"ServiceStatus":2,"TradeNo":"4200",
        "ReceiptNo":"OD210127120126902082","DoorStatus":1,"PayTime":1611720131,"DoorStatus":0,"TradeStatus":1,"Price":2,
        "Products":[{"Qty":1,"BarCode":"69","Name":"水","Price":2,"CostPrice":1,"TotalPrice":2}],"IsSuspicious":0,
        "RefundsProducts":[],"RefundsPrice":0,"UserRefundsStatus":0,"UserRefundsTime":0,"UserRefundsReason":"","New":{}}"#;
    let body = format!(r#"{{"error_code":0,"error_msg":"SUCCESS","data":[{record}]}}"#);
    let query = OrderQuery { to: 1, ..Default::default() };
    let op = Op::OrderList { query: &query, page: PageRequest { number: 1, size: 20 } };
    let Ok(Answer::Orders(page)) = yopoint(&[]).answer(&op, &reply(200, &body)) else { panic!("no orders") };
    let o = &page.items[0];
    assert_eq!((o.door, o.payment, o.service), (DoorState::Shut, PaymentState::Paid, ServiceState::Ended));
    assert_eq!((o.pay_type, o.amount, o.paid_at, o.suspicious), (202, 2, 1_611_720_131, Tri::No));
    assert_eq!((o.lines[0].name.as_str(), o.lines[0].total), ("水", 2));
    assert_eq!(o.json, record);
    assert!((page.total, page.more) == (None, None));
}

fn callback(fields: &[(&str, &str)], key: &str) -> String {
    let mut fields = fields.to_vec();
    let sign = sign(&mut fields, key);
    fields.push(("sign", &sign));
    form::encode(fields)
}

#[test]
fn the_callback_vector_and_what_spoils_it() {
    let biz = r#"{"Status":1,"ReceiptNo":"VI231114221320000001","Msg":""}"#;
    let fields = [
        ("appid", "100000000001"),
        ("method", "notify.close.door"),
        ("biz_content", biz),
        ("timestamp", "1700000000"),
        ("sign_type", "md5"),
    ];
    let body = callback(&fields, "test-secret");
    assert!(body.ends_with("sign=0f157afa1e409cec24997d5c211c8ac7"), "{body}");
    let platform = yopoint(&[]);
    let event = platform.event("", body.as_bytes(), 0).unwrap();
    assert_eq!((event.kind, event.door), (EventKind::DoorClosed, DoorState::Shut));
    assert_eq!((event.order_no.as_str(), event.sent_at), ("VI231114221320000001", 1_700_000_000));
    assert_eq!(event.signed_with, SignedWith::AppSecret);
    let with_pay_key = platform.event("", callback(&fields, "test-pay-key").as_bytes(), 0).unwrap();
    assert_eq!(with_pay_key.signed_with, SignedWith::PayKey);
    let upper = body.replace("0f157afa1e409cec24997d5c211c8ac7", "0F157AFA1E409CEC24997D5C211C8AC7");
    assert!(platform.event("", upper.as_bytes(), 0).is_ok());
    let status = |body: &str| platform.event("", body.as_bytes(), 0).unwrap_err().status();
    for forged in [
        callback(&fields, "another"),
        body.replace("VI2311", "VI2312"),
        body.replace("sign=0", "sign=1"),
        body.replace("&sign=", "&Sign="),
        body.replace("sign_type=md5&", ""),
        format!("{body}&version=1.0.0"),
    ] {
        assert_eq!(status(&forged), KL_E_EVENT_SIGNATURE, "{forged}");
    }
    assert_eq!(status(""), KL_E_EVENT);
    assert_eq!(status(&format!("{body}&method=x")), KL_E_EVENT, "a field twice");
    let mut ms = fields;
    ms[3].1 = "1700000000123";
    assert_eq!(
        platform.event("", callback(&ms, "test-secret").as_bytes(), 0).unwrap().sent_at,
        1_700_000_000
    );
}

#[test]
fn every_notification_of_the_notes_is_typed() {
    let platform = yopoint(&[]);
    let parse = |method: &str, biz: &str| {
        let fields = [("appid", "1"), ("method", method), ("biz_content", biz), ("timestamp", "1700000000")];
        platform.event("", callback(&fields, "test-secret").as_bytes(), 0)
    };
    let paid = parse("notify.cabinet.order.simple", r#"{"ReceiptNo":"VI1","CID":"c","PayTime":1700000001}"#)
        .unwrap();
    assert_eq!((paid.kind, paid.cabinet_id.as_str(), paid.at), (EventKind::OrderPaid, "c", 1_700_000_001));
    let sold = r#"{"ReceiptNo":"VI1","TID":"t","ShipmentsStatus":-1,"ShipmentsError":"stuck"}"#;
    let sold = parse("notify.consumer.order.simple", sold).unwrap();
    assert_eq!(
        (sold.kind, sold.delivery, sold.message.as_str()),
        (EventKind::Delivery, DeliveryState::Failed, "stuck")
    );
    let voucher = r#"{"VoucherID":"v","VoucherCode":"123","TID":"t","ReceiptNo":"VI1","ShipmentsStatus":3}"#;
    let voucher = parse("notify.activity.voucher.exchangecode", voucher).unwrap();
    assert_eq!((voucher.voucher_code.as_str(), voucher.delivery), ("123", DeliveryState::OutOfStock));
    let changed = r#"{"RequestID":"u-1","Name":"n","Code":"c","SellStatus":1,"EnableSell":true,"OnlineStatus":0,"Location":[113.2,23.1],"CabinetCount":2}"#;
    let changed = parse("notify.cabinet.changed", changed).unwrap();
    let cabinet = changed.cabinet.unwrap();
    assert_eq!(
        (changed.notice_id.as_str(), cabinet.online, cabinet.sale),
        ("u-1", Tri::No, SaleState::Selling)
    );
    assert_eq!((cabinet.longitude, cabinet.door_count), (113.2, 2));
    let slip = r#"{"RequestID":"u","BizID":"b","ReceiptNo":"r","DepotID":"d","AccountID":"a","CreateReturnOrderAt":5,"ProductList":[{"BarCode":"69","Qty":3}]}"#;
    let slip = parse("notify.depot.pickup.return", slip).unwrap();
    assert_eq!((slip.depot_id.as_str(), slip.at, slip.lines[0].quantity), ("d", 5, 3));
    let seen = r#"{"ReceiptNo":"VI1","Price":450,"NotifyUrl":"https://x/n","Products":[{"BarCode":"69","Qty":1,"Price":450}]}"#;
    let seen = parse("cabinet.order.vi.result.notify", seen).unwrap();
    assert_eq!(
        (seen.kind, seen.amount, seen.report_url.as_str()),
        (EventKind::Recognized, 450, "https://x/n")
    );
    let modified =
        parse("cabinet.order.product.modify", r#"{"ReceiptNo":"VI2","PaySuccessNotifyUrl":"https://x/p"}"#)
            .unwrap();
    assert_eq!((modified.kind, modified.report_url.as_str()), (EventKind::OrderReplaced, "https://x/p"));
    let refund =
        parse("cabinet.order.refunds.result.notify", r#"{"ReceiptNo":"VI1","RefundsPrice":200,"Price":450}"#)
            .unwrap();
    assert_eq!((refund.kind, refund.amount), (EventKind::RefundApproved, 200));
    for (method, kind) in [
        ("consumer.order.refunds", EventKind::RefundRequested),
        ("consumer.order.refunds.notify", EventKind::RefundFinished),
    ] {
        let event = parse(method, r#"{"ReceiptNo":"OD1","TradeNo":"T"}"#).unwrap();
        assert_eq!((event.kind, event.trade_no.as_str()), (kind, "T"));
    }
    assert_eq!(parse("brand.new.notice", "[1]").unwrap().kind, EventKind::Other);
    for (method, biz) in [
        ("notify.close.door", r#"{"Status":1}"#),
        ("notify.close.door", r#"{"Status":1,"ReceiptNo":{}}"#),
        ("notify.close.door", "[]"),
        ("notify.close.door", "{"),
    ] {
        let e = parse(method, biz).unwrap_err();
        assert_eq!(e.status(), KL_E_EVENT, "{method} {biz}");
    }
}

#[test]
fn the_answers_to_callbacks_are_exact() {
    let platform = yopoint(&[]);
    let event = |kind| Event { kind, json: r#"{"a":1}"#.into(), ..Event::default() };
    let reply = |kind, code, data| platform.event_reply(&event(kind), code, "SUCCESS", data).unwrap();
    assert_eq!(reply(EventKind::DoorClosed, 0, None), r#"{"error_code":0,"error_msg":"SUCCESS","data":{}}"#);
    assert_eq!(reply(EventKind::Test, 0, None), r#"{"error_code":0,"error_msg":"SUCCESS","data":{"a":1}}"#);
    assert_eq!(
        reply(EventKind::RefundApproved, 0, Some(r#"{"RefundsNo":"R1"}"#)),
        r#"{"error_code":0,"error_msg":"SUCCESS","data":{"RefundsNo":"R1"}}"#
    );
    assert_eq!(
        reply(EventKind::RefundRequested, -1, Some(r#"{"refundsTime":5}"#)),
        r#"{"error_code":-1,"error_msg":"SUCCESS","refundsTime":5,"data":{}}"#
    );
    assert!(platform.event_reply(&event(EventKind::Test), 0, "x", Some("[")).is_err());
}

#[test]
fn a_payment_page_from_the_end_of_time_is_refused() {
    let platform = yopoint(&[("pay_key", "test-pay-key")]);
    for timestamp in [i64::MIN + 1, i64::MAX, -1] {
        let text = timestamp.to_string();
        let fields = [("receipt_no", "OD1"), ("timestamp", text.as_str())];
        let body = callback(&fields, "test-pay-key");
        for now_ms in [i64::MIN + 1, 0, i64::MAX] {
            let e = platform.event("", body.as_bytes(), now_ms).err().map(|e| e.status());
            let near = timestamp.unsigned_abs() > 1 && timestamp == now_ms || timestamp == -1 && now_ms == 0;
            assert_eq!(e, (!near).then_some(KL_E_EVENT_TIME), "{timestamp} {now_ms}");
        }
    }
}

#[test]
fn a_payment_page_is_good_for_a_minute_and_only_with_the_payment_key() {
    let platform = yopoint(&[]);
    let fields = [
        ("receipt_no", "OD1"),
        ("return_url", "https://r"),
        ("notify_url", "https://n"),
        ("timestamp", "1516980357"),
    ];
    let query = callback(&fields, "test-pay-key");
    let at = |s: i64| platform.event("", query.as_bytes(), s * 1000);
    let page = at(1_516_980_357 + 59).unwrap();
    assert_eq!(
        (page.kind, page.order_no.as_str(), page.report_url.as_str()),
        (EventKind::PayPage, "OD1", "https://n")
    );
    assert_eq!(at(1_516_980_357 + 61).unwrap_err().status(), KL_E_EVENT_TIME);
    assert_eq!(at(1_516_980_357 - 61).unwrap_err().status(), KL_E_EVENT_TIME);
    let wrong = callback(&fields, "test-secret");
    assert_eq!(platform.event("", wrong.as_bytes(), 0).unwrap_err().status(), KL_E_EVENT_SIGNATURE);
}

#[test]
fn a_payment_report_follows_the_older_form() {
    let platform = yopoint(&[]);
    let report = PaymentReport {
        report_url: "https://h/n".into(),
        order_no: "VI1".into(),
        trade_no: "T1".into(),
        paid: false,
        amount: 450,
        channel_json: Some(r#"{"x":"&="}"#.into()),
        extra_json: Some(r#"{"foo":"b r","n":7}"#.into()),
        ..Default::default()
    };
    let fields = sent(&platform, &Op::PaymentReport(&report), 1_700_000_000_999);
    let mut signed: Vec<(&str, &str)> = fields
        .iter()
        .filter(|(n, _)| n != "sign" && n != "price")
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    assert_eq!(field(&fields, "sign"), sign(&mut signed, "test-pay-key"));
    let given: Vec<&str> =
        ["trade_status", "trade_rawdata", "timestamp", "price", "foo", "n"].map(|n| field(&fields, n)).into();
    assert_eq!(given, ["-1", r#"{"x":"&="}"#, "1700000000", "450", "b r", "7"]);
    let answers = |body: &str| platform.answer(&Op::PaymentReport(&report), &reply(200, body));
    for good in ["success", "SUCCESS\n", r#"{"error_code":0,"error_msg":"SUCCESS","data":{}}"#] {
        assert!(answers(good).is_ok(), "{good}");
    }
    for bad in ["fail", "", "<html>", "successful?", r#"{"error_code":-1,"error_msg":"ERR_SIGN"}"#, "{"] {
        assert!(answers(bad).is_err(), "{bad}");
    }
}

const GOOD: &str = r#"{"error_code":0,"error_msg":"SUCCESS","sub_error_code":null,"sub_error_msg":null,"data":{"ReceiptNo":"VI1"}}"#;

fn door() -> DoorRequest {
    DoorRequest { request_id: "r".into(), cabinet_id: "c".into(), ..Default::default() }
}

#[test]
fn no_odd_envelope_is_a_success() {
    let platform = yopoint(&[]);
    let request = door();
    let op = Op::DoorOpen(&request);
    for good in [
        GOOD,
        r#"{"error_code":"0","data":{"ReceiptNo":"VI1"}}"#,
        r#"{"error_code":0.0,"data":{"ReceiptNo":"VI1","NotifyUrl":false}}"#,
    ] {
        assert!(
            matches!(platform.answer(&op, &reply(200, good)), Ok(Answer::Taken(r)) if r.order_no == "VI1"),
            "{good}"
        );
    }
    let bad = [
        "",
        "null",
        "[]",
        "\"success\"",
        "{}",
        r#"{"data":{"ReceiptNo":"VI1"}}"#,
        r#"{"error_code":"","data":{"ReceiptNo":"VI1"}}"#,
        r#"{"error_code":false,"data":{"ReceiptNo":"VI1"}}"#,
        r#"{"error_code":0.5,"data":{"ReceiptNo":"VI1"}}"#,
        r#"{"error_code":null,"data":{"ReceiptNo":"VI1"}}"#,
        r#"{"error_code":-1,"error_code":0,"data":{"ReceiptNo":"VI1"}}"#,
        r#"{"error_code":0}"#,
        r#"{"error_code":0,"data":null}"#,
        r#"{"error_code":0,"data":[]}"#,
        r#"{"error_code":0,"data":{}}"#,
        r#"{"error_code":0,"data":{"ReceiptNo":""}}"#,
        r#"{"error_code":0,"data":{"ReceiptNo":false}}"#,
        r#"{"error_code":0,"data":{"ReceiptNo":7}}"#,
        r#"{"error_code":0,"data":{"ReceiptNo":"VI1"}"#,
        "<html>please log in</html>",
    ];
    for body in bad {
        let e = platform.answer(&op, &reply(200, body)).unwrap_err();
        assert_eq!((e.status(), e.details().outcome), (KL_E_PROTOCOL, Outcome::None), "{body}: {e}");
        assert!(e.message().starts_with("the answer"), "{e}");
    }
    let large = r#"{"error_code":4294967296,"data":{"ReceiptNo":"VI1"}}"#;
    assert_eq!(platform.answer(&op, &reply(200, large)).unwrap_err().status(), KL_E_PLATFORM);
}

fn refused(method: &str, http: u16, name: &str, sub: &str) -> Error {
    let platform = yopoint(&[]);
    let body =
        format!(r#"{{"error_code":-1,"error_msg":"{name}","sub_error_msg":"{sub}","data":"6900000000011"}}"#);
    platform.answer(&Op::Call { method, params_json: "{}" }, &reply(http, &body)).unwrap_err()
}

#[test]
// FAULTS A1: whole names from the table, never words in them, in sub_error_msg or in free text.
fn only_whole_names_of_the_table_prove_that_nothing_was_done() {
    let mut proves = 0;
    for row in refusals::TABLE.iter().filter(|row| !row.name.is_empty()) {
        let (method, name) = row.name.split_once(' ').unwrap_or((OPEN_DOOR, row.name));
        let e = refused(method, 200, name, "");
        let d = e.details();
        let outcome = if row.proves { Outcome::NotDone } else { Outcome::None };
        assert_eq!((d.status, d.outcome, d.platform_name.as_str()), (row.status, outcome, name));
        assert!(e.message().contains(name) && !row.source.is_empty() && d.platform_code == -1, "{e}");
        proves += i32::from(row.proves);
        for other in
            [format!("{name}_X"), format!("X_{name}"), format!("{name}: {name}"), name.to_lowercase()]
        {
            assert_eq!(refused(method, 200, &other, "").details().outcome, Outcome::None, "{other}");
        }
        // The same words beside another name.
        assert_eq!(refused(method, 200, "ERR_NEW", name).details().outcome, Outcome::None, "{name}");
    }
    assert!(proves > 15);
    for (name, sub) in [
        ("ERR_DEVICE_SIGNAL_LOST", ""),
        ("ERR_DOOR_UNLOCK_TIMEOUT", "4G signal weak, device did not answer in 10 s"),
        ("ERR_SYSTEM", "cabinet went offline while opening"),
        ("ERR_SYSTEM_BUSY", ""),
        ("ERR_OPEN_METHOD_TIMEOUT", ""),
        ("ERR_UNLOCK_RESULT_NOT_FOUND", ""),
        ("ERR_SYSTEM: the assigned order could not be stored", ""),
        ("ERR_CABINET_OFFLINE", ""),
        ("ERR_CABINET_IN_USE", ""),
        ("", "ERR_SIGN"),
    ] {
        let e = refused(OPEN_DOOR, 200, name, sub);
        assert_eq!(e.details().outcome, Outcome::None, "{name} {sub}");
    }
    // What one method checks proves nothing of another: a voucher without stock may be used up.
    assert_eq!(refused(EXCHANGE, 200, "ERR_NONE_STOCK", "").details().outcome, Outcome::None);
    assert_eq!(refused(OPEN_DOOR, 200, "ERR_ORDER_NOT_EXIST", "").details().outcome, Outcome::None);
}

#[test]
// FAULTS A2: the envelope decides, not the HTTP status.
fn an_envelope_under_another_status_is_the_platforms_answer() {
    let platform = yopoint(&[]);
    let request = door();
    let op = Op::DoorOpen(&request);
    let answer = |http: u16, body: &str| platform.answer(&op, &reply(http, body)).unwrap_err();
    for http in [301, 302, 400, 401, 403, 404, 405, 408, 413, 429, 500, 502, 503] {
        let e = answer(http, GOOD);
        let status = if http == 429 { KL_E_RATE_LIMIT } else { KL_E_HTTP };
        assert_eq!((e.status(), e.details().outcome), (status, Outcome::None), "{http}: {e}");
        let e = answer(http, r#"{"error_code":-1,"error_msg":"ERR_SYSTEM"}"#);
        assert_eq!((e.status(), e.details().outcome), (KL_E_PLATFORM, Outcome::None), "{http}: {e}");
        let e = answer(http, r#"{"error_code":-1,"error_msg":"ERR_SIGN"}"#);
        assert_eq!((e.status(), e.details().outcome), (KL_E_AUTH, Outcome::NotDone), "{http}: {e}");
        // Half an envelope is the platform's answer too.
        assert_eq!(answer(http, &GOOD[..40]).details().outcome, Outcome::None, "{http}");
        assert_eq!(answer(http, r#"{"error_code":null}"#).details().outcome, Outcome::None, "{http}");
        // So is one behind a warning of its scripts, in a list, in a text.
        for odd in [format!("<br />Notice: x\n{GOOD}"), format!("[{GOOD}]"), format!("{GOOD:?}")] {
            assert_eq!(answer(http, &odd).details().outcome, Outcome::None, "{http} {odd}");
        }
        // No envelope: a gateway refused, and only where HTTP says that it did not hand the request on.
        let refuses = matches!(http, 400 | 401 | 403..=405 | 413 | 429);
        for bare in ["", "<html>no</html>", r#"{"message":"slow down"}"#] {
            let e = answer(http, bare);
            assert_eq!(e.details().outcome == Outcome::NotDone, refuses, "{http} {bare}: {e}");
            assert_eq!(e.details().http_status, i32::from(http));
        }
    }
    let e = answer(429, r#"{"error_code":-1,"error_msg":"ERR_NEW"}"#);
    assert_eq!((e.status(), e.details().outcome), (KL_E_RATE_LIMIT, Outcome::None), "a read waits");
}

#[test]
// FAULTS A2: what calls itself JSON and is none may have been the envelope.
fn a_spoilt_answer_is_no_gateways_page() {
    let platform = yopoint(&[]);
    let request = door();
    let answer = |http: u16, kind: &str, body: &str| {
        let reply = Reply { headers: Headers::of_type(kind), ..reply(http, body) };
        platform.answer(&Op::DoorOpen(&request), &reply).unwrap_err().details().outcome
    };
    for http in [400, 401, 403, 404, 429] {
        for spoilt in ["", " ", "{}", "null", "\u{1}x", "[]", r#""#, r#"{"error_msg":"","data":null}"#] {
            assert_eq!(
                answer(http, "application/json; charset=utf-8", spoilt),
                Outcome::None,
                "{http} {spoilt:?}"
            );
        }
        assert_eq!(
            answer(http, "application/json", r#"{"message":"slow down"}"#),
            Outcome::NotDone,
            "{http}"
        );
        assert_eq!(answer(http, "text/html", "<html>no</html>"), Outcome::NotDone, "{http}");
        assert_eq!(answer(http, "text/plain", ""), Outcome::NotDone, "{http}");
    }
}

#[test]
// FAULTS D: words in GBK beside a clear refusal.
fn a_refusal_is_read_beside_words_in_gbk() {
    let platform = yopoint(&[]);
    let mut body = br#"{"error_code":"-1","error_msg":"ERR_SIGN","sub_error_msg":""#.to_vec();
    body.extend(b"\xc7\xa9\xc3\xfb\xb4\xed\xce\xf3\x90\x5c\"}");
    let request = door();
    let mut reply = reply(200, "");
    reply.body = body;
    let e = platform.answer(&Op::DoorOpen(&request), &reply).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_AUTH, Outcome::NotDone), "{e}");
}

#[test]
// FAULTS A14.
fn extra_parameters_replace_nothing_that_the_guard_goes_by() {
    let platform = yopoint(&[]);
    let refused = |op: Op<'_>| {
        let e = platform.draft(&op).err().expect("refused");
        assert_eq!(e.status(), KL_E_ARGUMENT, "{e}");
    };
    for extra in [r#"{"CID":"d"}"#, r#"{"cid":"d"}"#, r#"{"TradeNo":"1"}"#, r#"{"Door":"2"}"#] {
        refused(Op::DoorOpen(&DoorRequest { extra_json: Some(extra.into()), ..door() }));
    }
    let redeem = |extra: &str| RedeemRequest {
        code: "1".into(),
        cabinet_id: "t".into(),
        extra_json: Some(extra.into()),
        ..Default::default()
    };
    refused(Op::CodeRedeem(&redeem(r#"{"code":"2"}"#)));
    refused(Op::CodeRedeem(&redeem(r#"{"TID":"u"}"#)));
    let claim = Complaint {
        order_no: "VI1".into(),
        extra_json: Some(r#"{"receiptno":"VI2"}"#.into()),
        ..Default::default()
    };
    refused(Op::RefundApply(&claim));
    refused(Op::AppealFile(&claim));
    let create =
        OrderCreate { extra_json: Some(r#"{"Token":"t","TradeNo":"1"}"#.into()), ..Default::default() };
    refused(Op::OrderCreate(&create));
    for name in ["receipt_no", "trade_no", "trade_status", "price", "sign", "timestamp"] {
        let report = PaymentReport {
            report_url: "https://h/n".into(),
            order_no: "VI1".into(),
            extra_json: Some(format!(r#"{{"{name}":"1"}}"#)),
            ..Default::default()
        };
        refused(Op::PaymentReport(&report));
    }
    let more = DoorRequest { extra_json: Some(r#"{"Scene":1}"#.into()), ..door() };
    let fields = sent(&platform, &Op::DoorOpen(&more), 0);
    assert_eq!(field(&fields, "biz_content"), r#"{"CID":"c","Scene":1}"#);
}

#[test]
// FAULTS B2: the number of an opening is the library's mark or the caller's own, never the name.
fn a_door_is_sent_with_the_mark_or_the_callers_number() {
    let biz = |platform: &Yopoint, r: &DoorRequest| {
        field(&sent(platform, &Op::DoorOpen(r), 0), "biz_content").to_owned()
    };
    let marked = DoorRequest { mark: "123456789012345678901234".into(), ..door() };
    assert_eq!(biz(&yopoint(&[]), &marked), r#"{"CID":"c","TradeNo":"123456789012345678901234"}"#);
    let own = DoorRequest { order_no: "T-1".into(), ..marked.clone() };
    assert_eq!(biz(&yopoint(&[]), &own), r#"{"CID":"c","TradeNo":"T-1"}"#);
    let without = yopoint(&[("own_trade_no", "no")]);
    assert_eq!(biz(&without, &marked), r#"{"CID":"c"}"#);
    assert_eq!(biz(&without, &own), r#"{"CID":"c","TradeNo":"T-1"}"#);
    assert_eq!(biz(&yopoint(&[]), &door()), r#"{"CID":"c"}"#);
}

#[test]
// FAULTS H: page and pageSize as the only documented relative spells them.
fn stock_is_asked_for_as_its_relative_is() {
    let op = Op::Stock { cabinet_id: "c", page: PageRequest { number: 2, size: 5 }, extra_json: None };
    let fields = sent(&yopoint(&[]), &op, 0);
    assert_eq!(field(&fields, "biz_content"), r#"{"CID":"c","page":2,"pageSize":5}"#);
}

#[test]
// FAULTS H: the guard and the wire mean the same method.
fn a_guarded_method_is_refused_in_every_spelling() {
    let platform = yopoint(&[]);
    for method in [
        "cabinet.open.door",
        "Cabinet.open.door",
        "CABINET.OPEN.DOOR",
        " cabinet.open.door",
        "cabinet.open.door ",
        "cabinet.open.door\0",
        "cabinet\u{ff0e}open.door",
        "activity.voucher.exchange",
        "Activity.Voucher.Exchange",
        "",
    ] {
        let e = platform.nature(&Op::Call { method, params_json: "{}" }).unwrap_err();
        assert_eq!(e.status(), KL_E_ARGUMENT, "{method:?}: {e}");
    }
    let nature = |method| platform.nature(&Op::Call { method, params_json: "{}" }).unwrap();
    assert_eq!(nature("cabinet.list"), Nature::Read);
    assert_eq!(nature("cabinet.product.replenish"), Nature::Write);
}

#[test]
// FAULTS H: the platform's own payment address is sent, encoded where it has to be.
fn a_payment_address_is_encoded_and_never_refused_for_its_spelling() {
    let platform = yopoint(&[]);
    for (given, path) in [
        ("https://h/n?a=1|2", "/n?a=1%7C2"),
        (r#"https://h/n?p={"a":1}"#, "/n?p=%7B%22a%22:1%7D"),
        ("https://h/通知", "/%E9%80%9A%E7%9F%A5"),
        ("https://h/n\n", "/n"),
        (" https://h/n?a=%E9%80%9A b\r\n", "/n?a=%E9%80%9A%20b"),
        ("https://h/n\\x<y>^`#frag", "/n%5Cx%3Cy%3E%5E%60"),
        ("https://h?x=1", "/?x=1"),
        ("https://h/a[]=1&b=~!$'()*+,;:@", "/a[]=1&b=~!$'()*+,;:@"),
    ] {
        let report = PaymentReport { report_url: given.into(), order_no: "VI1".into(), ..Default::default() };
        let draft = platform.draft(&Op::PaymentReport(&report)).unwrap();
        assert_eq!(draft.url.path_and_query, path, "{given:?}");
    }
}

#[test]
// FAULTS H: plain http for payment reports is a setting of its own.
fn a_plain_http_payment_address_does_not_open_the_gateway() {
    let report =
        PaymentReport { report_url: "http://h/n".into(), order_no: "VI1".into(), ..Default::default() };
    let op = Op::PaymentReport(&report);
    let e = yopoint(&[]).draft(&op).err().unwrap();
    assert!(e.status() == KL_E_ARGUMENT && e.message().contains("allow_http_report"), "{e}");
    assert!(yopoint(&[("allow_http_report", "yes")]).draft(&op).is_ok());
    assert!(yopoint(&[("allow_http", "yes")]).draft(&op).is_ok());
    let mut config = Config::new("yopoint").unwrap();
    for (key, value) in
        [("app_id", "1"), ("app_secret", "s"), ("allow_http_report", "yes"), ("base_url", "http://h")]
    {
        config.set(key, value).unwrap();
    }
    assert_eq!(Yopoint::new(&config).err().unwrap().status(), KL_E_CONFIG_VALUE);
}

#[test]
// FAULTS D: one odd field loses neither the list nor the record.
fn odd_fields_lose_no_list() {
    let platform = yopoint(&[]);
    let list = |op: &Op<'_>, data: &str| {
        platform.answer(op, &reply(200, &format!(r#"{{"error_code":0,"data":{data}}}"#)))
    };
    let page = PageRequest { number: 1, size: 20 };
    let stock = |data: &str| match list(&Op::Stock { cabinet_id: "c", page, extra_json: None }, data) {
        Ok(Answer::Stock(page)) => page.items,
        other => panic!("{data}: {other:?}"),
    };
    let odd = [
        r#"{"Stock":"3","Name":7,"Price":"450","BarCode":69,"ProviderProductID":false,"OnShelvesTime":"soon"}"#,
        r#"{"Stock":{},"Name":"a\ud83d","Price":"4.50","Capacity":[],"ProductVO":"","CargoList":{"1":{"Row":"3","Col":1},"2":7}}"#,
        r#"{"Stock":99999999999,"Name":null,"Price":true,"ProductVO":{"Name":"b","Price":450}}"#,
        "7",
    ];
    for shape in [format!("[{}]", odd.join(",")), format!(r#"{{"total":"4","data":[{}]}}"#, odd.join(","))] {
        let items = stock(&shape);
        assert_eq!(items.len(), 4);
        assert_eq!(
            (items[0].stock, items[0].name.as_str(), items[0].price, items[0].barcode.as_str()),
            (3, "7", 450, "69")
        );
        assert_eq!((items[0].product_id.as_str(), items[0].shelved_at), ("", 0));
        assert_eq!(
            (items[1].stock, items[1].name.as_str(), items[1].lanes.as_str()),
            (-1, "a\u{fffd}", "3-1")
        );
        assert_eq!((items[1].price, items[1].capacity), (-1, -1), "a fraction of a fen is not told");
        assert_eq!((items[2].stock, items[2].name.as_str(), items[2].price), (-1, "b", -1));
        assert_eq!((items[3].json.as_str(), items[3].stock), ("7", -1));
    }
    // A list as PHP writes it.
    assert_eq!(stock(&format!(r#"{{"1":{},"2":{}}}"#, odd[0], odd[1])).len(), 2);
    assert_eq!(stock(&format!(r#"{{"data":{{"0":{}}}}}"#, odd[0])).len(), 1);
    for empty in
        ["[]", "{}", "\"\"", "false", r#"{"data":[]}"#, r#"{"data":false}"#, r#"{"total":0,"data":null}"#]
    {
        assert!(stock(empty).is_empty(), "{empty}");
    }
    for none in ["null", "7", "true", "\"x\"", r#"{"total":1}"#, r#"{"data":7}"#] {
        let e = list(&Op::CabinetList { page }, none).unwrap_err();
        assert_eq!(e.status(), KL_E_PROTOCOL, "{none}");
        assert!(e.message().contains("data"), "{e}");
    }
    let cabinets = r#"[{"CID":5,"Name":{},"OnlineStatus":"1","SellStatus":"1","EnableSell":"x","CabinetCount":"2","Location":["113.2",null]},[]]"#;
    let Ok(Answer::Cabinets(page)) = list(&Op::CabinetList { page }, cabinets) else { panic!() };
    let c = &page.items[0];
    assert_eq!((c.id.as_str(), c.name.as_str(), c.online, c.sale), ("5", "", Tri::Yes, SaleState::Selling));
    assert_eq!((c.door_count, c.longitude, page.items.len()), (2, 0.0, 2));
}

#[test]
// FAULTS D: what an order does not tell plainly is not told; never unpaid for a field that cannot be read.
fn odd_fields_make_no_order_unpaid() {
    let order = |fields: &str| {
        let body = format!(r#"{{"error_code":0,"data":{{"ReceiptNo":"VI1",{fields}}}}}"#);
        let by = OrderRef { order_no: "VI1".into(), ..Default::default() };
        match yopoint(&[]).answer(&Op::OrderGet(&by), &reply(200, &body)) {
            Ok(Answer::Order(order)) => *order,
            other => panic!("{fields}: {other:?}"),
        }
    };
    for (fields, payment) in [
        (r#""PayTime":1611720131"#, PaymentState::Paid),
        (r#""PayTime":"1611720131""#, PaymentState::Paid),
        (r#""PayTime":"2021-01-27 12:02:11""#, PaymentState::Paid),
        (r#""TradeStatus":"1""#, PaymentState::Paid),
        (r#""TradeStatus":-1,"PayTime":0"#, PaymentState::Failed),
        (r#""TradeStatus":0"#, PaymentState::Unpaid),
        (r#""PayTime":0"#, PaymentState::Unpaid),
        (r#""PayTime":"soon""#, PaymentState::Unknown),
        (r#""PayTime":"""#, PaymentState::Unknown),
        (r#""PayTime":-5"#, PaymentState::Unknown),
        (r#""TradeStatus":"x","PayTime":0"#, PaymentState::Unknown),
        (r#""TradeStatus":0,"TradeStatus":1"#, PaymentState::Unknown),
        (r#""TradeStatus":7,"PayTime":0"#, PaymentState::Unknown),
        (r#""Price":1"#, PaymentState::Unknown),
    ] {
        assert_eq!(order(fields).payment, payment, "{fields}");
    }
    let o = order(
        r#""DoorStatus":"-1","Price":"450","UserID":12345,"OpenID":false,"Products":{"1":{"BarCode":69,"Qty":"1","Name":"a\ud83d"}},"RefundsProducts":"","PayType":"x""#,
    );
    assert_eq!(
        (o.door, o.amount, o.user_id.as_str(), o.open_id.as_str()),
        (DoorState::NeverOpened, 450, "12345", "")
    );
    assert_eq!((o.lines[0].barcode.as_str(), o.lines[0].quantity, o.pay_type), ("69", 1, -1));
    assert!(o.refunded_lines.is_empty() && o.lines[0].name == "a\u{fffd}");
}

#[test]
fn an_order_that_is_not_there_is_not_found() {
    let by = OrderRef { trade_no: "T".into(), ..Default::default() };
    let answer = |data: &str| {
        let body = format!(r#"{{"error_code":0,"data":{data}}}"#);
        yopoint(&[]).answer(&Op::OrderGet(&by), &reply(200, &body))
    };
    for none in ["null", "[]", "{}", "\"\"", "false"] {
        assert_eq!(answer(none).unwrap_err().status(), KL_E_NOT_FOUND, "{none}");
    }
    assert!(matches!(answer(r#"[{"ReceiptNo":"VI1"}]"#), Ok(Answer::Order(o)) if o.order_no == "VI1"));
    for odd in [r#"[{"ReceiptNo":"VI1"},{"ReceiptNo":"VI2"}]"#, r#"{"CID":"c"}"#, "7", "[7]"] {
        assert_eq!(answer(odd).unwrap_err().status(), KL_E_PROTOCOL, "{odd}");
    }
}

const SENT_AT: i64 = 1_700_000_000;

fn signed(method: &str, biz: &str, at: i64) -> String {
    let at = at.to_string();
    callback(&[("appid", "1"), ("method", method), ("biz_content", biz), ("timestamp", &at)], "test-secret")
}

#[test]
// FAULTS D: a signed notice is never lost for an odd field.
fn a_signed_notice_is_given_with_whatever_odd_fields() {
    let platform = yopoint(&[]);
    let line = r#"{"BarCode":"69","Name":"a","Qty":1,"Price":450}"#;
    let base = r#""ReceiptNo":"VI1","CID":"c","NotifyUrl":"https://x/n""#;
    for (amount, more) in [
        (450, format!(r#""Price":450,"Products":{{"1":{line}}}"#)),
        (450, r#""Price":450,"Products":{}"#.into()),
        (450, r#""Price":450,"Products":"""#.into()),
        (450, r#""Price":450,"Products":false"#.into()),
        (450, r#""Price":450,"Products":[7,null,"x"]"#.into()),
        (450, format!(r#""Price":450,"UserID":12345,"Products":[{line}]"#)),
        (450, r#""Price":450,"OpenID":false,"TradeNo":[]"#.into()),
        (450, r#""Price":450,"Products":[{"BarCode":69,"Qty":"1","Name":"a\ud83d"}]"#.into()),
        (450, r#""Price":"450""#.into()),
        (450, r#""Price":450.0,"DoorStatus":"x","ServiceStatus":[],"PayType":{}"#.into()),
        (450, r#""Price":450,"PayTime":"soon","CreateAt":true,"RequestID":{}"#.into()),
        (450, r#""Price":450,"UserID":"a","UserID":"b""#.into()),
        (-1, r#""Price":"4.50""#.into()),
        (-1, r#""Price":{}"#.into()),
        (-1, r#""Price":1,"Price":2"#.into()),
        (-1, r#""Products":[]"#.into()),
    ] {
        let biz = format!("{{{base},{more}}}");
        let body = signed("cabinet.order.vi.result.notify", &biz, SENT_AT);
        let event =
            platform.event("", body.as_bytes(), SENT_AT * 1000).unwrap_or_else(|e| panic!("{biz}: {e}"));
        assert_eq!((event.kind, event.order_no.as_str()), (EventKind::Recognized, "VI1"), "{biz}");
        assert_eq!((event.amount, event.json.as_str()), (amount, biz.as_str()));
        assert_eq!(event.report_url, "https://x/n");
        // What money hangs on is named when it cannot be read.
        assert_eq!(
            event.message.contains("Price"),
            amount == -1 && more.contains("Price"),
            "{biz}: {}",
            event.message
        );
    }
    let parse = |method: &str, biz: &str| {
        platform.event("", signed(method, biz, SENT_AT).as_bytes(), SENT_AT * 1000).unwrap()
    };
    let shut = parse("notify.close.door", r#"{"ReceiptNo":7,"Status":"2","Msg":false}"#);
    assert_eq!((shut.order_no.as_str(), shut.door), ("7", DoorState::NeverOpened));
    let odd = parse("notify.close.door", r#"{"ReceiptNo":"VI1","Status":"open"}"#);
    assert_eq!((odd.door, platform.event_movement(&odd)), (DoorState::Unknown, None));
    assert!(odd.message.contains("Status"), "{}", odd.message);
    let paid = parse("notify.cabinet.order.simple", r#"{"ReceiptNo":"VI1","PayTime":[]}"#);
    assert_eq!((paid.at, paid.message.contains("PayTime")), (0, true));
    let stuck = parse(
        "notify.consumer.order.simple",
        r#"{"ReceiptNo":"VI1","ShipmentsStatus":"-1","ShipmentsError":0}"#,
    );
    assert_eq!(
        (stuck.delivery, platform.event_movement(&stuck)),
        (DeliveryState::Failed, Some(Physical::Failed))
    );
    // A refund whose sum cannot be read is not the whole price.
    let refund =
        parse("cabinet.order.refunds.result.notify", r#"{"ReceiptNo":"VI1","Price":450,"RefundsPrice":"x"}"#);
    assert_eq!((refund.amount, refund.message.contains("RefundsPrice")), (-1, true));
    let changed = parse("notify.cabinet.changed", r#"{"Code":5,"Location":"x","CabinetCount":{}}"#);
    assert_eq!(changed.cabinet.unwrap().code, "5");
    assert_eq!(parse("notify.cabinet.changed", "[]").kind, EventKind::CabinetChanged);
    assert_eq!(parse("new.notice", "not JSON").json, "\"not JSON\"");
    assert_eq!(parse("notify.close.door", r#""{\"ReceiptNo\":\"VI1\",\"Status\":1}""#).door, DoorState::Shut);
}

#[test]
// FAULTS D: multipart, a trailing line end, words in GBK.
fn a_callback_is_read_in_every_writing() {
    let platform = yopoint(&[]);
    let biz = r#"{"Status":1,"ReceiptNo":"VI1","Msg":""}"#;
    let form = signed("notify.close.door", biz, SENT_AT);
    let read = |body: &[u8]| platform.event("", body, SENT_AT * 1000);
    assert_eq!(read(format!("{form}\r\n").as_bytes()).unwrap().order_no, "VI1");
    // Also behind a field that the signature covers, and behind JSON.
    let (rest, sum) = form.rsplit_once("&sign=").unwrap();
    assert_eq!(read(format!("sign={sum}&{rest}\r\n").as_bytes()).unwrap().order_no, "VI1");
    let fields = fields_of(form.as_bytes()).unwrap();
    for (eol, quote) in [("\r\n", "\""), ("\n", "\""), ("\r\n", "")] {
        let mut body = String::new();
        for (name, value) in &fields {
            let value = std::str::from_utf8(value).unwrap();
            body += &format!(
                "--xY{eol}Content-Type: text/plain{eol}Content-Disposition: form-data; name={quote}{name}{quote}{eol}{eol}{value}{eol}"
            );
        }
        let whole = format!("{body}--xY--{eol}");
        assert_eq!(read(whole.as_bytes()).unwrap().order_no, "VI1", "{whole}");
        assert_eq!(read(body.as_bytes()).unwrap_err().status(), KL_E_EVENT, "cut off");
        let twice = whole.replace("name=\"appid\"", "name=\"method\"").replace("name=appid", "name=method");
        assert_eq!(read(twice.as_bytes()).unwrap_err().status(), KL_E_EVENT, "{twice}");
    }
    for broken in [
        "--",
        "--x",
        "--x\r\n\r\n--x--",
        "--x\r\nno head\r\n--x--",
        "--x\r\nContent-Disposition: form-data\r\n\r\nv\r\n--x--",
    ] {
        assert_eq!(read(broken.as_bytes()).unwrap_err().status(), KL_E_EVENT, "{broken}");
    }
    // The signature covers the bytes, whatever their charset.
    let gbk = b"{\"Status\":2,\"ReceiptNo\":\"VI1\",\"Msg\":\"\xc3\xc5\xce\xb4\xbf\xaa\x90\\\"}";
    let at = SENT_AT.to_string();
    let mut signed: Vec<(&str, &[u8])> =
        vec![("method", b"notify.close.door"), ("biz_content", gbk), ("timestamp", at.as_bytes())];
    let sum = sign(&mut signed, "test-secret");
    let escaped: String = gbk.iter().map(|b| format!("%{b:02X}")).collect();
    let body = format!("method=notify.close.door&timestamp={at}&biz_content={escaped}&sign={sum}");
    let event = read(body.as_bytes()).unwrap();
    assert_eq!((event.order_no.as_str(), event.door), ("VI1", DoorState::NeverOpened));
}

#[test]
// FAULTS F13: whoever may send anything cannot make us compare thousands of fields before the signature is looked at.
fn a_callback_has_a_bounded_number_of_fields() {
    let platform = yopoint(&[]);
    for count in [256, 257, 40_000] {
        let all = |field: &dyn Fn(usize) -> String| (0..count).map(field).collect::<Vec<_>>();
        for body in [
            all(&|n| format!("k{n}=1")).join("&"),
            format!("{{{}}}", all(&|n| format!("\"k{n}\":1")).join(",")),
            all(&|n| format!("--x\r\nContent-Disposition: form-data; name=k{n}\r\n\r\n1\r\n")).concat()
                + "--x--",
        ] {
            let e = platform.event("", body.as_bytes(), SENT_AT * 1000).unwrap_err();
            let wanted = if count <= 256 { KL_E_EVENT_SIGNATURE } else { KL_E_EVENT };
            assert_eq!(e.status(), wanted, "{count} {body:.20}: {e}");
        }
    }
}

#[test]
// FAULTS F17: old evidence is none.
fn a_callback_is_believed_for_a_day() {
    let platform = yopoint(&[]);
    let body = signed("notify.close.door", r#"{"Status":1,"ReceiptNo":"VI1"}"#, SENT_AT);
    let at = |seconds: i64| platform.event("", body.as_bytes(), (SENT_AT + seconds) * 1000);
    const DAY: i64 = 86_400;
    for near in [0, DAY, -DAY] {
        assert!(at(near).is_ok(), "{near}");
    }
    for far in [DAY + 1, -DAY - 1, 300 * DAY, 4000 * DAY] {
        assert_eq!(at(far).unwrap_err().status(), KL_E_EVENT_TIME, "{far}");
    }
    // By a clock that was never set nothing is judged.
    assert!(platform.event("", body.as_bytes(), 60_000).is_ok());
    // Without a time nobody could tell how old it is.
    for timestamp in ["", "now", "1e99"] {
        let fields = [
            ("method", "notify.close.door"),
            ("biz_content", r#"{"ReceiptNo":"VI1","Status":1}"#),
            ("timestamp", timestamp),
        ];
        let e = platform.event("", callback(&fields, "test-secret").as_bytes(), SENT_AT * 1000).unwrap_err();
        assert_eq!(e.status(), KL_E_EVENT_TIME, "{timestamp:?}");
    }
    let forged = body.replace("VI1", "VI2");
    assert_eq!(
        platform.event("", forged.as_bytes(), (SENT_AT + 300 * DAY) * 1000).unwrap_err().status(),
        KL_E_EVENT_SIGNATURE,
        "the signature comes first"
    );
}

const MARK: &str = "123456789012345678901234";

fn known<'a>(act: &'a Act, mark: &'a str, ours: bool) -> Known<'a> {
    let sent = Span { earliest_ms: SENT_AT * 1000 - 500, latest_ms: SENT_AT * 1000 + 500 };
    Known {
        act,
        mark,
        mark_is_ours: ours,
        sent: Some(sent),
        mature: true,
        alive: Some(Span { earliest_ms: sent.earliest_ms, latest_ms: sent.latest_ms + 80_000 }),
        alone: true,
        previous: "",
    }
}

fn an_order(trade_no: &str) -> Order {
    Order { order_no: "VI1".into(), trade_no: trade_no.into(), cabinet_id: "c".into(), ..Default::default() }
}

fn found(order: Order) -> Result<Answer> {
    Ok(Answer::Order(Box::new(order)))
}

#[test]
// FAULTS B2, F9: only our own number proves by itself; absence proves nothing.
fn an_opening_is_found_by_our_number() {
    let platform = yopoint(&[]);
    let act = Act::Door(DoorRequest { mark: MARK.into(), ..door() }.into());
    let ours = known(&act, MARK, true);
    let queries = platform.queries(&ours);
    let [Query::Order(by), Query::Orders(list, page)] = &queries[..] else { panic!("{queries:?}") };
    assert_eq!((by.trade_no.as_str(), by.order_no.as_str(), page.number), (MARK, "", 1));
    assert!(list.from < SENT_AT && list.to > SENT_AT + 80 && list.kind == OrderKind::Cabinet);
    let judge = |known: &Known<'_>, answer| platform.judge(known, &queries[0], &answer);
    let is_done = |v: Verdict| matches!(v, Verdict::Done(r, ..) if r.order_no == "VI1");
    assert!(is_done(judge(&ours, found(an_order(MARK)))));
    // The caller's number in the record of last month is no proof; neither is the name.
    for other in [
        an_order("T-1"),
        an_order("r"),
        an_order(""),
        Order { cabinet_id: "another".into(), ..an_order(MARK) },
    ] {
        assert!(matches!(judge(&ours, found(other)), Verdict::Unknown(_)));
    }
    let orders = |items| Ok(Answer::Orders(Page { items, total: None, more: None }));
    let later = Order { order_no: "VI2".into(), ..an_order(MARK) };
    assert!(is_done(judge(&ours, orders(vec![later, an_order("T-1"), an_order(MARK)]))));
    for nothing in [
        orders(vec![]),
        orders(vec![an_order("T-1")]),
        Err(Error::new(KL_E_NOT_FOUND, "no")),
        Err(Error::new(KL_E_LOST, "x")),
    ] {
        assert!(matches!(judge(&ours, nothing), Verdict::Unknown(_)));
    }
    let early = Known { mature: false, ..ours };
    let v = judge(&early, Err(Error::new(KL_E_NOT_FOUND, "no")));
    assert!(matches!(v, Verdict::Unknown(why) if why.contains("on its way")));
    // No number was sent: nothing can be asked.
    let bare = Act::Door(door().into());
    assert!(platform.queries(&known(&bare, "", false)).is_empty());
    assert!(yopoint(&[("own_trade_no", "no")]).queries(&ours).is_empty());
    assert!(matches!(judge(&known(&bare, "", true), found(an_order(""))), Verdict::Unknown(_)));
}

#[test]
// FAULTS B2: a number of the caller's may stand in an older order.
fn a_callers_number_counts_only_in_an_order_of_that_time() {
    let platform = yopoint(&[]);
    let act = Act::Door(DoorRequest { order_no: "T-1".into(), ..door() }.into());
    let callers = known(&act, "T-1", false);
    let query = platform.queries(&callers).remove(0);
    let judge = |known: &Known<'_>, order| platform.judge(known, &query, &found(order));
    let made = |at| Order { created_at: at, ..an_order("T-1") };
    for (at, done) in [
        (SENT_AT - 1, true),
        (SENT_AT, true),
        (SENT_AT + 80, true),
        (SENT_AT - 2, false),
        (SENT_AT + 81, false),
        (SENT_AT - 30 * 86_400, false),
        (0, false),
    ] {
        assert_eq!(matches!(judge(&callers, made(at)), Verdict::Done(..)), done, "{at}");
    }
    // 1,700,000,000 is 2023-11-15 06:13:20 in China.
    let numbered = |no: &str| Order { order_no: no.into(), ..an_order("T-1") };
    for (no, done) in [
        ("VI231115061320000001", true),
        ("OD231115061321118586", true),
        ("VI231014061320000001", false),
        ("VI231115061320", false),
        ("VI231315061320000001", false),
        ("7I231115061320000001", false),
        ("订231115061320000001", false),
    ] {
        assert_eq!(matches!(judge(&callers, numbered(no)), Verdict::Done(..)), done, "{no}");
    }
    // Nothing is judged by a time that is not known; a claim that it is our mark does not make it one.
    assert!(matches!(judge(&Known { sent: None, ..callers }, made(SENT_AT)), Verdict::Unknown(_)));
    assert!(matches!(judge(&Known { alive: None, ..callers }, made(SENT_AT)), Verdict::Unknown(_)));
    let claimed = Known { mark: MARK, mark_is_ours: true, ..callers };
    assert!(matches!(judge(&claimed, made(SENT_AT - 30 * 86_400)), Verdict::Unknown(_)));
    assert!(matches!(judge(&claimed, an_order(MARK)), Verdict::Unknown(_)));
    let elsewhere = Order { cabinet_id: String::new(), ..made(SENT_AT) };
    assert!(matches!(judge(&callers, elsewhere), Verdict::Unknown(_)));
}

#[test]
fn a_recognition_settles_an_opening_and_a_replacement_does_not() {
    let platform = yopoint(&[]);
    let act = Act::Door(DoorRequest { mark: MARK.into(), ..door() }.into());
    let ours = known(&act, MARK, true);
    let biz = format!(
        r#"{{"ReceiptNo":"VI1","CID":"c","TradeNo":"{MARK}","Price":450,"NotifyUrl":"https://x/n"}}"#
    );
    let event =
        |method: &str| platform.event("", signed(method, &biz, SENT_AT).as_bytes(), SENT_AT * 1000).unwrap();
    let verdict = platform.event_verdict(&ours, &event("cabinet.order.vi.result.notify"));
    let Some(Verdict::Done(receipt, Physical::Confirmed, _)) = verdict else { panic!("{verdict:?}") };
    assert_eq!((receipt.order_no.as_str(), receipt.report_url.as_str()), ("VI1", "https://x/n"));
    for other in ["cabinet.order.product.modify", "cabinet.order.refunds.result.notify", "notify.close.door"]
    {
        assert!(platform.event_verdict(&ours, &event(other)).is_none(), "{other}");
    }
}

#[test]
fn what_an_order_says_of_its_door() {
    let platform = yopoint(&[]);
    let act = Act::Door(door().into());
    let receipt = Receipt { order_no: "VI1".into(), ..Default::default() };
    let moved = |door, service| {
        let order = Order { door, service, ..an_order("") };
        platform.movement(&act, &receipt, &Answer::Order(Box::new(order))).map(|(physical, _)| physical)
    };
    assert_eq!(moved(DoorState::Open, ServiceState::Unknown), Some(Physical::Confirmed));
    assert_eq!(moved(DoorState::Shut, ServiceState::Ended), Some(Physical::Confirmed));
    assert_eq!(moved(DoorState::NeverOpened, ServiceState::Unknown), Some(Physical::Failed));
    assert_eq!(moved(DoorState::Shut, ServiceState::InService), None, "a fresh order may say shut");
    assert_eq!(moved(DoorState::Unknown, ServiceState::Ended), None);
    let another =
        Answer::Order(Box::new(Order { order_no: "VI2".into(), door: DoorState::Open, ..an_order("") }));
    assert!(platform.movement(&act, &receipt, &another).is_none());
}

fn redemption() -> RedeemRequest {
    RedeemRequest { code: " ０12345\r\n".into(), cabinet_id: "t".into(), ..Default::default() }
}

#[test]
fn voucher_codes_are_redeemed_and_looked_up() {
    let platform = yopoint(&[]);
    let r = redemption();
    let op = Op::CodeRedeem(&r);
    assert_eq!(platform.nature(&op).unwrap(), Nature::Command);
    let fields = sent(&platform, &op, 0);
    assert_eq!(field(&fields, "method"), "activity.voucher.exchange");
    assert_eq!(field(&fields, "biz_content"), r#"{"Code":"012345","TID":"t"}"#);
    for (data, order_no) in [(r#"{"ReceiptNo":"OD1"}"#, "OD1"), ("[]", ""), ("null", ""), (r#""ok""#, "")] {
        let body = format!(r#"{{"error_code":0,"error_msg":"SUCCESS","data":{data}}}"#);
        let answer = platform.answer(&op, &reply(200, &body));
        assert!(matches!(answer, Ok(Answer::Taken(r)) if r.order_no == order_no), "{data}");
    }
    for bad in [
        RedeemRequest { cabinet_id: String::new(), ..r.clone() },
        RedeemRequest { code: " \u{200b}".into(), ..r.clone() },
        RedeemRequest { trade_no: "T".into(), ..r.clone() },
        RedeemRequest { notify_url: "https://n".into(), ..r.clone() },
        RedeemRequest { kind: CodeKind::Virtual, ..r.clone() },
    ] {
        assert_eq!(platform.draft(&Op::CodeRedeem(&bad)).err().unwrap().status(), KL_E_ARGUMENT, "{bad:?}");
    }
    let by_code = CodeQuery { code: "012345".into(), product_id: "v".into(), ..Default::default() };
    let fields = sent(&platform, &Op::CodeLookup(&by_code), 0);
    assert_eq!(field(&fields, "method"), "activity.vouchercode.get");
    assert_eq!(field(&fields, "biz_content"), r#"{"VoucherID":"v","VoucherCode":"012345"}"#);
    let by_id = CodeQuery { product_id: "v".into(), ..Default::default() };
    let fields = sent(&platform, &Op::CodeLookup(&by_id), 0);
    assert_eq!(
        (field(&fields, "method"), field(&fields, "biz_content")),
        ("activity.voucher.get", r#"{"VoucherID":"v"}"#)
    );
    assert_eq!(platform.draft(&Op::CodeLookup(&CodeQuery::default())).err().unwrap().status(), KL_E_ARGUMENT);
    let body = r#"{"error_code":0,"data":{"VoucherCode":12345,"VoucherID":"v","Status":"x","TID":{}}}"#;
    let Ok(Answer::Code(code)) = platform.answer(&Op::CodeLookup(&by_code), &reply(200, body)) else {
        panic!()
    };
    assert_eq!(
        (code.code.as_str(), code.state, code.state_text.as_str()),
        ("12345", CodeState::Unknown, "x")
    );
    let none = platform.answer(&Op::CodeLookup(&by_code), &reply(200, r#"{"error_code":0,"data":[]}"#));
    assert_eq!(none.unwrap_err().status(), KL_E_NOT_FOUND);
}

#[test]
fn a_lost_redemption_is_settled_by_code_machine_and_time() {
    let platform = yopoint(&[]);
    let act = Act::Redeem(redemption().into());
    let asked = known(&act, "", false);
    let event = |code: &str, tid: &str, status: i64, at: i64| {
        let biz = format!(
            r#"{{"VoucherID":"v","VoucherCode":"{code}","TID":"{tid}","ReceiptNo":"OD1","ShipmentsStatus":{status}}}"#
        );
        platform
            .event("", signed("notify.activity.voucher.exchangecode", &biz, at).as_bytes(), at * 1000)
            .unwrap()
    };
    for (status, physical) in
        [(1, Physical::Confirmed), (-1, Physical::Failed), (0, Physical::Pending), (3, Physical::Pending)]
    {
        let verdict = platform.event_verdict(&asked, &event("012345", "t", status, SENT_AT + 5));
        assert!(
            matches!(&verdict, Some(Verdict::Done(r, p, _)) if r.order_no == "OD1" && *p == physical),
            "{verdict:?}"
        );
    }
    for (code, tid, at) in [
        ("12345", "t", SENT_AT + 5),
        ("012345", "u", SENT_AT + 5),
        ("012345", "", SENT_AT + 5),
        ("012345", "t", SENT_AT - 2),
        ("012345", "t", SENT_AT + 600),
    ] {
        assert!(platform.event_verdict(&asked, &event(code, tid, 1, at)).is_none(), "{code} {tid} {at}");
    }
    let near = event("012345", "t", 1, SENT_AT + 5);
    assert!(platform.event_verdict(&Known { alone: false, ..asked }, &near).is_none());
    assert!(platform.event_verdict(&Known { sent: None, ..asked }, &near).is_none());

    let queries = platform.queries(&asked);
    assert!(matches!(&queries[..], [Query::Code(_)]), "{queries:?}");
    let judge = |code: PickupCode| platform.judge(&asked, &queries[0], &Ok(Answer::Code(Box::new(code))));
    let used = PickupCode {
        code: "012345".into(),
        cabinet_id: "t".into(),
        used_at: SENT_AT + 3,
        order_no: "OD1".into(),
        ..Default::default()
    };
    assert!(matches!(judge(used.clone()), Verdict::Done(r, ..) if r.order_no == "OD1"));
    for other in [
        PickupCode { used_at: 0, state: CodeState::Unused, ..used.clone() },
        PickupCode { used_at: SENT_AT - 600, ..used.clone() },
        PickupCode { used_at: SENT_AT + 600, ..used.clone() },
        PickupCode { cabinet_id: String::new(), ..used.clone() },
        PickupCode { code: "9".into(), ..used.clone() },
    ] {
        assert!(matches!(judge(other.clone()), Verdict::Unknown(_)), "{other:?}");
    }
}

#[test]
fn vending_machines_are_listed_by_a_setting() {
    let platform = yopoint(&[("machines", "vending")]);
    let page = PageRequest { number: 2, size: 0 };
    let fields = sent(&platform, &Op::CabinetList { page }, 0);
    assert_eq!(
        (field(&fields, "method"), field(&fields, "biz_content")),
        ("terminal.terminal.list", r#"{"Page":2}"#)
    );
    let body = r#"{"error_code":0,"data":{"total":11,"current_page":2,"last_page":2,"data":[{"TID":"t1","Name":"机"}]}}"#;
    let Ok(Answer::Cabinets(list)) = platform.answer(&Op::CabinetList { page }, &reply(200, body)) else {
        panic!()
    };
    assert_eq!((list.items[0].id.as_str(), list.more, list.total), ("t1", Some(false), Some(11)));
    let stock =
        |number| Op::Stock { cabinet_id: "t1", page: PageRequest { number, size: 0 }, extra_json: None };
    let fields = sent(&platform, &stock(1), 0);
    assert_eq!(
        (field(&fields, "method"), field(&fields, "biz_content")),
        ("terminal.product.layout.get", r#"{"TID":"t1"}"#)
    );
    let body = r#"{"error_code":0,"data":[{"Row":1,"Col":"2","BarCode":"69","Price":300,"Stock":6}]}"#;
    for (number, count) in [(1, 1), (2, 0)] {
        let Ok(Answer::Stock(page)) = platform.answer(&stock(number), &reply(200, body)) else { panic!() };
        assert_eq!((page.items.len(), page.more), (count, Some(false)), "the layout has no pages");
        assert!(page.items.iter().all(|i| i.lanes == "1-2" && i.stock == 6));
    }
}

#[test]
fn a_vending_order_is_made_by_its_token() {
    let platform = yopoint(&[]);
    let create = OrderCreate {
        cabinet_id: "t".into(),
        mark: MARK.into(),
        extra_json: Some(r#"{"Token":"k","OpenID":"o"}"#.into()),
        ..Default::default()
    };
    let op = Op::OrderCreate(&create);
    assert_eq!(platform.nature(&op).unwrap(), Nature::Write);
    let fields = sent(&platform, &op, 0);
    assert_eq!(field(&fields, "method"), "consumer.order.create");
    assert_eq!(field(&fields, "biz_content"), format!(r#"{{"TradeNo":"{MARK}","Token":"k","OpenID":"o"}}"#));
    let answer = platform.answer(&op, &reply(200, r#"{"error_code":0,"data":{"ReceiptNo":"OD1"}}"#));
    assert!(matches!(answer, Ok(Answer::Taken(r)) if r.order_no == "OD1"));
    for bad in [
        OrderCreate { extra_json: None, ..create.clone() },
        OrderCreate { extra_json: Some(r#"{"Token":""}"#.into()), ..create.clone() },
        OrderCreate { lines: vec![("p".into(), 1)], ..create.clone() },
        OrderCreate { notify_url: "https://n".into(), ..create.clone() },
    ] {
        assert_eq!(platform.draft(&Op::OrderCreate(&bad)).err().unwrap().status(), KL_E_ARGUMENT, "{bad:?}");
    }
    let act = Act::Write {
        verb: "order_create".into(),
        order_no: String::new(),
        cabinet_id: String::new(),
        paid: false,
        trade_no: String::new(),
        digest: String::new(),
        visit_id: String::new(),
        context: String::new(),
    };
    let ours = known(&act, MARK, true);
    let queries = platform.queries(&ours);
    let [Query::Order(by)] = &queries[..] else { panic!("{queries:?}") };
    assert_eq!((by.kind, by.trade_no.as_str()), (OrderKind::Vending, MARK));
    assert!(matches!(platform.judge(&ours, &queries[0], &found(an_order(MARK))), Verdict::Done(..)));
    assert!(matches!(platform.judge(&ours, &queries[0], &found(an_order("T"))), Verdict::Unknown(_)));
    assert!(platform.queries(&known(&act, "", false)).is_empty());
}

#[test]
// FAULTS A2: a word of success under another status is neither believed nor a gateway's page.
fn a_payment_report_is_done_by_its_word_alone() {
    let platform = yopoint(&[]);
    let report = PaymentReport::default();
    let answer = |http, body: &str| platform.answer(&Op::PaymentReport(&report), &reply(http, body));
    for (http, body, outcome) in [
        (400, "success", Outcome::None),
        (400, "fail", Outcome::None),
        (200, "fail", Outcome::None),
        (500, "<html>", Outcome::None),
        (404, "<html>", Outcome::NotDone),
        (429, "Too Many Requests", Outcome::NotDone),
        // May be what is left of its word.
        (429, "", Outcome::None),
        (404, "", Outcome::None),
        (401, "\u{1}\u{fffd}q", Outcome::None),
        (200, r#"{"error_code":-1,"error_msg":"ERR_SYSTEM"}"#, Outcome::None),
        (403, r#"{"error_code":0}"#, Outcome::None),
        (404, "<br />Notice: x\nsuccess", Outcome::None),
        (429, r#"<b>Warning</b>: x {"error_code":-1}"#, Outcome::None),
        (401, "Notice: x\nSUCCESS", Outcome::None),
    ] {
        assert_eq!(answer(http, body).unwrap_err().details().outcome, outcome, "{http} {body}");
    }
}

#[test]
fn every_refusal_of_the_table_is_in_the_documentation() {
    let doc = include_str!("../../../docs/platforms/yopoint.md");
    for row in refusals::TABLE.iter().filter(|row| !row.name.is_empty()) {
        let status = crate::status::name(row.status).unwrap();
        let means = if row.proves { "not done" } else { "**unknown**" };
        let start = format!("| `{}` | `{status}` | {means} |", row.name);
        assert!(doc.lines().any(|line| line.starts_with(&start)), "docs/platforms/yopoint.md lacks {start}");
    }
}

#[test]
fn the_operators_own_table_is_read() {
    let folder = std::env::temp_dir().join(format!("kl-yopoint-refusals-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("refusals.json");
    std::fs::write(&file, r#"{"kiosklink-refusals":1,"rows":[{"platform":"yopoint","name":"cabinet.open.door ERR_CABINET_OFFLINE","means":"not_done","status":"KL_E_OFFLINE","source":"mail of the vendor","signed_off":"A. Person"}]}"#).unwrap();
    const FILE: &crate::settings::Key =
        &crate::settings::key("refusals_file", crate::settings::Form::Path, "", "");
    let mut settings = Settings::clone(&Config::new("yopoint").unwrap());
    settings.put(settings.keys().find(|k| k.name == "app_id").unwrap(), "1");
    settings.put(settings.keys().find(|k| k.name == "app_secret").unwrap(), "s");
    settings.put(FILE, file.to_str().unwrap());
    let platform = Yopoint::new(&settings).unwrap();
    let answer = |method| {
        let op = Op::Call { method, params_json: "{}" };
        let body = r#"{"error_code":-1,"error_msg":"ERR_CABINET_OFFLINE"}"#;
        platform.answer(&op, &reply(200, body)).unwrap_err().details().outcome
    };
    assert_eq!((answer(OPEN_DOOR), answer("cabinet.list")), (Outcome::NotDone, Outcome::None));
    settings.put(FILE, folder.join("none").to_str().unwrap());
    assert_eq!(Yopoint::new(&settings).err().unwrap().status(), KL_E_CONFIG_FILE);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
// FAULTS B2: each condition by which an order is the one of this command.
fn what_makes_an_order_ours() {
    let platform = yopoint(&[]);
    let act = Act::Door(DoorRequest { mark: MARK.into(), ..door() }.into());
    let ours = known(&act, MARK, true);
    let queries = platform.queries(&ours);
    let done =
        |known: &Known<'_>, answer| matches!(platform.judge(known, &queries[0], &answer), Verdict::Done(..));
    // Our own number needs no cabinet beside it, but an order's number.
    assert!(done(&ours, found(Order { cabinet_id: String::new(), ..an_order(MARK) })));
    assert!(!done(&ours, found(Order { order_no: String::new(), ..an_order(MARK) })));
    // Without a number nothing is ours, whenever it was made.
    let bare = Act::Door(door().into());
    assert!(!done(&known(&bare, "", true), found(Order { created_at: SENT_AT, ..an_order("") })));
    // Two orders with the caller's number: which one nobody can tell.
    let own = Act::Door(DoorRequest { order_no: "T-1".into(), ..door() }.into());
    let made = |no: &str| Order { order_no: no.into(), created_at: SENT_AT, ..an_order("T-1") };
    let orders = |items| Ok(Answer::Orders(Page { items, total: None, more: None }));
    assert!(done(&known(&own, "T-1", false), orders(vec![made("VI1")])));
    assert!(!done(&known(&own, "T-1", false), orders(vec![made("VI1"), made("VI2")])));
    // The recognition of another order.
    let biz = r#"{"ReceiptNo":"VI1","CID":"c","TradeNo":"T","Price":450}"#;
    let body = signed("cabinet.order.vi.result.notify", biz, SENT_AT);
    let event = platform.event("", body.as_bytes(), SENT_AT * 1000).unwrap();
    assert!(platform.event_verdict(&ours, &event).is_none());
    // An opening makes an order, a redemption may belong to one; and each may be held for as long as a gateway holds it.
    let redeem = Act::Redeem(redemption().into());
    assert!(platform.order_is_new(&act) && !platform.order_is_new(&redeem));
    assert!(platform.maturity(&act).hold_ms >= 60_000);
    // A code that two commands are about, and a movement of another order.
    let asked = Known { alone: false, ..known(&redeem, "", false) };
    let used = PickupCode {
        code: "012345".into(),
        cabinet_id: "t".into(),
        used_at: SENT_AT + 3,
        ..Default::default()
    };
    let answer = |code: &PickupCode| Ok(Answer::Code(Box::new(code.clone())));
    assert!(!done(&asked, answer(&used)) && done(&Known { alone: true, ..asked }, answer(&used)));
    let receipt = Receipt { order_no: "OD1".into(), ..Default::default() };
    let delivered = |no: &str| {
        let order = Order { order_no: no.into(), delivery: DeliveryState::Delivered, ..Default::default() };
        platform.movement(&redeem, &receipt, &Answer::Order(Box::new(order)))
    };
    assert!(delivered("OD1").is_some() && delivered("OD2").is_none());
}

#[test]
fn a_machine_that_sells_nothing_is_not_told_as_selling() {
    let platform = yopoint(&[]);
    let page = PageRequest { number: 1, size: 0 };
    for (fields, sale) in [
        (r#""SellStatus":1,"EnableSell":true"#, SaleState::Selling),
        (r#""SellStatus":1,"EnableSell":false"#, SaleState::Stopped),
        (r#""EnableSell":false"#, SaleState::Stopped),
        (r#""SellStatus":0,"EnableSell":true"#, SaleState::Stopped),
    ] {
        let body = format!(r#"{{"error_code":0,"data":{{"total":1,"data":[{{"CID":"c",{fields}}}]}}}}"#);
        let Ok(Answer::Cabinets(list)) = platform.answer(&Op::CabinetList { page }, &reply(200, &body))
        else {
            panic!("{fields}")
        };
        assert_eq!(list.items[0].sale, sale, "{fields}");
    }
}

#[test]
fn an_order_under_the_callers_number_is_found_without_a_clock() {
    let platform = yopoint(&[]);
    let act = Act::Door(DoorRequest { order_no: "T-1".into(), ..door() }.into());
    let order = |order_no: &str| Order { order_no: order_no.into(), ..an_order("T-1") };
    // The clock of the platform is not known; the order of the command before tells when ours cannot have been yet.
    let asked = Known {
        sent: None,
        alive: None,
        mature: false,
        previous: "VI231114221320000001",
        ..known(&act, "T-1", false)
    };
    let done = |known: &Known<'_>, order_no: &str| {
        let query = &platform.queries(known)[0];
        matches!(platform.judge(known, query, &found(order(order_no))), Verdict::Done(..))
    };
    assert!(done(&asked, "VI231114221320000002") && done(&asked, "OD231114221321000001"));
    for older in ["VI231114221319000009", "VI221114221320000002", "VI1", ""] {
        assert!(!done(&asked, older), "{older}");
    }
    for other in [
        Known { mature: true, ..asked },
        Known { alone: false, ..asked },
        Known { previous: "", ..asked },
        Known { previous: "60", ..asked },
    ] {
        assert!(!done(&other, "VI231114221320000002"));
    }
}
