//! Orders: the old and the new form of their details, their lists, delivery and logistics.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::state::Core;

use super::gateway::Refusal;
use super::settings::Settings;
use super::shop::{Express, Holdings, Line, Order};
use super::time::{china, parse_china, plus_months};
use super::{Call, Youzan};

/// Fen as the yuan text of orders.
pub fn yuan(fen: i64) -> String {
    let sign = if fen < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", fen.abs() / 100, fen.abs() % 100)
}

fn title(held: &Holdings, order: &Order, line: &Line) -> String {
    held.item(order.kdt_id, line.item_id)
        .map_or_else(|| format!("商品 {}", line.item_id), |i| i.title.clone())
}

/// An order in the form of the 3.0.0 APIs; `fields` names the members wanted, empty: all.
pub fn old_detail(held: &Holdings, order: &Order, fields: &str) -> Value {
    let status = match order.status.as_str() {
        "TRADE_PAID" | "WAIT_CONFIRM" => "WAIT_SELLER_SEND_GOODS",
        "TRADE_SUCCESS" => "TRADE_BUYER_SIGNED",
        same => same,
    };
    let refund = match order.refund_state {
        1 => "PARTIAL_REFUNDING",
        2 => "PARTIAL_REFUNDED",
        11 => "FULL_REFUNDING",
        12 => "FULL_REFUNDED",
        _ => "NO_REFUND",
    };
    let shipping = match order.express_type {
        1 => "fetch",
        2 => "local",
        _ => "express",
    };
    let total = order.total();
    let orders: Vec<Value> = order
        .lines
        .iter()
        .map(|line| {
            let item = held.item(order.kdt_id, line.item_id).cloned().unwrap_or_default();
            let sku = item.skus.iter().find(|s| s.sku_id == line.sku_id);
            let names: Vec<_> =
                sku.iter().flat_map(|s| &s.properties).map(|p| format!("{}:{}", p.k, p.v)).collect();
            let paid = yuan(line.price * line.num);
            json!({
                "oid": line.oid.parse::<i64>().unwrap_or_default(), "num_iid": line.item_id,
                "item_id": line.item_id, "sku_id": line.sku_id.to_string(),
                "sku_unique_code": if line.sku_id == 0 { String::new() } else { format!("{}{}", line.item_id, line.sku_id) },
                "num": line.num.to_string(), "title": title(held, order, line), "price": yuan(line.price),
                "total_fee": paid, "payment": paid, "discount_fee": "0.00", "refunded_fee": "0.00",
                "outer_item_id": item.item_no, "outer_sku_id": sku.map(|s| s.item_no.clone()).unwrap_or_default(),
                "sku_properties_name": names.join(";"), "item_type": item.item_type,
                "is_virtual": i64::from(item.item_type == 60), "is_present": 0,
                "is_send": i64::from(line.shipped), "allow_send": i64::from(!line.shipped),
                "item_refund_state": refund, "state_str": "", "buyer_messages": [],
                "order_promotion_details": [], "pic_path": "", "pic_thumb_path": "", "alias": item.alias,
                "unit": "件", "seller_nick": held.shop(order.kdt_id).name, "fenxiao_price": "0.00",
                "fenxiao_payment": "0.00",
            })
        })
        .collect();
    let mut detail = json!({
        "tid": order.tid, "status": status,
        "title": order.lines.first().map(|l| title(held, order, l)).unwrap_or_default(),
        "num": order.lines.iter().map(|l| l.num).sum::<i64>(),
        "price": yuan(order.lines.first().map_or(0, |l| l.price)), "total_fee": yuan(total),
        "discount_fee": "0.00", "payment": yuan(total + order.post_fee),
        "refunded_fee": yuan(if order.refund_state == 12 { total + order.post_fee } else { 0 }),
        "post_fee": yuan(order.post_fee), "created": china(order.created_ms),
        "update_time": china(order.updated_ms), "pay_time": china(order.paid_ms),
        "consign_time": china(order.shipped_ms), "sign_time": china(order.success_ms),
        "shipping_type": shipping, "refund_state": refund, "type": "FIXED", "feedback": 0,
        "buyer_message": order.buyer_message, "trade_memo": order.trade_memo, "transaction_tid": "",
        "outer_tid": "", "pay_type": "WEIXIN_DAIXIAO", "orders": orders, "sub_trades": [],
    });
    if order.express_type == 1 {
        let point = held.point(order.kdt_id, order.point).cloned().unwrap_or_default();
        detail["fetch_detail"] = json!({
            "fetcher_name": order.fetcher_name, "fetcher_mobile": order.fetcher_mobile,
            "fetch_time": order.fetch_time, "shop_id": point.id, "shop_name": point.name,
            "shop_mobile": format!("{}-{}", point.phone1, point.phone2), "shop_state": point.province,
            "shop_city": point.city, "shop_district": point.area, "shop_address": point.address,
        });
    }
    let wanted: Vec<&str> = fields.split(',').map(str::trim).filter(|f| !f.is_empty()).collect();
    if let (Value::Object(members), false) = (&mut detail, wanted.is_empty()) {
        members.retain(|name, _| wanted.contains(&name.as_str()));
    }
    detail
}

