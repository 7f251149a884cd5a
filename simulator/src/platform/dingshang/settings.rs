//! What can be changed about the platform. None of the defaults is the vendor's word where the notes say that
//! it is unknown.

use serde::{Deserialize, Serialize};

use super::failure::Generation;
use super::model::Outcome;
use super::payload::Encoding;

/// How records name their state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordNames {
    /// As the pages do: the consume page the old names, the order page the new ones.
    Mixed,
    /// The names since September 2024.
    New,
    /// The names before.
    Old,
}

/// Which key of a callback holds the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKey {
    /// As in the vendor's sample.
    ErrorMsg,
    /// As in the vendor's table.
    FailReason,
    /// Both.
    Both,
}

/// The form of a callback's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeForm {
    /// JSON.
    Json,
    /// A form.
    Form,
}

/// What the creation of codes answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CreateAnswer {
    /// `{}`, as documented.
    Empty,
    /// The new codes.
    Codes,
}

/// How many codes one call for all products makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CreateAll {
    /// One for each product.
    PerProduct,
    /// One for each piece in stock.
    PerItem,
}

/// How `/consumes` writes a `trade_id` of 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TradeIdEcho {
    /// As a UUID, as in the vendor's sample.
    Dashed,
    /// As it was sent.
    Plain,
}

/// The settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `Appid`.
    pub app_id: String,
    /// `AppSecret`.
    pub app_secret: String,
    /// The merchant key, which signs.
    pub app_key: String,
    /// The merchant has not paid for another year.
    pub merchant_expired: bool,
    /// The merchant is verified.
    pub merchant_verified: bool,
    /// How values are written into the text that is signed.
    pub sign_value_encoding: Encoding,
    /// Which numbers failures have.
    pub error_codes: Generation,
    /// The HTTP status of failures; 401, 404 and 405 stay.
    pub http_error_status: u16,
    /// The HTTP status of failures with code 0; null: that of the others.
    pub code_zero_http_status: Option<u16>,
    /// `data` of failures is null and not `{}`.
    pub failure_data_null: bool,
    /// Only strings in payloads.
    pub strict_strings: bool,
    /// How far a timestamp may be off, in seconds; null: any, as nothing is documented.
    pub timestamp_tolerance_s: Option<i64>,
    /// Zeros, false and empty texts are left out of answers.
    pub omit_zero_values: bool,
    /// A merchant without machines is an error and not an empty list.
    pub no_machines_fails: bool,
    /// The operations that an offline machine refuses.
    pub offline_refuses: Vec<String>,
    /// Offline machines refuse deliveries only.
    pub debug_mode: bool,
    /// `/products` refuses without a page.
    pub page_required: bool,
    /// Which clock `expired_at` is by, in hours east of Greenwich; 0 as it was until April 2024.
    pub zone_hours: i64,
    /// What the creation of codes answers.
    pub create_answer: CreateAnswer,
    /// How many codes one call for all products makes.
    pub create_all: CreateAll,
    /// A second creation for a product that has live codes is refused.
    pub create_refuses_existing: bool,
    /// More live codes than the lane holds are refused.
    pub create_limits_live_codes: bool,
    /// The next so many answers to a creation get lost after it is done.
    pub create_lost_answer: u64,
    /// The list of an unknown product's codes is an error and not empty.
    pub unknown_product_codes_fail: bool,
    /// A used code can be cancelled.
    pub cancel_used: bool,
    /// How `/consumes` writes the `trade_id`.
    pub consume_trade_id: TradeIdEcho,
    /// A redeemed code reserves a piece, as an order does.
    pub consume_reserves_stock: bool,
    /// For so long after a redemption the same code is redeemed again; 0: never.
    pub racy_redeem_ms: i64,
    /// The next so many answers to a redemption get lost after it is done.
    pub consume_lost_answer: u64,
    /// How records name their state.
    pub record_names: RecordNames,
    /// How long an order may stay unpaid.
    pub order_expiry_ms: i64,
    /// The same for orders of pickup codes; null: forever.
    pub pickup_order_expiry_ms: Option<i64>,
    /// How long after its creation a paid order may be delivered; null: forever.
    pub paid_delivery_limit_ms: Option<i64>,
    /// `status` 5 (paying) ends an order like every other value but 1.
    pub paying_is_final: bool,
    /// How long after a refund of a paid order its stock is back.
    pub refund_restock_ms: i64,
    /// How long the machine takes from the command to its result.
    pub result_ms: i64,
    /// How long the platform waits for the result.
    pub delivery_timeout_ms: i64,
    /// What the motors do when no script says otherwise.
    pub default_outcome: Outcome,
    /// The fault of a delivery without a result.
    pub timeout_text: String,
    /// The code of a refusal because the machine is delivering; the vendor has published none.
    pub busy_code: i64,
    /// Its text.
    pub busy_message: String,
    /// Which key of a callback holds the fault.
    pub notify_error_key: ErrorKey,
    /// The form of a callback's body.
    pub notify_form: NoticeForm,
    /// Any answer counts as taken, as the page says; otherwise only 200.
    pub notify_any_status: bool,
    /// How late callbacks come.
    pub notify_delay_ms: i64,
    /// Every callback comes so many times more.
    pub notify_duplicate: u64,
    /// No callback comes.
    pub notify_lost: bool,
    /// Every callback is followed by its opposite.
    pub notify_contradict: bool,
    /// `/replenishments`, which has left the pages in 2025, is served.
    pub replenishments_served: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let offline_refuses = [
            "machine",
            "products",
            "floors",
            "banners",
            "categories",
            "order_create",
            "consume",
            "deliver",
            "delivery_debug",
        ];
        Self {
            app_id: "10001".into(),
            app_secret: "test-app-secret".into(),
            app_key: "kva".into(),
            merchant_expired: false,
            merchant_verified: true,
            sign_value_encoding: Encoding::Raw,
            error_codes: Generation::Legacy,
            http_error_status: 400,
            code_zero_http_status: None,
            failure_data_null: false,
            strict_strings: false,
            timestamp_tolerance_s: None,
            omit_zero_values: true,
            no_machines_fails: false,
            offline_refuses: offline_refuses.map(str::to_owned).to_vec(),
            debug_mode: false,
            page_required: false,
            zone_hours: 8,
            create_answer: CreateAnswer::Empty,
            create_all: CreateAll::PerProduct,
            create_refuses_existing: false,
            create_limits_live_codes: false,
            create_lost_answer: 0,
            unknown_product_codes_fail: false,
            cancel_used: false,
            consume_trade_id: TradeIdEcho::Dashed,
            consume_reserves_stock: true,
            racy_redeem_ms: 0,
            consume_lost_answer: 0,
            record_names: RecordNames::Mixed,
            order_expiry_ms: 20 * 60_000,
            pickup_order_expiry_ms: None,
            paid_delivery_limit_ms: None,
            paying_is_final: true,
            refund_restock_ms: 300_000,
            result_ms: 700,
            delivery_timeout_ms: 120_000,
            default_outcome: Outcome::default(),
            timeout_text: "Delivery Timeout".into(),
            busy_code: 400,
            busy_message: "设备正在出货，请稍后再试".into(),
            notify_error_key: ErrorKey::ErrorMsg,
            notify_form: NoticeForm::Json,
            notify_any_status: true,
            notify_delay_ms: 0,
            notify_duplicate: 0,
            notify_lost: false,
            notify_contradict: false,
            replenishments_served: true,
        }
    }
}
