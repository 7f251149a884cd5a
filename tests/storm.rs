//! Everything at once and at random (`tests/c/storm.c`) under ThreadSanitizer. Here the library is the usual one, so the
//! sanitizer sees the program and what crosses the border; `scripts/tsan` has the library and Rust's std instrumented too,
//! and runs this test with its program for a minute.

mod common;

use common::*;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

/// The program with the sanitizer over the usual library.
fn program() -> PathBuf {
    let program = scratch("storm-program").join("storm");
    compiled(&root().join("tests/c/storm.c"), &program, &["-O1", "-fsanitize=thread"], &usual_library());
    program
}

#[test]
fn threads_jobs_views_cancels_and_frees_at_random_race_nowhere() {
    let given = |name: &str, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.into());
    let (sim, stalled) = (simulator(), simulator());
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"door_open_ms": 1, "recognition_ms": 1}));
    control(&stalled, "POST", "/_sim/tls", json!({"handshake_stall": true}));
    let file = accounts(&sim, "storm");
    let mut all: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let mut second = all["accounts"]["yopoint"].clone();
    second["base_url"] = json!(format!("{}/yopoint", stalled.origin()));
    second["timeout_ms"] = json!(1_000);
    all["accounts"]["stalled"] = second;
    std::fs::write(&file, all.to_string()).unwrap();
    let (own, program) = match std::env::var_os("STORM_PROGRAM") {
        Some(path) => (false, PathBuf::from(path)),
        None => (true, program()),
    };
    // Where the kernel moves programs about by more bits than the sanitizer's maps allow, they are not moved.
    let mut command = Command::new("setarch");
    command.arg("-R").arg(program).arg(&file).args(["yopoint", "stalled", CABINET]);
    command.args([given("STORM_SECONDS", "3"), given("STORM_SEED", "1"), given("STORM_THREADS", "32")]);
    let supp = root().join("packaging/suppressions/kiosklink-tsan.supp");
    let suppressed = if own { format!(" suppressions={}", supp.display()) } else { String::new() };
    let (code, text) =
        run(command.env("TSAN_OPTIONS", format!("exitcode=66 second_deadlock_stack=1{suppressed}")));
    assert!(code == 0 && text.ends_with("no fault\n") && !text.contains("WARNING"), "{code}\n{text}");
    println!("{text}");
    // The program has 200 names, and each is a customer whose door opens once at most.
    assert!(openings(&sim).len() <= 200);
}
