//! The requests that are kept in the journal, as one type.

use crate::command::Act;
use crate::command::record::{At, Keep, Rest};
use crate::error::Result;
use crate::model::*;
use crate::platform::{Op, Platform};
use kiosklink_wire::hex;
use md5::{Digest, Md5};
use std::sync::Arc;

/// A request that can be done at most once for its name.
pub(super) enum Work {
    Door(Arc<DoorRequest>),
    Redeem(Arc<RedeemRequest>),
    Create(OrderCreate),
    Payment(PaymentReport),
    Refund(Complaint),
    Appeal(Complaint),
}

impl Work {
    /// A redemption; its code in the one spelling that wire, journal and guard use.
    pub fn redeem(r: &RedeemRequest, platform: &dyn Platform) -> Work {
        Work::Redeem(Arc::new(RedeemRequest { code: platform.canonical_code(&r.code), ..r.clone() }))
    }

    pub fn op(&self) -> Op<'_> {
        match self {
            Work::Door(r) => Op::DoorOpen(r),
            Work::Redeem(r) => Op::CodeRedeem(r),
            Work::Create(r) => Op::OrderCreate(r),
            Work::Payment(r) => Op::PaymentReport(r),
            Work::Refund(r) => Op::RefundApply(r),
            Work::Appeal(r) => Op::AppealFile(r),
        }
    }

    pub fn request_id(&self) -> &str {
        match self {
            Work::Door(r) => &r.request_id,
            Work::Redeem(r) => &r.request_id,
            Work::Create(r) => &r.request_id,
            Work::Payment(r) => &r.request_id,
            Work::Refund(r) | Work::Appeal(r) => &r.request_id,
        }
    }

    /// Gives it a name.
    pub fn set_name(&mut self, name: &str) {
        let id = match self {
            Work::Door(r) => &mut Arc::make_mut(r).request_id,
            Work::Redeem(r) => &mut Arc::make_mut(r).request_id,
            Work::Create(r) => &mut r.request_id,
            Work::Payment(r) => &mut r.request_id,
            Work::Refund(r) | Work::Appeal(r) => &mut r.request_id,
        };
        name.clone_into(id);
    }

    /// Whether the caller must name it.
    pub fn needs_name(&self) -> bool {
        matches!(self, Work::Door(_) | Work::Redeem(_))
    }

    /// Not to be sent later than this after the call; 0 for the client's own bound.
    pub fn ttl_ms(&self) -> u32 {
        match self {
            Work::Door(r) => r.ttl_ms,
            Work::Redeem(r) => r.ttl_ms,
            _ => 0,
        }
    }

    /// What is needed to send it later beside its act, without the times; `None` if it is not to be.
    pub fn keep(&self) -> Option<Keep> {
        let text = |t: &Option<String>| t.clone().unwrap_or_default();
        let (within_ms, rest) = match self {
            Work::Payment(r) => (
                r.send_within_ms,
                [r.report_url.clone(), r.amount.to_string(), text(&r.channel_json), text(&r.extra_json)],
            ),
            Work::Refund(r) | Work::Appeal(r) => (
                r.send_within_ms,
                [r.reason.clone(), r.remarks.clone(), r.phone.clone(), text(&r.extra_json)],
            ),
            _ => return None,
        };
        let (since, boot) = (At::default(), String::new());
        (within_ms > 0).then_some(Keep { since, boot, within_ms, platform_ms: None, rest: Some(rest) })
    }

    /// The same from the journal, to be sent now.
    pub fn kept(id: &str, act: Act, rest: Rest) -> Option<Work> {
        let Act::Write { verb, order_no, cabinet_id, paid, trade_no, visit_id, context, .. } = act else {
            return None;
        };
        let request_id = id.to_owned();
        let given = |t: String| Some(t).filter(|t| !t.is_empty());
        let [first, second, third, extra] = rest;
        if verb == "payment_report" {
            return Some(Work::Payment(PaymentReport {
                report_url: first,
                order_no,
                cabinet_id,
                trade_no,
                paid,
                amount: second.parse().ok()?,
                channel_json: given(third),
                extra_json: given(extra),
                request_id,
                visit_id,
                context,
                ..PaymentReport::default()
            }));
        }
        let claim = Complaint {
            order_no,
            cabinet_id,
            reason: first,
            remarks: second,
            phone: third,
            extra_json: given(extra),
            request_id,
            visit_id,
            context,
            ..Complaint::default()
        };
        Some(if verb == "refund_apply" { Work::Refund(claim) } else { Work::Appeal(claim) })
    }

    /// The caller's own number by which the platform's record can be told.
    pub fn own_number(&self) -> &str {
        match self {
            Work::Door(r) => &r.order_no,
            Work::Redeem(r) => &r.trade_no,
            Work::Create(r) => &r.trade_no,
            Work::Payment(r) => &r.trade_no,
            Work::Refund(_) | Work::Appeal(_) => "",
        }
    }

    pub fn set_mark(&mut self, number: &str) {
        let mark = match self {
            // One that is known is not copied for nothing.
            Work::Door(r) if r.mark == number => return,
            Work::Redeem(r) if r.mark == number => return,
            Work::Door(r) => &mut Arc::make_mut(r).mark,
            Work::Redeem(r) => &mut Arc::make_mut(r).mark,
            Work::Create(r) => &mut r.mark,
            Work::Payment(r) => &mut r.mark,
            Work::Refund(r) | Work::Appeal(r) => &mut r.mark,
        };
        number.clone_into(mark);
    }

    /// Refuses a text that is longer than the journal takes.
    pub fn check_texts(&self) -> Result<()> {
        match self {
            Work::Door(r) => r.check_texts(),
            Work::Redeem(r) => r.check_texts(),
            Work::Create(r) => r.check_texts(),
            Work::Payment(r) => r.check_texts(),
            Work::Refund(r) | Work::Appeal(r) => r.check_texts(),
        }
    }

    /// As the journal keeps it.
    pub fn act(&self) -> Act {
        match self {
            Work::Door(r) => Act::Door(r.clone()),
            Work::Redeem(r) => Act::Redeem(r.clone()),
            Work::Create(r) => {
                let mut rest = vec![r.cabinet_id.clone(), r.notify_url.clone()];
                rest.extend(
                    r.lines.iter().map(|(product, count)| [product, "*", &count.to_string()].concat()),
                );
                rest.extend(r.extra_json.clone());
                let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
                let about = About { cabinet_id: &r.cabinet_id, trade_no: &r.trade_no, ..About::default() };
                write("order_create", about, &rest, &r.visit_id, &r.context)
            }
            Work::Payment(r) => {
                let (paid, amount) = (if r.paid { "paid" } else { "failed" }, r.amount.to_string());
                let texts = [&r.channel_json, &r.extra_json].map(|t| t.as_deref().unwrap_or_default());
                let rest = [&r.report_url, &r.cabinet_id, paid, &amount, texts[0], texts[1]];
                let about = About {
                    order_no: &r.order_no,
                    cabinet_id: &r.cabinet_id,
                    trade_no: &r.trade_no,
                    paid: r.paid,
                };
                write("payment_report", about, &rest, &r.visit_id, &r.context)
            }
            Work::Refund(r) => claim("refund_apply", r),
            Work::Appeal(r) => claim("appeal_file", r),
        }
    }
}

