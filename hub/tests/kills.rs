//! The hub is killed (kill -9) again and again while kiosks open doors and platforms call. The simulator's own record of what
//! happened stands against every answer.

mod common;

use common::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const KIOSKS: usize = 6;
const DOORS: usize = 12;
const KILLS: usize = 15;

/// What a kiosk was told of each of its commands, in order.
type Told = BTreeMap<String, Vec<String>>;

/// The cabinet for the nth door of a kiosk. Each has its own: a door whose command is unknown takes no other for a while.
fn cabinet(kiosk: usize, n: usize) -> String {
    format!("5e00{:020x}", kiosk * DOORS + n)
}

/// Opens doors until it is known what became of each, or the platform was asked and does not know. What it was told stands in
/// the answer.
fn customer(number: usize, mut kiosk: Kiosk, over: &AtomicBool) -> (Kiosk, Told) {
    let mut told = Told::new();
    for n in 0..DOORS {
        let id = format!("door-{n}");
        let mut verb = "door_open";
        let mut asked = 0;
        loop {
            assert!(!over.load(Ordering::Relaxed), "it takes too long");
            let fields = match verb {
                "door_open" => json!({"request_id": id, "cabinet_id": cabinet(number, n), "door": "1"}),
                _ => json!({"request_id": id}),
            };
            // The hub may be away: a kiosk asks again in a while.
            let Ok((200, answer)) = kiosk.try_ask(verb, fields) else {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            };
            let outcome = answer["outcome"].as_str().unwrap().to_owned();
            told.entry(id.clone()).or_default().push(outcome.clone());
            match outcome.as_str() {
                "done" => break,
                // A hub that is being killed: the same name again.
                "not_done" => verb = "door_open",
                // Before its time is up nobody can say that it will not come.
                _ if asked == 2 => break,
                _ => (verb, asked) = ("command_resolve", asked + 1),
            }
        }
    }
    (kiosk, told)
}

#[test]
fn no_door_opens_twice_no_answer_is_false_and_no_acknowledged_callback_is_lost() {
    let w = World::new("kills");
    let (status, answer) = w.sim.control(
        "POST",
        "/_sim/yopoint/generate",
        json!({"cabinets": KIOSKS * DOORS, "stock_lines": 3}),
    );
    assert_eq!(status, 200, "{answer}");
    let quick = json!({"door_open_ms": 5, "recognition_ms": 5});
    let (status, answer) = w.sim.control("PATCH", "/_sim/yopoint/settings", quick);
    assert_eq!(status, 200, "{answer}");
    let mut hub = w.hub();
    w.callbacks_to(&hub, "yopoint");
    let (status, answer) = w.sim.control("POST", "/_sim/callbacks", json!({"retry_ms": vec![100; 300]}));
    assert_eq!(status, 200, "{answer}");
    let kiosks: Vec<Kiosk> = (0..KIOSKS)
        .map(|k| {
            let cabinets: Vec<String> = (0..DOORS).map(|n| cabinet(k, n)).collect();
            let mut words = vec!["--account", "yopoint"];
            cabinets.iter().for_each(|c| words.extend(["--cabinet", c]));
            w.kiosk(&hub, &words)
        })
        .collect();
    let over = AtomicBool::new(false);
    let mut kills = 0;
    let finished: Vec<(Kiosk, Told)> = std::thread::scope(|scope| {
        let threads: Vec<_> = kiosks
            .into_iter()
            .enumerate()
            .map(|(k, kiosk)| {
                scope.spawn({
                    let over = &over;
                    move || customer(k, kiosk, over)
                })
            })
            .collect();
        // Each kill comes when some more doors have opened, in whatever the hub is doing then.
        let begun = std::time::Instant::now();
        while kills < KILLS && !threads.iter().all(|t| t.is_finished()) {
            let before = w.openings();
            while w.openings() < before + 1 + kills % 3 && !threads.iter().all(|t| t.is_finished()) {
                assert!(begun.elapsed() < Duration::from_secs(120), "{} of doors", w.openings());
                std::thread::sleep(Duration::from_millis(1));
            }
            hub.kill();
            kills += 1;
            hub = w.hub_on(hub.port);
        }
        let all = threads.into_iter().map(|t| t.join());
        let all: Vec<_> = all.collect();
        over.store(true, Ordering::Relaxed);
        all.into_iter().map(|r| r.unwrap()).collect()
    });
    assert!(kills >= KILLS / 2, "it was killed {kills} times");
    let (status, answer) = w.sim.control("POST", "/_sim/wait", json!({"for": "quiet", "timeout_ms": 60000}));
    assert_eq!(status, 200, "{answer}");

    // What really happened, by the number that was sent.
    let mut opened: BTreeMap<String, usize> = BTreeMap::new();
    let openings = w.sim.control("GET", "/_sim/openings", Value::Null).1;
    for o in openings.as_array().unwrap() {
        let mark =
            o["cause"]["trade_no"].as_str().or(o["trade_no"].as_str()).unwrap_or_else(|| panic!("{o}"));
        *opened.entry(mark.to_owned()).or_default() += 1;
    }
    let (mut unknown, mut left, mut events) = (0, 0, Vec::new());
    for (mut kiosk, told) in finished {
        for (id, outcomes) in told {
            let last = outcomes.last().map_or("", String::as_str);
            unknown += usize::from(outcomes.iter().any(|o| o == "unknown"));
            left += usize::from(last == "unknown");
            let known = kiosk.good("command_get", json!({"request_id": id}));
            let times = opened.remove(known["sent_mark"].as_str().unwrap()).unwrap_or(0);
            match last {
                "done" => {
                    assert_eq!((&known["outcome"], times), (&json!("done"), 1), "{id} was told {outcomes:?}")
                }
                _ => assert!(times <= 1, "{id} was told {outcomes:?} and opened {times} times"),
            }
        }
        let inbox = kiosk.good("inbox", json!({"most": 100}));
        events.extend(inbox["events"].as_array().unwrap().iter().map(|e| {
            (
                e["event"]["method"].as_str().unwrap().to_owned(),
                e["event"]["order_no"].as_str().unwrap().to_owned(),
            )
        }));
    }
    assert!(opened.is_empty(), "nobody was told of {opened:?}");

    // Each callback that was acknowledged is in an inbox, once.
    let deliveries = w.sim.control("GET", "/_sim/callbacks", Value::Null).1;
    let mut acknowledged: Vec<(String, String)> = deliveries["deliveries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|d| d["progress"] == "delivered")
        .map(|d| {
            (d["method"].as_str().unwrap().to_owned(), d["receipt"].as_str().unwrap_or_default().to_owned())
        })
        .collect();
    acknowledged.sort();
    acknowledged.dedup();
    events.sort();
    let lost: Vec<_> = acknowledged.iter().filter(|a| !events.contains(a)).collect();
    assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), acknowledged.len());
    let twice = events.windows(2).filter(|two| two[0] == two[1]).count();
    assert_eq!(twice, 0, "each once in an inbox");
    println!(
        "{KIOSKS} kiosks, {} doors, {kills} kills: {unknown} were unknown for a while, {left} still are, {} callbacks acknowledged",
        KIOSKS * DOORS,
        acknowledged.len()
    );
}
