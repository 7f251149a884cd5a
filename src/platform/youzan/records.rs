//! Cabinets, goods, orders and codes in Youzan's records. Numbers come in quotes or not, sums in fen or in yuan: each field
//! is read as its API writes it. What cannot be read is not told; only an order that was asked for must have its number.

use super::super::fields::{self, lenient, nested, scalar, scaled};
use crate::json::{self, Bad, Json, Object};
use crate::model::*;

type Read<T> = Result<T, Bad>;

/// The fields of a record; none if it is no object.
fn opened(record: Json<'_>) -> Option<Object<'_>> {
    record.object().ok()
}

/// A sum in yuan under the first key that has anything, in fen; `None` if that is no sum.
fn yuan(o: &Object<'_>, keys: &[&str]) -> Option<i64> {
    scaled(&lenient::text(o, keys), 2)
}

/// A pickup point. The tables say snake_case, a published sample says camelCase.
pub(super) fn cabinet(record: Json<'_>) -> Cabinet {
    let mut cabinet = Cabinet { door_count: -1, json: record.text().to_owned(), ..Cabinet::default() };
    let Some(o) = opened(record) else { return cabinet };
    cabinet.address = [
        lenient::text(&o, &["province"]),
        lenient::text(&o, &["city"]),
        lenient::text(&o, &["area", "county", "district"]),
        lenient::text(&o, &["address", "address_detail", "addressDetail"]),
    ]
    .concat();
    cabinet.id = lenient::text(&o, &["id", "offline_id", "offlineId"]);
    cabinet.name = lenient::text(&o, &["name"]);
    cabinet.longitude = lenient::degrees(&o, "lng");
    cabinet.latitude = lenient::degrees(&o, "lat");
    cabinet
}

/// Goods on sale in the whole shop. The price is in fen here.
pub(super) fn stock_item(record: Json<'_>) -> StockItem {
    let mut item = StockItem {
        price: -1,
        stock: -1,
        capacity: -1,
        sold: -1,
        json: record.text().to_owned(),
        ..StockItem::default()
    };
    let Some(o) = opened(record) else { return item };
    item.id = lenient::text(&o, &["item_id"]);
    item.product_id = lenient::text(&o, &["item_no"]);
    item.barcode = lenient::text(&o, &["barcode"]);
    item.name = lenient::text(&o, &["title"]);
    item.image_url = lenient::text(&o, &["image", "pic_url"]);
    item.price = lenient::fen(&o, &["price"]).unwrap_or(-1);
    item.stock = lenient::count(&o, &["quantity"]);
    item.sold = lenient::count(&o, &["sold_num"]);
    item.shelved_at = lenient::time(&o, &["created_time"]);
    item
}

/// `{full_order_info: …}` in a list: one that names no order is given with what else it tells.
pub(super) fn listed_order(record: Json<'_>, kind: OrderKind) -> Order {
    order(record, kind).unwrap_or_else(|_| new_order(record, kind))
}

fn new_order(record: Json<'_>, kind: OrderKind) -> Order {
    Order { kind, amount: -1, pay_type: -1, json: record.text().to_owned(), ..Order::default() }
}

/// An order of `trade.get` 4.0 and its like, with refunds beside it where they are sent. Sums are in yuan.
pub(super) fn order(record: Json<'_>, kind: OrderKind) -> Read<Order> {
    let whole = record.object()?;
    let full = part(&whole, "full_order_info").ok_or_else(|| json::missing("full_order_info"))?;
    let info = part(&full, "order_info").ok_or_else(|| json::missing("order_info"))?;
    let mut order = new_order(record, kind);
    order.order_no = lenient::text(&info, &["tid"]);
    if order.order_no.is_empty() {
        return Err(json::missing("tid").under("order_info"));
    }
    order.cabinet_id = an_id(lenient::text(&info, &["offline_id"]));
    order.pay_type = lenient::count(&info, &["pay_type"]);
    order.refund_state = lenient::count(&info, &["refund_state"]).max(0);
    order.created_at = lenient::time(&info, &["created"]);
    let fetched = lenient::int(&info, &["express_type"]) == Some(1);
    states(&mut order, &info, fetched);
    if let Some(pay) = part(&full, "pay_info") {
        order.amount = yuan(&pay, &["payment", "total_fee"]).unwrap_or(-1);
        let numbers = ["outer_transactions", "transaction"].into_iter().flat_map(|key| first(&pay, key));
        order.trade_no = numbers.into_iter().find(|n| !n.is_empty()).unwrap_or_default();
    }
    if let Some(buyer) = part(&full, "buyer_info") {
        order.user_id = lenient::text(&buyer, &["yz_open_id", "buyer_id"]);
        order.open_id = lenient::text(&buyer, &["outer_user_id"]);
    }
    if order.cabinet_id.is_empty() {
        order.cabinet_id = part(&full, "address_info").map(|a| self_fetch_point(&a)).unwrap_or_default();
    }
    order.lines = lenient::list(&full, &["orders"]).into_iter().map(line).collect();
    refunds(&mut order, &whole);
    Ok(order)
}

/// An id of which 0 says that there is none.
fn an_id(id: String) -> String {
    if id == "0" { String::new() } else { id }
}

/// The pickup point in an address: JSON in a text.
fn self_fetch_point(address: &Object<'_>) -> String {
    let Some(point) = nested(address.get("self_fetch_info").ok().flatten()) else { return String::new() };
    let o = Json::parse(point.as_bytes()).and_then(Json::object);
    an_id(o.map(|o| lenient::text(&o, &["id"])).unwrap_or_default())
}

/// The first of a list of texts.
fn first(o: &Object<'_>, key: &str) -> Option<String> {
    lenient::list(o, &[key]).first().map(|v| scalar(*v).into_owned())
}

/// What went back, and when it was asked for.
fn refunds(order: &mut Order, whole: &Object<'_>) {
    // Money went back in part or whole; a refund under way is none yet.
    let refunded = matches!(order.refund_state, 2 | 12);
    for o in lenient::list(whole, &["refund_order"]).into_iter().filter_map(opened) {
        if refunded {
            order.refunded = order.refunded.saturating_add(yuan(&o, &["refund_fee"]).unwrap_or(0));
        }
        order.refund_at = order.refund_at.max(lenient::time(&o, &["refund_time"]));
    }
}

/// What the words of either generation of APIs say, and when it was paid.
fn states(order: &mut Order, o: &Object<'_>, fetched: bool) {
    let pay_time = lenient::text(o, &["pay_time"]);
    order.paid_at = fields::time(&pay_time).unwrap_or(0);
    let paid = order.paid_at > 0;
    let waiting = if fetched { DeliveryState::AwaitingPickup } else { DeliveryState::Pending };
    (order.payment, order.service, order.delivery) = match lenient::text(o, &["status"]).as_str() {
        "WAIT_BUYER_PAY" | "TRADE_NO_CREATE_PAY" | "WAIT_PAY_RETURN" => {
            (PaymentState::Unpaid, ServiceState::NotStarted, DeliveryState::Unknown)
        }
        "TRADE_PAID" | "WAIT_CONFIRM" | "WAIT_GROUP" | "WAIT_SELLER_SEND_GOODS" => {
            (PaymentState::Paid, ServiceState::NotStarted, waiting)
        }
        "WAIT_BUYER_CONFIRM_GOODS" => (PaymentState::Paid, ServiceState::InService, waiting),
        "TRADE_SUCCESS" | "TRADE_BUYER_SIGNED" => {
            (PaymentState::Paid, ServiceState::Ended, DeliveryState::Delivered)
        }
        "TRADE_CLOSED" => (
            match (paid, pay_time.is_empty() || fields::time(&pay_time) == Some(0)) {
                (true, _) => PaymentState::Paid,
                (false, true) => PaymentState::Failed,
                // There is a time of payment, but no such time.
                (false, false) => PaymentState::Unknown,
            },
            ServiceState::Ended,
            DeliveryState::Unknown,
        ),
        _ => (
            if paid { PaymentState::Paid } else { PaymentState::Unknown },
            ServiceState::Unknown,
            DeliveryState::Unknown,
        ),
    };
}

/// One line of an order of either model.
fn line(record: Json<'_>) -> OrderLine {
    let mut line = OrderLine { quantity: -1, price: -1, total: -1, ..OrderLine::default() };
    let Some(o) = opened(record) else { return line };
    line.product_id = an_id(lenient::text(&o, &["item_id", "num_iid"]));
    line.barcode = lenient::text(&o, &["sku_barcode", "item_barcode", "outer_sku_id", "outer_item_id"]);
    line.name = lenient::text(&o, &["title"]);
    line.quantity = lenient::count(&o, &["num"]);
    line.price = yuan(&o, &["price"]).unwrap_or(-1);
    line.total = yuan(&o, &["total_fee", "payment"]).unwrap_or(-1);
    line
}

/// An order of the old model, as the code lookups carry it. Sums are in yuan, counts in quotes.
fn old_order(record: Json<'_>, o: &Object<'_>) -> Order {
    let mut order = new_order(record, OrderKind::Cabinet);
    order.order_no = lenient::text(o, &["tid"]);
    order.trade_no = lenient::text(o, &["outer_tid", "transaction_tid"]);
    order.user_id = lenient::text(o, &["yz_open_id", "fans_id"]);
    order.amount = yuan(o, &["payment"]).unwrap_or(-1);
    order.refunded = yuan(o, &["refunded_fee"]).unwrap_or(0);
    order.refund_reason = lenient::text(o, &["refund_state"]);
    order.created_at = lenient::time(o, &["created"]);
    let fetched = lenient::text(o, &["shipping_type"]) == "fetch";
    states(&mut order, o, fetched);
    order.cabinet_id = part(o, "fetch_detail").map(|p| lenient::text(&p, &["shop_id"])).unwrap_or_default();
    order.lines = lenient::list(o, &["orders"]).into_iter().map(line).collect();
    order
}

/// The order in a code's lookup, of whichever model.
fn trade(o: &Object<'_>) -> Option<Order> {
    let record = o.get("trade").ok().flatten()?;
    let trade = opened(record)?;
    // The newer of the two models has its parts in boxes.
    if part(&trade, "full_order_info").is_some() {
        Some(listed_order(record, OrderKind::Cabinet))
    } else {
        Some(old_order(record, &trade))
    }
}

/// What a lookup told of a code. Its state is `Unknown` for a word that is not documented.
pub(super) fn code(record: Json<'_>, query: &CodeQuery) -> Read<PickupCode> {
    let o = record.object()?;
    let mut code = PickupCode {
        kind: query.kind,
        code: lenient::text(&o, &["code"]),
        order_no: lenient::text(&o, &["tid"]),
        quantity: -1,
        json: record.text().to_owned(),
        ..PickupCode::default()
    };
    if code.code.is_empty() {
        code.code.clone_from(&query.code);
    }
    if let Some(order) = trade(&o) {
        code.cabinet_id.clone_from(&order.cabinet_id);
        if code.order_no.is_empty() {
            code.order_no.clone_from(&order.order_no);
        }
        if let [line] = &order.lines[..] {
            code.product_id.clone_from(&line.product_id);
        }
        code.order = Some(Box::new(order));
    }
    let u = usage(&o, query.kind);
    code.state = u.state;
    match query.kind {
        CodeKind::Pickup => code.state_text = lenient::text(&o, &["status"]),
        CodeKind::Virtual => {
            code.state_text = lenient::text(&o, &["status"]);
            code.created_at = lenient::time(&o, &["send_time"]);
        }
        CodeKind::Voucher => {
            code.state_text = lenient::text(&o, &["state"]);
            code.created_at = lenient::time(&o, &["create_time"]);
            code.quantity = i32::try_from(u.parts.len()).unwrap_or(-1);
        }
    }
    code.used_at = u.parts.iter().filter_map(|p| p.at).max().unwrap_or(0);
    Ok(code)
}

/// What a lookup says of the use of a code: what the proof goes by.
#[derive(Clone, Debug)]
pub(super) struct Usage {
    /// The code as a whole.
    pub(super) state: CodeState,
    /// What it is good for: one part, or each ticket of a voucher.
    pub(super) parts: Vec<Part>,
    /// What whoever redeemed it said of themselves, in the platform's words; empty if it does not tell.
    pub(super) redeemer: String,
    /// The code is good for several periods: unused says nothing of the last one, and used nothing of those before.
    pub(super) periodic: bool,
}

/// One use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Used or not.
    pub(super) state: CodeState,
    /// When it was used, Unix seconds; `None` if it was not, or if it is not told when.
    pub(super) at: Option<i64>,
}

