//! What became of a command whose answer was lost: what is asked, and what proves what.

use super::records::receipt_of;
use super::{EXCHANGE, OPEN_DOOR, Yopoint};
use crate::command::{Act, Physical};
use crate::error::Result;
use crate::event::{Event, EventKind};
use crate::model::*;
use crate::platform::proof::Row;
use crate::platform::toolbox::canonical_code;
use crate::platform::{Answer, Known, Maturity, Query, Recovers, Span, Verdict};
use crate::status::KL_E_NOT_FOUND;
use crate::time::calendar;

/// How far the platform's own clock and the time that a list goes by may lie beside ours, in seconds.
const LIST_MARGIN_S: i64 = 600;
/// The largest page of `cabinet.order.list`.
const LIST_PAGE: PageRequest = PageRequest { number: 1, size: 100 };

/// What proves what on Yopoint.
#[rustfmt::skip]
pub const PROOF: &[Row] = &[
    Row {
        verb: "door_open", call: OPEN_DOOR,
        mark: "TradeNo: 24 digits of the library, or the caller's order_no",
        done: "an answer with error_code 0 and ReceiptNo; cabinet.order.get by TradeNo, then cabinet.order.list of the minutes around the sending, or the recognition callback: an order of this cabinet with our TradeNo. With the caller's own number, that no other command of this journal sent, the order must also have been made while the request could live (CreateAt, else the time in ReceiptNo), or, asked before maturity, be no older than the order of the command before (the times in both ReceiptNo)",
        not_done: "a row of the table of refusals; that no order is found proves nothing",
        movement: "notify.close.door; else cabinet.order.get: DoorStatus, and ServiceStatus 2 for a door that is shut again",
        unknowable: "an order that is not there; after the payment report the order may bear the payment's number instead of ours; own_trade_no=no without an order_no",
        source: "cabinet.order.get, cabinet.order.list (known: TradeNo, DoorStatus); that cabinet.open.door keeps a TradeNo is inferred; the page of cabinet.open.door could not be read",
        to_confirm: "that cabinet.open.door keeps TradeNo and opens once for one TradeNo; the names of its refusals and whether offline or busy can come after the door was told",
    },
    Row {
        verb: "code_redeem", call: EXCHANGE,
        mark: "",
        done: "an answer with error_code 0; the signed callback notify.activity.voucher.exchangecode with the same code and machine, signed while our request could live; activity.vouchercode.get, if it names code, machine and such a time",
        not_done: "a row of the table of refusals",
        movement: "ShipmentsStatus in notify.activity.voucher.exchangecode or notify.consumer.order.simple; else consumer.order.get",
        unknowable: "a code that is used without time or machine, or at another time; an unused one may still be on its way. The same code typed at the machine's own keypad in the same minute cannot be told from ours",
        source: "notify.activity.voucher.exchangecode (known); parameters known from a public client; the answers of both activity methods are inferred",
        to_confirm: "a number of ours in activity.voucher.exchange that the callback bears; the fields of activity.vouchercode.get; the names of refusals for a used, expired or unknown code",
    },
    Row {
        verb: "order_create", call: "consumer.order.create",
        mark: "TradeNo: 24 digits of the library, or the caller's trade_no",
        done: "an answer with error_code 0 and ReceiptNo; consumer.order.get by TradeNo: an order with our TradeNo, with the caller's number also made while the request could live",
        not_done: "a row of the table of refusals",
        movement: "",
        unknowable: "an order that is not there",
        source: "parameters and refusals known from a public client; TradeNo is inferred",
        to_confirm: "that consumer.order.create keeps TradeNo",
    },
    Row {
        verb: "refund_apply, appeal_file", call: "cabinet.order.refund.apply, cabinet.order.user.appeal",
        mark: "",
        done: "an answer with error_code 0",
        not_done: "a row of the table of refusals",
        movement: "",
        unknowable: "a lost answer: a person looks into the console",
        source: "the pages of both could not be read",
        to_confirm: "what the order's UserRefundsStatus and UserRefundsTime say right after it",
    },
    Row {
        verb: "payment_report", call: "NotifyUrl, PaySuccessNotifyUrl",
        mark: "",
        done: "success, or an envelope with error_code 0",
        not_done: "a row of the table of refusals, or a gateway's own page",
        movement: "",
        unknowable: "a lost answer: the order's payment state tells whether it must be reported again",
        source: "the older vending flow (known); for cabinets inferred",
        to_confirm: "the fields and answers of NotifyUrl, and that a second report of the same payment is harmless",
    },
];

