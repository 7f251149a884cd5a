//! What a device may do.

use crate::store::{Device, Policy};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Verbs that a device may be given, as the library calls them.
pub const VERBS: &[&str] = &[
    "ping",
    "cabinet_list",
    "stock_fetch",
    "door_open",
    "code_redeem",
    "code_lookup",
    "code_list",
    "code_create",
    "code_cancel",
    "order_get",
    "order_create",
    "payment_report",
    "refund_apply",
    "appeal_file",
];

/// Those that it has if nobody says otherwise: what a kiosk does while a customer stands before it.
pub const USUAL: &[&str] = &[
    "ping",
    "cabinet_list",
    "stock_fetch",
    "door_open",
    "code_redeem",
    "code_lookup",
    "order_get",
    "order_create",
    "payment_report",
];

/// Wrong codes a minute if nobody says otherwise.
pub const CODE_TRIES: u32 = 10;

/// Why something is outside a policy.
#[derive(Debug, PartialEq, Eq)]
pub struct Outside(pub String);

impl Policy {
    /// Whether it may use a verb.
    pub fn verb(&self, verb: &str) -> Result<(), Outside> {
        match self.verbs.iter().any(|v| v == verb) {
            true => Ok(()),
            false => Err(Outside(format!("this device may not use {verb}"))),
        }
    }

    /// The cabinet that a request is about: the one that it names, or the only one that the device has.
    pub fn cabinet(&self, named: &str) -> Result<String, Outside> {
        match (named, self.cabinets.as_slice()) {
            ("", [only]) => Ok(only.clone()),
            ("", _) => Err(Outside("cabinet_id is missing; this device has several".into())),
            (named, all) if all.iter().any(|c| c == named) => Ok(named.to_owned()),
            (named, _) => Err(Outside(format!("cabinet {named:.64} is not this device's"))),
        }
    }

    /// Whether it may see what is about this cabinet.
    pub fn sees(&self, cabinet: &str) -> bool {
        self.cabinets.iter().any(|c| c == cabinet)
    }
}

/// Tries of codes, for each device: so many at once, and as many a minute. A good code gives its try back.
#[derive(Default)]
pub struct Tries(Mutex<HashMap<String, (f64, u64)>>);

impl Tries {
    /// Takes a try at this time in milliseconds, or says after how many milliseconds there is one.
    pub fn take(&self, device: &Device, now_ms: u64) -> Result<(), u64> {
        let most = f64::from(device.policy.code_tries);
        if most == 0.0 {
            return Err(60_000);
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() > 50_000 {
            all.retain(|_, (_, at)| now_ms.saturating_sub(*at) < 60_000);
        }
        let (left, at) = all.entry(device.id.clone()).or_insert((most, now_ms));
        *left = (*left + now_ms.saturating_sub(*at) as f64 * most / 60_000.0).min(most);
        *at = now_ms;
        if *left < 1.0 {
            return Err(((1.0 - *left) * 60_000.0 / most).ceil() as u64);
        }
        *left -= 1.0;
        Ok(())
    }

    /// The code was good.
    pub fn give_back(&self, device: &Device) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((left, _)) = all.get_mut(&device.id) {
            *left = (*left + 1.0).min(f64::from(device.policy.code_tries));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(cabinets: &[&str], tries: u32) -> Device {
        Device {
            id: "d1".into(),
            account: "a".into(),
            policy: Policy {
                cabinets: cabinets.iter().map(|c| (*c).to_owned()).collect(),
                verbs: vec!["door_open".into()],
                code_tries: tries,
            },
            enrolled_at: 0,
            expires_at: 0,
            revoked_at: 0,
            seen_at: 0,
        }
    }

    #[test]
    fn a_cabinet_is_the_devices_own_or_none() {
        let one = device(&["c1"], 1).policy;
        assert_eq!(one.cabinet("").unwrap(), "c1");
        assert!(one.cabinet("c2").is_err() && one.cabinet("c1 ").is_err());
        assert!(device(&["c1", "c2"], 1).policy.cabinet("").is_err());
        assert!(device(&[], 1).policy.cabinet("").is_err());
        assert!(one.verb("door_open").is_ok() && one.verb("code_redeem").is_err());
    }

    #[test]
    fn wrong_codes_are_slowed_down_and_good_ones_are_not() {
        let (tries, d) = (Tries::default(), device(&["c"], 3));
        assert_eq!((0..100).filter(|_| tries.take(&d, 0).is_ok()).count(), 3);
        let wait = tries.take(&d, 0).unwrap_err();
        assert_eq!(wait, 20_000);
        assert!(tries.take(&d, wait - 1).is_err() && tries.take(&d, wait).is_ok());
        for _ in 0..100 {
            tries.give_back(&d);
            assert!(tries.take(&d, wait).is_ok());
        }
        assert!(tries.take(&device(&["c"], 0), 0).is_err());
    }
}
