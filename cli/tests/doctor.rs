//! `doctor` against each fault that it claims to see.

#[path = "../../tests/common/built.rs"]
mod built;
mod common;
#[path = "../../tests/common/port.rs"]
mod port;

use built::{build, target};
use common::*;
use port::Port;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The state of one line, and what it says with what to do.
fn line(told: &Value, check: &str) -> (String, String) {
    let all = told["checks"].as_array().unwrap();
    let one = all.iter().find(|c| c["check"] == check).unwrap_or_else(|| panic!("no {check} in {told}"));
    let text = |key: &str| one[key].as_str().unwrap_or("").to_owned();
    (text("state"), format!("{} {}", text("what"), text("do")))
}

fn look(file: &Path, check: &str, state: &str, word: &str) {
    look_at(file, "yopoint", &[], check, state, word);
}

/// With an account of another platform, or a device in trouble.
fn look_at(file: &Path, account: &str, trouble: &[(&str, &str)], check: &str, state: &str, word: &str) {
    let (code, told) = doctor(file, account, trouble);
    let (is, says) = line(&told, check);
    assert!(is == state && says.contains(word), "{trouble:?}: {check}: {is}: {says}");
    let bad = told["checks"].as_array().unwrap().iter().any(|c| c["state"] == "bad");
    assert_eq!((code, told["ok"].as_bool()), (if bad { 5 } else { 0 }, Some(!bad)), "{told}");
}

/// What is between the program and the system, if anything: tests/preload/clock.c for FAKE_TIME, device.c for the others.
fn doctor(file: &Path, account: &str, trouble: &[(&str, &str)]) -> (i32, Value) {
    let mut command = command(file, account, &["doctor", "--json"]);
    if let Some((first, _)) = trouble.first() {
        let shim = if *first == "FAKE_TIME" { "clock.so" } else { "device.so" };
        command.env("LD_PRELOAD", preloads().join(shim)).envs(trouble.iter().copied());
    }
    let (code, out, err) = told(command.output().unwrap());
    (code, serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}")))
}

fn preloads() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        build("make", &["-s", "preloads"]);
        target().join("c/preload")
    })
}

/// An account with a folder for its state.
fn with_state(name: &str) -> (kiosklink_sim::Simulator, PathBuf, PathBuf) {
    let (sim, file) = simulator(name);
    let state = file.parent().unwrap().join("state");
    (sim, file, state)
}

