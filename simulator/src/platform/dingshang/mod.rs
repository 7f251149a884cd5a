//! Dingshang (鼎商): merchant machines with motors, pickup codes, orders and deliveries behind `/api/openapi/v1`.
//!
//! What the notes mark as unknown is decided here, can be changed in the settings, and is never the vendor's word.

mod catalogue;
mod codes;
mod deliveries;
mod desk;
mod failure;
mod model;
mod orders;
mod payload;
mod settings;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::callback::{Outgoing, Rendered, Style};
use crate::dialect::Accent;
use crate::message::{Ending, Portion, Reply, Request, patch_settings};
use crate::state::Core;

use super::{Exchange, Platform};
use failure::{Failure, Number, Why};
use model::{Code, Delivery, Machine, Order};
use payload::{Encoding, Fields};
use settings::Settings;

const NAME: &str = "dingshang";
const BASE: &str = "/dingshang/api/openapi/v1/";

type Answer = Result<Value, Failure>;

/// A failure that the control API has ordered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ordered {
    /// For which operation; null: for any.
    #[serde(default)]
    operation: Option<String>,
    /// Its number.
    code: i64,
    /// Its text.
    message: String,
    /// What it carries.
    #[serde(default)]
    data: Option<Value>,
    /// Its HTTP status; null: as in the settings.
    #[serde(default)]
    http_status: Option<u16>,
    /// How often.
    #[serde(default = "once")]
    count: u64,
}

fn once() -> u64 {
    1
}

/// The platform.
pub struct Dingshang {
    settings: Settings,
    machines: Vec<Machine>,
    codes: BTreeMap<i64, Code>,
    orders: BTreeMap<i64, Order>,
    deliveries: BTreeMap<String, Delivery>,
    ordered: Vec<Ordered>,
}

impl Default for Dingshang {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            machines: model::machines(),
            codes: BTreeMap::new(),
            orders: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            ordered: Vec::new(),
        }
    }
}

/// The operation that a method and a path ask for, and the name in the path.
fn route<'a>(method: &str, path: &'a str) -> Result<(&'static str, &'a str), Why> {
    let rest = path.strip_prefix(BASE).ok_or(Why::RouteUnknown)?;
    let parts: Vec<&str> = rest.split('/').collect();
    let put = method == "PUT";
    let (wanted, operation, id) = match parts.as_slice() {
        ["ping"] => ("POST", "ping", ""),
        ["rent", "machines"] => ("POST", "machines", ""),
        ["rent", "machines", id] => ("POST", "machine", *id),
        ["products"] => ("POST", "products", ""),
        ["products", id, "pickup_code"] => ("POST", "codes_list", *id),
        ["floors"] => ("POST", "floors", ""),
        ["banners"] => ("POST", "banners", ""),
        ["categories"] => ("POST", "categories", ""),
        ["orders"] => ("POST", "order_create", ""),
        ["orders", id] if put => ("PUT", "order_update", *id),
        ["orders", id] => ("POST", "order_query", *id),
        ["pickup_codes"] if put => ("PUT", "codes_cancel", ""),
        ["pickup_codes"] => ("POST", "codes_create", ""),
        ["consumes"] => ("POST", "consume", ""),
        ["deliveries"] => ("POST", "deliver", ""),
        // Before the query, whose id would fit as well.
        ["deliveries", "debug"] => ("POST", "delivery_debug", ""),
        ["deliveries", id] => ("POST", "delivery_query", *id),
        ["replenishments"] => ("POST", "replenish", ""),
        _ => return Err(Why::RouteUnknown),
    };
    if method == wanted { Ok((operation, id)) } else { Err(Why::MethodNotAllowed) }
}

/// A field that must be there.
fn need<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, Failure> {
    text(fields, name).ok_or_else(|| Why::Params.into())
}

/// A field, if it is there and not empty.
fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

/// A whole number that must be there.
fn need_int(fields: &Fields, name: &str) -> Result<i64, Failure> {
    need(fields, name)?.parse().map_err(|_| Why::Params.into())
}

