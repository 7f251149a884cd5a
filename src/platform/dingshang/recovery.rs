//! What became of a command whose answer was lost. Everything here reads; the only thing that sends a code again is the
//! caller's own repetition (`procedures::Redeem`).

use super::records::{id_of, redeemed, said};
use super::requests::{is_part, is_trade_id};
use crate::command::{Act, Physical};
use crate::error::Result;
use crate::json::{Json, Writer};
use crate::model::*;
use crate::platform::fields::lenient;
use crate::platform::proof::Row;
use crate::platform::{Answer, Known, Maturity, Query, Verdict};

/// No result within 120 s: nobody knows what the machine did.
const TIMED_OUT: &str = "IS_TIMEOUT";
/// The writes of which the order shows whether they were done.
const PAYMENT: &str = "payment_report";
const REFUND: &str = "refund_apply";

/// An item that nobody has dispensed, in the words used since 2024-09-10. The older 未取货 also stands for one on its way.
const WAITING: &str = "WAITING_PICKED_UP";

/// A delivery that was taken shows its result, or a timeout, 120 s later.
const DELIVERY: Maturity = Maturity {
    hold_ms: 150_000,
    reason: "30 s for network and proxies, then the vendor's own 120 s: so long after a command the machine may still get it \
             and report; without a report the item becomes IS_TIMEOUT (docs/open/delivery_put.md)",
};
/// Everything else is done by the platform alone, at once.
const BOOKING: Maturity = Maturity {
    hold_ms: 60_000,
    reason: "what network and proxies hold; a proxy's usual read timeout is 60 s. The platform itself queues nothing: no \
             machine takes part",
};

