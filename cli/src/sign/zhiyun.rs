//! Zhiyun signs nothing, but each call shows a number made of its time, and who calls.

use super::mistakes::Found;
use super::read::{Message, form, text_of};
use super::{Verdict, rules};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use kiosklink::config::Config;

/// `(t_ % 10000) * 3 + 2345`
pub fn proof(t: i64) -> i64 {
    t.rem_euclid(10_000) * 3 + 2345
}

/// Looks a call over.
pub fn diagnose(message: &Message, config: &Config, given: Option<&str>) -> Result<Verdict, String> {
    let query =
        if message.query().is_empty() { message.body.clone() } else { message.query().as_bytes().to_vec() };
    let query = String::from_utf8_lossy(&query).into_owned();
    let mut found = Vec::new();
    let repaired = query.replace("&amp;", "&");
    if repaired != query {
        found.push(Found::new("amp-entity", ""));
    }
    let fields: Vec<(String, String)> =
        form(repaired.as_bytes()).into_iter().map(|f| (f.name, text_of(&f.read).0)).collect();
    let field = |name: &str| fields.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    if !fields.iter().any(|(n, _)| matches!(n.as_str(), "t_" | "p_" | "access_token" | "client_id")) {
        return Err("there is no query with t_ and p_ in it".into());
    }

    let mut right: Vec<(String, String)> = fields.clone();
    let mut put = |name: &str, value: String| match right.iter_mut().find(|(n, _)| n == name) {
        Some(slot) => slot.1 = value,
        None => right.push((name.to_owned(), value)),
    };
    match (field("t_").map(|t| t.trim().parse::<i64>()), given.or(field("p_"))) {
        (None, _) => found.push(Found::new("field-missing", "t_")),
        (_, None) => found.push(Found::new("field-missing", "p_")),
        (Some(Err(_)), _) => found.push(Found::new("p-formula", "t_ is no whole number")),
        (Some(Ok(t)), Some(p)) => {
            put("t_", t.to_string());
            put("p_", proof(t).to_string());
            match p.trim().parse::<i64>() {
                Err(_) => found.push(Found::new("p-formula", "p_ is no whole number")),
                Ok(p) if p == proof(t) => {}
                Ok(p) => found.push(proof_mistake(t, p)),
            }
        }
    }
    for name in ["t_", "p_", "access_token", "client_id", "auth_code"] {
        if field(name).is_some_and(|v| v != v.trim()) {
            found.push(Found::new("blank-in-value", name));
        }
    }

    // Who calls.
    let id = config.get("client_id").unwrap_or("");
    let secret = config.get("client_secret").unwrap_or("");
    match field("client_id") {
        None => {
            found.push(Found::new("field-missing", "client_id"));
            put("client_id", id.to_owned());
        }
        Some(sent) if !id.is_empty() && sent.trim() != id => {
            found.push(Found::new("wrong-app-id", "client_id"));
            put("client_id", id.to_owned());
        }
        Some(_) => {}
    }
    let token = config.get("access_token").unwrap_or("");
    match field("access_token").map(str::trim) {
        None => {
            found.push(Found::new("field-missing", "access_token"));
            put("access_token", token.to_owned());
        }
        Some(sent) if !token.is_empty() && sent != token => {
            let how = if sent.eq_ignore_ascii_case(token) {
                "other letters"
            } else if sent == secret {
                "it is client_secret"
            } else if Some(sent) == field("auth_code") {
                "it is auth_code"
            } else if sent.replace(' ', "+") == token {
                "a + arrived as a blank"
            } else {
                "another value"
            };
            found.push(Found::new("token-changed", how));
            put("access_token", token.to_owned());
        }
        Some(_) => {}
    }
    let path = message.target.split('?').next().unwrap_or("");
    if !path.is_empty() && !path.contains("authService") && field("auth_code").is_none() {
        found.push(Found::new("field-missing", "auth_code"));
    }
    let basic = STANDARD.encode(format!("{id}:{secret}"));
    if message.is_whole() || message.header("authorization").is_some() {
        found.extend(basic_mistake(message.header("authorization"), id, secret, token, &basic));
    }

    let pairs: Vec<String> = right.iter().map(|(n, v)| format!("{n}={}", rules::percent(v))).collect();
    let t = field("t_").unwrap_or("t_");
    let mut text = message.target.split('?').next().unwrap_or("").to_owned();
    text.push_str(if text.is_empty() { "" } else { "?" });
    text.push_str(&pairs.join("&"));
    text.push_str("\nAuthorization: Basic *** (Base64 of client_id:client_secret)");
    let mut notes = Vec::new();
    if field("auth_code").is_some() {
        notes.push("an auth_code lives 30 s: ask for a new one before you try again".to_owned());
    }
    Ok(Verdict {
        explained: true,
        found,
        signed: None,
        right_text: format!("({t} % 10000) * 3 + 2345"),
        right_sign: field("t_")
            .and_then(|t| t.trim().parse().ok())
            .map(|t: i64| proof(t).to_string())
            .unwrap_or_default(),
        right_request: text,
        notes,
    })
}

