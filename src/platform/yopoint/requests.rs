//! What is sent to Yopoint.

use super::{EXCHANGE, OPEN_DOOR, Yopoint, sign};
use crate::error::{Error, Result};
use crate::json::FinishWith as _;
use crate::json::{self, Kind as JsonKind, Writer};
use crate::model::*;
use crate::platform::toolbox::{argument, canonical_code, keep_reserved, required};
use crate::platform::{Draft, Moment, Op, Speaks, unsupported};
use crate::status::*;
use crate::transport::{Request, Scheme, Url};
use kiosklink_wire::form;
use md5::{Digest, Md5};
use std::sync::Arc;

const VERSION: &str = "1.0.0";
const FORM: &str = "application/x-www-form-urlencoded";
/// The largest page that `cabinet.order.list` documents.
const LARGEST_PAGE: u32 = 100;

impl Yopoint {
    /// The method of the gateway that an operation is; `None` for what is none.
    pub(super) fn method<'a>(&self, op: &Op<'a>) -> Option<&'a str> {
        Some(match *op {
            Op::Ping => "api.test",
            Op::CabinetList { .. } if self.vending => "terminal.terminal.list",
            Op::CabinetList { .. } => "cabinet.list",
            Op::Stock { .. } if self.vending => "terminal.product.layout.get",
            Op::Stock { .. } => "cabinet.product.stock",
            Op::DoorOpen(_) => OPEN_DOOR,
            Op::OrderGet(r) if r.kind == OrderKind::Vending => "consumer.order.get",
            Op::OrderGet(_) => "cabinet.order.get",
            Op::OrderList { query, .. } if query.kind == OrderKind::Vending => "consumer.order.list",
            Op::OrderList { .. } => "cabinet.order.list",
            Op::RefundApply(_) => "cabinet.order.refund.apply",
            Op::AppealFile(_) => "cabinet.order.user.appeal",
            Op::OrderCreate(_) => "consumer.order.create",
            Op::CodeLookup(q) if q.code.is_empty() => "activity.voucher.get",
            Op::CodeLookup(_) => "activity.vouchercode.get",
            Op::CodeRedeem(_) => EXCHANGE,
            Op::Call { method, .. } => method,
            _ => return None,
        })
    }

    /// Everything of the request but its signature.
    pub(super) fn request<'a>(&'a self, op: &Op<'a>) -> Result<Draft<'a>> {
        if let Op::PaymentReport(report) = *op {
            return self.payment_report(report);
        }
        let method = self.method(op).ok_or_else(|| unsupported(self.kind(), op))?;
        let biz = self.biz_content(op)?;
        let seal = move |moment: &Moment<'_>| self.gateway_request(method, &biz, moment.now_ms);
        Ok(Draft { url: self.gateway.clone(), seal: Box::new(seal) })
    }

    fn biz_content(&self, op: &Op<'_>) -> Result<String> {
        let mut w = Writer::new();
        match *op {
            Op::Ping => {}
            Op::CabinetList { page } => {
                w.int("Page", page.number.into());
                // terminal.terminal.list documents no page size: the platform decides.
                if !self.vending {
                    w.int("PageSize", page_size(&page)?.into());
                }
            }
            Op::Stock { cabinet_id, page, extra_json } => {
                let id = required("cabinet_id", cabinet_id)?;
                if self.vending {
                    w.text("TID", id);
                } else {
                    // Spelled as in cabinet.product.stock.with.replenishment, the only documented relative.
                    w.text("CID", id)
                        .int("page", page.number.into())
                        .int("pageSize", page_size(&page)?.into());
                }
                return w.finish_with(extra_json);
            }
            Op::DoorOpen(r) => return self.door(r),
            Op::OrderGet(r) => {
                if r.order_no.is_empty() && r.trade_no.is_empty() {
                    return Err(argument("order_no", "or trade_no is needed here: both are empty"));
                }
                keep_reserved(r.extra_json.as_deref(), &["ReceiptNo", "TradeNo"])?;
                w.text("ReceiptNo", &r.order_no).text("TradeNo", &r.trade_no);
                return w.finish_with(r.extra_json.as_deref());
            }
            Op::OrderList { query, page } => {
                if query.from < 0 || query.to < query.from {
                    return Err(argument("the period", "must have from <= to, in Unix seconds"));
                }
                w.int("page", page.number.into()).int("StartTime", query.from).int("EndTime", query.to);
                // consumer.order.list documents no page size: the platform decides.
                if query.kind == OrderKind::Cabinet {
                    w.int("pageSize", page_size(&page)?.into());
                }
                return w.finish_with(query.extra_json.as_deref());
            }
            Op::RefundApply(claim) | Op::AppealFile(claim) => return claim_params(claim),
            Op::OrderCreate(r) => return self.order_create(r),
            Op::CodeLookup(q) => return lookup_params(q),
            Op::CodeRedeem(r) => return redeem_params(r),
            Op::Call { method, params_json } => {
                method_name(method)?;
                // Signed and sent exactly as the caller wrote it.
                let params = if params_json.trim().is_empty() { "{}" } else { params_json };
                json::params(params, "params_json")?;
                return Ok(params.to_owned());
            }
            _ => return Err(unsupported(self.kind(), op)),
        }
        Ok(w.finish())
    }

    /// The vendor's page of this method could not be read: `CID` is certain in substance, the others are inferred and are
    /// sent only when the caller or a setting says so.
    fn door(&self, r: &DoorRequest) -> Result<String> {
        for (name, value) in [("item_no", &r.item_no), ("notify_url", &r.notify_url)] {
            if !value.is_empty() {
                return Err(argument(name, "is nothing that Yopoint takes when a door is opened"));
            }
        }
        keep_reserved(r.extra_json.as_deref(), &["CID", "Door", "TradeNo"])?;
        let mut w = Writer::new();
        w.text("CID", required("cabinet_id", &r.cabinet_id)?)
            .text("Door", &r.door)
            .text("OpenID", &r.user_id)
            .text("TradeNo", self.number(&r.order_no, &r.mark));
        w.finish_with(r.extra_json.as_deref())
    }

    /// The number by which a command whose answer was lost can be found again: the caller's, or the library's. Empty if
    /// none is sent.
    pub(super) fn number<'r>(&self, callers: &'r str, mark: &'r str) -> &'r str {
        match callers {
            "" if self.own_trade_no => mark,
            given => given,
        }
    }

    /// `Token` names machine and goods, `OpenID` the customer; both come from the vendor's own page at the machine, so the
    /// caller has them ready and gives them in `extra_json`. `TradeNo` is inferred.
    fn order_create(&self, r: &OrderCreate) -> Result<String> {
        if !r.lines.is_empty() || !r.notify_url.is_empty() {
            return Err(argument(
                "lines, notify_url",
                "are nothing that Yopoint takes when an order is made: Token in extra_json names machine and goods",
            ));
        }
        let extra = r.extra_json.as_deref();
        keep_reserved(extra, &["TradeNo"])?;
        let has_token = match extra {
            Some(text) if !text.trim().is_empty() => json::params(text, "extra_json")?
                .fields()
                .iter()
                .any(|(name, value)| name == "Token" && value.text() != "\"\""),
            _ => false,
        };
        if !has_token {
            return Err(argument(
                "extra_json",
                "must hold Token, and OpenID where the machine's page has one",
            ));
        }
        let mut w = Writer::new();
        w.text("TradeNo", self.number(&r.trade_no, &r.mark));
        w.finish_with(extra)
    }

    fn gateway_request(&self, method: &str, biz: &str, now_ms: i64) -> Request {
        let timestamp = if self.milliseconds { now_ms } else { now_ms.div_euclid(1000) }.to_string();
        // What is signed and what is sent are written in one piece each: the fields stand in the order of their names here.
        let behind = ["&method=", method, "&sign_type=md5&timestamp=", &timestamp, "&version=", VERSION];
        let room = behind.iter().map(|part| part.len()).sum::<usize>();
        // Three bytes for one at most; the names of methods need no escape.
        let room = room + self.form_head.len() + 3 * biz.len() + self.app_secret.len().max(40);
        let mut body = String::with_capacity(room);
        let front = ["appid=", &self.app_id, "&biz_content=", biz];
        front.iter().chain(&behind).chain(&["&", &self.app_secret]).for_each(|part| body.push_str(part));
        let sign = kiosklink_wire::hex::lower(&Md5::digest(&body));
        if self.json {
            let mut w = Writer::new();
            w.text("appid", &self.app_id)
                .text("biz_content", biz)
                .text("method", method)
                .text("sign_type", "md5");
            w.raw("timestamp", &timestamp).text("version", VERSION).text("sign", &sign);
            return post(self.gateway.clone(), "application/json", w.finish());
        }
        body.clear();
        body.push_str(&self.form_head);
        form::escape(&mut body, biz);
        behind.iter().for_each(|part| body.push_str(part));
        body.push_str("&sign=");
        body.push_str(&sign);
        post(self.gateway.clone(), FORM, body)
    }

    fn payment_report<'a>(&'a self, report: &'a PaymentReport) -> Result<Draft<'a>> {
        let url = Url::parse(&sendable(&report.report_url)).map_err(|why| argument("report_url", &why))?;
        if url.scheme == Scheme::Http && !self.http_report {
            return Err(argument("report_url", "is plain http; only allow_http_report=yes permits that"));
        }
        let key = self.pay_key.as_deref().ok_or_else(|| {
            Error::new(
                KL_E_CONFIG_MISSING,
                "a payment report is signed with the key \"pay_key\", which is not set",
            )
        })?;
        required("order_no", &report.order_no)?;
        let raw = report.channel_json.as_deref().unwrap_or("{}");
        json::params(raw, "channel_json")?;
        keep_reserved(
            report.extra_json.as_deref(),
            &["receipt_no", "trade_no", "trade_status", "trade_rawdata", "price", "timestamp", "sign"],
        )?;
        let mut more = Vec::new();
        if let Some(extra) = report.extra_json.as_deref().filter(|t| !t.trim().is_empty()) {
            for (name, value) in json::params(extra, "extra_json")?.fields() {
                let text = match value.kind() {
                    JsonKind::String => value
                        .string()
                        .map_err(|b| Error::new(KL_E_ARGUMENT, b.sentence("extra_json")))?
                        .into_owned(),
                    _ => value.text().to_owned(),
                };
                more.push((name.to_string(), text));
            }
        }
        let url = Arc::new(url);
        let to = url.clone();
        let seal = move |moment: &Moment<'_>| {
            let timestamp = moment.now_ms.div_euclid(1000).to_string();
            let mut fields = vec![
                ("receipt_no", report.order_no.as_str()),
                ("trade_no", &report.trade_no),
                ("trade_status", if report.paid { "1" } else { "-1" }),
                ("trade_rawdata", raw),
                ("timestamp", &timestamp),
            ];
            fields.extend(more.iter().map(|(n, v)| (n.as_str(), v.as_str())));
            let sign = sign(&mut fields, key);
            fields.push(("sign", &sign));
            // Known clients add the price after signing; it is not covered.
            let price = report.amount.to_string();
            if report.amount >= 0 {
                fields.push(("price", &price));
            }
            post(to.clone(), FORM, form::encode(fields))
        };
        Ok(Draft { url, seal: Box::new(seal) })
    }
}

