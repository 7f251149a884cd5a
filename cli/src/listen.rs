//! `kiosklink listen`: a small server for the platforms' callbacks, so that a new integration sees its first one at once.
//!
//! Bounded in every direction: connections, bytes, time. One request a connection. Nobody can shut others out by holding
//! connections: one more takes the place of the caller that has waited longest with its request, of the peer that has most. SIGINT and SIGTERM end it when the callback
//! under way is answered; what was not answered yet, the platform sends again.

use crate::args::Given;
use crate::board::{Board, Fate};
use crate::lang::t;
use crate::names::Named;
use crate::out::{Done, Stop, json_of};
use crate::signals;
use crate::tr;
use crate::verbs::{event_row, system_ms};
use kiosklink::callback::{Bounds, Connection, NextStep, Then};
use kiosklink::cancel::CancelToken;
use kiosklink::client::Client;
use kiosklink::error::Error;
use kiosklink::event::Event;
use kiosklink::status::{KL_E_ARGUMENT, KL_E_CLIENT_CERT, KL_E_EVENT_SIGNATURE, KL_E_RESOURCE};
use kiosklink::time::clock::{Clock, format_time, monotonic_ms};
use kiosklink::transport::{Deadline, Options, Purpose, Request, Transport, Url};
use rustix::event::{PollFd, PollFlags, poll};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many refused requests are kept at most.
const MOST_SAVED: usize = 100;

struct Server {
    client: Client,
    /// Where lines are printed, and the table below them.
    board: Board,
    json: bool,
    path: Option<String>,
    /// Where refused requests are kept, and how many are.
    save: Option<PathBuf>,
    saved: AtomicUsize,
    exec: Option<String>,
    forward: Option<(Url, Transport)>,
    bounds: Bounds,
    timeout: Duration,
    tls: Option<Arc<ServerConfig>>,
    /// Callbacks that may still come; none left ends the server.
    left: AtomicUsize,
    callers: Callers,
    /// One callback is handed on at a time, in the order of their coming.
    turn: Mutex<()>,
    /// Requests that came whole and whose callers do not have the answer yet.
    under_way: Mutex<usize>,
    answered: Condvar,
    /// A byte here lets the accepting loop look whether it is over.
    wake: UnixStream,
    /// Why the output ended, if it did.
    ended: Mutex<Option<Stop>>,
}

/// One connection.
struct Caller {
    number: u64,
    peer: IpAddr,
    /// To end its reading, while its request has not come whole.
    waiting: Option<TcpStream>,
}

/// Who is connected, in the order of their coming.
struct Callers {
    all: Mutex<Vec<Caller>>,
    most: usize,
    /// Threads, those of callers that lost their place included.
    threads: AtomicUsize,
}

