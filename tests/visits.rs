//! Visits and callbacks through C, across restarts: a program that is told line by line what to do, and is killed between.

mod common;
#[path = "common/port.rs"]
mod port;

use common::*;
use kiosklink::model::*;
use kiosklink_sim::Simulator;
use md5::{Digest, Md5};
use port::Port;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

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

/// The way to the simulator, which can be shut: then nobody listens there.
struct Way {
    sim: u16,
    port: Port,
    open: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Way {
    fn new(sim: &Simulator) -> Way {
        let mut way = Way { sim: sim.port(), port: Port::new(), open: None };
        way.open();
        way
    }

    fn open(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port.number())).unwrap();
        let (shut, sim) = (Arc::new(AtomicBool::new(false)), self.sim);
        let seen = shut.clone();
        let thread = std::thread::spawn(move || {
            let mut streams: Vec<TcpStream> = Vec::new();
            while let Ok((near, _)) = listener.accept() {
                if seen.load(Ordering::SeqCst) {
                    break;
                }
                let far = TcpStream::connect(("127.0.0.1", sim)).unwrap();
                for (mut from, mut to) in [(&near, &far), (&far, &near)]
                    .map(|(from, to)| (from.try_clone().unwrap(), to.try_clone().unwrap()))
                {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                streams.extend([near, far]);
            }
            streams.iter().for_each(|s| drop(s.shutdown(Shutdown::Both)));
        });
        self.open = Some((shut, thread));
    }

    fn shut(&mut self) {
        let Some((shut, thread)) = self.open.take() else { return };
        shut.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port.number())));
        thread.join().unwrap();
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.shut();
    }
}

