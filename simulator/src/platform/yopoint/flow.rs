//! What happens to an order by itself: the door, the recognition, the payment, the refund, the appeal.

use serde_json::{Value, json};

use crate::act::Act;
use crate::message::{Reply, Request};
use crate::state::Core;
use crate::world::{Cause, NotOpened, Opening};

use super::gateway::{Biz, Refusal, field, fields};
use super::orders::{self, NewOrder, Order, Stage};
use super::settings::{Account, Channel, Recognition, Take};
use super::{Exchange, NAME, PAYMENT, Yopoint};

pub const RECOGNISED: &str = "cabinet.order.vi.result.notify";
pub const REFUND_NOTICE: &str = "cabinet.order.refunds.result.notify";
pub const CORRECTED: &str = "cabinet.order.product.modify";
pub const DOOR_REPORT: &str = "notify.close.door";
pub const PAID_NOTICE: &str = "notify.cabinet.order.simple";

impl Yopoint {
    /// `cabinet.open.door`: the checks, the order, the bolt.
    pub(super) fn open_door(
        &mut self,
        core: &mut Core,
        request: &Request,
        account: &Account,
        biz: &Biz,
    ) -> Result<Value, Refusal> {
        let cid = biz.need("CID")?;
        let open_id = biz.text(&["OpenID", "UserID", "openid"]);
        if self.settings.require_open_id && open_id.is_none() {
            return Err(Refusal::missing("OpenID"));
        }
        let trade_no = biz.text(&["TradeNo"]);
        if !self.settings.payment_product {
            return Err(Refusal::new("payment_product"));
        }
        let cabinet = core.world.cabinet(&cid).ok_or_else(|| Refusal::new("cabinet_unknown"))?;
        let door = match biz.int(&["Door", "DoorIndex", "DoorNo"]) {
            Some(door) => u32::try_from(door).map_err(|_| Refusal::new("door_unknown"))?,
            None => cabinet.doors.iter().position(|d| !d.open).unwrap_or(0) as u32 + 1,
        };
        let lock = (door as usize).checked_sub(1).and_then(|i| cabinet.doors.get(i));
        let lock = lock.ok_or_else(|| Refusal::new("door_unknown"))?;
        if !cabinet.online {
            return Err(Refusal::new("cabinet_offline"));
        }
        if cabinet.sell_status != 1 || !cabinet.enable_sell {
            return Err(Refusal::new("cabinet_not_selling"));
        }
        let any_open = self.settings.busy_whole_cabinet && cabinet.doors.iter().any(|d| d.open);
        if lock.open || any_open {
            return Err(Refusal::new("door_busy"));
        }
        if self.settings.credit.is_some_and(|left| left <= 0) {
            return Err(Refusal::new("credit"));
        }
        let used = trade_no.as_ref().is_some_and(|number| self.orders.has_open_trade_no(number));
        if self.settings.unique_trade_no && used {
            return Err(Refusal::new("trade_no_used"));
        }
        let mut order = self.new_order(core, &cid, open_id.clone(), trade_no.clone(), account);
        order.own.plain = !request.tls;
        order.own.door = door;
        let receipt = order.text("ReceiptNo").to_owned();
        let cause = Cause {
            by: NAME.into(),
            request: (request.number > 0).then_some(request.number),
            receipt: Some(receipt.clone()),
            trade_no,
            notify_url: None,
        };
        match core.open_door(&cid, door, self.settings.door_open_ms, cause) {
            Ok(opening) => {
                order.own.opening = Some(opening);
                order.set("ServiceStatus", 1);
                order.set("DoorStatus", 1);
            }
            // The cloud does not know yet that the bolt did not move: its answer is the same.
            Err(NotOpened::Jammed) => {
                order.set("ServiceStatus", 1);
                if let Some(delay) = self.settings.never_open_report_ms {
                    core.after(delay, NAME, json!({"do": "report", "receipt": receipt, "status": 2}));
                }
            }
            Err(NotOpened::AlreadyOpen) => return Err(Refusal::new("door_busy")),
            Err(NotOpened::NoSuchDoor) => return Err(Refusal::new("door_unknown")),
        }
        let answer = json!({"ReceiptNo": receipt, "NotifyUrl": self.notify_url(core, &order)});
        self.orders.push(order);
        Ok(answer)
    }

