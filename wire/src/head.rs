//! The heads of HTTP/1.1, as RFC 9110 and RFC 9112 have them: a request's is written, an answer's is read, and what it says about
//! the end of its body. The lines of an answer are cut by `httparse`; what follows from them is decided here.

use std::borrow::Cow;
use std::fmt;
use std::mem::MaybeUninit;
use std::ops::Range;

/// What is wrong with a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// A request that cannot be sent.
    Argument(String),
    /// An answer that breaks the rules.
    Protocol(String),
    /// An answer with more than it may have.
    TooLarge(&'static str),
}

/// An answer's head may have this many bytes, those of the interim answers before it included.
pub const MAX_HEAD: usize = 16 * 1024;
/// And this many headers.
pub const MAX_HEADERS: usize = 100;
/// Names of codings that compress or otherwise change a body. Whatever else servers write into `Content-Encoding`
/// (`utf-8`, `none`, nothing at all) changes nothing.
const COMPRESSIONS: [&str; 11] =
    ["gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress", "exi", "dcb", "dcz", "aes128gcm"];

/// The headers of a request that are not the caller's to set.
const OWN_HEADERS: [&str; 7] =
    ["host", "content-length", "transfer-encoding", "connection", "expect", "te", "upgrade"];

/// The headers of an answer.
#[derive(Clone, Default)]
pub struct Headers {
    /// The head that they stand in.
    text: Vec<u8>,
    /// Where each name and each value is in it. A head is shorter than 64 KiB.
    places: Vec<(Range<u16>, Range<u16>)>,
    /// A bit for each length that a name has.
    lengths: u64,
}

impl Headers {
    /// An answer's type alone, for the tests of what answers mean.
    pub fn of_type(content_type: &str) -> Headers {
        let head = ["HTTP/1.1 200 OK\r\nContent-Type: ", content_type, "\r\n\r\n"].concat();
        read_head(head.as_bytes()).ok().flatten().map(|(_, head)| head.headers).unwrap_or_default()
    }

    /// The first header of this name, in whatever case; `None` as well if it is not visible ASCII.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next().and_then(visible)
    }

    /// All headers whose values are visible ASCII.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs().filter_map(|(name, value)| Some((visible(name)?, visible(value)?)))
    }

    /// The values of all headers of this name.
    fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        // There are few, and most names have another length; hashing one costs more than looking at all.
        let places = if self.lengths & length_bit(name.len()) == 0 { &[] } else { self.places.as_slice() };
        places
            .iter()
            .filter(move |(n, _)| usize::from(n.end - n.start) == name.len() && same_name(self.part(n), name))
            .map(|(_, value)| self.part(value))
    }

    #[inline(always)]
    fn part(&self, place: &Range<u16>) -> &[u8] {
        self.text.get(place.start.into()..place.end.into()).unwrap_or_default()
    }

    fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.places.iter().map(|(name, value)| (self.part(name), self.part(value)))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[inline(always)]
fn length_bit(length: usize) -> u64 {
    1 << (length % 64)
}

/// Two of one length; most are not, which is seen without a call.
#[inline(always)]
fn same_name(name: &[u8], other: &str) -> bool {
    name.len() == other.len() && name.eq_ignore_ascii_case(other.as_bytes())
}

fn visible(bytes: &[u8]) -> Option<&str> {
    let visible = bytes.iter().all(|b| matches!(b, b'\t' | b' '..=b'~'));
    if visible { std::str::from_utf8(bytes).ok() } else { None }
}

/// What `Keep-Alive: timeout=5, max=100` says, in milliseconds.
#[inline(never)]
pub fn kept_ms(headers: &Headers) -> Option<u64> {
    let seconds = tokens(headers, "keep-alive").find_map(|token| {
        let (name, value) = std::str::from_utf8(token).ok()?.split_once('=')?;
        if !name.trim_end().eq_ignore_ascii_case("timeout") {
            return None;
        }
        value.trim().trim_matches('"').parse::<u32>().ok()
    })?;
    Some(u64::from(seconds) * 1000)
}

