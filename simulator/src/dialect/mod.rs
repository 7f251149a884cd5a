//! Dialects: what a vendor could say inside the protocol notes and has not said yet. Error names never seen, envelopes
//! under any HTTP status, odd shapes and times, other clocks, other people.
//!
//! A dialect is drawn for each request from a seed. What really happened stands in the record of acts, whatever the
//! answer says of it.

mod shape;
mod words;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::fault::{Noise, Words};
use crate::message::{DateHeader, Ending, Portion, Reply, Request, render_json};

/// What a kind is about; an answer has at most one kind of each layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    /// Names, numbers and texts of failures and successes.
    Words,
    /// The HTTP status.
    Status,
    /// How fields are written.
    Shape,
    /// How times are written.
    Time,
    /// The `Date` of one answer.
    Clock,
    /// The `Date` of a host, at every answer.
    Host,
    /// The answer's head and the connection.
    Wire,
    /// Somebody else does something.
    People,
    /// How a callback is sent.
    Callback,
}

/// What a kind needs to be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// Nothing.
    Any,
    /// A request that uses up a code.
    Redeeming,
    /// A request that carries a number of the client's own.
    Numbered,
    /// A request whose answer is a flag: `is_success`.
    Flagged,
    /// A notice that is sent as a form.
    Forms,
}

struct Kind {
    name: &'static str,
    layer: Layer,
    needs: For,
    /// The platform acts on the request.
    acts: bool,
    about: &'static str,
}

const fn kind(name: &'static str, layer: Layer, about: &'static str) -> Kind {
    Kind { name, layer, needs: For::Any, acts: true, about }
}

const fn idle(name: &'static str, about: &'static str) -> Kind {
    Kind { name, layer: Layer::Words, needs: For::Any, acts: false, about }
}

const fn flagged(name: &'static str, acts: bool, about: &'static str) -> Kind {
    Kind { name, layer: Layer::Words, needs: For::Flagged, acts, about }
}

const fn people(name: &'static str, needs: For, acts: bool, about: &'static str) -> Kind {
    Kind { name, layer: Layer::People, needs, acts, about }
}

const fn sent(name: &'static str, about: &'static str) -> Kind {
    Kind { name, layer: Layer::Callback, needs: For::Forms, acts: true, about }
}

/// Every platform that has a dialect.
const PLATFORMS: [&str; 4] = ["yopoint", "dingshang", "youzan", "zhiyun"];