/// A whole number in a range, or what stands for it.
fn int_or(
    fields: &Fields,
    name: &str,
    default: i64,
    range: std::ops::RangeInclusive<i64>,
) -> Result<i64, Failure> {
    match text(fields, name) {
        None => Ok(default),
        Some(value) => match value.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(Why::Params.into()),
        },
    }
}

/// Leaves out what protobuf leaves out: zero, false, empty texts, empty lists, null.
fn without_zeros(value: Value) -> Value {
    let empty = |v: &Value| match v {
        Value::Null | Value::Bool(false) => true,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        _ => false,
    };
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().map(|(k, v)| (k, without_zeros(v))).filter(|(_, v)| !empty(v));
            Value::Object(kept.collect())
        }
        Value::Array(items) => items.into_iter().map(without_zeros).collect(),
        other => other,
    }
}

impl Dingshang {
    fn check_headers(&self, request: &Request) -> Result<(), Why> {
        let header = |name| request.header(name).map(str::trim).filter(|v| !v.is_empty());
        let (Some(id), Some(secret)) = (header("Appid"), header("AppSecret")) else {
            return Err(Why::HeadersEmpty);
        };
        if id != self.settings.app_id {
            return Err(Why::AppidInvalid);
        }
        if secret != self.settings.app_secret {
            return Err(Why::SecretInvalid);
        }
        Ok(())
    }

    /// A failure that was ordered for this operation.
    fn ordered(&mut self, operation: &str) -> Option<Failure> {
        let fits = |o: &&mut Ordered| o.count > 0 && o.operation.as_deref().is_none_or(|n| n == operation);
        let ordered = self.ordered.iter_mut().find(fits)?;
        ordered.count -= 1;
        Some(Failure {
            code: Number::Other(ordered.code),
            message: Some(ordered.message.clone()),
            data: ordered.data.clone(),
            http_status: ordered.http_status,
        })
    }

    /// Opens the payload of a request: form, signature, time.
    fn open_payload(
        &self,
        core: &Core,
        request: &Request,
        exchange: &mut Exchange,
    ) -> Result<Fields, Failure> {
        let mut unreadable = |why: String| {
            exchange.params = json!({"unreadable": why});
            Failure::from(Why::Params)
        };
        let body: Value = serde_json::from_slice(&request.body)
            .map_err(|e| unreadable(format!("the body is not JSON: {e}")))?;
        let payload = body["payload"].as_str().ok_or_else(|| unreadable("there is no payload".into()))?;
        let fields = payload::decode(payload, self.settings.strict_strings).map_err(unreadable)?;
        exchange.params = json!(fields);
        let others = [("the AppSecret", &*self.settings.app_secret), ("the Appid", &*self.settings.app_id)];
        let encoding = self.settings.sign_value_encoding;
        let (ok, shown) = payload::check(&fields, encoding, &self.settings.app_key, &others);
        exchange.signature = shown;
        if !ok {
            return Err(Why::Sign.into());
        }
        let stamp = need(&fields, "timestamp")?;
        let seconds = stamp.parse::<i64>().ok().filter(|_| stamp.len() == 10).ok_or(Why::Params)?;
        match self.settings.timestamp_tolerance_s {
            Some(limit) if (core.clock.now_s() - seconds).abs() > limit => Err(Why::Params.into()),
            _ => Ok(fields),
        }
    }

    /// The place of a machine that is there and, where that matters, online and in operation.
    fn admit(&self, operation: &str, machine_no: &str) -> Result<usize, Failure> {
        let at = self.machines.iter().position(|m| m.machine_no == machine_no).ok_or(Why::NoSuchMachine)?;
        let machine = &self.machines[at];
        let delivers = matches!(operation, "deliver" | "delivery_debug");
        let refuses = self.settings.offline_refuses.iter().any(|o| o == operation);
        if !machine.is_online && refuses && (delivers || !self.settings.debug_mode) {
            return Err(Why::Offline.into());
        }
        if !machine.status && (delivers || matches!(operation, "order_create" | "consume")) {
            return Err(Why::NotOperating.into());
        }
        Ok(at)
    }

