//! Faults that the tests of the store put in the way of its file operations, on their own thread.

use super::file::Folder;
use crate::error::Result;
use crate::time::Deadline;
use std::cell::RefCell;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A folder for one test, gone with it.
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn new() -> Place {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("kiosklink-store-{}-{n}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        Place(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn folder(&self) -> Arc<Folder> {
        Arc::new(Folder::open(&self.0, false).unwrap())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        no_faults();
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(120))
}

pub(super) fn pause(time: Duration) -> Result<()> {
    std::thread::sleep(time);
    Ok(())
}

thread_local! {
    static FAULTS: RefCell<Vec<(String, u32, i32)>> = const { RefCell::new(Vec::new()) };
    static GARBLED: RefCell<Option<usize>> = const { RefCell::new(None) };
    static DONE: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static MEANWHILE: RefCell<Option<Meanwhile>> = const { RefCell::new(None) };
}

/// What happens elsewhere while an operation is under way.
type Meanwhile = (String, Box<dyn FnOnce()>);

/// The operations of this thread since the last time, as `operation:name`.
pub(crate) fn operations() -> Vec<String> {
    DONE.take()
}

/// Does something just before the next operation of this kind.
pub(crate) fn meanwhile(operation: &str, act: impl FnOnce() + 'static) {
    MEANWHILE.set(Some((operation.to_owned(), Box::new(act))));
}

/// The `nth` operation of this kind from now on fails with this `errno`, and only that one; with 0 all fail.
pub(crate) fn fail(operation: &str, nth: u32, errno: i32) {
    FAULTS.with_borrow_mut(|f| f.push((operation.to_owned(), nth, errno)));
}

/// No more faults.
pub(crate) fn no_faults() {
    FAULTS.with_borrow_mut(Vec::clear);
    GARBLED.set(None);
}

/// The next read of a journal gives one wrong byte.
pub(super) fn read_wrong_once(at: usize) {
    GARBLED.set(Some(at));
}

/// Called before an operation. `step:what` is matched whole.
pub(super) fn fault(operation: &str, name: &str) -> io::Result<()> {
    let whole = [operation, ":", name].concat();
    DONE.with_borrow_mut(|all| all.push(whole.clone()));
    let due = MEANWHILE.with_borrow(|m| m.as_ref().is_some_and(|(wanted, _)| wanted == operation));
    if let Some((_, act)) = due.then(|| MEANWHILE.take()).flatten() {
        act();
    }
    FAULTS.with_borrow_mut(|faults| {
        for i in 0..faults.len() {
            let (wanted, left, errno) = &mut faults[i];
            if *wanted != operation && *wanted != whole {
                continue;
            }
            let errno = *errno;
            match *left {
                0 => return Err(io::Error::from_raw_os_error(errno)),
                1 => {
                    faults.remove(i);
                    return Err(io::Error::from_raw_os_error(errno));
                }
                _ => *left -= 1,
            }
        }
        Ok(())
    })
}

pub(super) fn garble(_name: &str, bytes: &mut [u8]) {
    if let Some(at) = GARBLED.take() {
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1;
        }
    }
}
