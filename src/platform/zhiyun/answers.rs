//! What an answer means: the envelope in JSON or XML, the refusals, the records.

use super::{Zhiyun, xml};
use crate::error::{Advice, Error, Outcome, Result, words};
use crate::json::Complains as _;
use crate::json::{self, Bad, Json, Object};
use crate::model::*;
use crate::platform::fields::{Read, lenient, scaled, strict};
use crate::platform::http_error;
use crate::platform::refusals::{GATEWAY, Pack, Row, text_of};
use crate::platform::toolbox::may_hold_envelope;
use crate::status::*;
use crate::transport::Reply;

/// The document, in the vendor's repository <https://github.com/MengyangRen/auth2.0-php>.
const DOCUMENT: &str = "open-api接口说明文档.md";
/// The server's source there, which makes these checks in this order before it looks at what is asked for.
const SOURCE: &str = "ApisBaseController.class.php at aedd526";

const fn no(name: &'static str, status: kl_status, source: &'static str, hint: &'static str) -> Row {
    Row { name, http: 0, status, proves: true, source, hint }
}

const fn open(name: &'static str, status: kl_status, hint: &'static str) -> Row {
    Row { name, http: 0, status, proves: false, source: DOCUMENT, hint }
}

const LOG_IN: &str =
    "a person must log in with the vendor's desktop program again and set the new access_token";

/// What the codes mean. Those that prove are found out before the service is called.
#[rustfmt::skip]
pub(in crate::platform) const ROWS: &[Row] = &[
    open("400", KL_E_PARAMETER, ""),
    no("401", KL_E_TIMESTAMP, SOURCE, "is the clock right?"),
    open("500", KL_E_PLATFORM, ""),
    no("501", KL_E_UNSUPPORTED, SOURCE, ""),
    no("601", KL_E_PARAMETER, SOURCE, ""),
    open("602", KL_E_NOT_FOUND, ""),
    open("704", KL_E_NOT_FOUND, ""),
    open("714", KL_E_TOKEN, LOG_IN),
    open("905", KL_E_NOT_FOUND, "the user belongs to no company"),
    no("100002", KL_E_AUTH, SOURCE, "client_id is wrong"),
    no("100008", KL_E_AUTH, SOURCE, "client_id is wrong"),
    no("100009", KL_E_AUTH, SOURCE, ""),
    no("100013", KL_E_AUTH, SOURCE, "client_secret is wrong, or was pasted with a blank"),
    no("100014", KL_E_TOKEN, SOURCE, LOG_IN),
    no("100018", KL_E_PERMISSION, SOURCE, ""),
    no("100019", KL_E_AUTH, SOURCE, ""),
    no("100020", KL_E_AUTH, SOURCE, ""),
    no("100021", KL_E_AUTH, SOURCE, ""),
    no("100023", KL_E_AUTH, SOURCE, ""),
    GATEWAY[0], GATEWAY[1], GATEWAY[2], GATEWAY[3], GATEWAY[4], GATEWAY[5], GATEWAY[6], GATEWAY[7], GATEWAY[8],
];

/// [`ROWS`] as it ships.
pub(in crate::platform) static PACK: Pack<{ ROWS.len() }, { text_of(ROWS) }> = Pack::of(ROWS);

/// To `authorize`, which asks for no scope, this code says that the platform could not store its code.
const NOT_STORED: &str = "100018";

/// An answer with the platform's envelope.
struct Envelope {
    code: i64,
    message: String,
}

/// The envelope, `data` as JSON, and `data` as it came.
struct Parsed<'a> {
    envelope: Envelope,
    data: std::borrow::Cow<'a, str>,
    raw: &'a str,
}

impl Zhiyun {
    /// Checks the envelope and reads `data`: as JSON, and as it came. `authorizing`: the answer is that of `authorize`.
    pub(super) fn with_data<T>(
        &self,
        reply: &Reply,
        authorizing: bool,
        read: impl FnOnce(&str, &str) -> Read<T>,
    ) -> Result<T> {
        let text = json::decoded(&reply.body);
        let parsed = if self.xml { from_xml(&text) } else { from_json(&text) };
        let Parsed { envelope, data, raw } = match (parsed, http_error(reply)) {
            (Ok(whole), Some(_)) if whole.envelope.code == 200 => return Err(odd_success(reply.status)),
            // A refusal under a bad status still names the reason.
            (Ok(whole), _) => whole,
            (Err(error), trouble) => return Err(self.no_envelope(&text, reply, trouble.unwrap_or(error))),
        };
        if envelope.code != 200 {
            return Err(self.refused(envelope, reply, authorizing));
        }
        read(&data, raw).map_err(|b: Bad| b.under("data").error("the answer"))
    }

