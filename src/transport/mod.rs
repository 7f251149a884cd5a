//! Blocking HTTP/1.1 over TLS, made for a kiosk behind a flaky mobile link.
//!
//! What it promises to the layers above:
//!
//! * One [`Deadline`] bounds a call from entry to the last byte: lookup, connect, handshake, send, receive. A peer
//!   that sends drop by drop does not stretch it.
//! * [`Failure::left`] says exactly whether the kernel took a byte of the request. Nothing is sent twice behind the
//!   caller's back once that happened, except a [`Purpose::Read`] on a connection that had died while idle.
//! * The request is made, and signed, by the caller's `prepare` when the connection already stands.
//! * [`Transport::cancel`] ends every call in flight, wherever it waits.
//! * A warm call needs no lookup and one round trip.

mod conn;
mod dns;
mod http;
mod proxy;
mod tls;
mod url;

pub use dns::{Lookup, SystemLookup};
pub use proxy::Proxy;
pub use tls::{Pin, parse_pin};
pub use url::{Scheme, Url};

use crate::error::{Error, Result};
use crate::log::log_line;
use crate::status::*;
pub use crate::time::Deadline;
use crate::time::clock::{self, Clock, Witness};
use conn::{Bound, Busy, Canceller, Conn, Fault, Key};
use dns::{Dns, Found};
use http::Progress;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An idle connection is used for a command only if its peer spoke this recently.
const COMMAND_FRESH_MS: u64 = 5_000;
/// An address gets at least this long before the next one is tried, if there is that much time.
const MIN_SHARE: Duration = Duration::from_millis(250);

/// Which certificates vouch for a server.
#[derive(Clone, Debug, Default)]
pub enum Roots {
    /// Mozilla's, as they were at the build.
    #[default]
    BuiltIn,
    /// Only these, in PEM form.
    Pem(Vec<u8>),
}

/// Which addresses to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressFamily {
    /// Either.
    #[default]
    Any,
    /// Only IPv4.
    V4,
    /// Only IPv6.
    V6,
}

impl AddressFamily {
    fn admits(self, ip: &IpAddr) -> bool {
        match self {
            AddressFamily::Any => true,
            AddressFamily::V4 => ip.is_ipv4(),
            AddressFamily::V6 => ip.is_ipv6(),
        }
    }
}

/// How this device shows who it is, in PEM form.
#[derive(Clone)]
pub struct ClientCert {
    /// The certificate, then those that vouch for it.
    pub chain_pem: Vec<u8>,
    /// The private key: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key_pem: Vec<u8>,
}

/// How to connect.
#[derive(Clone)]
pub struct Options {
    /// Whether `http://` is allowed at all.
    pub allow_http: bool,
    /// Who is trusted.
    pub roots: Roots,
    /// If not empty, a certificate in the server's verified chain must have one of these keys.
    pub pins: Vec<Pin>,
    /// For servers that ask for it.
    pub client_cert: Option<ClientCert>,
    /// Bounds lookup, TCP and TLS together, within the deadline.
    pub connect_timeout: Duration,
    /// An idle connection older than this is closed.
    pub idle_timeout: Duration,
    /// Idle connections kept at most.
    pub max_idle: usize,
    /// The largest body of an answer.
    pub max_reply_bytes: usize,
    /// Which addresses to use.
    pub address_family: AddressFamily,
    /// How long an address is used without asking again.
    pub address_ttl: Duration,
    /// An HTTP proxy, spoken to by CONNECT.
    pub proxy: Option<Proxy>,
    /// The `User-Agent` where the request names none.
    pub user_agent: String,
    /// Replaces the system's resolver.
    pub lookup: Option<Arc<dyn Lookup>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            allow_http: false,
            roots: Roots::BuiltIn,
            pins: Vec::new(),
            client_cert: None,
            connect_timeout: Duration::from_secs(8),
            idle_timeout: Duration::from_secs(60),
            max_idle: 2,
            max_reply_bytes: 4 * 1024 * 1024,
            address_family: AddressFamily::Any,
            address_ttl: Duration::from_secs(300),
            proxy: None,
            user_agent: concat!("kiosklink/", env!("CARGO_PKG_VERSION")).into(),
            lookup: None,
        }
    }
}

/// What a call is for, which decides on what connection it may go and whether it may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Asks only. May use any idle connection that looks open, and is sent once more, on a new one, if that one
    /// turns out to have died.
    Read,
    /// Changes something. Goes out on a connection that is new or was alive a moment ago, and never again once a
    /// byte has left.
    Command,
}

