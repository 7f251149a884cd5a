//! What time it is, without trusting the device.
//!
//! A kiosk's real-time clock may stand at 1970, run hours off, or be stepped by NTP in the middle of a call. Two
//! different questions are answered here, and neither from the system clock alone:
//!
//! * **Signing time**: what the platform believes the time is. Its answers carry a `Date`; that date is kept as an
//!   offset to the monotonic clock, so no later step of the system clock changes it.
//! * **Certificate time**: what may be believed about the real time when a certificate is checked. The order is: a
//!   time handed in by the firmware, a date learned over verified TLS, the system clock; and never before the time
//!   at which this library was built.

use super::calendar::DAY_S;
pub use super::calendar::{format_time, parse_http_date};
use crate::error::{Error, Result};
use crate::status::KL_E_ARGUMENT;
use crate::sys;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// When this library was built, in Unix seconds. No certificate is checked at an earlier time.
pub const BUILD_TIME: i64 = parse_decimal(env!("KIOSKLINK_BUILD_TIME"));

/// Later than this is no date but a mistake.
const HORIZON_S: i64 = 50 * 365 * DAY_S;
/// An exchange that took longer than this says little about the time.
const POOR_MS: i64 = 10_000;
/// How far past a contradicting poor sample must lie to be believed all the same.
const POOR_CONTRADICTION_MS: i64 = 60_000;
/// How fast two crystals may drift apart, in parts per million.
const DRIFT_PPM: u64 = 100;

/// Where the time for signing comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Handed in by [`set_time`].
    Firmware,
    /// Learned from the platform's own answers.
    Platform,
    /// The system clock.
    System,
    /// Nothing is known: the time of the build.
    Floor,
}

/// What may be believed about the real time when a certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateTime {
    /// The time to check at, in Unix seconds; never before [`floor_s`](Self::floor_s).
    pub now_s: i64,
    /// Whether the firmware or a verified answer vouches for it. If not it is the system clock, or the floor.
    pub confirmed: bool,
    /// What the system clock says.
    pub system_s: i64,
    /// The time of the build.
    pub floor_s: i64,
}

/// A point of real time tied to the monotonic clock.
#[derive(Clone, Copy)]
struct Fix {
    unix_ms: i64,
    mono_ms: u64,
}

impl Fix {
    fn at(self, mono_ms: u64) -> i64 {
        self.unix_ms.saturating_add(mono_ms.wrapping_sub(self.mono_ms) as i64)
    }
}

/// What the clients of one process share.
#[derive(Default)]
struct Shared {
    firmware: Option<Fix>,
    verified: Option<Fix>,
}

static SHARED: Mutex<Shared> = Mutex::new(Shared { firmware: None, verified: None });

/// What one client knows of its platform's clock: `platform - monotonic` lies between `low` and `high`.
#[derive(Clone, Copy)]
struct Learned {
    offset_ms: i64,
    low: i64,
    high: i64,
    sent_ms: u64,
    learned_ms: u64,
    poor: bool,
}

/// Readings of a clock that tests replace.
type Reading<T> = Box<dyn Fn() -> T + Send + Sync>;

struct Sources {
    system_ms: Reading<i64>,
    mono_ms: Reading<u64>,
    shared: Mutex<Shared>,
}

