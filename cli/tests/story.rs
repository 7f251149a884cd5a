//! The story of one command: what the journal, a log and the simulator tell of it, on one line of time.

mod common;

use common::*;
use serde_json::{Value, json};
use std::path::Path;

const CABINET: &str = "5f6da2362201410011000001";

fn at(columns: &str, file: &Path, args: &[&str]) -> String {
    let (code, out, err) = told(command(file, "yopoint", args).env("COLUMNS", columns).output().unwrap());
    assert_eq!(code, 0, "{args:?}: {out}{err}");
    out
}

/// What is not ASCII is counted as two.
fn widest(text: &str) -> usize {
    text.lines().map(|l| l.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum()).max().unwrap_or(0)
}

/// The moments: who tells, what it is.
fn moments(story: &Value) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    story["moments"].as_array().unwrap().iter().map(|m| (text(&m["source"]), text(&m["kind"]))).collect()
}

fn journal(file: &Path) -> std::path::PathBuf {
    let names = std::fs::read_dir(file.parent().unwrap().join("state")).unwrap();
    names.map(|e| e.unwrap().path()).find(|p| p.extension().is_some_and(|e| e == "journal")).unwrap()
}

#[test]
fn an_opening_whose_answer_was_lost_and_that_was_found_by_asking() {
    let (sim, file) = simulator("story-lost");
    sim.control("POST", "/_sim/faults", json!({"method": "cabinet.open.door", "fault": "act_then_drop"}));
    sim.control("POST", "/_sim/callbacks", json!({"platform": "yopoint", "url": "http://127.0.0.1:9/"}));
    sim.control("POST", "/_sim/yopoint/settings", json!({"door_open_ms": 1}));
    let opened =
        ["open", CABINET, "--door", "1", "--request-id", "visit-4711", "--context", "Ms Wang, 13800000000"];
    assert_eq!(run(&file, "yopoint", &opened).0, 3);
    sim.control("POST", "/_sim/wait", json!({"for": "door_shut", "cabinet": CABINET}));
    assert_eq!(run(&file, "yopoint", &["pending", "resolve", "visit-4711"]).0, 0);

    // The device alone.
    let (code, story) = json_of(&file, "yopoint", &["story", "visit-4711"]);
    assert_eq!(code, 0, "{story}");
    let own = [("journal", "intent"), ("journal", "sent"), ("journal", "lost"), ("journal", "found")];
    let told: Vec<(String, String)> = moments(&story);
    assert_eq!(told.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect::<Vec<_>>(), own, "{story}");
    assert_eq!(
        (&story["command"]["outcome"], &story["command"]["settled_by"]),
        (&json!("done"), &json!("query"))
    );
    let offsets: Vec<i64> =
        story["moments"].as_array().unwrap().iter().map(|m| m["offset_ms"].as_i64().unwrap()).collect();
    assert!(offsets[0] == 0 && offsets.windows(2).all(|w| w[0] <= w[1]), "{offsets:?}");

    // With the other side.
    let origin = sim.http_origin();
    let both = ["story", "visit-4711", "--simulator", &origin];
    let (code, story) = json_of(&file, "yopoint", &both);
    assert_eq!(code, 0, "{story}");
    let told = moments(&story);
    let place = |source: &str, kind: &str| {
        told.iter()
            .position(|(a, b)| (a.as_str(), b.as_str()) == (source, kind))
            .unwrap_or_else(|| panic!("no {source} {kind}: {story}"))
    };
    let order = [
        place("journal", "intent"),
        place("journal", "sent"),
        place("simulator", "received"),
        place("simulator", "door"),
        place("simulator", "lost"),
        place("journal", "lost"),
        place("simulator", "asked"),
        place("journal", "found"),
    ];
    assert!(order.windows(2).all(|w| w[0] < w[1]), "{order:?} {story}");
    place("simulator", "callback");
    let words = story.to_string();
    assert!(words.contains("door 1 of") && words.contains("[act_then_drop]"), "{words}");

    // For people, on paper of any width, in both languages; nothing of the customer, and no secret.
    for language in ["en", "zh"] {
        for columns in ["80", "40"] {
            let args = [&both[..], &["--tz", "+08:00", "--lang", language]].concat();
            let text = at(columns, &file, &args);
            assert!(widest(&text) <= columns.parse().unwrap(), "{text}");
            assert!(text.contains("+08:00") && text.contains("+0.000 s"), "{text}");
            let (lost, found) = if language == "en" { ("lost", "found") } else { ("丢失", "查到") };
            assert!(text.contains(lost) && text.contains(found), "{text}");
            for private in ["test-secret", "13800000000", "Wang"] {
                assert!(!text.contains(private) && !words.contains(private), "{private}: {text}");
            }
        }
    }

    // As a picture, which is not written over.
    let svg = file.parent().unwrap().join("story.svg");
    let args = [&both[..], &["--svg", svg.to_str().unwrap()]].concat();
    let (code, _, err) = run(&file, "yopoint", &args);
    assert!(code == 0 && err.contains("holds the picture"), "{err}");
    let picture = std::fs::read_to_string(&svg).unwrap();
    assert!(picture.starts_with("<svg ") && picture.contains("prefers-color-scheme:dark"), "{picture}");
    assert!(
        !picture.contains("<script") && !picture.contains("http://127") && !picture.contains("Wang"),
        "{picture}"
    );
    assert_eq!(picture.matches("<circle").count(), 3, "intent, sent, found; lost is a cross: {picture}");
    let (code, _, err) = run(&file, "yopoint", &args);
    assert!(code == 1 && err.contains("exists"), "{err}");
    // Another address than this computer's is not asked, whatever it is.
    let (code, _, err) = run(&file, "yopoint", &["story", "visit-4711", "--simulator", "http://192.0.2.1/"]);
    assert!(code == 64 && err.contains("on this computer"), "{err}");
}

