//! 致云 (Zhiyun), the open API that says who a user and their company are.
//!
//! Follows the vendor's document and the published source of its server; no running service is known. Every call is a GET
//! with HTTP Basic, a time and a number made of it. `docs/platforms/zhiyun.md` says what is known from where.

mod xml;

pub mod keys;

use super::{
    Answer, CallsBack, Draft, Kind, Maturity, Moment, Nature, Op, Recovers, Speaks, Token, TokenSource, Way,
    address, form, http_error, lenient, unsupported,
};
use crate::command::Act;
use crate::error::{Advice, Error, Result, words};
use crate::event::Event;
use crate::json::{self, Bad, Json, Kind as JsonKind, Object};
use crate::model::*;
use crate::settings::Settings;
use crate::status::*;
use crate::transport::{Reply, Request, Url};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

const AUTHORIZE: &str = "authService/authorize";
const GET_USER: &str = "userService/getUserInfo";
const GET_COMPANY: &str = "companyService/getCompanyInfo";
/// How long a code lives.
const CODE_MS: i64 = 30_000;
/// A code is not shown in its last moments: it must live until the platform looks at it.
const MARGIN_MS: i64 = 2_000;

/// A code, a word that its text must hold (empty for any), and what it means. The first that fits counts.
#[rustfmt::skip]
const MEANINGS: &[(i32, &str, kl_status)] = &[
    (400, "", KL_E_PARAMETER),
    (401, "", KL_E_TIMESTAMP),
    (501, "", KL_E_UNSUPPORTED),
    (601, "", KL_E_PARAMETER),
    (602, "", KL_E_NOT_FOUND),
    (704, "", KL_E_NOT_FOUND),
    (714, "", KL_E_TOKEN),
    (905, "", KL_E_NOT_FOUND),
    (100_002, "", KL_E_AUTH),
    (100_008, "", KL_E_AUTH),
    (100_009, "", KL_E_AUTH),
    (100_013, "", KL_E_AUTH),
    (100_014, "", KL_E_TOKEN),
    (100_018, "Failed to create", KL_E_PLATFORM),
    (100_018, "", KL_E_PERMISSION),
    (100_019, "", KL_E_AUTH),
    (100_020, "", KL_E_AUTH),
    (100_021, "", KL_E_AUTH),
    (100_023, "", KL_E_AUTH),
];

/// One user of one client on Zhiyun.
pub(super) struct Zhiyun {
    base: Url,
    client_id: String,
    basic: String,
    access_token: String,
    xml: bool,
}

