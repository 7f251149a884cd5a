//! The four shapes of an answer, and what the codes in them mean.

use super::super::{http_error, lenient};
use crate::error::{Advice, Error, Result, words};
use crate::json::{self, Bad, Json, Kind as JsonKind, Object};
use crate::model::Page;
use crate::status::*;
use crate::transport::Reply;

/// The first pause that the vendor asks for after a refusal for too many calls.
pub(super) const RATE_PAUSE_MS: u32 = 3_000;

/// A code, a word that its text must hold (empty for any), and what it means. The first that fits counts.
type Meaning = (i32, &'static str, kl_status);

/// Refusals of the gateway, before any service saw the call.
#[rustfmt::skip]
const GATEWAY: &[Meaning] = &[
    (4001, "", KL_E_UNSUPPORTED),
    (4004, "", KL_E_PARAMETER),
    (4005, "", KL_E_UNSUPPORTED),
    (4006, "", KL_E_PARAMETER),
    (4007, "IP", KL_E_PERMISSION),
    (4007, "", KL_E_PARAMETER),
    (4008, "", KL_E_PARAMETER),
    (4009, "", KL_E_NOT_FOUND),
    (4010, "", KL_E_PARAMETER),
    (4101, "", KL_E_RATE_LIMIT),
    (4201, "", KL_E_AUTH),
    (4202, "", KL_E_AUTH),
    (4203, "", KL_E_AUTH),
    (4204, "", KL_E_PERMISSION),
];

/// Refusals of a token. Two of the codes mean several things, told apart by their text.
#[rustfmt::skip]
const TOKEN: &[Meaning] = &[
    (1000, "not supported", KL_E_PARAMETER),
    (1000, "", KL_E_AUTH),
    (1004, "", KL_E_TOKEN),
    (1005, "", KL_E_AUTH),
    (1103, "", KL_E_AUTH),
    (1105, "", KL_E_PERMISSION),
];

/// Refusals of the services behind the gateway.
#[rustfmt::skip]
const SERVICE: &[Meaning] = &[
    (5000, "重复核销", KL_E_CODE_USED),
    (5000, "已被核销", KL_E_CODE_USED),
    (5000, "not found", KL_E_NOT_FOUND),
    (5000, "不存在", KL_E_NOT_FOUND),
    (5000, "没有该", KL_E_NOT_FOUND),
    (5000, "找不到", KL_E_NOT_FOUND),
    (5000, "每页最多", KL_E_PARAMETER),
    (5000, "开始时间不能大于", KL_E_PARAMETER),
    (50_000, "重复核销", KL_E_CODE_USED),
    (50_000, "已被核销", KL_E_CODE_USED),
    (50_000, "已核销", KL_E_CODE_USED),
    (50_000, "已过期", KL_E_CODE_EXPIRED),
    (50_000, "关闭", KL_E_ORDER_STATE),
    (50_000, "退款", KL_E_ORDER_STATE),
    (50_000, "格式不正确", KL_E_PARAMETER),
    (50_000, "找不到", KL_E_NOT_FOUND),
    (50_000, "没有该", KL_E_NOT_FOUND),
    (50_000, "不存在", KL_E_NOT_FOUND),
    (53_001, "", KL_E_PARAMETER),
    (53_002, "", KL_E_PARAMETER),
    (101_300_000, "", KL_E_NOT_FOUND),
    (101_600_002, "核销,重复", KL_E_CODE_USED),
    (101_600_002, "已被核销", KL_E_CODE_USED),
    (101_600_002, "", KL_E_ORDER_STATE),
    (102_510_001, "", KL_E_NOT_READY),
    (102_570_007, "", KL_E_ORDER_STATE),
    (102_570_020, "", KL_E_ORDER_STATE),
    (102_599_996, "", KL_E_PARAMETER),
    (105_000_003, "", KL_E_PARAMETER),
    (105_000_016, "", KL_E_NOT_FOUND),
    (106_000_004, "", KL_E_PARAMETER),
    (106_100_110, "", KL_E_PARAMETER),
    (120_009_001, "", KL_E_NOT_FOUND),
    (122_001_001, "", KL_E_NOT_FOUND),
    (123_000_042, "", KL_E_RATE_LIMIT),
    (123_000_104, "", KL_E_PARAMETER),
    (123_003_023, "", KL_E_PERMISSION),
    (123_004_002, "", KL_E_NOT_FOUND),
    (123_005_001, "", KL_E_NOT_FOUND),
    (141_500_203, "", KL_E_RATE_LIMIT),
    (160_900_100, "", KL_E_PARAMETER),
    (160_950_100, "", KL_E_PARAMETER),
    (234_000_002, "", KL_E_PARAMETER),
    (234_000_003, "", KL_E_NOT_FOUND),
    (500_000_000, "", KL_E_PARAMETER),
    (500_100_004, "", KL_E_RATE_LIMIT),
];

/// Codes of a platform in passing trouble: a read is worth another try. 5001 is not among them: it mostly means a
/// parameter of the wrong type.
const PASSING: &[i32] =
    &[5002, 5003, 80_001, 106_000_001, 106_100_118, 106_000_003, 121_000_100, 500_000_003];

/// An answer that says yes.
pub(super) struct Payload<'a> {
    /// What was asked for, if the platform sent anything.
    pub(super) data: Option<Json<'a>>,
    /// The name of the field that held it.
    pub(super) at: &'static str,
    /// The envelope: some lists put their counts there.
    outer: Object<'a>,
}

