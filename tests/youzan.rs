//! Youzan, against the simulator over real TLS: every verb, tokens that die, answers that are lost, messages.

mod common;

use common::*;
use kiosklink::client::Client;
use kiosklink::config::Config;
use kiosklink::error::{Advice, Outcome};
use kiosklink::event::{EventKind, SignedWith};
use kiosklink::model::*;
use kiosklink::status::*;
use kiosklink_sim::Simulator;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

const TOKEN: &str = "auth/token";
const APPLY: &str = "youzan.trade.selffetchcode.apply";

fn youzan(sim: &Simulator, changes: &[(&str, &str)]) -> Client {
    client_of(sim, "youzan", changes)
}

fn set(sim: &Simulator, settings: Value) {
    control(sim, "POST", "/_sim/youzan/settings", settings);
}

fn kill(sim: &Simulator, mode: &str) {
    control(sim, "POST", "/_sim/youzan/tokens/kill", json!({"mode": mode}));
}

fn redemptions(sim: &Simulator) -> usize {
    control(sim, "GET", "/_sim/youzan/redemptions", Value::Null).as_array().unwrap().len()
}

fn redeem(kind: CodeKind, code: &str) -> RedeemRequest {
    RedeemRequest {
        request_id: format!("r-{code}"),
        kind,
        code: code.into(),
        redeemer: "kiosk 7".into(),
        ..Default::default()
    }
}

fn query(kind: CodeKind, code: &str) -> CodeQuery {
    CodeQuery { kind, code: code.into(), ..Default::default() }
}

#[test]
fn codes_of_every_kind_are_looked_up_and_redeemed_once() {
    let sim = simulator();
    let client = youzan(&sim, &[]);
    client.ping().unwrap();
    for (kind, code) in [
        (CodeKind::Pickup, "10000000001"),
        (CodeKind::Virtual, "E20260101000000000000911"),
        (CodeKind::Voucher, "20260101000000000021"),
    ] {
        let before = redemptions(&sim);
        let found = client.code_lookup(&query(kind, code)).unwrap();
        assert_eq!((found.state, found.code.as_str()), (CodeState::Unused, code), "{found:?}");
        assert!(!found.order_no.is_empty());
        let r = redeem(kind, code);
        assert!(!client.code_redeem(&r).unwrap().recorded);
        assert!(client.code_redeem(&r).unwrap().recorded, "the same name is answered from memory");
        assert!(redemptions(&sim) > before);
        let found = client.code_lookup(&query(kind, code)).unwrap();
        assert_eq!(found.state, CodeState::Used, "{found:?}");
        // Under another name the platform is asked, and says no.
        let done = redemptions(&sim);
        let e = client.code_redeem(&RedeemRequest { request_id: "other".into(), ..r }).unwrap_err();
        // The vendor publishes no refusal for a voucher that was used.
        let wanted = match kind {
            CodeKind::Voucher => (KL_E_PLATFORM, Outcome::Unknown),
            _ => (KL_E_CODE_USED, Outcome::NotDone),
        };
        assert_eq!((e.status(), e.details().outcome), wanted, "{e}");
        assert_eq!(redemptions(&sim), done);
    }
    let ticket = youzan(&sim, &[]).code_redeem(&redeem(CodeKind::Voucher, "200000000003")).unwrap_err();
    assert_eq!((ticket.status(), ticket.details().outcome), (KL_E_PLATFORM, Outcome::Unknown));
    assert_eq!(requests(&sim, TOKEN).len(), 1, "one token served them all");
}

#[test]
fn refusals_are_told_apart_and_none_is_a_redemption() {
    let sim = simulator();
    let client = youzan(&sim, &[]);
    let status = |kind, code: &str| {
        let e = client.code_redeem(&redeem(kind, code)).unwrap_err();
        let d = e.details();
        (d.status, d.outcome)
    };
    assert_eq!(status(CodeKind::Pickup, "10000000002"), (KL_E_CODE_USED, Outcome::NotDone));
    assert_eq!(status(CodeKind::Pickup, "99999999999").1, Outcome::NotDone);
    assert_eq!(status(CodeKind::Pickup, "123").0, KL_E_PARAMETER);
    assert_eq!(status(CodeKind::Pickup, "10000000004"), (KL_E_NOT_FOUND, Outcome::NotDone));
    assert_eq!(status(CodeKind::Virtual, "E20260101000000000000912"), (KL_E_CODE_USED, Outcome::NotDone));
    assert_eq!(status(CodeKind::Virtual, "E20260101000000000000913"), (KL_E_ORDER_STATE, Outcome::NotDone));
    assert_eq!(redemptions(&sim), 0);
}

