//! Commands: acts that cannot be undone, each sent at most once for its `request_id`.

use super::client::{kl_client, kl_verb};
use super::error::{KL_DONE, KL_NOT_DONE, kl_error, kl_outcome};
use super::handle::{Handle, HandleKind};
use super::read::{Kept, List, Show};
use super::text::{self, caller_struct};
use super::{Name, act, end, fill, give, look, wait, with_client};
use crate::command::{Act, Command, CommandFilter, SettledBy};
use crate::error::{Error, Outcome, Result};
use crate::model::{CodeKind, DoorRequest, RedeemRequest};
use crate::status::*;
use std::ffi::c_char;
use std::mem::offset_of;

/// A command that the platform took. Opaque.
pub struct kl_command {
    _private: [u8; 0],
}

/// What is known of a command. Lives as long as its `kl_command`; texts are never NULL.
#[repr(C)]
pub struct kl_command_info {
    /// Your name for it.
    pub request_id: *const c_char,
    /// The customer's visit that it belongs to; empty for none.
    pub visit_id: *const c_char,
    /// Your own text, as they were given with it.
    pub context: *const c_char,
    /// The number by which the platform's record shows that it is ours; empty where the platform keeps none.
    pub mark: *const c_char,
    /// The platform's order that it made or belongs to.
    pub order_no: *const c_char,
    /// The item of that order that can be dispensed, where the platform numbers them (Dingshang: `record_id`).
    pub item_no: *const c_char,
    /// The number by which a delivery can be asked for (Dingshang: `delivery_id`).
    pub delivery_no: *const c_char,
    /// Where the payment of that order must be reported (`kl_payment_report`); empty if the platform gave none.
    pub report_url: *const c_char,
    /// The platform's `data` as JSON.
    pub json: *const c_char,
    /// The cabinet.
    pub cabinet_id: *const c_char,
    /// The door, or the lane.
    pub door: *const c_char,
    /// Why the machine did not do it, in the platform's message.
    pub physical_error: *const c_char,
    /// `status` as a sentence, or the note of whoever settled it.
    pub message: *const c_char,
    /// What it does: `KL_COMMAND_KIND_*`.
    pub kind: kl_command_kind,
    /// What became of it.
    pub outcome: kl_outcome,
    /// Physical result, independent of the outcome: `KL_PHYSICAL_STATE_*`.
    pub physical: kl_physical_state,
    /// Source of the outcome: `KL_SETTLED_BY_*`.
    pub settled_by: kl_settled_by,
    /// Why it is not done: `KL_E_IN_FLIGHT` while it is under way, `KL_E_KEPT` while it waits to be sent, else how its call ended;
    /// `KL_OK` for done.
    pub status: kl_status,
    /// 1 if this was answered from memory and nothing was sent this time.
    pub recorded: i32,
    /// How long it is too early to settle it as not done, in milliseconds; 0: it is taken now.
    pub mature_in_ms: u32,
    /// Which verb it is: `KL_VERB_*`; 0 if it was so long ago that only its fingerprint is left.
    pub verb: kl_verb,
    /// Its place in the order of all commands of the account; grows whatever the clock does.
    pub sequence: u64,
    /// How long ago it was begun, in milliseconds, whatever the clocks were set to meanwhile.
    pub age_ms: u64,
    /// When it was begun, Unix seconds by the device's clock; for people.
    pub started_at: i64,
    /// When its first byte was about to leave, Unix seconds by the device's clock; 0 if none was.
    pub sent_at: i64,
    /// It waits to be sent by the library (`KL_E_KEPT`): for so many milliseconds at most, then it is not done. 0: it does not
    /// wait.
    pub kept_for_ms: u32,
}

/// What a command does: `KL_COMMAND_KIND_*`.
pub type kl_command_kind = i32;

/// The command opens a door or pushes goods out.
pub const KL_COMMAND_KIND_DOOR: kl_command_kind = 1;
/// The command uses up a pickup code.
pub const KL_COMMAND_KIND_REDEEM: kl_command_kind = 2;
/// The command is another write: an order, a payment report, a refund, an appeal.
pub const KL_COMMAND_KIND_WRITE: kl_command_kind = 3;

