//! Pickup codes: made, listed, cancelled, redeemed.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::act::Act;
use crate::clock::{datetime, parse_datetime};
use crate::message::Request;
use crate::state::Core;

use super::failure::{Failure, Why};
use super::model::{Code, OrderStatus};
use super::orders::NewOrder;
use super::payload::Fields;
use super::settings::{CreateAll, CreateAnswer, TradeIdEcho};
use super::{Answer, Dingshang, NAME, int_or, need, need_int, text};

/// The first row is in the range of the vendor's samples.
const FIRST_ROW: i64 = 1_122_223;

impl Dingshang {
    pub(super) fn create_codes(&mut self, core: &mut Core, at: usize, fields: &Fields) -> Answer {
        let machine = &self.machines[at];
        if !machine.pickup_codes {
            return Err(Why::CodesOff.into());
        }
        let now = core.clock.now_ms();
        let all = match need(fields, "method")? {
            "pickup_code.product.id" => false,
            "pickup_code.product.all" => true,
            _ => return Err(Why::Params.into()),
        };
        let length = int_or(fields, "code_length", 6, 6..=10)?;
        let expires_ms = match text(fields, "expired_at") {
            None => None,
            Some(written) => {
                let end = parse_datetime(written, self.settings.zone_hours).ok_or(Why::ExpiredAt)?;
                Some(if end > now { Ok(end) } else { Err(Why::ExpiredAt) }?)
            }
        };
        let wanted: Vec<(i64, i64)> = if all {
            let each = self.settings.create_all;
            let count = |stock: i64| if each == CreateAll::PerItem { stock } else { 1 };
            machine.lanes.iter().map(|l| (l.product_id, count(l.stock))).collect()
        } else {
            let id = need_int(fields, "product_id")?;
            let lane = &machine.lanes[machine.product(id).ok_or(Why::ProductUnknown)?];
            vec![(id, int_or(fields, "count", 1, 1..=lane.capacity)?)]
        };
        let machine_no = machine.machine_no.clone();
        let here = |c: &&Code| c.machine_no == machine_no && c.is_live(now);
        for (id, count) in &wanted {
            let live = self.codes.values().filter(here).filter(|c| c.product_id == *id).count() as i64;
            if live > 0 && self.settings.create_refuses_existing {
                return Err(Why::CodeExists.into());
            }
            let capacity = machine.product(*id).map_or(0, |i| machine.lanes[i].capacity);
            if live + count > capacity && self.settings.create_limits_live_codes {
                return Err(Why::CodesNotEnough.into());
            }
        }
        let mut taken: HashSet<String> = self.codes.values().filter(here).map(|c| c.code.clone()).collect();
        let mut made = Vec::new();
        for product_id in wanted.into_iter().flat_map(|(id, n)| (0..n).map(move |_| id)) {
            let mut code = digits(core, length);
            while !taken.insert(code.clone()) {
                code = digits(core, length);
            }
            let id = self.codes.last_key_value().map_or(FIRST_ROW, |(last, _)| last + 1);
            let row = Code {
                id,
                machine_no: machine_no.clone(),
                product_id,
                code,
                created_ms: now,
                expires_ms,
                used_by: None,
                used_ms: None,
            };
            made.push(self.show_code(&row, now));
            core.record(Act::new(NAME, "code_create").cabinet(&machine_no).code(&row.code).order(id));
            self.codes.insert(id, row);
        }
        Ok(match self.settings.create_answer {
            CreateAnswer::Empty => json!({}),
            CreateAnswer::Codes => json!(made),
        })
    }

    fn show_code(&self, code: &Code, now_ms: i64) -> Value {
        let zone = self.settings.zone_hours;
        json!({
            "id": code.id, "code": code.code, "status": code.status(now_ms),
            "created_at": datetime(code.created_ms, zone),
            "expired_at": code.expires_ms.map(|end| datetime(end, zone)), "quantity": 1,
        })
    }

    pub(super) fn list_codes(&self, core: &Core, at: usize, product: &str) -> Answer {
        let machine = &self.machines[at];
        let id = product.parse().unwrap_or(-1);
        if machine.product(id).is_none() && self.settings.unknown_product_codes_fail {
            return Err(Why::NoRecord.into());
        }
        let now = core.clock.now_ms();
        let mine = self.codes.values().filter(|c| c.machine_no == machine.machine_no && c.product_id == id);
        Ok(mine.filter(|c| c.is_live(now)).map(|c| self.show_code(c, now)).collect())
    }

    pub(super) fn cancel_codes(&mut self, core: &mut Core, at: usize, fields: &Fields) -> Answer {
        let machine_no = self.machines[at].machine_no.clone();
        let spare_used = !self.settings.cancel_used;
        match need(fields, "method")? {
            "pickup_code.delete.id" => {
                let id = need_int(fields, "id")?;
                let fits = |c: &&Code| c.machine_no == machine_no && !(spare_used && c.used_by.is_some());
                let code = self.codes.get(&id).filter(fits).ok_or(Why::NoRecord)?.code.clone();
                core.record(Act::new(NAME, "code_cancel").cabinet(&machine_no).code(&code).order(id));
                self.codes.remove(&id);
            }
            "pickup_code.delete.all" => {
                let now = core.clock.now_ms();
                for code in self.codes.values().filter(|c| c.machine_no == machine_no && c.is_live(now)) {
                    core.record(
                        Act::new(NAME, "code_cancel").cabinet(&machine_no).code(&code.code).order(code.id),
                    );
                }
                self.codes.retain(|_, c| c.machine_no != machine_no || !c.is_live(now));
            }
            _ => return Err(Why::Params.into()),
        }
        Ok(json!({}))
    }

