//! The platforms' clock: it starts with the machine's time and goes where it is told.
//!
//! Two movements are kept apart. A *jump* corrects a wrong clock: what was to happen in two seconds still
//! happens in two seconds. An *advance* lets time pass: everything due in between happens, in order.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// China time is fixed at eight hours before Greenwich and knows no summer time.
const CHINA_OFFSET_MS: i64 = 8 * 3600 * 1000;

/// A clock in Unix milliseconds that can be set, advanced and frozen.
#[derive(Debug)]
pub struct Clock {
    base_ms: i64,
    running_since: Option<Instant>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A running clock that agrees with the machine's.
    pub fn new() -> Self {
        Self { base_ms: system_ms(), running_since: Some(Instant::now()) }
    }

    /// The platforms' time in Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        let passed = self.running_since.map_or(0, |since| since.elapsed().as_millis() as i64);
        self.base_ms.saturating_add(passed)
    }

    /// The platforms' time in Unix seconds.
    pub fn now_s(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }

    /// How far this clock is ahead of the machine's, in milliseconds.
    pub fn offset_ms(&self) -> i64 {
        self.now_ms().saturating_sub(system_ms())
    }

    /// Puts the clock at `ms` and answers how far it moved.
    pub fn move_to(&mut self, ms: i64) -> i64 {
        let moved = ms.saturating_sub(self.now_ms());
        self.base_ms = ms;
        if self.running_since.is_some() {
            self.running_since = Some(Instant::now());
        }
        moved
    }

    /// True while time passes only by command.
    pub fn is_frozen(&self) -> bool {
        self.running_since.is_none()
    }

    /// Stops the clock or lets it run on.
    pub fn freeze(&mut self, frozen: bool) {
        self.base_ms = self.now_ms();
        self.running_since = (!frozen).then(Instant::now);
    }
}

/// The machine's own time in Unix milliseconds.
pub fn system_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_millis() as i64,
        Err(before) => -(before.duration().as_millis() as i64),
    }
}

/// A moment taken apart, in the calendar of its offset.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    weekday: usize,
}

fn civil(unix_ms: i64) -> Civil {
    let seconds = unix_ms.div_euclid(1000);
    let days = seconds.div_euclid(86_400);
    let rest = seconds.rem_euclid(86_400);
    // Days to date by way of 400-year eras that begin on 1 March, so that the leap day comes last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    Civil {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month,
        day: of_year - (153 * from_march + 2) / 5 + 1,
        hour: rest / 3600,
        minute: rest / 60 % 60,
        second: rest % 60,
        weekday: (days + 4).rem_euclid(7) as usize,
    }
}

/// The `Date` header's form of a moment.
pub fn http_date(unix_ms: i64) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let c = civil(unix_ms);
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        DAYS[c.weekday],
        c.day,
        MONTHS[(c.month - 1) as usize],
        c.year,
        c.hour,
        c.minute,
        c.second
    )
}

/// `yyMMddHHmmss` in China time, as it stands inside receipt numbers.
pub fn china_compact(unix_ms: i64) -> String {
    let c = civil(unix_ms + CHINA_OFFSET_MS);
    format!(
        "{:02}{:02}{:02}{:02}{:02}{:02}",
        c.year.rem_euclid(100),
        c.month,
        c.day,
        c.hour,
        c.minute,
        c.second
    )
}

/// `YYYY-MM-DD hh:mm:ss` in the calendar so many hours east of Greenwich.
pub fn datetime(unix_ms: i64, zone_hours: i64) -> String {
    let c = civil(unix_ms.saturating_add(zone_hours * 3_600_000));
    format!("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", c.year, c.month, c.day, c.hour, c.minute, c.second)
}

/// The moment that [`datetime`] would write so, in Unix milliseconds; none for any other text.
pub fn parse_datetime(text: &str, zone_hours: i64) -> Option<i64> {
    let mut numbers = text.split(['-', ' ', ':']).map(|part| part.parse::<u16>().ok().map(i64::from));
    let mut next = || numbers.next().flatten();
    let (year, month, day) = (next()?, next()?, next()?);
    let (hour, minute, second) = (next()?, next()?, next()?);
    if !(1..=12).contains(&month) || !(1970..=9999).contains(&year) {
        return None;
    }
    // The inverse of `civil`: years begin on 1 March.
    let (years, from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_era = years.rem_euclid(400);
    let days = years.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100
        + (153 * from_march + 2) / 5
        + day
        - 1
        - 719_468;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    let unix_ms = (seconds - zone_hours * 3600) * 1000;
    // Writing it again finds every impossible date, hour and spelling.
    (datetime(unix_ms, zone_hours) == text).then_some(unix_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        assert_eq!(http_date(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(951_782_400_000), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(china_compact(1_611_720_131_000), "210127120211");
    }

    #[test]
    fn dates_there_and_back() {
        assert_eq!(datetime(1_714_185_061_000, 8), "2024-04-27 10:31:01");
        assert_eq!(parse_datetime("2024-12-31 23:59:59", 8), Some(1_735_660_799_000));
        assert_eq!(parse_datetime("2000-02-29 00:00:00", 0), Some(951_782_400_000));
        for odd in ["2023-02-29 00:00:00", "2024-1-1 00:00:00", "2024-01-01", "2024-01-01 24:00:00", ""] {
            assert_eq!(parse_datetime(odd, 8), None);
        }
    }

    #[test]
    fn a_frozen_clock_moves_only_by_command() {
        let mut clock = Clock::new();
        clock.freeze(true);
        clock.move_to(5_000);
        assert_eq!(clock.now_ms(), 5_000);
        assert_eq!(clock.move_to(7_500), 2_500);
        assert_eq!(clock.now_s(), 7);
    }
}
