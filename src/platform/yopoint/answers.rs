//! What Yopoint's answers mean.

use super::{Yopoint, records};
use crate::error::{Error, Outcome, Result, words};
use crate::json::Complains as _;
use crate::json::{self, Bad, Json, Kind as JsonKind, Object, Tape};
use crate::model::*;
use crate::platform::fields::{lenient, strict};
use crate::platform::refusals::Meaning;
use crate::platform::toolbox::is_spoilt;
use crate::platform::{Answer, Op, http_error};
use crate::status::*;
use crate::transport::Reply;

/// What a row about the answer to a payment report is scoped by, instead of a method.
const NOTIFY_URL: &str = "NotifyUrl";

impl Yopoint {
    /// What the reply to an operation means.
    pub(super) fn understood(&self, op: &Op<'_>, reply: &Reply) -> Result<Answer> {
        let text = json::decoded(&reply.body);
        if let Op::PaymentReport(_) = op {
            return self.report_answer(reply, text.trim());
        }
        let method = self.method(op).unwrap_or_default();
        let mut tape = Tape::default();
        let data = self.envelope(method, reply, &text, &mut tape)?;
        let bad = |b: Bad| b.under("data").error("the answer");
        let needed = || data.ok_or_else(|| json::missing("data").error("the answer"));
        Ok(match op {
            Op::Ping => Answer::Pong,
            Op::CabinetList { .. } => {
                Answer::Cabinets(records::page(needed()?, records::cabinet).map_err(bad)?)
            }
            Op::Stock { page, .. } => {
                let mut stock = records::page(needed()?, records::stock_item).map_err(bad)?;
                if self.vending {
                    whole_at_once(&mut stock, page.number);
                }
                Answer::Stock(stock)
            }
            Op::OrderList { query, .. } => Answer::Orders(
                records::page(needed()?, |record| records::order(record, query.kind)).map_err(bad)?,
            ),
            Op::OrderGet(r) => {
                let record = only(data, "order")?;
                let order = records::order(record, r.kind);
                if order.order_no.is_empty() {
                    return Err(bad(json::missing("ReceiptNo")));
                }
                Answer::Order(Box::new(order))
            }
            Op::CodeLookup(query) => {
                Answer::Code(Box::new(records::code(only(data, "voucher code")?, query)))
            }
            Op::DoorOpen(_) | Op::OrderCreate(_) => Answer::Taken(records::receipt(needed()?).map_err(bad)?),
            // Its answer is not public; the envelope says that it was redeemed.
            Op::CodeRedeem(_) => Answer::Taken(Receipt {
                order_no: data
                    .and_then(|d| d.object().ok())
                    .map(|o| records::word(&o, &["ReceiptNo"]))
                    .unwrap_or_default(),
                json: data.map_or("null", Json::text).to_owned(),
                ..Receipt::default()
            }),
            _ => Answer::Json(data.map_or("null", Json::text).to_owned()),
        })
    }

