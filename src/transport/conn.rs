//! One connection: a non-blocking socket, TLS over it, and waits that end at the deadline or on cancel.
//!
//! While it carries a command ([`Conn::fence`]), the kernel delivers nothing of it after the call, the process or its
//! time: what is queued is dropped when the connection ends, when the process dies, and when the time left is over.

use super::{Deadline, FirstWrite, Url};
use crate::cancel::{CancelToken, Registration, Wake};
use crate::log::log_line;
use crate::process;
use crate::switch::off;
use crate::sys::{self, NotForChildren, Ready};
use crate::time::clock::{self, Validity};
use rustls::ClientConnection;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why an I/O step ended early; what it means depends on the phase.
#[derive(Debug)]
pub(super) enum Fault {
    /// The deadline passed.
    Timeout,
    /// Somebody called cancel.
    Cancelled,
    /// The other side ended the connection.
    Closed,
    /// The system says so.
    Os(io::Error),
    /// The system has no thread, descriptor or memory left.
    Resource(io::Error),
    /// TLS says so. In a box, or every result here would have room for the largest of rustls's errors.
    Tls(Box<rustls::Error>),
    /// Already in its final form.
    Final(crate::error::Error),
}

impl Fault {
    fn os(error: io::Error) -> Fault {
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => Fault::Resource(error),
            _ => Fault::Os(error),
        }
    }

    /// The same for an error that others hold as well.
    pub(super) fn repeated(error: &io::Error) -> Fault {
        Fault::os(
            error.raw_os_error().map_or_else(|| io::Error::from(error.kind()), io::Error::from_raw_os_error),
        )
    }

    #[cold]
    pub(super) fn tls(error: rustls::Error) -> Fault {
        Fault::Tls(Box::new(error))
    }

    /// Whether the connection is what failed, rather than the time or the caller's patience.
    pub(super) fn is_loss(&self) -> bool {
        match self {
            Fault::Closed | Fault::Os(_) => true,
            Fault::Tls(error) => matches!(**error, rustls::Error::AlertReceived(_)),
            _ => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Timeout => f.write_str("time is up"),
            Fault::Cancelled => f.write_str("cancelled"),
            Fault::Closed => f.write_str("closed"),
            Fault::Os(error) | Fault::Resource(error) => error.fmt(f),
            Fault::Tls(error) => f.write_str(&super::tls::in_words(error)),
            Fault::Final(error) => error.fmt(f),
        }
    }
}

/// A connection's part in a call: while it lives, a cancel shuts the connection down.
pub(super) type Busy = Registration;

impl Wake for Socket {
    /// Ends the waits for it; on Linux also a connect's.
    fn wake(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// What bounds the waits of one call.
#[derive(Clone, Copy)]
pub(super) struct Bound<'a> {
    pub(super) deadline: Deadline,
    pub(super) token: &'a CancelToken,
}

impl Bound<'_> {
    pub(super) fn remaining(&self) -> Duration {
        self.deadline.remaining()
    }

    /// The time left, if there is any and nobody cancelled.
    pub(super) fn check(&self) -> Result<Duration, Fault> {
        if self.token.is_cancelled() {
            return Err(Fault::Cancelled);
        }
        let left = self.deadline.remaining();
        if left.is_zero() { Err(Fault::Timeout) } else { Ok(left) }
    }

    fn wait(&self, socket: &Socket, ready: Ready) -> Result<(), Fault> {
        loop {
            let left = self.check()?;
            if sys::wait(socket.as_fd(), ready, left).map_err(Fault::os)? {
                // A cancel ends the wait by making the socket ready.
                return self.check().map(drop);
            }
        }
    }

    fn enter(&self, socket: &Arc<Socket>) -> Result<Busy, Fault> {
        self.token.register(socket.clone()).map_err(|_| Fault::Cancelled)
    }

    /// What a failure is called if a cancel came first: its shutdown looks like a loss.
    pub(super) fn blame(&self, fault: Fault) -> Fault {
        let ours = matches!(fault, Fault::Final(_));
        if !ours && self.token.is_cancelled() { Fault::Cancelled } else { fault }
    }

    /// The same bound with no more than this much time.
    pub(super) fn at_most(self, limit: Duration) -> Self {
        Bound { deadline: self.deadline.earlier(Deadline::after(limit)), ..self }
    }
}

