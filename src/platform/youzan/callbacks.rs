//! Messages that Youzan pushes.
//!
//! The header `Event-Sign` covers the whole body. Without it only `sign` in the body is left, which covers `msg` alone: it
//! is taken only where the caller has no headers at all, and then nothing outside `msg` is believed.

use super::super::CallsBack;
use super::super::fields::{lenient, scaled};
use super::{Youzan, records};
use crate::error::{Error, Result};
use crate::event::{Event, EventKind, SignedWith};
use crate::json::{self, Json, Kind as JsonKind, Object};
use crate::model::OrderKind;
use crate::status::*;
use aes::Aes128;
use aes::cipher::{BlockDecrypt, KeyInit};
use kiosklink_wire::form;
use md5::{Digest, Md5};
use std::borrow::Cow;

/// The fixed first block of the market's encrypted messages.
const IV: &[u8; 16] = b"0102030405060708";
/// A message may be pushed again by hand for seven days; by then and a day's difference of clocks it is over.
const BELIEVED_S: i64 = 8 * 86_400;
/// From here on a number is a time: 2010.
const FIRST_TIME_S: i64 = 1_262_304_000;
/// And up to here: 2100. Above it are milliseconds.
const LAST_TIME_S: i64 = 4_102_444_800;

impl CallsBack for Youzan {
    fn event(&self, headers: &str, body: &[u8], now_ms: i64) -> Result<Event> {
        event(&self.client_id, &self.client_secret, headers, body, now_ms)
    }

    fn event_reply(
        &self,
        _event: &Event,
        code: i32,
        _message: &str,
        _data_json: Option<&str>,
    ) -> Result<String> {
        // The code stays 0 in both: the platform looks for the word.
        let word = if code == 0 { "success" } else { "failed" };
        Ok(["{\"code\":0,\"msg\":\"", word, "\"}"].concat())
    }
}

fn malformed(why: &str) -> Error {
    Error::new(KL_E_EVENT, ["the message: ", why].concat())
}

/// Verifies and reads one message.
fn event(client_id: &str, secret: &str, headers: &str, body: &[u8], now_ms: i64) -> Result<Event> {
    let trimmed = body.trim_ascii();
    if let Some(query) = trimmed.strip_prefix(b"?").or(Some(trimmed)).filter(|b| b.starts_with(b"message=")) {
        return encrypted(secret, query);
    }
    if trimmed.is_empty() {
        return Err(malformed("has no body"));
    }
    let signer = Signer { client_id, secret };
    let by_header = signer.check_header(headers, body)?;
    let whole = json::decoded(body);
    let o = Json::parse(whole.as_bytes())
        .and_then(Json::object)
        .map_err(|b| malformed(&b.sentence("the JSON")))?;
    let msg = o.get("msg").ok().flatten();
    let as_sent = msg.map(as_sent).unwrap_or_default();
    let mut event = if by_header {
        from_envelope(&o)
    } else {
        signer.check_content(&o, &as_sent)?;
        from_content(client_id, &o, &as_sent)
    };
    let text = decoded(&as_sent);
    let text = if text.trim().is_empty() { "{}" } else { text.trim() };
    let content = Json::parse(text.as_bytes()).ok();
    let opened = content.and_then(|c| c.object().ok());
    believed(&o, opened.as_ref(), by_header, now_ms)?;
    // What cannot be read is given as it came.
    event.json = content.map_or(whole.trim(), Json::text).to_owned();
    if let (Some(content), Some(o)) = (content, &opened) {
        read(&mut event, content, o);
    }
    if !by_header && event.kind != EventKind::Test {
        event.kind = if event.order_no.is_empty() { EventKind::Other } else { EventKind::OrderChanged };
    }
    let about_an_order = !matches!(event.kind, EventKind::Test | EventKind::Other | EventKind::StockChanged);
    if about_an_order && event.order_no.is_empty() {
        return Err(malformed("neither id nor msg names the order"));
    }
    if by_header && event.kind != EventKind::Test && event.method.is_empty() {
        return Err(malformed("type is missing"));
    }
    Ok(event)
}

