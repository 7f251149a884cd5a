//! What the platforms send by themselves: a queue of deliveries, their retries, and the faults that
//! may happen to them.

use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::dialect::Accent;
use crate::tls::Tls;

/// How a callback is to be made out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Style {
    /// Signed with a key that nobody has.
    pub forge: bool,
    /// With a timestamp in milliseconds.
    pub ms_timestamp: bool,
}

/// A callback made out: header fields and body.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// Header fields, the content type among them. `:method` and `:query` are for the request line.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// A callback that a platform wants to send.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The platform.
    pub platform: &'static str,
    /// Its channel: `business`, `payment`, ...
    pub channel: String,
    /// The developer account it goes to.
    pub account: String,
    /// The platform's name for the notice.
    pub method: String,
    /// The transaction it is about.
    pub receipt: Option<String>,
    /// What it says, as the platform's renderer wants it.
    pub content: Value,
    /// How the vendor speaks this time; none: plainly.
    pub accent: Accent,
}

/// How far a delivery has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// It waits for its time.
    Queued,
    /// It is on its way.
    Sending,
    /// The receiver took it.
    Delivered,
    /// Every attempt failed.
    Failed,
    /// Nobody has said where to send it.
    NoUrl,
    /// A rule lost it.
    Dropped,
}

/// One attempt to deliver.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    /// When, in Unix milliseconds of the platforms' clock.
    pub at_ms: i64,
    /// The status of the answer.
    pub status: Option<u16>,
    /// The body of the answer.
    pub answer: String,
    /// Why it does not count as delivered.
    pub error: Option<String>,
}

/// A callback and its fate.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its number, from 1.
    pub id: u64,
    /// What it is.
    pub what: Outgoing,
    /// How it is made out.
    pub style: Style,
    /// Where it goes.
    pub url: String,
    /// What is sent.
    pub rendered: Rendered,
    /// How far it has got.
    pub progress: Progress,
    /// When it may go, on the platforms' clock.
    pub due_ms: i64,
    /// The delivery it repeats.
    pub copy_of: Option<u64>,
    /// The attempts so far.
    pub attempts: Vec<Attempt>,
    order: u64,
    behind_next: bool,
}

impl Delivery {
    /// The delivery as the control API shows it.
    pub fn show(&self) -> Value {
        json!({
            "id": self.id, "platform": self.what.platform, "channel": self.what.channel,
            "account": self.what.account, "method": self.what.method, "receipt": self.what.receipt,
            "content": self.what.content, "dialect": self.what.accent.names(), "forge": self.style.forge, "ms_timestamp": self.style.ms_timestamp,
            "url": self.url, "body": self.rendered.body, "headers": self.rendered.headers, "progress": self.progress, "due_ms": self.due_ms,
            "waits_for_next": self.behind_next, "copy_of": self.copy_of, "attempts": self.attempts,
        })
    }
}

/// Where an account's callbacks go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// The platform.
    pub platform: String,
    /// The account, or empty for every account.
    pub account: String,
    /// The channel.
    pub channel: String,
    /// The address, on the loopback.
    pub url: String,
}

/// How deliveries are made. The schedule is the simulator's own: no vendor has published one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallbackSettings {
    /// The pauses before the second, third, ... attempt, on the platforms' clock.
    pub retry_ms: Vec<i64>,
    /// How long a receiver may take, in real time.
    pub timeout_ms: u64,
    /// Nothing is sent while this is set.
    pub hold: bool,
    /// A further authority that receivers' certificates may come from, in PEM.
    pub ca_pem: Option<String>,
}

impl Default for CallbackSettings {
    fn default() -> Self {
        Self { retry_ms: vec![2_000, 10_000, 60_000], timeout_ms: 5_000, hold: false, ca_pem: None }
    }
}

/// What a rule does to callbacks to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Twist {
    /// It comes more than once.
    Duplicate,
    /// It comes late.
    Delay,
    /// It comes after the next one.
    Reorder,
    /// It carries a wrong signature.
    Forge,
    /// It carries a timestamp in milliseconds.
    MsTimestamp,
    /// It never comes.
    Drop,
}

