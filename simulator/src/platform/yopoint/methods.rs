//! The gateway's methods.

use serde_json::{Map, Value, json};

use crate::clock::china_compact;
use crate::message::Request;
use crate::state::Core;
use crate::world::{Cabinet, StockLine, World};

use super::Yopoint;
use super::gateway::{Biz, Refusal};
use super::settings::{Account, OverMax, Shape};

const KNOWN: &[&str] = &[
    "api.test",
    "cabinet.list",
    "cabinet.product.stock",
    "cabinet.open.door",
    "cabinet.order.refund.apply",
    "cabinet.order.user.appeal",
    "cabinet.order.list",
    "cabinet.order.get",
    "consumer.order.list",
    "consumer.order.get",
    "cabinet.product.replenish",
    "cabinet.product.stock.with.replenishment",
    "cabinet.shelving.unshelving.cargo",
    "terminal.terminal.list",
    "terminal.terminal.get",
    "terminal.product.layout.get",
    "consumer.order.create",
    "consumer.order.refunds.update",
    "product.category.list",
    "operators.config.thirdpay.set",
    "operators.config.thirdpay.get",
    "activity.voucher.exchange",
    "activity.vouchercode.get",
    "activity.voucher.get",
];

/// Whether there is a method of that name.
pub fn is_known(method: &str) -> bool {
    KNOWN.contains(&method)
}

pub(super) struct Page {
    number: i64,
    size: i64,
}

impl Page {
    fn skip(&self) -> u64 {
        ((self.number - 1).saturating_mul(self.size)) as u64
    }

    /// The places that lie on this page of a list that long.
    pub(super) fn places(&self, total: u64) -> std::ops::Range<u64> {
        let from = self.skip().min(total);
        from..self.skip().saturating_add(self.size as u64).min(total)
    }

    /// The page object: `from` and `to` are not held to the total.
    pub(super) fn wrap(&self, shape: Shape, total: u64, items: Vec<Value>) -> Value {
        match shape {
            Shape::Array => Value::Array(items),
            Shape::Paginator => json!({
                "total": total, "per_page": self.size, "current_page": self.number,
                "last_page": total.div_ceil(self.size as u64).max(1),
                "from": (self.number - 1) * self.size, "to": self.number * self.size, "data": items,
            }),
        }
    }
}

impl Yopoint {
    pub(super) fn call(
        &mut self,
        core: &mut Core,
        request: &Request,
        account: &Account,
        method: &str,
        biz: &Biz,
    ) -> Result<Value, Refusal> {
        match method {
            "api.test" => Ok(biz.whole()),
            "cabinet.list" => self.cabinet_list(core, biz),
            "cabinet.product.stock" => self.stock(core, biz, false),
            "cabinet.product.stock.with.replenishment" => {
                biz.need("accountId")?;
                self.stock(core, biz, true)
            }
            "cabinet.open.door" => self.open_door(core, request, account, biz),
            "cabinet.order.refund.apply" => self.ask_refund(core, biz),
            "cabinet.order.user.appeal" => self.appeal(core, biz),
            "cabinet.order.list" => self.order_list(core, biz),
            "cabinet.order.get" => self.order_get(core, biz),
            "consumer.order.list" => self.consumer_list(biz),
            "consumer.order.get" => self.consumer_get(biz),
            "consumer.order.create" => self.consumer_create(core, request, biz),
            "consumer.order.refunds.update" => self.consumer_refund(biz),
            "cabinet.product.replenish" => replenish(core, biz),
            "cabinet.shelving.unshelving.cargo" => shelve(core, biz),
            "terminal.terminal.list" => self.terminal_list(biz),
            "terminal.terminal.get" => self.terminal(biz),
            "terminal.product.layout.get" => self.layout(core, biz),
            "product.category.list" => Ok(
                json!([{"id": "5e8000000000000000000001", "Name": "饮料"}, {"id": "5e8000000000000000000002", "Name": "零食"}]),
            ),
            "operators.config.thirdpay.set" => {
                self.third_pay = biz.whole();
                Ok(json!({}))
            }
            "operators.config.thirdpay.get" => Ok(self.third_pay.clone()),
            "activity.voucher.exchange" => self.exchange(core, Some(request), biz),
            "activity.vouchercode.get" => self.voucher_code_get(core, biz),
            "activity.voucher.get" => self.voucher_get(biz),
            _ => Err(Refusal::new("method")),
        }
    }

