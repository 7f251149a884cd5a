//! `doctor --watch`: what is lost, how long answers take, and whose fault it is.

#[path = "../../tests/common/built.rs"]
mod built;
mod common;

use built::{build, target};
use common::*;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

/// Exit code, the checks and the summary.
fn watch(file: &Path, account: &str, args: &[&str], trouble: &[(&str, &str)]) -> (i32, Vec<Value>, Value) {
    let args = [&["doctor", "--watch", "--interval-ms", "100", "--json"], args].concat();
    let mut command = command(file, account, &args);
    if !trouble.is_empty() {
        build("make", &["-s", "preloads"]);
        command.env("LD_PRELOAD", target().join("c/preload/device.so")).envs(trouble.iter().copied());
    }
    let (code, out, err) = told(command.output().unwrap());
    let mut all: Vec<Value> =
        out.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {out}{err}"))).collect();
    let sum = all.pop().unwrap_or_else(|| panic!("{err}"));
    assert_eq!(sum["event"], "summary", "{out}{err}");
    assert!(all.iter().all(|check| check["event"] == "check"), "{out}");
    (code, all, sum)
}

fn fault(sim: &kiosklink_sim::Simulator, fault: Value) {
    sim.control("DELETE", "/_sim/faults", json!(null));
    let (status, answer) = sim.control("POST", "/_sim/faults", fault);
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn every_platform_is_asked_over_one_connection() {
    let (sim, file) = simulator("watch-good");
    for account in ["yopoint", "dingshang", "youzan", "zhiyun"] {
        let (_, before) = sim.control("GET", "/_sim/stats", Value::Null);
        let (code, checks, sum) = watch(&file, account, &["--count", "4"], &[]);
        assert_eq!((code, checks.len(), &sum["fault"]), (0, 4, &json!("none")), "{account}: {sum}");
        let (_, after) = sim.control("GET", "/_sim/stats", Value::Null);
        let full = |stats: &Value| stats["handshakes"]["full"].as_u64().unwrap();
        assert_eq!(full(&after) - full(&before), 1, "{account}: {before} {after}");
        for (n, check) in checks.iter().enumerate() {
            assert_eq!((&check["n"], &check["state"]), (&json!(n + 1), &json!("answered")), "{check}");
            assert_eq!(check["reused"], json!(n > 0), "{check}");
            assert!(check["link_ms"].is_u64() && check["bytes"].as_u64().unwrap() > 50, "{check}");
        }
        let bytes: u64 = checks.iter().map(|c| c["bytes"].as_u64().unwrap()).sum();
        assert_eq!(
            (&sum["bytes"], &sum["lost"], &sum["reconnects"]),
            (&json!(bytes), &json!(0), &json!(0)),
            "{sum}"
        );
        let mut times: Vec<u64> = checks.iter().map(|c| c["ms"].as_u64().unwrap()).collect();
        times.sort_unstable();
        assert_eq!(
            sum["answer_ms"],
            json!({"min": times[0], "median": times[1], "p95": times[3], "max": times[3]}),
            "{sum}"
        );
    }
}

#[test]
fn accounts_are_named_when_there_are_several() {
    let (_sim, file) = simulator("watch-accounts");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiosklink"));
    let args = ["doctor", "--watch", "--count", "1", "--lang", "en", "--accounts"];
    let (code, _, err) = told(command.args(args).arg(&file).output().unwrap());
    assert!(code == 64 && err.contains("4 accounts: yopoint, dingshang, youzan, zhiyun"), "{err}");
}

#[test]
fn what_is_lost_and_what_is_refused_is_counted_and_blamed() {
    let (sim, file) = simulator("watch-faults");
    // The first check is answered; two are lost, for nothing is asked twice in a check.
    fault(&sim, json!({"fault": "drop_before_acting", "skip": 1, "count": 4}));
    let (code, checks, sum) = watch(&file, "yopoint", &["--count", "5"], &[]);
    let states: Vec<&str> = checks.iter().map(|c| c["state"].as_str().unwrap()).collect();
    assert!(code == 5 && states[0] == "answered" && states[4] == "answered", "{checks:?}");
    let lost = states.iter().filter(|s| **s == "lost").count();
    assert!(lost >= 2 && sum["lost"] == json!(lost), "{checks:?} {sum}");
    assert_eq!((&sum["fault"], &sum["reconnects"]), (&json!("platform"), &json!(1)), "{sum}");
    assert_eq!(checks[1]["status"], json!("KL_E_LOST"), "{checks:?}");
    assert_eq!(sum["loss_percent"], json!(lost as f64 * 20.0), "{sum}");
    fault(&sim, json!({"fault": "http_5xx", "count": null}));
    let (code, checks, sum) = watch(&file, "yopoint", &["--count", "3"], &[]);
    assert_eq!(
        (code, &sum["refused"], &sum["lost"], &sum["fault"]),
        (5, &json!(3), &json!(0), &json!("platform"))
    );
    assert!(
        sum["verdict"].as_str().unwrap().contains("in 3 of 3 checks") && sum.get("answer_ms").is_none(),
        "{sum}"
    );
    assert!(checks[2]["bytes"].as_u64().unwrap() > 0, "what was refused came too: {checks:?}");
    fault(&sim, json!({"fault": "late", "ms": 2500, "count": 1}));
    let (code, _, sum) = watch(&file, "yopoint", &["--count", "2"], &[]);
    assert!(
        code == 5 && sum["fault"] == "platform" && sum["answer_ms"]["max"].as_u64() >= Some(2500),
        "{sum}"
    );
    sim.control("DELETE", "/_sim/faults", json!(null));
    change(&file, "yopoint", "app_secret", json!("wrong"));
    let (code, _, sum) = watch(&file, "yopoint", &["--count", "2"], &[]);
    assert_eq!((code, &sum["fault"], &sum["refused"]), (5, &json!("account"), &json!(2)), "{sum}");
}

#[test]
fn a_slow_and_a_missing_link_are_the_links_fault() {
    let (sim, file) = simulator("watch-link");
    let (code, checks, sum) = watch(&file, "yopoint", &["--count", "2"], &[("CONNECT", "600")]);
    assert_eq!((code, &sum["fault"], &sum["lost"]), (5, &json!("link"), &json!(0)), "{sum}");
    assert!(checks.iter().all(|c| c["link_ms"].as_u64() >= Some(600)), "{checks:?}");
    let (code, checks, sum) = watch(&file, "yopoint", &["--count", "2"], &[("CONNECT", "ENETUNREACH")]);
    assert_eq!(
        (code, &sum["fault"], &sum["lost"], &sum["link_lost"]),
        (5, &json!("link"), &json!(2), &json!(2))
    );
    assert!(checks.iter().all(|c| c["state"] == "lost" && c["status"] == "KL_E_CONNECT"), "{checks:?}");
    drop(sim);
    // Nobody listens there any more.
    let (_, _, sum) = watch(&file, "yopoint", &["--count", "1"], &[]);
    assert_eq!((&sum["fault"], &sum["loss_percent"]), (&json!("link"), &json!(100.0)), "{sum}");
}

#[test]
fn a_clock_that_is_off_is_learned_and_costs_no_check() {
    let (sim, file) = simulator("watch-clock");
    sim.control("POST", "/_sim/clock", json!({"offset_ms": 7_200_000}));
    let (code, checks, sum) = watch(&file, "yopoint", &["--count", "2"], &[]);
    assert_eq!((code, &sum["answered"]), (0, &json!(2)), "{checks:?}");
    // The question that taught the time is counted with the bytes that it brought.
    assert!(checks[0]["bytes"].as_u64() > checks[1]["bytes"].as_u64(), "{checks:?}");
}

#[test]
fn a_signal_ends_it_with_the_summary() {
    let (sim, file) = simulator("watch-signal");
    let args = ["doctor", "--watch", "--interval-ms", "600000"];
    let mut child = command(&file, "yopoint", &args).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    // Each check is printed when it is over. The next one is ten minutes away.
    out.read_line(&mut first).unwrap();
    assert!(first.contains("answered in "), "{first}");
    let kill = |child: &std::process::Child| {
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    };
    kill(&child);
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest}");
    assert!(rest.contains("checks: 1, answered: 1, refused: 0, lost: 0 (0.0 %)"), "{rest}");
    assert!(rest.contains("bytes that came: ") && rest.contains("Link and platform are good."), "{rest}");
    // A question that hangs does not keep it, and is none that was lost.
    fault(&sim, json!({"fault": "half_open", "count": null}));
    change(&file, "yopoint", "timeout_ms", json!(600_000));
    let child = command(&file, "yopoint", &args).stdout(Stdio::piped()).spawn().unwrap();
    let (_, waited) =
        sim.control("POST", "/_sim/wait", json!({"for": "requests", "count": 2, "timeout_ms": 30_000}));
    assert!(waited.get("error").is_none(), "{waited}");
    kill(&child);
    let (code, out, _) = told(child.wait_with_output().unwrap());
    assert!(code == 0 && out.contains("checks: 0") && out.contains("Nothing was checked."), "{out}");
}

