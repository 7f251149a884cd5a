//! Callbacks. The vendor signs none, so they are hints: a reason to ask.

use super::DELIVERY_RESPONSE;
use super::records::{id_of, said};
use crate::error::{Error, Result};
use crate::event::{Event, EventKind, NO_IDENTITY, SignedWith};
use crate::json::{self, Bad, Json, Kind as JsonKind, Object, Writer};
use crate::model::DeliveryState;
use crate::platform::fields::{Read, lenient, strict};
use crate::status::*;
use kiosklink_wire::form;
use md5::{Digest, Md5};

/// The event in a callback's body: JSON or a form, the vendor does not say which.
pub(super) fn event(body: &[u8]) -> Result<Event> {
    let malformed = |why: &str| Error::new(KL_E_EVENT, ["the callback: ", why].concat());
    let text;
    let content = match body.iter().find(|b| !b.is_ascii_whitespace()) {
        None => return Err(malformed("has no body")),
        Some(b'{' | b'[') => json::decoded(body),
        // A mark before JSON.
        Some(0xef) => json::decoded(body),
        Some(_) => {
            text = from_form(body.trim_ascii()).map_err(malformed)?;
            text.into()
        }
    };
    Json::parse(content.as_bytes()).and_then(delivered).map_err(|b| malformed(&b.sentence("the content")))
}

/// A form as JSON. A value that is no text (GBK) is not told; a name that is none is an error.
fn from_form(body: &[u8]) -> std::result::Result<String, &'static str> {
    let mut w = Writer::new();
    for pair in body.split(|b| *b == b'&').filter(|p| !p.is_empty()) {
        let cut = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
        let name = form::unescape(&pair[..cut]).map_err(|_| "is neither JSON nor a form")?;
        let value = form::unescape(pair.get(cut + 1..).unwrap_or_default()).unwrap_or_default();
        w.text(&name, &value);
    }
    Ok(w.finish())
}

fn delivered(content: Json<'_>) -> Read<Event> {
    let o = content.object()?;
    let mut event = Event {
        signed_with: SignedWith::Nothing,
        method: strict::text(&o, "method")?,
        order_no: number(&o, "order_id")?,
        item_no: number(&o, "record_id")?,
        amount: -1,
        json: content.text().to_owned(),
        ..Event::default()
    };
    let mut status = String::new();
    if event.method == DELIVERY_RESPONSE {
        event.kind = EventKind::Delivery;
        status = lenient::text(&o, &["deliver_status"]);
        if event.order_no.is_empty() && status.is_empty() {
            return Err(json::missing("order_id"));
        }
        event.delivery = match status.as_str() {
            "1" => DeliveryState::Delivered,
            "0" => DeliveryState::Failed,
            // What is sent after a timeout, and when an unpaid order expires, is not documented.
            _ => DeliveryState::Unknown,
        };
        event.message = said(&o, &["error_msg", "fail_reason"]);
    }
    let known = event.kind == EventKind::Delivery;
    if known && matches!(event.order_no.as_str(), "" | "0") {
        // A test of a lane belongs to no order: every such notice looks like the one before.
        event.identity = NO_IDENTITY;
        return Ok(event);
    }
    // Staff can send a notice again, and one that says the contrary: the latter is news, the former is not.
    let mut md5 = Md5::new();
    let whole = if known { "" } else { &event.json };
    for part in [&event.method, &event.order_no, &event.item_no, &status, whole] {
        md5.update(part);
        md5.update([0]);
    }
    event.identity = md5.finalize().into();
    Ok(event)
}

/// The number of an order or an item: it says which command is asked about, so an odd one is an error.
fn number(o: &Object<'_>, key: &str) -> Read<String> {
    match o.get(key)? {
        Some(v) if !matches!(v.kind(), JsonKind::String | JsonKind::Number) => {
            Err(Bad::new(key, "is neither a text nor a number"))
        }
        _ => Ok(id_of(o, key)),
    }
}

/// The body that answers one. The vendor asks for HTTP 200 and reads none.
pub(super) fn reply(code: i32, message: &str, data_json: Option<&str>) -> Result<String> {
    let mut w = Writer::new();
    w.int("code", code.into()).text("message", message);
    if let Some(data) = data_json {
        json::params(data, "data_json")?;
        w.raw("data", data);
    }
    Ok(w.finish())
}
