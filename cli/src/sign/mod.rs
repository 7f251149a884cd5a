//! `kiosklink sign`: what is signed, and what went wrong with a sign that was refused.

mod mistakes;
mod read;
mod rules;
mod search;
mod zhiyun;

use crate::args::Given;
use crate::out::{Done, Stop, WRONG, quoted, say};
use crate::tr;
use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, URL_SAFE_NO_PAD};
use kiosklink::config::{Config, KEYS};
use kiosklink::error::Error;
use kiosklink::json::{Json, Kind as JsonKind, Object, Writer};
use kiosklink::platform::{self, Kind, Moment, Op, TokenSource};
use kiosklink::status::KL_E_ARGUMENT;
use kiosklink::transport::Request;
use mistakes::{Found, MISTAKES};
use read::{Message, Written, text_of};
use rules::Recipe;
use search::{Clues, search};

type Fields = Vec<(String, String)>;

/// What was found out about a request.
pub struct Verdict {
    /// Whether the sign is explained.
    pub explained: bool,
    /// The mistakes; none if all is right.
    pub found: Vec<Found>,
    /// What was signed, if it could be found out.
    pub signed: Option<String>,
    /// What is to be signed.
    pub right_text: String,
    /// What comes out.
    pub right_sign: String,
    /// The request, put right.
    pub right_request: String,
    /// What else is to be said.
    pub notes: Vec<String>,
}

/// A request, read with its platform's eyes.
struct Sent {
    /// The sign in it.
    sign: Option<String>,
    /// The fields as the platform reads them.
    fields: Fields,
    /// The same after the damage to the body itself was undone.
    repaired: Fields,
    /// What is wrong with it at sight.
    found: Vec<Found>,
    notes: Vec<String>,
    plus: Fields,
    /// How many of its fields have a name that the platform knows.
    recognised: usize,
}

/// `kiosklink sign mistakes`
pub fn list_mistakes(given: &Given) -> Done {
    for m in MISTAKES {
        let (what, cure) = (m.what.replace("{}", "something"), m.cure.replace("{}", "it"));
        if given.json() {
            let mut w = Writer::new();
            say(&w.text("id", m.id).text("what", &what).text("cure", &cure).take())?;
        } else {
            say(&format!("{}\n    {what}\n    {cure}", m.id))?;
        }
    }
    Ok(0)
}

trait Take {
    fn take(&mut self) -> String;
}

impl Take for Writer {
    fn take(&mut self) -> String {
        std::mem::take(self).finish()
    }
}

/// The settings that a diagnosis works with: the account's, or a platform with one secret.
fn settings(given: &Given) -> Result<Config, Stop> {
    let mut config = given.config()?;
    if let Some(value) = given.get("secret") {
        let secret = given.secret("secret", value)?;
        given.hide(&secret);
        config.set(main_secret(config.platform()), &secret)?;
    }
    if config.get(main_secret(config.platform())).is_none() {
        return Err(Stop::Usage(tr!(
            "the {} of {} is needed: --accounts FILE, or --secret @FILE",
            main_secret(config.platform()),
            config.platform().name()
        )));
    }
    Ok(config)
}

/// The setting that signs.
fn main_secret(platform: Kind) -> &'static str {
    match platform {
        Kind::Yopoint => "app_secret",
        Kind::Dingshang => "app_key",
        Kind::Youzan | Kind::Zhiyun => "client_secret",
    }
}

/// `kiosklink sign diagnose`
pub fn diagnose(given: &Given) -> Done {
    let config = settings(given)?;
    let input = given.input(&given.arg(0))?;
    let wrong = |why: String| Stop::Failed(Error::new(KL_E_ARGUMENT, format!("the request: {why}")));
    let message = read::read(&input).map_err(wrong)?;
    if given.has("show-request") && !given.json() {
        say(&format!(
            "Read as {}: {} {}\n{}{}\n",
            match message.written {
                Written::Curl => "a curl line",
                Written::Http => "raw HTTP",
                Written::Body => "a body",
                Written::Address => "an address",
            },
            message.method,
            message.target,
            message.headers.iter().map(|(n, _)| format!("{n}: ...\n")).collect::<String>(),
            String::from_utf8_lossy(&message.body)
        ))?;
    }
    let verdict = judge(&message, &config, given.get("sign")).map_err(wrong)?;
    if given.json() {
        say(&verdict.json())?;
    } else {
        say(&verdict.words())?;
    }
    Ok(if verdict.explained { 0 } else { WRONG })
}

/// Finds out what is wrong with a request.
fn judge(message: &Message, config: &Config, given: Option<&str>) -> Result<Verdict, String> {
    match config.platform() {
        Kind::Yopoint => yopoint(message, config, given),
        Kind::Dingshang => dingshang(message, config, given),
        Kind::Youzan => youzan(message, config, given),
        Kind::Zhiyun => zhiyun::diagnose(message, config, given),
    }
}

impl Verdict {
    fn words(&self) -> String {
        let mut text = String::new();
        match (self.explained, self.found.len()) {
            (true, 0) => text.push_str(
                "The signature is right for this request and this secret.\nIf it was refused all the same: is the clock right, \
                 does the secret belong to this id, may the account make this call?\n",
            ),
            (true, 1) => text.push_str("One mistake explains it:\n"),
            (true, n) => text.push_str(&format!("{n} mistakes together explain it:\n")),
            (false, 0) => text.push_str("No known mistake, and no pair of them, gives this signature.\n"),
            (false, _) => text.push_str("This is wrong with the request, but it does not explain the signature:\n"),
        }
        for (i, found) in self.found.iter().enumerate() {
            text.push_str(&format!("\n{}. {} ({})\n   {}\n", i + 1, found.what(), found.id, found.cure()));
        }
        if !self.explained {
            text.push_str(
                "\nIs it the right account, and its present secret? Was the request changed after it was signed? Compare with \
                 the text that should be signed:\n",
            );
        }
        if let Some(signed) = self.signed.as_ref().filter(|s| **s != self.right_text) {
            text.push_str(&format!("\nWhat was signed:\n  {}\n", visible(signed)));
        }
        if !self.right_text.is_empty() {
            text.push_str(&format!("\nWhat is to be signed:\n  {}\n", visible(&self.right_text)));
            text.push_str(&format!("which gives\n  {}\n", self.right_sign));
        }
        if !self.right_request.is_empty() && !self.found.is_empty() {
            text.push_str(&format!("\nThe request, corrected:\n{}\n", self.right_request));
        }
        self.notes.iter().for_each(|n| text.push_str(&format!("\nNote: {n}.\n")));
        text.trim_end().to_owned()
    }

