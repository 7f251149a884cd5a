//! What needs a person: commands whose outcome nobody can tell. On a socket in the hub's folder, which only its owner can open.

use crate::hub::Hub;
use crate::{json as show, server};
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use kiosklink::command::ledger::Ledger;
use kiosklink::command::{Act, CommandFilter, SettledBy};
use kiosklink::error::{Error, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::UnixListener;

/// Where it is.
pub fn socket(data: &Path) -> PathBuf {
    data.join("operator.sock")
}

/// A person's word about a command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    /// Whose command it is.
    pub device: String,
    /// Its name.
    pub request_id: String,
    /// It was done.
    pub done: bool,
    /// Who says so.
    pub who: String,
    /// Why.
    pub note: String,
    /// *Not done* although the request may still take effect: a door may open after all.
    pub overrule: bool,
}

/// Serves it until the hub is stopped.
pub async fn serve(hub: Arc<Hub>, data: PathBuf) -> std::io::Result<()> {
    let path = socket(&data);
    // The folder is ours alone: what lies there is from an earlier start.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let router = Router::new()
        .route("/unsettled", get(unsettled))
        .route("/settle", post(settle))
        .with_state(hub.clone());
    let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    loop {
        tokio::select! {
            () = hub.stopped() => break,
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(server::NO_DESCRIPTOR).await;
                    continue;
                };
                let (hub, router) = (hub.clone(), router.clone());
                tokio::spawn(async move { server::requests(&hub, stream, peer, router).await });
            }
        }
    }
    let _ = std::fs::remove_file(&path);
    Ok(())
}

fn refused(status: StatusCode, message: impl Into<String>) -> Response {
    (status, Json(json!({"message": message.into()}))).into_response()
}

async fn unsettled(State(hub): State<Arc<Hub>>) -> Response {
    let own = hub.clone();
    let listed = tokio::task::spawn_blocking(move || {
        let mut all: Vec<Value> = Vec::new();
        for account in own.accounts.values() {
            for c in account.client.commands_list(0, CommandFilter::Open)? {
                let (device, request_id) = c.request_id.split_once('/').unwrap_or(("", &c.request_id));
                let mut shown = show::command(&c, request_id);
                shown["account"] = json!(account.name);
                shown["device"] = json!(device);
                shown["about"] = about(&c.act);
                all.push(shown);
            }
        }
        all.sort_by_key(|c| c["started_at"].as_i64());
        Ok::<_, Error>(all)
    });
    match listed.await {
        Ok(Ok(all)) => Json(all).into_response(),
        Ok(Err(e)) => refused(StatusCode::SERVICE_UNAVAILABLE, e.message()),
        Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "an internal error"),
    }
}

/// What a command is about, for whoever goes and looks.
fn about(act: &Act) -> Value {
    match act {
        Act::Door(r) => {
            json!({"verb": "door_open", "cabinet_id": r.cabinet_id, "door": r.door, "order_no": r.order_no, "item_no": r.item_no})
        }
        Act::Redeem(r) => {
            json!({"verb": "code_redeem", "cabinet_id": r.cabinet_id, "code": r.code, "product_id": r.product_id})
        }
        Act::Write { verb, order_no, cabinet_id, .. } => {
            json!({"verb": verb, "cabinet_id": cabinet_id, "order_no": order_no})
        }
    }
}

async fn settle(State(hub): State<Arc<Hub>>, request: Request) -> Response {
    let Ok(body) = to_bytes(request.into_body(), 16 * 1024).await else {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "too large");
    };
    let word: Word = match serde_json::from_slice(&body) {
        Ok(word) => word,
        Err(e) => return refused(StatusCode::BAD_REQUEST, e.to_string()),
    };
    let done = tokio::task::spawn_blocking(move || settled(&hub, &word)).await;
    match done {
        Ok(Ok(shown)) => Json(shown).into_response(),
        Ok(Err(why)) => refused(StatusCode::CONFLICT, why),
        Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "an internal error"),
    }
}

fn settled(hub: &Hub, word: &Word) -> Result<Value, String> {
    let (device, _) = hub
        .store
        .device(&word.device)
        .map_err(|e| e.to_string())?
        .ok_or_else(|| format!("there is no device {}", word.device))?;
    let account = hub.accounts.get(&device.account).ok_or("the hub has no such account any more")?;
    let (client, id) = (&account.client, [&device.id, "/", &word.request_id].concat());
    let outcome = if word.done { Outcome::Done } else { Outcome::NotDone };
    let note = format!("{}: {}", word.who, word.note);
    let said = match word.overrule {
        true => client.command_overrule(&id, outcome, &note),
        false => client.command_settle(&id, outcome, SettledBy::Person, &note),
    };
    let known = said.and_then(|()| client.command_get(&id)).map_err(|e| e.message().to_owned())?;
    account.records.sync().map_err(|e| e.message().to_owned())?;
    tracing::warn!(
        device = device.id,
        request_id = word.request_id,
        done = word.done,
        who = word.who,
        note = word.note,
        overrule = word.overrule,
        "settled by a person"
    );
    Ok(show::command(&known, &word.request_id))
}
