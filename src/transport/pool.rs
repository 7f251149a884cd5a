//! Idle connections, and for how long each may still be used.

use super::conn::Conn;
use super::{Purpose, Url, lock};
use crate::time::clock;
use std::sync::Mutex;
use std::time::Duration;

/// A command uses an idle connection whose server was heard this long ago at most, if nothing more is known.
pub(super) const COMMAND_IDLE_MS: u64 = 2_000;
/// And this long at most if the server says that it keeps it: what is between here and there says nothing.
pub(super) const COMMAND_IDLE_MAX_MS: u64 = 10_000;
/// So much before the server's own end a command takes no idle connection any more, and two round trips on top: the
/// server's time begins with its last byte and ends with our first one *there*.
pub(super) const COMMAND_MARGIN_MS: u64 = 1_000;
/// How long it is remembered when the connections of an origin died. Servers are set up anew.
pub(super) const HABIT_MS: u64 = 600_000;
/// Idle connections kept at most, however many calls there were at once.
pub(super) const MAX_IDLE: usize = 32;
/// Origins of which that is remembered.
const MAX_HABITS: usize = 8;

/// The idle connections of one client.
pub(super) struct Pool {
    max_idle: usize,
    idle_timeout_ms: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    // Each goes from hand to hand at every call.
    #[allow(clippy::vec_box)]
    idle: Vec<Box<Conn>>,
    habits: Vec<Habit>,
    /// Calls that are under way.
    calls: usize,
    /// The most of them lately, and when there were so many.
    most: usize,
    most_ms: u64,
}

/// A call's place among those that are under way, until it is dropped.
pub(super) struct Underway<'a>(&'a Pool);

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.calls = state.calls.saturating_sub(1);
    }
}

/// When the idle connections to an origin were found dead.
struct Habit {
    origin: Url,
    /// The shortest time that one had been idle.
    died_ms: u64,
    at_ms: u64,
}

/// An idle connection, taken out to be used.
pub(super) struct Taken {
    pub(super) conn: Box<Conn>,
    /// On the monotonic clock: afterwards it is too old for its purpose.
    pub(super) good_until_ms: u64,
}

impl Pool {
    pub(super) fn new(max_idle: usize, idle_timeout: Duration) -> Pool {
        let idle_timeout_ms = u64::try_from(idle_timeout.as_millis()).unwrap_or(u64::MAX);
        Pool { max_idle, idle_timeout_ms, state: Mutex::default() }
    }

