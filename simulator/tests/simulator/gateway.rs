//! The gateway: common fields, signature, and each method.

use std::io::Write;

use serde_json::{Value, json};

use crate::common::*;

fn send(sim: &kiosklink_sim::Simulator, fields: &Fields) -> Value {
    exchange(sim, &post(GATEWAY, "application/x-www-form-urlencoded", &form(fields))).json()
}

#[test]
fn the_vectors_of_the_notes_are_accepted() {
    let sim = start();
    control(&sim, "POST", "/_sim/clock", json!({"now_s": 1_700_000_000}));
    let list = r#"{"Page":1,"PageSize":5}"#;
    for (method, biz, timestamp, want) in [
        ("cabinet.list", list, "1700000000", "e8acd748960cb6a9d910dad993569f20"),
        ("cabinet.list", list, "1700000000000", "d2859e132ac15685e1469edbc0612888"),
        ("api.test", "", "1700000000", "c8493e9120e73aa55c6954fb8adf7bc2"),
    ] {
        let fields = common_fields(method, biz, timestamp);
        assert_eq!(get(&fields, "sign"), want);
        assert_eq!(send(&sim, &fields)["error_code"], 0);
    }
    let log = control(&sim, "GET", "/_sim/requests?method=api.test", Value::Null);
    let base = "appid=100000000001&biz_content=&method=api.test&sign_type=md5&timestamp=1700000000&version=1.0.0&[secret]";
    assert_eq!(log[0]["signature"]["base"], base);
    assert!(!log.to_string().contains(SECRET));
}

