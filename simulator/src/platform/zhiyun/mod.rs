//! Zhiyun (致云): three GET endpoints that say who a user is, behind HTTP Basic, a check number and codes that
//! live for half a minute.
//!
//! What the notes mark as unknown is decided here, can be changed in the settings, and is never the vendor's word.

mod render;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::{datetime, system_ms};
use crate::message::{Reply, Request, parse_form, patch_settings};
use crate::state::Core;

use super::{Exchange, Platform};

const NAME: &str = "zhiyun";
const BASE: &str = "/zhiyun/apis/rest/";
/// Access tokens live for about three months.
const TOKEN_LIFE_S: i64 = 90 * 86_400;
const SCOPES: [&str; 2] = ["getUserInfo", "getCompanyInfo"];

/// A refusal: its number and text.
type Refusal = (i64, String);

/// A registered program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Client {
    /// Ten digits.
    client_id: String,
    /// Sixteen characters.
    client_secret: String,
    /// What its codes may be used for: names of methods, or `basic` for both; separated by blanks.
    #[serde(default = "basic")]
    scope: String,
}

fn basic() -> String {
    "basic".into()
}

/// A user's login.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    /// The token itself.
    access_token: String,
    /// Whose it is.
    uid: i64,
    /// The last second at which it is good.
    expires_s: i64,
}

/// A code for one user and one program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthCode {
    /// Forty hexadecimal digits.
    auth_code: String,
    /// The program.
    client_id: String,
    /// The user.
    uid: i64,
    /// The last second at which it is good.
    expires_s: i64,
    /// What it may be used for.
    scope: String,
}

/// A person.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct User {
    uid: i64,
    username: String,
    truename: String,
    sex: String,
    phone: String,
    is_admin: String,
    created: String,
    /// The company; null: none.
    company: Option<i64>,
}

/// A company.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Company {
    id: i64,
    company_name: String,
    company_type: String,
    tax_number: String,
    address: String,
    disable: String,
    tel_phone: String,
    legal_person_phone: String,
    legal_person_name: String,
    created: String,
}

/// An answer that replaces the real one of a request that has passed all checks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ordered {
    code: i64,
    message: String,
}

/// The settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// The registered programs.
    clients: Vec<Client>,
    /// `format` in the account: `json` or `xml`.
    format: String,
    /// `t_` and `p_` must be there and fit.
    check_p: bool,
    /// `t_` must be near the platform's time.
    check_window: bool,
    /// How near, in seconds.
    window_s: i64,
    /// How long a code lives, in seconds.
    auth_code_life_s: i64,
    /// Codes cannot be stored.
    store_fails: bool,
    /// A `callback` parameter turns JSON into script.
    jsonp: bool,
    /// What requests that have passed all checks are answered with; null: what they ask for.
    answer_instead: Option<Ordered>,
    /// Where avatars would be.
    avatar_base: String,
}

impl Default for Settings {
    fn default() -> Self {
        let client = |id: &str, secret: &str| Client {
            client_id: id.into(),
            client_secret: secret.into(),
            scope: basic(),
        };
        Self {
            clients: vec![client("1100000001", "testSecret000001"), client("1100000002", "testSecret000002")],
            format: "json".into(),
            check_p: true,
            check_window: true,
            window_s: 3600,
            auth_code_life_s: 30,
            store_fails: false,
            jsonp: true,
            answer_instead: None,
            avatar_base: "http://avatar.example.com/data/avatar/".into(),
        }
    }
}

/// The platform.
pub struct Zhiyun {
    settings: Settings,
    tokens: Vec<Token>,
    users: Vec<User>,
    companies: Vec<Company>,
    codes: BTreeMap<String, AuthCode>,
}

