//! What the platform knows: machines with lanes, codes, orders, deliveries.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::settings::RecordNames;

/// What a motor does at one command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outcome {
    /// The fault that the machine reports; empty: it reports success.
    pub error: String,
    /// Whether the goods fall; null: as reported.
    pub dropped: Option<bool>,
    /// The machine reports nothing at all.
    pub silent: bool,
    /// How long the result takes; null: as long as in the settings.
    pub result_ms: Option<i64>,
    /// The lane's status afterwards; null: what fits the fault.
    pub floor_status: Option<String>,
}

impl Outcome {
    /// The lane's status afterwards.
    pub fn floor(&self) -> String {
        let fitting = match self.error.as_str() {
            "" => "1",
            "Slot Invalid" => "0",
            "Goods are Stuck" => "2",
            _ => "3",
        };
        self.floor_status.clone().unwrap_or_else(|| fitting.to_owned())
    }

    /// Whether the goods fall.
    pub fn drops(&self) -> bool {
        self.dropped.unwrap_or(self.error.is_empty())
    }
}

/// A lane with its goods, which together are what the vendor calls a product.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lane {
    /// `product_id`.
    pub product_id: i64,
    /// Its name, like `A20`.
    pub channel: String,
    /// The cabinet, A to G.
    pub cabinet: String,
    /// The motor, like `020`.
    pub code: String,
    /// The driver board, 1 to 8.
    pub addr: i64,
    /// The goods.
    pub name: String,
    /// The number of the goods.
    pub good_id: i64,
    /// In fen.
    pub price: i64,
    /// The category.
    pub category_id: i64,
    /// Pieces now, as the platform counts them.
    pub stock: i64,
    /// Of these promised to orders.
    pub reserved: i64,
    /// Pieces at most.
    pub capacity: i64,
    /// It is on sale.
    pub on_sale: bool,
    /// 0 absent, 1 normal, 2 jammed, 3 motor fault, 47 serial timeout.
    pub status: String,
    /// What the motor does at the next commands.
    pub outcomes: Vec<Outcome>,
}

impl Lane {
    /// What can be sold.
    pub fn free(&self) -> i64 {
        (self.stock - self.reserved).max(0)
    }

    /// Ends a promise.
    pub fn release(&mut self, pieces: i64) {
        self.reserved = (self.reserved - pieces).max(0);
    }
}

/// A delivery that keeps its machine from others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The delivery.
    pub delivery_id: String,
    /// Until when at most.
    pub until_ms: i64,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Machine {
    /// Its number; eight digits or more.
    pub machine_no: String,
    /// Its name.
    pub machine_name: String,
    /// It has a connection.
    pub is_online: bool,
    /// It is in operation.
    pub status: bool,
    /// Pickup codes are switched on.
    pub pickup_codes: bool,
    /// How long a delivery keeps others out, if its result does not come before; null: not at all.
    /// Electronic locks 15 s, motors 30 s, belts 90 s, else 45 s.
    pub lock_ms: Option<i64>,
    /// One command drops all pieces of a record.
    pub whole_quantity: bool,
    /// 1 vending, 2 amusement, 3 claw, 4 lending, 5 return, 6 grid locker.
    pub machine_type: i64,
    /// The model's number.
    pub model_id: i64,
    /// Address.
    pub address: String,
    /// Longitude and latitude.
    pub lng_lat: String,
    /// Who looks after it.
    pub contact: String,
    /// Telephone.
    pub tel: String,
    /// The last system notice.
    pub notify_message: String,
    /// When it was registered.
    pub created_at: String,
    /// Its lanes.
    pub lanes: Vec<Lane>,
    /// Banners, in the vendor's form.
    pub banners: Vec<Value>,
    /// Categories, in the vendor's form.
    pub categories: Vec<Value>,
    /// The delivery that is going on.
    pub lock: Option<Lock>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            machine_no: String::new(),
            machine_name: String::new(),
            is_online: true,
            status: true,
            pickup_codes: true,
            lock_ms: Some(45_000),
            whole_quantity: false,
            machine_type: 1,
            model_id: 7,
            address: String::new(),
            lng_lat: String::new(),
            contact: String::new(),
            tel: String::new(),
            notify_message: String::new(),
            created_at: "2024-03-18 20:48:23".into(),
            lanes: Vec::new(),
            banners: Vec::new(),
            categories: Vec::new(),
            lock: None,
        }
    }
}

