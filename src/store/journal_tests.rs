use super::super::tests::{Place, fail, no_faults, pause, read_wrong_once, soon};
use super::*;
use std::fs;

/// A client as the commands are one: what it knows, and the journal it reads it from.
struct Book {
    journal: Journal,
    gate: Arc<Gate>,
    known: Vec<String>,
}

fn here() -> Machine {
    Machine::of(&[("net", "02:00:5e:00:53:01"), ("card", "0x1234")])
}

impl Book {
    fn new(place: &Place) -> Book {
        Book::on(place, here())
    }

    fn on(place: &Place, machine: Machine) -> Book {
        let journal = Journal::on_machine(place.folder(), "commands", "yopoint 1", machine);
        Book { gate: journal.gate(), journal, known: Vec::new() }
    }

    fn inside<T>(
        &mut self,
        act: impl FnOnce(&mut Journal, &Pass<'_>, &mut Vec<String>) -> Result<T>,
    ) -> Result<T> {
        let gate = self.gate.clone();
        let pass = gate.enter(soon(), &pause)?;
        let known = &mut self.known;
        self.journal.read(&pass, &mut |found| match found {
            Found::Anew => known.clear(),
            Found::Record(text) => known.push(text.to_owned()),
        })?;
        act(&mut self.journal, &pass, known)
    }

    fn read(&mut self) -> Result<Vec<String>> {
        self.inside(|_, _, known| Ok(known.clone()))
    }

    fn append(&mut self, what: &str) -> Result<()> {
        self.inside(|journal, pass, known| {
            let record = record(journal.next(), what);
            let before = known.clone();
            journal.append(pass, &record, &|| before.clone())?;
            known.push(record);
            Ok(())
        })
    }

    fn sync(&self) -> Result<()> {
        self.journal.sync_handle().unwrap().sync().map(drop)
    }

    fn trouble(&mut self) -> kl_status {
        self.read().unwrap();
        self.journal.sound().err().map_or(KL_OK, |e| e.status())
    }

    fn adopt(&mut self) -> Result<()> {
        self.inside(|journal, pass, known| journal.adopt(pass, "tested", &known.clone()))
    }

    fn names(&mut self) -> Vec<String> {
        let name = |r: &String| r.rsplit('\t').next().unwrap().to_owned();
        self.read().unwrap().iter().map(name).collect()
    }
}

fn record(number: u64, what: &str) -> String {
    format!("{number}\t1732250000\t81422\tend\t{what}")
}

fn file(place: &Place, ending: &str) -> PathBuf {
    place.path().join(["commands", ending].concat())
}

const GENERATION: u64 = 0x0123_4567_89ab_cdef;

fn sample(generation: u64) -> Vec<u8> {
    let identity = Identity::ephemeral().unwrap();
    let json = head("a", &identity, generation, 0, 0);
    let mut text = Vec::new();
    push_line(&mut text, json.as_bytes(), None);
    push_line(&mut text, json.as_bytes(), None);
    for n in 1..=5 {
        let at = text.len() as u64;
        push_line(
            &mut text,
            format!("{n}\t1732250000\t8142{n}\tend\tvisit-{n}\t门\\n{n}").as_bytes(),
            Some((generation, at)),
        );
    }
    text
}

/// The numbers, the place of the damage, and how far it was read.
fn scan(bytes: &[u8]) -> (Vec<u64>, Option<u64>, usize) {
    let head = find_head(bytes);
    let scanned = Scanned::records(bytes, 0, head.as_ref().map(|h| &h.head), 0);
    let numbers = scanned.records.iter().map(|r| number_of(&bytes[r.clone()]).unwrap()).collect();
    (numbers, scanned.damage, scanned.read)
}

fn ends(bytes: &[u8]) -> Vec<usize> {
    bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i + 1).collect()
}

#[test]
fn a_tail_cut_anywhere_loses_only_the_record_that_was_cut() {
    let whole = sample(GENERATION);
    let ends = ends(&whole);
    // A file is never shorter than its two heads: it is made whole and renamed.
    for cut in ends[1]..=whole.len() {
        let complete = ends.iter().filter(|end| cut >= **end).count();
        let (seen, damage, read) = scan(&whole[..cut]);
        assert_eq!((seen.len(), damage, read), (complete - 2, None, ends[complete - 1]), "cut at {cut}");
        // The same with room made beforehand.
        let padded = [&whole[..cut], &[0; 300][..]].concat();
        assert_eq!(scan(&padded).0.len(), complete - 2, "cut at {cut}");
    }
}

