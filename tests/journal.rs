//! Commands at most once across restarts, processes and broken disks, against the simulator.

mod common;

use common::*;
use kiosklink::client::Client;
use kiosklink::command::{Physical, SettledBy};
use kiosklink::error::{Advice, Outcome};
use kiosklink::model::*;
use kiosklink::status::*;
use kiosklink_sim::Simulator;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const OPEN: &str = "cabinet.open.door";

fn door(id: &str) -> DoorRequest {
    DoorRequest { request_id: id.into(), cabinet_id: CABINET.into(), ..Default::default() }
}

fn kept(sim: &Simulator, folder: &Path) -> Client {
    client_with(sim, &[("state_dir", folder.to_str().unwrap()), ("timeout_ms", "5000")])
}

fn journal(folder: &Path) -> PathBuf {
    let found = |e: &fs::DirEntry| e.path().extension().is_some_and(|e| e == "journal");
    fs::read_dir(folder).unwrap().flatten().find(found).expect("a journal").path()
}

/// An opening whose answer was lost; the platform acted or not.
fn lose(sim: &Simulator, client: &Client, id: &str, acted: bool) {
    fault(sim, OPEN, json!({"fault": if acted { "act_then_drop" } else { "drop_before_acting" }}));
    let e = client.door_open(&door(id)).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_LOST, Outcome::Unknown), "{e}");
}

#[test]
fn what_was_done_is_remembered_across_restarts_and_clients() {
    let (sim, folder) = (simulator(), scratch("journal-done"));
    let first = kept(&sim, &folder);
    let opened = first.door_open(&door("visit-1")).unwrap();
    assert!(!opened.recorded && opened.outcome == Outcome::Done && opened.physical == Physical::Pending);
    // Another client of the same process, while the first lives.
    let again = kept(&sim, &folder).door_open(&door("visit-1")).unwrap();
    assert!(again.recorded && again.receipt == opened.receipt);
    drop(first);
    let again = kept(&sim, &folder).door_open(&door("visit-1")).unwrap();
    assert!(again.recorded && again.receipt == opened.receipt && again.sequence == opened.sequence);
    assert_eq!((openings(&sim).len(), requests(&sim, OPEN).len()), (1, 1));
    // The address of the platform is not a part of the account; the account is.
    let other = Simulator::start(Default::default()).unwrap();
    assert!(kept(&other, &folder).door_open(&door("visit-1")).unwrap().recorded);
    let mut config = settings(&sim);
    config.set("state_dir", folder.to_str().unwrap()).unwrap();
    config.set("app_id", "100000000002").unwrap();
    let e = Client::new(&config).unwrap().command_get("visit-1").unwrap_err();
    assert_eq!(e.status(), KL_E_NOT_FOUND);
}

#[test]
fn an_unknown_opening_that_happened_is_found_by_its_number() {
    let (sim, folder) = (simulator(), scratch("journal-found"));
    lose(&sim, &kept(&sim, &folder), "visit 1: 门", true);
    let client = kept(&sim, &folder);
    let pending = client.commands_pending().unwrap();
    assert_eq!((pending.len(), pending[0].request_id.as_str()), (1, "visit 1: 门"));
    let known = client.command_resolve("visit 1: 门").unwrap();
    assert_eq!((known.outcome, known.settled_by), (Outcome::Done, SettledBy::Query));
    let order = openings(&sim)[0]["receipt"].as_str().map(str::to_owned);
    assert!(order.is_none_or(|o| o == known.receipt.order_no), "{known:?}");
    assert!(client.commands_pending().unwrap().is_empty());
    assert!(client.door_open(&door("visit 1: 门")).unwrap().recorded);
    assert_eq!(client.command_wait("visit 1: 门", 10_000).unwrap().physical, Physical::Confirmed);
    assert_eq!((openings(&sim).len(), requests(&sim, OPEN).len()), (1, 1));
}

