//! What the simulator knows of one command, in the order of its times: the requests, what they did, whether the answer
//! came through, the doors, the callbacks.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::state::State;

/// A text that is shorter is in too many others to be looked for in them.
const TELLING: usize = 6;

/// Which command: any of these. An empty text is none.
#[derive(Clone, Debug, Default)]
pub struct Of {
    /// A request's number in the log.
    pub request: Option<u64>,
    /// The number that the client sent.
    pub mark: String,
    /// The platform's number of the order.
    pub order: String,
    /// The code that was redeemed.
    pub code: String,
}

impl Of {
    /// Nothing is named.
    pub fn is_nothing(&self) -> bool {
        self.request.is_none() && [&self.mark, &self.order, &self.code].iter().all(|t| t.is_empty())
    }
}

/// What belongs to the command, as far as it was found.
#[derive(Default)]
struct Found {
    requests: BTreeSet<u64>,
    marks: BTreeSet<String>,
    orders: BTreeSet<String>,
    code: String,
}

impl Found {
    fn knows(&self, text: &str) -> bool {
        !text.is_empty() && (self.marks.contains(text) || self.orders.contains(text) || self.code == text)
    }

    /// Whether a text speaks of it.
    fn is_in(&self, text: &str) -> bool {
        let words = self.marks.iter().chain(&self.orders).chain([&self.code]);
        words.filter(|w| w.len() >= TELLING).any(|w| text.contains(w.as_str()))
    }

    /// Whether a value, or any part of it, is one of the numbers.
    fn is_among(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.knows(text) || self.is_in(text),
            Value::Number(number) => self.knows(&number.to_string()),
            Value::Array(list) => list.iter().any(|v| self.is_among(v)),
            Value::Object(members) => members.values().any(|v| self.is_among(v)),
            _ => false,
        }
    }

    /// Takes what hangs together with what is known, until nothing new is found.
    fn gather(&mut self, state: &State) {
        loop {
            let before = (self.requests.len(), self.marks.len(), self.orders.len());
            for act in state.core.acts() {
                let text = |t: &Option<String>| t.clone().unwrap_or_default();
                let (mark, order, code) = (text(&act.mark), text(&act.order), text(&act.code));
                let ours = act.request.is_some_and(|n| self.requests.contains(&n));
                if !(ours
                    || self.knows(&mark)
                    || self.knows(&order)
                    || (code == self.code && self.knows(&code)))
                {
                    continue;
                }
                self.marks.extend([mark].into_iter().filter(|t| !t.is_empty()));
                self.orders.extend([order].into_iter().filter(|t| !t.is_empty()));
                if self.code.is_empty() && act.kind == "redeem" {
                    self.code = code;
                }
            }
            if before == (self.requests.len(), self.marks.len(), self.orders.len()) {
                return;
            }
        }
    }
}

/// The story: what the command is known by, and its moments.
pub fn of(state: &State, of: &Of) -> Value {
    let set = |text: &String| [text.clone()].into_iter().filter(|t| !t.is_empty()).collect();
    let mut found = Found {
        requests: of.request.into_iter().collect(),
        marks: set(&of.mark),
        orders: set(&of.order),
        code: of.code.clone(),
    };
    found.gather(state);
    // The number that a request bore which did nothing is only in what it said.
    if let Some(number) = of.request {
        let entries = state.core.log().filter(|e| e["number"] == json!(number));
        found.marks.extend(entries.flat_map(|e| marks_in(&e["params"])));
        found.gather(state);
    }
    let mut moments: Vec<(i64, u8, Value)> = Vec::new();
    let mut add = |at_ms: i64, rank: u8, moment: Value| moments.push((at_ms, rank, moment));
    let acting: BTreeSet<&str> = state
        .core
        .log()
        .filter(|e| speaks(&found, e) && e["did"].as_array().is_some_and(|d| !d.is_empty()))
        .filter_map(|e| e["method"].as_str())
        .collect();
    for entry in state.core.log().filter(|e| speaks(&found, e)) {
        request(entry, of, &acting, &mut add);
    }
    for o in &state.core.world.openings {
        let is = |text: &Option<String>| text.as_deref().is_some_and(|t| found.knows(t));
        let ours = o.cause.request.is_some_and(|n| found.requests.contains(&n));
        if !(ours || is(&o.cause.receipt) || is(&o.cause.trade_no)) {
            continue;
        }
        let (cabinet, door, lane) = (&o.cabinet, o.door, &o.lane);
        add(
            o.at_ms,
            2,
            json!({
                "kind": if lane.is_some() { "fell" } else { "opened" }, "cabinet": cabinet, "door": door, "lane": lane,
                "opening": o.number, "request": o.cause.request, "by": o.cause.by,
            }),
        );
        if let Some(at_ms) = o.shut_ms.filter(|_| lane.is_none()) {
            add(at_ms, 2, json!({"kind": "shut", "cabinet": cabinet, "door": door, "opening": o.number}));
        }
    }
    for act in state.core.acts().iter().filter(|a| !["open_door", "dispense"].contains(&a.kind.as_str())) {
        let is = |text: &Option<String>| text.as_deref().is_some_and(|t| found.knows(t));
        let ours = act.request.is_some_and(|n| found.requests.contains(&n));
        if ours || is(&act.mark) || is(&act.order) || (is(&act.code) && act.kind == "redeem") {
            let mut moment = json!(act);
            (moment["act"], moment["kind"]) = (moment["kind"].clone(), json!("act"));
            add(act.at_ms, 1, moment);
        }
    }
    for d in state.core.callbacks.deliveries() {
        let ours =
            d.what.receipt.as_deref().is_some_and(|r| found.knows(r)) || found.is_among(&d.what.content);
        if !ours {
            continue;
        }
        let base = json!({
            "kind": "callback", "callback": d.id, "method": d.what.method, "url": d.url, "forge": d.style.forge,
            "copy_of": d.copy_of, "progress": d.progress,
        });
        if d.attempts.is_empty() {
            add(d.due_ms, 4, base.clone());
        }
        for (i, attempt) in d.attempts.iter().enumerate() {
            let mut moment = base.clone();
            (moment["attempt"], moment["status"]) = (json!(i + 1), json!(attempt.status));
            moment["error"] = json!(attempt.error);
            add(attempt.at_ms, 4, moment);
        }
    }
    moments.sort_by_key(|(at_ms, rank, _)| (*at_ms, *rank));
    let moments: Vec<Value> = moments
        .into_iter()
        .map(|(at_ms, _, mut moment)| {
            moment["at_ms"] = json!(at_ms);
            moment
        })
        .collect();
    json!({
        "marks": found.marks, "orders": found.orders, "code": found.code,
        "now_ms": state.core.clock.now_ms(), "moments": moments,
    })
}

