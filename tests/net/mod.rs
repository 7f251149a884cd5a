//! A scripted server on loopback, with a CA of its own.
#![allow(dead_code)] // each test file uses its part

use kiosklink::cancel::CancelToken;
use kiosklink::error::Result;
use kiosklink::time::clock::Clock;
use kiosklink::transport::{
    Deadline, Failure, Lookup, Options, Purpose, Reply, Request, Roots, Transport, Url,
};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub const HOST: &str = "cabinet.test";
/// Nothing here takes this long unless it hangs.
pub const LONG: Duration = Duration::from_secs(30);

pub struct Ca {
    pub cert: rcgen::Certificate,
    pub key: KeyPair,
}

#[derive(Clone)]
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: Vec<u8>,
    pub chain_pem: String,
    pub key_pem: String,
}

fn named(name: &str) -> DistinguishedName {
    let mut dn = DistinguishedName::new();
    dn.push(DnType::CommonName, name);
    dn
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = named(name);
    params
}

pub fn leaf_params(host: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.distinguished_name = named(host);
    params
}

/// The same with another validity, in Unix seconds.
pub fn valid(mut params: CertificateParams, from_s: i64, to_s: i64) -> CertificateParams {
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(from_s as u64);
    params.not_after = epoch + Duration::from_secs(to_s as u64);
    params
}

impl Ca {
    pub fn new(name: &str) -> Ca {
        let key = KeyPair::generate().unwrap();
        let cert = ca_params(name).self_signed(&key).unwrap();
        Ca { cert, key }
    }

    pub fn below(&self, name: &str) -> Ca {
        let key = KeyPair::generate().unwrap();
        let cert = ca_params(name).signed_by(&key, &self.cert, &self.key).unwrap();
        Ca { cert, key }
    }

    pub fn issue(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.cert, &self.key).unwrap();
        Identity {
            chain: vec![cert.der().clone()],
            key: key.serialize_der(),
            chain_pem: cert.pem(),
            key_pem: key.serialize_pem(),
        }
    }

    pub fn leaf(&self) -> Identity {
        self.issue(leaf_params(HOST))
    }

    pub fn roots(&self) -> Roots {
        Roots::Pem(self.cert.pem().into_bytes())
    }
}

impl Identity {
    pub fn with_chain(mut self, more: &[&Ca]) -> Identity {
        for ca in more {
            self.chain.push(ca.cert.der().clone());
        }
        self
    }
}

pub fn server_config(
    identity: &Identity,
    versions: &[&'static SupportedProtocolVersion],
    clients_from: Option<&Ca>,
) -> Arc<ServerConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).unwrap();
    let builder = match clients_from {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(ca.cert.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        }
    };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.clone()));
    let mut config = builder.with_single_cert(identity.chain.clone(), key).unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

pub type Tls = StreamOwned<ServerConnection, TcpStream>;

/// Runs the handshake to its end.
pub fn accept(config: &Arc<ServerConfig>, tcp: TcpStream) -> io::Result<Tls> {
    let mut tls = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), tcp);
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock)?;
    }
    while tls.conn.wants_write() {
        tls.conn.write_tls(&mut tls.sock)?;
    }
    Ok(tls)
}

/// Head and body of one request; `None` if the client closed instead.
pub fn read_request(stream: &mut impl Read) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => bytes.push(byte[0]),
            _ => return None,
        }
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head
        .lines()
        .filter_map(|l| l.split_once(": "))
        .find(|(n, _)| n.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, v)| v.trim().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

