//! 致云 (Zhiyun), the open API that says who a user and their company are.
//!
//! Follows the vendor's document and the published source of its server; no running service is known. Every call is a GET
//! with HTTP Basic, a time and a number made of it. `docs/platforms/zhiyun.md` says what is known from where.

mod answers;
mod xml;

pub mod keys;

use self::answers::{company, user};
use super::fields::strict;
use super::proof::Row;
use super::refusals::Refusals;
use super::toolbox::argument;
use super::{
    Answer, CallsBack, Draft, Kind, Maturity, Moment, Nature, Op, Recovers, Speaks, Token, TokenSource, Way,
    address, unsupported,
};
use crate::command::Act;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::json::{self, Bad, Json, Kind as JsonKind};
use crate::settings::Settings;
use crate::status::*;
use crate::transport::{Reply, Request, Url};
use kiosklink_wire::form;
use std::borrow::Cow;

const AUTHORIZE: &str = "authService/authorize";
const GET_USER: &str = "userService/getUserInfo";
const GET_COMPANY: &str = "companyService/getCompanyInfo";
/// How long a code lives.
const CODE_MS: i64 = 30_000;
/// A code is not shown in its last moments: it must live until the platform looks at it.
const MARGIN_MS: i64 = 2_000;
/// What every request bears of the library's own.
const OWN_FIELDS: [&str; 5] = ["access_token", "client_id", "auth_code", "t_", "p_"];

/// What proves what on this platform: it only reads.
pub const PROOF: &[Row] = &[];

pub(super) use self::answers::PACK as REFUSALS;

/// One user of one client on Zhiyun.
pub(super) struct Zhiyun {
    base: Url,
    client_id: String,
    basic: String,
    access_token: String,
    xml: bool,
    refusals: Refusals,
}

impl Zhiyun {
    /// Refuses missing credentials, a bad address and a table of refusals that cannot be read. There is no gateway to fall back on.
    pub(super) fn new(config: &Settings) -> Result<Zhiyun> {
        let mut base = address(config, "base_url", config.need("base_url")?)?;
        // The vendor's page gives the whole address; people paste it.
        let prefix = base.path_and_query.trim_end_matches('/');
        let prefix = prefix.strip_suffix("/apis/rest").unwrap_or(prefix);
        base.path_and_query = [prefix, "/"].concat();
        let client_id = config.need("client_id")?.to_owned();
        if client_id.contains(':') {
            return Err(Error::new(KL_E_CONFIG_VALUE, "client_id: holds a colon, which Basic cannot carry"));
        }
        let pair = [&client_id, ":", config.need("client_secret")?].concat();
        Ok(Zhiyun {
            base,
            client_id,
            basic: ["Basic ", &kiosklink_wire::hex::base64(pair.as_bytes())].concat(),
            access_token: config.need("access_token")?.to_owned(),
            xml: config.get("format") == Some("xml"),
            refusals: Refusals::of_account(answers::PACK.table(), config)?,
        })
    }

    fn request(&self, method: &str, more: &[(String, String)], moment: &Moment<'_>) -> Request {
        let t = moment.now_ms.to_string();
        let p = proof(moment.now_ms).to_string();
        let mut fields = vec![("access_token", self.access_token.as_str()), ("client_id", &self.client_id)];
        if !moment.token.is_empty() {
            fields.push(("auth_code", moment.token));
        }
        fields.extend([("t_", t.as_str()), ("p_", &p)]);
        fields.extend(more.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        let mut url = self.base.clone();
        let format = if self.xml { "/xml?" } else { "/json?" };
        for part in ["apis/rest/", method, format, &form::encode(fields)] {
            url.path_and_query.push_str(part);
        }
        let accept = if self.xml { "application/xml" } else { "application/json" };
        Request {
            method: "GET",
            url: url.into(),
            headers: vec![("Authorization", self.basic.clone().into()), ("Accept", accept.into())],
            body: Vec::new(),
        }
    }
}

/// `(t_ % 10000) * 3 + 2345`
fn proof(t: i64) -> i64 {
    t.rem_euclid(10_000) * 3 + 2345
}

impl Speaks for Zhiyun {
    fn only_reads(&self) -> bool {
        true
    }

    fn kind(&self) -> Kind {
        Kind::Zhiyun
    }

    fn origin(&self) -> &Url {
        &self.base
    }

    fn nature(&self, op: &Op<'_>) -> Result<Nature> {
        match op {
            Op::Ping | Op::UserGet | Op::CompanyGet => Ok(Nature::Read),
            Op::Call { method, .. } => {
                let verb = service(method)?;
                // No call that writes is documented; whatever else there may be is sent at most once.
                Ok(if verb.starts_with("get") { Nature::Read } else { Nature::Write })
            }
            _ => Err(unsupported(self.kind(), op)),
        }
    }

