//! Machines and what is in them.

use serde_json::{Value, json};

use super::failure::{Failure, Why};
use super::model::{Lane, Machine, yuan};
use super::payload::Fields;
use super::{Answer, Dingshang, int_or, need, need_int, text};

impl Dingshang {
    pub(super) fn list_machines(&self) -> Answer {
        if self.machines.is_empty() && self.settings.no_machines_fails {
            return Err(Why::NoMachines.into());
        }
        let show = |m: &Machine| {
            json!({
                "machine_name": m.machine_name, "machine_no": m.machine_no, "is_online": m.is_online,
                "status": m.status, "address": m.address, "lng_lat": m.lng_lat, "contact": m.contact,
                "tel": m.tel, "notify_message": m.notify_message, "created_at": m.created_at,
            })
        };
        Ok(self.machines.iter().map(show).collect())
    }

    pub(super) fn show_machine(&self, machine_no: &str) -> Answer {
        let m = &self.machines[self.admit("machine", machine_no)?];
        let category = |c: &Value| json!({"id": c["id"], "title": c["title"]});
        Ok(json!({
            "machine_name": m.machine_name, "address": m.address, "lng_lat": m.lng_lat,
            "is_online": m.is_online, "model": {"id": m.model_id, "cabinet_names": m.cabinets()},
            "machine_type": m.machine_type, "cover_image": "",
            "categories": m.categories.iter().map(category).collect::<Vec<_>>(),
            "announcement": {"title": "欢迎光临"},
            "merchant": {
                "title": "示例商户", "description": "", "logo": "https://example.com/logo.png",
                "store_id": 1, "status": "VERIFIED", "created_at": "2024-01-02 03:04:05",
            },
            "currency": {"id": 1, "name": "Chinese Yuan", "code": "CNY", "symbol": "¥"},
        }))
    }

    pub(super) fn products(&self, at: usize, fields: &Fields) -> Answer {
        if self.settings.page_required {
            need(fields, "page")?;
        }
        let page = int_or(fields, "page", 1, 1..=i64::MAX)?;
        let per_page = int_or(fields, "per_page", 10, 1..=1000)?;
        let category = int_or(fields, "category_id", 0, 0..=i64::MAX)?;
        let everything = int_or(fields, "select_all", 0, 0..=1)? == 1;
        let cabinet = cabinet_name(fields)?;
        let addr = text(fields, "addr");
        if addr.is_some() && text(fields, "cabinet_name").is_some() {
            return Err(Why::Params.into());
        }
        let addr = addr.map(|_| int_or(fields, "addr", 1, 1..=8)).transpose()?;
        let fits = |l: &&Lane| {
            l.on_sale
                && (category == 0 || l.category_id == category)
                && addr.map_or(l.cabinet == cabinet, |a| l.addr == a)
        };
        let machine = &self.machines[at];
        let found: Vec<_> = machine.lanes.iter().filter(fits).collect();
        let total = found.len() as i64;
        // Read as "one page with everything"; the pages do not say what it selects.
        let (page, per_page) = if everything { (1, total.max(1)) } else { (page, per_page) };
        let start = page.saturating_sub(1).saturating_mul(per_page);
        let shown: Vec<_> = found
            .into_iter()
            .skip(usize::try_from(start).unwrap_or(usize::MAX))
            .take(per_page as usize)
            .map(|lane| product(machine, lane))
            .collect();
        if shown.is_empty() {
            return Ok(json!([]));
        }
        Ok(json!({
            "data": shown, "total": total, "current_page": page,
            "last_page": (total + per_page - 1) / per_page, "per_page": per_page,
        }))
    }

    pub(super) fn floors(&self, at: usize) -> Value {
        let machine = &self.machines[at];
        let mut lanes: Vec<_> = machine.lanes.iter().filter(|l| l.on_sale).collect();
        lanes.sort_by_key(|l| std::cmp::Reverse(l.good_id));
        lanes
            .into_iter()
            .map(|l| {
                let mut shown = product(machine, l);
                shown["good"]["id"] = json!(l.good_id);
                shown["good"]["updated_at"] = json!("2024-04-26 10:00:00");
                json!({
                    "status": l.status, "good": shown["good"], "channel": shown["channel"],
                    "current_inventory": l.free(), "inventory": l.capacity,
                })
            })
            .collect()
    }

