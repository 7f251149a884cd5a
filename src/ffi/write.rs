//! Writes that are no commands: refunds, appeals, reports of payments. Each is sent at most once; `outcome` in the
//! error says whether it is done, not done or unknown.

use super::call::{kl_response, respond};
use super::client::kl_client;
use super::error::kl_error;
use super::{text, with_client_write};
use crate::error::{Error, Result};
use crate::model::{Claim, PaymentReport};
use crate::status::*;
use std::ffi::c_char;

/// The customer paid.
pub const KL_PAYMENT_PAID: i32 = 1;
/// The payment failed.
pub const KL_PAYMENT_FAILED: i32 = -1;

/// A payment to be reported: `kl_payment_report_request r = KL_PAYMENT_REPORT_REQUEST_INIT;`. Texts may be NULL where
/// it says so.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_payment_report_request {
    /// `sizeof` this struct.
    pub struct_size: u32,
    /// `KL_PAYMENT_PAID` or `KL_PAYMENT_FAILED`.
    pub result: i32,
    /// What was paid, in fen; negative leaves it out.
    pub amount: i64,
    /// The address that the platform gave for this order: from the opened door, or from an event.
    pub notify_url: *const c_char,
    /// The platform's order number.
    pub order_no: *const c_char,
    /// The payment channel's number; may be NULL.
    pub trade_no: *const c_char,
    /// The payment channel's raw answer, a JSON object; NULL sends `{}`.
    pub channel_json: *const c_char,
    /// More fields, a JSON object; may be NULL.
    pub extra_json: *const c_char,
}

/// A refund or an appeal: `kl_claim_request r = KL_CLAIM_REQUEST_INIT;`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_claim_request {
    /// `sizeof` this struct.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// The platform's order number.
    pub order_no: *const c_char,
    /// Why, as the platform names it (Yopoint: `REFUNDS_REASON_PRODUCT_NOT_MATCH`, …); may be NULL.
    pub reason: *const c_char,
    /// The customer's words; may be NULL.
    pub remarks: *const c_char,
    /// The customer's phone number; may be NULL.
    pub phone: *const c_char,
    /// More parameters, a JSON object; may be NULL.
    pub extra_json: *const c_char,
}

unsafe fn claim(request: *const kl_claim_request) -> Result<Claim> {
    // SAFETY: conventions, rules 2 and 6.
    unsafe {
        let r = text::request("request", request)?;
        Ok(Claim {
            order_no: text::need("order_no", r.order_no)?.to_owned(),
            reason: text::owned("reason", r.reason)?,
            remarks: text::owned("remarks", r.remarks)?,
            phone: text::owned("phone", r.phone)?,
            extra_json: text::optional("extra_json", r.extra_json)?.map(str::to_owned),
        })
    }
}

/// Reports to the platform that an order was paid, or that the payment failed. Obligatory for every order that a door
/// made, or it stays unpaid for ever. Signed with `pay_key`. Yopoint, scenario 1 (doc-3556228); the fields follow the
/// older vending form of the same report, which is inferred to hold for cabinets. End the result with
/// `kl_response_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_payment_report(
    client: *mut kl_client,
    request: *const kl_payment_report_request,
    out: *mut *mut kl_response,
    err: *mut kl_error,
) -> kl_status {
    with_client_write(client, err, |client| {
        // SAFETY: conventions, rules 2 and 6.
        unsafe {
            text::clear("out", out)?;
            let r = text::request("request", request)?;
            let paid = match r.result {
                KL_PAYMENT_PAID => true,
                KL_PAYMENT_FAILED => false,
                _ => {
                    return Err(Error::new(
                        KL_E_ARGUMENT,
                        "result must be KL_PAYMENT_PAID or KL_PAYMENT_FAILED",
                    ));
                }
            };
            let report = PaymentReport {
                notify_url: text::need("notify_url", r.notify_url)?.to_owned(),
                order_no: text::need("order_no", r.order_no)?.to_owned(),
                trade_no: text::owned("trade_no", r.trade_no)?,
                paid,
                amount: r.amount,
                channel_json: text::optional("channel_json", r.channel_json)?.map(str::to_owned),
                extra_json: text::optional("extra_json", r.extra_json)?.map(str::to_owned),
            };
            respond(client.payment_report(&report)?, out)
        }
    })
}

/// Asks for a full refund on the customer's behalf (Yopoint: `cabinet.order.refund.apply`). Staff approve it later; the
/// event `KL_EVENT_REFUND_APPROVED` then tells you to pay back. Parameter names beside the order number are inferred.
/// End the result with `kl_response_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_refund_apply(
    client: *mut kl_client,
    request: *const kl_claim_request,
    out: *mut *mut kl_response,
    err: *mut kl_error,
) -> kl_status {
    with_client_write(client, err, |client| {
        // SAFETY: conventions, rules 2 and 6.
        unsafe {
            text::clear("out", out)?;
            respond(client.refund_apply(&claim(request)?)?, out)
        }
    })
}

/// Disputes the goods of an order on the customer's behalf (Yopoint: `cabinet.order.user.appeal`). Before payment the
/// corrected goods come as `KL_EVENT_RECOGNIZED` again; after it a new order comes as `KL_EVENT_ORDER_REPLACED` and the
/// old one is refunded. Parameter names beside the order number are inferred. End the result with `kl_response_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_appeal_file(
    client: *mut kl_client,
    request: *const kl_claim_request,
    out: *mut *mut kl_response,
    err: *mut kl_error,
) -> kl_status {
    with_client_write(client, err, |client| {
        // SAFETY: conventions, rules 2 and 6.
        unsafe {
            text::clear("out", out)?;
            respond(client.appeal_file(&claim(request)?)?, out)
        }
    })
}
