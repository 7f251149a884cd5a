//! Settings.

use super::error::kl_error;
use super::handle::{self, Handle, HandleKind};
use super::{end, guard, make, text};
use crate::config::Config;
use crate::status::kl_status;
use std::ffi::c_char;
use std::sync::{Mutex, PoisonError};

/// The settings of one account. Opaque; one thread at a time.
pub struct kl_config {
    _private: [u8; 0],
}

pub(super) struct HeldConfig(pub(super) Mutex<Config>);

impl Handle for kl_config {
    const KIND: HandleKind = HandleKind::Config;
    type Held = HeldConfig;
}

/// Starts the settings of an account on a platform, named as in `KL_PLATFORM_*`. End it with `kl_config_free`.
///
/// Codes: `KL_E_PLATFORM_NAME`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_config_new(
    platform: *const c_char,
    out: *mut *mut kl_config,
    err: *mut kl_error,
) -> kl_status {
    make(out, err, || {
        // SAFETY: the caller's texts are NULL or terminated, and there for the time of the call.
        let platform = unsafe { text::need("platform", platform)? };
        Ok(HeldConfig(Mutex::new(Config::new(platform)?)))
    })
}

/// Reads the settings of `account` from a JSON file, `{"accounts": {"NAME": {"platform": "yopoint", …}}}`, with the
/// keys of `kl_config_set`. `account` may be NULL if the file holds one. Relative paths in the file count from its own
/// folder. `KL_E_CONFIG_FILE`, `KL_E_CONFIG_KEY` or `KL_E_CONFIG_VALUE` say what is wrong and where.
///
/// Codes: `KL_E_CONFIG_FILE`, `KL_E_CONFIG_KEY`, `KL_E_CONFIG_VALUE`, `KL_E_PLATFORM_NAME`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_config_load(
    json_path: *const c_char,
    account: *const c_char,
    out: *mut *mut kl_config,
    err: *mut kl_error,
) -> kl_status {
    make(out, err, || {
        // SAFETY: the caller's texts are NULL or terminated, and there for the time of the call.
        let (path, account) =
            unsafe { (text::need("json_path", json_path)?, text::optional("account", account)?) };
        Ok(HeldConfig(Mutex::new(Config::load(path, account)?)))
    })
}

/// Sets one value; the same key again replaces it. Keys are the macros `KL_KEY_*`. A key that the platform does not
/// know is `KL_E_CONFIG_KEY` and the message names the nearest one; a value of the wrong format is `KL_E_CONFIG_VALUE`.
/// The value is copied.
///
/// Codes: `KL_E_CONFIG_KEY`, `KL_E_CONFIG_VALUE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_config_set(
    config: *mut kl_config,
    key: *const c_char,
    value: *const c_char,
    err: *mut kl_error,
) -> kl_status {
    guard(err, || {
        let config = handle::get(config)?;
        // SAFETY: the caller's texts are NULL or terminated, and there for the time of the call.
        let (key, value) = unsafe { (text::need("key", key)?, text::need("value", value)?) };
        config.0.lock().unwrap_or_else(PoisonError::into_inner).set(key, value)
    })
}

/// Frees settings; clients made from them keep their own copy. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_config_free(config: *mut kl_config) {
    end(config);
}
