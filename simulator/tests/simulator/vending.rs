//! Yopoint's voucher codes and vending machines, by the parameters that the notes have.

use kiosklink_sim::Simulator;
use serde_json::{Value, json};

use crate::common::*;

const TID: &str = "5f7000000000000000000001";
const VOUCHER: &str = "5e9000000000000000000001";

fn exchange_code(code: &str) -> Value {
    json!({"Code": code, "TID": TID})
}

fn look_up(sim: &Simulator, code: &str) -> Value {
    data(
        sim,
        "activity.vouchercode.get",
        json!({"VoucherID": VOUCHER, "VoucherCode": code, "EncryptCode": ""}),
    )
}

#[test]
fn a_code_is_used_up_once_and_the_goods_fall() {
    let sim = start();
    let callbacks = Callbacks::of(&sim);
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"vend_ms": 1}));
    assert_eq!(look_up(&sim, "20000001")["Status"], 0);
    let done = data(&sim, "activity.voucher.exchange", exchange_code("20000001"));
    let receipt = done["ReceiptNo"].as_str().expect("a number");
    let (method, content) = callbacks.next_signed(SECRET);
    assert_eq!(method, "notify.activity.voucher.exchangecode");
    assert_eq!(
        content,
        json!({"VoucherID": VOUCHER, "VoucherCode": "20000001", "TID": TID, "ReceiptNo": receipt, "ShipmentsStatus": 1})
    );
    assert_eq!(callbacks.next_signed(SECRET).0, "notify.consumer.order.simple");
    let order = data(&sim, "consumer.order.get", json!({"ReceiptNo": receipt}));
    assert_eq!(
        (&order["TID"], &order["ShipmentsStatus"], &order["Price"]),
        (&json!(TID), &json!(1), &json!(0))
    );
    let code = look_up(&sim, "20000001");
    assert_eq!(
        (&code["Status"], &code["TID"], &code["ReceiptNo"]),
        (&json!(1), &json!(TID), &json!(receipt))
    );
    assert_eq!(
        refusal(&sim, "activity.voucher.exchange", exchange_code("20000001")),
        "ERR_VOUCHER_CODE_USED"
    );
    let kinds: Vec<_> = acts(&sim, "").iter().map(|a| (a["kind"].clone(), a["order"].clone())).collect();
    assert_eq!(kinds, [(json!("redeem"), json!(receipt)), (json!("dispense"), json!(receipt))]);
    let layout = data(&sim, "terminal.product.layout.get", json!({"TID": TID}));
    assert_eq!(layout[0]["Stock"], 5);
    let openings = control(&sim, "GET", &format!("/_sim/openings?receipt={receipt}"), Value::Null);
    assert_eq!((&openings[0]["cabinet"], &openings[0]["lane"]), (&json!(TID), &json!("R1C1")));
}

#[test]
fn codes_that_are_not_good() {
    let sim = start();
    for (code, want) in [
        ("20000002", "ERR_VOUCHER_CODE_USED"),
        ("20000003", "ERR_VOUCHER_CODE_EXPIRED"),
        ("29999999", "ERR_VOUCHER_CODE_NOT_EXIST"),
    ] {
        assert_eq!(refusal(&sim, "activity.voucher.exchange", exchange_code(code)), want);
    }
    assert_eq!(refusal(&sim, "activity.voucher.exchange", json!({"TID": TID})), "MISSING_PARAMS_CODE");
    assert_eq!(refusal(&sim, "activity.voucher.exchange", json!({"Code": "1"})), "MISSING_PARAMS_TID");
    let elsewhere = json!({"Code": "20000001", "TID": "0"});
    assert_eq!(refusal(&sim, "activity.voucher.exchange", elsewhere), "ERR_TERMINAL_NOT_EXIST");
    assert_eq!(look_up(&sim, "20000003")["Status"], 2);
    assert_eq!(
        refusal(&sim, "activity.vouchercode.get", json!({"VoucherCode": "20000001"})),
        "MISSING_PARAMS_VOUCHERID"
    );
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"voucher_id_required": false}));
    let found = data(&sim, "activity.vouchercode.get", json!({"VoucherCode": "20000001"}));
    assert_eq!(found["VoucherID"], VOUCHER);
    let scanned = json!({"VoucherID": VOUCHER, "VoucherCode": "", "EncryptCode": found["EncryptCode"]});
    assert_eq!(data(&sim, "activity.vouchercode.get", scanned)["VoucherCode"], "20000001");
    assert_eq!(data(&sim, "activity.voucher.get", json!({"VoucherID": VOUCHER}))["UsedCount"], 1);
    assert_eq!(refusal(&sim, "activity.voucher.get", json!({"VoucherID": "0"})), "ERR_INVALID_VOUCHER_ID");
    assert!(acts(&sim, "").is_empty());
}

