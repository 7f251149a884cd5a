//! Tokens: fetched once for all who need them, kept across restarts, replaced when refused.
//!
//! One account has one [`Slot`] in a process, and with a `state_dir` one file for all processes that share the folder.
//! Whoever finds no usable token fetches one; the others wait for that fetch and take what it brings, its refusal too.
//! Between processes an advisory lock does the same. It lies on a file of its own, is given back by the system if its
//! holder dies, and is never waited for longer than the call that needs the token may take.
//!
//! A token that cannot be stored (full disk, read-only file system) works from memory. A stored one that cannot be
//! read is as good as none: the platform gives the same or a new one.

use crate::error::{Error, Result};
use crate::log::{Masked, log_line};
use crate::platform::{Platform, Token, Way};
use crate::process::PerProcess;
use crate::status::*;
use crate::store::file::Folder;
use crate::store::token_file::TokenFile;
use crate::time::Deadline;
use crate::time::clock::monotonic_ms;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// After an early renewal that brought nothing the old token is used this long before the next try.
const RENEW_AGAIN_MS: u64 = 60_000;

/// Which token is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want<'a> {
    /// One that lives.
    Living,
    /// Another than this one, which the platform refused.
    Instead(&'a str),
    /// Whatever the platform answers now: the question is whether it answers.
    Asked,
}

/// What fetching needs of the client.
pub(crate) trait Caller {
    /// The platform's time, Unix milliseconds.
    fn now_ms(&self) -> i64;
    /// How long before its end a token is replaced.
    fn renew_before_ms(&self) -> i64;
    /// An error once the call was cancelled.
    fn check(&self) -> Result<()>;
    /// Waits, unless the call is cancelled meanwhile.
    fn pause(&self, time: Duration) -> Result<()>;
    /// Asks the platform.
    fn fetch(&self, way: Way, old: Option<&Token>) -> Result<Token>;
}

/// The tokens of one client's account.
pub(crate) struct Tokens {
    slot: Arc<Slot>,
    store: Option<TokenFile>,
}

/// What all clients of one account in this process share.
#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    fetching: bool,
    /// How many fetches have ended.
    ended: u64,
    /// How the last one failed.
    failed: Option<Error>,
    renew_not_before: u64,
    /// The token of now and the one before it: a late line may still hold that.
    masked: [Vec<Masked>; 2],
}

/// The accounts of this process that have a client.
type Slots = Mutex<Vec<(String, Weak<Slot>)>>;

static SLOTS: PerProcess<Slots> = PerProcess::new();

