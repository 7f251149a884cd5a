//! The control calls: what shop staff, buyers and the vendor's own troubles would do.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::act::Act;
use crate::callback::{Outgoing, Progress, Style};
use crate::dialect::Accent;
use crate::message::{lay_over, patch_settings};
use crate::state::Core;

use super::gateway::{Refusal, business_text, gateway_text};
use super::push::{Message, SUBSCRIPTION};
use super::shop::{Holdings, Line, Order, Pickup};
use super::token::Code;
use super::{NAME, Youzan};

type Failed = (u16, String);

fn bad(why: impl Into<String>) -> Failed {
    (400, why.into())
}

fn parse<T: DeserializeOwned>(body: &Value) -> Result<T, Failed> {
    let body = if body.is_null() { json!({}) } else { body.clone() };
    serde_json::from_value(body).map_err(|e| bad(e.to_string()))
}

fn once() -> u64 {
    1
}

/// An error that calls to come are answered with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// For which API; every one if absent.
    #[serde(default)]
    pub api: Option<String>,
    /// The code; those of the gateway come in its own envelope.
    pub code: i64,
    /// The text; the documented one if absent.
    #[serde(default)]
    pub message: Option<String>,
    /// How often.
    #[serde(default = "once")]
    pub count: u64,
    /// The call takes effect all the same.
    #[serde(default)]
    pub act: bool,
}

impl Script {
    /// The refusal.
    pub fn refusal(self) -> Refusal {
        match gateway_text(self.code) {
            Some(text) => Refusal::Gateway(self.code, self.message.unwrap_or_else(|| text.into())),
            None => {
                Refusal::Business(self.code, self.message.unwrap_or_else(|| business_text(self.code).into()))
            }
        }
    }
}

/// A limit that calls to come run into.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// For which API; every one if absent.
    #[serde(default)]
    pub api: Option<String>,
    /// 4101 of the gateway, or 500100004, 123000042, 141500203 of the services behind it.
    #[serde(default = "busy")]
    pub code: i64,
    /// How many calls; without end if absent.
    #[serde(default)]
    pub count: Option<u64>,
    /// Until when, on the platforms' clock.
    #[serde(default)]
    pub until_ms: Option<i64>,
    /// For how long from now, on the platforms' clock.
    #[serde(default, skip_serializing)]
    pub ms: Option<i64>,
}

fn busy() -> i64 {
    4101
}

/// The messages that can be sent by the name of their kind.
pub const TRIGGERS: &[(&str, &str)] = &[
    ("test", "trade_TradeCreate"),
    ("order_changed", "trade_TradeCreate"),
    ("order_paid", "trade_TradePaid"),
    ("order_finished", "trade_TradeSuccess"),
    ("order_closed", "trade_TradeClose"),
    ("refund_changed", "trade_refund_RefundSuccess"),
    ("stock_changed", "ITEM_INFO"),
    ("app_changed", SUBSCRIPTION),
];

impl Youzan {
    /// The error that the next call of an API is to be answered with.
    pub(super) fn next_script(&mut self, api: &str) -> Option<Script> {
        let fits = |s: &&mut Script| s.count > 0 && s.api.as_deref().is_none_or(|a| a == api);
        let script = self.scripts.iter_mut().find(fits)?;
        script.count -= 1;
        Some(script.clone())
    }

    /// Answers a control request below `/_sim/youzan`.
    pub(super) fn staff(
        &mut self,
        core: &mut Core,
        method: &str,
        path: &[&str],
        body: &Value,
    ) -> Option<Result<Value, Failed>> {
        Some(match (method, path) {
            ("GET", ["redemptions"]) => Ok(json!(self.held.redemptions)),
            ("GET", ["tokens"]) => Ok(json!(self.tokens)),
            ("POST", ["tokens", "kill"]) => self.kill(core, body),
            ("POST", ["codes"]) => self.make_code(core, body),
            ("GET", ["errors"]) => Ok(json!(self.scripts)),
            ("POST", ["errors"]) => parse(body).map(|script| {
                self.scripts.push(script);
                json!(self.scripts)
            }),
            ("DELETE", ["errors"]) => {
                self.scripts.clear();
                Ok(json!([]))
            }
            ("POST", ["throttle"]) => parse(body).map(|mut throttle: Throttle| {
                let end = throttle.ms.take().map(|ms| core.clock.now_ms() + ms);
                throttle.until_ms = throttle.until_ms.or(end);
                self.throttles.push(throttle);
                json!(self.throttles)
            }),
            ("DELETE", ["throttle"]) => {
                self.throttles.clear();
                Ok(json!([]))
            }
            ("POST", ["orders"]) => self.make_order(core, body),
            ("PATCH" | "POST", ["orders", tid]) => self.patch_order(core, tid, body),
            ("POST", ["push"]) => self.push_by_hand(core, body),
            ("POST", ["heartbeat"]) => self.heartbeat(core, body),
            ("POST", ["repush"]) => self.repush(core, body),
            ("POST", ["subscription"]) => self.subscription(core, body),
            _ => return None,
        })
    }

