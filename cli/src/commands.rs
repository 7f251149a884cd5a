//! `kiosklink pending`, `visits`, `refusals`, `adopt`, `repair` and `evidence`: what the journal remembers.

use crate::args::Given;
use crate::lang::t;
use crate::out::{
    Cell, Done, Row, Stop, Table, card, error_json, exit_code, json_of, name_of, note, outcome_word, quoted,
    say, say_of_command,
};
use crate::tr;
use crate::verbs::{order_row, source_word, system_ms, word};
use kiosklink::client::Client;
use kiosklink::command::{Act, Command, CommandFilter, SettledBy};
use kiosklink::config::{Config, KEYS};
use kiosklink::error::{Error, Outcome, Result as Answer};
use kiosklink::json::{Json, Writer};
use kiosklink::log::mask;
use kiosklink::model::OrderRef;
use kiosklink::platform::proof;
use kiosklink::platform::refusals::Refusals;
use kiosklink::status::{
    self, KL_E_ARGUMENT, KL_E_CANCELLED, KL_E_IN_FLIGHT, KL_E_NOT_FOUND, KL_E_PLATFORM, KL_OK, kl_status,
};
use kiosklink::time::clock::{BUILD_TIME, format_time};
use std::io::{self, IsTerminal, Write};

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
    let outcome = became(c);
    let order = if c.receipt.order_no.is_empty() { &number } else { &c.receipt.order_no };
    vec![
        ("request_id", text(&c.request_id)),
        ("verb", text(verb)),
        ("cabinet_id", text(&cabinet)),
        ("door_or_code", text(&door)),
        ("visit_id", text(&c.visit_id)),
        ("started_at", Cell::Time(c.started_at)),
        ("sent_at", Cell::Time(c.sent_at)),
        ("age_ms", Cell::Millis(c.age_ms)),
        ("outcome", text(outcome)),
        ("mature_in_ms", Cell::Millis(c.mature_in_ms.into())),
        ("kept_for_ms", Cell::Millis(c.kept_for_ms.into())),
        ("physical", word(c.physical)),
        ("physical_error", text(&c.physical_error)),
        ("settled_by", if c.settled_by == SettledBy::Nobody { text("") } else { word(c.settled_by) }),
        ("order_no", text(order)),
        ("item_no", text(&c.receipt.item_no)),
        ("delivery_no", text(&c.receipt.delivery_no)),
        ("mark", text(&c.mark)),
        ("context", text(&c.context)),
        ("status", text(if c.status == KL_OK { "" } else { status::name(c.status).unwrap_or("KL_E_?") })),
        ("message", text(&mask(&c.message))),
    ]
}

/// A client whose commands survive this process; without a folder there is nothing to look at.
fn client(given: &Given) -> Result<(Config, Client), Stop> {
    let config = given.config()?;
    if config.get("state_dir").is_none_or(|dir| dir == "none") {
        return Err(Stop::Usage(tr!(
            "the account has no state_dir: commands are remembered only by the process that sent them"
        )));
    }
    let client = Client::new(&config)?;
    Ok((config, client))
}

/// `kiosklink pending list`
pub fn list(given: &Given) -> Done {
    let (_, client) = client(given)?;
    let mut table = Table::new(given.json(), false);
    let filter = if given.has("all") { CommandFilter::Any } else { CommandFilter::Open };
    for command in client.commands_list(0, filter)? {
        table.add(row(&command), "")?;
    }
    let all = given.has("all");
    table.finish(if all { t("commands are remembered") } else { t("commands are unknown or under way") })
}

/// `kiosklink visits list`
pub fn visits(given: &Given) -> Done {
    let (_, client) = client(given)?;
    let mut table = Table::new(given.json(), false);
    for visit in client.visits()? {
        table.add(visit_row(&visit.visit_id, &visit.commands), "")?;
    }
    table.finish("visits are open")
}