/// The caller's numbers among a request's parameters.
fn marks_in(params: &Value) -> Vec<String> {
    let names = ["TradeNo", "trade_id", "extra_info", "trade_no"];
    let members = params.as_object().into_iter().flatten();
    let text = |v: &Value| v.as_str().filter(|t| t.len() >= TELLING).map(str::to_owned);
    let mut all = Vec::new();
    for (name, value) in members {
        match value {
            Value::Object(_) => all.extend(marks_in(value)),
            // Parameters that are JSON in a text.
            Value::String(text) if text.starts_with('{') => {
                all.extend(serde_json::from_str(text).iter().flat_map(marks_in));
            }
            _ if names.contains(&name.as_str()) => all.extend(text(value)),
            _ => {}
        }
    }
    all
}

/// Whether a request of the log is about it.
fn speaks(found: &Found, entry: &Value) -> bool {
    entry["number"].as_u64().is_some_and(|n| found.requests.contains(&n))
        || found.is_among(&entry["params"])
        || entry["did"].as_array().into_iter().flatten().any(|act| {
            ["mark", "order"].iter().any(|name| act[*name].as_str().is_some_and(|t| found.knows(t)))
        })
        || entry["said"].as_str().is_some_and(|said| found.is_in(said))
}

/// A request and its answer.
fn request(entry: &Value, of: &Of, acting: &BTreeSet<&str>, add: &mut impl FnMut(i64, u8, Value)) {
    let at_ms = entry["at_ms"].as_i64().unwrap_or(0);
    let number = &entry["number"];
    if !entry["lost"].is_null() {
        return add(
            at_ms,
            0,
            json!({"kind": "never_arrived", "request": number, "operation": entry["method"]}),
        );
    }
    let method = entry["method"].as_str().unwrap_or_default();
    // What neither did anything nor is of the kind that does was a question.
    let asks = !acting.contains(method)
        && entry["acted"] == json!(true)
        && of.request.map(Value::from).as_ref() != Some(number);
    let (late, answer) = (entry["late"] == json!(true), &entry["answer"]);
    add(
        at_ms,
        0,
        json!({
            "kind": if late { "acted_late" } else if asks { "asked" } else { "received" },
            "request": number, "platform": entry["platform"], "operation": method, "faults": entry["faults"],
            "acted": entry["acted"], "signature": entry["signature"]["ok"], "real_ms": entry["real_ms"],
        }),
    );
    if late {
        return;
    }
    let kind = match answer["sent"].as_str() {
        Some("nothing") => "answer_lost",
        Some("part") => "answer_cut",
        _ => "answered",
    };
    add(
        answer["at_ms"].as_i64().unwrap_or(at_ms),
        3,
        json!({
            "kind": kind, "request": number, "status": answer["status"], "code": answer["code"],
            "text": answer["text"], "asks": asks,
            "faults": entry["faults"],
        }),
    );
}

/// What an answer says in the platform's own words: its code, and the text beside it.
pub fn verdict(body: &str) -> (Value, Value) {
    let Ok(body) = serde_json::from_str::<Value>(body) else { return (Value::Null, Value::Null) };
    for (code, text) in [("error_code", "error_msg"), ("code", "message"), ("code", "msg")] {
        for place in [&body, &body["error_response"], &body["gw_err_resp"]] {
            if !place[code].is_null() && (!place[text].is_null() || code == "error_code") {
                return (place[code].clone(), place[text].clone());
            }
        }
    }
    (Value::Null, Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_platforms_say_is_read_from_each_envelope() {
        for (body, code, text) in [
            (r#"{"error_code":"ERR_SIGN","error_msg":"x"}"#, json!("ERR_SIGN"), json!("x")),
            (r#"{"code":40005,"message":"no","data":{}}"#, json!(40005), json!("no")),
            (r#"{"error_response":{"code":7,"msg":"m"}}"#, json!(7), json!("m")),
            (r#"<html>"#, Value::Null, Value::Null),
        ] {
            assert_eq!(verdict(body), (code, text), "{body}");
        }
    }

    #[test]
    fn a_short_number_is_not_looked_for_inside_of_texts() {
        let found = Found { code: "12345".into(), ..Found::default() };
        assert!(!found.is_among(&json!({"phone": "8812345"})) && found.is_among(&json!({"Code": 12345})));
        let found = Found { code: "123456".into(), ..Found::default() };
        assert!(found.is_among(&json!([{"a": "x=123456&y"}])));
    }
}