/// Method names are lower case: the guard and the platform must mean the same one.
pub(super) fn method_name(method: &str) -> Result<()> {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    if method.is_empty() || !method.bytes().all(good) {
        return Err(argument("method", "must be a name in lower case, like cabinet.order.list"));
    }
    Ok(())
}

/// An address that the platform gave, as it can be sent: its path and query percent-encoded where that was left out, line
/// ends and a fragment dropped, as browsers do. What is encoded already stays.
pub(super) fn sendable(address: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let plain: String = address.trim().chars().filter(|c| !matches!(c, '\t' | '\r' | '\n')).collect();
    let plain = plain.split_once('#').map_or(plain.as_str(), |(front, _)| front);
    let host = plain.find("://").map_or(0, |at| at + 3);
    let path = plain[host..].find(['/', '?']).map_or(plain.len(), |at| host + at);
    let mut out = plain[..path].to_owned();
    for byte in plain[path..].bytes() {
        // RFC 3986 and the brackets, which servers take raw.
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%[]".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

fn post(url: Arc<Url>, content_type: &'static str, body: String) -> Request {
    Request {
        method: "POST",
        url,
        headers: vec![("Content-Type", content_type.into()), ("Accept", "application/json".into())],
        body: body.into_bytes(),
    }
}

fn page_size(page: &PageRequest) -> Result<u32> {
    match page.size {
        0 => Ok(LARGEST_PAGE),
        size if size <= LARGEST_PAGE => Ok(size),
        _ => Err(argument("the page", "is larger than Yopoint's 100 items")),
    }
}

/// Field names inferred from the order record; `ReceiptNo` is certain in substance.
fn claim_params(claim: &Complaint) -> Result<String> {
    keep_reserved(
        claim.extra_json.as_deref(),
        &["ReceiptNo", "UserRefundsReason", "UserRefundsRemarks", "UserRefundsMobile"],
    )?;
    let mut w = Writer::new();
    w.text("ReceiptNo", required("order_no", &claim.order_no)?)
        .text("UserRefundsReason", &claim.reason)
        .text("UserRefundsRemarks", &claim.remarks)
        .text("UserRefundsMobile", &claim.phone);
    w.finish_with(claim.extra_json.as_deref())
}

/// A code by its digits, as a public client writes it; a voucher by its id if there is no code.
fn lookup_params(q: &CodeQuery) -> Result<String> {
    let code = canonical_code(&q.code);
    keep_reserved(q.extra_json.as_deref(), &["VoucherID", "VoucherCode"])?;
    let mut w = Writer::new();
    if code.is_empty() {
        if !q.code.is_empty() || q.product_id.is_empty() {
            return Err(argument("code", "or product_id, the VoucherID, is needed here: both are empty"));
        }
        w.text("VoucherID", &q.product_id);
    } else {
        w.text("VoucherID", &q.product_id).text("VoucherCode", &code);
    }
    w.finish_with(q.extra_json.as_deref())
}

/// `Code` is what the customer types, `TID` the vending machine at which it is exchanged.
fn redeem_params(r: &RedeemRequest) -> Result<String> {
    if r.kind == CodeKind::Virtual {
        return Err(argument("kind", "is none of Yopoint's: it has voucher codes only"));
    }
    for (name, value) in [("trade_no", &r.trade_no), ("notify_url", &r.notify_url)] {
        if !value.is_empty() {
            return Err(argument(name, "is nothing that Yopoint takes when a code is redeemed"));
        }
    }
    keep_reserved(r.extra_json.as_deref(), &["Code", "TID"])?;
    let mut w = Writer::new();
    w.text("Code", required("code", &canonical_code(&r.code))?)
        .text("TID", required("cabinet_id", &r.cabinet_id)?);
    w.finish_with(r.extra_json.as_deref())
}
