//! The verbs against the simulator: words, JSON, exit codes, and no secret anywhere.

mod common;

use common::*;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

const CABINET: &str = "5f6da2362201410011000001";

fn bare(args: &[&str]) -> (i32, String, String) {
    told(Command::new(env!("CARGO_BIN_EXE_kiosklink")).args(args).output().unwrap())
}

#[test]
fn a_ping_that_works() {
    let (_sim, file) = simulator("ping-ok");
    let (code, said, err) = run(&file, "yopoint", &["ping"]);
    assert_eq!((code, err.as_str()), (0, ""), "{said}");
    assert!(said.starts_with("yopoint answers") && said.contains("clock is right"), "{said}");
    let (code, told) = json_of(&file, "yopoint", &["ping"]);
    assert_eq!((code, &told["ok"], &told["platform"]), (0, &json!(true), &json!("yopoint")));
    assert_eq!(told["time_source"], json!("platform"));
    assert!(told["time"].as_i64().unwrap() > 1_700_000_000);
}

#[test]
fn a_clock_that_is_off_is_told() {
    let (sim, file) = simulator("ping-clock");
    assert_eq!(sim.control("POST", "/_sim/clock", json!({"offset_ms": 7_200_000})).0, 200);
    let (code, said, _) = run(&file, "yopoint", &["ping"]);
    assert!(code == 0 && said.contains(" s behind: set it"), "{said}");
    let (_, told) = json_of(&file, "yopoint", &["ping"]);
    assert!((-7205..=-7195).contains(&told["clock_ahead_s"].as_i64().unwrap()), "{told}");
}

#[test]
fn refusals_have_numbers_of_their_own() {
    let (sim, file) = simulator("verbs-refused");
    change(&file, "yopoint", "app_secret", json!("not-the-secret"));
    let (code, said, err) = run(&file, "yopoint", &["ping"]);
    assert!(
        code == 11 && said.is_empty() && err.contains("KL_E_AUTH") && err.contains("will not help"),
        "{err}"
    );
    let (code, told) = json_of(&file, "yopoint", &["ping"]);
    assert_eq!((code, &told["status"], &told["advice"]), (11, &json!("KL_E_AUTH"), &json!("fix")));
    assert!(!err.contains("not-the-secret") && !told.to_string().contains("not-the-secret"));
    change(&file, "yopoint", "app_secret", json!("test-secret"));
    let (code, _, err) = run(&file, "yopoint", &["user"]);
    assert!(code == 2 || code == 12, "{code} {err}");
    let (code, told) = json_of(&file, "yopoint", &["order", "get", "VI000000000000000000"]);
    assert_eq!((code, &told["status"]), (12, &json!("KL_E_NOT_FOUND")), "{told}");
    sim.control("POST", "/_sim/faults", json!({"fault": "rate_limit", "retry_after_s": 60, "count": null}));
    assert_eq!(run(&file, "yopoint", &["ping"]).0, 13);
    drop(sim);
    let (code, _, err) = run(&file, "yopoint", &["ping"]);
    assert!(code == 10 && err.contains("KL_E_CONNECT"), "{err}");
    let (code, _, err) = run(&file, "yopiont", &["ping"]);
    assert!(code == 1 && err.contains("did you mean") && err.contains("KL_E_CONFIG_FILE"), "{err}");
}

#[test]
fn wrong_use() {
    for wrong in [
        &[][..],
        &["ping"],
        &["ping", "--accounts"],
        &["ping", "--accounts=x", "--json=1"],
        &["pong"],
        &["ping", "ping", "--accounts=x"],
        &["--fast"],
        &["order"],
        &["stock", "--accounts=x"],
        &["open", "--accounts=x"],
        &["completion", "tcsh"],
        &["ping", "--door", "1"],
        &["orders", "list", "--platform=yopoint", "--app-id=1", "--from", "soon"],
        &["code", "cancel", "1", "--platform=yopoint"],
        &["ping", "-x"],
    ] {
        let (code, out, err) = bare(wrong);
        assert!(
            code == 64 && out.is_empty() && err.starts_with("kiosklink: "),
            "{wrong:?}: {code} {out} {err}"
        );
    }
    assert_eq!(
        bare(&["--version"]),
        (0, format!("kiosklink {}\n", env!("CARGO_PKG_VERSION")), String::new())
    );
    let (code, out, _) = bare(&["ping", "--help"]);
    assert!(code == 0 && out.contains("--accounts FILE") && out.contains("Examples"), "{out}");
    let (code, out, _) = bare(&["help"]);
    assert!(code == 0 && out.contains("sign diagnose") && out.contains("64"), "{out}");
}

