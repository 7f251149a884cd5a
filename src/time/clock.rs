//! What time it is, without trusting the device, nor any one server.
//!
//! A kiosk's real-time clock may stand at 1970, run hours off, or be stepped by NTP in the middle of a call. The `Date`
//! of an answer may be a load balancer's whose clock nobody looks after. Three questions are answered here:
//!
//! * **Signing time**, for each origin: the time that this server accepts. What it accepted is kept; only a refusal
//!   makes room for the next candidate. The candidates are the firmware's time, the device's clock, and the `Date` of
//!   this server's answers.
//! * **The platform's time**, for each origin: between which bounds its clock stands. One `Date` bounds it to a second
//!   and the round trip; several narrow it.
//! * **Certificate time**: what may be believed about the real time when a certificate is checked.
//!
//! Everything learned is an offset to the monotonic clock, so that no step of the system clock changes it.

use super::Stamp;
use super::calendar::DAY_S;
pub use super::calendar::{format_time, parse_http_date};
use crate::error::{Error, Result};
use crate::log::log_line;
use crate::process::PerProcess;
use crate::status::KL_E_ARGUMENT;
use crate::sys;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
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
/// A time that is no further than this from a `Date` is of the same clock, and follows it.
const SAME_MS: i64 = 10_000;
/// A server that may have refused a time, and does not say so, is not asked again with one that is no further from it.
const DISTINCT_MS: i64 = 30_000;
/// The same for one that does say so.
const DISTINCT_NAMED_MS: i64 = 2_000;
/// A `Date` no further than this from an accepted time, or from a set device clock, may be the better of the two.
const NEAR_MS: i64 = 600_000;
/// How far from its own clock a server may accept a time. The widest that a vendor names is an hour.
const WINDOW_MS: i64 = 3_600_000;
/// How many origins are remembered: the gateway, and hosts that payments are reported to.
const ORIGINS: usize = 8;
/// A contradiction is told again after this time.
const TELL_AGAIN_MS: u64 = 3_600_000;

/// A server, as far as its clock is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Its name or address, in lower case.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
}

/// Where a time comes from.
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

/// A platform's time with its error bounds, Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// The likeliest.
    pub ms: i64,
    /// It is not earlier than this.
    pub lo_ms: i64,
    /// It is not later than this; `i64::MAX` if nothing is known.
    pub hi_ms: i64,
    /// Where `ms` comes from.
    pub source: Source,
    /// Whether the platform accepted a request that was signed by this time.
    pub proven: bool,
}

/// A time to sign by, to be handed back with what the platform said to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningTime {
    /// Unix milliseconds.
    pub ms: i64,
    /// Which candidate it is.
    pub source: Source,
    at_ms: u64,
}

impl SigningTime {
    /// Where nothing is known.
    pub const FLOOR: SigningTime = SigningTime { ms: BUILD_TIME * 1000, source: Source::Floor, at_ms: 0 };
}

/// When a certificate begins and ends, Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// `notBefore`
    pub not_before_s: i64,
    /// `notAfter`
    pub not_after_s: i64,
}

/// What an answer says of the time.
#[derive(Clone, Copy, Debug)]
pub struct Witness<'a> {
    /// Its header `Date`.
    pub date: Option<&'a str>,
    /// Its header `Age`: a cache's answer says nothing.
    pub age: Option<&'a str>,
    /// [`Clock::monotonic_ms`] before the first byte of the request.
    pub sent_ms: u64,
    /// The same at the first byte of the answer.
    pub received_ms: u64,
    /// The validity of the verified certificate of the server's own that it came under; `None` if there was none, and
    /// then certificates do not rely on it.
    pub certificate: Option<Validity>,
}

/// What may be believed about the real time when a certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateTime {
    /// The time to check at, in Unix seconds; never before [`floor_s`](Self::floor_s).
    pub now_s: i64,
    /// Another time that has something for it: a chain that fails at `now_s` because of the time is checked there.
    pub or_s: Option<i64>,
    /// Whether the firmware, or enough verified answers, vouch for it. If not it is the system clock, or the floor.
    pub confirmed: bool,
    /// What the system clock says.
    pub system_s: i64,
    /// The time of the build.
    pub floor_s: i64,
}

/// A point of real time tied to the monotonic clock.
#[derive(Clone, Copy, Default)]
struct Fix {
    unix_ms: i64,
    mono_ms: u64,
}

impl Fix {
    fn offset(self) -> i64 {
        self.unix_ms.saturating_sub(self.mono_ms as i64)
    }
}

/// The firmware's time. It is read without a lock, so that a forked child can take it over from its parent. Of two places
/// one holds what counts while the other is written; targets without 64-bit atomics are served too.
#[derive(Default)]
struct Firmware {
    writes: AtomicU32,
    places: [[AtomicU32; 4]; 2],
}

impl Firmware {
    fn get(&self) -> Option<Fix> {
        loop {
            let writes = self.writes.load(Ordering::SeqCst);
            let [a, b, c, d] =
                [0, 1, 2, 3].map(|i| self.places[writes as usize & 1][i].load(Ordering::SeqCst));
            // Only what this number does not count yet is written elsewhere.
            if self.writes.load(Ordering::SeqCst) == writes {
                let unix_ms = (u64::from(a) << 32 | u64::from(b)) as i64;
                let fix = Fix { unix_ms, mono_ms: u64::from(c) << 32 | u64::from(d) };
                return Some(fix).filter(|fix| fix.unix_ms != 0);
            }
        }
    }

    /// Call it from one thread at a time.
    fn set(&self, fix: Option<Fix>) {
        let Fix { unix_ms, mono_ms } = fix.unwrap_or_default();
        let writes = self.writes.load(Ordering::SeqCst).wrapping_add(1);
        let place = &self.places[writes as usize & 1];
        let unix = unix_ms as u64;
        for (at, value) in place.iter().zip([unix >> 32, unix, mono_ms >> 32, mono_ms]) {
            at.store(value as u32, Ordering::SeqCst);
        }
        self.writes.store(writes, Ordering::SeqCst);
    }
}

/// What the clients of one process share.
#[derive(Default)]
struct Shared {
    firmware: Firmware,
    /// What verified answers said, a row for each server, the last first.
    verified: Mutex<Vec<Verified>>,
}