/// An order as `trade.get` and the trade messages have it.
pub fn full(held: &Holdings, settings: &Settings, order: &Order, version: &str) -> Value {
    let shop = held.shop(order.kdt_id);
    let root = if shop.root_kdt_id == 0 { shop.kdt_id } else { shop.root_kdt_id };
    let total = order.total();
    let paid = yuan(total + order.post_fee);
    let personal = |text: &str| match (settings.encrypt_personal, text) {
        (true, text) if !text.is_empty() => {
            format!("${}$1$", STANDARD.encode(text.bytes().rev().collect::<Vec<_>>()))
        }
        (_, text) => text.to_owned(),
    };
    let kinds: Vec<i64> =
        order.lines.iter().filter_map(|l| held.item(order.kdt_id, l.item_id)).map(|i| i.item_type).collect();
    let status_text = match order.status.as_str() {
        "WAIT_BUYER_PAY" => "待支付",
        "TRADE_PAID" => "已支付",
        "WAIT_CONFIRM" => "待接单",
        "WAIT_SELLER_SEND_GOODS" => "待发货",
        "WAIT_BUYER_CONFIRM_GOODS" => "已发货",
        "TRADE_SUCCESS" => "已完成",
        "TRADE_CLOSED" => "已关闭",
        _ => "",
    };
    // Only the flags that are true are sent.
    let mut tags = Map::new();
    for (name, set) in [
        ("is_virtual", kinds.contains(&60)),
        ("is_payed", order.paid_ms != 0),
        ("is_refund", order.refund_state != 0),
        ("is_secured_transactions", true),
        ("is_postage_free", order.post_fee == 0),
    ] {
        if set {
            tags.insert(name.into(), json!(true));
        }
    }
    let orders: Vec<Value> = order.lines.iter().map(|line| new_line(held, order, line, version)).collect();
    let point = held.point(order.kdt_id, order.point);
    let self_fetch = match point.filter(|_| order.express_type == 1) {
        None => String::new(),
        Some(p) => json!({
            "id": p.id, "name": p.name, "kdt_id": p.kdt_id, "province": p.province, "city": p.city,
            "county": p.area, "address_detail": p.address, "lon": p.lng, "lat": p.lat,
            "tel": format!("{}-{}", p.phone1, p.phone2), "user_name": personal(&order.fetcher_name),
            "user_tel": personal(&order.fetcher_mobile), "user_time": order.fetch_time,
            "is_optional_self_fetch_time": 1, "is_super_store": false,
        })
        .to_string(),
    };
    let deliveries: Vec<Value> = order
        .express
        .iter()
        .map(|e| {
            let oids: Vec<Value> =
                order.lines.iter().filter(|l| l.shipped).map(|l| json!({"oid": l.oid})).collect();
            json!({
                "pk_id": 0, "express_state": 1, "express_type": 0, "oids": oids,
                "dists": [{"dist_id": e.id.to_string(), "dist_items": oids,
                           "express_info": {"express_id": e.express_id, "express_no": e.nu}}],
            })
        })
        .collect();
    let refunds: Vec<Value> = (order.refund_state != 0)
        .then(|| {
            let done = matches!(order.refund_state, 2 | 12);
            let oids: Vec<Value> = order.lines.iter().map(|l| json!({"oid": l.oid})).collect();
            json!({
                "refund_id": format!("{}R", order.tid), "refund_type": 1,
                "refund_state": if done { 60 } else { 1 }, "refund_fee": paid,
                "refund_time": if done { china(order.updated_ms) } else { String::new() },
                "oids": oids, "refund_fund": [],
            })
        })
        .into_iter()
        .collect();
    json!({
        "delivery_order": deliveries,
        "order_promotion": {
            "item": [], "order": [], "order_discount_fee": "0.00", "item_discount_fee": "0.00",
            "adjust_fee": "0.00",
        },
        "refund_order": refunds,
        "full_order_info": {
            "order_info": {
                "tid": order.tid, "status": order.status, "status_str": status_text, "type": 0,
                "pay_type": i64::from(order.paid_ms != 0), "pay_type_str": if order.paid_ms == 0 { "" } else { "WEIXIN_DAIXIAO" },
                "express_type": order.express_type, "close_type": order.close_type,
                "refund_state": order.refund_state, "team_type": 0, "created": china(order.created_ms),
                "update_time": china(order.updated_ms), "pay_time": china(order.paid_ms),
                "consign_time": china(order.shipped_ms), "confirm_time": "",
                "success_time": china(order.success_ms), "expired_time": china(order.created_ms + 3_600_000),
                "offline_id": order.point, "node_kdt_id": order.kdt_id, "root_kdt_id": root,
                "shop_name": shop.name, "shop_display_no": "", "is_retail_order": shop.retail,
                "channel_type": 0, "order_tags": tags,
                "order_extra": {"is_from_cart": "false", "is_points_order": "0"},
            },
            "orders": orders,
            "pay_info": {
                "total_fee": yuan(total), "payment": paid,
                "real_payment": if order.paid_ms == 0 { yuan(0) } else { paid.clone() },
                "post_fee": yuan(order.post_fee), "transaction": [], "outer_transactions": [],
                "deduction_pay": 0, "deduction_real_pay": 0, "phase_payments": [],
            },
            "address_info": {
                "receiver_name": personal(&order.fetcher_name), "receiver_tel": personal(&order.fetcher_mobile),
                "delivery_province": "", "delivery_city": "", "delivery_district": "",
                "delivery_address": "", "delivery_postal_code": "", "delivery_start_time": "",
                "delivery_end_time": "", "address_extra": "{}", "self_fetch_info": self_fetch,
            },
            "buyer_info": {
                "yz_open_id": "yztestbuyer0001", "outer_user_id": "",
                "buyer_phone": personal(&order.fetcher_mobile), "fans_id": 0, "fans_type": 0,
                "fans_nickname": "",
            },
            "remark_info": {
                "buyer_message": order.buyer_message, "trade_memo": order.trade_memo, "star": order.star,
            },
            "child_info": {"gift_no": "", "gift_sign": "", "child_orders": []},
            "source_info": {"is_offline_order": false, "source": {"platform": "wx", "wx_entrance": "wx_gzh"}},
            "invoice_info": {}, "qrcode_info": {},
        },
    })
}

