//! What a call costs on the wire and what the device's clock may do to it, with whole C programs and counted at the
//! system's own functions and sockets.

mod common;

use common::*;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

fn preload(name: &str) -> std::path::PathBuf {
    programs().join("../preload").join(name).with_extension("so")
}

fn calls(accounts: &Path, n: u32) -> Command {
    let mut command = Command::new(programs().join("calls"));
    command.arg(accounts).arg("yopoint").arg(n.to_string());
    command
}

#[test]
fn a_hundred_calls_look_one_name_up_and_make_one_connection() {
    let sim = simulator();
    let accounts = accounts(&sim, "lookups");
    let counts = accounts.with_file_name("counts");
    let (code, text) =
        run(calls(&accounts, 100).env("LD_PRELOAD", preload("lookups")).env("COUNT_FILE", &counts));
    assert_eq!(code, 0, "{text}");
    let counts = std::fs::read_to_string(counts).unwrap();
    assert_eq!(counts.trim(), "1 lookups 1 connects");
}

/// Passes bytes on between the client and the simulator and counts how often the client's side begins to speak after
/// the server's did: each such turn is a round trip.
struct Relay {
    port: u16,
    connections: Arc<AtomicU32>,
    turns: Arc<AtomicU32>,
    /// Told each time the server begins to speak.
    answers: mpsc::Receiver<()>,
}

fn relay(to: u16) -> Relay {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (connections, turns) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (counted, spoken) = (connections.clone(), turns.clone());
    let (tell, answers) = mpsc::channel();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(client) = client else { return };
            counted.fetch_add(1, Ordering::SeqCst);
            let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
            let clients_turn = Arc::new(Mutex::new(false));
            let turns = spoken.clone();
            let (from, into, turn) =
                (client.try_clone().unwrap(), server.try_clone().unwrap(), clients_turn.clone());
            std::thread::spawn(move || {
                pass(from, into, || {
                    if !std::mem::replace(&mut *turn.lock().unwrap(), true) {
                        turns.fetch_add(1, Ordering::SeqCst);
                    }
                });
            });
            let tell = tell.clone();
            std::thread::spawn(move || {
                pass(server, client, || {
                    // Nobody listens any more once the test is over.
                    if std::mem::replace(&mut *clients_turn.lock().unwrap(), false) && tell.send(()).is_err()
                    {
                    }
                });
            });
        }
    });
    Relay { port, connections, turns, answers }
}

fn pass(mut from: TcpStream, mut into: TcpStream, spoke: impl Fn()) {
    let mut buffer = [0; 16384];
    while let Ok(n) = from.read(&mut buffer) {
        if n == 0 {
            break;
        }
        spoke();
        if into.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    // The other direction ends by itself; a failed shutdown means that it already has.
    into.shutdown(std::net::Shutdown::Write).unwrap_or_default();
}

#[test]
fn a_cold_call_takes_three_round_trips_and_a_warm_one_takes_one() {
    let sim = simulator();
    let relay = relay(sim.port());
    let url = format!("https://localhost:{}/yopoint", relay.port);
    let client = client_with(&sim, &[("base_url", &url)]);
    let count = || relay.connections.load(Ordering::SeqCst) + relay.turns.load(Ordering::SeqCst);

    client.ping().unwrap();
    assert_eq!(count(), 3, "connect, handshake, request");
    for n in 1..=5 {
        client.ping().unwrap();
        assert_eq!(count(), 3 + n, "a warm call is one round trip");
    }
    assert_eq!(relay.connections.load(Ordering::SeqCst), 1);
    assert_eq!(client.stats().lookups, 1);
}

#[test]
fn warming_leaves_one_round_trip_for_the_door() {
    let sim = simulator();
    let relay = relay(sim.port());
    let url = format!("https://localhost:{}/yopoint", relay.port);
    let client = client_with(&sim, &[("base_url", &url)]);
    client.warm().unwrap();
    // The server's hello, and its tickets, which it sends when the handshake has ended.
    for _ in 0..2 {
        relay.answers.recv_timeout(Duration::from_secs(20)).unwrap();
    }
    let before = relay.turns.load(Ordering::SeqCst);
    let request = kiosklink::model::DoorRequest {
        request_id: "warm".into(),
        cabinet_id: CABINET.into(),
        ..Default::default()
    };
    client.door_open(&request).unwrap();
    assert_eq!(relay.turns.load(Ordering::SeqCst) - before, 1);
    assert_eq!((relay.connections.load(Ordering::SeqCst), openings(&sim).len()), (1, 1));
}

/// Status, time and source that the program printed, and its explanation.
fn with_clock(accounts: &Path, time: i64) -> (String, i64, i32, String) {
    let (_, text) =
        run(calls(accounts, 2).env("LD_PRELOAD", preload("clock")).env("FAKE_TIME", time.to_string()));
    let mut lines = text.lines();
    let mut words = lines.next().unwrap().split(' ');
    let mut word = || words.next().unwrap().to_owned();
    (word(), word().parse().unwrap(), word().parse().unwrap(), lines.next().unwrap_or("").to_owned())
}

fn real_time() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64
}