impl Callers {
    fn new(most: usize) -> Callers {
        Callers { all: Mutex::default(), most: most.max(1), threads: AtomicUsize::new(0) }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Caller>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more; `None` if all places are held by requests that are being answered.
    fn enter(&self, socket: &TcpStream, number: u64) -> Option<()> {
        let peer = socket.peer_addr().ok()?.ip();
        let waiting = Some(socket.try_clone().ok()?);
        // Who lost their place has a moment for the answer: those moments are bounded too.
        if self.threads.load(Ordering::SeqCst) >= 4 * self.most {
            return None;
        }
        let mut all = self.all();
        if all.len() >= self.most {
            let at = Callers::dispensable(&all)?;
            if let Some(socket) = all.remove(at).waiting {
                // Its thread reads the end, and answers.
                let _ = socket.shutdown(Shutdown::Read);
            }
        }
        all.push(Caller { number, peer, waiting });
        self.threads.fetch_add(1, Ordering::SeqCst);
        Some(())
    }

    /// Of the peer with the most connections, the one that has waited longest.
    fn dispensable(all: &[Caller]) -> Option<usize> {
        let of = |peer: IpAddr| all.iter().filter(|c| c.peer == peer).count();
        let waiting = all.iter().enumerate().filter(|(_, c)| c.waiting.is_some());
        // The first of several that are equal: it came first.
        waiting.rev().max_by_key(|(_, c)| of(c.peer)).map(|(at, _)| at)
    }

    /// Its request came whole: it keeps its place until it is answered. False if it has none any more.
    fn whole(&self, number: u64) -> bool {
        match self.all().iter_mut().find(|c| c.number == number) {
            Some(caller) => {
                caller.waiting = None;
                true
            }
            None => false,
        }
    }

    fn has_place(&self, number: u64) -> bool {
        self.all().iter().any(|c| c.number == number)
    }

    fn leave(&self, number: u64) {
        self.all().retain(|c| c.number != number);
    }

    /// Its thread ends.
    fn ended(&self) {
        self.threads.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tls(given: &Given) -> Result<Option<Arc<ServerConfig>>, Stop> {
    let (chain, key) = match (given.get("cert"), given.get("key")) {
        (None, None) => return Ok(None),
        (Some(chain), Some(key)) => (chain, key),
        _ => return Err(Stop::Usage(tr!("listen needs --cert and --key together"))),
    };
    let bad = |what: &str, why: String| Error::new(KL_E_CLIENT_CERT, format!("{what}: {why}"));
    let certs: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect)
        .map_err(|e| bad(chain, e.to_string()))?;
    if certs.is_empty() {
        return Err(Stop::Failed(bad(chain, "holds no certificate".into())));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| bad(key, e.to_string()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|b| b.with_no_client_auth().with_single_cert(certs, secret))
        .map_err(|e| bad(chain, e.to_string()))?;
    Ok(Some(Arc::new(config)))
}

/// `kiosklink listen`
pub fn run(given: &Given) -> Done {
    if given.json() && given.has("table") {
        return Err(Stop::Usage(tr!("--json and --table exclude each other")));
    }
    let config = given.config()?;
    let client = Client::new(&config)?;
    let board = Board::new(
        given.get("account").unwrap_or(config.platform().name()),
        given.has("table"),
        given.json(),
    );
    let tls = tls(given)?;
    let forward = match given.get("forward") {
        None => None,
        Some(text) => {
            let url = Url::parse(text).map_err(|why| Stop::Usage(tr!("--forward {}", why)))?;
            // Whoever names a plain address on this line wants it.
            let options = Options { allow_http: true, ..Options::default() };
            Some((url, Transport::new(options, Arc::new(Clock::new()))?))
        }
    };
    let bind = given.get("bind").unwrap_or("127.0.0.1:8080");
    let listener = TcpListener::bind(bind)
        .map_err(|e| Error::os(KL_E_ARGUMENT, format!("cannot listen at {bind}"), &e))?;
    let address = listener.local_addr().map_err(|e| Error::os(KL_E_ARGUMENT, bind, &e))?;
    let resource = |e: io::Error| Error::os(KL_E_RESOURCE, "cannot wait for callers", &e);
    // Who left between the call and its acceptance is not waited for.
    listener.set_nonblocking(true).map_err(resource)?;
    let (wake, woken) = UnixStream::pair().map_err(resource)?;
    signals::watch(wake.try_clone().map_err(resource)?).map_err(resource)?;
    let timeout_ms = given.number("client-timeout-ms", 10_000)?;
    let save = given.get("save").map(PathBuf::from);
    if let Some(folder) = save.as_ref().filter(|folder| !folder.is_dir()) {
        return Err(Stop::Usage(tr!("--save takes a folder, and {} is none", folder.display())));
    }
    let server = Arc::new(Server {
        client,
        board,
        json: given.json(),
        path: given.get("path").map(str::to_owned),
        save,
        saved: AtomicUsize::new(0),
        exec: given.get("exec").map(str::to_owned),
        forward,
        bounds: Bounds {
            max_body: given.number("max-body", 256 << 10)?,
            timeout_ms,
            one_request: true,
            ..Bounds::default()
        },
        timeout: Duration::from_millis(timeout_ms.into()),
        tls,
        left: AtomicUsize::new(given.number("count", usize::MAX)?.max(1)),
        callers: Callers::new(given.number("max-connections", 16)?),
        turn: Mutex::default(),
        under_way: Mutex::default(),
        answered: Condvar::new(),
        wake,
        ended: Mutex::default(),
    });
    // So that whatever is wrong with it is said at once.
    server.connection()?;
    let scheme = if server.tls.is_some() { "https" } else { "http" };
    server.board.note(&tr!("listening at {}://{}{}", scheme, address, server.path.as_deref().unwrap_or("/")));
    for number in 0u64.. {
        let mut each =
            [listener.as_fd(), woken.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut each, None) {
            Ok(_) => {}
            // A signal came, or there is a byte to read too.
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(Stop::Failed(resource(e.into()))),
        }
        if server.over() {
            break;
        }
        let socket = match listener.accept() {
            Ok((socket, _)) => socket,
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted) => {
                continue;
            }
            Err(_) => {
                // Out of descriptors, most likely: some will be free in a moment.
                std::thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        if server.callers.enter(&socket, number).is_none() {
            continue;
        }
        let shared = server.clone();
        let job = move || {
            shared.serve(socket, number);
            shared.callers.ended();
        };
        if std::thread::Builder::new().name("listen".into()).spawn(job).is_err() {
            server.callers.leave(number);
            server.callers.ended();
        }
    }
    drop(listener);
    // Whoever does not want to wait for the answers under way sends another signal.
    signals::release();
    server.finish();
    let ended = server.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
    match ended {
        Some(stop) => Err(stop),
        None => server.board.end().map(|()| 0),
    }
}

/// A socket with an end.
struct Timed {
    socket: TcpStream,
    end: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Duration> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(self.left()?))?;
        self.socket.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Who was too slow is told so, in a moment that is over and above.
        self.socket.set_write_timeout(Some(self.left().unwrap_or(Duration::from_millis(250))))?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One more that the end waits for.
struct UnderWay<'a>(&'a Server);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        *self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.answered.notify_all();
    }
}

/// Closes so that the caller gets the answer: what was sent and not read would turn the end into a reset, and the answer
/// would be lost with it.
fn farewell(mut socket: &TcpStream, end: Instant) {
    let left = end.saturating_duration_since(Instant::now());
    let left = left.clamp(Duration::from_millis(1), Duration::from_millis(500));
    if socket.shutdown(Shutdown::Write).is_err() || socket.set_read_timeout(Some(left)).is_err() {
        return;
    }
    let mut piece = [0; 4096];
    // As much as a caller may have sent before it saw the answer.
    for _ in 0..64 {
        if !matches!(socket.read(&mut piece), Ok(n) if n > 0) {
            break;
        }
    }
}

impl Server {
    fn over(&self) -> bool {
        signals::came()
            || self.left.load(Ordering::SeqCst) == 0
            || self.ended.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Lets the accepting loop see that it is over.
    fn wake(&self) {
        // Its other end is open for as long as anybody reads there.
        let _ = (&self.wake).write(&[0]);
    }

    /// Counts a request that came whole, until its caller has the answer. Whether it is over is asked after that.
    fn begin(&self) -> UnderWay<'_> {
        *self.under_way.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        UnderWay(self)
    }