#[test]
fn a_log_lies_beside_the_journal() {
    let (sim, file) = simulator("story-log");
    assert_eq!(run(&file, "yopoint", &["open", CABINET, "--door", "1", "--request-id", "v-1"]).0, 0);
    let (_, story) = json_of(&file, "yopoint", &["story", "v-1"]);
    let begun = story["moments"][0]["at"].as_i64().unwrap();
    let order = story["command"]["order_no"].as_str().unwrap().to_owned();
    let log = file.parent().unwrap().join("kiosk.log");
    let lines = [
        format!("{}.500 kiosk: door asked for, v-1", begun - 3),
        format!("{}.700 kiosk: POST {}/yopoint: status 200 in 3 ms", begun, sim.origin()),
        format!("{} kiosk: POST {}/yopoint: status 200 in 3 ms", begun + 3000, sim.origin()),
        format!("{} kiosk: callback door_closed for order {order}, duplicate: false", begun + 9),
        format!("{} kiosk: v-10 is another one", begun),
        "v-1 without a time".to_owned(),
        format!("{} kiosk: the secret test-secret of v-1", begun + 10),
    ];
    std::fs::write(&log, lines.join("\n")).unwrap();
    let svg = file.parent().unwrap().join("log.svg");
    let args = ["story", "v-1", "--log", log.to_str().unwrap(), "--svg", svg.to_str().unwrap()];
    let (code, story) = json_of(&file, "yopoint", &args);
    let picture = std::fs::read_to_string(&svg).unwrap();
    assert!(picture.contains("the secret *** of v-1") && !picture.contains("test-secret"), "{picture}");
    assert_eq!(code, 0, "{story}");
    let all = story["moments"].as_array().unwrap();
    let of_log: Vec<(u64, &str)> = all
        .iter()
        .filter(|m| m["source"] == "log")
        .map(|m| (m["number"].as_u64().unwrap(), m["words"].as_str().unwrap()))
        .collect();
    assert_eq!(of_log.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [1, 2, 4, 7], "{story}");
    assert!(of_log[1].1.ends_with("(taken by its time)"), "{story}");
    assert!(
        of_log[2].1.contains("callback")
            && all[0]["source"] == "log"
            && all[0]["offset_ms"].as_i64() < Some(-1000)
    );
    assert!(!story.to_string().contains("test-secret"), "{story}");
    assert!(story["notes"].to_string().contains("bear no time that can be read: 1."), "{story}");
    let (code, _, err) = run(&file, "yopoint", &["story", "v-1", "--log", "/no/such.log"]);
    assert!(code == 1 && err.contains("/no/such.log"), "{err}");
}

