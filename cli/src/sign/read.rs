//! Reads a request in whatever form somebody saved it: a curl line, raw HTTP, a form, JSON, an address.

use std::borrow::Cow;

/// How a request was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// A curl line.
    Curl,
    /// Raw HTTP, with its head.
    Http,
    /// A body alone.
    Body,
    /// An address with its query.
    Address,
}

/// A request, as far as it is known.
#[derive(Clone, Debug)]
pub struct Message {
    /// How it was written down.
    pub written: Written,
    /// `GET`, `POST`, ...; empty if not told.
    pub method: String,
    /// The address or its path; empty if not told.
    pub target: String,
    /// The head's fields.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The fields of a multipart body, which is not read from `body`.
    pub parts: Option<Vec<(String, String)>>,
}

impl Message {
    /// A field of the head, in whatever case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The lines of the head.
    pub fn head(&self) -> String {
        self.headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect()
    }

    /// What stands behind the question mark.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, q)| q)
    }

    /// Whether it is known how the body was sent, not only what was in it.
    pub fn is_whole(&self) -> bool {
        matches!(self.written, Written::Curl | Written::Http)
    }
}

/// Reads it. The error says why it cannot be read.
pub fn read(input: &[u8]) -> Result<Message, String> {
    let input = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    let start = input.iter().position(|b| !b.is_ascii_whitespace()).ok_or("the input is empty")?;
    let input = &input[start..];
    let input = without_log_prefix(input);
    let lossy = String::from_utf8_lossy(input);
    let first = lossy.lines().next().unwrap_or("").trim_end();
    let first_word = first.split_whitespace().next().unwrap_or("");
    if matches!(first_word.trim_start_matches(['$', '#', ' ']), "curl" | "curl.exe")
        || first.starts_with("$ curl ")
    {
        return curl(lossy.trim_start_matches("$ "));
    }
    let verb = matches!(first_word, "GET" | "POST" | "PUT" | "DELETE" | "PATCH" | "HEAD");
    if verb && (first.contains(" HTTP/") || first.split_whitespace().count() == 2) {
        return http(input);
    }
    if first_word.starts_with("http://") || first_word.starts_with("https://") {
        let target = first.to_owned();
        // What follows may be the head.
        let mut message = Message {
            written: Written::Address,
            method: "GET".into(),
            target,
            headers: Vec::new(),
            body: Vec::new(),
            parts: None,
        };
        for line in lossy.lines().skip(1) {
            message.headers.extend(header(line));
        }
        return Ok(message);
    }
    if header(first).is_some() && !first.contains('&') && !first.starts_with('{') {
        return Ok(head_and_body(input, "", "", Written::Http));
    }
    let body = without_last_newline(input).to_vec();
    Ok(Message {
        written: Written::Body,
        method: String::new(),
        target: String::new(),
        headers: Vec::new(),
        body,
        parts: None,
    })
}

/// A line of a log without what the logger puts before a form or a JSON text: time, level, file and line.
fn without_log_prefix(input: &[u8]) -> &[u8] {
    let line = input.trim_ascii_end();
    if line.contains(&b'\n') || line.starts_with(b"curl ") || line.starts_with(b"$ ") {
        return input;
    }
    let name_byte = |b: &u8| b.is_ascii_alphanumeric() || b"_.-".contains(b);
    let separates = |b: &u8| b.is_ascii_whitespace() || b">[]\"'".contains(b);
    if let (Some(equals), true) = (line.iter().position(|b| *b == b'='), line.contains(&b'&')) {
        let front = &line[..equals];
        let start = front.iter().rposition(|b| !name_byte(b)).map_or(0, |at| at + 1);
        let prefix = &front[..start];
        let address = front.windows(3).any(|w| w == b"://") || prefix.contains(&b'?');
        if start > 0 && start < equals && prefix.iter().any(separates) && !prefix.contains(&b'{') && !address
        {
            let rest = &line[start..];
            return if prefix.ends_with(b"\"") { rest.strip_suffix(b"\"").unwrap_or(rest) } else { rest };
        }
        return input;
    }
    match line.windows(2).position(|w| w == b"{\"") {
        Some(at) if at > 0 && line.ends_with(b"}") && line[..at].iter().any(u8::is_ascii_whitespace) => {
            &line[at..]
        }
        _ => input,
    }
}

