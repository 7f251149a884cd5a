//! Values that platforms write now as a number, now as a text: read either way, exactly, and never guessed.

use super::china;
use crate::json::{Bad, Json, Kind, Object, decimal};
use std::borrow::Cow;

type Read<T> = std::result::Result<T, Bad>;

fn bad(key: &str, why: &'static str) -> Bad {
    Bad::new(key, why)
}

/// The text of a text, a number or a boolean; empty if there is none under any of the keys.
pub(super) fn text(o: &Object<'_>, keys: &[&str]) -> Read<String> {
    for key in keys {
        match o.get(key)? {
            None => {}
            Some(v) => match v.kind() {
                Kind::String => {
                    let text = v.string().map_err(|b| b.under(key))?;
                    if !text.is_empty() {
                        return Ok(text.into_owned());
                    }
                }
                Kind::Number | Kind::Bool => return Ok(v.text().to_owned()),
                _ => return Err(bad(key, "is no text")),
            },
        }
    }
    Ok(String::new())
}

/// An integer, in quotes or not; `None` if there is none, or an empty text.
pub(super) fn int(o: &Object<'_>, keys: &[&str]) -> Read<Option<i64>> {
    for key in keys {
        let text = text(o, &[key])?;
        if !text.is_empty() {
            return text.parse().map(Some).map_err(|_| bad(key, "is no integer"));
        }
    }
    Ok(None)
}

/// An integer that fits 32 bits.
pub(super) fn int32(o: &Object<'_>, keys: &[&str]) -> Read<Option<i32>> {
    match int(o, keys)? {
        None => Ok(None),
        Some(n) => i32::try_from(n).map(Some).map_err(|_| bad(keys[0], "is too large a number")),
    }
}

/// A yes or a no: `true`, 1, `"1"`, `"true"`.
pub(super) fn yes(o: &Object<'_>, keys: &[&str]) -> Read<Option<bool>> {
    match text(o, keys)?.as_str() {
        "" => Ok(None),
        "1" | "true" => Ok(Some(true)),
        "0" | "false" => Ok(Some(false)),
        _ => Err(bad(keys[0], "is neither yes nor no")),
    }
}

/// Degrees; 0 if not told.
pub(super) fn degrees(o: &Object<'_>, key: &str) -> Read<f64> {
    let text = text(o, &[key])?;
    if text.is_empty() {
        return Ok(0.0);
    }
    decimal(&text).ok_or_else(|| bad(key, "is no number"))
}

/// A sum that the platform writes in yuan, `"12.3"`, in fen.
pub(super) fn yuan(o: &Object<'_>, keys: &[&str]) -> Read<Option<i64>> {
    for key in keys {
        let text = text(o, &[key])?;
        if !text.is_empty() {
            return fen(&text).map(Some).ok_or_else(|| bad(key, "is no sum in yuan"));
        }
    }
    Ok(None)
}

/// A sum that may be negative: what goes back.
fn fen(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some(rest) => china::fen(rest).map(|sum| -sum),
        None => china::fen(text),
    }
}

/// A time as [`unix_time`](china::unix_time) reads it, in Unix seconds. 0 if not told.
pub(super) fn time(o: &Object<'_>, keys: &[&str]) -> Read<i64> {
    for key in keys {
        let text = text(o, &[key])?;
        if !text.is_empty() {
            return china::unix_time(&text).ok_or_else(|| bad(key, "is no time"));
        }
    }
    Ok(0)
}

/// Unix seconds as a time of day in China, `2020-01-31 12:00:00`.
pub(super) fn china_text(unix_s: i64) -> String {
    china::to_wall(unix_s).unwrap_or_default()
}

/// An object that may also be written as a text holding JSON; `None` if it is missing or empty.
pub(super) fn nested<'a>(value: Option<Json<'a>>) -> Read<Option<Cow<'a, str>>> {
    match value {
        None => Ok(None),
        Some(v) if v.kind() == Kind::String => {
            let text = v.string()?;
            Ok(if text.trim().is_empty() { None } else { Some(text) })
        }
        Some(v) => Ok(Some(Cow::Borrowed(v.text()))),
    }
}

/// Whether a value is one of the ways to write nothing: an empty text, an empty list.
pub(super) fn nothing(value: Json<'_>) -> bool {
    matches!(value.text(), "\"\"" | "[]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Object<'_> {
        Json::parse(text.as_bytes()).unwrap().object().unwrap()
    }

    #[test]
    fn yuan_become_fen_without_a_float() {
        for (yuan, want) in [
            ("0.01", Some(1)),
            ("0.1", Some(10)),
            ("19.99", Some(1999)),
            ("1", Some(100)),
            ("-3.50", Some(-350)),
            ("8.1000", Some(810)),
            ("90071992547409.93", Some(9_007_199_254_740_993)),
            ("0.001", None),
            (".5", None),
            ("1e2", None),
            ("1,00", None),
            ("9223372036854775807", None),
        ] {
            assert_eq!(fen(yuan), want, "{yuan}");
        }
        assert_eq!(yuan(&object(r#"{"a":"","b":0.29}"#), &["a", "b"]).unwrap(), Some(29));
    }

    #[test]
    fn numbers_and_texts_are_the_same() {
        let o = object(r#"{"a":"7","b":7,"c":"","d":null,"e":"x","f":[],"g":"1","h":true}"#);
        assert_eq!((int(&o, &["a"]).unwrap(), int(&o, &["b"]).unwrap()), (Some(7), Some(7)));
        assert_eq!(int(&o, &["c", "d", "nothing"]).unwrap(), None);
        assert_eq!(int(&o, &["e"]).unwrap_err().at(), "e");
        assert!(text(&o, &["f"]).is_err());
        assert_eq!((yes(&o, &["g"]).unwrap(), yes(&o, &["h"]).unwrap()), (Some(true), Some(true)));
        assert!(yes(&o, &["e"]).is_err());
    }

    #[test]
    fn times_are_of_china() {
        assert_eq!(china::unix_time("2020-01-01 00:00:00"), Some(1_577_808_000));
        assert_eq!(china_text(1_577_808_000), "2020-01-01 00:00:00");
        assert_eq!(china::unix_time("1516245348962"), Some(1_516_245_348));
        assert_eq!(china::unix_time("2021-02-29 00:00:00"), None);
        assert_eq!(china::unix_time("0000-00-00 00:00:00"), Some(0));
        assert_eq!(china::unix_time("2020-01-01"), None);
        assert_eq!(time(&object(r#"{"t":""}"#), &["t"]).unwrap(), 0);
    }
}
