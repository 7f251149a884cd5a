//! `kiosklink pending` and `kiosklink evidence`: the commands that the journal remembers.

use crate::args::Given;
use crate::out::{
    Cell, Done, Row, Stop, Table, card, error_json, exit_code, json_of, name_of, note, outcome_word, quoted,
    say, say_of_command,
};
use crate::verbs::{order_row, source_word, system_ms, word};
use kiosklink::client::Client;
use kiosklink::command::{Act, Command, SettledBy};
use kiosklink::config::{Config, KEYS};
use kiosklink::error::{Error, Outcome, Result as Answer};
use kiosklink::json::{Json, Writer};
use kiosklink::log::mask;
use kiosklink::model::OrderRef;
use kiosklink::status::{self, KL_E_ARGUMENT, KL_E_IN_FLIGHT, KL_OK};
use kiosklink::time::clock::{BUILD_TIME, format_time};
use std::io::Write;

fn text(value: &str) -> Cell {
    Cell::Text(value.to_owned())
}

/// The cabinet, and the door or the code.
fn target(act: &Act) -> (String, String, String) {
    match act {
        Act::Door(r) => (r.cabinet_id.clone(), r.door.clone(), r.order_no.clone()),
        Act::Redeem(r) => (r.cabinet_id.clone(), r.code.clone(), r.trade_no.clone()),
        Act::Write { order_no, trade_no, .. } => {
            let number = if order_no.is_empty() { trade_no } else { order_no };
            (String::new(), String::new(), number.clone())
        }
    }
}

/// A command as a record.
pub fn row(c: &Command) -> Row {
    let (cabinet, door, number) = target(&c.act);
    let verb = match &c.act {
        Act::Door(_) => "open",
        Act::Redeem(_) => "redeem",
        Act::Write { verb, .. } => verb,
    };
    let outcome = if c.status == KL_E_IN_FLIGHT { "in_flight" } else { outcome_word(c.outcome) };
    let order = if c.receipt.order_no.is_empty() { &number } else { &c.receipt.order_no };
    vec![
        ("request_id", text(&c.request_id)),
        ("verb", text(verb)),
        ("cabinet_id", text(&cabinet)),
        ("door_or_code", text(&door)),
        ("started_at", Cell::Time(c.started_at)),
        ("outcome", text(outcome)),
        ("physical", word(c.physical)),
        ("physical_error", text(&c.physical_error)),
        ("settled_by", if c.settled_by == SettledBy::Nobody { text("") } else { word(c.settled_by) }),
        ("order_no", text(order)),
        ("item_no", text(&c.receipt.item_no)),
        ("delivery_no", text(&c.receipt.delivery_no)),
        ("status", text(if c.status == KL_OK { "" } else { status::name(c.status).unwrap_or("KL_E_?") })),
        ("message", text(&mask(&c.message))),
    ]
}

/// A client whose commands survive this process; without a folder there is nothing to look at.
fn client(given: &Given) -> Result<(Config, Client), Stop> {
    let config = given.config()?;
    if config.get("state_dir").is_none() {
        return Err(Stop::Usage(
            "the account has no state_dir: commands are remembered only by the process that sent them".into(),
        ));
    }
    let client = Client::new(&config)?;
    Ok((config, client))
}

/// `kiosklink pending list`
pub fn list(given: &Given) -> Done {
    let (_, client) = client(given)?;
    let mut table = Table::new(given.json(), false);
    for command in client.commands_pending()? {
        table.add(row(&command), "")?;
    }
    table.finish("commands are unknown or under way")
}

fn show(given: &Given, command: &Command, code: u8) -> Done {
    let row = row(command);
    say_of_command(&if given.json() { json_of(&row) } else { card(&row) }, code)
}

/// What became of one command, told with its record if there is one.
fn told(given: &Given, client: &Client, id: &str, answer: Answer<Command>) -> Done {
    match answer {
        Ok(command) => show(given, &command, 0),
        Err(e) => {
            // The record says more than the error; what is not recorded has none.
            let known = client.command_get(id).map_err(|_| e.clone())?;
            if !given.json() {
                note(e.message());
            }
            show(given, &known, exit_code(&e))
        }
    }
}

/// `kiosklink pending resolve`
pub fn resolve(given: &Given) -> Done {
    let (_, client) = client(given)?;
    let id = given.arg(0);
    if !id.is_empty() {
        let answer = client.command_resolve(&id);
        return told(given, &client, &id, answer);
    }
    let mut worst = 0;
    for command in client.commands_pending()? {
        let id = command.request_id;
        let answer = client.command_resolve(&id);
        let code = told(given, &client, &id, answer)?;
        // *Not done* is an answer, too.
        worst = worst.max(if code == 2 { 0 } else { code });
    }
    Ok(worst)
}

/// `kiosklink pending wait`
pub fn wait(given: &Given) -> Done {
    let (_, client) = client(given)?;
    let id = given.arg(0);
    let answer = client.command_wait(&id, given.number("wait-ms", 120_000)?);
    told(given, &client, &id, answer)
}

/// `kiosklink pending settle`
pub fn settle(given: &Given) -> Done {
    let outcome = match given.arg(1).as_str() {
        "done" => Outcome::Done,
        "not-done" | "not_done" => Outcome::NotDone,
        other => {
            return Err(Stop::Usage(format!("pending settle takes done or not-done, not {}", quoted(other))));
        }
    };
    let (_, client) = client(given)?;
    let by = if given.has("sensor") { SettledBy::Sensor } else { SettledBy::Person };
    client.command_settle(&given.arg(0), outcome, by, given.get("note").unwrap_or(""))?;
    let known = client.command_get(&given.arg(0))?;
    show(given, &known, 0)
}

