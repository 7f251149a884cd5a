//! What all requests share.

use crate::accounts::Account;
use crate::auth::Gate;
use crate::enrol::Guesses;
use crate::metrics::Metrics;
use crate::policy::Tries;
use crate::pool::Pool;
use crate::store::Store;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, watch};

/// How often it is looked whether a device was revoked, by whomever.
const LOOK: Duration = Duration::from_millis(300);
/// How often it is written when devices were heard of.
const SEEN: Duration = Duration::from_secs(10);
/// How often the database is proved.
const PROVE: Duration = Duration::from_secs(5);

/// One hub.
pub struct Hub {
    /// What it keeps.
    pub store: Arc<dyn Store>,
    /// By name.
    pub accounts: BTreeMap<String, Account>,
    /// Who may ask.
    pub gate: Gate,
    /// Tries of codes.
    pub tries: Tries,
    /// Tries of enrolment codes.
    pub guesses: Guesses,
    /// Threads for calls.
    pub pool: Pool,
    /// What is counted.
    pub metrics: Metrics,
    /// Where it is reached from the internet: `https://host[:port]`.
    pub public: Option<String>,
    /// SHA-256 of its public key, as kiosks pin it; empty if a proxy ends TLS.
    pub pin: String,
    /// It is being stopped.
    pub stopping: watch::Sender<bool>,
    polls: Mutex<HashMap<String, Poll>>,
    seen: Mutex<HashMap<String, i64>>,
    begun: Instant,
    /// Refused callbacks that were kept in this second.
    aside: Mutex<(u64, u32)>,
    /// The database took a change a short time ago.
    sound: AtomicBool,
    changes: AtomicI64,
    polled: AtomicU64,
}

/// The poll of a device that waits.
struct Poll {
    number: u64,
    news: Arc<Notify>,
}

/// Its end takes it out of the list.
pub struct Parked<'a> {
    hub: &'a Hub,
    device: String,
    number: u64,
    /// Told when there may be something.
    pub news: Arc<Notify>,
}

impl Parked<'_> {
    /// Whether another poll of the same device came since.
    pub fn is_old(&self) -> bool {
        self.hub.polls().get(&self.device).is_none_or(|p| p.number != self.number)
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        let mut polls = self.hub.polls();
        if polls.get(&self.device).is_some_and(|p| p.number == self.number) {
            polls.remove(&self.device);
        }
        self.hub.metrics.polls.dec();
    }
}

impl Hub {
    /// Not yet reachable.
    pub fn new(
        store: Arc<dyn Store>,
        accounts: BTreeMap<String, Account>,
        pool: Pool,
        public: Option<String>,
        pin: String,
    ) -> Hub {
        Hub {
            gate: Gate::new(store.clone()),
            store,
            accounts,
            tries: Tries::default(),
            guesses: Guesses::default(),
            pool,
            metrics: Metrics::default(),
            public,
            pin,
            stopping: watch::channel(false).0,
            polls: Mutex::default(),
            seen: Mutex::default(),
            begun: Instant::now(),
            aside: Mutex::default(),
            sound: AtomicBool::new(true),
            changes: AtomicI64::new(0),
            polled: AtomicU64::new(0),
        }
    }

    /// Milliseconds of a clock that only goes forward.
    pub fn now_ms(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }

    /// Whether it can do its work: the database takes changes, and it is not being stopped.
    pub fn ready(&self) -> bool {
        self.sound.load(Ordering::Relaxed) && !*self.stopping.borrow()
    }

    /// Comes when it is being stopped.
    pub async fn stopped(&self) {
        // Its other end lives as long as the hub.
        let _ = self.stopping.subscribe().wait_for(|stop| *stop).await;
    }

    /// Where the callbacks of an account come in, for the platform.
    pub fn notify_url(&self, account: &str) -> Option<String> {
        let path = &self.accounts.get(account)?.path;
        self.public.as_ref().map(|public| [public, path.as_str()].concat())
    }

    fn polls(&self) -> MutexGuard<'_, HashMap<String, Poll>> {
        self.polls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A poll of this device waits from now on; an older one ends.
    pub fn park(&self, device: &str) -> Parked<'_> {
        let number = self.polled.fetch_add(1, Ordering::Relaxed) + 1;
        let news = Arc::new(Notify::new());
        let older = self.polls().insert(device.to_owned(), Poll { number, news: news.clone() });
        if let Some(older) = older {
            older.news.notify_waiters();
        }
        self.metrics.polls.inc();
        Parked { hub: self, device: device.to_owned(), number, news }
    }

    /// There may be something for this device.
    pub fn wake(&self, device: &str) {
        if let Some(poll) = self.polls().get(device) {
            poll.news.notify_waiters();
        }
    }

    fn wake_all(&self) {
        for poll in self.polls().values() {
            poll.news.notify_waiters();
        }
    }

    /// A device was heard of.
    pub fn heard(&self, device: &str) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(device.to_owned(), now_s());
    }

    /// Whether another refused callback may be kept in this second: strangers do not fill the disk.
    pub fn may_keep_aside(&self) -> bool {
        let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        let second = self.now_ms() / 1000;
        if aside.0 != second {
            *aside = (second, 0);
        }
        aside.1 += 1;
        aside.1 <= 20
    }

    /// What is done beside all requests, until it is stopped.
    pub async fn attend(self: Arc<Hub>) {
        let (mut seen_at, mut proved_at) = (Instant::now(), Instant::now());
        loop {
            tokio::select! {
                () = self.stopped() => break,
                () = tokio::time::sleep(LOOK) => {}
            }
            let hub = self.clone();
            if let Ok(Ok(changes)) = tokio::task::spawn_blocking(move || hub.store.changes()).await {
                // Whoever was revoked is told within the second, also in a poll that waits.
                if self.changes.swap(changes, Ordering::Relaxed) != changes {
                    self.wake_all();
                }
            }
            let (busy, queued) = self.pool.load();
            self.metrics.busy.set(busy as i64);
            self.metrics.queued.set(queued as i64);
            if seen_at.elapsed() >= SEEN {
                seen_at = Instant::now();
                self.write_seen().await;
            }
            if proved_at.elapsed() >= PROVE {
                proved_at = Instant::now();
                let sound = self.store.prove().done().await;
                if let Err(e) = &sound {
                    tracing::error!(error = %e, "not ready");
                }
                self.sound.store(sound.is_ok(), Ordering::Relaxed);
            }
        }
        self.wake_all();
        self.write_seen().await;
    }

    async fn write_seen(&self) {
        let seen: Vec<(String, i64)> =
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
        if !seen.is_empty() {
            // It is written again with the next request.
            let _ = self.store.seen(seen).done().await;
        }
    }
}

/// Unix seconds.
pub fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}