/// The clock of one client. Cheap; what the firmware set and what certificates may rely on is shared by all clients
/// of the process.
pub struct Clock {
    learned: Mutex<Option<Learned>>,
    replaced: Option<Sources>,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl Clock {
    /// A clock that has learned nothing yet.
    pub const fn new() -> Clock {
        Clock { learned: Mutex::new(None), replaced: None }
    }

    /// A clock on other readings than the system's, sharing nothing with other clocks: for tests and simulations.
    /// `system_ms` is Unix milliseconds, `monotonic_ms` never goes back.
    pub fn with_sources(
        system_ms: impl Fn() -> i64 + Send + Sync + 'static,
        monotonic_ms: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Clock {
        let sources = Sources {
            system_ms: Box::new(system_ms),
            mono_ms: Box::new(monotonic_ms),
            shared: Mutex::default(),
        };
        Clock { learned: Mutex::new(None), replaced: Some(sources) }
    }

    /// The time to sign with: what the platform would say it is, in Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.reading().0
    }

    /// Where [`now_ms`](Self::now_ms) comes from at this moment.
    pub fn source(&self) -> Source {
        self.reading().1
    }

    /// The time to check certificates at, in Unix seconds.
    pub fn certificate_time(&self) -> i64 {
        self.certificate().now_s
    }

    /// The same with what vouches for it.
    pub fn certificate(&self) -> CertificateTime {
        let mono = self.monotonic_ms();
        let system_s = self.system_ms().div_euclid(1000);
        let known = {
            let shared = lock(self.shared());
            shared.firmware.or(shared.verified)
        };
        let now_s = known.map_or(system_s, |fix| fix.at(mono).div_euclid(1000));
        CertificateTime {
            now_s: now_s.max(BUILD_TIME),
            confirmed: known.is_some(),
            system_s,
            floor_s: BUILD_TIME,
        }
    }

    /// Takes the `Date` of an answer. `sent_ms` and `received_ms` are [`monotonic_ms`](Self::monotonic_ms) before
    /// the request's first byte and at the answer's first byte; `verified` says that it came over verified TLS,
    /// without which certificates do not rely on it. True if the date was believed.
    ///
    /// An answer out of a cache, a date that is no date or lies outside any plausible time, and an exchange older
    /// than the last one taken are left aside.
    pub fn learn(
        &self,
        date: Option<&str>,
        age: Option<&str>,
        sent_ms: u64,
        received_ms: u64,
        verified: bool,
    ) -> bool {
        let Some(date_s) = date.and_then(parse_http_date) else { return false };
        if age.is_some_and(|age| age.trim() != "0") || !plausible(date_s) || received_ms < sent_ms {
            return false;
        }
        // The platform read its clock somewhere between the two, and cut the fraction of the second off.
        let low = date_s * 1000 - received_ms as i64;
        let high = date_s * 1000 + 1000 - sent_ms as i64;
        let middle = low + (high - low) / 2;
        let poor = (received_ms - sent_ms) as i64 > POOR_MS;
        let fresh = Learned { offset_ms: middle, low, high, sent_ms, learned_ms: received_ms, poor };

        let mut learned = lock(&self.learned);
        let taken = match *learned {
            None => fresh,
            // A call that began earlier but ended later must not undo what is newer.
            Some(old) if sent_ms < old.sent_ms => return false,
            Some(old) => {
                let drift = (received_ms.saturating_sub(old.learned_ms) / (1_000_000 / DRIFT_PPM)) as i64;
                let (old_low, old_high) = (old.low - drift, old.high + drift);
                let (both_low, both_high) = (old_low.max(low), old_high.min(high));
                if both_low <= both_high {
                    // They agree: narrower, and moved only if it must.
                    Learned {
                        offset_ms: old.offset_ms.clamp(both_low, both_high),
                        low: both_low,
                        high: both_high,
                        poor: old.poor && poor,
                        ..fresh
                    }
                } else {
                    let apart = (low - old_high).max(old_low - high);
                    if poor && !old.poor && apart < POOR_CONTRADICTION_MS {
                        return false;
                    }
                    fresh
                }
            }
        };
        *learned = Some(taken);
        drop(learned);
        if verified {
            let mono_ms = received_ms;
            let fix = Fix { unix_ms: mono_ms as i64 + taken.offset_ms, mono_ms };
            lock(self.shared()).verified = Some(fix);
        }
        true
    }

    /// Forgets what was learned from the platform, for signing.
    pub fn forget(&self) {
        *lock(&self.learned) = None;
    }

    /// [`set_time`] for this clock alone if it was made with [`with_sources`](Self::with_sources).
    pub fn set_time(&self, unix_s: i64) -> Result<()> {
        let fix = if unix_s == 0 {
            None
        } else if plausible(unix_s) {
            Some(Fix { unix_ms: unix_s * 1000, mono_ms: self.monotonic_ms() })
        } else {
            let message = format!(
                "{} is no plausible time: this library was built {}",
                format_time(unix_s),
                format_time(BUILD_TIME)
            );
            return Err(Error::new(KL_E_ARGUMENT, message));
        };
        lock(self.shared()).firmware = fix;
        Ok(())
    }

    /// Milliseconds on the clock that never goes back.
    pub fn monotonic_ms(&self) -> u64 {
        self.replaced.as_ref().map_or_else(sys::boot_ms, |sources| (sources.mono_ms)())
    }

    fn system_ms(&self) -> i64 {
        match &self.replaced {
            Some(sources) => (sources.system_ms)(),
            None => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(since) => since.as_millis() as i64,
                Err(before) => -(before.duration().as_millis() as i64),
            },
        }
    }