impl<'a> Payload<'a> {
    /// What was asked for; an error if there is none.
    pub(super) fn data(&self) -> Result<Json<'a>> {
        self.data.ok_or_else(|| json::missing(self.at).error("the answer"))
    }

    /// A list with its count, inside the data or beside it, or the data itself as a list.
    pub(super) fn page<T>(
        &self,
        list: &[&str],
        count: &[&str],
        read: impl Fn(Json<'_>) -> std::result::Result<T, Bad>,
    ) -> Result<Page<T>> {
        let find = || {
            let inner = match self.data {
                Some(data) if data.kind() == JsonKind::Object => Some(data.object()?),
                _ => None,
            };
            let (records, at) = match (&inner, self.data) {
                (Some(o), _) if o.any(list)?.is_some() => (o.any(list)?, list[0]),
                (None, Some(data)) if data.kind() == JsonKind::Array => (Some(data), ""),
                _ => (self.outer.any(list)?, list[0]),
            };
            let total = match &inner {
                Some(o) if o.any(count)?.is_some() => lenient::int(o, count)?,
                _ => lenient::int(&self.outer, count)?,
            };
            let total = total.and_then(|n| u64::try_from(n).ok());
            let Some(records) = records else {
                // A list of nothing may be left out.
                return if total == Some(0) { Ok((Vec::new(), total)) } else { Err(json::missing(list[0])) };
            };
            let mut items = Vec::new();
            for (i, record) in records.array().map_err(|b| b.under(at))?.into_iter().enumerate() {
                items.push(read(record).map_err(|b| b.under(&format!("{at}[{i}]")))?);
            }
            Ok((items, total))
        };
        let (items, total) = find().map_err(|b| b.under(self.at).error("the answer"))?;
        let more = if items.is_empty() { Some(false) } else { None };
        Ok(Page { items, total, more })
    }
}

/// What an API answered.
pub(super) fn payload(reply: &Reply) -> Result<Payload<'_>> {
    read(reply, SERVICE)
}

/// What the token's address answered.
pub(super) fn token_payload(reply: &Reply) -> Result<Payload<'_>> {
    read(reply, TOKEN)
}

/// A refusal in one of the shapes.
struct Refusal {
    code: i32,
    message: String,
    by_gateway: bool,
}

fn read<'a>(reply: &'a Reply, meanings: &[Meaning]) -> Result<Payload<'a>> {
    let by_status = http_error(reply);
    let found = Json::parse(&reply.body).and_then(Json::object).and_then(sort_out);
    match (found, by_status) {
        (Ok(Ok(payload)), None) => Ok(payload),
        // A refusal under a bad status still names the reason; a success under one is not believed.
        (Ok(Err(refusal)), _) => Err(refused(&refusal, meanings, reply.status)),
        (_, Some(error)) => Err(error),
        (Err(bad), None) => Err(bad.error("the answer").with(|d| d.http_status = reply.status.into())),
    }
}

