//! Unkind things on demand: one table of faults, rules that say when they happen, and what each does to an
//! answer.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::message::{DateHeader, Ending, Framing, Portion, Reply};

/// The default of a parameter; its kind is the kind that is asked for.
enum Param {
    Int(i64),
    Flag(bool),
    Text(&'static str),
    Names,
}

impl Param {
    fn value(&self) -> Value {
        match self {
            Self::Int(n) => json!(n),
            Self::Flag(b) => json!(b),
            Self::Text(t) => json!(t),
            Self::Names => json!([]),
        }
    }

    fn fits(&self, value: &Value) -> bool {
        match self {
            Self::Int(_) => value.is_i64(),
            Self::Flag(_) => value.is_boolean(),
            Self::Text(_) => value.is_string(),
            Self::Names => value.as_array().is_some_and(|a| a.iter().all(Value::is_string)),
        }
    }
}

struct Known {
    name: &'static str,
    /// Whether the platform acts on the request, unless the rule says otherwise.
    acts: bool,
    params: &'static [(&'static str, Param)],
    about: &'static str,
}

use Param::{Flag, Int, Names, Text};

const KNOWN: &[Known] = &[
    Known {
        name: "act_then_drop",
        acts: true,
        params: &[],
        about: "act, then close the connection without a byte of an answer",
    },
    Known {
        name: "drop_before_acting",
        acts: false,
        params: &[],
        about: "read the request, do nothing, close the connection",
    },
    Known {
        name: "reset",
        acts: true,
        params: &[("percent", Int(0))],
        about: "send that part of the answer, then reset the connection (RST)",
    },
    Known {
        name: "half_open",
        acts: true,
        params: &[("hold_ms", Int(60_000))],
        about: "never answer and keep the connection open",
    },
    Known { name: "late", acts: true, params: &[("ms", Int(3_000))], about: "answer in full, but late" },
    Known {
        name: "slow_drip",
        acts: true,
        params: &[("bytes", Int(1)), ("ms", Int(100))],
        about: "send so many bytes of the answer at a time, with a pause before each",
    },
    Known {
        name: "half_answer",
        acts: true,
        params: &[("percent", Int(50))],
        about: "send that part of the answer, head included, then close",
    },
    Known {
        name: "wrong_length",
        acts: true,
        params: &[("delta", Int(10))],
        about: "announce a Content-Length that is off by delta, then close",
    },
    Known {
        name: "answer_twice",
        acts: true,
        params: &[],
        about: "send the whole answer twice on the same connection",
    },
    Known {
        name: "close_after_answer",
        acts: true,
        params: &[("ms", Int(0))],
        about: "answer in full, promise to keep the connection, and close it after a while",
    },
    Known {
        name: "connection_close",
        acts: true,
        params: &[],
        about: "answer with Connection: close, and close",
    },
    Known {
        name: "chunked",
        acts: true,
        params: &[("bytes", Int(7))],
        about: "chunked transfer encoding, in chunks of so many bytes",
    },
    Known {
        name: "no_content_length",
        acts: true,
        params: &[],
        about: "no Content-Length: the answer ends with the connection",
    },
    Known {
        name: "http_5xx",
        acts: false,
        params: &[("code", Int(502))],
        about: "a gateway's HTML page with a 5xx status",
    },
    Known {
        name: "rate_limit",
        acts: false,
        params: &[("retry_after_s", Int(1)), ("code", Int(429))],
        about: "429 with Retry-After in seconds; negative: without the header",
    },
    Known {
        name: "html_portal",
        acts: false,
        params: &[("redirect", Flag(false)), ("location", Text("http://portal.invalid/login"))],
        about: "the login page of a captive portal, as 200 or as a 302 redirect",
    },
    Known {
        name: "garbage",
        acts: true,
        params: &[("bytes", Int(200))],
        about: "a body of seeded noise under the JSON content type",
    },
    Known {
        name: "gbk_body",
        acts: true,
        params: &[],
        about: "the body in GBK, still announced as UTF-8; a body without Chinese gets a Chinese error_msg",
    },
    Known { name: "bom", acts: true, params: &[], about: "a UTF-8 byte order mark before the JSON" },
    Known { name: "empty_body", acts: true, params: &[], about: "200 with Content-Length 0" },
    Known {
        name: "wrong_types",
        acts: true,
        params: &[("fields", Names), ("mode", Text("swap"))],
        about: "swap: numbers become texts, texts numbers, arrays objects; strings: numbers and booleans become texts",
    },
    Known {
        name: "missing_fields",
        acts: true,
        params: &[("fields", Names)],
        about: "remove the named fields wherever they are; without names, every second field below the envelope",
    },
    Known {
        name: "unknown_fields",
        acts: true,
        params: &[("extra", Int(3))],
        about: "so many fields nobody heard of in every object",
    },
    Known {
        name: "null_fields",
        acts: true,
        params: &[("fields", Names)],
        about: "null in the named fields; without names, in every field below the envelope",
    },
    Known {
        name: "duplicate_keys",
        acts: true,
        params: &[],
        about: "every field twice: first as null, then as it is",
    },
    Known {
        name: "deep_nesting",
        acts: true,
        params: &[("depth", Int(100_000))],
        about: "an extra field with arrays nested that deep",
    },
    Known {
        name: "huge",
        acts: true,
        params: &[("bytes", Int(8 << 20))],
        about: "an extra field that makes the body that big",
    },
    Known {
        name: "wrong_date",
        acts: true,
        params: &[("offset_s", Int(-86_400))],
        about: "a Date header that is off by that much",
    },
    Known { name: "no_date", acts: true, params: &[], about: "no Date header" },
    Known {
        name: "date_with_age",
        acts: true,
        params: &[("age_s", Int(3_600))],
        about: "an old Date with the Age that a cache would add",
    },
    Known {
        name: "bad_certificate",
        acts: true,
        params: &[("certificate", Text("expired")), ("handshakes", Int(1))],
        about: "answer and close; so many handshakes to come are shown a certificate that is expired, not_yet_valid, wrong_name or untrusted",
    },
    Known {
        name: "clock_skew",
        acts: true,
        params: &[("offset_s", Int(7_200))],
        about: "for this request, check and Date, the platform's clock is off by that much",
    },
    Known {
        name: "kill_token",
        acts: true,
        params: &[("mode", Text("forget"))],
        about: "the tokens die before the request is looked at (Youzan, modes as in tokens/kill; elsewhere nothing happens)",
    },
    Known {
        name: "twist_callback",
        acts: true,
        params: &[("do", Text("forge")), ("ms", Int(200))],
        about: "the next callback of this platform meets forge, duplicate, reorder, delay (by ms), drop or ms_timestamp",
    },
    Known {
        name: "latency",
        acts: true,
        params: &[("max_ms", Int(5_000))],
        about: "the way there and the way back take a time each, seeded, together up to max_ms",
    },
    Known {
        name: "act_later",
        acts: true,
        params: &[("act_after_ms", Int(10_000)), ("answer", Text("hold")), ("hold_ms", Int(60_000))],
        about: "the platform acts only after that while on its clock, whoever still waits; the caller gets no answer (hold, drop) or a 504 (gateway)",
    },
    Known {
        name: "slow_uplink",
        acts: true,
        params: &[("bytes_per_s", Int(400)), ("latency_ms", Int(0)), ("delivered", Flag(true))],
        about: "the request trickles up, so many bytes a second, and is acted on when its last one has come; delivered false: not if the caller has hung up before",
    },
];

