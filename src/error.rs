//! The one error type: what a caller in front of a shut door needs to know.

pub use crate::status::Advice;
pub(crate) use crate::status::default_advice;
use crate::status::kl_status;
use std::fmt;

/// A sentence has at most this many bytes; whatever was put into it may have had any number.
const LONGEST: usize = 512;
/// As much of a platform's words goes into a sentence: what is said behind them must fit into `kl_error` too.
const WORDS: usize = 120;

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Outcome {
    /// The call was no command.
    None = 0,
    /// The platform took it.
    Done = 1,
    /// It did not happen and will not.
    NotDone = 2,
    /// It may have happened. Never try again under another `request_id`; find out.
    Unknown = 3,
}

/// Why a call failed. Never holds a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Details>);

/// The fields of an [`Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// The code, `KL_E_*`.
    pub status: kl_status,
    /// For commands: done, not done or unknown.
    pub outcome: Outcome,
    /// What to do about it.
    pub advice: Advice,
    /// The HTTP status of the answer, 0 if there was none.
    pub http_status: i32,
    /// The platform's own code, 0 if it gave none.
    pub platform_code: i32,
    /// The system's `errno`, 0 if it was not the system.
    pub os_errno: i32,
    /// How long the platform asks to wait, in milliseconds; 0 if it does not say.
    pub retry_after_ms: u32,
    /// The platform's own name or code of the refusal, whole (`ERR_SIGN`, `10025`); empty if it gave none. Only by it, never by
    /// words, is a refusal looked up.
    pub platform_name: String,
    /// The platform's own message.
    pub platform_message: String,
    /// One sentence for a log or a technician.
    pub message: String,
}

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with a code and a sentence; the advice follows from the code.
    #[cold]
    pub fn new(status: kl_status, message: impl Into<String>) -> Error {
        Error(Box::new(Details {
            status,
            outcome: Outcome::None,
            advice: default_advice(status),
            http_status: 0,
            platform_code: 0,
            os_errno: 0,
            retry_after_ms: 0,
            platform_name: String::new(),
            platform_message: String::new(),
            message: tidy(message.into(), LONGEST),
        }))
    }

    /// The same with the system's `errno`.
    #[cold]
    pub fn os(status: kl_status, message: impl Into<String>, cause: &std::io::Error) -> Error {
        let mut message = message.into();
        message.push_str(": ");
        message.push_str(&cause.to_string());
        let mut error = Error::new(status, message);
        error.0.os_errno = cause.raw_os_error().unwrap_or(0);
        error
    }

    /// The code.
    pub fn status(&self) -> kl_status {
        self.0.status
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Every field.
    pub fn details(&self) -> &Details {
        &self.0
    }

    /// Changes fields on the way up.
    pub fn with(mut self, change: impl FnOnce(&mut Details)) -> Error {
        change(&mut self.0);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {}

/// A platform's words as a part of a sentence.
pub(crate) fn words(text: &str) -> String {
    tidy(text.to_owned(), WORDS)
}

/// A text in quotes, as a part of a sentence. By hand: small builds compile `{:?}` away.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::new();
    kiosklink_wire::push_string(&mut out, text);
    out
}

/// On one line and of a bounded length. Half a secret would no longer be known for one, so they are masked before the cut.
fn tidy(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        text = crate::log::mask(&text).into_owned();
    }
    if text.len() > longest {
        let mut end = longest - '…'.len_utf8();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    if text.contains(char::is_control) {
        text = text.replace(char::is_control, " ");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Masked, mask};
    use crate::status::*;

    #[test]
    fn a_sentence_is_bounded_and_on_one_line() {
        let e = Error::new(KL_E_PROTOCOL, "中".repeat(5000));
        assert!(e.message().len() <= LONGEST && e.message().ends_with('…'), "{e}");
        let e = Error::new(KL_E_PROTOCOL, "a\0b\r\nc");
        assert_eq!(e.message(), "a b  c");
        assert_eq!(words(&"x".repeat(WORDS)).len(), WORDS);
    }

    #[test]
    fn a_quoted_text_ends_where_its_quotes_do() {
        assert_eq!(quoted("app_id"), "\"app_id\"");
        assert_eq!(quoted("a\"b\\c"), r#""a\"b\\c""#);
    }

    #[test]
    fn the_cut_leaves_no_half_of_a_secret() {
        let secret = "a-secret-that-lies-across-the-cut";
        let _masked = Masked::new(secret);
        let text = "x".repeat(WORDS - 12) + secret + &"y".repeat(WORDS);
        assert!(!mask(&words(&text)).contains("a-sec"));
        let e = Error::new(KL_E_PROTOCOL, "x".repeat(LONGEST - 12) + secret + &text);
        assert!(!e.message().contains("a-sec"), "{e}");
    }
}
