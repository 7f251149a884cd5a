//! Tests of the whole folder.

use super::*;
use crate::config::Config;
use crate::transport::{Headers, Timing};

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
    match request.body.first() {
        Some(b'{') => json_fields(&request.body).unwrap(),
        _ => form::decode(&request.body).unwrap(),
    }
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
fn no_odd_envelope_is_a_success() {
    let platform = yopoint(&[]);
    let request = DoorRequest { request_id: "r".into(), cabinet_id: "c".into(), ..Default::default() };
    let op = Op::DoorOpen(&request);
    let good = r#"{"error_code":0,"error_msg":"SUCCESS","sub_error_code":null,"sub_error_msg":null,"data":{"ReceiptNo":"VI1"}}"#;
    assert!(matches!(platform.answer(&op, &reply(200, good)), Ok(Answer::Taken(r)) if r.order_no == "VI1"));
    let bad = [
        "",
        "null",
        "[]",
        "\"success\"",
        "{}",
        r#"{"data":{"ReceiptNo":"VI1"}}"#,
        r#"{"error_code":"0","data":{"ReceiptNo":"VI1"}}"#,
        r#"{"error_code":null,"data":{"ReceiptNo":"VI1"}}"#,
        r#"{"error_code":0.0,"data":{"ReceiptNo":"VI1"}}"#,
        r#"{"error_code":-1,"error_code":0,"data":{"ReceiptNo":"VI1"}}"#,
        r#"{"error_code":4294967296,"data":{"ReceiptNo":"VI1"}}"#,
        r#"{"error_code":0}"#,
        r#"{"error_code":0,"data":null}"#,
        r#"{"error_code":0,"data":[]}"#,
        r#"{"error_code":0,"data":{}}"#,
        r#"{"error_code":0,"data":{"ReceiptNo":""}}"#,
        r#"{"error_code":0,"data":{"ReceiptNo":7}}"#,
        r#"{"error_code":0,"data":{"ReceiptNo":"VI1"}"#,
        "<html>please log in</html>",
    ];
    for body in bad {
        let e = platform.answer(&op, &reply(200, body)).unwrap_err();
        assert_eq!(e.status(), KL_E_PROTOCOL, "{body}: {e}");
        assert!(!platform.proves_not_done(&e), "{body}");
        assert!(e.message().starts_with("the answer"), "{e}");
    }
    // A success under a bad status is not believed either.
    for status in [302, 404, 500, 502] {
        assert_eq!(platform.answer(&op, &reply(status, good)).unwrap_err().status(), KL_E_HTTP);
    }
}

#[test]
fn refusals_by_name_prove_that_nothing_happened_and_others_do_not() {
    let platform = yopoint(&[]);
    let op = Op::Ping;
    let cases = [
        ("ERR_SIGN", KL_E_AUTH, true),
        ("ERR_INVALID_APPID", KL_E_AUTH, true),
        ("ERR_TIMESTAMP", KL_E_TIMESTAMP, true),
        ("MISSING_PARAMS_TID", KL_E_PARAMETER, true),
        ("ERR_TERMINAL_NOT_EXIST", KL_E_NOT_FOUND, true),
        ("ERR_BARCODE_OUTSTOCK", KL_E_OUT_OF_STOCK, true),
        ("ERR_NONE_STOCK", KL_E_OUT_OF_STOCK, true),
        ("ERR_CABINET_OFFLINE", KL_E_OFFLINE, true),
        ("ERR_NO_PERMISSION", KL_E_PERMISSION, true),
        ("ERR_SYSTEM", KL_E_PLATFORM, false),
        ("ERR_ORDER_CREATE_FAIL", KL_E_PLATFORM, false),
        ("", KL_E_PLATFORM, false),
    ];
    for (name, status, proves) in cases {
        let body = format!(r#"{{"error_code":-1,"error_msg":"{name}","data":"6900000000011"}}"#);
        let e = platform.answer(&op, &reply(200, &body)).unwrap_err();
        assert_eq!((e.status(), platform.proves_not_done(&e)), (status, proves), "{name}");
        assert_eq!((e.details().platform_code, e.details().platform_message.as_str()), (-1, name));
    }
}

#[test]
fn every_word_of_a_refusal_is_in_the_documentation() {
    let doc = include_str!("../../../docs/platforms/yopoint.md");
    for (word, status) in REFUSALS {
        let name = crate::status::name(*status).unwrap();
        let row = |line: &&str| line.contains(&format!("`{word}`")) && line.ends_with(&format!("`{name}` |"));
        assert!(doc.lines().any(|line| row(&line)), "docs/platforms/yopoint.md lacks {word}, {name}");
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

#[test]
fn a_wrong_type_deep_inside_is_named_with_its_place() {
    let query = OrderQuery { to: 1, ..Default::default() };
    let op = Op::OrderList { query: &query, page: PageRequest { number: 1, size: 20 } };
    for (data, place) in [
        (r#"[{"Products":[{"Price":2},{"Price":"2"}]}]"#, "data[0].Products[1].Price is a string"),
        (r#"{"total":1,"data":[{"PayTime":"soon"}]}"#, "data.data[0].PayTime is a string"),
        (r#"{"total":1}"#, "data.data is missing"),
        (r#"[{"CID":5}]"#, "data[0].CID is a number"),
        (r#"[7]"#, "data[0] is a number"),
    ] {
        let body = format!(r#"{{"error_code":0,"data":{data}}}"#);
        let e = yopoint(&[]).answer(&op, &reply(200, &body)).unwrap_err();
        assert!(e.message().contains(place), "{data}: {e}");
    }
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
        ("notify.close.door", r#"{"ReceiptNo":"VI1"}"#),
        ("notify.cabinet.order.simple", r#"{"ReceiptNo":"VI1","CID":"c"}"#),
        ("notify.consumer.order.simple", r#"{"ReceiptNo":"VI1","TID":"t","ShipmentsStatus":"1"}"#),
        ("notify.close.door", "[]"),
        ("notify.close.door", "{"),
    ] {
        assert_eq!(parse(method, biz).unwrap_err().status(), KL_E_EVENT, "{method} {biz}");
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
    for timestamp in [i64::MIN, i64::MAX, -1] {
        let text = timestamp.to_string();
        let fields = [("receipt_no", "OD1"), ("timestamp", text.as_str())];
        let body = callback(&fields, "test-pay-key");
        for now_ms in [i64::MIN, 0, i64::MAX] {
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
        notify_url: "https://h/n".into(),
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
