//! What Youzan's refusals mean. A refusal is looked up by its code and its whole text, `50000 不能重复核销订单!`, then by
//! its code alone. A text is compared whole or not at all.

use crate::platform::refusals::{GATEWAY, Pack, Row, text_of};
use crate::status::*;

/// The first pause that the vendor asks for after a refusal for too many calls: `LIMITS`.
pub(super) const RATE_PAUSE_MS: u32 = 3_000;

/// The vendor's list of codes. It prints them in the envelope `{success, code, data, message}`; probes without
/// credentials got them as `gw_err_resp`.
const CODES: &str = "https://doc.youzanyun.com/resource/doc/3027";
/// The vendor's page on rate limits.
const LIMITS: &str = "https://doc.youzanyun.com/resource/develop-guide/27027/41693";
/// A digest of the vendor's pages and probes, by the topic of its page.
const TOKENS: &str = "https://github.com/fxp/skillify, skills/youzan/references/auth-token.md";
const COMMON: &str =
    "https://github.com/fxp/skillify, skills/youzan/references/errors-and-limits.md, section 4";
/// An export of the vendor's API pages of 2019, one file an API.
const FETCH: &str = "https://github.com/nest-mods/youzan, docs/selffetchcode";
const VIRTUAL: &str = "https://github.com/nest-mods/youzan, docs/trade_virtual";
const TICKET: &str = "https://github.com/nest-mods/youzan, docs/virtualticket";
const OTHERS: &str = "https://github.com/nest-mods/youzan, docs";

/// Refused before anything was done.
const fn refused(name: &'static str, status: kl_status, source: &'static str) -> Row {
    Row { name, http: 0, status, proves: true, source, hint: "" }
}

/// The same, with what a technician should know.
const fn hinted(name: &'static str, status: kl_status, source: &'static str, hint: &'static str) -> Row {
    Row { name, http: 0, status, proves: true, source, hint }
}

/// It may have been done.
const fn open(name: &'static str, status: kl_status, source: &'static str) -> Row {
    Row { name, http: 0, status, proves: false, source, hint: "" }
}

