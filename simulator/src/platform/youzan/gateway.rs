//! What the gateway does before an API sees a request, and the four envelopes.

use serde_json::{Map, Value, json};

use crate::message::{Request, parse_form, parse_multipart};

/// An API that is served.
pub struct Api {
    /// Its name without a version.
    pub name: &'static str,
    /// Its versions.
    pub versions: &'static [&'static str],
    /// It answers `response` or `error_response`.
    pub legacy: bool,
}

const fn modern(name: &'static str, versions: &'static [&'static str]) -> Api {
    Api { name, versions, legacy: false }
}

const fn legacy(name: &'static str, versions: &'static [&'static str]) -> Api {
    Api { name, versions, legacy: true }
}

/// The APIs that are served. Those whose parameters are not public are not among them.
pub const APIS: &[Api] = &[
    legacy("youzan.trade.selffetchcode.get", &["3.0.0"]),
    legacy("youzan.trade.selffetchcode.apply", &["3.0.0"]),
    legacy("youzan.trade.virtualcode.get", &["3.0.0"]),
    legacy("youzan.trade.virtualcode.apply", &["3.0.0"]),
    legacy("youzan.trade.virtualticket.get", &["3.0.0"]),
    legacy("youzan.trade.virtualticket.verifycode", &["3.0.0"]),
    legacy("youzan.trade.virtualticket.verifyticket", &["3.0.0"]),
    legacy("youzan.trade.memo.update", &["3.0.0"]),
    legacy("youzan.logistics.online.marksign", &["3.0.0"]),
    modern("youzan.logistics.online.confirm", &["3.0.0"]),
    modern("youzan.logistics.expressbyorderno.get", &["3.0.0"]),
    modern("youzan.trade.get", &["4.0.0", "4.0.1", "4.0.2"]),
    modern("youzan.trades.sold.get", &["4.0.0", "4.0.1", "4.0.2", "4.0.3", "4.0.4"]),
    modern("youzan.item.get", &["3.0.0"]),
    modern("youzan.item.sku.get", &["3.0.0"]),
    modern("youzan.item.detail.get", &["1.0.1", "1.0.2"]),
    modern("youzan.item.itemdetail.get", &["1.0.0"]),
    modern("youzan.items.onsale.get", &["3.0.0"]),
    modern("youzan.item.quantity.update", &["3.0.0", "4.0.0"]),
    modern("youzan.retail.open.query.warehousestock", &["1.0.0"]),
    modern("youzan.retail.open.stock.adjust", &["3.0.0"]),
    modern("youzan.retail.open.modify.planstock", &["1.0.0"]),
    modern("youzan.multistore.offline.get", &["3.0.0"]),
    modern("youzan.multistore.offline.search", &["3.0.0"]),
    modern("youzan.multistore.offline.create", &["3.0.0"]),
    modern("youzan.multistore.setting.get", &["3.0.0"]),
    modern("youzan.multistore.goods.sku.get", &["3.0.0"]),
    modern("youzan.multistore.goods.sku.update", &["3.0.0"]),
    modern("youzan.shop.get", &["3.0.0"]),
    modern("youzan.shop.basic.get", &["3.0.0"]),
];

/// An API by its name.
pub fn find(name: &str) -> Option<&'static Api> {
    APIS.iter().find(|a| a.name == name)
}

/// How an API is addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// With a token.
    Plain,
    /// Without one.
    Exempt,
    /// With a token and rich text in the body.
    RichText,
}

/// The parts of an API's path below the platform's prefix; none if it has another form.
pub fn parse_path(path: &str) -> Option<(Way, &str, &str)> {
    let mut parts: Vec<&str> = path.strip_prefix("/api/")?.split('/').collect();
    let way = match parts[0] {
        "auth_exempt" => Way::Exempt,
        "_textarea_" => Way::RichText,
        _ => Way::Plain,
    };
    if way != Way::Plain {
        parts.remove(0);
    }
    match parts[..] {
        [name, version] if !name.is_empty() && !version.is_empty() => Some((way, name, version)),
        _ => None,
    }
}

/// A refusal, in the words of whoever refuses.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// The gateway.
    Gateway(i64, String),
    /// The API.
    Business(i64, String),
    /// A body as it is.
    Raw(Value),
}

impl Refusal {
    /// The gateway's refusal with its documented text.
    pub fn gateway(code: i64) -> Self {
        Self::Gateway(code, gateway_text(code).unwrap_or("系统异常").to_owned())
    }

    /// An API's refusal.
    pub fn business(code: i64, text: impl Into<String>) -> Self {
        Self::Business(code, text.into())
    }
}

/// The documented text of a code of the gateway.
pub fn gateway_text(code: i64) -> Option<&'static str> {
    Some(match code {
        4001 => "非法请求地址",
        4004 => "非法的Content",
        4005 => "非法的API",
        4006 => "invalid mode",
        4007 => "非法的请求姿势",
        4008 => "接口不支持富文本",
        4009 => "openid 不存在",
        4010 => "参数类型不匹配",
        4101 => "请求太频繁",
        4201 => "非法的请求凭证",
        4202 => "请求凭证过期",
        4203 => "Token 不存在",
        4204 => "无权限访问",
        5001 => "系统异常",
        5002 => "业务异常",
        5003 => "插件执行异常",
        _ => return None,
    })
}