    fn new_order(
        &mut self,
        core: &mut Core,
        cid: &str,
        open_id: Option<String>,
        trade_no: Option<String>,
        account: &Account,
    ) -> Order {
        let at_ms = core.clock.now_ms();
        let cabinet = core.world.cabinet(cid);
        let (device, name) = cabinet.map(|c| (c.device_code, c.name)).unwrap_or_default();
        let mut receipt = orders::receipt("VI", at_ms, core.noise.below(1_000_000));
        while self.order(&receipt).is_some() {
            receipt = orders::receipt("VI", at_ms, core.noise.below(1_000_000));
        }
        let mut order = NewOrder {
            receipt,
            id: format!("65{:06x}{:016x}", self.orders.len(), core.noise.next()),
            cabinet: cid,
            device_code: &device,
            name: &name,
            oid: &self.settings.oid,
            open_id: open_id.unwrap_or_default(),
            user_id: format!("64{:06x}{:016x}", 0, core.noise.next()),
            trade_no: trade_no.clone().unwrap_or_default(),
            pay_type: self.settings.pay_type,
            at_s: at_ms / 1000,
        }
        .build();
        order.own.token = format!("{:016x}{:016x}", core.noise.next(), core.noise.next());
        order.own.appid = account.appid.clone();
        order.own.made_ms = at_ms;
        order.own.open_trade_no = trade_no;
        order
    }

    /// The door of an order is shut: the goods are gone, and the report is on its way.
    pub(super) fn shut(&mut self, core: &mut Core, opening: &Opening) {
        if self.orders.by_opening_mut(opening.number).is_none() {
            return;
        }
        let wanted = self.next_take.remove(&opening.cabinet).or_else(|| self.settings.take.clone());
        let wanted = match wanted {
            None => Vec::new(),
            Some(named) if !named.is_empty() => named,
            Some(_) => {
                let stock = core.world.cabinet(&opening.cabinet).map(|c| c.stock).unwrap_or_default();
                let first = stock.iter().find(|l| l.door == opening.door && l.stock > 0);
                first.map(|l| Take { barcode: l.barcode.clone(), qty: 1 }).into_iter().collect()
            }
        };
        let taken = wanted.into_iter().filter_map(|take| {
            let qty = core.world.take(&opening.cabinet, &take.barcode, take.qty);
            (qty > 0).then_some(Take { qty, ..take })
        });
        let taken: Vec<Take> = taken.collect();
        let Some(order) = self.orders.by_opening_mut(opening.number) else { return };
        order.own.taken = taken;
        order.own.stage = Stage::Recognising;
        order.set("DoorStatus", 0);
        if let Some(delay) = self.settings.close_report_ms {
            let receipt = order.text("ReceiptNo");
            core.after(delay, NAME, json!({"do": "report", "receipt": receipt, "status": 1}));
        }
    }

    /// The cabinet tells the cloud what became of the door: 1 it did open, 2 it did not.
    pub(super) fn report_door(&mut self, core: &mut Core, receipt: &str, status: i64) {
        let Some(order) = self.order_mut(&core.world, receipt) else { return };
        if core.world.cabinet(order.text("CID")).is_some_and(|c| !c.online) {
            order.own.report_waiting = Some(status);
            return;
        }
        let mut message = "";
        if status == 2 {
            message = "门未打开";
            order.own.stage = Stage::NeverOpened;
            order.set("DoorStatus", -1);
            order.set("ServiceStatus", 2);
        }
        let recognising = order.own.stage == Stage::Recognising;
        let content = json!({"Status": status, "ReceiptNo": receipt, "Msg": message});
        let channels: &[&str] = match self.settings.close_door_channel {
            Channel::Business => &["business"],
            Channel::Payment => &["payment"],
            Channel::Both => &["business", "payment"],
        };
        for channel in channels {
            self.notify(core, channel, DOOR_REPORT, Some(receipt), content.clone());
        }
        if let Some(delay) = self.settings.recognition_ms.filter(|_| recognising && status == 1) {
            core.after(delay, NAME, json!({"do": "recognise", "receipt": receipt}));
        }
    }

    /// The recognition of the goods is done.
    pub(super) fn recognise(&mut self, core: &mut Core, receipt: &str) {
        let Some(order) = self.order(receipt) else { return };
        let mut goods = order.own.taken.clone();
        match self.settings.recognition {
            Recognition::Right | Recognition::Suspicious => {}
            Recognition::Empty => goods.clear(),
            Recognition::More => goods.iter_mut().for_each(|g| g.qty += 1),
            Recognition::Wrong => {
                let other = core.world.goods.iter().find(|g| goods.iter().all(|t| t.barcode != g.barcode));
                goods = other.map(|g| Take { barcode: g.barcode.clone(), qty: 1 }).into_iter().collect();
            }
        }
        if let Some(credit) = &mut self.settings.credit {
            *credit -= 1;
        }
        let review = self.settings.recognition == Recognition::Suspicious;
        self.settle(core, receipt, &goods, review);
    }

