//! A small HTTP/1.1 server that can do every byte of it wrong.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::{HandshakeKind, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::callback;
use crate::clock::http_date;
use crate::console;
use crate::control;
use crate::message::{DateHeader, Ending, Framing, Portion, Reply, Request};
use crate::state::State;
use crate::tls::Tls;

const HEAD_LIMIT: usize = 64 * 1024;
const BODY_LIMIT: usize = 32 * 1024 * 1024;
const IDLE_LIMIT: Duration = Duration::from_secs(120);
/// How many consoles may watch at once.
const WATCHERS: u64 = 32;
/// How often a console hears that the simulator is still there.
const BEAT: Duration = Duration::from_secs(5);
/// The pause between two pieces of news, so that a busy simulator does not spend its time on telling about it.
const NEWS_PAUSE_MS: u64 = 100;

/// Counters that need no lock.
#[derive(Default)]
pub struct Counters {
    connections: AtomicU64,
    tls_connections: AtomicU64,
    handshakes_full: AtomicU64,
    handshakes_resumed: AtomicU64,
    handshakes_failed: AtomicU64,
    http_requests: AtomicU64,
    bad_requests: AtomicU64,
}

impl Counters {
    /// All of them.
    pub fn show(&self) -> Value {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        json!({
            "connections": get(&self.connections), "tls_connections": get(&self.tls_connections),
            "handshakes": {
                "full": get(&self.handshakes_full), "resumed": get(&self.handshakes_resumed),
                "failed": get(&self.handshakes_failed),
            },
            "http_requests": get(&self.http_requests), "bad_http_requests": get(&self.bad_requests),
        })
    }

