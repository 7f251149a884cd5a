//! The shapes in which a loosely typed server may write what it means.
//!
//! A field on which money or doors hang keeps its meaning; an ornament may lose it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::clock::{datetime, parse_datetime};
use crate::fault::Noise;
use crate::message::{RAW, TWIN};

/// Stands for a member that is to be left out.
const GONE: &str = "\u{0}gone";

/// Fields on which something hangs, of all platforms: identities, states, amounts, times, and whatever holds them.
const VITAL: &[&str] = &[
    // Envelopes.
    "error_code",
    "error_msg",
    "sub_error_code",
    "sub_error_msg",
    "code",
    "message",
    "data",
    "success",
    "response",
    "error_response",
    "gw_err_resp",
    "err_code",
    "err_msg",
    "msg",
    "trace_id",
    "request_id",
    "is_success",
    "successful",
    // Yopoint.
    "ReceiptNo",
    "OldReceiptNo",
    "TradeNo",
    "CID",
    "TID",
    "NotifyUrl",
    "PaySuccessNotifyUrl",
    "Status",
    "DoorStatus",
    "TradeStatus",
    "ServiceStatus",
    "Price",
    "RefundsPrice",
    "CreateAt",
    "PayTime",
    "VoucherID",
    "VoucherCode",
    "EncryptCode",
    "ShipmentsStatus",
    "UserRefundsStatus",
    "Stock",
    "BarCode",
    "Qty",
    "id",
    "Products",
    "Layout",
    "RequestID",
    "Row",
    "Col",
    "OnlineStatus",
    "SellStatus",
    "EnableSell",
    "CabinetCount",
    "IsSuspicious",
    "UsedAt",
    "ExpiredAt",
    // Dingshang.
    "order_id",
    "record_id",
    "trade_id",
    "status",
    "delivery_id",
    "fail_reason",
    "pickup_code_id",
    "records",
    "amount",
    "quantity",
    "product_id",
    "delivered_at",
    "pickup_at",
    "machine_no",
    "deliver_status",
    "floor_status",
    "method",
    "current_inventory",
    "channel",
    "is_online",
    "created_at",
    "expired_at",
    "date",
    "price",
    // Youzan.
    "access_token",
    "expires",
    "authority_id",
    "refresh_token",
    "scope",
    "tid",
    "use_time",
    "verify_time",
    "verify_person",
    "extra_info",
    "state",
    "ticket_state",
    "ticket_code",
    "tickets",
    "refund_state",
    "payment",
    "total_fee",
    "trade",
    "full_order_info",
    "order_info",
    "full_order_info_list",
    "pay_info",
    "orders",
    "created",
    "pay_time",
    "update_time",
    "success_time",
    "current_count",
    "total_count",
    "num",
    "version",
    "type",
    "sign",
    "msg_id",
    "client_id",
    "kdt_id",
    "root_kdt_id",
    "test",
    "sendCount",
    "mode",
    "item_id",
    "sku_id",
    // Zhiyun.
    "auth_code",
    "nowtime",
    // Pages.
    "total",
    "per_page",
    "current_page",
    "last_page",
    "from",
    "to",
    "total_results",
    "count",
    "items",
];

/// Fields with moments as numbers of seconds.
const SECONDS: &[&str] = &[
    "CreateAt",
    "PayTime",
    "UpdatedAt",
    "UserRefundsTime",
    "OnShelvesTime",
    "UsedAt",
    "ExpiredAt",
    "nowtime",
];

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// A text that is the same number without its quotes.
fn numeric(text: &str) -> bool {
    let whole = |t: &str| digits(t) && t.len() <= 15 && (t == "0" || !t.starts_with('0'));
    match text.split_once('.') {
        None => whole(text),
        Some((front, back)) => whole(front) && digits(back) && back.len() <= 4,
    }
}

fn moment(key: &str, value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => parse_datetime(text, 8),
        Value::Number(n) if SECONDS.contains(&key) => {
            n.as_i64().filter(|n| *n > 1_000_000_000).map(|s| s * 1000)
        }
        _ => None,
    }
}

