//! 有赞云 (Youzan Cloud), the open platform of shops: pickup codes, e-vouchers, orders, goods.
//!
//! Follows <https://doc.youzanyun.com>. Every call is a POST of JSON with the token in the query. What is inferred is said
//! at the item, and `docs/platforms/youzan.md` lists it.

mod answer;
mod push;
mod records;

pub mod keys;

use super::{
    Answer, CallsBack, Draft, Kind, Known, Maturity, Moment, Nature, Op, Query, Recovers, Speaks, Token,
    TokenSource, Verdict, Way, address, form, lenient, unsupported,
};
use crate::command::{Act, Physical};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::json::{self, Bad, Json, Writer};
use crate::model::*;
use crate::settings::Settings;
use crate::status::*;
use crate::transport::{Reply, Request, Url};

const GATEWAY: &str = "https://open.youzanyun.com";
/// The largest page of most lists.
const LARGEST_PAGE: u32 = 100;
/// The last page of most lists.
const LAST_PAGE: u32 = 100;
/// Goods are listed to `page_no * page_size` < 4000, in pages of fewer than 200.
const LARGEST_GOODS_PAGE: u32 = 199;
const GOODS_REACH: u32 = 4000;
/// Three months at their shortest: 1 February to 1 May.
const LONGEST_PERIOD_S: i64 = 89 * 86_400;
/// A renewal is tried this long before a token's end.
const RENEW_BEFORE_MS: i64 = 5 * 60_000;

/// A request that was not carried out by then will not be: no gateway waits so long.

const TRADE_GET: &str = "youzan.trade.get/4.0.1";
const TRADES_SOLD_GET: &str = "youzan.trades.sold.get/4.0.4";
const ITEMS_ONSALE_GET: &str = "youzan.items.onsale.get/3.0.0";
const OFFLINE_SEARCH: &str = "youzan.multistore.offline.search/3.0.0";
const SELFFETCH_GET: &str = "youzan.trade.selffetchcode.get/3.0.0";
const SELFFETCH_APPLY: &str = "youzan.trade.selffetchcode.apply/3.0.0";
const VIRTUALCODE_GET: &str = "youzan.trade.virtualcode.get/3.0.0";
const VIRTUALCODE_APPLY: &str = "youzan.trade.virtualcode.apply/3.0.0";
const TICKET_GET: &str = "youzan.trade.virtualticket.get/3.0.0";
const TICKET_VERIFY: &str = "youzan.trade.virtualticket.verifyticket/3.0.0";
const TICKET_VERIFY_ALL: &str = "youzan.trade.virtualticket.verifycode/3.0.0";

/// APIs that redeem: only through the verb that keeps them to once.
const COMMANDS: &[&str] = &[
    "youzan.trade.selffetchcode.apply",
    "youzan.trade.selffetch.apply",
    "youzan.trade.virtualcode.apply",
    "youzan.trade.virtualticket.verifyticket",
    "youzan.trade.virtualticket.verifycode",
    "youzan.trade.virtualticket.third.batch.verify",
];
/// Last words of APIs that only read.
const READ_ENDINGS: &[&str] = &["get", "search", "list", "query", "record"];
const QUANTITY_UPDATE: &str = "youzan.item.quantity.update";

const EXEMPT: &str = "auth_exempt/";
const RICH_TEXT: &str = "_textarea_/";

/// One application with one shop on Youzan.
pub(super) struct Youzan {
    gateway: Url,
    client_id: String,
    client_secret: String,
    grant_id: String,
}

impl Youzan {
    /// Refuses missing credentials and a bad address.
    pub(super) fn new(config: &Settings) -> Result<Youzan> {
        let mut gateway = address(config, "base_url", config.get("base_url").unwrap_or(GATEWAY))?;
        let prefix = gateway.path_and_query.trim_end_matches('/').trim_end_matches("/api");
        gateway.path_and_query = [prefix, "/"].concat();
        Ok(Youzan {
            gateway,
            client_id: config.need("client_id")?.to_owned(),
            client_secret: config.need("client_secret")?.to_owned(),
            grant_id: config.need("grant_id")?.to_owned(),
        })
    }