fn claim(verb: &str, r: &Complaint) -> Act {
    let extra = r.extra_json.as_deref().unwrap_or_default();
    let rest = [&r.cabinet_id, &r.reason, &r.remarks, &r.phone, extra];
    let about = About { order_no: &r.order_no, cabinet_id: &r.cabinet_id, ..About::default() };
    write(verb, about, &rest, &r.visit_id, &r.context)
}

/// What the journal keeps of a write in words.
#[derive(Default)]
struct About<'a> {
    order_no: &'a str,
    cabinet_id: &'a str,
    trade_no: &'a str,
    paid: bool,
}

fn write(verb: &str, about: About<'_>, rest: &[&str], visit_id: &str, context: &str) -> Act {
    let mut digest = Md5::new();
    for part in rest {
        digest.update(part);
        digest.update([0]);
    }
    Act::Write {
        verb: verb.to_owned(),
        order_no: about.order_no.to_owned(),
        cabinet_id: about.cabinet_id.to_owned(),
        paid: about.paid,
        trade_no: about.trade_no.to_owned(),
        digest: hex::lower(&digest.finalize()[..8]),
        visit_id: visit_id.to_owned(),
        context: context.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_the_whole_request() {
        let payment = PaymentReport {
            report_url: "https://h/n".into(),
            order_no: "VI1".into(),
            cabinet_id: "c".into(),
            trade_no: "t".into(),
            paid: true,
            amount: -1,
            channel_json: Some("{\"a\":1}".into()),
            extra_json: Some("{}".into()),
            request_id: "p".into(),
            visit_id: "v".into(),
            context: "x".into(),
            send_within_ms: 7,
            mark: String::new(),
        };
        let claim = Complaint {
            order_no: "VI1".into(),
            cabinet_id: "c".into(),
            reason: "r".into(),
            remarks: "m".into(),
            phone: "1".into(),
            extra_json: Some("{}".into()),
            request_id: "p".into(),
            visit_id: "v".into(),
            context: "x".into(),
            send_within_ms: 7,
            mark: String::new(),
        };
        let bare = PaymentReport { channel_json: None, extra_json: None, paid: false, ..payment.clone() };
        for work in [
            Work::Payment(payment),
            Work::Payment(bare),
            Work::Refund(claim.clone()),
            Work::Appeal(Complaint { extra_json: None, ..claim }),
        ] {
            let keep = work.keep().unwrap();
            assert_eq!(keep.within_ms, 7);
            let later = Work::kept(work.request_id(), work.act(), keep.rest.unwrap()).unwrap();
            let said =
                |work: &Work| format!("{:?}", work.op()).replace("send_within_ms: 7", "send_within_ms: 0");
            assert_eq!(said(&later), said(&work));
            // A try that is sent later is not kept anew with a time of its own.
            assert!(later.keep().is_none());
        }
        let now = Complaint::default();
        assert!(Work::Refund(now).keep().is_none(), "nobody asked for it");
    }
}