#[test]
fn an_opening_that_cannot_be_found_stays_unknown_until_it_is_settled() {
    let (sim, folder) = (simulator(), scratch("journal-unknown"));
    lose(&sim, &kept(&sim, &folder), "visit-1", false);
    let client = kept(&sim, &folder);
    let e = client.command_resolve("visit-1").unwrap_err();
    let d = e.details();
    // It may yet show itself: until then nobody need come.
    assert_eq!((d.status, d.outcome, d.advice), (KL_E_UNSETTLED, Outcome::Unknown, Advice::AskFirst));
    assert!(d.retry_after_ms > 60_000 && d.retry_after_ms <= 65_000, "{}", d.retry_after_ms);
    assert_eq!(client.command_wait("visit-1", 0).unwrap_err().status(), KL_E_UNSETTLED);
    // Its door is shut for others, its order for refunds, whatever its number may be; another door is not.
    let e = client.door_open(&door("visit-2")).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_BLOCKED, Outcome::NotDone));
    assert!(e.message().contains("visit-1"), "{e}");
    let claim = Complaint { order_no: "VI231228102118586561".into(), ..Default::default() };
    assert_eq!(client.refund_apply(&claim).unwrap_err().status(), KL_E_BLOCKED);
    assert!(requests(&sim, "cabinet.order.refund.apply").is_empty());
    let other = DoorRequest { cabinet_id: TWO_DOORS.into(), ..door("visit-3") };
    let known_order = client.door_open(&other).unwrap().receipt.order_no;
    // An order that is known to be of another command is not in doubt.
    let mine = Complaint { order_no: known_order, ..Default::default() };
    assert_ne!(client.refund_apply(&mine).err().map(|e| e.status()), Some(KL_E_BLOCKED));
    assert_eq!(requests(&sim, OPEN).len(), 2);

    for (outcome, by) in [
        (Outcome::Unknown, SettledBy::Person),
        (Outcome::Done, SettledBy::Query),
        (Outcome::None, SettledBy::Sensor),
    ] {
        assert_eq!(client.command_settle("visit-1", outcome, by, "").unwrap_err().status(), KL_E_ARGUMENT);
    }
    // The request may still arrive: that nothing happened is nothing to be seen yet. A person may say so aloud.
    let settle = |by| client.command_settle("visit-1", Outcome::NotDone, by, "the contact stayed shut");
    for by in [SettledBy::Sensor, SettledBy::Person] {
        let e = settle(by).unwrap_err();
        assert!(e.status() == KL_E_TOO_EARLY && e.details().retry_after_ms > 60_000, "{e}");
    }
    client.command_overrule("visit-1", Outcome::NotDone, "the contact stayed shut").unwrap();
    settle(SettledBy::Sensor).unwrap();
    drop(client);
    let client = kept(&sim, &folder);
    let known = client.command_get("visit-1").unwrap();
    assert_eq!((known.outcome, known.settled_by), (Outcome::NotDone, SettledBy::Person));
    assert_eq!(known.message, "the contact stayed shut");
    // Not done: the same name may be tried again, and the door is free.
    assert!(!client.door_open(&door("visit-1")).unwrap().recorded);
    assert_eq!(openings(&sim).len(), 2);
    let e = client.command_settle("visit-1", Outcome::NotDone, SettledBy::Person, "").unwrap_err();
    assert_eq!(e.status(), KL_E_REQUEST_ID);
    assert_eq!(
        client.command_settle("nobody", Outcome::Done, SettledBy::Person, "").unwrap_err().status(),
        KL_E_NOT_FOUND
    );
}