impl Zhiyun {
    /// Refuses missing credentials and a bad address. There is no gateway to fall back on.
    pub(super) fn new(config: &Settings) -> Result<Zhiyun> {
        let mut base = address(config, "base_url", config.need("base_url")?)?;
        // The vendor's page gives the whole address; people paste it.
        let prefix = base.path_and_query.trim_end_matches('/').trim_end_matches("/apis/rest");
        base.path_and_query = [prefix, "/"].concat();
        let client_id = config.need("client_id")?.to_owned();
        if client_id.contains(':') {
            return Err(Error::new(KL_E_CONFIG_VALUE, "client_id: holds a colon, which Basic cannot carry"));
        }
        let pair = [&client_id, ":", config.need("client_secret")?].concat();
        Ok(Zhiyun {
            base,
            client_id,
            basic: ["Basic ", &STANDARD.encode(pair)].concat(),
            access_token: config.need("access_token")?.to_owned(),
            xml: config.get("format") == Some("xml"),
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
        fields.retain(|(name, _)| !more.iter().any(|(n, _)| n == name));
        fields.extend(more.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        let mut url = self.base.clone();
        let format = if self.xml { "/xml?" } else { "/json?" };
        for part in ["apis/rest/", method, format, &form::encode(fields)] {
            url.path_and_query.push_str(part);
        }
        let accept = if self.xml { "application/xml" } else { "application/json" };
        Request {
            method: "GET",
            url,
            headers: vec![("Authorization", self.basic.clone()), ("Accept", accept.to_owned())],
            body: Vec::new(),
        }
    }

    /// Checks the envelope and gives `data` as JSON, with its own text as it came.
    fn data<'a>(&self, reply: &'a Reply) -> Result<(Cow<'a, str>, &'a str)> {
        let parsed = if self.xml { from_xml(&reply.body) } else { from_json(&reply.body) };
        let (envelope, found) = match (parsed, http_error(reply)) {
            (Ok(whole), None) => whole,
            // A refusal under a bad status still names the reason; a success under one is not believed.
            (Ok(whole), Some(error)) if whole.0.code == 200 => return Err(error),
            (Ok(whole), Some(_)) => whole,
            (Err(_), Some(error)) => return Err(error),
            (Err(error), None) => return Err(error.with(|d| d.http_status = reply.status.into())),
        };
        if envelope.code == 200 { Ok(found) } else { Err(refused(envelope, reply.status)) }
    }
}

/// `(t_ % 10000) * 3 + 2345`
fn proof(t: i64) -> i64 {
    t.rem_euclid(10_000) * 3 + 2345
}

struct Envelope {
    code: i32,
    message: String,
}

type Found<'a> = (Envelope, (Cow<'a, str>, &'a str));

fn envelope(o: &Object<'_>) -> std::result::Result<Envelope, Bad> {
    let code = lenient::int32(o, &["code"])?.ok_or_else(|| json::missing("code"))?;
    Ok(Envelope { code, message: lenient::text(o, &["message"])? })
}

fn from_json(body: &[u8]) -> Result<Found<'_>> {
    let read = || {
        let o = Json::parse(body)?.object()?;
        let data = o.get("data")?.map_or("null", Json::text);
        Ok((envelope(&o)?, (Cow::Borrowed(data), data)))
    };
    read().map_err(|b: Bad| b.error("the answer"))
}

fn from_xml(body: &[u8]) -> Result<Found<'_>> {
    let wrong = |why: String| Error::new(KL_E_PROTOCOL, format!("the answer {why}"));
    let root = xml::parse(body).map_err(|b| wrong(format!("{} (byte {})", b.why, b.at)))?;
    if root.name != "apiResponse" {
        return Err(wrong(format!("is <{:.40}>, expected <apiResponse>", root.name)));
    }
    if root.children.is_empty() {
        return Err(wrong("is empty".into()));
    }
    let text = root.json();
    let envelope = Json::parse(text.as_bytes())
        .and_then(Json::object)
        .and_then(|o| envelope(&o))
        .map_err(|b| b.error("the answer"))?;
    let data = root.child("data");
    let as_json = data.map_or_else(|| "null".to_owned(), |d| d.json());
    Ok((envelope, (Cow::Owned(as_json), data.map_or("", |d| d.source))))
}

fn refused(envelope: Envelope, http_status: u16) -> Error {
    let Envelope { code, message } = envelope;
    let status = MEANINGS
        .iter()
        .find(|(number, word, _)| *number == code && message.contains(word))
        .map_or(KL_E_PLATFORM, |(_, _, status)| *status);
    let hint = match code {
        401 => "; is the clock right?",
        100_002 | 100_008 => "; client_id is wrong",
        100_013 => "; client_secret is wrong, or was pasted with a blank",
        100_014 | 714 => {
            "; a person must log in with the vendor's desktop program again and set the new access_token"
        }
        905 => "; the user belongs to no company",
        _ => "",
    };
    Error::new(status, format!("Zhiyun refused, code {code} {}{hint}", words(&message))).with(|d| {
        d.http_status = http_status.into();
        d.platform_code = code;
        // In trouble, or could not store its code: worth another try.
        if code == 500 || code == 100_018 && status == KL_E_PLATFORM {
            d.advice = Advice::Retry;
        }
        d.platform_message = message;
    })
}

impl Speaks for Zhiyun {
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
                        let text = match value.kind() {
                            JsonKind::String => value.string().map(Cow::into_owned),
                            JsonKind::Number | JsonKind::Bool => Ok(value.text().to_owned()),
                            _ => Err(Bad::new("", "must be a text or a number")),
                        };
                        let text = text.map_err(|b| argument(b.under(name).sentence("params_json")))?;
                        more.push((name.to_string(), text));
                    }
                }
                method
            }
            _ => return Err(unsupported(self.kind(), op)),
        };
        let seal = move |moment: &Moment<'_>| self.request(method, &more, moment);
        Ok(Draft { url: self.base.clone(), seal: Box::new(seal) })
    }

    fn answer(&self, op: &Op<'_>, reply: &Reply) -> Result<Answer> {
        let (data, raw) = self.data(reply)?;
        let read = || {
            let object = || Json::parse(data.as_bytes()).and_then(Json::object);
            Ok(match op {
                Op::UserGet => Answer::User(Box::new(user(&object()?, raw)?)),
                Op::CompanyGet => Answer::Company(Box::new(company(&object()?, raw)?)),
                _ => Answer::Json(data.to_string()),
            })
        };
        read().map_err(|b: Bad| b.under("data").error("the answer"))
    }

    fn tokens(&self) -> Option<&dyn TokenSource> {
        Some(self)
    }
}

