//! One connection: a small HTTP/1.1 server that can do every byte of it wrong.
//!
//! A thread is with a connection only while something comes or goes. In between it rests in the [`crowd`](crate::crowd).

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustls::{HandshakeKind, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::clock::http_date;
use crate::console;
use crate::control;
use crate::message::{DateHeader, Ending, Framing, Portion, Reply, Request};
use crate::server::Shared;

const HEAD_LIMIT: usize = 64 * 1024;
const BODY_LIMIT: usize = 32 * 1024 * 1024;
/// A connection on which nothing comes for so long is dropped.
pub const IDLE_LIMIT: Duration = Duration::from_secs(120);
/// So long a thread waits for the next request before the connection rests: one that is busy costs no change of thread.
const LINGER: Duration = Duration::from_millis(20);
/// With more threads at work than this none lingers.
const LINGERERS: usize = 32;
/// How many consoles may watch at once.
const WATCHERS: u64 = 32;
/// How often a console hears that the simulator is still there.
const BEAT: Duration = Duration::from_secs(5);
/// The pause between two pieces of news, so that a busy simulator does not spend its time on telling about it.
const NEWS_PAUSE_MS: u64 = 100;

/// The socket of a connection. The books hold it too: one descriptor for both.
#[derive(Clone)]
pub struct Wire(pub Arc<TcpStream>);

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    /// A flight of TLS's leaves in one piece, as a real server's does: a client that gets its first record alone answers it alone.
    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        (&*self.0).write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection that rests, with how long it may.
pub type Rest = (Box<dyn Guest>, Duration);

/// A connection in one of its ages.
pub trait Guest: Send {
    /// Goes on: something came, or it has rested for as long as it may. None: it has ended.
    fn go_on(self: Box<Self>, expired: bool) -> Option<Rest>;

    /// Which one it is.
    fn number(&self) -> u64;

    /// Its socket.
    fn wire(&self) -> &Arc<TcpStream>;
}

/// A connection that has not said anything yet.
struct Fresh {
    shared: Arc<Shared>,
    number: u64,
    wire: Wire,
}

/// A new connection, which rests until something comes.
pub fn begin(shared: &Arc<Shared>, number: u64, stream: TcpStream) -> io::Result<Rest> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LINGER))?;
    stream.set_write_timeout(Some(IDLE_LIMIT))?;
    let wire = Wire(Arc::new(stream));
    shared.came(number, wire.0.clone());
    Ok((Box::new(Fresh { shared: shared.clone(), number, wire }), IDLE_LIMIT))
}

impl Guest for Fresh {
    /// TLS begins with the byte 0x16; everything else is taken for plain HTTP.
    fn go_on(self: Box<Self>, expired: bool) -> Option<Rest> {
        let mut first = [0u8; 1];
        if expired || !matches!(self.wire.0.peek(&mut first), Ok(1)) {
            return None;
        }
        let Fresh { shared, number, wire } = *self;
        if first[0] != 0x16 {
            return Box::new(Connection::new(shared, number, false, wire.clone(), wire)).go_on(false);
        }
        shared.counters.tls_connections.fetch_add(1, Ordering::Relaxed);
        let Some(config) = shared.tls.for_handshake() else {
            return Some((Box::new(Stalled { number, wire }), IDLE_LIMIT));
        };
        let tls = ServerConnection::new(config).ok()?;
        wire.0.set_nonblocking(true).ok()?;
        Box::new(Shaking { shared, number, wire, tls }).go_on(false)
    }

    fn number(&self) -> u64 {
        self.number
    }

    fn wire(&self) -> &Arc<TcpStream> {
        &self.wire.0
    }
}

/// A handshake that is left unanswered: what comes is read, nothing is said, until the other side has had enough.
struct Stalled {
    number: u64,
    wire: Wire,
}

impl Guest for Stalled {
    fn go_on(mut self: Box<Self>, expired: bool) -> Option<Rest> {
        let more = !expired && self.wire.read(&mut [0u8; 1024]).is_ok_and(|n| n > 0);
        more.then_some((self as Box<dyn Guest>, IDLE_LIMIT))
    }