impl Tokens {
    /// The tokens of this account, if its platform gives any; kept in the folder, or in memory.
    pub(crate) fn in_folder(platform: &dyn Platform, folder: Option<Arc<Folder>>) -> Option<Tokens> {
        let Some(account) = platform.tokens()?.account() else {
            return Some(Tokens { slot: Arc::default(), store: None });
        };
        let origin = platform.origin();
        let whose = format!("{} {origin}{} {account}", platform.kind().name(), origin.path_and_query);
        let place = folder.as_ref().map_or_else(String::new, |f| f.path().display().to_string());
        let store = folder.map(|f| TokenFile::new(f, platform.kind().name(), &whose));
        let key = format!("{whose} {place}");
        let mut all = SLOTS.get().lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, slot)| slot.strong_count() > 0);
        let slot = match all.iter().find(|(k, _)| *k == key).and_then(|(_, slot)| slot.upgrade()) {
            Some(slot) => slot,
            None => {
                let slot = Arc::new(Slot::default());
                all.push((key, Arc::downgrade(&slot)));
                slot
            }
        };
        Some(Tokens { slot, store })
    }

    /// What is to be shown to the platform.
    pub(crate) fn get(&self, want: Want<'_>, deadline: Deadline, caller: &dyn Caller) -> Result<String> {
        let mut state = self.state();
        let mut joined = false;
        loop {
            caller.check()?;
            let now = caller.now_ms();
            if let Some(token) = state.token.as_ref().filter(|t| want.takes(t, now)) {
                let early = token.expires_ms - now <= caller.renew_before_ms() && !token.refresh.is_empty();
                if !early || state.fetching || monotonic_ms() < state.renew_not_before {
                    return Ok(token.access.clone());
                }
                // It lives yet: whatever goes wrong now, it is good for this call.
                let access = token.access.clone();
                state.renew_not_before = monotonic_ms() + RENEW_AGAIN_MS;
                return Ok(match self.fetch(state, want, true, deadline, caller) {
                    Ok(token) => token.access,
                    Err(e) => {
                        log_line!(Warn, "the token could not be renewed yet: {}", e.message());
                        access
                    }
                });
            }
            if !state.fetching {
                return self.fetch(state, want, false, deadline, caller).map(|t| t.access);
            }
            // Another thread is at it.
            let before = state.ended;
            while state.ended == before {
                let left = deadline.remaining();
                if left.is_zero() {
                    return Err(Error::new(
                        KL_E_TIMEOUT_REPLY,
                        "the deadline passed while another call fetched the token",
                    ));
                }
                caller.check()?;
                state = self.slot.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
            match &state.failed {
                // That call's own end is not this one's.
                Some(e) if matches!(e.status(), KL_E_CANCELLED | KL_E_TIMEOUT_DNS..=KL_E_TIMEOUT_REPLY) => {}
                Some(e) if !joined => return Err(e.clone()),
                None if want == Want::Asked => {
                    return Ok(state.token.as_ref().map_or_else(String::new, |t| t.access.clone()));
                }
                _ => {}
            }
            joined = true;
        }
    }

    /// Wakes those who wait for another thread's fetch, so that they see that they were cancelled.
    pub(crate) fn wake(&self) {
        let _state = self.state();
        self.slot.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.slot.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches while the others wait, and tells them.
    fn fetch(
        &self,
        mut state: MutexGuard<'_, State>,
        want: Want<'_>,
        early: bool,
        deadline: Deadline,
        caller: &dyn Caller,
    ) -> Result<Token> {
        state.fetching = true;
        let old = state.token.clone();
        drop(state);
        let mut turn = Turn { slot: &self.slot, outcome: None };
        let outcome = self.renew(want, early, old, deadline, caller);
        turn.outcome = Some(outcome.clone());
        drop(turn);
        outcome
    }

    fn renew(
        &self,
        want: Want<'_>,
        early: bool,
        mut old: Option<Token>,
        deadline: Deadline,
        caller: &dyn Caller,
    ) -> Result<Token> {
        let margin = if early { caller.renew_before_ms() } else { 0 };
        let good = |t: &Token| want.takes(t, caller.now_ms() + margin);
        let pause = |time| {
            caller.pause(time)?;
            caller.check()
        };
        let mut lock = None;
        if let Some(store) = &self.store {
            // Renamed into its place whole, so that reading needs no lock.
            if let Some(stored) = store.read() {
                if good(&stored) {
                    return Ok(stored);
                }
                lock = store.lock(deadline, &pause)?;
                // Another process may have fetched one meanwhile, or have a newer refresh token.
                match if lock.is_some() { store.read() } else { None } {
                    Some(stored) if good(&stored) => return Ok(stored),
                    Some(stored) => old = Some(stored),
                    None => old = old.or(Some(stored)),
                }
            } else {
                lock = store.lock(deadline, &pause)?;
                match if lock.is_some() { store.read() } else { None } {
                    Some(stored) if good(&stored) => return Ok(stored),
                    Some(stored) => old = Some(stored),
                    None => {}
                }
            }
        }
        let mut token = ask(want, early, old.as_ref(), caller)?;
        if let Some(old) = old.filter(|o| o.access == token.access && token.refresh.is_empty()) {
            // The same again, told with fewer words.
            token.refresh = old.refresh;
        }
        if let (Some(store), Some(held)) = (&self.store, &lock) {
            if store.read().as_ref() != Some(&token) {
                store.write(held, &token);
            }
        }
        Ok(token)
    }
}

impl Want<'_> {
    fn takes(self, token: &Token, now_ms: i64) -> bool {
        match self {
            Want::Living => token.expires_ms > now_ms,
            Want::Instead(refused) => token.expires_ms > now_ms && token.access != refused,
            Want::Asked => false,
        }
    }
}

