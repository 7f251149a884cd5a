//! What the tests of the command have in common.
#![allow(dead_code)]

use kiosklink_sim::{Options, Simulator};
use md5::{Digest, Md5};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// A folder of a test's own, empty.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A folder for state, which nobody else may write to.
pub fn state_dir(path: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(path).unwrap();
}

/// A simulator, and the file of its accounts. Calls give up soon, and so do handshakes. Commands are remembered in `state`
/// beside the file.
pub fn simulator(name: &str) -> (Simulator, PathBuf) {
    let sim = Simulator::start(Options::default()).unwrap();
    let folder = folder(name);
    std::fs::write(folder.join("ca.pem"), sim.ca_pem()).unwrap();
    let mut accounts = sim.accounts("ca.pem");
    for account in accounts["accounts"].as_object_mut().unwrap().values_mut() {
        account["timeout_ms"] = json!(15_000);
        account["state_dir"] = json!("state");
    }
    state_dir(&folder.join("state"));
    write(&folder.join("accounts.json"), &accounts);
    (sim, folder.join("accounts.json"))
}

pub fn write(path: &Path, value: &Value) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, value.to_string()).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Changes one account of a file.
pub fn change(path: &Path, account: &str, key: &str, value: Value) {
    let mut all: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    all["accounts"][account][key] = value;
    write(path, &all);
}

/// The command, with the accounts behind its own words.
pub fn command(file: &Path, account: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiosklink"));
    command.args(args).arg("--accounts").arg(file).args(["--account", account]);
    // Whatever language the machine speaks.
    command.env("LC_ALL", "C").env_remove("COLUMNS");
    command
}

/// Exit code, output, errors.
pub fn told(out: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

pub fn run(file: &Path, account: &str, args: &[&str]) -> (i32, String, String) {
    told(command(file, account, args).output().unwrap())
}

/// The answer in JSON.
pub fn json_of(file: &Path, account: &str, args: &[&str]) -> (i32, Value) {
    let (code, out, err) = run(file, account, &[args, &["--json"]].concat());
    let value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    (code, value)
}

/// The file of an account that needs no platform.
pub fn account(name: &str) -> PathBuf {
    let file = folder(name).join("accounts.json");
    write(
        &file,
        &json!({"accounts": {"yopoint": {"platform": "yopoint", "app_id": "1", "app_secret": "test-secret", "pay_key": "test-pay-key", "state_dir": "none"}}}),
    );
    file
}

/// When this run's callbacks are signed: an old one is not believed, and a repetition is the same to the byte.
pub fn signed_at() -> u64 {
    static AT: OnceLock<u64> = OnceLock::new();
    *AT.get_or_init(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

/// The fields of a callback as Yopoint signs it.
pub fn fields(receipt: &str) -> Vec<(&'static str, String)> {
    let biz = format!("{{\"Status\":1,\"ReceiptNo\":\"{receipt}\",\"Msg\":\"\"}}");
    let at = signed_at();
    let text = format!("appid=1&biz_content={biz}&method=notify.close.door&sign_type=md5&timestamp={at}");
    let sign: String =
        Md5::digest(format!("{text}&test-secret")).iter().map(|b| format!("{b:02x}")).collect();
    vec![
        ("appid", "1".to_owned()),
        ("biz_content", biz),
        ("method", "notify.close.door".to_owned()),
        ("sign_type", "md5".to_owned()),
        ("timestamp", at.to_string()),
        ("sign", sign),
    ]
}

/// The same as a form.
pub fn callback(receipt: &str) -> String {
    let escaped = |v: &str| v.replace('{', "%7B").replace('"', "%22").replace('}', "%7D");
    let pairs: Vec<String> = fields(receipt).iter().map(|(n, v)| format!("{n}={}", escaped(v))).collect();
    pairs.join("&")
}
