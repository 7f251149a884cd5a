//! How the platforms sign, as a recipe that can be followed rightly or wrongly.
//!
//! A reading of the vendors' pages of its own; `sign explain` holds it against what the library really signs.
//!
//! - **Yopoint**: `lower(md5(name=value&…&SECRET))`, every field but `sign`, by name, values as they are. Requests and
//!   callbacks with `app_secret`, payment reports and payment callbacks with `pay_key`.
//! - **Dingshang**: `UPPER(md5(name=value&…&key=SECRET))` over the payload's fields but `sign` and empty ones, by name, with
//!   `app_key`.
//! - **Youzan**: messages only: `lower(md5(client_id + content + client_secret))`; the content is the body as it came (header
//!   `Event-Sign`) or its `msg` as it came (field `sign`).
//! - **Zhiyun**: no signature, but `p_ = (t_ % 10000) * 3 + 2345` and HTTP Basic; see `zhiyun.rs`.

use kiosklink::json::{Json, Kind};
use md5::{Digest as _, Md5};
use unicode_normalization::UnicodeNormalization;

/// In which order the fields stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// By name, byte by byte.
    Sorted,
    /// As they were sent.
    AsSent,
    /// By name, letters of both cases alike.
    IgnoringCase,
    /// By name, from the end.
    Backwards,
    /// By value.
    ByValue,
    /// By this list of places.
    Places(Vec<usize>),
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// `%20`, all but letters, digits and `-_.~`.
    Percent,
    /// The same with `+` for a blank.
    Query,
    /// As `encodeURIComponent` does it.
    Component,
    /// As `encodeURI` does it.
    Uri,
    /// As Java's `URLEncoder` does it.
    Java,
    /// As Python's `quote` does it, which leaves slashes.
    Slashes,
    /// As `Percent`, hex digits in lower case.
    PercentLower,
    /// As `Query`, hex digits in lower case.
    QueryLower,
}

/// Where the secret goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Behind the text and this.
    After(&'static str),
    /// Before the text, with this between.
    Before(&'static str),
    /// At both ends.
    Both,
    /// Nowhere.
    Nowhere,
    /// As a field of this name among the others.
    Field(&'static str),
    /// As the key of an HMAC.
    Hmac,
    /// Behind the text and this, and as the key of an HMAC.
    HmacToo(&'static str),
    /// As the text of an HMAC whose key is the text.
    HmacSwapped,
}

/// Into which bytes the text is turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// As it should.
    Utf8,
    /// GBK.
    Gbk,
    /// UTF-8 bytes taken for Latin-1 letters and written as UTF-8 again.
    Twice,
    /// One byte a letter, `?` for what has none.
    Questions,
    /// UTF-16, little end first.
    Utf16,
}

/// How the bytes are condensed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// MD5.
    Md5,
    /// MD5 over the hex of an MD5.
    Md5Twice,
    /// The same with hex in upper case inside.
    Md5TwiceUpper,
    /// The middle half of an MD5.
    Md5Middle,
    /// MD5 in Base64.
    Md5Base64,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// What is to be done to JSON inside a value; `None` leaves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JsonForm {
    /// Blanks between the parts.
    pub space: Option<Space>,
    /// Whether `/` is written `\/`.
    pub slashes: Option<bool>,
    /// Whether letters outside ASCII are written `\uXXXX`.
    pub unicode: Option<bool>,
    /// Whether keys are sorted.
    pub sorted: bool,
    /// Whether numbers are written as texts, or texts of digits as numbers.
    pub numbers: Option<bool>,
    /// How many digits a number with a point has behind it; 0 for no more than it needs.
    pub decimals: Option<usize>,
    /// The signs that are written like `\u0026`: Gson's are `&=<>'`, Go's `&<>`.
    pub html_safe: Option<&'static str>,
    /// Printed as Python prints a dict.
    pub python: bool,
}

/// Blanks between the parts of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// None.
    Compact,
    /// `{"a": 1, "b": 2}`
    Python,
    /// One part a line, indented by so many.
    Lines(usize),
}

/// What is done to the whole text before it is condensed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// Put behind it.
    Behind(&'static str),
    /// Put before it.
    Before(&'static str),
    /// `&amp;` for `&`.
    Amp,
    /// `&times` and `&not` read as HTML does, `×tamp=`.
    Entities,
    /// In lower case, secret and all.
    Lower,
    /// In upper case, secret and all.
    Upper,
    /// URL-encoded.
    Escaped(Escape),
    /// In another normalization of Unicode.
    Normal(Normal),
    /// `＆` and `＝` for `&` and `=`.
    FullWidth,
}

/// The normalizations of Unicode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normal {
    /// Letters and their marks together.
    Nfc,
    /// Letters and their marks apart.
    Nfd,
    /// Together, and what looks alike is alike.
    Nfkc,
}

