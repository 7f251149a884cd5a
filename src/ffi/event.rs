//! Callbacks: what a platform sends by itself.

use super::client::kl_client;
use super::error::kl_error;
use super::handle::{self, Handle, HandleKind};
use super::read::{Kept, Show, kl_cabinet, kl_delivery_state, kl_door_state, kl_order, kl_order_line};
use super::{end, give, guard, look, text};
use crate::client::Client;
use crate::error::Result;
use crate::event::{Event, EventKind};
use crate::status::kl_status;
use std::ffi::{CString, c_char};
use std::sync::{Mutex, PoisonError};

/// What a callback is about: `KL_EVENT_KIND_*`.
pub type kl_event_kind = i32;

/// A kind that this version does not know; see `method` and `json`.
pub const KL_EVENT_KIND_OTHER: kl_event_kind = 0;
/// The platform probes the callback address.
pub const KL_EVENT_KIND_TEST: kl_event_kind = 1;
/// A door was shut, or never opened: see `door`.
pub const KL_EVENT_KIND_DOOR_CLOSED: kl_event_kind = 2;
/// The goods a customer took are recognised: charge, then report the payment to `report_url`.
pub const KL_EVENT_KIND_RECOGNIZED: kl_event_kind = 3;
/// An order is paid.
pub const KL_EVENT_KIND_ORDER_PAID: kl_event_kind = 4;
/// A refund was approved: refund through your own channel and answer with the result.
pub const KL_EVENT_KIND_REFUND_APPROVED: kl_event_kind = 5;
/// After an appeal: a new order replaces an old one. Charge it and report to `report_url`.
pub const KL_EVENT_KIND_ORDER_REPLACED: kl_event_kind = 6;
/// A vending machine pushed goods out, or failed to: see `delivery`.
pub const KL_EVENT_KIND_DELIVERY: kl_event_kind = 7;
/// A voucher code was redeemed.
pub const KL_EVENT_KIND_VOUCHER_REDEEMED: kl_event_kind = 8;
/// A cabinet's settings changed: see `cabinet`.
pub const KL_EVENT_KIND_CABINET_CHANGED: kl_event_kind = 9;
/// A return slip was made.
pub const KL_EVENT_KIND_RETURN_SLIP: kl_event_kind = 10;
/// Older vending flow: refund this order now and answer with the channel's raw result.
pub const KL_EVENT_KIND_REFUND_REQUESTED: kl_event_kind = 11;
/// Older vending flow: a refund is finished.
pub const KL_EVENT_KIND_REFUND_FINISHED: kl_event_kind = 12;
/// Older vending flow: the customer was sent to the payment page.
pub const KL_EVENT_KIND_PAY_PAGE: kl_event_kind = 13;
/// An order was made, shipped or changed; `method` says what happened.
pub const KL_EVENT_KIND_ORDER_CHANGED: kl_event_kind = 14;
/// An order is finished: the goods are handed over.
pub const KL_EVENT_KIND_ORDER_FINISHED: kl_event_kind = 15;
/// An order was closed: it will not be handed over.
pub const KL_EVENT_KIND_ORDER_CLOSED: kl_event_kind = 16;
/// A refund was asked for, decided or made; `method` says which.
pub const KL_EVENT_KIND_REFUND_CHANGED: kl_event_kind = 17;
/// The goods on sale or their stock changed: fetch them again.
pub const KL_EVENT_KIND_STOCK_CHANGED: kl_event_kind = 18;
/// The application's own subscription on the platform's market changed.
pub const KL_EVENT_KIND_APP_CHANGED: kl_event_kind = 19;

/// What a callback was signed with: `KL_SIGNED_WITH_*`.
pub type kl_signed_with = i32;

/// Signed with nothing (Dingshang): any sender who knows your address could have sent it. Treat it as a hint: put a token
/// that cannot be guessed into `notify_url`, check it in your HTTP server, and confirm with `kl_order_get`.
pub const KL_SIGNED_WITH_NOTHING: kl_signed_with = 0;
/// Signed with the account's secret.
pub const KL_SIGNED_WITH_APP_SECRET: kl_signed_with = 1;
/// Signed with the payment key.
pub const KL_SIGNED_WITH_PAY_KEY: kl_signed_with = 2;
/// Signed with the account's secret, but over the content alone: `method` and what else stands beside it is not covered
/// (Youzan without the header `Event-Sign`; hand the headers in).
pub const KL_SIGNED_WITH_CONTENT_ONLY: kl_signed_with = 3;
/// Not signed but encrypted with the account's secret (Youzan's market messages).
pub const KL_SIGNED_WITH_ENCRYPTED: kl_signed_with = 4;

