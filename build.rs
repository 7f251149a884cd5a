//! Puts the build's own facts where the code can read them. Needs no network and no tool.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    // The floor under every certificate check: no build can run before it was made.
    let time = env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|s| s.trim().parse::<u64>().ok())
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()));
    println!("cargo::rustc-env=KIOSKLINK_BUILD_TIME={time}");
    println!("cargo::rustc-env=KIOSKLINK_TARGET={}", env::var("TARGET").unwrap_or_default());
    println!("cargo::rustc-env=KIOSKLINK_PROFILE={}", env::var("PROFILE").unwrap_or_default());
}
