//! A caller and a callback receiver, written from the notes.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kiosklink_sim::{Options, Simulator};
use md5::{Digest, Md5};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

pub const APPID: &str = "100000000001";
pub const SECRET: &str = "test-secret";
pub const PAY_KEY: &str = "test-pay-key";
pub const GATEWAY: &str = "/yopoint/api/gateway/index";
pub const CABINET: &str = "5f6da2362201410011000001";
pub const TWO_DOORS: &str = "5f6da2362201410011000002";
pub const OFFLINE: &str = "5f6da2362201410011000003";
pub const NOT_SELLING: &str = "5f6da2362201410011000004";
pub const LIMIT: Duration = Duration::from_secs(10);

pub fn start() -> Simulator {
    Simulator::start(Options::default()).expect("it starts")
}

/// A control request that must succeed.
pub fn control(sim: &Simulator, method: &str, path: &str, body: Value) -> Value {
    let (status, answer) = sim.control(method, path, body);
    assert_eq!(status, 200, "{method} {path}: {answer}");
    answer
}

pub fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

pub fn encode(text: &str) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.~".contains(b);
    text.bytes().map(|b| if plain(&b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

pub fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let hex: String = bytes.by_ref().take(2).map(char::from).collect();
                out.push(u8::from_str_radix(&hex, 16).expect("two hexadecimal digits"));
            }
            other => out.push(other),
        }
    }
    String::from_utf8(out).expect("UTF-8")
}

pub type Fields = Vec<(String, String)>;

pub fn get<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).unwrap_or_else(|| panic!("no {name}"))
}

pub fn sign(fields: &Fields, secret: &str) -> String {
    let mut sorted: Vec<_> = fields.iter().filter(|(n, _)| n != "sign").collect();
    sorted.sort();
    let joined: Vec<_> = sorted.iter().map(|(n, v)| format!("{n}={v}")).collect();
    md5(&format!("{}&{secret}", joined.join("&")))
}

/// The platforms' time in seconds.
pub fn now(sim: &Simulator) -> i64 {
    control(sim, "GET", "/_sim/clock", Value::Null)["now_ms"].as_i64().expect("a number") / 1000
}

pub fn common_fields(method: &str, biz: &str, timestamp: &str) -> Fields {
    let mut fields: Fields = [
        ("appid", APPID),
        ("method", method),
        ("biz_content", biz),
        ("version", "1.0.0"),
        ("timestamp", timestamp),
        ("sign_type", "md5"),
    ]
    .map(|(n, v)| (n.to_owned(), v.to_owned()))
    .to_vec();
    fields.push(("sign".into(), sign(&fields, SECRET)));
    fields
}

pub fn form(fields: &Fields) -> String {
    let pairs: Vec<_> = fields.iter().map(|(n, v)| format!("{n}={}", encode(v))).collect();
    pairs.join("&")
}

pub fn post(path: &str, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// A signed request to the gateway.
pub fn gateway_request(sim: &Simulator, method: &str, biz: &Value) -> Vec<u8> {
    let fields = common_fields(method, &biz.to_string(), &now(sim).to_string());
    post(GATEWAY, "application/x-www-form-urlencoded", &form(&fields))
}

pub fn plain(sim: &Simulator) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", sim.port())).expect("it listens");
    socket.set_read_timeout(Some(LIMIT)).expect("a timeout");
    socket
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

/// Reads one answer; a chunked body is left as it came.
pub fn read_answer(stream: &mut impl Read) -> io::Result<Answer> {
    let mut got = Vec::new();
    let mut byte = [0u8; 1];
    while !got.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        got.push(byte[0]);
    }
    let head = String::from_utf8(got).expect("a head in UTF-8");
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok());
    let headers: Vec<_> = lines
        .map(|l| l.split_once(": ").expect("a header field"))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect();
    let mut answer = Answer { status: status.expect("a status"), headers, body: Vec::new() };
    match answer.header("content-length").map(|l| l.parse().expect("a length")) {
        Some(length) => {
            answer.body = vec![0; length];
            stream.read_exact(&mut answer.body)?;
        }
        None if answer.header("transfer-encoding").is_some() => {
            while !answer.body.ends_with(b"0\r\n\r\n") {
                stream.read_exact(&mut byte)?;
                answer.body.push(byte[0]);
            }
        }
        None => {
            stream.read_to_end(&mut answer.body)?;
        }
    }
    Ok(answer)
}

pub fn exchange(sim: &Simulator, request: &[u8]) -> Answer {
    let mut socket = plain(sim);
    socket.write_all(request).expect("it reads");
    read_answer(&mut socket).expect("an answer")
}

/// Calls a method over plain HTTP and answers the envelope.
pub fn call(sim: &Simulator, method: &str, biz: Value) -> Value {
    exchange(sim, &gateway_request(sim, method, &biz)).json()
}

/// Calls a method that must succeed and answers its data.
pub fn data(sim: &Simulator, method: &str, biz: Value) -> Value {
    let envelope = call(sim, method, biz);
    assert_eq!(envelope["error_code"], 0, "{method}: {envelope}");
    assert_eq!(envelope["error_msg"], "SUCCESS");
    envelope["data"].clone()
}

/// Calls a method that must fail and answers the name of the failure.
pub fn refusal(sim: &Simulator, method: &str, biz: Value) -> String {
    let envelope = call(sim, method, biz);
    assert_eq!(envelope["error_code"], -1, "{method}: {envelope}");
    envelope["error_msg"].as_str().expect("a name").to_owned()
}

pub fn roots(pem: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.expect("a certificate")).expect("a root");
    }
    roots
}

pub fn client_config(sim: &Simulator) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots(sim.ca_pem()))
        .with_no_client_auth()
}

pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A connection after its handshake.
pub fn tls(sim: &Simulator, config: &Arc<ClientConfig>, name: &'static str) -> io::Result<Tls> {
    let name = ServerName::try_from(name).expect("a name");
    let client = ClientConnection::new(config.clone(), name).expect("a client");
    let mut stream = StreamOwned::new(client, plain(sim));
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// Receives callbacks and answers them.
pub struct Callbacks {
    pub url: String,
    arrived: Receiver<Fields>,
    answer: Arc<Mutex<String>>,
}

pub const TAKEN: &str = r#"{"error_code":0,"error_msg":"SUCCESS","data":{}}"#;

impl Callbacks {
    /// Starts a receiver and makes it the address of both channels.
    pub fn of(sim: &Simulator) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/callback", listener.local_addr().expect("an address"));
        let (sender, arrived) = channel();
        let answer = Arc::new(Mutex::new(TAKEN.to_owned()));
        let says = answer.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.expect("a connection");
                let Some(body) = read_body(&mut socket) else { continue };
                let fields = body
                    .split('&')
                    .map(|p| p.split_once('=').expect("a pair"))
                    .map(|(n, v)| (decode(n), decode(v)))
                    .collect();
                if sender.send(fields).is_err() {
                    return;
                }
                let text = says.lock().expect("no panic").clone();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
                let _ = socket.write_all(&[head.as_bytes(), text.as_bytes()].concat());
            }
        });
        control(sim, "POST", "/_sim/callbacks", json!({"platform": "yopoint", "url": url}));
        Self { url, arrived, answer }
    }

    pub fn answer_with(&self, text: &str) {
        *self.answer.lock().expect("no panic") = text.to_owned();
    }

    pub fn next(&self) -> Fields {
        self.arrived.recv_timeout(LIMIT).expect("a callback")
    }

    /// The next callback: its method and content; its signature is checked.
    pub fn next_signed(&self, secret: &str) -> (String, Value) {
        let fields = self.next();
        let mut names: Vec<_> = fields.iter().map(|(n, _)| n.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["appid", "biz_content", "method", "sign", "sign_type", "timestamp"]);
        assert_eq!(get(&fields, "sign"), sign(&fields, secret), "{fields:?}");
        let content = serde_json::from_str(get(&fields, "biz_content")).expect("JSON");
        (get(&fields, "method").to_owned(), content)
    }

    pub fn none_waiting(&self) -> bool {
        self.arrived.try_recv().is_err()
    }
}

fn read_body(socket: &mut TcpStream) -> Option<String> {
    let mut got = Vec::new();
    let mut piece = [0u8; 4096];
    loop {
        let text = String::from_utf8_lossy(&got).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length: usize = head
                .lines()
                .find_map(|l| l.strip_prefix("Content-Length: "))
                .and_then(|l| l.parse().ok())
                .expect("a length");
            if body.len() >= length {
                return Some(body.to_owned());
            }
        }
        match socket.read(&mut piece) {
            Ok(n) if n > 0 => got.extend_from_slice(&piece[..n]),
            _ => return None,
        }
    }
}

/// A request with a body in JSON, and what else stands in its head.
pub fn json_request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// A signed request to Dingshang, from the notes: payload fields in order, the key of the vendor's samples.
pub fn dingshang_request(method: &str, path: &str, pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut all: std::collections::BTreeMap<&str, String> =
        pairs.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
    all.insert("timestamp", "1714185061".into());
    let text: Vec<_> = all.iter().filter(|(_, v)| !v.is_empty()).map(|(n, v)| format!("{n}={v}")).collect();
    let sign = md5(&format!("{}&key=kva", text.join("&"))).to_uppercase();
    all.insert("sign", sign);
    let payload = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, json!(all).to_string());
    let headers = "Appid: 10001\r\nAppSecret: test-app-secret\r\n";
    let path = format!("/dingshang/api/openapi/v1/{path}");
    json_request(method, &path, headers, &json!({"payload": payload}).to_string())
}

/// A token of the Youzan shop.
pub fn youzan_token(sim: &Simulator) -> String {
    let body = json!({
        "client_id": "yz-test-client-0001", "client_secret": "yz-test-secret-0001", "authorize_type": "silent",
        "grant_id": "90000001", "refresh": false,
    });
    let answer = exchange(sim, &json_request("POST", "/youzan/auth/token", "", &body.to_string())).json();
    answer["data"]["access_token"].as_str().expect("a token").to_owned()
}

/// A request to a Youzan API.
pub fn youzan_request(api: &str, token: &str, params: &Value) -> Vec<u8> {
    let path = format!("/youzan/api/{api}?access_token={token}");
    json_request("POST", &path, "", &params.to_string())
}

/// A request for a code of Zhiyun's.
pub fn zhiyun_request(sim: &Simulator, format: &str) -> Vec<u8> {
    let t = now(sim) * 1000;
    let p = t % 10_000 * 3 + 2345;
    let pair =
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "1100000001:testSecret000001");
    format!(
        "GET /zhiyun/apis/rest/authService/authorize/{format}?access_token=test0access0token0000000000000001152\
         &client_id=1100000001&t_={t}&p_={p} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {pair}\r\n\r\n"
    )
    .into_bytes()
}

/// What happened, by the simulator's own record.
pub fn acts(sim: &Simulator, query: &str) -> Vec<Value> {
    let path = format!("/_sim/acts?{query}");
    control(sim, "GET", &path, Value::Null).as_array().expect("a list").clone()
}

/// One kind for every answer of a platform.
pub fn speak(sim: &Simulator, platform: &str, kind: &str, seed: u64) {
    let body = json!({"platform": platform, "seed": seed, "share": 1.0, "kinds": [kind]});
    control(sim, "POST", "/_sim/dialect", body);
}
