//! What the dashboard and the people at the machines do: the control API below `/_sim/dingshang`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::act::Act;
use crate::message::patch_settings;
use crate::state::Core;
use crate::world::Cause;

use super::deliveries::Notice;
use super::model::{Delivery, Machine, OrderStatus};
use super::orders::NewOrder;
use super::{Dingshang, NAME, Ordered};

type Told = Result<Value, (u16, String)>;

fn bad(why: impl Into<String>) -> (u16, String) {
    (400, why.into())
}

fn no_such(what: impl std::fmt::Display) -> (u16, String) {
    (404, format!("there is no {what}"))
}

fn parse<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    serde_json::from_value(value.clone()).map_err(|e| e.to_string())
}

impl Dingshang {
    pub(super) fn desk(
        &mut self,
        core: &mut Core,
        method: &str,
        path: &[&str],
        body: &Value,
    ) -> Option<Told> {
        let changes = matches!(method, "POST" | "PATCH");
        Some(match path {
            ["machines"] if method == "GET" => Ok(json!(self.machines)),
            ["machines", no] if method == "GET" => match self.machines.iter().find(|m| m.machine_no == *no) {
                Some(machine) => Ok(json!(machine)),
                None => Err(no_such(format!("machine {no}"))),
            },
            ["machines", no] if changes => self.patch_machine(core, no, body),
            ["machines", no, "lanes", lane] if changes => self.patch_lane(no, lane, body),
            ["machines", no, "lanes", lane, "drop"] if method == "POST" => self.drop_piece(core, no, lane),
            ["codes"] if method == "GET" => Ok(json!(self.codes.values().collect::<Vec<_>>())),
            ["orders"] if method == "GET" => Ok(json!(self.orders.values().collect::<Vec<_>>())),
            ["orders", order, "records", record, "notice"] if changes => {
                self.send_by_hand(core, order, record, body)
            }
            ["deliveries"] if method == "GET" => Ok(json!(self.deliveries.values().collect::<Vec<_>>())),
            ["deliveries", id, "result"] if changes => self.report(core, id, body),
            ["dispenses"] if method == "GET" => {
                let ours = core.world.openings.iter().filter(|o| o.cause.by == NAME && o.lane.is_some());
                Ok(json!(ours.collect::<Vec<_>>()))
            }
            ["refusals"] if method == "GET" => Ok(json!(self.ordered)),
            ["refusals"] if method == "DELETE" => {
                self.ordered.clear();
                Ok(json!([]))
            }
            ["refusals"] if changes => match parse::<Ordered>(body) {
                Ok(refusal) => {
                    self.ordered.push(refusal);
                    Ok(json!(self.ordered))
                }
                Err(why) => Err(bad(why)),
            },
            _ => return None,
        })
    }

    fn patch_machine(&mut self, core: &mut Core, no: &str, body: &Value) -> Told {
        let machine = self.machines.iter_mut().find(|m| m.machine_no == no);
        let machine = machine.ok_or_else(|| no_such(format!("machine {no}")))?;
        let was_online = machine.is_online;
        patch_settings(machine, body).map_err(bad)?;
        let shown = json!(machine);
        if machine.is_online && !was_online {
            let fits = |d: &&Delivery| d.machine_no == no && d.result_waits;
            let waiting: Vec<_> =
                self.deliveries.values().filter(fits).map(|d| d.delivery_id.clone()).collect();
            waiting.iter().for_each(|id| self.result(core, id));
        }
        Ok(shown)
    }

    fn patch_lane(&mut self, no: &str, channel: &str, body: &Value) -> Told {
        let machine = self.machines.iter_mut().find(|m| m.machine_no == no);
        let machine = machine.ok_or_else(|| no_such(format!("machine {no}")))?;
        let lane = machine.lanes.iter_mut().find(|l| l.channel == channel);
        let lane = lane.ok_or_else(|| no_such(format!("lane {channel} in machine {no}")))?;
        patch_settings(lane, body).map_err(bad)?;
        Ok(json!(lane))
    }

