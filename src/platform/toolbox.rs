//! What the platforms' modules share, beside the reading of fields.

use crate::error::{Error, Result};
use crate::json::{Json, Kind};
use crate::status::*;
use crate::transport::Reply;

/// The error for a parameter that cannot be sent.
#[cold]
pub fn argument(name: &str, why: &str) -> Error {
    Error::new(KL_E_ARGUMENT, [name, " ", why].concat())
}

/// A parameter that must not be empty.
pub fn required<'a>(name: &str, value: &'a str) -> Result<&'a str> {
    if value.is_empty() { Err(argument(name, "is needed here")) } else { Ok(value) }
}

/// Whether an answer that cannot be read as an envelope may hold one all the same: cut off, behind a warning of the platform's
/// own scripts, in a list, written into a text, or spoilt beyond reading. It is not a gateway's then, and proves nothing.
pub fn may_hold_envelope(reply: &Reply, text: &str, keys: &[&str]) -> bool {
    let quoted = |key: &&str| {
        let mut behind = text.match_indices(key).map(|(at, _)| &text[at + key.len()..]);
        behind.any(|rest| rest.starts_with('"') || rest.starts_with("\\\""))
    };
    text.trim_start_matches('\u{feff}').trim_start().starts_with('{')
        || keys.iter().any(quoted)
        || is_spoilt(reply, text)
}

/// Whether an answer says that it is JSON or XML and is none, or is empty. A gateway's page is HTML or plain text, or an object
/// that says something; what calls itself the platform's format and cannot be read was once perhaps the platform's.
pub fn is_spoilt(reply: &Reply, text: &str) -> bool {
    let kind = reply.headers.get("content-type").unwrap_or_default().to_ascii_lowercase();
    if kind.contains("json") {
        let object = Json::parse(text.as_bytes()).and_then(Json::object);
        return object.map_or(true, |o| o.fields().is_empty());
    }
    // Also XHTML, which no gateway is known to send.
    kind.contains("xml") && !text.trim_start_matches('\u{feff}').trim_start().starts_with('<')
}

/// Compares two signatures in a time that does not depend on where they differ.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (x, y)| all | (x ^ y)) == 0
}

/// Refuses parameters of the caller's own (`extra_json`) that would replace one by which the journal, the guard or the
/// resolver goes: another cabinet would open than they think. Names are compared without regard to case.
pub fn keep_reserved(extra_json: Option<&str>, reserved: &[&str]) -> Result<()> {
    let Some(text) = extra_json.filter(|t| !t.trim().is_empty()) else { return Ok(()) };
    let extra = Json::parse(text.as_bytes())
        .and_then(
            |json| if json.kind() == Kind::Object { json.object() } else { Err(crate::json::missing("{")) },
        )
        .map_err(|_| argument("extra_json", "must be a JSON object"))?;
    for (key, _) in extra.fields() {
        if let Some(name) = reserved.iter().find(|name| name.eq_ignore_ascii_case(key)) {
            return Err(argument(
                "extra_json",
                &["must not hold ", name, ": it has a field of its own"].concat(),
            ));
        }
    }
    Ok(())
}

/// The one spelling of a code, for wire, journal and guard: without blanks, control and zero-width characters, without a
/// scanner's prefix (AIM: `]C1`), full-width letters and the digits of other scripts as the usual ones. Leading zeros stay.
pub fn canonical_code(code: &str) -> String {
    let plain: String = code
        .chars()
        .filter(|c| !c.is_whitespace() && !c.is_control() && !is_invisible(*c))
        .map(|c| match c {
            // The full-width forms stand in the order of ASCII.
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
            // An Arabic keyboard's, a Persian one's, and those that chats make of digits.
            '\u{660}'..='\u{669}' => digit(c as u32 - 0x660),
            '\u{6f0}'..='\u{6f9}' => digit(c as u32 - 0x6f0),
            '\u{1d7ce}'..='\u{1d7ff}' => digit(c as u32 - 0x1d7ce),
            _ => c,
        })
        .collect();
    match plain.as_bytes() {
        [b']', a, b, ..] if a.is_ascii_alphabetic() && b.is_ascii_alphanumeric() && plain.len() > 3 => {
            plain[3..].to_owned()
        }
        _ => plain,
    }
}

fn digit(n: u32) -> char {
    char::from(b'0' + (n % 10) as u8)
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffc}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    // FAULTS A2.
    fn a_spoilt_answer_is_told_from_a_page() {
        for (kind, text, spoilt) in [
            ("", "", false),
            ("text/html", "", false),
            ("text/plain", "Too Many Requests", false),
            ("application/json", "", true),
            ("Application/JSON; charset=utf-8", "{}", true),
            ("application/json", "\u{1}\u{fffd}", true),
            ("application/json", r#"{"message":"no"}"#, false),
            ("application/json", "\u{feff}{\"message\":\"no\"}", false),
            ("application/problem+json", "no", true),
            ("text/xml", "", true),
            ("text/xml", "<html/>", false),
            ("application/xhtml+xml", "<html/>", false),
        ] {
            let reply = Reply {
                status: 429,
                headers: crate::transport::Headers::of_type(kind),
                body: text.into(),
                timing: Default::default(),
            };
            assert_eq!(is_spoilt(&reply, text), spoilt, "{kind} {text:?}");
            assert_eq!(
                may_hold_envelope(&reply, text, &[]),
                spoilt || text.trim_start_matches('\u{feff}').starts_with('{')
            );
        }
    }

    #[test]
    // FAULTS C.
    fn a_code_has_one_spelling() {
        for spelling in [
            "012345",
            " 012345",
            "012345\r\n",
            "０１２３４５",
            "01 23 45",
            "\u{feff}012345",
            "0123\u{200b}45",
            "]C1012345",
            "]Q3012345\r",
            "\u{3000}012345\u{a0}",
            "\u{660}\u{661}\u{662}\u{663}\u{664}\u{665}",
            "\u{6f0}\u{6f1}2345",
            "\u{1d7ce}\u{1d7cf}\u{1d7da}\u{1d7e5}\u{1d7f0}\u{1d7fb}",
            "\u{fffc}012345\u{e0001}",
            "0123\u{3164}45\u{e0100}\u{fffb}",
            "］C1012345",
        ] {
            assert_eq!(canonical_code(spelling), "012345", "{spelling:?}");
        }
        assert_eq!(canonical_code("]C1"), "]C1");
        assert_eq!(canonical_code("ＡＢ-12"), "AB-12");
        assert_eq!(canonical_code(" \u{200b} "), "");
    }

    #[test]
    // FAULTS A14.
    fn extra_parameters_replace_nothing() {
        let r = &["CID", "TradeNo"];
        assert!(keep_reserved(None, r).is_ok() && keep_reserved(Some("{\"X\":1}"), r).is_ok());
        for bad in ["{\"CID\":1}", "{\"X\":1,\"tradeno\":\"\"}", "[1]", "{", "7"] {
            assert_eq!(keep_reserved(Some(bad), r).unwrap_err().status(), KL_E_ARGUMENT, "{bad}");
        }
    }

    #[test]
    fn signatures_are_compared_whole() {
        assert!(same(b"abc", b"abc") && !same(b"abc", b"abd") && !same(b"abc", b"ab") && same(b"", b""));
    }
}
