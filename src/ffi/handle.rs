//! Handles that cannot be misused into undefined behaviour.
//!
//! What C holds as `kl_client *` is not an address but a number: the kind of thing, a slot, and how often the slot was
//! used before. A freed handle, one of another kind and a wild value are found out by looking the number up. The slot
//! that has been free for longest is used next, and one that is used up only when nothing else is left: on 64 bits no
//! number ever comes again, on 32 bits not before all of them were given ([`NUMBERS`]). All but the kind is mixed with a
//! salt that differs from one copy of the library in a process to the next, so that the handles of another copy mean
//! nothing here.
//!
//! A forked child gets a table of its own that starts behind the parent's: a lock that another thread held at the
//! moment of the fork is never touched again, and the parent's handles are told by their slots.

use crate::error::{Error, Result};
use crate::log::log_line;
use crate::process::{self, PerProcess};
use crate::status::*;
use std::any::{Any, TypeId};
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The kinds of handles: each has its number here, from 1 in this order, and what messages call it.
macro_rules! kinds {
    ($($kind:ident $name:literal,)*) => {
        /// What C may hold a handle of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum HandleKind {
            #[allow(dead_code)] // the number that is no handle's
            None,
            $($kind,)*
            #[cfg(test)]
            Apple,
            #[cfg(test)]
            Pear,
        }
        const NAMES: &[&str] = &["handle", $($name,)* #[cfg(test)] "apple", #[cfg(test)] "pear"];
    };
}

kinds! {
    Config "config",
    Client "client",
    Response "response",
    Command "command",
    Cabinets "list of cabinets",
    Stock "list of goods",
    Orders "list of orders",
    CabinetIter "cabinet iterator",
    StockIter "stock iterator",
    OrderIter "order iterator",
    Event "event",
    Codes "list of codes",
    User "user",
    Company "company",
    Commands "list of commands",
    Visits "list of visits",
    Http "callback connection",
    Task "job",
}

const KIND_BITS: u32 = 5;
const SLOT_BITS: u32 = if usize::BITS == 64 { 20 } else { 15 };
const ROUND_BITS: u32 = usize::BITS - KIND_BITS - SLOT_BITS;
/// As many handles can be alive at a time.
const SLOTS: u32 = 1 << SLOT_BITS;
/// As many handles does one slot serve: 5 * 10^11 on 64 bits, 4096 on 32.
const ROUNDS: usize = 1 << ROUND_BITS;
/// As many handles are given before a number comes again, on 32 bits: 134,217,728. docs/conventions.md says so.
#[cfg(test)]
const NUMBERS: u64 = 1 << (usize::BITS - KIND_BITS);

const _: () = assert!(NAMES.len() <= 1 << KIND_BITS);

/// What C points to with a handle, and what is behind it.
pub(super) trait Handle: 'static {
    /// One that no other type has.
    const KIND: HandleKind;
    /// What it stands for.
    type Held: Any + Send + Sync;
}

/// What a handle is looked up as: a [`Handle`] without its type, so that the table's code is there once and not once for
/// each of them.
pub(super) struct Sort {
    kind: HandleKind,
    id: TypeId,
}

pub(super) fn sort<H: Handle>() -> Sort {
    Sort { kind: H::KIND, id: TypeId::of::<H::Held>() }
}

/// What is behind a handle, without its type.
pub(super) type Thing = dyn Any + Send + Sync;

type Anything = Arc<Thing>;

/// Why a handle is refused.
enum Misuse {
    Null,
    /// It is of another kind; of which one.
    Other(&'static str),
    Freed,
    /// No handle that this copy of the library gave out.
    Foreign,
    Forked,
}

struct Process {
    /// Its first slot; those below are of the processes further up.
    first: u32,
    used: AtomicU32,
    table: Mutex<Table>,
}

struct Table {
    first: u32,
    /// Behind its last slot.
    end: u32,
    /// As many handles does a slot serve.
    rounds: usize,
    slots: Vec<Slot>,
    free: Queue,
    /// Those that have served all their rounds.
    used_up: Queue,
}

struct Slot {
    round: usize,
    held: Option<Anything>,
    /// The one behind it in its queue.
    next: u32,
}

/// Slots that nothing is in, the one that waits longest in front. They are linked through the slots, so that freeing a
/// handle needs no memory.
struct Queue {
    front: u32,
    back: u32,
}

const NOBODY: u32 = u32::MAX;

impl Queue {
    const EMPTY: Queue = Queue { front: NOBODY, back: NOBODY };

    fn push(&mut self, slots: &mut [Slot], at: u32) {
        slots[at as usize].next = NOBODY;
        match self.back {
            NOBODY => self.front = at,
            back => slots[back as usize].next = at,
        }
        self.back = at;
    }