    /// What somebody else does: `redeem` a code, `refund` an order, `order` something.
    pub(super) fn others_act(&mut self, core: &mut Core, what: &Value) -> Result<Value, Failed> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "snake_case", tag = "do")]
        enum Wish {
            Redeem {
                code: String,
                #[serde(default)]
                who: Option<String>,
            },
            Refund {
                tid: String,
                #[serde(default)]
                under_way: bool,
            },
            Order {
                #[serde(default)]
                order: Value,
            },
        }
        match parse(what)? {
            Wish::Redeem { code, who } => self.redeem_by_other(core, &code, who.as_deref()),
            Wish::Refund { tid, under_way } => {
                let (state, status) = if under_way { (11, None) } else { (12, Some("TRADE_CLOSED")) };
                let mut patch = json!({"refund_state": state});
                if let Some(status) = status {
                    (patch["status"], patch["close_type"]) = (json!(status), json!(2));
                }
                let shown = self.patch_order(core, &tid, &patch)?;
                core.record(Act::new(NAME, if under_way { "refund_apply" } else { "refund" }).order(&tid));
                Ok(shown)
            }
            Wish::Order { order } => {
                let shown = self.make_order(core, &order)?;
                core.record(Act::new(NAME, "order").order(shown["tid"].as_str().unwrap_or_default()));
                Ok(shown)
            }
        }
    }

    /// Kills tokens: `expire` (4202), `forget` (4203) or `lapse` the authorisation (4201), at once or `after` so
    /// many more calls.
    fn kill(&mut self, core: &Core, body: &Value) -> Result<Value, Failed> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Body {
            #[serde(default = "expire")]
            mode: String,
            #[serde(default)]
            access_token: Option<String>,
            #[serde(default)]
            after: Option<u64>,
        }
        fn expire() -> String {
            "expire".into()
        }
        let Body { mode, access_token, after } = parse(body)?;
        if let Some(after) = after {
            self.kill_after = Some(after);
            return Ok(json!({"kill_after": after}));
        }
        let now = core.clock.now_ms();
        let named = |t: &super::Token| access_token.as_ref().is_none_or(|a| *a == t.access_token);
        match mode.as_str() {
            "expire" => {
                self.tokens.iter_mut().filter(|t| named(t)).for_each(|t| t.dies_ms = t.dies_ms.min(now));
            }
            "forget" => self.tokens.retain(|t| !named(t)),
            "lapse" | "restore" => {
                let grants = self.settings.apps.iter_mut().flat_map(|a| &mut a.shops);
                grants.for_each(|g| g.lapsed = mode == "lapse");
            }
            odd => {
                let known = "expire, forget, lapse, restore";
                return Err(bad(format!("unknown mode {odd:?}; known are {known}")));
            }
        }
        Ok(json!(self.tokens))
    }

    /// A merchant authorises an application: the code that its callback address would get.
    fn make_code(&mut self, core: &mut Core, body: &Value) -> Result<Value, Failed> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Body {
            client_id: Option<String>,
            kdt_id: Option<i64>,
        }
        let Body { client_id, kdt_id } = parse(body)?;
        let tool = self.settings.apps.iter().find(|a| a.kind == super::settings::Kind::Tool);
        let code = Code {
            code: format!("{:016x}", core.noise.next()),
            client_id: client_id
                .or_else(|| tool.map(|a| a.client_id.clone()))
                .ok_or_else(|| bad("say for which \"client_id\""))?,
            kdt_id: kdt_id.unwrap_or(super::shop::HOME),
            issued_ms: core.clock.now_ms(),
            used: false,
        };
        self.codes.push(code.clone());
        Ok(json!(code))
    }

    /// A buyer orders and pays: a self-fetch order of one thing, unless the body says otherwise.
    fn make_order(&mut self, core: &mut Core, body: &Value) -> Result<Value, Failed> {
        let now = core.clock.now_ms();
        let number = self.held.orders.len() as u64 + 1;
        let mut patch = body.as_object().cloned().unwrap_or_default();
        let message = patch.shift_remove("message").unwrap_or(json!("trade_TradePaid"));
        let item = self.held.items.iter().find(|i| i.kdt_id == super::shop::HOME).cloned();
        let item = item.unwrap_or_default();
        let mut order = Order {
            tid: format!("E{}{:09}", now / 1000 * 10_000, number).chars().take(24).collect(),
            kdt_id: super::shop::HOME,
            status: "WAIT_SELLER_SEND_GOODS".into(),
            express_type: 1,
            created_ms: now,
            paid_ms: now,
            updated_ms: now,
            lines: vec![Line {
                oid: format!("27{:017}", number),
                item_id: item.item_id,
                num: 1,
                price: item.price,
                ..Line::default()
            }],
            point: self.held.points.first().map_or(0, |p| p.id),
            fetcher_name: "李四".into(),
            fetcher_mobile: "13900000000".into(),
            fetch_time: "尽快到店提货".into(),
            pickup: Some(Pickup { code: format!("{}", 30_000_000_000 + number), ..Pickup::default() }),
            ..Order::default()
        };
        patch_settings(&mut order, &Value::Object(patch)).map_err(bad)?;
        let (kdt_id, tid) = (order.kdt_id, order.tid.clone());
        self.held.orders.retain(|o| o.tid != tid);
        self.held.orders.push(order.clone());
        if let Some(kind) = message.as_str() {
            self.trade_message(core, kdt_id, &tid, kind);
        }
        Ok(json!(order))
    }

    /// Something happens to an order: fields change, and perhaps a `message` says so.
    fn patch_order(&mut self, core: &mut Core, tid: &str, body: &Value) -> Result<Value, Failed> {
        let mut patch = body.as_object().cloned().ok_or_else(|| bad("the body must be a JSON object"))?;
        let message = patch.shift_remove("message");
        let (now, lag) = (core.clock.now_ms(), self.settings.query_lag_ms);
        let order = self.held.orders.iter_mut().find(|o| o.tid == tid);
        let order = order.ok_or_else(|| (404, format!("there is no order {tid}")))?;
        order.touch(now, lag);
        patch_settings(order, &Value::Object(patch)).map_err(bad)?;
        let shown = json!(order);
        let kdt_id = order.kdt_id;
        if let Some(kind) = message.as_ref().and_then(Value::as_str) {
            self.trade_message(core, kdt_id, tid, kind);
        }
        Ok(shown)
    }

    /// Any message, with any part of its envelope as wanted.
    fn push_by_hand(&mut self, core: &mut Core, body: &Value) -> Result<Value, Failed> {
        let mut given: Map<String, Value> =
            body.as_object().cloned().ok_or_else(|| bad("the body must be a JSON object"))?;
        let mut take = |name: &str| given.shift_remove(name);
        let kind = take("type").and_then(|v| v.as_str().map(str::to_owned));
        let kind = kind.ok_or_else(|| bad("say which \"type\""))?;
        let id = take("tid").or_else(|| take("id")).unwrap_or_default();
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        let kdt_id = match take("kdt_id").and_then(|v| v.as_i64()) {
            Some(kdt_id) => kdt_id,
            None => self.held.orders.iter().find(|o| o.tid == id).map_or(super::shop::HOME, |o| o.kdt_id),
        };
        let now_s = core.clock.now_s();
        let (status, msg, version) =
            self.trade_content(kdt_id, &id, &kind).unwrap_or_else(|| (String::new(), json!({}), now_s));
        let status = take("status").and_then(|v| v.as_str().map(str::to_owned)).unwrap_or(status);
        let msg = take("msg").unwrap_or(msg);
        let version = take("version").and_then(|v| v.as_i64()).unwrap_or(version);
        const KNOWN: [&str; 7] = ["msg_id", "mode", "test", "encoding", "forge", "head_kdt_id", "app_id"];
        if let Some(odd) = given.keys().find(|k| !KNOWN.contains(&k.as_str())) {
            let known = "type, tid, id, kdt_id, status, msg, version";
            return Err(bad(format!("unknown member {odd:?}; known are {known}, {}", KNOWN.join(", "))));
        }
        let message = Message { kind: &kind, id: &id, status: &status, msg, version, extra: given };
        let sent = self.send(core, kdt_id, &message);
        Ok(json!({"msg_ids": sent}))
    }

    /// A heartbeat: a message with `test` set.
    fn heartbeat(&mut self, core: &mut Core, body: &Value) -> Result<Value, Failed> {
        let mut whole = json!({"type": "trade_TradeCreate", "id": "", "msg": {}, "test": true});
        if body.is_object() {
            crate::message::merge(&mut whole, body);
        }
        self.push_by_hand(core, &whole)
    }

    /// Sends the message of this name, as if the platform had a reason to.
    pub(super) fn trigger_message(
        &mut self,
        core: &mut Core,
        name: &str,
        what: &Value,
    ) -> Result<(), Failed> {
        let found = TRIGGERS.iter().find(|(known, _)| *known == name);
        let (_, kind) = found.ok_or_else(|| (404, format!("Youzan sends no {name}")))?;
        if what["failed"] == json!(true) {
            return Err(bad(format!("{name} has no failure to tell of")));
        }
        match name {
            "test" => return self.heartbeat(core, &Value::Null).map(drop),
            "app_changed" => return self.subscription(core, &Value::Null).map(drop),
            "stock_changed" => {
                let item = self.held.items.first().map(|i| i.item_id).unwrap_or_default();
                let body = json!({
                    "type": kind, "id": item.to_string(), "status": "ITEM_INFO_UPDATE", "msg": {"item_id": item},
                });
                return self.push_by_hand(core, &body).map(drop);
            }
            _ => {}
        }
        let last = || self.held.orders.last().map(|o| o.tid.clone());
        let tid = what["order"].as_str().map(str::to_owned).or_else(last);
        let tid = tid.ok_or_else(|| (404, "there is no order to tell of".to_owned()))?;
        self.push_by_hand(core, &json!({"type": kind, "tid": tid})).map(drop)
    }

    /// A push again by hand, as from the console: within seven days, and it ends the automatic ones.
    fn repush(&mut self, core: &mut Core, body: &Value) -> Result<Value, Failed> {
        let msg_id = body["msg_id"].as_str().ok_or_else(|| bad("say which \"msg_id\""))?;
        let fits = |d: &&crate::callback::Delivery| {
            d.what.platform == NAME && d.what.content["msg_id"] == json!(msg_id)
        };
        let now = core.clock.now_ms();
        let all: Vec<_> = core.callbacks.deliveries().iter().filter(fits).cloned().collect();
        let first = all.first().ok_or_else(|| (404, format!("there is no message {msg_id}")))?;
        if now - first.attempts.first().map_or(first.due_ms, |a| a.at_ms) > 7 * 86_400_000 {
            return Err((409, "the message is older than seven days".into()));
        }
        for old in &all {
            if let Some(waiting) =
                core.callbacks.delivery_mut(old.id).filter(|d| d.progress == Progress::Queued)
            {
                waiting.progress = Progress::Dropped;
            }
        }
        let tried = all.iter().map(|d| d.attempts.len()).sum();
        let rendered = self.make_out(&first.what, Style::default(), tried);
        let what = first.what.clone();
        let id = core.callbacks.push(what, Style::default(), rendered, now, Some(first.id));
        Ok(json!({"id": id}))
    }

    /// An encrypted message of the market, by GET to the application's address.
    fn subscription(&mut self, core: &mut Core, body: &Value) -> Result<Value, Failed> {
        let app = self.settings.apps.first().cloned().unwrap_or_default();
        let mut message = json!({
            "appId": 110, "type": "APP_SUBSCRIBE", "kdtId": super::shop::HOME, "clientId": app.client_id,
        });
        if body.is_object() {
            crate::message::merge(&mut message, body);
        }
        let what = Outgoing {
            platform: NAME,
            channel: "business".into(),
            account: app.client_id,
            method: SUBSCRIPTION.into(),
            receipt: None,
            content: json!({"message": message}),
            accent: Accent::default(),
        };
        core.notify(what, &|what, style, _| self.make_out(what, style, 0));
        Ok(message)
    }

    /// Lays a world over what is held; `replace` forgets everything not named.
    pub(super) fn lay_over(&mut self, core: &Core, world: &Value, replace: bool) -> Result<(), String> {
        let given = world.as_object().ok_or("a platform's world must be an object")?;
        let mut next = if replace { Holdings::default() } else { self.held.clone() };
        let (mut tokens, mut codes) =
            if replace { Default::default() } else { (self.tokens.clone(), self.codes.clone()) };
        for (key, part) in given {
            match key.as_str() {
                "shops" => lay_over(&mut next.shops, part, "kdt_id")?,
                "points" => lay_over(&mut next.points, part, "id")?,
                "items" => lay_over(&mut next.items, part, "item_id")?,
                "orders" => lay_over(&mut next.orders, part, "tid")?,
                "tokens" => lay_over(&mut tokens, part, "access_token")?,
                "codes" => lay_over(&mut codes, part, "code")?,
                "warehouses" | "adjustments" | "redemptions" => {
                    patch_settings(&mut next, &json!({key: part}))?;
                }
                odd => {
                    let known =
                        "shops, points, items, orders, warehouses, adjustments, redemptions, tokens, codes";
                    return Err(format!("unknown member {odd:?}; known are {known}"));
                }
            }
        }
        if replace && !given.contains_key("redemptions") {
            next.redemptions.clone_from(&self.held.redemptions);
        }
        // What is written without a shop or a time belongs to the test account's, and is new.
        let now = core.clock.now_ms();
        for order in &mut next.orders {
            if order.kdt_id == 0 {
                order.kdt_id = super::shop::HOME;
            }
            if order.created_ms == 0 {
                (order.created_ms, order.updated_ms) = (now, now);
            }
        }
        (self.held, self.tokens, self.codes) = (next, tokens, codes);
        Ok(())
    }
}
