//! Orders: those that were written out, and those that exist by number only.

use std::collections::HashMap;
use std::ops::{Deref, Range};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::china_compact;
use crate::message::TWIN;
use crate::world::World;

use super::settings::Take;

/// How far an order has got, beyond what the vendor's fields say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The door is open.
    #[default]
    Open,
    /// The door is shut; recognition goes on.
    Recognising,
    /// A person must look at it before anything is told.
    Review,
    /// The goods are known; payment is awaited.
    Unpaid,
    /// Paid.
    Paid,
    /// The payment failed.
    PaymentFailed,
    /// The consumer has asked for a refund; staff have not decided.
    RefundAsked,
    /// The refund notice is on its way.
    RefundSent,
    /// The developer has refunded.
    Refunded,
    /// The door never opened.
    NeverOpened,
}

/// The orders in the order of their time. What names one is looked up; nothing looks through all of them at every door.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Orders {
    list: Vec<Order>,
    #[serde(skip)]
    places: HashMap<Key, usize>,
}

/// What names an order. Of two with one name the first is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Receipt(String),
    /// The vendor's field, or what was given when the door was opened.
    TradeNo(String),
    OpenTradeNo(String),
    Opening(u64),
    Token(String),
}

impl Deref for Orders {
    type Target = [Order];

    fn deref(&self) -> &[Order] {
        &self.list
    }
}

impl Orders {
    /// Adds one at the end.
    pub fn push(&mut self, order: Order) {
        self.note(&order, self.list.len());
        self.list.push(order);
    }

    /// Puts one before all others.
    pub fn push_front(&mut self, order: Order) {
        self.change(|list| list.insert(0, order));
    }

    /// Changes any of them, also in what names them.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Vec<Order>) -> T) -> T {
        let result = change(&mut self.list);
        self.places.clear();
        let list = std::mem::take(&mut self.list);
        for (place, order) in list.iter().enumerate() {
            self.note(order, place);
        }
        self.list = list;
        result
    }

    /// The one with a receipt number.
    pub fn by_receipt(&self, receipt: &str) -> Option<&Order> {
        self.list.get(self.place(Key::Receipt(receipt.into()))?)
    }

    /// The same, to change what does not name it.
    pub fn by_receipt_mut(&mut self, receipt: &str) -> Option<&mut Order> {
        let place = self.place(Key::Receipt(receipt.into()))?;
        self.list.get_mut(place)
    }

    /// The one with a `TradeNo`, its own or the one given when the door was opened.
    pub fn by_trade_no(&self, number: &str) -> Option<&Order> {
        let has = |o: &&Order| o.text("TradeNo") == number || o.own.open_trade_no.as_deref() == Some(number);
        // A payment gives an order another number; then the name that it was noted by may be another's.
        self.list
            .get(self.place(Key::TradeNo(number.into()))?)
            .filter(has)
            .or_else(|| self.list.iter().find(has))
    }

    /// The order at a place got a `TradeNo` of its own: it is found by that too.
    pub fn trade_no_set(&mut self, place: usize) {
        if let Some(number) = self.list.get(place).map(|o| o.text("TradeNo").to_owned()) {
            self.places.entry(Key::TradeNo(number)).and_modify(|at| *at = place.min(*at)).or_insert(place);
        }
    }

    /// Whether a door was opened with this `TradeNo`.
    pub fn has_open_trade_no(&self, number: &str) -> bool {
        self.place(Key::OpenTradeNo(number.into())).is_some()
    }

    /// The one of a physical opening, to change what does not name it.
    pub fn by_opening_mut(&mut self, opening: u64) -> Option<&mut Order> {
        let place = self.place(Key::Opening(opening))?;
        self.list.get_mut(place)
    }

    /// The place of the one with this secret part of its `NotifyUrl`.
    pub fn place_of_token(&self, token: &str) -> Option<usize> {
        self.place(Key::Token(token.into())).filter(|_| !token.is_empty())
    }

    /// The one at a place, to change what does not name it.
    pub fn at_mut(&mut self, place: usize) -> Option<&mut Order> {
        self.list.get_mut(place)
    }

    /// All, to change what does not name them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Order> {
        self.list.iter_mut()
    }

    fn place(&self, key: Key) -> Option<usize> {
        self.places.get(&key).copied()
    }

    fn note(&mut self, order: &Order, place: usize) {
        let mut names =
            vec![Key::Receipt(order.text("ReceiptNo").into()), Key::TradeNo(order.text("TradeNo").into())];
        if let Some(number) = &order.own.open_trade_no {
            names.extend([Key::TradeNo(number.clone()), Key::OpenTradeNo(number.clone())]);
        }
        names.extend(order.own.opening.map(Key::Opening));
        names.push(Key::Token(order.own.token.clone()));
        for name in names {
            self.places.entry(name).or_insert(place);
        }
    }
}

