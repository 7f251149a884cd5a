use super::*;
use crate::config::Config;
use crate::error::Advice;
use crate::event::{EventKind, SignedWith};
use crate::transport::{Headers, Timing};

const ID: &str = "testclient0000001";
const SECRET: &str = "testsecret00000000000000000000001";
const MSG: &str =
    "%7B%22tid%22%3A%22E20200101000000000000001%22%2C%22update_time%22%3A%222020-01-01+00%3A00%3A00%22%7D";
const BODY: &str = r#"{"client_id":"testclient0000001","id":"E20200101000000000000001","kdt_id":123456,"kdt_name":"demo","mode":1,"msg":"%7B%22tid%22%3A%22E20200101000000000000001%22%2C%22update_time%22%3A%222020-01-01+00%3A00%3A00%22%7D","msg_id":"00000000-0000-0000-0000-000000000001","sendCount":0,"sign":"c552af0878e7cc913be38131be2be0c5","status":"TRADE_SUCCESS","test":false,"type":"trade_TradeSuccess","version":1577808000}"#;
const EVENT_SIGN: &str = "c0504aad04091bd61ed004bd82d237a2";

fn youzan() -> Youzan {
    let mut c = Config::new("youzan").unwrap();
    c.set("client_id", ID).unwrap();
    c.set("client_secret", SECRET).unwrap();
    c.set("grant_id", "123456").unwrap();
    Youzan::new(&c).unwrap()
}

fn reply(status: u16, body: &str) -> Reply {
    Reply { status, headers: Headers::default(), body: body.as_bytes().to_vec(), timing: Timing::default() }
}

fn sent(op: &Op<'_>) -> (String, String) {
    let y = youzan();
    let draft = Speaks::draft(&y, op).unwrap();
    let request = (draft.seal)(&Moment { now_ms: 0, token: "t/1" });
    (request.url.path_and_query, String::from_utf8(request.body).unwrap())
}

fn refused(op: &Op<'_>) -> (kl_status, String) {
    let y = youzan();
    let e = y.nature(op).and_then(|_| Speaks::draft(&y, op).map(drop)).unwrap_err();
    (e.status(), e.message().to_owned())
}

fn ask(op: &Op<'_>, body: &str) -> Result<Answer> {
    Speaks::answer(&youzan(), op, &reply(200, body))
}

fn call(method: &str) -> Op<'_> {
    Op::Call { method, params_json: "{}" }
}

fn redeem(kind: CodeKind, code: &str) -> RedeemRequest {
    RedeemRequest {
        request_id: "r".into(),
        kind,
        code: code.into(),
        redeemer: "kiosk 7".into(),
        ..Default::default()
    }
}

const PLAIN: Op<'static> = Op::Call { method: "youzan.x.get/1.0.0", params_json: "{}" };

