//! Commands: acts that cannot be undone, each sent at most once for its `request_id`.

use super::client::kl_client;
use super::error::{KL_OUTCOME_DONE, KL_OUTCOME_NOT_DONE, kl_error, mark_done};
use super::handle::{self, Held};
use super::read::{Kept, List, Show};
use super::{guard, text, with_client, with_client_write};
use crate::command::{Act, Command, SettledBy};
use crate::error::{Error, Outcome, Result};
use crate::model::{CodeKind, DoorRequest, RedeemRequest};
use crate::status::*;
use std::ffi::c_char;

/// A command that the platform took. Opaque.
pub struct kl_command {
    _private: [u8; 0],
}

/// What is known of a command. Lives as long as its `kl_command`; texts are never NULL.
#[repr(C)]
pub struct kl_command_info {
    /// Your name for it.
    pub request_id: *const c_char,
    /// The platform's order that it made or belongs to.
    pub order_no: *const c_char,
    /// The item of that order that can be dispensed, where the platform numbers them (Dingshang: `record_id`).
    pub item_no: *const c_char,
    /// The number by which a delivery can be asked for (Dingshang: `delivery_id`).
    pub delivery_no: *const c_char,
    /// Where the payment of that order must be reported (`kl_payment_report`); empty if the platform gave none.
    pub notify_url: *const c_char,
    /// The platform's `data` as JSON.
    pub json: *const c_char,
    /// 1 if this was answered from memory and nothing was sent this time.
    pub recorded: i32,
    /// What it does: `KL_COMMAND_*`.
    pub kind: i32,
    /// What became of it: `KL_OUTCOME_DONE`, `KL_OUTCOME_NOT_DONE` or `KL_OUTCOME_UNKNOWN`.
    pub outcome: i32,
    /// What the machine did, another question: `KL_PHYSICAL_*`.
    pub physical: i32,
    /// Who told what became of it: `KL_BY_*`.
    pub settled_by: i32,
    /// Why it is not done: `KL_E_IN_FLIGHT` while it is under way, else how its call ended; `KL_OK` for done.
    pub status: kl_status,
    /// Its place in the order of all commands of the account; grows whatever the clock does.
    pub sequence: u64,
    /// When it was begun, Unix seconds by the client's clock; for people.
    pub started_at: i64,
    /// The cabinet.
    pub cabinet_id: *const c_char,
    /// The door, or the lane.
    pub door: *const c_char,
    /// Why the machine did not do it, in the platform's words.
    pub physical_error: *const c_char,
    /// `status` as a sentence, or the note of whoever settled it.
    pub message: *const c_char,
}

/// The command opens a door or pushes goods out.
pub const KL_COMMAND_DOOR: i32 = 1;
/// The command uses up a pickup code.
pub const KL_COMMAND_REDEEM: i32 = 2;
/// The command is another write that was given a `request_id`.
pub const KL_COMMAND_WRITE: i32 = 3;

/// Nothing moves by this command.
pub const KL_PHYSICAL_NONE: i32 = 0;
/// It is not known yet what the machine did.
pub const KL_PHYSICAL_PENDING: i32 = 1;
/// The door opened, or the goods came out.
pub const KL_PHYSICAL_CONFIRMED: i32 = 2;
/// The machine reports that it did not.
pub const KL_PHYSICAL_FAILED: i32 = 3;
/// The platform does not know what the machine did.
pub const KL_PHYSICAL_UNKNOWABLE: i32 = 4;

/// Nobody has told yet what became of the command.
pub const KL_BY_NOBODY: i32 = 0;
/// The platform told, in its answer; or the call itself, when it could not be sent.
pub const KL_BY_ANSWER: i32 = 1;
/// The platform told, asked later.
pub const KL_BY_QUERY: i32 = 2;
/// The platform told, by a callback.
pub const KL_BY_EVENT: i32 = 3;
/// A sensor at the machine told.
pub const KL_BY_SENSOR: i32 = 4;
/// A person told.
pub const KL_BY_PERSON: i32 = 5;
/// The journal told: the process ended before it had sent anything.
pub const KL_BY_JOURNAL: i32 = 6;