impl Recovers for Zhiyun {
    fn proves_not_done(&self, error: &Error) -> bool {
        let d = error.details();
        d.platform_code != 0 && d.status != KL_E_PLATFORM || matches!(d.http_status, 301..=308 | 400..=429)
    }

    fn maturity(&self, _act: &Act) -> Maturity {
        Maturity { hold_ms: 60_000, reason: "" }
    }
}

impl CallsBack for Zhiyun {
    fn event(&self, _headers: &str, _body: &[u8], _now_ms: i64) -> Result<Event> {
        Err(Error::new(KL_E_UNSUPPORTED, "zhiyun sends no callbacks"))
    }

    fn event_reply(&self, _: &Event, _: i32, _: &str, _: Option<&str>) -> Result<String> {
        Err(Error::new(KL_E_UNSUPPORTED, "zhiyun sends no callbacks"))
    }
}

impl Zhiyun {}

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
        Ok(Draft { url: self.base.clone(), seal: Box::new(seal) })
    }

    fn answer(&self, reply: &Reply, sent_ms: i64) -> Result<Token> {
        let (data, _) = self.data(reply)?;
        let read = || {
            let o = Json::parse(data.as_bytes())?.object()?;
            let access = lenient::text(&o, &["auth_code"])?;
            if access.is_empty() { Err(json::missing("auth_code")) } else { Ok(access) }
        };
        let access = read().map_err(|b: Bad| b.under("data").error("the answer"))?;
        // It cannot have been made before it was asked for.
        Ok(Token { access, refresh: String::new(), expires_ms: sent_ms + CODE_MS - MARGIN_MS })
    }

    fn is_dead(&self, error: &Error) -> bool {
        matches!(error.details().platform_code, 100_019 | 100_020)
    }
}

fn user(o: &Object<'_>, raw: &str) -> std::result::Result<User, Bad> {
    let text = |key| lenient::text(o, &[key]);
    Ok(User {
        username: text("username")?,
        name: text("truename")?,
        sex: text("sex")?,
        phone: text("phone")?,
        is_admin: lenient::yes(o, &["is_admin"])?.into(),
        avatar_url: text("avatar")?,
        created_at: lenient::time(o, &["created"])?,
        now: lenient::int(o, &["nowtime"])?.unwrap_or(0),
        raw: raw.to_owned(),
    })
}

fn company(o: &Object<'_>, raw: &str) -> std::result::Result<Company, Bad> {
    let text = |key| lenient::text(o, &[key]);
    Ok(Company {
        name: text("company_name")?,
        kind: text("company_type")?,
        tax_number: text("tax_number")?,
        address: [text("province")?, text("city")?, text("zone")?, text("address")?].concat(),
        phone: text("tel_phone")?,
        legal_person: text("legal_person_name")?,
        legal_person_phone: text("legal_person_phone")?,
        created_at: lenient::time(o, &["created"])?,
        now: lenient::int(o, &["nowtime"])?.unwrap_or(0),
        raw: raw.to_owned(),
    })
}

