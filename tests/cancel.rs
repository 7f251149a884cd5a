//! Giving a door up, through C: `kl_client_cancel` waits for no lock and no disk, and `pthread_cancel` for the call.

mod common;

use common::*;
use kiosklink_sim::Simulator;
use serde_json::json;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_cancel_waits_for_no_foreign_lock_and_no_sync() {
    let sim = simulator();
    let accounts = accounts(&sim, "cancel");
    // The journal's files are there once a client was.
    let (code, text) = run(Command::new(programs().join("calls")).arg(&accounts).args(["yopoint", "1"]));
    assert_eq!(code, 0, "{text}");
    let state = accounts.with_extension("state");
    let mut files = std::fs::read_dir(state).unwrap().map(|e| e.unwrap().path());
    let lock = files
        .find(|p| p.to_string_lossy().contains("yopoint") && p.to_string_lossy().ends_with(".lock"))
        .expect("the journal has a lock");
    let (code, text) =
        run(Command::new(programs().join("cancel")).arg(&accounts).args(["yopoint", CABINET]).arg(lock));
    assert!(code == 0 && text.ends_with("no fault\n"), "{text}");
    println!("{text}");
    assert!(requests(&sim, "cabinet.open.door").is_empty() && openings(&sim).is_empty());
}

/// Starts a door whose thread is cancelled when its request has arrived.
fn thread_cancelled(sim: &Simulator, accounts: &Path, how: &str, mut program: Command) -> String {
    let mut child = program
        .arg(accounts)
        .args(["yopoint", CABINET, "thread", how])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let arrived = json!({"for": "requests", "operation": "yopoint cabinet.open.door", "count": 1, "timeout_ms": 60_000});
    control(sim, "POST", "/_sim/wait", arrived);
    child.stdin.take().unwrap().write_all(b"arrived\n").unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{text}");
    text
}

#[test]
fn a_thread_that_is_cancelled_ends_after_its_call_and_the_journal_says_the_truth() {
    let leaks = || {
        let mut command = Command::new("valgrind");
        command.args(["-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite"]);
        command.arg("--show-leak-kinds=definite");
        command.arg(suppressions());
        command.arg(programs().join("cancel"));
        command
    };
    let plain = || Command::new(programs().join("cancel"));
    // The answer comes after the cancellation: the door is done. It never comes, and the call is given up: nobody knows.
    let late = json!({"fault": "late", "ms": 1500});
    let never = json!({"fault": "half_open", "hold_ms": 60_000});
    for (name, rule, said) in
        [("late", &late, "1 KL_OK\nrecorded 1\n"), ("never", &never, "3 KL_E_CANCELLED\nrecorded 3\n")]
    {
        for valgrind in [false, true] {
            let sim = simulator();
            let accounts = accounts(&sim, &format!("cancel-{name}"));
            fault(&sim, "cabinet.open.door", rule.clone());
            let text = thread_cancelled(&sim, &accounts, name, if valgrind { leaks() } else { plain() });
            assert_eq!(text, format!("{said}no fault\n"));
            assert_eq!(openings(&sim).len(), requests(&sim, "cabinet.open.door").len());
        }
    }
}
