//! Other kiosks and people on the same codes, doors and numbers.

use serde_json::{Value, json};

use crate::common::*;

const MACHINE: &str = "16327129";

#[test]
fn yopoint_doors_orders_and_refunds() {
    let sim = start();
    let old = control(
        &sim,
        "POST",
        "/_sim/others",
        json!({"platform": "yopoint", "do": "order", "trade_no": "visit-1", "cabinet": CABINET, "ago_s": 86_400}),
    );
    let found = data(&sim, "cabinet.order.get", json!({"TradeNo": "visit-1"}));
    assert_eq!(found["ReceiptNo"], old["ReceiptNo"]);
    assert!((found["CreateAt"].as_i64().expect("a time") - (now(&sim) - 86_400)).abs() <= 1);
    let new = data(&sim, "cabinet.open.door", json!({"CID": CABINET, "TradeNo": "visit-1"}));
    assert_ne!(new["ReceiptNo"], old["ReceiptNo"], "two orders of one number");
    let listed = json!({"page": 1, "StartTime": 1, "EndTime": now(&sim) + 9, "pageSize": 100});
    let same = data(&sim, "cabinet.order.list", listed);
    let same = same.as_array().expect("a list").iter().filter(|o| o["TradeNo"] == "visit-1").count();
    assert_eq!(same, 2);
    let other = json!({"platform": "yopoint", "do": "open", "cabinet": TWO_DOORS, "door": 2});
    control(&sim, "POST", "/_sim/others", other.clone());
    assert_eq!(sim.control("POST", "/_sim/others", other).0, 409, "it is busy now");
    let opened = acts(&sim, "kind=open_door&by=other");
    assert_eq!((opened.len(), &opened[0]["door"]), (1, &json!(2)));
    let refund = json!({"platform": "yopoint", "do": "refund", "receipt": old["ReceiptNo"]});
    assert_eq!(control(&sim, "POST", "/_sim/others", refund)["_sim"]["stage"], "refunded");
    let kinds: Vec<_> = acts(&sim, "").iter().map(|a| a["kind"].clone()).collect();
    assert_eq!(kinds, ["order", "open_door", "open_door", "refund"]);
}

#[test]
fn dingshang_codes_and_numbers() {
    let sim = start();
    let codes =
        json!([{"id": 5, "machine_no": MACHINE, "product_id": 131, "code": "777777", "created_ms": 0}]);
    control(&sim, "PATCH", "/_sim/world", json!({"platforms": {"dingshang": {"codes": codes}}}));
    let redeem = json!({"platform": "dingshang", "do": "redeem", "machine": MACHINE, "code": "777777"});
    let order = control(&sim, "POST", "/_sim/others", redeem.clone());
    let consume = |trade: &str| {
        let request = dingshang_request(
            "POST",
            "consumes",
            &[
                ("machine_no", MACHINE),
                ("method", "event.consume.pickup_code"),
                ("code", "777777"),
                ("product_id", "131"),
                ("notify_url", "http://127.0.0.1:9/n"),
                ("trade_id", trade),
            ],
        );
        exchange(&sim, &request).json()
    };
    let refused = consume("20240427103101000001");
    assert_eq!((&refused["code"], &refused["data"]["order_id"]), (&json!(10025), &order["order_id"]));
    assert_eq!(sim.control("POST", "/_sim/others", redeem).0, 409);
    let used = acts(&sim, "platform=dingshang&kind=redeem&code=777777");
    assert_eq!((used.len(), &used[0]["by"], &used[0]["order"]), (1, &json!("other"), &json!("60")));
    let old = json!({"platform": "dingshang", "do": "order", "machine": MACHINE, "trade_id": "20240427103101000009", "ago_s": 99});
    control(&sim, "POST", "/_sim/others", old);
    let codes =
        json!([{"id": 6, "machine_no": MACHINE, "product_id": 131, "code": "777777", "created_ms": 0}]);
    control(&sim, "PATCH", "/_sim/world", json!({"platforms": {"dingshang": {"codes": codes}}}));
    assert_eq!(consume("20240427103101000009")["code"], 6040, "the number is taken");
    let done = consume("20240427103101000010");
    assert_eq!(done["code"], 0);
    let mine = acts(&sim, "kind=redeem&mark=20240427103101000010");
    assert_eq!((mine.len(), &mine[0]["by"]), (1, &json!("request")));
    let refund = json!({"platform": "dingshang", "do": "refund", "order_id": done["data"]["order_id"]});
    assert_eq!(control(&sim, "POST", "/_sim/others", refund)["status"], "REFUND");
}

