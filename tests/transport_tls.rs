//! Who is trusted, at what time, and what it is called when it fails.

mod net;

use kiosklink::status::*;
use kiosklink::time::clock::{BUILD_TIME, Clock, Source, monotonic_ms};
use kiosklink::transport::{ClientCert, Options, Roots, Transport, Url, parse_pin};
use net::*;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use std::io::{Read, Write};
use std::sync::{Arc, mpsc};

const DAY: i64 = 86_400;

fn echo_server(identity: &Identity) -> Server {
    Server::tls(server_config(identity, &[&TLS12, &TLS13], None), |_, mut tls| echo(&mut tls))
}

fn clocked(options: Options, system_s: i64) -> (Transport, Arc<Clock>) {
    let clock = Arc::new(Clock::with_sources(move || system_s * 1000, monotonic_ms));
    (Transport::new(options, clock.clone()).unwrap(), clock)
}

#[test]
fn strangers_wrong_names_and_wrong_uses_are_told_apart() {
    let (ca, other) = (Ca::new("ca"), Ca::new("ca"));
    let mut for_clients = leaf_params(HOST);
    for_clients.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let own = leaf_params(HOST).self_signed(&key).unwrap();
    let self_signed = Identity {
        chain: vec![own.der().clone()],
        key: key.serialize_der(),
        chain_pem: own.pem(),
        key_pem: key.serialize_pem(),
    };
    for (identity, code) in [
        (other.leaf(), "KL_E_TLS_UNTRUSTED"),
        (self_signed, "KL_E_TLS_UNTRUSTED"),
        (ca.issue(leaf_params("elsewhere.test")), "KL_E_TLS_WRONG_NAME"),
        (ca.issue(leaf_params("127.0.0.1")), "KL_E_TLS_WRONG_NAME"),
        (ca.issue(for_clients), "KL_E_TLS_UNTRUSTED"),
        // The intermediate is not sent along.
        (ca.below("middle").leaf(), "KL_E_TLS_UNTRUSTED"),
    ] {
        let server = echo_server(&identity);
        let t = transport(trusting(&ca));
        assert_eq!(failed(command(&t, &server.https())), (code, false));
        assert_eq!(t.stats().handshakes, 0);
    }
    let middle = ca.below("middle");
    let server = echo_server(&middle.leaf().with_chain(&[&middle]));
    assert_eq!(read(&transport(trusting(&ca)), &server.https()).unwrap().status, 200);
    // The built-in roots do not know our CA, and an address can be a name too.
    assert_eq!(failed(read(&transport(options()), &server.https())), ("KL_E_TLS_UNTRUSTED", false));
    let server = echo_server(&ca.issue(leaf_params("127.0.0.1")));
    let url = Url::parse(&format!("https://127.0.0.1:{}/", server.address.port())).unwrap();
    assert_eq!(read(&transport(trusting(&ca)), &url).unwrap().status, 200);
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_in_words() {
    let ca = Ca::new("ca");
    let sentence = |identity: &Identity| {
        let server = echo_server(identity);
        let failure = read(&transport(trusting(&ca)), &server.https()).expect_err("this call cannot succeed");
        failure.error.message().to_owned()
    };
    let names = |names: &[&str]| {
        let mut params = leaf_params(HOST);
        params.subject_alt_names =
            CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())
                .unwrap()
                .subject_alt_names;
        sentence(&ca.issue(params))
    };
    let wrong = format!("the certificate is not for {HOST}");
    assert_eq!(names(&["elsewhere.test"]), format!("{wrong} but for elsewhere.test"));
    assert_eq!(names(&["10.1.2.3", "::1"]), format!("{wrong} but for 10.1.2.3, ::1"));
    assert_eq!(names(&["*.a.test", "b.test", "c.test"]), format!("{wrong} but for *.a.test, b.test, c.test"));
    assert_eq!(names(&["a.test", "b.test", "c.test", "d.test"]), {
        format!("{wrong} but for a.test, b.test, c.test, ...")
    });
    // FAULTS G: a name that is only the common name, and an address written as a name.
    assert_eq!(
        names(&[]),
        format!(
            "{wrong}: it has no subjectAltName, and its common name \"{HOST}\" does not count; it needs one with \
             DNS:{HOST}"
        )
    );
    let as_dns = || {
        let mut params = leaf_params(HOST);
        params.subject_alt_names = vec![rcgen::SanType::DnsName("127.0.0.1".try_into().unwrap())];
        ca.issue(params)
    };
    let server = echo_server(&as_dns());
    let url = Url::parse(&format!("https://127.0.0.1:{}/", server.address.port())).unwrap();
    let failure = read(&transport(trusting(&ca)), &url).unwrap_err();
    assert_eq!(failure.error.status(), KL_E_TLS_WRONG_NAME);
    assert_eq!(
        failure.error.message(),
        "the certificate is not for 127.0.0.1 as an address: that stands in it as a DNS name; it needs \
         subjectAltName IP:127.0.0.1"
    );
    let many: Vec<String> = (0..300).map(|n| format!("a-name-of-some-length-{n}.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(names(&many).contains(" but for a-name-of-some-length-0.test, "));

    let mut itself = leaf_params(HOST);
    itself.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let untrusted = format!("the certificate of {HOST} is not trusted: ");
    assert_eq!(
        sentence(&ca.issue(itself)),
        format!(
            "{untrusted}it is the certificate of a CA, not of a server: let the CA sign one for the server, or make a \
             self-signed one with basicConstraints=CA:FALSE and trust that"
        )
    );
    assert_eq!(sentence(&Ca::new("ca").leaf()), format!("{untrusted}its signature is wrong"));

    // FAULTS G: where the chain that was sent ends.
    let nobody = format!("{untrusted}no known root vouches for it: it");
    let middle = ca.below("middle");
    let missing = "which the server does not send and which is not among the CAs trusted here: \
                   an intermediate certificate is missing on the server, or the CA is another one";
    assert_eq!(sentence(&middle.leaf()), format!("{nobody} was issued by \"middle\", {missing}"));
    let lower = middle.below("lower");
    assert_eq!(
        sentence(&lower.leaf().with_chain(&[&lower])),
        format!("{nobody} was issued by \"middle\", {missing}")
    );
    let other = Ca::new("other");
    assert_eq!(
        sentence(&other.leaf().with_chain(&[&other])),
        format!("{nobody} comes from \"other\", which is not among the CAs trusted here")
    );
}

/// The advice in the sentence works: a self-signed certificate that is no CA, trusted as it is.
#[test]
fn a_desk_certificate_that_is_no_ca_is_trusted_by_itself() {
    let key = KeyPair::generate().unwrap();
    let own = leaf_params(HOST).self_signed(&key).unwrap();
    let identity = Identity {
        chain: vec![own.der().clone()],
        key: key.serialize_der(),
        chain_pem: own.pem(),
        key_pem: key.serialize_pem(),
    };
    let server = echo_server(&identity);
    let t = transport(Options { roots: Roots::Pem(own.pem().into_bytes()), ..options() });
    assert_eq!(read(&t, &server.https()).unwrap().status, 200);
}

// FAULTS G
#[test]
fn a_key_that_is_too_short_is_said_to_be() {
    let pem = |text: &[u8]| CertificateDer::from_pem_slice(text).unwrap();
    let root = include_bytes!("net/certs/short-ca.pem");
    let key_pem = include_str!("net/certs/leaf-of-short-ca.key");
    let identity = Identity {
        chain: vec![pem(include_bytes!("net/certs/leaf-of-short-ca.pem"))],
        key: KeyPair::from_pem(key_pem).unwrap().serialize_der(),
        chain_pem: String::new(),
        key_pem: String::new(),
    };
    let server = echo_server(&identity);
    let options = Options { roots: Roots::Pem(root.to_vec()), ..options() };
    // Within the validity of these certificates, whenever this is run.
    let (t, _) = clocked(options, BUILD_TIME.max(1_800_000_000));
    let failure = read(&t, &server.https()).unwrap_err();
    assert_eq!(failure.error.status(), KL_E_TLS_UNTRUSTED);
    assert_eq!(
        failure.error.message(),
        format!(
            "the certificate of {HOST} is not trusted: the RSA key of \"short\" has 1024 bits, and less than 2048 \
             proves nothing"
        )
    );
}

// FAULTS G
#[test]
fn a_server_without_a_common_cipher_is_said_to_have_none() {
    let ca = Ca::new("ca");
    for alert in [40, 71] {
        let server = Server::start(move |_, mut tcp| {
            let _ = tcp.read(&mut [0; 4096]);
            let _ = tcp.write_all(&[21, 3, 3, 0, 2, 2, alert]);
            let _ = tcp.read(&mut [0; 4096]);
        });
        let failure = command(&transport(trusting(&ca)), &server.https()).unwrap_err();
        assert_eq!((failure.error.status(), failure.left), (KL_E_TLS, false));
        assert!(failure.error.message().contains("no cipher in common"), "{}", failure.error);
    }
}

/// Takes any certificate, as a vendor's gateway takes those of its own old CA.
#[derive(Debug)]
struct AnyClient;

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

// FAULTS G
#[test]
fn a_client_certificate_of_x509_version_1_works() {
    let ca = Ca::new("ca");
    let (chain_pem, key_pem) =
        (include_str!("net/certs/client-v1.pem"), include_str!("net/certs/client-v1.key"));
    for version in [&TLS12, &TLS13] {
        let leaf = ca.leaf();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf.key.clone()));
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(Arc::new(AnyClient))
            .with_single_cert(leaf.chain.clone(), key)
            .unwrap();
        let (tell, told) = mpsc::channel();
        let server = Server::tls(Arc::new(config), move |_, mut tls| {
            tell.send(tls.conn.peer_certificates().map(|chain| chain[0].to_vec())).unwrap();
            echo(&mut tls);
        });
        let client_cert = Some(ClientCert { chain_pem: chain_pem.into(), key_pem: key_pem.into() });
        let t = transport(Options { client_cert, ..trusting(&ca) });
        assert_eq!(command(&t, &server.https()).unwrap().status, 200);
        let shown = CertificateDer::from_pem_slice(chain_pem.as_bytes()).unwrap();
        assert_eq!(told.recv().unwrap().as_deref(), Some(&*shown));
    }
    // With somebody else's key it is refused at once.
    let client_cert = Some(ClientCert { chain_pem: chain_pem.into(), key_pem: ca.leaf().key_pem.into() });
    let refused = Transport::new(Options { client_cert, ..options() }, Arc::new(Clock::new()));
    assert_eq!(refused.unwrap_err().status(), KL_E_CLIENT_CERT);
}

