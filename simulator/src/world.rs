//! The physical side, shared by all platforms: cabinets, doors, goods, stock, and every door opening.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// A kind of goods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Good {
    /// The bar code, which names the kind everywhere.
    pub barcode: String,
    /// The name shown to the shopper.
    pub name: String,
    /// The price in fen.
    pub price: i64,
    /// What the operator paid, in fen.
    #[serde(default)]
    pub cost_price: i64,
    /// Where a picture would be.
    #[serde(default)]
    pub image_url: String,
}

/// One lane of a cabinet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StockLine {
    /// What lies in the lane.
    pub barcode: String,
    /// Shelf, from 1.
    pub row: i64,
    /// Place on the shelf, from 1.
    pub col: i64,
    /// The door it lies behind, from 1.
    #[serde(default = "one")]
    pub door: u32,
    /// Pieces now.
    pub stock: i64,
    /// Pieces at most.
    pub capacity: i64,
    /// Price in this cabinet, in fen.
    pub price: i64,
    /// Pieces sold.
    #[serde(default)]
    pub sales: i64,
}

fn one() -> u32 {
    1
}

/// A door and its lock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Door {
    /// It stands open.
    pub open: bool,
    /// The bolt does not move, whatever the platform says.
    pub jammed: bool,
    /// The opening that is going on.
    pub opening: Option<u64>,
    /// How often it has opened physically.
    pub opened_times: u64,
}

/// A cabinet in the field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cabinet {
    /// The id that platforms know it by.
    pub id: String,
    /// What the operator calls it.
    pub name: String,
    /// The operator's short code.
    #[serde(default)]
    pub device_code: String,
    /// The production code.
    #[serde(default)]
    pub code: String,
    /// Province.
    #[serde(default)]
    pub province: String,
    /// City.
    #[serde(default)]
    pub city: String,
    /// District.
    #[serde(default)]
    pub district: String,
    /// Longitude and latitude.
    #[serde(default)]
    pub location: [f64; 2],
    /// Telephone of the service.
    #[serde(default)]
    pub service_phone: String,
    /// It has a connection to the platform.
    #[serde(default = "yes")]
    pub online: bool,
    /// 0 stopped, 1 selling, 2 to be deployed.
    #[serde(default = "selling")]
    pub sell_status: i64,
    /// The operator allows sales.
    #[serde(default = "yes")]
    pub enable_sell: bool,
    /// Its doors, the first is door 1.
    pub doors: Vec<Door>,
    /// Its lanes.
    #[serde(default)]
    pub stock: Vec<StockLine>,
}

fn yes() -> bool {
    true
}

fn selling() -> i64 {
    1
}

/// What made a door open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// The platform that gave the order, or `control`.
    pub by: String,
    /// The number of the request in the request log.
    pub request: Option<u64>,
    /// The platform's number for the transaction.
    pub receipt: Option<String>,
    /// The caller's number for it, if it gave one.
    pub trade_no: Option<String>,
    /// Where the caller wants the news of it, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_url: Option<String>,
}

/// One physical opening of one door.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    /// Its number, from 1.
    pub number: u64,
    /// The cabinet.
    pub cabinet: String,
    /// The door, from 1; in a machine with lanes the lane, from 1.
    pub door: u32,
    /// The name of the lane whose motor dropped a piece; none for a door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// When, in Unix milliseconds of the platforms' clock.
    pub at_ms: i64,
    /// When it shut again.
    pub shut_ms: Option<i64>,
    /// What made it open.
    pub cause: Cause,
}

/// A request to open a door that came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOpened {
    /// The bolt is stuck.
    Jammed,
    /// It stood open already.
    AlreadyOpen,
    /// There is no such door.
    NoSuchDoor,
}

/// Cabinets made by number, so that a great many cost nothing until one is touched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Generated {
    /// How many cabinets.
    pub cabinets: u64,
    /// How many lanes each has.
    pub stock_lines: u64,
}

const GENERATED_PREFIX: &str = "5e00";