pub fn answer(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nContent-Type: application/json\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Answers every request of every connection the same way.
pub fn echo(stream: &mut (impl Read + Write)) {
    while let Some((_, body)) = read_request(stream) {
        let text = String::from_utf8(body).unwrap();
        if stream.write_all(&answer(&format!("got {text}"))).is_err() {
            return;
        }
    }
}

/// Ends the connection with a RST.
pub fn reset(stream: TcpStream) {
    let socket = socket2::SockRef::from(&stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

pub struct Server {
    pub address: SocketAddr,
    pub accepted: Arc<AtomicUsize>,
}

impl Server {
    /// Each connection gets a thread of its own, and its number.
    pub fn start(handler: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (count, handler) = (accepted.clone(), Arc::new(handler));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                let (n, handler) = (count.fetch_add(1, Ordering::SeqCst), handler.clone());
                thread::spawn(move || handler(n, stream));
            }
        });
        Server { address, accepted }
    }

    /// The same behind TLS.
    pub fn tls(config: Arc<ServerConfig>, handler: impl Fn(usize, Tls) + Send + Sync + 'static) -> Server {
        Server::start(move |n, tcp| {
            if let Ok(tls) = accept(&config, tcp) {
                handler(n, tls);
            }
        })
    }

    pub fn https(&self) -> Url {
        Url::parse(&format!("https://{HOST}:{}/api?secret=1", self.address.port())).unwrap()
    }

    pub fn http(&self) -> Url {
        Url::parse(&format!("http://{HOST}:{}/api?secret=1", self.address.port())).unwrap()
    }

    pub fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// A resolver that knows one answer at a time and counts its questions.
pub struct Names {
    pub answer: Mutex<io::Result<Vec<IpAddr>>>,
    pub asked: AtomicUsize,
}

impl Names {
    pub fn local() -> Arc<Names> {
        Names::of(&["127.0.0.1"])
    }

    pub fn of(list: &[&str]) -> Arc<Names> {
        let list = list.iter().map(|ip| ip.parse().unwrap()).collect();
        Arc::new(Names { answer: Mutex::new(Ok(list)), asked: AtomicUsize::new(0) })
    }

    pub fn set(&self, answer: io::Result<Vec<IpAddr>>) {
        *self.answer.lock().unwrap() = answer;
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Lookup for Names {
    fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match &*self.answer.lock().unwrap() {
            Ok(list) => Ok(list.clone()),
            Err(e) => Err(io::Error::new(e.kind(), e.to_string())),
        }
    }
}

pub fn options() -> Options {
    Options { allow_http: true, lookup: Some(Names::local()), ..Options::default() }
}

pub fn trusting(ca: &Ca) -> Options {
    Options { roots: ca.roots(), ..options() }
}

pub fn transport(options: Options) -> Transport {
    Transport::new(options, Arc::new(Clock::new())).unwrap()
}

pub fn post(url: &Url, body: &str) -> Request {
    Request {
        method: "POST",
        url: url.clone().into(),
        headers: vec![("Content-Type", "application/json".into())],
        body: body.as_bytes().to_vec(),
    }
}

pub type Outcome = std::result::Result<Reply, Failure>;

pub fn call_in(t: &Transport, url: &Url, purpose: Purpose, time: Duration) -> Outcome {
    call_until(t, url, purpose, time, &CancelToken::never())
}

pub fn call_until(
    t: &Transport,
    url: &Url,
    purpose: Purpose,
    time: Duration,
    token: &CancelToken,
) -> Outcome {
    t.call(url, purpose, Deadline::after(time), token, &mut || Ok(post(url, "hello")))
}

/// A call that nobody cancels, with all the time in the world.
pub fn call(
    t: &Transport,
    url: &Url,
    purpose: Purpose,
    prepare: &mut dyn FnMut() -> Result<Request>,
) -> Outcome {
    t.call(url, purpose, Deadline::after(LONG), &CancelToken::never(), prepare)
}

pub fn read(t: &Transport, url: &Url) -> Outcome {
    call_in(t, url, Purpose::Read, LONG)
}

pub fn command(t: &Transport, url: &Url) -> Outcome {
    call_in(t, url, Purpose::Command, LONG)
}

/// The code of a failure and whether a byte left, with a check that its sentence betrays nothing.
#[track_caller]
pub fn failed(outcome: Outcome) -> (&'static str, bool) {
    let failure = outcome.expect_err("this call cannot succeed");
    let message = failure.error.message();
    assert!(!message.contains("secret") && !message.contains("hello"), "{message}");
    println!("{message}");
    // The last try's byte is one of the call's.
    assert!(failure.left || !failure.first_write.left);
    (kiosklink::status::name(failure.error.status()).unwrap(), failure.left)
}
