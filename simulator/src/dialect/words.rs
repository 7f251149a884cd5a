//! Names, numbers and texts that stand in no notes, in each platform's own envelope.

use serde_json::{Value, json};

use crate::fault::Noise;
use crate::message::{Reply, Request};

/// Names that the notes or the simulator's own settings have: a new name is none of these.
const YOPOINT_NAMES: [&str; 12] = [
    "ERR_SYSTEM",
    "ERR_BARCODE_OUTSTOCK",
    "ERR_TERMINAL_NOT_EXIST",
    "ERR_NONE_STOCK",
    "ERR_NONE_COSTPRICE",
    "ERR_USER_CREATE_FAIL",
    "ERR_ORDER_CREATE_FAIL",
    "ERR_INVALID_VOUCHER_ID",
    "ERR_CABINET_NOT_EXIST",
    "ERR_ORDER_NOT_EXIST",
    "ERR_DOOR_NOT_EXIST",
    "ERR_METHOD_NOT_EXIST",
];

/// What the first word of a new name may be: those of refusals among them.
const SUBJECTS: [&str; 17] = [
    "DEVICE",
    "DOOR",
    "LOCK",
    "SYSTEM",
    "CABINET",
    "ORDER",
    "UNLOCK",
    "SERIAL",
    "MQTT",
    "GATEWAY",
    "TOKEN",
    "ASSIGNED",
    "APPID",
    "METHOD",
    "PERMISSION",
    "OFFLINE",
    "STOCK",
];
const OBJECTS: [&str; 12] = [
    "SIGNAL",
    "SIGN",
    "RESULT",
    "QUEUE",
    "COMMAND",
    "SESSION",
    "CHANNEL",
    "STATE",
    "REPLY",
    "TIMESTAMP",
    "PARAMS",
    "USED",
];
const VERDICTS: [&str; 11] = [
    "LOST",
    "BUSY",
    "TIMEOUT",
    "RETRY",
    "NOT_READY",
    "NOT_FOUND",
    "FAIL",
    "UNKNOWN",
    "DELAYED",
    "NOT_EXIST",
    "REPEATED",
];

/// Texts in which words of refusals stand, and which refuse nothing.
const TEXTS: [&str; 12] = [
    "4G signal weak, device did not answer in 10 s",
    "cabinet went offline while opening",
    "assigned order could not be stored",
    "命令已下发，设备未在规定时间内应答",
    "签名服务器繁忙，请稍后查询订单",
    "设备已离线？结果未知",
    "库存不足检查超时，订单状态以查询为准",
    "sorry, sign service timeout",
    "系统开小差了，请稍后再试",
    "重复请求正在处理中",
    "order not found yet, it may be created later",
    "unauthorized node took over, result pending",
];

const OK_WORDS: [&str; 7] = ["success", "OK", "操作成功", "Success", "成功", "done", ""];

/// Whether an operation uses up a code.
pub fn redeems(platform: &str, operation: &str) -> bool {
    match platform {
        "yopoint" => operation == "activity.voucher.exchange",
        "dingshang" => operation == "consume",
        "youzan" => {
            operation.ends_with("selffetchcode.apply")
                || operation.ends_with("virtualcode.apply")
                || operation.contains("virtualticket.verify")
        }
        _ => false,
    }
}

/// Whether an operation carries a number of the client's own.
pub fn carries_number(platform: &str, operation: &str) -> bool {
    match platform {
        "yopoint" => operation == "cabinet.open.door",
        "dingshang" => matches!(operation, "order_create" | "consume"),
        _ => false,
    }
}

