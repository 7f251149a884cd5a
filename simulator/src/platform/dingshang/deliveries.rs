//! Deliveries: the command, the motor, the result, the notice.

use serde_json::{Value, json};

use crate::callback::{Outgoing, Progress, Rendered, Style, Target};
use crate::clock::datetime;
use crate::dialect::Accent;
use crate::message::{RAW, Request, form_encode, render_json};
use crate::state::Core;
use crate::world::Cause;

use super::failure::{Failure, Number, Why};
use super::model::{Delivery, Lock, Order, OrderStatus, Record, RecordStatus};
use super::payload::Fields;
use super::settings::{ErrorKey, NoticeForm};
use super::{Answer, Dingshang, NAME, need, need_int};

/// What a notice says.
pub struct Notice<'a> {
    /// The order; none for a test of a lane.
    pub order_id: Option<i64>,
    /// The record.
    pub record_id: Option<i64>,
    /// The goods have fallen.
    pub success: bool,
    /// The lane's status.
    pub floor_status: &'a str,
    /// The fault.
    pub error: &'a str,
}

/// What a command is for.
struct Command<'a> {
    machine: usize,
    lane: usize,
    pieces: i64,
    record: Option<(i64, i64)>,
    trade_id: Option<String>,
    notify_url: &'a str,
    request: u64,
}

impl Dingshang {
    pub(super) fn deliver(
        &mut self,
        core: &mut Core,
        request: &Request,
        at: usize,
        fields: &Fields,
    ) -> Answer {
        if need(fields, "method")? != "device.delivery.put" {
            return Err(Why::Params.into());
        }
        let order = self.order_at(at, need(fields, "order_id")?)?;
        let record_id = need_int(fields, "record_id")?;
        let record = order.records.iter().find(|r| r.id == record_id).ok_or(Why::NoRecord)?;
        if order.expired {
            return Err(Why::OrderExpired.into());
        }
        match order.status {
            OrderStatus::Success | OrderStatus::PickupCode => {}
            OrderStatus::NotPay | OrderStatus::UserPaying => return Err(Why::Unpaid.into()),
            _ => return Err(Why::OrderStatus.into()),
        }
        let age = core.clock.now_ms() - order.created_ms;
        if self.settings.paid_delivery_limit_ms.is_some_and(|limit| age > limit) {
            return Err(Why::OrderExpired.into());
        }
        match record.status {
            RecordStatus::IsSuccess | RecordStatus::IsPickedUp => return Err(Why::AlreadyDelivered.into()),
            RecordStatus::IsRefund => return Err(Why::OrderStatus.into()),
            RecordStatus::IsDelivering => return Err(self.busy()),
            _ => {}
        }
        let machine = &self.machines[at];
        let command = Command {
            machine: at,
            lane: machine.product(record.product_id).ok_or(Why::ProductUnknown)?,
            pieces: record.quantity,
            record: Some((order.order_id, record_id)),
            trade_id: Some(order.trade_id.clone()),
            notify_url: &order.notify_url.clone(),
            request: request.number,
        };
        self.command(core, &command)
    }

    pub(super) fn deliver_lane(
        &mut self,
        core: &mut Core,
        request: &Request,
        at: usize,
        fields: &Fields,
    ) -> Answer {
        if need(fields, "method")? != "device.delivery.put" {
            return Err(Why::Params.into());
        }
        let (channel, notify_url) = (need(fields, "channel_name")?, need(fields, "notify_url")?);
        let lane = self.machines[at].lanes.iter().position(|l| l.channel == channel).ok_or(Why::NoRecord)?;
        let command = Command {
            machine: at,
            lane,
            pieces: 1,
            record: None,
            trade_id: None,
            notify_url,
            request: request.number,
        };
        self.command(core, &command)
    }

    fn busy(&self) -> Failure {
        let code = Number::Other(self.settings.busy_code);
        let message = Some(self.settings.busy_message.clone());
        Failure { code, message, data: None, http_status: None }
    }