/// A rule for callbacks to come.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallbackRule {
    /// What is done.
    #[serde(rename = "do")]
    pub twist: Twist,
    /// For which platform; every one if absent.
    #[serde(default)]
    pub platform: Option<String>,
    /// For which notice; every one if absent.
    #[serde(default)]
    pub method: Option<String>,
    /// How often.
    #[serde(default = "once")]
    pub count: u64,
    /// For `delay`: how long, on the platforms' clock.
    #[serde(default)]
    pub ms: i64,
    /// For `duplicate`: how many more.
    #[serde(default = "once")]
    pub copies: u64,
}

fn once() -> u64 {
    1
}

/// The deliveries, the addresses and the rules.
#[derive(Default)]
pub struct CallbackBook {
    /// How deliveries are made.
    pub settings: CallbackSettings,
    /// The rules for callbacks to come.
    pub rules: Vec<CallbackRule>,
    targets: Vec<Target>,
    deliveries: Vec<Delivery>,
    /// The places of those that wait or are being sent, and of some that ended since: what is looked through at every request.
    open: Vec<usize>,
    last_order: u64,
}

impl CallbackBook {
    fn opened(&self) -> impl Iterator<Item = &Delivery> {
        self.open.iter().filter_map(|place| self.deliveries.get(*place))
    }

    /// Sets, replaces or (with an empty address) removes where callbacks go.
    pub fn set_target(&mut self, target: Target) -> Result<(), String> {
        if !target.url.is_empty() {
            Address::parse(&target.url)?;
        }
        self.targets.retain(|t| {
            (&t.platform, &t.account, &t.channel) != (&target.platform, &target.account, &target.channel)
        });
        if !target.url.is_empty() {
            self.targets.push(target);
        }
        Ok(())
    }

    /// The addresses.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The deliveries, oldest first.
    pub fn deliveries(&self) -> &[Delivery] {
        &self.deliveries
    }

    /// A number that changes when a delivery is added or reordered.
    pub fn added(&self) -> u64 {
        self.last_order
    }

    /// A delivery to write the result into.
    pub fn delivery_mut(&mut self, id: u64) -> Option<&mut Delivery> {
        self.deliveries.get_mut(usize::try_from(id).ok()?.checked_sub(1)?)
    }

    /// Puts a callback into the queue, as the rules for callbacks to come have it.
    pub fn add(&mut self, what: Outgoing, now_ms: i64, render: &dyn Fn(&Outgoing, Style, i64) -> Rendered) {
        let (mut style, mut delay, mut copies) = (Style::default(), 0, 0);
        let (mut behind_next, mut dropped) = (false, false);
        for rule in self.rules.iter_mut().filter(|r| {
            r.count > 0
                && r.platform.as_deref().is_none_or(|p| p == what.platform)
                && r.method.as_deref().is_none_or(|m| m == what.method)
        }) {
            rule.count -= 1;
            match rule.twist {
                Twist::Duplicate => copies += rule.copies,
                Twist::Delay => delay += rule.ms,
                Twist::Reorder => behind_next = true,
                Twist::Forge => style.forge = true,
                Twist::MsTimestamp => style.ms_timestamp = true,
                Twist::Drop => dropped = true,
            }
        }
        let rendered = render(&what, style, now_ms);
        let id = self.push(what.clone(), style, rendered.clone(), now_ms + delay, None);
        if let Some(delivery) = self.delivery_mut(id) {
            delivery.behind_next = behind_next && delivery.progress == Progress::Queued;
            if dropped {
                delivery.progress = Progress::Dropped;
            }
        }
        for _ in 0..if dropped { 0 } else { copies } {
            self.push(what.clone(), style, rendered.clone(), now_ms + delay, Some(id));
        }
    }

