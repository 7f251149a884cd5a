//! `kiosklink story`: what became of one command, on one line of time, from the journal, a log and a simulator.
//!
//! [`journal`] gives the moments that this device recorded; [`log`] and [`vendor`] lay theirs beside them. The order of the
//! journal's records is that of their numbers, their distance that of the boot clock. The device's clock is shown, and
//! where it jumped that is said.

mod journal;
mod log;
mod svg;
mod vendor;

use crate::args::{Given, distance};
use crate::commands::{account, row};
use crate::lang::t;
use crate::out::{
    Cell, Done, Row, Stop, card, columns, json_of, moment, padded, quoted, say, time_of_day, width, wrapped,
};
use crate::tr;
use journal::Journal;
use kiosklink::client::Client;
use kiosklink::command::{Act, Command};
use kiosklink::config::Config;
use kiosklink::error::Error;
use kiosklink::json::Writer;
use kiosklink::log::mask;
use kiosklink::status::{KL_E_ARGUMENT, KL_E_JOURNAL_BUSY, KL_OK};
use std::io::Write;
use std::path::PathBuf;

/// Who tells of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The device's journal.
    Journal,
    /// The log file.
    Log,
    /// The simulator: what happened at the platform.
    Simulator,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Source::Journal => "journal",
            Source::Log => "log",
            Source::Simulator => "simulator",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Source::Journal => t("journal"),
            Source::Log => t("log"),
            Source::Simulator => t("simulator"),
        }
    }
}

/// What a moment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is claimed.
    Intent,
    /// Its bytes leave.
    Sent,
    /// They arrive.
    Received,
    /// They do not, or the answer does not.
    Lost,
    /// An answer leaves the platform.
    Answer,
    /// The platform is asked.
    Asked,
    /// It knew.
    Found,
    /// It ended well.
    Completed,
    /// Nothing happened.
    NotDone,
    /// It waits to be sent.
    Kept,
    /// A door, or a lane.
    Door,
    /// What the machine did, as the platform reports it.
    Moved,
    /// Money, a code, an order at the platform.
    Booked,
    /// The platform reports by itself.
    Callback,
    /// Somebody decides.
    Settled,
    /// A line of the log.
    Line,
    /// The system was started again.
    Restart,
    /// The device's clock was set.
    Clock,
}

impl Kind {
    /// For programs.
    fn name(self) -> &'static str {
        match self {
            Kind::Intent => "intent",
            Kind::Sent => "sent",
            Kind::Received => "received",
            Kind::Lost => "lost",
            Kind::Answer => "answer",
            Kind::Asked => "asked",
            Kind::Found => "found",
            Kind::Completed => "done",
            Kind::NotDone => "not_done",
            Kind::Kept => "kept",
            Kind::Door => "door",
            Kind::Moved => "moved",
            Kind::Booked => "booked",
            Kind::Callback => "callback",
            Kind::Settled => "settled",
            Kind::Line => "log",
            Kind::Restart => "restart",
            Kind::Clock => "clock",
        }
    }

    /// For people.
    fn words(self) -> &'static str {
        match self {
            Kind::Intent => t("intent"),
            Kind::Sent => t("sent"),
            Kind::Received => t("received"),
            Kind::Lost => t("lost"),
            Kind::Answer => t("answer"),
            Kind::Asked => t("asked"),
            Kind::Found => t("found"),
            Kind::Completed => t("done"),
            Kind::NotDone => t("not done"),
            Kind::Kept => t("kept"),
            Kind::Door => t("door"),
            Kind::Moved => t("moved"),
            Kind::Booked => t("booked"),
            Kind::Callback => t("callback"),
            Kind::Settled => t("settled"),
            Kind::Line => t("log"),
            Kind::Restart => t("restart"),
            Kind::Clock => t("clock"),
        }
    }
}

/// One moment.
#[derive(Clone, Debug)]
pub struct Moment {
    /// What it is.
    pub kind: Kind,
    /// Who tells of it.
    pub source: Source,
    /// By the device's clock, Unix seconds.
    pub wall_s: i64,
    /// Milliseconds since the intent.
    pub offset_ms: i64,
    /// The distance is by the device's clock, which may have been set meanwhile.
    pub rough: bool,
    /// What happened, for people.
    pub words: String,
    /// The record's number, the request's in a simulator's log, the line's in a file.
    pub number: u64,
}

