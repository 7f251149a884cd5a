//! Connections on which callbacks come, through C: a program that is told line by line what to do, and is killed between.

mod common;

use common::*;
use md5::{Digest, Md5};
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// `tests/c/http.c` at work.
struct Program {
    child: Child,
    tell: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
    killed: bool,
}

impl Program {
    fn start(accounts: &Path, names: &[&str]) -> Program {
        let mut child = Command::new(programs().join("http"))
            .arg(accounts)
            .args(names)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, said) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Program { child, tell, said, killed: false }
    }

    /// Does this and gives its answer.
    fn told(&mut self, line: &str) -> String {
        writeln!(self.tell.as_mut().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        self.said.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }

    fn kill(mut self) {
        self.killed = true;
        self.child.kill().unwrap();
    }

    /// A new connection with these accounts on these paths.
    fn connect(&mut self, accounts: &[(usize, &str)]) {
        assert_eq!(self.told("new 0 0 0 0"), "KL_OK");
        for (number, path) in accounts {
            assert_eq!(self.told(&format!("add {number} {path}")), "KL_OK");
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.tell.take());
        let end = self.child.wait().unwrap();
        if !std::thread::panicking() {
            assert!(self.killed || end.success());
        }
    }
}

/// Accounts of each platform, each with a journal of its own.
fn accounts_file(name: &str) -> PathBuf {
    let folder = scratch(name);
    let mut all = json!({
        "yopoint": {"platform": "yopoint", "app_id": "1", "app_secret": "test-secret"},
        "other": {"platform": "yopoint", "app_id": "2", "app_secret": "another-secret"},
        "dingshang": {
            "platform": "dingshang", "base_url": "https://d.example", "app_id": "1", "app_secret": "test-secret",
            "app_key": "test-key"
        },
        "zhiyun": {"platform": "zhiyun", "base_url": "https://z.example", "client_id": "1102084294",
            "client_secret": "test-secret", "access_token": "test-token"},
    });
    for (account, settings) in all.as_object_mut().unwrap() {
        let state = folder.join(format!("state-{account}"));
        std::fs::create_dir_all(private(&state)).unwrap();
        settings["state_dir"] = json!(state);
    }
    let file = folder.join("accounts.json");
    std::fs::write(&file, json!({"accounts": all}).to_string()).unwrap();
    file
}

