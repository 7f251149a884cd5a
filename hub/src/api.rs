//! What kiosks ask: `POST /v1/VERB`, JSON in and out. `docs/hub-api.md` describes it.
//!
//! A command is a call that was handed to a thread: it goes on when the kiosk's connection is lost, and the kiosk asks again under
//! the same `request_id`.

use crate::auth::{self, Refused, Signed};
use crate::hub::{Hub, now_s};
use crate::pool::NotBegun;
use crate::server::Peer;
use crate::store::{self, Device, Key, Trouble};
use crate::{enrol, json as show};
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use kiosklink::client::Client;
use kiosklink::command::ledger::Ledger;
use kiosklink::command::{Command, CommandFilter, SettledBy};
use kiosklink::error::{Error, Outcome};
use kiosklink::model::*;
use kiosklink::status::{KL_E_ARGUMENT, KL_E_NOT_FOUND, KL_E_PERMISSION, KL_E_STALE};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The largest body of a kiosk's request.
const BODY_MAX: usize = 16 * 1024;
/// By when a body must be whole.
const BODY_TIME: Duration = Duration::from_secs(10);
/// The longest that a poll waits.
const WAIT_MAX_S: u64 = 300;
/// Events in one answer.
const EVENTS_MAX: u32 = 100;
/// The longest `request_id` of a kiosk: the hub puts the device before it.
const REQUEST_ID_MAX: usize = 100;
/// A command that waited for a thread this long is not sent any more, if the kiosk did not say.
const TTL_MS: u32 = 15_000;

/// An answer to a kiosk.
struct Reply {
    status: StatusCode,
    body: Value,
    /// Of a refusal: why, in a word.
    reason: Option<&'static str>,
}

impl Reply {
    fn ok(body: Value) -> Reply {
        Reply { status: StatusCode::OK, body, reason: None }
    }

    /// Nothing was done by this request. `reason` is a word for programs.
    fn refused(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Reply {
        let body = json!({"error": reason, "message": message.into(), "sent": false});
        Reply { status, body, reason: Some(reason) }
    }
}

impl From<Trouble> for Reply {
    fn from(trouble: Trouble) -> Reply {
        match trouble {
            // What is wrong with the database is for the operator.
            Trouble::Away(_) => Reply::refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "database",
                "the hub's database is away; nothing was sent",
            ),
            Trouble::Refused(store::Refused::Code) => {
                Reply::refused(StatusCode::FORBIDDEN, "code", trouble.to_string())
            }
            Trouble::Refused(store::Refused::Cursor) => {
                Reply::refused(StatusCode::CONFLICT, "cursor", trouble.to_string())
            }
            Trouble::Refused(_) => Reply::refused(StatusCode::CONFLICT, "refused", trouble.to_string()),
        }
    }
}

impl From<Refused> for Reply {
    fn from(refused: Refused) -> Reply {
        let (status, message) = match refused {
            Refused::Form => (StatusCode::UNAUTHORIZED, "the request is not signed as docs/hub-api.md says"),
            Refused::Challenge => {
                (StatusCode::UNAUTHORIZED, "sign again with the challenge of this answer; nothing was done")
            }
            Refused::Replay => (StatusCode::CONFLICT, "this nonce was used before; nothing was done"),
            Refused::Often => (StatusCode::TOO_MANY_REQUESTS, "too many requests; nothing was done"),
            Refused::Unknown => {
                (StatusCode::UNAUTHORIZED, "no such device, no such key, or the signature is wrong")
            }
            Refused::Revoked => (StatusCode::FORBIDDEN, "this device was revoked"),
            Refused::Expired => {
                (StatusCode::FORBIDDEN, "this device's time is up; it may only change its key")
            }
            Refused::Away => {
                (StatusCode::SERVICE_UNAVAILABLE, "the hub's database is away; nothing was done")
            }
        };
        Reply::refused(status, refused.word(), message)
    }
}

type Answered = Result<Reply, Reply>;

/// Who asks, what for.
struct Asked {
    hub: Arc<Hub>,
    device: Device,
    key: Key,
    body: Value,
    verb: &'static str,
}

