//! The reference firmware, `examples-c/firmware.c`, and the short ones in C++ and Python: its screen waits for nothing, and what its customers were promised holds.

mod common;

use common::*;
use kiosklink_sim::Simulator;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The firmware, started; its lines are read as they come.
struct Kiosk {
    child: Child,
    out: BufReader<ChildStdout>,
    trace: PathBuf,
    address: String,
}

impl Kiosk {
    fn start(accounts: &Path, cabinet: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Kiosk {
        let trace = accounts.with_extension("screen");
        let _ = std::fs::remove_file(&trace);
        let mut child = Command::new(programs().join("firmware"))
            .arg(accounts)
            .args(["yopoint", cabinet])
            .args(arguments)
            .env("LD_PRELOAD", target().join("c/preload/screen.so"))
            .env("SCREEN_TRACE", &trace)
            // What a loop may wait for by mistake here takes half a second and more: a sync, a lock, an answer.
            .env("SCREEN_WAIT_MS", "100")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").expect("says where").to_owned();
        Kiosk { child, out, trace, address }
    }

    fn types(&mut self, keys: &str) {
        self.child.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Reads until a line has these words, and gives it.
    fn says(&mut self, words: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert!(self.out.read_line(&mut line).unwrap() > 0, "it ended before it said {words:?}:\n{seen}");
            if line.contains(words) {
                return line;
            }
            seen += &line;
        }
    }

    fn signal(&self, number: i32) {
        // SAFETY: our own child, which has not been waited for.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, number) }, 0);
    }

    /// Its exit code, what else it said, and what was seen of its screen.
    fn end(mut self) -> (i32, String, String) {
        let mut text = String::new();
        self.out.read_to_string(&mut text).unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        (code, text, std::fs::read_to_string(&self.trace).unwrap_or_default())
    }
}

impl Drop for Kiosk {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// A platform whose customers shut the door and are recognised at once.
fn quick() -> Simulator {
    let sim = simulator();
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"door_open_ms": 50, "recognition_ms": 50}));
    sim
}

/// The lock of the account's journal.
fn lock_of(accounts: &Path) -> PathBuf {
    let mut found = std::fs::read_dir(accounts.with_extension("state")).unwrap().map(|e| e.unwrap().path());
    found.find(|p| p.to_string_lossy().ends_with(".lock")).expect("the journal has a lock")
}

