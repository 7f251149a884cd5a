//! Calls over plain HTTP and TLS: framing, reuse, what left and what did not.

mod net;

use kiosklink::cancel::CancelToken;
use kiosklink::error::Error;
use kiosklink::status::*;
use kiosklink::time::clock::Clock;
use kiosklink::transport::{Deadline, Options, Purpose, Transport};
use net::*;
use rustls::version::{TLS12, TLS13};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

#[test]
fn a_warm_call_needs_no_lookup_no_connection_and_no_handshake() {
    let ca = Ca::new("ca");
    let server = Server::tls(server_config(&ca.leaf(), &[&TLS13], None), |_, mut tls| echo(&mut tls));
    let names = Names::local();
    let t = transport(Options { lookup: Some(names.clone()), ..trusting(&ca) });
    for i in 0..5 {
        let reply = read(&t, &server.https()).unwrap();
        assert_eq!(reply.status, 200);
        assert_eq!(reply.body, b"got hello");
        assert_eq!(reply.headers.get("Content-Type"), Some("application/json"));
        assert_eq!(reply.timing.reused, i > 0);
    }
    let stats = t.stats();
    assert_eq!((stats.lookups, stats.connects, stats.handshakes), (1, 1, 1));
    assert_eq!((stats.requests, stats.reused, stats.retried), (5, 4, 0));
    assert_eq!((names.asked(), server.connections()), (1, 1));
}

#[test]
fn tls_1_2_works_and_both_versions_resume_sessions() {
    for version in [&TLS12, &TLS13] {
        let ca = Ca::new("ca");
        let server = Server::tls(server_config(&ca.leaf(), &[version], None), |_, mut tls| echo(&mut tls));
        let t = transport(trusting(&ca));
        for _ in 0..3 {
            assert_eq!(read(&t, &server.https()).unwrap().status, 200);
            t.close_idle();
        }
        let stats = t.stats();
        assert_eq!((stats.handshakes, stats.resumed), (3, 2), "{version:?}");
    }
}

#[test]
fn warm_makes_a_connection_ready_and_the_next_command_uses_it() {
    let ca = Ca::new("ca");
    let server = Server::tls(server_config(&ca.leaf(), &[&TLS13], None), |_, mut tls| echo(&mut tls));
    let t = transport(trusting(&ca));
    t.warm(&server.https(), Deadline::after(LONG), &CancelToken::never()).unwrap();
    t.warm(&server.https(), Deadline::after(LONG), &CancelToken::never()).unwrap();
    assert_eq!(t.stats().connects, 1);
    assert!(command(&t, &server.https()).unwrap().timing.reused);
    assert_eq!((t.stats().connects, server.connections()), (1, 1));
}

/// The kernel's timer of each of this machine's connections to this port, as /proc/net/tcp writes it: 00 none, 01 sends again, 02
/// keep-alive.
fn timers(port: u16) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // Established, and the other end is the server's.
        let ours = fields.get(2)?.ends_with(&format!(":{port:04X}")) && fields[3] == "01";
        ours.then(|| fields[5].split(':').next().unwrap().to_owned())
    });
    rows.collect()
}

/// A probe a minute keeps a 4G radio awake all day.
#[test]
fn an_idle_connection_sends_no_probes() {
    let ca = Ca::new("ca");
    let server = Server::tls(server_config(&ca.leaf(), &[&TLS13], None), |_, mut tls| echo(&mut tls));
    let t = transport(trusting(&ca));
    read(&t, &server.https()).unwrap();
    command(&t, &server.https()).unwrap();
    let url = server.https();
    // What was sent last may not be acknowledged yet.
    let found = loop {
        let found = timers(url.port);
        if found.iter().all(|timer| timer != "01") {
            break found;
        }
        thread::yield_now();
    };
    assert_eq!(found, ["00"]);
}

