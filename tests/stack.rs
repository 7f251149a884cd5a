//! How much stack the calls take: `tests/c/stack.c` over the library as it ships and as it is tested, and the table in
//! `docs/threads.md`. The platform stands behind a server whose certificates take the most room: three of RSA with 4096 bits.

mod common;
mod net;

use common::*;
use net::{Identity, Server, Tls, read_request, server_config};
use rustls::SupportedProtocolVersion;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};

/// What does not end well here, and why: it was to be refused, and its road is as long.
const REFUSED: &[(&str, &str)] = &[
    ("kl_door_open", "KL_E_LOST"),
    ("kl_command_settle", "KL_E_REQUEST_ID"),
    ("kl_command_overrule", "KL_E_REQUEST_ID"),
    ("kl_order_list", "KL_E_PLATFORM"),
    ("kl_appeal_file", "KL_E_PLATFORM"),
    ("kl_journal_adopt", "KL_E_ARGUMENT"),
];

/// Certificates of RSA, which are larger and take more to verify than the simulator's own.
fn rsa() -> (Identity, &'static str) {
    let chain_pem = include_str!("net/certs/rsa-chain.pem").to_owned();
    let key_pem = include_str!("net/certs/rsa-leaf.key").to_owned();
    let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).map(Result::unwrap).collect();
    let key = rcgen::KeyPair::from_pem(&key_pem).map(|k| k.serialize_der()).unwrap();
    (Identity { chain, key, chain_pem, key_pem }, include_str!("net/certs/rsa-ca.pem"))
}

/// Hands each request on to the simulator, and its answer back. An answer that does not come is none here either. Addresses
/// that the simulator gives become ones of this server, `here`.
fn hand_on(mut tls: Tls, simulator: &str, here: &str) -> Option<()> {
    let upstream = TcpStream::connect(simulator).ok()?;
    let mut answers = BufReader::new(upstream.try_clone().ok()?);
    loop {
        let (head, body) = read_request(&mut tls)?;
        (&upstream).write_all(&[head.as_bytes(), &body].concat()).ok()?;
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let mut line = String::new();
            if answers.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.to_ascii_lowercase().strip_prefix("content-length: ") {
                Some(n) => length = n.trim().parse().unwrap(),
                None => head += &line,
            }
        }
        let mut body = vec![0; length];
        answers.read_exact(&mut body).ok()?;
        let body = String::from_utf8(body).unwrap().replace(&format!("http://{simulator}"), here);
        let head = head.replacen("\r\n", &format!("\r\nContent-Length: {}\r\n", body.len()), 1);
        tls.write_all(&[head, body].concat().into_bytes()).ok()?;
        tls.flush().ok()?;
    }
}

/// The most that each call took with one version of TLS, in bytes.
fn measured(library: &Path, version: &'static SupportedProtocolVersion, name: &str) -> Vec<(String, u64)> {
    let sim = simulator();
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"door_open_ms": 50, "recognition_ms": 50}));
    fault(&sim, "cabinet.open.door", json!({"fault": "act_then_drop"}));
    let (identity, root_pem) = rsa();
    let plain = sim.http_origin().strip_prefix("http://").unwrap().to_owned();
    let here = Arc::new(OnceLock::new());
    let told: Arc<OnceLock<String>> = here.clone();
    let server = Server::tls(server_config(&identity, &[version], None), move |_, tls| {
        hand_on(tls, &plain, told.get().expect("nobody connects before"));
    });
    let here = here.get_or_init(|| format!("https://localhost:{}", server.address.port()));
    let file = accounts(&sim, name);
    let ca = file.parent().unwrap().join("ca.pem");
    std::fs::write(&ca, root_pem).unwrap();
    let mut all: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for account in all["accounts"].as_object_mut().unwrap().values_mut() {
        let url = account["base_url"].as_str().unwrap().replace(&sim.origin(), here);
        assert!(url.starts_with(here), "{url}");
        account["base_url"] = json!(url);
    }
    std::fs::write(&file, all.to_string()).unwrap();
    let (code, text) = run(Command::new(programs().join("stack")).arg(&file).env("LD_LIBRARY_PATH", library));
    assert_eq!(code, 0, "{text}");
    let mut most: Vec<(String, u64)> = Vec::new();
    for line in text.lines() {
        let [call, account, status, bytes, message] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{text}")
        };
        assert!(
            status == "KL_OK" || REFUSED.contains(&(call, status)),
            "{call} {account}: {status} {message}"
        );
        let bytes: u64 = bytes.parse().unwrap();
        match most.iter_mut().find(|(known, _)| known == call) {
            Some((_, most)) => *most = bytes.max(*most),
            None => most.push((call.to_owned(), bytes)),
        }
    }
    most
}
/// The most that each call took, in KiB.
fn most(library: &Path, name: &str) -> Vec<(String, u64)> {
    let newer = measured(library, &TLS13, name);
    let mut all = measured(library, &TLS12, name);
    for ((call, most), (same, bytes)) in all.iter_mut().zip(newer) {
        assert_eq!(*call, same);
        *most = bytes.max(*most).div_ceil(1024);
    }
    all
}

