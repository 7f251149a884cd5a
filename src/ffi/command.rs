//! Commands: acts that cannot be undone, each sent at most once for its `request_id`.

use super::client::kl_client;
use super::error::{kl_error, mark_done};
use super::handle::{self, Held};
use super::text::{self, Arena};
use super::{guard, with_client_write};
use crate::error::Outcome;
use crate::model::DoorRequest;
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
    /// The platform's order that it made.
    pub order_no: *const c_char,
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
    /// Which door, where the platform knows doors.
    pub door: *const c_char,
    /// The customer, where the platform wants to know (Yopoint: sent as `OpenID`, inferred).
    pub user_id: *const c_char,
    /// Your own order or trade number, where the platform keeps one (Yopoint: sent as `TradeNo`, inferred).
    pub order_no: *const c_char,
    /// The goods, where the platform opens by goods (not Yopoint).
    pub item_no: *const c_char,
    /// Where the platform shall report, where it can be told (not Yopoint).
    pub notify_url: *const c_char,
    /// More parameters for the platform, a JSON object.
    pub extra_json: *const c_char,
}

/// Opens a door (Yopoint: `cabinet.open.door`). `KL_OK` means *done*: the platform took the command; that the bolt
/// moved is told later, by `KL_EVENT_DOOR_CLOSED` or the order. Otherwise `outcome` in the error says whether it is
/// *not done* (safe to try again) or *unknown* (it may have opened: nothing will ever be sent again under this
/// `request_id`; the same call answers `KL_E_UNSETTLED`). The same `request_id` after *done* gives the recorded answer.
/// Sent at most once, over a fresh connection or one proven alive, never later than `ttl_ms`. End the result with
/// `kl_command_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_door_open(
    client: *mut kl_client,
    request: *const kl_door_request,
    out: *mut *mut kl_command,
    err: *mut kl_error,
) -> kl_status {
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
        let command = client.door_open(&request)?;
        let mut texts = Arena::default();
        let info = kl_command_info {
            request_id: texts.keep(&command.request_id),
            order_no: texts.keep(&command.opened.order_no),
            notify_url: texts.keep(&command.opened.notify_url),
            json: texts.keep(&command.opened.json),
            recorded: command.recorded.into(),
        };
        // The door is open even if there is no room to say so.
        let handle = handle::put(HeldCommand { info, _texts: texts })
            .map_err(|e| e.with(|d| d.outcome = Outcome::Done))?;
        // SAFETY: `clear` found it not NULL.
        unsafe { out.write(handle.cast()) };
        Ok(())
    });
    if status == KL_OK {
        mark_done(err);
    }
    status
}

/// What is known of a command. Borrowed from it; NULL if this is no command.
#[unsafe(no_mangle)]
pub extern "C" fn kl_command_get(command: *const kl_command) -> *const kl_command_info {
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
