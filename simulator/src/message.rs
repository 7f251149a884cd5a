//! What travels between the HTTP server and the platforms: a request in, a reply out.

use serde_json::Value;

/// A request as it came off the wire.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The HTTP method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, without its question mark.
    pub query: String,
    /// The header fields in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Its number in the request log.
    pub number: u64,
    /// The number of the connection.
    pub connection: u64,
    /// It came over TLS.
    pub tls: bool,
    /// How many bytes it has, head and body.
    pub size: usize,
}

impl Request {
    /// The first header field of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The media type of the body, in lower case and without parameters.
    pub fn content_type(&self) -> String {
        let full = self.header("content-type").unwrap_or_default();
        full.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}

/// How the end of the body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By `Content-Length`, which is off by the given number of bytes.
    Length(i64),
    /// By chunks of this size.
    Chunked(usize),
    /// By the end of the connection.
    UntilClose,
}

/// What the `Date` header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateHeader {
    /// The platforms' time, off by this many milliseconds.
    Now(i64),
    /// There is none.
    Absent,
}

/// What becomes of the connection after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// What both sides agreed.
    Agreed,
    /// It is closed after so many milliseconds, without a warning in the answer.
    Close(u64),
    /// It is reset.
    Reset,
    /// It stays open, mute, for so many milliseconds.
    Hold(u64),
}

/// How much of the answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Portion {
    /// All of it.
    All,
    /// None of it.
    Nothing,
    /// So many hundredths of all bytes, head included.
    Percent(u64),
    /// All of it, twice.
    Twice,
}

impl Portion {
    /// For the log: whether the caller got an answer.
    pub fn word(self) -> &'static str {
        match self {
            Portion::All | Portion::Twice => "whole",
            Portion::Nothing | Portion::Percent(0) => "nothing",
            Portion::Percent(_) => "part",
        }
    }
}

/// An answer, and everything that may be done to it on its way out.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Header fields beside those the server makes.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How its end is told.
    pub framing: Framing,
    /// The `Date` header.
    pub date: DateHeader,
    /// How much is sent.
    pub portion: Portion,
    /// Bytes a time and milliseconds between, when it drips.
    pub drip: Option<(usize, u64)>,
    /// How long the answer waits before its first byte.
    pub delay_ms: u64,
    /// What becomes of the connection.
    pub ending: Ending,
    /// A certificate for so many handshakes to come.
    pub spoils: Option<(String, u64)>,
    /// Interim answers before this one: status and header fields.
    pub interim: Vec<(u16, Vec<(String, String)>)>,
    /// The connection is closed when it has been idle for so many milliseconds after this answer.
    pub idle_ms: Option<u64>,
}

impl Reply {
    /// An answer with a body of some type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".into(), content_type.into())],
            body: body.into(),
            framing: Framing::Length(0),
            date: DateHeader::Now(0),
            portion: Portion::All,
            drip: None,
            delay_ms: 0,
            ending: Ending::Agreed,
            spoils: None,
            interim: Vec::new(),
            idle_ms: None,
        }
    }

    /// An answer in JSON.
    pub fn json(status: u16, value: &Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", render_json(value))
    }

    /// Replaces the body and its type.
    pub fn set_body(&mut self, content_type: &str, body: impl Into<Vec<u8>>) {
        self.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        self.headers.push(("Content-Type".into(), content_type.into()));
        self.body = body.into();
    }
}

/// The end of a key that is to be written without it. A JSON object of ours cannot hold a key twice; with
/// this the text can.
pub const TWIN: &str = "\u{0}twin";

/// The beginning of a text whose rest is to be written as it is, without quotes: JSON that a value of ours
/// cannot hold, such as half a character or a number in another spelling.
pub const RAW: &str = "\u{0}raw:";

/// JSON text; keys that end in [`TWIN`] lose that end and so may occur twice, texts that begin with [`RAW`] are
/// written as they are.
pub fn render_json(value: &Value) -> String {
    let text = value.to_string();
    if !text.contains("\\u0000") {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    write_marked(value, &mut out);
    out
}

fn write_marked(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            out.push('{');
            for (i, (key, member)) in members.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.strip_suffix(TWIN).unwrap_or(key)).to_string());
                out.push(':');
                write_marked(member, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_marked(item, out);
            }
            out.push(']');
        }
        Value::String(text) if text.starts_with(RAW) => out.push_str(&text[RAW.len()..]),
        plain => out.push_str(&plain.to_string()),
    }
}

/// Lays `patch` over `base`: objects member by member (null removes), everything else whole.
pub fn merge(base: &mut Value, patch: &Value) {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    base.shift_remove(key);
                } else {
                    merge(base.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (base, patch) => *base = patch.clone(),
    }
}

/// Lays a patch over settings of any kind; unknown names are refused with a list of the known ones.
pub fn patch_settings<T>(settings: &mut T, patch: &Value) -> Result<(), String>
where
    T: serde::Serialize + serde::de::DeserializeOwned,
{
    let mut whole = serde_json::to_value(&*settings).map_err(|e| e.to_string())?;
    // Null is a value here ("never"), so members are laid over one by one and not removed.
    let members = patch.as_object().ok_or("the body must be a JSON object")?;
    for (key, value) in members {
        match whole.get_mut(key) {
            Some(old @ Value::Object(_)) if value.is_object() => merge(old, value),
            _ => whole[key] = value.clone(),
        }
    }
    *settings = serde_json::from_value(whole).map_err(|e| e.to_string())?;
    Ok(())
}