/// An editor ends a file with a line break that was never sent.
fn without_last_newline(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let token = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    token.then(|| (name.to_owned(), value.trim_end_matches('\r').trim().to_owned()))
}

fn http(input: &[u8]) -> Result<Message, String> {
    let end = input.iter().position(|b| *b == b'\n').unwrap_or(input.len());
    let line = String::from_utf8_lossy(&input[..end]).into_owned();
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or("").to_owned();
    let target = words.next().ok_or("the first line names no path")?.to_owned();
    Ok(head_and_body(input.get(end + 1..).unwrap_or(b""), &method, &target, Written::Http))
}

fn head_and_body(input: &[u8], method: &str, target: &str, written: Written) -> Message {
    let mut headers = Vec::new();
    let mut rest = input;
    loop {
        let end = rest.iter().position(|b| *b == b'\n');
        let line = String::from_utf8_lossy(&rest[..end.unwrap_or(rest.len())]).into_owned();
        let line = line.trim_end_matches('\r');
        let after = end.map_or(&b""[..], |e| &rest[e + 1..]);
        if line.is_empty() {
            rest = after;
            break;
        }
        match header(line) {
            Some(pair) => headers.push(pair),
            // No blank line before the body: somebody copied it without.
            None => break,
        }
        rest = after;
        if end.is_none() {
            break;
        }
    }
    let mut message = Message {
        written,
        method: method.into(),
        target: target.into(),
        headers,
        body: Vec::new(),
        parts: None,
    };
    let length = message.header("content-length").and_then(|l| l.parse::<usize>().ok());
    message.body = match length {
        Some(n) if n <= rest.len() => rest[..n].to_vec(),
        _ => without_last_newline(rest).to_vec(),
    };
    if let Some(boundary) = message.header("content-type").and_then(|t| {
        let (kind, boundary) = t.split_once("boundary=")?;
        kind.trim_start().starts_with("multipart/form-data").then(|| boundary.trim_matches('"').to_owned())
    }) {
        message.parts = Some(multipart(&message.body, &boundary));
    }
    message
}

fn multipart(body: &[u8], boundary: &str) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body);
    let mut fields = Vec::new();
    for part in text.split(&format!("--{boundary}")).skip(1) {
        let part = part.trim_start_matches(['\r', '\n']);
        let Some((head, value)) = part.split_once("\r\n\r\n").or_else(|| part.split_once("\n\n")) else {
            continue;
        };
        let Some(name) = head.split("name=\"").nth(1).and_then(|t| t.split('"').next()) else { continue };
        let value = value.strip_suffix('\n').unwrap_or(value);
        fields.push((name.to_owned(), value.strip_suffix('\r').unwrap_or(value).to_owned()));
    }
    fields
}