const KINDS: &[Kind] = &[
    kind(
        "new_error_acted",
        Layer::Words,
        "a failure under a name or number that stands in no notes, and the platform did act",
    ),
    idle("new_error_not_acted", "the same, and the platform did not act"),
    kind(
        "new_text_acted",
        Layer::Words,
        "the notes' general failure with a text never seen that holds the words of refusals, and the platform did act",
    ),
    idle("new_text_not_acted", "the same, and the platform did not act"),
    kind("new_success_words", Layer::Words, "a success whose words are others than the notes'"),
    kind(
        "success_without_data",
        Layer::Words,
        "a success whose data is missing, null, or an empty list, object or text",
    ),
    flagged(
        "says_false_acted",
        true,
        "no failure and yet is_success false, and the platform did act (Youzan)",
    ),
    flagged("says_false_not_acted", false, "the same, and the platform did not act"),
    kind(
        "throttled_acted",
        Layer::Words,
        "HTTP 429 or 503 with a system error in the platform's own envelope, and the platform did act",
    ),
    idle("throttled_not_acted", "the same, and the platform did not act"),
    kind(
        "status_2xx",
        Layer::Status,
        "the envelope as it is, success or refusal, under 201, 202, 203 or 299",
    ),
    kind("status_4xx", Layer::Status, "the envelope as it is under 400, 401, 403, 404, 409, 422 or 429"),
    kind("status_5xx", Layer::Status, "the envelope as it is under 500, 502, 503, 504 or 520"),
    kind("list_as_object", Layer::Shape, "lists as PHP writes them with a gap: {\"1\":{..},\"2\":{..}}"),
    kind("empty_list_odd", Layer::Shape, "lists and objects without members as {}, [], \"\", false or null"),
    kind("number_as_text", Layer::Shape, "numbers as texts, that of the envelope too"),
    kind("text_as_number", Layer::Shape, "texts of digits as numbers"),
    kind("number_as_float", Layer::Shape, "whole numbers as 450.0 or 4.5E+2"),
    kind("flag_odd", Layer::Shape, "true and false as 1 and 0, \"1\" and \"0\", \"true\" and \"false\""),
    kind("false_for_empty", Layer::Shape, "empty texts and nulls as false"),
    kind("half_emoji", Layer::Shape, "half a character, \\ud83d, in ornaments such as names"),
    kind("gbk_words", Layer::Shape, "Chinese words in GBK beside names in ASCII, announced as UTF-8"),
    kind("ornament_gone", Layer::Shape, "ornaments left out or null"),
    kind("ornament_odd", Layer::Shape, "ornaments of another type: a number, a list, an object, true"),
    kind(
        "key_twice",
        Layer::Shape,
        "a field twice in one object, first with another value: DoorStatus as in the vendor's example, or an ornament",
    ),
    kind(
        "times_zoned",
        Layer::Time,
        "the same moments with a zone, with and without a fraction: ...000Z, +0800, +08:00",
    ),
    kind("times_fraction", Layer::Time, "the same moments with a fraction and no zone"),
    kind("times_ms", Layer::Time, "moments in seconds as milliseconds"),
    kind("times_unreadable", Layer::Time, "times that tell nothing: 0000-00-00 00:00:00, 13:16:42.xyz, -"),
    kind(
        "date_skew_answer",
        Layer::Clock,
        "the Date of this answer is off by anything between a second and a year",
    ),
    kind(
        "date_skew_host",
        Layer::Host,
        "the Date of this host, at every answer, is off by an amount of its own; a payment address is another host. The check of times stays right",
    ),
    kind(
        "keep_alive_edge",
        Layer::Wire,
        "Keep-Alive: timeout=N, and the connection is closed just before or at N seconds",
    ),
    kind(
        "keep_alive_silent",
        Layer::Wire,
        "the connection is closed after one to five idle seconds that nothing announces",
    ),
    kind("interim_100", Layer::Wire, "100 Continue, with header fields or without, before the answer"),
    kind(
        "interim_103",
        Layer::Wire,
        "102 Processing or 103 Early Hints with header fields before the answer",
    ),
    kind(
        "content_encoding_odd",
        Layer::Wire,
        "Content-Encoding that names no compression: utf-8, none, identity or nothing",
    ),
    kind(
        "header_latin1",
        Layer::Wire,
        "a header field with Latin-1 or Chinese letters in it; in callbacks too",
    ),
    people(
        "other_before",
        For::Redeeming,
        true,
        "somebody else redeems the same code just before the request is acted on",
    ),
    people(
        "other_within",
        For::Redeeming,
        false,
        "the request is not acted on and its answer is lost; somebody else redeems the same code at that moment",
    ),
    people(
        "other_after",
        For::Redeeming,
        false,
        "the same, and somebody else redeems the code 0.2 to 8 seconds later",
    ),
    people(
        "old_number_acted",
        For::Numbered,
        true,
        "there is an order of days or months ago with the number that the request carries",
    ),
    people(
        "old_number_not_acted",
        For::Numbered,
        false,
        "the same; the request is not acted on and its answer is lost",
    ),
    sent("callback_multipart", "the notice comes as multipart/form-data"),
    sent("callback_line_end", "a line end behind the notice's form"),
    sent("callback_expect", "the notice announces Expect: 100-continue and does not wait"),
];

impl Layer {
    fn name(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Status => "status",
            Self::Shape => "shape",
            Self::Time => "time",
            Self::Clock | Self::Host => "clock",
            Self::Wire => "wire",
            Self::People => "people",
            Self::Callback => "callback",
        }
    }
}

/// The kinds that names stand for: of kinds, or of whole layers.
fn chosen(names: &[String]) -> Result<Vec<&'static Kind>, String> {
    let mut all = Vec::new();
    for name in names {
        let before = all.len();
        all.extend(KINDS.iter().filter(|k| k.name == name || k.layer.name() == name));
        if all.len() == before {
            let known: Vec<_> = KINDS.iter().map(|k| k.name).collect();
            return Err(format!("unknown kind or layer {name:?}; known are {}", known.join(", ")));
        }
    }
    Ok(all)
}

fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|k| k.name == name)
}

/// How the vendor speaks at one request or notice; the default is plainly.
#[derive(Clone, Debug, Default)]
pub struct Accent {
    platform: &'static str,
    kinds: Vec<&'static str>,
    seed: u64,
    /// How far the host's clock is off, in seconds.
    host_skew_s: i64,
    /// Numbers are old only if they begin so.
    prefix: Option<String>,
}

impl Accent {
    /// The names of its kinds.
    pub fn names(&self) -> &[&'static str] {
        &self.kinds
    }

