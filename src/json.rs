//! JSON as `kiosklink-wire` reads and writes it, and what its complaints are as errors of the library.

use crate::error::{Error, Result};
use crate::status::{KL_E_ARGUMENT, KL_E_PROTOCOL};
pub use kiosklink_wire::json::*;

/// A complaint as an error of the library.
pub trait Complains {
    /// The answer is wrong, `KL_E_PROTOCOL`, with a word for whose document it is.
    fn error(self, whose: &str) -> Error;
}

impl Complains for Bad {
    fn error(self, whose: &str) -> Error {
        Error::new(KL_E_PROTOCOL, self.sentence(whose))
    }
}

/// What is written, with more that the caller gave.
pub trait FinishWith {
    /// The text, with the fields of the caller's own object laid over it: where both name a key, the caller's
    /// value is sent.
    fn finish_with(self, extra: Option<&str>) -> Result<String>;
}

impl FinishWith for Writer {
    fn finish_with(self, extra: Option<&str>) -> Result<String> {
        let Some(extra) = extra.filter(|e| !e.trim().is_empty()) else { return Ok(self.finish()) };
        let extra = params(extra, "extra_json")?;
        let mut out = Writer::new();
        let own = self.finish();
        let own = Json::parse(own.as_bytes()).and_then(Json::object).map_err(|b| b.error("own JSON"))?;
        for (key, value) in own.fields() {
            if !extra.fields().iter().any(|(k, _)| k == key) {
                out.raw(key, value.text());
            }
        }
        for (key, value) in extra.fields() {
            out.raw(key, value.text());
        }
        Ok(out.finish())
    }
}

/// The caller's JSON parameters: an object in which no key occurs twice, or `KL_E_ARGUMENT` with what is wrong.
pub fn params<'a>(text: &'a str, name: &str) -> Result<Object<'a>> {
    let refuse = |b: Bad| Error::new(KL_E_ARGUMENT, b.sentence(name));
    let object = Json::parse(text.as_bytes()).and_then(Json::object).map_err(refuse)?;
    for (i, (key, _)) in object.fields().iter().enumerate() {
        if object.fields()[..i].iter().any(|(k, _)| k == key) {
            return Err(refuse(Bad::new(key, "occurs twice")));
        }
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_reads_and_lets_the_caller_have_the_last_word() {
        let mut w = Writer::new();
        w.text("CID", "a\"b\\c\u{1}").int("Page", 2).text("empty", "");
        let text = w.finish_with(Some(r#" {"Page":3,"X":[1, 2]} "#)).unwrap();
        let o = Json::parse(text.as_bytes()).unwrap().object().unwrap();
        assert_eq!(o.string(&["CID"]).unwrap().unwrap(), "a\"b\\c\u{1}");
        assert_eq!(o.int(&["Page"]).unwrap(), Some(3));
        assert_eq!(o.get("X").unwrap().unwrap().text(), "[1, 2]");
        assert!(Writer::new().finish_with(Some("[1]")).is_err());
        assert!(params(r#"{"a":1,"a":1}"#, "params_json").unwrap_err().message().contains("occurs twice"));
    }
}
