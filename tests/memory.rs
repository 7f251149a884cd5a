//! Memory that the system refuses: what docs/conventions.md says of it. Each piece that an opening asks for is refused once,
//! alone, and with all that come after it. The process ends with a line, or the call says that there is no room and nothing
//! was sent; and whoever starts again under the same name opens no second time.

mod common;

use common::*;
use kiosklink_sim::Simulator;
use serde_json::{Value, json};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An account with a journal of its own.
fn fresh(accounts: &Path, n: &str) -> PathBuf {
    let mut all: Value = serde_json::from_slice(&std::fs::read(accounts).unwrap()).unwrap();
    let state = private(&accounts.parent().unwrap().join(format!("state-{n}")));
    all["accounts"]["yopoint"]["state_dir"] = json!(state);
    let file = accounts.with_file_name(format!("accounts-{n}.json"));
    std::fs::write(&file, all.to_string()).unwrap();
    file
}

/// Outcome, status and the number of pieces; nothing if the process ended in between.
fn opened(accounts: &Path, refuse: Option<&str>) -> Option<(i32, String, usize)> {
    let mut command = Command::new(programs().join("memory"));
    command.arg(accounts).args(["yopoint", CABINET, "customer"]);
    command.env("LD_PRELOAD", target().join("c/preload/memory.so"));
    if let Some(rule) = refuse {
        command.env("MEMORY_REFUSE", rule);
    }
    let out = command.output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    // glibc 2.36's own lookup does not look whether it got memory for its resolver.
    if out.status.signal() == Some(libc::SIGSEGV) && refuse.is_some_and(|r| r.ends_with('+')) {
        return None;
    }
    if out.status.signal() == Some(libc::SIGABRT) {
        // The last word is Rust's, or the C library's.
        let why = ["memory allocation of", "out of memory"];
        assert!(why.iter().any(|w| complained.contains(w)), "{refuse:?}: {complained}");
        return None;
    }
    assert_eq!(out.status.code(), Some(0), "{refuse:?}: {:?} {said}{complained}", out.status);
    let words: Vec<&str> = said.splitn(4, ' ').collect();
    Some((words[0].parse().unwrap(), words[1].to_owned(), words[2].parse().unwrap()))
}

#[test]
fn refused_memory_opens_no_door_twice_and_is_never_a_guess() {
    const DONE: i32 = 1;
    const NOT_DONE: i32 = 2;
    let sim = simulator();
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"door_open_ms": 1, "recognition_ms": 1}));
    let accounts = accounts(&sim, "memory");
    let (outcome, _, pieces) = opened(&fresh(&accounts, "all"), None).unwrap();
    assert!(outcome == DONE && pieces > 100, "{outcome}, {pieces} pieces");
    println!("{pieces} pieces");
    let (mut ended, mut no_room, mut went_well) = (0, 0, 0);
    // One in nine, and the first of all, which are the result's; MEMORY_STEP=1 takes each.
    let step = std::env::var("MEMORY_STEP").map_or(9, |text| text.parse().unwrap());
    // The last is one that nobody asks for.
    for n in (1..13).chain((13..=pieces).step_by(step)).chain([pieces + 1_000]) {
        // By turns alone, and with all that come after.
        let rule = format!("{n}{}", if n > 12 && n % 2 == 0 { "+" } else { "" });
        let accounts = fresh(&accounts, &n.to_string());
        let before = moved(&sim);
        match opened(&accounts, Some(&rule)) {
            None => ended += 1,
            Some((DONE, ..)) => went_well += 1,
            Some((NOT_DONE, status, _)) => {
                assert_eq!(moved(&sim), before, "{rule}: {status}");
                no_room += usize::from(status == "KL_E_RESOURCE");
            }
            Some((_, status, _)) => println!("{rule}: {status}"),
        }
        // Started again as after a crash.
        let (outcome, status, _) = opened(&accounts, None).expect("memory is there again");
        let opened = moved(&sim) - before;
        assert!(opened <= 1, "{rule}: {opened} openings");
        match outcome {
            DONE => assert_eq!(opened, 1, "{rule}"),
            NOT_DONE => assert_eq!(opened, 0, "{rule}: {status}"),
            _ => println!("{rule}: again {status}"),
        }
    }
    println!("{ended} ended, {no_room} without room, {went_well} went well");
    assert!(ended > 10 && no_room > 0 && went_well > 0);
}

/// How often a bolt moved.
fn moved(sim: &Simulator) -> usize {
    openings(sim).len()
}