    /// Back to zero.
    pub fn reset(&self) {
        for counter in [
            &self.connections,
            &self.tls_connections,
            &self.handshakes_full,
            &self.handshakes_resumed,
            &self.handshakes_failed,
            &self.http_requests,
            &self.bad_requests,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

/// An open connection.
struct Socket {
    stream: TcpStream,
    /// It has carried a control request.
    control: bool,
}

/// What all threads share.
pub struct Shared {
    /// The certificates.
    pub tls: Tls,
    /// The counters.
    pub counters: Counters,
    state: Mutex<State>,
    changed: Condvar,
    stopping: AtomicBool,
    /// How many wait for a change.
    waiting: AtomicU64,
    /// Counts what may have been a change; raised under the lock of the state.
    changes: AtomicU64,
    /// How many consoles watch.
    watchers: AtomicU64,
    sockets: Mutex<HashMap<u64, Socket>>,
}

impl Shared {
    /// Puts the parts together.
    pub fn new(tls: Tls, state: State) -> Self {
        Self {
            tls,
            counters: Counters::default(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            stopping: AtomicBool::new(false),
            waiting: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            watchers: AtomicU64::new(0),
            sockets: Mutex::new(HashMap::new()),
        }
    }

    /// The state, to read.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes whoever waits for a change.
    pub fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let result = act(&mut state);
        self.changes.fetch_add(1, Ordering::SeqCst);
        drop(state);
        self.changed.notify_all();
        result
    }

    /// Answers a request to a platform. The threads that sleep are woken only if there is something for them,
    /// because waking them costs more than most requests.
    fn serve<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let before = state.core.agenda();
        let reply = act(&mut state);
        self.changes.fetch_add(1, Ordering::SeqCst);
        if state.core.agenda() != before || self.waiting.load(Ordering::SeqCst) > 0 {
            self.changed.notify_all();
        }
        reply
    }

    /// Waits until `ready` answers something or the time is up.
    pub fn wait<T>(&self, limit: Duration, mut ready: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let end = Instant::now() + limit;
        let mut state = self.state();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let result = loop {
            if let Some(result) = ready(&mut state) {
                break Some(result);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.is_stopping() {
                break None;
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        result
    }

    /// Wakes whoever waits for something that is not in the state.
    fn wake(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            drop(self.state());
            self.changed.notify_all();
        }
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.sockets().len()
    }

    /// True when the simulator ends.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Ends all threads: wakes those that wait and closes the connections of those that read.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        drop(self.state());
        self.changed.notify_all();
        self.close(|_| true);
    }

    /// Closes the connections that carry no control requests, without a word; answers how many.
    pub fn close_connections(&self) -> usize {
        self.close(|socket| !socket.control)
    }

    fn close(&self, which: impl Fn(&Socket) -> bool) -> usize {
        let sockets = self.sockets();
        let chosen = sockets.values().filter(|socket| which(socket));
        chosen.filter(|socket| socket.stream.shutdown(Shutdown::Both).is_ok()).count()
    }

    fn sockets(&self) -> MutexGuard<'_, HashMap<u64, Socket>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what is due, and sleeps until the next thing is.
    pub fn run_timers(&self) {
        let mut state = self.state();
        while !self.is_stopping() {
            let before = (state.core.timers_pending(), state.core.agenda());
            let next = state.run_due();
            if (state.core.timers_pending(), state.core.agenda()) != before {
                self.changes.fetch_add(1, Ordering::SeqCst);
                self.changed.notify_all();
            }
            state = self.sleep_until(state, next);
        }
    }

    /// Sends callbacks, one at a time and in order, and sleeps until the next is due.
    pub fn run_callbacks(&self) {
        let mut state = self.state();
        while !self.is_stopping() {
            let now = state.core.clock.now_ms();
            let Some(delivery) = state.core.callbacks.take_due(now) else {
                let next = state.core.callbacks.next_due_ms();
                state = self.sleep_until(state, next);
                continue;
            };
            let settings = state.core.callbacks.settings.clone();
            drop(state);
            let result = callback::send(&delivery, &settings, &self.tls);
            self.change(|state| state.delivery_ended(&delivery, result));
            state = self.state();
        }
    }

    fn sleep_until<'a>(&self, state: MutexGuard<'a, State>, due_ms: Option<i64>) -> MutexGuard<'a, State> {
        // `stop` sets its flag before it takes the lock, so a look under the lock misses nothing.
        if self.is_stopping() {
            return state;
        }
        match due_ms {
            Some(due) if !state.core.clock.is_frozen() => {
                let pause = (due - state.core.clock.now_ms()).clamp(1, 3_600_000) as u64;
                let woken = self.changed.wait_timeout(state, Duration::from_millis(pause));
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
            _ => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Stays mute for a while, but not longer than the simulator lives.
    fn pause(&self, ms: u64) {
        if ms > 0 {
            self.wait(Duration::from_millis(ms), |_| None::<()>);
        }
    }
}

/// Accepts connections until the simulator stops.
pub fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, socket) in (1u64..).zip(listener.incoming()) {
        if shared.is_stopping() {
            return;
        }
        let Ok(socket) = socket else { continue };
        shared.counters.connections.fetch_add(1, Ordering::Relaxed);
        let Ok(twin) = socket.try_clone() else { continue };
        shared.sockets().insert(number, Socket { stream: twin, control: false });
        // `stop` may have gone through the sockets just before.
        if shared.is_stopping() {
            return;
        }
        let all = shared.clone();
        let shared = shared.clone();
        let run = move || {
            let _ = socket.set_nodelay(true);
            let _ = socket.set_read_timeout(Some(IDLE_LIMIT));
            let _ = socket.set_write_timeout(Some(IDLE_LIMIT));
            let _ = serve_socket(&shared, number, socket);
            shared.sockets().remove(&number);
            shared.wake();
        };
        if std::thread::Builder::new().name(format!("sim-connection-{number}")).spawn(run).is_err() {
            all.sockets().remove(&number);
        }
    }
}

/// TLS begins with the byte 0x16; everything else is taken for plain HTTP.
fn serve_socket(shared: &Shared, number: u64, mut socket: TcpStream) -> io::Result<()> {
    let mut first = [0u8; 1];
    if socket.peek(&mut first)? == 0 {
        return Ok(());
    }
    let reset = socket.try_clone()?;
    if first[0] != 0x16 {
        return Connection {
            shared,
            number,
            tls: false,
            stream: socket,
            reset,
            buffer: Vec::new(),
            idle: None,
        }
        .serve();
    }
    let counters = &shared.counters;
    counters.tls_connections.fetch_add(1, Ordering::Relaxed);
    let Some(config) = shared.tls.for_handshake() else {
        // Stalled: read what comes, say nothing, until the other side has had enough.
        while socket.read(&mut [0u8; 1024])? > 0 {}
        return Ok(());
    };
    let mut server = ServerConnection::new(config).map_err(io::Error::other)?;
    while server.is_handshaking() {
        if let Err(error) = server.complete_io(&mut socket) {
            counters.handshakes_failed.fetch_add(1, Ordering::Relaxed);
            // The alert that says why is still to be sent.
            while server.wants_write() && server.write_tls(&mut socket).is_ok() {}
            return Err(error);
        }
    }
    let resumed = server.handshake_kind() == Some(HandshakeKind::Resumed);
    let counter = if resumed { &counters.handshakes_resumed } else { &counters.handshakes_full };
    counter.fetch_add(1, Ordering::Relaxed);
    let stream = StreamOwned::new(server, socket);
    Connection { shared, number, tls: true, stream, reset, buffer: Vec::new(), idle: None }.serve()
}

/// Ends the encrypted stream the polite way; there is nothing to do for a plain one.
trait Farewell {
    fn farewell(&mut self);
}

impl Farewell for TcpStream {
    fn farewell(&mut self) {}
}

impl Farewell for StreamOwned<ServerConnection, TcpStream> {
    fn farewell(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
    }
}

struct Connection<'a, S> {
    shared: &'a Shared,
    number: u64,
    tls: bool,
    stream: S,
    /// The socket below, for what TLS cannot do.
    reset: TcpStream,
    buffer: Vec<u8>,
    /// It is closed when nothing comes for so long after the last answer.
    idle: Option<Duration>,
}

/// Why a request could not be read.
enum Unread {
    /// The other side is gone.
    Gone,
    /// Nothing came for as long as this connection may be idle.
    Idle,
    /// It is not HTTP as we speak it.
    Bad(u16, &'static str),
}

impl From<io::Error> for Unread {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl<S: Read + Write + Farewell> Connection<'_, S> {
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let request = match self.read_request() {
                Ok(request) => request,
                Err(Unread::Gone) => return Ok(()),
                Err(Unread::Idle) => {
                    self.stream.farewell();
                    return Ok(());
                }
                Err(Unread::Bad(status, why)) => {
                    self.shared.counters.bad_requests.fetch_add(1, Ordering::Relaxed);
                    let mut reply = Reply::json(status, &json!({"error": why}));
                    reply.headers.push(("Connection".into(), "close".into()));
                    self.answer(&reply, false)?;
                    self.stream.farewell();
                    return Ok(());
                }
            };
            self.shared.counters.http_requests.fetch_add(1, Ordering::Relaxed);
            if request.path.starts_with("/_sim") || console::is_part(&request.path) {
                self.shared.sockets().entry(self.number).and_modify(|socket| socket.control = true);
            }
            if let Some(reply) = console::refuse(&request) {
                self.answer(&reply, false)?;
                self.stream.farewell();
                return Ok(());
            }
            if request.path == "/_sim/events" && request.method == "GET" {
                return self.tell_news();
            }
            let mut keep = request.header("connection").is_none_or(|c| !c.eq_ignore_ascii_case("close"));
            let (reply, from_platform) = self.reply_to(request);
            let closes = |(n, v): &(String, String)| n == "Connection" && v == "close";
            keep &= !reply.headers.iter().any(closes) && reply.framing != Framing::UntilClose;
            if from_platform {
                self.shared.pause(reply.delay_ms);
            }
            if let Some((kind, handshakes)) = &reply.spoils {
                self.shared.tls.spoil(kind, *handshakes).map_err(io::Error::other)?;
            }
            self.idle = reply.idle_ms.map(Duration::from_millis);
            let sent = self.answer(&reply, keep || reply.ending != Ending::Agreed);
            match reply.ending {
                Ending::Agreed if keep => sent?,
                Ending::Agreed => {
                    self.stream.farewell();
                    return Ok(());
                }
                Ending::Close(ms) => {
                    self.shared.pause(ms);
                    return self.reset.shutdown(Shutdown::Both);
                }
                Ending::Reset => return socket2::SockRef::from(&self.reset).set_linger(Some(Duration::ZERO)),
                Ending::Hold(ms) => {
                    self.shared.pause(ms);
                    return Ok(());
                }
            }
        }
    }

