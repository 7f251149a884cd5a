//! Vending machines: their lanes, voucher codes that are redeemed at them, and orders that are paid for there.
//!
//! The notes have the names of the methods, their parameters and two notices; the answers and the failure names are
//! this simulator's own.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::act::Act;
use crate::message::Request;
use crate::state::Core;
use crate::world::{Cause, World};

use super::gateway::{Biz, Refusal};
use super::orders::{self, Order, Stage};
use super::settings::{ExchangeAnswer, NoStock};
use super::{NAME, Yopoint};

pub const EXCHANGED: &str = "notify.activity.voucher.exchangecode";
pub const DELIVERED: &str = "notify.consumer.order.simple";

/// A voucher: goods that a code is good for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Voucher {
    /// `VoucherID`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is good for.
    pub barcode: String,
    /// Its codes.
    pub codes: Vec<VoucherCode>,
}

/// One code of a voucher.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VoucherCode {
    /// What the customer types.
    pub code: String,
    /// What the customer's QR code holds; works as the code does.
    pub encrypt_code: String,
    /// When it was given out, in seconds.
    pub created_s: i64,
    /// The last second at which it is good; 0: it stays good.
    pub expires_s: i64,
    /// When it was used up; 0: it is good.
    pub used_s: i64,
    /// The machine at which it was used up.
    pub tid: String,
    /// The order that it was used up for.
    pub receipt: String,
}

impl VoucherCode {
    /// 0 good, 1 used up, 2 expired.
    fn status(&self, now_s: i64) -> i64 {
        match (self.used_s, self.expires_s) {
            (1.., _) => 1,
            (_, 1..) if now_s > self.expires_s => 2,
            _ => 0,
        }
    }
}

/// The machines at the start.
pub fn terminals() -> Vec<Value> {
    (1..=2)
        .map(|n| {
            let tid = format!("5f7000000000000000000{n:03}");
            json!({
                "id": tid, "TID": tid, "Name": format!("弹簧机 {n}"), "DeviceCode": format!("V00{n}"),
                "OnlineStatus": 1, "UpdatedAt": 1_700_000_000, "ActiveAt": 1_700_000_000,
                "Layout": [{"Row": 1, "Col": 1, "BarCode": "6900000000011", "Stock": 6, "Capacity": 8},
                           {"Row": 1, "Col": 2, "BarCode": "6900000000028", "Stock": 0, "Capacity": 8}],
            })
        })
        .collect()
}

/// The vouchers at the start: 20000001 and 20000005 good, 20000002 used, 20000003 expired, 20000004 for goods that
/// no machine has.
pub fn vouchers(now_s: i64) -> Vec<Voucher> {
    let code = |n: u64| VoucherCode {
        code: format!("{}", 20_000_000 + n),
        encrypt_code: format!("{:032x}", u128::from(n) << 64 | 0x5e90),
        created_s: now_s - 86_400,
        ..VoucherCode::default()
    };
    let used = VoucherCode { used_s: now_s - 7_200, tid: "5f7000000000000000000001".into(), ..code(2) };
    let expired = VoucherCode { expires_s: now_s - 3_600, ..code(3) };
    let voucher = |n: u64, name: &str, barcode: &str, codes| Voucher {
        id: format!("5e900000000000000000000{n}"),
        name: name.into(),
        barcode: barcode.into(),
        codes,
    };
    vec![
        voucher(1, "矿泉水兑换券", "6900000000011", vec![code(1), used, expired, code(5)]),
        voucher(2, "乌龙茶兑换券", "6900000000028", vec![code(4)]),
    ]
}

/// One lane in the vendor's words, as far as they are known from the cabinets' stock.
fn lane_record(world: &World, lane: &Value) -> Value {
    let good = world.good(lane["BarCode"].as_str().unwrap_or_default());
    let mut record = json!({
        "ProviderProductID": "", "Price": good.price, "Capacity": 8,
        "ProductVO": {"Name": good.name, "ImageUrl": good.image_url, "ImageFixWidthUrl": good.image_url,
                      "BarCode": good.barcode, "Price": good.price},
    });
    crate::message::merge(&mut record, lane);
    record
}

