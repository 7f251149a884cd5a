//! What Yopoint's refusals mean.
//!
//! The vendor publishes one code (-1) for most of them and few names; `error_msg` holds the name. A name is compared whole.
//! One that is checked for a single method stands here as `method NAME`; so may the rows of an operator's own table.

use crate::platform::refusals::{GATEWAY, Pack, Row, text_of};
use crate::status::*;

/// Named on one of the vendor's pages, or in a public client of its API.
const PAGE: &str = "the page of the method";
const CLIENT: &str = "public Java client YoPointApi, 2019";
/// No page names it. It can only come from the check that it names, which is made before the method is carried out.
const INFERRED: &str =
    "inferred: the gateway's own check, made before the method; the spelling is to be confirmed";
/// No page names it, and nobody has said that it cannot come after the machine was told.
const OPEN: &str = "inferred; when it comes is to be confirmed";

const AUTH: &str = "app_id or app_secret is wrong, or was pasted with a blank";
const TICK: &str = "tick this method for the account in the operator console";

/// Its rows, in the order of the documentation.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    not_done("ERR_SIGN", KL_E_AUTH, "cabinet.list: -1 is a bad signature; the name is inferred", AUTH),
    not_done("ERR_SIGN_TYPE", KL_E_AUTH, INFERRED, ""),
    not_done("ERR_APPID", KL_E_AUTH, INFERRED, AUTH),
    not_done("ERR_INVALID_APPID", KL_E_AUTH, INFERRED, AUTH),
    not_done("ERR_TIMESTAMP", KL_E_TIMESTAMP, INFERRED, ""),
    not_done("ERR_VERSION", KL_E_UNSUPPORTED, INFERRED, ""),
    not_done("ERR_METHOD_NOT_EXIST", KL_E_UNSUPPORTED, INFERRED, ""),
    not_done("ERR_NO_PERMISSION", KL_E_PERMISSION, INFERRED, TICK),
    not_done("ERR_BIZ_CONTENT", KL_E_PARAMETER, INFERRED, ""),
    not_done("MISSING_PARAMS_TID", KL_E_PARAMETER, CLIENT, ""),
    not_done("MISSING_PARAMS_TOKEN", KL_E_PARAMETER, CLIENT, ""),
    not_done("MISSING_PARAMS_VOUCHERID", KL_E_PARAMETER, PAGE, ""),
    not_done("MISSING_PARAMS_CID", KL_E_PARAMETER, "inferred: the pages' pattern MISSING_PARAMS_<FIELD>", ""),
    not_done("MISSING_PARAMS_CODE", KL_E_PARAMETER, "inferred: the pages' pattern MISSING_PARAMS_<FIELD>", ""),
    not_done("MISSING_PARAMS_OPENID", KL_E_PARAMETER, "inferred: the pages' pattern MISSING_PARAMS_<FIELD>", ""),
    not_done("MISSING_PARAMS_RECEIPTNO", KL_E_PARAMETER, "inferred: the pages' pattern MISSING_PARAMS_<FIELD>", ""),
    not_done("MISSING_PARAMS_TRADENO", KL_E_PARAMETER, "inferred: the pages' pattern MISSING_PARAMS_<FIELD>", ""),
    not_done("ERR_TERMINAL_NOT_EXIST", KL_E_NOT_FOUND, CLIENT, ""),
    not_done("ERR_CABINET_NOT_EXIST", KL_E_NOT_FOUND, "inferred from ERR_TERMINAL_NOT_EXIST", ""),
    not_done("consumer.order.create ERR_NONE_STOCK", KL_E_OUT_OF_STOCK, CLIENT, ""),
    not_done("consumer.order.create ERR_NONE_COSTPRICE", KL_E_PARAMETER, CLIENT, "the goods have no cost price"),
    not_done("cabinet.order.refund.apply ERR_ORDER_NOT_EXIST", KL_E_NOT_FOUND, "inferred from ERR_TERMINAL_NOT_EXIST", ""),
    not_done("cabinet.order.user.appeal ERR_ORDER_NOT_EXIST", KL_E_NOT_FOUND, "inferred from ERR_TERMINAL_NOT_EXIST", ""),
    unknown("ERR_SYSTEM", KL_E_PLATFORM, PAGE),
    unknown("ERR_USER_CREATE_FAIL", KL_E_PLATFORM, CLIENT),
    unknown("ERR_ORDER_CREATE_FAIL", KL_E_PLATFORM, CLIENT),
    unknown("ERR_NONE_STOCK", KL_E_OUT_OF_STOCK, CLIENT),
    unknown("ERR_BARCODE_OUTSTOCK", KL_E_OUT_OF_STOCK, PAGE),
    unknown("ERR_INVALID_VOUCHER_ID", KL_E_NOT_FOUND, PAGE),
    unknown("ERR_ORDER_NOT_EXIST", KL_E_NOT_FOUND, OPEN),
    unknown("ERR_DOOR_NOT_EXIST", KL_E_NOT_FOUND, OPEN),
    unknown("ERR_PARAMS", KL_E_PARAMETER, OPEN),
    unknown("ERR_CABINET_OFFLINE", KL_E_OFFLINE, OPEN),
    unknown("ERR_CABINET_NOT_SELLING", KL_E_NOT_READY, OPEN),
    unknown("ERR_CABINET_IN_USE", KL_E_NOT_READY, OPEN),
    unknown("ERR_CREDIT_NOT_ENOUGH", KL_E_NOT_READY, OPEN),
    GATEWAY[0], GATEWAY[1], GATEWAY[2], GATEWAY[3], GATEWAY[4], GATEWAY[5], GATEWAY[6], GATEWAY[7], GATEWAY[8],
];

/// [`TABLE`] as it ships.
pub(in crate::platform) static PACK: Pack<{ TABLE.len() }, { text_of(TABLE) }> = Pack::of(TABLE);

const fn not_done(name: &'static str, status: kl_status, source: &'static str, hint: &'static str) -> Row {
    Row { name, http: 0, status, proves: true, source, hint }
}

const fn unknown(name: &'static str, status: kl_status, source: &'static str) -> Row {
    Row { name, http: 0, status, proves: false, source, hint: "" }
}
