//! What goes out: which API a verb is, and with which parameters.

use super::super::toolbox::{argument, canonical_code, keep_reserved, required};
use super::super::{Kind, Nature, Op, unsupported};
use super::Youzan;
use crate::error::{Error, Result};
use crate::json::FinishWith as _;
use crate::json::{self, Writer};
use crate::model::*;
use crate::status::*;
use crate::time::calendar;
use crate::transport::{Request, Url};
use kiosklink_wire::form;

/// The largest page of most lists.
const LARGEST_PAGE: u32 = 100;
/// The last page of most lists.
pub(super) const LAST_PAGE: u32 = 100;
/// Goods are listed to `page_no * page_size` < 4000, in pages of fewer than 200.
const LARGEST_GOODS_PAGE: u32 = 199;
const GOODS_REACH: u32 = 4000;
/// Three months at their shortest: 1 February to 1 May.
pub(super) const LONGEST_PERIOD_S: i64 = 89 * 86_400;

pub(super) const TRADE_GET: &str = "youzan.trade.get/4.0.1";
pub(super) const TRADES_SOLD_GET: &str = "youzan.trades.sold.get/4.0.4";
pub(super) const ITEMS_ONSALE_GET: &str = "youzan.items.onsale.get/3.0.0";
pub(super) const OFFLINE_SEARCH: &str = "youzan.multistore.offline.search/3.0.0";
pub(super) const SELFFETCH_GET: &str = "youzan.trade.selffetchcode.get/3.0.0";
pub(super) const SELFFETCH_APPLY: &str = "youzan.trade.selffetchcode.apply/3.0.0";
pub(super) const VIRTUALCODE_GET: &str = "youzan.trade.virtualcode.get/3.0.0";
pub(super) const VIRTUALCODE_APPLY: &str = "youzan.trade.virtualcode.apply/3.0.0";
pub(super) const TICKET_GET: &str = "youzan.trade.virtualticket.get/3.0.0";
pub(super) const TICKET_VERIFY: &str = "youzan.trade.virtualticket.verifyticket/3.0.0";
pub(super) const TICKET_VERIFY_ALL: &str = "youzan.trade.virtualticket.verifycode/3.0.0";

/// APIs that redeem: only through the verb that keeps them to once.
pub(super) const COMMANDS: &[&str] = &[
    "youzan.trade.selffetchcode.apply",
    "youzan.trade.selffetch.apply",
    "youzan.trade.virtualcode.apply",
    "youzan.trade.virtualticket.verifyticket",
    "youzan.trade.virtualticket.verifycode",
    "youzan.trade.virtualticket.third.batch.verify",
];
/// Last words of APIs that only read.
const READ_ENDINGS: &[&str] = &["get", "search", "list", "query", "record"];

/// Before the name of an API that takes no token.
pub(super) const EXEMPT: &str = "auth_exempt/";
const RICH_TEXT: &str = "_textarea_/";

/// What the mini-program may write before a self-fetch code in a QR code.
const QR_PREFIX: &str = "selfFetch";

/// How freely an operation may be repeated.
pub(super) fn nature(op: &Op<'_>) -> Result<Nature> {
    match op {
        Op::Ping
        | Op::CabinetList { .. }
        | Op::Stock { .. }
        | Op::OrderGet(_)
        | Op::OrderList { .. }
        | Op::CodeLookup(_) => Ok(Nature::Read),
        Op::CodeRedeem(_) => Ok(Nature::Command),
        Op::Call { method, .. } => call_nature(method),
        _ => Err(unsupported(Kind::Youzan, op)),
    }
}

/// The API of an operation and the body of its request.
pub(super) fn body<'a>(op: &Op<'a>) -> Result<(&'a str, String)> {
    match *op {
        Op::Call { method, params_json } => {
            api_name(method)?;
            let params = if params_json.trim().is_empty() { "{}" } else { params_json };
            json::params(params, "params_json")?;
            Ok((method, params.to_owned()))
        }
        Op::CabinetList { page } => {
            let mut w = Writer::new();
            w.text("type", "self_fetch");
            Ok((OFFLINE_SEARCH, paged(w, &page)?.finish()))
        }
        Op::Stock { page, extra_json, .. } => stock(page, extra_json),
        Op::OrderGet(r) => {
            let mut w = Writer::new();
            w.text("tid", required("order_no", &r.order_no)?);
            Ok((TRADE_GET, whole(w, r.extra_json.as_deref(), &["tid"])?))
        }
        Op::OrderList { query, page } => order_list(query, page),
        Op::CodeLookup(q) => lookup(q),
        Op::CodeRedeem(r) => redeem(r),
        _ => Err(unsupported(Kind::Youzan, op)),
    }
}

