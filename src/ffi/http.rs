//! Connections on which callbacks come: the bytes that were read in, and out what to do.

use super::client::kl_client;
use super::error::kl_error;
use super::event::{self, ShownEvent, kl_event_info};
use super::handle::{self, Handle, HandleKind};
use super::text::{self, caller_struct};
use super::{Out, caught, end, guard, internal, make};
use crate::callback::{Bounds, Connection, NextStep, Then};
use crate::error::Result;
use crate::status::kl_status;
use crate::time::clock::monotonic_ms;
use std::ffi::c_char;
use std::sync::{Mutex, PoisonError};

/// What to do with a connection when the bytes of the step are written: `KL_HTTP_ACTION_*`.
pub type kl_http_action = i32;

/// Read, and feed what came; call `kl_http_tick` when nothing came for `wait_ms`.
pub const KL_HTTP_ACTION_READ: kl_http_action = 1;
/// A callback came: handle `event`, then call `kl_http_reply`.
pub const KL_HTTP_ACTION_EVENT: kl_http_action = 2;
/// Close it: end the writing side, read what is left for a moment, close. At once, and the answer may be lost.
pub const KL_HTTP_ACTION_CLOSE: kl_http_action = 3;

/// The bounds of a connection: `kl_http_options o = KL_HTTP_OPTIONS_INIT;`. 0 stands for what is usual.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_http_options {
    /// `sizeof(kl_http_options)`.
    pub struct_size: u32,
    /// The most that the head of a request may have, in bytes: 1,024 to 65,536; 0: 16,384. Answered with 431, or 414.
    pub max_head: u32,
    /// The same of its body: up to 16,777,216; 0: 262,144. A longer one is answered with 413.
    pub max_body: u32,
    /// From `kl_http_new`, or the answer before, to the last byte of a request: up to one hour; 0: 10,000. Answered with 408.
    /// Bytes that come do not push it on.
    pub timeout_ms: u32,
    /// 1: the connection ends after one answer, also where the caller would keep it.
    pub one_request: i32,
}

caller_struct!(kl_http_options { struct_size, max_head, max_body, timeout_ms, one_request });

/// What to do next. Borrowed from its connection, with all that it leads to, until the next `kl_http_feed`, `kl_http_tick`,
/// `kl_http_reply` or `kl_http_free` of that connection.
#[repr(C)]
pub struct kl_http_step {
    /// What to do when `bytes` are written: `KL_HTTP_ACTION_*`.
    pub action: kl_http_action,
    /// For `KL_HTTP_ACTION_READ`: how long to wait for more, in milliseconds, as `poll` takes it. Else 0.
    pub wait_ms: u32,
    /// What to write first; NULL if `len` is 0.
    pub bytes: *const u8,
    /// How many bytes; often none.
    pub len: usize,
    /// For `KL_HTTP_ACTION_EVENT`: the callback, as `kl_event_view` gives it. Else NULL.
    pub event: *const kl_event_info,
    /// And whose it is: the handle that `kl_http_add` was given. Else NULL.
    pub client: *mut kl_client,
}

/// One connection on which callbacks come. Opaque; one thread at a time.
pub struct kl_http {
    _private: [u8; 0],
}

impl Handle for kl_http {
    const KIND: HandleKind = HandleKind::Http;
    type Held = HeldHttp;
}

pub(super) struct HeldHttp(Mutex<Inner>);

struct Inner {
    connection: Connection,
    /// The handles of its accounts, for C to know them by.
    clients: Vec<*mut kl_client>,
    step: Option<Box<Shown>>,
    event: Option<Box<ShownEvent>>,
}

/// A step as C reads it, with the bytes that it leads to.
struct Shown {
    step: kl_http_step,
    _bytes: Vec<u8>,
}

// SAFETY: the pointers lead into what stands beside them, which one thread at a time changes, under the lock; the clients'
// handles are numbers.
unsafe impl Send for HeldHttp {}
// SAFETY: as above.
unsafe impl Sync for HeldHttp {}

