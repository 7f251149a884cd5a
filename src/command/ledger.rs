//! Records that the program keeps, in place of a folder: a server with a database brings a [`Ledger`].
//!
//! The rules, the records and the order in which they are made durable are those of the journal; here is only what is asked of
//! whoever keeps them. In builds without the feature `ledger` there is none, and nothing of it is compiled.

use super::rules::Limits;
use crate::error::Result;
#[cfg(feature = "ledger")]
use std::sync::Arc;

/// The records of one account, kept by the program.
///
/// All calls but `sync` come one at a time, and `read` before all others. Records have numbers that grow.
pub trait Ledger: Send + Sync {
    /// A secret of this account, the same for ever and unlike any other's: the numbers that are sent to the platform are made
    /// with it.
    fn secret(&self) -> [u8; 32];

    /// Finds the records after this number, in their order, and gives the highest number that a record ever had, also one
    /// that is not kept any more. Asked before every decision; where nobody else writes, there is something once.
    fn read(&self, after: u64, found: &mut dyn FnMut(&str)) -> Result<u64>;

    /// Takes a record. It is durable when a later [`Ledger::sync`] says so. An error while [`Ledger::has_lost`].
    fn append(&self, n: u64, record: &str) -> Result<()>;

    /// Whether records that were taken were lost on their way. Nothing is built upon a hole: all that is known is put in place
    /// of what is kept, by [`Ledger::replace`], before anything else.
    fn has_lost(&self) -> bool;

    /// Returns when all that was taken before is durable; an error if any of it is not.
    fn sync(&self) -> Result<()>;

    /// Whether something was taken that is not durable yet.
    fn unsynced(&self) -> bool;

    /// Puts these records in place of all that are kept, in one piece.
    fn replace(&self, records: Vec<(u64, String)>) -> Result<()>;

    /// Whether there are so many records that what is not promised any more should be left out.
    fn has_grown(&self) -> bool;

    /// The number of this process among all that ever wrote here; not 0.
    fn owner(&self) -> u64;

    /// Whether the process of another number may still send. One that cannot be asked lives.
    fn alive(&self, owner: u64) -> bool;

    /// How much is kept of commands that are settled.
    fn limits(&self) -> Limits;

    /// So many commands may be unsettled at a time.
    fn unsettled_max(&self) -> usize;
}

/// A ledger in hand.
pub(super) type Keeper = Held;

#[cfg(feature = "ledger")]
type Held = Arc<dyn Ledger>;
#[cfg(not(feature = "ledger"))]
type Held = Nobody;

/// Nobody has one of these, so what is done with it is not compiled.
#[cfg(not(feature = "ledger"))]
#[derive(Clone)]
pub(super) enum Nobody {}

#[cfg(not(feature = "ledger"))]
impl Ledger for Nobody {
    fn secret(&self) -> [u8; 32] {
        match *self {}
    }

    fn read(&self, _after: u64, _found: &mut dyn FnMut(&str)) -> Result<u64> {
        match *self {}
    }

    fn append(&self, _n: u64, _record: &str) -> Result<()> {
        match *self {}
    }

    fn has_lost(&self) -> bool {
        match *self {}
    }

    fn sync(&self) -> Result<()> {
        match *self {}
    }

    fn unsynced(&self) -> bool {
        match *self {}
    }

    fn replace(&self, _records: Vec<(u64, String)>) -> Result<()> {
        match *self {}
    }

    fn has_grown(&self) -> bool {
        match *self {}
    }

    fn owner(&self) -> u64 {
        match *self {}
    }

    fn alive(&self, _owner: u64) -> bool {
        match *self {}
    }

    fn limits(&self) -> Limits {
        match *self {}
    }

    fn unsettled_max(&self) -> usize {
        match *self {}
    }
}
