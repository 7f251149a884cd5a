//! `kiosklink doctor`: everything between this device and the platform, one line each.

use crate::args::Given;
use crate::out::{Done, WRONG, name_of, say};
use crate::verbs::{CLOCK_OFF_S, system_ms};
use kiosklink::client::Client;
use kiosklink::command::JournalInfo;
use kiosklink::config::{Config, KEYS};
use kiosklink::error::Error;
use kiosklink::json::{Json, Writer};
use kiosklink::log::mask;
use kiosklink::platform::refusals::Refusals;
use kiosklink::platform::{self, proof};
use kiosklink::status::{self, *};
use kiosklink::time::clock::{BUILD_TIME, Source, format_time};
use kiosklink::transport::{Scheme, Url};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// A certificate that ends sooner than this is worth a word.
const DAYS_LEFT: i64 = 14;
/// A clock further off than this is bad: logs and certificates need it, even if signing does not.
const CLOCK_BAD_S: i64 = 300;
/// A folder that takes longer than this to write a line to slows every command.
const SYNC_SLOW_MS: u128 = 200;
const SYNC_BAD_MS: u128 = 2000;
const FREE_LOW: u64 = 4 << 20;
const FREE_BAD: u64 = 256 << 10;
/// What is wrong with the client's certificate is told in the handshake, or with the first answer.
const CLIENT_CERT: &str = "set client_cert_file and client_key_file as the platform gave them";
const SERVER: &str = "it speaks TLS, but not as it must: show this line to whoever runs the server";
const PORT: &str = "does the port speak TLS?";
const PROXY: &str = "is proxy right, its password too, and may it connect to the platform?";

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    Look,
    Bad,
    /// Not looked at, because something before it is bad.
    Skipped,
}

struct Check {
    name: &'static str,
    state: State,
    what: String,
    cure: String,
}

/// What was found, line by line.
struct Findings {
    json: bool,
    all: Vec<Check>,
}

impl Findings {
    fn add(&mut self, name: &'static str, state: State, what: impl Into<String>, cure: impl Into<String>) {
        self.all.push(Check {
            name,
            state,
            what: mask(&what.into()).into_owned(),
            cure: mask(&cure.into()).into_owned(),
        });
    }

    fn good(&mut self, name: &'static str, what: impl Into<String>) {
        self.add(name, State::Good, what, "");
    }

    fn error(&mut self, name: &'static str, error: &Error, cure: &str) {
        self.add(name, State::Bad, format!("{} ({})", error.message(), name_of(error)), cure);
    }

