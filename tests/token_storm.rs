//! Eight threads in each of two processes meet a dead token, or none: one fetch serves them all.

mod common;

use common::*;
use kiosklink::client::Client;
use kiosklink::config::Config;
use kiosklink::model::*;
use kiosklink_sim::Simulator;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::time::Duration;

const ACCOUNTS: &str = "KIOSKLINK_TEST_ACCOUNTS";
const STATE: &str = "KIOSKLINK_TEST_STATE";
const THREADS: usize = 8;

fn client(accounts: &Path, state: &Path) -> Client {
    let mut config = Config::load(accounts.to_str().unwrap(), Some("youzan")).unwrap();
    config.set("state_dir", state.to_str().unwrap()).unwrap();
    Client::new(&config).unwrap()
}

/// The other process: this test again, told by its environment what to do.
#[test]
fn child() {
    let (Some(accounts), Some(state)) = (std::env::var_os(ACCOUNTS), std::env::var_os(STATE)) else { return };
    let client = client(Path::new(&accounts), Path::new(&state));
    client.warm().unwrap();
    // Both processes go at once, when the file appears.
    let go = Path::new(&state).join("go");
    while !go.exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let barrier = Barrier::new(THREADS);
    std::thread::scope(|s| {
        for n in 0..THREADS {
            let (client, barrier) = (&client, &barrier);
            s.spawn(move || {
                barrier.wait();
                if n % 2 == 0 {
                    client.cabinet_list(PageRequest { number: 1, size: 0 }).unwrap();
                } else {
                    let code = CodeQuery { code: "10000000001".into(), ..Default::default() };
                    client.code_lookup(&code).unwrap();
                }
            });
        }
    });
}

fn start(accounts: &Path, state: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(ACCOUNTS, accounts)
        .env(STATE, state)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn storm(sim: &Simulator, name: &str, accounts: &Path, state: &Path) {
    let fetched = || requests(sim, "auth/token").len();
    let before = fetched();
    let mut children = [start(accounts, state), start(accounts, state)];
    std::thread::sleep(Duration::from_millis(500));
    std::fs::write(state.join("go"), "").unwrap();
    for child in &mut children {
        assert!(child.wait().unwrap().success(), "{name}");
    }
    std::fs::remove_file(state.join("go")).unwrap();
    assert_eq!(fetched() - before, 1, "{name}");
}

#[test]
fn one_fetch_serves_all_threads_of_all_processes() {
    let sim = simulator();
    let accounts = accounts(&sim, "storm");
    let state = scratch("storm-state");
    // The fetch takes its time, so that everybody arrives while it is under way.
    fault(&sim, "auth/token", json!({"fault": "late", "ms": 700, "count": null}));
    storm(&sim, "no token", &accounts, &state);
    for mode in ["expire", "forget"] {
        control(&sim, "POST", "/_sim/youzan/tokens/kill", json!({"mode": mode}));
        storm(&sim, mode, &accounts, &state);
    }
    // A holder of the lock that dies holds nobody up.
    control(&sim, "POST", "/_sim/youzan/tokens/kill", json!({"mode": "forget"}));
    control(&sim, "DELETE", "/_sim/faults", Value::Null);
    fault(&sim, "auth/token", json!({"fault": "half_open", "count": 1}));
    let mut holder = start(&accounts, &state);
    std::thread::sleep(Duration::from_millis(300));
    let asked = || control(&sim, "GET", "/_sim/faults", Value::Null).to_string();
    let began = std::time::Instant::now();
    let before = asked();
    std::fs::write(state.join("go"), "").unwrap();
    while asked() == before && began.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(10));
    }
    holder.kill().unwrap();
    holder.wait().unwrap();
    client(&accounts, &state).cabinet_list(PageRequest { number: 1, size: 0 }).unwrap();
}
