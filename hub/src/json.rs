//! What a kiosk gets, as JSON. The names are those of the library's structures; states are words.

use kiosklink::command::rules::Stage;
use kiosklink::command::{Command, Physical, SettledBy};
use kiosklink::error::{Advice, Error, Outcome};
use kiosklink::event::{Event, EventKind, SignedWith};
use kiosklink::model::*;
use kiosklink::status;
use serde_json::{Map, Value, json};

/// The platform's own record: JSON if it is, else text.
fn raw(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

fn tri(value: Tri) -> Value {
    match value {
        Tri::Unknown => Value::Null,
        Tri::No => json!(false),
        Tri::Yes => json!(true),
    }
}

/// What is not known is left out.
fn known(value: Value) -> Value {
    let Value::Object(all) = value else { return value };
    let told = |v: &Value| !v.is_null() && v.as_str() != Some("") && v.as_str() != Some("unknown");
    Value::Object(all.into_iter().filter(|(_, v)| told(v)).collect::<Map<_, _>>())
}

fn number(n: impl Into<i64>) -> Value {
    let n = n.into();
    if n < 0 { Value::Null } else { json!(n) }
}

/// An outcome's word.
pub fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::None => "none",
        Outcome::Done => "done",
        Outcome::NotDone => "not_done",
        Outcome::Unknown => "unknown",
    }
}

fn advice(advice: Advice) -> &'static str {
    match advice {
        Advice::None => "none",
        Advice::Retry => "retry",
        Advice::AskFirst => "ask_first",
        Advice::CallPerson => "call_person",
        Advice::Fix => "fix",
    }
}

fn physical(physical: Physical) -> &'static str {
    match physical {
        Physical::None => "none",
        Physical::Pending => "pending",
        Physical::Confirmed => "confirmed",
        Physical::Failed => "failed",
        Physical::Unknowable => "unknowable",
    }
}

fn by(by: SettledBy) -> &'static str {
    match by {
        SettledBy::Nobody => "nobody",
        SettledBy::Answer => "answer",
        SettledBy::Query => "query",
        SettledBy::Event => "event",
        SettledBy::Sensor => "sensor",
        SettledBy::Person => "person",
        SettledBy::Journal => "journal",
    }
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Begun => "begun",
        Stage::Sent => "sent",
        Stage::Done => "done",
        Stage::NotDone => "not_done",
        Stage::Unknown => "unknown",
        Stage::Kept => "kept",
    }
}

fn name_of(code: i32) -> &'static str {
    status::name(code).unwrap_or("KL_E_?")
}

/// A command, under the name that the kiosk gave it.
pub fn command(c: &Command, request_id: &str) -> Value {
    json!({
        "request_id": request_id,
        "outcome": outcome(c.outcome),
        "stage": stage(c.stage),
        "recorded": c.recorded,
        "physical": physical(c.physical),
        "physical_error": c.physical_error,
        "settled_by": by(c.settled_by),
        "status": c.status,
        "status_name": name_of(c.status),
        "message": c.message,
        "order_no": c.order_no(),
        "item_no": c.receipt.item_no,
        "delivery_no": c.receipt.delivery_no,
        "can_report_payment": !c.receipt.report_url.is_empty(),
        "sent_mark": c.mark,
        "refusal": {"http_status": c.refusal.http, "name": c.refusal.name, "words": c.refusal.words},
        "started_at": c.started_at,
        "sent_at": c.sent_at,
        "ended_at": c.ended_at,
        "mature_in_ms": c.mature_in_ms,
        "visit_id": c.visit_id,
        "context": c.context,
    })
}

/// An error, with what became of the command that it is about.
pub fn error(e: &Error) -> Value {
    let d = e.details();
    json!({
        "outcome": outcome(d.outcome),
        "status": d.status,
        "status_name": name_of(d.status),
        "message": d.message,
        "advice": advice(d.advice),
        "retry_after_ms": d.retry_after_ms,
        "http_status": d.http_status,
        "platform_code": d.platform_code,
        "platform_name": d.platform_name,
        "platform_message": d.platform_message,
    })
}

/// A cabinet.
pub fn cabinet(c: &Cabinet) -> Value {
    known(json!({
        "id": c.id, "name": c.name, "device_code": c.device_code, "code": c.code, "address": c.address,
        "online": tri(c.online), "door_count": number(c.door_count),
        "sale": match c.sale {
            SaleState::Unknown => "unknown",
            SaleState::Selling => "selling",
            SaleState::Stopped => "stopped",
            SaleState::ToBeDeployed => "to_be_deployed",
        },
        "json": raw(&c.json),
    }))
}

/// Goods in a cabinet.
pub fn stock(s: &StockItem) -> Value {
    known(json!({
        "cabinet_id": s.cabinet_id, "id": s.id, "product_id": s.product_id, "barcode": s.barcode, "name": s.name,
        "image_url": s.image_url, "lanes": s.lanes, "price": number(s.price), "stock": number(s.stock),
        "capacity": number(s.capacity), "sold": number(s.sold), "shelved_at": s.shelved_at, "json": raw(&s.json),
    }))
}