#[test]
fn the_movement_is_told_by_queries_and_by_callbacks() {
    let (sim, folder) = (simulator(), scratch("journal-moved"));
    let client = kept(&sim, &folder);
    // By queries: the door is open at once in the simulator.
    client.door_open(&door("visit-1")).unwrap();
    let moved = client.command_wait("visit-1", 10_000).unwrap();
    assert_eq!((moved.outcome, moved.physical), (Outcome::Done, Physical::Confirmed));
    // A door that is jammed: the platform takes the command, the machine does not do it.
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 60_000}));
    control(&sim, "POST", "/_sim/doors", json!({"cabinet": CABINET, "action": "jam"}));
    client.door_open(&door("visit-2")).unwrap();
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 60_000}));
    let e = client.command_wait("visit-2", 10_000).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_NOT_MOVED, Outcome::Done), "{e}");
    assert_eq!(e.details().advice, Advice::CallPerson);
    // It is recorded: nobody is asked again.
    let asked = requests(&sim, "cabinet.order.get").len();
    drop(client);
    let client = kept(&sim, &folder);
    assert_eq!(client.command_get("visit-2").unwrap().physical, Physical::Failed);
    assert_eq!(client.command_wait("visit-2", 10_000).unwrap_err().status(), KL_E_NOT_MOVED);
    assert_eq!(requests(&sim, "cabinet.order.get").len(), asked);
}

#[test]
fn a_wait_ends_at_its_time_and_when_it_is_cancelled() {
    let (sim, folder) = (simulator(), scratch("journal-wait"));
    let client = kept(&sim, &folder);
    client.door_open(&door("visit-1")).unwrap();
    control(
        &sim,
        "POST",
        "/_sim/faults",
        json!({"method": "cabinet.order.get", "fault": "http_5xx", "count": null}),
    );
    let e = client.command_wait("visit-1", 300).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_PENDING, Outcome::Done), "{e}");
    let (waiting, begun) = (client.clone(), Instant::now());
    let waiter = std::thread::spawn(move || waiting.command_wait("visit-1", 60_000));
    while !waiter.is_finished() {
        client.cancel();
        std::thread::yield_now();
    }
    assert_eq!(waiter.join().unwrap().unwrap_err().status(), KL_E_CANCELLED);
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!(client.command_wait("visit-9", 10).unwrap_err().status(), KL_E_NOT_FOUND);
}

/// The part of the next tests that is to be killed: opens one door, says so first.
#[test]
fn child_that_opens() {
    let Some(name) = std::env::var_os("KIOSKLINK_CHILD") else { return };
    let config = kiosklink::config::Config::load(name.to_str().unwrap(), Some("yopoint")).unwrap();
    let client = Client::new(&config).unwrap();
    println!("opening");
    std::io::stdout().flush().unwrap();
    let end = client.door_open(&door("visit-1"));
    println!("{end:?}");
}

struct Child(std::process::Child);

