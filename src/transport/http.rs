//! One request and its answer over a standing connection. The protocol is ureq's own engine; what is sent when, and
//! what a failure means, is decided here.

use super::conn::{Bound, Conn, Fault};
use super::{Headers, Request};
use crate::clock;
use crate::error::Error;
use crate::status::*;
use std::time::Instant;
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult, SendRequestResult, state};
use ureq_proto::http;
use ureq_proto::{BodyMode, Error as ProtoError};

/// An answer's head may have this many bytes.
const MAX_HEAD: usize = 16 * 1024;

/// How far an exchange has come.
#[derive(Default)]
pub(super) struct Progress {
    /// The kernel took at least one byte of the request.
    pub(super) left: bool,
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
}

pub(super) fn exchange(
    conn: &mut Conn,
    request: &Request,
    user_agent: &str,
    max_reply: usize,
    bound: &Bound<'_>,
    progress: &mut Progress,
) -> Result<Answer, Fault> {
    // Head and body go out together: one TLS record, one packet if they fit.
    let bytes = encode(request, user_agent)?;
    progress.sent_ms = clock::monotonic_ms();
    conn.send(&bytes, bound, &mut progress.left)?;
    drop(bytes);
    progress.sent = true;

    let (head, next) = receive_head(conn, await_answer(request.method)?, bound, progress)?;
    let status = head.status().as_u16();
    let (parts, ()) = head.into_parts();
    let headers = Headers(parts.headers);
    if let Some(coding) = headers.get("content-encoding") {
        if !coding.eq_ignore_ascii_case("identity") {
            return Err(protocol("the answer is compressed, which was not asked for"));
        }
    }
    let (body, must_close) = match next {
        RecvResponseResult::RecvBody(call) => receive_body(conn, call, max_reply, bound)?,
        RecvResponseResult::Cleanup(call) => (Vec::new(), call.must_close_connection()),
        RecvResponseResult::Redirect(call) => (Vec::new(), call.must_close_connection()),
    };
    let reusable = !must_close && conn.is_clean();
    Ok(Answer { status, headers, body, reusable })
}

/// The bytes of the request, its body included.
///
/// Written by hand: header names keep their spelling, which some gateways are picky about, and no formatting
/// machinery runs. Whatever could break out of its line is refused.
fn encode(request: &Request, user_agent: &str) -> Result<Vec<u8>, Fault> {
    let refuse = |what: String| Err(Fault::Final(Error::new(KL_E_ARGUMENT, what)));
    let Request { method, url, headers, body } = request;
    if !method.bytes().all(|b| b.is_ascii_uppercase()) || matches!(*method, "" | "CONNECT") {
        return refuse(format!("{method} is no method that can be used here"));
    }
    let path = url.path_and_query.as_bytes();
    if path.first() != Some(&b'/') || !path.iter().all(|b| matches!(b, 0x21..=0x7e)) {
        return refuse("the request's path holds a character that must be percent-encoded".into());
    }
    let room: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let mut out =
        Vec::with_capacity(room + path.len() + url.host.len() + user_agent.len() + body.len() + 128);
    let mut line = |parts: &[&[u8]]| {
        parts.iter().for_each(|part| out.extend_from_slice(part));
        out.extend_from_slice(b"\r\n");
    };
    line(&[method.as_bytes(), b" ", path, b" HTTP/1.1"]);
    line(&[b"Host: ", url.authority().as_bytes()]);
    let mut has_agent = false;
    for (name, value) in headers {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            return refuse(format!("{name} is not the name of a header"));
        }
        if ["host", "content-length", "transfer-encoding", "connection", "expect", "te", "upgrade"]
            .iter()
            .any(|own| name.eq_ignore_ascii_case(own))
        {
            return refuse(format!("the header {name} is not the caller's to set"));
        }
        if value.bytes().any(|b| (b < b' ' && b != b'\t') || b == 0x7f) {
            return refuse(format!("the value of the header {name} holds a control character"));
        }
        has_agent |= name.eq_ignore_ascii_case("user-agent");
        line(&[name.as_bytes(), b": ", value.as_bytes()]);
    }
    if !has_agent {
        line(&[b"User-Agent: ", user_agent.as_bytes()]);
    }
    if !body.is_empty() || !matches!(*method, "GET" | "HEAD" | "DELETE") {
        let mut digits = [b'0'; 20];
        let (mut at, mut rest) = (digits.len() - 1, body.len());
        while rest > 9 {
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            at -= 1;
        }
        digits[at] = b'0' + rest as u8;
        line(&[b"Content-Length: ", &digits[at..]]);
    }
    line(&[]);
    out.extend_from_slice(body);
    Ok(out)
}