/// Everything physical.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct World {
    /// The kinds of goods.
    pub goods: Vec<Good>,
    /// The cabinets written out in full.
    pub cabinets: Vec<Cabinet>,
    /// The cabinets made by number, listed after the others.
    pub generated: Generated,
    /// Generated cabinets that something has happened to.
    pub touched: HashMap<String, Cabinet>,
    /// Every physical opening since the start or the last reset.
    pub openings: Vec<Opening>,
}

impl World {
    /// The small world that the simulator starts with.
    pub fn small() -> Self {
        let good = |barcode: &str, name: &str, price, cost_price| Good {
            barcode: barcode.into(),
            name: name.into(),
            price,
            cost_price,
            image_url: format!("https://example.com/goods/{barcode}.png"),
        };
        let goods = vec![
            good("6900000000011", "农家矿泉水 550ml", 200, 110),
            good("6900000000028", "无糖乌龙茶 500ml", 450, 260),
            good("6900000000035", "全麦面包", 680, 400),
            good("6900000000042", "辣条“小时候”", 150, 70),
            good("6900000000059", "冰咖啡 ☕ 250ml", 1290, 800),
        ];
        let cabinet = |n: u32, name: &str, doors: usize, lanes: &[(usize, u32, i64)]| Cabinet {
            id: format!("5f6da236220141001100000{n}"),
            name: name.into(),
            device_code: format!("A00{n}"),
            code: format!("20231114000{n}"),
            province: "浙江省".into(),
            city: "杭州市".into(),
            district: "余杭区".into(),
            location: [120.0 + f64::from(n) / 100.0, 30.25],
            service_phone: "4000000000".into(),
            online: true,
            sell_status: 1,
            enable_sell: true,
            doors: vec![Door::default(); doors],
            stock: lanes
                .iter()
                .enumerate()
                .map(|(i, &(good, door, stock))| StockLine {
                    barcode: goods[good].barcode.clone(),
                    row: i as i64 / 2 + 1,
                    col: i as i64 % 2 + 1,
                    door,
                    stock,
                    capacity: 12,
                    price: goods[good].price,
                    sales: 0,
                })
                .collect(),
        };
        let mut cabinets = vec![
            cabinet(1, "一号柜(大厅)", 1, &[(0, 1, 10), (1, 1, 8), (2, 1, 5), (3, 1, 12)]),
            cabinet(2, "二号柜(双门)", 2, &[(0, 1, 6), (1, 1, 6), (4, 2, 4), (2, 2, 0)]),
            cabinet(3, "三号柜(离线)", 1, &[(0, 1, 3)]),
            cabinet(4, "四号柜(停售)", 1, &[(1, 1, 9)]),
        ];
        // A locker wall: one thing behind each door, and a few doors with nothing.
        let boxes: Vec<(usize, u32, i64)> = (1..=24)
            .filter(|door| door % 7 != 0)
            .map(|door| (door as usize % goods.len(), door, 1))
            .collect();
        let mut locker = cabinet(5, "五号柜(24门)", 24, &boxes);
        for (i, line) in locker.stock.iter_mut().enumerate() {
            (line.row, line.col, line.capacity) = (i as i64 / 6 + 1, i as i64 % 6 + 1, 1);
        }
        cabinets.push(locker);
        cabinets[2].online = false;
        cabinets[3].sell_status = 0;
        Self { goods, cabinets, ..Self::default() }
    }

    /// How many cabinets there are.
    pub fn cabinet_count(&self) -> u64 {
        self.cabinets.len() as u64 + self.generated.cabinets
    }

    /// The cabinet at a place in the list.
    pub fn cabinet_at(&self, index: u64) -> Option<Cabinet> {
        let written = self.cabinets.len() as u64;
        if index < written {
            return self.cabinets.get(index as usize).cloned();
        }
        let number = index - written;
        (number < self.generated.cabinets).then(|| {
            self.touched.get(&generated_id(number)).cloned().unwrap_or_else(|| self.generate(number, false))
        })
    }

