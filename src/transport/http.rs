//! One request and its answer over a standing connection: HTTP/1.1 as RFC 9110 and RFC 9112 have it. What the heads say is read
//! in `kiosklink-wire`; here is what is sent and received, and when a connection may be used again.

use super::FirstWrite;
use super::conn::{Bound, Conn, Fault};
use crate::error::Error;
use crate::status::*;
use crate::time::clock;
use kiosklink_wire::head::{
    Body, Head, Headers, MAX_HEAD, Wrong, chunk_size, frame, kept_ms, read_head, refuse_compression,
};
use std::time::Instant;

/// The line with a chunk's size may have this many bytes.
pub(crate) const MAX_CHUNK_LINE: usize = 4 * 1024;
/// What is set aside at once for a body whose length is told. More only as it comes in.
const FIRST_ROOM: usize = 64 * 1024;
/// How far an exchange has come.
#[derive(Default)]
pub(super) struct Progress {
    /// When the kernel took the first byte of the request.
    pub(super) first_write: FirstWrite,
    /// Everything is sent.
    pub(super) sent: bool,
    /// When the answer's first byte was there.
    pub(super) first_byte: Option<Instant>,
    /// On the monotonic clock: before the first byte of the request, and at the first one of the answer.
    pub(super) sent_ms: u64,
    pub(super) received_ms: u64,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Headers,
    pub(super) body: Vec<u8>,
    /// Both sides keep the connection, and nothing is left in it.
    pub(super) reusable: bool,
    /// How long the server keeps it, if it says so.
    pub(super) kept_ms: Option<u64>,
}

/// Sends a request, whole.
pub(super) fn send(
    conn: &mut Conn,
    bytes: &[u8],
    bound: &Bound<'_>,
    progress: &mut Progress,
) -> Result<(), Fault> {
    progress.sent_ms = clock::monotonic_ms();
    conn.send(bytes, bound, &mut progress.first_write)?;
    progress.sent = true;
    Ok(())
}

/// Receives the answer to a request of this method.
pub(super) fn receive(
    conn: &mut Conn,
    method: &str,
    max_reply: usize,
    bound: &Bound<'_>,
    progress: &mut Progress,
) -> Result<Answer, Fault> {
    let head = receive_head(conn, bound, progress)?;
    let framing = frame(&head, method)?;
    let (body, whole) = match framing.body {
        Body::None => (Vec::new(), true),
        Body::Length(length) => (receive_length(conn, length, max_reply, bound)?, true),
        Body::Chunked => receive_chunks(conn, max_reply, bound)?,
        Body::UntilClose => (receive_until_close(conn, max_reply, bound)?, false),
    };
    if !body.is_empty() {
        refuse_compression(&head.headers)?;
    }
    let reusable = framing.keep && whole && conn.is_clean();
    let kept_ms = kept_ms(&head.headers);
    Ok(Answer { status: head.status, headers: head.headers, body, reusable, kept_ms })
}

fn receive_head(conn: &mut Conn, bound: &Bound<'_>, progress: &mut Progress) -> Result<Head, Fault> {
    let mut interim = 0;
    loop {
        let seen = conn.input().len();
        if !conn.receive(bound)? {
            return Err(Fault::Closed);
        }
        let mut first = seen == 0;
        if progress.first_byte.is_none() {
            progress.first_byte = Some(Instant::now());
            progress.received_ms = conn.heard_ms;
        }
        // Only a new line can complete a head; whoever sends drop by drop is not read again at each drop.
        while first || conn.input().get(seen..).is_some_and(|new| new.contains(&b'\n')) {
            let Some((length, head)) = read_head(conn.input())? else { break };
            conn.consume(length);
            interim += length;
            if interim > MAX_HEAD {
                return Err(large_head());
            }
            match head.status {
                // An interim answer: the real one follows, but not after an endless row of them.
                100 | 102..=199 => first = true,
                101 => return Err(protocol("the answer switches to a protocol that was not asked for")),
                _ => return Ok(head),
            }
        }
        if conn.input().len() + interim > MAX_HEAD {
            return Err(large_head());
        }
    }
}

/// Takes what was received, at most `wanted` bytes of it, into the body.
fn take(conn: &mut Conn, body: &mut Vec<u8>, wanted: u64) -> u64 {
    let input = conn.input();
    let n = usize::try_from(wanted).unwrap_or(usize::MAX).min(input.len());
    body.extend_from_slice(&input[..n]);
    conn.consume(n);
    n as u64
}

