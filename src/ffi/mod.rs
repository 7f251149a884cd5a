//! The C surface: translation only, and the only part of the crate with `unsafe` code (beside `sys.rs`).
//!
//! Every function is a plain `extern "C"` function whose body is one call of `guard`, `give`, `act` or one of their kind:
//! no panic crosses the border, the out-pointer and the outcome are the guard's to write, and cbindgen sees every name.
//! `docs/conventions.md` holds the rules for callers.

#![allow(non_camel_case_types)]
// The safety of every function here is the same: pointers are NULL or point to what their type says for the time
// of the call. It is said once, in docs/conventions.md and at the top of the header.
#![allow(clippy::missing_safety_doc)]

pub mod call;
pub mod client;
pub mod code;
pub mod command;
pub mod config;
pub mod error;
pub mod event;
pub mod identity;
pub mod library;
pub mod read;
pub mod visit;
pub mod write;

mod handle;
mod text;

use crate::client::Client;
use crate::error::{Error, Outcome, Result};
use crate::process;
use crate::status::*;
use error::{kl_error, kl_outcome};
use handle::{Held, Sort, Thing};
use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs the body of an entry point once: its error goes to `err`, and a panic in it becomes `KL_E_INTERNAL`.
fn guard(err: *mut kl_error, mut body: impl FnMut() -> Result<()>) -> kl_status {
    guarded(err, &mut body)
}

/// The same for a call that makes a handle.
fn make<T: Held, H>(out: *mut *mut H, err: *mut kl_error, mut body: impl FnMut() -> Result<T>) -> kl_status {
    let out = Out::cleared(out);
    guarded(err, &mut || out.fill(&mut body))
}

/// The same for a call on a client, which a panic takes out of use.
fn with_client(
    client: *mut client::kl_client,
    err: *mut kl_error,
    mut body: impl FnMut(&Client) -> Result<()>,
) -> kl_status {
    on_client(client, err, Kind::Read, &mut body)
}

/// The same for a call that only reads and makes a handle.
fn give<T: Held, H>(
    client: *mut client::kl_client,
    out: *mut *mut H,
    err: *mut kl_error,
    mut body: impl FnMut(&Client) -> Result<T>,
) -> kl_status {
    let out = Out::cleared(out);
    on_client(client, err, Kind::Read, &mut |client| out.fill(|| body(client)))
}

/// The same for a call that waits for a command: when it worked, the command is done.
fn wait<T: Held, H>(
    client: *mut client::kl_client,
    out: *mut *mut H,
    err: *mut kl_error,
    mut body: impl FnMut(&Client) -> Result<T>,
) -> kl_status {
    let out = Out::cleared(out);
    on_client(client, err, Kind::Wait, &mut |client| out.fill(|| body(client)))
}

/// The same for a call that acts, or tells what became of an act. Handle and memory of its result are there before the body
/// begins. `name` is where the caller says how the act is called.
fn act<T: Held, H>(
    client: *mut client::kl_client,
    out: *mut *mut H,
    err: *mut kl_error,
    name: Name,
    mut body: impl FnMut(&Client) -> Result<T>,
) -> kl_outcome {
    let out = Out::cleared(out);
    on_client(client, err, Kind::Act(&name), &mut |client| out.fill(|| body(client)))
}

/// An out-pointer: NULL from the beginning of a call, and a handle only when it worked.
struct Out(*mut *mut c_void);

impl Out {
    fn cleared<H>(out: *mut *mut H) -> Out {
        let out = out.cast::<*mut c_void>();
        if !out.is_null() {
            // SAFETY: not NULL, so it is writable (conventions, rule 2).
            unsafe { out.write(std::ptr::null_mut()) };
        }
        Out(out)
    }

    fn present(&self) -> Result<()> {
        if self.0.is_null() { Err(Error::new(KL_E_NULL, "the out-pointer is NULL")) } else { Ok(()) }
    }

    /// What the body makes. What a handle needs is taken before it begins.
    fn fill<T: Held>(&self, body: impl FnOnce() -> Result<T>) -> Result<()> {
        self.present()?;
        let room = handle::reserve::<T>()?;
        self.write(room.fill(body()?));
        Ok(())
    }

