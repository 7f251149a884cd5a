//! Reads the command line by the table.

use crate::lang::t;
use crate::out::{Stop, quoted};
use crate::table::{ACCOUNT, ALWAYS, Account, Flag, JSON, VERBS, Verb};
use crate::tr;
use kiosklink::config::{Config, KEYS};
use kiosklink::error::{Error, Result as Answer};
use kiosklink::log::Masked;
use kiosklink::status::{KL_E_ARGUMENT, KL_E_CONFIG_FILE};
use kiosklink::time::clock::parse_http_date;
use std::io::Read;

/// The file that is used when none is named and it is there.
const DEFAULT_ACCOUNTS: &str = "/etc/kiosklink/accounts.json";
/// The largest secret and the largest input that are read.
const LARGEST_SECRET: u64 = 64 << 10;
const LARGEST_INPUT: u64 = 16 << 20;

/// A command with what it was given.
pub struct Given {
    /// Which command.
    pub verb: &'static Verb,
    /// Its arguments.
    pub args: Vec<String>,
    flags: Vec<(String, String)>,
    /// Values that are not shown in what is printed from here on.
    _masked: std::cell::RefCell<Vec<Masked>>,
}

/// What the line asks for.
pub enum Wish {
    /// A command.
    Run(Given),
    /// Help, for one command or for all.
    Help(Option<&'static Verb>),
    /// The version.
    Version,
}

/// The flags of a setting, `app_id` as `--app-id`.
pub fn spelled(key: &str) -> String {
    key.replace('_', "-")
}

/// Reads the line. The error says what is wrong with it.
pub fn parse(given: impl Iterator<Item = String>) -> Result<Wish, String> {
    let mut words: Vec<String> = Vec::new();
    let mut flags: Vec<(String, Option<String>)> = Vec::new();
    let mut given = given.peekable();
    let mut only_words = false;
    // Whether a flag takes a value depends on the command, but no flag takes one here and none there.
    while let Some(word) = given.next() {
        if only_words || !word.starts_with('-') || word == "-" {
            words.push(word);
        } else if word == "--" {
            only_words = true;
        } else if word == "-h" {
            flags.push(("help".into(), None));
        } else if word == "-V" {
            flags.push(("version".into(), None));
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, inline) = match long.split_once('=') {
                Some((name, value)) => (name.replace('_', "-"), Some(value.to_owned())),
                None => (long.replace('_', "-"), None),
            };
            let value = match takes_value(&name) {
                None => return Err(tr!("unknown argument --{}; --help lists the known ones", name)),
                Some(false) if inline.is_some() => return Err(tr!("--{} takes no value", name)),
                Some(false) => None,
                Some(true) => {
                    Some(inline.or_else(|| given.next()).ok_or_else(|| tr!("--{} needs a value", name))?)
                }
            };
            flags.push((name, value));
        } else {
            return Err(tr!("unknown argument {}; --help lists the known ones", word));
        }
    }
    if flags.iter().any(|(n, _)| n == "version") {
        return Ok(Wish::Version);
    }
    let helps = flags.iter().any(|(n, _)| n == "help");
    if words.first().is_some_and(|w| w == "help") {
        words.remove(0);
        return Ok(Wish::Help(find(&words).map(|(verb, _)| verb)));
    }
    let Some((verb, used)) = find(&words) else {
        if helps {
            return Ok(Wish::Help(None));
        }
        let known: Vec<String> = match words.first() {
            None => return Err(tr!("say what to do; --help lists what there is")),
            Some(first) => VERBS.iter().filter(|v| v.words[0] == first).map(|v| v.words.join(" ")).collect(),
        };
        if known.is_empty() {
            let said = words.join(" ");
            return Err(match nearest(&words) {
                Some(verb) => tr!("unknown command {}; did you mean {}?", said, verb),
                None => tr!("unknown command {}; --help lists the known ones", said),
            });
        }
        return Err(tr!("{}: which of {}?", words.join(" "), known.join(", ")));
    };
    if helps {
        return Ok(Wish::Help(Some(verb)));
    }
    let args = words.split_off(used);
    let name = verb.words.join(" ");
    if let Some(missing) = verb.args.get(args.len()).filter(|a| a.needed) {
        return Err(tr!("{} needs {}: {}", name, missing.name, t(missing.doc)));
    }
    if let Some(more) = args.get(verb.args.len()) {
        return Err(tr!("{} takes no more arguments: {}", name, quoted(more)));
    }
    for (flag, _) in &flags {
        if !flags_of(verb).any(|f| f == *flag) {
            return Err(tr!("{} has no --{}; kiosklink help {} lists what it has", name, flag, name));
        }
    }
    let flags: Vec<(String, String)> = flags.into_iter().map(|(n, v)| (n, v.unwrap_or_default())).collect();
    if let Some((_, zone)) = flags.iter().rev().find(|(n, _)| n == "tz") {
        let seconds = parse_zone(zone);
        crate::out::set_zone(
            seconds.ok_or_else(|| tr!("--tz takes a zone like +08:00 or Z, not {}", quoted(zone)))?,
        );
    }
    Ok(Wish::Run(Given { verb, args, flags, _masked: std::cell::RefCell::default() }))
}

