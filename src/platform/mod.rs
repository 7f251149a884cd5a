//! The platforms, one module each, and what they have in common.
//!
//! Everything below is pure: settings, a verb and a time go in, a request comes out; a reply goes in, the model or
//! an error comes out. Nothing here waits, remembers or talks.

use crate::command::{Act, Physical};
pub use crate::command::{Known, Span};
use crate::error::{Error, Result};
use crate::event::Event;
pub use crate::model::Token;
use crate::model::*;
pub use crate::settings::Kind;
use crate::settings::Settings;
use crate::status::*;
use crate::transport::{Reply, Request, Scheme, Url};
use std::sync::Arc;

pub mod dingshang;
pub mod fields;
pub mod proof;
pub mod refusals;
pub mod toolbox;
pub mod yopoint;
pub mod youzan;
pub mod zhiyun;

/// One thing to ask of a platform: a verb with its parameters.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Op<'a> {
    Ping,
    CabinetList { page: PageRequest },
    Stock { cabinet_id: &'a str, page: PageRequest, extra_json: Option<&'a str> },
    DoorOpen(&'a DoorRequest),
    OrderGet(&'a OrderRef),
    OrderList { query: &'a OrderQuery, page: PageRequest },
    RefundApply(&'a Complaint),
    AppealFile(&'a Complaint),
    PaymentReport(&'a PaymentReport),
    OrderCreate(&'a OrderCreate),
    CodeLookup(&'a CodeQuery),
    CodeList(&'a CodeQuery),
    CodeCreate(&'a CodeCreate),
    CodeCancel(&'a CodeCancel),
    CodeRedeem(&'a RedeemRequest),
    UserGet,
    CompanyGet,
    Call { method: &'a str, params_json: &'a str },
}

/// How freely a call may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Changes nothing: repeated within its deadline when the network fails.
    Read,
    /// Changes something: sent at most once.
    Write,
    /// Cannot be undone: sent at most once for a `request_id`.
    Command,
}

/// What a platform answered, understood.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Answer {
    Pong,
    Cabinets(Page<Cabinet>),
    Stock(Page<StockItem>),
    Taken(Receipt),
    /// The code to be redeemed was used before, by this order: ours, if an earlier answer was lost.
    UsedBy {
        order_no: String,
        refusal: Error,
    },
    Order(Box<Order>),
    Orders(Page<Order>),
    Code(Box<PickupCode>),
    Codes(Page<PickupCode>),
    User(Box<User>),
    Company(Box<Company>),
    /// The platform's `data` as JSON text.
    Json(String),
}

impl Answer {
    /// What it is, for a message.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Answer::Pong => "nothing",
            Answer::Cabinets(_) => "cabinets",
            Answer::Stock(_) => "stock",
            Answer::Taken(_) | Answer::UsedBy { .. } => "a receipt",
            Answer::Order(_) | Answer::Orders(_) => "orders",
            Answer::Code(_) | Answer::Codes(_) => "codes",
            Answer::User(_) | Answer::Company(_) => "an identity",
            Answer::Json(_) => "JSON",
        }
    }
}

/// A read that the library makes on its own behalf, to find something out about a command.
#[derive(Clone, Debug)]
pub enum Query {
    /// An order.
    Order(OrderRef),
    /// A list of orders, its first page.
    Orders(OrderQuery, PageRequest),
    /// A pickup code.
    Code(CodeQuery),
    /// The codes that can still be used.
    Codes(CodeQuery),
    /// All that a cabinet holds, one page after the other, with more parameters for the platform.
    Stock(String, Option<String>),
    /// A call by its own name, with its parameters.
    Call(String, String),
}

impl Query {
    /// As an operation.
    pub fn op(&self) -> Op<'_> {
        match self {
            Query::Order(r) => Op::OrderGet(r),
            Query::Orders(query, page) => Op::OrderList { query, page: *page },
            Query::Code(q) => Op::CodeLookup(q),
            Query::Codes(q) => Op::CodeList(q),
            Query::Stock(cabinet_id, extra_json) => Op::Stock {
                cabinet_id,
                page: PageRequest { number: 1, size: 0 },
                extra_json: extra_json.as_deref(),
            },
            Query::Call(method, params) => Op::Call { method, params_json: params },
        }
    }
}

/// What became of a command, as the platform's answer shows it.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The platform took it, and this is what is known of the movement, with the platform's words.
    Done(Receipt, Physical, String),
    /// It did not happen and will not; why that is certain.
    NotDone(String),
    /// Nobody can tell; why.
    Unknown(String),
}

/// How long a request may still take effect after its call has ended, and why so long.
#[derive(Clone, Copy, Debug)]
pub struct Maturity {
    /// Milliseconds after the call's deadline.
    pub hold_ms: u32,
    /// What may hold it so long, for the documentation.
    pub reason: &'static str,
}

/// A request that only lacks what is known when it is sent.
pub struct Draft<'a> {
    /// Where it goes.
    pub url: Arc<Url>,
    /// Signs it.
    pub seal: Box<dyn Fn(&Moment<'_>) -> Request + 'a>,
}

/// What is known when a request is sent.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The platform's time, Unix milliseconds.
    pub now_ms: i64,
    /// The token, on platforms that give one.
    pub token: &'a str,
}

/// How a token is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The one that lives, or a new one if none does.
    Usual,
    /// A new one against the refresh token of the old one.
    Exchange,
    /// A new one though another may live. Only after the living one was refused.
    Forced,
}

/// How a platform gives tokens.
pub trait TokenSource {
    /// Whether this call shows one.
    fn needed(&self, op: &Op<'_>) -> bool;

    /// What tells this account's tokens from others', for the name of a file: no secret, only letters and digits.
    /// `None` if its tokens live too briefly to be kept anywhere but in memory.
    fn account(&self) -> Option<String>;

    /// How long before its end a token is replaced, in milliseconds.
    fn renew_before_ms(&self) -> i64;

    /// The request for one. `old` is the last one there was, dead or alive.
    fn draft<'a>(&'a self, way: Way, old: Option<&'a Token>) -> Result<Draft<'a>>;

    /// The token in the reply to a request that was sent at `sent_ms`.
    fn answer(&self, reply: &Reply, sent_ms: i64) -> Result<Token>;

    /// Whether this refusal of another call says that the token shown is not good (any more).
    fn is_dead(&self, error: &Error) -> bool;
}

/// How a platform is spoken to.
pub trait Speaks: Send + Sync {
    /// Which one.
    fn kind(&self) -> Kind;

    /// Nothing of it changes anything: there is nothing to remember.
    fn only_reads(&self) -> bool {
        false
    }

    /// Where its connection goes.
    fn origin(&self) -> &Url;

    /// How freely this may be repeated; `KL_E_UNSUPPORTED` if the platform has no such call, `KL_E_ARGUMENT` if a
    /// parameter cannot be sent.
    fn nature(&self, op: &Op<'_>) -> Result<Nature>;

    /// Everything of the request but its signature, which is made when the connection stands. Refuses parameters
    /// that cannot be sent.
    fn draft<'a>(&'a self, op: &Op<'a>) -> Result<Draft<'a>>;

    /// What the reply to an operation means. An error's outcome is `NotDone` only where a row of the platform's table of
    /// refusals proves it ([`refusals`]); the outcome of any other error is left at `None`, which the client takes as
    /// unknown for everything but reads.
    fn answer(&self, op: &Op<'_>, reply: &Reply) -> Result<Answer>;

    /// Whether a request says when it was signed, so that an answer shows that the time was right.
    fn checks_time(&self) -> bool {
        true
    }

    /// The one spelling of a code on this platform, for wire, journal and guard: two spellings that it takes for the same
    /// code give the same text.
    fn canonical_code(&self, code: &str) -> String {
        toolbox::canonical_code(code)
    }

    /// How tokens are had, on platforms that give them.
    fn tokens(&self) -> Option<&dyn TokenSource> {
        None
    }

    /// The steps of a verb that takes several calls; `None` if one call is all.
    fn procedure<'a>(&'a self, _op: &Op<'a>) -> Option<Box<dyn Procedure + 'a>> {
        None
    }

    /// How long the platform asks to wait after so many refusals for too many calls in a row, in milliseconds.
    fn rate_pause_ms(&self, _refusals: u32) -> u32 {
        0
    }

    /// The longest period that one list of orders may cover, in seconds, and the last page of one; `None` if there is
    /// no bound.
    fn order_list_bounds(&self) -> Option<(i64, u32)> {
        None
    }
}

/// A verb that takes several calls: the platform says what comes next, the client does it within the call's one
/// deadline. Asking never acts: only [`Step::Send`] carries the verb's own act, and it comes at most once.
pub trait Procedure {
    /// Only one caller at a time for each such text, as long as the procedure runs; `None`: no such bound.
    fn exclusive(&self) -> Option<String> {
        None
    }

    /// What comes next; `last` is what the step before gave, `None` at the beginning and after a pause.
    fn next(&mut self, last: Option<Result<Answer>>) -> Step;
}

/// One step of a [`Procedure`].
pub enum Step {
    /// Make this read.
    Ask(Query),
    /// Send the act itself.
    Send,
    /// Wait so many milliseconds.
    Pause(u32),
    /// That is the verb's answer, or its error with its outcome.
    End(Result<Answer>),
}

/// How it is found out what became of a command. Nothing here acts: it only reads.
pub trait Recovers {
    /// How long a request of this kind may still take effect after its call has ended.
    fn maturity(&self, act: &Act) -> Maturity;

    /// Whether the caller's own repetition under the same name is the platform's way to ask: it is sent again with the
    /// same number, inside the new call's time to live, and cannot act twice.
    fn repeat_asks(&self, _act: &Act) -> bool {
        false
    }

    /// The reads that can tell what became of a command, the surest first; empty if there are none. They are made in
    /// this order until one gives a verdict.
    fn queries(&self, _known: &Known<'_>) -> Vec<Query> {
        Vec::new()
    }

    /// What became of it, by the answer to one of those reads. An answer of `KL_E_NOT_FOUND` comes here too. *Not done*
    /// counts only after maturity; the rules see to that. What cannot be told for certain stays unknown.
    fn judge(&self, _known: &Known<'_>, _query: &Query, _answer: &Result<Answer>) -> Verdict {
        Verdict::Unknown("the platform does not tell".to_owned())
    }

    /// Whether this act makes an order that no other command can have made.
    fn order_is_new(&self, _act: &Act) -> bool {
        false
    }

    /// The read that tells what the machine did after it took a command; `None` if only a callback tells.
    fn movement_query(&self, _act: &Act, _receipt: &Receipt) -> Option<Query> {
        None
    }

    /// What the machine did, by the answer to that read, with the platform's words if it failed; `None`: not known yet.
    fn movement(&self, _act: &Act, _receipt: &Receipt, _answer: &Answer) -> Option<(Physical, String)> {
        None
    }
}

/// What a platform's callbacks mean.
pub trait CallsBack {
    /// Whether it does at all.
    fn calls_back(&self) -> bool {
        true
    }

    /// Whether they are signed, or told from a stranger's in another way.
    fn signs_events(&self) -> bool {
        true
    }

    /// The HTTP status that goes with the body that answers a callback.
    fn event_status(&self, _code: i32) -> u16 {
        200
    }

    /// Verifies and parses a callback.
    fn event(&self, headers: &str, body: &[u8], now_ms: i64) -> Result<Event>;

    /// The body that answers a callback: `code` 0 for taken, anything else for not taken.
    fn event_reply(&self, event: &Event, code: i32, message: &str, data_json: Option<&str>)
    -> Result<String>;

    /// What a callback tells of a machine's movement.
    fn event_movement(&self, _event: &Event) -> Option<Physical> {
        None
    }

    /// What a callback that the platform signed proves of an act whose answer was lost; `None` if it is about another
    /// one.
    fn event_verdict(&self, _known: &Known<'_>, _event: &Event) -> Option<Verdict> {
        None
    }
}

/// One platform with one account's settings.
pub trait Platform: Speaks + Recovers + CallsBack {}

impl<T: Speaks + Recovers + CallsBack> Platform for T {}

/// The platform that a configuration is for. Refuses what cannot work.
pub fn make(config: &Settings) -> Result<Box<dyn Platform>> {
    match config.platform() {
        Kind::Yopoint => Ok(Box::new(yopoint::Yopoint::new(config)?)),
        Kind::Dingshang => Ok(Box::new(dingshang::Dingshang::new(config)?)),
        Kind::Youzan => Ok(Box::new(youzan::Youzan::new(config)?)),
        Kind::Zhiyun => Ok(Box::new(zhiyun::Zhiyun::new(config)?)),
    }
}

/// The answer to a verb that a platform does not have.
fn unsupported(kind: Kind, op: &Op<'_>) -> Error {
    let verb = match op {
        Op::Ping => "ping",
        Op::CabinetList { .. } => "cabinet_list",
        Op::Stock { .. } => "stock_fetch",
        Op::DoorOpen(_) => "door_open",
        Op::OrderGet(_) => "order_get",
        Op::OrderList { .. } => "order_list",
        Op::RefundApply(_) => "refund_apply",
        Op::AppealFile(_) => "appeal_file",
        Op::PaymentReport(_) => "payment_report",
        Op::OrderCreate(_) => "order_create",
        Op::CodeLookup(_) => "code_lookup",
        Op::CodeList(_) => "code_list",
        Op::CodeCreate(_) => "code_create",
        Op::CodeCancel(_) => "code_cancel",
        Op::CodeRedeem(_) => "code_redeem",
        Op::UserGet => "user_get",
        Op::CompanyGet => "company_get",
        Op::Call { .. } => "call",
    };
    Error::new(KL_E_UNSUPPORTED, format!("{} has no {verb}; nothing was sent", kind.name()))
}

/// The address that `base_url` or a platform itself names, checked against `allow_http`.
fn address(config: &Settings, name: &str, text: &str) -> Result<Url> {
    let url = Url::parse(text).map_err(|why| Error::new(KL_E_CONFIG_VALUE, format!("{name}: {why}")))?;
    if url.scheme == Scheme::Http && !config.yes("allow_http") {
        return Err(Error::new(
            KL_E_CONFIG_VALUE,
            format!("{name} is plain http; use https, or set allow_http=yes on a test desk"),
        ));
    }
    Ok(url)
}

/// What an HTTP status says when the body is no answer of the platform; `None` for 2xx.
fn http_error(reply: &Reply) -> Option<Error> {
    let status = i32::from(reply.status);
    let (code, what) = match reply.status {
        200..=299 => return None,
        300..=399 => (KL_E_HTTP, "a redirect; is there a captive portal, or is base_url wrong?"),
        401 => (KL_E_AUTH, "unauthorised"),
        403 => (KL_E_PERMISSION, "forbidden"),
        404 | 405 => (KL_E_HTTP, "no such path; is base_url right?"),
        407 => (KL_E_PROXY, "the proxy wants a password"),
        429 => (KL_E_RATE_LIMIT, "too many calls"),
        500..=599 => (KL_E_HTTP, "the platform is in trouble"),
        _ => (KL_E_HTTP, "not an answer"),
    };
    let wait = reply.headers.get("retry-after").and_then(|v| v.trim().parse::<u32>().ok()).unwrap_or(0);
    Some(Error::new(code, format!("HTTP {status}: {what}")).with(|d| {
        d.http_status = status;
        d.retry_after_ms = wait.saturating_mul(1000);
    }))
}
