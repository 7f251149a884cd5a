//! Shops, goods, pickup points and orders with their codes.

use serde::{Deserialize, Serialize};

use crate::world::Cause;

/// A shop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shop {
    /// Its number.
    pub kdt_id: i64,
    /// The head of its chain; 0: itself.
    pub root_kdt_id: i64,
    /// Its name.
    pub name: String,
    /// It is a retail shop.
    pub retail: bool,
}

/// A pickup point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Point {
    /// Its number.
    pub id: i64,
    /// Its shop.
    pub kdt_id: i64,
    /// Its name.
    pub name: String,
    /// Goods are picked up there.
    pub is_self_fetch: bool,
    /// Goods are sold there.
    pub is_store: bool,
    /// The area code of the telephone.
    pub phone1: String,
    /// The telephone.
    pub phone2: String,
    /// Province.
    pub province: String,
    /// City.
    pub city: String,
    /// District.
    pub area: String,
    /// Street and number.
    pub address: String,
    /// The number of the district.
    pub county_id: String,
    /// Longitude.
    pub lng: String,
    /// Latitude.
    pub lat: String,
    /// When it opens.
    pub open_time: String,
    /// When it closes.
    pub close_time: String,
    /// What it says of itself.
    pub description: String,
    /// When it was made.
    pub created_ms: i64,
    /// Its own stock, by item and SKU.
    pub stock: Vec<PointStock>,
}

/// The stock of one thing at a pickup point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PointStock {
    /// The item.
    pub item_id: i64,
    /// The SKU; 0: none.
    pub sku_id: i64,
    /// How many.
    pub quantity: i64,
    /// At which price, in fen.
    pub price: i64,
}

/// One property of a SKU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Property {
    /// The number of the kind.
    pub kid: i64,
    /// The kind: colour, size.
    pub k: String,
    /// The number of the value.
    pub vid: i64,
    /// The value.
    pub v: String,
}

/// A variant of an item.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sku {
    /// Its number.
    pub sku_id: i64,
    /// What tells it from the others.
    pub properties: Vec<Property>,
    /// Its price in fen.
    pub price: i64,
    /// How many there are.
    pub quantity: i64,
    /// How many are held for unpaid orders.
    pub with_hold_quantity: i64,
    /// How many were sold.
    pub sold_num: i64,
    /// The operator's code.
    pub item_no: String,
    /// The bar code.
    pub barcode: String,
}

/// An item.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Item {
    /// Its number.
    pub item_id: i64,
    /// Its shop.
    pub kdt_id: i64,
    /// Its short name in addresses.
    pub alias: String,
    /// Its name.
    pub title: String,
    /// Its price in fen.
    pub price: i64,
    /// How many there are, where it has no SKUs.
    pub quantity: i64,
    /// How many were sold.
    pub sold_num: i64,
    /// 0 normal, 60 virtual, 61 e-voucher.
    pub item_type: i64,
    /// The operator's code.
    pub item_no: String,
    /// The bar code.
    pub barcode: String,
    /// It is on sale.
    pub is_listing: bool,
    /// Its stock comes from elsewhere and cannot be set here.
    pub stock_synced: bool,
    /// Groups that it is in.
    pub tag_ids: Vec<i64>,
    /// When it was made.
    pub created_ms: i64,
    /// When it was changed.
    pub updated_ms: i64,
    /// Its variants.
    pub skus: Vec<Sku>,
}

impl Item {
    /// All of its stock.
    pub fn stock(&self) -> i64 {
        if self.skus.is_empty() { self.quantity } else { self.skus.iter().map(|s| s.quantity).sum() }
    }
}

/// One line of an order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Line {
    /// Its number.
    pub oid: String,
    /// What was bought.
    pub item_id: i64,
    /// Which variant; 0: none.
    pub sku_id: i64,
    /// How many.
    pub num: i64,
    /// At which price, in fen.
    pub price: i64,
    /// It is shipped.
    pub shipped: bool,
}

/// The pickup code of an order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pickup {
    /// The code, eleven digits.
    pub code: String,
    /// It is redeemed, for good.
    pub used: bool,
    /// When it was redeemed last.
    pub used_ms: i64,
    /// Who redeemed it.
    pub extra_info: String,
    /// When it expires; 0: never.
    pub expires_ms: i64,
    /// Periods done, of an order that comes in periods.
    pub current_count: i64,
    /// Periods in all; 0: it does not come in periods.
    pub total_count: i64,
}