/// All that a kiosk may send. What no verb names is not passed over: a misspelt field would change what is done.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    request_id: String,
    cabinet_id: String,
    door: String,
    order_no: String,
    item_no: String,
    trade_no: String,
    code: String,
    kind: String,
    product_id: String,
    id: String,
    user_id: String,
    redeemer: String,
    visit_id: String,
    context: String,
    lines: Vec<Line>,
    paid: bool,
    amount: Option<i64>,
    channel: Option<Value>,
    reason: String,
    remarks: String,
    phone: String,
    page: u32,
    page_size: u32,
    count: u32,
    length: u32,
    expires_at: i64,
    ttl_ms: u32,
    timeout_ms: u32,
    outcome: String,
    by: String,
    note: String,
    cursor: i64,
    wait_s: u64,
    most: u32,
    public_key: String,
    proof: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    product_id: String,
    count: u32,
}

/// The verbs that are commands: they have a `request_id` and an outcome.
const COMMANDS: &[&str] =
    &["door_open", "code_redeem", "order_create", "payment_report", "refund_apply", "appeal_file"];
/// What every device may ask, about itself and its own commands.
const OWN: &[&str] = &[
    "device_get",
    "key_rotate",
    "inbox",
    "command_get",
    "command_resolve",
    "command_wait",
    "command_settle",
    "commands_pending",
];

fn verb_named(name: &str) -> Option<&'static str> {
    crate::policy::VERBS.iter().chain(OWN).copied().find(|verb| *verb == name)
}

/// One request of a kiosk.
pub async fn verb(State(hub): State<Arc<Hub>>, Path(name): Path<String>, request: Request) -> Response {
    let challenge_ms = hub.now_ms();
    let reply = match asked(&hub, &name, request).await {
        Ok(asked) => answer(asked).await,
        Err(reply) => Err(reply),
    };
    finish(&hub, reply.unwrap_or_else(|refused| refused), challenge_ms)
}

/// The bytes of an answer: with a challenge to sign the next request with, and without any registered secret.
fn finish(hub: &Hub, reply: Reply, now_ms: u64) -> Response {
    if let Some(reason) = reply.reason {
        hub.metrics.refuse(reason);
    }
    let text = if reply.status == StatusCode::NO_CONTENT { String::new() } else { reply.body.to_string() };
    let text = kiosklink::log::mask(&text).into_owned();
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    let now_ms = now_ms.max(hub.now_ms());
    if let Ok(challenge) = HeaderValue::from_str(&hub.gate.challenge(now_ms)) {
        headers.insert("hub-challenge", challenge);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn whole(body: Body) -> Result<Vec<u8>, Reply> {
    match tokio::time::timeout(BODY_TIME, to_bytes(body, BODY_MAX)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(_)) => {
            Err(Reply::refused(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "a request has at most 16 KiB"))
        }
        Err(_) => {
            Err(Reply::refused(StatusCode::REQUEST_TIMEOUT, "slow", "the request did not come whole in time"))
        }
    }
}

fn text_of<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// Who asks and what; the request itself is gone when this returns.
async fn asked(hub: &Arc<Hub>, name: &str, request: Request) -> Result<Asked, Reply> {
    let Some(verb) = verb_named(name) else {
        return Err(Reply::refused(StatusCode::NOT_FOUND, "verb", format!("there is no verb {name:.40}")));
    };
    hub.metrics.request(verb);
    let (head, body) = request.into_parts();
    let body = whole(body).await?;
    let target = head.uri.path_and_query().map_or(String::new(), |t| t.as_str().to_owned());
    let authorization = text_of(&head.headers, "authorization").to_owned();
    let (own, now_ms, at) = (hub.clone(), hub.now_ms(), now_s());
    let admitted = tokio::task::spawn_blocking(move || {
        let signed = Signed {
            method: head.method.as_str(),
            target: &target,
            authorization: &authorization,
            body: &body,
        };
        own.gate.admit(&signed, now_ms, at, verb == "key_rotate").map(|who| (who, body))
    });
    let ((device, key), body) = admitted.await.map_err(|_| Refused::Away)??;
    if !key.used {
        // Those before it end with its first use.
        hub.store.key_used(&device.id, key.number).done().await?;
    }
    hub.heard(&device.id);
    let body = if body.is_empty() { json!({}) } else { parse(&body)? };
    Ok(Asked { hub: hub.clone(), device, key, body, verb })
}

fn parse<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, Reply> {
    serde_json::from_slice(body).map_err(|e| Reply::refused(StatusCode::BAD_REQUEST, "json", e.to_string()))
}

fn fields(body: Value) -> Result<Fields, Reply> {
    serde_json::from_value(body).map_err(|e| Reply::refused(StatusCode::BAD_REQUEST, "json", e.to_string()))
}

async fn answer(asked: Asked) -> Answered {
    let f = fields(asked.body.clone())?;
    match asked.verb {
        "inbox" => inbox(&asked.hub, &asked.device, &f).await,
        "device_get" => Ok(Reply::ok(about(&asked.hub, &asked.device, asked.key.number))),
        "key_rotate" => rotate(&asked, &f).await,
        verb if OWN.contains(&verb) => commands(asked, f).await,
        verb if COMMANDS.contains(&verb) => command(asked, f).await,
        _ => read(asked, f).await,
    }
}

/// What a device is told of itself.
fn about(hub: &Hub, device: &Device, key: u32) -> Value {
    let platform = hub.accounts.get(&device.account).map_or("", |a| a.client.platform());
    json!({
        "device": device.id, "key": key, "account": device.account, "platform": platform,
        "cabinets": device.policy.cabinets, "verbs": device.policy.verbs, "code_tries": device.policy.code_tries,
        "expires_at": device.expires_at, "hub_pin": hub.pin, "time": now_s(),
    })
}

// --- enrolment ---------------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Enrol {
    code: String,
    public_key: String,
    proof: String,
}

