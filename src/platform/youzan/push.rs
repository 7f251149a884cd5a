//! Messages that Youzan pushes.

use super::super::{form, lenient};
use super::records;
use crate::error::{Error, Result};
use crate::event::{Event, EventKind, SignedWith};
use crate::json::{Bad, Json, Kind as JsonKind, Object};
use crate::model::OrderKind;
use crate::status::*;
use aes::Aes128;
use aes::cipher::{BlockDecrypt, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

/// The fixed first block of the market's encrypted messages.
const IV: &[u8; 16] = b"0102030405060708";

/// Verifies and reads one message.
pub(super) fn event(client_id: &str, secret: &str, headers: &str, body: &[u8]) -> Result<Event> {
    let malformed = |why: String| Error::new(KL_E_EVENT, format!("the message: {why}"));
    let trimmed = body.trim_ascii();
    if let Some(query) = trimmed.strip_prefix(b"?").or(Some(trimmed)).filter(|b| b.starts_with(b"message=")) {
        return encrypted(secret, query);
    }
    if trimmed.is_empty() {
        return Err(malformed("has no body".into()));
    }
    let wrong = |b: Bad| malformed(b.sentence("the JSON"));
    let o = Json::parse(body).and_then(Json::object).map_err(wrong)?;
    let field = |key: &'static str| lenient::text(&o, &[key]).map_err(wrong);
    let msg = o.get("msg").map_err(wrong)?;
    let (msg_as_sent, mut text) = match msg {
        None => (String::new(), String::new()),
        Some(v) if v.kind() == JsonKind::String => {
            let sent = v.string().map_err(|b| wrong(b.under("msg")))?.into_owned();
            let text = decoded(&sent).map_err(|why| malformed(format!("msg is {why}")))?;
            (sent, text)
        }
        // The newer kinds of refund carry an object.
        Some(v) => (v.text().to_owned(), v.text().to_owned()),
    };
    let addressed = field("client_id")?;
    let signed_with =
        verify(client_id, secret, headers, body, &msg_as_sent, &field("sign")?).map_err(|e| {
            // The usual reason where several applications share one address.
            if addressed.is_empty() || addressed == client_id {
                return e;
            }
            e.with(|d| d.message.push_str("; it says that it is for another client_id"))
        })?;
    if text.trim().is_empty() {
        text = "{}".to_owned();
    }

    let mut event = Event {
        signed_with,
        method: field("type")?,
        app_id: addressed,
        notice_id: field("msg_id")?,
        message: field("status")?,
        version: lenient::int(&o, &["version"]).map_err(wrong)?.unwrap_or(0),
        amount: -1,
        ..Event::default()
    };
    let id = field("id")?;
    event.subject = digest(&[&event.method, "\0", &id]);
    event.identity = if event.notice_id.is_empty() {
        digest(&[&event.method, "\0", &id, "\0", &event.version.to_string(), "\0", &msg_as_sent])
    } else {
        digest(&["msg_id\0", &event.notice_id])
    };
    event.kind = if lenient::yes(&o, &["test"]).map_err(wrong)? == Some(true) {
        EventKind::Test
    } else {
        kind(&event.method)
    };
    if event.kind != EventKind::Test && event.method.is_empty() {
        return Err(malformed("type is missing".into()));
    }
    let content = Json::parse(text.as_bytes()).map_err(|b| malformed(b.sentence("msg")))?;
    if !matches!(event.kind, EventKind::Test | EventKind::Other | EventKind::StockChanged) {
        event.order_no = id;
        if content.kind() == JsonKind::Object {
            read(&mut event, content).map_err(|b| malformed(b.sentence("msg")))?;
        }
        if event.order_no.is_empty() {
            return Err(malformed("neither id nor msg names the order".into()));
        }
    }
    event.json = text;
    Ok(event)
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

fn read(event: &mut Event, content: Json<'_>) -> std::result::Result<(), Bad> {
    let o = content.object()?;
    if o.get("full_order_info")?.is_some() {
        let order = records::order(content, OrderKind::Cabinet)?;
        event.order_no.clone_from(&order.order_no);
        event.trade_no.clone_from(&order.trade_no);
        event.cabinet_id.clone_from(&order.cabinet_id);
        event.amount = order.amount;
        event.at = order.paid_at;
        event.lines.clone_from(&order.lines);
        event.order = Some(Box::new(order));
        return Ok(());
    }
    let tid = lenient::text(&o, &["tid"])?;
    if !tid.is_empty() {
        event.order_no = tid;
    }
    // A time in a form of its own is no reason to refuse the message.
    event.at = lenient::time(&o, &["update_time"]).unwrap_or(0);
    event.amount = refund(&o)?.unwrap_or(-1);
    Ok(())
}

fn refund(o: &Object<'_>) -> std::result::Result<Option<i64>, Bad> {
    lenient::yuan(o, &["refunded_fee", "refund_fee"])
}

/// `msg` is URL-encoded JSON; some senders leave it as it is.
fn decoded(sent: &str) -> std::result::Result<String, String> {
    if sent.trim_start().starts_with(['{', '[']) {
        return Ok(sent.to_owned());
    }
    form::unescape(sent.as_bytes())
}

/// Both signatures are plain MD5 over client_id, text and client_secret: the header's over the body as it came, the
/// body's over `msg` as it came.
fn verify(
    client_id: &str,
    secret: &str,
    headers: &str,
    body: &[u8],
    msg: &str,
    sign: &str,
) -> Result<SignedWith> {
    let wrong = |what| Err(Error::new(KL_E_EVENT_SIGNATURE, what));
    let fits = |text: &[u8], given: &str| {
        let sum = Md5::new().chain_update(client_id).chain_update(text).chain_update(secret).finalize();
        same_hex(&sum, given.trim())
    };
    match header(headers, "event-sign").filter(|v| !v.is_empty()) {
        Some(given) if fits(body, given) => Ok(SignedWith::AppSecret),
        Some(_) => wrong(
            "the message's Event-Sign does not fit client_secret, or the body is not the bytes that were sent",
        ),
        None if sign.is_empty() => wrong("the message has neither Event-Sign nor sign"),
        None if fits(msg.as_bytes(), sign) => Ok(SignedWith::ContentOnly),
        None => wrong("the message's sign does not fit client_secret"),
    }
}

fn header<'a>(headers: &'a str, name: &str) -> Option<&'a str> {
    headers.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
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
    let bytes = STANDARD.decode(value.replace(' ', "+")).map_err(|_| wrong())?;
    let text = decrypt(secret.as_bytes(), bytes).ok_or_else(wrong)?;
    let o = Json::parse(text.as_bytes()).and_then(Json::object).map_err(|_| wrong())?;
    let method = lenient::text(&o, &["type"]).map_err(|_| wrong())?;
    Ok(Event {
        kind: EventKind::AppChanged,
        signed_with: SignedWith::Encrypted,
        method,
        app_id: lenient::text(&o, &["appId", "clientId"]).map_err(|_| wrong())?,
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
