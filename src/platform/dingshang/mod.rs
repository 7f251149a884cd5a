//! 鼎商 (Dingshang), Open API v1: vending machines, lockers and pickup codes.
//!
//! The vendor has withdrawn the pages that described it; they are read from its public repository
//! <https://github.com/dsjsdz/docs>, folder `docs/open`. What is inferred is said at the item, and
//! `docs/platforms/dingshang.md` lists it.

pub mod keys;

use super::china::{fen, to_wall, unix_time};
use super::{
    Answer, CallsBack, Draft, Kind, Known, Maturity, Moment, Nature, Op, Query, Recovers, Speaks, Verdict,
    address, form, http_error, unsupported,
};
use crate::command::{Act, Physical};
use crate::error::{Error, Result};
use crate::event::{Event, EventKind, NO_IDENTITY, SignedWith};
use crate::json::{self, Bad, Json, Kind as JsonKind, Object, Writer, decimal};
use crate::model::*;
use crate::settings::Settings;
use crate::status::*;
use crate::transport::{Reply, Request, Url};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use std::borrow::Cow;

mod refusal;
#[cfg(test)]
mod tests;

const PREFIX: &str = "/api/openapi/v1";
/// What every callback is.
const DELIVERY_RESPONSE: &str = "device.delivery.response";
const DELIVERY_PUT: &str = "device.delivery.put";

/// What `PUT /orders/{order_id}` can report.
const PAID: &str = "1";
const REFUND: &str = "2";
const PAY_FAILED: &str = "6";

/// No result within 120 s: nobody knows what the machine did.
const TIMED_OUT: &str = "IS_TIMEOUT";

type Read<T> = std::result::Result<T, Bad>;

/// One account on Dingshang.
pub(super) struct Dingshang {
    base: Url,
    app_id: String,
    app_secret: String,
    app_key: String,
    query_encoded: bool,
}

/// What goes out but for its timestamp and signature.
struct Plan {
    method: &'static str,
    /// Below `/api/openapi/v1`.
    path: String,
    body: Body,
}

enum Body {
    Nothing,
    /// Signed, in Base64.
    Payload(Fields),
    /// JSON as it is: making an order is not signed.
    Plain(String),
}

/// The fields of a payload. All are sent as text: the vendor's verifier reads a number as a float, and would sign a
/// large one in another spelling.
#[derive(Default)]
struct Fields(Vec<(String, String)>);

impl Fields {
    fn of_machine(machine_no: &str) -> Result<Fields> {
        let mut fields = Fields::default();
        fields.add("machine_no", required("cabinet_id", machine_no)?);
        Ok(fields)
    }

    fn add(&mut self, name: &str, value: &str) -> &mut Fields {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lays the caller's own fields over these.
    fn with(mut self, json: Option<&str>, whose: &str) -> Result<Fields> {
        let Some(json) = json.filter(|j| !j.trim().is_empty()) else { return Ok(self) };
        for (name, value) in json::params(json, whose)?.fields() {
            let text = match value.kind() {
                _ if name == "sign" => return Err(argument(format!("{whose}: sign is made by kiosklink"))),
                JsonKind::String => value.string().map_err(|b| argument(b.under(name).sentence(whose)))?,
                JsonKind::Number => Cow::Borrowed(value.text()),
                JsonKind::Null => continue,
                JsonKind::Bool | JsonKind::Array | JsonKind::Object => {
                    return Err(argument(format!(
                        "{whose}: {name} must be a text or a number (1 or 0 for yes or no)"
                    )));
                }
            };
            self.0.retain(|(n, _)| n != name);
            self.add(name, &text);
        }
        if self.has("cabinet_name") && self.has("addr") {
            return Err(argument(format!("{whose}: cabinet_name and addr exclude each other")));
        }
        Ok(self)
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, v)| n == name && told(v))
    }
}

/// Empty values are neither signed nor sent; the vendor's libraries drop the text `NULL` too. A zero stays.
fn told(value: &str) -> bool {
    !value.is_empty() && value != "NULL"
}

impl Dingshang {
    /// Refuses missing credentials and a bad address.
    pub(super) fn new(config: &Settings) -> Result<Dingshang> {
        let mut base = address(config, "base_url", config.need("base_url")?)?;
        if base.path_and_query.contains('?') {
            return Err(Error::new(KL_E_CONFIG_VALUE, "base_url must not have a query"));
        }
        // The vendor's pages give the whole address; people paste it.
        let path = base.path_and_query.trim_end_matches('/');
        let path = path.strip_suffix(PREFIX).unwrap_or(path);
        base.path_and_query = [path, PREFIX].concat();
        let header = |name| {
            let value = config.need(name)?;
            if value.bytes().all(|b| b.is_ascii_graphic()) {
                return Ok(value.to_owned());
            }
            Err(Error::new(
                KL_E_CONFIG_VALUE,
                format!("{name} goes into a header: only ASCII, and no blank in it"),
            ))
        };
        Ok(Dingshang {
            base,
            app_id: header("app_id")?,
            app_secret: header("app_secret")?,
            app_key: config.need("app_key")?.to_owned(),
            query_encoded: config.get("sign_value_encoding") == Some("query"),
        })
    }

