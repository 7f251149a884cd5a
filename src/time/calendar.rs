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
    let number = |from: usize, to: usize| {
        t[from..to].iter().try_fold(0i64, |n, c| c.is_ascii_digit().then(|| n * 10 + i64::from(c - b'0')))
    };
    let month = 1 + MONTHS.iter().position(|name| name.as_bytes() == &t[8..11])? as i64;
    let (day, year) = (number(5, 7)?, number(12, 16)?);
    let (hour, minute, second) = (number(17, 19)?, number(20, 22)?, number(23, 25)?);
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

/// `YYYY-MM-DD HH:MM:SS` in GMT+8 as Unix seconds; `None` if it is no such time.
pub(crate) fn from_wall(text: &str) -> Option<i64> {
    let b = text.as_bytes();
    let shaped = b.len() == 19
        && b.iter().zip(b"0000-00-00 00:00:00").all(|(c, s)| match s {
            b'0' => c.is_ascii_digit(),
            _ => c == s,
        });
    if !shaped {
        return None;
    }
    let n = |at: usize, len: usize| b[at..at + len].iter().fold(0, |sum, c| sum * 10 + i64::from(c - b'0'));
    let (year, month, day) = (n(0, 4), n(5, 2), n(8, 2));
    let (hour, minute, second) = (n(11, 2), n(14, 2), n(17, 2));
    let days = days_from_civil(year, month, day);
    // The way back tells whether the month has such a day.
    if !(1..=12).contains(&month) || civil_from_days(days) != (year, month, day) {
        return None;
    }
    (hour < 24 && minute < 60 && second < 60)
        .then_some(days * 86_400 + hour * 3600 + minute * 60 + second - GMT_PLUS_8)
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
    fn the_wall_clock_is_chinas() {
        for (text, unix) in [
            ("2024-12-31 23:59:59", 1_735_660_799),
            ("1970-01-01 08:00:00", 0),
            ("2024-02-29 00:00:00", 1_709_136_000),
            ("2000-03-01 07:59:59", 951_868_799),
            ("9999-12-31 23:59:59", 253_402_271_999),
        ] {
            assert_eq!(from_wall(text), Some(unix), "{text}");
            assert_eq!(to_wall(unix).as_deref(), Some(text));
        }
        assert_eq!(from_wall("0001-01-01 00:00:00"), Some(-62_135_596_800 - 8 * 3600));
        for text in [
            "",
            "2024-12-31",
            "2023-02-29 00:00:00",
            "2024-00-01 00:00:00",
            "2024-13-01 00:00:00",
            "2024-01-00 00:00:00",
            "2024-04-31 00:00:00",
            "2024-01-01 24:00:00",
            "2024-01-01 00:60:00",
            "2024-01-01T00:00:00",
        ] {
            assert_eq!(from_wall(text), None, "{text}");
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
}