#[test]
fn three_content_types() {
    let sim = start();
    let fields = common_fields("api.test", r#"{"柜":"一 号"}"#, &now(&sim).to_string());
    let mut object: serde_json::Map<String, Value> =
        fields.iter().map(|(n, v)| (n.clone(), json!(v))).collect();
    object["timestamp"] = json!(get(&fields, "timestamp").parse::<i64>().expect("a number"));
    let parts: String = fields
        .iter()
        .map(|(n, v)| format!("--XX\r\nContent-Disposition: form-data; name=\"{n}\"\r\n\r\n{v}\r\n"))
        .collect();
    for request in [
        post(GATEWAY, "application/x-www-form-urlencoded; charset=utf-8", &form(&fields)),
        post(GATEWAY, "application/json", &json!(object).to_string()),
        post(GATEWAY, "multipart/form-data; boundary=XX", &format!("{parts}--XX--\r\n")),
    ] {
        assert_eq!(exchange(&sim, &request).json()["data"], json!({"柜": "一 号"}));
    }
    object["biz_content"] = json!({"柜": "一 号"});
    let answer = exchange(&sim, &post(GATEWAY, "application/json", &json!(object).to_string())).json();
    assert_eq!(answer["error_code"], -1);
    assert_eq!(exchange(&sim, &post(GATEWAY, "text/plain", &form(&fields))).json()["error_code"], -1);
    assert_eq!(exchange(&sim, b"GET /yopoint/api/gateway/index HTTP/1.1\r\n\r\n").status, 405);
    assert_eq!(exchange(&sim, &post("/yopoint/api", "text/plain", "")).status, 404);
    assert_eq!(exchange(&sim, &post("/nobody", "text/plain", "")).status, 404);
}

#[test]
fn what_is_wrong_is_said_in_order() {
    let sim = start();
    let good = common_fields("api.test", "{}", &now(&sim).to_string());
    for (name, want) in [
        ("appid", "MISSING_PARAMS_APPID"),
        ("method", "MISSING_PARAMS_METHOD"),
        ("version", "MISSING_PARAMS_VERSION"),
        ("timestamp", "MISSING_PARAMS_TIMESTAMP"),
        ("sign_type", "MISSING_PARAMS_SIGN_TYPE"),
        ("sign", "MISSING_PARAMS_SIGN"),
        ("biz_content", "MISSING_PARAMS_BIZ_CONTENT"),
    ] {
        let without: Fields = good.iter().filter(|(n, _)| n != name).cloned().collect();
        assert_eq!(send(&sim, &without)["error_msg"], want);
    }
    let old = (now(&sim) - 601).to_string();
    for (name, value, resigned, want) in [
        ("appid", "1", true, "ERR_APPID"),
        ("version", "2.0.0", true, "ERR_VERSION"),
        ("sign_type", "MD5", true, "ERR_SIGN_TYPE"),
        ("timestamp", old.as_str(), true, "ERR_TIMESTAMP"),
        ("timestamp", "soon", true, "ERR_TIMESTAMP"),
        ("sign", "00000000000000000000000000000000", false, "ERR_SIGN"),
        ("method", "no.such", true, "ERR_METHOD_NOT_EXIST"),
        ("biz_content", "{page:1}", true, "ERR_BIZ_CONTENT"),
    ] {
        let mut fields = good.clone();
        fields.iter_mut().filter(|(n, _)| n == name).for_each(|(_, v)| *v = value.to_owned());
        if resigned {
            let fresh = sign(&fields, SECRET);
            fields.iter_mut().filter(|(n, _)| n == "sign").for_each(|(_, v)| *v = fresh.clone());
        }
        assert_eq!(send(&sim, &fields)["error_msg"], want, "{name}={value}");
    }
    let upper = get(&good, "sign").to_uppercase();
    let mut fields = good.clone();
    fields.iter_mut().filter(|(n, _)| n == "sign").for_each(|(_, v)| *v = upper.clone());
    assert_eq!(send(&sim, &fields)["error_msg"], "ERR_SIGN");
    let log = control(&sim, "GET", "/_sim/requests", Value::Null);
    let last = log.as_array().and_then(|l| l.last()).expect("an entry");
    assert_eq!(last["signature"]["differs"], "the sign is in upper case; it must be lower case");
    let names = json!({"error_names": {"sign": "SIGN_WRONG"}, "failure_http_status": 500});
    control(&sim, "POST", "/_sim/yopoint/settings", names);
    let answer = exchange(&sim, &post(GATEWAY, "application/x-www-form-urlencoded", &form(&fields)));
    assert_eq!((answer.status, answer.json()["error_msg"].as_str()), (500, Some("SIGN_WRONG")));
}

#[test]
fn extra_parameters_are_signed_too() {
    let sim = start();
    let mut fields = common_fields("api.test", "{}", &now(&sim).to_string());
    fields.push(("zone".into(), "a b&c=柜".into()));
    assert_eq!(send(&sim, &fields)["error_msg"], "ERR_SIGN");
    fields.retain(|(n, _)| n != "sign");
    fields.push(("sign".into(), sign(&fields, SECRET)));
    assert_eq!(send(&sim, &fields)["error_code"], 0);
}

#[test]
fn permissions_and_accounts() {
    let sim = start();
    let accounts = json!({"accounts": [{"appid": APPID, "secret": SECRET, "methods": ["api.test"]}]});
    control(&sim, "POST", "/_sim/yopoint/settings", accounts);
    data(&sim, "api.test", json!({}));
    assert_eq!(refusal(&sim, "cabinet.list", json!({})), "ERR_NO_PERMISSION");
    let (status, answer) = sim.control("POST", "/_sim/yopoint/settings", json!({"no_such": 1}));
    assert_eq!(status, 400);
    assert!(answer["error"].as_str().expect("a sentence").contains("unknown field `no_such`"));
}

#[test]
fn cabinet_list_pages_like_the_vendor() {
    let sim = start();
    let page = data(&sim, "cabinet.list", json!({"Page": 1, "PageSize": 10}));
    assert_eq!((&page["total"], &page["from"], &page["to"]), (&json!(5), &json!(0), &json!(10)));
    assert_eq!(page["data"][0]["CID"], CABINET);
    assert_eq!(page["data"][1]["CabinetCount"], 2);
    assert_eq!(page["data"][2]["OnlineStatus"], 0);
    assert_eq!(page["data"][3]["SellStatus"], 0);
    control(&sim, "POST", "/_sim/yopoint/generate", json!({"cabinets": 42}));
    let page = data(&sim, "cabinet.list", json!({"page": 2, "pagesize": 2}));
    let numbers = ["total", "last_page", "from", "to", "current_page", "per_page"].map(|n| page[n].clone());
    assert_eq!(json!(numbers), json!([47, 24, 2, 4, 2, 2]));
    assert_eq!(page["data"].as_array().map(Vec::len), Some(2));
}

#[test]
fn stock_of_one_cabinet() {
    let sim = start();
    let page = data(&sim, "cabinet.product.stock", json!({"cid": CABINET}));
    let first = &page["data"][0];
    assert_eq!((&first["Stock"], &first["Price"]), (&json!(10), &json!(200)));
    assert_eq!(first["ProductVO"]["Name"], "农家矿泉水 550ml");
    assert_eq!(first["CargoList"][0]["Row"], 1);
    assert!(first.get("ReplenishStock").is_none());
    let full = data(
        &sim,
        "cabinet.product.stock.with.replenishment",
        json!({"cid": CABINET, "accountId": "a", "pageSize": 1}),
    );
    assert_eq!(full["data"][0]["ReplenishStock"], 2);
    assert_eq!(full["last_page"], 4);
    assert_eq!(refusal(&sim, "cabinet.product.stock", json!({})), "MISSING_PARAMS_CID");
    assert_eq!(refusal(&sim, "cabinet.product.stock", json!({"CID": "0"})), "ERR_CABINET_NOT_EXIST");
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"stock_shape": "array"}));
    assert!(data(&sim, "cabinet.product.stock", json!({"cid": CABINET})).is_array());
}