/// A device shows its code and its key, and proves that it has the key.
pub async fn enrol(State(hub): State<Arc<Hub>>, request: Request) -> Response {
    let reply = enrolled(&hub, request).await;
    finish(&hub, reply.unwrap_or_else(|refused| refused), 0)
}

async fn enrolled(hub: &Arc<Hub>, request: Request) -> Answered {
    hub.metrics.request("enrol");
    let peer = request.extensions().get::<Peer>().map(|p| p.0.ip());
    let e: Enrol = parse(&whole(request.into_body()).await?)?;
    let minute = hub.now_ms() / 60_000;
    if peer.is_some_and(|ip| !hub.guesses.may(ip, minute)) {
        return Err(Reply::refused(
            StatusCode::TOO_MANY_REQUESTS,
            "too_often",
            "too many wrong codes; try in a minute",
        ));
    }
    let key = || {
        Reply::refused(
            StatusCode::BAD_REQUEST,
            "key",
            "public_key is no P-256 key, or the proof is not by it",
        )
    };
    let point = auth::point_of(&e.public_key).ok_or_else(key)?;
    let proof = crate::unb64(&e.proof).ok_or_else(key)?;
    if !auth::verify(&point, &enrol::proof_text(&e.code, &e.public_key), &proof) {
        return Err(key());
    }
    let done = hub.store.enrol(enrol::hash(&e.code), point, enrol::device_id(), now_s()).done().await;
    match done {
        Ok((device, number)) => {
            tracing::info!(device = device.id, account = device.account, key = number, "enrolled");
            learn_names(hub, &device);
            Ok(Reply::ok(about(hub, &device, number)))
        }
        Err(trouble) => {
            if let (Some(ip), Trouble::Refused(_)) = (peer, &trouble) {
                hub.guesses.wrong(ip, minute);
            }
            tracing::warn!(reason = %trouble, "an enrolment was refused");
            Err(trouble.into())
        }
    }
}

/// Callbacks may name a cabinet otherwise than calls do: the platform is asked for its other names.
fn learn_names(hub: &Arc<Hub>, device: &Device) {
    /// Cabinets of an account that are looked through.
    const MOST: usize = 20_000;
    let (own, device) = (hub.clone(), device.clone());
    let Some(account) = hub.accounts.get(&device.account).filter(|a| a.client.can(Verb::CabinetList)) else {
        return;
    };
    let client = account.client.clone();
    let learn = move || {
        let mut left = device.policy.cabinets.len();
        let mut all = client.cabinets(0);
        for _ in 0..MOST {
            let cabinet = match all.next_item() {
                Ok(Some(cabinet)) => cabinet,
                Ok(None) => break,
                Err(e) => {
                    tracing::warn!(
                        device = device.id,
                        reason = e.message(),
                        "its cabinets' other names are not known"
                    );
                    break;
                }
            };
            if !device.policy.sees(&cabinet.id) {
                continue;
            }
            let names = [cabinet.device_code, cabinet.code].into_iter().filter(|n| !n.is_empty()).collect();
            if own.store.also_called(&device.account, &device.id, names).wait() == Ok(true) {
                own.wake(&device.id);
            }
            left -= 1;
            if left == 0 {
                break;
            }
        }
    };
    // A pool that is full is busy with customers: what is not routed then is listed.
    if hub.pool.run(&account.name, learn).is_err() {
        tracing::warn!("the hub is busy: the other names of a kiosk's cabinets are not known");
    }
}