impl Recovers for Yopoint {
    fn maturity(&self, _act: &Act) -> Maturity {
        Maturity {
            hold_ms: 60_000,
            reason: "a gateway gives up a request after 60 s by default; the vendor names no bound for the way to the machine",
        }
    }

    fn queries(&self, known: &Known<'_>) -> Vec<Query> {
        match known.act {
            Act::Door(_) => self.door_queries(known),
            Act::Redeem(r) => vec![Query::Code(CodeQuery {
                kind: r.kind,
                code: r.code.clone(),
                product_id: r.product_id.clone(),
                ..CodeQuery::default()
            })],
            Act::Write { verb, .. } if verb == "order_create" && !self.number_of(known).is_empty() => {
                vec![Query::Order(OrderRef {
                    kind: OrderKind::Vending,
                    trade_no: self.number_of(known).to_owned(),
                    ..OrderRef::default()
                })]
            }
            Act::Write { .. } => Vec::new(),
        }
    }

    fn judge(&self, known: &Known<'_>, _query: &Query, answer: &Result<Answer>) -> Verdict {
        match answer {
            Ok(Answer::Order(order)) => self.by_orders(known, std::slice::from_ref(order)),
            Ok(Answer::Orders(page)) => self.by_orders(known, &page.items),
            Ok(Answer::Code(code)) => by_code(known, code),
            Ok(_) => unknown("the platform answered with something else"),
            Err(e) if e.status() == KL_E_NOT_FOUND => nothing_found(known),
            Err(e) => unknown(&["the question failed: ", e.message()].concat()),
        }
    }

    fn order_is_new(&self, act: &Act) -> bool {
        matches!(act, Act::Door(_))
    }

    fn movement_query(&self, act: &Act, receipt: &Receipt) -> Option<Query> {
        let kind = match act {
            Act::Door(_) => OrderKind::Cabinet,
            Act::Redeem(_) => OrderKind::Vending,
            Act::Write { .. } => return None,
        };
        let order_no = receipt.order_no.clone();
        (!order_no.is_empty()).then(|| Query::Order(OrderRef { kind, order_no, ..OrderRef::default() }))
    }

    fn movement(&self, act: &Act, receipt: &Receipt, answer: &Answer) -> Option<(Physical, String)> {
        match (act, answer) {
            (Act::Door(_), Answer::Order(order)) if order.order_no == receipt.order_no => door_of(order),
            (Act::Redeem(_), Answer::Order(order)) if order.order_no == receipt.order_no => {
                delivered(order.delivery).map(|physical| (physical, order.delivery_error.clone()))
            }
            _ => None,
        }
    }
}

