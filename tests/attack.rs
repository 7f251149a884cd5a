//! What once gave way, tried from outside: a client against the simulator or a raw server. Each test names the line of the
//! list of faults that it stands for.

mod common;
mod net;

use common::*;
use kiosklink::client::Client;
use kiosklink::config::Config;
use kiosklink::error::Outcome;
use kiosklink::model::*;
use kiosklink::status::*;
use kiosklink_sim::Simulator;
use md5::{Digest, Md5};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const OPEN: &str = "cabinet.open.door";
const APPLY: &str = "youzan.trade.selffetchcode.apply";

fn door(id: &str) -> DoorRequest {
    DoorRequest { request_id: id.into(), cabinet_id: CABINET.into(), ..Default::default() }
}

fn code(id: &str, code: &str) -> RedeemRequest {
    RedeemRequest { request_id: id.into(), code: code.into(), ..Default::default() }
}

fn kept(sim: &Simulator, platform: &str, folder: &Path) -> Client {
    client_of(sim, platform, &[("state_dir", folder.to_str().unwrap()), ("timeout_ms", "5000")])
}

/// A file of the journal by its ending.
fn file(folder: &Path, ending: &str) -> PathBuf {
    let found = |e: &std::fs::DirEntry| e.path().extension().is_some_and(|e| e == ending);
    std::fs::read_dir(folder).unwrap().flatten().find(found).expect("the journal has one").path()
}

/// A gateway that says the same to everything.
fn says(
    status: &'static str,
    kind: &'static str,
    body: &'static str,
) -> (net::Server, Client, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let server = net::Server::start(move |_, mut stream| {
        while net::read_request(&mut stream).is_some() {
            counted.fetch_add(1, Ordering::SeqCst);
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
            );
        }
    });
    let mut config = Config::new("yopoint").unwrap();
    let url = format!("http://127.0.0.1:{}", server.address.port());
    for (key, value) in [
        ("app_id", "100000000001"),
        ("app_secret", "test-secret"),
        ("base_url", &url),
        ("allow_http", "yes"),
        ("state_dir", "none"),
        ("timeout_ms", "3000"),
    ] {
        config.set(key, value).unwrap();
    }
    (server, Client::new(&config).unwrap(), asked)
}

#[test]
// FAULTS A2: the envelope decides, not the HTTP status; a gateway that speaks for itself has done nothing.
fn a_status_over_an_envelope_proves_nothing() {
    let system = r#"{"error_code":-1,"error_msg":"ERR_SYSTEM","data":{}}"#;
    let done = r#"{"error_code":0,"error_msg":"SUCCESS","data":{"ReceiptNo":"VI1"}}"#;
    for (status, body, outcome) in [
        ("400 Bad Request", done, Outcome::Unknown),
        ("400 Bad Request", system, Outcome::Unknown),
        ("403 Forbidden", system, Outcome::Unknown),
        ("429 Too Many Requests", system, Outcome::Unknown),
        ("429 Too Many Requests", done, Outcome::Unknown),
        // What calls itself JSON and is none was perhaps an envelope.
        ("429 Too Many Requests", "", Outcome::Unknown),
        ("429 Too Many Requests", "Too Many Requests", Outcome::NotDone),
    ] {
        let kind = if body.starts_with("Too") { "text/plain" } else { "application/json" };
        let (_server, client, asked) = says(status, kind, body);
        let e = client.door_open(&door("visit-1")).unwrap_err();
        assert_eq!(e.details().outcome, outcome, "{status} {body}: {e}");
        let sent = asked.load(Ordering::SeqCst);
        assert_eq!(sent, 1, "{status} {body}");
    }
}

#[test]
// FAULTS A11: a command that nobody will remember is not sent, unless the setting says so.
fn without_a_place_to_remember_nothing_is_sent() {
    let sim = simulator();
    let mut config = Config::new("yopoint").unwrap();
    for (key, value) in sim.info()["platforms"]["yopoint"].as_object().unwrap() {
        if key != "platform" {
            config.set(key, value.as_str().unwrap()).unwrap();
        }
    }
    config.set("ca_pem", sim.ca_pem()).unwrap();
    let client = Client::new(&config).unwrap();
    let e = client.door_open(&door("visit-1")).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_CONFIG_MISSING, Outcome::NotDone), "{e}");
    assert!(e.message().contains("state_dir"), "{e}");
    client.ping().unwrap();
    assert!(requests(&sim, OPEN).is_empty());
}

