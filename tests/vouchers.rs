//! Yopoint's voucher codes at a vending machine, from the code that is typed to the goods that fall.

mod common;

use common::*;
use kiosklink::client::Client;
use kiosklink::command::SettledBy;
use kiosklink::error::Outcome;
use kiosklink::event::Event;
use kiosklink::model::*;
use kiosklink::status::*;
use kiosklink_sim::Simulator;
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

const EXCHANGE: &str = "activity.voucher.exchange";

/// The first vending machine and the first voucher of the simulator's world.
const MACHINE: &str = "5f7000000000000000000001";
const VOUCHER: &str = "5e9000000000000000000001";

fn redeem(id: &str, code: &str, machine: &str) -> RedeemRequest {
    RedeemRequest {
        request_id: id.into(),
        kind: CodeKind::Voucher,
        code: code.into(),
        cabinet_id: machine.into(),
        ..Default::default()
    }
}

fn state(client: &Client, voucher: &str, code: &str) -> CodeState {
    let query = CodeQuery {
        kind: CodeKind::Voucher,
        code: code.into(),
        product_id: voucher.into(),
        ..Default::default()
    };
    client.code_lookup(&query).unwrap().state
}

/// Takes one callback of the platform and answers it.
fn callbacks(sim: &Simulator, client: &Client) -> mpsc::Receiver<Event> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/callback", listener.local_addr().unwrap());
    control(sim, "POST", "/_sim/callbacks", json!({"platform": "yopoint", "url": url}));
    let (tell, came) = mpsc::channel();
    let client = client.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                    break;
                }
                if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = n.trim().parse().unwrap();
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let event = client.event_parse(&head, &body).unwrap();
            let answer = client.event_reply(&event, 0, "SUCCESS", None).unwrap();
            let n = answer.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\nConnection: close\r\n\r\n");
            if stream.write_all((head + &answer).as_bytes()).is_err() || tell.send(event).is_err() {
                return;
            }
        }
    });
    came
}

#[test]
fn a_code_is_redeemed_once_and_bad_ones_are_not() {
    let sim = simulator();
    let client = client(&sim);
    // What the numbers of a state mean is not public: only a use is told, by its time.
    assert_eq!(state(&client, VOUCHER, "20000001"), CodeState::Unknown);
    // FAULTS C: the same code in another spelling.
    let done = client.code_redeem(&redeem("v1", " ２０００ 0001\r\n", MACHINE)).unwrap();
    assert!(!done.receipt.order_no.is_empty() && done.outcome == Outcome::Done);
    assert_eq!(state(&client, VOUCHER, "20000001"), CodeState::Used);
    assert!(client.code_redeem(&redeem("v1", "20000001", MACHINE)).unwrap().recorded);
    assert_eq!(requests(&sim, EXCHANGE).len(), 1);
    for code in ["20000002", "20000003", "29999999"] {
        let e = client.code_redeem(&redeem(&format!("v-{code}"), code, MACHINE)).unwrap_err();
        // The vendor publishes no name for it, so no row proves that nothing was done.
        assert_eq!((e.status(), e.details().outcome), (KL_E_PLATFORM, Outcome::Unknown), "{code}: {e:?}");
        assert!(e.details().platform_name.starts_with("ERR_VOUCHER_CODE_"), "{code}: {e:?}");
    }
    assert_eq!(state(&client, VOUCHER, "20000003"), CodeState::Unknown);
}

#[test]
fn a_lost_answer_is_settled_by_the_callback() {
    let sim = simulator();
    let client = client(&sim);
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"vend_ms": 1}));
    // A notice bears nothing of ours: it is believed inside the time in which the request could be carried out, and for
    // that the platform's time must be known.
    client.ping().unwrap();
    let came = callbacks(&sim, &client);
    fault(&sim, EXCHANGE, json!({"fault": "act_then_drop"}));
    // The notice may come before the connection is given up; then the call itself knows.
    match client.code_redeem(&redeem("lost", "20000005", MACHINE)) {
        Ok(known) => assert!(known.recorded, "{known:?}"),
        Err(e) => assert_eq!((e.status(), e.details().outcome), (KL_E_LOST, Outcome::Unknown), "{e}"),
    }
    let event = came.recv_timeout(Duration::from_secs(20)).expect("a callback arrives");
    assert_eq!(event.method, "notify.activity.voucher.exchangecode");
    let known = client.command_get("lost").unwrap();
    assert_eq!((known.outcome, known.settled_by), (Outcome::Done, SettledBy::Event), "{known:?}");
    assert_eq!(requests(&sim, EXCHANGE).len(), 1, "sent once");
}
