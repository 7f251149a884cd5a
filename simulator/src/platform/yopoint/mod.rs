//! Yopoint (友朋): one gateway URL, methods by name, MD5 signatures, open-door cabinets with recognition and
//! payment by a third party.
//!
//! What the notes mark as unknown is decided here, can be changed in the settings, and is never the vendor's word.

mod flow;
mod gateway;
mod methods;
mod orders;
mod settings;
mod staff;
mod vending;

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::callback::{Outgoing, Rendered, Style};
use crate::clock::system_ms;
use crate::dialect::Accent;
use crate::message::{Reply, Request, form_encode, lay_over_by, merge, patch_settings, render_json};
use crate::state::{Core, mask, mask_all};
use crate::world::{Opening, World};

use super::{Exchange, Platform};
use gateway::{Biz, Fields, Refusal, base_string, diagnose, field, fields, sign};
use orders::{NewOrder, Order, Orders, Series, Stage};
use settings::{Account, Settings, Take};

const NAME: &str = "yopoint";
const GATEWAY: &str = "/yopoint/api/gateway/index";
const PAYMENT: &str = "/yopoint/api/pay/notify/";
/// The name under which payment reports stand in the log and in fault rules.
const PAYMENT_REPORT: &str = "NotifyUrl";
/// Between the parts of a notice that is sent as multipart.
const BOUNDARY: &str = "----sim7MA4YWxkTrZu0gW";

/// The platform.
pub struct Yopoint {
    settings: Settings,
    orders: Orders,
    series: Series,
    terminals: Vec<Value>,
    vouchers: Vec<vending::Voucher>,
    consumer_orders: Vec<Order>,
    /// What the next shopper at a cabinet takes.
    next_take: HashMap<String, Vec<Take>>,
    third_pay: Value,
}

impl Default for Yopoint {
    fn default() -> Self {
        let mut platform = Self {
            settings: Settings::default(),
            orders: Orders::default(),
            series: Series::default(),
            terminals: vending::terminals(),
            vouchers: vending::vouchers(system_ms() / 1000),
            consumer_orders: Vec::new(),
            next_take: HashMap::new(),
            third_pay: json!({}),
        };
        platform.write_past();
        platform
    }
}

impl Yopoint {
    /// A few orders of the last days.
    fn write_past(&mut self) {
        let world = World::small();
        let now_s = system_ms() / 1000;
        let past = [(3, 0, Stage::Paid), (2, 1, Stage::Refunded), (1, 1, Stage::NeverOpened)];
        for (n, (days, at, stage)) in (1u64..).zip(past) {
            let cabinet = &world.cabinets[at];
            let at_s = now_s - days * 86_400;
            let mut order = NewOrder {
                receipt: orders::receipt("VI", at_s * 1000, n),
                id: format!("6501{n:020x}"),
                cabinet: &cabinet.id,
                device_code: &cabinet.device_code,
                name: &cabinet.name,
                oid: &self.settings.oid,
                open_id: "open-past".into(),
                user_id: format!("6400{n:020x}"),
                trade_no: format!("PAST{n:016}"),
                pay_type: self.settings.pay_type,
                at_s,
            }
            .build();
            order.own.stage = stage;
            order.set("ServiceStatus", 2);
            if stage == Stage::NeverOpened {
                order.set("DoorStatus", -1);
            } else {
                let goods = [Take { barcode: cabinet.stock[0].barcode.clone(), qty: 2 }];
                order.set_products(&world, &goods);
                order.set("TradeStatus", 1);
                order.set("PayTime", at_s + 60);
            }
            if stage == Stage::Refunded {
                let price = order.int("Price");
                order.set("RefundsPrice", price);
                let products = order.doc.get("Products").cloned().unwrap_or_default();
                order.set("RefundsProducts", products);
                order.set("UserRefundsReason", "REFUNDS_REASON_PRODUCT_VI_MORE");
                order.set("UserRefundsTime", at_s + 600);
            }
            self.orders.push(order);
        }
        for (n, (status, error)) in (1u64..).zip([(1, ""), (-1, "货道卡货"), (0, "")]) {
            let order = self.consumer_order(&world, n, (now_s - 7200 * n as i64) * 1000, status, error, "");
            self.consumer_orders.push(order);
        }
    }