/// A visit: how far its commands are, and what they are.
fn visit_row(visit: &str, commands: &[Command]) -> Row {
    let first = commands.first();
    let last = commands.last();
    let short: Vec<String> = commands.iter().map(|c| format!("{} {}", c.request_id, became(c))).collect();
    let whole: Vec<String> = commands.iter().map(|c| json_of(&row(c))).collect();
    vec![
        ("visit_id", text(visit)),
        ("started_at", Cell::Time(first.map_or(0, |c| c.started_at))),
        ("age_ms", Cell::Millis(first.map_or(0, |c| c.age_ms))),
        ("context", text(last.map_or("", |c| c.context.as_str()))),
        ("commands", Cell::Words(short.join(", "))),
        ("commands", Cell::Json(format!("[{}]", whole.join(",")))),
    ]
}

/// A command's outcome in a word.
fn became(c: &Command) -> &'static str {
    if c.status == KL_E_IN_FLIGHT { "in_flight" } else { outcome_word(c.outcome) }
}

/// `kiosklink visits close`
pub fn visit_close(given: &Given) -> Done {
    let (_, client) = client(given)?;
    let visit = given.arg(0);
    if !client.visits()?.iter().any(|open| open.visit_id == visit) {
        return Err(Stop::Failed(Error::new(KL_E_NOT_FOUND, format!("no visit {} is open", quoted(&visit)))));
    }
    client.visit_close(&visit)?;
    if given.json() {
        say(&Writer::new().raw("ok", "true").text("visit_id", &visit).take())?;
    } else {
        say(&tr!("{} is closed. Its commands do not change.", visit))?;
    }
    Ok(0)
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
            return Err(Stop::Usage(tr!("pending settle takes done or not-done, not {}", quoted(other))));
        }
    };
    let note = given.get("note").unwrap_or("").trim();
    if given.has("overrule") && given.has("sensor") {
        return Err(Stop::Usage(tr!("a sensor overrules nothing: --overrule is a person's word")));
    }
    if given.has("overrule") && note.is_empty() {
        return Err(Stop::Usage(tr!("--overrule needs --note: how do you know that the request is gone?")));
    }
    let (_, client) = client(given)?;
    let id = given.arg(0);
    let by = if given.has("sensor") { SettledBy::Sensor } else { SettledBy::Person };
    let settled = if given.has("overrule") {
        client.command_overrule(&id, outcome, note)
    } else {
        client.command_settle(&id, outcome, by, note)
    };
    settled.map_err(|e| Stop::Act(e, id.clone()))?;
    let known = client.command_get(&id)?;
    show(given, &known, 0)
}

/// Goes on only if somebody said yes, on the line or at the terminal, and how they know.
fn agreed(given: &Given, question: &str) -> Result<String, Stop> {
    let note = given.get("note").unwrap_or("").trim().to_owned();
    if note.is_empty() {
        return Err(Stop::Usage(tr!(
            "{} needs --note: who decides, and how do they know?",
            given.verb.words.join(" ")
        )));
    }
    if given.has("yes") {
        return Ok(note);
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Stop::Usage(tr!("{} --yes says yes.", question)));
    }
    // Nothing is lost if it cannot be asked: no answer is no.
    let _ = write!(io::stderr(), "{question} [yes/no] ");
    let mut answer = String::new();
    let _ = io::stdin().read_line(&mut answer);
    if answer.trim().eq_ignore_ascii_case("yes") {
        return Ok(note);
    }
    Err(Stop::Usage(tr!("nothing was changed")))
}

/// `kiosklink adopt`
pub fn adopt(given: &Given) -> Done {
    let (_, client) = client(given)?;
    let before = client.journal_info()?;
    if before.trouble == KL_OK {
        return Err(Stop::Failed(Error::new(
            KL_E_ARGUMENT,
            "this journal needs nobody to adopt it: it is neither missing nor older nor copied",
        )));
    }
    let what = if before.trouble_words.is_empty() { "it is in trouble" } else { &before.trouble_words };
    let note = agreed(
        given,
        &tr!(
            "The journal: {}. What it knew of commands is lost: a request_id from there would be sent again. Look at the doors and the codes of the last commands first. Adopt it?",
            what
        ),
    )?;
    client.journal_adopt(&note)?;
    let after = client.journal_info()?;
    if given.json() {
        let mut w = Writer::new();
        w.raw("ok", "true").text("installation", &after.installation).int("epoch", after.epoch.into());
        say(&w.finish())?;
    } else {
        say(&tr!("Adopted: installation {}, epoch {}.", after.installation, after.epoch))?;
    }
    Ok(0)
}

