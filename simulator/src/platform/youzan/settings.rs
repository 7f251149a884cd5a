//! What can be changed about the platform. Where the notes know nothing, the defaults are the simulator's own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What an application is, which decides how it may ask for tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A shop's own: `silent` and `refresh_token`.
    #[default]
    SelfUse,
    /// A tool on the market: `authorization_code` and `refresh_token`.
    Tool,
    /// A platform's: `certificate` and `silent`.
    Platform,
}

/// A shop that has authorised an application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grant {
    /// The shop's number.
    pub kdt_id: i64,
    /// The authorisation has lapsed: no tokens (1004), and those given out are refused (4201).
    pub lapsed: bool,
}

/// An application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct App {
    /// Its id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// What it is.
    pub kind: Kind,
    /// The shops that have authorised it.
    pub shops: Vec<Grant>,
    /// The APIs that it may call, by name; null: all.
    pub apis: Option<Vec<String>>,
}

/// What becomes of an older access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OldToken {
    /// It works for an hour more.
    Grace,
    /// It is dead at once.
    Dead,
    /// It works until it expires.
    Kept,
}

/// Whether an answer to `silent` holds a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefreshGiven {
    /// Always.
    Always,
    /// When `refresh` is true.
    OnRefresh,
    /// Never.
    Never,
}

/// A limit of so many calls in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// How many.
    pub calls: u64,
    /// In how long, on the platforms' clock.
    pub window_ms: i64,
}

/// How the gateway writes 4101.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitShape {
    /// As every other code of the gateway.
    Gateway,
    /// As the page on limits prints it: `{"code":"4101","msg":…}`.
    Bare,
}

/// Which envelope an API answers in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// `success`, `code`, `data`, `message`.
    Modern,
    /// `response` or `error_response`.
    Legacy,
}

/// What counts as taking a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerCheck {
    /// 200 and JSON with `code` 0 and `msg` `success`.
    Exact,
    /// 200 and the word `success` somewhere.
    Contains,
}

/// When a message that was not taken comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retries {
    /// Sixteen times, as the general page says.
    Sixteen,
    /// Four times, as the pages on single messages say.
    Four,
    /// As `retry_ms` of `/_sim/callbacks` says.
    Callbacks,
}

/// How `msg` is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// As Java's `URLEncoder` does it.
    #[default]
    Java,
    /// With `:`, `,`, `[` and `]` bare, as in older captures.
    Loose,
    /// Blanks as `%20`.
    Percent,
    /// Plain JSON text.
    Plain,
    /// A JSON object.
    Object,
}

/// An error as the token address answers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Its code.
    pub code: i64,
    /// Its text.
    pub message: String,
}

/// The settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The applications; messages go to each that has an address and the shop's authorisation.
    pub apps: Vec<App>,
    /// Plain http is answered with 301 to https, as the vendor does.
    pub redirect_plain_http: bool,
    /// GET with the parameters in the query is taken, as one client does it.
    pub accept_get: bool,
    /// The caller's address as the whitelist's refusal prints it (4007); null: it is allowed.
    pub ip_refused: Option<String>,
    /// The scope in a token's answer.
    pub scope: String,
    /// How long an access token lives.
    pub token_life_ms: i64,
    /// How long a refresh token lives.
    pub refresh_life_ms: i64,
    /// How long an authorisation code lives.
    pub code_life_ms: i64,
    /// The hour of grace, and the hour in which a lost answer can be had again.
    pub grace_ms: i64,
    /// What `silent` with `refresh` does to the token before.
    pub old_token_after_silent: OldToken,
    /// What `refresh_token` does to the access token before.
    pub old_token_after_refresh: OldToken,
    /// Whether `silent` answers a refresh token.
    pub silent_refresh_token: RefreshGiven,
    /// The answer to a bad or spent refresh token; the vendor's is unknown.
    pub bad_refresh_token: Failure,
    /// How often tokens may be asked for; null: as often as one likes. The vendor's number is unknown.
    pub token_limit: Option<Limit>,
    /// The published limits by API, and any others, are enforced.
    pub rate_limits: bool,
    /// Calls a second for one shop, by API.
    pub qps: BTreeMap<String, u64>,
    /// How 4101 is written.
    pub limit_shape: LimitShape,
    /// How many calls are prepaid; null: enough.
    pub quota: Option<i64>,
    /// Envelopes other than the documented ones, by API.
    pub shapes: BTreeMap<String, Shape>,
    /// Lists stand beside `data` and not in it.
    pub lists_beside_data: bool,
    /// APIs that take rich text under `/api/_textarea_/`.
    pub rich_text_apis: Vec<String>,
    /// APIs that may be called without a token under `/api/auth_exempt/`, for the first application's first shop.
    pub exempt_apis: Vec<String>,
    /// How long queries of orders show the state before a change; the vendor advises to wait 30 s.
    pub query_lag_ms: i64,
    /// Queries of codes lag too.
    pub lag_covers_codes: bool,
    /// Racy: a redemption that comes within so long of the first succeeds too.
    pub race_window_ms: i64,
    /// Orders with a refund under way can be redeemed.
    pub redeem_while_refunding: bool,
    /// The code where `verifyticket` finds no ticket; the table prints 5000, the sample 50000.
    pub unknown_ticket_code: i64,
    /// The states of unused e-vouchers are written as in the prose (`NOT_VERIFIED`), not as in the sample.
    pub ticket_states_as_prose: bool,
    /// `virtualcode.apply` takes `verify_person` or `extra_info`, and the record gives it back.
    pub virtual_takes_person: bool,
    /// Texts of refusals that are not documented, by reason.
    pub texts: BTreeMap<String, String>,
    /// The logistics answer stands under `code`, as the seed's table prints it, and not under `data`.
    pub logistics_under_code: bool,
    /// The logistics answer's `created_time` is a number of seconds and not a date.
    pub logistics_created_number: bool,
    /// `multistore.offline.get` answers in camelCase with numbers as texts, as its sample does.
    pub offline_get_as_sample: bool,
    /// How many pickup points a shop may have.
    pub point_limit: usize,
    /// Personal fields are ciphertext.
    pub encrypt_personal: bool,
    /// The messages that follow a redemption, in this order.
    pub redemption_messages: Vec<String>,
    /// A change of stock is followed by `youzan_item_SkuStockChanged`.
    pub stock_messages: bool,
    /// How long after the change a message comes.
    pub message_delay_ms: i64,
    /// How `msg` is encoded.
    pub msg_encoding: Encoding,
    /// `sendCount` is there on re-sends only.
    pub send_count_on_resend_only: bool,
    /// What counts as taking a message.
    pub push_answer: AnswerCheck,
    /// When a message comes again.
    pub push_retries: Retries,
}