/// The text of a request's body with the caller's own parameters, which replace none of `reserved`.
fn whole(w: Writer, extra_json: Option<&str>, reserved: &[&str]) -> Result<String> {
    keep_reserved(extra_json, reserved)?;
    w.finish_with(extra_json)
}

fn stock(page: PageRequest, extra_json: Option<&str>) -> Result<(&'static str, String)> {
    let size = if page.size == 0 { LARGEST_PAGE } else { page.size };
    if size > LARGEST_GOODS_PAGE {
        return Err(argument("page_size", "is more than Youzan's 199 goods"));
    }
    if page.number.saturating_mul(size) >= GOODS_REACH {
        let why =
            "is too far: Youzan lists no more than 4000 goods; choose fewer with tag_id or q in extra_json";
        return Err(argument("page", why));
    }
    let mut w = Writer::new();
    w.int("page_no", page.number.into()).int("page_size", size.into());
    Ok((ITEMS_ONSALE_GET, whole(w, extra_json, &["page_no", "page_size"])?))
}

fn order_list(query: &OrderQuery, page: PageRequest) -> Result<(&'static str, String)> {
    if query.from < 0 || query.to < query.from {
        return Err(argument("the period", "must have from <= to, in Unix seconds"));
    }
    if query.to - query.from >= LONGEST_PERIOD_S {
        let why = "is too long: one page of Youzan's orders covers at most three months (89 days); without a page \
                   longer periods are split";
        return Err(argument("the period", why));
    }
    let mut w = Writer::new();
    w.text("start_created", &calendar::to_wall(query.from).unwrap_or_default());
    w.text("end_created", &calendar::to_wall(query.to).unwrap_or_default());
    let reserved = ["start_created", "end_created", "page_no", "page_size"];
    Ok((TRADES_SOLD_GET, whole(paged(w, &page)?, query.extra_json.as_deref(), &reserved)?))
}

fn lookup(q: &CodeQuery) -> Result<(&'static str, String)> {
    let code = code_on_the_wire(q.kind, &q.code)?;
    let method = match q.kind {
        CodeKind::Pickup => SELFFETCH_GET,
        CodeKind::Virtual => VIRTUALCODE_GET,
        CodeKind::Voucher if voucher(&code)? == Voucher::Ticket => {
            let why =
                "is the number of one ticket; Youzan looks vouchers up by the 20 digits of their QR code";
            return Err(argument("code", why));
        }
        CodeKind::Voucher => TICKET_GET,
    };
    let mut w = Writer::new();
    w.text("code", &code);
    Ok((method, whole(w, q.extra_json.as_deref(), &["code"])?))
}

fn redeem(r: &RedeemRequest) -> Result<(&'static str, String)> {
    if !r.notify_url.is_empty() {
        return Err(argument("notify_url", "is not taken by Youzan when a code is redeemed"));
    }
    let code = code_on_the_wire(r.kind, &r.code)?;
    let mut w = Writer::new();
    let method = match r.kind {
        CodeKind::Pickup => {
            w.text("code", &code).text("extra_info", &extra_info(r));
            SELFFETCH_APPLY
        }
        CodeKind::Virtual => {
            w.text("code", &code);
            VIRTUALCODE_APPLY
        }
        CodeKind::Voucher => match voucher(&code)? {
            Voucher::Ticket => {
                w.text("ticket_code", &code);
                TICKET_VERIFY
            }
            Voucher::QrCode => {
                w.text("code", &code);
                TICKET_VERIFY_ALL
            }
        },
    };
    Ok((method, whole(w, r.extra_json.as_deref(), &["code", "ticket_code", "extra_info"])?))
}

/// Who redeems, in the platform's books, and last the number by which the record shows that it was this command: the
/// caller's own, or else the library's.
fn extra_info(r: &RedeemRequest) -> String {
    let mark = if r.trade_no.is_empty() { &r.mark } else { &r.trade_no };
    if r.redeemer.is_empty() || mark.is_empty() {
        return [r.redeemer.as_str(), mark].concat();
    }
    [&r.redeemer, " ", mark].concat()
}

