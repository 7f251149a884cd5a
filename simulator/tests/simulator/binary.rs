//! The program: what it prints and writes, and when it ends.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_kiosklink-sim");

fn output(arguments: &[&str]) -> (bool, String, String) {
    let done = Command::new(PROGRAM).args(arguments).stdin(Stdio::null()).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (done.status.success(), text(done.stdout), text(done.stderr))
}

#[test]
fn ready_line_files_and_end() {
    let folder = std::env::temp_dir().join(format!("kiosklink-sim-test-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = |name: &str| folder.join(name).display().to_string();
    let mut child = Command::new(PROGRAM)
        .args(["--until-eof", "--seed=7", "--listen", "127.0.0.1:0"])
        .args(["--ca-file", &path("ca.pem"), "--info-file", &path("info.json")])
        .args(["--accounts-file", &path("accounts.json")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let info: Value = serde_json::from_str(&line).expect("JSON");
    let read = |name: &str| std::fs::read_to_string(path(name)).expect("a file");
    assert_eq!(read("info.json"), line);
    assert_eq!(info["ca_file"], path("ca.pem"));
    assert!(read("ca.pem").starts_with("-----BEGIN CERTIFICATE-----"));
    let accounts: Value = serde_json::from_str(&read("accounts.json")).expect("JSON");
    let account = &accounts["accounts"]["yopoint"];
    assert_eq!(account["base_url"], info["platforms"]["yopoint"]["base_url"]);
    assert_eq!(account["ca_file"], info["ca_file"]);
    // Commands need a place where they are remembered: the file names one beside itself, private from the beginning.
    for platform in ["yopoint", "dingshang", "youzan", "zhiyun"] {
        assert_eq!(accounts["accounts"][platform]["state_dir"], "accounts.state", "{platform}");
    }
    let state = std::fs::metadata(path("accounts.state")).expect("the folder is made");
    assert!(state.is_dir());
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&state.permissions()) & 0o777, 0o700);
    let port = u16::try_from(info["port"].as_u64().expect("a number")).expect("a port");
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
    std::fs::remove_dir_all(&folder).expect("it is removed");
}

#[test]
fn dialects_from_the_start() {
    let mut child = Command::new(PROGRAM)
        .args([
            "--until-eof",
            "--dialect=7",
            "--dialect",
            r#"{"platform": "zhiyun", "share": 1, "kinds": ["interim_103"]}"#,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let info: Value = serde_json::from_str(&line).expect("JSON");
    let port = u16::try_from(info["port"].as_u64().expect("a number")).expect("a port");
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    socket.write_all(b"GET /_sim/dialect HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it reads");
    let on = crate::common::read_answer(&mut socket).expect("an answer").json()["on"].clone();
    assert_eq!(
        (&on["yopoint"]["share"], &on["zhiyun"]["kinds"]),
        (&0.25.into(), &serde_json::json!(["interim_103"]))
    );
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn arguments() {
    assert!(output(&["--help"]).1.contains("--until-eof"));
    assert_eq!(output(&["--version"]).1.trim(), concat!("kiosklink-sim ", env!("CARGO_PKG_VERSION")));
    for (arguments, want) in [
        (&["--lisen"][..], "unknown argument --lisen"),
        (&["--seed", "x"], "--seed x: not a whole number"),
        (&["--seed"], "--seed needs a value"),
        (&["--until-eof=1"], "--until-eof takes no value"),
        (&["--dialect", "{seed"], "neither a seed nor JSON"),
        (&["--dialect", r#"{"share": 1, "kinds": ["x"]}"#], "unknown kind"),
        (&["--listen", "0.0.0.0:0"], "not a loopback address"),
        (&["--accounts-file", "a.json"], "needs --ca-file"),
        (&["--ca-file", "/no/such/folder/ca.pem"], "cannot write /no/such/folder/ca.pem"),
    ] {
        let (success, _, errors) = output(arguments);
        assert!(!success && errors.contains(want), "{arguments:?}: {errors}");
    }
}
