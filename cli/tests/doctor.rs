//! `doctor` against each fault that it claims to see.

mod common;

use common::*;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::Path;

/// The state of one line, and what it says with what to do.
fn line(told: &Value, check: &str) -> (String, String) {
    let all = told["checks"].as_array().unwrap();
    let one = all.iter().find(|c| c["check"] == check).unwrap_or_else(|| panic!("no {check} in {told}"));
    let text = |key: &str| one[key].as_str().unwrap_or("").to_owned();
    (text("state"), format!("{} {}", text("what"), text("do")))
}

fn look(file: &Path, check: &str, state: &str, word: &str) {
    let (code, told) = json_of(file, "yopoint", &["doctor"]);
    let (is, says) = line(&told, check);
    assert!(is == state && says.contains(word), "{check}: {is}: {says}");
    let bad = told["checks"].as_array().unwrap().iter().any(|c| c["state"] == "bad");
    assert_eq!((code, told["ok"].as_bool()), (if bad { 5 } else { 0 }, Some(!bad)), "{told}");
}

#[test]
fn nothing_is_bad() {
    let (_sim, file) = simulator("doctor-good");
    let state = file.parent().unwrap().join("state");
    std::fs::create_dir(&state).unwrap();
    change(&file, "yopoint", "state_dir", json!(state));
    let (code, told) = json_of(&file, "yopoint", &["doctor"]);
    for check in
        ["version", "settings", "state", "space", "journal", "dns", "tcp", "tls", "platform", "clock"]
    {
        let (state, says) = line(&told, check);
        assert_eq!(state, "good", "{check}: {says}");
    }
    assert_eq!((code, &told["ok"]), (0, &json!(true)));
    assert!(line(&told, "tls").1.contains("days left") && line(&told, "version").1.contains("ABI"));
    let (code, said, _) = run(&file, "yopoint", &["doctor"]);
    assert!(code == 0 && said.contains("Nothing is bad") && !said.contains("test-secret"), "{said}");
    // The account's name may stand alone too.
    let (code, _, err) = told_plain(&file, &["doctor", "zhiyun"]);
    assert_eq!((code, err.as_str()), (0, ""));
}

fn told_plain(file: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kiosklink"));
    told(command.args(args).arg("--accounts").arg(file).output().unwrap())
}

#[test]
fn certificates() {
    let (sim, file) = simulator("doctor-tls");
    for (certificate, word) in [
        ("expired", "KL_E_TLS_EXPIRED"),
        ("not_yet_valid", "KL_E_TLS_NOT_YET_VALID"),
        ("wrong_name", "KL_E_TLS_WRONG_NAME"),
        ("untrusted", "KL_E_TLS_UNTRUSTED"),
    ] {
        sim.control("POST", "/_sim/tls", json!({"certificate": certificate}));
        look(&file, "tls", "bad", word);
        look(&file, "platform", "skipped", "not looked at");
    }
    sim.control("POST", "/_sim/tls", json!({"certificate": "good", "client_auth": "required"}));
    look(&file, "tls", "good", "verified");
    let (_, told) = json_of(&file, "yopoint", &["doctor"]);
    let (state, says) = line(&told, "platform");
    assert!(state == "bad" && says.contains("KL_E_TLS_CLIENT_CERT"), "{says}");
    sim.control("POST", "/_sim/tls", json!({"client_auth": "none"}));
    change(&file, "yopoint", "pin_sha256", json!("0".repeat(64)));
    look(&file, "tls", "bad", "KL_E_TLS_PIN");
}

#[test]
fn a_handshake_that_stalls() {
    let (sim, file) = simulator("doctor-stall");
    sim.control("POST", "/_sim/tls", json!({"handshake_stall": true}));
    change(&file, "yopoint", "connect_timeout_ms", json!(1500));
    look(&file, "tls", "bad", "KL_E_TIMEOUT_TLS");
}

