//! The payload: Base64 of JSON, signed with the merchant key over its sorted fields.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::state::{mask, mask_all};

/// The fields of a payload as texts, `sign` among them.
pub type Fields = BTreeMap<String, String>;

/// How values are written into the text that is signed. The vendor's own libraries disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// As they are.
    Raw,
    /// As in a query, with `+` for a blank.
    Query,
    /// Either.
    Any,
}

/// The spellings of a value that some library of the vendor's signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    Raw,
    Query,
    Component,
    UriTwice,
}

fn escape(text: &str, kept: &[u8], blank: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        match byte {
            b' ' => out.push_str(blank),
            _ if byte.is_ascii_alphanumeric() || kept.contains(&byte) => out.push(byte as char),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

impl Spelling {
    fn write(self, value: &str) -> String {
        let uri = |text: &str| escape(text, b"-_.!~*'();,/?:@&=+$#", "%20");
        match self {
            Self::Raw => value.to_owned(),
            Self::Query => escape(value, b"-_.~", "+"),
            Self::Component => escape(value, b"-_.!~*'()", "%20"),
            Self::UriTwice => uri(&uri(value)),
        }
    }
}

/// The fields of a payload's text, or why it does not read.
pub fn decode(text: &str, strict_strings: bool) -> Result<Fields, String> {
    let bytes = STANDARD.decode(text).map_err(|e| format!("the payload is not Base64: {e}"))?;
    let body: Value = serde_json::from_slice(&bytes).map_err(|e| format!("the payload is not JSON: {e}"))?;
    let members = body.as_object().ok_or("the payload is not a JSON object")?;
    let mut fields = Fields::new();
    for (name, value) in members {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other if strict_strings => return Err(format!("{name} must be a string, not {other}")),
            other => other.to_string(),
        };
        fields.insert(name.clone(), text);
    }
    Ok(fields)
}

fn joined(fields: &Fields, spelling: Spelling, keep: impl Fn(&str, &str) -> bool) -> String {
    let signed = fields.iter().filter(|(name, value)| *name != "sign" && keep(name, value));
    let pairs: Vec<_> = signed.map(|(name, value)| format!("{name}={}", spelling.write(value))).collect();
    pairs.join("&")
}

fn not_empty(_: &str, value: &str) -> bool {
    !value.is_empty() && value != "NULL"
}

fn md5_upper(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().fold(String::with_capacity(32), |mut hex, byte| {
        let _ = write!(hex, "{byte:02X}");
        hex
    })
}

/// The signature over fields, values as they are or as in a query.
pub fn sign(fields: &Fields, query: bool, key: &str) -> String {
    let spelling = if query { Spelling::Query } else { Spelling::Raw };
    md5_upper(&format!("{}&key={key}", joined(fields, spelling, not_empty)))
}

/// Whether the signature is right, and the part of the request log that says so.
pub fn check(fields: &Fields, encoding: Encoding, key: &str, others: &[(&str, &str)]) -> (bool, Value) {
    let given = fields.get("sign").cloned().unwrap_or_default();
    let (raw, query) = (sign(fields, false, key), sign(fields, true, key));
    let ok = match encoding {
        Encoding::Raw => given == raw,
        Encoding::Query => given == query,
        Encoding::Any => given == raw || given == query,
    };
    let spelling = if encoding == Encoding::Query { Spelling::Query } else { Spelling::Raw };
    let base = joined(fields, spelling, not_empty);
    let (differs, signed) =
        if ok { ("nothing".to_owned(), None) } else { diagnose(fields, spelling, &given, key, others) };
    let shown = json!({
        "ok": ok, "given": given,
        "expected": if spelling == Spelling::Query { query } else { raw },
        "base": format!("{}&key=[secret]", mask(&base, key)), "differs": differs,
        "signed": signed.map(|text| mask_all(&text, key, others)),
    });
    (ok, shown)
}

/// Why a signature is wrong, and the text that it was made from, if one of the known mistakes explains it. They
/// are tried one after the other.
fn diagnose(
    fields: &Fields,
    spelling: Spelling,
    given: &str,
    key: &str,
    others: &[(&str, &str)],
) -> (String, Option<String>) {
    let base = joined(fields, spelling, not_empty);
    let is = |text: &str| given.eq_ignore_ascii_case(&md5_upper(text));
    let unexplained = |what: &str| (what.to_owned(), None);
    let explained = |what: &str, signed: String| (what.to_owned(), Some(signed));
    if given.is_empty() {
        return unexplained("there is no sign");
    }
    if is(&format!("{base}&key={key}")) {
        return unexplained("the sign is in lower case; it must be upper case");
    }
    if given.len() != 32 || !given.bytes().all(|b| b.is_ascii_hexdigit()) {
        return unexplained("the sign is not 32 hexadecimal digits");
    }
    for (what, other) in others {
        let text = format!("{base}&key={other}");
        if is(&text) {
            return explained(&format!("it is signed with {what}; the merchant key is another value"), text);
        }
    }
    for (other, what) in [
        (Spelling::Raw, "the values are signed raw; they must be encoded as in a query"),
        (Spelling::Query, "the values are signed as in a query (blank as +); sign them raw"),
        (Spelling::Component, "the values are signed with encodeURIComponent"),
        (Spelling::UriTwice, "the values are signed with encodeURI, twice"),
    ] {
        let text = format!("{}&key={key}", joined(fields, other, not_empty));
        if other != spelling && is(&text) {
            return explained(what, text);
        }
    }
    let everything = joined(fields, spelling, |_, _| true);
    let no_zeros = joined(fields, spelling, |name, value| not_empty(name, value) && value != "0");
    for (text, what) in [
        (format!("{everything}&key={key}"), "empty values are signed; they must be left out"),
        (format!("{no_zeros}&key={key}"), "zeros are left out; only empty values are"),
        (format!("{base}&{key}"), "\"key=\" is missing before the key"),
        (format!("{base}{key}"), "\"&key=\" is missing before the key"),
        (base.clone(), "the key is missing"),
    ] {
        if is(&text) {
            return explained(what, text);
        }
    }
    for name in fields.keys() {
        let without = joined(fields, spelling, |n, value| n != name && not_empty(n, value));
        let text = format!("{without}&key={key}");
        if is(&text) {
            return explained(&format!("{name} is not signed"), text);
        }
    }
    unexplained("no known mistake fits: compare the text that was signed with the expected one, and the key")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        text.split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect()
    }

    const V1: &str = "code_length=7&count=2&expired_at=2024-12-31 23:59:59&machine_no=16327129\
        &method=pickup_code.product.id&product_id=1323442&quantity=1&timestamp=1714185061";

    #[test]
    fn vectors_of_the_notes() {
        let all = "timestamp=1714185061&machine_no=16327129&method=";
        let expiry = "&expired_at=2024-12-31 23:59:59&quantity=1&code_length=7";
        for (text, want) in [
            (V1.to_owned(), "6C73E1EE2B92089A61DC721E72BB3139"),
            (
                "machine_no=16327129&method=device.delivery.put&order_id=60&record_id=78&timestamp=1714373688"
                    .into(),
                "2457E8CE3CB49D31EC2054365FC8AD90",
            ),
            (
                "machine_no=16327129&status=2&timestamp=1714128358".into(),
                "9C84FD1CE2C76849E7778ACF2C50FFF0",
            ),
            (
                "category_id=1&machine_no=8668380625375492&page=1&per_page=10&timestamp=1713255411".into(),
                "219C16BDF42D3668FF5B85A30FE97F54",
            ),
            (
                "machine_no=8668380625375492&timestamp=1713251726".into(),
                "7BBE34F94D97B8C0F2A259CB0061739B",
            ),
            (all.to_owned(), "612987E447589DCA2027BE7EA4372A8C"),
            (format!("{all}pickup_code.product.all{expiry}"), "B4DD70F4E0367BBF59071565B10C4FE5"),
            (format!("{all}pickup_code.delete.id&id=1122223"), "4BAED5FEE55ADE3E3D5B3E88FA9E05A8"),
            (format!("{all}pickup_code.delete.all"), "C7F8E8A4ED5B1454FC88EDAD8CA2C967"),
        ] {
            assert_eq!(sign(&fields(&text), false, "kva"), want, "{text}");
        }
        let library = fields("a=123&b=456&c=789&timestamp=1717899356");
        assert_eq!(sign(&library, false, "abc"), "0C59AD369ED0E8F5AD06610EBBE6F263");
    }

    #[test]
    fn spellings_of_the_vendors_libraries() {
        let with = |spelling| md5_upper(&format!("{}&key=kva", joined(&fields(V1), spelling, not_empty)));
        assert_eq!(with(Spelling::Query), "EC3A37011CA425231A875310C2158F60");
        assert_eq!(with(Spelling::Component), "F3254DEEBECF3A3515FD5E261EF31ADA");
        assert_eq!(with(Spelling::UriTwice), "FBEFBCD65A55B5841FFB2511BD2674D0");
    }

    #[test]
    fn the_published_payload_reads_and_fits() {
        let text = "eyJtYWNoaW5lX25vIjoiMTYzMjcxMjkiLCJzaWduIjoiOUM4NEZEMUNFMkM3Njg0OUU3Nzc4QUNGMkM1MEZGRjAi\
            LCJzdGF0dXMiOjIsInRpbWVzdGFtcCI6IjE3MTQxMjgzNTgifQ==";
        let read = decode(text, false).expect("a payload");
        assert_eq!(read["status"], "2");
        assert!(check(&read, Encoding::Raw, "kva", &[]).0);
        assert!(decode(text, true).is_err_and(|why| why.contains("status")));
    }

    #[test]
    fn mistakes_are_named() {
        let say = |text: &str, given: String, encoding| {
            let mut all = fields(text);
            all.insert("sign".into(), given);
            check(&all, encoding, "kva", &[("the Appid", "10001")]).1["differs"].to_string()
        };
        let raw = |text: &str| md5_upper(&format!("{text}&key=kva"));
        assert!(say(V1, raw(V1), Encoding::Raw).contains("nothing"));
        assert!(say(V1, raw(V1), Encoding::Any).contains("nothing"));
        assert!(say(V1, raw(V1), Encoding::Query).contains("raw"));
        assert!(say(V1, raw(V1).to_lowercase(), Encoding::Raw).contains("lower case"));
        assert!(say(V1, md5_upper(&format!("{V1}&key=10001")), Encoding::Raw).contains("the Appid"));
        assert!(say("a=1&b=", raw("a=1&b="), Encoding::Raw).contains("empty"));
        assert!(say("a=1&b=0", raw("a=1"), Encoding::Raw).contains("zeros"));
        assert!(say("a=1&b=2", raw("a=1"), Encoding::Raw).contains("b is not signed"));
        assert!(say("a=1", String::new(), Encoding::Raw).contains("no sign"));

        let mut all = fields("a=1&b=0");
        all.insert("sign".into(), raw("a=1"));
        assert_eq!(check(&all, Encoding::Raw, "kva", &[]).1["signed"], "a=1&key=[secret]");
        all.insert("sign".into(), md5_upper("a=1&b=0&key=10001"));
        let shown = check(&all, Encoding::Raw, "kva", &[("the Appid", "10001")]).1;
        assert_eq!(shown["signed"], "a=1&b=0&key=[another secret]");
    }
}
