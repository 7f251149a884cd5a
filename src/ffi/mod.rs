//! The C surface: translation only, and the only part of the crate with `unsafe` code (beside `sys.rs`).
//!
//! Every function is a plain `extern "C"` function whose body is one call of `guard` or of `with_client`: no
//! panic crosses the border, and cbindgen sees every name. `docs/conventions.md` holds the rules for callers.

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
pub mod write;

mod handle;
mod text;

use crate::client::Client;
use crate::error::{Error, Outcome, Result};
use crate::process;
use crate::status::*;
use error::kl_error;
use handle::Held;
use std::cell::Cell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs the body of an entry point once: its error goes to `err`, and a panic in it becomes `KL_E_INTERNAL`.
fn guard(err: *mut kl_error, mut body: impl FnMut() -> Result<()>) -> kl_status {
    guarded(err, &mut body)
}

/// The guard behind a pointer: a hundred entry points share one copy of what stands around their bodies. Nothing unwinds
/// out of an `extern "C"` function, so that they need no tables for it either.
#[inline(never)]
#[allow(improper_ctypes_definitions)]
extern "C" fn guarded(err: *mut kl_error, body: &mut dyn FnMut() -> Result<()>) -> kl_status {
    let mut outcome = Ok(());
    if caught(&mut || outcome = body()).is_err() {
        outcome = Err(internal());
    }
    error::report(err, outcome)
}

/// The same for a call on a client, which a panic takes out of use.
fn with_client(
    client: *mut client::kl_client,
    err: *mut kl_error,
    mut body: impl FnMut(&Client) -> Result<()>,
) -> kl_status {
    on_client(client.cast(), err, Outcome::None, |client| client, &mut body)
}

/// The same for a call that changes something: its error always says whether it is done, not done or unknown.
fn with_client_write(
    client: *mut client::kl_client,
    err: *mut kl_error,
    mut body: impl FnMut(&Client) -> Result<()>,
) -> kl_status {
    on_client(client.cast(), err, Outcome::Unknown, |client| client, &mut body)
}

/// The same for whatever works through a client. `after_panic` is what a panic leaves the call as; `Outcome::None` for
/// a call that only reads.
#[inline(never)]
#[allow(improper_ctypes_definitions)]
extern "C" fn on_client<T: Held>(
    held: *const c_void,
    err: *mut kl_error,
    after_panic: Outcome,
    client_of: fn(&T) -> &Client,
    body: &mut dyn FnMut(&T) -> Result<()>,
) -> kl_status {
    let mut found = None;
    process::check();
    let looked = caught(&mut || {
        found = Some(handle::get::<T>(held).and_then(|held| client_of(&held).check().map(|()| held)));
    });
    let mut outcome = Ok(());
    match found {
        Some(Ok(held)) if looked.is_ok() => {
            if caught(&mut || outcome = body(&held)).is_err() {
                // The client's state may be half changed: nothing more is done with it.
                caught(&mut || client_of(&held).retire()).unwrap_or_default();
                outcome = Err(internal().with(|d| d.outcome = after_panic));
            }
        }
        Some(Err(error)) => outcome = Err(error),
        _ => outcome = Err(internal()),
    }
    let outcome = outcome.map_err(|error| {
        error.with(|d| {
            // What failed before it came to the wire did not happen.
            if after_panic != Outcome::None && d.outcome == Outcome::None {
                d.outcome = Outcome::NotDone;
            }
        })
    });
    error::report(err, outcome)
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
    // No `Once`: a child that was forked while another thread was in it would wait for ever.
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