/// What the machine did after a command: `KL_PHYSICAL_STATE_*`.
pub type kl_physical_state = i32;

/// Nothing moves by this command.
pub const KL_PHYSICAL_STATE_NONE: kl_physical_state = 0;
/// It is not known yet what the machine did.
pub const KL_PHYSICAL_STATE_PENDING: kl_physical_state = 1;
/// The door opened, or the goods came out.
pub const KL_PHYSICAL_STATE_CONFIRMED: kl_physical_state = 2;
/// The machine reports that it did not.
pub const KL_PHYSICAL_STATE_FAILED: kl_physical_state = 3;
/// The platform does not know what the machine did.
pub const KL_PHYSICAL_STATE_UNKNOWABLE: kl_physical_state = 4;

/// Who settled what became of a command: `KL_SETTLED_BY_*`.
pub type kl_settled_by = i32;

/// The outcome is not known yet.
pub const KL_SETTLED_BY_NOBODY: kl_settled_by = 0;
/// The platform's answer; or the call itself, if it could not be sent.
pub const KL_SETTLED_BY_ANSWER: kl_settled_by = 1;
/// The platform, asked later (a query).
pub const KL_SETTLED_BY_QUERY: kl_settled_by = 2;
/// The platform, by a callback.
pub const KL_SETTLED_BY_EVENT: kl_settled_by = 3;
/// A sensor at the machine.
pub const KL_SETTLED_BY_SENSOR: kl_settled_by = 4;
/// A person.
pub const KL_SETTLED_BY_PERSON: kl_settled_by = 5;
/// The journal: the process ended before it had sent anything.
pub const KL_SETTLED_BY_JOURNAL: kl_settled_by = 6;

/// A list of commands. Opaque.
pub struct kl_commands {
    _private: [u8; 0],
}

impl Handle for kl_commands {
    const KIND: HandleKind = HandleKind::Commands;
    type Held = List<kl_command_info>;
}

pub(super) struct HeldCommand {
    info: kl_command_info,
    _texts: Kept,
}

// SAFETY: the pointers lead into the texts beside them, which are never changed again.
unsafe impl Send for HeldCommand {}
// SAFETY: the pointers lead into the texts beside them, which is never changed again, so any thread may read through them.
unsafe impl Sync for HeldCommand {}

impl Handle for kl_command {
    const KIND: HandleKind = HandleKind::Command;
    type Held = HeldCommand;
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
            visit_id: kept.text(&self.visit_id),
            context: kept.text(&self.context),
            mark: kept.text(&self.mark),
            order_no: kept.text(self.order_no()),
            item_no: kept.text(&self.receipt.item_no),
            delivery_no: kept.text(&self.receipt.delivery_no),
            report_url: kept.text(&self.receipt.report_url),
            json: kept.text(&self.receipt.json),
            cabinet_id: kept.text(cabinet_id),
            door: kept.text(door),
            physical_error: kept.text(&self.physical_error),
            message: kept.text(&self.message),
            kind: self.kind as i32,
            outcome: self.outcome as i32,
            physical: self.physical as i32,
            settled_by: self.settled_by as i32,
            status: self.status,
            recorded: self.recorded.into(),
            mature_in_ms: self.mature_in_ms,
            verb: self.verb().map_or(0, |verb| verb as i32),
            sequence: self.sequence,
            age_ms: self.age_ms,
            started_at: self.started_at,
            sent_at: self.sent_at,
            kept_for_ms: self.kept_for_ms,
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
    /// Callback URL for the delivery, on platforms that take one (Dingshang: needed with a lane; an order has its own already.
    /// Not Yopoint).
    pub notify_url: *const c_char,
    /// More parameters for the platform, a JSON object.
    pub extra_json: *const c_char,
    /// The customer's visit that it belongs to, at most `KL_VISIT_ID_MAX` bytes. Commands of one visit are found again by it.
    pub visit_id: *const c_char,
    /// Your own text, at most `KL_CONTEXT_MAX` bytes: kept with the command and given back by it, after a restart too.
    pub context: *const c_char,
}