#[derive(Clone, Copy)]
struct Verified {
    host: u64,
    offset_ms: i64,
}

static SHARED: PerProcess<Shared> = PerProcess::new();

/// Between which offsets to the monotonic clock the `Date` of one origin lies.
#[derive(Clone, Copy)]
struct Seen {
    offset_ms: i64,
    low: i64,
    high: i64,
    sent_ms: u64,
    learned_ms: u64,
    poor: bool,
}

impl Seen {
    fn drift(&self, mono_ms: u64) -> i64 {
        (mono_ms.saturating_sub(self.learned_ms) / (1_000_000 / DRIFT_PPM)) as i64
    }
}

/// A time that the platform accepted.
#[derive(Clone, Copy)]
struct Accepted {
    offset_ms: i64,
    source: Source,
    at_ms: u64,
}

/// What is known of one origin's clock.
#[derive(Clone, Copy)]
struct Known {
    key: u64,
    seen: Option<Seen>,
    /// What a `Date` said that the one after it contradicted, and when that was.
    contradicted: Option<(Seen, u64)>,
    accepted: Option<Accepted>,
    /// The offsets that were refused since the last one was accepted, and how far around them nothing new is to be had.
    refused: [Option<(i64, i64)>; 3],
    told_ms: Option<u64>,
}

/// A possible time for signing: its offset, where it is from, and whether it was accepted.
type Candidate = (i64, Source, bool);

/// What the candidates are at this moment, apart from what is known of an origin.
struct Readings {
    mono_ms: u64,
    system_ms: i64,
    firmware: Option<Fix>,
}

impl Known {
    fn new(key: u64) -> Known {
        Known { key, seen: None, contradicted: None, accepted: None, refused: [None; 3], told_ms: None }
    }

    /// What there is besides this origin's `Date`, the best first.
    fn told(&self, now: &Readings) -> [Option<Candidate>; 4] {
        let accepted = self.accepted.map(|a| (a.offset_ms, a.source, true));
        let firmware = now.firmware.map(|fix| (fix.offset(), Source::Firmware, false));
        // Whoever corrects the time wants it tried.
        let newer = now.firmware.is_some_and(|fix| self.accepted.is_none_or(|a| fix.mono_ms > a.at_ms));
        let system = (now.system_ms >= BUILD_TIME * 1000)
            .then(|| (now.system_ms.saturating_sub(now.mono_ms as i64), Source::System, false));
        [firmware.filter(|_| newer), accepted, firmware.filter(|_| !newer), system]
    }

    fn is_refused(&self, offset_ms: i64) -> bool {
        self.refused.iter().flatten().any(|(refused, around)| refused.abs_diff(offset_ms) <= *around as u64)
    }

    /// What to sign by; `None` if nothing is known that was not refused.
    fn candidate(&self, now: &Readings, elsewhere: Option<i64>) -> Option<Candidate> {
        let seen = self.seen.map(|seen| seen.offset_ms).or(elsewhere);
        let told = self.told(now).into_iter().flatten();
        told.chain(seen.map(|offset_ms| (offset_ms, Source::Platform, false)))
            .find(|(offset_ms, ..)| !self.is_refused(*offset_ms))
    }

    /// Takes what a `Date` says. The error is how far apart it lies from what is known.
    fn see(&mut self, fresh: Seen) -> std::result::Result<bool, i64> {
        let Some(old) = self.seen else {
            self.seen = Some(fresh);
            return Ok(true);
        };
        // A call that began earlier but ended later must not undo what is newer.
        if fresh.sent_ms < old.sent_ms {
            return Ok(false);
        }
        let drift = old.drift(fresh.learned_ms);
        let (old_low, old_high) = (old.low - drift, old.high + drift);
        let (low, high) = (old_low.max(fresh.low), old_high.min(fresh.high));
        if low <= high {
            // They agree: narrower, and moved only if it must.
            let offset_ms = old.offset_ms.clamp(low, high);
            self.seen = Some(Seen { offset_ms, low, high, poor: old.poor && fresh.poor, ..fresh });
            return Ok(true);
        }
        let apart = (fresh.low - old_high).max(old_low - fresh.high);
        if fresh.poor && !old.poor && apart < POOR_CONTRADICTION_MS {
            return Ok(false);
        }
        // Its clock was set, or one of two machines is wrong: nobody knows which, and the middle is surely no answer.
        self.contradicted = Some((old, fresh.learned_ms));
        self.seen = Some(fresh);
        Err(apart)
    }

    /// An accepted time follows the `Date` of what is evidently the same clock. The error is how far it is off.
    fn follow(&mut self) -> std::result::Result<(), i64> {
        let (Some(accepted), Some(seen)) = (&mut self.accepted, self.seen) else { return Ok(()) };
        let near = accepted.offset_ms.clamp(seen.low, seen.high);
        match near.saturating_sub(accepted.offset_ms) {
            off if off.abs() <= SAME_MS => accepted.offset_ms = near,
            off if off.abs() > DISTINCT_MS => return Err(off),
            _ => {}
        }
        Ok(())
    }