fn new_line(held: &Holdings, order: &Order, line: &Line, version: &str) -> Value {
    let item = held.item(order.kdt_id, line.item_id).cloned().unwrap_or_default();
    let sku = item.skus.iter().find(|s| s.sku_id == line.sku_id).cloned();
    let properties: Vec<Value> = sku
        .iter()
        .flat_map(|s| &s.properties)
        .map(|p| json!({"k": p.k, "k_id": p.kid, "v": p.v, "v_id": p.vid}))
        .collect();
    // The kinds of goods have other numbers here than with the items.
    let kind = match item.item_type {
        60 => 182,
        61 => 183,
        same => same,
    };
    let paid = yuan(line.price * line.num);
    let mut shown = json!({
        "oid": line.oid, "item_id": line.item_id, "sku_id": line.sku_id, "title": title(held, order, line),
        "num": line.num, "price": yuan(line.price), "discount_price": yuan(line.price), "total_fee": paid,
        "payment": paid, "points_price": "0", "outer_item_id": item.item_no,
        "outer_sku_id": sku.as_ref().map(|s| s.item_no.clone()).unwrap_or_default(),
        "sku_unique_code": if line.sku_id == 0 { String::new() } else { format!("{}{}", line.item_id, line.sku_id) },
        "sku_properties_name": Value::Array(properties).to_string(), "buyer_messages": "[]",
        "item_type": kind, "is_present": false, "alias": item.alias, "pic_path": "", "goods_url": "",
        "item_props": "", "weight": "0",
    });
    if version != "4.0.0" {
        shown["sku_no"] = json!(sku.as_ref().map(|s| s.item_no.clone()).unwrap_or_default());
        shown["sku_barcode"] = json!(sku.as_ref().map(|s| s.barcode.clone()).unwrap_or_default());
        shown["item_no"] = json!(item.item_no);
        shown["item_barcode"] = json!(item.barcode);
    }
    if version == "4.0.2" {
        shown["unified_item_id"] = json!(line.item_id);
        shown["unified_sku_id"] = json!(line.sku_id);
    }
    shown
}