caller_struct!(kl_door_request {
    struct_size,
    ttl_ms,
    request_id,
    cabinet_id,
    door,
    user_id,
    order_no,
    item_no,
    notify_url,
    extra_json,
    visit_id,
    context,
});

/// # Safety
/// `request` is NULL or as many readable bytes as its first field says (0: the size of the first release), and each text
/// in it is NULL or terminated.
unsafe fn door_request(request: *const kl_door_request) -> Result<DoorRequest> {
    // SAFETY: what this function was promised is what `request` and the readers of texts ask for.
    unsafe {
        let r = text::request("request", request)?;
        let door = DoorRequest {
            request_id: text::need("request_id", r.request_id)?.to_owned(),
            cabinet_id: text::need("cabinet_id", r.cabinet_id)?.to_owned(),
            door: text::owned("door", r.door)?,
            user_id: text::owned("user_id", r.user_id)?,
            order_no: text::owned("order_no", r.order_no)?,
            item_no: text::owned("item_no", r.item_no)?,
            notify_url: text::owned("notify_url", r.notify_url)?,
            ttl_ms: r.ttl_ms,
            extra_json: text::optional("extra_json", r.extra_json)?.map(str::to_owned),
            visit_id: text::owned("visit_id", r.visit_id)?,
            context: text::owned("context", r.context)?,
            ..DoorRequest::default()
        };
        door.check_texts()?;
        Ok(door)
    }
}

/// A command as C sees it.
fn hold(command: &Command, mut texts: Kept) -> HeldCommand {
    HeldCommand { info: command.show(&mut texts), _texts: texts }
}

/// Opens a door (Yopoint: `cabinet.open.door`). What is returned is what became of the *name*, of this call and of any
/// before it:
///
/// - `KL_DONE`: the platform took the command, and `out` holds it. That the bolt moved is reported later, by
///   `KL_EVENT_KIND_DOOR_CLOSED` or the order, and `kl_command_wait` waits for it.
/// - `KL_NOT_DONE`: it did not happen and will not. The same name may be tried again.
/// - `KL_UNKNOWN`: it may have opened. `kl_command_resolve`, a callback, a sensor or a person settles it.
///
/// The same `request_id` again never opens twice: after *done* it gives the recorded answer; after *unknown* it asks the
/// platform what became of it, and only if that proves that nothing happened is it sent, else the answer is
/// `KL_E_UNSETTLED`. With `state_dir` that holds across restarts and power cuts, as `docs/journal.md` says: the record of
/// the sending is on the disk before the first byte leaves (`KL_E_JOURNAL...` and nothing sent if it cannot be), and all
/// processes that share the folder share it. Without `state_dir` it is `KL_E_CONFIG_MISSING`, unless the setting is `none`.
/// While a command at a door is unknown and its request may still arrive, others there are `KL_E_BLOCKED`.
///
/// Sent at most once, over a new connection or one that was in use a moment ago, never later than `ttl_ms`. What its result
/// needs is reserved before (`KL_E_RESOURCE`, and nothing is sent).
///
/// Dingshang: dispenses the item `item_no` of the order `order_no` (`POST /deliveries`), or, as a test, what the lane
/// `door` holds (`POST /deliveries/debug`); the result is in the order after 120 s at the latest, and comes as
/// `KL_EVENT_KIND_DELIVERY`.
///
/// End the result with `kl_command_free`.
///
/// Codes: *command*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_door_open(
    client: *mut kl_client,
    request: *const kl_door_request,
    out: *mut *mut kl_command,
    err: *mut kl_error,
) -> kl_outcome {
    let name = Name::In(request.cast(), offset_of!(kl_door_request, request_id));
    act(client, out, err, name, |client| {
        // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
        let request = unsafe { door_request(request)? };
        let texts = Kept::reserved()?;
        Ok(hold(&client.open_door(request)?, texts))
    })
}

/// What `kl_door_open` would refuse of this request, by the same rules: `KL_OK` if nothing. Sends nothing and records nothing,
/// so it says nothing of what the platform or an earlier command of this name will say. Check the door of a visit before its
/// code is redeemed.
///
/// Codes: `KL_E_UNSUPPORTED`, `KL_E_CONFIG_MISSING`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_door_check(
    client: *mut kl_client,
    request: *const kl_door_request,
    err: *mut kl_error,
) -> kl_status {
    with_client(client, err, |client| {
        // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
        client.door_check(&unsafe { door_request(request)? })
    })
}