    fn reply_to(&mut self, request: Request) -> (Reply, bool) {
        if let Some(path) = request.path.strip_prefix("/_sim") {
            let body = if request.body.is_empty() {
                Ok(Value::Null)
            } else {
                serde_json::from_slice(&request.body).map_err(|e| format!("the body is not JSON: {e}"))
            };
            let (status, value) = match body {
                Ok(body) => {
                    let query =
                        if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
                    control::handle(self.shared, &request.method, &format!("{path}{query}"), &body)
                }
                Err(why) => (400, json!({"error": why})),
            };
            return (Reply::json(status, &value), false);
        }
        if let Some(reply) = console::part(&request) {
            return (reply, false);
        }
        (self.ask_platform(request), true)
    }

    /// Lets a platform answer a request: when its last byte has come up, which may be a while from now.
    fn ask_platform(&mut self, mut request: Request) -> Reply {
        let shared = self.shared;
        // Taken in and acted on in one go, unless it is still on its way.
        let taken = shared.serve(|state| match state.plan(&mut request) {
            Err(reply) => Err(reply),
            Ok(plan) if plan.uplink_ms == 0 => Err(Box::new(state.act(&request, plan))),
            Ok(plan) => Ok(plan),
        });
        let plan = match taken {
            Ok(plan) => plan,
            Err(reply) => return *reply,
        };
        shared.pause(plan.uplink_ms);
        if !plan.delivered && self.gone() {
            // What the caller's kernel still held went with its connection.
            return shared.serve(|state| state.lose(&request, &plan));
        }
        shared.serve(|state| state.act(&request, plan))
    }