/// The code of virtual goods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VirtualCode {
    /// The code, which looks like an order's number.
    pub code: String,
    /// It is redeemed.
    pub used: bool,
    /// When it was redeemed.
    pub used_ms: i64,
    /// Who redeemed it.
    pub verify_person: String,
}

/// What an e-voucher's ticket may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TicketState {
    /// Not redeemed.
    #[default]
    NotVerify,
    /// Redeemed.
    Verified,
    /// Too late.
    Expired,
    /// Being paid back.
    Refunding,
    /// Switched off.
    Disabled,
}

/// One ticket of an e-voucher.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ticket {
    /// Its number, twelve digits.
    pub ticket_code: String,
    /// Its state.
    pub state: TicketState,
    /// When it was redeemed.
    pub used_ms: i64,
    /// When it expires; 0: never.
    pub expires_ms: i64,
}

impl Ticket {
    /// Its state at a moment.
    pub fn state_at(&self, now_ms: i64) -> TicketState {
        let late = self.expires_ms != 0 && now_ms >= self.expires_ms;
        if late && self.state == TicketState::NotVerify { TicketState::Expired } else { self.state }
    }
}

/// An e-voucher.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Voucher {
    /// The number in its QR code, twenty digits.
    pub code: String,
    /// Its tickets.
    pub tickets: Vec<Ticket>,
}

/// A parcel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Express {
    /// The number of the record.
    pub id: i64,
    /// The carrier's code.
    pub com: String,
    /// The carrier's name.
    pub name: String,
    /// The carrier's number.
    pub express_id: i64,
    /// The waybill's number.
    pub nu: String,
    /// 0 in transit, 1 collected, 2 problem, 3 signed, 4 return signed, 5 out for delivery, 6 returned.
    pub state: i64,
    /// The state in words.
    pub message: String,
    /// When it was shipped.
    pub created_ms: i64,
    /// Where it has been.
    pub track: Vec<Track>,
}

/// One station of a parcel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Track {
    /// When.
    pub time: String,
    /// What happened.
    pub context: String,
    /// In one word.
    pub status: String,
}

/// An order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Order {
    /// Its number.
    pub tid: String,
    /// Its shop.
    pub kdt_id: i64,
    /// Its state, in the words of `trade.get` 4.x.
    pub status: String,
    /// 0 express, 1 self-fetch, 2 local, 9 none.
    pub express_type: i64,
    /// 0 none, 1 and 2 partial in progress and done, 11 and 12 full in progress and done.
    pub refund_state: i64,
    /// Why it is closed.
    pub close_type: i64,
    /// When it was made.
    pub created_ms: i64,
    /// When it was paid.
    pub paid_ms: i64,
    /// When it was shipped.
    pub shipped_ms: i64,
    /// When it was received.
    pub success_ms: i64,
    /// When it was changed.
    pub updated_ms: i64,
    /// What was bought.
    pub lines: Vec<Line>,
    /// Carriage in fen.
    pub post_fee: i64,
    /// The pickup point; 0: none.
    pub point: i64,
    /// Who comes for it.
    pub fetcher_name: String,
    /// Their telephone.
    pub fetcher_mobile: String,
    /// When they mean to come.
    pub fetch_time: String,
    /// What the buyer says.
    pub buyer_message: String,
    /// What the seller notes.
    pub trade_memo: String,
    /// The seller's mark, 0 to 5.
    pub star: i64,
    /// Its parcel.
    pub express: Option<Express>,
    /// Its pickup code.
    pub pickup: Option<Pickup>,
    /// Its virtual code.
    pub virtual_code: Option<VirtualCode>,
    /// Its e-voucher.
    pub voucher: Option<Voucher>,
    /// What queries still show, for a while after a change.
    pub before: Option<Box<Order>>,
    /// When it was changed under the eyes of queries.
    pub changed_ms: i64,
}

impl Order {
    /// What it costs, in fen, without carriage.
    pub fn total(&self) -> i64 {
        self.lines.iter().map(|l| l.price * l.num).sum()
    }