    fn json(&self) -> String {
        let mistakes: Vec<String> = self
            .found
            .iter()
            .map(|f| {
                let mut w = Writer::new();
                w.text("id", f.id)
                    .text("detail", &f.detail)
                    .text("what", &f.what())
                    .text("cure", &f.cure())
                    .take()
            })
            .collect();
        let notes: Vec<String> = self.notes.iter().map(|n| quoted(n)).collect();
        let mut w = Writer::new();
        w.raw("explained", if self.explained { "true" } else { "false" });
        w.raw("mistakes", &format!("[{}]", mistakes.join(",")));
        w.text("signed_text", self.signed.as_deref().unwrap_or(""));
        w.text("right_text", &self.right_text).text("right_sign", &self.right_sign);
        w.text("right_request", &self.right_request).raw("notes", &format!("[{}]", notes.join(",")));
        w.finish()
    }
}

/// A text in which what cannot be seen can be seen.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => "\\n".to_owned(),
            '\r' => "\\r".to_owned(),
            '\t' => "\\t".to_owned(),
            c if c.is_control() || matches!(c, '\u{feff}' | '\u{a0}' | '\u{200b}') => {
                format!("\\u{{{:x}}}", c as u32)
            }
            c => c.to_string(),
        })
        .collect()
}

/// Every value of the account that could be taken for the right secret.
fn other_secrets(config: &Config, right: &str) -> Fields {
    let mut all: Fields = Vec::new();
    for key in KEYS {
        if !matches!(
            key.name,
            "app_id"
                | "app_secret"
                | "app_key"
                | "pay_key"
                | "client_id"
                | "client_secret"
                | "access_token"
                | "grant_id"
        ) {
            continue;
        }
        if let Some(value) = config.get(key.name) {
            if key.name != right && !all.iter().any(|(n, _)| n == key.name) {
                all.push((key.name.to_owned(), value.to_owned()));
            }
        }
    }
    all
}

fn get<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

fn put(fields: &mut Fields, name: &str, value: &str) {
    match fields.iter_mut().find(|(n, _)| n == name) {
        Some(slot) => slot.1 = value.to_owned(),
        None => fields.push((name.to_owned(), value.to_owned())),
    }
}

/// The best explanation among several readings: the fewest mistakes.
fn best(readings: &[Recipe], given: &str, clues: &Clues) -> Option<(Vec<Found>, Recipe)> {
    // A reading that fits as it is needs no search in the others.
    if let Some(fit) = readings.iter().find(|r| search::same_sign(&r.sign(), given)) {
        return Some((Vec::new(), fit.clone()));
    }
    let mut best: Option<(Vec<Found>, Recipe)> = None;
    for (i, reading) in readings.iter().enumerate() {
        // The body was whole: both readings are the same.
        let same = |r: &Recipe| r.fields == reading.fields && r.secret == reading.secret;
        if readings[..i].iter().any(same) {
            continue;
        }
        if let Some(end) = search(reading, given, clues) {
            if best.as_ref().is_none_or(|b| end.0.len() < b.0.len()) {
                best = Some(end);
            }
        }
    }
    best
}

/// What both ends agree on: mistakes seen and mistakes searched, each once.
fn together(mut seen: Vec<Found>, searched: Vec<Found>) -> Vec<Found> {
    for found in searched {
        let known = seen.iter().any(|f| {
            f.id == found.id
                && (f.detail == found.detail
                    || matches!(f.id, "html-entity" | "amp-entity" | "blank-in-value"))
        });
        // A field that is missing in the request explains by itself that it was signed all the same.
        let missing = found.id == "field-added"
            && seen.iter().any(|f| f.id == "field-missing" && f.detail == found.detail);
        if !known && !missing {
            seen.push(found);
        }
    }
    seen
}

/// The mistakes in how the sign itself is written.
fn sign_form(given: &str, capitals: bool, found: &mut Vec<Found>) {
    let is_hex = given.len() == 32 && given.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hex && given.bytes().any(|b| if capitals { b.is_ascii_lowercase() } else { b.is_ascii_uppercase() })
    {
        found.push(Found::new("sign-case", if capitals { "small" } else { "capital" }));
    }
}

fn sign_cut(given: &str, found: &mut Vec<Found>) {
    if given.len() < 32 && given.len() > 20 && given.bytes().all(|b| b.is_ascii_hexdigit()) {
        found.push(Found::new("sign-cut", "zeros were lost when the bytes were written as hex"));
    }
}

/// Copied from a web page: `&timestamp` became `×tamp`, `&notify_url` became `¬ify_url`, `&` became `&amp;`.
fn undamaged(body: &[u8], found: &mut Vec<Found>) -> Vec<u8> {
    let text = String::from_utf8_lossy(body).into_owned();
    let mut better = text.clone();
    for (damage, right) in [
        ("×tamp", "&timestamp"),
        ("%C3%97tamp", "&timestamp"),
        ("%c3%97tamp", "&timestamp"),
        ("¬ify", "&notify"),
        ("%C2%ACify", "&notify"),
        ("%c2%acify", "&notify"),
        ("&times;tamp", "&timestamp"),
    ] {
        better = better.replace(damage, right);
    }
    if better != text {
        found.push(Found::new("html-entity", ""));
    }
    let plain = better.replace("&amp;", "&");
    if plain != better {
        found.push(Found::new("amp-entity", ""));
    }
    if plain == text { body.to_vec() } else { plain.into_bytes() }
}

/// A JSON value as the text that is signed.
fn json_text(value: Json<'_>) -> String {
    match value.kind() {
        JsonKind::String => value.string().map(|s| s.into_owned()).unwrap_or_default(),
        JsonKind::Null => String::new(),
        _ => value.text().to_owned(),
    }
}

fn object_of(text: &str) -> Option<Object<'_>> {
    Json::parse(text.as_bytes()).ok()?.object().ok()
}