    fn estimate(&self, now: &Readings) -> Estimate {
        let at = |offset_ms: i64| offset_ms.saturating_add(now.mono_ms as i64);
        let told = self.told(now).into_iter().flatten().find(|(offset_ms, ..)| !self.is_refused(*offset_ms));
        let Some(seen) = self.seen.filter(|seen| !self.is_refused(seen.offset_ms)) else {
            let Some((offset_ms, source, proven)) = told else {
                let floor = BUILD_TIME * 1000;
                return Estimate {
                    ms: floor,
                    lo_ms: floor,
                    hi_ms: i64::MAX,
                    source: Source::Floor,
                    proven: false,
                };
            };
            let ms = at(offset_ms);
            let (lo_ms, hi_ms) = match source {
                // Nothing was ever compared with it.
                Source::System if !proven => (BUILD_TIME * 1000, i64::MAX),
                _ => (ms - WINDOW_MS, ms + WINDOW_MS),
            };
            return Estimate { ms, lo_ms, hi_ms, source, proven };
        };
        let drift = seen.drift(now.mono_ms);
        let (mut low, mut high) = (seen.low - drift, seen.high + drift);
        let (mut offset_ms, mut from, mut proven) = (seen.offset_ms, Source::Platform, false);
        if let Some((told, source, accepted)) = told {
            let apart = told.clamp(low, high).abs_diff(told);
            if apart == 0 && accepted {
                (offset_ms, proven) = (told, true);
            } else if apart <= SAME_MS as u64 {
                proven = accepted;
            } else {
                // One of the two is wrong. Until it is known which, it may be either.
                (low, high) = (low.min(told), high.max(told));
                if apart > NEAR_MS as u64 && (accepted || source == Source::Firmware) {
                    (offset_ms, from, proven) = (told, source, accepted);
                }
            }
        }
        if let Some((other, _)) =
            self.contradicted.filter(|(_, at_ms)| now.mono_ms.saturating_sub(*at_ms) < NEAR_MS as u64)
        {
            (low, high) = (low.min(other.low), high.max(other.high));
        }
        Estimate { ms: at(offset_ms), lo_ms: at(low), hi_ms: at(high), source: from, proven }
    }
}

/// Readings of a clock that tests replace.
type Reading<T> = Box<dyn Fn() -> T + Send + Sync>;

struct Sources {
    system_ms: Reading<i64>,
    mono_ms: Reading<u64>,
    shared: Shared,
}

