//! Reads one HTTP/1.1 request after the other out of whatever pieces they come in. Pure, and bounded in head and body. How a
//! request is cut into pieces changes nothing of what is read.

use crate::transport::MAX_CHUNK_LINE;
use kiosklink_wire::head::{MAX_HEADERS, chunk_size, is_compression, is_token};
use std::mem::{MaybeUninit, take};

/// The headers that are read here: each a list of words, or one.
const LISTS: [&str; 5] = ["content-length", "transfer-encoding", "connection", "expect", "content-encoding"];

/// A request that came whole.
#[derive(Default)]
pub(super) struct Asked {
    /// `GET`, and not `POST` or `PUT`.
    pub(super) get: bool,
    pub(super) path: String,
    /// What stands behind the path's `?`.
    pub(super) query: String,
    /// The lines of its head behind the first one.
    pub(super) headers: String,
    pub(super) body: Vec<u8>,
    /// The connection may be used again: the caller wants to, and sent nothing more yet.
    pub(super) keep: bool,
}

/// How far a request has come.
pub(super) enum Came {
    More,
    /// More, but the caller waits to be told so.
    GoOn,
    Whole(Asked),
    /// It is not read any further, and is answered with this status.
    Refused(u16),
}

/// What is read next.
enum Stage {
    Head,
    /// A body, or a chunk, of which so many bytes are missing.
    Length(usize),
    Chunk(usize),
    ChunkSize,
    ChunkEnd,
    Trailers,
}

pub(super) struct Reader {
    max_head: usize,
    max_body: usize,
    stage: Stage,
    /// What came of the head, or of a line between chunks.
    held: Vec<u8>,
    /// What will be given.
    asked: Asked,
    /// Bytes of chunks that are no content.
    ballast: usize,
}

/// What a head says of what follows it.
struct Framing {
    /// `None`: in chunks.
    length: Option<usize>,
    /// The caller holds the body back until it is told to go on.
    waits: bool,
}

impl Reader {
    pub(super) fn new(max_head: usize, max_body: usize) -> Reader {
        Reader {
            max_head,
            max_body,
            stage: Stage::Head,
            held: Vec::new(),
            asked: Asked::default(),
            ballast: 0,
        }
    }

