//! What all threads of the simulator share: the state, who waits for a change of it, the open connections.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::callback;
use crate::crowd::Crowd;
use crate::state::State;
use crate::tls::Tls;

/// Counters that need no lock.
#[derive(Default)]
pub struct Counters {
    pub connections: AtomicU64,
    pub tls_connections: AtomicU64,
    pub handshakes_full: AtomicU64,
    pub handshakes_resumed: AtomicU64,
    pub handshakes_failed: AtomicU64,
    pub http_requests: AtomicU64,
    pub bad_requests: AtomicU64,
}

impl Counters {
    /// All of them.
    pub fn show(&self) -> Value {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        json!({
            "connections": get(&self.connections), "tls_connections": get(&self.tls_connections),
            "handshakes": {
                "full": get(&self.handshakes_full), "resumed": get(&self.handshakes_resumed),
                "failed": get(&self.handshakes_failed),
            },
            "http_requests": get(&self.http_requests), "bad_http_requests": get(&self.bad_requests),
        })
    }

    /// Back to zero.
    pub fn reset(&self) {
        for counter in [
            &self.connections,
            &self.tls_connections,
            &self.handshakes_full,
            &self.handshakes_resumed,
            &self.handshakes_failed,
            &self.http_requests,
            &self.bad_requests,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

/// An open connection.
struct Socket {
    stream: Arc<TcpStream>,
    /// It has carried a control request.
    control: bool,
}

/// What all threads share.
pub struct Shared {
    /// The certificates.
    pub tls: Tls,
    /// The counters.
    pub counters: Counters,
    /// The connections at rest, and the threads for the others.
    pub crowd: Crowd,
    state: Mutex<State>,
    changed: Condvar,
    stopping: AtomicBool,
    /// How many wait for a change.
    waiting: AtomicU64,
    /// Counts what may have been a change; raised under the lock of the state.
    changes: AtomicU64,
    /// How many consoles watch.
    pub watchers: AtomicU64,
    sockets: Mutex<HashMap<u64, Socket>>,
}

impl Shared {
    /// Puts the parts together.
    pub fn new(tls: Tls, state: State, crowd: Crowd) -> Self {
        Self {
            tls,
            counters: Counters::default(),
            crowd,
            state: Mutex::new(state),
            changed: Condvar::new(),
            stopping: AtomicBool::new(false),
            waiting: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            watchers: AtomicU64::new(0),
            sockets: Mutex::new(HashMap::new()),
        }
    }

    /// The state, to read.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes whoever waits for a change.
    pub fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let result = act(&mut state);
        self.changes.fetch_add(1, Ordering::SeqCst);
        drop(state);
        self.changed.notify_all();
        result
    }

    /// Answers a request to a platform. The threads that sleep are woken only if there is something for them,
    /// because waking them costs more than most requests.
    pub fn serve<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let before = state.core.agenda();
        let reply = act(&mut state);
        self.changes.fetch_add(1, Ordering::SeqCst);
        if state.core.agenda() != before || self.waiting.load(Ordering::SeqCst) > 0 {
            self.changed.notify_all();
        }
        reply
    }

    /// Waits until `ready` answers something or the time is up.
    pub fn wait<T>(&self, limit: Duration, mut ready: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let end = Instant::now() + limit;
        let mut state = self.state();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let result = loop {
            if let Some(result) = ready(&mut state) {
                break Some(result);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.is_stopping() {
                break None;
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        result
    }

    /// Counts what may have been a change.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Takes a connection into the books.
    pub fn came(&self, number: u64, stream: Arc<TcpStream>) {
        self.counters.connections.fetch_add(1, Ordering::Relaxed);
        self.sockets().insert(number, Socket { stream, control: false });
    }

    /// The connection carries a control request: [`Shared::close_connections`] leaves it.
    pub fn controls(&self, number: u64) {
        self.sockets().entry(number).and_modify(|socket| socket.control = true);
    }

    /// Takes a connection out of the books, and wakes whoever waits for that.
    pub fn went(&self, number: u64) {
        self.sockets().remove(&number);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            drop(self.state());
            self.changed.notify_all();
        }
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.sockets().len()
    }

    /// True when the simulator ends.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Ends all threads: wakes those that wait and closes the connections of those that read.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        drop(self.state());
        self.changed.notify_all();
        self.close(|_| true);
        self.crowd.stop();
    }

    /// Closes the connections that carry no control requests, without a word; answers how many.
    pub fn close_connections(&self) -> usize {
        self.close(|socket| !socket.control)
    }

    fn close(&self, which: impl Fn(&Socket) -> bool) -> usize {
        let sockets = self.sockets();
        let chosen = sockets.values().filter(|socket| which(socket));
        chosen.filter(|socket| socket.stream.shutdown(Shutdown::Both).is_ok()).count()
    }

    fn sockets(&self) -> MutexGuard<'_, HashMap<u64, Socket>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what is due, and sleeps until the next thing is.
    pub fn run_timers(&self) {
        let mut state = self.state();
        while !self.is_stopping() {
            let before = (state.core.timers_pending(), state.core.agenda());
            let next = state.run_due();
            if (state.core.timers_pending(), state.core.agenda()) != before {
                self.changes.fetch_add(1, Ordering::SeqCst);
                self.changed.notify_all();
            }
            state = self.sleep_until(state, next);
        }
    }

    /// Sends callbacks, one at a time and in order, and sleeps until the next is due.
    pub fn run_callbacks(&self) {
        let mut state = self.state();
        while !self.is_stopping() {
            let now = state.core.clock.now_ms();
            let Some(delivery) = state.core.callbacks.take_due(now) else {
                let next = state.core.callbacks.next_due_ms();
                state = self.sleep_until(state, next);
                continue;
            };
            let settings = state.core.callbacks.settings.clone();
            drop(state);
            let result = callback::send(&delivery, &settings, &self.tls);
            self.change(|state| state.delivery_ended(&delivery, result));
            state = self.state();
        }
    }

    fn sleep_until<'a>(&self, state: MutexGuard<'a, State>, due_ms: Option<i64>) -> MutexGuard<'a, State> {
        // `stop` sets its flag before it takes the lock, so a look under the lock misses nothing.
        if self.is_stopping() {
            return state;
        }
        match due_ms {
            Some(due) if !state.core.clock.is_frozen() => {
                let pause = (due - state.core.clock.now_ms()).clamp(1, 3_600_000) as u64;
                let woken = self.changed.wait_timeout(state, Duration::from_millis(pause));
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
            _ => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Stays mute for a while, but not longer than the simulator lives.
    pub fn pause(&self, ms: u64) {
        if ms > 0 {
            self.wait(Duration::from_millis(ms), |_| None::<()>);
        }
    }
}