#[test]
fn each_verb_goes_to_its_api() {
    let page = PageRequest { number: 2, size: 0 };
    let pickup = redeem(CodeKind::Pickup, "selfFetch39376699756");
    let r#virtual = redeem(CodeKind::Virtual, "E20181214153957069700019");
    let ticket = redeem(CodeKind::Voucher, "276633293636");
    let qr = redeem(CodeKind::Voucher, "20170419121159615597");
    let order = OrderRef { order_no: "E20190312105415047400001".into(), ..Default::default() };
    let query = OrderQuery { from: 1_577_808_000, to: 1_577_808_059, ..Default::default() };
    let code = |kind, code: &str| CodeQuery { kind, code: code.into(), ..Default::default() };
    let (a, b, c) = (
        code(CodeKind::Pickup, "39376699756"),
        code(CodeKind::Virtual, "E2"),
        code(CodeKind::Voucher, "20170419121159615597"),
    );
    for (op, path, body) in [
        (Op::CodeRedeem(&pickup), SELFFETCH_APPLY, r#"{"code":"39376699756","extra_info":"kiosk 7"}"#),
        (Op::CodeRedeem(&r#virtual), VIRTUALCODE_APPLY, r#"{"code":"E20181214153957069700019"}"#),
        (Op::CodeRedeem(&ticket), TICKET_VERIFY, r#"{"ticket_code":"276633293636"}"#),
        (Op::CodeRedeem(&qr), TICKET_VERIFY_ALL, r#"{"code":"20170419121159615597"}"#),
        (Op::CodeLookup(&a), SELFFETCH_GET, r#"{"code":"39376699756"}"#),
        (Op::CodeLookup(&b), VIRTUALCODE_GET, r#"{"code":"E2"}"#),
        (Op::CodeLookup(&c), TICKET_GET, r#"{"code":"20170419121159615597"}"#),
        (Op::OrderGet(&order), TRADE_GET, r#"{"tid":"E20190312105415047400001"}"#),
        (
            Op::OrderList { query: &query, page },
            TRADES_SOLD_GET,
            r#"{"start_created":"2020-01-01 00:00:00","end_created":"2020-01-01 00:00:59","page_no":2,"page_size":100}"#,
        ),
        (Op::CabinetList { page }, OFFLINE_SEARCH, r#"{"type":"self_fetch","page_no":2,"page_size":100}"#),
        (
            Op::Stock { cabinet_id: "", page, extra_json: Some(r#"{"tag_id":5}"#) },
            ITEMS_ONSALE_GET,
            r#"{"page_no":2,"page_size":100,"tag_id":5}"#,
        ),
        (call("_textarea_/youzan.x/1.0.0"), "_textarea_/youzan.x/1.0.0", "{}"),
    ] {
        assert_eq!(sent(&op), (format!("/api/{path}?access_token=t%2F1"), body.to_owned()));
        assert!(youzan().needed(&op));
    }
    let exempt = call("auth_exempt/youzan.x/1.0.0");
    assert_eq!(sent(&exempt).0, "/api/auth_exempt/youzan.x/1.0.0");
    assert!(!youzan().needed(&exempt));
}

#[test]
fn what_cannot_be_sent_is_refused_in_words() {
    for method in
        ["", "youzan.trade.get", "youzan.trade.get/4.0", "a b.c/1.0.0", "youzan.x/1.0.0?y", "../x.y/1.0.0"]
    {
        assert_eq!(refused(&call(method)).0, KL_E_ARGUMENT, "{method}");
    }
    for name in COMMANDS {
        let method = format!("{name}/3.0.0");
        let (status, message) = refused(&call(&method));
        assert!(status == KL_E_ARGUMENT && message.contains("kl_code_redeem"));
    }
    let ticket = CodeQuery { kind: CodeKind::Voucher, code: "276633293636".into(), ..Default::default() };
    assert!(refused(&Op::CodeLookup(&ticket)).1.contains("20 digits"));
    let odd = redeem(CodeKind::Voucher, "12345");
    assert_eq!(refused(&Op::CodeRedeem(&odd)).0, KL_E_ARGUMENT);
    let long = OrderQuery { from: 0, to: LONGEST_PERIOD_S, ..Default::default() };
    let page = PageRequest { number: 1, size: 0 };
    assert!(refused(&Op::OrderList { query: &long, page }).1.contains("three months"));
    let far = PageRequest { number: 101, size: 10 };
    assert_eq!(refused(&Op::CabinetList { page: far }).0, KL_E_ARGUMENT);
    let stock = Op::Stock { cabinet_id: "", page: PageRequest { number: 40, size: 100 }, extra_json: None };
    assert!(refused(&stock).1.contains("4000"));
    assert_eq!(refused(&Op::UserGet).0, KL_E_UNSUPPORTED);
}

#[test]
fn to_set_a_number_may_be_repeated_and_to_add_one_may_not() {
    let nature = |method, params_json| youzan().nature(&Op::Call { method, params_json }).unwrap();
    let update = "youzan.item.quantity.update/3.0.0";
    assert_eq!(nature(update, r#"{"item_id":1,"quantity":5}"#), Nature::Repeatable);
    assert_eq!(nature(update, r#"{"item_id":1,"quantity":5,"type":0}"#), Nature::Repeatable);
    assert_eq!(nature(update, r#"{"item_id":1,"quantity":5,"type":1}"#), Nature::Write);
    assert_eq!(nature(update, r#"{"item_id":1,"quantity":5,"type":"1"}"#), Nature::Write);
    assert_eq!(nature("youzan.logistics.expressbyorderno.get/3.0.0", "{}"), Nature::Read);
    assert_eq!(nature("youzan.retail.open.query.warehousestock/1.0.0", "{}"), Nature::Read);
    assert_eq!(nature("youzan.logistics.online.marksign/3.0.0", "{}"), Nature::Write);
}

#[test]
fn the_four_shapes() {
    for (body, want) in [
        (r#"{"trace_id":"x","code":200,"success":true,"data":{"a":1},"message":"successful"}"#, r#"{"a":1}"#),
        (r#"{"code":200,"success":true,"data":true}"#, "true"),
        (r#"{"code":200,"success":true,"data":null}"#, "null"),
        (r#"{"response":{"a":2}}"#, r#"{"a":2}"#),
        (r#"{"response":true}"#, "true"),
        (r#"{"success":true,"code":{"nu":"1"},"message":"ok"}"#, r#"{"nu":"1"}"#),
    ] {
        match ask(&PLAIN, body).unwrap() {
            Answer::Json(json) => assert_eq!(json, want),
            other => panic!("{other:?}"),
        }
    }
    for (body, code, status, words) in [
        (
            r#"{"trace_id":"x","code":5000,"success":false,"data":{},"message":"trade not found","request_id":null}"#,
            5000,
            KL_E_NOT_FOUND,
            "trade not found",
        ),
        (
            r#"{"gw_err_resp":{"trace_id":"x","err_code":4203,"err_msg":"Token 不存在"}}"#,
            4203,
            KL_E_AUTH,
            "Token 不存在",
        ),
        (
            r#"{"error_response":{"code":50000,"msg":"不能重复核销订单!","sub_msg":"again"}}"#,
            50_000,
            KL_E_CODE_USED,
            "不能重复核销订单!: again",
        ),
        (r#"{"code":"4101","msg":"访问频繁"}"#, 4101, KL_E_RATE_LIMIT, "访问频繁"),
        (r#"{"msg":"请求被限流","code":500100004}"#, 500_100_004, KL_E_RATE_LIMIT, "请求被限流"),
        (
            r#"{"gw_err_resp":{"err_code":"4101","err_msg":"请求太频繁"}}"#,
            4101,
            KL_E_RATE_LIMIT,
            "请求太频繁",
        ),
        (r#"{"code":200,"success":false,"message":"odd"}"#, 200, KL_E_PLATFORM, "odd"),
    ] {
        let e = ask(&PLAIN, body).unwrap_err();
        let d = e.details();
        assert_eq!((d.platform_code, d.status, d.platform_message.as_str()), (code, status, words), "{body}");
        assert_eq!(d.retry_after_ms, if status == KL_E_RATE_LIMIT { 3000 } else { 0 });
    }
    for body in [
        "",
        "<html>",
        "{}",
        "[]",
        r#"{"data":{}}"#,
        r#"{"gw_err_resp":{}}"#,
        r#"{"code":200,"code":5000,"success":true}"#,
    ] {
        assert_eq!(ask(&PLAIN, body).unwrap_err().status(), KL_E_PROTOCOL, "{body}");
    }
    let under_500 = Speaks::answer(&youzan(), &PLAIN, &reply(500, r#"{"response":{}}"#)).unwrap_err();
    assert_eq!(under_500.status(), KL_E_HTTP);
}

/// Every documented code with its text, what it becomes, and whether it proves that nothing was redeemed.
#[test]
#[rustfmt::skip]
fn codes() {
    let gateway = |code: i32, text: &str| format!(r#"{{"gw_err_resp":{{"err_code":{code},"err_msg":"{text}"}}}}"#);
    let service = |code: i32, text: &str| format!(r#"{{"code":{code},"success":false,"data":null,"message":"{text}"}}"#);
    let legacy = |code: i32, text: &str| format!(r#"{{"error_response":{{"code":{code},"msg":"{text}"}}}}"#);
    let fix = Advice::Fix;
    for (body, status, advice, proves) in [
        (gateway(4001, "非法请求地址"), KL_E_UNSUPPORTED, fix, true),
        (gateway(4004, "非法的Content"), KL_E_PARAMETER, fix, true),
        (gateway(4005, "非法的API"), KL_E_UNSUPPORTED, fix, true),
        (gateway(4006, "invalid mode"), KL_E_PARAMETER, fix, true),
        (gateway(4007, "非法的请求姿势，httpMethod:POST, contentType:text/plain"), KL_E_PARAMETER, fix, true),
        (gateway(4007, "源IP地址1.2.3.4非法调用有赞云"), KL_E_PERMISSION, fix, true),
        (gateway(4008, "接口不支持富文本"), KL_E_PARAMETER, fix, true),
        (gateway(4009, "openid 不存在"), KL_E_NOT_FOUND, Advice::None, true),
        (gateway(4010, "参数类型不匹配"), KL_E_PARAMETER, fix, true),
        (gateway(4101, "请求太频繁"), KL_E_RATE_LIMIT, Advice::Retry, true),
        (gateway(4201, "非法的请求凭证"), KL_E_AUTH, fix, true),
        (gateway(4202, "请求凭证过期"), KL_E_AUTH, fix, true),
        (gateway(4203, "请求凭证不存在"), KL_E_AUTH, fix, true),
        (gateway(4204, "无权限访问"), KL_E_PERMISSION, fix, true),
        (gateway(5001, "系统异常"), KL_E_PLATFORM, Advice::None, false),
        (gateway(5002, "业务异常"), KL_E_PLATFORM, Advice::Retry, false),
        (gateway(5003, "插件执行异常"), KL_E_PLATFORM, Advice::Retry, false),
        (service(5000, "trade not found"), KL_E_NOT_FOUND, Advice::None, true),
        (service(5000, "每页最多显示100条数据"), KL_E_PARAMETER, fix, true),
        (service(5000, "开始时间不能大于结束时间"), KL_E_PARAMETER, fix, true),
        (legacy(50000, "不能重复核销订单!"), KL_E_CODE_USED, Advice::None, true),
        (legacy(50000, "提货码（code）格式不正确"), KL_E_PARAMETER, fix, true),
        (legacy(50000, "找不到虚拟商品的交易码"), KL_E_NOT_FOUND, Advice::None, true),
        (legacy(50000, "没有该订单的电子卡券信息"), KL_E_NOT_FOUND, Advice::None, true),
        (legacy(50000, "电子码券不存在"), KL_E_NOT_FOUND, Advice::None, true),
        (legacy(5000, "电子码券不存在"), KL_E_NOT_FOUND, Advice::None, true),
        (legacy(50000, "订单不存在"), KL_E_NOT_FOUND, Advice::None, true),
        (legacy(50000, "出错了"), KL_E_PLATFORM, Advice::None, false),
        (legacy(53001, "id cannot be empty"), KL_E_PARAMETER, fix, true),
        (legacy(53002, ""), KL_E_PARAMETER, fix, true),
        (legacy(80001, "服务请求失败,请重试!"), KL_E_PLATFORM, Advice::Retry, false),
        (service(101300000, "订单不存在"), KL_E_NOT_FOUND, Advice::None, true),
        (service(101600002, "订单已被关闭无法核销"), KL_E_ORDER_STATE, Advice::None, true),
        (service(101600002, "订单已被核销,重复核销无效"), KL_E_CODE_USED, Advice::None, true),
        (service(102510001, ""), KL_E_NOT_READY, Advice::Retry, true),
        (service(102570007, ""), KL_E_ORDER_STATE, Advice::None, true),
        (service(102570020, ""), KL_E_ORDER_STATE, Advice::None, true),
        (service(102599996, ""), KL_E_PARAMETER, fix, true),
        (service(105000003, ""), KL_E_PARAMETER, fix, true),
        (service(105000016, ""), KL_E_NOT_FOUND, Advice::None, true),
        (service(106000001, ""), KL_E_PLATFORM, Advice::Retry, false),
        (service(106100118, ""), KL_E_PLATFORM, Advice::Retry, false),
        (service(106000003, ""), KL_E_PLATFORM, Advice::Retry, false),
        (service(106000004, ""), KL_E_PARAMETER, fix, true),
        (service(106100110, ""), KL_E_PARAMETER, fix, true),
        (service(120009001, "查询的数据不存在"), KL_E_NOT_FOUND, Advice::None, true),
        (service(121000100, "内部服务错误"), KL_E_PLATFORM, Advice::Retry, false),
        (service(122001001, ""), KL_E_NOT_FOUND, Advice::None, true),
        (service(123005001, "商品不存在"), KL_E_NOT_FOUND, Advice::None, true),
        (service(123000104, "不支持的库存更新类型:3"), KL_E_PARAMETER, fix, true),
        (service(123003023, ""), KL_E_PERMISSION, fix, true),
        (service(123004002, ""), KL_E_NOT_FOUND, Advice::None, true),
        (service(160900100, ""), KL_E_PARAMETER, fix, true),
        (service(160950100, ""), KL_E_PARAMETER, fix, true),
        (service(234000002, "业务异常仓库编码不能为空"), KL_E_PARAMETER, fix, true),
        (service(234000003, "商品不存在"), KL_E_NOT_FOUND, Advice::None, true),
        (service(500000000, ""), KL_E_PARAMETER, fix, true),
        (service(500000003, ""), KL_E_PLATFORM, Advice::Retry, false),
        (service(500100004, "请求被限流"), KL_E_RATE_LIMIT, Advice::Retry, true),
        (service(123000042, "请求被限流"), KL_E_RATE_LIMIT, Advice::Retry, true),
        (service(141500203, "api rate limiting"), KL_E_RATE_LIMIT, Advice::Retry, true),
        (service(999999999, "请求被限流"), KL_E_RATE_LIMIT, Advice::Retry, true),
    ] {
        let e = ask(&PLAIN, &body).unwrap_err();
        assert_eq!((e.status(), e.details().advice), (status, advice), "{body}");
        assert_eq!(youzan().proves_not_done(&e), proves, "{body}");
        let dead = matches!(e.details().platform_code, 4201..=4203);
        assert_eq!(youzan().is_dead(&e), dead, "{body}");
    }
    for (code, text, status) in [
        (1000, "应用信息错误", KL_E_AUTH),
        (1000, "Content type 'application/x-www-form-urlencoded;charset=UTF-8' not supported", KL_E_PARAMETER),
        (1004, "授权关系已过期", KL_E_TOKEN),
        (1005, "非法授权码", KL_E_AUTH),
        (1103, "Client 不存在", KL_E_AUTH),
        (1103, "授权关系不存在", KL_E_AUTH),
        (1105, "不支持的应用类型", KL_E_PERMISSION),
        (4101, "访问频繁", KL_E_RATE_LIMIT),
    ] {
        let e = TokenSource::answer(&youzan(), &reply(200, &service(code, text)), 0).unwrap_err();
        assert_eq!(e.status(), status, "{text}");
    }
    assert_eq!([1, 2, 3, 4, 5, 9].map(|n| youzan().rate_pause_ms(n) / 1000), [3, 6, 12, 24, 48, 48]);
}

#[test]
fn tokens_are_asked_for_the_gentle_way() {
    let y = youzan();
    let old = Token { access: "a".into(), refresh: "r".into(), expires_ms: 0 };
    let body = |way| {
        let draft = TokenSource::draft(&y, way, Some(&old)).unwrap();
        let request = (draft.seal)(&Moment { now_ms: 0, token: "" });
        assert_eq!(request.url.path_and_query, "/auth/token");
        String::from_utf8(request.body).unwrap()
    };
    let head = format!(r#"{{"client_id":"{ID}","client_secret":"{SECRET}","authorize_type":"#);
    assert_eq!(body(Way::Usual), head.clone() + r#""silent","grant_id":"123456","refresh":false}"#);
    assert_eq!(body(Way::Forced), head.clone() + r#""silent","grant_id":"123456","refresh":true}"#);
    assert_eq!(body(Way::Exchange), head + r#""refresh_token","refresh_token":"r"}"#);

    let answer = |body: &str| TokenSource::answer(&y, &reply(200, body), 0);
    let whole = r#"{"success":true,"code":200,"data":{"expires":1583720718116,"scope":"trade","access_token":"abc","refresh_token":"def","authority_id":"1"},"message":null}"#;
    let token = Token { access: "abc".into(), refresh: "def".into(), expires_ms: 1_583_720_718_116 };
    assert_eq!(answer(whole).unwrap(), token);
    let bare = r#"{"success":true,"code":200,"data":{"expires":"1583720718116","access_token":"abc"}}"#;
    assert_eq!(answer(bare).unwrap(), Token { refresh: String::new(), ..token });
    assert_eq!(answer(r#"{"success":true,"code":200,"data":{}}"#).unwrap_err().status(), KL_E_PROTOCOL);
    assert_eq!(
        answer(r#"{"success":true,"code":200,"data":{"access_token":"a"}}"#).unwrap_err().status(),
        KL_E_PROTOCOL
    );
}

#[test]
fn codes_are_looked_up_and_redeemed() {
    let look = |kind, body: &str| {
        let q = CodeQuery { kind, code: "c".repeat(20).replace('c', "1"), ..Default::default() };
        match ask(&Op::CodeLookup(&q), body).unwrap() {
            Answer::Code(code) => *code,
            other => panic!("{other:?}"),
        }
    };
    let code = look(
        CodeKind::Pickup,
        r#"{"response":{"code":"39376699756","status":1,"tid":"E1","extra_info":"13800000000","trade":{"tid":"E1","status":"TRADE_BUYER_SIGNED","payment":"0.29","refunded_fee":"0.00","created":"2016-04-18 17:00:00","pay_time":"","shipping_type":"fetch","fetch_detail":{"shop_id":42},"orders":[{"oid":1,"item_id":"7","num":"2","title":"tea","price":"0.10","total_fee":"0.20"}]}}}"#,
    );
    assert_eq!(
        (code.state, code.order_no.as_str(), code.cabinet_id.as_str(), code.product_id.as_str()),
        (CodeState::Used, "E1", "42", "7")
    );
    let order = code.order.unwrap();
    assert_eq!((order.amount, order.lines[0].quantity, order.lines[0].price), (29, 2, 10));
    let code = look(
        CodeKind::Virtual,
        r#"{"response":{"code":"E2","status":2,"tid":"E2","use_time":"2020-01-01 00:00:00","send_time":""}}"#,
    );
    assert_eq!((code.state, code.used_at), (CodeState::Used, 1_577_808_000));
    let tickets = |a, b| {
        look(
            CodeKind::Voucher,
            &format!(
                r#"{{"code":200,"success":true,"data":{{"code":"1","tid":"E3","tickets":[{{"ticket_code":"276633293636","ticket_state":"{a}","verify_time":""}},{{"ticket_code":"2","ticket_state":"{b}","verify_time":"2020-01-01 00:00:00"}}]}}}}"#
            ),
        )
    };
    for (a, b, want) in [
        ("NOT_VERIFY", "VERIFIED", CodeState::Unused),
        ("NOT_VERIFIED", "NOT_VERIFY", CodeState::Unused),
        ("VERIFIED", "VERIFIED", CodeState::Used),
        ("EXPIRED", "EXPIRED", CodeState::Expired),
        ("REFUNDING", "REFUNDING", CodeState::Refunding),
        ("DISABLED", "DISABLED", CodeState::Disabled),
        ("VERIFIED", "EXPIRED", CodeState::Unknown),
        ("NEW", "NEW", CodeState::Unknown),
    ] {
        let code = tickets(a, b);
        assert_eq!((code.state, code.quantity), (want, 2), "{a} {b}");
    }

    let r = redeem(CodeKind::Pickup, "1");
    for yes in [
        r#"{"response":{"is_success":true}}"#,
        r#"{"response":{"code":1,"successful":true,"msg":"successful"}}"#,
        r#"{"code":200,"success":true,"data":true}"#,
    ] {
        assert!(matches!(ask(&Op::CodeRedeem(&r), yes).unwrap(), Answer::Taken(_)), "{yes}");
    }
    for odd in [
        r#"{"response":{"is_success":false}}"#,
        r#"{"response":{}}"#,
        r#"{"code":200,"success":true,"data":null}"#,
    ] {
        let e = ask(&Op::CodeRedeem(&r), odd).unwrap_err();
        assert!(e.status() == KL_E_PROTOCOL && !youzan().proves_not_done(&e), "{odd}");
    }
    let Some(Query::Code(query)) = youzan().fate_query(&Act::Redeem(r)) else { panic!("no lookup") };
    assert_eq!(query.code, "1");
    assert!(youzan().fate_query(&Act::Redeem(redeem(CodeKind::Voucher, "276633293636"))).is_none());
}

const FULL: &str = r#"{"delivery_order":[],"order_promotion":{},"refund_order":[{"refund_id":"1","refund_fee":"0.10","refund_time":""}],"full_order_info":{"order_info":{"tid":"E1","status":"WAIT_SELLER_SEND_GOODS","express_type":1,"refund_state":2,"pay_type":10,"created":"2020-01-01 00:00:00","pay_time":"2020-01-01 00:00:05","consign_time":"","order_tags":{"is_payed":true}},"orders":[{"oid":"1","item_id":5,"title":"tea","num":3,"price":"1.10","total_fee":"3.30","payment":"3.30","points_price":"0","sku_properties_name":"[]","sku_id":0}],"pay_info":{"payment":"3.29","total_fee":"3.30","outer_transactions":["4200"],"transaction":["2001"]},"address_info":{"self_fetch_info":"{\"id\":77,\"name\":\"door\"}"},"buyer_info":{"yz_open_id":"yz1"},"remark_info":{}}}"#;

#[test]
fn orders_goods_and_points() {
    let r = OrderRef { order_no: "E1".into(), ..Default::default() };
    let Answer::Order(order) =
        ask(&Op::OrderGet(&r), &format!(r#"{{"code":200,"success":true,"data":{FULL}}}"#)).unwrap()
    else {
        panic!()
    };
    assert_eq!(
        (order.order_no.as_str(), order.trade_no.as_str(), order.cabinet_id.as_str()),
        ("E1", "4200", "77")
    );
    assert_eq!((order.payment, order.delivery), (PaymentState::Paid, DeliveryState::AwaitingPickup));
    assert_eq!((order.amount, order.refunded, order.paid_at), (329, 10, 1_577_808_005));
    assert_eq!((order.lines[0].price, order.lines[0].total, order.lines[0].quantity), (110, 330, 3));
    let e = ask(
        &Op::OrderGet(&r),
        r#"{"code":200,"success":true,"data":{"full_order_info":{"order_info":{"tid":"E1","pay_time":"soon"}}}}"#,
    );
    assert_eq!(e.unwrap_err().message(), "the answer: data.order_info.pay_time is no time");

    let query = OrderQuery::default();
    let page = PageRequest { number: 1, size: 0 };
    let body = format!(
        r#"{{"code":200,"success":true,"data":{{"total_results":7,"full_order_info_list":[{FULL}]}}}}"#
    );
    let Answer::Orders(orders) = ask(&Op::OrderList { query: &query, page }, &body).unwrap() else {
        panic!()
    };
    assert_eq!((orders.total, orders.items.len()), (Some(7), 1));

    let goods = r#"{"item_id":1,"alias":"x","title":"tea","price":329,"quantity":"4","item_no":"n1","image":"i","created_time":"2020-01-01 00:00:00"}"#;
    for body in [
        format!(r#"{{"code":200,"success":true,"data":{{"count":1,"items":[{goods}]}}}}"#),
        format!(r#"{{"code":200,"success":true,"data":[{goods}],"count":1}}"#),
        format!(r#"{{"code":200,"success":true,"data":null,"items":[{goods}],"count":"1"}}"#),
        format!(r#"{{"response":{{"count":1,"items":[{goods}]}}}}"#),
    ] {
        let op = Op::Stock { cabinet_id: "", page, extra_json: None };
        let Answer::Stock(stock) = ask(&op, &body).unwrap() else { panic!() };
        let item = &stock.items[0];
        assert_eq!(
            (stock.total, item.price, item.stock, item.product_id.as_str()),
            (Some(1), 329, 4, "n1"),
            "{body}"
        );
    }
    for point in [
        r#"{"id":906901817,"name":"A","lng":"113.9","lat":22.5,"province":"P","city":"C","area":"D","address":"S"}"#,
        r#"{"id":"906901817","name":"A","isSelfFetch":"1","lng":113.9,"lat":"22.5","province":"P","city":"C","area":"D","address":"S","businessHoursAdvanced":[]}"#,
    ] {
        let body = format!(r#"{{"response":{{"list":[{point}],"count":"1"}}}}"#);
        let Answer::Cabinets(list) = ask(&Op::CabinetList { page }, &body).unwrap() else { panic!() };
        let c = &list.items[0];
        assert_eq!(
            (c.id.as_str(), c.address.as_str(), c.longitude, c.latitude),
            ("906901817", "PCDS", 113.9, 22.5)
        );
    }
}

fn event(headers: &str, body: &str) -> Result<Event> {
    youzan().event(headers, body.as_bytes(), 0)
}

#[test]
fn messages_are_verified_by_either_signature() {
    let head = format!("Host: x\r\nevent-sign: {EVENT_SIGN}\r\n");
    let e = event(&head, BODY).unwrap();
    assert_eq!(
        (e.kind, e.signed_with, e.version),
        (EventKind::OrderFinished, SignedWith::AppSecret, 1_577_808_000)
    );
    assert_eq!((e.order_no.as_str(), e.at), ("E20200101000000000000001", 1_577_808_000));
    assert_eq!(e.json, r#"{"tid":"E20200101000000000000001","update_time":"2020-01-01 00:00:00"}"#);
    assert_eq!(e.notice_id, "00000000-0000-0000-0000-000000000001");
    let e = event("", BODY).unwrap();
    assert_eq!(e.signed_with, SignedWith::ContentOnly);
    assert!(BODY.contains(MSG));

    let refused = |headers: &str, body: &str| event(headers, body).unwrap_err().status();
    // One changed byte anywhere; a header that does not fit is not made good by the body.
    assert_eq!(refused(&head, &BODY.replace("123456", "123457")), KL_E_EVENT_SIGNATURE);
    assert_eq!(refused("Event-Sign: 00", BODY), KL_E_EVENT_SIGNATURE);
    assert_eq!(refused("", &BODY.replace("%7D", "%7d")), KL_E_EVENT_SIGNATURE);
    assert_eq!(refused("", &BODY.replace(r#""sign":"c5"#, r#""sign":"zz"#)), KL_E_EVENT_SIGNATURE);
    assert_eq!(refused("", r#"{"msg":"x"}"#), KL_E_EVENT_SIGNATURE);
    assert_eq!(refused("", ""), KL_E_EVENT);
    assert_eq!(refused("", "<xml>"), KL_E_EVENT);
}

fn signed(fields: &str) -> Result<Event> {
    use md5::{Digest, Md5};
    let body = format!("{{{fields}}}");
    let sum = Md5::digest([ID, &body, SECRET].concat());
    let hex: String = sum.iter().map(|b| format!("{b:02x}")).collect();
    event(&format!("Event-Sign: {hex}"), &body)
}

#[test]
fn messages_say_what_happened() {
    let mut msg = String::new();
    form::escape(&mut msg, FULL);
    let e = signed(&format!(
        r#""type":"trade_TradePaid","status":"TRADE_PAID","id":"E1","msg_id":"m","version":1,"msg":"{msg}""#
    ))
    .unwrap();
    assert_eq!((e.kind, e.amount, e.at, e.lines.len()), (EventKind::OrderPaid, 329, 1_577_808_005, 1));
    assert_eq!((e.cabinet_id.as_str(), e.trade_no.as_str()), ("77", "4200"));
    let e = signed(r#""type":"trade_TradePaid","test":true,"msg":"","sign":"x""#).unwrap();
    assert_eq!(e.kind, EventKind::Test);
    for (name, kind) in [
        ("trade_TradeCreate", EventKind::OrderChanged),
        ("trade_TradeBuyerPay", EventKind::OrderChanged),
        ("trade_TradeClose", EventKind::OrderClosed),
        ("trade_refund_RefundSuccess", EventKind::RefundChanged),
        ("youzan_trade_RefundCreated", EventKind::RefundChanged),
        ("youzan_item_SkuStockChanged", EventKind::StockChanged),
        ("ITEM_INFO", EventKind::StockChanged),
        ("POINTS", EventKind::Other),
    ] {
        let e = signed(&format!(r#""type":"{name}","id":"E9","msg":{{"tid":"E9","refunded_fee":"1.20"}}"#))
            .unwrap();
        assert_eq!(e.kind, kind, "{name}");
        assert!(e.json.starts_with('{'));
    }
    assert_eq!(signed(r#""type":"trade_TradeClose","msg":"%7B%7D""#).unwrap_err().status(), KL_E_EVENT);
    assert_eq!(signed(r#""type":"trade_TradeClose","id":"E","msg":"%7B""#).unwrap_err().status(), KL_E_EVENT);
    let a = signed(r#""type":"POINTS","msg_id":"1","msg":"%7B%7D""#).unwrap();
    let b = signed(r#""type":"POINTS","msg_id":"2","msg":"%7B%7D""#).unwrap();
    assert!(a.identity != b.identity && a.subject == b.subject);
    let y = youzan();
    assert_eq!(y.event_reply(&a, 0, "SUCCESS", None).unwrap(), r#"{"code":0,"msg":"success"}"#);
    assert_eq!(y.event_reply(&a, 1, "FAIL", None).unwrap(), r#"{"code":0,"msg":"failed"}"#);
}

#[test]
fn market_messages_are_decrypted() {
    // openssl enc -aes-128-cbc -K (first 16 bytes of SECRET) -iv (ASCII 0102030405060708)
    const MESSAGE: &str =
        "bgQIobcxiJtDMR6Jquys1tzwn6Ne2OZ6RQfHfWi72a4b33F0CwX%2BV69S2BGkrTLnlqExEt9t7OMCmjXrPQygEw%3D%3D";
    let e = event("", &format!("message={MESSAGE}")).unwrap();
    assert_eq!(
        (e.kind, e.signed_with, e.method.as_str()),
        (EventKind::AppChanged, SignedWith::Encrypted, "APP_SUBSCRIBE")
    );
    assert_eq!(e.app_id, "110");
    assert_eq!(event("", &format!("?message={MESSAGE}&x=1")).unwrap().identity, e.identity);
    for bad in
        ["message=", "message=AAAA", "message=%zz", "message=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D"]
    {
        assert_eq!(event("", bad).unwrap_err().status(), KL_E_EVENT_SIGNATURE, "{bad}");
    }
}

#[test]
fn every_code_is_in_the_documentation() {
    let doc = include_str!("../../../docs/platforms/youzan.md");
    let start = doc.find("| platform's code |").unwrap();
    let table = &doc[start..start + doc[start..].find("\n\n").unwrap()];
    for (code, word) in answer::documented() {
        let cell = |line: &str| line.split('|').nth(1).unwrap_or_default().to_owned();
        let found = table.lines().map(cell).any(|cell| {
            cell.split([',', ' ']).any(|t| t == code.to_string()) && (word.is_empty() || cell.contains(word))
        });
        assert!(found, "docs/platforms/youzan.md lacks {code} {word}");
    }
}