/// The library as it ships, where a program finds it.
fn release() -> std::path::PathBuf {
    build("make", &["-s", "lib"]);
    let folder = scratch("stack-release");
    std::os::unix::fs::symlink(target().join("release/libkiosklink.so"), folder.join("libkiosklink.so.1"))
        .unwrap();
    folder
}

/// Of a job's stack `docs/threads.md` leaves so much to the calls. What is measured stays well below: other processors and
/// compilers differ.
const LEFT_TO_CALLS: u64 = 96;
/// `task_stack_kib` is no less.
const LEAST: u64 = 128;

#[test]
fn every_call_keeps_to_the_stack_that_the_docs_leave_it() {
    let shipped = most(&release(), "stack-shipped");
    let debug = most(&programs().join("../lib"), "stack-debug");
    assert!(shipped.len() > 40 && shipped.len() == debug.len());
    let mut table = String::from("| call | as it ships | debug build |\n|---|---|---|\n");
    for ((call, bytes), (_, slow)) in shipped.iter().zip(&debug) {
        let names = call.split(", ").map(|n| if n.contains('_') { format!("`{n}`") } else { n.into() });
        writeln!(table, "| {} | {bytes} | {slow} |", names.collect::<Vec<_>>().join(", ")).unwrap();
        assert!(*bytes <= LEFT_TO_CALLS * 2 / 3, "{call}: {bytes} KiB");
        assert!(*slow <= LEAST - 16, "{call}: {slow} KiB in a debug build");
    }
    let page = root().join("docs/threads.md");
    let whole = std::fs::read_to_string(&page).unwrap();
    assert!(whole.contains(&format!("leave {LEFT_TO_CALLS} KiB of it to the calls")));
    let begin = "<!-- generated: stack -->\n";
    let start = whole.find(begin).expect("the mark") + begin.len();
    let end = start + whole[start..].find("<!-- end -->").expect("the end mark");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&page, [&whole[..start], &table, &whole[end..]].concat()).unwrap();
        return;
    }
    // The names and the order are the same, and each number is by no more than a fifth, or 2 KiB, another one.
    let rows =
        |text: &str| text.lines().map(|l| l.split('|').map(|c| c.trim().to_owned()).collect()).collect();
    let (written, now): (Vec<Vec<String>>, Vec<Vec<String>>) = (rows(&whole[start..end]), rows(&table));
    let near = |(a, b): (&String, &String)| match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a.abs_diff(b) <= 2.max(a / 5),
        _ => a == b,
    };
    let same = |(a, b): (&Vec<String>, &Vec<String>)| a.len() == b.len() && a.iter().zip(b).all(near);
    assert!(
        written.len() == now.len() && written.iter().zip(&now).all(same),
        "docs/threads.md is behind; BLESS=1 cargo test --test stack writes:\n{table}"
    );
}

/// What waits for nothing and sends nothing.
const LIGHT: &[&str] = &[
    "kl_abi_version",
    "kl_build_info",
    "kl_client_can",
    "kl_client_cancel",
    "kl_client_fd",
    "kl_client_time",
    "kl_client_view",
    "kl_config_new",
    "kl_config_set",
    "kl_event_reply",
    "kl_http_tick",
    "kl_response_json",
    "kl_set_log",
    "kl_set_time",
    "kl_status_name",
    "kl_task_cancel",
    "kl_version",
];

#[test]
fn every_call_that_may_block_is_measured() {
    let program = std::fs::read_to_string(root().join("tests/c/stack.c")).unwrap();
    let exports = std::fs::read_to_string(root().join("abi/exports.txt")).unwrap();
    let reads = ["_count", "_at", "_view", "_total", "_more", "_free"];
    let missing: Vec<&str> = exports
        .lines()
        .filter(|name| !LIGHT.contains(name) && (!reads.iter().any(|r| name.ends_with(r))))
        .filter(|name| !program.contains(&format!("{name}(")))
        .collect();
    assert!(missing.is_empty(), "tests/c/stack.c does not measure {missing:?}");
}