impl Child {
    fn open(sim: &Simulator, name: &str, folder: &Path) -> Child {
        let file = accounts(sim, name);
        let mut all: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let mut set = |account: &mut Value| account["state_dir"] = json!(folder);
        match &mut all["accounts"] {
            Value::Object(named) => named.values_mut().for_each(&mut set),
            _ => all.as_object_mut().unwrap().values_mut().filter(|v| v.is_object()).for_each(&mut set),
        }
        fs::write(&file, all.to_string()).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_opens", "--nocapture"])
            .env("KIOSKLINK_CHILD", &file)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Child(child)
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn until(what: &str, mut come: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !come() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_process_killed_after_sending_leaves_an_unknown_command_and_one_killed_before_none() {
    let (sim, folder) = (simulator(), scratch("journal-killed"));
    let client = kept(&sim, &folder);
    let state = || client.command_get("visit-1").map(|c| (c.outcome, c.status));

    // Before: the handshake never ends.
    control(&sim, "POST", "/_sim/tls", json!({"handshake_stall": true}));
    let child = Child::open(&sim, "journal-killed-accounts", &folder);
    until("the intent", || state().is_ok());
    assert_eq!(state().unwrap(), (Outcome::Unknown, KL_E_IN_FLIGHT));
    // It lives: nobody else sends, and its door is not free.
    assert_eq!(client.door_open(&door("visit-1")).unwrap_err().status(), KL_E_IN_FLIGHT);
    assert_eq!(client.door_open(&door("visit-2")).unwrap_err().status(), KL_E_BUSY);
    child.kill();
    let known = client.command_get("visit-1").unwrap();
    assert_eq!((known.outcome, known.settled_by), (Outcome::NotDone, SettledBy::Journal));
    control(&sim, "POST", "/_sim/tls", json!({"handshake_stall": false}));

    // After: the platform has it and never answers.
    fault(&sim, OPEN, json!({"fault": "half_open", "hold_ms": 60_000}));
    let child = Child::open(&sim, "journal-killed-accounts", &folder);
    until("the request", || requests(&sim, OPEN).len() == 1);
    assert_eq!(state().unwrap(), (Outcome::Unknown, KL_E_IN_FLIGHT));
    child.kill();
    assert_eq!(state().unwrap(), (Outcome::Unknown, KL_E_LOST));
    // The same name asks, and is told.
    assert!(client.door_open(&door("visit-1")).unwrap().recorded);
    assert_eq!((openings(&sim).len(), requests(&sim, OPEN).len()), (1, 1));
}

#[test]
fn a_redemption_whose_answer_was_lost_is_asked_for_by_repeating_it() {
    let (sim, folder) = (simulator(), scratch("journal-redeem"));
    let state = [("state_dir", folder.to_str().unwrap())];
    let machine = "16327129";
    let client = client_of(&sim, "dingshang", &state);
    let product = client.stock(machine, 0, None).collect_all().unwrap()[0].id.clone();
    let make = CodeCreate { cabinet_id: machine.into(), product_id: product.clone(), ..Default::default() };
    let code = client.code_create(&make).unwrap()[0].code.clone();
    let redeem = RedeemRequest {
        request_id: "visit-1".into(),
        code,
        cabinet_id: machine.into(),
        product_id: product,
        notify_url: "https://me.example/cb/3fa9".into(),
        ..Default::default()
    };
    fault(&sim, "consume", json!({"fault": "act_then_drop"}));
    let e = client.code_redeem(&redeem).unwrap_err();
    assert_eq!(e.details().outcome, Outcome::Unknown, "{e}");
    let other = RedeemRequest { request_id: "visit-2".into(), ..redeem.clone() };
    assert_eq!(client.code_redeem(&other).unwrap_err().status(), KL_E_BLOCKED);
    drop(client);
    let client = client_of(&sim, "dingshang", &state);
    // FAULTS B11: asking never redeems. The code is gone from the list, which does not say who took it.
    let e = client.command_resolve("visit-1").unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_UNSETTLED, Outcome::Unknown), "{e}");
    let e = client.command_wait("visit-1", 0).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_UNSETTLED, Outcome::Unknown), "{e}");
    assert_eq!(requests(&sim, "consume").len(), 1);
    // The caller's own verb may: the platform answers a second try with the first one's order.
    let known = client.code_redeem(&redeem).unwrap();
    assert_eq!((known.outcome, requests(&sim, "consume").len()), (Outcome::Done, 2));
    assert_eq!(client.command_wait("visit-1", 0).unwrap_err().status(), KL_E_UNKNOWABLE);
    let e = client.code_redeem(&other).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_CODE_USED, Outcome::NotDone), "{e}");

    // The goods, whose answer is lost too: the order tells.
    let dispense = DoorRequest {
        request_id: "visit-1 goods".into(),
        cabinet_id: machine.into(),
        order_no: known.receipt.order_no.clone(),
        item_no: known.receipt.item_no.clone(),
        ..Default::default()
    };
    fault(&sim, "deliver", json!({"fault": "act_then_drop"}));
    assert_eq!(client.door_open(&dispense).unwrap_err().details().outcome, Outcome::Unknown);
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 30_000}));
    let known = client.door_open(&dispense).unwrap();
    assert!(known.recorded && known.settled_by == SettledBy::Query);
    assert_eq!(client.command_wait("visit-1 goods", 5000).unwrap().physical, Physical::Confirmed);
    assert_eq!(requests(&sim, "deliver").len(), 1);
}