    fn pop(&mut self, slots: &[Slot]) -> Option<u32> {
        let at = self.front;
        self.front = slots.get(at as usize)?.next;
        if self.front == NOBODY {
            self.back = NOBODY;
        }
        Some(at)
    }
}

static PROCESS: PerProcess<Process> = PerProcess::new();

fn own() -> &'static Process {
    PROCESS.get_or(|parent| {
        let first = parent.map_or(0, |parent| parent.used.load(Ordering::Relaxed));
        let table = Mutex::new(Table::new(first, SLOTS, ROUNDS));
        Process { first, used: AtomicU32::new(first), table }
    })
}

/// The same for all handles of this copy of the library: made of where it lies, and no two copies lie at one place. Mixed,
/// because they may lie next to each other.
fn salt() -> usize {
    let lies = ptr::from_ref(&PROCESS).expose_provenance();
    lies.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as usize)
        .rotate_left(usize::BITS / 2)
        .wrapping_mul(0x85eb_ca6b)
        >> KIND_BITS
}

/// The number of a handle, as C holds it.
fn number(kind: HandleKind, slot: u32, round: usize) -> usize {
    (((round << SLOT_BITS) | slot as usize) ^ salt()) << KIND_BITS | kind as usize
}

/// The slot and the round of a number.
fn taken_apart(number: usize) -> (u32, usize) {
    let plain = (number >> KIND_BITS) ^ salt();
    (plain as u32 & (SLOTS - 1), plain >> SLOT_BITS)
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
    slot: u32,
    kind: HandleKind,
    filled: bool,
}

/// Takes what a handle needs.
pub(super) fn reserve<H: Handle>() -> Result<Room<H::Held>> {
    Ok(Room { place: place(H::KIND)?, memory: Arc::new_uninit() })
}

impl<T: Any + Send + Sync> Room<T> {
    /// The number that the handle will have.
    pub(super) fn number(&self) -> usize {
        self.place.number()
    }

    /// Makes the handle. Needs nothing more, so it cannot fail.
    pub(super) fn fill(self, value: T) -> *mut c_void {
        // SAFETY: `reserve` made the only `Arc` of this memory, and no reference to it was made since, so nobody else reads
        // or writes it; it has the size and alignment of a T, and holds one when `assume_init` says so.
        let held: Arc<T> = unsafe {
            Arc::as_ptr(&self.memory).cast_mut().cast::<T>().write(value);
            self.memory.assume_init()
        };
        self.place.fill(held)
    }
}

fn place(kind: HandleKind) -> Result<Place> {
    let process = own();
    let mut table = process.table();
    let slot = table.take();
    process.used.store(table.first + table.slots.len() as u32, Ordering::Relaxed);
    drop(table);
    let full = || {
        let full = format!("no room for a handle: {SLOTS} can be alive; are results not freed?");
        Error::new(KL_E_RESOURCE, full)
    };
    Ok(Place { process, slot: slot.ok_or_else(full)?, kind, filled: false })
}

impl Process {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn new(first: u32, end: u32, rounds: usize) -> Table {
        Table { first, end, rounds, slots: Vec::new(), free: Queue::EMPTY, used_up: Queue::EMPTY }
    }

    /// A slot for a new handle: the one that is free for longest, else a new one, else one that is used up.
    fn take(&mut self) -> Option<u32> {
        let at = match self.free.pop(&self.slots) {
            Some(at) => at,
            None if self.first + (self.slots.len() as u32) < self.end
                && self.slots.try_reserve(1).is_ok() =>
            {
                self.slots.push(Slot { round: 0, held: None, next: NOBODY });
                self.slots.len() as u32 - 1
            }
            None => {
                let at = self.used_up.pop(&self.slots)?;
                self.slots[at as usize].round = 0;
                at
            }
        };
        Some(self.first + at)
    }

    /// What is in a slot, for a handle of this kind that was given out in this round.
    fn find(
        &mut self,
        slot: u32,
        round: usize,
        kind: usize,
        sort: &Sort,
    ) -> std::result::Result<&mut Option<Anything>, Misuse> {
        let found = self.slots.get_mut((slot - self.first) as usize).filter(|slot| round <= slot.round);
        let (Some(slot), Some(name), 1..) = (found, NAMES.get(kind), kind) else {
            return Err(Misuse::Foreign);
        };
        if kind != sort.kind as usize {
            return Err(Misuse::Other(name));
        }
        match &slot.held {
            Some(held) if slot.round == round && (**held).type_id() == sort.id => Ok(&mut slot.held),
            _ => Err(Misuse::Freed),
        }
    }

    /// The slot is free again, after a round in which its handle was given out.
    fn leave(&mut self, slot: u32) {
        let at = slot - self.first;
        let left = &mut self.slots[at as usize];
        left.round += 1;
        let queue = if left.round < self.rounds { &mut self.free } else { &mut self.used_up };
        queue.push(&mut self.slots, at);
    }

