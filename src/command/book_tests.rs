//! When and how the records are written, what becomes of those that could not be, and what other processes left.

use super::book::{Begin, Claim, Commands, Request};
use super::record::*;
use super::rules::Stage;
use super::tests::*;
use super::*;
use crate::cancel::CancelToken;
use crate::store::file::Folder;
use crate::store::journal::Journal;
use crate::store::tests::{fail, meanwhile, no_faults, operations};
use crate::time::Deadline;
use std::path::Path;
use std::time::Duration;

/// The number of a process that has ended.
const DEAD: u64 = 999_999;

/// Another process that has the journal open.
fn elsewhere<T>(path: &Path, work: impl FnOnce(&mut Journal, &crate::store::gate::Pass<'_>) -> T) -> T {
    let folder = std::sync::Arc::new(Folder::open(path, true).unwrap());
    let mut journal = Journal::new(folder, "commands-test", "test 1");
    let gate = journal.gate();
    let pause = |time| {
        std::thread::sleep(time);
        Ok(())
    };
    let pass = gate.enter(Deadline::after(Duration::from_secs(20)), &pause).unwrap();
    journal.read(&pass, &mut |_| ()).unwrap();
    work(&mut journal, &pass)
}

/// What it appends: of each record it is told the number.
fn append(path: &Path, record: impl FnOnce(u64) -> Record) -> u64 {
    elsewhere(path, |journal, pass| {
        let n = journal.next();
        journal.append(pass, &record(n).to_text(n, At::default()), &Vec::new).unwrap();
        n
    })
}

fn intent(id: &str, act: Act, owner: u64) -> Record {
    Record::Intent(Intent {
        id: id.into(),
        act,
        owner,
        boot: "b".into(),
        at: At::default(),
        mark: "1".into(),
        mark_is_ours: true,
        hold_ms: HOLD,
        print: None,
        earlier: None,
        keep: None,
    })
}

fn made(path: &Path) -> Commands {
    let commands = in_folder(path);
    drop(claim(&commands, "first", "99"));
    commands
}

fn receipt(order: &str, item: &str) -> Receipt {
    Receipt { order_no: order.into(), item_no: item.into(), ..Receipt::default() }
}

fn done(claim: Claim<'_>, order: &str, item: &str) -> Command {
    leave(&claim);
    claim.finish(Ok(receipt(order, item)), true, SettledBy::Answer).unwrap()
}

fn moved(commands: &Commands, order: &str, item: &str, physical: Physical) -> bool {
    let moved = Moved { order_no: order.into(), item_no: item.into(), physical, error: String::new() };
    commands.moved(&moved, soon(&CancelToken::never()))
}

fn begin_act<'a>(
    commands: &'a Commands,
    id: &str,
    act: Act,
    tries_a_minute: u32,
) -> Result<Begin<'a>, Error> {
    let request = Request { id, act, own_number: "", hold_ms: HOLD, tries_a_minute };
    commands.begin(request, soon(&CancelToken::never()))
}

fn claimed(begun: Result<Begin<'_>, Error>) -> Claim<'_> {
    match begun.unwrap() {
        Begin::Claimed(claim) => claim,
        _ => panic!("it is not to be sent"),
    }
}

/// The journal with a flipped bit in the middle of this text.
fn damage(path: &Path, within: &str) {
    let file = path.join("commands-test.journal");
    let mut bytes = std::fs::read(&file).unwrap();
    let place = bytes.windows(within.len()).position(|w| w == within.as_bytes()).unwrap();
    bytes[place] ^= 1;
    std::fs::write(&file, bytes).unwrap();
}

#[test]
// FAULTS A3: nothing leaves before the record of it is durable.
fn a_sync_that_fails_sends_nothing() {
    let path = folder("sync");
    let commands = in_folder(&path);
    let first = claim(&commands, "a", "1");
    operations();
    fail("sync-data", 1, libc::EIO);
    let refused = first.sending(Duration::from_secs(20), None, &CancelToken::never()).unwrap_err();
    assert_eq!(refused.details().os_errno, libc::EIO);
    let done = operations();
    let place = |what: &str| done.iter().position(|o| o == what);
    assert!(place("append:commands-test") < place("sync-data:commands-test"), "the sync covers the record");
    no_faults();
}

fn ahead<'a>(commands: &'a Commands, id: &str, n: &str) -> Claim<'a> {
    let drawn = commands.draw(id, "").expect("nothing is known of it");
    commands.ahead(drawn, Request { id, act: door(n), own_number: "", hold_ms: HOLD, tries_a_minute: 0 })
}