#[test]
fn names_and_ports() {
    let (_sim, file) = simulator("doctor-net");
    change(&file, "yopoint", "base_url", json!("https://nothing.invalid/yopoint"));
    look(&file, "dns", "bad", "nothing.invalid has no address");
    look(&file, "tcp", "skipped", "");
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    change(&file, "yopoint", "base_url", json!(format!("https://127.0.0.1:{port}/")));
    look(&file, "tcp", "bad", "refused");
    look(&file, "tls", "skipped", "");
}

#[test]
fn what_the_platform_says() {
    let (sim, file) = simulator("doctor-platform");
    let fault = |fault: Value, state: &str, word: &str| {
        sim.control("DELETE", "/_sim/faults", json!(null));
        sim.control("POST", "/_sim/faults", fault);
        look(&file, "platform", state, word);
    };
    fault(json!({"fault": "html_portal", "count": null}), "bad", "captive portal");
    fault(json!({"fault": "html_portal", "redirect": true, "count": null}), "bad", "captive portal");
    fault(json!({"fault": "rate_limit", "count": null, "retry_after_s": 60}), "bad", "KL_E_RATE_LIMIT");
    fault(json!({"fault": "http_5xx", "count": null}), "bad", "in trouble");
    sim.control("DELETE", "/_sim/faults", json!(null));
    change(&file, "yopoint", "app_secret", json!("not-the-secret"));
    look(&file, "platform", "bad", "sign explain");
    let (_, said, _) = run(&file, "yopoint", &["doctor"]);
    assert!(!said.contains("not-the-secret"), "a secret is shown");
}

#[test]
fn a_clock_that_is_off() {
    let (sim, file) = simulator("doctor-clock");
    sim.control("POST", "/_sim/clock", json!({"offset_ms": 7_200_000}));
    look(&file, "clock", "bad", "behind");
    sim.control("POST", "/_sim/clock", json!({"offset_ms": -60_000}));
    look(&file, "clock", "look", "ahead of");
}

#[test]
fn settings_that_cannot_work() {
    let (_sim, file) = simulator("doctor-settings");
    change(&file, "yopoint", "app_secret", json!(null));
    look(&file, "settings", "bad", "KL_E_CONFIG_MISSING");
    change(&file, "yopoint", "app_secret", json!("test-secret"));
    change(&file, "yopoint", "ca_file", json!("nothing.pem"));
    look(&file, "settings", "bad", "KL_E_ROOTS");
    std::fs::write(&file, "{").unwrap();
    look(&file, "settings", "bad", "KL_E_CONFIG_FILE");
    let (_sim, file) = simulator("doctor-open");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    look(&file, "settings", "look", "chmod 600");
}

#[test]
fn the_folder_and_its_journal() {
    let (_sim, file) = simulator("doctor-state");
    look(&file, "state", "look", "no state_dir");
    let state = file.parent().unwrap().join("state");
    change(&file, "yopoint", "state_dir", json!(state));
    look(&file, "state", "bad", "mkdir -p");
    std::fs::write(&state, "").unwrap();
    look(&file, "state", "bad", "is no folder");
    std::fs::remove_file(&state).unwrap();
    std::fs::create_dir(&state).unwrap();
    look(&file, "journal", "good", "0 not");
    let (code, _, err) = run(
        &file,
        "yopoint",
        &["open", "5f6da2362201410011000001", "--door", "1", "--request-id", "doctor-1"],
    );
    assert_eq!(code, 0, "{err}");
    look(&file, "journal", "good", "1 commands settled");
    let journal = std::fs::read_dir(&state).unwrap().map(|e| e.unwrap().path());
    let journal = journal.filter(|p| p.extension().is_some_and(|e| e == "journal")).last().unwrap();
    // A letter changed in the middle is no torn tail.
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, text.replacen("doctor-1", "doctor-2", 1)).unwrap();
    look(&file, "journal", "bad", "damaged");
}

#[test]
fn a_folder_that_cannot_be_written() {
    // Not even root writes there: the kernel makes the files of this folder.
    let (_sim, file) = simulator("doctor-unwritable");
    change(&file, "yopoint", "state_dir", json!("/proc/self"));
    look(&file, "state", "bad", "cannot be written");
}
