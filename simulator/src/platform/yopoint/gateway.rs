//! The gateway's common fields, its signature and its envelope.

use std::fmt::Write as _;

use md5::{Digest, Md5};
use serde_json::{Map, Value, json};

use crate::message::{Request, form_encode, parse_form, parse_multipart};

/// Request fields, in the order they came.
pub type Fields = Vec<(String, String)>;

/// The fields of a request in any of the three content types.
pub fn fields(request: &Request) -> Result<Fields, String> {
    match request.content_type().as_str() {
        "application/x-www-form-urlencoded" => parse_form(&request.body),
        "multipart/form-data" => {
            parse_multipart(request.header("content-type").unwrap_or_default(), &request.body)
        }
        "application/json" => {
            let body: Value =
                serde_json::from_slice(&request.body).map_err(|e| format!("the body is not JSON: {e}"))?;
            let members = body.as_object().ok_or("the body is not a JSON object")?;
            members.iter().map(|(key, value)| Ok((key.clone(), plain_text(key, value)?))).collect()
        }
        other => Err(format!("content type {other:?} is none of urlencoded, JSON and multipart")),
    }
}

/// In JSON mode the text that is signed is the text of the string, so nothing but plain values will do.
fn plain_text(key: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(format!("{key} must be a string (biz_content is JSON inside a string)")),
    }
}

/// The last field of a name, as a form's reader would see it.
pub fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

/// The text that is hashed, without its secret: every field but `sign` and those left out, by key.
pub fn base_string(fields: &Fields, leave_out: &[&str]) -> String {
    let mut signed: Vec<_> =
        fields.iter().filter(|(n, _)| n != "sign" && !leave_out.contains(&n.as_str())).collect();
    signed.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    signed.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("&")
}

/// The MD5 of bytes in lower-case hexadecimal.
pub fn md5_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(32);
    for byte in Md5::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The signature over fields.
pub fn sign(fields: &Fields, leave_out: &[&str], secret: &str) -> String {
    md5_hex(format!("{}&{secret}", base_string(fields, leave_out)).as_bytes())
}