#[test]
fn a_machine_without_the_goods() {
    let sim = start();
    let callbacks = Callbacks::of(&sim);
    let done = data(&sim, "activity.voucher.exchange", exchange_code("20000004"));
    assert_eq!(done["ShipmentsStatus"], 3);
    let (_, content) = callbacks.next_signed(SECRET);
    assert_eq!((&content["VoucherCode"], &content["ShipmentsStatus"]), (&json!("20000004"), &json!(3)));
    assert!(acts(&sim, "kind=dispense").is_empty());
    let sim = start();
    control(
        &sim,
        "POST",
        "/_sim/yopoint/settings",
        json!({"voucher_no_stock": "refuse", "exchange_answer": "empty"}),
    );
    assert_eq!(refusal(&sim, "activity.voucher.exchange", exchange_code("20000004")), "ERR_NONE_STOCK");
    assert_eq!(data(&sim, "activity.voucher.exchange", exchange_code("20000001")), json!({}));
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"vend_fails": true, "vend_ms": 1}));
    data(&sim, "activity.voucher.exchange", exchange_code("20000005"));
    let receipt = acts(&sim, "kind=redeem&code=20000005")[0]["order"].clone();
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 5}));
    assert_eq!(data(&sim, "consumer.order.get", json!({"ReceiptNo": receipt}))["ShipmentsStatus"], -1);
    assert_eq!(acts(&sim, "kind=dispense").len(), 1, "only the first one fell");
}

#[test]
fn an_order_is_paid_and_vended() {
    let sim = start();
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"vend_ms": 1, "strict_tokens": true}));
    let wish = |token: &str| json!({"Token": token, "OpenID": "o-1"});
    assert_eq!(refusal(&sim, "consumer.order.create", wish("t")), "ERR_ORDER_CREATE_FAIL");
    assert_eq!(refusal(&sim, "consumer.order.create", wish(&format!("lane-{TID}-1-2"))), "ERR_NONE_STOCK");
    let new = data(&sim, "consumer.order.create", wish(&format!("lane-{TID}-1-1")));
    let receipt = new["ReceiptNo"].as_str().expect("a number");
    let order = data(&sim, "consumer.order.get", json!({"ReceiptNo": receipt}));
    assert_eq!(
        (&order["TradeStatus"], &order["OpenID"], &order["Price"]),
        (&json!(0), &json!("o-1"), &json!(200))
    );
    assert!(acts(&sim, "kind=dispense").is_empty());
    let url = new["NotifyUrl"].as_str().expect("an address");
    let path = &url[url.find("/yopoint").expect("a path")..];
    let stamp = now(&sim).to_string();
    let mut fields: Fields = [
        ("receipt_no", receipt),
        ("trade_no", "T-9"),
        ("trade_status", "1"),
        ("trade_rawdata", "{}"),
        ("timestamp", &stamp),
    ]
    .map(|(n, v)| (n.to_owned(), v.to_owned()))
    .to_vec();
    fields.push(("sign".into(), sign(&fields, PAY_KEY)));
    for _ in 0..2 {
        // A repetition is taken and vends nothing more.
        let answer = exchange(&sim, &post(path, "application/x-www-form-urlencoded", &form(&fields)));
        assert_eq!(answer.text(), "success");
    }
    let kinds: Vec<_> = acts(&sim, "").iter().map(|a| a["kind"].clone()).collect();
    assert_eq!(kinds, ["order", "pay", "dispense"]);
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 5}));
    assert_eq!(data(&sim, "consumer.order.get", json!({"TradeNo": "T-9"}))["ShipmentsStatus"], 1);
}