#[test]
fn other_writes_that_have_a_name_are_sent_once() {
    let (sim, folder) = (simulator(), scratch("journal-writes"));
    let client = kept(&sim, &folder);
    let claim = Complaint {
        order_no: "VI231228102118586561".into(),
        request_id: "refund-1".into(),
        ..Default::default()
    };
    fault(&sim, "cabinet.order.refund.apply", json!({"fault": "act_then_drop"}));
    assert_eq!(client.refund_apply(&claim).unwrap_err().details().outcome, Outcome::Unknown);
    let e = client.refund_apply(&claim).unwrap_err();
    assert!(matches!(e.status(), KL_E_UNSETTLED | KL_E_BLOCKED), "{e}");
    let second = Complaint { request_id: "refund-2".into(), ..claim.clone() };
    assert_eq!(client.refund_apply(&second).unwrap_err().status(), KL_E_BLOCKED);
    assert_eq!(requests(&sim, "cabinet.order.refund.apply").len(), 1);
    client.command_settle("refund-1", Outcome::Done, SettledBy::Person, "seen in the console").unwrap();
    client.refund_apply(&claim).unwrap();
    let other = Complaint { reason: "REFUNDS_REASON_PRODUCT_EXPIRED".into(), ..claim };
    assert_eq!(client.refund_apply(&other).unwrap_err().status(), KL_E_REQUEST_ID);
    assert_eq!(requests(&sim, "cabinet.order.refund.apply").len(), 1);
}

#[test]
fn a_damaged_journal_stops_commands_and_nothing_else_until_it_is_repaired() {
    let (sim, folder) = (simulator(), scratch("journal-damaged"));
    let client = kept(&sim, &folder);
    let two = |id: &str| DoorRequest { cabinet_id: TWO_DOORS.into(), ..door(id) };
    client.door_open(&door("visit-1")).unwrap();
    lose(&sim, &client, "visit-2", false);
    client.door_open(&two("visit-3")).unwrap();
    drop(client);
    let file = journal(&folder);
    let mut bytes = fs::read(&file).unwrap();
    let at = String::from_utf8(bytes.clone()).unwrap().find("visit-2").unwrap();
    bytes[at] ^= 1;
    fs::write(&file, &bytes).unwrap();

    let client = kept(&sim, &folder);
    // FAULTS B6: what became of a name cannot be looked up, so nobody says that nothing did. Nothing is sent.
    for e in [
        client.door_open(&two("visit-4")).unwrap_err(),
        client.door_open(&door("visit-2")).unwrap_err(),
        client.command_resolve("visit-2").unwrap_err(),
        client.command_resolve("visit-4").unwrap_err(),
    ] {
        let d = e.details();
        assert_eq!(
            (d.status, d.outcome, d.advice),
            (KL_E_JOURNAL_DAMAGED, Outcome::Unknown, Advice::CallPerson)
        );
    }
    assert_eq!(client.command_get("visit-4").unwrap_err().status(), KL_E_JOURNAL_DAMAGED);
    // One without a name, and one that was made now: the library knows that nothing was sent.
    let fresh = client.request_id_new().unwrap();
    for e in [
        client.refund_apply(&Complaint { order_no: "VI1".into(), ..Default::default() }).unwrap_err(),
        client.door_open(&two(&fresh)).unwrap_err(),
    ] {
        assert_eq!((e.status(), e.details().outcome), (KL_E_JOURNAL_DAMAGED, Outcome::NotDone), "{e}");
    }
    assert_eq!(client.commands_pending().unwrap_err().status(), KL_E_JOURNAL_DAMAGED);
    // What is done is still known, before the damage and behind it; reads go on.
    for id in ["visit-1", "visit-3"] {
        assert_eq!(client.command_resolve(id).unwrap().outcome, Outcome::Done);
        assert_eq!(client.command_get(id).unwrap().outcome, Outcome::Done);
    }
    client.ping().unwrap();
    assert!(!client.journal_info().unwrap().damage.is_empty());
    assert_eq!(requests(&sim, OPEN).len(), 3);

    let aside = client.journal_repair().unwrap().expect("it was damaged");
    assert_eq!(fs::read(&aside).unwrap(), bytes);
    assert_eq!(client.journal_repair().unwrap(), None);
    assert!(client.door_open(&door("visit-1")).unwrap().recorded);
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 60_000}));
    client.door_open(&two("visit-4")).unwrap();
    drop(client);
    assert!(kept(&sim, &folder).door_open(&two("visit-4")).unwrap().recorded);
}

