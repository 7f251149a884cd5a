//! Everything that has no verb of its own.

use super::client::kl_client;
use super::error::kl_error;
use super::handle::{self, Held};
use super::{guard, text, with_client};
use crate::error::Result;
use crate::status::kl_status;
use std::ffi::{CString, c_char};

/// What a platform answered, as JSON. Opaque.
pub struct kl_response {
    _private: [u8; 0],
}

struct HeldResponse(CString);

impl Held for HeldResponse {
    const KIND: u32 = 3;
    const NAME: &'static str = "response";
}

/// Makes the result of a call whose answer is JSON.
pub(super) unsafe fn respond(json: String, out: *mut *mut kl_response) -> Result<()> {
    // JSON text holds no NUL byte.
    let handle = handle::put(HeldResponse(CString::new(json).unwrap_or_default()))?;
    // SAFETY: the caller cleared it, so it is not NULL.
    unsafe { out.write(handle.cast()) };
    Ok(())
}

/// Makes any call of the platform by its own name, with its own parameters as a JSON object, sent exactly as given;
/// NULL or `""` sends none. The envelope is checked; `kl_response_json` is the platform's `data`.
///
/// Yopoint: `cabinet.order.list`. Dingshang: `POST /products`, the method and the path below `/api/openapi/v1`; the
/// parameters are sent as texts, signed and wrapped (for `POST /orders` as they are).
///
/// Calls that are known to only read are tried again when the network fails; all others are sent once, and the error's
/// outcome says what became of them. A command that has a verb of its own is refused (`KL_E_ARGUMENT`), because only the
/// verb guards it. End the result with `kl_response_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_call(
    client: *mut kl_client,
    method: *const c_char,
    params_json: *const c_char,
    out: *mut *mut kl_response,
    err: *mut kl_error,
) -> kl_status {
    // SAFETY: conventions, rule 3: NULL or writable.
    unsafe { text::reset(out) };
    with_client(client, err, |client| {
        // SAFETY: conventions, rule 2: NULL or valid for the call.
        unsafe {
            text::clear("out", out)?;
            let method = text::need("method", method)?;
            let params = text::optional("params_json", params_json)?.unwrap_or("");
            respond(client.call(method, params)?, out)
        }
    })
}

/// The platform's `data` as JSON text; `"null"` if it sent none. Borrowed from the response. NULL if this is no
/// response.
#[unsafe(no_mangle)]
pub extern "C" fn kl_response_json(response: *const kl_response) -> *const c_char {
    let mut text = std::ptr::null();
    guard(std::ptr::null_mut(), || {
        text = handle::get::<HeldResponse>(response.cast())?.0.as_ptr();
        Ok(())
    });
    text
}

/// Frees a response. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_response_free(response: *mut kl_response) {
    guard(std::ptr::null_mut(), || {
        handle::free::<HeldResponse>(response.cast());
        Ok(())
    });
}