/// A body in text. Whether it was GBK.
fn body_text(message: &Message) -> (String, bool) {
    text_of(&message.body)
}

fn sight_of_form(sent: &mut Sent, message: &Message, known: &[&str]) {
    let body = if message.body.is_empty() { message.query().as_bytes() } else { &message.body };
    let mut gbk = false;
    let mut text = |bytes: &[u8]| {
        let (text, other) = text_of(bytes);
        gbk |= other;
        text
    };
    let better = undamaged(body, &mut sent.found);
    sent.fields = read::form(body).into_iter().map(|f| (f.name, text(&f.read))).collect();
    let mut repaired: Fields = Vec::new();
    let mut written = String::new();
    for raw in read::form(&better) {
        let value = text(&raw.read);
        if !known.contains(&raw.name.as_str()) && !known.is_empty() && !is_name(&raw.name) {
            // The rest of a value that held an &. What is not encoded is not to be decoded either.
            if let Some((name, last)) = repaired.last_mut() {
                if !sent.found.iter().any(|f| f.id == "not-encoded" && f.detail == *name) {
                    sent.found.push(Found::new("not-encoded", name.as_str()));
                    last.clone_from(&written);
                }
                last.push('&');
                last.push_str(&raw.pair);
                continue;
            }
        }
        written.clone_from(&raw.written);
        if raw.written.contains('+') {
            let meant = read::unescape(raw.written.replace('+', "%2B").as_bytes());
            sent.plus.push((raw.name.clone(), text(&meant)));
        }
        let again = read::unescape(value.as_bytes());
        let twice = value.contains('%') && again != value.as_bytes() && has_escapes(&value);
        if twice {
            sent.found.push(Found::new("double-encoded", raw.name.as_str()));
            repaired.push((raw.name, text(&again)));
        } else {
            repaired.push((raw.name, value));
        }
    }
    sent.repaired = repaired;
    if gbk {
        sent.found.push(Found::new("gbk-sent", ""));
    }
}

/// Whether a text looks URL-encoded: no blank or quote in it, and several escapes.
fn has_escapes(text: &str) -> bool {
    let escapes = text
        .as_bytes()
        .windows(3)
        .filter(|w| w[0] == b'%' && w[1].is_ascii_hexdigit() && w[2].is_ascii_hexdigit())
        .count();
    escapes >= 2 && !text.contains([' ', '"', '{'])
}

/// Whether this is a name that a vendor would give a field.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 40
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// What is wrong with these values at sight.
fn sight_of_values(sent: &mut Sent) {
    for (name, value) in &mut sent.repaired {
        if value.trim() != value.as_str() {
            sent.found.push(Found::new("blank-in-value", name.as_str()));
            *value = value.trim().to_owned();
        }
    }
}

const GATEWAY_FIELDS: &[&str] = &["appid", "biz_content", "method", "sign_type", "timestamp", "version"];
const REPORT_FIELDS: &[&str] = &["receipt_no", "trade_no", "trade_status", "trade_rawdata", "timestamp"];

fn yopoint(message: &Message, config: &Config, given: Option<&str>) -> Result<Verdict, String> {
    let mut sent = Sent {
        sign: None,
        fields: Vec::new(),
        repaired: Vec::new(),
        found: Vec::new(),
        notes: Vec::new(),
        plus: Vec::new(),
        recognised: 0,
    };
    let known: Vec<&str> =
        GATEWAY_FIELDS.iter().chain(REPORT_FIELDS).chain(&["sign", "price"]).copied().collect();
    let (text, gbk) = body_text(message);
    let mut as_json = false;
    if let Some(parts) = &message.parts {
        sent.fields.clone_from(parts);
        sent.repaired.clone_from(parts);
    } else if let Some(object) = object_of(text.trim()) {
        as_json = true;
        for (name, value) in object.fields() {
            if matches!(value.kind(), JsonKind::Object | JsonKind::Array) && name == "biz_content" {
                sent.found.push(Found::new("biz-content-object", ""));
            }
            sent.fields.push((name.to_string(), json_text(*value)));
        }
        sent.repaired.clone_from(&sent.fields);
        if gbk {
            sent.found.push(Found::new("gbk-sent", ""));
        }
    } else {
        sight_of_form(&mut sent, message, &known);
    }
    if sent.fields.is_empty() {
        return Err("there are no fields in it: a form, a JSON body or multipart is expected".into());
    }
    sent.recognised = sent.fields.iter().filter(|(n, _)| known.contains(&n.as_str())).count();
    sent.sign = get(&sent.repaired, "sign").map(str::to_owned);
    sent.fields.retain(|(n, _)| n != "sign");
    sent.repaired.retain(|(n, _)| n != "sign");
    sight_of_values(&mut sent);

    let report = get(&sent.repaired, "method").is_none() && get(&sent.repaired, "receipt_no").is_some();
    let method = get(&sent.repaired, "method").unwrap_or("").to_owned();
    let callback = !report && (method.starts_with("notify.") || method.ends_with(".notify"));
    let secret_key = if report { "pay_key" } else { "app_secret" };
    let needed: Vec<&str> = if report {
        REPORT_FIELDS.to_vec()
    } else {
        GATEWAY_FIELDS.iter().filter(|n| !callback || **n != "version").copied().collect()
    };
    let app_id = config.get("app_id");
    for name in needed {
        if get(&sent.repaired, name).is_some() {
            continue;
        }
        sent.found.push(Found::new("field-missing", name));
        match name {
            "version" => put(&mut sent.repaired, name, "1.0.0"),
            "sign_type" => put(&mut sent.repaired, name, "md5"),
            "biz_content" => put(&mut sent.repaired, name, ""),
            "appid" => put(&mut sent.repaired, name, app_id.unwrap_or("")),
            _ => {}
        }
    }
    let mut right = sent.repaired.clone();
    for (name, wanted) in [("sign_type", "md5"), ("version", "1.0.0")] {
        if get(&right, name).is_some_and(|v| v != wanted) {
            sent.found.push(Found::new("wrong-constant", name));
            put(&mut right, name, wanted);
        }
    }
    if let (Some(sent_id), Some(id)) = (get(&right, "appid"), app_id) {
        if sent_id != id {
            sent.found.push(Found::new("wrong-app-id", "appid"));
            put(&mut right, "appid", id);
        }
    }
    let unit_ms = config.get("timestamp_unit") == Some("ms") && !report;
    if let Some(t) = get(&right, "timestamp").map(str::to_owned) {
        let long = t.len() == 13 && t.parse::<i64>().is_ok();
        // Both are accepted in callbacks.
        if long && !unit_ms && !callback {
            sent.found.push(Found::new("timestamp-milliseconds", ""));
            put(&mut right, "timestamp", &t[..10]);
        } else if t.len() == 10 && unit_ms && !callback {
            sent.found.push(Found::new("timestamp-seconds", ""));
            put(&mut right, "timestamp", &format!("{t}000"));
        }
        sent.notes.extend(age(&t));
    }

    let secret = config.get(secret_key).or(config.get("app_secret")).unwrap_or("");
    let signed = |fields: &Fields| -> Fields {
        // Added behind the signature by known clients; not covered.
        fields.iter().filter(|(n, _)| !(report && n == "price")).cloned().collect()
    };
    let mut readings =
        vec![Recipe::yopoint(signed(&sent.fields), secret), Recipe::yopoint(signed(&sent.repaired), secret)];
    if callback {
        if let Some(pay) = config.get("pay_key") {
            // Which of the two signs which callback is not documented for all.
            let with_pay: Vec<Recipe> =
                readings.iter().map(|r| Recipe { secret: pay.to_owned(), ..r.clone() }).collect();
            readings.extend(with_pay);
        }
    }
    let right_recipe = Recipe::yopoint(signed(&right), secret);
    let mut unsent: Fields = vec![
        ("sign".into(), String::new()),
        ("version".into(), "1.0.0".into()),
        ("sign_type".into(), "md5".into()),
        ("format".into(), "json".into()),
        ("charset".into(), "utf-8".into()),
        ("charset".into(), "UTF-8".into()),
    ];
    unsent.extend(app_id.map(|id| ("appid".to_owned(), id.to_owned())));
    unsent.extend(get(&sent.fields, "price").map(|p| ("price".to_owned(), p.to_owned())));
    unsent.extend(business(&sent.repaired));
    let clues = Clues {
        other_secrets: other_secrets(config, secret_key),
        unsent,
        plus: sent.plus.clone(),
        contents: Vec::new(),
    };
    let mut request = right.clone();
    request.push(("sign".into(), right_recipe.sign()));
    let right_request = if as_json {
        let mut w = Writer::new();
        for (n, v) in &request {
            if n == "timestamp" {
                w.raw(n, v)
            } else {
                w.raw(n, &quoted(v))
            };
        }
        format!("{}Content-Type: application/json\n\n{}", first_line(message), w.finish())
    } else {
        let body: Vec<String> = request.iter().map(|(n, v)| format!("{n}={}", rules::percent(v))).collect();
        format!(
            "{}Content-Type: application/x-www-form-urlencoded\n\n{}",
            first_line(message),
            body.join("&")
        )
    };
    finish(sent, given, &readings, &right_recipe, &clues, right_request, false)
}

