//! Messages: their envelope, both signatures, and the encrypted ones of the market.

use std::fmt::Write as _;

use aes::Aes128;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockEncryptMut, KeyIvInit};
use md5::{Digest, Md5};
use serde_json::{Map, Value, json};

use crate::callback::{Outgoing, Rendered, Style};
use crate::dialect::Accent;
use crate::message::{form_encode, render_json};
use crate::state::Core;

use super::settings::{AnswerCheck, Encoding, Retries};
use super::time::china;
use super::trade;
use super::{NAME, Youzan};

/// The name under which encrypted messages of the market stand in the log.
pub const SUBSCRIPTION: &str = "subscription";

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// The MD5 of a text in lower-case hexadecimal.
pub fn md5_hex(text: &str) -> String {
    let mut hex = String::with_capacity(32);
    for byte in Md5::digest(text.as_bytes()) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Both signatures have this form: around the raw body, or around `msg` as it is sent.
pub fn sign(client_id: &str, text: &str, secret: &str) -> String {
    md5_hex(&format!("{client_id}{text}{secret}"))
}

/// The market's encryption: AES-128-CBC under the first 16 characters of the secret, in base64.
pub fn encrypt(text: &str, secret: &str) -> String {
    // A shorter secret is filled up, so that any account will do.
    let mut key = [b'0'; 16];
    for (to, from) in key.iter_mut().zip(secret.bytes()) {
        *to = from;
    }
    let cipher = cbc::Encryptor::<Aes128>::new(&key.into(), b"0102030405060708".into());
    STANDARD.encode(cipher.encrypt_padded_vec_mut::<Pkcs7>(text.as_bytes()))
}

fn encode(msg: &Value, how: Encoding) -> Value {
    let text = match msg {
        Value::String(text) => text.clone(),
        other => render_json(other),
    };
    json!(match how {
        Encoding::Object => return msg.clone(),
        Encoding::Plain => text,
        Encoding::Java => form_encode(&text),
        Encoding::Percent => form_encode(&text).replace('+', "%20"),
        Encoding::Loose =>
            form_encode(&text).replace("%3A", ":").replace("%2C", ",").replace("%5B", "[").replace("%5D", "]"),
    })
}

/// A message to one application, before it is made out.
pub struct Message<'a> {
    /// Its type.
    pub kind: &'a str,
    /// The business id: of trade messages the order.
    pub id: &'a str,
    /// The state.
    pub status: &'a str,
    /// What it says.
    pub msg: Value,
    /// Its version, in seconds.
    pub version: i64,
    /// Members laid over the envelope's parts.
    pub extra: Map<String, Value>,
}

impl Youzan {
    /// A UUID from the seed.
    fn uuid(core: &mut Core) -> String {
        let hex = format!("{:016x}{:016x}", core.noise.next(), core.noise.next());
        format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }

    /// Sends a message to every application that the shop has authorised.
    pub(super) fn send(&mut self, core: &mut Core, kdt_id: i64, message: &Message<'_>) -> Vec<String> {
        let shop = self.held.shop(kdt_id);
        let root = if shop.root_kdt_id == 0 { kdt_id } else { shop.root_kdt_id };
        let apps: Vec<String> = self
            .settings
            .apps
            .iter()
            .filter(|a| a.shops.iter().any(|s| s.kdt_id == kdt_id && !s.lapsed))
            .map(|a| a.client_id.clone())
            .collect();
        let mut sent = Vec::new();
        for client_id in apps {
            let mut content = json!({
                "type": message.kind, "id": message.id, "status": message.status, "msg": message.msg,
                "version": message.version, "kdt_id": kdt_id, "root_kdt_id": root, "kdt_name": shop.name,
                "msg_id": Self::uuid(core), "mode": 1, "test": false,
                "encoding": self.settings.msg_encoding,
            });
            for (key, value) in &message.extra {
                content[key] = value.clone();
            }
            sent.push(content["msg_id"].as_str().unwrap_or_default().to_owned());
            let what = Outgoing {
                platform: NAME,
                channel: "business".into(),
                account: client_id,
                method: message.kind.to_owned(),
                receipt: Some(message.id.to_owned()),
                content,
                accent: Accent::default(),
            };
            match self.settings.message_delay_ms {
                0 => core.notify(what, &|what, style, _| self.make_out(what, style, 0)),
                delay => {
                    let event = json!({
                        "do": "send", "account": what.account, "method": what.method,
                        "receipt": what.receipt, "content": what.content,
                    });
                    core.after(delay, NAME, event);
                }
            }
        }
        sent
    }

