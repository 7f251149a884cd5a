//! What Yopoint tells by itself: verified first, then read.
//!
//! Once the signature holds, a notice is not lost for an odd field: kind, order number and the platform's content are
//! given, what cannot be read is not told, and where money or a door hangs on it, `message` names the field.

use super::records::{cabinet, delivery, order, order_lines, word};
use super::{Yopoint, recovery, sign};
use crate::command::Physical;
use crate::error::{Error, Result};
use crate::event::{Event, EventKind, SignedWith};
use crate::json::{self, Bad, Json, Kind as JsonKind, Object, Writer};
use crate::model::*;
use crate::platform::fields::{self, lenient, strict};
use crate::platform::toolbox::same;
use crate::platform::{CallsBack, Known, Verdict};
use crate::status::*;
use kiosklink_wire::form;
use md5::{Digest, Md5};

/// How old a payment page's redirect may be, as the vendor asks.
const PAY_PAGE_WINDOW_MS: u64 = 60_000;
/// How far the signed time of any other callback may lie from ours: a day of repetitions by the platform, whose schedule is not
/// public, and no more, since old evidence is none.
const WINDOW_MS: u64 = 24 * 3_600_000;
/// A clock that says less was never set: nothing can be judged by it.
const CLOCK_IS_SET_MS: i64 = 1_577_836_800_000;

/// The fields of a callback, with values as they were signed.
type Fields = Vec<(String, Vec<u8>)>;

impl CallsBack for Yopoint {
    fn event_verdict(&self, known: &Known<'_>, event: &Event) -> Option<Verdict> {
        self.by_event(known, event)
    }

    fn event_movement(&self, event: &Event) -> Option<Physical> {
        match (event.kind, event.door) {
            // The machine reports after the door is shut again: so it was open.
            (EventKind::DoorClosed, DoorState::Shut | DoorState::Open) => Some(Physical::Confirmed),
            (EventKind::DoorClosed, DoorState::NeverOpened) => Some(Physical::Failed),
            (EventKind::Delivery | EventKind::VoucherRedeemed, _) => recovery::delivered(event.delivery),
            _ => None,
        }
    }

    fn event(&self, _headers: &str, body: &[u8], now_ms: i64) -> Result<Event> {
        let fields = fields_of(body).map_err(|why| malformed(&why))?;
        let field = |name: &str| {
            fields.iter().find(|(n, _)| n == name).map_or("".into(), |(_, value)| json::decoded(value))
        };
        let signed_with = self.verify(&fields, field("sign").trim())?;
        let sent_ms = signed_at(&field("timestamp"))?;
        let mut event = Event {
            signed_with,
            app_id: field("appid").into_owned(),
            sent_at: sent_ms.div_euclid(1000),
            method: field("method").into_owned(),
            amount: -1,
            ..Event::default()
        };
        if event.method.is_empty() && !field("receipt_no").is_empty() {
            return pay_page(event, |name| field(name).into_owned(), sent_ms, now_ms);
        }
        if event.method.is_empty() {
            return Err(malformed("method is missing"));
        }
        if now_ms >= CLOCK_IS_SET_MS && now_ms.abs_diff(sent_ms) > WINDOW_MS {
            return Err(Error::new(KL_E_EVENT_TIME, "the callback was signed more than a day ago or ahead"));
        }
        event.kind = kind_of(&event.method);
        event.json = content(&field("biz_content"));
        let text = event.json.clone();
        read(&mut event, &text).map_err(|b| malformed(&b.under("biz_content").sentence("the content")))?;
        let what = if event.notice_id.is_empty() { text.as_str() } else { &event.notice_id };
        event.identity =
            Md5::new().chain_update(&event.method).chain_update([0]).chain_update(what).finalize().into();
        Ok(event)
    }

