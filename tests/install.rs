//! What a user of the installed library does, outside of this folder: `scripts/check-install` tells.

mod common;

use common::*;
use std::process::Command;

#[test]
fn programs_build_against_what_is_installed_and_released() {
    let (code, text) = run(&mut Command::new(root().join("scripts/check-install")));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(" programs ran, built against kiosklink "), "{text}");
}

/// What packagers copy from us by hand in other projects, kept true here.
#[test]
fn recipes_and_metadata_are_of_this_version() {
    let read =
        |path: &str| std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let (version, abi) = (env!("CARGO_PKG_VERSION"), kiosklink::ffi::library::KL_ABI_VERSION);
    let yocto = format!("packaging/yocto/kiosklink_{version}.bb");
    for (file, part) in [
        ("packaging/buildroot/package/kiosklink/kiosklink.mk", format!("KIOSKLINK_VERSION = {version}\n")),
        ("packaging/openwrt/kiosklink/Makefile", format!("PKG_VERSION:={version}\n")),
        ("packaging/openwrt/kiosklink/Makefile", format!("ABI_VERSION:={abi}\n")),
        // cargo-c makes the SONAME of it.
        ("Cargo.toml", format!("[package.metadata.capi.library]\nversion = \"{abi}.0.0\"\n")),
        (&yocto, format!("LICENSE-MIT;md5={}", md5(&read("LICENSE-MIT")))),
        (&yocto, format!("LICENSE-APACHE;md5={}", md5(&read("LICENSE-APACHE")))),
    ] {
        assert!(read(file).contains(&part), "{file} does not say {part:?}");
    }
}

fn md5(text: &str) -> String {
    use md5::{Digest, Md5};
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
