//! What the verbs speak of. One meaning for each field on every platform: money in fen, time in Unix seconds,
//! states as one enum. An empty text, a -1 where it says so, or `Unknown` is what the platform did not tell.
//! The platform's own record stays readable beside every item as `json`.

use crate::error::{Error, Result};
use crate::status::KL_E_ARGUMENT;

/// A cabinet, locker or vending machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cabinet {
    /// The id that the other verbs take.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The id of the device inside.
    pub device_code: String,
    /// The production code.
    pub code: String,
    /// Its address, from province to street.
    pub address: String,
    /// Degrees in the platform's own system (Yopoint: Baidu); both 0 if unknown.
    pub longitude: f64,
    /// See `longitude`.
    pub latitude: f64,
    /// Whether the platform can reach it.
    pub online: Tri,
    /// Whether it sells.
    pub sale: SaleState,
    /// How many doors it has; -1 if unknown.
    pub door_count: i32,
    /// The platform's own record.
    pub json: String,
}

/// Yes, no, or unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum Tri {
    #[default]
    Unknown = -1,
    No = 0,
    Yes = 1,
}

impl From<Option<bool>> for Tri {
    fn from(value: Option<bool>) -> Tri {
        match value {
            None => Tri::Unknown,
            Some(false) => Tri::No,
            Some(true) => Tri::Yes,
        }
    }
}

/// Whether a cabinet sells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum SaleState {
    #[default]
    Unknown = 0,
    Selling = 1,
    Stopped = 2,
    ToBeDeployed = 3,
}

/// One kind of goods in one cabinet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StockItem {
    /// The cabinet.
    pub cabinet_id: String,
    /// The platform's id of the goods in this cabinet.
    pub id: String,
    /// The provider's product id, if the platform has one beside `id`.
    pub product_id: String,
    /// The bar code.
    pub barcode: String,
    /// The name.
    pub name: String,
    /// The address of a picture.
    pub image_url: String,
    /// The lanes that hold it, `row-column` separated by commas (Dingshang: the lane's name, `A21`, which opens it).
    pub lanes: String,
    /// The price of one, in fen; -1 if unknown.
    pub price: i64,
    /// How many there are; -1 if unknown.
    pub stock: i32,
    /// How many fit; -1 if unknown.
    pub capacity: i32,
    /// How many were sold; -1 if unknown.
    pub sold: i32,
    /// When it was put on the shelf, Unix seconds; 0 if unknown.
    pub shelved_at: i64,
    /// The platform's own record.
    pub json: String,
}

/// Which kind of machine an order belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum OrderKind {
    /// A cabinet with doors, from which the customer takes the goods.
    #[default]
    Cabinet = 0,
    /// A vending machine that pushes the goods out.
    Vending = 1,
}

/// A purchase.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Order {
    /// Cabinet or vending machine.
    pub kind: OrderKind,
    /// The platform's number (Yopoint: `ReceiptNo`).
    pub order_no: String,
    /// The payment channel's or the caller's number.
    pub trade_no: String,
    /// The cabinet or machine.
    pub cabinet_id: String,
    /// The platform's id of the customer.
    pub user_id: String,
    /// The payment channel's id of the customer.
    pub open_id: String,
    /// Whether it is paid.
    pub payment: PaymentState,
    /// How it was paid, as the platform numbers it; -1 if unknown.
    pub pay_type: i32,
    /// How far the visit is.
    pub service: ServiceState,
    /// The door.
    pub door: DoorState,
    /// The goods of a vending machine.
    pub delivery: DeliveryState,
    /// Why a delivery failed, in the platform's words.
    pub delivery_error: String,
    /// The platform marked it for review.
    pub suspicious: Tri,
    /// The sum, in fen; -1 if unknown.
    pub amount: i64,
    /// What went back, in fen; 0 if nothing or unknown.
    pub refunded: i64,
    /// The refund the customer asked for, as the platform numbers it; 0 for none.
    pub refund_state: i32,
    /// Why, as the platform names it.
    pub refund_reason: String,
    /// When it was made, Unix seconds; 0 if unknown.
    pub created_at: i64,
    /// When it was paid, Unix seconds; 0 if not or unknown.
    pub paid_at: i64,
    /// When the refund was asked for, Unix seconds; 0 if not or unknown.
    pub refund_at: i64,
    /// The goods.
    pub lines: Vec<OrderLine>,
    /// The goods that went back.
    pub refunded_lines: Vec<OrderLine>,
    /// The order's state in the platform's own word, where it has one beside the fields above.
    pub state_text: String,
    /// The platform's own record.
    pub json: String,
}