    fn shared(&self) -> &Mutex<Shared> {
        self.replaced.as_ref().map_or(&SHARED, |sources| &sources.shared)
    }

    fn reading(&self) -> (i64, Source) {
        let mono = self.monotonic_ms();
        let firmware = lock(self.shared()).firmware;
        let learned = *lock(&self.learned);
        match (learned, firmware) {
            // The platform checks against its own clock, so its own word wins unless the firmware spoke later.
            (Some(platform), firmware) if firmware.is_none_or(|fix| platform.learned_ms >= fix.mono_ms) => {
                (mono as i64 + platform.offset_ms, Source::Platform)
            }
            (_, Some(fix)) => (fix.at(mono), Source::Firmware),
            _ => {
                let system = self.system_ms();
                if system >= BUILD_TIME * 1000 {
                    (system, Source::System)
                } else {
                    (BUILD_TIME * 1000, Source::Floor)
                }
            }
        }
    }
}

/// Hands in a time that is trusted from outside, in Unix seconds: GPS, modem, NTP. 0 forgets it. A time before the
/// build of this library or half a century after it is refused.
pub fn set_time(unix_s: i64) -> Result<()> {
    Clock::new().set_time(unix_s)
}

/// Milliseconds since boot, suspend included where the system can count it. Never goes back.
pub fn monotonic_ms() -> u64 {
    sys::boot_ms()
}