/// The business parameters, which some sign beside what holds them.
fn business(fields: &Fields) -> Fields {
    let Some(biz) = get(fields, "biz_content") else { return Vec::new() };
    let Some(object) = object_of(biz) else { return Vec::new() };
    object.fields().iter().map(|(n, v)| (n.to_string(), json_text(*v))).collect()
}

fn first_line(message: &Message) -> String {
    if message.target.is_empty() {
        return String::new();
    }
    let method = if message.method.is_empty() { "POST" } else { &message.method };
    format!("{method} {}\n", message.target.split('?').next().unwrap_or(""))
}

/// A word about a time that is far from this device's.
fn age(timestamp: &str) -> Option<String> {
    let Ok(t) = timestamp.parse::<i64>() else {
        return Some(format!(
            "the timestamp {} is no Unix time: whole seconds are expected",
            quoted(timestamp)
        ));
    };
    let t = if t >= 100_000_000_000 { t / 1000 } else { t };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?.as_secs() as i64;
    let off = now - t;
    (off.abs() > 300).then(|| {
        let (n, unit) = match off.abs() {
            s if s > 172_800 => (s / 86_400, "days"),
            s if s > 7200 => (s / 3600, "hours"),
            s => (s / 60, "minutes"),
        };
        let side = if off > 0 { "behind" } else { "ahead of" };
        format!("the timestamp is {n} {unit} {side} this device's clock; a platform that looks at it refuses an old one")
    })
}

fn finish(
    mut sent: Sent,
    given: Option<&str>,
    readings: &[Recipe],
    right: &Recipe,
    clues: &Clues,
    right_request: String,
    capitals: bool,
) -> Result<Verdict, String> {
    let sign = right.sign();
    let right_sign = if capitals { sign.to_uppercase() } else { sign };
    let verdict = |explained, found, signed| Verdict {
        explained,
        found,
        signed,
        right_text: right.text("***"),
        right_sign: right_sign.clone(),
        right_request: right_request.clone(),
        notes: sent.notes.clone(),
    };
    let Some(given) = given.map(str::to_owned).or(sent.sign.clone()).filter(|s| !s.is_empty()) else {
        sent.found.push(Found::new("sign-missing", ""));
        // Without a sign nothing confirms what is said: more must be there than is missing.
        if sent.recognised <= sent.found.len() {
            return Err(format!(
                "it does not look like one of this platform: {} of its fields are there, and {} things are wrong",
                sent.recognised,
                sent.found.len()
            ));
        }
        return Ok(verdict(true, std::mem::take(&mut sent.found), None));
    };
    let given = given.trim();
    match best(readings, given, clues) {
        Some((searched, recipe)) => {
            let mut found = together(std::mem::take(&mut sent.found), searched);
            sign_form(given, capitals, &mut found);
            let bytes = search::Given::new(given).written(&recipe.sign());
            if bytes.is_some() {
                // Its letters were not meant so.
                found.retain(|f| f.id != "sign-case");
                found.extend(bytes);
            } else if recipe.digest == rules::Digest::Md5 {
                sign_cut(given, &mut found);
            }
            Ok(verdict(true, found, Some(recipe.text("***"))))
        }
        None => {
            let mut found = std::mem::take(&mut sent.found);
            sign_form(given, capitals, &mut found);
            Ok(verdict(false, found, None))
        }
    }
}

