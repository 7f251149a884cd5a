//! A short soak: the long one is `make soak`.

use std::path::Path;
use std::process::Command;

fn soak(name: &str, arguments: &[&str]) -> (i32, String) {
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&work);
    let out = Command::new(env!("CARGO_BIN_EXE_kiosklink-soak"))
        .arg("--work")
        .arg(work)
        .args(arguments)
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.code().unwrap_or(-1), text)
}

#[test]
fn what_was_said_is_what_happened() {
    // On so few commands the shares of what is left to people are noise: they are not looked at here.
    let (code, text) = soak("soak", &["--seed", "11", "--commands", "300"]);
    assert!(code == 0 || code == 1, "{text}");
    for part in ["seed 11", "processes killed", "done      by answer", "unknown at first", "\n0 violations."]
    {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
}

#[test]
fn kind_platforms_leave_nothing_to_people() {
    let kind = ["--seed", "12", "--commands", "300", "--kill-ms", "0", "--faults", "0", "--dialects", "0"];
    let (code, text) = soak("soak-kind", &kind);
    assert_eq!(code, 0, "{text}");
    for part in ["maturity: 0.00 %", "after it 0 (0.00 %", "unknown at first: 0", "\n0 violations."] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
}

#[test]
fn without_a_journal_the_soak_finds_doors_that_open_twice() {
    // Two processes give the same commands, and neither knows of the other.
    let arguments = [
        "--seed",
        "5",
        "--commands",
        "300",
        "--kill-ms",
        "0",
        "--faults",
        "0",
        "--dialects",
        "0",
        "--journal",
        "off",
    ];
    let (code, text) = soak("soak-off", &arguments);
    assert_eq!(code, 1, "{text}");
    // Each process has a secret of its own: the second opening bears a mark that nobody recorded.
    let twice = text.contains("happened 2 times") || text.contains("nobody's command did");
    assert!(twice && text.contains("VIOLATION"), "{text}");
}
