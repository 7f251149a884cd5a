//! When something happened, on two clocks: what one of them misses the other may tell.

use super::clock::{Estimate, Source};

/// A moment, to be kept with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Milliseconds since boot: [`monotonic_ms`](super::clock::monotonic_ms).
    pub boot_ms: u64,
    /// Between which times of the platform's clock it was, Unix milliseconds; `None` if nobody but the device's own clock
    /// told.
    pub wall_ms: Option<(i64, i64)>,
}

/// How long ago something was, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed {
    /// What every clock agrees to have passed. What must have waited long enough is judged by this.
    pub least_ms: u64,
    /// What may have passed by any clock; `u64::MAX` if nobody can tell. What must not be too old is judged by this.
    pub most_ms: u64,
}

impl Estimate {
    /// The bounds, if somebody other than the device's own clock vouches for them.
    pub fn bounds(&self) -> Option<(i64, i64)> {
        let trusted = self.proven || matches!(self.source, Source::Platform | Source::Firmware);
        trusted.then_some((self.lo_ms, self.hi_ms))
    }
}

impl Stamp {
    /// How long before `now` this was. `same_boot`: the system has not been started anew in between. If it has, the time
    /// since that start is all that the boot clock proves.
    pub fn elapsed(&self, now: &Stamp, same_boot: bool) -> Elapsed {
        let since_boot = if same_boot { now.boot_ms.saturating_sub(self.boot_ms) } else { now.boot_ms };
        let apart = |late: i64, early: i64| u64::try_from(late.saturating_sub(early)).unwrap_or(0);
        let wall =
            self.wall_ms.zip(now.wall_ms).map(|(then, now)| (apart(now.0, then.1), apart(now.1, then.0)));
        let (least, most) = wall.unwrap_or((u64::MAX, if same_boot { 0 } else { u64::MAX }));
        Elapsed { least_ms: since_boot.min(least), most_ms: since_boot.max(most) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_proves_that_time_passed_and_the_larger_that_it_may_have() {
        let at = |boot_ms, wall_ms| Stamp { boot_ms, wall_ms };
        let told = |ms: i64| Some((ms - 500, ms + 500));
        let t = 1_800_000_000_000;
        for (then, now, same_boot, least_ms, most_ms) in [
            (at(1_000, None), at(61_000, None), true, 60_000, 60_000),
            (at(1_000, told(t)), at(61_000, None), true, 60_000, 60_000),
            (at(1_000, None), at(61_000, told(t)), true, 60_000, 60_000),
            // Both tell the same, give or take what is not known.
            (at(1_000, told(t)), at(61_000, told(t + 60_000)), true, 59_000, 61_000),
            // The boot clock stood still while the device slept.
            (at(1_000, told(t)), at(2_000, told(t + 60_000)), true, 1_000, 61_000),
            // It is another one's, in a container with a shifted clock.
            (at(1_000, told(t)), at(9_000_000, told(t + 60_000)), true, 59_000, 8_999_000),
            (at(9_000_000, told(t)), at(1_000, told(t + 60_000)), true, 0, 61_000),
            // The platform's clock was set back.
            (at(1_000, told(t)), at(61_000, told(t - 3_600_000)), true, 0, 60_000),
            // A new start: since then, at the least.
            (at(500_000, None), at(7_000, None), false, 7_000, u64::MAX),
            (at(500_000, told(t)), at(7_000, None), false, 7_000, u64::MAX),
            (at(500_000, told(t)), at(7_000, told(t + 600_000)), false, 7_000, 601_000),
            (at(500_000, told(t)), at(7_000, told(t + 3_000)), false, 2_000, 7_000),
            (at(0, Some((i64::MIN, i64::MAX))), at(5, Some((i64::MIN, i64::MAX))), true, 0, i64::MAX as u64),
        ] {
            assert_eq!(then.elapsed(&now, same_boot), Elapsed { least_ms, most_ms }, "{then:?} {now:?}");
        }
    }

    #[test]
    fn the_devices_own_clock_vouches_for_nothing() {
        let e = |source, proven| Estimate { ms: 5, lo_ms: 4, hi_ms: 6, source, proven };
        for (estimate, bounds) in [
            (e(Source::System, false), None),
            (e(Source::Floor, false), None),
            (e(Source::System, true), Some((4, 6))),
            (e(Source::Platform, false), Some((4, 6))),
            (e(Source::Firmware, false), Some((4, 6))),
        ] {
            assert_eq!(estimate.bounds(), bounds);
        }
    }
}