    /// There is nothing odd about it.
    pub fn is_plain(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Whether a kind is among it.
    pub fn has(&self, name: &str) -> bool {
        self.kinds.contains(&name)
    }

    /// Whether the platform acts on the request.
    pub fn acts(&self) -> bool {
        self.kinds.iter().filter_map(|name| find(name)).all(|k| k.acts)
    }

    /// Somebody else redeems the code that the request is about.
    pub fn has_rival(&self) -> bool {
        ["other_before", "other_within", "other_after"].iter().any(|name| self.has(name))
    }

    /// How many seconds ago there was an order with this number, if there was.
    pub fn old_number_ago_s(&self, number: &str) -> Option<i64> {
        let old = self.has("old_number_acted") || self.has("old_number_not_acted");
        let fits = self.prefix.as_deref().is_none_or(|prefix| number.starts_with(prefix));
        let mut noise = self.noise("ago");
        // From ten minutes to half a year; the shorter, the oftener.
        let ago = 600u64 << noise.below(15);
        (old && fits && !number.is_empty()).then(|| (ago + noise.below(ago / 2)) as i64)
    }

    /// What somebody else does comes before the request is acted on.
    pub fn others_come_first(&self) -> bool {
        !self.has("other_within") && !self.has("other_after")
    }

    /// How long after the request somebody else comes.
    pub fn others_after_ms(&self) -> i64 {
        if self.has("other_after") { 200 + self.noise("after").below(7_800) as i64 } else { 0 }
    }

    /// Numbers for one purpose.
    fn noise(&self, purpose: &str) -> Noise {
        Noise::new(purpose.bytes().fold(self.seed, |sum, b| sum.rotate_left(9) ^ u64::from(b)))
    }

    /// A value as this accent writes it.
    pub fn shape(&self, mut value: Value) -> Value {
        for name in &self.kinds {
            shape::change(name, &mut value, &mut self.noise(name));
        }
        value
    }

    /// Header fields that a notice gets.
    pub fn callback_headers(&self) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        if self.has("header_latin1") {
            fields.push(words::latin_header(&mut self.noise("header")));
        }
        if self.has("callback_expect") {
            fields.push(("Expect".into(), "100-continue".into()));
        }
        fields
    }

    /// Does to an answer what it is for.
    pub fn apply(&self, operation: &str, request: &Request, reply: &mut Reply) {
        if self.host_skew_s != 0 {
            skew(reply, self.host_skew_s);
        }
        for name in &self.kinds {
            let mut noise = self.noise(name);
            let layer = find(name).map(|k| k.layer);
            match layer {
                Some(Layer::Words) => {
                    words::speak(name, self.platform, operation, request, reply, &mut noise)
                }
                Some(Layer::Shape | Layer::Time) => self.reshape(name, reply, &mut noise),
                Some(Layer::Clock) => skew(reply, words::skew_s(&mut noise)),
                Some(Layer::Wire) => wire(name, reply, &mut noise),
                Some(Layer::People) if !self.acts() => {
                    (reply.portion, reply.ending) = (Portion::Nothing, Ending::Close(0));
                }
                _ => {}
            }
        }
        // Last, so that a new failure may come under any status as well.
        for name in &self.kinds {
            let known: &[u16] = match *name {
                "status_2xx" => &[201, 202, 203, 299],
                "status_4xx" => &[400, 401, 403, 404, 409, 422, 429],
                "status_5xx" => &[500, 502, 503, 504, 520],
                _ => continue,
            };
            reply.status = *self.noise(name).pick(known);
        }
    }

    fn reshape(&self, name: &str, reply: &mut Reply, noise: &mut Noise) {
        let Ok(mut value) = serde_json::from_slice::<Value>(&reply.body) else { return };
        let ascii = reply.body.is_ascii();
        if name == "gbk_words" {
            if ascii {
                shape::add_words(&mut value);
            }
            reply.body = encoding_rs::GBK.encode(&value.to_string()).0.into_owned();
            return;
        }
        if shape::change(name, &mut value, noise) {
            let text = render_json(&value);
            reply.body = if ascii { shape::escape(&text) } else { text }.into_bytes();
        }
    }
}

fn skew(reply: &mut Reply, seconds: i64) {
    if let DateHeader::Now(offset) = reply.date {
        reply.date = DateHeader::Now(offset.saturating_add(seconds.saturating_mul(1000)));
    }
}

