//! The vendor's own vectors first, then shapes, codes and refusals.

use super::recovery::{Whose, whose};
use super::refusals::ROWS;
use super::requests::{sign, trade_id};
use super::*;
use crate::config::Config;
use crate::error::Advice;
use crate::error::Outcome;
use crate::event::{NO_IDENTITY, SignedWith};
use crate::json::Json;
use crate::platform::{Moment, Span, Step};
use crate::transport::{Headers, Request, Timing};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const KVA: &str = "kva";

fn config() -> Config {
    let mut c = Config::new("dingshang").unwrap();
    for (key, value) in [
        ("base_url", "https://dz.example"),
        ("app_id", "ds0123456789"),
        ("app_secret", "a-secret"),
        ("app_key", KVA),
    ] {
        c.set(key, value).unwrap();
    }
    c
}

fn platform() -> Dingshang {
    Dingshang::new(&config()).unwrap()
}

fn reply(status: u16, body: &str) -> Reply {
    Reply { status, headers: Headers::default(), body: body.into(), timing: Timing::default() }
}

fn answer(op: &Op<'_>, data: &str) -> Result<Answer> {
    platform().answer(op, &reply(200, &format!(r#"{{"code":0,"message":"ok","data":{data}}}"#)))
}

fn refused(status: u16, body: &str) -> Error {
    platform().answer(&Op::Ping, &reply(status, body)).unwrap_err()
}

/// The request of an operation, sealed at a time.
fn sealed(p: &Dingshang, op: &Op<'_>, now_ms: i64) -> Request {
    (p.draft(op).unwrap().seal)(&Moment { now_ms, token: "" })
}

/// The fields of a sealed payload, `sign` among them.
fn opened(request: &Request) -> Vec<(String, String)> {
    let body = Json::parse(&request.body).unwrap().object().unwrap();
    let payload = STANDARD.decode(body.string(&["payload"]).unwrap().unwrap()).unwrap();
    let object = Json::parse(&payload).unwrap().object().unwrap();
    object.fields().iter().map(|(n, v)| (n.to_string(), v.string().unwrap().into_owned())).collect()
}

fn field(fields: &[(String, String)], name: &str) -> String {
    fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).unwrap_or_default()
}

fn signed(text: &str, key: &str, query: bool) -> String {
    let fields: Vec<_> = text.split('&').map(|f| f.split_once('=').unwrap()).collect();
    sign(&fields, key, query)
}

#[test]
fn the_vendors_vectors_come_out() {
    const V1: &str = "code_length=7&count=2&expired_at=2024-12-31 23:59:59&machine_no=16327129&method=pickup_code.product.id&product_id=1323442&quantity=1&timestamp=1714185061";
    for (text, key, wanted) in [
        (V1, KVA, "6C73E1EE2B92089A61DC721E72BB3139"),
        (
            "machine_no=16327129&method=device.delivery.put&order_id=60&record_id=78&timestamp=1714373688",
            KVA,
            "2457E8CE3CB49D31EC2054365FC8AD90",
        ),
        ("machine_no=16327129&status=2&timestamp=1714128358", KVA, "9C84FD1CE2C76849E7778ACF2C50FFF0"),
        (
            "category_id=1&machine_no=8668380625375492&page=1&per_page=10&timestamp=1713255411",
            KVA,
            "219C16BDF42D3668FF5B85A30FE97F54",
        ),
        ("machine_no=8668380625375492&timestamp=1713251726", KVA, "7BBE34F94D97B8C0F2A259CB0061739B"),
        ("a=123&b=456&c=789&timestamp=1717899356", "abc", "0C59AD369ED0E8F5AD06610EBBE6F263"),
    ] {
        assert_eq!(signed(text, key, false), wanted, "{text}");
    }
    // The one doubt: the vendor's newer library signs another text.
    assert_eq!(signed(V1, KVA, true), "EC3A37011CA425231A875310C2158F60");
}

#[test]
fn the_signs_computed_for_the_samples_without_a_good_one_come_out_through_the_verbs() {
    let p = platform();
    let query =
        CodeQuery { cabinet_id: "16327129".into(), product_id: "1323442".into(), ..CodeQuery::default() };
    let at = 1_714_185_061_000;
    let list = sealed(&p, &Op::CodeList(&query), at);
    assert_eq!(list.url.path_and_query, "/api/openapi/v1/products/1323442/pickup_code");
    assert_eq!(field(&opened(&list), "sign"), "612987E447589DCA2027BE7EA4372A8C");

    let one = CodeCancel { cabinet_id: "16327129".into(), id: "1122223".into(), extra_json: None };
    let all = CodeCancel { id: String::new(), ..one.clone() };
    for (cancel, sign) in
        [(&one, "4BAED5FEE55ADE3E3D5B3E88FA9E05A8"), (&all, "C7F8E8A4ED5B1454FC88EDAD8CA2C967")]
    {
        let request = sealed(&p, &Op::CodeCancel(cancel), at);
        assert_eq!(
            (request.method, request.url.path_and_query.as_str()),
            ("PUT", "/api/openapi/v1/pickup_codes")
        );
        assert_eq!(field(&opened(&request), "sign"), sign);
    }
}

#[test]
fn codes_for_one_product_are_asked_for_as_the_vendor_does() {
    let create = CodeCreate {
        cabinet_id: "16327129".into(),
        product_id: "1323442".into(),
        count: 2,
        length: 7,
        expires_at: 1_735_660_799,
        extra_json: Some(r#"{"quantity":1}"#.into()),
    };
    let request = sealed(&platform(), &Op::CodeCreate(&create), 1_714_185_061_999);
    let fields = opened(&request);
    assert_eq!(field(&fields, "expired_at"), "2024-12-31 23:59:59");
    assert_eq!(field(&fields, "timestamp"), "1714185061");
    assert_eq!(field(&fields, "sign"), "6C73E1EE2B92089A61DC721E72BB3139");
    let headers: Vec<_> = request.headers.iter().map(|(n, v)| (*n, &**v)).collect();
    assert!(headers.contains(&("Appid", "ds0123456789")) && headers.contains(&("AppSecret", "a-secret")));

    let mut encoded = config();
    encoded.set("sign_value_encoding", "query").unwrap();
    let encoded = Dingshang::new(&encoded).unwrap();
    let fields = opened(&sealed(&encoded, &Op::CodeCreate(&create), 1_714_185_061_000));
    assert_eq!(field(&fields, "expired_at"), "2024-12-31 23:59:59", "only the signed text is encoded");
    assert_eq!(field(&fields, "sign"), "EC3A37011CA425231A875310C2158F60");
}

#[test]
fn the_vendors_visible_payload_reads_back() {
    const V3: &str = "eyJtYWNoaW5lX25vIjoiMTYzMjcxMjkiLCJzaWduIjoiOUM4NEZEMUNFMkM3Njg0OUU3Nzc4QUNGMkM1MEZGRjAiLCJzdGF0dXMiOjIsInRpbWVzdGFtcCI6IjE3MTQxMjgzNTgifQ==";
    let theirs = STANDARD.decode(V3).unwrap();
    let theirs = Json::parse(&theirs).unwrap().object().unwrap();
    let claim = Complaint { order_no: "60".into(), cabinet_id: "16327129".into(), ..Complaint::default() };
    let request = sealed(&platform(), &Op::RefundApply(&claim), 1_714_128_358_000);
    assert_eq!((request.method, request.url.path_and_query.as_str()), ("PUT", "/api/openapi/v1/orders/60"));
    let ours = opened(&request);
    assert_eq!(ours.len(), theirs.fields().len());
    for (name, value) in theirs.fields() {
        // Their status is a number, signed by its digits.
        assert_eq!(field(&ours, name), value.text().trim_matches('"'), "{name}");
    }
}

#[test]
fn an_empty_value_is_not_sent_and_a_zero_is() {
    let op = Op::Call {
        method: "POST /products",
        params_json: r#"{"machine_no":"1","page":1,"category_id":0,"addr":"","cabinet_name":null,"x":"NULL"}"#,
    };
    let fields = opened(&sealed(&platform(), &op, 1_000));
    let names: Vec<_> = fields.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["category_id", "machine_no", "page", "timestamp", "sign"]);
    assert_eq!(field(&fields, "category_id"), "0");
}

#[test]
fn a_pasted_address_is_understood() {
    for url in [
        "https://dz.example",
        "https://dz.example/",
        "https://dz.example/api/openapi/v1",
        "https://dz.example/api/openapi/v1/",
    ] {
        let mut c = config();
        c.set("base_url", url).unwrap();
        let p = Dingshang::new(&c).unwrap();
        let ping = sealed(&p, &Op::Ping, 0);
        assert_eq!(ping.url.path_and_query, "/api/openapi/v1/ping", "{url}");
        assert!(ping.body.is_empty());
    }
    let mut c = config();
    c.set("base_url", "https://dz.example/some/where").unwrap();
    let p = Dingshang::new(&c).unwrap();
    assert_eq!(sealed(&p, &Op::Ping, 0).url.path_and_query, "/some/where/api/openapi/v1/ping");
    for (key, value) in
        [("base_url", "https://dz.example/?a=b"), ("app_secret", "with blank"), ("app_id", "é")]
    {
        let mut c = config();
        c.set(key, value).unwrap();
        assert_eq!(Dingshang::new(&c).err().unwrap().status(), KL_E_CONFIG_VALUE, "{key}");
    }
    let bare = Config::new("dingshang").unwrap();
    assert_eq!(Dingshang::new(&bare).err().unwrap().status(), KL_E_CONFIG_MISSING);
}

#[test]
fn a_delivery_goes_by_record_or_by_lane() {
    let p = platform();
    let door = |order: &str, item: &str, lane: &str, url: &str| DoorRequest {
        cabinet_id: "16327129".into(),
        order_no: order.into(),
        item_no: item.into(),
        door: lane.into(),
        notify_url: url.into(),
        ..DoorRequest::default()
    };
    let request = sealed(&p, &Op::DoorOpen(&door("60", "78", "", "")), 1_714_373_688_000);
    assert_eq!(request.url.path_and_query, "/api/openapi/v1/deliveries");
    assert_eq!(field(&opened(&request), "sign"), "2457E8CE3CB49D31EC2054365FC8AD90");
    let request = sealed(&p, &Op::DoorOpen(&door("", "", "A20", "https://me/x")), 0);
    assert_eq!(request.url.path_and_query, "/api/openapi/v1/deliveries/debug");
    assert_eq!(field(&opened(&request), "channel_name"), "A20");
    for (order, item, lane, url) in [
        ("", "", "", ""),
        ("60", "", "", ""),
        ("", "78", "", ""),
        ("", "", "A20", ""),
        ("60", "78", "A20", ""),
    ] {
        let r = door(order, item, lane, url);
        let e = p.draft(&Op::DoorOpen(&r)).err().unwrap();
        assert_eq!(e.status(), KL_E_ARGUMENT, "{order} {item} {lane} {url}");
    }
    match answer(
        &Op::DoorOpen(&door("60", "78", "", "")),
        r#"{"delivery_id":"5121763043809673","status":"未取货或正在出货"}"#,
    ) {
        Ok(Answer::Taken(r)) => {
            assert_eq!((r.order_no.as_str(), r.item_no.as_str()), ("60", "78"));
            assert_eq!(r.delivery_no, "5121763043809673");
        }
        other => panic!("{other:?}"),
    }
    // FAULTS D: that it was taken is what the envelope says; the number is an ornament.
    for odd in ["{}", "null", "[]", r#"{"delivery_id":[7]}"#, r#"{"delivery_id":"\ud83d"}"#, "7"] {
        match answer(&Op::DoorOpen(&door("60", "78", "", "")), odd) {
            Ok(Answer::Taken(r)) => assert_eq!((r.item_no.as_str(), r.json.as_str()), ("78", odd)),
            other => panic!("{odd}: {other:?}"),
        }
    }
}

#[test]
// FAULTS F20: what the goods command refuses is known before the code is used up, and what harms nothing is not refused.
fn a_later_command_of_a_visit_can_be_checked_before_the_first() {
    let p = platform();
    let mut door = DoorRequest {
        cabinet_id: "16327129".into(),
        order_no: "60".into(),
        item_no: "78".into(),
        notify_url: "https://me/x".into(),
        user_id: "u".into(),
        ..DoorRequest::default()
    };
    let fields = opened(&sealed(&p, &Op::DoorOpen(&door), 0));
    let names: Vec<_> = fields.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["machine_no", "method", "order_id", "record_id", "timestamp", "sign"]);
    // The same request gives the same answer, whatever came before it.
    door.extra_json = Some(r#"{"record_id":"79"}"#.into());
    for _ in 0..2 {
        assert_eq!(p.draft(&Op::DoorOpen(&door)).err().unwrap().status(), KL_E_ARGUMENT);
        assert!(p.draft(&Op::CodeRedeem(&redeem())).is_ok());
    }
}

#[test]
// FAULTS A14: what journal, guard and resolver go by is not replaced, in no letter case.
fn extra_parameters_replace_nothing() {
    let p = platform();
    let refused = |op: &Op<'_>, what: &str| {
        let e = p.draft(op).err().unwrap_or_else(|| panic!("{what} is taken"));
        assert!(e.status() == KL_E_ARGUMENT && e.message().contains("extra_json"), "{what}: {e}");
    };
    let item = DoorRequest {
        cabinet_id: "1".into(),
        order_no: "60".into(),
        item_no: "78".into(),
        ..DoorRequest::default()
    };
    let lane = DoorRequest {
        door: "A21".into(),
        notify_url: "https://me/x".into(),
        order_no: "".into(),
        item_no: "".into(),
        ..item.clone()
    };
    let create = CodeCreate { cabinet_id: "1".into(), product_id: "2".into(), ..CodeCreate::default() };
    let cancel = CodeCancel { cabinet_id: "1".into(), id: "5".into(), extra_json: None };
    let order = OrderCreate {
        cabinet_id: "1".into(),
        trade_no: "1".repeat(20),
        notify_url: "https://me/x".into(),
        lines: vec![("2".into(), 1)],
        ..OrderCreate::default()
    };
    let claim = Complaint { cabinet_id: "1".into(), order_no: "60".into(), ..Complaint::default() };
    let report = PaymentReport { cabinet_id: "1".into(), order_no: "60".into(), ..PaymentReport::default() };
    for spelled in [|n: &str| n.to_owned(), |n: &str| n.to_ascii_uppercase()] {
        let extra = |name: &str| Some(["{\"", &spelled(name), "\":\"9\"}"].concat());
        for name in ["machine_no", "method", "order_id", "record_id", "channel_name", "sign", "timestamp"] {
            refused(&Op::DoorOpen(&DoorRequest { extra_json: extra(name), ..item.clone() }), name);
            refused(&Op::DoorOpen(&DoorRequest { extra_json: extra(name), ..lane.clone() }), name);
        }
        for name in ["machine_no", "method", "code", "product_id", "trade_id", "notify_url", "sign", "id"] {
            refused(&Op::CodeRedeem(&RedeemRequest { extra_json: extra(name), ..redeem() }), name);
        }
        for name in ["machine_no", "method", "product_id", "count", "code_length", "expired_at"] {
            refused(&Op::CodeCreate(&CodeCreate { extra_json: extra(name), ..create.clone() }), name);
        }
        for name in ["machine_no", "method", "id"] {
            refused(&Op::CodeCancel(&CodeCancel { extra_json: extra(name), ..cancel.clone() }), name);
        }
        for name in ["machine_no", "trade_id", "products", "notify_url"] {
            refused(&Op::OrderCreate(&OrderCreate { extra_json: extra(name), ..order.clone() }), name);
        }
        for name in ["machine_no", "status", "order_id", "sign"] {
            refused(&Op::RefundApply(&Complaint { extra_json: extra(name), ..claim.clone() }), name);
            refused(&Op::PaymentReport(&PaymentReport { extra_json: extra(name), ..report.clone() }), name);
        }
        let page = PageRequest { number: 1, size: 0 };
        for name in ["machine_no", "page", "per_page"] {
            let extra_json = extra(name);
            refused(&Op::Stock { cabinet_id: "1", page, extra_json: extra_json.as_deref() }, name);
        }
    }
    let more = RedeemRequest { extra_json: Some(r#"{"remark":"x"}"#.into()), ..redeem() };
    assert_eq!(field(&opened(&sealed(&p, &Op::CodeRedeem(&more), 0)), "remark"), "x");
}

fn redeem() -> RedeemRequest {
    RedeemRequest {
        request_id: "r1".into(),
        code: "938810".into(),
        cabinet_id: "16327129".into(),
        product_id: "131".into(),
        notify_url: "https://me/cb".into(),
        ..RedeemRequest::default()
    }
}

#[test]
fn a_redemption_has_one_number_for_ever() {
    let first = trade_id(&redeem()).unwrap();
    assert_eq!(first, trade_id(&redeem()).unwrap());
    assert!(first.len() == 32 && first.bytes().all(|b| b.is_ascii_digit()), "{first}");
    for change in [
        |r: &mut RedeemRequest| r.request_id.push('x'),
        |r: &mut RedeemRequest| r.code.push('x'),
        |r: &mut RedeemRequest| r.cabinet_id.push('x'),
        |r: &mut RedeemRequest| r.product_id.push('x'),
    ] {
        let mut other = redeem();
        change(&mut other);
        assert_ne!(trade_id(&other).unwrap(), first);
    }
    // The mark that the client gave goes before a number made here, the caller's own before both.
    let mark = "123456789012345678901234";
    let marked = RedeemRequest { mark: mark.into(), ..redeem() };
    let sent = |r: &RedeemRequest| field(&opened(&sealed(&platform(), &Op::CodeRedeem(r), 0)), "trade_id");
    assert_eq!((sent(&marked).as_str(), sent(&marked).as_str()), (mark, mark));
    let own = "800a7e9500d345c8987d3aafa412c77d";
    assert_eq!(sent(&RedeemRequest { trade_no: own.into(), ..marked }), own);
    // FAULTS C: a code has one spelling, on the wire and in the number made of it.
    for spelling in [" 938810", "938810\r\n", "９３８８１０", "]C1938810", "\u{feff}93 88\u{200b}10"] {
        let other = RedeemRequest { code: spelling.into(), ..redeem() };
        let fields = opened(&sealed(&platform(), &Op::CodeRedeem(&other), 0));
        assert_eq!((field(&fields, "code").as_str(), field(&fields, "trade_id")), ("938810", first.clone()));
    }
    assert_eq!(trade_id(&RedeemRequest { trade_no: own.into(), ..redeem() }).unwrap(), own);
    for bad in ["short", "800a7e95-00d3-45c8-987d-3aafa412c77d", "8 00a7e9500d345c8987d3aafa412c77"] {
        assert!(trade_id(&RedeemRequest { trade_no: bad.into(), ..redeem() }).is_err(), "{bad}");
    }
    let p = platform();
    for empty in [
        |r: &mut RedeemRequest| r.code.clear(),
        |r: &mut RedeemRequest| r.cabinet_id.clear(),
        |r: &mut RedeemRequest| r.product_id.clear(),
        |r: &mut RedeemRequest| r.notify_url.clear(),
    ] {
        let mut r = redeem();
        empty(&mut r);
        assert_eq!(p.draft(&Op::CodeRedeem(&r)).err().unwrap().status(), KL_E_ARGUMENT);
    }
}

const CONSUMED: &str = r#"{"order_id":60,"trade_id":"800a7e95-00d3-45c8-987d-3aafa412c77d","date":"2024-04-26",
    "amount":"1.00","status":"PICKUPCODE","pickup_code_id":9,
    "records":[{"id":78,"product_id":131,"quantity":1,"price":"1.00","status":"未取货","notify_sent":"0"}]}"#;

#[test]
fn a_used_code_leads_to_its_order() {
    let p = platform();
    let r = RedeemRequest { trade_no: "800A7E9500D345C8987D3AAFA412C77D".into(), ..redeem() };
    let op = Op::CodeRedeem(&r);
    match answer(&op, CONSUMED).unwrap() {
        Answer::Taken(t) => assert_eq!((t.order_no.as_str(), t.item_no.as_str()), ("60", "78")),
        other => panic!("{other:?}"),
    }
    for (odd, names) in [
        (r#"{"order_id":60,"status":"PICKUPCODE"}"#, "records"),
        (r#"{"records":[{"id":78}]}"#, "order_id"),
        // The order of another request.
        (
            r#"{"order_id":60,"trade_id":"900a7e95-00d3-45c8-987d-3aafa412c77d","records":[{"id":78}]}"#,
            "trade_id",
        ),
    ] {
        let e = answer(&op, odd).unwrap_err();
        assert!(e.status() == KL_E_PROTOCOL && e.message().contains(names), "{e}");
        assert_eq!(e.details().outcome, Outcome::None, "{odd}");
    }
    for (code, id) in [(10025, "60"), (6033, "\"60\"")] {
        let body = format!(r#"{{"code":{code},"message":"取货码已使用","data":{{"order_id":{id}}}}}"#);
        match p.answer(&op, &reply(400, &body)).unwrap() {
            Answer::UsedBy { order_no, refusal } => {
                assert_eq!((order_no.as_str(), refusal.status()), ("60", KL_E_CODE_USED));
            }
            other => panic!("{other:?}"),
        }
        let bare = format!(r#"{{"code":{code},"message":"used","data":{{}}}}"#);
        let e = p.answer(&op, &reply(400, &bare)).unwrap_err();
        // By whom it does not say: perhaps by our own request.
        assert_eq!((e.status(), e.details().outcome), (KL_E_CODE_USED, Outcome::None));
    }
}

#[test]
fn an_order_is_read_with_its_items() {
    let order = |data: &str| match answer(
        &Op::OrderGet(&OrderRef { cabinet_id: "1".into(), ..OrderRef::default() }),
        data,
    ) {
        Ok(Answer::Order(o)) => *o,
        other => panic!("{other:?}"),
    };
    let o = order(CONSUMED);
    assert_eq!(
        (o.kind, o.payment, o.state_text.as_str()),
        (OrderKind::Vending, PaymentState::Paid, "PICKUPCODE")
    );
    assert_eq!((o.amount, o.cabinet_id.as_str(), o.delivery), (100, "1", DeliveryState::AwaitingPickup));
    let line = &o.lines[0];
    assert_eq!((line.item_no.as_str(), line.product_id.as_str()), ("78", "131"));
    assert_eq!((line.quantity, line.price, line.state_text.as_str()), (1, 100, "未取货"));
    // What is left out is zero, or nothing.
    let bare = order(r#"{"order_id":7}"#);
    assert_eq!((bare.amount, bare.payment, bare.lines.len()), (-1, PaymentState::Unknown, 0));
    for (word, state) in [
        ("SUCCESS", PaymentState::Paid),
        ("REFUND", PaymentState::Paid),
        ("CLOSED", PaymentState::Failed),
        ("REVOKED", PaymentState::Failed),
        ("USERPAYING", PaymentState::Unpaid),
        ("PAYERROR", PaymentState::Failed),
        ("NOTPAY", PaymentState::Unpaid),
        ("TESTPAY", PaymentState::Unknown),
    ] {
        let o = order(&format!(r#"{{"order_id":7,"status":"{word}","records":[]}}"#));
        assert_eq!((o.payment, o.state_text.as_str()), (state, word));
        assert_eq!(o.refund_state, if word == "REFUND" { 2 } else { 0 });
    }
    let states = |words: &[&str]| {
        let records: Vec<_> = words.iter().map(|w| format!(r#"{{"id":1,"status":"{w}"}}"#)).collect();
        order(&format!(r#"{{"order_id":7,"records":[{}]}}"#, records.join(","))).delivery
    };
    for (words, together) in [
        (&["IS_SUCCESS", "IS_PICKED_UP", "已取货"][..], DeliveryState::Delivered),
        (&["IS_SUCCESS", "WAITING_PICKED_UP"], DeliveryState::AwaitingPickup),
        (&["IS_DELIVERING", "WAITING_PICKED_UP"], DeliveryState::Pending),
        (&["IS_SUCCESS", "IS_TIMEOUT"], DeliveryState::Unknown),
        (&["IS_REFUND"], DeliveryState::Unknown),
        (&["IS_FAILED", "IS_TIMEOUT"], DeliveryState::Failed),
        (&[], DeliveryState::Unknown),
    ] {
        assert_eq!(states(words), together, "{words:?}");
    }
    // FAULTS D: ornaments that are odd are not told, and take nothing else with them.
    let odd = order(
        r#"{"order_id":"7","trade_id":123456789012345678901234,"amount":"1.005","status":false,"date":[],
            "records":{"1":{"id":"78","product_id":131.0,"quantity":"two","price":{},"status":"IS_SUCCESS"},
            "2":{"id":null,"status":"IS_\ud83d"}}}"#,
    );
    assert_eq!((odd.order_no.as_str(), odd.trade_no.as_str()), ("7", "123456789012345678901234"));
    assert_eq!((odd.amount, odd.payment, odd.lines.len()), (-1, PaymentState::Unknown, 2));
    let line = &odd.lines[0];
    assert_eq!((line.item_no.as_str(), line.product_id.as_str()), ("78", "131"));
    assert_eq!((line.quantity, line.price, line.delivery), (-1, -1, DeliveryState::Delivered));
    for records in [r#""""#, "false", "{}", "7", "null", "[null,7]"] {
        assert!(order(&format!(r#"{{"order_id":7,"records":{records}}}"#)).lines.is_empty(), "{records}");
    }
    // Only the number that everything goes by must be there, and be the one that was asked for.
    for bad in [r#"{"trade_id":"x"}"#, r#"{"order_id":1.5}"#, r#"{"order_id":[]}"#, "[]"] {
        let e = answer(&Op::OrderGet(&OrderRef::default()), bad).unwrap_err();
        assert!(e.status() == KL_E_PROTOCOL && e.message().contains("data"), "{e}");
    }
    let asked = OrderRef { order_no: "60".into(), ..OrderRef::default() };
    let e = answer(&Op::OrderGet(&asked), r#"{"order_id":61}"#).unwrap_err();
    assert!(e.status() == KL_E_PROTOCOL && e.message().contains("data.order_id"), "{e}");
}

#[test]
fn stock_is_read_in_every_shape() {
    let op = Op::Stock { cabinet_id: "16327129", page: PageRequest { number: 1, size: 0 }, extra_json: None };
    let page = |data: &str| match answer(&op, data) {
        Ok(Answer::Stock(page)) => page,
        other => panic!("{other:?}"),
    };
    let p = page(
        r#"{"data":[{"id":131,"good":{"name":"水","thumb":"https://x/y.png","price":"0.10","good_no":"G1"},
           "channel":{"name":"A21","cabinet_name":"A","x":"2","y":"1","addr":1},"current_inventory":3,"inventory":5},
           {"id":132,"inventory":5}],"total":12,"current_page":1,"last_page":2,"per_page":10}"#,
    );
    assert_eq!((p.total, p.more), (Some(12), Some(true)));
    let water = &p.items[0];
    assert_eq!(
        (water.id.as_str(), water.product_id.as_str(), water.cabinet_id.as_str()),
        ("131", "131", "16327129")
    );
    assert_eq!((water.name.as_str(), water.lanes.as_str(), water.price), ("水", "A21", 10));
    assert_eq!((water.stock, water.capacity, water.sold), (3, 5, -1));
    let bare = &p.items[1];
    assert_eq!((bare.stock, bare.capacity, bare.price), (0, 5, -1), "zeros are left out");
    for empty in ["[]", "{}", "null", r#"{"data":[]}"#, r#"{"total":0,"current_page":1,"last_page":1}"#] {
        let p = page(empty);
        assert!(p.items.is_empty() && p.more == Some(false), "{empty}");
    }
    let last = page(r#"{"data":[{"id":1}],"total":11,"current_page":2,"last_page":2}"#);
    assert_eq!(last.more, Some(false));
    assert_eq!(page(r#"{"data":[{"id":1}]}"#).more, None);
    // FAULTS D: one odd field of one row of three.
    for odd in [
        r#"{"id":"131","good":{"name":7,"price":"1,5","thumb":false},"channel":"A21","current_inventory":"many"}"#,
        r#"{"id":131,"good":"","channel":[],"current_inventory":{},"inventory":"x"}"#,
        r#"{"id":131,"good":[],"channel":{"name":21},"current_inventory":1.5}"#,
        r#"{"id":131,"good":{"name":"\ud83d","price":{}},"current_inventory":99999999999}"#,
    ] {
        for shape in [
            r#"{"data":[{"id":1},ROW,{"id":3}]}"#,
            r#"{"data":{"1":{"id":1},"2":ROW,"3":{"id":3}},"total":"3"}"#,
        ] {
            let p = page(&shape.replace("ROW", odd));
            assert_eq!(p.items.len(), 3, "{odd}");
            assert_eq!(
                (p.items[1].id.as_str(), p.items[1].stock, p.items[1].price),
                ("131", -1, -1),
                "{odd}"
            );
            assert_eq!(p.items[1].json, odd);
        }
    }
    assert_eq!(page(r#"{"data":[{"id":1},null,7,{}]}"#).items.len(), 4, "a row that tells nothing is seen");
    for bad in [r#""x""#, r#"{"data":"x"}"#, "7", r#"{"data":{"a":1}}"#] {
        assert_eq!(answer(&op, bad).unwrap_err().status(), KL_E_PROTOCOL, "{bad}");
    }
    let two = Op::Stock {
        cabinet_id: "1",
        page: PageRequest { number: 1, size: 0 },
        extra_json: Some(r#"{"addr":1,"cabinet_name":"A"}"#),
    };
    assert!(platform().draft(&two).is_err());
}

#[test]
fn machines_come_as_one_page() {
    let cabinets =
        |data: &str, number| match answer(&Op::CabinetList { page: PageRequest { number, size: 0 } }, data) {
            Ok(Answer::Cabinets(page)) => page,
            other => panic!("{other:?}"),
        };
    let data = r#"[{"machine_name":"大厅","machine_no":"16327129","is_online":true,"status":true,
        "address":"路 1","lng_lat":"116.549815,39.922273"},{"machine_name":"x","machine_no":"2","lng_lat":"?"}]"#;
    let page = cabinets(data, 1);
    assert_eq!((page.total, page.more), (Some(2), Some(false)));
    let hall = &page.items[0];
    assert_eq!((hall.id.as_str(), hall.online, hall.sale), ("16327129", Tri::Yes, SaleState::Selling));
    assert_eq!((hall.longitude, hall.latitude), (116.549815, 39.922273));
    let dark = &page.items[1];
    assert_eq!((dark.online, dark.sale, dark.longitude), (Tri::No, SaleState::Stopped, 0.0));
    assert!(cabinets(data, 2).items.is_empty() && cabinets("[]", 1).items.is_empty());
    // FAULTS D: odd ornaments; missing is no, odd is not told.
    let odd = r#"{"1":{"machine_no":16327129,"machine_name":7,"is_online":"1","status":1,"lng_lat":[]},
        "2":{"machine_no":"2","is_online":"maybe","status":[],"address":{}}}"#;
    let page = cabinets(odd, 1);
    let [one, two] = &page.items[..] else { panic!("{page:?}") };
    assert_eq!(
        (one.id.as_str(), one.name.as_str(), one.online, one.sale),
        ("16327129", "7", Tri::Yes, SaleState::Selling)
    );
    assert_eq!((two.id.as_str(), two.online, two.sale), ("2", Tri::Unknown, SaleState::Unknown));
}

#[test]
fn codes_are_listed_and_found() {
    let query = CodeQuery { code: "9388106".into(), product_id: "131".into(), ..CodeQuery::default() };
    let data = r#"[{"id":1,"code":"1111111","status":"UNUSED","created_at":"2024-04-27 14:00:08","quantity":1},
        {"id":2,"code":"9388106","status":"UNUSED","created_at":"2024-04-27 14:00:08","expired_at":"2024-12-31 23:59:59"}]"#;
    match answer(&Op::CodeLookup(&query), data).unwrap() {
        Answer::Code(c) => {
            assert_eq!((c.id.as_str(), c.state, c.product_id.as_str()), ("2", CodeState::Unused, "131"));
            assert_eq!((c.created_at, c.expires_at), (1_714_197_608, 1_735_660_799));
        }
        other => panic!("{other:?}"),
    }
    for none in ["[]", "{}", "null"] {
        assert_eq!(answer(&Op::CodeLookup(&query), none).unwrap_err().status(), KL_E_NOT_FOUND);
    }
    match answer(&Op::CodeList(&query), data).unwrap() {
        Answer::Codes(page) => {
            assert_eq!(page.items.iter().map(|c| c.expires_at).collect::<Vec<_>>(), [0, 1_735_660_799]);
        }
        other => panic!("{other:?}"),
    }
    // FAULTS D: odd ornaments of a row, a list written as an object, and a code in digits.
    let odd = r#"{"1":{"id":"1","code":9388106,"status":7,"quantity":"x","created_at":"?","expired_at":"tomorrow"},"2":{"id":2,"code":"x"}}"#;
    match answer(&Op::CodeList(&query), odd).unwrap() {
        Answer::Codes(page) => {
            let first = &page.items[0];
            assert_eq!((page.items.len(), first.id.as_str(), first.code.as_str()), (2, "1", "9388106"));
            assert_eq!(
                (first.state, first.quantity, first.created_at, first.expires_at),
                (CodeState::Unknown, -1, 0, 0)
            );
        }
        other => panic!("{other:?}"),
    }
    // FAULTS B10: a time with a zone is that time or not told, never the same digits of another zone.
    for (text, wanted) in [
        ("2024-04-27T06:00:08.000Z", 1_714_197_608),
        ("2024-04-27 06:00:08Z", 1_714_197_608),
        ("2024-04-27T06:00:08.5+0000", 1_714_197_608),
        ("2024-04-27 09:00:08+03:00", 1_714_197_608),
        ("2024-04-27 14:00:08.xyz", 0),
        ("2024-04-27 14:00:08 GMT", 0),
    ] {
        let row = format!(r#"[{{"id":1,"code":"x","created_at":"{text}","expired_at":"{text}"}}]"#);
        let Ok(Answer::Codes(page)) = answer(&Op::CodeList(&query), &row) else { panic!("{text}") };
        let c = &page.items[0];
        assert!(c.created_at == wanted || c.created_at == 0, "{text}: {}", c.created_at);
        assert_eq!(c.created_at, c.expires_at, "{text}");
    }
    // FAULTS C: looked up in whatever spelling.
    let spelled = CodeQuery { code: " ９３８８106\r\n".into(), ..query.clone() };
    assert!(matches!(answer(&Op::CodeLookup(&spelled), data), Ok(Answer::Code(c)) if c.id == "2"));
    assert!(platform().draft(&Op::CodeLookup(&CodeQuery { code: String::new(), ..query })).is_err());
}

#[test]
fn parameters_that_cannot_be_sent_are_refused() {
    let p = platform();
    let create = |change: &dyn Fn(&mut CodeCreate)| {
        let mut c = CodeCreate { cabinet_id: "1".into(), product_id: "2".into(), ..CodeCreate::default() };
        change(&mut c);
        p.draft(&Op::CodeCreate(&c)).map(drop)
    };
    assert!(create(&|_| ()).is_ok());
    assert!(create(&|c| c.length = 5).is_err());
    assert!(create(&|c| c.length = 11).is_err());
    assert!(create(&|c| c.expires_at = -1).is_err());
    assert!(create(&|c| c.cabinet_id.clear()).is_err());
    assert!(create(&|c| c.product_id.clear()).is_ok());
    assert!(create(&|c| (c.product_id.clear(), c.count = 2).1).is_err());
    for extra in [r#"{"sign":"x"}"#, r#"{"a":[1]}"#, r#"{"a":true}"#, "[1]", r#"{"a":1,"a":1}"#] {
        assert!(create(&|c| c.extra_json = Some(extra.into())).is_err(), "{extra}");
    }
    for id in ["../deliveries", "1/2", "", "1?x", "订"] {
        let order = OrderRef { order_no: id.into(), cabinet_id: "1".into(), ..OrderRef::default() };
        assert_eq!(p.draft(&Op::OrderGet(&order)).err().unwrap().status(), KL_E_ARGUMENT, "{id}");
    }
    let by_trade = OrderRef { trade_no: "1".repeat(20), ..OrderRef::default() };
    assert!(p.draft(&Op::OrderGet(&by_trade)).err().unwrap().message().contains("order_no"));
    assert_eq!(p.draft(&Op::UserGet).err().unwrap().status(), KL_E_UNSUPPORTED);
    assert_eq!(p.nature(&Op::AppealFile(&Complaint::default())).unwrap_err().status(), KL_E_UNSUPPORTED);
}

#[test]
fn an_order_is_made_unsigned() {
    let make = OrderCreate {
        cabinet_id: "16327129".into(),
        trade_no: "12345678901234567890".into(),
        notify_url: "https://me/cb".into(),
        lines: vec![("131".into(), 2), ("132".into(), 1)],
        extra_json: None,
        ..Default::default()
    };
    let p = platform();
    let request = sealed(&p, &Op::OrderCreate(&make), 0);
    assert_eq!(
        String::from_utf8(request.body).unwrap(),
        r#"{"machine_no":"16327129","notify_url":"https://me/cb","trade_id":"12345678901234567890","products":[{"product_id":131,"quantity":2},{"product_id":132,"quantity":1}]}"#
    );
    assert!(request.headers.iter().any(|(n, v)| *n == "AppSecret" && v == "a-secret"));
    match answer(&Op::OrderCreate(&make), r#"{"order_id": 1111111}"#).unwrap() {
        Answer::Taken(r) => assert_eq!(r.order_no, "1111111"),
        other => panic!("{other:?}"),
    }
    for change in [
        |m: &mut OrderCreate| m.lines.clear(),
        |m: &mut OrderCreate| m.lines[0].1 = 0,
        |m: &mut OrderCreate| m.lines[0].0 = "x".into(),
        |m: &mut OrderCreate| m.trade_no.truncate(19),
        |m: &mut OrderCreate| m.notify_url.clear(),
    ] {
        let mut other = make.clone();
        change(&mut other);
        assert!(p.draft(&Op::OrderCreate(&other)).is_err());
    }
    let mut report = PaymentReport {
        order_no: "60".into(),
        cabinet_id: "1".into(),
        paid: true,
        ..PaymentReport::default()
    };
    assert_eq!(field(&opened(&sealed(&p, &Op::PaymentReport(&report), 0)), "status"), "1");
    report.paid = false;
    assert_eq!(field(&opened(&sealed(&p, &Op::PaymentReport(&report), 0)), "status"), "6");
    for (data, json) in [(r#""""#, r#""""#), ("{}", "{}"), ("null", "null"), ("7", "7")] {
        match answer(&Op::PaymentReport(&report), data).unwrap() {
            Answer::Json(text) => assert_eq!(text, json),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_call_is_a_read_a_write_or_refused() {
    let p = platform();
    let nature = |method| p.nature(&Op::Call { method, params_json: "" });
    for read in [
        "POST /ping",
        "POST /rent/machines",
        "POST /rent/machines/16327129",
        "POST /products",
        "POST /floors",
        "POST /banners",
        "POST /categories",
        "POST /products/131/pickup_code",
        "POST /orders/60",
        "POST /deliveries/5121763043809673",
    ] {
        assert_eq!(nature(read).unwrap(), Nature::Read, "{read}");
    }
    for write in [
        "POST /orders",
        "PUT /orders/60",
        "PUT /pickup_codes",
        "POST /pickup_codes",
        "POST /replenishments",
        "POST /new/thing",
    ] {
        assert_eq!(nature(write).unwrap(), Nature::Write, "{write}");
    }
    for refused in [
        "POST /consumes",
        "POST /Consumes",
        "PUT /consumes/1",
        "POST /deliveries",
        "POST /deliveries/debug",
        "POST /DELIVERIES/Debug",
        "PUT /deliveries/1",
        "POST /deliveries/",
        "POST //deliveries",
        "POST /%64eliveries",
        "POST /products/../deliveries",
        "GET /products",
        "POST products",
        "/products",
        "products",
        "",
    ] {
        assert_eq!(nature(refused).unwrap_err().status(), KL_E_ARGUMENT, "{refused}");
    }
    let request = |method, params_json| sealed(&p, &Op::Call { method, params_json }, 1_714_128_358_000);
    assert!(request("POST /rent/machines/1", "").body.is_empty());
    assert_eq!(request("POST /orders", r#"{"a":1}"#).body, br#"{"a":1}"#);
    let put = request("PUT /orders/60", r#"{"machine_no":"16327129","status":2}"#);
    assert_eq!(field(&opened(&put), "sign"), "9C84FD1CE2C76849E7778ACF2C50FFF0");
    assert_eq!(field(&opened(&put), "status"), "2");
    match answer(&Op::Call { method: "POST /ping", params_json: "" }, r#""pong""#).unwrap() {
        Answer::Json(text) => assert_eq!(text, r#""pong""#),
        other => panic!("{other:?}"),
    }
}

fn row(name: &str) -> &'static crate::platform::refusals::Row {
    ROWS.iter().find(|r| r.name == name).unwrap_or_else(|| panic!("{name}"))
}

#[test]
// FAULTS A2: the envelope decides, whatever the HTTP status is.
fn every_code_has_its_status_and_advice() {
    for entry in ROWS.iter().filter(|r| r.name.parse::<i32>().is_ok()) {
        assert_eq!(ROWS.iter().filter(|r| r.name == entry.name).count(), 1, "{}", entry.name);
        let code: i32 = entry.name.parse().unwrap();
        for http in [200, 400, 401, 403, 404, 429, 500, 503] {
            for number in [entry.name.to_owned(), ["\"", entry.name, "\""].concat()] {
                let e = refused(http, &format!(r#"{{"code":{number},"message":"sorry, no","data":{{}}}}"#));
                let d = e.details();
                assert_eq!((d.status, d.platform_code, d.http_status), (entry.status, code, http.into()));
                assert_eq!(d.outcome == Outcome::NotDone, entry.proves, "{}", entry.name);
                assert_eq!(d.platform_name, entry.name);
                assert!(d.message.contains(entry.hint) && d.platform_message == "sorry, no");
            }
        }
        assert!(!entry.source.is_empty() && !entry.hint.is_empty(), "{}", entry.name);
    }
    for (legacy, current) in [
        ("10008", "4000"),
        ("10013", "4009"),
        ("10014", "4001"),
        ("10014", "6020"),
        ("10009", "6017"),
        ("10010", "6018"),
        ("10001", "4003"),
        ("10023", "6031"),
        ("10025", "6033"),
        ("30002", "4008"),
        ("30002", "6025"),
        ("30003", "6026"),
        ("40005", "6042"),
        ("40006", "6043"),
        ("60002", "6046"),
        ("60003", "6047"),
        ("80002", "4004"),
    ] {
        let [a, b] = [legacy, current].map(row);
        assert_eq!((a.status, a.proves), (b.status, b.proves), "{legacy} {current}");
    }
    for (code, status, advice) in [
        (10025, KL_E_CODE_USED, Advice::None),
        (6032, KL_E_CODE_EXPIRED, Advice::None),
        (6054, KL_E_ORDER_STATE, Advice::None),
        (6017, KL_E_ACCOUNT, Advice::Fix),
        (6040, KL_E_DUPLICATE, Advice::AskFirst),
        (30002, KL_E_OFFLINE, Advice::Retry),
        (4006, KL_E_AUTH, Advice::Fix),
        (10023, KL_E_PERMISSION, Advice::Fix),
        (7777, KL_E_PLATFORM, Advice::None),
    ] {
        let e = refused(400, &format!(r#"{{"code":{code},"message":"x","data":null}}"#));
        assert_eq!((e.status(), e.details().advice), (status, advice), "{code}");
    }
}

#[test]
// FAULTS A1: what is not a row's whole name proves nothing: neither a code that is near one, nor one's words.
fn what_no_row_names_proves_nothing() {
    let e = refused(400, r#"{"code":7777,"message":"sorry, payload sign invalid","data":{}}"#);
    let d = e.details();
    assert_eq!((d.status, d.outcome, d.platform_name.as_str()), (KL_E_PLATFORM, Outcome::None, "7777"));
    for code in ["40060", "406", "-4006", "14006", "4006000000000", "\"4006x\"", "\"SIGN\"", "4006.5"] {
        for http in [200, 400, 403, 429] {
            let e = refused(http, &format!(r#"{{"code":{code},"message":"sorry, payload sign invalid"}}"#));
            assert_eq!(e.details().outcome, Outcome::None, "{code} under {http}: {e}");
        }
    }
    // A platform in its own trouble, and things that may come after it acted.
    for code in
        ["400", "404", "10025", "30002", "4008", "6025", "6030", "6033", "6040", "6048", "6049", "6053"]
    {
        assert!(!row(code).proves, "{code}");
    }
    // Too many calls: a read waits, a command is not said to be undone.
    let e = refused(429, r#"{"code":7777,"message":"slow down"}"#);
    assert_eq!((e.status(), e.details().advice), (KL_E_RATE_LIMIT, Advice::Retry));
    assert_eq!(e.details().outcome, Outcome::None);
}

#[test]
// FAULTS A1, A2: whatever the vendor could send, only a row proves.
fn nothing_but_a_row_proves() {
    let mut state = 7u64;
    let mut pick = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let words = [
        "ok",
        "OK",
        "",
        "sorry, payload sign invalid",
        "订单未支付",
        "订单未支付, 已下发",
        "系统繁忙",
        "offline",
        "超出货道最大库存",
    ];
    let data = ["{}", "null", "[]", r#""""#, r#"{"order_id":60}"#, r#"{"delivery_id":"5"}"#];
    let (p, door) = (platform(), DoorRequest::default());
    let mut proved = 0;
    for _ in 0..20_000 {
        let mut code = ROWS[pick(ROWS.len())].name.parse::<i64>().unwrap_or(0).to_string();
        match pick(4) {
            0 => code.push(char::from(b'0' + pick(10) as u8)),
            1 if code.len() > 1 => drop(code.pop()),
            _ => {}
        }
        let number: i64 = code.parse().unwrap();
        let code = number.to_string();
        let (message, http) =
            (words[pick(words.len())], [200, 201, 400, 401, 403, 404, 409, 429, 500, 502, 503][pick(11)]);
        let quoted = if pick(3) == 0 { "\"" } else { "" };
        let body = format!(
            r#"{{"code":{quoted}{code}{quoted},"message":"{message}","data":{}}}"#,
            data[pick(data.len())]
        );
        let answered = p.answer(&Op::DoorOpen(&door), &reply(http, &body));
        match answered {
            Ok(_) => assert!(number == 0 && message == "ok" && http == 200, "{http} {body}"),
            Err(e) => {
                let name = if number == 0 { message.to_owned() } else { number.to_string() };
                let row = ROWS.iter().find(|r| r.name == name && !name.is_empty());
                let wanted = row.is_some_and(|r| r.proves);
                assert_eq!(e.details().outcome == Outcome::NotDone, wanted, "{http} {body}: {e}");
                proved += usize::from(wanted);
            }
        }
    }
    assert!(proved > 1000, "{proved}");
}

#[test]
fn an_operators_table_is_read_and_a_broken_one_refused() {
    use std::io::Write;
    let table = |row: &str| [r#"{"kiosklink-refusals":1,"rows":["#, row, "]}"].concat();
    let row = r#"{"platform":"dingshang","name":"7777","means":"not_done","status":"KL_E_NOT_READY","source":"mail of the vendor","signed_off":"A. Person, 2026-01-01"}"#;
    let path =
        std::env::temp_dir().join(["kl-dingshang-refusals-", &std::process::id().to_string()].concat());
    let with = |text: &str| {
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        static KEYS: &[crate::settings::Key] = &[
            crate::settings::key("base_url", crate::settings::Form::Url, "https://d.example", ""),
            crate::settings::key("app_id", crate::settings::Form::Text, "ds1", ""),
            crate::settings::key("app_secret", crate::settings::Form::Text, "s", ""),
            crate::settings::key("app_key", crate::settings::Form::Text, "k", ""),
            crate::settings::key("refusals_file", crate::settings::Form::Path, "", ""),
        ];
        let mut settings = Settings::new(KIND, KEYS);
        settings.put(&KEYS[4], path.to_str().unwrap());
        Dingshang::new(&settings)
    };
    let p = with(&table(row)).unwrap();
    let e = p.answer(&Op::Ping, &reply(400, r#"{"code":7777,"message":"x"}"#)).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_NOT_READY, Outcome::NotDone));
    assert_eq!(with("{").err().unwrap().status(), KL_E_CONFIG_FILE);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn the_table_of_the_documentation_is_this_table() {
    let doc = include_str!("../../../docs/platforms/dingshang.md");
    for r in ROWS.iter().filter(|r| r.name.parse::<i32>().is_ok()) {
        let advice = match crate::command::unknown(Error::new(r.status, "")).details().advice {
            _ if r.proves => Error::new(r.status, "").details().advice,
            asked => asked,
        };
        let advice = match advice {
            Advice::Retry => "retry",
            Advice::AskFirst => "ask first",
            Advice::Fix => "fix",
            Advice::None | Advice::CallPerson => "–",
        };
        let name = crate::status::name(r.status).unwrap();
        let proof = if r.proves { "" } else { "**unknown**" };
        let row = format!("| {} | `{name}` | {advice} | {proof} | {} |\n", r.name, r.hint);
        assert!(doc.contains(&row), "docs/platforms/dingshang.md lacks: {row}");
    }
}

#[test]
// FAULTS A1: with code 0 only a whole sentence of the vendor's pages is a name.
fn code_zero_alone_is_no_success() {
    for (message, status, outcome) in [
        ("订单未支付", KL_E_ORDER_STATE, Outcome::NotDone),
        ("超出货道最大库存", KL_E_PARAMETER, Outcome::NotDone),
        ("1 个货道库存更新失败, 超出货道最大库存", KL_E_PARAMETER, Outcome::None),
        ("2 个货道库存更新失败, 超出货道最大库存", KL_E_PLATFORM, Outcome::None),
        ("出货指令已下发, 但订单未支付状态更新失败", KL_E_PLATFORM, Outcome::None),
        ("order unpaid", KL_E_PLATFORM, Outcome::None),
        ("订单未支付 ", KL_E_PLATFORM, Outcome::None),
        ("something new", KL_E_PLATFORM, Outcome::None),
        ("OK", KL_E_PLATFORM, Outcome::None),
        ("okay", KL_E_PLATFORM, Outcome::None),
    ] {
        for http in [200, 400] {
            let e = refused(http, &format!(r#"{{"code":0,"message":"{message}","data":{{}}}}"#));
            let d = e.details();
            assert_eq!((d.status, d.outcome), (status, outcome), "{message} under {http}");
            assert_eq!((d.platform_code, d.platform_name.as_str()), (0, message));
        }
    }
    // FAULTS A2: a success under another status is not believed, and what it did is not known.
    for http in [201, 204, 302, 400, 401, 403, 429, 500, 502] {
        let e = refused(http, r#"{"code":0,"message":"ok","data":{"order_id":60}}"#);
        let d = e.details();
        assert_eq!((d.status, d.outcome, d.http_status), (KL_E_HTTP, Outcome::None, http.into()), "{e}");
        assert!(d.message.contains("says ok"), "{e}");
    }
}

#[test]
// FAULTS A2: without an envelope it is a gateway that speaks; half an envelope may have been a success.
fn an_answer_without_an_envelope() {
    for (http, body, status, outcome) in [
        (200, r#"{"message":"ok","data":"pong"}"#, KL_E_PROTOCOL, Outcome::None),
        (200, r#"{"code":0,"data":"pong"}"#, KL_E_PROTOCOL, Outcome::None),
        (200, r#"{"code":0,"code":1,"message":"ok"}"#, KL_E_PROTOCOL, Outcome::None),
        (200, "<html>login</html>", KL_E_PROTOCOL, Outcome::None),
        (200, "", KL_E_PROTOCOL, Outcome::None),
        (200, "{", KL_E_PROTOCOL, Outcome::None),
        (302, "", KL_E_HTTP, Outcome::None),
        (400, "<html>400 Bad Request</html>", KL_E_HTTP, Outcome::NotDone),
        (401, "", KL_E_AUTH, Outcome::NotDone),
        (403, "forbidden", KL_E_PERMISSION, Outcome::NotDone),
        (404, "nothing here", KL_E_HTTP, Outcome::NotDone),
        (429, "", KL_E_RATE_LIMIT, Outcome::NotDone),
        (429, r#"{"message":"API rate limit exceeded"}"#, KL_E_RATE_LIMIT, Outcome::NotDone),
        (408, "", KL_E_HTTP, Outcome::None),
        (500, "", KL_E_HTTP, Outcome::None),
        (502, "<html>bad gateway</html>", KL_E_HTTP, Outcome::None),
        (503, "{}", KL_E_HTTP, Outcome::None),
        // Cut off, or odd: an envelope once.
        (400, r#"{"code":0,"message":"ok","data":{"order_id":6"#, KL_E_HTTP, Outcome::None),
        (429, r#"{"code":0,"code":1,"message":"ok"}"#, KL_E_RATE_LIMIT, Outcome::None),
        (403, r#"{"data":{"order_id":60}}"#, KL_E_HTTP, Outcome::None),
        // Not as refused credentials, which a clock that is off would make into *not done*.
        (401, r#"{"code":0,"message":"ok","data":{"order_id":6"#, KL_E_HTTP, Outcome::None),
        (400, "\u{feff} {\"code\":", KL_E_HTTP, Outcome::None),
        // Behind a warning of the platform's scripts, in a list, in a text.
        (400, "<br />\n<b>Notice</b>: x\n{\"code\":0,\"message\":\"ok\"}", KL_E_HTTP, Outcome::None),
        (429, r#"[{"code":0,"message":"ok"}]"#, KL_E_RATE_LIMIT, Outcome::None),
        (403, r#""{\"code\":0,\"message\":\"ok\"}""#, KL_E_HTTP, Outcome::None),
    ] {
        let e = refused(http, body);
        assert_eq!((e.status(), e.details().outcome), (status, outcome), "{http} {body}: {e}");
    }
}

#[test]
// FAULTS A2: what calls itself JSON and is none may have been the envelope.
fn a_spoilt_answer_is_no_gateways_page() {
    let answer = |http: u16, kind: &str, body: &str| {
        let reply = Reply { headers: Headers::of_type(kind), ..reply(http, body) };
        platform().answer(&Op::Ping, &reply).unwrap_err().details().outcome
    };
    for http in [400, 401, 403, 404, 429] {
        for spoilt in ["", "{}", "null", "\u{1}x", "[]", r#"{"message":"ok"}"#] {
            assert_eq!(answer(http, "application/json", spoilt), Outcome::None, "{http} {spoilt:?}");
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
// FAULTS D: words in GBK, half an emoji, words that are no text: the code is clear all the same.
fn a_refusal_with_odd_words_is_a_refusal() {
    let p = platform();
    for words in [
        &b"\"\xb6\xa9\xb5\xa5\xce\xb4\xd6\xa7\xb8\xb6\""[..],
        b"\"\\ud83d\"",
        b"[7]",
        b"null",
        b"false",
        b"{}",
    ] {
        let body = [&b"{\"code\":4006,\"message\":"[..], words, b",\"data\":[]}"].concat();
        let reply = Reply { body, ..reply(400, "") };
        let e = p.answer(&Op::Ping, &reply).unwrap_err();
        assert_eq!((e.status(), e.details().outcome), (KL_E_AUTH, Outcome::NotDone), "{words:?}: {e}");
    }
    assert_eq!(refused(400, r#"{"code":4006}"#).status(), KL_E_AUTH);
}

#[test]
fn a_callback_is_a_hint() {
    let p = platform();
    let event = |body: &str| p.event("", body.as_bytes(), 0);
    let failed = event(
        r#"{"deliver_status":"0","error_msg":"Slave Comm Error","floor_status":"3","method":"device.delivery.response","order_id":60,"record_id":78}"#,
    )
    .unwrap();
    assert_eq!((failed.kind, failed.signed_with), (EventKind::Delivery, SignedWith::Nothing));
    assert_eq!((failed.order_no.as_str(), failed.item_no.as_str()), ("60", "78"));
    assert_eq!((failed.delivery, failed.message.as_str()), (DeliveryState::Failed, "Slave Comm Error"));
    // The same as a form, in the other spelling, is the same notice.
    let form = event(
        "method=device.delivery.response&order_id=60&record_id=78&deliver_status=0&fail_reason=Over+Current",
    )
    .unwrap();
    assert_eq!((form.identity, form.message.as_str()), (failed.identity, "Over Current"));
    assert!(Json::parse(form.json.as_bytes()).is_ok());
    // The contrary is news.
    let done =
        event(r#"{"method":"device.delivery.response","order_id":60,"record_id":78,"deliver_status":1}"#)
            .unwrap();
    assert_eq!(done.delivery, DeliveryState::Delivered);
    assert_ne!(done.identity, failed.identity);
    let odd = event(r#"{"method":"device.delivery.response","order_id":"60"}"#).unwrap();
    assert_eq!((odd.delivery, odd.item_no.as_str()), (DeliveryState::Unknown, ""));
    // A test of a lane belongs to no order, and is never a duplicate.
    for body in [
        r#"{"method":"device.delivery.response","order_id":0,"record_id":0,"deliver_status":"1"}"#,
        r#"{"method":"device.delivery.response","deliver_status":"1"}"#,
    ] {
        let test = event(body).unwrap();
        assert_eq!((test.identity, test.delivery), (NO_IDENTITY, DeliveryState::Delivered));
    }
    let other = event(r#"{"method":"device.something","x":1}"#).unwrap();
    assert_eq!(
        (other.kind, other.json.as_str()),
        (EventKind::Other, r#"{"method":"device.something","x":1}"#)
    );
    // FAULTS D: odd ornaments, GBK words, a line end behind the form.
    let gbk = [&b"{\"method\":\"device.delivery.response\",\"order_id\":60,\"record_id\":\"78\",\"deliver_status\":0,\"error_msg\":\""[..], b"\xbf\xa8\xbb\xf5\"}\r\n"].concat();
    for body in [
        &gbk[..],
        br#"{"method":"device.delivery.response","order_id":60,"record_id":78,"deliver_status":"0","error_msg":{},"floor_status":[]}"#,
        br#"{"method":"device.delivery.response","order_id":"60","record_id":78,"deliver_status":0,"fail_reason":"\ud83d"}"#,
        b"method=device.delivery.response&order_id=60&record_id=78&fail_reason=%bf%a8&deliver_status=0\r\n",
    ] {
        let odd = p.event("", body, 0).unwrap();
        assert_eq!((odd.identity, odd.delivery), (failed.identity, DeliveryState::Failed));
        assert!(Json::parse(odd.json.as_bytes()).is_ok());
    }
    // FAULTS F17: nobody signed it, so however it looks it only makes us ask.
    for e in [&failed, &done, &odd] {
        assert_eq!(p.event_movement(e), Some(Physical::Pending));
        assert_eq!(e.signed_with, SignedWith::Nothing);
    }
    for bad in [
        "",
        "  ",
        "[]",
        "{",
        r#"{"order_id":60}"#,
        r#"{"method":"device.delivery.response"}"#,
        r#"{"method":"device.delivery.response","order_id":[]}"#,
        r#"{"method":"device.delivery.response","order_id":60,"order_id":61}"#,
        "method=device.delivery.response&order_id=%zz",
    ] {
        assert_eq!(event(bad).unwrap_err().status(), KL_E_EVENT, "{bad}");
    }
    assert_eq!(p.event_reply(&failed, 0, "SUCCESS", None).unwrap(), r#"{"code":0,"message":"SUCCESS"}"#);
    assert!(p.event_reply(&failed, 1, "", Some("[")).is_err());
}

fn door_act() -> Act {
    Act::Door(
        DoorRequest {
            cabinet_id: "1".into(),
            order_no: "60".into(),
            item_no: "78".into(),
            ..DoorRequest::default()
        }
        .into(),
    )
}

fn known<'a>(act: &'a Act, mature: bool, alone: bool) -> Known<'a> {
    let sent = Some(Span { earliest_ms: 1_714_197_700_000, latest_ms: 1_714_197_701_000 });
    Known { act, mark: "", mark_is_ours: true, sent, mature, alive: None, alone, previous: "" }
}

/// What the answer to the only question about a command proves: `d` done, `n` not done, `?` neither.
fn judged(known: &Known<'_>, data: &str) -> (char, Option<Physical>, String) {
    let p = platform();
    let queries = p.queries(known);
    let [query] = &queries[..] else { panic!("{queries:?}") };
    let op = query.op();
    assert_eq!(p.nature(&op).unwrap(), Nature::Read, "asking never acts");
    match p.judge(known, query, &answer(&op, data)) {
        Verdict::Done(receipt, physical, _) => {
            assert_eq!((receipt.order_no.as_str(), receipt.item_no.as_str()), ("60", "78"));
            ('d', Some(physical), String::new())
        }
        Verdict::NotDone(why) => ('n', None, why),
        Verdict::Unknown(why) => ('?', None, why),
    }
}

#[test]
fn an_items_word_tells_what_became_of_its_delivery() {
    let act = door_act();
    let order = |word: &str| {
        format!(
            r#"{{"order_id":60,"records":[{{"id":77,"status":"IS_SUCCESS"}},{{"id":78,"status":"{word}"}}]}}"#
        )
    };
    for (word, verdict, physical) in [
        ("IS_SUCCESS", 'd', Some(Physical::Confirmed)),
        ("IS_PICKED_UP", 'd', Some(Physical::Confirmed)),
        ("已取货", 'd', Some(Physical::Confirmed)),
        ("IS_FAILED", 'd', Some(Physical::Failed)),
        ("IS_DELIVERING", 'd', Some(Physical::Pending)),
        ("IS_TIMEOUT", 'd', Some(Physical::Unknowable)),
        ("IS_REFUND", '?', None),
        ("WAITING_PICKED_UP", 'n', None),
        // The old word also stands for an item on its way.
        ("未取货", '?', None),
        ("WAITING_PICKED_UP_NOT", '?', None),
        ("", '?', None),
    ] {
        let (v, p, why) = judged(&known(&act, true, true), &order(word));
        assert_eq!((v, p), (verdict, physical), "{word}: {why}");
        // Before maturity nothing is not done, and what two commands are about is told of neither.
        let early = judged(&known(&act, false, true), &order(word)).0;
        assert_eq!(early, if verdict == 'n' { '?' } else { verdict }, "{word}");
        assert_ne!(judged(&known(&act, true, false), &order(word)).0, 'd', "{word}");
    }
    for other in [
        r#"{"order_id":60}"#,
        r#"{"order_id":60,"records":[{"id":79,"status":"IS_SUCCESS"}]}"#,
        r#"{"order_id":61,"records":[{"id":78,"status":"IS_SUCCESS"}]}"#,
    ] {
        assert_eq!(judged(&known(&act, true, true), other).0, '?', "{other}");
    }
    let lane = Act::Door(
        DoorRequest { cabinet_id: "1".into(), door: "A20".into(), ..DoorRequest::default() }.into(),
    );
    assert!(platform().queries(&known(&lane, true, true)).is_empty());
}

#[test]
fn a_deliverys_own_record_tells_what_moved() {
    let lane = Act::Door(
        DoorRequest { cabinet_id: "1".into(), door: "A20".into(), ..DoorRequest::default() }.into(),
    );
    let receipt = Receipt { delivery_no: "5121763043809673".into(), ..Receipt::default() };
    let p = platform();
    let query = p.movement_query(&lane, &receipt).unwrap();
    assert_eq!(p.nature(&query.op()).unwrap(), Nature::Read);
    assert!(p.movement_query(&lane, &Receipt::default()).is_none());
    let moved = |data: &str| p.movement(&lane, &receipt, &Answer::Json(data.to_owned()));
    let failed = Some((Physical::Failed, "Slave Comm Error".to_owned()));
    let fell = Some((Physical::Confirmed, String::new()));
    for (more, wanted) in [
        (r#","fail_reason":"Slave Comm Error""#, failed),
        ("", fell.clone()),
        (r#","fail_reason":"""#, fell.clone()),
        // FAULTS D: what PHP writes for an empty text is no reason; what is neither is not told.
        (r#","fail_reason":false"#, fell.clone()),
        (r#","fail_reason":null"#, fell),
        (r#","fail_reason":{"code":3}"#, None),
        (r#","fail_reason":7"#, None),
        (r#","delivery_id":"9""#, None),
    ] {
        assert_eq!(moved(&format!(r#"{{"status":"出货完成"{more}}}"#)), wanted, "{more}");
    }
    assert_eq!(moved(r#"{"status":"未取货或正在出货"}"#), None);
    assert_eq!(moved("[]"), None);
}

#[test]
// FAULTS B11: what became of a redemption is found out by a read; only the caller's own verb sends the code again.
fn asking_for_a_redemption_never_redeems() {
    let act = Act::Redeem(RedeemRequest { code: " ９38810".into(), ..redeem() }.into());
    let p = platform();
    let facts = known(&act, true, true);
    let queries = p.queries(&facts);
    let request = sealed(&p, &queries[0].op(), 0);
    assert_eq!(
        (queries.len(), request.url.path_and_query.as_str()),
        (1, "/api/openapi/v1/products/131/pickup_code")
    );
    assert!(p.repeat_asks(&act) && !p.repeat_asks(&door_act()));
    let listed = |more: &str| format!(r#"[{{"id":2,"code":"938810","status":"UNUSED"{more}}}]"#);
    let made = r#","created_at":"2024-04-27 14:00:08""#;
    assert_eq!(judged(&facts, &listed(made)).0, 'n');
    // Still on its way; used by whomever; made after the command; nobody knows when.
    assert_eq!(judged(&known(&act, false, true), &listed(made)).0, '?');
    assert_eq!(judged(&facts, "[]").0, '?');
    assert_eq!(judged(&facts, r#"[{"id":2,"code":"938811","status":"UNUSED"}]"#).0, '?');
    assert_eq!(judged(&facts, &listed(made).replace("UNUSED", "UNKNOWN")).0, '?');
    for late in [r#","created_at":"2024-04-27 14:02:00""#, r#","created_at":"?""#, ""] {
        assert_eq!(judged(&facts, &listed(late)).0, '?', "{late}");
    }
    let unsent = Known { sent: None, ..facts };
    assert_eq!(judged(&unsent, &listed(made)).0, '?', "without a time nothing is judged by time");
}

#[test]
fn a_number_that_may_be_ours_is_nobody_elses() {
    let ours = "012345678901234567890123";
    for (found, wanted) in [
        (ours, Whose::Ours),
        ("01234567-8901-2345-6789-0123", Whose::Ours),
        ("99945678901234567890123", Whose::Others),
        ("900a7e95-00d3-45c8-987d-3aafa412c77d", Whose::Others),
        // Read as a number, cut, replaced, not there.
        ("12345678901234567890123", Whose::Untold),
        ("1.2345678901234568e+22", Whose::Untold),
        ("01234567890123456789", Whose::Untold),
        ("0123456789012345678901234", Whose::Untold),
        ("00000000-0000-0000-0000-000000000000", Whose::Untold),
        ("", Whose::Untold),
        ("77", Whose::Untold),
    ] {
        assert_eq!(whose(ours, found), wanted, "{found}");
    }
}

/// Drives a procedure with an answer for each step that wants one, and gives the end with what was done on the way.
fn driven(op: &Op<'_>, answers: Vec<Result<Answer>>) -> (Result<Answer>, Vec<String>) {
    let p = platform();
    let mut procedure = p.procedure(op).unwrap();
    let mut answers = answers.into_iter();
    let mut last = None;
    let mut steps = Vec::new();
    loop {
        match procedure.next(last.take()) {
            Step::Ask(query) => {
                let op = query.op();
                assert_eq!(p.nature(&op).unwrap(), Nature::Read, "asking never acts");
                let path = sealed(&p, &op, 0).url.path_and_query.clone();
                steps.push(path.trim_start_matches("/api/openapi/v1").to_owned());
            }
            Step::Send => steps.push("send".to_owned()),
            Step::Pause(ms) => {
                steps.push(ms.to_string());
                continue;
            }
            Step::End(end) => {
                assert_eq!(answers.len(), 0, "{steps:?}");
                return (end, steps);
            }
        }
        last = Some(answers.next().unwrap_or_else(|| panic!("no answer left: {steps:?}")));
    }
}

fn lost() -> Result<Answer> {
    Err(Error::new(KL_E_LOST, "lost").with(|d| d.outcome = Outcome::Unknown))
}

fn order_of(trade_id: &str) -> Result<Answer> {
    let data = format!(
        r#"{{"order_id":60,"trade_id":"{trade_id}","status":"PICKUPCODE","records":[{{"id":78,"status":"未取货"}}]}}"#
    );
    answer(&Op::OrderGet(&OrderRef { order_no: "60".into(), ..OrderRef::default() }), &data)
}

#[test]
fn a_code_that_is_used_is_ours_by_its_order_only() {
    let mark = "123456789012345678901234";
    let r = RedeemRequest { mark: mark.into(), ..redeem() };
    let op = Op::CodeRedeem(&r);
    let used = |code: i32| {
        platform().answer(
            &op,
            &reply(400, &format!(r#"{{"code":{code},"message":"used","data":{{"order_id":60}}}}"#)),
        )
    };
    let asked = ["send", "/orders/60"];

    let (end, steps) =
        driven(&op, vec![answer(&op, &CONSUMED.replace("800a7e95-00d3-45c8-987d-3aafa412c77d", mark))]);
    assert!(matches!(end, Ok(Answer::Taken(t)) if t.item_no == "78") && steps == ["send"]);

    // The number is used: perhaps by an earlier try, whose order it is then.
    for code in [10025, 6033, 6040] {
        let (end, steps) = driven(&op, vec![used(code), order_of(mark)]);
        assert!(matches!(end, Ok(Answer::Taken(t)) if t.order_no == "60" && t.item_no == "78"));
        assert_eq!(steps, asked);
    }
    let ends = |answers: Vec<Result<Answer>>| {
        let e = driven(&op, answers).0.unwrap_err();
        let d = e.details();
        if d.outcome == Outcome::Unknown && d.status != KL_E_LOST {
            assert_eq!(d.advice, Advice::AskFirst, "{e}");
        }
        (d.status, d.outcome)
    };
    // Somebody else's.
    assert_eq!(
        ends(vec![used(10025), order_of("987654321098765432109876")]),
        (KL_E_CODE_USED, Outcome::NotDone)
    );
    // Nobody can tell.
    for untold in
        ["", "123456789012345678901", "1.2345678901234568e+23", "00000000-0000-0000-0000-000000000000"]
    {
        assert_eq!(ends(vec![used(10025), order_of(untold)]), (KL_E_CODE_USED, Outcome::Unknown), "{untold}");
    }
    for status in [KL_E_ORDER_STATE, KL_E_NOT_FOUND, KL_E_AUTH, KL_E_LOST] {
        let refused = Error::new(status, "no").with(|d| d.outcome = Outcome::NotDone);
        assert_eq!(ends(vec![used(10025), Err(refused)]), (status, Outcome::Unknown), "{status}");
    }
    let no_item =
        answer(&Op::OrderGet(&OrderRef::default()), &format!(r#"{{"order_id":60,"trade_id":"{mark}"}}"#));
    assert_eq!(ends(vec![used(10025), no_item]), (KL_E_CODE_USED, Outcome::Unknown));
    let another = answer(
        &Op::OrderGet(&OrderRef::default()),
        &format!(r#"{{"order_id":61,"trade_id":"{mark}","records":[{{"id":1}}]}}"#),
    );
    assert_eq!(ends(vec![used(10025), another]), (KL_E_CODE_USED, Outcome::Unknown));
    // What was sent and refused, or lost, is as it is: nothing is sent twice.
    let refusal = |body: &str| platform().answer(&op, &reply(400, body));
    assert_eq!(ends(vec![refusal(r#"{"code":6032,"message":"x"}"#)]), (KL_E_CODE_EXPIRED, Outcome::NotDone));
    assert_eq!(ends(vec![refusal(r#"{"code":6033,"message":"x"}"#)]), (KL_E_CODE_USED, Outcome::None));
    assert_eq!(ends(vec![lost()]), (KL_E_LOST, Outcome::Unknown));
    // FAULTS B2: a number of the caller's own may stand on an older order.
    let own = RedeemRequest { trade_no: mark.into(), ..redeem() };
    let op = Op::CodeRedeem(&own);
    let (end, _) = driven(&op, vec![used(10025), order_of(mark)]);
    let e = end.unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_CODE_USED, Outcome::Unknown));
}

/// A list of unused codes of a product: id, code, end.
fn codes(product: &str, rows: &[(u32, &str, i64)]) -> Result<Answer> {
    let items: Vec<PickupCode> = rows
        .iter()
        .map(|(id, code, expires_at)| PickupCode {
            id: id.to_string(),
            code: (*code).to_owned(),
            expires_at: *expires_at,
            product_id: product.to_owned(),
            ..PickupCode::default()
        })
        .collect();
    Ok(Answer::Codes(Page { items, total: None, more: Some(false) }))
}

fn ok() -> Result<Answer> {
    Ok(Answer::Json("{}".to_owned()))
}

fn ids(end: Result<Answer>) -> Vec<String> {
    match end {
        Ok(Answer::Codes(page)) => page.items.into_iter().map(|c| c.id).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn exactly_the_new_codes_are_given() {
    let create =
        CodeCreate { cabinet_id: "1".into(), product_id: "131".into(), count: 2, ..CodeCreate::default() };
    let op = Op::CodeCreate(&create);
    assert_eq!(platform().procedure(&op).unwrap().exclusive().as_deref(), Some("codes of 1"));
    let list = "/products/131/pickup_code";
    let old = (1, "111111", 0);
    let (two, three) = ((2, "222222", 0), (3, "333333", 0));
    let (end, steps) = driven(&op, vec![codes("131", &[old]), ok(), codes("131", &[old, two, three])]);
    assert_eq!(
        (ids(end), steps),
        (vec!["2".to_owned(), "3".to_owned()], vec![list.to_owned(), "send".into(), list.into()])
    );
    // A list that lags is read again, with pauses.
    let slow = vec![
        codes("131", &[old]),
        ok(),
        codes("131", &[old]),
        codes("131", &[old, two]),
        codes("131", &[two, three]),
    ];
    let (end, steps) = driven(&op, slow);
    assert_eq!(ids(end), ["2", "3"]);
    assert_eq!(steps, [list, "send", list, "300", list, "600", list]);
    // Somebody made others meanwhile: told apart by their length or end, or not at all.
    let longer = (4, "44444444", 0);
    let ending = (5, "555555", 1_735_660_799);
    let (end, _) = driven(&op, vec![codes("131", &[]), ok(), codes("131", &[two, longer, ending, three])]);
    assert_eq!(ids(end), ["2", "3"]);
    let alike = || codes("131", &[two, three, (6, "666666", 0)]);
    let e = driven(&op, vec![codes("131", &[]), ok(), alike(), alike(), alike()]).0.unwrap_err();
    assert!(e.details().outcome == Outcome::Unknown && e.message().contains("3 new codes"), "{e}");
    // Codes without an id cannot be told apart: before nothing is sent, afterwards nobody knows.
    let mut blank = codes("131", &[two]);
    if let Ok(Answer::Codes(page)) = &mut blank {
        page.items[0].id.clear();
    }
    let (end, steps) = driven(&op, vec![blank.clone()]);
    assert_eq!((end.unwrap_err().details().outcome, steps.len()), (Outcome::NotDone, 1));
    let end = driven(&op, vec![codes("131", &[]), ok(), blank]).0;
    assert_eq!(end.unwrap_err().details().outcome, Outcome::Unknown);
}

#[test]
// What a lost creation left in the list may be somebody else's: codes bear nothing of ours.
fn a_creation_whose_answer_was_lost_is_unknown() {
    let create =
        CodeCreate { cabinet_id: "1".into(), product_id: "131".into(), count: 1, ..CodeCreate::default() };
    let op = Op::CodeCreate(&create);
    let ends = |answers: Vec<Result<Answer>>| {
        let e = driven(&op, answers).0.unwrap_err();
        (e.status(), e.details().outcome, e.message().to_owned())
    };
    let (status, outcome, why) = ends(vec![codes("131", &[]), lost(), codes("131", &[(2, "222222", 0)])]);
    assert_eq!((status, outcome), (KL_E_LOST, Outcome::Unknown));
    assert!(why.contains("1 new: id 2"), "{why}");
    assert!(ends(vec![codes("131", &[]), lost(), codes("131", &[])]).2.contains("no new code"));
    let (status, outcome, why) = ends(vec![codes("131", &[]), lost(), lost()]);
    assert_eq!((status, outcome), (KL_E_LOST, Outcome::Unknown));
    assert!(why.contains("could not be listed"), "{why}");
    // Refused, or never sent.
    let refusal = platform().answer(&op, &reply(400, r#"{"code":10023,"message":"x"}"#));
    assert_eq!(ends(vec![codes("131", &[]), refusal]).1, Outcome::NotDone);
    let odd = platform().answer(&op, &reply(400, r#"{"code":6030,"message":"x"}"#));
    assert_eq!(ends(vec![codes("131", &[]), odd, codes("131", &[])]).1, Outcome::Unknown);
    assert_eq!(ends(vec![lost()]).1, Outcome::NotDone);
}

#[test]
fn codes_for_all_goods_are_counted_by_what_is_there() {
    let create = CodeCreate { cabinet_id: "1".into(), ..CodeCreate::default() };
    let op = Op::CodeCreate(&create);
    let goods = |rows: &[(&str, i32)]| {
        let item =
            |(id, stock): &(&str, i32)| StockItem { id: (*id).into(), stock: *stock, ..StockItem::default() };
        Ok(Answer::Stock(Page { items: rows.iter().map(item).collect(), total: None, more: None }))
    };
    let machine = || goods(&[("132", 0), ("131", 2), ("131", 2)]);
    let after = |one: &[(u32, &str, i64)], two: &[(u32, &str, i64)]| {
        vec![machine(), codes("131", &[]), codes("132", &[]), ok(), codes("131", one), codes("132", two)]
    };
    let (a, b, c) = ((1, "111111", 0), (2, "222222", 0), (3, "333333", 0));
    let (end, steps) = driven(&op, after(&[a], &[c]));
    assert_eq!(ids(end), ["1", "3"]);
    assert_eq!(steps[0], "/products");
    assert_eq!(steps[1..4], ["/products/131/pickup_code", "/products/132/pickup_code", "send"]);
    // One for each good that is there, one for each piece.
    assert_eq!(ids(driven(&op, after(&[a], &[])).0), ["1"]);
    assert_eq!(ids(driven(&op, after(&[a, b], &[])).0), ["1", "2"]);
    // Nothing of this: not ours to tell.
    let mut odd = after(&[a, b], &[c]);
    for _ in 0..2 {
        odd.extend([codes("131", &[a, b]), codes("132", &[c])]);
    }
    assert_eq!(driven(&op, odd).0.unwrap_err().details().outcome, Outcome::Unknown);
    for none in [goods(&[]), goods(&[("", 1)]), goods(&[("../x", 1)])] {
        let (end, steps) = driven(&op, vec![none]);
        assert_eq!((end.unwrap_err().details().outcome, steps.len()), (Outcome::NotDone, 1));
    }
}

#[test]
fn how_long_a_request_may_still_act_is_said_with_its_reason() {
    let p = platform();
    let redeem = Act::Redeem(redeem().into());
    assert!(p.maturity(&door_act()).hold_ms > 120_000, "the vendor itself holds a delivery for 120 s");
    assert!(p.maturity(&redeem).hold_ms < p.maturity(&door_act()).hold_ms);
    for act in [&redeem, &door_act()] {
        assert!(!p.maturity(act).reason.is_empty());
    }
    for row in recovery::PROOF {
        assert!(!row.done.is_empty() && !row.source.is_empty(), "{}", row.verb);
    }
}

#[test]
fn what_is_of_another_order_item_or_second_proves_nothing() {
    let p = platform();
    let act = door_act();
    let facts = known(&act, true, true);
    let query = p.queries(&facts).remove(0);
    let data = |order: u32, word: &str| {
        format!(
            r#"{{"order_id":{order},"records":[{{"id":77,"status":"IS_SUCCESS"}},{{"id":78,"status":"{word}"}}]}}"#
        )
    };
    let order = |no: &str, word: &str| {
        let Ok(Answer::Order(mut order)) = answer(&query.op(), &data(60, word)) else { panic!() };
        order.order_no = no.to_owned();
        Answer::Order(order)
    };
    assert!(matches!(p.judge(&facts, &query, &Ok(order("60", "IS_SUCCESS"))), Verdict::Done(..)));
    assert!(matches!(p.judge(&facts, &query, &Ok(order("61", "IS_SUCCESS"))), Verdict::Unknown(_)));
    let receipt = Receipt { order_no: "60".into(), item_no: "78".into(), ..Receipt::default() };
    let moved = |word: &str| p.movement(&act, &receipt, &order("60", word)).map(|(physical, _)| physical);
    assert_eq!((moved("IS_FAILED"), moved("IS_DELIVERING")), (Some(Physical::Failed), None));
    // A code that was made within the second of the sending may be another one.
    let act = Act::Redeem(RedeemRequest { code: "938810".into(), ..redeem() }.into());
    let facts = known(&act, true, true);
    let listed = |at: &str| {
        format!(r#"[{{"id":2,"code":"938810","status":"UNUSED","created_at":"2024-04-27 {at}"}}]"#)
    };
    assert_eq!(judged(&facts, &listed("14:01:39")).0, 'n');
    assert_eq!(judged(&facts, &listed("14:01:40")).0, '?');
}

#[test]
fn an_orders_state_tells_what_became_of_a_write() {
    let act = |verb: &str, paid| Act::Write {
        verb: verb.into(),
        order_no: "60".into(),
        cabinet_id: "1".into(),
        paid,
        trade_no: String::new(),
        digest: String::new(),
        visit_id: String::new(),
        context: String::new(),
    };
    let told = |act: &Act, mature, alone, state: &str| {
        let (p, known) = (platform(), known(act, mature, alone));
        let queries = p.queries(&known);
        let [query] = &queries[..] else { panic!("{queries:?}") };
        assert_eq!(p.nature(&query.op()).unwrap(), Nature::Read, "asking never acts");
        let data = format!(r#"{{"order_id":60,"status":"{state}","records":[]}}"#);
        match p.judge(&known, query, &answer(&query.op(), &data)) {
            Verdict::Done(..) => 'd',
            Verdict::NotDone(_) => 'n',
            Verdict::Unknown(_) => '?',
        }
    };
    let (paid, failed, refund) =
        (act("payment_report", true), act("payment_report", false), act("refund_apply", false));
    for (act, state, mature, early) in [
        (&paid, "SUCCESS", 'd', 'd'),
        (&paid, "NOTPAY", 'n', '?'),
        (&paid, "PAYERROR", '?', '?'),
        (&paid, "USERPAYING", '?', '?'),
        (&paid, "CLOSED", '?', '?'),
        (&failed, "PAYERROR", 'd', 'd'),
        (&failed, "NOTPAY", 'n', '?'),
        (&failed, "SUCCESS", '?', '?'),
        (&refund, "REFUND", 'd', 'd'),
        (&refund, "SUCCESS", 'n', '?'),
        (&refund, "PICKUPCODE", 'n', '?'),
        (&refund, "NOTPAY", '?', '?'),
        (&refund, "", '?', '?'),
    ] {
        assert_eq!(told(act, true, true, state), mature, "{act:?} {state}");
        assert_eq!(told(act, false, true, state), early, "{act:?} {state} early");
        // Another command of this journal may have done it.
        assert_eq!(
            told(act, true, false, state),
            if mature == 'd' { '?' } else { mature },
            "{act:?} {state}"
        );
    }
    let other = r#"{"order_id":61,"status":"REFUND","records":[]}"#;
    let (p, known) = (platform(), known(&refund, true, true));
    let query = &p.queries(&known)[0];
    assert!(matches!(p.judge(&known, query, &answer(&query.op(), other)), Verdict::Unknown(_)));
    // Without a machine the order cannot be asked for; of an order that was to be made nothing tells.
    let Act::Write { verb, order_no, paid, trade_no, digest, visit_id, context, .. } = refund.clone() else {
        return;
    };
    let nowhere =
        Act::Write { verb, order_no, cabinet_id: String::new(), paid, trade_no, digest, visit_id, context };
    assert!(p.queries(&Known { act: &nowhere, ..known }).is_empty());
    assert!(p.queries(&Known { act: &act("order_create", false), ..known }).is_empty());
}

#[test]
fn an_order_needs_no_number_of_the_callers() {
    let mut r = OrderCreate {
        cabinet_id: "1".into(),
        notify_url: "https://me.example/cb".into(),
        lines: vec![("7".into(), 1)],
        ..OrderCreate::default()
    };
    let p = platform();
    // Whether it could be sent is asked before there is a mark.
    assert!(p.draft(&Op::OrderCreate(&r)).is_ok());
    r.mark = "123456789012345678901234".into();
    assert!(p.draft(&Op::OrderCreate(&r)).is_ok());
    r.trade_no = "short".into();
    assert_eq!(p.draft(&Op::OrderCreate(&r)).err().map(|e| e.status()), Some(KL_E_ARGUMENT));
}