    fn consumer_order(
        &self,
        world: &World,
        number: u64,
        at_ms: i64,
        status: i64,
        error: &str,
        terminal: &str,
    ) -> Order {
        let terminal = match terminal {
            "" => self.terminals.first().map(|t| t["TID"].clone()).unwrap_or_default(),
            named => json!(named),
        };
        let good = world.goods.get(number as usize % world.goods.len().max(1)).cloned();
        let good = good.unwrap_or_else(|| world.good("6900000000011"));
        let doc = json!({
            "id": format!("6502{number:020x}"), "ReceiptNo": orders::receipt("OD", at_ms, number),
            "TID": terminal, "OID": self.settings.oid, "PayType": 1, "ProductName": good.name,
            "Price": good.price, "OriginalPrice": good.price, "TradeNo": format!("OT{number:018}"),
            "CreateAt": at_ms / 1000, "PayTime": at_ms / 1000 + 5, "TradeStatus": 1,
            "ShipmentsStatus": status, "ShipmentsError": error, "UserRefundsStatus": 0,
            "UserRefundsReason": if status < 0 { "REFUNDS_REASON_DELIVERY_FAIL" } else { "" },
            "ProductVO": {"Name": good.name, "BarCode": good.barcode, "Price": good.price,
                          "ImageUrl": good.image_url, "ImageFixWidthUrl": good.image_url},
        });
        let Value::Object(doc) = doc else { return Order::default() };
        Order { doc, own: orders::Own { stage: Stage::Paid, ..orders::Own::default() } }
    }

    fn order(&self, receipt: &str) -> Option<&Order> {
        self.orders.by_receipt(receipt)
    }

    /// An order to change; one of the series is written out first.
    fn order_mut(&mut self, world: &World, receipt: &str) -> Option<&mut Order> {
        if self.order(receipt).is_none() {
            let index = self.series.find(Some(receipt), None)?;
            let order = self.series.order(index, world, &self.settings.oid, self.settings.pay_type);
            self.orders.push(order);
        }
        self.orders.by_receipt_mut(receipt)
    }

    fn account(&self, appid: &str) -> Option<&Account> {
        self.settings.accounts.iter().find(|a| a.appid == appid)
    }

    fn envelope(&self, code: i64, message: &str, data: Value) -> Reply {
        let mut body = Map::new();
        body.insert("error_code".into(), json!(code));
        body.insert("error_msg".into(), json!(message));
        // The only failure with something in `data` that is published has no sub fields.
        if self.settings.sub_error_fields && !(code != 0 && data.is_string()) {
            body.insert("sub_error_code".into(), Value::Null);
            body.insert("sub_error_msg".into(), Value::Null);
        }
        body.insert("data".into(), data);
        let status = if code == 0 { 200 } else { self.settings.failure_http_status };
        Reply::json(status, &Value::Object(body))
    }

    /// Checks the common fields in order and answers the account, the method and the business parameters.
    fn admit(
        &self,
        core: &Core,
        fields: &Fields,
        exchange: &mut Exchange,
    ) -> Result<(Account, String, Biz), Refusal> {
        let get = |name: &str| field(fields, name).filter(|v| !v.is_empty());
        for name in ["appid", "method", "version", "timestamp", "sign_type", "sign"] {
            get(name).ok_or_else(|| Refusal::missing(name))?;
        }
        let text = field(fields, "biz_content").ok_or_else(|| Refusal::missing("biz_content"))?;
        let account =
            get("appid").and_then(|id| self.account(id)).ok_or_else(|| Refusal::new("appid"))?.clone();
        // Compared before it counts, so that the log can tell more than one mistake.
        let given = get("sign").unwrap_or_default();
        exchange.signature = self.compare(fields, &[], given, &account.secret);
        if get("version") != Some("1.0.0") {
            return Err(Refusal::new("version"));
        }
        if get("sign_type") != Some("md5") {
            return Err(Refusal::new("sign_type"));
        }
        self.check_time(core, get("timestamp").unwrap_or_default())?;
        if exchange.signature["ok"] != json!(true) {
            return Err(Refusal::new("sign"));
        }
        let method = get("method").unwrap_or_default().to_owned();
        if !methods::is_known(&method) {
            return Err(Refusal::new("method"));
        }
        if account.methods.as_ref().is_some_and(|allowed| !allowed.contains(&method)) {
            return Err(Refusal::new("permission"));
        }
        let biz = Biz::parse(text).map_err(|why| {
            exchange.signature["biz_content"] = json!(why);
            Refusal::new("biz_content")
        })?;
        Ok((account, method, biz))
    }