fn names_in(folder: &Path) -> Vec<String> {
    let all = std::fs::read_dir(folder).unwrap();
    all.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

const CABINET: &str = "5f6da2362201410011000001";

fn open_door(file: &Path, id: &str) -> i32 {
    run(file, "yopoint", &["open", CABINET, "--door", "1", "--request-id", id]).0
}

#[test]
fn nothing_is_bad() {
    let (_sim, file, state) = with_state("doctor-good");
    // How long a sync takes here is not what this is about.
    let (code, told) = doctor(&file, "yopoint", &[("FILE_FAIL", ".doctor-:sync:1")]);
    for check in
        ["version", "settings", "state", "space", "journal", "dns", "tcp", "tls", "platform", "clock"]
    {
        let (state, says) = line(&told, check);
        assert_eq!(state, "good", "{check}: {says}");
    }
    assert_eq!((code, &told["ok"]), (0, &json!(true)));
    assert!(
        line(&told, "tls").1.contains(" days left: localhost by") && line(&told, "version").1.contains("ABI")
    );
    // Whatever machine this is: what a copied card would lack is told of, and the file system is named.
    assert_ne!(line(&told, "identity").0, "bad", "{told}");
    assert_ne!(line(&told, "filesystem").0, "skipped", "{told}");
    // No journal is begun, and nothing of the look is left behind.
    assert!(line(&told, "journal").1.contains("none yet"), "{told}");
    let left = names_in(&state);
    assert!(!left.iter().any(|n| n.ends_with(".journal") || n.starts_with(".doctor-")), "{left:?}");
    let (code, said, _) = run(&file, "yopoint", &["doctor"]);
    assert!(code == 0 && said.contains("Nothing is bad") && !said.contains("test-secret"), "{said}");
    // The account's name may stand alone too.
    let (code, _, err) = told_plain(&file, &["doctor", "zhiyun"]);
    assert_eq!((code, err.as_str()), (0, ""));
}

fn told_plain(file: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kiosklink"));
    told(command.args(args).arg("--accounts").arg(file).output().unwrap())
}

#[test]
fn certificates() {
    let (sim, file) = simulator("doctor-tls");
    for (certificate, word) in [
        ("expired", "KL_E_TLS_EXPIRED"),
        ("not_yet_valid", "KL_E_TLS_NOT_YET_VALID"),
        ("wrong_name", "KL_E_TLS_WRONG_NAME"),
        ("untrusted", "KL_E_TLS_UNTRUSTED"),
    ] {
        sim.control("POST", "/_sim/tls", json!({"certificate": certificate}));
        look(&file, "tls", "bad", word);
        look(&file, "platform", "skipped", "not looked at");
    }
    sim.control("POST", "/_sim/tls", json!({"certificate": "good", "client_auth": "required"}));
    look(&file, "tls", "good", "verified");
    let (_, told) = json_of(&file, "yopoint", &["doctor"]);
    let (state, says) = line(&told, "platform");
    assert!(
        state == "bad" && says.contains("KL_E_TLS_CLIENT_CERT") && says.contains("client_cert_file"),
        "{says}"
    );
    // TLS 1.2 tells it in the handshake.
    sim.control("POST", "/_sim/tls", json!({"versions": ["1.2"]}));
    look(&file, "tls", "bad", "set client_cert_file");
    sim.control("POST", "/_sim/tls", json!({"client_auth": "none", "versions": ["1.2", "1.3"]}));
    sim.control("POST", "/_sim/tls", json!({"certificate": "near_expiry"}));
    look(&file, "tls", "look", "localhost ends in 5 days");
    sim.control("POST", "/_sim/tls", json!({"certificate": "ended_beside"}));
    look(&file, "tls", "look", "kiosklink simulator former CA too, which ended 2020-12-31");
    sim.control("POST", "/_sim/tls", json!({"certificate": "untrusted"}));
    look(&file, "tls", "bad", "localhost by kiosklink simulator stranger CA, until 20");
    sim.control("POST", "/_sim/tls", json!({"certificate": "good"}));
    change(&file, "yopoint", "pin_sha256", json!("0".repeat(64)));
    look(&file, "tls", "bad", "KL_E_TLS_PIN");
}

#[test]
fn a_handshake_that_stalls() {
    let (sim, file) = simulator("doctor-stall");
    sim.control("POST", "/_sim/tls", json!({"handshake_stall": true}));
    change(&file, "yopoint", "connect_timeout_ms", json!(1500));
    look(&file, "tls", "bad", "KL_E_TIMEOUT_TLS");
}

#[test]
fn certificates_by_a_clock_that_is_off() {
    let (sim, file) = simulator("doctor-tls-clock");
    let at = |hours: i64| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        (now + hours * 3_600).to_string()
    };
    look_at(&file, "yopoint", &[("FAKE_TIME", &at(24 * 365 * 3))], "tls", "bad", "KL_E_CLOCK");
    look_at(&file, "yopoint", &[("FAKE_TIME", &at(24 * 365 * 3))], "tls", "bad", "set this device's clock");
    look_at(&file, "yopoint", &[("FAKE_TIME", &at(24 * 380))], "tls", "bad", "KL_E_TLS_EXPIRED");
    look_at(&file, "yopoint", &[("FAKE_TIME", &at(24 * 360 + 12))], "tls", "look", "ends in 6 days");
    look_at(&file, "yopoint", &[("FAKE_TIME", &at(24 * 353 + 12))], "tls", "look", "ends in 13 days");
    look_at(&file, "yopoint", &[("FAKE_TIME", &at(24 * 352 + 12))], "tls", "good", "14 days left");
    // The battery was changed: the days are counted from the build at the earliest.
    let (_, told) = doctor(&file, "yopoint", &[("FAKE_TIME", "100")]);
    let (state, says) = line(&told, "tls");
    let days: i64 = says.split(" ms; ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(state == "good" && days < 2_000, "{says}");
    let (state, says) = line(&told, "clock");
    assert!(state == "bad" && says.contains("1970-01-01") && says.contains("behind"), "{says}");
    drop(sim);
}

/// A server on the loopback: what it does with each connection, and the how manieth that is. Its port.
fn server(each: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let each = std::sync::Arc::new(each);
    std::thread::spawn(move || {
        for (n, socket) in listener.incoming().map_while(Result::ok).enumerate() {
            let each = each.clone();
            std::thread::spawn(move || each(n, socket));
        }
    });
    port
}

/// Passes on what comes from either side.
fn join(one: TcpStream, port: u16) {
    let other = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (mut from, mut to) = (one.try_clone().unwrap(), other.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let (mut from, mut to) = (other, one);
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Both);
}

fn port_of(sim: &kiosklink_sim::Simulator) -> u16 {
    sim.info()["port"].as_u64().unwrap() as u16
}

#[test]
fn a_port_that_speaks_no_tls() {
    let (_sim, file) = simulator("doctor-no-tls");
    let port = server(|_, mut socket| {
        let _ = socket.read(&mut [0; 4096]);
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    change(&file, "yopoint", "base_url", json!(format!("https://127.0.0.1:{port}/")));
    look(&file, "tls", "bad", "(KL_E_TLS)");
    look(&file, "tls", "bad", "does the port speak TLS?");
    look(&file, "clock", "skipped", "not looked at");
    // Or whose server ends every connection.
    let port = server(|_, mut socket| drop(socket.read(&mut [0; 4096])));
    change(&file, "yopoint", "base_url", json!(format!("https://127.0.0.1:{port}/")));
    look(&file, "tls", "bad", "does the port speak TLS?");
}

#[test]
fn a_chain_that_could_not_be_had() {
    let (sim, file) = simulator("doctor-no-chain");
    let to = port_of(&sim);
    // The first only asks whether TCP is taken, the second is the library's, the third is to see the chain.
    let port = server(move |n, socket| {
        if n % 3 == 1 {
            join(socket, to)
        }
    });
    change(&file, "yopoint", "base_url", json!(format!("https://127.0.0.1:{port}/yopoint")));
    let (code, told) = doctor(&file, "yopoint", &[]);
    let (state, says) = line(&told, "tls");
    assert!(code == 0 && state == "good" && says.contains("verified in") && !says.contains("days"), "{told}");
    assert_eq!(line(&told, "platform").0, "good", "{told}");
}

#[test]
fn through_a_proxy() {
    let (_sim, file) = simulator("doctor-proxy");
    let head = |socket: &mut TcpStream| {
        let mut all = Vec::new();
        let mut one = [0];
        while !all.ends_with(b"\r\n\r\n") && socket.read(&mut one).is_ok_and(|n| n == 1) {
            all.push(one[0]);
        }
        String::from_utf8(all).unwrap()
    };
    let proxy = server(move |_, mut socket| {
        let asked = head(&mut socket);
        let Some(to) = asked.strip_prefix("CONNECT localhost:").and_then(|r| r.split(' ').next()) else {
            return;
        };
        socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        join(socket, to.parse().unwrap());
    });
    change(&file, "yopoint", "proxy", json!(format!("http://127.0.0.1:{proxy}")));
    look(&file, "dns", "skipped", "the proxy looks the name up");
    look(&file, "tcp", "skipped", "the proxy connects");
    look(&file, "tls", "good", "verified in");
    look(&file, "platform", "good", "takes the credentials");
    let refusing = server(move |_, mut socket| {
        head(&mut socket);
        let _ = socket.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    });
    change(&file, "yopoint", "proxy", json!(format!("http://kiosk:s3cret-word@127.0.0.1:{refusing}")));
    look(&file, "tls", "bad", "KL_E_PROXY");
    look(&file, "tls", "bad", "is proxy right, its password too");
    look(&file, "platform", "skipped", "");
    assert!(!run(&file, "yopoint", &["doctor"]).1.contains("s3cret-word"));
    // Plain http goes through it too, and has no handshake to fail in.
    let plain = _sim.info()["http_origin"].as_str().unwrap().to_owned() + "/yopoint";
    change(&file, "yopoint", "base_url", json!(plain));
    change(&file, "yopoint", "allow_http", json!("yes"));
    look(&file, "tls", "look", "plain http");
    look(&file, "platform", "bad", "is proxy right");
    change(&file, "yopoint", "proxy", json!(null));
    look(&file, "tls", "look", "plain http");
    look(&file, "platform", "good", "takes the credentials");
}

#[test]
fn a_proxy_that_is_not_there() {
    let (_sim, file) = simulator("doctor-no-proxy");
    let nothing = Port::new();
    let port = nothing.number();
    change(&file, "yopoint", "proxy", json!(format!("http://127.0.0.1:{port}")));
    look(&file, "tls", "bad", "KL_E_CONNECT");
    look(&file, "tls", "bad", "is proxy right");
}

#[test]
fn names_and_ports() {
    let (_sim, file) = simulator("doctor-net");
    look_at(
        &file,
        "yopoint",
        &[("LOOKUP", "empty")],
        "dns",
        "bad",
        "localhost has no address: the answer is empty",
    );
    look_at(&file, "yopoint", &[("CONNECT", "ENETUNREACH")], "tcp", "bad", "unreachable");
    change(&file, "yopoint", "connect_timeout_ms", json!(700));
    look_at(&file, "yopoint", &[("LOOKUP", "never")], "dns", "bad", "no answer within 700 ms");
    look_at(&file, "yopoint", &[("LOOKUP", "never")], "dns", "bad", "/etc/resolv.conf");
    change(&file, "yopoint", "base_url", json!("https://nothing.invalid/yopoint"));
    look(&file, "dns", "bad", "nothing.invalid has no address");
    look(&file, "tcp", "skipped", "");
    let nothing = Port::new();
    let port = nothing.number();
    change(&file, "yopoint", "base_url", json!(format!("https://127.0.0.1:{port}/")));
    look(&file, "tcp", "bad", "refused");
    look(&file, "tls", "skipped", "");
    // Nobody takes what waits there, so the next ones get no answer, as behind a filter.
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = full.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(socket) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(socket);
        assert!(waiting.len() < 10_000);
    }
    change(&file, "yopoint", "base_url", json!(format!("https://{address}/")));
    look(&file, "tcp", "bad", "timed out");
    look(&file, "tcp", "bad", "Does a firewall");
}

#[test]
fn what_the_platform_says() {
    let (sim, file) = simulator("doctor-platform");
    let fault = |fault: Value, state: &str, word: &str| {
        sim.control("DELETE", "/_sim/faults", json!(null));
        sim.control("POST", "/_sim/faults", fault);
        look(&file, "platform", state, word);
    };
    fault(json!({"fault": "html_portal", "count": null}), "bad", "captive portal");
    fault(json!({"fault": "html_portal", "redirect": true, "count": null}), "bad", "captive portal");
    fault(json!({"fault": "rate_limit", "count": null, "retry_after_s": 60}), "bad", "KL_E_RATE_LIMIT");
    fault(json!({"fault": "http_5xx", "count": null}), "bad", "in trouble");
    fault(json!({"fault": "garbage", "count": null}), "bad", "KL_E_PROTOCOL");
    fault(json!({"fault": "garbage", "count": null}), "bad", "captive portal");
    fault(json!({"fault": "drop_before_acting", "count": null}), "bad", "try again; if it stays");
    sim.control("DELETE", "/_sim/faults", json!(null));
    change(&file, "yopoint", "app_secret", json!("not-the-secret"));
    look(&file, "platform", "bad", "sign explain");
    let (_, said, _) = run(&file, "yopoint", &["doctor"]);
    assert!(!said.contains("not-the-secret"), "a secret is shown");
    change(&file, "yopoint", "app_secret", json!("test-secret"));
    change(&file, "yopoint", "base_url", json!(format!("{}/nothing", sim.origin())));
    look(&file, "platform", "bad", "is base_url right?");
}

#[test]
fn a_platform_that_does_not_answer() {
    let (sim, file) = simulator("doctor-silent");
    change(&file, "yopoint", "timeout_ms", json!(2_000));
    sim.control("POST", "/_sim/faults", json!({"fault": "half_open", "count": null}));
    look(&file, "platform", "bad", "KL_E_TIMEOUT_REPLY");
    look(&file, "platform", "bad", "takes the request but does not answer");
}

#[test]
fn what_is_wrong_with_an_account() {
    let (sim, file) = simulator("doctor-account");
    let set = |path: &str, settings: Value| {
        let (status, answer) = sim.control("POST", path, settings);
        assert_eq!(status, 200, "{answer}");
    };
    let account = json!({"appid": "100000000001", "secret": "test-secret", "methods": ["cabinet.list"]});
    set("/_sim/yopoint/settings", json!({"accounts": [account]}));
    look(&file, "platform", "bad", "KL_E_PERMISSION");
    look(&file, "platform", "bad", "the account's owner must see to it");
    set(
        "/_sim/dingshang/refusals",
        json!({"operation": "ping", "code": 10009, "message": "merchant expired", "count": 2}),
    );
    look_at(&file, "dingshang", &[], "platform", "bad", "KL_E_ACCOUNT");
    look_at(&file, "zhiyun", &[], "platform", "good", "takes the credentials");
    set("/_sim/zhiyun/tokens/test0access0token0000000000000001152/expire", json!({}));
    look_at(&file, "zhiyun", &[], "platform", "bad", "KL_E_TOKEN");
    look_at(&file, "zhiyun", &[], "platform", "bad", "a person must renew");
}

#[test]
fn a_platform_that_reports_no_time() {
    let (sim, file) = simulator("doctor-no-date");
    sim.control("POST", "/_sim/faults", json!({"fault": "no_date", "count": null}));
    look(&file, "platform", "good", "takes the credentials");
    look(&file, "clock", "look", "did not report its time");
    look(&file, "clock", "look", "compare it with a watch");
    // Then nothing helps a signature that is out of the platform's window.
    sim.control("POST", "/_sim/clock", json!({"offset_ms": 7_200_000}));
    look(&file, "platform", "bad", "KL_E_TIMESTAMP");
    look(&file, "platform", "bad", "set this device's clock");
}

#[test]
fn a_clock_that_is_off() {
    let (sim, file) = simulator("doctor-clock");
    sim.control("POST", "/_sim/clock", json!({"offset_ms": 7_200_000}));
    look(&file, "clock", "bad", "behind");
    sim.control("POST", "/_sim/clock", json!({"offset_ms": -60_000}));
    look(&file, "clock", "look", "ahead of");
}

#[test]
fn settings_that_cannot_work() {
    let (_sim, file) = simulator("doctor-settings");
    change(&file, "yopoint", "app_secret", json!(null));
    look(&file, "settings", "bad", "KL_E_CONFIG_MISSING");
    change(&file, "yopoint", "app_secret", json!("test-secret"));
    change(&file, "yopoint", "ca_file", json!("nothing.pem"));
    look(&file, "settings", "bad", "KL_E_ROOTS");
    std::fs::write(&file, "{").unwrap();
    look(&file, "settings", "bad", "KL_E_CONFIG_FILE");
    let (_sim, file) = simulator("doctor-open");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    look(&file, "settings", "look", "chmod 600");
}

#[test]
fn the_folder_and_its_journal() {
    let (sim, file) = simulator("doctor-state");
    change(&file, "yopoint", "state_dir", json!(null));
    look(&file, "state", "bad", "no state_dir: commands are refused (KL_E_CONFIG_MISSING)");
    change(&file, "yopoint", "state_dir", json!("none"));
    look(&file, "state", "look", "after a restart the same request_id acts again");
    look(&file, "platform", "good", "takes the credentials");
    change(&file, "zhiyun", "state_dir", json!(null));
    look_at(&file, "zhiyun", &[], "state", "good", "takes no commands");
    let state = file.parent().unwrap().join("own");
    change(&file, "yopoint", "state_dir", json!(state));
    look(&file, "state", "bad", "mkdir -p");
    look(&file, "journal", "skipped", "not looked at");
    // Told once, and not in the way of the rest.
    look(&file, "settings", "good", "complete");
    look(&file, "platform", "good", "takes the credentials");
    std::fs::write(&state, "").unwrap();
    look(&file, "state", "bad", "is no folder");
    std::fs::remove_file(&state).unwrap();
    std::fs::create_dir(&state).unwrap();
    look(&file, "journal", "good", "none yet");
    assert_eq!(open_door(&file, "doctor-1"), 0);
    look(&file, "journal", "good", "commands: 1 settled, 0 not");
    sim.control("POST", "/_sim/clock/advance", json!({"ms": 60_000}));
    sim.control("POST", "/_sim/faults", json!({"method": "cabinet.open.door", "fault": "act_then_drop"}));
    assert_eq!(open_door(&file, "doctor-3"), 3);
    look(&file, "journal", "look", "commands: 1 settled, 1 not");
    look(&file, "journal", "look", "kiosklink pending list");
    let journal = the(&state, ".journal");
    let whole = std::fs::read_to_string(&journal).unwrap();
    // A letter changed in the middle is no torn tail.
    std::fs::write(&journal, whole.replacen("doctor-1", "doctor-2", 1)).unwrap();
    look(&file, "journal", "bad", "damaged");
    look(&file, "journal", "bad", "kl_journal_repair");
    let (code, _, err) = run(&file, "yopoint", &["repair", "--note", "all doors looked at"]);
    assert!(code == 64 && err.contains("--yes") && err.contains("damaged"), "{err}");
    let (code, _, err) = run(&file, "yopoint", &["repair", "--yes"]);
    assert!(code == 64 && err.contains("--note"), "{err}");
    let (code, told) = json_of(&file, "yopoint", &["repair", "--yes", "--note", "all doors looked at"]);
    assert!(code == 0 && Path::new(told["aside"].as_str().unwrap()).exists(), "{told}");
    let (_, told) = doctor(&file, "yopoint", &[]);
    assert_ne!(line(&told, "journal").0, "bad", "{told}");
    let (code, _, err) = run(&file, "yopoint", &["repair", "--yes", "--note", "again"]);
    assert!(code == 1 && err.contains("not damaged"), "{err}");
    // A later version's, with a sum that is right.
    let later: Vec<String> = whole
        .lines()
        .map(|line| {
            let json = line.splitn(3, ' ').nth(2).unwrap().replace("\"version\":4", "\"version\":5");
            let rest = format!("{:x} {json}", json.len());
            format!("{:08x} {rest}\n", crc32(rest.as_bytes()))
        })
        .collect();
    assert!(later.concat().contains("\"version\":5"));
    std::fs::write(&journal, later.concat()).unwrap();
    look(&file, "journal", "bad", "KL_E_JOURNAL_VERSION");
    look(&file, "journal", "bad", "use the newer one");
}

/// The one file of this kind.
fn the(folder: &Path, ending: &str) -> PathBuf {
    let name = names_in(folder).into_iter().find(|n| n.ends_with(ending)).unwrap();
    folder.join(name)
}

/// As docs/journal.md has it.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| c >> 1 ^ if c & 1 == 1 { 0xEDB8_8320 } else { 0 })
    })
}