    fn skip(&mut self, names: &[&'static str]) {
        for name in names {
            self.add(name, State::Skipped, "not looked at", "");
        }
    }

    /// Prints all of it and ends.
    fn end(self) -> Done {
        let bad = self.all.iter().any(|c| c.state == State::Bad);
        let word = |state| match state {
            State::Good => "good",
            State::Look => "look",
            State::Bad => "bad",
            State::Skipped => "-",
        };
        if self.json {
            let all: Vec<String> = self
                .all
                .iter()
                .map(|c| {
                    let mut w = Writer::new();
                    w.text("check", c.name)
                        .text("state", if c.state == State::Skipped { "skipped" } else { word(c.state) });
                    w.text("what", &c.what).text("do", &c.cure);
                    w.finish()
                })
                .collect();
            let mut w = Writer::new();
            w.raw("ok", if bad { "false" } else { "true" }).raw("checks", &format!("[{}]", all.join(",")));
            say(&w.finish())?;
        } else {
            for c in &self.all {
                say(&format!("{:4}  {:<11}  {}", word(c.state), c.name, c.what))?;
                if !c.cure.is_empty() {
                    say(&format!("{:19}-> {}", "", c.cure))?;
                }
            }
            say(if bad { "\nSomething is bad: see above." } else { "\nNothing is bad." })?;
        }
        Ok(if bad { WRONG } else { 0 })
    }
}

/// `kiosklink doctor`
pub fn run(given: &Given) -> Done {
    let mut f = Findings { json: given.json(), all: Vec::new() };
    let build = format!(
        "kiosklink {}, ABI {}, built {}",
        env!("CARGO_PKG_VERSION"),
        kiosklink::ffi::library::KL_ABI_VERSION,
        format_time(BUILD_TIME)
    );
    f.good("version", build);
    let account = given.args.first().map(String::as_str).or(given.get("account"));
    let config = match given.config_of(account) {
        Ok(config) => config,
        Err(crate::out::Stop::Failed(e)) => {
            f.error("settings", &e, "put the accounts file right; `kiosklink accounts` shows what is read");
            f.skip(&["state", "dns", "tcp", "tls", "platform", "clock"]);
            return f.end();
        }
        Err(other) => return Err(other),
    };
    let mut of_files = Findings { json: false, all: Vec::new() };
    let folder = state(&mut of_files, &config);
    let refusals_good = refusals(&mut of_files, &config);
    let folder_bad = of_files.all.iter().any(|c| c.state == State::Bad && c.name != "refusals");
    let before = folder.map(names_in).unwrap_or_default();
    let make = |c: &Config| platform::make(c).and_then(|p| Ok((p.origin().clone(), Client::new(c)?)));
    // What is wrong with a file is told once, and does not hide what is wrong with the network.
    let mut left_out = Vec::new();
    left_out.extend((!refusals_good).then_some("refusals_file"));
    left_out.extend(folder_bad.then_some("state_dir"));
    let library = make(&config).or_else(|e| {
        let trial = (1..1 << left_out.len()).find_map(|some: usize| {
            let without = left_out.iter().enumerate().filter(|(i, _)| some >> i & 1 == 1).map(|(_, k)| *k);
            make(&without_keys(&config, &without.collect::<Vec<_>>())?).ok()
        });
        trial.ok_or(e)
    });
    settings(&mut f, given, &config, library.as_ref().err());
    f.all.append(&mut of_files.all);
    match library {
        Ok((origin, client)) => {
            match folder {
                Some(folder) => {
                    journal(&mut f, &config, folder, &client);
                    handed_over(folder, &before);
                }
                None if wants_folder(&config) => f.skip(&["filesystem", "journal", "identity"]),
                None => {}
            }
            network(&mut f, &config, &origin, &client);
        }
        Err(_) => f.skip(&["dns", "tcp", "tls", "platform", "clock"]),
    }
    f.end()
}

/// Whether the account names a folder for its state.
fn wants_folder(config: &Config) -> bool {
    config.get("state_dir").is_some_and(|dir| dir != "none")
}

/// The same account without some of its settings.
fn without_keys(config: &Config, keys: &[&str]) -> Option<Config> {
    let mut without = Config::new(config.platform().name()).ok()?;
    for key in KEYS.iter().filter(|k| !keys.contains(&k.name)) {
        if let Some(value) = config.get(key.name) {
            without.set(key.name, value).ok()?;
        }
    }
    Some(without)
}

fn names_in(folder: &Path) -> Vec<String> {
    let all = std::fs::read_dir(folder).into_iter().flatten().flatten();
    all.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

/// What a client makes in its folder (the file by which it is tried, a lock) belongs to the folder's owner: of root's making
/// it would shut the firmware out.
fn handed_over(folder: &Path, before: &[String]) {
    use std::os::unix::fs::MetadataExt;
    let Ok(of) = folder.metadata() else { return };
    for name in names_in(folder).iter().filter(|name| !before.contains(name)) {
        let file = folder.join(name);
        if file.symlink_metadata().is_ok_and(|m| m.uid() != of.uid()) {
            // Only root can, and only root needs to.
            let _ = std::os::unix::fs::lchown(&file, Some(of.uid()), Some(of.gid()));
        }
    }
}

/// The operator's own table of refusals. False if the library cannot use it.
fn refusals(f: &mut Findings, config: &Config) -> bool {
    use std::os::unix::fs::MetadataExt;
    const NAME: &str = "refusals";
    let Some(path) = config.get("refusals_file") else { return true };
    let table = match std::fs::read(path) {
        Ok(table) => table,
        Err(e) => {
            f.add(NAME, State::Bad, format!("{path}: {e}"), "put the file there, or take refusals_file out");
            return false;
        }
    };
    let platform = config.platform();
    let found = match Table::read(&table, platform) {
        Ok(found) => found,
        Err(why) => {
            f.add(NAME, State::Bad, format!("{path}: {why}"), "put it right: docs/proof.md has the form");
            return false;
        }
    };
    let what = found.words(path, platform.name());
    if !found.wrong.is_empty() {
        let cure = "put these rows right, or take them out: nothing of the table is used before";
        f.add(NAME, State::Bad, format!("{what}; {}", found.wrong.join("; ")), cure);
        return false;
    }
    if std::fs::metadata(path).is_ok_and(|m| m.mode() & 0o022 != 0) {
        let cure = format!("chmod go-w {path}: whoever writes there can make a door open again");
        f.add(NAME, State::Look, format!("{what}; others than its owner can write to it"), cure);
    } else if !found.look.is_empty() {
        let cure = "is that meant so?";
        f.add(NAME, State::Look, format!("{what}; {}", found.look.join("; ")), cure);
    } else {
        f.good(NAME, what);
    }
    true
}

/// What an operator's table holds.
#[derive(Default)]
struct Table {
    /// Rows that this platform takes.
    taken: usize,
    /// Of these, rows that prove *not done*.
    prove: usize,
    /// Rows of other platforms.
    others: usize,
    /// Rows that cannot be used.
    wrong: Vec<String>,
    /// What can be used and is odd.
    look: Vec<String>,
}

impl Table {
    /// Row by row, so that all that is wrong is told at once. An error is about the whole.
    fn read(table: &[u8], platform: platform::Kind) -> Result<Table, String> {
        let whole = Json::parse(table).and_then(Json::object).map_err(|b| b.sentence("the table"))?;
        let rows = whole.array(&["rows"]).map_err(|b| b.sentence("the table"))?.unwrap_or_default();
        let head = whole.get("kiosklink-refusals").ok().flatten().map_or("0", Json::text);
        // The head alone is judged first.
        let of = |rows: &str| format!("{{\"kiosklink-refusals\":{head},\"rows\":[{rows}]}}");
        let judge = |rows: &str| {
            Refusals::with_table(proof::refusals(platform), platform.name(), of(rows).as_bytes()).map_err(
                |e| {
                    e.message().trim_start_matches("refusals_file: ").trim_start_matches("row 1: ").to_owned()
                },
            )
        };
        judge("")?;
        let own = Refusals::new(proof::refusals(platform));
        let mut found = Table::default();
        let mut seen: Vec<(String, i64)> = Vec::new();
        for (i, row) in rows.iter().enumerate() {
            let number = i + 1;
            let taken = match judge(row.text()) {
                Ok(table) => table.own_rows() == 1,
                Err(why) => {
                    found.wrong.push(format!("row {number}: {why}"));
                    continue;
                }
            };
            let Ok(o) = row.object() else { continue };
            let text = |key: &str| o.string(&[key]).ok().flatten().unwrap_or_default();
            if !taken {
                found.others += 1;
                let of = text("platform");
                if !platform::Kind::ALL.iter().any(|k| k.name() == of) {
                    found.look.push(format!("row {number} is of an unknown platform {of}"));
                }
                continue;
            }
            let (name, http) = (text("name"), o.int(&["http"]).ok().flatten().unwrap_or(0));
            found.taken += 1;
            found.prove += usize::from(text("means") == "not_done");
            if seen.contains(&(name.clone(), http)) {
                found.look.push(format!("row {number} says {name} once more: the first one counts"));
            } else if own.meaning(u16::try_from(http).unwrap_or(0), &name).is_some() {
                found.look.push(format!("row {number} is laid over the platform's own row for {name}"));
            }
            seen.push((name, http));
        }
        Ok(found)
    }

    fn words(&self, path: &str, platform: &str) -> String {
        let mut text = format!(
            "{path}: {} rows taken for {platform}, {} of them prove that nothing was done",
            self.taken, self.prove
        );
        if self.others > 0 {
            text.push_str(&format!("; {} rows of other platforms", self.others));
        }
        text
    }
}

fn settings(f: &mut Findings, given: &Given, config: &Config, error: Option<&Error>) {
    if let Some(e) = error {
        return f.error(
            "settings",
            e,
            "put the account's settings right; `kiosklink accounts` shows what is read",
        );
    }
    let name = config.platform().name();
    if let Some(path) = given.get("accounts") {
        use std::os::unix::fs::MetadataExt;
        if Path::new(path).metadata().is_ok_and(|m| m.mode() & 0o004 != 0) {
            return f.add(
                "settings",
                State::Look,
                format!("{name}; every user of this device can read the secrets in {path}"),
                format!("chmod 600 {path}"),
            );
        }
    }
    f.good("settings", format!("{name}, complete"));
}

/// The folder for state, if there is one.
fn state<'a>(f: &mut Findings, config: &'a Config) -> Option<&'a Path> {
    const SET: &str = "set state_dir to a folder on flash that survives restarts";
    let Some(dir) = config.get("state_dir") else {
        // An account that only reads has nothing to remember.
        if platform::make(config).is_ok_and(|p| p.only_reads()) {
            f.good("state", "no state_dir: this platform takes no commands");
        } else {
            f.add("state", State::Bad, "no state_dir: commands are refused (KL_E_CONFIG_MISSING)", SET);
        }
        return None;
    };
    if dir == "none" {
        let what = "state_dir is none: after a restart the same request_id acts again";
        f.add("state", State::Look, what, SET);
        return None;
    }
    let path = Path::new(dir);
    match path.metadata() {
        Err(e) => {
            f.add("state", State::Bad, format!("{dir}: {e}"), format!("mkdir -p {dir}"));
            return None;
        }
        Ok(m) if !m.is_dir() => {
            f.add("state", State::Bad, format!("{dir} is no folder"), "set state_dir to a folder");
            return None;
        }
        Ok(_) => {}
    }
    // A line written and synced, as each command does it.
    let probe = path.join(format!(".doctor-{}", std::process::id()));
    let started = Instant::now();
    let wrote = OpenOptions::new().write(true).create_new(true).open(&probe).and_then(|mut file: File| {
        file.write_all(&[b'x'; 512])?;
        file.sync_data()
    });
    let took = started.elapsed().as_millis();
    // Whatever became of it: it is not to stay.
    let _ = std::fs::remove_file(&probe);
    match wrote {
        Err(e) => {
            let cure = match e.raw_os_error() {
                Some(28) => "the file system is full: make room",
                Some(30) => "the file system is read-only: remount it, and look why it became so",
                Some(13 | 1) => "let the user that runs the firmware write there",
                _ => "look at the file system",
            };
            f.add("state", State::Bad, format!("{dir} cannot be written: {e}"), cure);
        }
        Ok(()) if took >= SYNC_BAD_MS => f.add(
            "state",
            State::Bad,
            format!("{dir}: a write took {took} ms to reach the flash"),
            "the flash is worn or busy: replace it, or move state_dir",
        ),
        Ok(()) if took >= SYNC_SLOW_MS => f.add(
            "state",
            State::Look,
            format!("{dir}: a write took {took} ms to reach the flash"),
            "every command waits that long: is the flash worn, or something else busy with it?",
        ),
        Ok(()) => f.good("state", format!("{dir} can be written; a write reaches the flash in {took} ms")),
    }
    match rustix::fs::statvfs(path) {
        Err(e) => f.add("space", State::Look, format!("{dir}: {e}"), "look at the file system"),
        Ok(s) => {
            let free = s.f_bavail.saturating_mul(s.f_frsize);
            // Some file systems have no number of files.
            let files =
                if s.f_files > 0 { format!(", room for {} files", s.f_favail) } else { String::new() };
            let what = format!("{} free in {dir}{files}", size(free));
            if free < FREE_BAD || (s.f_files > 0 && s.f_favail == 0) {
                f.add(
                    "space",
                    State::Bad,
                    what,
                    "make room: commands are refused when the journal cannot be written",
                );
            } else if free < FREE_LOW {
                f.add("space", State::Look, what, "make room before it runs out");
            } else {
                f.good("space", what);
            }
        }
    }
    Some(path)
}