/// What a pickup code is for: `KL_CODE_KIND_*`.
pub type kl_code_kind = i32;

/// The platform's usual kind of code (Yopoint: a voucher code; Dingshang: a pickup code; Youzan: a self-fetch code).
pub const KL_CODE_KIND_PICKUP: kl_code_kind = 0;
/// Youzan: a code for virtual goods.
pub const KL_CODE_KIND_VIRTUAL: kl_code_kind = 1;
/// Youzan: an e-voucher.
pub const KL_CODE_KIND_VOUCHER: kl_code_kind = 2;

/// A code to be redeemed: `kl_redeem_request r = KL_REDEEM_REQUEST_INIT;`. Texts may be NULL but for `request_id` and `code`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_redeem_request {
    /// `sizeof` this struct.
    pub struct_size: u32,
    /// Not to be sent later than this after the call, in milliseconds; 0 for the setting `command_ttl_ms`.
    pub ttl_ms: u32,
    /// What the code is for: `KL_CODE_KIND_*`.
    pub kind: kl_code_kind,
    /// 0.
    pub reserved: u32,
    /// Your name for this customer's action, 1 to 128 bytes; under the same name a code is redeemed at most once. Name the
    /// visit, never the code: codes come again.
    pub request_id: *const c_char,
    /// The code that the customer typed.
    pub code: *const c_char,
    /// The cabinet, where the platform asks for it (Dingshang).
    pub cabinet_id: *const c_char,
    /// The goods of the code, where the platform asks for them (Dingshang).
    pub product_id: *const c_char,
    /// Your own order number, where the platform keeps one (Dingshang: `trade_id`, 20 to 32 characters); NULL to have one
    /// made.
    pub trade_no: *const c_char,
    /// Callback URL for the delivery (Dingshang: required).
    pub notify_url: *const c_char,
    /// Who redeems, for the platform's books (Youzan: `extra_info`).
    pub redeemer: *const c_char,
    /// More parameters for the platform, a JSON object.
    pub extra_json: *const c_char,
    /// The customer's visit that it belongs to, at most `KL_VISIT_ID_MAX` bytes. Commands of one visit are found again by it.
    pub visit_id: *const c_char,
    /// Your own text, at most `KL_CONTEXT_MAX` bytes: kept with the command and given back by it, after a restart too.
    pub context: *const c_char,
}

caller_struct!(kl_redeem_request {
    struct_size,
    ttl_ms,
    kind,
    reserved,
    request_id,
    code,
    cabinet_id,
    product_id,
    trade_no,
    notify_url,
    redeemer,
    extra_json,
    visit_id,
    context,
});

/// # Safety
/// `request` is NULL or as many readable bytes as its first field says (0: the size of the first release), and each text
/// in it is NULL or terminated.
unsafe fn redeem_request(request: *const kl_redeem_request) -> Result<RedeemRequest> {
    // SAFETY: what this function was promised is what `request` and the readers of texts ask for.
    unsafe {
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
            visit_id: text::owned("visit_id", r.visit_id)?,
            context: text::owned("context", r.context)?,
            ..RedeemRequest::default()
        };
        redeem.check_texts()?;
        Ok(redeem)
    }
}

pub(super) fn code_kind(kind: kl_code_kind) -> Result<CodeKind> {
    match kind {
        KL_CODE_KIND_PICKUP => Ok(CodeKind::Pickup),
        KL_CODE_KIND_VIRTUAL => Ok(CodeKind::Virtual),
        KL_CODE_KIND_VOUCHER => Ok(CodeKind::Voucher),
        _ => Err(Error::new(KL_E_ARGUMENT, "kind must be one of KL_CODE_KIND_*")),
    }
}