#[test]
fn the_request_is_what_was_asked_for() {
    let (tell, told) = mpsc::channel();
    let server = Server::start(move |_, mut tcp| {
        tell.send(read_request(&mut tcp).unwrap()).unwrap();
        tcp.write_all(&answer("")).unwrap();
    });
    let t = transport(options());
    let url = server.http();
    let mut request = post(&url, "{}");
    request.headers.push(("X-Sign", "abc".into()));
    call(&t, &url, Purpose::Read, &mut || Ok(request.clone())).unwrap();
    let (head, body) = told.recv().unwrap();
    assert!(head.starts_with("POST /api?secret=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nX-Sign: abc\r\n"), "{head}");
    let lower = head.to_lowercase();
    assert!(lower.contains(&format!("\r\nhost: cabinet.test:{}\r\n", server.address.port())), "{head}");
    assert!(lower.contains("\r\nx-sign: abc\r\n") && lower.contains("\r\ncontent-length: 2\r\n"), "{head}");
    assert!(lower.contains(concat!("\r\nuser-agent: kiosklink/", env!("CARGO_PKG_VERSION"), "\r\n")));
    assert!(!lower.contains("accept-encoding") && !lower.contains("expect") && !lower.contains("chunked"));
    assert_eq!(body, b"{}");
}

