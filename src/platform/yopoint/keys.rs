//! The settings of an account on this platform.

use crate::settings::{Form, Key, key, secret};

/// The keys.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("app_id", Form::Text, "", "The developer's AppID, from the operator console or the merchant's dashboard."),
    secret(key("app_secret", Form::Text, "", "The developer's AppSecret. Yopoint: signs every request and verifies callbacks. Dingshang: sent as a header; signs nothing.")),
    secret(key("pay_key", Form::Text, "", "The payment sign key agreed with Yopoint. It signs payment reports and verifies payment callbacks.")),
    key("timestamp_unit", Form::OneOf(&["s", "ms"]), "s", "The unit of the signed timestamp: `s` as Yopoint's tables say, `ms` as its sample script does."),
    key("format", Form::OneOf(&["form", "json"]), "form", "How requests are written: `form` (urlencoded) or `json`."),
    key("own_trade_no", Form::YesNo, "yes", "`yes` sends a TradeNo of 24 digits that the library makes, when a door is opened without an `order_no` or an order is made without a `trade_no`: by it a command whose answer was lost is found again. The parameter is inferred; `no` if the platform refuses it."),
    key("machines", Form::OneOf(&["cabinets", "vending"]), "cabinets", "Which machines `kl_cabinet_list` and `kl_stock_fetch` are about: `cabinets` with doors, or `vending` machines. One account file may hold an account for each."),
    key("allow_http_report", Form::YesNo, "no", "`yes` permits payment reports to a NotifyUrl of plain http, whose network can read and change them. `base_url` stays https."),
];
