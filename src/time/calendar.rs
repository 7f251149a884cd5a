//! Dates and times of day as text: HTTP's, and those of China's wall clock.

pub(crate) const DAY_S: i64 = 86_400;
/// China has had one zone and no summer time since 1991.
const GMT_PLUS_8: i64 = 8 * 3600;

/// `Sun, 06 Nov 1994 08:49:37 GMT`, to the letter. The two forms that RFC 9110 calls obsolete are refused: one of
/// them has a two-digit year, and guessing centuries is how clocks jump by decades.
pub fn parse_http_date(text: &str) -> Option<i64> {
    let t = text.trim().as_bytes();
    if t.len() != 29 || &t[3..5] != b", " || &t[25..] != b" GMT" {
        return None;
    }
    if t[7] != b' ' || t[11] != b' ' || t[16] != b' ' || t[19] != b':' || t[22] != b':' {
        return None;
    }
    let month = 1 + MONTHS.iter().position(|name| name.as_bytes() == &t[8..11])? as i64;
    let (day, year) = (number(&t[5..7])?, number(&t[12..16])?);
    let (hour, minute, second) = (number(&t[17..19])?, number(&t[20..22])?, number(&t[23..25])?);
    if day < 1 || day > days_in(year, month) || hour > 23 || minute > 59 || second > 60 || year < 1970 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    if WEEKDAYS[(days + 4).rem_euclid(7) as usize].as_bytes() != &t[..3] {
        return None;
    }
    Some(days * DAY_S + hour * 3600 + minute * 60 + second)
}

/// Unix seconds as `2026-11-22 06:09 UTC`.
pub fn format_time(unix_s: i64) -> String {
    let days = unix_s.div_euclid(DAY_S);
    let second = unix_s.rem_euclid(DAY_S);
    let (year, month, day) = civil_from_days(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", second / 3600, second / 60 % 60)
}

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

// Both after Howard Hinnant's "chrono-compatible low-level date algorithms": years begin in March.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

pub(crate) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

/// A number from here on is milliseconds: as seconds it would be the year 5138.
const FIRST_MS: i64 = 100_000_000_000;
/// A number from here on is no time: the year 2286 in milliseconds.
const NO_TIME: i64 = 10_000_000_000_000;

/// What a platform writes as a time, in Unix seconds; 0 if it says that there is none; `None` if it is no time.
///
/// * `2020-01-31 12:00:00` is China's wall clock; a `T` may stand for the blank, a fraction of a second may follow.
/// * With `Z`, `+0800` or `+08:00` behind all that, it is the time of that zone.
/// * A number, with or without a fraction, is Unix seconds, or milliseconds from 100,000,000,000 on.
/// * Nothing, `0`, `0000-00-00` with whatever follows, and times before 1970 say that there is none: so many databases and
///   languages write *never*.
pub(crate) fn unix_time(text: &str) -> Option<i64> {
    let text = text.trim_ascii();
    if text.is_empty() || text.starts_with("0000-00-00") {
        return Some(0);
    }
    let (whole, rest) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    if after_fraction(rest) == Some("") {
        return match whole.parse().ok()? {
            s if s < FIRST_MS => Some(s),
            ms if ms < NO_TIME => Some(ms / 1000),
            _ => None,
        };
    }
    let (wall, rest) = text.split_at_checked(19)?;
    let zone = after_fraction(rest)?;
    let offset = if zone.is_empty() { GMT_PLUS_8 } else { zone_offset(zone)? };
    Some((wall_seconds(wall.as_bytes())? - offset).max(0))
}

/// What follows a fraction of a second; all of it if there is none, `None` if there is a point without digits.
fn after_fraction(text: &str) -> Option<&str> {
    let Some(digits) = text.strip_prefix('.') else { return Some(text) };
    let rest = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.len() < digits.len()).then_some(rest)
}

/// `Z`, `+0800` or `+08:00` in seconds.
fn zone_offset(zone: &str) -> Option<i64> {
    let ([sign @ (b'+' | b'-'), h1, h2, m1, m2] | [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2]) =
        zone.as_bytes()
    else {
        return (zone == "Z").then_some(0);
    };
    let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
    let seconds = hours * 3600 + minutes * 60;
    (hours < 24 && minutes < 60).then_some(if *sign == b'-' { -seconds } else { seconds })
}

/// `YYYY-MM-DD HH:MM:SS`, or with a `T`, in seconds since 1970 of its own zone.
fn wall_seconds(b: &[u8]) -> Option<i64> {
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if b.len() != 19 || !marks.iter().all(|(at, mark)| b[*at] == *mark) || !matches!(b[10], b' ' | b'T') {
        return None;
    }
    seconds(&b[..4], &b[5..7], &b[8..10], &[&b[11..13], &b[14..16], &b[17..19]])
}

