#![no_main]

use kiosklink::time::clock::parse_http_date;
use kiosklink::transport::{Proxy, Url, parse_pin};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(url) = Url::parse(text) {
        assert!(url.path_and_query.starts_with('/') && !url.host.is_empty());
    }
    let _ = (Proxy::parse(text), parse_pin(text), parse_http_date(text));
});