/// Why a signature is wrong, and the text that it was made from, if one of the known mistakes explains it. They
/// are tried one after the other.
pub fn diagnose(
    fields: &Fields,
    leave_out: &[&str],
    given: &str,
    secret: &str,
    others: &[(&str, &str)],
) -> (String, Option<String>) {
    let unexplained = |what: &str| (what.to_owned(), None);
    let explained = |what: &str, signed: String| (what.to_owned(), Some(signed));
    let expected = sign(fields, leave_out, secret);
    if given == expected {
        return unexplained("nothing");
    }
    if given.is_empty() {
        return unexplained("there is no sign");
    }
    if given.eq_ignore_ascii_case(&expected) {
        return unexplained("the sign is in upper case; it must be lower case");
    }
    if given.len() != 32 || !given.bytes().all(|b| b.is_ascii_hexdigit()) {
        return unexplained("the sign is not 32 hexadecimal digits");
    }
    let base = base_string(fields, leave_out);
    let is = |text: &str| given.eq_ignore_ascii_case(&md5_hex(text.as_bytes()));
    let with = |fields: &Fields, out: &[&str]| format!("{}&{secret}", base_string(fields, out));
    let changed = |change: &dyn Fn(&str, &str) -> String| -> Fields {
        fields.iter().map(|(n, v)| (n.clone(), change(n, v))).collect()
    };
    for (what, other) in others {
        let text = format!("{base}&{other}");
        if is(&text) {
            return explained(&format!("it is signed with {what}"), text);
        }
    }
    for blank in [format!("{secret} "), format!(" {secret}"), format!("{secret}\n"), format!("{secret}\r\n")]
    {
        let text = format!("{base}&{blank}");
        if is(&text) {
            return explained("the secret has a blank or a line end at one of its ends", text);
        }
    }
    for (text, what) in [
        (format!("{base}&key={secret}"), "the secret stands behind \"key=\"; it must stand alone"),
        (
            format!("{base}&appSecret={secret}"),
            "the secret stands behind \"appSecret=\"; it must stand alone",
        ),
        (format!("{base}{secret}"), "there is no & before the secret"),
        (format!("{secret}&{base}"), "the secret stands in front; it belongs at the end"),
        (format!("{secret}{base}{secret}"), "the secret stands at both ends; it belongs at the end only"),
        (base.clone(), "the secret is missing"),
        (format!("{base}&{secret}").replace('&', "&amp;"), "every & has become &amp;"),
    ] {
        if is(&text) {
            return explained(what, text);
        }
    }
    for (out, what) in [
        (&["version"][..], "version is not signed"),
        (&["sign_type"], "sign_type is not signed"),
        (&["sign_type", "version"], "sign_type and version are not signed"),
        (&["biz_content"], "biz_content is not signed"),
        (&["method"], "method is not signed"),
        (&["timestamp"], "timestamp is not signed"),
    ] {
        let text = with(fields, out);
        if is(&text) {
            return explained(what, text);
        }
    }
    let filled: Fields = fields.iter().filter(|(_, v)| !v.is_empty()).cloned().collect();
    let respaced = |pretty: &dyn Fn(&Value) -> String| {
        changed(&|name, value| match serde_json::from_str::<Value>(value) {
            Ok(parsed) if name == "biz_content" => pretty(&parsed),
            _ => value.to_owned(),
        })
    };
    let percent = changed(&|_, value| form_encode(value));
    for (candidate, what) in [
        (filled, "empty values are left out; they are signed too"),
        (percent.clone(), "the values are signed percent-encoded; sign them raw"),
        (
            percent.into_iter().map(|(n, v)| (n, v.replace('+', "%20"))).collect(),
            "the values are signed percent-encoded; sign them raw",
        ),
        (
            respaced(&|v| v.to_string()),
            "biz_content was serialised again after signing; sign exactly the text that is sent",
        ),
        (
            respaced(&|v| format!("{v:#}")),
            "biz_content was serialised again after signing; sign exactly the text that is sent",
        ),
        (
            respaced(&|v| v.to_string().replace("\":", "\": ").replace(",\"", ", \"")),
            "biz_content was signed with blanks after : and , and sent without them",
        ),
        (
            changed(&|n, v| if n == "timestamp" { format!("{v}000") } else { v.to_owned() }),
            "the signed timestamp is in milliseconds, the one sent in seconds",
        ),
        (
            changed(&|n, v| {
                if n == "timestamp" { v.get(..10).unwrap_or(v).to_owned() } else { v.to_owned() }
            }),
            "the signed timestamp is in seconds, the one sent in milliseconds",
        ),
        (
            changed(&|_, v| v.trim().to_owned()),
            "blanks around a value are not signed; sign exactly the text that is sent",
        ),
    ] {
        let text = with(&candidate, leave_out);
        if is(&text) {
            return explained(what, text);
        }
    }
    let received: Vec<_> =
        fields.iter().filter(|(n, _)| n != "sign").map(|(n, v)| format!("{n}={v}")).collect();
    let unsorted = format!("{}&{secret}", received.join("&"));
    if is(&unsorted) {
        return explained(
            "the parameters are signed in the order sent; they must be sorted by key",
            unsorted,
        );
    }
    let gbk = encoding_rs::GBK.encode(&format!("{base}&{secret}")).0.into_owned();
    if given.eq_ignore_ascii_case(&md5_hex(&gbk)) {
        return unexplained("the text is hashed in GBK; it must be UTF-8");
    }
    unexplained(
        "no known mistake fits: compare the text that was signed with the expected one, and the secret",
    )
}

/// Business parameters; names are found in any case, as the vendor's own pages write them in several.
#[derive(Clone, Debug, Default)]
pub struct Biz(Map<String, Value>);