    /// The order as a query sees it that lags so far behind.
    pub fn seen(&self, now_ms: i64, lag_ms: i64) -> &Self {
        match &self.before {
            Some(before) if lag_ms > 0 && now_ms < self.changed_ms.saturating_add(lag_ms) => before,
            _ => self,
        }
    }

    /// Begins a change: what was is kept for queries that lag.
    pub fn touch(&mut self, now_ms: i64, lag_ms: i64) {
        let mut before = self.seen(now_ms, lag_ms).clone();
        before.before = None;
        self.before = (lag_ms > 0).then(|| Box::new(before));
        self.changed_ms = now_ms;
        self.updated_ms = now_ms;
    }
}

/// One redemption that took effect, as a door's opening is written down.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redemption {
    /// Its number, from 1.
    pub number: u64,
    /// `self_fetch`, `virtual` or `ticket`.
    pub kind: String,
    /// The code.
    pub code: String,
    /// The order.
    pub tid: String,
    /// The shop.
    pub kdt_id: i64,
    /// When.
    pub at_ms: i64,
    /// What the caller said of itself.
    pub extra_info: String,
    /// What made it happen; its trade number is the `extra_info`, its receipt the order.
    pub cause: Cause,
}

/// What the platform holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Holdings {
    /// The shops.
    pub shops: Vec<Shop>,
    /// The pickup points.
    pub points: Vec<Point>,
    /// The items.
    pub items: Vec<Item>,
    /// The orders.
    pub orders: Vec<Order>,
    /// Retail stock by warehouse.
    pub warehouses: Vec<Warehouse>,
    /// The numbers of stock adjustments that were made.
    pub adjustments: Vec<String>,
    /// Every redemption.
    pub redemptions: Vec<Redemption>,
}

/// The stock of one thing in a warehouse.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Warehouse {
    /// The shop.
    pub kdt_id: i64,
    /// The warehouse.
    pub warehouse_code: String,
    /// The thing.
    pub sku_code: String,
    /// How many.
    pub stock_num: i64,
    /// How many are held.
    pub freeze_num: i64,
    /// How many are planned.
    pub plan_num: i64,
}

/// The shop that the test account belongs to.
pub const HOME: i64 = 90_000_001;
/// Another shop.
pub const AWAY: i64 = 90_000_002;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

fn tid(n: u64) -> String {
    format!("E20260101000000{n:09}")
}

impl Holdings {
    /// The small world that the simulator starts with; pickup codes are 10000000001 and on.
    pub fn small(now_ms: i64) -> Self {
        let shop = |kdt_id, name: &str, retail| Shop { kdt_id, root_kdt_id: 0, name: name.into(), retail };
        Self {
            shops: vec![shop(HOME, "测试店", false), shop(AWAY, "隔壁店", true)],
            points: points(now_ms),
            items: items(now_ms),
            orders: orders(now_ms),
            warehouses: vec![
                Warehouse {
                    kdt_id: HOME,
                    warehouse_code: "WH001".into(),
                    sku_code: "P0001".into(),
                    stock_num: 40,
                    freeze_num: 2,
                    plan_num: 10,
                },
                Warehouse {
                    kdt_id: HOME,
                    warehouse_code: "WH001".into(),
                    sku_code: "P0002".into(),
                    stock_num: 7,
                    freeze_num: 0,
                    plan_num: 0,
                },
            ],
            adjustments: Vec::new(),
            redemptions: Vec::new(),
        }
    }

    /// A shop.
    pub fn shop(&self, kdt_id: i64) -> Shop {
        let found = self.shops.iter().find(|s| s.kdt_id == kdt_id).cloned();
        found.unwrap_or_else(|| Shop { kdt_id, name: format!("店铺 {kdt_id}"), ..Shop::default() })
    }

    /// An item of a shop.
    pub fn item(&self, kdt_id: i64, item_id: i64) -> Option<&Item> {
        self.items.iter().find(|i| i.kdt_id == kdt_id && i.item_id == item_id)
    }

    /// An order of a shop.
    pub fn order(&self, kdt_id: i64, tid: &str) -> Option<&Order> {
        self.orders.iter().find(|o| o.kdt_id == kdt_id && o.tid == tid)
    }

