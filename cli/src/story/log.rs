//! Lines of a log that speak of the command, and those of the network between its intent and its end.

use super::journal::Numbers;
use super::{Kind, Moment, Source};
use crate::args::parse_time;
use crate::out::zone;
use crate::tr;

/// As much of a line is shown.
const SHOWN: usize = 300;
/// A log may be long, and so may what names one command in it.
const MOST: usize = 200;
/// A line of the network belongs to it for so long after its last record.
const AFTER_MS: i64 = 2_000;

/// When a line was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Unix milliseconds.
    Wall(i64),
    /// Day of the year and time of day without a year: milliseconds since its first of January.
    Yearless(i64),
}

/// The time at the beginning of a line, and the rest of it.
pub fn time_of(line: &str) -> Option<(When, &str)> {
    let line = line.trim_start_matches(['[', '<', '(']);
    iso(line).or_else(|| unix(line)).or_else(|| syslog(line))
}

/// `2026-11-30T12:00:01.250+08:00`, with a blank for the `T`, with a comma, without a zone.
fn iso(line: &str) -> Option<(When, &str)> {
    let head = line.get(..19)?;
    let b = head.as_bytes();
    if b[4] != b'-' || b[7] != b'-' || !matches!(b[10], b'T' | b' ') || b[13] != b':' {
        return None;
    }
    let rest = &line[19..];
    let digits =
        rest.strip_prefix(['.', ',']).map_or(0, |r| r.bytes().take_while(u8::is_ascii_digit).count());
    let (fraction, rest) = if digits > 0 { (&rest[1..=digits], &rest[1 + digits..]) } else { ("", rest) };
    let ms: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let blank = rest.strip_prefix(' ').unwrap_or(rest);
    let of_zone = |text: &str| match text.as_bytes().first() {
        Some(b'Z') => 1,
        Some(b'+' | b'-') => text[1..].bytes().take_while(|b| b.is_ascii_digit() || *b == b':').count() + 1,
        _ => 0,
    };
    // A blank before a zone is Python's and Ruby's; before anything else it ends the time.
    let (zone_text, rest) = match (of_zone(rest), of_zone(blank)) {
        (n, _) if n > 0 => rest.split_at(n),
        (_, n) if n >= 5 => blank.split_at(n),
        _ => ("", rest),
    };
    let seconds = parse_time(&format!("{head}{zone_text}"), zone()).or_else(|| parse_time(head, zone()))?;
    Some((When::Wall(seconds * 1000 + ms), rest))
}

/// `1732250000`, `1732250000.250` or milliseconds.
fn unix(line: &str) -> Option<(When, &str)> {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let whole: i64 = line[..digits].parse().ok()?;
    let rest = &line[digits..];
    match digits {
        13 => Some((When::Wall(whole), rest)),
        10 => {
            let fraction =
                rest.strip_prefix('.').map_or(0, |r| r.bytes().take_while(u8::is_ascii_digit).count());
            if fraction == 0 {
                return Some((When::Wall(whole * 1000), rest));
            }
            let ms: i64 = format!("{:0<3}", &rest[1..=fraction]).get(..3)?.parse().ok()?;
            Some((When::Wall(whole * 1000 + ms), &rest[1 + fraction..]))
        }
        _ => None,
    }
}

/// `Nov 30 12:00:01`, as syslog writes it: no year, the device's own zone.
fn syslog(line: &str) -> Option<(When, &str)> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let head = line.get(..15)?;
    let month = MONTHS.iter().position(|m| head.starts_with(m))? + 1;
    let day: u32 = head.get(4..6)?.trim().parse().ok()?;
    let clock = head.get(7..)?;
    // A year with a 29th of February; the year is the story's.
    let seconds = parse_time(&format!("2024-{month:02}-{day:02}T{clock}"), zone())?;
    let begin = parse_time("2024-01-01", zone())?;
    Some((When::Yearless((seconds - begin) * 1000), &line[15..]))
}

/// The Unix time of a yearless one, in the year that brings it nearest.
fn in_year(when: When, near_ms: i64) -> i64 {
    match when {
        When::Wall(ms) => ms,
        When::Yearless(ms) => {
            const DAY: i64 = 86_400_000;
            let leap = |y: i64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
            let year = 1970 + near_ms.div_euclid(1000) / 31_556_952;
            (year - 1..=year + 1)
                .filter_map(|y| {
                    let begin = parse_time(&format!("{y:04}-01-01"), zone())? * 1000;
                    // Behind the 29th of February, which the year that it was read in has.
                    let day = if ms >= 60 * DAY && !leap(y) { ms - DAY } else { ms };
                    Some(begin + day)
                })
                .min_by_key(|ms| ms.abs_diff(near_ms))
                .unwrap_or(near_ms)
        }
    }
}

/// Whether a line names one of the numbers, as a word of its own.
fn names(line: &str, word: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !word.is_empty()
        && line
            .match_indices(word)
            .any(|(at, found)| !line[..at].ends_with(inner) && !line[at + found.len()..].starts_with(inner))
}

