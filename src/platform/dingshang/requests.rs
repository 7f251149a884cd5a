//! What goes out: paths, payloads and their signatures.

use super::{DELIVERY_PUT, Dingshang, KIND};
use crate::error::Result;
use crate::json::FinishWith as _;
use crate::json::{self, Kind as JsonKind, Writer};
use crate::model::*;
use crate::platform::toolbox::{argument, canonical_code, keep_reserved};
use crate::platform::{Draft, Moment, Nature, Op, unsupported};
use crate::time::calendar::to_wall;
use crate::transport::Request;
use kiosklink_wire::form;
use md5::{Digest, Md5};
use std::borrow::Cow;
use std::sync::Arc;

/// What `PUT /orders/{order_id}` can report.
const PAID: &str = "1";
const REFUND: &str = "2";
const PAY_FAILED: &str = "6";

/// What a refusal of the caller's own parameters calls them.
const EXTRA: &str = "extra_json";

/// What goes out but for its timestamp and signature.
pub(super) struct Plan {
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

    /// The caller's `extra_json` beside these. It replaces none of them, nor one of `reserved`, which the verb has a field for
    /// but need not have set.
    fn extra(self, json: Option<&str>, reserved: &[&str]) -> Result<Fields> {
        let mut names: Vec<&str> = self.0.iter().map(|(n, _)| n.as_str()).collect();
        names.extend(["sign", "timestamp"]);
        names.extend(reserved);
        keep_reserved(json, &names)?;
        self.with(json, EXTRA)
    }

    /// Lays the caller's own fields over these.
    fn with(mut self, json: Option<&str>, whose: &str) -> Result<Fields> {
        let Some(json) = json.filter(|j| !j.trim().is_empty()) else { return Ok(self) };
        for (name, value) in json::params(json, whose)?.fields() {
            let text = match value.kind() {
                _ if name.eq_ignore_ascii_case("sign") => {
                    return Err(argument(whose, "must not hold sign, which is made by kiosklink"));
                }
                JsonKind::String => value.string().map_err(|b| wrong(&b.under(name).sentence(whose)))?,
                JsonKind::Number => Cow::Borrowed(value.text()),
                JsonKind::Null => continue,
                JsonKind::Bool | JsonKind::Array | JsonKind::Object => {
                    let why = [": ", name, " must be a text or a number (1 or 0 for yes or no)"].concat();
                    return Err(argument(whose, &why));
                }
            };
            self.0.retain(|(n, _)| n != name);
            self.add(name, &text);
        }
        if self.has("cabinet_name") && self.has("addr") {
            return Err(argument(whose, ": cabinet_name and addr exclude each other"));
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
    /// The request but for its signature. Depends on nothing but the parameters, so that the client can check a later request
    /// of a visit before it sends the first.
    pub(super) fn request<'a>(&'a self, op: &Op<'a>) -> Result<Draft<'a>> {
        let Plan { method, path, body } = plan(op)?;
        let mut url = self.base.clone();
        url.path_and_query.push_str(&path);
        let url = Arc::new(url);
        let to = url.clone();
        let seal = move |moment: &Moment<'_>| {
            let body = match &body {
                Body::Nothing => String::new(),
                Body::Plain(json) => json.clone(),
                Body::Payload(fields) => self.payload(fields, moment.now_ms),
            };
            let mut headers = vec![
                ("Appid", self.app_id.clone().into()),
                ("AppSecret", self.app_secret.clone().into()),
                ("Accept", "application/json".into()),
            ];
            if !body.is_empty() {
                headers.push(("Content-Type", "application/json".into()));
            }
            Request { method, url: to.clone(), headers, body: body.into_bytes() }
        };
        Ok(Draft { url, seal: Box::new(seal) })
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
        body.text("payload", &kiosklink_wire::hex::base64(object.finish().as_bytes()));
        body.finish()
    }
}

fn plan(op: &Op<'_>) -> Result<Plan> {
    let post = |path: &str, body| Plan { method: "POST", path: path.to_owned(), body };
    let signed = |path: &str, fields: Fields| post(path, Body::Payload(fields));
    Ok(match *op {
        Op::Ping => post("/ping", Body::Nothing),
        Op::CabinetList { .. } => post("/rent/machines", Body::Nothing),
        Op::Stock { cabinet_id, page, extra_json } => {
            let mut fields = Fields::of_machine(cabinet_id)?;
            fields.add("page", &page.number.to_string());
            if page.size != 0 {
                fields.add("per_page", &page.size.to_string());
            }
            signed("/products", fields.extra(extra_json, &["per_page"])?)
        }
        Op::DoorOpen(r) => {
            let (path, fields) = delivery(r)?;
            signed(path, fields)
        }
        Op::CodeRedeem(r) => signed("/consumes", redemption(r)?),
        Op::CodeList(q) | Op::CodeLookup(q) => {
            if matches!(op, Op::CodeLookup(_)) {
                required("code", &canonical_code(&q.code))?;
            }
            let path = ["/products/", part("product_id", &q.product_id)?, "/pickup_code"].concat();
            let fields = Fields::of_machine(&q.cabinet_id)?;
            signed(&path, fields.extra(q.extra_json.as_deref(), &["product_id", "code"])?)
        }
        Op::CodeCreate(r) => signed("/pickup_codes", new_codes(r)?),
        Op::CodeCancel(r) => {
            let mut fields = Fields::of_machine(&r.cabinet_id)?;
            match r.id.as_str() {
                "" => fields.add("method", "pickup_code.delete.all"),
                id => fields.add("method", "pickup_code.delete.id").add("id", required("id", id)?),
            };
            let fields = fields.extra(r.extra_json.as_deref(), &["id"])?;
            Plan { method: "PUT", path: "/pickup_codes".into(), body: Body::Payload(fields) }
        }
        Op::OrderGet(r) => {
            if r.order_no.is_empty() && !r.trade_no.is_empty() {
                return Err(wrong("Dingshang finds an order by order_no, not by trade_no"));
            }
            let path = ["/orders/", part("order_no", &r.order_no)?].concat();
            let fields = Fields::of_machine(&r.cabinet_id)?;
            signed(&path, fields.extra(r.extra_json.as_deref(), &["order_id"])?)
        }
        Op::OrderCreate(r) => post("/orders", Body::Plain(new_order(r)?)),
        Op::PaymentReport(r) => {
            let status = if r.paid { PAID } else { PAY_FAILED };
            order_status(&r.order_no, &r.cabinet_id, status, r.extra_json.as_deref())?
        }
        Op::RefundApply(r) => order_status(&r.order_no, &r.cabinet_id, REFUND, r.extra_json.as_deref())?,
        Op::Call { method, params_json } => call(method, params_json)?,
        Op::OrderList { .. } | Op::AppealFile(_) | Op::UserGet | Op::CompanyGet => {
            return Err(unsupported(KIND, op));
        }
    })
}

/// How freely it may be repeated.
pub(super) fn nature(op: &Op<'_>) -> Result<Nature> {
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
        Op::OrderList { .. } | Op::AppealFile(_) | Op::UserGet | Op::CompanyGet => Err(unsupported(KIND, op)),
    }
}

