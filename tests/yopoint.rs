//! Every typed verb and every method of Yopoint against the simulator, over real TLS.

mod common;

use common::*;
use kiosklink::error::{Advice, Outcome};
use kiosklink::model::*;
use kiosklink::status::*;
use serde_json::{Value, json};

fn door(id: &str, cabinet: &str) -> DoorRequest {
    DoorRequest {
        request_id: id.into(),
        cabinet_id: cabinet.into(),
        user_id: "u1".into(),
        ..Default::default()
    }
}

fn whole_period(kind: OrderKind) -> OrderQuery {
    OrderQuery { kind, from: 0, to: 4_102_444_800, extra_json: None }
}

#[test]
fn ping_in_every_writing_and_unit() {
    let sim = simulator();
    for format in ["form", "json"] {
        for unit in ["s", "ms"] {
            client_with(&sim, &[("format", format), ("timestamp_unit", unit)]).ping().unwrap();
        }
    }
    let seen = requests(&sim, "api.test");
    let digits: Vec<usize> = seen
        .iter()
        .map(|r| r["params"]["timestamp"].to_string().chars().filter(char::is_ascii_digit).count())
        .collect();
    assert_eq!(digits, [10, 13, 10, 13]);
}

#[test]
fn cabinets_page_by_page_and_as_one_walk() {
    let sim = simulator();
    let client = client(&sim);
    let all = client.cabinets(0).collect_all().unwrap();
    assert_eq!(
        all.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(),
        [CABINET, TWO_DOORS, OFFLINE, STOPPED, LOCKER]
    );
    assert_eq!(
        all.iter().map(|c| c.online).collect::<Vec<_>>(),
        [Tri::Yes, Tri::Yes, Tri::No, Tri::Yes, Tri::Yes]
    );
    assert_eq!(all[3].sale, SaleState::Stopped);
    assert_eq!((all[1].door_count, all[4].door_count), (2, 24));
    assert!(all[0].name.contains('柜') && all[0].json.contains("OnlineStatus"));

    let page = client.cabinet_list(PageRequest { number: 2, size: 3 }).unwrap();
    assert_eq!((page.items.len(), page.total, page.more), (2, Some(5), Some(false)));
    assert_eq!(client.cabinets(1).collect_all().unwrap(), all, "five pages of one give the same");
}

#[test]
fn stock_follows_the_pages_and_reads_both_shapes() {
    let sim = simulator();
    control(&sim, "POST", "/_sim/yopoint/generate", json!({"cabinets": 1, "stock_lines": 250, "orders": 0}));
    let client = client(&sim);
    let made = client.cabinets(0).collect_all().unwrap().pop().unwrap();
    for shape in ["paginator", "array"] {
        control(&sim, "POST", "/_sim/yopoint/settings", json!({"stock_shape": shape}));
        let many = client.stock(&made.id, 0, None).collect_all().unwrap();
        assert_eq!(many.len(), 250, "{shape}");
        let stock = client.stock(CABINET, 0, None).collect_all().unwrap();
        let water = stock.iter().find(|i| i.barcode == "6900000000011").unwrap();
        assert_eq!((water.price, water.stock, water.capacity), (200, 10, 12));
        assert!(water.name.contains('水') && water.json.contains("BarCode") && !water.lanes.is_empty());
    }
    let none = client.stock("0000000000000000000000ff", 0, None).collect_all().unwrap_err();
    assert_eq!(none.status(), KL_E_NOT_FOUND, "{none}");
}