    /// Puts a callback into the queue as it is.
    pub fn push(
        &mut self,
        what: Outgoing,
        style: Style,
        rendered: Rendered,
        due_ms: i64,
        copy_of: Option<u64>,
    ) -> u64 {
        let url = self
            .targets
            .iter()
            .filter(|t| t.platform == what.platform && t.channel == what.channel)
            .filter(|t| t.account.is_empty() || t.account == what.account)
            .max_by_key(|t| t.account.len())
            .map(|t| t.url.clone());
        let id = self.deliveries.len() as u64 + 1;
        self.last_order += 1;
        let order = self.last_order;
        for place in &self.open {
            if let Some(waiting) = self.deliveries.get_mut(*place).filter(|d| d.behind_next) {
                self.last_order += 1;
                (waiting.order, waiting.behind_next) = (self.last_order, false);
            }
        }
        if url.is_some() {
            self.open.push(self.deliveries.len());
        }
        self.deliveries.push(Delivery {
            id,
            what,
            style,
            progress: if url.is_some() { Progress::Queued } else { Progress::NoUrl },
            url: url.unwrap_or_default(),
            rendered,
            due_ms,
            copy_of,
            attempts: Vec::new(),
            order,
            behind_next: false,
        });
        id
    }

    /// Puts the waiting deliveries into the order given by their numbers; those not named come last.
    pub fn reorder(&mut self, ids: &[u64]) {
        let rank = |id: u64| ids.iter().position(|i| *i == id).unwrap_or(ids.len());
        let mut waiting: Vec<_> =
            self.deliveries.iter_mut().filter(|d| d.progress == Progress::Queued).collect();
        waiting.sort_by_key(|d| (rank(d.id), d.order));
        let mut orders: Vec<_> = waiting.iter().map(|d| d.order).collect();
        orders.sort_unstable();
        for (delivery, order) in waiting.into_iter().zip(orders) {
            (delivery.order, delivery.behind_next) = (order, false);
        }
    }

    /// The delivery that may go now, marked as being sent.
    pub fn take_due(&mut self, now_ms: i64) -> Option<Delivery> {
        if self.settings.hold {
            return None;
        }
        let deliveries = &self.deliveries;
        let is_open = |d: &Delivery| matches!(d.progress, Progress::Queued | Progress::Sending);
        self.open.retain(|place| deliveries.get(*place).is_some_and(is_open));
        let next = self
            .opened()
            .filter(|d| d.progress == Progress::Queued && !d.behind_next && d.due_ms <= now_ms)
            .min_by_key(|d| d.order)?
            .id;
        let next = self.delivery_mut(next)?;
        next.progress = Progress::Sending;
        Some(next.clone())
    }

    /// The next moment at which a delivery may go.
    pub fn next_due_ms(&self) -> Option<i64> {
        let waiting = self.opened().filter(|d| d.progress == Progress::Queued && !d.behind_next);
        if self.settings.hold { None } else { waiting.map(|d| d.due_ms).min() }
    }

    /// True when nothing is on its way and nothing is due.
    pub fn is_idle(&self, now_ms: i64) -> bool {
        !self.opened().any(|d| d.progress == Progress::Sending)
            && (self.settings.hold || self.next_due_ms().is_none_or(|due| due > now_ms))
    }

    /// Writes the end of an attempt into its delivery and plans the next one, on a schedule of the platform's
    /// own or the general one. Answers how many attempts there were if there is to be another.
    pub fn finish(&mut self, id: u64, attempt: Attempt, schedule: Option<Vec<i64>>) -> Option<usize> {
        let schedule = schedule.unwrap_or_else(|| self.settings.retry_ms.clone());
        let delivery = self.delivery_mut(id)?;
        if delivery.progress != Progress::Sending {
            return None;
        }
        delivery.progress = match (&attempt.error, schedule.get(delivery.attempts.len())) {
            (None, _) => Progress::Delivered,
            (Some(_), Some(pause)) => {
                delivery.due_ms = attempt.at_ms + pause;
                Progress::Queued
            }
            (Some(_), None) => Progress::Failed,
        };
        delivery.attempts.push(attempt);
        (delivery.progress == Progress::Queued).then_some(delivery.attempts.len())
    }