/// Puts other words into an answer.
pub fn speak(
    kind: &str,
    platform: &str,
    operation: &str,
    request: &Request,
    reply: &mut Reply,
    noise: &mut Noise,
) {
    let not_acted = kind.ends_with("_not_acted");
    if !not_acted && !is_success(platform, reply) {
        // It was refused, and that is told as it is.
        return;
    }
    match kind {
        "new_success_words" => return praise(platform, reply, noise),
        "success_without_data" => return say_nothing(platform, reply, noise),
        _ if kind.starts_with("says_false") => {
            return reply.set_body("application/json; charset=utf-8", r#"{"response":{"is_success":false}}"#);
        }
        _ => {}
    }
    let throttled = kind.starts_with("throttled");
    let general = throttled || kind.starts_with("new_text");
    let xml = platform == "zhiyun" && request.path.ends_with("/xml");
    if operation == "NotifyUrl" {
        if throttled {
            // Without an envelope it would be a gateway's own refusal.
            return;
        }
        reply.set_body(
            "text/plain; charset=utf-8",
            *noise.pick(&["error", "系统繁忙", "FAIL: order locked", "0"]),
        );
    } else {
        let body = match platform {
            "yopoint" => yopoint(general, noise),
            "dingshang" => dingshang(general, throttled, noise),
            "youzan" => youzan(operation, general, noise),
            _ => {
                json!({"code": if general { 500 } else { new_number(noise, 100_100, 100_899) }, "message": *noise.pick(&TEXTS)})
            }
        };
        if xml {
            let text = |name: &str| body[name].as_str().map_or_else(|| body[name].to_string(), str::to_owned);
            let (code, message) = (text("code"), text("message"));
            reply.set_body(
                "application/xml",
                format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<apiResponse>\n  <code>{code}</code>\n  <message>{message}</message>\n</apiResponse>"),
            );
        } else {
            reply.set_body("application/json; charset=utf-8", body.to_string());
        }
    }
    // The status of failures is in nobody's notes; most answer 200.
    reply.status = match platform {
        "dingshang" => *noise.pick(&[200, 400, 400, 500]),
        _ => 200,
    };
    if throttled {
        reply.status = *noise.pick(&[429, 429, 503]);
        if noise.chance(0.5) {
            reply.headers.push(("Retry-After".into(), noise.below(3).to_string()));
        }
    }
}

/// Whether an answer says that all is well.
fn is_success(platform: &str, reply: &Reply) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(&reply.body) else {
        let text = String::from_utf8_lossy(&reply.body);
        return text == "success" || text.contains("<code>200</code>");
    };
    match platform {
        "yopoint" => body["error_code"] == json!(0),
        "dingshang" => body["code"] == json!(0) && body["message"] == json!("ok"),
        "youzan" => body.get("response").is_some() || body["success"] == json!(true),
        _ => body["code"] == json!(200),
    }
}

fn praise(platform: &str, reply: &mut Reply, noise: &mut Noise) {
    let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else { return };
    let word = json!(*noise.pick(&OK_WORDS));
    match platform {
        "yopoint" => body["error_msg"] = word,
        // The old envelope has no words for a success.
        "youzan" if body.get("response").is_some() => return,
        _ => body["message"] = word,
    }
    reply.body = body.to_string().into_bytes();
}

fn say_nothing(platform: &str, reply: &mut Reply, noise: &mut Noise) {
    let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else { return };
    let name = if platform == "youzan" && body.get("response").is_some() { "response" } else { "data" };
    let nothing =
        noise.pick(&[Some(json!({})), Some(json!([])), Some(json!("")), Some(Value::Null), None]).clone();
    if let Some(members) = body.as_object_mut() {
        match nothing {
            Some(value) => drop(members.insert(name.into(), value)),
            // Without it the old envelope would be none at all.
            None if name == "response" => drop(members.insert(name.into(), json!(true))),
            None => drop(members.shift_remove(name)),
        }
    }
    reply.body = body.to_string().into_bytes();
}

fn new_number(noise: &mut Noise, from: u64, to: u64) -> u64 {
    from + noise.below(to - from + 1)
}

fn yopoint(general: bool, noise: &mut Noise) -> Value {
    let name = if general {
        "ERR_SYSTEM".to_owned()
    } else {
        loop {
            let name =
                format!("ERR_{}_{}_{}", noise.pick(&SUBJECTS), noise.pick(&OBJECTS), noise.pick(&VERDICTS));
            if !YOPOINT_NAMES.contains(&name.as_str()) {
                break name;
            }
        }
    };
    let code = if general { json!(-1) } else { json!(*noise.pick(&[-1, -1, -1, -2, 1, 500, 10_001])) };
    let mut body = json!({"error_code": code, "error_msg": name});
    if general || noise.chance(0.5) {
        body["sub_error_code"] =
            if noise.chance(0.5) { Value::Null } else { json!(new_number(noise, 1, 9_999)) };
        body["sub_error_msg"] = json!(*noise.pick(&TEXTS));
    }
    body["data"] = noise.pick(&[json!({}), Value::Null, json!([]), json!("")]).clone();
    body
}