    fn number(&self) -> u64 {
        self.number
    }

    fn wire(&self) -> &Arc<TcpStream> {
        &self.wire.0
    }
}

/// A connection in its handshake; its socket does not block.
struct Shaking {
    shared: Arc<Shared>,
    number: u64,
    wire: Wire,
    tls: ServerConnection,
}

impl Guest for Shaking {
    fn go_on(mut self: Box<Self>, expired: bool) -> Option<Rest> {
        let counters = &self.shared.counters;
        while self.tls.is_handshaking() {
            let failed = match self.tls.complete_io(&mut self.wire) {
                Ok(_) => continue,
                Err(error) => error.kind() != ErrorKind::WouldBlock || expired,
            };
            if !failed {
                return Some((self, IDLE_LIMIT));
            }
            counters.handshakes_failed.fetch_add(1, Ordering::Relaxed);
            // The alert that says why is still to be sent.
            while self.tls.wants_write() && self.tls.write_tls(&mut self.wire).is_ok() {}
            return None;
        }
        let resumed = self.tls.handshake_kind() == Some(HandshakeKind::Resumed);
        let counter = if resumed { &counters.handshakes_resumed } else { &counters.handshakes_full };
        counter.fetch_add(1, Ordering::Relaxed);
        self.wire.0.set_nonblocking(false).ok()?;
        // Tickets do not wait for the first answer.
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.wire).ok()?;
        }
        let Shaking { shared, number, wire, tls } = *self;
        let stream = StreamOwned::new(tls, wire.clone());
        Box::new(Connection::new(shared, number, true, stream, wire)).go_on(false)
    }

    fn number(&self) -> u64 {
        self.number
    }

    fn wire(&self) -> &Arc<TcpStream> {
        &self.wire.0
    }
}

/// What TLS and plain TCP do differently.
trait Stream: Read + Write + Send + 'static {
    /// Ends the encrypted stream the polite way; there is nothing to do for a plain one.
    fn farewell(&mut self);

    /// Whether something has been read that the socket no longer tells of.
    fn holds(&mut self) -> bool;
}

impl Stream for Wire {
    fn farewell(&mut self) {}

    fn holds(&mut self) -> bool {
        false
    }
}

impl Stream for StreamOwned<ServerConnection, Wire> {
    fn farewell(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
    }

    fn holds(&mut self) -> bool {
        // What is broken is found out by reading on.
        self.conn.process_new_packets().map_or(true, |state| state.plaintext_bytes_to_read() > 0)
    }
}

/// A connection that speaks HTTP.
struct Connection<S> {
    shared: Arc<Shared>,
    number: u64,
    tls: bool,
    stream: S,
    /// The socket below, for what TLS cannot do.
    wire: Wire,
    buffer: Vec<u8>,
    /// It is closed when nothing comes for so long after the last answer.
    idle: Option<Duration>,
    /// It has rested, and something has come.
    called: bool,
}

/// Why a request could not be read.
enum Unread {
    /// The other side is gone.
    Gone,
    /// It is not HTTP as we speak it.
    Bad(u16, &'static str),
}

impl From<io::Error> for Unread {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl<S: Stream> Guest for Connection<S> {
    fn go_on(mut self: Box<Self>, expired: bool) -> Option<Rest> {
        if expired {
            if self.idle.is_some() {
                self.stream.farewell();
            }
            return None;
        }
        let limit = self.serve().ok()??;
        // Most connections rest for long: what a request needed is given back.
        self.buffer = Vec::new();
        self.called = true;
        Some((self, limit))
    }

    fn number(&self) -> u64 {
        self.number
    }

    fn wire(&self) -> &Arc<TcpStream> {
        &self.wire.0
    }
}

impl<S: Stream> Connection<S> {
    fn new(shared: Arc<Shared>, number: u64, tls: bool, stream: S, wire: Wire) -> Self {
        Self { shared, number, tls, stream, wire, buffer: Vec::new(), idle: None, called: false }
    }