/// Containers whose members all name something: a lane is opened by the name of its channel.
const VITAL_PARENTS: &[&str] = &["channel"];

/// Whether a kind can do something to a field.
fn suits(kind: &str, (parent, key): (&str, &str), value: &Value) -> bool {
    let ornament = !key.is_empty() && !VITAL.contains(&key) && !VITAL_PARENTS.contains(&parent);
    let scalar = matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_));
    match (kind, value) {
        ("list_as_object", Value::Array(items)) => !items.is_empty() && key != "Location",
        ("empty_list_odd", Value::Array(items)) => items.is_empty(),
        ("empty_list_odd", Value::Object(members)) => members.is_empty(),
        ("number_as_text", Value::Number(_)) => true,
        ("text_as_number", Value::String(text)) => numeric(text),
        ("number_as_float", Value::Number(n)) => n.as_i64().is_some_and(|n| n.abs() < 1_000_000_000_000_000),
        ("flag_odd", Value::Bool(_)) => true,
        ("false_for_empty", Value::String(text)) => text.is_empty(),
        ("false_for_empty", Value::Null) => true,
        ("half_emoji", Value::String(text)) => ornament && !text.is_empty() && !numeric(text),
        ("ornament_gone" | "ornament_odd", _) => ornament && scalar,
        ("key_twice", _) => scalar && (ornament || key == "DoorStatus"),
        ("times_zoned" | "times_fraction" | "times_unreadable", _) => moment(key, value).is_some(),
        ("times_ms", Value::Number(_)) => moment(key, value).is_some(),
        _ => false,
    }
}

fn raw(text: &str) -> Value {
    json!(format!("{RAW}{text}"))
}

fn rewrite(kind: &str, key: &str, value: &Value, noise: &mut Noise) -> Value {
    let ms = moment(key, value).unwrap_or_default();
    let local = datetime(ms, 8);
    match (kind, value) {
        ("list_as_object", Value::Array(items)) => {
            let first = usize::from(noise.chance(0.7));
            Value::Object(
                items.iter().enumerate().map(|(i, v)| ((i + first).to_string(), v.clone())).collect(),
            )
        }
        ("empty_list_odd", _) => {
            noise.pick(&[json!({}), json!([]), json!(""), json!(false), Value::Null]).clone()
        }
        ("number_as_text", Value::Number(n)) => json!(n.to_string()),
        ("text_as_number", Value::String(text)) => raw(text),
        ("number_as_float", Value::Number(n)) => {
            let n = n.as_i64().unwrap_or_default();
            match noise.below(3) {
                0 if n != 0 && n % 10 == 0 => raw(&exponent(n, "E+")),
                1 if n != 0 && n % 10 == 0 => raw(&exponent(n, "e")),
                _ => raw(&format!("{n}.0")),
            }
        }
        ("flag_odd", Value::Bool(flag)) => match noise.below(3) {
            0 => json!(i64::from(*flag)),
            1 => json!(i64::from(*flag).to_string()),
            _ => json!(flag.to_string()),
        },
        ("false_for_empty", _) => json!(false),
        ("half_emoji", Value::String(text)) => {
            let quoted = json!(text).to_string();
            let inner = &quoted[1..quoted.len() - 1];
            raw(&if noise.chance(0.8) {
                format!("\"{inner}\\ud83d\"")
            } else {
                format!("\"\\ude00{inner}\"")
            })
        }
        // The twin is put beside it afterwards.
        ("key_twice", old) => json!({TWIN: old}),
        ("ornament_gone", _) if noise.chance(0.5) => Value::Null,
        ("ornament_gone", _) => json!(GONE),
        ("ornament_odd", _) => noise
            .pick(&[json!(12345), json!(["a"]), json!({}), json!(true), json!(-1.5), json!({"zh": "名"})])
            .clone(),
        ("times_zoned", _) => {
            let fraction = *noise.pick(&["", ".000", ".000000"]);
            json!(match noise.below(5) {
                0 => format!("{}{fraction}Z", datetime(ms, 0).replace(' ', "T")),
                1 => format!("{}{fraction}+0000", datetime(ms, 0).replace(' ', "T")),
                2 => format!("{}{fraction}+0800", local.replace(' ', "T")),
                3 => format!("{}{fraction}+08:00", local.replace(' ', "T")),
                _ => format!("{}{fraction}-05:00", datetime(ms, -5).replace(' ', "T")),
            })
        }
        ("times_fraction", _) => json!(format!("{local}{}", noise.pick(&[".0", ".000", ".123456"]))),
        ("times_ms", _) => json!(ms),
        ("times_unreadable", _) => {
            let broken = format!("{local}.xyz");
            json!(*noise.pick(&["0000-00-00 00:00:00", broken.as_str(), "-", "刚刚", "1970"]))
        }
        (_, other) => other.clone(),
    }
}