/// Splits a line as a shell does. Line breaks behind a backslash (or ^, as Windows has it) are blanks.
fn shell_words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' | '^' if matches!(chars.peek(), Some('\n' | '\r')) => {
                while matches!(chars.peek(), Some('\n' | '\r')) {
                    chars.next();
                }
                words.extend(word.take());
            }
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        None => return Err("a ' has no end".into()),
                        Some('\'') => break,
                        Some(c) => word.push(c),
                    }
                }
            }
            '$' if chars.peek() == Some(&'\'') => {
                chars.next();
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        None => return Err("a $' has no end".into()),
                        Some('\'') => break,
                        Some('\\') => match chars.next() {
                            Some('n') => word.push('\n'),
                            Some('r') => word.push('\r'),
                            Some('t') => word.push('\t'),
                            Some('u') => {
                                let hex: String = chars.by_ref().take(4).collect();
                                let unit = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
                                word.push(unit.ok_or("a \\u is not followed by four hex digits")?);
                            }
                            Some(c) => word.push(c),
                            None => return Err("a $' has no end".into()),
                        },
                        Some(c) => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        None => return Err("a \" has no end".into()),
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                            Some('\n') => {}
                            Some(c) => word.extend(['\\', c]),
                            None => return Err("a \" has no end".into()),
                        },
                        Some(c) => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn curl(line: &str) -> Result<Message, String> {
    let words = shell_words(line)?;
    let mut message = Message {
        written: Written::Curl,
        method: String::new(),
        target: String::new(),
        headers: Vec::new(),
        body: Vec::new(),
        parts: None,
    };
    let (mut data, mut get) = (Vec::<String>::new(), false);
    let mut words = words.into_iter().skip(1);
    while let Some(word) = words.next() {
        let (flag, inline) = match word.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag.to_owned(), Some(value.to_owned())),
            // -XPOST, -d'…'
            _ if word.len() > 2 && word.starts_with('-') && !word.starts_with("--") => {
                let (flag, rest) = word.split_at(word.char_indices().nth(2).map_or(word.len(), |(i, _)| i));
                if matches!(flag, "-X" | "-H" | "-d" | "-F" | "-u" | "-A" | "-b" | "-o") {
                    (flag.to_owned(), Some(rest.to_owned()))
                } else {
                    (word.clone(), None)
                }
            }
            _ => (word, None),
        };
        let mut value = || inline.clone().or_else(|| words.next()).unwrap_or_default();
        match flag.as_str() {
            "-X" | "--request" => message.method = value(),
            "-H" | "--header" => message.headers.extend(header(&value())),
            "-d" | "--data" | "--data-ascii" => {
                // curl drops line breaks only from files; a file is not here.
                data.push(not_a_file(value())?);
            }
            "--data-raw" => data.push(value()),
            "--data-binary" => data.push(not_a_file(value())?),
            "--json" => {
                message.headers.push(("Content-Type".into(), "application/json".into()));
                data.push(not_a_file(value())?);
            }
            "--data-urlencode" => {
                let text = value();
                data.push(match text.split_once('=') {
                    Some((name, value)) if !name.is_empty() => {
                        format!("{name}={}", super::rules::percent(value))
                    }
                    Some((_, value)) => super::rules::percent(value),
                    None => super::rules::percent(&text),
                });
            }
            "-F" | "--form" | "--form-string" => {
                let text = value();
                let (name, value) = text.split_once('=').unwrap_or((&text, ""));
                message
                    .parts
                    .get_or_insert_default()
                    .push((name.to_owned(), value.trim_matches('"').to_owned()));
            }
            "-u" | "--user" => {
                use base64::Engine;
                let pair = base64::engine::general_purpose::STANDARD.encode(value());
                message.headers.push(("Authorization".into(), format!("Basic {pair}")));
            }
            "-G" | "--get" => get = true,
            "--url" => message.target = value(),
            "-A" | "--user-agent" | "-b" | "--cookie" | "-o" | "--output" | "-x" | "--proxy" | "--cacert"
            | "-E" | "--cert" | "--key" | "-m" | "--max-time" | "--connect-timeout" | "--resolve" | "-w"
            | "--write-out" | "--retry" => drop(value()),
            flag if flag.starts_with('-') => {}
            _ => message.target = flag,
        }
    }
    if message.target.is_empty() {
        return Err("the curl line names no address".into());
    }
    let joined = data.join("&");
    if get && !joined.is_empty() {
        message.target.push(if message.target.contains('?') { '&' } else { '?' });
        message.target.push_str(&joined);
    } else {
        message.body = joined.into_bytes();
    }
    if message.method.is_empty() {
        let posts = !message.body.is_empty() || message.parts.is_some();
        message.method = (if posts { "POST" } else { "GET" }).into();
    }
    Ok(message)
}

fn not_a_file(text: String) -> Result<String, String> {
    match text.strip_prefix('@') {
        Some(file) => {
            Err(format!("the curl line sends the file {file}, which is not in it: put its content there"))
        }
        None => Ok(text),
    }
}

/// One field of a form: as it was written, and as it is read.
#[derive(Clone, Debug)]
pub struct Raw {
    /// The name, read.
    pub name: String,
    /// The value as written.
    pub written: String,
    /// The value, read; not UTF-8 if it is not.
    pub read: Vec<u8>,
    /// Name and value as written.
    pub pair: String,
}