#[test]
fn a_visit_from_the_open_door_to_the_paid_order() {
    let sim = simulator();
    let client = client(&sim);
    let before = client.stock(CABINET, 0, None).collect_all().unwrap();
    let mut request = door("visit-1", CABINET);
    request.order_no = "T-1".into();
    let command = client.door_open(&request).unwrap();
    assert!(!command.recorded && command.receipt.report_url.starts_with("https://localhost"));
    let order_no = command.receipt.order_no.clone();
    let get = |by: &OrderRef| client.order_get(by).unwrap();
    let by_number = OrderRef { order_no: order_no.clone(), ..Default::default() };
    assert_eq!(get(&by_number).door, DoorState::Open);

    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 10_000}));
    let order = get(&OrderRef { trade_no: "T-1".into(), ..Default::default() });
    assert_eq!(order.order_no, order_no);
    assert_eq!((order.door, order.payment, order.amount), (DoorState::Shut, PaymentState::Unpaid, 200));
    assert_eq!((order.lines.len(), order.lines[0].quantity, order.lines[0].price), (1, 1, 200));

    let report = PaymentReport {
        report_url: command.receipt.report_url,
        order_no,
        trade_no: "WX1".into(),
        paid: true,
        amount: 200,
        ..Default::default()
    };
    assert_eq!(client.payment_report(&report).unwrap(), "\"success\"");
    let paid = get(&by_number);
    assert_eq!(paid.payment, PaymentState::Paid);
    assert!(paid.paid_at > 1_700_000_000);
    let after = client.stock(CABINET, 0, None).collect_all().unwrap();
    assert_eq!(after[0].stock, before[0].stock - 1);
}

#[test]
fn orders_of_cabinets_and_machines_as_array_and_as_paginator() {
    let sim = simulator();
    control(&sim, "POST", "/_sim/yopoint/generate", json!({"cabinets": 0, "stock_lines": 0, "orders": 430}));
    let client = client(&sim);
    let mut counts = Vec::new();
    for shape in ["array", "paginator"] {
        let settings = json!({"order_list_shape": shape, "duplicate_door_status": true});
        control(&sim, "POST", "/_sim/yopoint/settings", settings);
        let mut pages = client.orders(&whole_period(OrderKind::Cabinet), 100);
        let mut numbers = std::collections::HashSet::new();
        while let Some(order) = pages.next_item().unwrap() {
            assert!(numbers.insert(order.order_no.clone()), "{} twice", order.order_no);
            assert_ne!(order.door, DoorState::Unknown, "{}", order.json);
        }
        counts.push(numbers.len());
    }
    assert!(counts[0] >= 430 && counts[0] == counts[1], "{counts:?}");

    let vending = client.orders(&whole_period(OrderKind::Vending), 0).collect_all().unwrap();
    assert!(!vending.is_empty() && vending.iter().all(|o| o.kind == OrderKind::Vending));
    let wanted =
        OrderRef { kind: OrderKind::Vending, order_no: vending[0].order_no.clone(), ..Default::default() };
    let one = client.order_get(&wanted).unwrap();
    assert_eq!(one.order_no, vending[0].order_no);
    assert!(one.amount > 0 && one.lines.len() == 1);
}

#[test]
fn the_pay_type_that_no_table_lists_is_passed_on() {
    let sim = simulator();
    let order = client(&sim).orders(&whole_period(OrderKind::Cabinet), 0).collect_all().unwrap();
    assert!(order.iter().any(|o| o.pay_type == 202), "{order:?}");
}

#[test]
fn refunds_and_appeals() {
    let sim = simulator();
    let client = client(&sim);
    let orders = client.orders(&whole_period(OrderKind::Cabinet), 0).collect_all().unwrap();
    let paid = orders
        .iter()
        .find(|o| o.payment == PaymentState::Paid && o.refund_state == 0 && o.refunded == 0)
        .unwrap();
    let claim = Complaint {
        order_no: paid.order_no.clone(),
        reason: "REFUNDS_REASON_PRODUCT_NOT_MATCH".into(),
        remarks: "我要退款".into(),
        phone: "13800000000".into(),
        ..Default::default()
    };
    client.refund_apply(&claim).unwrap();
    let asked =
        client.order_get(&OrderRef { order_no: paid.order_no.clone(), ..Default::default() }).unwrap();
    assert_eq!(asked.refund_reason, "REFUNDS_REASON_PRODUCT_NOT_MATCH");
    let unknown = Complaint { order_no: "VI000000000000000000".into(), ..Default::default() };
    let e = client.appeal_file(&unknown).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_NOT_FOUND, Outcome::NotDone), "{e}");
    let mine = client.door_open(&door("appeal", CABINET)).unwrap().receipt.order_no;
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 10_000}));
    client.appeal_file(&Complaint { order_no: mine, ..Default::default() }).unwrap();
}