/// `E`, `C` or `V` and 23 characters.
fn is_tid(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() == 24
        && bytes.next().is_some_and(|b| b"ECV".contains(&b))
        && bytes.all(|b| b.is_ascii_alphanumeric())
}

/// A page's number and size.
pub fn page(call: &Call, default_size: i64) -> Result<(i64, i64), Refusal> {
    let positive = |n: Option<i64>, default| n.filter(|n| *n > 0).unwrap_or(default);
    Ok((positive(call.params.int("page_no")?, 1), positive(call.params.int("page_size")?, default_size)))
}

/// The members of a page.
pub fn paged(list: Vec<Value>, number: i64, size: i64) -> Vec<Value> {
    let skip = usize::try_from((number - 1).saturating_mul(size)).unwrap_or_default();
    list.into_iter().skip(skip).take(usize::try_from(size).unwrap_or_default()).collect()
}

impl Youzan {
    /// `youzan.trade.get`
    pub(super) fn trade_get(&self, core: &Core, call: &Call) -> Result<Value, Refusal> {
        let tid = call.params.text("tid")?;
        if !is_tid(&tid) {
            return Err(Refusal::business(106_000_004, "订单号不合法"));
        }
        let order = self.held.order(call.kdt_id, &tid);
        let order = order.ok_or_else(|| Refusal::business(5000, "trade not found"))?;
        let seen = order.seen(core.clock.now_ms(), self.settings.query_lag_ms);
        Ok(full(&self.held, &self.settings, seen, &call.version))
    }