    /// Puts the recognised goods into an order, and tells the developer unless a person must look first.
    pub(super) fn settle(&mut self, core: &mut Core, receipt: &str, goods: &[Take], review: bool) {
        let Some(order) = self.order_mut(&core.world, receipt) else { return };
        order.set_products(&core.world, goods);
        order.set("ServiceStatus", 2);
        order.set("IsSuspicious", i64::from(review));
        order.own.stage = if review { Stage::Review } else { Stage::Unpaid };
        if !review {
            let order = order.clone();
            let content = self.payment_content(core, &order, "NotifyUrl");
            self.notify(core, "payment", RECOGNISED, Some(receipt), content);
        }
    }

    /// The developer's report of the payment to an order's `NotifyUrl`.
    pub(super) fn payment_report(
        &mut self,
        core: &mut Core,
        request: &Request,
        token: &str,
        exchange: &mut Exchange,
    ) -> Reply {
        let answer = match self.check_payment(core, request, token, exchange) {
            Ok(()) => self.settings.payment_answer.clone(),
            Err(why) => {
                exchange.signature["refused"] = json!(why);
                self.settings.payment_refusal.clone()
            }
        };
        Reply::new(200, "text/plain; charset=utf-8", answer)
    }

    fn check_payment(
        &mut self,
        core: &mut Core,
        request: &Request,
        token: &str,
        exchange: &mut Exchange,
    ) -> Result<(), String> {
        let fields = fields(request)?;
        exchange.params = fields.iter().map(|(n, v)| (n.clone(), json!(v))).collect();
        let owns = |o: &Order| !token.is_empty() && o.own.token == token;
        let at = self.orders.place_of_token(token);
        let vending = self.consumer_orders.iter().position(owns);
        if at.or(vending).is_none() {
            return Err("no order has this NotifyUrl".into());
        }
        let need = |name: &str| {
            field(&fields, name).filter(|v| !v.is_empty()).ok_or_else(|| format!("{name} is missing"))
        };
        let (receipt, trade_no) = (need("receipt_no")?, need("trade_no")?);
        let (status, given) = (need("trade_status")?, need("sign")?);
        let raw = need("trade_rawdata")?;
        exchange.signature = self.compare(&fields, &["price"], given, &self.settings.pay_key);
        if exchange.signature["ok"] != json!(true) {
            return Err("the sign is wrong".into());
        }
        self.check_time(core, need("timestamp")?).map_err(|_| "the timestamp is off")?;
        let order = match at.and_then(|at| self.orders.at_mut(at)) {
            Some(order) => order,
            None => &mut self.consumer_orders[vending.unwrap_or_default()],
        };
        if order.text("ReceiptNo") != receipt {
            return Err("receipt_no is not the order that this NotifyUrl belongs to".into());
        }
        let raw: Value = serde_json::from_str(raw).map_err(|_| "trade_rawdata is not JSON")?;
        match (status, order.own.stage) {
            (_, Stage::Open | Stage::Recognising | Stage::Review) => {
                Err("the order is not settled yet".into())
            }
            (_, Stage::NeverOpened) => Err("the door never opened; there is nothing to pay".into()),
            ("1", Stage::Unpaid | Stage::PaymentFailed) => {
                let now = core.clock.now_s();
                order.set("TradeStatus", 1);
                order.set("TradeNo", trade_no);
                order.set("TradeRawData", raw);
                order.set("PayTime", now);
                order.own.stage = Stage::Paid;
                core.record(Act::new(NAME, "pay").order(receipt).mark(trade_no).amount(order.int("Price")));
                let content = json!({"ReceiptNo": receipt, "CID": order.text("CID"), "PayTime": now});
                let Some(at) = at else {
                    let receipt = receipt.to_owned();
                    self.vend_paid(core, request, &receipt);
                    return Ok(());
                };
                self.orders.trade_no_set(at);
                self.notify(core, "business", PAID_NOTICE, Some(receipt), content);
                Ok(())
            }
            ("1", _) if order.text("TradeNo") == trade_no => Ok(()),
            ("1", _) => Err("the order is paid already, under another trade_no".into()),
            ("-1", Stage::Unpaid | Stage::PaymentFailed) => {
                order.set("TradeStatus", -1);
                order.own.stage = Stage::PaymentFailed;
                core.record(Act::new(NAME, "pay_failed").order(receipt).mark(trade_no));
                Ok(())
            }
            ("-1", _) => Err("the order is paid already".into()),
            _ => Err("trade_status is neither 1 nor -1".into()),
        }
    }