    /// Tells a console what is there and what becomes of it, until it goes away or the simulator ends.
    fn tell_news(&mut self) -> io::Result<()> {
        let shared = self.shared;
        let seat = shared.watchers.fetch_add(1, Ordering::SeqCst);
        let result = if seat < WATCHERS {
            self.tell_all_news()
        } else {
            let why = json!({"error": format!("{WATCHERS} consoles watch already; close one")});
            let mut reply = Reply::json(503, &why);
            reply.headers.push(("Retry-After".into(), "5".into()));
            self.answer(&reply, false)
        };
        shared.watchers.fetch_sub(1, Ordering::SeqCst);
        self.stream.farewell();
        result
    }

    fn tell_all_news(&mut self) -> io::Result<()> {
        let shared = self.shared;
        let mut head = console::stream();
        head.framing = Framing::UntilClose;
        self.answer(&head, false)?;
        let mut news = console::News::default();
        let mut beat = Instant::now();
        while !shared.is_stopping() && !self.gone() {
            let (seen, text) = {
                let state = shared.state();
                (shared.changes.load(Ordering::SeqCst), news.tell(&state, beat <= Instant::now()))
            };
            if beat <= Instant::now() {
                beat = Instant::now() + BEAT;
            }
            self.stream.write_all(text.as_bytes())?;
            self.stream.flush()?;
            shared.pause(NEWS_PAUSE_MS);
            let left = beat.saturating_duration_since(Instant::now());
            shared.wait(left, |_| (shared.changes.load(Ordering::SeqCst) != seen).then_some(()));
        }
        Ok(())
    }

