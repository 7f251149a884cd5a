//! What can be changed about the platform. None of the defaults is the vendor's word.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A developer account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Its number.
    pub appid: String,
    /// Its secret.
    pub secret: String,
    /// The methods ticked for it; null: all.
    #[serde(default)]
    pub methods: Option<Vec<String>>,
}

/// The body of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// `data` is the list itself.
    Array,
    /// `data` is a page object with the list in its own `data`.
    Paginator,
}

/// What happens to a page size beyond the maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverMax {
    /// An error.
    Refuse,
    /// The maximum instead.
    Clamp,
}

/// What the recognition makes of the goods taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recognition {
    /// What was taken.
    Right,
    /// Nothing.
    Empty,
    /// One of something else.
    Wrong,
    /// One piece more of each.
    More,
    /// What was taken, but a person must look first.
    Suspicious,
}

/// Where `notify.close.door` goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// To the business callback, signed with the account's secret.
    Business,
    /// To the payment callback, signed with the payment key.
    Payment,
    /// To both.
    Both,
}

/// What becomes of a voucher code for goods that the machine has none of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoStock {
    /// The exchange is refused.
    Refuse,
    /// It is used up, and waits for goods: `ShipmentsStatus` 3.
    Wait,
}

/// What a voucher's exchange answers; the vendor's answer is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExchangeAnswer {
    /// The number of the order that it made, with the fields of the notice.
    Receipt,
    /// Nothing.
    Empty,
}

/// Goods that the shopper takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Take {
    /// Which.
    #[serde(alias = "barcode", alias = "BarCode")]
    pub barcode: String,
    /// How many.
    #[serde(default = "one", alias = "Qty")]
    pub qty: i64,
}

fn one() -> i64 {
    1
}

/// The settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The developer accounts; notifications go to each that has an address.
    pub accounts: Vec<Account>,
    /// The payment sign key.
    pub pay_key: String,
    /// The operator's id.
    pub oid: String,
    /// The paid payment function has been bought.
    pub payment_product: bool,
    /// How many recognitions are prepaid; null: enough.
    pub credit: Option<i64>,
    /// How far a timestamp may be off, in seconds; null: any.
    pub timestamp_tolerance_s: Option<i64>,
    /// Whether failures carry this HTTP status.
    pub failure_http_status: u16,
    /// The names of failures, by reason.
    pub error_names: BTreeMap<String, String>,
    /// Answers carry `sub_error_code` and `sub_error_msg`, both null.
    pub sub_error_fields: bool,
    /// The body of both order lists.
    pub order_list_shape: Shape,
    /// The body of the stock list.
    pub stock_shape: Shape,
    /// Orders carry `DoorStatus` twice.
    pub duplicate_door_status: bool,
    /// The page size where none is given.
    pub default_page_size: i64,
    /// The greatest page size.
    pub max_page_size: i64,
    /// What happens beyond it.
    pub page_size_over_max: OverMax,
    /// The channel in new orders; 202 is in no table of the vendor's, and in its example.
    pub pay_type: i64,
    /// `cabinet.open.door` refuses without an `OpenID`.
    pub require_open_id: bool,
    /// `cabinet.open.door` refuses a `TradeNo` that an order has.
    pub unique_trade_no: bool,
    /// One open door makes the whole cabinet busy.
    pub busy_whole_cabinet: bool,
    /// How long a door stays open; null: until it is told to shut.
    pub door_open_ms: Option<i64>,
    /// How long after the shutting it is reported; null: never.
    pub close_report_ms: Option<i64>,
    /// How long until it is reported that a door never opened; null: never.
    pub never_open_report_ms: Option<i64>,
    /// How long after the close report the recognition is done; null: never.
    pub recognition_ms: Option<i64>,
    /// What the recognition makes of the goods.
    pub recognition: Recognition,
    /// What the shopper takes; empty: one of the first thing there is; null: nothing.
    pub take: Option<Vec<Take>>,
    /// How long until staff approve a refund; null: when told.
    pub refund_approval_ms: Option<i64>,
    /// After an appeal past payment, the refund notice comes before the new order's.
    pub appeal_refund_first: bool,
    /// Where `notify.close.door` goes.
    pub close_door_channel: Channel,
    /// How long queries do not see a new order or a used code.
    pub query_lag_ms: i64,
    /// What becomes of a voucher code for goods that the machine has none of.
    pub voucher_no_stock: NoStock,
    /// What a voucher's exchange answers.
    pub exchange_answer: ExchangeAnswer,
    /// `activity.vouchercode.get` refuses without a `VoucherID`.
    pub voucher_id_required: bool,
    /// How long until a vending machine tells how a delivery went; null: never.
    pub vend_ms: Option<i64>,
    /// The motors of vending machines turn, and nothing falls.
    pub vend_fails: bool,
    /// `consumer.order.create` refuses tokens that are no `lane-TID-ROW-COL`.
    pub strict_tokens: bool,
    /// Page parameters are found only as the notes spell them for each method.
    pub strict_names: bool,
    /// The host in `NotifyUrl`, so that payments go to another one than the gateway: `127.0.0.1`; null: the same.
    pub payment_host: Option<String>,
    /// The answer to a good payment report.
    pub payment_answer: String,
    /// The answer to a bad payment report.
    pub payment_refusal: String,
}

