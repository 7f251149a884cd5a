//! The files of an account: its folder for state and the journal in it, and the operator's table of refusals.

use super::{Findings, State};
use crate::lang::t;
use crate::tr;
use kiosklink::client::Client;
use kiosklink::command::JournalInfo;
use kiosklink::config::Config;
use kiosklink::json::Json;
use kiosklink::model::{DoorRequest, RedeemRequest};
use kiosklink::platform::refusals::Refusals;
use kiosklink::platform::{self, Op, proof};
use kiosklink::status::{self, *};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// A folder that takes longer than this to write a line to slows every command.
const SYNC_SLOW_MS: u128 = 200;
const SYNC_BAD_MS: u128 = 2000;
const FREE_LOW: u64 = 4 << 20;
const FREE_BAD: u64 = 256 << 10;
/// Whether anything can be done on this platform that must not be done twice.
fn takes_commands(config: &Config) -> bool {
    let (door, code) = (DoorRequest::default(), RedeemRequest::default());
    platform::make(config)
        .map_or(true, |p| p.nature(&Op::DoorOpen(&door)).is_ok() || p.nature(&Op::CodeRedeem(&code)).is_ok())
}

/// Whether the account names a folder for its state.
pub fn wants_folder(config: &Config) -> bool {
    config.get("state_dir").is_some_and(|dir| dir != "none")
}

