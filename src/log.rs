//! The log path: one callback for the process, a level, and no secret in any line.
//!
//! Nothing is ever printed. Without a callback a line costs one atomic load. The values of secret settings are
//! registered here when a client is made and replaced by `***` wherever they would appear.

use crate::process::PerProcess;
use std::borrow::Cow;
use std::cell::Cell;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    /// Something failed and needs attention.
    Error = 1,
    /// Something is odd but was dealt with.
    Warn = 2,
    /// Nothing is wrong, but worth a line: a callback came, a token was renewed.
    Info = 3,
    /// Connections, lookups, handshakes.
    Debug = 4,
}

/// Takes the lines. Called from whichever thread makes a call; must not call kiosklink's functions that wait.
pub type Sink = Arc<dyn Fn(Level, &str) + Send + Sync>;

/// The level of whoever set it last, so that a line nobody wants costs one load.
static LEVEL: AtomicI32 = AtomicI32::new(0);

#[derive(Default)]
struct State {
    level: AtomicI32,
    sink: RwLock<Option<Sink>>,
    secrets: RwLock<Vec<Arc<str>>>,
}

/// A child begins without a callback.
static STATE: PerProcess<State> = PerProcess::new();

fn state() -> &'static State {
    STATE.get()
}

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Replaces the callback, or removes it. Waits until no line is being delivered to the old one, so that what it
/// uses can be freed afterwards. False, and nothing changed, when called from inside the callback.
pub fn set(level: i32, sink: Option<Sink>) -> bool {
    if INSIDE.get() {
        return false;
    }
    let state = state();
    let mut slot = state.sink.write().unwrap_or_else(PoisonError::into_inner);
    let level = if sink.is_some() { level } else { 0 };
    state.level.store(level, Ordering::Relaxed);
    LEVEL.store(level, Ordering::Relaxed);
    *slot = sink;
    true
}

/// Whether a line of this level would be delivered.
#[inline]
pub fn enabled(level: Level) -> bool {
    level as i32 <= LEVEL.load(Ordering::Relaxed) && level as i32 <= state().level.load(Ordering::Relaxed)
}

/// Delivers one line.
#[cold]
pub fn write(level: Level, line: &str) {
    if INSIDE.replace(true) {
        return;
    }
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            INSIDE.set(false);
        }
    }
    let _leave = Leave;
    let slot = state().sink.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(sink) = slot.as_ref() {
        sink(level, &mask(line));
    }
}

/// The same for a line that is yet to be put together: no call site needs the code for that.
#[cold]
#[inline(never)]
pub fn write_formatted(level: Level, line: std::fmt::Arguments<'_>) {
    write(level, &line.to_string());
}

/// Logs a formatted line, if anybody listens at that level.
#[macro_export]
#[doc(hidden)]
macro_rules! log_line {
    ($level:ident, $($arg:tt)*) => {
        if $crate::log::enabled($crate::log::Level::$level) {
            $crate::log::write_formatted($crate::log::Level::$level, format_args!($($arg)*));
        }
    };
}
pub(crate) use log_line;

/// A secret that is masked everywhere for as long as this guard lives.
#[derive(Debug)]
pub struct Masked(Arc<str>);

impl Masked {
    /// Registers a value. Values of fewer than four bytes are not masked: they would blot out ordinary text.
    pub fn new(secret: &str) -> Option<Masked> {
        if secret.len() < 4 {
            return None;
        }
        let secret: Arc<str> = secret.into();
        state().secrets.write().unwrap_or_else(PoisonError::into_inner).push(secret.clone());
        Some(Masked(secret))
    }
}

impl Drop for Masked {
    fn drop(&mut self) {
        let mut all = state().secrets.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = all.iter().position(|s| Arc::ptr_eq(s, &self.0)) {
            all.swap_remove(at);
        }
    }
}

/// The text with every registered secret replaced by `***`.
pub fn mask(text: &str) -> Cow<'_, str> {
    let all = state().secrets.read().unwrap_or_else(PoisonError::into_inner);
    let mut out = Cow::Borrowed(text);
    for secret in all.iter() {
        if out.contains(&**secret) {
            out = Cow::Owned(out.replace(&**secret, "***"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    // FAULTS H: a token of one letter masked every such letter of messages.
    #[test]
    fn a_secret_of_few_letters_blots_nothing_out() {
        for short in ["", "Q", "Qq", "QqZ"] {
            assert!(Masked::new(short).is_none(), "{short:?}");
        }
        assert_eq!(mask("Quite a Quantity of QqZ"), "Quite a Quantity of QqZ");
        let masked = Masked::new("QqZz").unwrap();
        assert_eq!(mask("a QqZz here"), "a *** here");
        drop(masked);
        assert_eq!(mask("a QqZz here"), "a QqZz here");
    }
}