/// For a person: in whole units, of which there are ten at least.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} bytes"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        10_485_760..10_737_418_240 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

/// The account's journal, as the library reads it: what it lies on, how it does, whose it is.
fn journal(f: &mut Findings, config: &Config, folder: &Path, client: &Client) {
    const NAMES: [&str; 3] = ["filesystem", "journal", "identity"];
    if platform::make(config).is_ok_and(|p| p.only_reads()) {
        return f.skip(&NAMES);
    }
    // Reading makes the lock's file if there is none. Of another user's making than the firmware's it would shut that one out.
    let prefix = format!("commands-{}-", config.platform().name());
    let lock = names_in(folder).iter().any(|name| name.starts_with(&prefix) && name.ends_with(".lock"));
    if !lock && is_stranger(folder) {
        f.add(NAMES[0], State::Skipped, "not looked at: this is not the user that owns the folder", "");
        f.good(NAMES[1], "none yet: no command was given");
        return f.skip(&NAMES[2..]);
    }
    let info = match client.journal_info() {
        Ok(info) => info,
        Err(e) => {
            f.skip(&NAMES[..1]);
            f.error(NAMES[1], &e, unreadable(e.status()));
            return f.skip(&NAMES[2..]);
        }
    };
    let (state, cure) = on(&info.file_system);
    f.add(NAMES[0], state, format!("{} lies on {}", folder.display(), info.file_system), cure);
    let (state, what, cure) = health(&info);
    f.add(NAMES[1], state, what, cure);
    identity(f, &info);
}

