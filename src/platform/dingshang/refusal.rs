//! What the platform's codes mean. Two generations of numbers are published and never reconciled; which of them the
//! service sends is not known, so both are read, as the same statuses.

use crate::error::{Error, words};
use crate::status::*;

/// One code.
pub(super) struct Refusal {
    pub(super) code: i32,
    pub(super) status: kl_status,
    /// Whether it proves that nothing was done.
    pub(super) proves: bool,
    /// What it means, for a technician.
    pub(super) hint: &'static str,
}

const fn no(code: i32, status: kl_status, hint: &'static str) -> Refusal {
    Refusal { code, status, proves: true, hint }
}

/// May come when something was done already.
const fn open(code: i32, status: kl_status, hint: &'static str) -> Refusal {
    Refusal { code, status, proves: false, hint }
}

/// The code's entry.
pub(super) fn find(code: i32) -> Option<&'static Refusal> {
    TABLE.iter().find(|r| r.code == code)
}

/// The error for a code and the platform's words. Code 0 with other words than `ok` is a refusal too.
pub(super) fn error(code: i32, message: String) -> Error {
    let (status, hint) = match find(code) {
        Some(known) => (known.status, known.hint),
        None if code == 0 => by_words(&message),
        None => (KL_E_PLATFORM, "a code that is not published"),
    };
    let said = if message.is_empty() { "without a word".to_owned() } else { words(&message) };
    Error::new(status, format!("Dingshang refused, code {code}, {said}: {hint}")).with(|d| {
        d.platform_code = code;
        // Never empty: an error with neither code nor words would look like one without an answer.
        d.platform_message = if message.is_empty() { "-".to_owned() } else { message };
    })
}

/// The refusals that are documented with code 0, by their words.
fn by_words(message: &str) -> (kl_status, &'static str) {
    if message.contains("未支付") || message.contains("unpaid") {
        (KL_E_ORDER_STATE, "the order is not paid")
    } else if message.contains("超出货道最大库存") {
        (KL_E_PARAMETER, "more than the lane can hold")
    } else {
        (KL_E_PLATFORM, "a refusal without a code")
    }
}

const SWITCHED_OFF: &str = "pickup codes are switched off for this machine; switch them on in the dashboard";
const SIGN: &str =
    "the sign is wrong: is app_key the merchant key (not AppSecret), and does sign_value_encoding fit?";