    /// The page asked for, by the names that the notes have for this method; `size` overrides a page size that the
    /// method does not take.
    pub(super) fn page(&self, biz: &Biz, names: [&str; 2], size: Option<i64>) -> Result<Page, Refusal> {
        let given = |name| if self.settings.strict_names { biz.exact(name) } else { biz.int(&[name]) };
        let number = given(names[0]).unwrap_or(1);
        let asked = given(names[1]).filter(|_| size.is_none());
        let mut size = asked.or(size).unwrap_or(self.settings.default_page_size);
        if size > self.settings.max_page_size {
            match self.settings.page_size_over_max {
                OverMax::Refuse => return Err(Refusal::new("params")),
                OverMax::Clamp => size = self.settings.max_page_size,
            }
        }
        if number < 1 || size < 1 {
            return Err(Refusal::new("params"));
        }
        Ok(Page { number, size })
    }

    fn cabinet_list(&self, core: &Core, biz: &Biz) -> Result<Value, Refusal> {
        let page = self.page(biz, ["Page", "PageSize"], None)?;
        let total = core.world.cabinet_count();
        let items = page.places(total).filter_map(|i| core.world.cabinet_at(i));
        let items = items.map(|c| cabinet_record(&c, &self.settings.oid)).collect();
        Ok(page.wrap(Shape::Paginator, total, items))
    }

    fn stock(&self, core: &Core, biz: &Biz, for_replenishing: bool) -> Result<Value, Refusal> {
        let cid = biz.need("CID")?;
        let page = self.page(biz, ["page", "pageSize"], None)?;
        let total = core.world.stock_count(&cid).ok_or_else(|| Refusal::new("cabinet_unknown"))?;
        let lines = page.places(total).filter_map(|i| core.world.stock_line(&cid, i).map(|line| (i, line)));
        let record =
            |(i, line)| stock_record(&core.world, &self.settings.oid, &cid, i, &line, for_replenishing);
        let items = lines.map(record).collect();
        let shape = if for_replenishing { Shape::Paginator } else { self.settings.stock_shape };
        Ok(page.wrap(shape, total, items))
    }

    /// Whether queries see already what happened then.
    pub(super) fn is_seen(&self, core: &Core, at_ms: i64) -> bool {
        at_ms.saturating_add(self.settings.query_lag_ms) <= core.clock.now_ms()
    }

    fn order_list(&self, core: &Core, biz: &Biz) -> Result<Value, Refusal> {
        biz.need_int("page")?;
        let (start, end) = (biz.need_int("StartTime")?, biz.need_int("EndTime")?);
        biz.need_int("pageSize")?;
        let page = self.page(biz, ["page", "pageSize"], None)?;
        let mut written: Vec<_> =
            self.orders.iter().rev().filter(|o| (start..=end).contains(&o.int("CreateAt"))).collect();
        written.retain(|o| self.is_seen(core, o.own.made_ms));
        written.sort_by_key(|o| std::cmp::Reverse(o.int("CreateAt")));
        // Orders of the series that were written out stand in both; they are shown once, where they were written.
        let series = self.series.between(start, end);
        let total = written.len() as u64 + (series.end - series.start);
        let twice = self.settings.duplicate_door_status;
        let (oid, pay_type) = (&self.settings.oid, self.settings.pay_type);
        let items = page.places(total).filter_map(|i| match written.get(i as usize) {
            Some(order) => Some(order.show(twice)),
            None => {
                let index = series.end - 1 - (i - written.len() as u64);
                let order = self.series.order(index, &core.world, oid, pay_type);
                self.order(order.text("ReceiptNo")).is_none().then(|| order.show(twice))
            }
        });
        let items = items.collect();
        Ok(page.wrap(self.settings.order_list_shape, total, items))
    }

    fn order_get(&self, core: &Core, biz: &Biz) -> Result<Value, Refusal> {
        let (receipt, trade_no) = (biz.text(&["ReceiptNo"]), biz.text(&["TradeNo"]));
        if receipt.is_none() && trade_no.is_none() {
            return Err(Refusal::missing("ReceiptNo"));
        }
        let written = match (&receipt, &trade_no) {
            (Some(receipt), _) => self.order(receipt),
            (None, Some(number)) => self.orders.by_trade_no(number),
            (None, None) => None,
        };
        let twice = self.settings.duplicate_door_status;
        if let Some(order) = written.filter(|o| self.is_seen(core, o.own.made_ms)) {
            return Ok(order.show(twice));
        }
        let index = self.series.find(receipt.as_deref(), trade_no.as_deref());
        let index = index.ok_or_else(|| Refusal::new("order_unknown"))?;
        let order = self.series.order(index, &core.world, &self.settings.oid, self.settings.pay_type);
        Ok(order.show(twice))
    }