impl Yopoint {
    pub(super) fn terminal_list(&self, biz: &Biz) -> Result<Value, Refusal> {
        // Ten a page: there is no parameter for it.
        let page = self.page(biz, ["Page", ""], Some(10))?;
        let since = |name: &str, terminal: &Value| {
            biz.int(&[name]).is_none_or(|since| terminal[name].as_i64().unwrap_or_default() >= since)
        };
        let fits: Vec<Value> = self
            .terminals
            .iter()
            .filter(|t| since("UpdatedAt", t) && since("ActiveAt", t))
            .map(|t| {
                let mut record = t.clone();
                record.as_object_mut().map(|r| r.shift_remove("Layout"));
                record
            })
            .collect();
        let places = page.places(fits.len() as u64);
        let items = fits[places.start as usize..places.end as usize].to_vec();
        Ok(page.wrap(super::settings::Shape::Paginator, fits.len() as u64, items))
    }

    pub(super) fn layout(&self, core: &Core, biz: &Biz) -> Result<Value, Refusal> {
        let terminal = self.terminal(biz)?;
        let lanes = terminal["Layout"].as_array().into_iter().flatten();
        Ok(lanes.map(|lane| lane_record(&core.world, lane)).collect())
    }

    /// The voucher and the place of a code in it, by what is typed or scanned.
    fn find_code(&self, code: &str) -> Option<(usize, usize)> {
        self.vouchers.iter().enumerate().find_map(|(v, voucher)| {
            let fits = |c: &VoucherCode| c.code == code || (!code.is_empty() && c.encrypt_code == code);
            voucher.codes.iter().position(fits).map(|c| (v, c))
        })
    }

    /// `activity.voucher.get`
    pub(super) fn voucher_get(&self, biz: &Biz) -> Result<Value, Refusal> {
        let id = biz.need("VoucherID")?;
        let voucher = self.vouchers.iter().find(|v| v.id == id);
        let voucher = voucher.ok_or_else(|| Refusal::new("voucher_unknown"))?;
        Ok(json!({
            "id": voucher.id, "VoucherID": voucher.id, "Name": voucher.name, "BarCode": voucher.barcode,
            "Total": voucher.codes.len(), "UsedCount": voucher.codes.iter().filter(|c| c.used_s > 0).count(),
        }))
    }

    /// `activity.vouchercode.get`
    pub(super) fn voucher_code_get(&self, core: &Core, biz: &Biz) -> Result<Value, Refusal> {
        let id = match biz.text(&["VoucherID"]) {
            None if self.settings.voucher_id_required => return Err(Refusal::missing("VoucherID")),
            other => other,
        };
        let asked = biz.text(&["VoucherCode"]).or_else(|| biz.text(&["EncryptCode"]));
        let asked = asked.ok_or_else(|| Refusal::missing("VoucherCode"))?;
        let (v, c) = self.find_code(&asked).ok_or_else(|| Refusal::new("voucher_code_unknown"))?;
        let voucher = &self.vouchers[v];
        if id.is_some_and(|id| id != voucher.id) {
            return Err(Refusal::new("voucher_unknown"));
        }
        let mut code = voucher.codes[c].clone();
        if code.used_s > 0 && !self.is_seen(core, code.used_s * 1000) {
            (code.used_s, code.tid, code.receipt) = (0, String::new(), String::new());
        }
        let order = self.consumer_orders.iter().find(|o| o.text("ReceiptNo") == code.receipt);
        Ok(json!({
            "VoucherID": voucher.id, "VoucherCode": code.code, "EncryptCode": code.encrypt_code,
            "Name": voucher.name, "BarCode": voucher.barcode, "Status": code.status(core.clock.now_s()),
            "TID": code.tid, "ReceiptNo": code.receipt, "ShipmentsStatus": order.map_or(0, |o| o.int("ShipmentsStatus")),
            "CreateAt": code.created_s, "UsedAt": code.used_s, "ExpiredAt": code.expires_s,
        }))
    }