#[test]
// FAULTS A7: one that is claimed with its sending is not taken for a dead one's either.
fn a_claim_with_its_sending_is_one_section_and_one_write() {
    let path = folder("ahead");
    let commands = made(&path);
    let first = ahead(&commands, "a", "1");
    assert_eq!(get(&commands, "a").unwrap_err().status(), KL_E_NOT_FOUND, "nothing is written before");
    operations();
    leave(&first);
    let all = operations();
    let done: Vec<&str> = all.iter().map(String::as_str).filter(|o| !o.starts_with("step")).collect();
    assert_eq!(done, ["lock:commands-test.lock", "append:commands-test", "sync-data:commands-test"]);
    // It is in hand: nobody takes it for a dead one's.
    let known = get(&commands, "a").unwrap();
    assert_eq!((known.stage, known.mark), (Stage::Sent, first.mark.clone()));
    assert_eq!(status(begin_door(&commands, "b", "1")), (KL_E_BUSY, Outcome::NotDone));
    let ended = first.finish(Ok(receipt("o", "")), true, SettledBy::Answer).unwrap();
    assert_eq!((ended.outcome, ended.receipt.order_no), (Outcome::Done, "o".to_owned()));
    drop(commands);
    assert_eq!(get(&in_folder(&path), "a").unwrap().stage, Stage::Done);
    // A known name is begun as ever.
    let again = in_folder(&path);
    drop(claim(&again, "x", "9"));
    assert!(again.draw("a", "").is_none());
}

#[test]
// FAULTS A7: between the look at the name and its sending another process may have had it.
fn what_another_process_did_meanwhile_is_found_with_the_sending() {
    let path = folder("ahead-late");
    let commands = made(&path);
    let sending = |claim: Claim<'_>| {
        let e = claim.sending(Duration::from_secs(20), None, &CancelToken::never()).unwrap_err();
        assert_eq!(e.details().outcome, Outcome::NotDone, "no byte left");
        claim.unclaimed().err().is_none()
    };
    let ours = ahead(&commands, "a", "1");
    let n = append(&path, |_| intent("a", door("1"), DEAD));
    let end = End { outcome: Outcome::Done, by: SettledBy::Person, ..End::nothing() };
    append(&path, |_| Record::Ended(Ended { id: "a".into(), claim: n, at: At::default(), end }));
    ours.sending(Duration::from_secs(20), None, &CancelToken::never()).unwrap_err();
    match ours.unclaimed() {
        Ok(Some(Ok(Begin::Recorded(command)))) => assert_eq!(command.sequence, n),
        _ => panic!("it was done"),
    }
    // The same door, and what became of it is not known.
    let ours = ahead(&commands, "b", "2");
    let n = append(&path, |_| intent("c", door("2"), DEAD));
    let sent =
        |_| Record::Sent(Sent { id: "c".into(), claim: n, at: now(), left_ms: u32::MAX, platform: None });
    append(&path, sent);
    ours.sending(Duration::from_secs(20), None, &CancelToken::never()).unwrap_err();
    match ours.unclaimed() {
        Ok(Some(refused)) => assert_eq!(status(refused), (KL_E_BLOCKED, Outcome::NotDone)),
        _ => panic!("it is refused"),
    }
    assert_eq!(get(&commands, "b").unwrap_err().status(), KL_E_NOT_FOUND);
    // The disk refuses: nothing is claimed.
    let ours = ahead(&commands, "d", "3");
    fail("append", 1, libc::ENOSPC);
    assert!(sending(ours));
    no_faults();
    // And one that does not come to its sending has left nothing.
    let before = std::fs::metadata(path.join("commands-test.journal")).unwrap().len();
    assert!(matches!(ahead(&commands, "e", "4").unclaimed(), Ok(None)));
    drop(ahead(&commands, "e", "4"));
    assert_eq!(std::fs::metadata(path.join("commands-test.journal")).unwrap().len(), before);
}