#[test]
fn names_that_nobody_used_and_journals_that_are_not_well() {
    let (_sim, file) = simulator("story-odd");
    // Nothing was sent from here.
    let (code, _, err) = run(&file, "yopoint", &["story", "visit-1"]);
    assert!(
        code == 2 && err.contains("there is no journal") && err.contains("KL_E_NOT_FOUND"),
        "{code} {err}"
    );
    for id in ["visit-4711", "visit-4712"] {
        run(&file, "yopoint", &["open", CABINET, "--door", "1", "--request-id", id]);
    }
    let (code, _, err) = run(&file, "yopoint", &["story", "visit-4171"]);
    assert!(code == 2 && err.contains("did you mean visit-4711"), "{code} {err}");
    let (code, told) = json_of(&file, "yopoint", &["story", "wholly-other"]);
    assert_eq!(
        (code, &told["status"], &told["request_id"]),
        (2, &json!("KL_E_NOT_FOUND"), &json!("wholly-other"))
    );
    assert!(!told["message"].as_str().unwrap().contains("did you mean"), "{told}");
    let (code, _, err) = run(&file, "yopoint", &["story"]);
    assert!(code == 64 && err.contains("REQUEST_ID"), "{err}");

    // Another process has the lock, and keeps it.
    let lock = journal(&file).with_extension("lock");
    let held = std::fs::File::open(&lock).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let (code, story) = json_of(&file, "yopoint", &["story", "visit-4711"]);
    assert_eq!((code, story["moments"].as_array().map(Vec::len)), (0, Some(3)), "{story}");
    assert!(story["notes"].to_string().contains("read without the lock"), "{story}");
    drop(held);

    // A record is damaged: the others are told, and that.
    let path = journal(&file);
    let mut bytes = std::fs::read(&path).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let sent = text.find("\tsent\tvisit-4711").unwrap();
    bytes[sent + 1] = b'X';
    std::fs::write(&path, &bytes).unwrap();
    let (code, story) = json_of(&file, "yopoint", &["story", "visit-4711"]);
    assert_eq!(code, 0, "{story}");
    let notes = story["notes"].to_string();
    assert!(notes.contains("damaged") && notes.contains("cannot be read: 1."), "{story}");
    assert_eq!(moments(&story).iter().map(|(_, k)| k.as_str()).collect::<Vec<_>>(), ["intent", "done"]);
    // Of a name that is not in it nothing is said but that.
    let (code, told) = json_of(&file, "yopoint", &["story", "visit-4999"]);
    assert_eq!(
        (code, &told["status"], &told["outcome"]),
        (1, &json!("KL_E_JOURNAL_DAMAGED"), &Value::Null),
        "{told}"
    );
}

#[test]
fn an_opening_names_its_request_in_every_outcome() {
    let (sim, file) = simulator("story-names");
    let fault = |fault: &str| {
        sim.control("POST", "/_sim/faults", json!({"method": "cabinet.open.door", "fault": fault}));
    };
    let open = |id: &str, more: &[&str]| {
        let own = ["open", CABINET, "--door", "1", "--request-id", id];
        let (code, told) = json_of(&file, "yopoint", &[&own[..], more].concat());
        assert_eq!(told["request_id"], id, "{told}");
        code
    };
    sim.control("POST", "/_sim/yopoint/settings", json!({"door_open_ms": 1}));
    assert_eq!(open("done", &[]), 0);
    assert_eq!(open("done", &[]), 0);
    assert_eq!(open("done", &["--order-no", "other"]), 3);
    let shut = || sim.control("POST", "/_sim/wait", json!({"for": "door_shut", "cabinet": CABINET}));
    shut();
    assert_eq!(open("waited", &["--wait-ms", "1"]), 4);
    shut();
    fault("http_5xx");
    let code = open("5xx", &[]);
    assert!(code == 2 || code == 3, "{code}");
    fault("act_then_drop");
    assert_eq!(open("lost", &["--ttl-ms", "60000"]), if code == 3 { 2 } else { 3 });
    assert_eq!(open("blocked", &[]), 2);
    // A name that the library made.
    let (_, told) = json_of(&file, "yopoint", &["open", "no-such-cabinet"]);
    assert!(told["request_id"].as_str().unwrap().starts_with("kl-"), "{told}");
    // No connection, no settings, no folder, no journal that can be read.
    change(&file, "yopoint", "base_url", json!("https://127.0.0.1:1/yopoint"));
    assert_eq!(open("nowhere", &[]), 2);
    let path = journal(&file);
    std::fs::write(&path, "rubbish\n").unwrap();
    assert_eq!(open("damaged", &[]), 3);
    change(&file, "yopoint", "state_dir", json!("/no/such/folder"));
    assert_eq!(open("no-folder", &[]), 3);
    change(&file, "yopoint", "app_secret", json!(null));
    let code = open("no-secret", &[]);
    assert!(code == 2 || code == 3, "{code}");
}
