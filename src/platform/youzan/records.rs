//! Cabinets, goods, orders and codes in Youzan's records. Numbers come in quotes or not, sums in fen or in yuan: each field
//! is read as its API writes it.

use super::super::lenient::{degrees, int, int32, nested, nothing, text, time, yes, yuan};
use crate::json::{self, Bad, Json, Object};
use crate::model::*;

type Read<T> = Result<T, Bad>;

/// A pickup point. The tables say snake_case, a published sample says camelCase.
pub(super) fn cabinet(record: Json<'_>) -> Read<Cabinet> {
    let o = record.object()?;
    let place = [
        text(&o, &["province"])?,
        text(&o, &["city"])?,
        text(&o, &["area", "county", "district"])?,
        text(&o, &["address", "address_detail", "addressDetail"])?,
    ];
    let id = text(&o, &["id", "offline_id", "offlineId"])?;
    if id.is_empty() {
        return Err(json::missing("id"));
    }
    Ok(Cabinet {
        id,
        name: text(&o, &["name"])?,
        address: place.concat(),
        longitude: degrees(&o, "lng")?,
        latitude: degrees(&o, "lat")?,
        door_count: -1,
        json: record.text().to_owned(),
        ..Cabinet::default()
    })
}

/// Goods on sale in the whole shop. The price is in fen here.
pub(super) fn stock_item(record: Json<'_>) -> Read<StockItem> {
    let o = record.object()?;
    let id = text(&o, &["item_id"])?;
    if id.is_empty() {
        return Err(json::missing("item_id"));
    }
    Ok(StockItem {
        id,
        product_id: text(&o, &["item_no"])?,
        barcode: text(&o, &["barcode"])?,
        name: text(&o, &["title"])?,
        image_url: text(&o, &["image", "pic_url"])?,
        price: int(&o, &["price"])?.unwrap_or(-1),
        stock: int32(&o, &["quantity"])?.unwrap_or(-1),
        capacity: -1,
        sold: int32(&o, &["sold_num"])?.unwrap_or(-1),
        shelved_at: time(&o, &["created_time"])?,
        json: record.text().to_owned(),
        ..StockItem::default()
    })
}

/// `{full_order_info: …}` in a list.
pub(super) fn listed_order(record: Json<'_>, kind: OrderKind) -> Read<Order> {
    order(record, kind)
}

/// An order of `trade.get` 4.0 and its like, with refunds beside it where they are sent. Sums are in yuan.
pub(super) fn order(record: Json<'_>, kind: OrderKind) -> Read<Order> {
    let whole = record.object()?;
    let full = match whole.get("full_order_info")? {
        Some(full) => full.object().map_err(|b| b.under("full_order_info"))?,
        None => return Err(json::missing("full_order_info")),
    };
    let part = |key: &'static str| -> Read<Option<Object<'_>>> { filled(&full, key) };
    let mut order =
        Order { kind, amount: -1, pay_type: -1, json: record.text().to_owned(), ..Order::default() };
    let info = part("order_info")?.ok_or_else(|| json::missing("order_info"))?;
    let mut read = || -> Read<()> {
        order.order_no = text(&info, &["tid"])?;
        order.cabinet_id = text(&info, &["offline_id"])?;
        order.pay_type = int32(&info, &["pay_type"])?.unwrap_or(-1);
        order.refund_state = int32(&info, &["refund_state"])?.unwrap_or(0);
        order.created_at = time(&info, &["created"])?;
        order.paid_at = time(&info, &["pay_time"])?;
        let fetched = int(&info, &["express_type"])? == Some(1);
        states(&mut order, &text(&info, &["status"])?, fetched);
        Ok(())
    };
    read().map_err(|b| b.under("order_info"))?;
    if order.order_no.is_empty() {
        return Err(json::missing("tid").under("order_info"));
    }
    if order.cabinet_id == "0" {
        order.cabinet_id.clear();
    }
    if let Some(pay) = part("pay_info")? {
        let mut read = || -> Read<()> {
            order.amount = yuan(&pay, &["payment", "total_fee"])?.unwrap_or(-1);
            for key in ["outer_transactions", "transaction"] {
                if order.trade_no.is_empty() {
                    if let Some(first) = list(&pay, key)?.first() {
                        order.trade_no = first.string().map_err(|b| b.under(key))?.into_owned();
                    }
                }
            }
            Ok(())
        };
        read().map_err(|b| b.under("pay_info"))?;
    }
    if let Some(buyer) = part("buyer_info")? {
        order.user_id = text(&buyer, &["yz_open_id", "buyer_id"])?;
        order.open_id = text(&buyer, &["outer_user_id"])?;
    }
    if let Some(address) = part("address_info")? {
        if let Some(point) = nested(address.get("self_fetch_info")?)? {
            let id = Json::parse(point.as_bytes())
                .and_then(Json::object)
                .and_then(|o| text(&o, &["id"]))
                .map_err(|b| b.under("self_fetch_info"))?;
            if order.cabinet_id.is_empty() && id != "0" {
                order.cabinet_id = id;
            }
        }
    }
    for (i, line) in list(&full, "orders")?.into_iter().enumerate() {
        order.lines.push(new_line(line).map_err(|b| b.under(&format!("orders[{i}]")))?);
    }
    // Money went back in part or whole; a refund under way is none yet.
    let refunded = matches!(order.refund_state, 2 | 12);
    for (i, refund) in list(&whole, "refund_order")?.into_iter().enumerate() {
        let mut read = || -> Read<()> {
            let o = refund.object()?;
            let fee = yuan(&o, &["refund_fee"])?.unwrap_or(0);
            if refunded {
                order.refunded = order.refunded.saturating_add(fee);
            }
            order.refund_at = order.refund_at.max(time(&o, &["refund_time"])?);
            Ok(())
        };
        read().map_err(|b| b.under(&format!("refund_order[{i}]")))?;
    }
    Ok(order)
}

