//! `kiosklink orders export`: a long list in a file, whole, with no order twice, whenever it is interrupted.
//!
//! The period is cut into slices. A slice is fetched whole, appended to the file, synced; then the state beside it is replaced
//! by one that says how long the file is and where the next slice begins. What stands behind that length was written by a
//! process that was killed, and is cut off. Slices are apart by whole seconds, and an order belongs to the slice that listed
//! it first: orders at the edges are remembered by their numbers.

use crate::args::Given;
use crate::names::Named;
use crate::out::{Cell, Done, Progress, Row, Stop, json_of, note, quoted, say};
use crate::tr;
use crate::verbs::order_row;
use kiosklink::client::Client;
use kiosklink::error::{Error, Result as Answer};
use kiosklink::json::{Json, Writer};
use kiosklink::model::{Order, OrderQuery};
use kiosklink::status::KL_E_ARGUMENT;
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A slice of the period: small enough to be held in memory and to be lost, large enough to be few. It grows and shrinks
/// with what is in it.
const FIRST_SLICE_S: i64 = 6 * 3600;
const LEAST_SLICE_S: i64 = 600;
const MOST_SLICE_S: i64 = 31 * 86_400;
const FEW: u64 = 100;
const MANY: u64 = 2000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Csv,
    Lines,
}

/// How far it is.
struct State {
    /// What is exported: the same command again goes on, another does not.
    what: String,
    /// The end of what is finished, in the file.
    length: u64,
    /// From when on orders are still to be fetched.
    next: i64,
    /// How many there are.
    count: u64,
}

fn failed(path: &Path, what: &str, e: &std::io::Error) -> Error {
    Error::os(KL_E_ARGUMENT, format!("{}: {what}", path.display()), e)
}