/// Goods in an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderLine {
    /// The bar code.
    pub barcode: String,
    /// The name.
    pub name: String,
    /// How many; -1 if unknown.
    pub quantity: i32,
    /// The price of one, in fen; -1 if unknown.
    pub price: i64,
    /// The price of all, in fen; -1 if unknown.
    pub total: i64,
    /// The platform's number of this item, by which it is dispensed (Dingshang: `record_id`).
    pub item_no: String,
    /// The platform's id of the goods in this cabinet.
    pub product_id: String,
    /// What became of it.
    pub delivery: DeliveryState,
    /// The same in the platform's own word.
    pub state_text: String,
}

/// Whether an order is paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum PaymentState {
    #[default]
    Unknown = 0,
    Unpaid = 1,
    Paid = 2,
    Failed = 3,
}

/// How far a customer's visit is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum ServiceState {
    #[default]
    Unknown = 0,
    NotStarted = 1,
    InService = 2,
    Ended = 3,
}

/// What is known of a door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum DoorState {
    #[default]
    Unknown = 0,
    Open = 1,
    Shut = 2,
    NeverOpened = 3,
}

/// What became of goods that a machine was to push out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum DeliveryState {
    #[default]
    Unknown = 0,
    Pending = 1,
    Delivered = 2,
    Failed = 3,
    AwaitingPickup = 4,
    OutOfStock = 5,
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// How many there are in all; `None` if the platform does not say.
    pub total: Option<u64>,
    /// Whether the platform says that more follow; `None` if unknown until the next page is asked for.
    pub more: Option<bool>,
}

/// Which page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// From 1.
    pub number: u32,
    /// 0 for the platform's default.
    pub size: u32,
}

/// Which orders.
#[derive(Clone, Debug, Default)]
pub struct OrderQuery {
    /// Of cabinets or of vending machines.
    pub kind: OrderKind,
    /// From this time on, Unix seconds.
    pub from: i64,
    /// To this time, Unix seconds, itself included.
    pub to: i64,
    /// More parameters for the platform, a JSON object.
    pub extra_json: Option<String>,
}

/// Which order: by the platform's number, the trade number, or both.
#[derive(Clone, Debug, Default)]
pub struct OrderRef {
    /// Of a cabinet or of a vending machine.
    pub kind: OrderKind,
    /// The platform's number.
    pub order_no: String,
    /// The payment channel's or the caller's number.
    pub trade_no: String,
    /// The cabinet, where the platform asks for it.
    pub cabinet_id: String,
    /// More parameters for the platform, a JSON object.
    pub extra_json: Option<String>,
}

/// A door to be opened.
#[derive(Clone, Debug, Default)]
pub struct DoorRequest {
    /// The caller's name for this customer's action; the same again never opens twice.
    pub request_id: String,
    /// The cabinet.
    pub cabinet_id: String,
    /// Which of its doors, where the platform knows doors.
    pub door: String,
    /// The customer, where the platform wants to know.
    pub user_id: String,
    /// The caller's own order or trade number, where the platform keeps one.
    pub order_no: String,
    /// The goods, where the platform opens by goods.
    pub item_no: String,
    /// Callback URL, on platforms that take one.
    pub notify_url: String,
    /// Not to be sent later than this after the call; 0 for the client's `command_ttl_ms`.
    pub ttl_ms: u32,
    /// More parameters for the platform, a JSON object.
    pub extra_json: Option<String>,
    /// The customer's visit that this belongs to; empty for none. At most 64 bytes.
    pub visit_id: String,
    /// The caller's own words, kept with the command and given back by it; at most 512 bytes.
    pub context: String,
    /// The number by which the platform's record shows that this act is ours. The library sets it; the caller leaves it
    /// empty.
    pub mark: String,
}

/// What a platform said to a command that it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The order that the platform made of it, or that it belongs to.
    pub order_no: String,
    /// The item of that order that can be dispensed, where the platform numbers them (Dingshang: `record_id`).
    pub item_no: String,
    /// The number by which a delivery can be asked for (Dingshang: `delivery_id`).
    pub delivery_no: String,
    /// Where the payment of the order must be reported.
    pub report_url: String,
    /// The platform's `data`.
    pub json: String,
}

