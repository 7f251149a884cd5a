//! The operator's staff, the shopper and the vendor's technicians: what the control API does here.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::act::Act;
use crate::message::Request;
use crate::state::Core;
use crate::world::Generated;

use super::Yopoint;
use super::flow::{CORRECTED, DOOR_REPORT, PAID_NOTICE, RECOGNISED, REFUND_NOTICE};
use super::gateway::Biz;
use super::methods::changed_record;
use super::orders::{Order, Series, Stage};
use super::settings::Take;
use super::vending::{DELIVERED, EXCHANGED};

/// The older refund notices of vending machines.
const REFUND_WANTED: &str = "consumer.order.refunds";
const REFUND_ENDED: &str = "consumer.order.refunds.notify";

/// The notices that can be sent by the name of their kind.
pub const TRIGGERS: &[(&str, &str)] = &[
    ("test", "api.test"),
    ("door_closed", DOOR_REPORT),
    ("recognized", RECOGNISED),
    ("order_paid", PAID_NOTICE),
    ("refund_approved", REFUND_NOTICE),
    ("order_replaced", CORRECTED),
    ("delivery", DELIVERED),
    ("voucher_redeemed", EXCHANGED),
    ("cabinet_changed", "notify.cabinet.changed"),
    ("return_slip", "notify.depot.pickup.return"),
    ("refund_requested", REFUND_WANTED),
    ("refund_finished", REFUND_ENDED),
];

type Answer = Result<Value, (u16, String)>;