    fn at(&self, path: &[&str]) -> Url {
        let mut url = self.gateway.clone();
        path.iter().for_each(|part| url.path_and_query.push_str(part));
        url
    }

    fn api_request(&self, method: &str, body: &str, token: &str) -> Request {
        let mut url = self.at(&["api/", method]);
        if !method.starts_with(EXEMPT) {
            // The query is the only place where it is looked for.
            url.path_and_query.push_str("?access_token=");
            form::escape(&mut url.path_and_query, token);
        }
        post(url, body.to_owned())
    }
}

impl Speaks for Youzan {
    fn kind(&self) -> Kind {
        Kind::Youzan
    }

    fn origin(&self) -> &Url {
        &self.gateway
    }

    fn nature(&self, op: &Op<'_>) -> Result<Nature> {
        match op {
            Op::Ping
            | Op::CabinetList { .. }
            | Op::Stock { .. }
            | Op::OrderGet(_)
            | Op::OrderList { .. }
            | Op::CodeLookup(_) => Ok(Nature::Read),
            Op::CodeRedeem(_) => Ok(Nature::Command),
            Op::Call { method, params_json } => call_nature(method, params_json),
            _ => Err(unsupported(self.kind(), op)),
        }
    }

    fn draft<'a>(&'a self, op: &Op<'a>) -> Result<Draft<'a>> {
        let (method, body) = match *op {
            Op::Call { method, params_json } => {
                api_name(method)?;
                let params = if params_json.trim().is_empty() { "{}" } else { params_json };
                json::params(params, "params_json")?;
                (method, params.to_owned())
            }
            Op::CabinetList { page } => {
                let mut w = Writer::new();
                w.text("type", "self_fetch");
                (OFFLINE_SEARCH, paged(w, &page)?.finish())
            }
            Op::Stock { page, extra_json, .. } => {
                let size = if page.size == 0 { LARGEST_PAGE } else { page.size };
                if size > LARGEST_GOODS_PAGE {
                    return Err(argument(format!(
                        "a page of {size} is more than Youzan's {LARGEST_GOODS_PAGE}"
                    )));
                }
                if page.number.saturating_mul(size) >= GOODS_REACH {
                    return Err(argument(format!(
                        "Youzan lists no more than {GOODS_REACH} goods; choose fewer with tag_id or q in extra_json"
                    )));
                }
                let mut w = Writer::new();
                w.int("page_no", page.number.into()).int("page_size", size.into());
                (ITEMS_ONSALE_GET, w.finish_with(extra_json)?)
            }
            Op::OrderGet(r) => {
                if r.order_no.is_empty() {
                    return Err(argument("Youzan finds an order by order_no; it is empty".into()));
                }
                let mut w = Writer::new();
                w.text("tid", &r.order_no);
                (TRADE_GET, w.finish_with(r.extra_json.as_deref())?)
            }
            Op::OrderList { query, page } => {
                if query.from < 0 || query.to < query.from {
                    return Err(argument("the period must have from <= to, in Unix seconds".into()));
                }
                if query.to - query.from >= LONGEST_PERIOD_S {
                    return Err(argument(
                        "one page of Youzan's orders covers at most three months (89 days); without a page longer \
                         periods are split"
                            .into(),
                    ));
                }
                let mut w = Writer::new();
                w.text("start_created", &lenient::china_text(query.from));
                w.text("end_created", &lenient::china_text(query.to));
                (TRADES_SOLD_GET, paged(w, &page)?.finish_with(query.extra_json.as_deref())?)
            }
            Op::CodeLookup(q) => {
                let mut w = Writer::new();
                let method = match q.kind {
                    CodeKind::Pickup => {
                        w.text("code", selffetch_code(&q.code)?);
                        SELFFETCH_GET
                    }
                    CodeKind::Virtual => {
                        w.text("code", some_code(&q.code)?);
                        VIRTUALCODE_GET
                    }
                    CodeKind::Voucher if voucher(&q.code)? == Voucher::Ticket => {
                        return Err(argument(
                            "Youzan looks vouchers up by the 20 digits of their QR code; this is the number of one \
                             ticket"
                                .into(),
                        ));
                    }
                    CodeKind::Voucher => {
                        w.text("code", &q.code);
                        TICKET_GET
                    }
                };
                (method, w.finish_with(q.extra_json.as_deref())?)
            }
            Op::CodeRedeem(r) => {
                if !r.notify_url.is_empty() {
                    return Err(argument("Youzan takes no notify_url when a code is redeemed".into()));
                }
                let mut w = Writer::new();
                let method = match r.kind {
                    CodeKind::Pickup => {
                        w.text("code", selffetch_code(&r.code)?).text("extra_info", &r.redeemer);
                        SELFFETCH_APPLY
                    }
                    CodeKind::Virtual => {
                        w.text("code", some_code(&r.code)?);
                        VIRTUALCODE_APPLY
                    }
                    CodeKind::Voucher => match voucher(&r.code)? {
                        Voucher::Ticket => {
                            w.text("ticket_code", &r.code);
                            TICKET_VERIFY
                        }
                        Voucher::QrCode => {
                            w.text("code", &r.code);
                            TICKET_VERIFY_ALL
                        }
                    },
                };
                (method, w.finish_with(r.extra_json.as_deref())?)
            }
            _ => return Err(unsupported(self.kind(), op)),
        };
        let seal = move |moment: &Moment<'_>| self.api_request(method, &body, moment.token);
        Ok(Draft { url: self.gateway.clone(), seal: Box::new(seal) })
    }