/// An HTTP request. The headers `Host` and `Content-Length` are added.
#[derive(Clone)]
pub struct Request {
    /// `GET`, `POST`, ...
    pub method: &'static str,
    /// Where to; scheme, host and port must be those of the call's origin.
    pub url: Url,
    /// Names and values.
    pub headers: Vec<(&'static str, String)>,
    /// The body, or nothing.
    pub body: Vec<u8>,
}

/// The headers of an answer.
#[derive(Clone, Debug, Default)]
pub struct Headers(ureq_proto::http::HeaderMap);

impl Headers {
    /// The first header of this name, in whatever case; `None` as well if it is not visible ASCII.
    pub fn get(&self, name: &str) -> Option<&str> {
        // There are few; hashing a name costs more than looking at all.
        self.0.iter().find(|(n, _)| n.as_str().eq_ignore_ascii_case(name))?.1.to_str().ok()
    }

    /// All headers whose values are visible ASCII.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
    }
}

/// How long each part of a call took, in milliseconds. 0 also stands for a part that was not needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Looking the name up.
    pub dns_ms: u32,
    /// The TCP connection, with the proxy's part in it.
    pub connect_ms: u32,
    /// The TLS handshake.
    pub tls_ms: u32,
    /// From entry to the answer's first byte.
    pub first_byte_ms: u32,
    /// From entry to the answer's last byte.
    pub total_ms: u32,
    /// Whether the connection stood already.
    pub reused: bool,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// The whole body.
    pub body: Vec<u8>,
    /// How long it took.
    pub timing: Timing,
}

/// Why there is no answer.
#[derive(Debug)]
pub struct Failure {
    /// The reason.
    pub error: Error,
    /// Whether the kernel took at least one byte of the request, so that the platform may have acted on it.
    pub left: bool,
}

/// What a transport has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Times that the resolver was asked.
    pub lookups: u32,
    /// TCP connections made.
    pub connects: u32,
    /// TLS handshakes finished.
    pub handshakes: u32,
    /// Those of them that resumed a session.
    pub resumed: u32,
    /// Requests of which a byte left.
    pub requests: u32,
    /// Requests begun on a connection that stood already.
    pub reused: u32,
    /// Requests sent once more because the idle connection had died.
    pub retried: u32,
}

#[derive(Default)]
struct Counters {
    lookups: AtomicU32,
    connects: AtomicU32,
    handshakes: AtomicU32,
    resumed: AtomicU32,
    requests: AtomicU32,
    reused: AtomicU32,
    retried: AtomicU32,
}

fn count(counter: &AtomicU32) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The connections of one client. Usable from any number of threads at once.
pub struct Transport {
    options: Options,
    tls: Arc<ClientConfig>,
    clock: Arc<Clock>,
    dns: Dns,
    idle: Mutex<Vec<Conn>>,
    canceller: Canceller,
    counters: Counters,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

/// Where a call stands, for the words and the code of its failure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Dns,
    Connect,
    Proxy,
    Tls,
    Send,
    Reply,
}

impl Transport {
    /// Checks the options. Sends nothing, starts no thread.
    pub fn new(options: Options, clock: Arc<Clock>) -> Result<Transport> {
        let tls =
            tls::client_config(&options.roots, &options.pins, options.client_cert.as_ref(), clock.clone())?;
        let lookup = options.lookup.clone().unwrap_or_else(|| Arc::new(SystemLookup));
        let dns = Dns::new(lookup, options.address_family, options.address_ttl);
        Ok(Transport {
            options,
            tls,
            clock,
            dns,
            idle: Mutex::default(),
            canceller: Canceller::default(),
            counters: Counters::default(),
        })
    }

    /// The clock that learns from the answers.
    pub fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    /// Sees to it that a connection fit for a command stands ready. Sends no request.
    pub fn warm(&self, origin: &Url, deadline: Deadline) -> Result<()> {
        let started = Instant::now();
        let bound = self.bound(deadline);
        let key = self.key(origin)?;
        if let Some(conn) = self.take(&key, Purpose::Command) {
            self.put(conn);
            return Ok(());
        }
        let mut timing = Timing::default();
        let (conn, busy) = self
            .open(origin, &key, &bound, false, &mut timing)
            .map_err(|(phase, fault)| self.error(phase, bound.blame(fault), origin, started, false))?;
        if !busy.done() {
            return Err(self.error(Phase::Tls, Fault::Cancelled, origin, started, false));
        }
        self.put(conn);
        Ok(())
    }