// FAULTS G: nginx ends the handshake well, and asks for the certificate over HTTP.
#[test]
fn a_client_certificate_that_nginx_asks_for_is_said_to_be_missing() {
    let ca = Ca::new("ca");
    for (words, says) in [
        ("No required SSL certificate was sent", "wants a client certificate"),
        ("The SSL certificate error", "does not accept the client certificate"),
    ] {
        let server = Server::tls(server_config(&ca.leaf(), &[&TLS13], None), move |_, mut tls| {
            read_request(&mut tls);
            let page = format!(
                "<html>\r\n<head><title>400 {words}</title></head>\r\n<body>\r\n<center><h1>400 Bad Request</h1>\
                 </center>\r\n<center>{words}</center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
            );
            let head = format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n", page.len());
            let _ = tls.write_all(head.as_bytes());
            let _ = tls.write_all(page.as_bytes());
            let _ = tls.read(&mut [0]);
        });
        let failure = command(&transport(trusting(&ca)), &server.https()).unwrap_err();
        // A byte of it left: what that means is not for this layer to say.
        assert_eq!((failure.error.status(), failure.left), (KL_E_TLS_CLIENT_CERT, true));
        assert!(failure.error.message().contains(says), "{}", failure.error);
    }
}

#[test]
fn roots_are_all_good_or_an_error_with_the_count() {
    let make = |pem: String| {
        let options = Options { roots: Roots::Pem(pem.into_bytes()), ..options() };
        Transport::new(options, Arc::new(Clock::new()))
            .map(drop)
            .map_err(|e| (e.status(), e.message().to_owned()))
    };
    let good = Ca::new("one").cert.pem();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let torn = &good[..good.len() / 2];
    assert!(make(good.clone()).is_ok());
    assert!(make(format!("# a comment\n{good}\r\n{}", Ca::new("two").cert.pem())).is_ok());
    assert_eq!(make(String::new()).unwrap_err().0, KL_E_ROOTS);
    assert_eq!(make("no certificate here".into()).unwrap_err().0, KL_E_ROOTS);
    for bad in [
        format!("{good}{broken}"),
        format!("{broken}{good}"),
        format!("{good}{torn}"),
        format!("{torn}{good}"),
    ] {
        let (status, message) = make(bad).unwrap_err();
        assert_eq!(status, KL_E_ROOTS);
        assert!(message.contains("1 of the 2"), "{message}");
    }
}