    /// Half an envelope may have been a success; whatever else is no envelope comes from something in front of the platform.
    fn no_envelope(&self, text: &str, reply: &Reply, error: Error) -> Error {
        let error = error.with(|d| d.http_status = reply.status.into());
        if may_hold_envelope(reply, text, &["code"]) || text.contains("<apiResponse") {
            return error;
        }
        match self.refusals.gateway(reply.status) {
            Some(meaning) if meaning.proves => error.with(|d| {
                d.status = meaning.status;
                d.outcome = Outcome::NotDone;
            }),
            _ => error,
        }
    }

    fn refused(&self, envelope: Envelope, reply: &Reply, authorizing: bool) -> Error {
        let Envelope { code, message } = envelope;
        let name = code.to_string();
        let stored = !(authorizing && name == NOT_STORED);
        let meaning = self.refusals.meaning(reply.status, &name).filter(|_| stored);
        let status = match meaning {
            Some(meaning) => meaning.status,
            None if reply.status == 429 => KL_E_RATE_LIMIT,
            None => KL_E_PLATFORM,
        };
        let mut sentence = ["Zhiyun refused, code ", &name, " ", &words(&message)].concat();
        if let Some(hint) = meaning.map(|m| m.hint).filter(|h| !h.is_empty()) {
            sentence.push_str("; ");
            sentence.push_str(hint);
        }
        Error::new(status, sentence).with(|d| {
            d.http_status = reply.status.into();
            d.platform_code = i32::try_from(code).unwrap_or(0);
            // In trouble, or could not store its code: worth another try.
            if name == "500" || !stored {
                d.advice = Advice::Retry;
            }
            if meaning.is_some_and(|m| m.proves) {
                d.outcome = Outcome::NotDone;
            }
            d.platform_name = name;
            d.platform_message = message;
        })
    }
}

/// A success under a bad HTTP status is not believed.
#[cold]
fn odd_success(http: u16) -> Error {
    let number = http.to_string();
    let message = ["HTTP ", &number, " over an answer that says ok"].concat();
    Error::new(KL_E_HTTP, message).with(|d| d.http_status = http.into())
}

fn envelope(o: &Object<'_>) -> Read<Envelope> {
    let code = strict::text(o, "code")?;
    let code = scaled(&code, 0).ok_or_else(|| Bad::new("code", "is no whole number"))?;
    Ok(Envelope { code, message: lenient::text(o, &["message"]) })
}

fn from_json(text: &str) -> Result<Parsed<'_>> {
    let read = || -> Read<Parsed<'_>> {
        let o = Json::parse(text.as_bytes())?.object()?;
        let data = o.get("data")?.map_or("null", Json::text);
        Ok(Parsed { envelope: envelope(&o)?, data: data.into(), raw: data })
    };
    read().map_err(|b| b.error("the answer"))
}

fn from_xml(text: &str) -> Result<Parsed<'_>> {
    let wrong = |why: &str| Error::new(KL_E_PROTOCOL, ["the answer ", why].concat());
    let root = xml::parse(text.as_bytes())
        .map_err(|b| wrong(&[b.why, " (byte ", &b.at.to_string(), ")"].concat()))?;
    if root.name != "apiResponse" {
        return Err(wrong(&["is <", &words(root.name), ">, expected <apiResponse>"].concat()));
    }
    if root.children.is_empty() {
        return Err(wrong("is empty"));
    }
    let whole = root.json();
    let envelope = Json::parse(whole.as_bytes())
        .and_then(Json::object)
        .and_then(|o| envelope(&o))
        .map_err(|b| b.error("the answer"))?;
    let data = root.child("data");
    let as_json = data.map_or_else(|| "null".to_owned(), |d| d.json());
    Ok(Parsed { envelope, data: as_json.into(), raw: data.map_or("", |d| d.source) })
}

/// The person. Nothing hangs on a field: what is odd is not told.
pub(super) fn user(o: &Object<'_>, raw: &str) -> User {
    let text = |key| lenient::text(o, &[key]);
    User {
        username: text("username"),
        name: text("truename"),
        sex: text("sex"),
        phone: text("phone"),
        is_admin: lenient::yes(o, &["is_admin"]).into(),
        avatar_url: text("avatar"),
        created_at: lenient::time(o, &["created"]),
        now: lenient::int(o, &["nowtime"]).unwrap_or(0),
        raw: raw.to_owned(),
    }
}

/// The company, read as the person is.
pub(super) fn company(o: &Object<'_>, raw: &str) -> Company {
    let text = |key| lenient::text(o, &[key]);
    Company {
        name: text("company_name"),
        kind: text("company_type"),
        tax_number: text("tax_number"),
        address: [text("province"), text("city"), text("zone"), text("address")].concat(),
        phone: text("tel_phone"),
        legal_person: text("legal_person_name"),
        legal_person_phone: text("legal_person_phone"),
        created_at: lenient::time(o, &["created"]),
        now: lenient::int(o, &["nowtime"]).unwrap_or(0),
        raw: raw.to_owned(),
    }
}