    /// `youzan.trades.sold.get`
    pub(super) fn sold_get(&self, core: &Core, call: &Call) -> Result<Value, Refusal> {
        type Moment = fn(&Order) -> i64;
        const PAIRS: [(&str, Moment); 4] = [
            ("created", |o| o.created_ms),
            ("update", |o| o.updated_ms),
            ("success", |o| o.success_ms),
            ("pay", |o| o.paid_ms),
        ];
        let own = |reason: &str| Err(Refusal::business(5000, self.settings.text(reason)));
        let now = core.clock.now_ms();
        let (number, size) = page(call, 20)?;
        if size > 100 {
            return Err(Refusal::business(5000, "每页最多显示100条数据"));
        }
        if number > 100 {
            return own("page_no");
        }
        let mut spans = Vec::new();
        for (name, moment) in PAIRS {
            let end_of = |which: &str| match call.params.text(&format!("{which}_{name}"))? {
                text if text.is_empty() => Ok(None),
                // A date without a time is what the gateway's 5001 is known for.
                text => parse_china(&text).map(Some).ok_or_else(|| Refusal::gateway(5001)),
            };
            let (start, end) = (end_of("start")?, end_of("end")?);
            if end.is_some_and(|end| end > now + 7 * 86_400_000) {
                return Err(Refusal::business(106_000_003, "查询结束时间不能大于当前时间7天"));
            }
            if let (Some(start), Some(end)) = (start, end) {
                if start > end {
                    return Err(Refusal::business(5000, "开始时间不能大于结束时间"));
                }
                if end > plus_months(start, 3) {
                    return own("span");
                }
            }
            if start.is_some() || end.is_some() {
                spans.push((moment, start.unwrap_or(i64::MIN), end.unwrap_or(i64::MAX)));
            }
        }
        let (status, tid) = (call.params.text("status")?, call.params.text("tid")?);
        let (phone, words) = (call.params.text("receiver_phone")?, call.params.text("keywords")?);
        let offline = call.params.int("offline_id")?;
        let express = match call.params.text("express_type")?.as_str() {
            "" => None,
            "EXPRESS" => Some(0),
            "SELF_FETCH" => Some(1),
            "LOCAL_DELIVERY" => Some(2),
            _ => return Err(Refusal::gateway(5001)),
        };
        let year_2020 = 1_577_808_000_000;
        let fits = |o: &&Order| {
            o.kdt_id == call.kdt_id
                && spans.iter().all(|(moment, start, end)| {
                    // Whole seconds, both ends included; a moment that has not come lies in no span.
                    let at = moment(o).div_euclid(1000) * 1000;
                    at != 0 && (*start..=*end).contains(&at)
                })
                && (status.is_empty() || o.status == status)
                && (tid.is_empty() || o.tid == tid)
                && (phone.is_empty() || o.fetcher_mobile == phone)
                && (words.is_empty()
                    || o.tid.contains(&words)
                    || o.lines.iter().any(|l| title(&self.held, o, l).contains(&words)))
                && offline.is_none_or(|id| o.point == id)
                && express.is_none_or(|kind| o.express_type == kind)
                // Only the first version reaches further back.
                && (call.version == "4.0.0" || o.created_ms >= year_2020)
        };
        let seen = self.held.orders.iter().map(|o| o.seen(now, self.settings.query_lag_ms));
        let mut found: Vec<&Order> = seen.filter(fits).collect();
        found.sort_by_key(|o| std::cmp::Reverse(o.created_ms));
        let total = found.len();
        let shown: Vec<Value> = found
            .iter()
            .map(|o| {
                let whole = full(&self.held, &self.settings, o, "4.0.2");
                json!({"full_order_info": whole["full_order_info"]})
            })
            .collect();
        Ok(json!({"total_results": total, "full_order_info_list": paged(shown, number, size)}))
    }

    /// `youzan.trade.memo.update`
    pub(super) fn memo_update(&mut self, core: &mut Core, call: &Call) -> Result<Value, Refusal> {
        let (tid, memo) = (call.params.text("tid")?, call.params.text("memo")?);
        let star = call.params.int("flag")?;
        let (now, lag) = (core.clock.now_ms(), self.settings.query_lag_ms);
        let order = self.held.order_mut(call.kdt_id, &tid);
        let order = order.ok_or_else(|| Refusal::business(50_000, "订单不存在"))?;
        order.touch(now, lag);
        order.trade_memo = memo;
        order.star = star.unwrap_or(order.star);
        self.trade_message(core, call.kdt_id, &tid, "trade_TradeMemoModified");
        Ok(json!({"is_success": true}))
    }

