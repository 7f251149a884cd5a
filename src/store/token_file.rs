//! The tokens of one account in a file, replaced whole. One that cannot be read is as good as none.

use super::file::Folder;
use super::gate::{Gate, Pass};
use crate::error::{Error, Result};
use crate::json::{Json, Writer};
use crate::log::log_line;
use crate::model::Token;
use crate::status::*;
use crate::time::Deadline;
use kiosklink_wire::hex;
use md5::{Digest, Md5};
use std::sync::Arc;
use std::time::Duration;

/// The first line of a stored token; the number goes up when the form changes.
const HEAD: &str = "kiosklink-token 1\n";
/// More than this is no token.
const LARGEST: u64 = 64 * 1024;

/// One account's file in the folder.
pub(crate) struct TokenFile {
    folder: Arc<Folder>,
    gate: Gate,
    name: String,
    whose: String,
}

impl TokenFile {
    /// The file of an account. Touches nothing yet.
    pub(crate) fn new(folder: Arc<Folder>, platform: &str, whose: &str) -> TokenFile {
        let name = ["token-", platform, "-", &hex::lower(&Md5::digest(whose)[..8])].concat();
        TokenFile { gate: Gate::new(folder.clone(), &name), folder, name, whose: whose.to_owned() }
    }

    /// Where it is, for people.
    pub(crate) fn shown(&self) -> String {
        self.folder.shown(&self.name)
    }

    /// Waits for the lock; `None` if there can be none here, and `KL_E_TIMEOUT_REPLY` if another process keeps it. `pause`
    /// waits at most so long and errs once the caller was cancelled.
    pub(crate) fn lock(
        &self,
        deadline: Deadline,
        pause: &dyn Fn(Duration) -> Result<()>,
    ) -> Result<Option<Pass<'_>>> {
        match self.gate.enter(deadline, pause) {
            Ok(pass) => Ok(Some(pass)),
            Err(e) if e.status() == KL_E_JOURNAL_BUSY => Err(Error::new(
                KL_E_TIMEOUT_REPLY,
                "the deadline passed while another process fetched the token",
            )),
            Err(e) if (KL_E_JOURNAL..=KL_E_STATE_DIR).contains(&e.status()) => {
                log_line!(Warn, "{}: {}; the token is kept in memory only", self.shown(), e.message());
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    /// The stored token; `None` if there is none that can be used. Needs no lock: the file is put into its place whole.
    pub(crate) fn read(&self) -> Option<Token> {
        let found = match self.folder.read(&self.name, LARGEST) {
            Ok(None) => return None,
            Err(e) => Err(e.to_string()),
            Ok(Some(text)) => parse(&text, &self.whose).map_err(str::to_owned),
        };
        match found {
            Ok(token) => Some(token),
            Err(why) => {
                log_line!(Warn, "{}: {why}; a token is fetched instead", self.shown());
                None
            }
        }
    }

    /// Stores a token whole or not at all; with the lock held.
    pub(crate) fn write(&self, _pass: &Pass<'_>, token: &Token) {
        let text = format(token, &self.whose);
        if let Err(e) = self.folder.replace(&self.name, text.as_bytes()) {
            log_line!(Warn, "{}: {e}; the token is kept in memory only", self.shown());
        }
    }
}

/// The head, one line of JSON, and the MD5 of both.
fn format(token: &Token, whose: &str) -> String {
    let mut w = Writer::new();
    w.text("whose", whose).text("access", &token.access).text("refresh", &token.refresh);
    w.int("expires_ms", token.expires_ms);
    let mut text = [HEAD, &w.finish(), "\n"].concat();
    let sum = hex::lower(&Md5::digest(&text));
    text.push_str(&sum);
    text.push('\n');
    text
}

fn parse(text: &[u8], whose: &str) -> std::result::Result<Token, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "is damaged")?;
    if !text.starts_with(HEAD) {
        return Err(if text.starts_with("kiosklink-token ") {
            "was written by another version of kiosklink"
        } else {
            "is damaged"
        });
    }
    let end = text.len().checked_sub(33).filter(|end| text.is_char_boundary(*end)).ok_or("is cut off")?;
    let (signed, sum) = text.split_at(end);
    if !signed.ends_with('\n') || sum.strip_suffix('\n') != Some(&hex::lower(&Md5::digest(signed))) {
        return Err("is damaged or cut off");
    }
    let read = || {
        let o = Json::parse(&signed.as_bytes()[HEAD.len()..])?.object()?;
        let text = |key| o.string(&[key]).map(Option::unwrap_or_default);
        let token = Token {
            access: text("access")?,
            refresh: text("refresh")?,
            expires_ms: o.int(&["expires_ms"])?.unwrap_or(0),
        };
        Ok::<_, crate::json::Bad>((text("whose")?, token))
    };
    match read() {
        Ok((owner, token)) if owner == whose && !token.access.is_empty() => Ok(token),
        Ok(_) => Err("belongs to another account"),
        Err(_) => Err("is damaged"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Place, fail, pause, soon};
    use super::*;
    use std::fs;

    #[test]
    fn what_cannot_be_read_counts_as_absent() {
        let place = Place::new();
        let file = TokenFile::new(place.folder(), "fake", "fake account");
        let token = |access: &str| Token { access: access.into(), refresh: "r".into(), expires_ms: 1000 };
        let whole = format(&token("good"), "fake account");
        assert_eq!(parse(whole.as_bytes(), "fake account").unwrap(), token("good"));
        let mut broken = vec![
            (String::new(), ""),
            (whole.replace("good", "evil"), "damaged"),
            (whole.replace("token 1", "token 2"), "another version"),
            (format(&token("good"), "other"), "another account"),
            ("x".repeat(100), "damaged"),
        ];
        // Torn anywhere.
        broken.extend((1..whole.len()).map(|n| (whole[..n].to_owned(), "")));
        for (text, why) in broken {
            let found = parse(text.as_bytes(), "fake account").unwrap_err();
            assert!(found.contains(why), "{text:?}: {found}");
            fs::write(file.shown(), &text).unwrap();
            assert!(file.read().is_none());
        }
        let pass = file.lock(soon(), &pause).unwrap().unwrap();
        file.write(&pass, &token("new"));
        assert_eq!(file.read(), Some(token("new")));
        fail("sync", 1, libc::EIO);
        file.write(&pass, &token("lost"));
        assert_eq!(file.read(), Some(token("new")));
    }
}
