//! The control API: what happened, what there is, and what is to happen next.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::act::Act;
use crate::callback::{CallbackRule, Style, Target};
use crate::clock::http_date;
use crate::fault;
use crate::message::{form_decode, lay_over, merge, patch_settings};
use crate::platform::Platform;
use crate::server::Shared;
use crate::state::State;
use crate::story::{self, Of};
use crate::world::{Cabinet, Cause, Good, NotOpened, Opening, StockLine, World};

type Answer = Result<Value, (u16, String)>;

/// A refusal that says what is wrong with the request.
fn bad(why: impl Into<String>) -> (u16, String) {
    (400, why.into())
}

fn no_such(what: impl std::fmt::Display) -> (u16, String) {
    (404, format!("there is no {what}"))
}

fn parse<T: DeserializeOwned>(body: &Value) -> Result<T, (u16, String)> {
    let body = if body.is_null() { json!({}) } else { body.clone() };
    serde_json::from_value(body).map_err(|e| bad(e.to_string()))
}

struct Query(Vec<(String, String)>);

impl Query {
    fn new(text: &str) -> Self {
        let part = |t: &str| String::from_utf8_lossy(&form_decode(t.as_bytes())).into_owned();
        let pairs = text.split('&').filter(|p| !p.is_empty());
        Self(pairs.map(|p| p.split_once('=').unwrap_or((p, ""))).map(|(k, v)| (part(k), part(v))).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    fn keep(&self, value: &Value, names: &[&str]) -> bool {
        let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        names.iter().all(|name| self.get(name).is_none_or(|want| text(&value[*name]) == want))
    }
}

/// Answers a control request; `path` begins after `/_sim` (which may also be there).
pub fn handle(shared: &Shared, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let path = path.strip_prefix("/_sim").unwrap_or(path);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let result = route(shared, method, &parts, &Query::new(query), body);
    result.map_or_else(|(status, why)| (status, json!({"error": why})), |value| (200, value))
}

fn route(shared: &Shared, method: &str, parts: &[&str], query: &Query, body: &Value) -> Answer {
    match (method, parts) {
        ("GET", []) => Ok(info(shared)),
        ("GET", ["accounts"]) => Ok(json!({"accounts": shared.state().accounts()})),
        ("GET", ["world"]) => Ok(world(&shared.state())),
        ("PUT", ["world"]) => shared.change(|state| set_world(state, body, true)),
        ("PATCH" | "POST", ["world"]) => shared.change(|state| set_world(state, body, false)),
        ("GET", ["cabinets", id]) => match shared.state().core.world.cabinet(id) {
            Some(cabinet) => Ok(json!(cabinet)),
            None => Err(no_such(format!("cabinet {id}"))),
        },
        ("PATCH" | "POST", ["cabinets", id]) => shared.change(|state| patch_cabinet(state, id, body)),
        ("DELETE", ["cabinets", id]) => {
            if shared.change(|state| state.core.world.remove(id)) {
                Ok(json!({"removed": id}))
            } else {
                Err(no_such(format!("cabinet {id}")))
            }
        }
        ("PATCH" | "POST", ["cabinets", id, "stock", barcode]) => {
            shared.change(|state| patch_stock(state, id, barcode, body))
        }
        ("POST", ["reset"]) => {
            shared.tls.configure(Default::default()).map_err(bad)?;
            shared.counters.reset();
            shared.change(State::reset);
            Ok(json!({"reset": true}))
        }
        ("GET", ["faults", "known"]) => Ok(fault::known()),
        ("GET", ["faults", "met"]) => Ok(shared.state().core.faults.met()),
        ("GET", ["faults"]) => Ok(shared.state().core.faults.show()),
        ("POST", ["faults"]) => shared.change(|state| state.core.faults.add(body)).map_err(bad),
        ("DELETE", ["faults"]) => {
            shared.change(|state| state.core.faults.clear(None));
            Ok(json!({"cleared": true}))
        }
        ("DELETE", ["faults", id]) => {
            let number = id.parse().map_err(|_| bad("a fault's id is a number"))?;
            if shared.change(|state| state.core.faults.clear(Some(number))) {
                Ok(json!({"cleared": true}))
            } else {
                Err(no_such(format!("fault rule {id}")))
            }
        }
        ("GET", ["clock"]) => Ok(clock(&shared.state())),
        ("POST", ["clock"]) => shared.change(|state| set_clock(state, body)),
        ("POST", ["clock", "advance"]) => shared.change(|state| advance(state, body)),
        ("POST", ["doors"]) => shared.change(|state| door(state, body)),
        ("GET", ["openings"]) => {
            // Looked through before they are written out: after a long run there are many.
            let is = |name: &str, value: Option<&str>| {
                query.get(name).is_none_or(|want| value.is_some_and(|v| v == want))
            };
            let fits = |o: &&Opening| {
                is("cabinet", Some(&o.cabinet))
                    && is("door", Some(&o.door.to_string()))
                    && is("trade_no", o.cause.trade_no.as_deref())
                    && is("receipt", o.cause.receipt.as_deref())
                    && is("notify_url", o.cause.notify_url.as_deref())
            };
            Ok(json!(shared.state().core.world.openings.iter().filter(fits).collect::<Vec<_>>()))
        }
        ("GET", ["acts"]) => Ok(acts(&shared.state(), query)),
        ("POST", ["others"]) => shared.change(|state| others(state, body)),
        ("GET", ["dialect"]) => Ok(shared.state().core.dialects.show()),
        ("GET", ["dialect", "met"]) => Ok(shared.state().core.dialects.met()),
        ("POST", ["dialect"]) => shared.change(|state| state.core.dialects.set(body)).map_err(bad),
        ("DELETE", ["dialect"]) => {
            shared.change(|state| state.core.dialects.clear());
            Ok(json!({"cleared": true}))
        }
        ("GET", ["link"]) => Ok(json!(shared.state().core.link)),
        ("POST" | "PATCH", ["link"]) => shared.change(|state| {
            patch_settings(&mut state.core.link, body).map_err(bad)?;
            Ok(json!(state.core.link))
        }),
        ("GET", ["requests"]) => Ok(requests(&shared.state(), query)),
        ("GET", ["triggers"]) => Ok(triggers(&shared.state())),
        ("POST", ["trigger"]) => shared.change(|state| trigger(state, body)),
        ("GET", ["story"]) => story(&shared.state(), query),
        ("DELETE", ["requests"]) => {
            shared.change(State::forget_log);
            Ok(json!({"forgotten": true}))
        }
        (_, ["callbacks", rest @ ..]) => callbacks(shared, method, rest, query, body),
        ("GET", ["stats"]) => {
            let mut stats = shared.counters.show();
            stats["open_connections"] = json!(shared.open_connections());
            merge(&mut stats, &shared.state().core.counts());
            Ok(stats)
        }
        ("POST", ["connections", "close"]) => Ok(json!({"closed": shared.close_connections()})),
        ("GET", ["tls"]) => Ok(tls(shared)),
        ("POST" | "PATCH", ["tls"]) => {
            let mut settings = shared.tls.settings();
            patch_settings(&mut settings, body).map_err(bad)?;
            shared.tls.configure(settings).map_err(bad)?;
            Ok(tls(shared))
        }
        ("POST", ["wait"]) => wait(shared, body),
        (_, [name, rest @ ..]) => platform(shared, method, name, rest, body),
        _ => Err(no_such(format!("control path {method} /_sim/{}", parts.join("/")))),
    }
}

/// What a user needs to begin: addresses, the authority, accounts.
pub fn info(shared: &Shared) -> Value {
    let state = shared.state();
    json!({
        "name": "kiosklink-sim", "version": env!("CARGO_PKG_VERSION"),
        "origin": state.core.origin, "http_origin": state.core.http_origin,
        "console": format!("{}/", state.core.http_origin),
        "platforms": state.accounts(),
    })
}

fn only(list: Value, mut keep: impl FnMut(&Value) -> bool) -> Value {
    match list {
        Value::Array(items) => items.into_iter().filter(|item| keep(item)).collect(),
        other => other,
    }
}

fn tls(shared: &Shared) -> Value {
    let (certificate, key) = shared.tls.client_pair_pem();
    let mut all = json!(shared.tls.settings());
    all["ca_pem"] = json!(shared.tls.ca_pem());
    all["client_cert_pem"] = json!(certificate);
    all["client_key_pem"] = json!(key);
    all
}

fn world(state: &State) -> Value {
    let mut all = json!(state.core.world);
    let platforms = state.platforms().map(|p| (p.name().to_owned(), p.world())).collect();
    all["platforms"] = Value::Object(platforms);
    all
}

fn set_world(state: &mut State, body: &Value, replace: bool) -> Answer {
    let mut physical = body.as_object().ok_or(bad("the world must be a JSON object"))?.clone();
    let platforms = physical.shift_remove("platforms").unwrap_or(json!({}));
    let mut next = if replace { World::default() } else { state.core.world.clone() };
    for (key, part) in &physical {
        match (key.as_str(), part) {
            ("goods", Value::Array(_)) => lay_over(&mut next.goods, part, "barcode").map_err(bad)?,
            ("cabinets", Value::Array(_)) => lay_over(&mut next.cabinets, part, "id").map_err(bad)?,
            _ => patch_settings(&mut next, &json!({key: part})).map_err(bad)?,
        }
    }
    if replace && !physical.contains_key("openings") {
        next.openings = state.core.world.openings.clone();
    }
    state.core.world = next;
    let names: Vec<_> = state.platforms().map(|p| p.name()).collect();
    let given = platforms.as_object().ok_or(bad("\"platforms\" must be an object"))?;
    if let Some(odd) = given.keys().find(|k| !names.contains(&k.as_str())) {
        return Err(bad(format!("unknown platform {odd:?}; known are {}", names.join(", "))));
    }
    for name in names {
        let part = given.get(name).cloned();
        if let (Some(part), Some((platform, core))) = (part, state.platform(name)) {
            platform.set_world(core, &part, replace).map_err(bad)?;
        }
    }
    Ok(world(state))
}

fn patch_cabinet(state: &mut State, id: &str, body: &Value) -> Answer {
    let cabinet = state.core.world.cabinet_mut(id).ok_or_else(|| no_such(format!("cabinet {id}")))?;
    let mut next: Cabinet = cabinet.clone();
    patch_settings(&mut next, body).map_err(bad)?;
    let online = next.online;
    next.online = cabinet.online;
    *cabinet = next;
    state.set_online(id, online);
    Ok(json!(state.core.world.cabinet(id)))
}

fn patch_stock(state: &mut State, id: &str, barcode: &str, body: &Value) -> Answer {
    let goods = state.core.world.good(barcode);
    let cabinet = state.core.world.cabinet_mut(id).ok_or_else(|| no_such(format!("cabinet {id}")))?;
    match cabinet.stock.iter_mut().find(|line| line.barcode == barcode) {
        Some(line) => patch_settings(line, body).map_err(bad)?,
        None => {
            let lanes = cabinet.stock.len() as i64;
            let Good { barcode, price, .. } = goods;
            let mut line = StockLine {
                barcode,
                row: 1,
                col: lanes + 1,
                door: 1,
                stock: 0,
                capacity: 12,
                price,
                sales: 0,
            };
            patch_settings(&mut line, body).map_err(bad)?;
            cabinet.stock.push(line);
        }
    }
    Ok(json!(cabinet.stock))
}

/// The clock of the platforms.
pub fn clock(state: &State) -> Value {
    let clock = &state.core.clock;
    json!({
        "now_ms": clock.now_ms(), "date": http_date(clock.now_ms()), "offset_ms": clock.offset_ms(),
        "frozen": clock.is_frozen(), "timers": state.core.timers_pending(),
    })
}

fn set_clock(state: &mut State, body: &Value) -> Answer {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        now_ms: Option<i64>,
        now_s: Option<i64>,
        offset_ms: Option<i64>,
        freeze: Option<bool>,
    }
    let body: Body = parse(body)?;
    if let Some(freeze) = body.freeze {
        state.core.clock.freeze(freeze);
    }
    let target = match (body.now_ms, body.now_s, body.offset_ms) {
        (Some(ms), ..) => Some(ms),
        (_, Some(s), _) => Some(s.saturating_mul(1000)),
        (.., Some(offset)) => Some(crate::clock::system_ms().saturating_add(offset)),
        _ => None,
    };
    if let Some(ms) = target {
        state.set_clock(ms);
    }
    Ok(clock(state))
}

fn advance(state: &mut State, body: &Value) -> Answer {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        ms: i64,
    }
    let Body { ms } = parse(body)?;
    if ms < 0 {
        return Err(bad("time does not go backwards; to correct the clock use POST /_sim/clock"));
    }
    state.advance(ms);
    Ok(clock(state))
}