async fn rotate(asked: &Asked, f: &Fields) -> Answered {
    let key = || {
        Reply::refused(
            StatusCode::BAD_REQUEST,
            "key",
            "public_key is no P-256 key, or the proof is not by it",
        )
    };
    let point = auth::point_of(&f.public_key).ok_or_else(key)?;
    let proof = crate::unb64(&f.proof).ok_or_else(key)?;
    // The new key signs that it is of this device; the old one has signed the request.
    if !auth::verify(&point, &enrol::proof_text(&asked.device.id, &f.public_key), &proof) {
        return Err(key());
    }
    let number = asked.hub.store.key_add(&asked.device.id, point, now_s()).done().await?;
    tracing::info!(device = asked.device.id, key = number, "a new key");
    Ok(Reply::ok(about(&asked.hub, &asked.device, number)))
}

// --- the inbox ---------------------------------------------------------------------------------------------------------

async fn inbox(hub: &Arc<Hub>, device: &Device, f: &Fields) -> Answered {
    let id = device.id.clone();
    if f.cursor < 0 {
        return Err(Reply::refused(StatusCode::BAD_REQUEST, "cursor", "cursor is negative"));
    }
    if f.cursor > 0 {
        // What the kiosk says it has is taken out only now.
        hub.store.acknowledge(&id, f.cursor).done().await?;
    }
    let most = if f.most == 0 { EVENTS_MAX } else { f.most.min(EVENTS_MAX) };
    let until = Instant::now() + Duration::from_secs(f.wait_s.min(WAIT_MAX_S));
    let cursor = f.cursor;
    let parked = hub.park(&id);
    loop {
        let news = parked.news.clone();
        let mut told = std::pin::pin!(news.notified());
        // Before the look, so that what comes after the look is heard.
        told.as_mut().enable();
        let (own, device) = (hub.clone(), id.clone());
        let look = tokio::task::spawn_blocking(move || {
            let still = own.store.device(&device)?.is_some_and(|(d, _)| d.revoked_at == 0);
            Ok::<_, Trouble>((still, own.store.inbox(&device, cursor, most)?))
        });
        let (still, events) = look.await.map_err(|_| Refused::Away)??;
        if !still {
            return Err(Refused::Revoked.into());
        }
        if !events.is_empty() {
            hub.metrics.delivered.inc_by(events.len() as u64);
            let cursor = events.last().map_or(cursor, |e| e.seq);
            let events: Vec<Value> = events
                .iter()
                .map(|e| json!({"seq": e.seq, "at": e.at, "event": serde_json::from_str::<Value>(&e.body).unwrap_or_default()}))
                .collect();
            return Ok(Reply::ok(json!({"events": events, "cursor": cursor})));
        }
        if parked.is_old() || *hub.stopping.borrow() || Instant::now() >= until {
            return Ok(Reply { status: StatusCode::NO_CONTENT, body: Value::Null, reason: None });
        }
        tokio::select! {
            () = &mut told => {}
            () = hub.stopped() => {}
            () = tokio::time::sleep_until(until.into()) => {}
        }
    }
}

// --- calls of the library ----------------------------------------------------------------------------------------------

impl Asked {
    /// The name of a command at the hub: two devices may use the same `request_id`.
    fn name(&self, request_id: &str) -> Result<String, Reply> {
        if request_id.is_empty() || request_id.len() > REQUEST_ID_MAX || request_id.contains(char::is_control)
        {
            return Err(Reply::refused(
                StatusCode::BAD_REQUEST,
                "request_id",
                "request_id must be 1 to 100 bytes of text",
            ));
        }
        Ok([&self.device.id, "/", request_id].concat())
    }

    fn own_name<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(self.device.id.as_str())?.strip_prefix('/')
    }

    fn cabinet(&self, named: &str) -> Result<String, Reply> {
        self.device.policy.cabinet(named).map_err(outside)
    }

    /// Has a thread make a call with the account's client.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Client, Duration) -> T + Send + 'static,
    ) -> Result<T, Reply> {
        let Some(account) = self.hub.accounts.get(&self.device.account) else {
            return Err(Reply::refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "account",
                "the hub has no such account any more",
            ));
        };
        let (client, asked) = (account.client.clone(), Instant::now());
        let run = self.hub.pool.run(&account.name, move || work(&client, asked.elapsed()));
        let coming = run.map_err(|why| match why {
            NotBegun::Full => {
                Reply::refused(StatusCode::SERVICE_UNAVAILABLE, "busy", "the hub is busy; nothing was sent")
            }
            NotBegun::Stopping => Reply::refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "stopping",
                "the hub is being stopped; nothing was sent",
            ),
        })?;
        coming.await.map_err(|_| {
            let body = json!({"error": "internal", "message": "the call ended in an internal error", "outcome": "unknown"});
            Reply { status: StatusCode::INTERNAL_SERVER_ERROR, body, reason: Some("internal") }
        })
    }
}

