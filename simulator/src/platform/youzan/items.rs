//! Items and stock, retail stock, pickup points and the shop itself.

use serde_json::{Map, Value, json};

use crate::state::Core;

use super::gateway::Refusal;
use super::push::Message;
use super::shop::{Item, Point, PointStock, Sku};
use super::time::{china, parse_china};
use super::trade::{page, paged, yuan};
use super::{Call, Youzan};

fn refuse<T>(code: i64, text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::business(code, text))
}

fn properties(sku: &Sku) -> String {
    let list: Vec<Value> =
        sku.properties.iter().map(|p| json!({"kid": p.kid, "vid": p.vid, "k": p.k, "v": p.v})).collect();
    Value::Array(list).to_string()
}

/// A SKU; `item.get` prices it in fen, `item.sku.get` in yuan.
fn show_sku(item: &Item, sku: &Sku, price: Value) -> Value {
    json!({
        "item_id": item.item_id, "sku_id": sku.sku_id,
        "sku_unique_code": format!("{}{}", item.item_id, sku.sku_id), "properties_name_json": properties(sku),
        "price": price, "quantity": sku.quantity, "with_hold_quantity": sku.with_hold_quantity,
        "sold_num": sku.sold_num, "item_no": sku.item_no, "created": china(item.created_ms),
        "modified": china(item.updated_ms),
    })
}

fn detail_url(item: &Item) -> String {
    format!("https://example.com/goods/{}", item.alias)
}

fn show_point(p: &Point) -> Value {
    let flag = |set: bool| if set { "1" } else { "0" };
    json!({
        "id": p.id.to_string(), "name": p.name, "is_store": flag(p.is_store),
        "is_self_fetch": flag(p.is_self_fetch), "support_local_delivery": "0",
        "local_delivery_scope": "0", "local_delivery_start_amount": "0", "local_delivery_fee": "0",
        "phone1": p.phone1, "phone2": p.phone2, "province": p.province, "city": p.city, "area": p.area,
        "address": p.address, "county_id": p.county_id, "lng": p.lng, "lat": p.lat,
        "business_hours_advanced": [{
            "open_time": p.open_time, "close_time": p.close_time,
            "weekdays": ["周一", "周二", "周三", "周四", "周五", "周六", "周日"],
        }],
        "image": [], "description": p.description, "tag_ids": [],
    })
}

/// Texts of numbers become numbers, as the table of `offline.get` has them.
fn numbers(mut shown: Value) -> Value {
    for name in [
        "id",
        "is_store",
        "is_self_fetch",
        "support_local_delivery",
        "local_delivery_scope",
        "local_delivery_start_amount",
        "local_delivery_fee",
    ] {
        if let Some(number) = shown[name].as_str().and_then(|t| t.parse::<i64>().ok()) {
            shown[name] = json!(number);
        }
    }
    shown
}

/// Keys in camelCase, all the way down.
fn camel(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(key, value)| {
                let mut words = key.split('_');
                let mut name = words.next().unwrap_or_default().to_owned();
                for word in words {
                    name.push_str(&word[..1].to_ascii_uppercase());
                    name.push_str(&word[1..]);
                }
                (name, camel(value))
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(list) => list.into_iter().map(camel).collect(),
        plain => plain,
    }
}

impl Youzan {
    fn find_item(&self, call: &Call, code: i64) -> Result<&Item, Refusal> {
        let (id, alias) = (call.params.int("item_id")?, call.params.text("alias")?);
        let fits = |i: &&Item| {
            i.kdt_id == call.kdt_id
                && id.map_or_else(|| !alias.is_empty() && i.alias == alias, |id| i.item_id == id)
        };
        self.held.items.iter().find(fits).ok_or_else(|| Refusal::business(code, "商品不存在"))
    }

    /// `youzan.item.get`
    pub(super) fn item_get(&self, call: &Call) -> Result<Value, Refusal> {
        let item = self.find_item(call, 122_001_001)?;
        let skus: Vec<Value> = item.skus.iter().map(|s| show_sku(item, s, json!(s.price))).collect();
        let mut shown = json!({
            "item_id": item.item_id, "kdt_id": item.kdt_id, "alias": item.alias, "title": item.title,
            "desc": "", "price": item.price, "origin_price": "", "quantity": item.stock(),
            "sold_num": item.sold_num, "buy_quota": 0, "item_type": item.item_type,
            "is_listing": item.is_listing, "is_lock": false, "item_no": item.item_no,
            "created": china(item.created_ms), "cid": 1_000_000, "tag_ids": item.tag_ids,
            "detail_url": detail_url(item), "share_url": detail_url(item), "pic_url": "",
            "pic_thumb_url": "", "post_type": 1, "post_fee": 0, "skus": skus, "item_imgs": [],
        });
        if matches!(item.item_type, 60 | 61) {
            shown["virtual_extend"] = json!({
                "item_validity_start": 0, "item_validity_end": 0, "effective_type": 0,
                "effective_delay_hours": 0, "holidays_available": true,
            });
        }
        Ok(json!({"item": shown}))
    }