/// The text of an API's code that nothing in the world brings about by itself.
pub fn business_text(code: i64) -> &'static str {
    match code {
        5000 => "trade not found",
        50_000 => "订单不存在",
        53_001 => "id cannot be empty",
        53_002 => "参数错误",
        80_001 => "服务请求失败,请重试!",
        101_300_000 => "订单不存在",
        101_600_002 => "订单已被核销,重复核销无效",
        102_510_001 => "订单正在发货,请勿并发操作",
        102_570_007 => "订单已发货",
        102_570_020 => "没有可发货的商品",
        102_599_996 => "oids 必须为数字",
        105_000_003 => "运单号错误",
        105_000_016 => "订单不存在",
        106_000_001 | 106_100_118 => "请求超时",
        106_000_003 => "查询结束时间不能大于当前时间7天",
        106_000_004 | 106_100_110 => "订单号不合法",
        120_009_001 => "查询的数据不存在",
        121_000_100 => "内部服务错误",
        122_001_001 | 123_005_001 | 234_000_003 => "商品不存在",
        123_000_104 => "不支持的库存更新类型",
        123_003_023 => "库存已同步,不支持修改",
        123_004_002 => "SKU不存在",
        160_900_100 | 500_000_000 => "参数错误",
        234_000_002 => "业务异常仓库编码不能为空",
        500_000_003 => "系统异常",
        500_100_004 | 123_000_042 => "请求被限流",
        141_500_203 => "api rate limiting",
        _ => "业务异常",
    }
}

/// An answer's parts beside its envelope.
pub struct Framed<'a> {
    /// The trace id.
    pub trace: &'a str,
    /// The envelope is the old one.
    pub legacy: bool,
}

impl Framed<'_> {
    /// A success.
    pub fn success(&self, data: Value) -> Value {
        if self.legacy {
            return json!({"response": data});
        }
        json!({"trace_id": self.trace, "code": 200, "success": true, "data": data, "message": "successful"})
    }

    /// A refusal.
    pub fn refusal(&self, refusal: &Refusal) -> Value {
        match refusal {
            Refusal::Gateway(code, text) => {
                json!({"gw_err_resp": {"trace_id": self.trace, "err_code": code, "err_msg": text}})
            }
            Refusal::Business(code, text) if self.legacy => {
                json!({"error_response": {"code": code, "msg": text}})
            }
            Refusal::Business(code, text) => json!({
                "trace_id": self.trace, "code": code, "success": false, "data": null, "message": text,
                "request_id": null,
            }),
            Refusal::Raw(body) => body.clone(),
        }
    }
}

/// The parameters of a call.
#[derive(Clone, Debug, Default)]
pub struct Params(Map<String, Value>);

impl Params {
    /// Reads the body of a POST, or the query of a GET.
    pub fn read(request: &Request) -> Result<Self, Refusal> {
        let refused = || Refusal::gateway(4004);
        let fields = if request.method == "GET" {
            parse_form(request.query.as_bytes()).map_err(|_| refused())?
        } else {
            match request.content_type().as_str() {
                "application/json" => {
                    return match serde_json::from_slice(&request.body) {
                        Ok(Value::Object(members)) => Ok(Self(members)),
                        _ => Err(refused()),
                    };
                }
                "multipart/form-data" => {
                    let kind = request.header("content-type").unwrap_or_default();
                    parse_multipart(kind, &request.body).map_err(|_| refused())?
                }
                _ => parse_form(&request.body).map_err(|_| refused())?,
            }
        };
        let fields = fields.into_iter().filter(|(name, _)| name != "access_token");
        Ok(Self(fields.map(|(name, value)| (name, Value::String(value))).collect()))
    }

    /// Parameters that are written out.
    pub fn of(value: &Value) -> Self {
        Self(value.as_object().cloned().unwrap_or_default())
    }

    /// The whole.
    pub fn whole(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// The parameters below a name.
    pub fn below(&self, name: &str) -> Self {
        Self(self.0.get(name).and_then(Value::as_object).cloned().unwrap_or_default())
    }

    /// A parameter as it came.
    pub fn any(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|v| !v.is_null())
    }

    /// A text, a number will do; empty if absent.
    pub fn text(&self, name: &str) -> Result<String, Refusal> {
        match self.any(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.trim().to_owned()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            // A wrong type is what the gateway's 5001 most often means.
            Some(_) => Err(Refusal::gateway(5001)),
        }
    }

    /// A whole number, its text will do.
    pub fn int(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let wrong = || Refusal::gateway(5001);
        match self.any(name) {
            None => Ok(None),
            Some(Value::Number(number)) => number.as_i64().map(Some).ok_or_else(wrong),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => text.trim().parse().map(Some).map_err(|_| wrong()),
            Some(_) => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(
            parse_path("/api/youzan.trade.get/4.0.0"),
            Some((Way::Plain, "youzan.trade.get", "4.0.0"))
        );
        assert_eq!(parse_path("/api/auth_exempt/a.b/1.0.0"), Some((Way::Exempt, "a.b", "1.0.0")));
        assert_eq!(parse_path("/api/_textarea_/a.b/1.0.0"), Some((Way::RichText, "a.b", "1.0.0")));
        for odd in ["/api/a.b", "/api/", "/api/a/1/get", "/api/oauthentry/a/3.0.0/get", "/", "/api/a/"] {
            assert_eq!(parse_path(odd), None, "{odd}");
        }
    }
}