/// `upper(md5(k=v&k=v…&key=…))` over fields in the order of their names.
pub(super) fn sign(sorted: &[(&str, &str)], key: &str, query_encoded: bool) -> String {
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

/// The error for parameters that do not go together.
#[cold]
fn wrong(message: &str) -> crate::error::Error {
    crate::error::Error::new(crate::status::KL_E_ARGUMENT, message)
}

/// A value that must be sent: neither empty nor the text that the vendor's libraries take for nothing.
fn required<'a>(name: &str, value: &'a str) -> Result<&'a str> {
    if told(value) { Ok(value) } else { Err(argument(name, "is needed here")) }
}

/// A value that becomes a part of the path.
fn part<'a>(name: &str, value: &'a str) -> Result<&'a str> {
    if is_part(value) { Ok(value) } else { Err(argument(name, "must be the platform's number")) }
}

/// Whether a text can stand in a path as it is.
pub(super) fn is_part(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// The caller's own number of an order. Longer texts, a UUID with its dashes for one, are refused by the platform.
fn own_number(trade_no: &str) -> Result<&str> {
    if is_trade_id(trade_no) {
        return Ok(trade_no);
    }
    Err(argument("trade_no", "must be 20 to 32 letters and digits; digits only are the safest"))
}

/// What the platform takes for a number of ours.
pub(super) fn is_trade_id(text: &str) -> bool {
    (20..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// The number under which a code is redeemed, the same at every try: the caller's, or the mark that the client gave, or 32
/// digits made of the action for a request without either.
pub(super) fn trade_id(r: &RedeemRequest) -> Result<String> {
    if !r.trade_no.is_empty() {
        return own_number(&r.trade_no).map(str::to_owned);
    }
    if !r.mark.is_empty() {
        return Ok(r.mark.clone());
    }
    let mut md5 = Md5::new();
    for part in [&r.request_id, &r.cabinet_id, &r.product_id, &canonical_code(&r.code)] {
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

fn redemption(r: &RedeemRequest) -> Result<Fields> {
    let mut fields = Fields::of_machine(&r.cabinet_id)?;
    fields
        .add("method", "event.consume.pickup_code")
        .add("code", required("code", &canonical_code(&r.code))?)
        .add("product_id", part("product_id", &r.product_id)?)
        .add("notify_url", required("notify_url", &r.notify_url)?)
        .add("trade_id", &trade_id(r)?);
    fields.extra(r.extra_json.as_deref(), &["id", "order_id", "record_id"])
}

/// Dispenses an item of an order, or, as a test, whatever a lane holds.
fn delivery(r: &DoorRequest) -> Result<(&'static str, Fields)> {
    let mut fields = Fields::of_machine(&r.cabinet_id)?;
    fields.add("method", DELIVERY_PUT);
    let path = match (r.order_no.as_str(), r.item_no.as_str(), r.door.as_str()) {
        ("", "", "") => {
            return Err(wrong(
                "name the item to dispense: order_no and item_no, or door (the lane's name, like A21)",
            ));
        }
        ("", "", lane) => {
            fields.add("channel_name", lane).add("notify_url", required("notify_url", &r.notify_url)?);
            "/deliveries/debug"
        }
        (_, _, lane) if !lane.is_empty() => {
            return Err(wrong("either order_no with item_no or door, not both"));
        }
        (order, record, _) => {
            // A notify_url is not sent: the order has the one that it was made with.
            fields
                .add("order_id", required("order_no", order)?)
                .add("record_id", required("item_no", record)?);
            "/deliveries"
        }
    };
    let reserved = &["order_id", "record_id", "channel_name", "notify_url", "delivery_id", "trade_id"];
    Ok((path, fields.extra(r.extra_json.as_deref(), reserved)?))
}

fn new_codes(r: &CodeCreate) -> Result<Fields> {
    let mut fields = Fields::of_machine(&r.cabinet_id)?;
    if r.product_id.is_empty() {
        if r.count > 1 {
            return Err(wrong("count goes with a product_id; for all goods there is one code each"));
        }
        fields.add("method", "pickup_code.product.all");
    } else {
        // It is also asked for by its path, before and after.
        fields
            .add("method", "pickup_code.product.id")
            .add("product_id", part("product_id", &r.product_id)?)
            .add("count", &r.count.max(1).to_string());
    }
    match r.length {
        0 => {}
        6..=10 => drop(fields.add("code_length", &r.length.to_string())),
        _ => return Err(argument("length", "must be 6 to 10, or 0 for the platform's 6")),
    }
    if r.expires_at != 0 {
        let text = to_wall(r.expires_at)
            .ok_or_else(|| argument("expires_at", "must be Unix seconds, or 0 for never"))?;
        fields.add("expired_at", &text);
    }
    // What tells the new codes from others.
    fields.extra(r.extra_json.as_deref(), &["product_id", "count", "code_length", "expired_at"])
}

fn new_order(r: &OrderCreate) -> Result<String> {
    let mut lines = String::from("[");
    for (product, quantity) in &r.lines {
        // These two are numbers here, and nowhere else.
        let product: u64 =
            product.parse().map_err(|_| argument("product_id", "must be the platform's number"))?;
        if *quantity == 0 {
            return Err(argument("quantity", "is 0"));
        }
        let mut line = Writer::new();
        line.raw("product_id", &product.to_string()).int("quantity", (*quantity).into());
        if lines.len() > 1 {
            lines.push(',');
        }
        lines.push_str(&line.finish());
    }
    if lines.len() == 1 {
        return Err(wrong("an order needs at least one line"));
    }
    lines.push(']');
    let trade_id = match (r.trade_no.as_str(), r.mark.as_str()) {
        // Before the command is claimed it has no mark: whether it could be sent is asked then already.
        ("", mark) => mark,
        (own, _) => own_number(own)?,
    };
    let mut w = Writer::new();
    w.text("machine_no", required("cabinet_id", &r.cabinet_id)?)
        .text("notify_url", required("notify_url", &r.notify_url)?)
        .text("trade_id", trade_id)
        .raw("products", &lines);
    let extra = r.extra_json.as_deref();
    keep_reserved(extra, &["machine_no", "notify_url", "trade_id", "products", "order_id", "payload"])?;
    w.finish_with(extra)
}

fn order_status(order_no: &str, machine_no: &str, status: &str, extra: Option<&str>) -> Result<Plan> {
    let path = ["/orders/", part("order_no", order_no)?].concat();
    let mut fields = Fields::of_machine(machine_no)?;
    fields.add("status", status);
    let fields = fields.extra(extra, &["order_id", "trade_id"])?;
    Ok(Plan { method: "PUT", path, body: Body::Payload(fields) })
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
        return Err(wrong(
            "method must be like \"POST /products\": POST or PUT and a path below /api/openapi/v1",
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
            Err(wrong("/consumes is a command: use kl_code_redeem, which never uses a code twice"))
        }
        ["deliveries", id] if post && id != "debug" => Ok(Nature::Read),
        ["deliveries", ..] => {
            Err(wrong("/deliveries is a command: use kl_door_open, which never dispenses twice"))
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