    fn answer(&self, op: &Op<'_>, reply: &Reply) -> Result<Answer> {
        let payload = answer::payload(reply)?;
        let bad = |b: Bad| b.under(payload.at).error("the answer");
        Ok(match op {
            Op::CabinetList { .. } => {
                Answer::Cabinets(payload.page(&["list"], &["count"], records::cabinet)?)
            }
            Op::Stock { .. } => Answer::Stock(payload.page(&["items"], &["count"], records::stock_item)?),
            Op::OrderList { query, .. } => {
                let order = |record: Json<'_>| records::listed_order(record, query.kind);
                Answer::Orders(payload.page(&["full_order_info_list"], &["total_results"], order)?)
            }
            Op::OrderGet(r) => {
                let order = records::order(payload.data()?, r.kind).map_err(bad)?;
                Answer::Order(Box::new(order))
            }
            Op::CodeLookup(q) => Answer::Code(Box::new(records::code(payload.data()?, q).map_err(bad)?)),
            Op::CodeRedeem(_) => Answer::Taken(records::redeemed(payload.data()?).map_err(bad)?),
            _ => Answer::Json(payload.data.map_or("null", Json::text).to_owned()),
        })
    }

    fn checks_time(&self) -> bool {
        false
    }

    fn tokens(&self) -> Option<&dyn TokenSource> {
        Some(self)
    }

    fn rate_pause_ms(&self, refusals: u32) -> u32 {
        // 3, 6, 12, 24, 48 seconds, as the vendor asks.
        answer::RATE_PAUSE_MS << refusals.saturating_sub(1).min(4)
    }

    fn order_list_bounds(&self) -> Option<(i64, u32)> {
        Some((LONGEST_PERIOD_S, LAST_PAGE))
    }
}

impl Recovers for Youzan {
    fn proves_not_done(&self, error: &Error) -> bool {
        let d = error.details();
        // Only a refusal that says what was wrong: 系统异常 and its like may come after the code was marked as used.
        d.platform_code != 0 && d.status != KL_E_PLATFORM
            || matches!(d.http_status, 301..=308 | 400..=407 | 411 | 413..=415 | 429 | 431)
    }

    fn maturity(&self, _act: &Act) -> Maturity {
        Maturity { hold_ms: 60_000, reason: "" }
    }

