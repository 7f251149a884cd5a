//! A C host has not promised to ignore SIGPIPE. Rust's own start-up code does ignore it, so the calls are made in a
//! child that puts the default back.

mod net;

use kiosklink::cancel::{CancelSource, CancelToken};
use kiosklink::transport::Purpose;
use net::*;
use rustls::version::TLS13;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread;

const CHILD: &str = "KIOSKLINK_TEST_SIGPIPE_CHILD";

#[test]
fn sigpipe_is_never_raised() {
    if std::env::var_os(CHILD).is_some() {
        return calls_into_broken_pipes();
    }
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sigpipe_is_never_raised", "--nocapture"])
        .env(CHILD, "1")
        .status()
        .unwrap();
    assert_eq!(status.signal(), None);
    assert!(status.success());
}

fn calls_into_broken_pipes() {
    // SAFETY: resets one signal's disposition; no handler is installed.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };

    // The peer resets in the middle of a large body.
    let server = Server::start(|_, mut tcp| {
        let _ = tcp.read(&mut [0; 1000]);
        reset(tcp);
    });
    let t = transport(options());
    let url = server.http();
    let body = "x".repeat(32 << 20);
    for _ in 0..3 {
        let deadline = kiosklink::time::Deadline::after(LONG);
        let purpose = kiosklink::transport::Purpose::Command;
        let outcome = t.call(&url, purpose, deadline, &CancelToken::never(), &mut || Ok(post(&url, &body)));
        assert_eq!(failed(outcome), ("KL_E_LOST", true));
    }

    // A cancelled TLS connection is shut down, and then says its farewell into the void.
    let ca = Ca::new("ca");
    let (tell, told) = mpsc::channel();
    let server = Server::tls(server_config(&ca.leaf(), &[&TLS13], None), move |_, mut tls| {
        read_request(&mut tls);
        tell.send(()).unwrap();
        let _ = tls.read(&mut [0]);
    });
    let t = Arc::new(transport(trusting(&ca)));
    let source = CancelSource::new();
    let (own, url, token) = (t.clone(), server.https(), source.token());
    let thread = thread::spawn(move || failed(call_until(&own, &url, Purpose::Read, LONG, &token)));
    told.recv().unwrap();
    source.cancel();
    assert_eq!(thread.join().unwrap(), ("KL_E_CANCELLED", true));
}
