//! Tokens: one for an application and a shop, for seven days.

use super::super::fields::lenient;
use super::super::{Draft, Moment, Op, Token, TokenSource, Way};
use super::requests::{EXEMPT, post};
use super::{Youzan, answers};
use crate::error::{Error, Outcome, Result};
use crate::json::Complains as _;
use crate::json::{self, Bad, Tape, Writer};
use crate::transport::Reply;

/// A renewal is tried this long before a token's end.
const RENEW_BEFORE_MS: i64 = 5 * 60_000;

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
        Ok(Draft { url: self.gateway.clone().into(), seal: Box::new(seal) })
    }

    fn answer(&self, reply: &Reply, _sent_ms: i64) -> Result<Token> {
        let text = json::decoded(&reply.body);
        let mut tape = Tape::default();
        let payload = answers::payload(reply, &text, &mut tape, &self.token_refusals)?;
        let read = || {
            let o = payload.data.ok_or_else(|| json::missing("access_token"))?.object()?;
            let access = lenient::text(&o, &["access_token"]);
            if access.is_empty() {
                return Err(json::missing("access_token"));
            }
            Ok(Token {
                access,
                refresh: lenient::text(&o, &["refresh_token"]),
                // A point in time, in milliseconds; not a duration.
                expires_ms: lenient::int(&o, &["expires"]).ok_or_else(|| json::missing("expires"))?,
            })
        };
        read().map_err(|b: Bad| b.under(payload.at).error("the token's answer"))
    }

    fn is_dead(&self, error: &Error) -> bool {
        // The call is sent again with another token, a command too: only where the refusal proves that it was not done.
        let d = error.details();
        matches!(d.platform_code, 4201..=4203) && d.outcome == Outcome::NotDone
    }
}