fn door(state: &mut State, body: &Value) -> Answer {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        cabinet: String,
        #[serde(default = "first")]
        door: u32,
        action: String,
    }
    fn first() -> u32 {
        1
    }
    let Body { cabinet, door, action } = parse(body)?;
    let known = state.core.world.cabinet(&cabinet).ok_or_else(|| no_such(format!("cabinet {cabinet}")))?;
    if (door as usize).checked_sub(1).is_none_or(|i| i >= known.doors.len()) {
        return Err(no_such(format!("door {door} at cabinet {cabinet}")));
    }
    match action.as_str() {
        "open" => {
            let cause = Cause { by: "control".into(), ..Cause::default() };
            state.core.open_door(&cabinet, door, None, cause).map_err(|why| match why {
                NotOpened::Jammed => (409, "the door is jammed".to_owned()),
                NotOpened::AlreadyOpen => (409, "the door is open already".to_owned()),
                NotOpened::NoSuchDoor => no_such(format!("door {door}")),
            })?;
        }
        "shut" => {
            if !state.shut_door(&cabinet, door) {
                return Err((409, "the door is shut already".into()));
            }
        }
        "jam" | "unjam" => {
            let lock =
                state.core.world.cabinet_mut(&cabinet).and_then(|c| c.doors.get_mut(door as usize - 1));
            lock.into_iter().for_each(|lock| lock.jammed = action == "jam");
        }
        "offline" | "online" => {
            state.set_online(&cabinet, action == "online");
        }
        "empty" | "fill" => {
            let stock = state.core.world.cabinet_mut(&cabinet).map(|c| &mut c.stock);
            let lanes = stock.into_iter().flatten().filter(|line| line.door == door);
            lanes.for_each(|line| line.stock = if action == "fill" { line.capacity } else { 0 });
        }
        other => {
            let known = "open, shut, jam, unjam, offline, online, empty, fill";
            return Err(bad(format!("unknown action {other:?}; known are {known}")));
        }
    }
    Ok(json!(state.core.world.cabinet(&cabinet)))
}