fn outside(why: crate::policy::Outside) -> Reply {
    Reply::refused(StatusCode::FORBIDDEN, "policy", why.0)
}

fn code_kind(word: &str) -> Result<CodeKind, Reply> {
    match word {
        "" | "pickup" => Ok(CodeKind::Pickup),
        "virtual" => Ok(CodeKind::Virtual),
        "voucher" => Ok(CodeKind::Voucher),
        other => Err(Reply::refused(
            StatusCode::BAD_REQUEST,
            "kind",
            format!("there is no kind of code {other:.20}"),
        )),
    }
}

/// What a read or a failed call comes to: the hub did its part, whatever the platform said.
fn told(result: Result<Value, Error>) -> Answered {
    Ok(Reply::ok(match result {
        Ok(value) => value,
        Err(e) => json!({"error": show::error(&e)}),
    }))
}

async fn read(asked: Asked, f: Fields) -> Answered {
    let policy = asked.device.policy.clone();
    policy.verb(asked.verb).map_err(outside)?;
    let page = PageRequest { number: f.page.max(1), size: f.page_size };
    let list = |items: Vec<Value>, more: Option<bool>| json!({"items": items, "more": more});
    match asked.verb {
        "ping" => told(asked.call(|c, _| c.ping()).await?.map(|()| json!({"ok": true}))),
        "cabinet_list" => {
            let all = asked.call(move |c, _| c.cabinet_list(page)).await?;
            told(all.map(|all| {
                let own = all.items.iter().filter(|c| policy.sees(&c.id));
                list(own.map(show::cabinet).collect(), all.more)
            }))
        }
        "stock_fetch" => {
            let cabinet = asked.cabinet(&f.cabinet_id)?;
            let page = asked.call(move |c, _| c.stock_page(&cabinet, page, None)).await?;
            told(page.map(|p| list(p.items.iter().map(show::stock).collect(), p.more)))
        }
        "order_get" => order_get(asked, f).await,
        "code_lookup" => {
            let query = CodeQuery {
                kind: code_kind(&f.kind)?,
                code: f.code,
                cabinet_id: asked.cabinet(&f.cabinet_id)?,
                product_id: f.product_id,
                extra_json: None,
            };
            try_code(&asked)?;
            let found = asked.call(move |c, _| c.code_lookup(&query)).await?;
            if found.is_ok() {
                asked.hub.tries.give_back(&asked.device);
            }
            told(found.map(|code| show::code(&code)))
        }
        "code_list" => {
            let query = CodeQuery {
                kind: code_kind(&f.kind)?,
                cabinet_id: asked.cabinet(&f.cabinet_id)?,
                product_id: f.product_id,
                ..CodeQuery::default()
            };
            let page = asked.call(move |c, _| c.code_list(&query)).await?;
            told(page.map(|p| list(p.items.iter().map(show::code).collect(), p.more)))
        }
        "code_create" => {
            let request = CodeCreate {
                cabinet_id: asked.cabinet(&f.cabinet_id)?,
                product_id: f.product_id,
                count: f.count.max(1),
                length: f.length,
                expires_at: f.expires_at,
                extra_json: None,
            };
            let made = asked.call(move |c, _| c.code_create(&request)).await?;
            told(made.map(|codes| list(codes.iter().map(show::code).collect(), Some(false))))
        }
        "code_cancel" => {
            // Without an id it would be all codes of the cabinet.
            if f.id.is_empty() {
                return Err(Reply::refused(StatusCode::BAD_REQUEST, "id", "id is missing"));
            }
            let request =
                CodeCancel { cabinet_id: asked.cabinet(&f.cabinet_id)?, id: f.id, extra_json: None };
            told(asked.call(move |c, _| c.code_cancel(&request)).await?.map(|_| json!({"ok": true})))
        }
        _ => Err(Reply::refused(StatusCode::NOT_FOUND, "verb", "there is no such verb")),
    }
}