impl Biz {
    /// Reads the text of `biz_content`; empty text and an empty list are an empty object.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_str(text) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(Value::Array(items)) if items.is_empty() => Ok(Self::default()),
            Ok(_) => Err("biz_content is not a JSON object".into()),
            Err(e) => Err(format!("biz_content is not JSON: {e}")),
        }
    }

    /// Parameters that are written out.
    pub fn of(value: &Value) -> Self {
        Self(value.as_object().cloned().unwrap_or_default())
    }

    /// A parameter in this spelling and no other.
    pub fn exact(&self, name: &str) -> Option<i64> {
        Self(self.0.get_key_value(name).map(|(k, v)| (k.clone(), v.clone())).into_iter().collect())
            .int(&[name])
    }

    /// The whole.
    pub fn whole(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// A parameter by any of its names.
    pub fn any(&self, names: &[&str]) -> Option<&Value> {
        let fits = |key: &str| names.iter().any(|n| n.eq_ignore_ascii_case(key));
        self.0.iter().find(|(key, value)| fits(key) && !value.is_null()).map(|(_, value)| value)
    }

    /// A text; a number will do.
    pub fn text(&self, names: &[&str]) -> Option<String> {
        match self.any(names)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// A whole number; its text will do.
    pub fn int(&self, names: &[&str]) -> Option<i64> {
        match self.any(names)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// A text that must be there.
    pub fn need(&self, name: &str) -> Result<String, Refusal> {
        self.text(&[name]).ok_or_else(|| Refusal::missing(name))
    }

    /// A whole number that must be there.
    pub fn need_int(&self, name: &str) -> Result<i64, Refusal> {
        self.int(&[name]).ok_or_else(|| Refusal::missing(name))
    }
}

/// A failure that the platform answers with.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The key of its name in the settings, or the name itself.
    pub reason: String,
    /// What `data` holds.
    pub data: Value,
}

impl Refusal {
    /// A failure whose name stands in the settings under this key.
    pub fn new(reason: &str) -> Self {
        Self { reason: reason.to_owned(), data: json!({}) }
    }

    /// `MISSING_PARAMS_` and the name of the field in capitals.
    pub fn missing(field: &str) -> Self {
        Self::new(&format!("MISSING_PARAMS_{}", field.to_ascii_uppercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&str, &str)]) -> Fields {
        fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    fn common(biz: &str, method: &str, timestamp: &str) -> Fields {
        request(&[
            ("version", "1.0.0"),
            ("appid", "100000000001"),
            ("method", method),
            ("timestamp", timestamp),
            ("sign_type", "md5"),
            ("biz_content", biz),
            ("sign", "ignored"),
        ])
    }

    #[test]
    fn vectors_of_the_notes() {
        let list = r#"{"Page":1,"PageSize":5}"#;
        let cases = [
            (common(list, "cabinet.list", "1700000000"), "e8acd748960cb6a9d910dad993569f20"),
            (common(list, "cabinet.list", "1700000000000"), "d2859e132ac15685e1469edbc0612888"),
            (common("", "api.test", "1700000000"), "c8493e9120e73aa55c6954fb8adf7bc2"),
        ];
        for (fields, want) in cases {
            assert_eq!(sign(&fields, &[], "test-secret"), want);
        }
        let callback = r#"{"Status":1,"ReceiptNo":"VI231114221320000001","Msg":""}"#;
        let fields = common(callback, "notify.close.door", "1700000000");
        assert_eq!(sign(&fields, &["version"], "test-secret"), "0f157afa1e409cec24997d5c211c8ac7");
    }

    #[test]
    fn the_published_example_hashes_to_what_it_hashes_to() {
        let fields = request(&[
            ("appid", "930859529955"),
            ("biz_content", r#"{"ReceiptNo":"OD190425164650841431"}"#),
            ("method", "consumer.order.get"),
            ("sign_type", "md5"),
            ("timestamp", "1556943545748"),
            ("version", "1.0.0"),
        ]);
        assert_eq!(sign(&fields, &[], "xxxxxx"), "83271d89b205934a374d70eb7b4a7b97");
    }

    #[test]
    fn mistakes_are_named() {
        let fields = common(r#"{"a":"柜 1"}"#, "api.test", "1700000000");
        let base = base_string(&fields, &[]);
        let say = |text: String| {
            diagnose(&fields, &[], &md5_hex(text.as_bytes()), "s3", &[("the payment key", "pk")]).0
        };
        assert_eq!(say(format!("{base}&s3")), "nothing");
        assert!(say(format!("{base}&key=s3")).contains("key="));
        assert!(say(format!("{base}&s3 ")).contains("blank"));
        assert!(say(format!("{base}&pk")).contains("payment key"));
        assert!(say(format!("{}&s3", base_string(&fields, &["version"]))).contains("version"));
        assert!(say(format!("{}&s3", base.replace("1700000000", "1700000000000"))).contains("milliseconds"));
        assert!(say("x".into()).contains("no known mistake"));
        let upper = sign(&fields, &[], "s3").to_uppercase();
        assert!(diagnose(&fields, &[], &upper, "s3", &[]).0.contains("lower case"));
    }

    #[test]
    fn the_published_invalid_json_is_refused() {
        let text = r#"{"page":1,"StartTime":1708617600,"EndTime":1709222399,pageSize:20}"#;
        assert!(Biz::parse(text).is_err());
        assert_eq!(
            Biz::parse(&text.replace("pageSize", "\"pageSize\"")).map(|b| b.int(&["PAGE"])).ok(),
            Some(Some(1))
        );
    }
}