/// Everything that is told.
struct Story {
    id: String,
    head: Row,
    account: String,
    moments: Vec<Moment>,
    notes: Vec<String>,
}

/// A path that only the journal's owner may tell, and what is wrong with the journal.
struct Place {
    path: PathBuf,
    known: Result<Command, Error>,
    notes: Vec<String>,
}

/// The journal's file, and what the library says of the command. Sends nothing.
fn place(config: &Config, id: &str) -> Result<Place, Stop> {
    let client = Client::new(config)?;
    let mut notes = Vec::new();
    match client.journal_info() {
        Ok(info) => {
            if info.trouble != KL_OK {
                notes.push(tr!("The journal: {}.", info.trouble_words));
            }
            if !info.damage.is_empty() {
                notes.push(tr!("The journal is damaged: {}. What can be read of it is here.", info.damage));
            }
            Ok(Place { path: info.path, known: client.command_get(id), notes })
        }
        // A process that hangs holds its lock; the file can be read all the same.
        Err(e) if e.status() == KL_E_JOURNAL_BUSY => {
            let folder = config.get("state_dir").unwrap_or_default();
            let begin = format!("commands-{}-", config.platform().name());
            let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
            let mut of_platform = names.filter(|path| {
                let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                name.starts_with(&begin) && name.ends_with(".journal")
            });
            match (of_platform.next(), of_platform.next()) {
                (Some(path), None) => {
                    notes.push(tr!(
                        "Another process holds the journal's lock: it was read without the lock, and its last record may be missing."
                    ));
                    Ok(Place { path, known: Err(e), notes })
                }
                _ => Err(e.into()),
            }
        }
        Err(e) => Err(e.into()),
    }
}

/// Names that are nearly the one that was asked for, the nearest first.
fn nearest(names: &[String], wanted: &str) -> Vec<String> {
    let most = 2 + wanted.chars().count() / 4;
    let mut near: Vec<(usize, &String)> = names
        .iter()
        .filter_map(|name| {
            let far = if name.starts_with(wanted) || wanted.starts_with(name.as_str()) {
                0
            } else {
                distance(name, wanted)
            };
            (far <= most).then_some((far, name))
        })
        .collect();
    near.sort();
    near.into_iter().take(3).map(|(_, name)| name.clone()).collect()
}

/// `kiosklink story`
pub fn run(given: &Given) -> Done {
    let id = given.arg(0);
    let config = given.config()?;
    if config.get("state_dir").is_none_or(|dir| dir == "none") {
        return Err(Stop::Usage(tr!(
            "the account has no state_dir: commands are remembered only by the process that sent them"
        )));
    }
    let place = place(&config, &id)?;
    let mut notes = place.notes;
    let bytes = match std::fs::read(&place.path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(Error::os(KL_E_ARGUMENT, place.path.display().to_string(), &e).into()),
    };
    let journal = Journal::read(&String::from_utf8_lossy(&bytes));
    let mut moments = journal.moments(&id);
    let known = match place.known {
        Ok(known) => Some(known),
        Err(_) if !moments.is_empty() => None,
        // What became of the name the library knows best: nothing, or that it cannot be known.
        Err(e) => {
            let near = nearest(&journal.names(), &id);
            let why = match (bytes.is_empty(), near.is_empty()) {
                (true, _) => format!("there is no journal of this account yet: {}", e.message()),
                (_, true) => e.message().to_owned(),
                _ => format!("{}; did you mean {}?", e.message(), near.join(", ")),
            };
            return Err(Stop::Act(e.with(|d| d.message = why), id));
        }
    };
    if moments.is_empty() {
        notes.push(tr!("Of this command the journal keeps nothing but that it was done."));
    }
    let act = journal.act(&id).or_else(|| known.as_ref().map(|c| c.act.clone()));
    let numbers = journal.numbers(&id, known.as_ref());
    if let Some(file) = given.get("log") {
        let read = std::fs::read(file).map_err(|e| Error::os(KL_E_ARGUMENT, file, &e))?;
        let host = config.get("base_url").unwrap_or_default();
        log::lay(&mut moments, &mut notes, &String::from_utf8_lossy(&read), &id, &numbers, host);
    }
    if given.has("simulator") {
        let control = crate::simulator::Control::of(given)?;
        vendor::lay(&mut moments, &mut notes, &control, &numbers, act.as_ref())?;
    }
    // A later record does not move before an earlier one that bears a later time.
    let mut floor = i64::MIN;
    for m in moments.iter_mut().filter(|m| m.source == Source::Journal) {
        floor = floor.max(m.offset_ms);
        m.offset_ms = floor;
    }
    moments.sort_by_key(|m| (m.offset_ms, m.kind == Kind::Completed || m.kind == Kind::Found));
    for m in &mut moments {
        m.words = m.words.replace(|c: char| c.is_control(), " ");
    }
    if journal.unread > 0 {
        notes.push(tr!("Lines of the journal that cannot be read: {}.", journal.unread));
    }
    if moments.iter().any(|m| m.rough) {
        notes.push(tr!("~ by the device's clock, which may have been set meanwhile."));
    }
    let story = Story {
        head: head(&id, act.as_ref(), known.as_ref(), &moments),
        id,
        account: account(&config),
        moments,
        notes,
    };
    if let Some(path) = given.get("svg") {
        let picture = svg::draw(&story);
        write(path, &mask(&picture))?;
        if !given.json() {
            crate::out::note(&tr!("{} holds the picture.", path));
        }
    }
    say(&if given.json() { story.json() } else { story.text() })?;
    Ok(0)
}