#[test]
// FAULTS A7: what another process does with the file takes nothing from a name that is sent meanwhile.
fn a_file_that_another_process_wrote_anew_is_no_other_installation() {
    let path = folder("ahead-anew");
    let commands = made(&path);
    let ours = ahead(&commands, "a", "1");
    elsewhere(&path, |journal, pass| journal.replace(pass, &[]).unwrap());
    leave(&ours);
    ours.finish(Ok(receipt("o", "")), true, SettledBy::Answer).unwrap();
    assert_eq!(get(&commands, "a").unwrap().stage, Stage::Done);
    // Adopted, it is: the mark that was drawn before is nobody's.
    let ours = ahead(&commands, "b", "2");
    std::fs::remove_file(path.join("commands-test.journal")).unwrap();
    elsewhere(&path, |journal, pass| journal.adopt(pass, "by a test", &[]).unwrap());
    let e = ours.sending(Duration::from_secs(20), None, &CancelToken::never()).unwrap_err();
    assert_eq!(e.details().outcome, Outcome::NotDone, "no byte left");
    match ours.unclaimed() {
        Ok(Some(refused)) => assert_eq!(status(refused), (KL_E_JOURNAL, Outcome::NotDone)),
        _ => panic!("it is refused"),
    }
    assert_eq!(get(&commands, "b").unwrap_err().status(), KL_E_NOT_FOUND);
    drop(claim(&commands, "b", "2"));
}

fn now() -> At {
    At { wall_s: 0, up_ms: crate::sys::boot_ms() }
}

#[test]
// FAULTS A7: the process was taken for dead while it synced; another one may send the same by now.
fn the_claim_is_looked_at_once_more_after_the_sync() {
    let path = folder("fence");
    let commands = in_folder(&path);
    let first = claim(&commands, "a", "1");
    let claim = get(&commands, "a").unwrap().sequence;
    let there = path.clone();
    meanwhile("sync-data", move || {
        let end = End { outcome: Outcome::NotDone, by: SettledBy::Person, ..End::nothing() };
        append(&there, |_| Record::Ended(Ended { id: "a".into(), claim, at: At::default(), end }));
    });
    let e = first.sending(Duration::from_secs(20), None, &CancelToken::never()).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_IN_FLIGHT, Outcome::Unknown));
}

#[test]
// FAULTS A3: what could not be written is known, is written later, and is in no rewritten file out of its order.
fn an_end_that_could_not_be_written_is_written_later() {
    for next in [true, false] {
        let path = folder("debt");
        let commands = in_folder(&path);
        let first = claim(&commands, "a", "1");
        leave(&first);
        fail("append", 1, libc::EIO);
        let answered = first.finish(Ok(receipt("VI1", "")), true, SettledBy::Answer).unwrap();
        assert_eq!(answered.outcome, Outcome::Done);
        assert_eq!(get(&commands, "a").unwrap().outcome, Outcome::Done);
        // With the next command, or when the client is freed.
        if next {
            drop(claim(&commands, "b", "2"));
            assert_eq!(commands.info(soon(&CancelToken::never())).unwrap().owed, 0);
        }
        drop(commands);
        let commands = in_folder(&path);
        let found = get(&commands, "a").unwrap();
        assert_eq!((found.outcome, found.receipt.order_no.as_str()), (Outcome::Done, "VI1"));
    }
}

#[test]
fn what_is_owed_is_written_before_what_came_later() {
    let path = folder("order");
    let commands = made(&path);
    let token = CancelToken::never();
    fail("append", 1, libc::EIO);
    assert!(!commands.seen_before(&[7; 16], 1_700_000_000, soon(&token)));
    assert!(!commands.seen_before(&[8; 16], 1_700_000_000, soon(&token)));
    commands.not_taken(&[7; 16], soon(&token));
    drop(commands);
    let commands = in_folder(&path);
    assert!(!commands.seen_before(&[7; 16], 1_700_000_000, soon(&token)), "it was not taken after all");
    assert!(commands.seen_before(&[8; 16], 1_700_000_000, soon(&token)), "this one was");
}

#[test]
fn what_is_owed_is_known_though_another_wrote_the_file_anew() {
    let path = folder("anew");
    let commands = made(&path);
    let token = CancelToken::never();
    fail("append", 1, libc::EIO);
    assert!(!commands.seen_before(&[7; 16], 1_700_000_000, soon(&token)));
    elsewhere(&path, |journal, pass| journal.replace(pass, &[]).unwrap());
    fail("append", 0, libc::EIO);
    assert!(commands.seen_before(&[7; 16], 1_700_000_000, soon(&token)));
    no_faults();
}