#[test]
fn order_list_in_both_shapes() {
    let sim = start();
    let (end, start_s) = (now(&sim), now(&sim) - 7 * 86_400);
    let query = json!({"page": 1, "StartTime": start_s, "EndTime": end, "pageSize": 20});
    let list = data(&sim, "cabinet.order.list", query.clone());
    let orders = list.as_array().expect("a bare list");
    assert_eq!(orders.len(), 3);
    assert_eq!(orders[0]["DoorStatus"], -1);
    assert_eq!((&orders[2]["Price"], &orders[2]["PayType"]), (&json!(400), &json!(202)));
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"order_list_shape": "paginator"}));
    assert_eq!(data(&sim, "cabinet.order.list", query.clone())["total"], 3);
    let mut lower = query.clone();
    lower["startTime"] = lower["StartTime"].take();
    lower["EndTime"] = json!(start_s);
    lower.as_object_mut().expect("an object").shift_remove("StartTime");
    assert_eq!(data(&sim, "cabinet.order.list", lower)["total"], 0);
    let mut big = query.clone();
    big["pageSize"] = json!(101);
    assert_eq!(refusal(&sim, "cabinet.order.list", big.clone()), "ERR_PARAMS");
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"page_size_over_max": "clamp"}));
    assert_eq!(data(&sim, "cabinet.order.list", big)["per_page"], 100);
    let mut short = query;
    short["pageSize"] = Value::Null;
    assert_eq!(refusal(&sim, "cabinet.order.list", short), "MISSING_PARAMS_PAGESIZE");
}