/// What a message says of itself, where the signature covers all of it.
fn from_envelope(o: &Object<'_>) -> Event {
    let field = |key: &str| lenient::text(o, &[key]);
    let (method, id, notice_id) = (field("type"), field("id"), field("msg_id"));
    let version = lenient::int(o, &["version"]).unwrap_or(0);
    let test = lenient::yes(o, &["test"]) == Some(true);
    let kind = if test { EventKind::Test } else { kind(&method) };
    let identity = if notice_id.is_empty() {
        let msg = o.get("msg").ok().flatten().map_or("", Json::text);
        digest(&[&method, "\0", &id, "\0", &version.to_string(), "\0", msg])
    } else {
        digest(&["msg_id\0", &notice_id])
    };
    let names_an_order = !matches!(kind, EventKind::Test | EventKind::Other | EventKind::StockChanged);
    Event {
        kind,
        signed_with: SignedWith::AppSecret,
        subject: digest(&[&method, "\0", &id]),
        identity,
        method,
        app_id: field("client_id"),
        notice_id,
        message: field("status"),
        version,
        amount: -1,
        order_no: if names_an_order { id } else { String::new() },
        ..Event::default()
    }
}

/// The same where only `msg` is signed: who holds one message can send its `msg` with any other words around it. So the type,
/// the id and the version that it comes with are not given, and it counts as one with every other message of this `msg`.
fn from_content(client_id: &str, o: &Object<'_>, as_sent: &str) -> Event {
    // A heartbeat has nothing in it; the flag on something else is a stranger's word.
    let empty = matches!(as_sent.trim(), "" | "{}" | "%7B%7D");
    let test = empty && lenient::yes(o, &["test"]) == Some(true);
    Event {
        kind: if test { EventKind::Test } else { EventKind::Other },
        signed_with: SignedWith::ContentOnly,
        app_id: client_id.to_owned(),
        identity: digest(&["msg\0", as_sent]),
        subject: digest(&["msg\0", as_sent]),
        amount: -1,
        ..Event::default()
    }
}

fn kind(method: &str) -> EventKind {
    match method {
        "trade_TradePaid" => EventKind::OrderPaid,
        "trade_TradeSuccess" => EventKind::OrderFinished,
        "trade_TradeClose" => EventKind::OrderClosed,
        _ if method.starts_with("trade_refund_") || method.starts_with("youzan_trade_Refund") => {
            EventKind::RefundChanged
        }
        _ if method.starts_with("trade_") || method.starts_with("youzan_trade_") => EventKind::OrderChanged,
        "ITEM_INFO" | "ITEM_STATE" | "ITEM_SKU_INFO" => EventKind::StockChanged,
        _ if method.starts_with("youzan_item_") => EventKind::StockChanged,
        _ => EventKind::Other,
    }
}

/// What `msg` tells of an order.
fn read(event: &mut Event, content: Json<'_>, o: &Object<'_>) {
    if matches!(event.kind, EventKind::Test | EventKind::StockChanged)
        || event.kind == EventKind::Other && event.signed_with == SignedWith::AppSecret
    {
        return;
    }
    if let Ok(order) = records::order(content, OrderKind::Cabinet) {
        event.order_no.clone_from(&order.order_no);
        event.trade_no.clone_from(&order.trade_no);
        event.cabinet_id.clone_from(&order.cabinet_id);
        event.amount = order.amount;
        event.at = order.paid_at;
        event.lines.clone_from(&order.lines);
        event.order = Some(Box::new(order));
        return;
    }
    let tid = lenient::text(o, &["tid"]);
    if !tid.is_empty() {
        event.order_no = tid;
    }
    event.at = lenient::time(o, &["update_time"]);
    event.amount = scaled(&lenient::text(o, &["refunded_fee", "refund_fee"]), 2).unwrap_or(-1);
}

