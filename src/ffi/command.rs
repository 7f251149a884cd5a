//! Commands: acts that cannot be undone, each sent at most once for its `request_id`.

use super::client::kl_client;
use super::error::{kl_error, mark_done};
use super::handle::{self, Held};
use super::text::{self, Arena};
use super::{guard, with_client_write};
use crate::command::Command;
use crate::error::{Error, Outcome, Result};
use crate::model::{CodeKind, DoorRequest, RedeemRequest};
use crate::status::*;
use std::ffi::c_char;

/// A command that the platform took. Opaque.
pub struct kl_command {
    _private: [u8; 0],
}

/// What is known of a command. Lives as long as its `kl_command`; texts are never NULL.
#[repr(C)]
pub struct kl_command_info {
    /// Your name for it.
    pub request_id: *const c_char,
    /// The platform's order that it made or belongs to.
    pub order_no: *const c_char,
    /// The item of that order that can be dispensed, where the platform numbers them (Dingshang: `record_id`).
    pub item_no: *const c_char,
    /// The number by which a delivery can be asked for (Dingshang: `delivery_id`).
    pub delivery_no: *const c_char,
    /// Where the payment of that order must be reported (`kl_payment_report`); empty if the platform gave none.
    pub notify_url: *const c_char,
    /// The platform's `data` as JSON.
    pub json: *const c_char,
    /// 1 if this was answered from memory and nothing was sent this time.
    pub recorded: i32,
}

struct HeldCommand {
    info: kl_command_info,
    _texts: Arena,
}

// SAFETY: the pointers lead into the arena beside them, which is never changed again.
unsafe impl Send for HeldCommand {}
// SAFETY: as above.
unsafe impl Sync for HeldCommand {}

impl Held for HeldCommand {
    const KIND: u32 = 4;
    const NAME: &'static str = "command";
}

/// A door to be opened: `kl_door_request r = KL_DOOR_REQUEST_INIT;`. Texts may be NULL but for the first two.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_door_request {
    /// `sizeof` this struct.
    pub struct_size: u32,
    /// Not to be sent later than this after the call, in milliseconds; 0 for the setting `command_ttl_ms`.
    pub ttl_ms: u32,
    /// Your name for this customer's action, 1 to 128 bytes. Make it before the first try and keep it: under the same
    /// name the door opens at most once.
    pub request_id: *const c_char,
    /// The cabinet.
    pub cabinet_id: *const c_char,
    /// Which door, where the platform knows doors (Dingshang: a lane by its name, `A21`; a test that belongs to no order).
    pub door: *const c_char,
    /// The customer, where the platform wants to know (Yopoint: sent as `OpenID`, inferred).
    pub user_id: *const c_char,
    /// Your own order or trade number, where the platform keeps one (Yopoint: sent as `TradeNo`, inferred). Dingshang: the
    /// platform's number of the order, with `item_no`.
    pub order_no: *const c_char,
    /// The item of the order, where the platform dispenses by it (Dingshang: `record_id`; not Yopoint).
    pub item_no: *const c_char,
    /// Where the platform shall report, where it can be told (Dingshang: needed with a lane; an order has its own already.
    /// Not Yopoint).
    pub notify_url: *const c_char,
    /// More parameters for the platform, a JSON object.
    pub extra_json: *const c_char,
}

unsafe fn give(command: Command, out: *mut *mut kl_command) -> Result<()> {
    let mut texts = Arena::default();
    let info = kl_command_info {
        request_id: texts.keep(&command.request_id),
        order_no: texts.keep(&command.receipt.order_no),
        item_no: texts.keep(&command.receipt.item_no),
        delivery_no: texts.keep(&command.receipt.delivery_no),
        notify_url: texts.keep(&command.receipt.notify_url),
        json: texts.keep(&command.receipt.json),
        recorded: command.recorded.into(),
    };
    // The command is done even if there is no room to say so.
    let handle = handle::put(HeldCommand { info, _texts: texts })
        .map_err(|e| e.with(|d| d.outcome = Outcome::Done))?;
    // SAFETY: passed on from the caller.
    unsafe { out.write(handle.cast()) };
    Ok(())
}

/// Opens a door (Yopoint: `cabinet.open.door`). `KL_OK` means *done*: the platform took the command; that the bolt
/// moved is told later, by `KL_EVENT_DOOR_CLOSED` or the order. Otherwise `outcome` in the error says whether it is
/// *not done* (safe to try again) or *unknown* (it may have opened: nothing will ever be sent again under this
/// `request_id`; the same call answers `KL_E_UNSETTLED`). The same `request_id` after *done* gives the recorded answer.
/// Sent at most once, over a fresh connection or one proven alive, never later than `ttl_ms`. Dingshang: dispenses the
/// item `item_no` of the order `order_no` (`POST /deliveries`), or, as a test, what the lane `door` holds
/// (`POST /deliveries/debug`); what came of it is in the order after 120 s at the latest, and comes as
/// `KL_EVENT_DELIVERY`. End the result with `kl_command_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_door_open(
    client: *mut kl_client,
    request: *const kl_door_request,
    out: *mut *mut kl_command,
    err: *mut kl_error,
) -> kl_status {
    // SAFETY: conventions, rule 3: NULL or writable.
    unsafe { text::reset(out) };
    let status = with_client_write(client, err, |client| {
        // SAFETY: conventions, rules 2 and 6.
        let request = unsafe {
            text::clear("out", out)?;
            let r = text::request("request", request)?;
            DoorRequest {
                request_id: text::need("request_id", r.request_id)?.to_owned(),
                cabinet_id: text::need("cabinet_id", r.cabinet_id)?.to_owned(),
                door: text::owned("door", r.door)?,
                user_id: text::owned("user_id", r.user_id)?,
                order_no: text::owned("order_no", r.order_no)?,
                item_no: text::owned("item_no", r.item_no)?,
                notify_url: text::owned("notify_url", r.notify_url)?,
                ttl_ms: r.ttl_ms,
                extra_json: text::optional("extra_json", r.extra_json)?.map(str::to_owned),
            }
        };
        // SAFETY: `clear` found it not NULL.
        unsafe { give(client.door_open(&request)?, out) }
    });
    if status == KL_OK {
        mark_done(err);
    }
    status
}