/// Sends without ever raising SIGPIPE: the host has not promised to ignore it.
struct Quiet<'a>(&'a Socket, i32);

impl Write for Quiet<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.send_with_flags(data, self.1)
    }

    fn write_vectored(&mut self, data: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.send_vectored_with_flags(data, self.1)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL;
/// More follows at once: the kernel waits for it, 200 ms at most.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SEND_MORE: i32 = libc::MSG_NOSIGNAL | libc::MSG_MORE;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SEND_MORE: i32 = 0;
/// Elsewhere the socket itself is told (`SO_NOSIGPIPE`), by socket2 when it is made.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SEND_FLAGS: i32 = 0;

/// Room for one read from the peer.
const INPUT: usize = 8 * 1024;

/// A standing connection.
pub(super) struct Conn {
    /// Which server it leads to, and what the `Host` header calls it.
    pub(super) origin: Url,
    pub(super) authority: String,
    socket: Arc<Socket>,
    tls: Option<Box<ClientConnection>>,
    input: Vec<u8>,
    start: usize,
    end: usize,
    /// When the peer last said something, on the monotonic clock.
    pub(super) heard_ms: u64,
    at_end: bool,
    /// Whether the connection is made for a request, not to be kept ready.
    request_follows: bool,
    /// How long making the TCP connection took, which is about one round trip.
    pub(super) connect_ms: u64,
    /// How long the server said that it keeps an idle connection.
    pub(super) kept_ms: Option<u64>,
    /// When the server's certificate begins and ends.
    pub(super) certificate: Option<Validity>,
    /// Whether it carries a command.
    fenced: bool,
    /// Whether the system drops what is queued when it is closed. That stays so behind a command: the next is mostly one too.
    drops: bool,
    /// For how long the kernel was told to try.
    limit: Duration,
    /// Whether a request has left and nothing was received since.
    asked: bool,
    /// From its first moment to its last, for a child may be forked long before the command: idle connections are
    /// inherited too.
    ours_alone: Option<NotForChildren>,
}

/// Data that nobody acknowledges for this long means a dead link. A command has its own limit.
pub(super) const UNACKNOWLEDGED: Duration = Duration::from_secs(20);
/// Of so long a limit a part of a second does not matter.
const MANY_SECONDS: Duration = Duration::from_secs(10);
/// So long after an address was tried, the next one is tried beside it (RFC 8305).
pub(super) const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// A connection under way.
struct Attempt {
    /// Before the socket, for they are dropped in this order.
    ours_alone: Option<NotForChildren>,
    socket: Arc<Socket>,
    busy: Busy,
    /// Which of the addresses.
    index: usize,
    began: Instant,
}

impl Attempt {
    /// Begins to connect; says whether it is done already.
    fn begin(address: SocketAddr, index: usize, bound: &Bound<'_>) -> Result<(Attempt, bool), Fault> {
        let began = Instant::now();
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP));
        let socket = Arc::new(socket.and_then(sys::high_fd).map_err(Fault::os)?);
        socket.set_nonblocking(true).map_err(Fault::os)?;
        // Not worth failing a call for.
        let _ = socket.set_tcp_nodelay(true);
        // Where it cannot be had, the connection is no command's.
        let ours_alone = process::not_for_children(socket.as_fd()).ok();
        let busy = bound.enter(&socket)?;
        let attempt = Attempt { ours_alone, socket, busy, index, began };
        match attempt.socket.connect(&SockAddr::from(address)) {
            Ok(()) => Ok((attempt, true)),
            Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => Ok((attempt, false)),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok((attempt, false)),
            Err(e) => Err(Fault::os(e)),
        }
    }

    /// How it ended, when the socket is ready.
    fn outcome(&self) -> Result<(), Fault> {
        match self.socket.take_error() {
            Ok(None) => self.socket.peer_addr().map(drop).map_err(Fault::os),
            Ok(Some(e)) | Err(e) => Err(Fault::os(e)),
        }
    }
}