/// Refuses what is too old, by the latest time that the signature covers. A message that bears no time is not bounded.
fn believed(o: &Object<'_>, content: Option<&Object<'_>>, by_header: bool, now_ms: i64) -> Result<()> {
    let a_time = |n: i64| if n > LAST_TIME_S { n.div_euclid(1000) } else { n };
    let version = if by_header { lenient::int(o, &["version"]).map_or(0, a_time) } else { 0 };
    let updated = |o: &Object<'_>| lenient::time(o, &["update_time"]);
    let of_order = content.and_then(|c| lenient::object(c, &["full_order_info"]));
    let of_order = of_order.and_then(|full| lenient::object(&full, &["order_info"]));
    let times = [version, content.map_or(0, updated), of_order.as_ref().map_or(0, updated)];
    let latest = times.into_iter().filter(|t| (FIRST_TIME_S..=LAST_TIME_S).contains(t)).max();
    match latest {
        Some(at) if at.saturating_add(BELIEVED_S) < now_ms.div_euclid(1000) => Err(Error::new(
            KL_E_EVENT_TIME,
            "the message is more than eight days old; Youzan repeats none for so long",
        )),
        _ => Ok(()),
    }
}

/// `msg` exactly as it came: a text, or the object that the newer kinds of refund carry.
fn as_sent(msg: Json<'_>) -> Cow<'_, str> {
    if msg.kind() == JsonKind::String { msg.string_lossy() } else { Cow::Borrowed(msg.text()) }
}

/// `msg` is URL-encoded JSON; some senders leave it as it is. What is no character becomes U+FFFD.
fn decoded(sent: &str) -> String {
    if sent.trim_start().starts_with(['{', '[']) {
        return sent.to_owned();
    }
    let mut out = Vec::with_capacity(sent.len());
    let mut rest = sent.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |at: usize| tail.get(at).and_then(|b| char::from(*b).to_digit(16));
        rest = tail;
        match (*first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            (b'+', ..) => out.push(b' '),
            (other, ..) => out.push(other),
        }
    }
    json::decoded(&out).into_owned()
}

/// Both signatures are plain MD5 over client_id, text and client_secret: the header's over the body as it came, the
/// body's over `msg` as it came.
struct Signer<'a> {
    client_id: &'a str,
    secret: &'a str,
}

impl Signer<'_> {
    fn fits(&self, text: &[u8], given: &str) -> bool {
        let sum =
            Md5::new().chain_update(self.client_id).chain_update(text).chain_update(self.secret).finalize();
        same_hex(&sum, given.trim())
    }

    /// Whether the header covers the body; false if the caller has no headers. Where there are some, the one that signs must
    /// be among them, once.
    fn check_header(&self, headers: &str, body: &[u8]) -> Result<bool> {
        if headers.trim().is_empty() {
            return Ok(false);
        }
        let mut signs = headers.lines().filter_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case("event-sign").then(|| value.trim())
        });
        let why = match (signs.next().filter(|v| !v.is_empty()), signs.next()) {
            // A line end behind the body is not the platform's.
            (Some(given), None) if self.fits(body, given) || self.fits(body.trim_ascii_end(), given) => {
                return Ok(true);
            }
            (Some(_), None) => {
                let why = "the message's Event-Sign does not fit client_secret, or the body is not the bytes that \
                           were sent";
                return Err(self.wrong(why, body));
            }
            (Some(_), Some(_)) => "the message has more than one Event-Sign",
            (None, _) => "the message's headers hold no Event-Sign: who took it away?",
        };
        Err(Error::new(KL_E_EVENT_SIGNATURE, why))
    }

    /// Refuses a message whose `sign` does not cover its `msg`.
    fn check_content(&self, o: &Object<'_>, as_sent: &str) -> Result<()> {
        let sign = lenient::text(o, &["sign"]);
        if sign.is_empty() {
            return Err(Error::new(KL_E_EVENT_SIGNATURE, "the message has neither Event-Sign nor sign"));
        }
        if self.fits(as_sent.as_bytes(), &sign) {
            return Ok(());
        }
        Err(self
            .elsewhere("the message's sign does not fit client_secret", &lenient::text(o, &["client_id"])))
    }

    fn wrong(&self, why: &str, body: &[u8]) -> Error {
        let o = Json::parse(body).and_then(Json::object);
        self.elsewhere(why, &o.map(|o| lenient::text(&o, &["client_id"])).unwrap_or_default())
    }

    /// The usual reason where several applications share one address.
    fn elsewhere(&self, why: &str, addressed: &str) -> Error {
        let other = !addressed.is_empty() && addressed != self.client_id;
        let more = if other { "; it says that it is for another client_id" } else { "" };
        Error::new(KL_E_EVENT_SIGNATURE, [why, more].concat())
    }
}

