//! What the documentation says of the library as a guest in a process: which files it writes and reads, which descriptors it
//! holds, which threads it makes, which connections. Each test watches one opening in a process of its own and compares with
//! the tables of `docs/conventions.md`, `docs/journal.md` and `docs/threads.md`.

mod common;

use common::*;
use kiosklink::client::Client;
use kiosklink::config::Config;
use kiosklink::error::Outcome;
use kiosklink::model::DoorRequest;
use kiosklink::status::KL_E_CANCELLED;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Names the file of accounts to the part of a test that runs in a process of its own.
const CHILD: &str = "KIOSKLINK_TEST_CLAIMS_CHILD";
/// Files that are looked for and not there: they mark a trace.
const BEGIN: &str = "/kiosklink-begin";
const END: &str = "/kiosklink-end";

/// Settings for the child, if this is it.
fn child() -> Option<Config> {
    let accounts = std::env::var(CHILD).ok()?;
    Some(Config::load(&accounts, Some("yopoint")).unwrap())
}

fn open_one(client: &Client) {
    let r = DoorRequest { request_id: "visit-1".into(), cabinet_id: CABINET.into(), ..Default::default() };
    assert_eq!(client.door_open(&r).unwrap().outcome, Outcome::Done);
}

/// A folder for each place where a library might leave something.
struct Place {
    state: PathBuf,
    elsewhere: Vec<(&'static str, PathBuf)>,
    accounts: PathBuf,
}

impl Place {
    fn new(sim: &kiosklink_sim::Simulator, name: &str) -> Place {
        let accounts = accounts(sim, name);
        let folder = accounts.parent().unwrap().to_owned();
        let made = |name: &str| {
            let path = folder.join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let state = made("state");
        let mut all: Value = serde_json::from_str(&fs::read_to_string(&accounts).unwrap()).unwrap();
        for account in all["accounts"].as_object_mut().unwrap().values_mut() {
            account["state_dir"] = json!(state);
        }
        fs::write(&accounts, all.to_string()).unwrap();
        let elsewhere = ["HOME", "TMPDIR", "XDG_RUNTIME_DIR", "PWD"].map(|name| (name, made(name))).into();
        Place { state, elsewhere, accounts }
    }

    /// A test of this file in a process of its own, with surroundings that would lead a library astray which asks for them.
    fn command(&self, program: &Path, test: &str) -> Command {
        let mut command = Command::new(program);
        if program != std::env::current_exe().unwrap() {
            let trace = self.state.with_file_name("trace");
            command.args(["-f", "-y", "-s", "0", "-o"]).arg(trace);
            command.args(["-e", "trace=%file,%network,write,writev,rt_sigaction,kill,tgkill,tkill,execve"]);
            command.arg(std::env::current_exe().unwrap());
        }
        command.args(["--exact", test, "--nocapture"]).env(CHILD, &self.accounts);
        for (name, folder) in &self.elsewhere {
            command.env(name, folder);
        }
        command.current_dir(&self.elsewhere.iter().find(|(name, _)| *name == "PWD").unwrap().1);
        let astray =
            ["http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"].map(|k| (k, "http://127.0.0.1:1"));
        let files = ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"].map(|k| (k, "/nowhere"));
        command.envs(astray).envs(files).env("RUST_LOG", "trace");
        command
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut all: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    all.sort();
    all
}

/// The first cells of the rows of the table that stands below these words of a page, without their backticks.
fn table(page: &str, below: &str) -> Vec<String> {
    let whole = fs::read_to_string(root().join(page)).unwrap();
    let (_, rest) = whole.split_once(below).unwrap_or_else(|| panic!("{page} does not say {below:?}"));
    let rows = rest.lines().skip_while(|l| !l.starts_with("|---")).skip(1).take_while(|l| l.starts_with('|'));
    let cells = rows.map(|row| row.split('|').nth(1).unwrap().to_owned());
    let all: Vec<String> =
        cells.flat_map(|c| c.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect();
    assert!(!all.is_empty(), "{page} has no table below {below:?}");
    all
}

/// Whether `*` and `<...>` stand for what is there.
fn fits(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    let parts: Vec<&str> = pattern.split(['*', '<']).map(|p| p.rsplit('>').next().unwrap()).collect();
    for (i, part) in parts.iter().enumerate() {
        match (i, rest.find(part)) {
            (0, Some(0)) => rest = &rest[part.len()..],
            (0, _) | (_, None) => return false,
            (_, Some(_)) if i + 1 == parts.len() => return rest.ends_with(part),
            (_, Some(at)) => rest = &rest[at + part.len()..],
        }
    }
    rest.is_empty()
}

/// The files that `docs/journal.md` lists.
fn listed_files() -> Vec<String> {
    let all = table("docs/journal.md", "## The files");
    all.into_iter().map(|name| name.replace("NAME", "commands-<platform>-<hash>").replace('…', "*")).collect()
}

#[test]
fn patterns_stand_for_what_is_there() {
    assert!(fits("a-<b>.c", "a-1.c") && fits("a*", "abc") && fits("abc", "abc") && fits("*.new", "x.new"));
    assert!(!fits("a-<b>.c", "a-1.d") && !fits("abc", "abcd") && !fits("b*", "abc"));
}

// FAULTS G: conventions.md said "No file is written".
#[test]
fn one_opening_writes_the_files_that_are_listed_and_no_other() {
    const TEST: &str = "one_opening_writes_the_files_that_are_listed_and_no_other";
    if let Some(config) = child() {
        open_one(&Client::new(&config).unwrap());
        return;
    }
    let sim = simulator();
    let place = Place::new(&sim, "claims-files");
    let (code, said) = run(&mut place.command(&std::env::current_exe().unwrap(), TEST));
    assert_eq!(code, 0, "{said}");
    assert_eq!(openings(&sim).len(), 1);
    for (name, folder) in &place.elsewhere {
        assert_eq!(names(folder), [""; 0], "{name}");
    }
    let listed = listed_files();
    let found = names(&place.state);
    for name in &found {
        assert!(listed.iter().any(|l| fits(l, name)), "docs/journal.md does not list {name}: {listed:?}");
    }
    for ending in [".journal", ".id", ".mark", ".owners", ".lock"] {
        assert!(found.iter().any(|n| n.starts_with("commands-yopoint-") && n.ends_with(ending)), "{found:?}");
    }
    // And they are their owner's alone.
    for name in &found {
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(place.state.join(name)).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

/// One call of a trace: its name and its arguments.
fn calls(trace: &str) -> Vec<(&str, &str)> {
    let lines = trace.lines().map(|l| l.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start());
    lines.filter_map(|l| l.split_once('(')).collect()
}

/// The path of a call on a file: its first text, below the folder that is named by a descriptor in front of it.
fn path(arguments: &str) -> Option<String> {
    let (before, rest) = arguments.split_once('"')?;
    let name = rest.split('"').next()?;
    let folder = before.split_once('<').and_then(|(_, f)| f.split('>').next()).unwrap_or_default();
    Some(if name.starts_with('/') { name.to_owned() } else { format!("{folder}/{name}") })
}

// FAULTS G: the files, sockets and signals of one opening, by the system's own record.
#[test]
fn one_opening_touches_what_the_conventions_say() {
    const TEST: &str = "one_opening_touches_what_the_conventions_say";
    if let Some(config) = child() {
        let _ = fs::metadata(BEGIN);
        let client = Client::new(&config).unwrap();
        open_one(&client);
        drop(client);
        let _ = fs::metadata(END);
        return;
    }
    let sim = simulator();
    let place = Place::new(&sim, "claims-trace");
    let (code, said) = run(&mut place.command(Path::new("strace"), TEST));
    assert_eq!(code, 0, "{said}");
    let trace = fs::read_to_string(place.state.with_file_name("trace")).unwrap();
    let (_, trace) = trace.split_once(BEGIN).unwrap();
    // The line's rest.
    let (trace, _) = trace.split_once('\n').unwrap().1.split_once(END).unwrap();
    let mut read = table("docs/conventions.md", "Files that are read");
    read.extend(table("docs/conventions.md", "Files that the C library reads"));
    let state = place.state.to_str().unwrap();
    let port = port(&sim);
    let (mut written, mut opened, mut connected) = (0, 0, 0);
    for (name, arguments) in calls(trace) {
        match name {
            "write" | "writev" => {
                assert!(
                    !arguments.starts_with(['1', '2']) || !arguments[1..].starts_with('<'),
                    "{arguments}"
                );
            }
            "socket" => assert!(arguments.contains("SOCK_CLOEXEC"), "socket({arguments}"),
            "connect" if arguments.contains("AF_UNIX") => assert!(arguments.contains("nscd"), "{arguments}"),
            "connect" if arguments.contains(&format!("htons({port})")) => connected += 1,
            // The C library compares addresses, or asks a name server.
            "connect" => assert!(
                ["htons(0)", "htons(53)", "AF_NETLINK", "AF_UNSPEC"].iter().any(|w| arguments.contains(w)),
                "connect({arguments}"
            ),
            "bind" => assert!(arguments.contains("AF_NETLINK"), "bind({arguments}"),
            "listen" | "accept" | "accept4" | "execve" | "kill" | "tgkill" | "tkill" => {
                panic!("{name}({arguments}")
            }
            // Setting a handler; asking for one passes NULL.
            "rt_sigaction" => assert!(arguments.contains(", NULL, {"), "rt_sigaction({arguments}"),
            _ => {
                let Some(path) = path(arguments) else { continue };
                if path.starts_with(state) {
                    written += i32::from(arguments.contains("O_CREAT"));
                    continue;
                }
                let changes = ["O_WRONLY", "O_RDWR", "O_CREAT"].iter().any(|flag| arguments.contains(flag))
                    || ["rename", "link", "unlink", "mkdir", "chmod", "truncate"]
                        .iter()
                        .any(|w| name.starts_with(w));
                assert!(!changes, "outside state_dir: {name}({arguments}");
                // What is only looked at is not read.
                if !name.starts_with("open") {
                    continue;
                }
                opened += 1;
                assert!(arguments.contains("O_CLOEXEC"), "{name}({arguments}");
                // Beside those the one that the settings name.
                let known = read.iter().any(|l| fits(l, &path)) || path.ends_with("/ca.pem");
                assert!(known, "docs/conventions.md does not say that {path} is read");
            }
        }
    }
    assert!(written >= 5 && opened >= 3 && connected >= 1, "{written} {opened} {connected}");
}

/// The port in the simulator's accounts.
fn port(sim: &kiosklink_sim::Simulator) -> String {
    let info = sim.info();
    let url = info["platforms"]["yopoint"]["base_url"].as_str().unwrap();
    let (_, port) = url.rsplit_once(':').unwrap();
    port.split('/').next().unwrap().to_owned()
}

/// Open descriptors and what they are; the one by which the folder itself is read is gone when it is asked for.
fn descriptors() -> BTreeMap<i32, String> {
    let all = names(Path::new("/proc/self/fd"));
    let open =
        |name: &String| Some((name.parse().ok()?, fs::read_link(format!("/proc/self/fd/{name}")).ok()?));
    all.iter().filter_map(open).map(|(fd, what)| (fd, what.display().to_string())).collect()
}

// FAULTS F14: the standard streams are closed, and nothing of the journal takes their place.
#[test]
fn descriptors_are_closed_on_exec_and_never_a_standard_stream() {
    const TEST: &str = "descriptors_are_closed_on_exec_and_never_a_standard_stream";
    if let Some(config) = child() {
        // Only what is opened from here on is the library's; nothing may be printed any more.
        let before = descriptors();
        // SAFETY: nothing in this process uses its standard streams any more.
        (0..3).for_each(|fd| assert_eq!(unsafe { libc::close(fd) }, 0));
        let client = Client::new(&config).unwrap();
        open_one(&client);
        let held: Vec<(i32, String)> =
            descriptors().into_iter().filter(|(fd, what)| before.get(fd) != Some(what)).collect();
        // SAFETY: asks for a number's flags.
        let flags = |fd: i32| unsafe { libc::fcntl(fd, libc::F_GETFD) };
        let low = held.iter().any(|(fd, _)| *fd < 3);
        let leaks = held.iter().any(|(fd, _)| flags(*fd) & libc::FD_CLOEXEC == 0);
        let journal = held.iter().any(|(_, what)| what.ends_with(".journal"));
        let socket = held.iter().any(|(_, what)| what.starts_with("socket:"));
        let faults =
            i32::from(low) | i32::from(leaks) << 1 | i32::from(!journal) << 2 | i32::from(!socket) << 3;
        // SAFETY: ends the process at once; there is nowhere to print a result.
        unsafe { libc::_exit(faults) };
    }
    let sim = simulator();
    let place = Place::new(&sim, "claims-descriptors");
    let (code, said) = run(&mut place.command(&std::env::current_exe().unwrap(), TEST));
    assert_eq!(code, 0, "1: below 3, 2: not closed on exec, 4: no journal seen, 8: no socket seen\n{said}");
}

/// The names of the threads of this process.
fn threads() -> Vec<String> {
    let comm = |id: String| fs::read_to_string(format!("/proc/self/task/{id}/comm")).ok();
    names(Path::new("/proc/self/task")).into_iter().filter_map(comm).map(|n| n.trim().to_owned()).collect()
}

#[test]
fn no_thread_is_made_before_a_call_that_needs_one() {
    const TEST: &str = "no_thread_is_made_before_a_call_that_needs_one";
    if let Some(config) = child() {
        let before = threads();
        let client = Client::new(&config).unwrap();
        client.request_id_new().unwrap();
        client.commands_pending().unwrap();
        client.journal_info().unwrap();
        assert!(client.command_get("visit-1").is_err());
        assert_eq!(threads(), before, "a client, and calls that send nothing");
        open_one(&client);
        // Every thread of the library is listed, and a lookup's ends with it.
        let listed = table("docs/threads.md", "Threads that the library makes");
        let begun = Instant::now();
        loop {
            let more: Vec<String> = threads().into_iter().filter(|name| !before.contains(name)).collect();
            assert!(more.iter().all(|name| listed.iter().any(|l| l.starts_with(&**name))), "{more:?}");
            if more.is_empty() {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{more:?} do not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        return;
    }
    let sim = simulator();
    let place = Place::new(&sim, "claims-threads");
    let (code, said) = run(&mut place.command(&std::env::current_exe().unwrap(), TEST));
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_program_that_is_started_inherits_nothing() {
    const TEST: &str = "a_program_that_is_started_inherits_nothing";
    if let Some(config) = child() {
        let listing = || {
            let out = Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
            let text = String::from_utf8(out.stdout).unwrap();
            // Number and target, without the folder that ls itself has open.
            let rows = text.lines().filter_map(|l| l.split_once(" -> ")).map(|(_, what)| what.to_owned());
            rows.filter(|what| !what.contains("/fd") && !what.starts_with("pipe:")).collect::<Vec<_>>()
        };
        let before = listing();
        let client = Client::new(&config).unwrap();
        open_one(&client);
        assert!(fs::File::open("/dev/null").unwrap().as_raw_fd() > 3);
        assert_eq!(listing(), before);
        return;
    }
    let sim = simulator();
    let place = Place::new(&sim, "claims-inherit");
    let (code, said) = run(&mut place.command(&std::env::current_exe().unwrap(), TEST));
    assert_eq!(code, 0, "{said}");
}

/// The part of the next test that is another process: holds a lock until its standard input ends.
#[test]
fn child_that_holds_a_lock() {
    let Ok(path) = std::env::var("KIOSKLINK_TEST_CLAIMS_LOCK") else { return };
    let file = fs::File::open(path).unwrap();
    // SAFETY: the descriptor is open.
    assert_eq!(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) }, 0);
    println!("held");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

// FAULTS F3: a cancel blocked for as long as another process held the journal's lock, and did not end the call.
#[test]
fn a_cancel_does_not_wait_and_ends_a_call_that_waits_for_the_lock() {
    let (sim, folder) = (simulator(), scratch("claims-cancel"));
    let client = client_with(&sim, &[("state_dir", folder.to_str().unwrap())]);
    open_one(&client);
    let name = client.request_id_new().unwrap();
    let lock =
        names(&folder).into_iter().find(|n| n.starts_with("commands-") && n.ends_with(".lock")).unwrap();
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_holds_a_lock", "--nocapture"])
        .env("KIOSKLINK_TEST_CLAIMS_LOCK", folder.join(lock))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(other.stdout.take().unwrap()).lines();
    assert!(said.map_while(Result::ok).any(|line| line.ends_with("held")));
    let begun = Instant::now();
    let mut longest = Duration::ZERO;
    let ended = std::thread::scope(|s| {
        let call = s.spawn(|| {
            let r = DoorRequest { request_id: name, cabinet_id: TWO_DOORS.into(), ..Default::default() };
            client.door_open(&r).unwrap_err()
        });
        // One that comes before the call's entry does nothing to it.
        while !call.is_finished() {
            let at = Instant::now();
            client.cancel();
            longest = longest.max(at.elapsed());
            std::thread::sleep(Duration::from_millis(1));
        }
        call.join().unwrap()
    });
    other.kill().unwrap();
    other.wait().unwrap();
    // The lock is waited for 5 s, and nothing of the call was sent.
    assert!(longest < Duration::from_secs(1) && begun.elapsed() < Duration::from_secs(4), "{longest:?}");
    assert_eq!((ended.status(), ended.details().outcome), (KL_E_CANCELLED, Outcome::NotDone), "{ended}");
    assert_eq!(openings(&sim).len(), 1);
}