#[test]
fn what_ended_last_is_synced_when_the_client_is_freed() {
    let path = folder("freed");
    let commands = in_folder(&path);
    let first = claim(&commands, "a", "1");
    done(first, "VI1", "");
    operations();
    drop(commands);
    assert!(operations().contains(&"sync-data:commands-test".to_owned()));
}

#[test]
fn what_a_dead_process_left_is_buried_before_the_door_is_claimed() {
    let path = folder("orphan");
    let commands = made(&path);
    append(&path, |_| intent("x", door("1"), DEAD));
    let claim = append(&path, |_| intent("y", door("2"), DEAD));
    append(&path, |_| {
        Record::Sent(Sent { id: "y".into(), claim, at: At::default(), left_ms: LEFT, platform: None })
    });
    let first = super::tests::claim(&commands, "a", "1");
    assert_eq!(get(&commands, "x").unwrap().outcome, Outcome::NotDone);
    assert_eq!(
        status(
            begin_act(&commands, "y", door("2"), 0)
                .map(|b| match b {
                    Begin::Ask(e) => Err(*e),
                    other => Ok(other),
                })
                .and_then(|b| b)
        ),
        (KL_E_UNSETTLED, Outcome::Unknown)
    );
    drop(first);
}

#[test]
// FAULTS A4: its end may stand in the part that cannot be read.
fn nobody_is_buried_in_a_damaged_journal() {
    let path = folder("grave");
    let commands = made(&path);
    done(claim(&commands, "spoiled", "3"), "VI1", "");
    append(&path, |_| intent("x", door("1"), DEAD));
    drop(commands);
    damage(&path, "spoiled");
    let commands = in_folder(&path);
    let known = get(&commands, "x").unwrap();
    assert_eq!((known.outcome, known.stage), (Outcome::Unknown, Stage::Begun));
    assert_eq!(status(begin_act(&commands, "new", door("5"), 0)).0, KL_E_JOURNAL_DAMAGED);
}

#[test]
fn not_done_is_not_said_from_a_damaged_journal() {
    let path = folder("spoiled");
    let commands = in_folder(&path);
    claim(&commands, "no", "1").finish(Err(refused()), true, SettledBy::Answer).unwrap_err();
    done(claim(&commands, "yes", "2"), "VI1", "");
    done(claim(&commands, "spoiled", "3"), "VI2", "");
    drop(commands);
    damage(&path, "spoiled");
    let commands = in_folder(&path);
    assert_eq!(get(&commands, "no").unwrap_err().status(), KL_E_JOURNAL_DAMAGED);
    assert_eq!(get(&commands, "yes").unwrap().outcome, Outcome::Done);
}

#[test]
fn a_record_of_a_newer_library_stops_commands() {
    let path = folder("novel");
    let commands = made(&path);
    elsewhere(&path, |journal, pass| {
        let n = journal.next();
        journal.append(pass, &format!("{n}\t1732250000\t81422\tnovel"), &Vec::new).unwrap();
    });
    assert_eq!(status(begin_act(&commands, "a", door("1"), 0)), (KL_E_JOURNAL_DAMAGED, Outcome::Unknown));
}

#[test]
fn what_the_damaged_part_may_have_known_is_refused_after_the_repair() {
    let path = folder("repair");
    let commands = in_folder(&path);
    let token = CancelToken::never();
    let issued = commands.request_id_new(soon(&token)).unwrap();
    done(claim(&commands, &issued, "1"), "VI1", "");
    done(claim(&commands, "later", "2"), "VI2", "");
    drop(commands);
    // Its intent, its sending, its end: all of it.
    let file = path.join("commands-test.journal");
    let mut bytes = std::fs::read(&file).unwrap();
    let places: Vec<usize> = bytes
        .windows(issued.len())
        .enumerate()
        .filter(|(_, w)| *w == issued.as_bytes())
        .map(|(i, _)| i)
        .collect();
    for place in places {
        bytes[place] ^= 1;
    }
    std::fs::write(&file, bytes).unwrap();
    let commands = in_folder(&path);
    assert!(commands.repair(soon(&token)).unwrap().is_some());
    assert_eq!(status(begin_act(&commands, &issued, door("1"), 0)), (KL_E_REQUEST_TOO_OLD, Outcome::Unknown));
    let e = get(&commands, &issued).unwrap_err();
    assert_eq!((e.status(), e.details().outcome), (KL_E_NOT_FOUND, Outcome::Unknown));
    assert_eq!(get(&commands, "later").unwrap().outcome, Outcome::Done);
    let fresh = commands.request_id_new(soon(&token)).unwrap();
    assert_eq!(get(&commands, &fresh).unwrap_err().details().outcome, Outcome::NotDone);
    drop(claim(&commands, &fresh, "1"));
}