fn plausible(unix_s: i64) -> bool {
    (BUILD_TIME - DAY_S..=BUILD_TIME + HORIZON_S).contains(&unix_s)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const fn parse_decimal(text: &str) -> i64 {
    let bytes = text.as_bytes();
    let (mut n, mut i) = (0, 0);
    while i < bytes.len() {
        n = n * 10 + (bytes[i] - b'0') as i64;
        i += 1;
    }
    n
}

#[cfg(test)]
mod tests {
    use super::super::calendar::http_date;
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

    /// Both clocks in the test's hand.
    struct World {
        system: Arc<AtomicI64>,
        mono: Arc<AtomicU64>,
        clock: Clock,
    }

    fn world(system_s: i64, mono_ms: u64) -> World {
        let system = Arc::new(AtomicI64::new(system_s * 1000));
        let mono = Arc::new(AtomicU64::new(mono_ms));
        let (s, m) = (system.clone(), mono.clone());
        let clock = Clock::with_sources(move || s.load(Ordering::SeqCst), move || m.load(Ordering::SeqCst));
        World { system, mono, clock }
    }

    impl World {
        fn pass(&self, ms: u64) {
            self.mono.fetch_add(ms, Ordering::SeqCst);
            self.system.fetch_add(ms as i64, Ordering::SeqCst);
        }

        /// One exchange: the platform's clock at its middle, in milliseconds, and how long it takes.
        fn exchange(&self, platform_ms: i64, takes_ms: u64) -> bool {
            let sent = self.mono.load(Ordering::SeqCst);
            self.pass(takes_ms);
            let date = http_date(platform_ms.div_euclid(1000));
            self.clock.learn(Some(&date), None, sent, sent + takes_ms, true)
        }
    }

    const NOW: i64 = BUILD_TIME + 100 * DAY_S;

    #[test]
    fn with_nothing_learned_the_system_clock_counts_from_the_build_on() {
        let w = world(NOW, 5);
        assert_eq!((w.clock.source(), w.clock.now_ms()), (Source::System, NOW * 1000));
        let w = world(0, 5);
        assert_eq!((w.clock.source(), w.clock.now_ms()), (Source::Floor, BUILD_TIME * 1000));
        assert_eq!(w.clock.certificate_time(), BUILD_TIME);
        assert_eq!(world(-5, 5).clock.source(), Source::Floor);
    }

    #[test]
    fn steps_of_the_system_clock_change_nothing_once_the_platform_spoke() {
        let w = world(0, 1_000);
        assert!(w.exchange(NOW * 1000 + 500, 100));
        let before = w.clock.now_ms();
        assert!((before - NOW * 1000 - 500).abs() < 1000);
        for step in [0, i64::from(i32::MAX) * 1000, -1_000_000, NOW * 1000 * 3] {
            w.system.store(step, Ordering::SeqCst);
            assert_eq!((w.clock.now_ms(), w.clock.source()), (before, Source::Platform));
            assert!(w.clock.certificate().confirmed);
        }
        w.pass(10_000);
        assert_eq!(w.clock.now_ms(), before + 10_000);
    }

    #[test]
    fn nonsense_is_left_aside() {
        let w = world(NOW, 1_000);
        for date in [None, Some("yesterday"), Some("Thu, 01 Jan 1970 00:00:00 GMT"), Some("")] {
            assert!(!w.clock.learn(date, None, 1_000, 1_100, true));
        }
        for s in [BUILD_TIME - 2 * DAY_S, BUILD_TIME + HORIZON_S + DAY_S, NOW + 47 * 366 * DAY_S * 2] {
            assert!(!w.clock.learn(Some(&http_date(s)), None, 1_000, 1_100, true));
        }
        let good = http_date(NOW);
        assert!(!w.clock.learn(Some(&good), Some("12"), 1_000, 1_100, true));
        assert!(!w.clock.learn(Some(&good), Some("x"), 1_000, 1_100, true));
        assert!(!w.clock.learn(Some(&good), None, 1_100, 1_000, true));
        assert_eq!(w.clock.source(), Source::System);
        assert!(!w.clock.certificate().confirmed);
        assert!(w.clock.learn(Some(&good), Some("0"), 1_000, 1_100, false));
        assert_eq!(w.clock.source(), Source::Platform);
        assert!(!w.clock.certificate().confirmed);
    }

    #[test]
    fn an_exchange_that_began_earlier_does_not_undo_a_later_one() {
        let w = world(NOW, 0);
        w.pass(60_000);
        // Two calls at once; the one that began first and saw the old time ends last.
        assert!(w.clock.learn(Some(&http_date(NOW + 3600)), None, 50_000, 50_100, true));
        let now = w.clock.now_ms();
        assert!(!w.clock.learn(Some(&http_date(NOW)), None, 40_000, 59_000, true));
        assert_eq!(w.clock.now_ms(), now);
    }

    #[test]
    fn the_cut_off_fraction_of_a_second_makes_nothing_flap() {
        let w = world(NOW, 777);
        // The platform is 7 s and 123 ms ahead; every date has lost its fraction, and calls take as long as they do.
        let ahead = 7_123;
        let mut random = 1u32;
        let mut last: Option<i64> = None;
        let mut moves = 0;
        for i in 0..500 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let takes = u64::from(random >> 22) + 20;
            let share = u64::from(random >> 8 & 0xff) * takes / 255;
            let sent = w.mono.load(Ordering::SeqCst);
            let platform = w.system.load(Ordering::SeqCst) + share as i64 + ahead;
            w.pass(takes);
            w.clock.learn(Some(&http_date(platform.div_euclid(1000))), None, sent, sent + takes, true);
            let error = w.clock.now_ms() - (w.system.load(Ordering::SeqCst) + ahead);
            assert!(error.abs() <= 1_100, "{i}: {error}");
            if i > 50 {
                assert!(error.abs() <= 250, "{i}: {error}");
            }
            if last.is_some_and(|last| last != error) {
                moves += 1;
            }
            last = Some(error);
            w.pass(u64::from(random >> 16));
        }
        // It narrows down and stays; it does not jump about.
        assert!(moves < 40, "{moves}");
    }

    #[test]
    fn a_platform_whose_clock_is_set_anew_is_followed_and_a_slow_answer_is_not() {
        let w = world(NOW, 1_000);
        assert!(w.exchange(NOW * 1000, 100));
        // A slow answer that seems to say otherwise.
        assert!(!w.exchange(NOW * 1000 + 40_000, 12_000));
        assert!((w.clock.now_ms() - NOW * 1000 - 12_100).abs() < 1_100);
        // A quick one is believed.
        assert!(w.exchange(NOW * 1000 - 3_600_000, 100));
        assert!((w.clock.now_ms() - NOW * 1000 + 3_600_000).abs() < 1_100);
        // As is a slow one that is far off, for nothing else could explain it.
        assert!(w.exchange(NOW * 1000, 15_000));
        assert!((w.clock.now_ms() - NOW * 1000).abs() < 16_000);
        // And with nothing better, any is better than none.
        let w = world(0, 1_000);
        assert!(w.exchange(NOW * 1000, 25_000));
        assert!((w.clock.now_ms() - NOW * 1000).abs() < 26_000);
        assert!(w.exchange(NOW * 1000 + 25_000, 100));
        assert!((w.clock.now_ms() - NOW * 1000 - 25_000).abs() < 1_200);
    }

    #[test]
    fn drift_over_months_is_followed_without_a_jump_back_in_hours() {
        let w = world(NOW, 1_000);
        let mut platform = NOW * 1000;
        for day in 0..200 {
            assert!(w.exchange(platform, 80));
            platform += 80;
            assert!((w.clock.now_ms() - platform).abs() < 2_500, "day {day}");
            // 50 ppm: 4.3 s a day.
            w.pass(DAY_S as u64 * 1000);
            platform += DAY_S * 1000 + 4_320;
        }
    }

    #[test]
    fn fifty_days_of_milliseconds_and_more() {
        let w = world(0, u64::from(u32::MAX) - 1_000);
        assert!(w.exchange(NOW * 1000, 100));
        let before = w.clock.now_ms();
        for _ in 0..30 {
            w.pass(10_000_000);
        }
        assert_eq!(w.clock.now_ms(), before + 300_000_000);
        w.pass(10 * 365 * DAY_S as u64 * 1000);
        assert_eq!(w.clock.now_ms(), before + 300_000_000 + 10 * 365 * DAY_S * 1000);
        assert_eq!(w.clock.certificate_time(), w.clock.now_ms().div_euclid(1000));
    }

    #[test]
    fn the_firmware_is_believed_until_the_platform_speaks_later() {
        let w = world(0, 1_000);
        w.clock.set_time(NOW).unwrap();
        w.pass(5_000);
        assert_eq!((w.clock.source(), w.clock.now_ms()), (Source::Firmware, NOW * 1000 + 5_000));
        assert_eq!(w.clock.certificate_time(), NOW + 5);
        // Signing follows the platform, certificates the firmware.
        assert!(w.exchange((NOW + 900) * 1000, 100));
        assert_eq!(w.clock.source(), Source::Platform);
        assert!((w.clock.now_ms() - (NOW + 900) * 1000).abs() < 1_000);
        assert_eq!(w.clock.certificate_time(), NOW + 5);
        w.pass(1_000);
        w.clock.set_time(NOW + 50).unwrap();
        assert_eq!((w.clock.source(), w.clock.now_ms()), (Source::Firmware, (NOW + 50) * 1000));
        // Forgotten: the platform's word is still there.
        w.clock.set_time(0).unwrap();
        assert_eq!(w.clock.source(), Source::Platform);
        assert!((w.clock.certificate_time() - NOW - 901).abs() <= 1);
        w.clock.forget();
        assert_eq!(w.clock.source(), Source::Floor);
    }

    #[test]
    fn absurd_times_are_refused_and_change_nothing() {
        let w = world(0, 1_000);
        w.clock.set_time(NOW).unwrap();
        for bad in [1, -1, i64::MIN, i64::MAX, BUILD_TIME - 2 * DAY_S, BUILD_TIME + HORIZON_S + 1] {
            let error = w.clock.set_time(bad).unwrap_err();
            assert_eq!(error.status(), KL_E_ARGUMENT, "{bad}");
        }
        assert_eq!(w.clock.now_ms(), NOW * 1000);
        // A little before the build is a clock that is a little slow: taken, but no certificate is checked there.
        w.clock.set_time(BUILD_TIME - 3600).unwrap();
        assert_eq!(w.clock.certificate_time(), BUILD_TIME);
    }
}