/// A callback, verified where the platform signs it. Opaque; one thread at a time.
pub struct kl_event {
    _private: [u8; 0],
}

/// What a callback says. Lives as long as its `kl_event`; texts are never NULL, and empty where the callback does not
/// tell.
#[repr(C)]
pub struct kl_event_info {
    /// What it is about: `KL_EVENT_KIND_*`.
    pub kind: kl_event_kind,
    /// 1 if this client saw it before and took it: answer it again, do nothing else.
    pub duplicate: i32,
    /// What it was signed with: `KL_SIGNED_WITH_*`.
    pub signed_with: kl_signed_with,
    /// The door: `KL_DOOR_STATE_*`.
    pub door: kl_door_state,
    /// What became of the goods: `KL_DELIVERY_STATE_*`.
    pub delivery: kl_delivery_state,
    /// When the platform signed it, Unix seconds; 0 if it does not say.
    pub sent_at: i64,
    /// When it was paid, or made, Unix seconds; 0 if unknown.
    pub at: i64,
    /// The sum, in fen; -1 if unknown.
    pub amount: i64,
    /// The platform's own name for the callback.
    pub method: *const c_char,
    /// The account it is for.
    pub app_id: *const c_char,
    /// The platform's id of this notice.
    pub notice_id: *const c_char,
    /// The order.
    pub order_no: *const c_char,
    /// The payment channel's number.
    pub trade_no: *const c_char,
    /// The cabinet or machine.
    pub cabinet_id: *const c_char,
    /// The platform's message about it.
    pub message: *const c_char,
    /// Where the payment must be reported.
    pub report_url: *const c_char,
    /// The voucher.
    pub voucher_id: *const c_char,
    /// The voucher's code.
    pub voucher_code: *const c_char,
    /// The store room of a return slip.
    pub depot_id: *const c_char,
    /// The account of the restocker.
    pub account_id: *const c_char,
    /// The business number of a return slip.
    pub biz_id: *const c_char,
    /// The platform's own content as JSON.
    pub json: *const c_char,
    /// The goods, a pointer to each; NULL if `line_count` is 0.
    pub lines: *const *const kl_order_line,
    /// How many lines.
    pub line_count: usize,
    /// The order's fields, where the callback carries them, else NULL.
    pub order: *const kl_order,
    /// The cabinet's fields, where the callback carries them, else NULL.
    pub cabinet: *const kl_cabinet,
    /// The item of the order, where the platform numbers them (Dingshang: `record_id`).
    pub item_no: *const c_char,
    /// The platform's version of what the callback is about, higher for newer; 0 if it gives none.
    pub version: i64,
    /// 1 if a newer version of the same was seen before by this client: what this callback says is no longer true.
    pub stale: i32,
}

/// An event as C reads it, with what its pointers lead to.
pub(super) struct ShownEvent {
    pub(super) info: kl_event_info,
    _kept: Kept,
    _cabinet: Option<Box<kl_cabinet>>,
}

pub(super) struct HeldEvent {
    client: Client,
    event: Event,
    shown: ShownEvent,
    reply: Mutex<CString>,
}

// SAFETY: the pointers lead into the parts beside them, which are never changed again; the reply has its lock.
unsafe impl Send for HeldEvent {}
// SAFETY: shared, the parts beside the pointers are only read; the reply is changed under its lock.
unsafe impl Sync for HeldEvent {}

impl Handle for kl_event {
    const KIND: HandleKind = HandleKind::Event;
    type Held = HeldEvent;
}