impl Inner {
    fn show(&mut self, write: Vec<u8>, then: Then, now_ms: u64) -> *const kl_http_step {
        let (mut event, mut client) = (std::ptr::null(), std::ptr::null_mut());
        self.event = self.connection.event().map(|(account, told)| {
            client = self.clients[account];
            Box::new(event::show(told))
        });
        if let Some(shown) = &self.event {
            event = &raw const shown.info;
        }
        let step = kl_http_step {
            action: match then {
                Then::Read => KL_HTTP_ACTION_READ,
                Then::Reply => KL_HTTP_ACTION_EVENT,
                Then::Close => KL_HTTP_ACTION_CLOSE,
            },
            wait_ms: self.connection.left_ms(now_ms),
            bytes: if write.is_empty() { std::ptr::null() } else { write.as_ptr() },
            len: write.len(),
            event,
            client,
        };
        &raw const self.step.insert(Box::new(Shown { step, _bytes: write })).step
    }
}

/// One copy of what stands around the calls that give a step.
fn proceed(
    http: *mut kl_http,
    step: *mut *const kl_http_step,
    err: *mut kl_error,
    body: &mut dyn FnMut(&mut Connection, u64) -> Result<NextStep>,
) -> kl_status {
    let out = Out::cleared(step, std::ptr::null());
    guard(err, || {
        out.present("step")?;
        crate::process::check();
        let held = handle::get(http)?;
        let mut inner = held.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = monotonic_ms();
        let mut result = Err(internal());
        if caught(&mut || result = body(&mut inner.connection, now_ms)).is_err() {
            inner.connection.retire();
            result = Err(internal());
        }
        let NextStep { write, then, refused } = result?;
        out.write(inner.show(write, then, now_ms));
        refused.map_or(Ok(()), Err)
    })
}

/// Makes what reads one connection on which callbacks come, once it is accepted: one for each. The socket, and TLS if there
/// is any, stay yours. `options` may be NULL. Add accounts, then read and feed. End it with `kl_http_free`.
///
/// Errors: `KL_E_ARGUMENT` for bounds that are none, `KL_E_RESOURCE`.
///
/// Codes: none of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_http_new(
    options: *const kl_http_options,
    out: *mut *mut kl_http,
    err: *mut kl_error,
) -> kl_status {
    make(out, err, || {
        let mut bounds = Bounds::default();
        if !options.is_null() {
            // SAFETY: the caller's struct is as long as its first field says.
            let given = unsafe { text::request("options", options)? };
            bounds = Bounds {
                max_head: given.max_head as usize,
                max_body: given.max_body as usize,
                timeout_ms: given.timeout_ms,
                one_request: given.one_request != 0,
            };
        }
        let connection = Connection::new(bounds, monotonic_ms())?;
        Ok(HeldHttp(Mutex::new(Inner { connection, clients: Vec::new(), step: None, event: None })))
    })
}

/// Adds an account whose callbacks come on this connection: on `path` (`/yopoint`, compared byte for byte with what stands
/// before the `?` in the request), or with NULL or an empty `path` on every path that no account has. Several may share a
/// path: whose secret fits has the callback. An account whose platform signs nothing (Dingshang) needs a path of its own. The
/// client may be freed before the connection: its callbacks are then answered with 503.
///
/// Errors: `KL_E_ARGUMENT` for a path that is none or that cannot be shared, `KL_E_UNSUPPORTED` for a platform without
/// callbacks (Zhiyun), `KL_E_RETIRED`.
///
/// Codes: `KL_E_UNSUPPORTED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_http_add(
    http: *mut kl_http,
    client: *mut kl_client,
    path: *const c_char,
    err: *mut kl_error,
) -> kl_status {
    guard(err, || {
        crate::process::check();
        let held = handle::get(http)?;
        let known = handle::get(client)?;
        known.check()?;
        // SAFETY: the caller's texts are NULL or terminated, and there for the time of the call.
        let path = unsafe { text::optional("path", path)? };
        let mut inner = held.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.connection.add(&known, path)?;
        inner.clients.push(client);
        Ok(())
    })
}

