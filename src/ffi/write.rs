//! The other writes: orders, reports of payments, refunds, appeals. Each is sent at most once; what is returned says
//! whether it is done, not done or unknown.

use super::call::{kl_response, respond};
use super::client::kl_client;
use super::error::{kl_error, kl_outcome};
use super::read::{Kept, List, kl_order, kl_orders};
use super::text::{self, CallerStruct, caller_struct};
use super::{Name, act};
use crate::error::{Error, Result};
use crate::model::{Complaint, Order, OrderCreate, PaymentReport};
use crate::status::*;
use std::ffi::c_char;
use std::mem::offset_of;

/// What is reported of a payment: `KL_PAYMENT_RESULT_*`.
pub type kl_payment_result = i32;

/// The customer paid.
pub const KL_PAYMENT_RESULT_PAID: kl_payment_result = 1;
/// The payment failed.
pub const KL_PAYMENT_RESULT_FAILED: kl_payment_result = -1;

/// A payment to be reported: `kl_payment_report_request r = KL_PAYMENT_REPORT_REQUEST_INIT;`. Texts may be NULL where
/// it says so.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_payment_report_request {
    /// `sizeof` this struct.
    pub struct_size: u32,
    /// `KL_PAYMENT_RESULT_PAID` or `KL_PAYMENT_RESULT_FAILED`.
    pub result: kl_payment_result,
    /// What was paid, in fen; negative leaves it out.
    pub amount: i64,
    /// Yopoint: the address that the platform gave for this order, from the opened door or from an event. Elsewhere NULL.
    pub report_url: *const c_char,
    /// The platform's order number.
    pub order_no: *const c_char,
    /// The cabinet, where the platform asks for it (Dingshang); may be NULL.
    pub cabinet_id: *const c_char,
    /// The payment channel's number; may be NULL.
    pub trade_no: *const c_char,
    /// The payment channel's raw answer, a JSON object; NULL sends `{}`.
    pub channel_json: *const c_char,
    /// More fields, a JSON object; may be NULL.
    pub extra_json: *const c_char,
    /// Your name for this act, 1 to 128 bytes: under the same name it is sent at most once, as `kl_door_open` says. NULL: this
    /// call sends it at most once, and nothing is remembered.
    pub request_id: *const c_char,
    /// The customer's visit that it belongs to, at most `KL_VISIT_ID_MAX` bytes; may be NULL.
    pub visit_id: *const c_char,
    /// Your own text, kept with it and given back, at most `KL_CONTEXT_MAX` bytes; may be NULL.
    pub context: *const c_char,
    /// If no byte of it can leave now (no network, no connection, no TLS), the library keeps it in the journal and sends it by
    /// itself, within so many milliseconds of this call: `KL_UNKNOWN` with `KL_E_KEPT`. 0: it does not. Needs `state_dir`.
    pub send_within_ms: u32,
}

/// A refund or an appeal: `kl_claim_request r = KL_CLAIM_REQUEST_INIT;`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_claim_request {
    /// `sizeof` this struct.
    pub struct_size: u32,
    /// If no byte of it can leave now (no network, no connection, no TLS), the library keeps it in the journal and sends it by
    /// itself, within so many milliseconds of this call: `KL_UNKNOWN` with `KL_E_KEPT`. 0: it does not. Needs `state_dir`.
    pub send_within_ms: u32,
    /// The platform's order number.
    pub order_no: *const c_char,
    /// The cabinet, where the platform asks for it (Dingshang); may be NULL.
    pub cabinet_id: *const c_char,
    /// Why, as the platform names it (Yopoint: `REFUNDS_REASON_PRODUCT_NOT_MATCH`, …); may be NULL.
    pub reason: *const c_char,
    /// The customer's message; may be NULL.
    pub remarks: *const c_char,
    /// The customer's phone number; may be NULL.
    pub phone: *const c_char,
    /// More parameters, a JSON object; may be NULL.
    pub extra_json: *const c_char,
    /// Your name for this act, 1 to 128 bytes: under the same name it is sent at most once, as `kl_door_open` says. NULL: this
    /// call sends it at most once, and nothing is remembered.
    pub request_id: *const c_char,
    /// The customer's visit that it belongs to, at most `KL_VISIT_ID_MAX` bytes; may be NULL.
    pub visit_id: *const c_char,
    /// Your own text, kept with it and given back, at most `KL_CONTEXT_MAX` bytes; may be NULL.
    pub context: *const c_char,
}

caller_struct!(kl_payment_report_request {
    struct_size,
    result,
    amount,
    report_url,
    order_no,
    cabinet_id,
    trade_no,
    channel_json,
    extra_json,
    request_id,
    visit_id,
    context,
    send_within_ms,
});
caller_struct!(kl_claim_request {
    struct_size,
    send_within_ms,
    order_no,
    cabinet_id,
    reason,
    remarks,
    phone,
    extra_json,
    request_id,
    visit_id,
    context,
});
caller_struct!(kl_order_create_line { struct_size, quantity, product_id });
caller_struct!(kl_order_create_request {
    struct_size,
    line_count,
    lines,
    cabinet_id,
    trade_no,
    notify_url,
    extra_json,
    request_id,
    visit_id,
    context,
});

