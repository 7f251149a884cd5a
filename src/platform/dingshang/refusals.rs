//! What the platform's refusals mean. Two generations of numbers are published and never reconciled; which of them the
//! service sends is not known, so both are read, as the same statuses.
//!
//! A code proves *not done* only where its words say what was checked before acting: who asks, the parameters, a permission, the
//! state of the order, the stock. What may also come after the platform began to act (a machine that is offline, a thing that
//! exists already, an action that failed) proves nothing.

use crate::error::{Error, Outcome, words};
use crate::platform::refusals::{GATEWAY, Pack, Refusals, Row, text_of};
use crate::status::*;

// The pages, in the vendor's repository <https://github.com/dsjsdz/docs>, at the parent of commit 1408708 unless said
// otherwise.
const AUTH: &str = "docs/open/auth.md";
const CREATE: &str = "docs/open/pickup_code_create.md";
const CONSUME: &str = "docs/open/pickup_code_consume.md";
const LISTED: &str = "docs/open/pickup_code_get.md";
const CANCEL: &str = "docs/open/pickup_code_delete.md";
const MACHINES: &str = "docs/open/machines.md";
const READS: &str = "docs/open/machine.md, products.md, floors.md";
const ORDER: &str = "docs/open/order_get.md";
const UPDATE: &str = "docs/open/order_update.md";
const MAKE: &str = "docs/open/order_create.md";
const DELIVER: &str = "docs/open/delivery_put.md";
const QUERY: &str = "docs/open/delivery_get.md";
const LANE: &str = "docs/open/delivery_test.md";
const RESTOCK: &str = "docs/open/replenishment.md";
const OLD: &str = "docs/error_code.md at e72aba0";
const TABLE: &str = "docs/zh-CN/error_code.md since 94adc59";

const fn no(name: &'static str, status: kl_status, source: &'static str, hint: &'static str) -> Row {
    Row { name, http: 0, status, proves: true, source, hint }
}

/// May come when something was done already.
const fn open(name: &'static str, status: kl_status, source: &'static str, hint: &'static str) -> Row {
    Row { name, http: 0, status, proves: false, source, hint }
}

const SWITCHED_OFF: &str = "pickup codes are switched off for this machine; switch them on in the dashboard";
const SIGN: &str =
    "the sign is wrong: is app_key the merchant key (not AppSecret), and does sign_value_encoding fit?";

/// As much of a sentence is taken for a name. No published one is longer.
const LONGEST_NAME: usize = 120;

/// The error for a code and the platform's words. Code 0 with other words than `ok` is a refusal too: its name is the whole
/// sentence.
pub(super) fn error(table: &Refusals, http: u16, code: i64, message: String) -> Error {
    let number = code.to_string();
    let name = match code {
        0 if (1..=LONGEST_NAME).contains(&message.len()) => message.clone(),
        _ => number.clone(),
    };
    let meaning = table.meaning(http, &name);
    let (status, hint) = match meaning {
        Some(known) => (known.status, known.hint),
        None if http == 429 => (KL_E_RATE_LIMIT, "too many calls"),
        None if code == 0 => (KL_E_PLATFORM, "a refusal without a code"),
        None => (KL_E_PLATFORM, "a code that is not published"),
    };
    let said = if message.is_empty() { "without a word".to_owned() } else { words(&message) };
    let sentence = ["Dingshang refused, code ", &number, ", ", &said, ": ", hint].concat();
    Error::new(status, sentence).with(|d| {
        d.http_status = http.into();
        d.platform_code = i32::try_from(code).unwrap_or(0);
        d.platform_name = name;
        d.platform_message = message;
        if meaning.is_some_and(|m| m.proves) {
            d.outcome = Outcome::NotDone;
        }
    })
}