    /// `youzan.item.sku.get`, whose prices are in yuan.
    pub(super) fn sku_get(&self, call: &Call) -> Result<Value, Refusal> {
        let item = self.find_item(call, 123_005_001)?;
        let sku_id = call.params.int("sku_id")?.unwrap_or_default();
        match item.skus.iter().find(|s| s.sku_id == sku_id) {
            Some(sku) => Ok(json!({"sku": show_sku(item, sku, json!(yuan(sku.price)))})),
            None => refuse(123_004_002, "SKU不存在"),
        }
    }

    /// `youzan.item.detail.get`
    pub(super) fn item_detail(&self, call: &Call) -> Result<Value, Refusal> {
        let item = self.find_item(call, 123_005_001)?;
        let skus: Vec<Value> = item
            .skus
            .iter()
            .map(|s| {
                json!({
                    "sku_id": s.sku_id, "sku_no": s.item_no, "sku_barcode": s.barcode,
                    "stock_num": s.quantity, "price": s.price, "sold_num": s.sold_num,
                })
            })
            .collect();
        Ok(json!({
            "item_id": item.item_id, "kdt_id": item.kdt_id, "alias": item.alias, "title": item.title,
            "price": item.price, "stock_num": item.stock(), "sold_num": item.sold_num,
            "item_type": item.item_type, "item_no": item.item_no, "barcode": item.barcode,
            "is_display": i64::from(item.is_listing), "sku_list": skus,
        }))
    }

    /// `youzan.item.itemdetail.get`: in the retail channel stock numbers are a thousand times what they are.
    pub(super) fn item_itemdetail(&self, call: &Call) -> Result<Value, Refusal> {
        let asked = call.params.below("request");
        let (id, code, barcode) =
            (asked.int("item_id")?, asked.text("item_code")?, asked.text("item_barcode")?);
        let retail = asked.int("channel")?.unwrap_or_default() == 1;
        let fits = |i: &&Item| {
            i.kdt_id == call.kdt_id
                && (id == Some(i.item_id)
                    || (!code.is_empty() && i.item_no == code)
                    || (!barcode.is_empty() && i.barcode == barcode))
        };
        let Some(item) = self.held.items.iter().find(fits) else {
            return refuse(123_005_001, "商品不存在");
        };
        let scaled = |n: i64| if retail { n * 1000 } else { n };
        let skus: Vec<Value> = item
            .skus
            .iter()
            .map(|s| {
                json!({
                    "sku_id": s.sku_id, "sku_no": s.item_no, "sku_barcode": s.barcode, "price": s.price,
                    "stock_num": scaled(s.quantity), "stock_num_str": s.quantity.to_string(),
                })
            })
            .collect();
        Ok(json!({
            "item_id": item.item_id, "kdt_id": item.kdt_id, "title": item.title, "price": item.price,
            "item_code": item.item_no, "item_barcode": item.barcode, "stock_num": scaled(item.stock()),
            "stock_num_str": item.stock().to_string(), "sku_list": skus,
        }))
    }