/// A request with a name for its act.
trait Called: CallerStruct {
    const AT: usize;
}

impl Called for kl_payment_report_request {
    const AT: usize = offset_of!(kl_payment_report_request, request_id);
}

impl Called for kl_claim_request {
    const AT: usize = offset_of!(kl_claim_request, request_id);
}

impl Called for kl_order_create_request {
    const AT: usize = offset_of!(kl_order_create_request, request_id);
}

fn name<R: Called>(request: *const R) -> Name {
    Name::In(request.cast(), R::AT)
}

/// # Safety
/// `request` is NULL or as many readable bytes as its first field says, and each text in it is NULL or terminated.
unsafe fn claim(request: *const kl_claim_request) -> Result<Complaint> {
    // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
    unsafe {
        let r = text::request("request", request)?;
        let claim = Complaint {
            order_no: text::need("order_no", r.order_no)?.to_owned(),
            cabinet_id: text::owned("cabinet_id", r.cabinet_id)?,
            reason: text::owned("reason", r.reason)?,
            remarks: text::owned("remarks", r.remarks)?,
            phone: text::owned("phone", r.phone)?,
            request_id: text::owned("request_id", r.request_id)?,
            visit_id: text::owned("visit_id", r.visit_id)?,
            context: text::owned("context", r.context)?,
            extra_json: text::optional("extra_json", r.extra_json)?.map(str::to_owned),
            send_within_ms: r.send_within_ms,
            ..Complaint::default()
        };
        claim.check_texts()?;
        Ok(claim)
    }
}

/// Reports to the platform that an order was paid, or that the payment failed. Required for every order that a door
/// made, or it stays unpaid forever. Signed with `pay_key`. Yopoint, scenario 1 (doc-3556228); the fields follow the
/// older vending form of the same report, which is inferred to hold for cabinets. Dingshang: `PUT /orders/{order_no}`
/// with status 1 or 6, within 20 minutes of making the order; the amount and the channel's answer are not sent. It is
/// recorded like a door's command and needs `state_dir` as that does. With `send_within_ms` a report that cannot leave now
/// (`KL_E_KEPT`) is sent later by the library: do nothing, and do not repeat it under another name. End the result with
/// `kl_response_free`.
///
/// Codes: `KL_E_KEPT`, *command*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_payment_report(
    client: *mut kl_client,
    request: *const kl_payment_report_request,
    out: *mut *mut kl_response,
    err: *mut kl_error,
) -> kl_outcome {
    act(client, out, err, name(request), |client| {
        // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
        unsafe {
            let r = text::request("request", request)?;
            let paid = match r.result {
                KL_PAYMENT_RESULT_PAID => true,
                KL_PAYMENT_RESULT_FAILED => false,
                _ => {
                    return Err(Error::new(
                        KL_E_ARGUMENT,
                        "result must be KL_PAYMENT_RESULT_PAID or KL_PAYMENT_RESULT_FAILED",
                    ));
                }
            };
            let report = PaymentReport {
                report_url: text::owned("report_url", r.report_url)?,
                order_no: text::need("order_no", r.order_no)?.to_owned(),
                cabinet_id: text::owned("cabinet_id", r.cabinet_id)?,
                trade_no: text::owned("trade_no", r.trade_no)?,
                paid,
                amount: r.amount,
                request_id: text::owned("request_id", r.request_id)?,
                visit_id: text::owned("visit_id", r.visit_id)?,
                context: text::owned("context", r.context)?,
                channel_json: text::optional("channel_json", r.channel_json)?.map(str::to_owned),
                extra_json: text::optional("extra_json", r.extra_json)?.map(str::to_owned),
                send_within_ms: r.send_within_ms,
                ..PaymentReport::default()
            };
            report.check_texts()?;
            client.payment_report(&report).map(respond)
        }
    })
}

/// Asks for a full refund on the customer's behalf (Yopoint: `cabinet.order.refund.apply`). Staff approve it later; the
/// event `KL_EVENT_KIND_REFUND_APPROVED` then asks you to pay back. Parameter names beside the order number are inferred.
/// Dingshang: `PUT /orders/{order_no}` with status 2 marks the order and returns the stock; it moves no money.
/// `KL_E_BLOCKED`, and nothing sent, while it is not known what became of a command of this order. It is recorded like
/// a door's command and needs `state_dir` as that does. `send_within_ms` as for `kl_payment_report`. End the result with
/// `kl_response_free`.
///
/// Codes: `KL_E_KEPT`, *command*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_refund_apply(
    client: *mut kl_client,
    request: *const kl_claim_request,
    out: *mut *mut kl_response,
    err: *mut kl_error,
) -> kl_outcome {
    act(client, out, err, name(request), |client| {
        // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
        unsafe { client.refund_apply(&claim(request)?).map(respond) }
    })
}

