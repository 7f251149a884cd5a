//! Servers whose clocks are wrong, each for itself and about others.

mod net;

use kiosklink::client::Client;
use kiosklink::config::Config;
use kiosklink::error::Outcome;
use kiosklink::model::*;
use kiosklink::status::*;
use kiosklink::time::calendar::{format_time, parse_http_date};
use kiosklink::time::clock::{BUILD_TIME, Clock, Source, monotonic_ms};
use kiosklink::transport::{Transport, Url};
use net::*;
use rustls::version::TLS13;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

const DAY: i64 = 86_400;
/// In seconds.
const AHEAD: i64 = 3_600;

fn system_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// Unix seconds as a header, through the library's own reader as the judge.
fn http_date(unix_s: i64) -> String {
    let text = format_time(unix_s);
    let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        [text[5..7].parse::<usize>().unwrap() - 1];
    let (day, year, clock) = (&text[8..10], &text[..4], &text[11..16]);
    ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
        .iter()
        .map(|name| format!("{name}, {day} {month} {year} {clock}:{:02} GMT", unix_s.rem_euclid(60)))
        .find(|date| parse_http_date(date) == Some(unix_s))
        .unwrap()
}

/// A gateway of Yopoint's kind. It refuses what was signed more than ten minutes off its own clock.
struct Gateway {
    server: Server,
    /// How far its clock is ahead of this machine's, in seconds.
    ahead_s: Arc<AtomicI64>,
    asked: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

/// `date_ahead_s`: how far its `Date` is ahead of this machine's clock.
fn gateway(ahead_s: i64, date_ahead_s: i64) -> Gateway {
    let (ahead, asked, refused) =
        (Arc::new(AtomicI64::new(ahead_s)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (clock, all, bad) = (ahead.clone(), asked.clone(), refused.clone());
    let server = Server::start(move |_, mut stream| {
        while let Some((_, body)) = read_request(&mut stream) {
            all.fetch_add(1, Ordering::SeqCst);
            let body = String::from_utf8(body).unwrap();
            let signed = body.split('&').find_map(|pair| pair.strip_prefix("timestamp=")).unwrap();
            let off = signed.parse::<i64>().unwrap() - system_s() - clock.load(Ordering::SeqCst);
            let answer = if off.abs() <= 600 {
                r#"{"error_code":0,"error_msg":"SUCCESS","data":{"ReceiptNo":"VI1"}}"#
            } else {
                bad.fetch_add(1, Ordering::SeqCst);
                r#"{"error_code":-1,"error_msg":"ERR_TIMESTAMP","data":{}}"#
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\nDate: {}\r\nContent-Length: {}\r\n\r\n",
                http_date(system_s() + date_ahead_s),
                answer.len()
            );
            if stream.write_all(&[head.as_bytes(), answer.as_bytes()].concat()).is_err() {
                return;
            }
        }
    });
    Gateway { server, ahead_s: ahead, asked, refused }
}

impl Gateway {
    fn client(&self) -> Client {
        let mut config = Config::new("yopoint").unwrap();
        for (key, value) in [
            ("app_id", "100000000001"),
            ("app_secret", "test-secret"),
            ("pay_key", "test-pay-key"),
            ("base_url", &format!("http://{}/gateway", self.server.address)),
            ("allow_http", "yes"),
            ("state_dir", "none"),
        ] {
            config.set(key, value).unwrap();
        }
        Client::new(&config).unwrap()
    }

    fn counts(&self) -> (usize, usize) {
        (self.asked.load(Ordering::SeqCst), self.refused.load(Ordering::SeqCst))
    }
}

fn door(id: &str) -> DoorRequest {
    DoorRequest { request_id: id.into(), cabinet_id: "5f6da2362201410011000001".into(), ..Default::default() }
}

// FAULTS E: first call ok, then every call refused for ever.
#[test]
fn a_wrong_date_does_not_move_a_time_that_is_accepted() {
    let gateway = gateway(0, AHEAD);
    let client = gateway.client();
    for n in 0..4 {
        client.ping().unwrap();
        client.door_open(&door(&format!("visit-{n}"))).unwrap();
    }
    assert_eq!(gateway.counts(), (8, 0));
    // What is told is the accepted time, and where it is from.
    assert!((client.now_ms() / 1000 - system_s()).abs() <= 1);
    assert_eq!(client.time_source(), Source::System);
}

#[test]
fn a_date_is_believed_where_the_devices_time_is_refused() {
    // The service is three hours ahead, and says so.
    let gateway = gateway(3 * AHEAD, 3 * AHEAD);
    let client = gateway.client();
    client.ping().unwrap();
    assert_eq!(gateway.counts(), (2, 1), "refused once, signed anew, accepted");
    client.door_open(&door("visit-1")).unwrap();
    assert_eq!((gateway.counts(), client.time_source()), ((3, 1), Source::Platform));
    // Back to this device's time, which its `Date` does not show: the device's clock is tried again.
    gateway.ahead_s.store(0, Ordering::SeqCst);
    client.ping().unwrap();
    assert_eq!(gateway.counts(), (5, 2));
    client.ping().unwrap();
    assert_eq!(gateway.counts(), (6, 2));
}

#[test]
fn a_command_that_is_refused_for_its_time_is_not_done_and_then_works() {
    let gateway = gateway(3 * AHEAD, 3 * AHEAD);
    let client = gateway.client();
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        outcomes.push(client.door_open(&door("visit-1")).map_err(|e| (e.status(), e.details().outcome)));
        if outcomes.last().is_some_and(Result::is_ok) {
            break;
        }
    }
    assert!(outcomes.last().unwrap().is_ok(), "{outcomes:?}");
    for refused in &outcomes[..outcomes.len() - 1] {
        assert_eq!(refused.as_ref().unwrap_err(), &(KL_E_TIMESTAMP, Outcome::NotDone));
    }
    assert_eq!(gateway.counts(), (2, 1));
}

#[test]
fn neither_time_helps_and_nothing_runs_in_circles() {
    // Its clock is a day off and its `Date` an hour: nothing here can know its time.
    let gateway = gateway(DAY, AHEAD);
    let client = gateway.client();
    for _ in 0..3 {
        let before = gateway.counts().0;
        assert_eq!(client.ping().unwrap_err().status(), KL_E_TIMESTAMP);
        assert!(gateway.counts().0 - before <= 3, "{}", gateway.counts().0 - before);
    }
    // It mends as soon as the platform does.
    gateway.ahead_s.store(0, Ordering::SeqCst);
    client.ping().unwrap();
}

// FAULTS E: the `Date` of a payment host an hour ahead, and the next door was refused.
#[test]
fn a_payment_hosts_date_does_not_touch_the_gateways_time() {
    let gateway = gateway(0, 0);
    let client = gateway.client();
    client.ping().unwrap();
    let paid_at = Server::start(|_, mut stream| {
        read_request(&mut stream);
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n";
        let date = http_date(system_s() + AHEAD);
        stream.write_all(format!("{head}Date: {date}\r\n\r\nsuccess").as_bytes()).unwrap();
    });
    client
        .payment_report(&PaymentReport {
            request_id: "pay-1".into(),
            order_no: "VI1".into(),
            report_url: format!("http://{}/n", paid_at.address),
            trade_no: "T1".into(),
            paid: true,
            amount: 100,
            ..Default::default()
        })
        .unwrap();
    assert_eq!(paid_at.connections(), 1);
    client.door_open(&door("visit-1")).unwrap();
    client.ping().unwrap();
    assert_eq!(gateway.counts(), (3, 0));
    assert!((client.now_ms() / 1000 - system_s()).abs() <= 1);
    assert_eq!(client.time_source(), Source::Platform);
}

/// A server of this name with a certificate of this validity and a `Date`, and its address.
fn dated(ca: &Ca, host: &str, validity: (i64, i64), date_s: i64) -> (Server, Url) {
    let identity = ca.issue(valid(leaf_params(host), validity.0, validity.1));
    let server = Server::tls(server_config(&identity, &[&TLS13], None), move |_, mut tls| {
        read_request(&mut tls);
        let date = http_date(date_s);
        let _ =
            tls.write_all(format!("HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n").as_bytes());
    });
    let url = Url::parse(&format!("https://{host}:{}/", server.address.port())).unwrap();
    (server, url)
}

// FAULTS E: one `Date` 200 days ahead from one vendor, and every account was KL_E_TLS_EXPIRED until a restart.
#[test]
fn one_vendors_wrong_date_does_not_put_the_others_offline() {
    let ca = Ca::new("ca");
    let now = BUILD_TIME + 10 * DAY;
    let (_far, far) = dated(&ca, "far.test", (BUILD_TIME, now + 400 * DAY), now + 200 * DAY);
    let (_near, near) = dated(&ca, "near.test", (BUILD_TIME, now + 80 * DAY), now);
    // Also for a device whose clock was never set.
    for system in [now, 0] {
        let clock = Arc::new(Clock::with_sources(move || system * 1000, monotonic_ms));
        let t = Transport::new(trusting(&ca), clock.clone()).unwrap();
        for url in [&far, &near, &far, &near] {
            t.close_idle();
            assert_eq!(read(&t, url).unwrap().status, 200, "{url} by {system}");
        }
        // The firmware knows better than all of them.
        clock.set_time(now + 100 * DAY).unwrap();
        let other = Transport::new(trusting(&ca), clock.clone()).unwrap();
        assert_eq!(failed(read(&other, &near)), ("KL_E_TLS_EXPIRED", false));
        assert_eq!(read(&other, &far).unwrap().status, 200);
    }
}

#[test]
fn a_server_that_told_the_time_is_held_to_it() {
    // Without a clock of its own the device knows the end of a certificate by the first answer of that server.
    let ca = Ca::new("ca");
    let now = BUILD_TIME + 100 * DAY;
    let (_good, good) = dated(&ca, HOST, (BUILD_TIME, now + 80 * DAY), now);
    let (_ended, ended) = dated(&ca, HOST, (BUILD_TIME, now - DAY), now);
    let clock = Arc::new(Clock::with_sources(|| 0, monotonic_ms));
    let t = Transport::new(trusting(&ca), clock).unwrap();
    assert_eq!(read(&t, &ended).unwrap().status, 200);
    assert_eq!(read(&t, &good).unwrap().status, 200);
    let t = Transport::new(trusting(&ca), t.clock().clone()).unwrap();
    assert_eq!(failed(read(&t, &ended)), ("KL_E_TLS_EXPIRED", false));
}

#[test]
fn a_date_outside_its_own_certificate_is_none() {
    let ca = Ca::new("ca");
    let (from, to) = (BUILD_TIME, BUILD_TIME + 90 * DAY);
    for (date, believed) in [(to + 60, false), (to - 60, true), (from + 60, true), (from - 12 * 3_600, true)]
    {
        let (_server, url) = dated(&ca, HOST, (from, to), date);
        let clock = Arc::new(Clock::with_sources(|| 0, monotonic_ms));
        let t = Transport::new(trusting(&ca), clock.clone()).unwrap();
        assert_eq!(read(&t, &url).unwrap().status, 200);
        assert_eq!(clock.certificate().confirmed, believed, "{}", date - from);
        assert_eq!(clock.source() == Source::Platform, believed);
    }
    let (_server, url) = dated(&ca, HOST, (from + 10 * DAY, to), from + 5 * DAY);
    let clock = Arc::new(Clock::with_sources(|| 0, monotonic_ms));
    let t = Transport::new(trusting(&ca), clock.clone()).unwrap();
    assert_eq!(read(&t, &url).unwrap().status, 200);
    assert!(!clock.certificate().confirmed);
}
