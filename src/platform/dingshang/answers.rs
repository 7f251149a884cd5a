//! What an answer means: the envelope, then the platform's `data` as the model.

use super::Dingshang;
use super::records::{cabinet, code, dispensed, id_of, listed, must, order, products, redeemed};
use super::recovery::{Whose, whose};
use super::refusals;
use super::requests::trade_id;
use crate::error::{Advice, Error, Outcome, Result};
use crate::json::Complains as _;
use crate::json::{self, Bad, Json, Tape};
use crate::model::*;
use crate::platform::fields::{Read, lenient, scalar, scaled, strict};
use crate::platform::toolbox::{canonical_code, is_spoilt, may_hold_envelope};
use crate::platform::{Answer, Op, http_error};
use crate::status::*;
use crate::transport::Reply;

/// An answer with the platform's envelope.
struct Envelope<'a> {
    data: Option<Json<'a>>,
    code: i64,
    message: String,
}

impl Dingshang {
    /// What the reply to an operation means.
    pub(super) fn understood(&self, op: &Op<'_>, reply: &Reply) -> Result<Answer> {
        let text = json::decoded(&reply.body);
        let mut tape = Tape::default();
        let Envelope { data, code, message } = self.envelope(&text, &mut tape, reply)?;
        // Some refusals carry code 0.
        if code == 0 && message == "ok" {
            return if reply.status == 200 { success(op, data) } else { Err(odd_success(reply.status)) };
        }
        let refusal = refusals::error(&self.refusals, reply.status, code, message).with(|d| {
            let wait = http_error(reply).map_or(0, |e| e.details().retry_after_ms);
            d.retry_after_ms = wait;
        });
        // The code is used, or our number: an order that is named with it may be the one that an earlier try made.
        if matches!(op, Op::CodeRedeem(_)) && matches!(refusal.status(), KL_E_CODE_USED | KL_E_DUPLICATE) {
            let order_no = data.and_then(|d| d.object().ok()).map(|o| id_of(&o, "order_id"));
            if let Some(order_no) = order_no.filter(|n| !n.is_empty()) {
                return Ok(Answer::UsedBy { order_no, refusal });
            }
        }
        Err(refusal)
    }

    /// The envelope, whatever the HTTP status; without one the answer is not the platform's.
    fn envelope<'a>(&self, text: &'a str, tape: &'a mut Tape, reply: &Reply) -> Result<Envelope<'a>> {
        let parsed = Json::parse_all(text, tape).and_then(Json::object);
        let read = |o: &json::Object<'a>| -> Read<Envelope<'a>> {
            let number = strict::text(o, "code")?;
            let code = scaled(&number, 0).ok_or_else(|| Bad::new("code", "is no whole number"))?;
            // Behind a code the words are an ornament; behind 0 they decide, and then they must be there.
            let message = o.get("message").ok().flatten().map(scalar).unwrap_or_default().into_owned();
            if code == 0 && message.is_empty() {
                return Err(json::missing("message"));
            }
            Ok(Envelope { data: o.get("data")?, code, message })
        };
        let bad = match parsed {
            Ok(o) => match read(&o) {
                Ok(envelope) => return Ok(envelope),
                // A gateway's own JSON has neither, and says something; it does not say yes.
                Err(_) if is_gateways(&o) && !is_spoilt(reply, text) => {
                    return Err(self.not_the_platform(reply));
                }
                Err(bad) => bad,
            },
            // Half an envelope may have been a success.
            Err(bad) if may_hold_envelope(reply, text, &["code"]) => bad,
            Err(bad) if http_error(reply).is_none() => bad,
            Err(_) => return Err(self.not_the_platform(reply)),
        };
        let broken = bad.error("the answer").with(|d| d.http_status = reply.status.into());
        // A read goes by the status: whether to try again. That credentials were refused is not said by half an answer.
        Err(match http_error(reply) {
            Some(error) if error.status() == KL_E_RATE_LIMIT => error,
            Some(error) => error.with(|d| {
                d.status = KL_E_HTTP;
                d.advice = Advice::Retry;
                d.message = [&d.message, "; ", broken.message()].concat();
            }),
            None => broken,
        })
    }

