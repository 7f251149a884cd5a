//! What is printed, and how a command ends.

use crate::lang::{language, t};
use crate::tr;
use kiosklink::error::{Advice, Error, Outcome};
use kiosklink::json::{Writer, push_string};
use kiosklink::log::mask;
use kiosklink::status::{self, *};
use kiosklink::time::clock::format_time;
use kiosklink::wording::{self, Language};
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicI64, Ordering};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How a command ended that could do its work: the exit code.
pub type Done = Result<u8, Stop>;

/// Why a command stopped.
#[derive(Debug)]
pub enum Stop {
    /// Called wrongly.
    Usage(String),
    /// The library said no.
    Failed(Error),
    /// The library said no to the act with this `request_id`.
    Act(Error, String),
    /// The reader of the output left.
    Pipe,
    /// The output could not be written.
    Output(io::Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        if error.kind() == io::ErrorKind::BrokenPipe { Stop::Pipe } else { Stop::Output(error) }
    }
}

/// Called wrongly.
pub const USAGE: u8 = 64;
/// The output could not be written.
pub const OUTPUT: u8 = 74;
/// The reader of the output left, as if SIGPIPE had ended the process.
pub const PIPE: u8 = 141;
/// A check found something wrong.
pub const WRONG: u8 = 5;

/// The exit code of an error.
pub fn exit_code(error: &Error) -> u8 {
    // It may still take effect: a person's word comes too early, and nothing is wrong with it.
    if error.status() == KL_E_TOO_EARLY {
        return 6;
    }
    // Taken, but the movement is not confirmed.
    if matches!(error.status(), KL_E_PENDING | KL_E_NOT_MOVED | KL_E_UNKNOWABLE) {
        return 4;
    }
    match error.details().outcome {
        Outcome::Unknown => return 3,
        Outcome::NotDone => return 2,
        Outcome::Done | Outcome::None => {}
    }
    match error.status() {
        KL_E_DNS..=KL_E_TIMEOUT_REPLY | KL_E_TLS..=KL_E_CLOCK => 10,
        KL_E_AUTH | KL_E_PERMISSION | KL_E_ACCOUNT | KL_E_TOKEN => 11,
        KL_E_NOT_FOUND | KL_E_UNSUPPORTED => 12,
        KL_E_RATE_LIMIT => 13,
        _ => 1,
    }
}

/// Prints a line to the standard output, without any registered secret.
pub fn say(line: &str) -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    out.write_all(mask(line).as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// Prints a command's own result: it happened, whoever reads of it.
pub fn say_of_command(line: &str, code: u8) -> Done {
    match say(line) {
        Ok(()) | Err(Stop::Pipe) => Ok(code),
        Err(other) => Err(other),
    }
}

/// Prints a line about what is going on, where it is in nobody's way.
pub fn note(line: &str) {
    // Nothing depends on it.
    let _ = writeln!(io::stderr(), "{}", mask(line));
}

/// The name of an error's code.
pub fn name_of(error: &Error) -> &'static str {
    status::name(error.status()).unwrap_or("KL_E_?")
}

/// An error for a person.
pub fn error_words(error: &Error) -> String {
    let outcome = match error.details().outcome {
        Outcome::None => "",
        Outcome::Done => "It was done all the same.",
        // Safe is not all that trying again must be: what else it takes, the advice says.
        Outcome::NotDone if matches!(error.details().advice, Advice::None | Advice::Retry) => {
            "Nothing was done; trying again is safe."
        }
        Outcome::NotDone => "Nothing was done.",
        Outcome::Unknown => "It is NOT KNOWN whether it happened: never repeat it under another name.",
    };
    let advice = match error.details().advice {
        Advice::None => "",
        Advice::Retry => "Trying again may help.",
        Advice::AskFirst => "Find out what became of it first.",
        Advice::CallPerson => "A person must look.",
        Advice::Fix => "Trying again will not help: something must be corrected.",
    };
    // A person's word that comes too early changes nothing, and the message says when it is taken.
    let (outcome, advice) = if error.status() == KL_E_TOO_EARLY { ("", "") } else { (outcome, advice) };
    let meaning = match language() {
        Language::English => String::new(),
        Language::Chinese => wording::of_status(error.status(), Language::Chinese),
    };
    let message = mask(error.message());
    let lines = [meaning.as_str(), &message, t(outcome), t(advice)];
    let said = lines.iter().filter(|l| !l.is_empty()).copied().collect::<Vec<_>>().join("\n");
    format!("{said}\n({})", name_of(error))
}

