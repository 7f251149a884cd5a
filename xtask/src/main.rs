//! Chores of this repository. `cargo run -p xtask -- help` lists them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

mod api;
mod arrange;
mod codes;
mod compare;
mod header;
mod layout;
mod man;
mod nodes;
mod platforms;

const HELP: &str = "\
xtask header           write src/status.rs, include/*.h, abi/exports.txt, abi/kiosklink.map, abi/layout.json, docs/api.md and docs/man from the Rust sources
xtask header --check   fail if one of them differs from what the sources say, or breaks what was promised
xtask baseline         promise what abi/layout.json says under this ABI number: write abi/baseline-N.json
xtask platforms        run the tests that tests/platforms.tsv names; fail if what it lists is not exercised";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["header"] => written(false),
        ["header", "--check"] => written(true),
        ["baseline"] => baseline(),
        ["platforms"] => platforms::check(&root()),
        ["help"] | ["--help"] => {
            println!("{HELP}");
            Ok(())
        }
        _ => Err(format!("no such chore\n{HELP}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What the table of codes makes, which cbindgen and the pages then read.
fn of_codes(check: bool) -> Result<(), String> {
    let read = |path: &str| fs::read_to_string(root().join(path)).map_err(|e| format!("{path}: {e}"));
    let codes = codes::read(&read("src/codes.tsv")?)?;
    let status = codes::between(
        &read("src/status.rs")?,
        "// What follows is made of src/codes.tsv by `make header`.\n",
        "\n// To here.\n",
        &codes::status(&codes),
    )?;
    let page = codes::between(
        &read("docs/errors.md")?,
        "| code | number | what it means | advice | what the firmware does |\n|---|---|---|---|---|\n",
        "\n## Other languages\n",
        &codes::page(&codes),
    )?;
    let files = [
        ("src/status.rs", status),
        ("docs/errors.md", page),
        ("include/kiosklink_text.h", codes::header(&codes)),
    ];
    files.into_iter().try_for_each(|(path, text)| put(path, &text, check))
}

/// Writes a file if it differs, or says that it does.
fn put(path: &str, text: &str, check: bool) -> Result<(), String> {
    let file = root().join(path);
    if fs::read_to_string(&file).unwrap_or_default() == text {
        return Ok(());
    }
    if check {
        return Err(format!("{path} is not what the sources say; run `make header` and commit it"));
    }
    fs::write(&file, text).map_err(|e| format!("{path}: {e}"))?;
    println!("wrote {path}");
    Ok(())
}

fn written(check: bool) -> Result<(), String> {
    of_codes(check)?;
    let header::Texts { header, marked, order } = header::generate(&root())?;
    let functions = header::functions(&header);
    let mut exports = String::new();
    for name in &functions {
        writeln!(exports, "{name}").map_err(|e| e.to_string())?;
    }
    let map = fs::read_to_string(root().join("abi/kiosklink.map")).unwrap_or_default();
    let map = nodes::generate(&map, functions.iter().map(String::as_str), env!("CARGO_PKG_VERSION"));
    let (layout, abi) = layout::generate(&header, &nodes::read(&map))?;
    let reference = api::generate(&marked, &order, &functions)?;
    let broken = difference(&layout, abi)?.broken;
    let pages = man::generate(&marked, &order, env!("CARGO_PKG_VERSION"))?;
    let known: Vec<&str> = pages.iter().map(|(path, _)| path.as_str()).collect();
    for entry in fs::read_dir(root().join("docs/man")).into_iter().flatten().flatten() {
        let path = format!("docs/man/{}", entry.file_name().to_string_lossy());
        if !known.contains(&path.as_str()) && check {
            return Err(format!("{path} is no page any more; run `make header` and commit it"));
        } else if !known.contains(&path.as_str()) {
            fs::remove_file(entry.path()).map_err(|e| format!("{path}: {e}"))?;
        }
    }
    fs::create_dir_all(root().join("docs/man")).map_err(|e| format!("docs/man: {e}"))?;
    let files = [
        ("include/kiosklink.h", header::must_use(&header)),
        ("abi/exports.txt", exports),
        ("abi/kiosklink.map", map),
        ("abi/layout.json", layout),
        ("docs/api.md", reference),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text));
    for (path, text) in files.into_iter().chain(pages) {
        put(&path, &text, check)?;
    }
    match broken.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "this breaks ABI {abi} (docs/abi.md says what may change):\n  {}",
            broken.join("\n  ")
        )),
    }
}

fn baseline_file(abi: u32) -> PathBuf {
    root().join(format!("abi/baseline-{abi}.json"))
}

/// What the header has now, against what was promised under its ABI number.
fn difference(layout: &str, abi: u32) -> Result<compare::Difference, String> {
    let json = |text: &str, whose: &str| serde_json::from_str(text).map_err(|e| format!("{whose}: {e}"));
    match fs::read_to_string(baseline_file(abi)) {
        Ok(old) => Ok(compare::compare(&json(&old, "the baseline")?, &json(layout, "the layout")?)),
        Err(_) => Ok(compare::Difference::default()),
    }
}

/// A promise may grow. To take something back, move the ABI's number; only a promise that was in no release may be
/// deleted and made anew.
fn baseline() -> Result<(), String> {
    let path = root().join("abi/layout.json");
    let layout = fs::read_to_string(&path).map_err(|e| format!("abi/layout.json: {e}"))?;
    let json: serde_json::Value =
        serde_json::from_str(&layout).map_err(|e| format!("abi/layout.json: {e}"))?;
    let abi =
        json["abi"].as_u64().and_then(|n| u32::try_from(n).ok()).ok_or("abi/layout.json has no number")?;
    let difference = difference(&layout, abi)?;
    if !difference.broken.is_empty() {
        return Err(format!(
            "abi/baseline-{abi}.json promises what is no longer there. If no release has it, delete it first; else \
             KL_ABI_VERSION must move:\n  {}",
            difference.broken.join("\n  ")
        ));
    }
    if !difference.late.is_empty() {
        return Err(format!(
            "a node that was promised gets no more functions: a program that needs one would start with an older library. Raise \
             the version, take them out of abi/kiosklink.map and run `make header`; a baseline that no release has may be deleted:\n  {}",
            difference.late.join("\n  ")
        ));
    }
    for what in &difference.added {
        println!("new: {what}");
    }
    fs::write(baseline_file(abi), layout).map_err(|e| format!("abi/baseline-{abi}.json: {e}"))
}