/// The command that the first words name, and how many of them that took.
fn find(words: &[String]) -> Option<(&'static Verb, usize)> {
    VERBS
        .iter()
        .filter(|v| v.words.len() <= words.len() && v.words.iter().zip(words).all(|(a, b)| a == b))
        .max_by_key(|v| v.words.len())
        .map(|v| (v, v.words.len()))
        .or_else(|| {
            let first = words.first()?.replace('-', "_");
            VERBS.iter().find(|v| v.also.contains(&first.as_str())).map(|v| (v, 1))
        })
}

/// The command whose name is the nearest to the first words, if one is near.
fn nearest(words: &[String]) -> Option<String> {
    let near = |name: &str, said: &str| {
        let far = distance(name, said);
        (far <= 1 + name.len() / 4).then_some(far)
    };
    let names = VERBS.iter().map(|verb| verb.words.join(" "));
    let firsts = VERBS.iter().filter(|v| v.words.len() > 1).map(|v| v.words[0].to_owned());
    let whole = words.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(" ");
    let first = words.first()?;
    names
        .chain(firsts)
        .filter_map(|name| {
            let said = if name.contains(' ') { &whole } else { first };
            near(&name, said).map(|far| (far, name))
        })
        .min_by_key(|(far, _)| *far)
        .map(|(_, name)| name)
}