#[test]
fn a_million_orders_are_made_page_by_page() {
    let sim = start();
    control(
        &sim,
        "POST",
        "/_sim/yopoint/generate",
        json!({"cabinets": 1000, "stock_lines": 500, "orders": 1_000_000, "end_s": 1_700_000_000}),
    );
    let settings = json!({"order_list_shape": "paginator"});
    control(&sim, "POST", "/_sim/yopoint/settings", settings);
    let query = |page: i64| json!({"page": page, "StartTime": 0, "EndTime": 1_700_000_000, "pageSize": 100});
    let last = data(&sim, "cabinet.order.list", query(10_000));
    assert_eq!((&last["total"], &last["last_page"]), (&json!(1_000_000), &json!(10_000)));
    assert_eq!(last["data"].as_array().map(Vec::len), Some(100));
    let order = &last["data"][99];
    let receipt = order["ReceiptNo"].as_str().expect("a number");
    assert_eq!(receipt.len(), 20);
    assert_eq!(&data(&sim, "cabinet.order.get", json!({"ReceiptNo": receipt})), order);
    assert_eq!(&data(&sim, "cabinet.order.get", json!({"TradeNo": order["TradeNo"]})), order);
    let beyond = data(&sim, "cabinet.order.list", query(10_001));
    assert_eq!(beyond["data"], json!([]));
    let listed = data(&sim, "cabinet.list", json!({"Page": 1, "PageSize": 6}));
    let stock = json!({"cid": listed["data"][5]["CID"], "page": 50, "pageSize": 10});
    assert_eq!(data(&sim, "cabinet.product.stock", stock)["total"], 500);
}

