//! Pickup codes: looked up, listed, made, cancelled. They are redeemed in `command.rs`.

use super::call::{kl_response, respond};
use super::client::kl_client;
use super::command::{code_kind, kl_code_kind};
use super::error::{kl_error, kl_outcome};
use super::handle::{Handle, HandleKind};
use super::read::{Kept, List, Show, kl_order};
use super::text::{self, caller_struct};
use super::{Name, act, end, give};
use crate::error::Result;
use crate::model::{CodeCancel, CodeCreate, CodeQuery, PickupCode};
use crate::status::kl_status;
use std::ffi::c_char;

/// The state of a pickup code: `KL_CODE_STATE_*`.
pub type kl_code_state = i32;

/// The platform does not say.
pub const KL_CODE_STATE_UNKNOWN: kl_code_state = 0;
/// It can be redeemed.
pub const KL_CODE_STATE_UNUSED: kl_code_state = 1;
/// It was redeemed.
pub const KL_CODE_STATE_USED: kl_code_state = 2;
/// It has expired.
pub const KL_CODE_STATE_EXPIRED: kl_code_state = 3;
/// A refund is in progress.
pub const KL_CODE_STATE_REFUNDING: kl_code_state = 4;
/// It is disabled.
pub const KL_CODE_STATE_DISABLED: kl_code_state = 5;

/// A pickup code. Texts are never NULL, and empty where the platform does not say.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_pickup_code {
    /// The text that the customer types.
    pub code: *const c_char,
    /// The platform's id of it, by which it is cancelled.
    pub id: *const c_char,
    /// The cabinet.
    pub cabinet_id: *const c_char,
    /// The goods.
    pub product_id: *const c_char,
    /// The order behind it.
    pub order_no: *const c_char,
    /// The state in the platform's own word.
    pub state_text: *const c_char,
    /// The platform's own record as JSON.
    pub json: *const c_char,
    /// The order's fields, where the platform sends them along, else NULL.
    pub order: *const kl_order,
    /// When it was made, Unix seconds; 0 if unknown.
    pub created_at: i64,
    /// When it ends, Unix seconds; 0 for never or unknown.
    pub expires_at: i64,
    /// When it was used, Unix seconds; 0 if not, or unknown.
    pub used_at: i64,
    /// What it is for: `KL_CODE_KIND_*`.
    pub kind: kl_code_kind,
    /// What state it is in: `KL_CODE_STATE_*`.
    pub state: kl_code_state,
    /// How many items it is good for; -1 if unknown.
    pub quantity: i32,
}

/// Which codes: `kl_code_query q = KL_CODE_QUERY_INIT;`. Texts may be NULL where the platform does not ask for them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_code_query {
    /// `sizeof` this struct.
    pub struct_size: u32,
    /// What the code is for: `KL_CODE_KIND_*`.
    pub kind: kl_code_kind,
    /// The code itself, for `kl_code_lookup`.
    pub code: *const c_char,
    /// The cabinet (Dingshang).
    pub cabinet_id: *const c_char,
    /// The goods (Dingshang lists by goods).
    pub product_id: *const c_char,
    /// More parameters, a JSON object.
    pub extra_json: *const c_char,
}

/// Codes to be made: `kl_code_create_request r = KL_CODE_CREATE_REQUEST_INIT;`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_code_create_request {
    /// `sizeof` this struct.
    pub struct_size: u32,
    /// How many; 0 for one.
    pub count: u32,
    /// How many digits; 0 for the platform's default (Dingshang: 6; 6 to 10).
    pub length: u32,
    /// 0.
    pub reserved: u32,
    /// When they end, Unix seconds; 0 for never.
    pub expires_at: i64,
    /// The cabinet.
    pub cabinet_id: *const c_char,
    /// The goods; NULL for one code for each of the cabinet's goods.
    pub product_id: *const c_char,
    /// More parameters, a JSON object; may be NULL.
    pub extra_json: *const c_char,
}

