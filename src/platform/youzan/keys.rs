//! The settings of an account on this platform.

use crate::settings::{Form, Key, key, secret};

/// The keys.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("client_id", Form::Text, "", "The application's client_id."),
    secret(key("client_secret", Form::Text, "", "The application's client_secret. It fetches tokens and verifies messages.")),
    key("grant_id", Form::Text, "", "The shop that authorised the application (kdt_id)."),
    key("sole_redeemer", Form::YesNo, "no", "`yes` declares that only this kiosk redeems codes of this shop: no other kiosk, no shop assistant, no other program. A code that was used while a lost request could be carried out then counts as redeemed by it. A false declaration gives goods out twice."),
];
