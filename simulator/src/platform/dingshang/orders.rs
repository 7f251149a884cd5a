//! Orders: made, asked for, paid, ended, expired.

use serde_json::{Value, json};

use crate::act::Act;
use crate::clock::datetime;
use crate::message::Request;
use crate::state::Core;

use super::deliveries::Notice;
use super::failure::{Failure, Why};
use super::model::{Order, OrderStatus, Record, RecordStatus, yuan};
use super::payload::Fields;
use super::{Answer, Dingshang, Exchange, NAME, need_int};

/// Order and record numbers begin where the vendor's samples do.
const FIRST_ORDER: i64 = 60;
const FIRST_RECORD: i64 = 78;

/// What an order begins with.
pub struct NewOrder<'a> {
    /// The place of the machine.
    pub machine: usize,
    /// The merchant's number.
    pub trade_id: &'a str,
    /// Where its notices go.
    pub notify_url: &'a str,
    /// Places of lanes, and pieces.
    pub goods: &'a [(usize, i64)],
    /// Its state.
    pub status: OrderStatus,
    /// Its pieces are promised to it.
    pub reserve: bool,
    /// The code that makes it.
    pub pickup_code_id: Option<i64>,
    /// The request that makes it.
    pub request: u64,
}

impl Dingshang {
    /// A `trade_id` that may be used; dashes do not make it another one.
    pub(super) fn new_trade_id(&self, given: &str) -> Result<String, Failure> {
        if given.is_empty() {
            return Err(Why::TradeIdEmpty.into());
        }
        let plain = given.replace('-', "");
        if !(20..=32).contains(&plain.len()) {
            return Err(Why::Params.into());
        }
        if self.orders.values().any(|o| o.trade_id.replace('-', "") == plain) {
            return Err(Why::TradeIdExists.into());
        }
        Ok(given.to_owned())
    }

    /// Whether so many pieces of a lane can be sold.
    pub(super) fn check_sale(&self, machine: usize, lane: usize, pieces: i64) -> Result<(), Why> {
        let lane = &self.machines[machine].lanes[lane];
        if !lane.on_sale {
            return Err(Why::OffSale);
        }
        if lane.free() < pieces { Err(Why::Stock) } else { Ok(()) }
    }

    pub(super) fn add_order(&mut self, now_ms: i64, new: NewOrder) -> i64 {
        let last = self.orders.last_key_value();
        let order_id = last.map_or(FIRST_ORDER, |(id, _)| id + 1);
        let highest = last.and_then(|(_, o)| o.records.iter().map(|r| r.id).max());
        let mut record_id = highest.map_or(FIRST_RECORD, |id| id + 1);
        let machine = &mut self.machines[new.machine];
        let mut records = Vec::new();
        for &(lane, pieces) in new.goods {
            let lane = &mut machine.lanes[lane];
            if new.reserve {
                lane.reserved += pieces;
            }
            // One command drops one piece, so every piece has a record of its own.
            let (count, quantity) = if machine.whole_quantity { (1, pieces) } else { (pieces, 1) };
            for _ in 0..count {
                records.push(Record {
                    id: record_id,
                    product_id: lane.product_id,
                    quantity,
                    price: lane.price,
                    status: RecordStatus::WaitingPickedUp,
                    notify_sent: false,
                    reserved: new.reserve,
                });
                record_id += 1;
            }
        }
        let order = Order {
            order_id,
            machine_no: machine.machine_no.clone(),
            trade_id: new.trade_id.to_owned(),
            notify_url: new.notify_url.to_owned(),
            created_ms: now_ms,
            status: new.status,
            expired: false,
            records,
            pickup_code_id: new.pickup_code_id,
            notify_send_count: 0,
            request: new.request,
        };
        self.orders.insert(order_id, order);
        order_id
    }

    /// The order in the vendor's form; the consume page still has the old record names.
    pub(super) fn show_order(&self, order_id: i64, old_page: bool) -> Value {
        let Some(order) = self.orders.get(&order_id) else { return json!({}) };
        let date = datetime(order.created_ms, self.settings.zone_hours);
        let names = self.settings.record_names;
        json!({
            "order_id": order.order_id, "trade_id": order.trade_id, "date": &date[..10],
            "amount": yuan(order.amount()), "status": order.status,
            "notify_send_count": order.notify_send_count,
            "records": order.records.iter().map(|r| r.show(old_page, names)).collect::<Vec<_>>(),
            "pickup_code_id": order.pickup_code_id,
        })
    }

    /// The one call that is neither signed nor wrapped.
    pub(super) fn create_order(
        &mut self,
        core: &mut Core,
        request: &Request,
        exchange: &mut Exchange,
    ) -> Answer {
        let body: Value = serde_json::from_slice(&request.body).map_err(|_| Why::Params)?;
        exchange.params = body.clone();
        let text = |name: &str| body[name].as_str().filter(|t| !t.is_empty());
        let at = self.admit("order_create", text("machine_no").ok_or(Why::Params)?)?;
        let notify_url = text("notify_url").ok_or(Why::Params)?;
        let listed = body["products"].as_array().filter(|p| !p.is_empty()).ok_or(Why::Params)?;
        let mut goods: Vec<(usize, i64)> = Vec::new();
        for item in listed {
            let id = item["product_id"].as_i64().ok_or(Why::Params)?;
            let pieces = item["quantity"].as_i64().filter(|n| (1..=1000).contains(n)).ok_or(Why::Params)?;
            let lane = self.machines[at].product(id).ok_or(Why::ProductUnknown)?;
            match goods.iter_mut().find(|(l, _)| *l == lane) {
                Some((_, sum)) => *sum += pieces,
                None => goods.push((lane, pieces)),
            }
        }
        let trade_id = self.new_trade_id(body["trade_id"].as_str().unwrap_or_default())?;
        for &(lane, pieces) in &goods {
            self.check_sale(at, lane, pieces)?;
        }
        let order = NewOrder {
            machine: at,
            trade_id: &trade_id,
            notify_url,
            goods: &goods,
            status: OrderStatus::NotPay,
            reserve: true,
            pickup_code_id: None,
            request: request.number,
        };
        let order_id = self.add_order(core.clock.now_ms(), order);
        let act =
            Act::new(NAME, "order").cabinet(&self.machines[at].machine_no).order(order_id).mark(&trade_id);
        core.record(Act { notify_url: Some(notify_url.to_owned()), ..act });
        let limit = self.settings.order_expiry_ms;
        core.after(limit, NAME, json!({"do": "expire", "order": order_id}));
        Ok(json!({"order_id": order_id}))
    }