/// The fields of a form, however odd.
pub fn form(body: &[u8]) -> Vec<Raw> {
    body.split(|b| *b == b'&')
        .filter(|p| !p.is_empty())
        .map(|pair| {
            let cut = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
            let written = pair.get(cut + 1..).unwrap_or(b"");
            Raw {
                name: String::from_utf8_lossy(&unescape(&pair[..cut])).into_owned(),
                written: String::from_utf8_lossy(written).into_owned(),
                read: unescape(written),
                pair: String::from_utf8_lossy(pair).into_owned(),
            }
        })
        .collect()
}

/// Reads `%XX` and `+`; what is broken stays as it is.
pub fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut i = 0;
    while i < text.len() {
        let hex = |at: usize| text.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (text[i], hex(i + 1), hex(i + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                i += 2;
            }
            (b'+', ..) => out.push(b' '),
            (other, ..) => out.push(other),
        }
        i += 1;
    }
    out
}

/// Text from bytes; those that are not UTF-8 are taken for GBK. Whether they were.
pub fn text_of(bytes: &[u8]) -> (String, bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => {
            let (text, _) = encoding_rs::GBK.decode_without_bom_handling(bytes);
            (Cow::into_owned(text), true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_logger_puts_before_a_request_is_left_out() {
        let left = |text: &str| String::from_utf8(without_log_prefix(text.as_bytes()).to_vec()).unwrap();
        for (line, request) in [
            ("[13:20:01] DEBUG http.c:212 -> appid=1&sign=2", "appid=1&sign=2"),
            ("2026-11-30 09:00:00 send: \"appid=1&sign=2\"", "appid=1&sign=2"),
            ("I/http ( 212): {\"payload\":\"x\"}", "{\"payload\":\"x\"}"),
            ("appid=1&biz_content={\"a\": \"b=c\"}&sign=2", "appid=1&biz_content={\"a\": \"b=c\"}&sign=2"),
            ("{\"a\": {\"b\": 1}}", "{\"a\": {\"b\": 1}}"),
            ("POST /x?a=1&b=2 HTTP/1.1", "POST /x?a=1&b=2 HTTP/1.1"),
            ("https://host/x?a=1&b=2", "https://host/x?a=1&b=2"),
        ] {
            assert_eq!(left(line), request, "{line}");
        }
    }

    #[test]
    fn reads_what_people_save() {
        let m = read(
            b"curl -X POST 'https://h/p' \\\n -H 'Content-Type: application/json' -d '{\"a\":\"b c\"}'\n",
        )
        .unwrap();
        assert_eq!(
            (m.method.as_str(), m.target.as_str(), &m.body[..]),
            ("POST", "https://h/p", &b"{\"a\":\"b c\"}"[..])
        );
        assert_eq!(m.header("content-type"), Some("application/json"));
        let m = read(b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na=1\r\n").unwrap();
        assert_eq!((&m.body[..], m.header("host")), (&b"a=1"[..], Some("h")));
        let m = read(b"a=1&b=2\n").unwrap();
        assert_eq!((m.written, &m.body[..]), (Written::Body, &b"a=1&b=2"[..]));
        let m = read(b"Event-Sign: abc\n\n{\"x\":1}\n").unwrap();
        assert_eq!((m.header("event-sign"), &m.body[..]), (Some("abc"), &b"{\"x\":1}"[..]));
        let m = read(b"https://h/p?a=1\nAuthorization: Basic eA==\n").unwrap();
        assert_eq!((m.query(), m.header("authorization")), ("a=1", Some("Basic eA==")));
        let m = read(b"curl https://h/p --form a=1 -F 'b=\"2\"' -u id:pw").unwrap();
        assert_eq!(m.parts.unwrap(), [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        for broken in [&b""[..], b" \n", b"curl", b"curl 'x", b"curl -d @f https://h/"] {
            assert!(read(broken).is_err(), "{}", String::from_utf8_lossy(broken));
        }
    }

    #[test]
    fn broken_escapes_stay() {
        assert_eq!(unescape(b"a%2"), b"a%2");
        assert_eq!(unescape(b"%zz+%41"), b"%zz A");
        assert_eq!(text_of(&[0xd6, 0xd0]), ("中".into(), true));
    }
}
