//! Yopoint's records: cabinets, stock, orders, codes. An odd field is not told, never a reason to lose the record; the
//! record itself stays readable in `json`.

use crate::json::{Json, Kind as JsonKind, Object, missing};
use crate::model::*;
use crate::platform::fields::{self, Read, lenient, strict};

/// A text or a number under the first of these keys that has one. `false` is PHP's word for nothing.
pub(super) fn word(o: &Object<'_>, keys: &[&str]) -> String {
    keys.iter().find_map(|key| strict::maybe_text(o, &[key]).ok().flatten()).unwrap_or_default()
}

/// A page: a bare list, or the paginator around one.
pub(super) fn page<T>(data: Json<'_>, read: impl Fn(Json<'_>) -> T) -> Read<Page<T>> {
    let odd = || crate::json::Bad::new("", "is no list");
    let (records, total, more) = match records_of(data) {
        Some(records) => (records, None, None),
        None if data.kind() != JsonKind::Object => return Err(odd()),
        None => {
            let o = data.object()?;
            let total = lenient::int(&o, &["total"]);
            let records = match o.get("data")? {
                Some(list) => records_of(list).ok_or_else(|| odd().under("data"))?,
                None if total == Some(0) => Vec::new(),
                None => return Err(missing("data")),
            };
            let more = match (lenient::int(&o, &["current_page"]), lenient::int(&o, &["last_page"])) {
                (Some(current), Some(last)) => Some(current < last),
                _ => None,
            };
            (records, total, more)
        }
    };
    // An empty page is the last, whatever the numbers beside it say.
    let more = if records.is_empty() { Some(false) } else { more };
    let items = records.into_iter().map(read).collect();
    Ok(Page { items, total: total.and_then(|t| u64::try_from(t).ok()), more })
}

/// The records of a list as PHP may write it; `None` for what is no list.
fn records_of(value: Json<'_>) -> Option<Vec<Json<'_>>> {
    match value.kind() {
        JsonKind::Array => value.array().ok(),
        JsonKind::Object if value.object().is_ok_and(|o| o.fields().is_empty()) => Some(Vec::new()),
        JsonKind::Object => Some(lenient::items(value)).filter(|items| !items.is_empty()),
        _ => is_nothing(value).then(Vec::new),
    }
}

/// What PHP writes for nothing: `false`, `""`, `[]`, `{}`.
pub(super) fn is_nothing(value: Json<'_>) -> bool {
    match value.kind() {
        JsonKind::Array => value.array().is_ok_and(|a| a.is_empty()),
        JsonKind::Object => value.object().is_ok_and(|o| o.fields().is_empty()),
        JsonKind::String => value.text() == "\"\"",
        JsonKind::Bool => value.text() == "false",
        _ => false,
    }
}

/// A cabinet or a vending machine.
pub(super) fn cabinet(record: Json<'_>) -> Cabinet {
    let unknown = Cabinet { door_count: -1, json: record.text().to_owned(), ..Cabinet::default() };
    let Ok(o) = record.object() else { return unknown };
    let place = ["Province", "City", "District", "Address"].map(|key| word(&o, &[key]));
    let (mut longitude, mut latitude) = (0.0, 0.0);
    if let [lng, lat] = lenient::list(&o, &["Location"])[..] {
        let degrees = |j: Json<'_>| crate::json::decimal(&fields::scalar(j));
        if let (Some(lng), Some(lat)) = (degrees(lng), degrees(lat)) {
            (longitude, latitude) = (lng, lat);
        }
    }
    Cabinet {
        id: word(&o, &["CID", "cid", "TID", "id"]),
        name: word(&o, &["Name", "TerminalName"]),
        device_code: word(&o, &["DeviceCode"]),
        code: word(&o, &["Code"]),
        address: place.concat(),
        longitude,
        latitude,
        online: match lenient::int(&o, &["OnlineStatus"]) {
            Some(n) => Some(n == 1).into(),
            None => lenient::yes(&o, &["OnlineStatus"]).into(),
        },
        sale: match (lenient::int(&o, &["SellStatus"]), lenient::yes(&o, &["EnableSell"])) {
            (Some(1), Some(false)) => SaleState::Stopped,
            (Some(0), _) => SaleState::Stopped,
            (Some(1), _) => SaleState::Selling,
            (Some(2), _) => SaleState::ToBeDeployed,
            (_, Some(false)) => SaleState::Stopped,
            (None, Some(true)) => SaleState::Selling,
            _ => SaleState::Unknown,
        },
        door_count: lenient::count(&o, &["CabinetCount"]),
        ..unknown
    }
}

/// Shaped after `cabinet.product.stock.with.replenishment`, its documented relative. The goods' own fields may
/// stand in the record or in its `ProductVO`.
pub(super) fn stock_item(record: Json<'_>) -> StockItem {
    let unknown = StockItem {
        price: -1,
        stock: -1,
        capacity: -1,
        sold: -1,
        json: record.text().to_owned(),
        ..StockItem::default()
    };
    let Ok(o) = record.object() else { return unknown };
    let vo = lenient::object(&o, &["ProductVO"]);
    let text = |key: &str| match (word(&o, &[key]), &vo) {
        (empty, Some(vo)) if empty.is_empty() => word(vo, &[key]),
        (text, _) => text,
    };
    // A price in the record that cannot be read is not told; the goods' usual one would be a guess.
    let price = match (o.get("Price"), &vo) {
        (Ok(None), Some(vo)) => lenient::fen(vo, &["Price"]),
        _ => lenient::fen(&o, &["Price"]),
    };
    StockItem {
        cabinet_id: word(&o, &["CID", "cid", "TID"]),
        id: word(&o, &["id"]),
        product_id: text("ProviderProductID"),
        barcode: text("BarCode"),
        name: text("Name"),
        image_url: text("ImageUrl"),
        lanes: lanes(&o),
        price: price.unwrap_or(-1),
        stock: lenient::count(&o, &["Stock"]),
        capacity: lenient::count(&o, &["Capacity"]),
        sold: lenient::count(&o, &["SalesCount"]),
        shelved_at: lenient::time(&o, &["OnShelvesTime"]),
        ..unknown
    }
}

/// The lanes of a stock line: those of its `CargoList`, or its own.
fn lanes(o: &Object<'_>) -> String {
    let lane = |o: &Object<'_>| {
        let (row, col) = (word(o, &["Row"]), word(o, &["Col"]));
        if row.is_empty() || col.is_empty() { None } else { Some([row, col].join("-")) }
    };
    let listed: Vec<String> = lenient::list(o, &["CargoList"])
        .into_iter()
        .filter_map(|cargo| lane(&cargo.object().ok()?))
        .collect();
    if listed.is_empty() { lane(o).unwrap_or_default() } else { listed.join(",") }
}