/// The same accounts behind a way that can be shut.
fn behind(sim: &Simulator, way: &Way, name: &str) -> PathBuf {
    let file = journaled(sim, name);
    let (sim, way) = (format!(":{}/", sim.port()), format!(":{}/", way.port.number()));
    let text = std::fs::read_to_string(&file).unwrap().replace(&sim, &way);
    std::fs::write(&file, text).unwrap();
    file
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

const MACHINE: &str = "16327129";

/// An order at Dingshang's machine that is not paid yet.
fn order(sim: &Simulator) -> String {
    let create = OrderCreate {
        cabinet_id: MACHINE.into(),
        notify_url: "http://127.0.0.1:9/".into(),
        lines: vec![("131".into(), 1)],
        ..OrderCreate::default()
    };
    client_of(sim, "dingshang", &[]).order_create(&create).unwrap().order_no
}

fn paid(sim: &Simulator, order_no: &str) -> bool {
    let r = OrderRef { order_no: order_no.into(), cabinet_id: MACHINE.into(), ..OrderRef::default() };
    client_of(sim, "dingshang", &[]).order_get(&r).unwrap().payment == PaymentState::Paid
}

/// Asks until the command does not wait any more; what it then is.
fn until_it_left(program: &mut Program, name: &str) -> String {
    loop {
        let known = program.told(&format!("get {name}"));
        if !known.ends_with(" waits") && known != "UNKNOWN KL_E_IN_FLIGHT -" {
            return known;
        }
        // The platform is there again: nobody waits out the pause after a failure.
        assert_eq!(program.told("ping"), "KL_OK");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_payment_that_could_not_leave_is_sent_once_by_the_next_process() {
    let sim = simulator();
    let mut way = Way::new(&sim);
    let accounts = behind(&sim, &way, "visits-kept");
    let (order, other) = (order(&sim), order(&sim));
    way.shut();
    let mut first = Program::start(&accounts, "dingshang");
    assert_eq!(first.told(&format!("pay p v {order} {MACHINE} 600000")), "UNKNOWN KL_E_KEPT");
    assert_eq!(first.told("get p"), "UNKNOWN KL_E_KEPT waits");
    assert_eq!(first.told(&format!("pay p v {order} {MACHINE} 600000")), "UNKNOWN KL_E_KEPT");
    assert_eq!(first.told("resolve p"), "UNKNOWN KL_E_KEPT");
    let listed = "1 visits: [v 0 done 1 unknown p=UNKNOWN/KL_E_KEPT verb 13]";
    assert_eq!(first.told("list"), listed);
    // Its order is locked under another name; another order is not.
    assert_eq!(first.told(&format!("refund r v {order} {MACHINE} 0")), "NOT_DONE KL_E_BUSY");
    assert_eq!(first.told(&format!("pay q w {other} {MACHINE} 0")), "NOT_DONE KL_E_CONNECT");
    first.kill();
    let mut second = Program::start(&accounts, "dingshang");
    assert_eq!(second.told("list").split(" [w").next().unwrap(), listed.replacen("1 visits", "2 visits", 1));
    assert!(!paid(&sim, &order));
    way.open();
    assert_eq!(until_it_left(&mut second, "p"), "DONE KL_OK -");
    assert!(paid(&sim, &order) && !paid(&sim, &other));
    assert_eq!(second.told(&format!("pay p v {order} {MACHINE} 600000")), "DONE KL_OK");
    second.end();
    let mut third = Program::start(&accounts, "dingshang");
    assert_eq!(third.told("get p"), "DONE KL_OK -");
    assert_eq!(third.told("pending"), "0 pending:");
    third.end();
    assert_eq!(requests(&sim, "order_update").len(), 1);
}

#[test]
fn two_processes_send_what_is_kept_once() {
    let sim = simulator();
    let mut way = Way::new(&sim);
    let accounts = behind(&sim, &way, "visits-kept-two");
    let orders: Vec<String> = (0..3).map(|_| order(&sim)).collect();
    way.shut();
    let mut one = Program::start(&accounts, "dingshang");
    for (i, order) in orders.iter().enumerate() {
        assert_eq!(one.told(&format!("pay p{i} v {order} {MACHINE} 600000")), "UNKNOWN KL_E_KEPT");
    }
    let mut two = Program::start(&accounts, "dingshang");
    way.open();
    for i in 0..orders.len() {
        for program in [&mut one, &mut two] {
            assert_eq!(until_it_left(program, &format!("p{i}")), "DONE KL_OK -");
        }
    }
    assert!(orders.iter().all(|order| paid(&sim, order)));
    assert_eq!(requests(&sim, "order_update").len(), orders.len());
    one.end();
    two.end();
}

#[test]
fn what_is_kept_is_sent_with_all_that_it_had() {
    let sim = simulator();
    let mut way = Way::new(&sim);
    let accounts = behind(&sim, &way, "visits-kept-refund");
    let all = client(&sim).orders(&OrderQuery { from: 1, to: 4_000_000_000, ..OrderQuery::default() }, 0);
    let orders = all.collect_all().unwrap();
    let right = |o: &&Order| o.payment == PaymentState::Paid && o.refund_state == 0 && o.refunded == 0;
    let order = &orders.iter().find(right).unwrap().order_no;
    way.shut();
    let mut program = Program::start(&accounts, "yopoint");
    assert_eq!(program.told(&format!("refund r v {order} - 600000")), "UNKNOWN KL_E_KEPT");
    way.open();
    assert_eq!(until_it_left(&mut program, "r"), "DONE KL_OK -");
    program.end();
    let asked = client(&sim).order_get(&OrderRef { order_no: order.clone(), ..OrderRef::default() }).unwrap();
    assert_eq!(asked.refund_reason, "REFUNDS_REASON_PRODUCT_NOT_MATCH");
    let sent = requests(&sim, "cabinet.order.refund.apply");
    assert_eq!(sent.len(), 1);
    assert!(sent[0].to_string().contains("13800000000") && sent[0].to_string().contains("退款"), "{sent:?}");
}

#[test]
fn what_is_kept_may_be_withdrawn_and_is_not_done_when_its_time_is_up() {
    let sim = simulator();
    let mut way = Way::new(&sim);
    let accounts = behind(&sim, &way, "visits-kept-withdrawn");
    let orders: Vec<String> = (0..3).map(|_| order(&sim)).collect();
    let mut program = Program::start(&accounts, "dingshang");
    // A cancel is the caller's word. Nobody answers behind this port.
    way.shut();
    let silent = TcpListener::bind(("127.0.0.1", way.port.number())).unwrap();
    let cancelled = format!("hurry c v {} {MACHINE} 600000", orders[2]);
    assert_eq!(program.told(&cancelled), "NOT_DONE KL_E_CANCELLED");
    assert_eq!(program.told("get c"), "NOT_DONE KL_E_CANCELLED -");
    drop(silent);
    assert_eq!(program.told(&format!("pay a v {} {MACHINE} 600000", orders[0])), "UNKNOWN KL_E_KEPT");
    assert_eq!(program.told("settle a"), "KL_OK");
    assert_eq!(program.told("get a"), "NOT_DONE KL_E_CANCELLED -");
    assert_eq!(program.told(&format!("pay b v {} {MACHINE} 150", orders[1])), "UNKNOWN KL_E_KEPT");
    while program.told("get b") == "UNKNOWN KL_E_KEPT waits" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(program.told("get b"), "NOT_DONE KL_E_STALE -");
    assert_eq!(program.told("pending"), "0 pending:");
    way.open();
    assert_eq!(program.told("ping"), "KL_OK");
    program.end();
    let mut next = Program::start(&accounts, "dingshang");
    assert_eq!(next.told("get a"), "NOT_DONE KL_E_CANCELLED -");
    assert_eq!(next.told("get b"), "NOT_DONE KL_E_STALE -");
    next.end();
    assert!(!paid(&sim, &orders[0]) && !paid(&sim, &orders[1]));
}