    /// Whether a part of a request came.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.stage, Stage::Head) || !self.held.is_empty()
    }

    /// Takes all of a piece. After `Refused` there is nothing more to read.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Came {
        loop {
            match self.advance(&mut bytes) {
                Ok(None) => {}
                Ok(Some(progress)) => return progress,
                Err(status) => return Came::Refused(status),
            }
        }
    }

    fn advance(&mut self, bytes: &mut &[u8]) -> Result<Option<Came>, u16> {
        let more = Ok(Some(Came::More));
        match self.stage {
            Stage::Head => {
                let Some(framing) = self.head(bytes)? else { return more };
                self.held.clear();
                self.ballast = 0;
                self.stage = framing.length.map_or(Stage::ChunkSize, Stage::Length);
                if framing.waits && bytes.is_empty() && framing.length != Some(0) {
                    return Ok(Some(Came::GoOn));
                }
            }
            Stage::Length(missing) | Stage::Chunk(missing) => {
                let (content, rest) = bytes.split_at(missing.min(bytes.len()));
                add(&mut self.asked.body, content)?;
                *bytes = rest;
                let (missing, chunk) = (missing - content.len(), matches!(self.stage, Stage::Chunk(_)));
                self.stage = match (missing, chunk) {
                    (0, true) => Stage::ChunkEnd,
                    (0, false) => return Ok(Some(self.whole(rest))),
                    (_, true) => Stage::Chunk(missing),
                    (_, false) => Stage::Length(missing),
                };
                if missing != 0 {
                    return more;
                }
            }
            Stage::ChunkSize => {
                if !self.line(bytes)? {
                    return more;
                }
                let (size, extension) = chunk_size(&self.held).map_err(|_| 400u16)?;
                self.held.clear();
                self.ballast += extension;
                if self.ballast > self.max_head {
                    return Err(400);
                }
                if size > (self.max_body - self.asked.body.len()) as u64 {
                    return Err(413);
                }
                self.stage = if size == 0 { Stage::Trailers } else { Stage::Chunk(size as usize) };
            }
            Stage::ChunkEnd => {
                let ended = self.line(bytes)?;
                if !b"\r\n".starts_with(&self.held) {
                    return Err(400);
                }
                if !ended {
                    return more;
                }
                self.held.clear();
                self.stage = Stage::ChunkSize;
            }
            Stage::Trailers => {
                if !self.line(bytes)? {
                    return more;
                }
                self.ballast += self.held.len();
                if self.ballast > self.max_head {
                    return Err(431);
                }
                let last = self.held == b"\r\n";
                self.held.clear();
                if last {
                    return Ok(Some(self.whole(bytes)));
                }
            }
        }
        Ok(None)
    }

    /// The end of a request. What follows it in the same piece was sent without waiting for the answer, and is not read; line
    /// ends are nothing.
    fn whole(&mut self, rest: &[u8]) -> Came {
        self.stage = Stage::Head;
        let mut asked = take(&mut self.asked);
        asked.keep &= rest.iter().all(|b| matches!(b, b'\r' | b'\n'));
        Came::Whole(asked)
    }

    /// Takes what belongs to the head; what follows from it if that is whole.
    fn head(&mut self, bytes: &mut &[u8]) -> Result<Option<Framing>, u16> {
        if self.held.is_empty() {
            // Some callers end the line of the request before, or of none.
            let blank = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
            *bytes = &bytes[blank..];
            match bytes.first() {
                None => return Ok(None),
                // TLS, most likely: its head would never end.
                Some(first) if !is_token(*first) => return Err(400),
                _ => {}
            }
        }
        let before = self.held.len();
        let new = &bytes[..bytes.len().min(self.max_head - before)];
        add(&mut self.held, new)?;
        // Whole lines only: so it does not matter how they came, and drop by drop costs little.
        if let Some(at) = new.iter().rposition(|b| *b == b'\n') {
            let held = take(&mut self.held);
            let read = self.read_head(&held[..=before + at])?;
            self.held = held;
            if let Some((length, framing)) = read {
                *bytes = &bytes[length - before..];
                return Ok(Some(framing));
            }
        }
        *bytes = &bytes[new.len()..];
        if self.held.len() < self.max_head {
            return Ok(None);
        }
        Err(if self.held.contains(&b'\n') { 431 } else { 414 })
    }

    /// Reads the head in these lines, and says how long it is; `None` if it is not whole.
    fn read_head(&mut self, lines: &[u8]) -> Result<Option<(usize, Framing)>, u16> {
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut []);
        let length = match request.parse_with_uninit_headers(lines, &mut headers) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(431),
            Err(httparse::Error::Version) => {
                let first = lines.split(|b| *b == b'\n').next().unwrap_or_default();
                return Err(if first.windows(6).any(|w| w == b" HTTP/") { 505 } else { 400 });
            }
            Err(_) => return Err(400),
        };
        let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
        let new = request.version == Some(1);
        let (mut length_told, mut chunked, mut waits) = (None, false, false);
        let (mut close, mut keep) = (false, false);
        for header in request.headers.iter() {
            let Some(which) = LISTS.iter().position(|name| header.name.eq_ignore_ascii_case(name)) else {
                continue;
            };
            for word in header.value.split(|b| *b == b',') {
                let word = word.trim_ascii();
                let is = |what: &str| word.eq_ignore_ascii_case(what.as_bytes());
                match which {
                    0 => {
                        let told = number(word).ok_or(400u16)?;
                        if length_told.is_some_and(|before| before != told) {
                            return Err(400);
                        }
                        length_told = Some(told);
                    }
                    1 if chunked || !is("chunked") => return Err(501),
                    1 => chunked = true,
                    2 => {
                        close |= is("close");
                        keep |= is("keep-alive");
                    }
                    3 if is("100-continue") => waits = true,
                    3 if new => return Err(417),
                    4 if is_compression(word) => return Err(415),
                    _ => {}
                }
            }
        }
        if !["POST", "PUT", "GET"].contains(&method) {
            let known = ["HEAD", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"].contains(&method);
            return Err(if known { 405 } else { 501 });
        }
        // Two readers could find two ends.
        if chunked && (length_told.is_some() || !new) {
            return Err(400);
        }
        let get = method == "GET";
        if !chunked && length_told.is_none() && !get {
            return Err(411);
        }
        if length_told.is_some_and(|told| told > self.max_body) {
            return Err(413);
        }
        let lines_behind = lines.iter().position(|b| *b == b'\n').map_or(length, |at| at + 1);
        let (path, query) = in_target(target);
        self.asked = Asked {
            get,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: text_of(&lines[lines_behind..length]),
            body: Vec::new(),
            keep: !close && (new || keep),
        };
        let length_told = if chunked { None } else { Some(length_told.unwrap_or(0)) };
        Ok(Some((length, Framing { length: length_told, waits: waits && new })))
    }

    /// Takes what belongs to a line; whether it is whole.
    fn line(&mut self, bytes: &mut &[u8]) -> Result<bool, u16> {
        let end = bytes.iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| at + 1);
        if self.held.len() + end > MAX_CHUNK_LINE {
            return Err(400);
        }
        add(&mut self.held, &bytes[..end])?;
        *bytes = &bytes[end..];
        match self.held.strip_suffix(b"\n") {
            None => Ok(false),
            Some(line) if line.ends_with(b"\r") => Ok(true),
            Some(_) => Err(400),
        }
    }
}

/// A caller's bytes must not be what ends the process for want of memory.
fn add(to: &mut Vec<u8>, bytes: &[u8]) -> Result<(), u16> {
    to.try_reserve(bytes.len()).map_err(|_| 503u16)?;
    to.extend_from_slice(bytes);
    Ok(())
}

/// Digits only. What does not fit is too large in any case.
fn number(word: &[u8]) -> Option<usize> {
    let digits = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    let add = |sum: usize, digit: &u8| sum.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
    digits.then(|| word.iter().fold(0, add))
}

/// Path and query of a request's target, which a proxy may write with the server's name in front.
fn in_target(target: &str) -> (&str, &str) {
    let behind =
        target.split_once("://").filter(|(scheme, _)| scheme.bytes().all(|b| b.is_ascii_alphabetic()));
    let target = behind.map_or(target, |(_, rest)| rest.find(['/', '?']).map_or("/", |at| &rest[at..]));
    target.split_once('?').unwrap_or((target, ""))
}

/// The lines of a head. What is no UTF-8 is Latin-1, as HTTP has it; nothing of it is lost.
fn text_of(head: &[u8]) -> String {
    match std::str::from_utf8(head) {
        Ok(text) => text.to_owned(),
        Err(_) => head.iter().map(|b| char::from(*b)).collect(),
    }
}