impl Default for Settings {
    fn default() -> Self {
        let names = [
            ("body", "ERR_PARAMS"),
            ("biz_content", "ERR_BIZ_CONTENT"),
            ("params", "ERR_PARAMS"),
            ("appid", "ERR_APPID"),
            ("version", "ERR_VERSION"),
            ("sign_type", "ERR_SIGN_TYPE"),
            ("timestamp", "ERR_TIMESTAMP"),
            ("sign", "ERR_SIGN"),
            ("method", "ERR_METHOD_NOT_EXIST"),
            ("permission", "ERR_NO_PERMISSION"),
            ("payment_product", "ERR_PAYMENT_NOT_PURCHASED"),
            ("credit", "ERR_CREDIT_NOT_ENOUGH"),
            ("cabinet_unknown", "ERR_CABINET_NOT_EXIST"),
            ("cabinet_offline", "ERR_CABINET_OFFLINE"),
            ("cabinet_not_selling", "ERR_CABINET_NOT_SELLING"),
            ("door_unknown", "ERR_DOOR_NOT_EXIST"),
            ("door_busy", "ERR_CABINET_IN_USE"),
            ("trade_no_used", "ERR_TRADENO_EXIST"),
            ("order_unknown", "ERR_ORDER_NOT_EXIST"),
            ("order_not_paid", "ERR_ORDER_NOT_PAID"),
            ("order_not_settled", "ERR_ORDER_NOT_FINISHED"),
            ("refund_repeated", "ERR_REFUNDS_EXIST"),
            ("appeal_repeated", "ERR_APPEAL_EXIST"),
            ("terminal_unknown", "ERR_TERMINAL_NOT_EXIST"),
            ("terminal_offline", "ERR_TERMINAL_OFFLINE"),
            ("order_create", "ERR_ORDER_CREATE_FAIL"),
            ("voucher_unknown", "ERR_INVALID_VOUCHER_ID"),
            ("voucher_code_unknown", "ERR_VOUCHER_CODE_NOT_EXIST"),
            ("voucher_code_used", "ERR_VOUCHER_CODE_USED"),
            ("voucher_code_expired", "ERR_VOUCHER_CODE_EXPIRED"),
            ("out_of_stock", "ERR_BARCODE_OUTSTOCK"),
            ("none_stock", "ERR_NONE_STOCK"),
        ];
        Self {
            accounts: vec![Account {
                appid: "100000000001".into(),
                secret: "test-secret".into(),
                methods: None,
            }],
            pay_key: "test-pay-key".into(),
            oid: "5e6b52d1b427cd0010900001".into(),
            payment_product: true,
            credit: None,
            timestamp_tolerance_s: Some(600),
            failure_http_status: 200,
            error_names: names.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            sub_error_fields: true,
            order_list_shape: Shape::Array,
            stock_shape: Shape::Paginator,
            duplicate_door_status: false,
            default_page_size: 10,
            max_page_size: 100,
            page_size_over_max: OverMax::Refuse,
            pay_type: 202,
            require_open_id: false,
            unique_trade_no: false,
            busy_whole_cabinet: true,
            door_open_ms: Some(2_000),
            close_report_ms: Some(0),
            never_open_report_ms: Some(1_000),
            recognition_ms: Some(500),
            recognition: Recognition::Right,
            take: Some(Vec::new()),
            refund_approval_ms: None,
            appeal_refund_first: false,
            close_door_channel: Channel::Business,
            query_lag_ms: 0,
            voucher_no_stock: NoStock::Wait,
            exchange_answer: ExchangeAnswer::Receipt,
            voucher_id_required: true,
            vend_ms: Some(700),
            vend_fails: false,
            strict_tokens: false,
            strict_names: false,
            payment_host: None,
            payment_answer: "success".into(),
            payment_refusal: "fail".into(),
        }
    }
}