#[test]
fn every_flipped_bit_is_noticed_and_costs_no_other_record() {
    let whole = sample(GENERATION);
    for bit in 0..whole.len() * 16 {
        // Once at the end of the file, and once with room made beforehand.
        let (bit, room) = (bit / 2, bit % 2 * 300);
        let mut bytes = [&whole[..], &vec![0; room]].concat();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let (seen, damage, _) = scan(&bytes);
        assert!(damage.is_some(), "bit {bit} went unnoticed");
        let line = whole[..bit / 8].iter().filter(|b| **b == b'\n').count() as u64;
        // The first two lines are the two heads.
        let expected: Vec<u64> = (1..=5).filter(|n| *n != line.wrapping_sub(1)).collect();
        assert_eq!(seen, expected, "bit {bit}");
    }
}

// DISK 8.3: a block of zeroes with records behind it is damage, at the end it is a torn tail.
#[test]
fn a_hole_is_torn_at_the_end_and_damage_before_a_record() {
    let whole = sample(GENERATION);
    let ends = ends(&whole);
    let mut bytes = whole.clone();
    bytes[ends[5] + 3..ends[5] + 20].fill(0);
    assert_eq!(scan(&bytes), (vec![1, 2, 3, 4], None, ends[5]));
    let mut bytes = whole.clone();
    bytes[ends[3]..ends[4]].fill(0);
    let (seen, damage, _) = scan(&bytes);
    assert_eq!((seen, damage), (vec![1, 2, 4, 5], Some(ends[3] as u64)));
}

// DISK 8.15: an older valid record in reused space, of this file or of one before it, is no record.
#[test]
fn a_record_of_another_place_or_generation_is_none() {
    let whole = sample(GENERATION);
    let ends = ends(&whole);
    let older = sample(GENERATION + 1);
    assert_eq!(older.len(), whole.len());
    let mixed = [&whole[..ends[4]], &older[ends[4]..]].concat();
    let (seen, damage, _) = scan(&mixed);
    assert_eq!((seen, damage), (vec![1, 2, 3], Some(ends[4] as u64)));
    // A record of this very file in the place of the one before it.
    let (seen, damage, _) = scan(&[&whole[..ends[4]], &whole[ends[5]..]].concat());
    assert_eq!((seen, damage), (vec![1, 2, 3], Some(ends[4] as u64)));
    // And one place further on.
    let mut moved = whole.clone();
    let last = whole[ends[5]..].to_vec();
    moved.extend_from_slice(&last);
    let (seen, damage, _) = scan(&moved);
    assert_eq!((seen, damage), (vec![1, 2, 3, 4, 5], Some(whole.len() as u64)));
}

#[test]
fn what_one_appends_the_other_reads() {
    let place = Place::new();
    let (mut a, mut b) = (Book::new(&place), Book::new(&place));
    assert!(b.read().unwrap().is_empty());
    a.append("one").unwrap();
    b.append("two").unwrap();
    a.append("three").unwrap();
    a.sync().unwrap();
    assert_eq!(b.names(), ["one", "two", "three"]);
    assert_eq!(a.names(), ["one", "two", "three"]);
    // Written anew without the middle one: the other reads it anew, and the numbers go on.
    a.inside(|journal, pass, known| {
        known.remove(1);
        journal.set_low(77);
        journal.replace(pass, known)
    })
    .unwrap();
    assert_eq!((b.names(), b.journal.last(), b.journal.low()), (vec!["one".into(), "three".into()], 3, 77));
    // The newest record may be left out too; its number is not given again.
    a.inside(|journal, pass, known| journal.replace(pass, &known[..1])).unwrap();
    assert_eq!((Book::new(&place).names(), b.names()), (vec!["one".into()], vec!["one".into()]));
    b.append("four").unwrap();
    assert_eq!(b.known[1], record(4, "four"));
    let private = fs::metadata(file(&place, ".journal")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&private.permissions()) & 0o777, 0o600);
}

#[test]
fn several_records_are_one_write_and_wrong_numbers_are_refused() {
    let place = Place::new();
    let mut a = Book::new(&place);
    a.inside(|j, pass, _| j.append_all(pass, &[&record(1, "a"), &record(2, "b")], &Vec::new)).unwrap();
    assert_eq!(a.journal.next(), 3);
    let e = a.inside(|j, pass, _| j.append(pass, &record(5, "c"), &Vec::new)).unwrap_err();
    assert_eq!(e.status(), KL_E_INTERNAL);
    assert_eq!(Book::new(&place).names(), ["a", "b"]);
}

