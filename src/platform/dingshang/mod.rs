//! 鼎商 (Dingshang), Open API v1: vending machines, lockers and pickup codes.
//!
//! The vendor has withdrawn the pages that described it; they are read from its public repository
//! <https://github.com/dsjsdz/docs>, folder `docs/open`. What is inferred is said at the item, and
//! `docs/platforms/dingshang.md` lists it.

mod answers;
mod callbacks;
pub mod keys;
mod procedures;
mod records;
pub mod recovery;
mod refusals;
mod requests;
#[cfg(test)]
mod tests;

use super::refusals::Refusals;
use super::{
    Answer, CallsBack, Draft, Kind, Known, Maturity, Nature, Op, Procedure, Query, Recovers, Speaks, Verdict,
    address,
};
use crate::command::{Act, Physical};
use crate::error::{Error, Result};
use crate::event::{Event, EventKind};
use crate::model::*;
use crate::settings::Settings;
use crate::status::*;
use crate::transport::{Reply, Url};
pub use recovery::PROOF;
pub(super) use refusals::PACK as REFUSALS;

const KIND: Kind = Kind::Dingshang;
const PREFIX: &str = "/api/openapi/v1";
/// What every callback is.
const DELIVERY_RESPONSE: &str = "device.delivery.response";
const DELIVERY_PUT: &str = "device.delivery.put";

/// One account on Dingshang.
pub(super) struct Dingshang {
    base: Url,
    app_id: String,
    app_secret: String,
    app_key: String,
    query_encoded: bool,
    refusals: Refusals,
}

impl Dingshang {
    /// Refuses missing credentials, a bad address and a table of refusals that cannot be read.
    pub(super) fn new(config: &Settings) -> Result<Dingshang> {
        let mut base = address(config, "base_url", config.need("base_url")?)?;
        if base.path_and_query.contains('?') {
            return Err(Error::new(KL_E_CONFIG_VALUE, "base_url must not have a query"));
        }
        // The vendor's pages give the whole address; people paste it.
        let path = base.path_and_query.trim_end_matches('/');
        let path = path.strip_suffix(PREFIX).unwrap_or(path);
        base.path_and_query = [path, PREFIX].concat();
        let header = |name| {
            let value = config.need(name)?;
            if value.bytes().all(|b| b.is_ascii_graphic()) {
                return Ok(value.to_owned());
            }
            let why = [name, " goes into a header: only ASCII, and no blank in it"].concat();
            Err(Error::new(KL_E_CONFIG_VALUE, why))
        };
        Ok(Dingshang {
            base,
            app_id: header("app_id")?,
            app_secret: header("app_secret")?,
            app_key: config.need("app_key")?.to_owned(),
            query_encoded: config.get("sign_value_encoding") == Some("query"),
            refusals: Refusals::of_account(refusals::PACK.table(), config)?,
        })
    }
}

impl Speaks for Dingshang {
    fn kind(&self) -> Kind {
        KIND
    }

    fn origin(&self) -> &Url {
        &self.base
    }

    fn nature(&self, op: &Op<'_>) -> Result<Nature> {
        requests::nature(op)
    }

    fn draft<'a>(&'a self, op: &Op<'a>) -> Result<Draft<'a>> {
        self.request(op)
    }

    fn answer(&self, op: &Op<'_>, reply: &Reply) -> Result<Answer> {
        self.understood(op, reply)
    }

    fn procedure<'a>(&'a self, op: &Op<'a>) -> Option<Box<dyn Procedure + 'a>> {
        match *op {
            Op::CodeCreate(r) => Some(Box::new(procedures::CreateCodes::new(r))),
            Op::CodeRedeem(r) => Some(Box::new(procedures::Redeem::new(r))),
            _ => None,
        }
    }
}

impl Recovers for Dingshang {
    fn maturity(&self, act: &Act) -> Maturity {
        recovery::maturity(act)
    }

    /// A code is used once: the second time the platform names the order that used it.
    fn repeat_asks(&self, act: &Act) -> bool {
        matches!(act, Act::Redeem(_))
    }

    fn queries(&self, known: &Known<'_>) -> Vec<Query> {
        recovery::queries(known)
    }

    fn judge(&self, known: &Known<'_>, _query: &Query, answer: &Result<Answer>) -> Verdict {
        recovery::judge(known, answer)
    }

    fn movement_query(&self, act: &Act, receipt: &Receipt) -> Option<Query> {
        recovery::movement_query(act, receipt)
    }

    fn movement(&self, act: &Act, receipt: &Receipt, answer: &Answer) -> Option<(Physical, String)> {
        recovery::movement(act, receipt, answer)
    }
}

impl CallsBack for Dingshang {
    fn signs_events(&self) -> bool {
        false
    }

    fn event_status(&self, code: i32) -> u16 {
        // It reads nothing else.
        if code == 0 { 200 } else { 503 }
    }

    fn event(&self, _headers: &str, body: &[u8], _now_ms: i64) -> Result<Event> {
        callbacks::event(body)
    }

    fn event_reply(
        &self,
        _event: &Event,
        code: i32,
        message: &str,
        data_json: Option<&str>,
    ) -> Result<String> {
        callbacks::reply(code, message, data_json)
    }

    fn event_movement(&self, event: &Event) -> Option<Physical> {
        // Nobody signs it: a reason to ask, no more.
        (event.kind == EventKind::Delivery).then_some(Physical::Pending)
    }
}