/// What happened, whatever was said of it. Looked through before it is written out: after a long run there is much.
fn acts(state: &State, query: &Query) -> Value {
    let is =
        |name: &str, value: Option<&str>| query.get(name).is_none_or(|want| value.is_some_and(|v| v == want));
    let since: u64 = query.get("since").and_then(|n| n.parse().ok()).unwrap_or(0);
    let fits = |a: &&Act| {
        a.number > since
            && is("platform", Some(&a.platform))
            && is("kind", Some(&a.kind))
            && is("by", Some(&a.by))
            && is("cabinet", a.cabinet.as_deref())
            && is("door", a.door.map(|d| d.to_string()).as_deref())
            && is("lane", a.lane.as_deref())
            && is("code", a.code.as_deref())
            && is("order", a.order.as_deref())
            && is("mark", a.mark.as_deref())
            && is("notify_url", a.notify_url.as_deref())
    };
    json!(state.core.acts().iter().filter(fits).collect::<Vec<_>>())
}

/// Somebody else does something, at once or in a while.
fn others(state: &mut State, body: &Value) -> Answer {
    let mut what = body.as_object().cloned().ok_or(bad("the body must be a JSON object"))?;
    let platform = what.shift_remove("platform");
    let platform = platform.as_ref().and_then(Value::as_str).ok_or(bad("say which \"platform\""))?;
    let after_ms = match what.shift_remove("after_ms") {
        None => 0,
        Some(ms) => {
            ms.as_i64().filter(|ms| *ms >= 0).ok_or(bad("\"after_ms\" is a number of milliseconds"))?
        }
    };
    state.others(platform, &Value::Object(what), after_ms)
}