/// Of how many bytes the digest is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// As many as there are.
    Right,
    /// Cut after so many.
    Cut(usize),
    /// The text before the secret is cut after so many.
    CutBefore(usize),
    /// Filled up with zeros to this many, as a buffer is.
    Filled(usize),
}

/// Text and sign, as somebody makes them.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The fields, as they were sent.
    pub fields: Vec<(String, String)>,
    /// Whether empty ones are left out.
    pub drop_empty: bool,
    /// Empty ones are written as this.
    pub empty_as: &'static str,
    /// Whether the text `NULL` counts as empty.
    pub order: Order,
    /// Whether values stand in quotes.
    pub quoted: bool,
    /// Whether names stand there.
    pub names: bool,
    /// Whether values stand there.
    pub values: bool,
    /// Between name and value.
    pub equals: &'static str,
    /// Between fields.
    pub between: &'static str,
    /// What is done to JSON in values.
    pub json: JsonForm,
    /// How values are written, one after the other.
    pub escapes: Vec<Escape>,
    /// The secret.
    pub secret: String,
    /// Where it goes.
    pub place: Place,
    /// What is done to the whole text.
    pub whole: Vec<Whole>,
    /// Into which bytes it is turned.
    pub charset: Charset,
    /// How many of them.
    pub length: Length,
    /// How it is condensed.
    pub digest: Digest,
}

impl Recipe {
    /// Yopoint's rule.
    pub fn yopoint(fields: Vec<(String, String)>, secret: &str) -> Recipe {
        Recipe {
            fields,
            drop_empty: false,
            empty_as: "",
            order: Order::Sorted,
            quoted: false,
            names: true,
            values: true,
            equals: "=",
            between: "&",
            json: JsonForm::default(),
            escapes: Vec::new(),
            secret: secret.to_owned(),
            place: Place::After("&"),
            whole: Vec::new(),
            charset: Charset::Utf8,
            length: Length::Right,
            digest: Digest::Md5,
        }
    }

    /// Dingshang's rule; `query` for the newer dialect that URL-encodes values.
    pub fn dingshang(fields: Vec<(String, String)>, secret: &str, query: bool) -> Recipe {
        Recipe {
            drop_empty: true,
            place: Place::After("&key="),
            escapes: if query { vec![Escape::Query] } else { Vec::new() },
            ..Recipe::yopoint(fields, secret)
        }
    }

    /// Youzan's rule.
    pub fn youzan(client_id: &str, content: &str, secret: &str) -> Recipe {
        let fields = vec![("client_id".into(), client_id.to_owned()), ("content".into(), content.to_owned())];
        Recipe {
            order: Order::AsSent,
            names: false,
            equals: "",
            between: "",
            place: Place::After(""),
            ..Recipe::yopoint(fields, secret)
        }
    }