/// What proves what on this platform.
pub const PROOF: &[Row] = &[
    Row {
        verb: "code_redeem",
        call: "POST /consumes",
        mark: "trade_id, kept by the order",
        done: "the answer's order bears our trade_id. After a lost answer: the caller's own repetition is refused with 10025 or \
               6033, which names the order; POST /orders/{id} shows our mark as its trade_id",
        not_done: "a row of the table of refusals; the order that used the code bears another trade_id; after maturity \
                   POST /products/{id}/pickup_code still lists the code as UNUSED, made before the command",
        movement: "",
        unknowable: "a used code without the number of its order, or whose order cannot be read; an order that bears a number \
                     the caller gave: it has a date but no time of day, so it may be older than the command",
        source: "docs/open/pickup_code_consume.md, order_get.md, pickup_code_get.md (known); that 6033 names the order too is \
                 inferred",
        to_confirm: "does 6033 carry order_id; is a code's text ever given out again while its order exists",
    },
    Row {
        verb: "door_open",
        call: "POST /deliveries",
        mark: "",
        done: "the answer. After a lost answer: POST /orders/{id} shows the item as IS_DELIVERING, IS_SUCCESS, IS_PICKED_UP, \
               IS_FAILED or IS_TIMEOUT, if no other command of this journal is about the item",
        not_done: "a row of the table of refusals; after maturity POST /orders/{id} still shows the item as WAITING_PICKED_UP",
        movement: "POST /orders/{id}: the item's word; the callback device.delivery.response is unsigned and only makes us ask",
        unknowable: "what moved after IS_TIMEOUT; an item in the old word 未取货, which may be on its way; an item that two \
                     commands are about; whether staff dispensed it in the dashboard",
        source: "docs/open/delivery_put.md, order_get.md (known); the words since 2024-09-10: commit 99a6431",
        to_confirm: "does an item show IS_DELIVERING from the moment a delivery is taken; can a delivery carry a number of ours",
    },
    Row {
        verb: "door_open (lane)",
        call: "POST /deliveries/debug",
        mark: "",
        done: "the answer",
        not_done: "a row of the table of refusals",
        movement: "POST /deliveries/{id}: 出货完成 means finished; fail_reason tells whether well",
        unknowable: "whether it was taken, once its answer is lost: it belongs to no order",
        source: "docs/open/delivery_test.md, delivery_get.md (known)",
        to_confirm: "",
    },
    Row {
        verb: "code_create",
        call: "POST /pickup_codes",
        mark: "",
        done: "the answer says ok, and the list of unused codes grew by exactly the number asked for, or by more of which exactly \
               so many have the asked length and end",
        not_done: "a row of the table of refusals",
        movement: "",
        unknowable: "after a lost answer: new codes may be another program's",
        source: "docs/open/pickup_code_create.md, pickup_code_get.md (known); what all makes for each lane is not documented",
        to_confirm: "a number of ours in the request that the list gives back",
    },
    Row {
        verb: "code_cancel",
        call: "PUT /pickup_codes",
        mark: "",
        done: "the answer",
        not_done: "a row of the table of refusals",
        movement: "",
        unknowable: "after a lost answer: a code that is no longer listed may be used or expired",
        source: "docs/open/pickup_code_delete.md (known)",
        to_confirm: "",
    },
    Row {
        verb: "order_create",
        call: "POST /orders",
        mark: "trade_id, kept by the order",
        done: "the answer",
        not_done: "a row of the table of refusals",
        movement: "",
        unknowable: "after a lost answer: no call finds an order by its trade_id, and 6040 does not name it",
        source: "docs/open/order_create.md (known); 6040 for a repetition is inferred",
        to_confirm: "does 6040 carry order_id; a search by trade_id",
    },
    Row {
        verb: "payment_report",
        call: "PUT /orders/{id}",
        mark: "",
        done: "the answer. After a lost answer: POST /orders/{id} shows SUCCESS (PAYERROR for one that failed), and no other \
               report of this journal is about the order",
        not_done: "a row of the table of refusals; after maturity POST /orders/{id} still shows NOTPAY",
        movement: "",
        unknowable: "who reported it: the order is paid, and for the customer that is the same; a report without a cabinet_id",
        source: "docs/open/order_update.md (known)",
        to_confirm: "",
    },
    Row {
        verb: "refund_apply",
        call: "PUT /orders/{id}",
        mark: "",
        done: "the answer. After a lost answer: POST /orders/{id} shows REFUND, and no other refund of this journal is about \
               the order",
        not_done: "a row of the table of refusals; after maturity POST /orders/{id} still shows SUCCESS or PICKUPCODE",
        movement: "",
        unknowable: "who asked for it: the money goes back once; a refund without a cabinet_id",
        source: "docs/open/order_update.md (known)",
        to_confirm: "",
    },
];

/// How long a request of this kind may still take effect after its call has ended.
pub(super) fn maturity(act: &Act) -> Maturity {
    match act {
        Act::Door(_) => DELIVERY,
        Act::Redeem(_) | Act::Write { .. } => BOOKING,
    }
}

/// Whose number an order bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The one that was sent.
    Ours,
    /// Another one, whole.
    Others,
    /// None, or one that may be a spoiled form of ours.
    Untold,
}

/// Compares the number that was sent with the one that an order bears. The platform gives it back with the dashes of a UUID.
pub(super) fn whose(sent: &str, found: &str) -> Whose {
    let plain = |t: &str| t.replace('-', "").to_ascii_lowercase();
    let (sent, found) = (plain(sent), plain(found));
    if sent == found {
        return Whose::Ours;
    }
    // A number that lost its zeros, was cut, or was replaced by nothing but zeros is not another one.
    let bare = |t: &str| t.trim_start_matches('0').to_owned();
    let spoiled = sent.starts_with(&found) || found.starts_with(&sent) || bare(&sent) == bare(&found);
    if spoiled || bare(&found).is_empty() || !is_trade_id(&found) { Whose::Untold } else { Whose::Others }
}

/// The order whose item a delivery is about.
fn item_order(r: &DoorRequest) -> OrderRef {
    OrderRef {
        kind: OrderKind::Vending,
        order_no: r.order_no.clone(),
        cabinet_id: r.cabinet_id.clone(),
        ..OrderRef::default()
    }
}

