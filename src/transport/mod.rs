//! Blocking HTTP/1.1 over TLS, made for a kiosk behind a flaky mobile link.
//!
//! What it promises to the layers above:
//!
//! * One [`Deadline`] bounds a call from entry to the last byte: lookup, connect, handshake, send, receive. A peer
//!   that sends drop by drop does not stretch it.
//! * [`Failure::left`] says exactly whether the kernel took a byte of the request. Nothing is sent twice behind the
//!   caller's back once that happened, except a [`Purpose::Read`] on a connection that had died while idle.
//! * The request is made, and signed, by the caller's `prepare` when the connection already stands; what must hold for
//!   the first byte to leave is checked there, and [`FirstWrite`] tells when it left.
//! * A command that has begun to leave is delivered by this kernel until the call ends and not after: not by a dead
//!   process, a forked child or a stopped process ([`Purpose::Command`]).
//! * A cancelled token ends the call wherever it waits.
//! * A warm call needs no lookup and one round trip.

mod conn;
mod dns;
mod failure;
mod http;
mod link;
mod pool;
mod provider;
mod proxy;
mod roots;
mod tls;
mod url;
mod x509;

pub use dns::{Lookup, SystemLookup};
pub(crate) use http::MAX_CHUNK_LINE;
pub use kiosklink_wire::head::Headers;
pub use proxy::Proxy;
pub use tls::{Pin, parse_pin};
pub use url::{Scheme, Url};

use crate::cancel::CancelToken;
use crate::error::{Error, Result};
use crate::log::log_line;
use crate::status::*;
use crate::sys;
pub use crate::time::Deadline;
use crate::time::clock::{self, Clock, Validity, Witness};
use conn::{Bound, Busy, Conn, Fault};
use dns::Dns;
use failure::Phase;
use http::Progress;
use kiosklink_wire::head;
use pool::Pool;
use rustls::ClientConfig;
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
    /// Idle connections kept at most, unless more calls were under way at once in the last `idle_timeout`: then as many as those,
    /// up to 32.
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
    /// byte has left. Until its answer is whole, the kernel delivers what is queued only while the call lasts, this
    /// process lives, and the deadline has not passed.
    Command,
}

/// An HTTP request. The headers `Host` and `Content-Length` are added.
#[derive(Clone)]
pub struct Request {
    /// `GET`, `POST`, ...
    pub method: &'static str,
    /// Where to; scheme, host and port must be those of the call's origin.
    pub url: Arc<Url>,
    /// Names and values.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The body, or nothing.
    pub body: Vec<u8>,
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
    /// When the request began to leave.
    pub first_write: FirstWrite,
}

/// When the first byte of a request left, in milliseconds since boot with suspend counted. A process can be stopped
/// between its last check and the write: then `before_ms` or `after_ms` is late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirstWrite {
    /// Whether the kernel took at least one byte. If not, the times mean nothing.
    pub left: bool,
    /// Just before the write that took it.
    pub before_ms: u64,
    /// Just after it.
    pub after_ms: u64,
}

impl FirstWrite {
    fn begin(&mut self) {
        if !self.left {
            self.before_ms = sys::boot_ms();
        }
    }

    fn done(&mut self) {
        if !self.left {
            self.left = true;
            self.after_ms = sys::boot_ms();
        }
    }
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
    /// When that was; of a read that was sent twice, the second time.
    pub first_write: FirstWrite,
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
    /// With the sessions that can be resumed.
    tls: Mutex<Arc<ClientConfig>>,
    clock: Arc<Clock>,
    dns: Dns,
    pool: Pool,
    counters: Counters,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

/// A call under way.
#[derive(Clone, Copy)]
struct Call<'a> {
    origin: &'a Url,
    purpose: Purpose,
    bound: Bound<'a>,
    started: Instant,
}

/// A try that came to nothing.
struct Lost {
    error: Error,
    first_write: FirstWrite,
    /// The idle connection that was taken had died, or was about to.
    died_idle: bool,
}