// FAULTS A3, DISK 8.2 and 8.4: after a failed sync nobody relies on the file, whoever opened it when, and it is written anew
// from memory before the next record.
#[test]
fn a_failed_sync_poisons_for_everybody_until_the_file_is_written_anew() {
    for errno in [libc::EIO, libc::ENOSPC] {
        let place = Place::new();
        let (mut a, mut b) = (Book::new(&place), Book::new(&place));
        a.append("one").unwrap();
        b.read().unwrap();
        fail("sync-data", 1, errno);
        let e = a.sync().unwrap_err();
        assert_eq!(e.details().os_errno, errno);
        assert!(file(&place, ".poison").exists());
        // The system says ok to the next sync, here and to one who opened the file later.
        assert_eq!(a.sync().unwrap_err().status(), KL_E_JOURNAL);
        assert_eq!(b.sync().unwrap_err().status(), KL_E_JOURNAL);
        let mut c = Book::new(&place);
        c.read().unwrap();
        assert!(c.journal.info().poisoned);
        assert_eq!(c.sync().unwrap_err().status(), KL_E_JOURNAL);
        // What the disk lost in the middle, the one who knows writes anew.
        let path = file(&place, ".journal");
        let before = fs::metadata(&path).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let cut = bytes.len() - 20;
        bytes[cut..].fill(0);
        fs::OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&bytes, 0).unwrap();
        a.append("two").unwrap();
        assert!(!file(&place, ".poison").exists());
        assert_ne!(
            std::os::unix::fs::MetadataExt::ino(&before),
            std::os::unix::fs::MetadataExt::ino(&fs::metadata(&path).unwrap())
        );
        a.sync().unwrap();
        assert_eq!(b.names(), ["one", "two"]);
        assert!(b.sync().is_ok() && !b.journal.info().poisoned);
        assert_eq!(Book::new(&place).names(), ["one", "two"]);
    }
}

// Threads that come together share a sync.
#[test]
fn a_sync_covers_what_was_appended_before_it_and_nothing_after() {
    use super::super::tests::operations;
    let syncs = || operations().iter().filter(|o| o.starts_with("sync-data")).count();
    let place = Place::new();
    let mut a = Book::new(&place);
    let handles = ["one", "two"].map(|name| {
        a.append(name).unwrap();
        a.journal.sync_handle().unwrap()
    });
    syncs();
    assert!(handles[0].sync().unwrap().took.is_some());
    assert!(handles[1].sync().unwrap().took.is_none());
    assert_eq!(syncs(), 1);
    a.append("three").unwrap();
    a.sync().unwrap();
    assert_eq!(syncs(), 1);
    // One that was covered hears of a failure that came after it.
    a.append("four").unwrap();
    fail("sync-data", 1, libc::EIO);
    a.sync().unwrap_err();
    assert_eq!(handles[1].sync().map(drop).unwrap_err().status(), KL_E_JOURNAL);
}

// FAULTS A3: the same for a write that fails, for the rename and for the folder's sync.
#[test]
fn every_failed_write_poisons() {
    for operation in ["append", "write:commands.journal", "sync:commands.journal", "rename", "sync-folder"] {
        let place = Place::new();
        let mut a = Book::new(&place);
        a.append("one").unwrap();
        a.sync().unwrap();
        fail(operation, 1, libc::EIO);
        let failed = if operation == "append" {
            a.append("lost")
        } else {
            a.inside(|journal, pass, known| journal.replace(pass, known))
        };
        assert_eq!(failed.unwrap_err().details().os_errno, libc::EIO, "{operation}");
        assert!(file(&place, ".poison").exists(), "{operation}");
        a.append("two").unwrap();
        assert!(!file(&place, ".poison").exists(), "{operation}");
        assert_eq!(Book::new(&place).names(), ["one", "two"], "{operation}");
    }
}

#[test]
fn a_disk_without_room_for_a_second_file_does_not_poison_the_first() {
    for (operation, errno, is_poisoned) in [
        ("write:commands.journal", libc::ENOSPC, false),
        ("sync:commands.journal", libc::EDQUOT, false),
        ("rename", libc::ENOSPC, false),
        ("rename", libc::EROFS, true),
        // The new one is there by now.
        ("sync-folder", libc::ENOSPC, true),
    ] {
        let place = Place::new();
        let mut a = Book::new(&place);
        a.append("one").unwrap();
        a.sync().unwrap();
        fail(operation, 1, errno);
        a.inside(|journal, pass, known| journal.replace(pass, known)).unwrap_err();
        assert_eq!(file(&place, ".poison").exists(), is_poisoned, "{operation} {errno}");
        a.append("two").unwrap();
        a.sync().unwrap();
        assert_eq!(Book::new(&place).names(), ["one", "two"], "{operation}");
    }
}

// DISK 8.12: the file system turns read-only after the error: refused by name, not continued from memory.
#[test]
fn a_rewrite_that_fails_too_is_a_refusal() {
    let place = Place::new();
    let mut a = Book::new(&place);
    a.append("one").unwrap();
    fail("sync-data", 1, libc::EIO);
    a.sync().unwrap_err();
    fail("write", 0, libc::EROFS);
    for _ in 0..2 {
        assert_eq!(a.append("two").unwrap_err().status(), KL_E_JOURNAL_READ_ONLY);
    }
    assert_eq!(a.names(), ["one"], "what is known can be read");
    no_faults();
    a.append("two").unwrap();
    assert_eq!(Book::new(&place).names(), ["one", "two"]);
}