/// An outcome's word.
pub fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::None => "none",
        Outcome::Done => "done",
        Outcome::NotDone => "not_done",
        Outcome::Unknown => "unknown",
    }
}

/// An error for a program.
pub fn error_json(error: &Error) -> String {
    error_json_of(error, "")
}

/// The same of an act with this `request_id`; empty for none.
pub fn error_json_of(error: &Error, request_id: &str) -> String {
    let d = error.details();
    let advice = match d.advice {
        Advice::None => "none",
        Advice::Retry => "retry",
        Advice::AskFirst => "ask_first",
        Advice::CallPerson => "call_person",
        Advice::Fix => "fix",
    };
    let mut w = Writer::new();
    w.raw("ok", "false").text("status", name_of(error)).int("code", d.status.into()).text("advice", advice);
    if d.outcome != Outcome::None {
        w.text("outcome", outcome_word(d.outcome));
    }
    w.text("request_id", request_id);
    w.int("http_status", d.http_status.into()).int("platform_code", d.platform_code.into());
    w.int("os_errno", d.os_errno.into()).int("retry_after_ms", d.retry_after_ms.into());
    w.text("platform_name", &mask(&d.platform_name));
    w.text("platform_message", &mask(&d.platform_message)).text("message", &mask(&d.message));
    w.finish()
}

/// One value of a record.
#[derive(Clone, Debug)]
pub enum Cell {
    /// A text; nothing if empty.
    Text(String),
    /// A number; `None` if it is not told.
    Number(Option<i64>),
    /// A sum in fen; `None` if it is not told.
    Money(Option<i64>),
    /// Unix seconds; 0 if it is not told.
    Time(i64),
    /// A span of milliseconds; 0 if there is none.
    Millis(u64),
    /// Yes, no, or not told.
    Bool(Option<bool>),
    /// JSON text, shown to programs only.
    Json(String),
    /// A text that is shown to persons only, where a program gets the JSON.
    Words(String),
}