/// `kiosklink evidence`
pub fn evidence(given: &Given) -> Done {
    let (config, client) = client(given)?;
    let id = given.arg(0);
    let command = client.command_get(&id)?;
    let mut w = Writer::new();
    w.text("made", &format_time(system_ms() / 1000)).text("request_id", &id);
    w.text("kiosklink", env!("CARGO_PKG_VERSION"));
    w.int("abi", kiosklink::ffi::library::KL_ABI_VERSION.into()).int("built", BUILD_TIME);
    w.raw("account", &account(&config));
    w.raw("command", &json_of(&row(&command)));
    let data = &command.receipt.json;
    if Json::parse(data.as_bytes()).is_ok() {
        w.raw("platform_answer", data);
    }
    let info = client.journal_info()?;
    let mut j = Writer::new();
    j.text("file", &info.path.display().to_string()).int("bytes", info.bytes as i64);
    j.int("settled", info.settled as i64)
        .int("unsettled", info.unsettled as i64)
        .text("damage", &info.damage);
    w.raw("journal", &j.finish());
    let records = std::fs::read(&info.path)
        .map_err(|e| Error::os(KL_E_ARGUMENT, info.path.display().to_string(), &e))?;
    w.raw("records", &format!("[{}]", records_of(&String::from_utf8_lossy(&records), &id).join(",")));
    let (cabinet_id, _, number) = target(&command.act);
    let order_no =
        if command.receipt.order_no.is_empty() { number.clone() } else { command.receipt.order_no.clone() };
    if !given.has("offline") && !order_no.is_empty() {
        // The platform's number, or the caller's own if it never gave one.
        let own = command.receipt.order_no.is_empty();
        let order = client.order_get(&OrderRef {
            order_no: if own { String::new() } else { order_no.clone() },
            trade_no: if own { order_no } else { String::new() },
            cabinet_id,
            ..OrderRef::default()
        });
        match order {
            Ok(order) => {
                w.raw("order", &json_of(&order_row(&order))).raw("order_record", &record(&order.json));
            }
            Err(e) => {
                w.raw("order_error", &error_json(&e));
            }
        }
    }
    let mut clock = Writer::new();
    clock.int("device_ms", system_ms()).int("kiosklink_ms", client.now_ms());
    clock.text("source", source_word(client.time_source()));
    w.raw("clock", &clock.finish());
    let whole = w.finish();
    let whole = mask(&whole);
    match given.get("output") {
        None => say(&whole)?,
        Some(path) => {
            use std::os::unix::fs::OpenOptionsExt;
            let write = || {
                // A dispute's papers are for those who take part in it.
                let mut file =
                    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
                file.write_all(whole.as_bytes())?;
                file.write_all(b"\n")?;
                file.sync_all()
            };
            write().map_err(|e| Error::os(KL_E_ARGUMENT, path, &e))?;
            if given.json() {
                say(&Writer::new().raw("ok", "true").text("output", path).take())?;
            } else {
                say(&format!("{path} holds everything that is known of {id}. Secrets are left out."))?;
            }
        }
    }
    Ok(0)
}

trait Take {
    fn take(&mut self) -> String;
}

impl Take for Writer {
    fn take(&mut self) -> String {
        std::mem::take(self).finish()
    }
}

/// A platform's record as JSON, whatever it is.
fn record(text: &str) -> String {
    if Json::parse(text.as_bytes()).is_ok() { text.to_owned() } else { crate::out::quoted(text) }
}

/// The settings that say whose account it is, and no secret.
fn account(config: &Config) -> String {
    let mut w = Writer::new();
    w.text("platform", config.platform().name());
    for name in ["base_url", "app_id", "client_id", "grant_id"] {
        let secret = KEYS.iter().any(|k| k.name == name && k.secret);
        if let Some(value) = config.get(name).filter(|_| !secret) {
            w.text(name, value);
        }
    }
    w.finish()
}

/// The journal's records of one command, as they stand there.
fn records_of(journal: &str, id: &str) -> Vec<String> {
    journal
        .lines()
        .filter_map(|line| line.splitn(3, ' ').nth(2))
        .filter(|json| {
            let found = Json::parse(json.as_bytes()).and_then(Json::object).and_then(|o| o.string(&["id"]));
            found.ok().flatten().as_deref() == Some(id)
        })
        .map(str::to_owned)
        .collect()
}

/// What a movement that was waited for says of a command that was taken.
pub fn moved(given: &Given, client: &Client, id: &str, ms: u32) -> Done {
    match client.command_wait(id, ms) {
        Ok(command) => show(given, &command, 0),
        Err(e) => {
            if !given.json() {
                note(&format!("{} ({})", e.message(), name_of(&e)));
            }
            let known = client.command_get(id)?;
            show(given, &known, exit_code(&e))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_records_of_one_command() {
        let journal = "00000000 1 {\"n\":1,\"k\":\"intent\",\"id\":\"a\"}\n00000000 1 {\"id\":\"b\"}\nbroken\n00000000 1 {\"k\":\"end\",\"id\":\"a\"}\n";
        assert_eq!(records_of(journal, "a").len(), 2);
        assert!(records_of(journal, "c").is_empty());
    }
}