    /// Only after [`Out::present`].
    fn write(&self, what: *mut c_void) {
        // SAFETY: found not NULL, and writable by the caller's promise (conventions, rule 2).
        unsafe { self.0.write(what) };
    }
}

/// Where the caller of an act names it: what became of the name is told, not what became of the call.
enum Name {
    /// The act has none: this call alone is told of.
    None,
    /// A text of its own.
    Text(*const c_char),
    /// A text in the struct at this address, so many bytes from its beginning.
    In(*const u8, usize),
}

/// What could be read of it.
enum Called {
    /// It has no name, or one that no act can have.
    Nothing,
    Given(String),
    /// There may be one.
    Unreadable,
}

impl Name {
    fn read(&self) -> Called {
        let text = match *self {
            Name::None => return Called::Nothing,
            Name::Text(text) => text,
            // SAFETY: NULL or a struct that begins with its size (conventions, rules 2 and 6).
            Name::In(request, at) => match unsafe { text::pointer_at(request, at) } {
                Some(text) => text,
                None => return Called::Unreadable,
            },
        };
        // SAFETY: NULL or terminated by the caller's promise (conventions, rule 2).
        match unsafe { text::optional("request_id", text) } {
            Ok(Some(name)) if !name.is_empty() => Called::Given(name.to_owned()),
            _ => Called::Nothing,
        }
    }

    /// What became of it when the call ended before the client had a say.
    fn fate(&self, why: &Error, client: Option<&Client>) -> Outcome {
        let (name, client) = match (self.read(), client) {
            (Called::Nothing, _) => return Outcome::NotDone,
            (Called::Given(name), Some(client)) => (name, client),
            // Nobody can be asked what the name stands for.
            _ => return Outcome::Unknown,
        };
        if (KL_E_JOURNAL..=KL_E_STATE_DIR).contains(&why.status()) {
            return Outcome::Unknown;
        }
        match client.command_get(&name) {
            Ok(known) if known.outcome == Outcome::NotDone => Outcome::NotDone,
            Err(e) if e.status() == KL_E_NOT_FOUND => Outcome::NotDone,
            _ => Outcome::Unknown,
        }
    }
}

/// What a call answers with.
#[derive(Clone, Copy)]
enum Kind<'a> {
    /// A status.
    Read,
    /// A status; when it worked, the command is done.
    Wait,
    /// An outcome.
    Act(&'a Name),
}

impl Kind<'_> {
    /// What a call says that worked.
    fn worked(self) -> Outcome {
        if matches!(self, Kind::Read) { Outcome::None } else { Outcome::Done }
    }

    /// What the function returns.
    fn answer(self, status: kl_status, outcome: Outcome) -> i32 {
        if matches!(self, Kind::Act(_)) { outcome as i32 } else { status }
    }
}

/// The guard behind a pointer: a hundred entry points share one copy of what stands around their bodies. Nothing unwinds
/// out of an `extern "C"` function, so that they need no tables for it either.
#[inline(never)]
#[allow(improper_ctypes_definitions)]
extern "C" fn guarded(err: *mut kl_error, body: &mut dyn FnMut() -> Result<()>) -> kl_status {
    let Some(place) = error::place(err) else { return KL_E_ARGUMENT };
    let mut result = Ok(());
    if caught(&mut || result = body()).is_err() {
        result = Err(internal());
    }
    error::report(place, result, Outcome::None)
}

/// The same for a client's handle.
#[inline(never)]
#[allow(improper_ctypes_definitions)]
extern "C" fn on_client(
    client: *mut client::kl_client,
    err: *mut kl_error,
    kind: Kind<'_>,
    body: &mut dyn FnMut(&Client) -> Result<()>,
) -> i32 {
    let sort = handle::sort::<Client>();
    through_client(client.cast(), &sort, err, kind, |client| client.downcast_ref(), &mut |_, client| {
        body(client)
    })
}