/// The ways there are, from the gentlest on. A new token is forced only when the platform gives the refused one again:
/// another kiosk of the same shop may have renewed it long ago, and forcing would end its token in turn.
fn ask(want: Want<'_>, early: bool, old: Option<&Token>, caller: &dyn Caller) -> Result<Token> {
    let ended = |t: &&Token| t.expires_ms <= caller.now_ms();
    let exchange = old.filter(|o| !o.refresh.is_empty() && want != Want::Asked && (early || ended(o)));
    if exchange.is_some() {
        match caller.fetch(Way::Exchange, exchange) {
            Err(e) if !early && is_refusal(&e) => {
                log_line!(Warn, "the refresh token was not taken: {}", e.message());
            }
            // Lost: within an hour the same request again gives the same pair, so the old one stays as it is.
            other => return other,
        }
    }
    let token = caller.fetch(Way::Usual, old)?;
    if want == Want::Instead(&token.access) {
        log_line!(Warn, "the platform gave the token again that it had refused; a new one is demanded");
        return caller.fetch(Way::Forced, old);
    }
    Ok(token)
}

/// Whether the platform itself said no, for good.
fn is_refusal(error: &Error) -> bool {
    error.details().platform_code != 0 && error.status() != KL_E_RATE_LIMIT
}

/// One thread's turn to fetch. Ends for the others however it ends.
struct Turn<'a> {
    slot: &'a Slot,
    outcome: Option<Result<Token>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        crate::process::contained(|| self.end());
    }
}

