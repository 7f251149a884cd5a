//! Yopoint's three scenarios, as the C programs in examples-c/ run them against the simulator.

mod common;

use common::*;
use kiosklink::model::*;
use kiosklink_sim::Simulator;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// The program notifications, waiting for `count` requests.
struct Receiver {
    child: Child,
    out: BufReader<ChildStdout>,
    address: String,
}

impl Receiver {
    fn start(accounts: &Path, count: u32) -> Receiver {
        let mut child = Command::new(programs().join("notifications"))
            .arg(accounts)
            .args(["yopoint", "0", &count.to_string(), "30"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").expect("says where").to_owned();
        Receiver { child, out, address }
    }

    /// The program's end: its exit code and all that it printed.
    fn end(mut self) -> (i32, String) {
        let mut text = String::new();
        self.out.read_to_string(&mut text).unwrap();
        (self.child.wait().unwrap().code().unwrap_or(-1), text)
    }

    /// Sends bytes as they are and gives the answer's first line.
    fn raw(&self, request: &str) -> String {
        let mut socket = TcpStream::connect(self.address.trim_end_matches('/')).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        // A request that was refused half read may end in a reset behind the answer.
        let _ = socket.read_to_string(&mut answer);
        answer.lines().next().unwrap_or_default().to_owned()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

fn callbacks_to(sim: &Simulator, receiver: &Receiver) {
    let url = format!("http://{}", receiver.address);
    control(sim, "POST", "/_sim/callbacks", json!({"platform": "yopoint", "url": url, "retry_ms": []}));
}

fn wait(sim: &Simulator, what: Value) {
    let mut what = what;
    what["timeout_ms"] = json!(20_000);
    control(sim, "POST", "/_sim/wait", what);
}

fn open(sim: &Simulator, id: &str) -> String {
    let door = DoorRequest { request_id: id.into(), cabinet_id: CABINET.into(), ..Default::default() };
    client(sim).door_open(&door).unwrap().receipt.order_no
}

#[test]
fn a_visit_is_paid_a_forgery_refused_and_a_refund_answered() {
    let sim = simulator();
    let accounts = accounts(&sim, "flow-visit");
    // Shut twice, recognised, paid, forged, refund, refund again.
    let receiver = Receiver::start(&accounts, 7);
    callbacks_to(&sim, &receiver);
    control(&sim, "POST", "/_sim/callbacks/rules", json!({"do": "duplicate", "method": "notify.close.door"}));

    let order = open(&sim, "visit");
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 10_000}));
    wait(&sim, json!({"for": "callback", "method": "notify.cabinet.order.simple", "receipt": order}));
    wait(&sim, json!({"for": "order", "receipt": order, "stage": "paid"}));

    control(&sim, "POST", "/_sim/callbacks/rules", json!({"do": "forge"}));
    control(&sim, "POST", "/_sim/yopoint/notify", json!({"method": "notify.close.door", "receipt": order}));
    wait(&sim, json!({"for": "callback", "progress": "failed"}));

    let path = format!("/_sim/yopoint/orders/{order}");
    control(&sim, "POST", &format!("{path}/refund"), json!({"approve": true}));
    wait(&sim, json!({"for": "order", "receipt": order, "stage": "refunded"}));
    let refunds = "/_sim/callbacks?method=cabinet.order.refunds.result.notify";
    let first = control(&sim, "GET", refunds, Value::Null)["deliveries"][0].clone();
    control(&sim, "POST", &format!("/_sim/callbacks/{}/resend", first["id"]), json!({}));

    let (code, said) = receiver.end();
    assert_eq!(code, 0, "{said}");
    let expected = [
        format!("order {order}: the door is shut"),
        format!("notify.close.door for {order}: seen before, answered again"),
        format!("order {order}: charged 200 fen and reported"),
        format!("order {order}: booked, 200 fen, 1 line(s), paid"),
        "refused: the callback's sign fits neither app_secret nor pay_key (KL_E_EVENT_SIGNATURE)".into(),
        format!("order {order}: refunded 200 fen"),
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);

    let paid = control(&sim, "GET", &path, Value::Null);
    assert_eq!(paid["TradeNo"], json!(format!("WX-{order}")));
    assert_eq!(paid["RefundsRawData"], json!({"RefundsNo": format!("RF-{order}"), "RefundsPrice": 200}));
    assert_eq!(requests(&sim, "NotifyUrl").len(), 1, "reported once");
    wait(&sim, json!({"for": "callbacks_idle"}));
    let sent = control(&sim, "GET", refunds, Value::Null)["deliveries"].clone();
    assert_eq!(sent.as_array().unwrap().len(), 2);
    assert_eq!(sent[0]["attempts"][0]["answer"], sent[1]["attempts"][0]["answer"], "the same answer to both");
    let forged = control(&sim, "GET", "/_sim/callbacks?progress=failed", Value::Null)["deliveries"].clone();
    assert_eq!(forged[0]["attempts"][0]["status"], json!(403));
}

#[test]
fn a_door_that_never_opened_costs_nothing() {
    let sim = simulator();
    let accounts = accounts(&sim, "flow-jam");
    let receiver = Receiver::start(&accounts, 1);
    callbacks_to(&sim, &receiver);
    control(&sim, "POST", "/_sim/doors", json!({"cabinet": CABINET, "door": 1, "action": "jam"}));
    let order = open(&sim, "jam");
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 10_000}));
    let (code, said) = receiver.end();
    assert_eq!(
        (code, said.trim()),
        (0, &*format!("order {order}: the door never opened, nothing is charged"))
    );
    assert!(requests(&sim, "NotifyUrl").is_empty());
}