fn dingshang(message: &Message, config: &Config, given: Option<&str>) -> Result<Verdict, String> {
    let mut sent = Sent {
        sign: None,
        fields: Vec::new(),
        repaired: Vec::new(),
        found: Vec::new(),
        notes: Vec::new(),
        plus: Vec::new(),
        recognised: 0,
    };
    let (text, gbk) = body_text(message);
    let trimmed = text.trim();
    let mut payload: Option<String> = None;
    let mut numbers = false;
    let mut inner: Option<String> = None;
    if let Some(object) = object_of(trimmed) {
        match object.last("payload") {
            Some(value) => payload = Some(json_text(value)),
            None => {
                if message.is_whole() {
                    sent.found.push(Found::new("payload-missing", ""));
                }
                inner = Some(trimmed.to_owned());
            }
        }
    } else if let Some(parts) = message.parts.clone() {
        sent.found.push(Found::new("form-not-json", ""));
        payload = get(&parts, "payload").map(str::to_owned);
    } else {
        let body =
            if message.body.is_empty() { message.query().as_bytes().to_vec() } else { message.body.clone() };
        let fields = read::form(&body);
        if let Some(raw) = fields.iter().find(|f| f.name == "payload") {
            sent.found.push(Found::new("form-not-json", ""));
            // A plus that was not encoded came out as a blank.
            payload = Some(String::from_utf8_lossy(&raw.read).replace(' ', "+"));
        } else if fields.iter().any(|f| f.name == "timestamp" || f.name == "machine_no")
            || body.windows(5).any(|w| w == b"sign=")
        {
            // The fields in the form of the signed text: what somebody prints to look at it.
            if message.is_whole() {
                sent.found.push(Found::new("form-not-json", ""));
                sent.found.push(Found::new("payload-missing", ""));
            }
            sight_of_form(&mut sent, message, &[]);
        } else if !trimmed.is_empty()
            && trimmed.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=-_\r\n".contains(&b))
        {
            payload = Some(trimmed.to_owned());
            if message.is_whole() {
                sent.found.push(Found::new("payload-missing", ""));
            }
        }
    }
    if let Some(payload) = payload {
        let bytes = unpacked(&payload, &mut sent.found).ok_or("payload is no Base64")?;
        let (text, other) = text_of(&bytes);
        if other {
            sent.found.push(Found::new("gbk-sent", ""));
        }
        inner = Some(text);
    } else if gbk {
        sent.found.push(Found::new("gbk-sent", ""));
    }
    if let Some(inner) = inner {
        let object = object_of(inner.trim()).ok_or("what is in payload is no JSON object")?;
        for (name, value) in object.fields() {
            numbers |= value.kind() == JsonKind::Number;
            sent.fields.push((name.to_string(), json_text(*value)));
        }
        sent.repaired = sent
            .fields
            .iter()
            .map(|(n, v)| {
                let again = read::unescape(v.as_bytes());
                if has_escapes(v) && n != "notify_url" {
                    sent.found.push(Found::new("double-encoded", n.as_str()));
                    (n.clone(), text_of(&again).0)
                } else {
                    (n.clone(), v.clone())
                }
            })
            .collect();
    }
    if sent.fields.is_empty() {
        return Err(
            "there are no fields in it: {\"payload\": ...}, the JSON inside it or the fields are expected"
                .into(),
        );
    }
    if numbers {
        sent.notes.push("send every value as a text: the vendor reads numbers as floats, and signs a large one in another spelling".into());
    }
    sent.recognised = sent.fields.iter().filter(|(n, v)| is_name(n) && !v.is_empty()).count();
    sent.sign = get(&sent.repaired, "sign").map(str::to_owned);
    sent.fields.retain(|(n, _)| n != "sign");
    sent.repaired.retain(|(n, _)| n != "sign");
    sight_of_values(&mut sent);
    let mut right = sent.repaired.clone();
    match get(&right, "timestamp").map(str::to_owned) {
        None => sent.found.push(Found::new("field-missing", "timestamp")),
        Some(t) => {
            if t.len() == 13 && t.parse::<i64>().is_ok() {
                sent.found.push(Found::new("timestamp-milliseconds", ""));
                put(&mut right, "timestamp", &t[..10]);
            }
            sent.notes.extend(age(&t));
        }
    }
    if message.is_whole() {
        let headers: &[(&str, &str)] = &[("Appid", "app_id"), ("AppSecret", "app_secret")];
        for (header, key) in headers {
            match (message.header(header), config.get(key)) {
                (None, _) => sent.found.push(Found::new("header-missing", *header)),
                (Some(value), Some(right)) if value != right => {
                    sent.found.push(Found::new("header-wrong", *header))
                }
                _ => {}
            }
        }
    }
    right.retain(|(_, v)| !v.is_empty() && v != "NULL");
    let query = config.get("sign_value_encoding") == Some("query");
    let key = config.get("app_key").unwrap_or("");
    let readings = [
        Recipe::dingshang(sent.fields.clone(), key, query),
        Recipe::dingshang(sent.repaired.clone(), key, query),
    ];
    let right_recipe = Recipe::dingshang(right.clone(), key, query);
    let mut unsent: Fields = vec![("sign".into(), String::new())];
    for (name, setting) in
        [("app_id", "app_id"), ("Appid", "app_id"), ("appid", "app_id"), ("AppSecret", "app_secret")]
    {
        unsent.extend(config.get(setting).map(|v| (name.to_owned(), v.to_owned())));
    }
    let clues = Clues {
        other_secrets: other_secrets(config, "app_key"),
        unsent,
        plus: sent.plus.clone(),
        contents: Vec::new(),
    };
    let sign = right_recipe.sign().to_uppercase();
    let mut object = Writer::new();
    right.sort();
    for (n, v) in right.iter().map(|(n, v)| (n.as_str(), v.as_str())).chain([("sign", sign.as_str())]) {
        object.raw(n, &quoted(v));
    }
    let object = object.finish();
    let right_request = format!(
        "{}Appid: {}\nAppSecret: ***\nContent-Type: application/json\n\n{{\"payload\":\"{}\"}}\nwhere payload is {object}",
        first_line(message),
        config.get("app_id").unwrap_or("..."),
        STANDARD.encode(&object)
    );
    finish(sent, given, &readings, &right_recipe, &clues, right_request, true)
}