/// Codes to be cancelled: `kl_code_cancel_request r = KL_CODE_CANCEL_REQUEST_INIT;`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_code_cancel_request {
    /// `sizeof` this struct.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// The cabinet.
    pub cabinet_id: *const c_char,
    /// The id of one code; NULL for all of the cabinet.
    pub id: *const c_char,
    /// More parameters, a JSON object; may be NULL.
    pub extra_json: *const c_char,
}

caller_struct!(kl_code_query { struct_size, kind, code, cabinet_id, product_id, extra_json });
caller_struct!(kl_code_create_request {
    struct_size,
    count,
    length,
    reserved,
    expires_at,
    cabinet_id,
    product_id,
    extra_json,
});
caller_struct!(kl_code_cancel_request { struct_size, reserved, cabinet_id, id, extra_json });

/// A list of pickup codes. Opaque.
pub struct kl_codes {
    _private: [u8; 0],
}

impl Handle for kl_codes {
    const KIND: HandleKind = HandleKind::Codes;
    type Held = List<kl_pickup_code>;
}

impl Show for PickupCode {
    type Shown = kl_pickup_code;
    fn show(&self, kept: &mut Kept) -> kl_pickup_code {
        kl_pickup_code {
            code: kept.text(&self.code),
            id: kept.text(&self.id),
            cabinet_id: kept.text(&self.cabinet_id),
            product_id: kept.text(&self.product_id),
            order_no: kept.text(&self.order_no),
            state_text: kept.text(&self.state_text),
            json: kept.text(&self.json),
            order: kept.order(self.order.as_deref()),
            created_at: self.created_at,
            expires_at: self.expires_at,
            used_at: self.used_at,
            kind: self.kind as i32,
            state: self.state as i32,
            quantity: self.quantity,
        }
    }
}

/// # Safety
/// `query` is NULL or as many readable bytes as its first field says, and each text in it is NULL or terminated.
unsafe fn query(query: *const kl_code_query) -> Result<CodeQuery> {
    // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
    unsafe {
        let q = text::request("query", query)?;
        Ok(CodeQuery {
            kind: code_kind(q.kind)?,
            code: text::owned("code", q.code)?,
            cabinet_id: text::owned("cabinet_id", q.cabinet_id)?,
            product_id: text::owned("product_id", q.product_id)?,
            extra_json: text::optional("extra_json", q.extra_json)?.map(str::to_owned),
        })
    }
}

/// Looks a code up without using it, as a list of one (Yopoint: `activity.vouchercode.get`, `activity.voucher.get`;
/// Dingshang: by `POST /products/{id}/pickup_code`, which finds only codes that can still be used; Youzan:
/// `trade.selffetchcode.get` and its like). `KL_E_NOT_FOUND` if there is no such code. It does not settle an *unknown*
/// redemption: `kl_command_resolve` does. Tried again inside `timeout_ms` when the network fails. End the result with `kl_codes_free`.
///
/// Codes: *network*, *platform*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_code_lookup(
    client: *mut kl_client,
    query: *const kl_code_query,
    out: *mut *mut kl_codes,
    err: *mut kl_error,
) -> kl_status {
    give(client, out, err, |client| {
        // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
        unsafe {
            let query = self::query(query)?;
            Ok(List::these(&[client.code_lookup(&query)?]))
        }
    })
}

/// The codes of some goods that can still be used (Dingshang: `POST /products/{id}/pickup_code`). Tried again inside
/// `timeout_ms` when the network fails. End the result with `kl_codes_free`.
///
/// Codes: *network*, *platform*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_code_list(
    client: *mut kl_client,
    query: *const kl_code_query,
    out: *mut *mut kl_codes,
    err: *mut kl_error,
) -> kl_status {
    give(client, out, err, |client| {
        // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
        unsafe {
            let query = self::query(query)?;
            Ok(List::these(&client.code_list(&query)?.items))
        }
    })
}