impl Yopoint {
    /// The number that was sent with the command; empty if none was.
    fn number_of<'k>(&self, known: &Known<'k>) -> &'k str {
        match known.act {
            Act::Door(r) => self.number(&r.order_no, known.mark),
            Act::Write { trade_no, .. } => self.number(trade_no, known.mark),
            Act::Redeem(_) => "",
        }
    }

    /// The number that was sent is the library's own mark, which nobody else can have left.
    fn number_is_ours(&self, known: &Known<'_>) -> bool {
        known.mark_is_ours && !known.mark.is_empty() && self.number_of(known) == known.mark
    }

    fn door_queries(&self, known: &Known<'_>) -> Vec<Query> {
        let trade_no = self.number_of(known).to_owned();
        if trade_no.is_empty() {
            return Vec::new();
        }
        let mut all = vec![Query::Order(OrderRef { trade_no, ..OrderRef::default() })];
        if let Some(sent) = known.sent {
            let latest = known.alive.map_or(sent.latest_ms, |alive| alive.latest_ms);
            let query = OrderQuery {
                from: (sent.earliest_ms.div_euclid(1000) - LIST_MARGIN_S).max(0),
                to: latest.div_euclid(1000) + LIST_MARGIN_S,
                ..OrderQuery::default()
            };
            if query.to >= query.from {
                all.push(Query::Orders(query, LIST_PAGE));
            }
        }
        all
    }

    /// Whether the order is the one that this command made. Our own number is enough: nobody else can have left it. A
    /// caller's number may stand in an older order too, or in a later one.
    fn made(&self, known: &Known<'_>, order: &Order) -> bool {
        let cabinet_id = match known.act {
            Act::Door(r) => r.cabinet_id.as_str(),
            // The Token named the machine; the record of the command does not.
            Act::Write { .. } => order.cabinet_id.as_str(),
            Act::Redeem(_) => return false,
        };
        let number = self.number_of(known);
        if number.is_empty() || order.trade_no != number || order.order_no.is_empty() {
            return false;
        }
        if self.number_is_ours(known) {
            return order.cabinet_id == cabinet_id || order.cabinet_id.is_empty();
        }
        order.cabinet_id == cabinet_id
            && known.alone
            && (made_meanwhile(known, order) || made_since(known, order))
    }

    fn by_orders<O: std::borrow::Borrow<Order>>(&self, known: &Known<'_>, orders: &[O]) -> Verdict {
        let ours: Vec<&Order> =
            orders.iter().map(std::borrow::Borrow::borrow).filter(|o| self.made(known, o)).collect();
        match ours[..] {
            [order] => done(known.act, order),
            [] if orders.is_empty() => nothing_found(known),
            [] => unknown("none of the orders that the platform gives is certainly the one of this command"),
            // Orders that replace an older one bear its number too.
            _ if self.number_is_ours(known) => ours
                .iter()
                .min_by_key(|o| o.order_no.get(2..))
                .map_or_else(|| nothing_found(known), |o| done(known.act, o)),
            _ => unknown("several orders bear the number of this command"),
        }
    }

    /// What a signed callback proves of a command whose answer was lost.
    pub(super) fn by_event(&self, known: &Known<'_>, event: &Event) -> Option<Verdict> {
        match (known.act, event.kind, &event.order) {
            // An order that replaces another has the same numbers, but no door opened for it.
            (Act::Door(_), EventKind::Recognized, Some(order)) if self.made(known, order) => {
                // Goods are recognised when the door is shut again: so it was open.
                let (physical, why) = door_of(order).unwrap_or((Physical::Confirmed, String::new()));
                Some(Verdict::Done(receipt_of(order, &event.report_url), physical, why))
            }
            (Act::Redeem(r), EventKind::VoucherRedeemed, _) => {
                let same = !event.cabinet_id.is_empty()
                    && event.cabinet_id == r.cabinet_id
                    && canonical_code(&event.voucher_code) == canonical_code(&r.code);
                if !same || !known.alone || !within(known.sent, known.alive, event.sent_at) {
                    return None;
                }
                let receipt = Receipt {
                    order_no: event.order_no.clone(),
                    json: event.json.clone(),
                    ..Receipt::default()
                };
                let physical = delivered(event.delivery).unwrap_or(Physical::Pending);
                Some(Verdict::Done(receipt, physical, event.message.clone()))
            }
            _ => None,
        }
    }
}

fn unknown(why: &str) -> Verdict {
    Verdict::Unknown(why.to_owned())
}