/// Base64 in whatever form.
fn unpacked(payload: &str, found: &mut Vec<Found>) -> Option<Vec<u8>> {
    if let Ok(bytes) = STANDARD.decode(payload) {
        // Encoded twice?
        if let Some(inner) = std::str::from_utf8(&bytes).ok().filter(|t| !t.trim_start().starts_with('{')) {
            if let Ok(inner) = STANDARD.decode(inner.trim()) {
                found.push(Found::new("base64-variant", "encoded twice"));
                return Some(inner);
            }
        }
        return Some(bytes);
    }
    if payload.trim_start().starts_with('{') {
        found.push(Found::new("base64-variant", "the JSON is not encoded at all"));
        return Some(payload.as_bytes().to_vec());
    }
    let unbroken: String = payload.chars().filter(|c| !c.is_whitespace()).collect();
    if let Ok(bytes) = STANDARD.decode(&unbroken) {
        found.push(Found::new("base64-variant", "line breaks in it"));
        return Some(bytes);
    }
    let lax = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    if let Ok(bytes) = lax.decode(unbroken.trim_end_matches('=')) {
        found.push(Found::new("base64-variant", "the padding = is missing"));
        return Some(bytes);
    }
    if let Ok(bytes) = URL_SAFE_NO_PAD.decode(unbroken.trim_end_matches('=')) {
        found.push(Found::new("base64-variant", "the alphabet of URLs, - and _"));
        return Some(bytes);
    }
    let decoded = read::unescape(unbroken.as_bytes());
    let decoded = STANDARD.decode(decoded).ok()?;
    found.push(Found::new("base64-variant", "URL-encoded on top"));
    Some(decoded)
}

fn youzan(message: &Message, config: &Config, given: Option<&str>) -> Result<Verdict, String> {
    let mut sent = Sent {
        sign: None,
        fields: Vec::new(),
        repaired: Vec::new(),
        found: Vec::new(),
        notes: Vec::new(),
        plus: Vec::new(),
        recognised: 0,
    };
    let (body, gbk) = body_text(message);
    let object = object_of(body.trim()).ok_or(
        "Youzan signs its messages only: the JSON that it pushes is expected, with the header Event-Sign above it if there is one",
    )?;
    if gbk {
        sent.found.push(Found::new("gbk-sent", ""));
    }
    let text = |name: &str| object.last(name).map(json_text).unwrap_or_default();
    let (msg, body_sign, addressed) = (text("msg"), text("sign"), text("client_id"));
    let header = message.header("event-sign").unwrap_or("").trim().to_owned();
    let by_body =
        header.is_empty() && (given.is_none() || !body_sign.is_empty() && message.headers.is_empty());
    let id = config.get("client_id").unwrap_or(&addressed).to_owned();
    let secret = config.get("client_secret").unwrap_or("");
    const NAMES: &[&str] =
        &["client_id", "id", "kdt_id", "mode", "msg", "msg_id", "sign", "status", "type", "version"];
    sent.recognised = object.fields().iter().filter(|(n, _)| NAMES.contains(&n.as_ref())).count();
    sent.sign = [header.clone(), body_sign.clone()].into_iter().find(|s| !s.is_empty());
    if !addressed.is_empty() && addressed != id {
        sent.found.push(Found::new("wrong-app-id", "client_id"));
    }
    let right_content = if by_body { &msg } else { &body };
    let right = Recipe::youzan(&id, right_content, secret);
    let mut readings = vec![right.clone()];
    if !addressed.is_empty() && addressed != id {
        readings.push(Recipe::youzan(&addressed, right_content, secret));
    }
    let mut contents = vec![
        (Found::new("wrong-content", "the whole body"), body.clone()),
        (Found::new("wrong-content", "msg"), msg.clone()),
        (Found::new("msg-decoded", ""), text_of(&read::unescape(msg.as_bytes())).0),
        (Found::new("msg-decoded", ""), text_of(&read::unescape(msg.replace('+', "%2B").as_bytes())).0),
        (Found::new("wrong-content", "nothing"), String::new()),
        (Found::new("wrong-content", "id"), text("id")),
        (Found::new("wrong-content", "msg_id"), text("msg_id")),
        (Found::new("wrong-content", "msg in quotes"), quoted(&msg)),
    ];
    for (name, without) in
        [("the body without sign", &["sign"][..]), ("the body without sign and mode", &["sign", "mode"])]
    {
        let mut w = Writer::new();
        for (n, v) in object.fields().iter().filter(|(n, _)| !without.contains(&n.as_ref())) {
            w.raw(n, v.text());
        }
        contents.push((Found::new("wrong-content", name), w.finish()));
    }
    contents.retain(|(_, text)| text != right_content);
    // Parsed and written again: what a framework hands to whoever asks it for the body.
    let other = other_secrets(config, "client_secret");
    let clues = Clues { other_secrets: other, unsent: Vec::new(), plus: Vec::new(), contents };
    if given.is_none() && !header.is_empty() && !body_sign.is_empty() {
        let fits = Recipe::youzan(&id, &msg, secret).sign().eq_ignore_ascii_case(&body_sign);
        sent.notes
            .push(format!("the field sign in the body {} msg", if fits { "fits" } else { "does not fit" }));
    }
    let name = if by_body {
        "sign in the body: MD5 of client_id, msg, client_secret"
    } else {
        "Event-Sign: MD5 of client_id, the body, client_secret"
    };
    let right_request = format!("{name}\n{}", right.sign());
    let mut verdict = finish(sent, given, &readings, &right, &clues, right_request, false)?;
    // It is compared without regard to the letters' case.
    verdict.found.retain(|f| f.id != "sign-case" || given.is_some());
    Ok(verdict)
}