#[test]
fn pins_hold_for_the_chain_that_was_verified() {
    let ca = Ca::new("root");
    let middle = ca.below("middle");
    let stranger = ca.below("stranger");
    let leaf = middle.leaf();
    let leaf_key = KeyPair::from_pem(&leaf.key_pem).unwrap();
    // The stranger's certificate is sent along but vouches for nothing here.
    let server = echo_server(&leaf.with_chain(&[&middle, &stranger]));
    let pin = |key: &KeyPair| {
        let provider = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().unwrap();
        let hash = provider.common.hash_provider.hash(&key.public_key_der());
        parse_pin(&hash.as_ref().iter().map(|b| format!("{b:02x}")).collect::<String>()).unwrap()
    };
    let other = KeyPair::generate().unwrap();
    for (pins, fits) in [
        (vec![pin(&leaf_key)], true),
        (vec![pin(&middle.key)], true),
        (vec![pin(&other), pin(&leaf_key)], true),
        (vec![pin(&other)], false),
        (vec![pin(&stranger.key)], false),
    ] {
        let t = transport(Options { pins, ..trusting(&ca) });
        let outcome = command(&t, &server.https());
        if fits {
            assert_eq!(outcome.unwrap().status, 200);
        } else {
            assert_eq!(failed(outcome), ("KL_E_TLS_PIN", false));
        }
    }
}

