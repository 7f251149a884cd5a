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
