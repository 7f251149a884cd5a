//! Giving a call up: one mechanism, from the verb's entry to the first byte.
//!
//! A [`CancelSource`] belongs to whoever can be cancelled: a client, or a view of it. A call takes a [`CancelToken`]
//! at its entry and heeds every [`CancelSource::cancel`] after that, wherever it is: it asks [`CancelToken::check`]
//! after each wait, and what it waits on is registered to be woken. A cancel never waits for a call: the one lock it
//! takes is held for the time of a few moves in memory.

use crate::error::{Error, Result};
use crate::status::KL_E_CANCELLED;
use crate::sys::{self, Published};
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Something that a call waits on. Called from [`CancelSource::cancel`], so it must not block, nor take a lock that
/// is held during I/O or disk work.
pub trait Wake: Send + Sync {
    /// Ends the wait, or has it look at its token again.
    fn wake(&self);
}

/// Cancels the calls of a client or of a view. Clones are the same source.
#[derive(Clone, Default)]
pub struct CancelSource(Arc<Shared>);

/// What a call holds: it is cancelled by the first cancel after the token was taken.
#[derive(Clone)]
pub struct CancelToken {
    shared: Arc<Shared>,
    generation: u32,
}

/// Something registered to be woken; no longer when this is dropped.
pub struct Registration {
    token: CancelToken,
    id: u64,
}

#[derive(Default)]
struct Shared {
    /// How often it was cancelled.
    generation: AtomicU32,
    /// What cancels it as well, for good.
    flag: Option<Arc<Flag>>,
    state: Mutex<State>,
    cancelled: Condvar,
}

#[derive(Default)]
struct State {
    next_id: u64,
    waits: Vec<(u64, Arc<dyn Wake>)>,
    children: Vec<Weak<Shared>>,
}

impl CancelSource {
    /// A source of its own.
    pub fn new() -> CancelSource {
        CancelSource::default()
    }

    /// A source that is cancelled by itself, and with this one.
    pub fn child(&self) -> CancelSource {
        self.flagged_child(self.0.flag.clone())
    }

    /// The same, and by this flag.
    pub(crate) fn flagged_child(&self, flag: Option<Arc<Flag>>) -> CancelSource {
        let child = Arc::new(Shared { flag, ..Shared::default() });
        let mut state = self.0.lock();
        state.children.retain(|c| c.strong_count() > 0);
        state.children.push(Arc::downgrade(&child));
        drop(state);
        CancelSource(child)
    }

    /// Whether its flag is raised.
    pub(crate) fn raised(&self) -> bool {
        self.0.raised()
    }

    /// To be taken at a call's entry.
    pub fn token(&self) -> CancelToken {
        CancelToken { shared: self.0.clone(), generation: self.0.generation() }
    }

    /// Ends every call whose token was taken before, and those of the children. Later calls work. Returns at once.
    pub fn cancel(&self) {
        let mut state = self.0.lock();
        // Under the lock: whoever registers sees it, whoever is registered is woken.
        self.0.generation.fetch_add(1, Ordering::AcqRel);
        state.children.retain(|c| c.strong_count() > 0);
        let children: Vec<Arc<Shared>> = state.children.iter().filter_map(Weak::upgrade).collect();
        let waits: Vec<Arc<dyn Wake>> = state.waits.iter().map(|(_, wait)| wait.clone()).collect();
        drop(state);
        self.0.cancelled.notify_all();
        waits.iter().for_each(|wait| wait.wake());
        children.into_iter().for_each(|child| CancelSource(child).cancel());
    }
}

impl CancelToken {
    /// A token that nobody cancels.
    pub fn never() -> CancelToken {
        CancelSource::new().token()
    }