#[test]
fn thousands_of_broken_journals_never_cost_a_settled_command_in_silence() {
    let (sim, folder) = (simulator(), scratch("journal-broken"));
    let client = kept(&sim, &folder);
    for n in 0..8 {
        control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 60_000}));
        client.door_open(&door(&format!("visit-{n}"))).unwrap();
    }
    lose(&sim, &client, "visit-8", false);
    drop(client);
    let file = journal(&folder);
    let whole = fs::read(&file).unwrap();
    let mark = file.with_extension("mark");
    let high = fs::read(&mark).unwrap();
    // The byte at which each command is settled.
    let settled_at = |id: &str| {
        let text = String::from_utf8_lossy(&whole);
        let end = text.find(&format!("\tend\t{id}\t")).unwrap();
        end + text[end..].find('\n').unwrap()
    };
    let ends: Vec<usize> = (0..8).map(|n| settled_at(&format!("visit-{n}"))).collect();
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    let (mut clear, mut damaged) = (0, 0);
    for round in 0..1500 {
        let mut bytes = whole.clone();
        let (kind, at) = (round % 4, random(whole.len()));
        // With the high-water mark nothing is cut off in silence. Without it a tail may go: a power cut looks like that.
        let marked = round % 3 == 0;
        match marked {
            true => fs::write(&mark, &high).unwrap(),
            false => fs::remove_file(&mark).unwrap_or_default(),
        }
        match kind {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << random(8),
            2 => {
                let to = (at + 1 + random(64)).min(bytes.len());
                bytes[at..to].fill(if round % 8 == 2 { 0 } else { 0xFF });
            }
            _ => {
                bytes.truncate(at);
                bytes.extend(std::iter::repeat_n(0, random(512)));
            }
        }
        // A new file: what was read of the old one is not trusted.
        fs::remove_file(&file).unwrap();
        fs::write(&file, &bytes).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let client = kept(&sim, &folder);
        let damage = match client.commands_pending() {
            Ok(_) => false,
            Err(e) => {
                let named = match kind {
                    1 | 2 if !marked => e.status() == KL_E_JOURNAL_DAMAGED,
                    _ => matches!(
                        e.status(),
                        KL_E_JOURNAL_DAMAGED
                            | KL_E_JOURNAL_OLDER
                            | KL_E_JOURNAL_MISSING
                            | KL_E_JOURNAL_COPIED
                    ),
                };
                assert!(named && e.message().len() > 20, "round {round}: {e}");
                true
            }
        };
        assert!(damage || !marked || kind == 1 || kind == 2, "round {round}: cut at {at} in silence");
        if damage {
            damaged += 1
        } else {
            clear += 1
        }
        for (n, end) in ends.iter().enumerate() {
            let known = client.command_get(&format!("visit-{n}")).map(|c| c.outcome);
            if *end < at {
                assert_eq!(
                    known.unwrap(),
                    Outcome::Done,
                    "round {round}: visit-{n} was settled before byte {at}"
                );
            } else if !damage && (kind == 1 || kind == 2) && bytes.len() == whole.len() {
                // Overwritten, not torn: either nothing was lost or it is said.
                let torn =
                    bytes[at..].iter().all(|b| *b != b'\n') || bytes[at..].windows(8).any(|w| w == [0; 8]);
                assert!(
                    torn || known.is_ok_and(|o| o == Outcome::Done),
                    "round {round}: visit-{n} lost in silence"
                );
            }
        }
        drop(client);
    }
    assert!(clear > 200 && damaged > 200, "{clear} clear, {damaged} damaged");
    assert_eq!(requests(&sim, OPEN).len(), 9);
}