fn receive_length(
    conn: &mut Conn,
    length: u64,
    max_reply: usize,
    bound: &Bound<'_>,
) -> Result<Vec<u8>, Fault> {
    if length > max_reply as u64 {
        return Err(large(max_reply));
    }
    let mut body = Vec::with_capacity((length as usize).min(FIRST_ROOM));
    let mut missing = length;
    loop {
        missing -= take(conn, &mut body, missing);
        if missing == 0 {
            return Ok(body);
        }
        if !conn.receive(bound)? {
            return Err(Fault::Closed);
        }
    }
}

fn receive_until_close(conn: &mut Conn, max_reply: usize, bound: &Bound<'_>) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    loop {
        take(conn, &mut body, u64::MAX);
        if body.len() > max_reply {
            return Err(large(max_reply));
        }
        if !conn.receive(bound)? {
            return Ok(body);
        }
    }
}

/// The body, and whether its end came in full: a server may close right after the last chunk.
fn receive_chunks(conn: &mut Conn, max_reply: usize, bound: &Bound<'_>) -> Result<(Vec<u8>, bool), Fault> {
    let mut body = Vec::new();
    // What is no content: extensions and trailers. Read, as it must be, but not without end.
    let mut ballast = 0;
    loop {
        let line = receive_line(conn, bound)?.ok_or(Fault::Closed)?;
        let (size, extension) = chunk_size(&conn.input()[..line]).map_err(protocol)?;
        conn.consume(line);
        ballast += extension;
        if ballast > MAX_HEAD {
            return Err(protocol("the chunks of the answer have too many extensions"));
        }
        if size == 0 {
            break;
        }
        if size > (max_reply - body.len()) as u64 {
            return Err(large(max_reply));
        }
        let mut missing = size;
        loop {
            missing -= take(conn, &mut body, missing);
            if missing == 0 {
                break;
            }
            if !conn.receive(bound)? {
                return Err(Fault::Closed);
            }
        }
        let end = receive_line(conn, bound)?.ok_or(Fault::Closed)?;
        if end != 2 {
            return Err(protocol("a chunk of the answer is longer than its size"));
        }
        conn.consume(end);
    }
    // The trailers. Nobody needs them, and what is asked for is whole already.
    loop {
        let Some(line) = receive_line(conn, bound)? else { return Ok((body, false)) };
        conn.consume(line);
        ballast += line;
        if line == 2 {
            return Ok((body, true));
        }
        if ballast > MAX_HEAD {
            return Err(large_head());
        }
    }
}

/// The length of the next line with its CR LF; `None` if the connection ends before one.
fn receive_line(conn: &mut Conn, bound: &Bound<'_>) -> Result<Option<usize>, Fault> {
    let mut seen = 0;
    loop {
        let input = conn.input();
        if let Some(at) = input[seen..].iter().position(|b| *b == b'\n') {
            let end = seen + at;
            if end == 0 || input[end - 1] != b'\r' {
                return Err(protocol("a line between the chunks of the answer does not end with CR LF"));
            }
            return Ok(Some(end + 1));
        }
        seen = input.len();
        if seen > MAX_CHUNK_LINE {
            return Err(protocol("a chunk of the answer has no end to its size"));
        }
        if !conn.receive(bound)? {
            return Ok(None);
        }
    }
}

fn protocol(what: &str) -> Fault {
    Fault::Final(Error::new(KL_E_PROTOCOL, what))
}

fn large(max_reply: usize) -> Fault {
    let message = ["the answer is larger than ", &max_reply.to_string(), " bytes"].concat();
    Fault::Final(Error::new(KL_E_TOO_LARGE, message))
}

fn large_head() -> Fault {
    let message = ["the answer's headers are larger than ", &MAX_HEAD.to_string(), " bytes"].concat();
    Fault::Final(Error::new(KL_E_TOO_LARGE, message))
}

impl From<Wrong> for Fault {
    fn from(wrong: Wrong) -> Fault {
        Fault::Final(match wrong {
            Wrong::Argument(what) => Error::new(KL_E_ARGUMENT, what),
            Wrong::Protocol(what) => Error::new(KL_E_PROTOCOL, what),
            Wrong::TooLarge(what) => Error::new(KL_E_TOO_LARGE, what),
        })
    }
}