/// The digits of a date and a time of day as seconds since 1970.
fn seconds(year: &[u8], month: &[u8], day: &[u8], clock: &[&[u8]; 3]) -> Option<i64> {
    let (year, month, day) = (number(year)?, number(month)?, number(day)?);
    let (hour, minute, second) = (number(clock[0])?, number(clock[1])?, number(clock[2])?);
    let is_day = (1..=12).contains(&month) && day >= 1 && day <= days_in(year, month);
    (is_day && hour < 24 && minute < 60 && second < 60)
        .then(|| days_from_civil(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second)
}

/// Digits, and nothing else, as a number.
fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |n, c| c.is_ascii_digit().then(|| n * 10 + i64::from(c - b'0')))
}

/// A time of a certificate: `UTCTime` (tag 23) or `GeneralizedTime` (24) as X.509 has them, in Unix seconds.
pub(crate) fn asn1_time(tag: u8, text: &[u8]) -> Option<i64> {
    let (century, rest) = match tag {
        // The years 1950 to 2049.
        0x17 => (if text.first()? >= &b'5' { b"19" } else { b"20" }, text),
        0x18 => (<&[u8; 2]>::try_from(text.get(..2)?).ok()?, &text[2..]),
        _ => return None,
    };
    let [y1, y2, rest @ .., b'Z'] = rest else { return None };
    let (month, day, clock) =
        (rest.get(..2)?, rest.get(2..4)?, rest.get(4..).filter(|clock| clock.len() == 6)?);
    seconds(&[century[0], century[1], *y1, *y2], month, day, &[&clock[..2], &clock[2..4], &clock[4..]])
}

/// Unix seconds as `YYYY-MM-DD HH:MM:SS` in GMT+8; `None` before 1970 and after 9999.
pub(crate) fn to_wall(unix: i64) -> Option<String> {
    let local = unix.checked_add(GMT_PLUS_8)?;
    let (year, month, day) = civil_from_days(local.div_euclid(86_400));
    if unix < 0 || year > 9999 {
        return None;
    }
    let s = local.rem_euclid(86_400);
    let mut out = String::with_capacity(19);
    for (value, width, after) in [
        (year, 4, "-"),
        (month, 2, "-"),
        (day, 2, " "),
        (s / 3600, 2, ":"),
        (s / 60 % 60, 2, ":"),
        (s % 60, 2, ""),
    ] {
        for place in (0..width).rev() {
            out.push(char::from(b'0' + (value / 10_i64.pow(place) % 10) as u8));
        }
        out.push_str(after);
    }
    Some(out)
}