#[test]
fn a_newer_form_and_a_foreign_owner_are_refused_by_name() {
    let (sim, folder) = (simulator(), scratch("journal-foreign"));
    kept(&sim, &folder).door_open(&door("visit-1")).unwrap();
    let file = journal(&folder);
    let whole = fs::read_to_string(&file).unwrap();
    // The head stands there twice.
    let mut newer = String::new();
    for (n, line) in whole.split_inclusive('\n').enumerate() {
        if n >= 2 {
            newer.push_str(line);
            continue;
        }
        let head = line[line.find('{').unwrap()..].trim_end().replace("\"version\":4", "\"version\":5");
        let body = format!("{:x} {head}", head.len());
        newer.push_str(&format!("{:08x} {body}\n", crc32(body.as_bytes())));
    }
    assert_ne!(newer, whole);
    fs::write(&file, &newer).unwrap();
    let client = kept(&sim, &folder);
    for e in [
        client.commands_pending().unwrap_err(),
        client.command_get("visit-1").unwrap_err(),
        client.journal_repair().unwrap_err(),
    ] {
        assert_eq!(e.status(), KL_E_JOURNAL_VERSION, "{e}");
    }
    // FAULTS B6: the first is done, and nobody says otherwise.
    for e in [client.door_open(&door("visit-1")).unwrap_err(), client.command_resolve("visit-1").unwrap_err()]
    {
        assert_eq!((e.status(), e.details().outcome), (KL_E_JOURNAL_VERSION, Outcome::Unknown), "{e}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), newer);
    drop(client);

    fs::write(&file, &whole).unwrap();
    // As root the owner is another one; as anybody else the file cannot be opened.
    if chown(&file, Some(12345), None).is_err() {
        fs::set_permissions(&file, fs::Permissions::from_mode(0o0)).unwrap();
    }
    let client = kept(&sim, &folder);
    let e = client.door_open(&door("visit-2")).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_JOURNAL_OWNER, Outcome::Unknown), "{e}");
    assert_eq!(requests(&sim, OPEN).len(), 1);
}

/// A second reading of the sum, bit by bit over the polynomial's plain form.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(byte.reverse_bits()) << 24;
        for _ in 0..8 {
            crc = if crc >> 31 == 1 { crc << 1 ^ 0x04C1_1DB7 } else { crc << 1 };
        }
    }
    (!crc).reverse_bits()
}

/// Runs the C example with a disk that refuses or is watched.
fn open_door(sim: &Simulator, name: &str, id: &str, env: &[(&str, &str)]) -> (i32, String) {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).join("accounts.json");
    if !file.exists() {
        accounts(sim, name);
        let folder = file.with_file_name("state");
        fs::create_dir(&folder).unwrap();
        let mut all: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let yopoint = all.pointer_mut("/accounts/yopoint").or(None);
        let yopoint = match yopoint {
            Some(found) => found,
            None => all.get_mut("yopoint").unwrap(),
        };
        yopoint["state_dir"] = json!(folder);
        yopoint["allow_http"] = json!("yes");
        let plain = sim.info()["http_origin"].as_str().unwrap().to_owned() + "/yopoint";
        yopoint["base_url"] = json!(plain);
        fs::write(&file, all.to_string()).unwrap();
    }
    let preload = programs().parent().unwrap().join("preload/disk.so");
    let mut command = Command::new(programs().join("open_door"));
    command.args([file.to_str().unwrap(), "yopoint", CABINET, id]).env("LD_PRELOAD", preload);
    run(command.envs(env.iter().copied()))
}