/// An item that is delivered in periods, `item_type` of an order's line.
const PERIODIC_ITEM: i64 = 24;

/// Reads it from a lookup's record.
pub(super) fn usage(o: &Object<'_>, kind: CodeKind) -> Usage {
    let state_word = |key: &str| lenient::text(o, &[key]);
    let when = |o: &Object<'_>, key: &str| fields::time(&lenient::text(o, &[key])).filter(|at| *at > 0);
    let (state, parts) = match kind {
        CodeKind::Pickup => {
            let state = one_of(&state_word("status"), "0", "1");
            (state, vec![Part { state, at: None }])
        }
        CodeKind::Virtual => {
            let state = one_of(&state_word("status"), "1", "2");
            (state, vec![Part { state, at: when(o, "use_time") }])
        }
        CodeKind::Voucher => {
            let tickets = lenient::list(o, &["tickets"]);
            let ticket = |record: Json<'_>| match opened(record) {
                Some(t) => Part {
                    state: ticket_state(&lenient::text(&t, &["ticket_state"])),
                    at: when(&t, "verify_time"),
                },
                None => Part { state: CodeState::Unknown, at: None },
            };
            let parts: Vec<Part> = tickets.into_iter().map(ticket).collect();
            (voucher_state(&state_word("state"), &parts), parts)
        }
    };
    let lines = part(o, "trade").map(|t| part(&t, "full_order_info").unwrap_or(t));
    let lines = lines.map(|t| {
        lenient::list(&t, &["orders"])
            .into_iter()
            .filter_map(opened)
            .any(|l| lenient::int(&l, &["item_type"]) == Some(PERIODIC_ITEM))
    });
    let count = lenient::text(o, &["total_count"]);
    Usage {
        state,
        parts,
        redeemer: lenient::text(o, &["extra_info", "verify_person"]),
        periodic: !matches!(count.as_str(), "" | "0" | "1") || lines.unwrap_or(false),
    }
}

