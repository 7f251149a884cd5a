//! Chores of this repository. `cargo run -p xtask -- help` lists them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

mod header;
mod platforms;

const HELP: &str = "\
xtask header           write include/kiosklink.h and abi/exports.txt from the Rust sources
xtask header --check   fail if either differs from what the sources say
xtask platforms        run the tests that tests/platforms.tsv names; fail if what it lists is not exercised";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["header"] => written(false),
        ["header", "--check"] => written(true),
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

fn written(check: bool) -> Result<(), String> {
    let header = header::generate(&root())?;
    let mut exports = String::new();
    for name in header::functions(&header) {
        writeln!(exports, "{name}").map_err(|e| e.to_string())?;
    }
    for (path, text) in [("include/kiosklink.h", header), ("abi/exports.txt", exports)] {
        let file = root().join(path);
        let old = fs::read_to_string(&file).unwrap_or_default();
        if old == text {
            continue;
        }
        if check {
            return Err(format!("{path} is not what the sources say; run `make header` and commit it"));
        }
        fs::write(&file, text).map_err(|e| format!("{path}: {e}"))?;
        println!("wrote {path}");
    }
    Ok(())
}
