//! Commands whose records the program keeps.

use super::book::Commands;
use super::ledger::Ledger;
use super::rules::{Limits, Stage};
use super::tests::*;
use super::*;
use crate::cancel::CancelToken;
use crate::error::Result;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Records that survive whoever wrote them.
#[derive(Default)]
struct Disk {
    durable: Mutex<Vec<(u64, String)>>,
    last: AtomicU64,
    fails: AtomicBool,
}

/// A process that has the disk in hand.
struct Process {
    disk: Arc<Disk>,
    owner: u64,
    taken: Mutex<Vec<(u64, String)>>,
    lost: AtomicBool,
    read: AtomicBool,
    grown: AtomicBool,
}

impl Process {
    fn start(disk: &Arc<Disk>, owner: u64) -> Arc<Process> {
        Arc::new(Process {
            disk: disk.clone(),
            owner,
            taken: Mutex::default(),
            lost: AtomicBool::new(false),
            read: AtomicBool::new(false),
            grown: AtomicBool::new(false),
        })
    }
}

impl Ledger for Process {
    fn secret(&self) -> [u8; 32] {
        [7; 32]
    }

    fn read(&self, after: u64, found: &mut dyn FnMut(&str)) -> Result<u64> {
        if !self.read.swap(true, Ordering::Relaxed) {
            assert_eq!(after, 0);
            self.disk.durable.lock().unwrap().iter().for_each(|(_, record)| found(record));
        }
        Ok(self.disk.last.load(Ordering::Relaxed))
    }

    fn append(&self, n: u64, record: &str) -> Result<()> {
        if self.has_lost() {
            return Err(Error::new(KL_E_JOURNAL, "the disk is full"));
        }
        self.taken.lock().unwrap().push((n, record.to_owned()));
        Ok(())
    }

    fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    fn sync(&self) -> Result<()> {
        let taken = std::mem::take(&mut *self.taken.lock().unwrap());
        if self.disk.fails.load(Ordering::Relaxed) {
            self.lost.store(true, Ordering::Relaxed);
        }
        if self.lost.load(Ordering::Relaxed) {
            return Err(Error::new(KL_E_JOURNAL, "the disk is full"));
        }
        let last = taken.last().map_or(0, |(n, _)| *n);
        self.disk.last.fetch_max(last, Ordering::Relaxed);
        self.disk.durable.lock().unwrap().extend(taken);
        Ok(())
    }

    fn unsynced(&self) -> bool {
        !self.taken.lock().unwrap().is_empty()
    }

    fn replace(&self, records: Vec<(u64, String)>) -> Result<()> {
        if self.disk.fails.load(Ordering::Relaxed) {
            return Err(Error::new(KL_E_JOURNAL_FULL, "the disk is full"));
        }
        self.taken.lock().unwrap().clear();
        *self.disk.durable.lock().unwrap() = records;
        self.lost.store(false, Ordering::Relaxed);
        self.grown.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn has_grown(&self) -> bool {
        self.grown.load(Ordering::Relaxed)
    }

    fn owner(&self) -> u64 {
        self.owner
    }

    fn alive(&self, _owner: u64) -> bool {
        false
    }

    fn limits(&self) -> Limits {
        Limits { whole: 1, keep: 1, prints: 100, visits: 1 }
    }

    fn unsettled_max(&self) -> usize {
        2
    }
}

fn receipt(order_no: &str) -> Receipt {
    Receipt { order_no: order_no.into(), ..Receipt::default() }
}

fn done(commands: &Commands, id: &str, n: &str) {
    let claim = claim(commands, id, n);
    leave(&claim);
    claim.finish(Ok(receipt(id)), false, SettledBy::Answer).unwrap();
}

#[test]
fn what_was_synced_is_known_to_the_next_process_and_the_rest_is_judged() {
    let disk = Arc::new(Disk::default());
    let first = Commands::kept_by(Process::start(&disk, 1));
    assert!(first.durable());
    done(&first, "done", "1");
    first.flush();
    let mark = get(&first, "done").unwrap().mark;
    // Two that are under way when the process is killed: one of them has left.
    let begun = claim(&first, "begun", "2");
    let sent = claim(&first, "sent", "3");
    leave(&sent);
    std::mem::forget((begun, sent));

    let second = Commands::kept_by(Process::start(&disk, 2));
    let stage = |id: &str| get(&second, id).unwrap().stage;
    assert_eq!((stage("done"), stage("begun"), stage("sent")), (Stage::Done, Stage::NotDone, Stage::Unknown));
    assert_eq!(get(&second, "done").unwrap().mark, mark);
    let again = claim(&second, "begun", "2");
    assert_eq!(again.mark.len(), 24);
    drop(again);
}

#[test]
fn nothing_leaves_when_it_cannot_be_made_durable_and_what_is_known_is_written_anew() {
    let disk = Arc::new(Disk::default());
    let commands = Commands::kept_by(Process::start(&disk, 1));
    done(&commands, "a", "1");
    commands.flush();
    disk.fails.store(true, Ordering::Relaxed);
    let b = claim(&commands, "b", "2");
    let refused = b.sending(Duration::from_secs(1), None, &CancelToken::never()).unwrap_err();
    assert_eq!(refused.status(), KL_E_JOURNAL);
    let e = b.finish(Err(not_done(refused)), false, SettledBy::Answer).unwrap_err();
    assert_eq!(e.details().outcome, Outcome::NotDone);
    disk.fails.store(false, Ordering::Relaxed);
    done(&commands, "c", "3");
    commands.flush();
    let next = Commands::kept_by(Process::start(&disk, 2));
    let stage = |id: &str| get(&next, id).map(|c| c.stage).ok();
    assert_eq!((stage("a"), stage("c")), (Some(Stage::Done), Some(Stage::Done)));
    assert_ne!(stage("b"), Some(Stage::Done));
}

#[test]
fn the_ledger_says_how_much_is_kept_and_numbers_never_go_back() {
    let disk = Arc::new(Disk::default());
    let process = Process::start(&disk, 1);
    let commands = Commands::kept_by(process.clone());
    for n in ["1", "2", "3"] {
        done(&commands, n, n);
    }
    commands.flush();
    process.grown.store(true, Ordering::Relaxed);
    let claim = claim(&commands, "4", "4");
    drop(claim);
    commands.flush();
    let last = disk.last.load(Ordering::Relaxed);
    let kept: Vec<u64> = disk.durable.lock().unwrap().iter().map(|(n, _)| *n).collect();
    let mut distinct = kept.clone();
    distinct.dedup();
    assert_eq!(kept, distinct, "each record has a number of its own");
    assert!(kept.len() < 9, "{kept:?}");
    let next = Commands::kept_by(Process::start(&disk, 2));
    // Done once is done, if only the fingerprint is left of it.
    for n in ["1", "2", "3"] {
        assert_eq!(get(&next, n).unwrap().outcome, Outcome::Done);
    }
    let more = super::tests::claim(&next, "5", "5");
    let _two = super::tests::claim(&next, "6", "6");
    let number = get(&next, "5").unwrap().sequence;
    assert!(number > last, "{number} is above {last}");
    assert_eq!(status(begin_door(&next, "7", "7")), (KL_E_JOURNAL_FULL, Outcome::NotDone));
    drop(more);
}