    /// The body of a signed call: `{"payload":"…"}`.
    fn payload(&self, fields: &Fields, now_ms: i64) -> String {
        let now = now_ms.div_euclid(1000).to_string();
        let mut all: Vec<(&str, &str)> =
            fields.0.iter().map(|(n, v)| (n.as_str(), v.as_str())).filter(|(_, v)| told(v)).collect();
        if !fields.has("timestamp") {
            all.push(("timestamp", &now));
        }
        all.sort_unstable();
        let sign = sign(&all, &self.app_key, self.query_encoded);
        let mut object = Writer::new();
        for (name, value) in all {
            object.text(name, value);
        }
        object.text("sign", &sign);
        let mut body = Writer::new();
        body.text("payload", &STANDARD.encode(object.finish()));
        body.finish()
    }

    fn plan(&self, op: &Op<'_>) -> Result<Plan> {
        let post = |path: &str, body| Plan { method: "POST", path: path.to_owned(), body };
        Ok(match *op {
            Op::Ping => post("/ping", Body::Nothing),
            Op::CabinetList { .. } => post("/rent/machines", Body::Nothing),
            Op::Stock { cabinet_id, page, extra_json } => {
                let mut fields = Fields::of_machine(cabinet_id)?;
                fields.add("page", &page.number.to_string());
                if page.size != 0 {
                    fields.add("per_page", &page.size.to_string());
                }
                post("/products", Body::Payload(fields.with(extra_json, "extra_json")?))
            }
            Op::DoorOpen(r) => {
                let (path, fields) = delivery(r)?;
                post(path, Body::Payload(fields))
            }
            Op::CodeRedeem(r) => {
                let mut fields = Fields::of_machine(&r.cabinet_id)?;
                fields
                    .add("method", "event.consume.pickup_code")
                    .add("code", required("code", &r.code)?)
                    .add("product_id", required("product_id", &r.product_id)?)
                    .add("notify_url", required("notify_url", &r.notify_url)?)
                    .add("trade_id", &trade_id(r)?);
                post("/consumes", Body::Payload(fields.with(r.extra_json.as_deref(), "extra_json")?))
            }
            Op::CodeList(q) | Op::CodeLookup(q) => {
                if matches!(op, Op::CodeLookup(_)) {
                    required("code", &q.code)?;
                }
                let path = ["/products/", part("product_id", &q.product_id)?, "/pickup_code"].concat();
                let fields =
                    Fields::of_machine(&q.cabinet_id)?.with(q.extra_json.as_deref(), "extra_json")?;
                post(&path, Body::Payload(fields))
            }
            Op::CodeCreate(r) => post("/pickup_codes", Body::Payload(new_codes(r)?)),
            Op::CodeCancel(r) => {
                let mut fields = Fields::of_machine(&r.cabinet_id)?;
                match r.id.as_str() {
                    "" => fields.add("method", "pickup_code.delete.all"),
                    id => fields.add("method", "pickup_code.delete.id").add("id", id),
                };
                let fields = fields.with(r.extra_json.as_deref(), "extra_json")?;
                Plan { method: "PUT", path: "/pickup_codes".into(), body: Body::Payload(fields) }
            }
            Op::OrderGet(r) => {
                if r.order_no.is_empty() && !r.trade_no.is_empty() {
                    return Err(argument("Dingshang finds an order by order_no, not by trade_no".into()));
                }
                let path = ["/orders/", part("order_no", &r.order_no)?].concat();
                let fields =
                    Fields::of_machine(&r.cabinet_id)?.with(r.extra_json.as_deref(), "extra_json")?;
                post(&path, Body::Payload(fields))
            }
            Op::OrderCreate(r) => post("/orders", Body::Plain(new_order(r)?)),
            Op::PaymentReport(r) => {
                let status = if r.paid { PAID } else { PAY_FAILED };
                order_status(&r.order_no, &r.cabinet_id, status, r.extra_json.as_deref())?
            }
            Op::RefundApply(r) => order_status(&r.order_no, &r.cabinet_id, REFUND, r.extra_json.as_deref())?,
            Op::Call { method, params_json } => call(method, params_json)?,
            Op::OrderList { .. } | Op::AppealFile(_) | Op::UserGet | Op::CompanyGet => {
                return Err(unsupported(self.kind(), op));
            }
        })
    }
}

impl Speaks for Dingshang {
    fn creates_blindly(&self) -> bool {
        true
    }

    fn receipt_of(&self, op: &Op<'_>, order: &Order) -> Option<Receipt> {
        let Op::CodeRedeem(r) = op else { return None };
        let ours = trade_id(r).ok()?;
        // The platform gives it back with the dashes of a UUID.
        let plain =
            |t: &str| t.bytes().filter(|b| *b != b'-').map(|b| b.to_ascii_lowercase()).collect::<Vec<_>>();
        (plain(&ours) == plain(&order.trade_no)).then(|| redeemed(order))
    }

    fn kind(&self) -> Kind {
        Kind::Dingshang
    }

    fn origin(&self) -> &Url {
        &self.base
    }