/// A list of commands. Opaque.
pub struct kl_commands {
    _private: [u8; 0],
}

impl Held for List<kl_command_info> {
    const KIND: u32 = 15;
    const NAME: &'static str = "list of commands";
}

struct HeldCommand {
    info: kl_command_info,
    _texts: Kept,
}

// SAFETY: the pointers lead into the texts beside them, which are never changed again.
unsafe impl Send for HeldCommand {}
// SAFETY: as above.
unsafe impl Sync for HeldCommand {}

impl Held for HeldCommand {
    const KIND: u32 = 4;
    const NAME: &'static str = "command";
}

impl Show for Command {
    type Shown = kl_command_info;
    fn show(&self, kept: &mut Kept) -> kl_command_info {
        let (cabinet_id, door) = match &self.act {
            Act::Door(r) => (r.cabinet_id.as_str(), r.door.as_str()),
            Act::Redeem(r) => (r.cabinet_id.as_str(), ""),
            Act::Write { .. } => ("", ""),
        };
        kl_command_info {
            request_id: kept.text(&self.request_id),
            order_no: kept.text(&self.receipt.order_no),
            item_no: kept.text(&self.receipt.item_no),
            delivery_no: kept.text(&self.receipt.delivery_no),
            notify_url: kept.text(&self.receipt.notify_url),
            json: kept.text(&self.receipt.json),
            recorded: self.recorded.into(),
            kind: self.kind as i32,
            outcome: self.outcome as i32,
            physical: self.physical as i32,
            settled_by: self.settled_by as i32,
            status: self.status,
            sequence: self.sequence,
            started_at: self.started_at,
            cabinet_id: kept.text(cabinet_id),
            door: kept.text(door),
            physical_error: kept.text(&self.physical_error),
            message: kept.text(&self.message),
        }
    }
}

/// A door to be opened: `kl_door_request r = KL_DOOR_REQUEST_INIT;`. Texts may be NULL but for the first two.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_door_request {
    /// `sizeof` this struct.
    pub struct_size: u32,
    /// Not to be sent later than this after the call, in milliseconds; 0 for the setting `command_ttl_ms`.
    pub ttl_ms: u32,
    /// Your name for this customer's action, 1 to 128 bytes. Make it before the first try and keep it: under the same
    /// name the door opens at most once.
    pub request_id: *const c_char,
    /// The cabinet.
    pub cabinet_id: *const c_char,
    /// Which door, where the platform knows doors (Dingshang: a lane by its name, `A21`; a test that belongs to no order).
    pub door: *const c_char,
    /// The customer, where the platform wants to know (Yopoint: sent as `OpenID`, inferred).
    pub user_id: *const c_char,
    /// Your own order or trade number, where the platform keeps one (Yopoint: sent as `TradeNo`, inferred). Dingshang: the
    /// platform's number of the order, with `item_no`.
    pub order_no: *const c_char,
    /// The item of the order, where the platform dispenses by it (Dingshang: `record_id`; not Yopoint).
    pub item_no: *const c_char,
    /// Where the platform shall report, where it can be told (Dingshang: needed with a lane; an order has its own already.
    /// Not Yopoint).
    pub notify_url: *const c_char,
    /// More parameters for the platform, a JSON object.
    pub extra_json: *const c_char,
}

unsafe fn give(command: &Command, out: *mut *mut kl_command) -> Result<()> {
    let mut texts = Kept::default();
    let info = command.show(&mut texts);
    // The command is what it is even if there is no room to say so.
    let handle = handle::put(HeldCommand { info, _texts: texts })
        .map_err(|e| e.with(|d| d.outcome = command.outcome))?;
    // SAFETY: passed on from the caller.
    unsafe { out.write(handle.cast()) };
    Ok(())
}

