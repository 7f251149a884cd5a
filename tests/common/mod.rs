//! What the tests against the simulator share.

#![allow(dead_code)]

#[path = "built.rs"]
mod built;

pub use built::{build, target};
use kiosklink::client::Client;
use kiosklink::config::Config;
use kiosklink_sim::{Options, Simulator};
use serde_json::{Value, json};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The first cabinet of the simulator's world: one door, online, selling.
pub const CABINET: &str = "5f6da2362201410011000001";
/// The second: two doors.
pub const TWO_DOORS: &str = "5f6da2362201410011000002";
/// The third: offline.
pub const OFFLINE: &str = "5f6da2362201410011000003";
/// The fourth: not selling.
pub const STOPPED: &str = "5f6da2362201410011000004";
pub const LOCKER: &str = "5f6da2362201410011000005";

/// A simulator of its own.
pub fn simulator() -> Simulator {
    Simulator::start(Options::default()).expect("the simulator starts")
}

/// A control call that must succeed.
pub fn control(sim: &Simulator, method: &str, path: &str, body: Value) -> Value {
    let (status, answer) = sim.control(method, path, body);
    assert_eq!(status, 200, "{method} {path}: {answer}");
    answer
}

/// Lets the next request for a method meet a fault.
pub fn fault(sim: &Simulator, method: &str, fault: Value) {
    let mut rule = fault;
    if !method.is_empty() {
        rule["method"] = json!(method);
    }
    control(sim, "POST", "/_sim/faults", rule);
}

/// Settings for the simulator's account on a platform; commands are remembered for the client's life.
pub fn account(sim: &Simulator, platform: &str) -> Config {
    let mut config = Config::new(platform).unwrap();
    for (key, value) in sim.info()["platforms"][platform].as_object().unwrap() {
        if key != "platform" {
            config.set(key, value.as_str().unwrap()).unwrap();
        }
    }
    config.set("ca_pem", sim.ca_pem()).unwrap();
    config.set("state_dir", "none").unwrap();
    config
}

/// A client for that account with some settings changed.
pub fn client_of(sim: &Simulator, platform: &str, changes: &[(&str, &str)]) -> Client {
    let mut config = account(sim, platform);
    for (key, value) in changes {
        config.set(key, value).unwrap();
    }
    Client::new(&config).unwrap()
}

/// Settings for the account on Yopoint.
pub fn settings(sim: &Simulator) -> Config {
    account(sim, "yopoint")
}

/// A client for the account on Yopoint with some settings changed.
pub fn client_with(sim: &Simulator, changes: &[(&str, &str)]) -> Client {
    client_of(sim, "yopoint", changes)
}

/// A client for the account on Yopoint.
pub fn client(sim: &Simulator) -> Client {
    client_with(sim, &[])
}

/// How often each door really opened.
pub fn openings(sim: &Simulator) -> Vec<Value> {
    control(sim, "GET", "/_sim/openings", Value::Null).as_array().unwrap().clone()
}

/// The requests that the simulator has seen for a method.
pub fn requests(sim: &Simulator, method: &str) -> Vec<Value> {
    let path = format!("/_sim/requests?method={method}");
    control(sim, "GET", &path, Value::Null).as_array().unwrap().clone()
}

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder of its own for a test, emptied first.
pub fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path).unwrap();
    }
    private(&path)
}

/// Makes a folder that a journal may be kept in.
pub fn private(path: &Path) -> PathBuf {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).unwrap();
    path.to_owned()
}

/// Writes the simulator's accounts and CA where a program can read them, with a folder for the commands beside.
pub fn accounts(sim: &Simulator, name: &str) -> PathBuf {
    let folder = scratch(name);
    let ca = folder.join("ca.pem");
    std::fs::write(&ca, sim.ca_pem()).unwrap();
    let file = folder.join("accounts.json");
    sim.write_accounts(&file, ca.to_str().unwrap()).unwrap();
    file
}

/// The folder of the C and C++ programs, built once by the Makefile.
pub fn programs() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        build("make", &["-s", "c-programs"]);
        target().join("c/bin")
    })
}

/// Runs a program and gives its exit code and what it printed.
pub fn run(command: &mut Command) -> (i32, String) {
    let out: Output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.code().unwrap_or(-1), text)
}

/// What valgrind is to be silent about: the file that is installed.
pub fn suppressions() -> String {
    format!("--suppressions={}", root().join("packaging/suppressions/kiosklink-valgrind.supp").display())
}

/// A C program by gcc with these flags, over the library in that folder.
pub fn compiled(source: &Path, program: &Path, flags: &[&str], library: &Path) {
    let (code, text) = run(Command::new("gcc")
        .args(["-std=gnu11", "-D_GNU_SOURCE", "-g"])
        .args(flags)
        .arg("-I")
        .arg(root().join("include"))
        .arg(source)
        .arg("-o")
        .arg(program)
        .arg("-L")
        .arg(library)
        .args(["-lkiosklink", "-lpthread"])
        .arg(format!("-Wl,-rpath,{}", library.display())));
    assert_eq!(code, 0, "{text}");
}

/// The library that tests link.
pub fn usual_library() -> PathBuf {
    programs().join("../lib")
}

/// A C program with gcc's TSan over the library, which has none, and the suppressions that are installed. TSan ends it with 66 when
/// it finds something. Without random addresses: some versions do not start on some kernels.
pub fn with_tsan(folder: &Path, source: &str, suppressed: bool) -> Command {
    let program = folder.join("with-tsan");
    compiled(&root().join(source), &program, &["-O1", "-fsanitize=thread"], &usual_library());
    let mut command = Command::new("setarch");
    command.arg("-R").arg(program);
    if suppressed {
        let file = root().join("packaging/suppressions/kiosklink-tsan.supp");
        command.env("TSAN_OPTIONS", format!("suppressions={}", file.display()));
    }
    command
}

/// A program under valgrind: exit code 99 if it finds an error or a leak.
pub fn valgrind(program: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command
        .arg(suppressions())
        .args([
            "-q",
            "--error-exitcode=99",
            "--leak-check=full",
            "--show-leak-kinds=definite,indirect,possible",
        ])
        .arg("--errors-for-leak-kinds=definite,indirect,possible")
        .arg(program);
    command
}