    /// A person at the machine turns a lane's motor by hand: a piece falls, and no platform has asked for it.
    fn drop_piece(&mut self, core: &mut Core, no: &str, channel: &str) -> Told {
        let machine = self.machines.iter_mut().find(|m| m.machine_no == no);
        let machine = machine.ok_or_else(|| no_such(format!("machine {no}")))?;
        let place = machine.lanes.iter().position(|l| l.channel == channel);
        let place = place.ok_or_else(|| no_such(format!("lane {channel} in machine {no}")))?;
        let lane = &mut machine.lanes[place];
        if lane.stock <= 0 {
            return Err((409, "the lane is empty".into()));
        }
        lane.stock -= 1;
        let cause = Cause { by: "control".into(), ..Cause::default() };
        core.dispense(no, place as u32 + 1, channel, cause);
        Ok(json!(lane))
    }

    /// What somebody else does: `redeem` a code, make an `order`, `refund` or `pay` one.
    pub(super) fn others_act(&mut self, core: &mut Core, what: &Value) -> Told {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "snake_case", tag = "do")]
        enum Wish {
            Redeem {
                machine: String,
                code: String,
                #[serde(default)]
                trade_id: Option<String>,
            },
            Order {
                machine: String,
                trade_id: String,
                #[serde(default)]
                ago_s: i64,
                #[serde(default = "paid")]
                status: OrderStatus,
                #[serde(default)]
                product_id: Option<i64>,
            },
            Refund {
                order_id: i64,
            },
            Pay {
                order_id: i64,
            },
        }
        fn paid() -> OrderStatus {
            OrderStatus::Success
        }
        let wish: Wish = parse(what).map_err(bad)?;
        let place = |desk: &Self, no: &str| {
            desk.machines
                .iter()
                .position(|m| m.machine_no == no)
                .ok_or_else(|| no_such(format!("machine {no}")))
        };
        match wish {
            Wish::Redeem { machine, code, trade_id } => {
                let at = place(self, &machine)?;
                self.redeem_by_other(core, at, &code, trade_id)
            }
            Wish::Order { machine, trade_id, ago_s, status, product_id } => {
                let at = place(self, &machine)?;
                let wanted = |m: &Machine| match product_id {
                    Some(id) => m.product(id),
                    None => (!m.lanes.is_empty()).then_some(0),
                };
                let lane =
                    wanted(&self.machines[at]).ok_or_else(|| no_such("such product in that machine"))?;
                let new = NewOrder {
                    machine: at,
                    trade_id: &trade_id,
                    notify_url: "",
                    goods: &[(lane, 1)],
                    status,
                    reserve: false,
                    pickup_code_id: None,
                    request: 0,
                };
                let id = self.add_order(core.clock.now_ms() - ago_s * 1000, new);
                core.record(Act::new(NAME, "order").cabinet(&machine).order(id).mark(&trade_id));
                Ok(json!(self.orders.get(&id)))
            }
            Wish::Refund { order_id } => self.set_status(core, order_id, OrderStatus::Refund, "refund"),
            Wish::Pay { order_id } => self.set_status(core, order_id, OrderStatus::Success, "pay"),
        }
    }

    fn set_status(&mut self, core: &mut Core, order_id: i64, status: OrderStatus, act: &str) -> Told {
        let order = self.orders.get_mut(&order_id).ok_or_else(|| no_such(format!("order {order_id}")))?;
        order.status = status;
        let shown = json!(order);
        core.record(Act::new(NAME, act).order(order_id).mark(&order.trade_id));
        if status == OrderStatus::Refund {
            self.restock(order_id);
        }
        Ok(shown)
    }

    /// The dashboard's button that sends a notice again, of success or of failure as one likes.
    fn send_by_hand(&mut self, core: &mut Core, order: &str, record: &str, body: &Value) -> Told {
        let success = body["success"].as_bool().ok_or_else(|| bad("say whether \"success\""))?;
        let found = order.parse().ok().and_then(|id: i64| self.orders.get(&id));
        let found = found.ok_or_else(|| no_such(format!("order {order}")))?;
        let known = found.records.iter().find(|r| r.id.to_string() == record);
        let record_id = known.ok_or_else(|| no_such(format!("record {record}")))?.id;
        let (order_id, url) = (found.order_id, found.notify_url.clone());
        let error = if success { "" } else { body["error"].as_str().unwrap_or("Slave Comm Error") };
        let floor_status = if success { "1" } else { "3" };
        let notice =
            Notice { order_id: Some(order_id), record_id: Some(record_id), success, floor_status, error };
        self.notify(core, &url, &notice);
        Ok(json!({"sent": core.callbacks.deliveries().len()}))
    }

    /// Sends the notice of a delivery, as if a machine had reported: of the order that is named, else of the latest, else of one
    /// that is made for it.
    pub(super) fn trigger_notice(&mut self, core: &mut Core, what: &Value) -> Result<(), (u16, String)> {
        let order_id = match what["order"].as_str() {
            Some(text) => text.parse().map_err(|_| bad("an order's number is a number"))?,
            None => match self.orders.keys().next_back() {
                Some(id) => *id,
                None => {
                    let first =
                        self.machines.iter().find(|m| !m.lanes.is_empty()).map(|m| m.machine_no.clone());
                    let machine = what["cabinet"].as_str().map(str::to_owned).or(first).unwrap_or_default();
                    let wish = json!({"do": "order", "machine": machine, "trade_id": "triggered"});
                    self.others_act(core, &wish)?["order_id"].as_i64().unwrap_or_default()
                }
            },
        };
        let order = self.orders.get(&order_id).ok_or_else(|| no_such(format!("order {order_id}")))?;
        let record = order.records.first().map(|r| r.id.to_string()).unwrap_or_default();
        let body = json!({"success": what["failed"] != json!(true)});
        self.send_by_hand(core, &order_id.to_string(), &record, &body).map(drop)
    }

    /// Lets a machine report now, perhaps something else than was planned.
    fn report(&mut self, core: &mut Core, id: &str, body: &Value) -> Told {
        let delivery = self.deliveries.get_mut(id).ok_or_else(|| no_such(format!("delivery {id}")))?;
        if !delivery.is_open() {
            return Err((409, "the delivery is over".into()));
        }
        if body.is_object() {
            patch_settings(&mut delivery.outcome, body).map_err(bad)?;
        }
        core.forget(NAME, &json!({"do": "result", "delivery": id}));
        self.result(core, id);
        Ok(json!(self.deliveries.get(id)))
    }

    pub(super) fn lay_world(&mut self, world: &Value, replace: bool) -> Result<(), String> {
        let given = world.as_object().ok_or("a platform's world must be an object")?;
        if replace {
            self.machines.clear();
            self.codes.clear();
            self.orders.clear();
            self.deliveries.clear();
            self.ordered.clear();
        }
        for (key, part) in given {
            match key.as_str() {
                "machines" => {
                    for patch in part.as_array().ok_or("\"machines\" must be a list")? {
                        let no = patch["machine_no"].as_str().ok_or("a machine needs a \"machine_no\"")?;
                        match self.machines.iter_mut().find(|m| m.machine_no == no) {
                            Some(machine) => patch_settings(machine, patch)?,
                            None => self.machines.push(parse::<Machine>(patch)?),
                        }
                    }
                }
                "codes" => self.codes = keyed(part, |c: &super::Code| c.id)?,
                "orders" => self.orders = keyed(part, |o: &super::Order| o.order_id)?,
                "deliveries" => self.deliveries = keyed(part, |d: &Delivery| d.delivery_id.clone())?,
                "refusals" => self.ordered = parse(part)?,
                odd => {
                    let known = "machines, codes, orders, deliveries, refusals";
                    return Err(format!("unknown member {odd:?}; known are {known}"));
                }
            }
        }
        Ok(())
    }

    /// `{"for": "record", "order_id", "record_id", "status"}`
    pub(super) fn has_come_about(&self, what: &Value) -> Option<Result<bool, String>> {
        if what["for"] != json!("record") {
            return None;
        }
        let (Some(order), Some(record)) = (what["order_id"].as_i64(), what["record_id"].as_i64()) else {
            return Some(Err("say which \"order_id\" and \"record_id\"".into()));
        };
        let found = self.orders.get(&order).and_then(|o| o.records.iter().find(|r| r.id == record));
        Some(Ok(found.is_some_and(|r| what.get("status").is_none_or(|want| json!(r.status) == *want))))
    }
}

fn keyed<K: Ord, T: DeserializeOwned>(part: &Value, key: impl Fn(&T) -> K) -> Result<BTreeMap<K, T>, String> {
    Ok(parse::<Vec<T>>(part)?.into_iter().map(|item| (key(&item), item)).collect())
}