/// A record: names and values, in their order.
pub type Row = Vec<(&'static str, Cell)>;

impl Cell {
    /// For a person, and for a table of values.
    pub fn words(&self) -> String {
        match self {
            Cell::Text(text) | Cell::Words(text) => text.replace(|c: char| c.is_control(), " "),
            Cell::Number(None) | Cell::Money(None) | Cell::Time(0) | Cell::Millis(0) | Cell::Bool(None) => {
                String::new()
            }
            Cell::Millis(ms) => span(*ms),
            Cell::Number(Some(n)) => n.to_string(),
            Cell::Money(Some(fen)) => {
                format!("{}{}.{:02}", if *fen < 0 { "-" } else { "" }, fen.abs() / 100, fen.abs() % 100)
            }
            Cell::Time(unix) => moment(*unix),
            Cell::Bool(Some(yes)) => (if *yes { "yes" } else { "no" }).to_owned(),
            Cell::Json(json) => json.clone(),
        }
    }

    /// For a spreadsheet: exact, and the same on every device.
    pub fn plain(&self) -> String {
        match self {
            Cell::Text(text) => text.clone(),
            Cell::Money(Some(fen)) => fen.to_string(),
            Cell::Time(unix) if *unix != 0 => unix.to_string(),
            other => other.words(),
        }
    }
}

static ZONE: AtomicI64 = AtomicI64::new(0);

/// The zone of times that name none, and of those that are shown: seconds east of UTC.
pub fn zone() -> i64 {
    ZONE.load(Ordering::Relaxed)
}

/// Chooses it, once, before anything is read or shown.
pub fn set_zone(seconds: i64) {
    ZONE.store(seconds, Ordering::Relaxed);
}

/// The time of day in the chosen zone.
pub fn time_of_day(unix: i64) -> String {
    let s = unix.saturating_add(zone()).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}

/// A time for a person, in the chosen zone.
pub fn moment(unix: i64) -> String {
    let zone = zone();
    let text = format_time(unix.saturating_add(zone));
    if zone == 0 {
        return text;
    }
    let (sign, s) = (if zone < 0 { '-' } else { '+' }, zone.abs());
    format!("{}{sign}{:02}:{:02}", text.trim_end_matches("UTC"), s / 3600, s % 3600 / 60)
}

/// A span of time for a person, in its two largest units; a part of a second counts as a whole one.
fn span(ms: u64) -> String {
    let s = ms.div_ceil(1000);
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => format!("{} min {} s", s / 60, s % 60),
        3_600..86_400 => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// A record as one JSON object. What is not told is left out.
pub fn json_of(row: &Row) -> String {
    let mut w = Writer::new();
    for (name, cell) in row {
        match cell {
            Cell::Text(text) => {
                w.text(name, text);
            }
            Cell::Number(Some(n)) | Cell::Money(Some(n)) => {
                w.int(name, *n);
            }
            Cell::Time(unix) if *unix != 0 => {
                w.int(name, *unix);
            }
            Cell::Millis(ms) if *ms != 0 => {
                w.int(name, i64::try_from(*ms).unwrap_or(i64::MAX));
            }
            Cell::Bool(Some(yes)) => {
                w.raw(name, if *yes { "true" } else { "false" });
            }
            Cell::Json(json) if !json.is_empty() => {
                w.raw(name, json);
            }
            _ => {}
        }
    }
    w.finish()
}

/// A text as JSON.
pub fn quoted(text: &str) -> String {
    let mut out = String::new();
    push_string(&mut out, text);
    out
}

/// One record for a person: a line each.
pub fn card(row: &Row) -> String {
    let told: Vec<(&str, String)> = row
        .iter()
        .filter(|(_, cell)| !matches!(cell, Cell::Json(_)))
        .map(|(name, cell)| (*name, cell.words()))
        .filter(|(_, text)| !text.is_empty())
        .collect();
    let wide = told.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = told.iter().map(|(name, text)| {
        let line = format!("{name:wide$}  {text}");
        // Where nobody looks no line is broken.
        terminal().map_or(line.clone(), |columns| wrapped(&line, wide + 2, columns))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The marks of a colour around a text: only on a terminal, and not if NO_COLOR says so.
pub fn coloured(text: &str, colour: &str) -> String {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|v| v == "dumb");
    if unwanted || dumb || !io::stdout().is_terminal() {
        return text.to_owned();
    }
    format!("\x1b[{colour}m{text}\x1b[0m")
}

/// Prints records as they come: a table in pieces for a person, a line each for a program.
pub struct Table {
    json: bool,
    raw: bool,
    rows: Vec<Row>,
    printed: u64,
    widths: Vec<usize>,
    cards: bool,
}

impl Table {
    /// So many rows decide on the widths of the columns.
    const PIECE: usize = 50;

    /// For a person or for a program; `raw` for the platform's own records.
    pub fn new(json: bool, raw: bool) -> Table {
        Table { json, raw, rows: Vec::new(), printed: 0, widths: Vec::new(), cards: false }
    }

    /// One more.
    pub fn add(&mut self, row: Row, record: &str) -> Result<(), Stop> {
        if self.json || self.raw {
            self.printed += 1;
            return say(&if self.raw { record.to_owned() } else { json_of(&row) });
        }
        self.rows.push(row);
        if self.rows.len() == Table::PIECE { self.print() } else { Ok(()) }
    }

    /// A record below the other, a line for each value: where the table is wider than the terminal.
    fn print_cards(&mut self, cards: &[String]) -> Result<(), Stop> {
        for card in cards {
            if self.printed > 0 {
                say("")?;
            }
            say(card)?;
            self.printed += 1;
        }
        Ok(())
    }

    fn print(&mut self) -> Result<(), Stop> {
        let cards: Vec<String> = self.rows.iter().map(card).collect();
        let shown: Vec<Vec<(&str, String)>> = self
            .rows
            .drain(..)
            .map(|row| {
                row.into_iter()
                    .filter(|(_, cell)| !matches!(cell, Cell::Json(_)))
                    .map(|(name, cell)| (name, cell.words()))
                    .collect()
            })
            .collect();
        if self.cards {
            return self.print_cards(&cards);
        }
        let Some(first) = shown.first() else { return Ok(()) };
        let head: Vec<&str> = first.iter().map(|(name, _)| *name).collect();
        self.widths.resize(head.len(), 0);
        for (i, width) in self.widths.iter_mut().enumerate() {
            let rows = shown.iter().filter_map(|r| r.get(i)).map(|(_, text)| columns(text));
            *width = rows.chain([columns(head[i])]).chain([*width]).max().unwrap_or(0);
        }
        // A column that nobody told anything about is left out.
        let told: Vec<bool> = (0..head.len())
            .map(|i| shown.iter().any(|r| r.get(i).is_some_and(|(_, t)| !t.is_empty())))
            .collect();
        let line = |cells: &[&str]| {
            let mut text = String::new();
            for (i, cell) in cells.iter().enumerate().filter(|(i, _)| told[*i]) {
                text.push_str(cell);
                let pad = self.widths[i].saturating_sub(columns(cell)) + 2;
                text.extend(std::iter::repeat_n(' ', pad));
            }
            text.trim_end().to_owned()
        };
        if self.printed == 0 {
            // The first rows decide for all.
            let rows = shown.iter().map(|row| row.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>());
            let widest = rows.chain([head.clone()]).map(|cells| columns(&line(&cells))).max().unwrap_or(0);
            if terminal().is_some_and(|most| widest > most) {
                self.cards = true;
                return self.print_cards(&cards);
            }
            say(&line(&head))?;
        }
        for row in &shown {
            let cells: Vec<&str> = row.iter().map(|(_, text)| text.as_str()).collect();
            say(&line(&cells))?;
            self.printed += 1;
        }
        Ok(())
    }

    /// The rest, and how many there were.
    pub fn finish(mut self, what: &str) -> Done {
        self.print()?;
        if self.printed == 0 && !self.json {
            say(&tr!("No {}.", t(what)))?;
        }
        Ok(0)
    }
}

/// How many columns of a terminal a text takes: what is written in East Asia takes two each, and so do emoji.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// A text and the spaces that make it so many columns wide.
pub fn padded(text: &str, wide: usize) -> String {
    format!("{text}{}", " ".repeat(wide.saturating_sub(columns(text))))
}

/// How wide the terminal is; `None` if the output goes elsewhere, where no line is broken. COLUMNS decides if it is set.
pub fn terminal() -> Option<usize> {
    let said = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).filter(|n| *n > 0);
    let asked = || {
        let out = io::stdout();
        out.is_terminal().then(|| rustix::termios::tcgetwinsize(out).map_or(80, |size| size.ws_col.into()))
    };
    said.or_else(asked).map(|n: usize| n.max(20))
}

/// How wide text is set: the terminal's width, at most 100; 80 where the output goes elsewhere.
pub fn width() -> usize {
    terminal().map_or(80, |n| n.min(100))
}

/// Breaks a text into lines of so many columns, those after the first indented. Between two letters that are two columns wide a line
/// may end too, but not before a mark of punctuation.
pub fn wrapped(text: &str, indent: usize, wide: usize) -> String {
    // Too narrow for the indentation: it is given up.
    let indent = if indent + 20 > wide { 2 } else { indent };
    let mut out = String::new();
    let mut at = 0;
    for (i, line) in text.split('\n').enumerate() {
        if i > 0 {
            out.push('\n');
            at = 0;
        }
        for piece in pieces(line) {
            let takes = columns(piece.trim_end());
            if at > 0 && at + takes > wide {
                out.truncate(out.trim_end_matches(' ').len());
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                at = indent;
            }
            out.push_str(piece);
            at += columns(piece);
        }
        out.truncate(out.trim_end_matches(' ').len());
    }
    out
}

/// Where a line may be broken: behind spaces, and between wide letters.
fn pieces(line: &str) -> Vec<&str> {
    let wide = |c: char| c.width() == Some(2);
    let closes = |c: char| "，。；：、？！）》」』”".contains(c);
    let opens = |c: char| "（《「『“".contains(c);
    let mut all = Vec::new();
    let mut start = 0;
    let mut before: Option<char> = None;
    for (at, c) in line.char_indices() {
        let breaks = before.is_some_and(|b| {
            (b == ' ' && c != ' ')
                || ((wide(b) || wide(c)) && b != ' ' && c != ' ' && !closes(c) && !opens(b))
        });
        // The spaces that a line begins with belong to what follows.
        if breaks && !line[start..at].trim().is_empty() {
            all.push(&line[start..at]);
            start = at;
        }
        before = Some(c);
    }
    all.push(&line[start..]);
    all
}

/// How far a long list is, told where it is in nobody's way, and only to a person.
pub struct Progress {
    shown: std::time::Instant,
    person: bool,
    wrote: bool,
}

impl Progress {
    /// Quiet for the first second.
    pub fn new() -> Progress {
        Progress { shown: std::time::Instant::now(), person: io::stderr().is_terminal(), wrote: false }
    }

    /// Says it, if it is time to.
    pub fn tell(&mut self, text: &str) {
        if self.person && self.shown.elapsed().as_millis() >= 1000 {
            self.shown = std::time::Instant::now();
            self.wrote = true;
            // Nothing depends on it.
            let _ = write!(io::stderr(), "\r\x1b[K{text}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.wrote {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_widths() {
        assert_eq!(Cell::Money(Some(-5)).words(), "-0.05");
        assert_eq!(Cell::Money(Some(1234)).words(), "12.34");
        assert_eq!(Cell::Money(Some(1234)).plain(), "1234");
        for (text, wide) in [("柜A", 3), ("冰咖啡 ☕", 9), ("é", 1), ("👨‍👩‍👧", 2)] {
            assert_eq!(columns(text), wide, "{text}");
        }
        for (ms, words) in
            [(0, ""), (1, "1 s"), (61_000, "1 min 1 s"), (7_260_000, "2 h 1 min"), (90_000_000, "1 d 1 h")]
        {
            assert_eq!(Cell::Millis(ms).words(), words);
        }
    }

    #[test]
    fn lines_are_broken_between_words_and_between_wide_letters() {
        let text = "bad   dns          平台的域名解析不到地址。检查 base_url 和 DNS 设置。";
        let broken = wrapped(text, 19, 40);
        assert!(broken.lines().count() > 1 && broken.lines().all(|l| columns(l) <= 40), "{broken}");
        assert!(broken.lines().skip(1).all(|l| l.starts_with(&" ".repeat(19))), "{broken}");
        assert!(!broken.lines().any(|l| l.trim_start().starts_with('。')), "{broken}");
        assert_eq!(wrapped("one two three", 2, 8), "one two\n  three");
        assert_eq!(wrapped("a\n  b", 4, 80), "a\n  b");
    }

    // FAULTS G: "trying again is safe" stood above "trying again will not help".
    #[test]
    fn what_is_said_of_trying_again_does_not_contradict_itself() {
        let said = |outcome, advice| {
            error_words(&Error::new(KL_E_AUTH, "x").with(|d| (d.outcome, d.advice) = (outcome, advice)))
        };
        for advice in [Advice::AskFirst, Advice::CallPerson, Advice::Fix] {
            let words = said(Outcome::NotDone, advice);
            assert!(words.contains("Nothing was done.") && !words.contains("is safe"), "{words}");
        }
        let words = said(Outcome::NotDone, Advice::Retry);
        assert!(words.contains("is safe") && words.contains("may help"), "{words}");
        let words = said(Outcome::Unknown, Advice::AskFirst);
        assert!(words.contains("NOT KNOWN") && words.contains("Find out"), "{words}");
    }

    #[test]
    fn what_became_of_a_command_decides_before_its_reason() {
        let e = Error::new(KL_E_TIMEOUT_REPLY, "x");
        assert_eq!(exit_code(&e), 10);
        assert_eq!(exit_code(&e.clone().with(|d| d.outcome = Outcome::Unknown)), 3);
        assert_eq!(exit_code(&e.with(|d| d.outcome = Outcome::NotDone)), 2);
        assert_eq!(exit_code(&Error::new(KL_E_AUTH, "x")), 11);
    }
}