impl Default for Zhiyun {
    fn default() -> Self {
        let expires_s = system_ms() / 1000 + TOKEN_LIFE_S;
        let token = |text: &str, uid| Token { access_token: text.into(), uid, expires_s };
        let user = |uid, username: &str, truename: &str, company| User {
            uid,
            username: username.into(),
            truename: truename.into(),
            sex: "3".into(),
            phone: format!("1380000{uid}"),
            is_admin: if company == Some(1) { "1" } else { "0" }.into(),
            created: "2017-11-30 10:37:30".into(),
            company,
        };
        Self {
            settings: Settings::default(),
            // The vendor's own examples have 36 and 35 characters, its page says 32.
            tokens: vec![
                token("test0access0token0000000000000001152", 1152),
                token("test0access0token000000000000001153", 1153),
                token("test0access0token00000000001999", 1999),
            ],
            users: vec![user(1152, "test01", "张测试", Some(1)), user(1153, "test02", "李<测试>", None)],
            companies: vec![Company {
                id: 1,
                company_name: "成都示例科技有限公司".into(),
                company_type: "1".into(),
                tax_number: "91510100TEST000001".into(),
                address: "成都市/示例路 1 号".into(),
                legal_person_phone: "13800000000".into(),
                legal_person_name: "王示例".into(),
                created: "2017-11-30 10:37:30".into(),
                ..Company::default()
            }],
            codes: BTreeMap::new(),
        }
    }
}

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Authorize,
    UserInfo,
    CompanyInfo,
}

impl Service {
    /// The first letter of a service may be of either case, a PHP method's name of any.
    fn find(service: &str, method: &str) -> Option<Self> {
        let mut chars = service.chars();
        let upper: String = chars.next().map(|c| c.to_ascii_uppercase()).into_iter().chain(chars).collect();
        match (upper.as_str(), method.to_ascii_lowercase().as_str()) {
            ("AuthService", "authorize") => Some(Self::Authorize),
            ("UserService", "getuserinfo") => Some(Self::UserInfo),
            ("CompanyService", "getcompanyinfo") => Some(Self::CompanyInfo),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::UserInfo => "getUserInfo",
            Self::CompanyInfo => "getCompanyInfo",
        }
    }
}

/// The service, the method and the format in a path.
fn split(path: &str) -> Option<(&str, &str, &str)> {
    let mut parts = path.strip_prefix(BASE)?.split('/');
    let all = (parts.next()?, parts.next()?, parts.next().unwrap_or_default());
    parts.next().is_none().then_some(all)
}

fn refuse(code: i64, message: &str) -> Refusal {
    (code, message.to_owned())
}

type Params = BTreeMap<String, String>;

/// The parameters of a request: of a repeated one the last counts, and the query goes before the form.
fn params(request: &Request) -> Params {
    let form =
        if request.content_type() == "application/x-www-form-urlencoded" { &request.body[..] } else { b"" };
    let read = |bytes| parse_form(bytes).unwrap_or_default();
    read(form).into_iter().chain(read(request.query.as_bytes())).collect()
}