    fn act(&mut self, core: &mut Core, request: &Request, exchange: &mut Exchange) -> Answer {
        let (operation, id) = route(&request.method, &request.path)?;
        if operation == "replenish" && !self.settings.replenishments_served {
            return Err(Why::RouteUnknown.into());
        }
        self.check_headers(request)?;
        if let Some(failure) = self.ordered(operation) {
            return Err(failure);
        }
        if operation == "ping" {
            return Ok(json!("pong"));
        }
        if self.settings.merchant_expired {
            return Err(Why::MerchantExpired.into());
        }
        if !self.settings.merchant_verified {
            return Err(Why::MerchantUnverified.into());
        }
        match operation {
            "machines" => return self.list_machines(),
            "machine" => return self.show_machine(id),
            "order_create" => return self.create_order(core, request, exchange),
            _ => {}
        }
        let fields = self.open_payload(core, request, exchange)?;
        let at = self.admit(operation, need(&fields, "machine_no")?)?;
        match operation {
            "products" => self.products(at, &fields),
            "floors" => Ok(self.floors(at)),
            "banners" => Ok(self.banners(at)),
            "categories" => Ok(self.categories(at)),
            "codes_create" => self.create_codes(core, at, &fields),
            "codes_list" => self.list_codes(core, at, id),
            "codes_cancel" => self.cancel_codes(core, at, &fields),
            "consume" => self.consume(core, request, at, &fields),
            "order_query" => self.query_order(at, id),
            "order_update" => self.update_order(core, at, id, &fields),
            "deliver" => self.deliver(core, request, at, &fields),
            "delivery_debug" => self.deliver_lane(core, request, at, &fields),
            "delivery_query" => self.query_delivery(at, id),
            _ => self.replenish(at, &fields),
        }
    }

    fn reply(&self, answer: Answer) -> Reply {
        let success = answer.is_ok();
        let (status, code, message, data) = match answer {
            Ok(data) => (200, 0, "ok".to_owned(), data),
            Err(failure) => {
                let (code, message) = failure.words(self.settings.error_codes);
                let common = self.settings.http_error_status;
                let zero = self.settings.code_zero_http_status.filter(|_| code == 0);
                let status = failure.http_status.or(zero).unwrap_or(common);
                let nothing = if self.settings.failure_data_null { Value::Null } else { json!({}) };
                (status, code, message, failure.data.unwrap_or(nothing))
            }
        };
        let data = if success && self.settings.omit_zero_values { without_zeros(data) } else { data };
        Reply::json(status, &json!({"code": code, "message": message, "data": data}))
    }
}