    fn nature(&self, op: &Op<'_>) -> Result<Nature> {
        match op {
            Op::Ping
            | Op::CabinetList { .. }
            | Op::Stock { .. }
            | Op::OrderGet(_)
            | Op::CodeList(_)
            | Op::CodeLookup(_) => Ok(Nature::Read),
            Op::DoorOpen(_) | Op::CodeRedeem(_) => Ok(Nature::Command),
            Op::CodeCreate(_)
            | Op::CodeCancel(_)
            | Op::OrderCreate(_)
            | Op::PaymentReport(_)
            | Op::RefundApply(_) => Ok(Nature::Write),
            Op::Call { method, .. } => {
                let (verb, path) = named(method)?;
                nature_of(verb, path)
            }
            Op::OrderList { .. } | Op::AppealFile(_) | Op::UserGet | Op::CompanyGet => {
                Err(unsupported(self.kind(), op))
            }
        }
    }

    fn draft<'a>(&'a self, op: &Op<'a>) -> Result<Draft<'a>> {
        let Plan { method, path, body } = self.plan(op)?;
        let mut url = self.base.clone();
        url.path_and_query.push_str(&path);
        let to = url.clone();
        let seal = move |moment: &Moment<'_>| {
            let body = match &body {
                Body::Nothing => String::new(),
                Body::Plain(json) => json.clone(),
                Body::Payload(fields) => self.payload(fields, moment.now_ms),
            };
            let mut headers = vec![
                ("Appid", self.app_id.clone()),
                ("AppSecret", self.app_secret.clone()),
                ("Accept", "application/json".to_owned()),
            ];
            if !body.is_empty() {
                headers.push(("Content-Type", "application/json".to_owned()));
            }
            Request { method, url: to.clone(), headers, body: body.into_bytes() }
        };
        Ok(Draft { url, seal: Box::new(seal) })
    }

    fn answer(&self, op: &Op<'_>, reply: &Reply) -> Result<Answer> {
        let (data, refused) = envelope(reply)?;
        let bad = |b: Bad| b.under("data").error("the answer");
        if let Some(refusal) = refused {
            if matches!(op, Op::CodeRedeem(_)) && refusal.status() == KL_E_CODE_USED {
                if let Some(order_no) = data.and_then(|d| id_of(&d.object().ok()?, "order_id").ok()?) {
                    return Ok(Answer::UsedBy { order_no, refusal });
                }
            }
            return Err(refusal);
        }
        let needed = || data.ok_or_else(|| json::missing("data").error("the answer"));
        Ok(match op {
            Op::Ping => Answer::Pong,
            Op::CabinetList { page } => {
                let all = list(data, cabinet).map_err(bad)?;
                let total = Some(all.len() as u64);
                // There is one page, however many are asked for.
                let items = if page.number == 1 { all } else { Vec::new() };
                Answer::Cabinets(Page { items, total, more: Some(false) })
            }
            Op::Stock { cabinet_id, .. } => Answer::Stock(products(data, cabinet_id).map_err(bad)?),
            Op::DoorOpen(r) => {
                let data = needed()?;
                let id = data.object().and_then(|o| must(&o, "delivery_id")).map_err(bad)?;
                Answer::Taken(Receipt {
                    order_no: r.order_no.clone(),
                    item_no: r.item_no.clone(),
                    delivery_no: id,
                    json: data.text().to_owned(),
                    ..Receipt::default()
                })
            }
            Op::CodeRedeem(r) => {
                let receipt = redeemed(&order(needed()?, &r.cabinet_id).map_err(bad)?);
                // Nothing can be dispensed without it; asking again finds the order whole.
                if receipt.item_no.is_empty() {
                    return Err(bad(json::missing("records")));
                }
                Answer::Taken(receipt)
            }
            Op::CodeList(q) => {
                let items = list(data, |record| code(record, q)).map_err(bad)?;
                Answer::Codes(Page { total: Some(items.len() as u64), items, more: Some(false) })
            }
            Op::CodeLookup(q) => {
                let all = list(data, |record| code(record, q)).map_err(bad)?;
                let found = all.into_iter().find(|c| c.code == q.code).ok_or_else(|| {
                    Error::new(
                        KL_E_NOT_FOUND,
                        "the code is not among those that can still be used for this product on this machine: it \
                         is used, expired, cancelled, for another product, or was never made",
                    )
                })?;
                Answer::Code(Box::new(found))
            }
            Op::OrderGet(r) => Answer::Order(Box::new(order(needed()?, &r.cabinet_id).map_err(bad)?)),
            Op::OrderCreate(_) => {
                let data = needed()?;
                let order_no = data.object().and_then(|o| must(&o, "order_id")).map_err(bad)?;
                Answer::Taken(Receipt { order_no, json: data.text().to_owned(), ..Receipt::default() })
            }
            _ => Answer::Json(data.map_or("null", Json::text).to_owned()),
        })
    }
}

impl Recovers for Dingshang {
    fn proves_not_done(&self, error: &Error) -> bool {
        let d = error.details();
        if d.platform_code != 0 {
            return refusal::find(d.platform_code).is_some_and(|r| r.proves);
        }
        if !d.platform_message.is_empty() {
            // Code 0 and yet no "ok": only words that are known.
            return d.status != KL_E_PLATFORM;
        }
        matches!(d.http_status, 301..=308 | 400..=407 | 411 | 413..=415 | 429 | 431)
    }