/// The user and the password of a Basic header, if it has both.
fn basic_pair(request: &Request) -> Option<(String, String)> {
    let header = request.header("Authorization")?.trim();
    let (scheme, text) = header.split_once(' ')?;
    let bytes = STANDARD.decode(text.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let pair = String::from_utf8(bytes).ok()?;
    let (user, password) = pair.split_once(':')?;
    (!user.is_empty() && !password.is_empty()).then(|| (user.to_owned(), password.to_owned()))
}

/// The check number of a time.
fn check_number(t: i64) -> i64 {
    t.rem_euclid(10_000) * 3 + 2345
}

impl Zhiyun {
    /// The outermost check, which the vendor's source has commented out.
    fn check_time(&self, core: &Core, params: &Params, exchange: &mut Exchange) -> Result<(), Refusal> {
        let get = |name: &str| params.get(name).map_or("", String::as_str);
        let (t, p) = (get("t_"), get("p_"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let expected = t.parse().ok().filter(|_| digits(t)).map(check_number);
        let fits = expected.is_some_and(|e| p == e.to_string());
        let seconds: Option<i64> = t.get(..10).and_then(|s| s.parse().ok());
        let off = seconds.map(|s| s - core.clock.now_s());
        let near = off.is_some_and(|off| off.abs() <= self.settings.window_s);
        let ok = (fits || !self.settings.check_p) && (near || !self.settings.check_window);
        let differs = match (ok, expected, off) {
            (true, ..) => "nothing".to_owned(),
            (_, None, _) => "t_ is missing or no whole number".to_owned(),
            (_, Some(_), _) if !fits => "p_ is not (t_ % 10000) * 3 + 2345 of this very t_".to_owned(),
            (.., Some(off)) => format!("t_ is {off} s away from the platform's time"),
            _ => "t_ has fewer than ten digits".to_owned(),
        };
        exchange.signature = json!({
            "ok": ok, "given": p, "expected": expected.map(|e| e.to_string()), "base": t, "differs": differs,
        });
        if ok { Ok(()) } else { Err(refuse(401, "Unauthorized")) }
    }

    fn act(
        &mut self,
        core: &mut Core,
        request: &Request,
        params: &Params,
        exchange: &mut Exchange,
    ) -> Result<Value, Refusal> {
        self.check_time(core, params, exchange)?;
        let service = split(&request.path).and_then(|(service, method, _)| Service::find(service, method));
        let service = service.ok_or_else(|| refuse(501, "Service or method not found!"))?;
        let get = |name: &str| params.get(name).map_or("", String::as_str);
        let (access_token, client_id, auth_code) = (get("access_token"), get("client_id"), get("auth_code"));
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let token_fits = !access_token.is_empty() && access_token.bytes().all(plain);
        let client_fits = client_id.len() == 10 && client_id.bytes().all(|b| b.is_ascii_digit());
        let code_fits = auth_code.len() == 40 && auth_code.bytes().all(plain);
        if !token_fits || !client_fits || !(code_fits || service == Service::Authorize) {
            return Err(refuse(601, "Invalid argument"));
        }
        let (user, secret) =
            basic_pair(request).ok_or_else(|| refuse(100_009, "http header authentication is illegal"))?;
        if client_id != user {
            return Err(refuse(100_002, "Client_id access is illegal"));
        }
        let client = self.settings.clients.iter().find(|c| c.client_id == client_id);
        let client = client.ok_or_else(|| refuse(100_008, "The client_id  does not exist."))?.clone();
        if client.client_secret != secret {
            return Err(refuse(100_013, "client_secret  access is illegal"));
        }
        let now_s = core.clock.now_s();
        let token = self.tokens.iter().find(|t| t.access_token == access_token && now_s <= t.expires_s);
        let uid = token
            .ok_or_else(|| {
                refuse(100_014, "The access token has expired and the expiration time is generally 3 months")
            })?
            .uid;
        if service != Service::Authorize {
            self.check_code(now_s, service, auth_code, client_id, uid)?;
        }
        if let Some(ordered) = self.settings.answer_instead.as_ref().filter(|o| o.code != 200) {
            return Err(refuse(ordered.code, &ordered.message));
        }
        match service {
            Service::Authorize => self.authorize(core, client, uid),
            Service::UserInfo => self.user_info(now_s, uid),
            Service::CompanyInfo => self.company_info(now_s, uid),
        }
    }

    fn check_code(
        &self,
        now_s: i64,
        service: Service,
        auth_code: &str,
        client_id: &str,
        uid: i64,
    ) -> Result<(), Refusal> {
        let code = self
            .codes
            .get(auth_code)
            .ok_or_else(|| refuse(100_019, "Authorization code does not exist, please reauthorize"))?;
        // It still works in the second in which it expires, and any number of times.
        if now_s > code.expires_s {
            return Err(refuse(100_020, "authorization code expired, please reauthorize"));
        }
        let method = service.name();
        let allows = |word: &str| word == method || (word == "basic" && SCOPES.contains(&method));
        if !code.scope.split_whitespace().any(allows) {
            return Err(refuse(100_018, "The authorization code does not have permission to access"));
        }
        if code.client_id != client_id {
            return Err(refuse(100_021, "Authorized client illegally holds authorization code"));
        }
        if code.uid != uid {
            return Err(refuse(100_023, "Authorized user illegally holds authorization code"));
        }
        Ok(())
    }

    fn authorize(&mut self, core: &mut Core, client: Client, uid: i64) -> Result<Value, Refusal> {
        if self.settings.store_fails {
            let text = "Failed to create authorization code. Please contact Zhicloud administrator";
            return Err(refuse(100_018, text));
        }
        let mut auth_code: String = (0..3).map(|_| format!("{:016x}", core.noise.next())).collect();
        auth_code.truncate(40);
        let code = AuthCode {
            auth_code: auth_code.clone(),
            client_id: client.client_id,
            uid,
            expires_s: core.clock.now_s() + self.settings.auth_code_life_s,
            scope: client.scope,
        };
        self.codes.insert(auth_code.clone(), code);
        Ok(json!({"auth_code": auth_code}))
    }

    fn user(&self, uid: i64) -> Result<&User, Refusal> {
        self.users.iter().find(|u| u.uid == uid).ok_or_else(|| refuse(704, "user does not exist"))
    }

    fn user_info(&self, now_s: i64, uid: i64) -> Result<Value, Refusal> {
        let u = self.user(uid)?;
        let n = format!("{uid:09}");
        let place = format!("{}/{}/{}/{}_avatar_small", &n[..3], &n[3..5], &n[5..7], &n[7..]);
        Ok(json!({
            "username": u.username, "truename": u.truename, "sex": u.sex, "phone": u.phone,
            "is_admin": u.is_admin, "status": null, "avatar": format!("{}{place}", self.settings.avatar_base),
            "created": u.created, "nowtime": now_s,
        }))
    }

    fn company_info(&self, now_s: i64, uid: i64) -> Result<Value, Refusal> {
        let company = self.user(uid)?.company;
        let found = self.companies.iter().find(|c| Some(c.id) == company);
        let c = found.ok_or_else(|| refuse(905, "No information query the user belongs to the company"))?;
        Ok(json!({
            "company_name": c.company_name, "company_type": c.company_type, "tax_number": c.tax_number,
            "province": "", "city": "", "zone": "", "address": c.address, "disable": c.disable,
            "tel_phone": c.tel_phone, "legal_person_phone": c.legal_person_phone,
            "legal_person_name": c.legal_person_name, "created": c.created, "nowtime": now_s,
        }))
    }

    /// The answer in the path's format. A format that is neither gives nothing, after everything is done.
    fn reply(&self, path: &str, callback: Option<&String>, body: &Value) -> Reply {
        let format = split(path).map(|(.., format)| format).unwrap_or_default();
        // A refusal of the check number does not look at the path as closely.
        let early = body["code"] == 401;
        if format == "xml" || (early && path.contains("/xml")) {
            return Reply::new(200, "application/xml", render::pear_xml(body));
        }
        if format != "json" && !early && split(path).is_some() {
            return Reply::new(200, "text/html; charset=utf-8", "");
        }
        let text = render::php_json(body);
        let identifier = |name: &&String| {
            let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'$';
            name.bytes().all(word) && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
        };
        match callback.filter(identifier).filter(|_| self.settings.jsonp) {
            Some(name) => {
                Reply::new(200, "application/json", format!("var _callbackvar={text};{name}(_callbackvar);"))
            }
            None => Reply::new(200, "application/json", text),
        }
    }
}

impl Platform for Zhiyun {
    fn name(&self) -> &'static str {
        NAME
    }

    fn credentials(&self) -> Map<String, Value> {
        let client = self.settings.clients.first();
        let token = self.tokens.first();
        let mut words = Map::new();
        words.insert("client_id".into(), json!(client.map_or("", |c| &c.client_id)));
        words.insert("client_secret".into(), json!(client.map_or("", |c| &c.client_secret)));
        words.insert("access_token".into(), json!(token.map_or("", |t| &t.access_token)));
        words.insert("format".into(), json!(self.settings.format));
        words
    }

    fn operation(&self, request: &Request) -> String {
        let service = split(&request.path).and_then(|(service, method, _)| Service::find(service, method));
        service.map(|s| s.name().to_owned()).unwrap_or_default()
    }

    fn handle(&mut self, core: &mut Core, request: &Request, exchange: &mut Exchange) -> Reply {
        if !request.path.starts_with(BASE) {
            return Reply::new(404, "text/html; charset=utf-8", "<h1>404 Not Found</h1>");
        }
        let params = params(request);
        exchange.params = json!(params);
        let body = match self.act(core, request, &params, exchange) {
            Ok(data) => json!({"data": data, "code": 200, "message": "ok"}),
            Err((code, message)) => json!({"code": code, "message": message}),
        };
        self.reply(&request.path, params.get("callback"), &body)
    }

    fn settings(&self) -> Value {
        json!(self.settings)
    }

    fn patch_settings(&mut self, patch: &Value) -> Result<(), String> {
        patch_settings(&mut self.settings, patch)
    }

    fn world(&self) -> Value {
        json!({
            "tokens": self.tokens, "users": self.users, "companies": self.companies,
            "codes": self.codes.values().collect::<Vec<_>>(),
        })
    }

    fn set_world(&mut self, _core: &mut Core, world: &Value, replace: bool) -> Result<(), String> {
        let given = world.as_object().ok_or("a platform's world must be an object")?;
        if replace {
            self.tokens.clear();
            self.users.clear();
            self.companies.clear();
            self.codes.clear();
        }
        for (key, part) in given {
            let part = part.clone();
            let odd = |e: serde_json::Error| e.to_string();
            match key.as_str() {
                "tokens" => self.tokens = serde_json::from_value(part).map_err(odd)?,
                "users" => self.users = serde_json::from_value(part).map_err(odd)?,
                "companies" => self.companies = serde_json::from_value(part).map_err(odd)?,
                "codes" => {
                    let codes: Vec<AuthCode> = serde_json::from_value(part).map_err(odd)?;
                    self.codes = codes.into_iter().map(|c| (c.auth_code.clone(), c)).collect();
                }
                other => {
                    return Err(format!(
                        "unknown member {other:?}; known are tokens, users, companies, codes"
                    ));
                }
            }
        }
        Ok(())
    }

    fn control(
        &mut self,
        core: &mut Core,
        method: &str,
        path: &[&str],
        body: &Value,
    ) -> Option<Result<Value, (u16, String)>> {
        let no_such = |what: String| Err((404, format!("there is no {what}")));
        let now_s = core.clock.now_s();
        Some(match (method, path) {
            ("GET", ["tokens"]) => Ok(json!(self.tokens)),
            ("POST", ["tokens"]) => {
                let (Some(text), Some(uid)) = (body["access_token"].as_str(), body["uid"].as_i64()) else {
                    return Some(Err((400, "give \"access_token\" and \"uid\"".into())));
                };
                let life = body["life_s"].as_i64().unwrap_or(TOKEN_LIFE_S);
                let token = Token { access_token: text.into(), uid, expires_s: now_s + life };
                self.tokens.retain(|t| t.access_token != text);
                self.tokens.push(token);
                Ok(json!(self.tokens))
            }
            ("POST", ["tokens", text, "expire"]) => {
                match self.tokens.iter_mut().find(|t| t.access_token == *text) {
                    Some(token) => {
                        token.expires_s = now_s - 1;
                        Ok(json!(token))
                    }
                    None => no_such(format!("token {text}")),
                }
            }
            ("GET", ["codes"]) => {
                let show = |c: &AuthCode| {
                    let mut shown = json!(c);
                    shown["expires"] = json!(datetime(c.expires_s * 1000, 8));
                    shown["expired"] = json!(now_s > c.expires_s);
                    shown
                };
                Ok(self.codes.values().map(show).collect())
            }
            ("POST", ["codes", text, "expire"]) => match self.codes.get_mut(*text) {
                Some(code) => {
                    code.expires_s = now_s - 1;
                    Ok(json!(code))
                }
                None => no_such(format!("code {text}")),
            },
            ("DELETE", ["codes"]) => {
                self.codes.clear();
                Ok(json!([]))
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_numbers_of_the_notes() {
        for (t, p) in [
            (1_422_339_152_058, 8519),
            (1_700_000_000_000, 2345),
            (1_422_339_159_999, 32_342),
            (1_522_404_566, 16_043),
        ] {
            assert_eq!(check_number(t), p);
        }
    }

    #[test]
    fn the_published_header_is_read() {
        let request = Request {
            headers: vec![("Authorization".into(), "Basic MTEwMjA4NDI5NDpha3U4aEN5WEJkOVNxWWtU".into())],
            ..Request::default()
        };
        assert_eq!(basic_pair(&request), Some(("1102084294".into(), "aku8hCyXBd9SqYkT".into())));
    }

    #[test]
    fn letter_case_of_names() {
        assert_eq!(Service::find("AuthService", "AUTHORIZE"), Some(Service::Authorize));
        assert_eq!(Service::find("userService", "getuserinfo"), Some(Service::UserInfo));
        assert_eq!(Service::find("USERSERVICE", "getUserInfo"), None);
    }
}