    /// Sends a message that had been put off.
    pub(super) fn send_late(&self, core: &mut Core, event: &Value) {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let what = Outgoing {
            platform: NAME,
            channel: "business".into(),
            account: text("account"),
            method: text("method"),
            receipt: Some(text("receipt")),
            content: event["content"].clone(),
            accent: Accent::default(),
        };
        core.notify(what, &|what, style, _| self.make_out(what, style, 0));
    }

    /// What a trade message says of an order as it is now: its state and its `msg`.
    pub(super) fn trade_content(&self, kdt_id: i64, tid: &str, kind: &str) -> Option<(String, Value, i64)> {
        let order = self.held.order(kdt_id, tid)?;
        let update_time = china(order.updated_ms);
        let status = match kind {
            "trade_TradePaid" => "TRADE_PAID",
            "trade_TradeClose" => "TRADE_CLOSED",
            "trade_TradeSuccess" => "TRADE_SUCCESS",
            _ => order.status.as_str(),
        };
        let msg = match kind {
            "trade_TradePaid" | "trade_TradeCreate" => {
                trade::full(&self.held, &self.settings, order, "4.0.2")
            }
            "trade_TradeClose" => json!({
                "tid": tid, "close_type": order.close_type, "close_reason": "", "update_time": update_time,
            }),
            "trade_TradePartlySellerShip" => {
                let oids: Vec<_> = order.lines.iter().filter(|l| l.shipped).map(|l| l.oid.clone()).collect();
                let express = order.express.as_ref().map_or(0, |e| e.express_id);
                json!({
                    "tid": tid, "oids": oids.join(","), "express_id": express, "update_time": update_time,
                })
            }
            _ => json!({"tid": tid, "update_time": update_time}),
        };
        Some((status.to_owned(), msg, order.updated_ms.div_euclid(1000)))
    }

    /// Sends a message about an order as it is now.
    pub(super) fn trade_message(&mut self, core: &mut Core, kdt_id: i64, tid: &str, kind: &str) {
        if let Some((status, msg, version)) = self.trade_content(kdt_id, tid, kind) {
            let extra = Map::new();
            self.send(core, kdt_id, &Message { kind, id: tid, status: &status, msg, version, extra });
        }
    }

    /// Makes a message out for its `resend`th time beyond the first.
    pub(super) fn make_out(&self, what: &Outgoing, style: Style, resend: usize) -> Rendered {
        let app = self.settings.apps.iter().find(|a| a.client_id == what.account);
        let secret = app.map(|a| a.client_secret.clone()).unwrap_or_default();
        let forged = format!("not {secret}");
        let content = &what.content;
        if what.method == SUBSCRIPTION {
            let key = if style.forge { &forged } else { &secret };
            let message = form_encode(&encrypt(&content["message"].to_string(), key));
            return Rendered {
                headers: vec![
                    (":method".into(), "GET".into()),
                    (":query".into(), format!("message={message}")),
                ],
                body: String::new(),
            };
        }
        let part = |name: &str| content.get(name).cloned().unwrap_or_default();
        let forge = |which: &str| {
            let named = content["forge"].as_str().unwrap_or_default();
            style.forge || named == "both" || named == which
        };
        let key = |which: &str| if forge(which) { &forged } else { &secret };
        let how = serde_json::from_value(part("encoding")).unwrap_or_default();
        let msg = encode(&what.accent.shape(part("msg")), how);
        let signed = msg.as_str().map_or_else(|| render_json(&msg), str::to_owned);
        let version = part("version").as_i64().unwrap_or_default();
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
        // In the order of the one capture there is.
        put("msg", msg);
        put("kdt_name", part("kdt_name"));
        put("test", part("test"));
        put("sign", json!(sign(&what.account, &signed, key("body"))));
        if resend > 0 || !self.settings.send_count_on_resend_only {
            put("sendCount", json!(resend));
        }
        put("type", part("type"));
        put("version", json!(if style.ms_timestamp { version * 1000 } else { version }));
        put("client_id", json!(what.account));
        for name in ["mode", "kdt_id", "id", "msg_id", "root_kdt_id", "status"] {
            put(name, part(name));
        }
        for name in ["head_kdt_id", "app_id"] {
            if content.get(name).is_some() {
                put(name, part(name));
            }
        }
        let body = render_json(&what.accent.shape(Value::Object(body)));
        let mut headers = vec![
            ("Content-Type".into(), "application/json".into()),
            ("Event-Sign".into(), sign(&what.account, &body, key("header"))),
            ("Event-Type".into(), what.method.clone()),
            ("Client-Id".into(), what.account.clone()),
        ];
        headers.extend(what.accent.callback_headers());
        Rendered { headers, body }
    }