    pub(super) fn banners(&self, at: usize) -> Value {
        let fits = |b: &&Value| b["status"] == "APPROVED" && b["is_visible"] == true;
        self.machines[at].banners.iter().filter(fits).take(5).cloned().collect()
    }

    pub(super) fn categories(&self, at: usize) -> Value {
        let all = &self.machines[at].categories;
        let mut visible: Vec<_> = all.iter().filter(|c| c["is_visible"] == true).cloned().collect();
        visible.sort_by_key(|c| std::cmp::Reverse(c["sort_id"].as_i64()));
        json!(visible)
    }

    pub(super) fn replenish(&mut self, at: usize, fields: &Fields) -> Answer {
        let method = need(fields, "method")?;
        let cabinet = cabinet_name(fields)?;
        let addr = text(fields, "addr").map(|_| int_or(fields, "addr", 1, 1..=8)).transpose()?;
        let amount = |fields: &Fields| {
            let amount = need_int(fields, "current_inventory")?;
            if amount < 0 { Err(Failure::from(Why::Params)) } else { Ok(amount) }
        };
        let lanes = &mut self.machines[at].lanes;
        let here = |l: &&mut Lane| l.cabinet == cabinet && addr.is_none_or(|a| l.addr == a);
        match method {
            "replenishment.product.id" => {
                let (id, add) = (need_int(fields, "product_id")?, amount(fields)?);
                let lane = lanes.iter_mut().find(|l| l.product_id == id).ok_or(Why::NoRecord)?;
                if !fill(lane, add) {
                    return Err(Why::AboveCapacity.into());
                }
            }
            "replenishment.category.id" => {
                let (id, add) = (need_int(fields, "category_id")?, amount(fields)?);
                let fits = lanes.iter_mut().filter(here).filter(|l| l.category_id == id);
                let failed = fits.map(|lane| fill(lane, add)).filter(|done| !done).count();
                if failed > 0 {
                    let text = format!("{failed} 个货道库存更新失败, 超出货道最大库存");
                    return Err(Failure::from(Why::AboveCapacity).saying(&text));
                }
            }
            "replenishment.machine.all" => {
                lanes.iter_mut().filter(here).for_each(|l| l.stock = l.capacity);
            }
            _ => return Err(Why::Params.into()),
        }
        Ok(json!({}))
    }
}

/// Adds pieces to a lane, if they fit.
fn fill(lane: &mut Lane, pieces: i64) -> bool {
    let fits = lane.stock.saturating_add(pieces) <= lane.capacity;
    if fits {
        lane.stock += pieces;
    }
    fits
}

fn cabinet_name(fields: &Fields) -> Result<&str, Failure> {
    match text(fields, "cabinet_name") {
        None => Ok("A"),
        Some(name) if name.len() == 1 && name.bytes().all(|b| b.is_ascii_uppercase()) => Ok(name),
        Some(_) => Err(Why::Params.into()),
    }
}

fn product(machine: &Machine, lane: &Lane) -> Value {
    let title = machine.categories.iter().find(|c| c["id"] == lane.category_id);
    let place: i64 = lane.code.get(1..).and_then(|n| n.parse().ok()).unwrap_or_default();
    json!({
        "id": lane.product_id,
        "category": {"id": lane.category_id, "title": title.map(|c| c["title"].clone())},
        "good": {
            "name": lane.name, "description": "", "thumb": format!("https://example.com/goods/{}.png", lane.good_id),
            "price": yuan(lane.price), "original_price": yuan(lane.price),
            "content": format!("<p>{}</p>", lane.name), "good_no": format!("G{:06}", lane.good_id),
            "slug": format!("good-{}", lane.good_id),
        },
        "channel": {
            "name": lane.channel, "cabinet_name": lane.cabinet, "code": lane.code,
            "x": (place / 10).to_string(), "y": (place % 10).to_string(), "addr": lane.addr,
        },
        "current_inventory": lane.free(), "inventory": lane.capacity,
    })
}