fn wire(name: &str, reply: &mut Reply, noise: &mut Noise) {
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    match name {
        "keep_alive_edge" => {
            let seconds = 1 + noise.below(5);
            reply.headers.push(("Keep-Alive".into(), format!("timeout={seconds}, max=100")));
            reply.idle_ms = Some(seconds * 1000 - noise.below(80));
        }
        "keep_alive_silent" => reply.idle_ms = Some(1_000 + noise.below(4_000)),
        "interim_100" => {
            let fields = match noise.below(3) {
                0 => Vec::new(),
                1 => vec![field("X-Request-Id", "7f3a"), field("Server", "nginx")],
                _ => vec![field("Connection", "keep-alive"), field("Content-Length", "0")],
            };
            reply.interim.push((100, fields));
        }
        "interim_103" => {
            let status = *noise.pick(&[102, 103]);
            let link = field("Link", "</style.css>; rel=preload; as=style");
            reply.interim.push((status, vec![link, field("Via", "1.1 gateway")]));
            if noise.chance(0.3) {
                reply.interim.push((103, vec![field("Link", "</script.js>; rel=preload")]));
            }
        }
        "content_encoding_odd" => {
            let value = *noise.pick(&["utf-8", "UTF-8", "none", "identity", ""]);
            reply.headers.push(("Content-Encoding".into(), value.into()));
        }
        "header_latin1" => reply.headers.push(words::latin_header(noise)),
        _ => {}
    }
}

/// The dialect of one platform.
struct Dialect {
    seed: u64,
    share: f64,
    kinds: Vec<&'static Kind>,
    methods: Option<Vec<String>>,
    /// Requests and notices have dice of their own: which of them come first is a matter of milliseconds.
    requests: Noise,
    notices: Noise,
    words: Option<Words>,
    asked: u64,
    met: BTreeMap<&'static str, u64>,
}

impl Dialect {
    fn show(&self) -> Value {
        json!({
            "seed": self.seed, "share": self.share, "kinds": self.kinds.iter().map(|k| k.name).collect::<Vec<_>>(),
            "methods": self.methods, "word": self.words.as_ref().map(|w| &w.prefix),
            "asked": self.asked, "met": self.met,
        })
    }

    /// Draws the kinds for one request or notice; which may come is said by `fits`.
    fn draw(
        &mut self,
        notice: bool,
        operation: &str,
        said: &str,
        fits: &dyn Fn(&Kind) -> bool,
    ) -> (Vec<&'static str>, u64) {
        self.asked += 1;
        // Each operation of a word has its own dice: how often it is asked about does not change what a command meets.
        let word = self.words.as_ref().and_then(|w| w.find(said)).map(|word| format!("{word} {operation}"));
        // One number each, so that the sequence depends on nothing but the seed.
        let next = if notice { self.notices.next() } else { self.requests.next() };
        let mut dice = match (&self.words, &word) {
            (Some(words), Some(word)) => words.dice(self.seed, word),
            _ => Noise::new(next),
        };
        let mut kinds: Vec<&'static Kind> = Vec::new();
        if dice.chance(self.share) {
            for more in [1.0, 0.5, 0.25] {
                let free = |k: &&&Kind| fits(k) && kinds.iter().all(|other| other.layer != k.layer);
                let choice: Vec<_> = self.kinds.iter().filter(free).copied().collect();
                if choice.is_empty() || !dice.chance(more) {
                    break;
                }
                kinds.push(*dice.pick(&choice));
            }
        }
        let names: Vec<&'static str> = kinds.iter().map(|k| k.name).collect();
        for name in &names {
            *self.met.entry(*name).or_default() += 1;
        }
        if let (Some(words), Some(word)) = (&mut self.words, word) {
            let met = (!names.is_empty()).then(|| names.join("+"));
            words.met.entry(word).or_default().push(met);
        }
        (names, dice.next())
    }
}

/// The dialects in force.
#[derive(Default)]
pub struct DialectBook {
    dialects: BTreeMap<&'static str, Dialect>,
}

impl DialectBook {
    /// How the vendor speaks at this request. `text` is asked for what the request says, if that matters.
    pub fn draw(&mut self, platform: &'static str, operation: &str, text: &dyn Fn() -> String) -> Accent {
        let Some(dialect) = self.dialects.get_mut(platform) else { return Accent::default() };
        if dialect.methods.as_ref().is_some_and(|m| !m.iter().any(|m| m == operation)) {
            return Accent::default();
        }
        let said = if dialect.words.is_some() { text() } else { String::new() };
        let fits = |k: &Kind| match k.layer {
            Layer::Host | Layer::Callback => false,
            _ => match k.needs {
                For::Redeeming => words::redeems(platform, operation),
                For::Numbered => words::carries_number(platform, operation),
                For::Flagged => platform == "youzan" && words::redeems(platform, operation),
                For::Any | For::Forms => true,
            },
        };
        let (kinds, seed) = dialect.draw(false, operation, &said, &fits);
        let has_host = dialect.share > 0.0 && dialect.kinds.iter().any(|k| k.layer == Layer::Host);
        Accent {
            platform,
            kinds,
            seed,
            host_skew_s: if has_host { words::host_skew_s(dialect.seed, platform, operation) } else { 0 },
            prefix: dialect.words.as_ref().map(|w| w.prefix.clone()),
        }
    }