    fn consumer_list(&self, biz: &Biz) -> Result<Value, Refusal> {
        biz.need_int("page")?;
        let (start, end) = (biz.need_int("StartTime")?, biz.need_int("EndTime")?);
        let page = self.page(biz, ["page", ""], Some(10))?;
        let fits: Vec<_> = self
            .consumer_orders
            .iter()
            .rev()
            .filter(|o| (start..=end).contains(&o.int("CreateAt")))
            .collect();
        let items = page.places(fits.len() as u64).map(|i| fits[i as usize].show(false)).collect();
        Ok(page.wrap(self.settings.order_list_shape, fits.len() as u64, items))
    }

    fn consumer_get(&self, biz: &Biz) -> Result<Value, Refusal> {
        let (receipt, trade_no) = (biz.text(&["ReceiptNo"]), biz.text(&["TradeNo"]));
        if receipt.is_none() && trade_no.is_none() {
            return Err(Refusal::missing("ReceiptNo"));
        }
        let fits = |o: &&super::Order| match &receipt {
            Some(receipt) => o.text("ReceiptNo") == receipt,
            None => trade_no.as_deref() == Some(o.text("TradeNo")),
        };
        let found = self.consumer_orders.iter().find(fits);
        found.map(|o| o.show(false)).ok_or_else(|| Refusal::new("order_unknown"))
    }

    /// Adds an order of a vending machine and answers its number.
    pub(super) fn new_consumer_order(
        &mut self,
        core: &mut Core,
        terminal: &str,
        status: i64,
        error: &str,
    ) -> String {
        let number = self.consumer_orders.len() as u64 + 1;
        let at_ms = core.clock.now_ms();
        let order = self.consumer_order(&core.world, number, at_ms, status, error, terminal);
        let receipt = order.text("ReceiptNo").to_owned();
        self.consumer_orders.push(order);
        receipt
    }

    fn consumer_refund(&mut self, biz: &Biz) -> Result<Value, Refusal> {
        let (receipt, status) = (biz.need("ReceiptNo")?, biz.need_int("UserRefundsStatus")?);
        let order = self.consumer_orders.iter_mut().find(|o| o.text("ReceiptNo") == receipt);
        order.ok_or_else(|| Refusal::new("order_unknown"))?.set("UserRefundsStatus", status);
        Ok(json!({}))
    }

    pub(super) fn terminal(&self, biz: &Biz) -> Result<Value, Refusal> {
        let tid = biz.need("TID")?;
        let found = self.terminals.iter().find(|t| t["TID"] == json!(tid));
        found.cloned().ok_or_else(|| Refusal::new("terminal_unknown"))
    }
}

/// A cabinet in the list; the vendor's record is not published, so this follows its notice of changes.
fn cabinet_record(cabinet: &Cabinet, oid: &str) -> Value {
    let mut record = changed_record(cabinet);
    record.shift_remove("CargoConfig");
    let mut all = Map::new();
    all.insert("id".into(), json!(cabinet.id));
    all.insert("CID".into(), json!(cabinet.id));
    all.insert("OID".into(), json!(oid));
    all.extend(record);
    Value::Object(all)
}

/// What `notify.cabinet.changed` says of a cabinet, without its `RequestID`.
pub fn changed_record(cabinet: &Cabinet) -> Map<String, Value> {
    let record = json!({
        "Name": cabinet.name, "DeviceCode": cabinet.device_code, "Code": cabinet.code,
        "CargoConfig": cabinet.stock.iter().map(|l| json!({"Row": l.row, "Col": l.col, "BarCode": l.barcode}))
            .collect::<Vec<_>>(),
        "EnableSell": cabinet.enable_sell, "SellStatus": cabinet.sell_status,
        "OnlineStatus": i64::from(cabinet.online), "Province": cabinet.province, "City": cabinet.city,
        "District": cabinet.district, "ServicePhone": cabinet.service_phone, "ExtElectronicStatus": 1,
        "ReplenisherAccountID": "", "CabinetCount": cabinet.doors.len(), "Location": cabinet.location,
    });
    if let Value::Object(record) = record { record } else { Map::new() }
}