    /// Makes one call. `prepare` is asked for the request when the connection stands; if it answers with an error,
    /// nothing is sent and the connection is kept. It is asked a second time when the connection turned out to be
    /// dead and the purpose allows another one.
    pub fn call(
        &self,
        origin: &Url,
        purpose: Purpose,
        deadline: Deadline,
        prepare: &mut dyn FnMut() -> Result<Request>,
    ) -> std::result::Result<Reply, Failure> {
        let started = Instant::now();
        let bound = self.bound(deadline);
        let mut left = false;
        let key = self.key(origin).map_err(|error| Failure { error, left })?;
        let mut may_reuse = true;
        loop {
            let mut timing = Timing::default();
            let idle = if may_reuse { self.take(&key, purpose) } else { None };
            let opened = match idle {
                Some(conn) => {
                    timing.reused = true;
                    bound
                        .check()
                        .and_then(|_| conn.enlist(&bound))
                        .map(|busy| (conn, busy))
                        .map_err(|fault| (Phase::Send, fault))
                }
                None => self.open(origin, &key, &bound, true, &mut timing),
            };
            let (mut conn, busy) = opened.map_err(|(phase, fault)| Failure {
                error: self.error(phase, bound.blame(fault), origin, started, left),
                left,
            })?;

            let request = prepare().and_then(|request| {
                if request.url.same_origin(origin) {
                    Ok(request)
                } else {
                    Err(Error::new(KL_E_INTERNAL, "the request is for another server than the call"))
                }
            });
            let request = match request {
                Ok(request) => request,
                Err(error) => {
                    if busy.done() {
                        self.put(conn);
                    }
                    return Err(Failure { error, left });
                }
            };
            if let Err(fault) = bound.check() {
                if busy.done() {
                    self.put(conn);
                }
                return Err(Failure { error: self.error(Phase::Send, fault, origin, started, left), left });
            }

            if timing.reused {
                count(&self.counters.reused);
            }
            let mut progress = Progress::default();
            let outcome = http::exchange(
                &mut conn,
                &request,
                &self.options.user_agent,
                self.options.max_reply_bytes,
                &bound,
                &mut progress,
            );
            left |= progress.left;
            if progress.left {
                count(&self.counters.requests);
            }
            let fault = match outcome {
                Ok(answer) => {
                    conn.used = true;
                    let certificate = conn.tls().and_then(tls::validity);
                    if busy.done() && answer.reusable {
                        self.put(conn);
                    }
                    timing.first_byte_ms = progress.first_byte.map_or(0, |at| millis(at - started));
                    timing.total_ms = millis(started.elapsed());
                    let witness = Witness {
                        date: answer.headers.get("date"),
                        age: answer.headers.get("age"),
                        sent_ms: progress.sent_ms,
                        received_ms: progress.received_ms,
                        certificate,
                    };
                    self.clock.witness(origin.clock(), &witness);
                    log_line!(
                        Debug,
                        "{} {origin}: status {} in {} ms{}",
                        request.method,
                        answer.status,
                        timing.total_ms,
                        if timing.reused { ", connection reused" } else { "" }
                    );
                    return Ok(Reply {
                        status: answer.status,
                        headers: answer.headers,
                        body: answer.body,
                        timing,
                    });
                }
                Err(fault) => bound.blame(fault),
            };
            drop(busy);
            drop(conn);
            let died_idle = timing.reused && progress.first_byte.is_none() && fault.is_loss();
            if died_idle && (purpose == Purpose::Read || !left) {
                log_line!(Debug, "{origin}: the idle connection had died, making a new one");
                count(&self.counters.retried);
                may_reuse = false;
                continue;
            }
            let phase = if progress.sent { Phase::Reply } else { Phase::Send };
            return Err(Failure { error: self.error(phase, fault, origin, started, left), left });
        }
    }

    /// Ends every call in flight with `KL_E_CANCELLED`. Later calls work as usual, and idle connections stay.
    pub fn cancel(&self) {
        self.canceller.cancel();
        self.dns.wake();
    }

    /// Closes all idle connections.
    pub fn close_idle(&self) {
        let all = std::mem::take(&mut *lock(&self.idle));
        drop(all);
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        let get = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
        let c = &self.counters;
        Stats {
            lookups: get(&c.lookups),
            connects: get(&c.connects),
            handshakes: get(&c.handshakes),
            resumed: get(&c.resumed),
            requests: get(&c.requests),
            reused: get(&c.reused),
            retried: get(&c.retried),
        }
    }