    /// How the vendor writes this notice.
    pub fn draw_callback(
        &mut self,
        platform: &'static str,
        method: &str,
        said: &dyn Fn() -> String,
    ) -> Accent {
        let Some(dialect) = self.dialects.get_mut(platform) else { return Accent::default() };
        if dialect.methods.as_ref().is_some_and(|m| !m.iter().any(|m| m == method)) {
            return Accent::default();
        }
        let said = if dialect.words.is_some() { said() } else { String::new() };
        let fits = |k: &Kind| match k.layer {
            // A form or a signed text is in UTF-8.
            Layer::Shape => k.name != "gbk_words",
            Layer::Time => true,
            Layer::Callback => platform == "yopoint",
            _ => k.name == "header_latin1",
        };
        let (kinds, seed) = dialect.draw(true, method, &said, &fits);
        Accent { platform, kinds, seed, host_skew_s: 0, prefix: None }
    }

    /// Switches a dialect on or off, as `POST /_sim/dialect` says.
    pub fn set(&mut self, body: &Value) -> Result<Value, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Body {
            platform: Option<String>,
            #[serde(default = "one")]
            seed: u64,
            share: f64,
            kinds: Option<Vec<String>>,
            without: Option<Vec<String>>,
            methods: Option<Vec<String>>,
            word: Option<String>,
        }
        fn one() -> u64 {
            1
        }
        let Body { platform, seed, share, kinds, without, methods, word } =
            serde_json::from_value(body.clone()).map_err(|e| e.to_string())?;
        if !(0.0..=1.0).contains(&share) {
            return Err("\"share\" must be a number from 0 to 1".into());
        }
        let platforms: Vec<&'static str> = match &platform {
            None => PLATFORMS.to_vec(),
            Some(name) => {
                let known = PLATFORMS.iter().find(|p| **p == name.as_str()).copied();
                vec![known.ok_or_else(|| {
                    format!("unknown platform {name:?}; known are {}", PLATFORMS.join(", "))
                })?]
            }
        };
        let mut kinds = match kinds {
            None => KINDS.iter().collect(),
            Some(names) => chosen(&names)?,
        };
        let without = chosen(&without.unwrap_or_default())?;
        kinds.retain(|kind| !without.iter().any(|other| other.name == kind.name));
        for platform in platforms {
            if share == 0.0 {
                self.dialects.remove(platform);
                continue;
            }
            // Each platform has dice of its own, so that what one is asked does not change what another says.
            let own = platform.bytes().fold(seed, |sum, b| sum.rotate_left(7) ^ u64::from(b));
            let dialect = Dialect {
                seed: own,
                share,
                kinds: kinds.clone(),
                methods: methods.clone(),
                requests: Noise::new(own),
                notices: Noise::new(!own),
                words: word.clone().filter(|w| !w.is_empty()).map(Words::new),
                asked: 0,
                met: BTreeMap::new(),
            };
            self.dialects.insert(platform, dialect);
        }
        Ok(self.show())
    }

    /// Switches every dialect off.
    pub fn clear(&mut self) {
        self.dialects.clear();
    }

    /// The dialects in force, and the table of kinds.
    pub fn show(&self) -> Value {
        let on: serde_json::Map<String, Value> =
            self.dialects.iter().map(|(name, d)| ((*name).to_owned(), d.show())).collect();
        json!({"on": on, "kinds": kinds()})
    }

    /// What the requests and notices with each word have met, by platform, word and operation.
    pub fn met(&self) -> Value {
        let met = self
            .dialects
            .iter()
            .filter_map(|(name, d)| Some(((*name).to_owned(), json!(d.words.as_ref()?.met))));
        Value::Object(met.collect())
    }
}

/// The table of kinds.
fn kinds() -> Value {
    KINDS
        .iter()
        .map(|k| json!({"name": k.name, "layer": k.layer.name(), "acts": k.acts, "about": k.about}))
        .collect()
}