/// Lays list members over those with the same key, as [`patch_settings`] does; new ones come last.
pub fn lay_over<T>(list: &mut Vec<T>, patches: &Value, key: &str) -> Result<(), String>
where
    T: serde::Serialize + serde::de::DeserializeOwned,
{
    lay_over_by(list, patches, key, |old, patch| {
        let Some(old) = old else { return serde_json::from_value(patch.clone()).map_err(|e| e.to_string()) };
        let mut whole = serde_json::to_value(old).map_err(|e| e.to_string())?;
        patch_settings(&mut whole, patch)?;
        serde_json::from_value(whole).map_err(|e| e.to_string())
    })
}

/// Makes each patch a member of the list, out of the one with the same key if there is one; new ones come last. Each of both
/// lists is looked at once.
pub fn lay_over_by<T: serde::Serialize>(
    list: &mut Vec<T>,
    patches: &Value,
    key: &str,
    make: impl Fn(Option<&T>, &Value) -> Result<T, String>,
) -> Result<(), String> {
    let patches = patches.as_array().ok_or_else(|| format!("members with a {key:?} come in a list"))?;
    let name = |member: &Value| member.get(key).filter(|name| !name.is_null()).map(Value::to_string);
    let mut places = std::collections::HashMap::new();
    for (place, old) in list.iter().enumerate() {
        let whole = serde_json::to_value(old).map_err(|e| e.to_string())?;
        // Of two with one key the first is meant.
        name(&whole).map(|name| *places.entry(name).or_insert(place));
    }
    for patch in patches {
        let name = name(patch).ok_or_else(|| format!("each member needs a {key:?}"))?;
        match places.get(&name).and_then(|place| list.get_mut(*place)) {
            Some(old) => *old = make(Some(old), patch)?,
            None => {
                places.insert(name, list.len());
                list.push(make(None, patch)?);
            }
        }
    }
    Ok(())
}

/// Undoes percent encoding and `+` as the form encoding means it.
pub fn form_decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = |i: usize| tail.get(i).and_then(|b| (*b as char).to_digit(16));
        match (byte, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                rest = &tail[2..];
                continue;
            }
            (b'+', ..) => out.push(b' '),
            (other, ..) => out.push(other),
        }
        rest = tail;
    }
    out
}

/// Percent encoding for a form, with `+` for a blank.
pub fn form_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => out.push(byte as char),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The fields of a form, in order, percent encoding undone.
pub fn parse_form(body: &[u8]) -> Result<Vec<(String, String)>, String> {
    let mut fields = Vec::new();
    for pair in body.split(|b| *b == b'&').filter(|p| !p.is_empty()) {
        let mut halves = pair.splitn(2, |b| *b == b'=');
        let mut half = || String::from_utf8(form_decode(halves.next().unwrap_or_default()));
        let (name, value) = (half(), half());
        match (name, value) {
            (Ok(name), Ok(value)) => fields.push((name, value)),
            _ => return Err("the form is not UTF-8".into()),
        }
    }
    Ok(fields)
}

/// The fields of a `multipart/form-data` body, in order.
pub fn parse_multipart(content_type: &str, body: &[u8]) -> Result<Vec<(String, String)>, String> {
    let boundary = content_type
        .split(';')
        .filter_map(|part| part.trim().strip_prefix("boundary="))
        .next()
        .ok_or("multipart without a boundary")?;
    let delimiter = format!("--{}", boundary.trim_matches('"'));
    let text = std::str::from_utf8(body).map_err(|_| "the multipart body is not UTF-8")?;
    let mut fields = Vec::new();
    for part in text.split(&delimiter).skip(1) {
        if part.starts_with("--") {
            return Ok(fields);
        }
        let part = part.strip_prefix("\r\n").ok_or("a multipart boundary without a line end")?;
        let (head, value) = part.split_once("\r\n\r\n").ok_or("a multipart part without a head")?;
        let name = head
            .split("\r\n")
            .filter(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))
            .flat_map(|line| line.split(';'))
            .find_map(|item| item.trim().strip_prefix("name="))
            .ok_or("a multipart part without a name")?;
        let value = value.strip_suffix("\r\n").ok_or("a multipart part without an end")?;
        fields.push((name.trim_matches('"').to_owned(), value.to_owned()));
    }
    Err("the multipart body has no end".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn forms_and_multipart() {
        let fields = parse_form(b"a=1&b=%7B%22x%22%3A1%7D&c=x+y&d=").expect("a form");
        assert_eq!(fields[1], ("b".into(), "{\"x\":1}".into()));
        assert_eq!(fields[2].1, "x y");
        assert_eq!(fields[3].1, "");
        assert_eq!(form_encode("{\"a\":\"柜 1\"}"), "%7B%22a%22%3A%22%E6%9F%9C+1%22%7D");
        let body = b"--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{\"x\":1}\r\n--B--\r\n";
        let parts = parse_multipart("multipart/form-data; boundary=B", body).expect("parts");
        assert_eq!(parts, [("a".to_owned(), "{\"x\":1}".to_owned())]);
        assert!(parse_multipart("multipart/form-data; boundary=B", &body[..40]).is_err());
    }

    #[test]
    fn twins_are_written_twice() {
        let value = json!({"DoorStatus": 1, "DoorStatus\u{0}twin": 0});
        assert_eq!(render_json(&value), "{\"DoorStatus\":1,\"DoorStatus\":0}");
    }

    #[test]
    fn raw_texts_are_written_as_they_are() {
        let value = json!({"Name": format!("{RAW}\"a\\ud83d\""), "Price": [format!("{RAW}4.5E+2"), "x"]});
        assert_eq!(render_json(&value), r#"{"Name":"a\ud83d","Price":[4.5E+2,"x"]}"#);
    }

    #[test]
    fn merging() {
        let mut base = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        merge(&mut base, &json!({"a": {"b": null, "e": 3}, "d": [2, 3]}));
        assert_eq!(base, json!({"a": {"c": 2, "e": 3}, "d": [2, 3]}));
    }
}