    /// Whether the call was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.shared.generation() != self.generation
    }

    /// `KL_E_CANCELLED` once the call was cancelled.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::new(KL_E_CANCELLED, "the call was cancelled")) } else { Ok(()) }
    }

    /// Waits so long, or until the call is cancelled: `KL_E_CANCELLED`.
    pub fn pause(&self, time: Duration) -> Result<()> {
        let state = self.shared.lock();
        let waited = self.shared.cancelled.wait_timeout_while(state, time, |_| !self.is_cancelled());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.check()
    }

    /// Has this woken at a cancel, until the registration is dropped. `KL_E_CANCELLED` if the cancel came first.
    ///
    /// Whoever waits on a condition of its own registers, then looks at the token under its own lock before each wait.
    pub fn register(&self, wait: Arc<dyn Wake>) -> Result<Registration> {
        let mut state = self.shared.lock();
        self.check()?;
        let id = state.next_id;
        state.next_id += 1;
        state.waits.push((id, wait));
        drop(state);
        Ok(Registration { token: self.clone(), id })
    }
}

impl Registration {
    /// Ends it. False if a cancel came before: then it was woken, or is about to be.
    pub fn done(self) -> bool {
        self.leave();
        !self.token.is_cancelled()
    }

    fn leave(&self) {
        let mut state = self.token.shared.lock();
        if let Some(at) = state.waits.iter().position(|(id, _)| *id == self.id) {
            let gone = state.waits.swap_remove(at);
            drop(state);
            drop(gone);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Shared {
    /// Another number after each cancel, and after the flag was raised.
    fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire) ^ (u32::from(self.raised()) << 31)
    }

    fn raised(&self) -> bool {
        self.flag.as_ref().is_some_and(|flag| flag.raised())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A cancel for good that may be raised in a signal handler: it is found by a number, without a lock, in places that are
/// never freed. Raising it wakes nobody who waits; whoever listens to [`sys::listen`] does.
pub(crate) struct Flag {
    place: &'static AtomicUsize,
    key: usize,
}

/// Each holds the key of a flag, or that key with its lowest bit turned if the flag is raised; 0 is free.
struct Flags {
    places: [AtomicUsize; 64],
    more: Published<Flags>,
}

static FLAGS: Flags = Flags::new();

impl Flags {
    const fn new() -> Flags {
        Flags { places: [const { AtomicUsize::new(0) }; 64], more: Published::nothing() }
    }
}

impl Flag {
    /// Makes one. `key` is the caller's own, not 0, and no other flag's, nor is the number with the lowest bit turned.
    pub(crate) fn new(key: usize) -> Flag {
        let mut flags = &FLAGS;
        loop {
            for place in &flags.places {
                if place.compare_exchange(0, key, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    return Flag { place, key };
                }
            }
            flags = flags.more.get_or(Flags::new);
        }
    }

    /// Raises the flag of this key; nothing if there is none. Safe in a signal handler: atomics, and a wake of the system.
    pub(crate) fn raise(key: usize) {
        let mut flags = Some(&FLAGS);
        while let Some(these) = flags {
            for place in &these.places {
                // Only the key itself is replaced, so a place that is another's by now stays as it is.
                if place.load(Ordering::Relaxed) == key
                    && place.compare_exchange(key, key ^ 1, Ordering::AcqRel, Ordering::Relaxed).is_ok()
                {
                    return sys::ring();
                }
            }
            flags = these.more.get();
        }
    }

    /// Whether it is.
    pub(crate) fn raised(&self) -> bool {
        self.place.load(Ordering::Acquire) != self.key
    }
}

impl Drop for Flag {
    fn drop(&mut self) {
        self.place.store(0, Ordering::Release);
    }
}

impl fmt::Debug for CancelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CancelSource")
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_cancelled() { "CancelToken (cancelled)" } else { "CancelToken" })
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registration")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::thread;
    use std::time::Instant;

    const LONG: Duration = Duration::from_secs(60);

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_cancel_is_for_the_tokens_taken_before_it() {
        let source = CancelSource::new();
        let before = source.token();
        assert_eq!(before.check(), Ok(()));
        source.cancel();
        let after = source.token();
        assert!(before.is_cancelled() && before.clone().is_cancelled() && !after.is_cancelled());
        assert_eq!(before.check().unwrap_err().status(), KL_E_CANCELLED);
        assert_eq!(after.pause(Duration::from_millis(1)), Ok(()));
        // A pause that begins after the cancel does not wait at all.
        let began = Instant::now();
        assert_eq!(before.pause(LONG).unwrap_err().status(), KL_E_CANCELLED);
        assert!(began.elapsed() < LONG);
    }

    #[test]
    fn a_pause_ends_with_the_cancel() {
        let source = CancelSource::new();
        let tokens: Vec<_> = (0..4).map(|_| source.token()).collect();
        let threads: Vec<_> = tokens.into_iter().map(|t| thread::spawn(move || t.pause(LONG))).collect();
        let began = Instant::now();
        source.cancel();
        for thread in threads {
            assert_eq!(thread.join().unwrap().unwrap_err().status(), KL_E_CANCELLED);
        }
        assert!(began.elapsed() < LONG);
    }

    #[test]
    fn a_child_ends_with_its_parent_and_alone() {
        let parent = CancelSource::new();
        let (one, two) = (parent.child(), parent.child());
        let grandchild = one.child();
        let tokens = [parent.token(), one.token(), two.token(), grandchild.token()];
        let cancelled = |tokens: &[CancelToken; 4]| tokens.each_ref().map(CancelToken::is_cancelled);
        one.cancel();
        assert_eq!(cancelled(&tokens), [false, true, false, true]);
        let tokens = [parent.token(), one.token(), two.token(), grandchild.token()];
        parent.cancel();
        assert_eq!(cancelled(&tokens), [true; 4]);
        drop((one, grandchild));
        parent.cancel();
        assert!(!two.token().is_cancelled());
    }

    #[test]
    fn what_is_registered_is_woken_once_and_not_after() {
        let source = CancelSource::new();
        let woken = Arc::new(Woken::default());
        let token = source.token();
        let registration = token.register(woken.clone()).unwrap();
        let child = source.child();
        let of_child = child.token().register(woken.clone()).unwrap();
        source.cancel();
        assert_eq!(woken.0.load(Ordering::SeqCst), 2);
        assert!(!registration.done());
        assert!(token.register(woken.clone()).is_err());
        drop(of_child);
        assert!(source.token().register(woken.clone()).unwrap().done());
        source.cancel();
        assert_eq!(woken.0.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_flag_cancels_for_good_what_was_made_with_it() {
        let flags: Vec<Arc<Flag>> = (1..=200).map(|n| Arc::new(Flag::new(n << 8))).collect();
        let source = CancelSource::new();
        let flagged = source.flagged_child(Some(flags[150].clone()));
        let below = flagged.child();
        let tokens = [source.token(), flagged.token(), below.token()];
        Flag::raise(150 << 8);
        assert!(!flagged.raised());
        Flag::raise(151 << 8);
        Flag::raise(151 << 8);
        assert_eq!(tokens.each_ref().map(CancelToken::is_cancelled), [false, true, true]);
        assert!(flagged.raised() && below.raised() && !source.raised());
        assert_eq!(flags.iter().filter(|flag| flag.raised()).count(), 2);
        // The one behind it is not touched by a number that is no flag's any more.
        drop((flagged, below, tokens));
        drop(flags);
        Flag::raise(151 << 8);
        assert!(FLAGS.places.iter().all(|place| place.load(Ordering::SeqCst) >> 8 == 0));
    }

    // FAULTS F3: a cancel waits for nobody. What it wakes may cancel, register and leave in turn.
    #[test]
    fn a_cancel_holds_no_lock_while_it_wakes() {
        struct Again(CancelSource, Mutex<Option<Registration>>);
        impl Wake for Again {
            fn wake(&self) {
                drop(self.1.lock().unwrap().take());
                self.0.child();
                let _ = self.0.token().register(Arc::new(Woken::default()));
                self.0.cancel();
            }
        }
        let source = CancelSource::new();
        let again = Arc::new(Again(source.clone(), Mutex::new(None)));
        let token = source.token();
        *again.1.lock().unwrap() = Some(token.register(again.clone()).unwrap());
        source.cancel();
        assert!(again.1.lock().unwrap().is_none() && token.is_cancelled());
    }
}