impl Transport {
    /// Checks the options. Sends nothing, starts no thread.
    pub fn new(options: Options, clock: Arc<Clock>) -> Result<Transport> {
        let tls =
            tls::client_config(&options.roots, &options.pins, options.client_cert.as_ref(), clock.clone())?;
        let lookup = options.lookup.clone().unwrap_or_else(|| Arc::new(SystemLookup));
        let dns = Dns::new(lookup, options.address_family, options.address_ttl);
        let pool = Pool::new(options.max_idle, options.idle_timeout);
        Ok(Transport { options, tls: Mutex::new(tls), clock, dns, pool, counters: Counters::default() })
    }

    /// The clock that learns from the answers.
    pub fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    /// Sees to it that a connection fit for a command stands ready. Sends no request.
    pub fn warm(&self, origin: &Url, deadline: Deadline, token: &CancelToken) -> Result<()> {
        let bound = Bound { deadline, token };
        let call = Call { origin, purpose: Purpose::Command, bound, started: Instant::now() };
        self.admit(origin)?;
        if let Some(taken) = self.pool.take(origin, Purpose::Command) {
            let good_for_ms = taken.good_until_ms.saturating_sub(clock::monotonic_ms());
            self.pool.put(taken.conn);
            // One that is about to be too old is none for the command that follows.
            if good_for_ms >= pool::COMMAND_IDLE_MS / 2 {
                return Ok(());
            }
        }
        let mut timing = Timing::default();
        let (conn, busy) = self
            .open(origin, &call.bound, false, &mut timing)
            .map_err(|(phase, fault)| self.error(&call, phase, fault, false))?;
        if !busy.done() {
            return Err(self.error(&call, Phase::Tls, Fault::Cancelled, false));
        }
        self.pool.put(conn);
        Ok(())
    }

    /// Whether a command would go over a connection that stands already, as far as is known.
    pub fn stands(&self, origin: &Url) -> bool {
        self.pool.has(origin, Purpose::Command)
    }

    /// Makes one call. `prepare` is asked for the request when the connection stands, as the last thing before the
    /// first byte: what must hold then is checked there. If it answers with an error, nothing is sent and the
    /// connection is kept. It is asked a second time when the connection turned out to be dead and the purpose allows
    /// another one.
    ///
    /// A token that is cancelled before the first byte leaves nothing sent: `KL_E_CANCELLED`, `left` is false.
    pub fn call(
        &self,
        origin: &Url,
        purpose: Purpose,
        deadline: Deadline,
        token: &CancelToken,
        prepare: &mut dyn FnMut() -> Result<Request>,
    ) -> std::result::Result<Reply, Failure> {
        let call = Call { origin, purpose, bound: Bound { deadline, token }, started: Instant::now() };
        let nothing_left = FirstWrite::default();
        if let Err(error) = self.admit(origin) {
            return Err(Failure { error, left: false, first_write: nothing_left });
        }
        let _place = self.pool.enter();
        let mut idle = self.pool.take(origin, purpose);
        let mut left = false;
        loop {
            let taken = idle.take();
            let reused = taken.is_some();
            let lost = match self.attempt(&call, taken, prepare) {
                Ok(reply) => return Ok(reply),
                Err(lost) => lost,
            };
            left |= lost.first_write.left;
            if reused && lost.died_idle && (purpose == Purpose::Read || !left) {
                log_line!(Debug, "{origin}: the idle connection had died, making a new one");
                count(&self.counters.retried);
                continue;
            }
            return Err(Failure { error: lost.error, left, first_write: lost.first_write });
        }
    }