/// A request that tells of a shut door, signed now by one of the two accounts of Yopoint.
fn door(app_id: &str, receipt: &str) -> String {
    let secret = if app_id == "1" { "test-secret" } else { "another-secret" };
    let at_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let biz = format!(r#"{{"Status":1,"ReceiptNo":"{receipt}","Msg":""}}"#);
    let text =
        format!("appid={app_id}&biz_content={biz}&method=notify.close.door&sign_type=md5&timestamp={at_s}");
    let sign: String = Md5::digest(format!("{text}&{secret}")).iter().map(|b| format!("{b:02x}")).collect();
    let biz: String = biz.bytes().map(|b| format!("%{b:02X}")).collect();
    let body = format!(
        "appid={app_id}&biz_content={biz}&method=notify.close.door&sign_type=md5&timestamp={at_s}&sign={sign}"
    );
    format!("POST /cb HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn saved(beside: &Path, name: &str, request: &str) -> String {
    let path = beside.with_file_name(name);
    std::fs::write(&path, request).unwrap();
    path.display().to_string()
}

const TAKEN: &str = "HTTP/1.1 200 OK|Content-Type: application/json|Content-Length: 48|Connection: keep-alive||\
                     {\"error_code\":0,\"error_msg\":\"SUCCESS\",\"data\":{}}";

#[test]
fn callbacks_come_one_after_the_other_in_any_pieces() {
    let accounts = accounts_file("connections-flow");
    let mut program = Program::start(&accounts, &["yopoint"]);
    program.connect(&[(0, "-")]);
    assert_eq!(program.told("tick"), "KL_OK read");
    for (n, piece) in [1, 2, 7, 1000].into_iter().enumerate() {
        let file = saved(&accounts, "request", &door("1", &format!("VI{n}")));
        assert_eq!(
            program.told(&format!("feed {file} {piece}")),
            format!("KL_OK event 0 notify.close.door VI{n} duplicate 0")
        );
        // Neither bytes nor time before the reply, and no data that is no object.
        assert_eq!(program.told("tick"), "KL_E_BUSY no step");
        assert_eq!(program.told(&format!("feed {file} {piece}")), "KL_E_BUSY no step");
        assert_eq!(program.told("reply 0 nothing"), "KL_E_ARGUMENT no step");
        assert_eq!(program.told("reply 0 -"), format!("KL_OK read {TAKEN}"));
        assert_eq!(program.told("reply 0 -"), "KL_E_ARGUMENT no step");
    }
    // What does not verify ends nothing.
    let forged = saved(&accounts, "forged", &door("1", "VI1").replace("VI1", "VI2").replace("%31", "%32"));
    let refused = program.told(&format!("feed {forged} 9"));
    assert!(refused.starts_with("KL_E_EVENT_SIGNATURE http 403 read HTTP/1.1 403 Forbidden|"), "{refused}");
    assert!(refused.ends_with(r#"{"error_code":1,"error_msg":"FAIL","data":{}}"#), "{refused}");
    // What is no request does, and so does the other side.
    let wrong = saved(&accounts, "wrong", "DELETE / HTTP/1.1\r\n\r\n");
    assert_eq!(
        program.told(&format!("feed {wrong} 3")),
        "KL_E_EVENT http 405 close HTTP/1.1 405 Method Not Allowed|Allow: POST, PUT, GET|Content-Length: 0|Connection: close||"
    );
    assert_eq!(program.told(&format!("feed {wrong} 3")), "KL_OK close");
    program.connect(&[(0, "-")]);
    assert_eq!(program.told("end"), "KL_OK close");
    program.connect(&[(0, "-")]);
    let half = saved(&accounts, "half", "POST / HTTP/1.1\r\n");
    assert_eq!(program.told(&format!("feed {half} 100")), "KL_OK read");
    assert_eq!(program.told("end"), "KL_E_EVENT close");
    // A millisecond is over when the next line is read, or soon after.
    assert_eq!(program.told("new 0 0 1 1"), "KL_OK");
    let mut said = program.told(&format!("feed {half} 100"));
    while said == "KL_OK read" {
        said = program.told("tick");
    }
    assert!(said.starts_with("KL_E_EVENT http 408 close HTTP/1.1 408 Request Timeout|"), "{said}");
}

#[test]
fn accounts_share_a_port() {
    let accounts = accounts_file("connections-accounts");
    let mut program = Program::start(&accounts, &["other", "yopoint", "dingshang", "zhiyun"]);
    program.connect(&[(0, "/cb"), (1, "/cb"), (2, "/dingshang")]);
    assert_eq!(program.told("add 2 /cb"), "KL_E_ARGUMENT");
    assert_eq!(program.told("add 3 -"), "KL_E_UNSUPPORTED");
    for (number, app_id) in [(1, "1"), (0, "2")] {
        let file = saved(&accounts, "request", &door(app_id, "VI1"));
        assert_eq!(
            program.told(&format!("feed {file} 50")),
            format!("KL_OK event {number} notify.close.door VI1 duplicate 0")
        );
        assert_eq!(program.told("reply 0 -"), format!("KL_OK read {TAKEN}"));
    }
    let body = r#"{"method":"device.delivery.response","order_id":"D1","status":1}"#;
    let text = format!("PUT /dingshang?a=b HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let file = saved(&accounts, "delivery", &text);
    let told = program.told(&format!("feed {file} 50"));
    assert_eq!(told, "KL_OK event 2 device.delivery.response D1 duplicate 0");
    let refused = program.told("reply 7 -");
    assert!(refused.starts_with("KL_OK read HTTP/1.1 503 Service Unavailable|"), "{refused}");
    let file = saved(&accounts, "nowhere", &text.replace("/dingshang", "/nowhere"));
    let refused = program.told(&format!("feed {file} 50"));
    assert!(refused.starts_with("KL_E_EVENT http 404 close HTTP/1.1 404 Not Found|"), "{refused}");
    // Of a client that was freed the platform is asked to come again.
    program.connect(&[(1, "-")]);
    program.told("freed 1");
    let file = saved(&accounts, "late", &door("1", "VI5"));
    let refused = program.told(&format!("feed {file} 50"));
    assert!(refused.starts_with("KL_E_HANDLE http 503 read HTTP/1.1 503 "), "{refused}");
}

#[test]
fn an_event_is_a_duplicate_only_if_it_was_replied_to() {
    let accounts = accounts_file("connections-again");
    let file = saved(&accounts, "request", &door("1", "VI1"));
    let event = |duplicate: i32| format!("KL_OK event 0 notify.close.door VI1 duplicate {duplicate}");
    let came = |program: &mut Program, duplicate: i32| {
        program.connect(&[(0, "-")]);
        assert_eq!(program.told(&format!("feed {file} 1000")), event(duplicate));
    };
    let mut first = Program::start(&accounts, &["yopoint"]);
    came(&mut first, 0);
    assert_eq!(first.told("free"), "freed");
    came(&mut first, 0);
    assert!(first.told("reply 1 -").contains(r#"{"error_code":1,"error_msg":"FAIL","data":{}}"#));
    came(&mut first, 0);
    // It is killed with an event that nobody replied to.
    first.kill();
    let mut second = Program::start(&accounts, &["yopoint"]);
    came(&mut second, 0);
    assert_eq!(second.told("reply 0 -"), format!("KL_OK read {TAKEN}"));
    assert_eq!(second.told(&format!("feed {file} 1")), event(1));
    assert_eq!(second.told("reply 0 -"), format!("KL_OK read {TAKEN}"));
    // What was replied to was on the disk before the answer.
    second.kill();
    let mut third = Program::start(&accounts, &["yopoint"]);
    came(&mut third, 1);
}

#[test]
fn every_misuse_of_a_connection_is_an_error() {
    let accounts = accounts_file("connections-misuse");
    assert_eq!(Program::start(&accounts, &["yopoint"]).told("misuse"), "0 faults");
}