/// Compares without telling by its time where the texts part.
fn same_hex(sum: &[u8], given: &str) -> bool {
    let digit = |b: u8| char::from(b).to_digit(16).unwrap_or(0x100);
    let given = given.as_bytes();
    given.len() == 2 * sum.len()
        && given
            .chunks_exact(2)
            .zip(sum)
            .fold(0, |acc, (two, byte)| acc | ((digit(two[0]) << 4 | digit(two[1])) ^ u32::from(*byte)))
            == 0
}

fn digest(parts: &[&str]) -> [u8; 16] {
    let mut md5 = Md5::new();
    parts.iter().for_each(|p| md5.update(p.as_bytes()));
    md5.finalize().into()
}

/// A message of the application market, `message=…`: URL-encoded Base64 of AES-128-CBC. One error for whatever is wrong
/// with it, so that answers to it teach nothing about the key.
fn encrypted(secret: &str, query: &[u8]) -> Result<Event> {
    let wrong = || Error::new(KL_E_EVENT_SIGNATURE, "the message does not decrypt with client_secret");
    let value = query.split(|b| *b == b'&').next().unwrap_or(b"");
    let value = form::unescape(value.get(b"message=".len()..).unwrap_or(b"")).map_err(|_| wrong())?;
    // A plus that was not escaped came out as a blank.
    let bytes = kiosklink_wire::hex::from_base64(&value.replace(' ', "+")).ok_or_else(wrong)?;
    let text = decrypt(secret.as_bytes(), bytes).ok_or_else(wrong)?;
    let o = Json::parse(text.as_bytes()).and_then(Json::object).map_err(|_| wrong())?;
    Ok(Event {
        kind: EventKind::AppChanged,
        signed_with: SignedWith::Encrypted,
        method: lenient::text(&o, &["type"]),
        app_id: lenient::text(&o, &["appId", "clientId"]),
        amount: -1,
        identity: digest(&["message\0", &text]),
        json: text.clone(),
        ..Event::default()
    })
}

/// AES-128-CBC with PKCS#7; the key is the first 16 bytes of the secret.
fn decrypt(secret: &[u8], mut bytes: Vec<u8>) -> Option<String> {
    let cipher = Aes128::new_from_slice(secret.get(..16)?).ok()?;
    if bytes.is_empty() || bytes.len() % 16 != 0 {
        return None;
    }
    let mut before = *IV;
    for block in bytes.chunks_exact_mut(16) {
        let this: [u8; 16] = (&*block).try_into().ok()?;
        cipher.decrypt_block(block.into());
        block.iter_mut().zip(before).for_each(|(b, p)| *b ^= p);
        before = this;
    }
    let pad = usize::from(*bytes.last()?);
    let end = bytes.len().checked_sub(pad).filter(|_| (1..=16).contains(&pad))?;
    bytes[end..].iter().all(|b| usize::from(*b) == pad).then_some(())?;
    bytes.truncate(end);
    String::from_utf8(bytes).ok()
}