/// Redeems a pickup code (Yopoint: `activity.voucher.exchange`; Dingshang: `POST /consumes`; Youzan:
/// `trade.selffetchcode.apply` and its like). `KL_DONE`: the code is used, and the goods may be released. `KL_NOT_DONE` and
/// `KL_UNKNOWN` as for `kl_door_open`; a code that another request is proved to have used is `KL_E_CODE_USED` and *not
/// done*. `KL_E_CODE_TRIES`: too many wrong codes at this cabinet, nothing was sent.
///
/// Sent at most once for a `request_id`, except on Dingshang: there the same call again under the same `request_id` is the
/// way to ask. It cannot use a code twice: the refusal of a used code names its order, and if that order bears this
/// request's number the answer is *done*. `kl_command_resolve` never redeems; what it asks each platform is in
/// `docs/proof.md`.
///
/// Dingshang moves nothing yet: dispense `item_no` of `order_no` with `kl_door_open`, under a `request_id` of its own.
///
/// End the result with `kl_command_free`.
///
/// Codes: `KL_E_CODE_TRIES`, *command*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_code_redeem(
    client: *mut kl_client,
    request: *const kl_redeem_request,
    out: *mut *mut kl_command,
    err: *mut kl_error,
) -> kl_outcome {
    let name = Name::In(request.cast(), offset_of!(kl_redeem_request, request_id));
    act(client, out, err, name, |client| {
        // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
        let request = unsafe { redeem_request(request)? };
        let texts = Kept::reserved()?;
        Ok(hold(&client.code_redeem(&request)?, texts))
    })
}

/// What `kl_code_redeem` would refuse of this request, as `kl_door_check` says for doors. Sends nothing and records nothing.
///
/// Codes: `KL_E_UNSUPPORTED`, `KL_E_CONFIG_MISSING`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_redeem_check(
    client: *mut kl_client,
    request: *const kl_redeem_request,
    err: *mut kl_error,
) -> kl_status {
    with_client(client, err, |client| {
        // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
        client.redeem_check(&unsafe { redeem_request(request)? })
    })
}

/// What is recorded of a command, whatever its outcome: read `outcome`, `physical` and `status` of the result. Sends
/// nothing. `KL_E_NOT_FOUND` if there is none of this name. End the result with `kl_command_free`.
///
/// Codes: `KL_E_NOT_FOUND`, *journal*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_command_get(
    client: *mut kl_client,
    request_id: *const c_char,
    out: *mut *mut kl_command,
    err: *mut kl_error,
) -> kl_status {
    give(client, out, err, |client| {
        // SAFETY: the caller's texts are NULL or terminated, and there for the time of the call.
        let request_id = unsafe { text::need("request_id", request_id)? };
        Ok(hold(&client.command_get(request_id)?, Kept::default()))
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
///
/// Codes: `KL_E_PENDING`, `KL_E_NOT_MOVED`, `KL_E_UNKNOWABLE`, *command*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_command_wait(
    client: *mut kl_client,
    request_id: *const c_char,
    timeout_ms: u32,
    out: *mut *mut kl_command,
    err: *mut kl_error,
) -> kl_status {
    wait(client, out, err, |client| {
        // SAFETY: the caller's texts are NULL or terminated, and there for the time of the call.
        let request_id = unsafe { text::need("request_id", request_id)? };
        Ok(hold(&client.command_wait(request_id, timeout_ms)?, Kept::default()))
    })
}

/// Finds out what became of a command without ever doing it again: from the record, or by asking the platform in the way
/// that `docs/proof.md` lists. `KL_DONE`, and `out` holds it; `KL_NOT_DONE`: the same `request_id` may be tried again;
/// `KL_UNKNOWN`: it is still not known. After a restart call it for each that `kl_command_pending` lists. When the advice is
/// `KL_ADVICE_CALL_PERSON`, asking again will not help: a sensor or a person decides (`kl_command_settle`). A name that was
/// never begun is `KL_E_NOT_FOUND` and *not done*; one that waits to be sent is `KL_E_KEPT`. End the result with `kl_command_free`.
///
/// Codes: `KL_E_KEPT`, *command*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_command_resolve(
    client: *mut kl_client,
    request_id: *const c_char,
    out: *mut *mut kl_command,
    err: *mut kl_error,
) -> kl_outcome {
    act(client, out, err, Name::Text(request_id), |client| {
        // SAFETY: the caller's texts are NULL or terminated, and there for the time of the call.
        let request_id = unsafe { text::need("request_id", request_id)? };
        let texts = Kept::reserved()?;
        Ok(hold(&client.command_resolve(request_id)?, texts))
    })
}

fn told(outcome: kl_outcome) -> Outcome {
    match outcome {
        KL_DONE => Outcome::Done,
        KL_NOT_DONE => Outcome::NotDone,
        _ => Outcome::None,
    }
}

/// Decides an unknown command by what was seen at the machine: `outcome` is `KL_DONE` or `KL_NOT_DONE`, `by` is
/// `KL_SETTLED_BY_SENSOR` or `KL_SETTLED_BY_PERSON`, `note` may be NULL and is kept. Frees the door for new commands. Sends nothing. Settling
/// twice with the same outcome is not an error; a command that is settled the other way is not changed (`KL_E_REQUEST_ID`).
///
/// *Done* is taken at any time. *Not done* is `KL_E_TOO_EARLY` while the request may still reach the machine
/// (`mature_in_ms` of the command, `retry_after_ms` of the error): look at the door after that time, not before.
/// `KL_E_IN_FLIGHT` while the process that sends it lives. A command that waits to be sent by the library is
/// withdrawn by *not done*, at once.
///
/// Codes: `KL_E_NOT_FOUND`, `KL_E_REQUEST_ID`, `KL_E_IN_FLIGHT`, `KL_E_TOO_EARLY`, *journal*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_command_settle(
    client: *mut kl_client,
    request_id: *const c_char,
    outcome: kl_outcome,
    by: kl_settled_by,
    note: *const c_char,
    err: *mut kl_error,
) -> kl_status {
    with_client(client, err, |client| {
        // SAFETY: the caller's texts are NULL or terminated, and there for the time of the call.
        let (request_id, note) =
            unsafe { (text::need("request_id", request_id)?, text::optional("note", note)?) };
        let by = match by {
            KL_SETTLED_BY_SENSOR => SettledBy::Sensor,
            KL_SETTLED_BY_PERSON => SettledBy::Person,
            _ => SettledBy::Nobody,
        };
        client.command_settle(request_id, told(outcome), by, note.unwrap_or(""))
    })
}