pub(super) fn show(event: &Event) -> ShownEvent {
    let mut kept = Kept::default();
    let cabinet = event.cabinet.as_ref().map(|c| Box::new(c.show(&mut kept)));
    let info = kl_event_info {
        kind: event.kind as i32,
        duplicate: event.duplicate.into(),
        signed_with: event.signed_with as i32,
        door: event.door as i32,
        delivery: event.delivery as i32,
        sent_at: event.sent_at,
        at: event.at,
        amount: event.amount,
        method: kept.text(&event.method),
        app_id: kept.text(&event.app_id),
        notice_id: kept.text(&event.notice_id),
        order_no: kept.text(&event.order_no),
        trade_no: kept.text(&event.trade_no),
        cabinet_id: kept.text(&event.cabinet_id),
        message: kept.text(&event.message),
        report_url: kept.text(&event.report_url),
        voucher_id: kept.text(&event.voucher_id),
        voucher_code: kept.text(&event.voucher_code),
        depot_id: kept.text(&event.depot_id),
        account_id: kept.text(&event.account_id),
        biz_id: kept.text(&event.biz_id),
        json: kept.text(&event.json),
        lines: kept.lines(&event.lines),
        line_count: event.lines.len(),
        order: kept.order(event.order.as_deref()),
        cabinet: cabinet.as_deref().map_or(std::ptr::null(), std::ptr::from_ref),
        item_no: kept.text(&event.item_no),
        version: event.version,
        stale: event.stale.into(),
    };
    ShownEvent { info, _kept: kept, _cabinet: cabinet }
}

fn hold(client: &Client, event: Event) -> Result<HeldEvent> {
    let reply = match event.kind {
        // A browser is not answered with an envelope.
        EventKind::PayPage => String::new(),
        _ => client.event_reply(&event, 0, "SUCCESS", None)?,
    };
    let reply = Mutex::new(CString::new(reply).unwrap_or_default());
    Ok(HeldEvent { client: client.clone(), shown: show(&event), event, reply })
}

/// Verifies and parses a callback. `headers` are the header lines of the HTTP request, separated by newlines (may
/// be NULL); `body` is its body, byte for byte, `len` long. For a payment page of the older vending flow the body is the
/// query string, and for Youzan's encrypted market messages as well (`message=…`). Where no web server cuts the requests, use
/// `kl_http_feed`.
///
/// - `KL_E_EVENT_SIGNATURE`: the sign fits no secret, so answer HTTP 403 and do nothing.
/// - `KL_E_EVENT`: not in the platform's format.
///
/// Yopoint: doc-3787821. Dingshang signs nothing (`KL_SIGNED_WITH_NOTHING`): JSON or form, one kind, `KL_EVENT_KIND_DELIVERY`;
/// success and failure of the same item may both arrive, and neither is a duplicate of the other.
///
/// What it says about your commands is recorded: what a machine did (`kl_command_wait`), and that an opening whose answer was
/// lost was taken (`KL_SETTLED_BY_EVENT`: Yopoint's recognition, by the number that was sent with the opening).
///
/// Sends nothing. End the result with `kl_event_free`.
///
/// Codes: `KL_E_UNSUPPORTED`, `KL_E_EVENT`, `KL_E_EVENT_SIGNATURE`, `KL_E_EVENT_TIME`, *journal*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_event_parse(
    client: *mut kl_client,
    headers: *const c_char,
    body: *const u8,
    len: usize,
    out: *mut *mut kl_event,
    err: *mut kl_error,
) -> kl_status {
    give(client, out, err, |client| {
        // SAFETY: the caller's texts are NULL or terminated, and there for the time of the call.
        unsafe {
            let headers = text::optional("headers", headers)?.unwrap_or("");
            let body = text::bytes("body", body, len)?;
            hold(client, client.event_parse(headers, body)?)
        }
    })
}

/// What the callback says. Borrowed from the event; NULL if this is no event.
#[unsafe(no_mangle)]
pub extern "C" fn kl_event_view(event: *const kl_event) -> *const kl_event_info {
    look(event, std::ptr::null(), |event| &raw const event.shown.info)
}

/// The exact body that the platform expects as the answer; send it with HTTP 200 and `Content-Type: application/json`.
/// Unless `kl_event_set_reply` said otherwise it means *taken*. Borrowed until the next `kl_event_set_reply` or the
/// event's end; NULL if this is no event.
#[unsafe(no_mangle)]
pub extern "C" fn kl_event_reply(event: *const kl_event) -> *const c_char {
    look(event, std::ptr::null(), |event| event.reply.lock().unwrap_or_else(PoisonError::into_inner).as_ptr())
}