#[test]
fn there_is_one_sync_for_a_command_and_it_comes_before_the_first_byte() {
    let (sim, name) = (simulator(), "journal-trace");
    let _ = scratch(name);
    fs::remove_dir_all(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)).unwrap();
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("journal-trace.log");
    for id in ["visit-1", "visit-2"] {
        let _ = fs::remove_file(&log);
        let env = [("DISK_TRACE", log.to_str().unwrap()), ("TRACE_FOR", OPEN)];
        let (code, said) = open_door(&sim, name, id, &env);
        assert_eq!(code, 0, "{said}");
        let seen = fs::read_to_string(&log).unwrap();
        let seen: Vec<&str> = seen.lines().collect();
        let sent = seen.iter().position(|l| *l == "send").expect("the command was sent");
        assert_eq!(seen.iter().filter(|l| **l == "send").count(), 1, "{seen:?}");
        // FAULTS A4: the intent, the mark that it is sent, one sync for both; then the first byte. The end is synced later, before
        // the payment is reported, and the payment is a command of its own: the connection stands, so its intent and
        // the mark that it is sent are one write.
        assert_eq!(seen[..sent], ["write", "write", "sync"], "{seen:?}");
        assert_eq!(seen[sent + 1..], ["write", "sync", "write", "sync", "write", "sync"], "{seen:?}");
    }
}

#[test]
fn a_disk_that_refuses_stops_the_command_before_it_is_sent() {
    let (sim, name) = (simulator(), "journal-refused");
    let _ = scratch(name);
    fs::remove_dir_all(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)).unwrap();
    assert_eq!(open_door(&sim, name, "visit-0", &[]).0, 0);
    for (n, (rule, code)) in [
        ("write:ENOSPC:1", "KL_E_JOURNAL_FULL"),
        ("write:ENOSPC:2", "KL_E_JOURNAL_FULL"),
        ("open:EROFS", "KL_E_JOURNAL_READ_ONLY"),
        ("open:EACCES", "KL_E_JOURNAL_OWNER"),
        ("write:EIO", "KL_E_JOURNAL)"),
        ("sync:EIO", "KL_E_JOURNAL)"),
        ("write:EROFS", "KL_E_JOURNAL_READ_ONLY"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("visit-{}", n + 1);
        // What the one before could not write is settled by a start on a disk that can.
        assert_eq!(open_door(&sim, name, "visit-0", &[]).0, 0);
        let (exit, said) = open_door(&sim, name, &id, &[("DISK_FAIL", rule)]);
        assert_eq!(exit, 1, "{rule}: {said}");
        assert!(said.contains(code.trim_end_matches(')')), "{rule}: {said}");
        assert_eq!(openings(&sim).len(), 1, "{rule}: {said}");
        assert_eq!(requests(&sim, OPEN).len(), 1, "{rule}: {said}");
    }
    // The disk is well again, and nothing was lost: the first is known, a refused one is sent now.
    assert_eq!(open_door(&sim, name, "visit-0", &[]).0, 0);
    assert_eq!(openings(&sim).len(), 1);
    let (exit, said) = open_door(&sim, name, "visit-1", &[]);
    assert_eq!(exit, 0, "{said}");
    assert_eq!(openings(&sim).len(), 2);
    // FAULTS F2: full just when the end is to be written. The answer is given all the same; the payment is a command of its
    // own, which needs the journal.
    control(&sim, "POST", "/_sim/clock/advance", json!({"ms": 60_000}));
    let (exit, said) = open_door(&sim, name, "visit-20", &[("DISK_FAIL", "write:ENOSPC:3")]);
    assert!(exit == 3 && said.contains("The door opens") && said.contains("KL_E_JOURNAL_FULL"), "{said}");
    // The next run finds it by its number; the address of the payment comes with the next callback.
    let (exit, said) = open_door(&sim, name, "visit-20", &[]);
    assert!(exit == 3 && said.contains("recorded earlier, nothing was sent"), "{said}");
    assert_eq!(openings(&sim).len(), 3);
}