#[test]
fn a_client_certificate_is_shown_when_asked_for() {
    let (ca, clients, strangers) = (Ca::new("ca"), Ca::new("clients"), Ca::new("strangers"));
    let cert = |ca: &Ca| {
        let identity = ca.issue(leaf_params("kiosk-7"));
        ClientCert { chain_pem: identity.chain_pem.into_bytes(), key_pem: identity.key_pem.into_bytes() }
    };
    for version in [&TLS12, &TLS13] {
        let server = Server::tls(server_config(&ca.leaf(), &[version], Some(&clients)), |_, mut tls| {
            assert!(tls.conn.peer_certificates().is_some());
            echo(&mut tls);
        });
        let with = |client_cert| transport(Options { client_cert, ..trusting(&ca) });
        assert_eq!(read(&with(Some(cert(&clients))), &server.https()).unwrap().status, 200);
        for client_cert in [None, Some(cert(&strangers))] {
            let (code, left) = failed(command(&with(client_cert), &server.https()));
            assert_eq!(code, "KL_E_TLS_CLIENT_CERT", "{version:?}");
            // In TLS 1.3 the verdict can come after the request is on its way.
            assert!(!left || version.version == rustls::ProtocolVersion::TLSv1_3);
        }
    }
    // Nobody asks: it is not shown, and does no harm.
    let server = echo_server(&ca.leaf());
    let t = transport(Options { client_cert: Some(cert(&clients)), ..trusting(&ca) });
    assert_eq!(read(&t, &server.https()).unwrap().status, 200);
}

#[test]
fn a_client_certificate_that_cannot_work_is_refused_at_once() {
    let ca = Ca::new("ca");
    let (one, two) = (ca.leaf(), ca.leaf());
    let make = |chain: &str, key: &str| {
        let client_cert = Some(ClientCert { chain_pem: chain.into(), key_pem: key.into() });
        let made = Transport::new(Options { client_cert, ..options() }, Arc::new(Clock::new()));
        made.map(drop).map_err(|e| e.status())
    };
    assert_eq!(make(&one.chain_pem, &one.key_pem), Ok(()));
    // In one file, either way round.
    let both = format!("{}{}", one.key_pem, one.chain_pem);
    assert_eq!(make(&both, &both), Ok(()));
    for (chain, key) in [
        (one.chain_pem.as_str(), two.key_pem.as_str()),
        ("", one.key_pem.as_str()),
        (&one.chain_pem, ""),
        (&one.chain_pem, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &one.key_pem),
        (&one.chain_pem[..100], &one.key_pem),
    ] {
        assert_eq!(make(chain, key), Err(KL_E_CLIENT_CERT));
    }
}