#[test]
fn what_the_lost_journal_may_have_known_is_refused_after_the_adoption() {
    let path = folder("adopt");
    let commands = in_folder(&path);
    let token = CancelToken::never();
    let issued = commands.request_id_new(soon(&token)).unwrap();
    done(claim(&commands, &issued, "1"), "VI1", "");
    done(claim(&commands, "kept", "2"), "VI2", "");
    drop(commands);
    // Its identity is gone: the records can be read, and a person goes on with them.
    std::fs::remove_file(path.join("commands-test.id")).unwrap();
    let commands = in_folder(&path);
    assert_eq!(status(begin_act(&commands, "new", door("3"), 0)).0, KL_E_JOURNAL_COPIED);
    commands.adopt("tested", soon(&token)).unwrap();
    assert_eq!(get(&commands, "kept").unwrap().outcome, Outcome::Done);
    let older = "kl-1-0123456789abcdef";
    assert_eq!(status(begin_act(&commands, older, door("3"), 0)), (KL_E_REQUEST_TOO_OLD, Outcome::Unknown));
    drop(commands);
    let commands = in_folder(&path);
    assert_eq!(get(&commands, "kept").unwrap().outcome, Outcome::Done);
    assert_eq!(status(begin_act(&commands, older, door("3"), 0)).0, KL_E_REQUEST_TOO_OLD);
}

#[test]
fn a_report_may_come_before_the_answer_and_is_of_one_item() {
    let commands = Commands::in_memory().unwrap();
    assert!(!moved(&commands, "VI1", "", Physical::Confirmed));
    assert!(!moved(&commands, "o2", "8", Physical::Failed));
    assert_eq!(done(claim(&commands, "a", "1"), "VI1", "").physical, Physical::Confirmed);
    // Of the other item of the order.
    let first = claimed(begin_act(&commands, "b", item("o2", "7"), 0));
    assert_eq!(done(first, "o2", "7").physical, Physical::Pending);
    let second = claimed(begin_act(&commands, "c", item("o2", "8"), 0));
    assert_eq!(done(second, "o2", "8").physical, Physical::Failed);
    assert!(!moved(&commands, "o2", "9", Physical::Confirmed));
    assert_eq!(get(&commands, "b").unwrap().physical, Physical::Pending);
    assert!(moved(&commands, "o2", "7", Physical::Confirmed));
    assert_eq!(get(&commands, "b").unwrap().physical, Physical::Confirmed);
    // An order that nobody names is nobody's.
    assert!(!moved(&commands, "", "", Physical::Failed));
    assert_eq!(done(claim(&commands, "d", "2"), "", "").physical, Physical::Pending);
}

#[test]
fn reports_of_nobodys_orders_do_not_fill_the_memory() {
    let commands = Commands::in_memory().unwrap();
    for n in 0..=64 {
        assert!(!moved(&commands, &format!("VI{n}"), "", Physical::Confirmed));
    }
    assert_eq!(done(claim(&commands, "a", "1"), "VI0", "").physical, Physical::Pending);
    assert_eq!(done(claim(&commands, "b", "2"), "VI1", "").physical, Physical::Confirmed);
}

#[test]
fn too_many_unsettled_commands_are_a_fault_that_a_person_must_see() {
    let commands = Commands::in_memory().unwrap();
    for n in 0..512 {
        let id = format!("u{n}");
        let claim = claim(&commands, &id, &id);
        leave(&claim);
        claim.finish(Err(lost()), true, SettledBy::Answer).unwrap_err();
    }
    assert_eq!(status(begin_act(&commands, "more", door("1"), 0)), (KL_E_JOURNAL_FULL, Outcome::NotDone));
}

