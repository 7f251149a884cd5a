//! Youzan (有赞): tokens by secret, APIs by name and version, pickup codes that are redeemed once, messages.
//!
//! What the notes mark as unknown is decided here, can be changed in the settings, and is never the vendor's word.

mod gateway;
mod items;
mod push;
mod redeem;
mod settings;
mod shop;
mod staff;
mod time;
mod token;
mod trade;

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::callback::{Outgoing, Rendered, Style};
use crate::clock::system_ms;
use crate::dialect::Accent;
use crate::message::{Reply, Request, parse_form, patch_settings};
use crate::state::Core;

use super::{Exchange, Platform};
use gateway::{Framed, Params, Refusal, Way, parse_path};
use settings::{LimitShape, Settings, Shape};
use shop::Holdings;
use staff::{Script, Throttle};
use token::{Code, Token};

const NAME: &str = "youzan";
const TOKEN: &str = "/auth/token";

/// The platform.
pub struct Youzan {
    settings: Settings,
    held: Holdings,
    tokens: Vec<Token>,
    codes: Vec<Code>,
    /// When tokens were asked for, for the limit on that.
    token_calls: Vec<i64>,
    /// The running second of each API and shop, and the calls in it.
    seconds: HashMap<(String, i64), (i64, u64)>,
    scripts: Vec<Script>,
    throttles: Vec<Throttle>,
    /// After so many more calls the token in use is killed.
    kill_after: Option<u64>,
}

impl Default for Youzan {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            held: Holdings::small(system_ms()),
            tokens: Vec::new(),
            codes: Vec::new(),
            token_calls: Vec::new(),
            seconds: HashMap::new(),
            scripts: Vec::new(),
            throttles: Vec::new(),
            kill_after: None,
        }
    }
}

/// A call that the gateway has let through.
pub struct Call {
    /// The API.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The shop that the token stands for.
    pub kdt_id: i64,
    /// The application that the token stands for.
    pub client_id: String,
    /// The number of the request in the request log.
    pub request: u64,
    /// The parameters.
    pub params: Params,
}

/// The path below the platform's prefix.
fn below(path: &str) -> &str {
    path.strip_prefix("/youzan").unwrap_or(path)
}

fn query_token(request: &Request) -> String {
    let fields = parse_form(request.query.as_bytes()).unwrap_or_default();
    fields.into_iter().find(|(n, _)| n == "access_token").map(|(_, v)| v).unwrap_or_default()
}

impl Youzan {
    /// The gateway's checks, in the order that was probed or is inferred; the parameters come last.
    fn admit(
        &mut self,
        core: &Core,
        request: &Request,
        (way, name, version): (Way, &str, &str),
    ) -> Result<Call, Refusal> {
        let api = gateway::find(name).filter(|a| a.versions.contains(&version));
        let api = api.ok_or_else(|| Refusal::gateway(4005))?;
        if way == Way::RichText && !self.settings.rich_text_apis.iter().any(|n| n == name) {
            return Err(Refusal::gateway(4008));
        }
        const TYPES: [&str; 3] =
            ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"];
        let kind = request.content_type();
        let well_formed = match request.method.as_str() {
            "POST" => TYPES.contains(&kind.as_str()),
            "GET" => self.settings.accept_get,
            _ => false,
        };
        if !well_formed {
            let kind = if kind.is_empty() { "null" } else { &kind };
            let text = format!("非法的请求姿势，httpMethod:{}, contentType:{kind}", request.method);
            return Err(Refusal::Gateway(4007, text));
        }
        if let Some(ip) = &self.settings.ip_refused {
            let text =
                format!("源IP地址{ip}非法调用有赞云，请完成IP地址确认后，前往应用中心控制台进行IP白名单配置");
            return Err(Refusal::Gateway(4007, text));
        }
        let now = core.clock.now_ms();
        let exempt = way == Way::Exempt && self.settings.exempt_apis.iter().any(|n| n == name);
        let given = if way == Way::Exempt { String::new() } else { query_token(request) };
        let (app, kdt_id) = if exempt {
            // Without a token there is nobody to ask for: it is the first application's first shop.
            let app = self.settings.apps.first().cloned().unwrap_or_default();
            let kdt_id = app.shops.first().map_or(0, |s| s.kdt_id);
            (app, kdt_id)
        } else {
            self.check_token(now, &given)?
        };
        if app.apis.as_ref().is_some_and(|allowed| !allowed.iter().any(|a| a == name)) {
            return Err(Refusal::gateway(4204));
        }
        self.limit(now, name, kdt_id)?;
        self.count_down(now, &given);
        Ok(Call {
            name: api.name.to_owned(),
            version: version.to_owned(),
            kdt_id,
            client_id: app.client_id,
            request: request.number,
            params: Params::read(request)?,
        })
    }

    /// The refusal of a limit, in the words of whoever sets it.
    fn limited(&self, code: i64) -> Refusal {
        match code {
            4101 if self.settings.limit_shape == LimitShape::Bare => {
                Refusal::Raw(json!({"code": "4101", "msg": "访问频繁"}))
            }
            4101 => Refusal::gateway(4101),
            500_100_004 => Refusal::Raw(json!({"msg": "请求被限流", "code": code})),
            123_000_042 => Refusal::Raw(json!({"code": code, "success": false, "message": "请求被限流"})),
            other => Refusal::business(other, gateway::business_text(other)),
        }
    }