/// The code of a redemption, among those that can still be used.
fn unused_code(r: &RedeemRequest) -> CodeQuery {
    CodeQuery {
        kind: r.kind,
        code: r.code.clone(),
        cabinet_id: r.cabinet_id.clone(),
        product_id: r.product_id.clone(),
        ..CodeQuery::default()
    }
}

/// The reads that can tell what became of a command.
pub(super) fn queries(known: &Known<'_>) -> Vec<Query> {
    match known.act {
        // A test of a lane has no order.
        Act::Door(r) if r.item_no.is_empty() => Vec::new(),
        Act::Door(r) => vec![Query::Order(item_order(r))],
        Act::Redeem(r) => vec![Query::Code(unused_code(r))],
        Act::Write { verb, order_no, cabinet_id, .. }
            if matches!(verb.as_str(), PAYMENT | REFUND) && !cabinet_id.is_empty() =>
        {
            let order = OrderRef { kind: OrderKind::Vending, ..OrderRef::default() };
            vec![Query::Order(OrderRef {
                order_no: order_no.clone(),
                cabinet_id: cabinet_id.clone(),
                ..order
            })]
        }
        Act::Write { .. } => Vec::new(),
    }
}

/// What the answer to one of them proves.
pub(super) fn judge(known: &Known<'_>, answer: &Result<Answer>) -> Verdict {
    match (known.act, answer) {
        (Act::Door(r), Ok(Answer::Order(order))) => item(known, r, order),
        (Act::Redeem(_), Ok(Answer::Code(code))) => still_unused(known, code),
        (Act::Write { verb, order_no, paid, .. }, Ok(Answer::Order(order))) if order.order_no == *order_no => {
            written(known, verb, *paid, order)
        }
        (Act::Redeem(_), Err(_)) => Verdict::Unknown(
            "the code can no longer be used, but who used it the list does not tell; the same call under the same name asks \
             for its order"
                .to_owned(),
        ),
        (_, Err(_)) => Verdict::Unknown("the platform knows nothing of it, which proves nothing".to_owned()),
        (_, Ok(_)) => Verdict::Unknown("the platform answered with something else".to_owned()),
    }
}

/// An order that is in the state that was to be written, or still in the one before. The platform books at once, and takes
/// no state back.
fn written(known: &Known<'_>, verb: &str, paid: bool, order: &Order) -> Verdict {
    let state = order.state_text.as_str();
    let (wanted, before): (&str, &[&str]) = match (verb, paid) {
        (REFUND, _) => ("REFUND", &["SUCCESS", "PICKUPCODE"]),
        (_, true) => ("SUCCESS", &["NOTPAY"]),
        (_, false) => ("PAYERROR", &["NOTPAY"]),
    };
    if state == wanted {
        return if known.alone {
            Verdict::Done(Receipt::default(), Physical::None, ["the order is in the state ", state].concat())
        } else {
            Verdict::Unknown("another command of this journal wrote the same of this order".to_owned())
        };
    }
    match before.contains(&state) {
        true if known.mature => Verdict::NotDone(
            ["the order is still in the state ", state, ", and the request can no longer arrive"].concat(),
        ),
        true => {
            Verdict::Unknown("the order is as it was, but the request may still be on its way".to_owned())
        }
        false => Verdict::Unknown(["the order is in the state ", state].concat()),
    }
}

/// A code that is still listed was used by nobody. One with the same text that was made later is another one.
fn still_unused(known: &Known<'_>, code: &PickupCode) -> Verdict {
    if code.state != CodeState::Unused {
        return Verdict::Unknown(["the code is in the state ", &code.state_text].concat());
    }
    if !known.mature {
        return Verdict::Unknown("the code is unused, but the request may still be on its way".to_owned());
    }
    let older = match known.sent {
        // Times are whole seconds: the code was made before the next one began.
        Some(sent) => code.created_at != 0 && (code.created_at + 1).saturating_mul(1000) <= sent.earliest_ms,
        None => false,
    };
    if !older {
        return Verdict::Unknown(
            "a code with this text is unused, but whether it was made before the command is not known"
                .to_owned(),
        );
    }
    Verdict::NotDone("the code is still unused, and the request can no longer arrive".to_owned())
}

