//! How many codes may be tried: somebody at the keypad guesses, and a guess that is good gives away somebody's goods.

/// Guesses at each cabinet, within the last minutes. Kept in memory: a guesser does not restart the machine.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    cabinets: Vec<Bucket>,
}

/// So many cabinets are told apart; the one that was not used for longest makes room.
const CABINETS: usize = 64;
const MINUTE_MS: u64 = 60_000;

#[derive(Debug)]
struct Bucket {
    cabinet_id: String,
    /// Tries that are left, in milliseconds of waiting for them.
    spent_ms: u64,
    at_ms: u64,
}

impl Tries {
    /// Takes one try. `Err` says in how many milliseconds the next one is free. As many as a minute's may come at once; 0
    /// means no bound.
    pub(crate) fn take(&mut self, cabinet_id: &str, a_minute: u32, now_ms: u64) -> Result<(), u64> {
        if a_minute == 0 {
            return Ok(());
        }
        let price = MINUTE_MS / u64::from(a_minute);
        let bucket = self.bucket(cabinet_id, now_ms);
        let spent = bucket.spent_ms.saturating_sub(now_ms.saturating_sub(bucket.at_ms));
        bucket.at_ms = now_ms;
        bucket.spent_ms = spent;
        if spent + price > MINUTE_MS {
            return Err(spent + price - MINUTE_MS);
        }
        bucket.spent_ms += price;
        Ok(())
    }

    /// The code was good: all tries of before were somebody's typing errors.
    pub(crate) fn give_back(&mut self, cabinet_id: &str) {
        self.cabinets.retain(|b| b.cabinet_id != cabinet_id);
    }

    fn bucket(&mut self, cabinet_id: &str, now_ms: u64) -> &mut Bucket {
        let at = self.cabinets.iter().position(|b| b.cabinet_id == cabinet_id).unwrap_or_else(|| {
            if self.cabinets.len() == CABINETS {
                let oldest = (0..CABINETS).min_by_key(|i| self.cabinets[*i].at_ms).unwrap_or(0);
                self.cabinets.swap_remove(oldest);
            }
            self.cabinets.push(Bucket { cabinet_id: cabinet_id.to_owned(), spent_ms: 0, at_ms: now_ms });
            self.cabinets.len() - 1
        });
        &mut self.cabinets[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    // FAULTS F16: thousands of guesses in seconds.
    fn guesses_are_slowed_down_and_typing_errors_are_not() {
        let mut tries = Tries::default();
        let taken = (0..2500).filter(|i| tries.take("a", 30, i * 2).is_ok()).count();
        assert_eq!(taken, 32, "30 at once, and one every two seconds");
        let wait = tries.take("a", 30, 5000).unwrap_err();
        assert!(tries.take("a", 30, 5000 + wait - 1).is_err() && tries.take("a", 30, 5000 + wait).is_ok());
        assert!(tries.take("b", 30, 5000).is_ok() && tries.take("a", 0, 5000).is_ok());
        for i in 0..1000 {
            assert!(tries.take("c", 30, 5000).is_ok(), "{i}");
            tries.give_back("c");
        }
        for i in 0..1000 {
            tries.take(&i.to_string(), 30, 6000 + i).unwrap();
        }
        assert!(tries.cabinets.len() == CABINETS);
        // The ones that were used last are still known.
        assert!(tries.cabinets.iter().all(|b| b.at_ms >= 7000 - CABINETS as u64));
    }
}