    /// `cabinet.order.refund.apply`.
    pub(super) fn ask_refund(&mut self, core: &mut Core, biz: &Biz) -> Result<Value, Refusal> {
        let receipt = biz.need("ReceiptNo")?;
        let now = core.clock.now_s();
        let order = self.order_mut(&core.world, &receipt).ok_or_else(|| Refusal::new("order_unknown"))?;
        match order.own.stage {
            Stage::Paid => {}
            Stage::RefundAsked | Stage::RefundSent | Stage::Refunded => {
                return Err(Refusal::new("refund_repeated"));
            }
            _ => return Err(Refusal::new("order_not_paid")),
        }
        order.own.stage = Stage::RefundAsked;
        core.record(Act::new(NAME, "refund_apply").order(&receipt).amount(order.int("Price")));
        order.set("UserRefundsStatus", 1);
        order.set("UserRefundsTime", now);
        for (field, names) in [
            ("UserRefundsReason", &["UserRefundsReason", "Reason"]),
            ("UserRefundsRemarks", &["UserRefundsRemarks", "Remarks"]),
            ("UserRefundsMobile", &["UserRefundsMobile", "Mobile"]),
        ] {
            if let Some(text) = biz.text(names) {
                order.set(field, text);
            }
        }
        if let Some(delay) = self.settings.refund_approval_ms {
            core.after(delay, NAME, json!({"do": "approve_refund", "receipt": receipt}));
        }
        Ok(json!({"ReceiptNo": receipt}))
    }

    /// Staff approve a refund: the developer is told to make it.
    pub(super) fn approve_refund(&mut self, core: &mut Core, receipt: &str, price: Option<i64>) {
        let Some(order) = self.order_mut(&core.world, receipt) else { return };
        if !matches!(order.own.stage, Stage::Paid | Stage::RefundAsked) {
            return;
        }
        order.own.stage = Stage::RefundSent;
        let products = order.doc.get("Products").cloned().unwrap_or_default();
        let price = price.unwrap_or_else(|| order.int("Price"));
        order.set("RefundsProducts", products.clone());
        let content = json!({
            "ReceiptNo": receipt, "TradeNo": order.text("TradeNo"), "CID": order.text("CID"),
            "RefundsPrice": price, "RefundsProducts": products,
            "UserRefundsReason": order.text("UserRefundsReason"),
        });
        self.notify(core, "payment", REFUND_NOTICE, Some(receipt), content);
    }

    /// The developer has answered the refund notice: the refund is made.
    pub(super) fn refunded(&mut self, core: &mut Core, receipt: &str, answer: Value) {
        let sent = core.callbacks.deliveries().iter().rev();
        let sent = sent.filter(|d| d.what.method == REFUND_NOTICE);
        let price = sent
            .filter(|d| d.what.receipt.as_deref() == Some(receipt))
            .find_map(|d| d.what.content["RefundsPrice"].as_i64());
        let Some(order) = self.order_mut(&core.world, receipt) else { return };
        let price = price.unwrap_or_else(|| order.int("Price"));
        order.set("RefundsPrice", price);
        core.record(Act::new(NAME, "refund").order(receipt).amount(price));
        let raw = ["refundsRawData", "data"].iter().find_map(|k| answer.get(*k)).cloned();
        order.set("RefundsRawData", raw.unwrap_or(json!({})));
        order.own.refund_answer = Some(answer);
        order.own.stage = Stage::Refunded;
    }

    /// `cabinet.order.user.appeal`.
    pub(super) fn appeal(&mut self, core: &mut Core, biz: &Biz) -> Result<Value, Refusal> {
        let receipt = biz.need("ReceiptNo")?;
        let order = self.order_mut(&core.world, &receipt).ok_or_else(|| Refusal::new("order_unknown"))?;
        if order.own.appeal.is_some() {
            return Err(Refusal::new("appeal_repeated"));
        }
        if !matches!(order.own.stage, Stage::Unpaid | Stage::Paid | Stage::PaymentFailed) {
            return Err(Refusal::new("order_not_settled"));
        }
        order.own.appeal = Some(biz.whole());
        core.record(Act::new(NAME, "appeal").order(&receipt));
        Ok(json!({"ReceiptNo": receipt}))
    }