/// The clock of one client. Cheap; what the firmware set and what certificates may rely on is shared by all clients
/// of the process.
pub struct Clock {
    /// The origin that was heard last comes last.
    known: Mutex<Vec<Known>>,
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
        Clock { known: Mutex::new(Vec::new()), replaced: None }
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
            shared: Shared::default(),
        };
        Clock { known: Mutex::new(Vec::new()), replaced: Some(sources) }
    }

    /// The time to sign a request to this origin by. Hand it back to [`accepted`](Self::accepted) or
    /// [`refused`](Self::refused).
    pub fn signing_time(&self, origin: Origin<'_>) -> SigningTime {
        let now = self.readings();
        let known = lock(&self.known);
        let key = key(origin);
        let (ms, source) = candidate(&known, key, &now)
            .map_or((SigningTime::FLOOR.ms, Source::Floor), |(offset_ms, source, _)| {
                (offset_ms.saturating_add(now.mono_ms as i64), source)
            });
        SigningTime { ms, source, at_ms: now.mono_ms }
    }

    /// The platform accepted a request that was signed by this time: it is kept, whatever a `Date` says, until it is
    /// refused. Only for platforms that check the time of a request.
    pub fn accepted(&self, origin: Origin<'_>, signed: &SigningTime) {
        if signed.source == Source::Floor {
            // Whoever takes that looks at no clock.
            return;
        }
        let mut off = None;
        {
            let mut all = lock(&self.known);
            let known = entry(&mut all, key(origin));
            if known.accepted.is_some_and(|before| before.at_ms > signed.at_ms) {
                return;
            }
            known.refused = [None; 3];
            let offset_ms = signed.ms.saturating_sub(signed.at_ms as i64);
            known.accepted = Some(Accepted { offset_ms, source: signed.source, at_ms: signed.at_ms });
            if let Err(apart) = known.follow() {
                off = may_tell(known, signed.at_ms).then_some(apart);
            }
        }
        if let Some(off) = off {
            tell_other_clock(origin, off);
        }
    }

    /// The platform refused a request, and the time that it was signed by may be why; `named` if the platform says that it
    /// is. True if there is another time, which [`signing_time`](Self::signing_time) gives now: sign again and try once
    /// more. False if every candidate was refused; then all are forgiven.
    pub fn refused(&self, origin: Origin<'_>, signed: &SigningTime, named: bool) -> bool {
        let now = self.readings();
        let mut all = lock(&self.known);
        let key = key(origin);
        let offset_ms = signed.ms.saturating_sub(signed.at_ms as i64);
        let around = if named { DISTINCT_NAMED_MS } else { DISTINCT_MS };
        let known = entry(&mut all, key);
        if known
            .accepted
            .is_some_and(|a| a.at_ms > signed.at_ms && a.offset_ms.abs_diff(offset_ms) <= around as u64)
        {
            // It was taken meanwhile: the refusal has another reason.
            return false;
        }
        if !known.is_refused(offset_ms) {
            known.refused.rotate_right(1);
            known.refused[0] = Some((offset_ms, around));
        }
        let another = candidate(&all, key, &now).is_some();
        if !another {
            entry(&mut all, key).refused = [None; 3];
        }
        another
    }

    /// What this origin's clock says, with its error bounds.
    pub fn now(&self, origin: Origin<'_>) -> Estimate {
        let now = self.readings();
        let key = key(origin);
        let known = lock(&self.known);
        known.iter().find(|k| k.key == key).unwrap_or(&Known::new(key)).estimate(&now)
    }

    /// This moment, to be kept with a record, by the monotonic clock and by this origin's.
    pub fn stamp(&self, origin: Origin<'_>) -> Stamp {
        Stamp { boot_ms: self.monotonic_ms(), wall_ms: self.now(origin).bounds() }
    }

    /// The time of the origin that was heard last, in Unix milliseconds: for programs that speak to one.
    pub fn now_ms(&self) -> i64 {
        self.last_heard().ms
    }

    /// Where [`now_ms`](Self::now_ms) comes from.
    pub fn source(&self) -> Source {
        self.last_heard().source
    }

    fn last_heard(&self) -> Estimate {
        let now = self.readings();
        let known = lock(&self.known);
        known.last().unwrap_or(&Known::new(0)).estimate(&now)
    }

    /// The time to check certificates at, in Unix seconds.
    pub fn certificate_time(&self) -> i64 {
        self.certificate().now_s
    }

    /// The same with what vouches for it.
    pub fn certificate(&self) -> CertificateTime {
        self.certificate_by(None)
    }

    /// What a certificate of this host is to be checked by. If the system clock is not set, the host's own answers confirm
    /// the time for itself; for others it takes two hosts that agree.
    pub fn certificate_of(&self, host: &str) -> CertificateTime {
        self.certificate_by(Some(hash(host)))
    }

    fn certificate_by(&self, host: Option<u64>) -> CertificateTime {
        let now = self.readings();
        let system_s = now.system_ms.div_euclid(1000);
        let at = |offset_ms: i64| offset_ms.saturating_add(now.mono_ms as i64).div_euclid(1000);
        let is_set = system_s >= BUILD_TIME;
        let agree = |a: i64, b: i64| a.abs_diff(b) <= NEAR_MS as u64 / 1000;
        let (now_s, or_s, confirmed) = if let Some(fix) = now.firmware {
            (at(fix.offset()), None, true)
        } else {
            let all = lock(&self.shared().verified);
            let times = || all.iter().map(|v| at(v.offset_ms));
            // Two servers that say the same, or one and the system clock.
            let agreed = times().find(|t| is_set && agree(*t, system_s)).or_else(|| {
                times().enumerate().find(|(i, t)| times().take(*i).any(|u| agree(*t, u))).map(|(_, t)| t)
            });
            let own = all.iter().find(|v| host.is_none_or(|host| host == v.host)).map(|v| at(v.offset_ms));
            match (agreed, own, times().min()) {
                (Some(t), ..) => (t, Some(system_s).filter(|s| is_set && !agree(t, *s)), true),
                // One server alone does not overrule a clock that is set. That it is later than a certificate's beginning
                // may be believed.
                (None, _, later) if is_set => (system_s, later.filter(|t| *t > system_s), false),
                (None, Some(own), _) => (own, None, true),
                (None, None, Some(other)) => (other, Some(BUILD_TIME), false),
                (None, None, None) => (system_s, None, false),
            }
        };
        CertificateTime { now_s: now_s.max(BUILD_TIME), or_s, confirmed, system_s, floor_s: BUILD_TIME }
    }

    /// Takes what an answer of this origin says of the time. True if it was believed.
    ///
    /// An answer out of a cache, a date that is no date, lies outside any plausible time or outside the validity of the
    /// certificate that it came under, and an exchange older than the last one taken are left aside.
    pub fn witness(&self, origin: Origin<'_>, witness: &Witness<'_>) -> bool {
        let (sent_ms, received_ms) = (witness.sent_ms, witness.received_ms);
        let Some(date_s) = witness.date.and_then(parse_http_date) else { return false };
        let aged = witness.age.is_some_and(|age| age.trim() != "0");
        // Clocks of servers may be a little slow when their certificate is fresh.
        let outside = |v: Validity| date_s < v.not_before_s - DAY_S || date_s > v.not_after_s;
        if aged || !plausible(date_s) || received_ms < sent_ms || witness.certificate.is_some_and(outside) {
            return false;
        }
        // The platform read its clock somewhere between the two, and cut the fraction of the second off.
        let low = date_s * 1000 - received_ms as i64;
        let high = date_s * 1000 + 1000 - sent_ms as i64;
        let poor = (received_ms - sent_ms) as i64 > POOR_MS;
        let fresh =
            Seen { offset_ms: low + (high - low) / 2, low, high, sent_ms, learned_ms: received_ms, poor };

        let (taken, offset_ms, jumped, off) = {
            let mut all = lock(&self.known);
            let known = entry(&mut all, key(origin));
            let seen = known.see(fresh);
            let off = known.follow().err();
            let tell = (seen.is_err() || off.is_some()) && may_tell(known, received_ms);
            let offset_ms = known.seen.map_or(fresh.offset_ms, |seen| seen.offset_ms);
            (seen.unwrap_or(true), offset_ms, seen.err().filter(|_| tell), off.filter(|_| tell))
        };
        if let Some(apart) = jumped {
            log_line!(
                Warn,
                "two dates of {} contradict each other by {} s: its clock was set, or several machines answer",
                origin.host,
                apart / 1000
            );
        } else if let Some(off) = off {
            tell_other_clock(origin, off);
        }
        if taken && witness.certificate.is_some() {
            let mut verified = lock(&self.shared().verified);
            let host = hash(origin.host);
            verified.retain(|v| v.host != host);
            verified.truncate(ORIGINS - 1);
            verified.insert(0, Verified { host, offset_ms });
        }
        taken
    }

    /// [`set_time`] for this clock alone if it was made with [`with_sources`](Self::with_sources).
    pub fn set_time(&self, unix_s: i64) -> Result<()> {
        let fix = if unix_s == 0 {
            None
        } else if plausible(unix_s) {
            Some(Fix { unix_ms: unix_s * 1000, mono_ms: self.monotonic_ms() })
        } else {
            let message = [
                &*format_time(unix_s),
                " is no plausible time: this library was built ",
                &format_time(BUILD_TIME),
            ]
            .concat();
            return Err(Error::new(KL_E_ARGUMENT, message));
        };
        let shared = self.shared();
        let _one_at_a_time = lock(&shared.verified);
        shared.firmware.set(fix);
        Ok(())
    }

    /// Milliseconds on the clock that never goes back.
    pub fn monotonic_ms(&self) -> u64 {
        self.replaced.as_ref().map_or_else(sys::boot_ms, |sources| (sources.mono_ms)())
    }

    fn system_ms(&self) -> i64 {
        match &self.replaced {
            Some(sources) => (sources.system_ms)(),
            None => device_ms(),
        }
    }

    fn shared(&self) -> &Shared {
        match &self.replaced {
            Some(sources) => &sources.shared,
            None => SHARED.get_or(|parent| {
                let shared = Shared::default();
                // A child knows what its parent was told. What servers said it hears again.
                shared.firmware.set(parent.and_then(|parent| parent.firmware.get()));
                shared
            }),
        }
    }

    fn readings(&self) -> Readings {
        Readings {
            mono_ms: self.monotonic_ms(),
            system_ms: self.system_ms(),
            firmware: self.shared().firmware.get(),
        }
    }
}

/// The row of an origin, which becomes the last.
fn entry(all: &mut Vec<Known>, key: u64) -> &mut Known {
    match all.iter().position(|known| known.key == key) {
        Some(at) => all[at..].rotate_left(1),
        None => {
            if all.len() == ORIGINS {
                all.remove(0);
            }
            all.push(Known::new(key));
        }
    }
    let last = all.len() - 1;
    &mut all[last]
}