    /// `youzan.items.onsale.get`
    pub(super) fn onsale(&self, call: &Call) -> Result<Value, Refusal> {
        let broken = || Refusal::business(121_000_100, "内部服务错误");
        let (number, size) = page(call, 40)?;
        if size > 300 || number.saturating_mul(size) >= 4000 {
            return Err(broken());
        }
        let (words, tag) = (call.params.text("q")?, call.params.int("tag_id")?);
        let from = call.params.int("update_time_start")?.unwrap_or(i64::MIN);
        let to = call.params.int("update_time_end")?.unwrap_or(i64::MAX);
        let fits = |i: &&Item| {
            i.kdt_id == call.kdt_id
                && i.is_listing
                && i.title.contains(&words)
                && tag.is_none_or(|t| i.tag_ids.contains(&t))
                && (from..=to).contains(&i.updated_ms)
        };
        let mut found: Vec<&Item> = self.held.items.iter().filter(fits).collect();
        let order = call.params.text("order_by")?;
        let (column, direction) = order.split_once(':').unwrap_or((&order, "desc"));
        match column {
            "created_time" | "" => found.sort_by_key(|i| i.created_ms),
            "update_time" => found.sort_by_key(|i| i.updated_ms),
            "price" => found.sort_by_key(|i| i.price),
            "sold_num" => found.sort_by_key(|i| i.sold_num),
            _ => return Err(broken()),
        }
        if direction != "asc" {
            found.reverse();
        }
        let count = found.len();
        let shown = found.into_iter().map(|i| {
            json!({
                "item_id": i.item_id, "alias": i.alias, "title": i.title, "price": i.price,
                "item_type": i.item_type, "item_no": i.item_no, "quantity": i.stock(), "post_type": 1,
                "post_fee": 0, "created_time": china(i.created_ms), "update_time": china(i.updated_ms),
                "detail_url": detail_url(i), "num": i.stock(), "origin": "", "image": "", "item_imgs": [],
                "delivery_template": {},
            })
        });
        Ok(json!({"count": count, "items": paged(shown.collect(), number, size)}))
    }

    /// `youzan.item.quantity.update`; nothing makes an increment idempotent.
    pub(super) fn quantity_update(&mut self, core: &mut Core, call: &Call) -> Result<Value, Refusal> {
        let item_id = call.params.int("item_id")?.ok_or_else(|| Refusal::gateway(5001))?;
        let named = if call.version == "4.0.0" { "stock_num_str" } else { "quantity" };
        let quantity = call.params.int(named)?.ok_or_else(|| Refusal::gateway(5001))?;
        let (sku_id, kind) = (call.params.int("sku_id")?, call.params.int("type")?.unwrap_or_default());
        let now = core.clock.now_ms();
        let fits = |i: &&mut Item| i.kdt_id == call.kdt_id && i.item_id == item_id;
        let Some(item) = self.held.items.iter_mut().find(fits) else {
            return refuse(123_005_001, "商品不存在");
        };
        if !matches!(kind, 0 | 1) {
            return refuse(123_000_104, format!("不支持的库存更新类型:{kind}"));
        }
        if item.stock_synced {
            return refuse(123_003_023, "库存已同步,不支持修改");
        }
        let sku_id = sku_id.filter(|id| *id != 0);
        let stock = match (item.skus.is_empty(), sku_id) {
            (true, None) => Some(&mut item.quantity),
            (_, id) => item.skus.iter_mut().find(|s| Some(s.sku_id) == id).map(|s| &mut s.quantity),
        };
        let Some(stock) = stock else { return refuse(123_004_002, "SKU不存在") };
        let next = if kind == 1 { stock.saturating_add(quantity) } else { quantity };
        *stock = next.max(0);
        item.updated_ms = now;
        if self.settings.stock_messages {
            // The message tells that stock changed, and not to what.
            let msg =
                json!({"item_id": item_id, "sku_id": sku_id.unwrap_or_default(), "kdt_id": call.kdt_id});
            let id = item_id.to_string();
            let message = Message {
                kind: "youzan_item_SkuStockChanged",
                id: &id,
                status: "",
                msg,
                version: now,
                extra: Map::new(),
            };
            self.send(core, call.kdt_id, &message);
        }
        Ok(json!({"is_success": true}))
    }

    /// `youzan.retail.open.query.warehousestock`
    pub(super) fn warehouse_stock(&self, call: &Call) -> Result<Value, Refusal> {
        let warehouse = call.params.text("warehouse_code")?;
        if warehouse.is_empty() {
            return refuse(234_000_002, "业务异常仓库编码不能为空");
        }
        let codes = call.params.any("sku_codes").and_then(Value::as_array).cloned().unwrap_or_default();
        if codes.is_empty() || codes.len() > 50 {
            return refuse(500_000_000, "参数错误");
        }
        let found: Vec<Value> = self
            .held
            .warehouses
            .iter()
            .filter(|w| w.kdt_id == call.kdt_id && w.warehouse_code == warehouse)
            .filter(|w| codes.iter().any(|c| c.as_str() == Some(&w.sku_code)))
            .map(|w| {
                json!({
                    "sku_code": w.sku_code, "stock_num": w.stock_num.to_string(),
                    "freeze_num": w.freeze_num.to_string(), "plan_num": w.plan_num.to_string(),
                    "plan_freeze_num": "0", "road_num": "0",
                })
            })
            .collect();
        Ok(Value::Array(found))
    }