#[test]
fn it_is_told_in_both_languages_at_forty_columns() {
    let (sim, file) = simulator("watch-width");
    fault(&sim, json!({"fault": "http_5xx", "count": 1}));
    for (language, word) in [("en", "bytes that came"), ("zh", "收到字节")] {
        for columns in ["40", "80"] {
            let args = ["doctor", "--watch", "--interval-ms", "100", "--count", "2", "--lang", language];
            let (_, out, err) =
                told(command(&file, "yopoint", &args).env("COLUMNS", columns).output().unwrap());
            assert!(out.contains(word), "{out}{err}");
            for line in out.lines() {
                let wide: usize = line.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
                assert!(wide <= columns.parse().unwrap(), "{columns}: {line}");
            }
        }
    }
}

/// What a program reads is what docs/command.md names, and nothing else.
#[test]
fn the_keys_of_json_are_those_of_the_documentation() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/command.md")).unwrap();
    let page = page.split("## doctor").nth(1).unwrap().split("\n## ").next().unwrap();
    let documented = |value: &Value, keys: &[&str]| {
        let own: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let (mut sorted, mut wanted) = (own.clone(), keys.to_vec());
        sorted.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(sorted, wanted, "{value}");
        assert!(own.iter().all(|key| page.contains(&format!("`{key}`"))), "{own:?}");
    };
    let (sim, file) = simulator("watch-keys");
    let (_, told) = json_of(&file, "yopoint", &["doctor"]);
    documented(&told, &["ok", "account", "platform", "accounts", "fault", "verdict", "checks"]);
    documented(&told["checks"][7], &["check", "state", "what", "ms"]);
    documented(&told["checks"][0], &["check", "state", "what"]);
    fault(&sim, json!({"fault": "drop_before_acting", "skip": 1, "count": 1}));
    let (_, checks, sum) = watch(&file, "yopoint", &["--count", "2"], &[]);
    let check = ["event", "n", "time", "state", "ms", "link_ms", "bytes", "fault"];
    documented(&checks[0], &[&check[..], &["reused"]].concat());
    let counted = [
        "event",
        "checks",
        "answered",
        "refused",
        "lost",
        "loss_percent",
        "link_lost",
        "reconnects",
        "bytes",
    ];
    documented(&sum, &[&counted[..], &["answer_ms", "link_ms", "fault", "verdict"]].concat());
    documented(&sum["answer_ms"], &["min", "median", "p95", "max"]);
    fault(&sim, json!({"fault": "http_5xx", "count": null}));
    let (_, checks, _) = watch(&file, "yopoint", &["--count", "1"], &[]);
    documented(&checks[0], &[&check[..], &["reused", "status", "message"]].concat());
}
