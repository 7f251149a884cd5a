//! Clients: made, warmed, asked, cancelled, freed.

use super::config::kl_config;
use super::error::kl_error;
use super::handle::{self, Handle, HandleKind};
use super::text::{self, caller_struct};
use super::{Out, fill, give, guard, make, with_client};
use crate::client::Client;
use crate::error::Outcome;
use crate::model::Verb;
use crate::status::*;
use crate::time::clock::Source;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};

/// One account on one platform, or a view of it (`kl_client_view`). Opaque; any number of threads may use it at the same
/// time.
pub struct kl_client {
    _private: [u8; 0],
}

impl Handle for kl_client {
    const KIND: HandleKind = HandleKind::Client;
    type Held = Client;
}

/// Where a client's time comes from: `KL_TIME_SOURCE_*`.
pub type kl_time_source = i32;

/// The time comes from the device's own clock.
pub const KL_TIME_SOURCE_SYSTEM: kl_time_source = 0;
/// The device's clock is unset; the time is the library's build time and certainly too early.
pub const KL_TIME_SOURCE_FLOOR: kl_time_source = 1;
/// The time was handed in with `kl_set_time`.
pub const KL_TIME_SOURCE_FIRMWARE: kl_time_source = 2;
/// The time was learned from the platform.
pub const KL_TIME_SOURCE_PLATFORM: kl_time_source = 3;

/// What a client has done so far, with its views. Yours: `kl_stats stats = KL_STATS_INIT;`. Counts begin at 0 with the client
/// and start again from 0 after 4,294,967,295: what matters is how much they grew.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_stats {
    /// `sizeof(kl_stats)`.
    pub struct_size: u32,
    /// Name lookups that were started.
    pub lookups: u32,
    /// TCP connections that were made.
    pub connects: u32,
    /// TLS handshakes that succeeded.
    pub handshakes: u32,
    /// Those of them that resumed a session.
    pub resumed: u32,
    /// Requests of which at least one byte left.
    pub requests: u32,
    /// Those of them that went over a kept connection.
    pub reused: u32,
    /// What was tried again: reads, tokens, and requests whose kept connection was found dead before a byte was answered.
    pub retries: u32,
    /// Calls that have ended and that went to the platform, or would have: each has a `timeout_ms`.
    pub calls: u32,
    /// How long all of these took together, from entry to answer, in milliseconds: waiting for the journal, retries and pauses
    /// included.
    pub call_ms: u32,
    /// How long the slowest of them took, in milliseconds.
    pub call_max_ms: u32,
    /// How often a function that returns `kl_outcome` returned `KL_DONE`.
    pub done: u32,
    /// How often one returned `KL_NOT_DONE`.
    pub not_done: u32,
    /// How often one returned `KL_UNKNOWN`.
    pub unknown: u32,
    /// Handles that are alive now: of every kind and client, in this process and this copy of the library. A number that only
    /// grows tells of results that are not freed.
    pub handles: u32,
}

/// What a view has of its own: `kl_view_options o = KL_VIEW_OPTIONS_INIT;`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_view_options {
    /// `sizeof(kl_view_options)`.
    pub struct_size: u32,
    /// The most that a call may take, from entry to answer, up to one hour. It counts anew for each call. 0: that of the
    /// client.
    pub timeout_ms: u32,
}

caller_struct!(kl_view_options { struct_size, timeout_ms });
caller_struct!(kl_stats {
    struct_size,
    lookups,
    connects,
    handshakes,
    resumed,
    requests,
    reused,
    retries,
    calls,
    call_ms,
    call_max_ms,
    done,
    not_done,
    unknown,
    handles,
});

/// Makes a client. Checks every setting, reads the CA and certificate files, and looks into the journal whether an earlier
/// client left something to be sent (`send_within_ms`), which a thread then does; else it starts none. Sends nothing itself; works
/// without a network. `config` may be freed afterwards. End it with `kl_client_free`.
///
/// Codes: `KL_E_CONFIG_VALUE`, `KL_E_CONFIG_MISSING`, `KL_E_CONFIG_FILE`, `KL_E_ROOTS`, `KL_E_CLIENT_CERT`,
/// `KL_E_JOURNAL` to `KL_E_STATE_DIR`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_client_new(
    config: *const kl_config,
    out: *mut *mut kl_client,
    err: *mut kl_error,
) -> kl_status {
    make(out, err, || {
        crate::process::check();
        let config = handle::get(config)?;
        let settings = config.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let client = Client::new(&settings)?;
        client.pick_up();
        Ok(client)
    })
}