/// A file that must not be there yet, for those who take part.
fn write(path: &str, text: &str) -> Result<(), Stop> {
    use std::os::unix::fs::OpenOptionsExt;
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|e| Error::os(KL_E_ARGUMENT, path, &e).into())
}

/// What the command was and what became of it.
fn head(id: &str, act: Option<&Act>, known: Option<&Command>, moments: &[Moment]) -> Row {
    // What a vendor needs to find it, and nothing of the customer.
    const NAMED: [&str; 14] = [
        "request_id",
        "verb",
        "cabinet_id",
        "door_or_code",
        "started_at",
        "outcome",
        "physical",
        "physical_error",
        "settled_by",
        "order_no",
        "item_no",
        "delivery_no",
        "mark",
        "status",
    ];
    if let Some(known) = known {
        return row(known).into_iter().filter(|(name, _)| NAMED.contains(name)).collect();
    }
    let verb = match act {
        Some(Act::Door(_)) => "open",
        Some(Act::Redeem(_)) => "redeem",
        Some(Act::Write { verb, .. }) => verb,
        None => "",
    };
    vec![
        ("request_id", Cell::Text(id.to_owned())),
        ("verb", Cell::Text(verb.to_owned())),
        ("started_at", Cell::Time(moments.first().map_or(0, |m| m.wall_s))),
    ]
}

/// A distance in time, as it stands beside a moment.
fn offset(m: &Moment) -> String {
    let ms = m.offset_ms;
    let (sign, ms) = (if ms < 0 { '-' } else { '+' }, ms.unsigned_abs());
    let s = ms / 1000;
    let text = match s {
        0..60 => format!("{sign}{s}.{:03} s", ms % 1000),
        60..3600 => format!("{sign}{} min {:02} s", s / 60, s % 60),
        3600..86_400 => format!("{sign}{} h {:02} min", s / 3600, s % 3600 / 60),
        _ => format!("{sign}{} d {:02} h", s / 86_400, s % 86_400 / 3600),
    };
    if m.rough { format!("~{text}") } else { text }
}

/// The day and the time of day in the chosen zone.
fn day_and_time(m: &Moment) -> (String, String) {
    let day = moment(m.wall_s).chars().take_while(|c| *c != ' ').collect();
    (day, time_of_day(m.wall_s))
}

/// The zone of the times.
fn zone() -> String {
    moment(0).rsplit(' ').next().unwrap_or_default().to_owned()
}

impl Story {
    /// Who decided, and when.
    fn end(&self) -> Option<&Moment> {
        let ends = [Kind::Completed, Kind::NotDone, Kind::Found, Kind::Settled, Kind::Lost, Kind::Callback];
        self.moments.iter().rev().find(|m| m.source == Source::Journal && ends.contains(&m.kind))
    }