#[test]
// FAULTS A14: what journal and guard go by is not replaced, in no letter case.
fn extra_parameters_open_no_other_cabinet() {
    let sim = simulator();
    let client = client(&sim);
    for extra in [r#"{"CID":"5f6da2362201410011000002"}"#, r#"{"TradeNo":"7"}"#, r#"{"cid":"x"}"#] {
        let request = DoorRequest { extra_json: Some(extra.into()), ..door("visit-1") };
        let e = client.door_open(&request).unwrap_err();
        assert_eq!((e.status(), e.details().outcome), (KL_E_ARGUMENT, Outcome::NotDone), "{extra}: {e}");
    }
    assert!(requests(&sim, OPEN).is_empty());
}

#[test]
// FAULTS B2: after a reflash the same names come again; last month's order is not theirs.
fn a_new_installation_does_not_find_the_old_ones_order() {
    let sim = simulator();
    let (before, after) = (scratch("attack-flash-1"), scratch("attack-flash-2"));
    kept(&sim, "yopoint", &before).door_open(&door("visit-0001")).unwrap();
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 60_000}));
    let client = kept(&sim, "yopoint", &after);
    fault(&sim, OPEN, json!({"fault": "drop_before_acting"}));
    client.door_open(&door("visit-0001")).unwrap_err();
    let e = client.command_resolve("visit-0001").unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_UNSETTLED, Outcome::Unknown), "{e}");
    assert_eq!(openings(&sim).len(), 1);
}

#[test]
// FAULTS B5: a refund whose answer was lost is unknown, and not blocked by itself.
fn a_repeated_refund_stays_unknown() {
    let (sim, folder) = (simulator(), scratch("attack-refund"));
    let client = kept(&sim, "yopoint", &folder);
    let claim = Complaint {
        request_id: "refund-1".into(),
        order_no: "VI231228102118586561".into(),
        ..Default::default()
    };
    fault(&sim, "cabinet.order.refund.apply", json!({"fault": "act_then_drop"}));
    for status in [KL_E_LOST, KL_E_UNSETTLED, KL_E_UNSETTLED] {
        let e = client.refund_apply(&claim).unwrap_err();
        assert_eq!((e.status(), e.details().outcome), (status, Outcome::Unknown), "{e}");
    }
    assert_eq!(requests(&sim, "cabinet.order.refund.apply").len(), 1);
}