/// Changes the answer. `code` 0 means taken; any other code asks the platform to come again, and the repetition then is
/// no duplicate (Dingshang documents no repetition). `message` may be NULL. `data_json`, a JSON object or NULL, becomes
/// `data`: the result of a refund that `KL_EVENT_KIND_REFUND_APPROVED` asks for (its fields are not published). For
/// `KL_EVENT_KIND_REFUND_REQUESTED` its fields stand beside the code, as the older flow reads `refundsRawData` and
/// `refundsTime`.
///
/// Codes: none of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_event_set_reply(
    event: *mut kl_event,
    code: i32,
    message: *const c_char,
    data_json: *const c_char,
    err: *mut kl_error,
) -> kl_status {
    guard(err, || {
        let event = handle::get(event)?;
        // SAFETY: the caller's texts are NULL or terminated, and there for the time of the call.
        let (message, data) =
            unsafe { (text::optional("message", message)?, text::optional("data_json", data_json)?) };
        let message = message.unwrap_or(if code == 0 { "SUCCESS" } else { "FAIL" });
        let reply = event.client.event_reply(&event.event, code, message, data)?;
        *event.reply.lock().unwrap_or_else(PoisonError::into_inner) = CString::new(reply).unwrap_or_default();
        Ok(())
    })
}

/// Frees an event. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_event_free(event: *mut kl_event) {
    end(event);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::SignedWith;

    #[test]
    fn the_numbers_are_those_of_the_model() {
        let pairs = [
            (EventKind::Other as i32, KL_EVENT_KIND_OTHER),
            (EventKind::Test as i32, KL_EVENT_KIND_TEST),
            (EventKind::DoorClosed as i32, KL_EVENT_KIND_DOOR_CLOSED),
            (EventKind::Recognized as i32, KL_EVENT_KIND_RECOGNIZED),
            (EventKind::OrderPaid as i32, KL_EVENT_KIND_ORDER_PAID),
            (EventKind::RefundApproved as i32, KL_EVENT_KIND_REFUND_APPROVED),
            (EventKind::OrderReplaced as i32, KL_EVENT_KIND_ORDER_REPLACED),
            (EventKind::Delivery as i32, KL_EVENT_KIND_DELIVERY),
            (EventKind::VoucherRedeemed as i32, KL_EVENT_KIND_VOUCHER_REDEEMED),
            (EventKind::CabinetChanged as i32, KL_EVENT_KIND_CABINET_CHANGED),
            (EventKind::ReturnSlip as i32, KL_EVENT_KIND_RETURN_SLIP),
            (EventKind::RefundRequested as i32, KL_EVENT_KIND_REFUND_REQUESTED),
            (EventKind::RefundFinished as i32, KL_EVENT_KIND_REFUND_FINISHED),
            (EventKind::PayPage as i32, KL_EVENT_KIND_PAY_PAGE),
            (SignedWith::Nothing as i32, KL_SIGNED_WITH_NOTHING),
            (EventKind::OrderChanged as i32, KL_EVENT_KIND_ORDER_CHANGED),
            (EventKind::OrderFinished as i32, KL_EVENT_KIND_ORDER_FINISHED),
            (EventKind::OrderClosed as i32, KL_EVENT_KIND_ORDER_CLOSED),
            (EventKind::RefundChanged as i32, KL_EVENT_KIND_REFUND_CHANGED),
            (EventKind::StockChanged as i32, KL_EVENT_KIND_STOCK_CHANGED),
            (EventKind::AppChanged as i32, KL_EVENT_KIND_APP_CHANGED),
            (SignedWith::AppSecret as i32, KL_SIGNED_WITH_APP_SECRET),
            (SignedWith::PayKey as i32, KL_SIGNED_WITH_PAY_KEY),
            (SignedWith::ContentOnly as i32, KL_SIGNED_WITH_CONTENT_ONLY),
            (SignedWith::Encrypted as i32, KL_SIGNED_WITH_ENCRYPTED),
        ];
        for (model, c) in pairs {
            assert_eq!(model, c);
        }
    }
}