/// Which shape it is.
fn sort_out(outer: Object<'_>) -> std::result::Result<std::result::Result<Payload<'_>, Refusal>, Bad> {
    let said = |o: &Object<'_>| -> std::result::Result<String, Bad> {
        let main = lenient::text(o, &["err_msg", "message", "msg"])?;
        let sub = lenient::text(o, &["sub_msg"])?;
        Ok(if sub.is_empty() || main == sub { main } else { [&main, ": ", &sub].concat() })
    };
    if let Some(o) = outer.object(&["gw_err_resp"])? {
        let code = lenient::int32(&o, &["err_code"]).map_err(|b| b.under("gw_err_resp"))?;
        let code = code.ok_or_else(|| json::missing("err_code").under("gw_err_resp"))?;
        return Ok(Err(Refusal { code, message: said(&o)?, by_gateway: true }));
    }
    if let Some(o) = outer.object(&["error_response"])? {
        let code = lenient::int32(&o, &["code", "err_code"]).map_err(|b| b.under("error_response"))?;
        let code = code.ok_or_else(|| json::missing("code").under("error_response"))?;
        return Ok(Err(Refusal { code, message: said(&o)?, by_gateway: false }));
    }
    if let Some(data) = outer.get("response")? {
        return Ok(Ok(Payload { data: Some(data), at: "response", outer }));
    }
    if let (Some(true), Some(data)) = (outer.bool(&["success"])?, outer.get("code")?) {
        if data.kind() == JsonKind::Object {
            // The vendor's table of the logistics query prints the parcel under this name.
            return Ok(Ok(Payload { data: Some(data), at: "code", outer }));
        }
    }
    let code = lenient::int32(&outer, &["code"])?;
    match (outer.bool(&["success"])?, code) {
        (Some(true), None | Some(200)) => Ok(Ok(Payload { data: outer.get("data")?, at: "data", outer })),
        // Some services leave `success` out of a refusal.
        (_, Some(code)) if code != 200 => {
            Ok(Err(Refusal { code, message: said(&outer)?, by_gateway: false }))
        }
        (Some(false), _) => {
            Ok(Err(Refusal { code: code.unwrap_or(-1), message: said(&outer)?, by_gateway: false }))
        }
        _ => Err(json::missing("success")),
    }
}

fn refused(refusal: &Refusal, meanings: &[Meaning], http_status: u16) -> Error {
    let Refusal { code, message, by_gateway } = refusal;
    // The gateway's numbers are its own in whatever shape they come; a rate limit was seen without its envelope.
    let gateway = *by_gateway || (4001..5000).contains(code);
    let tables = if gateway { [GATEWAY, &[]] } else { [meanings, GATEWAY] };
    let fits = |(number, word, _): &&Meaning| number == code && message.contains(word);
    let known = tables.iter().find_map(|t| t.iter().find(fits)).map(|(_, _, status)| *status);
    let status = known.unwrap_or_else(|| {
        let limited = ["请求被限流", "请求太频繁", "访问频繁", "rate limiting"];
        if limited.iter().any(|w| message.contains(w)) { KL_E_RATE_LIMIT } else { KL_E_PLATFORM }
    });
    let hint = match (status, code) {
        (_, 4007) if status == KL_E_PERMISSION => {
            "; put this site's address on the application's IP whitelist in the console"
        }
        (_, 4204) => "; the application lacks this API's capability pack",
        (_, 5001) => "; mostly a parameter of the wrong type, such as a date without its time",
        (_, 1000) if status == KL_E_AUTH => "; client_secret is wrong, or was pasted with a blank",
        (_, 1103) => "; client_id or grant_id is wrong, or the shop has not authorised the application",
        (_, 1004) => "; the shop must authorise the application again",
        _ => "",
    };
    let text = format!("Youzan refused, code {code} {}{hint}", words(message));
    Error::new(status, text).with(|d| {
        d.http_status = http_status.into();
        d.platform_code = *code;
        d.platform_message = message.clone();
        if status == KL_E_RATE_LIMIT {
            d.retry_after_ms = RATE_PAUSE_MS;
        }
        if status == KL_E_PLATFORM && PASSING.contains(code) {
            d.advice = Advice::Retry;
        }
    })
}

/// Every code that has a meaning here, with the word that its text must hold.
#[cfg(test)]
pub(super) fn documented() -> impl Iterator<Item = (i32, &'static str)> {
    let meanings = [GATEWAY, TOKEN, SERVICE].into_iter().flatten().map(|(code, word, _)| (*code, *word));
    meanings.chain(PASSING.iter().map(|code| (*code, "")))
}
