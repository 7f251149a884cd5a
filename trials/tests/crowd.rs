//! A small crowd: the large one is `make crowd`.

use std::process::Command;

#[test]
fn a_kiosk_at_rest_costs_a_descriptor_and_no_thread() {
    let out = Command::new(env!("CARGO_BIN_EXE_kiosklink-crowd"))
        .args(["--kiosks", "300", "--rate", "100", "--seconds", "2"])
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{text}");
    let line = text.lines().find(|line| line.starts_with("after them")).expect("its size");
    let numbers: Vec<usize> =
        line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
    let [_, descriptors, threads, made] = numbers[..] else { panic!("{line}") };
    assert_eq!((descriptors, made), (300, 300), "{text}");
    assert!(threads < 100, "{text}");
    assert!(text.contains("200 calls in") && text.ends_with("\n0 errors\n"), "{text}");
}