    fn draft<'a>(&'a self, op: &Op<'a>) -> Result<Draft<'a>> {
        let mut more = Vec::new();
        let method = match *op {
            Op::UserGet => GET_USER,
            Op::CompanyGet => GET_COMPANY,
            Op::Call { method, params_json } => {
                service(method)?;
                if !params_json.trim().is_empty() {
                    for (name, value) in json::params(params_json, "params_json")?.fields() {
                        // Whose call it is, and when it was made, the settings and the clock say.
                        if OWN_FIELDS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
                            let why = ["must not hold ", name, ": it is kiosklink's"].concat();
                            return Err(argument("params_json", &why));
                        }
                        let text = match value.kind() {
                            JsonKind::String => value.string().map(Cow::into_owned),
                            JsonKind::Number | JsonKind::Bool => Ok(value.text().to_owned()),
                            _ => Err(Bad::new("", "must be a text or a number")),
                        };
                        let text = text
                            .map_err(|b| Error::new(KL_E_ARGUMENT, b.under(name).sentence("params_json")))?;
                        more.push((name.to_string(), text));
                    }
                }
                method
            }
            _ => return Err(unsupported(self.kind(), op)),
        };
        let seal = move |moment: &Moment<'_>| self.request(method, &more, moment);
        Ok(Draft { url: self.base.clone().into(), seal: Box::new(seal) })
    }

    fn answer(&self, op: &Op<'_>, reply: &Reply) -> Result<Answer> {
        let authorizing = matches!(op, Op::Call { method, .. } if method.eq_ignore_ascii_case(AUTHORIZE));
        self.with_data(reply, authorizing, |data, raw| {
            let object = || Json::parse(data.as_bytes()).and_then(Json::object);
            Ok(match op {
                Op::UserGet => Answer::User(Box::new(user(&object()?, raw))),
                Op::CompanyGet => Answer::Company(Box::new(company(&object()?, raw))),
                _ => Answer::Json(data.to_owned()),
            })
        })
    }

    fn tokens(&self) -> Option<&dyn TokenSource> {
        Some(self)
    }
}

impl Recovers for Zhiyun {
    fn maturity(&self, _act: &Act) -> Maturity {
        Maturity {
            hold_ms: 60_000,
            reason: "no call that acts is documented; what network and proxies hold: a proxy's usual read timeout is 60 s",
        }
    }
}

impl CallsBack for Zhiyun {
    fn calls_back(&self) -> bool {
        false
    }

    fn event(&self, _headers: &str, _body: &[u8], _now_ms: i64) -> Result<Event> {
        Err(Error::new(KL_E_UNSUPPORTED, "zhiyun sends no callbacks"))
    }

    fn event_reply(&self, _: &Event, _: i32, _: &str, _: Option<&str>) -> Result<String> {
        Err(Error::new(KL_E_UNSUPPORTED, "zhiyun sends no callbacks"))
    }
}

impl TokenSource for Zhiyun {
    fn needed(&self, op: &Op<'_>) -> bool {
        !matches!(op, Op::Ping | Op::Call { method: AUTHORIZE, .. })
    }

    /// Half a minute is no life to be written to flash.
    fn account(&self) -> Option<String> {
        None
    }

    fn renew_before_ms(&self) -> i64 {
        0
    }

    fn draft<'a>(&'a self, _way: Way, _old: Option<&'a Token>) -> Result<Draft<'a>> {
        let seal = move |moment: &Moment<'_>| self.request(AUTHORIZE, &[], moment);
        Ok(Draft { url: self.base.clone().into(), seal: Box::new(seal) })
    }

    fn answer(&self, reply: &Reply, sent_ms: i64) -> Result<Token> {
        self.with_data(reply, true, |data, _| {
            let access = strict::text(&Json::parse(data.as_bytes())?.object()?, "auth_code")?;
            // It cannot have been made before it was asked for.
            Ok(Token { access, refresh: String::new(), expires_ms: sent_ms + CODE_MS - MARGIN_MS })
        })
    }

    fn is_dead(&self, error: &Error) -> bool {
        matches!(error.details().platform_code, 100_019 | 100_020)
    }
}

/// `userService/getUserInfo`; gives the method.
fn service(method: &str) -> Result<&str> {
    let word = |w: &str| {
        w.starts_with(|c: char| c.is_ascii_alphabetic())
            && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    match method.split_once('/') {
        Some((service, method)) if word(service) && word(method) => Ok(method),
        _ => Err(argument("method", "must be a service and its method like userService/getUserInfo")),
    }
}

#[cfg(test)]
mod tests;
