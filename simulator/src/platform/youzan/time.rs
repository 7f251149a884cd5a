//! Youzan's times: `YYYY-MM-DD hh:mm:ss` in China time.

const OFFSET_S: i64 = 8 * 3600;

fn civil(days: i64) -> (i64, i64, i64) {
    // Days to date by way of 400-year eras that begin on 1 March.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, of_year - (153 * from_march + 2) / 5 + 1)
}

fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A moment as Youzan writes it; a moment that has not come is the empty text.
pub fn china(unix_ms: i64) -> String {
    if unix_ms == 0 {
        return String::new();
    }
    let seconds = unix_ms.div_euclid(1000) + OFFSET_S;
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let rest = seconds.rem_euclid(86_400);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

/// A moment that is written with date and time; anything else is none.
pub fn parse_china(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let shape = bytes.len() == 19
        && bytes.iter().enumerate().all(|(i, b)| match i {
            4 | 7 => *b == b'-',
            10 => *b == b' ',
            13 | 16 => *b == b':',
            _ => b.is_ascii_digit(),
        });
    if !shape {
        return None;
    }
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    if civil(days(year, month, day)) != (year, month, day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some((days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - OFFSET_S) * 1000)
}

/// The same time of day so many months later; the last day of the month where there is no such day.
pub fn plus_months(unix_ms: i64, months: i64) -> i64 {
    let seconds = unix_ms.div_euclid(1000) + OFFSET_S;
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let (year, month) = (year + (month - 1 + months).div_euclid(12), (month - 1 + months).rem_euclid(12) + 1);
    let last = (28..=31).rev().find(|d| civil(days(year, month, *d)).1 == month).unwrap_or(28);
    let later = days(year, month, day.min(last)) * 86_400 + seconds.rem_euclid(86_400);
    (later - OFFSET_S) * 1000 + unix_ms.rem_euclid(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        assert_eq!(china(1_577_808_000_000), "2020-01-01 00:00:00");
        assert_eq!(parse_china("2020-01-01 00:00:00"), Some(1_577_808_000_000));
        assert_eq!(china(0), "");
        for odd in ["2020-01-01", "2020-02-30 00:00:00", "2020-01-01 24:00:00", "2020/01/01 00:00:00", ""] {
            assert_eq!(parse_china(odd), None, "{odd}");
        }
    }

    #[test]
    fn months() {
        let later = |text| parse_china(text).map(|ms| china(plus_months(ms, 3)));
        assert_eq!(later("2023-11-30 12:00:01").as_deref(), Some("2024-02-29 12:00:01"));
        assert_eq!(later("2024-01-01 00:00:00").as_deref(), Some("2024-04-01 00:00:00"));
    }
}