#[test]
fn a_report_that_fails_is_asked_for_again_and_one_without_an_answer_is_looked_up() {
    let sim = simulator();
    let accounts = accounts(&sim, "flow-report");
    let receiver = Receiver::start(&accounts, 4);
    callbacks_to(&sim, &receiver);
    control(&sim, "POST", "/_sim/callbacks", json!({"retry_ms": [1000]}));
    fault(&sim, "NotifyUrl", json!({"fault": "rate_limit"}));
    fault(&sim, "NotifyUrl", json!({"fault": "act_then_drop"}));
    let order = open(&sim, "report");
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 10_000}));
    let refused =
        json!({"for": "callback", "method": "cabinet.order.vi.result.notify", "progress": "queued"});
    wait(&sim, refused);
    wait(&sim, json!({"for": "callbacks_idle"}));
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 1000}));
    let (code, said) = receiver.end();
    assert_eq!(code, 0, "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[1].contains("HTTP 429") && lines[1].contains("KL_E_RATE_LIMIT"), "{said}");
    assert!(lines[2].contains("KL_E_LOST"), "{said}");
    assert_eq!(lines[3], format!("order {order}: charged 200 fen and reported"));
    assert_eq!(requests(&sim, "NotifyUrl").len(), 2);
    wait(&sim, json!({"for": "order", "receipt": order, "stage": "paid"}));
}