/// `kiosklink repair`
pub fn repair(given: &Given) -> Done {
    let (_, client) = client(given)?;
    let before = client.journal_info()?;
    if before.damage.is_empty() {
        return Err(Stop::Failed(Error::new(KL_E_ARGUMENT, "this journal is not damaged")));
    }
    agreed(
        given,
        &tr!(
            "The journal is damaged: {}. It is put aside, and what can be read of it is kept; a request_id from the damaged part would be sent again. Look at the doors and the codes of the last commands first. Repair it?",
            before.damage
        ),
    )?;
    let aside = client.journal_repair()?.map(|path| path.display().to_string()).unwrap_or_default();
    if given.json() {
        say(&Writer::new().raw("ok", "true").text("aside", &aside).take())?;
    } else {
        say(&tr!("Repaired. The damaged file is {}.", aside))?;
    }
    Ok(0)
}

/// A refusal that no row explains, and the commands that met it.
struct Met {
    name: String,
    http: u16,
    status: kl_status,
    words: String,
    last_at: i64,
    /// The newest command that met it.
    request_id: String,
    count: i64,
}

/// The refusals of commands that are not done or unknown, and of which no row says what they mean.
fn unexplained(commands: &[Command], table: &Refusals) -> Vec<Met> {
    let mut all: Vec<Met> = Vec::new();
    for c in commands.iter().filter(|c| matches!(c.outcome, Outcome::Unknown | Outcome::NotDone)) {
        // Without a name there is nothing that a row could say.
        let (Ok(http), name) = (u16::try_from(c.refusal.http), &c.refusal.name) else { continue };
        if name.is_empty() || table.meaning(http, name).is_some() {
            continue;
        }
        let at = match all.iter().position(|m| m.name == *name && m.http == http) {
            Some(at) => at,
            None => {
                all.push(Met {
                    name: name.clone(),
                    http,
                    status: c.status,
                    words: String::new(),
                    last_at: 0,
                    request_id: String::new(),
                    count: 0,
                });
                all.len() - 1
            }
        };
        let met = &mut all[at];
        met.count += 1;
        met.last_at = c.started_at;
        met.words.clone_from(&c.refusal.words);
        met.request_id.clone_from(&c.request_id);
    }
    all
}

/// `kiosklink refusals`
pub fn refusals(given: &Given) -> Done {
    let (config, client) = client(given)?;
    let table = Refusals::of_account(proof::refusals(config.platform()), &config)?;
    let met = unexplained(&client.commands_list(0, CommandFilter::Any)?, &table);
    if given.json() {
        let platform = config.platform().name();
        let rows: Vec<String> = met.iter().map(|m| skeleton(platform, m)).collect();
        say(&format!("{{\"kiosklink-refusals\":1,\"rows\":[{}]}}", rows.join(",")))?;
        return Ok(0);
    }
    let mut out = Table::new(false, false);
    for m in &met {
        let row = vec![
            ("name", text(&m.name)),
            ("http", Cell::Number(Some(m.http.into()))),
            ("met", Cell::Number(Some(m.count))),
            ("last_at", Cell::Time(m.last_at)),
            ("request_id", text(&m.request_id)),
            ("status", text(code_name(m.status))),
            ("words", text(&mask(&m.words))),
        ];
        out.add(row, "")?;
    }
    out.finish("refusals without a row were met")
}

fn code_name(code: kl_status) -> &'static str {
    status::name(code).unwrap_or("KL_E_PLATFORM")
}