/// What a pickup code is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum CodeKind {
    /// The platform's usual kind (Dingshang: a pickup code; Youzan: a self-fetch code).
    #[default]
    Pickup = 0,
    /// Youzan: a code for virtual goods.
    Virtual = 1,
    /// Youzan: one e-voucher, or all of the vouchers under a QR code.
    Voucher = 2,
}

/// The state of a pickup code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum CodeState {
    #[default]
    Unknown = 0,
    Unused = 1,
    Used = 2,
    Expired = 3,
    Refunding = 4,
    Disabled = 5,
}

/// A pickup code.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PickupCode {
    /// What it is for.
    pub kind: CodeKind,
    /// The text that the customer types.
    pub code: String,
    /// The platform's id of it, by which it is cancelled.
    pub id: String,
    /// The state.
    pub state: CodeState,
    /// The state in the platform's own word.
    pub state_text: String,
    /// The cabinet.
    pub cabinet_id: String,
    /// The goods.
    pub product_id: String,
    /// The order behind it.
    pub order_no: String,
    /// How many items it is good for; -1 if unknown.
    pub quantity: i32,
    /// When it was made, Unix seconds; 0 if unknown.
    pub created_at: i64,
    /// When it ends, Unix seconds; 0 for never or unknown.
    pub expires_at: i64,
    /// When it was used, Unix seconds; 0 if not, or unknown.
    pub used_at: i64,
    /// The order's fields, where the platform sends them along.
    pub order: Option<Box<Order>>,
    /// The platform's own record.
    pub json: String,
}

/// Which codes to list, or which one to look up.
#[derive(Clone, Debug, Default)]
pub struct CodeQuery {
    /// What the code is for.
    pub kind: CodeKind,
    /// The code itself, to look it up.
    pub code: String,
    /// The cabinet, where the platform asks for it.
    pub cabinet_id: String,
    /// The goods, where the platform lists by goods.
    pub product_id: String,
    /// More parameters for the platform, a JSON object.
    pub extra_json: Option<String>,
}

/// Codes to be made.
#[derive(Clone, Debug, Default)]
pub struct CodeCreate {
    /// The cabinet.
    pub cabinet_id: String,
    /// The goods; empty for one code for each of the cabinet's goods.
    pub product_id: String,
    /// How many; 0 for one.
    pub count: u32,
    /// How many digits; 0 for the platform's default.
    pub length: u32,
    /// When they end, Unix seconds; 0 for never.
    pub expires_at: i64,
    /// More parameters for the platform, a JSON object.
    pub extra_json: Option<String>,
}

/// Codes to be cancelled.
#[derive(Clone, Debug, Default)]
pub struct CodeCancel {
    /// The cabinet.
    pub cabinet_id: String,
    /// The id of one code; empty for all of the cabinet.
    pub id: String,
    /// More parameters for the platform, a JSON object.
    pub extra_json: Option<String>,
}

/// A code to be redeemed.
#[derive(Clone, Debug, Default)]
pub struct RedeemRequest {
    /// The caller's name for this customer's action; the same again never redeems twice.
    pub request_id: String,
    /// What the code is for.
    pub kind: CodeKind,
    /// The code that the customer typed.
    pub code: String,
    /// The cabinet, where the platform asks for it.
    pub cabinet_id: String,
    /// The goods of the code, where the platform asks for them.
    pub product_id: String,
    /// The caller's own order number, where the platform keeps one (Dingshang: `trade_id`, 20 to 32 characters); empty
    /// to have one made from `request_id`.
    pub trade_no: String,
    /// Callback URL for the delivery, on platforms that take one.
    pub notify_url: String,
    /// Who redeems, for the platform's books (Youzan: `extra_info`).
    pub redeemer: String,
    /// Not to be sent later than this after the call; 0 for the client's `command_ttl_ms`.
    pub ttl_ms: u32,
    /// More parameters for the platform, a JSON object.
    pub extra_json: Option<String>,
    /// The customer's visit that this belongs to; empty for none. At most 64 bytes.
    pub visit_id: String,
    /// The caller's own words, kept with the command and given back by it; at most 512 bytes.
    pub context: String,
    /// The number by which the platform's record shows that this act is ours. The library sets it; the caller leaves it
    /// empty.
    pub mark: String,
}