    /// Checks the envelope and gives `data`, if there is any. The envelope decides and not the HTTP status: but a success
    /// under a status that says otherwise is none.
    fn envelope<'t>(
        &self,
        method: &str,
        reply: &Reply,
        text: &'t str,
        tape: &'t mut Tape,
    ) -> Result<Option<Json<'t>>> {
        let parsed = Json::parse_all(text, tape)
            .and_then(Json::object)
            .and_then(|o| strict::int(&o, "error_code").map(|code| (o, code)));
        match parsed {
            Ok((_, 0)) if http_error(reply).is_some() => Err(contradiction(reply)),
            Ok((o, 0)) => o.get("data").map_err(|b| b.error("the answer")),
            Ok((o, code)) => Err(self.refusal(method, reply, &o, code)),
            Err(bad) => Err(self.no_envelope(reply, text, bad)),
        }
    }

    /// What the table says of a name for this method.
    fn meaning(&self, http: u16, method: &str, name: &str) -> Option<Meaning<'_>> {
        if name.is_empty() {
            return None;
        }
        let scoped = [method, " ", name].concat();
        self.refusals.meaning(http, &scoped).or_else(|| self.refusals.meaning(http, name))
    }

    fn refusal(&self, method: &str, reply: &Reply, o: &Object<'_>, code: i64) -> Error {
        let name = lenient::text(o, &["error_msg"]);
        let sub = lenient::text(o, &["sub_error_msg"]);
        let said = if sub.is_empty() { name.clone() } else { [&name, ": ", &sub].concat() };
        let meaning = self.meaning(reply.status, method, &name);
        let status = match meaning {
            Some(m) => m.status,
            None if reply.status == 429 => KL_E_RATE_LIMIT,
            None => KL_E_PLATFORM,
        };
        let mut sentence =
            ["Yopoint refused, error_code ", &code.to_string(), " ", &words(said.trim_end())].concat();
        if let Some(m) = meaning.filter(|m| !m.hint.is_empty()) {
            sentence = [&sentence, ": ", m.hint].concat();
        }
        Error::new(status, sentence).with(|d| {
            d.http_status = reply.status.into();
            d.platform_code = i32::try_from(code).unwrap_or(i32::MAX);
            d.platform_name = name;
            d.platform_message = said;
            d.retry_after_ms = http_error(reply).map_or(0, |e| e.details().retry_after_ms);
            if meaning.is_some_and(|m| m.proves) {
                d.outcome = Outcome::NotDone;
            }
        })
    }

    /// An answer that is no envelope: a gateway's, or a broken one of the platform.
    fn no_envelope(&self, reply: &Reply, text: &str, bad: Bad) -> Error {
        let Some(by_status) = http_error(reply) else {
            return bad.error("the answer").with(|d| d.http_status = reply.status.into());
        };
        // Half an envelope is the platform's answer, whatever it said.
        if text.contains("error_code") || text.contains("error_msg") || is_spoilt(reply, text) {
            return by_status;
        }
        self.by_gateway(reply, by_status)
    }

    fn by_gateway(&self, reply: &Reply, by_status: Error) -> Error {
        let Some(m) = self.refusals.gateway(reply.status) else { return by_status };
        let retry_after_ms = by_status.details().retry_after_ms;
        Error::new(m.status, ["HTTP ", &reply.status.to_string(), ": ", m.hint].concat()).with(|d| {
            d.http_status = reply.status.into();
            d.retry_after_ms = retry_after_ms;
            if m.proves {
                d.outcome = Outcome::NotDone;
            }
        })
    }

    /// The older flow answers `success` as plain text, the gateway an envelope; both are taken.
    fn report_answer(&self, reply: &Reply, text: &str) -> Result<Answer> {
        if text.starts_with('{') {
            return self
                .envelope(NOTIFY_URL, reply, text, &mut Tape::default())
                .map(|data| Answer::Json(data.map_or("null", Json::text).to_owned()));
        }
        let success = text.eq_ignore_ascii_case("success");
        if let Some(by_status) = http_error(reply) {
            return Err(match text.as_bytes().first() {
                // Also behind a warning of the service's own scripts.
                _ if text.to_ascii_lowercase().contains("success") => contradiction(reply),
                _ if text.contains("error_code") => by_status,
                // A page of HTML: not the service, which answers in words. Nor does it say 401 or 429 to a report: whoever does
                // has not handed it on. Nothing at all, or no text, may be what is left of its word.
                Some(b'<') => self.by_gateway(reply, by_status),
                Some(_) if matches!(reply.status, 401 | 429) && is_words(text) => {
                    self.by_gateway(reply, by_status)
                }
                _ => by_status,
            });
        }
        if success {
            return Ok(Answer::Json("\"success\"".into()));
        }
        let words: String = text.chars().filter(|c| !c.is_control()).take(100).collect();
        let said = if words.starts_with('<') || words.is_empty() {
            "something else"
        } else if words.eq_ignore_ascii_case("fail") || words.eq_ignore_ascii_case("error") {
            "a refusal"
        } else {
            "other words"
        };
        let sentence = ["the payment report was answered with ", said, ", not \"success\""].concat();
        Err(Error::new(KL_E_PLATFORM, sentence).with(|d| {
            d.http_status = reply.status.into();
            d.platform_message = words;
        }))
    }
}

/// A success under an HTTP status that says otherwise.
fn contradiction(reply: &Reply) -> Error {
    let retry_after_ms = http_error(reply).map_or(0, |e| e.details().retry_after_ms);
    let status = if reply.status == 429 { KL_E_RATE_LIMIT } else { KL_E_HTTP };
    let sentence =
        ["HTTP ", &reply.status.to_string(), " over an answer that says success: neither is believed"];
    Error::new(status, sentence.concat()).with(|d| {
        d.http_status = reply.status.into();
        d.retry_after_ms = retry_after_ms;
    })
}

/// The one record that was asked for: `data`, or a list of one, which some gateways answer to a query by number.
fn only<'t>(data: Option<Json<'t>>, what: &str) -> Result<Json<'t>> {
    let none = || Error::new(KL_E_NOT_FOUND, ["the platform knows no such ", what].concat());
    let data = data.filter(|d| !records::is_nothing(*d)).ok_or_else(none)?;
    if data.kind() != JsonKind::Array {
        return data.object().map(|_| data).map_err(|b| b.under("data").error("the answer"));
    }
    match data.array().unwrap_or_default()[..] {
        [record] => Ok(record),
        _ => Err(Bad::new("data", "holds several records where one was asked for").error("the answer")),
    }
}

/// A list that has no pages: the first is all of it.
fn whole_at_once<T>(page: &mut Page<T>, number: u32) {
    if number > 1 {
        page.items.clear();
    }
    page.more.get_or_insert(false);
}

/// Whether it is text that somebody wrote: a spoilt body holds other bytes.
fn is_words(text: &str) -> bool {
    !text.chars().any(|c| c == char::REPLACEMENT_CHARACTER || c.is_control() && !c.is_whitespace())
}
