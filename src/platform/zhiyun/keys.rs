//! The settings of an account on this platform.

use crate::settings::{Form, Key, key, secret};

/// The keys.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("client_id", Form::Text, "", "The client_id, 10 digits."),
    secret(key("client_secret", Form::Text, "", "The client_secret. Sent with every call (Basic).")),
    secret(key("access_token", Form::Text, "", "The user's access token, from a login with the vendor's desktop program; a person renews it about every three months.")),
    key("format", Form::OneOf(&["json", "xml"]), "json", "How answers are written: `json` or `xml`."),
];