    fn maturity(&self, _act: &Act) -> Maturity {
        Maturity { hold_ms: 60_000, reason: "" }
    }

    fn queries(&self, known: &Known<'_>) -> Vec<Query> {
        self.fate_query(known.act).into_iter().collect()
    }

    fn judge(&self, known: &Known<'_>, _query: &Query, answer: &Result<Answer>) -> Verdict {
        match answer {
            Ok(answer) => self.fate(known.act, known, answer),
            Err(_) => Verdict::Unknown("the platform knows nothing of it, which proves nothing".to_owned()),
        }
    }

    fn movement_query(&self, act: &Act, receipt: &Receipt) -> Option<Query> {
        match act {
            Act::Door(r) if !r.item_no.is_empty() => Some(Query::Order(item_order(r))),
            Act::Door(r) if is_part(&receipt.delivery_no) => {
                let mut w = Writer::new();
                w.text("machine_no", &r.cabinet_id);
                Some(Query::Call(["POST /deliveries/", &receipt.delivery_no].concat(), w.finish()))
            }
            _ => None,
        }
    }

    fn movement(&self, act: &Act, _receipt: &Receipt, answer: &Answer) -> Option<(Physical, String)> {
        let Act::Door(r) = act else { return None };
        match answer {
            Answer::Order(order) => {
                let line = order.lines.iter().find(|l| l.item_no == r.item_no)?;
                match (line.delivery, line.state_text.as_str()) {
                    (DeliveryState::Delivered, _) => Some((Physical::Confirmed, String::new())),
                    (DeliveryState::Failed, why) => Some((Physical::Failed, why.to_owned())),
                    (_, TIMED_OUT) => Some((Physical::Unknowable, TIMED_OUT.to_owned())),
                    _ => None,
                }
            }
            Answer::Json(data) => {
                let o = Json::parse(data.as_bytes()).and_then(Json::object).ok()?;
                // 出货完成 means finished; whether well is in the reason.
                if text(&o, "status").ok()? != "出货完成" {
                    return None;
                }
                match text(&o, "fail_reason").ok()? {
                    why if why.is_empty() => Some((Physical::Confirmed, why)),
                    why => Some((Physical::Failed, why)),
                }
            }
            _ => None,
        }
    }
}

impl CallsBack for Dingshang {
    fn event_movement(&self, event: &Event) -> Option<Physical> {
        // Nobody signs it: a reason to ask, no more.
        (event.kind == EventKind::Delivery).then_some(Physical::Pending)
    }

    fn event(&self, _headers: &str, body: &[u8], _now_ms: i64) -> Result<Event> {
        let malformed = |why: String| Error::new(KL_E_EVENT, format!("the callback: {why}"));
        let form;
        let json = match body.iter().find(|b| !b.is_ascii_whitespace()) {
            None => return Err(malformed("has no body".into())),
            Some(b'{') => Json::parse(body),
            Some(_) => {
                let mut w = Writer::new();
                for (name, value) in form::decode(body).map_err(malformed)? {
                    w.text(&name, &value);
                }
                form = w.finish();
                Json::parse(form.as_bytes())
            }
        };
        json.and_then(delivered).map_err(|b| malformed(b.sentence("the content")))
    }

    fn event_reply(
        &self,
        _event: &Event,
        code: i32,
        message: &str,
        data_json: Option<&str>,
    ) -> Result<String> {
        // The vendor asks for HTTP 200 and reads no body.
        let mut w = Writer::new();
        w.int("code", code.into()).text("message", message);
        if let Some(data) = data_json {
            json::params(data, "data_json")?;
            w.raw("data", data);
        }
        Ok(w.finish())
    }
}

impl Dingshang {
    pub(super) fn fate_query(&self, act: &Act) -> Option<Query> {
        let Act::Door(r) = act else { return None };
        if r.item_no.is_empty() {
            // A test of a lane has no order.
            return None;
        }
        Some(Query::Order(item_order(r)))
    }

    pub(super) fn fate(&self, act: &Act, known: &Known<'_>, answer: &Answer) -> Verdict {
        let (Act::Door(r), Answer::Order(order)) = (act, answer) else {
            return Verdict::Unknown("the platform answered with something else".to_owned());
        };
        let Some(line) = order.lines.iter().find(|l| l.item_no == r.item_no) else {
            return Verdict::Unknown("the order does not show this item".to_owned());
        };
        if !known.alone {
            return Verdict::Unknown(
                "the item was dispensed before by another command; its state may be of that one".to_owned(),
            );
        }
        let receipt = Receipt {
            order_no: r.order_no.clone(),
            item_no: r.item_no.clone(),
            json: order.json.clone(),
            ..Receipt::default()
        };
        match (line.delivery, line.state_text.as_str()) {
            (DeliveryState::Delivered, _) => Verdict::Done(receipt, Physical::Confirmed, String::new()),
            (DeliveryState::Failed, why) => Verdict::Done(receipt, Physical::Failed, why.to_owned()),
            (DeliveryState::Pending, _) => Verdict::Done(receipt, Physical::Pending, String::new()),
            (_, TIMED_OUT) => Verdict::Done(receipt, Physical::Unknowable, TIMED_OUT.to_owned()),
            (_, state) => Verdict::Unknown(
                ["the item is in the state ", state, ", which says nothing of a command on its way"].concat(),
            ),
        }
    }
}