/// The bytes of the request to this authority, its body included: they go out together, in one TLS record and one packet if they fit.
///
/// Written by hand: header names keep their spelling, which some gateways are picky about, and no formatting
/// machinery runs. Whatever could break out of its line is refused.
#[inline(never)]
pub fn encode(
    method: &str,
    path_and_query: &str,
    headers: &[(&'static str, Cow<'static, str>)],
    body: &[u8],
    authority: &str,
    user_agent: &str,
) -> Result<Vec<u8>, Wrong> {
    let refuse = |what: &[&str]| Err(Wrong::Argument(what.concat()));
    if !method.bytes().all(|b| b.is_ascii_uppercase()) || matches!(method, "" | "CONNECT") {
        return refuse(&[method, " cannot be used as a method here"]);
    }
    let path = path_and_query.as_bytes();
    if path.first() != Some(&b'/') || !path.iter().all(|b| matches!(b, 0x21..=0x7e)) {
        return refuse(&["the request's path holds a character that must be percent-encoded"]);
    }
    let room: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let mut out =
        Vec::with_capacity(room + path.len() + authority.len() + user_agent.len() + body.len() + 128);
    let mut parts = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    parts(&[method.as_bytes(), b" ", path, b" HTTP/1.1\r\nHost: ", authority.as_bytes(), b"\r\n"]);
    let mut has_agent = false;
    for (name, value) in headers {
        if name.is_empty() || !name.bytes().all(is_token) {
            return refuse(&[name, " is not the name of a header"]);
        }
        if OWN_HEADERS.iter().any(|own| same_name(name.as_bytes(), own)) {
            return refuse(&["the header ", name, " is not the caller's to set"]);
        }
        if value.bytes().any(|b| (b < b' ' && b != b'\t') || b == 0x7f) {
            return refuse(&["the value of the header ", name, " holds a control character"]);
        }
        has_agent |= same_name(name.as_bytes(), "user-agent");
        parts(&[name.as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
    }
    if !has_agent {
        parts(&[b"User-Agent: ", user_agent.as_bytes(), b"\r\n"]);
    }
    if !body.is_empty() || !matches!(method, "GET" | "HEAD" | "DELETE") {
        parts(&[b"Content-Length: ", body.len().to_string().as_bytes(), b"\r\n"]);
    }
    parts(&[b"\r\n", body]);
    Ok(out)
}

/// A character that the name of a header may have.
pub fn is_token(b: u8) -> bool {
    TOKEN[usize::from(b)]
}

const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let (letters, mut i) = (b"!#$%&'*+-.^_`|~", 0);
    while i < letters.len() {
        token[letters[i] as usize] = true;
        i += 1;
    }
    let mut b = 0u8;
    while b < 128 {
        token[b as usize] |= b.is_ascii_alphanumeric();
        b += 1;
    }
    token
};

/// The first lines of an answer.
pub struct Head {
    /// From 100 to 999.
    pub status: u16,
    /// 0 or 1, of HTTP/1.
    minor: u8,
    /// The others.
    pub headers: Headers,
    /// Whether a header was written in a way that others may read differently.
    odd: bool,
}

/// Cuts the head off the front of what was received, and says how long it is; `None` if it is not whole yet.
#[inline(never)]
pub fn read_head(input: &[u8]) -> Result<Option<(usize, Head)>, Wrong> {
    head_of(input, false)
}

/// `past_odd`: a line that is no header is passed over. It loses no answer, but what the server meant by it is not known, so
/// the connection is not used again.
fn head_of(input: &[u8], past_odd: bool) -> Result<Option<(usize, Head)>, Wrong> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let mut config = httparse::ParserConfig::default();
    // Both are read as RFC 9112 wants them read, sections 5.1 and 5.2; that the server writes them is noted below.
    config.allow_spaces_after_header_name_in_responses(true);
    config.allow_obsolete_multiline_headers_in_responses(true);
    config.ignore_invalid_headers_in_responses(past_odd);
    let length = match config.parse_response_with_uninit_headers(&mut response, input, &mut headers) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) if !past_odd => {
            return head_of(input, true);
        }
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Wrong::TooLarge("the answer has too many headers"));
        }
        Err(error) => return Err(bad_head(error)),
    };
    let (Some(status @ 100..), Some(minor)) = (response.code, response.version) else {
        return Err(protocol("the answer is not valid HTTP: its status is no number from 100 on"));
    };
    let mut text = input.get(..length).unwrap_or_default().to_vec();
    let mut places = Vec::with_capacity(response.headers.len());
    let (mut odd, mut lengths) = (past_odd, 0);
    for header in response.headers.iter() {
        let name = place(input, header.name.as_bytes());
        let value = if header.value.is_empty() { name.end..name.end } else { place(input, header.value) };
        odd |= text.get(usize::from(name.end)) != Some(&b':');
        lengths |= length_bit(header.name.len());
        // A value that goes over several lines becomes one.
        if header.value.contains(&b'\n') {
            odd = true;
            let lines = text.get_mut(value.start.into()..value.end.into()).unwrap_or_default();
            lines.iter_mut().filter(|b| matches!(b, b'\r' | b'\n' | b'\t')).for_each(|b| *b = b' ');
        }
        places.push((name, value));
    }
    Ok(Some((length, Head { status, minor, headers: Headers { text, places, lengths }, odd })))
}