#[test]
fn lists_and_records_in_words_and_json() {
    let (_sim, file) = simulator("verbs-lists");
    let (code, said, err) = run(&file, "yopoint", &["cabinets"]);
    assert!(code == 0 && err.is_empty() && said.contains(CABINET), "{said}{err}");
    let (code, out, _) = run(&file, "yopoint", &["cabinets", "--json"]);
    let lines: Vec<Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(code == 0 && lines.iter().any(|c| c["id"] == CABINET));
    assert_eq!(said.lines().count(), lines.len() + 1);
    let (_, raw, _) = run(&file, "yopoint", &["cabinets", "--json", "--raw"]);
    assert!(
        raw.lines().all(|l| serde_json::from_str::<Value>(l).is_ok()) && raw.contains("OnlineStatus"),
        "{raw}"
    );
    let (code, said, _) = run(&file, "yopoint", &["stock", CABINET]);
    assert!(code == 0 && said.contains("price"), "{said}");
    let (code, out, _) =
        run(&file, "yopoint", &["orders", "list", "--from", "2000-01-01", "--json", "--limit", "2"]);
    assert_eq!((code, out.lines().count()), (0, 2), "{out}");
    let order: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    let (code, one) = json_of(&file, "yopoint", &["order", "get", order["order_no"].as_str().unwrap()]);
    assert_eq!((code, &one["order_no"]), (0, &order["order_no"]));
    let (code, said, _) = run(&file, "yopoint", &["call", "cabinet.list", r#"{"Page":1,"PageSize":1}"#]);
    assert!(
        code == 0 && said.starts_with("{\n  \"") && serde_json::from_str::<Value>(&said).is_ok(),
        "{said}"
    );
    let (code, said, _) = run(&file, "zhiyun", &["user"]);
    assert!(code == 0 && said.contains("username"), "{said}");
    assert_eq!(run(&file, "zhiyun", &["company", "--json"]).0, 0);
    let (code, said, _) = run(&file, "yopoint", &["accounts"]);
    assert!(
        code == 0 && said.contains("app_secret") && said.contains("***") && !said.contains("test-secret"),
        "{said}"
    );
}

#[test]
fn every_setting_is_a_flag() {
    let (sim, file) = simulator("verbs-flags");
    let folder = file.parent().unwrap();
    std::fs::write(folder.join("secret"), "test-secret\n").unwrap();
    let secret = format!("@{}", folder.join("secret").display());
    let base = format!("{}/yopoint", sim.origin());
    let ca = folder.join("ca.pem");
    let args = [
        "ping",
        "--platform",
        "yopoint",
        "--app-id",
        "100000000001",
        "--base-url",
        &base,
        "--ca-file",
        ca.to_str().unwrap(),
    ];
    let (code, _, err) = bare(&[&args[..], &["--app-secret", &secret, "--timeout-ms=9000"]].concat());
    assert_eq!((code, err.as_str()), (0, ""));
    let (code, _, err) =
        bare(&[&args[..], &["--app_secret", "test-secret", "--secrets-in-arguments"]].concat());
    assert_eq!((code, err.as_str()), (0, ""));
    let (code, _, err) = run(&file, "yopoint", &["ping", "--timeout-ms", "soon"]);
    assert!(code == 1 && err.contains("timeout_ms"), "{err}");
}

#[test]
fn a_door_opens_once_and_the_code_says_what_became_of_it() {
    let (sim, file) = simulator("verbs-open");
    let openings = || sim.control("GET", "/_sim/openings", json!(null)).1.as_array().map_or(0, Vec::len);
    let before = openings();
    let (code, said, err) = run(&file, "yopoint", &["open", CABINET, "--door", "1"]);
    assert!(code == 0 && err.starts_with("request_id ") && said.contains("order_no"), "{said}{err}");
    assert!(said.contains(err.trim().trim_start_matches("request_id ")), "{said}{err}");
    assert_eq!(openings(), before + 1);
    // The platform acts and its answer is lost: nobody knows, and nothing is sent again.
    sim.control("POST", "/_sim/faults", json!({"method": "cabinet.open.door", "fault": "act_then_drop"}));
    let (code, told) = json_of(&file, "yopoint", &["open", CABINET, "--door", "1", "--request-id", "a"]);
    assert_eq!((code, &told["outcome"]), (3, &json!("unknown")), "{told}");
    assert_eq!(told["request_id"], "a");
    // It is refused before anything happens.
    let (code, told) = json_of(&file, "yopoint", &["open", "no-such-cabinet", "--request-id", "b"]);
    assert_eq!((code, &told["outcome"]), (2, &json!("not_done")), "{told}");
    assert_eq!(told["request_id"], "b");
}

#[test]
fn pickup_codes_from_their_making_to_their_end() {
    let (_sim, file) = simulator("verbs-codes");
    let run = |args: &[&str]| {
        let (code, out, err) = run(&file, "dingshang", args);
        assert_eq!(code, 0, "{args:?}: {out}{err}");
        out
    };
    let machines = run(&["cabinets", "--json"]);
    let machine: Value = serde_json::from_str(machines.lines().next().unwrap()).unwrap();
    let machine = machine["id"].as_str().unwrap().to_owned();
    let goods = run(&["stock", &machine, "--json"]);
    let product: Value = serde_json::from_str(goods.lines().next().unwrap()).unwrap();
    let product = product["id"].as_str().unwrap().to_owned();
    let made: Value =
        serde_json::from_str(&run(&["code", "create", &machine, "--product", &product, "--json"])).unwrap();
    let code = made["code"].as_str().unwrap().to_owned();
    let place = ["--cabinet", &machine, "--product", &product];
    assert!(run(&[&["code", "list"], &place[..]].concat()).contains(&code));
    assert!(run(&[&["code", "lookup", &code], &place[..]].concat()).contains("unused"));
    let said = run(&[
        &["redeem", &code, "--notify-url", "https://example.org/done", "--request-id", "r1"],
        &place[..],
    ]
    .concat());
    assert!(said.contains("order_no") && said.contains("item_no"), "{said}");
    run(&["code", "cancel", &machine, "--all"]);
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let (sim, file) = simulator("verbs-pipe");
    let made = json!({"cabinets": 0, "stock_lines": 0, "orders": 3000, "step_s": 60});
    sim.control("POST", "/_sim/yopoint/generate", made);
    let mut child = command(&file, "yopoint", &["orders", "list", "--from", "2000-01-01", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    // The pipe is shut here.
    let status = child.wait().unwrap();
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert!(first.starts_with('{') && status.code() == Some(141) && err.is_empty(), "{status} {err}");
    // A full disk is another matter.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let out = command(&file, "yopoint", &["cabinets"]).stdout(full).output().unwrap();
    assert_eq!(out.status.code(), Some(74));
    // A door that opened has opened, whoever reads of it.
    let mut child = command(&file, "yopoint", &["open", CABINET, "--door", "1", "--request-id", "p"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_export_that_is_killed_goes_on_without_a_hole_or_a_double() {
    let (sim, file) = simulator("verbs-export");
    let made =
        json!({"cabinets": 0, "stock_lines": 0, "orders": 1200, "step_s": 600, "end_s": 1_700_000_000});
    sim.control("POST", "/_sim/yopoint/generate", made);
    let folder = file.parent().unwrap();
    let period = ["--from", "2023-11-01", "--to", "2023-11-20"];
    let whole = folder.join("whole.jsonl");
    let (code, out, err) = run(
        &file,
        "yopoint",
        &[&["orders", "export", "--output", whole.to_str().unwrap()], &period[..]].concat(),
    );
    assert_eq!(code, 0, "{out}{err}");
    let numbers = |text: &str| -> Vec<String> {
        let mut all: Vec<String> = text
            .lines()
            .map(|l| serde_json::from_str::<Value>(l).unwrap()["order_no"].as_str().unwrap().to_owned())
            .collect();
        all.sort();
        all
    };
    let right = numbers(&std::fs::read_to_string(&whole).unwrap());
    assert!(right.len() >= 1000 && right.windows(2).all(|w| w[0] != w[1]), "{}", right.len());
    let cut = folder.join("cut.jsonl");
    let state = folder.join("cut.jsonl.state");
    let args = [&["orders", "export", "--output", cut.to_str().unwrap()], &period[..]].concat();
    let mut kills = 0;
    for round in 0.. {
        let slow = json!({"fault": "late", "ms": 5, "count": null});
        sim.control("POST", "/_sim/faults", slow);
        let mut child =
            command(&file, "yopoint", &args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let began = std::fs::read(&state).unwrap_or_default();
        // Until the state has moved a few times, or all is done.
        let mut moves = 0;
        let mut last = began;
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            let now = std::fs::read(&state).unwrap_or_default();
            if now != last {
                (moves, last) = (moves + 1, now);
            }
            if moves > 3 + round % 3 && kills < 4 {
                break None;
            }
            std::thread::yield_now();
        };
        match ended {
            Some(status) => {
                let mut err = String::new();
                child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
                assert_eq!(status.code(), Some(0), "{err}");
                break;
            }
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
                // It was just ready: there is nothing to go on with.
                if !state.exists() {
                    break;
                }
                // A record that was being written when the power went.
                if let Ok(mut file) = std::fs::OpenOptions::new().append(true).open(&cut) {
                    std::io::Write::write_all(&mut file, b"{\"order_no\":\"VI2").unwrap();
                }
            }
        }
    }
    assert!(kills > 0, "it was over before it could be killed");
    assert_eq!(numbers(&std::fs::read_to_string(&cut).unwrap()), right);
    assert!(!state.exists());
    // The same again would overwrite what is finished; another period would mix.
    let (code, _, err) = run(&file, "yopoint", &args);
    assert!(code == 1 && err.contains("--restart"), "{err}");
    let csv = folder.join("all.csv");
    let (code, _, err) = run(
        &file,
        "yopoint",
        &[&["orders", "export", "--output", csv.to_str().unwrap()], &period[..]].concat(),
    );
    assert_eq!(code, 0, "{err}");
    let text = std::fs::read_to_string(&csv).unwrap();
    assert!(text.starts_with("order_no,trade_no,") && text.matches("\r\n").count() == right.len() + 1);
}

#[test]
fn commands_of_yesterday() {
    let (sim, file) = simulator("verbs-pending");
    for nowhere in [json!(null), json!("none")] {
        change(&file, "yopoint", "state_dir", nowhere);
        let (code, _, err) = run(&file, "yopoint", &["pending", "list"]);
        assert!(code == 64 && err.contains("state_dir"), "{err}");
    }
    change(&file, "yopoint", "state_dir", json!("state"));
    let (code, said, _) = run(&file, "yopoint", &["pending", "list"]);
    assert!(code == 0 && said.starts_with("No commands"), "{said}");
    // Taken, and the answer lost: the platform knows.
    sim.control("POST", "/_sim/faults", json!({"method": "cabinet.open.door", "fault": "act_then_drop"}));
    let (code, _, err) = run(&file, "yopoint", &["open", CABINET, "--door", "1", "--request-id", "lost"]);
    assert_eq!(code, 3, "{err}");
    let (_, told) = json_of(&file, "yopoint", &["pending", "list"]);
    assert_eq!((&told["request_id"], &told["outcome"]), (&json!("lost"), &json!("unknown")));
    let (code, told) = json_of(&file, "yopoint", &["pending", "resolve", "lost"]);
    assert_eq!((code, &told["outcome"], &told["settled_by"]), (0, &json!("done"), &json!("query")), "{told}");
    // Never arrived: nobody can tell from afar, a person decides.
    sim.control(
        "POST",
        "/_sim/faults",
        json!({"method": "cabinet.open.door", "fault": "drop_before_acting"}),
    );
    assert_eq!(run(&file, "yopoint", &["open", CABINET, "--door", "2", "--request-id", "never"]).0, 3);
    assert_eq!(run(&file, "yopoint", &["pending", "resolve"]).0, 3);
    // Listed with all that a person needs.
    let (_, told) = json_of(&file, "yopoint", &["pending", "list"]);
    assert!(told["mature_in_ms"].as_i64().unwrap() > 0 && told["mark"].is_string(), "{told}");
    assert!(told["sequence"].is_null() && told["sent_at"].is_i64(), "{told}");
    let (_, said, _) = run(&file, "yopoint", &["pending", "list"]);
    assert!(said.contains("mature_in_ms") && (said.contains(" min ") || said.contains(" s ")), "{said}");
    // The request may still arrive: nobody's not done is taken, and it is said from when on.
    let settle = ["pending", "settle", "never", "not-done", "--note", "the seal is whole"];
    for by in [&[][..], &["--sensor"]] {
        let (code, told) = json_of(&file, "yopoint", &[&settle[..], by].concat());
        assert_eq!((code, &told["status"]), (6, &json!("KL_E_TOO_EARLY")), "{told}");
        assert!(told["retry_after_ms"].as_i64().unwrap() > 0 && told["request_id"] == "never", "{told}");
    }
    let (code, _, err) = run(&file, "yopoint", &settle);
    assert!(code == 6 && err.contains("not done is taken in") && !err.contains("NOT KNOWN"), "{err}");
    // A person can overrule it, aloud.
    let (code, _, err) = run(&file, "yopoint", &["pending", "settle", "never", "not-done", "--overrule"]);
    assert!(code == 64 && err.contains("--note"), "{err}");
    let (code, _, err) = run(&file, "yopoint", &[&settle[..], &["--overrule", "--sensor"]].concat());
    assert!(code == 64 && err.contains("a person's word"), "{err}");
    let (code, told) = json_of(&file, "yopoint", &[&settle[..], &["--overrule"]].concat());
    assert_eq!(
        (code, &told["outcome"], &told["settled_by"]),
        (0, &json!("not_done"), &json!("person")),
        "{told}"
    );
    let (code, said, _) = run(&file, "yopoint", &["pending", "list"]);
    assert!(code == 0 && said.starts_with("No commands"), "{said}");
    let (_, all, _) = run(&file, "yopoint", &["pending", "list", "--all"]);
    assert!(all.contains("lost") && all.contains("never") && all.contains("the seal is whole"), "{all}");
    let (code, _, err) = run(&file, "yopoint", &["pending", "resolve", "nobody"]);
    // The journal has forgotten nothing, so what it does not know was never begun.
    assert!(code == 2 && err.contains("KL_E_NOT_FOUND"), "{code} {err}");
    // What a lawyer asks for.
    let out = file.parent().unwrap().join("evidence.json");
    let _ = std::fs::remove_file(&out);
    let (code, said, err) = run(&file, "yopoint", &["evidence", "lost", "--output", out.to_str().unwrap()]);
    assert!(code == 0 && said.contains("Secrets are left out"), "{said}{err}");
    let text = std::fs::read_to_string(&out).unwrap();
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["command"]["outcome"], "done");
    assert!(
        told["records"].as_array().unwrap().len() >= 2 && told["clock"]["source"] == "platform",
        "{told}"
    );
    assert!(told["order"]["order_no"].is_string() && !text.contains("test-secret"), "{told}");
    let (code, _, err) = run(&file, "yopoint", &["evidence", "lost", "--output", out.to_str().unwrap()]);
    assert!(code == 1 && err.contains("exists"), "{err}");
}

// FAULTS F10: a redemption that is done and whose goods never came was in no list.
#[test]
fn visits_that_are_open() {
    let (sim, file) = simulator("verbs-visits");
    let (code, said, _) = run(&file, "yopoint", &["visits", "list"]);
    assert!(code == 0 && said.starts_with("No visits"), "{said}");
    let visit = ["--visit-id", "visit-7", "--context", "the left one"];
    for id in ["a", "b"] {
        let open = ["open", CABINET, "--door", "1", "--request-id", id];
        let (code, told) = json_of(&file, "yopoint", &[&open[..], &visit[..]].concat());
        assert_eq!(code, 0, "{told}");
        // The door is shut again.
        sim.control("POST", "/_sim/clock/advance", json!({"ms": 60_000}));
    }
    let (_, told) = json_of(&file, "yopoint", &["visits", "list"]);
    assert_eq!((&told["visit_id"], &told["context"]), (&json!("visit-7"), &json!("the left one")), "{told}");
    let commands = told["commands"].as_array().unwrap();
    assert_eq!(commands.iter().map(|c| c["request_id"].as_str().unwrap()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(commands.iter().all(|c| c["outcome"] == "done" && c["visit_id"] == "visit-7"), "{told}");
    let (_, said, _) = run(&file, "yopoint", &["visits", "list"]);
    assert!(said.contains("a done, b done"), "{said}");
    let (code, said, _) = run(&file, "yopoint", &["visits", "close", "visit-7"]);
    assert!(code == 0 && said.contains("visit-7 is closed"), "{said}");
    assert!(run(&file, "yopoint", &["visits", "list"]).1.starts_with("No visits"));
    let (code, told) = json_of(&file, "yopoint", &["visits", "close", "visit-7"]);
    assert_eq!((code, &told["status"]), (12, &json!("KL_E_NOT_FOUND")), "{told}");
}

#[test]
fn refusals_that_no_row_explains_are_put_to_the_vendor() {
    let (sim, file) = simulator("verbs-refusals");
    let (code, said, _) = run(&file, "yopoint", &["refusals"]);
    assert!(code == 0 && said.starts_with("No refusals"), "{said}");
    let (_, told) = json_of(&file, "yopoint", &["refusals"]);
    assert_eq!(told, json!({"kiosklink-refusals": 1, "rows": []}));
    // Names that stand in no notes; the platform did not act, which nobody can know.
    let strange = json!({"platform": "yopoint", "seed": 7, "share": 1.0, "kinds": ["new_error_not_acted"]});
    let (status, answer) = sim.control("POST", "/_sim/dialect", strange);
    assert_eq!(status, 200, "{answer}");
    for (id, door) in [("a", "1"), ("b", "2")] {
        let (code, told) = json_of(&file, "yopoint", &["open", CABINET, "--door", door, "--request-id", id]);
        assert_eq!(
            (code, &told["outcome"], &told["request_id"]),
            (3, &json!("unknown"), &json!(id)),
            "{told}"
        );
    }
    sim.control("DELETE", "/_sim/dialect", json!(null));
    // A person settled one of them: what its refusal means is still not known.
    let settle = ["pending", "settle", "a", "not-done", "--overrule", "--note", "the seal is whole"];
    assert_eq!(run(&file, "yopoint", &settle).0, 0);
    let (code, mut table) = json_of(&file, "yopoint", &["refusals"]);
    let rows = table["rows"].as_array().unwrap().clone();
    assert!(code == 0 && !rows.is_empty(), "{table}");
    assert_eq!(rows.iter().map(|r| r["met"].as_i64().unwrap()).sum::<i64>(), 2, "{table}");
    for row in &rows {
        assert_eq!((&row["platform"], &row["means"]), (&json!("yopoint"), &json!("unknown")), "{table}");
        assert!(row["http"].is_i64() && row["source"] == "" && row["signed_off"] == "", "{table}");
        assert!(row["status"].as_str().unwrap().starts_with("KL_E_"), "{table}");
    }
    let name = rows[0]["name"].as_str().unwrap();
    let (_, said, _) = run(&file, "yopoint", &["refusals"]);
    assert!(said.contains(name), "{said}");
    // It is the form of a refusals_file, and of no use before it is signed off.
    let saved = file.parent().unwrap().join("refusals.json");
    write(&saved, &table);
    change(&file, "yopoint", "refusals_file", json!(saved));
    let (code, _, err) = run(&file, "yopoint", &["ping"]);
    assert!(code == 1 && err.contains("KL_E_CONFIG_FILE") && err.contains("row 1"), "{err}");
    for row in table["rows"].as_array_mut().unwrap() {
        row["source"] = json!("mail of the vendor");
        row["signed_off"] = json!("A. Person");
    }
    write(&saved, &table);
    assert_eq!(run(&file, "yopoint", &["ping"]).0, 0);
    assert!(run(&file, "yopoint", &["refusals"]).1.starts_with("No refusals"));
}

#[test]
fn every_outcome_names_its_request_id() {
    let (_sim, file) = simulator("verbs-named");
    // Made by the library, told before anything is sent, and in the answer.
    let (code, out, err) = run(&file, "yopoint", &["open", CABINET, "--door", "1", "--json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, err.trim()), (0, &*format!("request_id {}", told["request_id"].as_str().unwrap())));
    // What was done is done, whatever became of the journal since.
    let state = file.parent().unwrap().join("state");
    std::fs::rename(&state, state.with_extension("away")).unwrap();
    for verb in [&["open", CABINET, "--door", "1"][..], &["redeem", "123456", "--kind", "virtual"]] {
        let (code, told) = json_of(&file, "yopoint", &[verb, &["--request-id", "mine"]].concat());
        let (request_id, outcome) = (&told["request_id"], &told["outcome"]);
        assert_eq!((code, request_id, outcome), (3, &json!("mine"), &json!("unknown")), "{told}");
        // A name that was never made cannot have been used.
        let (code, told) = json_of(&file, "yopoint", verb);
        assert_eq!((code, &told["outcome"]), (2, &json!("not_done")), "{told}");
    }
}

#[test]
fn completion_and_man_page() {
    for (shell, check) in [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete -c")] {
        let (code, text, _) = bare(&["completion", shell]);
        assert!(
            code == 0 && text.contains(check) && text.contains("--accounts") | text.contains("-l accounts"),
            "{shell}"
        );
        for word in ["doctor", "diagnose", "export", "settle"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
        // A shell that is here reads it.
        let installed = Command::new(shell).arg("-c").arg(":").status().is_ok();
        if installed && shell != "fish" {
            let mut child = Command::new(shell).arg("-n").stdin(Stdio::piped()).spawn().unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
            assert!(child.wait().unwrap().success(), "{shell} does not read its completion");
        }
    }
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kiosklink.1");
    let (_, made, _) = bare(&["man"]);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&page, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(kept == made, "docs/kiosklink.1 is not what `kiosklink man` prints: BLESS=1 writes it");
}

/// The same verb in C, C++, Python and here.
#[test]
fn every_verb_of_the_library_is_a_command_by_its_name() {
    let read =
        |path: &str| std::fs::read_to_string(format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let layout: Value = serde_json::from_str(&read("abi/layout.json")).unwrap();
    let verbs =
        layout["constants"].as_object().unwrap().keys().filter_map(|name| name.strip_prefix("KL_VERB_"));
    let mut names: Vec<String> = verbs.map(str::to_lowercase).collect();
    assert_eq!(names.len(), 19);
    // What settles a command, closes a visit and mends a journal.
    names.extend(["command_pending", "command_resolve", "command_wait", "command_settle"].map(str::to_owned));
    names.extend(["visit_list", "visit_close", "journal_adopt", "journal_repair"].map(str::to_owned));
    let (page, (_, man, _), (_, bash, _)) =
        (read("docs/command.md"), bare(&["man"]), bare(&["completion", "bash"]));
    for name in names {
        assert!(layout["functions"].get(format!("kl_{name}")).is_some(), "kl_{name}");
        let dashed = name.replace('_', "-");
        for spelled in [&name, &dashed] {
            let (code, text, _) = bare(&["help", spelled]);
            assert!(code == 0 && text.contains("Examples:"), "{spelled}: {text}");
            assert!(
                !name.contains('_') || text.contains(&format!("The same: kiosklink {dashed}.")),
                "{text}"
            );
        }
        assert!(page.contains(&format!("`{dashed}")), "docs/command.md does not name {dashed}");
        assert!(man.contains(&dashed.replace('-', "\\-")), "the man page does not name {dashed}");
        assert!(bash.contains(&format!("\"{dashed} \"*")), "bash does not complete {dashed}");
    }
    // It reads arguments and flags as the short one does.
    for words in [&["code", "lookup"][..], &["code-lookup"], &["code_lookup"]] {
        let (code, _, said) = bare(words);
        assert!(code == 64 && said.contains("code lookup needs CODE"), "{words:?} {code} {said}");
    }
    // In two words there is no other name than the short one.
    let (code, _, said) = bare(&["door", "open"]);
    assert!(code == 64 && said.contains("unknown command door open"), "{code} {said}");
}

#[test]
fn every_command_is_in_the_documentation() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/command.md")).unwrap();
    let (_, text, _) = bare(&["help"]);
    let commands = text
        .lines()
        .skip(4)
        .take_while(|l| !l.is_empty())
        .filter(|l| l.starts_with("  ") && !l.starts_with("   "));
    let mut count = 0;
    for line in commands {
        let name = line.trim().split("  ").next().unwrap();
        count += 1;
        assert!(page.contains(&format!("`{name}")), "docs/command.md does not name {name}");
    }
    assert!(count > 30, "{count}");
}