#[test]
// FAULTS B6, F3: a name that is done is never called not done, whatever stands in the way; and nobody waits for a foreign lock
// who was cancelled or who said that he does not wait.
fn nothing_in_the_way_makes_a_done_name_not_done() {
    let (sim, folder) = (simulator(), scratch("attack-busy"));
    let client = kept(&sim, "yopoint", &folder);
    client.door_open(&door("visit-1")).unwrap();
    let other = DoorRequest { cabinet_id: TWO_DOORS.into(), ..door("visit-1") };
    let long = DoorRequest { context: "c".repeat(513), ..door("visit-1") };
    for (request, status) in [(&other, KL_E_REQUEST_ID), (&long, KL_E_ARGUMENT)] {
        let e = client.door_open(request).unwrap_err();
        assert_eq!((e.status(), e.details().outcome), (status, Outcome::Unknown), "{e}");
    }
    // Another process holds the lock and does nothing.
    let mut holder = Command::new("flock")
        .arg(file(&folder, "lock"))
        .args(["-c", "echo held; exec sleep 60"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("flock (util-linux) runs");
    let mut said = [0u8; 5];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut said).unwrap();
    let begun = Instant::now();
    let e = client.command_wait("visit-1", 0).unwrap_err();
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
    assert_eq!(e.status(), KL_E_JOURNAL_BUSY, "{e}");
    let (calling, begun) = (client.clone(), Instant::now());
    let call = std::thread::spawn(move || calling.door_open(&door("visit-1")));
    while !call.is_finished() {
        let cancel = Instant::now();
        client.cancel();
        assert!(cancel.elapsed() < Duration::from_millis(1000), "{:?}", cancel.elapsed());
        std::thread::yield_now();
    }
    let e = call.join().unwrap().unwrap_err();
    assert!(begun.elapsed() < Duration::from_millis(4000), "{:?}", begun.elapsed());
    assert_eq!((e.status(), e.details().outcome), (KL_E_CANCELLED, Outcome::Unknown), "{e}");
    let _ = holder.kill();
    holder.wait().unwrap();
    assert_eq!(requests(&sim, OPEN).len(), 1);
}

#[test]
// FAULTS C: one code, two spellings.
fn a_code_is_blocked_in_whatever_spelling() {
    let (sim, folder) = (simulator(), scratch("attack-code"));
    let client = kept(&sim, "youzan", &folder);
    fault(&sim, APPLY, json!({"fault": "drop_before_acting"}));
    let e = client.code_redeem(&code("a", "10000000001")).unwrap_err();
    assert_eq!(e.details().outcome, Outcome::Unknown, "{e}");
    for (n, spelling) in
        [" 10000000001", "10000000001\r\n", "１００００００００01", "1000\u{200b}0000001"].iter().enumerate()
    {
        let e = client.code_redeem(&code(&format!("b{n}"), spelling)).unwrap_err();
        assert_eq!((e.status(), e.details().outcome), (KL_E_BLOCKED, Outcome::NotDone), "{spelling:?}: {e}");
    }
    assert_eq!(requests(&sim, APPLY).len(), 1);
}

#[test]
// FAULTS F5: one deadline, however many steps the verb takes.
fn codes_are_made_within_one_deadline() {
    let sim = simulator();
    let client = client_of(&sim, "dingshang", &[("timeout_ms", "2000")]);
    let product = client.stock("16327129", 0, None).collect_all().unwrap()[0].id.clone();
    control(&sim, "POST", "/_sim/faults", json!({"fault": "late", "ms": 1500, "count": null}));
    let begun = Instant::now();
    let make = CodeCreate { cabinet_id: "16327129".into(), product_id: product, ..Default::default() };
    let _ = client.code_create(&make);
    // With a deadline for each step it would take 3.5 s.
    assert!(begun.elapsed() < Duration::from_millis(3200), "{:?}", begun.elapsed());
}

#[test]
// FAULTS F10: a code that was used up and whose goods never came is listed after a restart.
fn a_visit_without_its_goods_is_listed() {
    let (sim, folder) = (simulator(), scratch("attack-visit"));
    let request = RedeemRequest {
        visit_id: "customer-7".into(),
        context: "door 3".into(),
        ..code("customer-7 code", "10000000001")
    };
    kept(&sim, "youzan", &folder).code_redeem(&request).unwrap();
    let client = kept(&sim, "youzan", &folder);
    let visits = client.visits().unwrap();
    assert_eq!((visits.len(), visits[0].visit_id.as_str(), visits[0].commands.len()), (1, "customer-7", 1));
    let command = &visits[0].commands[0];
    assert_eq!((command.outcome, command.context.as_str()), (Outcome::Done, "door 3"));
    client.visit_close("customer-7").unwrap();
    drop(client);
    assert!(kept(&sim, "youzan", &folder).visits().unwrap().is_empty());
}

#[test]
// FAULTS F16: guesses are refused before the journal and the platform.
fn guessing_codes_is_slowed_down() {
    let (sim, folder) = (simulator(), scratch("attack-guess"));
    let client =
        client_of(&sim, "youzan", &[("state_dir", folder.to_str().unwrap()), ("code_tries_per_minute", "5")]);
    let mut refused = 0;
    for n in 0..12 {
        let e = client.code_redeem(&code(&format!("g{n}"), &format!("999{n:08}"))).unwrap_err();
        if e.status() == KL_E_CODE_TRIES {
            refused += 1;
            assert!(e.details().outcome == Outcome::NotDone && e.details().retry_after_ms > 0, "{e}");
            assert_eq!(client.command_get(&format!("g{n}")).unwrap_err().status(), KL_E_NOT_FOUND);
        }
    }
    assert!(refused >= 5, "{refused}");
    assert_eq!(requests(&sim, APPLY).len(), 12 - refused);
}

/// The part of the next tests that is another process: it opens one door and says what became of it.
#[test]
fn child_that_opens() {
    let Some(name) = std::env::var_os("KIOSKLINK_ATTACK_OPEN") else { return };
    let config = Config::load(name.to_str().unwrap(), Some("yopoint")).unwrap();
    let client = Client::new(&config).unwrap();
    let end = client.door_open(&door("visit-1"));
    println!("ended: {end:?}");
    if std::env::var_os("KIOSKLINK_ATTACK_STAYS").is_some() {
        let begun = Instant::now();
        while client.journal_info().unwrap().owed != 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "the debt is not paid");
            std::thread::sleep(Duration::from_millis(20));
        }
        // Nothing is written at the end.
        std::process::abort();
    }
}