#[test]
fn the_screen_waits_for_no_disk_no_lock_and_no_network() {
    let sim = quick();
    let accounts = accounts(&sim, "firmware-screen");
    // The stock never comes, and every sync takes 600 ms.
    fault(&sim, "cabinet.product.stock", json!({"fault": "half_open", "hold_ms": 60_000, "count": 100}));
    let mut kiosk = Kiosk::start(&accounts, CABINET, &[], &[("SLOW_SYNC_MS", "600")]);
    kiosk.says("nothing was left");
    // Another process holds the journal's lock while a customer wants the door.
    let mut holder = Command::new("flock")
        .arg(lock_of(&accounts))
        .args(["-c", "echo held; read line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("flock (util-linux) runs");
    let mut said = [0u8; 5];
    holder.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    kiosk.types("door\n");
    // It is served, so another one has to wait: the door's job is under way, and the lock is held.
    kiosk.types("door\n");
    kiosk.says("somebody is being served");
    assert!(openings(&sim).is_empty(), "the lock is held");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    let paid = kiosk.says("[door]");
    assert!(paid.contains("paid: 200 fen"), "{paid}");
    assert_eq!(openings(&sim).len(), 1);
    kiosk.types("quit\n");
    let (code, said, screen) = kiosk.end();
    assert_eq!(code, 0, "{said}");
    assert!(!screen.contains("waited"), "the screen waited:\n{screen}");
    assert!(screen.contains("frames"), "no frames were drawn while a door was opened");
    println!("{said}");
    let frames: u32 = said.lines().last().unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(frames > 60, "{said}");
}

#[test]
fn a_loop_that_waits_is_noticed() {
    let sim = quick();
    let accounts = accounts(&sim, "firmware-waits");
    let program = scratch("firmware-waits-program").join("waits");
    let source = program.with_extension("c");
    let code = std::fs::read_to_string(root().join("examples-c/firmware.c")).unwrap();
    // The mistake that the jobs are there against: a blocking call of the loop's own.
    let wrong = code.replace(
        "static void take(struct firmware *kiosk) {",
        "static void take(struct firmware *kiosk) {\n  if (kl_ping(kiosk->client, NULL) != KL_OK) return;",
    );
    assert_ne!(wrong, code);
    std::fs::write(&source, wrong).unwrap();
    let library = programs().parent().unwrap().join("lib");
    let (status, text) = run(Command::new("cc")
        .args(["-std=c11", "-I"])
        .arg(root().join("include"))
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(&library)
        .args(["-lkiosklink", "-lpthread", "-ldl"])
        .arg(format!("-Wl,-rpath,{}", library.display())));
    assert_eq!(status, 0, "{text}");
    fault(&sim, "api.test", json!({"fault": "late", "ms": 400}));
    let trace = accounts.with_extension("screen");
    let (code, said) = run(Command::new(&program)
        .arg(&accounts)
        .args(["yopoint", CABINET, "--customer", "visit-1"])
        .env("LD_PRELOAD", target().join("c/preload/screen.so"))
        .env("SCREEN_TRACE", &trace)
        .env("SCREEN_WAIT_MS", "100"));
    assert_eq!(code, 0, "{said}");
    assert!(std::fs::read_to_string(&trace).unwrap().contains("waited"), "{said}");
}

#[test]
fn a_visit_goes_on_after_a_crash_and_is_paid_once() {
    let sim = quick();
    let accounts = accounts(&sim, "firmware-crash");
    // It dies between the opened door and the payment: the order cannot be read.
    fault(&sim, "cabinet.order.get", json!({"fault": "half_open", "hold_ms": 60_000, "count": 1}));
    let mut kiosk = Kiosk::start(&accounts, CABINET, &["--customer", "visit-1"], &[]);
    control(
        &sim,
        "POST",
        "/_sim/wait",
        json!({"for": "requests", "operation": "yopoint cabinet.order.get", "count": 1, "timeout_ms": 20_000}),
    );
    kiosk.child.kill().unwrap();
    kiosk.child.wait().unwrap();
    assert_eq!((openings(&sim).len(), requests(&sim, "NotifyUrl").len()), (1, 0));
    let mut kiosk = Kiosk::start(&accounts, CABINET, &["--customer", "visit-1"], &[]);
    kiosk.says("[after the start] paid: 200 fen");
    let (code, said, _) = kiosk.end();
    assert_eq!(code, 0, "{said}");
    assert_eq!((openings(&sim).len(), requests(&sim, "NotifyUrl").len()), (1, 1), "{said}");
}

#[test]
fn a_callback_and_the_doors_job_report_one_payment() {
    let sim = quick();
    let accounts = accounts(&sim, "firmware-callback");
    let mut kiosk = Kiosk::start(&accounts, CABINET, &["--watchdog", "/dev/null"], &[]);
    let url = kiosk.address.clone();
    control(&sim, "POST", "/_sim/callbacks", json!({"platform": "yopoint", "url": url, "retry_ms": []}));
    kiosk.says("nothing was left");
    kiosk.types("door\n");
    let door = kiosk.says("[door]");
    assert!(door.contains("paid: 200 fen"), "{door}");
    control(&sim, "POST", "/_sim/wait", json!({"for": "callbacks_idle", "timeout_ms": 20_000}));
    assert_eq!((openings(&sim).len(), requests(&sim, "NotifyUrl").len()), (1, 1));
    let all = control(&sim, "GET", "/_sim/callbacks", Value::Null)["deliveries"].clone();
    assert!(!all.as_array().unwrap().is_empty());
    kiosk.types("quit\n");
    let (code, said, screen) = kiosk.end();
    assert_eq!(code, 0, "{said}");
    assert!(!screen.contains("waited"), "{screen}");
}

#[test]
fn a_signal_ends_it_when_the_customer_is_served() {
    let sim = quick();
    let accounts = accounts(&sim, "firmware-signal");
    fault(&sim, "cabinet.open.door", json!({"fault": "late", "ms": 700}));
    let mut kiosk = Kiosk::start(&accounts, CABINET, &[], &[]);
    kiosk.says("nothing was left");
    kiosk.types("door\n");
    control(
        &sim,
        "POST",
        "/_sim/wait",
        json!({"for": "requests", "operation": "yopoint cabinet.open.door", "count": 1, "timeout_ms": 20_000}),
    );
    kiosk.signal(libc::SIGTERM);
    kiosk.says("no more customers");
    let door = kiosk.says("[door]");
    assert!(door.contains("paid: 200 fen"), "{door}");
    let (code, said, _) = kiosk.end();
    assert_eq!(code, 0, "{said}");
    assert_eq!(openings(&sim).len(), 1);
}

/// A short firmware, started.
fn started(mut program: Command, accounts: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = program
        .arg(accounts)
        .args(["yopoint", CABINET])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

/// Reads until a line has these words.
fn until(out: &mut BufReader<ChildStdout>, words: &str) -> String {
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended before it said {words:?}:\n{seen}");
        if line.contains(words) {
            return line;
        }
        seen += &line;
    }
}

/// What both short ones do: a sale, a kill and what the next start makes of it, a callback, a signal.
fn sells_goes_on_after_a_kill_and_ends_on_a_signal(name: &str, program: impl Fn() -> Command) {
    let sim = quick();
    let accounts = accounts(&sim, name);
    // Killed between the opened door and the payment.
    fault(&sim, "cabinet.order.get", json!({"fault": "half_open", "hold_ms": 60_000, "count": 1}));
    let (mut child, mut out) = started(program(), &accounts);
    until(&mut out, "ready");
    child.stdin.as_mut().unwrap().write_all(b"door\n").unwrap();
    until(&mut out, "open: order");
    let asked = json!({"for": "requests", "operation": "yopoint cabinet.order.get", "count": 1, "timeout_ms": 20_000});
    control(&sim, "POST", "/_sim/wait", asked);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((openings(&sim).len(), requests(&sim, "NotifyUrl").len()), (1, 0));
    // The next start pays for it, and opens nothing.
    let (mut child, mut out) = started(program(), &accounts);
    let url = until(&mut out, "listening on").trim().strip_prefix("listening on ").unwrap().to_owned();
    until(&mut out, "left open");
    until(&mut out, "paid: 200 fen");
    until(&mut out, "ready");
    assert_eq!((openings(&sim).len(), requests(&sim, "NotifyUrl").len()), (1, 1));
    // Callbacks come to a sale, and each is answered.
    control(&sim, "POST", "/_sim/callbacks", json!({"platform": "yopoint", "url": url, "retry_ms": []}));
    child.stdin.as_mut().unwrap().write_all(b"door\n").unwrap();
    until(&mut out, "paid: 200 fen");
    control(&sim, "POST", "/_sim/wait", json!({"for": "callbacks_idle", "timeout_ms": 20_000}));
    let all = control(&sim, "GET", "/_sim/callbacks", Value::Null)["deliveries"].clone();
    // Of the first sale nobody was to be told.
    let all: Vec<&Value> = all.as_array().unwrap().iter().filter(|one| one["progress"] != "no_url").collect();
    assert!(!all.is_empty() && all.iter().all(|one| one["progress"] == "delivered"), "{all:#?}");
    assert_eq!((openings(&sim).len(), requests(&sim, "NotifyUrl").len()), (2, 2));
    // A signal while a customer is served: the sale is finished first.
    fault(&sim, "cabinet.open.door", json!({"fault": "late", "ms": 500}));
    child.stdin.as_mut().unwrap().write_all(b"door\n").unwrap();
    let asked = json!({"for": "requests", "operation": "yopoint cabinet.open.door", "count": 3, "timeout_ms": 20_000});
    control(&sim, "POST", "/_sim/wait", asked);
    // SAFETY: our own child, which has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGTERM) }, 0);
    until(&mut out, "no more customers");
    until(&mut out, "paid: 200 fen");
    until(&mut out, "bye");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!((openings(&sim).len(), requests(&sim, "NotifyUrl").len()), (3, 3));
}

#[test]
fn the_one_in_python_sells_goes_on_after_a_kill_and_ends_on_a_signal() {
    sells_goes_on_after_a_kill_and_ends_on_a_signal("firmware-python", || {
        let mut program = Command::new("python3");
        program
            .arg(root().join("python/examples/firmware.py"))
            .env("PYTHONPATH", root().join("python"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("LD_LIBRARY_PATH", programs().parent().unwrap().join("lib"));
        program
    });
}

#[test]
fn the_one_in_cpp_sells_goes_on_after_a_kill_and_ends_on_a_signal() {
    sells_goes_on_after_a_kill_and_ends_on_a_signal("firmware-cpp", || {
        Command::new(programs().join("kiosk_firmware"))
    });
}
