//! `sign explain` shows what the library signs, and `sign diagnose` reads what people paste.

mod common;

use common::*;
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};

fn kiosklink(args: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kiosklink"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that was called wrongly does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    told(child.wait_with_output().unwrap())
}

#[test]
fn the_text_and_the_sign_of_each_platform() {
    let secrets = folder("sign-explain");
    std::fs::write(secrets.join("s"), "test-secret\n").unwrap();
    let secret = format!("@{}", secrets.join("s").display());
    // The vector of the protocol notes.
    let (code, out, err) = kiosklink(
        &[
            "sign",
            "explain",
            "--platform",
            "yopoint",
            "--app-id",
            "100000000001",
            "--app-secret",
            &secret,
            "--at",
            "1700000000",
            "--json",
        ],
        "",
    );
    let told: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    assert_eq!((code, &told["library_agrees"]), (0, &Value::Bool(true)));
    assert_eq!(told["sign"], "e8acd748960cb6a9d910dad993569f20");
    assert_eq!(
        told["text"],
        "appid=100000000001&biz_content={\"Page\":1,\"PageSize\":5}&method=cabinet.list&sign_type=md5&timestamp=1700000000&version=1.0.0&***"
    );
    assert!(!out.contains("test-secret"), "a secret is shown");
    for platform in ["yopoint", "dingshang", "youzan", "zhiyun"] {
        let (code, out, err) = kiosklink(&["sign", "explain", platform], "");
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert!(out.contains("***") && out.contains("1. ") && out.contains("4. "), "{out}");
        for secret in ["sample-app-secret", "sample-app-key", "sample-client-secret", "sampleclientsecr"] {
            assert!(!out.contains(secret), "a secret is shown by {platform}");
        }
    }
    // Both dialects of the vendor.
    std::fs::write(secrets.join("k"), "kva").unwrap();
    let key = format!("@{}", secrets.join("k").display());
    for (dialect, sign) in
        [("raw", "6C73E1EE2B92089A61DC721E72BB3139"), ("query", "EC3A37011CA425231A875310C2158F60")]
    {
        let (code, out, err) = kiosklink(
            &[
                "sign",
                "explain",
                "--platform",
                "dingshang",
                "--base-url",
                "https://d.invalid",
                "--app-id",
                "d",
                "--app-secret",
                &secret,
                "--app-key",
                &key,
                "--sign-value-encoding",
                dialect,
                "--method",
                "POST /pickup_codes",
                "--at",
                "1714185061",
                "--json",
                "--params",
                r#"{"code_length":"7","count":"2","expired_at":"2024-12-31 23:59:59","machine_no":"16327129","method":"pickup_code.product.id","product_id":"1323442","quantity":"1"}"#,
            ],
            "",
        );
        let told: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
        assert_eq!((code, told["sign"].as_str()), (0, Some(sign)), "{told}");
    }
}

#[test]
fn a_right_request_is_said_to_be_right() {
    let secrets = folder("sign-right");
    std::fs::write(secrets.join("s"), "test-secret").unwrap();
    let secret = format!("@{}", secrets.join("s").display());
    let args = ["sign", "diagnose", "--platform", "yopoint", "--secret", &secret];
    let good = "appid=100000000001&biz_content=%7B%22Page%22%3A1%2C%22PageSize%22%3A5%7D&method=cabinet.list&sign_type=md5&timestamp=1700000000&version=1.0.0&sign=e8acd748960cb6a9d910dad993569f20";
    let (code, out, _) = kiosklink(&args, good);
    assert!(
        code == 0 && out.starts_with("The signature is right") && out.contains("behind this device's clock"),
        "{out}"
    );
    // The documented callback has no version, and is right without.
    let callback = "appid=100000000001&biz_content=%7B%22Status%22%3A1%2C%22ReceiptNo%22%3A%22VI231114221320000001%22%2C%22Msg%22%3A%22%22%7D&method=notify.close.door&sign_type=md5&timestamp=1700000000&sign=0f157afa1e409cec24997d5c211c8ac7";
    let (code, out, _) = kiosklink(&args, callback);
    assert!(code == 0 && out.starts_with("The signature is right"), "{out}");
    // One bit of the sign, and nobody can say why.
    let (code, out, _) = kiosklink(&args, &good.replace("9f20", "9f21"));
    assert!(code == 5 && out.starts_with("No known mistake"), "{out}");
    let (code, out, _) = kiosklink(&args, &good.replace("Page%22%3A1", "Page%22%3A2"));
    assert!(code == 5 && out.starts_with("No known mistake"), "{out}");
    // A mistake, with the request put right.
    let (code, out, _) = kiosklink(&args, &good.replace("e8acd", "E8ACD").replace("9f20", "9F20"));
    assert!(
        code == 0 && out.contains("(sign-case)") && out.contains("sign=e8acd748960cb6a9d910dad993569f20"),
        "{out}"
    );
    let (code, out, _) = kiosklink(&args, &good.replace("&sign=e8acd748960cb6a9d910dad993569f20", ""));
    assert!(code == 0 && out.contains("(sign-missing)"), "{out}");
}

#[test]
fn a_secret_does_not_stand_on_the_line() {
    let (code, out, err) =
        kiosklink(&["sign", "diagnose", "--platform", "yopoint", "--secret", "hush-hush"], "a=1");
    assert!(code == 64 && err.contains("@FILE") && !err.contains("hush-hush") && out.is_empty(), "{err}");
    let (code, _, err) =
        kiosklink(&["ping", "--platform", "yopoint", "--app-secret", "hush-hush", "--app-id", "1"], "");
    assert!(code == 64 && err.contains("@FILE") && !err.contains("hush-hush"), "{err}");
    let (code, _, err) = kiosklink(&["sign", "diagnose", "--platform", "yopoint"], "a=1");
    assert!(code == 64 && err.contains("app_secret"), "{err}");
}

#[test]
fn what_cannot_be_read_is_said() {
    let secrets = folder("sign-unread");
    std::fs::write(secrets.join("s"), "test-secret").unwrap();
    let secret = format!("@{}", secrets.join("s").display());
    for (platform, input) in
        [("yopoint", ""), ("dingshang", "{\"payload\":\"%%%\"}"), ("youzan", "a=1"), ("zhiyun", "{}")]
    {
        let (code, out, err) =
            kiosklink(&["sign", "diagnose", "--platform", platform, "--secret", &secret], input);
        assert!(code == 1 && out.is_empty() && err.contains("the request"), "{platform}: {code} {out}{err}");
    }
}

#[test]
fn every_mistake_is_in_the_documentation() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sign.md")).unwrap();
    let (_, out, _) = kiosklink(&["sign", "mistakes", "--json"], "");
    let mut count = 0;
    for line in out.lines() {
        let told: Value = serde_json::from_str(line).unwrap();
        count += 1;
        let id = told["id"].as_str().unwrap();
        assert!(page.contains(&format!("`{id}`")), "docs/sign.md does not name {id}");
    }
    assert!(count > 50);
}
