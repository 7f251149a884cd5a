//! 有赞云 (Youzan Cloud), the open platform of shops: pickup codes, e-vouchers, orders, goods.
//!
//! Follows <https://doc.youzanyun.com>. Every call is a POST of JSON with the token in the query. What is inferred is said
//! at the item, and `docs/platforms/youzan.md` lists it.

mod answers;
mod callbacks;
mod records;
mod refusals;
mod requests;
mod tokens;

pub mod keys;
pub mod recovery;

use super::refusals::Refusals;
use super::{Answer, Draft, Kind, Moment, Nature, Op, Speaks, TokenSource, address};
use crate::error::Result;
use crate::json::Complains as _;
use crate::json::{self, Bad, Json, Tape};
use crate::settings::Settings;
use crate::transport::{Reply, Url};
pub use recovery::PROOF;
pub(super) use refusals::API_PACK as REFUSALS;

const GATEWAY: &str = "https://open.youzanyun.com";

/// One application with one shop on Youzan.
pub(super) struct Youzan {
    gateway: Url,
    client_id: String,
    client_secret: String,
    grant_id: String,
    /// The operator declares that nobody else redeems codes of this shop.
    sole_redeemer: bool,
    refusals: Refusals,
    token_refusals: Refusals,
}

impl Youzan {
    /// Refuses missing credentials, a bad address and an unreadable `refusals_file`.
    pub(super) fn new(config: &Settings) -> Result<Youzan> {
        let mut gateway = address(config, "base_url", config.get("base_url").unwrap_or(GATEWAY))?;
        let prefix = gateway.path_and_query.trim_end_matches('/');
        let prefix = prefix.strip_suffix("/api").unwrap_or(prefix);
        gateway.path_and_query = [prefix, "/"].concat();
        Ok(Youzan {
            gateway,
            client_id: config.need("client_id")?.to_owned(),
            client_secret: config.need("client_secret")?.to_owned(),
            grant_id: config.need("grant_id")?.to_owned(),
            sole_redeemer: config.yes("sole_redeemer"),
            refusals: Refusals::of_account(refusals::API_PACK.table(), config)?,
            token_refusals: Refusals::new(refusals::TOKEN_PACK.table()),
        })
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
        requests::nature(op)
    }

    fn canonical_code(&self, code: &str) -> String {
        requests::spelling(code)
    }

    fn draft<'a>(&'a self, op: &Op<'a>) -> Result<Draft<'a>> {
        let (method, body) = requests::body(op)?;
        let seal = move |moment: &Moment<'_>| self.api_request(method, &body, moment.token);
        Ok(Draft { url: self.gateway.clone().into(), seal: Box::new(seal) })
    }

    fn answer(&self, op: &Op<'_>, reply: &Reply) -> Result<Answer> {
        let text = json::decoded(&reply.body);
        let mut tape = Tape::default();
        let payload = answers::payload(reply, &text, &mut tape, &self.refusals)?;
        let bad = |b: Bad| b.under(payload.at).error("the answer");
        Ok(match op {
            Op::CabinetList { .. } => Answer::Cabinets(payload.page("list", "count", records::cabinet)?),
            Op::Stock { .. } => Answer::Stock(payload.page("items", "count", records::stock_item)?),
            Op::OrderList { query, .. } => {
                let order = |record: Json<'_>| records::listed_order(record, query.kind);
                Answer::Orders(payload.page("full_order_info_list", "total_results", order)?)
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
        refusals::RATE_PAUSE_MS << refusals.saturating_sub(1).min(4)
    }

    fn order_list_bounds(&self) -> Option<(i64, u32)> {
        Some((requests::LONGEST_PERIOD_S, requests::LAST_PAGE))
    }
}

#[cfg(test)]
mod tests;