/// Whether it is one of the library's lines about the network to this host.
fn is_of_network(line: &str, base_url: &str) -> bool {
    let origin = base_url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let host = origin.rsplit('/').next().unwrap_or_default();
    if host.is_empty() || !line.contains(host.split(':').next().unwrap_or(host)) {
        return false;
    }
    [": status ", "connected (lookup", "no connection to", "idle connection had died", "lookup of "]
        .iter()
        .any(|words| line.contains(words))
}

/// Where a moment of the device's clock is on the line of time: behind the last record that is not later.
fn place(moments: &[Moment], wall_ms: i64) -> (i64, bool) {
    let recorded = || moments.iter().filter(|m| m.source == Source::Journal);
    let last = recorded().rev().find(|m| m.wall_s.saturating_mul(1000) <= wall_ms).or(recorded().next());
    let Some(m) = last else { return (0, true) };
    // The journal's clock counts whole seconds; the boot clock tells more of how its records lie to each other.
    let segment = || recorded().filter(|o| o.rough == m.rough);
    let base = segment().map(|o| o.wall_s.saturating_mul(1000).saturating_sub(o.offset_ms)).max();
    (wall_ms.saturating_sub(base.unwrap_or(wall_ms)), true)
}

/// Lays the log's lines beside the moments.
pub fn lay(
    moments: &mut Vec<Moment>,
    notes: &mut Vec<String>,
    log: &str,
    id: &str,
    numbers: &Numbers,
    base_url: &str,
) {
    let first = moments.first().map_or(0, |m| m.wall_s.saturating_mul(1000));
    let last = moments.last().map_or(0, |m| m.wall_s.saturating_mul(1000).saturating_add(999));
    let words: Vec<&str> =
        [id].into_iter().chain(numbers.marks.iter().chain(&numbers.orders).map(String::as_str)).collect();
    let mut found = Vec::new();
    let (mut untimed, mut more) = (0usize, 0usize);
    for (i, line) in log.lines().enumerate() {
        let named = words.iter().any(|word| names(line, word));
        if !named && !is_of_network(line, base_url) {
            continue;
        }
        let Some((when, rest)) = time_of(line) else {
            untimed += usize::from(named);
            continue;
        };
        let wall_ms = in_year(when, first);
        // What is not named is taken by its time alone.
        if !named && !(first..=last.saturating_add(AFTER_MS)).contains(&wall_ms) {
            continue;
        }
        if found.len() == MOST {
            more += 1;
            continue;
        }
        let mut words: String =
            rest.trim_start_matches([']', '>', ')', ' ', '\t', ':']).chars().take(SHOWN).collect();
        if !named {
            words = tr!("{} (taken by its time)", words);
        }
        found.push((wall_ms, i as u64 + 1, words));
    }
    if found.is_empty() {
        notes.push(tr!("The log has no line with a time that names this."));
    }
    if untimed > 0 {
        notes.push(tr!("Lines of the log that name it and bear no time that can be read: {}.", untimed));
    }
    if more > 0 {
        notes.push(tr!("More lines of the log that name it: {}.", more));
    }
    let laid: Vec<Moment> = found
        .into_iter()
        .map(|(wall_ms, number, words)| {
            let (offset_ms, rough) = place(moments, wall_ms);
            let wall_s = wall_ms.div_euclid(1000);
            Moment { kind: Kind::Line, source: Source::Log, wall_s, offset_ms, rough, words, number }
        })
        .collect();
    moments.extend(laid);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_logs_are_read() {
        for (line, ms, rest) in [
            ("2023-11-14T22:13:20Z kiosk: x", 1_700_000_000_000, " kiosk: x"),
            ("[2023-11-14 22:13:20.5] x", 1_700_000_000_500, "] x"),
            ("2023-11-14 22:13:20,123456 INFO x", 1_700_000_000_123, " INFO x"),
            ("2023-11-15T06:13:20.250+08:00 x", 1_700_000_000_250, " x"),
            ("2023-11-15 06:13:20 +0800 x", 1_700_000_000_000, " x"),
            ("1700000000.25 x", 1_700_000_000_250, " x"),
            ("1700000000123 x", 1_700_000_000_123, " x"),
        ] {
            assert_eq!(time_of(line), Some((When::Wall(ms), rest)), "{line}");
        }
        for none in ["", "x", "12 x", "2023-11-14", "Nov 40 22:13:20 x", "17000000001234 x"] {
            assert_eq!(time_of(none), None, "{none}");
        }
        let (when, rest) = time_of("Nov 14 22:13:20 kiosk x").unwrap();
        assert_eq!(rest, " kiosk x");
        assert_eq!(in_year(when, 1_700_000_000_000), 1_700_000_000_000);
        // Written in December, looked at in January.
        let (when, _) = time_of("Dec 31 23:59:59 x").unwrap();
        assert_eq!(in_year(when, 1_704_067_200_000), 1_704_067_199_000);
    }

    #[test]
    fn a_name_is_a_word_of_its_own() {
        assert!(names("door visit-7: lost", "visit-7") && names("visit-7", "visit-7"));
        assert!(!names("visit-71", "visit-7") && !names("my-visit-7", "visit-7") && !names("x", ""));
        let base = "https://api.example.com/x";
        assert!(is_of_network("POST api.example.com/x: status 200 in 3 ms", base));
        assert!(!is_of_network("POST other.example.org/x: status 200 in 3 ms", base));
    }
}