    fn queries(&self, known: &Known<'_>) -> Vec<Query> {
        self.fate_query(known.act).into_iter().collect()
    }

    fn judge(&self, known: &Known<'_>, _query: &Query, answer: &Result<Answer>) -> Verdict {
        match answer {
            Ok(answer) => self.fate(known.act, known, answer),
            Err(_) => Verdict::Unknown("the platform knows nothing of it, which proves nothing".to_owned()),
        }
    }
}

impl CallsBack for Youzan {
    fn event(&self, headers: &str, body: &[u8], _now_ms: i64) -> Result<Event> {
        push::event(&self.client_id, &self.client_secret, headers, body)
    }

    fn event_reply(
        &self,
        _event: &Event,
        code: i32,
        _message: &str,
        _data_json: Option<&str>,
    ) -> Result<String> {
        // The code stays 0 in both: the platform looks for the word.
        let word = if code == 0 { "success" } else { "failed" };
        Ok(["{\"code\":0,\"msg\":\"", word, "\"}"].concat())
    }
}

impl Youzan {
    pub(super) fn fate_query(&self, act: &Act) -> Option<Query> {
        let Act::Redeem(r) = act else { return None };
        // One ticket has no lookup of its own, only the QR code that it belongs to.
        if r.kind == CodeKind::Voucher && voucher(&r.code).ok()? == Voucher::Ticket {
            return None;
        }
        Some(Query::Code(CodeQuery { kind: r.kind, code: r.code.clone(), ..CodeQuery::default() }))
    }

    pub(super) fn fate(&self, _act: &Act, known: &Known<'_>, answer: &Answer) -> Verdict {
        let Answer::Code(code) = answer else {
            return Verdict::Unknown("the platform answered with something else".to_owned());
        };
        match (code.state, known.sent.map(|s| s.earliest_ms / 1000)) {
            // The platform's seconds on both sides: used before it was begun, it was used by somebody else.
            (CodeState::Used, Some(started)) if code.used_at + 1 >= started => {
                let receipt = Receipt {
                    order_no: code.order_no.clone(),
                    json: code.json.clone(),
                    ..Receipt::default()
                };
                Verdict::Done(receipt, Physical::None, String::new())
            }
            (CodeState::Used, Some(_)) if code.used_at > 0 => {
                Verdict::NotDone("the code was used before, by somebody else".to_owned())
            }
            (CodeState::Used, _) => Verdict::Unknown("the code is used, but not known since when".to_owned()),
            (CodeState::Unused | CodeState::Expired, _) if known.mature => {
                Verdict::NotDone("the code is not used".to_owned())
            }
            (CodeState::Unused | CodeState::Expired, _) => Verdict::Unknown(
                "the code is not used, but the request may still be on its way: ask again in a minute"
                    .to_owned(),
            ),
            _ => Verdict::Unknown("the code's state says nothing about its use".to_owned()),
        }
    }
}

impl TokenSource for Youzan {
    fn needed(&self, op: &Op<'_>) -> bool {
        match op {
            Op::Ping => false,
            Op::Call { method, .. } => !method.starts_with(EXEMPT),
            _ => true,
        }
    }

    fn account(&self) -> Option<String> {
        Some([&self.client_id, "-", &self.grant_id].concat())
    }

    fn renew_before_ms(&self) -> i64 {
        RENEW_BEFORE_MS
    }

    fn draft<'a>(&'a self, way: Way, old: Option<&'a Token>) -> Result<Draft<'a>> {
        let mut w = Writer::new();
        w.text("client_id", &self.client_id).text("client_secret", &self.client_secret);
        match (way, old) {
            (Way::Exchange, Some(old)) => {
                w.text("authorize_type", "refresh_token").text("refresh_token", &old.refresh);
            }
            _ => {
                w.text("authorize_type", "silent").text("grant_id", &self.grant_id);
                w.raw("refresh", if way == Way::Forced { "true" } else { "false" });
            }
        }
        let body = w.finish();
        let seal = move |_: &Moment<'_>| post(self.at(&["auth/token"]), body.clone());
        Ok(Draft { url: self.gateway.clone(), seal: Box::new(seal) })
    }