    /// An answer of something in front of the platform. It proves that nothing was done only if a row of the table says so.
    fn not_the_platform(&self, reply: &Reply) -> Error {
        let error = http_error(reply).unwrap_or_else(|| {
            json::missing("code").error("the answer").with(|d| d.http_status = reply.status.into())
        });
        match self.refusals.gateway(reply.status) {
            Some(meaning) => error.with(|d| {
                d.status = meaning.status;
                if meaning.proves {
                    d.outcome = Outcome::NotDone;
                }
            }),
            None => error,
        }
    }
}

fn is_gateways(o: &json::Object<'_>) -> bool {
    let yes = lenient::text(o, &["message"]).eq_ignore_ascii_case("ok");
    !has(o, "code") && !has(o, "data") && !yes
}

fn has(o: &json::Object<'_>, key: &str) -> bool {
    o.fields().iter().any(|(name, _)| name == key)
}

/// A success under another status than 200 is not believed, and not disbelieved.
#[cold]
fn odd_success(http: u16) -> Error {
    let number = http.to_string();
    let message =
        ["HTTP ", &number, " over an answer that says ok: whether it was done is not known"].concat();
    Error::new(KL_E_HTTP, message).with(|d| d.http_status = http.into())
}

fn success(op: &Op<'_>, data: Option<Json<'_>>) -> Result<Answer> {
    let bad = |b: Bad| b.under("data").error("the answer");
    let needed = || data.ok_or_else(|| json::missing("data").error("the answer"));
    Ok(match op {
        Op::Ping => Answer::Pong,
        Op::CabinetList { page } => {
            let all = listed(data, cabinet).map_err(bad)?;
            let total = Some(all.len() as u64);
            // There is one page, however many are asked for.
            let items = if page.number == 1 { all } else { Vec::new() };
            Answer::Cabinets(Page { items, total, more: Some(false) })
        }
        Op::Stock { cabinet_id, .. } => Answer::Stock(products(data, cabinet_id).map_err(bad)?),
        Op::DoorOpen(r) => Answer::Taken(dispensed(data, r)),
        Op::CodeRedeem(r) => Answer::Taken(redemption(needed()?, r)?),
        Op::CodeList(q) => {
            let items = listed(data, |o, text| code(o, text, q)).map_err(bad)?;
            Answer::Codes(Page { total: Some(items.len() as u64), items, more: Some(false) })
        }
        Op::CodeLookup(q) => {
            let all = listed(data, |o, text| code(o, text, q)).map_err(bad)?;
            let wanted = canonical_code(&q.code);
            let found = all.into_iter().find(|c| canonical_code(&c.code) == wanted).ok_or_else(|| {
                Error::new(
                    KL_E_NOT_FOUND,
                    "the code is not among those that can still be used for this product on this machine: it \
                     is used, expired, cancelled, for another product, or was never made",
                )
            })?;
            Answer::Code(Box::new(found))
        }
        Op::OrderGet(r) => {
            let order = order(needed()?, &r.cabinet_id).map_err(bad)?;
            if !r.order_no.is_empty() && order.order_no != r.order_no {
                return Err(bad(Bad::new("order_id", "is of another order than was asked for")));
            }
            Answer::Order(Box::new(order))
        }
        Op::OrderCreate(_) => {
            let data = needed()?;
            let order_no = data.object().and_then(|o| must(&o, "order_id")).map_err(bad)?;
            Answer::Taken(Receipt { order_no, json: data.text().to_owned(), ..Receipt::default() })
        }
        _ => Answer::Json(data.map_or("null", Json::text).to_owned()),
    })
}

/// The order that a redemption made. It is what the goods are dispensed by, so it must be ours and whole.
fn redemption(data: Json<'_>, r: &RedeemRequest) -> Result<Receipt> {
    let bad = |b: Bad| b.under("data").error("the answer");
    let order = order(data, &r.cabinet_id).map_err(bad)?;
    if whose(&trade_id(r)?, &order.trade_no) == Whose::Others {
        return Err(bad(Bad::new("trade_id", "is not the one that was sent")));
    }
    let receipt = redeemed(&order);
    // Nothing can be dispensed without it; asking again finds the order whole.
    if receipt.item_no.is_empty() { Err(bad(json::missing("records"))) } else { Ok(receipt) }
}