/// A number that ends in zeros with a power of ten: 450 as `4.5E+2`.
fn exponent(n: i64, mark: &str) -> String {
    let (sign, text) = (if n < 0 { "-" } else { "" }, n.unsigned_abs().to_string());
    let power = text.len() - 1;
    let tail = text[1..].trim_end_matches('0');
    let point = if tail.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{tail}{mark}{power}", &text[..1])
}

/// Looks at every member of objects and every list item, innermost first, with the name of what holds it and its own.
fn walk(value: &mut Value, parent: &str, key: &str, act: &mut dyn FnMut((&str, &str), &mut Value)) {
    match value {
        Value::Object(members) => {
            members.iter_mut().for_each(|(name, member)| walk(member, key, name, act));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, key, "", act)),
        _ => {}
    }
    act((parent, key), value);
}

/// Writes fields of a value as a kind has it: one at least, and of the others each second. Answers whether there was
/// one.
pub fn change(kind: &str, value: &mut Value, noise: &mut Noise) -> bool {
    let mut places = 0;
    walk(value, "", "", &mut |place, member| places += u64::from(suits(kind, place, member)));
    if places == 0 {
        return false;
    }
    let (must, mut at) = (noise.below(places), 0);
    walk(value, "", "", &mut |place, member| {
        if suits(kind, place, member) {
            if at == must || noise.chance(0.5) {
                *member = rewrite(kind, place.1, member, noise);
            }
            at += 1;
        }
    });
    match kind {
        "ornament_gone" => prune(value),
        "key_twice" => twin(value),
        _ => {}
    }
    true
}