fn dingshang(general: bool, throttled: bool, noise: &mut Noise) -> Value {
    let code = match (general, throttled) {
        // No number of the tables.
        (_, true) => json!(*noise.pick(&[500, 429, 50_000])),
        // Failures with code 0 have nothing but their text.
        (true, _) => json!(0),
        _ => match noise.below(3) {
            0 => json!(new_number(noise, 7_000, 9_999)),
            1 => json!(new_number(noise, 20_000, 29_999)),
            _ => json!(new_number(noise, 70_000, 79_999)),
        },
    };
    json!({"code": code, "message": *noise.pick(&TEXTS), "data": noise.pick(&[json!({}), Value::Null, json!([])])})
}

fn youzan(operation: &str, general: bool, noise: &mut Noise) -> Value {
    let text = *noise.pick(&TEXTS);
    if operation == "auth/token" {
        return json!({"success": false, "code": new_number(noise, 1_200, 1_999), "data": null, "message": text});
    }
    let trace = format!("yz7-0a{:06x}-1", noise.next() >> 40);
    let old = ["selffetchcode", "virtualcode", "virtualticket", "memo.update", "marksign"];
    let old = old.iter().any(|part| operation.contains(part));
    // The general failures of the notes, or a number of nobody's.
    let code = if general { 50_000 } else { new_number(noise, 199_000_000, 199_999_999) };
    match (noise.below(10), general) {
        (0 | 1, true) => {
            let code = *noise.pick(&[5002, 5003]);
            json!({"gw_err_resp": {"trace_id": trace, "err_code": code, "err_msg": text}})
        }
        (0 | 1, false) => {
            let code = new_number(noise, 5_004, 5_099);
            json!({"gw_err_resp": {"trace_id": trace, "err_code": code, "err_msg": text}})
        }
        // Some clients have seen either envelope from the same API.
        (n, _) if old == (n != 2) => json!({"error_response": {"code": code, "msg": text}}),
        _ => {
            json!({"trace_id": trace, "code": code, "success": false, "data": null, "message": text, "request_id": null})
        }
    }
}

/// How far one answer's clock is off.
pub fn skew_s(noise: &mut Noise) -> i64 {
    let size = *noise.pick(&[1u64, 5, 60, 900, 3_600, 28_800, 86_400, 31_536_000]);
    let seconds = (size + noise.below(size)) as i64;
    if noise.chance(0.5) { seconds } else { -seconds }
}

/// How far a host's clock is off; a payment address is another host than the gateway.
pub fn host_skew_s(seed: u64, platform: &str, operation: &str) -> i64 {
    let host = if operation == "NotifyUrl" { "pay" } else { platform };
    skew_s(&mut Noise::new(host.bytes().fold(seed, |sum, b| sum.rotate_left(5) ^ u64::from(b))))
}

/// A header field with letters beyond ASCII.
pub fn latin_header(noise: &mut Noise) -> (String, String) {
    let fields =
        [("X-Served-By", "münchen-3"), ("X-Powered-By", "caf\u{e9}/1.0"), ("X-Cache-Node", "杭州-B7")];
    let (name, value) = *noise.pick(&fields);
    (name.to_owned(), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_names_are_new() {
        let mut noise = Noise::new(3);
        for _ in 0..2_000 {
            let body = yopoint(false, &mut noise);
            let name = body["error_msg"].as_str().expect("a name");
            assert!(name.starts_with("ERR_") && !YOPOINT_NAMES.contains(&name), "{name}");
            assert!(!name.starts_with("MISSING_PARAMS_") && body["error_code"] != json!(0));
        }
        for _ in 0..2_000 {
            let code = dingshang(false, false, &mut noise)["code"].as_u64().expect("a number");
            // The tables of the notes end at 6056, and hold 10001 to 10025, 30001 to 30004, 40005, 40006, 60002, 60003
            // and 80002.
            assert!((7_000..10_000).contains(&code) || code / 10_000 == 2 || code / 10_000 == 7, "{code}");
        }
    }
}
