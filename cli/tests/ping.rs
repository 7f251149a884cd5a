//! The command against the simulator.

use kiosklink_sim::{Options, Simulator};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A simulator, and the file of its account.
fn simulator(name: &str) -> (Simulator, PathBuf) {
    let sim = Simulator::start(Options::default()).unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("ca.pem"), sim.ca_pem()).unwrap();
    let mut accounts = sim.accounts("ca.pem");
    // One account: the name need not be given, whatever other platforms the simulator learns.
    accounts["accounts"].as_object_mut().unwrap().retain(|name, _| name == "yopoint");
    std::fs::write(folder.join("accounts.json"), accounts.to_string()).unwrap();
    (sim, folder.join("accounts.json"))
}

fn run(args: &[&str]) -> (i32, String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_kiosklink")).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

fn ping(file: &Path, more: &[&str]) -> (i32, String) {
    let (code, out, err) = run(&[&["ping", "--accounts", file.to_str().unwrap()], more].concat());
    assert_eq!(err, "");
    (code, out)
}

#[test]
fn a_ping_that_works() {
    let (_sim, file) = simulator("ping-ok");
    let (code, said) = ping(&file, &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("yopoint answers") && said.contains("clock is right"), "{said}");
    let (code, said) = ping(&file, &["--json", "--account=yopoint"]);
    let told: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &told["ok"], &told["platform"]), (0, &json!(true), &json!("yopoint")));
    assert_eq!(told["time_source"], json!("platform"));
    assert!(told["time"].as_i64().unwrap() > 1_700_000_000 && told["ms"].as_i64().unwrap() < 20_000);
}

#[test]
fn a_clock_that_is_off_is_told() {
    let (sim, file) = simulator("ping-clock");
    let (status, _) = sim.control("POST", "/_sim/clock", json!({"offset_ms": 7_200_000}));
    assert_eq!(status, 200);
    let (code, said) = ping(&file, &[]);
    assert!(code == 0 && said.contains(" s behind: set it"), "{said}");
    let told: Value = serde_json::from_str(&ping(&file, &["--json"]).1).unwrap();
    assert!((-7205..=-7195).contains(&told["clock_ahead_s"].as_i64().unwrap()), "{told}");
}

#[test]
fn a_refusal_says_why_and_no_secret() {
    let (sim, file) = simulator("ping-refused");
    let wrong = std::fs::read_to_string(&file).unwrap().replace("\"test-secret\"", "\"not-the-secret\"");
    std::fs::write(&file, wrong).unwrap();
    let (code, said) = ping(&file, &[]);
    assert!(code == 1 && said.contains("KL_E_AUTH") && said.contains("will not help"), "{said}");
    let (code, line) = ping(&file, &["--json"]);
    let told: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((code, &told["status"], &told["code"]), (1, &json!("KL_E_AUTH"), &json!(501)));
    assert_eq!((&told["ok"], &told["advice"]), (&json!(false), &json!("fix")));
    assert!(!said.contains("not-the-secret") && !line.contains("not-the-secret"));
    drop(sim);
    let (code, said) = ping(&file, &[]);
    assert!(code == 1 && said.contains("KL_E_CONNECT"), "{said}");
    let (code, said) = ping(&file, &["--account", "yopiont"]);
    assert!(code == 1 && said.contains("did you mean") && said.contains("KL_E_CONFIG_FILE"), "{said}");
}

#[test]
fn wrong_use_and_the_two_flags() {
    for wrong in [
        &[][..],
        &["ping"],
        &["ping", "--accounts"],
        &["ping", "--accounts=x", "--json=1"],
        &["pong"],
        &["ping", "ping", "--accounts=x"],
        &["--fast"],
    ] {
        let (code, out, err) = run(wrong);
        assert!(code == 64 && out.is_empty() && err.starts_with("kiosklink: "), "{wrong:?}: {code} {err}");
    }
    let (code, out, _) = run(&["--version"]);
    assert_eq!((code, out), (0, format!("kiosklink {}\n", env!("CARGO_PKG_VERSION"))));
    let (code, out, _) = run(&["ping", "--help"]);
    assert!(code == 0 && out.contains("--accounts FILE") && out.contains("64"));
}