fn try_code(asked: &Asked) -> Result<(), Reply> {
    asked.hub.tries.take(&asked.device, asked.hub.now_ms()).map_err(|wait_ms| {
        let mut reply = Reply::refused(
            StatusCode::TOO_MANY_REQUESTS,
            "code_tries",
            "too many wrong codes; nothing was sent",
        );
        reply.body["retry_after_ms"] = json!(wait_ms);
        reply
    })
}

async fn order_get(asked: Asked, f: Fields) -> Answered {
    let cabinet_id = if f.cabinet_id.is_empty() { String::new() } else { asked.cabinet(&f.cabinet_id)? };
    let order = OrderRef { order_no: f.order_no, trade_no: f.trade_no, cabinet_id, ..OrderRef::default() };
    let own = is_own(&asked, &order.order_no).await?;
    let policy = asked.device.policy.clone();
    let found = asked.call(move |c, _| c.order_get(&order)).await?;
    // Whether an order of somebody else is there is not told.
    told(found.and_then(|order| match own || policy.sees(&order.cabinet_id) {
        true => Ok(show::order(&order)),
        false => Err(Error::new(KL_E_NOT_FOUND, "no such order of this device")),
    }))
}

async fn is_own(asked: &Asked, order_no: &str) -> Result<bool, Reply> {
    let (hub, account, order) = (asked.hub.clone(), asked.device.account.clone(), order_no.to_owned());
    let owner = tokio::task::spawn_blocking(move || hub.store.owner(&account, "order", &order));
    let owner = owner.await.map_err(|_| Refused::Away)??;
    Ok(owner.is_some_and(|owner| owner == asked.device.id))
}

/// A command as it is asked of the library.
enum Work {
    Door(DoorRequest),
    Redeem(RedeemRequest),
    Create(OrderCreate),
    Payment(PaymentReport),
    Refund(Complaint),
    Appeal(Complaint),
}

impl Work {
    fn carry_out(&self, client: &Client, id: &str, waited: Duration) -> Result<Command, Error> {
        let ttl = |given: u32| {
            let given = if given == 0 { TTL_MS } else { given };
            let left = u128::from(given).saturating_sub(waited.as_millis());
            u32::try_from(left).ok().filter(|left| *left > 0).ok_or_else(|| {
                // The name is asked for: it may have been done before.
                let stale = Error::new(
                    KL_E_STALE,
                    "the command's time to live passed while the hub was busy; nothing was sent",
                );
                stale.with(|d| d.outcome = known_outcome(client, id))
            })
        };
        // What the library gives of other commands than doors and codes is read back from its records.
        let before = || client.command_get(id).is_ok_and(|c| c.outcome == Outcome::Done);
        let read_back = |send: &dyn Fn() -> Result<(), Error>| {
            let recorded = before();
            send().and_then(|()| client.command_get(id)).map(|c| Command { recorded, ..c })
        };
        match self {
            Work::Door(r) => client.door_open(&DoorRequest { ttl_ms: ttl(r.ttl_ms)?, ..r.clone() }),
            Work::Redeem(r) => client.code_redeem(&RedeemRequest { ttl_ms: ttl(r.ttl_ms)?, ..r.clone() }),
            Work::Create(r) => read_back(&|| client.order_create(r).map(drop)),
            Work::Payment(r) => read_back(&|| client.payment_report(r).map(drop)),
            Work::Refund(r) => read_back(&|| client.refund_apply(r).map(drop)),
            Work::Appeal(r) => read_back(&|| client.appeal_file(r).map(drop)),
        }
    }
}

fn known_outcome(client: &Client, id: &str) -> Outcome {
    match client.command_get(id) {
        Ok(known) => known.outcome,
        Err(e) => {
            if e.details().outcome == Outcome::None {
                Outcome::Unknown
            } else {
                e.details().outcome
            }
        }
    }
}

