//! Visits: the commands of one customer, kept together across restarts until they are closed.

use super::client::kl_client;
use super::command::kl_command_info;
use super::error::{KL_DONE, KL_UNKNOWN, kl_error};
use super::handle::{Handle, HandleKind};
use super::read::{Kept, List, Show};
use super::{end, give, text, with_client};
use crate::command::Visit;
use crate::status::*;
use std::ffi::c_char;

/// A customer's visit: the commands that bear its `visit_id`. Lives as long as its list; texts are never NULL.
#[repr(C)]
pub struct kl_visit {
    /// Your name for it.
    pub visit_id: *const c_char,
    /// Its commands that are remembered, the oldest first.
    pub commands: *const *const kl_command_info,
    /// How many; at least one.
    pub command_count: usize,
    /// When the first of them was begun, Unix seconds by the device's clock; for people.
    pub started_at: i64,
    /// How long ago that was, in milliseconds, as `age_ms` of the command.
    pub age_ms: u64,
    /// How many of them are `KL_DONE`.
    pub done_count: u32,
    /// How many are `KL_UNKNOWN`: unknown, under way, or waiting to be sent.
    pub unknown_count: u32,
}

/// A list of visits. Opaque.
pub struct kl_visits {
    _private: [u8; 0],
}

impl Handle for kl_visits {
    const KIND: HandleKind = HandleKind::Visits;
    type Held = List<kl_visit>;
}

impl Show for Visit {
    type Shown = kl_visit;
    fn show(&self, kept: &mut Kept) -> kl_visit {
        let count = |outcome| self.commands.iter().filter(|c| c.outcome as i32 == outcome).count() as u32;
        let first = self.commands.first();
        kl_visit {
            visit_id: kept.text(&self.visit_id),
            commands: kept.commands(&self.commands),
            command_count: self.commands.len(),
            started_at: first.map_or(0, |c| c.started_at),
            age_ms: first.map_or(0, |c| c.age_ms),
            done_count: count(KL_DONE),
            unknown_count: count(KL_UNKNOWN),
        }
    }
}

/// The visits that are open, the oldest first, each with its commands and what became of them: after a start, what the power
/// or a crash interrupted, also where every command is settled. A code that was redeemed and whose goods never came stands
/// here until `kl_visit_close`. A visit begins with the first command that bears its `visit_id`. Open visits never keep a
/// command from being sent; of those that nobody closes the newest 256 are kept (`docs/journal.md`). Sends nothing. End the
/// result with `kl_visits_free`.
///
/// Codes: *journal*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_visit_list(
    client: *mut kl_client,
    out: *mut *mut kl_visits,
    err: *mut kl_error,
) -> kl_status {
    give(client, out, err, |client| Ok(List::these(&client.visits()?)))
}

/// Ends a visit: it is not listed any more. Its commands stay as they are; one that is unknown stays in
/// `kl_command_pending`. Closing it again, or one that has no commands, is no error. Another command with its `visit_id`
/// opens it again. It is on the disk when this returns `KL_OK`. Sends nothing.
///
/// Codes: *journal*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_visit_close(
    client: *mut kl_client,
    visit_id: *const c_char,
    err: *mut kl_error,
) -> kl_status {
    with_client(client, err, |client| {
        // SAFETY: the caller's texts are NULL or terminated, and there for the time of the call.
        client.visit_close(unsafe { text::need("visit_id", visit_id)? })
    })
}

/// How many visits the list holds; 0 if the handle is not a list.
#[unsafe(no_mangle)]
pub extern "C" fn kl_visits_count(list: *const kl_visits) -> usize {
    List::count(list)
}

/// A visit of the list; NULL if `index` is not below the count. Borrowed from the list.
#[unsafe(no_mangle)]
pub extern "C" fn kl_visits_at(list: *const kl_visits, index: usize) -> *const kl_visit {
    List::at(list, index)
}

/// Frees a list. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_visits_free(list: *mut kl_visits) {
    end(list);
}