/// A person decides an unknown command although it is too early to say *not done*: they take it on themselves that nothing
/// is on its way any more. Never for a program to call by itself. Otherwise as `kl_command_settle` with `KL_SETTLED_BY_PERSON`;
/// `note` says who and why, and is kept. Sends nothing.
///
/// Codes: `KL_E_NOT_FOUND`, `KL_E_REQUEST_ID`, `KL_E_IN_FLIGHT`, *journal*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_command_overrule(
    client: *mut kl_client,
    request_id: *const c_char,
    outcome: kl_outcome,
    note: *const c_char,
    err: *mut kl_error,
) -> kl_status {
    with_client(client, err, |client| {
        // SAFETY: the caller's texts are NULL or terminated, and there for the time of the call.
        let (request_id, note) =
            unsafe { (text::need("request_id", request_id)?, text::need("note", note)?) };
        client.command_overrule(request_id, told(outcome), note)
    })
}

/// A new name for an act, written to `buf`: this library never gives it again, nor does another. Make it when the act is
/// decided on, keep it (a file, a row of your own) before the first try, and use it at every try. `size` bytes are yours;
/// `KL_REQUEST_ID_MAX + 1` always do. `KL_E_ARGUMENT`, and an empty text, if they do not. Sends nothing.
///
/// Codes: *journal*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_request_id_new(
    client: *mut kl_client,
    buf: *mut c_char,
    size: usize,
    err: *mut kl_error,
) -> kl_status {
    // SAFETY: the caller's: NULL, or `size` bytes that nobody else uses during the call.
    let buf = unsafe { text::Buffer::cleared(buf, size) };
    with_client(client, err, |client| {
        buf.present("buf")?;
        if !buf.write(&client.request_id_new()?) {
            return Err(Error::new(KL_E_ARGUMENT, "buf is too small: KL_REQUEST_ID_MAX + 1 bytes always do"));
        }
        Ok(())
    })
}

/// Which commands `kl_command_list` lists: `KL_COMMAND_FILTER_*`.
pub type kl_command_filter = i32;