    /// Waits until everybody whose request came whole has the answer. Each has a bound: the command's or the address's, then
    /// the connection's.
    fn finish(&self) {
        let mut left = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        while *left > 0 {
            left = self.answered.wait(left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn serve(&self, socket: TcpStream, number: u64) {
        let from = socket.peer_addr().map(|a| a.to_string()).unwrap_or_default();
        let end = Instant::now() + self.timeout;
        let rest = socket.try_clone();
        let timed = Timed { socket, end };
        let mut under_way = None;
        let last = match &self.tls {
            None => self.talk(timed, &from, number, &mut under_way),
            Some(config) => match ServerConnection::new(config.clone()) {
                Ok(session) => {
                    let mut stream = StreamOwned::new(session, timed);
                    match self.shaken(&mut stream, &from, number) {
                        true => self.talk(stream, &from, number, &mut under_way),
                        false => false,
                    }
                }
                Err(_) => false,
            },
        };
        // Its place is free before the caller can see the end, and call again.
        let had_place = self.callers.has_place(number);
        self.callers.leave(number);
        if let Ok(socket) = rest {
            // Who lost their place has none for a long farewell either.
            farewell(&socket, if had_place { end } else { Instant::now() });
        }
        drop(under_way);
        if last || self.over() {
            self.wake();
        }
    }

    /// One more in the table that was not taken.
    fn refused(&self, name: &str, why: &str) {
        self.board.count(name, Fate::Refused, system_ms() / 1000, why);
    }

    fn lost_place(&self, from: &str) {
        self.board.note(&tr!("{}: its place was needed before its request had come", from));
        self.refused(t("(no request)"), t("its place was needed"));
    }

    /// Finishes the TLS handshake, or says why there is none.
    fn shaken(&self, stream: &mut StreamOwned<ServerConnection, Timed>, from: &str, number: u64) -> bool {
        while stream.conn.is_handshaking() {
            let Err(e) = stream.conn.complete_io(&mut stream.sock) else { continue };
            if !self.callers.has_place(number) {
                self.lost_place(from);
            } else if !self.over() {
                let why = handshake_failure(&e);
                self.board.note(&tr!("{}: no TLS: {}", from, why));
                self.refused(t("(no TLS)"), &why);
            }
            return false;
        }
        true
    }

    /// Keeps a request that was refused, for `sign diagnose`. What cannot be kept is said, and harms nothing else.
    fn keep(&self, request: &[u8], number: u64) -> Option<PathBuf> {
        let folder = self.save.as_ref()?;
        // Whoever sends rubbish must not fill the disk.
        if self.saved.fetch_add(1, Ordering::SeqCst) >= MOST_SAVED {
            return None;
        }
        let path = folder.join(format!("refused-{}-{number}.http", system_ms() / 1000));
        let kept = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(request));
        match kept {
            Ok(()) => Some(path),
            Err(e) => {
                self.board.note(&tr!("{} cannot be written: {}", path.display(), e));
                None
            }
        }
    }

    fn connection(&self) -> Result<Connection, Error> {
        let mut connection = Connection::new(self.bounds, monotonic_ms())?;
        connection.add(&self.client, self.path.as_deref())?;
        Ok(connection)
    }

    /// Reads a request, answers it, and says whether it was the last one.
    fn talk<'a>(
        &'a self,
        mut stream: impl Read + Write,
        from: &str,
        number: u64,
        under_way: &mut Option<UnderWay<'a>>,
    ) -> bool {
        let Ok(mut connection) = self.connection() else { return false };
        let mut piece = [0; 4096];
        let mut request = Vec::new();
        loop {
            let came = stream.read(&mut piece);
            if let (Ok(n), true) = (&came, self.save.is_some()) {
                // The connection's own bounds end it.
                request.extend_from_slice(&piece[..*n]);
            }
            // Counted before it is known whether the request is whole, so that nobody ends in between.
            let counted = self.begin();
            let step = match came {
                Ok(n) => connection.feed(&piece[..n], monotonic_ms()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    connection.tick(u64::MAX)
                }
                Err(_) => return false,
            };
            let Ok(mut step) = step else { return false };
            let mut last = false;
            let has_place = match step.then {
                Then::Read => true,
                Then::Reply => self.callers.whole(number),
                Then::Close => self.callers.has_place(number),
            };
            if !has_place {
                // The platform comes again.
                self.lost_place(from);
                step = connection.refuse(503);
            } else if step.then == Then::Reply {
                (step, last) = self.answer(&mut connection, from);
            } else if let Some(why) = step.refused.as_ref().filter(|why| why.details().http_status != 0) {
                self.board.note(&format!("{from}: {}", why.message()));
                self.refused(t("(refused)"), why.message());
                match self.keep(&request, number) {
                    Some(path) => {
                        self.board.note(&tr!("saved; ask: kiosklink sign diagnose {}", path.display()))
                    }
                    None if why.status() == KL_E_EVENT_SIGNATURE && self.save.is_none() => {
                        self.board.note(t("listen --save FOLDER keeps it, for kiosklink sign diagnose FILE"));
                    }
                    None => {}
                }
            }
            let over = step.then != Then::Read;
            if over {
                *under_way = Some(counted);
            }
            if let Err(e) = stream.write_all(&step.write).and_then(|()| stream.flush()) {
                if has_place {
                    self.board.note(&tr!("{}: the answer was not taken: {}", from, e));
                }
                return last;
            }
            if over {
                return last;
            }
        }
    }

    /// Hands an event on and replies to it.
    fn answer(&self, connection: &mut Connection, from: &str) -> (NextStep, bool) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, event)) = connection.event().filter(|_| !self.over()) else {
            return (connection.refuse(503), false);
        };
        let line = json_of(&event_row(event));
        let kind = event.kind.named();
        let said = self.board.say(&if self.json { line.clone() } else { words(event, from) });
        let handed = match said {
            Err(stop) => {
                // Nobody reads: the platform is asked to come again, when somebody does.
                *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(stop);
                Err(None)
            }
            // What was handed on once is not handed on again.
            Ok(_) if event.duplicate => Ok(()),
            Ok(_) => self.hand_on(&line).map_err(Some),
        };
        match &handed {
            Ok(()) => {
                let fate = if event.duplicate { Fate::Again } else { Fate::Taken };
                self.board.count(kind, fate, system_ms() / 1000, "");
            }
            Err(Some(why)) => {
                self.board.note(&tr!(
                    "{}: not handed on, the platform is asked to come again: {}",
                    from,
                    why
                ));
                self.refused(kind, why);
            }
            Err(None) => {}
        }
        let (code, message) = if handed.is_ok() { (0, "SUCCESS") } else { (1, "LATER") };
        match connection.reply(code, message, None, monotonic_ms()) {
            Ok(step) => (step, handed.is_ok() && self.left.fetch_sub(1, Ordering::SeqCst) == 1),
            Err(e) => {
                self.board.note(&format!("{from}: {}", e.message()));
                (connection.refuse(503), false)
            }
        }
    }

    /// To the command and the address that were named.
    fn hand_on(&self, line: &str) -> Result<(), String> {
        if let Some(command) = &self.exec {
            // It may write to the same terminal.
            let _hidden = self.board.hidden();
            let mut child = Command::new("/bin/sh")
                .args(["-c", command])
                .stdin(Stdio::piped())
                // The terminal's Ctrl-C is for this program, which lets the command finish.
                .process_group(0)
                .spawn()
                .map_err(|e| format!("/bin/sh: {e}"))?;
            if let Some(mut input) = child.stdin.take() {
                // A command that does not read its input has its reasons.
                let _ = input.write_all(line.as_bytes()).and_then(|()| input.write_all(b"\n"));
            }
            let end = Instant::now() + self.timeout;
            let status = loop {
                match child.try_wait().map_err(|e| e.to_string())? {
                    Some(status) => break status,
                    None if Instant::now() >= end => {
                        // It had its time, and a platform waits for the answer.
                        let _ = child.kill();
                        let _ = child.wait();
                        return Err(format!("the command took longer than {} ms", self.timeout.as_millis()));
                    }
                    None => std::thread::sleep(Duration::from_millis(5)),
                }
            };
            if !status.success() {
                return Err(format!("the command ended with {status}"));
            }
        }
        if let Some((url, transport)) = &self.forward {
            let reply = transport
                .call(
                    url,
                    Purpose::Command,
                    Deadline::after(self.timeout),
                    &CancelToken::never(),
                    &mut || {
                        Ok(Request {
                            method: "POST",
                            url: url.clone().into(),
                            headers: vec![("Content-Type", "application/json".into())],
                            body: line.as_bytes().to_vec(),
                        })
                    },
                )
                .map_err(|failure| failure.error.message().to_owned())?;
            if !(200..300).contains(&reply.status) {
                return Err(format!("{url} answered {}", reply.status));
            }
        }
        Ok(())
    }
}