/// What to sign a request to an origin by. Of an origin that was not heard yet no more is known than of the others.
fn candidate(all: &[Known], key: u64, now: &Readings) -> Option<Candidate> {
    let elsewhere = all
        .iter()
        .rev()
        .filter(|known| known.key != key)
        .find_map(|known| known.accepted.map(|a| a.offset_ms).or(known.seen.map(|seen| seen.offset_ms)));
    match all.iter().find(|known| known.key == key) {
        Some(known) => known.candidate(now, elsewhere),
        None => Known::new(key).candidate(now, elsewhere),
    }
}

fn may_tell(known: &mut Known, mono_ms: u64) -> bool {
    let may = known.told_ms.is_none_or(|told| mono_ms.saturating_sub(told) >= TELL_AGAIN_MS);
    if may {
        known.told_ms = Some(mono_ms);
    }
    may
}

#[cold]
fn tell_other_clock(origin: Origin<'_>, off: i64) {
    log_line!(
        Warn,
        "the Date of {} is {} s off the time that it accepts: it is left aside",
        origin.host,
        off / 1000
    );
}

/// Names become numbers of one size, so that looking one up takes no memory.
fn hash(text: &str) -> u64 {
    kiosklink_wire::folded(0xcbf2_9ce4_8422_2325, text.as_bytes())
}

fn key(origin: Origin<'_>) -> u64 {
    (hash(origin.host) ^ u64::from(origin.port)).wrapping_mul(0x100_0000_01b3)
}

/// Hands in a time that is trusted from outside, in Unix seconds: GPS, modem, NTP. 0 forgets it. A time before the
/// build of this library or half a century after it is refused.
pub fn set_time(unix_s: i64) -> Result<()> {
    Clock::new().set_time(unix_s)
}