fn child(accounts: &Path) -> Command {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child_that_opens", "--nocapture"]).env("KIOSKLINK_ATTACK_OPEN", accounts);
    child
}

/// Changes one setting of the account in an accounts file.
fn change(accounts: &Path, key: &str, value: &str) {
    let mut all: Value = serde_json::from_slice(&std::fs::read(accounts).unwrap()).unwrap();
    all["accounts"]["yopoint"][key] = json!(value);
    std::fs::write(accounts, all.to_string()).unwrap();
}

#[test]
// FAULTS A7: the file of the living is removed, and another process takes the first for dead. Only one of them sends.
fn a_process_that_was_taken_for_dead_sends_nothing() {
    let sim = simulator();
    let accounts = accounts(&sim, "attack-owners");
    let state = accounts.with_extension("state");
    // The first one's connection waits in its handshake, which is after the intent and before the sending.
    let ca = net::Ca::new("attack");
    let tls = net::server_config(&ca.issue(net::leaf_params("localhost")), &[&rustls::version::TLS13], None);
    let (go, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (gate, heard) = (go.clone(), asked.clone());
    let server = net::Server::start(move |_, tcp| {
        while gate.load(Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let Ok(mut stream) = net::accept(&tls, tcp) else { return };
        heard.fetch_add(1000, Ordering::SeqCst);
        if net::read_request(&mut stream).is_some() {
            heard.fetch_add(1, Ordering::SeqCst);
        }
    });
    let second = kept(&sim, "yopoint", &state);
    let pem = accounts.with_file_name("attack.pem");
    std::fs::write(&pem, ca.cert.pem()).unwrap();
    change(&accounts, "ca_file", pem.to_str().unwrap());
    change(&accounts, "base_url", &format!("https://localhost:{}/yopoint", server.address.port()));
    change(&accounts, "timeout_ms", "30000");
    let first = child(&accounts).stdout(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while server.connections() == 0 || second.command_get("visit-1").is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the first does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::remove_file(file(&state, "owners")).unwrap();
    let sent = second.door_open(&door("visit-1"));
    go.store(1, Ordering::SeqCst);
    let said = String::from_utf8_lossy(&first.wait_with_output().unwrap().stdout).into_owned();
    let openings = openings(&sim).len() + asked.load(Ordering::SeqCst) % 1000;
    assert_eq!(asked.load(Ordering::SeqCst) / 1000, 1, "its connection stood: {said}");
    assert_eq!(openings, usize::from(sent.is_ok()), "{sent:?} {said}");
    // The first answers what the record says.
    assert!(sent.is_ok() && said.contains("recorded: true"), "{sent:?} {said}");
}

#[test]
// FAULTS F2: after a full disk the end is written as soon as there is room: by itself, or when the client is freed.
fn what_could_not_be_written_is_written_when_there_is_room() {
    build("make", &["-s", "preloads"]);
    for stays in [true, false] {
        let sim = simulator();
        let accounts = accounts(&sim, "attack-full");
        let mut child = child(&accounts);
        // The third write is the end's.
        child.env("DISK_FAIL", "write:ENOSPC:3-3").env("LD_PRELOAD", target().join("c/preload/disk.so"));
        if stays {
            child.env("KIOSKLINK_ATTACK_STAYS", "1");
        }
        let (_, said) = run(&mut child);
        assert!(said.contains("ended: Ok") && !said.contains("the debt is not paid"), "{said}");
        let client = kept(&sim, "yopoint", &accounts.with_extension("state"));
        let known = client.command_get("visit-1").unwrap();
        assert_eq!(known.outcome, Outcome::Done, "stays: {stays}, {said}");
        assert!(client.door_open(&door("visit-1")).unwrap().recorded);
        assert_eq!(openings(&sim).len(), 1);
    }
}

/// The part of the next test to which the system gives no random numbers: neither by the call nor by the file.
#[test]
fn child_without_random_numbers() {
    if std::env::var_os("KIOSKLINK_ATTACK_RANDOM").is_none() {
        return;
    }
    let mut config = Config::new("yopoint").unwrap();
    for (key, value) in [("app_id", "1"), ("app_secret", "test-secret"), ("state_dir", "none")] {
        config.set(key, value).unwrap();
    }
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let refuse = |errno: i32| libc::SECCOMP_RET_ERRNO | errno as u32;
    // The number of the call; then what it is answered with.
    let mut steps = [
        step(0x20, 0, 0, 0),
        step(0x15, 2, 0, libc::SYS_getrandom as u32),
        step(0x15, 2, 0, libc::SYS_openat as u32),
        step(0x06, 0, 0, libc::SECCOMP_RET_ALLOW),
        step(0x06, 0, 0, refuse(libc::EPERM)),
        step(0x06, 0, 0, refuse(libc::ENOENT)),
    ];
    let filter = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: the filter is valid and only read, for the time of the call; it holds for this process, which is the test's.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter, 0, 0), 0);
    }
    // A thread that has asked for none yet.
    let made = std::thread::spawn(move || Client::new(&config).map(drop)).join();
    let e = made.expect("it does not panic").unwrap_err();
    assert_eq!(e.status(), KL_E_RESOURCE, "{e}");
    assert!(e.message().contains("random"), "{e}");
}

#[test]
// FAULTS F19: without random numbers a client is refused by name, and is no bug of the library's.
fn without_random_numbers_no_client_is_made() {
    let (code, said) = run(Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_without_random_numbers", "--nocapture"])
        .env("KIOSKLINK_ATTACK_RANDOM", "1"));
    assert_eq!(code, 0, "{said}");
}

/// A notice of Yopoint's, signed at this time.
fn notice(at_s: i64) -> Vec<u8> {
    let biz = r#"{"ReceiptNo":"VI1","CID":"5f6da2362201410011000001"}"#;
    let text = format!(
        "appid=100000000001&biz_content={biz}&method=notify.close.door&sign_type=md5&timestamp={at_s}&test-secret"
    );
    let sign: String = Md5::digest(text).iter().map(|b| format!("{b:02x}")).collect();
    let biz: String = biz.bytes().map(|b| format!("%{b:02X}")).collect();
    format!(
        "appid=100000000001&biz_content={biz}&method=notify.close.door&sign_type=md5&timestamp={at_s}&sign={sign}"
    )
    .into_bytes()
}

#[test]
// FAULTS F17: a duplicate is one after a restart too, and what was signed long ago is no news.
fn a_callback_is_known_after_a_restart_and_believed_for_a_while() {
    let (sim, folder) = (simulator(), scratch("attack-notice"));
    let client = kept(&sim, "yopoint", &folder);
    client.ping().unwrap();
    let now = client.now_ms() / 1000;
    let head = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert!(!client.event_parse(head, &notice(now)).unwrap().duplicate);
    drop(client);
    let client = kept(&sim, "yopoint", &folder);
    client.ping().unwrap();
    assert!(client.event_parse(head, &notice(now)).unwrap().duplicate);
    let e = client.event_parse(head, &notice(now - 300 * 86_400)).unwrap_err();
    assert_eq!(e.status(), KL_E_EVENT_TIME, "{e}");
}

/// The part of the next test whose card is slow: it is cancelled while the intent is being synced.
#[test]
fn child_that_is_cancelled() {
    let Some(name) = std::env::var_os("KIOSKLINK_ATTACK_ACCOUNTS") else { return };
    let config = Config::load(name.to_str().unwrap(), Some("yopoint")).unwrap();
    let client = Client::new(&config).unwrap();
    let calling = client.clone();
    let call = std::thread::spawn(move || calling.door_open(&door("visit-1")));
    // The sync takes two seconds; nothing else does.
    std::thread::sleep(Duration::from_millis(1000));
    client.cancel();
    let e = call.join().unwrap().unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_CANCELLED, Outcome::NotDone), "{e}");
}

#[test]
// FAULTS A12: a cancel while the card is slow is not lost: not done, not sent.
fn a_cancel_during_the_sync_is_heard() {
    let sim = simulator();
    let file = accounts(&sim, "attack-cancel");
    build("make", &["-s", "preloads"]);
    let (code, said) = run(Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_is_cancelled", "--nocapture"])
        .env("KIOSKLINK_ATTACK_ACCOUNTS", file)
        .env("FILE_FAIL", ".journal:sync:2000")
        .env("LD_PRELOAD", target().join("c/preload/device.so")));
    assert_eq!(code, 0, "{said}");
    assert!(requests(&sim, OPEN).is_empty() && openings(&sim).is_empty());
}