#[test]
fn any_other_method_goes_through_call_but_not_the_door() {
    let sim = simulator();
    let client = client(&sim);
    let list: Value =
        serde_json::from_str(&client.call("terminal.terminal.list", "{\"Page\":1}").unwrap()).unwrap();
    assert!(list["data"].as_array().is_some_and(|a| !a.is_empty()), "{list}");
    // Spacing and order of the caller's own text are what is signed and sent.
    let odd = "{ \"PageSize\" : 2,\n\t\"Page\":1 }";
    client.call("cabinet.list", odd).unwrap();
    let sent = requests(&sim, "cabinet.list");
    assert_eq!(sent.last().unwrap()["signature"]["ok"], json!(true));

    for (method, verb) in
        [("cabinet.open.door", "kl_door_open"), ("activity.voucher.exchange", "kl_code_redeem")]
    {
        let e = client.call(method, "{}").unwrap_err();
        assert!(e.status() == KL_E_ARGUMENT && e.message().contains(verb), "{e}");
    }
    // FAULTS H.
    assert_eq!(client.call("Cabinet.open.door", "{}").unwrap_err().status(), KL_E_ARGUMENT);
    assert_eq!(client.call("cabinet.list", "[1]").unwrap_err().status(), KL_E_ARGUMENT);
    assert_eq!(client.call("bad name", "{}").unwrap_err().status(), KL_E_ARGUMENT);
    assert!(openings(&sim).is_empty());
}

#[test]
fn what_yopoint_does_not_have_is_answered_at_once() {
    let sim = simulator();
    let client = client(&sim);
    let before = client.stats();
    let refused = [
        client.code_list(&CodeQuery::default()).unwrap_err(),
        client.code_create(&CodeCreate::default()).unwrap_err(),
        client.code_cancel(&CodeCancel::default()).unwrap_err(),
        client.user_get().unwrap_err(),
        client.company_get().unwrap_err(),
    ];
    for e in refused {
        assert_eq!(e.status(), KL_E_UNSUPPORTED, "{e}");
    }
    assert_eq!(client.stats(), before, "nothing was sent");
}

#[test]
fn refusals_say_what_to_do() {
    let sim = simulator();
    let good = client(&sim);
    // FAULTS A1: nobody has said that an offline cabinet is refused before anything is sent to it.
    let cases = [
        (OFFLINE, KL_E_OFFLINE, Outcome::Unknown, Advice::AskFirst),
        (STOPPED, KL_E_NOT_READY, Outcome::Unknown, Advice::AskFirst),
        ("0000000000000000000000ff", KL_E_NOT_FOUND, Outcome::NotDone, Advice::None),
    ];
    for (cabinet, status, outcome, advice) in cases {
        let e = good.door_open(&door(cabinet, cabinet)).unwrap_err();
        let d = e.details();
        assert_eq!((d.status, d.outcome, d.advice), (status, outcome, advice), "{e}");
        assert!(d.platform_code != 0 && !d.platform_message.is_empty());
    }
    good.door_open(&door("first", CABINET)).unwrap();
    let busy = good.door_open(&door("second", CABINET)).unwrap_err();
    assert_eq!((busy.status(), busy.details().outcome), (KL_E_NOT_READY, Outcome::Unknown));
    assert_eq!(openings(&sim).len(), 1);

    let wrong = client_with(&sim, &[("app_secret", "not-the-secret")]).ping().unwrap_err();
    assert_eq!((wrong.status(), wrong.details().advice), (KL_E_AUTH, Advice::Fix), "{wrong}");
    assert!(!format!("{wrong:?}").contains("not-the-secret"));
    let methods =
        json!({"accounts": [{"appid": "100000000001", "secret": "test-secret", "methods": ["api.test"]}]});
    control(&sim, "POST", "/_sim/yopoint/settings", methods);
    assert_eq!(good.cabinets(0).next_item().unwrap_err().status(), KL_E_PERMISSION);
}

