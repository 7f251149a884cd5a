//! What the soak's other processes do: take callbacks, and look into the journals at the end.

use super::task::{Task, task};
use super::worker::{Brief, Known, outcome_of, outcome_word, word};
use crate::preload::Failure;
use kiosklink::client::Client;
use kiosklink::command::Physical;
use kiosklink::config::Config;
use kiosklink::error::Error;
use kiosklink::status::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// A client for each account.
pub(super) struct Clients(BTreeMap<&'static str, Client>);

impl Clients {
    pub fn open(accounts: &Path) -> Result<Clients, Error> {
        let client = |name: &'static str| {
            let config = Config::load(&accounts.to_string_lossy(), Some(name))?;
            Ok((name, Client::new(&config)?))
        };
        ["yopoint", "dingshang", "youzan"].into_iter().map(client).collect::<Result<_, _>>().map(Clients)
    }

    pub fn of(&self, task: &Task) -> &Client {
        &self.0[task.platform()]
    }
}

/// Prints what the journals know of a round's commands, and what they have left unsettled.
pub(super) fn look(brief: &Brief) -> Result<(), Failure> {
    let clients = Clients::open(&brief.accounts).map_err(|e| e.message().to_owned())?;
    let mut known = serde_json::Map::new();
    for number in brief.first..brief.end {
        let task = task(brief.seed, number, brief.processes * brief.threads);
        for id in task.ids() {
            match clients.of(&task).command_get(&id) {
                Ok(c) => {
                    let moved = match c.physical {
                        Physical::Confirmed => "confirmed",
                        Physical::Failed => "failed",
                        _ => "",
                    };
                    let seen = json!({"outcome": outcome_word(c.outcome), "physical": moved, "by": word(c.settled_by)});
                    known.insert(id, seen);
                }
                Err(e) if e.status() == KL_E_NOT_FOUND => {}
                Err(e) => return Err(format!("{id}: {}", e.message())),
            }
        }
    }
    let mut left = Vec::new();
    for (name, client) in &clients.0 {
        let pending = client.commands_pending().map_err(|e| e.message().to_owned())?;
        left.extend(pending.into_iter().map(|c| format!("{name}: {}", c.request_id)));
    }
    println!("{}", json!({"known": known, "left": left}));
    Ok(())
}

/// One command of what [`look`] printed.
pub(super) fn known(value: &Value) -> Option<Known> {
    value.as_object()?;
    Some(Known {
        outcome: outcome_of(&value["outcome"]),
        physical: match value["physical"].as_str() {
            Some("confirmed") => Physical::Confirmed,
            Some("failed") => Physical::Failed,
            _ => Physical::None,
        },
        by: value["by"].as_str().unwrap_or_default().to_owned(),
    })
}

/// Takes callbacks until the standard input closes. Prints the address first, then how many were taken, were duplicates,
/// and were refused.
pub(super) fn receive(brief: &Brief) -> Result<(), Failure> {
    static SEEN: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
    let clients = Clients::open(&brief.accounts).map_err(|e| e.message().to_owned())?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|e| e.to_string())?;
    println!("http://{}", listener.local_addr().map_err(|e| e.to_string())?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = take(stream, &clients, &SEEN);
        }
    });
    let _ = std::io::stdin().read(&mut [0u8; 1]);
    let seen = [0, 1, 2].map(|i: usize| SEEN[i].load(Ordering::SeqCst));
    // Nobody listens any more if the soak has failed.
    let _ = writeln!(std::io::stdout(), "{}", json!(seen));
    Ok(())
}

fn take(mut stream: TcpStream, clients: &Clients, seen: &[AtomicU64; 3]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(std::time::Duration::from_secs(5)))?;
    let mut bytes = Vec::new();
    let mut piece = [0u8; 8192];
    let (head, body) = loop {
        let n = stream.read(&mut piece)?;
        if n == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&piece[..n]);
        let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
        let length = head.lines().find_map(|l| {
            let (name, value) = l.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if bytes.len() >= at + 4 + length.unwrap_or(0) {
            break (head, bytes[at + 4..].to_vec());
        }
    };
    let platform = if head.starts_with("POST /yopoint") { "yopoint" } else { "dingshang" };
    let client = &clients.0[platform];
    let reply = match client.event_parse(&head, &body) {
        Ok(event) => {
            seen[0].fetch_add(1, Ordering::SeqCst);
            seen[1].fetch_add(u64::from(event.duplicate), Ordering::SeqCst);
            client.event_reply(&event, 0, "ok", None).ok()
        }
        Err(_) => {
            seen[2].fetch_add(1, Ordering::SeqCst);
            None
        }
    };
    let (status, body) = reply.map_or(("400 Bad Request", String::new()), |body| ("200 OK", body));
    let answer =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes())
}