    /// Sends a command. The goods fall at once; what takes time is the news of it.
    fn command(&mut self, core: &mut Core, what: &Command) -> Answer {
        let now = core.clock.now_ms();
        let machine = &self.machines[what.machine];
        if machine.lock.as_ref().is_some_and(|l| l.until_ms > now) {
            return Err(self.busy());
        }
        if machine.lanes[what.lane].stock < what.pieces {
            return Err(Why::Stock.into());
        }
        let delivery_id = loop {
            let id = format!("5121{:012}", core.noise.below(1_000_000_000_000));
            if !self.deliveries.contains_key(&id) {
                break id;
            }
        };
        let machine = &mut self.machines[what.machine];
        let lane = &mut machine.lanes[what.lane];
        let outcome = if lane.outcomes.is_empty() {
            self.settings.default_outcome.clone()
        } else {
            lane.outcomes.remove(0)
        };
        let dropped = if outcome.drops() { what.pieces } else { 0 };
        lane.stock -= dropped;
        for _ in 0..dropped {
            let cause = Cause {
                by: NAME.into(),
                request: Some(what.request),
                receipt: Some(delivery_id.clone()),
                trade_no: what.trade_id.clone(),
                notify_url: Some(what.notify_url.to_owned()),
            };
            core.dispense(&machine.machine_no, what.lane as u32 + 1, &lane.channel, cause);
        }
        if let Some(record) = record_mut(&mut self.orders, what.record) {
            record.status = RecordStatus::IsDelivering;
            if dropped > 0 && std::mem::take(&mut record.reserved) {
                lane.release(dropped);
            }
        }
        if let Some(limit) = machine.lock_ms {
            machine.lock =
                Some(Lock { delivery_id: delivery_id.clone(), until_ms: now.saturating_add(limit) });
        }
        if !outcome.silent {
            let delay = outcome.result_ms.unwrap_or(self.settings.result_ms);
            core.after(delay, NAME, json!({"do": "result", "delivery": delivery_id}));
        }
        let limit = self.settings.delivery_timeout_ms;
        core.after(limit, NAME, json!({"do": "timeout", "delivery": delivery_id}));
        let delivery = Delivery {
            delivery_id: delivery_id.clone(),
            machine_no: machine.machine_no.clone(),
            channel: lane.channel.clone(),
            order_id: what.record.map(|r| r.0),
            record_id: what.record.map(|r| r.1),
            notify_url: what.notify_url.to_owned(),
            at_ms: now,
            finished_ms: None,
            timed_out: false,
            result_waits: false,
            outcome,
            dropped,
            request: what.request,
        };
        let shown = self.show_delivery(&delivery);
        self.deliveries.insert(delivery_id, delivery);
        Ok(shown)
    }

    fn show_delivery(&self, d: &Delivery) -> Value {
        let zone = self.settings.zone_hours;
        let fell = d.finished_ms.filter(|_| d.outcome.error.is_empty());
        let reason = match (d.timed_out, d.finished_ms) {
            (true, _) => self.settings.timeout_text.as_str(),
            (_, Some(_)) => d.outcome.error.as_str(),
            _ => "",
        };
        json!({
            "delivery_id": d.delivery_id, "delivered_at": datetime(d.at_ms, zone),
            // Finished, which does not mean that it went well.
            "status": if d.is_open() { "未取货或正在出货" } else { "出货完成" },
            "pickup_at": fell.map(|at| datetime(at, zone)), "fail_reason": reason,
        })
    }

    pub(super) fn query_delivery(&self, at: usize, id: &str) -> Answer {
        let fits = |d: &&Delivery| d.machine_no == self.machines[at].machine_no;
        let delivery = self.deliveries.get(id).filter(fits).ok_or(Why::DeliveryUnknown)?;
        let mut shown = self.show_delivery(delivery);
        shown.as_object_mut().map(|o| o.remove("delivery_id"));
        Ok(shown)
    }

    /// The machine has a result, and tells it when it is online.
    pub(super) fn result(&mut self, core: &mut Core, id: &str) {
        let Some(delivery) = self.deliveries.get_mut(id).filter(|d| d.is_open()) else { return };
        let machine = self.machines.iter().find(|m| m.machine_no == delivery.machine_no);
        if machine.is_some_and(|m| !m.is_online) {
            delivery.result_waits = true;
            return;
        }
        delivery.finished_ms = Some(core.clock.now_ms());
        delivery.result_waits = false;
        core.forget(NAME, &json!({"do": "timeout", "delivery": id}));
        let delivery = delivery.clone();
        let floor = delivery.outcome.floor();
        self.settle(core, &delivery, &floor, &delivery.outcome.error);
    }

    /// The platform gives up waiting for a result.
    pub(super) fn time_out(&mut self, core: &mut Core, id: &str) {
        let Some(delivery) = self.deliveries.get_mut(id).filter(|d| d.is_open()) else { return };
        delivery.timed_out = true;
        core.forget(NAME, &json!({"do": "result", "delivery": id}));
        let delivery = delivery.clone();
        let text = self.settings.timeout_text.clone();
        self.settle(core, &delivery, "47", &text);
    }