/// An order of a cabinet or a vending machine.
pub(super) fn order(record: Json<'_>, kind: OrderKind) -> Order {
    let unknown =
        Order { kind, pay_type: -1, amount: -1, json: record.text().to_owned(), ..Order::default() };
    let Ok(o) = record.object() else { return unknown };
    let amount = lenient::fen(&o, &["Price"]).unwrap_or(-1);
    let mut lines = order_lines(&o, "Products");
    // A vending machine's order is of one piece, told in the record itself.
    let single = word(&o, &["ProductName"]);
    if lines.is_empty() && !single.is_empty() {
        lines.push(OrderLine {
            barcode: word(&o, &["BarCode"]),
            name: single,
            quantity: 1,
            price: amount,
            total: amount,
            ..OrderLine::default()
        });
    }
    let (payment, paid_at) = payment(&o);
    // The vendor's own example holds the key twice; the later one is the state.
    let door = o.last("DoorStatus").and_then(|v| fields::scaled(&fields::scalar(v), 0));
    Order {
        order_no: word(&o, &["ReceiptNo"]),
        trade_no: word(&o, &["TradeNo"]),
        cabinet_id: word(&o, &["CID", "TID"]),
        user_id: word(&o, &["UserID"]),
        open_id: word(&o, &["OpenID"]),
        payment,
        pay_type: lenient::count(&o, &["PayType"]),
        service: match lenient::int(&o, &["ServiceStatus"]) {
            Some(0) => ServiceState::NotStarted,
            Some(1) => ServiceState::InService,
            Some(2) => ServiceState::Ended,
            _ => ServiceState::Unknown,
        },
        door: match door {
            Some(-1) => DoorState::NeverOpened,
            Some(0) => DoorState::Shut,
            Some(1) => DoorState::Open,
            _ => DoorState::Unknown,
        },
        delivery: delivery(lenient::int(&o, &["ShipmentsStatus"])),
        delivery_error: word(&o, &["ShipmentsError"]),
        suspicious: lenient::int(&o, &["IsSuspicious"]).map(|n| n != 0).into(),
        amount,
        refunded: lenient::fen(&o, &["RefundsPrice"]).unwrap_or(0),
        refund_state: lenient::int(&o, &["UserRefundsStatus"])
            .and_then(|n| i32::try_from(n).ok())
            .unwrap_or(0),
        refund_reason: word(&o, &["UserRefundsReason"]),
        created_at: lenient::time(&o, &["CreateAt"]).max(0),
        paid_at,
        refund_at: lenient::time(&o, &["UserRefundsTime"]).max(0),
        lines,
        refunded_lines: order_lines(&o, "RefundsProducts"),
        ..unknown
    }
}