    /// A cabinet by its id.
    pub fn cabinet(&self, id: &str) -> Option<Cabinet> {
        if let Some(cabinet) = self.cabinets.iter().find(|c| c.id == id).or_else(|| self.touched.get(id)) {
            return Some(cabinet.clone());
        }
        self.generated_number(id).map(|number| self.generate(number, false))
    }

    /// A cabinet to change; a generated one is written out first.
    pub fn cabinet_mut(&mut self, id: &str) -> Option<&mut Cabinet> {
        if let Some(at) = self.cabinets.iter().position(|c| c.id == id) {
            return self.cabinets.get_mut(at);
        }
        if !self.touched.contains_key(id) {
            let number = self.generated_number(id)?;
            let cabinet = self.generate(number, true);
            self.touched.insert(id.to_owned(), cabinet);
        }
        self.touched.get_mut(id)
    }

    /// Takes a cabinet away. One that is made by number stays, but as it was made.
    pub fn remove(&mut self, id: &str) -> bool {
        let before = self.cabinets.len() + self.touched.len();
        self.cabinets.retain(|c| c.id != id);
        self.touched.remove(id);
        before != self.cabinets.len() + self.touched.len()
    }

    /// How many lanes a cabinet has, without writing them out.
    pub fn stock_count(&self, id: &str) -> Option<u64> {
        if let Some(cabinet) = self.cabinets.iter().find(|c| c.id == id).or_else(|| self.touched.get(id)) {
            return Some(cabinet.stock.len() as u64);
        }
        self.generated_number(id).map(|_| self.generated.stock_lines)
    }

    /// One lane of a cabinet.
    pub fn stock_line(&self, id: &str, index: u64) -> Option<StockLine> {
        if let Some(cabinet) = self.cabinets.iter().find(|c| c.id == id).or_else(|| self.touched.get(id)) {
            return cabinet.stock.get(index as usize).cloned();
        }
        self.generated_number(id)?;
        (index < self.generated.stock_lines).then(|| self.generated_line(index))
    }

    /// The kind of goods with a bar code; unknown bar codes get a plain description.
    pub fn good(&self, barcode: &str) -> Good {
        self.goods.iter().find(|g| g.barcode == barcode).cloned().unwrap_or_else(|| Good {
            barcode: barcode.to_owned(),
            name: format!("商品 {barcode}"),
            price: 100,
            cost_price: 60,
            image_url: String::new(),
        })
    }

    /// Moves the bolt of a door. The opening is written down only if the door did open.
    pub fn open_door(&mut self, id: &str, door: u32, at_ms: i64, cause: Cause) -> Result<u64, NotOpened> {
        let number = self.openings.len() as u64 + 1;
        let cabinet = self.cabinet_mut(id).ok_or(NotOpened::NoSuchDoor)?;
        let index = (door as usize).checked_sub(1).ok_or(NotOpened::NoSuchDoor)?;
        let lock = cabinet.doors.get_mut(index).ok_or(NotOpened::NoSuchDoor)?;
        if lock.jammed {
            return Err(NotOpened::Jammed);
        }
        if lock.open {
            return Err(NotOpened::AlreadyOpen);
        }
        lock.open = true;
        lock.opening = Some(number);
        lock.opened_times += 1;
        self.openings.push(Opening {
            number,
            cabinet: id.to_owned(),
            door,
            lane: None,
            at_ms,
            shut_ms: None,
            cause,
        });
        Ok(number)
    }

    /// Writes down that a lane's motor has dropped a piece out of a machine.
    pub fn dispense(&mut self, machine: &str, number: u32, lane: &str, at_ms: i64, cause: Cause) -> u64 {
        let opening = Opening {
            number: self.openings.len() as u64 + 1,
            cabinet: machine.to_owned(),
            door: number,
            lane: Some(lane.to_owned()),
            at_ms,
            shut_ms: Some(at_ms),
            cause,
        };
        self.openings.push(opening);
        self.openings.len() as u64
    }

