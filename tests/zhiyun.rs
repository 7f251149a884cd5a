//! Zhiyun, against the simulator over real TLS: both formats, codes that end, every refusal.

mod common;

use common::*;
use kiosklink::client::Client;
use kiosklink::error::Advice;
use kiosklink::model::*;
use kiosklink::status::*;
use kiosklink_sim::Simulator;
use serde_json::{Value, json};

const AUTHORIZE: &str = "authorize";
const GET_USER: &str = "getUserInfo";

fn zhiyun(sim: &Simulator, changes: &[(&str, &str)]) -> Client {
    client_of(sim, "zhiyun", changes)
}

fn authorized(sim: &Simulator) -> usize {
    requests(sim, AUTHORIZE).len()
}

#[test]
fn both_formats_tell_the_same() {
    let sim = simulator();
    let mut seen: Vec<(User, Company)> = Vec::new();
    for format in ["json", "xml"] {
        let client = zhiyun(&sim, &[("format", format)]);
        client.ping().unwrap();
        let before = authorized(&sim);
        let mut user = client.user_get().unwrap();
        let mut company = client.company_get().unwrap();
        assert_eq!(authorized(&sim), before, "the code of the ping is used");
        assert!(!user.username.is_empty() && !company.name.is_empty() && user.now > 0 && user.created_at > 0);
        assert_eq!(user.raw.starts_with('<'), format == "xml", "{}", user.raw);
        let json: Value = serde_json::from_str(&client.call("userService/getUserInfo", "").unwrap()).unwrap();
        assert_eq!(json["username"], user.username.as_str());
        (user.raw, company.raw) = (String::new(), String::new());
        (user.now, company.now) = (0, 0);
        seen.push((user, company));
    }
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn an_ended_code_is_asked_for_again_once() {
    let sim = simulator();
    let client = zhiyun(&sim, &[]);
    client.user_get().unwrap();
    client.user_get().unwrap();
    assert_eq!(authorized(&sim), 1);
    // By the clock.
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 31_000}));
    client.user_get().unwrap();
    client.user_get().unwrap();
    assert_eq!(authorized(&sim), 2);
    // Unknown to the platform though it should live (100019).
    control(&sim, "DELETE", "/_sim/zhiyun/codes", Value::Null);
    client.user_get().unwrap();
    assert_eq!(authorized(&sim), 3);
    // Codes that end at once: asked for once more, never twice.
    control(&sim, "POST", "/_sim/zhiyun/settings", json!({"auth_code_life_s": -5}));
    control(&sim, "DELETE", "/_sim/zhiyun/codes", Value::Null);
    let before = (authorized(&sim), requests(&sim, GET_USER).len());
    let e = client.user_get().unwrap_err();
    assert_eq!(e.details().platform_code, 100_020, "{e}");
    assert_eq!(authorized(&sim), before.0 + 1);
    assert_eq!(requests(&sim, GET_USER).len(), before.1 + 2);
}

#[test]
fn refusals_are_told_apart() {
    let sim = simulator();
    for (changes, status, code) in [
        (&[("client_secret", "wrongSecret00000")][..], KL_E_AUTH, 100_013),
        (&[("client_id", "1999999999")], KL_E_AUTH, 100_008),
        (&[("client_id", "12")], KL_E_PARAMETER, 601),
        (&[("access_token", "nosuchtoken")], KL_E_TOKEN, 100_014),
    ] {
        let e = zhiyun(&sim, changes).user_get().unwrap_err();
        let d = e.details();
        assert_eq!((d.status, d.platform_code, d.advice), (status, code, Advice::Fix), "{changes:?}: {e}");
    }
    let alone = zhiyun(&sim, &[("access_token", "test0access0token000000000000001153")]);
    assert_eq!(alone.company_get().unwrap_err().details().platform_code, 905);
    let gone = zhiyun(&sim, &[("access_token", "test0access0token00000000001999")]);
    let e = gone.user_get().unwrap_err();
    assert_eq!((e.status(), e.details().platform_code), (KL_E_NOT_FOUND, 704));
    let client = zhiyun(&sim, &[]);
    assert_eq!(client.call("noService/getIt", "").unwrap_err().status(), KL_E_UNSUPPORTED);
    for (code, status) in
        [(304, KL_E_PLATFORM), (400, KL_E_PARAMETER), (602, KL_E_NOT_FOUND), (714, KL_E_TOKEN)]
    {
        control(
            &sim,
            "POST",
            "/_sim/zhiyun/settings",
            json!({"answer_instead": {"code": code, "message": "x"}}),
        );
        assert_eq!(client.user_get().unwrap_err().status(), status, "{code}");
    }
    control(&sim, "POST", "/_sim/zhiyun/settings", json!({"answer_instead": null, "store_fails": true}));
    let e = zhiyun(&sim, &[]).ping().unwrap_err();
    assert_eq!(
        (e.status(), e.details().platform_code, e.details().advice),
        (KL_E_PLATFORM, 100_018, Advice::Retry)
    );
    let e = client.stock_page("x", PageRequest { number: 1, size: 0 }, None).unwrap_err();
    assert_eq!(e.status(), KL_E_UNSUPPORTED);
}

#[test]
fn a_clock_that_is_off_is_learned_from_the_refusal() {
    let sim = simulator();
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 5 * 3_600_000}));
    for format in ["json", "xml"] {
        let client = zhiyun(&sim, &[("format", format)]);
        client.user_get().unwrap();
        zhiyun(&sim, &[("format", format)]).ping().unwrap();
    }
}

#[test]
fn every_service_goes_through_call_and_callbacks_there_are_none() {
    let sim = simulator();
    for format in ["json", "xml"] {
        let client = zhiyun(&sim, &[("format", format)]);
        let call = |method: &str| -> Value {
            let answer = client.call(method, "").unwrap_or_else(|e| panic!("{method}: {e}"));
            serde_json::from_str(&answer).unwrap()
        };
        let code = call("authService/authorize")["auth_code"].as_str().unwrap().to_owned();
        assert!(code.len() == 40 && code.bytes().all(|b| b.is_ascii_hexdigit()), "{code}");
        assert_eq!(call("userService/getUserInfo")["username"], client.user_get().unwrap().username.as_str());
        let company = client.company_get().unwrap();
        assert_eq!(call("companyService/getCompanyInfo")["company_name"], company.name.as_str());
        assert_eq!(client.event_parse("", b"{}").unwrap_err().status(), KL_E_UNSUPPORTED);
    }
}