/// `upper(md5(k=v&k=v…&key=…))` over fields in the order of their names.
fn sign(sorted: &[(&str, &str)], key: &str, query_encoded: bool) -> String {
    let mut md5 = Md5::new();
    for (name, value) in sorted {
        md5.update(name);
        md5.update("=");
        if query_encoded {
            for (i, word) in value.split(' ').enumerate() {
                md5.update(if i == 0 { "" } else { "+" });
                md5.update(form::escaped(word));
            }
        } else {
            md5.update(value);
        }
        md5.update("&");
    }
    md5.update("key=");
    md5.update(key);
    let mut out = String::with_capacity(32);
    for byte in md5.finalize() {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        out.push(HEX[usize::from(byte >> 4)] as char);
        out.push(HEX[usize::from(byte & 15)] as char);
    }
    out
}

fn argument(message: String) -> Error {
    Error::new(KL_E_ARGUMENT, message)
}

fn required<'a>(name: &str, value: &'a str) -> Result<&'a str> {
    if told(value) { Ok(value) } else { Err(argument(format!("{name} is empty"))) }
}

/// A value that becomes a part of the path.
fn part<'a>(name: &str, value: &'a str) -> Result<&'a str> {
    if is_part(value) { Ok(value) } else { Err(argument(format!("{name} must be the platform's number"))) }
}

fn is_part(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// The caller's own number of an order. Longer texts, a UUID with its dashes for one, are refused by the platform.
fn own_number(trade_no: &str) -> Result<&str> {
    if (20..=32).contains(&trade_no.len()) && trade_no.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(trade_no);
    }
    Err(argument("trade_no must be 20 to 32 letters and digits, best only digits".into()))
}

/// The number under which a code is redeemed: the caller's, or 32 digits that always come out the same for the same
/// action.
fn trade_id(r: &RedeemRequest) -> Result<String> {
    if !r.trade_no.is_empty() {
        return own_number(&r.trade_no).map(str::to_owned);
    }
    let mut md5 = Md5::new();
    for part in [&r.request_id, &r.cabinet_id, &r.product_id, &r.code] {
        md5.update(part);
        md5.update([0]);
    }
    let hash: [u8; 16] = md5.finalize().into();
    let mut digits = String::with_capacity(32);
    for half in [&hash[..8], &hash[8..]] {
        let mut n = half.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
        for _ in 0..16 {
            digits.push(char::from(b'0' + (n % 10) as u8));
            n /= 10;
        }
    }
    Ok(digits)
}

/// Dispenses an item of an order, or, as a test, whatever a lane holds.
fn delivery(r: &DoorRequest) -> Result<(&'static str, Fields)> {
    let mut fields = Fields::of_machine(&r.cabinet_id)?;
    fields.add("method", DELIVERY_PUT);
    let path = match (r.order_no.as_str(), r.item_no.as_str(), r.door.as_str()) {
        ("", "", "") => {
            return Err(argument(
                "name the item to dispense: order_no and item_no, or door (the lane's name, like A21)".into(),
            ));
        }
        ("", "", lane) => {
            fields.add("channel_name", lane).add("notify_url", required("notify_url", &r.notify_url)?);
            "/deliveries/debug"
        }
        (_, _, lane) if !lane.is_empty() => {
            return Err(argument("either order_no with item_no or door, not both".into()));
        }
        (order, record, _) => {
            if !r.notify_url.is_empty() {
                return Err(argument("notify_url was given to the order when it was made; none here".into()));
            }
            fields
                .add("order_id", required("order_no", order)?)
                .add("record_id", required("item_no", record)?);
            "/deliveries"
        }
    };
    Ok((path, fields.with(r.extra_json.as_deref(), "extra_json")?))
}

/// The order whose item a delivery is about.
fn item_order(r: &DoorRequest) -> OrderRef {
    OrderRef {
        kind: OrderKind::Vending,
        order_no: r.order_no.clone(),
        cabinet_id: r.cabinet_id.clone(),
        ..OrderRef::default()
    }
}

fn new_codes(r: &CodeCreate) -> Result<Fields> {
    let mut fields = Fields::of_machine(&r.cabinet_id)?;
    if r.product_id.is_empty() {
        if r.count > 1 {
            return Err(argument(
                "count goes with a product_id; for all goods there is one code each".into(),
            ));
        }
        fields.add("method", "pickup_code.product.all");
    } else {
        fields
            .add("method", "pickup_code.product.id")
            .add("product_id", &r.product_id)
            .add("count", &r.count.max(1).to_string());
    }
    match r.length {
        0 => {}
        6..=10 => drop(fields.add("code_length", &r.length.to_string())),
        _ => return Err(argument("length must be 6 to 10, or 0 for the platform's 6".into())),
    }
    if r.expires_at != 0 {
        let text = to_wall(r.expires_at)
            .ok_or_else(|| argument("expires_at must be Unix seconds, or 0 for never".into()))?;
        fields.add("expired_at", &text);
    }
    fields.with(r.extra_json.as_deref(), "extra_json")
}