/// Writes the marked members twice: with another value, and with their own behind it.
fn twin(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let old = std::mem::take(members);
            for (key, mut member) in old {
                match member.get_mut(TWIN).map(Value::take) {
                    Some(own) => {
                        let other = if key == "DoorStatus" { json!(1) } else { Value::Null };
                        members.insert(key.clone(), other);
                        members.insert(format!("{key}{TWIN}"), own);
                    }
                    None => {
                        twin(&mut member);
                        members.insert(key, member);
                    }
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(twin),
        _ => {}
    }
}

fn prune(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| *member != json!(GONE));
            members.values_mut().for_each(prune);
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

/// Chinese words beside what an answer says, so that there is something to write in GBK.
pub fn add_words(value: &mut Value) {
    if let Some(members) = value.as_object_mut() {
        members.insert("tips".into(), json!("操作结果，以订单为准"));
    }
}

/// JSON text in ASCII.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::render_json;
    use serde_json::Map;

    fn order() -> Value {
        json!({
            "ReceiptNo": "VI1", "CID": "c1", "Price": 450, "CreateAt": 1_700_000_000, "Products": [],
            "TradeNo": "t-1", "TerminalName": "一号柜", "OpenID": "", "PayType": 202, "IsSuspicious": 0,
            "RefundsProducts": [{"Name": "水", "Qty": 1}], "pay_time": "2024-04-27 10:31:01", "is_success": true,
        })
    }

    /// The members that are neither lists nor objects.
    fn flat(value: &Value) -> Map<String, Value> {
        let members = value.as_object().cloned().unwrap_or_default();
        members.into_iter().filter(|(_, v)| !v.is_array() && !v.is_object()).collect()
    }

    fn written(kind: &str, seed: u64) -> String {
        let mut value = order();
        assert!(change(kind, &mut value, &mut Noise::new(seed)), "{kind}");
        render_json(&value)
    }

    const KINDS: [&str; 13] = [
        "list_as_object",
        "empty_list_odd",
        "number_as_text",
        "text_as_number",
        "number_as_float",
        "flag_odd",
        "false_for_empty",
        "half_emoji",
        "ornament_gone",
        "ornament_odd",
        "times_zoned",
        "times_fraction",
        "times_ms",
    ];

    #[test]
    fn the_same_seed_writes_the_same() {
        for kind in KINDS.into_iter().filter(|k| *k != "text_as_number") {
            assert_eq!(written(kind, 7), written(kind, 7), "{kind}");
            assert_ne!(written(kind, 7), order().to_string(), "{kind}");
        }
    }

    #[test]
    fn what_money_and_doors_hang_on_keeps_its_meaning() {
        let plain = flat(&order());
        for kind in KINDS.into_iter().filter(|k| !k.starts_with("times") && *k != "text_as_number") {
            for seed in 0..40 {
                let text = written(kind, seed).replace("\\ud83d", "").replace("\\ude00", "");
                let value: Value =
                    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{kind}: {e}: {text}"));
                for (name, old) in plain.iter().filter(|(n, _)| VITAL.contains(&n.as_str())) {
                    let as_text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
                    let new = &value[name];
                    let same =
                        as_text(new) == as_text(old) || new.as_f64() == old.as_f64() && new.is_number();
                    let flag = old.is_boolean() && ["1", "true"].contains(&as_text(new).as_str());
                    assert!(same || flag, "{kind} {seed}: {name} was {old} and is {new}");
                }
            }
        }
    }

    #[test]
    fn lanes_keep_their_names() {
        for kind in ["ornament_odd", "ornament_gone", "half_emoji"] {
            for seed in 0..20 {
                let mut value =
                    json!({"id": 1, "good": {"name": "水"}, "channel": {"name": "A21", "code": "020"}});
                assert!(change(kind, &mut value, &mut Noise::new(seed)));
                assert_eq!(value["channel"]["name"], "A21", "{kind}");
                assert_ne!(value["good"]["name"], "水", "{kind}");
            }
        }
    }

    #[test]
    fn a_field_twice() {
        let mut value = json!({"ReceiptNo": "VI1", "DoorStatus": 0});
        assert!(change("key_twice", &mut value, &mut Noise::new(1)));
        assert_eq!(render_json(&value), r#"{"ReceiptNo":"VI1","DoorStatus":1,"DoorStatus":0}"#);
    }

    #[test]
    fn spellings_of_numbers_and_times() {
        assert_eq!(exponent(450, "E+"), "4.5E+2");
        assert_eq!(exponent(-100, "e"), "-1e2");
        assert!(
            numeric("131")
                && numeric("3.00")
                && numeric("0.10")
                && !numeric("007")
                && !numeric("1.")
                && !numeric("")
        );
        let mut seen = Vec::new();
        for seed in 0..60 {
            let mut value = json!({"pay_time": "2024-04-27 10:31:01"});
            change("times_zoned", &mut value, &mut Noise::new(seed));
            seen.push(value["pay_time"].as_str().expect("a text").to_owned());
        }
        for one in ["2024-04-27T02:31:01.000Z", "2024-04-27T10:31:01+0800", "2024-04-27T02:31:01.000+0000"] {
            assert!(seen.iter().any(|s| s == one), "{one} in {seen:?}");
        }
    }
}