/// Whether what this user makes in the folder is in its owner's way.
fn is_stranger(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let me = rustix::process::geteuid();
    !me.is_root() && folder.metadata().is_ok_and(|m| m.uid() != me.as_raw())
}

/// What helps against a journal that cannot be read.
fn unreadable(status: kl_status) -> &'static str {
    match status {
        KL_E_JOURNAL_FULL => "make room",
        KL_E_JOURNAL_READ_ONLY => "remount it, and look why it became read-only",
        KL_E_JOURNAL_OWNER => "run this as the user that runs the firmware",
        KL_E_JOURNAL_VERSION => "this program is older than the firmware that wrote it: use the newer one",
        KL_E_JOURNAL_BUSY => "another process holds it: is one hanging?",
        _ => "look at the file system",
    }
}

/// What a file system, in the library's words, means for a journal.
fn on(file_system: &str) -> (State, &'static str) {
    let says = |words: &str| file_system.contains(words);
    if says("gone with the power") {
        (
            State::Bad,
            "set state_dir to a folder on flash: after a power cut the same request_id would act again",
        )
    } else if says("data=writeback") {
        (State::Look, "mount it with data=ordered: after a power cut a file may hold old bytes")
    } else if says("a sync may not reach the disk") {
        (State::Bad, "mount it with barriers: after a power cut the same request_id could act again")
    } else if says("another machine") {
        (State::Look, "set state_dir to a local disk: two processes may not see each other's locks")
    } else if file_system.starts_with("overlay") {
        (State::Look, "is its upper folder kept when the device is updated or the container is made anew?")
    } else if says("no owners and modes") {
        (State::Look, "everybody on this device can write there, and so make a door open again")
    } else if file_system.is_empty() || says("unknown") {
        (State::Look, "does it survive a power cut?")
    } else {
        (State::Good, "")
    }
}