/// Opens a door (Yopoint: `cabinet.open.door`). `KL_OK` means *done*: the platform took the command; that the bolt
/// moved is told later, by `KL_EVENT_DOOR_CLOSED` or the order, and `kl_command_wait` waits for it. Otherwise `outcome` in
/// the error says whether it is *not done* (safe to try again) or *unknown* (it may have opened).
///
/// The same `request_id` again never opens twice: after *done* it gives the recorded answer; after *unknown* it asks the
/// platform what became of it, and only if that proves that nothing happened is it sent, else the answer is
/// `KL_E_UNSETTLED`. With `state_dir` that holds across restarts and power cuts, for every unsettled command and at least
/// the newest 400 settled ones: the intent is on the disk before the first byte leaves (`KL_E_JOURNAL…` and nothing sent if
/// it cannot be), and all processes that share the folder share it. While a command at a door is unknown, others there are
/// `KL_E_BLOCKED`.
///
/// Sent at most once, over a fresh connection or one proven alive, never later than `ttl_ms`.
///
/// Dingshang: dispenses the item `item_no` of the order `order_no` (`POST /deliveries`), or, as a test, what the lane
/// `door` holds (`POST /deliveries/debug`); what came of it is in the order after 120 s at the latest, and comes as
/// `KL_EVENT_DELIVERY`.
///
/// End the result with `kl_command_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_door_open(
    client: *mut kl_client,
    request: *const kl_door_request,
    out: *mut *mut kl_command,
    err: *mut kl_error,
) -> kl_status {
    // SAFETY: conventions, rule 3: NULL or writable.
    unsafe { text::reset(out) };
    let status = with_client_write(client, err, |client| {
        // SAFETY: conventions, rules 2 and 6.
        let request = unsafe {
            text::clear("out", out)?;
            let r = text::request("request", request)?;
            DoorRequest {
                request_id: text::need("request_id", r.request_id)?.to_owned(),
                cabinet_id: text::need("cabinet_id", r.cabinet_id)?.to_owned(),
                door: text::owned("door", r.door)?,
                user_id: text::owned("user_id", r.user_id)?,
                order_no: text::owned("order_no", r.order_no)?,
                item_no: text::owned("item_no", r.item_no)?,
                notify_url: text::owned("notify_url", r.notify_url)?,
                ttl_ms: r.ttl_ms,
                extra_json: text::optional("extra_json", r.extra_json)?.map(str::to_owned),
                ..DoorRequest::default()
            }
        };
        // SAFETY: `clear` found it not NULL.
        unsafe { give(&client.door_open(&request)?, out) }
    });
    if status == KL_OK {
        mark_done(err);
    }
    status
}

/// The platform's usual kind of code (Dingshang: a pickup code; Youzan: a self-fetch code).
pub const KL_CODE_PICKUP: i32 = 0;
/// Youzan: a code for virtual goods.
pub const KL_CODE_VIRTUAL: i32 = 1;
/// Youzan: an e-voucher.
pub const KL_CODE_VOUCHER: i32 = 2;

/// A code to be redeemed: `kl_redeem_request r = KL_REDEEM_REQUEST_INIT;`. Texts may be NULL but for the first two.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_redeem_request {
    /// `sizeof` this struct.
    pub struct_size: u32,
    /// Not to be sent later than this after the call, in milliseconds; 0 for the setting `command_ttl_ms`.
    pub ttl_ms: u32,
    /// Your name for this customer's action, 1 to 128 bytes; under the same name a code is redeemed at most once.
    pub request_id: *const c_char,
    /// The code that the customer typed.
    pub code: *const c_char,
    /// The cabinet, where the platform asks for it (Dingshang).
    pub cabinet_id: *const c_char,
    /// The goods of the code, where the platform asks for them (Dingshang).
    pub product_id: *const c_char,
    /// Your own order number, where the platform keeps one (Dingshang: `trade_id`, 20 to 32 characters); NULL to have one
    /// made from `request_id`.
    pub trade_no: *const c_char,
    /// Where the platform shall report the delivery (Dingshang, which wants one).
    pub notify_url: *const c_char,
    /// Who redeems, for the platform's books (Youzan: `extra_info`).
    pub redeemer: *const c_char,
    /// More parameters for the platform, a JSON object.
    pub extra_json: *const c_char,
    /// What the code is for: `KL_CODE_*`.
    pub kind: i32,
}