    /// An order of a shop, to change.
    pub fn order_mut(&mut self, kdt_id: i64, tid: &str) -> Option<&mut Order> {
        self.orders.iter_mut().find(|o| o.kdt_id == kdt_id && o.tid == tid)
    }

    /// A pickup point of a shop.
    pub fn point(&self, kdt_id: i64, id: i64) -> Option<&Point> {
        self.points.iter().find(|p| p.kdt_id == kdt_id && p.id == id)
    }
}

fn points(now_ms: i64) -> Vec<Point> {
    let point = |id, kdt_id, name: &str, is_self_fetch, is_store| Point {
        id,
        kdt_id,
        name: name.into(),
        is_self_fetch,
        is_store,
        phone1: "0571".into(),
        phone2: "80000000".into(),
        province: "浙江省".into(),
        city: "杭州市".into(),
        area: "余杭区".into(),
        address: "测试路 1 号".into(),
        county_id: "330110".into(),
        lng: "120.01".into(),
        lat: "30.25".into(),
        open_time: "09:00".into(),
        close_time: "21:00".into(),
        created_ms: now_ms - 90 * DAY_MS,
        ..Point::default()
    };
    vec![
        point(700_001, HOME, "一号自提柜", true, false),
        point(700_002, HOME, "二号门店", true, true),
        point(700_003, HOME, "仓库", false, true),
        point(700_009, AWAY, "隔壁自提点", true, false),
    ]
}

fn items(now_ms: i64) -> Vec<Item> {
    let item = |n: i64, kdt_id, title: &str, price, quantity, item_type| Item {
        item_id: 400_000_000 + n,
        kdt_id,
        alias: format!("yztest{n:04}"),
        title: title.into(),
        price,
        quantity,
        item_type,
        item_no: format!("P{n:04}"),
        barcode: format!("69000000000{n:02}"),
        is_listing: true,
        created_ms: now_ms - (40 - n) * DAY_MS,
        updated_ms: now_ms - (20 - n) * DAY_MS,
        ..Item::default()
    };
    let sku = |sku_id, vid, v: &str, price, quantity| Sku {
        sku_id,
        properties: vec![Property { kid: 1, k: "规格".into(), vid, v: v.into() }],
        price,
        quantity,
        item_no: format!("S{vid:04}"),
        barcode: format!("69100000000{vid:02}"),
        ..Sku::default()
    };
    let mut coffee = item(2, HOME, "冰咖啡 ☕", 1290, 0, 0);
    coffee.skus = vec![sku(500_021, 21, "大杯", 1490, 8), sku(500_022, 22, "小杯", 1290, 5)];
    let mut hidden = item(5, HOME, "下架面包", 680, 3, 0);
    hidden.is_listing = false;
    let mut synced = item(6, HOME, "同步商品", 450, 30, 0);
    synced.stock_synced = true;
    vec![
        item(1, HOME, "农家矿泉水 550ml", 200, 100, 0),
        coffee,
        item(3, HOME, "虚拟商品", 990, 50, 60),
        item(4, HOME, "电子卡券", 5000, 50, 61),
        hidden,
        synced,
        item(9, AWAY, "隔壁商品", 100, 10, 0),
    ]
}