    fn settle(&mut self, core: &mut Core, delivery: &Delivery, floor: &str, error: &str) {
        if let Some(machine) = self.machines.iter_mut().find(|m| m.machine_no == delivery.machine_no) {
            machine.lock.take_if(|lock| lock.delivery_id == delivery.delivery_id);
            let lane = machine.lanes.iter_mut().find(|l| l.channel == delivery.channel);
            lane.into_iter().for_each(|l| l.status = floor.to_owned());
        }
        if let Some(record) = record_mut(&mut self.orders, delivery.order_id.zip(delivery.record_id)) {
            record.status = match (delivery.timed_out, error) {
                (true, _) => RecordStatus::IsTimeout,
                (_, "") => RecordStatus::IsSuccess,
                _ => RecordStatus::IsFailed,
            };
        }
        let notice = Notice {
            order_id: delivery.order_id,
            record_id: delivery.record_id,
            success: !delivery.timed_out && error.is_empty(),
            floor_status: floor,
            error,
        };
        self.notify(core, &delivery.notify_url, &notice);
    }

    /// Sends a notice to the address given with the order, as the settings have it.
    pub(super) fn notify(&mut self, core: &mut Core, url: &str, notice: &Notice) {
        let content = json!({
            "deliver_status": if notice.success { "1" } else { "0" }, "error_msg": notice.error,
            "floor_status": notice.floor_status, "method": "device.delivery.response",
            "order_id": notice.order_id.unwrap_or_default(),
            "record_id": notice.record_id.unwrap_or_default(),
        });
        if let Some(order) = notice.order_id.and_then(|id| self.orders.get_mut(&id)) {
            order.notify_send_count += 1;
        }
        // Each address is an account of its own. One that leaves this machine is not taken, and the notice
        // stays in the log without an address, unless a common one is set.
        if !url.is_empty() {
            let target = Target {
                platform: NAME.into(),
                account: url.to_owned(),
                channel: "business".into(),
                url: url.to_owned(),
            };
            let _ = core.callbacks.set_target(target);
        }
        let what = Outgoing {
            platform: NAME,
            channel: "business".into(),
            account: url.to_owned(),
            method: "device.delivery.response".into(),
            receipt: notice.order_id.map(|id| id.to_string()),
            content,
            accent: Accent::default(),
        };
        let now = core.clock.now_ms();
        let before = core.callbacks.deliveries().len() as u64;
        core.notify(what, &|what, style, _| self.write_notice(what, style.forge));
        let first = before + 1;
        let Some(what) = core.callbacks.delivery_mut(first).map(|d| d.what.clone()) else { return };
        for _ in 0..self.settings.notify_duplicate {
            let rendered = self.write_notice(&what, false);
            core.callbacks.push(what.clone(), Style::default(), rendered, now, Some(first));
        }
        if self.settings.notify_contradict {
            let style = Style { forge: true, ..Style::default() };
            let rendered = self.write_notice(&what, true);
            core.callbacks.push(what, style, rendered, now, Some(first));
        }
        for id in first..=core.callbacks.deliveries().len() as u64 {
            if let Some(delivery) = core.callbacks.delivery_mut(id) {
                delivery.due_ms += self.settings.notify_delay_ms;
                if self.settings.notify_lost {
                    delivery.progress = Progress::Dropped;
                }
            }
        }
    }

    /// A notice as it is sent. Nothing in it is signed, so a forged one is one that says the opposite.
    pub(super) fn write_notice(&self, what: &Outgoing, opposite: bool) -> Rendered {
        let mut body = what.content.clone();
        if opposite {
            let succeeded = body["deliver_status"] == "1";
            body["deliver_status"] = json!(if succeeded { "0" } else { "1" });
            body["error_msg"] = json!(if succeeded { "Slave Comm Error" } else { "" });
            body["floor_status"] = json!(if succeeded { "3" } else { "1" });
        }
        let error = body["error_msg"].clone();
        if self.settings.notify_error_key != ErrorKey::ErrorMsg {
            body["fail_reason"] = error;
        }
        if self.settings.notify_error_key == ErrorKey::FailReason {
            body.as_object_mut().map(|o| o.remove("error_msg"));
        }
        let body = what.accent.shape(body);
        let (kind, body) = match self.settings.notify_form {
            NoticeForm::Json => ("application/json", render_json(&body)),
            NoticeForm::Form => {
                let plain = |v: &Value| {
                    v.as_str().filter(|t| !t.starts_with(RAW)).map_or_else(|| render_json(v), str::to_owned)
                };
                let members = body.as_object().into_iter().flatten();
                let pairs: Vec<_> = members.map(|(n, v)| format!("{n}={}", form_encode(&plain(v)))).collect();
                ("application/x-www-form-urlencoded", pairs.join("&"))
            }
        };
        let mut headers = vec![("Content-Type".into(), kind.into())];
        headers.extend(what.accent.callback_headers());
        Rendered { headers, body }
    }
}

fn record_mut(
    orders: &mut std::collections::BTreeMap<i64, Order>,
    which: Option<(i64, i64)>,
) -> Option<&mut Record> {
    let (order, record) = which?;
    orders.get_mut(&order)?.records.iter_mut().find(|r| r.id == record)
}
