//! Clients: made, warmed, asked, cancelled, freed.

use super::config::{HeldConfig, kl_config};
use super::error::kl_error;
use super::handle::{self, Held};
use super::{guard, text, with_client};
use crate::client::Client;
use crate::clock::Source;
use crate::error::Error;
use crate::status::*;
use std::sync::PoisonError;

/// One account on one platform. Opaque; any number of threads may use it at the same time.
pub struct kl_client {
    _private: [u8; 0],
}

impl Held for Client {
    const KIND: u32 = 2;
    const NAME: &'static str = "client";
}

/// The time comes from the device's own clock.
pub const KL_TIME_SYSTEM: i32 = 0;
/// The device's clock is unset; the time is the library's build time and certainly too early.
pub const KL_TIME_FLOOR: i32 = 1;
/// The time was handed in with `kl_set_time`.
pub const KL_TIME_FIRMWARE: i32 = 2;
/// The time was learned from the platform.
pub const KL_TIME_PLATFORM: i32 = 3;

/// What the network layer of a client has done so far. Yours: `kl_stats stats = KL_STATS_INIT;`.
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
}

/// Makes a client. Checks every setting, reads the CA and certificate files, sends nothing and starts no thread; works
/// without a network. `config` may be freed afterwards. End it with `kl_client_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_client_new(
    config: *const kl_config,
    out: *mut *mut kl_client,
    err: *mut kl_error,
) -> kl_status {
    guard(err, || {
        // SAFETY: conventions, rule 2: NULL or valid for the call.
        unsafe { text::clear("out", out)? };
        crate::process::check();
        let config = handle::get::<HeldConfig>(config.cast())?;
        let settings = config.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let handle = handle::put(Client::new(&settings)?)?;
        // SAFETY: `clear` found it not NULL.
        unsafe { out.write(handle.cast()) };
        Ok(())
    })
}

/// Frees a client. Its calls in flight on other threads end with `KL_E_CANCELLED`, its iterators with `KL_E_HANDLE`; what
/// they returned before stays valid. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_client_free(client: *mut kl_client) {
    guard(std::ptr::null_mut(), || {
        if let Some(client) = handle::take::<Client>(client.cast()) {
            client.close();
        }
        Ok(())
    });
}

/// Ends every call in flight on this client with `KL_E_CANCELLED`, from any other thread. Calls that start later work.
/// A command whose first byte had left is then unknown, as its error says.
#[unsafe(no_mangle)]
pub extern "C" fn kl_client_cancel(client: *mut kl_client, err: *mut kl_error) -> kl_status {
    guard(err, || {
        crate::process::check();
        handle::get::<Client>(client.cast())?.cancel();
        Ok(())
    })
}

/// Opens the connection before it is needed, or proves that the open one is alive: the next call is one round trip.
/// Call it when a customer walks up. Blocks up to `timeout_ms`.
#[unsafe(no_mangle)]
pub extern "C" fn kl_client_warm(client: *mut kl_client, err: *mut kl_error) -> kl_status {
    with_client(client, err, Client::warm)
}

/// Asks the platform whether it is there and takes the credentials (Yopoint: `api.test`; Youzan: a token;
/// Zhiyun: `authorize`). Tried again inside
/// `timeout_ms` when the network fails.
#[unsafe(no_mangle)]
pub extern "C" fn kl_ping(client: *mut kl_client, err: *mut kl_error) -> kl_status {
    with_client(client, err, Client::ping)
}

/// The time as this client knows it, in Unix seconds, and where it comes from (`KL_TIME_*`). Sends nothing. A device
/// without a clock may set its own by it once the source is `KL_TIME_PLATFORM`. `source` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_client_time(
    client: *mut kl_client,
    unix_seconds: *mut i64,
    source: *mut i32,
    err: *mut kl_error,
) -> kl_status {
    with_client(client, err, |client| {
        if unix_seconds.is_null() {
            return Err(Error::new(KL_E_NULL, "unix_seconds is NULL"));
        }
        // SAFETY: not NULL, writable by the caller's promise (conventions, rule 2).
        unsafe { unix_seconds.write(client.now_ms().div_euclid(1000)) };
        if !source.is_null() {
            let number = match client.time_source() {
                Source::System => KL_TIME_SYSTEM,
                Source::Floor => KL_TIME_FLOOR,
                Source::Firmware => KL_TIME_FIRMWARE,
                Source::Platform => KL_TIME_PLATFORM,
            };
            // SAFETY: as above.
            unsafe { source.write(number) };
        }
        Ok(())
    })
}

/// Counts of what the network layer did, for a status page and for tests. Sends nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_client_stats(
    client: *mut kl_client,
    out: *mut kl_stats,
    err: *mut kl_error,
) -> kl_status {
    with_client(client, err, |client| {
        // SAFETY: conventions, rules 2 and 6.
        let mut known: kl_stats = unsafe { text::request("out", out.cast_const())? };
        let s = client.stats();
        known.lookups = s.lookups;
        known.connects = s.connects;
        known.handshakes = s.handshakes;
        known.resumed = s.resumed;
        known.requests = s.requests;
        known.reused = s.reused;
        // SAFETY: `request` found it not NULL; never more than the caller's size is written.
        unsafe { text::store(&known, out, known.struct_size as usize) };
        Ok(())
    })
}