fn item(known: &Known<'_>, r: &DoorRequest, order: &Order) -> Verdict {
    if order.order_no != r.order_no {
        return Verdict::Unknown("the platform answered with another order".to_owned());
    }
    let Some(line) = order.lines.iter().find(|l| l.item_no == r.item_no) else {
        return Verdict::Unknown("the order does not show this item".to_owned());
    };
    if line.state_text == WAITING {
        return if known.mature {
            Verdict::NotDone(
                "the item still waits to be dispensed, and the request can no longer arrive".to_owned(),
            )
        } else {
            Verdict::Unknown(
                "the item waits to be dispensed, but the request may still be on its way".to_owned(),
            )
        };
    }
    if !known.alone {
        return Verdict::Unknown(
            "the item was dispensed before by another command; its state may be of that one".to_owned(),
        );
    }
    let receipt = Receipt { item_no: r.item_no.clone(), ..redeemed(order) };
    match (line.delivery, line.state_text.as_str()) {
        (DeliveryState::Delivered, _) => Verdict::Done(receipt, Physical::Confirmed, String::new()),
        (DeliveryState::Failed, why) => Verdict::Done(receipt, Physical::Failed, why.to_owned()),
        (DeliveryState::Pending, _) => Verdict::Done(receipt, Physical::Pending, String::new()),
        (_, TIMED_OUT) => Verdict::Done(receipt, Physical::Unknowable, TIMED_OUT.to_owned()),
        (_, state) => Verdict::Unknown(
            ["the item is in the state ", state, ", which says nothing of a command on its way"].concat(),
        ),
    }
}

/// The read that tells what the machine did after it took a command.
pub(super) fn movement_query(act: &Act, receipt: &Receipt) -> Option<Query> {
    match act {
        Act::Door(r) if !r.item_no.is_empty() => Some(Query::Order(item_order(r))),
        Act::Door(r) if is_part(&receipt.delivery_no) => {
            let mut w = Writer::new();
            w.text("machine_no", &r.cabinet_id);
            Some(Query::Call(["POST /deliveries/", &receipt.delivery_no].concat(), w.finish()))
        }
        _ => None,
    }
}

/// What it did, by that read.
pub(super) fn movement(act: &Act, receipt: &Receipt, answer: &Answer) -> Option<(Physical, String)> {
    let Act::Door(r) = act else { return None };
    match answer {
        Answer::Order(order) => {
            let line = order.lines.iter().find(|l| l.item_no == r.item_no)?;
            match (line.delivery, line.state_text.as_str()) {
                (DeliveryState::Delivered, _) => Some((Physical::Confirmed, String::new())),
                (DeliveryState::Failed, why) => Some((Physical::Failed, why.to_owned())),
                (_, TIMED_OUT) => Some((Physical::Unknowable, TIMED_OUT.to_owned())),
                _ => None,
            }
        }
        Answer::Json(data) => {
            let o = Json::parse(data.as_bytes()).and_then(Json::object).ok()?;
            // Of another delivery than this.
            let id = id_of(&o, "delivery_id");
            if !id.is_empty() && id != receipt.delivery_no {
                return None;
            }
            // 出货完成 means finished; whether well is in the reason.
            if lenient::text(&o, &["status"]) != "出货完成" {
                return None;
            }
            let why = said(&o, &["fail_reason"]);
            let none = matches!(o.get("fail_reason").ok()?.map(Json::text), None | Some("\"\"" | "false"));
            match (why.is_empty(), none) {
                (false, _) => Some((Physical::Failed, why)),
                (true, true) => Some((Physical::Confirmed, why)),
                // Something that is no reason, and not none either.
                (true, false) => None,
            }
        }
        _ => None,
    }
}
