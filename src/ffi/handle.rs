//! Handles that cannot be misused into undefined behaviour.
//!
//! What C holds as `kl_client *` is not an address but the number of a slot with the slot's generation and the kind
//! of thing in it. A freed handle, a handle of another kind and a wild value are all found out by looking them up.
//! Slots are reused as late as possible, so a stale handle meets a stranger only after a thousand rounds.
//!
//! A forked child gets a table of its own that starts behind the parent's: a lock that another thread held at the
//! moment of the fork is never touched again, and the parent's handles are told by their numbers.

use crate::error::{Error, Result};
use crate::process::{self, PerProcess};
use crate::status::*;
use std::any::{Any, TypeId};
use std::collections::VecDeque;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const KIND_BITS: u32 = 5;
const GENERATION_BITS: u32 = 10;
const GENERATIONS: u32 = 1 << GENERATION_BITS;
const SLOTS: u32 = 1 << (32 - KIND_BITS - GENERATION_BITS);

/// Something that C may hold a handle of.
pub(super) trait Held: Any + Send + Sync {
    /// Its own number from 1 to 31.
    const KIND: u32;
    /// What messages call it.
    const NAME: &'static str;
}

/// What a handle is looked up as: a [`Held`] without its type, so that the table's code is there once and not once for
/// each of them.
pub(super) struct Sort {
    kind: u32,
    name: &'static str,
    id: TypeId,
}

pub(super) fn sort<T: Held>() -> Sort {
    Sort { kind: T::KIND, name: T::NAME, id: TypeId::of::<T>() }
}

/// A [`Held`] without its type.
pub(super) type Thing = dyn Any + Send + Sync;

type Anything = Arc<Thing>;

struct Process {
    /// The number of its first slot; those below are of the processes further up.
    first: u32,
    used: AtomicU32,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    slots: Vec<Slot>,
    free: VecDeque<u32>,
}

struct Slot {
    generation: u32,
    held: Option<Anything>,
}

static PROCESS: PerProcess<Process> = PerProcess::new();

fn own() -> &'static Process {
    PROCESS.get_or(|parent| {
        let first = parent.map_or(0, |parent| parent.used.load(Ordering::Relaxed));
        Process { first, used: AtomicU32::new(first), table: Mutex::default() }
    })
}

/// What a handle needs, taken before it is known what it will hold: a place in the table, and memory. Dropped, it is
/// free again.
pub(super) struct Room<T> {
    place: Place,
    memory: Arc<MaybeUninit<T>>,
}

/// A slot that nothing is in yet.
struct Place {
    process: &'static Process,
    number: u32,
    kind: u32,
    filled: bool,
}

/// Takes what a handle needs.
pub(super) fn reserve<T: Held>() -> Result<Room<T>> {
    Ok(Room { place: place(T::KIND)?, memory: Arc::new_uninit() })
}

impl<T: Held> Room<T> {
    /// Makes the handle. Needs nothing more, so it cannot fail.
    pub(super) fn fill(self, value: T) -> *mut c_void {
        // SAFETY: `reserve` made the only `Arc` of this memory, and no reference to it was made since; written, it is a T.
        let held: Arc<T> = unsafe {
            Arc::as_ptr(&self.memory).cast_mut().cast::<T>().write(value);
            self.memory.assume_init()
        };
        self.place.fill(held)
    }
}

fn place(kind: u32) -> Result<Place> {
    let process = own();
    let mut table = process.table.lock().unwrap_or_else(PoisonError::into_inner);
    let fresh = process.first + table.slots.len() as u32;
    // A freed slot rests until a fair number of others were freed after it.
    let number = if table.free.len() > 64 || fresh >= SLOTS { table.free.pop_front() } else { None };
    let number = match number {
        Some(number) => number,
        None if fresh >= SLOTS => {
            return Err(Error::new(
                KL_E_RESOURCE,
                format!("more than {SLOTS} handles; are results not freed?"),
            ));
        }
        None => {
            table.slots.push(Slot { generation: 1, held: None });
            process.used.store(fresh + 1, Ordering::Relaxed);
            fresh
        }
    };
    Ok(Place { process, number, kind, filled: false })
}

impl Place {
    fn fill(mut self, held: Anything) -> *mut c_void {
        let mut table = self.process.table.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = &mut table.slots[(self.number - self.process.first) as usize];
        slot.held = Some(held);
        self.filled = true;
        let bits = (((self.number << GENERATION_BITS) | slot.generation) << KIND_BITS) | self.kind;
        bits as usize as *mut c_void
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.filled {
            let mut table = self.process.table.lock().unwrap_or_else(PoisonError::into_inner);
            // No handle of it was given out: it may be the next one.
            table.free.push_front(self.number);
        }
    }
}

/// The thing behind a handle.
pub(super) fn get<T: Held>(handle: *const c_void) -> Result<Arc<T>> {
    // SAFETY: of this sort.
    get_any(handle, &sort::<T>()).map(|held| unsafe { typed(held) })
}