/// The table of faults, as `GET /_sim/faults/known` shows it.
pub fn known() -> Value {
    KNOWN
        .iter()
        .map(|k| {
            let mut params: Map<String, Value> =
                k.params.iter().map(|(name, default)| ((*name).to_owned(), default.value())).collect();
            params.insert("act".into(), json!(k.acts));
            json!({"name": k.name, "params": params, "about": k.about})
        })
        .collect()
}

/// The words that a parameter may be, where not every text will do.
fn choices(fault: &str, parameter: &str) -> Option<&'static [&'static str]> {
    match (fault, parameter) {
        ("bad_certificate", "certificate") => Some(&["expired", "not_yet_valid", "wrong_name", "untrusted"]),
        ("kill_token", "mode") => Some(&["expire", "forget", "lapse"]),
        ("act_later", "answer") => Some(&["hold", "drop", "gateway"]),
        ("twist_callback", "do") => Some(&["forge", "duplicate", "reorder", "delay", "drop", "ms_timestamp"]),
        _ => None,
    }
}

/// One fault with its parameters filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    name: &'static str,
    acts: bool,
    params: Map<String, Value>,
}

impl Fault {
    /// A fault by its name and parameters; a wrong one is explained.
    pub fn new(name: &str, given: &Map<String, Value>) -> Result<Self, String> {
        let known = KNOWN.iter().find(|k| k.name == name).ok_or_else(|| {
            let names: Vec<_> = KNOWN.iter().map(|k| k.name).collect();
            format!("unknown fault {name:?}; known are {}", names.join(", "))
        })?;
        let mut fault = Self {
            name: known.name,
            acts: known.acts,
            params: known.params.iter().map(|(n, d)| ((*n).to_owned(), d.value())).collect(),
        };
        for (key, value) in given {
            if key == "act" {
                fault.acts = value.as_bool().ok_or("\"act\" must be true or false")?;
                continue;
            }
            let (_, default) = known.params.iter().find(|(n, _)| n == key).ok_or_else(|| {
                let names: Vec<_> = known.params.iter().map(|(n, _)| *n).chain(["act"]).collect();
                format!("fault {name:?} has no parameter {key:?}; it has {}", names.join(", "))
            })?;
            if !default.fits(value) {
                return Err(format!(
                    "parameter {key:?} of fault {name:?} must look like {}",
                    default.value()
                ));
            }
            if let Some(words) =
                choices(name, key).filter(|w| !w.contains(&value.as_str().unwrap_or_default()))
            {
                return Err(format!("parameter {key:?} of fault {name:?} is one of {}", words.join(", ")));
            }
            fault.params.insert(key.clone(), value.clone());
        }
        Ok(fault)
    }

