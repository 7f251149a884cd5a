//! Puts the build's own facts where the code can read them. Needs no network and no tool.

use std::collections::HashMap;
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
/// subject, its key, its name constraints or nothing, each behind its length in two bytes; what occurs twice stands once.
fn pack_roots() {
    let mut all = Vec::new();
    for root in webpki_roots::TLS_SERVER_ROOTS {
        let constraints = root.name_constraints.as_ref().map_or(&[][..], |c| c.as_ref());
        for part in [root.subject.as_ref(), root.subject_public_key_info.as_ref(), constraints] {
            all.extend(u16::try_from(part.len()).expect("a root of more than 64 KiB").to_be_bytes());
            all.extend(part);
        }
    }
    let folder = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&folder).join("roots"), packed(&all)).expect("OUT_DIR can be written to");
}

/// As `src/transport/roots.rs` unpacks it, in the fewest bytes that this format allows.
fn packed(bytes: &[u8]) -> Vec<u8> {
    const LEAST: usize = 4;
    const MOST: usize = LEAST + 127;
    let mut longest = vec![(0, 0); bytes.len()];
    let mut seen: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for at in 0..bytes.len().saturating_sub(LEAST) {
        let earlier = seen.entry(&bytes[at..at + LEAST]).or_default();
        for from in earlier.iter().copied().filter(|from| at - from <= usize::from(u16::MAX)) {
            let same = bytes[from..at].iter().zip(&bytes[at..]).take_while(|(a, b)| a == b).count().min(MOST);
            if same > longest[at].0 {
                longest[at] = (same, at - from);
            }
        }
        earlier.push(at);
    }
    // From the end: how few bytes the rest needs, if a command begins here, and if bytes are being taken.
    let mut fresh = vec![0; bytes.len() + 1];
    let mut taking = vec![usize::MAX / 2; bytes.len() + 1];
    let mut copied = vec![0; bytes.len()];
    for at in (0..bytes.len()).rev() {
        taking[at] = 1 + fresh[at + 1].min(taking[at + 1]);
        fresh[at] = 1 + taking[at];
        for len in LEAST..=longest[at].0 {
            if 3 + fresh[at + len] < fresh[at] {
                (fresh[at], copied[at]) = (3 + fresh[at + len], len);
            }
        }
    }
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if copied[at] > 0 {
            out.push(u8::try_from(copied[at] - LEAST + 128).expect("at most 255"));
            out.extend(u16::try_from(longest[at].1).expect("within 64 KiB").to_be_bytes());
            at += copied[at];
            continue;
        }
        let begin = at;
        at += 1;
        while at < bytes.len() && at - begin < 128 && taking[at] < fresh[at] {
            at += 1;
        }
        out.push(u8::try_from(at - begin - 1).expect("at most 127"));
        out.extend(&bytes[begin..at]);
    }
    out
}