pub(super) fn code_kind(kind: i32) -> Result<CodeKind> {
    match kind {
        KL_CODE_PICKUP => Ok(CodeKind::Pickup),
        KL_CODE_VIRTUAL => Ok(CodeKind::Virtual),
        KL_CODE_VOUCHER => Ok(CodeKind::Voucher),
        _ => Err(Error::new(KL_E_ARGUMENT, "kind must be one of KL_CODE_*")),
    }
}

/// Redeems a pickup code (Dingshang: `POST /consumes`; Youzan: `trade.selffetchcode.apply` and its like). `KL_OK` means
/// *done*: the code is used, and the goods may be released. Otherwise `outcome` says *not done* or *unknown*, as for
/// `kl_door_open`; a code that was used before, by somebody else, is `KL_E_CODE_USED` and *not done*.
///
/// Sent at most once for a `request_id`, but on Dingshang, where sending the same redemption again is the way to ask what
/// became of it: the refusal of a used code names its order, and if that order bears this request's number the answer is
/// *done*. On Youzan `kl_code_lookup` tells what became of an *unknown* one: a used code was redeemed.
///
/// Dingshang moves nothing yet: dispense `item_no` of `order_no` with `kl_door_open`, under a `request_id` of its own.
///
/// End the result with `kl_command_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_code_redeem(
    client: *mut kl_client,
    request: *const kl_redeem_request,
    out: *mut *mut kl_command,
    err: *mut kl_error,
) -> kl_status {
    // SAFETY: conventions, rule 3: NULL or writable.
    unsafe { text::reset(out) };
    let status = with_client_write(client, err, |client| {
        // SAFETY: conventions, rules 2 and 6.
        unsafe {
            text::clear("out", out)?;
            let r = text::request("request", request)?;
            let redeem = RedeemRequest {
                request_id: text::need("request_id", r.request_id)?.to_owned(),
                kind: code_kind(r.kind)?,
                code: text::need("code", r.code)?.to_owned(),
                cabinet_id: text::owned("cabinet_id", r.cabinet_id)?,
                product_id: text::owned("product_id", r.product_id)?,
                trade_no: text::owned("trade_no", r.trade_no)?,
                notify_url: text::owned("notify_url", r.notify_url)?,
                redeemer: text::owned("redeemer", r.redeemer)?,
                ttl_ms: r.ttl_ms,
                extra_json: text::optional("extra_json", r.extra_json)?.map(str::to_owned),
                ..RedeemRequest::default()
            };
            give(&client.code_redeem(&redeem)?, out)
        }
    });
    if status == KL_OK {
        mark_done(err);
    }
    status
}

/// What is recorded of a command, whatever became of it: read `outcome`, `physical` and `status` of the result. Sends
/// nothing. `KL_E_NOT_FOUND` if there is none of this name. End the result with `kl_command_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_command_get(
    client: *mut kl_client,
    request_id: *const c_char,
    out: *mut *mut kl_command,
    err: *mut kl_error,
) -> kl_status {
    // SAFETY: conventions, rule 3: NULL or writable.
    unsafe { text::reset(out) };
    with_client(client, err, |client| {
        // SAFETY: conventions, rule 2.
        unsafe {
            text::clear("out", out)?;
            give(&client.command_get(text::need("request_id", request_id)?)?, out)
        }
    })
}

