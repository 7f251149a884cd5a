//! The command in Chinese: what people read is, what programs read is not.

mod common;

use common::*;
use serde_json::json;
use std::process::Command;

const CABINET: &str = "5f6da2362201410011000001";

/// What a locale prints, outside of any account.
fn in_locale(variables: &[(&str, &str)], args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiosklink"));
    ["LC_ALL", "LC_MESSAGES", "LANG", "COLUMNS"].iter().for_each(|name| {
        command.env_remove(name);
    });
    told(command.envs(variables.iter().copied()).args(args).output().unwrap())
}

#[test]
fn the_language_is_the_flags_or_the_locales() {
    let chinese =
        |variables: &[(&str, &str)], args: &[&str]| in_locale(variables, args).1.contains("开门：一条命令");
    for (variables, flag, wanted) in [
        (&[][..], &[][..], false),
        (&[("LANG", "zh_CN.UTF-8")], &[], true),
        (&[("LANG", "zh_CN.UTF-8"), ("LC_MESSAGES", "C")], &[], false),
        (&[("LANG", "C"), ("LC_MESSAGES", "zh_CN.UTF-8")], &[], true),
        (&[("LC_ALL", "C"), ("LANG", "zh_CN.UTF-8")], &[], false),
        (&[("LC_ALL", ""), ("LANG", "zh_CN.UTF-8")], &[], true),
        (&[("LANG", "zh_CN.UTF-8")], &["--lang", "en"], false),
        (&[], &["--lang=zh"], true),
        (&[], &["--lang", "zh"], true),
    ] {
        assert_eq!(chinese(variables, &[&["--help"], flag].concat()), wanted, "{variables:?} {flag:?}");
    }
    let (code, _, err) = in_locale(&[], &["stock", "--lang", "zh"]);
    assert!(code == 64 && err.contains("stock 需要 CABINET：柜子。"), "{err}");
    let (code, _, err) = in_locale(&[], &["open", CABINET, "--lang", "zh", "--bogus"]);
    assert!(code == 64 && err.contains("未知的参数 --bogus"), "{err}");
}

#[test]
fn help_is_set_within_eighty_columns_in_both_languages() {
    for language in ["en", "zh"] {
        for verb in [&[][..], &["doctor"], &["listen"], &["orders", "export"], &["pending", "settle"]] {
            let (code, out, _) = in_locale(&[], &[&["help"], verb, &["--lang", language]].concat());
            assert_eq!(code, 0);
            for line in out.lines().filter(|l| !l.starts_with("  kiosklink ")) {
                // Every letter that is not ASCII counts for two.
                let wide: usize = line.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
                assert!(wide <= 80, "{wide}: {line}");
            }
        }
    }
}

#[test]
fn doctor_speaks_chinese_to_people_and_one_language_to_programs() {
    let (sim, file) = simulator("chinese-doctor");
    let (code, out, err) = run(&file, "yopoint", &["doctor", "--lang", "zh"]);
    assert!(code == 0 && out.contains("没有异常。") && out.contains("正常  tls"), "{out}{err}");
    assert!(out.contains("验证通过，用时") && out.contains("接受凭据，用时"), "{out}");
    let (code, value) = json_of(&file, "yopoint", &["doctor", "--lang", "zh"]);
    assert_eq!((code, value["checks"][0]["state"].as_str()), (0, Some("good")), "{value}");
    change(&file, "yopoint", "app_secret", json!("wrong"));
    let (code, out, _) = run(&file, "yopoint", &["doctor", "--lang", "zh"]);
    let one_line = out.split_whitespace().collect::<String>();
    assert!(code == 5 && out.contains("异常  platform"), "{out}");
    assert!(one_line.contains("平台不接受凭据或签名。") && one_line.contains("id或密钥错了"), "{out}");
    assert!(out.contains("有异常：见上。") && out.contains("KL_E_AUTH"), "{out}");
    drop(sim);
    let (code, out, _) = run(&file, "yopoint", &["doctor", "--lang", "zh"]);
    assert!(code == 5 && out.contains("异常  tcp") && out.contains("没有检查"), "{out}");
}

#[test]
fn an_error_says_its_meaning_what_became_of_it_and_what_to_do() {
    let (sim, file) = simulator("chinese-error");
    let (code, _, err) = run(&file, "yopoint", &["stock", "nosuch", "--lang", "zh"]);
    assert!(code != 0 && err.contains("(KL_E_"), "{err}");
    let meaning = err.lines().next().unwrap();
    assert!(!meaning.is_ascii(), "{err}");
    sim.control("POST", "/_sim/faults", json!({"method": "cabinet.open.door", "fault": "act_then_drop"}));
    let opened = ["open", CABINET, "--door", "1", "--request-id", "v-1", "--lang", "zh"];
    let (code, out, err) = run(&file, "yopoint", &opened);
    assert_eq!(code, 3, "{out}{err}");
    assert!(
        err.contains("结果未知，可能已经发生：绝不能换一个名称再做。") && err.contains("先查清楚结果。"),
        "{err}"
    );
    let (code, value) = json_of(&file, "yopoint", &["pending", "list", "--lang", "zh"]);
    assert_eq!((code, value["outcome"].as_str()), (0, Some("unknown")), "{value}");
}
