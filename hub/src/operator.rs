//! The operator's commands. They write to the same database as the hub, which sees it within the second.

use crate::args::Args;
use crate::hub::now_s;
use crate::policy::{CODE_TRIES, USUAL, VERBS};
use crate::store::sqlite::Sqlite;
use crate::store::{Invitation, Policy, Store};
use crate::{accounts, desk, enrol, tls};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Does what the command says.
pub fn run(args: &Args) -> Result<(), String> {
    let data = args.path("data")?;
    if !data.join("hub.sqlite").exists() && args.command != "enrol" {
        return Err(format!("{}: there is no hub", data.display()));
    }
    match args.command.as_str() {
        "unsettled" => return unsettled(&data),
        "settle" => return settle(args, &data),
        _ => {}
    }
    let store = Sqlite::open(&data, false).map_err(|e| e.to_string())?;
    match args.command.as_str() {
        "enrol" => invite(args, &store, &data),
        "devices" => devices(&store),
        "revoke" => {
            let device = args.need("device")?;
            store.revoke(device, now_s()).wait().map_err(|e| e.to_string())?;
            println!("{device} is revoked; what it had not taken of its inbox is listed by unowned");
            Ok(())
        }
        "expire" => {
            let (device, days) = (args.need("device")?, args.number("days", 0, 36_500)?);
            store.expire(device, now_s() + days * 86_400).wait().map_err(|e| e.to_string())?;
            println!("{device} may act for {days} more days");
            Ok(())
        }
        "unowned" => {
            for e in store.unowned(1_000_000).map_err(|e| e.to_string())? {
                let event: serde_json::Value = serde_json::from_str(&e.body).unwrap_or_default();
                println!("{}", json!({"id": e.id, "account": e.account, "at": e.at, "event": event}));
            }
            Ok(())
        }
        _ => {
            for a in store.aside(10_000).map_err(|e| e.to_string())? {
                let body = String::from_utf8_lossy(&a.body);
                println!(
                    "{}",
                    json!({"account": a.account, "at": a.at, "reason": a.reason, "line": a.line, "head": a.head, "body": body})
                );
            }
            Ok(())
        }
    }
}

/// Asks the hub that runs.
fn ask(data: &Path, method: &str, path: &str, body: &str) -> Result<Value, String> {
    let socket = desk::socket(data);
    let mut stream =
        UnixStream::connect(&socket).map_err(|e| format!("{}: {e}; does the hub run?", socket.display()))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut text = String::new();
    stream
        .write_all([&head, body].concat().as_bytes())
        .and_then(|()| stream.read_to_string(&mut text))
        .map_err(|e| format!("{}: {e}", socket.display()))?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("the hub gave no answer")?;
    let answer: Value = serde_json::from_str(body).map_err(|_| "the hub's answer cannot be read")?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(answer),
        _ => Err(answer["message"].as_str().unwrap_or("it was refused").to_owned()),
    }
}

fn unsettled(data: &Path) -> Result<(), String> {
    let all = ask(data, "GET", "/unsettled", "")?;
    all.as_array().into_iter().flatten().for_each(|c| println!("{c}"));
    Ok(())
}

fn settle(args: &Args, data: &Path) -> Result<(), String> {
    let done = match args.need("outcome")? {
        "done" => true,
        "not_done" => false,
        _ => return Err("--outcome is done or not_done".into()),
    };
    let word = desk::Word {
        device: args.need("device")?.into(),
        request_id: args.need("request")?.into(),
        done,
        who: args.need("who")?.into(),
        note: args.need("note")?.into(),
        overrule: args.has("overrule"),
    };
    let body = serde_json::to_string(&word).map_err(|e| e.to_string())?;
    println!("{}", ask(data, "POST", "/settle", &body)?);
    Ok(())
}

fn invite(args: &Args, store: &Sqlite, data: &Path) -> Result<(), String> {
    let code = enrol::code();
    let until = now_s() + args.number("hours", 24, 24 * 366)? * 3600;
    let (account, policy, device) = match args.get("device") {
        Some(id) => {
            let (device, _) = store
                .device(id)
                .map_err(|e| e.to_string())?
                .filter(|(d, _)| d.revoked_at == 0)
                .ok_or_else(|| format!("there is no device {id}, or it was revoked"))?;
            (device.account, device.policy, Some(device.id))
        }
        None => {
            let account = args.need("account")?.to_owned();
            let known = accounts::names(&args.path("accounts")?)?;
            if !known.contains(&account) {
                return Err(format!(
                    "there is no account {account} in the file; it has {}",
                    known.join(", ")
                ));
            }
            let cabinets = args.all("cabinet");
            if cabinets.is_empty() || cabinets.iter().any(String::is_empty) {
                return Err(
                    "--cabinet is missing: a kiosk may use the cabinets that are named, and no other".into(),
                );
            }
            let verbs: Vec<String> = match args.get("verbs") {
                Some(list) => list.split(',').map(|v| v.trim().to_owned()).collect(),
                None => USUAL.iter().map(|v| (*v).to_owned()).collect(),
            };
            if let Some(wrong) = verbs.iter().find(|v| !VERBS.contains(&v.as_str())) {
                return Err(format!("there is no verb {wrong}; there are {}", VERBS.join(", ")));
            }
            let code_tries = args.number("code-tries", CODE_TRIES.into(), 6000)? as u32;
            (account, Policy { cabinets, verbs, code_tries }, None)
        }
    };
    let days = args.number("days", 0, 36_500)?;
    let expires_at = if days == 0 { 0 } else { now_s() + days * 86_400 };
    let invitation = Invitation { hash: enrol::hash(&code), account, policy, device, until, expires_at };
    store.invite(invitation).wait().map_err(|e| e.to_string())?;
    println!("code {code}");
    if let Some(pin) =
        std::fs::read_to_string(data.join("pin")).ok().or_else(|| tls::pin_of_file(&tls::own_files(data).0))
    {
        println!("pin {}", pin.trim());
    }
    println!("until {until}");
    Ok(())
}

fn devices(store: &Sqlite) -> Result<(), String> {
    for d in store.devices().map_err(|e| e.to_string())? {
        println!(
            "{}",
            json!({
                "device": d.id, "account": d.account, "cabinets": d.policy.cabinets, "verbs": d.policy.verbs,
                "code_tries": d.policy.code_tries, "enrolled_at": d.enrolled_at, "expires_at": d.expires_at,
                "revoked_at": d.revoked_at, "seen_at": d.seen_at,
            })
        );
    }
    Ok(())
}