    /// The text, with something else in the secret's place.
    pub fn text(&self, secret: &str) -> String {
        let empty = |v: &str| v.is_empty() || (self.drop_empty && v == "NULL");
        let mut fields: Vec<(&str, String)> = self
            .fields
            .iter()
            .filter(|(_, v)| !self.drop_empty || !empty(v))
            .map(|(n, v)| {
                let mut value = if v.is_empty() { self.empty_as.to_owned() } else { v.clone() };
                if self.json != JsonForm::default() {
                    value = reformed(&value, &self.json);
                }
                for escape in &self.escapes {
                    value = escaped(&value, *escape);
                }
                if self.quoted {
                    value = format!("\"{value}\"");
                }
                (n.as_str(), value)
            })
            .collect();
        if let Place::Field(name) = self.place {
            fields.push((name, secret.to_owned()));
        }
        match &self.order {
            Order::Sorted => fields.sort_by(|a, b| a.0.cmp(b.0)),
            Order::AsSent => {}
            Order::IgnoringCase => fields.sort_by_key(|f| f.0.to_lowercase()),
            Order::Backwards => fields.sort_by(|a, b| b.0.cmp(a.0)),
            Order::ByValue => fields.sort_by(|a, b| a.1.cmp(&b.1)),
            Order::Places(places) => {
                fields.sort_by(|a, b| a.0.cmp(b.0));
                let sorted = fields.clone();
                let listed: Vec<_> = places.iter().filter_map(|p| sorted.get(*p).cloned()).collect();
                if listed.len() == sorted.len() {
                    fields = listed;
                }
            }
        }
        let parts: Vec<String> = fields
            .iter()
            .map(|(n, v)| {
                [
                    if self.names { n } else { "" },
                    if self.names { self.equals } else { "" },
                    if self.values { v } else { "" },
                ]
                .concat()
            })
            .collect();
        let mut text = parts.join(self.between);
        if let Length::CutBefore(most) = self.length {
            let most = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(most);
        }
        text = match self.place {
            Place::After(between) => [&text, between, secret].concat(),
            Place::HmacToo(between) => [&text, between, secret].concat(),
            Place::Before(between) => [secret, between, &text].concat(),
            Place::Both => [secret, &text, secret].concat(),
            Place::Nowhere | Place::Field(_) | Place::Hmac | Place::HmacSwapped => text,
        };
        for change in &self.whole {
            text = match change {
                Whole::Behind(more) => [&text, *more].concat(),
                Whole::Before(more) => [*more, &text].concat(),
                Whole::Amp => text.replace('&', "&amp;"),
                Whole::Entities => text.replace("&times", "×").replace("&not", "¬"),
                Whole::Lower => text.to_lowercase(),
                Whole::Upper => text.to_uppercase(),
                Whole::Escaped(escape) => escaped(&text, *escape),
                Whole::Normal(Normal::Nfc) => text.nfc().collect(),
                Whole::Normal(Normal::Nfd) => text.nfd().collect(),
                Whole::Normal(Normal::Nfkc) => text.nfkc().collect(),
                Whole::FullWidth => text.replace('&', "＆").replace('=', "＝"),
            };
        }
        text
    }

    /// The bytes that are condensed.
    pub fn bytes(&self) -> Vec<u8> {
        let text = self.text(&self.secret);
        let mut bytes = match self.charset {
            Charset::Utf8 => text.into_bytes(),
            Charset::Gbk => encoding_rs::GBK.encode(&text).0.into_owned(),
            Charset::Twice => text.bytes().map(char::from).collect::<String>().into_bytes(),
            Charset::Questions => text.chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' }).collect(),
            Charset::Utf16 => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        };
        match self.length {
            Length::Cut(most) => bytes.truncate(most),
            Length::Filled(size) if bytes.len() < size => bytes.resize(size, 0),
            _ => {}
        }
        bytes
    }

    /// The sign, hex in lower case.
    pub fn sign(&self) -> String {
        let bytes = self.bytes();
        match self.place {
            Place::Hmac | Place::HmacToo(_) => return hmac(self.digest, self.secret.as_bytes(), &bytes),
            Place::HmacSwapped => return hmac(self.digest, &bytes, self.secret.as_bytes()),
            _ => {}
        }
        match self.digest {
            Digest::Md5 => hex(&Md5::digest(&bytes)),
            Digest::Md5Twice => hex(&Md5::digest(hex(&Md5::digest(&bytes)))),
            Digest::Md5TwiceUpper => hex(&Md5::digest(hex(&Md5::digest(&bytes)).to_uppercase())),
            Digest::Md5Middle => hex(&Md5::digest(&bytes))[8..24].to_owned(),
            Digest::Md5Base64 => {
                use base64::Engine;
                base64::engine::general_purpose::STANDARD.encode(Md5::digest(&bytes))
            }
            Digest::Sha1 => hex(&sha::sha1(&bytes)),
            Digest::Sha256 => hex(&sha::sha256(&bytes)),
        }
    }
}

/// Bytes as hex in lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn hmac(digest: Digest, key: &[u8], text: &[u8]) -> String {
    let sum = |parts: &[&[u8]]| -> Vec<u8> {
        let all = parts.concat();
        match digest {
            Digest::Sha1 => sha::sha1(&all).to_vec(),
            Digest::Sha256 => sha::sha256(&all).to_vec(),
            _ => Md5::digest(&all).to_vec(),
        }
    };
    let mut block = if key.len() > 64 { sum(&[key]) } else { key.to_vec() };
    block.resize(64, 0);
    let (inner, outer): (Vec<u8>, Vec<u8>) = block.iter().map(|b| (b ^ 0x36, b ^ 0x5c)).unzip();
    hex(&sum(&[&outer, &sum(&[&inner, text])]))
}

