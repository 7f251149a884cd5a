//! Everything that has no verb of its own.

use super::client::kl_client;
use super::error::{kl_error, kl_outcome};
use super::handle::{Handle, HandleKind};
use super::{Name, act, end, look, text};
use std::ffi::{CString, c_char};

/// What a platform answered, as JSON. Opaque.
pub struct kl_response {
    _private: [u8; 0],
}

pub(super) struct HeldResponse(CString);

impl Handle for kl_response {
    const KIND: HandleKind = HandleKind::Response;
    type Held = HeldResponse;
}

/// The result of a call whose answer is JSON.
pub(super) fn respond(json: String) -> HeldResponse {
    // JSON text holds no NUL byte.
    HeldResponse(CString::new(json).unwrap_or_default())
}

/// Makes any call of the platform by its own name, with its own parameters as a JSON object, sent exactly as given;
/// NULL or `""` sends none. The envelope is checked; `kl_response_json` is the platform's `data`.
///
/// Yopoint: `cabinet.order.list`. Dingshang: `POST /products`, the method and the path below `/api/openapi/v1`; the
/// parameters are sent as texts, signed and wrapped (for `POST /orders` as they are).
///
/// Calls that are known to only read are tried again when the network fails, and answer `KL_DONE` or `KL_NOT_DONE`; all
/// others are sent once, and `KL_UNKNOWN` says that they may have happened. A command that has a verb of its own is
/// refused (`KL_E_ARGUMENT`), because only the verb guards it. End the result with `kl_response_free`.
///
/// Codes: *network*, *platform*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_call(
    client: *mut kl_client,
    method: *const c_char,
    params_json: *const c_char,
    out: *mut *mut kl_response,
    err: *mut kl_error,
) -> kl_outcome {
    act(client, out, err, Name::None, |client| {
        // SAFETY: the caller's texts are NULL or terminated, and there for the time of the call.
        unsafe {
            let method = text::need("method", method)?;
            let params = text::optional("params_json", params_json)?.unwrap_or("");
            client.call(method, params).map(respond)
        }
    })
}

/// The platform's `data` as JSON text; `"null"` if it sent none. Borrowed from the response. NULL if this is no
/// response.
#[unsafe(no_mangle)]
pub extern "C" fn kl_response_json(response: *const kl_response) -> *const c_char {
    look(response, std::ptr::null(), |response| response.0.as_ptr())
}

/// Frees a response. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_response_free(response: *mut kl_response) {
    end(response);
}