/// Disputes the goods of an order on the customer's behalf (Yopoint: `cabinet.order.user.appeal`). Before payment the
/// corrected goods come as `KL_EVENT_KIND_RECOGNIZED` again; after it a new order comes as `KL_EVENT_KIND_ORDER_REPLACED` and the
/// old one is refunded. Parameter names beside the order number are inferred. It is recorded like a door's command and
/// needs `state_dir` as that does. `send_within_ms` as for `kl_payment_report`. End the result with `kl_response_free`.
///
/// Codes: `KL_E_KEPT`, *command*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_appeal_file(
    client: *mut kl_client,
    request: *const kl_claim_request,
    out: *mut *mut kl_response,
    err: *mut kl_error,
) -> kl_outcome {
    act(client, out, err, name(request), |client| {
        // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
        unsafe { client.appeal_file(&claim(request)?).map(respond) }
    })
}

/// Goods for an order to be made: `kl_order_create_line l = KL_ORDER_CREATE_LINE_INIT;`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_order_create_line {
    /// `sizeof` this struct.
    pub struct_size: u32,
    /// How many.
    pub quantity: u32,
    /// The platform's id of the goods in this cabinet.
    pub product_id: *const c_char,
}

/// An order to be made: `kl_order_create_request r = KL_ORDER_CREATE_REQUEST_INIT;`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_order_create_request {
    /// `sizeof` this struct.
    pub struct_size: u32,
    /// How many lines.
    pub line_count: u32,
    /// The goods, a pointer to each.
    pub lines: *const *const kl_order_create_line,
    /// The cabinet.
    pub cabinet_id: *const c_char,
    /// Your own number for it, unique (Dingshang: 20 to 32 characters, digits preferred).
    pub trade_no: *const c_char,
    /// Callback URL for the delivery.
    pub notify_url: *const c_char,
    /// More parameters, a JSON object; may be NULL.
    pub extra_json: *const c_char,
    /// Your name for this act, 1 to 128 bytes: under the same name it is sent at most once, as `kl_door_open` says. NULL: this
    /// call sends it at most once, and nothing is remembered.
    pub request_id: *const c_char,
    /// The customer's visit that it belongs to, at most `KL_VISIT_ID_MAX` bytes; may be NULL.
    pub visit_id: *const c_char,
    /// Your own text, kept with it and given back, at most `KL_CONTEXT_MAX` bytes; may be NULL.
    pub context: *const c_char,
}

/// Makes an order (Yopoint: `consumer.order.create`, for a vending machine; Dingshang: `POST /orders`). The result holds one order with its number and yours, and nothing else
/// yet: ask for the rest with `kl_order_get`. Sent at most once; after *unknown* look for your number before you make
/// another. It is recorded like a door's command and needs `state_dir` as that does. End the result with
/// `kl_orders_free`.
///
/// Codes: *command*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_order_create(
    client: *mut kl_client,
    request: *const kl_order_create_request,
    out: *mut *mut kl_orders,
    err: *mut kl_error,
) -> kl_outcome {
    act(client, out, err, name(request), |client| {
        // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated; `lines` has
        // `line_count` pointers to such structs, as it says.
        unsafe {
            let r = text::request("request", request)?;
            let mut create = OrderCreate {
                cabinet_id: text::need("cabinet_id", r.cabinet_id)?.to_owned(),
                trade_no: text::owned("trade_no", r.trade_no)?,
                notify_url: text::owned("notify_url", r.notify_url)?,
                lines: Vec::new(),
                request_id: text::owned("request_id", r.request_id)?,
                visit_id: text::owned("visit_id", r.visit_id)?,
                context: text::owned("context", r.context)?,
                extra_json: text::optional("extra_json", r.extra_json)?.map(str::to_owned),
                ..OrderCreate::default()
            };
            if r.lines.is_null() && r.line_count > 0 {
                return Err(Error::new(KL_E_NULL, "lines is NULL but line_count is not 0"));
            }
            for i in 0..r.line_count as usize {
                let line = text::request("a line", r.lines.add(i).read())?;
                create.lines.push((text::need("product_id", line.product_id)?.to_owned(), line.quantity));
            }
            create.check_texts()?;
            let kept = Kept::reserved()?;
            let receipt = client.order_create(&create)?;
            let order = Order {
                order_no: receipt.order_no,
                trade_no: create.trade_no,
                cabinet_id: create.cabinet_id,
                amount: -1,
                pay_type: -1,
                json: receipt.json,
                ..Order::default()
            };
            Ok(List::<kl_order>::kept(&[order], kept))
        }
    })
}