/// An order to be made.
#[derive(Clone, Debug, Default)]
pub struct OrderCreate {
    /// The cabinet.
    pub cabinet_id: String,
    /// The caller's own number for it, unique.
    pub trade_no: String,
    /// Callback URL for the delivery.
    pub notify_url: String,
    /// The goods: the platform's id of each, and how many.
    pub lines: Vec<(String, u32)>,
    /// More parameters for the platform, a JSON object.
    pub extra_json: Option<String>,
    /// The caller's name for this act; under the same name it is sent at most once. Empty: sent at most once in this call.
    pub request_id: String,
    /// The customer's visit that this belongs to; empty for none. At most 64 bytes.
    pub visit_id: String,
    /// The caller's own words, kept with the command and given back by it; at most 512 bytes.
    pub context: String,
    /// The number by which the platform's record shows that this act is ours. The library sets it; the caller leaves it
    /// empty.
    pub mark: String,
}

/// A person, as the platform knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The name they log in with.
    pub username: String,
    /// Their name.
    pub name: String,
    /// As the platform numbers it.
    pub sex: String,
    /// The phone number.
    pub phone: String,
    /// Whether they administer the company.
    pub is_admin: Tri,
    /// The address of a picture.
    pub avatar_url: String,
    /// When the account was made, Unix seconds; 0 if unknown.
    pub created_at: i64,
    /// The platform's time, Unix seconds; 0 if unknown.
    pub now: i64,
    /// The platform's own record: JSON, or XML if the account speaks XML.
    pub raw: String,
}

/// A company, as the platform knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Company {
    /// The name.
    pub name: String,
    /// As the platform numbers it.
    pub kind: String,
    /// The tax number.
    pub tax_number: String,
    /// Province, city, zone and street.
    pub address: String,
    /// The phone number.
    pub phone: String,
    /// Its legal representative.
    pub legal_person: String,
    /// Their phone number.
    pub legal_person_phone: String,
    /// When the account was made, Unix seconds; 0 if unknown.
    pub created_at: i64,
    /// The platform's time, Unix seconds; 0 if unknown.
    pub now: i64,
    /// The platform's own record: JSON, or XML if the account speaks XML.
    pub raw: String,
}

/// A payment to be reported.
#[derive(Clone, Debug, Default)]
pub struct PaymentReport {
    /// The address that the platform gave for this order.
    pub report_url: String,
    /// The platform's order number.
    pub order_no: String,
    /// The cabinet, where the platform asks for it.
    pub cabinet_id: String,
    /// The payment channel's number.
    pub trade_no: String,
    /// Whether the customer paid.
    pub paid: bool,
    /// What was paid, in fen; negative to leave it out.
    pub amount: i64,
    /// The payment channel's raw answer, a JSON object; `None` sends `{}`.
    pub channel_json: Option<String>,
    /// More fields, a JSON object of texts and numbers.
    pub extra_json: Option<String>,
    /// The caller's name for this act; under the same name it is sent at most once. Empty: sent at most once in this call.
    pub request_id: String,
    /// The customer's visit that this belongs to; empty for none. At most 64 bytes.
    pub visit_id: String,
    /// The caller's own words, kept with the command and given back by it; at most 512 bytes.
    pub context: String,
    /// If no byte can leave now, the library keeps it and sends it later, within so many milliseconds of the call; 0: it does
    /// not. Needs a `state_dir`.
    pub send_within_ms: u32,
    /// The number by which the platform's record shows that this act is ours. The library sets it; the caller leaves it
    /// empty.
    pub mark: String,
}

/// What a platform gives for credentials, to be shown with each call for as long as it lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// What is shown.
    pub access: String,
    /// What a new one is asked for with; empty if the platform has no such thing.
    pub refresh: String,
    /// When it ends, by the platform's time, Unix milliseconds.
    pub expires_ms: i64,
}