/// Where a part of the input is in it; nowhere, if that is not in its first 64 KiB.
fn place(input: &[u8], part: &[u8]) -> Range<u16> {
    let start = (part.as_ptr() as usize).wrapping_sub(input.as_ptr() as usize);
    match (u16::try_from(start), u16::try_from(start.wrapping_add(part.len()))) {
        (Ok(start), Ok(end)) => start..end,
        _ => 0..0,
    }
}

fn bad_head(error: httparse::Error) -> Wrong {
    use httparse::Error as E;
    protocol(match error {
        E::Version => "the answer is not valid HTTP: it does not begin with HTTP/1.1",
        E::Status => "the answer is not valid HTTP: its status is no number from 100 on",
        _ => "the answer is not valid HTTP",
    })
}

/// How the end of a body is found.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// It has so many bytes.
    Length(u64),
    /// Each piece says how long it is.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// What the head says about what follows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Framing {
    /// How the end of the body is found.
    pub body: Body,
    /// Whether the connection can be used again afterwards.
    pub keep: bool,
}

/// RFC 9112, section 6.3. What two readers could read in two ways is refused, or is the connection's last answer.
#[inline(never)]
pub fn frame(head: &Head, method: &str) -> Result<Framing, Wrong> {
    let headers = &head.headers;
    let mut keep = head.minor >= 1 && !head.odd;
    keep &= !tokens(headers, "connection").any(|token| token.eq_ignore_ascii_case(b"close"));
    let length = content_length(headers)?;
    let mut codings = tokens(headers, "transfer-encoding");
    let mut coding = codings.next();
    // A word of 1999 for none, which old proxies still write.
    if coding.is_some_and(|c| c.eq_ignore_ascii_case(b"identity")) {
        coding = codings.next();
        keep = false;
    }
    if method == "HEAD" || matches!(head.status, 204 | 304) {
        return Ok(Framing { body: Body::None, keep });
    }
    let body = match (coding, length) {
        (Some(coding), length) => {
            if !coding.eq_ignore_ascii_case(b"chunked") || codings.next().is_some() {
                let message =
                    ["the answer has the transfer coding ", &printable(coding), ", which is not known"];
                return Err(Wrong::Protocol(message.concat()));
            }
            keep &= length.is_none();
            Body::Chunked
        }
        (None, Some(length)) => Body::Length(length),
        (None, None) => {
            keep = false;
            Body::UntilClose
        }
    };
    Ok(Framing { body, keep })
}