/// What this build does not know is named, on all three ways that it can come.
#[test]
fn ed25519_is_a_feature() {
    let ca = Ca::new("ca");
    let on = cfg!(feature = "ed25519");
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let cert = leaf_params(HOST).signed_by(&key, &ca.cert, &ca.key).unwrap();
    let leaf = Identity {
        chain: vec![cert.der().clone()],
        key: key.serialize_der(),
        chain_pem: cert.pem(),
        key_pem: key.serialize_pem(),
    };

    let client_cert =
        Some(ClientCert { chain_pem: leaf.chain_pem.clone().into(), key_pem: leaf.key_pem.clone().into() });
    let made = Transport::new(Options { client_cert, ..options() }, Arc::new(Clock::new()));
    match made {
        Ok(_) => assert!(on),
        Err(e) => assert!(!on && e.status() == KL_E_CLIENT_CERT && e.message().contains("Ed25519"), "{e}"),
    }

    // The server's own key: it finds no way to sign that we take.
    let said = |identity: &Identity, roots: Roots| {
        let server = echo_server(identity);
        read(&transport(Options { roots, ..options() }), &server.https()).map(|reply| reply.status)
    };
    match said(&leaf, ca.roots()) {
        Ok(status) => assert!(on && status == 200),
        Err(e) => assert!(!on && e.error.message().contains("with an ECDSA or RSA key"), "{}", e.error),
    }

    // A CA's.
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let cert = params.self_signed(&key).unwrap();
    let desk = Ca { cert, key };
    match said(&desk.leaf(), desk.roots()) {
        Ok(status) => assert!(on && status == 200),
        Err(e) => {
            assert!(
                !on && e.error.status() == KL_E_TLS_UNTRUSTED && e.error.message().contains("Ed25519"),
                "{}",
                e.error
            );
        }
    }
}

#[test]
fn what_is_no_tls_is_said_to_be_none() {
    let ca = Ca::new("ca");
    for junk in ["HTTP/1.1 400 Bad Request\r\n\r\n<html>portal</html>", "220 smtp ready\r\n"] {
        let server = Server::start(move |_, mut tcp| {
            let _ = tcp.write_all(junk.as_bytes());
            let _ = tcp.read(&mut [0; 4096]);
        });
        assert_eq!(failed(command(&transport(trusting(&ca)), &server.https())), ("KL_E_TLS", false));
    }
    // A server that has no TLS we accept: its hello offers SSL 3.0, by an alert of protocol_version.
    let server = Server::start(|_, mut tcp| {
        let _ = tcp.read(&mut [0; 4096]);
        let _ = tcp.write_all(&[21, 3, 1, 0, 2, 2, 70]);
        let _ = tcp.read(&mut [0; 4096]);
    });
    let failure = command(&transport(trusting(&ca)), &server.https()).unwrap_err();
    assert_eq!(failure.error.status(), KL_E_TLS);
    assert!(failure.error.message().contains("no version"), "{}", failure.error);
}

#[test]
fn only_http_1_1_is_offered() {
    let ca = Ca::new("ca");
    let (tell, told) = mpsc::channel();
    let server = Server::tls(server_config(&ca.leaf(), &[&TLS13], None), move |_, mut tls| {
        tell.send(tls.conn.alpn_protocol().map(<[u8]>::to_vec)).unwrap();
        echo(&mut tls);
    });
    read(&transport(trusting(&ca)), &server.https()).unwrap();
    assert_eq!(told.recv().unwrap().as_deref(), Some(&b"http/1.1"[..]));
}

/// A device with no clock works, from the certificates that exist now to those not made yet.
#[test]
fn a_clock_at_1970_does_not_keep_the_device_offline() {
    let ca = Ca::new("ca");
    for (from, to) in [(-400, 400), (10, 100), (1000, 1090)] {
        let params = valid(leaf_params(HOST), BUILD_TIME + from * DAY, BUILD_TIME + to * DAY);
        let server = echo_server(&ca.issue(params));
        for system in [0, 1000, 946_684_800, BUILD_TIME - 1] {
            let (t, _) = clocked(trusting(&ca), system);
            assert_eq!(read(&t, &server.https()).unwrap().status, 200, "{from} {to} {system}");
        }
    }
    // But what had ended when this library was built has ended.
    let params = valid(leaf_params(HOST), BUILD_TIME - 90 * DAY, BUILD_TIME - DAY);
    let server = echo_server(&ca.issue(params));
    for system in [0, BUILD_TIME + 1] {
        let (t, _) = clocked(trusting(&ca), system);
        assert_eq!(failed(read(&t, &server.https())), ("KL_E_TLS_EXPIRED", false));
    }
    // And a stranger's certificate stays a stranger's.
    let params = valid(leaf_params(HOST), BUILD_TIME + DAY, BUILD_TIME + 90 * DAY);
    let server = echo_server(&Ca::new("other").issue(params));
    let (t, _) = clocked(trusting(&ca), 0);
    assert_eq!(failed(read(&t, &server.https())), ("KL_E_TLS_UNTRUSTED", false));
}

