//! 友朋 (Yopoint), the operators' open platform.
//!
//! Follows <https://yopointapi.apifox.cn> and the older <https://api.yopoint.com/docs/operators>. Not every page of
//! it could be read: what is inferred is said at the item, and `docs/platforms/yopoint.md` lists it.

pub mod keys;

use super::{
    Answer, CallsBack, Draft, Kind, Known, Maturity, Moment, Nature, Op, Query, Recovers, Speaks, Verdict,
    address, form, http_error, unsupported,
};
use crate::command::{Act, Physical};
use crate::error::{Error, Result, words};
use crate::event::{Event, EventKind, SignedWith};
use crate::hex;
use crate::json::{self, Bad, Json, Kind as JsonKind, Object, Writer};
use crate::model::*;
use crate::settings::Settings;
use crate::status::*;
use crate::transport::{Reply, Request, Scheme, Url};
use md5::{Digest, Md5};

const GATEWAY: &str = "https://api.yopoint.com";
const GATEWAY_PATH: &str = "/api/gateway/index";
const VERSION: &str = "1.0.0";
const FORM: &str = "application/x-www-form-urlencoded";
/// The largest page that `cabinet.order.list` documents.
const LARGEST_PAGE: u32 = 100;
/// How old a payment page's redirect may be, as the vendor asks.
const PAY_PAGE_WINDOW_MS: u64 = 60_000;

/// Methods that only read, beside those whose last word says so.
const READS: &[&str] = &["api.test", "cabinet.product.stock", "cabinet.product.stock.with.replenishment"];
const READ_ENDINGS: &[&str] = &[".get", ".list"];
const OPEN_DOOR: &str = "cabinet.open.door";

/// Names of refusals in which the platform says that it looked and did not act. Their spellings are open: the
/// vendor publishes no list, so words are looked for. Anything else leaves a command unknown.
const REFUSALS: &[(&str, kl_status)] = &[
    ("MISSING_PARAM", KL_E_PARAMETER),
    ("INVALID_PARAM", KL_E_PARAMETER),
    ("TIMESTAMP", KL_E_TIMESTAMP),
    ("SIGN", KL_E_AUTH),
    ("APPID", KL_E_AUTH),
    ("PERMISSION", KL_E_PERMISSION),
    ("FORBIDDEN", KL_E_PERMISSION),
    ("METHOD", KL_E_UNSUPPORTED),
    ("NOT_EXIST", KL_E_NOT_FOUND),
    ("NOT_FOUND", KL_E_NOT_FOUND),
    ("OUTSTOCK", KL_E_OUT_OF_STOCK),
    ("OUT_OF_STOCK", KL_E_OUT_OF_STOCK),
    ("NONE_STOCK", KL_E_OUT_OF_STOCK),
    ("OFFLINE", KL_E_OFFLINE),
    ("NOT_SELL", KL_E_NOT_READY),
    ("STOP_SELL", KL_E_NOT_READY),
    ("BUSY", KL_E_NOT_READY),
    ("IN_USE", KL_E_NOT_READY),
    ("INUSE", KL_E_NOT_READY),
    ("CREDIT", KL_E_NOT_READY),
    ("FREQUEN", KL_E_RATE_LIMIT),
    ("RATE_LIMIT", KL_E_RATE_LIMIT),
];

/// One account on Yopoint.
pub(super) struct Yopoint {
    gateway: Url,
    app_id: String,
    app_secret: String,
    pay_key: Option<String>,
    milliseconds: bool,
    json: bool,
    allow_http: bool,
    own_trade_no: bool,
}

impl Yopoint {
    /// Refuses missing credentials and a bad address.
    pub(super) fn new(config: &Settings) -> Result<Yopoint> {
        let mut gateway = address(config, "base_url", config.get("base_url").unwrap_or(GATEWAY))?;
        // The vendor's page gives the whole address; people paste it.
        let given = gateway.path_and_query.trim_end_matches('/');
        gateway.path_and_query = [given.strip_suffix(GATEWAY_PATH).unwrap_or(given), GATEWAY_PATH].concat();
        Ok(Yopoint {
            gateway,
            app_id: config.need("app_id")?.to_owned(),
            app_secret: config.need("app_secret")?.to_owned(),
            pay_key: config.get("pay_key").map(str::to_owned),
            milliseconds: config.get("timestamp_unit") == Some("ms"),
            json: config.get("format") == Some("json"),
            allow_http: config.yes("allow_http"),
            own_trade_no: config.yes("own_trade_no"),
        })
    }

    /// The number by which an opening whose answer was lost can be found again: the caller's, or one that always comes
    /// out the same for the same action. Empty if none is sent.
    fn trade_no(&self, r: &DoorRequest) -> String {
        let id = &r.request_id;
        if !r.order_no.is_empty() || !self.own_trade_no {
            return r.order_no.clone();
        }
        // What payment channels take as such a number.
        if id.len() <= 32 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return id.clone();
        }
        hex::lower(&Md5::digest(id))
    }

    /// Whether the order is the one that this request made, by the number that was sent with it.
    fn made(&self, r: &DoorRequest, order: &Order) -> bool {
        let number = self.trade_no(r);
        !number.is_empty() && order.trade_no == number && order.cabinet_id == r.cabinet_id
    }

    fn gateway_request(&self, method: &str, biz: &str, now_ms: i64) -> Request {
        let timestamp = if self.milliseconds { now_ms } else { now_ms.div_euclid(1000) }.to_string();
        let mut fields = [
            ("appid", self.app_id.as_str()),
            ("biz_content", biz),
            ("method", method),
            ("sign_type", "md5"),
            ("timestamp", &timestamp),
            ("version", VERSION),
        ];
        let sign = sign(&mut fields, &self.app_secret);
        let (content_type, body) = if self.json {
            let mut w = Writer::new();
            for (name, value) in fields {
                if name == "timestamp" {
                    w.raw(name, value);
                } else {
                    w.text(name, value);
                }
            }
            w.text("sign", &sign);
            ("application/json", w.finish())
        } else {
            let all = fields.into_iter().chain([("sign", sign.as_str())]);
            (FORM, form::encode(all))
        };
        post(self.gateway.clone(), content_type, body)
    }

    fn payment_report<'a>(&'a self, report: &'a PaymentReport) -> Result<Draft<'a>> {
        let url = Url::parse(&report.notify_url).map_err(|why| argument(format!("notify_url: {why}")))?;
        if url.scheme == Scheme::Http && !self.allow_http {
            return Err(argument("notify_url is plain http; only allow_http=yes permits that".into()));
        }
        let key = self.pay_key.as_deref().ok_or_else(|| {
            Error::new(
                KL_E_CONFIG_MISSING,
                "a payment report is signed with the key \"pay_key\", which is not set",
            )
        })?;
        required("order_no", &report.order_no)?;
        let raw = report.channel_json.as_deref().unwrap_or("{}");
        json::params(raw, "channel_json")?;
        let mut more = Vec::new();
        if let Some(extra) = &report.extra_json {
            for (name, value) in json::params(extra, "extra_json")?.fields() {
                let text = match value.kind() {
                    JsonKind::String => {
                        value.string().map_err(|b| argument(b.sentence("extra_json")))?.into_owned()
                    }
                    _ => value.text().to_owned(),
                };
                more.push((name.to_string(), text));
            }
        }
        let to = url.clone();
        let seal = move |moment: &Moment<'_>| {
            let timestamp = moment.now_ms.div_euclid(1000).to_string();
            let mut fields = vec![
                ("receipt_no", report.order_no.as_str()),
                ("trade_no", &report.trade_no),
                ("trade_status", if report.paid { "1" } else { "-1" }),
                ("trade_rawdata", raw),
                ("timestamp", &timestamp),
            ];
            fields.retain(|(name, _)| !more.iter().any(|(n, _)| n == name));
            fields.extend(more.iter().map(|(n, v)| (n.as_str(), v.as_str())));
            let sign = sign(&mut fields, key);
            fields.push(("sign", &sign));
            // Known clients add the price after signing; it is not covered.
            let price = report.amount.to_string();
            if report.amount >= 0 && !more.iter().any(|(n, _)| n == "price") {
                fields.push(("price", &price));
            }
            post(to.clone(), FORM, form::encode(fields))
        };
        Ok(Draft { url, seal: Box::new(seal) })
    }
}

