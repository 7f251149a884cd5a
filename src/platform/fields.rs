//! How a field of an answer or a callback is read: one vocabulary for all platforms.
//!
//! Vendors write one value now as a number, now as a text; a list as an object with the keys `"1"`, `"2"`, or as `""`; and
//! cut a text in the middle of an emoji. [`lenient`] reads whatever nothing hangs on: an odd value is *not told*, never an
//! error. [`strict`] reads what money or doors hang on: an odd or missing value is an error that names the field. Both read
//! the same spellings of the same value, exactly, and guess nothing.

use crate::json::{Bad, Json, Kind, Object};
use crate::time::calendar;
use std::borrow::Cow;

/// What a strict reader gives: the value, or which field is wrong and why.
pub type Read<T> = std::result::Result<T, Bad>;

/// Ornaments: what cannot be read is not told.
pub mod lenient {
    use super::*;

    /// The first of these keys that has a text, a number or a boolean; empty if none has. Half a character is U+FFFD.
    pub fn text(o: &Object<'_>, keys: &[&str]) -> String {
        told(o, keys).into_owned()
    }

    /// The same where it stands.
    fn told<'a>(o: &Object<'a>, keys: &[&str]) -> Cow<'a, str> {
        for key in keys {
            let Ok(Some(value)) = o.get(key) else { continue };
            let text = scalar(value);
            if !text.is_empty() {
                return text;
            }
        }
        Cow::Borrowed("")
    }

    /// A whole number, in quotes or not.
    pub fn int(o: &Object<'_>, keys: &[&str]) -> Option<i64> {
        keys.iter().find_map(|key| scaled(&told(o, &[key]), 0))
    }

    /// How many; -1 if not told.
    pub fn count(o: &Object<'_>, keys: &[&str]) -> i32 {
        int(o, keys).and_then(|n| i32::try_from(n).ok()).unwrap_or(-1)
    }

    /// A sum written in fen; `None` if not told.
    pub fn fen(o: &Object<'_>, keys: &[&str]) -> Option<i64> {
        int(o, keys)
    }

    /// A sum written in yuan, in fen; `None` if not told.
    pub fn yuan(o: &Object<'_>, keys: &[&str]) -> Option<i64> {
        keys.iter().find_map(|key| scaled(&told(o, &[key]), 2))
    }

    /// A yes or a no: `true`, 1, `"1"`, `"true"`.
    pub fn yes(o: &Object<'_>, keys: &[&str]) -> Option<bool> {
        match told(o, keys).as_ref() {
            "1" | "true" | "True" | "TRUE" => Some(true),
            "0" | "false" | "False" | "FALSE" => Some(false),
            _ => None,
        }
    }

    /// A point in time, Unix seconds; 0 if not told.
    pub fn time(o: &Object<'_>, keys: &[&str]) -> i64 {
        keys.iter().find_map(|key| super::time(&told(o, &[key]))).unwrap_or(0)
    }

    /// Degrees; 0 if not told.
    pub fn degrees(o: &Object<'_>, key: &str) -> f64 {
        crate::json::decimal(&told(o, &[key])).unwrap_or(0.0)
    }

    /// An object, also one that stands as JSON in a text. `None` for whatever is none.
    pub fn object<'a>(o: &Object<'a>, keys: &[&str]) -> Option<Object<'a>> {
        keys.iter().find_map(|key| o.get(key).ok().flatten()?.object().ok())
    }

    /// The items of a list: of an array, or the values of an object with numbers for keys; none for everything else.
    pub fn list<'a>(o: &Object<'a>, keys: &[&str]) -> Vec<Json<'a>> {
        for key in keys {
            if let Ok(Some(value)) = o.get(key) {
                return items(value);
            }
        }
        Vec::new()
    }

    /// The same for a value.
    pub fn items(value: Json<'_>) -> Vec<Json<'_>> {
        match value.kind() {
            Kind::Array => value.array().unwrap_or_default(),
            Kind::Object => match value.object() {
                Ok(o)
                    if !o.fields().is_empty() && o.fields().iter().all(|(k, _)| k.parse::<u32>().is_ok()) =>
                {
                    o.fields().iter().map(|(_, v)| *v).collect()
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }
}

/// What money or doors hang on: what is missing or odd is an error by name.
pub mod strict {
    use super::*;

    /// A text or a number that must be there and not be empty.
    pub fn text(o: &Object<'_>, key: &str) -> Read<String> {
        maybe_text(o, &[key])?.ok_or_else(|| crate::json::missing(key))
    }

    /// A text or a number under the first of these keys that is there; `None` if none is, or an empty one.
    pub fn maybe_text(o: &Object<'_>, keys: &[&str]) -> Read<Option<String>> {
        Ok(maybe_told(o, keys)?.map(Cow::into_owned))
    }

    /// The same where it stands.
    fn maybe_told<'a>(o: &Object<'a>, keys: &[&str]) -> Read<Option<Cow<'a, str>>> {
        for key in keys {
            let Some(value) = o.get(key)? else { continue };
            match value.kind() {
                Kind::String | Kind::Number => {
                    let text = scalar(value);
                    if !text.is_empty() {
                        return Ok(Some(text));
                    }
                }
                _ => return Err(Bad::new(key, "is neither a text nor a number")),
            }
        }
        Ok(None)
    }

    /// A whole number, in quotes or not; `None` if it is missing or an empty text.
    pub fn maybe_int(o: &Object<'_>, keys: &[&str]) -> Read<Option<i64>> {
        for key in keys {
            if let Some(text) = maybe_told(o, &[key])? {
                return scaled(&text, 0).map(Some).ok_or_else(|| Bad::new(key, "is no whole number"));
            }
        }
        Ok(None)
    }

    /// A whole number that must be there.
    pub fn int(o: &Object<'_>, key: &str) -> Read<i64> {
        maybe_int(o, &[key])?.ok_or_else(|| crate::json::missing(key))
    }

    /// A sum written in yuan, in fen; `None` if it is missing or empty.
    pub fn maybe_yuan(o: &Object<'_>, keys: &[&str]) -> Read<Option<i64>> {
        for key in keys {
            if let Some(text) = maybe_told(o, &[key])? {
                return scaled(&text, 2).map(Some).ok_or_else(|| Bad::new(key, "is no sum in yuan"));
            }
        }
        Ok(None)
    }

    /// A point in time, Unix seconds; `None` if it is missing, empty or the database's zero.
    pub fn maybe_time(o: &Object<'_>, keys: &[&str]) -> Read<Option<i64>> {
        for key in keys {
            if let Some(text) = maybe_told(o, &[key])? {
                return match super::time(&text) {
                    Some(0) => Ok(None),
                    Some(t) => Ok(Some(t)),
                    None => Err(Bad::new(key, "is no time")),
                };
            }
        }
        Ok(None)
    }
}

/// A text, a number or a boolean as text; empty for anything else.
pub fn scalar(value: Json<'_>) -> Cow<'_, str> {
    match value.kind() {
        Kind::String => value.string_lossy(),
        Kind::Number | Kind::Bool => Cow::Borrowed(value.text()),
        _ => Cow::Borrowed(""),
    }
}

/// An object or a list that may also be written as a text holding JSON; `None` if it is missing or an empty text.
pub fn nested(value: Option<Json<'_>>) -> Option<Cow<'_, str>> {
    let value = value?;
    if value.kind() != Kind::String {
        return Some(Cow::Borrowed(value.text()));
    }
    Some(value.string_lossy()).filter(|text| !text.trim().is_empty())
}

/// A decimal number as a whole number of units of 10^-`places`, exactly: `scaled("12.3", 2)` is 1230, `scaled("1E+2", 0)`
/// is 100. `None` if it is no number, does not fit, or is finer than that.
pub fn scaled(text: &str, places: i32) -> Option<i64> {
    let text = text.trim();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let negative = text.starts_with('-');
    if !unsigned.as_bytes().first()?.is_ascii_digit() {
        return None;
    }
    let (mut value, mut shift, mut in_fraction) = (0i64, places, false);
    for (at, byte) in unsigned.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => {
                value = value.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
                shift -= i32::from(in_fraction);
            }
            b'.' if !in_fraction => in_fraction = true,
            b'e' | b'E' => {
                let exponent = unsigned.get(at + 1..)?;
                let exponent = exponent.strip_prefix('+').unwrap_or(exponent).parse::<i32>().ok()?;
                shift = shift.checked_add(exponent)?;
                break;
            }
            _ => return None,
        }
    }
    while shift > 0 && value != 0 {
        value = value.checked_mul(10)?;
        shift -= 1;
    }
    while shift < 0 && value != 0 {
        if value % 10 != 0 {
            return None;
        }
        value /= 10;
        shift += 1;
    }
    Some(if negative { -value } else { value })
}

/// A point in time, Unix seconds, as vendors write it: China's wall clock, or with a zone behind it that one's (`Z`, `±hhmm`,
/// `±hh:mm`), with or without a fraction of a second; or a number of seconds or milliseconds. `Some(0)` for a database's zero;
/// `None` if it is empty or no time.
pub fn time(text: &str) -> Option<i64> {
    if text.is_empty() { None } else { calendar::unix_time(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Object<'_> {
        Json::parse(text.as_bytes()).unwrap().object().unwrap()
    }

    #[test]
    fn sums_are_exact_without_a_float() {
        for (text, places, want) in [
            ("0.01", 2, Some(1)),
            ("19.99", 2, Some(1999)),
            ("-3.50", 2, Some(-350)),
            ("8.1000", 2, Some(810)),
            ("90071992547409.93", 2, Some(9_007_199_254_740_993)),
            ("0.001", 2, None),
            ("1E+2", 0, Some(100)),
            ("1e2", 2, Some(10_000)),
            ("4.50e2", 0, Some(450)),
            ("450.0", 0, Some(450)),
            ("1e-3", 2, None),
            ("", 0, None),
            ("-", 0, None),
            (".5", 2, None),
            ("1,00", 2, None),
            ("0x10", 0, None),
            ("9223372036854775807", 2, None),
            ("9223372036854775807", 0, Some(i64::MAX)),
            ("1e2147483647", 0, None),
        ] {
            assert_eq!(scaled(text, places), want, "{text}");
        }
    }

    #[test]
    // FAULTS D: odd ornaments are not told, digits in text are numbers, half characters are U+FFFD.
    fn ornaments_never_fail() {
        let o = object(
            r#"{"a":"7","b":7,"c":"","d":null,"e":"x","f":[],"g":"1","h":true,"i":"a\ud83d","k":{"1":{"x":1},"2":{}},"l":{},"m":false,"n":{"x":1}}"#,
        );
        assert_eq!((lenient::int(&o, &["a"]), lenient::int(&o, &["b"])), (Some(7), Some(7)));
        assert_eq!((lenient::int(&o, &["c", "d", "nothing"]), lenient::int(&o, &["e"])), (None, None));
        assert_eq!(
            (lenient::text(&o, &["f"]), lenient::text(&o, &["i"])),
            (String::new(), "a\u{fffd}".into())
        );
        assert_eq!(
            (lenient::yes(&o, &["g"]), lenient::yes(&o, &["h"]), lenient::yes(&o, &["e"])),
            (Some(true), Some(true), None)
        );
        assert_eq!(lenient::list(&o, &["k"]).len(), 2);
        for none in ["l", "m", "c", "e", "n", "nothing"] {
            assert!(lenient::list(&o, &[none]).is_empty(), "{none}");
        }
    }

    #[test]
    // FAULTS B10.
    fn a_zone_counts_wherever_it_stands() {
        let noon_in_china = 1_577_851_200;
        for text in [
            "2020-01-01 12:00:00",
            "2020-01-01T12:00:00",
            "2020-01-01 12:00:00.5",
            "2020-01-01T04:00:00Z",
            "2020-01-01T04:00:00.000Z",
            "2020-01-01T04:00:00.000+0000",
            "2020-01-01T04:00:00+00:00",
            "2020-01-01T12:00:00.123456+0800",
            "2020-01-01 12:00:00+08:00",
            "2019-12-31T23:30:00.0-04:30",
            "1577851200",
            "1577851200999",
            " 2020-01-01 12:00:00 ",
        ] {
            assert_eq!(time(text), Some(noon_in_china), "{text}");
        }
        for text in [
            "",
            "soon",
            "2020-01-01",
            "2020-01-01 12:00",
            "2020-01-01 13:16:42.xyz",
            "2020-01-01 13:16:42.",
            "2020-01-01 13:16:42z",
            "2020-01-01 13:16:42 UTC",
            "2020-01-01 13:16:42+8",
            "2020-01-01 13:16:42+08:0",
            "2020-01-01 13:16:42+2500",
            "2020-01-01 13:16:42.5+0860",
            "2021-02-29 00:00:00",
            "2020-01-01 12:00:0\u{e9}",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
        assert_eq!(time("0000-00-00 00:00:00"), Some(0));
    }

    #[test]
    fn what_doors_hang_on_is_named() {
        let o = object(r#"{"a":"7","b":7,"c":"","e":"x","f":[],"g":{}}"#);
        assert_eq!((strict::text(&o, "b").unwrap(), strict::int(&o, "a").unwrap()), ("7".to_owned(), 7));
        for key in ["c", "f", "g", "nothing"] {
            assert_eq!(strict::text(&o, key).unwrap_err().at(), key);
        }
        assert_eq!(strict::maybe_int(&o, &["e"]).unwrap_err().at(), "e");
        assert_eq!(strict::maybe_int(&o, &["c"]).unwrap(), None);
    }
}