/// A row of a `refusals_file` that is not signed off yet: it is refused until somebody fills it in.
fn skeleton(platform: &str, m: &Met) -> String {
    let mut w = Writer::new();
    // Who settled it says nothing of what the name means.
    let status = if matches!(m.status, KL_OK | KL_E_CANCELLED) { KL_E_PLATFORM } else { m.status };
    w.text("platform", platform).text("name", &m.name).int("http", m.http.into());
    w.text("means", "unknown").text("status", code_name(status));
    w.raw("source", "\"\"").raw("signed_off", "\"\"");
    w.text("words", &mask(&m.words)).int("met", m.count).int("last_at", m.last_at);
    w.text("request_id", &m.request_id);
    w.finish()
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
    if command.refusal != Default::default() {
        let mut r = Writer::new();
        r.int("http", command.refusal.http.into()).text("name", &command.refusal.name);
        r.text("words", &command.refusal.words);
        w.raw("refusal", &r.finish());
    }
    let data = &command.receipt.json;
    if Json::parse(data.as_bytes()).is_ok() {
        w.raw("platform_answer", data);
    }
    let info = client.journal_info()?;
    let mut j = Writer::new();
    j.text("file", &info.path.display().to_string()).int("bytes", info.bytes as i64);
    j.int("settled", info.settled as i64)
        .int("unsettled", info.unsettled as i64)
        .text("damage", &info.damage)
        .text("trouble", &info.trouble_words)
        .text("installation", &info.installation)
        .int("epoch", info.epoch.into())
        .raw("bound", if info.bound { "true" } else { "false" })
        .text("file_system", &info.file_system);
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
                say(&tr!("{} holds everything that is known of {}. Secrets are left out.", path, id))?;
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
pub fn account(config: &Config) -> String {
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

/// The journal's records of one command as JSON: number, time and kind, and its fields as they stand there (`docs/journal.md`).
fn records_of(journal: &str, id: &str) -> Vec<String> {
    let id = id.replace('\\', "\\\\");
    let of_command = |line: &str| {
        let fields: Vec<&str> = line.splitn(3, ' ').nth(2)?.split('\t').collect();
        let [n, t, up, kind, whose, rest @ ..] = &fields[..] else { return None };
        if *whose != id || !["intent", "sent", "end", "moved", "was"].contains(kind) {
            return None;
        }
        let int = |digits: &str| digits.parse().unwrap_or(0);
        let rest: Vec<String> = rest.iter().map(|field| crate::out::quoted(field)).collect();
        let mut w = Writer::new();
        w.int("n", int(n)).int("t", int(t)).int("up", int(up)).text("kind", kind);
        Some(w.raw("fields", &format!("[{}]", rest.join(","))).take())
    };
    journal.lines().filter_map(of_command).collect()
}

/// What a movement that was waited for says of a command that was taken.
pub fn moved(given: &Given, client: &Client, id: &str, ms: u32) -> Done {
    match client.command_wait(id, ms) {
        Ok(command) => show(given, &command, 0),
        Err(e) => {
            if !given.json() {
                note(&format!("{} ({})", e.message(), name_of(&e)));
            }
            let known = client.command_get(id).map_err(|_| Stop::Act(e.clone(), id.to_owned()))?;
            show(given, &known, exit_code(&e))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_records_of_one_command() {
        let journal = "00000000 1 {\"n\":0}\n00000000 1 7\t1732250000\t81422\tintent\ta\t2\t\"x\n\
            00000000 1 8\t1\t2\tsent\tb\nbroken\n00000000 1 9\t3\t4\tvisit\ta\n\
            00000000 1 10\t5\t6\tend\ta\tdone\n00000000 1 11\t5\t6\tend\tc\\\\d";
        let of_a = records_of(journal, "a");
        assert_eq!(of_a[0], r#"{"n":7,"t":1732250000,"up":81422,"kind":"intent","fields":["2","\"x"]}"#);
        assert_eq!((of_a.len(), records_of(journal, "c\\d").len()), (2, 1));
        assert!(records_of(journal, "c").is_empty());
    }
}
