//! Puts the build's own facts where the code can read them. Needs no network and no tool.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The linker reads it: scripts/link-versioned.
    println!("cargo::rerun-if-changed=abi/kiosklink.map");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    // The floor under every certificate check: no build can run before it was made.
    let time = env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|s| s.trim().parse::<u64>().ok())
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()));
    println!("cargo::rustc-env=KIOSKLINK_BUILD_TIME={time}");
    println!("cargo::rustc-env=KIOSKLINK_TARGET={}", env::var("TARGET").unwrap_or_default());
    // cargo names no shared library; the number is the ABI's, not the version's. It must not be unloaded: std keeps
    // thread-locals whose destructors would be gone.
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-link-arg=-Wl,-soname,libkiosklink.so.1");
        println!("cargo::rustc-link-arg=-Wl,-z,nodelete");
    }
    println!("cargo::rustc-env=KIOSKLINK_PROFILE={}", env::var("PROFILE").unwrap_or_default());
}