    /// `youzan.retail.open.stock.adjust` and `…modify.planstock`: each number acts once.
    pub(super) fn stock_adjust(&mut self, call: &Call, plan: bool) -> Result<Value, Refusal> {
        let (key, limit) = if plan { ("idempotent_no", 64) } else { ("source_order_no", 30) };
        let (number, warehouse) = (call.params.text(key)?, call.params.text("warehouse_code")?);
        if warehouse.is_empty() {
            return refuse(234_000_002, "业务异常仓库编码不能为空");
        }
        let lines = call.params.any("order_items").and_then(Value::as_array).cloned().unwrap_or_default();
        let timed = plan || parse_china(&call.params.text("create_time")?).is_some();
        if number.is_empty() || number.len() > limit || lines.is_empty() || lines.len() > 50 || !timed {
            return refuse(500_000_000, "参数错误");
        }
        let number = format!("{key}:{number}");
        if self.held.adjustments.contains(&number) {
            return Ok(json!(true));
        }
        let operate = call.params.text("operate_type")?;
        let mut changes = Vec::new();
        for line in &lines {
            let code = line["sku_code"].as_str().unwrap_or_default();
            let fits = |w: &super::shop::Warehouse| {
                w.kdt_id == call.kdt_id && w.warehouse_code == warehouse && w.sku_code == code
            };
            let Some(at) = self.held.warehouses.iter().position(fits) else {
                return refuse(234_000_003, "商品不存在");
            };
            let quantity = match &line["quantity"] {
                Value::String(text) => text.parse().ok(),
                other => other.as_i64(),
            };
            let quantity: i64 = quantity.ok_or_else(|| Refusal::gateway(5001))?;
            changes.push((at, quantity));
        }
        for (at, quantity) in changes {
            let held = &mut self.held.warehouses[at];
            let stock = if plan { &mut held.plan_num } else { &mut held.stock_num };
            *stock = match operate.as_str() {
                "1" => *stock + quantity,
                "2" => *stock - quantity,
                _ => quantity,
            };
        }
        self.held.adjustments.push(number);
        Ok(json!(true))
    }

    /// `youzan.multistore.offline.get`
    pub(super) fn offline_get(&self, call: &Call) -> Result<Value, Refusal> {
        let Some(id) = call.params.int("id")? else { return refuse(53_001, "id cannot be empty") };
        let Some(point) = self.held.point(call.kdt_id, id) else { return refuse(53_002, "参数错误") };
        let shown = show_point(point);
        Ok(if self.settings.offline_get_as_sample { camel(shown) } else { numbers(shown) })
    }

    /// `youzan.multistore.offline.search`
    pub(super) fn offline_search(&self, call: &Call) -> Result<Value, Refusal> {
        let (number, size) = page(call, 20)?;
        if number > 100 || size > 100 {
            return refuse(500_000_000, "参数错误");
        }
        let (words, kind) = (call.params.text("keyword")?, call.params.text("type")?);
        let found: Vec<Value> = self
            .held
            .points
            .iter()
            .filter(|p| p.kdt_id == call.kdt_id && p.name.contains(&words))
            .filter(|p| match kind.as_str() {
                "self_fetch" => p.is_self_fetch,
                "store" => p.is_store,
                _ => true,
            })
            .map(|p| {
                let mut shown = show_point(p);
                shown["sid"] = json!(p.id.to_string());
                shown["kdt_id"] = json!(p.kdt_id.to_string());
                shown["business_hours"] = json!(format!("{}-{}", p.open_time, p.close_time));
                shown["created_time"] = json!(china(p.created_ms));
                shown["updated_time"] = json!(china(p.created_ms));
                shown
            })
            .collect();
        Ok(json!({"count": found.len(), "list": paged(found, number, size)}))
    }

    /// `youzan.multistore.offline.create`
    pub(super) fn offline_create(&mut self, core: &mut Core, call: &Call) -> Result<Value, Refusal> {
        let text = |name: &str| match call.params.text(name)? {
            text if text.is_empty() => refuse(53_002, "参数错误"),
            text => Ok(text),
        };
        let point = Point {
            kdt_id: call.kdt_id,
            name: text("name")?,
            address: text("address")?,
            area: text("area")?,
            city: text("city")?,
            province: text("province")?,
            county_id: text("county_id")?,
            lat: text("lat")?,
            lng: text("lng")?,
            phone1: text("phone1")?,
            phone2: text("phone2")?,
            description: call.params.text("description")?,
            is_self_fetch: text("is_self_fetch")? == "1",
            is_store: text("is_store")? == "1",
            created_ms: core.clock.now_ms(),
            ..Point::default()
        };
        if self.held.points.iter().filter(|p| p.kdt_id == call.kdt_id).count() >= self.settings.point_limit {
            return refuse(50_000, self.settings.text("points"));
        }
        let id = self.held.points.iter().map(|p| p.id).max().unwrap_or(700_000) + 1;
        self.held.points.push(Point { id, ..point });
        Ok(json!({"is_success": true, "id": id.to_string()}))
    }