    /// The name in the table.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the platform acts on the request.
    pub fn acts(&self) -> bool {
        self.acts
    }

    fn show(&self) -> Value {
        let mut all = Map::new();
        all.insert("fault".into(), json!(self.name));
        all.extend(self.params.clone());
        all.insert("act".into(), json!(self.acts));
        Value::Object(all)
    }

    fn int(&self, name: &str) -> i64 {
        self.params.get(name).and_then(Value::as_i64).unwrap_or_default()
    }

    fn count(&self, name: &str) -> u64 {
        self.int(name).max(0) as u64
    }

    fn text(&self, name: &str) -> &str {
        self.params.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn names(&self) -> Vec<&str> {
        let names = self.params.get("fields").and_then(Value::as_array);
        names.map(|all| all.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }

    /// How far the platform's clock is off for this request.
    pub fn skew_ms(&self) -> i64 {
        if self.name == "clock_skew" { self.int("offset_s").saturating_mul(1000) } else { 0 }
    }

    /// How the tokens die before the request is looked at.
    pub fn kills_token(&self) -> Option<&str> {
        (self.name == "kill_token").then(|| self.text("mode"))
    }

    /// What becomes of the next callback.
    pub fn twists_callback(&self, platform: &str) -> Option<Value> {
        (self.name == "twist_callback")
            .then(|| json!({"do": self.text("do"), "ms": self.count("ms"), "platform": platform}))
    }

    /// How long the platform waits before it acts, if it does so later.
    pub fn acts_after_ms(&self) -> Option<i64> {
        (self.name == "act_later").then(|| self.count("act_after_ms") as i64)
    }

    /// How long a request of so many bytes, with this number in the log, is on its way up.
    pub fn uplink_ms(&self, bytes: usize, number: u64) -> u64 {
        match self.name {
            "latency" => self.ways_ms(number).0,
            "slow_uplink" => self.count("latency_ms") + travel_ms(bytes, self.count("bytes_per_s")),
            _ => 0,
        }
    }

    /// How long the way there and the way back take for one request.
    fn ways_ms(&self, number: u64) -> (u64, u64) {
        let mut noise = Noise::new(number);
        let both = noise.below(self.count("max_ms") + 1);
        let there = noise.below(both + 1);
        (there, both - there)
    }

    /// Whether a request arrives although its caller has hung up before.
    pub fn delivers(&self) -> bool {
        self.name != "slow_uplink" || self.params.get("delivered") == Some(&json!(true))
    }

    /// Does to an answer what the fault is for.
    pub fn apply(&self, reply: &mut Reply, seed: u64) {
        match self.name {
            "act_then_drop" | "drop_before_acting" => {
                (reply.portion, reply.ending) = (Portion::Nothing, Ending::Close(0));
            }
            "reset" => {
                (reply.portion, reply.ending) = (Portion::Percent(self.count("percent")), Ending::Reset);
            }
            "half_open" => {
                (reply.portion, reply.ending) = (Portion::Nothing, Ending::Hold(self.count("hold_ms")));
            }
            "late" => reply.delay_ms += self.count("ms"),
            "slow_drip" => {
                reply.drip = Some((self.count("bytes").max(1) as usize, self.count("ms")));
            }
            "half_answer" => {
                (reply.portion, reply.ending) = (Portion::Percent(self.count("percent")), Ending::Close(0));
            }
            "wrong_length" => {
                (reply.framing, reply.ending) = (Framing::Length(self.int("delta")), Ending::Close(0));
            }
            "answer_twice" => reply.portion = Portion::Twice,
            "close_after_answer" => reply.ending = Ending::Close(self.count("ms")),
            "connection_close" => reply.headers.push(("Connection".into(), "close".into())),
            "chunked" => reply.framing = Framing::Chunked(self.count("bytes").max(1) as usize),
            "no_content_length" => reply.framing = Framing::UntilClose,
            "http_5xx" => {
                reply.status = self.int("code").clamp(500, 599) as u16;
                let page = format!("<html><body><h1>{}</h1><hr>gateway</body></html>", reply.status);
                reply.set_body("text/html", page);
            }
            "rate_limit" => {
                reply.status = self.int("code").clamp(400, 599) as u16;
                if self.int("retry_after_s") >= 0 {
                    let wait = self.int("retry_after_s").to_string();
                    reply.headers.push(("Retry-After".into(), wait));
                }
                reply.set_body("text/plain", "Too Many Requests");
            }
            "html_portal" => {
                if self.params.get("redirect") == Some(&json!(true)) {
                    reply.status = 302;
                    reply.headers.push(("Location".into(), self.text("location").to_owned()));
                } else {
                    reply.status = 200;
                }
                reply.set_body(
                    "text/html; charset=utf-8",
                    "<!DOCTYPE html><html><head><title>Wi-Fi 登录</title></head><body>请先登录网络</body></html>",
                );
            }
            "garbage" => {
                let mut noise = Noise::new(seed);
                reply.body = (0..self.count("bytes")).map(|_| noise.next() as u8).collect();
            }
            "gbk_body" => {
                if reply.body.is_ascii() {
                    edit_json(reply, |value| {
                        if let Some(object) = value.as_object_mut() {
                            object.insert("error_msg".into(), json!("系统繁忙"));
                        }
                    });
                }
                let text = String::from_utf8_lossy(&reply.body).into_owned();
                reply.body = encoding_rs::GBK.encode(&text).0.into_owned();
            }
            "bom" => {
                reply.body.splice(0..0, *b"\xEF\xBB\xBF");
            }
            "empty_body" => reply.body.clear(),
            "wrong_types" => {
                let (names, swap) = (self.names(), self.text("mode") != "strings");
                edit_json(reply, |value| retype(value, None, &names, swap));
            }
            "missing_fields" => {
                let names = self.names();
                edit_json(reply, |value| {
                    each_object(value, 0, &mut |object, depth| {
                        let mut at = 0;
                        object.retain(|key, _| {
                            at += 1;
                            if names.is_empty() {
                                depth == 0 || at % 2 == 1
                            } else {
                                !names.contains(&key.as_str())
                            }
                        });
                    });
                });
            }
            "unknown_fields" => {
                let count = self.count("extra");
                edit_json(reply, |value| {
                    each_object(value, 0, &mut |object, _| {
                        for i in 0..count {
                            object.insert(format!("未知_{i}"), json!({"x": [i, null, true, "新"]}));
                        }
                    });
                });
            }
            "null_fields" => {
                let names = self.names();
                edit_json(reply, |value| {
                    each_object(value, 0, &mut |object, depth| {
                        for (key, member) in object.iter_mut() {
                            if if names.is_empty() { depth > 0 } else { names.contains(&key.as_str()) } {
                                *member = Value::Null;
                            }
                        }
                    });
                });
            }
            "duplicate_keys" => {
                if let Ok(value) = serde_json::from_slice::<Value>(&reply.body) {
                    let mut text = String::new();
                    write_doubled(&value, &mut text);
                    reply.body = text.into_bytes();
                }
            }
            "deep_nesting" => {
                let depth = self.count("depth") as usize;
                add_raw(reply, &format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
            }
            "huge" => {
                let missing = (self.count("bytes") as usize).saturating_sub(reply.body.len());
                add_raw(reply, &format!("\"{}\"", "x".repeat(missing)));
            }
            "wrong_date" => reply.date = DateHeader::Now(self.int("offset_s").saturating_mul(1000)),
            "no_date" => reply.date = DateHeader::Absent,
            "date_with_age" => {
                reply.date = DateHeader::Now(self.int("age_s").saturating_mul(-1000));
                reply.headers.push(("Age".into(), self.int("age_s").to_string()));
            }
            "bad_certificate" => {
                reply.ending = Ending::Close(0);
                reply.spoils = Some((self.text("certificate").to_owned(), self.count("handshakes")));
            }
            "clock_skew" => reply.date = DateHeader::Now(self.skew_ms()),
            "latency" => reply.delay_ms += self.ways_ms(seed).1,
            "act_later" => match self.text("answer") {
                "gateway" => {
                    reply.status = 504;
                    reply.set_body("text/html", "<html><body><h1>504 Gateway Time-out</h1></body></html>");
                }
                "drop" => (reply.portion, reply.ending) = (Portion::Nothing, Ending::Close(0)),
                _ => (reply.portion, reply.ending) = (Portion::Nothing, Ending::Hold(self.count("hold_ms"))),
            },
            // These came before the answer.
            "kill_token" | "twist_callback" | "slow_uplink" => {}
            other => debug_assert!(false, "fault {other} is in the table and does nothing"),
        }
    }
}

/// How long so many bytes take at so many a second.
pub fn travel_ms(bytes: usize, bytes_per_s: u64) -> u64 {
    (bytes as u64).saturating_mul(1000) / bytes_per_s.max(1)
}

fn edit_json(reply: &mut Reply, edit: impl FnOnce(&mut Value)) {
    if let Ok(mut value) = serde_json::from_slice(&reply.body) {
        edit(&mut value);
        reply.body = value.to_string().into_bytes();
    }
}

/// Puts one more member, already JSON text, at the front of the body's object.
fn add_raw(reply: &mut Reply, text: &str) {
    if reply.body.first() == Some(&b'{') {
        let comma = if reply.body.get(1) == Some(&b'}') { "" } else { "," };
        let member = format!("\"padding\":{text}{comma}");
        reply.body.splice(1..1, member.into_bytes());
    }
}

fn each_object(value: &mut Value, depth: usize, act: &mut impl FnMut(&mut Map<String, Value>, usize)) {
    match value {
        Value::Object(object) => {
            // Innermost first: what is put in is not looked into.
            object.values_mut().for_each(|member| each_object(member, depth + 1, act));
            act(object, depth);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_object(item, depth + 1, act)),
        _ => {}
    }
}

fn retype(value: &mut Value, key: Option<&str>, names: &[&str], swap: bool) {
    match value {
        Value::Object(object) => {
            object.iter_mut().for_each(|(key, member)| retype(member, Some(key), names, swap));
            return;
        }
        Value::Array(items) => items.iter_mut().for_each(|item| retype(item, key, names, swap)),
        _ => {}
    }
    if !names.is_empty() && !key.is_some_and(|k| names.contains(&k)) {
        return;
    }
    let new = match &*value {
        Value::Number(n) => json!(n.to_string()),
        Value::Bool(b) if swap => json!(i64::from(*b)),
        Value::Bool(b) => json!(b.to_string()),
        Value::String(s) if swap => json!(s.len()),
        Value::Array(items) if swap => {
            Value::Object(items.iter().enumerate().map(|(i, v)| (i.to_string(), v.clone())).collect())
        }
        Value::Null if swap => json!({}),
        _ => return,
    };
    *value = new;
}

fn write_doubled(value: &Value, out: &mut String) {
    match value {
        Value::Object(object) => {
            out.push('{');
            for (i, (key, member)) in object.iter().enumerate() {
                let key = Value::String(key.clone());
                out.push_str(&format!("{}{key}:null,{key}:", if i > 0 { "," } else { "" }));
                write_doubled(member, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_doubled(item, out);
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

/// Numbers from a seed: the same seed, the same numbers.
#[derive(Clone, Debug)]
pub struct Noise(u64);

impl Noise {
    /// Begins a sequence.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number (SplitMix64).
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// One of several.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn pick<'a, T>(&mut self, choice: &'a [T]) -> &'a T {
        &choice[self.below(choice.len() as u64) as usize]
    }

    /// True with that probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        ((self.next() >> 11) as f64) < probability * (1u64 << 53) as f64
    }
}

struct Rule {
    id: u64,
    platform: Option<String>,
    method: Option<String>,
    skip: u64,
    /// None: until it is cleared.
    left: Option<u64>,
    applied: u64,
    faults: Vec<Fault>,
}

impl Rule {
    fn show(&self) -> Value {
        json!({
            "id": self.id, "platform": self.platform, "method": self.method, "skip": self.skip,
            "left": self.left, "applied": self.applied,
            "faults": self.faults.iter().map(Fault::show).collect::<Vec<_>>(),
        })
    }
}

struct Random {
    probability: f64,
    seed: u64,
    platform: Option<String>,
    method: Option<String>,
    noise: Noise,
    faults: Vec<Fault>,
    decided: u64,
    applied: u64,
    words: Option<Words>,
}

/// Requests are told apart by a word in them, and each word has dice of its own: what happens to a request does not
/// depend on which other ones came before it.
pub struct Words {
    /// How they begin.
    pub prefix: String,
    /// What each word has met so far: operation and fault, or nothing.
    pub met: BTreeMap<String, Vec<Option<String>>>,
}

impl Words {
    /// Words that begin so; none have met anything yet.
    pub fn new(prefix: String) -> Self {
        Self { prefix, met: BTreeMap::new() }
    }

    /// The word in a text that begins with the prefix: it goes on with letters, digits and dashes.
    pub fn find<'a>(&self, text: &'a str) -> Option<&'a str> {
        let from = &text[text.find(&self.prefix)?..];
        let more = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || self.prefix.contains(c));
        Some(from.split(more).next().unwrap_or(from)).filter(|w| w.len() > self.prefix.len())
    }

    /// The dice for the next request with this word.
    pub fn dice(&self, seed: u64, word: &str) -> Noise {
        let times = self.met.get(word).map_or(0, Vec::len) as u64;
        // FNV-1a: the same on every machine.
        let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        Noise::new(word.bytes().fold(seed ^ 0xCBF2_9CE4_8422_2325 ^ times << 48, hash))
    }
}

/// The rules in force.
#[derive(Default)]
pub struct FaultBook {
    rules: Vec<Rule>,
    random: Option<Random>,
    last_id: u64,
}

impl FaultBook {
    /// What happens to this request: the first rule that fits, else what the dice say. `text` is asked for what the
    /// request says, if that matters.
    pub fn draw(&mut self, platform: &str, method: &str, text: &dyn Fn() -> String) -> Vec<Fault> {
        let fits = |p: &Option<String>, m: &Option<String>| {
            p.as_deref().is_none_or(|p| p == platform) && m.as_deref().is_none_or(|m| m == method)
        };
        for rule in self.rules.iter_mut().filter(|r| fits(&r.platform, &r.method) && r.left != Some(0)) {
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            rule.left = rule.left.map(|left| left - 1);
            rule.applied += 1;
            return rule.faults.clone();
        }
        match self.random.as_mut().filter(|r| fits(&r.platform, &r.method)) {
            None => Vec::new(),
            Some(random) => {
                // Both numbers are drawn each time, so that the sequence depends on nothing but the seed.
                random.decided += 1;
                let said = if random.words.is_some() { text() } else { String::new() };
                let found = random.words.as_mut().and_then(|words| {
                    let word = words.find(&said)?.to_owned();
                    let dice = words.dice(random.seed, &word);
                    Some((dice, words.met.entry(word).or_default()))
                });
                let (mut dice, mut met) = match found {
                    Some((dice, met)) => (Some(dice), Some(met)),
                    None => (None, None),
                };
                let noise = dice.as_mut().unwrap_or(&mut random.noise);
                let happens = noise.chance(random.probability);
                let which = noise.below(random.faults.len() as u64) as usize;
                random.applied += u64::from(happens);
                if let Some(met) = &mut met {
                    met.push(happens.then(|| format!("{method} {}", random.faults[which].name)));
                }
                if happens { vec![random.faults[which].clone()] } else { Vec::new() }
            }
        }
    }

    /// Adds a rule or switches the random mode on, as a `POST /_sim/faults` says.
    pub fn add(&mut self, body: &Value) -> Result<Value, String> {
        if let Some(random) = body.get("random") {
            return self.set_random(random);
        }
        let given = body.as_object().ok_or("the body must be a JSON object")?;
        const OWN: [&str; 7] = ["platform", "method", "count", "skip", "fault", "faults", "params"];
        let faults = match (given.get("fault"), given.get("faults")) {
            (Some(Value::String(name)), None) => {
                // Parameters may stand beside the name or under "params".
                let mut params: Map<String, Value> =
                    given.iter().filter(|(k, _)| !OWN.contains(&k.as_str())).map(own).collect();
                if let Some(Value::Object(more)) = given.get("params") {
                    params.extend(more.iter().map(own));
                }
                vec![Fault::new(name, &params)?]
            }
            (None, Some(Value::Array(list))) if !list.is_empty() => {
                if let Some(odd) = given.keys().find(|k| !OWN.contains(&k.as_str()) || *k == "params") {
                    return Err(format!("unknown member {odd:?} beside \"faults\""));
                }
                list.iter().map(parse_fault).collect::<Result<_, _>>()?
            }
            _ => return Err("give \"fault\": name, or \"faults\": [ {\"fault\": name, ...}, ... ]".into()),
        };
        self.last_id += 1;
        let rule = Rule {
            id: self.last_id,
            platform: text(given, "platform")?,
            method: text(given, "method")?,
            skip: number(given, "skip")?.unwrap_or(0),
            left: match given.get("count") {
                Some(Value::Null) => None,
                _ => Some(number(given, "count")?.unwrap_or(1)),
            },
            applied: 0,
            faults,
        };
        let shown = rule.show();
        self.rules.push(rule);
        Ok(shown)
    }

    fn set_random(&mut self, body: &Value) -> Result<Value, String> {
        if body.is_null() || body == &json!(false) {
            self.random = None;
            return Ok(self.show());
        }
        let given = body.as_object().ok_or("\"random\" must be an object, or null to switch it off")?;
        let probability =
            given.get("probability").and_then(Value::as_f64).filter(|p| (0.0..=1.0).contains(p));
        let faults = match given.get("faults") {
            None => KNOWN.iter().map(|k| Fault::new(k.name, &Map::new())).collect::<Result<Vec<_>, _>>()?,
            Some(Value::Array(list)) if !list.is_empty() => {
                list.iter().map(parse_fault).collect::<Result<_, _>>()?
            }
            Some(_) => return Err("\"faults\" must be a list of names or of fault objects".into()),
        };
        let seed = number(given, "seed")?.unwrap_or(1);
        self.random = Some(Random {
            probability: probability.ok_or("\"probability\" must be a number from 0 to 1")?,
            seed,
            platform: text(given, "platform")?,
            method: text(given, "method")?,
            noise: Noise::new(seed),
            faults,
            decided: 0,
            applied: 0,
            words: text(given, "word")?.filter(|prefix| !prefix.is_empty()).map(Words::new),
        });
        Ok(self.show())
    }

    /// What the requests with each word have met in the random mode.
    pub fn met(&self) -> Value {
        self.random.as_ref().and_then(|r| r.words.as_ref()).map_or(json!({}), |words| json!(words.met))
    }

    /// The rules in force.
    pub fn show(&self) -> Value {
        json!({
            "rules": self.rules.iter().map(Rule::show).collect::<Vec<_>>(),
            "random": self.random.as_ref().map(|r| json!({
                "probability": r.probability, "seed": r.seed, "platform": r.platform, "method": r.method,
                "word": r.words.as_ref().map(|w| &w.prefix),
                "faults": r.faults.iter().map(Fault::show).collect::<Vec<_>>(),
                "decided": r.decided, "applied": r.applied,
            })),
        })
    }

    /// Removes one rule, or all and the random mode.
    pub fn clear(&mut self, id: Option<u64>) -> bool {
        let before = self.rules.len();
        match id {
            Some(id) => self.rules.retain(|r| r.id != id),
            None => (self.rules, self.random) = (Vec::new(), None),
        }
        id.is_none() || self.rules.len() < before
    }
}

fn own((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

fn parse_fault(value: &Value) -> Result<Fault, String> {
    match value {
        Value::String(name) => Fault::new(name, &Map::new()),
        Value::Object(given) => {
            let name = given.get("fault").and_then(Value::as_str).ok_or("a fault needs \"fault\": name")?;
            Fault::new(name, &given.iter().filter(|(k, _)| *k != "fault").map(own).collect())
        }
        _ => Err("a fault is a name or an object with \"fault\": name".into()),
    }
}

fn text(given: &Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match given.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(s)) => Ok(Some(s.clone())),
        Some(_) => Err(format!("{name:?} must be a text")),
    }
}

fn number(given: &Map<String, Value>, name: &str) -> Result<Option<u64>, String> {
    match given.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(n) => n.as_u64().map(Some).ok_or_else(|| format!("{name:?} must be a whole number, 0 or more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(name: &str, params: Value, body: &str) -> Reply {
        let fault = Fault::new(name, params.as_object().expect("an object")).expect("a fault");
        let mut reply = Reply::new(200, "application/json", body);
        fault.apply(&mut reply, 1);
        reply
    }

    #[test]
    fn every_fault_of_the_table_does_something() {
        for known in KNOWN {
            let plain = Reply::new(200, "application/json", r#"{"error_code":0,"data":{"a":1,"b":"x"}}"#);
            let text = std::str::from_utf8(&plain.body).expect("text").to_owned();
            let changed = after(known.name, json!({}), &text);
            if !matches!(known.name, "kill_token" | "twist_callback" | "slow_uplink") {
                assert_ne!(format!("{changed:?}"), format!("{plain:?}"), "{}", known.name);
            }
            assert!(!known.about.is_empty());
        }
    }

    #[test]
    fn json_faults() {
        let body = r#"{"code":0,"data":{"a":1,"b":"xy","c":[true]}}"#;
        let text = |r: Reply| String::from_utf8(r.body).expect("text");
        assert_eq!(
            text(after("wrong_types", json!({}), body)),
            r#"{"code":"0","data":{"a":"1","b":2,"c":{"0":1}}}"#
        );
        assert_eq!(
            text(after("wrong_types", json!({"fields": ["a"], "mode": "strings"}), body)),
            r#"{"code":0,"data":{"a":"1","b":"xy","c":[true]}}"#
        );
        assert_eq!(text(after("missing_fields", json!({}), body)), r#"{"code":0,"data":{"a":1,"c":[true]}}"#);
        assert_eq!(
            text(after("missing_fields", json!({"fields": ["code", "b"]}), body)),
            r#"{"data":{"a":1,"c":[true]}}"#
        );
        assert_eq!(
            text(after("duplicate_keys", json!({}), r#"{"a":{"b":1}}"#)),
            r#"{"a":null,"a":{"b":null,"b":1}}"#
        );
        assert_eq!(text(after("deep_nesting", json!({"depth": 3}), "{}")), r#"{"padding":[[[]]]}"#);
        assert_eq!(
            text(after("null_fields", json!({"fields": ["code"]}), r#"{"code":0}"#)),
            r#"{"code":null}"#
        );
    }

    #[test]
    fn rules_are_used_up_in_order() {
        let mut book = FaultBook::default();
        book.add(&json!({"platform": "yopoint", "method": "api.test", "fault": "late", "ms": 1, "skip": 1}))
            .expect("a rule");
        book.add(&json!({"fault": "bom", "count": 2})).expect("a rule");
        let mut names =
            || book.draw("yopoint", "api.test", &String::new).iter().map(Fault::name).collect::<Vec<_>>();
        assert_eq!([names(), names(), names(), names()], [vec!["bom"], vec!["late"], vec!["bom"], vec![]]);
    }

    #[test]
    fn wrong_faults_are_explained() {
        let mut book = FaultBook::default();
        assert!(book.add(&json!({"fault": "lat"})).expect_err("unknown").contains("known are"));
        assert!(book.add(&json!({"fault": "late", "sec": 1})).expect_err("unknown").contains("it has ms"));
        assert!(
            book.add(&json!({"fault": "late", "ms": "1"})).expect_err("wrong kind").contains("must look")
        );
        assert!(book.add(&json!({})).is_err());
    }

    #[test]
    fn a_word_has_dice_of_its_own() {
        let throw = |words: &[&'static str]| {
            let mut book = FaultBook::default();
            book.add(&json!({"random": {"probability": 0.5, "seed": 9, "word": "w-"}})).expect("random");
            let mut all = BTreeMap::new();
            for word in words {
                let met = book.draw("yopoint", "m", &|| format!("a=1&id={word}&b=2"));
                all.entry(*word).or_insert_with(Vec::new).push(met.first().map(Fault::name));
            }
            (all, book.met())
        };
        // In whichever order they come, and with others between.
        let (one, met) = throw(&["w-1", "w-1", "w-2", "w-3", "w-3"]);
        let (other, _) = throw(&["w-3", "w-2", "w-1", "x", "w-3", "w-1"]);
        assert!(["w-1", "w-2", "w-3"].iter().all(|w| one[w] == other[w]));
        assert!(one.values().flatten().any(Option::is_some) && one.values().flatten().any(Option::is_none));
        assert_eq!(met["w-1"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn the_dice_can_be_thrown_again() {
        let throw = |seed| {
            let mut book = FaultBook::default();
            book.add(&json!({"random": {"probability": 0.5, "seed": seed}})).expect("random");
            (0..64)
                .flat_map(|_| book.draw("yopoint", "m", &String::new))
                .map(|f| f.name())
                .collect::<Vec<_>>()
        };
        assert_eq!(throw(7), throw(7));
        assert_ne!(throw(7), throw(8));
        assert!((16..48).contains(&throw(7).len()));
    }
}