fn requests(state: &State, query: &Query) -> Value {
    let since: u64 = query.get("since").and_then(|n| n.parse().ok()).unwrap_or(0);
    let fits = |e: &&Value| {
        e["number"].as_u64() > Some(since)
            && query.keep(e, &["platform", "method", "number", "acted", "connection"])
    };
    state.core.log().filter(fits).cloned().collect()
}

/// The callbacks that can be sent by name.
fn triggers(state: &State) -> Value {
    let of = |p: &dyn Platform| {
        let platform = p.name();
        p.triggers()
            .iter()
            .map(move |(name, method)| json!({"platform": platform, "name": name, "method": method}))
            .collect::<Vec<_>>()
    };
    state.platforms().flat_map(of).collect()
}

/// Sends a callback by its name.
fn trigger(state: &mut State, body: &Value) -> Answer {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        name: String,
        platform: Option<String>,
        order: Option<String>,
        cabinet: Option<String>,
        #[serde(default)]
        failed: bool,
    }
    let Body { name, platform, order, cabinet, failed } = parse(body)?;
    let knows = |p: &&dyn Platform| {
        p.triggers().iter().any(|(known, _)| *known == name)
            && platform.as_deref().is_none_or(|wanted| wanted == p.name())
    };
    let known: Vec<&'static str> = state.platforms().filter(knows).map(|p| p.name()).collect();
    let platform = match known[..] {
        [one] => one,
        [] => return Err(no_such(format!("callback {name:?}; GET /_sim/triggers lists them"))),
        _ => return Err(bad(format!("say which \"platform\": {}", known.join(", ")))),
    };
    let before = state.core.callbacks.deliveries().len() as u64;
    let what = json!({"order": order, "cabinet": cabinet, "failed": failed});
    if let Some((platform, core)) = state.platform(platform) {
        platform.trigger(core, &name, &what)?;
    }
    let after = state.core.callbacks.deliveries().len() as u64;
    Ok(json!({"platform": platform, "callbacks": (before + 1..=after).collect::<Vec<_>>()}))
}