#[test]
fn youzan_codes_later_and_refunds() {
    let sim = start();
    let body = json!({"platform": "youzan", "do": "redeem", "code": "10000000001", "who": "till 3", "after_ms": 5_000});
    control(&sim, "POST", "/_sim/others", body);
    assert!(acts(&sim, "").is_empty());
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 5_000}));
    assert_eq!(acts(&sim, "kind=redeem&code=10000000001&mark=till%203").len(), 1);
    for code in ["E20260101000000000000911", "200000000001", "20260101000000000021"] {
        control(&sim, "POST", "/_sim/others", json!({"platform": "youzan", "do": "redeem", "code": code}));
    }
    // One ticket was left under the voucher's number.
    assert_eq!(acts(&sim, "kind=redeem&by=other").len(), 4);
    let again = json!({"platform": "youzan", "do": "redeem", "code": "10000000001"});
    assert_eq!(sim.control("POST", "/_sim/others", again).0, 409);
    let refund = json!({"platform": "youzan", "do": "refund", "tid": "E20260101000000000000009"});
    assert_eq!(control(&sim, "POST", "/_sim/others", refund)["refund_state"], 12);
    for wrong in [
        json!({"do": "redeem"}),
        json!({"platform": "youzan", "do": "dance"}),
        json!({"platform": "x", "do": "redeem"}),
    ] {
        assert_ne!(sim.control("POST", "/_sim/others", wrong.clone()).0, 200, "{wrong}");
    }
}

#[test]
fn who_redeemed_is_given_back() {
    let sim = start();
    let token = youzan_token(&sim);
    let call = |api: &str, params: Value| {
        exchange(&sim, &youzan_request(api, &token, &params)).json()["response"].clone()
    };
    call("youzan.trade.selffetchcode.apply/3.0.0", json!({"code": "10000000001", "extra_info": "mark-7"}));
    let shown = call("youzan.trade.selffetchcode.get/3.0.0", json!({"code": "10000000001"}));
    assert_eq!((&shown["status"], &shown["extra_info"]), (&json!(1), &json!("mark-7")));
    let code = "E20260101000000000000911";
    control(&sim, "POST", "/_sim/youzan/settings", json!({"virtual_takes_person": true}));
    call("youzan.trade.virtualcode.apply/3.0.0", json!({"code": code, "verify_person": "mark-8"}));
    let shown = call("youzan.trade.virtualcode.get/3.0.0", json!({"code": code}));
    assert_eq!(shown["verify_person"], "mark-8");
    assert_eq!(acts(&sim, "kind=redeem&mark=mark-8").len(), 1);
}

#[test]
fn money_is_in_the_record() {
    let sim = start();
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"door_open_ms": 1, "recognition_ms": 1}));
    let order = data(&sim, "cabinet.open.door", json!({"CID": CABINET, "TradeNo": "m"}));
    let receipt = order["ReceiptNo"].as_str().expect("a number");
    control(&sim, "POST", "/_sim/wait", json!({"for": "order", "receipt": receipt, "stage": "unpaid"}));
    let url = order["NotifyUrl"].as_str().expect("an address");
    let path = &url[url.find("/yopoint").expect("a path")..];
    let stamp = now(&sim).to_string();
    let mut fields: Fields = [
        ("receipt_no", receipt),
        ("trade_no", "T-1"),
        ("trade_status", "1"),
        ("trade_rawdata", "{}"),
        ("timestamp", &stamp),
    ]
    .map(|(n, v)| (n.to_owned(), v.to_owned()))
    .to_vec();
    fields.push(("sign".into(), sign(&fields, PAY_KEY)));
    let answer = exchange(&sim, &post(path, "application/x-www-form-urlencoded", &form(&fields)));
    assert_eq!(answer.text(), "success");
    let paid = acts(&sim, "kind=pay");
    assert_eq!((paid.len(), &paid[0]["order"], &paid[0]["mark"]), (1, &json!(receipt), &json!("T-1")));
    assert!(paid[0]["amount"].as_i64() > Some(0));
    data(&sim, "cabinet.order.refund.apply", json!({"ReceiptNo": receipt}));
    assert_eq!(acts(&sim, &format!("kind=refund_apply&order={receipt}")).len(), 1);
}
