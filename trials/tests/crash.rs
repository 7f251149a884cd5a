//! The crash tester on an example: every step once, and what it says of programs that it cannot try.

#[path = "../../tests/common/built.rs"]
mod built;

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// The example programs, built by the Makefile.
fn example(name: &str) -> String {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| built::build("make", &["-s", "c-programs"]));
    built::target().join("c/bin").join(name).to_string_lossy().into_owned()
}

fn crashtest(name: &str, arguments: &[&str], program: &[&str]) -> (i32, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_kiosklink-crashtest"))
        .arg("--work")
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
        .args(["--jobs", "4"])
        .args(arguments)
        .arg("--")
        .args(program)
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.code().unwrap_or(-1), text)
}

const WORDS: [&str; 4] = ["{accounts}", "{account}", "{cabinet}", "{request_id}"];

#[test]
fn no_step_at_which_an_example_dies_opens_a_door_twice() {
    let program = example("open_door");
    let arguments = ["--kind", "lost", "--moment", "before,middle"];
    let (code, text) = crashtest("open-door", &arguments, &[&[&*program], &WORDS[..]].concat());
    assert_eq!(code, 0, "{text}");
    // It did look: there are steps of the journal and of the network, and runs in which the journal mattered.
    for part in ["fdatasync", "rename", "connect", "send", " 0 with violations"] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
}

#[test]
fn without_a_journal_the_tester_finds_doors_that_open_twice() {
    let program = example("open_door");
    let program = [&[&*program], &WORDS[..]].concat();
    let off = ["--journal", "off", "--moment", "after"];
    let (code, text) = crashtest("open-door-off", &off, &program);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("VIOLATION --only ") && text.contains("2 times, not 1"), "{text}");
    let (code, text) = crashtest("open-door-off-2", &[&off[..], &["--expect-violations"]].concat(), &program);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_firmware_that_dies_opens_no_door_twice_and_reports_no_payment_twice() {
    let program = example("firmware");
    let arguments = ["--kind", "lost", "--moment", "after"];
    let words = [&[&*program], &WORDS[..3], &["--customer", "{request_id}"]].concat();
    let (code, text) = crashtest("firmware", &arguments, &words);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_code_is_redeemed_once_and_its_goods_come_once() {
    let program = example("pickup");
    // The steps of the journal alone: the network's are those of the other example.
    let arguments =
        [&["--account", "dingshang", "--kind", "lost", "--moment", "after"][..], &["--id", "*"]].concat();
    let words = [&*program, "{accounts}", "{account}", "{cabinet}", "{code}"];
    let (code, text) = crashtest("pickup", &arguments, &words);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_report_that_is_kept_is_sent_once_whenever_its_process_dies() {
    let program = example("kept");
    // The first connection after the ping meets a certificate that is not accepted: no byte of the report leaves.
    let shut = r#"POST /_sim/faults {"platform": "dingshang", "method": "ping", "fault": "bad_certificate"}"#;
    let words = [&*program, "{accounts}", "{account}", "{cabinet}", "{request_id}", "{order}"];
    let with = |within| [&words[..], &[within]].concat();
    let arguments = ["--account", "dingshang", "--sim", shut, "--kind", "lost", "--moment", "after"];
    let (code, text) = crashtest("kept", &[&arguments[..], &["--jobs", "12"]].concat(), &with("600000"));
    assert_eq!(code, 0, "{text}");
    // It does not leave in its own call.
    let (code, text) = crashtest("kept-not", &arguments, &with("0"));
    assert!(code == 2 && text.contains("KL_E_TLS_EXPIRED") && text.contains("reports no payment"), "{text}");
}

#[test]
fn what_cannot_be_tried_is_said() {
    let (code, text) = crashtest("nothing", &[], &["true"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("saw no step"), "{text}");
    let (code, text) = crashtest("missing", &[], &["./there-is-no-such-program"]);
    assert!(code == 2 && text.contains("there-is-no-such-program"), "{text}");
    let (code, text) = crashtest("wrong", &["--kind", "sleep"], &["true"]);
    assert!(code == 64 && text.contains("killed, kept, lost, reset, half, zeros"), "{text}");
    // A program whose request_ids are not given cannot be judged.
    let program = example("open_door");
    let program = [&[&*program], &WORDS[..]].concat();
    let (code, text) = crashtest("unnamed", &["--id", "other"], &program);
    assert!(code == 2 && text.contains("--id"), "{text}");
}
