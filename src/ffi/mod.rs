//! The C surface: translation only, and the only part of the crate with `unsafe` code (beside `sys.rs`).
//!
//! Every function is a plain `extern "C"` function whose body is one call of `guard`, `give`, `act` or one of their kind:
//! no panic crosses the border, the out-pointer and the outcome are the guard's to write, and cbindgen sees every name.
//! `docs/conventions.md` holds the rules for callers.

#![allow(non_camel_case_types)]
// The contract of every exported function is the same, and C is who keeps it: a pointer is NULL, or for the time of the
// call it leads to what its type says: a text to bytes that end in a NUL, a struct to as many bytes as its first field
// says, an out-pointer to a place for one value that nobody else uses. The header says it to those who can break it.
#![allow(clippy::missing_safety_doc)]

pub mod call;
pub mod client;
pub mod code;
pub mod command;
pub mod config;
pub mod error;
pub mod event;
pub mod http;
pub mod identity;
pub mod library;
pub mod read;
pub mod task;
pub mod visit;
pub mod write;

mod handle;
mod text;

use crate::client::Client;
use crate::error::{Error, Outcome, Result};
use crate::process;
use crate::status::*;
use crate::sys;
use error::{kl_error, kl_outcome};
use handle::{Handle, Sort, Thing};
use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use text::CallerStruct;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs the body of an entry point once: its error goes to `err`, and a panic in it becomes `KL_E_INTERNAL`.
fn guard(err: *mut kl_error, mut body: impl FnMut() -> Result<()>) -> kl_status {
    guarded(err, &mut body)
}

/// The same for a call that makes a handle.
fn make<H: Handle>(
    out: *mut *mut H,
    err: *mut kl_error,
    mut body: impl FnMut() -> Result<H::Held>,
) -> kl_status {
    let out = Out::handle(out);
    guarded(err, &mut || out.fill::<H>(&mut body))
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
fn give<H: Handle>(
    client: *mut client::kl_client,
    out: *mut *mut H,
    err: *mut kl_error,
    mut body: impl FnMut(&Client) -> Result<H::Held>,
) -> kl_status {
    let out = Out::handle(out);
    on_client(client, err, Kind::Read, &mut |client| out.fill::<H>(|| body(client)))
}

/// The same for a call that fills a struct of the caller's.
fn fill<T: CallerStruct>(
    client: *mut client::kl_client,
    out: *mut T,
    err: *mut kl_error,
    mut body: impl FnMut(&Client, &mut T) -> Result<()>,
) -> kl_status {
    on_client(client, err, Kind::Read, &mut |client| {
        // SAFETY: `out` is what the caller in C gave: NULL, or a struct with as many bytes as its first field says.
        unsafe { text::answer("out", out, |known| body(client, known)) }
    })
}

/// The same for a call that waits for a command: when it worked, the command is done.
fn wait<H: Handle>(
    client: *mut client::kl_client,
    out: *mut *mut H,
    err: *mut kl_error,
    mut body: impl FnMut(&Client) -> Result<H::Held>,
) -> kl_status {
    let out = Out::handle(out);
    on_client(client, err, Kind::Wait, &mut |client| out.fill::<H>(|| body(client)))
}

/// The same for a call that acts, or tells what became of an act. Handle and memory of its result are there before the body
/// begins. `name` is where the caller says how the act is called.
fn act<H: Handle>(
    client: *mut client::kl_client,
    out: *mut *mut H,
    err: *mut kl_error,
    name: Name,
    mut body: impl FnMut(&Client) -> Result<H::Held>,
) -> kl_outcome {
    let out = Out::handle(out);
    on_client(client, err, Kind::Act(&name), &mut |client| out.fill::<H>(|| body(client)))
}

/// Where C wants an answer: empty from the beginning of a call, and filled only by one that works.
struct Out<T>(*mut T);

impl<T: Copy> Out<T> {
    /// An out-parameter of an entry point, which holds `empty` until something is written.
    fn cleared(out: *mut T, empty: T) -> Out<T> {
        let out = Out(out);
        out.write(empty);
        out
    }

    /// `KL_E_NULL` if the caller gave no place. `name` is the parameter's.
    fn present(&self, name: &str) -> Result<()> {
        if self.0.is_null() { Err(Error::new(KL_E_NULL, [name, " is NULL"].concat())) } else { Ok(()) }
    }

    /// Does nothing where there is no place. The one piece of code that writes to an out-pointer.
    fn write(&self, value: T) {
        if !self.0.is_null() {
            // SAFETY: not NULL. It is the parameter of a function that C called, so it leads to a place for one T that is the
            // caller's for the time of the call, and an `Out` does not outlive that. Nothing is dropped there: T is `Copy`.
            unsafe { self.0.write(value) };
        }
    }
}

impl Out<*mut c_void> {
    /// One for a handle, whatever its type: they share the code behind it.
    fn handle<H>(out: *mut *mut H) -> Out<*mut c_void> {
        Out::cleared(out.cast(), std::ptr::null_mut())
    }

    /// What the body makes. What a handle needs is taken before it begins.
    fn fill<H: Handle>(&self, body: impl FnOnce() -> Result<H::Held>) -> Result<()> {
        self.present("out")?;
        let room = handle::reserve::<H>()?;
        self.write(room.fill(body()?));
        Ok(())
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
            // SAFETY: the request of an entry point: NULL, or a struct that begins with its size and has as many bytes.
            Name::In(request, at) => match unsafe { text::pointer_at(request, at) } {
                Some(text) => text,
                None => return Called::Unreadable,
            },
        };
        // SAFETY: a text of the entry point's caller: NULL, or terminated, and there for as long as the call.
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
    let _held_off = sys::Uncancelled::begin();
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
    let sort = handle::sort::<client::kl_client>();
    through_client(client.cast(), &sort, err, kind, |client| client.downcast_ref(), &mut |_, client| {
        body(client)
    })
}

/// The same for whatever works through a client: `client_of` finds it in what the handle stands for.
#[inline(never)]
#[allow(improper_ctypes_definitions)]
extern "C" fn through_client(
    handle_of: *const c_void,
    sort: &Sort,
    err: *mut kl_error,
    kind: Kind<'_>,
    client_of: for<'a> fn(&'a Thing) -> Option<&'a Client>,
    body: &mut dyn FnMut(&Thing, &Client) -> Result<()>,
) -> i32 {
    let _held_off = sys::Uncancelled::begin();
    let mut found = None;
    process::check();
    let looked = caught(&mut || {
        found = Some(handle::get_any(handle_of, sort).and_then(|held| {
            let client = client_of(&*held).ok_or_else(internal)?;
            client.check().inspect_err(|error| handle::told_off(handle_of, error))?;
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
    if let (Kind::Act(_), Some(client)) = (kind, client) {
        client.tally().told(outcome);
    }
    let status = match place {
        Some(place) => error::report(place, result, kind.worked()),
        None => KL_E_ARGUMENT,
    };
    kind.answer(status, outcome)
}

/// Something of a result, borrowed from it; `fallback` for what is no such handle.
fn look<H: Handle, R>(handle: *const H, fallback: R, read: impl Fn(&H::Held) -> R) -> R {
    let mut found = fallback;
    guard(std::ptr::null_mut(), || {
        found = read(&*handle::get(handle)?);
        Ok(())
    });
    found
}

/// Ends a handle of any kind.
fn end<H: Handle>(handle: *mut H) {
    guard(std::ptr::null_mut(), || {
        handle::free(handle.cast_const());
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