/// The one length that all `Content-Length` headers agree on; several of one value are one (RFC 9110, 8.6).
fn content_length(headers: &Headers) -> Result<Option<u64>, Wrong> {
    let mut found = None;
    for value in headers.all("content-length") {
        for part in value.split(|b| *b == b',') {
            let part = part.trim_ascii();
            if part.is_empty() || !part.iter().all(u8::is_ascii_digit) {
                return Err(protocol("the answer's Content-Length is no number"));
            }
            // What does not fit is too large in any case.
            let length = part
                .iter()
                .fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
            if found.is_some_and(|before| before != length) {
                return Err(protocol("the answer has two lengths"));
            }
            found = Some(length);
        }
    }
    Ok(found)
}

/// Whether a word of `Content-Encoding` names a coding that changes a body.
pub fn is_compression(token: &[u8]) -> bool {
    COMPRESSIONS.iter().any(|name| token.eq_ignore_ascii_case(name.as_bytes()))
}

/// Nobody asked for a compressed body.
#[inline(never)]
pub fn refuse_compression(headers: &Headers) -> Result<(), Wrong> {
    for token in tokens(headers, "content-encoding") {
        if is_compression(token) {
            let message = ["the answer is compressed (", &printable(token), "), which was not asked for"];
            return Err(Wrong::Protocol(message.concat()));
        }
    }
    Ok(())
}

/// The items of all headers of this name that are lists.
fn tokens<'a>(headers: &'a Headers, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    let items = headers.all(name).flat_map(|value| value.split(|b| *b == b','));
    items.map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}

/// A server's word, short and harmless enough for a message.
fn printable(word: &[u8]) -> String {
    word.iter().take(32).map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '?' }).collect()
}

/// The size at the start of a chunk's line, which ends with CR LF, and how many bytes behind it are none of it.
pub fn chunk_size(line: &[u8]) -> Result<(u64, usize), &'static str> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (size, rest) = line.split_at(digits);
    let significant = size.iter().skip_while(|b| **b == b'0');
    let mut value = 0u64;
    for digit in significant {
        if value >> 60 != 0 {
            return Err("the size of a chunk of the answer is too large");
        }
        value = value << 4 | u64::from((*digit as char).to_digit(16).unwrap_or(0));
    }
    let extension = rest.trim_ascii();
    if digits == 0 || !(extension.is_empty() || extension[0] == b';') || extension.contains(&b'\r') {
        return Err("a chunk of the answer does not begin with its size");
    }
    Ok((value, line.len() - digits - 2))
}