#[test]
fn the_receiver_puts_up_with_what_is_no_callback() {
    let sim = simulator();
    let accounts = accounts(&sim, "flow-odd");
    let receiver = Receiver::start(&accounts, 7);
    let post = |length: &str, body: &str| {
        receiver.raw(&format!("POST / HTTP/1.1\r\nHost: x\r\n{length}Connection: close\r\n\r\n{body}"))
    };
    assert_eq!(receiver.raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(post("", ""), "HTTP/1.1 411 Length Required");
    assert_eq!(post("Content-Length: -1\r\n", ""), "HTTP/1.1 400 Bad Request");
    assert_eq!(post("Content-Length: 99999999\r\n", ""), "HTTP/1.1 413 Content Too Large");
    assert_eq!(post("content-length: 5\r\n", "hello"), "HTTP/1.1 403 Forbidden");
    assert_eq!(post("Content-Length: 1\r\n", "{"), "HTTP/1.1 400 Bad Request");
    let head = "x".repeat(70_000);
    let large = receiver.raw(&format!("POST /{head}"));
    assert!(large.is_empty() || large == "HTTP/1.1 414 URI Too Long", "{large}");
    assert_eq!(receiver.end().0, 0);
}

#[test]
fn programs_say_how_they_are_used() {
    for program in ["notifications", "order_sync"] {
        let (code, said) = run(&mut Command::new(programs().join(program)));
        assert!(code == 64 && said.starts_with(&format!("use: {program} ")), "{said}");
    }
    let (code, said) = run(Command::new(programs().join("notifications")).args(["/nonexistent.json", "x"]));
    assert!(code == 1 && said.contains("KL_E_CONFIG_FILE"), "{said}");
    let (code, _) = run(Command::new(programs().join("notifications")).args(["a", "b", "70000"]));
    assert_eq!(code, 64);
}

/// Runs order_sync over two months in windows of a week, and gives its exit code and its lines.
fn sync(accounts: &Path, folder: &Path, now: i64) -> (i32, Vec<String>) {
    let span = [now - 60 * 86_400, now, 7 * 86_400, 86_400].map(|n| n.to_string());
    let program = programs().join("order_sync");
    let (code, said) = run(Command::new(program).arg(accounts).arg("yopoint").arg(folder).args(&span));
    (code, said.lines().map(str::to_owned).collect())
}

/// The number before a word in a line.
fn number(line: &str, word: &str) -> usize {
    let before = line.split(&format!(" {word}")).next().unwrap();
    before.rsplit(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("no number before {word} in {line}"))
}

#[test]
fn orders_are_copied_once_however_often_it_runs() {
    let sim = simulator();
    let accounts = accounts(&sim, "flow-sync");
    let folder = scratch("flow-sync-copy");
    let made = json!({"cabinets": 0, "stock_lines": 0, "orders": 430, "step_s": 7200});
    control(&sim, "POST", "/_sim/yopoint/generate", made);
    let now = control(&sim, "GET", "/_sim/clock", Value::Null)["now_ms"].as_i64().unwrap() / 1000;

    let (code, lines) = sync(&accounts, &folder, now);
    assert_eq!(code, 0, "{lines:?}");
    let (new, same) = (number(&lines[0], "new"), number(&lines[0], "unchanged"));
    assert!(lines[0].starts_with("cabinet orders: ") && new >= 430, "{lines:?}");
    assert_eq!(number(&lines[0], "read"), new + same, "{lines:?}");
    assert!(same > 0, "the windows overlap: {lines:?}");
    assert!(number(&lines[1], "new") == 3 && lines[1].starts_with("vending orders: "), "{lines:?}");
    let files = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(files, new + 3, "one file for each order and nothing else");

    // Again, over an answer in the other shape and a platform in trouble for longer than the library tries.
    let other = json!({"order_list_shape": "paginator"});
    control(&sim, "POST", "/_sim/yopoint/settings", other);
    fault(&sim, "cabinet.order.list", json!({"fault": "http_5xx", "count": 3, "skip": 2}));
    let (code, lines) = sync(&accounts, &folder, now);
    assert_eq!((code, number(&lines[0], "new"), number(&lines[0], "changed")), (0, 0, 0), "{lines:?}");
    assert_eq!(number(&lines[0], "unchanged"), number(&lines[0], "read"));

    // A refund that came late.
    let orders = control(&sim, "GET", "/_sim/yopoint/orders", Value::Null);
    let paid = orders.as_array().unwrap().iter().find(|o| o["_sim"]["stage"] == json!("paid")).unwrap();
    let path = format!("/_sim/yopoint/orders/{}", paid["ReceiptNo"].as_str().unwrap());
    control(&sim, "PATCH", &path, json!({"RefundsPrice": 100}));
    let (code, lines) = sync(&accounts, &folder, now);
    assert_eq!((code, number(&lines[0], "new"), number(&lines[0], "changed")), (0, 0, 1), "{lines:?}");
    let file = folder.join(format!("{}.json", paid["ReceiptNo"].as_str().unwrap()));
    let copy: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(copy["RefundsPrice"], json!(100));
}

#[test]
fn ten_times_the_orders_take_no_more_memory() {
    let sim = simulator();
    let accounts = accounts(&sim, "flow-memory");
    let now = control(&sim, "GET", "/_sim/clock", Value::Null)["now_ms"].as_i64().unwrap() / 1000;
    let peaks: Vec<usize> = [200, 2000]
        .into_iter()
        .map(|orders| {
            let folder = scratch(&format!("flow-memory-{orders}"));
            let made = json!({"cabinets": 0, "stock_lines": 0, "orders": orders, "step_s": 60});
            control(&sim, "POST", "/_sim/yopoint/generate", made);
            let (code, lines) = sync(&accounts, &folder, now);
            assert!(code == 0 && number(&lines[0], "new") >= orders, "{lines:?}");
            number(lines.last().unwrap(), "KiB")
        })
        .collect();
    assert!(peaks[1] < peaks[0] + 1024, "peaks in KiB: {peaks:?}");
}
