//! What happened at the platform, as a simulator knows it.

use super::journal::Numbers;
use super::{Kind, Moment, Source};
use crate::lang::t;
use crate::out::Stop;
use crate::simulator::Control;
use crate::tr;
use kiosklink::command::Act;
use kiosklink::error::Error;
use kiosklink::json::{Bad, Json, Object};
use kiosklink::status::KL_E_PROTOCOL;
use kiosklink_wire::form::escaped;

/// Something that the simulator tells.
struct Told {
    at_ms: i64,
    /// By the computer's own clock, of a request.
    real_ms: Option<i64>,
    kind: Kind,
    words: String,
    number: u64,
    /// The sending itself, by which the two clocks are laid over each other.
    is_command: bool,
}

/// Lays the simulator's moments beside the others.
pub fn lay(
    moments: &mut Vec<Moment>,
    notes: &mut Vec<String>,
    control: &Control,
    numbers: &Numbers,
    act: Option<&Act>,
) -> Result<(), Stop> {
    let first = |list: &[String]| list.first().map(|t| escaped(t)).unwrap_or_default();
    // A code may be there in more than one try; a mark is of one.
    let code = if numbers.marks.is_empty() { escaped(&numbers.code) } else { String::new() };
    let (mark, order) = (first(&numbers.marks), first(&numbers.orders));
    if mark.is_empty() && order.is_empty() && code.is_empty() {
        notes.push(tr!("The simulator was not asked: nothing was sent by which it would know this."));
        return Ok(());
    }
    let answer = control.ask("GET", &format!("/story?mark={mark}&order={order}&code={code}"), "")?;
    let odd = |bad: Bad| Error::new(KL_E_PROTOCOL, bad.sentence("the simulator's story"));
    let told = read(&answer, act).map_err(odd)?;
    if told.is_empty() {
        notes.push(tr!("The simulator knows nothing of this."));
        return Ok(());
    }
    // The first byte left when the request came in: both are on one computer, whatever their clocks say.
    let sent = moments.iter().find(|m| m.kind == Kind::Sent).or(moments.first());
    let (base_ms, base_wall_s) = sent.map_or((0, 0), |m| (m.offset_ms, m.wall_s));
    let anchor = told.iter().find(|t| t.is_command).unwrap_or(&told[0]);
    let (anchor_at, anchor_real) = (anchor.at_ms, anchor.real_ms);
    let ahead_s = (anchor_at - base_wall_s.saturating_mul(1000)) / 1000;
    if sent.is_some() && ahead_s.abs() > 2 {
        let how = if ahead_s > 0 { t("ahead") } else { t("behind") };
        notes.push(tr!("The platform's clock was {} s {}.", ahead_s.abs(), how));
    }
    let mut shift = base_ms.saturating_sub(anchor_at);
    for one in told {
        // The platform's clock may be moved between two requests; the computer's own tells how far they are apart.
        if let (Some(real), Some(first)) = (one.real_ms, anchor_real) {
            shift = base_ms.saturating_add(real - first).saturating_sub(one.at_ms);
        }
        let offset_ms = one.at_ms.saturating_add(shift);
        let wall_s = base_wall_s.saturating_add((offset_ms - base_ms).div_euclid(1000));
        moments.push(Moment {
            kind: one.kind,
            source: Source::Simulator,
            wall_s,
            offset_ms,
            rough: false,
            words: one.words,
            number: one.number,
        });
    }
    Ok(())
}

fn read(answer: &str, act: Option<&Act>) -> Result<Vec<Told>, Bad> {
    let list = Json::parse(answer.as_bytes())?.object()?.array(&["moments"])?.unwrap_or_default();
    let mut all = Vec::new();
    for moment in list {
        all.extend(one(&moment.object()?, act)?);
    }
    Ok(all)
}