/// The engine, waiting for an answer. Of the request it only needs to know whether the answer may have a body.
fn await_answer(method: &str) -> Result<Call<state::RecvResponse>, Fault> {
    let mut request = http::Request::new(());
    if method == "HEAD" {
        *request.method_mut() = http::Method::HEAD;
    }
    let mut call = Call::new(request).map_err(bad_answer)?.proceed();
    call.write(&mut [0; 64]).map_err(bad_answer)?;
    match call.proceed().map_err(bad_answer)? {
        Some(SendRequestResult::RecvResponse(call)) => Ok(call),
        _ => Err(Fault::Final(Error::new(KL_E_INTERNAL, "the HTTP engine does not wait for an answer"))),
    }
}

fn receive_head(
    conn: &mut Conn,
    mut call: Call<state::RecvResponse>,
    bound: &Bound<'_>,
    progress: &mut Progress,
) -> Result<(http::Response<()>, RecvResponseResult), Fault> {
    let mut interim = 0;
    loop {
        if !conn.receive(bound)? {
            return Err(Fault::Closed);
        }
        if progress.first_byte.is_none() {
            progress.first_byte = Some(Instant::now());
            progress.received_ms = conn.heard_ms;
        }
        loop {
            let (used, head) = call.try_response(conn.input(), false).map_err(bad_answer)?;
            conn.consume(used);
            if let Some(head) = head {
                if used > MAX_HEAD {
                    return Err(large_head());
                }
                let next = call.proceed().ok_or_else(|| protocol("the answer's head ends nowhere"))?;
                return Ok((head, next));
            }
            if used == 0 {
                break;
            }
            // An interim answer (1xx): the real one follows, but not after an endless row of them.
            interim += used;
        }
        if conn.input().len() + interim > MAX_HEAD {
            return Err(large_head());
        }
    }
}

fn receive_body(
    conn: &mut Conn,
    mut call: Call<state::RecvBody>,
    max_reply: usize,
    bound: &Bound<'_>,
) -> Result<(Vec<u8>, bool), Fault> {
    let large = || {
        let message = format!("the answer is larger than {max_reply} bytes");
        Fault::Final(Error::new(KL_E_TOO_LARGE, message))
    };
    let mode = call.body_mode();
    let mut body = Vec::new();
    if let BodyMode::LengthDelimited(length) = mode {
        if length > max_reply as u64 {
            return Err(large());
        }
        body.reserve_exact(length as usize);
    }
    let until_close = mode == BodyMode::CloseDelimited;
    let mut ended_early = false;
    loop {
        while !conn.input().is_empty() {
            let filled = body.len();
            body.resize(filled + conn.input().len(), 0);
            let (used, made) = call.read(conn.input(), &mut body[filled..]).map_err(bad_answer)?;
            body.truncate(filled + made);
            conn.consume(used);
            if body.len() > max_reply {
                return Err(large());
            }
            if used == 0 {
                break;
            }
        }
        if !until_close && call.can_proceed() {
            break;
        }
        // What could not be taken is half a chunk line; those are short.
        if conn.input().len() > MAX_HEAD {
            return Err(protocol("a chunk of the answer has no end to its size"));
        }
        if !conn.receive(bound)? {
            if until_close {
                break;
            }
            // The last chunk is there and only the empty line after it is missing.
            if call.is_ended_chunked() {
                ended_early = true;
                break;
            }
            return Err(Fault::Closed);
        }
    }
    let must_close = ended_early
        || match call.proceed() {
            Some(RecvBodyResult::Cleanup(call)) => call.must_close_connection(),
            Some(RecvBodyResult::Redirect(call)) => call.must_close_connection(),
            None => true,
        };
    Ok((body, must_close))
}

fn protocol(what: &str) -> Fault {
    Fault::Final(Error::new(KL_E_PROTOCOL, what))
}

fn large_head() -> Fault {
    Fault::Final(Error::new(KL_E_TOO_LARGE, format!("the answer's headers are larger than {MAX_HEAD} bytes")))
}

fn bad_answer(error: ProtoError) -> Fault {
    match error {
        ProtoError::HttpParseTooManyHeaders => {
            Fault::Final(Error::new(KL_E_TOO_LARGE, "the answer has too many headers"))
        }
        // The engine's messages name the fault, not the bytes.
        error => protocol(&format!("the answer is not valid HTTP: {error}")),
    }
}