fn proof_mistake(t: i64, p: i64) -> Found {
    let milliseconds = t >= 100_000_000_000;
    let named: &[(&str, i64)] = &[
        ("t_ % 1000", t % 1000 * 3 + 2345),
        ("t_ % 100000", t % 100_000 * 3 + 2345),
        ("t_ % 100", t % 100 * 3 + 2345),
        ("without + 2345", t % 10_000 * 3),
        ("without * 3", t % 10_000 + 2345),
        ("t_ % 10000 alone", t % 10_000),
        ("(t_ % 10000 + 2345) * 3", (t % 10_000 + 2345) * 3),
        ("t_ % (10000 * 3) + 2345", t % 30_000 + 2345),
        ("t_ / 10000 instead of t_ % 10000", t / 10_000 * 3 + 2345),
        ("t_ * 3 + 2345", t * 3 + 2345),
        ("t_ % (10000 * 3 + 2345)", t % 32_345),
        ("(t_ * 3 + 2345) % 10000", (t * 3 + 2345) % 10_000),
        ("2345 and 3 swapped", t % 10_000 * 2345 + 3),
        ("t_ % 9999", t % 9999 * 3 + 2345),
        ("in 32 bits", i64::from(t as i32) % 10_000 * 3 + 2345),
        ("in 32 bits without a sign", i64::from(t as u32) % 10_000 * 3 + 2345),
    ];
    if let Some((name, _)) = named.iter().find(|(_, value)| *value == p) {
        return Found::new("p-formula", *name);
    }
    if milliseconds && p == proof(t / 1000) {
        return Found::new("p-unit", "of seconds, while t_ is in milliseconds");
    }
    if !milliseconds && (0..1000).any(|ms| p == proof(t * 1000 + ms)) {
        return Found::new("p-unit", "of milliseconds, while t_ is in seconds");
    }
    // p_ tells the last four digits of the time it was made of.
    if (p - 2345) % 3 == 0 && (0..10_000).contains(&((p - 2345) / 3)) {
        let mut off = (p - 2345) / 3 - t.rem_euclid(10_000);
        if off > 5000 {
            off -= 10_000;
        } else if off < -5000 {
            off += 10_000;
        }
        let unit = if milliseconds { "ms" } else { "s" };
        if milliseconds || off.abs() <= 300 {
            return Found::new("timestamp-drift", format!("{off:+} {unit}"));
        }
    }
    Found::new("p-formula", "none that is known")
}

fn basic_mistake(sent: Option<&str>, id: &str, secret: &str, token: &str, right: &str) -> Option<Found> {
    let Some(sent) = sent else { return Some(Found::new("header-missing", "Authorization")) };
    if sent == format!("Basic {right}") || secret.is_empty() {
        return None;
    }
    let form = |how: &str| Some(Found::new("basic-form", how));
    if sent == right {
        return form("the word Basic is missing");
    }
    if sent.starts_with("Bearer ") {
        return form("Bearer instead of Basic");
    }
    let Some((word, value)) = sent.split_once(char::is_whitespace) else {
        return form(if sent.starts_with("Basic") {
            "no blank behind Basic"
        } else {
            "the word Basic is missing"
        });
    };
    if !word.eq_ignore_ascii_case("basic") {
        return form("another word than Basic");
    }
    let value = value.trim();
    if value == format!("{id}:{secret}") {
        return form("not in Base64");
    }
    if value == right {
        // Letters of the word or blanks do not matter to a server.
        return None;
    }
    if value.trim_end_matches('=') == right.trim_end_matches('=') {
        return form("the padding = is missing");
    }
    if value == URL_SAFE.encode(format!("{id}:{secret}")) {
        return form("the alphabet of URLs");
    }
    if value == rules::percent(right) {
        return form("URL-encoded");
    }
    let bytes =
        STANDARD.decode(value).or_else(|_| STANDARD_NO_PAD.decode(value)).or_else(|_| URL_SAFE.decode(value));
    let Ok(bytes) = bytes else { return form("no Base64") };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if text == right {
        return form("encoded twice");
    }
    if text.trim_end_matches(['\n', '\r']) == format!("{id}:{secret}") {
        return form("a line break was encoded too: printf, not echo");
    }
    if text == format!("{secret}:{id}") {
        return Some(Found::new("basic-swapped", ""));
    }
    if text == format!("{id}:{token}") || text == format!("{id}:") {
        return Some(Found::new(
            "wrong-secret",
            if text.ends_with(':') { "nothing" } else { "access_token" },
        ));
    }
    if text == format!("{id}{secret}") {
        return form("the colon is missing");
    }
    match text.split_once(':') {
        None => form("no colon in it"),
        Some((user, _)) if user != id => Some(Found::new("client-id-differs", "")),
        Some((_, password)) if password.trim() == secret || password.eq_ignore_ascii_case(secret) => {
            Some(Found::new("secret-blank", "a blank, or other letters"))
        }
        Some(_) => Some(Found::new("wrong-secret", "another value")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_own_numbers() {
        assert_eq!(proof(1_422_339_152_058), 8519);
        assert_eq!(proof(1_522_404_566), 16_043);
    }

    #[test]
    fn the_documents_own_header() {
        let right = STANDARD.encode("1102084294:aku8hCyXBd9SqYkT");
        let look = |sent: &str| basic_mistake(Some(sent), "1102084294", "aku8hCyXBd9SqYkT", "t", &right);
        assert_eq!(look("Basic MTEwMjA4NDI5NDpha3U4aEN5WEJkOVNxWWtU"), None);
        assert_eq!(
            look(&format!("Basic {}", STANDARD.encode("aku8hCyXBd9SqYkT:1102084294"))).unwrap().id,
            "basic-swapped"
        );
        assert_eq!(look("MTEwMjA4NDI5NDpha3U4aEN5WEJkOVNxWWtU").unwrap().id, "basic-form");
        assert_eq!(basic_mistake(None, "a", "b", "c", &right).unwrap().id, "header-missing");
    }
}