    /// Whether a console that only listens has hung up: it has nothing more to say but that.
    fn gone(&self) -> bool {
        let socket = &self.reset;
        let still = socket.set_nonblocking(true).and_then(|()| socket.peek(&mut [0u8; 1]));
        let _ = socket.set_nonblocking(false);
        !matches!(still, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    fn fill(&mut self) -> Result<(), Unread> {
        let mut piece = [0u8; 16 * 1024];
        let n = self.stream.read(&mut piece)?;
        if n == 0 {
            return Err(Unread::Gone);
        }
        self.buffer.extend_from_slice(&piece[..n]);
        Ok(())
    }

    /// Waits for the first byte of a request, no longer than the connection may be idle.
    fn await_request(&mut self) -> Result<(), Unread> {
        let Some(limit) = self.idle.take().filter(|_| self.buffer.is_empty()) else { return Ok(()) };
        self.reset.set_read_timeout(Some(limit.max(Duration::from_millis(1))))?;
        let mut piece = [0u8; 16 * 1024];
        let got = self.stream.read(&mut piece);
        self.reset.set_read_timeout(Some(IDLE_LIMIT))?;
        match got {
            Ok(0) => Err(Unread::Gone),
            Ok(n) => {
                self.buffer.extend_from_slice(&piece[..n]);
                Ok(())
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Err(Unread::Idle),
            Err(e) => Err(e.into()),
        }
    }

    fn read_request(&mut self) -> Result<Request, Unread> {
        self.await_request()?;
        let (mut request, length) = loop {
            if let Some(head) = parse_head(&self.buffer)? {
                self.buffer.drain(..head.0);
                break (Request { size: head.0, ..head.1 }, head.2);
            }
            if self.buffer.len() > HEAD_LIMIT {
                return Err(Unread::Bad(431, "the request head is too long"));
            }
            self.fill()?;
        };
        (request.connection, request.tls) = (self.number, self.tls);
        if request.header("expect").is_some_and(|e| e.eq_ignore_ascii_case("100-continue")) {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            self.stream.flush()?;
        }
        request.body = match length {
            Some(length) => {
                while self.buffer.len() < length {
                    self.fill()?;
                }
                self.buffer.drain(..length).collect()
            }
            None => loop {
                match unchunk(&self.buffer) {
                    Err(_) => return Err(Unread::Bad(400, "the chunked body is broken")),
                    Ok(Some((body, used))) => {
                        self.buffer.drain(..used);
                        break body;
                    }
                    Ok(None) if self.buffer.len() > BODY_LIMIT => {
                        return Err(Unread::Bad(413, "the request body is too long"));
                    }
                    Ok(None) => self.fill()?,
                }
            },
        };
        request.size += request.body.len();
        Ok(request)
    }

    /// Writes an answer, as far and as fast as it is to be written.
    fn answer(&mut self, reply: &Reply, keep: bool) -> io::Result<()> {
        let mut bytes = render(reply, self.shared.state().core.clock.now_ms(), keep);
        match reply.portion {
            Portion::All => {}
            Portion::Nothing => return Ok(()),
            Portion::Percent(percent) => bytes.truncate(bytes.len() * percent.min(100) as usize / 100),
            Portion::Twice => bytes.extend_from_within(..),
        }
        let (size, pause) = reply.drip.unwrap_or((bytes.len().max(1), 0));
        for piece in bytes.chunks(size) {
            self.shared.pause(pause);
            if self.shared.is_stopping() {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            self.stream.write_all(piece)?;
            self.stream.flush()?;
        }
        Ok(())
    }
}

/// The head of a request: how long it is, what it says, and how long its body is (none: chunked).
fn parse_head(bytes: &[u8]) -> Result<Option<(usize, Request, Option<usize>)>, Unread> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let end = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Unread::Bad(400, "the request head is not HTTP/1.1")),
    };
    let target = parsed.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: parsed
            .headers
            .iter()
            .map(|h| (h.name.to_owned(), String::from_utf8_lossy(h.value).into_owned()))
            .collect(),
        ..Request::default()
    };
    if parsed.version == Some(0) && request.header("connection").is_none() {
        request.headers.push(("Connection".into(), "close".into()));
    }
    if request.header("transfer-encoding").is_some_and(|t| t.to_ascii_lowercase().contains("chunked")) {
        return Ok(Some((end, request, None)));
    }
    let length = match request.header("content-length").map(|l| l.trim().parse::<usize>()) {
        None => 0,
        Some(Ok(length)) if length <= BODY_LIMIT => length,
        Some(Ok(_)) => return Err(Unread::Bad(413, "the request body is too long")),
        Some(Err(_)) => return Err(Unread::Bad(400, "an odd Content-Length")),
    };
    Ok(Some((end, request, Some(length))))
}