impl Platform for Dingshang {
    fn name(&self) -> &'static str {
        NAME
    }

    fn credentials(&self) -> Map<String, Value> {
        let query = self.settings.sign_value_encoding == Encoding::Query;
        let mut words = Map::new();
        words.insert("app_id".into(), json!(self.settings.app_id));
        words.insert("app_secret".into(), json!(self.settings.app_secret));
        words.insert("app_key".into(), json!(self.settings.app_key));
        words.insert("sign_value_encoding".into(), json!(if query { "query" } else { "raw" }));
        words
    }

    fn operation(&self, request: &Request) -> String {
        route(&request.method, &request.path).map(|(name, _)| name.to_owned()).unwrap_or_default()
    }

    fn says(&self, request: &Request) -> String {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let fields = body["payload"].as_str().and_then(|p| payload::decode(p, false).ok());
        fields.map_or_else(String::new, |fields| format!("{fields:?}"))
    }

    fn handle(&mut self, core: &mut Core, request: &Request, exchange: &mut Exchange) -> Reply {
        let answer = self.act(core, request, exchange);
        let done = answer.is_ok();
        let mut reply = self.reply(answer);
        let lost = match route(&request.method, &request.path) {
            Ok(("consume", _)) => Some(&mut self.settings.consume_lost_answer),
            Ok(("codes_create", _)) => Some(&mut self.settings.create_lost_answer),
            _ => None,
        };
        if let Some(left) = lost.filter(|left| done && **left > 0) {
            *left -= 1;
            (reply.portion, reply.ending) = (Portion::Nothing, Ending::Close(0));
        }
        reply
    }

    fn timer(&mut self, core: &mut Core, event: &Value) {
        let order = event["order"].as_i64().unwrap_or_default();
        let delivery = event["delivery"].as_str().unwrap_or_default();
        match event["do"].as_str() {
            Some("result") => self.result(core, delivery),
            Some("timeout") => self.time_out(core, delivery),
            Some("expire") => self.expire_order(core, order),
            Some("restock") => self.restock(order),
            _ => {}
        }
    }

    fn render(&self, what: &Outgoing, style: Style, _now_ms: i64) -> Rendered {
        self.write_notice(what, style.forge)
    }

    fn answered(
        &mut self,
        _core: &mut Core,
        what: &Outgoing,
        status: u16,
        _answer: &str,
    ) -> Result<(), String> {
        if !self.settings.notify_any_status && status != 200 {
            return Err(format!("status {status}"));
        }
        let number = |name: &str| what.content[name].as_i64().unwrap_or_default();
        if let Some(order) = self.orders.get_mut(&number("order_id")) {
            let record = order.records.iter_mut().find(|r| r.id == number("record_id"));
            record.into_iter().for_each(|r| r.notify_sent = true);
        }
        Ok(())
    }

    fn settings(&self) -> Value {
        json!(self.settings)
    }

    fn patch_settings(&mut self, patch: &Value) -> Result<(), String> {
        patch_settings(&mut self.settings, patch)
    }

    fn world(&self) -> Value {
        json!({
            "machines": self.machines, "codes": self.codes.values().collect::<Vec<_>>(),
            "orders": self.orders.values().collect::<Vec<_>>(),
            "deliveries": self.deliveries.values().collect::<Vec<_>>(), "refusals": self.ordered,
        })
    }

    fn set_world(&mut self, _core: &mut Core, world: &Value, replace: bool) -> Result<(), String> {
        self.lay_world(world, replace)
    }

    fn others_for(&self, request: &Request, accent: &Accent) -> Option<Value> {
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        let fields = match body["payload"].as_str() {
            Some(payload) => payload::decode(payload, false).ok()?,
            // The creation of an order is not wrapped.
            None => ["machine_no", "trade_id"]
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), body[*name].as_str()?.to_owned())))
                .collect(),
        };
        let machine = text(&fields, "machine_no")?;
        if accent.has_rival() {
            let code = text(&fields, "code")?;
            return Some(json!({"do": "redeem", "machine": machine, "code": code}));
        }
        let number = text(&fields, "trade_id")?;
        let ago_s = accent.old_number_ago_s(number)?;
        Some(json!({"do": "order", "machine": machine, "trade_id": number, "ago_s": ago_s}))
    }

    fn triggers(&self) -> &'static [(&'static str, &'static str)] {
        &[("delivery", "device.delivery.response")]
    }

    fn trigger(&mut self, core: &mut Core, _name: &str, what: &Value) -> Result<(), (u16, String)> {
        self.trigger_notice(core, what)
    }

    fn others(&mut self, core: &mut Core, what: &Value) -> Result<Value, (u16, String)> {
        self.others_act(core, what)
    }

    fn control(
        &mut self,
        core: &mut Core,
        method: &str,
        path: &[&str],
        body: &Value,
    ) -> Option<Result<Value, (u16, String)>> {
        self.desk(core, method, path, body)
    }

    fn condition(&self, _core: &Core, what: &Value) -> Option<Result<bool, String>> {
        self.has_come_about(what)
    }
}