#[test]
fn a_journal_that_cannot_be_read() {
    let (_sim, file, state) = with_state("doctor-journal");
    assert_eq!(open_door(&file, "doctor-1"), 0);
    for (trouble, code, cure) in [
        (".lock:open:EACCES", "KL_E_JOURNAL_OWNER", "run this as the user that runs the firmware"),
        (".lock:open:ENOSPC", "KL_E_JOURNAL_FULL", "make room"),
        (".lock:open:EIO", "(KL_E_JOURNAL)", "look at the file system"),
    ] {
        look_at(&file, "yopoint", &[("FILE_FAIL", trouble)], "journal", "bad", code);
        look_at(&file, "yopoint", &[("FILE_FAIL", trouble)], "journal", "bad", cure);
    }
    // It can still be read where nothing can be written.
    look_at(&file, "yopoint", &[("FILE_FAIL", "/state/:open:EROFS")], "state", "bad", "read-only");
    look_at(&file, "yopoint", &[("FILE_FAIL", "/state/:open:EROFS")], "journal", "good", "1 settled");
    // Held by a process that does not go on.
    let lock = std::fs::File::open(the(&state, ".lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let (_, told) = doctor(&file, "yopoint", &[]);
    let (is, says) = line(&told, "journal");
    assert!(is == "bad" && says.contains("KL_E_JOURNAL_BUSY") && says.contains("is one hanging?"), "{says}");
    drop(lock);
    look(&file, "journal", "good", "1 settled");
}

#[test]
fn a_disk_in_trouble() {
    let (_sim, file, state) = with_state("doctor-disk");
    for (trouble, is, word) in [
        ("write:ENOSPC", "bad", "the file system is full: make room"),
        ("open:ENOSPC", "bad", "the file system is full: make room"),
        ("open:EROFS", "bad", "read-only: remount it"),
        ("open:EACCES", "bad", "let the user that runs the firmware write there"),
        ("write:EIO", "bad", "look at the file system"),
        ("sync:EIO", "bad", "cannot be written"),
        ("sync:50", "good", "can be written"),
        ("sync:250", "look", "every command waits that long"),
        ("sync:2050", "bad", "worn or busy"),
    ] {
        let rule = format!(".doctor-:{trouble}");
        look_at(&file, "yopoint", &[("FILE_FAIL", &rule)], "state", is, word);
        assert!(!names_in(&state).iter().any(|n| n.starts_with(".doctor-")), "{trouble}");
    }
    for (left, is, word) in [
        ("100000:1000:2000", "good", "97 MiB free"),
        ("100000:1000:2000", "good", "room for 1000 files"),
        ("100000:0:2000", "bad", "room for 0 files"),
        ("100000:0:0", "good", "97 MiB free"),
        ("3000:1000:2000", "look", "make room before it runs out"),
        ("255:1000:2000", "bad", "255 KiB free"),
        ("0:1000:2000", "bad", "commands are refused when"),
        ("EIO", "look", "look at the file system"),
    ] {
        look_at(&file, "yopoint", &[("DISK_FREE", left)], "space", is, word);
    }
    let (_, told) = doctor(&file, "yopoint", &[("DISK_FREE", "100000:0:0")]);
    assert!(!line(&told, "space").1.contains("files"), "not every file system counts them");
}

#[test]
fn a_folder_that_cannot_be_written() {
    // Not even root writes there: the kernel makes the files of this folder.
    let (_sim, file) = simulator("doctor-unwritable");
    change(&file, "yopoint", "state_dir", json!("/proc/self"));
    look(&file, "state", "bad", "cannot be written");
}

// FAULTS A11: on tmpfs it said that nothing is bad.
#[test]
fn a_folder_that_is_gone_with_the_power() {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    if !mounts.lines().any(|l| l.split(' ').nth(1) == Some("/dev/shm") && l.contains(" tmpfs ")) {
        eprintln!("no tmpfs at /dev/shm here: not tried");
        return;
    }
    let (_sim, file) = simulator("doctor-tmpfs");
    let state = PathBuf::from(format!("/dev/shm/kiosklink-doctor-{}", std::process::id()));
    state_dir(&state);
    change(&file, "yopoint", "state_dir", json!(state));
    let (code, told) = doctor(&file, "yopoint", &[]);
    let (is, says) = line(&told, "filesystem");
    let (_, said, _) = run(&file, "yopoint", &["doctor"]);
    std::fs::remove_dir_all(&state).unwrap();
    assert!(code == 5 && is == "bad" && says.contains("tmpfs") && says.contains("on flash"), "{told}");
    assert!(!said.contains("Nothing is bad") && said.contains("Something is bad"), "{said}");
}

#[test]
fn a_journal_that_a_person_must_adopt() {
    let (sim, file, state) = with_state("doctor-adopt");
    let (code, _, err) = run(&file, "yopoint", &["adopt", "--yes", "--note", "x"]);
    assert!(code == 1 && err.contains("needs nobody to adopt it"), "{err}");
    assert_eq!(open_door(&file, "adopt-1"), 0);
    let journal = the(&state, ".journal");
    let early = std::fs::read(&journal).unwrap();
    let (_, told) = doctor(&file, "yopoint", &[]);
    assert!(line(&told, "identity").1.contains(", epoch 1"), "{told}");
    // Gone: a door is not opened on the strength of an empty folder.
    std::fs::remove_file(&journal).unwrap();
    look(&file, "journal", "bad", "KL_E_JOURNAL_MISSING");
    look(&file, "journal", "bad", "`kiosklink adopt`");
    let (code, told) =
        json_of(&file, "yopoint", &["open", CABINET, "--door", "1", "--request-id", "adopt-1"]);
    assert_eq!(
        (code, &told["outcome"], &told["request_id"]),
        (3, &json!("unknown"), &json!("adopt-1")),
        "{told}"
    );
    // Not without somebody who says how they know.
    let (code, _, err) = run(&file, "yopoint", &["adopt", "--yes"]);
    assert!(code == 64 && err.contains("--note"), "{err}");
    let (code, _, err) = run(&file, "yopoint", &["adopt", "--note", "card replaced"]);
    assert!(code == 64 && err.contains("--yes") && err.contains("would be sent again"), "{err}");
    let (code, told) = json_of(&file, "yopoint", &["adopt", "--yes", "--note", "card replaced"]);
    assert_eq!((code, &told["epoch"]), (0, &json!(2)), "{told}");
    let (_, told) = doctor(&file, "yopoint", &[]);
    assert!(line(&told, "identity").1.contains(", epoch 2"), "{told}");
    // The first door is shut again.
    sim.control("POST", "/_sim/clock/advance", json!({"ms": 60_000}));
    assert_eq!(open_door(&file, "adopt-2"), 0);
    // A backup was put back.
    std::fs::write(&journal, early).unwrap();
    let (_, told) = doctor(&file, "yopoint", &[]);
    let (is, says) = line(&told, "journal");
    assert!(is == "bad" && says.contains("KL_E_JOURNAL_") && says.contains("`kiosklink adopt`"), "{told}");
}

#[test]
fn an_operators_table_of_refusals() {
    let (_sim, file) = simulator("doctor-refusals");
    let (_, told) = doctor(&file, "yopoint", &[]);
    assert!(told["checks"].as_array().unwrap().iter().all(|c| c["check"] != "refusals"), "{told}");
    let table = file.parent().unwrap().join("refusals.json");
    change(&file, "yopoint", "refusals_file", json!(table));
    look(&file, "refusals", "bad", "No such file");
    // Told once, and not in the way of the rest.
    look(&file, "settings", "good", "complete");
    look(&file, "platform", "good", "takes the credentials");
    let row = |name: &str, change: &[(&str, Value)]| {
        let mut row = json!({"platform": "yopoint", "name": name, "http": 200, "means": "not_done",
            "status": "KL_E_NOT_READY", "source": "mail of the vendor", "signed_off": "A. Person"});
        for (key, value) in change {
            row[*key] = value.clone();
        }
        row
    };
    let put = |version: i64, rows: &[Value]| {
        write(&table, &json!({"kiosklink-refusals": version, "rows": rows}));
    };
    std::fs::write(&table, "{").unwrap();
    look(&file, "refusals", "bad", "docs/proof.md has the form");
    put(2, &[]);
    look(&file, "refusals", "bad", "\"kiosklink-refusals\": 1");
    let other = row("ERR_C", &[("platform", json!("youzan"))]);
    put(1, &[row("ERR_A", &[]), row("ERR_B", &[("means", json!("unknown"))]), other.clone()]);
    look(
        &file,
        "refusals",
        "good",
        "2 rows taken for yopoint, 1 of them prove that nothing was done; 1 rows of other platforms",
    );
    // All rows that are wrong, each by its number.
    let wrong = [
        row("ERR_A", &[]),
        row("ERR_B", &[("status", json!("KL_E_NOTHING"))]),
        row("ERR_C", &[("signed_off", json!(""))]),
        row("ERR_D", &[("means", json!("done"))]),
    ];
    put(1, &wrong);
    look(&file, "refusals", "bad", "row 2: \"KL_E_NOTHING\" is no code of the library");
    look(&file, "refusals", "bad", "row 3: ");
    look(&file, "refusals", "bad", "row 4: means must be");
    look(&file, "settings", "good", "complete");
    put(1, &[row("ERR_A", &[("platform", json!("yopiont"))])]);
    look(&file, "refusals", "look", "row 1 is of an unknown platform yopiont");
    put(1, &[row("ERR_A", &[]), row("ERR_A", &[])]);
    look(&file, "refusals", "look", "row 2 says ERR_A once more");
    put(1, &[row("ERR_SIGN", &[])]);
    let (_, told) = doctor(&file, "yopoint", &[]);
    assert!(line(&told, "refusals").1.contains("1 rows taken"), "{told}");
    put(1, &[other]);
    std::fs::set_permissions(&table, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    look(&file, "refusals", "look", "chmod go-w");
}

// FAULTS G: a server that speaks TLS and takes none of our ciphers was asked whether it speaks TLS.
#[test]
fn a_server_that_refuses_the_handshake_speaks_tls() {
    let (_sim, file) = simulator("doctor-cbc");
    let port = server(|_, mut socket| {
        let _ = socket.read(&mut [0; 4096]);
        // Fatal: handshake failure.
        let _ = socket.write_all(&[21, 3, 3, 0, 2, 2, 40]);
        let _ = socket.read(&mut [0; 4096]);
    });
    change(&file, "yopoint", "base_url", json!(format!("https://127.0.0.1:{port}/")));
    let (_, told) = doctor(&file, "yopoint", &[]);
    let (is, says) = line(&told, "tls");
    assert!(is == "bad" && says.contains("(KL_E_TLS)") && says.contains("it speaks TLS, but"), "{says}");
    assert!(!says.contains("does the port speak TLS?"), "{says}");
}

/// The word and the sentence that say whose fault it is.
fn verdict(told: &Value) -> (String, String) {
    (told["fault"].as_str().unwrap().to_owned(), told["verdict"].as_str().unwrap().to_owned())
}

/// Whose fault it is, by the one document of `--json`.
fn blamed(file: &Path, account: &str, trouble: &[(&str, &str)], fault: &str, word: &str) {
    let (_, told) = doctor(file, account, trouble);
    let (whose, says) = verdict(&told);
    assert!(whose == fault && says.contains(word), "{trouble:?}: {whose}: {says}\n{told}");
}

// What hangs keeps no line back that is known already.
#[test]
fn each_line_is_printed_as_it_is_known() {
    let (sim, file) = simulator("doctor-lines");
    let to = port_of(&sim);
    let (asked, is_asked) = std::sync::mpsc::channel();
    let (go, may_go) = std::sync::mpsc::channel::<()>();
    let may_go = std::sync::Mutex::new(may_go);
    // The second connection is the one of the handshake: it is answered when the test has read what stands before it.
    let port = server(move |n, socket| {
        if n == 1 {
            let _ = asked.send(());
            let _ = may_go.lock().unwrap().recv();
        }
        join(socket, to);
    });
    change(&file, "yopoint", "base_url", json!(format!("https://127.0.0.1:{port}/yopoint")));
    change(&file, "yopoint", "connect_timeout_ms", json!(60_000));
    change(&file, "yopoint", "timeout_ms", json!(60_000));
    let mut child =
        command(&file, "yopoint", &["doctor"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    is_asked.recv().unwrap();
    // Only now does the rest go on. Who keeps the lines back has waited in vain for the handshake by then.
    let before: Vec<String> = lines.by_ref().take_while(|l| !l.contains("tcp ")).collect();
    for check in ["version", "state", "space", "settings", "journal", "dns"] {
        assert!(before.iter().any(|l| l.contains(&format!("  {check} "))), "{check}: {before:?}");
    }
    go.send(()).unwrap();
    let rest: Vec<String> = lines.collect();
    assert!(rest.iter().any(|l| l.starts_with("good  tls ")), "{rest:?}");
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest:?}");
}

#[test]
fn a_bad_link_is_told_from_a_bad_platform() {
    let (sim, file) = simulator("doctor-fault");
    blamed(&file, "yopoint", &[], "none", "Link and platform are good: connected in ");
    blamed(&file, "yopoint", &[("LOOKUP", "empty")], "link", "the lookup of its name failed");
    blamed(&file, "yopoint", &[("CONNECT", "ENETUNREACH")], "link", "the TCP connection failed");
    blamed(&file, "yopoint", &[("CONNECT", "700")], "link", "The link is slow, not the platform");
    let faults = |fault: Value| {
        sim.control("DELETE", "/_sim/faults", json!(null));
        sim.control("POST", "/_sim/faults", fault);
    };
    faults(json!({"fault": "late", "ms": 2500, "count": null}));
    blamed(&file, "yopoint", &[], "platform", "The platform is slow, not the link");
    faults(json!({"fault": "http_5xx", "count": null}));
    blamed(
        &file,
        "yopoint",
        &[],
        "platform",
        "The link is good, the platform is at fault: it answers with an error",
    );
    // A slow link does not make the platform's error the link's.
    blamed(&file, "yopoint", &[("CONNECT", "700")], "platform", "it answers with an error");
    faults(json!({"fault": "drop_before_acting", "count": null}));
    blamed(&file, "yopoint", &[], "platform", "ends the connection");
    faults(json!({"fault": "garbage", "count": null}));
    blamed(&file, "yopoint", &[], "platform", "none of its answers");
    faults(json!({"fault": "rate_limit", "count": null, "retry_after_s": 60}));
    blamed(&file, "yopoint", &[], "account", "refuses this account");
    // Over plain http anything on the way may answer.
    let plain = sim.info()["http_origin"].as_str().unwrap().to_owned() + "/yopoint";
    let secure = format!("{}/yopoint", sim.origin());
    change(&file, "yopoint", "allow_http", json!("yes"));
    change(&file, "yopoint", "base_url", json!(plain));
    faults(json!({"fault": "html_portal", "count": null}));
    blamed(&file, "yopoint", &[], "between", "a portal or a proxy");
    sim.control("DELETE", "/_sim/faults", json!(null));
    change(&file, "yopoint", "base_url", json!(secure));
    sim.control("POST", "/_sim/tls", json!({"certificate": "untrusted"}));
    blamed(&file, "yopoint", &[], "certificate", "does not prove");
    sim.control("POST", "/_sim/tls", json!({"certificate": "good"}));
    change(&file, "yopoint", "app_secret", json!("wrong"));
    blamed(&file, "yopoint", &[], "account", "refuses this account");
    change(&file, "yopoint", "app_secret", json!(null));
    blamed(&file, "yopoint", &[], "device", "(settings); the network was not looked at");
    change(&file, "yopoint", "app_secret", json!("test-secret"));
    change(&file, "yopoint", "state_dir", json!("/proc/self"));
    blamed(
        &file,
        "yopoint",
        &[],
        "device",
        "Link and platform are good; what is bad is on this device: state",
    );
    let (code, said, _) = run(&file, "yopoint", &["doctor"]);
    assert!(code == 5 && said.contains("what is bad is on this device"), "{said}");
}

#[test]
fn eight_hours_are_known_for_what_they_are() {
    let (sim, file) = simulator("doctor-zone");
    for (offset_h, word) in [
        (-8, "China Standard Time: the RTC keeps the local time as if it were UTC"),
        (-8, "hwclock --systohc --utc"),
        (8, "China Standard Time: the RTC keeps UTC and is read as local time"),
        (-2, "a zone's difference, 2 h"),
    ] {
        sim.control("POST", "/_sim/clock", json!({"offset_ms": offset_h * 3_600_000}));
        look(&file, "clock", "bad", word);
    }
    sim.control("POST", "/_sim/clock", json!({"offset_ms": -8 * 3_600_000 + 400_000}));
    let (_, told) = doctor(&file, "yopoint", &[]);
    assert!(!line(&told, "clock").1.contains("China"), "{told}");
}

#[test]
fn accounts_are_named_when_there_are_several() {
    let (_sim, file) = simulator("doctor-accounts");
    let (code, out, err) = told_plain(&file, &["doctor", "--json"]);
    let told: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    let (is, says) = line(&told, "settings");
    assert!(
        code == 5 && is == "bad" && says.contains("4 accounts: yopoint, dingshang, youzan, zhiyun"),
        "{told}"
    );
    assert!(
        says.contains("kiosklink doctor yopoint") && told["accounts"].as_array().unwrap().len() == 4,
        "{told}"
    );
    let (_, told) = doctor(&file, "zhiyun", &[]);
    assert_eq!((&told["account"], &told["platform"]), (&json!("zhiyun"), &json!("zhiyun")), "{told}");
    assert!(line(&told, "settings").1.contains("this is zhiyun, one of 4 accounts"), "{told}");
    // Where there is one, it is named in the document, and nothing is said of others.
    let mut all: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    all["accounts"] = json!({"lobby": all["accounts"]["yopoint"]});
    write(&file, &all);
    let (code, out, _) = told_plain(&file, &["doctor", "--json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &told["account"], &told["accounts"]),
        (0, &json!("lobby"), &json!(["lobby"])),
        "{told}"
    );
    assert!(!line(&told, "settings").1.contains("one of"), "{told}");
}

#[test]
fn a_copied_journal_is_named() {
    let (_sim, file, state) = with_state("doctor-copied");
    assert_eq!(open_door(&file, "copied-1"), 0);
    // Copied without what says whose it is.
    std::fs::remove_file(the(&state, ".id")).unwrap();
    look(&file, "journal", "bad", "KL_E_JOURNAL_COPIED");
    look(&file, "journal", "bad", "was the card copied from another machine?");
    blamed(&file, "yopoint", &[], "device", "what is bad is on this device: journal");
}

/// The account's folder on an overlay whose upper folder lies where `upper` says; `None` if nothing can be mounted here.
fn on_an_overlay(file: &Path, upper: &str) -> Option<(String, String)> {
    let at = file.parent().unwrap().join("overlay");
    std::fs::create_dir_all(&at).unwrap();
    let mount = format!(
        "set -e; cd '{}'; {upper}; mkdir -p lower upper work merged; chmod 700 merged upper
         mount -t overlay overlay -o lowerdir=$PWD/lower,upperdir=$PWD/upper,workdir=$PWD/work merged
         touch ../mounted; exec \"$0\" doctor yopoint --accounts '{}' --json",
        at.display(),
        file.display()
    );
    let tried = |how: &str| {
        let mut command = std::process::Command::new("unshare");
        command.args([how, "sh", "-c", &mount, env!("CARGO_BIN_EXE_kiosklink")]).env("LC_ALL", "C");
        command.output().ok().map(|out| String::from_utf8(out.stdout).unwrap())
    };
    let mounted = file.parent().unwrap().join("mounted");
    let out = ["-m", "-rm"].iter().find_map(|how| tried(how).filter(|_| mounted.exists()))?;
    std::fs::remove_file(mounted).unwrap();
    Some(line(&serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}")), "filesystem"))
}

#[test]
fn an_overlay_is_named_with_what_lies_under_it() {
    let (_sim, file) = simulator("doctor-overlay");
    change(&file, "yopoint", "state_dir", json!("overlay/merged"));
    for (upper, state, words) in [
        (
            "mount -t tmpfs tmpfs . && cd ../overlay",
            "bad",
            &["overlay over tmpfs", "gone with the power", "on flash"][..],
        ),
        (":", "look", &["lies on overlay over ", "is its upper folder kept"]),
    ] {
        let Some((is, says)) = on_an_overlay(&file, upper) else {
            eprintln!("no overlay can be mounted here: not tried");
            continue;
        };
        assert!(is == state && words.iter().all(|word| says.contains(word)), "{upper}: {is}: {says}");
    }
}