#[test]
fn a_payment_report_needs_the_right_key_and_a_good_address() {
    let sim = simulator();
    let opened = client(&sim).door_open(&door("d", CABINET)).unwrap().receipt;
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 10_000}));
    let report = PaymentReport {
        report_url: opened.report_url.clone(),
        order_no: opened.order_no.clone(),
        trade_no: "WX2".into(),
        paid: true,
        amount: 200,
        ..Default::default()
    };
    let e = client_with(&sim, &[("pay_key", "another-key")]).payment_report(&report).unwrap_err();
    assert_eq!(e.status(), KL_E_PLATFORM, "{e}");
    assert!(!e.message().contains("another-key"));
    for bad in ["", "ftp://x", "http://localhost/x", "localhost"] {
        let report = PaymentReport { report_url: bad.into(), ..report.clone() };
        let e = client(&sim).payment_report(&report).unwrap_err();
        assert_eq!((e.status(), e.details().outcome), (KL_E_ARGUMENT, Outcome::NotDone), "{bad}: {e}");
    }
    let all = settings(&sim);
    let mut none = kiosklink::config::Config::new("yopoint").unwrap();
    for key in ["base_url", "app_id", "app_secret", "ca_pem"] {
        none.set(key, all.get(key).unwrap()).unwrap();
    }
    let e = kiosklink::client::Client::new(&none).unwrap().payment_report(&report).unwrap_err();
    assert_eq!(e.status(), KL_E_CONFIG_MISSING);
    assert!(e.message().contains("pay_key"));
    client(&sim).payment_report(&report).unwrap();
}