    fn bound(&self, deadline: Deadline) -> Bound<'_> {
        Bound { deadline, canceller: &self.canceller, ticket: self.canceller.ticket() }
    }

    fn key(&self, origin: &Url) -> Result<Key> {
        if origin.scheme == Scheme::Http && !self.options.allow_http {
            let message = format!("{origin} is not https, and plain http is not allowed");
            return Err(Error::new(KL_E_CONFIG_VALUE, message));
        }
        Ok(Key { scheme: origin.scheme, host: origin.host.clone(), port: origin.port })
    }

    /// The idle connection used last that is fit for the purpose.
    fn take(&self, key: &Key, purpose: Purpose) -> Option<Conn> {
        let max_age = self.options.idle_timeout.as_millis().min(u128::from(u64::MAX)) as u64;
        let mut dead = Vec::new();
        loop {
            let now = clock::monotonic_ms();
            let mut conn = {
                let mut idle = lock(&self.idle);
                let mut i = 0;
                while i < idle.len() {
                    if now.saturating_sub(idle[i].heard_ms) > max_age {
                        dead.push(idle.remove(i));
                    } else {
                        i += 1;
                    }
                }
                let fit = |conn: &Conn| {
                    conn.key == *key
                        && (purpose == Purpose::Read || now.saturating_sub(conn.heard_ms) <= COMMAND_FRESH_MS)
                };
                let at = idle.iter().rposition(fit)?;
                idle.remove(at)
            };
            // Outside the lock: this asks the system.
            if conn.is_open() {
                return Some(conn);
            }
        }
    }

    fn put(&self, conn: Conn) {
        let mut idle = lock(&self.idle);
        idle.push(conn);
        let surplus = if idle.len() > self.options.max_idle { Some(idle.remove(0)) } else { None };
        drop(idle);
        drop(surplus);
    }

    /// Makes a connection ready for a request.
    fn open<'c>(
        &'c self,
        origin: &Url,
        key: &Key,
        bound: &Bound<'c>,
        request_follows: bool,
        timing: &mut Timing,
    ) -> std::result::Result<(Conn, Busy<'c>), (Phase, Fault)> {
        let bound = &bound.at_most(self.options.connect_timeout);
        let (host, port) = match &self.options.proxy {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => (origin.host.as_str(), origin.port),
        };
        let began = Instant::now();
        let addresses = match self.dns.resolve(host, bound).map_err(|fault| (Phase::Dns, fault))? {
            Found::Addresses { list, asked } => {
                if asked {
                    count(&self.counters.lookups);
                }
                list
            }
            Found::None(error) => {
                count(&self.counters.lookups);
                let message = format!("the name {host} cannot be looked up");
                return Err((Phase::Dns, Fault::Final(Error::os(KL_E_DNS, message, &error))));
            }
        };
        timing.dns_ms = millis(began.elapsed());

        let began = Instant::now();
        let (mut conn, busy) = self.connect(key, host, port, &addresses, bound)?;
        if let Some(proxy) = &self.options.proxy {
            proxy::tunnel(&mut conn, proxy, origin, bound).map_err(|fault| (Phase::Proxy, fault))?;
        }
        timing.connect_ms = millis(began.elapsed());

        if origin.scheme == Scheme::Https {
            let began = Instant::now();
            let fail = |fault| (Phase::Tls, fault);
            let name = ServerName::try_from(origin.host.clone()).map_err(|_| {
                let message = format!("{} is not a name that a certificate can be for", origin.host);
                fail(Fault::Final(Error::new(KL_E_CONFIG_VALUE, message)))
            })?;
            let session =
                ClientConnection::new(self.tls.clone(), name).map_err(|error| fail(Fault::tls(error)))?;
            tls::begin();
            conn.handshake(session, request_follows, bound).map_err(fail)?;
            count(&self.counters.handshakes);
            if conn.tls().and_then(|tls| tls.handshake_kind()) == Some(HandshakeKind::Resumed) {
                count(&self.counters.resumed);
            }
            timing.tls_ms = millis(began.elapsed());
        }
        log_line!(
            Debug,
            "{origin}: connected (lookup {} ms, TCP {} ms, TLS {} ms)",
            timing.dns_ms,
            timing.connect_ms,
            timing.tls_ms
        );
        Ok((conn, busy))
    }

    /// Tries the addresses in turn. Each gets its share of the time, so that a dead one does not use all of it up.
    fn connect<'c>(
        &self,
        key: &Key,
        host: &str,
        port: u16,
        addresses: &[IpAddr],
        bound: &Bound<'c>,
    ) -> std::result::Result<(Conn, Busy<'c>), (Phase, Fault)> {
        let mut last = Fault::Timeout;
        for (i, ip) in addresses.iter().enumerate() {
            let left = bound.check().map_err(|fault| (Phase::Connect, fault))?;
            let rest = (addresses.len() - i) as u32;
            let share = (left / rest).max(MIN_SHARE);
            match Conn::connect(key.clone(), SocketAddr::new(*ip, port), &bound.at_most(share)) {
                Ok(done) => {
                    count(&self.counters.connects);
                    if i > 0 {
                        self.dns.prefer(host, *ip);
                    }
                    return Ok(done);
                }
                Err(fault @ (Fault::Cancelled | Fault::Resource(_))) => return Err((Phase::Connect, fault)),
                Err(fault) => {
                    log_line!(Debug, "no connection to {ip}, port {port}: {fault}");
                    // A refusal says more than silence.
                    if !matches!((&fault, &last), (Fault::Timeout, Fault::Os(_))) {
                        last = fault;
                    }
                }
            }
        }
        self.dns.doubt(host);
        Err((Phase::Connect, last))
    }

    fn error(&self, phase: Phase, fault: Fault, origin: &Url, started: Instant, left: bool) -> Error {
        let ms = millis(started.elapsed());
        let target = origin.host_port();
        let doing = match phase {
            Phase::Dns => "looking up",
            Phase::Connect => "connecting to",
            Phase::Proxy => "asking the proxy for",
            Phase::Tls => "shaking hands with",
            Phase::Send => "sending to",
            Phase::Reply => "waiting for the answer of",
        };
        match fault {
            Fault::Final(error) => error,
            Fault::Cancelled => {
                Error::new(KL_E_CANCELLED, format!("cancelled while {doing} {target} after {ms} ms"))
            }
            Fault::Timeout => {
                let status = match phase {
                    Phase::Dns => KL_E_TIMEOUT_DNS,
                    Phase::Connect | Phase::Proxy => KL_E_TIMEOUT_CONNECT,
                    Phase::Tls => KL_E_TIMEOUT_TLS,
                    Phase::Send => KL_E_TIMEOUT_SEND,
                    Phase::Reply => KL_E_TIMEOUT_REPLY,
                };
                Error::new(status, format!("the time was up while {doing} {target}, after {ms} ms"))
            }
            Fault::Resource(error) => {
                let message = format!("the system refused what {doing} {target} needs");
                Error::os(KL_E_RESOURCE, message, &error)
            }
            Fault::Tls(error) if phase == Phase::Tls => {
                tls::explain(&error, &origin.host, self.options.client_cert.is_some())
            }
            // In TLS 1.3 the server judges our certificate after the handshake is over for us.
            Fault::Tls(error) if tls::is_about_our_cert(&error) => {
                tls::explain(&error, &origin.host, self.options.client_cert.is_some())
            }
            Fault::Tls(error) => {
                let why = tls::in_words(&error);
                let message =
                    format!("the TLS connection broke while {doing} {target}, after {ms} ms: {why}");
                Error::new(KL_E_LOST, message)
            }
            Fault::Closed => {
                let (status, what) = match phase {
                    Phase::Tls => (KL_E_CONNECT, "the server closed the connection"),
                    Phase::Dns | Phase::Connect => (KL_E_CONNECT, "the connection was closed"),
                    Phase::Proxy => (KL_E_PROXY, "the proxy closed the connection"),
                    Phase::Send => (KL_E_LOST, "the connection was closed"),
                    Phase::Reply => (KL_E_LOST, "the connection was closed"),
                };
                Error::new(status, format!("{what} while {doing} {target}, after {ms} ms"))
            }
            Fault::Os(error) => {
                let status = match phase {
                    Phase::Dns | Phase::Connect | Phase::Tls => KL_E_CONNECT,
                    Phase::Proxy => KL_E_PROXY,
                    Phase::Send | Phase::Reply => KL_E_LOST,
                };
                let sent = if left { "" } else { ", nothing was sent" };
                Error::os(status, format!("{doing} {target} failed after {ms} ms{sent}"), &error)
            }
        }
    }
}

fn millis(time: Duration) -> u32 {
    time.as_millis().min(u128::from(u32::MAX)) as u32
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