    fn event_reply(
        &self,
        event: &Event,
        code: i32,
        message: &str,
        data_json: Option<&str>,
    ) -> Result<String> {
        let data = data_json.unwrap_or("{}");
        let object = json::params(data, "data_json")?;
        let mut w = Writer::new();
        w.int("error_code", code.into());
        w.raw("error_msg", &crate::error::quoted(message));
        match event.kind {
            // The probe is answered with its own content.
            EventKind::Test if data_json.is_none() => w.raw("data", &event.json),
            // The older flow reads the refund's result beside the code, not inside data.
            EventKind::RefundRequested => {
                for (name, value) in object.fields() {
                    w.raw(name, value.text());
                }
                if !object.fields().iter().any(|(name, _)| name == "data") {
                    w.raw("data", "{}");
                }
                &mut w
            }
            _ => w.raw("data", data),
        };
        Ok(w.finish())
    }
}

impl Yopoint {
    /// Which secret verifies these fields. Payment callbacks use the payment key, the others the AppSecret; for
    /// some the vendor does not say, so either is accepted.
    fn verify(&self, fields: &Fields, given: &str) -> Result<SignedWith> {
        if given.is_empty() {
            return Err(Error::new(KL_E_EVENT_SIGNATURE, "the callback has no sign"));
        }
        let given = given.to_ascii_lowercase();
        let mut signed: Vec<(&str, &[u8])> =
            fields.iter().filter(|(n, _)| n != "sign").map(|(n, v)| (n.as_str(), v.as_slice())).collect();
        let mut fits = |key: &str| same(sign(&mut signed, key).as_bytes(), given.as_bytes());
        if fits(&self.app_secret) {
            Ok(SignedWith::AppSecret)
        } else if self.pay_key.as_deref().is_some_and(fits) {
            Ok(SignedWith::PayKey)
        } else {
            Err(Error::new(KL_E_EVENT_SIGNATURE, "the callback's sign fits neither app_secret nor pay_key"))
        }
    }
}

#[cold]
fn malformed(why: &str) -> Error {
    Error::new(KL_E_EVENT, ["the callback: ", why].concat())
}

/// A form, as the vendor says; JSON or multipart, as its pages show too.
pub(super) fn fields_of(body: &[u8]) -> std::result::Result<Fields, String> {
    match body.trim_ascii() {
        [] => Err("has no body".into()),
        json @ [b'{', ..] => json_fields(json),
        parts @ [b'-', b'-', ..] => multipart_fields(parts),
        form => form::decode_bytes(form),
    }
}

fn json_fields(body: &[u8]) -> std::result::Result<Fields, String> {
    let object = Json::parse(body).and_then(Json::object).map_err(|b| b.sentence("the JSON"))?;
    let mut fields: Fields = Vec::new();
    for (name, value) in object.fields() {
        let text = match value.kind() {
            JsonKind::String => value.string_lossy().into_owned(),
            _ => value.text().to_owned(),
        };
        match fields.iter().find(|(n, _)| n == name) {
            // Twice with two values is refused: only one of them can have been signed.
            Some((_, before)) if *before == text.as_bytes() => {}
            _ => form::add_field(&mut fields, name.to_string(), text.into_bytes())?,
        }
    }
    Ok(fields)
}

/// The fields of `multipart/form-data`, whose first line is the boundary.
fn multipart_fields(body: &[u8]) -> std::result::Result<Fields, String> {
    let line_end = find(body, b"\n").ok_or("the multipart body has one line")?;
    let boundary = [b"\n", body[..line_end].trim_ascii_end()].concat();
    let mut rest = &body[line_end + 1..];
    let mut fields: Fields = Vec::new();
    while let Some(end) = find(rest, &boundary) {
        let part = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        let (head, value) = ["\r\n\r\n", "\n\n"]
            .iter()
            .find_map(|gap| find(part, gap.as_bytes()).map(|at| (&part[..at], &part[at + gap.len()..])))
            .ok_or("a part of the multipart body has no head")?;
        let name =
            part_name(&String::from_utf8_lossy(head)).ok_or("a part of the multipart body has no name")?;
        form::add_field(&mut fields, name, value.to_vec())?;
        rest = &rest[end + boundary.len()..];
        if rest.starts_with(b"--") {
            return Ok(fields);
        }
        rest = &rest[find(rest, b"\n").map_or(rest.len(), |at| at + 1)..];
    }
    Err("the multipart body is cut off".into())
}