/// What is known of one command.
fn story(state: &State, query: &Query) -> Answer {
    let text = |name: &str| query.get(name).unwrap_or_default().to_owned();
    let request = match query.get("request") {
        None => None,
        Some(number) => Some(number.parse().map_err(|_| bad("a request's number is a number"))?),
    };
    let of = Of { request, mark: text("mark"), order: text("order"), code: text("code") };
    if of.is_nothing() {
        return Err(bad("say of what: request, mark, order or code"));
    }
    Ok(story::of(state, &of))
}

fn callbacks(shared: &Shared, method: &str, parts: &[&str], query: &Query, body: &Value) -> Answer {
    match (method, parts) {
        ("GET", []) => {
            let state = shared.state();
            let book = &state.core.callbacks;
            let shown = book.deliveries().iter().map(|d| d.show()).collect();
            let names = ["id", "platform", "method", "receipt", "progress", "channel", "account"];
            Ok(json!({
                "settings": book.settings, "targets": book.targets(), "rules": book.rules,
                "idle": book.is_idle(state.core.clock.now_ms()),
                "deliveries": only(shown, |d| query.keep(d, &names)),
            }))
        }
        ("POST", []) => shared.change(|state| set_callbacks(state, body)),
        ("POST", ["rules"]) => {
            let rule: CallbackRule = parse(body)?;
            shared.change(|state| state.core.callbacks.rules.push(rule));
            Ok(json!({"rules": shared.state().core.callbacks.rules}))
        }
        ("DELETE", ["rules"]) => {
            shared.change(|state| state.core.callbacks.rules.clear());
            Ok(json!({"rules": []}))
        }
        ("POST", ["reorder"]) => {
            let ids =
                body["ids"].as_array().ok_or(bad("give \"ids\": [ the numbers in the order wanted ]"))?;
            let ids: Vec<u64> = ids.iter().filter_map(Value::as_u64).collect();
            shared.change(|state| state.core.callbacks.reorder(&ids));
            Ok(json!({"reordered": ids}))
        }
        ("POST", [id, "resend"]) => {
            #[derive(Deserialize)]
            #[serde(deny_unknown_fields)]
            struct Body {
                #[serde(default)]
                forge: bool,
                #[serde(default)]
                ms_timestamp: bool,
                #[serde(default)]
                delay_ms: i64,
                #[serde(default = "once")]
                copies: u64,
            }
            fn once() -> u64 {
                1
            }
            let number: u64 = id.parse().map_err(|_| bad("a delivery's id is a number"))?;
            let Body { forge, ms_timestamp, delay_ms, copies } = parse(body)?;
            let style = Style { forge, ms_timestamp };
            let first = shared.change(|state| state.resend(number, style, delay_ms, copies));
            first.map(|id| json!({"id": id})).ok_or_else(|| no_such(format!("delivery {id}")))
        }
        _ => Err(no_such(format!("control path {method} /_sim/callbacks/{}", parts.join("/")))),
    }
}

