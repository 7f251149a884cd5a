//! 友朋 (Yopoint), the operators' open platform.
//!
//! Follows <https://yopointapi.apifox.cn> and the older <https://api.yopoint.com/docs/operators>. Not every page of
//! it could be read: what is inferred is said at the item, and `docs/platforms/yopoint.md` lists it.

mod answers;
mod callbacks;
pub mod keys;
mod records;
pub mod recovery;
pub mod refusals;
mod requests;
#[cfg(test)]
mod tests;

use super::refusals::Refusals;
use super::{Answer, Draft, Kind, Nature, Op, Speaks, address, toolbox, unsupported};
use crate::error::Result;
use crate::settings::Settings;
use crate::transport::{Reply, Url};
use kiosklink_wire::form;
use md5::{Digest, Md5};
pub use recovery::PROOF;
use std::sync::Arc;

const GATEWAY: &str = "https://api.yopoint.com";
const GATEWAY_PATH: &str = "/api/gateway/index";

const OPEN_DOOR: &str = "cabinet.open.door";
const EXCHANGE: &str = "activity.voucher.exchange";

/// Methods that only read, beside those whose last word says so.
const READS: &[&str] = &["api.test", "cabinet.product.stock", "cabinet.product.stock.with.replenishment"];
const READ_ENDINGS: &[&str] = &[".get", ".list"];

/// One account on Yopoint.
pub(super) struct Yopoint {
    gateway: Arc<Url>,
    app_id: String,
    app_secret: String,
    /// What every form begins with: `appid=…&biz_content=`.
    form_head: String,
    pay_key: Option<String>,
    milliseconds: bool,
    json: bool,
    http_report: bool,
    own_trade_no: bool,
    vending: bool,
    refusals: Refusals,
}

impl Yopoint {
    /// Refuses missing credentials, a bad address and a table of refusals that cannot be read.
    pub(super) fn new(config: &Settings) -> Result<Yopoint> {
        let mut gateway = address(config, "base_url", config.get("base_url").unwrap_or(GATEWAY))?;
        // The vendor's page gives the whole address; people paste it.
        let given = gateway.path_and_query.trim_end_matches('/');
        gateway.path_and_query = [given.strip_suffix(GATEWAY_PATH).unwrap_or(given), GATEWAY_PATH].concat();
        let app_id = config.need("app_id")?.to_owned();
        Ok(Yopoint {
            gateway: Arc::new(gateway),
            form_head: ["appid=", &form::escaped(&app_id), "&biz_content="].concat(),
            app_id,
            app_secret: config.need("app_secret")?.to_owned(),
            pay_key: config.get("pay_key").map(str::to_owned),
            milliseconds: config.get("timestamp_unit") == Some("ms"),
            json: config.get("format") == Some("json"),
            http_report: config.yes("allow_http_report") || config.yes("allow_http"),
            own_trade_no: config.yes("own_trade_no"),
            vending: config.get("machines") == Some("vending"),
            refusals: Refusals::of_account(refusals::PACK.table(), config)?,
        })
    }
}

impl Speaks for Yopoint {
    fn kind(&self) -> Kind {
        Kind::Yopoint
    }

    fn origin(&self) -> &Url {
        &self.gateway
    }

    fn nature(&self, op: &Op<'_>) -> Result<Nature> {
        match op {
            Op::DoorOpen(_) | Op::CodeRedeem(_) => Ok(Nature::Command),
            Op::RefundApply(_) | Op::AppealFile(_) | Op::PaymentReport(_) | Op::OrderCreate(_) => {
                Ok(Nature::Write)
            }
            Op::Call { method, .. } => call_nature(method),
            _ if self.method(op).is_some() => Ok(Nature::Read),
            _ => Err(unsupported(self.kind(), op)),
        }
    }

    fn draft<'a>(&'a self, op: &Op<'a>) -> Result<Draft<'a>> {
        self.request(op)
    }

    fn answer(&self, op: &Op<'_>, reply: &Reply) -> Result<Answer> {
        self.understood(op, reply)
    }
}

/// How freely a method that the caller names may be repeated. What has a guarded verb is refused.
fn call_nature(method: &str) -> Result<Nature> {
    requests::method_name(method)?;
    match method {
        OPEN_DOOR => Err(toolbox::argument(
            "method",
            "cabinet.open.door is a command: use kl_door_open, which never opens twice",
        )),
        EXCHANGE => Err(toolbox::argument(
            "method",
            "activity.voucher.exchange is a command: use kl_code_redeem, which never redeems twice",
        )),
        _ => {
            let reads = READS.contains(&method) || READ_ENDINGS.iter().any(|end| method.ends_with(end));
            Ok(if reads { Nature::Read } else { Nature::Write })
        }
    }
}

/// `lower(md5(k=v&k=v…&secret))` over the fields in the order of their names, values as they are.
fn sign<V: AsRef<[u8]>>(fields: &mut [(&str, V)], secret: &str) -> String {
    fields.sort_unstable_by(|a, b| a.0.cmp(b.0));
    let room: usize = fields.iter().map(|(name, value)| name.len() + value.as_ref().len() + 2).sum();
    let mut text = Vec::with_capacity(room + secret.len());
    for (name, value) in fields {
        text.extend_from_slice(name.as_bytes());
        text.push(b'=');
        text.extend_from_slice(value.as_ref());
        text.push(b'&');
    }
    text.extend_from_slice(secret.as_bytes());
    kiosklink_wire::hex::lower(&Md5::digest(&text))
}