/// How a journal does that could be read.
fn health(info: &JournalInfo) -> (State, String, &'static str) {
    let file = info.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut what =
        format!("{file}: {} bytes, commands: {} settled, {} not", info.bytes, info.settled, info.unsettled);
    if info.trouble != KL_OK {
        let code = status::name(info.trouble).unwrap_or("KL_E_JOURNAL");
        what = format!("{file}: {} ({code}); commands are refused", info.trouble_words);
        return (State::Bad, what, adoptable(info.trouble));
    }
    if !info.damage.is_empty() {
        what.push_str("; damaged: ");
        what.push_str(&info.damage);
        let cure = "keep a copy, look at the doors of its commands, then let a person decide to go on: `kiosklink repair` (kl_journal_repair)";
        return (State::Bad, what, cure);
    }
    if info.poisoned {
        what.push_str("; a write or a sync of it failed, and it is written anew with the next command");
        return (State::Look, what, "look at the kernel's log: a flash that fails once fails again");
    }
    if info.owed > 0 {
        what.push_str(&format!("; {} records could not be written yet", info.owed));
        return (
            State::Look,
            what,
            "make room, or put the file system right: they are written as soon as they can be",
        );
    }
    if info.unsettled > 0 {
        return (State::Look, what, "see `kiosklink pending list`; `pending resolve` asks the platform");
    }
    if info.bytes == 0 {
        return (State::Good, "none yet: no command was given".to_owned(), "");
    }
    (State::Good, what, "")
}

/// What a person must find out before a journal in this trouble is adopted.
fn adoptable(trouble: kl_status) -> &'static str {
    match trouble {
        KL_E_JOURNAL_MISSING => {
            "is the right disk mounted at state_dir? If the journal is lost: look at the doors of the last commands, then `kiosklink adopt` (kl_journal_adopt)"
        }
        KL_E_JOURNAL_OLDER => {
            "was a backup put back, or has the card forgotten? The newest journal is the right one; if it is lost: look at the doors, then `kiosklink adopt` (kl_journal_adopt)"
        }
        _ => {
            "was the card copied from another machine? If this one is to go on with it: `kiosklink adopt` (kl_journal_adopt); it gets a secret of its own"
        }
    }
}

/// Whose journal it is.
fn identity(f: &mut Findings, info: &JournalInfo) {
    const NAME: &str = "identity";
    if info.installation.is_empty() {
        return f.good(NAME, "none yet: it is made with the first command");
    }
    let whose = format!("installation {}, epoch {}", info.installation, info.epoch);
    if info.bound {
        return f.good(NAME, format!("{whose}, bound to this machine"));
    }
    let what =
        format!("{whose}, not bound to this machine: a copy of it on another one would not be noticed");
    f.add(NAME, State::Look, what, "never clone a card with a journal on it");
}