#[test]
fn bodies_with_every_method() {
    let (tell, told) = mpsc::channel();
    let server = Server::start(move |_, mut tcp| {
        while let Some(request) = read_request(&mut tcp) {
            tell.send(request).unwrap();
            tcp.write_all(&answer("")).unwrap();
        }
    });
    let t = transport(options());
    let url = server.http();
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        for body in ["", "some"] {
            let mut request = post(&url, body);
            request.method = method;
            let mut prepare = || Ok(request.clone());
            call(&t, &url, Purpose::Read, &mut prepare).unwrap();
            let (head, got) = told.recv().unwrap();
            assert!(head.starts_with(method));
            assert_eq!(got, body.as_bytes(), "{method}");
        }
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn the_answer_to_head_has_no_body() {
    let server = Server::start(|_, mut tcp| {
        while read_request(&mut tcp).is_some() {
            tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n").unwrap();
        }
    });
    let t = transport(options());
    let url = server.http();
    let mut request = post(&url, "");
    request.method = "HEAD";
    for _ in 0..2 {
        let mut prepare = || Ok(request.clone());
        let reply = call(&t, &url, Purpose::Read, &mut prepare).unwrap();
        assert!(reply.status == 200 && reply.body.is_empty());
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_body_larger_than_every_buffer_goes_out_and_comes_back() {
    let ca = Ca::new("ca");
    let server = Server::tls(server_config(&ca.leaf(), &[&TLS13], None), |_, mut tls| {
        let (_, body) = read_request(&mut tls).unwrap();
        tls.write_all(&answer(std::str::from_utf8(&body).unwrap())).unwrap();
        let _ = tls.read(&mut [0]);
    });
    let t = transport(trusting(&ca));
    let url = server.https();
    let body = "0123456789".repeat(60_000);
    let reply = call(&t, &url, Purpose::Command, &mut || Ok(post(&url, &body))).unwrap();
    assert!(reply.body == body.as_bytes());
}

/// Answers the first request with these bytes and then closes. The rest of the connections are echoes.
fn raw(bytes: impl Into<Vec<u8>>) -> Server {
    let bytes = bytes.into();
    Server::start(move |n, mut tcp| {
        if n > 0 {
            return echo(&mut tcp);
        }
        read_request(&mut tcp).unwrap();
        let _ = tcp.write_all(&bytes);
        let _ = tcp.shutdown(Shutdown::Write);
        let _ = tcp.read(&mut [0; 1024]);
    })
}

fn raw_tls(bytes: impl Into<Vec<u8>>, notify: bool) -> (Ca, Server) {
    let (ca, bytes) = (Ca::new("ca"), bytes.into());
    let server = Server::tls(server_config(&ca.leaf(), &[&TLS13], None), move |_, mut tls| {
        read_request(&mut tls).unwrap();
        tls.write_all(&bytes).unwrap();
        if notify {
            tls.conn.send_close_notify();
            tls.conn.write_tls(&mut tls.sock).unwrap();
        }
        let _ = tls.sock.shutdown(Shutdown::Write);
        let _ = tls.sock.read(&mut [0; 1024]);
    });
    (ca, server)
}

#[test]
fn answers_of_every_shape() {
    let big = "x".repeat(40_000);
    let cases: Vec<(String, u16, String)> = vec![
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n".into(), 200, "hello world".into()),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n".into(), 200, "hi".into()),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end".into(), 200, "until the end".into()),
        ("HTTP/1.0 200 OK\r\n\r\nold".into(), 200, "old".into()),
        ("HTTP/1.1 204 No Content\r\n\r\n".into(), 204, String::new()),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n".into(), 304, String::new()),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok".into(), 201, "ok".into()),
        // FAULTS F8: interim answers with headers, and codings that compress nothing.
        ("HTTP/1.1 100 Continue\r\nServer: x\r\nDate: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".into(), 200, "ok".into()),
        ("HTTP/1.1 102 Processing\r\nX: y\r\n\r\n".repeat(20) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok".into()),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: utf-8\r\nContent-Length: 2\r\n\r\nok".into(), 200, "ok".into()),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: none\r\nContent-Length: 2\r\n\r\nok".into(), 200, "ok".into()),
        ("HTTP/1.1 200 OK\r\nContent-Encoding:\r\nContent-Length: 2\r\n\r\nok".into(), 200, "ok".into()),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: identity, UTF-8\r\nContent-Length: 2\r\n\r\nok".into(), 200, "ok".into()),
        ("HTTP/1.1 200 OK\r\nServer nginx\r\nContent-Length: 2\r\n\r\nok".into(), 200, "ok".into()),
        ("HTTP/1.1 200 OK\r\nX: a\u{1}b\r\nX Y: z\r\n: nameless\r\nContent-Length: 2\r\n\r\nok".into(), 200, "ok".into()),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n".into(), 200, String::new()),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n002 ; a=\"b\"\r\nhi\r\n0;last\r\nX: y\r\nZ: w\r\n\r\n".into(), 200, "hi".into()),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n".into(), 200, "hi".into()),
        ("HTTP/1.1 200 OK\nContent-Length: 2\n\nok".into(), 200, "ok".into()),
        ("HTTP/1.1 302 Found\r\nLocation: http://portal.test/\r\nContent-Length: 3\r\n\r\nlog".into(), 302, "log".into()),
        ("HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops".into(), 500, "oops".into()),
        ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".into(), 401, String::new()),
        (format!("HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n{big}"), 200, big.clone()),
        (format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9c40\r\n{big}\r\n0\r\n\r\n"), 200, big),
        // Octets in a header that are no ASCII are no reason to lose the answer.
        ("HTTP/1.1 200 \u{597d}\r\nX-Msg: \u{597d}\r\nContent-Length: 1\r\n\r\n1".into(), 200, "1".into()),
    ];
    for (bytes, status, body) in cases {
        let server = raw(bytes.clone());
        let reply =
            read(&transport(options()), &server.http()).unwrap_or_else(|f| panic!("{bytes}: {}", f.error));
        assert_eq!((reply.status, String::from_utf8(reply.body).unwrap()), (status, body), "{bytes}");
    }
}

#[test]
fn answers_that_are_none() {
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(20_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(200));
    let interims = "HTTP/1.1 103 Early Hints\r\nLink: somewhere\r\n\r\n".repeat(1000);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let extended = format!("{chunked}{}", format!("1;{}\r\nx\r\n", "e".repeat(1000)).repeat(20));
    let trailing = format!("{chunked}1\r\nx\r\n0\r\n{}", "T: trailer\r\n".repeat(2000));
    let cases: Vec<(&str, &str)> = vec![
        ("", "KL_E_LOST"),
        ("HTTP/1.1 200 OK\r\nContent-Le", "KL_E_LOST"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "KL_E_LOST"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "KL_E_LOST"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "KL_E_LOST"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "KL_E_PROTOCOL"),
        ("HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n", "KL_E_PROTOCOL"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12", "KL_E_PROTOCOL"),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\n1", "KL_E_PROTOCOL"),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: utf-8, br\r\nContent-Length: 1\r\n\r\n1", "KL_E_PROTOCOL"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", "KL_E_PROTOCOL"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: cow\r\n\r\nmoo", "KL_E_PROTOCOL"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi!\r\n0\r\n\r\n", "KL_E_PROTOCOL"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nhi\n0\n\n", "KL_E_PROTOCOL"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000002\r\nhi\r\n0\r\n\r\n",
            "KL_E_PROTOCOL",
        ),
        (&extended, "KL_E_PROTOCOL"),
        (&trailing, "KL_E_TOO_LARGE"),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "KL_E_PROTOCOL"),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\x03\x03 no http here at all", "KL_E_PROTOCOL"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "KL_E_PROTOCOL"),
        ("HTTP/1.1 000 No\r\n\r\n", "KL_E_PROTOCOL"),
        ("HTTP/2 200\r\n\r\n", "KL_E_PROTOCOL"),
        (&endless, "KL_E_TOO_LARGE"),
        (&many, "KL_E_TOO_LARGE"),
        (&interims, "KL_E_TOO_LARGE"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", "KL_E_TOO_LARGE"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n", "KL_E_TOO_LARGE"),
    ];
    for (bytes, code) in cases {
        let server = raw(bytes);
        let t = transport(Options { max_reply_bytes: 1000, ..options() });
        assert_eq!(failed(read(&t, &server.http())), (code, true), "{bytes:.80}");
        // Whatever it was, that connection is not used again.
        assert!(!read(&t, &server.http()).unwrap().timing.reused);
    }
    for endless in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7d1\r\n"]
    {
        let server = raw(format!("{endless}{}", "z".repeat(2001)));
        let t = transport(Options { max_reply_bytes: 1000, ..options() });
        assert_eq!(failed(read(&t, &server.http())), ("KL_E_TOO_LARGE", true));
    }
}