    /// Whether an answer means that a message was taken.
    pub(super) fn judge(&self, what: &Outgoing, status: u16, answer: &str) -> Result<(), String> {
        if status != 200 {
            return Err(format!("status {status}"));
        }
        if what.method == SUBSCRIPTION {
            return Ok(());
        }
        match self.settings.push_answer {
            AnswerCheck::Contains if answer.contains("success") => Ok(()),
            AnswerCheck::Contains => Err("the answer does not contain success".into()),
            AnswerCheck::Exact => {
                let parsed: Value =
                    serde_json::from_str(answer).map_err(|e| format!("the answer is not JSON: {e}"))?;
                if parsed["code"] == json!(0) && parsed["msg"] == json!("success") {
                    Ok(())
                } else {
                    Err(r#"the answer is not {"code":0,"msg":"success"}"#.into())
                }
            }
        }
    }

    /// The pauses before a message comes again.
    pub(super) fn pauses(&self) -> Option<Vec<i64>> {
        match self.settings.push_retries {
            Retries::Callbacks => None,
            Retries::Four => {
                Some(vec![5 * SECOND, 5 * MINUTE + 20 * SECOND, 21 * MINUTE + 20 * SECOND, 2 * HOUR])
            }
            Retries::Sixteen => {
                let minutes = (1..=10).chain([20, 30, 60, 120]).map(|m| m * MINUTE);
                Some([10 * SECOND, 30 * SECOND].into_iter().chain(minutes).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cbc::cipher::BlockDecryptMut;

    const CLIENT: &str = "testclient0000001";
    const SECRET: &str = "testsecret00000000000000000000001";

    #[test]
    fn vectors_of_the_notes() {
        let msg = "%7B%22tid%22%3A%22E20200101000000000000001%22%2C%22update_time%22%3A%222020-01-01+00%3A00%3A00%22%7D";
        let plain = r#"{"tid":"E20200101000000000000001","update_time":"2020-01-01 00:00:00"}"#;
        assert_eq!(encode(&json!(plain), Encoding::Java), json!(msg));
        let body_sign = "c552af0878e7cc913be38131be2be0c5";
        assert_eq!(sign(CLIENT, msg, SECRET), body_sign);
        let raw = format!(
            r#"{{"client_id":"{CLIENT}","id":"E20200101000000000000001","kdt_id":123456,"kdt_name":"demo","mode":1,"msg":"{msg}","msg_id":"00000000-0000-0000-0000-000000000001","sendCount":0,"sign":"{body_sign}","status":"TRADE_SUCCESS","test":false,"type":"trade_TradeSuccess","version":1577808000}}"#
        );
        assert_eq!(sign(CLIENT, &raw, SECRET), "c0504aad04091bd61ed004bd82d237a2");
    }

    #[test]
    fn encryption_is_undone_with_the_first_sixteen_characters() {
        let text = r#"{"type":"APP_SUBSCRIBE"}"#;
        let bytes = STANDARD.decode(encrypt(text, SECRET)).expect("base64");
        let key: [u8; 16] = SECRET.as_bytes()[..16].try_into().expect("sixteen");
        let cipher = cbc::Decryptor::<Aes128>::new(&key.into(), b"0102030405060708".into());
        let plain = cipher.decrypt_padded_vec_mut::<Pkcs7>(&bytes).expect("padding");
        assert_eq!(plain, text.as_bytes());
    }

    #[test]
    fn schedules() {
        let mut youzan = Youzan::default();
        let sum = |y: &Youzan| y.pauses().map(|p| (p.len(), p.iter().sum::<i64>()));
        assert_eq!(sum(&youzan), Some((16, 40 * SECOND + 55 * MINUTE + 230 * MINUTE)));
        youzan.settings.push_retries = Retries::Four;
        assert_eq!(youzan.pauses().map(|p| p.len()), Some(4));
    }
}