    fn answer(&self, reply: &Reply, _sent_ms: i64) -> Result<Token> {
        let payload = answer::token_payload(reply)?;
        let read = || {
            let o = payload.data.ok_or_else(|| json::missing("access_token"))?.object()?;
            let access = lenient::text(&o, &["access_token"])?;
            if access.is_empty() {
                return Err(json::missing("access_token"));
            }
            Ok(Token {
                access,
                refresh: lenient::text(&o, &["refresh_token"])?,
                // A point in time, in milliseconds; not a duration.
                expires_ms: lenient::int(&o, &["expires"])?.ok_or_else(|| json::missing("expires"))?,
            })
        };
        read().map_err(|b: Bad| b.under(payload.at).error("the token's answer"))
    }

    fn is_dead(&self, error: &Error) -> bool {
        matches!(error.details().platform_code, 4201..=4203)
    }
}

/// What stands on a voucher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Voucher {
    /// The number of one ticket, 12 digits.
    Ticket,
    /// The number in the QR code, 20 digits, for all tickets of the order.
    QrCode,
}

fn voucher(code: &str) -> Result<Voucher> {
    match code.len() {
        12 if code.bytes().all(|b| b.is_ascii_digit()) => Ok(Voucher::Ticket),
        20 if code.bytes().all(|b| b.is_ascii_digit()) => Ok(Voucher::QrCode),
        _ => Err(argument("a voucher is the 12 digits of a ticket or the 20 digits of its QR code".into())),
    }
}

/// A QR code of the mini-program may carry a word before the code.
fn selffetch_code(code: &str) -> Result<&str> {
    some_code(code.strip_prefix("selfFetch").unwrap_or(code))
}

fn some_code(code: &str) -> Result<&str> {
    if code.trim().is_empty() { Err(argument("code is empty".into())) } else { Ok(code.trim()) }
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
            "method must be a name and a version like youzan.trade.get/4.0.0, auth_exempt/ or _textarea_/ before it \
             where the API asks for that"
                .into(),
        )),
    }
}

fn call_nature(method: &str, params_json: &str) -> Result<Nature> {
    let name = api_name(method)?;
    if COMMANDS.contains(&name) {
        return Err(argument(format!(
            "{name} redeems and cannot be undone: use kl_code_redeem, which never does it twice"
        )));
    }
    if name == QUANTITY_UPDATE {
        // To set a number twice is to set it once; to add it twice is not.
        let params = if params_json.trim().is_empty() { "{}" } else { params_json };
        let kind = json::params(params, "params_json")
            .and_then(|o| lenient::int(&o, &["type"]).map_err(|b| argument(b.sentence("params_json"))))?;
        return Ok(if kind.unwrap_or(0) == 0 { Nature::Repeatable } else { Nature::Write });
    }
    let last = name.rsplit('.').next().unwrap_or("");
    let reads = READ_ENDINGS.contains(&last) || name.contains(".open.query.");
    Ok(if reads { Nature::Read } else { Nature::Write })
}

fn post(url: Url, body: String) -> Request {
    Request {
        method: "POST",
        url,
        headers: vec![
            ("Content-Type", "application/json".to_owned()),
            ("Accept", "application/json".to_owned()),
        ],
        body: body.into_bytes(),
    }
}

fn paged(mut w: Writer, page: &PageRequest) -> Result<Writer> {
    let size = if page.size == 0 { LARGEST_PAGE } else { page.size };
    if size > LARGEST_PAGE || page.number > LAST_PAGE {
        return Err(argument(format!(
            "Youzan gives {LAST_PAGE} pages of {LARGEST_PAGE} at most; page {} of {size} is beyond",
            page.number
        )));
    }
    w.int("page_no", page.number.into()).int("page_size", size.into());
    Ok(w)
}

fn argument(message: String) -> Error {
    Error::new(KL_E_ARGUMENT, message)
}

#[cfg(test)]
mod tests;