#[rustfmt::skip]
pub(in crate::platform) const ROWS: &[Row] = &[
    // Since 2024-04-12, five digits but for two.
    // What a framework answers to whatever went wrong, at any moment.
    open("400", KL_E_PARAMETER, OLD, "the request was not understood"),
    open("404", KL_E_NOT_FOUND, QUERY, "there is no such thing"),
    no("10001", KL_E_PARAMETER, OLD, "a parameter is missing or wrong"),
    no("10008", KL_E_AUTH, AUTH, "app_id or app_secret did not arrive; does a proxy drop headers?"),
    no("10009", KL_E_ACCOUNT, OLD, "the merchant's account has expired; its owner must renew it"),
    no("10010", KL_E_ACCOUNT, OLD, "the merchant is not verified yet"),
    no("10013", KL_E_AUTH, OLD, "app_secret is wrong"),
    no("10014", KL_E_AUTH, AUTH, "app_id is wrong"),
    no("10023", KL_E_PERMISSION, CREATE, SWITCHED_OFF),
    // Perhaps by our own request, whose answer was lost: the order tells (recovery.rs).
    open("10025", KL_E_CODE_USED, CONSUME, "the code was used before"),
    no("30001", KL_E_NOT_FOUND, MACHINES, "the merchant has no machine"),
    // Found out before or after the command was queued for it: not said.
    open("30002", KL_E_OFFLINE, READS, "the machine is offline"),
    no("30003", KL_E_NOT_FOUND, LISTED, "the merchant has no such machine"),
    no("30004", KL_E_NOT_READY, OLD, "the machine is not in operation"),
    no("40005", KL_E_ORDER_STATE, ORDER, "the order has expired"),
    no("40006", KL_E_ORDER_STATE, UPDATE, "the order is in no state for this"),
    no("60002", KL_E_OUT_OF_STOCK, MAKE, "the goods are off sale"),
    no("60003", KL_E_OUT_OF_STOCK, LANE, "too few of the goods are left"),
    no("80002", KL_E_NOT_FOUND, CANCEL, "there is no such record"),
    // Since 2024-06-12, four digits.
    no("1000", KL_E_AUTH, TABLE, "not authorised; are app_id and app_secret right?"),
    no("4000", KL_E_AUTH, TABLE, "app_id did not arrive; does a proxy drop headers?"),
    no("4001", KL_E_AUTH, TABLE, "app_id is wrong"),
    no("4002", KL_E_PERMISSION, TABLE, "the application is not supported"),
    no("4003", KL_E_PARAMETER, TABLE, "a parameter is missing or wrong"),
    no("4004", KL_E_NOT_FOUND, TABLE, "there is no such record"),
    // What is there or in use already may be so by this very request.
    open("4005", KL_E_PARAMETER, TABLE, "the machine is installed already"),
    no("4006", KL_E_AUTH, TABLE, SIGN),
    no("4007", KL_E_PARAMETER, TABLE, "the install password is wrong"),
    open("4008", KL_E_OFFLINE, TABLE, "the machine is offline"),
    no("4009", KL_E_AUTH, TABLE, "app_secret is wrong"),
    no("5001", KL_E_NOT_READY, TABLE, "the machine is being transferred"),
    no("5002", KL_E_PARAMETER, TABLE, "the machine is not being transferred"),
    no("5003", KL_E_PARAMETER, TABLE, "the target is the machine itself"),
    open("6001", KL_E_PARAMETER, TABLE, "the IMEI is in use"),
    no("6002", KL_E_PERMISSION, TABLE, "no permission to create"),
    no("6003", KL_E_PERMISSION, TABLE, "no permission to delete"),
    no("6004", KL_E_PERMISSION, TABLE, "no permission to update"),
    no("6005", KL_E_PERMISSION, TABLE, "no permission to read"),
    no("6006", KL_E_NOT_READY, TABLE, "the machine is being transferred"),
    no("6007", KL_E_PERMISSION, TABLE, "the merchant belongs to somebody else"),
    no("6008", KL_E_PARAMETER, TABLE, "too few machines for the target merchant"),
    open("6009", KL_E_PARAMETER, TABLE, "the user name is in use"),
    no("6010", KL_E_PARAMETER, TABLE, "the password does not match"),
    no("6011", KL_E_PARAMETER, TABLE, "the password is empty"),
    no("6012", KL_E_PARAMETER, TABLE, "the user name is empty"),
    open("6013", KL_E_PARAMETER, TABLE, "the phone number or the role's name is in use"),
    // Published with two meanings each, and the second may come late.
    open("6014", KL_E_PLATFORM, TABLE, "the e-mail is in use, or a token could not be made"),
    open("6015", KL_E_PLATFORM, TABLE, "a QR code has expired, or the action took too long"),
    no("6016", KL_E_UNSUPPORTED, TABLE, "the platform has no such path"),
    no("6017", KL_E_ACCOUNT, TABLE, "the merchant's account has expired; its owner must renew it"),
    no("6018", KL_E_ACCOUNT, TABLE, "the merchant is not verified yet"),
    no("6020", KL_E_AUTH, TABLE, "app_id is wrong"),
    no("6021", KL_E_UNSUPPORTED, TABLE, "the platform does not take this method here"),
    open("6022", KL_E_PARAMETER, TABLE, "the merchant exists already"),
    no("6023", KL_E_ACCOUNT, TABLE, "there is no such merchant"),
    no("6024", KL_E_PERMISSION, TABLE, "no merchant may be created"),
    open("6025", KL_E_OFFLINE, TABLE, "the machine is offline"),
    no("6026", KL_E_NOT_FOUND, TABLE, "there is no such machine"),
    open("6027", KL_E_PARAMETER, TABLE, "the IMEI is in use"),
    no("6028", KL_E_PARAMETER, TABLE, "the machine still has goods"),
    no("6029", KL_E_PARAMETER, TABLE, "expired_at is not valid"),
    // Perhaps the codes that this very request made.
    open("6030", KL_E_DUPLICATE, TABLE, "there is such a pickup code already"),
    no("6031", KL_E_PERMISSION, TABLE, SWITCHED_OFF),
    no("6032", KL_E_CODE_EXPIRED, TABLE, "the code has expired"),
    open("6033", KL_E_CODE_USED, TABLE, "the code was used before"),
    no("6034", KL_E_ORDER_STATE, TABLE, "the item was delivered before"),
    no("6035", KL_E_PARAMETER, TABLE, "more pickup codes than the platform gives out for these goods"),
    no("6036", KL_E_PARAMETER, TABLE, "there are not enough banners"),
    no("6037", KL_E_PARAMETER, TABLE, "there are not enough models"),
    no("6038", KL_E_NOT_FOUND, TABLE, "the machine has no such cabinet"),
    no("6039", KL_E_ACCOUNT, TABLE, "the merchant is not valid"),
    // An earlier request under this number went through: what became of it is the question.
    open("6040", KL_E_DUPLICATE, TABLE, "an order with this trade_id exists already"),
    no("6041", KL_E_PARAMETER, TABLE, "trade_id is empty"),
    no("6042", KL_E_ORDER_STATE, TABLE, "the order has expired"),
    no("6043", KL_E_ORDER_STATE, TABLE, "the order is in no state for this"),
    no("6044", KL_E_PERMISSION, TABLE, "permission denied"),
    no("6045", KL_E_NOT_FOUND, TABLE, "the machine has no such goods"),
    no("6046", KL_E_OUT_OF_STOCK, TABLE, "the goods are off sale"),
    no("6047", KL_E_OUT_OF_STOCK, TABLE, "too few of the goods are left"),
    open("6048", KL_E_PLATFORM, TABLE, "the order could not be made"),
    // Perhaps by the report that is asked about.
    open("6049", KL_E_ORDER_STATE, TABLE, "the order was paid before"),
    open("6050", KL_E_PLATFORM, TABLE, "nothing was added to the cart"),
    open("6051", KL_E_PLATFORM, TABLE, "nothing was taken from the cart"),
    no("6052", KL_E_PARAMETER, TABLE, "the cart is empty"),
    open("6053", KL_E_PLATFORM, TABLE, "the payment failed"),
    no("6054", KL_E_ORDER_STATE, TABLE, "the order is not paid"),
    open("6055", KL_E_PARAMETER, TABLE, "the model is in use"),
    no("6056", KL_E_OUT_OF_STOCK, TABLE, "the goods are not for sale"),
    // With code 0 the sentence is the name.
    no("订单未支付", KL_E_ORDER_STATE, DELIVER, "the order is not paid"),
    no("超出货道最大库存", KL_E_PARAMETER, RESTOCK, "more than the lane can hold"),
    // Of several lanes others may have been filled.
    open("1 个货道库存更新失败, 超出货道最大库存", KL_E_PARAMETER, RESTOCK, "more than one of the lanes can hold"),
    // In front of the service.
    GATEWAY[0], GATEWAY[1], GATEWAY[2], GATEWAY[3], GATEWAY[4], GATEWAY[5], GATEWAY[6], GATEWAY[7], GATEWAY[8],
];

/// [`ROWS`] as it ships.
pub(in crate::platform) static PACK: Pack<{ ROWS.len() }, { text_of(ROWS) }> = Pack::of(ROWS);
