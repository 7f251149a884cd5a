//! `sign diagnose` on requests that it was not made for: fresh/signs.jsonl, by a generator that shares nothing with it.

mod common;

use common::*;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

/// So many of the broken requests are explained, and so many of these by a name that fits. Measured once, when the file was new.
const EXPLAINED: usize = 51;
const NAMED: usize = 49;

#[test]
fn fresh_requests_are_explained_and_rubbish_is_not() {
    let file = folder("sign-fresh").join("accounts.json");
    write(
        &file,
        &json!({"accounts": {
            "yopoint": {"platform": "yopoint", "app_id": "100000000001", "app_secret": "q7ZtW3vLk9RfXp2mYc5HsB8dNg4JeTa1",
                "pay_key": "uE6rVw1zQn8KxDo3PbM5hSyGi9FtCj2L"},
            "dingshang": {"platform": "dingshang", "base_url": "https://dingshang.invalid", "app_id": "ds0000000001",
                "app_secret": "q7ZtW3vLk9RfXp2mYc5HsB8dNg4JeTa1", "app_key": "Hd4mKp9sXw2vBn7tRc5yGz8fLq3jTe6a"},
            "youzan": {"platform": "youzan", "client_id": "testclient0000001", "client_secret": "c3f9a17e5b8d42c6907be1f4a2d85c36",
                "grant_id": "123456"},
            "zhiyun": {"platform": "zhiyun", "base_url": "https://zhiyun.invalid", "client_id": "1102084294",
                "client_secret": "c3f9a17e5b8d42c6907be1f4a2d85c36", "access_token": "samplea0access1token2"},
        }}),
    );
    let cases =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fresh/signs.jsonl"))
            .unwrap();
    let (mut broken, mut explained, mut named, mut wrong) = (0, 0, 0, String::new());
    for case in cases.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()) {
        let platform = case["platform"].as_str().unwrap();
        let mut child = command(&file, platform, &["sign", "diagnose", "--json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(case["input"].as_str().unwrap().as_bytes()).unwrap();
        let (code, out, _) = told(child.wait_with_output().unwrap());
        let said: Value = serde_json::from_str(&out).unwrap_or_default();
        let found: Vec<&str> =
            said["mistakes"].as_array().into_iter().flatten().filter_map(|m| m["id"].as_str()).collect();
        if case["names"].is_null() {
            assert!(code != 0 && said["explained"] != true, "{platform}: {}: {out}", case["input"]);
            continue;
        }
        broken += 1;
        let names: Vec<&str> = case["names"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let is = said["explained"] == true && !found.is_empty();
        let fits = is && (names.is_empty() || found.iter().any(|id| names.contains(id)));
        explained += usize::from(is);
        named += usize::from(fits);
        if !fits {
            wrong.push_str(&format!("  {platform}: {}: explained {is}, as {found:?}\n", case["what"]));
        }
    }
    println!("{explained} of {broken} explained, {named} by a name that fits; not so:\n{wrong}");
    assert!(
        broken >= 60 && explained >= EXPLAINED && named >= NAMED,
        "{explained} and {named} of {broken}:\n{wrong}"
    );
}