#[test]
fn a_journal_that_has_grown_is_written_anew_when_nothing_is_owed() {
    let path = folder("grown");
    let commands = in_folder(&path);
    let token = CancelToken::never();
    let size = || commands.info(soon(&token)).unwrap().bytes;
    let json = "x".repeat(2000);
    let mut largest = 0;
    for n in 0..400 {
        let id = format!("d{n}");
        let claim = claim(&commands, &id, "1");
        let receipt = Receipt { json: json.clone(), ..receipt("o", "") };
        claim.finish(Ok(receipt), false, SettledBy::Answer).unwrap();
        largest = largest.max(size());
    }
    assert!(largest > 360_000 && largest < 500_000 && size() < largest, "{largest}");
    // As large as before, and something is owed: that is written first.
    while size() < 300_000 {
        let id = format!("e{}", size());
        let receipt = Receipt { json: json.clone(), ..receipt("o", "") };
        claim(&commands, &id, "1").finish(Ok(receipt), false, SettledBy::Answer).unwrap();
    }
    assert_eq!(get(&commands, "d0").unwrap().outcome, Outcome::Done);
}

#[test]
fn it_is_written_anew_after_an_end_and_nobody_waits_for_that_at_a_door() {
    let path = folder("grown-after");
    let commands = in_folder(&path);
    let token = CancelToken::never();
    let size = || commands.info(soon(&token)).unwrap().bytes;
    let large = || {
        let extra_json = Some("x".repeat(20_000));
        Act::Door(DoorRequest { cabinet_id: "c".into(), extra_json, ..DoorRequest::default() }.into())
    };
    const BOUND: u64 = 4 * 1024 * 1024;
    let written_anew = || operations().iter().filter(|o| o.starts_with("rename:")).count();
    let door = |n: u32| -> Result<usize, Error> {
        let begun = match begin_act(&commands, &format!("d{n}"), large(), 0)? {
            Begin::Claimed(claim) => claim,
            _ => unreachable!(),
        };
        leave(&begun);
        let before = written_anew();
        begun.finish(Ok(receipt("o", "")), false, SettledBy::Answer)?;
        assert_eq!(before, 0, "{n}: a customer waited");
        Ok(written_anew())
    };
    drop(claim(&commands, "first", "1"));
    operations();
    assert!((1..40).map(|n| door(n).unwrap()).sum::<usize>() > 0);
    // Where there is no room for a second file the doors open all the same, as long as there is room for records.
    fail("rename", 0, libc::ENOSPC);
    let mut tried = 0;
    let refused = (40..300).find_map(|n| door(n).map(|anew| tried += anew).err()).unwrap();
    assert!(size() > BOUND - 128 * 1024 && size() < BOUND, "{}", size());
    assert!((10..60).contains(&tried), "{tried}");
    assert_eq!((refused.status(), refused.details().outcome), (KL_E_JOURNAL_FULL, Outcome::NotDone));
    no_faults();
    // With room again the next one brings it in order before it leaves.
    drop(claim(&commands, "again", "1"));
    assert!(size() < 352 * 1024, "{}", size());
}

#[test]
// FAULTS F16: guesses of codes are slowed down, and a good one gives the tries back.
fn guesses_are_refused_and_a_good_code_frees_them() {
    let commands = Commands::in_memory().unwrap();
    let guess = |n: u32| begin_act(&commands, &format!("g{n}"), code(&format!("{n}")), 3);
    for n in 0..2 {
        claimed(guess(n)).finish(Err(refused()), false, SettledBy::Answer).unwrap_err();
    }
    claimed(guess(2)).finish(Ok(receipt("o", "")), false, SettledBy::Answer).unwrap();
    for n in 3..6 {
        claimed(guess(n)).finish(Err(refused()), false, SettledBy::Answer).unwrap_err();
    }
    assert_eq!(status(guess(6)), (KL_E_CODE_TRIES, Outcome::NotDone));
}