fn new_order(r: &OrderCreate) -> Result<String> {
    let mut lines = String::from("[");
    for (product, quantity) in &r.lines {
        // These two are numbers here, and nowhere else.
        let product: u64 =
            product.parse().map_err(|_| argument("product_id must be the platform's number".into()))?;
        if *quantity == 0 {
            return Err(argument("a quantity is 0".into()));
        }
        let mut line = Writer::new();
        line.raw("product_id", &product.to_string()).int("quantity", (*quantity).into());
        if lines.len() > 1 {
            lines.push(',');
        }
        lines.push_str(&line.finish());
    }
    if lines.len() == 1 {
        return Err(argument("an order needs at least one line".into()));
    }
    lines.push(']');
    let mut w = Writer::new();
    w.text("machine_no", required("cabinet_id", &r.cabinet_id)?)
        .text("notify_url", required("notify_url", &r.notify_url)?)
        .text("trade_id", own_number(&r.trade_no)?)
        .raw("products", &lines);
    w.finish_with(r.extra_json.as_deref())
}

fn order_status(order_no: &str, machine_no: &str, status: &str, extra: Option<&str>) -> Result<Plan> {
    let path = ["/orders/", part("order_no", order_no)?].concat();
    let mut fields = Fields::of_machine(machine_no)?;
    fields.add("status", status);
    Ok(Plan { method: "PUT", path, body: Body::Payload(fields.with(extra, "extra_json")?) })
}

/// `POST /products` taken apart. Strict, so that no spelling of a command's path slips through as something else.
fn named(method: &str) -> Result<(&'static str, &str)> {
    let (verb, path) = method.split_once(' ').unwrap_or(("", method));
    let verb = match verb {
        "POST" => "POST",
        "PUT" => "PUT",
        _ => "",
    };
    let whole = path.strip_prefix('/').is_some_and(|p| p.split('/').all(is_part));
    if verb.is_empty() || !whole {
        return Err(argument(
            "method must be like \"POST /products\": POST or PUT and a path below /api/openapi/v1".into(),
        ));
    }
    Ok((verb, path))
}

fn nature_of(verb: &str, path: &str) -> Result<Nature> {
    let lower = path.to_ascii_lowercase();
    let parts: Vec<&str> = lower.split('/').skip(1).collect();
    let post = verb == "POST";
    match parts[..] {
        ["consumes", ..] => {
            Err(argument("/consumes is a command: use kl_code_redeem, which never uses a code twice".into()))
        }
        ["deliveries", id] if post && id != "debug" => Ok(Nature::Read),
        ["deliveries", ..] => {
            Err(argument("/deliveries is a command: use kl_door_open, which never dispenses twice".into()))
        }
        ["ping" | "products" | "floors" | "banners" | "categories"]
        | ["rent", "machines"]
        | ["rent", "machines", _]
        | ["orders", _]
        | ["products", _, "pickup_code"]
            if post =>
        {
            Ok(Nature::Read)
        }
        _ => Ok(Nature::Write),
    }
}

fn call(method: &str, params_json: &str) -> Result<Plan> {
    let (method, path) = named(method)?;
    let body = if method == "POST" && path == "/orders" {
        json::params(params_json, "params_json")?;
        Body::Plain(params_json.to_owned())
    } else if params_json.trim().is_empty() && (path == "/ping" || path.starts_with("/rent/")) {
        Body::Nothing
    } else {
        Body::Payload(Fields::default().with(Some(params_json), "params_json")?)
    };
    Ok(Plan { method, path: path.to_owned(), body })
}

/// The envelope taken apart: `data`, and the refusal if it is one. Success is HTTP 200 *and* code 0 *and* `ok`; some
/// refusals carry code 0.
fn envelope(reply: &Reply) -> Result<(Option<Json<'_>>, Option<Error>)> {
    let by_status = http_error(reply).or_else(|| {
        (reply.status != 200).then(|| {
            Error::new(KL_E_HTTP, format!("HTTP {}: not an answer", reply.status))
                .with(|d| d.http_status = reply.status.into())
        })
    });
    let parsed = Json::parse(&reply.body).and_then(Json::object).and_then(|o| {
        let code = o.int32(&["code"])?.ok_or_else(|| json::missing("code"))?;
        let message = o.string(&["message"])?.ok_or_else(|| json::missing("message"))?;
        Ok((o.get("data")?, code, message))
    });
    match (parsed, by_status) {
        (Ok((data, 0, message)), None) if message == "ok" => Ok((data, None)),
        // A success under a bad status is not believed.
        (Ok((_, 0, message)), Some(error)) if message == "ok" => Err(error),
        (Ok((data, code, message)), _) => {
            let refusal = refusal::error(code, message).with(|d| d.http_status = reply.status.into());
            Ok((data, Some(refusal)))
        }
        (Err(_), Some(error)) => Err(error),
        (Err(bad), None) => Err(bad.error("the answer").with(|d| d.http_status = reply.status.into())),
    }
}