/// What tells the orders of the start from one another.
fn orders(now_ms: i64) -> Vec<Order> {
    let at = |hours: i64| now_ms - hours * HOUR_MS;
    let order = |n: u64, status: &str, express_type, item_id: i64, price| {
        let created_ms = at(48 - n as i64);
        Order {
            tid: tid(n),
            kdt_id: HOME,
            status: status.into(),
            express_type,
            created_ms,
            paid_ms: created_ms + 60_000,
            updated_ms: created_ms + 60_000,
            lines: vec![Line {
                oid: format!("26000000000000000{n:02}"),
                item_id,
                num: 2,
                price,
                ..Line::default()
            }],
            point: if express_type == 1 { 700_001 } else { 0 },
            fetcher_name: if express_type == 1 { "张三".into() } else { String::new() },
            fetcher_mobile: if express_type == 1 { "13800000000".into() } else { String::new() },
            fetch_time: if express_type == 1 { "尽快到店提货".into() } else { String::new() },
            ..Order::default()
        }
    };
    let fetch = |n: u64, status: &str| {
        let mut order = order(n, status, 1, 400_000_001, 200);
        order.pickup = Some(Pickup { code: format!("{}", 10_000_000_000 + n), ..Pickup::default() });
        order
    };
    let pickup = |order: &mut Order, change: &dyn Fn(&mut Pickup)| {
        order.pickup.iter_mut().for_each(change);
    };
    let waiting = "WAIT_SELLER_SEND_GOODS";

    let mut used = fetch(2, "TRADE_SUCCESS");
    pickup(&mut used, &|p| (p.used, p.used_ms, p.extra_info) = (true, at(20), "123".into()));
    (used.success_ms, used.updated_ms) = (at(20), at(20));
    let mut refunded = fetch(3, "TRADE_CLOSED");
    (refunded.refund_state, refunded.close_type) = (12, 2);
    let mut away = fetch(4, waiting);
    (away.kdt_id, away.point, away.lines[0].item_id) = (AWAY, 700_009, 400_000_009);
    let mut expired = fetch(5, waiting);
    pickup(&mut expired, &|p| p.expires_ms = at(1));
    let mut periodic = fetch(6, waiting);
    pickup(&mut periodic, &|p| (p.current_count, p.total_count) = (8, 10));
    let mut unpaid = fetch(7, "WAIT_BUYER_PAY");
    unpaid.paid_ms = 0;
    let mut refunding = fetch(8, waiting);
    refunding.refund_state = 11;
    let mut sku = fetch(9, waiting);
    sku.lines =
        vec![Line { item_id: 400_000_002, sku_id: 500_021, num: 1, price: 1490, ..sku.lines[0].clone() }];

    let virtual_goods = |n: u64, used: bool, status: &str| {
        let mut order = order(n, status, 9, 400_000_003, 990);
        order.virtual_code = Some(VirtualCode {
            code: tid(900 + n),
            used,
            used_ms: if used { at(10) } else { 0 },
            verify_person: if used { "店员".into() } else { String::new() },
        });
        order
    };
    let mut closed = virtual_goods(13, false, "TRADE_CLOSED");
    closed.refund_state = 12;

    let ticket = |n: u64, state| Ticket {
        ticket_code: format!("{}", 200_000_000_000 + n),
        state,
        used_ms: if state == TicketState::Verified { at(9) } else { 0 },
        expires_ms: 0,
    };
    let mut vouchers = order(21, "WAIT_BUYER_CONFIRM_GOODS", 9, 400_000_004, 5000);
    vouchers.voucher = Some(Voucher {
        code: "20260101000000000021".into(),
        tickets: vec![
            ticket(1, TicketState::NotVerify),
            ticket(2, TicketState::NotVerify),
            ticket(3, TicketState::Verified),
        ],
    });
    let mut odd = order(22, "WAIT_BUYER_CONFIRM_GOODS", 9, 400_000_004, 5000);
    odd.voucher = Some(Voucher {
        code: "20260101000000000022".into(),
        tickets: vec![
            ticket(4, TicketState::Expired),
            ticket(5, TicketState::Refunding),
            ticket(6, TicketState::Disabled),
        ],
    });

    let mut shipped = order(31, "WAIT_BUYER_CONFIRM_GOODS", 0, 400_000_001, 200);
    shipped.lines[0].shipped = true;
    (shipped.shipped_ms, shipped.post_fee) = (at(12), 600);
    shipped.express = Some(Express {
        id: 17,
        com: "shentong".into(),
        name: "申通快递".into(),
        express_id: 1,
        nu: "770000000000031".into(),
        state: 0,
        message: "在途".into(),
        created_ms: at(12),
        track: vec![Track {
            time: super::time::china(at(11)),
            context: "快件已揽收".into(),
            status: "揽收".into(),
        }],
    });
    vec![
        fetch(1, waiting),
        used,
        refunded,
        away,
        expired,
        periodic,
        unpaid,
        refunding,
        sku,
        virtual_goods(11, false, "WAIT_BUYER_CONFIRM_GOODS"),
        virtual_goods(12, true, "TRADE_SUCCESS"),
        closed,
        vouchers,
        odd,
        shipped,
        order(32, waiting, 0, 400_000_001, 200),
    ]
}
