//! The folder, its gate and its owners.

use super::file::{FileSystem, Folder};
use super::gate::Gate;
use super::owners::{self, Owners};
use super::tests::{Place, fail, meanwhile, no_faults, pause, soon};
use crate::error::Error;
use crate::status::*;
use crate::time::Deadline;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

#[test]
fn a_folder_that_others_can_write_to_is_refused_unless_allowed() {
    let place = Place::new();
    for (mode, fits) in [(0o700, true), (0o755, true), (0o775, false), (0o757, false), (0o1777, false)] {
        fs::set_permissions(place.path(), fs::Permissions::from_mode(mode)).unwrap();
        let opened = Folder::open(place.path(), false).map(drop).map_err(|e| e.status());
        assert_eq!(opened, if fits { Ok(()) } else { Err(KL_E_STATE_DIR) }, "{mode:o}");
        assert!(Folder::open(place.path(), true).is_ok());
    }
    fs::write(place.path().join("file"), "").unwrap();
    for wrong in ["none", "file"] {
        assert_eq!(Folder::open(&place.path().join(wrong), false).unwrap_err().status(), KL_E_STATE_DIR);
    }
}

// FAULTS H: some FUSE and network mounts cannot sync a folder.
#[test]
fn a_folder_that_cannot_be_synced_is_no_reason_to_refuse() {
    let place = Place::new();
    for errno in [libc::EINVAL, libc::ENOTSUP] {
        fail("sync-folder", 0, libc::EIO);
        assert_eq!(Folder::open(place.path(), false).unwrap_err().status(), KL_E_STATE_DIR);
        no_faults();
        fail("fsync-folder", 0, errno);
        let folder = Folder::open(place.path(), false).unwrap();
        folder.replace("a", b"text").unwrap();
        assert_eq!(folder.read("a", 100).unwrap().unwrap(), b"text");
        no_faults();
    }
}

#[test]
fn a_full_or_read_only_folder_opens_for_reading() {
    let place = Place::new();
    for (errno, status) in [(libc::ENOSPC, KL_E_JOURNAL_FULL), (libc::EROFS, KL_E_JOURNAL_READ_ONLY)] {
        fail("write:kiosklink.try", 1, errno);
        let folder = Folder::open(place.path(), false).unwrap();
        assert_eq!(folder.usable().unwrap_err().status(), status);
    }
    assert!(place.folder().usable().is_ok());
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let place = Place::new();
    let folder = place.folder();
    folder.replace("a", b"one").unwrap();
    for operation in ["write", "sync", "rename"] {
        fail(operation, 1, libc::EIO);
        assert!(folder.replace("a", b"two").is_err());
        assert_eq!(folder.read("a", 100).unwrap().unwrap(), b"one", "{operation}");
        assert!(folder.stat("a.new").unwrap().is_none());
    }
    // What a crash left behind is in nobody's way.
    fs::write(place.path().join("a.new"), "half").unwrap();
    folder.replace("a", b"two").unwrap();
    assert_eq!(folder.read("a", 100).unwrap().unwrap(), b"two");
    // A link is not followed, here or when reading.
    std::os::unix::fs::symlink("a", place.path().join("link")).unwrap();
    assert!(folder.read("link", 100).is_err());
    assert!(folder.read("none", 100).unwrap().is_none());
}