    /// Staff correct an order. Before payment its goods change; after, a new order takes its place.
    pub(super) fn correct(
        &mut self,
        core: &mut Core,
        receipt: &str,
        goods: &[Take],
    ) -> Result<String, String> {
        let order = self.order_mut(&core.world, receipt).ok_or("there is no such order")?;
        match order.own.stage {
            Stage::Unpaid | Stage::PaymentFailed | Stage::Review => {
                self.settle(core, receipt, goods, false);
                Ok(receipt.to_owned())
            }
            Stage::Paid | Stage::RefundAsked => {
                let old = order.clone();
                let account = Account { appid: old.own.appid.clone(), secret: String::new(), methods: None };
                let open_id = Some(old.text("OpenID").to_owned());
                let mut new = self.new_order(core, old.text("CID"), open_id, None, &account);
                new.own.plain = old.own.plain;
                new.own.corrects = Some(receipt.to_owned());
                new.own.stage = Stage::Unpaid;
                new.set("ServiceStatus", 2);
                new.set_products(&core.world, goods);
                let number = new.text("ReceiptNo").to_owned();
                let mut content = self.payment_content(core, &new, "PaySuccessNotifyUrl");
                content["OldReceiptNo"] = json!(receipt);
                self.orders.push(new);
                if self.settings.appeal_refund_first {
                    self.approve_refund(core, receipt, None);
                }
                self.notify(core, "payment", CORRECTED, Some(&number), content);
                if !self.settings.appeal_refund_first {
                    self.approve_refund(core, receipt, None);
                }
                Ok(number)
            }
            stage => Err(format!("the order is {}; there is nothing to correct", json!(stage))),
        }
    }
}

impl Yopoint {
    /// The address for the payment report of an order.
    pub(super) fn notify_url(&self, core: &Core, order: &Order) -> String {
        let origin = if order.own.plain { &core.http_origin } else { &core.origin };
        let origin = match &self.settings.payment_host {
            Some(host) => origin.replacen("//localhost", &format!("//{host}"), 1),
            None => origin.clone(),
        };
        format!("{origin}{PAYMENT}{}", order.own.token)
    }

    /// What a developer needs to charge an order.
    pub(super) fn payment_content(&self, core: &Core, order: &Order, url_name: &str) -> Value {
        let part = |name: &str| order.doc.get(name).cloned().unwrap_or_default();
        let mut content = json!({
            "ReceiptNo": part("ReceiptNo"), "TradeNo": part("TradeNo"), "CID": part("CID"),
            "OpenID": part("OpenID"), "Products": part("Products"), "Price": part("Price"),
        });
        content[url_name] = json!(self.notify_url(core, order));
        content
    }

    /// There is an order of some time ago, with a number that somebody else gave it.
    pub(super) fn order_of_the_past(
        &mut self,
        core: &mut Core,
        cid: &str,
        trade_no: &str,
        ago_s: i64,
        opened: bool,
    ) -> String {
        let account = self.settings.accounts.first().cloned();
        let account =
            account.unwrap_or(Account { appid: String::new(), secret: String::new(), methods: None });
        let mut order = self.new_order(core, cid, None, Some(trade_no.to_owned()), &account);
        let at_ms = core.clock.now_ms() - ago_s * 1000;
        let receipt = orders::receipt("VI", at_ms, core.noise.below(1_000_000));
        order.set("ReceiptNo", receipt.clone());
        order.set("CreateAt", at_ms / 1000);
        order.set("ServiceStatus", 2);
        (order.own.door, order.own.made_ms) = (1, at_ms);
        if opened {
            let goods = core.world.goods.first().map(|g| Take { barcode: g.barcode.clone(), qty: 1 });
            order.set_products(&core.world, goods.as_slice());
            order.set("TradeStatus", 1);
            order.set("PayTime", at_ms / 1000 + 60);
            order.own.stage = Stage::Paid;
        } else {
            order.set("DoorStatus", -1);
            order.own.stage = Stage::NeverOpened;
        }
        core.record(Act::new(NAME, "order").cabinet(cid).order(&receipt).mark(trade_no));
        // In the order of their time: the oldest is found first.
        self.orders.push_front(order);
        receipt
    }
}