async fn command(asked: Asked, f: Fields) -> Answered {
    asked.device.policy.verb(asked.verb).map_err(outside)?;
    let request_id = f.request_id.clone();
    let id = asked.name(&request_id)?;
    let work = Arc::new(work_of(&asked, f, &id).await?);
    if matches!(*work, Work::Redeem(_)) {
        try_code(&asked)?;
    }
    let (begun, name, own) = (Instant::now(), id.clone(), work.clone());
    let (hub, device) = (asked.hub.clone(), asked.device.clone());
    // What belongs to the kiosk is written in the same thread, also if the kiosk is gone.
    let result = asked.call(move |client, waited| {
        let result = own.carry_out(client, &name, waited);
        if result.as_ref().is_err_and(|e| e.details().outcome == Outcome::Unknown) {
            perhaps_belongs(client, &hub, &device, &name, &own)?;
        }
        // What is answered as done is durable first. Of others less may be known after a crash, and nothing else.
        if let Ok(command) = &result {
            belongs(&hub, &device, command)?;
            flush(&hub, &device)?;
        }
        Ok::<_, Trouble>(result)
    });
    let result = match result.await? {
        Ok(result) => result,
        Err(trouble) => {
            tracing::error!(%trouble, "the answer to a command is withheld");
            let body = json!({"request_id": request_id, "outcome": "unknown", "status": 0, "status_name": "",
                "message": "the hub could not write down how it ended; ask again under the same request_id",
                "advice": "ask_first"});
            asked.hub.metrics.command(asked.verb, "unknown");
            return Ok(Reply::ok(body));
        }
    };
    asked.hub.metrics.command_s.observe(begun.elapsed().as_secs_f64());
    let word = match &result {
        Ok(c) => show::outcome(c.outcome),
        Err(e) => show::outcome(e.details().outcome),
    };
    asked.hub.metrics.command(asked.verb, word);
    if matches!(*work, Work::Redeem(_)) && result.as_ref().is_ok_and(|c| c.outcome == Outcome::Done) {
        asked.hub.tries.give_back(&asked.device);
    }
    Ok(Reply::ok(as_command(result, &request_id, &asked.device.id)))
}

/// All that was recorded of the account's commands is durable.
fn flush(hub: &Hub, device: &Device) -> Result<(), Trouble> {
    let synced = hub.accounts.get(&device.account).map_or(Ok(()), |a| a.records.sync());
    synced.map_err(|e| Trouble::Away(e.message().to_owned()))
}

/// A command or an error under the kiosk's own name.
fn as_command(result: Result<Command, Error>, request_id: &str, device: &str) -> Value {
    match result {
        Ok(command) => show::command(&command, request_id),
        Err(e) => {
            let mut body = show::error(&e);
            let message = e.message().replace(&[device, "/"].concat(), "");
            body["message"] = json!(message);
            body["request_id"] = json!(request_id);
            body
        }
    }
}

/// Of a command that may have been done, the number that only we can have sent.
fn perhaps_belongs(
    client: &Client,
    hub: &Hub,
    device: &Device,
    id: &str,
    work: &Work,
) -> Result<(), Trouble> {
    let ours = match work {
        Work::Door(r) => r.order_no.is_empty(),
        Work::Redeem(r) => r.trade_no.is_empty(),
        Work::Create(r) => r.trade_no.is_empty(),
        _ => false,
    };
    let mark = client.command_get(id).map(|c| c.mark).unwrap_or_default();
    if ours
        && !mark.is_empty()
        && hub.store.own(&device.account, &device.id, vec![("trade", mark)], now_s()).wait()?
    {
        hub.wake(&device.id);
    }
    Ok(())
}