/// The name in a part's `Content-Disposition`.
fn part_name(head: &str) -> Option<String> {
    let lower = head.to_ascii_lowercase();
    let line = lower.find("content-disposition:")?;
    let at = lower[line..]
        .find("; name=")
        .map(|at| line + at + 7)
        .or_else(|| lower[line..].find(";name=").map(|at| line + at + 6))?;
    let value = head.get(at..)?;
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').map(|(name, _)| name.to_owned()),
        None => value.split([';', '\r', '\n']).next().map(|name| name.trim().to_owned()),
    }
    .filter(|name| !name.is_empty())
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|w| w == what)
}

/// The signed time, Unix milliseconds. Without one nobody could tell how old a notice is.
fn signed_at(timestamp: &str) -> Result<i64> {
    let n = fields::scaled(timestamp, 0)
        .ok_or_else(|| Error::new(KL_E_EVENT_TIME, "the callback's timestamp is missing or no number"))?;
    // Thirteen digits are milliseconds: the documents and the samples disagree.
    Ok(if n.unsigned_abs() >= 100_000_000_000 { n } else { n * 1000 })
}

fn kind_of(method: &str) -> EventKind {
    match method {
        "api.test" => EventKind::Test,
        "notify.close.door" => EventKind::DoorClosed,
        "cabinet.order.vi.result.notify" => EventKind::Recognized,
        "notify.cabinet.order.simple" => EventKind::OrderPaid,
        "cabinet.order.refunds.result.notify" => EventKind::RefundApproved,
        "cabinet.order.product.modify" => EventKind::OrderReplaced,
        "notify.consumer.order.simple" => EventKind::Delivery,
        "notify.activity.voucher.exchangecode" => EventKind::VoucherRedeemed,
        "notify.cabinet.changed" => EventKind::CabinetChanged,
        "notify.depot.pickup.return" => EventKind::ReturnSlip,
        "consumer.order.refunds" => EventKind::RefundRequested,
        "consumer.order.refunds.notify" => EventKind::RefundFinished,
        _ => EventKind::Other,
    }
}

/// The content as JSON: as it came, or, if it is none, as one JSON text.
fn content(biz: &str) -> String {
    if biz.trim().is_empty() {
        return "{}".to_owned();
    }
    match Json::parse(biz.as_bytes()) {
        // An object that was written into a text once more.
        Ok(json) if json.kind() == JsonKind::String => match json.string_lossy() {
            inner if Json::parse(inner.as_bytes()).is_ok_and(|j| j.kind() == JsonKind::Object) => {
                inner.into_owned()
            }
            _ => biz.to_owned(),
        },
        Ok(_) => biz.to_owned(),
        Err(_) => crate::error::quoted(biz),
    }
}