    /// An order of a machine by the text of its number.
    pub(super) fn order_at(&self, machine: usize, id: &str) -> Result<&Order, Failure> {
        let order = id.parse().ok().and_then(|id: i64| self.orders.get(&id));
        let fits = |o: &&Order| o.machine_no == self.machines[machine].machine_no;
        order.filter(fits).ok_or_else(|| Why::NoRecord.into())
    }

    pub(super) fn query_order(&self, machine: usize, id: &str) -> Answer {
        let order = self.order_at(machine, id)?;
        if order.expired {
            return Err(Why::OrderExpired.into());
        }
        Ok(self.show_order(order.order_id, false))
    }

    pub(super) fn update_order(
        &mut self,
        core: &mut Core,
        machine: usize,
        id: &str,
        fields: &Fields,
    ) -> Answer {
        let order = self.order_at(machine, id)?;
        let (order_id, old) = (order.order_id, order.status);
        let new = match need_int(fields, "status")? {
            1 => OrderStatus::Success,
            2 => OrderStatus::Refund,
            3 => OrderStatus::Closed,
            4 => OrderStatus::Revoked,
            5 => OrderStatus::UserPaying,
            6 => OrderStatus::PayError,
            _ => return Err(Why::Params.into()),
        };
        if order.expired {
            return Err(Why::OrderExpired.into());
        }
        let pays = matches!(new, OrderStatus::Success | OrderStatus::UserPaying | OrderStatus::PayError);
        match old {
            OrderStatus::NotPay => {}
            OrderStatus::UserPaying if !self.settings.paying_is_final => {}
            OrderStatus::Success | OrderStatus::PickupCode if new == OrderStatus::Success => {
                return Err(Why::OrderPaid.into());
            }
            OrderStatus::Success | OrderStatus::PickupCode if !pays => {}
            _ => return Err(Why::OrderStatus.into()),
        }
        if let Some(order) = self.orders.get_mut(&order_id) {
            order.status = new;
            let kind = match new {
                OrderStatus::Success => "pay",
                OrderStatus::Refund => "refund",
                OrderStatus::PayError => "pay_failed",
                _ => "cancel",
            };
            core.record(Act::new(NAME, kind).order(order_id).mark(&order.trade_id).amount(order.amount()));
        }
        let ends =
            new != OrderStatus::Success && (new != OrderStatus::UserPaying || self.settings.paying_is_final);
        if new == OrderStatus::Success || ends {
            core.forget(NAME, &json!({"do": "expire", "order": order_id}));
        }
        if ends {
            let paid = matches!(old, OrderStatus::Success | OrderStatus::PickupCode);
            let delay = self.settings.refund_restock_ms;
            if paid && new == OrderStatus::Refund && delay > 0 {
                core.after(delay, NAME, json!({"do": "restock", "order": order_id}));
            } else {
                self.restock(order_id);
            }
            if new == OrderStatus::Refund {
                let records = self.orders.get_mut(&order_id).map(|o| &mut o.records);
                let open = records.into_iter().flatten().filter(|r| r.status != RecordStatus::IsSuccess);
                open.for_each(|r| r.status = RecordStatus::IsRefund);
            }
        }
        Ok(json!(""))
    }

    /// What an order has not used can be sold again.
    pub(super) fn restock(&mut self, order_id: i64) {
        let Some(order) = self.orders.get_mut(&order_id) else { return };
        let machine = self.machines.iter_mut().find(|m| m.machine_no == order.machine_no);
        let Some(machine) = machine else { return };
        for record in order.records.iter_mut().filter(|r| r.reserved) {
            record.reserved = false;
            if let Some(lane) = machine.product(record.product_id) {
                machine.lanes[lane].release(record.quantity);
            }
        }
    }

    /// An order was not paid in time, or a code's order not fetched.
    pub(super) fn expire_order(&mut self, core: &mut Core, order_id: i64) {
        let Some(order) = self.orders.get_mut(&order_id) else { return };
        let waiting = order.records.iter().all(|r| r.status == RecordStatus::WaitingPickedUp);
        let open = matches!(order.status, OrderStatus::NotPay | OrderStatus::UserPaying)
            || (order.status == OrderStatus::PickupCode && waiting);
        if !open || order.expired {
            return;
        }
        order.expired = true;
        let (url, records) = (order.notify_url.clone(), order.records.clone());
        self.restock(order_id);
        for record in records {
            let notice = Notice {
                order_id: Some(order_id),
                record_id: Some(record.id),
                success: false,
                floor_status: "1",
                error: "订单已过期",
            };
            self.notify(core, &url, &notice);
        }
    }
}