#[test]
// FAULTS B2: a number of the caller's is never taken for the library's own, here or after a restart.
fn whose_number_was_sent_is_kept() {
    let path = folder("whose");
    let commands = in_folder(&path);
    let token = CancelToken::never();
    let own = Request { id: "own", act: door("1"), own_number: "T-1", hold_ms: HOLD, tries_a_minute: 0 };
    let first = claimed(commands.begin(own, soon(&token)));
    leave(&first);
    first.finish(Err(lost()), true, SettledBy::Answer).unwrap_err();
    let second = claim(&commands, "ours", "2");
    leave(&second);
    second.finish(Err(lost()), true, SettledBy::Answer).unwrap_err();
    // The same where the claim is written with the sending.
    for (id, n, own_number) in [("own-ahead", "3", "T-2"), ("ours-ahead", "4", "")] {
        let drawn = commands.draw(id, own_number).expect("nothing is known of it");
        let third =
            commands.ahead(drawn, Request { id, act: door(n), own_number, hold_ms: HOLD, tries_a_minute: 0 });
        leave(&third);
        third.finish(Err(lost()), true, SettledBy::Answer).unwrap_err();
    }
    let whose = |commands: &Commands, id: &str| {
        commands.known(id, None, soon(&CancelToken::never()), |k| (k.mark.len(), k.mark_is_ours)).unwrap()
    };
    for (own, ours) in [("own", "ours"), ("own-ahead", "ours-ahead")] {
        assert_eq!((whose(&commands, own), whose(&commands, ours)), ((3, false), (24, true)));
    }
    drop(commands);
    let commands = in_folder(&path);
    for (own, ours) in [("own", "ours"), ("own-ahead", "ours-ahead")] {
        assert_eq!((whose(&commands, own), whose(&commands, ours)), ((3, false), (24, true)));
    }
}

#[test]
fn what_was_proved_meanwhile_is_the_answer() {
    let commands = Commands::in_memory().unwrap();
    let first = claim(&commands, "a", "1");
    leave(&first);
    let end =
        End { outcome: Outcome::Done, by: SettledBy::Event, receipt: receipt("VI1", ""), ..End::nothing() };
    commands.settle("a", end, false, soon(&CancelToken::never())).unwrap();
    let known = first.finish(Err(lost()), true, SettledBy::Answer).unwrap();
    assert!(known.recorded && known.receipt.order_no == "VI1");
}

#[test]
// FAULTS B11: a repetition that was refused leaves the first try unknown, to its caller too.
fn a_repetition_that_is_refused_is_unknown() {
    let commands = Commands::in_memory().unwrap();
    let first = claim(&commands, "a", "1");
    leave(&first);
    first.finish(Err(lost()), true, SettledBy::Answer).unwrap_err();
    let again = commands.again("a", soon(&CancelToken::never())).unwrap();
    leave(&again);
    let e = again.finish(Err(refused()), true, SettledBy::Answer).unwrap_err();
    assert_eq!(e.details().outcome, Outcome::Unknown);
    assert_eq!(get(&commands, "a").unwrap().outcome, Outcome::Unknown);
}

#[test]
fn maturity_counts_from_the_last_look_before_the_first_byte() {
    let commands = Commands::in_memory().unwrap();
    let first = claim(&commands, "a", "1");
    let token = CancelToken::never();
    first.sending(Duration::from_millis(10), None, &token).unwrap();
    assert!(get(&commands, "a").unwrap().mature_in_ms <= HOLD + 10);
    first.sent_late(Duration::from_secs(20), None);
    assert!(get(&commands, "a").unwrap().mature_in_ms > HOLD + 10_000);
}

#[test]
// FAULTS B6: without the journal only a name that was issued here and never begun is not done.
fn a_journal_that_cannot_be_asked_leaves_names_unknown() {
    let path = folder("asked");
    let commands = made(&path);
    let token = CancelToken::never();
    let issued = commands.request_id_new(soon(&token)).unwrap();
    fail("lock:commands-test.lock", 0, libc::EACCES);
    for (id, outcome) in [("a", Outcome::Unknown), (issued.as_str(), Outcome::NotDone)] {
        let e = commands.outcome_of(id, Error::new(KL_E_ARGUMENT, "x"), soon(&token));
        assert_eq!((e.status(), e.details().outcome), (KL_E_ARGUMENT, outcome), "{id}");
        assert_eq!(status(begin_act(&commands, id, door("1"), 0)), (KL_E_JOURNAL_OWNER, outcome), "{id}");
    }
    no_faults();
    // One that was begun is not issued any more.
    done(claim(&commands, &issued, "1"), "VI1", "");
    fail("lock:commands-test.lock", 0, libc::EACCES);
    assert_eq!(status(begin_act(&commands, &issued, door("1"), 0)).1, Outcome::Unknown);
    no_faults();
}