// DISK 8.1: a rename that is found is made durable by its finder, before anything is relied on.
#[test]
fn whoever_finds_a_file_syncs_its_folder_first() {
    let place = Place::new();
    Book::new(&place).append("one").unwrap();
    let mut b = Book::new(&place);
    fail("sync-folder", 1, libc::EIO);
    assert_eq!(b.read().unwrap_err().details().os_errno, libc::EIO);
    assert!(file(&place, ".poison").exists());
    assert_eq!(b.names(), ["one"]);
}

// DISK 8.14: a block that is read wrong once does not shorten or condemn the journal.
#[test]
fn one_bad_read_is_not_believed() {
    let place = Place::new();
    let mut a = Book::new(&place);
    for name in ["one", "two", "three"] {
        a.append(name).unwrap();
    }
    let length = fs::metadata(file(&place, ".journal")).unwrap().len() as usize;
    // In the head, in a record, in the last byte.
    for at in [20, length - 60, length - 1] {
        let mut b = Book::new(&place);
        read_wrong_once(at);
        assert_eq!(b.names(), ["one", "two", "three"]);
        assert_eq!(b.journal.damage(), None);
    }
    let mut b = Book::new(&place);
    read_wrong_once(length - 1);
    b.append("four").unwrap();
    assert_eq!(Book::new(&place).names(), ["one", "two", "three", "four"]);
}

#[test]
fn damage_refuses_appends_until_the_repair_and_loses_nothing_else() {
    let place = Place::new();
    let mut a = Book::new(&place);
    for name in ["one", "two", "three"] {
        a.append(name).unwrap();
    }
    let path = file(&place, ".journal");
    let mut bytes = fs::read(&path).unwrap();
    let at = ends(&bytes)[2] + 30;
    bytes[at] ^= 4;
    fs::write(&path, &bytes).unwrap();
    let mut b = Book::new(&place);
    assert_eq!(b.names(), ["one", "three"]);
    assert_eq!(b.append("four").unwrap_err().status(), KL_E_JOURNAL_DAMAGED);
    assert_eq!(fs::read(&path).unwrap(), bytes, "nothing was appended, nothing cut");
    let aside = b.inside(|journal, pass, known| journal.repair(pass, known)).unwrap();
    assert_eq!(fs::read(aside).unwrap(), bytes);
    b.append("four").unwrap();
    assert_eq!(Book::new(&place).names(), ["one", "three", "four"]);
}

#[test]
fn a_torn_tail_is_cut_with_the_next_record() {
    let place = Place::new();
    let mut a = Book::new(&place);
    a.append("one").unwrap();
    let path = file(&place, ".journal");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], b"3f2a91c0 4e 2\t173225"].concat()).unwrap();
    let mut b = Book::new(&place);
    assert_eq!(b.names(), ["one"]);
    b.append("two").unwrap();
    assert_eq!(Book::new(&place).names(), ["one", "two"]);
}

// DISK 8.13: killed at each step of the first creation, and again at the next try: neither a fresh start that forgets nor a
// missing journal; and what was recorded after it is kept.
#[test]
fn a_first_creation_that_was_killed_is_gone_on_with() {
    let steps =
        ["make: identity", "make: journal", "make: made", "make: mark"].map(|s| ["step:", s].concat());
    for first in &steps {
        for second in &steps {
            let place = Place::new();
            for step in [first, second] {
                fail(step, 1, libc::EIO);
                let _ = Book::new(&place).append("killed");
                no_faults();
            }
            let mut c = Book::new(&place);
            assert_eq!(c.trouble(), KL_OK, "{first}, {second}");
            c.append("one").unwrap();
            c.sync().unwrap();
            let mut d = Book::new(&place);
            assert_eq!(d.names().last().map(String::as_str), Some("one"), "{first}, {second}");
            assert_eq!(d.journal.info().installation, c.journal.info().installation);
            // From here on its absence is named.
            fs::remove_file(file(&place, ".journal")).unwrap();
            assert_eq!(Book::new(&place).trouble(), KL_E_JOURNAL_MISSING, "{first}, {second}");
        }
    }
}

#[test]
fn the_same_when_the_files_cannot_be_written() {
    for name in ["commands.id", "commands.journal"] {
        for operation in ["write", "sync", "rename"] {
            for nth in [1, 2] {
                let place = Place::new();
                fail(&[operation, ":", name].concat(), nth, libc::ENOSPC);
                let first = Book::new(&place).append("one");
                no_faults();
                let mut b = Book::new(&place);
                assert_eq!(b.trouble(), KL_OK, "{operation} {name} {nth}");
                if first.is_err() {
                    b.append("one").unwrap();
                }
                assert_eq!(Book::new(&place).names(), ["one"], "{operation} {name} {nth}");
            }
        }
    }
}

