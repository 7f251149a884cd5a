//! Values that platforms write now as a number, now as a text: read either way, exactly, and never guessed.

use super::china;
use crate::json::{Bad, Kind, Object};

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

/// A time of day in China, `2020-01-31 12:00:00`, in Unix seconds; a number is taken as Unix seconds or milliseconds. 0 if
/// not told.
pub(super) fn time(o: &Object<'_>, keys: &[&str]) -> Read<i64> {
    for key in keys {
        let text = text(o, &[key])?;
        if !text.is_empty() {
            return china::unix_time(&text).ok_or_else(|| bad(key, "is no time"));
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;

    fn object(text: &str) -> Object<'_> {
        Json::parse(text.as_bytes()).unwrap().object().unwrap()
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
        assert_eq!(china::unix_time("1516245348962"), Some(1_516_245_348));
        assert_eq!(china::unix_time("2021-02-29 00:00:00"), None);
        assert_eq!(china::unix_time("0000-00-00 00:00:00"), Some(0));
        assert_eq!(china::unix_time("2020-01-01"), None);
        assert_eq!(time(&object(r#"{"t":""}"#), &["t"]).unwrap(), 0);
    }
}
