//! Jobs through C: `tests/c/tasks.c`, as it is, under valgrind and with the sanitizers.

mod common;

use common::*;
use kiosklink_sim::Simulator;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Two simulators, one of which never answers, and the accounts on both.
struct World {
    sim: Simulator,
    _stalled: Simulator,
    accounts: PathBuf,
}

impl World {
    fn new(name: &str) -> World {
        let (sim, stalled) = (simulator(), simulator());
        control(&stalled, "POST", "/_sim/tls", json!({"handshake_stall": true}));
        let accounts = accounts(&sim, name);
        let mut all: Value = serde_json::from_slice(&std::fs::read(&accounts).unwrap()).unwrap();
        let mut second = all["accounts"]["yopoint"].clone();
        second["base_url"] = json!(format!("{}/yopoint", stalled.origin()));
        second["timeout_ms"] = json!(600_000);
        second["connect_timeout_ms"] = json!(600_000);
        all["accounts"]["stalled"] = second;
        std::fs::write(&accounts, all.to_string()).unwrap();
        World { sim, _stalled: stalled, accounts }
    }

    /// The program does this and finds no fault.
    fn does(&self, mut program: Command, scenarios: &[&str]) {
        program.arg(&self.accounts).args(["yopoint", "stalled", CABINET]).args(scenarios);
        let (code, text) = run(&mut program);
        assert_eq!((code, text.as_str()), (0, "no fault\n"), "{scenarios:?}");
    }
}

fn program() -> Command {
    Command::new(programs().join("tasks"))
}

#[test]
fn a_loop_starts_jobs_and_is_told_of_their_end() {
    let world = World::new("tasks-loop");
    world.does(program(), &["loop"]);
    assert_eq!(openings(&world.sim).len(), 1);
}

#[test]
fn a_door_waits_for_no_page_and_what_is_late_is_not_begun() {
    World::new("tasks-full").does(program(), &["full", "late"]);
}

#[test]
fn a_signal_handler_cancels_and_no_thread_of_ours_takes_a_signal() {
    World::new("tasks-signals").does(program(), &["handler", "signals"]);
}

#[test]
fn a_job_leaves_its_thread_and_its_client_is_freed_in_any_order() {
    World::new("tasks-ends").does(program(), &["leaving", "frees", "poor"]);
}

#[test]
fn a_child_takes_no_wakeup_of_its_parent() {
    World::new("tasks-forks").does(program(), &["forks"]);
}

/// The program under valgrind, with these options.
fn under_valgrind(options: &[&str]) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["-q", "--error-exitcode=99", &suppressions()]).args(options);
    command.arg(programs().join("tasks"));
    command
}

#[test]
fn misuse_gets_a_code_and_nothing_is_lost_in_memory() {
    let leaks = ["--leak-check=full", "--errors-for-leak-kinds=definite", "--show-leak-kinds=definite"];
    World::new("tasks-valgrind").does(under_valgrind(&leaks), &["misuse", "loop", "full", "late"]);
}

/// Leaks are not looked for: what the parent's threads held on their stacks is lost in a child, whatever the library does.
#[test]
fn a_child_touches_no_memory_that_is_not_its_own() {
    World::new("tasks-valgrind-forks").does(under_valgrind(&[]), &["forks"]);
}

/// The program with these of gcc's sanitizers, over the same library.
fn sanitized(folder: &Path, kinds: &str) -> PathBuf {
    let (flag, program) = (format!("-fsanitize={kinds}"), folder.join("tasks-sanitized"));
    let source = root().join("tests/c/tasks.c");
    compiled(&source, &program, &["-O1", &flag, "-fno-sanitize-recover=all"], &usual_library());
    program
}

/// What is handed to a job and back, TSan is told by two lines, as docs/threads.md says.
#[test]
fn tsan_with_the_suppressions_that_ship_finds_no_fault_in_jobs() {
    let world = World::new("tasks-tsan");
    world.does(with_tsan(world.accounts.parent().unwrap(), "tests/c/tasks.c", true), &["loop"]);
}

#[test]
fn the_sanitizers_find_nothing() {
    let world = World::new("tasks-sanitized");
    let program = sanitized(world.accounts.parent().unwrap(), "address,undefined");
    for scenarios in [&["misuse", "loop", "full"][..], &["leaving", "frees"], &["handler"]] {
        world.does(Command::new(&program), scenarios);
    }
    // gcc's ASan holds no lock of its own memory across a fork: a child of several threads may wait for it for ever. What a
    // child does to memory valgrind sees.
    let program = sanitized(world.accounts.parent().unwrap(), "undefined");
    world.does(Command::new(&program), &["forks"]);
}