const DAY_MS: i64 = 86_400_000;

impl Default for Settings {
    fn default() -> Self {
        let grant = |kdt_id| Grant { kdt_id, lapsed: false };
        let qps =
            [("youzan.item.get", 300), ("youzan.items.onsale.get", 300), ("youzan.item.quantity.update", 30)];
        let texts = [
            ("refunded", "订单已退款,不能核销"),
            ("refunding", "订单退款中,不能核销"),
            ("unpaid", "订单未支付,不能核销"),
            ("expired", "提货码已过期"),
            ("ticket_used", "电子卡券已核销"),
            ("ticket_expired", "电子卡券已过期"),
            ("ticket_refunding", "电子卡券退款中"),
            ("ticket_disabled", "电子卡券不可用"),
            ("span", "时间跨度不能超过3个月"),
            ("page_no", "页码不能超过100"),
            ("quota", "调用量已用完"),
            ("points", "门店数量已达上限"),
        ];
        Self {
            apps: vec![
                App {
                    client_id: "yz-test-client-0001".into(),
                    client_secret: "yz-test-secret-0001".into(),
                    shops: vec![grant(90_000_001)],
                    ..App::default()
                },
                App {
                    client_id: "yz-test-client-0002".into(),
                    client_secret: "yz-test-secret-0002".into(),
                    kind: Kind::Tool,
                    shops: vec![grant(90_000_001), grant(90_000_002)],
                    ..App::default()
                },
            ],
            redirect_plain_http: false,
            accept_get: true,
            ip_refused: None,
            scope: "item item_category logistics multi_store retail_stock selffetchcode shop storage trade \
                    trade_advanced trade_virtual user virtualticket"
                .into(),
            token_life_ms: 7 * DAY_MS,
            refresh_life_ms: 28 * DAY_MS,
            code_life_ms: 120_000,
            grace_ms: 3_600_000,
            old_token_after_silent: OldToken::Grace,
            old_token_after_refresh: OldToken::Grace,
            silent_refresh_token: RefreshGiven::Always,
            bad_refresh_token: Failure { code: 1103, message: "授权关系不存在".into() },
            token_limit: None,
            rate_limits: false,
            qps: qps.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
            limit_shape: LimitShape::Gateway,
            quota: None,
            shapes: BTreeMap::new(),
            lists_beside_data: false,
            rich_text_apis: vec!["youzan.multistore.offline.create".into()],
            exempt_apis: Vec::new(),
            query_lag_ms: 0,
            lag_covers_codes: false,
            race_window_ms: 0,
            redeem_while_refunding: false,
            unknown_ticket_code: 50_000,
            ticket_states_as_prose: false,
            virtual_takes_person: false,
            texts: texts.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            logistics_under_code: false,
            logistics_created_number: false,
            offline_get_as_sample: false,
            point_limit: 20,
            encrypt_personal: false,
            redemption_messages: vec!["trade_TradeSuccess".into()],
            stock_messages: false,
            message_delay_ms: 0,
            msg_encoding: Encoding::Java,
            send_count_on_resend_only: false,
            push_answer: AnswerCheck::Exact,
            push_retries: Retries::Sixteen,
        }
    }
}

impl Settings {
    /// The text of a refusal that is not documented.
    pub fn text(&self, reason: &str) -> String {
        self.texts.get(reason).cloned().unwrap_or_else(|| reason.to_owned())
    }
}