impl Machine {
    /// The place of a product.
    pub fn product(&self, id: i64) -> Option<usize> {
        self.lanes.iter().position(|l| l.product_id == id)
    }

    /// The names of its cabinets.
    pub fn cabinets(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.lanes.iter().map(|l| l.cabinet.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The machines at the start.
pub fn machines() -> Vec<Machine> {
    let categories = vec![
        json!({"id": 1, "title": "饮料", "sort_id": 20, "is_visible": true}),
        json!({"id": 2, "title": "零食", "sort_id": 10, "is_visible": true}),
    ];
    let banner = json!({
        "id": 11, "status": "APPROVED", "is_visible": true, "sort_id": 1, "hit_count": 0, "views_count": 42,
        "cover_image": "https://example.com/banners/11.png",
    });
    let goods = [
        ("矿泉水 550ml", 200, 1),
        ("无糖乌龙茶 500ml", 450, 1),
        ("辣条“小时候”", 10, 2),
        ("全麦面包", 680, 2),
        ("冰咖啡 ☕ 250ml", 1290, 1),
    ];
    let lane = |product_id, channel: &str, good: usize, stock, capacity| {
        let (name, price, category_id) = goods[good];
        let side = !channel.starts_with('A');
        Lane {
            product_id,
            channel: channel.into(),
            cabinet: channel[..1].into(),
            code: format!("{}{}", if side { "2" } else { "0" }, &channel[1..]),
            addr: if side { 2 } else { 1 },
            name: name.into(),
            good_id: 500 + good as i64,
            price,
            category_id,
            stock,
            capacity,
            on_sale: true,
            status: "1".into(),
            ..Lane::default()
        }
    };
    let machine = |no: &str, name: &str, lanes: Vec<Lane>| Machine {
        machine_no: no.into(),
        machine_name: name.into(),
        address: "广州市番禺区示例路 1 号".into(),
        lng_lat: "113.384129,22.937244".into(),
        contact: "示例".into(),
        tel: "4000000000".into(),
        categories: categories.clone(),
        banners: vec![banner.clone()],
        lanes,
        ..Machine::default()
    };
    let mut all = vec![
        machine(
            "16327129",
            "一号机(大厅)",
            vec![
                lane(1_323_442, "A20", 0, 6, 10),
                lane(131, "A21", 1, 5, 10),
                lane(132, "A22", 2, 1, 8),
                lane(133, "A23", 3, 0, 8),
                lane(134, "A24", 4, 3, 6),
                lane(141, "B00", 0, 4, 10),
                lane(142, "B01", 2, 10, 10),
            ],
        ),
        machine("8668380625375492", "二号机(长编号)", vec![lane(151, "A00", 1, 7, 10)]),
        machine("16327130", "三号机(离线)", vec![lane(161, "A00", 0, 5, 10)]),
        machine("16327131", "四号机(停运)", vec![lane(171, "A00", 0, 5, 10)]),
    ];
    all[0].lanes[4].on_sale = false;
    all[1].pickup_codes = false;
    all[2].is_online = false;
    all[3].status = false;
    all
}

/// A pickup code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// Its row.
    pub id: i64,
    /// The machine.
    pub machine_no: String,
    /// The product.
    pub product_id: i64,
    /// The code itself.
    pub code: String,
    /// When it was made.
    pub created_ms: i64,
    /// The last moment at which it is good; null: it never expires.
    #[serde(default)]
    pub expires_ms: Option<i64>,
    /// The order that used it.
    #[serde(default)]
    pub used_by: Option<i64>,
    /// When.
    #[serde(default)]
    pub used_ms: Option<i64>,
}

impl Code {
    /// It is past its time.
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_ms.is_some_and(|end| now_ms > end)
    }

    /// Neither used nor expired.
    pub fn is_live(&self, now_ms: i64) -> bool {
        self.used_by.is_none() && !self.is_expired(now_ms)
    }

    /// Its state's name.
    pub fn status(&self, now_ms: i64) -> &'static str {
        match self.used_by {
            Some(_) => "USED",
            None if self.is_expired(now_ms) => "EXPIRED",
            None => "UNUSED",
        }
    }
}

