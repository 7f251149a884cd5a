//! Puts the build's own facts where the code can read them. Needs no network and no tool.

use std::env;
use std::fs;
use std::path::Path;
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
    pack_roots();
    println!("cargo::rustc-env=KIOSKLINK_PROFILE={}", env::var("PROFILE").unwrap_or_default());
}

/// The certificate roots as bytes without pointers, of which each costs a relocation at every start: of each root its
/// subject, its key, its name constraints or nothing, each behind its length in two bytes.
fn pack_roots() {
    let mut packed = Vec::new();
    for root in webpki_roots::TLS_SERVER_ROOTS {
        let constraints = root.name_constraints.as_ref().map_or(&[][..], |c| c.as_ref());
        for part in [root.subject.as_ref(), root.subject_public_key_info.as_ref(), constraints] {
            packed.extend(u16::try_from(part.len()).expect("a root of more than 64 KiB").to_be_bytes());
            packed.extend(part);
        }
    }
    let folder = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&folder).join("roots"), packed).expect("OUT_DIR can be written to");
}