/// A refund or an appeal that the customer asks for.
#[derive(Clone, Debug, Default)]
pub struct Complaint {
    /// The platform's order number.
    pub order_no: String,
    /// The cabinet, where the platform asks for it.
    pub cabinet_id: String,
    /// Why, as the platform names it (Yopoint: `REFUNDS_REASON_…`).
    pub reason: String,
    /// The customer's words.
    pub remarks: String,
    /// The customer's phone number.
    pub phone: String,
    /// More parameters for the platform, a JSON object.
    pub extra_json: Option<String>,
    /// The caller's name for this act; under the same name it is sent at most once. Empty: sent at most once in this call.
    pub request_id: String,
    /// The customer's visit that this belongs to; empty for none. At most 64 bytes.
    pub visit_id: String,
    /// The caller's own words, kept with the command and given back by it; at most 512 bytes.
    pub context: String,
    /// If no byte can leave now, the library keeps it and sends it later, within so many milliseconds of the call; 0: it does
    /// not. Needs a `state_dir`.
    pub send_within_ms: u32,
    /// The number by which the platform's record shows that this act is ours. The library sets it; the caller leaves it
    /// empty.
    pub mark: String,
}

/// The longest `visit_id`, in bytes.
pub const KL_VISIT_ID_MAX: usize = 64;

/// The longest `context`, in bytes.
pub const KL_CONTEXT_MAX: usize = 512;

/// The longest of the other texts of a command, in bytes.
pub const KL_TEXT_MAX: usize = 1024;

/// The longest `extra_json` or `channel_json` of a command, in bytes.
pub const KL_EXTRA_JSON_MAX: usize = 8192;

/// Refuses a text of a command that is longer than it may be: one large record must not push others out of the journal.
fn within(name: &str, text: &str, most: usize) -> Result<()> {
    if text.len() <= most {
        return Ok(());
    }
    let (is, most) = (text.len().to_string(), most.to_string());
    Err(Error::new(KL_E_ARGUMENT, [name, " has ", &is, " bytes; at most ", &most, " are taken"].concat()))
}

/// [`within`] for each field, by its own name.
macro_rules! bounded {
    ($request:ident: $($text:ident)*; $($json:ident)*) => {
        impl $request {
            /// Refuses a text that is longer than it may be, by its name. The name of the act itself is the journal's to
            /// judge.
            pub fn check_texts(&self) -> Result<()> {
                within("visit_id", &self.visit_id, KL_VISIT_ID_MAX)?;
                within("context", &self.context, KL_CONTEXT_MAX)?;
                $(within(stringify!($text), &self.$text, KL_TEXT_MAX)?;)*
                $(within(stringify!($json), self.$json.as_deref().unwrap_or_default(), KL_EXTRA_JSON_MAX)?;)*
                Ok(())
            }
        }
    };
}

bounded!(DoorRequest: cabinet_id door user_id order_no item_no notify_url; extra_json);
bounded!(RedeemRequest: code cabinet_id product_id trade_no notify_url redeemer; extra_json);
bounded!(PaymentReport: report_url order_no cabinet_id trade_no; channel_json extra_json);
bounded!(Complaint: order_no cabinet_id reason remarks phone; extra_json);
bounded!(OrderCreate: cabinet_id trade_no notify_url; extra_json);

/// What a platform may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum Verb {
    Ping = 1,
    CabinetList = 2,
    StockFetch = 3,
    DoorOpen = 4,
    CodeRedeem = 5,
    CodeLookup = 6,
    CodeList = 7,
    CodeCreate = 8,
    CodeCancel = 9,
    OrderGet = 10,
    OrderList = 11,
    OrderCreate = 12,
    PaymentReport = 13,
    RefundApply = 14,
    AppealFile = 15,
    UserGet = 16,
    CompanyGet = 17,
    EventParse = 18,
    Call = 19,
}

impl Verb {
    /// All of them, by their numbers.
    pub fn all() -> [Verb; 19] {
        [
            Verb::Ping,
            Verb::CabinetList,
            Verb::StockFetch,
            Verb::DoorOpen,
            Verb::CodeRedeem,
            Verb::CodeLookup,
            Verb::CodeList,
            Verb::CodeCreate,
            Verb::CodeCancel,
            Verb::OrderGet,
            Verb::OrderList,
            Verb::OrderCreate,
            Verb::PaymentReport,
            Verb::RefundApply,
            Verb::AppealFile,
            Verb::UserGet,
            Verb::CompanyGet,
            Verb::EventParse,
            Verb::Call,
        ]
    }
}