#[test]
// FAULTS A9: a done name of which only its fingerprint is left is found as done in the file.
fn a_fingerprint_answers_after_a_restart() {
    let path = folder("prints");
    let commands = in_folder(&path);
    let json = "x".repeat(1500);
    for n in 0..900 {
        let id = format!("d{n}");
        let receipt = Receipt { json: json.clone(), ..receipt("o", "") };
        claim(&commands, &id, "1").finish(Ok(receipt), false, SettledBy::Answer).unwrap();
    }
    drop(commands);
    let commands = in_folder(&path);
    let old = get(&commands, "d0").unwrap();
    assert_eq!((old.outcome, old.settled_by), (Outcome::Done, SettledBy::Journal), "only that is left");
    assert!(matches!(begin_act(&commands, "d0", door("1"), 0), Ok(Begin::Recorded(_))));
    assert_eq!(status(begin_act(&commands, "d0", door("2"), 0)).0, KL_E_REQUEST_ID);
}

#[test]
// FAULTS A4: the same for a record that is newer than this library.
fn nobody_is_buried_while_a_record_cannot_be_understood() {
    let path = folder("mystery");
    drop(made(&path));
    append(&path, |_| intent("x", door("1"), DEAD));
    elsewhere(&path, |journal, pass| {
        let n = journal.next().to_string();
        let newer = [&n, "\t1732250000\t81422\tmystery\tx"].concat();
        journal.append(pass, &newer, &Vec::new).unwrap();
    });
    // The record may be how it ended.
    let commands = in_folder(&path);
    assert_eq!(get(&commands, "x").unwrap().stage, Stage::Begun);
    assert_eq!(status(begin_door(&commands, "y", "2")), (KL_E_JOURNAL_DAMAGED, Outcome::Unknown));
}

/// The journal as it was just after the last record with these words, in place of what it is now.
fn cut_after(path: &Path, words: &str) {
    let file = path.join("commands-test.journal");
    let bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(words.len()).rposition(|w| w == words.as_bytes()).unwrap();
    let end = at + bytes[at..].iter().position(|b| *b == b'\n').unwrap() + 1;
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(end as u64).unwrap();
}

#[test]
// FAULTS A8: a living process that adopts an older journal has nothing of it in hand.
fn what_an_adopted_journal_shows_under_way_is_unknown() {
    let path = folder("adopted");
    let commands = made(&path);
    done(claim(&commands, "a", "1"), "order", "");
    commands.flush();
    // A card lost what followed: also that it was sent.
    cut_after(&path, "\tintent\ta\t");
    let text = std::fs::read_to_string(path.join("commands-test.journal")).unwrap();
    assert!(!text.contains("\tend\ta\t"), "the end is lost");
    assert_eq!(status(begin_door(&commands, "b", "2")).0, KL_E_JOURNAL_OLDER);
    let token = CancelToken::never();
    commands.adopt("by a test", soon(&token)).unwrap();
    let known = commands.get("a", soon(&token)).unwrap();
    assert_eq!((known.stage, known.outcome), (Stage::Unknown, Outcome::Unknown), "it was done");
    let next = claim(&commands, "b", "2");
    drop(next);
}

#[test]
// FAULTS F18: a call whose book a panic took away ends without a record; its claim is nobody's then, and not before.
fn after_a_panic_a_claim_is_held_as_long_as_its_call() {
    let path = folder("swallowed");
    let commands = made(&path);
    let first = claim(&commands, "a", "1");
    leave(&first);
    let other = commands.clone();
    let panicked = std::thread::spawn(move || other.panic_inside(soon(&CancelToken::never())));
    assert!(panicked.join().is_err());
    // The client of another account forgets nothing of this one's.
    let _another = made(&folder("swallowed-another"));
    let anew = in_folder(&path);
    assert_eq!(status(begin_door(&anew, "a", "1")), (KL_E_IN_FLIGHT, Outcome::Unknown));
    assert_eq!(status(begin_door(&anew, "b", "1")), (KL_E_BUSY, Outcome::NotDone));
    let answered = first.finish(Ok(Receipt::default()), true, SettledBy::Answer);
    assert_eq!(answered.err().unwrap().details().outcome, Outcome::Unknown, "no record says so");
    let known = anew.get("a", soon(&CancelToken::never())).unwrap();
    assert_eq!(known.stage, Stage::Unknown);
    assert_eq!(status(begin_door(&anew, "b", "1")).0, KL_E_BLOCKED, "until it is mature, not for ever");
}
