//! `kiosklink trigger`: lets a simulator send a callback, by the name that `listen` prints of it.

use crate::args::{Given, distance};
use crate::out::{Cell, Done, Stop, Table, WRONG, note, quoted, say};
use crate::simulator::Control;
use crate::tr;
use kiosklink::error::Error;
use kiosklink::json::{Bad, Json, Writer};
use kiosklink::status::{KL_E_NOT_FOUND, KL_E_PROTOCOL};

/// A callback that a platform can send.
struct Trigger {
    platform: String,
    name: String,
    method: String,
}

fn odd(bad: Bad) -> Stop {
    Error::new(KL_E_PROTOCOL, bad.sentence("the simulator's answer")).into()
}

fn list(control: &Control) -> Result<Vec<Trigger>, Stop> {
    let text = control.ask("GET", "/triggers", "")?;
    let read = || {
        let all = Json::parse(text.as_bytes())?.array()?.into_iter().map(|item| {
            let o = item.object()?;
            let field = |key: &str| Ok::<_, Bad>(o.string(&[key])?.unwrap_or_default());
            Ok(Trigger { platform: field("platform")?, name: field("name")?, method: field("method")? })
        });
        all.collect::<Result<Vec<Trigger>, Bad>>()
    };
    read().map_err(odd)
}

/// `kiosklink trigger`
pub fn run(given: &Given) -> Done {
    let control = Control::of(given)?;
    // The account's platform; without an account that of the only one that knows the name.
    let config = if given.names_account() { Some(given.config()?) } else { None };
    let account = config.as_ref().map_or_else(String::new, |c| c.platform().name().to_owned());
    // A platform tells every application of it, each with a signature of its own. Dingshang's have none.
    let own = config.filter(|_| account != "dingshang").and_then(|c| {
        let id = c.get("client_id").or_else(|| c.get("app_id"));
        id.map(str::to_owned)
    });
    let all: Vec<Trigger> =
        list(&control)?.into_iter().filter(|t| account.is_empty() || t.platform == account).collect();
    let name = given.arg(0).replace('-', "_");
    if name.is_empty() {
        let mut table = Table::new(given.json(), false);
        for one in all {
            table.add(
                vec![
                    ("name", Cell::Text(one.name)),
                    ("platform", Cell::Text(one.platform)),
                    ("method", Cell::Text(one.method)),
                ],
                "",
            )?;
        }
        return table.finish("callbacks of this platform are known");
    }
    let of_name: Vec<&Trigger> = all.iter().filter(|t| t.name == name).collect();
    let platform = match of_name[..] {
        [one] => one.platform.clone(),
        [] => {
            let near = all.iter().map(|t| (distance(&t.name, &name), &t.name)).min();
            let hint = match near.filter(|(far, _)| *far <= 3) {
                Some((_, near)) => format!("; did you mean {near}?"),
                None => String::new(),
            };
            let of = if account.is_empty() { "no platform" } else { &account };
            let why = format!("{of} sends no callback {}{hint}; kiosklink trigger lists them", quoted(&name));
            return Err(Error::new(KL_E_NOT_FOUND, why).into());
        }
        _ => {
            let known: Vec<&str> = of_name.iter().map(|t| t.platform.as_str()).collect();
            return Err(Stop::Usage(tr!("{}: which of {}?", name, known.join(", "))));
        }
    };
    if let Some(url) = given.get("to") {
        let mut w = Writer::new();
        w.text("platform", &platform).text("account", own.as_deref().unwrap_or("")).text("url", url);
        control.ask("POST", "/callbacks", &w.finish())?;
    }
    let mut w = Writer::new();
    w.text("platform", &platform).text("name", &name);
    for key in ["order", "cabinet"] {
        if let Some(value) = given.get(key) {
            w.text(key, value);
        }
    }
    if given.has("failed") {
        w.raw("failed", "true");
    }
    let sent = control.ask("POST", "/trigger", &w.finish())?;
    let ids = Json::parse(sent.as_bytes()).and_then(Json::object).and_then(|o| {
        o.array(&["callbacks"])?
            .unwrap_or_default()
            .into_iter()
            .map(Json::int)
            .collect::<Result<Vec<i64>, Bad>>()
    });
    // What is on its way is waited for: whoever triggers wants to know what came of it.
    control.ask("POST", "/wait", "{\"for\":\"callbacks_idle\",\"timeout_ms\":8000}")?;
    let mut worst = None;
    for id in ids.map_err(odd)? {
        worst = worst.max(tell(given, &control, id, own.as_deref())?);
    }
    if worst.is_none() {
        note(&tr!("{}: nothing was sent to this account.", name));
    }
    Ok(worst.unwrap_or(WRONG))
}

/// What became of one, if it is to this application.
fn tell(given: &Given, control: &Control, id: i64, own: Option<&str>) -> Result<Option<u8>, Stop> {
    let text = control.ask("GET", &format!("/callbacks?id={id}"), "")?;
    let read = || {
        let list = Json::parse(text.as_bytes())?.object()?.array(&["deliveries"])?.unwrap_or_default();
        let one = list.first().copied().ok_or_else(|| Bad::new("deliveries", "is empty"))?.object()?;
        let field = |key: &str| Ok::<_, Bad>(one.string(&[key])?.unwrap_or_default());
        let attempts = one.array(&["attempts"])?.unwrap_or_default();
        let (status, error) = match attempts.last() {
            Some(last) => {
                let o = last.object()?;
                (o.int(&["status"])?.unwrap_or(0), o.string(&["error"])?.unwrap_or_default())
            }
            None => (0, String::new()),
        };
        Ok((field("account")?, field("method")?, field("url")?, field("progress")?, status, error))
    };
    let (account, method, url, progress, status, error) = read().map_err(odd)?;
    if own.is_some_and(|own| own != account) {
        return Ok(None);
    }
    let taken = progress == "delivered";
    let code = if taken { 0 } else { WRONG };
    if given.json() {
        let mut w = Writer::new();
        w.raw("ok", if taken { "true" } else { "false" }).int("callback", id).text("method", &method);
        w.text("url", &url).text("progress", &progress).int("http_status", status).text("error", &error);
        say(&w.finish())?;
    } else if taken {
        say(&tr!("{} was taken by {} (HTTP {}).", method, url, status))?;
    } else if progress == "no_url" {
        note(&tr!("{}: no address is set; --to URL sets one.", method));
    } else {
        let why = if error.is_empty() { progress } else { error };
        note(&tr!("{} was not taken by {}: {}", method, url, why));
    }
    Ok(Some(code))
}