#[test]
fn a_dead_token_is_replaced_once_and_a_command_still_happens_once() {
    for mode in ["expire", "forget"] {
        let sim = simulator();
        let client = youzan(&sim, &[]);
        client.cabinet_list(PageRequest { number: 1, size: 0 }).unwrap();
        kill(&sim, mode);
        client.code_redeem(&redeem(CodeKind::Pickup, "10000000001")).unwrap();
        assert_eq!((redemptions(&sim), requests(&sim, APPLY).len(), requests(&sim, TOKEN).len()), (1, 2, 2));
        kill(&sim, mode);
        client.code_lookup(&query(CodeKind::Pickup, "10000000001")).unwrap();
        assert_eq!(requests(&sim, TOKEN).len(), 3);
    }
}

#[test]
fn a_token_that_is_refused_again_ends_the_call() {
    let sim = simulator();
    let client = youzan(&sim, &[]);
    client.ping().unwrap();
    for code in [4201, 4202, 4203] {
        let body = json!({"code": code, "api": APPLY, "count": 2});
        control(&sim, "POST", "/_sim/youzan/errors", body);
        let before = (requests(&sim, APPLY).len(), requests(&sim, TOKEN).len());
        let r = RedeemRequest { request_id: format!("{code}"), ..redeem(CodeKind::Pickup, "10000000001") };
        let e = client.code_redeem(&r).unwrap_err();
        let d = e.details();
        assert_eq!((d.status, d.platform_code, d.outcome), (KL_E_AUTH, code, Outcome::NotDone), "{e}");
        assert_eq!(requests(&sim, APPLY).len(), before.0 + 2, "replayed once, never twice");
        // The platform gave the refused one again, so a new one was forced.
        let asked = &requests(&sim, TOKEN)[before.1..];
        assert_eq!(asked.len(), 2, "{asked:?}");
    }
    assert_eq!(redemptions(&sim), 0);
}

#[test]
fn an_ended_authorisation_asks_for_a_person() {
    let sim = simulator();
    let client = youzan(&sim, &[]);
    client.ping().unwrap();
    kill(&sim, "lapse");
    let e = client.code_redeem(&redeem(CodeKind::Pickup, "10000000001")).unwrap_err();
    assert_eq!(
        (e.status(), e.details().outcome, e.details().advice),
        (KL_E_TOKEN, Outcome::NotDone, Advice::Fix),
        "{e}"
    );
    kill(&sim, "restore");
    client.code_redeem(&redeem(CodeKind::Pickup, "10000000001")).unwrap();
}

#[test]
fn wrong_credentials_are_named() {
    let sim = simulator();
    for (key, value, word) in [
        ("client_secret", "wrong-wrong", "client_secret"),
        ("client_id", "nobody", "client_id"),
        ("grant_id", "1", "grant_id"),
    ] {
        let e = youzan(&sim, &[(key, value)]).ping().unwrap_err();
        assert!(e.status() == KL_E_AUTH && e.message().contains(word), "{key}: {e}");
    }
}

#[test]
fn a_lost_answer_leaves_the_redemption_unknown_and_the_lookup_tells() {
    // FAULTS B1: a virtual code tells only when it was used; whether by this kiosk, the operator must declare.
    for (kind, code, name, sole) in [
        (CodeKind::Pickup, "10000000001", APPLY, "no"),
        (CodeKind::Virtual, "E20260101000000000000911", "youzan.trade.virtualcode.apply", "no"),
        (CodeKind::Virtual, "E20260101000000000000911", "youzan.trade.virtualcode.apply", "yes"),
    ] {
        let sim = simulator();
        let client = youzan(&sim, &[("sole_redeemer", sole)]);
        // The platform's time is needed to tell this use of the code from an older one.
        client.ping().unwrap();
        fault(&sim, name, json!({"fault": "act_then_drop"}));
        let r = redeem(kind, code);
        let e = client.code_redeem(&r).unwrap_err();
        assert_eq!(
            (e.status(), e.details().outcome, e.details().advice),
            (KL_E_LOST, Outcome::Unknown, Advice::AskFirst)
        );
        let sent = requests(&sim, name).len();
        match client.code_redeem(&r) {
            Ok(known) => {
                // A self-fetch code keeps the number that the library gave.
                assert!(known.recorded && (kind == CodeKind::Pickup || sole == "yes"), "{known:?}");
                assert_eq!(known.settled_by, kiosklink::command::SettledBy::Query);
            }
            Err(e) => {
                assert_eq!(sole, "no", "{e}");
                // Before maturity *done* may yet be told; a person comes after it.
                assert_eq!((e.status(), e.details().advice), (KL_E_UNSETTLED, Advice::AskFirst), "{e}");
                assert!(e.details().retry_after_ms > 0, "{e}");
            }
        }
        assert_eq!(requests(&sim, name).len(), sent, "nothing is sent again");
        assert_eq!(client.code_lookup(&query(kind, code)).unwrap().state, CodeState::Used);
    }
}