impl Speaks for Yopoint {
    fn kind(&self) -> Kind {
        Kind::Yopoint
    }

    fn origin(&self) -> &Url {
        &self.gateway
    }

    fn nature(&self, op: &Op<'_>) -> Result<Nature> {
        match op {
            Op::Ping | Op::CabinetList { .. } | Op::Stock { .. } | Op::OrderGet(_) | Op::OrderList { .. } => {
                Ok(Nature::Read)
            }
            Op::DoorOpen(_) => Ok(Nature::Command),
            Op::RefundApply(_) | Op::AppealFile(_) | Op::PaymentReport(_) => Ok(Nature::Write),
            Op::Call { method: OPEN_DOOR, .. } => Err(argument(
                "cabinet.open.door is a command: use kl_door_open, which never opens twice".into(),
            )),
            Op::Call { method, .. } => {
                let reads = READS.contains(method) || READ_ENDINGS.iter().any(|end| method.ends_with(end));
                Ok(if reads { Nature::Read } else { Nature::Write })
            }
            _ => Err(unsupported(self.kind(), op)),
        }
    }

    fn draft<'a>(&'a self, op: &Op<'a>) -> Result<Draft<'a>> {
        let (method, biz) = match *op {
            Op::PaymentReport(report) => return self.payment_report(report),
            Op::Call { method, params_json } => {
                if method.is_empty() || !method.bytes().all(|b| b.is_ascii_graphic()) {
                    return Err(argument("method must be a name like cabinet.order.list".into()));
                }
                // Signed and sent exactly as the caller wrote it.
                let params = if params_json.trim().is_empty() { "{}" } else { params_json };
                json::params(params, "params_json")?;
                (method, params.to_owned())
            }
            Op::Ping => ("api.test", "{}".to_owned()),
            Op::CabinetList { page } => ("cabinet.list", paged(Writer::new(), &page)?.finish()),
            Op::Stock { cabinet_id, page, extra_json } => {
                let mut w = Writer::new();
                w.text("CID", required("cabinet_id", cabinet_id)?);
                ("cabinet.product.stock", paged(w, &page)?.finish_with(extra_json)?)
            }
            Op::DoorOpen(r) => (OPEN_DOOR, door_params(r, &self.trade_no(r))?),
            Op::OrderGet(r) => {
                if r.order_no.is_empty() && r.trade_no.is_empty() {
                    return Err(argument(
                        "an order is named by order_no, trade_no or both; both are empty".into(),
                    ));
                }
                let mut w = Writer::new();
                w.text("ReceiptNo", &r.order_no).text("TradeNo", &r.trade_no);
                let method = match r.kind {
                    OrderKind::Cabinet => "cabinet.order.get",
                    OrderKind::Vending => "consumer.order.get",
                };
                (method, w.finish_with(r.extra_json.as_deref())?)
            }
            Op::OrderList { query, page } => {
                if query.from < 0 || query.to < query.from {
                    return Err(argument("the period must have from <= to, in Unix seconds".into()));
                }
                let mut w = Writer::new();
                w.int("page", page.number.into()).int("StartTime", query.from).int("EndTime", query.to);
                let method = match query.kind {
                    OrderKind::Cabinet => {
                        w.int("pageSize", page_size(&page)?.into());
                        "cabinet.order.list"
                    }
                    // Documents no page size; the platform decides.
                    OrderKind::Vending => "consumer.order.list",
                };
                (method, w.finish_with(query.extra_json.as_deref())?)
            }
            Op::RefundApply(claim) => ("cabinet.order.refund.apply", claim_params(claim)?),
            Op::AppealFile(claim) => ("cabinet.order.user.appeal", claim_params(claim)?),
            _ => return Err(unsupported(self.kind(), op)),
        };
        let seal = move |moment: &Moment<'_>| self.gateway_request(method, &biz, moment.now_ms);
        Ok(Draft { url: self.gateway.clone(), seal: Box::new(seal) })
    }

    fn answer(&self, op: &Op<'_>, reply: &Reply) -> Result<Answer> {
        if let Op::PaymentReport(_) = op {
            return report_answer(reply);
        }
        let data = envelope(reply)?;
        let bad = |b: Bad| b.under("data").error("the answer");
        let needed = || data.ok_or_else(|| json::missing("data").error("the answer"));
        Ok(match op {
            Op::Ping => Answer::Pong,
            Op::CabinetList { .. } => Answer::Cabinets(page(needed()?, cabinet).map_err(bad)?),
            Op::Stock { .. } => Answer::Stock(page(needed()?, stock_item).map_err(bad)?),
            Op::OrderList { query, .. } => {
                Answer::Orders(page(needed()?, |record| order(record, query.kind)).map_err(bad)?)
            }
            Op::OrderGet(r) => {
                // A list of one is what some gateways answer to a query by trade number.
                let record = needed()?;
                let order = order(record, r.kind).map_err(bad)?;
                if order.order_no.is_empty() {
                    return Err(bad(json::missing("ReceiptNo")));
                }
                Answer::Order(Box::new(order))
            }
            Op::DoorOpen(_) => Answer::Taken(door_opened(needed()?).map_err(bad)?),
            _ => Answer::Json(data.map_or("null", Json::text).to_owned()),
        })
    }
}

impl Recovers for Yopoint {
    fn proves_not_done(&self, error: &Error) -> bool {
        let d = error.details();
        // Only a refusal by name: ERR_SYSTEM and its like may come after the door has moved.
        d.platform_code != 0 && d.status != KL_E_PLATFORM
            || matches!(d.http_status, 301..=308 | 400..=407 | 411 | 413..=415 | 429 | 431)
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

    fn order_is_new(&self, act: &Act) -> bool {
        matches!(act, Act::Door(_))
    }

    fn movement_query(&self, act: &Act, receipt: &Receipt) -> Option<Query> {
        let Act::Door(_) = act else { return None };
        let order_no = receipt.order_no.clone();
        (!order_no.is_empty()).then(|| Query::Order(OrderRef { order_no, ..OrderRef::default() }))
    }

    fn movement(&self, _act: &Act, receipt: &Receipt, answer: &Answer) -> Option<(Physical, String)> {
        match answer {
            Answer::Order(order) if order.order_no == receipt.order_no => door_of(order),
            _ => None,
        }
    }
}

impl CallsBack for Yopoint {
    fn event_verdict(&self, known: &Known<'_>, event: &Event) -> Option<Verdict> {
        self.event_fate(known.act, event)
    }

    fn event_movement(&self, event: &Event) -> Option<Physical> {
        match (event.kind, event.door) {
            // The machine reports after the door is shut again: so it was open.
            (EventKind::DoorClosed, DoorState::Shut | DoorState::Open) => Some(Physical::Confirmed),
            (EventKind::DoorClosed, DoorState::NeverOpened) => Some(Physical::Failed),
            _ => None,
        }
    }

