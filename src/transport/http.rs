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
    let (bytes, call) = encode(request, user_agent)?;
    progress.sent_ms = clock::monotonic_ms();
    conn.send(&bytes, bound, &mut progress.left)?;
    drop(bytes);
    progress.sent = true;

    let (head, next) = receive_head(conn, call, bound, progress)?;
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

fn encode(request: &Request, user_agent: &str) -> Result<(Vec<u8>, Call<state::RecvResponse>), Fault> {
    let refuse = |what: &str| Fault::Final(Error::new(KL_E_ARGUMENT, what));
    let mut head = http::Request::builder().method(request.method).uri(request.url.path_and_query.as_str());
    let mut has_agent = false;
    head = head.header(http::header::HOST, request.url.authority());
    for (name, value) in &request.headers {
        has_agent |= name.eq_ignore_ascii_case("user-agent");
        let value = http::HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| refuse(&format!("the value of the header {name} holds a control character")))?;
        head = head.header(*name, value);
    }
    if !has_agent {
        head = head.header(http::header::USER_AGENT, user_agent);
    }
    if !request.body.is_empty() || !matches!(request.method, "GET" | "HEAD" | "DELETE") {
        head = head.header(http::header::CONTENT_LENGTH, http::HeaderValue::from(request.body.len()));
    }
    let head =
        head.body(()).map_err(|_| refuse("the request's method, path or a header name is not valid"))?;

    let invalid = |e: ProtoError| refuse(&format!("the request is not valid HTTP: {e}"));
    let mut call = Call::new(head).map_err(invalid)?;
    if !request.body.is_empty() {
        call.force_send_body();
    }
    let mut call = call.proceed();
    let room: usize = request.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let mut bytes =
        vec![0; room + request.url.path_and_query.len() + request.url.host.len() + user_agent.len() + 256];
    let n = call.write(&mut bytes).map_err(invalid)?;
    if !call.can_proceed() {
        return Err(Fault::Final(Error::new(KL_E_INTERNAL, "the request's head outgrew its estimate")));
    }
    bytes.truncate(n);
    bytes.extend_from_slice(&request.body);
    let call = match call.proceed().map_err(invalid)? {
        Some(SendRequestResult::RecvResponse(call)) => Some(call),
        Some(SendRequestResult::SendBody(mut call)) => {
            call.consume_direct_write(request.body.len()).map_err(invalid)?;
            call.proceed()
        }
        _ => None,
    };
    match call {
        Some(call) => Ok((bytes, call)),
        None => Err(refuse("the request asks for an interim answer, which is not supported")),
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