fn made(place: &Place) -> (String, [u8; 12]) {
    let mut a = Book::new(place);
    for n in 0..40 {
        a.append(&format!("visit-{n}")).unwrap();
    }
    a.sync().unwrap();
    a.inside(|journal, pass, _| {
        journal.close(pass);
        let identity = journal.identity(pass)?;
        Ok((identity.mark("visit-1"), identity.print("visit-1")))
    })
    .unwrap()
}

#[test]
fn a_missing_journal_is_named_until_it_is_adopted() {
    for gone in [&[".journal"][..], &[".journal", ".mark"], &[".journal", ".id"]] {
        let place = Place::new();
        let (mark, _) = made(&place);
        for ending in gone {
            fs::remove_file(file(&place, ending)).unwrap();
        }
        for _ in 0..2 {
            let mut b = Book::new(&place);
            assert_eq!(b.append("fresh").unwrap_err().status(), KL_E_JOURNAL_MISSING, "{gone:?}");
            assert!(b.inside(|j, pass, _| j.identity(pass)).is_err(), "no number is made meanwhile");
        }
        let mut b = Book::new(&place);
        b.adopt().unwrap();
        b.append("one").unwrap();
        let mut c = Book::new(&place);
        assert_eq!(c.names(), ["one"]);
        // The mark may lag behind what the lost one held: the numbers jump.
        let known = if gone.contains(&".mark") { 0 } else { 40 };
        assert!(c.journal.last() > known + JUMP && c.journal.info().epoch >= 2);
        let other = c.inside(|journal, pass, _| Ok(journal.identity(pass)?.mark("visit-1"))).unwrap();
        assert_ne!(other, mark);
        assert_eq!(b.adopt().unwrap_err().status(), KL_E_ARGUMENT);
    }
    // All of it gone while a process lives that remembers.
    let place = Place::new();
    let mut a = Book::new(&place);
    a.append("one").unwrap();
    for ending in [".journal", ".id", ".mark", ".lock"] {
        fs::remove_file(file(&place, ending)).unwrap();
    }
    assert_eq!(a.append("two").unwrap_err().status(), KL_E_JOURNAL_MISSING);
}

#[test]
fn an_older_journal_is_named_and_keeps_what_it_has() {
    let place = Place::new();
    let mut a = Book::new(&place);
    a.append("one").unwrap();
    let backup = fs::read(file(&place, ".journal")).unwrap();
    drop(a);
    made(&place);
    let (newest, id) = (fs::read(file(&place, ".journal")).unwrap(), fs::read(file(&place, ".id")).unwrap());
    fs::write(file(&place, ".journal"), &backup).unwrap();
    let mut b = Book::new(&place);
    assert_eq!(b.append("two").unwrap_err().status(), KL_E_JOURNAL_OLDER);
    assert_eq!(b.names(), ["one"]);
    b.adopt().unwrap();
    b.append("two").unwrap();
    assert_eq!(Book::new(&place).names(), ["one", "two"]);
    // The one from before the adoption, with and without its identity.
    fs::write(file(&place, ".journal"), &newest).unwrap();
    assert_eq!(Book::new(&place).trouble(), KL_E_JOURNAL_OLDER);
    fs::write(file(&place, ".id"), &id).unwrap();
    assert_eq!(Book::new(&place).trouble(), KL_E_JOURNAL_OLDER, "the mark remembers the epoch");
}

// DISK 8.10: a copied card on another machine would use the same secret.
#[test]
fn a_copy_on_another_machine_is_named_and_gets_another_secret() {
    let place = Place::new();
    let (mark, print) = made(&place);
    let another = || Machine::of(&[("net", "02:00:5e:00:53:02"), ("card", "0x5678"), ("weak", "id")]);
    let mut copy = Book::on(&place, another());
    assert_eq!(copy.append("x").unwrap_err().status(), KL_E_JOURNAL_COPIED);
    assert_eq!(copy.journal.print("visit-1"), Some(print), "what it did is still known");
    let installation = |book: &mut Book| {
        book.read().unwrap();
        book.journal.info().installation
    };
    let before = installation(&mut Book::new(&place));
    assert!(!before.is_empty());
    copy.adopt().unwrap();
    assert_ne!(installation(&mut copy), before, "two machines are two installations");
    let (other, same) = copy
        .inside(|journal, pass, _| {
            let identity = journal.identity(pass)?;
            Ok((identity.mark("visit-1"), identity.print("visit-1")))
        })
        .unwrap();
    assert_ne!(other, mark);
    assert_eq!(same, print);
    assert_eq!(copy.names().len(), 40);
    assert_eq!(Book::on(&place, another()).trouble(), KL_OK);
    // Back in the first machine it is the copy.
    assert_eq!(Book::new(&place).trouble(), KL_E_JOURNAL_COPIED);
}