/// What the words of either generation of APIs say.
fn states(order: &mut Order, status: &str, fetched: bool) {
    let paid = order.paid_at > 0;
    let waiting = if fetched { DeliveryState::AwaitingPickup } else { DeliveryState::Pending };
    (order.payment, order.service, order.delivery) = match status {
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
            if paid { PaymentState::Paid } else { PaymentState::Failed },
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

fn new_line(record: Json<'_>) -> Read<OrderLine> {
    let o = record.object()?;
    Ok(OrderLine {
        barcode: text(&o, &["sku_barcode", "item_barcode", "outer_sku_id", "outer_item_id"])?,
        name: text(&o, &["title"])?,
        quantity: int32(&o, &["num"])?.unwrap_or(-1),
        price: yuan(&o, &["price"])?.unwrap_or(-1),
        total: yuan(&o, &["total_fee", "payment"])?.unwrap_or(-1),
        ..OrderLine::default()
    })
}

/// An order of the old model, as the code lookups carry it. Sums are in yuan, counts in quotes.
fn old_order(record: Json<'_>) -> Read<Order> {
    let o = record.object()?;
    let mut order = Order {
        order_no: text(&o, &["tid"])?,
        trade_no: text(&o, &["outer_tid", "transaction_tid"])?,
        user_id: text(&o, &["yz_open_id", "fans_id"])?,
        pay_type: -1,
        amount: yuan(&o, &["payment"])?.unwrap_or(-1),
        refunded: yuan(&o, &["refunded_fee"])?.unwrap_or(0),
        refund_reason: text(&o, &["refund_state"])?,
        created_at: time(&o, &["created"])?,
        paid_at: time(&o, &["pay_time"])?,
        json: record.text().to_owned(),
        ..Order::default()
    };
    let fetched = text(&o, &["shipping_type"])? == "fetch";
    states(&mut order, &text(&o, &["status"])?, fetched);
    if let Some(point) = filled(&o, "fetch_detail")? {
        order.cabinet_id = text(&point, &["shop_id"]).map_err(|b| b.under("fetch_detail"))?;
    }
    for (i, line) in list(&o, "orders")?.into_iter().enumerate() {
        let line = new_line(line).map_err(|b| b.under(&format!("orders[{i}]")))?;
        order.lines.push(line);
    }
    Ok(order)
}

/// What a lookup told of a code.
pub(super) fn code(record: Json<'_>, query: &CodeQuery) -> Read<PickupCode> {
    let o = record.object()?;
    let mut code = PickupCode {
        kind: query.kind,
        code: text(&o, &["code"])?,
        order_no: text(&o, &["tid"])?,
        quantity: -1,
        json: record.text().to_owned(),
        ..PickupCode::default()
    };
    if code.code.is_empty() {
        code.code.clone_from(&query.code);
    }
    if let Some(trade) = o.get("trade")?.filter(|t| t.kind() == json::Kind::Object) {
        // The newer of the two models has its parts in boxes.
        let new = trade.object()?.get("full_order_info")?.is_some();
        let read = if new { order(trade, OrderKind::Cabinet) } else { old_order(trade) };
        let order = read.map_err(|b| b.under("trade"))?;
        code.cabinet_id.clone_from(&order.cabinet_id);
        if code.order_no.is_empty() {
            code.order_no.clone_from(&order.order_no);
        }
        if let [line] = &list(&trade.object()?, "orders")?[..] {
            code.product_id = text(&line.object()?, &["item_id", "num_iid"])?;
        }
        code.order = Some(Box::new(order));
    }
    match query.kind {
        CodeKind::Pickup => {
            code.state_text = text(&o, &["status"])?;
            code.state = match code.state_text.as_str() {
                "0" => CodeState::Unused,
                "1" => CodeState::Used,
                _ => CodeState::Unknown,
            };
        }
        CodeKind::Virtual => {
            code.state_text = text(&o, &["status"])?;
            code.state = match code.state_text.as_str() {
                "1" => CodeState::Unused,
                "2" => CodeState::Used,
                _ => CodeState::Unknown,
            };
            code.created_at = time(&o, &["send_time"])?;
            code.used_at = time(&o, &["use_time"])?;
        }
        CodeKind::Voucher => voucher(&o, &mut code)?,
    }
    Ok(code)
}

fn voucher(o: &Object<'_>, code: &mut PickupCode) -> Read<()> {
    code.state_text = text(o, &["state"])?;
    code.created_at = time(o, &["create_time"])?;
    let mut states = Vec::new();
    let tickets = list(o, "tickets")?;
    code.quantity = i32::try_from(tickets.len()).unwrap_or(-1);
    for (i, ticket) in tickets.into_iter().enumerate() {
        let mut read = || -> Read<()> {
            let t = ticket.object()?;
            states.push(ticket_state(&text(&t, &["ticket_state"])?));
            code.used_at = code.used_at.max(time(&t, &["verify_time"])?);
            Ok(())
        };
        read().map_err(|b| b.under(&format!("tickets[{i}]")))?;
    }
    code.state = ticket_state(&code.state_text);
    if code.state == CodeState::Unknown {
        // As long as one ticket is left, the code is good for something.
        code.state = if states.contains(&CodeState::Unused) {
            CodeState::Unused
        } else {
            match states.first() {
                Some(first) if states.iter().all(|s| s == first) => *first,
                _ => CodeState::Unknown,
            }
        };
    }
    Ok(())
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
            yes(&o, &["is_success", "successful", "isSuccess"])?.ok_or_else(|| json::missing("is_success"))?
        }
    };
    if !done {
        return Err(Bad::new("is_success", "is false, yet nothing was refused"));
    }
    Ok(Receipt { json: data.text().to_owned(), ..Receipt::default() })
}

/// A list that may be missing, null or an empty text.
fn list<'a>(o: &Object<'a>, key: &str) -> Read<Vec<Json<'a>>> {
    match o.get(key)?.filter(|v| !nothing(*v)) {
        None => Ok(Vec::new()),
        Some(v) => v.array().map_err(|b| b.under(key)),
    }
}

/// An object that may be missing, null, an empty text or, as PHP writes an empty one, an empty list.
fn filled<'a>(o: &Object<'a>, key: &str) -> Read<Option<Object<'a>>> {
    match o.get(key)?.filter(|v| !nothing(*v)) {
        None => Ok(None),
        Some(v) => v.object().map(Some).map_err(|b| b.under(key)),
    }
}