    /// Moves everything that waits by as much as the clock was corrected.
    pub fn shift(&mut self, by_ms: i64) {
        for delivery in self.deliveries.iter_mut().filter(|d| d.progress == Progress::Queued) {
            delivery.due_ms += by_ms;
        }
    }
}

/// A receiver's address taken apart.
struct Address {
    tls: bool,
    host: String,
    port: u16,
    path: String,
}

impl Address {
    /// Only the loopback is allowed: a simulator has no business on the network.
    fn parse(url: &str) -> Result<Self, String> {
        let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(format!("the callback URL {url:?} begins with neither http:// nor https://")),
        };
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| format!("the callback URL {url:?} has an odd port"))?)
            }
            _ => (authority, if tls { 443 } else { 80 }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if host != "localhost" && !loopback {
            return Err(format!(
                "the callback URL {url:?} leaves this machine; only loopback addresses are served"
            ));
        }
        Ok(Self { tls, host: host.into(), port, path: path.into() })
    }
}

/// Sends a callback and waits for its answer.
pub fn send(delivery: &Delivery, settings: &CallbackSettings, tls: &Tls) -> Result<(u16, String), String> {
    let address = Address::parse(&delivery.url)?;
    let limit = Instant::now() + Duration::from_millis(settings.timeout_ms.max(1));
    let socket = connect(&address, limit).map_err(|e| format!("cannot connect: {e}"))?;
    let explain = |e: io::Error| format!("the exchange failed: {e}");
    if address.tls {
        let config = client_config(settings, tls)?;
        let name = ServerName::try_from(address.host.clone()).map_err(|e| e.to_string())?;
        let client = ClientConnection::new(config, name).map_err(|e| e.to_string())?;
        exchange(StreamOwned::new(client, socket), &address, delivery, limit).map_err(explain)
    } else {
        exchange(socket, &address, delivery, limit).map_err(explain)
    }
}

fn connect(address: &Address, limit: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for candidate in (address.host.as_str(), address.port).to_socket_addrs()? {
        let left = limit.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(&candidate, left) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                socket.set_read_timeout(Some(left))?;
                socket.set_write_timeout(Some(left))?;
                return Ok(socket);
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn client_config(settings: &CallbackSettings, tls: &Tls) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add(tls.ca_der()).map_err(|e| e.to_string())?;
    if let Some(pem) = &settings.ca_pem {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|e| format!("\"ca_pem\" does not read: {e:?}"))?;
            roots.add(certificate).map_err(|e| e.to_string())?;
        }
    }
    let config = ClientConfig::builder_with_provider(tls.provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn exchange(
    mut stream: impl Read + Write,
    address: &Address,
    delivery: &Delivery,
    limit: Instant,
) -> io::Result<(u16, String)> {
    let fields = &delivery.rendered.headers;
    let special = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let method = special(":method").unwrap_or("POST");
    let mut path = address.path.clone();
    if let Some(query) = special(":query") {
        path.push(if path.contains('?') { '&' } else { '?' });
        path.push_str(query);
    }
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nHost: {}:{}\r\n", address.host, address.port).into_bytes();
    for (name, value) in fields.iter().filter(|(n, _)| !n.starts_with(':')) {
        crate::connection::header_line(&mut head, name, value);
    }
    let body = delivery.rendered.body.as_bytes();
    head.extend_from_slice(format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len()).as_bytes());
    stream.write_all(&[&head[..], body].concat())?;
    stream.flush()?;
    let mut got = Vec::new();
    let mut piece = [0u8; 4096];
    loop {
        if let Some(answer) = parse_answer(&got, false)? {
            return Ok(answer);
        }
        if Instant::now() > limit || got.len() > 1 << 20 {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the answer took too long or too much"));
        }
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => got.extend_from_slice(&piece[..n]),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(e) => return Err(e),
        }
    }
    parse_answer(&got, true)?
        .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "closed before a whole answer"))
}