    /// Ten digits are seconds, thirteen milliseconds; anything else is no timestamp.
    fn check_time(&self, core: &Core, text: &str) -> Result<(), Refusal> {
        let number: i64 = text.parse().map_err(|_| Refusal::new("timestamp"))?;
        let seconds = match text.len() {
            10 => number,
            13 => number / 1000,
            // Before 2001 seconds have fewer digits; a board with its clock at 1970 sends such.
            1..10 => number,
            _ => return Err(Refusal::new("timestamp")),
        };
        let off = (core.clock.now_s() - seconds).abs();
        match self.settings.timestamp_tolerance_s {
            Some(tolerance) if off > tolerance => Err(Refusal::new("timestamp")),
            _ => Ok(()),
        }
    }

    /// The signature's part of the request log.
    fn compare(&self, fields: &Fields, leave_out: &[&str], given: &str, secret: &str) -> Value {
        let expected = sign(fields, leave_out, secret);
        let mut others: Vec<(&str, &str)> = vec![("the payment key", &self.settings.pay_key)];
        others.extend(
            self.settings.accounts.iter().map(|a| ("the appSecret of an account", a.secret.as_str())),
        );
        others.retain(|(_, key)| *key != secret);
        let (what, signed) = if !leave_out.is_empty() && sign(fields, &[], secret) == given {
            let what = format!("{} is signed and must not be", leave_out.join(" and "));
            (what, Some(format!("{}&{secret}", base_string(fields, &[]))))
        } else {
            diagnose(fields, leave_out, given, secret, &others)
        };
        json!({
            "ok": given == expected, "given": given, "expected": expected,
            "base": format!("{}&[secret]", mask(&base_string(fields, leave_out), secret)),
            "differs": what, "signed": signed.map(|text| mask_all(&text, secret, &others)),
        })
    }

    fn gateway(&mut self, core: &mut Core, request: &Request, exchange: &mut Exchange) -> Reply {
        let outcome = fields(request)
            .map_err(|why| {
                exchange.params = json!({"unreadable": why});
                Refusal::new("body")
            })
            .and_then(|fields| {
                exchange.params = fields.iter().map(|(n, v)| (n.clone(), json!(v))).collect();
                let (account, method, biz) = self.admit(core, &fields, exchange)?;
                self.call(core, request, &account, &method, &biz)
            });
        match outcome {
            Ok(data) => self.envelope(0, "SUCCESS", data),
            Err(refusal) => {
                let name = self.settings.error_names.get(&refusal.reason).cloned();
                self.envelope(-1, &name.unwrap_or(refusal.reason), refusal.data)
            }
        }
    }

    /// Sends a notice: on the business channel to every account, on the payment channel once.
    fn notify(&self, core: &mut Core, channel: &str, method: &str, receipt: Option<&str>, content: Value) {
        let ticked = |a: &&Account| {
            channel == "payment" || a.methods.as_ref().is_none_or(|m| m.iter().any(|m| m == method))
        };
        let limit = if channel == "payment" { 1 } else { usize::MAX };
        for account in self.settings.accounts.iter().filter(ticked).take(limit) {
            let what = Outgoing {
                platform: NAME,
                channel: channel.to_owned(),
                account: account.appid.clone(),
                method: method.to_owned(),
                receipt: receipt.map(str::to_owned),
                content: content.clone(),
                accent: Accent::default(),
            };
            core.notify(what, &|what, style, now| self.render(what, style, now));
        }
    }
}