    fn event(&self, _headers: &str, body: &[u8], now_ms: i64) -> Result<Event> {
        let malformed = |why: String| Error::new(KL_E_EVENT, format!("the callback: {why}"));
        let fields = match body.iter().find(|b| !b.is_ascii_whitespace()) {
            None => return Err(malformed("has no body".into())),
            Some(b'{') => json_fields(body).map_err(|b| malformed(b.sentence("the JSON")))?,
            Some(_) => form::decode(body).map_err(malformed)?,
        };
        let field = |name: &str| fields.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str());
        let signed_with = self.verify(&fields, field("sign"))?;
        let sent_ms = match field("timestamp") {
            "" => 0,
            text => {
                let n: i64 = text.parse().map_err(|_| malformed("timestamp is no number".into()))?;
                // Thirteen digits are milliseconds: the documents and the samples disagree.
                if n.unsigned_abs() >= 100_000_000_000 { n } else { n * 1000 }
            }
        };
        let mut event = Event {
            signed_with,
            app_id: field("appid").to_owned(),
            sent_at: sent_ms.div_euclid(1000),
            method: field("method").to_owned(),
            amount: -1,
            ..Event::default()
        };
        if event.method.is_empty() && !field("receipt_no").is_empty() {
            return pay_page(event, field, sent_ms, now_ms);
        }
        if event.method.is_empty() {
            return Err(malformed("method is missing".into()));
        }
        let biz = field("biz_content");
        event.json = if biz.trim().is_empty() { "{}".to_owned() } else { biz.to_owned() };
        let json = event.json.clone();
        read_event(&mut event, &json)
            .map_err(|b| malformed(b.under("biz_content").sentence("the content")))?;
        let what = if event.notice_id.is_empty() { json.as_str() } else { &event.notice_id };
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
        w.raw("error_msg", &{
            let mut text = String::new();
            json::push_string(&mut text, message);
            text
        });
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
    pub(super) fn fate_query(&self, act: &Act) -> Option<Query> {
        let Act::Door(r) = act else { return None };
        let trade_no = self.trade_no(r);
        (!trade_no.is_empty()).then(|| Query::Order(OrderRef { trade_no, ..OrderRef::default() }))
    }

    pub(super) fn fate(&self, act: &Act, _known: &Known<'_>, answer: &Answer) -> Verdict {
        let (Act::Door(r), Answer::Order(order)) = (act, answer) else {
            return Verdict::Unknown("the platform answered with something else".to_owned());
        };
        if !self.made(r, order) {
            return Verdict::Unknown("the order that the platform gives is another one".to_owned());
        }
        let (physical, why) = door_of(order).unwrap_or((Physical::Pending, String::new()));
        Verdict::Done(receipt_of(order, ""), physical, why)
    }

    pub(super) fn event_fate(&self, act: &Act, event: &Event) -> Option<Verdict> {
        // An order that replaces another has the same numbers, but no door opened for it.
        let (Act::Door(r), EventKind::Recognized, Some(order)) = (act, event.kind, &event.order) else {
            return None;
        };
        if !self.made(r, order) {
            return None;
        }
        // Goods are recognised when the door is shut again: so it was open.
        let (physical, why) = door_of(order).unwrap_or((Physical::Confirmed, String::new()));
        Some(Verdict::Done(receipt_of(order, &event.report_url), physical, why))
    }
}

impl Yopoint {
    /// Which secret verifies these fields. Payment callbacks use the payment key, the others the AppSecret; for
    /// some the vendor does not say, so either is accepted.
    fn verify(&self, fields: &[(String, String)], given: &str) -> Result<SignedWith> {
        if given.is_empty() {
            return Err(Error::new(KL_E_EVENT_SIGNATURE, "the callback has no sign"));
        }
        let mut signed: Vec<(&str, &str)> =
            fields.iter().filter(|(n, _)| n != "sign").map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let mut fits =
            |key: &str| same(sign(&mut signed, key).as_bytes(), given.to_ascii_lowercase().as_bytes());
        if fits(&self.app_secret) {
            Ok(SignedWith::AppSecret)
        } else if self.pay_key.as_deref().is_some_and(fits) {
            Ok(SignedWith::PayKey)
        } else {
            Err(Error::new(KL_E_EVENT_SIGNATURE, "the callback's sign fits neither app_secret nor pay_key"))
        }
    }
}

/// `lower(md5(k=v&k=v…&secret))` over the fields in the order of their names, values as they are.
fn sign(fields: &mut [(&str, &str)], secret: &str) -> String {
    fields.sort_unstable_by(|a, b| a.0.cmp(b.0));
    let mut md5 = Md5::new();
    for (name, value) in fields {
        md5.update(name.as_bytes());
        md5.update(b"=");
        md5.update(value.as_bytes());
        md5.update(b"&");
    }
    md5.update(secret.as_bytes());
    hex::lower(&md5.finalize())
}

/// Compares without telling by its time where the texts part.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}

fn post(url: Url, content_type: &str, body: String) -> Request {
    Request {
        method: "POST",
        url,
        headers: vec![("Content-Type", content_type.to_owned()), ("Accept", "application/json".to_owned())],
        body: body.into_bytes(),
    }
}

fn argument(message: String) -> Error {
    Error::new(KL_E_ARGUMENT, message)
}

fn required<'a>(name: &str, value: &'a str) -> Result<&'a str> {
    if value.is_empty() { Err(argument(format!("{name} is empty"))) } else { Ok(value) }
}

fn page_size(page: &PageRequest) -> Result<u32> {
    match page.size {
        0 => Ok(LARGEST_PAGE),
        size if size <= LARGEST_PAGE => Ok(size),
        size => Err(argument(format!("a page of {size} is more than Yopoint's {LARGEST_PAGE}"))),
    }
}

fn paged(mut w: Writer, page: &PageRequest) -> Result<Writer> {
    w.int("Page", page.number.into()).int("PageSize", page_size(page)?.into());
    Ok(w)
}

/// The vendor's page of this method could not be read: `CID` is certain in substance, the others are inferred and
/// are sent only when the caller sets them.
fn door_params(r: &DoorRequest, trade_no: &str) -> Result<String> {
    for (name, value) in [("item_no", &r.item_no), ("notify_url", &r.notify_url)] {
        if !value.is_empty() {
            return Err(argument(format!("Yopoint takes no {name} when a door is opened")));
        }
    }
    let mut w = Writer::new();
    w.text("CID", required("cabinet_id", &r.cabinet_id)?)
        .text("Door", &r.door)
        .text("OpenID", &r.user_id)
        .text("TradeNo", trade_no);
    w.finish_with(r.extra_json.as_deref())
}

/// What an order says of its door; `None`: nothing yet. A fresh order may say 0, shut, before the door has opened.
/// What the answer to the opening would have said, as far as an order tells.
fn receipt_of(order: &Order, report_url: &str) -> Receipt {
    Receipt {
        order_no: order.order_no.clone(),
        notify_url: report_url.to_owned(),
        json: order.json.clone(),
        ..Receipt::default()
    }
}

fn door_of(order: &Order) -> Option<(Physical, String)> {
    match order.door {
        DoorState::Open => Some((Physical::Confirmed, String::new())),
        DoorState::Shut if order.service == ServiceState::Ended => Some((Physical::Confirmed, String::new())),
        DoorState::NeverOpened => Some((Physical::Failed, "the machine did not open".to_owned())),
        _ => None,
    }
}

/// Field names inferred from the order record; `ReceiptNo` is certain in substance.
fn claim_params(claim: &Claim) -> Result<String> {
    let mut w = Writer::new();
    w.text("ReceiptNo", required("order_no", &claim.order_no)?)
        .text("UserRefundsReason", &claim.reason)
        .text("UserRefundsRemarks", &claim.remarks)
        .text("UserRefundsMobile", &claim.phone);
    w.finish_with(claim.extra_json.as_deref())
}

