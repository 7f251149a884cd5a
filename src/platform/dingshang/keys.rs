//! The settings of an account on this platform.

use crate::settings::{Form, Key, key, secret};

/// The keys.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("app_id", Form::Text, "", "The developer's AppID, from the operator console or the merchant's dashboard."),
    secret(key("app_secret", Form::Text, "", "The developer's AppSecret. Yopoint: signs every request and verifies callbacks. Dingshang: sent as a header; signs nothing.")),
    secret(key("app_key", Form::Text, "", "The merchant key (AppKey, older: merchant_id) from the dashboard. It signs every payload; it is neither AppID nor AppSecret.")),
    key("sign_value_encoding", Form::OneOf(&["raw", "query"]), "raw", "How values stand in the signed text: `raw` as in every genuine sample, `query` (URL-encoded) as in the vendor's newer library. Try it if only calls with times or addresses are refused."),
];