/// Callbacks about this belong to the device.
fn belongs(hub: &Hub, device: &Device, c: &Command) -> Result<(), Trouble> {
    if c.outcome != Outcome::Done {
        return Ok(());
    }
    let mut about: Vec<(&'static str, String)> = Vec::new();
    if !c.order_no().is_empty() {
        about.push(("order", c.order_no().to_owned()));
    }
    if !c.mark.is_empty() {
        about.push(("trade", c.mark.clone()));
    }
    if let kiosklink::command::Act::Redeem(r) = &c.act {
        about.push(("code", r.code.clone()));
    }
    if about.is_empty() {
        return Ok(());
    }
    let coming = hub.store.own(&device.account, &device.id, about, now_s());
    if !c.receipt.report_url.is_empty() {
        hub.store.note(&device.account, "order", c.order_no(), &c.receipt.report_url).wait()?;
    }
    if coming.wait()? {
        hub.wake(&device.id);
    }
    Ok(())
}

async fn work_of(asked: &Asked, f: Fields, id: &str) -> Result<Work, Reply> {
    let hub = &asked.hub;
    let notify_url = hub.notify_url(&asked.device.account).unwrap_or_default();
    let request_id = id.to_owned();
    Ok(match asked.verb {
        "door_open" => Work::Door(DoorRequest {
            request_id,
            cabinet_id: asked.cabinet(&f.cabinet_id)?,
            door: f.door,
            user_id: f.user_id,
            order_no: f.order_no,
            item_no: f.item_no,
            notify_url,
            ttl_ms: f.ttl_ms,
            visit_id: f.visit_id,
            context: f.context,
            ..DoorRequest::default()
        }),
        "code_redeem" => Work::Redeem(RedeemRequest {
            request_id,
            kind: code_kind(&f.kind)?,
            code: f.code,
            cabinet_id: asked.cabinet(&f.cabinet_id)?,
            product_id: f.product_id,
            trade_no: f.trade_no,
            notify_url,
            redeemer: f.redeemer,
            ttl_ms: f.ttl_ms,
            visit_id: f.visit_id,
            context: f.context,
            ..RedeemRequest::default()
        }),
        "order_create" => Work::Create(OrderCreate {
            request_id,
            cabinet_id: asked.cabinet(&f.cabinet_id)?,
            trade_no: f.trade_no,
            notify_url,
            lines: f.lines.into_iter().map(|l| (l.product_id, l.count)).collect(),
            visit_id: f.visit_id,
            context: f.context,
            ..OrderCreate::default()
        }),
        "payment_report" => {
            own_order(asked, &f.order_no).await?;
            let (own, account, order) = (hub.clone(), asked.device.account.clone(), f.order_no.clone());
            let noted = tokio::task::spawn_blocking(move || own.store.noted(&account, "order", &order));
            let report_url = noted.await.map_err(|_| Refused::Away)??.unwrap_or_default();
            Work::Payment(PaymentReport {
                request_id,
                report_url,
                order_no: f.order_no,
                cabinet_id: asked.cabinet(&f.cabinet_id)?,
                trade_no: f.trade_no,
                paid: f.paid,
                amount: f.amount.unwrap_or(-1),
                channel_json: f.channel.map(|c| c.to_string()),
                visit_id: f.visit_id,
                context: f.context,
                ..PaymentReport::default()
            })
        }
        verb => {
            own_order(asked, &f.order_no).await?;
            let claim = Complaint {
                request_id,
                order_no: f.order_no,
                cabinet_id: asked.cabinet(&f.cabinet_id)?,
                reason: f.reason,
                remarks: f.remarks,
                phone: f.phone,
                visit_id: f.visit_id,
                context: f.context,
                ..Complaint::default()
            };
            if verb == "refund_apply" { Work::Refund(claim) } else { Work::Appeal(claim) }
        }
    })
}

/// Money is about orders that this device made.
async fn own_order(asked: &Asked, order_no: &str) -> Result<(), Reply> {
    match is_own(asked, order_no).await? {
        true => Ok(()),
        false => Err(Reply::refused(StatusCode::FORBIDDEN, "order", "no such order of this device")),
    }
}

/// What became of a device's own commands.
async fn commands(asked: Asked, f: Fields) -> Answered {
    let (device, hub) = (asked.device.clone(), asked.hub.clone());
    if asked.verb == "commands_pending" {
        let all = asked.call(|c, _| c.commands_list(0, CommandFilter::Open)).await?;
        return told(all.map(|all| {
            let own = all.iter().filter_map(|c| asked.own_name(&c.request_id).map(|id| show::command(c, id)));
            json!({"items": own.collect::<Vec<_>>()})
        }));
    }
    let (id, request_id, verb) = (asked.name(&f.request_id)?, f.request_id.clone(), asked.verb);
    let result = asked.call(move |client, _| {
        let result = match verb {
            "command_get" => client.command_get(&id),
            "command_resolve" => client.command_resolve(&id),
            "command_wait" => client.command_wait(&id, f.timeout_ms.min(60_000)),
            _ => settle(client, &id, &f),
        };
        if let Ok(command) = &result {
            belongs(&hub, &device, command)?;
        }
        flush(&hub, &device).map(|()| result)
    });
    let result = result.await??;
    Ok(Reply::ok(as_command(result, &request_id, &asked.device.id)))
}

fn settle(client: &Client, id: &str, f: &Fields) -> Result<Command, Error> {
    let outcome = match f.outcome.as_str() {
        "done" => Outcome::Done,
        "not_done" => Outcome::NotDone,
        _ => return Err(Error::new(KL_E_ARGUMENT, "outcome is done or not_done")),
    };
    // A person decides at the operator's side, with a name: what a kiosk knows, it knows by a sensor.
    if f.by != "sensor" {
        return Err(Error::new(KL_E_PERMISSION, "a kiosk settles by a sensor"));
    }
    client.command_settle(id, outcome, SettledBy::Sensor, &f.note)?;
    client.command_get(id)
}