/// Made-up credentials, so that a platform can be looked at without an account.
fn sample(platform: &str) -> Result<Config, Stop> {
    let mut config = Config::new(platform)?;
    let settings: &[(&str, &str)] = match config.platform() {
        Kind::Yopoint => {
            &[("app_id", "100000000001"), ("app_secret", "sample-app-secret"), ("pay_key", "sample-pay-key")]
        }
        Kind::Dingshang => &[
            ("base_url", "https://dingshang.invalid"),
            ("app_id", "ds0000000001"),
            ("app_secret", "sample-app-secret"),
            ("app_key", "sample-app-key"),
        ],
        Kind::Youzan => &[
            ("client_id", "sampleclient00001"),
            ("client_secret", "sample-client-secret"),
            ("grant_id", "123456"),
        ],
        Kind::Zhiyun => &[
            ("base_url", "https://zhiyun.invalid"),
            ("client_id", "1000000001"),
            ("client_secret", "sampleclientsecr"),
            ("access_token", "samplea0access1token2"),
        ],
    };
    for (key, value) in settings {
        config.set(key, value)?;
    }
    Ok(config)
}

/// `kiosklink sign explain`
pub fn explain(given: &Given) -> Done {
    let named = given.arg(0);
    let config = if given.names_account() {
        given.config()?
    } else if named.is_empty() {
        return Err(Stop::Usage(tr!("sign explain needs a PLATFORM, or an account")));
    } else {
        sample(&named)?
    };
    if !named.is_empty() && config.platform().name() != named {
        return Err(Stop::Usage(tr!("the account is of {}, not of {}", config.platform().name(), named)));
    }
    config.secrets().for_each(|s| given.hide(s));
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as i64);
    let now_ms = match given.get("at") {
        None => now,
        Some(_) => given.number("at", 0_i64)?.saturating_mul(1000),
    };
    let (method, params) = match config.platform() {
        Kind::Yopoint => ("cabinet.list", "{\"Page\":1,\"PageSize\":5}"),
        Kind::Dingshang => {
            ("POST /products", "{\"machine_no\":\"16327129\",\"page\":\"1\",\"per_page\":\"10\"}")
        }
        Kind::Youzan => ("youzan.trade.get/4.0.1", "{\"tid\":\"E20200101000000000000001\"}"),
        Kind::Zhiyun => ("userService/getUserInfo", ""),
    };
    let params = match (given.get("params"), given.get("method")) {
        (Some(params), _) => params,
        (None, Some(_)) => "",
        (None, None) => params,
    };
    let method = given.get("method").unwrap_or(method);
    let library = platform::make(&config)?;
    let draft = library.draft(&Op::Call { method, params_json: params })?;
    let token = given.get("token").unwrap_or("0123456789abcdef0123456789abcdef01234567");
    let request = (draft.seal)(&Moment { now_ms, token });
    let steps = match config.platform() {
        Kind::Yopoint => steps_of_yopoint(&config, &request),
        Kind::Dingshang => steps_of_dingshang(&config, &request),
        Kind::Youzan => Ok(steps_of_youzan(&config, library.tokens())),
        Kind::Zhiyun => {
            // The header holds the secret in another spelling.
            request.headers.iter().for_each(|(n, v)| {
                if *n == "Authorization" {
                    given.hide(v.trim_start_matches("Basic "))
                }
            });
            steps_of_zhiyun(&config, &request)
        }
    };
    let steps = steps.map_err(|why| Stop::Failed(Error::new(KL_E_ARGUMENT, why)))?;
    let sent = shown(&request, token);
    if given.json() {
        let listed: Vec<String> = steps
            .list
            .iter()
            .map(|(t, v)| {
                let mut w = Writer::new();
                w.text("step", t).text("value", v).take()
            })
            .collect();
        let mut w = Writer::new();
        w.text("platform", config.platform().name()).text("method", method);
        w.raw("steps", &format!("[{}]", listed.join(",")))
            .text("text", &steps.text)
            .text("sign", &steps.sign);
        w.raw("library_agrees", if steps.agrees { "true" } else { "false" }).text("request", &sent);
        say(&w.finish())?;
    } else {
        let mut text = format!("{} {method}\n", config.platform().name());
        for (i, (title, value)) in steps.list.iter().enumerate() {
            text.push_str(&format!("\n{}. {title}\n", i + 1));
            value.lines().for_each(|line| text.push_str(&format!("   {line}\n")));
        }
        text.push_str(&format!("\nThe request, as the library sends it:\n\n{sent}\n"));
        if !steps.agrees {
            text.push_str("\nThe library sends another sign than these steps give: please report this.\n");
        }
        say(text.trim_end())?;
    }
    Ok(if steps.agrees { 0 } else { WRONG })
}

/// The steps to a sign.
struct Steps {
    list: Vec<(String, String)>,
    text: String,
    sign: String,
    /// Whether the library's request bears it.
    agrees: bool,
}

fn shown(request: &Request, token: &str) -> String {
    let mut text =
        format!("{} {}{}\n", request.method, request.url, request.url.path_and_query.replace(token, "TOKEN"));
    for (name, value) in &request.headers {
        let hidden = matches!(*name, "AppSecret" | "Authorization");
        text.push_str(&format!("{name}: {}\n", if hidden { "***" } else { value }));
    }
    if !request.body.is_empty() {
        text.push_str(&format!("\n{}", String::from_utf8_lossy(&request.body)));
    }
    text.trim_end().to_owned()
}

fn lines(fields: &Fields) -> String {
    fields.iter().map(|(n, v)| format!("{n} = {v}")).collect::<Vec<_>>().join("\n")
}

fn steps_of(
    recipe: &Recipe,
    unsigned: &str,
    appended: &str,
    capitals: bool,
    sent_sign: &str,
    more: Vec<(String, String)>,
) -> Steps {
    let mut sorted = recipe.fields.clone();
    sorted.sort();
    let bare = Recipe { place: rules::Place::Nowhere, ..recipe.clone() };
    let sum = recipe.sign();
    let sign = if capitals { sum.to_uppercase() } else { sum.clone() };
    let mut list = more;
    list.push((format!("The fields, {unsigned}, in the order of their names, byte by byte"), lines(&sorted)));
    list.push(("Joined as name=value with &, values as they are, not URL-encoded".into(), bare.text("")));
    list.push((
        format!("{appended} at its end: this is the text that is signed, in UTF-8"),
        recipe.text("***"),
    ));
    list.push((
        format!("MD5, as hex in {} letters: the sign", if capitals { "capital" } else { "small" }),
        sign.clone(),
    ));
    Steps { list, text: recipe.text("***"), agrees: sent_sign == sign, sign }
}