#[test]
fn a_clock_far_ahead_is_named_as_what_it_is() {
    let ca = Ca::new("ca");
    let end = BUILD_TIME + 90 * DAY;
    let server = echo_server(&ca.issue(valid(leaf_params(HOST), BUILD_TIME - DAY, end)));
    let outcome = |system| failed(read(&clocked(trusting(&ca), system).0, &server.https()));
    assert_eq!(outcome(end + DAY), ("KL_E_TLS_EXPIRED", false));
    assert_eq!(outcome(end + 31 * DAY), ("KL_E_CLOCK", false));
    assert_eq!(outcome(end + 9000 * DAY), ("KL_E_CLOCK", false));
    // Both dates are in the sentence.
    let failure = read(&clocked(trusting(&ca), end + 31 * DAY).0, &server.https()).unwrap_err();
    for date in [end, end + 31 * DAY] {
        let date = kiosklink::time::clock::format_time(date);
        assert!(failure.error.message().contains(&date[..10]), "{}", failure.error);
    }
    // A trusted time settles it, either way.
    let (t, clock) = clocked(trusting(&ca), end + 9000 * DAY);
    clock.set_time(BUILD_TIME + DAY).unwrap();
    assert_eq!(read(&t, &server.https()).unwrap().status, 200);
    let (t, clock) = clocked(trusting(&ca), BUILD_TIME + DAY);
    clock.set_time(end + 60 * DAY).unwrap();
    assert_eq!(failed(read(&t, &server.https())), ("KL_E_TLS_EXPIRED", false));
    // A stranger's expired certificate is a stranger's, not a matter of the clock.
    let server = echo_server(&Ca::new("x").issue(valid(leaf_params(HOST), BUILD_TIME - DAY, end)));
    let (t, _) = clocked(trusting(&ca), end + 60 * DAY);
    assert_eq!(failed(read(&t, &server.https())), ("KL_E_TLS_UNTRUSTED", false));
}

#[test]
fn not_yet_valid_is_an_error_only_for_a_clock_that_is_set() {
    let ca = Ca::new("ca");
    let from = BUILD_TIME + 10 * DAY;
    let server = echo_server(&ca.issue(valid(leaf_params(HOST), from, from + 90 * DAY)));
    let (t, _) = clocked(trusting(&ca), BUILD_TIME + DAY);
    assert_eq!(failed(read(&t, &server.https())), ("KL_E_TLS_NOT_YET_VALID", false));
    let (t, clock) = clocked(trusting(&ca), 0);
    clock.set_time(BUILD_TIME + DAY).unwrap();
    assert_eq!(failed(read(&t, &server.https())), ("KL_E_TLS_NOT_YET_VALID", false));
}

/// A resumed session is not verified again; its certificate ends all the same.
#[test]
fn a_session_does_not_outlive_its_certificate() {
    let ca = Ca::new("ca");
    let end = BUILD_TIME + 90 * DAY;
    for version in [&TLS12, &TLS13] {
        let identity = ca.issue(valid(leaf_params(HOST), BUILD_TIME - DAY, end));
        let server = Server::tls(server_config(&identity, &[version], None), |_, mut tls| echo(&mut tls));
        let (t, clock) = clocked(trusting(&ca), BUILD_TIME + DAY);
        clock.set_time(end - DAY).unwrap();
        for _ in 0..2 {
            assert_eq!(read(&t, &server.https()).unwrap().status, 200);
            t.close_idle();
        }
        assert_eq!(t.stats().resumed, 1, "{version:?}");
        clock.set_time(end + DAY).unwrap();
        assert_eq!(failed(command(&t, &server.https())), ("KL_E_TLS_EXPIRED", false), "{version:?}");
    }
}

#[test]
fn a_verified_date_becomes_certificate_time() {
    let ca = Ca::new("ca");
    let day = kiosklink::time::clock::parse_http_date("Mon, 01 Jan 2035 00:00:00 GMT").unwrap();
    let server = Server::tls(server_config(&ca.leaf(), &[&TLS13], None), |_, mut tls| {
        read_request(&mut tls);
        let _ = tls.write_all(
            b"HTTP/1.1 401 No\r\nDate: Mon, 01 Jan 2035 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
        );
        let _ = tls.read(&mut [0]);
    });
    let (t, clock) = clocked(trusting(&ca), 0);
    assert_eq!(clock.certificate_time(), BUILD_TIME);
    assert_eq!(read(&t, &server.https()).unwrap().status, 401);
    assert_eq!(clock.source(), Source::Platform);
    assert!(clock.certificate().confirmed && (clock.certificate_time() - day).abs() < 60);
}