/// All that are remembered.
pub const KL_COMMAND_FILTER_ANY: kl_command_filter = 0;
/// Those under way, those unknown, and those that wait to be sent.
pub const KL_COMMAND_FILTER_OPEN: kl_command_filter = 1;
/// Those that are done.
pub const KL_COMMAND_FILTER_DONE: kl_command_filter = 2;
/// Those that are not done.
pub const KL_COMMAND_FILTER_NOT_DONE: kl_command_filter = 3;
/// Those of which it is not known, without those under way.
pub const KL_COMMAND_FILTER_UNKNOWN: kl_command_filter = 4;

/// The commands that are remembered by name, the oldest first: those with a `sequence` above `since` (0 for all) that
/// `filter` selects. Done ones that are remembered by their fingerprints only are not in it (`docs/journal.md`). Sends nothing. End the result with `kl_commands_free`.
///
/// Codes: *journal*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_command_list(
    client: *mut kl_client,
    since: u64,
    filter: kl_command_filter,
    out: *mut *mut kl_commands,
    err: *mut kl_error,
) -> kl_status {
    give(client, out, err, |client| {
        let filter = match filter {
            KL_COMMAND_FILTER_ANY => CommandFilter::Any,
            KL_COMMAND_FILTER_OPEN => CommandFilter::Open,
            KL_COMMAND_FILTER_DONE => CommandFilter::Done,
            KL_COMMAND_FILTER_NOT_DONE => CommandFilter::NotDone,
            KL_COMMAND_FILTER_UNKNOWN => CommandFilter::Unknown,
            _ => return Err(Error::new(KL_E_ARGUMENT, "filter must be one of KL_COMMAND_FILTER_*")),
        };
        Ok(List::these(&client.commands_list(since, filter)?))
    })
}

/// The commands that are under way, unknown, or wait to be sent (`kept_for_ms`), the oldest first: after a start, what the last run
/// left behind. Sends nothing.
/// End the result with `kl_commands_free`.
///
/// Codes: *journal*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_command_pending(
    client: *mut kl_client,
    out: *mut *mut kl_commands,
    err: *mut kl_error,
) -> kl_status {
    give(client, out, err, |client| Ok(List::these(&client.commands_pending()?)))
}

/// How many commands the list holds; 0 if the handle is not a list.
#[unsafe(no_mangle)]
pub extern "C" fn kl_commands_count(list: *const kl_commands) -> usize {
    List::count(list)
}

/// A command of the list; NULL if `index` is not below the count. Borrowed from the list.
#[unsafe(no_mangle)]
pub extern "C" fn kl_commands_at(list: *const kl_commands, index: usize) -> *const kl_command_info {
    List::at(list, index)
}

/// Frees a list. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_commands_free(list: *mut kl_commands) {
    end(list);
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
    /// The names of done commands that are remembered.
    pub names: u64,
    /// How often a person adopted the installation's journal.
    pub epoch: u32,
    /// 0.
    pub reserved: u32,
    /// Where it is damaged.
    pub damage: [c_char; 64],
    /// The installation that it belongs to; empty without `state_dir`.
    pub installation: [c_char; 64],
    /// The kind of file system that it is on, `ext4`; empty if that is not known.
    pub file_system: [c_char; 32],
    /// Visits that are open.
    pub visits: u64,
}

caller_struct!(kl_journal_info {
    struct_size,
    damaged,
    bytes,
    settled,
    unsettled,
    syncs,
    sync_last_us,
    sync_max_us,
    sync_total_us,
    path,
    names,
    epoch,
    reserved,
    damage,
    installation,
    file_system,
    visits,
});