#[test]
fn order_get_and_the_key_that_stands_twice() {
    let sim = start();
    let orders = control(&sim, "GET", "/_sim/yopoint/orders", Value::Null);
    let receipt = orders[0]["ReceiptNo"].clone();
    let order = data(&sim, "cabinet.order.get", json!({"ReceiptNo": receipt}));
    assert_eq!((&order["CID"], &order["DeviceCode"]), (&json!(CABINET), &json!("A001")));
    assert_eq!(order["TerminalName"], "一号柜(大厅)");
    assert!(order.get("_sim").is_none());
    assert_eq!(data(&sim, "cabinet.order.get", json!({"TradeNo": order["TradeNo"]})), order);
    assert_eq!(refusal(&sim, "cabinet.order.get", json!({})), "MISSING_PARAMS_RECEIPTNO");
    assert_eq!(refusal(&sim, "cabinet.order.get", json!({"ReceiptNo": "VI0"})), "ERR_ORDER_NOT_EXIST");
    control(
        &sim,
        "POST",
        "/_sim/yopoint/settings",
        json!({"duplicate_door_status": true, "sub_error_fields": false}),
    );
    let request = gateway_request(&sim, "cabinet.order.get", &json!({"ReceiptNo": receipt}));
    let text = exchange(&sim, &request).text();
    assert!(text.contains(r#""DoorStatus":1,"DoorStatus":0,"#), "{text}");
    assert!(!text.contains("sub_error"));
}

#[test]
fn vending_orders() {
    let sim = start();
    let query = json!({"Page": 1, "StartTime": 0, "EndTime": now(&sim)});
    let orders = data(&sim, "consumer.order.list", query);
    assert_eq!(orders.as_array().map(Vec::len), Some(3));
    let order = data(&sim, "consumer.order.get", json!({"ReceiptNo": orders[1]["ReceiptNo"]}));
    assert_eq!(order["ShipmentsStatus"], -1);
    assert_eq!(order["UserRefundsReason"], "REFUNDS_REASON_DELIVERY_FAIL");
    for name in ["TID", "PayType", "ProductName", "Price", "OriginalPrice", "CreateAt", "id"] {
        assert!(order.get(name).is_some(), "{name}");
    }
    assert_eq!(refusal(&sim, "consumer.order.create", json!({"OpenID": "o"})), "MISSING_PARAMS_TOKEN");
    let new = data(&sim, "consumer.order.create", json!({"Token": "t", "OpenID": "o"}));
    assert!(new["ReceiptNo"].as_str().is_some_and(|r| r.starts_with("OD")));
    let update = json!({"ReceiptNo": new["ReceiptNo"], "UserRefundsStatus": 2});
    data(&sim, "consumer.order.refunds.update", update);
    assert_eq!(refusal(&sim, "terminal.product.layout.get", json!({})), "MISSING_PARAMS_TID");
    assert_eq!(refusal(&sim, "terminal.terminal.get", json!({"TID": "0"})), "ERR_TERMINAL_NOT_EXIST");
    let terminals = data(&sim, "terminal.terminal.list", json!({"Page": 1}));
    let layout = data(&sim, "terminal.product.layout.get", json!({"TID": terminals["data"][0]["TID"]}));
    assert_eq!(layout[0]["Stock"], 6);
}

#[test]
fn replenishing_and_shelving() {
    let sim = start();
    let list = |barcode: &str, stock: i64| json!({"cid": CABINET, "accountId": "a", "productList": [{"BarCode": barcode, "Stock": stock}]});
    let done = data(&sim, "cabinet.product.replenish", list("6900000000011", 30));
    assert_eq!(done["ProductList"], json!([{"BarCode": "6900000000011", "BeforeStock": 10, "Stock": 30}]));
    assert_eq!((&done["TotalSupplementQuantity"], &done["TotalStock"]), (&json!(20), &json!(55)));
    let failed = call(&sim, "cabinet.product.replenish", list("123", 1));
    assert_eq!(failed, json!({"error_code": -1, "error_msg": "ERR_BARCODE_OUTSTOCK", "data": "123"}));
    assert_eq!(refusal(&sim, "cabinet.product.replenish", list("6900000000011", 1001)), "ERR_PARAMS");
    let cargo = json!({"cid": CABINET, "cargoes": [{"row": 1, "col": 1, "barcode": ""}, {"row": 3, "col": 1, "barcode": "6900000000059", "defaultPrice": 990}]});
    let after = data(&sim, "cabinet.shelving.unshelving.cargo", cargo);
    assert_eq!(after["afterCargoes"].as_array().map(Vec::len), Some(4));
    let pay = json!({"PayUrl": "https://localhost/pay", "SignKey": "k", "SubPayType": [1, 2]});
    data(&sim, "operators.config.thirdpay.set", pay.clone());
    assert_eq!(data(&sim, "operators.config.thirdpay.get", json!({})), pay);
    assert!(data(&sim, "product.category.list", json!({})).is_array());
    assert_eq!(refusal(&sim, "activity.voucher.get", json!({})), "MISSING_PARAMS_VOUCHERID");
}

#[test]
fn one_connection_carries_many_requests() {
    let sim = start();
    let mut socket = plain(&sim);
    for _ in 0..3 {
        socket.write_all(&gateway_request(&sim, "api.test", &json!({}))).expect("it reads");
        let answer = read_answer(&mut socket).expect("an answer");
        assert_eq!(answer.header("connection"), Some("keep-alive"));
    }
    let stats = control(&sim, "GET", "/_sim/stats", Value::Null);
    assert_eq!((&stats["connections"], &stats["requests"]), (&json!(1), &json!(3)));
    assert_eq!(stats["by_operation"]["yopoint api.test"], 3);
    let fields = form(&common_fields("api.test", "{}", &now(&sim).to_string()));
    let (a, b) = fields.split_at(20);
    let head = format!(
        "POST {GATEWAY} HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let chunks = format!("{:x}\r\n{a}\r\n{:x}\r\n{b}\r\n0\r\n\r\n", a.len(), b.len());
    socket.write_all(head.as_bytes()).expect("it reads");
    let mut interim = [0u8; 25];
    std::io::Read::read_exact(&mut socket, &mut interim).expect("100 Continue");
    socket.write_all(chunks.as_bytes()).expect("it reads");
    assert_eq!(read_answer(&mut socket).expect("an answer").json()["error_code"], 0);
    socket.write_all(b"nonsense\r\n\r\n").expect("it reads");
    assert_eq!(read_answer(&mut socket).expect("an answer").status, 400);
}
