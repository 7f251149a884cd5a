//! What `scripts/disks` runs on real file systems: a writer that is interrupted, and a look at what is left. Ignored
//! otherwise, for they need a disk that fails.

use super::file::Folder;
use super::identity::Machine;
use super::journal::{Found, Journal};
use super::tests::{pause, soon};
use crate::error::Result;
use crate::status::*;
use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

fn setting(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run scripts/disks"))
}

struct Writer {
    journal: Journal,
    known: Vec<String>,
}

impl Writer {
    fn new() -> Result<Writer> {
        let folder = Arc::new(Folder::open(Path::new(&setting("DISKS_FOLDER")), true)?);
        let machine = Machine::of(&[("net", "02:00:5e:00:53:01")]);
        Ok(Writer { journal: Journal::on_machine(folder, "disks", "disks", machine), known: Vec::new() })
    }

    /// Appends and syncs one record, as a command does before its first byte. Gives its name.
    fn command(&mut self) -> Result<String> {
        let gate = self.journal.gate();
        let pass = gate.enter(soon(), &pause)?;
        self.read(&pass)?;
        let number = self.journal.next();
        let name = format!("visit-{number}");
        let fill = env::var("DISKS_FILL").map_or(200, |n| n.parse().unwrap());
        let record = format!("{number}\t{name}\t{}", "x".repeat(fill));
        let known = self.known.clone();
        self.journal.append(&pass, &record, &|| known.clone())?;
        self.known.push(record);
        if self.known.len() % 500 == 0 {
            let records = self.known.clone();
            self.journal.replace(&pass, &records)?;
        }
        let sync = self.journal.sync_handle();
        drop(pass);
        if let Some(sync) = sync {
            sync.sync()?;
        }
        Ok(name)
    }

    fn read(&mut self, pass: &super::gate::Pass<'_>) -> Result<()> {
        let known = &mut self.known;
        self.journal.read(pass, &mut |found| match found {
            Found::Anew => known.clear(),
            Found::Record(text) => known.push(text.to_owned()),
        })
    }
}

/// Writes until it is stopped, or until `DISKS_COUNT` records. Each that is durable is noted in `DISKS_ACKNOWLEDGED`, which
/// lies on another disk. After the first refusal `DISKS_FREE` is removed, which gives the room back, and fifty more are tried.
#[test]
#[ignore = "for scripts/disks"]
fn writer() {
    let mut noted = OpenOptions::new().append(true).create(true).open(setting("DISKS_ACKNOWLEDGED")).unwrap();
    let mut writer = Writer::new().unwrap();
    let mut left: u32 = setting("DISKS_COUNT").parse().unwrap();
    let mut refused = false;
    while left > 0 {
        left -= 1;
        match writer.command() {
            Ok(name) => writeln!(noted, "{name}").unwrap(),
            Err(e) => {
                if env::var_os("DISKS_WRONG").is_some() {
                    writer.journal.forget_poison();
                }
                println!("refused: {} {}", e.status(), e.message());
                if !refused {
                    refused = true;
                    left = 50;
                    if let Ok(free) = env::var("DISKS_FREE") {
                        let _ = fs::remove_file(free);
                    }
                }
            }
        }
    }
    println!("refused at all: {refused}");
}

/// Everything that was durable is there, or the journal says by name that it is not to be continued.
#[test]
#[ignore = "for scripts/disks"]
fn reader() {
    let mut reader = match Writer::new() {
        Ok(reader) => reader,
        Err(e) => return println!("refused at the start: {}", e.message()),
    };
    let gate = reader.journal.gate();
    let pass = match gate.enter(soon(), &pause) {
        Ok(pass) => pass,
        Err(e) => return println!("named: {}", e.message()),
    };
    if let Err(e) = reader.read(&pass) {
        assert!((KL_E_JOURNAL..=KL_E_STATE_DIR).contains(&e.status()));
        return println!("named: nothing can be read: {}", e.message());
    }
    let noted = fs::read_to_string(setting("DISKS_ACKNOWLEDGED")).unwrap();
    let lost: Vec<&str> = noted
        .lines()
        .filter(|name| !reader.known.iter().any(|r| r.contains(&format!("\"id\":\"{name}\""))))
        .collect();
    match reader.journal.sound() {
        Ok(()) => {
            assert!(lost.is_empty(), "{} records were durable and are gone unnoticed: {lost:?}", lost.len());
            println!("held: {} records", noted.lines().count());
        }
        Err(e) => {
            assert!((KL_E_JOURNAL..=KL_E_STATE_DIR).contains(&e.status()));
            println!("named: {} lost, {}", lost.len(), e.message());
        }
    }
}