impl Turn<'_> {
    fn end(&mut self) {
        let mut state = self.slot.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.fetching = false;
        state.ended += 1;
        state.failed = match self.outcome.take() {
            Some(Ok(token)) => {
                if state.token.as_ref() != Some(&token) {
                    let masked = [&token.access, &token.refresh].into_iter().filter_map(|s| Masked::new(s));
                    state.masked.swap(0, 1);
                    state.masked[0] = masked.collect();
                    state.token = Some(token);
                }
                None
            }
            Some(Err(error)) => Some(error),
            None => {
                Some(Error::new(KL_E_INTERNAL, "the call that fetched the token ended in an internal error"))
            }
        };
        self.slot.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let path = std::env::temp_dir().join(format!("kiosklink-token-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Place(path)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// A platform that counts what it is asked, and answers from a script or with `t1`, `t2`, …
    #[derive(Default)]
    struct Fake {
        now: i64,
        asked: Mutex<Vec<Way>>,
        script: Mutex<Vec<Result<Token>>>,
        made: AtomicU32,
        slow: bool,
    }

    impl Caller for Fake {
        fn now_ms(&self) -> i64 {
            self.now
        }
        fn renew_before_ms(&self) -> i64 {
            100
        }
        fn check(&self) -> Result<()> {
            Ok(())
        }
        fn pause(&self, time: Duration) -> Result<()> {
            std::thread::sleep(time);
            Ok(())
        }
        fn fetch(&self, way: Way, _old: Option<&Token>) -> Result<Token> {
            self.asked.lock().unwrap().push(way);
            if self.slow {
                std::thread::sleep(Duration::from_millis(100));
            }
            let scripted = self.script.lock().unwrap().pop();
            scripted.unwrap_or_else(|| {
                let n = 1 + self.made.fetch_add(1, Ordering::Relaxed);
                Ok(token(&format!("t{n}"), "r", self.now + 1000))
            })
        }
    }

    impl Fake {
        fn asked(&self) -> Vec<Way> {
            std::mem::take(&mut self.asked.lock().unwrap())
        }
    }

    fn token(access: &str, refresh: &str, expires_ms: i64) -> Token {
        Token { access: access.into(), refresh: refresh.into(), expires_ms }
    }

    fn tokens(folder: Option<&Place>) -> Tokens {
        Tokens { slot: Arc::default(), store: folder.map(file) }
    }

    fn file(folder: &Place) -> TokenFile {
        let held = Folder::open(&folder.0, true).unwrap();
        TokenFile::new(Arc::new(held), "fake", "fake account")
    }

    fn file_name(folder: &Place) -> String {
        let path = file(folder).shown();
        path.rsplit('/').next().unwrap().to_owned()
    }

    fn soon() -> Deadline {
        Deadline::after(Duration::from_secs(20))
    }

    fn refusal() -> Error {
        Error::new(KL_E_AUTH, "no").with(|d| d.platform_code = 1103)
    }

    #[test]
    fn a_living_token_is_used_and_a_refused_one_replaced() {
        let (t, f) = (tokens(None), Fake::default());
        assert_eq!(t.get(Want::Living, soon(), &f).unwrap(), "t1");
        assert_eq!(t.get(Want::Living, soon(), &f).unwrap(), "t1");
        assert_eq!(f.asked(), [Way::Usual]);
        assert_eq!(t.get(Want::Instead("t1"), soon(), &f).unwrap(), "t2");
        assert_eq!(t.get(Want::Instead("t1"), soon(), &f).unwrap(), "t2", "it was replaced already");
        assert_eq!(f.asked(), [Way::Usual]);
        // The platform insists on the refused one: only then is a new one forced.
        f.script.lock().unwrap().push(Ok(token("t2", "", 1000)));
        assert_eq!(t.get(Want::Instead("t2"), soon(), &f).unwrap(), "t3");
        assert_eq!(f.asked(), [Way::Usual, Way::Forced]);
        assert_eq!(t.get(Want::Asked, soon(), &f).unwrap(), "t4");
    }

    #[test]
    fn the_refresh_token_is_used_early_and_after_the_end_and_may_fail() {
        let t = tokens(None);
        let f = Fake::default();
        assert_eq!(t.get(Want::Living, soon(), &f).unwrap(), "t1");
        f.asked();
        // In its last tenth of a second: lost, so the old one goes on, and the next call does not ask again.
        let late = Fake { now: 950, ..Fake::default() };
        late.script.lock().unwrap().push(Err(Error::new(KL_E_LOST, "lost")));
        assert_eq!(t.get(Want::Living, soon(), &late).unwrap(), "t1");
        assert_eq!(t.get(Want::Living, soon(), &late).unwrap(), "t1");
        assert_eq!(late.asked(), [Way::Exchange]);
        // After its end a lost answer is the call's own error, and the same request is made again.
        let after = Fake { now: 2000, ..Fake::default() };
        after.script.lock().unwrap().push(Err(Error::new(KL_E_LOST, "lost")));
        assert_eq!(t.get(Want::Living, soon(), &after).unwrap_err().status(), KL_E_LOST);
        after.script.lock().unwrap().push(Err(refusal()));
        assert_eq!(t.get(Want::Living, soon(), &after).unwrap(), "t1");
        assert_eq!(after.asked(), [Way::Exchange, Way::Exchange, Way::Usual]);
    }

    #[test]
    fn threads_join_one_fetch_and_its_refusal() {
        let (t, f) = (tokens(None), Fake { slow: true, ..Fake::default() });
        std::thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| assert_eq!(t.get(Want::Living, soon(), &f).unwrap(), "t1"));
            }
        });
        assert_eq!(f.asked().len(), 1);
        let t = tokens(None);
        f.script.lock().unwrap().push(Err(refusal()));
        std::thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| assert_eq!(t.get(Want::Living, soon(), &f).unwrap_err().status(), KL_E_AUTH));
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        assert_eq!(f.asked().len(), 1);
        let t = tokens(None);
        f.script.lock().unwrap().push(Err(Error::new(KL_E_TIMEOUT_REPLY, "its own deadline")));
        std::thread::scope(|s| {
            let first = s.spawn(|| t.get(Want::Living, soon(), &f));
            std::thread::sleep(Duration::from_millis(30));
            assert!(t.get(Want::Living, soon(), &f).is_ok(), "another call's deadline is not this one's");
            assert!(first.join().unwrap().is_err());
        });
    }

    #[test]
    fn a_waiting_call_ends_with_its_own_deadline() {
        let (t, f) = (tokens(None), Fake { slow: true, ..Fake::default() });
        std::thread::scope(|s| {
            s.spawn(|| t.get(Want::Living, soon(), &f));
            std::thread::sleep(Duration::from_millis(20));
            let e = t.get(Want::Living, Deadline::after(Duration::from_millis(10)), &f).unwrap_err();
            assert_eq!(e.status(), KL_E_TIMEOUT_REPLY);
        });
    }

    #[test]
    fn another_process_finds_what_was_stored() {
        let folder = Place::new("shared");
        let (a, b, f) = (tokens(Some(&folder)), tokens(Some(&folder)), Fake::default());
        assert_eq!(a.get(Want::Living, soon(), &f).unwrap(), "t1");
        assert_eq!(b.get(Want::Living, soon(), &f).unwrap(), "t1");
        assert_eq!(f.asked(), [Way::Usual]);
        assert_eq!(b.get(Want::Instead("t1"), soon(), &f).unwrap(), "t2");
        assert_eq!(a.get(Want::Instead("t1"), soon(), &f).unwrap(), "t2");
        assert_eq!(f.asked(), [Way::Usual]);
        for file in fs::read_dir(&folder.0).unwrap().map(|f| f.unwrap()) {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        }
    }

    #[test]
    fn the_lock_of_another_is_waited_for_within_the_deadline() {
        let folder = Place::new("lock");
        let (a, b, f) = (tokens(Some(&folder)), tokens(Some(&folder)), Fake::default());
        let held = a.store.as_ref().unwrap().lock(soon(), &|t| f.pause(t)).unwrap();
        let e = b.get(Want::Living, Deadline::after(Duration::from_millis(60)), &f).unwrap_err();
        assert!(e.status() == KL_E_TIMEOUT_REPLY && f.asked().is_empty());
        drop(held);
        assert_eq!(b.get(Want::Living, soon(), &f).unwrap(), "t1");
    }

    #[test]
    fn a_good_token_takes_the_place_of_one_that_cannot_be_read() {
        let folder = Place::new("damaged");
        let (t, f) = (tokens(Some(&folder)), Fake::default());
        fs::write(folder.0.join(file_name(&folder)), "kiosklink-token 1\nhalf").unwrap();
        assert_eq!(t.get(Want::Living, soon(), &f).unwrap(), "t1");
        assert_eq!(t.store.as_ref().unwrap().read().unwrap().access, "t1");
    }

    #[test]
    fn without_room_or_leave_to_write_memory_does() {
        let folder = Place::new("full");
        let f = Fake::default();
        let t = tokens(Some(&folder));
        // Something in the way of the new file, as a stand-in for a full disk.
        fs::create_dir_all(folder.0.join([&file_name(&folder), ".new"].concat()).join("x")).unwrap();
        assert_eq!(t.get(Want::Living, soon(), &f).unwrap(), "t1");
        assert_eq!(t.get(Want::Living, soon(), &f).unwrap(), "t1");
        assert_eq!(f.asked().len(), 1);
        // The folder is gone: not even a lock.
        let t = tokens(Some(&folder));
        fs::remove_dir_all(&folder.0).unwrap();
        assert_eq!(t.get(Want::Living, soon(), &f).unwrap(), "t2");
        assert_eq!(t.get(Want::Living, soon(), &f).unwrap(), "t2");
    }

    #[test]
    fn a_refresh_token_told_once_is_kept() {
        let folder = Place::new("kept");
        let (t, f) = (tokens(Some(&folder)), Fake::default());
        t.get(Want::Living, soon(), &f).unwrap();
        f.script.lock().unwrap().push(Ok(token("t1", "", 1000)));
        assert_eq!(t.get(Want::Asked, soon(), &f).unwrap(), "t1");
        assert_eq!(t.state().token.as_ref().unwrap().refresh, "r");
    }
}
