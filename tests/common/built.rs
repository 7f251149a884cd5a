//! What make and cargo build for tests. All packages' tests share this file.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder that cargo builds into.
pub fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("tmp is inside it")
}

/// `make` or `cargo` with these arguments, in the repository; panics with what it printed if it fails. It builds where the test was
/// built, and without the variables that cargo sets for a test: ring would be built anew for each package.
pub fn build(program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_EXE_", "CARGO_CRATE_"]
            .iter()
            .any(|start| text.starts_with(start))
        {
            command.env_remove(name);
        }
    }
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|folder| folder.join("Makefile").is_file());
    let root: PathBuf = root.expect("the repository").to_owned();
    let made = command
        .args(arguments)
        .current_dir(root)
        .env("CARGO_TARGET_DIR", target())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&made.stdout).into_owned() + &String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{program} {arguments:?}:\n{said}");
}
