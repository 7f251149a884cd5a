//! Visits and callbacks through C, across restarts: a program that is told line by line what to do, and is killed between.

mod common;

use common::*;
use kiosklink_sim::Simulator;
use md5::{Digest, Md5};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// `tests/c/visits.c` at work.
struct Program {
    child: Child,
    tell: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Program {
    fn start(accounts: &Path, account: &str) -> Program {
        let mut child = Command::new(programs().join("visits"))
            .arg(accounts)
            .arg(account)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, said) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Program { child, tell, said }
    }

    /// Does this and gives its answer.
    fn told(&mut self, line: &str) -> String {
        writeln!(self.tell, "{line}").unwrap();
        let mut answer = String::new();
        self.said.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends as a program does that is told to.
    fn end(self) {
        let Program { mut child, tell, .. } = self;
        drop(tell);
        assert!(child.wait().unwrap().success());
    }
}

/// The simulator's accounts, each with a folder of its own.
fn journaled(sim: &Simulator, name: &str) -> PathBuf {
    let file = accounts(sim, name);
    let mut all: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for (account, settings) in all["accounts"].as_object_mut().unwrap() {
        let state = file.parent().unwrap().join(format!("state-{account}"));
        std::fs::create_dir_all(private(&state)).unwrap();
        settings["state_dir"] = json!(state);
    }
    std::fs::write(&file, all.to_string()).unwrap();
    file
}

#[test]
fn a_code_whose_goods_never_came_is_listed_until_its_visit_is_closed() {
    let sim = simulator();
    let accounts = journaled(&sim, "visits");
    let mut first = Program::start(&accounts, "youzan");
    assert_eq!(first.told("list"), "0 visits:");
    assert_eq!(first.told("redeem a v-1 10000000001"), "DONE KL_OK");
    assert_eq!(first.told("redeem b v-2 99999999999"), "NOT_DONE KL_E_NOT_FOUND");
    fault(&sim, "youzan.trade.selffetchcode.apply", json!({"fault": "act_then_drop"}));
    assert_eq!(first.told("redeem c v-1 10000000002"), "UNKNOWN KL_E_LOST");
    first.kill();
    let mut second = Program::start(&accounts, "youzan");
    let listed = "2 visits: [v-1 1 done 1 unknown a=DONE/KL_OK verb 5 c=UNKNOWN/KL_E_LOST verb 5] \
                  [v-2 0 done 0 unknown b=NOT_DONE/KL_E_NOT_FOUND verb 5]";
    assert_eq!(second.told("list"), listed);
    assert_eq!(second.told("journal"), "unsettled 1 visits 2");
    assert_eq!(second.told("close v-2"), "KL_OK");
    assert_eq!(second.told("close v-1"), "KL_OK");
    // Again, and one that never was.
    assert_eq!(second.told("close v-1"), "KL_OK");
    assert_eq!(second.told("close v-3"), "KL_OK");
    assert_eq!(second.told(&format!("close {}", "v".repeat(65))), "KL_E_ARGUMENT");
    second.kill();
    // It was on the disk. What is unknown stays to be settled.
    let mut third = Program::start(&accounts, "youzan");
    assert_eq!(third.told("list"), "0 visits:");
    assert_eq!(third.told("pending"), "1 pending: c=UNKNOWN/KL_E_LOST verb 5");
    // The same visit goes on.
    assert_eq!(third.told("redeem d v-1 99999999998"), "NOT_DONE KL_E_NOT_FOUND");
    assert!(third.told("list").starts_with("1 visits: [v-1 "));
    third.end();
}

/// A notice of Yopoint's about this order, signed now.
fn notice(order_no: &str) -> Vec<u8> {
    let at_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let biz = format!(r#"{{"ReceiptNo":"{order_no}","CID":"{CABINET}"}}"#);
    let text = format!(
        "appid=100000000001&biz_content={biz}&method=notify.close.door&sign_type=md5&timestamp={at_s}&test-secret"
    );
    let sign: String = Md5::digest(text).iter().map(|b| format!("{b:02x}")).collect();
    let biz: String = biz.bytes().map(|b| format!("%{b:02X}")).collect();
    format!(
        "appid=100000000001&biz_content={biz}&method=notify.close.door&sign_type=md5&timestamp={at_s}&sign={sign}"
    )
    .into_bytes()
}

#[test]
fn a_callback_is_a_duplicate_in_the_next_process_too() {
    let sim = simulator();
    let accounts = journaled(&sim, "visits-notice");
    let file = |name: &str| {
        let path = accounts.with_extension(name);
        std::fs::write(&path, notice(name)).unwrap();
        path.display().to_string()
    };
    let (one, other) = (file("VI1"), file("VI2"));
    let mut first = Program::start(&accounts, "yopoint");
    assert_eq!(first.told("ping"), "KL_OK");
    assert_eq!(first.told(&format!("event {one}")), "VI1 duplicate 0");
    assert_eq!(first.told(&format!("event {one}")), "VI1 duplicate 1");
    first.kill();
    let mut second = Program::start(&accounts, "yopoint");
    assert_eq!(second.told(&format!("event {one}")), "VI1 duplicate 1");
    assert_eq!(second.told(&format!("event {other}")), "VI2 duplicate 0");
    // Another process at the same time.
    let mut third = Program::start(&accounts, "yopoint");
    assert_eq!(third.told(&format!("event {other}")), "VI2 duplicate 1");
    second.end();
    third.end();
}