/// Refusals of an API, of the gateway and of the services behind it.
#[rustfmt::skip]
pub(in crate::platform) const API: &[Row] = &[
    // The gateway, before it hands a call to a service.
    refused("4001", KL_E_UNSUPPORTED, CODES),
    refused("4004", KL_E_PARAMETER, CODES),
    refused("4005", KL_E_UNSUPPORTED, CODES),
    // Stands in one client's table only.
    open("4006", KL_E_PARAMETER, "a client's table"),
    // The method and the content type, or the caller's address, which is in the text.
    refused("4007", KL_E_PARAMETER, CODES),
    refused("4008", KL_E_PARAMETER, CODES),
    refused("4009", KL_E_NOT_FOUND, CODES),
    // "A fault of the platform's configuration": where it is noticed is not said.
    open("4010", KL_E_PARAMETER, CODES),
    refused("4101", KL_E_RATE_LIMIT, LIMITS),
    refused("4201", KL_E_AUTH, CODES),
    refused("4202", KL_E_AUTH, CODES),
    refused("4203", KL_E_AUTH, CODES),
    hinted("4204", KL_E_PERMISSION, CODES, "the application lacks this API's capability pack"),
    Row { name: "5001", http: 0, status: KL_E_PLATFORM, proves: false, source: CODES, hint: "mostly a parameter of the wrong type, such as a date without its time" },
    open("5002", KL_E_PLATFORM, CODES),
    open("5003", KL_E_PLATFORM, CODES),
    // Limits inside the services.
    refused("500100004", KL_E_RATE_LIMIT, LIMITS),
    refused("123000042", KL_E_RATE_LIMIT, LIMITS),
    refused("141500203", KL_E_RATE_LIMIT, COMMON),
    // Redemptions. 50000 and 5000 alone are "an internal business exception".
    refused("50000 不能重复核销订单!", KL_E_CODE_USED, FETCH),
    refused("50000 提货码（code）格式不正确", KL_E_PARAMETER, FETCH),
    refused("50000 找不到虚拟商品的交易码", KL_E_NOT_FOUND, VIRTUAL),
    refused("101300000", KL_E_NOT_FOUND, VIRTUAL),
    refused("101600002 订单已被核销,重复核销无效", KL_E_CODE_USED, VIRTUAL),
    refused("101600002 订单已被关闭无法核销", KL_E_ORDER_STATE, VIRTUAL),
    open("101600002", KL_E_ORDER_STATE, VIRTUAL),
    refused("50000 没有该订单的电子卡券信息", KL_E_NOT_FOUND, TICKET),
    refused("50000 电子码券不存在", KL_E_NOT_FOUND, TICKET),
    // The sample of the same page prints 50000 where its table prints 5000.
    refused("5000 电子码券不存在", KL_E_NOT_FOUND, TICKET),
    // Orders and shipping.
    refused("5000 trade not found", KL_E_NOT_FOUND, COMMON),
    refused("5000 每页最多显示100条数据", KL_E_PARAMETER, COMMON),
    refused("5000 开始时间不能大于结束时间", KL_E_PARAMETER, COMMON),
    refused("50000 订单不存在", KL_E_NOT_FOUND, OTHERS),
    // Two calls at once: the other one may be this one's twin.
    open("102510001", KL_E_NOT_READY, COMMON),
    refused("102570007", KL_E_ORDER_STATE, COMMON),
    refused("102570020", KL_E_ORDER_STATE, COMMON),
    refused("102599996", KL_E_PARAMETER, COMMON),
    refused("105000003", KL_E_PARAMETER, COMMON),
    refused("105000016", KL_E_NOT_FOUND, OTHERS),
    open("106000001", KL_E_PLATFORM, COMMON),
    open("106100118", KL_E_PLATFORM, COMMON),
    open("106000003", KL_E_PLATFORM, COMMON),
    refused("106000004", KL_E_PARAMETER, COMMON),
    refused("106100110", KL_E_PARAMETER, COMMON),
    refused("120009001", KL_E_NOT_FOUND, OTHERS),
    // Goods.
    open("121000100", KL_E_PLATFORM, OTHERS),
    refused("122001001", KL_E_NOT_FOUND, COMMON),
    refused("123005001", KL_E_NOT_FOUND, COMMON),
    refused("123004002", KL_E_NOT_FOUND, COMMON),
    refused("123003023", KL_E_PERMISSION, COMMON),
    refused("123000104", KL_E_PARAMETER, OTHERS),
    refused("234000002", KL_E_PARAMETER, OTHERS),
    refused("234000003", KL_E_NOT_FOUND, OTHERS),
    // Pickup points.
    refused("53001", KL_E_PARAMETER, OTHERS),
    refused("53002", KL_E_PARAMETER, OTHERS),
    refused("160900100", KL_E_PARAMETER, OTHERS),
    open("160950100", KL_E_PLATFORM, OTHERS),
    refused("500000000", KL_E_PARAMETER, OTHERS),
    open("500000003", KL_E_PLATFORM, OTHERS),
    open("80001", KL_E_PLATFORM, OTHERS),
    // What stands in front of the gateway. The gateway itself answers with HTTP 200 and an envelope, always.
    GATEWAY[0], GATEWAY[1], GATEWAY[2], GATEWAY[3], GATEWAY[4], GATEWAY[5], GATEWAY[6], GATEWAY[7], GATEWAY[8],
];

/// [`API`] as it ships.
pub(in crate::platform) static API_PACK: Pack<{ API.len() }, { text_of(API) }> = Pack::of(API);

/// Refusals of a token. Two of the codes mean several things, told apart by their text.
#[rustfmt::skip]
pub(super) const TOKEN: &[Row] = &[
    refused("1000 Content type 'application/x-www-form-urlencoded;charset=UTF-8' not supported,Please use 'application/json;charset=UTF-8'", KL_E_PARAMETER, TOKENS),
    hinted("1000", KL_E_AUTH, TOKENS, "client_secret is wrong, or was pasted with a blank"),
    hinted("1004", KL_E_TOKEN, TOKENS, "the shop must authorise the application again"),
    refused("1005", KL_E_AUTH, TOKENS),
    hinted("1103", KL_E_AUTH, TOKENS, "client_id or grant_id is wrong, or the shop has not authorised the application"),
    refused("1105", KL_E_PERMISSION, TOKENS),
    refused("4101", KL_E_RATE_LIMIT, LIMITS),
    GATEWAY[0], GATEWAY[1], GATEWAY[2], GATEWAY[3], GATEWAY[4], GATEWAY[5], GATEWAY[6], GATEWAY[7], GATEWAY[8],
];

/// [`TOKEN`] as it ships.
pub(super) static TOKEN_PACK: Pack<{ TOKEN.len() }, { text_of(TOKEN) }> = Pack::of(TOKEN);

/// How the gateway's words begin when it refuses the caller's address (4007). The code proves either way; the words only
/// tell the technician what to do.
pub(super) const ADDRESS_REFUSED: &str = "源IP地址";

/// Codes of a platform in passing trouble: a read is worth another try. 5001 is not among them: it mostly means a
/// parameter of the wrong type.
pub(super) const PASSING: [i32; 8] =
    [5002, 5003, 80_001, 106_000_001, 106_100_118, 106_000_003, 121_000_100, 500_000_003];