/// The first TCP connection that stands, and to which of the addresses: each is tried in its turn, a little after the
/// one before it or at once when that one fails, and all go on until one is there.
pub(super) fn connect(
    origin: &Url,
    addresses: &[SocketAddr],
    bound: &Bound<'_>,
) -> Result<(Box<Conn>, Busy, usize), Fault> {
    // With little time each still gets its turn.
    let step = NEXT_ADDRESS.min(bound.remaining() / (addresses.len() as u32 + 1));
    let mut pending: Vec<Attempt> = Vec::new();
    let mut next = 0;
    let mut next_at = Instant::now();
    let mut reason: Option<Fault> = None;
    let mut failed = |address: &SocketAddr, fault: Fault| {
        log_line!(Debug, "no connection to {address}: {fault}");
        reason = Some(fault);
    };
    loop {
        let left = match bound.check() {
            Ok(left) => left,
            // A refusal says more than silence.
            Err(Fault::Timeout) => return Err(reason.unwrap_or(Fault::Timeout)),
            Err(fault) => return Err(fault),
        };
        let now = Instant::now();
        if next < addresses.len() && (pending.is_empty() || now >= next_at) {
            match Attempt::begin(addresses[next], next, bound) {
                Ok((attempt, true)) => return Ok(Conn::new(origin, attempt)),
                Ok((attempt, false)) => {
                    pending.push(attempt);
                    next_at = now + step;
                }
                Err(Fault::Cancelled) => return Err(Fault::Cancelled),
                // The system has no room for another one; those that there are may still come to something.
                Err(fault @ Fault::Resource(_)) => {
                    if pending.is_empty() {
                        return Err(fault);
                    }
                    next = addresses.len();
                }
                Err(fault) => failed(&addresses[next], fault),
            }
            next += 1;
            continue;
        }
        if pending.is_empty() {
            return Err(reason.unwrap_or(Fault::Timeout));
        }
        let wait = if next < addresses.len() { left.min(next_at - now) } else { left };
        let fds: Vec<BorrowedFd<'_>> = pending.iter().map(|attempt| attempt.socket.as_fd()).collect();
        let ready = sys::wait_writable(&fds, wait).map_err(Fault::os)?;
        for at in (0..ready.len()).rev().filter(|at| ready[*at]) {
            let attempt = pending.remove(at);
            match attempt.outcome() {
                Ok(()) => return Ok(Conn::new(origin, attempt)),
                Err(fault) => {
                    failed(&addresses[attempt.index], fault);
                    next_at = now;
                }
            }
        }
    }
}

impl Conn {
    /// In a box: it goes from hand to hand at every call.
    fn new(origin: &Url, attempt: Attempt) -> (Box<Conn>, Busy, usize) {
        let Attempt { ours_alone, socket, busy, index, began } = attempt;
        let mut conn = Box::new(Conn {
            origin: origin.without_path(),
            authority: origin.authority(),
            socket,
            tls: None,
            input: Vec::new(),
            start: 0,
            end: 0,
            heard_ms: clock::monotonic_ms(),
            at_end: false,
            request_follows: false,
            connect_ms: began.elapsed().as_millis() as u64,
            kept_ms: None,
            certificate: None,
            fenced: false,
            drops: false,
            limit: Duration::MAX,
            asked: false,
            ours_alone,
        });
        conn.limit_unacknowledged(UNACKNOWLEDGED);
        (conn, busy, index)
    }

    /// For how long the kernel tries to deliver what it was given.
    fn limit_unacknowledged(&mut self, time: Duration) {
        if self.limit == time {
            return;
        }
        self.limit = time;
        // Zero would mean the system's own limit.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = self.socket.set_tcp_user_timeout(Some(time.max(Duration::from_millis(1))));
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = time;
    }

    /// Makes the connection one that carries a command: from now on nothing of it is delivered after its end or the
    /// process's. To be undone by [`Conn::unfence`] when the answer is whole, or when nothing was sent.
    pub(super) fn fence(&mut self) -> Result<(), Fault> {
        if self.ours_alone.is_none() {
            self.ours_alone = Some(process::not_for_children(self.socket.as_fd()).map_err(Fault::Resource)?);
        }
        if !off("linger") && !self.drops {
            self.socket.set_linger(Some(Duration::ZERO)).map_err(Fault::os)?;
            self.drops = true;
        }
        self.fenced = true;
        Ok(())
    }

    /// The last thing before a command's first byte: its kernel has this long, or less than a second less.
    pub(super) fn limit_delivery(&mut self, time: Duration) {
        // In whole seconds it is mostly what it was for the command before.
        let whole = Duration::from_secs(time.as_secs());
        self.limit_unacknowledged(if whole >= MANY_SECONDS { whole } else { time });
    }

    /// The command is over, and nothing of it is on its way: the connection may be kept.
    pub(super) fn unfence(&mut self) {
        self.fenced = false;
    }