    /// The same when none was.
    fn give_back(&mut self, slot: u32) {
        self.free.push(&mut self.slots, slot - self.first);
    }
}

impl Place {
    fn number(&self) -> usize {
        let table = self.process.table();
        number(self.kind, self.slot, table.slots[(self.slot - self.process.first) as usize].round)
    }

    fn fill(mut self, held: Anything) -> *mut c_void {
        let mut table = self.process.table();
        let slot = &mut table.slots[(self.slot - self.process.first) as usize];
        slot.held = Some(held);
        self.filled = true;
        ptr::without_provenance_mut(number(self.kind, self.slot, slot.round))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.filled {
            self.process.table().give_back(self.slot);
        }
    }
}

/// How many handles of this process there are that nobody has freed.
pub(super) fn alive() -> usize {
    own().table().slots.iter().filter(|slot| slot.held.is_some()).count()
}

/// Whether it is the number of a handle of this kind, freed or not. Looks nothing up.
pub(super) fn looks_like<H: Handle>(handle: *const H) -> bool {
    handle.addr() & ((1 << KIND_BITS) - 1) == H::KIND as usize
}

/// The thing behind a handle.
pub(super) fn get<H: Handle>(handle: *const H) -> Result<Arc<H::Held>> {
    // SAFETY: `get_any` found by its `TypeId` that what is behind it is an `H::Held`.
    get_any(handle.cast(), &sort::<H>()).map(|held| unsafe { typed(held) })
}

/// `Arc::downcast` without its second look, whose code would be there once for each type.
///
/// # Safety
/// What is held must be a T: its `Arc` was made as an `Arc<T>`, so that the address which is left when the vtable is
/// dropped is that of a T inside such an `Arc`.
unsafe fn typed<T: Any>(held: Anything) -> Arc<T> {
    // SAFETY: `into_raw` gives up the count that `from_raw` takes over, and the pointee is a T by this function's contract.
    unsafe { Arc::from_raw(Arc::into_raw(held).cast::<T>()) }
}

/// The same, found to be of this sort.
pub(super) fn get_any(handle: *const c_void, sort: &Sort) -> Result<Anything> {
    look_up(handle, sort, false).map_err(|why| refused(handle, sort, why))
}

/// Ends a handle and gives back what was behind it; `None` for NULL and for whatever is no such handle.
pub(super) fn take<H: Handle>(handle: *const H) -> Option<Arc<H::Held>> {
    // SAFETY: `take_any` found by its `TypeId` that what was behind it is an `H::Held`.
    take_any(handle.cast(), &sort::<H>()).map(|held| unsafe { typed(held) })
}

/// Ends a handle and what was behind it, unless a call still uses it; does nothing for NULL and for whatever is no such
/// handle.
pub(super) fn free<H: Handle>(handle: *const H) {
    drop(take_any(handle.cast(), &sort::<H>()));
}

fn take_any(handle: *const c_void, sort: &Sort) -> Option<Anything> {
    // What ends closes connections, which may be another process's.
    process::check();
    match look_up(handle, sort, true) {
        Ok(held) => Some(held),
        // Nothing is wrong with these: NULL may be freed, and so may in a child what it has of its parent.
        Err(Misuse::Null | Misuse::Forked) => None,
        Err(why) => {
            refused(handle, sort, why);
            None
        }
    }
}

/// What is behind a good handle, which ends if `for_good`.
fn look_up(handle: *const c_void, sort: &Sort, for_good: bool) -> std::result::Result<Anything, Misuse> {
    let bits = handle.addr();
    if bits == 0 {
        return Err(Misuse::Null);
    }
    let process = own();
    let (slot, round) = taken_apart(bits);
    let kind = bits & ((1 << KIND_BITS) - 1);
    if slot < process.first {
        // What was never a handle reads as any slot, but seldom as one of the few that the parent had.
        return Err(if kind == sort.kind as usize { Misuse::Forked } else { Misuse::Foreign });
    }
    let mut table = process.table();
    let held = table.find(slot, round, kind, sort)?;
    if !for_good {
        return held.clone().ok_or(Misuse::Freed);
    }
    let taken = held.take().ok_or(Misuse::Freed)?;
    table.leave(slot);
    Ok(taken)
}