/// The same for whatever works through a client: `client_of` finds it in what the handle stands for.
#[inline(never)]
#[allow(improper_ctypes_definitions)]
extern "C" fn through_client(
    held: *const c_void,
    sort: &Sort,
    err: *mut kl_error,
    kind: Kind<'_>,
    client_of: for<'a> fn(&'a Thing) -> Option<&'a Client>,
    body: &mut dyn FnMut(&Thing, &Client) -> Result<()>,
) -> i32 {
    let mut found = None;
    process::check();
    let looked = caught(&mut || {
        found = Some(handle::get_any(held, sort).and_then(|held| {
            client_of(&*held).ok_or_else(internal)?.check()?;
            Ok(held)
        }));
    });
    let (held, mut result) = match found {
        Some(Ok(held)) if looked.is_ok() => (Some(held), Ok(())),
        Some(Err(error)) => (None, Err(error)),
        _ => (None, Err(internal())),
    };
    let client = held.as_deref().and_then(client_of);
    let place = error::place(err);
    if place.is_none() {
        result = Err(Error::new(KL_E_ARGUMENT, "err has no size that a kl_error has"));
    } else if let (Some(held), Some(client)) = (held.as_deref(), client) {
        if caught(&mut || result = body(held, client)).is_err() {
            // The client's state may be half changed: nothing more is done with it.
            caught(&mut || client.retire()).unwrap_or_default();
            let fate = if matches!(kind, Kind::Act(_)) { Outcome::Unknown } else { Outcome::None };
            result = Err(internal().with(|d| d.outcome = fate));
        }
    }
    if let (Kind::Act(name), Err(error)) = (kind, &result) {
        if error.details().outcome == Outcome::None {
            let mut fate = Outcome::Unknown;
            caught(&mut || fate = name.fate(error, client)).unwrap_or_default();
            result = result.map_err(|error| error.with(|d| d.outcome = fate));
        }
    }
    let outcome = result.as_ref().err().map_or(kind.worked(), |error| error.details().outcome);
    let status = match place {
        Some(place) => error::report(place, result, kind.worked()),
        None => KL_E_ARGUMENT,
    };
    kind.answer(status, outcome)
}

/// Something of a result, borrowed from it; `fallback` for what is no such handle.
fn look<T: Held, R>(handle: *const c_void, fallback: R, read: impl Fn(&T) -> R) -> R {
    let mut found = fallback;
    guard(std::ptr::null_mut(), || {
        found = read(&*handle::get::<T>(handle)?);
        Ok(())
    });
    found
}

/// Ends a handle of any kind.
fn end<T: Held>(handle: *const c_void) {
    guard(std::ptr::null_mut(), || {
        handle::free::<T>(handle);
        Ok(())
    });
}

#[inline(never)]
fn caught(body: &mut dyn FnMut()) -> std::result::Result<(), ()> {
    quiet_panics();
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(|| {
        #[cfg(feature = "test-hooks")]
        test_hooks::panic_if_asked();
        body();
    }));
    GUARDED.set(outer);
    result.map_err(|payload| {
        // A payload whose own destructor panics must not get past the border either.
        std::mem::forget(payload);
    })
}

fn internal() -> Error {
    Error::new(KL_E_INTERNAL, "a bug in kiosklink was caught; the log says where")
}

/// Sends the message of a panic inside an entry point to the log instead of standard error. Other panics of the
/// process go where they went before.
fn quiet_panics() {
    // No `Once`: a child that was forked while another thread was in it would wait forever.
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.load(Ordering::Relaxed) || DONE.swap(true, Ordering::Relaxed) {
        return;
    }
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if GUARDED.get() {
            crate::log::log_line!(Error, "bug: {info}");
        } else {
            before(info);
        }
    }));
}

/// For tests of the guard only; no release artefact has this feature.
#[cfg(feature = "test-hooks")]
pub mod test_hooks {
    use std::cell::Cell;

    thread_local! {
        static COUNTDOWN: Cell<u32> = const { Cell::new(0) };
    }

    /// Makes the `n`th guarded piece of code that this thread enters from now on panic; 0 takes that back.
    #[unsafe(no_mangle)]
    pub extern "C" fn kl_test_panic_at(n: u32) {
        COUNTDOWN.set(n);
    }

    pub(super) fn panic_if_asked() {
        match COUNTDOWN.get() {
            0 => {}
            1 => {
                COUNTDOWN.set(0);
                panic!("forced by a test");
            }
            n => COUNTDOWN.set(n - 1),
        }
    }
}
