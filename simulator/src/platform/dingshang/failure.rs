//! What the platform refuses with: two generations of numbers that the vendor's pages never reconcile.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Which numbers are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Generation {
    /// Five digits and Chinese, as on the pages of the endpoints.
    Legacy,
    /// Four digits and English, as in the later table.
    Current,
}

/// Why something is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A header is missing.
    HeadersEmpty,
    /// `Appid` is nobody's.
    AppidInvalid,
    /// `AppSecret` is not that `Appid`'s.
    SecretInvalid,
    /// The merchant has not paid for another year.
    MerchantExpired,
    /// The merchant has not been verified.
    MerchantUnverified,
    /// A field is missing or does not read.
    Params,
    /// The signature is wrong.
    Sign,
    /// There is no such path.
    RouteUnknown,
    /// The path wants another HTTP method.
    MethodNotAllowed,
    /// The merchant has no machines.
    NoMachines,
    /// The machine has no connection.
    Offline,
    /// There is no such machine.
    NoSuchMachine,
    /// The machine is out of operation.
    NotOperating,
    /// The order has not been paid in time.
    OrderExpired,
    /// The order is not in a state for this.
    OrderStatus,
    /// The order is paid already.
    OrderPaid,
    /// The product is off sale.
    OffSale,
    /// There is too little of it.
    Stock,
    /// There is no such product.
    ProductUnknown,
    /// There is no such record.
    NoRecord,
    /// There is no such delivery.
    DeliveryUnknown,
    /// Pickup codes are switched off at the machine.
    CodesOff,
    /// The code is used.
    CodeUsed,
    /// The code is expired.
    CodeExpired,
    /// The product has codes already.
    CodeExists,
    /// More codes than pieces.
    CodesNotEnough,
    /// `expired_at` is no time, or past.
    ExpiredAt,
    /// `trade_id` belongs to another order.
    TradeIdExists,
    /// `trade_id` is missing.
    TradeIdEmpty,
    /// The record is delivered already.
    AlreadyDelivered,
    /// The order is not paid.
    Unpaid,
    /// More than the lane holds.
    AboveCapacity,
}

/// A refusal.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its number.
    pub code: Number,
    /// What it says, if that is not what the table says.
    pub message: Option<String>,
    /// What it carries.
    pub data: Option<Value>,
    /// Its HTTP status, if it has one of its own.
    pub http_status: Option<u16>,
}

/// A number from the tables or any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// From the tables.
    Known(Why),
    /// Any other.
    Other(i64),
}

impl From<Why> for Failure {
    fn from(why: Why) -> Self {
        let http_status = match why {
            Why::HeadersEmpty | Why::AppidInvalid | Why::SecretInvalid => Some(401),
            Why::RouteUnknown | Why::DeliveryUnknown => Some(404),
            Why::MethodNotAllowed => Some(405),
            _ => None,
        };
        Self { code: Number::Known(why), message: None, data: None, http_status }
    }
}

impl Failure {
    /// Code and message as they are sent.
    pub fn words(&self, generation: Generation) -> (i64, String) {
        let (code, message) = match self.code {
            Number::Known(why) => why.words(generation),
            Number::Other(code) => (code, "Bad Request"),
        };
        (code, self.message.clone().unwrap_or_else(|| message.to_owned()))
    }

    /// The code of the order that used a pickup code.
    pub fn used(order_id: i64) -> Self {
        Self { data: Some(json!({"order_id": order_id})), ..Why::CodeUsed.into() }
    }

    /// The refusal with another text.
    pub fn saying(self, message: &str) -> Self {
        Self { message: Some(message.to_owned()), ..self }
    }
}

impl Why {
    /// Code and message. Where one generation has no number of its own, the other's is sent.
    fn words(self, generation: Generation) -> (i64, &'static str) {
        let (legacy, current) = match self {
            Self::HeadersEmpty => {
                (Some((10008, "appid or appsecret is empty")), Some((4000, "sorry, appid is empty")))
            }
            Self::AppidInvalid => (Some((10014, "appid is invalid")), Some((4001, "sorry, appid invalid"))),
            Self::SecretInvalid => {
                (Some((10013, "app secret is invalid")), Some((4009, "sorry, app secret invalid")))
            }
            Self::MerchantExpired => {
                (Some((10009, "当前商户已过期，请先续费")), Some((6017, "sorry, merchant is expired")))
            }
            Self::MerchantUnverified => {
                (Some((10010, "当前商户尚未验证，请先验证")), Some((6018, "sorry, merchant is not verified")))
            }
            Self::Params => {
                (Some((10001, "表单校验失败，请重新输入")), Some((4003, "sorry, invalid params")))
            }
            Self::Sign => (None, Some((4006, "sorry, payload sign invalid"))),
            Self::RouteUnknown => (Some((404, "Not Found")), Some((6016, "sorry, route not found"))),
            Self::MethodNotAllowed => (Some((400, "Bad Request")), Some((6021, "sorry, method not allowed"))),
            Self::NoMachines => (Some((30001, "没有关联的设备号")), Some((6026, "sorry, machine not found"))),
            Self::Offline => (Some((30002, "设备已离线")), Some((6025, "sorry, machine is offline"))),
            Self::NoSuchMachine => (Some((30003, "设备不存在")), Some((6026, "sorry, machine not found"))),
            Self::NotOperating => (Some((30004, "设备不在运营中")), None),
            Self::OrderExpired => (Some((40005, "订单已过期")), Some((6042, "sorry, order is expired"))),
            Self::OrderStatus => (Some((40006, "订单状态无效")), Some((6043, "sorry, order status invalid"))),
            Self::OrderPaid => (Some((40006, "订单状态无效")), Some((6049, "sorry, order is paid"))),
            Self::OffSale => (Some((60002, "商品已下架")), Some((6046, "sorry, product is off sale"))),
            Self::Stock => (Some((60003, "商品库存不足")), Some((6047, "sorry, inventory not enough"))),
            Self::ProductUnknown => (None, Some((6045, "sorry, product not found"))),
            Self::NoRecord => (Some((80002, "查不到对应记录")), Some((4004, "sorry, record not found"))),
            Self::DeliveryUnknown => (Some((404, "Not Found")), Some((4004, "sorry, record not found"))),
            Self::CodesOff => {
                (Some((10023, "取货码功能尚未开启")), Some((6031, "sorry, pickup code is unavailable")))
            }
            Self::CodeUsed => {
                (Some((10025, "取货码已使用")), Some((6033, "sorry, this pickup code is used")))
            }
            Self::CodeExpired => (None, Some((6032, "sorry, this pickup code is expired"))),
            Self::CodeExists => (None, Some((6030, "sorry, pickup code exists"))),
            Self::CodesNotEnough => (None, Some((6035, "sorry, pickup code not enough"))),
            Self::ExpiredAt => (None, Some((6029, "sorry, expired_at invalid"))),
            Self::TradeIdExists => (None, Some((6040, "sorry, trade id exists"))),
            Self::TradeIdEmpty => (None, Some((6041, "sorry, trade id is empty"))),
            Self::AlreadyDelivered => (None, Some((6034, "sorry, order is already delivered"))),
            Self::Unpaid => (Some((0, "订单未支付")), Some((6054, "sorry, order is unpaid"))),
            Self::AboveCapacity => (Some((0, "超出货道最大库存")), None),
        };
        let (first, second) = match generation {
            Generation::Legacy => (legacy, current),
            Generation::Current => (current, legacy),
        };
        first.or(second).unwrap_or((400, "Bad Request"))
    }
}