fn network(f: &mut Findings, config: &Config, origin: &Url, client: &Client) {
    let limit = Duration::from_millis(config.number("connect_timeout_ms").into());
    let proxied = config.get("proxy").is_some();
    if proxied {
        f.add("dns", State::Skipped, "the proxy looks the name up", "");
        f.add("tcp", State::Skipped, "the proxy connects", "");
    } else {
        let addresses = match lookup(&origin.host, origin.port, limit) {
            Ok(addresses) => addresses,
            Err(why) => {
                f.add(
                    "dns",
                    State::Bad,
                    why,
                    "is the network up, is /etc/resolv.conf right, is base_url spelled right?",
                );
                return f.skip(&["tcp", "tls", "platform", "clock"]);
            }
        };
        let list: Vec<String> = addresses.iter().map(|a| a.ip().to_string()).collect();
        f.good("dns", format!("{} is {}", origin.host, list.join(", ")));
        let started = Instant::now();
        let mut reached = Err(String::new());
        for address in &addresses {
            match TcpStream::connect_timeout(address, limit) {
                Ok(_) => {
                    reached = Ok(*address);
                    break;
                }
                Err(e) => reached = Err(format!("{address}: {e}")),
            }
        }
        match reached {
            Ok(address) => {
                f.good("tcp", format!("{address} answers in {} ms", started.elapsed().as_millis()))
            }
            Err(why) => {
                f.add(
                    "tcp",
                    State::Bad,
                    why,
                    "is the port right? Does a firewall, or the SIM's tariff, let it through?",
                );
                return f.skip(&["tls", "platform", "clock"]);
            }
        }
        if origin.scheme == Scheme::Https && !tls(f, client, PORT, || chain(origin, &addresses, limit)) {
            return f.skip(&["platform", "clock"]);
        }
    }
    // What the proxy shows is the library's affair: only its verdict is told.
    if proxied && origin.scheme == Scheme::Https && !tls(f, client, PROXY, Vec::new) {
        return f.skip(&["platform", "clock"]);
    }
    if origin.scheme == Scheme::Http {
        f.add("tls", State::Look, "plain http: nothing is verified or hidden", "for a test on a desk only");
    }
    platform_says(f, client);
}