/// `userService/getUserInfo`; gives the method.
fn service(method: &str) -> Result<&str> {
    let word = |w: &str| {
        w.starts_with(|c: char| c.is_ascii_alphabetic())
            && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    match method.split_once('/') {
        Some((service, method)) if word(service) && word(method) => Ok(method),
        _ => Err(argument("method must be a service and its method like userService/getUserInfo".into())),
    }
}

fn argument(message: String) -> Error {
    Error::new(KL_E_ARGUMENT, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::transport::{Headers, Timing};

    fn zhiyun(format: &str) -> Zhiyun {
        let mut c = Config::new("zhiyun").unwrap();
        for (key, value) in [
            ("base_url", "https://auth.example.com/x"),
            ("client_id", "1102084294"),
            ("client_secret", "aku8hCyXBd9SqYkT"),
            ("access_token", "abc123"),
            ("format", format),
        ] {
            c.set(key, value).unwrap();
        }
        Zhiyun::new(&c).unwrap()
    }

    fn reply(body: &str) -> Reply {
        Reply {
            status: 200,
            headers: Headers::default(),
            body: body.as_bytes().to_vec(),
            timing: Timing::default(),
        }
    }

    fn request(draft: Draft<'_>, token: &str) -> Request {
        (draft.seal)(&Moment { now_ms: 1_422_339_152_058, token })
    }

    #[test]
    fn the_documents_vectors() {
        for (t, p) in [
            (1_422_339_152_058, 8519),
            (1_700_000_000_000, 2345),
            (1_422_339_159_999, 32_342),
            (1_522_404_566, 16_043),
        ] {
            assert_eq!(proof(t), p);
        }
        assert_eq!(zhiyun("json").basic, "Basic MTEwMjA4NDI5NDpha3U4aEN5WEJkOVNxWWtU");
    }

    #[test]
    fn requests() {
        let z = zhiyun("json");
        let r = request(TokenSource::draft(&z, Way::Usual, None).unwrap(), "");
        assert_eq!(
            r.url.path_and_query,
            "/x/apis/rest/authService/authorize/json?access_token=abc123&client_id=1102084294&t_=1422339152058&p_=8519"
        );
        assert_eq!((r.method, r.body.len()), ("GET", 0));
        let x = zhiyun("xml");
        let r = request(Speaks::draft(&x, &Op::UserGet).unwrap(), "c0de");
        assert_eq!(
            r.url.path_and_query,
            "/x/apis/rest/userService/getUserInfo/xml?access_token=abc123&client_id=1102084294&auth_code=c0de&t_=1422339152058&p_=8519"
        );
        let op = Op::Call { method: "userService/getUserInfo", params_json: r#"{"a":"x y","n":1}"# };
        assert!(request(Speaks::draft(&z, &op).unwrap(), "c").url.path_and_query.ends_with("&a=x%20y&n=1"));
        assert_eq!(z.nature(&op).unwrap(), Nature::Read);
        assert!(z.needed(&op) && !z.needed(&Op::Call { method: AUTHORIZE, params_json: "" }));
        for method in ["", "userService", "a/b/c", "../x", "a/b?c"] {
            let op = Op::Call { method, params_json: "" };
            assert_eq!(z.nature(&op).unwrap_err().status(), KL_E_ARGUMENT, "{method}");
        }
        let op = Op::Call { method: GET_USER, params_json: r#"{"a":[]}"# };
        assert_eq!(Speaks::draft(&z, &op).err().unwrap().status(), KL_E_ARGUMENT);
        assert_eq!(
            z.nature(&Op::Stock {
                cabinet_id: "",
                page: PageRequest { number: 1, size: 0 },
                extra_json: None
            })
            .unwrap_err()
            .status(),
            KL_E_UNSUPPORTED
        );
    }

    const USER_JSON: &str = r#"{"data":{"username":"u","truename":"\u738b","sex":"3","phone":"138","is_admin":"1","status":null,"avatar":"http:\/\/a\/000\/00\/11\/52_avatar_small","created":"2017-11-30 10:37:30","nowtime":1522404566},"code":200,"message":"ok"}"#;
    const USER_XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<apiResponse>\n  <data>\n    <username>u</username>\n    <truename>王</truename>\n    <sex>3</sex>\n    <phone>138</phone>\n    <is_admin>1</is_admin>\n    <status />\n    <avatar>http://a/000/00/11/52_avatar_small</avatar>\n    <created>2017-11-30 10:37:30</created>\n    <nowtime>1522404566</nowtime>\n  </data>\n  <code>200</code>\n  <message>ok</message>\n</apiResponse>";

    #[test]
    fn both_formats_say_the_same() {
        let get = |format: &str, body: &str| match Speaks::answer(&zhiyun(format), &Op::UserGet, &reply(body))
        {
            Ok(Answer::User(user)) => *user,
            other => panic!("{other:?}"),
        };
        let (a, b) = (get("json", USER_JSON), get("xml", USER_XML));
        assert_eq!(
            (a.name.as_str(), a.is_admin, a.now, a.created_at),
            ("王", Tri::Yes, 1_522_404_566, 1_512_009_450)
        );
        assert!(a.raw.starts_with("{\"username\"") && b.raw.starts_with("<data>"));
        assert_eq!(User { raw: String::new(), ..a }, User { raw: String::new(), ..b });
        let op = Op::Call { method: GET_USER, params_json: "" };
        let Answer::Json(json) = Speaks::answer(&zhiyun("xml"), &op, &reply(USER_XML)).unwrap() else {
            panic!()
        };
        assert!(json.contains(r#""truename":"王""#) && json.contains(r#""status":null"#));
        let body = r#"{"data":{"company_name":"c","company_type":"1","province":"","city":"","zone":"","address":"x","tel_phone":"","legal_person_name":"n","nowtime":1},"code":200,"message":"ok"}"#;
        let Answer::Company(c) = Speaks::answer(&zhiyun("json"), &Op::CompanyGet, &reply(body)).unwrap()
        else {
            panic!()
        };
        assert_eq!((c.name.as_str(), c.address.as_str(), c.legal_person.as_str()), ("c", "x", "n"));
    }

    #[test]
    fn codes() {
        let z = zhiyun("json");
        #[rustfmt::skip]
        let table = [
            (304, "", KL_E_PLATFORM, Advice::None),
            (400, "", KL_E_PARAMETER, Advice::Fix),
            (401, "Unauthorized", KL_E_TIMESTAMP, Advice::Retry),
            (500, "", KL_E_PLATFORM, Advice::Retry),
            (501, "Service or method not found!", KL_E_UNSUPPORTED, Advice::Fix),
            (601, "Invalid argument", KL_E_PARAMETER, Advice::Fix),
            (602, "", KL_E_NOT_FOUND, Advice::None),
            (704, "user does not exist", KL_E_NOT_FOUND, Advice::None),
            (714, "", KL_E_TOKEN, Advice::Fix),
            (905, "No information query the user belongs to the company", KL_E_NOT_FOUND, Advice::None),
            (100_002, "Client_id access is illegal", KL_E_AUTH, Advice::Fix),
            (100_008, "The client_id  does not exist.", KL_E_AUTH, Advice::Fix),
            (100_009, "http header authentication is illegal", KL_E_AUTH, Advice::Fix),
            (100_013, "client_secret  access is illegal", KL_E_AUTH, Advice::Fix),
            (100_014, "The access token has expired", KL_E_TOKEN, Advice::Fix),
            (100_018, "The authorization code does not have permission to access", KL_E_PERMISSION, Advice::Fix),
            (100_018, "Failed to create authorization code. Please contact Zhicloud administrator", KL_E_PLATFORM, Advice::Retry),
            (100_019, "", KL_E_AUTH, Advice::Fix),
            (100_020, "", KL_E_AUTH, Advice::Fix),
            (100_021, "", KL_E_AUTH, Advice::Fix),
            (100_023, "", KL_E_AUTH, Advice::Fix),
        ];
        for (code, message, status, advice) in table {
            let bodies = [
                ("json", format!(r#"{{"code":{code},"message":"{message}"}}"#)),
                (
                    "xml",
                    format!("<apiResponse><code>{code}</code><message>{message}</message></apiResponse>"),
                ),
            ];
            for (format, body) in bodies {
                let e = Speaks::answer(&zhiyun(format), &Op::UserGet, &reply(&body)).unwrap_err();
                let d = e.details();
                assert_eq!((d.platform_code, d.status, d.advice), (code, status, advice), "{body}");
                assert_eq!(z.is_dead(&e), matches!(code, 100_019 | 100_020));
            }
        }
    }

    #[test]
    fn every_code_is_in_the_documentation() {
        let doc = include_str!("../../../docs/platforms/zhiyun.md");
        let start = doc.find("| code | kl_status |").unwrap();
        let table = &doc[start..start + doc[start..].find("\n\n").unwrap()];
        for (code, word, _) in MEANINGS {
            let cell = |line: &str| line.split('|').nth(1).unwrap_or_default().to_owned();
            let found = table
                .lines()
                .map(cell)
                .any(|cell| cell.split([',', ' ']).any(|t| t == code.to_string()) && cell.contains(word));
            assert!(found, "docs/platforms/zhiyun.md lacks {code} {word}");
        }
    }

    #[test]
    fn odd_answers_are_named() {
        for (format, body, words) in [
            ("json", "", "is empty"),
            ("json", "<br />\n<b>Fatal error</b>", "web page"),
            ("json", r#"{"code":200,"message":"ok"}"#, "data is null"),
            ("json", r#"{"message":"ok"}"#, "code is missing"),
            ("xml", "", "is empty (byte 0)"),
            ("xml", "<apiResponse/>", "is empty"),
            ("xml", "<other><code>200</code></other>", "expected <apiResponse>"),
            ("xml", "<!DOCTYPE a><apiResponse/>", "DOCTYPE"),
            ("xml", "<apiResponse><code>2e2</code></apiResponse>", "code is no integer"),
        ] {
            let e = Speaks::answer(&zhiyun(format), &Op::UserGet, &reply(body)).unwrap_err();
            assert!(e.status() == KL_E_PROTOCOL && e.message().contains(words), "{body}: {e}");
        }
    }

    #[test]
    fn a_code_lives_less_than_half_a_minute() {
        let body =
            r#"{"data":{"auth_code":"c3a8ad070c745db455e30a51511dca819b607bf7"},"code":200,"message":"ok"}"#;
        let token = TokenSource::answer(&zhiyun("json"), &reply(body), 1_000_000).unwrap();
        assert_eq!((token.access.len(), token.expires_ms), (40, 1_028_000));
        assert!(
            TokenSource::answer(&zhiyun("json"), &reply(r#"{"data":{},"code":200,"message":"ok"}"#), 0)
                .is_err()
        );
    }
}