/// How far an order has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum OrderStatus {
    /// Paid.
    Success,
    /// Refunded.
    Refund,
    /// Closed.
    Closed,
    /// Revoked.
    Revoked,
    /// Paying.
    UserPaying,
    /// The payment failed.
    PayError,
    /// Made by a pickup code.
    PickupCode,
    /// Not paid.
    NotPay,
    /// A test.
    TestPay,
}

/// How far a record has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RecordStatus {
    /// Nothing has been done.
    WaitingPickedUp,
    /// Fetched.
    IsPickedUp,
    /// Refunded.
    IsRefund,
    /// The command is at the machine.
    IsDelivering,
    /// The goods have fallen.
    IsSuccess,
    /// The machine has reported a fault.
    IsFailed,
    /// The machine has reported nothing.
    IsTimeout,
}

impl RecordStatus {
    /// The name before September 2024.
    fn old_name(self) -> &'static str {
        match self {
            Self::IsSuccess | Self::IsPickedUp => "已取货",
            Self::IsRefund => "订单取消",
            _ => "未取货",
        }
    }
}

/// One delivery's worth of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its number.
    pub id: i64,
    /// The product.
    pub product_id: i64,
    /// Pieces.
    pub quantity: i64,
    /// The price of one, in fen.
    pub price: i64,
    /// How far it has got.
    pub status: RecordStatus,
    /// A notice of it was taken.
    #[serde(default)]
    pub notify_sent: bool,
    /// Its pieces are promised to it.
    #[serde(default)]
    pub reserved: bool,
}

impl Record {
    /// The record in the vendor's form.
    pub fn show(&self, old_page: bool, names: RecordNames) -> Value {
        let old = match names {
            RecordNames::Mixed => old_page,
            RecordNames::New => false,
            RecordNames::Old => true,
        };
        json!({
            "id": self.id, "product_id": self.product_id, "quantity": self.quantity,
            "price": yuan(self.price),
            "status": if old { json!(self.status.old_name()) } else { json!(self.status) },
            "notify_sent": if self.notify_sent { "1" } else { "0" },
        })
    }
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Its number.
    pub order_id: i64,
    /// The machine.
    pub machine_no: String,
    /// The merchant's number.
    pub trade_id: String,
    /// Where its notices go.
    pub notify_url: String,
    /// When it was made.
    pub created_ms: i64,
    /// How far it has got.
    pub status: OrderStatus,
    /// It was not paid in time.
    #[serde(default)]
    pub expired: bool,
    /// Its parts.
    pub records: Vec<Record>,
    /// The code that made it.
    #[serde(default)]
    pub pickup_code_id: Option<i64>,
    /// Notices sent.
    #[serde(default)]
    pub notify_send_count: i64,
    /// The request that made it.
    #[serde(default)]
    pub request: u64,
}

impl Order {
    /// What it costs, in fen.
    pub fn amount(&self) -> i64 {
        self.records.iter().map(|r| r.price * r.quantity).sum()
    }
}

/// A command to a motor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// Its number.
    pub delivery_id: String,
    /// The machine.
    pub machine_no: String,
    /// The lane.
    pub channel: String,
    /// The order; null for a test of a lane.
    pub order_id: Option<i64>,
    /// The record.
    pub record_id: Option<i64>,
    /// Where its notice goes.
    pub notify_url: String,
    /// When the command was given.
    pub at_ms: i64,
    /// When the machine reported.
    pub finished_ms: Option<i64>,
    /// The platform has given up waiting.
    pub timed_out: bool,
    /// The machine has its result and no connection.
    pub result_waits: bool,
    /// What the motor does.
    pub outcome: Outcome,
    /// How many pieces have fallen.
    pub dropped: i64,
    /// The request that caused it.
    pub request: u64,
}

impl Delivery {
    /// Nobody knows yet what became of it.
    pub fn is_open(&self) -> bool {
        self.finished_ms.is_none() && !self.timed_out
    }
}

/// Fen as the vendor writes money.
pub fn yuan(fen: i64) -> String {
    format!("{}.{:02}", fen / 100, fen % 100)
}