/// Whether and when an order was paid. A field that is there and cannot be read leaves it unknown: an order that seems
/// unpaid would be charged.
fn payment(o: &Object<'_>) -> (PaymentState, i64) {
    let paid_at = fields::time(&word(o, &["PayTime"])).filter(|t| *t >= 0);
    let status = match o.get("TradeStatus") {
        Ok(None) => None,
        _ => Some(lenient::int(o, &["TradeStatus"])),
    };
    let state = match (status, paid_at) {
        (_, Some(1..)) | (Some(Some(1)), _) => PaymentState::Paid,
        (Some(Some(-1)), _) => PaymentState::Failed,
        (Some(Some(0)), _) | (None, Some(0)) => PaymentState::Unpaid,
        _ => PaymentState::Unknown,
    };
    (state, paid_at.unwrap_or(0))
}

/// The goods under a key.
pub(super) fn order_lines(o: &Object<'_>, key: &str) -> Vec<OrderLine> {
    let line = |l: Object<'_>| OrderLine {
        barcode: word(&l, &["BarCode"]),
        name: word(&l, &["Name"]),
        quantity: lenient::count(&l, &["Qty"]),
        price: lenient::fen(&l, &["Price"]).unwrap_or(-1),
        total: lenient::fen(&l, &["TotalPrice"]).unwrap_or(-1),
        ..OrderLine::default()
    };
    lenient::list(o, &[key]).into_iter().filter_map(|l| l.object().ok()).map(line).collect()
}

/// `ShipmentsStatus`.
pub(super) fn delivery(status: Option<i64>) -> DeliveryState {
    match status {
        Some(0) => DeliveryState::Pending,
        Some(1) => DeliveryState::Delivered,
        Some(-1) => DeliveryState::Failed,
        Some(2) => DeliveryState::AwaitingPickup,
        Some(3) => DeliveryState::OutOfStock,
        _ => DeliveryState::Unknown,
    }
}

/// A voucher code, or a voucher. The answers' fields are not public: these names are those of the callback and of the other
/// records, so all of it is inferred.
pub(super) fn code(record: Json<'_>, query: &CodeQuery) -> PickupCode {
    let unknown = PickupCode {
        kind: query.kind,
        code: query.code.clone(),
        quantity: -1,
        json: record.text().to_owned(),
        ..PickupCode::default()
    };
    let Ok(o) = record.object() else { return unknown };
    let used_at = lenient::time(&o, &["ExchangeAt", "UsedAt"]).max(0);
    let order_no = word(&o, &["ReceiptNo"]);
    let code = word(&o, &["VoucherCode"]);
    PickupCode {
        code: if code.is_empty() { unknown.code } else { code },
        id: word(&o, &["id"]),
        // A state's numbers are not public.
        state: if used_at > 0 { CodeState::Used } else { CodeState::Unknown },
        state_text: word(&o, &["Status"]),
        cabinet_id: word(&o, &["TID"]),
        product_id: word(&o, &["VoucherID"]),
        order_no,
        created_at: lenient::time(&o, &["CreateAt"]).max(0),
        expires_at: lenient::time(&o, &["ExpireAt"]).max(0),
        used_at,
        ..unknown
    }
}

/// The receipt of a command that makes an order: without the order's number nothing can be charged or asked for.
pub(super) fn receipt(data: Json<'_>) -> Read<Receipt> {
    let o = data.object()?;
    // Every number that the pages show begins with letters: what is no text is none of them, and a wrong one would be charged.
    let order_no =
        o.string(&["ReceiptNo"])?.filter(|no| !no.is_empty()).ok_or_else(|| missing("ReceiptNo"))?;
    Ok(Receipt {
        order_no,
        report_url: word(&o, &["NotifyUrl"]),
        json: data.text().to_owned(),
        ..Receipt::default()
    })
}

/// What the answer to a command would have said, as far as an order tells.
pub(super) fn receipt_of(order: &Order, report_url: &str) -> Receipt {
    let mut report_url = report_url.to_owned();
    if report_url.is_empty() {
        report_url = Json::parse(order.json.as_bytes())
            .and_then(Json::object)
            .map(|o| word(&o, &["NotifyUrl"]))
            .unwrap_or_default();
    }
    Receipt { order_no: order.order_no.clone(), report_url, json: order.json.clone(), ..Receipt::default() }
}