/// A chunked body put together, and how many bytes it took; none while it is not whole.
pub fn unchunk(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let (line, size) = match httparse::parse_chunk_size(&bytes[at..]) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err("an odd chunk size".into()),
        };
        let size = usize::try_from(size).ok().filter(|s| *s <= BODY_LIMIT).ok_or("a chunk too big")?;
        at += line;
        if size == 0 {
            // Trailers, if any, end with an empty line.
            let Some(end) = bytes[at..].windows(2).position(|w| w == b"\r\n") else { return Ok(None) };
            if end == 0 {
                return Ok(Some((body, at + 2)));
            }
            return match bytes[at..].windows(4).position(|w| w == b"\r\n\r\n") {
                Some(end) => Ok(Some((body, at + end + 4))),
                None => Ok(None),
            };
        }
        let Some(chunk) = bytes.get(at..at + size + 2) else { return Ok(None) };
        if !chunk.ends_with(b"\r\n") {
            return Err("a chunk without its end".into());
        }
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
    }
}

fn render(reply: &Reply, now_ms: i64, keep: bool) -> Vec<u8> {
    let mut head = Vec::new();
    for (status, fields) in &reply.interim {
        line(&mut head, &format!("HTTP/1.1 {status} {}", reason(*status)));
        fields.iter().for_each(|(name, value)| header_line(&mut head, name, value));
        line(&mut head, "");
    }
    line(&mut head, &format!("HTTP/1.1 {} {}", reply.status, reason(reply.status)));
    if let DateHeader::Now(offset) = reply.date {
        header_line(&mut head, "Date", &http_date(now_ms.saturating_add(offset)));
    }
    reply.headers.iter().for_each(|(name, value)| header_line(&mut head, name, value));
    let has_connection = reply.headers.iter().any(|(n, _)| n == "Connection");
    if !has_connection {
        let kept = keep && reply.framing != Framing::UntilClose;
        header_line(&mut head, "Connection", if kept { "keep-alive" } else { "close" });
    }
    let mut tail = Vec::new();
    let body = match reply.framing {
        Framing::Length(delta) => {
            let length = (reply.body.len() as i64 + delta).max(0);
            header_line(&mut head, "Content-Length", &length.to_string());
            &reply.body
        }
        Framing::UntilClose => &reply.body,
        Framing::Chunked(size) => {
            header_line(&mut head, "Transfer-Encoding", "chunked");
            for chunk in reply.body.chunks(size) {
                tail.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                tail.extend_from_slice(chunk);
                tail.extend_from_slice(b"\r\n");
            }
            tail.extend_from_slice(b"0\r\n\r\n");
            &tail
        }
    };
    line(&mut head, "");
    [&head[..], body].concat()
}

fn line(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes a header field. A value of Latin-1 letters is written in Latin-1, as old servers do; any other in UTF-8.
pub fn header_line(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    let latin: Option<Vec<u8>> = value.chars().map(|c| u8::try_from(c).ok()).collect();
    out.extend_from_slice(latin.as_deref().unwrap_or(value.as_bytes()));
    out.extend_from_slice(b"\r\n");
}

fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        301 => "Moved Permanently",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