/// Makes codes and gives exactly the new ones (Dingshang: `POST /pickup_codes`, whose own answer is empty: the codes are
/// listed before and after, each step within `timeout_ms`, and one creation at a time for each cabinet; another one waits,
/// and ends with `KL_E_BUSY`). Sent at most once: if the answer is lost but the list shows the new codes, that is `KL_DONE`;
/// after *unknown* list the codes before you make more. Codes that another program makes for the same goods at the same
/// moment cannot always be told apart; then the outcome is *unknown* too. End the result with `kl_codes_free`.
///
/// Codes: `KL_E_BUSY`, *network*, *platform*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_code_create(
    client: *mut kl_client,
    request: *const kl_code_create_request,
    out: *mut *mut kl_codes,
    err: *mut kl_error,
) -> kl_outcome {
    act(client, out, err, Name::None, |client| {
        // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
        unsafe {
            let r = text::request("request", request)?;
            let create = CodeCreate {
                cabinet_id: text::need("cabinet_id", r.cabinet_id)?.to_owned(),
                product_id: text::owned("product_id", r.product_id)?,
                count: r.count,
                length: r.length,
                expires_at: r.expires_at,
                extra_json: text::optional("extra_json", r.extra_json)?.map(str::to_owned),
            };
            let kept = Kept::reserved()?;
            Ok(List::kept(&client.code_create(&create)?, kept))
        }
    })
}

/// Cancels one code, or all of a cabinet (Dingshang: `PUT /pickup_codes`; the codes are deleted, so that cancelling twice
/// answers `KL_E_NOT_FOUND`). Sent at most once. End the result with
/// `kl_response_free`.
///
/// Codes: *network*, *platform*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_code_cancel(
    client: *mut kl_client,
    request: *const kl_code_cancel_request,
    out: *mut *mut kl_response,
    err: *mut kl_error,
) -> kl_outcome {
    act(client, out, err, Name::None, |client| {
        // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
        unsafe {
            let r = text::request("request", request)?;
            let cancel = CodeCancel {
                cabinet_id: text::need("cabinet_id", r.cabinet_id)?.to_owned(),
                id: text::owned("id", r.id)?,
                extra_json: text::optional("extra_json", r.extra_json)?.map(str::to_owned),
            };
            client.code_cancel(&cancel).map(respond)
        }
    })
}

/// How many codes the list holds; 0 if the handle is not a list.
#[unsafe(no_mangle)]
pub extern "C" fn kl_codes_count(list: *const kl_codes) -> usize {
    List::count(list)
}

/// A code of the list; NULL if `index` is not below the count. Borrowed from the list.
#[unsafe(no_mangle)]
pub extern "C" fn kl_codes_at(list: *const kl_codes, index: usize) -> *const kl_pickup_code {
    List::at(list, index)
}

/// Frees a list. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_codes_free(list: *mut kl_codes) {
    end(list);
}

#[cfg(test)]
mod tests {
    use super::super::command::*;
    use super::*;
    use crate::model::{CodeKind, CodeState};

    #[test]
    fn the_numbers_are_those_of_the_model() {
        let pairs = [
            (CodeKind::Pickup as i32, KL_CODE_KIND_PICKUP),
            (CodeKind::Virtual as i32, KL_CODE_KIND_VIRTUAL),
            (CodeKind::Voucher as i32, KL_CODE_KIND_VOUCHER),
            (CodeState::Unknown as i32, KL_CODE_STATE_UNKNOWN),
            (CodeState::Unused as i32, KL_CODE_STATE_UNUSED),
            (CodeState::Used as i32, KL_CODE_STATE_USED),
            (CodeState::Expired as i32, KL_CODE_STATE_EXPIRED),
            (CodeState::Refunding as i32, KL_CODE_STATE_REFUNDING),
            (CodeState::Disabled as i32, KL_CODE_STATE_DISABLED),
        ];
        for (model, c) in pairs {
            assert_eq!(model, c);
        }
    }
}