/// The digests that somebody takes for MD5. Only to recognise them.
mod sha {
    fn blocks(text: &[u8]) -> Vec<u8> {
        let mut all = text.to_vec();
        all.push(0x80);
        while all.len() % 64 != 56 {
            all.push(0);
        }
        all.extend((text.len() as u64 * 8).to_be_bytes());
        all
    }

    fn words(block: &[u8]) -> impl Iterator<Item = u32> {
        block.chunks_exact(4).map(|w| u32::from_be_bytes([w[0], w[1], w[2], w[3]]))
    }

    pub fn sha1(text: &[u8]) -> [u8; 20] {
        let mut h = [0x67452301u32, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
        for block in blocks(text).chunks_exact(64) {
            let mut w: Vec<u32> = words(block).collect();
            for i in 16..80 {
                w.push((w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]).rotate_left(1));
            }
            let [mut a, mut b, mut c, mut d, mut e] = h;
            for (i, w) in w.iter().enumerate() {
                let (f, k) = match i / 20 {
                    0 => ((b & c) | (!b & d), 0x5a827999),
                    1 => (b ^ c ^ d, 0x6ed9eba1),
                    2 => ((b & c) | (b & d) | (c & d), 0x8f1bbcdc),
                    _ => (b ^ c ^ d, 0xca62c1d6u32),
                };
                let t = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*w);
                (e, d, c, b, a) = (d, c, b.rotate_left(30), a, t);
            }
            for (h, v) in h.iter_mut().zip([a, b, c, d, e]) {
                *h = h.wrapping_add(v);
            }
        }
        let mut out = [0; 20];
        out.chunks_exact_mut(4).zip(h).for_each(|(o, h)| o.copy_from_slice(&h.to_be_bytes()));
        out
    }

    /// The first 32 bits of the fractions of the roots of the first primes.
    fn fractions(root: u32, count: usize) -> Vec<u32> {
        let mut all = Vec::with_capacity(count);
        let mut n = 2u128;
        while all.len() < count {
            if (2..n).take_while(|d| d * d <= n).all(|d| n % d != 0) {
                // The root of n * 2^(32 * root), whole: its low 32 bits are the fraction's.
                let target = n << (32 * root);
                let (mut low, mut high) = (0u128, 1u128 << 40);
                while high - low > 1 {
                    let middle = (low + high) / 2;
                    if middle.pow(root) <= target { low = middle } else { high = middle }
                }
                all.push(low as u32);
            }
            n += 1;
        }
        all
    }

    pub fn sha256(text: &[u8]) -> [u8; 32] {
        let k = fractions(3, 64);
        let mut h = fractions(2, 8);
        for block in blocks(text).chunks_exact(64) {
            let mut w: Vec<u32> = words(block).collect();
            for i in 16..64 {
                let a = w[i - 15].rotate_right(7) ^ w[i - 15].rotate_right(18) ^ (w[i - 15] >> 3);
                let b = w[i - 2].rotate_right(17) ^ w[i - 2].rotate_right(19) ^ (w[i - 2] >> 10);
                w.push(w[i - 16].wrapping_add(a).wrapping_add(w[i - 7]).wrapping_add(b));
            }
            let mut v = h.clone();
            for i in 0..64 {
                let s1 = v[4].rotate_right(6) ^ v[4].rotate_right(11) ^ v[4].rotate_right(25);
                let ch = (v[4] & v[5]) ^ (!v[4] & v[6]);
                let t1 = v[7].wrapping_add(s1).wrapping_add(ch).wrapping_add(k[i]).wrapping_add(w[i]);
                let s0 = v[0].rotate_right(2) ^ v[0].rotate_right(13) ^ v[0].rotate_right(22);
                let maj = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
                v.rotate_right(1);
                v[4] = v[4].wrapping_add(t1);
                v[0] = t1.wrapping_add(s0.wrapping_add(maj));
            }
            for (h, v) in h.iter_mut().zip(v) {
                *h = h.wrapping_add(v);
            }
        }
        let mut out = [0; 32];
        out.chunks_exact_mut(4).zip(h).for_each(|(o, h)| o.copy_from_slice(&h.to_be_bytes()));
        out
    }

    #[cfg(test)]
    mod tests {
        use super::super::hex;

        #[test]
        fn published_vectors() {
            assert_eq!(hex(&super::sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
            assert_eq!(
                hex(&super::sha256(b"abc")),
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
            );
        }
    }
}

/// All but letters, digits and `-_.~` as `%XX`.
pub fn percent(text: &str) -> String {
    escaped(text, Escape::Percent)
}

/// A text, URL-encoded in one of the ways there are.
pub fn escaped(text: &str, how: Escape) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let stays = byte.is_ascii_alphanumeric()
            || match how {
                Escape::Percent | Escape::Query | Escape::PercentLower | Escape::QueryLower => {
                    b"-_.~".contains(&byte)
                }
                Escape::Component => b"-_.~!'()*".contains(&byte),
                Escape::Uri => b"-_.~!'()*;/?:@&=+$,#".contains(&byte),
                Escape::Java => b"-_.*".contains(&byte),
                Escape::Slashes => b"-_.~/".contains(&byte),
            };
        let plus = matches!(how, Escape::Query | Escape::QueryLower | Escape::Java);
        if stays {
            out.push(byte as char);
        } else if byte == b' ' && plus {
            out.push('+');
        } else if matches!(how, Escape::PercentLower | Escape::QueryLower) {
            out.push_str(&format!("%{byte:02x}"));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// How JSON is written, as far as it can be told.
fn style(text: &str) -> JsonForm {
    let mut outside = String::new();
    let (mut inside, mut escaped) = (false, false);
    for c in text.chars() {
        if inside {
            (inside, escaped) = (escaped || c != '"', !escaped && c == '\\');
        } else {
            inside = c == '"';
            outside.push(c);
        }
    }
    let space = match outside.split_once('\n') {
        Some((_, rest)) => Space::Lines(rest.len() - rest.trim_start_matches(' ').len()),
        None if outside.contains(' ') => Space::Python,
        None => Space::Compact,
    };
    JsonForm {
        space: Some(space),
        slashes: Some(text.contains("\\/")),
        unicode: Some(text.contains("\\u")),
        ..JsonForm::default()
    }
}

/// JSON written in another way; what is no object or array stays as it is.
pub fn reformed(text: &str, form: &JsonForm) -> String {
    let Ok(json) = Json::parse(text.as_bytes()) else { return text.to_owned() };
    if !matches!(json.kind(), Kind::Object | Kind::Array) {
        return text.to_owned();
    }
    let own = style(text);
    let form = JsonForm {
        space: form.space.or(own.space),
        slashes: form.slashes.or(own.slashes),
        unicode: form.unicode.or(own.unicode),
        ..*form
    };
    let mut out = String::new();
    if form.python {
        write_python(&mut out, json);
        return out;
    }
    write_json(&mut out, json, &form, 0);
    // These stand in texts only.
    let safe = form.html_safe.unwrap_or("");
    safe.chars().fold(out, |all, c| all.replace(c, &format!("\\u{:04x}", c as u32)))
}

/// As Python prints a dict, a list and what is in them.
fn write_python(out: &mut String, json: Json<'_>) {
    let text = |out: &mut String, text: &str| {
        let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
        out.push(quote);
        for c in text.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                c if c == quote => out.extend(['\\', c]),
                c => out.push(c),
            }
        }
        out.push(quote);
    };
    match json.kind() {
        Kind::Object => {
            out.push('{');
            for (i, (name, value)) in json.object().iter().flat_map(|o| o.fields()).enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                text(out, name);
                out.push_str(": ");
                write_python(out, *value);
            }
            out.push('}');
        }
        Kind::Array => {
            out.push('[');
            for (i, value) in json.array().unwrap_or_default().iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                write_python(out, *value);
            }
            out.push(']');
        }
        Kind::String => text(out, &json.string().unwrap_or_default()),
        _ => out.push_str(match json.text() {
            "true" => "True",
            "false" => "False",
            "null" => "None",
            other => other,
        }),
    }
}