    /// Puts TLS over the connection and runs the handshake to its end, so that nothing of it is still to be sent.
    pub(super) fn handshake(
        &mut self,
        tls: ClientConnection,
        request_follows: bool,
        bound: &Bound<'_>,
    ) -> Result<(), Fault> {
        self.tls = Some(Box::new(tls));
        self.request_follows = request_follows;
        loop {
            self.flush(bound, None)?;
            let Some(tls) = &mut self.tls else { return Ok(()) };
            if !tls.is_handshaking() {
                return Ok(());
            }
            bound.check()?;
            match tls.read_tls(&mut &*self.socket) {
                Ok(0) => return Err(Fault::Closed),
                Ok(_) => {
                    self.heard_ms = clock::monotonic_ms();
                    if let Err(e) = tls.process_new_packets() {
                        // Says to the peer why; that it may not arrive changes nothing.
                        let _ = tls.write_tls(&mut Quiet(&self.socket, SEND_FLAGS));
                        return Err(Fault::tls(e));
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => bound.wait(&self.socket, Ready::Read)?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Fault::os(e)),
            }
        }
    }

    pub(super) fn tls(&self) -> Option<&ClientConnection> {
        self.tls.as_deref()
    }

    /// Sends whatever TLS itself still has to say, so that nothing is before the request.
    pub(super) fn settle(&mut self, bound: &Bound<'_>) -> Result<(), Fault> {
        self.flush(bound, None)
    }

    /// Sends all of it. `first` is filled in as soon as the kernel has taken one byte, be it of the TLS record around
    /// the data.
    pub(super) fn send(
        &mut self,
        mut data: &[u8],
        bound: &Bound<'_>,
        first: &mut FirstWrite,
    ) -> Result<(), Fault> {
        if !self.fenced {
            self.limit_unacknowledged(UNACKNOWLEDGED);
        }
        self.asked = true;
        if self.tls.is_none() {
            while !data.is_empty() {
                first.begin();
                match Quiet(&self.socket, SEND_FLAGS).write(data) {
                    Ok(n) => {
                        if n > 0 {
                            first.done();
                        }
                        data = &data[n..];
                    }
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        bound.wait(&self.socket, Ready::Write)?
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(Fault::os(e)),
                }
            }
            return Ok(());
        }
        // Whatever TLS itself still has to say goes first: it is not the request.
        self.flush(bound, None)?;
        while !data.is_empty() {
            if let Some(tls) = &mut self.tls {
                let n = tls.writer().write(data).map_err(Fault::Os)?;
                data = &data[n..];
            }
            self.flush(bound, Some(first))?;
        }
        Ok(())
    }

    fn flush(&mut self, bound: &Bound<'_>, mut first: Option<&mut FirstWrite>) -> Result<(), Fault> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        // The end of the handshake shares a packet with the request behind it.
        let ends = first.is_none() && self.request_follows && !tls.is_handshaking();
        let flags = if ends { SEND_MORE } else { SEND_FLAGS };
        while tls.wants_write() {
            if let Some(first) = first.as_deref_mut() {
                first.begin();
            }
            match tls.write_tls(&mut Quiet(&self.socket, flags)) {
                Ok(0) => return Err(Fault::Closed),
                Ok(_) => {
                    if let Some(first) = first.as_deref_mut() {
                        first.done();
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => bound.wait(&self.socket, Ready::Write)?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    // The peer may have said why before it hung up.
                    if let Ok(1..) = tls.read_tls(&mut &*self.socket) {
                        if let Err(why) = tls.process_new_packets() {
                            return Err(Fault::tls(why));
                        }
                    }
                    return Err(Fault::os(e));
                }
            }
        }
        Ok(())
    }

    /// What was received and not consumed yet.
    pub(super) fn input(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    pub(super) fn consume(&mut self, n: usize) {
        self.start += n;
        debug_assert!(self.start <= self.end);
        if self.start >= self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Receives at least one more byte behind [`Conn::input`]. False at an orderly end: `close_notify` over TLS,
    /// FIN without. An end without `close_notify` is [`Fault::Closed`], for anybody on the way can forge that one.
    pub(super) fn receive(&mut self, bound: &Bound<'_>) -> Result<bool, Fault> {
        if self.at_end {
            return Ok(false);
        }
        if self.start > 0 {
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.input.is_empty() {
            // Zeroed by the allocator, which mostly has nothing to do for it.
            self.input = vec![0; INPUT];
        } else if self.input.len() - self.end < INPUT / 2 {
            self.input.resize(self.end + INPUT, 0);
        }
        // A peer that sends drop by drop is never waited for, so the deadline is looked at here as well.
        bound.check()?;
        // The answer to a request is a round trip away: a read would mostly find nothing.
        let mut far = std::mem::take(&mut self.asked) && self.start == self.end;
        let got = match &mut self.tls {
            None => loop {
                match (&*self.socket).read(&mut self.input[self.end..]) {
                    Ok(n) => break n,
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        bound.wait(&self.socket, Ready::Read)?
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(Fault::os(e)),
                }
            },
            Some(tls) => loop {
                match tls.reader().read(&mut self.input[self.end..]) {
                    Ok(n) => break n,
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return Err(Fault::Closed),
                }
                if std::mem::take(&mut far) {
                    bound.wait(&self.socket, Ready::Read)?;
                }
                match tls.read_tls(&mut &*self.socket) {
                    Ok(_) => {
                        if let Err(e) = tls.process_new_packets() {
                            let _ = tls.write_tls(&mut Quiet(&self.socket, SEND_FLAGS));
                            return Err(Fault::tls(e));
                        }
                        bound.check()?;
                    }
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        bound.wait(&self.socket, Ready::Read)?
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(Fault::os(e)),
                }
            },
        };
        self.end += got;
        if got == 0 {
            self.at_end = true;
            // Our own cancel looks like an orderly end from here; half an answer must not pass for a whole one.
            if bound.token.is_cancelled() {
                return Err(Fault::Cancelled);
            }
            return Ok(false);
        }
        self.heard_ms = clock::monotonic_ms();
        Ok(true)
    }

    /// Whether the connection, idle until now, looks fit for a request.
    pub(super) fn is_open(&mut self) -> bool {
        self.look().is_ok()
    }

    /// An error unless the connection looks fit for a request: neither data nor an end has come in. TLS session tickets
    /// may have, and are taken.
    pub(super) fn look(&mut self) -> Result<(), Fault> {
        if self.at_end || self.start < self.end {
            return Err(Fault::Closed);
        }
        let Some(tls) = &mut self.tls else {
            let mut byte = [std::mem::MaybeUninit::uninit()];
            return match self.socket.peek(&mut byte) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
                Err(e) => Err(Fault::os(e)),
                Ok(_) => Err(Fault::Closed),
            };
        };
        // A few reads take all the tickets there may be; a peer with more to say than that is not idle.
        for _ in 0..8 {
            match tls.read_tls(&mut &*self.socket) {
                Ok(0) => return Err(Fault::Closed),
                Ok(_) => match tls.process_new_packets() {
                    Ok(state) if state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed() => {}
                    Ok(_) => return Err(Fault::Closed),
                    Err(error) => return Err(Fault::tls(error)),
                },
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Fault::os(e)),
            }
        }
        Err(Fault::Closed)
    }

    /// Whether everything received has been consumed, as far as it can be told without asking the system.
    pub(super) fn is_clean(&mut self) -> bool {
        if self.at_end || self.start < self.end {
            return false;
        }
        match &mut self.tls {
            None => true,
            Some(tls) => {
                let nothing = !tls.wants_write();
                // Of what came with the last read, nothing may be left over.
                let mut byte = [0];
                nothing
                    && matches!(tls.reader().read(&mut byte), Err(e) if e.kind() == io::ErrorKind::WouldBlock)
            }
        }
    }

    /// Makes the connection part of a call.
    pub(super) fn enlist(&self, bound: &Bound<'_>) -> Result<Busy, Fault> {
        bound.enter(&self.socket)
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if self.fenced {
            // What is queued must not be delivered any more, and no farewell may follow it. Where the system cannot end
            // the connection for everybody who holds it, the linger time of zero does when it is closed.
            let _ = sys::disconnect(self.socket.as_fd());
        } else {
            if self.drops {
                // Nothing of a command is queued: the farewell may arrive.
                let _ = self.socket.set_linger(None);
            }
            if let Some(tls) = &mut self.tls {
                tls.send_close_notify();
                let _ = tls.write_tls(&mut Quiet(&self.socket, SEND_FLAGS));
            }
        }
        // Before the socket is closed, or a child might lose whatever has its number by then.
        self.ours_alone = None;
    }
}
