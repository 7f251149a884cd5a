//! Threads for calls of the library, which block. Made at the start, and a bounded queue: what finds it full is told so at
//! once, and nothing of it is begun.
//!
//! A call that was begun is finished, whoever still waits for it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A call of the library over TLS with its records needs a quarter of it in a release build.
const STACK: usize = 1 << 20;

type Job = Box<dyn FnOnce() + Send>;

/// Why a call was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotBegun {
    /// All threads are busy, and enough wait.
    Full,
    /// The hub is being stopped.
    Stopping,
}

/// A pool of threads.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    news: Condvar,
    threads: usize,
    /// So many threads may work for one account at a time: one that hangs does not starve the others.
    share: usize,
    queue: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(String, Job)>,
    running: HashMap<String, usize>,
    busy: usize,
    stopping: bool,
}

impl Pool {
    /// So many threads, and so many calls of one account that may wait for one.
    pub fn new(threads: usize, queue: usize) -> std::io::Result<Pool> {
        let share = (threads * 3 / 4).max(1);
        let inner = Inner { state: Mutex::default(), news: Condvar::new(), threads, share, queue };
        let pool = Pool(Arc::new(inner));
        for n in 0..threads {
            let inner = pool.0.clone();
            std::thread::Builder::new()
                .name(format!("hub-call-{n}"))
                .stack_size(STACK)
                .spawn(move || inner.work())?;
        }
        Ok(pool)
    }

    /// Has a thread do this. The answer comes as an error if it ended in a panic.
    pub fn run<T: Send + 'static>(
        &self,
        account: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<oneshot::Receiver<T>, NotBegun> {
        let (give, take) = oneshot::channel();
        let job: Job = Box::new(move || drop(give.send(work())));
        let mut state = self.0.state();
        if state.stopping {
            return Err(NotBegun::Stopping);
        }
        let running = state.running.get(account).copied().unwrap_or(0);
        let free = (self.0.threads - state.busy).min(self.0.share.saturating_sub(running));
        if state.waiting.iter().filter(|(a, _)| a == account).count() >= self.0.queue + free {
            return Err(NotBegun::Full);
        }
        state.waiting.push_back((account.to_owned(), job));
        drop(state);
        self.0.news.notify_all();
        Ok(take)
    }

    /// How many calls run, and how many wait.
    pub fn load(&self) -> (usize, usize) {
        let state = self.0.state();
        (state.busy, state.waiting.len())
    }

    /// Takes no more calls, and waits for those that run or wait, at most so long. Whether all have ended.
    pub fn stop(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.0.state();
        state.stopping = true;
        self.0.news.notify_all();
        while state.busy > 0 || !state.waiting.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.0.news.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        loop {
            let mut state = self.state();
            let (account, job) = loop {
                let next = state
                    .waiting
                    .iter()
                    .position(|(a, _)| state.running.get(a).copied().unwrap_or(0) < self.share);
                match next.and_then(|at| state.waiting.remove(at)) {
                    Some(found) => break found,
                    None if state.stopping && state.waiting.is_empty() => return,
                    None => state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner),
                }
            };
            *state.running.entry(account.clone()).or_insert(0) += 1;
            state.busy += 1;
            drop(state);
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
                tracing::error!(account, "a call ended in a panic");
            }
            let mut state = self.state();
            state.busy -= 1;
            match state.running.get_mut(&account) {
                Some(n) if *n > 1 => *n -= 1,
                _ => drop(state.running.remove(&account)),
            }
            drop(state);
            self.news.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_pool_begins_nothing_and_one_account_leaves_room_for_others() {
        let pool = Pool::new(4, 2).unwrap();
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let begun: Vec<_> = (0..5)
            .map(|_| {
                let held = held.clone();
                pool.run("slow", move || held.lock().unwrap().recv().is_ok())
            })
            .collect();
        assert!(begun.iter().all(Result::is_ok));
        // Three of four threads are the most for one account: another one is served.
        assert_eq!(pool.run("quick", || 7).unwrap().blocking_recv(), Ok(7));
        let mut more = 0;
        while pool.run("slow", || ()).is_ok() {
            more += 1;
            assert!(more < 10, "there is no bound");
        }
        assert_eq!(pool.run("slow", || ()).err(), Some(NotBegun::Full));
        assert_eq!(pool.run("quick", || 8).unwrap().blocking_recv(), Ok(8));
        drop(hold);
        assert!(pool.stop(Duration::from_secs(10)));
        assert_eq!(pool.run("quick", || 7).err(), Some(NotBegun::Stopping));
    }
}
