//! Which module may know which: rooms lower down never know those above. `docs/internals/modules.md` shows the same table.

mod common;

use common::root;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Each module with those that it may use. A module stands above all that it names.
const ALLOWED: &[(&str, &str)] = &[
    ("ffi", "callback cancel client command config error event log model process status sys time"),
    ("callback", "client error event model status transport wire"),
    (
        "client",
        "cancel command config error event log model platform process status store switch sys time token transport wire",
    ),
    ("token", "error log platform process status store time"),
    ("config", "error json log platform settings status transport"),
    ("platform", "command error event json model settings status switch time transport wire"),
    ("command", "cancel error json log model process status store switch sys time wire"),
    ("store", "error json log model process status switch sys time wire"),
    ("transport", "cancel error log process status switch sys time wire"),
    ("event", "model"),
    ("settings", "error status"),
    ("model", "error status"),
    ("json", "error status wire"),
    ("time", "error log process status sys wire"),
    ("cancel", "error status sys"),
    ("wording", "error status"),
    ("error", "log status wire"),
    ("log", "process"),
    ("process", "sys"),
    ("sys", ""),
    ("status", ""),
    ("wire", ""),
    ("switch", ""),
];

fn sources(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|e| e == "rs") {
            all.push(path);
        }
    }
}

/// The module at the top that a file belongs to.
fn module(file: &Path) -> String {
    let first = file.strip_prefix(root().join("src")).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The library's files with their text, without comments and without the tests in them.
fn library() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let is_test = |p: &PathBuf| {
        let name = p.file_stem().unwrap().to_str().unwrap();
        name.ends_with("tests") || name.ends_with("_trials")
    };
    files.retain(|p| !is_test(p) && !p.ends_with("lib.rs"));
    files.sort();
    let text = |p: &PathBuf| {
        let text = std::fs::read_to_string(p).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
        text.lines().map(|l| l.split("//").next().unwrap().to_owned() + "\n").collect()
    };
    files.iter().map(|p| (p.clone(), text(p))).collect()
}

/// The names behind `prefix` in a text, also of a list in braces.
fn named(text: &str, prefix: &str) -> BTreeSet<String> {
    let word =
        |s: &str| s.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned();
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices(prefix) {
        let rest = &text[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(list) => names.extend(list.split('}').next().unwrap().split(',').map(word)),
            None => drop(names.insert(word(rest))),
        }
    }
    names
}

#[test]
fn no_module_knows_one_above_it() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        ALLOWED.iter().map(|(from, to)| (*from, to.split_whitespace().collect())).collect();
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut forbidden = Vec::new();
    for (file, text) in library() {
        let from = module(&file);
        let mut names = named(&text, "crate::");
        if file.parent().unwrap().ends_with("src") {
            names.extend(named(&text, "super::"));
        }
        // What is read and written on the wire is a package of its own.
        if text.contains("kiosklink_wire") {
            names.insert("wire".into());
        }
        names.remove(&from);
        let Some(may) = allowed.get(from.as_str()) else { panic!("{from} is not in the table") };
        for to in &names {
            if !may.contains(to.as_str()) {
                forbidden.push(format!("{}: {from} must not use {to}", file.display()));
            }
        }
        used.entry(from).or_default().extend(names);
    }
    assert!(forbidden.is_empty(), "{}", forbidden.join("\n"));
    // Nothing is allowed that is not used, so that the table says what is.
    for (from, may) in &allowed {
        for to in may {
            assert!(used[*from].contains(*to), "{from} does not use {to} any more: take it out of the table");
        }
    }
    // And there is no circle: whoever is named stands further down.
    let place = |name: &str| ALLOWED.iter().position(|(n, _)| *n == name).unwrap();
    for (from, to) in ALLOWED {
        for to in to.split_whitespace() {
            assert!(place(from) < place(to), "{from} stands below {to}");
        }
    }
}

#[test]
fn the_documentation_shows_the_table() {
    let page = std::fs::read_to_string(root().join("docs/internals/modules.md")).unwrap();
    for (from, to) in ALLOWED {
        let to: Vec<String> = to.split_whitespace().map(|name| format!("`{name}`")).collect();
        let row = format!("| `{from}` | {} |", to.join(", "));
        assert!(page.contains(&row), "docs/internals/modules.md lacks\n{row}");
    }
    assert_eq!(page.lines().filter(|l| l.starts_with("| `")).count(), ALLOWED.len());
}

/// Names that two types still bear, each to be taken away.
const TWICE: &[&str] = &["Answer", "Found", "Kept", "Record", "Request", "Row"];

/// Types that other modules can see; what a module keeps to itself may have any name.
#[test]
fn no_two_types_have_one_name() {
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut twice = BTreeMap::new();
    for (file, text) in library() {
        for line in text.lines() {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty());
            let visible = words.next() == Some("pub");
            let mut words = words.skip_while(|w| matches!(*w, "crate" | "super" | "unsafe"));
            if !visible || !matches!(words.next(), Some("struct" | "enum" | "trait" | "type" | "union")) {
                continue;
            }
            let name = words.next().unwrap().to_owned();
            if let Some(first) = seen.insert(name.clone(), file.clone()) {
                twice.insert(name, format!("{} and {}", first.display(), file.display()));
            }
        }
    }
    assert!(seen.len() > 100, "only {} types were found", seen.len());
    assert_eq!(twice.keys().collect::<Vec<_>>(), TWICE, "{twice:#?}");
}