/// Makes a view of a client: the same account, journal, connections, token and time, with a timeout and a cancel of its
/// own. Every function takes it for a client. So a stock page can be given up without touching a door, and a call be
/// shorter than the others. `options` may be NULL. A view may be made of a view. Sends nothing. End it with
/// `kl_client_free`.
/// A timeout longer than an hour is `KL_E_ARGUMENT`.
///
/// Codes: none of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_client_view(
    client: *mut kl_client,
    options: *const kl_view_options,
    view: *mut *mut kl_client,
    err: *mut kl_error,
) -> kl_status {
    give(client, view, err, |client| {
        let timeout_ms = match options.is_null() {
            true => 0,
            // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
            false => unsafe { text::request("options", options)?.timeout_ms },
        };
        client.view(timeout_ms)
    })
}

/// Frees a client, or a view. Its calls in flight on other threads end with `KL_E_CANCELLED`, its iterators with
/// `KL_E_HANDLE`; what they returned before stays valid. The views made from it answer `KL_E_HANDLE` from now on: free
/// them too, before or after it. What a view was made from goes on. Jobs that wait are not begun; for those that run this
/// waits, if they are of the client and not of a view, for 3 s at most, and not at all inside one of them. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_client_free(client: *mut kl_client) {
    guard(std::ptr::null_mut(), || {
        if let Some(client) = handle::take(client) {
            client.close();
        }
        Ok(())
    });
}

/// Ends every call in flight on this client and on its views with `KL_E_CANCELLED`, from any other thread; given a view,
/// those of that view only, and of views of it. Calls that start later work. A command whose first byte had left is then
/// unknown, as its error says. Waits for nothing; not for signal handlers.
///
/// Codes: none of its own.
#[unsafe(no_mangle)]
pub extern "C" fn kl_client_cancel(client: *mut kl_client, err: *mut kl_error) -> kl_status {
    with_client(client, err, |client| {
        client.cancel();
        Ok(())
    })
}

/// Opens the connection before it is needed, or proves that the open one is alive: the next call is one round trip.
/// Call it when a customer walks up. Blocks up to `timeout_ms`.
///
/// Codes: *network*, *platform*.
#[unsafe(no_mangle)]
pub extern "C" fn kl_client_warm(client: *mut kl_client, err: *mut kl_error) -> kl_status {
    with_client(client, err, Client::warm)
}

/// Asks the platform whether it is there and takes the credentials (Yopoint: `api.test`; Dingshang: `POST /ping`;
/// Youzan: a token; Zhiyun: `authorize`). Tried again inside `timeout_ms` when the network fails.
///
/// Codes: *network*, *platform*.
#[unsafe(no_mangle)]
pub extern "C" fn kl_ping(client: *mut kl_client, err: *mut kl_error) -> kl_status {
    with_client(client, err, Client::ping)
}

/// The time as this client knows it, in Unix seconds (0 if the call fails), and where it comes from (`KL_TIME_SOURCE_*`).
/// Sends nothing. A device without a clock may set its own by it once the source is `KL_TIME_SOURCE_PLATFORM`. `source`
/// may be NULL.
///
/// Codes: none of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_client_time(
    client: *mut kl_client,
    unix_seconds: *mut i64,
    source: *mut kl_time_source,
    err: *mut kl_error,
) -> kl_status {
    let (seconds, from) = (Out::cleared(unix_seconds, 0), Out::cleared(source, KL_TIME_SOURCE_SYSTEM));
    with_client(client, err, |client| {
        seconds.present("unix_seconds")?;
        seconds.write(client.now_ms().div_euclid(1000));
        from.write(match client.time_source() {
            Source::System => KL_TIME_SOURCE_SYSTEM,
            Source::Floor => KL_TIME_SOURCE_FLOOR,
            Source::Firmware => KL_TIME_SOURCE_FIRMWARE,
            Source::Platform => KL_TIME_SOURCE_PLATFORM,
        });
        Ok(())
    })
}

