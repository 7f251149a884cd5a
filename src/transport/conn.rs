//! One connection: a non-blocking socket, TLS over it, and waits that end at the deadline or on cancel.

use super::url::Scheme;
use super::{Deadline, lock};
use crate::clock;
use crate::sys::{self, Ready};
use rustls::ClientConnection;
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

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

/// Ends every call in flight, and remembers for each which cancel it has to heed.
#[derive(Default)]
pub(super) struct Canceller {
    generation: AtomicU32,
    sockets: Mutex<Vec<Arc<Socket>>>,
}

impl Canceller {
    /// What a call takes on entry: it heeds every cancel after this.
    pub(super) fn ticket(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Shuts the sockets of all calls in flight down, which ends their waits; on Linux also a connect's.
    pub(super) fn cancel(&self) {
        let sockets = lock(&self.sockets);
        self.generation.fetch_add(1, Ordering::AcqRel);
        for socket in sockets.iter() {
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// A connection's part in a call: while it lives, cancel shuts the connection down.
pub(super) struct Busy<'a> {
    canceller: &'a Canceller,
    socket: Arc<Socket>,
    ticket: u32,
}

impl Busy<'_> {
    /// The call is over. False if a cancel has hit the connection meanwhile.
    pub(super) fn done(self) -> bool {
        self.leave()
    }

    fn leave(&self) -> bool {
        let mut sockets = lock(&self.canceller.sockets);
        if let Some(at) = sockets.iter().position(|s| Arc::ptr_eq(s, &self.socket)) {
            sockets.swap_remove(at);
        }
        self.canceller.ticket() == self.ticket
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// What bounds the waits of one call.
#[derive(Clone, Copy)]
pub(super) struct Bound<'a> {
    pub(super) deadline: Deadline,
    pub(super) canceller: &'a Canceller,
    pub(super) ticket: u32,
}

impl<'c> Bound<'c> {
    pub(super) fn remaining(&self) -> Duration {
        self.deadline.remaining()
    }

    /// The time left, if there is any and nobody cancelled.
    pub(super) fn check(&self) -> Result<Duration, Fault> {
        if self.canceller.ticket() != self.ticket {
            return Err(Fault::Cancelled);
        }
        let left = self.deadline.remaining();
        if left.is_zero() { Err(Fault::Timeout) } else { Ok(left) }
    }

    fn wait(&self, socket: &Socket, ready: Ready) -> Result<(), Fault> {
        loop {
            let left = self.check()?;
            if sys::wait(socket.as_fd(), ready, left).map_err(Fault::os)? {
                return Ok(());
            }
        }
    }

    fn enter(&self, socket: &Arc<Socket>) -> Result<Busy<'c>, Fault> {
        let mut sockets = lock(&self.canceller.sockets);
        if self.canceller.ticket() != self.ticket {
            return Err(Fault::Cancelled);
        }
        sockets.push(socket.clone());
        drop(sockets);
        Ok(Busy { canceller: self.canceller, socket: socket.clone(), ticket: self.ticket })
    }

    /// What a failure is called if a cancel came first: its shutdown looks like a loss.
    pub(super) fn blame(&self, fault: Fault) -> Fault {
        if self.canceller.ticket() != self.ticket { Fault::Cancelled } else { fault }
    }

    /// The same bound with no more than this much time.
    pub(super) fn at_most(self, limit: Duration) -> Self {
        Bound { deadline: self.deadline.earlier(Deadline::after(limit)), ..self }
    }
}

/// Which server a connection leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) scheme: Scheme,
    pub(super) host: String,
    pub(super) port: u16,
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
    pub(super) key: Key,
    socket: Arc<Socket>,
    tls: Option<Box<ClientConnection>>,
    input: Vec<u8>,
    start: usize,
    end: usize,
    /// When the peer last said something, on the monotonic clock.
    pub(super) heard_ms: u64,
    /// Whether it has served a request before.
    pub(super) used: bool,
    at_end: bool,
    /// Whether the connection is made for a request, not to be kept ready.
    request_follows: bool,
}

impl Conn {
    /// Makes the TCP connection.
    pub(super) fn connect<'c>(
        key: Key,
        address: SocketAddr,
        bound: &Bound<'c>,
    ) -> Result<(Conn, Busy<'c>), Fault> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP));
        let socket = Arc::new(socket.map_err(Fault::os)?);
        socket.set_nonblocking(true).map_err(Fault::os)?;
        // None of these is worth failing a call for.
        let _ = socket.set_tcp_nodelay(true);
        let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(20));
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let keepalive = keepalive.with_interval(Duration::from_secs(5)).with_retries(3);
        let _ = socket.set_tcp_keepalive(&keepalive);
        let busy = bound.enter(&socket)?;
        let mut conn = Conn {
            key,
            socket,
            tls: None,
            input: Vec::new(),
            start: 0,
            end: 0,
            heard_ms: 0,
            used: false,
            at_end: false,
            request_follows: false,
        };
        conn.finish_connect(&SockAddr::from(address), bound).map_err(|fault| bound.blame(fault))?;
        // From here on, data that nobody acknowledges for this long means a dead link.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = conn.socket.set_tcp_user_timeout(Some(Duration::from_secs(20)));
        conn.heard_ms = clock::monotonic_ms();
        Ok((conn, busy))
    }

    fn finish_connect(&self, address: &SockAddr, bound: &Bound<'_>) -> Result<(), Fault> {
        match self.socket.connect(address) {
            Ok(()) => return Ok(()),
            Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Fault::os(e)),
        }
        // A cancel between `enter` and `connect` found nothing to shut down; the first check below sees it.
        bound.wait(&self.socket, Ready::Write)?;
        bound.check()?;
        match self.socket.take_error() {
            Ok(None) => {}
            Ok(Some(e)) | Err(e) => return Err(Fault::os(e)),
        }
        self.socket.peer_addr().map(drop).map_err(Fault::os)
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

    /// Sends all of it. `left` becomes true as soon as the kernel has taken one byte, be it of the TLS record
    /// around the data.
    pub(super) fn send(&mut self, mut data: &[u8], bound: &Bound<'_>, left: &mut bool) -> Result<(), Fault> {
        if self.tls.is_none() {
            while !data.is_empty() {
                match Quiet(&self.socket, SEND_FLAGS).write(data) {
                    Ok(n) => {
                        *left |= n > 0;
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
            self.flush(bound, Some(left))?;
        }
        Ok(())
    }

    fn flush(&mut self, bound: &Bound<'_>, mut left: Option<&mut bool>) -> Result<(), Fault> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        // The end of the handshake shares a packet with the request behind it.
        let ends = left.is_none() && self.request_follows && !tls.is_handshaking();
        let flags = if ends { SEND_MORE } else { SEND_FLAGS };
        while tls.wants_write() {
            match tls.write_tls(&mut Quiet(&self.socket, flags)) {
                Ok(0) => return Err(Fault::Closed),
                Ok(_) => {
                    if let Some(left) = left.as_deref_mut() {
                        *left = true;
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
        if self.input.len() - self.end < INPUT / 2 {
            self.input.resize(self.end + INPUT, 0);
        }
        // A peer that sends drop by drop is never waited for, so the deadline is looked at here as well.
        bound.check()?;
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
            if bound.canceller.ticket() != bound.ticket {
                return Err(Fault::Cancelled);
            }
            return Ok(false);
        }
        self.heard_ms = clock::monotonic_ms();
        Ok(true)
    }

    /// Whether the connection, idle until now, looks fit for a request: neither data nor an end has come in. TLS
    /// session tickets may have, and are taken.
    pub(super) fn is_open(&mut self) -> bool {
        if self.at_end || self.start < self.end {
            return false;
        }
        let Some(tls) = &mut self.tls else {
            let mut byte = [std::mem::MaybeUninit::uninit()];
            return matches!(self.socket.peek(&mut byte), Err(e) if e.kind() == io::ErrorKind::WouldBlock);
        };
        // A few reads take all the tickets there may be; a peer with more to say than that is not idle.
        for _ in 0..8 {
            match tls.read_tls(&mut &*self.socket) {
                Ok(0) => return false,
                Ok(_) => match tls.process_new_packets() {
                    Ok(state) if state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed() => {}
                    _ => return false,
                },
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return e.kind() == io::ErrorKind::WouldBlock,
            }
        }
        false
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
    pub(super) fn enlist<'c>(&self, bound: &Bound<'c>) -> Result<Busy<'c>, Fault> {
        bound.enter(&self.socket)
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = tls.write_tls(&mut Quiet(&self.socket, SEND_FLAGS));
        }
    }
}