    fn limit(&mut self, now: i64, name: &str, kdt_id: i64) -> Result<(), Refusal> {
        self.throttles.retain(|t| t.until_ms.is_none_or(|until| now < until) && t.count != Some(0));
        let fits = |t: &&mut Throttle| t.api.as_deref().is_none_or(|a| a == name);
        if let Some(throttle) = self.throttles.iter_mut().find(fits) {
            throttle.count = throttle.count.map(|n| n - 1);
            let code = throttle.code;
            return Err(self.limited(code));
        }
        let qps = self.settings.qps.get(name).copied().filter(|_| self.settings.rate_limits);
        if let Some(qps) = qps {
            let second = self.seconds.entry((name.to_owned(), kdt_id)).or_default();
            if second.0 != now.div_euclid(1000) {
                *second = (now.div_euclid(1000), 0);
            }
            second.1 += 1;
            if second.1 > qps {
                return Err(self.limited(4101));
            }
        }
        match &mut self.settings.quota {
            Some(0) => Err(Refusal::Gateway(4204, self.settings.text("quota"))),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Kills the token in use when its last call has been counted.
    fn count_down(&mut self, now: i64, access_token: &str) {
        match &mut self.kill_after {
            Some(0) => {
                self.kill_after = None;
                let token = self.tokens.iter_mut().find(|t| t.access_token == access_token);
                token.into_iter().for_each(|t| t.dies_ms = now);
            }
            Some(left) => *left -= 1,
            None => {}
        }
    }

    fn api(&mut self, core: &mut Core, request: &Request, exchange: &mut Exchange) -> Reply {
        let trace =
            format!("yz7-0a{:06x}-{}-{}", core.noise.next() >> 40, core.clock.now_ms(), request.number);
        let path = parse_path(below(&request.path));
        let name = path.map_or("", |(_, name, _)| name);
        let legacy = match self.settings.shapes.get(name) {
            Some(shape) => *shape == Shape::Legacy,
            None => gateway::find(name).is_some_and(|a| a.legacy),
        };
        let framed = Framed { trace: &trace, legacy };
        let outcome = path
            .ok_or_else(|| Refusal::gateway(4001))
            .and_then(|path| self.admit(core, request, path))
            .and_then(|call| {
                exchange.params = call.params.whole();
                let script = self.next_script(&call.name);
                if script.as_ref().is_some_and(|s| !s.act) {
                    return Err(script.map(Script::refusal).unwrap_or(Refusal::gateway(5002)));
                }
                let done = self.call(core, &call);
                script.map_or(done, |script| Err(script.refusal()))
            });
        let body = match outcome {
            Ok(data) => self.success(&framed, name, data),
            Err(refusal) => framed.refusal(&refusal),
        };
        Reply::json(200, &body)
    }

    /// Where the answer's parts stand, with the oddities of some APIs.
    fn success(&self, framed: &Framed<'_>, name: &str, mut data: Value) -> Value {
        let listed = ["count", "items", "list"];
        match name {
            "youzan.logistics.expressbyorderno.get" if self.settings.logistics_under_code => {
                json!({"code": data, "success": true, "message": "successful"})
            }
            "youzan.retail.open.query.warehousestock" if !framed.legacy => {
                let count = data.as_array().map_or(0, Vec::len);
                let mut whole = framed.success(data);
                whole["count"] = json!(count);
                whole
            }
            _ if self.settings.lists_beside_data && !framed.legacy => {
                let beside: Vec<_> = match data.as_object_mut() {
                    Some(members) if members.contains_key("count") => {
                        listed.iter().filter_map(|n| Some((*n, members.shift_remove(*n)?))).collect()
                    }
                    _ => Vec::new(),
                };
                let mut whole = framed.success(data);
                for (name, value) in beside {
                    whole[name] = value;
                }
                whole
            }
            _ => framed.success(data),
        }
    }

    fn call(&mut self, core: &mut Core, call: &Call) -> Result<Value, Refusal> {
        match call.name.strip_prefix("youzan.").unwrap_or_default() {
            "trade.selffetchcode.get" => self.selffetch_get(core, call),
            "trade.selffetchcode.apply" => self.selffetch_apply(core, call),
            "trade.virtualcode.get" => self.virtual_get(core, call),
            "trade.virtualcode.apply" => self.virtual_apply(core, call),
            "trade.virtualticket.get" => self.ticket_get(core, call),
            "trade.virtualticket.verifycode" => self.ticket_verify_all(core, call),
            "trade.virtualticket.verifyticket" => self.ticket_verify(core, call),
            "trade.memo.update" => self.memo_update(core, call),
            "trade.get" => self.trade_get(core, call),
            "trades.sold.get" => self.sold_get(core, call),
            "logistics.online.confirm" => self.ship(core, call),
            "logistics.online.marksign" => self.mark_sign(core, call),
            "logistics.expressbyorderno.get" => self.express(core, call),
            "item.get" => self.item_get(call),
            "item.sku.get" => self.sku_get(call),
            "item.detail.get" => self.item_detail(call),
            "item.itemdetail.get" => self.item_itemdetail(call),
            "items.onsale.get" => self.onsale(call),
            "item.quantity.update" => self.quantity_update(core, call),
            "retail.open.query.warehousestock" => self.warehouse_stock(call),
            "retail.open.stock.adjust" => self.stock_adjust(call, false),
            "retail.open.modify.planstock" => self.stock_adjust(call, true),
            "multistore.offline.get" => self.offline_get(call),
            "multistore.offline.search" => self.offline_search(call),
            "multistore.offline.create" => self.offline_create(core, call),
            "multistore.setting.get" => Ok(self.multistore_setting(call)),
            "multistore.goods.sku.get" => self.point_stock(call),
            "multistore.goods.sku.update" => self.point_stock_update(call),
            "shop.get" => Ok(self.shop_get(call)),
            "shop.basic.get" => Ok(self.shop_basic(call)),
            _ => Err(Refusal::gateway(4005)),
        }
    }
}

impl Platform for Youzan {
    fn name(&self) -> &'static str {
        NAME
    }

    fn credentials(&self) -> Map<String, Value> {
        let app = self.settings.apps.first().cloned().unwrap_or_default();
        let mut words = Map::new();
        words.insert("client_id".into(), json!(app.client_id));
        words.insert("client_secret".into(), json!(app.client_secret));
        let shop = app.shops.first().map(|s| s.kdt_id.to_string());
        words.insert("grant_id".into(), json!(shop.unwrap_or_default()));
        words
    }

    fn operation(&self, request: &Request) -> String {
        match below(&request.path) {
            TOKEN => "auth/token".into(),
            path => parse_path(path).map(|(_, name, _)| name.to_owned()).unwrap_or_default(),
        }
    }

    fn handle(&mut self, core: &mut Core, request: &Request, exchange: &mut Exchange) -> Reply {
        if self.settings.redirect_plain_http && !request.tls {
            let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
            let location = format!("{}{}{query}", core.origin, request.path);
            let mut reply = Reply::new(301, "text/html", "<html>301 Moved Permanently</html>");
            reply.headers.push(("Location".into(), location));
            return reply;
        }
        match below(&request.path) {
            TOKEN => self.token(core, request, exchange),
            _ => self.api(core, request, exchange),
        }
    }

    fn timer(&mut self, core: &mut Core, event: &Value) {
        if event["do"] == json!("send") {
            self.send_late(core, event);
        }
    }

    fn render(&self, what: &Outgoing, style: Style, _now_ms: i64) -> Rendered {
        self.make_out(what, style, 0)
    }

    fn render_again(&self, what: &Outgoing, style: Style, resend: usize) -> Option<Rendered> {
        Some(self.make_out(what, style, resend))
    }

    fn retries(&self) -> Option<Vec<i64>> {
        self.pauses()
    }

    fn answered(
        &mut self,
        _core: &mut Core,
        what: &Outgoing,
        status: u16,
        answer: &str,
    ) -> Result<(), String> {
        self.judge(what, status, answer)
    }

    fn settings(&self) -> Value {
        json!(self.settings)
    }

    fn patch_settings(&mut self, patch: &Value) -> Result<(), String> {
        patch_settings(&mut self.settings, patch)
    }

    fn world(&self) -> Value {
        let mut all = json!(self.held);
        all["tokens"] = json!(self.tokens);
        all["codes"] = json!(self.codes);
        all
    }

    fn set_world(&mut self, core: &mut Core, world: &Value, replace: bool) -> Result<(), String> {
        self.lay_over(core, world, replace)
    }

    fn others_for(&self, request: &Request, accent: &Accent) -> Option<Value> {
        let params = Params::read(request).ok()?;
        let given = |name: &str| params.text(name).ok().filter(|text| !text.is_empty());
        let code = given("code").or_else(|| given("ticket_code"))?;
        accent.has_rival().then(|| json!({"do": "redeem", "code": code}))
    }

    fn triggers(&self) -> &'static [(&'static str, &'static str)] {
        staff::TRIGGERS
    }

    fn trigger(&mut self, core: &mut Core, name: &str, what: &Value) -> Result<(), (u16, String)> {
        self.trigger_message(core, name, what)
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
        match what["for"].as_str() {
            Some("redemptions") => {
                let count = what["count"].as_u64().unwrap_or(1);
                let code = what["code"].as_str();
                let fits = |r: &&shop::Redemption| code.is_none_or(|c| r.code == c);
                Some(Ok(self.held.redemptions.iter().filter(fits).count() as u64 >= count))
            }
            Some("youzan_order") => {
                let order = self.held.orders.iter().find(|o| json!(o.tid) == what["tid"]);
                let same = |o: &shop::Order| what.get("status").is_none_or(|s| json!(o.status) == *s);
                Some(Ok(order.is_some_and(same)))
            }
            _ => None,
        }
    }
}
