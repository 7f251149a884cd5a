//! What platforms write as text: sums in yuan, and the wall clock of China.

use crate::clock::{civil_from_days, days_from_civil};

/// China has had one zone and no summer time since 1991.
const GMT_PLUS_8: i64 = 8 * 3600;

/// `"12.3"` as 1230 fen, digit by digit: no fraction of a yuan has an exact binary one. `None` if it is no price or finer than a fen.
pub(super) fn fen(text: &str) -> Option<i64> {
    let (yuan, rest) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(yuan) || !digits(rest) || rest.bytes().skip(2).any(|b| b != b'0') {
        return None;
    }
    let part = rest.bytes().chain(*b"00").take(2).fold(0, |sum, b| sum * 10 + i64::from(b - b'0'));
    yuan.parse::<i64>().ok()?.checked_mul(100)?.checked_add(part)
}

/// `YYYY-MM-DD HH:MM:SS` in GMT+8 as Unix seconds; `None` if it is no such time.
pub(super) fn from_wall(text: &str) -> Option<i64> {
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
pub(super) fn to_wall(unix: i64) -> Option<String> {
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
mod tests {
    use super::*;

    #[test]
    fn prices_are_exact_or_nothing() {
        for (text, value) in [
            ("0.10", 10),
            ("3.00", 300),
            ("3", 300),
            ("1.5", 150),
            ("0.29", 29),
            ("1.100", 110),
            ("0", 0),
            ("92233720368547758.07", i64::MAX),
        ] {
            assert_eq!(fen(text), Some(value), "{text}");
        }
        for text in
            ["", ".", "1.", ".5", "-1.00", "+1", "1.005", "1e2", "1,00", "¥1", " 1", "92233720368547758.08"]
        {
            assert_eq!(fen(text), None, "{text}");
        }
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