#[test]
fn parts_of_a_machine_may_be_exchanged_one_by_one() {
    let place = Place::new();
    made(&place);
    let new_card = Machine::of(&[("net", "02:00:5e:00:53:01"), ("card", "0x9999")]);
    let mut b = Book::on(&place, new_card);
    assert_eq!((b.trouble(), b.journal.info().bound), (KL_OK, true));
    let new_net = Machine::of(&[("net", "02:00:5e:00:53:77"), ("card", "0x9999")]);
    assert_eq!(Book::on(&place, new_net).trouble(), KL_OK);
    // Nothing to be bound by is said, and is no error.
    let mut unbound = Book::on(&place, Machine::of(&[("weak", "id")]));
    assert_eq!((unbound.trouble(), unbound.journal.info().bound), (KL_OK, false));
}

#[test]
fn an_adoption_that_was_killed_is_to_be_made_again() {
    for step in ["adopt: identity", "adopt: journal", "adopt: made"] {
        for copied in [false, true] {
            let place = Place::new();
            made(&place);
            let machine = || if copied { Machine::of(&[("net", "02:00:5e:00:53:02")]) } else { here() };
            if !copied {
                let path = file(&place, ".journal");
                let cut = ends(&fs::read(&path).unwrap())[4];
                let bytes = fs::read(&path).unwrap();
                fs::write(&path, &bytes[..cut]).unwrap();
            }
            let mut b = Book::on(&place, machine());
            assert_ne!(b.trouble(), KL_OK);
            let names = b.names();
            fail(&["step:", step].concat(), 1, libc::EIO);
            b.adopt().unwrap_err();
            no_faults();
            let mut c = Book::on(&place, machine());
            if c.trouble() != KL_OK {
                c.adopt().unwrap();
            }
            c.append("after").unwrap();
            let mut d = Book::on(&place, machine());
            assert_eq!(d.trouble(), KL_OK, "{step}");
            assert_eq!(d.names()[..names.len()], names, "{step}");
            assert!(d.journal.info().epoch >= 2);
        }
    }
}

#[test]
fn the_mark_never_runs_ahead_of_what_is_synced() {
    let place = Place::new();
    let mut a = Book::new(&place);
    for n in 0..100 {
        a.append(&format!("visit-{n}")).unwrap();
    }
    a.inside(|journal, pass, _| {
        journal.close(pass);
        Ok(())
    })
    .unwrap();
    // The power goes: nothing of it was synced.
    let path = file(&place, ".journal");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..ends(&bytes)[1]]).unwrap();
    assert_eq!(Book::new(&place).trouble(), KL_OK);
}