// FAULTS A11: what a folder lies on is told from mountinfo.
#[test]
fn what_forgets_or_does_not_sync_is_told() {
    const MOUNTS: &str = "\
22 1 179:2 / / rw,noatime shared:1 - ext4 /dev/root rw,data=ordered
23 22 0:21 / /run rw,nosuid shared:2 - tmpfs tmpfs rw,size=100k
24 22 0:22 / /etc rw - overlay overlay rw,lowerdir=/etc,upperdir=/run/up\\040per,workdir=/run/work
25 22 0:23 / /data rw - overlay overlay rw,lowerdir=/l,upperdir=/var/upper,workdir=/w,fsync=volatile
26 22 179:3 / /log rw - ext4 /dev/mmcblk0p3 rw,nobarrier
27 22 0:24 / /net rw - nfs4 server:/x rw
28 22 179:1 / /boot rw - vfat /dev/mmcblk0p1 rw,fmask=0022
29 22 179:4 / /fast rw - f2fs /dev/mmcblk0p4 rw,fsync_mode=nobarrier
";
    let of = |id| FileSystem::found(MOUNTS, id);
    assert_eq!(of("22"), FileSystem { name: "ext4".into(), ..FileSystem::default() });
    assert!(of("23").forgets && of("23").words().contains("gone with the power"));
    assert_eq!((of("24").name, of("24").upper, of("24").forgets), ("overlay".into(), "tmpfs".into(), true));
    assert_eq!((of("25").upper, of("25").weak_sync), ("ext4".into(), "fsync=volatile".into()));
    assert_eq!(of("26").weak_sync, "nobarrier");
    assert!(of("27").remote && of("28").modeless);
    assert_eq!(of("29").weak_sync, "fsync_mode=nobarrier");
    assert!(of("22").links() && of("24").links() && !of("27").links() && !of("28").links());
    assert_eq!(of("99"), FileSystem::default());
    // And of a real one, where there is one.
    let memory = Path::new("/dev/shm");
    if fs::read_to_string("/proc/self/mountinfo").unwrap().contains(" /dev/shm rw") {
        let folder = memory.join(format!("kiosklink-store-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let kind = Folder::open(&folder, false).map(|f| f.kind().clone());
        fs::remove_dir_all(&folder).unwrap();
        assert!(kind.unwrap().forgets);
    }
}

#[test]
fn the_gate_lets_one_in_at_a_time() {
    let place = Place::new();
    // Two clients of one process, and threads of both.
    let gates = [Gate::new(place.folder(), "a"), Gate::new(place.folder(), "a")];
    let inside = Mutex::new(0);
    std::thread::scope(|s| {
        for n in 0..6 {
            let (gate, inside) = (&gates[n % 2], &inside);
            s.spawn(move || {
                for _ in 0..20 {
                    let _pass = gate.enter(soon(), &pause).unwrap();
                    let mut count = inside.try_lock().expect("somebody else is inside");
                    for _ in 0..20 {
                        std::thread::yield_now();
                    }
                    *count += 1;
                }
            });
        }
    });
    assert_eq!(*inside.lock().unwrap(), 120);
}

// FAULTS F3: waiting for the lock is on the clock and ends when the caller is cancelled.
#[test]
fn waiting_is_on_the_clock_and_can_be_cancelled() {
    let place = Place::new();
    let gates = [Gate::new(place.folder(), "a"), Gate::new(place.folder(), "a")];
    let held = gates[0].enter(soon(), &pause).unwrap();
    // For a thread's turn, and for another's lock.
    for gate in &gates {
        let start = Instant::now();
        let e = gate.enter(Deadline::after(Duration::from_millis(60)), &pause).unwrap_err();
        assert_eq!(e.status(), KL_E_JOURNAL_BUSY);
        let who = if std::ptr::eq(gate, &gates[0]) { "another thread" } else { "another process" };
        assert!(e.message().contains(who), "{e}");
        assert!(start.elapsed() >= Duration::from_millis(60));
        // A pause that takes longer than it was asked to counts as long as it took.
        let start = Instant::now();
        let slow = |_| pause(Duration::from_millis(200));
        assert_eq!(
            gate.enter(Deadline::after(Duration::from_millis(50)), &slow).unwrap_err().status(),
            KL_E_JOURNAL_BUSY
        );
        assert!(start.elapsed() < Duration::from_secs(5));
        let e = gate.enter(soon(), &|_| Err(Error::new(KL_E_CANCELLED, "cancelled"))).unwrap_err();
        assert_eq!(e.status(), KL_E_CANCELLED);
    }
    drop(held);
    for gate in &gates {
        gate.enter(soon(), &pause).unwrap();
    }
}

// FAULTS F3: nothing in the folder is waited for that is not a file: a pipe has no end until somebody writes to it.
#[test]
fn what_is_no_file_is_refused_at_once() {
    let place = Place::new();
    let path = place.path().join("a");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let folder = place.folder();
    assert!(folder.read("a", 100).unwrap_err().to_string().contains("no ordinary file"));
    assert!(folder.stat("a").unwrap_err().to_string().contains("no ordinary file"));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(folder.read("a", 100).is_err() && folder.stat("a").is_err());
}

#[test]
fn a_lock_file_that_was_removed_keeps_nobody_in_doubt() {
    let place = Place::new();
    let (a, b) = (Gate::new(place.folder(), "a"), Gate::new(place.folder(), "a"));
    let held = a.enter(soon(), &pause).unwrap();
    fs::remove_file(place.path().join("a.lock")).unwrap();
    // The old one is still held, the new one is another's: no two of *one* file.
    let other = b.enter(soon(), &pause).unwrap();
    drop(held);
    let e = a.enter(Deadline::after(Duration::from_millis(30)), &pause).unwrap_err();
    assert_eq!(e.status(), KL_E_JOURNAL_BUSY);
    drop(other);
    a.enter(soon(), &pause).unwrap();
}

// A program that closes what it does not know may put a file of its own under the number of the lock's.
#[test]
fn a_lock_file_whose_descriptor_is_another_files_now_is_left_alone() {
    let place = Place::new();
    let gate = Gate::new(place.folder(), "a");
    drop(gate.enter(soon(), &pause).unwrap());
    let held = gate.left_open().expect("it stays open between two sections");
    let theirs = fs::File::create(place.path().join("theirs")).unwrap();
    crate::sys::put_under(&theirs, held).unwrap();
    drop(gate.enter(soon(), &|_| panic!("it waits for nobody")).unwrap());
    assert_ne!(gate.left_open(), Some(held));
    // It is open yet, and nobody's lock is on it.
    assert_eq!(fs::read_link(format!("/proc/self/fd/{held}")).unwrap(), place.path().join("theirs"));
    assert!(crate::sys::try_lock(&fs::File::open(place.path().join("theirs")).unwrap()).unwrap());
}

#[test]
fn a_lock_on_a_file_that_lost_its_name_meanwhile_is_none() {
    let place = Place::new();
    let (a, path) = (Gate::new(place.folder(), "a"), place.path().to_owned());
    // Between the opening and the lock a cleaner removes the file, and somebody else goes in by a new one.
    let inside = std::sync::Arc::new(Mutex::new(None));
    let theirs = inside.clone();
    meanwhile("lock", move || {
        fs::remove_file(path.join("a.lock")).unwrap();
        let file = fs::File::create(path.join("a.lock")).unwrap();
        assert!(crate::sys::try_lock(&file).unwrap());
        *theirs.lock().unwrap() = Some(file);
    });
    let e = a.enter(Deadline::after(Duration::from_millis(30)), &pause).unwrap_err();
    assert_eq!(e.status(), KL_E_JOURNAL_BUSY);
    drop(inside.lock().unwrap().take());
    a.enter(soon(), &pause).unwrap();
}

#[test]
fn two_clients_of_a_process_have_one_number() {
    let place = Place::new();
    let gate = Gate::new(place.folder(), "j");
    let pass = gate.enter(soon(), &pause).unwrap();
    let (mut a, mut b) = (Owners::new(place.folder(), "j"), Owners::new(place.folder(), "j"));
    assert_eq!(a.take(&pass, 5).unwrap(), (6, true));
    assert_eq!(b.take(&pass, 5).unwrap(), (6, false));
    assert_eq!(a.take(&pass, 5).unwrap(), (6, false));
    drop(b);
    assert!(a.alive(&pass, 6) && !a.alive(&pass, 5) && !a.alive(&pass, 7));
    // A client made later asks about the first one's number.
    let c = Owners::new(place.folder(), "j");
    assert!(c.alive(&pass, 6));
}

// DISK 8.8: a second copy of the library has another table, and the lock does not keep it out.
#[test]
fn a_second_copy_of_the_library_neither_steals_nor_buries() {
    let place = Place::new();
    let gate = Gate::new(place.folder(), "j");
    let pass = gate.enter(soon(), &pause).unwrap();
    let mut a = Owners::new(place.folder(), "j");
    let (first, _) = a.take(&pass, 0).unwrap();
    owners::forget_all_in(&place.folder(), "j");
    let mut b = Owners::new(place.folder(), "j");
    assert!(b.alive(&pass, first), "its own locks are shown to nobody");
    let (second, fresh) = b.take(&pass, 0).unwrap();
    assert!(fresh && second > first);
    owners::forget_all_in(&place.folder(), "j");
    assert!(Owners::new(place.folder(), "j").alive(&pass, first), "its line is still there");
}

// FAULTS A7: the file is removed while its process lives: the process notices before its next command.
#[test]
fn a_removed_owner_file_is_noticed() {
    let place = Place::new();
    let gate = Gate::new(place.folder(), "j");
    let pass = gate.enter(soon(), &pause).unwrap();
    let mut a = Owners::new(place.folder(), "j");
    assert_eq!(a.take(&pass, 10).unwrap(), (11, true));
    for removed in [true, false] {
        let before = a.own().unwrap();
        let file = place.path().join("j.owners");
        if removed {
            fs::remove_file(file).unwrap();
        } else {
            // Restored from a backup: the same file, without this process in it. Closing it loses the lock besides.
            fs::write(file, "kiosklink-owners 1 3\n").unwrap();
        }
        let (number, fresh) = a.take(&pass, before).unwrap();
        assert!(fresh && number > before);
        assert!(a.alive(&pass, before) && a.alive(&pass, number), "this process still knows its own");
        assert!(
            !Owners::new(place.folder(), "j").alive(&pass, before),
            "what others bury, the records fence"
        );
    }
}

// FAULTS F19: the last number is an error by name, not number 0.
#[test]
fn owner_numbers_never_wrap() {
    let place = Place::new();
    let gate = Gate::new(place.folder(), "j");
    let pass = gate.enter(soon(), &pause).unwrap();
    let mut a = Owners::new(place.folder(), "j");
    assert_eq!(a.take(&pass, u64::MAX).unwrap_err().status(), KL_E_RESOURCE);
    assert_eq!(a.take(&pass, i64::MAX as u64).unwrap_err().status(), KL_E_RESOURCE);
    assert_eq!(a.take(&pass, i64::MAX as u64 - 1).unwrap().0, i64::MAX as u64);
}

// FAULTS A7: whoever cannot be asked for lives: its commands stay under way, and nobody sends them again.
#[test]
fn an_owner_that_cannot_be_asked_for_lives() {
    let place = Place::new();
    let gate = Gate::new(place.folder(), "j");
    let pass = gate.enter(soon(), &pause).unwrap();
    fs::write(place.path().join("j.owners"), "kiosklink-owners 1 3\n").unwrap();
    fail("open:j.owners", 0, libc::EACCES);
    assert!(Owners::new(place.folder(), "j").alive(&pass, 3));
    no_faults();
    assert!(!Owners::new(place.folder(), "j").alive(&pass, 3));
}

#[test]
#[ignore = "the process of the test below"]
fn holds_a_number_until_its_input_ends() {
    let path = std::env::var_os("KIOSKLINK_TEST_PLACE").expect("started by the test below");
    let folder = std::sync::Arc::new(Folder::open(Path::new(&path), false).unwrap());
    let gate = Gate::new(folder.clone(), "j");
    let pass = gate.enter(soon(), &pause).unwrap();
    let (number, _) = Owners::new(folder, "j").take(&pass, 40).unwrap();
    drop(pass);
    println!("\nnumber {number}");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
}

// FAULTS A7: another process lives exactly as long as it lives.
#[test]
fn an_owner_in_another_process_lives_until_it_ends() {
    use std::io::BufRead;
    use std::process::{Command, Stdio};
    let place = Place::new();
    let test = "store::folder_tests::holds_a_number_until_its_input_ends";
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", test, "--nocapture"])
        .env("KIOSKLINK_TEST_PLACE", place.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = std::io::BufReader::new(other.stdout.take().unwrap()).lines();
    let number = said.map_while(Result::ok).find_map(|l| l.strip_prefix("number ")?.parse().ok());
    let number: u64 = number.expect("it has a number");
    let gate = Gate::new(place.folder(), "j");
    let pass = gate.enter(soon(), &pause).unwrap();
    let mut mine = Owners::new(place.folder(), "j");
    assert!(mine.alive(&pass, number) && mine.take(&pass, 0).unwrap().0 > number);
    assert!(mine.alive(&pass, number), "it has not lost its line");
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(!mine.alive(&pass, number));
}

#[test]
fn a_process_whose_threads_follow_each_other_lets_another_one_in() {
    let place = Place::new();
    let (a, b) = (Gate::new(place.folder(), "a"), Gate::new(place.folder(), "a"));
    let held = a.enter(soon(), &pause).unwrap();
    // B finds it held once, and does not come again before it is told to.
    let (waits, waiting) = std::sync::mpsc::channel();
    let (comes, coming) = std::sync::mpsc::channel::<()>();
    let (was_in, is_in) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|s| {
        let theirs = s.spawn(move || {
            let pass = b.enter(soon(), &|_| {
                waits.send(()).unwrap();
                coming.recv().unwrap();
                Ok(())
            });
            drop(pass.unwrap());
            was_in.send(()).unwrap();
            b
        });
        waiting.recv().unwrap();
        assert_eq!(fs::metadata(place.path().join("a.lock")).unwrap().len(), 1);
        drop(held);
        // A's next one is quicker, and sees that somebody waits; the one after it stays away, and B is inside meanwhile.
        drop(a.enter(soon(), &pause).unwrap());
        let away = std::cell::Cell::new(false);
        let pass = a.enter(soon(), &|time| {
            assert!(!time.is_zero() && !away.replace(true));
            comes.send(()).unwrap();
            is_in.recv().unwrap();
            Ok(())
        });
        drop(pass.unwrap());
        assert!(away.get() || comes.send(()).is_err(), "it did not stay away");
        let b = theirs.join().unwrap();
        // Nobody waits any more, and nobody is kept waiting.
        for gate in [&a, &b] {
            gate.enter(soon(), &|_| panic!("it waits for nobody")).unwrap();
        }
    });
}