#[test]
fn a_code_that_was_used_before_or_is_not_used_is_not_taken_for_ours() {
    let sim = simulator();
    // Used two hours ago; then the refusal is lost.
    control(&sim, "POST", "/_sim/clock", json!({"offset_ms": -7_200_000}));
    let r = redeem(CodeKind::Virtual, "E20260101000000000000911");
    youzan(&sim, &[]).code_redeem(&r).unwrap();
    control(&sim, "POST", "/_sim/clock", json!({"offset_ms": 0}));
    let client = youzan(&sim, &[]);
    client.ping().unwrap();
    fault(&sim, "youzan.trade.virtualcode.apply", json!({"fault": "act_then_drop"}));
    let other = RedeemRequest { request_id: "another visit".into(), ..r };
    assert_eq!(client.code_redeem(&other).unwrap_err().details().outcome, Outcome::Unknown);
    // The use is older than the request, and the request may still be refused only later.
    let e = client.command_resolve("another visit").unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_TOO_EARLY, Outcome::Unknown), "{e}");
    assert!((1..=80_000).contains(&e.details().retry_after_ms), "{e}");
    // Never carried out: it may still be on its way, so nobody says that it was not.
    let unused = redeem(CodeKind::Pickup, "10000000001");
    fault(&sim, APPLY, json!({"fault": "drop_before_acting"}));
    assert_eq!(client.code_redeem(&unused).unwrap_err().details().outcome, Outcome::Unknown);
    let e = client.command_resolve(&unused.request_id).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_UNSETTLED, Outcome::Unknown), "{e}");
}

#[test]
fn the_answer_of_a_refresh_is_lost_and_the_same_pair_comes() {
    let sim = simulator();
    let folder = scratch("yz-refresh");
    let client = youzan(&sim, &[("state_dir", folder.to_str().unwrap())]);
    client.ping().unwrap();
    // The access token has ended, the refresh token lives on.
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 8 * 86_400_000_i64}));
    fault(&sim, TOKEN, json!({"fault": "act_then_drop"}));
    let page = PageRequest { number: 1, size: 0 };
    client.cabinet_list(page).unwrap();
    client.cabinet_list(page).unwrap();
    let tokens = control(&sim, "GET", "/_sim/youzan/tokens", Value::Null);
    assert_eq!(tokens.as_array().map(Vec::len), Some(2), "the repeated request made no third: {tokens}");
}

#[test]
fn a_read_waits_as_the_platform_asks_and_a_command_is_not_done() {
    let sim = simulator();
    let client = youzan(&sim, &[]);
    client.ping().unwrap();
    for code in [4101, 500_100_004] {
        control(
            &sim,
            "POST",
            "/_sim/youzan/throttle",
            json!({"code": code, "count": 1, "api": "youzan.multistore.offline.search"}),
        );
        let begun = Instant::now();
        client.cabinet_list(PageRequest { number: 1, size: 0 }).unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(3));
        control(&sim, "POST", "/_sim/youzan/throttle", json!({"code": code, "count": 1, "api": APPLY}));
        let r = RedeemRequest { request_id: code.to_string(), ..redeem(CodeKind::Pickup, "10000000001") };
        let e = client.code_redeem(&r).unwrap_err();
        let d = e.details();
        assert_eq!((d.status, d.outcome, d.retry_after_ms), (KL_E_RATE_LIMIT, Outcome::NotDone, 3000), "{e}");
    }
    set(&sim, json!({"limit_shape": "bare"}));
    control(
        &sim,
        "POST",
        "/_sim/youzan/throttle",
        json!({"code": 4101, "count": 9, "api": "youzan.trade.get"}),
    );
    let short = youzan(&sim, &[("timeout_ms", "2000")]);
    let e = short
        .order_get(&OrderRef { order_no: "E20260101000000000000001".into(), ..Default::default() })
        .unwrap_err();
    assert_eq!(e.status(), KL_E_RATE_LIMIT);
}

