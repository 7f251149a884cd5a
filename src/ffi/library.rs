//! The library itself: versions, names, the log, a trusted time.

use super::error::kl_error;
use super::guard;
use crate::error::Error;
use crate::log::{self, Level};
use crate::status::*;
use crate::sys::Published;
use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;

/// The number of this header's ABI. It moves when a program built with an older header would break.
pub const KL_ABI_VERSION: u32 = 1;

/// The version of this header as a number that grows: 10000 * major + 100 * minor + patch.
pub const KL_VERSION_NUMBER: u32 = 200;

/// How much is logged, and how grave a line is: `KL_LOG_LEVEL_*`.
pub type kl_log_level = i32;

/// Nothing is logged.
pub const KL_LOG_LEVEL_OFF: kl_log_level = 0;
/// Something failed and needs attention.
pub const KL_LOG_LEVEL_ERROR: kl_log_level = 1;
/// Something is odd but was dealt with.
pub const KL_LOG_LEVEL_WARN: kl_log_level = 2;
/// Nothing is wrong, but worth a line: a callback came, a token was renewed.
pub const KL_LOG_LEVEL_INFO: kl_log_level = 3;
/// Connections, lookups, handshakes.
pub const KL_LOG_LEVEL_DEBUG: kl_log_level = 4;

/// The library's version, `"0.2.0"`. Static; never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn kl_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The ABI that the library was built with. A program compares it with its header's `KL_ABI_VERSION` at start.
#[unsafe(no_mangle)]
pub extern "C" fn kl_abi_version() -> u32 {
    KL_ABI_VERSION
}

/// What was built, in one line: version, ABI, target, time. For a log or a support call. Static; never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn kl_build_info() -> *const c_char {
    static INFO: Published<CString> = Published::nothing();
    INFO.get_or(|| {
        let built = crate::time::clock::format_time(crate::time::clock::BUILD_TIME);
        let line = format!(
            "kiosklink {} abi {KL_ABI_VERSION} {} {} built {built}",
            env!("CARGO_PKG_VERSION"),
            env!("KIOSKLINK_TARGET"),
            env!("KIOSKLINK_PROFILE"),
        );
        CString::new(line).unwrap_or_default()
    })
    .as_ptr()
}

/// The name of a status, `"KL_E_TIMEOUT_DNS"`; `"KL_E_?"` for a number that this version does not know. Static; never
/// NULL.
#[unsafe(no_mangle)]
pub extern "C" fn kl_status_name(status: kl_status) -> *const c_char {
    static NAMES: Published<Vec<(kl_status, CString)>> = Published::nothing();
    let names = NAMES
        .get_or(|| ALL.iter().map(|(code, name)| (*code, CString::new(*name).unwrap_or_default())).collect());
    names.iter().find(|(code, _)| *code == status).map_or(c"KL_E_?".as_ptr(), |(_, name)| name.as_ptr())
}

/// Takes one line of the log: UTF-8, terminated, without a newline, without a secret; yours only for the time of the
/// call. `level` is `KL_LOG_LEVEL_*`. Called from whichever thread makes a call, from several at a time, and must not call
/// kiosklink.
pub type kl_log_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, level: kl_log_level, line: *const c_char)>;

/// Sends log lines up to `level` to `callback`; NULL ends that. `user` is handed back with each line. When this
/// returns, no line is being delivered to the callback that was set before, so what it uses may be freed. Any thread,
/// but not from inside the callback (`KL_E_BUSY`).
///
/// Codes: `KL_E_BUSY`.
#[unsafe(no_mangle)]
pub extern "C" fn kl_set_log(
    level: kl_log_level,
    callback: kl_log_fn,
    user: *mut c_void,
    err: *mut kl_error,
) -> kl_status {
    guard(err, || {
        if !(KL_LOG_LEVEL_OFF..=KL_LOG_LEVEL_DEBUG).contains(&level) {
            return Err(Error::new(KL_E_ARGUMENT, "level must be one of KL_LOG_LEVEL_*"));
        }
        struct User(*mut c_void);
        // SAFETY: only handed back to the caller's own callback, which by contract takes lines from any thread.
        unsafe impl Send for User {}
        // SAFETY: shared, it is only read, and handed back as it came.
        unsafe impl Sync for User {}
        let user = User(user);
        let sink = callback.map(|callback| -> log::Sink {
            Arc::new(move |level: Level, line: &str| {
                let user = &user;
                let line = CString::new(line.replace('\0', " ")).unwrap_or_default();
                // SAFETY: the callback is valid until it is replaced, and log::set waits for running lines.
                unsafe { callback(user.0, level as i32, line.as_ptr()) }
            })
        });
        if log::set(level, sink) {
            Ok(())
        } else {
            Err(Error::new(KL_E_BUSY, "called from inside the log callback"))
        }
    })
}

/// Hands in a time that the firmware trusts more than the device's clock (GPS, modem, NTP), in Unix seconds. From
/// then on certificates are checked by it, advanced by the monotonic clock, and requests are signed by it unless a
/// platform refuses it. 0 forgets it. For the whole process, from any thread. `KL_E_ARGUMENT` for a time
/// before this library was built or half a century after.
///
/// Codes: none of its own.
#[unsafe(no_mangle)]
pub extern "C" fn kl_set_time(unix_seconds: i64, err: *mut kl_error) -> kl_status {
    guard(err, || crate::time::clock::set_time(unix_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_the_version() {
        let part = |text: &str| text.parse::<u32>().unwrap();
        let number = part(env!("CARGO_PKG_VERSION_MAJOR")) * 10_000
            + part(env!("CARGO_PKG_VERSION_MINOR")) * 100
            + part(env!("CARGO_PKG_VERSION_PATCH"));
        assert_eq!(KL_VERSION_NUMBER, number);
    }
}