/// What the device's own clock says, in Unix milliseconds. It may be wrong: for people, and one source of several.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) fn device_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_millis() as i64,
        Err(before) => -(before.duration().as_millis() as i64),
    }
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

    const HERE: Origin<'_> = Origin { host: "gateway.example", port: 443 };
    const THERE: Origin<'_> = Origin { host: "pay.example", port: 443 };
    const DECADES: Validity = Validity { not_before_s: 0, not_after_s: 1 << 40 };

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
            self.exchange_with(HERE, platform_ms, takes_ms, Some(DECADES))
        }

        fn exchange_with(
            &self,
            origin: Origin<'_>,
            platform_ms: i64,
            takes_ms: u64,
            certificate: Option<Validity>,
        ) -> bool {
            let sent = self.mono.load(Ordering::SeqCst);
            self.pass(takes_ms);
            self.hear(origin, &http_date(platform_ms.div_euclid(1000)), sent, sent + takes_ms, certificate)
        }

        fn hear(
            &self,
            origin: Origin<'_>,
            date: &str,
            sent_ms: u64,
            received_ms: u64,
            certificate: Option<Validity>,
        ) -> bool {
            let witness = Witness { date: Some(date), age: None, sent_ms, received_ms, certificate };
            self.clock.witness(origin, &witness)
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
            // A server alone confirms the time for certificates only where no other clock is set.
            assert_eq!(w.clock.certificate().confirmed, step < BUILD_TIME * 1000);
        }
        w.pass(10_000);
        assert_eq!(w.clock.now_ms(), before + 10_000);
    }

    #[test]
    fn nonsense_is_left_aside() {
        let w = world(NOW, 1_000);
        let hear = |date: Option<&str>, age: Option<&str>, sent_ms, received_ms, certificate| {
            w.clock.witness(HERE, &Witness { date, age, sent_ms, received_ms, certificate })
        };
        for date in [None, Some("yesterday"), Some("Thu, 01 Jan 1970 00:00:00 GMT"), Some("")] {
            assert!(!hear(date, None, 1_000, 1_100, Some(DECADES)));
        }
        for s in [BUILD_TIME - 2 * DAY_S, BUILD_TIME + HORIZON_S + DAY_S, NOW + 47 * 366 * DAY_S * 2] {
            assert!(!hear(Some(&http_date(s)), None, 1_000, 1_100, Some(DECADES)));
        }
        let good = http_date(NOW);
        assert!(!hear(Some(&good), Some("12"), 1_000, 1_100, Some(DECADES)));
        assert!(!hear(Some(&good), Some("x"), 1_000, 1_100, Some(DECADES)));
        assert!(!hear(Some(&good), None, 1_100, 1_000, Some(DECADES)));
        // FAULTS E: never outside the certificate that it came under.
        for (not_before_s, not_after_s) in [(NOW - 90 * DAY_S, NOW - 1), (NOW + DAY_S + 1, NOW + 90 * DAY_S)]
        {
            assert!(!hear(Some(&good), None, 1_000, 1_100, Some(Validity { not_before_s, not_after_s })));
        }
        assert_eq!(w.clock.source(), Source::System);
        assert!(!w.clock.certificate().confirmed);
        assert!(hear(Some(&good), Some("0"), 1_000, 1_100, None));
        assert_eq!(w.clock.source(), Source::Platform);
        assert!(!w.clock.certificate().confirmed);
    }

    #[test]
    fn an_exchange_that_began_earlier_does_not_undo_a_later_one() {
        let w = world(NOW, 0);
        w.pass(60_000);
        // Two calls at once; the one that began first and saw the old time ends last.
        assert!(w.hear(HERE, &http_date(NOW + 3600), 50_000, 50_100, None));
        let now = w.clock.now_ms();
        assert!(!w.hear(HERE, &http_date(NOW), 40_000, 59_000, None));
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
            w.hear(HERE, &http_date(platform.div_euclid(1000)), sent, sent + takes, None);
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
    fn the_firmware_is_believed_until_its_time_is_refused() {
        let w = world(0, 1_000);
        w.clock.set_time(NOW).unwrap();
        w.pass(5_000);
        let signed = w.clock.signing_time(HERE);
        assert_eq!((signed.source, signed.ms), (Source::Firmware, NOW * 1000 + 5_000));
        assert_eq!(w.clock.certificate_time(), NOW + 5);
        // That the next answer says something else changes nothing.
        assert!(w.exchange((NOW + 900) * 1000, 100));
        assert_eq!(w.clock.signing_time(HERE).source, Source::Firmware);
        assert_eq!((w.clock.source(), w.clock.certificate_time()), (Source::Firmware, NOW + 5));
        // A refusal does; the certificates follow the firmware all the same.
        assert!(w.clock.refused(HERE, &signed, true));
        let signed = w.clock.signing_time(HERE);
        assert_eq!(signed.source, Source::Platform);
        assert!((signed.ms - (NOW + 900) * 1000).abs() < 1_000);
        w.clock.accepted(HERE, &signed);
        assert!(w.clock.now(HERE).proven);
        assert_eq!(w.clock.certificate_time(), NOW + 5);
        // Said anew, it is tried anew.
        w.pass(1_000);
        w.clock.set_time(NOW + 50).unwrap();
        let signed = w.clock.signing_time(HERE);
        assert_eq!((signed.source, signed.ms), (Source::Firmware, (NOW + 50) * 1000));
        assert!(w.clock.refused(HERE, &signed, true));
        assert_eq!(w.clock.signing_time(HERE).source, Source::Platform);
        // Forgotten: the platform's word is still there.
        w.clock.set_time(0).unwrap();
        assert_eq!(w.clock.signing_time(HERE).source, Source::Platform);
        assert!((w.clock.certificate_time() - NOW - 901).abs() <= 1);
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

    // FAULTS E: the `Date` of a payment host an hour ahead, and the next door was refused.
    #[test]
    fn another_hosts_date_does_not_touch_the_gateways_time() {
        for system_s in [NOW, 0] {
            let w = world(system_s, 1_000);
            assert!(w.exchange(NOW * 1000, 100));
            let signed = w.clock.signing_time(HERE);
            w.clock.accepted(HERE, &signed);
            let before = (w.clock.signing_time(HERE), w.clock.now(HERE));
            let now_ms = w.mono.load(Ordering::SeqCst);
            assert!(w.hear(THERE, &http_date(NOW + 3_600), now_ms, now_ms, Some(DECADES)));
            assert_eq!((w.clock.signing_time(HERE), w.clock.now(HERE)), before);
            // Whose own time it may well be, if the one it was first signed by is refused.
            let signed = w.clock.signing_time(THERE);
            assert!((signed.ms - NOW * 1000).abs() < 2_000 || signed.source == Source::Platform);
        }
    }

    #[test]
    fn of_a_new_host_no_more_is_known_than_of_the_gateway() {
        let w = world(0, 1_000);
        assert_eq!(w.clock.signing_time(THERE).source, Source::Floor);
        assert!(w.exchange(NOW * 1000, 100));
        let signed = w.clock.signing_time(THERE);
        assert!(signed.source == Source::Platform && (signed.ms - NOW * 1000).abs() < 2_000);
        assert_eq!(w.clock.now(THERE).source, Source::Floor);
        // Other ports of a host are other servers.
        assert_eq!(w.clock.now(Origin { port: 8443, ..HERE }).source, Source::Floor);
    }

    // FAULTS E: a load balancer's `Date` is wrong while the service checks the right time.
    #[test]
    fn what_was_accepted_is_kept_against_a_wrong_date() {
        for by_firmware in [false, true] {
            let w = world(if by_firmware { 0 } else { NOW }, 1_000);
            if by_firmware {
                w.clock.set_time(NOW).unwrap();
            }
            for call in 0..20 {
                let right = w.mono.load(Ordering::SeqCst) as i64 + NOW * 1000 - 1_000;
                let signed = w.clock.signing_time(HERE);
                assert!(
                    (signed.ms - right).abs() < 1_000,
                    "call {call} was signed {} ms off",
                    signed.ms - right
                );
                assert!(w.exchange(right + 3_600_000, 80));
                let right = right + 80;
                w.clock.accepted(HERE, &signed);
                // Nobody knows which of the two the platform keeps its records by.
                let now = w.clock.now(HERE);
                assert!((now.ms - right).abs() < 1_000 && now.proven && now.source != Source::Platform);
                assert!(now.lo_ms <= right && now.hi_ms >= right + 3_600_000);
                w.pass(60_000);
                // Whatever the device's own clock is set to meanwhile.
                w.system.fetch_add(-86_400_000, Ordering::SeqCst);
            }
        }
    }

    #[test]
    fn a_device_at_1970_is_taught_by_the_first_refusal() {
        let w = world(0, 1_000);
        let signed = w.clock.signing_time(HERE);
        assert_eq!(signed.source, Source::Floor);
        assert!(w.exchange(NOW * 1000, 100));
        assert!(w.clock.refused(HERE, &signed, true));
        let signed = w.clock.signing_time(HERE);
        assert!(signed.source == Source::Platform && (signed.ms - NOW * 1000).abs() < 1_200);
        w.clock.accepted(HERE, &signed);
        assert!(w.clock.now(HERE).proven);
    }

    #[test]
    fn a_device_hours_off_is_taught_by_the_first_refusal() {
        let w = world(NOW - 7_200, 1_000);
        let signed = w.clock.signing_time(HERE);
        assert_eq!(signed.source, Source::System);
        assert!(w.exchange(NOW * 1000, 100));
        // A `Date` alone moves nothing.
        assert_eq!(w.clock.signing_time(HERE).source, Source::System);
        assert!(w.clock.refused(HERE, &signed, true));
        let signed = w.clock.signing_time(HERE);
        assert_eq!(signed.source, Source::Platform);
        w.clock.accepted(HERE, &signed);
        let now = w.clock.now(HERE);
        assert!(now.proven && now.hi_ms - now.lo_ms < 1_200 && (now.ms - NOW * 1000).abs() < 1_200);
    }

    #[test]
    fn at_1970_with_a_wrong_date_the_firmwares_time_is_tried() {
        // Told before the first call, or only after the `Date` was refused too.
        for told_first in [true, false] {
            let w = world(0, 1_000);
            if told_first {
                w.clock.set_time(NOW).unwrap();
                assert_eq!(w.clock.signing_time(HERE).source, Source::Firmware);
                continue;
            }
            let signed = w.clock.signing_time(HERE);
            assert!(w.exchange((NOW + 3_600) * 1000, 100));
            assert!(w.clock.refused(HERE, &signed, true));
            let signed = w.clock.signing_time(HERE);
            assert_eq!(signed.source, Source::Platform);
            assert!(!w.clock.refused(HERE, &signed, true), "there is no other");
            w.clock.set_time(NOW).unwrap();
            let signed = w.clock.signing_time(HERE);
            assert_eq!((signed.source, signed.ms), (Source::Firmware, NOW * 1000));
            w.clock.accepted(HERE, &signed);
            // For good, not for one call.
            for _ in 0..5 {
                w.exchange((NOW + 3_600) * 1000, 100);
                assert_eq!(w.clock.signing_time(HERE).source, Source::Firmware);
            }
        }
    }

    #[test]
    fn each_candidate_is_tried_once_and_then_all_are_forgiven() {
        let w = world(NOW - 7_200, 1_000);
        w.clock.set_time(NOW + 86_400).unwrap();
        for round in 0..3 {
            let mut tried = Vec::new();
            loop {
                let signed = w.clock.signing_time(HERE);
                assert!(w.exchange(NOW * 1000, 0));
                tried.push(signed.source);
                if !w.clock.refused(HERE, &signed, true) {
                    break;
                }
            }
            assert_eq!(tried, [Source::Firmware, Source::System, Source::Platform], "round {round}");
        }
        // Nothing else to try: a wrong secret is not put down to the clock.
        let w = world(NOW, 1_000);
        let signed = w.clock.signing_time(HERE);
        assert!(w.exchange(NOW * 1000 + 25_000, 100));
        assert!(!w.clock.refused(HERE, &signed, false));
        // If the platform says that it is the time, seconds may be too much for it.
        assert!(w.clock.refused(HERE, &signed, true));
        assert!((w.clock.signing_time(HERE).ms - NOW * 1000 - 25_000).abs() < 1_200);
        // Without a `Date` neither.
        let w = world(NOW, 1_000);
        assert!(!w.clock.refused(HERE, &w.clock.signing_time(HERE), true));
    }

    #[test]
    fn a_late_refusal_does_not_undo_what_was_accepted_meanwhile() {
        let w = world(NOW, 1_000);
        let early = w.clock.signing_time(HERE);
        w.pass(50);
        let late = w.clock.signing_time(HERE);
        assert!(w.exchange((NOW + 3_600) * 1000, 100));
        w.clock.accepted(HERE, &late);
        assert!(!w.clock.refused(HERE, &early, true));
        assert_eq!(w.clock.signing_time(HERE).source, Source::System);
        // Nor does an acceptance that comes late replace a newer one.
        w.clock.accepted(HERE, &SigningTime { ms: 0, ..early });
        assert!(w.clock.signing_time(HERE).ms > 0);
    }

    #[test]
    fn a_platform_that_is_set_anew_is_found_again() {
        let w = world(NOW, 1_000);
        assert!(w.exchange(NOW * 1000, 100));
        let signed = w.clock.signing_time(HERE);
        w.clock.accepted(HERE, &signed);
        // Its clock goes back an hour; the device's clock agrees with it by now.
        w.system.fetch_add(-3_600_000, Ordering::SeqCst);
        let signed = w.clock.signing_time(HERE);
        assert!(w.exchange((NOW - 3_600) * 1000, 100));
        assert!(w.clock.refused(HERE, &signed, true));
        let signed = w.clock.signing_time(HERE);
        assert!((signed.ms - (NOW - 3_600) * 1000).abs() < 2_000);
        w.clock.accepted(HERE, &signed);
        // The contradiction is in the bounds for a while.
        let now = w.clock.now(HERE);
        assert!(now.proven && now.hi_ms - now.lo_ms > 3_599_000);
        w.pass(NEAR_MS as u64);
        let now = w.clock.now(HERE);
        assert!(now.hi_ms - now.lo_ms < 2_000);
    }

    #[test]
    fn a_slow_drift_is_followed_without_a_refusal() {
        let w = world(NOW, 1_000);
        let mut platform = NOW * 1000;
        for day in 0..300 {
            let signed = w.clock.signing_time(HERE);
            assert!((signed.ms - platform).abs() < 9_000, "day {day}: {}", signed.ms - platform);
            assert!(w.exchange(platform, 80));
            w.clock.accepted(HERE, &signed);
            assert!(w.clock.now(HERE).proven);
            w.pass(DAY_S as u64 * 1000 - 80);
            // 80 ppm
            platform += DAY_S * 1000 + 6_900;
        }
    }

    // FAULTS B3: one exchange over a slow uplink, and our own redemption was "used before, by somebody else".
    #[test]
    fn the_true_time_lies_between_the_bounds_however_slow_the_line() {
        let mut random = 7u32;
        let mut next = |below: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u64::from((random >> 8) % below)
        };
        for system_s in [0, NOW] {
            for _ in 0..300 {
                let w = world(system_s, 1_000);
                let truth = NOW * 1000 + next(1_000) as i64 - 1_000;
                for _ in 0..6 {
                    let (up, down) = (next(25_000), next(25_000));
                    let sent = w.mono.load(Ordering::SeqCst);
                    let date = http_date((truth + (sent + up) as i64).div_euclid(1000));
                    w.pass(up + down);
                    w.hear(HERE, &date, sent, sent + up + down, Some(DECADES));
                    let now = w.clock.now(HERE);
                    let right = truth + w.mono.load(Ordering::SeqCst) as i64;
                    assert!(now.lo_ms <= right && right <= now.hi_ms, "{now:?} {right}");
                    assert!(now.lo_ms <= now.ms && now.ms <= now.hi_ms);
                    assert_eq!(now.source, Source::Platform);
                    w.pass(next(600_000));
                }
            }
        }
        // A quick one narrows it to its second.
        let w = world(0, 1_000);
        assert!(w.exchange(NOW * 1000, 40_000));
        assert!(w.clock.now(HERE).hi_ms - w.clock.now(HERE).lo_ms > 40_000);
        assert!(w.exchange(NOW * 1000, 30));
        assert!(w.clock.now(HERE).hi_ms - w.clock.now(HERE).lo_ms <= 1_031);
    }

    #[test]
    fn bounds_are_as_wide_as_the_ignorance() {
        let w = world(0, 1_000);
        let floor = BUILD_TIME * 1000;
        let now = w.clock.now(HERE);
        assert_eq!((now.ms, now.lo_ms, now.hi_ms, now.source), (floor, floor, i64::MAX, Source::Floor));
        // The device's own clock is no bound.
        let w = world(NOW, 1_000);
        let now = w.clock.now(HERE);
        assert_eq!((now.ms, now.lo_ms, now.hi_ms), (NOW * 1000, floor, i64::MAX));
        // Accepted, it is somewhere in what the platform accepts.
        w.clock.accepted(HERE, &w.clock.signing_time(HERE));
        let now = w.clock.now(HERE);
        assert!(now.proven && now.hi_ms == NOW * 1000 + WINDOW_MS && now.lo_ms == NOW * 1000 - WINDOW_MS);
        // A set clock and a `Date` that disagree: either may be right.
        let w = world(NOW - 7_200, 1_000);
        assert!(w.exchange(NOW * 1000, 100));
        let now = w.clock.now(HERE);
        assert!(now.source == Source::Platform && !now.proven);
        assert!(now.lo_ms <= (NOW - 7_200) * 1000 + 100 && now.hi_ms >= NOW * 1000);
        // They drift apart for as long as nothing is heard.
        let w = world(NOW, 1_000);
        assert!(w.exchange(NOW * 1000, 100));
        let narrow = w.clock.now(HERE);
        w.pass(DAY_S as u64 * 1000);
        let wide = w.clock.now(HERE);
        assert!((wide.hi_ms - wide.lo_ms) - (narrow.hi_ms - narrow.lo_ms) >= 17_000);
    }

    // FAULTS E: one `Date` 200 days ahead from one vendor, and every account was KL_E_TLS_EXPIRED.
    #[test]
    fn one_witness_does_not_overrule_a_clock_that_is_set() {
        let ahead = (NOW + 200 * DAY_S) * 1000;
        let w = world(NOW, 1_000);
        assert!(w.exchange(ahead, 100));
        for host in [HERE.host, THERE.host] {
            let c = w.clock.certificate_of(host);
            assert_eq!((c.now_s, c.confirmed), (NOW, false));
            assert!((c.or_s.unwrap() - NOW - 200 * DAY_S).abs() < 2);
        }
        // By minutes it may.
        let w = world(NOW, 1_000);
        assert!(w.exchange((NOW + 300) * 1000, 100));
        let c = w.clock.certificate();
        assert!((c.now_s - NOW - 300).abs() < 2 && c.confirmed && c.or_s.is_none());
        // One that says what the system clock says outweighs one that does not, whichever came last.
        for turn in [[0, 200], [200, 0]] {
            let w = world(NOW, 1_000);
            for (origin, days) in [HERE, THERE].into_iter().zip(turn) {
                assert!(w.exchange_with(origin, (NOW + days * DAY_S) * 1000, 100, Some(DECADES)));
            }
            let c = w.clock.certificate();
            assert!((c.now_s - NOW).abs() < 2 && c.confirmed, "{c:?}");
        }
        // Two that agree outweigh it; a chain is checked by it all the same before it counts as expired.
        let w = world(NOW, 1_000);
        assert!(w.exchange(ahead, 100));
        assert!(w.exchange_with(THERE, ahead, 100, Some(DECADES)));
        let c = w.clock.certificate();
        assert!((c.now_s - NOW - 200 * DAY_S).abs() < 2 && c.confirmed && c.or_s == Some(NOW));
        // The same server twice is one witness.
        let w = world(NOW, 1_000);
        assert!(w.exchange(ahead, 100) && w.exchange(ahead + 100, 100));
        assert_eq!(w.clock.certificate().now_s, NOW);
        // What came in the clear is none.
        let w = world(0, 1_000);
        assert!(w.exchange_with(HERE, ahead, 100, None));
        assert_eq!(w.clock.certificate().now_s, BUILD_TIME);
    }

    #[test]
    fn without_a_clock_a_server_confirms_the_time_for_itself_alone() {
        let w = world(0, 1_000);
        assert!(w.exchange((NOW + 200 * DAY_S) * 1000, 100));
        let own = w.clock.certificate_of(HERE.host);
        assert!(own.confirmed && own.or_s.is_none() && own.now_s >= NOW + 200 * DAY_S - 1);
        let other = w.clock.certificate_of(THERE.host);
        assert!(!other.confirmed && other.or_s == Some(BUILD_TIME) && other.now_s == own.now_s);
        // Its own word then counts for the other.
        assert!(w.exchange_with(THERE, NOW * 1000, 100, Some(DECADES)));
        assert!((w.clock.certificate_of(THERE.host).now_s - NOW).abs() < 2);
        assert!(w.clock.certificate_of(THERE.host).confirmed);
    }

    #[test]
    fn more_origins_than_there_is_room_for_push_out_the_ones_not_heard() {
        let w = world(0, 1_000);
        for port in 1..100 {
            assert!(w.exchange(NOW * 1000, 10));
            assert!(w.exchange_with(Origin { host: "many.example", port }, (NOW + 9_000) * 1000, 10, None));
            assert!((w.clock.now(HERE).ms - NOW * 1000).abs() < 2_000);
        }
        assert!(lock(&w.clock.known).len() <= ORIGINS);
    }

    #[test]
    fn the_firmwares_time_is_never_torn() {
        let firmware = Firmware::default();
        assert!(firmware.get().is_none());
        let stop = AtomicU64::new(0);
        std::thread::scope(|s| {
            s.spawn(|| {
                for n in 1..200_000u64 {
                    let n = n * 0x1_0001_0001;
                    firmware.set(Some(Fix { unix_ms: n as i64, mono_ms: !n }));
                }
                stop.store(1, Ordering::SeqCst);
            });
            while stop.load(Ordering::SeqCst) == 0 {
                if let Some(fix) = firmware.get() {
                    assert_eq!(fix.unix_ms as u64, !fix.mono_ms);
                }
            }
        });
        firmware.set(None);
        assert!(firmware.get().is_none());
    }
}