#[test]
fn orders_goods_and_points_are_read_in_every_shape() {
    let sim = simulator();
    let client = youzan(&sim, &[]);
    for settings in [
        json!({}),
        json!({"lists_beside_data": true}),
        json!({"lists_beside_data": false, "shapes": {"youzan.trade.get": "legacy", "youzan.trades.sold.get": "legacy", "youzan.items.onsale.get": "legacy", "youzan.multistore.offline.search": "legacy", "youzan.trade.selffetchcode.get": "modern"}}),
    ] {
        set(&sim, settings.clone());
        let order = client
            .order_get(&OrderRef { order_no: "E20260101000000000000001".into(), ..Default::default() })
            .unwrap();
        assert!(order.amount > 0 && order.created_at > 0 && order.lines.len() == 1, "{settings}: {order:?}");
        assert_eq!(order.payment, PaymentState::Paid);
        let stock = client.stock("", 2, None).collect_all().unwrap();
        let item = stock.iter().find(|i| i.id == "400000001").expect("the first item");
        assert_eq!((item.price, stock.iter().any(|i| i.id == "400000005")), (200, false), "{settings}");
        let points = client.cabinets(2).collect_all().unwrap();
        assert!(
            points.iter().any(|c| c.id == "700001" && !c.name.is_empty() && c.latitude != 0.0),
            "{points:?}"
        );
        assert_eq!(
            client.code_lookup(&query(CodeKind::Pickup, "10000000001")).unwrap().state,
            CodeState::Unused
        );
    }
    let e = client
        .order_get(&OrderRef { order_no: "E29990101000000000000001".into(), ..Default::default() })
        .unwrap_err();
    assert_eq!(e.status(), KL_E_NOT_FOUND, "{e}");
}

#[test]
fn a_long_period_is_split() {
    let sim = simulator();
    let client = youzan(&sim, &[]);
    let now = client.ping().map(|()| client.now_ms() / 1000).unwrap();
    let from = now - 400 * 86_400;
    let query = OrderQuery { from, to: now + 86_400, ..Default::default() };
    let orders = client.orders(&query, 5).collect_all().unwrap();
    let mut numbers: Vec<_> = orders.iter().map(|o| o.order_no.clone()).collect();
    numbers.sort();
    let all = numbers.len();
    numbers.dedup();
    assert!(all == numbers.len() && all > 8, "{all} of {}", numbers.len());
    for asked in requests(&sim, "youzan.trades.sold.get") {
        assert!(!asked["answer"].to_string().contains("\"success\":false"), "{asked}");
    }
    let e = client.order_list(&query, PageRequest { number: 1, size: 0 }).unwrap_err();
    assert_eq!(e.status(), KL_E_ARGUMENT);
}

