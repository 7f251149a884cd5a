//! What platforms tell on their own, on one public address: `/callback/ACCOUNT`.
//!
//! Verified by the library, committed, and only then answered in the vendor's words. What cannot be committed is not
//! acknowledged, so that the vendor comes again. What is refused is kept aside, as it came.

use crate::accounts::Account;
use crate::hub::{Hub, now_s};
use crate::json as show;
use crate::pool::NotBegun;
use crate::store::{Aside, NewEvent, Taken};
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use kiosklink::event::{Event, EventKind, SignedWith};
use kiosklink::status::{KL_E_BUSY, KL_E_EVENT, KL_E_EVENT_SIGNATURE, KL_E_EVENT_TIME};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The largest body of a callback.
const BODY_MAX: usize = 64 * 1024;
/// By when a body must be whole.
const BODY_TIME: Duration = Duration::from_secs(10);

/// A callback as it came.
struct Came {
    line: String,
    head: String,
    /// What the library verifies: the body, or of a `GET` what stands behind the `?`.
    content: Vec<u8>,
}

/// What is answered.
struct Reply {
    status: u16,
    body: String,
}

fn plain(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// One callback.
pub async fn callback(State(hub): State<Arc<Hub>>, request: Request) -> Response {
    let path = request.uri().path();
    let name = path.split('/').nth(2).unwrap_or_default().to_owned();
    // Compared in the time that it takes whatever is right: the path may be a secret.
    let same = |a: &Account| {
        let (ours, theirs) = (a.path.as_bytes(), path.as_bytes());
        ours.len() == theirs.len() && ours.iter().zip(theirs).fold(0, |all, (x, y)| all | (x ^ y)) == 0
    };
    let Some(account) = hub.accounts.get(&name).filter(|a| a.calls_back && same(a)) else {
        hub.metrics.refuse("callback_path");
        return plain(StatusCode::NOT_FOUND);
    };
    let came = match whole(request).await {
        Ok(came) => came,
        Err(status) => {
            hub.metrics.callback(&name, "unreadable");
            return plain(status);
        }
    };
    let (own, begun) = (hub.clone(), Instant::now());
    // Callbacks have a share of the threads of their own: commands that hang do not hold them up.
    let queue = ["callback ", &account.name].concat();
    let run = hub.pool.run(&queue, move || match own.accounts.get(&name) {
        Some(account) => take(&own, account, &came),
        None => Reply { status: 503, body: String::new() },
    });
    let reply = match run {
        Ok(coming) => coming.await.unwrap_or(Reply { status: 503, body: String::new() }),
        Err(NotBegun::Full | NotBegun::Stopping) => {
            hub.metrics.callback(&account.name, "busy");
            Reply { status: 503, body: String::new() }
        }
    };
    hub.metrics.callback_s.observe(begun.elapsed().as_secs_f64());
    let mut response = plain(StatusCode::from_u16(reply.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE));
    if !reply.body.is_empty() {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *response.body_mut() = Body::from(reply.body);
    }
    response
}

async fn whole(request: Request) -> Result<Came, StatusCode> {
    let (head, body) = request.into_parts();
    // Of a path that is a secret only what everybody knows.
    let shown: Vec<&str> = head.uri.path().split('/').take(3).collect();
    let line = format!(
        "{} {}{}",
        head.method,
        shown.join("/"),
        head.uri.query().map_or(String::new(), |q| format!("?{q}"))
    );
    let query = head.uri.query().unwrap_or_default();
    let mut lines = String::new();
    for (name, value) in &head.headers {
        lines.push_str(name.as_str());
        lines.push_str(": ");
        lines.push_str(&String::from_utf8_lossy(value.as_bytes()));
        lines.push_str("\r\n");
    }
    let content = match head.method {
        Method::POST | Method::PUT => match tokio::time::timeout(BODY_TIME, to_bytes(body, BODY_MAX)).await {
            Ok(Ok(bytes)) => bytes.into(),
            Ok(Err(_)) => return Err(StatusCode::PAYLOAD_TOO_LARGE),
            Err(_) => return Err(StatusCode::REQUEST_TIMEOUT),
        },
        // What a browser brings, and Youzan's market messages, stand in the query.
        Method::GET if !query.is_empty() => query.as_bytes().to_vec(),
        _ => return Err(StatusCode::METHOD_NOT_ALLOWED),
    };
    Ok(Came { line, head: lines, content })
}

/// Verifies it, commits it, and says what to answer. Blocks.
fn take(hub: &Hub, account: &Account, came: &Came) -> Reply {
    let client = &account.client;
    let (event, _in_hand) = match client.event_receive(&came.head, &came.content) {
        Ok(event) => event,
        Err(e) => {
            let (status, what) = match e.status() {
                KL_E_EVENT_SIGNATURE => (403, "signature"),
                KL_E_EVENT_TIME => (403, "time"),
                KL_E_EVENT => (400, "form"),
                // The platform repeats it while its first one is being handled: it comes again.
                KL_E_BUSY => {
                    hub.metrics.callback(&account.name, "busy");
                    return Reply { status: 503, body: client.event_refusal() };
                }
                _ => (503, "trouble"),
            };
            tracing::warn!(account = account.name, reason = e.message(), "a callback was refused");
            aside(hub, account, came, e.message());
            hub.metrics.callback(&account.name, what);
            return Reply { status, body: client.event_refusal() };
        }
    };
    let answer = |code: i32, message: &str| {
        let body = client.event_reply(&event, code, message, None).unwrap_or_default();
        // A browser is not answered with an envelope.
        let body = if event.kind == EventKind::PayPage && code == 0 { String::new() } else { body };
        Reply { status: client.event_status(code), body }
    };
    match hub.store.event_take(new_event(account, &event, &came.content)).wait() {
        Ok(Taken::New(owners)) => {
            hub.metrics.callback(&account.name, if owners.is_empty() { "unowned" } else { "taken" });
            if owners.is_empty() {
                tracing::warn!(
                    account = account.name,
                    method = event.method,
                    "nobody owns this callback; it is listed"
                );
            }
            owners.iter().for_each(|device| hub.wake(device));
        }
        Ok(Taken::Duplicate) => hub.metrics.callback(&account.name, "duplicate"),
        Ok(Taken::Changed) => {
            tracing::error!(
                account = account.name,
                method = event.method,
                "a callback came again and says something else"
            );
            aside(hub, account, came, "it came before and said something else");
            hub.metrics.callback(&account.name, "changed");
        }
        Err(e) => {
            tracing::error!(account = account.name, error = %e, "a callback could not be taken; the platform comes again");
            hub.metrics.callback(&account.name, "database");
            let reply = answer(1, "FAIL");
            // Whatever the platform reads of it, the status or the body, it is not taken.
            return Reply { status: 503, ..reply };
        }
    }
    answer(0, "SUCCESS")
}

fn new_event(account: &Account, event: &Event, content: &[u8]) -> NewEvent {
    let mut about: Vec<(&'static str, String)> = Vec::new();
    for (kind, value) in
        [("order", &event.order_no), ("trade", &event.trade_no), ("code", &event.voucher_code)]
    {
        if !value.is_empty() {
            about.push((kind, value.clone()));
        }
    }
    let mut digest = [0; 32];
    // What is signed anew with every repetition, like the time, is none of it.
    let said = if event.json.is_empty() { content } else { event.json.as_bytes() };
    digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, said).as_ref());
    NewEvent {
        account: account.name.clone(),
        identity: event.identity().copied(),
        digest,
        at: now_s(),
        about,
        cabinets: cabinets_of(event),
        signed: event.signed_with != SignedWith::Nothing,
        // Where a payment is reported to is nobody's choice but the platform's.
        report_url: if event.signed_with == SignedWith::Nothing {
            String::new()
        } else {
            event.report_url.clone()
        },
        body: kiosklink::log::mask(&show::event(event).to_string()).into_owned(),
    }
}

/// A notice may name a cabinet by what is painted on it.
fn cabinets_of(event: &Event) -> Vec<String> {
    let mut names = vec![event.cabinet_id.clone()];
    if let Some(c) = &event.cabinet {
        names.extend([c.id.clone(), c.device_code.clone(), c.code.clone()]);
    }
    names.retain(|n| !n.is_empty());
    names.sort();
    names.dedup();
    names
}

fn aside(hub: &Hub, account: &Account, came: &Came, reason: &str) {
    if !hub.may_keep_aside() {
        return;
    }
    // It is evidence, and nobody waits for it.
    drop(hub.store.aside_add(Aside {
        account: account.name.clone(),
        at: now_s(),
        reason: reason.to_owned(),
        line: kiosklink::log::mask(&came.line).into_owned(),
        head: kiosklink::log::mask(&came.head).into_owned(),
        body: came.content.clone(),
    }));
}