/// The platform's usual kind of code (Dingshang: a pickup code; Youzan: a self-fetch code).
pub const KL_CODE_PICKUP: i32 = 0;
/// Youzan: a code for virtual goods.
pub const KL_CODE_VIRTUAL: i32 = 1;
/// Youzan: an e-voucher.
pub const KL_CODE_VOUCHER: i32 = 2;

/// A code to be redeemed: `kl_redeem_request r = KL_REDEEM_REQUEST_INIT;`. Texts may be NULL but for the first two.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_redeem_request {
    /// `sizeof` this struct.
    pub struct_size: u32,
    /// Not to be sent later than this after the call, in milliseconds; 0 for the setting `command_ttl_ms`.
    pub ttl_ms: u32,
    /// Your name for this customer's action, 1 to 128 bytes; under the same name a code is redeemed at most once.
    pub request_id: *const c_char,
    /// The code that the customer typed.
    pub code: *const c_char,
    /// The cabinet, where the platform asks for it (Dingshang).
    pub cabinet_id: *const c_char,
    /// The goods of the code, where the platform asks for them (Dingshang).
    pub product_id: *const c_char,
    /// Your own order number, where the platform keeps one (Dingshang: `trade_id`, 20 to 32 characters); NULL to have one
    /// made from `request_id`.
    pub trade_no: *const c_char,
    /// Where the platform shall report the delivery (Dingshang, which wants one).
    pub notify_url: *const c_char,
    /// Who redeems, for the platform's books (Youzan: `extra_info`).
    pub redeemer: *const c_char,
    /// More parameters for the platform, a JSON object.
    pub extra_json: *const c_char,
    /// What the code is for: `KL_CODE_*`.
    pub kind: i32,
}

pub(super) fn code_kind(kind: i32) -> Result<CodeKind> {
    match kind {
        KL_CODE_PICKUP => Ok(CodeKind::Pickup),
        KL_CODE_VIRTUAL => Ok(CodeKind::Virtual),
        KL_CODE_VOUCHER => Ok(CodeKind::Voucher),
        _ => Err(Error::new(KL_E_ARGUMENT, "kind must be one of KL_CODE_*")),
    }
}

/// Redeems a pickup code (Dingshang: `POST /consumes`; Youzan: `trade.selffetchcode.apply` and its like). `KL_OK` means
/// *done*: the code is used, and the goods may be released. Otherwise `outcome` says *not done* or *unknown*, as for
/// `kl_door_open`; a code that was used before, by somebody else, is `KL_E_CODE_USED` and *not done*. Sent at most once
/// for a `request_id`, but on Dingshang, where sending the same redemption again is the way to ask what became of it: the
/// refusal of a used code names its order, and if that order bears this request's number the answer is *done*. On Youzan
/// `kl_code_lookup` tells what became of an *unknown* one: a used code was redeemed. Dingshang moves nothing yet:
/// dispense `item_no` of `order_no` with `kl_door_open`, under a `request_id` of its own. End the result with
/// `kl_command_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_code_redeem(
    client: *mut kl_client,
    request: *const kl_redeem_request,
    out: *mut *mut kl_command,
    err: *mut kl_error,
) -> kl_status {
    // SAFETY: conventions, rule 3: NULL or writable.
    unsafe { text::reset(out) };
    let status = with_client_write(client, err, |client| {
        // SAFETY: conventions, rules 2 and 6.
        unsafe {
            text::clear("out", out)?;
            let r = text::request("request", request)?;
            let redeem = RedeemRequest {
                request_id: text::need("request_id", r.request_id)?.to_owned(),
                kind: code_kind(r.kind)?,
                code: text::need("code", r.code)?.to_owned(),
                cabinet_id: text::owned("cabinet_id", r.cabinet_id)?,
                product_id: text::owned("product_id", r.product_id)?,
                trade_no: text::owned("trade_no", r.trade_no)?,
                notify_url: text::owned("notify_url", r.notify_url)?,
                redeemer: text::owned("redeemer", r.redeemer)?,
                ttl_ms: r.ttl_ms,
                extra_json: text::optional("extra_json", r.extra_json)?.map(str::to_owned),
            };
            give(client.code_redeem(&redeem)?, out)
        }
    });
    if status == KL_OK {
        mark_done(err);
    }
    status
}

/// What is known of a command. Borrowed from it; NULL if this is no command.
#[unsafe(no_mangle)]
pub extern "C" fn kl_command_view(command: *const kl_command) -> *const kl_command_info {
    let mut info = std::ptr::null();
    guard(std::ptr::null_mut(), || {
        info = &raw const handle::get::<HeldCommand>(command.cast())?.info;
        Ok(())
    });
    info
}

/// Frees a command's record here; the door stays as it is. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_command_free(command: *mut kl_command) {
    guard(std::ptr::null_mut(), || {
        drop(handle::take::<HeldCommand>(command.cast()));
        Ok(())
    });
}