/// The addresses of a name. The system's lookup knows no limit, so it is left behind when its time is up.
fn lookup(host: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, String> {
    let (tell, told) = mpsc::channel();
    let name = host.to_owned();
    let job = move || {
        let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        // Nobody may be waiting any more.
        let _ = tell.send(found);
    };
    std::thread::Builder::new()
        .name("doctor-dns".into())
        .spawn(job)
        .map_err(|e| format!("no thread for the lookup: {e}"))?;
    match told.recv_timeout(limit) {
        Ok(Ok(all)) if all.is_empty() => Err(format!("{host} has no address: the answer is empty")),
        Ok(Ok(all)) => Ok(all),
        Ok(Err(e)) => Err(format!("{host} has no address: {e}")),
        Err(_) => Err(format!(
            "no answer within {} ms to the question for the address of {host}",
            limit.as_millis()
        )),
    }
}

/// The library's verdict on the handshake, and the chain with its days. `way` is the cure of what is not TLS's own.
fn tls(f: &mut Findings, client: &Client, way: &str, chain: impl FnOnce() -> Vec<Certificate>) -> bool {
    let started = Instant::now();
    let verdict = client.warm();
    let took = started.elapsed().as_millis();
    let chain = chain();
    if let Err(e) = verdict {
        let cure = match e.status() {
            KL_E_TLS_EXPIRED => {
                "is this device's clock right? If it is, whoever runs the server must renew it"
            }
            KL_E_TLS_NOT_YET_VALID => "set this device's clock: it is probably behind",
            KL_E_TLS_WRONG_NAME => {
                "is base_url right? Or does something between here and there answer in its place?"
            }
            KL_E_TLS_UNTRUSTED if e.message().contains("intermediate certificate is missing") => {
                "whoever runs the server must let it send the intermediate certificate too; or is ca_file another CA's?"
            }
            KL_E_TLS_UNTRUSTED if !e.message().contains("no known root") => {
                "whoever runs the server must replace the certificate"
            }
            KL_E_TLS_UNTRUSTED => {
                "is ca_file the right one? Or does something between here and there (a portal, a filter) answer in its place?"
            }
            KL_E_TLS_PIN => "the key is not the pinned one: a new certificate, or somebody in between",
            KL_E_TLS_CLIENT_CERT => CLIENT_CERT,
            KL_E_CLOCK => "set this device's clock",
            KL_E_TIMEOUT_TLS => {
                "TCP is taken but TLS is not answered: a firewall, an overloaded server, or a port that speaks something else"
            }
            KL_E_TLS if spoke_tls(e.message()) => SERVER,
            KL_E_TLS => PORT,
            _ => way,
        };
        let shown = chain.first().map(|c| {
            format!("; the server shows {} by {}, until {}", c.subject, c.issuer, format_time(c.not_after))
        });
        let what = format!("{} ({}){}", e.message(), name_of(&e), shown.unwrap_or_default());
        f.add("tls", State::Bad, what, cure);
        return false;
    }
    // A clock that was never set says nothing about days.
    let now = (system_ms() / 1000).max(BUILD_TIME);
    let (ended, valid): (Vec<&Certificate>, Vec<&Certificate>) =
        chain.iter().partition(|c| c.not_after < now);
    let described: Vec<String> = chain.iter().map(|c| format!("{} by {}", c.subject, c.issuer)).collect();
    let soonest = valid.iter().min_by_key(|c| c.not_after);
    let days = soonest.map(|c| (c, (c.not_after - now) / 86_400));
    match (days, ended.first()) {
        (Some((c, days)), _) if days < DAYS_LEFT => f.add(
            "tls",
            State::Look,
            format!("verified in {took} ms; the certificate of {} ends in {days} days, {}", c.subject, format_time(c.not_after)),
            "then nothing works any more: tell whoever runs the server",
        ),
        // It would have been refused if it were needed.
        (_, Some(c)) => f.add(
            "tls",
            State::Look,
            format!(
                "verified in {took} ms; the server shows the certificate of {} too, which ended {} and is not needed",
                c.subject,
                format_time(c.not_after)
            ),
            "tell whoever runs the server: other devices may stumble over it",
        ),
        (Some((_, days)), None) => {
            f.good("tls", format!("verified in {took} ms; {days} days left: {}", described.join(", ")))
        }
        (None, None) => f.good("tls", format!("verified in {took} ms")),
    }
    true
}

/// Whether what answered was TLS all the same, by the library's words: then the port is right.
fn spoke_tls(words: &str) -> bool {
    ["cipher", "refused the TLS handshake", "rules of TLS", "(alert "].iter().any(|w| words.contains(w))
}

struct Certificate {
    subject: String,
    issuer: String,
    not_after: i64,
}

/// Takes whatever chain is shown, to be looked at: nothing is sent over this connection. Whether to trust it is the
/// library's verdict, given before.
#[derive(Debug)]
struct Witness(Mutex<Vec<Vec<u8>>>);

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all = std::iter::once(leaf).chain(more).map(|c| c.to_vec()).collect();
        // Seen is enough: the handshake ends here.
        Err(rustls::Error::General("seen".into()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("seen".into()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("seen".into()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The chain that the server shows; empty if none could be had.
fn chain(origin: &Url, addresses: &[SocketAddr], limit: Duration) -> Vec<Certificate> {
    let witness = Arc::new(Witness(Mutex::default()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let connect = || -> Option<()> {
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .ok()?
            .dangerous()
            .with_custom_certificate_verifier(witness.clone())
            .with_no_client_auth();
        let name = ServerName::try_from(origin.host.clone()).ok()?;
        let mut session = ClientConnection::new(Arc::new(config), name).ok()?;
        let end = Instant::now() + limit;
        let mut socket = addresses.iter().find_map(|a| TcpStream::connect_timeout(a, limit).ok())?;
        while session.is_handshaking() && Instant::now() < end {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            socket.set_read_timeout(Some(left)).ok()?;
            socket.set_write_timeout(Some(left)).ok()?;
            session.complete_io(&mut socket).ok()?;
        }
        Some(())
    };
    // What was seen counts, however it ended.
    let _ = connect();
    let all = witness.0.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().filter_map(|der| certificate(der)).collect()
}

/// Reads as much of a certificate as is shown.
fn certificate(der: &[u8]) -> Option<Certificate> {
    let (_, whole, _) = element(der)?;
    let (_, mut tbs, _) = element(whole)?;
    // The version may be absent.
    if tbs.first() == Some(&0xa0) {
        tbs = element(tbs)?.2;
    }
    let (_, _, rest) = element(tbs)?; // serial number
    let (_, _, rest) = element(rest)?; // algorithm
    let (_, issuer, rest) = element(rest)?;
    let (_, validity, rest) = element(rest)?;
    let (_, subject, _) = element(rest)?;
    let (_, _, after) = element(validity)?;
    let (tag, time, _) = element(after)?;
    Some(Certificate { subject: name(subject), issuer: name(issuer), not_after: time_of(tag, time)? })
}

/// Tag, content, and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, first) = (*der.first()?, *der.get(1)?);
    let (length, head) = if first < 0x80 {
        (usize::from(first), 2)
    } else {
        let bytes = usize::from(first & 0x7f);
        let length = der
            .get(2..2 + bytes)?
            .iter()
            .try_fold(0usize, |n, b| n.checked_mul(256)?.checked_add((*b).into()))?;
        (length, 2 + bytes)
    };
    let end = head.checked_add(length)?;
    Some((tag, der.get(head..end)?, der.get(end..)?))
}

/// The common name, or the organisation.
fn name(mut sets: &[u8]) -> String {
    let mut best = String::new();
    while let Some((_, set, rest)) = element(sets) {
        sets = rest;
        let read = || {
            let (_, pair, _) = element(set)?;
            let (_, oid, rest) = element(pair)?;
            let (_, value, _) = element(rest)?;
            Some((oid, String::from_utf8_lossy(value).into_owned()))
        };
        match read() {
            Some((&[0x55, 4, 3], value)) => return value,
            Some((&[0x55, 4, 10], value)) => best = value,
            _ => {}
        }
    }
    if best.is_empty() { "a certificate without a name".into() } else { best }
}

fn time_of(tag: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    // UTCTime has two digits of the year.
    let text = if tag == 0x17 {
        let year: u32 = text.get(..2)?.parse().ok()?;
        format!("{}{text}", if year < 50 { "20" } else { "19" })
    } else {
        text.to_owned()
    };
    let part = |from: usize, to: usize| text.get(from..to);
    let iso = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 14)?
    );
    crate::args::parse_time(&iso)
}

/// The credentials, and the clock by the platform's.
fn platform_says(f: &mut Findings, client: &Client) {
    let started = Instant::now();
    match client.ping() {
        Ok(()) => {
            f.good("platform", format!("takes the credentials, in {} ms", started.elapsed().as_millis()))
        }
        Err(e) => {
            let cure = match e.status() {
                KL_E_HTTP | KL_E_PROTOCOL
                    if (200..400).contains(&e.details().http_status) || e.status() == KL_E_PROTOCOL =>
                {
                    "something else than the platform answers: a captive portal or proxy on this network, or base_url is wrong"
                }
                KL_E_HTTP if e.details().http_status >= 500 => {
                    "the platform is in trouble: try later, then ask the vendor"
                }
                KL_E_HTTP => "is base_url right?",
                KL_E_RATE_LIMIT => "too many calls: wait; is something else using this account in a loop?",
                KL_E_AUTH => {
                    "the id or the secret is wrong: compare with the vendor's console; `kiosklink sign explain` shows what is signed"
                }
                KL_E_TIMESTAMP => "set this device's clock: the answers do not tell the platform's time",
                KL_E_TOKEN => "a person must renew the authorisation or the access token",
                KL_E_PERMISSION | KL_E_ACCOUNT => "the account's owner must see to it",
                KL_E_TLS_CLIENT_CERT => CLIENT_CERT,
                KL_E_PROXY => PROXY,
                KL_E_TIMEOUT_REPLY => {
                    "the platform takes the request but does not answer: try later, then ask the vendor"
                }
                _ => "try again; if it stays, ask the vendor",
            };
            f.error("platform", &e, cure);
        }
    }
    let system = system_ms() / 1000;
    if client.time_source() != Source::Platform {
        return f.add(
            "clock",
            State::Look,
            format!("it is {} here; the platform did not tell its time", format_time(system)),
            "compare it with a watch",
        );
    }
    let ahead = system - client.now_ms() / 1000;
    let what = |side: &str| {
        format!(
            "this device says {}, which is {} s {side} the platform's time",
            format_time(system),
            ahead.abs()
        )
    };
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    match ahead.abs() {
        0..=CLOCK_OFF_S => f.good("clock", format!("{}, as the platform has it", format_time(system))),
        s if s <= CLOCK_BAD_S => {
            f.add("clock", State::Look, what(side), "set the clock, and keep it set (NTP)")
        }
        _ => f.add(
            "clock",
            State::Bad,
            what(side),
            "set the clock; kiosklink signs with the platform's time, but certificates and logs need it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_certificates() {
        assert_eq!(time_of(0x17, b"231114221320Z"), Some(1_700_000_000));
        assert_eq!(time_of(0x18, b"20231114221320Z"), Some(1_700_000_000));
        assert_eq!(time_of(0x17, b"23111422132Z"), None);
        assert!(certificate(&[0x30, 0x82, 0xff]).is_none() && element(&[0x30, 0xff]).is_none());
    }
}