fn parse<T: serde::de::DeserializeOwned>(body: &Value) -> Result<T, (u16, String)> {
    let body = if body.is_null() { json!({}) } else { body.clone() };
    serde_json::from_value(body).map_err(|e| (400, e.to_string()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Goods {
    products: Option<Vec<Take>>,
}

impl Yopoint {
    pub(super) fn staff(
        &mut self,
        core: &mut Core,
        method: &str,
        path: &[&str],
        body: &Value,
    ) -> Option<Answer> {
        match (method, path) {
            ("GET", ["orders"]) => Some(Ok(json!(self.orders))),
            ("GET", ["consumer_orders"]) => Some(Ok(json!(self.consumer_orders))),
            (_, ["orders", receipt, rest @ ..]) => Some(self.at_order(core, method, receipt, rest, body)),
            ("POST", ["shopper"]) => Some(self.shopper(core, body)),
            ("POST", ["notify"]) => Some(self.notice(core, body)),
            ("POST", ["generate"]) => Some(self.generate(core, body)),
            ("POST", ["consumer_orders"]) => Some(self.vend(core, body)),
            _ => None,
        }
    }

    /// What somebody else does: `redeem` a voucher code, `open` a door, make an `order` of some time ago, `refund`
    /// an order.
    pub(super) fn others_act(&mut self, core: &mut Core, what: &Value) -> Answer {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "snake_case", tag = "do")]
        enum Wish {
            Redeem {
                code: String,
                tid: String,
            },
            Open {
                cabinet: String,
                door: Option<u32>,
                trade_no: Option<String>,
            },
            Order {
                trade_no: String,
                cabinet: String,
                #[serde(default)]
                ago_s: i64,
                #[serde(default = "yes")]
                opened: bool,
            },
            Refund {
                receipt: String,
            },
        }
        fn yes() -> bool {
            true
        }
        let refused = |refusal: super::gateway::Refusal| (409, refusal.reason);
        match parse(what)? {
            Wish::Redeem { code, tid } => {
                let biz = Biz::of(&json!({"Code": code, "TID": tid}));
                self.exchange(core, None, &biz).map_err(refused)
            }
            Wish::Open { cabinet, door, trade_no } => {
                let account = self.settings.accounts.first().cloned();
                let account = account.ok_or((409, "there is no account".to_owned()))?;
                let biz =
                    Biz::of(&json!({"CID": cabinet, "Door": door, "TradeNo": trade_no, "OpenID": "other"}));
                self.open_door(core, &Request::default(), &account, &biz).map_err(refused)
            }
            Wish::Order { trade_no, cabinet, ago_s, opened } => {
                core.world
                    .cabinet(&cabinet)
                    .ok_or_else(|| (404, format!("there is no cabinet {cabinet}")))?;
                let receipt = self.order_of_the_past(core, &cabinet, &trade_no, ago_s, opened);
                Ok(json!(self.order(&receipt)))
            }
            Wish::Refund { receipt } => {
                let order = self.order_mut(&core.world, &receipt);
                let order = order.ok_or_else(|| (404, format!("there is no order {receipt}")))?;
                let price = order.int("Price");
                order.set("RefundsPrice", price);
                order.own.stage = Stage::Refunded;
                let shown = json!(order);
                core.record(Act::new(super::NAME, "refund").order(&receipt).amount(price));
                Ok(shown)
            }
        }
    }

    fn at_order(
        &mut self,
        core: &mut Core,
        method: &str,
        receipt: &str,
        rest: &[&str],
        body: &Value,
    ) -> Answer {
        let order = self.order_mut(&core.world, receipt);
        let order = order.ok_or_else(|| (404, format!("there is no order {receipt}")))?;
        let stage = order.own.stage;
        let is = |wanted: &[Stage]| {
            if wanted.contains(&stage) {
                Ok(())
            } else {
                Err((409, format!("the order is {}", json!(stage))))
            }
        };
        match (method, rest) {
            ("GET", []) => {}
            ("PATCH" | "POST", []) => {
                let mut whole = json!(order);
                crate::message::merge(&mut whole, body);
                *order = serde_json::from_value::<Order>(whole).map_err(|e| (400, e.to_string()))?;
            }
            ("POST", ["report"]) => {
                let status = body["status"].as_i64().unwrap_or(1);
                self.report_door(core, receipt, status);
            }
            ("POST", ["settle"]) => {
                is(&[Stage::Open, Stage::Recognising, Stage::Review, Stage::Unpaid])?;
                let Goods { products } = parse(body)?;
                let goods = products.unwrap_or_else(|| order.own.taken.clone());
                self.settle(core, receipt, &goods, false);
            }
            ("POST", ["correct"]) => {
                let Goods { products } = parse(body)?;
                let new =
                    self.correct(core, receipt, &products.unwrap_or_default()).map_err(|why| (409, why))?;
                return Ok(json!(self.order(&new)));
            }
            ("POST", ["refund"]) => {
                is(&[Stage::Paid, Stage::RefundAsked])?;
                if body["approve"] == json!(false) {
                    order.own.stage = Stage::Paid;
                    order.set("UserRefundsStatus", -1);
                } else {
                    self.approve_refund(core, receipt, body["price"].as_i64());
                }
            }
            _ => return Err((404, format!("an order has nothing called {method} {}", rest.join("/")))),
        }
        Ok(json!(self.order(receipt)))
    }

    /// Says what the next shopper at a cabinet takes.
    fn shopper(&mut self, core: &Core, body: &Value) -> Answer {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Body {
            cabinet: String,
            take: Vec<Take>,
        }
        let Body { cabinet, take } = parse(body)?;
        core.world.cabinet(&cabinet).ok_or_else(|| (404, format!("there is no cabinet {cabinet}")))?;
        self.next_take.insert(cabinet, take);
        Ok(json!(self.next_take))
    }

    /// Sends a notice: one that is written out, or a known one filled in.
    fn notice(&mut self, core: &mut Core, body: &Value) -> Answer {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Body {
            method: String,
            channel: Option<String>,
            cabinet: Option<String>,
            receipt: Option<String>,
            biz_content: Option<Value>,
        }
        let Body { method, channel, cabinet, receipt, biz_content } = parse(body)?;
        let paid = [RECOGNISED, REFUND_NOTICE, CORRECTED].contains(&method.as_str());
        let channel = channel.unwrap_or_else(|| if paid { "payment" } else { "business" }.into());
        if !["business", "payment"].contains(&channel.as_str()) {
            return Err((400, "the channel is \"business\" or \"payment\"".into()));
        }
        let bits = core.noise.next();
        let request_id = format!("{:08x}-0000-4000-8000-{:012x}", bits >> 32, bits & 0xffff_ffff);
        let first = core.world.cabinets.first().map(|c| c.id.clone());
        let cabinet = cabinet.or(first).and_then(|id| core.world.cabinet(&id));
        let receipt = receipt.or_else(|| self.orders.last().map(|o| o.text("ReceiptNo").to_owned()));
        let content = match (biz_content, method.as_str()) {
            (Some(content), _) => content,
            (None, "notify.cabinet.changed") => {
                let cabinet = cabinet.ok_or((404, "there is no such cabinet".to_owned()))?;
                let mut all = json!({"RequestID": request_id});
                all.as_object_mut().into_iter().for_each(|all| all.extend(changed_record(&cabinet)));
                all
            }
            (None, "notify.activity.voucher.exchangecode") => json!({
                "VoucherID": "5e9000000000000000000001", "VoucherCode": "20000001",
                "TID": self.terminals.first().map(|t| t["TID"].clone()), "ReceiptNo": receipt,
                "ShipmentsStatus": 1,
            }),
            (None, "notify.depot.pickup.return") => json!({
                "RequestID": request_id, "BizID": "5ea000000000000000000001",
                "ReceiptNo": receipt, "DepotID": "5ea000000000000000000002",
                "AccountID": "5ea000000000000000000003", "CreateReturnOrderAt": core.clock.now_s(),
                "ProductList": [{"BarCode": "6900000000011", "Qty": 1}],
            }),
            (None, DOOR_REPORT) => json!({"Status": 1, "ReceiptNo": receipt, "Msg": ""}),
            (None, RECOGNISED) => self.payment_content(core, &self.told_of(&receipt)?, "NotifyUrl"),
            (None, CORRECTED) => {
                let mut all = self.payment_content(core, &self.told_of(&receipt)?, "PaySuccessNotifyUrl");
                all["OldReceiptNo"] = json!(receipt);
                all
            }
            (None, PAID_NOTICE) => {
                let order = self.told_of(&receipt)?;
                json!({"ReceiptNo": receipt, "CID": order.text("CID"), "PayTime": core.clock.now_s()})
            }
            (None, REFUND_NOTICE) => {
                let order = self.told_of(&receipt)?;
                json!({
                    "ReceiptNo": receipt, "TradeNo": order.text("TradeNo"), "CID": order.text("CID"),
                    "RefundsPrice": order.int("Price"), "RefundsProducts": order.doc.get("Products"),
                    "UserRefundsReason": order.text("UserRefundsReason"),
                })
            }
            (None, DELIVERED) => {
                let order = self.sold(&receipt)?;
                json!({
                    "ReceiptNo": order.text("ReceiptNo"), "TID": order.text("TID"), "ShipmentsStatus": 1,
                    "ShipmentsError": "",
                })
            }
            (None, REFUND_WANTED | REFUND_ENDED) => {
                let order = self.sold(&receipt)?;
                json!({
                    "ReceiptNo": order.text("ReceiptNo"), "TID": order.text("TID"),
                    "RefundsPrice": order.int("Price"), "UserRefundsReason": order.text("UserRefundsReason"),
                })
            }
            (None, "api.test") => json!({}),
            (None, other) => {
                return Err((400, format!("give \"biz_content\" for {other:?}; it has no usual content")));
            }
        };
        let about = content["ReceiptNo"].as_str().map(str::to_owned);
        self.notify(core, &channel, &method, about.as_deref(), content.clone());
        Ok(json!({"method": method, "channel": channel, "biz_content": content}))
    }

    /// The order of a cabinet that a notice is about.
    fn told_of(&self, receipt: &Option<String>) -> Result<Order, (u16, String)> {
        let found = receipt.as_deref().and_then(|r| self.order(r)).cloned();
        found.ok_or_else(|| (404, "there is no such order of a cabinet to tell of".into()))
    }

    /// The order of a vending machine that a notice is about: the one that is named, else the latest.
    fn sold(&self, receipt: &Option<String>) -> Result<Order, (u16, String)> {
        let named = self.consumer_orders.iter().find(|o| receipt.as_deref() == Some(o.text("ReceiptNo")));
        let found = named.or(self.consumer_orders.last()).cloned();
        found.ok_or_else(|| (404, "there is no order of a vending machine to tell of".into()))
    }

    /// Sends the notice of this name, as if the platform had a reason to.
    pub(super) fn trigger_notice(
        &mut self,
        core: &mut Core,
        name: &str,
        what: &Value,
    ) -> Result<(), (u16, String)> {
        let found = TRIGGERS.iter().find(|(known, _)| *known == name);
        let (_, method) = found.ok_or_else(|| (404, format!("Yopoint sends no {name}")))?;
        let mut body = json!({"method": method});
        for (key, from) in [("receipt", "order"), ("cabinet", "cabinet")] {
            if let Some(text) = what[from].as_str() {
                body[key] = json!(text);
            }
        }
        if what["failed"] == json!(true) {
            let receipt = what["order"].as_str().map(str::to_owned);
            let last = || self.orders.last().map(|o| o.text("ReceiptNo").to_owned());
            body["biz_content"] = match *method {
                DOOR_REPORT => {
                    json!({"Status": 2, "ReceiptNo": receipt.or_else(last), "Msg": "门未打开"})
                }
                DELIVERED => {
                    let order = self.sold(&receipt)?;
                    json!({
                        "ReceiptNo": order.text("ReceiptNo"), "TID": order.text("TID"), "ShipmentsStatus": -1,
                        "ShipmentsError": "货道卡货",
                    })
                }
                _ => return Err((400, format!("{name} has no failure to tell of"))),
            };
        }
        self.notice(core, &body).map(drop)
    }

    /// Makes a big world that costs no memory.
    fn generate(&mut self, core: &mut Core, body: &Value) -> Answer {
        #[derive(Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Body {
            cabinets: u64,
            stock_lines: u64,
            orders: u64,
            step_s: i64,
            end_s: Option<i64>,
        }
        impl Default for Body {
            fn default() -> Self {
                Self { cabinets: 0, stock_lines: 10, orders: 0, step_s: 60, end_s: None }
            }
        }
        let Body { cabinets, stock_lines, orders, step_s, end_s } = parse(body)?;
        if cabinets.max(stock_lines).max(orders) > 100_000_000 || !(1..=86_400).contains(&step_s) {
            let why = "at most 100000000 of each, and \"step_s\" from 1 to 86400";
            return Err((400, why.into()));
        }
        core.world.generated = Generated { cabinets, stock_lines };
        core.world.touched.clear();
        // They end a week ago, so that what was written out is newer.
        let end_s = end_s.unwrap_or_else(|| core.clock.now_s() - 7 * 86_400);
        self.series = Series { count: orders, end_s, step_s };
        Ok(json!({
            "generated": core.world.generated, "series": self.series,
            "first_cabinet": core.world.cabinet_at(core.world.cabinets.len() as u64).map(|c| c.id),
        }))
    }

    /// A vending machine sells something and reports how the delivery went.
    fn vend(&mut self, core: &mut Core, body: &Value) -> Answer {
        #[derive(Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Body {
            tid: String,
            status: i64,
            error: String,
        }
        impl Default for Body {
            fn default() -> Self {
                Self { tid: String::new(), status: 1, error: String::new() }
            }
        }
        let Body { tid, status, error } = parse(body)?;
        let receipt = self.new_consumer_order(core, &tid, status, &error);
        let order = self.consumer_orders.last().cloned().unwrap_or_default();
        let content = json!({
            "ReceiptNo": receipt, "TID": order.text("TID"), "ShipmentsStatus": status, "ShipmentsError": error,
        });
        self.notify(core, "business", "notify.consumer.order.simple", Some(&receipt), content);
        Ok(json!(order))
    }
}
