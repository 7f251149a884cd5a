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
    let hashes = "packaging/buildroot/package/kiosklink/kiosklink.hash".to_owned();
    for (file, part) in [
        ("packaging/buildroot/package/kiosklink/kiosklink.mk", format!("KIOSKLINK_VERSION = {version}\n")),
        ("packaging/openwrt/kiosklink/Makefile", format!("PKG_VERSION:={version}\n")),
        ("packaging/openwrt/kiosklink/Makefile", format!("ABI_VERSION:={abi}\n")),
        // cargo-c makes the SONAME of it.
        ("Cargo.toml", format!("[package.metadata.capi.library]\nversion = \"{abi}.0.0\"\n")),
        // The profile that other systems' variables do not reach.
        ("packaging/buildroot/package/kiosklink/kiosklink.mk", "PROFILE=image\n".to_owned()),
        ("packaging/openwrt/kiosklink/Makefile", "PROFILE=image\n".to_owned()),
        (&yocto, "PROFILE=image ".to_owned()),
        (&hashes, format!("sha256  {}  LICENSE-MIT\n", sha256(&read("LICENSE-MIT")))),
        (&hashes, format!("sha256  {}  LICENSE-APACHE\n", sha256(&read("LICENSE-APACHE")))),
        (&yocto, format!("LICENSE-MIT;md5={}", md5(&read("LICENSE-MIT")))),
        (&yocto, format!("LICENSE-APACHE;md5={}", md5(&read("LICENSE-APACHE")))),
    ] {
        assert!(read(file).contains(&part), "{file} does not say {part:?}");
    }
}

/// Cargo takes what a profile does not say from the one it inherits, and that one from the environment: `image` says all that matters.
#[test]
fn the_profile_for_images_is_release_and_leaves_nothing_to_the_environment() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let sections = |profile: &str| -> Vec<(String, Vec<String>)> {
        let head = format!("[profile.{profile}");
        let of_it = manifest.split("\n\n").filter_map(|part| {
            let at = part.lines().position(|line| line.starts_with(&head))?;
            let name = part.lines().nth(at)?.strip_prefix(&head)?.to_owned();
            Some((name, part.lines().skip(at + 1).map(str::to_owned).collect()))
        });
        of_it.collect()
    };
    let (release, image) = (sections("release"), sections("image"));
    assert_eq!(release.len(), image.len(), "{release:?} {image:?}");
    for ((name, lines), (other, says)) in release.iter().zip(&image) {
        assert_eq!(name, other);
        assert!(!lines.is_empty());
        for line in lines {
            assert!(says.contains(line), "[profile.image{name} does not say {line}");
        }
    }
    // What Buildroot sets for every package.
    let keys = [
        "incremental",
        "codegen-units",
        "split-debuginfo",
        "opt-level",
        "lto",
        "debug",
        "debug-assertions",
        "overflow-checks",
    ];
    for key in keys {
        let said = image[0].1.iter().any(|line| line.starts_with(&format!("{key} = ")));
        assert!(said, "[profile.image] leaves {key} to CARGO_PROFILE_RELEASE_...");
    }
}

fn sha256(text: &str) -> String {
    ring::digest::digest(&ring::digest::SHA256, text.as_bytes())
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn md5(text: &str) -> String {
    use md5::{Digest, Md5};
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
