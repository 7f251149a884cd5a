//! Pickup codes, virtual codes and e-vouchers: looked up, and redeemed once.

use serde_json::{Value, json};

use crate::act::Act;
use crate::state::Core;
use crate::world::Cause;

use super::gateway::{Params, Refusal};
use super::shop::{Order, Redemption, TicketState};
use super::time::china;
use super::{Call, NAME, Youzan, trade};

const BUSINESS: i64 = 50_000;
const NO_ORDER: &str = "订单不存在";

impl Youzan {
    /// Why a code cannot be redeemed because of its order; the vendor's texts for this are unknown.
    fn barred(&self, order: &Order) -> Option<&'static str> {
        match (order.refund_state, order.status.as_str()) {
            (12, _) | (_, "TRADE_CLOSED") => Some("refunded"),
            (1 | 11, _) if !self.settings.redeem_while_refunding => Some("refunding"),
            (_, "WAIT_BUYER_PAY") => Some("unpaid"),
            _ => None,
        }
    }

    fn redeemed(&mut self, core: &mut Core, call: &Call, kind: &str, code: &str, tid: &str, info: &str) {
        let at_ms = core.clock.now_ms();
        core.record(Act::new(NAME, "redeem").code(code).order(tid).mark(info));
        self.held.redemptions.push(Redemption {
            number: self.held.redemptions.len() as u64 + 1,
            kind: kind.to_owned(),
            code: code.to_owned(),
            tid: tid.to_owned(),
            kdt_id: call.kdt_id,
            at_ms,
            extra_info: info.to_owned(),
            cause: Cause {
                by: NAME.into(),
                request: (call.request > 0).then_some(call.request),
                receipt: Some(tid.to_owned()),
                trade_no: (!info.is_empty()).then(|| info.to_owned()),
                notify_url: None,
            },
        });
        let done = self.held.order(call.kdt_id, tid).is_some_and(|o| o.status == "TRADE_SUCCESS");
        if done {
            for kind in self.settings.redemption_messages.clone() {
                self.trade_message(core, call.kdt_id, tid, &kind);
            }
        }
    }

    /// True if a redemption so soon after another slips through.
    fn races(&self, now_ms: i64, used_ms: i64) -> bool {
        self.settings.race_window_ms > 0 && now_ms - used_ms <= self.settings.race_window_ms
    }

    fn fetch_order(&self, call: &Call, code: &str) -> Result<&Order, Refusal> {
        let fits = |o: &&Order| o.kdt_id == call.kdt_id && o.pickup.as_ref().is_some_and(|p| p.code == code);
        self.held.orders.iter().find(fits).ok_or_else(|| {
            let formed = code.len() == 11 && code.bytes().all(|b| b.is_ascii_digit());
            Refusal::business(BUSINESS, if formed { NO_ORDER } else { "提货码（code）格式不正确" })
        })
    }

    /// `youzan.trade.selffetchcode.get`
    pub(super) fn selffetch_get(&self, core: &Core, call: &Call) -> Result<Value, Refusal> {
        let code = call.params.text("code")?;
        let now = core.clock.now_ms();
        let lag = self.settings.query_lag_ms;
        let order = self.fetch_order(call, &code)?;
        let seen = if self.settings.lag_covers_codes { order.seen(now, lag) } else { order };
        let pickup = seen.pickup.clone().unwrap_or_default();
        let mut shown = json!({
            "code": pickup.code, "status": i64::from(pickup.used), "tid": seen.tid,
            "extra_info": pickup.extra_info,
            "trade": trade::old_detail(&self.held, seen, &call.params.text("fields")?),
        });
        if pickup.total_count > 0 {
            shown["current_count"] = json!(pickup.current_count);
            shown["total_count"] = json!(pickup.total_count);
        }
        Ok(shown)
    }

    /// `youzan.trade.selffetchcode.apply`
    pub(super) fn selffetch_apply(&mut self, core: &mut Core, call: &Call) -> Result<Value, Refusal> {
        let (code, info) = (call.params.text("code")?, call.params.text("extra_info")?);
        let now = core.clock.now_ms();
        let order = self.fetch_order(call, &code)?;
        let pickup = order.pickup.clone().unwrap_or_default();
        let tid = order.tid.clone();
        if pickup.used {
            if !self.races(now, pickup.used_ms) {
                return Err(Refusal::business(BUSINESS, "不能重复核销订单!"));
            }
        } else if let Some(reason) = self.barred(order) {
            return Err(Refusal::business(BUSINESS, self.settings.text(reason)));
        } else if pickup.expires_ms != 0 && now >= pickup.expires_ms {
            return Err(Refusal::business(BUSINESS, self.settings.text("expired")));
        } else {
            let lag = self.settings.query_lag_ms;
            let Some(order) = self.held.order_mut(call.kdt_id, &tid) else {
                return Err(Refusal::business(BUSINESS, NO_ORDER));
            };
            order.touch(now, lag);
            let mut next = pickup;
            (next.used_ms, next.extra_info) = (now, info.clone());
            // An order that comes in periods goes on to the next one; only the last ends it.
            next.current_count = (next.current_count + 1).min(next.total_count);
            if next.current_count >= next.total_count {
                next.used = true;
                order.status = "TRADE_SUCCESS".into();
                order.success_ms = now;
                order.lines.iter_mut().for_each(|l| l.shipped = true);
            }
            order.pickup = Some(next);
        }
        self.redeemed(core, call, "self_fetch", &code, &tid, &info);
        Ok(json!({"is_success": true}))
    }

    fn virtual_order(&self, call: &Call, code: &str) -> Option<&Order> {
        let fits =
            |o: &&Order| o.kdt_id == call.kdt_id && o.virtual_code.as_ref().is_some_and(|v| v.code == code);
        self.held.orders.iter().find(fits)
    }

    /// `youzan.trade.virtualcode.get`
    pub(super) fn virtual_get(&self, core: &Core, call: &Call) -> Result<Value, Refusal> {
        let code = call.params.text("code")?;
        let order = self.virtual_order(call, &code);
        let order = order.ok_or_else(|| Refusal::business(BUSINESS, "找不到虚拟商品的交易码"))?;
        let lag = if self.settings.lag_covers_codes { self.settings.query_lag_ms } else { 0 };
        let order = order.seen(core.clock.now_ms(), lag);
        let found = order.virtual_code.clone().unwrap_or_default();
        Ok(json!({
            "code": found.code, "tid": order.tid, "status": if found.used { 2 } else { 1 },
            "send_time": china(order.paid_ms), "use_time": china(found.used_ms),
            "verify_person": found.verify_person, "pay_type": "WEIXIN_DAIXIAO",
            "trade": trade::old_detail(&self.held, order, &call.params.text("fields")?),
        }))
    }

    /// Who a virtual code's record says has redeemed it. The notes know no parameter for it; a setting lets the
    /// caller say it.
    fn person(&self, call: &Call) -> Result<String, Refusal> {
        let given = call.params.text("verify_person")?;
        let given = if given.is_empty() { call.params.text("extra_info")? } else { given };
        let takes = self.settings.virtual_takes_person && !given.is_empty();
        Ok(if takes { given } else { call.client_id.clone() })
    }

    /// Another kiosk, or a person in the shop, redeems a code of any kind.
    pub(super) fn redeem_by_other(
        &mut self,
        core: &mut Core,
        code: &str,
        who: Option<&str>,
    ) -> Result<Value, (u16, String)> {
        let has = |o: &&Order| {
            let mut tickets = o.voucher.iter().flat_map(|v| &v.tickets);
            o.pickup.as_ref().is_some_and(|p| p.code == code)
                || o.virtual_code.as_ref().is_some_and(|v| v.code == code)
                || o.voucher.as_ref().is_some_and(|v| v.code == code)
                || tickets.any(|t| t.ticket_code == code)
        };
        let order = self.held.orders.iter().find(has);
        let order = order.ok_or_else(|| (404, format!("there is no code {code}")))?.clone();
        let app = self.settings.apps.first().map(|a| a.client_id.clone());
        let info = who.unwrap_or("another kiosk");
        let call = Call {
            name: String::new(),
            version: String::new(),
            kdt_id: order.kdt_id,
            // Another kiosk of the same merchant calls for the same application.
            client_id: who.map_or_else(|| app.unwrap_or_default(), str::to_owned),
            request: 0,
            params: Params::of(&json!({"code": code, "ticket_code": code, "extra_info": info})),
        };
        let answer = if order.pickup.is_some_and(|p| p.code == code) {
            self.selffetch_apply(core, &call)
        } else if order.virtual_code.is_some_and(|v| v.code == code) {
            self.virtual_apply(core, &call)
        } else if order.voucher.is_some_and(|v| v.code == code) {
            self.ticket_verify_all(core, &call)
        } else {
            self.ticket_verify(core, &call)
        };
        answer.map_err(|refusal| (409, format!("{refusal:?}")))
    }

    /// `youzan.trade.virtualcode.apply`
    pub(super) fn virtual_apply(&mut self, core: &mut Core, call: &Call) -> Result<Value, Refusal> {
        let code = call.params.text("code")?;
        if code.is_empty() {
            return Err(Refusal::business(BUSINESS, "找不到虚拟商品的交易码"));
        }
        let now = core.clock.now_ms();
        let person = self.person(call)?;
        let order = self.virtual_order(call, &code);
        let order = order.ok_or_else(|| Refusal::business(101_300_000, NO_ORDER))?;
        let found = order.virtual_code.clone().unwrap_or_default();
        let tid = order.tid.clone();
        if found.used {
            if !self.races(now, found.used_ms) {
                return Err(Refusal::business(101_600_002, "订单已被核销,重复核销无效"));
            }
        } else {
            match self.barred(order) {
                Some("refunded") => {
                    return Err(Refusal::business(101_600_002, "订单已被关闭无法核销"));
                }
                Some(reason) => return Err(Refusal::business(BUSINESS, self.settings.text(reason))),
                None => {}
            }
            let lag = self.settings.query_lag_ms;
            if let Some(order) = self.held.order_mut(call.kdt_id, &tid) {
                order.touch(now, lag);
                order.status = "TRADE_SUCCESS".into();
                order.success_ms = now;
                if let Some(code) = &mut order.virtual_code {
                    (code.used, code.used_ms) = (true, now);
                    code.verify_person.clone_from(&person);
                }
            }
        }
        let mark = if person == call.client_id { "" } else { &person };
        self.redeemed(core, call, "virtual", &code, &tid, mark);
        Ok(json!({"is_success": true}))
    }

    fn state_text(&self, state: TicketState) -> &'static str {
        match state {
            TicketState::NotVerify if self.settings.ticket_states_as_prose => "NOT_VERIFIED",
            TicketState::NotVerify => "NOT_VERIFY",
            TicketState::Verified => "VERIFIED",
            TicketState::Expired => "EXPIRED",
            TicketState::Refunding => "REFUNDING",
            TicketState::Disabled => "DISABLED",
        }
    }

    fn voucher_order(&self, call: &Call) -> Result<&Order, Refusal> {
        let code = call.params.text("code")?;
        let fits = |o: &&Order| o.kdt_id == call.kdt_id && o.voucher.as_ref().is_some_and(|v| v.code == code);
        let found = self.held.orders.iter().find(fits);
        found.ok_or_else(|| Refusal::business(BUSINESS, "没有该订单的电子卡券信息"))
    }

    /// `youzan.trade.virtualticket.get`
    pub(super) fn ticket_get(&self, core: &Core, call: &Call) -> Result<Value, Refusal> {
        let now = core.clock.now_ms();
        let lag = if self.settings.lag_covers_codes { self.settings.query_lag_ms } else { 0 };
        let order = self.voucher_order(call)?.seen(now, lag);
        let voucher = order.voucher.clone().unwrap_or_default();
        let states: Vec<TicketState> = voucher.tickets.iter().map(|t| t.state_at(now)).collect();
        // The whole is unused while any ticket is; otherwise it is what its first ticket is.
        let whole = if states.contains(&TicketState::NotVerify) {
            TicketState::NotVerify
        } else {
            states.first().copied().unwrap_or_default()
        };
        let tickets: Vec<Value> = voucher
            .tickets
            .iter()
            .zip(states)
            .map(|(ticket, state)| {
                json!({
                    "ticket_code": ticket.ticket_code, "ticket_state": self.state_text(state),
                    "verify_time": china(ticket.used_ms),
                })
            })
            .collect();
        Ok(json!({
            "code": voucher.code, "tid": order.tid, "state": self.state_text(whole),
            "create_time": china(order.created_ms), "tickets": tickets,
        }))
    }

    /// Redeems the tickets of one order that are named; all of them must be free unless the race is lost.
    fn use_tickets(
        &mut self,
        core: &mut Core,
        call: &Call,
        tid: &str,
        codes: &[String],
    ) -> Option<&'static str> {
        let now = core.clock.now_ms();
        let order = self.held.order(call.kdt_id, tid)?;
        let reason = order.voucher.iter().flat_map(|v| &v.tickets).filter(|t| codes.contains(&t.ticket_code));
        let mut reasons = reason.filter_map(|t| match t.state_at(now) {
            TicketState::NotVerify => self.barred(order),
            TicketState::Verified if self.races(now, t.used_ms) => None,
            TicketState::Verified => Some("ticket_used"),
            TicketState::Expired => Some("ticket_expired"),
            TicketState::Refunding => Some("ticket_refunding"),
            TicketState::Disabled => Some("ticket_disabled"),
        });
        if let Some(reason) = reasons.next() {
            return Some(reason);
        }
        let lag = self.settings.query_lag_ms;
        let order = self.held.order_mut(call.kdt_id, tid)?;
        order.touch(now, lag);
        let tickets = order.voucher.iter_mut().flat_map(|v| &mut v.tickets);
        for ticket in tickets.filter(|t| codes.contains(&t.ticket_code) && t.state == TicketState::NotVerify)
        {
            (ticket.state, ticket.used_ms) = (TicketState::Verified, now);
        }
        let mut all = order.voucher.iter().flat_map(|v| &v.tickets);
        if all.all(|t| t.state == TicketState::Verified) {
            order.status = "TRADE_SUCCESS".into();
            order.success_ms = now;
        }
        for code in codes {
            self.redeemed(core, call, "ticket", code, tid, "");
        }
        None
    }

    /// `youzan.trade.virtualticket.verifycode`: every ticket that is not redeemed yet.
    pub(super) fn ticket_verify_all(&mut self, core: &mut Core, call: &Call) -> Result<Value, Refusal> {
        let now = core.clock.now_ms();
        let order = self.voucher_order(call)?;
        let tid = order.tid.clone();
        let tickets: Vec<_> = order.voucher.iter().flat_map(|v| v.tickets.clone()).collect();
        let free: Vec<_> = tickets
            .iter()
            .filter(|t| t.state_at(now) == TicketState::NotVerify)
            .map(|t| t.ticket_code.clone())
            .collect();
        let named = if free.is_empty() { tickets.into_iter().map(|t| t.ticket_code).collect() } else { free };
        match self.use_tickets(core, call, &tid, &named) {
            Some(reason) => Err(Refusal::business(BUSINESS, self.settings.text(reason))),
            None => Ok(json!({"code": 1, "successful": true, "msg": "successful"})),
        }
    }

    /// `youzan.trade.virtualticket.verifyticket`
    pub(super) fn ticket_verify(&mut self, core: &mut Core, call: &Call) -> Result<Value, Refusal> {
        let code = call.params.text("ticket_code")?;
        let has = |o: &&Order| {
            let mut tickets = o.voucher.iter().flat_map(|v| &v.tickets);
            o.kdt_id == call.kdt_id && tickets.any(|t| t.ticket_code == code)
        };
        let Some(tid) = self.held.orders.iter().find(has).map(|o| o.tid.clone()) else {
            return Err(Refusal::business(self.settings.unknown_ticket_code, "电子码券不存在"));
        };
        match self.use_tickets(core, call, &tid, &[code]) {
            Some(reason) => Err(Refusal::business(BUSINESS, self.settings.text(reason))),
            None => Ok(json!({"is_success": true})),
        }
    }
}