fn door(door: DoorState) -> &'static str {
    match door {
        DoorState::Unknown => "unknown",
        DoorState::Open => "open",
        DoorState::Shut => "shut",
        DoorState::NeverOpened => "never_opened",
    }
}

fn delivery(delivery: DeliveryState) -> &'static str {
    match delivery {
        DeliveryState::Unknown => "unknown",
        DeliveryState::Pending => "pending",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Failed => "failed",
        DeliveryState::AwaitingPickup => "awaiting_pickup",
        DeliveryState::OutOfStock => "out_of_stock",
    }
}

fn line(l: &OrderLine) -> Value {
    known(json!({
        "barcode": l.barcode, "name": l.name, "quantity": number(l.quantity), "price": number(l.price),
        "total": number(l.total), "item_no": l.item_no, "product_id": l.product_id, "delivery": delivery(l.delivery),
        "state_text": l.state_text,
    }))
}

/// An order.
pub fn order(o: &Order) -> Value {
    known(json!({
        "order_no": o.order_no, "trade_no": o.trade_no, "cabinet_id": o.cabinet_id, "user_id": o.user_id,
        "payment": match o.payment {
            PaymentState::Unknown => "unknown",
            PaymentState::Unpaid => "unpaid",
            PaymentState::Paid => "paid",
            PaymentState::Failed => "failed",
        },
        "service": match o.service {
            ServiceState::Unknown => "unknown",
            ServiceState::NotStarted => "not_started",
            ServiceState::InService => "in_service",
            ServiceState::Ended => "ended",
        },
        "door": door(o.door), "delivery": delivery(o.delivery), "delivery_error": o.delivery_error,
        "amount": number(o.amount), "refunded": number(o.refunded), "created_at": o.created_at, "paid_at": o.paid_at,
        "lines": o.lines.iter().map(line).collect::<Vec<_>>(), "state_text": o.state_text, "json": raw(&o.json),
    }))
}

/// A pickup code.
pub fn code(c: &PickupCode) -> Value {
    known(json!({
        "code": c.code, "id": c.id,
        "kind": match c.kind {
            CodeKind::Pickup => "pickup",
            CodeKind::Virtual => "virtual",
            CodeKind::Voucher => "voucher",
        },
        "state": match c.state {
            CodeState::Unknown => "unknown",
            CodeState::Unused => "unused",
            CodeState::Used => "used",
            CodeState::Expired => "expired",
            CodeState::Refunding => "refunding",
            CodeState::Disabled => "disabled",
        },
        "state_text": c.state_text, "cabinet_id": c.cabinet_id, "product_id": c.product_id, "order_no": c.order_no,
        "quantity": number(c.quantity), "created_at": c.created_at, "expires_at": c.expires_at, "used_at": c.used_at,
        "order": c.order.as_deref().map(order), "json": raw(&c.json),
    }))
}

fn kind(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Other => "other",
        EventKind::Test => "test",
        EventKind::DoorClosed => "door_closed",
        EventKind::Recognized => "recognized",
        EventKind::OrderPaid => "order_paid",
        EventKind::RefundApproved => "refund_approved",
        EventKind::OrderReplaced => "order_replaced",
        EventKind::Delivery => "delivery",
        EventKind::VoucherRedeemed => "voucher_redeemed",
        EventKind::CabinetChanged => "cabinet_changed",
        EventKind::ReturnSlip => "return_slip",
        EventKind::RefundRequested => "refund_requested",
        EventKind::RefundFinished => "refund_finished",
        EventKind::PayPage => "pay_page",
        EventKind::OrderChanged => "order_changed",
        EventKind::OrderFinished => "order_finished",
        EventKind::OrderClosed => "order_closed",
        EventKind::RefundChanged => "refund_changed",
        EventKind::StockChanged => "stock_changed",
        EventKind::AppChanged => "app_changed",
    }
}

/// A callback.
pub fn event(e: &Event) -> Value {
    known(json!({
        "kind": kind(e.kind), "method": e.method, "sent_at": e.sent_at, "notice_id": e.notice_id, "order_no": e.order_no,
        "item_no": e.item_no, "trade_no": e.trade_no, "cabinet_id": e.cabinet_id, "door": door(e.door),
        "delivery": delivery(e.delivery), "message": e.message, "amount": number(e.amount), "at": e.at,
        "voucher_id": e.voucher_id, "voucher_code": e.voucher_code, "version": e.version, "stale": e.stale,
        "lines": e.lines.iter().map(line).collect::<Vec<_>>(),
        "order": e.order.as_deref().map(order), "cabinet": e.cabinet.as_deref().map(cabinet),
        // What nobody signed is a reason to ask, and no news.
        "signed": e.signed_with != SignedWith::Nothing,
        "can_report_payment": !e.report_url.is_empty(),
        "json": raw(&e.json),
    }))
}