#[cfg(test)]
pub(crate) fn http_date(unix_s: i64) -> String {
    let days = unix_s.div_euclid(DAY_S);
    let second = unix_s.rem_euclid(DAY_S);
    let (year, month, day) = civil_from_days(days);
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        WEEKDAYS[(days + 4).rem_euclid(7) as usize],
        MONTHS[month as usize - 1],
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_to_the_letter() {
        assert_eq!(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(parse_http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse_http_date("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199));
        assert_eq!(parse_http_date("Tue, 19 Jan 2038 03:14:08 GMT"), Some(1 << 31));
        for bad in [
            "",
            "0",
            "784111777",
            "1994-11-06T08:49:37Z",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0800",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Fri, 29 Feb 2023 00:00:00 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 19x4 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT, again",
            "Вс, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse_http_date(bad), None, "{bad}");
        }
        for s in [0, 1, 68_169_600, 951_782_400, 1_709_251_199, 4_102_444_799, 4_107_542_400] {
            assert_eq!(parse_http_date(&http_date(s)), Some(s));
        }
        assert_eq!(format_time(1_709_251_199), "2024-02-29 23:59 UTC");
        assert_eq!(format_time(-1), "1969-12-31 23:59 UTC");
    }

    #[test]
    fn a_time_is_read_with_its_zone_or_not_at_all() {
        const NOON: i64 = 1_580_443_200; // 2020-01-31 12:00:00 in China
        for (text, unix) in [
            ("2020-01-31 12:00:00", NOON),
            ("2020-01-31T12:00:00", NOON),
            ("2020-01-31 12:00:00.0", NOON),
            ("2020-01-31T12:00:00.999999", NOON),
            (" 2020-01-31 12:00:00\r\n", NOON),
            // FAULTS B10: a zone behind a fraction is a zone.
            ("2020-01-31T04:00:00Z", NOON),
            ("2020-01-31T04:00:00.000Z", NOON),
            ("2020-01-31T04:00:00.000+0000", NOON),
            ("2020-01-31T04:00:00+0000", NOON),
            ("2020-01-31T12:00:00.000+0800", NOON),
            ("2020-01-31T12:00:00+08:00", NOON),
            ("2020-01-31 12:00:00.123456789+08:00", NOON),
            ("2020-01-30T22:30:00-05:30", NOON),
            ("2020-01-30T22:30:00.5-0530", NOON),
            ("2024-12-31 23:59:59", 1_735_660_799),
            ("2024-02-29 00:00:00", 1_709_136_000),
            ("2000-03-01 07:59:59", 951_868_799),
            ("9999-12-31 23:59:59", 253_402_271_999),
            ("1970-01-01 08:00:01", 1),
            ("1580443200", NOON),
            ("1580443200.25", NOON),
            ("1580443200000", NOON),
            ("1580443200999", NOON),
            ("99999999999", 99_999_999_999),
            ("100000000000", 100_000_000),
            ("", 0),
            (" ", 0),
            ("0", 0),
            ("0000-00-00", 0),
            ("0000-00-00 00:00:00", 0),
            ("0000-00-00T00:00:00.000Z", 0),
            ("0001-01-01 00:00:00", 0),
            ("0001-01-01T00:00:00Z", 0),
            ("1900-01-01 00:00:00", 0),
        ] {
            assert_eq!(unix_time(text), Some(unix), "{text}");
        }
        for text in [
            // FAULTS B10: what is no time is none.
            "2020-01-31 13:16:42.xyz",
            "2020-01-31 13:16:42.",
            "2020-01-31 13:16:42.5x",
            "2020-01-31 13:16:42 CST",
            "2020-01-31 13:16:42z",
            "2020-01-31 13:16:42+8",
            "2020-01-31 13:16:42+08",
            "2020-01-31 13:16:42+080",
            "2020-01-31 13:16:42+24:00",
            "2020-01-31 13:16:42+08:60",
            "2020-01-31 13:16:42+0x00",
            "2020-01-31 13:16:42 +0800",
            "2020-01-31 13:16:42.000.000",
            "2020-01-31 13:16:42ZZ",
            "2020-01-31",
            "2020-01-31 12:00",
            "2020-1-31 12:00:00",
            "2020/01/31 12:00:00",
            "31-01-2020 12:00:00",
            "+020-01-31 12:00:00",
            "2021-02-29 00:00:00",
            "2024-00-01 00:00:00",
            "2024-13-01 00:00:00",
            "2024-01-00 00:00:00",
            "2024-04-31 00:00:00",
            "2024-01-01 24:00:00",
            "2024-01-01 00:60:00",
            "2024-01-01 00:00:60",
            "2024-01-01t00:00:00",
            "二〇二〇年一月三十一日",
            "2020-01-31 12:00:0一",
            "13:16:42",
            "13:16:42.xyz",
            "-1",
            "+1580443200",
            "1580443200x",
            "1.58e9",
            "20200131120000",
            "1580443200000000",
            "99999999999999999999",
            "never",
            "null",
        ] {
            assert_eq!(unix_time(text), None, "{text}");
        }
    }

    #[test]
    fn the_wall_clock_is_chinas() {
        for (text, unix) in [
            ("2024-12-31 23:59:59", 1_735_660_799),
            ("1970-01-01 08:00:00", 0),
            ("2024-02-29 00:00:00", 1_709_136_000),
            ("9999-12-31 23:59:59", 253_402_271_999),
        ] {
            assert_eq!(to_wall(unix).as_deref(), Some(text));
        }
        for unix in [-1, 253_402_272_000, i64::MAX, i64::MIN] {
            assert_eq!(to_wall(unix), None, "{unix}");
        }
        // Every day of eight centuries there and back.
        for day in 0..292_194 {
            let (y, m, d) = civil_from_days(day);
            assert_eq!(days_from_civil(y, m, d), day);
        }
    }

    #[test]
    fn times_of_certificates_are_read() {
        for (tag, text, unix) in [
            (0x17, "200131040000Z", Some(1_580_443_200)),
            (0x17, "491231235959Z", Some(2_524_607_999)),
            (0x17, "500101000000Z", Some(-631_152_000)),
            (0x18, "20200131040000Z", Some(1_580_443_200)),
            (0x18, "99991231235959Z", Some(253_402_300_799)),
            (0x18, "20200131040000.5Z", None),
            (0x18, "20200131040000+0800", None),
            (0x17, "2001310400Z", None),
            (0x17, "210229000000Z", None),
            (0x17, "20013104000xZ", None),
            (0x18, "2", None),
            (0x17, "", None),
            (0x04, "200131040000Z", None),
        ] {
            assert_eq!(asn1_time(tag, text.as_bytes()), unix, "{tag} {text}");
        }
    }
}