    /// One try, over an idle connection or a new one.
    fn attempt(
        &self,
        call: &Call<'_>,
        taken: Option<pool::Taken>,
        prepare: &mut dyn FnMut() -> Result<Request>,
    ) -> std::result::Result<Reply, Lost> {
        let mut timing = Timing { reused: taken.is_some(), ..Timing::default() };
        let mut good_until_ms = u64::MAX;
        let opened = match taken {
            Some(taken) => {
                good_until_ms = taken.good_until_ms;
                let entered = call.bound.check().and_then(|_| taken.conn.enlist(&call.bound));
                entered.map(|busy| (taken.conn, busy)).map_err(|fault| (Phase::Send, fault))
            }
            None => self.open(call.origin, &call.bound, true, &mut timing),
        };
        let (mut conn, busy) = opened.map_err(|(phase, fault)| self.nothing_left(call, phase, fault))?;
        let idle_ms = clock::monotonic_ms().saturating_sub(conn.heard_ms);

        let (method, bytes) = match self.ready(call, &mut conn, prepare) {
            Ok(ready) => ready,
            Err(fault) => {
                let unharmed = matches!(fault, Fault::Final(_) | Fault::Timeout);
                let lost = self.nothing_left(call, Phase::Send, fault);
                if unharmed {
                    self.keep(conn, busy);
                }
                return Err(lost);
            }
        };
        // `prepare` may have waited for a disk, and a command must not meet a connection that died meanwhile.
        if call.purpose == Purpose::Command {
            let old = clock::monotonic_ms() >= good_until_ms;
            if let Err(fault) = if old { Err(Fault::Closed) } else { conn.look() } {
                let lost = self.nothing_left(call, Phase::Send, fault);
                return Err(Lost { died_idle: timing.reused, ..lost });
            }
            conn.limit_delivery(call.bound.remaining());
        }
        // The very last: a token or a deadline that is over by now has cost nothing.
        if let Err(fault) = call.bound.check() {
            let lost = self.nothing_left(call, Phase::Send, fault);
            self.keep(conn, busy);
            return Err(lost);
        }

        if timing.reused {
            count(&self.counters.reused);
        }
        let mut progress = Progress::default();
        let outcome = http::send(&mut conn, &bytes, &call.bound, &mut progress).and_then(|()| {
            let max_reply = self.options.max_reply_bytes;
            http::receive(&mut conn, method, max_reply, &call.bound, &mut progress)
        });
        drop(bytes);
        timing.first_write = progress.first_write;
        if progress.first_write.left {
            count(&self.counters.requests);
        }
        match outcome {
            Ok(answer) => {
                conn.unfence();
                conn.kept_ms = answer.kept_ms;
                let certificate = conn.certificate;
                let host = &call.origin.host;
                let refused = tls::refused_over_http(answer.status, &answer.body, host);
                if let Some(error) = refused.filter(|_| conn.tls().is_some()) {
                    return Err(Lost { error, first_write: progress.first_write, died_idle: false });
                }
                if answer.reusable {
                    self.keep(conn, busy);
                }
                Ok(self.reply(call, method, answer, certificate, &progress, timing))
            }
            Err(fault) => {
                let fault = call.bound.blame(fault);
                let died_idle = timing.reused && progress.first_byte.is_none() && fault.is_loss();
                if died_idle {
                    self.pool.died(call.origin, idle_ms);
                }
                // A command's connection ends here, and with it all that is queued in it.
                drop(busy);
                drop(conn);
                let phase = if progress.sent { Phase::Reply } else { Phase::Send };
                let error = self.error(call, phase, fault, progress.first_write.left);
                Err(Lost { error, first_write: progress.first_write, died_idle })
            }
        }
    }

    /// Everything before the first byte: the connection is made a command's, `prepare` is asked, the request encoded.
    fn ready(
        &self,
        call: &Call<'_>,
        conn: &mut Conn,
        prepare: &mut dyn FnMut() -> Result<Request>,
    ) -> std::result::Result<(&'static str, Vec<u8>), Fault> {
        conn.settle(&call.bound)?;
        if call.purpose == Purpose::Command {
            conn.fence()?;
        }
        call.bound.check()?;
        let request = prepare().map_err(Fault::Final)?;
        if !request.url.same_origin(call.origin) {
            let error = Error::new(KL_E_INTERNAL, "the request is for another server than the call");
            return Err(Fault::Final(error));
        }
        let bytes = head::encode(
            request.method,
            &request.url.path_and_query,
            &request.headers,
            &request.body,
            &conn.authority,
            &self.options.user_agent,
        )?;
        Ok((request.method, bytes))
    }