    /// Shuts a door that stands open and answers the opening that this ends.
    pub fn shut_door(&mut self, id: &str, door: u32, at_ms: i64) -> Option<Opening> {
        let index = (door as usize).checked_sub(1)?;
        let lock = self.cabinet_mut(id)?.doors.get_mut(index)?;
        if !lock.open {
            return None;
        }
        lock.open = false;
        let number = lock.opening.take()?;
        let opening = self.openings.get_mut(number as usize - 1)?;
        opening.shut_ms = Some(at_ms);
        Some(opening.clone())
    }

    /// Takes goods out of a cabinet: as many as asked for and there are.
    pub fn take(&mut self, id: &str, barcode: &str, qty: i64) -> i64 {
        let Some(cabinet) = self.cabinet_mut(id) else { return 0 };
        let mut left = qty;
        for line in cabinet.stock.iter_mut().filter(|l| l.barcode == barcode) {
            let taken = line.stock.min(left).max(0);
            line.stock -= taken;
            line.sales += taken;
            left -= taken;
        }
        qty - left
    }

    fn generated_number(&self, id: &str) -> Option<u64> {
        let digits = id.strip_prefix(GENERATED_PREFIX)?;
        let number = u64::from_str_radix(digits, 16).ok()?;
        (digits.len() == 20 && number < self.generated.cabinets).then_some(number)
    }

    fn generate(&self, number: u64, with_stock: bool) -> Cabinet {
        Cabinet {
            id: generated_id(number),
            name: format!("批量柜 {number}"),
            device_code: format!("G{number:06}"),
            code: format!("{:012}", 300_000_000_000u64 + number),
            province: "广东省".into(),
            city: "深圳市".into(),
            district: "南山区".into(),
            location: [113.9, 22.5],
            service_phone: "4000000000".into(),
            online: true,
            sell_status: 1,
            enable_sell: true,
            doors: vec![Door::default()],
            stock: if with_stock {
                (0..self.generated.stock_lines).map(|i| self.generated_line(i)).collect()
            } else {
                Vec::new()
            },
        }
    }

    fn generated_line(&self, index: u64) -> StockLine {
        let good = self.goods.get(index as usize % self.goods.len().max(1));
        StockLine {
            barcode: good.map_or_else(|| format!("69{index:011}"), |g| g.barcode.clone()),
            row: index as i64 / 10 + 1,
            col: index as i64 % 10 + 1,
            door: 1,
            stock: index as i64 % 13,
            capacity: 12,
            price: good.map_or(100, |g| g.price),
            sales: 0,
        }
    }
}

fn generated_id(number: u64) -> String {
    format!("{GENERATED_PREFIX}{number:020x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jammed_door_leaves_no_opening() {
        let mut world = World::small();
        let id = world.cabinets[0].id.clone();
        world.cabinets[0].doors[0].jammed = true;
        assert_eq!(world.open_door(&id, 1, 0, Cause::default()), Err(NotOpened::Jammed));
        assert!(world.openings.is_empty());
        world.cabinets[0].doors[0].jammed = false;
        assert_eq!(world.open_door(&id, 1, 5, Cause::default()), Ok(1));
        assert_eq!(world.open_door(&id, 1, 5, Cause::default()), Err(NotOpened::AlreadyOpen));
        assert_eq!(world.shut_door(&id, 1, 9).map(|o| o.shut_ms), Some(Some(9)));
        assert_eq!(world.openings.len(), 1);
    }

    #[test]
    fn generated_cabinets_cost_nothing_until_touched() {
        let mut world = World::small();
        world.generated = Generated { cabinets: 1_000_000, stock_lines: 500 };
        let last = world.cabinet_at(world.cabinet_count() - 1).expect("the last one");
        assert_eq!(world.cabinet(&last.id).map(|c| c.name), Some(last.name.clone()));
        assert_eq!(world.stock_count(&last.id), Some(500));
        assert_eq!(world.stock_line(&last.id, 500), None);
        assert!(world.touched.is_empty());
        world.open_door(&last.id, 1, 0, Cause::default()).expect("it opens");
        assert_eq!(world.touched.len(), 1);
        assert!(world.cabinet_at(world.cabinet_count() - 1).expect("still there").doors[0].open);
    }
}