/// The status and body of an answer, once it is whole.
fn parse_answer(got: &[u8], ended: bool) -> io::Result<Option<(u16, String)>> {
    let odd = |e: String| io::Error::new(io::ErrorKind::InvalidData, e);
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(start) = response.parse(got).map_err(|e| odd(e.to_string()))? else {
        return Ok(None);
    };
    let find = |name: &str| {
        let field = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name));
        field.map(|h| String::from_utf8_lossy(h.value).trim().to_ascii_lowercase())
    };
    let status = response.code.unwrap_or_default();
    let body = &got[start..];
    if (100..200).contains(&status) && status != 101 {
        // The receiver says that it goes on; the answer comes behind.
        return parse_answer(body, ended);
    }
    let body = if find("transfer-encoding").is_some_and(|v| v.contains("chunked")) {
        match crate::connection::unchunk(body).map_err(odd)? {
            Some((body, _)) => body,
            None => return Ok(None),
        }
    } else if let Some(length) = find("content-length") {
        let length: usize = length.parse().map_err(|_| odd("an odd Content-Length".into()))?;
        match body.get(..length) {
            Some(body) => body.to_vec(),
            None => return Ok(None),
        }
    } else if ended {
        body.to_vec()
    } else {
        return Ok(None);
    };
    Ok(Some((status, String::from_utf8_lossy(&body).into_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> CallbackBook {
        let mut book = CallbackBook::default();
        book.set_target(Target {
            platform: "p".into(),
            account: String::new(),
            channel: "business".into(),
            url: "http://127.0.0.1:9/".into(),
        })
        .expect("a target");
        book
    }

    fn add(book: &mut CallbackBook, method: &str) {
        let what = Outgoing {
            platform: "p",
            channel: "business".into(),
            account: "a".into(),
            method: method.into(),
            receipt: None,
            content: Value::Null,
            accent: Accent::default(),
        };
        book.add(what, 0, &|_, _, _| Rendered::default());
    }

    fn drain(book: &mut CallbackBook) -> Vec<String> {
        std::iter::from_fn(|| book.take_due(0).map(|d| d.what.method)).collect()
    }

    #[test]
    fn order_and_twists() {
        let mut book = book();
        book.rules.push(serde_json::from_value(json!({"do": "reorder", "method": "a"})).expect("a rule"));
        book.rules.push(serde_json::from_value(json!({"do": "duplicate", "method": "b"})).expect("a rule"));
        ["a", "b", "c"].iter().for_each(|m| add(&mut book, m));
        assert_eq!(drain(&mut book), ["b", "a", "b", "c"]);
        book.settings.hold = true;
        ["d", "e", "f"].iter().for_each(|m| add(&mut book, m));
        assert!(book.take_due(0).is_none());
        book.reorder(&[7, 5]);
        book.settings.hold = false;
        assert_eq!(drain(&mut book), ["f", "d", "e"]);
    }

    #[test]
    fn retries_follow_the_schedule() {
        let mut book = book();
        book.settings.retry_ms = vec![100];
        add(&mut book, "a");
        let failed = |at_ms| Attempt { at_ms, status: None, answer: String::new(), error: Some("no".into()) };
        book.take_due(0).expect("due at once");
        book.finish(1, failed(10), None);
        assert_eq!(book.next_due_ms(), Some(110));
        book.take_due(110).expect("due again");
        book.finish(1, failed(120), None);
        assert_eq!(book.deliveries()[0].progress, Progress::Failed);
    }

    #[test]
    fn only_the_loopback() {
        assert!(Address::parse("https://example.com/x").is_err());
        assert!(Address::parse("http://127.0.0.1.example.com/x").is_err());
        assert!(Address::parse("http://[::1]:80/x").is_ok_and(|a| a.port == 80 && a.path == "/x"));
    }
}