    /// Gives a connection back that nothing is left in, unless a cancel has hit it.
    fn keep(&self, mut conn: Box<Conn>, busy: Busy) {
        if busy.done() {
            conn.unfence();
            self.pool.put(conn);
        }
    }

    /// What the caller gets, and what the clock learns from it.
    fn reply(
        &self,
        call: &Call<'_>,
        method: &str,
        answer: http::Answer,
        certificate: Option<Validity>,
        progress: &Progress,
        mut timing: Timing,
    ) -> Reply {
        let started = call.started;
        timing.first_byte_ms = progress.first_byte.map_or(0, |at| millis(at - started));
        timing.total_ms = millis(started.elapsed());
        let witness = Witness {
            date: answer.headers.get("date"),
            age: answer.headers.get("age"),
            sent_ms: progress.sent_ms,
            received_ms: progress.received_ms,
            certificate,
        };
        self.clock.witness(call.origin.clock(), &witness);
        log_line!(
            Debug,
            "{method} {}: status {} in {} ms{}",
            call.origin,
            answer.status,
            timing.total_ms,
            if timing.reused { ", connection reused" } else { "" }
        );
        Reply { status: answer.status, headers: answer.headers, body: answer.body, timing }
    }

    fn nothing_left(&self, call: &Call<'_>, phase: Phase, fault: Fault) -> Lost {
        let error = self.error(call, phase, call.bound.blame(fault), false);
        Lost { error, first_write: FirstWrite::default(), died_idle: false }
    }

    /// Closes all idle connections.
    pub fn close_idle(&self) {
        self.pool.clear();
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

    /// Refuses what may not be spoken to.
    fn admit(&self, origin: &Url) -> Result<()> {
        if origin.scheme == Scheme::Http && !self.options.allow_http {
            let message = format!("{origin} is not https, and plain http is not allowed");
            return Err(Error::new(KL_E_CONFIG_VALUE, message));
        }
        Ok(())
    }
}

fn millis(time: Duration) -> u32 {
    time.as_millis().min(u128::from(u32::MAX)) as u32
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_tells_the_figures_that_are_obeyed() {
        let page = include_str!("../../docs/transport.md");
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        let seconds = |ms: u64| ms / 1000;
        for told in [
            format!("| nothing is known | {} s ago |", seconds(pool::COMMAND_IDLE_MS)),
            format!("less {} s and two round trips", seconds(pool::COMMAND_MARGIN_MS)),
            format!("two round trips ago; {} s at most", seconds(pool::COMMAND_IDLE_MAX_MS)),
            format!("in the last {} minutes", pool::HABIT_MS / 60_000),
            format!("up to {}. Each is kept", pool::MAX_IDLE),
            format!("{} ms after the one before it", conn::NEXT_ADDRESS.as_millis()),
            format!("acknowledged for {} s ends", conn::UNACKNOWLEDGED.as_secs()),
            format!("(up to {})", dns::MAX_ADDRESSES),
            format!("RSA keys below {} bits", tls::MIN_RSA_BITS),
            format!("| head of an answer | {} KiB, with interim", head::MAX_HEAD / 1024),
            format!("; {} headers |", head::MAX_HEADERS),
            format!("({} MiB): `KL_E_TOO_LARGE`", Options::default().max_reply_bytes >> 20),
            format!("`idle_timeout_ms` ({} s)", Options::default().idle_timeout.as_secs()),
            format!("`connect_timeout_ms` ({} s)", Options::default().connect_timeout.as_secs()),
        ] {
            assert!(page.contains(&told), "docs/transport.md does not say: {told}");
        }
    }
}