    /// `activity.voucher.exchange`: a code is used up at a machine, and the machine drops the goods.
    pub(super) fn exchange(
        &mut self,
        core: &mut Core,
        request: Option<&Request>,
        biz: &Biz,
    ) -> Result<Value, Refusal> {
        let (code, tid) = (biz.need("Code")?, biz.need("TID")?);
        let terminal = self.terminals.iter().find(|t| t["TID"] == json!(tid));
        let terminal = terminal.ok_or_else(|| Refusal::new("terminal_unknown"))?;
        if terminal["OnlineStatus"] == json!(0) {
            return Err(Refusal::new("terminal_offline"));
        }
        let (v, c) = self.find_code(&code).ok_or_else(|| Refusal::new("voucher_code_unknown"))?;
        match self.vouchers[v].codes[c].status(core.clock.now_s()) {
            1 => return Err(Refusal::new("voucher_code_used")),
            2 => return Err(Refusal::new("voucher_code_expired")),
            _ => {}
        }
        let barcode = self.vouchers[v].barcode.clone();
        let lane = self.stocked_lane(&tid, &barcode);
        if lane.is_none() && self.settings.voucher_no_stock == NoStock::Refuse {
            return Err(Refusal::new("none_stock"));
        }
        let status = if lane.is_some() { 0 } else { 3 };
        let receipt = self.new_consumer_order(core, &tid, status, "");
        let good = core.world.good(&barcode);
        let voucher_id = self.vouchers[v].id.clone();
        let code = {
            let used = &mut self.vouchers[v].codes[c];
            (used.used_s, used.tid, used.receipt) = (core.clock.now_s(), tid.clone(), receipt.clone());
            used.code.clone()
        };
        core.record(Act::new(NAME, "redeem").cabinet(&tid).code(&code).order(&receipt));
        if let Some(order) = self.consumer_order_mut(&receipt) {
            order.set("ProductName", good.name.clone());
            order.set("OriginalPrice", good.price);
            order.set("Price", 0);
            order.set("VoucherID", voucher_id.clone());
            order.set("VoucherCode", code.clone());
        }
        match lane {
            Some(lane) => self.turn_motor(core, request, &receipt, &tid, lane),
            None => self.tell_delivery(core, &receipt),
        }
        Ok(match self.settings.exchange_answer {
            ExchangeAnswer::Empty => json!({}),
            ExchangeAnswer::Receipt => json!({
                "ReceiptNo": receipt, "TID": tid, "VoucherID": voucher_id, "VoucherCode": code,
                "ShipmentsStatus": status,
            }),
        })
    }

    /// `consumer.order.create`: an order of whatever the token stands for, which is still to be paid.
    pub(super) fn consumer_create(
        &mut self,
        core: &mut Core,
        request: &Request,
        biz: &Biz,
    ) -> Result<Value, Refusal> {
        let (token, open_id) = (biz.need("Token")?, biz.need("OpenID")?);
        // A token is what the QR code beside a lane holds: the machine and the place.
        let named = token.strip_prefix("lane-").and_then(|rest| {
            let mut parts = rest.split('-');
            let (tid, row, col) = (parts.next()?, parts.next()?, parts.next()?);
            Some((tid.to_owned(), row.parse::<i64>().ok()?, col.parse::<i64>().ok()?))
        });
        let (tid, lane) = match named {
            Some((tid, row, col)) => {
                let lane = self.lanes(&tid).position(|l| l["Row"] == json!(row) && l["Col"] == json!(col));
                (tid, lane.ok_or_else(|| Refusal::new("order_create"))?)
            }
            None if self.settings.strict_tokens => return Err(Refusal::new("order_create")),
            // Any other token is one of the first machine that has something.
            None => {
                let stocked = |t: &Value| {
                    let tid = t["TID"].as_str()?.to_owned();
                    let lane = self.lanes(&tid).position(|l| l["Stock"].as_i64() > Some(0))?;
                    Some((tid, lane))
                };
                self.terminals.iter().find_map(stocked).ok_or_else(|| Refusal::new("none_stock"))?
            }
        };
        let stock = self.lanes(&tid).nth(lane).and_then(|l| l["Stock"].as_i64());
        if stock.unwrap_or_default() <= 0 {
            return Err(Refusal::new("none_stock"));
        }
        let barcode = self.lanes(&tid).nth(lane).and_then(|l| l["BarCode"].as_str()).unwrap_or_default();
        let good = core.world.good(barcode);
        let receipt = self.new_consumer_order(core, &tid, 0, "");
        let pay_token = format!("{:016x}{:016x}", core.noise.next(), core.noise.next());
        let plain = !request.tls;
        if let Some(order) = self.consumer_order_mut(&receipt) {
            order.set("OpenID", open_id);
            order.set("ProductName", good.name);
            order.set("Price", good.price);
            order.set("OriginalPrice", good.price);
            order.set("TradeStatus", 0);
            order.set("TradeNo", "");
            order.set("PayTime", 0);
            order.own = orders::Own {
                stage: Stage::Unpaid,
                token: pay_token,
                plain,
                door: lane as u32 + 1,
                ..orders::Own::default()
            };
        }
        core.record(Act::new(NAME, "order").cabinet(&tid).order(&receipt).amount(good.price));
        let order = self.consumer_orders.last().cloned().unwrap_or_default();
        Ok(json!({"ReceiptNo": receipt, "NotifyUrl": self.notify_url(core, &order)}))
    }