/// `Arc::downcast` without its second look, whose code would be there once for each type.
///
/// # Safety
/// `held` holds a T.
unsafe fn typed<T: Held>(held: Anything) -> Arc<T> {
    // SAFETY: the pointer comes from an `Arc` of this very type.
    unsafe { Arc::from_raw(Arc::into_raw(held).cast::<T>()) }
}

/// The same, found to be of this sort.
pub(super) fn get_any(handle: *const c_void, sort: &Sort) -> Result<Anything> {
    let (process, number, generation) = locate(handle, sort)?;
    let table = process.table.lock().unwrap_or_else(PoisonError::into_inner);
    table
        .slots
        .get((number - process.first) as usize)
        .filter(|slot| slot.generation == generation)
        .and_then(|slot| slot.held.clone())
        .filter(|held| (**held).type_id() == sort.id)
        .ok_or_else(|| wrong(sort.name))
}

/// Ends a handle and gives back what was behind it; `None` for NULL and for whatever is no such handle.
pub(super) fn take<T: Held>(handle: *const c_void) -> Option<Arc<T>> {
    // SAFETY: of this sort.
    take_any(handle, &sort::<T>()).map(|held| unsafe { typed(held) })
}

/// Ends a handle and what was behind it, unless a call still uses it; does nothing for NULL and for whatever is no such
/// handle.
pub(super) fn free<T: Held>(handle: *const c_void) {
    drop(take_any(handle, &sort::<T>()));
}

fn take_any(handle: *const c_void, sort: &Sort) -> Option<Anything> {
    // What ends closes connections, which may be another process's.
    process::check();
    let (process, number, generation) = locate(handle, sort).ok()?;
    let mut table = process.table.lock().unwrap_or_else(PoisonError::into_inner);
    let slot = table.slots.get_mut((number - process.first) as usize)?;
    if slot.generation != generation || slot.held.as_ref().is_none_or(|held| (**held).type_id() != sort.id) {
        return None;
    }
    slot.generation = slot.generation % (GENERATIONS - 1) + 1;
    let held = slot.held.take();
    table.free.push_back(number);
    drop(table);
    held
}

fn locate(handle: *const c_void, sort: &Sort) -> Result<(&'static Process, u32, u32)> {
    if handle.is_null() {
        return Err(Error::new(KL_E_NULL, format!("the {} is NULL", sort.name)));
    }
    let bits = u32::try_from(handle as usize).map_err(|_| wrong(sort.name))?;
    if bits & ((1 << KIND_BITS) - 1) != sort.kind {
        return Err(wrong(sort.name));
    }
    let process = own();
    let number = bits >> (KIND_BITS + GENERATION_BITS);
    if number < process.first {
        return Err(Error::new(
            KL_E_FORKED,
            format!("this {} was made before the fork; a child makes its own", sort.name),
        ));
    }
    Ok((process, number, (bits >> KIND_BITS) & (GENERATIONS - 1)))
}

#[cold]
fn wrong(name: &str) -> Error {
    Error::new(KL_E_HANDLE, format!("this is no {name}, or it was freed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put<T: Held>(value: T) -> Result<*mut c_void> {
        Ok(reserve::<T>()?.fill(value))
    }

    struct Apple(u32);
    struct Pear;
    impl Held for Apple {
        const KIND: u32 = 30;
        const NAME: &'static str = "apple";
    }
    impl Held for Pear {
        const KIND: u32 = 31;
        const NAME: &'static str = "pear";
    }

    #[test]
    fn freed_foreign_and_wild_handles_are_found_out() {
        let apple = put(Apple(7)).unwrap();
        assert_eq!(get::<Apple>(apple).unwrap().0, 7);
        let status = |h| get::<Apple>(h).err().unwrap().status();
        assert_eq!(get::<Pear>(apple).err().unwrap().status(), KL_E_HANDLE);
        assert!(take::<Pear>(apple).is_none());
        assert!(take::<Apple>(apple).is_some() && take::<Apple>(apple).is_none());
        assert_eq!(status(apple), KL_E_HANDLE);
        assert_eq!(status(std::ptr::null()), KL_E_NULL);
        for wild in [1usize, 0x1e, 0xdead_beef, usize::MAX, (usize::MAX & !0x1f) | 0x1e] {
            assert_eq!(status(wild as *const c_void), KL_E_HANDLE);
        }
    }

    #[test]
    fn a_slot_that_is_used_again_does_not_answer_to_its_old_handle() {
        let mut old = Vec::new();
        for n in 0..500 {
            let h = put(Apple(n)).unwrap();
            assert!(take::<Apple>(h).is_some());
            old.push(h);
        }
        let fresh = put(Apple(0)).unwrap();
        assert!(old.iter().all(|h| *h != fresh && get::<Apple>(*h).is_err()));
        assert!(take::<Apple>(fresh).is_some());
    }
}