/// Checks the envelope and gives `data`, if there is any.
fn envelope(reply: &Reply) -> Result<Option<Json<'_>>> {
    let by_status = http_error(reply);
    let parsed = Json::parse(&reply.body).and_then(Json::object).and_then(|o| {
        let code = o.int32(&["error_code"])?.ok_or_else(|| json::missing("error_code"))?;
        Ok((o, code))
    });
    let (object, code) = match (parsed, by_status) {
        (Ok(whole), None) => whole,
        // An envelope under a bad status still names the reason; a success under one is not believed.
        (Ok((object, code)), Some(_)) if code != 0 => (object, code),
        (_, Some(error)) => return Err(error),
        (Err(bad), None) => {
            return Err(bad.error("the answer").with(|d| d.http_status = reply.status.into()));
        }
    };
    if code == 0 {
        return object.get("data").map_err(|b| b.error("the answer"));
    }
    let text = |key| object.string(&[key]).ok().flatten().unwrap_or_default();
    let mut reason = text("error_msg");
    let sub = text("sub_error_msg");
    if !sub.is_empty() {
        reason = [&reason, ": ", &sub].concat();
    }
    let upper = reason.to_ascii_uppercase();
    let status = REFUSALS.iter().find(|(word, _)| upper.contains(word)).map_or(KL_E_PLATFORM, |(_, s)| *s);
    let hint = match status {
        KL_E_AUTH => ": app_id or app_secret is wrong, or was pasted with a blank",
        KL_E_PERMISSION => ": tick this method for the account in the operator console",
        _ => "",
    };
    Err(Error::new(status, format!("Yopoint refused, error_code {code} {}{hint}", words(reason.trim_end())))
        .with(|d| {
            d.http_status = reply.status.into();
            d.platform_code = code;
            d.platform_message = reason;
        }))
}

/// The older flow answers `success` as plain text, the gateway an envelope; both are taken.
fn report_answer(reply: &Reply) -> Result<Answer> {
    let text = String::from_utf8_lossy(&reply.body);
    let text = text.trim();
    if http_error(reply).is_none() && text.eq_ignore_ascii_case("success") {
        return Ok(Answer::Json("\"success\"".into()));
    }
    if text.starts_with('{') {
        return envelope(reply).map(|data| Answer::Json(data.map_or("null", Json::text).to_owned()));
    }
    if let Some(error) = http_error(reply) {
        return Err(error);
    }
    let words: String = text.chars().filter(|c| !c.is_control()).take(100).collect();
    let said = if words.starts_with('<') || words.is_empty() {
        "something else"
    } else if words.eq_ignore_ascii_case("fail") || words.eq_ignore_ascii_case("error") {
        "a refusal"
    } else {
        "other words"
    };
    Err(Error::new(KL_E_PLATFORM, format!("the payment report was answered with {said}, not \"success\""))
        .with(|d| {
            d.http_status = reply.status.into();
            d.platform_message = words;
        }))
}

