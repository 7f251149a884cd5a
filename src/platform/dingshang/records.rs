//! The platform's records as the model. Zero, false and empty values are left out by the platform: what is missing is zero, or
//! no. What is odd is not told; only the numbers that money and doors hang on must be there.

use crate::json::{self, Bad, Json, Kind as JsonKind, Object, decimal};
use crate::model::*;
use crate::platform::fields::{Read, lenient, scalar, scaled};

/// A list; an empty one may come as `[]`, `{}`, `""`, false, null or not at all, a full one as an object with the keys 1, 2
/// and so on. Anything else is an error: to take it for empty would be a guess. A row that is no record becomes one that tells
/// nothing: whoever counts must see it.
pub(super) fn listed<'a, T>(
    data: Option<Json<'a>>,
    read: impl Fn(&Object<'a>, &'a str) -> T,
) -> Read<Vec<T>> {
    let Some(data) = data else { return Ok(Vec::new()) };
    let rows = lenient::items(data);
    let empty = match data.kind() {
        JsonKind::Array => true,
        JsonKind::Object => data.object()?.fields().is_empty(),
        _ => matches!(data.text(), "\"\"" | "false"),
    };
    if rows.is_empty() && !empty {
        return Err(Bad::new("", "is no list"));
    }
    let blank = Json::parse(b"{}")?.object()?;
    Ok(rows
        .into_iter()
        .map(|row| match row.object() {
            Ok(o) => read(&o, row.text()),
            Err(_) => read(&blank, row.text()),
        })
        .collect())
}

/// The paginator around the products, which vanishes when there are none.
pub(super) fn products(data: Option<Json<'_>>, cabinet_id: &str) -> Read<Page<StockItem>> {
    let read = |o: &Object<'_>, text: &str| product(o, text, cabinet_id);
    let pager = data.and_then(|d| d.object().ok());
    let Some(o) = pager.filter(|o| o.fields().iter().any(|(k, _)| k == "data" || k == "total")) else {
        let items = listed(data, read)?;
        return Ok(Page { total: Some(items.len() as u64), items, more: Some(false) });
    };
    let items = listed(o.get("data")?, read).map_err(|b| b.under("data"))?;
    let number = |key| lenient::int(&o, &[key]);
    let more = match number("last_page") {
        // An empty page is the last, whatever the numbers beside it say.
        _ if items.is_empty() => Some(false),
        Some(last) => Some(number("current_page").unwrap_or(0) < last),
        None => None,
    };
    Ok(Page { items, total: number("total").and_then(|t| u64::try_from(t).ok()), more })
}

fn product(o: &Object<'_>, text: &str, cabinet_id: &str) -> StockItem {
    let good = lenient::object(o, &["good"]);
    let of_good = |key: &str| good.as_ref().map(|g| lenient::text(g, &[key])).unwrap_or_default();
    let lane = lenient::object(o, &["channel"]);
    let id = id_of(o, "id");
    StockItem {
        cabinet_id: cabinet_id.to_owned(),
        product_id: id.clone(),
        id,
        barcode: String::new(),
        name: of_good("name"),
        image_url: of_good("thumb"),
        lanes: lane.map(|c| lenient::text(&c, &["name"])).unwrap_or_default(),
        price: good.as_ref().map_or(-1, |g| price(g, "price")),
        stock: amount(o, "current_inventory"),
        capacity: amount(o, "inventory"),
        sold: -1,
        shelved_at: 0,
        json: text.to_owned(),
    }
}

pub(super) fn cabinet(o: &Object<'_>, text: &str) -> Cabinet {
    let place = lenient::text(o, &["lng_lat"]);
    let (longitude, latitude) = place
        .split_once(',')
        .and_then(|(lng, lat)| Some((decimal(lng.trim())?, decimal(lat.trim())?)))
        .unwrap_or((0.0, 0.0));
    Cabinet {
        id: id_of(o, "machine_no"),
        name: lenient::text(o, &["machine_name"]),
        address: lenient::text(o, &["address"]),
        longitude,
        latitude,
        online: yes(o, "is_online").into(),
        sale: match yes(o, "status") {
            Some(true) => SaleState::Selling,
            Some(false) => SaleState::Stopped,
            None => SaleState::Unknown,
        },
        door_count: -1,
        json: text.to_owned(),
        ..Cabinet::default()
    }
}

/// An order. Its own number must be there: everything that is asked or dispensed goes by it.
pub(super) fn order(record: Json<'_>, cabinet_id: &str) -> Read<Order> {
    let o = record.object()?;
    let state = lenient::text(&o, &["status"]);
    let lines: Vec<OrderLine> = lenient::list(&o, &["records"])
        .into_iter()
        .filter_map(|r| Some(order_line(&r.object().ok()?)))
        .collect();
    Ok(Order {
        kind: OrderKind::Vending,
        order_no: must(&o, "order_id")?,
        trade_no: lenient::text(&o, &["trade_id"]),
        cabinet_id: cabinet_id.to_owned(),
        payment: match state.as_str() {
            // Nothing is to be paid for a code, and money that went back was paid before.
            "SUCCESS" | "PICKUPCODE" | "REFUND" => PaymentState::Paid,
            "NOTPAY" | "USERPAYING" => PaymentState::Unpaid,
            "PAYERROR" | "CLOSED" | "REVOKED" => PaymentState::Failed,
            _ => PaymentState::Unknown,
        },
        pay_type: -1,
        refund_state: i32::from(state == "REFUND") * 2,
        delivery: together(&lines),
        amount: price(&o, "amount"),
        lines,
        state_text: state,
        json: record.text().to_owned(),
        ..Order::default()
    })
}

