//! What a person sees at 80 and at 40 columns, in their zone, with their shell.

mod common;

use common::*;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const CABINET: &str = "5f6da2362201410011000001";

fn at(columns: &str, file: &Path, account: &str, args: &[&str]) -> String {
    let (code, out, err) = told(command(file, account, args).env("COLUMNS", columns).output().unwrap());
    assert_eq!(code, 0, "{args:?}: {out}{err}");
    out
}

/// What is not ASCII is counted as two. A word that is longer than a line, like the path of a test's folder, is left whole.
fn widest(text: &str) -> usize {
    let several = |line: &&str| line.split_whitespace().count() > 1;
    text.lines()
        .filter(several)
        .map(|l| l.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum())
        .max()
        .unwrap_or(0)
}

#[test]
fn nothing_wraps_at_eighty_and_at_forty_columns() {
    let (sim, file) = simulator("terminal-width");
    sim.control("POST", "/yopoint/generate", json!({"cabinets": 3, "orders": 20}));
    let from = ["--from", "2020-01-01"];
    for columns in ["80", "40"] {
        for args in
            [&["stock", CABINET][..], &["cabinets"], &["doctor"], &[&["orders", "list"][..], &from].concat()]
        {
            let out = at(columns, &file, "yopoint", args);
            assert!(widest(&out) <= columns.parse().unwrap(), "{columns}: {args:?}:\n{out}");
            assert!(out.lines().count() > 3, "{out}");
        }
    }
    // A wide one shows the table, and so does a file or a pipe, whatever its width.
    let table = at("300", &file, "yopoint", &["stock", CABINET]);
    let (_, piped, _) = run(&file, "yopoint", &["stock", CABINET]);
    assert_eq!(table, piped);
    assert_ne!(at("40", &file, "yopoint", &["stock", CABINET]), piped);
    // Nothing is left out of the narrow form but what is empty.
    let narrow = at("40", &file, "yopoint", &["stock", CABINET]);
    for word in piped.lines().nth(1).unwrap().split_whitespace() {
        assert!(narrow.contains(word), "{word}: {narrow}");
    }
}

#[test]
fn a_day_is_that_of_the_zone_and_times_are_shown_in_it() {
    let (sim, file) = simulator("terminal-zone");
    sim.control("POST", "/yopoint/generate", json!({"orders": 20}));
    let day = ["orders", "list", "--from", "2026-11-28", "--to", "2026-11-28", "--tz", "+08:00"];
    at("300", &file, "yopoint", &day);
    let (_, requests) = sim.control("GET", "/_sim/requests", Value::Null);
    // The 28th in China is from 16:00 UTC on the 27th, to the second before 16:00 on the 28th.
    let sent = requests.to_string();
    assert!(sent.contains("1795795200") && sent.contains("1795881599"), "{sent}");
    let all = at("300", &file, "yopoint", &["orders", "list", "--from", "2020-01-01", "--tz", "+08:00"]);
    assert!(all.contains("+08:00") && !all.contains("UTC"), "{all}");
    let (code, _, err) = run(&file, "yopoint", &["orders", "list", "--tz", "Berlin"]);
    assert!(code == 64 && err.contains("+08:00"), "{err}");
}

#[test]
fn an_export_begins_with_a_mark_on_request_and_goes_on_behind_it() {
    let (sim, file) = simulator("terminal-bom");
    sim.control("POST", "/yopoint/generate", json!({"orders": 20}));
    let output = file.parent().unwrap().join("orders.csv");
    let path = output.to_str().unwrap();
    let (code, _, err) =
        run(&file, "yopoint", &["orders", "export", "--from", "2020-01-01", "--bom", "--output", path]);
    assert_eq!(code, 0, "{err}");
    let marked = std::fs::read(&output).unwrap();
    assert!(marked.starts_with(b"\xef\xbb\xbforder_no,"), "{:?}", &marked[..20]);
    let (code, _, _) =
        run(&file, "yopoint", &["orders", "export", "--from", "2020-01-01", "--restart", "--output", path]);
    assert_eq!((code, &marked[3..]), (0, &std::fs::read(&output).unwrap()[..]));
    // A program gets the lines of an order.
    let (_, out, _) =
        run(&file, "yopoint", &["orders", "list", "--from", "2020-01-01", "--json", "--limit", "5"]);
    let lines = |order: &Value| order["lines"].as_array().is_some_and(|l| l[0]["quantity"].is_number());
    let all: Vec<Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(!all.is_empty() && all.iter().any(lines), "{out}");
}

#[test]
fn a_command_that_is_nearly_right_is_suggested() {
    let said = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiosklink"));
        let (code, _, err) = told(command.args(args).env("LC_ALL", "C").output().unwrap());
        assert_eq!(code, 64, "{err}");
        err
    };
    assert!(said(&["stok", CABINET]).contains("did you mean stock?"));
    assert!(said(&["orders", "exprot"]).contains("which of"));
    assert!(said(&["xyzzy"]).contains("--help lists"));
}

#[test]
fn completion_offers_values() {
    let script = |shell: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiosklink"));
        told(command.args(["completion", shell]).output().unwrap()).1
    };
    let file = folder("terminal-completion").join("bash");
    std::fs::write(&file, script("bash")).unwrap();
    let complete = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let quoted: Vec<String> = words.iter().map(|w| format!("'{w}'")).collect();
        let program = format!(
            ". {}; COMP_WORDS=({}); COMP_CWORD={}; _kiosklink; echo \"${{COMPREPLY[*]}}\"",
            file.display(),
            quoted.join(" "),
            words.len() - 1
        );
        told(Command::new("bash").args(["-c", &program]).output().unwrap()).1.trim().to_owned()
    };
    assert_eq!(complete("kiosklink orders export --format "), "csv jsonl");
    assert_eq!(complete("kiosklink ping --platform y"), "yopoint youzan");
    assert_eq!(complete("kiosklink redeem 1 --kind v"), "virtual voucher");
    assert_eq!(complete("kiosklink --lang "), "en zh");
    assert_eq!(complete("kiosklink completion f"), "fish");
    assert_eq!(complete("kiosklink pending settle v d"), "done");
    for line in [
        "complete -c kiosklink -f\n",
        "-l format -x -a 'csv jsonl'",
        "-a 'bash zsh fish'",
        "-l platform -x -a 'yopoint dingshang youzan zhiyun'",
    ] {
        assert!(script("fish").contains(line), "{line}");
    }
    assert!(script("zsh").contains("--format) compadd csv jsonl"), "{}", script("zsh"));
}
