//! The vendor's own vectors first, then shapes, codes and refusals.

use super::*;
use crate::config::Config;
use crate::error::{Advice, Outcome};
use crate::transport::{Headers, Timing};

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
    let headers: Vec<_> = request.headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
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
    let claim = Claim { order_no: "60".into(), cabinet_id: "16327129".into(), ..Claim::default() };
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
        ("60", "78", "", "https://me/x"),
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
    let e = answer(&Op::DoorOpen(&door("60", "78", "", "")), "{}").unwrap_err();
    assert!(e.status() == KL_E_PROTOCOL && !p.proves_not_done(&e), "{e}");
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
    let own = "800a7e9500d345c8987d3aafa412c77d";
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
    let e = answer(&op, r#"{"order_id":60,"status":"PICKUPCODE"}"#).unwrap_err();
    assert!(e.status() == KL_E_PROTOCOL && !p.proves_not_done(&e), "{e}");
    for (code, id) in [(10025, "60"), (6033, "\"60\"")] {
        let body = format!(r#"{{"code":{code},"message":"取货码已使用","data":{{"order_id":{id}}}}}"#);
        match p.answer(&op, &reply(400, &body)).unwrap() {
            Answer::UsedBy { order_no, refusal } => {
                assert_eq!((order_no.as_str(), refusal.status()), ("60", KL_E_CODE_USED));
            }
            other => panic!("{other:?}"),
        }
        let bare = format!(r#"{{"code":{code},"message":"used","data":{{}}}}"#);
        assert_eq!(p.answer(&op, &reply(400, &bare)).unwrap_err().status(), KL_E_CODE_USED);
    }
    let order = match answer(&Op::OrderGet(&OrderRef::default()), CONSUMED).unwrap() {
        Answer::Order(o) => *o,
        other => panic!("{other:?}"),
    };
    assert_eq!(p.receipt_of(&op, &order).unwrap().item_no, "78");
    assert!(p.receipt_of(&Op::CodeRedeem(&redeem()), &order).is_none());
    assert!(p.receipt_of(&Op::Ping, &order).is_none());
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
    for bad in [r#"{"trade_id":"x"}"#, r#"{"order_id":7,"amount":"1.005"}"#, r#"{"order_id":1.5}"#, "[]"] {
        let e = answer(&Op::OrderGet(&OrderRef::default()), bad).unwrap_err();
        assert!(e.status() == KL_E_PROTOCOL && e.message().contains("data"), "{e}");
    }
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
    for bad in
        [r#""x""#, r#"{"data":[{"id":1,"good":{"price":"1,5"}}]}"#, r#"{"data":[{}]}"#, r#"{"data":"x"}"#]
    {
        assert_eq!(answer(&op, bad).unwrap_err().status(), KL_E_PROTOCOL, "{bad}");
    }
    let e = answer(&op, r#"{"data":[{"id":1,"good":{"price":"1,5"}}]}"#).unwrap_err();
    assert!(e.message().contains("data.data[0].good.price"), "{e}");
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
    let e = answer(&Op::CodeList(&query), r#"[{"id":1,"code":"1","expired_at":"tomorrow"}]"#).unwrap_err();
    assert!(e.message().contains("data.[0].expired_at") || e.message().contains("data[0].expired_at"), "{e}");
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
    assert_eq!(p.nature(&Op::AppealFile(&Claim::default())).unwrap_err().status(), KL_E_UNSUPPORTED);
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

#[test]
fn every_code_has_its_status_and_advice() {
    let p = platform();
    for entry in refusal::TABLE {
        assert_eq!(refusal::TABLE.iter().filter(|r| r.code == entry.code).count(), 1, "{}", entry.code);
        // Whatever the HTTP status is.
        for http in [200, 400, 401, 404, 500] {
            let e = refused(http, &format!(r#"{{"code":{},"message":"sorry, no","data":{{}}}}"#, entry.code));
            let d = e.details();
            assert_eq!((d.status, d.platform_code, d.http_status), (entry.status, entry.code, http.into()));
            assert_eq!(p.proves_not_done(&e), entry.proves, "{}", entry.code);
            assert!(d.message.contains(entry.hint) && d.platform_message == "sorry, no");
        }
    }
    for (legacy, current) in [
        (10008, 4000),
        (10013, 4009),
        (10014, 4001),
        (10014, 6020),
        (10009, 6017),
        (10010, 6018),
        (10001, 4003),
        (10023, 6031),
        (10025, 6033),
        (30002, 4008),
        (30002, 6025),
        (30003, 6026),
        (40005, 6042),
        (40006, 6043),
        (60002, 6046),
        (60003, 6047),
        (80002, 4004),
    ] {
        let [a, b] = [legacy, current].map(|code| refusal::find(code).unwrap());
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
        assert_eq!(
            (e.status(), e.details().advice, e.details().outcome),
            (status, advice, Outcome::None),
            "{code}"
        );
    }
    assert!(
        !p.proves_not_done(&refused(400, r#"{"code":7777,"message":"x"}"#)),
        "an unknown code proves nothing"
    );
}

#[test]
fn the_table_of_the_documentation_is_this_table() {
    let doc = include_str!("../../../docs/platforms/dingshang.md");
    for r in refusal::TABLE {
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
        let row = format!("| {} | `{name}` | {advice} | {proof} | {} |\n", r.code, r.hint);
        assert!(doc.contains(&row), "docs/platforms/dingshang.md lacks: {row}");
    }
}

#[test]
fn code_zero_alone_is_no_success() {
    let p = platform();
    for (message, status, proves) in [
        ("订单未支付", KL_E_ORDER_STATE, true),
        ("1 个货道库存更新失败, 超出货道最大库存", KL_E_PARAMETER, true),
        ("something new", KL_E_PLATFORM, false),
        ("", KL_E_PLATFORM, false),
        ("OK", KL_E_PLATFORM, false),
    ] {
        for http in [200, 400] {
            let e = refused(http, &format!(r#"{{"code":0,"message":"{message}","data":{{}}}}"#));
            assert_eq!((e.status(), p.proves_not_done(&e)), (status, proves), "{message} under {http}");
        }
    }
    // A success under another status is not believed, and what it did is not known.
    for http in [201, 500, 502] {
        let e = refused(http, r#"{"code":0,"message":"ok","data":"pong"}"#);
        assert!(e.status() == KL_E_HTTP && !p.proves_not_done(&e), "{http}: {e}");
    }
    for (http, body, status) in [
        (200, r#"{"message":"ok","data":"pong"}"#, KL_E_PROTOCOL),
        (200, r#"{"code":0,"data":"pong"}"#, KL_E_PROTOCOL),
        (200, r#"{"code":0,"code":1,"message":"ok"}"#, KL_E_PROTOCOL),
        (200, "<html>login</html>", KL_E_PROTOCOL),
        (302, "", KL_E_HTTP),
        (401, "", KL_E_AUTH),
        (404, "nothing here", KL_E_HTTP),
        (429, "", KL_E_RATE_LIMIT),
        (503, "{}", KL_E_HTTP),
    ] {
        assert_eq!(refused(http, body).status(), status, "{http} {body}");
    }
    assert!(p.proves_not_done(&refused(401, "")) && !p.proves_not_done(&refused(503, "")));
    assert!(!p.proves_not_done(&refused(200, "{")));
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