/// Addresses (`platform`, perhaps `account`, and `url` or one for each channel) and settings.
fn set_callbacks(state: &mut State, body: &Value) -> Answer {
    let mut rest = body.as_object().ok_or(bad("the body must be a JSON object"))?.clone();
    let mut take = |name: &str| match rest.shift_remove(name) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(String::new())),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(bad(format!("{name:?} must be a text, or null to remove it"))),
    };
    let (platform, account) = (take("platform")?, take("account")?.unwrap_or_default());
    let url = take("url")?;
    let channels = [("business", take("business")?), ("payment", take("payment")?)];
    let named: Vec<_> =
        channels.into_iter().filter_map(|(c, own)| own.or_else(|| url.clone()).map(|u| (c, u))).collect();
    if !named.is_empty() {
        let platform = platform.ok_or(bad("say which \"platform\" the address is for"))?;
        if state.platform(&platform).is_none() {
            return Err(bad(format!("unknown platform {platform:?}")));
        }
        for (channel, url) in named {
            let (platform, account) = (platform.clone(), account.clone());
            let target = Target { platform, account, channel: channel.into(), url };
            state.core.callbacks.set_target(target).map_err(bad)?;
        }
    }
    let book = &mut state.core.callbacks;
    patch_settings(&mut book.settings, &Value::Object(rest)).map_err(bad)?;
    Ok(json!({"settings": book.settings, "targets": book.targets()}))
}