/// A bare array, or the paginator around one.
fn page<T>(
    data: Json<'_>,
    read: impl Fn(Json<'_>) -> std::result::Result<T, Bad>,
) -> std::result::Result<Page<T>, Bad> {
    let (records, total, more) = match data.kind() {
        JsonKind::Array => (data.array()?, None, None),
        _ => {
            let o = data.object()?;
            let records = o.array(&["data"])?.ok_or_else(|| json::missing("data"))?;
            let total = o.int(&["total"])?;
            let more = match (o.int(&["current_page"])?, o.int(&["last_page"])?) {
                (Some(current), Some(last)) => Some(current < last),
                _ => None,
            };
            (records, total, more)
        }
    };
    let bare = data.kind() == JsonKind::Array;
    let mut items = Vec::with_capacity(records.len());
    for (i, record) in records.into_iter().enumerate() {
        let item = read(record).map_err(|b| {
            let b = b.under(&format!("[{i}]"));
            if bare { b } else { b.under("data") }
        })?;
        items.push(item);
    }
    // An empty page is the last, whatever the numbers beside it say.
    let more = if items.is_empty() { Some(false) } else { more };
    Ok(Page { items, total: total.and_then(|t| u64::try_from(t).ok()), more })
}

fn cabinet(record: Json<'_>) -> std::result::Result<Cabinet, Bad> {
    let o = record.object()?;
    let text = |keys: &[&str]| o.string(keys).map(Option::unwrap_or_default);
    let place = [text(&["Province"])?, text(&["City"])?, text(&["District"])?, text(&["Address"])?];
    let (mut longitude, mut latitude) = (0.0, 0.0);
    if let Some(location) = o.array(&["Location"])? {
        if let [lng, lat] = location[..] {
            longitude = lng.float().map_err(|b| b.under("Location[0]"))?;
            latitude = lat.float().map_err(|b| b.under("Location[1]"))?;
        }
    }
    let enabled = o.bool(&["EnableSell"])?;
    Ok(Cabinet {
        id: text(&["CID", "cid", "id"])?,
        name: text(&["Name", "TerminalName"])?,
        device_code: text(&["DeviceCode"])?,
        code: text(&["Code"])?,
        address: place.concat(),
        longitude,
        latitude,
        online: o.int(&["OnlineStatus"])?.map(|n| n == 1).into(),
        sale: match (o.int(&["SellStatus"])?, enabled) {
            (Some(1), Some(false)) => SaleState::Stopped,
            (Some(0), _) => SaleState::Stopped,
            (Some(1), _) => SaleState::Selling,
            (Some(2), _) => SaleState::ToBeDeployed,
            (_, Some(false)) => SaleState::Stopped,
            (_, Some(true)) => SaleState::Selling,
            _ => SaleState::Unknown,
        },
        door_count: o.int32(&["CabinetCount"])?.unwrap_or(-1),
        json: record.text().to_owned(),
    })
}

/// Shaped after `cabinet.product.stock.with.replenishment`, its documented relative. The goods' own fields may
/// stand in the record or in its `ProductVO`.
fn stock_item(record: Json<'_>) -> std::result::Result<StockItem, Bad> {
    let o = record.object()?;
    let vo = o.object(&["ProductVO"])?;
    let text = |key: &str| -> std::result::Result<String, Bad> {
        if let Some(text) = o.string(&[key])? {
            return Ok(text);
        }
        match &vo {
            Some(vo) => vo.string(&[key]).map(Option::unwrap_or_default).map_err(|b| b.under("ProductVO")),
            None => Ok(String::new()),
        }
    };
    let price = match (o.int(&["Price"])?, &vo) {
        (Some(price), _) => Some(price),
        (None, Some(vo)) => vo.int(&["Price"]).map_err(|b| b.under("ProductVO"))?,
        (None, None) => None,
    };
    let mut lanes = String::new();
    for (i, lane) in o.array(&["CargoList"])?.unwrap_or_default().into_iter().enumerate() {
        let lane = lane.object().map_err(|b| b.under(&format!("CargoList[{i}]")))?;
        if let (Some(row), Some(col)) = (lane.get("Row")?, lane.get("Col")?) {
            if !lanes.is_empty() {
                lanes.push(',');
            }
            lanes.push_str(row.text().trim_matches('"'));
            lanes.push('-');
            lanes.push_str(col.text().trim_matches('"'));
        }
    }
    Ok(StockItem {
        cabinet_id: o.string(&["CID", "cid"])?.unwrap_or_default(),
        id: o.string(&["id"])?.unwrap_or_default(),
        product_id: text("ProviderProductID")?,
        barcode: text("BarCode")?,
        name: text("Name")?,
        image_url: text("ImageUrl")?,
        lanes,
        price: price.unwrap_or(-1),
        stock: o.int32(&["Stock"])?.unwrap_or(-1),
        capacity: o.int32(&["Capacity"])?.unwrap_or(-1),
        sold: o.int32(&["SalesCount"])?.unwrap_or(-1),
        shelved_at: o.int(&["OnShelvesTime"])?.unwrap_or(0),
        json: record.text().to_owned(),
    })
}

fn order(record: Json<'_>, kind: OrderKind) -> std::result::Result<Order, Bad> {
    let o = record.object()?;
    let text = |keys: &[&str]| o.string(keys).map(Option::unwrap_or_default);
    let time = |key: &str| o.int(&[key]).map(|t| t.unwrap_or(0).max(0));
    let paid_at = time("PayTime")?;
    let status = o.int(&["TradeStatus"])?;
    let door = match o.last("DoorStatus") {
        // The vendor's own example holds the key twice; the later one is the state.
        Some(value) => Some(value.int().map_err(|b| b.under("DoorStatus"))?),
        None => None,
    };
    let mut lines = order_lines(&o, "Products")?;
    // A vending machine's order is of one piece, told in the record itself.
    let single = text(&["ProductName"])?;
    let amount = o.int(&["Price"])?.unwrap_or(-1);
    if lines.is_empty() && !single.is_empty() {
        let barcode = text(&["BarCode"])?;
        lines.push(OrderLine {
            barcode,
            name: single,
            quantity: 1,
            price: amount,
            total: amount,
            ..OrderLine::default()
        });
    }
    Ok(Order {
        kind,
        order_no: text(&["ReceiptNo"])?,
        trade_no: text(&["TradeNo"])?,
        cabinet_id: text(&["CID", "TID"])?,
        user_id: text(&["UserID"])?,
        open_id: text(&["OpenID"])?,
        payment: match status {
            _ if paid_at > 0 => PaymentState::Paid,
            Some(1) => PaymentState::Paid,
            Some(-1) => PaymentState::Failed,
            Some(0) => PaymentState::Unpaid,
            Some(_) => PaymentState::Unknown,
            None if o.get("PayTime")?.is_some() => PaymentState::Unpaid,
            None => PaymentState::Unknown,
        },
        pay_type: o.int32(&["PayType"])?.unwrap_or(-1),
        service: match o.int(&["ServiceStatus"])? {
            Some(0) => ServiceState::NotStarted,
            Some(1) => ServiceState::InService,
            Some(2) => ServiceState::Ended,
            _ => ServiceState::Unknown,
        },
        door: match door {
            Some(-1) => DoorState::NeverOpened,
            Some(0) => DoorState::Shut,
            Some(1) => DoorState::Open,
            _ => DoorState::Unknown,
        },
        delivery: delivery(o.int(&["ShipmentsStatus"])?),
        delivery_error: text(&["ShipmentsError"])?,
        suspicious: o.int(&["IsSuspicious"])?.map(|n| n != 0).into(),
        amount,
        refunded: o.int(&["RefundsPrice"])?.unwrap_or(0),
        refund_state: o.int32(&["UserRefundsStatus"])?.unwrap_or(0),
        refund_reason: text(&["UserRefundsReason"])?,
        created_at: time("CreateAt")?,
        paid_at,
        refund_at: time("UserRefundsTime")?,
        lines,
        refunded_lines: order_lines(&o, "RefundsProducts")?,
        state_text: String::new(),
        json: record.text().to_owned(),
    })
}

fn order_lines(o: &Object<'_>, key: &str) -> std::result::Result<Vec<OrderLine>, Bad> {
    let mut lines = Vec::new();
    for (i, line) in o.array(&[key])?.unwrap_or_default().into_iter().enumerate() {
        let read = || {
            let l = line.object()?;
            Ok(OrderLine {
                barcode: l.string(&["BarCode"])?.unwrap_or_default(),
                name: l.string(&["Name"])?.unwrap_or_default(),
                quantity: l.int32(&["Qty"])?.unwrap_or(-1),
                price: l.int(&["Price"])?.unwrap_or(-1),
                total: l.int(&["TotalPrice"])?.unwrap_or(-1),
                ..OrderLine::default()
            })
        };
        lines.push(read().map_err(|b: Bad| b.under(&format!("{key}[{i}]")))?);
    }
    Ok(lines)
}

fn delivery(status: Option<i64>) -> DeliveryState {
    match status {
        Some(0) => DeliveryState::Pending,
        Some(1) => DeliveryState::Delivered,
        Some(-1) => DeliveryState::Failed,
        Some(2) => DeliveryState::AwaitingPickup,
        Some(3) => DeliveryState::OutOfStock,
        _ => DeliveryState::Unknown,
    }
}

fn door_opened(data: Json<'_>) -> std::result::Result<Receipt, Bad> {
    let o = data.object()?;
    let order_no =
        o.string(&["ReceiptNo"])?.filter(|s| !s.is_empty()).ok_or_else(|| json::missing("ReceiptNo"))?;
    Ok(Receipt {
        order_no,
        notify_url: o.string(&["NotifyUrl"])?.unwrap_or_default(),
        json: data.text().to_owned(),
        ..Receipt::default()
    })
}

fn json_fields(body: &[u8]) -> std::result::Result<Vec<(String, String)>, Bad> {
    let object = Json::parse(body)?.object()?;
    let mut fields: Vec<(String, String)> = Vec::new();
    for (name, value) in object.fields() {
        object.get(name)?;
        let text = match value.kind() {
            JsonKind::String => value.string().map_err(|b| b.under(name))?.into_owned(),
            _ => value.text().to_owned(),
        };
        if !fields.iter().any(|(n, _)| n == name) {
            fields.push((name.to_string(), text));
        }
    }
    Ok(fields)
}

fn read_event(event: &mut Event, biz: &str) -> std::result::Result<(), Bad> {
    let content = Json::parse(biz.as_bytes())?;
    event.kind = match event.method.as_str() {
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
    };
    if matches!(event.kind, EventKind::Other | EventKind::Test) {
        // Their content is theirs: any JSON.
        return Ok(());
    }
    let o = content.object()?;
    let text = |keys: &[&str]| o.string(keys).map(Option::unwrap_or_default);
    let must = |key: &str| o.string(&[key])?.filter(|s| !s.is_empty()).ok_or_else(|| json::missing(key));
    event.notice_id = text(&["RequestID"])?;
    event.order_no = text(&["ReceiptNo"])?;
    event.trade_no = text(&["TradeNo"])?;
    event.cabinet_id = text(&["CID", "TID"])?;
    let shipped = |event: &mut Event| {
        let status = o.int(&["ShipmentsStatus"])?.ok_or_else(|| json::missing("ShipmentsStatus"))?;
        event.delivery = delivery(Some(status));
        event.message = text(&["ShipmentsError"])?;
        Ok::<_, Bad>(())
    };
    match event.kind {
        EventKind::DoorClosed => {
            event.order_no = must("ReceiptNo")?;
            event.door = match o.int(&["Status"])?.ok_or_else(|| json::missing("Status"))? {
                1 => DoorState::Shut,
                2 => DoorState::NeverOpened,
                _ => DoorState::Unknown,
            };
            event.message = text(&["Msg"])?;
        }
        EventKind::OrderPaid => {
            event.order_no = must("ReceiptNo")?;
            event.cabinet_id = must("CID")?;
            event.at = o.int(&["PayTime"])?.ok_or_else(|| json::missing("PayTime"))?;
        }
        EventKind::Delivery => {
            event.order_no = must("ReceiptNo")?;
            event.cabinet_id = must("TID")?;
            shipped(event)?;
        }
        EventKind::VoucherRedeemed => {
            event.voucher_id = must("VoucherID")?;
            event.voucher_code = must("VoucherCode")?;
            shipped(event)?;
        }
        EventKind::CabinetChanged => event.cabinet = Some(Box::new(cabinet(content)?)),
        EventKind::ReturnSlip => {
            event.notice_id = must("RequestID")?;
            event.biz_id = text(&["BizID"])?;
            event.depot_id = text(&["DepotID"])?;
            event.account_id = text(&["AccountID"])?;
            event.at = o.int(&["CreateReturnOrderAt"])?.unwrap_or(0);
            event.lines = order_lines(&o, "ProductList")?;
        }
        EventKind::Recognized | EventKind::RefundApproved | EventKind::OrderReplaced => {
            // Field tables not public: read like an order, demand only the number.
            event.order_no = must("ReceiptNo")?;
            let order = order(content, OrderKind::Cabinet)?;
            event.amount = if event.kind == EventKind::RefundApproved && order.refunded > 0 {
                order.refunded
            } else {
                order.amount
            };
            event.lines = order.lines.clone();
            event.report_url = text(&["PaySuccessNotifyUrl", "NotifyUrl"])?;
            event.order = Some(Box::new(order));
        }
        EventKind::RefundRequested | EventKind::RefundFinished => event.order_no = must("ReceiptNo")?,
        _ => {}
    }
    Ok(())
}

/// The customer's browser, sent to the payment page of the older vending flow; signed with the payment key and good
/// for a minute.
fn pay_page<'a>(
    mut event: Event,
    field: impl Fn(&str) -> &'a str,
    sent_ms: i64,
    now_ms: i64,
) -> Result<Event> {
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
    event.order_no = field("receipt_no").to_owned();
    event.report_url = field("notify_url").to_owned();
    let mut w = Writer::new();
    for name in ["receipt_no", "return_url", "notify_url", "timestamp"] {
        w.text(name, field(name));
    }
    event.json = w.finish();
    event.identity = Md5::digest(&event.json).into();
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::transport::{Headers, Timing};

    fn yopoint(settings: &[(&str, &str)]) -> Yopoint {
        let mut config = Config::new("yopoint").unwrap();
        for (key, value) in
            [("app_id", "100000000001"), ("app_secret", "test-secret"), ("pay_key", "test-pay-key")]
        {
            config.set(key, value).unwrap();
        }
        for (key, value) in settings {
            config.set(key, value).unwrap();
        }
        Yopoint::new(&config).unwrap()
    }

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status,
            headers: Headers::default(),
            body: body.as_bytes().to_vec(),
            timing: Timing::default(),
        }
    }

    fn sent(platform: &Yopoint, op: &Op<'_>, now_ms: i64) -> Vec<(String, String)> {
        let draft = platform.draft(op).unwrap();
        let request = (draft.seal)(&Moment { now_ms, token: "" });
        match request.body.first() {
            Some(b'{') => json_fields(&request.body).unwrap(),
            _ => form::decode(&request.body).unwrap(),
        }
    }

    fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
        fields.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    #[test]
    fn the_published_string_and_the_computed_vectors() {
        // The vendor's page prints another digest, made with a secret that it does not print.
        let mut published = [
            ("appid", "930859529955"),
            ("biz_content", r#"{"ReceiptNo":"OD190425164650841431"}"#),
            ("method", "consumer.order.get"),
            ("sign_type", "md5"),
            ("timestamp", "1556943545748"),
            ("version", "1.0.0"),
        ];
        assert_eq!(sign(&mut published, "xxxxxx"), "83271d89b205934a374d70eb7b4a7b97");
        let computed = [
            ("cabinet.list", r#"{"Page":1,"PageSize":5}"#, "1700000000", "e8acd748960cb6a9d910dad993569f20"),
            (
                "cabinet.list",
                r#"{"Page":1,"PageSize":5}"#,
                "1700000000000",
                "d2859e132ac15685e1469edbc0612888",
            ),
            ("api.test", "", "1700000000", "c8493e9120e73aa55c6954fb8adf7bc2"),
        ];
        for (method, biz, timestamp, expected) in computed {
            // In any order: sorting is the rule.
            let mut fields = [
                ("version", "1.0.0"),
                ("timestamp", timestamp),
                ("sign_type", "md5"),
                ("method", method),
                ("biz_content", biz),
                ("appid", "100000000001"),
            ];
            assert_eq!(sign(&mut fields, "test-secret"), expected, "{method} {timestamp}");
        }
    }

    #[test]
    fn a_whole_request_carries_the_vector_in_both_writings() {
        let op = Op::Call { method: "cabinet.list", params_json: r#"{"Page":1,"PageSize":5}"# };
        for format in ["form", "json"] {
            for (unit, sign) in
                [("s", "e8acd748960cb6a9d910dad993569f20"), ("ms", "d2859e132ac15685e1469edbc0612888")]
            {
                let platform = yopoint(&[("format", format), ("timestamp_unit", unit)]);
                let fields = sent(&platform, &op, 1_700_000_000_000);
                assert_eq!(field(&fields, "sign"), sign, "{format} {unit}");
                assert_eq!(fields.len(), 7);
            }
        }
    }

    #[test]
    fn the_gateway_is_found_from_whatever_part_of_it_is_given() {
        for (given, path) in [
            ("https://h", "/api/gateway/index"),
            ("https://h/", "/api/gateway/index"),
            ("https://h/yopoint", "/yopoint/api/gateway/index"),
            ("https://h/api/gateway/index", "/api/gateway/index"),
            ("https://h/p/api/gateway/index/", "/p/api/gateway/index"),
        ] {
            assert_eq!(yopoint(&[("base_url", given)]).gateway.path_and_query, path, "{given}");
        }
    }

    #[test]
    fn no_odd_envelope_is_a_success() {
        let platform = yopoint(&[]);
        let request = DoorRequest { request_id: "r".into(), cabinet_id: "c".into(), ..Default::default() };
        let op = Op::DoorOpen(&request);
        let good = r#"{"error_code":0,"error_msg":"SUCCESS","sub_error_code":null,"sub_error_msg":null,"data":{"ReceiptNo":"VI1"}}"#;
        assert!(
            matches!(platform.answer(&op, &reply(200, good)), Ok(Answer::Taken(r)) if r.order_no == "VI1")
        );
        let bad = [
            "",
            "null",
            "[]",
            "\"success\"",
            "{}",
            r#"{"data":{"ReceiptNo":"VI1"}}"#,
            r#"{"error_code":"0","data":{"ReceiptNo":"VI1"}}"#,
            r#"{"error_code":null,"data":{"ReceiptNo":"VI1"}}"#,
            r#"{"error_code":0.0,"data":{"ReceiptNo":"VI1"}}"#,
            r#"{"error_code":-1,"error_code":0,"data":{"ReceiptNo":"VI1"}}"#,
            r#"{"error_code":4294967296,"data":{"ReceiptNo":"VI1"}}"#,
            r#"{"error_code":0}"#,
            r#"{"error_code":0,"data":null}"#,
            r#"{"error_code":0,"data":[]}"#,
            r#"{"error_code":0,"data":{}}"#,
            r#"{"error_code":0,"data":{"ReceiptNo":""}}"#,
            r#"{"error_code":0,"data":{"ReceiptNo":7}}"#,
            r#"{"error_code":0,"data":{"ReceiptNo":"VI1"}"#,
            "<html>please log in</html>",
        ];
        for body in bad {
            let e = platform.answer(&op, &reply(200, body)).unwrap_err();
            assert_eq!(e.status(), KL_E_PROTOCOL, "{body}: {e}");
            assert!(!platform.proves_not_done(&e), "{body}");
            assert!(e.message().starts_with("the answer"), "{e}");
        }
        // A success under a bad status is not believed either.
        for status in [302, 404, 500, 502] {
            assert_eq!(platform.answer(&op, &reply(status, good)).unwrap_err().status(), KL_E_HTTP);
        }
    }

    #[test]
    fn refusals_by_name_prove_that_nothing_happened_and_others_do_not() {
        let platform = yopoint(&[]);
        let op = Op::Ping;
        let cases = [
            ("ERR_SIGN", KL_E_AUTH, true),
            ("ERR_INVALID_APPID", KL_E_AUTH, true),
            ("ERR_TIMESTAMP", KL_E_TIMESTAMP, true),
            ("MISSING_PARAMS_TID", KL_E_PARAMETER, true),
            ("ERR_TERMINAL_NOT_EXIST", KL_E_NOT_FOUND, true),
            ("ERR_BARCODE_OUTSTOCK", KL_E_OUT_OF_STOCK, true),
            ("ERR_NONE_STOCK", KL_E_OUT_OF_STOCK, true),
            ("ERR_CABINET_OFFLINE", KL_E_OFFLINE, true),
            ("ERR_NO_PERMISSION", KL_E_PERMISSION, true),
            ("ERR_SYSTEM", KL_E_PLATFORM, false),
            ("ERR_ORDER_CREATE_FAIL", KL_E_PLATFORM, false),
            ("", KL_E_PLATFORM, false),
        ];
        for (name, status, proves) in cases {
            let body = format!(r#"{{"error_code":-1,"error_msg":"{name}","data":"6900000000011"}}"#);
            let e = platform.answer(&op, &reply(200, &body)).unwrap_err();
            assert_eq!((e.status(), platform.proves_not_done(&e)), (status, proves), "{name}");
            assert_eq!((e.details().platform_code, e.details().platform_message.as_str()), (-1, name));
        }
    }

    #[test]
    fn every_word_of_a_refusal_is_in_the_documentation() {
        let doc = include_str!("../../../docs/platforms/yopoint.md");
        for (word, status) in REFUSALS {
            let name = crate::status::name(*status).unwrap();
            let row =
                |line: &&str| line.contains(&format!("`{word}`")) && line.ends_with(&format!("`{name}` |"));
            assert!(doc.lines().any(|line| row(&line)), "docs/platforms/yopoint.md lacks {word}, {name}");
        }
    }

    #[test]
    fn the_vendors_own_order_record_with_its_key_twice() {
        let record = r#"{"CID":"c1","OID":"o","UserID":"u","OpenID":"w","PayType":202,"ServiceStatus":2,"TradeNo":"4200",
            "ReceiptNo":"OD210127120126902082","DoorStatus":1,"PayTime":1611720131,"DoorStatus":0,"TradeStatus":1,"Price":2,
            "Products":[{"Qty":1,"BarCode":"69","Name":"水","Price":2,"CostPrice":1,"TotalPrice":2}],"IsSuspicious":0,
            "RefundsProducts":[],"RefundsPrice":0,"UserRefundsStatus":0,"UserRefundsTime":0,"UserRefundsReason":"","New":{}}"#;
        let body = format!(r#"{{"error_code":0,"error_msg":"SUCCESS","data":[{record}]}}"#);
        let query = OrderQuery { to: 1, ..Default::default() };
        let op = Op::OrderList { query: &query, page: PageRequest { number: 1, size: 20 } };
        let Ok(Answer::Orders(page)) = yopoint(&[]).answer(&op, &reply(200, &body)) else {
            panic!("no orders")
        };
        let o = &page.items[0];
        assert_eq!(
            (o.door, o.payment, o.service),
            (DoorState::Shut, PaymentState::Paid, ServiceState::Ended)
        );
        assert_eq!((o.pay_type, o.amount, o.paid_at, o.suspicious), (202, 2, 1_611_720_131, Tri::No));
        assert_eq!((o.lines[0].name.as_str(), o.lines[0].total), ("水", 2));
        assert_eq!(o.json, record);
        assert!((page.total, page.more) == (None, None));
    }

    #[test]
    fn a_wrong_type_deep_inside_is_named_with_its_place() {
        let query = OrderQuery { to: 1, ..Default::default() };
        let op = Op::OrderList { query: &query, page: PageRequest { number: 1, size: 20 } };
        for (data, place) in [
            (r#"[{"Products":[{"Price":2},{"Price":"2"}]}]"#, "data[0].Products[1].Price is a string"),
            (r#"{"total":1,"data":[{"PayTime":"soon"}]}"#, "data.data[0].PayTime is a string"),
            (r#"{"total":1}"#, "data.data is missing"),
            (r#"[{"CID":5}]"#, "data[0].CID is a number"),
            (r#"[7]"#, "data[0] is a number"),
        ] {
            let body = format!(r#"{{"error_code":0,"data":{data}}}"#);
            let e = yopoint(&[]).answer(&op, &reply(200, &body)).unwrap_err();
            assert!(e.message().contains(place), "{data}: {e}");
        }
    }

    fn callback(fields: &[(&str, &str)], key: &str) -> String {
        let mut fields = fields.to_vec();
        let sign = sign(&mut fields, key);
        fields.push(("sign", &sign));
        form::encode(fields)
    }

    #[test]
    fn the_callback_vector_and_what_spoils_it() {
        let biz = r#"{"Status":1,"ReceiptNo":"VI231114221320000001","Msg":""}"#;
        let fields = [
            ("appid", "100000000001"),
            ("method", "notify.close.door"),
            ("biz_content", biz),
            ("timestamp", "1700000000"),
            ("sign_type", "md5"),
        ];
        let body = callback(&fields, "test-secret");
        assert!(body.ends_with("sign=0f157afa1e409cec24997d5c211c8ac7"), "{body}");
        let platform = yopoint(&[]);
        let event = platform.event("", body.as_bytes(), 0).unwrap();
        assert_eq!((event.kind, event.door), (EventKind::DoorClosed, DoorState::Shut));
        assert_eq!((event.order_no.as_str(), event.sent_at), ("VI231114221320000001", 1_700_000_000));
        assert_eq!(event.signed_with, SignedWith::AppSecret);
        let with_pay_key = platform.event("", callback(&fields, "test-pay-key").as_bytes(), 0).unwrap();
        assert_eq!(with_pay_key.signed_with, SignedWith::PayKey);
        let upper = body.replace("0f157afa1e409cec24997d5c211c8ac7", "0F157AFA1E409CEC24997D5C211C8AC7");
        assert!(platform.event("", upper.as_bytes(), 0).is_ok());
        let status = |body: &str| platform.event("", body.as_bytes(), 0).unwrap_err().status();
        for forged in [
            callback(&fields, "another"),
            body.replace("VI2311", "VI2312"),
            body.replace("sign=0", "sign=1"),
            body.replace("&sign=", "&Sign="),
            body.replace("sign_type=md5&", ""),
            format!("{body}&version=1.0.0"),
        ] {
            assert_eq!(status(&forged), KL_E_EVENT_SIGNATURE, "{forged}");
        }
        assert_eq!(status(""), KL_E_EVENT);
        assert_eq!(status(&format!("{body}&method=x")), KL_E_EVENT, "a field twice");
        let mut ms = fields;
        ms[3].1 = "1700000000123";
        assert_eq!(
            platform.event("", callback(&ms, "test-secret").as_bytes(), 0).unwrap().sent_at,
            1_700_000_000
        );
    }

    #[test]
    fn every_notification_of_the_notes_is_typed() {
        let platform = yopoint(&[]);
        let parse = |method: &str, biz: &str| {
            let fields =
                [("appid", "1"), ("method", method), ("biz_content", biz), ("timestamp", "1700000000")];
            platform.event("", callback(&fields, "test-secret").as_bytes(), 0)
        };
        let paid =
            parse("notify.cabinet.order.simple", r#"{"ReceiptNo":"VI1","CID":"c","PayTime":1700000001}"#)
                .unwrap();
        assert_eq!(
            (paid.kind, paid.cabinet_id.as_str(), paid.at),
            (EventKind::OrderPaid, "c", 1_700_000_001)
        );
        let sold = r#"{"ReceiptNo":"VI1","TID":"t","ShipmentsStatus":-1,"ShipmentsError":"stuck"}"#;
        let sold = parse("notify.consumer.order.simple", sold).unwrap();
        assert_eq!(
            (sold.kind, sold.delivery, sold.message.as_str()),
            (EventKind::Delivery, DeliveryState::Failed, "stuck")
        );
        let voucher =
            r#"{"VoucherID":"v","VoucherCode":"123","TID":"t","ReceiptNo":"VI1","ShipmentsStatus":3}"#;
        let voucher = parse("notify.activity.voucher.exchangecode", voucher).unwrap();
        assert_eq!((voucher.voucher_code.as_str(), voucher.delivery), ("123", DeliveryState::OutOfStock));
        let changed = r#"{"RequestID":"u-1","Name":"n","Code":"c","SellStatus":1,"EnableSell":true,"OnlineStatus":0,"Location":[113.2,23.1],"CabinetCount":2}"#;
        let changed = parse("notify.cabinet.changed", changed).unwrap();
        let cabinet = changed.cabinet.unwrap();
        assert_eq!(
            (changed.notice_id.as_str(), cabinet.online, cabinet.sale),
            ("u-1", Tri::No, SaleState::Selling)
        );
        assert_eq!((cabinet.longitude, cabinet.door_count), (113.2, 2));
        let slip = r#"{"RequestID":"u","BizID":"b","ReceiptNo":"r","DepotID":"d","AccountID":"a","CreateReturnOrderAt":5,"ProductList":[{"BarCode":"69","Qty":3}]}"#;
        let slip = parse("notify.depot.pickup.return", slip).unwrap();
        assert_eq!((slip.depot_id.as_str(), slip.at, slip.lines[0].quantity), ("d", 5, 3));
        let seen = r#"{"ReceiptNo":"VI1","Price":450,"NotifyUrl":"https://x/n","Products":[{"BarCode":"69","Qty":1,"Price":450}]}"#;
        let seen = parse("cabinet.order.vi.result.notify", seen).unwrap();
        assert_eq!(
            (seen.kind, seen.amount, seen.report_url.as_str()),
            (EventKind::Recognized, 450, "https://x/n")
        );
        let modified = parse(
            "cabinet.order.product.modify",
            r#"{"ReceiptNo":"VI2","PaySuccessNotifyUrl":"https://x/p"}"#,
        )
        .unwrap();
        assert_eq!((modified.kind, modified.report_url.as_str()), (EventKind::OrderReplaced, "https://x/p"));
        let refund = parse(
            "cabinet.order.refunds.result.notify",
            r#"{"ReceiptNo":"VI1","RefundsPrice":200,"Price":450}"#,
        )
        .unwrap();
        assert_eq!((refund.kind, refund.amount), (EventKind::RefundApproved, 200));
        for (method, kind) in [
            ("consumer.order.refunds", EventKind::RefundRequested),
            ("consumer.order.refunds.notify", EventKind::RefundFinished),
        ] {
            let event = parse(method, r#"{"ReceiptNo":"OD1","TradeNo":"T"}"#).unwrap();
            assert_eq!((event.kind, event.trade_no.as_str()), (kind, "T"));
        }
        assert_eq!(parse("brand.new.notice", "[1]").unwrap().kind, EventKind::Other);
        for (method, biz) in [
            ("notify.close.door", r#"{"Status":1}"#),
            ("notify.close.door", r#"{"ReceiptNo":"VI1"}"#),
            ("notify.cabinet.order.simple", r#"{"ReceiptNo":"VI1","CID":"c"}"#),
            ("notify.consumer.order.simple", r#"{"ReceiptNo":"VI1","TID":"t","ShipmentsStatus":"1"}"#),
            ("notify.close.door", "[]"),
            ("notify.close.door", "{"),
        ] {
            assert_eq!(parse(method, biz).unwrap_err().status(), KL_E_EVENT, "{method} {biz}");
        }
    }

    #[test]
    fn the_answers_to_callbacks_are_exact() {
        let platform = yopoint(&[]);
        let event = |kind| Event { kind, json: r#"{"a":1}"#.into(), ..Event::default() };
        let reply = |kind, code, data| platform.event_reply(&event(kind), code, "SUCCESS", data).unwrap();
        assert_eq!(
            reply(EventKind::DoorClosed, 0, None),
            r#"{"error_code":0,"error_msg":"SUCCESS","data":{}}"#
        );
        assert_eq!(
            reply(EventKind::Test, 0, None),
            r#"{"error_code":0,"error_msg":"SUCCESS","data":{"a":1}}"#
        );
        assert_eq!(
            reply(EventKind::RefundApproved, 0, Some(r#"{"RefundsNo":"R1"}"#)),
            r#"{"error_code":0,"error_msg":"SUCCESS","data":{"RefundsNo":"R1"}}"#
        );
        assert_eq!(
            reply(EventKind::RefundRequested, -1, Some(r#"{"refundsTime":5}"#)),
            r#"{"error_code":-1,"error_msg":"SUCCESS","refundsTime":5,"data":{}}"#
        );
        assert!(platform.event_reply(&event(EventKind::Test), 0, "x", Some("[")).is_err());
    }

    #[test]
    fn a_payment_page_from_the_end_of_time_is_refused() {
        let platform = yopoint(&[("pay_key", "test-pay-key")]);
        for timestamp in [i64::MIN, i64::MAX, -1] {
            let text = timestamp.to_string();
            let fields = [("receipt_no", "OD1"), ("timestamp", text.as_str())];
            let body = callback(&fields, "test-pay-key");
            for now_ms in [i64::MIN, 0, i64::MAX] {
                let e = platform.event("", body.as_bytes(), now_ms).err().map(|e| e.status());
                let near =
                    timestamp.unsigned_abs() > 1 && timestamp == now_ms || timestamp == -1 && now_ms == 0;
                assert_eq!(e, (!near).then_some(KL_E_EVENT_TIME), "{timestamp} {now_ms}");
            }
        }
    }

    #[test]
    fn a_payment_page_is_good_for_a_minute_and_only_with_the_payment_key() {
        let platform = yopoint(&[]);
        let fields = [
            ("receipt_no", "OD1"),
            ("return_url", "https://r"),
            ("notify_url", "https://n"),
            ("timestamp", "1516980357"),
        ];
        let query = callback(&fields, "test-pay-key");
        let at = |s: i64| platform.event("", query.as_bytes(), s * 1000);
        let page = at(1_516_980_357 + 59).unwrap();
        assert_eq!(
            (page.kind, page.order_no.as_str(), page.report_url.as_str()),
            (EventKind::PayPage, "OD1", "https://n")
        );
        assert_eq!(at(1_516_980_357 + 61).unwrap_err().status(), KL_E_EVENT_TIME);
        assert_eq!(at(1_516_980_357 - 61).unwrap_err().status(), KL_E_EVENT_TIME);
        let wrong = callback(&fields, "test-secret");
        assert_eq!(platform.event("", wrong.as_bytes(), 0).unwrap_err().status(), KL_E_EVENT_SIGNATURE);
    }

    #[test]
    fn a_payment_report_follows_the_older_form() {
        let platform = yopoint(&[]);
        let report = PaymentReport {
            notify_url: "https://h/n".into(),
            order_no: "VI1".into(),
            trade_no: "T1".into(),
            paid: false,
            amount: 450,
            channel_json: Some(r#"{"x":"&="}"#.into()),
            extra_json: Some(r#"{"foo":"b r","n":7}"#.into()),
            ..Default::default()
        };
        let fields = sent(&platform, &Op::PaymentReport(&report), 1_700_000_000_999);
        let mut signed: Vec<(&str, &str)> = fields
            .iter()
            .filter(|(n, _)| n != "sign" && n != "price")
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert_eq!(field(&fields, "sign"), sign(&mut signed, "test-pay-key"));
        let given: Vec<&str> = ["trade_status", "trade_rawdata", "timestamp", "price", "foo", "n"]
            .map(|n| field(&fields, n))
            .into();
        assert_eq!(given, ["-1", r#"{"x":"&="}"#, "1700000000", "450", "b r", "7"]);
        let answers = |body: &str| platform.answer(&Op::PaymentReport(&report), &reply(200, body));
        for good in ["success", "SUCCESS\n", r#"{"error_code":0,"error_msg":"SUCCESS","data":{}}"#] {
            assert!(answers(good).is_ok(), "{good}");
        }
        for bad in ["fail", "", "<html>", "successful?", r#"{"error_code":-1,"error_msg":"ERR_SIGN"}"#, "{"] {
            assert!(answers(bad).is_err(), "{bad}");
        }
    }
}