impl Platform for Yopoint {
    fn name(&self) -> &'static str {
        NAME
    }

    fn credentials(&self) -> Map<String, Value> {
        let account = self.settings.accounts.first();
        let part = |get: fn(&Account) -> &String| json!(account.map(get).cloned().unwrap_or_default());
        let mut words = Map::new();
        words.insert("app_id".into(), part(|a| &a.appid));
        words.insert("app_secret".into(), part(|a| &a.secret));
        words.insert("pay_key".into(), json!(self.settings.pay_key));
        words
    }

    fn operation(&self, request: &Request) -> String {
        if request.path.starts_with(PAYMENT) {
            return PAYMENT_REPORT.into();
        }
        let fields = fields(request).unwrap_or_default();
        field(&fields, "method").unwrap_or_default().to_owned()
    }

    fn handle(&mut self, core: &mut Core, request: &Request, exchange: &mut Exchange) -> Reply {
        let token = request.path.strip_prefix(PAYMENT);
        if request.path != GATEWAY && token.is_none() {
            return Reply::json(404, &json!({"error": "no such page"}));
        }
        if request.method != "POST" {
            let mut reply = Reply::json(405, &json!({"error": "POST only"}));
            reply.headers.push(("Allow".into(), "POST".into()));
            return reply;
        }
        match token {
            Some(token) => self.payment_report(core, request, token, exchange),
            None => self.gateway(core, request, exchange),
        }
    }

    fn door_shut(&mut self, core: &mut Core, opening: &Opening) {
        self.shut(core, opening);
    }

    fn cabinet_online(&mut self, core: &mut Core, cabinet: &str) {
        let waiting: Vec<_> = self
            .orders
            .iter_mut()
            .filter(|o| o.text("CID") == cabinet)
            .filter_map(|o| o.own.report_waiting.take().map(|s| (o.text("ReceiptNo").to_owned(), s)))
            .collect();
        for (receipt, status) in waiting {
            self.report_door(core, &receipt, status);
        }
    }

    fn timer(&mut self, core: &mut Core, event: &Value) {
        let receipt = event["receipt"].as_str().unwrap_or_default().to_owned();
        match event["do"].as_str() {
            Some("report") => self.report_door(core, &receipt, event["status"].as_i64().unwrap_or(1)),
            Some("recognise") => self.recognise(core, &receipt),
            Some("vended") => self.vended(core, &receipt, event["fell"] == json!(true)),
            Some("approve_refund") => self.approve_refund(core, &receipt, None),
            _ => {}
        }
    }

    fn render(&self, what: &Outgoing, style: Style, now_ms: i64) -> Rendered {
        let secret = match what.channel.as_str() {
            "payment" => self.settings.pay_key.clone(),
            _ => self.account(&what.account).map(|a| a.secret.clone()).unwrap_or_default(),
        };
        let secret = if style.forge { format!("not {secret}") } else { secret };
        let timestamp = if style.ms_timestamp { now_ms } else { now_ms.div_euclid(1000) };
        let mut fields: Fields = [
            ("appid", what.account.clone()),
            ("method", what.method.clone()),
            ("biz_content", render_json(&what.accent.shape(what.content.clone()))),
            ("timestamp", timestamp.to_string()),
            ("sign_type", "md5".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        fields.push(("sign".into(), sign(&fields, &[], &secret)));
        let (kind, body) = if what.accent.has("callback_multipart") {
            let part = |(name, value): &(String, String)| {
                format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            };
            let parts: String = fields.iter().map(part).collect();
            (format!("multipart/form-data; boundary={BOUNDARY}"), format!("{parts}--{BOUNDARY}--\r\n"))
        } else {
            let pairs: Vec<_> = fields.iter().map(|(n, v)| format!("{n}={}", form_encode(v))).collect();
            let end = if what.accent.has("callback_line_end") { "\r\n" } else { "" };
            ("application/x-www-form-urlencoded".to_owned(), pairs.join("&") + end)
        };
        let mut headers = vec![("Content-Type".to_owned(), kind)];
        headers.extend(what.accent.callback_headers());
        Rendered { headers, body }
    }

    fn answered(
        &mut self,
        core: &mut Core,
        what: &Outgoing,
        status: u16,
        answer: &str,
    ) -> Result<(), String> {
        if status != 200 {
            return Err(format!("status {status}"));
        }
        let parsed: Value =
            serde_json::from_str(answer).map_err(|e| format!("the answer is not JSON: {e}"))?;
        for name in ["error_code", "error_msg", "data"] {
            if parsed.get(name).is_none() {
                return Err(format!("the answer has no {name}"));
            }
        }
        match parsed["error_code"].as_i64() {
            Some(0) => {}
            Some(code) => return Err(format!("error_code {code}")),
            None => return Err("error_code is not a whole number".into()),
        }
        if what.method == flow::REFUND_NOTICE {
            if let Some(receipt) = &what.receipt {
                self.refunded(core, receipt, parsed);
            }
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
            "orders": self.orders, "series": self.series, "terminals": self.terminals,
            "vouchers": self.vouchers, "consumer_orders": self.consumer_orders, "next_take": self.next_take,
        })
    }

    fn set_world(&mut self, core: &mut Core, world: &Value, replace: bool) -> Result<(), String> {
        let given = world.as_object().ok_or("a platform's world must be an object")?;
        if replace {
            (self.orders, self.consumer_orders) = (Orders::default(), Vec::new());
            (self.series, self.terminals, self.vouchers) = (Series::default(), Vec::new(), Vec::new());
            self.next_take.clear();
        }
        for (key, part) in given {
            match key.as_str() {
                "orders" => self.orders.change(|list| lay_over_by(list, part, "ReceiptNo", merged))?,
                "consumer_orders" => lay_over_by(&mut self.consumer_orders, part, "ReceiptNo", merged)?,
                "terminals" => {
                    self.terminals = part.as_array().ok_or("\"terminals\" must be a list")?.clone();
                }
                "vouchers" => self.lay_vouchers(part)?,
                "series" => patch_settings(&mut self.series, part)?,
                "next_take" => {
                    self.next_take = serde_json::from_value(part.clone()).map_err(|e| e.to_string())?;
                }
                odd => {
                    let known = "orders, consumer_orders, terminals, vouchers, series, next_take";
                    return Err(format!("unknown member {odd:?}; known are {known}"));
                }
            }
        }
        // A written order needs the fields that all orders have.
        let now_s = core.clock.now_s();
        for order in self.orders.iter_mut() {
            if !order.doc.contains_key("CreateAt") {
                order.set("CreateAt", now_s);
            }
        }
        Ok(())
    }

    fn others_for(&self, request: &Request, accent: &Accent) -> Option<Value> {
        let fields = fields(request).ok()?;
        let biz = Biz::parse(field(&fields, "biz_content")?).ok()?;
        if accent.has_rival() {
            let (code, tid) = (biz.text(&["Code"])?, biz.text(&["TID"])?);
            return Some(json!({"do": "redeem", "code": code, "tid": tid}));
        }
        let (number, cabinet) = (biz.text(&["TradeNo"])?, biz.text(&["CID"])?);
        let ago_s = accent.old_number_ago_s(&number)?;
        Some(json!({"do": "order", "trade_no": number, "cabinet": cabinet, "ago_s": ago_s}))
    }

    fn triggers(&self) -> &'static [(&'static str, &'static str)] {
        staff::TRIGGERS
    }

    fn trigger(&mut self, core: &mut Core, name: &str, what: &Value) -> Result<(), (u16, String)> {
        self.trigger_notice(core, name, what)
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
        self.staff(core, method, path, body)
    }

    fn condition(&self, _core: &Core, what: &Value) -> Option<Result<bool, String>> {
        if what["for"] != json!("order") {
            return None;
        }
        let Some(receipt) = what["receipt"].as_str() else {
            return Some(Err("say which \"receipt\"".into()));
        };
        let Some(order) = self.order(receipt) else { return Some(Ok(false)) };
        let stage = what.get("stage").is_none_or(|want| json!(order.own.stage) == *want);
        let fields = what.get("is").and_then(Value::as_object);
        let same = |want: &Map<String, Value>| want.iter().all(|(k, v)| order.doc.get(k) == Some(v));
        Some(Ok(stage && fields.is_none_or(same)))
    }
}

/// An order with a patch laid over it; null removes a field.
fn merged(old: Option<&Order>, patch: &Value) -> Result<Order, String> {
    let mut whole = old.map_or(json!({}), |order| json!(order));
    merge(&mut whole, patch);
    serde_json::from_value(whole).map_err(|e| e.to_string())
}