impl State {
    fn read(path: &Path) -> Answer<Option<State>> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(path, "cannot be read", &e)),
        };
        let read = || {
            let o = Json::parse(&text)?.object()?;
            let number = |key: &str| Ok(o.int(&[key])?.unwrap_or(-1));
            Ok(State {
                what: o.string(&["what"])?.unwrap_or_default(),
                length: number("length")?.max(0) as u64,
                next: number("next")?,
                count: number("count")?.max(0) as u64,
            })
        };
        read().map(Some).map_err(|b: kiosklink::json::Bad| {
            Error::new(KL_E_ARGUMENT, b.sentence(&format!("{}: the state of the export", path.display())))
        })
    }

    /// Replaces it, whole or not at all.
    fn write(&self, path: &Path) -> Answer<()> {
        let mut w = Writer::new();
        w.text("what", &self.what).int("length", self.length as i64).int("next", self.next);
        w.int("count", self.count as i64);
        let fresh = with_ending(path, ".new");
        let write = || {
            let mut file = File::create(&fresh)?;
            file.write_all(w.finish().as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&fresh, path)
        };
        write().map_err(|e| failed(path, "cannot be written", &e))
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Exports, or goes on with it.
pub fn run(given: &Given, client: &Client, query: &OrderQuery) -> Done {
    let output = given.get("output").ok_or_else(|| Stop::Usage(tr!("orders export needs --output FILE")))?;
    let path = Path::new(output);
    let form = match given.get("format") {
        Some("csv") => Form::Csv,
        Some("jsonl") => Form::Lines,
        Some(other) => {
            return Err(Stop::Usage(tr!("--format takes csv or jsonl, not {}", quoted(other))));
        }
        None if output.ends_with(".jsonl") || output.ends_with(".json") => Form::Lines,
        None => Form::Csv,
    };
    let state_path = with_ending(path, ".state");
    // The end of the period is now if it is not given: a continued export keeps the end that it began with.
    let before = if given.has("restart") { None } else { State::read(&state_path)? };
    let mut query = query.clone();
    let what = |query: &OrderQuery| {
        let to = if given.has("to") { query.to.to_string() } else { "now".into() };
        let from = if given.has("from") { query.from.to_string() } else { "default".into() };
        format!(
            "{} {} {from} {to} {} {}",
            client.platform(),
            query.kind.named(),
            query.extra_json.as_deref().unwrap_or("").replace('\n', " "),
            if form == Form::Csv { "csv" } else { "jsonl" }
        )
    };
    let fresh = |path: &Path| {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
            .map_err(|e| failed(path, "cannot be written", &e))
    };
    let mut known = HashSet::new();
    let (mut file, mut state) = match before {
        Some(mut state) => {
            let (asked, ends) = state.what.split_once('\n').unwrap_or((&state.what, ""));
            if asked != what(&query) {
                return Err(Stop::Failed(Error::new(
                    KL_E_ARGUMENT,
                    format!(
                        "{} belongs to another export ({asked}); --restart begins anew, or take another file",
                        state_path.display()
                    ),
                )));
            }
            if let Some((from, to)) = ends.split_once(' ') {
                query.from = from.parse().unwrap_or(query.from);
                query.to = to.parse().unwrap_or(query.to);
            }
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                // One that was stopped before its first order has a state and no file yet.
                .create(true)
                .truncate(false)
                .open(path)
                .map_err(|e| failed(path, "cannot be continued", &e))?;
            let length = file.metadata().map_err(|e| failed(path, "cannot be read", &e))?.len();
            if length < state.length {
                return Err(Stop::Failed(Error::new(
                    KL_E_ARGUMENT,
                    format!("{} is shorter than what was written; --restart begins anew", path.display()),
                )));
            }
            file.set_len(state.length).map_err(|e| failed(path, "cannot be cut", &e))?;
            file.seek(SeekFrom::End(0)).map_err(|e| failed(path, "cannot be continued", &e))?;
            known = numbers_in(path, form)?;
            note(&tr!("goes on behind {} orders", state.count));
            state.next = state.next.max(query.from);
            (file, state)
        }
        None => {
            if path.exists() && !given.has("restart") && path.metadata().is_ok_and(|m| m.len() > 0) {
                return Err(Stop::Failed(Error::new(
                    KL_E_ARGUMENT,
                    format!(
                        "{} is there already and no export to go on with; --restart replaces it",
                        path.display()
                    ),
                )));
            }
            let mut file = fresh(path)?;
            if form == Form::Csv {
                let head: Vec<&str> = in_csv(&order_row(&Order::default())).map(|(n, _)| *n).collect();
                let mark = if given.has("bom") { "\u{feff}" } else { "" };
                file.write_all(format!("{mark}{}\r\n", head.join(",")).as_bytes())
                    .map_err(|e| failed(path, "cannot be written", &e))?;
            }
            let length = file.stream_position().map_err(|e| failed(path, "cannot be written", &e))?;
            let what = format!("{}\n{} {}", what(&query), query.from, query.to);
            let state = State { what, length, next: query.from, count: 0 };
            file.sync_all().map_err(|e| failed(path, "cannot be written", &e))?;
            state.write(&state_path)?;
            (file, state)
        }
    };
    let mut progress = Progress::new();
    let mut slice_s = FIRST_SLICE_S;
    while state.next <= query.to {
        let end = (state.next.saturating_add(slice_s - 1)).min(query.to);
        let slice = OrderQuery { from: state.next, to: end, ..query.clone() };
        let mut pages = client.orders(&slice, 0);
        let mut text = String::new();
        let mut fetched = 0;
        while let Some(order) = pages.next_item()? {
            let id = if order.order_no.is_empty() { order.trade_no.clone() } else { order.order_no.clone() };
            // Two slices may both hold an order that moved while they were fetched.
            if !id.is_empty() && !known.insert(id) {
                continue;
            }
            let row = order_row(&order);
            match form {
                Form::Csv => csv_line(&mut text, &row),
                Form::Lines => {
                    text.push_str(&json_of(&row));
                    text.push('\n');
                }
            }
            fetched += 1;
            progress.tell(&format!("{} orders ...", state.count + fetched));
        }
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(|e| failed(path, "cannot be written", &e))?;
        state.length += text.len() as u64;
        state.count += fetched;
        state.next = end + 1;
        if fetched < FEW {
            slice_s = (slice_s * 2).min(MOST_SLICE_S);
        } else if fetched > MANY {
            slice_s = (slice_s / 2).max(LEAST_SLICE_S);
        }
        if state.next <= query.to {
            state.write(&state_path)?;
        }
    }
    drop(progress);
    // A folder that does not let it go is told by the next export.
    std::fs::remove_file(&state_path).map_err(|e| failed(&state_path, "cannot be removed", &e))?;
    let mut w = Writer::new();
    w.raw("ok", "true").int("orders", state.count as i64).text("output", output);
    w.int("from", query.from).int("to", query.to);
    let words = format!("{} orders in {output}.", state.count);
    match say(&if given.json() { w.finish() } else { words }) {
        Err(Stop::Pipe) => Ok(0),
        other => other.map(|()| 0),
    }
}

/// The orders that are in the file already.
fn numbers_in(path: &Path, form: Form) -> Answer<HashSet<String>> {
    let text = std::fs::read_to_string(path).map_err(|e| failed(path, "cannot be read", &e))?;
    let mut all = HashSet::new();
    match form {
        Form::Lines => {
            for line in text.lines() {
                let id = Json::parse(line.as_bytes())
                    .and_then(Json::object)
                    .and_then(|o| Ok(o.string(&["order_no"])?.or(o.string(&["trade_no"])?)));
                all.extend(id.ok().flatten());
            }
        }
        Form::Csv => {
            for record in csv_records(&text).skip(1) {
                let mut cells = record.into_iter();
                let (order, trade) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
                all.insert(if order.is_empty() { trade } else { order });
            }
        }
    }
    all.remove("");
    Ok(all)
}

/// What a line of CSV holds of a record: what is JSON is for programs.
fn in_csv(row: &Row) -> impl Iterator<Item = &(&'static str, Cell)> {
    row.iter().filter(|(_, cell)| !matches!(cell, Cell::Json(_)))
}

/// One line, as RFC 4180 has it. A text that a spreadsheet would take for a formula gets a quote before it.
fn csv_line(out: &mut String, row: &Row) {
    for (i, (_, cell)) in in_csv(row).enumerate() {
        if i > 0 {
            out.push(',');
        }
        let mut text = cell.plain();
        if matches!(cell, Cell::Text(_)) && text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            text.insert(0, '\'');
        }
        if text.contains([',', '"', '\n', '\r']) {
            out.push('"');
            out.push_str(&text.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(&text);
        }
    }
    out.push_str("\r\n");
}

fn csv_records(text: &str) -> impl Iterator<Item = Vec<String>> {
    let mut chars = text.chars().peekable();
    std::iter::from_fn(move || {
        chars.peek()?;
        let (mut record, mut cell, mut quoted) = (Vec::new(), String::new(), false);
        while let Some(c) = chars.next() {
            match c {
                '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
                '"' => quoted = !quoted,
                ',' if !quoted => record.push(std::mem::take(&mut cell)),
                '\r' if !quoted => {}
                '\n' if !quoted => break,
                c => cell.push(c),
            }
        }
        record.push(cell);
        Some(record)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back() {
        let row: Row = vec![
            ("a", Cell::Text("x,\"y\"\nz".into())),
            ("b", Cell::Text("=1+1".into())),
            ("c", Cell::Money(Some(5))),
            ("d", Cell::Time(0)),
        ];
        let mut line = String::new();
        csv_line(&mut line, &row);
        csv_line(&mut line, &row);
        let all: Vec<_> = csv_records(&line).collect();
        assert_eq!(all, vec![vec!["x,\"y\"\nz".to_owned(), "'=1+1".into(), "5".into(), String::new()]; 2]);
    }
}
