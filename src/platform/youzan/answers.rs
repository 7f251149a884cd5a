//! The four shapes of an answer, and what a refusal in one of them means.

use super::super::fields::{lenient, scalar, scaled};
use super::super::http_error;
use super::super::refusals::{Meaning, Refusals};
use super::super::toolbox::{is_spoilt, may_hold_envelope};
use super::refusals::{ADDRESS_REFUSED, PASSING, RATE_PAUSE_MS};
use crate::error::{Advice, Error, Outcome, Result, words};
use crate::json::Complains as _;
use crate::json::{self, Bad, Json, Kind as JsonKind, Object, Tape};
use crate::model::Page;
use crate::status::*;
use crate::transport::Reply;

/// An answer that says yes.
pub(super) struct Payload<'a> {
    /// What was asked for, if the platform sent anything.
    pub(super) data: Option<Json<'a>>,
    /// The name of the field that held it.
    pub(super) at: &'static str,
    /// The envelope: some lists put their counts there.
    outer: Object<'a>,
}

impl<'a> Payload<'a> {
    /// What was asked for; an error if there is none.
    pub(super) fn data(&self) -> Result<Json<'a>> {
        self.data.ok_or_else(|| json::missing(self.at).error("the answer"))
    }

    /// A list with its count, inside the data or beside it, or the data itself as a list. An odd record is given as it can
    /// be read; a list that is not there is an error, because an empty one says that there is nothing.
    pub(super) fn page<T>(&self, list: &str, count: &str, read: impl Fn(Json<'_>) -> T) -> Result<Page<T>> {
        let inner = self.data.and_then(|data| data.object().ok());
        let boxes: Vec<&Object<'_>> = inner.iter().chain([&self.outer]).collect();
        let whole = self.data.filter(|data| data.kind() == JsonKind::Array);
        let found = whole.or_else(|| boxes.iter().find_map(|o| o.get(list).ok().flatten()));
        let total = boxes.iter().find_map(|o| lenient::int(o, &[count])).and_then(|n| u64::try_from(n).ok());
        let bad = |b: Bad| b.under(self.at).error("the answer");
        let items: Vec<T> = match found {
            Some(value) if lists_nothing(value) => Vec::new(),
            Some(value) => {
                let records = lenient::items(value);
                if records.is_empty() {
                    return Err(bad(Bad::new(list, "is no list")));
                }
                records.into_iter().map(read).collect()
            }
            // A list of nothing may be left out.
            None if total == Some(0) => Vec::new(),
            None => return Err(bad(json::missing(list))),
        };
        let more = if items.is_empty() { Some(false) } else { None };
        Ok(Page { items, total, more })
    }
}

/// The ways to write an empty list.
fn lists_nothing(value: Json<'_>) -> bool {
    match value.kind() {
        JsonKind::Array => value.array().is_ok_and(|items| items.is_empty()),
        JsonKind::Object => value.object().is_ok_and(|o| o.fields().is_empty()),
        JsonKind::String => value.string_lossy().trim().is_empty(),
        JsonKind::Bool => value.text() == "false",
        _ => false,
    }
}

/// A refusal in one of the shapes.
struct Refusal {
    /// As it stands there; empty if there is none.
    code: String,
    message: String,
    /// The rest of the envelope says that it was done.
    contradicted: bool,
}

/// What an answer is.
enum Shape<'a> {
    Yes(Payload<'a>),
    No(Refusal),
    /// No envelope of the platform: whatever stands in front of it answered.
    None(Bad),
    /// The platform's envelope, or perhaps one, that cannot be read.
    Odd(Bad),
}

/// What was answered. `text` is the reply's body, `tape` room for its parts. Where the platform's envelope is in it, the envelope decides and not the
/// HTTP status; but a success under an error's status is believed as little as that status.
pub(super) fn payload<'a>(
    reply: &Reply,
    text: &'a str,
    tape: &'a mut Tape,
    table: &Refusals,
) -> Result<Payload<'a>> {
    let by_status = http_error(reply);
    match (shape(reply, text, tape), by_status) {
        (Shape::Yes(payload), None) => Ok(payload),
        (Shape::Yes(_), Some(_)) => {
            let status = reply.status.to_string();
            let sentence =
                ["HTTP ", &status, " over an answer that says yes: nobody knows which of them holds"];
            Err(Error::new(KL_E_HTTP, sentence.concat()).with(|d| d.http_status = reply.status.into()))
        }
        (Shape::No(refusal), by_status) => {
            let wait = by_status.map_or(0, |e| e.details().retry_after_ms);
            let error = refused(&refusal, table, reply.status);
            Err(error.with(|d| d.retry_after_ms = d.retry_after_ms.max(wait)))
        }
        (Shape::None(_), Some(error)) => {
            let proves = table.gateway(reply.status).is_some_and(|m| m.proves);
            Err(error.with(|d| d.outcome = if proves { Outcome::NotDone } else { Outcome::None }))
        }
        (Shape::None(bad) | Shape::Odd(bad), _) => {
            Err(bad.error("the answer").with(|d| d.http_status = reply.status.into()))
        }
    }
}

