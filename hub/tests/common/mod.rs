//! A hub as a process, a simulator, and kiosks that speak with it over TLS.

#![allow(dead_code)] // each test uses its part

use kiosklink_hub::{auth, b64, enrol};
use kiosklink_sim::{Options, Simulator};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// A folder that is gone when the test ends well.
pub struct Place(pub PathBuf);

impl Place {
    pub fn new(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("kiosklink-hub-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Place(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// A simulator with its accounts file, and where the hub keeps its data.
pub struct World {
    pub sim: Simulator,
    pub place: Place,
}

pub const CABINET: &str = "5f6da2362201410011000001";
pub const OTHER: &str = "5f6da2362201410011000002";

impl World {
    pub fn new(name: &str) -> World {
        let sim = Simulator::start(Options::default()).unwrap();
        let place = Place::new(name);
        let ca = place.0.join("ca.pem");
        std::fs::write(&ca, sim.ca_pem()).unwrap();
        sim.write_accounts(&place.0.join("accounts.json"), &ca.to_string_lossy()).unwrap();
        World { sim, place }
    }

    pub fn data(&self) -> PathBuf {
        self.place.0.join("hub")
    }

    pub fn accounts(&self) -> PathBuf {
        self.place.0.join("accounts.json")
    }

    pub fn hub(&self) -> Hub {
        self.hub_on(0)
    }

    pub fn hub_on(&self, port: u16) -> Hub {
        Hub::start(&self.data(), &self.accounts(), port, &[])
    }

    /// A hub that tells platforms where it is.
    pub fn public_hub(&self) -> Hub {
        let mut first = self.hub();
        assert!(first.stop());
        let url = format!("https://localhost:{}", first.port);
        Hub::start(&self.data(), &self.accounts(), first.port, &["--public", &url])
    }

    /// An operator's command; its lines.
    pub fn operator(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_kiosklink-hub"))
            .arg(words[0])
            .args(["--data", &self.data().to_string_lossy()])
            .args(&words[1..])
            .output()
            .unwrap()
    }

    pub fn lines(&self, words: &[&str]) -> Vec<Value> {
        let out = self.operator(words);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }

    pub fn code(&self, words: &[&str]) -> String {
        let accounts = self.accounts();
        let accounts = accounts.to_string_lossy();
        let mut all = vec!["enrol", "--accounts", &accounts];
        all.extend(words);
        let out = self.operator(&all);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let text = String::from_utf8(out.stdout).unwrap();
        text.lines().find_map(|l| l.strip_prefix("code ")).unwrap().to_owned()
    }

    /// A kiosk at this cabinet that may do the usual.
    pub fn kiosk(&self, hub: &Hub, words: &[&str]) -> Kiosk {
        let code = self.code(words);
        let mut kiosk = Kiosk::new(hub.port);
        let (status, answer) = kiosk.enrol(&code);
        assert_eq!(status, 200, "{answer}");
        kiosk
    }

    /// The platform's callbacks come to the hub.
    pub fn callbacks_to(&self, hub: &Hub, account: &str) {
        let ca = std::fs::read_to_string(self.data().join("tls-cert.pem")).unwrap();
        let url = format!("https://localhost:{}/callback/{account}", hub.port);
        let body = json!({"platform": account, "url": url, "ca_pem": ca});
        let (status, answer) = self.sim.control("POST", "/_sim/callbacks", body);
        assert_eq!(status, 200, "{answer}");
    }

    pub fn openings(&self) -> usize {
        self.sim.control("GET", "/_sim/openings", Value::Null).1.as_array().unwrap().len()
    }
}

/// A hub that runs.
pub struct Hub {
    pub child: Child,
    pub port: u16,
    pub admin: u16,
    pub log: PathBuf,
}

impl Hub {
    pub fn start(data: &Path, accounts: &Path, port: u16, more: &[&str]) -> Hub {
        let log = data.with_extension("log");
        let stderr = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_kiosklink-hub"))
            .args(["--data", &data.to_string_lossy(), "--accounts", &accounts.to_string_lossy()])
            .args(["--listen", &format!("127.0.0.1:{port}"), "--admin", "127.0.0.1:0"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("it did not start: {}", std::fs::read_to_string(&log).unwrap()));
        let port = |key: &str| ready[key].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        Hub { port: port("listen"), admin: port("admin"), child, log }
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM; whether it ended well.
    pub fn stop(&mut self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().success()
    }

    /// What the operator's address answers.
    pub fn admin(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        (status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The hub is known by its pin; here nobody is in between.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
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
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A connection to the hub.
pub fn connect(port: u16) -> std::io::Result<Tls> {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    let tcp = TcpStream::connect(("127.0.0.1", port))?;
    tcp.set_read_timeout(Some(Duration::from_secs(60)))?;
    let tls = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    Ok(StreamOwned::new(tls, tcp))
}

/// What came back.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub challenge: String,
    pub body: String,
}

/// One request on a connection of its own.
pub fn request(port: u16, method: &str, path: &str, headers: &str, body: &[u8]) -> std::io::Result<Got> {
    let mut stream = connect(port)?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    stream.flush()?;
    read_answer(&mut stream)
}

pub fn read_answer(stream: &mut Tls) -> std::io::Result<Got> {
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes);
    if bytes.is_empty() {
        ended?;
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let cut = || std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "cut off");
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(cut)?;
    let field = |name: &str| {
        head.lines()
            .find_map(|l| l.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)))
            .map(|(_, v)| v)
    };
    if field("content-length").is_some_and(|n| n.parse() != Ok(body.len())) {
        return Err(cut());
    }
    Ok(Got {
        status: head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(cut)?,
        challenge: field("hub-challenge").unwrap_or_default().to_owned(),
        body: body.to_owned(),
    })
}

/// A kiosk.
pub struct Kiosk {
    pub port: u16,
    pub device: String,
    pub key: u32,
    pub pair: EcdsaKeyPair,
    pub challenge: String,
}

pub fn key_pair() -> EcdsaKeyPair {
    let rng = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &rng).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &rng).unwrap()
}

pub fn spki(pair: &EcdsaKeyPair) -> String {
    const HEAD: [u8; 26] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    b64(&[&HEAD, pair.public_key().as_ref()].concat())
}

pub fn sign(pair: &EcdsaKeyPair, text: &str) -> Vec<u8> {
    pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap().as_ref().to_vec()
}

impl Kiosk {
    pub fn new(port: u16) -> Kiosk {
        Kiosk { port, device: String::new(), key: 0, pair: key_pair(), challenge: String::new() }
    }

    pub fn enrol(&mut self, code: &str) -> (u16, Value) {
        let key = spki(&self.pair);
        let proof = b64(&sign(&self.pair, &enrol::proof_text(code, &key)));
        let body = json!({"code": code, "public_key": key, "proof": proof}).to_string();
        let got = request(self.port, "POST", "/v1/enrol", "", body.as_bytes()).unwrap();
        let answer: Value = serde_json::from_str(&got.body).unwrap();
        if got.status == 200 {
            self.device = answer["device"].as_str().unwrap().to_owned();
            self.key = answer["key"].as_u64().unwrap() as u32;
        }
        (got.status, answer)
    }

    /// The header for one request.
    pub fn header(&self, path: &str, body: &str, nonce: &str) -> String {
        let text =
            auth::signed_text("POST", path, &self.device, self.key, &self.challenge, nonce, body.as_bytes());
        let value = auth::header(&self.device, self.key, &self.challenge, nonce, &sign(&self.pair, &text));
        format!("Authorization: {value}\r\n")
    }

    /// One signed request, signed again if the hub wants another challenge.
    pub fn try_ask(&mut self, verb: &str, fields: Value) -> std::io::Result<(u16, Value)> {
        let (path, body) = (format!("/v1/{verb}"), fields.to_string());
        let mut tries = 0;
        loop {
            tries += 1;
            let nonce = kiosklink_hub::hex(&kiosklink_hub::random::<16>());
            let got = request(self.port, "POST", &path, &self.header(&path, &body, &nonce), body.as_bytes())?;
            self.challenge = got.challenge;
            let answer: Value = serde_json::from_str(&got.body).unwrap_or(Value::Null);
            if got.status != 401 || answer["error"] != "challenge" || tries == 2 {
                return Ok((got.status, answer));
            }
        }
    }

    pub fn ask(&mut self, verb: &str, fields: Value) -> (u16, Value) {
        self.try_ask(verb, fields).unwrap()
    }

    /// An answer that must be 200.
    pub fn good(&mut self, verb: &str, fields: Value) -> Value {
        let (status, answer) = self.ask(verb, fields);
        assert_eq!(status, 200, "{verb}: {answer}");
        answer
    }
}