#[rustfmt::skip]
pub(super) const TABLE: &[Refusal] = &[
    // Since 2024-04-12, five digits but for two.
    no(400, KL_E_PARAMETER, "the request was not understood"),
    no(404, KL_E_NOT_FOUND, "there is no such thing"),
    no(10001, KL_E_PARAMETER, "a parameter is missing or wrong"),
    no(10008, KL_E_AUTH, "app_id or app_secret did not arrive; does a proxy drop headers?"),
    no(10009, KL_E_ACCOUNT, "the merchant's account has expired; its owner must renew it"),
    no(10010, KL_E_ACCOUNT, "the merchant is not verified yet"),
    no(10013, KL_E_AUTH, "app_secret is wrong"),
    no(10014, KL_E_AUTH, "app_id is wrong"),
    no(10023, KL_E_PERMISSION, SWITCHED_OFF),
    no(10025, KL_E_CODE_USED, "the code was used before"),
    no(30001, KL_E_NOT_FOUND, "the merchant has no machine"),
    no(30002, KL_E_OFFLINE, "the machine is offline"),
    no(30003, KL_E_NOT_FOUND, "the merchant has no such machine"),
    no(30004, KL_E_NOT_READY, "the machine is not in operation"),
    no(40005, KL_E_ORDER_STATE, "the order has expired"),
    no(40006, KL_E_ORDER_STATE, "the order is in no state for this"),
    no(60002, KL_E_OUT_OF_STOCK, "the goods are off sale"),
    no(60003, KL_E_OUT_OF_STOCK, "too few of the goods are left"),
    no(80002, KL_E_NOT_FOUND, "there is no such record"),
    // Since 2024-06-12, four digits.
    no(1000, KL_E_AUTH, "not authorised; are app_id and app_secret right?"),
    no(4000, KL_E_AUTH, "app_id did not arrive; does a proxy drop headers?"),
    no(4001, KL_E_AUTH, "app_id is wrong"),
    no(4002, KL_E_PERMISSION, "the application is not supported"),
    no(4003, KL_E_PARAMETER, "a parameter is missing or wrong"),
    no(4004, KL_E_NOT_FOUND, "there is no such record"),
    no(4005, KL_E_PARAMETER, "the machine is installed already"),
    no(4006, KL_E_AUTH, SIGN),
    no(4007, KL_E_PARAMETER, "the install password is wrong"),
    no(4008, KL_E_OFFLINE, "the machine is offline"),
    no(4009, KL_E_AUTH, "app_secret is wrong"),
    no(5001, KL_E_NOT_READY, "the machine is being transferred"),
    no(5002, KL_E_PARAMETER, "the machine is not being transferred"),
    no(5003, KL_E_PARAMETER, "the target is the machine itself"),
    no(6001, KL_E_PARAMETER, "the IMEI is in use"),
    no(6002, KL_E_PERMISSION, "no permission to create"),
    no(6003, KL_E_PERMISSION, "no permission to delete"),
    no(6004, KL_E_PERMISSION, "no permission to update"),
    no(6005, KL_E_PERMISSION, "no permission to read"),
    no(6006, KL_E_NOT_READY, "the machine is being transferred"),
    no(6007, KL_E_PERMISSION, "the merchant belongs to somebody else"),
    no(6008, KL_E_PARAMETER, "too few machines for the target merchant"),
    no(6009, KL_E_PARAMETER, "the user name is in use"),
    no(6010, KL_E_PARAMETER, "the password does not match"),
    no(6011, KL_E_PARAMETER, "the password is empty"),
    no(6012, KL_E_PARAMETER, "the user name is empty"),
    no(6013, KL_E_PARAMETER, "the phone number or the role's name is in use"),
    // These two are published with two meanings each, and the second may come late.
    open(6014, KL_E_PLATFORM, "the e-mail is in use, or a token could not be made"),
    open(6015, KL_E_PLATFORM, "a QR code has expired, or the action took too long"),
    no(6016, KL_E_UNSUPPORTED, "the platform has no such path"),
    no(6017, KL_E_ACCOUNT, "the merchant's account has expired; its owner must renew it"),
    no(6018, KL_E_ACCOUNT, "the merchant is not verified yet"),
    no(6020, KL_E_AUTH, "app_id is wrong"),
    no(6021, KL_E_UNSUPPORTED, "the platform does not take this method here"),
    no(6022, KL_E_PARAMETER, "the merchant exists already"),
    no(6023, KL_E_ACCOUNT, "there is no such merchant"),
    no(6024, KL_E_PERMISSION, "no merchant may be created"),
    no(6025, KL_E_OFFLINE, "the machine is offline"),
    no(6026, KL_E_NOT_FOUND, "there is no such machine"),
    no(6027, KL_E_PARAMETER, "the IMEI is in use"),
    no(6028, KL_E_PARAMETER, "the machine still has goods"),
    no(6029, KL_E_PARAMETER, "expired_at is not valid"),
    no(6030, KL_E_DUPLICATE, "there is such a pickup code already"),
    no(6031, KL_E_PERMISSION, SWITCHED_OFF),
    no(6032, KL_E_CODE_EXPIRED, "the code has expired"),
    no(6033, KL_E_CODE_USED, "the code was used before"),
    no(6034, KL_E_ORDER_STATE, "the item was delivered before"),
    no(6035, KL_E_PARAMETER, "more pickup codes than the platform gives out for these goods"),
    no(6036, KL_E_PARAMETER, "there are not enough banners"),
    no(6037, KL_E_PARAMETER, "there are not enough models"),
    no(6038, KL_E_NOT_FOUND, "the machine has no such cabinet"),
    no(6039, KL_E_ACCOUNT, "the merchant is not valid"),
    // An earlier request under this number went through: what became of it is the question.
    open(6040, KL_E_DUPLICATE, "an order with this trade_id exists already"),
    no(6041, KL_E_PARAMETER, "trade_id is empty"),
    no(6042, KL_E_ORDER_STATE, "the order has expired"),
    no(6043, KL_E_ORDER_STATE, "the order is in no state for this"),
    no(6044, KL_E_PERMISSION, "permission denied"),
    no(6045, KL_E_NOT_FOUND, "the machine has no such goods"),
    no(6046, KL_E_OUT_OF_STOCK, "the goods are off sale"),
    no(6047, KL_E_OUT_OF_STOCK, "too few of the goods are left"),
    open(6048, KL_E_PLATFORM, "the order could not be made"),
    no(6049, KL_E_ORDER_STATE, "the order was paid before"),
    no(6050, KL_E_PLATFORM, "nothing was added to the cart"),
    no(6051, KL_E_PLATFORM, "nothing was taken from the cart"),
    no(6052, KL_E_PARAMETER, "the cart is empty"),
    open(6053, KL_E_PLATFORM, "the payment failed"),
    no(6054, KL_E_ORDER_STATE, "the order is not paid"),
    no(6055, KL_E_PARAMETER, "the model is in use"),
    no(6056, KL_E_OUT_OF_STOCK, "the goods are not for sale"),
];