/// A list; an empty one may come as `[]`, `{}`, null or not at all.
fn list<T>(data: Option<Json<'_>>, read: impl Fn(Json<'_>) -> Read<T>) -> Read<Vec<T>> {
    let Some(data) = data else { return Ok(Vec::new()) };
    if data.kind() == JsonKind::Object && data.object()?.fields().is_empty() {
        return Ok(Vec::new());
    }
    let records = data.array()?;
    let mut items = Vec::with_capacity(records.len());
    for (i, record) in records.into_iter().enumerate() {
        items.push(read(record).map_err(|b| b.under(&format!("[{i}]")))?);
    }
    Ok(items)
}

/// The paginator around the products, which vanishes when there are none.
fn products(data: Option<Json<'_>>, cabinet_id: &str) -> Read<Page<StockItem>> {
    let read = |record: Json<'_>| product(record, cabinet_id);
    let Some(object) = data.filter(|d| d.kind() == JsonKind::Object) else {
        let items = list(data, read)?;
        return Ok(Page { total: Some(items.len() as u64), items, more: Some(false) });
    };
    let o = object.object()?;
    let items = list(o.get("data")?, read).map_err(|b| b.under("data"))?;
    let last = number(&o, "last_page")?;
    let more = (!items.is_empty() && last.is_some())
        .then(|| Ok(number(&o, "current_page")?.unwrap_or(0) < last.unwrap_or(0)))
        .transpose()?
        // An empty page is the last, whatever the numbers beside it say.
        .or(if items.is_empty() { Some(false) } else { None });
    Ok(Page { items, total: number(&o, "total")?.and_then(|t| u64::try_from(t).ok()), more })
}

/// Zero, false and empty values are left out by the platform: what is missing here is zero, or no.
fn product(record: Json<'_>, cabinet_id: &str) -> Read<StockItem> {
    let o = record.object()?;
    let good = o.object(&["good"])?;
    let text = |key: &str| match &good {
        Some(good) => text(good, key).map_err(|b| b.under("good")),
        None => Ok(String::new()),
    };
    let price = match &good {
        Some(good) => price(good, "price").map_err(|b| b.under("good"))?,
        None => -1,
    };
    let lane = match o.object(&["channel"])? {
        Some(channel) => self::text(&channel, "name").map_err(|b| b.under("channel"))?,
        None => String::new(),
    };
    let id = must(&o, "id")?;
    Ok(StockItem {
        cabinet_id: cabinet_id.to_owned(),
        product_id: id.clone(),
        id,
        barcode: String::new(),
        name: text("name")?,
        image_url: text("thumb")?,
        lanes: lane,
        price,
        stock: amount(&o, "current_inventory")?,
        capacity: amount(&o, "inventory")?,
        sold: -1,
        shelved_at: 0,
        json: record.text().to_owned(),
    })
}

fn cabinet(record: Json<'_>) -> Read<Cabinet> {
    let o = record.object()?;
    let place = text(&o, "lng_lat")?;
    let (longitude, latitude) = place
        .split_once(',')
        .and_then(|(lng, lat)| Some((decimal(lng.trim())?, decimal(lat.trim())?)))
        .unwrap_or((0.0, 0.0));
    Ok(Cabinet {
        id: must(&o, "machine_no")?,
        name: text(&o, "machine_name")?,
        address: text(&o, "address")?,
        longitude,
        latitude,
        online: Some(o.bool(&["is_online"])? == Some(true)).into(),
        sale: if o.bool(&["status"])? == Some(true) { SaleState::Selling } else { SaleState::Stopped },
        door_count: -1,
        json: record.text().to_owned(),
        ..Cabinet::default()
    })
}

fn order(record: Json<'_>, cabinet_id: &str) -> Read<Order> {
    let o = record.object()?;
    let state = text(&o, "status")?;
    let lines = list(o.get("records")?, order_line).map_err(|b| b.under("records"))?;
    Ok(Order {
        kind: OrderKind::Vending,
        order_no: must(&o, "order_id")?,
        trade_no: text(&o, "trade_id")?,
        cabinet_id: cabinet_id.to_owned(),
        payment: match state.as_str() {
            // Nothing is to be paid for a code, and money that went back was paid before.
            "SUCCESS" | "PICKUPCODE" | "REFUND" => PaymentState::Paid,
            "NOTPAY" | "USERPAYING" => PaymentState::Unpaid,
            "PAYERROR" | "CLOSED" | "REVOKED" => PaymentState::Failed,
            _ => PaymentState::Unknown,
        },
        pay_type: -1,
        refund_state: i32::from(state == "REFUND") * 2,
        delivery: together(&lines),
        amount: price(&o, "amount")?,
        lines,
        state_text: state,
        json: record.text().to_owned(),
        ..Order::default()
    })
}

fn order_line(record: Json<'_>) -> Read<OrderLine> {
    let o = record.object()?;
    let state = text(&o, "status")?;
    Ok(OrderLine {
        quantity: amount(&o, "quantity")?,
        price: price(&o, "price")?,
        total: -1,
        item_no: must(&o, "id")?,
        product_id: id_of(&o, "product_id")?.unwrap_or_default(),
        delivery: match state.as_str() {
            "WAITING_PICKED_UP" | "未取货" => DeliveryState::AwaitingPickup,
            "IS_DELIVERING" => DeliveryState::Pending,
            "IS_SUCCESS" | "IS_PICKED_UP" | "已取货" => DeliveryState::Delivered,
            "IS_FAILED" => DeliveryState::Failed,
            // Nobody knows what the machine did in the 120 s before a timeout; refunds come before and after.
            _ => DeliveryState::Unknown,
        },
        state_text: state,
        ..OrderLine::default()
    })
}