    /// `youzan.multistore.setting.get`
    pub(super) fn multistore_setting(&self, call: &Call) -> Value {
        let first = self.held.points.iter().find(|p| p.kdt_id == call.kdt_id).map_or(0, |p| p.id);
        json!({
            "status": 1, "default_offline_id": first, "separate_stock": 1, "separate_price": 0,
            "sold_out_recommend": 0,
        })
    }

    fn point_goods(&self, call: &Call) -> Result<(Item, i64), Refusal> {
        let bad = || Refusal::business(160_900_100, "参数错误");
        let item_id = call.params.int("num_iid")?.ok_or_else(bad)?;
        let point = call.params.int("offline_id")?.ok_or_else(bad)?;
        let item = self.held.item(call.kdt_id, item_id).cloned().ok_or_else(bad)?;
        self.held.point(call.kdt_id, point).ok_or_else(bad)?;
        Ok((item, point))
    }

    /// `youzan.multistore.goods.sku.get`
    pub(super) fn point_stock(&self, call: &Call) -> Result<Value, Refusal> {
        let (item, point) = self.point_goods(call)?;
        let point = self.held.point(call.kdt_id, point).cloned().unwrap_or_default();
        let at = |sku_id: i64| {
            let own = point.stock.iter().find(|s| s.item_id == item.item_id && s.sku_id == sku_id);
            own.map_or((0, item.price), |s| (s.quantity, s.price))
        };
        let skus: Vec<Value> = item
            .skus
            .iter()
            .map(|s| {
                let (quantity, price) = at(s.sku_id);
                json!({"sku_id": s.sku_id, "quantity": quantity, "price": price, "outer_id": s.item_no})
            })
            .collect();
        let (quantity, price) = at(0);
        Ok(json!({
            "num_iid": item.item_id, "offline_id": point.id, "quantity": quantity, "price": price,
            "outer_id": item.item_no, "skus": skus,
        }))
    }

    /// `youzan.multistore.goods.sku.update`: what is not given becomes 0.
    pub(super) fn point_stock_update(&mut self, call: &Call) -> Result<Value, Refusal> {
        let (item, point) = self.point_goods(call)?;
        let mut next = vec![PointStock {
            item_id: item.item_id,
            sku_id: 0,
            quantity: call.params.int("quantity")?.unwrap_or_default(),
            price: call.params.int("price")?.unwrap_or_default(),
        }];
        let bad = || Refusal::business(160_900_100, "参数错误");
        let given: Value = match call.params.any("skus_with_json") {
            None => json!([]),
            Some(Value::String(text)) => serde_json::from_str(text).map_err(|_| bad())?,
            Some(list) => list.clone(),
        };
        for sku in &item.skus {
            let own = given.as_array().into_iter().flatten().find(|g| g["sku_id"] == json!(sku.sku_id));
            next.push(PointStock {
                item_id: item.item_id,
                sku_id: sku.sku_id,
                quantity: own.and_then(|g| g["quantity"].as_i64()).unwrap_or_default(),
                price: own.and_then(|g| g["price"].as_i64()).unwrap_or_default(),
            });
        }
        if let Some(point) = self.held.points.iter_mut().find(|p| p.kdt_id == call.kdt_id && p.id == point) {
            point.stock.retain(|s| s.item_id != item.item_id);
            point.stock.extend(next);
        }
        Ok(json!({"is_success": true}))
    }

    /// `youzan.shop.get`
    pub(super) fn shop_get(&self, call: &Call) -> Value {
        let shop = self.held.shop(call.kdt_id);
        json!({
            "id": shop.kdt_id, "name": shop.name, "logo": "", "intro": "",
            "type": if shop.retail { "7" } else { "0" },
        })
    }

    /// `youzan.shop.basic.get`
    pub(super) fn shop_basic(&self, call: &Call) -> Value {
        let shop = self.held.shop(call.kdt_id);
        json!({
            "sid": shop.kdt_id.to_string(), "name": shop.name, "logo": "",
            "url": format!("https://example.com/shop/{}", shop.kdt_id), "physical_url": "", "cert_type": 0,
        })
    }
}