#[test]
fn any_api_by_its_name() {
    let sim = simulator();
    let client = youzan(&sim, &[]);
    let parcel = client
        .call("youzan.logistics.expressbyorderno.get/3.0.0", r#"{"tid":"E20260101000000000000031"}"#)
        .unwrap();
    assert!(parcel.contains("\"nu\""), "{parcel}");
    set(&sim, json!({"logistics_under_code": true}));
    assert!(
        client
            .call("youzan.logistics.expressbyorderno.get/3.0.0", r#"{"tid":"E20260101000000000000031"}"#)
            .unwrap()
            .contains("\"nu\"")
    );
    let e = client
        .call("youzan.logistics.expressbyorderno.get/3.0.0", r#"{"tid":"E20260101000000000000032"}"#)
        .unwrap_err();
    assert_eq!((e.status(), e.details().platform_code), (KL_E_NOT_FOUND, 120_009_001));
    assert_eq!(client.call("youzan.no.such.get/1.0.0", "").unwrap_err().status(), KL_E_UNSUPPORTED);
    assert_eq!(
        client.call("_textarea_/youzan.item.get/3.0.0", r#"{"item_id":400000001}"#).unwrap_err().status(),
        KL_E_PARAMETER
    );
    set(&sim, json!({"exempt_apis": ["youzan.shop.basic.get"]}));
    client.call("auth_exempt/youzan.shop.basic.get/3.0.0", "").unwrap();

    // Set or added, and the answer is lost: sent once. To set again puts on sale what was sold in between.
    let update = "youzan.item.quantity.update";
    let method = format!("{update}/3.0.0");
    fault(&sim, update, json!({"fault": "act_then_drop"}));
    let e = client.call(&method, r#"{"item_id":400000001,"quantity":7}"#).unwrap_err();
    assert_eq!((e.details().outcome, requests(&sim, update).len()), (Outcome::Unknown, 1));
    fault(&sim, update, json!({"fault": "act_then_drop"}));
    let e = client.call(&method, r#"{"item_id":400000001,"quantity":1,"type":1}"#).unwrap_err();
    assert_eq!((e.details().outcome, requests(&sim, update).len()), (Outcome::Unknown, 2));
    let stock = client.stock("", 0, None).collect_all().unwrap();
    assert_eq!(stock.iter().find(|i| i.id == "400000001").unwrap().stock, 8);
}

#[test]
fn the_token_survives_a_restart_but_not_a_change_of_account() {
    let sim = simulator();
    let folder = scratch("yz-restart");
    let dir = folder.to_str().unwrap();
    let page = PageRequest { number: 1, size: 0 };
    for _ in 0..3 {
        youzan(&sim, &[("state_dir", dir)]).cabinet_list(page).unwrap();
    }
    assert_eq!(requests(&sim, TOKEN).len(), 1);
    // Torn by a power cut.
    let file = token_file(&folder);
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    youzan(&sim, &[("state_dir", dir)]).cabinet_list(page).unwrap();
    assert_eq!(requests(&sim, TOKEN).len(), 2);
    assert_eq!(std::fs::read(&file).unwrap(), whole, "the platform gave the same token");
    let config = |dir: &str| {
        let mut c = Config::new("youzan").unwrap();
        for (k, v) in [("client_id", "a"), ("client_secret", "b"), ("grant_id", "c"), ("state_dir", dir)] {
            c.set(k, v).unwrap();
        }
        Client::new(&c).err().unwrap().status()
    };
    assert_eq!(config("/no/such/folder"), KL_E_STATE_DIR);
    assert_eq!(config(file.to_str().unwrap()), KL_E_STATE_DIR);
}

fn token_file(folder: &Path) -> std::path::PathBuf {
    let mut all = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path());
    all.find(|p| p.extension().is_none()).expect("a token is stored")
}

#[test]
fn no_token_is_ever_logged() {
    use kiosklink::log;
    use std::sync::{Arc, Mutex};
    let sim = simulator();
    let lines = Arc::new(Mutex::new(String::new()));
    let sink = lines.clone();
    log::set(4, Some(Arc::new(move |_, line| sink.lock().unwrap().push_str(line))));
    let client = youzan(&sim, &[]);
    client.ping().unwrap();
    kill(&sim, "forget");
    client.code_lookup(&query(CodeKind::Pickup, "10000000001")).unwrap();
    let tokens = control(&sim, "GET", "/_sim/youzan/tokens", Value::Null);
    log::write(log::Level::Error, &tokens.to_string());
    log::set(0, None);
    let lines = lines.lock().unwrap();
    assert!(lines.contains("the token was refused"), "{lines}");
    for token in tokens.as_array().unwrap() {
        for key in ["access_token", "refresh_token"] {
            if let Some(secret) = token[key].as_str() {
                assert!(!lines.contains(secret), "{key} in {lines}");
            }
        }
    }
}

/// Takes one delivery of the simulator and answers it.
fn received(listener: &TcpListener, answer: &str) -> (String, Vec<u8>) {
    let (mut socket, _) = listener.accept().unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 4096];
        let n = socket.read(&mut part).unwrap();
        bytes.extend_from_slice(&part[..n]);
        let Some(head) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
        let length = text
            .lines()
            .find_map(|l| l.strip_prefix("content-length:").map(|n| n.trim().parse::<usize>().unwrap()))
            .unwrap_or(0);
        if bytes.len() >= head + 4 + length {
            let head_text = String::from_utf8_lossy(&bytes[..head]).into_owned();
            let reply = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
                answer.len()
            );
            socket.write_all(reply.as_bytes()).unwrap();
            return (head_text, bytes[head + 4..].to_vec());
        }
    }
}

#[test]
fn messages_in_every_encoding_are_verified_read_and_answered() {
    let sim = simulator();
    let client = youzan(&sim, &[]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/push", listener.local_addr().unwrap());
    control(
        &sim,
        "POST",
        "/_sim/callbacks",
        json!({"platform": "youzan", "account": "yz-test-client-0001", "url": url}),
    );
    let ok = r#"{"code":0,"msg":"success"}"#;
    for encoding in ["java", "loose", "percent", "plain", "object"] {
        let push =
            json!({"type": "trade_TradePaid", "tid": "E20260101000000000000001", "encoding": encoding});
        control(&sim, "POST", "/_sim/youzan/push", push);
        let (head, body) = received(&listener, ok);
        let event = client.event_parse(&head, &body).unwrap_or_else(|e| panic!("{encoding}: {e}"));
        assert_eq!(
            (event.kind, event.signed_with),
            (EventKind::OrderPaid, SignedWith::AppSecret),
            "{encoding}"
        );
        assert_eq!(event.order_no, "E20260101000000000000001");
        assert!(event.amount > 0 && event.order.is_some() && event.version > 0 && !event.duplicate);
        assert_eq!(client.event_reply(&event, 0, "", None).unwrap(), ok);
        assert!(client.event_parse(&head, &body).unwrap().duplicate);
        // The gateway of the firmware lost the header: the body's own signature.
        assert_eq!(client.event_parse("", &body).unwrap().signed_with, SignedWith::ContentOnly, "{encoding}");
        let mut forged = body.clone();
        let at = forged.iter().rposition(|b| b.is_ascii_digit()).unwrap();
        forged[at] = if forged[at] == b'1' { b'2' } else { b'1' };
        assert_eq!(client.event_parse(&head, &forged).unwrap_err().status(), KL_E_EVENT_SIGNATURE);
    }
    for (version, stale) in [(2_000_000_000, false), (1_999_999_999, true), (2_000_000_001, false)] {
        let push = json!({"type": "trade_TradeClose", "tid": "E20260101000000000000007", "version": version});
        control(&sim, "POST", "/_sim/youzan/push", push);
        let (head, body) = received(&listener, ok);
        let event = client.event_parse(&head, &body).unwrap();
        assert_eq!((event.kind, event.version, event.stale), (EventKind::OrderClosed, version, stale));
    }
    control(&sim, "POST", "/_sim/youzan/heartbeat", json!({}));
    let (head, body) = received(&listener, ok);
    assert_eq!(client.event_parse(&head, &body).unwrap().kind, EventKind::Test);
    for forge in ["header", "both"] {
        control(
            &sim,
            "POST",
            "/_sim/youzan/push",
            json!({"type": "trade_TradePaid", "tid": "E20260101000000000000001", "forge": forge}),
        );
        let (head, body) = received(&listener, ok);
        assert_eq!(client.event_parse(&head, &body).unwrap_err().status(), KL_E_EVENT_SIGNATURE);
    }
    control(&sim, "POST", "/_sim/youzan/subscription", json!({"type": "APP_SUBSCRIBE"}));
    let (head, _) = received(&listener, ok);
    let query = head.split(' ').nth(1).and_then(|path| path.split_once('?')).expect("a query").1;
    let event = client.event_parse(&head, query.as_bytes()).unwrap();
    assert_eq!((event.kind, event.signed_with), (EventKind::AppChanged, SignedWith::Encrypted));
}

/// Every API that the simulator serves, by its name and version, and something of each answer; the redemptions have
/// a verb and no other way.
#[test]
fn every_documented_api_goes_through_call() {
    let sim = simulator();
    let client = youzan(&sim, &[]);
    let order = |n: u32| json!({"tid": format!("E20260101000000000000{n:03}")});
    let shop = || json!({"kdt_id": 90_000_001, "item_id": 400_000_001, "channel": 0, "type": 0});
    let goods = || json!({"num_iid": 400_000_002, "offline_id": 700_001});
    let and = |mut params: Value, more: Value| {
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        params
    };
    let stock = |number: &str, quantity: Value| {
        json!({"create_time": "2026-01-01 00:00:00", number: "A1", "warehouse_code": "WH001",
            "operate_type": "1", "order_items": [{"sku_code": "P0001", "quantity": quantity}]})
    };
    let point = json!({
        "name": "新柜", "address": "路 2 号", "area": "余杭区", "city": "杭州市", "province": "浙江省",
        "county_id": 330_110, "lat": "30.1", "lng": "120.1", "phone1": "0571", "phone2": "1", "image": [],
        "description": "新", "is_self_fetch": 1, "is_store": 0,
    });
    let yes = || json!(true);
    for (method, params, at, wanted) in [
        ("trade.selffetchcode.get/3.0.0", json!({"code": "10000000001"}), "/status", json!(0)),
        ("trade.virtualcode.get/3.0.0", json!({"code": "E20260101000000000000911"}), "/status", json!(1)),
        (
            "trade.virtualticket.get/3.0.0",
            json!({"code": "20260101000000000021"}),
            "/tickets/0/ticket_code",
            json!("200000000001"),
        ),
        ("trade.get/4.0.0", order(1), "/full_order_info/order_info/tid", order(1)["tid"].clone()),
        ("trade.get/4.0.2", order(1), "/full_order_info/order_info/tid", order(1)["tid"].clone()),
        (
            "trades.sold.get/4.0.4",
            order(1),
            "/full_order_info_list/0/full_order_info/order_info/tid",
            order(1)["tid"].clone(),
        ),
        (
            "logistics.online.confirm/3.0.0",
            and(order(32), json!({"out_stype": 5, "out_sid": "SF123"})),
            "/is_success",
            yes(),
        ),
        ("logistics.expressbyorderno.get/3.0.0", order(32), "/nu", json!("SF123")),
        ("logistics.online.marksign/3.0.0", order(32), "/is_success", yes()),
        ("trade.memo.update/3.0.0", and(order(32), json!({"memo": "取走", "flag": 3})), "/is_success", yes()),
        ("trade.get/4.0.1", order(32), "/full_order_info/order_info/status", json!("TRADE_SUCCESS")),
        ("item.get/3.0.0", json!({"item_id": 400_000_002}), "/item/price", json!(1290)),
        (
            "item.sku.get/3.0.0",
            json!({"item_id": 400_000_002, "sku_id": 500_021}),
            "/sku/price",
            json!("14.90"),
        ),
        ("item.detail.get/1.0.1", json!({"item_id": 400_000_002}), "/sku_list/1/stock_num", json!(5)),
        ("item.detail.get/1.0.2", json!({"item_id": 400_000_002}), "/price", json!(1290)),
        (
            "item.itemdetail.get/1.0.0",
            json!({"request": {"kdt_id": 90_000_001, "item_code": "P0001", "channel": 1}}),
            "/stock_num_str",
            json!("100"),
        ),
        ("items.onsale.get/3.0.0", json!({"q": "咖啡"}), "/count", json!(1)),
        ("item.quantity.update/3.0.0", json!({"item_id": 400_000_001, "quantity": 7}), "/is_success", yes()),
        ("item.quantity.update/4.0.0", and(shop(), json!({"stock_num_str": "12"})), "", Value::Null),
        ("item.get/3.0.0", json!({"item_id": 400_000_001}), "/item/quantity", json!(12)),
        ("retail.open.stock.adjust/3.0.0", stock("source_order_no", json!("5")), "", yes()),
        ("retail.open.modify.planstock/1.0.0", stock("idempotent_no", json!(2)), "", yes()),
        (
            "retail.open.query.warehousestock/1.0.0",
            json!({"warehouse_code": "WH001", "sku_codes": ["P0001"]}),
            "/0/stock_num",
            json!("45"),
        ),
        ("multistore.offline.search/3.0.0", json!({"type": "self_fetch"}), "/list/0/id", json!("700001")),
        ("multistore.offline.get/3.0.0", json!({"id": 700_001}), "/is_store", json!(0)),
        ("multistore.offline.create/3.0.0", point, "/is_success", yes()),
        ("multistore.setting.get/3.0.0", json!({}), "/default_offline_id", json!(700_001)),
        (
            "multistore.goods.sku.update/3.0.0",
            and(goods(), json!({"skus_with_json": r#"[{"sku_id":500021,"quantity":4,"price":1000}]"#})),
            "",
            Value::Null,
        ),
        ("multistore.goods.sku.get/3.0.0", goods(), "/skus/0/quantity", json!(4)),
        ("shop.get/3.0.0", json!({}), "/name", json!("测试店")),
        ("shop.basic.get/3.0.0", json!({}), "/sid", json!("90000001")),
    ] {
        let answer = client
            .call(&format!("youzan.{method}"), &params.to_string())
            .unwrap_or_else(|e| panic!("{method}: {e}"));
        let answer: Value = serde_json::from_str(&answer).unwrap();
        if !wanted.is_null() {
            assert_eq!(answer.pointer(at), Some(&wanted), "{method}: {answer}");
        }
    }
    for method in
        ["selffetchcode.apply", "virtualcode.apply", "virtualticket.verifycode", "virtualticket.verifyticket"]
    {
        let name = format!("youzan.trade.{method}");
        let e = client.call(&format!("{name}/3.0.0"), r#"{"code":"10000000001"}"#).unwrap_err();
        assert_eq!(e.status(), KL_E_ARGUMENT, "{e}");
        assert!(requests(&sim, &name).is_empty(), "{name}");
    }
    assert_eq!(redemptions(&sim), 0);
}

/// Names that the vendor's catalogue gives and nothing more: sent as they are, the answer is the platform's. The
/// simulator serves none of them.
#[test]
fn apis_of_which_only_the_name_is_published_are_sent_as_given() {
    let sim = simulator();
    let client = youzan(&sim, &[]);
    for api in [
        "trade.selffetchcode.get/4.0.0",
        "trade.selffetch.code.get/1.0.0",
        "trade.selffetch.verify.get.record/1.0.0",
        "trade.selffetch.search/1.0.0",
        "trade.selffetch.list.city/1.0.0",
        "logistics.selffetch.confirm.allowpart/1.0.0",
        "trade.virtualticket.aggregate.get/1.0.0",
        "trade.virtualticket.third.create/3.0.2",
        "trade.virtualticket.third.cover/3.0.1",
        "trade.virtualticket.third.operate.delay/1.0.0",
        "trade.virtualticket.third.operate.disable/1.0.0",
        "trade.virtualticket.third.operate.expired/1.0.0",
        "trade.virtualticket.third.operate.refunding/1.0.0",
        "trade.virtualticket.third.operate.reverse/1.0.0",
        "trade.ticket.verify.get.record/1.0.0",
        "trade.virtual.verify.get.record/1.0.0",
        "trade.ticket.code.get/1.0.0",
        "cloud.secret.decrypt.single/1.0.0",
        "cloud.secret.decrypt.batch/1.0.0",
        "logistics.expressbyorderno.search/1.0.0",
        "logistics.goodsexpress.get/3.0.0",
        "logistics.express.get/3.0.0",
        "item.base.search/1.0.0",
        "item.search/3.0.0",
        "item.add/3.0.0",
        "item.update/3.0.0",
        "item.sku.update/3.0.0",
        "items.inventory.get/3.0.0",
        "stock.mode.query/1.0.0",
        "multistore.store.list/2.0.1",
        "multistore.offline.update/4.0.0",
        "multistore.offline.delete/4.0.0",
        "multistore.goods.sku.update/4.0.0",
        "multistore.goods.update.stock/1.0.0",
        "logistics.chain.selffetchpoint.get/1.0.0",
        "logistics.chain.selffetchpoint.search/1.0.1",
        "logistics.chain.selffetchpoint.create/1.0.1",
        "logistics.chain.selffetchpoint.update/1.0.1",
        "logistics.chain.selffetchpoint.delete/1.0.0",
        "logistics.chain.selffetchpoint.apply/1.0.0",
        "logistics.chain.selffetchpoint.invalid/1.0.0",
        "cloud.push.create.clientbiztypeshop/1.0.0",
        "cloud.push.get.clientbiztypeshop/1.0.0",
        "cloud.push.delete.clientbiztypeshop/1.0.0",
        "auth_exempt/cloud.client.query.encryptconfig/1.0.0",
    ] {
        let (way, rest) = api.strip_prefix("auth_exempt/").map_or(("", api), |rest| ("auth_exempt/", rest));
        let e = client.call(&format!("{way}youzan.{rest}"), r#"{"tid":"E1"}"#).unwrap_err();
        assert_eq!((e.status(), e.details().platform_code), (KL_E_UNSUPPORTED, 4005), "{api}: {e}");
        let name = format!("youzan.{}", rest.split_once('/').unwrap().0);
        let sent = requests(&sim, &name);
        assert!(sent.iter().any(|r| r["path"].to_string().contains(rest)), "{api}: {sent:?}");
    }
    for redemption in ["selffetch.apply/1.0.0", "virtualticket.third.batch.verify/3.0.0"] {
        let e = client.call(&format!("youzan.trade.{redemption}"), r#"{"tid":"E1"}"#).unwrap_err();
        assert_eq!(e.status(), KL_E_ARGUMENT, "{e}");
        let name = format!("youzan.trade.{}", redemption.split_once('/').unwrap().0);
        assert!(requests(&sim, &name).is_empty(), "{redemption}");
    }
}

#[test]
fn every_documented_message_arrives_and_is_answered() {
    let sim = simulator();
    let client = youzan(&sim, &[]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/push", listener.local_addr().unwrap());
    let address = json!({"platform": "youzan", "account": "yz-test-client-0001", "url": url});
    control(&sim, "POST", "/_sim/callbacks", address);
    let ok = r#"{"code":0,"msg":"success"}"#;
    for (name, kind) in [
        ("trade_TradeCreate", EventKind::OrderChanged),
        ("trade_TradePaid", EventKind::OrderPaid),
        ("trade_TradeBuyerPay", EventKind::OrderChanged),
        ("trade_TradePartlySellerShip", EventKind::OrderChanged),
        ("trade_TradeSellerShip", EventKind::OrderChanged),
        ("trade_TradeSuccess", EventKind::OrderFinished),
        ("trade_TradeClose", EventKind::OrderClosed),
        ("trade_TradeMemoModified", EventKind::OrderChanged),
        ("trade_refund_RefundSuccess", EventKind::RefundChanged),
        ("youzan_trade_RefundCreated", EventKind::RefundChanged),
        ("ITEM_INFO", EventKind::StockChanged),
        ("ITEM_STATE", EventKind::StockChanged),
        ("ITEM_SKU_INFO", EventKind::StockChanged),
        ("youzan_item_SkuStockChanged", EventKind::StockChanged),
        ("SCRM_CUSTOMER_EVENT", EventKind::Other),
        ("POINTS", EventKind::Other),
    ] {
        let push = json!({"type": name, "tid": "E20260101000000000000001"});
        control(&sim, "POST", "/_sim/youzan/push", push);
        let (head, body) = received(&listener, ok);
        let event = client.event_parse(&head, &body).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((event.method.as_str(), event.kind, event.duplicate), (name, kind, false));
        assert_eq!(event.signed_with, SignedWith::AppSecret, "{name}");
        assert_eq!(client.event_reply(&event, 0, "", None).unwrap(), ok);
    }
}
