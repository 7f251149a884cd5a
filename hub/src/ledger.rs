//! The records of one account's commands, in the store: what the library's rules ask of whoever keeps them.

use crate::store::{Store, Turn};
use kiosklink::command::ledger::Ledger;
use kiosklink::command::rules::Limits;
use kiosklink::error::{Error, Result};
use kiosklink::status::KL_E_JOURNAL;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Records of one account before what is not promised any more is left out, beside those that stay.
const GROWN: u64 = 20_000;
/// How much a fleet needs: a kiosk's own journal remembers its last 10,000.
const LIMITS: Limits = Limits { whole: 2_000, keep: 10_000, prints: 200_000, visits: 20_000 };
/// So many commands of one account may be unsettled at a time.
const UNSETTLED: usize = 4_096;

/// One account's records.
pub struct Records {
    account: String,
    secret: [u8; 32],
    store: Arc<dyn Store>,
    written: Arc<Written>,
    read: AtomicBool,
    /// How many records there were after the last time that some were left out, and since.
    kept: AtomicU64,
    since: AtomicU64,
}

/// How far the store is.
#[derive(Default)]
struct Written {
    taken: AtomicU64,
    durable: AtomicU64,
    /// Some were lost on their way: what follows is not written before all is written anew.
    lost: AtomicBool,
}

impl Turn for Written {
    fn may(&self) -> bool {
        !self.lost.load(Ordering::SeqCst)
    }

    fn done(&self, n: u64, durable: bool) {
        if durable {
            self.durable.fetch_max(n, Ordering::SeqCst);
        } else {
            self.lost.store(true, Ordering::SeqCst);
        }
    }
}

impl Records {
    /// Those of this account, which `identity` tells from others at the platform.
    pub fn new(account: &str, store: Arc<dyn Store>) -> Arc<Records> {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &store.secret());
        let tag = ring::hmac::sign(&key, ["account\0", account].concat().as_bytes());
        let mut secret = [0; 32];
        secret.copy_from_slice(tag.as_ref());
        Arc::new(Records {
            account: account.to_owned(),
            secret,
            store,
            written: Arc::default(),
            read: AtomicBool::new(false),
            kept: AtomicU64::new(0),
            since: AtomicU64::new(0),
        })
    }

    fn error(e: impl std::fmt::Display) -> Error {
        Error::new(KL_E_JOURNAL, format!("the journal: {e}"))
    }
}

impl Ledger for Records {
    fn secret(&self) -> [u8; 32] {
        self.secret
    }

    fn read(&self, after: u64, found: &mut dyn FnMut(&str)) -> Result<u64> {
        // Nobody else writes.
        if self.read.load(Ordering::SeqCst) {
            return Ok(after);
        }
        let last = self.store.records_last(&self.account).map_err(Records::error)?;
        let records = self.store.records(&self.account, after).map_err(Records::error)?;
        self.kept.store(records.len() as u64, Ordering::SeqCst);
        records.iter().for_each(|record| found(record));
        self.read.store(true, Ordering::SeqCst);
        Ok(last)
    }

    fn append(&self, n: u64, record: &str) -> Result<()> {
        if self.has_lost() {
            return Err(Records::error("it could not be written, and cannot yet"));
        }
        self.written.taken.fetch_max(n, Ordering::SeqCst);
        self.since.fetch_add(1, Ordering::SeqCst);
        self.store.record_add(&self.account, n, record, self.written.clone());
        Ok(())
    }

    fn has_lost(&self) -> bool {
        !self.written.may()
    }

    fn sync(&self) -> Result<()> {
        let taken = self.written.taken.load(Ordering::SeqCst);
        if !self.has_lost() && self.written.durable.load(Ordering::SeqCst) < taken {
            self.store.barrier().wait().map_err(Records::error)?;
        }
        match !self.has_lost() && self.written.durable.load(Ordering::SeqCst) >= taken {
            true => Ok(()),
            false => Err(Records::error("what was recorded last could not be written")),
        }
    }

    fn unsynced(&self) -> bool {
        self.has_lost()
            || self.written.durable.load(Ordering::SeqCst) < self.written.taken.load(Ordering::SeqCst)
    }

    fn replace(&self, records: Vec<(u64, String)>) -> Result<()> {
        let (count, last) = (records.len() as u64, records.iter().map(|(n, _)| *n).max().unwrap_or(0));
        // What was taken and is still on its way comes before it, and is in it.
        let taken = self.written.taken.fetch_max(last, Ordering::SeqCst).max(last);
        self.store.records_replace(&self.account, records).wait().map_err(Records::error)?;
        self.written.durable.fetch_max(taken, Ordering::SeqCst);
        self.written.lost.store(false, Ordering::SeqCst);
        self.kept.store(count, Ordering::SeqCst);
        self.since.store(0, Ordering::SeqCst);
        Ok(())
    }

    fn has_grown(&self) -> bool {
        self.since.load(Ordering::SeqCst) > GROWN.max(self.kept.load(Ordering::SeqCst) / 2)
    }

    fn owner(&self) -> u64 {
        self.store.start()
    }

    fn alive(&self, _owner: u64) -> bool {
        // The folder is locked: whoever had an earlier number has ended.
        false
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn unsettled_max(&self) -> usize {
        UNSETTLED
    }
}