    /// What a moment says, with who says it, if it is not this device's journal.
    fn said(m: &Moment) -> String {
        match m.source {
            Source::Journal => m.words.clone(),
            other => tr!("{}: {}", other.words(), m.words),
        }
    }

    fn text(&self) -> String {
        let mut out = card(&self.head);
        let wide = width();
        let narrow = wide < 70;
        let offsets = self.moments.iter().map(|m| columns(&offset(m))).max().unwrap_or(0);
        let kinds = self.moments.iter().map(|m| columns(m.kind.words())).max().unwrap_or(0);
        let mut day = String::new();
        for m in &self.moments {
            let (today, time) = day_and_time(m);
            if today != day {
                out.push_str(&format!("\n\n{today} {}", zone()));
                day = today;
            }
            let (far, kind) = (offset(m), m.kind.words());
            if narrow {
                out.push_str(&format!("\n{time} {far}  {kind}\n"));
                out.push_str(&wrapped(&format!("  {}", Story::said(m)), 2, wide));
            } else {
                let pad = " ".repeat(offsets - columns(&far));
                let begin = format!("{time}  {pad}{far}  {}  ", padded(kind, kinds));
                let indent = columns(&begin);
                out.push('\n');
                out.push_str(&wrapped(&format!("{begin}{}", Story::said(m)), indent, wide));
            }
        }
        let mut notes = self.notes.clone();
        if let Some(end) = self.end() {
            notes.insert(
                0,
                tr!(
                    "Last word: {} after the intent: {}.",
                    offset(end).trim_start_matches('+'),
                    end.words.trim_end_matches('.')
                ),
            );
        }
        notes.push(tr!("Secrets are left out."));
        out.push('\n');
        for note in &notes {
            out.push('\n');
            out.push_str(&wrapped(note, 2, wide));
        }
        out
    }

    fn json(&self) -> String {
        let moments: Vec<String> = self
            .moments
            .iter()
            .map(|m| {
                let mut w = Writer::new();
                w.int("at", m.wall_s).int("offset_ms", m.offset_ms);
                if m.rough {
                    w.raw("rough", "true");
                }
                w.text("kind", m.kind.name()).text("source", m.source.name());
                w.int("number", i64::try_from(m.number).unwrap_or(i64::MAX)).text("words", &m.words);
                w.finish()
            })
            .collect();
        let notes: Vec<String> = self.notes.iter().map(|n| quoted(n)).collect();
        let mut w = Writer::new();
        w.int("kiosklink-story", 1).text("request_id", &self.id).text("kiosklink", env!("CARGO_PKG_VERSION"));
        w.raw("account", &self.account).raw("command", &json_of(&self.head));
        w.raw("moments", &format!("[{}]", moments.join(",")));
        w.raw("notes", &format!("[{}]", notes.join(",")));
        w.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset_ms: i64, rough: bool) -> Moment {
        Moment {
            kind: Kind::Sent,
            source: Source::Journal,
            wall_s: 0,
            offset_ms,
            rough,
            words: String::new(),
            number: 1,
        }
    }

    #[test]
    fn distances_are_told_in_the_unit_that_fits() {
        for (ms, words) in [
            (0, "+0.000 s"),
            (-5, "-0.005 s"),
            (59_999, "+59.999 s"),
            (61_000, "+1 min 01 s"),
            (7_260_000, "+2 h 01 min"),
            (90_000_000, "+1 d 01 h"),
        ] {
            assert_eq!(offset(&at(ms, false)), words);
        }
        assert_eq!(offset(&at(1_000, true)), "~+1.000 s");
        assert_eq!((zone(), day_and_time(&at(0, false)).1), ("UTC".into(), "00:00:00".into()));
    }

    #[test]
    fn names_that_are_nearly_right_are_suggested() {
        let names: Vec<String> = ["visit-4711", "visit-4712", "other"].map(str::to_owned).into();
        assert_eq!(nearest(&names, "visit-4171"), ["visit-4711", "visit-4712"]);
        assert_eq!(nearest(&names, "visit-47"), ["visit-4711", "visit-4712"]);
        assert!(nearest(&names, "something-else").is_empty());
    }
}