/// The methods beside the ten of the operator's documents, as far as the simulator knows them.
#[test]
fn the_methods_beside_the_verbs_go_through_call() {
    let sim = simulator();
    let client = client(&sim);
    let call = |method: &str, params: Value| -> Value {
        let answer = client.call(method, &params.to_string()).unwrap_or_else(|e| panic!("{method}: {e}"));
        serde_json::from_str(&answer).unwrap()
    };
    let goods = json!([{"BarCode": "6900000000011", "Stock": 30}]);
    let stocked =
        call("cabinet.product.replenish", json!({"cid": CABINET, "accountId": "a", "productList": goods}));
    assert_eq!(stocked["TotalSupplementQuantity"], 20);
    let stock = call("cabinet.product.stock.with.replenishment", json!({"cid": CABINET, "accountId": "a"}));
    assert!(stock["data"].as_array().unwrap().iter().any(|line| line["Stock"] == 30), "{stock}");
    let cargo = json!([{"row": 3, "col": 1, "barcode": "6900000000059", "defaultPrice": 990}]);
    let shelved = call("cabinet.shelving.unshelving.cargo", json!({"cid": CABINET, "cargoes": cargo}));
    assert!(shelved["afterCargoes"].as_array().is_some_and(|a| !a.is_empty()), "{shelved}");

    let terminal = call("terminal.terminal.list", json!({"Page": 1}))["data"][0]["TID"].clone();
    assert_eq!(call("terminal.terminal.get", json!({"TID": terminal}))["TID"], terminal);
    assert_eq!(call("terminal.product.layout.get", json!({"TID": terminal}))[0]["Stock"], 6);

    let receipt = call("consumer.order.create", json!({"Token": "t", "OpenID": "o"}))["ReceiptNo"].clone();
    call("consumer.order.refunds.update", json!({"ReceiptNo": receipt, "UserRefundsStatus": 2}));
    let order = call("consumer.order.get", json!({"ReceiptNo": receipt}));
    assert_eq!(order["UserRefundsStatus"], 2);

    assert!(call("product.category.list", json!({})).as_array().is_some_and(|a| !a.is_empty()));
    let pay = json!({"PayUrl": "https://localhost/pay", "SignKey": "k", "SubPayType": [1, 2]});
    call("operators.config.thirdpay.set", pay.clone());
    assert_eq!(call("operators.config.thirdpay.get", json!({})), pay);
    let e = client.call("activity.voucher.get", r#"{"VoucherID":"5e9"}"#).unwrap_err();
    assert_eq!(e.details().platform_message, "ERR_INVALID_VOUCHER_ID", "{e}");
}

/// Names that the documents give and nothing more: sent and signed as they are, the answer is the platform's. The
/// simulator knows no such method.
#[test]
fn methods_of_which_only_the_name_is_published_are_sent_as_given() {
    let sim = simulator();
    let client = client(&sim);
    for method in [
        "product.operators.create",
        "activity.voucher.receive.url",
        "activity.voucher.receive.url.inapp",
        "activity.vouchercode.get",
    ] {
        let e = client.call(method, r#"{"VoucherID":"5e9"}"#).unwrap_err();
        assert!(!e.details().platform_message.is_empty(), "{method}: {e}");
        let sent = requests(&sim, method);
        assert_eq!(sent.len(), 1, "{method}");
        assert_eq!(sent[0]["signature"]["ok"], json!(true), "{method}");
        assert!(sent[0]["params"].to_string().contains("5e9"), "{}", sent[0]);
    }
}

#[test]
fn vending_machines_stand_in_an_account_of_their_own() {
    let sim = simulator();
    let client = client_with(&sim, &[("machines", "vending")]);
    let machines = client.cabinets(0).collect_all().unwrap();
    assert!(!machines.is_empty() && machines.iter().all(|m| !m.id.is_empty() && m.json.contains("TID")));
    let stock = client.stock(&machines[0].id, 0, None).collect_all().unwrap();
    assert!(stock.iter().any(|line| line.stock == 6), "{stock:?}");
    assert!(requests(&sim, "cabinet.list").is_empty() && requests(&sim, "cabinet.product.stock").is_empty());
}

#[test]
fn a_vending_order_is_made_and_read() {
    let sim = simulator();
    let client = client(&sim);
    let create =
        OrderCreate { extra_json: Some(r#"{"Token":"t","OpenID":"o"}"#.into()), ..Default::default() };
    let receipt = client.order_create(&create).unwrap();
    let by = OrderRef { kind: OrderKind::Vending, order_no: receipt.order_no.clone(), ..Default::default() };
    assert_eq!(client.order_get(&by).unwrap().order_no, receipt.order_no);
    let e = client.order_create(&OrderCreate::default()).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_ARGUMENT, Outcome::NotDone));
}

#[test]
fn a_door_under_a_number_of_the_callers_own_is_found_by_its_time() {
    let sim = simulator();
    let client = client_with(&sim, &[("state_dir", "none")]);
    client.ping().unwrap();
    let rule = json!({"method": "cabinet.open.door", "fault": "act_then_drop"});
    control(&sim, "POST", "/_sim/faults", rule);
    let mut request = door("visit-1", CABINET);
    request.order_no = "T-1".into();
    let e = client.door_open(&request).unwrap_err();
    assert_eq!(e.details().outcome, Outcome::Unknown, "{e}");
    assert!(client.command_resolve("visit-1").is_ok(), "{:?}", client.command_resolve("visit-1"));
}