/// A number with a point, with so many digits behind it.
fn decimal(number: &str, digits: usize) -> Option<String> {
    let (whole, rest) = number.split_once('.')?;
    if !rest.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let rest = rest.trim_end_matches('0');
    Some(match digits {
        0 if rest.is_empty() => whole.to_owned(),
        0 => format!("{whole}.{rest}"),
        n if rest.len() <= n => format!("{whole}.{rest:0<n$}"),
        _ => return None,
    })
}

fn write_json(out: &mut String, json: Json<'_>, form: &JsonForm, depth: usize) {
    let space = form.space.unwrap_or(Space::Compact);
    let line = |out: &mut String, depth: usize| {
        if let Space::Lines(width) = space {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', width * depth));
        }
    };
    let comma = |out: &mut String, first: bool| {
        if !first {
            out.push_str(if space == Space::Python { ", " } else { "," });
        }
        line(out, depth + 1);
    };
    match json.kind() {
        Kind::Object => {
            let Ok(object) = json.object() else { return out.push_str(json.text()) };
            let mut fields: Vec<_> = object.fields().iter().collect();
            if form.sorted {
                fields.sort_by(|a, b| a.0.cmp(&b.0));
            }
            out.push('{');
            for (i, (name, value)) in fields.iter().enumerate() {
                comma(out, i == 0);
                write_text(out, name, form);
                out.push_str(if space == Space::Compact { ":" } else { ": " });
                write_json(out, *value, form, depth + 1);
            }
            if !fields.is_empty() {
                line(out, depth);
            }
            out.push('}');
        }
        Kind::Array => {
            let Ok(items) = json.array() else { return out.push_str(json.text()) };
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                comma(out, i == 0);
                write_json(out, *item, form, depth + 1);
            }
            if !items.is_empty() {
                line(out, depth);
            }
            out.push(']');
        }
        Kind::String => match json.string() {
            Ok(text) if form.numbers == Some(true) && text.parse::<i64>().is_ok() => out.push_str(&text),
            Ok(text) => write_text(out, &text, form),
            Err(_) => out.push_str(json.text()),
        },
        Kind::Number if form.numbers == Some(false) => {
            out.push('"');
            out.push_str(json.text());
            out.push('"');
        }
        Kind::Number => {
            let other = form.decimals.and_then(|digits| decimal(json.text(), digits));
            out.push_str(other.as_deref().unwrap_or(json.text()));
        }
        _ => out.push_str(json.text()),
    }
}