/// Waits until it is known what the machine did, for at most `timeout_ms`; 0 asks once. `KL_OK`: the door opened, or the
/// goods came out. Otherwise `outcome` is what became of the command itself, and the status says:
///
/// - `KL_E_NOT_MOVED`: the platform took the command but the machine did not do it; `platform_message` says why.
/// - `KL_E_PENDING`: the time was up.
/// - `KL_E_UNKNOWABLE`: the platform does not know, or nothing moves.
/// - `KL_E_UNSETTLED`: it is not known whether the command was taken at all.
///
/// Fed by callbacks (`kl_event_parse` on any thread) and by questions at growing intervals: Yopoint by
/// `notify.close.door` and `cabinet.order.get`, Dingshang by `POST /orders/{id}` and `POST /deliveries/{id}`, up to 120 s
/// after the command. End the result with `kl_command_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_command_wait(
    client: *mut kl_client,
    request_id: *const c_char,
    timeout_ms: u32,
    out: *mut *mut kl_command,
    err: *mut kl_error,
) -> kl_status {
    // SAFETY: conventions, rule 3: NULL or writable.
    unsafe { text::reset(out) };
    let status = with_client(client, err, |client| {
        // SAFETY: conventions, rule 2.
        unsafe {
            text::clear("out", out)?;
            give(&client.command_wait(text::need("request_id", request_id)?, timeout_ms)?, out)
        }
    });
    if status == KL_OK {
        mark_done(err);
    }
    status
}

/// Finds out what became of a command without ever doing it again: from the record, or by asking the platform in the way
/// that `docs/journal.md` lists. `KL_OK` means *done*; otherwise `outcome` says *not done* (the same `request_id` may be
/// tried again) or *unknown*. After a restart call it for each that `kl_command_pending` lists. When the advice is
/// `KL_ADVICE_CALL_PERSON`, asking again will not help: a sensor or a person decides (`kl_command_settle`). End the result
/// with `kl_command_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_command_resolve(
    client: *mut kl_client,
    request_id: *const c_char,
    out: *mut *mut kl_command,
    err: *mut kl_error,
) -> kl_status {
    // SAFETY: conventions, rule 3: NULL or writable.
    unsafe { text::reset(out) };
    let status = with_client(client, err, |client| {
        // SAFETY: conventions, rule 2.
        unsafe {
            text::clear("out", out)?;
            give(&client.command_resolve(text::need("request_id", request_id)?)?, out)
        }
    });
    if status == KL_OK {
        mark_done(err);
    }
    status
}

/// Decides an unknown command by what was seen at the machine: `outcome` is `KL_OUTCOME_DONE` or `KL_OUTCOME_NOT_DONE`, `by` is
/// `KL_BY_SENSOR` or `KL_BY_PERSON`, `note` may be NULL and is kept. Frees the door for new commands. Sends nothing. Telling
/// the same twice is well; a command that is settled the other way stays so (`KL_E_REQUEST_ID`). Ask the sensor late enough: a
/// request may still be on its way to the machine when its caller has given up or is gone, so look a minute after the command
/// was begun before you settle it as not done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_command_settle(
    client: *mut kl_client,
    request_id: *const c_char,
    outcome: i32,
    by: i32,
    note: *const c_char,
    err: *mut kl_error,
) -> kl_status {
    with_client(client, err, |client| {
        // SAFETY: conventions, rule 2.
        let (request_id, note) =
            unsafe { (text::need("request_id", request_id)?, text::optional("note", note)?) };
        let outcome = match outcome {
            KL_OUTCOME_DONE => Outcome::Done,
            KL_OUTCOME_NOT_DONE => Outcome::NotDone,
            _ => Outcome::None,
        };
        let by = match by {
            KL_BY_SENSOR => SettledBy::Sensor,
            KL_BY_PERSON => SettledBy::Person,
            _ => SettledBy::Nobody,
        };
        client.command_settle(request_id, outcome, by, note.unwrap_or(""))
    })
}

/// The commands that are under way or unknown, the oldest first: after a start, what the last run left behind. Sends nothing.
/// End the result with `kl_commands_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_command_pending(
    client: *mut kl_client,
    out: *mut *mut kl_commands,
    err: *mut kl_error,
) -> kl_status {
    // SAFETY: conventions, rule 3: NULL or writable.
    unsafe { text::reset(out) };
    with_client(client, err, |client| {
        // SAFETY: conventions, rule 2.
        unsafe {
            text::clear("out", out)?;
            List::<kl_command_info>::these(&client.commands_pending()?, out)
        }
    })
}