/// A cabinet order: the vendor's fields, and what the simulator needs beside them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The vendor's fields.
    #[serde(flatten)]
    pub doc: Map<String, Value>,
    /// The rest.
    #[serde(rename = "_sim", default)]
    pub own: Own,
}

/// What the simulator knows of an order beside the vendor's fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Own {
    /// How far it has got.
    pub stage: Stage,
    /// When it was made, in milliseconds; 0: long ago.
    pub made_ms: i64,
    /// The door, from 1.
    pub door: u32,
    /// The physical opening; none if the door never opened.
    pub opening: Option<u64>,
    /// The secret part of its `NotifyUrl`.
    pub token: String,
    /// It was asked for over plain HTTP, and so its `NotifyUrl` is plain too.
    pub plain: bool,
    /// The account that asked for it.
    pub appid: String,
    /// The `TradeNo` given when the door was opened.
    pub open_trade_no: Option<String>,
    /// What was really taken.
    pub taken: Vec<Take>,
    /// The door report waits until the cabinet is online: its `Status`.
    pub report_waiting: Option<i64>,
    /// The consumer's appeal.
    pub appeal: Option<Value>,
    /// The order that this one corrects.
    pub corrects: Option<String>,
    /// The developer's answer to the refund notice.
    pub refund_answer: Option<Value>,
}

impl Order {
    /// A field as text.
    pub fn text(&self, name: &str) -> &str {
        self.doc.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A field as a number.
    pub fn int(&self, name: &str) -> i64 {
        self.doc.get(name).and_then(Value::as_i64).unwrap_or_default()
    }

    /// Sets a field.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.doc.insert(name.to_owned(), value.into());
    }

    /// Puts goods and amount in.
    pub fn set_products(&mut self, world: &World, goods: &[Take]) {
        let products = products(world, self.text("CID"), goods);
        let total: i64 = products.iter().filter_map(|p| p["TotalPrice"].as_i64()).sum();
        self.set("Products", products);
        self.set("Price", total);
    }

    /// The record as the vendor answers it.
    pub fn show(&self, twice: bool) -> Value {
        show(&self.doc, twice)
    }
}

fn show(doc: &Map<String, Value>, twice: bool) -> Value {
    let mut shown = Map::new();
    for (key, value) in doc {
        if twice && key == "DoorStatus" {
            // As in the vendor's example: the first is older than the second.
            shown.insert(key.clone(), json!(1));
            shown.insert(format!("{key}{TWIN}"), value.clone());
        } else {
            shown.insert(key.clone(), value.clone());
        }
    }
    Value::Object(shown)
}

/// Goods in an order's form.
pub fn products(world: &World, cabinet: &str, goods: &[Take]) -> Vec<Value> {
    let stock = world.cabinet(cabinet).map(|c| c.stock).unwrap_or_default();
    goods
        .iter()
        .filter(|take| take.qty > 0)
        .map(|take| {
            let good = world.good(&take.barcode);
            let price = stock.iter().find(|l| l.barcode == take.barcode).map_or(good.price, |l| l.price);
            json!({
                "Qty": take.qty, "BarCode": take.barcode, "Name": good.name, "Price": price,
                "CostPrice": good.cost_price, "TotalPrice": price * take.qty,
            })
        })
        .collect()
}

/// The fields of a new order.
pub struct NewOrder<'a> {
    /// Its number.
    pub receipt: String,
    /// 24 hexadecimal digits.
    pub id: String,
    /// The cabinet.
    pub cabinet: &'a str,
    /// Its short code.
    pub device_code: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The operator.
    pub oid: &'a str,
    /// The consumer at the payment channel.
    pub open_id: String,
    /// The platform's own id of the consumer.
    pub user_id: String,
    /// The developer's number.
    pub trade_no: String,
    /// The channel.
    pub pay_type: i64,
    /// When, in seconds.
    pub at_s: i64,
}