/// Which shape it is.
fn shape<'a>(reply: &Reply, text: &'a str, tape: &'a mut Tape) -> Shape<'a> {
    match Json::parse_all(text, tape).and_then(Json::object) {
        Ok(outer) if outer.fields().is_empty() && is_spoilt(reply, text) => {
            Shape::Odd(json::missing("success"))
        }
        Ok(outer) => envelope(outer).unwrap_or_else(Shape::Odd),
        Err(bad) if may_hold_envelope(reply, text, &["code", "response", "success"]) => Shape::Odd(bad),
        Err(bad) => Shape::None(bad),
    }
}

fn envelope(outer: Object<'_>) -> std::result::Result<Shape<'_>, Bad> {
    let success = lenient::yes(&outer, &["success"]);
    let (gateway, legacy) = (outer.get("gw_err_resp")?, outer.get("error_response")?);
    let (response, code) = (outer.get("response")?, outer.get("code")?);
    let told = |o: &Object<'_>, keys: &[&str]| lenient::text(o, keys);
    if let Some((part, at)) = gateway.map(|g| (g, "gw_err_resp")).or(legacy.map(|l| (l, "error_response"))) {
        let o = part.object().map_err(|b| b.under(at))?;
        let code = told(&o, &["err_code", "code"]);
        if code.is_empty() {
            return Err(json::missing("code").under(at));
        }
        let contradicted =
            success == Some(true) || response.is_some() || gateway.is_some() && legacy.is_some();
        return Ok(Shape::No(Refusal { code, message: message(&o), contradicted }));
    }
    let code_text = code.map(scalar).unwrap_or_default().into_owned();
    let good_code = code.is_none() || code_text == "200";
    if let Some(data) = response {
        if success == Some(false) || !good_code {
            return Err(Bad::new("response", "stands beside a refusal"));
        }
        return Ok(Shape::Yes(Payload { data: Some(data), at: "response", outer }));
    }
    if let (Some(true), Some(data)) = (success, code.filter(|c| c.kind() == JsonKind::Object)) {
        // The vendor's table of the logistics query prints the parcel under this name.
        return Ok(Shape::Yes(Payload { data: Some(data), at: "code", outer }));
    }
    match success {
        Some(true) if good_code => {
            let data = outer.get("data")?;
            Ok(Shape::Yes(Payload { data, at: "data", outer }))
        }
        // Some services leave `success` out of a refusal.
        _ if !code_text.is_empty() && !good_code || success == Some(false) => Ok(Shape::No(Refusal {
            code: code_text,
            message: message(&outer),
            contradicted: success == Some(true),
        })),
        // What is left of an envelope.
        _ if ["code", "success", "data", "trace_id", "err_code"]
            .iter()
            .any(|key| outer.fields().iter().any(|(k, _)| k == key)) =>
        {
            Err(json::missing("success"))
        }
        _ => Ok(Shape::None(json::missing("success"))),
    }
}

/// The words of a refusal, for people.
fn message(o: &Object<'_>) -> String {
    lenient::text(o, &["err_msg", "message", "msg"])
}

/// The longest code that is one.
const LONGEST_CODE: usize = 64;

/// What the table says of a code and its text, and the name by which it says so. A text that no row bears is not made a
/// name: it may repeat whatever was sent.
fn look_up<'t>(refusal: &Refusal, table: &'t Refusals, http: u16) -> (String, Option<Meaning<'t>>) {
    let Refusal { code, message, .. } = refusal;
    let exact = [code, " ", message.trim()].concat();
    if let Some(meaning) = table.meaning(http, &exact) {
        return (exact, Some(meaning));
    }
    if code.is_empty() || code.len() > LONGEST_CODE {
        return (String::new(), None);
    }
    (code.clone(), table.meaning(http, code))
}

fn refused(refusal: &Refusal, table: &Refusals, http: u16) -> Error {
    let (name, meaning) = look_up(refusal, table, http);
    let meaning = meaning.filter(|_| !refusal.contradicted);
    let number = scaled(&refusal.code, 0).and_then(|n| i32::try_from(n).ok()).unwrap_or(0);
    // The status alone tells a read to wait; it proves nothing over an answer of the platform.
    let unnamed = if http == 429 { KL_E_RATE_LIMIT } else { KL_E_PLATFORM };
    let mut status = meaning.map_or(unnamed, |m| m.status);
    let mut hint = meaning.map_or("", |m| m.hint);
    if number == 4007 && refusal.message.starts_with(ADDRESS_REFUSED) {
        status = KL_E_PERMISSION;
        hint = "put this site's address on the application's IP whitelist in the console";
    }
    let code = if refusal.code.is_empty() { "none" } else { &refusal.code };
    let mut sentence = ["Youzan refused, code ", &words(code), " ", &words(&refusal.message)].concat();
    if !hint.is_empty() {
        sentence.push_str("; ");
        sentence.push_str(hint);
    }
    Error::new(status, sentence).with(|d| {
        d.http_status = http.into();
        d.platform_code = number;
        d.platform_name = name;
        d.platform_message = refusal.message.clone();
        if meaning.is_some_and(|m| m.proves) {
            d.outcome = Outcome::NotDone;
        }
        if status == KL_E_RATE_LIMIT {
            d.retry_after_ms = RATE_PAUSE_MS;
        }
        if status == KL_E_PLATFORM && PASSING.contains(&number) {
            d.advice = Advice::Retry;
        }
    })
}
