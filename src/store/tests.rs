//! Faults that the tests of the store put in the way of its file operations, on their own thread.

use std::cell::RefCell;
use std::io;

thread_local! {
    static FAULTS: RefCell<Vec<(String, u32, i32)>> = const { RefCell::new(Vec::new()) };
    static GARBLED: RefCell<Option<usize>> = const { RefCell::new(None) };
}

/// The `nth` operation of this kind from now on fails with this `errno`, and only that one; with 0 all fail.
pub(super) fn fail(operation: &str, nth: u32, errno: i32) {
    FAULTS.with_borrow_mut(|f| f.push((operation.to_owned(), nth, errno)));
}

/// No more faults.
pub(super) fn no_faults() {
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