    /// A code is used up for an order.
    fn use_up(&mut self, core: &mut Core, row_id: i64, order_id: i64, trade_id: &str, notify_url: &str) {
        let Some(row) = self.codes.get_mut(&row_id) else { return };
        row.used_by.get_or_insert(order_id);
        row.used_ms.get_or_insert(core.clock.now_ms());
        let act =
            Act::new(NAME, "redeem").cabinet(&row.machine_no).code(&row.code).order(order_id).mark(trade_id);
        core.record(Act { notify_url: (!notify_url.is_empty()).then(|| notify_url.to_owned()), ..act });
    }

    /// Somebody else uses a code up, at the machine's own screen or from another kiosk.
    pub(super) fn redeem_by_other(
        &mut self,
        core: &mut Core,
        at: usize,
        code: &str,
        trade_id: Option<String>,
    ) -> Result<Value, (u16, String)> {
        let (machine, now) = (&self.machines[at], core.clock.now_ms());
        let rows = self.codes.values().filter(|c| c.machine_no == machine.machine_no && c.code == code);
        let row = rows.max_by_key(|c| (c.is_live(now), c.id));
        let row = row.ok_or_else(|| (404, format!("there is no code {code}")))?;
        if !row.is_live(now) {
            return Err((409, format!("the code {code} is used or expired")));
        }
        let row_id = row.id;
        let lane = machine.product(row.product_id).ok_or_else(|| (409, "its product is gone".to_owned()))?;
        let trade_id = trade_id.unwrap_or_else(|| format!("{:032x}", u128::from(core.noise.next())));
        let order = NewOrder {
            machine: at,
            trade_id: &trade_id,
            notify_url: "",
            goods: &[(lane, 1)],
            status: OrderStatus::PickupCode,
            reserve: self.settings.consume_reserves_stock,
            pickup_code_id: Some(row_id),
            request: 0,
        };
        let order_id = self.add_order(now, order);
        self.use_up(core, row_id, order_id, &trade_id, "");
        Ok(json!(self.orders.get(&order_id)))
    }

    pub(super) fn consume(
        &mut self,
        core: &mut Core,
        request: &Request,
        at: usize,
        fields: &Fields,
    ) -> Answer {
        if need(fields, "method")? != "event.consume.pickup_code" {
            return Err(Why::Params.into());
        }
        let (code, product_id) = (need(fields, "code")?, need_int(fields, "product_id")?);
        let notify_url = need(fields, "notify_url")?;
        let machine = &self.machines[at];
        if !machine.pickup_codes {
            return Err(Why::CodesOff.into());
        }
        let now = core.clock.now_ms();
        // A used code's text may be given out again: the live row goes first, then the latest.
        let rows = self.codes.values().filter(|c| c.machine_no == machine.machine_no && c.code == code);
        let row = rows.max_by_key(|c| (c.is_live(now), c.id)).ok_or(Why::NoRecord)?;
        if row.product_id != product_id {
            return Err(Why::NoRecord.into());
        }
        let race = row.used_ms.is_some_and(|used| now - used < self.settings.racy_redeem_ms);
        if let Some(order_id) = row.used_by.filter(|_| !race) {
            return Err(Failure::used(order_id));
        }
        if row.is_expired(now) {
            return Err(Why::CodeExpired.into());
        }
        let row_id = row.id;
        let trade_id = self.new_trade_id(fields.get("trade_id").map_or("", String::as_str))?;
        let lane = machine.product(product_id).ok_or(Why::ProductUnknown)?;
        self.check_sale(at, lane, 1)?;
        let order = NewOrder {
            machine: at,
            trade_id: &trade_id,
            notify_url,
            goods: &[(lane, 1)],
            status: OrderStatus::PickupCode,
            reserve: self.settings.consume_reserves_stock,
            pickup_code_id: Some(row_id),
            request: request.number,
        };
        let order_id = self.add_order(now, order);
        self.use_up(core, row_id, order_id, &trade_id, notify_url);
        if let Some(limit) = self.settings.pickup_order_expiry_ms {
            core.after(limit, NAME, json!({"do": "expire", "order": order_id}));
        }
        let mut shown = self.show_order(order_id, true);
        if self.settings.consume_trade_id == TradeIdEcho::Dashed {
            shown["trade_id"] = json!(dashed(&trade_id));
        }
        Ok(shown)
    }
}

fn digits(core: &mut Core, length: i64) -> String {
    (0..length).map(|_| char::from(b'0' + core.noise.below(10) as u8)).collect()
}

/// 32 hexadecimal digits in the form of a UUID; anything else as it is.
fn dashed(trade_id: &str) -> String {
    if trade_id.len() != 32 || !trade_id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return trade_id.to_owned();
    }
    let part = |from, to| &trade_id[from..to];
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

#[cfg(test)]
mod tests {
    use super::dashed;

    #[test]
    fn trade_ids_get_dashes() {
        assert_eq!(dashed("800a7e9500d345c8987d3aafa412c77d"), "800a7e95-00d3-45c8-987d-3aafa412c77d");
        assert_eq!(dashed("20240427103101000001"), "20240427103101000001");
    }
}