#[test]
fn a_device_that_wakes_in_1970_signs_rightly_and_learns_the_time() {
    let sim = simulator();
    let accounts = accounts(&sim, "in-1970");
    let (status, now, source, why) = with_clock(&accounts, 100);
    assert_eq!((status.as_str(), source), ("KL_OK", 3), "{why}");
    assert!((now - real_time()).abs() < 30, "{now}");
    let seen = requests(&sim, "api.test");
    assert!(seen.iter().all(|r| r["signature"]["ok"] == json!(true)), "{seen:?}");
}

#[test]
fn a_device_an_hour_off_is_put_right_by_the_platform() {
    let sim = simulator();
    let accounts = accounts(&sim, "hour-off");
    for off in [-3600, 3600] {
        let (status, now, _, why) = with_clock(&accounts, real_time() + off);
        assert_eq!(status, "KL_OK", "{off}: {why}");
        assert!((now - real_time()).abs() < 30, "{off}: {now}");
    }
}

#[test]
fn a_clock_past_the_certificates_end_has_a_code_of_its_own() {
    let sim = simulator();
    let accounts = accounts(&sim, "ahead");
    // Thirty years ahead: past the end of every certificate the simulator makes.
    let (status, _, _, why) = with_clock(&accounts, real_time() + 30 * 365 * 86_400);
    assert_eq!(status, "KL_E_CLOCK", "{why}");
    assert!(why.contains("clock") && why.contains("kl_set_time"), "{why}");
}

#[test]
fn what_is_wrong_with_a_certificate_has_its_code() {
    let sim = simulator();
    let accounts = accounts(&sim, "certificates");
    for (certificate, expected) in [
        ("expired", "KL_E_TLS_EXPIRED"),
        ("not_yet_valid", "KL_E_TLS_NOT_YET_VALID"),
        ("wrong_name", "KL_E_TLS_WRONG_NAME"),
        ("untrusted", "KL_E_TLS_UNTRUSTED"),
        ("good", "KL_OK"),
    ] {
        control(&sim, "POST", "/_sim/tls", json!({ "certificate": certificate }));
        let (_, text) = run(&mut calls(&accounts, 1));
        assert!(text.starts_with(&format!("{expected} ")), "{certificate}: {text}");
    }
    control(&sim, "POST", "/_sim/tls", json!({"client_auth": "required"}));
    let (_, text) = run(&mut calls(&accounts, 1));
    assert!(text.starts_with("KL_E_TLS_CLIENT_CERT "), "{text}");
    let (certificate, key) = sim.client_pair_pem();
    let folder = accounts.parent().unwrap();
    std::fs::write(folder.join("client.pem"), certificate).unwrap();
    std::fs::write(folder.join("client.key"), key).unwrap();
    let mut all: Value = serde_json::from_slice(&std::fs::read(&accounts).unwrap()).unwrap();
    // Relative paths count from the file's own folder.
    all["accounts"]["yopoint"]["client_cert_file"] = json!("client.pem");
    all["accounts"]["yopoint"]["client_key_file"] = json!("client.key");
    std::fs::write(&accounts, all.to_string()).unwrap();
    for version in ["1.2", "1.3"] {
        control(&sim, "POST", "/_sim/tls", json!({"versions": [version]}));
        let (code, text) = run(&mut calls(&accounts, 1));
        assert_eq!(code, 0, "TLS {version}: {text}");
    }
}