fn stock_record(
    world: &World,
    oid: &str,
    cid: &str,
    index: u64,
    line: &StockLine,
    for_replenishing: bool,
) -> Value {
    let good = world.good(&line.barcode);
    let product = json!({
        "Name": good.name, "ImageUrl": good.image_url, "ImageFixWidthUrl": good.image_url,
        "BarCode": line.barcode, "Price": good.price,
    });
    let mut record = json!({
        "OID": oid, "CID": cid, "BarCode": line.barcode, "ProviderProductID": "", "Price": line.price,
        "OnShelvesTime": 1_700_000_000, "Stock": line.stock, "SalesCount": line.sales,
        "Capacity": line.capacity, "BrandPrice": 0, "CreateAt": 1_700_000_000, "UpdatedAt": 1_700_000_000,
        "id": format!("6510{index:020x}"), "ProductVO": product, "OperatorPrice": line.price,
        "CargoList": [{"Row": line.row, "Col": line.col, "BarCode": line.barcode,
                       "ProviderProductID": "", "ProductVO": product}],
    });
    if for_replenishing {
        record["ReplenishStock"] = json!((line.capacity - line.stock).max(0));
        record["AccountStock"] = json!(0);
        record["AvgPrice"] = json!(good.cost_price);
    }
    record
}

fn list_of<'a>(biz: &'a Biz, name: &str) -> Result<&'a Vec<Value>, Refusal> {
    let list = biz.any(&[name]).and_then(Value::as_array).filter(|l| !l.is_empty());
    list.ok_or_else(|| Refusal::missing(name))
}

fn member(value: &Value) -> Biz {
    Biz::parse(&value.to_string()).unwrap_or_default()
}

/// `cabinet.product.replenish`: sets how many pieces are in the cabinet afterwards.
fn replenish(core: &mut Core, biz: &Biz) -> Result<Value, Refusal> {
    let (cid, list) = (biz.need("cid")?, list_of(biz, "productList")?);
    biz.need("accountId")?;
    let cabinet = core.world.cabinet(&cid).ok_or_else(|| Refusal::new("cabinet_unknown"))?;
    let mut changes = Vec::new();
    for entry in list.iter().map(member) {
        let (barcode, stock) = (entry.need("BarCode")?, entry.need_int("Stock")?);
        if !(0..=1000).contains(&stock) {
            return Err(Refusal::new("params"));
        }
        if !cabinet.stock.iter().any(|l| l.barcode == barcode) {
            return Err(Refusal { data: json!(barcode), ..Refusal::new("out_of_stock") });
        }
        changes.push((barcode, stock));
    }
    let grows = biz.int(&["isUpdateCapacity"]).unwrap_or(1) == 1;
    let (mut added, mut total, mut shown) = (0, 0, Vec::new());
    let now = core.clock.now_ms();
    if let Some(cabinet) = core.world.cabinet_mut(&cid) {
        for (barcode, stock) in changes {
            let line = cabinet.stock.iter_mut().find(|l| l.barcode == barcode);
            line.into_iter().for_each(|line| {
                shown.push(json!({"BarCode": barcode, "BeforeStock": line.stock, "Stock": stock}));
                added += stock - line.stock;
                line.stock = stock;
                if grows {
                    line.capacity = line.capacity.max(stock);
                }
            });
        }
        total = cabinet.stock.iter().map(|l| l.stock).sum();
    }
    Ok(json!({
        "ReceiptNo": format!("CSBH{}", china_compact(now)), "TotalSupplementQuantity": added,
        "TotalStock": total, "ProductList": shown,
    }))
}

/// `cabinet.shelving.unshelving.cargo`: puts goods into lanes or takes them off.
fn shelve(core: &mut Core, biz: &Biz) -> Result<Value, Refusal> {
    let (cid, list) = (biz.need("cid")?, list_of(biz, "cargoes")?);
    core.world.cabinet(&cid).ok_or_else(|| Refusal::new("cabinet_unknown"))?;
    let mut changes = Vec::new();
    for entry in list.iter().map(member) {
        let (row, col) = (entry.need_int("row")?, entry.need_int("col")?);
        let barcode = entry.text(&["barcode"]).unwrap_or_default();
        let price = entry.int(&["defaultPrice"]).unwrap_or(1).max(1);
        changes.push(StockLine { barcode, row, col, door: 1, stock: 0, capacity: 12, price, sales: 0 });
    }
    let mut after = Vec::new();
    if let Some(cabinet) = core.world.cabinet_mut(&cid) {
        for line in changes {
            cabinet.stock.retain(|old| (old.row, old.col) != (line.row, line.col));
            if !line.barcode.is_empty() {
                cabinet.stock.push(line);
            }
        }
        after =
            cabinet.stock.iter().map(|l| json!({"row": l.row, "col": l.col, "barcode": l.barcode})).collect();
    }
    Ok(json!({"afterCargoes": after, "brandLockCargoes": []}))
}