fn one(o: &Object<'_>, act: Option<&Act>) -> Result<Option<Told>, Bad> {
    let text =
        |key: &str| o.any(&[key]).map(|v| v.map(|v| v.string_lossy().into_owned()).unwrap_or_default());
    // A number, or a text, as a platform has it.
    let plain = |key: &str| {
        o.any(&[key]).map(|v| {
            v.map_or_else(String::new, |v| {
                v.string().map_or_else(|_| v.text().to_owned(), |t| t.into_owned())
            })
        })
    };
    let request = o.int(&["request"])?.unwrap_or(0);
    let operation = text("operation")?;
    let faults: Vec<String> = o
        .array(&["faults"])?
        .unwrap_or_default()
        .into_iter()
        .filter_map(|f| f.string().ok().map(|t| t.into_owned()))
        .collect();
    let faults = if faults.is_empty() { String::new() } else { format!(" [{}]", faults.join(", ")) };
    let asks = o.bool(&["asks"])?.unwrap_or(false);
    let (kind, words) = match text("kind")?.as_str() {
        "received" if o.bool(&["acted"])? == Some(false) => {
            (Kind::Received, tr!("request {}, {}: not acted on{}", request, operation, faults))
        }
        "received" => (Kind::Received, tr!("request {}, {}{}", request, operation, faults)),
        "acted_late" => (Kind::Received, tr!("request {}, {}: acted on only now", request, operation)),
        "asked" => (Kind::Asked, tr!("request {}, {}{}", request, operation, faults)),
        "never_arrived" => (Kind::Lost, tr!("request {}, {}: it never arrived", request, operation)),
        "answer_lost" => (Kind::Lost, tr!("the answer to request {} was lost{}", request, faults)),
        "answer_cut" => (Kind::Lost, tr!("the answer to request {} was cut off{}", request, faults)),
        "answered" => {
            let status = o.int(&["status"])?.unwrap_or(0);
            let said = [plain("code")?, plain("text")?];
            let said: Vec<&str> = said.iter().map(String::as_str).filter(|t| !t.is_empty()).collect();
            (Kind::Answer, tr!("answer to request {}: HTTP {} {}", request, status, said.join(" ")))
        }
        "opened" => (Kind::Door, tr!("door {} of {} opened", plain("door")?, plain("cabinet")?)),
        "shut" => (Kind::Door, tr!("door {} of {} shut", plain("door")?, plain("cabinet")?)),
        "fell" => (Kind::Door, tr!("a piece fell from lane {} of {}", plain("lane")?, plain("cabinet")?)),
        "act" => {
            let what = match text("act")?.as_str() {
                "redeem" => t("a code was redeemed").to_owned(),
                "order" => t("an order was made").to_owned(),
                "pay" => t("a payment was booked").to_owned(),
                "pay_failed" => t("a failed payment was booked").to_owned(),
                "refund_apply" => t("a refund was asked for").to_owned(),
                "refund" => t("a refund was made").to_owned(),
                "appeal" => t("an appeal was filed").to_owned(),
                "cancel" => t("an order was cancelled").to_owned(),
                other => other.to_owned(),
            };
            let by = if text("by")? == "other" { t(", by somebody else") } else { "" };
            let order = plain("order")?;
            let order = if order.is_empty() { order } else { tr!(": order {}", order) };
            (Kind::Booked, format!("{what}{by}{order}"))
        }
        "callback" => {
            let (id, method) = (o.int(&["callback"])?.unwrap_or(0), text("method")?);
            let words = match (o.int(&["status"])?, text("error")?, text("progress")?.as_str()) {
                (Some(status), error, _) if error.is_empty() => {
                    tr!("callback {}, {}: taken (HTTP {})", id, method, status)
                }
                (_, error, _) if !error.is_empty() => {
                    tr!("callback {}, {}: not taken: {}", id, method, error)
                }
                (_, _, "no_url") => tr!("callback {}, {}: no address is set", id, method),
                (_, _, "dropped") => tr!("callback {}, {}: lost", id, method),
                _ => tr!("callback {}, {}: waits", id, method),
            };
            (Kind::Callback, words)
        }
        _ => return Ok(None),
    };
    // Of a query's answer nothing is said but what the journal has of it.
    if asks && matches!(kind, Kind::Answer) && act.is_none() {
        return Ok(None);
    }
    Ok(Some(Told {
        at_ms: o.int(&["at_ms"])?.unwrap_or(0),
        real_ms: o.int(&["real_ms"])?,
        kind,
        words,
        number: request.max(0) as u64,
        is_command: kind == Kind::Received,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_simulator_tells_is_read() {
        let answer = r#"{"moments":[
            {"kind":"received","request":3,"operation":"cabinet.open.door","faults":["act_then_drop"],"acted":true,"at_ms":5,"real_ms":7},
            {"kind":"opened","cabinet":"c","door":2,"at_ms":5},
            {"kind":"answer_lost","request":3,"at_ms":5,"faults":["act_then_drop"]},
            {"kind":"answered","request":4,"status":200,"code":0,"text":"ok","asks":true,"at_ms":9},
            {"kind":"something new","at_ms":9}]}"#;
        let all = read(answer, Some(&Act::Door(Default::default()))).unwrap();
        let words: Vec<&str> = all.iter().map(|t| t.words.as_str()).collect();
        assert_eq!(
            words,
            [
                "request 3, cabinet.open.door [act_then_drop]",
                "door 2 of c opened",
                "the answer to request 3 was lost [act_then_drop]",
                "answer to request 4: HTTP 200 0 ok"
            ]
        );
        assert!(all[0].is_command && all[0].real_ms == Some(7) && all[2].kind == Kind::Lost);
        assert!(read("{\"moments\":[1]}", None).is_err());
    }
}