/// How many letters are to be changed, put in or left out; two that changed places count once.
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for k in 1..=b.len() {
            let changed = rows[i - 1][k - 1] + usize::from(a[i - 1] != b[k - 1]);
            let mut least = changed.min(rows[i - 1][k] + 1).min(row[k - 1] + 1);
            if i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] {
                least = least.min(rows[i - 2][k - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// Whether a flag takes a value; `None` if nobody knows it.
fn takes_value(name: &str) -> Option<bool> {
    let all = VERBS.iter().flat_map(|v| v.flags).chain(ALWAYS).chain(ACCOUNT).chain([&JSON]);
    let mut found = all.filter(|f| f.name == name);
    match found.next() {
        Some(flag) => Some(!flag.value.is_empty()),
        None => KEYS.iter().any(|k| spelled(k.name) == name).then_some(true),
    }
}

/// The names of the settings as flags, each once.
pub fn setting_flags() -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for key in KEYS {
        let name = spelled(key.name);
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

/// Every flag that a command takes.
pub fn flags_of(verb: &'static Verb) -> impl Iterator<Item = String> {
    let fixed: Vec<&Flag> = verb
        .flags
        .iter()
        .chain(ALWAYS)
        .chain(verb.json.then_some(&JSON))
        .chain(if verb.account == Account::One { ACCOUNT } else { &[] })
        .collect();
    let settings = if verb.account == Account::One { setting_flags() } else { Vec::new() };
    let own: Vec<String> = fixed.into_iter().map(|f| f.name.to_owned()).collect();
    let settings: Vec<String> = settings.into_iter().filter(|name| !own.contains(name)).collect();
    own.into_iter().chain(settings)
}

impl Given {
    /// The value of a flag; the last one counts.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.flags.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Every value of a flag.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.flags.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The value of a flag, or nothing.
    pub fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or("").to_owned()
    }

    /// Whether a flag was given.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether JSON is asked for.
    pub fn json(&self) -> bool {
        self.has("json")
    }

    /// An argument, or nothing.
    pub fn arg(&self, at: usize) -> String {
        self.args.get(at).cloned().unwrap_or_default()
    }

    /// A whole number.
    pub fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> Result<T, Stop> {
        match self.get(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| Stop::Usage(tr!("--{} takes a whole number, not {}", name, quoted(text)))),
        }
    }

    /// A point in time, Unix seconds.
    pub fn time(&self, name: &str, default: i64) -> Result<i64, Stop> {
        match self.get(name) {
            None => Ok(default),
            Some(text) => parse_time(text, crate::out::zone()).ok_or_else(|| {
                Stop::Usage(tr!(
                    "--{} takes a time like 2026-01-31, 2026-01-31T12:00:00+08:00 or Unix seconds, not {}",
                    name,
                    quoted(text)
                ))
            }),
        }
    }

    /// Keeps a value out of everything that is printed from here on.
    pub fn hide(&self, secret: &str) {
        self._masked.borrow_mut().extend(Masked::new(secret));
    }

    /// Whether the line names an account at all.
    pub fn names_account(&self) -> bool {
        self.has("accounts") || self.has("platform") || std::path::Path::new(DEFAULT_ACCOUNTS).exists()
    }

    /// The file of accounts, if there is one.
    pub fn accounts_file(&self) -> Option<&str> {
        let default = || std::path::Path::new(DEFAULT_ACCOUNTS).exists().then_some(DEFAULT_ACCOUNTS);
        self.get("accounts").or_else(|| if self.has("platform") { None } else { default() })
    }

    /// The settings: those of the file, under those of the line.
    pub fn config(&self) -> Result<Config, Stop> {
        self.config_of(self.get("account"))
    }

    /// The same for an account named elsewhere on the line.
    pub fn config_of(&self, account: Option<&str>) -> Result<Config, Stop> {
        let mut config = match (self.get("accounts"), self.get("platform")) {
            (Some(_), Some(_)) => {
                return Err(Stop::Usage(tr!("--accounts and --platform exclude each other")));
            }
            (Some(file), None) => Config::load(file, account)?,
            (None, Some(platform)) => Config::new(platform)?,
            (None, None) if std::path::Path::new(DEFAULT_ACCOUNTS).exists() => {
                Config::load(DEFAULT_ACCOUNTS, account)?
            }
            (None, None) => {
                return Err(Stop::Usage(tr!(
                    "{} needs --accounts FILE, or --platform NAME with its settings",
                    self.verb.words.join(" ")
                )));
            }
        };
        for (name, value) in &self.flags {
            let Some(key) = KEYS.iter().find(|k| spelled(k.name) == *name) else { continue };
            // `format` of an export is the export's own.
            if self.verb.flags.iter().any(|f| f.name == name) {
                continue;
            }
            let value = if key.secret { self.secret(name, value)? } else { value.clone() };
            config.set(key.name, &value)?;
        }
        for secret in config.secrets() {
            self.hide(secret);
        }
        Ok(config)
    }

    /// A secret, which is not to stand on the line itself.
    pub fn secret(&self, flag: &str, value: &str) -> Result<String, Stop> {
        let text = if value == "-" {
            read_all(std::io::stdin(), LARGEST_SECRET, "the standard input")?
        } else if let Some(path) = value.strip_prefix('@') {
            let file = std::fs::File::open(path).map_err(|e| Error::os(KL_E_CONFIG_FILE, path, &e))?;
            read_all(file, LARGEST_SECRET, path)?
        } else if self.has("secrets-in-arguments") {
            return Ok(value.to_owned());
        } else {
            return Err(Stop::Usage(tr!(
                "--{} is a secret, and every user of the device can read the arguments: give @FILE, or - for the standard input (--secrets-in-arguments permits it all the same)",
                flag
            )));
        };
        let text = String::from_utf8(text)
            .map_err(|_| Error::new(KL_E_CONFIG_FILE, format!("--{flag}: what was read is not UTF-8")))?;
        Ok(text.trim_end_matches(['\n', '\r']).to_owned())
    }

    /// What a file holds; `-` or nothing is the standard input.
    pub fn input(&self, path: &str) -> Answer<Vec<u8>> {
        if path.is_empty() || path == "-" {
            return read_all(std::io::stdin(), LARGEST_INPUT, "the standard input");
        }
        let file = std::fs::File::open(path).map_err(|e| Error::os(KL_E_ARGUMENT, path, &e))?;
        read_all(file, LARGEST_INPUT, path)
    }
}

fn read_all(from: impl Read, most: u64, name: &str) -> Answer<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(most + 1).read_to_end(&mut bytes).map_err(|e| Error::os(KL_E_ARGUMENT, name, &e))?;
    if bytes.len() as u64 > most {
        return Err(Error::new(KL_E_ARGUMENT, format!("{name} holds more than {most} bytes")));
    }
    Ok(bytes)
}

/// A zone, `+08:00`, `+0800`, `+8` or `Z`, in seconds east of UTC.
pub fn parse_zone(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z" | "UTC") {
        return Some(0);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest.split_once(':') {
        Some(parts) => parts,
        None if rest.len() == 4 => rest.split_at_checked(2)?,
        None => (rest, "00"),
    };
    let digits = |t: &str, most: i64| {
        let fits = (1..=2).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit());
        t.parse::<i64>().ok().filter(|n| fits && *n <= most)
    };
    Some(sign * (digits(hours, 14)? * 3600 + digits(minutes, 59)? * 60))
}