fn steps_of_yopoint(config: &Config, request: &Request) -> Result<Steps, String> {
    let text = String::from_utf8_lossy(&request.body).into_owned();
    let mut fields: Fields = match object_of(&text) {
        Some(object) => object.fields().iter().map(|(n, v)| (n.to_string(), json_text(*v))).collect(),
        None => read::form(&request.body).into_iter().map(|f| (f.name, text_of(&f.read).0)).collect(),
    };
    let sent = get(&fields, "sign").unwrap_or("").to_owned();
    fields.retain(|(n, _)| n != "sign");
    let recipe = Recipe::yopoint(fields, config.get("app_secret").unwrap_or(""));
    Ok(steps_of(&recipe, "all but sign, empty ones too", "& and app_secret", false, &sent, Vec::new()))
}

fn steps_of_dingshang(config: &Config, request: &Request) -> Result<Steps, String> {
    let text = String::from_utf8_lossy(&request.body).into_owned();
    let payload = object_of(&text).and_then(|o| o.last("payload").map(json_text));
    let Some(payload) = payload else {
        let why = if request.body.is_empty() { "This call has no body" } else { "This call is plain JSON" };
        let list = vec![(
            format!("{why}: nothing is signed; the headers Appid and AppSecret say who calls"),
            String::new(),
        )];
        return Ok(Steps { list, text: String::new(), sign: String::new(), agrees: true });
    };
    let inner = String::from_utf8(STANDARD.decode(&payload).map_err(|e| e.to_string())?)
        .map_err(|e| e.to_string())?;
    let object = object_of(&inner).ok_or("the payload is no JSON object")?;
    let mut fields: Fields = object.fields().iter().map(|(n, v)| (n.to_string(), json_text(*v))).collect();
    let sent = get(&fields, "sign").unwrap_or("").to_owned();
    fields.retain(|(n, _)| n != "sign");
    let query = config.get("sign_value_encoding") == Some("query");
    let recipe = Recipe::dingshang(fields, config.get("app_key").unwrap_or(""), query);
    let mut steps = steps_of(
        &recipe,
        "all but sign and empty ones",
        "&key= and app_key (neither app_secret nor app_id)",
        true,
        &sent,
        Vec::new(),
    );
    if query {
        if let Some(step) = steps.list.get_mut(1) {
            step.0 = "Joined as name=value with &, values URL-encoded, because sign_value_encoding is query"
                .into();
        }
    }
    steps.list.push(("With sign added, as JSON".into(), inner));
    steps.list.push(("In Base64, with padding: the payload".into(), payload));
    Ok(steps)
}

fn steps_of_youzan(config: &Config, tokens: Option<&dyn TokenSource>) -> Steps {
    let id = config.get("client_id").unwrap_or("");
    let secret = config.get("client_secret").unwrap_or("");
    let msg = "%7B%22tid%22%3A%22E20200101000000000000001%22%7D";
    let body = format!(
        "{{\"client_id\":\"{id}\",\"id\":\"E20200101000000000000001\",\"msg\":\"{msg}\",\"type\":\"trade_TradeSuccess\"}}"
    );
    let by_header = Recipe::youzan(id, &body, secret);
    let by_body = Recipe::youzan(id, msg, secret);
    // The library verifies what these steps make: an event that does not verify is no event.
    let verifies = |headers: &str, body: &str| {
        platform::make(config).is_ok_and(|p| p.event(headers, body.as_bytes(), 0).is_ok())
    };
    let with_sign = body.replacen("{", &format!("{{\"sign\":\"{}\",", by_body.sign()), 1);
    let agrees =
        verifies(&format!("Event-Sign: {}\r\n", by_header.sign()), &body) && verifies("", &with_sign);
    let token =
        tokens.map_or("", |_| " It is fetched with client_id and client_secret, which are sent as they are.");
    let list = vec![
        (format!("A call is not signed: the access_token in its address says who calls.{token} Youzan signs its messages; take one with this body"), body.clone()),
        ("The header Event-Sign: client_id, the body byte for byte as it came, client_secret, with nothing between".into(), by_header.text("***")),
        ("MD5, as hex: Event-Sign".into(), by_header.sign()),
        ("The field sign in the body, older: client_id, msg as it stands in the body (still URL-encoded), client_secret".into(), by_body.text("***")),
        ("MD5, as hex: sign".into(), by_body.sign()),
    ];
    Steps { list, text: by_header.text("***"), sign: by_header.sign(), agrees }
}

fn steps_of_zhiyun(config: &Config, request: &Request) -> Result<Steps, String> {
    let query = request.url.path_and_query.split_once('?').map_or("", |(_, q)| q);
    let fields: Fields =
        read::form(query.as_bytes()).into_iter().map(|f| (f.name, text_of(&f.read).0)).collect();
    let t: i64 = get(&fields, "t_").and_then(|t| t.parse().ok()).ok_or("t_ is no number")?;
    let p = zhiyun::proof(t);
    let rest = t.rem_euclid(10_000);
    let list = vec![
        ("t_ is the time, in Unix milliseconds (10 digits, seconds, work too)".into(), t.to_string()),
        ("Its last four digits".into(), rest.to_string()),
        ("Times 3, plus 2345: p_".into(), format!("{rest} * 3 + 2345 = {p}")),
        (
            "The header Authorization: Basic, and Base64 of client_id:client_secret. client_id must be the same in the query".into(),
            format!("Basic Base64({}:***)", config.get("client_id").unwrap_or("")),
        ),
        ("access_token and auth_code (which lives 30 s) stand in the query; nothing else is signed".into(), String::new()),
    ];
    let sent = get(&fields, "p_").unwrap_or("");
    Ok(Steps {
        list,
        text: format!("({t} % 10000) * 3 + 2345"),
        sign: p.to_string(),
        agrees: sent == p.to_string(),
    })
}

/// A saved callback as head and body.
pub fn head_and_body(input: &[u8]) -> (String, Vec<u8>) {
    match read::read(input) {
        Ok(message) if message.written == Written::Http => (message.head(), message.body),
        Ok(message) if message.written == Written::Body => (String::new(), message.body),
        Ok(message) if !message.query().is_empty() && message.body.is_empty() => {
            (message.head(), message.query().as_bytes().to_vec())
        }
        Ok(message) => (message.head(), message.body),
        Err(_) => (String::new(), input.to_vec()),
    }
}
