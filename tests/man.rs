//! The man pages of the C interface, `docs/man`, which are made of the header: whole, and read without complaint.

mod common;

use common::*;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

fn pages() -> Vec<PathBuf> {
    let all = std::fs::read_dir(root().join("docs/man")).unwrap();
    let mut all: Vec<PathBuf> = all.map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all.push(root().join("docs/kiosklink.1"));
    all
}

#[test]
fn every_function_and_type_has_its_page() {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let names = text.split(".SH NAME\n").nth(1).unwrap().lines().next().unwrap();
        let (names, what) = names.split_once(" \\- ").unwrap_or_else(|| panic!("{}", page.display()));
        assert!(!what.is_empty());
        for name in names.split(", ") {
            *places.entry(name.to_owned()).or_default() += 1;
            assert!(name == "kiosklink" || text.contains(&format!("\n.SS {name}\n")), "{name}");
        }
    }
    let layout = std::fs::read_to_string(root().join("abi/layout.json")).unwrap();
    let layout: serde_json::Value = serde_json::from_str(&layout).unwrap();
    let mut wanted = 1;
    for kind in ["functions", "structs", "callbacks", "typedefs"] {
        for name in layout[kind].as_object().unwrap().keys() {
            assert_eq!(places.get(name), Some(&1), "{name}");
            wanted += 1;
        }
    }
    for name in layout["opaque"].as_array().unwrap() {
        assert_eq!(places.get(name.as_str().unwrap()), Some(&1), "{name}");
        wanted += 1;
    }
    assert_eq!(places.len(), wanted);
    // And every constant is explained.
    let all: String = pages().iter().map(|page| std::fs::read_to_string(page).unwrap()).collect();
    for name in layout["constants"].as_object().unwrap().keys() {
        assert!(all.contains(&format!("\n\\fB{name}\\fR ")), "{name}");
    }
}

/// groff with all its warnings; mandoc where it is.
#[test]
fn the_formatters_find_nothing_to_complain_of() {
    for page in pages() {
        let (code, text) = run(Command::new("groff").args(["-man", "-Tutf8", "-ww", "-z"]).arg(&page));
        assert_eq!((code, text.as_str()), (0, ""), "{}", page.display());
        let lint = Command::new("mandoc")
            .args(["-T", "lint", "-W", "error"])
            .arg(&page)
            .stdin(Stdio::null())
            .output();
        if let Ok(out) = lint {
            assert!(out.status.success(), "{}: {}", page.display(), String::from_utf8_lossy(&out.stdout));
        }
    }
}

#[test]
fn what_is_shown_is_what_the_comment_says() {
    let page = root().join("docs/man/kiosklink-doors.3");
    let mut shown = Command::new("groff");
    shown.args(["-man", "-Tascii", "-P-cbou", "-rLL=200n"]).arg(page);
    let (code, text) = run(&mut shown);
    assert_eq!(code, 0, "{text}");
    for part in [
        "kl_outcome kl_door_open(kl_client *client,",
        "KL_DONE: the platform took the command, and out holds it.",
        "struct_size (uint32_t)",
        "KL_DOOR_STATE_OPEN 1",
        "fills in struct_size and zeroes the rest.",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("\\f") && !text.contains('`'), "{text}");
}