fn one_of(word: &str, unused: &str, used: &str) -> CodeState {
    match word {
        _ if word == unused => CodeState::Unused,
        _ if word == used => CodeState::Used,
        _ => CodeState::Unknown,
    }
}

/// A voucher as a whole: by its own word, else by its tickets.
fn voucher_state(word: &str, tickets: &[Part]) -> CodeState {
    let own = ticket_state(word);
    if own != CodeState::Unknown {
        return own;
    }
    // As long as one ticket is left, the code is good for something.
    if tickets.iter().any(|t| t.state == CodeState::Unused) {
        return CodeState::Unused;
    }
    match tickets.first() {
        Some(first) if tickets.iter().all(|t| t.state == first.state) => first.state,
        _ => CodeState::Unknown,
    }
}

/// The prose says NOT_VERIFIED, the samples say NOT_VERIFY.
fn ticket_state(word: &str) -> CodeState {
    match word {
        "NOT_VERIFY" | "NOT_VERIFIED" => CodeState::Unused,
        "VERIFIED" => CodeState::Used,
        "EXPIRED" => CodeState::Expired,
        "REFUNDING" => CodeState::Refunding,
        "DISABLED" => CodeState::Disabled,
        _ => CodeState::Unknown,
    }
}

/// What a redemption answered: `{"is_success":true}`, `{"successful":true}` or a bare `true`. Anything else proves
/// nothing, and the command stays unknown.
pub(super) fn redeemed(data: Json<'_>) -> Read<Receipt> {
    let done = match data.kind() {
        json::Kind::Bool => data.bool()?,
        _ => {
            let o = data.object()?;
            let keys = ["is_success", "successful", "isSuccess"];
            lenient::yes(&o, &keys).ok_or_else(|| json::missing("is_success"))?
        }
    };
    if !done {
        return Err(Bad::new("is_success", "is false, yet nothing was refused"));
    }
    Ok(Receipt { json: data.text().to_owned(), ..Receipt::default() })
}

/// An object inside; `None` if there is none, also where PHP writes an empty one as a list.
fn part<'a>(o: &Object<'a>, key: &str) -> Option<Object<'a>> {
    lenient::object(o, &[key])
}