    /// `youzan.logistics.online.confirm`
    pub(super) fn ship(&mut self, core: &mut Core, call: &Call) -> Result<Value, Refusal> {
        let tid = call.params.text("tid")?;
        let (oids, number) = (call.params.text("oids")?, call.params.text("out_sid")?);
        let carrier = call.params.int("out_stype")?.unwrap_or_default();
        let no_express = call.params.int("is_no_express")?.unwrap_or_default() == 1;
        let (now, lag) = (core.clock.now_ms(), self.settings.query_lag_ms);
        let refuse = |code| Err(Refusal::business(code, super::gateway::business_text(code)));
        let Some(order) = self.held.order_mut(call.kdt_id, &tid) else { return refuse(105_000_016) };
        let named: Vec<&str> = oids.split(',').map(str::trim).filter(|o| !o.is_empty()).collect();
        if named.iter().any(|o| !o.bytes().all(|b| b.is_ascii_digit())) {
            return refuse(102_599_996);
        }
        if order.status != "WAIT_SELLER_SEND_GOODS" {
            return refuse(102_570_007);
        }
        if !no_express && (number.is_empty() || !number.bytes().all(|b| b.is_ascii_alphanumeric())) {
            return refuse(105_000_003);
        }
        let wanted = |l: &Line| !l.shipped && (named.is_empty() || named.contains(&l.oid.as_str()));
        if !order.lines.iter().any(wanted) {
            return refuse(102_570_020);
        }
        order.touch(now, lag);
        order.lines.iter_mut().filter(|l| wanted(l)).for_each(|l| l.shipped = true);
        let whole = order.lines.iter().all(|l| l.shipped);
        if whole {
            order.status = "WAIT_BUYER_CONFIRM_GOODS".into();
            order.shipped_ms = now;
        }
        if !no_express {
            order.express = Some(Express {
                id: 17,
                com: format!("carrier{carrier}"),
                name: format!("快递 {carrier}"),
                express_id: carrier,
                nu: number,
                message: "在途".into(),
                created_ms: now,
                ..Express::default()
            });
        }
        let kind = if whole { "trade_TradeSellerShip" } else { "trade_TradePartlySellerShip" };
        self.trade_message(core, call.kdt_id, &tid, kind);
        Ok(json!({"is_success": true}))
    }

    /// `youzan.logistics.online.marksign`
    pub(super) fn mark_sign(&mut self, core: &mut Core, call: &Call) -> Result<Value, Refusal> {
        let tid = call.params.text("tid")?;
        let (now, lag) = (core.clock.now_ms(), self.settings.query_lag_ms);
        let order = self.held.order_mut(call.kdt_id, &tid);
        let order = order
            .filter(|o| {
                o.status == "WAIT_BUYER_CONFIRM_GOODS" && o.virtual_code.is_none() && o.voucher.is_none()
            })
            .ok_or_else(|| Refusal::business(50_000, "订单不存在"))?;
        order.touch(now, lag);
        order.status = "TRADE_SUCCESS".into();
        order.success_ms = now;
        self.trade_message(core, call.kdt_id, &tid, "trade_TradeSuccess");
        Ok(json!({"is_success": true}))
    }

    /// `youzan.logistics.expressbyorderno.get`
    pub(super) fn express(&self, core: &Core, call: &Call) -> Result<Value, Refusal> {
        let tid = call.params.text("tid")?;
        let order = self.held.order(call.kdt_id, &tid);
        let seen = order.map(|o| o.seen(core.clock.now_ms(), self.settings.query_lag_ms));
        let Some((order, express)) = seen.and_then(|o| o.express.as_ref().map(|e| (o, e))) else {
            return Err(Refusal::business(120_009_001, "查询的数据不存在"));
        };
        let created = match self.settings.logistics_created_number {
            true => json!(express.created_ms / 1000),
            false => json!(china(express.created_ms)),
        };
        Ok(json!({
            "com": express.com, "name": express.name, "created_time": created,
            "express_id": express.express_id, "kdt_id": order.kdt_id,
            "data": json!(express.track).to_string(), "nu": express.nu, "ep_condition": "",
            "id": express.id, "state": express.state, "message": express.message,
            "order_id": express.id, "status": "",
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_and_numbers() {
        assert_eq!(yuan(1), "0.01");
        assert_eq!(yuan(123_456), "1234.56");
        assert_eq!(yuan(-5), "-0.05");
        assert!(is_tid("E20190312105415047400001"));
        assert!(!is_tid("E2019031210541504740000"));
        assert!(!is_tid("X20190312105415047400001"));
    }
}
