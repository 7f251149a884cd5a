//! What the targets share.

use kiosklink::client::Client;
use kiosklink::config::Config;
use kiosklink::error::Error;
use kiosklink::platform::{self, Platform};
use kiosklink::status;

/// Every platform, and Zhiyun once more in XML.
pub fn platforms() -> Vec<Box<dyn Platform>> {
    [("yopoint", "json"), ("dingshang", ""), ("youzan", ""), ("zhiyun", "json"), ("zhiyun", "xml")]
        .map(|(name, format)| platform::make(&config(name, format)).expect("settings"))
        .into()
}

/// One account on each platform that sends callbacks.
pub fn clients() -> Vec<Client> {
    ["yopoint", "dingshang", "youzan"].map(|name| Client::new(&config(name, "")).expect("settings")).into()
}

fn config(name: &str, format: &str) -> Config {
    let mut config = Config::new(name).expect("a platform");
    for (key, value) in [
        ("base_url", "https://p.example"),
        ("app_id", "1"),
        ("app_secret", "fuzz-app-secret!"),
        ("app_key", "fuzz-app-key"),
        ("pay_key", "fuzz-pay-key"),
        ("client_id", "1100000001"),
        ("client_secret", "fuzz-client-secret"),
        ("grant_id", "2"),
        ("access_token", "fuzz0access0token"),
        ("format", format),
        ("state_dir", "none"),
    ] {
        // Each platform has some of these keys.
        let _ = config.set(key, value);
    }
    config
}

/// What every error must be.
pub fn check(error: &Error) {
    let d = error.details();
    assert!(d.status != status::KL_OK && status::name(d.status).is_some());
    assert!(!d.message.trim().is_empty() && !d.message.contains('\0') && d.message.len() < 600);
    assert!(!d.message.contains("fuzz-"));
}