#[test]
fn the_mark_never_goes_back() {
    let place = Place::new();
    let mut slow = Book::new(&place);
    slow.append("one").unwrap();
    slow.sync().unwrap();
    made(&place);
    let path = file(&place, ".mark");
    let before = fs::read(&path).unwrap();
    slow.inside(|journal, pass, _| {
        journal.close(pass);
        Ok(())
    })
    .unwrap();
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn another_account_another_form_and_the_bound_are_named() {
    let place = Place::new();
    let mut a = Book::new(&place);
    a.append("one").unwrap();
    let mut other = Journal::on_machine(place.folder(), "commands", "yopoint 2", here());
    let gate = other.gate();
    assert_eq!(
        other.read(&gate.enter(soon(), &pause).unwrap(), &mut |_| {}).unwrap_err().status(),
        KL_E_JOURNAL
    );
    let huge = "x".repeat(1_500_000);
    a.append(&huge).unwrap();
    a.append(&huge).unwrap();
    assert_eq!(a.append(&huge).unwrap_err().status(), KL_E_JOURNAL_FULL);
    a.append("small").unwrap();
    for version in [3, 5] {
        let head = format!(r#"{{"n":0,"k":"kiosklink-journal","version":{version},"account":"yopoint 1"}}"#);
        fs::write(file(&place, ".journal"), framed(&head)).unwrap();
        assert_eq!(Book::new(&place).read().unwrap_err().status(), KL_E_JOURNAL_VERSION);
    }
}

// FAULTS A10: whatever becomes of the working directory or of the names above, the folder is the one that was opened.
#[test]
fn the_folder_is_held_not_looked_up() {
    let place = Place::new();
    let mut a = Book::new(&place);
    a.append("one").unwrap();
    let moved = Place::new();
    fs::remove_dir(moved.path()).unwrap();
    fs::rename(place.path(), moved.path()).unwrap();
    fs::create_dir(place.path()).unwrap();
    a.append("two").unwrap();
    a.inside(|journal, pass, known| journal.replace(pass, known)).unwrap();
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    assert_eq!(Book::new(&moved).names(), ["one", "two"]);
}

#[test]
fn marks_are_24_digits_and_no_secret_is_shown() {
    let (a, b) = (Identity::ephemeral().unwrap(), Identity::ephemeral().unwrap());
    for n in 0..200 {
        let name = format!("visit-{n}");
        let mark = a.mark(&name);
        assert!(
            mark.len() == 24 && !mark.starts_with('0') && mark.bytes().all(|b| b.is_ascii_digit()),
            "{mark}"
        );
        assert_eq!(mark, a.mark(&name));
        assert_ne!(mark, b.mark(&name));
    }
    assert_ne!(a.mark("1"), a.mark("2"));
    assert_ne!(a.print("1"), a.print("2"));
    assert_eq!(format!("{a:?}"), "Identity");
}

#[test]
fn the_machine_is_read_from_what_the_system_tells() {
    let place = Place::new();
    let root = place.path();
    let put = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    assert_eq!(Machine::read(root).hashed(&[0; 16]), Vec::<String>::new());
    put("sys/class/net/lo/address", "00:00:00:00:00:00\n");
    put("sys/class/net/docker0/address", "02:42:00:00:00:01\n");
    put("sys/class/net/eth0/address", "02:00:5E:00:53:01\n");
    put("sys/class/net/eth0/device/uevent", "");
    put("sys/block/mmcblk0/device/cid", "ABCD\n");
    put("sys/block/mmcblk0/device/serial", "0x00000000\n");
    put("proc/device-tree/serial-number", "100000001234\0");
    put("etc/machine-id", "fedc\n");
    let sources = Machine::read(root).0;
    let expected =
        [("net", "02:00:5e:00:53:01"), ("card", "abcd"), ("board", "100000001234"), ("weak", "fedc")];
    let found: Vec<_> = sources.iter().map(|(k, v)| (*k, v.as_str())).collect();
    assert_eq!(found, expected);
    assert!(Machine::read(root).hashed(&[0; 16]).iter().all(|s| !s.contains("5e:00") && !s.contains("abcd")));
}

#[test]
fn a_torn_tail_that_is_longer_than_the_next_record_is_cut_too() {
    let place = Place::new();
    Book::new(&place).append("one").unwrap();
    let path = file(&place, ".journal");
    let whole = fs::read(&path).unwrap();
    // Two blocks of a record reached the disk, the one between them did not.
    let tail = [b"3f2a91c0 400 2\t", &[0; 40][..], &[b'x'; 400], b"\n"].concat();
    fs::write(&path, [&whole[..], &tail].concat()).unwrap();
    let mut b = Book::new(&place);
    assert_eq!(b.names(), ["one"]);
    b.append("two").unwrap();
    // Nothing of the old tail stands behind what was written over it.
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.ends_with(b"\tend\ttwo\n"), "{}", String::from_utf8_lossy(&bytes[whole.len()..]));
    let mut c = Book::new(&place);
    assert_eq!((c.names(), c.journal.damage()), (vec!["one".into(), "two".into()], None));
}

#[test]
fn a_number_that_does_not_grow_is_damage() {
    for second in [3, 2, 1] {
        let mut text = Vec::new();
        let json = head("a", &Identity::ephemeral().unwrap(), GENERATION, 0, 0);
        push_line(&mut text, json.as_bytes(), None);
        push_line(&mut text, json.as_bytes(), None);
        let mut places = Vec::new();
        for n in [3, second, 4] {
            let at = text.len() as u64;
            places.push(at);
            push_line(&mut text, record(n, "x").as_bytes(), Some((GENERATION, at)));
        }
        let (seen, damage, _) = scan(&text);
        assert_eq!((seen, damage), (vec![3, 4], Some(places[1])), "{second} behind 3");
    }
}

#[test]
fn a_damaged_head_costs_no_record() {
    let place = Place::new();
    let mut a = Book::new(&place);
    a.append("one").unwrap();
    a.append("two").unwrap();
    let path = file(&place, ".journal");
    let mut bytes = fs::read(&path).unwrap();
    bytes[30] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let mut b = Book::new(&place);
    assert_eq!(b.names(), ["one", "two"]);
    assert_eq!(b.append("three").unwrap_err().status(), KL_E_JOURNAL_DAMAGED);
    b.inside(|journal, pass, known| journal.repair(pass, known)).unwrap();
    b.append("three").unwrap();
    assert_eq!(Book::new(&place).names(), ["one", "two", "three"]);
}

#[test]
fn records_out_of_their_order_are_not_written() {
    let place = Place::new();
    let mut a = Book::new(&place);
    a.append("one").unwrap();
    a.append("two").unwrap();
    for wrong in [[2, 1], [1, 1], [1, 3]] {
        let records = wrong.map(|n| record(n, "x"));
        let refused = a.inside(|journal, pass, _| journal.replace(pass, &records));
        assert_eq!(refused.unwrap_err().status(), KL_E_INTERNAL);
    }
    assert_eq!(Book::new(&place).names(), ["one", "two"]);
}

#[test]
fn a_journal_of_another_installation_is_a_copy() {
    let (place, other) = (Place::new(), Place::new());
    made(&place);
    Book::new(&other).append("theirs").unwrap();
    fs::copy(file(&other, ".journal"), file(&place, ".journal")).unwrap();
    assert_eq!(Book::new(&place).trouble(), KL_E_JOURNAL_COPIED);
    // An identity of which a part is missing, or behind which something stands, is none.
    for spoil in [|b: &mut Vec<u8>| b.truncate(40), |b: &mut Vec<u8>| b.push(b'x')] {
        let place = Place::new();
        made(&place);
        let mut bytes = fs::read(file(&place, ".id")).unwrap();
        spoil(&mut bytes);
        fs::write(file(&place, ".id"), bytes).unwrap();
        assert_eq!(Book::new(&place).trouble(), KL_E_JOURNAL_COPIED);
    }
}

#[test]
fn an_identity_and_a_journal_of_two_epochs_do_not_belong_together() {
    for newer in [".id", ".journal"] {
        let place = Place::new();
        made(&place);
        let before = fs::read(file(&place, newer)).unwrap();
        // Adopted once: it was restored from an older copy.
        let path = file(&place, ".journal");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..ends(&bytes)[9]]).unwrap();
        Book::new(&place).adopt().unwrap();
        // One of the two comes back, and the mark is lost.
        fs::write(file(&place, newer), before).unwrap();
        fs::remove_file(file(&place, ".mark")).unwrap();
        assert_eq!(Book::new(&place).trouble(), KL_E_JOURNAL_OLDER, "{newer}");
    }
}