/// Takes what was read from the connection, all of it, in whatever pieces it came, and says in `step` what to do next: write
/// `bytes` if there are any, then do `action`. `len` 0 says that the other side has ended. Sends nothing itself.
///
/// It reads heads in Latin-1, bodies with a length and in chunks, and GET with a query; it tells a caller that waits for `100
/// Continue` to go on (bytes to write), keeps the connection as the caller wants, and answers wrong requests: 400, 404 (no
/// account has this path), 405, 408, 411, 413, 414, 415 (compressed), 417, 431, 501, 505, then `KL_HTTP_ACTION_CLOSE`. What a caller
/// sends behind a request without waiting for its answer is not read: answer, then `KL_HTTP_ACTION_CLOSE`.
///
/// A whole request is verified and parsed, as `kl_event_parse` does; `KL_HTTP_ACTION_EVENT` says so. **This reads and writes the
/// account's journal (whether the callback came before, what it says of your commands) and may wait for the disk, and for
/// other processes that use the journal.** A callback that was taken before is an event too, with `duplicate`: do nothing, and
/// reply.
///
/// `step` is there with these errors too. They say why a request was refused; the answer is in `step`, and the connection
/// goes on unless it says otherwise:
///
/// - `KL_E_EVENT_SIGNATURE`, `KL_E_EVENT_TIME`: it does not verify (403, with the vendor's message).
/// - `KL_E_EVENT`: not in the platform's format (400, with the vendor's message), or a wrong request. `http_status` of the error is
///   what it was answered with, 0 if it was cut off.
/// - `KL_E_BUSY`: the same callback waits for its reply on another connection of this client (503, so that the platform comes
///   again, and finds out then).
/// - what else `kl_event_parse` answers, such as `KL_E_HANDLE` for a client that was freed (503).
///
/// `step` is `NULL` with `KL_E_NULL`, `KL_E_HANDLE` and `KL_E_FORKED` for the connection itself, with `KL_E_BUSY` if an event
/// waits for its reply (nothing is taken), and with `KL_E_INTERNAL`.
///
/// Codes: `KL_E_BUSY`, `KL_E_UNSUPPORTED`, `KL_E_EVENT`, `KL_E_EVENT_SIGNATURE`, `KL_E_EVENT_TIME`, *journal*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_http_feed(
    http: *mut kl_http,
    bytes: *const u8,
    len: usize,
    step: *mut *const kl_http_step,
    err: *mut kl_error,
) -> kl_status {
    proceed(http, step, err, &mut |connection, now_ms| {
        // SAFETY: the caller's bytes are there for the time of the call.
        connection.feed(unsafe { text::bytes("bytes", bytes, len)? }, now_ms)
    })
}

/// Time has passed: gives up a request that has not come whole in `timeout_ms` (408, `KL_E_EVENT` with `step`), closes a
/// connection on which nothing came, else `KL_HTTP_ACTION_READ` with the `wait_ms` that is left. Call it before the first read, and
/// whenever nothing came for `wait_ms`. The time is the library's own, of a clock that never goes back. Errors: as
/// `kl_http_feed`.
///
/// Codes: `KL_E_BUSY`, `KL_E_EVENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_http_tick(
    http: *mut kl_http,
    step: *mut *const kl_http_step,
    err: *mut kl_error,
) -> kl_status {
    proceed(http, step, err, &mut Connection::tick)
}

/// Answers the event of `KL_HTTP_ACTION_EVENT`, and says in `step` what to do next: write, then `KL_HTTP_ACTION_READ` or `KL_HTTP_ACTION_CLOSE`.
/// `code` 0 means taken, and nothing else does: after any other, and after a crash or a power cut before this call, the platform
/// comes again and the repetition is no duplicate. **That it is taken is written to the journal, and on the disk when this
/// returns.** `message` and `data_json` as in `kl_event_set_reply`. The answer has the HTTP status
/// that the platform reads (200; Dingshang: 503 if not taken); that to `KL_EVENT_KIND_PAY_PAGE` has no body. An event may wait as
/// long as you like, but the platform does not.
///
/// Errors, with `step` `NULL`: `KL_E_ARGUMENT` if no event waits, or for `data_json` that is no object; the event then still
/// waits.
///
/// Codes: *journal*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_http_reply(
    http: *mut kl_http,
    code: i32,
    message: *const c_char,
    data_json: *const c_char,
    step: *mut *const kl_http_step,
    err: *mut kl_error,
) -> kl_status {
    proceed(http, step, err, &mut |connection, now_ms| {
        // SAFETY: the caller's texts are NULL or terminated, and there for the time of the call.
        let (message, data) =
            unsafe { (text::optional("message", message)?, text::optional("data_json", data_json)?) };
        let usual = if code == 0 { "SUCCESS" } else { "FAIL" };
        connection.reply(code, message.unwrap_or(usual), data, now_ms)
    })
}

/// Frees a connection; the socket is yours to close. An event that waits for its reply was not taken. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_http_free(http: *mut kl_http) {
    end(http);
}