    /// A vending order is paid: the machine drops the goods.
    pub(super) fn vend_paid(&mut self, core: &mut Core, request: &Request, receipt: &str) {
        let Some(order) = self.consumer_order_mut(receipt) else { return };
        let (tid, lane) = (order.text("TID").to_owned(), (order.own.door.max(1) - 1) as usize);
        self.turn_motor(core, Some(request), receipt, &tid, lane);
    }

    fn lanes<'a>(&'a self, tid: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        let found = self.terminals.iter().find(|t| t["TID"] == json!(tid));
        found.and_then(|t| t["Layout"].as_array()).into_iter().flatten()
    }

    fn stocked_lane(&self, tid: &str, barcode: &str) -> Option<usize> {
        self.lanes(tid).position(|l| l["BarCode"] == json!(barcode) && l["Stock"].as_i64() > Some(0))
    }

    fn consumer_order_mut(&mut self, receipt: &str) -> Option<&mut Order> {
        self.consumer_orders.iter_mut().find(|o| o.text("ReceiptNo") == receipt)
    }

    /// The motor of a lane turns: a piece falls unless it is stuck. The news of it comes later.
    fn turn_motor(
        &mut self,
        core: &mut Core,
        request: Option<&Request>,
        receipt: &str,
        tid: &str,
        lane: usize,
    ) {
        let falls = !self.settings.vend_fails;
        let found = self.terminals.iter_mut().find(|t| t["TID"] == json!(tid));
        let Some(place) = found.and_then(|t| t["Layout"].get_mut(lane)) else { return };
        let name = format!("R{}C{}", place["Row"], place["Col"]);
        if falls {
            place["Stock"] = json!(place["Stock"].as_i64().unwrap_or_default() - 1);
            let cause = Cause {
                by: NAME.into(),
                request: request.map(|r| r.number),
                receipt: Some(receipt.to_owned()),
                trade_no: None,
                notify_url: None,
            };
            core.dispense(tid, lane as u32 + 1, &name, cause);
        }
        if let Some(delay) = self.settings.vend_ms {
            core.after(delay, NAME, json!({"do": "vended", "receipt": receipt, "fell": falls}));
        }
    }

    /// The machine has told how a delivery went.
    pub(super) fn vended(&mut self, core: &mut Core, receipt: &str, fell: bool) {
        let Some(order) = self.consumer_order_mut(receipt) else { return };
        order.set("ShipmentsStatus", if fell { 1 } else { -1 });
        order.set("ShipmentsError", if fell { "" } else { "货道卡货" });
        if !fell {
            order.set("UserRefundsReason", "REFUNDS_REASON_DELIVERY_FAIL");
        }
        self.tell_delivery(core, receipt);
    }

    /// Sends the notices about a delivery: of a voucher code its own beside that of the order.
    fn tell_delivery(&mut self, core: &mut Core, receipt: &str) {
        let Some(order) = self.consumer_order_mut(receipt).cloned() else { return };
        let status = order.int("ShipmentsStatus");
        if let Some(code) = order.doc.get("VoucherCode") {
            let content = json!({
                "VoucherID": order.text("VoucherID"), "VoucherCode": code, "TID": order.text("TID"),
                "ReceiptNo": receipt, "ShipmentsStatus": status,
            });
            self.notify(core, "business", EXCHANGED, Some(receipt), content);
        }
        let content = json!({
            "ReceiptNo": receipt, "TID": order.text("TID"), "ShipmentsStatus": status,
            "ShipmentsError": order.text("ShipmentsError"),
        });
        self.notify(core, "business", DELIVERED, Some(receipt), content);
    }

    /// Lays vouchers over those with the same number; new ones come last.
    pub(super) fn lay_vouchers(&mut self, part: &Value) -> Result<(), String> {
        for patch in part.as_array().ok_or("\"vouchers\" must be a list")? {
            let id = patch["id"].as_str().ok_or("a voucher needs an \"id\"")?;
            let old = self.vouchers.iter_mut().find(|v| v.id == id);
            let mut whole: Map<String, Value> = match &old {
                Some(old) => json!(old).as_object().cloned().unwrap_or_default(),
                None => Map::new(),
            };
            whole.extend(patch.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())));
            let voucher: Voucher = serde_json::from_value(Value::Object(whole)).map_err(|e| e.to_string())?;
            match old {
                Some(old) => *old = voucher,
                None => self.vouchers.push(voucher),
            }
        }
        Ok(())
    }
}