    /// Counts a call. For each that is under way at once a connection is kept afterwards.
    pub(super) fn enter(&self) -> Underway<'_> {
        lock(&self.state).begin(clock::monotonic_ms(), self.idle_timeout_ms);
        Underway(self)
    }

    /// Whether there is one that is fit for the purpose, as far as is known.
    pub(super) fn has(&self, origin: &Url, purpose: Purpose) -> bool {
        let now = clock::monotonic_ms();
        let state = lock(&self.state);
        let died = state.died_ms(origin, now);
        let fit = |c: &Conn| {
            age_ms(c, now)
                < self.limit_ms(purpose, c.kept_ms, c.connect_ms, died).min(c.kept_ms.unwrap_or(u64::MAX))
        };
        state.idle.iter().any(|c| c.origin.same_origin(origin) && fit(c))
    }

    /// The idle connection used last that is fit for the purpose.
    pub(super) fn take(&self, origin: &Url, purpose: Purpose) -> Option<Taken> {
        let mut dead = Vec::new();
        loop {
            let now = clock::monotonic_ms();
            let (mut conn, limit) = {
                let mut state = lock(&self.state);
                let died = state.died_ms(origin, now);
                let State { idle, .. } = &mut *state;
                let mut i = 0;
                while i < idle.len() {
                    let kept = idle[i].kept_ms.unwrap_or(u64::MAX).min(self.idle_timeout_ms);
                    if age_ms(&idle[i], now) > kept {
                        dead.push(idle.remove(i));
                    } else {
                        i += 1;
                    }
                }
                let limit = |conn: &Conn| self.limit_ms(purpose, conn.kept_ms, conn.connect_ms, died);
                let at =
                    idle.iter().rposition(|c| c.origin.same_origin(origin) && age_ms(c, now) < limit(c))?;
                let limit = limit(&idle[at]);
                (idle.remove(at), limit)
            };
            // Outside the lock: this asks the system.
            if conn.is_open() {
                let good_until_ms = conn.heard_ms.saturating_add(limit);
                return Some(Taken { conn, good_until_ms });
            }
            self.died(origin, age_ms(&conn, now));
        }
    }

    /// For how long after its server was heard a connection is used.
    fn limit_ms(&self, purpose: Purpose, kept_ms: Option<u64>, connect_ms: u64, died_ms: Option<u64>) -> u64 {
        let limit = match (purpose, kept_ms) {
            (Purpose::Read, kept) => kept.unwrap_or(u64::MAX),
            (Purpose::Command, None) => COMMAND_IDLE_MS,
            (Purpose::Command, Some(kept)) => {
                let margin = COMMAND_MARGIN_MS + 2 * connect_ms;
                kept.saturating_sub(margin).min(COMMAND_IDLE_MAX_MS)
            }
        };
        let learned = match (purpose, died_ms) {
            // It was found dead by then, and may have died long before.
            (Purpose::Command, Some(died)) => died / 2,
            _ => u64::MAX,
        };
        limit.min(learned).min(self.idle_timeout_ms)
    }

    /// Keeps a connection that nothing is left in.
    pub(super) fn put(&self, conn: Box<Conn>) {
        let mut state = lock(&self.state);
        state.idle.push(conn);
        let room = self.max_idle.max(state.most.min(MAX_IDLE));
        let surplus = if state.idle.len() > room { Some(state.idle.remove(0)) } else { None };
        drop(state);
        drop(surplus);
    }

    /// An idle connection to this origin was found dead after so long.
    pub(super) fn died(&self, origin: &Url, age_ms: u64) {
        let at_ms = clock::monotonic_ms();
        let mut state = lock(&self.state);
        let died_ms = state.died_ms(origin, at_ms).map_or(age_ms, |before| before.min(age_ms));
        state.habits.retain(|habit| !habit.origin.same_origin(origin));
        if state.habits.len() >= MAX_HABITS {
            state.habits.remove(0);
        }
        state.habits.push(Habit { origin: origin.without_path(), died_ms, at_ms });
    }

    /// Closes all.
    pub(super) fn clear(&self) {
        let all = std::mem::take(&mut lock(&self.state).idle);
        drop(all);
    }
}

impl State {
    /// One more call. What was the most before `lately_ms` counts no more: those connections are gone as well.
    fn begin(&mut self, now: u64, lately_ms: u64) {
        self.calls += 1;
        if self.calls >= self.most || now.saturating_sub(self.most_ms) > lately_ms {
            (self.most, self.most_ms) = (self.calls, now);
        }
    }

    fn died_ms(&self, origin: &Url, now: u64) -> Option<u64> {
        let recent =
            |habit: &&Habit| habit.origin.same_origin(origin) && now.saturating_sub(habit.at_ms) < HABIT_MS;
        self.habits.iter().find(recent).map(|habit| habit.died_ms)
    }
}

fn age_ms(conn: &Conn, now: u64) -> u64 {
    now.saturating_sub(conn.heard_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_calls_at_once_are_forgotten_when_their_connections_are() {
        let mut state = State::default();
        for (ended, now, most) in
            [(0, 10, 1), (0, 10, 2), (0, 20, 3), (2, 30, 3), (1, 1_020, 3), (1, 1_021, 2)]
        {
            state.calls -= ended;
            state.begin(now, 1_000);
            assert_eq!(state.most, most, "at {now}");
        }
    }

    // FAULTS F7
    #[test]
    fn a_command_takes_only_what_is_surely_alive() {
        let pool = Pool::new(2, Duration::from_secs(60));
        let command = |kept, connect, died| pool.limit_ms(Purpose::Command, kept, connect, died);
        assert_eq!(command(None, 0, None), 2_000);
        // Apache's 5 s, and a line of 40 ms.
        assert_eq!(command(Some(5_000), 40, None), 3_920);
        assert_eq!(command(Some(75_000), 40, None), 10_000);
        assert_eq!(command(Some(1_000), 0, None), 0);
        assert_eq!(command(Some(2_000), 600, None), 0);
        // Whatever the server says: one was dead after a second.
        assert_eq!(command(Some(75_000), 40, Some(1_000)), 500);
        assert_eq!(command(None, 40, Some(30_000)), 2_000);
        let read = |kept, died| pool.limit_ms(Purpose::Read, kept, 40, died);
        assert_eq!((read(None, None), read(Some(5_000), Some(1_000))), (60_000, 5_000));
    }
}