/// Reads what a notice tells. Only a missing order number is an error, where nothing can be done without it.
fn read(event: &mut Event, text: &str) -> std::result::Result<(), Bad> {
    let needs_order = matches!(
        event.kind,
        EventKind::DoorClosed
            | EventKind::Recognized
            | EventKind::OrderPaid
            | EventKind::RefundApproved
            | EventKind::OrderReplaced
            | EventKind::Delivery
            | EventKind::RefundRequested
            | EventKind::RefundFinished
    );
    let content = Json::parse(text.as_bytes())?;
    let o = match content.object() {
        Ok(o) if !matches!(event.kind, EventKind::Other | EventKind::Test) => o,
        Err(bad) if needs_order => return Err(bad),
        // Their content is theirs: any JSON.
        _ => return Ok(()),
    };
    event.order_no = if needs_order { strict::text(&o, "ReceiptNo")? } else { word(&o, &["ReceiptNo"]) };
    event.notice_id = word(&o, &["RequestID"]);
    event.trade_no = word(&o, &["TradeNo"]);
    event.cabinet_id = word(&o, &["CID", "TID"]);
    match event.kind {
        EventKind::DoorClosed => {
            event.message = word(&o, &["Msg"]);
            event.door = match weighty(event, &o, "Status") {
                Some(1) => DoorState::Shut,
                Some(2) => DoorState::NeverOpened,
                _ => DoorState::Unknown,
            };
        }
        EventKind::OrderPaid => {
            event.at = lenient::time(&o, &["PayTime"]).max(0);
            if event.at == 0 {
                weighty(event, &o, "PayTime");
            }
        }
        EventKind::Delivery => shipped(event, &o),
        EventKind::VoucherRedeemed => {
            event.voucher_id = word(&o, &["VoucherID"]);
            event.voucher_code = word(&o, &["VoucherCode"]);
            shipped(event, &o);
        }
        EventKind::CabinetChanged => event.cabinet = Some(Box::new(cabinet(content))),
        EventKind::ReturnSlip => {
            event.biz_id = word(&o, &["BizID"]);
            event.depot_id = word(&o, &["DepotID"]);
            event.account_id = word(&o, &["AccountID"]);
            event.at = lenient::time(&o, &["CreateReturnOrderAt"]).max(0);
            event.lines = order_lines(&o, "ProductList");
        }
        EventKind::Recognized | EventKind::RefundApproved | EventKind::OrderReplaced => {
            // Field tables not public: read like an order.
            let order = order(content, OrderKind::Cabinet);
            event.amount = sum(event, &o);
            event.lines = order.lines.clone();
            event.report_url = word(&o, &["PaySuccessNotifyUrl", "NotifyUrl"]);
            event.order = Some(Box::new(order));
        }
        _ => {}
    }
    Ok(())
}

fn shipped(event: &mut Event, o: &Object<'_>) {
    event.message = word(o, &["ShipmentsError"]);
    event.delivery = delivery(weighty(event, o, "ShipmentsStatus"));
}

/// What is to be charged or paid back; -1 if it cannot be read. The order's price stands for a refund that names no sum.
fn sum(event: &mut Event, o: &Object<'_>) -> i64 {
    if event.kind == EventKind::RefundApproved {
        match strict::maybe_int(o, &["RefundsPrice"]) {
            Ok(Some(refund)) if refund > 0 => return refund,
            Ok(_) => {}
            Err(_) => return weighty(event, o, "RefundsPrice").unwrap_or(-1),
        }
    }
    match o.get("Price") {
        Ok(None) => -1,
        _ => weighty(event, o, "Price").unwrap_or(-1),
    }
}

/// A number on which money or a door hangs. If it is missing or odd, the notice says which it was, unless the platform's own
/// words stand there.
fn weighty(event: &mut Event, o: &Object<'_>, key: &str) -> Option<i64> {
    match strict::int(o, key) {
        Ok(n) => Some(n),
        Err(bad) => {
            if event.message.is_empty() {
                event.message = bad.sentence("the notice");
            }
            None
        }
    }
}

/// The customer's browser, sent to the payment page of the older vending flow; signed with the payment key and good
/// for a minute.
fn pay_page(mut event: Event, field: impl Fn(&str) -> String, sent_ms: i64, now_ms: i64) -> Result<Event> {
    if event.signed_with != SignedWith::PayKey {
        return Err(Error::new(
            KL_E_EVENT_SIGNATURE,
            "a payment page is signed with pay_key, not app_secret",
        ));
    }
    if now_ms.abs_diff(sent_ms) > PAY_PAGE_WINDOW_MS {
        return Err(Error::new(KL_E_EVENT_TIME, "the payment page's timestamp is more than 60 s off"));
    }
    event.kind = EventKind::PayPage;
    event.order_no = field("receipt_no");
    event.report_url = field("notify_url");
    let mut w = Writer::new();
    for name in ["receipt_no", "return_url", "notify_url", "timestamp"] {
        w.text(name, &field(name));
    }
    event.json = w.finish();
    event.identity = Md5::digest(&event.json).into();
    Ok(event)
}