#[test]
fn a_body_until_the_end_counts_only_with_an_orderly_end_of_tls() {
    for bytes in ["HTTP/1.1 200 OK\r\n\r\nwhole", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole"] {
        let (ca, server) = raw_tls(bytes, true);
        assert_eq!(read(&transport(trusting(&ca)), &server.https()).unwrap().body, b"whole");
    }
    let (ca, server) = raw_tls("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole", false);
    assert_eq!(read(&transport(trusting(&ca)), &server.https()).unwrap().body, b"whole");
    let (ca, server) = raw_tls("HTTP/1.1 200 OK\r\n\r\nwhole?", false);
    assert_eq!(failed(read(&transport(trusting(&ca)), &server.https())), ("KL_E_LOST", true));
    let (ca, server) = raw_tls("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nwhole?", true);
    assert_eq!(failed(read(&transport(trusting(&ca)), &server.https())), ("KL_E_LOST", true));
}

#[test]
fn a_connection_with_something_left_in_it_is_not_used_again() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\n",
    ] {
        let ca = Ca::new("ca");
        for tls in [true, false] {
            let config = server_config(&ca.leaf(), &[&TLS13], None);
            let server = Server::start(move |_, mut tcp| {
                let serve = |stream: &mut dyn Stream| {
                    while read_request(&mut &mut *stream).is_some() {
                        let _ = stream.write_all(answer.as_bytes());
                    }
                };
                if tls {
                    if let Ok(mut stream) = accept(&config, tcp) {
                        serve(&mut stream);
                    }
                } else {
                    serve(&mut tcp);
                }
            });
            let t = transport(trusting(&ca));
            let url = if tls { server.https() } else { server.http() };
            for _ in 0..3 {
                let reply = read(&t, &url).unwrap();
                assert_eq!(reply.body, b"ok");
                assert!(!reply.timing.reused);
            }
            assert_eq!(server.connections(), 3);
        }
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

#[test]
fn late_junk_on_an_idle_connection_is_noticed_before_it_is_used() {
    let (tell, told) = mpsc::channel();
    let server = Server::start(move |_, mut tcp| {
        read_request(&mut tcp).unwrap();
        tcp.write_all(&answer("one")).unwrap();
        // The client has its answer now, or will have; this comes behind it.
        tcp.write_all(&answer("late")).unwrap();
        tell.send(()).unwrap();
        let _ = tcp.read(&mut [0]);
    });
    let t = transport(options());
    for _ in 0..3 {
        assert_eq!(read(&t, &server.http()).unwrap().body, b"one");
        told.recv().unwrap();
    }
    assert_eq!(server.connections(), 3);
}

/// The first connection answers once, waits for a second request (or not), and dies; later ones are echoes.
fn dies_on_the_second(ends: impl Fn(std::net::TcpStream) + Send + Sync + 'static) -> Server {
    Server::start(move |n, mut tcp| {
        if n > 0 {
            return echo(&mut tcp);
        }
        read_request(&mut tcp).unwrap();
        tcp.write_all(&answer("first")).unwrap();
        ends(tcp);
    })
}

#[test]
fn a_read_survives_a_connection_that_died_while_idle() {
    for with_reset in [false, true] {
        let server = dies_on_the_second(move |mut tcp| {
            // It looked open when the request was sent, and dies with the request read.
            read_request(&mut tcp).unwrap();
            if with_reset { reset(tcp) } else { drop(tcp) }
        });
        let t = transport(options());
        read(&t, &server.http()).unwrap();
        let reply = read(&t, &server.http()).unwrap();
        assert_eq!(reply.body, b"got hello");
        assert_eq!((t.stats().retried, t.stats().reused, server.connections()), (1, 1, 2));
    }
}

#[test]
fn a_read_is_repeated_once_and_only_on_a_reused_connection() {
    let server = Server::start(|n, mut tcp| {
        read_request(&mut tcp);
        if n == 0 {
            tcp.write_all(&answer("first")).unwrap();
            read_request(&mut tcp);
        }
    });
    let t = transport(options());
    read(&t, &server.http()).unwrap();
    assert_eq!(failed(read(&t, &server.http())), ("KL_E_LOST", true));
    assert_eq!((server.connections(), t.stats().retried), (2, 1));
    assert_eq!(failed(read(&t, &server.http())), ("KL_E_LOST", true));
    assert_eq!((server.connections(), t.stats().retried), (3, 1));
}

#[test]
fn a_command_is_never_repeated_once_a_byte_left() {
    for with_reset in [false, true] {
        let server = dies_on_the_second(move |mut tcp| {
            read_request(&mut tcp).unwrap();
            if with_reset { reset(tcp) } else { drop(tcp) }
        });
        let t = transport(options());
        command(&t, &server.http()).unwrap();
        assert_eq!(failed(command(&t, &server.http())), ("KL_E_LOST", true));
        assert_eq!((server.connections(), t.stats().retried), (1, 0));
    }
}

#[test]
fn a_connection_that_was_closed_while_idle_is_not_used_at_all() {
    let (tell, told) = mpsc::channel();
    let server = dies_on_the_second(move |tcp| {
        drop(tcp);
        tell.send(()).unwrap();
    });
    let t = transport(options());
    command(&t, &server.http()).unwrap();
    told.recv().unwrap();
    let reply = command(&t, &server.http()).unwrap();
    assert!(!reply.timing.reused);
    assert_eq!(reply.body, b"got hello");
    assert_eq!(t.stats().retried, 0);
}

/// Answers every request, with this header.
fn keeping(header: &'static str) -> Server {
    Server::start(move |_, mut tcp| {
        while read_request(&mut tcp).is_some() {
            let text = format!("HTTP/1.1 200 OK\r\n{header}\r\nContent-Length: 2\r\n\r\nok");
            if tcp.write_all(text.as_bytes()).is_err() {
                return;
            }
        }
    })
}

// FAULTS F7
#[test]
fn a_command_takes_no_connection_that_the_server_may_be_closing() {
    for (header, reused) in [
        ("X: y", true),
        ("Keep-Alive: timeout=30, max=5", true),
        ("Keep-Alive: timeout=1", false),
        ("Keep-Alive: timeout=0", false),
    ] {
        let server = keeping(header);
        let t = transport(options());
        command(&t, &server.http()).unwrap();
        assert_eq!(command(&t, &server.http()).unwrap().timing.reused, reused, "{header}");
    }
    // A read finds out, and loses nothing by it.
    let server = keeping("Keep-Alive: timeout=1");
    let t = transport(options());
    read(&t, &server.http()).unwrap();
    assert!(read(&t, &server.http()).unwrap().timing.reused);
}

// FAULTS F7: a journal on a slow card, and the connection grows old meanwhile.
#[test]
fn a_connection_that_grew_too_old_while_the_request_was_prepared_is_not_used() {
    let server = keeping("Keep-Alive: timeout=2");
    let t = transport(options());
    let url = server.http();
    command(&t, &url).unwrap();
    let mut asked = 0;
    let reply = call(&t, &url, Purpose::Command, &mut || {
        asked += 1;
        if asked == 1 {
            thread::sleep(Duration::from_millis(1_100));
        }
        Ok(post(&url, "hello"))
    });
    assert!(!reply.unwrap().timing.reused);
    assert_eq!((asked, server.connections(), t.stats().requests), (2, 2, 2));
}

// FAULTS F7: the server does not say when it closes, and is found out.
#[test]
fn when_idle_connections_die_is_learned() {
    let (tell, told) = mpsc::channel();
    let (close, closes) = mpsc::channel::<()>();
    let closes = std::sync::Mutex::new(closes);
    let server = Server::start(move |n, mut tcp| {
        if n > 0 {
            return echo(&mut tcp);
        }
        read_request(&mut tcp).unwrap();
        tcp.write_all(&answer("first")).unwrap();
        closes.lock().unwrap().recv().unwrap();
        drop(tcp);
        tell.send(()).unwrap();
    });
    let t = transport(options());
    command(&t, &server.http()).unwrap();
    let idle = std::time::Instant::now();
    thread::sleep(Duration::from_millis(150));
    close.send(()).unwrap();
    told.recv().unwrap();
    assert!(!command(&t, &server.http()).unwrap().timing.reused);
    let died = idle.elapsed();
    assert!(died < Duration::from_secs(2), "too slow a machine to see it");
    // The next one lives, but a command does not rely on it for so long again. A read does: it can be repeated.
    thread::sleep(died);
    assert!(read(&t, &server.http()).unwrap().timing.reused);
    thread::sleep(died);
    assert!(!command(&t, &server.http()).unwrap().timing.reused);
    assert_eq!(server.connections(), 3);
}

#[test]
fn a_reply_begun_is_not_asked_for_again() {
    let server = dies_on_the_second(|mut tcp| {
        read_request(&mut tcp).unwrap();
        tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal").unwrap();
    });
    let t = transport(options());
    read(&t, &server.http()).unwrap();
    assert_eq!(failed(read(&t, &server.http())), ("KL_E_LOST", true));
    assert_eq!(server.connections(), 1);
}

#[test]
fn left_is_false_while_nothing_left() {
    let ca = Ca::new("ca");
    // Nobody listens.
    let closed = Server::start(|_, _| {});
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let url = kiosklink::transport::Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
    assert_eq!(failed(command(&transport(options()), &url)), ("KL_E_CONNECT", false));
    // Closed in the handshake.
    assert_eq!(failed(command(&transport(trusting(&ca)), &closed.https())), ("KL_E_CONNECT", false));
    let rst = Server::start(|_, mut tcp| {
        let _ = tcp.read(&mut [0; 16]);
        reset(tcp);
    });
    assert_eq!(failed(command(&transport(trusting(&ca)), &rst.https())), ("KL_E_CONNECT", false));
}

#[test]
fn left_is_true_from_the_first_byte_the_kernel_takes() {
    // The peer resets without having read anything: the bytes had left all the same.
    let server = Server::start(move |_, tcp| {
        tcp.peek(&mut [0]).unwrap();
        reset(tcp);
    });
    assert_eq!(failed(command(&transport(options()), &server.http())), ("KL_E_LOST", true));

    let ca = Ca::new("ca");
    let server = Server::tls(server_config(&ca.leaf(), &[&TLS13], None), |_, mut tls| {
        // The request may have come in with the end of the handshake.
        if tls.conn.process_new_packets().unwrap().plaintext_bytes_to_read() == 0 {
            tls.sock.peek(&mut [0]).unwrap();
        }
        reset(tls.sock);
    });
    assert_eq!(failed(command(&transport(trusting(&ca)), &server.https())), ("KL_E_LOST", true));
}

#[test]
fn a_request_larger_than_the_link_takes_left_even_if_never_whole() {
    let gate = Arc::new(Barrier::new(2));
    let held = gate.clone();
    let server = Server::start(move |_, _tcp| {
        held.wait(); // holds the connection and reads nothing
    });
    let t = transport(options());
    let url = server.http();
    let body = "x".repeat(32 << 20);
    let outcome = t.call(
        &url,
        Purpose::Command,
        Deadline::after(Duration::from_secs(2)),
        &CancelToken::never(),
        &mut || Ok(post(&url, &body)),
    );
    let failure = outcome.unwrap_err();
    assert_eq!((failure.error.status(), failure.left), (KL_E_TIMEOUT_SEND, true));
    gate.wait();
}

#[test]
fn prepare_is_asked_when_the_connection_stands_and_may_refuse() {
    let server = Server::start(|_, mut tcp| echo(&mut tcp));
    let t = transport(options());
    let url = server.http();
    let outcome = call(&t, &url, Purpose::Command, &mut || {
        assert_eq!(t.stats().connects, 1);
        Err(Error::new(KL_E_STALE, "too late"))
    });
    assert_eq!(failed(outcome), ("KL_E_STALE", false));
    // The connection was kept, and nothing had been sent over it.
    let reply = command(&t, &url).unwrap();
    assert!(reply.timing.reused);
    assert_eq!((t.stats().connects, t.stats().requests), (1, 1));
    // A prepare that takes all the time there is: nothing is sent either.
    let outcome = t.call(
        &url,
        Purpose::Command,
        Deadline::after(Duration::from_millis(20)),
        &CancelToken::never(),
        &mut || {
            thread::sleep(Duration::from_millis(40));
            Ok(post(&url, "hello"))
        },
    );
    assert_eq!(failed(outcome), ("KL_E_TIMEOUT_SEND", false));
    assert_eq!(t.stats().requests, 1);
}

#[test]
fn what_cannot_be_sent_is_refused_with_nothing_sent() {
    let server = Server::start(|_, mut tcp| echo(&mut tcp));
    let t = transport(options());
    let url = server.http();
    for value in ["a\r\nX-Evil: 1", "a\0b", "a\nb"] {
        let mut request = post(&url, "hello");
        request.headers.push(("X-Name", value.into()));
        let outcome = call(&t, &url, Purpose::Command, &mut || Ok(request.clone()));
        assert_eq!(failed(outcome), ("KL_E_ARGUMENT", false));
    }
    for (name, value) in
        [("X: y\r\nZ", "1"), ("", "1"), ("Host", "evil"), ("content-length", "3"), ("Expect", "100-continue")]
    {
        let mut request = post(&url, "hello");
        request.headers.push((name, value.into()));
        let outcome = call(&t, &url, Purpose::Command, &mut || Ok(request.clone()));
        assert_eq!(failed(outcome), ("KL_E_ARGUMENT", false));
    }
    for (method, path) in [
        ("GET /x", "/"),
        ("", "/"),
        ("get", "/"),
        ("CONNECT", "/"),
        ("GET", "/a b"),
        ("GET", "x"),
        ("GET", "/\u{597d}"),
    ] {
        let mut request = post(&url, "hello");
        request.method = method;
        Arc::make_mut(&mut request.url).path_and_query = path.into();
        let outcome = call(&t, &url, Purpose::Command, &mut || Ok(request.clone()));
        assert_eq!(failed(outcome), ("KL_E_ARGUMENT", false));
    }
    let other = Server::start(|_, mut tcp| echo(&mut tcp)).http();
    let outcome = call(&t, &url, Purpose::Command, &mut || Ok(post(&other, "hello")));
    assert_eq!(failed(outcome), ("KL_E_INTERNAL", false));
    assert_eq!(t.stats().requests, 0);
}

#[test]
fn plain_http_only_where_it_is_allowed() {
    let server = Server::start(|_, mut tcp| echo(&mut tcp));
    let t = transport(Options { allow_http: false, ..options() });
    assert_eq!(failed(read(&t, &server.http())), ("KL_E_CONFIG_VALUE", false));
    assert_eq!(
        t.warm(&server.http(), Deadline::after(LONG), &CancelToken::never()).unwrap_err().status(),
        KL_E_CONFIG_VALUE
    );
    assert_eq!(server.connections(), 0);
}

#[test]
fn many_threads_share_one_transport() {
    let ca = Ca::new("ca");
    let server = Server::tls(server_config(&ca.leaf(), &[&TLS13], None), |_, mut tls| echo(&mut tls));
    let t = Arc::new(transport(trusting(&ca)));
    let threads: Vec<_> = (0..8)
        .map(|i| {
            let (t, url) = (t.clone(), server.https());
            thread::spawn(move || {
                for j in 0..10 {
                    let body = format!("{i}-{j}");
                    let mut prepare = || Ok(post(&url, &body));
                    let reply = call(&t, &url, Purpose::Read, &mut prepare).unwrap();
                    assert_eq!(reply.body, format!("got {body}").into_bytes());
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let before = t.stats().connects;
    for _ in 0..4 {
        read(&t, &server.https()).unwrap();
    }
    assert_eq!(t.stats().connects, before);
    assert_eq!(t.stats().requests, 84);
}

#[test]
fn as_many_connections_are_kept_as_were_used_at_once() {
    const AT_ONCE: usize = 8;
    let ca = Ca::new("ca");
    let server = Server::tls(server_config(&ca.leaf(), &[&TLS13], None), |_, mut tls| echo(&mut tls));
    let (t, url) = (transport(trusting(&ca)), server.https());
    let all = std::sync::Barrier::new(AT_ONCE);
    for _ in 0..3 {
        thread::scope(|s| {
            for _ in 0..AT_ONCE {
                s.spawn(|| {
                    let mut prepare = || {
                        // Each has its connection by now.
                        all.wait();
                        Ok(post(&url, "hello"))
                    };
                    call(&t, &url, Purpose::Read, &mut prepare).unwrap();
                });
            }
        });
    }
    let stats = t.stats();
    assert_eq!((stats.connects, stats.handshakes, stats.reused), (8, 8, 16));
}

/// Counts how often the direction changes: each change to client-to-server is one turn of the link.
#[test]
fn a_cold_call_takes_two_turns_after_the_connect_and_a_warm_one_takes_one() {
    let ca = Ca::new("ca");
    let server = Server::tls(server_config(&ca.leaf(), &[&TLS13], None), |_, mut tls| echo(&mut tls));
    let turns = Arc::new(AtomicUsize::new(0));
    let (count, to) = (turns.clone(), server.address);
    let relay = Server::start(move |_, client| {
        let server = std::net::TcpStream::connect(to).unwrap();
        server.set_nodelay(true).unwrap();
        // Which side spoke last: 0 nobody, 1 the client, 2 the server.
        let last = Arc::new(AtomicUsize::new(0));
        let pump = |mut from: std::net::TcpStream, mut to: std::net::TcpStream, side: usize| {
            let (last, count) = (last.clone(), count.clone());
            thread::spawn(move || {
                let mut buffer = [0; 16384];
                while let Ok(n @ 1..) = from.read(&mut buffer) {
                    if last.swap(side, Ordering::SeqCst) != side && side == 1 {
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                    if to.write_all(&buffer[..n]).is_err() {
                        break;
                    }
                }
                let _ = to.shutdown(Shutdown::Write);
            })
        };
        let up = pump(client.try_clone().unwrap(), server.try_clone().unwrap(), 1);
        pump(server, client, 2);
        up.join().unwrap();
    });
    let t = transport(trusting(&ca));
    read(&t, &relay.https()).unwrap();
    // Hello and its answer; Finished together with the request, and the reply. Session tickets may come between
    // Finished and request, which is no wait of ours.
    let cold = turns.swap(0, Ordering::SeqCst);
    assert!(cold == 2 || cold == 3, "{cold}");
    read(&t, &relay.https()).unwrap();
    assert_eq!(turns.load(Ordering::SeqCst), 1);
}

#[test]
fn the_date_is_learned_from_answers_and_not_from_caches() {
    use kiosklink::time::clock::{BUILD_TIME, Source};
    let day = kiosklink::time::clock::parse_http_date("Mon, 01 Jan 2035 00:00:00 GMT").unwrap();
    assert!(day > BUILD_TIME);
    for (extra, learned) in [("", true), ("Age: 0\r\n", true), ("Age: 7\r\n", false)] {
        for status in [200, 401, 503] {
            let bytes = format!(
                "HTTP/1.1 {status} X\r\nDate: Mon, 01 Jan 2035 00:00:00 GMT\r\n{extra}Content-Length: 0\r\n\r\n"
            );
            let server = raw(bytes);
            let clock = Arc::new(Clock::with_sources(|| 0, kiosklink::time::clock::monotonic_ms));
            let t = Transport::new(options(), clock.clone()).unwrap();
            read(&t, &server.http()).unwrap();
            assert_eq!(clock.source() == Source::Platform, learned);
            // Plain http vouches for nothing.
            assert!(!clock.certificate().confirmed);
            if learned {
                assert!((clock.now_ms() / 1000 - day).abs() < 60);
            }
        }
    }
}
