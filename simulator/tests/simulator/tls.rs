//! Certificates and handshakes.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

use kiosklink_sim::Simulator;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion};
use serde_json::{Value, json};

use crate::common::*;

fn set(sim: &Simulator, settings: Value) {
    control(sim, "POST", "/_sim/tls", settings);
}

fn failure(sim: &Simulator) -> String {
    let config = Arc::new(client_config(sim));
    match tls(sim, &config, "localhost") {
        Ok(_) => panic!("the handshake succeeded"),
        Err(error) => error.to_string(),
    }
}

fn ask(stream: &mut Tls, sim: &Simulator) -> std::io::Result<Answer> {
    stream.write_all(&gateway_request(sim, "api.test", &json!({})))?;
    read_answer(stream)
}

#[test]
fn good_under_each_name() {
    let sim = start();
    let config = Arc::new(client_config(&sim));
    for name in ["localhost", "127.0.0.1", "::1"] {
        let mut stream = tls(&sim, &config, name).expect("a handshake");
        assert_eq!(ask(&mut stream, &sim).expect("an answer").status, 200);
    }
}

#[test]
fn certificates_that_are_good_and_worth_a_word() {
    let sim = start();
    for (kind, shown) in [("near_expiry", 1), ("ended_beside", 2)] {
        set(&sim, json!({"certificate": kind}));
        // A new configuration has no session to resume, which would come without a chain.
        let config = Arc::new(client_config(&sim));
        let mut stream = tls(&sim, &config, "localhost").expect("a handshake");
        assert_eq!(ask(&mut stream, &sim).expect("an answer").status, 200);
        assert_eq!(stream.conn.peer_certificates().map(<[_]>::len), Some(shown), "{kind}");
    }
}

#[test]
fn certificates_that_are_wrong_in_one_way() {
    let sim = start();
    for (kind, want) in [
        ("expired", "Expired"),
        ("not_yet_valid", "NotValidYet"),
        ("wrong_name", "NotValidForName"),
        ("untrusted", "UnknownIssuer"),
    ] {
        set(&sim, json!({"certificate": kind}));
        let error = failure(&sim);
        let plain = error.to_lowercase().replace([' ', '_'], "");
        let found = match want {
            "Expired" => plain.contains("expired"),
            "NotValidYet" => plain.contains("notvalidyet"),
            "NotValidForName" => plain.contains("notvalidforname"),
            _ => plain.contains("unknownissuer"),
        };
        assert!(found, "{kind}: {error}");
    }
    set(&sim, json!({"certificate": "good"}));
    assert!(tls(&sim, &Arc::new(client_config(&sim)), "localhost").is_ok());
    control(&sim, "POST", "/_sim/wait", json!({"for": "connections"}));
    let stats = control(&sim, "GET", "/_sim/stats", Value::Null);
    assert_eq!(stats["handshakes"]["failed"], 4);
    assert_eq!(stats["open_connections"], 0);
    assert_eq!(sim.control("POST", "/_sim/tls", json!({"certificate": "bad"})).0, 400);
    assert_eq!(sim.control("POST", "/_sim/tls", json!({"versions": ["1.1"]})).0, 400);
}

#[test]
fn versions() {
    let sim = start();
    for (version, want) in [("1.2", ProtocolVersion::TLSv1_2), ("1.3", ProtocolVersion::TLSv1_3)] {
        set(&sim, json!({"versions": [version]}));
        let stream = tls(&sim, &Arc::new(client_config(&sim)), "localhost").expect("a handshake");
        assert_eq!(stream.conn.protocol_version(), Some(want));
    }
    let only_old = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("versions")
        .with_root_certificates(roots(sim.ca_pem()))
        .with_no_client_auth();
    assert!(tls(&sim, &Arc::new(only_old), "localhost").is_err());
}

#[test]
fn sessions_are_resumed_until_the_certificate_changes() {
    for version in ["1.2", "1.3"] {
        let sim = start();
        set(&sim, json!({"versions": [version]}));
        let config = Arc::new(client_config(&sim));
        let connect = || {
            let mut stream = tls(&sim, &config, "localhost").expect("a handshake");
            ask(&mut stream, &sim).expect("an answer");
            stream.conn.handshake_kind()
        };
        assert_eq!(connect(), Some(HandshakeKind::Full));
        assert_eq!(connect(), Some(HandshakeKind::Resumed));
        set(&sim, json!({"certificate": "good"}));
        assert_eq!(connect(), Some(HandshakeKind::Full));
        let stats = control(&sim, "GET", "/_sim/stats", Value::Null);
        assert_eq!(stats["handshakes"], json!({"full": 2, "resumed": 1, "failed": 0}));
    }
}

#[test]
fn client_certificates() {
    let sim = start();
    set(&sim, json!({"client_auth": "required", "versions": ["1.2"]}));
    failure(&sim);
    let shown = control(&sim, "GET", "/_sim/tls", Value::Null);
    assert_eq!(shown["client_cert_pem"], sim.client_pair_pem().0);
    let (certificate, key) = sim.client_pair_pem();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots(sim.ca_pem()))
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate")],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key"),
        )
        .expect("a pair");
    let mut stream = tls(&sim, &Arc::new(config), "localhost").expect("a handshake");
    assert_eq!(ask(&mut stream, &sim).expect("an answer").status, 200);
}

#[test]
fn a_stalled_handshake_is_never_answered() {
    let sim = start();
    set(&sim, json!({"handshake_stall": true}));
    let mut socket = plain(&sim);
    socket.set_read_timeout(Some(std::time::Duration::from_millis(100))).expect("a timeout");
    socket.write_all(&[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]).expect("it accepts");
    let error = socket.read(&mut [0u8; 1]).expect_err("silence");
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    assert_eq!(exchange(&sim, &gateway_request(&sim, "api.test", &json!({}))).status, 200);
}