/// Why there was no TLS, and what helps. Alerts are written out: small builds print no names of variants.
fn handshake_failure(e: &io::Error) -> String {
    use rustls::{AlertDescription as Alert, Error as Tls};
    let inner = e.get_ref().and_then(|inner| inner.downcast_ref::<Tls>());
    let text = match inner {
        Some(Tls::AlertReceived(Alert::UnknownCA)) => t(
            "the caller does not know our CA: does --cert hold the whole chain, and does the caller trust its root?",
        ),
        Some(Tls::AlertReceived(Alert::CertificateExpired)) => {
            t("the caller says that our certificate has expired")
        }
        Some(Tls::AlertReceived(
            Alert::BadCertificate
            | Alert::CertificateUnknown
            // The signature does not fit: a CA of the same name with another key.
            | Alert::DecryptError
            | Alert::UnsupportedCertificate,
        )) => t("the caller does not accept our certificate: is it for this host name, and no CA's own?"),
        Some(Tls::AlertReceived(Alert::ProtocolVersion)) => t("the caller wants another version of TLS"),
        Some(Tls::AlertReceived(Alert::HandshakeFailure)) => t("the caller found no cipher that both know"),
        Some(Tls::AlertReceived(_)) => t("the caller refused the handshake"),
        Some(Tls::PeerIncompatible(_)) => t("the caller knows no version or cipher of TLS that we do"),
        Some(Tls::InvalidMessage(_)) => t("this is not TLS: does the caller use http:// with this port?"),
        Some(other) => return other.to_string(),
        None => match e.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                t("the caller did not finish the handshake in time")
            }
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => t(
                "the caller left during the handshake: some do that when they do not accept the certificate",
            ),
            _ => return e.to_string(),
        },
    };
    text.to_owned()
}

/// A callback on one line.
fn words(event: &Event, from: &str) -> String {
    let mut text = format!("{} from {from}:", event.method);
    for (name, cell) in event_row(event) {
        let value = cell.words();
        let shown = !matches!(name, "method" | "data") && !value.is_empty();
        if shown {
            text.push_str(&format!(" {name}={value}"));
        }
    }
    if event.sent_at != 0 {
        text.push_str(&format!(" (signed {})", format_time(event.sent_at)));
    }
    text
}