fn write_text(out: &mut String, text: &str, form: &JsonForm) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '/' if form.slashes == Some(true) => out.push_str("\\/"),
            c if (c as u32) < 0x20 || (!c.is_ascii() && form.unicode == Some(true)) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<(String, String)> {
        text.split('&').filter_map(|p| p.split_once('=')).map(|(n, v)| (n.into(), v.into())).collect()
    }

    #[test]
    fn published_and_synthetic_vectors() {
        let y = Recipe::yopoint(
            fields(
                "method=cabinet.list&version=1.0.0&appid=100000000001&biz_content={\"Page\":1,\"PageSize\":5}&sign_type=md5&timestamp=1700000000",
            ),
            "test-secret",
        );
        assert_eq!(y.sign(), "e8acd748960cb6a9d910dad993569f20");
        let d = fields(
            "code_length=7&count=2&expired_at=2024-12-31 23:59:59&machine_no=16327129&method=pickup_code.product.id&product_id=1323442&quantity=1&timestamp=1714185061&none=",
        );
        assert_eq!(Recipe::dingshang(d.clone(), "kva", false).sign(), "6c73e1ee2b92089a61dc721e72bb3139");
        assert_eq!(Recipe::dingshang(d, "kva", true).sign(), "ec3a37011ca425231a875310c2158f60");
    }

    #[test]
    fn json_is_written_in_every_way() {
        let text = r#"{"b":1,"a":["中","x/y"],"c":{}}"#;
        let with = |form| reformed(text, &form);
        let none = JsonForm::default();
        assert_eq!(with(none), text);
        assert_eq!(
            with(JsonForm { space: Some(Space::Python), ..none }),
            r#"{"b": 1, "a": ["中", "x/y"], "c": {}}"#
        );
        assert_eq!(
            with(JsonForm { slashes: Some(true), unicode: Some(true), ..none }),
            r#"{"b":1,"a":["\u4e2d","x\/y"],"c":{}}"#
        );
        assert_eq!(with(JsonForm { sorted: true, ..none }), r#"{"a":["中","x/y"],"b":1,"c":{}}"#);
        assert_eq!(
            reformed("{\"a\":[1]}", &JsonForm { space: Some(Space::Lines(2)), ..none }),
            "{\n  \"a\": [\n    1\n  ]\n}"
        );
        assert_eq!(reformed("12", &JsonForm { space: Some(Space::Python), ..none }), "12");
    }

    #[test]
    fn hmac_of_rfc_2202() {
        assert_eq!(hmac(Digest::Md5, &[0x0b; 16], b"Hi There"), "9294727a3638bb1c13f48ef8158bfc9d");
    }
}
