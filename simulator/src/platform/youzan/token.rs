//! Tokens: generations of access and refresh tokens for each application and shop.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::message::{Reply, Request};
use crate::state::Core;

use super::gateway::Refusal;
use super::settings::{App, Kind, OldToken, RefreshGiven};
use super::{Exchange, Youzan};

/// One generation of tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Token {
    /// The application.
    pub client_id: String,
    /// The shop.
    pub kdt_id: i64,
    /// The access token.
    pub access_token: String,
    /// The refresh token; none was given out if it is empty.
    pub refresh_token: String,
    /// When it was made.
    pub issued_ms: i64,
    /// When the access token ends, as it was told.
    pub expires_ms: i64,
    /// When the access token ends, in truth.
    pub dies_ms: i64,
    /// When the refresh token ends.
    pub refresh_dies_ms: i64,
    /// A newer generation has taken its place.
    pub replaced: bool,
    /// Its refresh token was used.
    pub refreshed: bool,
    /// The generation that its refresh token was changed for: that one's access token.
    pub next: String,
}

/// An authorisation code.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Code {
    /// The code.
    pub code: String,
    /// The application that it was made for.
    pub client_id: String,
    /// The shop.
    pub kdt_id: i64,
    /// When it was made.
    pub issued_ms: i64,
    /// It was used.
    pub used: bool,
}

type Failed = (i64, String);

fn fail<T>(code: i64, text: impl Into<String>) -> Result<T, Failed> {
    Err((code, text.into()))
}