/// What stands on a voucher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voucher {
    /// The number of one ticket, 12 digits.
    Ticket,
    /// The number in the QR code, 20 digits, for all tickets of the order.
    QrCode,
}

/// Which of the two a canonical code is.
pub(super) fn voucher(code: &str) -> Result<Voucher> {
    match code.len() {
        12 if code.bytes().all(|b| b.is_ascii_digit()) => Ok(Voucher::Ticket),
        20 if code.bytes().all(|b| b.is_ascii_digit()) => Ok(Voucher::QrCode),
        _ => {
            Err(argument("code", "of a voucher is the 12 digits of a ticket or the 20 digits of its QR code"))
        }
    }
}

/// The one spelling of a code: a QR code of the mini-program may carry a word before it.
pub(super) fn spelling(code: &str) -> String {
    let plain = canonical_code(code);
    match plain.strip_prefix(QR_PREFIX) {
        Some(bare) if !bare.is_empty() => bare.to_owned(),
        _ => plain,
    }
}

fn code_on_the_wire(kind: CodeKind, code: &str) -> Result<String> {
    let code = if kind == CodeKind::Pickup { spelling(code) } else { canonical_code(code) };
    required("code", &code)?;
    Ok(code)
}

/// `youzan.trade.get/4.0.0`, with or without a prefix; gives the name.
fn api_name(method: &str) -> Result<&str> {
    let bare = [EXEMPT, RICH_TEXT].iter().find_map(|p| method.strip_prefix(p)).unwrap_or(method);
    let good = |name: &str, version: &str| {
        name.contains('.')
            && name.split('.').all(|word| {
                !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
            })
            && version.split('.').count() == 3
            && version.split('.').all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    match bare.split_once('/') {
        Some((name, version)) if good(name, version) => Ok(name),
        _ => Err(argument(
            "method",
            "must be a name and a version like youzan.trade.get/4.0.0, auth_exempt/ or _textarea_/ before it where \
             the API asks for that",
        )),
    }
}

/// Only reads are repeated. To set a stock (`item.quantity.update` with type 0) twice is not to set it once: what was sold
/// between the two is on sale again.
fn call_nature(method: &str) -> Result<Nature> {
    let name = api_name(method)?;
    // The gateway's own opinion on letter case is not documented.
    if COMMANDS.iter().any(|command| command.eq_ignore_ascii_case(name)) {
        let sentence = [name, " redeems and cannot be undone: use kl_code_redeem, which never does it twice"];
        return Err(Error::new(KL_E_ARGUMENT, sentence.concat()));
    }
    let last = name.rsplit('.').next().unwrap_or("");
    let reads = READ_ENDINGS.contains(&last) || name.contains(".open.query.");
    Ok(if reads { Nature::Read } else { Nature::Write })
}

fn paged(mut w: Writer, page: &PageRequest) -> Result<Writer> {
    let size = if page.size == 0 { LARGEST_PAGE } else { page.size };
    if size > LARGEST_PAGE || page.number > LAST_PAGE {
        return Err(argument("page", "is too far: Youzan gives 100 pages of 100 at most"));
    }
    w.int("page_no", page.number.into()).int("page_size", size.into());
    Ok(w)
}

impl Youzan {
    pub(super) fn at(&self, path: &[&str]) -> Url {
        let mut url = self.gateway.clone();
        path.iter().for_each(|part| url.path_and_query.push_str(part));
        url
    }

    pub(super) fn api_request(&self, method: &str, body: &str, token: &str) -> Request {
        let mut url = self.at(&["api/", method]);
        if !method.starts_with(EXEMPT) {
            // The query is the only place where it is looked for.
            url.path_and_query.push_str("?access_token=");
            form::escape(&mut url.path_and_query, token);
        }
        post(url, body.to_owned())
    }
}

/// A POST of JSON.
pub(super) fn post(url: Url, body: String) -> Request {
    Request {
        method: "POST",
        url: url.into(),
        headers: vec![("Content-Type", "application/json".into()), ("Accept", "application/json".into())],
        body: body.into_bytes(),
    }
}