#[test]
fn a_file_that_was_cut_while_its_process_lives_is_older() {
    let place = Place::new();
    let mut a = Book::new(&place);
    for name in ["one", "two", "three"] {
        a.append(name).unwrap();
    }
    a.sync().unwrap();
    let path = file(&place, ".journal");
    let bytes = fs::read(&path).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(ends(&bytes)[3] as u64).unwrap();
    assert_eq!(a.append("four").unwrap_err().status(), KL_E_JOURNAL_OLDER);
    assert_eq!(a.names(), ["one", "two"]);
}

#[test]
fn a_file_that_was_written_over_is_read_anew() {
    let place = Place::new();
    let mut a = Book::new(&place);
    for name in ["one", "two", "three"] {
        a.append(name).unwrap();
    }
    let backup = fs::read(file(&place, ".journal")).unwrap();
    a.inside(|journal, pass, known| {
        known.truncate(1);
        journal.replace(pass, known)
    })
    .unwrap();
    assert_eq!(a.names(), ["one"]);
    fs::write(file(&place, ".journal"), backup).unwrap();
    assert_eq!((a.names().len(), a.journal.damage()), (3, None));
}

#[test]
fn the_mark_is_written_while_the_process_works() {
    let place = Place::new();
    let mut a = Book::new(&place);
    for n in 0..2 * MARK_EVERY + 2 {
        a.append(&format!("visit-{n}")).unwrap();
        a.sync().unwrap();
    }
    // It dies, and an older copy is put in its place.
    let path = file(&place, ".journal");
    let bytes = fs::read(&path).unwrap();
    std::mem::forget(a);
    fs::write(&path, &bytes[..ends(&bytes)[6]]).unwrap();
    assert_eq!(Book::new(&place).trouble(), KL_E_JOURNAL_OLDER);
}

#[test]
fn a_number_that_the_damage_took_is_not_given_again() {
    let place = Place::new();
    made(&place);
    let path = file(&place, ".journal");
    let mut bytes = fs::read(&path).unwrap();
    // Both heads: nothing of it can be checked, and only the mark knows how far the numbers went.
    let second = ends(&bytes)[0] + 30;
    (bytes[30], bytes[second]) = (0, 0);
    fs::write(path, bytes).unwrap();
    let mut b = Book::new(&place);
    assert!(b.names().is_empty());
    b.inside(|journal, pass, known| journal.repair(pass, known)).unwrap();
    b.append("next").unwrap();
    assert_eq!(b.known.last().unwrap(), &record(41, "next"));
}

#[test]
fn what_a_copied_card_carries_proves_nothing() {
    let place = Place::new();
    let with = |net: &str| Machine::of(&[("net", net), ("weak", "the same")]);
    Book::on(&place, with("02:00:5e:00:53:01")).append("one").unwrap();
    assert_eq!(Book::on(&place, with("02:00:5e:00:53:01")).trouble(), KL_OK);
    assert_eq!(Book::on(&place, with("02:00:5e:00:53:02")).trouble(), KL_E_JOURNAL_COPIED);
}

#[test]
fn fingerprints_outlive_the_loss_of_the_identity() {
    let place = Place::new();
    let (mark, print) = made(&place);
    fs::remove_file(file(&place, ".id")).unwrap();
    let mut b = Book::new(&place);
    b.adopt().unwrap();
    let identity = b.inside(|journal, pass, _| journal.identity(pass)).unwrap();
    assert_eq!(identity.print("visit-1"), print);
    assert_ne!(identity.mark("visit-1"), mark);
}