fn nothing_found(known: &Known<'_>) -> Verdict {
    unknown(if known.mature {
        "the platform knows nothing of it, which proves nothing"
    } else {
        "the platform knows nothing of it yet; it may still be on its way"
    })
}

fn done(act: &Act, order: &Order) -> Verdict {
    let (physical, why) = match act {
        Act::Door(_) => door_of(order).unwrap_or((Physical::Pending, String::new())),
        _ => (Physical::None, String::new()),
    };
    Verdict::Done(receipt_of(order, ""), physical, why)
}

/// A code that was used at this machine while our request could live. The platform keeps nothing of ours with it.
fn by_code(known: &Known<'_>, code: &PickupCode) -> Verdict {
    let Act::Redeem(r) = known.act else { return unknown("the platform answered with something else") };
    if canonical_code(&code.code) != canonical_code(&r.code) || code.used_at == 0 {
        return unknown("the platform does not tell when and where the code was used, if it was");
    }
    if code.cabinet_id != r.cabinet_id || !known.alone || !within(known.sent, known.alive, code.used_at) {
        return unknown(
            "the code was used at another machine or at another time, or nobody can tell by whom",
        );
    }
    let receipt = Receipt { order_no: code.order_no.clone(), json: code.json.clone(), ..Receipt::default() };
    Verdict::Done(receipt, Physical::Pending, String::new())
}

/// Whether a time in whole seconds lies in the life of the request. Without its bounds nothing is judged by time.
fn within(sent: Option<Span>, alive: Option<Span>, at: i64) -> bool {
    let (Some(sent), Some(alive)) = (sent, alive) else { return false };
    at >= sent.earliest_ms.div_euclid(1000) && at <= alive.latest_ms.div_euclid(1000)
}

/// Whether an order was made while the request could live: by `CreateAt`, else by the time that stands in `ReceiptNo`.
fn made_meanwhile(known: &Known<'_>, order: &Order) -> bool {
    let at = match order.created_at {
        0 => time_in(&order.order_no),
        told => Some(told),
    };
    at.is_some_and(|at| within(known.sent, known.alive, at))
}

/// The same without a clock: the order is not older than the one of the last command before ours, and was there before our
/// request could be over. Both times stand in the numbers of the orders, by one clock.
fn made_since(known: &Known<'_>, order: &Order) -> bool {
    let (before, at) = (time_in(known.previous), time_in(&order.order_no));
    !known.mature && before.is_some_and(|before| at.is_some_and(|at| at >= before))
}

/// The time in an order's number: two letters, `yyMMddHHmmss` by China's clock, six digits (inferred from examples).
fn time_in(receipt_no: &str) -> Option<i64> {
    let digits = receipt_no.get(2..)?;
    let letters = receipt_no.bytes().take(2).all(|b| b.is_ascii_uppercase());
    if !letters || digits.len() != 18 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (d, t) = digits[..12].split_at(6);
    let part = |text: &str, between: &str| [&text[..2], between, &text[2..4], between, &text[4..]].concat();
    calendar::unix_time(&["20", &part(d, "-"), " ", &part(t, ":")].concat())
}

/// What an order says of its door; `None`: nothing yet. A fresh order may say 0, shut, before the door has opened.
fn door_of(order: &Order) -> Option<(Physical, String)> {
    match order.door {
        DoorState::Open => Some((Physical::Confirmed, String::new())),
        DoorState::Shut if order.service == ServiceState::Ended => Some((Physical::Confirmed, String::new())),
        DoorState::NeverOpened => Some((Physical::Failed, "the machine did not open".to_owned())),
        _ => None,
    }
}

/// What a vending machine did; `None`: not known yet. Goods that wait to be picked up did not come out.
pub(super) fn delivered(state: DeliveryState) -> Option<Physical> {
    match state {
        DeliveryState::Delivered => Some(Physical::Confirmed),
        DeliveryState::Failed => Some(Physical::Failed),
        _ => None,
    }
}