/// The official samples send the flag as a text, the table says Boolean: both will do.
fn flag(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

/// A text, or a number as the PHP SDK lets through.
fn text(body: &Value, name: &str) -> String {
    match &body[name] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

impl Youzan {
    /// `POST /auth/token`.
    pub(super) fn token(&mut self, core: &mut Core, request: &Request, exchange: &mut Exchange) -> Reply {
        let body = match self.grant(core, request, exchange) {
            Ok(data) => json!({"success": true, "code": 200, "data": data, "message": null}),
            Err((code, message)) => {
                json!({"success": false, "code": code, "data": null, "message": message})
            }
        };
        Reply::json(200, &body)
    }

    fn grant(
        &mut self,
        core: &mut Core,
        request: &Request,
        exchange: &mut Exchange,
    ) -> Result<Value, Failed> {
        if request.method != "POST" {
            return fail(1000, format!("Request method '{}' not supported", request.method));
        }
        if request.content_type() != "application/json" {
            let given = request.header("content-type").unwrap_or_default();
            let text =
                format!("Content type '{given}' not supported,Please use 'application/json;charset=UTF-8'");
            return fail(1000, text);
        }
        let body: Value = match serde_json::from_slice(&request.body) {
            Ok(body @ Value::Object(_)) => body,
            _ => return fail(1000, "请求体不是合法的 JSON"),
        };
        let mut shown = body.clone();
        for secret in ["client_secret", "refresh_token", "code"] {
            if shown.get(secret).is_some() {
                shown[secret] = json!("[secret]");
            }
        }
        exchange.params = shown;
        let now = core.clock.now_ms();
        if let Some(limit) = self.settings.token_limit {
            self.token_calls.retain(|at| now - at < limit.window_ms);
            if self.token_calls.len() as u64 >= limit.calls {
                return fail(4101, "请求太频繁");
            }
            self.token_calls.push(now);
        }
        let client_id = text(&body, "client_id");
        let Some(app) = self.settings.apps.iter().find(|a| a.client_id == client_id).cloned() else {
            return fail(1103, "Client 不存在");
        };
        if text(&body, "client_secret") != app.client_secret {
            return fail(1000, "应用信息错误");
        }
        match (text(&body, "authorize_type").as_str(), app.kind) {
            ("silent", Kind::SelfUse | Kind::Platform) => {
                // Youzanke applications name no shop.
                let grant_id = match (text(&body, "grant_id"), text(&body, "grant_type").as_str()) {
                    (named, "youzanke") if named.is_empty() => {
                        app.shops.first().map(|s| s.kdt_id.to_string()).unwrap_or_default()
                    }
                    (named, _) => named,
                };
                let kdt_id = authorised(&app, &grant_id)?;
                self.silent(core, &app, kdt_id, flag(&body["refresh"]))
            }
            ("certificate", Kind::Platform) => {
                let kdt_id = authorised(&app, &text(&body, "grant_id"))?;
                self.silent(core, &app, kdt_id, flag(&body["refresh"]))
            }
            ("refresh_token", _) => self.refresh(core, &app, &text(&body, "refresh_token")),
            ("authorization_code", Kind::Tool) => self.exchange_code(core, &app, &text(&body, "code")),
            _ => fail(1105, "不支持的应用类型"),
        }
    }

    fn silent(&mut self, core: &mut Core, app: &App, kdt_id: i64, refresh: bool) -> Result<Value, Failed> {
        let now = core.clock.now_ms();
        let fits = |t: &&mut Token| t.client_id == app.client_id && t.kdt_id == kdt_id && !t.replaced;
        let live = self.tokens.iter_mut().rfind(fits).filter(|t| now < t.dies_ms);
        let token = match live {
            Some(token) if !refresh => token.clone(),
            Some(token) => {
                token.replaced = true;
                let old = token.access_token.clone();
                let new = self.issue(core, app, kdt_id);
                self.retire(&old, self.settings.old_token_after_silent, now, &new.access_token);
                new
            }
            None => self.issue(core, app, kdt_id),
        };
        let with_refresh = match self.settings.silent_refresh_token {
            RefreshGiven::Always => true,
            RefreshGiven::OnRefresh => refresh,
            RefreshGiven::Never => false,
        };
        Ok(self.show_token(&token, with_refresh))
    }

    /// A refresh token is changed for a new pair. For an hour the same pair can be had again, unless the new
    /// refresh token was used.
    fn refresh(&mut self, core: &mut Core, app: &App, given: &str) -> Result<Value, Failed> {
        let now = core.clock.now_ms();
        let bad = &self.settings.bad_refresh_token;
        let bad = Err((bad.code, bad.message.clone()));
        let old = self.tokens.iter().find(|t| !given.is_empty() && t.refresh_token == given).cloned();
        let Some(old) = old.filter(|t| t.client_id == app.client_id && now < t.refresh_dies_ms) else {
            return bad;
        };
        authorised(app, &old.kdt_id.to_string())?;
        if let Some(next) = self.tokens.iter().find(|t| t.access_token == old.next) {
            let again = !next.refreshed && now - next.issued_ms < self.settings.grace_ms;
            return if again { Ok(self.show_token(next, true)) } else { bad };
        }
        let new = self.issue(core, app, old.kdt_id);
        self.retire(&old.access_token, self.settings.old_token_after_refresh, now, &new.access_token);
        if let Some(old) = self.tokens.iter_mut().find(|t| t.access_token == old.access_token) {
            (old.refreshed, old.replaced) = (true, true);
        }
        Ok(self.show_token(&new, true))
    }

    fn exchange_code(&mut self, core: &mut Core, app: &App, given: &str) -> Result<Value, Failed> {
        let now = core.clock.now_ms();
        let life = self.settings.code_life_ms;
        let Some(code) = self.codes.iter_mut().find(|c| c.code == given) else {
            return fail(1005, "非法授权码");
        };
        if code.client_id != app.client_id {
            return fail(1103, "授权应用不匹配");
        }
        if code.used || now - code.issued_ms >= life {
            return fail(1005, "非法授权码");
        }
        let kdt_id = authorised(app, &code.kdt_id.to_string())?;
        code.used = true;
        let token = self.issue(core, app, kdt_id);
        Ok(self.show_token(&token, true))
    }

    fn issue(&mut self, core: &mut Core, app: &App, kdt_id: i64) -> Token {
        let now = core.clock.now_ms();
        let mut hex = || format!("{:016x}{:015x}", core.noise.next(), core.noise.next() >> 4);
        let token = Token {
            client_id: app.client_id.clone(),
            kdt_id,
            access_token: hex(),
            refresh_token: hex(),
            issued_ms: now,
            expires_ms: now + self.settings.token_life_ms,
            dies_ms: now + self.settings.token_life_ms,
            refresh_dies_ms: now + self.settings.refresh_life_ms,
            ..Token::default()
        };
        self.tokens.push(token.clone());
        token
    }

    fn retire(&mut self, access_token: &str, fate: OldToken, now_ms: i64, next: &str) {
        let grace = self.settings.grace_ms;
        let Some(old) = self.tokens.iter_mut().find(|t| t.access_token == access_token) else { return };
        next.clone_into(&mut old.next);
        old.dies_ms = match fate {
            OldToken::Grace => old.dies_ms.min(now_ms + grace),
            OldToken::Dead => old.dies_ms.min(now_ms),
            OldToken::Kept => old.dies_ms,
        };
    }

    fn show_token(&self, token: &Token, with_refresh: bool) -> Value {
        let mut shown = json!({
            "expires": token.expires_ms, "scope": self.settings.scope, "access_token": token.access_token,
            "authority_id": token.kdt_id.to_string(),
        });
        if with_refresh {
            shown["refresh_token"] = json!(token.refresh_token);
        }
        shown
    }

    /// The application and the shop that an access token stands for.
    pub(super) fn check_token(&self, now_ms: i64, given: &str) -> Result<(App, i64), Refusal> {
        if given.is_empty() {
            return Err(Refusal::gateway(4201));
        }
        let token = self.tokens.iter().find(|t| t.access_token == given);
        let token = token.ok_or_else(|| Refusal::gateway(4203))?;
        if now_ms >= token.dies_ms {
            return Err(Refusal::gateway(4202));
        }
        let app = self.settings.apps.iter().find(|a| a.client_id == token.client_id);
        let app = app.ok_or_else(|| Refusal::gateway(4203))?;
        match app.shops.iter().find(|s| s.kdt_id == token.kdt_id) {
            Some(grant) if !grant.lapsed => Ok((app.clone(), token.kdt_id)),
            _ => Err(Refusal::gateway(4201)),
        }
    }
}

fn authorised(app: &App, grant_id: &str) -> Result<i64, Failed> {
    match app.shops.iter().find(|s| s.kdt_id.to_string() == grant_id) {
        None => fail(1103, "授权关系不存在"),
        Some(grant) if grant.lapsed => fail(1004, "授权关系已过期"),
        Some(grant) => Ok(grant.kdt_id),
    }
}
