//! A callback by name: the simulator sends it, `listen` takes it, and both call it the same.

mod common;

use common::*;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

/// `listen` in the background, and where it listens.
struct Listener {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    url: String,
}

impl Listener {
    fn start(file: &Path, account: &str) -> Listener {
        let args = ["listen", "--bind", "127.0.0.1:0", "--json"];
        let mut child =
            command(file, account, &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = loop {
            let line = said.next().expect("it says where it listens").unwrap();
            if let Some(at) = line.find("http://") {
                break line[at..].split(|c: char| c.is_whitespace() || c == '"').next().unwrap().to_owned();
            }
        };
        // Whatever else it says is read, so that it never waits.
        std::thread::spawn(move || said.for_each(drop));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Listener { child, lines, url }
    }

    fn next(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().expect("an event").unwrap()).unwrap()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_callback_that_can_be_named_arrives_under_that_name() {
    let (_sim, file) = simulator("trigger-all");
    for (account, least) in [("yopoint", 12), ("dingshang", 1), ("youzan", 8)] {
        let (code, out, err) = run(&file, account, &["trigger", "--json"]);
        assert_eq!(code, 0, "{err}");
        let names: Vec<String> = out
            .lines()
            .map(|l| serde_json::from_str::<Value>(l).unwrap()["name"].as_str().unwrap().to_owned())
            .collect();
        assert!(names.len() >= least, "{account}: {names:?}");
        // A shell offers each of them.
        let mut completion = std::process::Command::new(env!("CARGO_BIN_EXE_kiosklink"));
        let (_, script, _) = told(completion.args(["completion", "fish"]).output().unwrap());
        for name in &names {
            assert!(script.split([' ', '\'']).any(|word| word == name), "{name}");
        }
        let mut listener = Listener::start(&file, account);
        for name in &names {
            let url = listener.url.clone();
            let (code, told) = json_of(&file, account, &["trigger", name, "--to", &url]);
            assert_eq!(
                (code, &told["ok"], &told["progress"]),
                (0, &json!(true), &json!("delivered")),
                "{account} {name}: {told}"
            );
            let event = listener.next();
            assert_eq!(event["kind"], json!(name), "{account} {name}: {event}");
        }
    }
    // Zhiyun sends nothing.
    let (code, out, _) = run(&file, "zhiyun", &["trigger"]);
    assert!(code == 0 && out.starts_with("No callbacks"), "{out}");
}

#[test]
fn a_failure_an_unknown_name_and_nobody_who_listens() {
    let (sim, file) = simulator("trigger-odd");
    let mut listener = Listener::start(&file, "yopoint");
    let url = listener.url.clone();
    let (code, said, err) = run(&file, "yopoint", &["trigger", "door-closed", "--failed", "--to", &url]);
    assert!(code == 0 && said.contains("notify.close.door was taken by"), "{said}{err}");
    assert_eq!(listener.next()["door"], "never_opened");
    drop(listener);
    let (code, _, err) = run(&file, "yopoint", &["trigger", "door_closed"]);
    assert!(code == 5 && err.contains("was not taken by"), "{code} {err}");
    sim.control(
        "POST",
        "/_sim/callbacks",
        json!({"platform": "yopoint", "account": "100000000001", "url": null}),
    );
    let (code, _, err) = run(&file, "yopoint", &["trigger", "door_closed"]);
    assert!(code == 5 && err.contains("no address is set"), "{code} {err}");
    let (code, _, err) = run(&file, "yopoint", &["trigger", "door_close"]);
    assert!(code == 12 && err.contains("did you mean door_closed?"), "{code} {err}");
    let (code, _, err) = run(&file, "yopoint", &["trigger", "cabinet_changed", "--failed"]);
    assert!(code == 1 && err.contains("no failure"), "{code} {err}");
    let (code, _, err) = run(&file, "yopoint", &["trigger", "door_closed", "--to", "http://192.0.2.1/"]);
    assert!(code == 1 && err.contains("loopback"), "{code} {err}");
    // A vendor is never asked for it.
    change(&file, "yopoint", "base_url", json!("https://open.example.com/yopoint"));
    let (code, _, err) = run(&file, "yopoint", &["trigger", "door_closed"]);
    assert!(code == 64 && err.contains("no simulator on this computer"), "{code} {err}");
    let (code, _, err) = run(&file, "yopoint", &["trigger", "--simulator", "http://127.0.0.1:1/"]);
    assert!(code == 10 && err.contains("KL_E_CONNECT"), "{code} {err}");
}