/// `2026-01-31`, the same with `T12:00:00` or `T12:00`, `Z`, a zone like `+08:00` or none, or Unix seconds. What names no zone is in
/// the zone that is given, in seconds east of UTC.
pub fn parse_time(text: &str, zone_s: i64) -> Option<i64> {
    if let Ok(unix) = text.parse::<i64>() {
        return (unix >= 0).then_some(unix);
    }
    let text = text.trim().replacen(' ', "T", 1);
    let (date, rest) = text.split_once('T').unwrap_or((&text, ""));
    let (clock, zone) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => (rest[..at].trim_end(), Some(&rest[at..])),
        None => (rest, None),
    };
    let zone_s = zone.map_or(Some(zone_s), parse_zone)?;
    let clock = if rest.is_empty() { "00:00:00" } else { clock };
    let part = |t: &str, width: usize| {
        (t.len() == width && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse::<usize>().ok())?
    };
    let mut date = date.split('-');
    let (year, month, day) = (part(date.next()?, 4)?, part(date.next()?, 2)?, part(date.next()?, 2)?);
    let mut clock = clock.split(':');
    let (h, m) = (part(clock.next()?, 2)?, part(clock.next()?, 2)?);
    let s = clock.next().map_or(Some(0), |s| part(s, 2))?;
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.get(month.checked_sub(1)?)?;
    // The library reads the form of HTTP, which names the weekday too.
    ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].iter().find_map(|weekday| {
        parse_http_date(&format!("{weekday}, {day:02} {month} {year:04} {h:02}:{m:02}:{s:02} GMT"))
            .map(|utc| utc - zone_s)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_three_forms() {
        assert_eq!(parse_time("1700000000", 0), Some(1_700_000_000));
        assert_eq!(parse_time("2023-11-14T22:13:20Z", 0), Some(1_700_000_000));
        assert_eq!(parse_time("2023-11-14 22:13:20", 0), Some(1_700_000_000));
        assert_eq!(parse_time("2023-11-14", 0), Some(1_699_920_000));
        // A day in China begins eight hours before it does in Greenwich.
        const EAST: i64 = 8 * 3600;
        assert_eq!(parse_time("2023-11-14", EAST), Some(1_699_920_000 - EAST));
        assert_eq!(parse_time("1700000000", EAST), Some(1_700_000_000));
        assert_eq!(parse_time("2023-11-15T06:13:20+08:00", 0), Some(1_700_000_000));
        assert_eq!(parse_time("2023-11-15 06:13", EAST), Some(1_699_999_980));
        assert_eq!(parse_time("2023-11-14T22:13:20Z", EAST), Some(1_700_000_000));
        assert_eq!(parse_time("2023-11-14T16:13:20-0600", EAST), Some(1_700_000_000));
        for (zone, seconds) in
            [("+08:00", EAST), ("+0800", EAST), ("+8", EAST), ("-03:30", -12_600), ("Z", 0)]
        {
            assert_eq!(parse_zone(zone), Some(seconds), "{zone}");
        }
        for wrong in ["", "8", "+", "+15", "+08:60", "Berlin", "+08:000"] {
            assert_eq!(parse_zone(wrong), None, "{wrong}");
        }
        for wrong in ["", "-1", "2023-13-01", "2023-1-1", "yesterday", "2023-11-14T25"] {
            assert_eq!(parse_time(wrong, 0), None, "{wrong}");
        }
    }

    #[test]
    fn a_command_that_is_nearly_right_is_suggested() {
        let said = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            nearest(&words).unwrap_or_default()
        };
        for (line, meant) in [
            ("stok", "stock"),
            ("stok x", "stock"),
            ("odrers list", "orders list"),
            ("opne", "open"),
            ("pendign", "pending"),
            ("xyzzy", ""),
            ("a", ""),
        ] {
            assert_eq!(said(line), meant, "{line}");
        }
    }

    #[test]
    fn a_flag_means_the_same_everywhere() {
        // Whether it takes a value must not depend on the command.
        for verb in VERBS {
            for flag in verb.flags {
                assert_eq!(takes_value(flag.name), Some(!flag.value.is_empty()), "--{}", flag.name);
            }
        }
    }
}