    /// Answers requests until nothing comes: then how long that may last. None: the connection has ended.
    fn serve(&mut self) -> io::Result<Option<Duration>> {
        loop {
            if !self.speaks() {
                return Ok(Some(self.idle.unwrap_or(IDLE_LIMIT)));
            }
            self.idle = None;
            let request = match self.read_request() {
                Ok(request) => request,
                Err(Unread::Gone) => return Ok(None),
                Err(Unread::Bad(status, why)) => {
                    self.shared.counters.bad_requests.fetch_add(1, Ordering::Relaxed);
                    let mut reply = Reply::json(status, &json!({"error": why}));
                    reply.headers.push(("Connection".into(), "close".into()));
                    self.answer(&reply, false)?;
                    self.stream.farewell();
                    return Ok(None);
                }
            };
            self.shared.counters.http_requests.fetch_add(1, Ordering::Relaxed);
            if request.path.starts_with("/_sim") || console::is_part(&request.path) {
                self.shared.controls(self.number);
            }
            if let Some(reply) = console::refuse(&request) {
                self.answer(&reply, false)?;
                self.stream.farewell();
                return Ok(None);
            }
            if request.path == "/_sim/events" && request.method == "GET" {
                return self.tell_news().map(|()| None);
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
                    return Ok(None);
                }
                Ending::Close(ms) => {
                    self.shared.pause(ms);
                    return self.wire.0.shutdown(Shutdown::Both).map(|()| None);
                }
                Ending::Reset => {
                    let socket = socket2::SockRef::from(&*self.wire.0);
                    return socket.set_linger(Some(Duration::ZERO)).map(|()| None);
                }
                Ending::Hold(ms) => {
                    self.shared.pause(ms);
                    return Ok(None);
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
                    control::handle(&self.shared, &request.method, &format!("{path}{query}"), &body)
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
        let shared = self.shared.clone();
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
        let shared = self.shared.clone();
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
        let shared = self.shared.clone();
        let mut head = console::stream();
        head.framing = Framing::UntilClose;
        self.answer(&head, false)?;
        let mut news = console::News::default();
        let mut beat = Instant::now();
        while !shared.is_stopping() && !self.gone() {
            let (seen, text) = {
                let state = shared.state();
                (shared.changes(), news.tell(&state, beat <= Instant::now()))
            };
            if beat <= Instant::now() {
                beat = Instant::now() + BEAT;
            }
            self.stream.write_all(text.as_bytes())?;
            self.stream.flush()?;
            shared.pause(NEWS_PAUSE_MS);
            let left = beat.saturating_duration_since(Instant::now());
            shared.wait(left, |_| (shared.changes() != seen).then_some(()));
        }
        Ok(())
    }

    /// Whether a console that only listens has hung up: it has nothing more to say but that.
    fn gone(&self) -> bool {
        let socket = &self.wire.0;
        let still = socket.set_nonblocking(true).and_then(|()| socket.peek(&mut [0u8; 1]));
        // One that cannot be read as the others are is given up.
        let blocks = socket.set_nonblocking(false).is_ok();
        !blocks || !matches!(still, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Whether something comes, now or in a moment.
    fn speaks(&mut self) -> bool {
        if std::mem::take(&mut self.called) || !self.buffer.is_empty() || self.stream.holds() {
            return true;
        }
        let lingers = self.idle.is_none() && self.shared.crowd.workers() <= LINGERERS;
        lingers && !matches!(self.wire.0.peek(&mut [0u8; 1]), Err(error) if waits(&error))
    }

    fn fill(&mut self) -> Result<(), Unread> {
        let end = Instant::now() + IDLE_LIMIT;
        let mut piece = [0u8; 16 * 1024];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(Unread::Gone),
                Ok(n) => {
                    self.buffer.extend_from_slice(&piece[..n]);
                    return Ok(());
                }
                Err(e) if waits(&e) && Instant::now() < end => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn read_request(&mut self) -> Result<Request, Unread> {
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

/// Nothing came in the time that a read waits.
fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
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