impl NewOrder<'_> {
    /// The order at its beginning.
    pub fn build(self) -> Order {
        let doc = json!({
            "id": self.id, "CID": self.cabinet, "OID": self.oid, "DeviceCode": self.device_code,
            "TerminalName": self.name, "BID": "", "UserID": self.user_id, "OpenID": self.open_id,
            "PayType": self.pay_type,
            "PayExtend": {"AppID": "", "SellerID": "", "AgreementNo": "", "CabinetCode": self.device_code},
            "ClientIPAddress": "127.0.0.1", "ScenesType": 0, "ServiceStatus": 0, "TradeNo": self.trade_no,
            "ThirdpartyAppID": "", "ReceiptNo": self.receipt, "DoorStatus": 0, "TradeRawData": {},
            "PayTime": 0, "Products": [], "TradeStatus": 0, "Price": 0, "IsSuspicious": 0,
            "RefundsProducts": [], "RefundsPrice": 0, "RefundsRawData": {}, "UserRefundsStatus": 0,
            "UserRefundsTime": 0, "UserRefundsReason": "", "CreateAt": self.at_s,
        });
        let Value::Object(doc) = doc else { return Order::default() };
        Order { doc, own: Own::default() }
    }
}

/// The number of an order: two letters, China time, six digits.
pub fn receipt(prefix: &str, at_ms: i64, tail: u64) -> String {
    format!("{prefix}{}{:06}", china_compact(at_ms), tail % 1_000_000)
}

/// Orders by number: one every `step_s` seconds up to `end_s`, all paid.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Series {
    /// How many.
    pub count: u64,
    /// When the last was created, in seconds.
    pub end_s: i64,
    /// Seconds between two.
    pub step_s: i64,
}

impl Series {
    fn created(&self, index: u64) -> i64 {
        self.end_s - (self.count - 1 - index) as i64 * self.step_s
    }

    /// Those created in a span, both ends included.
    pub fn between(&self, start_s: i64, end_s: i64) -> Range<u64> {
        if self.count == 0 || end_s < start_s {
            return 0..0;
        }
        let (first, step) = (self.created(0), self.step_s.max(1));
        let up_to = |seconds: i64| seconds.clamp(0, self.count as i64) as u64;
        let from = up_to((start_s.saturating_sub(first).saturating_add(step - 1)).div_euclid(step));
        let to = up_to(end_s.saturating_sub(first).div_euclid(step).saturating_add(1));
        from..to.max(from)
    }

    /// One order, made on the spot.
    pub fn order(&self, index: u64, world: &World, oid: &str, pay_type: i64) -> Order {
        let at_s = self.created(index);
        let cabinet = world.cabinet_at(index % world.cabinet_count().max(1));
        let (id, device, name) = cabinet.map(|c| (c.id, c.device_code, c.name)).unwrap_or_default();
        let mut order = NewOrder {
            receipt: self.receipt(index),
            id: format!("6500{index:020x}"),
            cabinet: &id,
            device_code: &device,
            name: &name,
            oid,
            open_id: format!("open-{:06}", index % 10_000),
            user_id: format!("6400{:020x}", index % 10_000),
            trade_no: format!("T{index:019}"),
            pay_type,
            at_s,
        }
        .build();
        if let Some(good) = world.goods.get(index as usize % world.goods.len().max(1)) {
            order.set_products(world, &[Take { barcode: good.barcode.clone(), qty: 1 + index as i64 % 3 }]);
        }
        order.set("ServiceStatus", 2);
        order.set("TradeStatus", 1);
        order.set("PayTime", at_s + 90);
        order.own.stage = Stage::Paid;
        order
    }

    fn receipt(&self, index: u64) -> String {
        receipt("VI", self.created(index) * 1000, index)
    }

    /// The place of a receipt number or of a transaction number in the series.
    pub fn find(&self, receipt: Option<&str>, trade_no: Option<&str>) -> Option<u64> {
        if let Some(receipt) = receipt {
            let tail: u64 = receipt.get(14..)?.parse().ok()?;
            return (0..)
                .map(|k| tail + k * 1_000_000)
                .take_while(|i| *i < self.count)
                .find(|i| self.receipt(*i) == receipt);
        }
        let index: u64 = trade_no?.strip_prefix('T').filter(|d| d.len() == 19)?.parse().ok()?;
        (index < self.count).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_answers_by_time_and_by_number() {
        let series = Series { count: 1_000_000, end_s: 1_700_000_000, step_s: 60 };
        assert_eq!(series.between(1_700_000_000, 1_700_000_000), 999_999..1_000_000);
        assert_eq!(series.between(1_700_000_000 - 119, 1_700_000_000), 999_998..1_000_000);
        assert_eq!(series.between(0, i64::MAX), 0..1_000_000);
        assert!(series.between(1_700_000_001, i64::MAX).is_empty());
        let world = World::small();
        let order = series.order(123_456, &world, "oid", 202);
        assert_eq!(series.find(Some(order.text("ReceiptNo")), None), Some(123_456));
        assert_eq!(series.find(None, Some(order.text("TradeNo"))), Some(123_456));
        assert_eq!(series.find(Some("VI000000000000000000"), None), None);
    }
}
