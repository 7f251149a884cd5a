//! The Python package against the simulator: each file of tests/python on a simulator of its own.

mod common;

use common::*;
use kiosklink_sim::Simulator;
use serde_json::json;
use std::process::Command;

/// Runs one file of unittest, with what it needs to find the simulator, its accounts and the library.
fn python(sim: &Simulator, module: &str) {
    let accounts = accounts(sim, &format!("python-{module}"));
    let (code, text) = run(Command::new("python3")
        .args(["-X", "dev", "-m", "unittest", module])
        .current_dir(root().join("tests/python"))
        .env("KIOSKLINK_TEST_SIMULATOR", sim.http_origin())
        .env("KIOSKLINK_TEST_ACCOUNTS", accounts)
        .env("KIOSKLINK_TEST_LIBRARY", programs().join("../lib/libkiosklink.so").canonicalize().unwrap())
        .env("KIOSKLINK_TEST_TARGET", scratch(&format!("python-{module}-files")))
        .env("PYTHONPATH", root().join("python"))
        .env("PYTHONDONTWRITEBYTECODE", "1"));
    assert_eq!(code, 0, "{text}");
    // An empty file would succeed too.
    assert!(text.contains("\nOK") && !text.contains("Ran 0 tests"), "{text}");
}

#[test]
fn the_bindings_are_those_of_the_header_and_the_compiler() {
    python(&simulator(), "test_abi");
}

#[test]
fn python_reaches_every_verb_and_gets_every_error() {
    python(&simulator(), "test_client");
}

#[test]
fn python_receives_callbacks() {
    python(&simulator(), "test_events");
}

#[test]
fn python_calls_on_many_threads_cancels_forks_and_logs() {
    python(&simulator(), "test_threads");
}

#[test]
fn python_gives_a_loop_its_calls() {
    python(&simulator(), "test_tasks");
}

#[test]
fn python_without_the_package_opens_a_door_with_ctypes() {
    let sim = simulator();
    let accounts = accounts(&sim, "python");
    let library = programs().join("../lib/libkiosklink.so");
    let (code, text) = run(Command::new("python3")
        .arg(root().join("tests/python/door.py"))
        .arg(&library)
        .arg(&accounts)
        .args(["yopoint", CABINET]));
    assert_eq!(code, 0, "{text}");
    let opened = openings(&sim);
    assert_eq!(opened.len(), 1, "asked for twice under one name");
    assert_eq!(opened[0]["cause"]["receipt"], json!(text.trim()));
}