#[test]
fn machines_and_their_lanes() {
    let sim = start();
    let page = data(&sim, "terminal.terminal.list", json!({"Page": 1}));
    assert_eq!((&page["total"], &page["per_page"]), (&json!(2), &json!(10)));
    assert!(page["data"][0].get("Layout").is_none());
    let later = data(&sim, "terminal.terminal.list", json!({"Page": 1, "UpdatedAt": 1_800_000_000}));
    assert_eq!(later["total"], 0);
    let layout = data(&sim, "terminal.product.layout.get", json!({"TID": TID}));
    assert_eq!((&layout[1]["BarCode"], &layout[1]["Stock"]), (&json!("6900000000028"), &json!(0)));
    assert_eq!((&layout[0]["Price"], layout[0]["ProductVO"]["Name"].is_string()), (&json!(200), true));
    control(
        &sim,
        "PATCH",
        "/_sim/world",
        json!({"platforms": {"yopoint": {"terminals": [
        {"TID": "t1", "OnlineStatus": 0, "Layout": []}]}}}),
    );
    let off = json!({"Code": "20000001", "TID": "t1"});
    assert_eq!(refusal(&sim, "activity.voucher.exchange", off), "ERR_TERMINAL_OFFLINE");
    let more = json!([{"id": "v9", "barcode": "6900000000011", "codes": [{"code": "1234"}]}]);
    control(&sim, "PATCH", "/_sim/world", json!({"platforms": {"yopoint": {"vouchers": more}}}));
    let found = data(&sim, "activity.vouchercode.get", json!({"VoucherID": "v9", "VoucherCode": "1234"}));
    assert_eq!(found["Status"], 0);
}

#[test]
fn queries_that_lag_behind() {
    let sim = start();
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"query_lag_ms": 30_000}));
    let order = data(&sim, "cabinet.open.door", json!({"CID": CABINET, "TradeNo": "n"}));
    data(&sim, "activity.voucher.exchange", exchange_code("20000001"));
    assert_eq!(refusal(&sim, "cabinet.order.get", json!({"TradeNo": "n"})), "ERR_ORDER_NOT_EXIST");
    assert_eq!(look_up(&sim, "20000001")["Status"], 0);
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 31_000}));
    assert_eq!(data(&sim, "cabinet.order.get", json!({"TradeNo": "n"}))["ReceiptNo"], order["ReceiptNo"]);
    assert_eq!(look_up(&sim, "20000001")["Status"], 1);
}

#[test]
fn page_parameters_as_the_notes_spell_them() {
    let sim = start();
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"strict_names": true}));
    let pages = |biz: Value| data(&sim, "cabinet.product.stock", biz)["per_page"].clone();
    assert_eq!(pages(json!({"cid": CABINET, "page": 1, "pageSize": 2})), 2);
    assert_eq!(pages(json!({"cid": CABINET, "Page": 1, "PageSize": 2})), 10, "not these names");
    assert_eq!(data(&sim, "cabinet.list", json!({"Page": 1, "PageSize": 2}))["per_page"], 2);
}

#[test]
fn payments_may_go_to_another_host() {
    let sim = start();
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"payment_host": "127.0.0.1"}));
    let order = data(&sim, "cabinet.open.door", json!({"CID": CABINET}));
    let want = format!("http://127.0.0.1:{}/yopoint/api/pay/notify/", sim.port());
    assert!(order["NotifyUrl"].as_str().is_some_and(|u| u.starts_with(&want)), "{order}");
}