/// What is to be said of all items together: the worst first.
fn together(lines: &[OrderLine]) -> DeliveryState {
    use DeliveryState::*;
    [Failed, Unknown, Pending, AwaitingPickup, Delivered]
        .into_iter()
        .find(|state| lines.iter().any(|l| l.delivery == *state))
        .unwrap_or_default()
}

fn redeemed(order: &Order) -> Receipt {
    Receipt {
        order_no: order.order_no.clone(),
        item_no: order.lines.first().map(|l| l.item_no.clone()).unwrap_or_default(),
        json: order.json.clone(),
        ..Receipt::default()
    }
}

fn code(record: Json<'_>, query: &CodeQuery) -> Read<PickupCode> {
    let o = record.object()?;
    let state = text(&o, "status")?;
    Ok(PickupCode {
        kind: CodeKind::Pickup,
        code: must(&o, "code")?,
        id: must(&o, "id")?,
        state: match state.as_str() {
            "UNUSED" => CodeState::Unused,
            "USED" => CodeState::Used,
            "EXPIRED" => CodeState::Expired,
            _ => CodeState::Unknown,
        },
        state_text: state,
        cabinet_id: query.cabinet_id.clone(),
        product_id: query.product_id.clone(),
        quantity: o.int32(&["quantity"])?.unwrap_or(-1),
        created_at: time(&o, "created_at")?,
        expires_at: time(&o, "expired_at")?,
        json: record.text().to_owned(),
        ..PickupCode::default()
    })
}

fn delivered(content: Json<'_>) -> Read<Event> {
    let o = content.object()?;
    let mut event = Event {
        signed_with: SignedWith::Nothing,
        method: must(&o, "method")?,
        order_no: id_of(&o, "order_id")?.unwrap_or_default(),
        item_no: id_of(&o, "record_id")?.unwrap_or_default(),
        amount: -1,
        json: content.text().to_owned(),
        ..Event::default()
    };
    let mut status = String::new();
    if event.method == DELIVERY_RESPONSE {
        event.kind = EventKind::Delivery;
        status = id_of(&o, "deliver_status")?.unwrap_or_default();
        if event.order_no.is_empty() && status.is_empty() {
            return Err(json::missing("order_id"));
        }
        event.delivery = match status.as_str() {
            "1" => DeliveryState::Delivered,
            "0" => DeliveryState::Failed,
            // What is sent after a timeout, and when an unpaid order expires, is not documented.
            _ => DeliveryState::Unknown,
        };
        event.message = text(&o, "error_msg")?;
        if event.message.is_empty() {
            event.message = text(&o, "fail_reason")?;
        }
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

fn text(o: &Object<'_>, key: &str) -> Read<String> {
    o.string(&[key]).map(Option::unwrap_or_default)
}

/// A number that names something: documented as a number here and as a text there.
fn id_of(o: &Object<'_>, key: &str) -> Read<Option<String>> {
    let Some(value) = o.get(key)? else { return Ok(None) };
    let text = match value.kind() {
        JsonKind::String => value.string()?.into_owned(),
        _ => value.int().map_err(|b| b.under(key))?.to_string(),
    };
    Ok(Some(text).filter(|t| !t.is_empty()))
}

fn must(o: &Object<'_>, key: &str) -> Read<String> {
    id_of(o, key)?.ok_or_else(|| json::missing(key))
}

/// A number, or a text of one.
fn number(o: &Object<'_>, key: &str) -> Read<Option<i64>> {
    let wrong = || Bad::new(key, "is no whole number");
    id_of(o, key)?.map(|t| t.parse().map_err(|_| wrong())).transpose()
}

/// How many; what is missing is none.
fn amount(o: &Object<'_>, key: &str) -> Read<i32> {
    let wrong = || Bad::new(key, "is too large a number");
    i32::try_from(number(o, key)?.unwrap_or(0)).map_err(|_| wrong())
}

/// A price in fen; -1 if there is none.
fn price(o: &Object<'_>, key: &str) -> Read<i64> {
    let Some(value) = o.get(key)? else { return Ok(-1) };
    let text = match value.kind() {
        JsonKind::String => value.string()?,
        _ => Cow::Borrowed(value.text()),
    };
    if text.is_empty() {
        return Ok(-1);
    }
    fen(&text).ok_or_else(|| Bad::new(key, "is no price like \"0.10\""))
}

/// A time of China's wall clock; 0 if there is none, or the zero time of the platform's language.
fn time(o: &Object<'_>, key: &str) -> Read<i64> {
    let text = text(o, key)?;
    if text.is_empty() {
        return Ok(0);
    }
    unix_time(&text).ok_or_else(|| Bad::new(key, "is no time like \"2024-04-27 14:00:08\""))
}