fn platform(shared: &Shared, method: &str, name: &str, parts: &[&str], body: &Value) -> Answer {
    shared.change(|state| {
        let Some((platform, core)) = state.platform(name) else {
            return Err(no_such(format!("control path {method} /_sim/{name}")));
        };
        match (method, parts) {
            ("GET", ["settings"]) => Ok(platform.settings()),
            ("POST" | "PATCH", ["settings"]) => {
                platform.patch_settings(body).map_err(bad)?;
                Ok(platform.settings())
            }
            _ => platform.control(core, method, parts, body).unwrap_or_else(|| {
                Err(no_such(format!("control path {method} /_sim/{name}/{}", parts.join("/"))))
            }),
        }
    })
}

/// Blocks until something has come about.
fn wait(shared: &Shared, body: &Value) -> Answer {
    let word = body["for"].as_str().ok_or(bad("say what to wait \"for\""))?.to_owned();
    let limit = Duration::from_millis(body["timeout_ms"].as_u64().unwrap_or(5_000));
    let few = body["count"].as_u64().unwrap_or(0);
    let met = shared.wait(limit, |state| match condition(state, &word, body) {
        _ if word == "connections" => (shared.open_connections() as u64 <= few).then_some(Ok(())),
        Ok(true) => Some(Ok(())),
        Ok(false) => None,
        Err(why) => Some(Err(why)),
    });
    match met {
        Some(Ok(())) => Ok(json!({"met": true})),
        Some(Err(why)) => Err(bad(why)),
        None => Err((408, format!("{word:?} did not come about in time"))),
    }
}

fn condition(state: &State, word: &str, body: &Value) -> Result<bool, String> {
    let core = &state.core;
    let now = core.clock.now_ms();
    let count = body["count"].as_u64().unwrap_or(1);
    match word {
        "callbacks_idle" => Ok(core.callbacks.is_idle(now)),
        "quiet" => Ok(core.callbacks.is_idle(now) && core.timers_pending() == 0),
        "door_open" | "door_shut" => {
            let id = body["cabinet"].as_str().ok_or("say which \"cabinet\"")?;
            let door = body["door"].as_u64().unwrap_or(1) as usize;
            let cabinet = core.world.cabinet(id).ok_or(format!("there is no cabinet {id}"))?;
            let lock = door.checked_sub(1).and_then(|i| cabinet.doors.get(i));
            Ok(lock.ok_or(format!("there is no door {door}"))?.open == (word == "door_open"))
        }
        "openings" => Ok(core.world.openings.len() as u64 >= count),
        "acts" => {
            let fits = |name: &str, is: Option<&str>| body.get(name).is_none_or(|want| want.as_str() == is);
            let found = core.acts().iter().filter(|a| {
                fits("platform", Some(&a.platform))
                    && fits("kind", Some(&a.kind))
                    && fits("by", Some(&a.by))
                    && fits("code", a.code.as_deref())
                    && fits("order", a.order.as_deref())
                    && fits("mark", a.mark.as_deref())
            });
            Ok(found.count() as u64 >= count)
        }
        "requests" => Ok(core.request_count(body["operation"].as_str()) >= count),
        "callback" => {
            let fits = |name: &str, shown: &Value| body.get(name).is_none_or(|want| shown[name] == *want);
            let names = ["platform", "method", "receipt", "progress", "channel", "account", "id"];
            let progress = body.get("progress").is_some();
            let found = core.callbacks.deliveries().iter().map(|d| d.show()).filter(|d| {
                names.iter().all(|n| fits(n, d)) && (progress || d["progress"] == json!("delivered"))
            });
            Ok(found.count() as u64 >= count)
        }
        _ => state.platforms().find_map(|p| p.condition(core, body)).unwrap_or_else(|| {
            let known = "callbacks_idle, quiet, door_open, door_shut, openings, acts, requests, connections, callback, order, record";
            Err(format!("cannot wait for {word:?}; known are {known}"))
        }),
    }
}