/// How the journal does: its size, what is unsettled, how long the disk takes. Sends nothing.
///
/// Codes: *journal*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_journal_read(
    client: *mut kl_client,
    out: *mut kl_journal_info,
    err: *mut kl_error,
) -> kl_status {
    fill(client, out, err, |client, known| {
        let info = client.journal_info()?;
        known.damaged = i32::from(!info.damage.is_empty());
        known.bytes = info.bytes;
        known.settled = info.settled;
        known.unsettled = info.unsettled;
        known.visits = info.visits;
        known.syncs = info.syncs;
        known.sync_last_us = info.sync_last_us;
        known.sync_max_us = info.sync_max_us;
        known.sync_total_us = info.sync_total_us;
        known.names = info.names;
        known.epoch = info.epoch;
        text::copy(&mut known.path, &info.path.to_string_lossy());
        text::copy(&mut known.damage, &info.damage);
        text::copy(&mut known.installation, &info.installation);
        text::copy(&mut known.file_system, &info.file_system);
        Ok(())
    })
}

/// After `KL_E_JOURNAL_DAMAGED`, when a person has decided to go on: puts the damaged file aside, beside the new one, and
/// keeps every record that could be read. What the damaged part knew is lost: a `request_id` from there would be sent
/// again. Does nothing to a journal that is whole. Sends nothing.
///
/// Codes: *journal*.
#[unsafe(no_mangle)]
pub extern "C" fn kl_journal_repair(client: *mut kl_client, err: *mut kl_error) -> kl_status {
    with_client(client, err, |client| client.journal_repair().map(drop))
}

/// After `KL_E_JOURNAL_MISSING`, `KL_E_JOURNAL_OLDER` or `KL_E_JOURNAL_COPIED`, when a person has decided to go on with what
/// there is: a new epoch begins, and names from before are not given again. What the lost journal knew is lost: look at what
/// was under way first. `note` says who and why, and is kept. Sends nothing.
///
/// Codes: *journal*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_journal_adopt(
    client: *mut kl_client,
    note: *const c_char,
    err: *mut kl_error,
) -> kl_status {
    with_client(client, err, |client| {
        // SAFETY: the caller's texts are NULL or terminated, and there for the time of the call.
        client.journal_adopt(unsafe { text::need("note", note)? })
    })
}

/// What is known of a command. Borrowed from it; NULL if this is no command.
#[unsafe(no_mangle)]
pub extern "C" fn kl_command_view(command: *const kl_command) -> *const kl_command_info {
    look(command, std::ptr::null(), |command| &raw const command.info)
}

/// Frees a command's record here; the door stays as it is. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_command_free(command: *mut kl_command) {
    end(command);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{CommandKind, Physical};

    #[test]
    fn the_numbers_are_those_of_the_rust_side() {
        let pairs = [
            (CommandKind::Door as i32, KL_COMMAND_KIND_DOOR),
            (CommandKind::Redeem as i32, KL_COMMAND_KIND_REDEEM),
            (CommandKind::Write as i32, KL_COMMAND_KIND_WRITE),
            (Physical::None as i32, KL_PHYSICAL_STATE_NONE),
            (Physical::Pending as i32, KL_PHYSICAL_STATE_PENDING),
            (Physical::Confirmed as i32, KL_PHYSICAL_STATE_CONFIRMED),
            (Physical::Failed as i32, KL_PHYSICAL_STATE_FAILED),
            (Physical::Unknowable as i32, KL_PHYSICAL_STATE_UNKNOWABLE),
            (SettledBy::Nobody as i32, KL_SETTLED_BY_NOBODY),
            (SettledBy::Answer as i32, KL_SETTLED_BY_ANSWER),
            (SettledBy::Query as i32, KL_SETTLED_BY_QUERY),
            (SettledBy::Event as i32, KL_SETTLED_BY_EVENT),
            (SettledBy::Sensor as i32, KL_SETTLED_BY_SENSOR),
            (SettledBy::Person as i32, KL_SETTLED_BY_PERSON),
            (SettledBy::Journal as i32, KL_SETTLED_BY_JOURNAL),
            (CommandFilter::Any as i32, KL_COMMAND_FILTER_ANY),
            (CommandFilter::Open as i32, KL_COMMAND_FILTER_OPEN),
            (CommandFilter::Done as i32, KL_COMMAND_FILTER_DONE),
            (CommandFilter::NotDone as i32, KL_COMMAND_FILTER_NOT_DONE),
            (CommandFilter::Unknown as i32, KL_COMMAND_FILTER_UNKNOWN),
        ];
        for (rust, c) in pairs {
            assert_eq!(rust, c);
        }
    }
}