/// The error of a refused handle. Each is a bug of the program, so each is a line in the log.
#[cold]
fn refused(handle: *const c_void, sort: &Sort, why: Misuse) -> Error {
    let wanted = NAMES[sort.kind as usize];
    let (status, message) = match why {
        Misuse::Null => (KL_E_NULL, format!("the {wanted} is NULL")),
        Misuse::Other(was) => (KL_E_HANDLE, format!("a {wanted} is wanted, and this is a {was}")),
        Misuse::Freed => (KL_E_HANDLE, format!("this {wanted} was freed")),
        Misuse::Foreign => (KL_E_HANDLE, format!("this is no {wanted} that this library made")),
        Misuse::Forked => {
            (KL_E_FORKED, format!("this {wanted} was made before the fork; a child makes its own"))
        }
    };
    let error = Error::new(status, message);
    told_off(handle, &error);
    error
}

/// The line.
pub(super) fn told_off(handle: *const c_void, error: &Error) {
    log_line!(Error, "handle {:#x}: {}", handle.addr(), error.message());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    struct Apple(u32);
    struct Pear;
    impl Handle for Apple {
        const KIND: HandleKind = HandleKind::Apple;
        type Held = Apple;
    }
    impl Handle for Pear {
        const KIND: HandleKind = HandleKind::Pear;
        type Held = Pear;
    }

    fn put(value: u32) -> *const Apple {
        reserve::<Apple>().unwrap().fill(Apple(value)).cast()
    }

    fn refusal<H: Handle>(handle: *const H) -> (kl_status, String) {
        let error = get(handle).err().unwrap();
        (error.status(), error.message().to_owned())
    }

    #[test]
    fn freed_foreign_and_wild_handles_are_found_out_and_named() {
        let apple = put(7);
        assert_eq!(get(apple).unwrap().0, 7);
        let pear = apple.cast::<Pear>();
        assert_eq!(refusal(pear), (KL_E_HANDLE, "a pear is wanted, and this is a apple".to_owned()));
        assert!(take(pear).is_none());
        assert!(take(apple).is_some() && take(apple).is_none());
        assert_eq!(refusal(apple), (KL_E_HANDLE, "this apple was freed".to_owned()));
        assert_eq!(refusal(ptr::null::<Apple>()), (KL_E_NULL, "the apple is NULL".to_owned()));
        let kind = Apple::KIND as usize;
        for wild in [
            1,
            kind,
            0xdead_bee0 | kind,
            usize::MAX,
            (usize::MAX & !0x1f) | kind,
            ptr::from_ref(&wild_one).addr(),
        ] {
            let wild = ptr::without_provenance::<Apple>(wild);
            assert_eq!(refusal(wild), (KL_E_HANDLE, "this is no apple that this library made".to_owned()));
        }
    }

    #[allow(non_upper_case_globals)]
    static wild_one: u64 = 0;

    #[test]
    fn what_is_reserved_and_not_used_is_there_for_the_next() {
        drop(reserve::<Apple>().unwrap());
        let apple = put(1);
        assert!(take(apple).is_some());
    }

    /// Every number of a table with these bounds, in the order in which they are given.
    fn numbers(slots: u32, rounds: usize, alive: usize, how_many: usize) -> Vec<(u32, usize)> {
        let mut table = Table::new(0, slots, rounds);
        let mut held = std::collections::VecDeque::new();
        let mut given = Vec::new();
        for _ in 0..how_many {
            if held.len() > alive {
                table.leave(held.pop_front().unwrap());
            }
            let slot = table.take().unwrap();
            given.push((slot, table.slots[slot as usize].round));
            held.push_back(slot);
        }
        given
    }

    #[test]
    fn no_number_comes_again_before_all_of_them_were_given() {
        for alive in [0, 1, 3] {
            let given = numbers(8, 16, alive, 129);
            let different: HashSet<_> = given[..128 - alive].iter().collect();
            assert_eq!(different.len(), 128 - alive, "with {alive} more alive");
            assert!(different.contains(given.last().unwrap()));
        }
        assert_eq!(NUMBERS, SLOTS as u64 * ROUNDS as u64);
        const { assert!(NUMBERS > 100_000_000) };
    }

    #[test]
    fn a_full_table_says_so_and_goes_on_when_there_is_room() {
        let mut table = Table::new(3, 5, 2);
        let (one, two) = (table.take().unwrap(), table.take().unwrap());
        assert_eq!((one, two, table.take()), (3, 4, None));
        table.give_back(two);
        assert_eq!(table.take(), Some(two));
        for _ in 0..5 {
            table.leave(one);
            assert_eq!(table.take(), Some(one));
        }
    }

    #[test]
    fn a_handle_stays_stale_for_ten_million_rounds() {
        let mut table = Table::new(0, SLOTS, ROUNDS);
        let slot = table.take().unwrap();
        let stale = number(HandleKind::Apple, slot, 0);
        assert_eq!(taken_apart(stale), (slot, 0));
        table.leave(slot);
        for _ in 0..10_000_000 {
            let slot = table.take().unwrap();
            assert_ne!(number(HandleKind::Apple, slot, table.slots[slot as usize].round), stale);
            table.leave(slot);
        }
    }
}