fn order_line(o: &Object<'_>) -> OrderLine {
    let state = lenient::text(o, &["status"]);
    OrderLine {
        quantity: amount(o, "quantity"),
        price: price(o, "price"),
        total: -1,
        item_no: id_of(o, "id"),
        product_id: id_of(o, "product_id"),
        delivery: match state.as_str() {
            "WAITING_PICKED_UP" | "未取货" => DeliveryState::AwaitingPickup,
            "IS_DELIVERING" => DeliveryState::Pending,
            "IS_SUCCESS" | "IS_PICKED_UP" | "已取货" => DeliveryState::Delivered,
            "IS_FAILED" => DeliveryState::Failed,
            // Nobody knows what the machine did in the 120 s before a timeout; refunds come before and after.
            _ => DeliveryState::Unknown,
        },
        state_text: state,
        ..OrderLine::default()
    }
}

/// What is to be said of all items together: the worst first.
fn together(lines: &[OrderLine]) -> DeliveryState {
    use DeliveryState::*;
    [Failed, Unknown, Pending, AwaitingPickup, Delivered]
        .into_iter()
        .find(|state| lines.iter().any(|l| l.delivery == *state))
        .unwrap_or_default()
}

/// The receipt of a redemption that made this order; without an `item_no` if the order does not show it.
pub(super) fn redeemed(order: &Order) -> Receipt {
    Receipt {
        order_no: order.order_no.clone(),
        item_no: order.lines.first().map(|l| l.item_no.clone()).unwrap_or_default(),
        json: order.json.clone(),
        ..Receipt::default()
    }
}

/// The receipt of a delivery that was taken. That it was taken is what the envelope says; its number is of use only for asking.
pub(super) fn dispensed(data: Option<Json<'_>>, r: &DoorRequest) -> Receipt {
    let id = data.and_then(|d| d.object().ok()).map(|o| id_of(&o, "delivery_id"));
    Receipt {
        order_no: r.order_no.clone(),
        item_no: r.item_no.clone(),
        delivery_no: id.unwrap_or_default(),
        json: data.map_or("null", Json::text).to_owned(),
        ..Receipt::default()
    }
}

pub(super) fn code(o: &Object<'_>, text: &str, query: &CodeQuery) -> PickupCode {
    let state = lenient::text(o, &["status"]);
    PickupCode {
        kind: CodeKind::Pickup,
        code: lenient::text(o, &["code"]),
        id: id_of(o, "id"),
        state: match state.as_str() {
            "UNUSED" => CodeState::Unused,
            "USED" => CodeState::Used,
            "EXPIRED" => CodeState::Expired,
            _ => CodeState::Unknown,
        },
        state_text: state,
        cabinet_id: query.cabinet_id.clone(),
        product_id: query.product_id.clone(),
        quantity: lenient::count(o, &["quantity"]),
        created_at: lenient::time(o, &["created_at"]),
        expires_at: lenient::time(o, &["expired_at"]),
        json: text.to_owned(),
        ..PickupCode::default()
    }
}

/// A number that names something: documented as a number here and as a text there. Empty if there is none.
pub(super) fn id_of(o: &Object<'_>, key: &str) -> String {
    let Some(value) = o.get(key).ok().flatten() else { return String::new() };
    match value.kind() {
        JsonKind::String => scalar(value).trim().to_owned(),
        JsonKind::Number => scaled(value.text(), 0).map(|n| n.to_string()).unwrap_or_default(),
        _ => String::new(),
    }
}

/// The same, which must be there.
pub(super) fn must(o: &Object<'_>, key: &str) -> Read<String> {
    // Twice with two values is said as such.
    let there = o.get(key)?.is_some();
    match id_of(o, key) {
        id if !id.is_empty() => Ok(id),
        _ if there => Err(Bad::new(key, "is no number of the platform's")),
        _ => Err(json::missing(key)),
    }
}

/// The first of these keys that holds words. What is no text says nothing: false stands for an empty one.
pub(super) fn said(o: &Object<'_>, keys: &[&str]) -> String {
    let text = |key: &&str| o.get(key).ok().flatten().map(Json::string_lossy).filter(|t| !t.is_empty());
    keys.iter().find_map(text).unwrap_or_default().into_owned()
}

/// How many; what is missing is none, what is odd is not told (-1).
fn amount(o: &Object<'_>, key: &str) -> i32 {
    if o.fields().iter().any(|(name, _)| name == key) { lenient::count(o, &[key]) } else { 0 }
}

/// A price in fen; -1 if there is none.
fn price(o: &Object<'_>, key: &str) -> i64 {
    lenient::yuan(o, &[key]).unwrap_or(-1)
}

/// What is missing is no; what is odd is not told.
fn yes(o: &Object<'_>, key: &str) -> Option<bool> {
    if o.fields().iter().any(|(name, _)| name == key) { lenient::yes(o, &[key]) } else { Some(false) }
}