/// The folder for state, if there is one.
pub fn state<'a>(f: &mut Findings, config: &'a Config) -> Option<&'a Path> {
    const SET: &str = "set state_dir to a folder on flash that survives restarts";
    let Some(dir) = config.get("state_dir") else {
        // An account that only reads has nothing to remember.
        if !takes_commands(config) {
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
            f.add("state", State::Bad, tr!("{} is no folder", dir), "set state_dir to a folder");
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
            f.add("state", State::Bad, tr!("{} cannot be written: {}", dir, e), cure);
        }
        Ok(()) if took >= SYNC_BAD_MS => f.add(
            "state",
            State::Bad,
            tr!("{}: a write took {} ms to reach the flash", dir, took),
            "the flash is worn or busy: replace it, or move state_dir",
        ),
        Ok(()) if took >= SYNC_SLOW_MS => f.add(
            "state",
            State::Look,
            tr!("{}: a write took {} ms to reach the flash", dir, took),
            "every command waits that long: is the flash worn, or something else busy with it?",
        ),
        Ok(()) => f.good("state", tr!("{} can be written; a write reaches the flash in {} ms", dir, took)),
    }
    match rustix::fs::statvfs(path) {
        Err(e) => f.add("space", State::Look, format!("{dir}: {e}"), "look at the file system"),
        Ok(s) => {
            let free = s.f_bavail.saturating_mul(s.f_frsize);
            // Some file systems have no number of files.
            let files = if s.f_files > 0 { tr!(", room for {} files", s.f_favail) } else { String::new() };
            let what = tr!("{} free in {}{}", size(free), dir, files);
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
        0..10_240 => tr!("{} bytes", bytes),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        10_485_760..10_737_418_240 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

/// The account's journal, as the library reads it: what it lies on, how it does, whose it is.
pub fn journal(f: &mut Findings, config: &Config, folder: &Path, client: &Client) {
    const NAMES: [&str; 3] = ["filesystem", "journal", "identity"];
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
    f.add(NAMES[0], state, tr!("{} lies on {}", folder.display(), info.file_system), cure);
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
        (State::Look, "is its upper folder kept when the device is updated or the container is made again?")
    } else if says("no owners and modes") {
        (State::Look, "every user of this device can write there, and so make a door open again")
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
        tr!("{}: {} bytes, commands: {} settled, {} not", file, info.bytes, info.settled, info.unsettled);
    if info.trouble != KL_OK {
        let code = status::name(info.trouble).unwrap_or("KL_E_JOURNAL");
        what = tr!("{}: {} ({}); commands are refused", file, info.trouble_words, code);
        return (State::Bad, what, adoptable(info.trouble));
    }
    if !info.damage.is_empty() {
        what.push_str(&tr!("; damaged: {}", info.damage));
        let cure = "keep a copy, look at the doors of its commands, then let a person decide to go on: `kiosklink repair` (kl_journal_repair)";
        return (State::Bad, what, cure);
    }
    if info.poisoned {
        what.push_str(t("; a write or a sync of it failed, and it is written anew with the next command"));
        return (State::Look, what, "look at the kernel's log: a flash that fails once fails again");
    }
    if info.owed > 0 {
        what.push_str(&tr!("; {} records could not be written yet", info.owed));
        return (
            State::Look,
            what,
            "make room, or repair the file system: they are written as soon as possible",
        );
    }
    if info.unsettled > 0 {
        return (State::Look, what, "see `kiosklink pending list`; `pending resolve` asks the platform");
    }
    if info.bytes == 0 {
        return (State::Good, t("none yet: no command was given").to_owned(), "");
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
    let whose = tr!("installation {}, epoch {}", info.installation, info.epoch);
    if info.bound {
        return f.good(NAME, tr!("{}, bound to this machine", whose));
    }
    let what = tr!("{}, not bound to this machine: a copy of it on another one would not be noticed", whose);
    f.add(NAME, State::Look, what, "never clone a card with a journal on it");
}

pub fn names_in(folder: &Path) -> Vec<String> {
    let all = std::fs::read_dir(folder).into_iter().flatten().flatten();
    all.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

/// What a client makes in its folder (the file by which it is tried, a lock) belongs to the folder's owner: of root's making
/// it would shut the firmware out.
pub fn handed_over(folder: &Path, before: &[String]) {
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
pub fn refusals(f: &mut Findings, config: &Config) -> bool {
    use std::os::unix::fs::MetadataExt;
    const NAME: &str = "refusals";
    let Some(path) = config.get("refusals_file") else { return true };
    let table = match std::fs::read(path) {
        Ok(table) => table,
        Err(e) => {
            f.add(NAME, State::Bad, format!("{path}: {e}"), "put the file there, or remove refusals_file");
            return false;
        }
    };
    let platform = config.platform();
    let found = match Table::read(&table, platform) {
        Ok(found) => found,
        Err(why) => {
            f.add(NAME, State::Bad, format!("{path}: {why}"), "correct it: docs/proof.md has the format");
            return false;
        }
    };
    let what = found.words(path, platform.name());
    if !found.wrong.is_empty() {
        let cure = "correct these rows, or remove them: until then nothing of the table is used";
        f.add(NAME, State::Bad, format!("{what}; {}", found.wrong.join("; ")), cure);
        return false;
    }
    if std::fs::metadata(path).is_ok_and(|m| m.mode() & 0o022 != 0) {
        let cure = tr!("chmod go-w {}: whoever writes there can make a door open again", path);
        f.add(NAME, State::Look, tr!("{}; others than its owner can write to it", what), cure);
    } else if !found.look.is_empty() {
        let cure = "is that intended?";
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
            Refusals::with_table(
                kiosklink::platform::refusals::Table::none(),
                platform.name(),
                of(rows).as_bytes(),
            )
            .map_err(|e| {
                e.message().trim_start_matches("refusals_file: ").trim_start_matches("row 1: ").to_owned()
            })
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
                    found.wrong.push(tr!("row {}: {}", number, why));
                    continue;
                }
            };
            let Ok(o) = row.object() else { continue };
            let text = |key: &str| o.string(&[key]).ok().flatten().unwrap_or_default();
            if !taken {
                found.others += 1;
                let of = text("platform");
                if !platform::Kind::ALL.iter().any(|k| k.name() == of) {
                    found.look.push(tr!("row {} is of an unknown platform {}", number, of));
                }
                continue;
            }
            let (name, http) = (text("name"), o.int(&["http"]).ok().flatten().unwrap_or(0));
            found.taken += 1;
            found.prove += usize::from(text("means") == "not_done");
            if seen.contains(&(name.clone(), http)) {
                found.look.push(tr!("row {} says {} once more: the first one counts", number, name));
            } else if own.meaning(u16::try_from(http).unwrap_or(0), &name).is_some() {
                found.look.push(tr!("row {} replaces the platform's own row for {}", number, name));
            }
            seen.push((name, http));
        }
        Ok(found)
    }

    fn words(&self, path: &str, platform: &str) -> String {
        let mut text = tr!(
            "{}: {} rows taken for {}, {} of them prove that nothing was done",
            path,
            self.taken,
            platform,
            self.prove
        );
        if self.others > 0 {
            text.push_str(&tr!("; {} rows of other platforms", self.others));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // FAULTS A11: what a journal must not lie on is never called good. The words are the library's.
    #[test]
    fn file_systems() {
        for (words, bad) in [
            ("ext4", None),
            ("ubifs", None),
            ("tmpfs; it is gone with the power, and with it what is known of commands", Some(true)),
            (
                "overlay over tmpfs; it is gone with the power, and with it what is known of commands",
                Some(true),
            ),
            ("overlay over ext4", Some(false)),
            ("nfs4; it lies on another machine, where locks may not hold", Some(false)),
            ("vfat; it keeps no owners and modes", Some(false)),
            ("ext4; mounted with nobarrier, so a sync may not reach the disk", Some(true)),
            ("ext4; mounted with data=writeback, so a sync may not reach the disk", Some(false)),
            ("an unknown file system", Some(false)),
            ("", Some(false)),
        ] {
            let (state, cure) = on(words);
            let right = match bad {
                None => state == State::Good && cure.is_empty(),
                Some(bad) => state == (if bad { State::Bad } else { State::Look }) && !cure.is_empty(),
            };
            assert!(right, "{words}");
        }
    }

    #[test]
    fn how_a_journal_does() {
        let told = |change: &dyn Fn(&mut JournalInfo)| {
            let mut info = JournalInfo { bytes: 1, ..JournalInfo::default() };
            change(&mut info);
            let (state, what, cure) = health(&info);
            (state, format!("{what} -> {cure}"))
        };
        assert!(told(&|_| ()).0 == State::Good);
        for (code, word) in [
            (KL_E_JOURNAL_MISSING, "mounted at state_dir"),
            (KL_E_JOURNAL_OLDER, "backup"),
            (KL_E_JOURNAL_COPIED, "copied from another machine"),
        ] {
            let (state, says) = told(&|i| i.trouble = code);
            assert!(
                state == State::Bad && says.contains(word) && says.contains("kl_journal_adopt"),
                "{says}"
            );
        }
        let (state, says) = told(&|i| i.damage = "line 3".into());
        assert!(
            state == State::Bad && says.contains("line 3") && says.contains("kiosklink repair"),
            "{says}"
        );
        let (state, says) = told(&|i| i.poisoned = true);
        assert!(state == State::Look && says.contains("written anew"), "{says}");
        let (state, says) = told(&|i| i.owed = 2);
        assert!(state == State::Look && says.contains("2 records could not be written yet"), "{says}");
        let (state, says) = told(&|i| i.unsettled = 1);
        assert!(state == State::Look && says.contains("pending list"), "{says}");
    }
}