/// How many commands the list holds; 0 if this is no list.
#[unsafe(no_mangle)]
pub extern "C" fn kl_commands_count(list: *const kl_commands) -> usize {
    List::<kl_command_info>::count(list.cast())
}

/// A command of the list; NULL behind its end. Borrowed from the list.
#[unsafe(no_mangle)]
pub extern "C" fn kl_commands_at(list: *const kl_commands, index: usize) -> *const kl_command_info {
    List::<kl_command_info>::at(list.cast(), index)
}

/// Frees a list. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_commands_free(list: *mut kl_commands) {
    List::<kl_command_info>::free(list.cast());
}

/// How the journal of commands does. Yours: `kl_journal_info info = KL_JOURNAL_INFO_INIT;`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_journal_info {
    /// `sizeof(kl_journal_info)`.
    pub struct_size: u32,
    /// 1 if it is damaged: nothing is sent before `kl_journal_repair`.
    pub damaged: i32,
    /// Its length in bytes; 0 without `state_dir`.
    pub bytes: u64,
    /// Commands that are known to be done or not done.
    pub settled: u64,
    /// Commands that are unknown or under way.
    pub unsettled: u64,
    /// How often this process synced it to the disk: once for each command.
    pub syncs: u64,
    /// How long the last sync took, in microseconds.
    pub sync_last_us: u64,
    /// The longest of them, in microseconds.
    pub sync_max_us: u64,
    /// All of them together, in microseconds.
    pub sync_total_us: u64,
    /// Where it is; cut if it is longer.
    pub path: [c_char; 256],
    /// Where it is damaged.
    pub damage: [c_char; 64],
}

/// How the journal does: its size, what is unsettled, how long the disk takes. Sends nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_journal_read(
    client: *mut kl_client,
    out: *mut kl_journal_info,
    err: *mut kl_error,
) -> kl_status {
    with_client(client, err, |client| {
        // SAFETY: conventions, rules 2 and 6.
        let mut known: kl_journal_info = unsafe { text::request("out", out.cast_const())? };
        let info = client.journal_info()?;
        known.damaged = i32::from(!info.damage.is_empty());
        known.bytes = info.bytes;
        known.settled = info.settled;
        known.unsettled = info.unsettled;
        known.syncs = info.syncs;
        known.sync_last_us = info.sync_last_us;
        known.sync_max_us = info.sync_max_us;
        known.sync_total_us = info.sync_total_us;
        text::copy(&mut known.path, &info.path.to_string_lossy());
        text::copy(&mut known.damage, &info.damage);
        // SAFETY: `request` found it not NULL; never more than the caller's size is written.
        unsafe { text::store(&known, out, known.struct_size as usize) };
        Ok(())
    })
}

/// After `KL_E_JOURNAL_DAMAGED`, when a person has decided to go on: puts the damaged file aside, beside the new one, and
/// keeps every record that could be read. What the damaged part knew is lost: a `request_id` from there would be sent
/// again. Does nothing to a journal that is whole. Sends nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_journal_repair(client: *mut kl_client, err: *mut kl_error) -> kl_status {
    with_client(client, err, |client| client.journal_repair().map(drop))
}

/// What is known of a command. Borrowed from it; NULL if this is no command.
#[unsafe(no_mangle)]
pub extern "C" fn kl_command_view(command: *const kl_command) -> *const kl_command_info {
    let mut info = std::ptr::null();
    guard(std::ptr::null_mut(), || {
        info = &raw const handle::get::<HeldCommand>(command.cast())?.info;
        Ok(())
    });
    info
}

/// Frees a command's record here; the door stays as it is. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_command_free(command: *mut kl_command) {
    guard(std::ptr::null_mut(), || {
        drop(handle::take::<HeldCommand>(command.cast()));
        Ok(())
    });
}