fn protocol(what: &str) -> Wrong {
    Wrong::Protocol(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(head: &str, method: &str) -> Result<Framing, String> {
        let text = ["HTTP/1.1 ", head, "\r\n\r\n"].concat();
        let (length, head) =
            read_head(text.as_bytes()).map_err(|wrong| format!("{wrong:?}"))?.expect("a whole head");
        assert_eq!(length, text.len());
        frame(&head, method).map_err(|wrong| format!("{wrong:?}"))
    }

    // FAULTS F8: `identity` too is a coding that changes nothing.
    #[test]
    fn the_end_of_a_body_is_where_rfc_9112_puts_it() {
        use Body::*;
        for (head, body, keep) in [
            ("200 OK\r\nContent-Length: 5", Length(5), true),
            ("200 OK\r\nContent-Length: 5\r\nContent-Length: 5", Length(5), true),
            ("200 OK\r\nContent-Length: 5, 5", Length(5), true),
            ("200 OK\r\ncontent-length:007", Length(7), true),
            ("200 OK\r\nContent-Length : 5", Length(5), false),
            ("200 OK\r\nX: a\r\n b\r\nContent-Length: 5", Length(5), false),
            ("200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive, Close", Length(5), false),
            ("200 OK\r\nTransfer-Encoding: Chunked", Chunked, true),
            ("200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5", Chunked, false),
            ("200 OK\r\nTransfer-Encoding: Identity\r\nContent-Length: 5", Length(5), false),
            ("200 OK\r\nTransfer-Encoding: identity", UntilClose, false),
            ("200 OK", UntilClose, false),
            ("204 No Content\r\nContent-Length: 5", None, true),
            ("304 Not Modified\r\nTransfer-Encoding: chunked", None, true),
            ("200 OK\r\nContent-Length: 99999999999999999999999", Length(u64::MAX), true),
        ] {
            assert_eq!(framing(head, "POST"), Ok(Framing { body, keep }), "{head}");
        }
        assert_eq!(framing("200 OK\r\nContent-Length: 5", "HEAD"), Ok(Framing { body: None, keep: true }));
        for refused in [
            "200 OK\r\nContent-Length: 5, 6",
            "200 OK\r\nContent-Length: 5\r\nContent-Length: 6",
            "200 OK\r\nContent-Length: 5\r\n 6",
            "200 OK\r\nContent-Length: +5",
            "200 OK\r\nContent-Length: -5",
            "200 OK\r\nContent-Length:",
            "200 OK\r\nContent-Length: 5,",
            "200 OK\r\nContent-Length: 0x5",
            "200 OK\r\nTransfer-Encoding: gzip, chunked",
            "200 OK\r\nTransfer-Encoding: chunked, chunked",
            "200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            "200 OK\r\nTransfer-Encoding: xchunked",
        ] {
            assert!(framing(refused, "POST").is_err(), "{refused}");
        }
    }

    #[test]
    fn how_long_a_connection_is_kept_is_read() {
        let kept = |line: &str| {
            let text = ["HTTP/1.1 200 OK\r\n", line, "\r\n\r\n"].concat();
            kept_ms(&read_head(text.as_bytes()).unwrap().unwrap().1.headers)
        };
        assert_eq!(kept("Keep-Alive: timeout=5, max=100"), Some(5_000));
        assert_eq!(kept("keep-alive: max=1,TIMEOUT = \"15\""), Some(15_000));
        assert_eq!(kept("Keep-Alive: timeout=4294967295"), Some(4_294_967_295_000));
        for none in ["X: y", "Keep-Alive: 300", "Keep-Alive: timeout=-1", "Keep-Alive: timeout=soon"] {
            assert_eq!(kept(none), None, "{none}");
        }
    }

    #[test]
    fn the_size_of_a_chunk_is_read_strictly() {
        for (line, size, extension) in [
            ("5\r\n", 5, 0),
            ("00Ff\r\n", 255, 0),
            ("5;a=b\r\n", 5, 4),
            ("5 \t;a\r\n", 5, 4),
            ("0\r\n", 0, 0),
        ] {
            assert_eq!(chunk_size(line.as_bytes()).unwrap(), (size, extension), "{line}");
        }
        for bad in [
            "\r\n",
            "x\r\n",
            "5x\r\n",
            "-5\r\n",
            "0x5\r\n",
            "5 5\r\n",
            "5;\ra\r\n",
            " 5\r\n",
            "10000000000000000\r\n",
        ] {
            assert!(chunk_size(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn headers_are_found_in_any_case_and_folded_ones_are_one_line() {
        let text = b"HTTP/1.0 404 \xE5\xA5\xBD\r\nX-One: a\r\n\t b\r\nx-TWO:  \xFF\r\nx-one: c\r\n\r\nrest";
        let (length, head) = read_head(text).unwrap().unwrap();
        assert_eq!((length, head.status, head.minor, head.odd), (text.len() - 4, 404, 0, true));
        assert_eq!(head.headers.get("X-ONE"), Some("a    b"));
        assert_eq!(head.headers.get("x-two"), None);
        assert_eq!(head.headers.iter().collect::<Vec<_>>(), [("X-One", "a    b"), ("x-one", "c")]);
        for partial in 0..length {
            assert!(read_head(&text[..partial]).unwrap().is_none(), "{partial}");
        }
    }
}