/// Counts of what the client did, how long its calls took, and what became of its acts; for a status page and for tests. Sends
/// nothing.
///
/// Codes: none of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_client_stats(
    client: *mut kl_client,
    out: *mut kl_stats,
    err: *mut kl_error,
) -> kl_status {
    fill(client, out, err, |client, known| {
        let s = client.stats();
        known.lookups = s.lookups;
        known.connects = s.connects;
        known.handshakes = s.handshakes;
        known.resumed = s.resumed;
        known.requests = s.requests;
        known.reused = s.reused;
        let (tally, get) = (client.tally(), |counter: &AtomicU32| counter.load(Ordering::Relaxed));
        known.retries = get(&tally.retries).wrapping_add(s.retried);
        known.calls = get(&tally.calls);
        known.call_ms = get(&tally.call_ms);
        known.call_max_ms = get(&tally.slowest_ms);
        known.done = tally.outcome(Outcome::Done);
        known.not_done = tally.outcome(Outcome::NotDone);
        known.unknown = tally.outcome(Outcome::Unknown);
        known.handles = handle::alive() as u32;
        Ok(())
    })
}

/// A verb, for `kl_client_can`: `KL_VERB_*`, named as the functions are.
pub type kl_verb = i32;

/// `kl_ping`.
pub const KL_VERB_PING: kl_verb = 1;
/// `kl_cabinet_list`, `kl_cabinet_iter_new`.
pub const KL_VERB_CABINET_LIST: kl_verb = 2;
/// `kl_stock_fetch`, `kl_stock_fetch_page`, `kl_stock_iter_new`.
pub const KL_VERB_STOCK_FETCH: kl_verb = 3;
/// `kl_door_open`.
pub const KL_VERB_DOOR_OPEN: kl_verb = 4;
/// `kl_code_redeem`.
pub const KL_VERB_CODE_REDEEM: kl_verb = 5;
/// `kl_code_lookup`.
pub const KL_VERB_CODE_LOOKUP: kl_verb = 6;
/// `kl_code_list`.
pub const KL_VERB_CODE_LIST: kl_verb = 7;
/// `kl_code_create`.
pub const KL_VERB_CODE_CREATE: kl_verb = 8;
/// `kl_code_cancel`.
pub const KL_VERB_CODE_CANCEL: kl_verb = 9;
/// `kl_order_get`.
pub const KL_VERB_ORDER_GET: kl_verb = 10;
/// `kl_order_list`, `kl_order_iter_new`.
pub const KL_VERB_ORDER_LIST: kl_verb = 11;
/// `kl_order_create`.
pub const KL_VERB_ORDER_CREATE: kl_verb = 12;
/// `kl_payment_report`.
pub const KL_VERB_PAYMENT_REPORT: kl_verb = 13;
/// `kl_refund_apply`.
pub const KL_VERB_REFUND_APPLY: kl_verb = 14;
/// `kl_appeal_file`.
pub const KL_VERB_APPEAL_FILE: kl_verb = 15;
/// `kl_user_get`.
pub const KL_VERB_USER_GET: kl_verb = 16;
/// `kl_company_get`.
pub const KL_VERB_COMPANY_GET: kl_verb = 17;
/// `kl_event_parse`.
pub const KL_VERB_EVENT_PARSE: kl_verb = 18;
/// `kl_call`.
pub const KL_VERB_CALL: kl_verb = 19;

/// Whether the client's platform has such a call: 1, or 0 (also for what is no client or no verb). The others answer
/// `KL_E_UNSUPPORTED`. Sends nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_client_can(client: *mut kl_client, verb: kl_verb) -> i32 {
    let verb = Verb::all().into_iter().find(|known| *known as i32 == verb);
    let mut can = false;
    with_client(client, std::ptr::null_mut(), |client| {
        can = verb.is_some_and(|verb| client.can(verb));
        Ok(())
    });
    can.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_model() {
        let all = [
            KL_VERB_PING,
            KL_VERB_CABINET_LIST,
            KL_VERB_STOCK_FETCH,
            KL_VERB_DOOR_OPEN,
            KL_VERB_CODE_REDEEM,
            KL_VERB_CODE_LOOKUP,
            KL_VERB_CODE_LIST,
            KL_VERB_CODE_CREATE,
            KL_VERB_CODE_CANCEL,
            KL_VERB_ORDER_GET,
            KL_VERB_ORDER_LIST,
            KL_VERB_ORDER_CREATE,
            KL_VERB_PAYMENT_REPORT,
            KL_VERB_REFUND_APPLY,
            KL_VERB_APPEAL_FILE,
            KL_VERB_USER_GET,
            KL_VERB_COMPANY_GET,
            KL_VERB_EVENT_PARSE,
            KL_VERB_CALL,
        ];
        assert_eq!(all, Verb::all().map(|verb| verb as i32));
        assert!(all.iter().enumerate().all(|(n, verb)| n as i32 + 1 == *verb));
    }
}
