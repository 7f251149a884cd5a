//! What became of a redemption whose answer was lost.
//!
//! Youzan has no key for a redemption. A self-fetch code keeps who redeemed it (`extra_info`), so the library's number goes
//! there and is read back. A virtual code and a voucher keep only when they were used: outside the time in which our
//! request could be carried out it was somebody else; inside it nobody can tell, unless the operator declares that there
//! is nobody else.

use super::super::toolbox::canonical_code;
use super::super::{Answer, Known, Maturity, Query, Recovers, Span, Verdict, proof};
use super::Youzan;
use super::records::{self, Part, Usage};
use super::requests::{Voucher, voucher};
use crate::command::{Act, Physical};
use crate::error::Result;
use crate::json::Json;
use crate::model::*;
use crate::status::*;

/// What proves what on this platform.
#[rustfmt::skip]
pub const PROOF: &[proof::Row] = &[
    proof::Row {
        verb: "code_redeem (self-fetch code)",
        call: "youzan.trade.selffetchcode.apply 3.0.0",
        mark: "extra_info: the redeemer, a space, and trade_no or the library's number",
        done: "selffetchcode.get: the code is used and its extra_info ends with the library's number",
        not_done: "a refusal with proves in the table; selffetchcode.get after maturity: the code is unused and not periodic, or used with the number of another installation",
        movement: "",
        unknowable: "used without a number that this library gives (a shop assistant, another program): nothing tells when; a periodic code that is unused (its next period); a number of the caller's own",
        source: "nest-mods/youzan docs/selffetchcode: parameter and result; that one is the other is inferred",
        to_confirm: "that extra_info of the lookup is what apply was given, its greatest length, and that of two redemptions at once only one succeeds",
    },
    proof::Row {
        verb: "code_redeem (virtual code)",
        call: "youzan.trade.virtualcode.apply 3.0.0",
        mark: "",
        done: "virtualcode.get: used within the time in which the request could be carried out, with sole_redeemer=yes and no other command of this journal about the code",
        not_done: "a refusal with proves in the table; virtualcode.get: used outside that time, or unused after maturity",
        movement: "",
        unknowable: "used within that time without sole_redeemer; a use without a readable time; a command whose time of sending is not known",
        source: "nest-mods/youzan docs/trade_virtual: status, use_time; apply takes only the code",
        to_confirm: "a parameter of apply that verify_person gives back",
    },
    proof::Row {
        verb: "code_redeem (voucher, QR code)",
        call: "youzan.trade.virtualticket.verifycode 3.0.0",
        mark: "",
        done: "virtualticket.get: every ticket is used, one of them within the time in which the request could be carried out, with sole_redeemer=yes and no other command of this journal about the code",
        not_done: "a refusal with proves in the table; virtualticket.get: every ticket was used outside that time, or after maturity one is unused and none was used within it",
        movement: "",
        unknowable: "a ticket used within that time without sole_redeemer, or beside one that is unused; a state or a time that cannot be read; refunding and disabled tickets",
        source: "nest-mods/youzan docs/virtualticket: verifycode redeems all tickets; ticket_state, verify_time",
        to_confirm: "the refusal of a voucher that was used before",
    },
    proof::Row {
        verb: "code_redeem (voucher, one ticket)",
        call: "youzan.trade.virtualticket.verifyticket 3.0.0",
        mark: "",
        done: "",
        not_done: "a refusal with proves in the table",
        movement: "",
        unknowable: "everything else: a single ticket has no lookup",
        source: "nest-mods/youzan docs/virtualticket",
        to_confirm: "a lookup by ticket_code",
    },
];

/// How far the clocks of the platform's hosts may differ from the one whose time is learned.
const HOSTS_MS: i64 = 2_000;
/// The digits of the library's own number.
const MARK_DIGITS: usize = 24;

impl Recovers for Youzan {
    fn maturity(&self, _act: &Act) -> Maturity {
        Maturity {
            hold_ms: 60_000,
            reason: "the gateway ends a call after 5 s, lookups show an older state for up to 30 s; the rest is for networks and proxies",
        }
    }

    fn queries(&self, known: &Known<'_>) -> Vec<Query> {
        let Act::Redeem(r) = known.act else { return Vec::new() };
        let code = canonical_code(&r.code);
        // One ticket has no lookup of its own, only the QR code that it belongs to.
        if r.kind == CodeKind::Voucher && !matches!(voucher(&code), Ok(Voucher::QrCode)) {
            return Vec::new();
        }
        vec![Query::Code(CodeQuery { kind: r.kind, code, ..CodeQuery::default() })]
    }

    fn judge(&self, known: &Known<'_>, _query: &Query, answer: &Result<Answer>) -> Verdict {
        let code = match answer {
            Ok(Answer::Code(code)) => code,
            Ok(_) => return unknown("the platform answered with something else"),
            Err(e) if e.status() == KL_E_NOT_FOUND => {
                return unknown("the platform does not know the code any more, which proves nothing");
            }
            Err(_) => return unknown("the lookup failed, which proves nothing"),
        };
        let Ok(record) = Json::parse(code.json.as_bytes()).and_then(Json::object) else {
            return unknown("the platform's record cannot be read");
        };
        let judged = judge(known, &records::usage(&record, code.kind), self.sole_redeemer);
        let receipt =
            || Receipt { order_no: code.order_no.clone(), json: code.json.clone(), ..Receipt::default() };
        match judged {
            Judged::Done => Verdict::Done(receipt(), Physical::None, String::new()),
            Judged::NotDone(why) => Verdict::NotDone(why.to_owned()),
            Judged::Unknown(why) => unknown(why),
        }
    }
}

fn unknown(why: &str) -> Verdict {
    Verdict::Unknown(why.to_owned())
}

/// A verdict without the words of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    Done,
    NotDone(&'static str),
    Unknown(&'static str),
}

/// What a lookup proves.
fn judge(known: &Known<'_>, usage: &Usage, sole_redeemer: bool) -> Judged {
    let whose = whose_mark(known, usage);
    match whose {
        Whose::Ours if usage.state == CodeState::Used || usage.periodic => return Judged::Done,
        Whose::Ours | Whose::Callers if usage.state != CodeState::Used && !usage.periodic => {
            return Judged::Unknown("the code bears the number of this request, yet it is not used");
        }
        Whose::Another if usage.state == CodeState::Used && !usage.periodic => {
            return Judged::NotDone("the code was used with the number of another installation");
        }
        _ => {}
    }
    let used = |p: &&Part| p.state == CodeState::Used;
    let unused = |p: &Part| matches!(p.state, CodeState::Unused | CodeState::Expired);
    if usage.parts.is_empty() || !usage.parts.iter().all(|p| used(&p) || unused(p)) {
        return Judged::Unknown("the code's state says nothing about its use");
    }
    let mut ours = false;
    for part in usage.parts.iter().filter(used) {
        match when(known, part.at) {
            When::Outside => {}
            When::Inside => ours = true,
            When::Unclear(why) => return Judged::Unknown(why),
        }
    }
    match (ours, usage.parts.iter().any(unused)) {
        (true, true) => Judged::Unknown(
            "some tickets of the voucher were used while the request could be carried out, some are unused",
        ),
        // An older use may bear the caller's number too; this one is not older.
        (true, false) if whose == Whose::Callers || sole_redeemer && known.alone => Judged::Done,
        (true, false) => {
            Judged::Unknown("the code was used while the request could be carried out; nothing tells by whom")
        }
        (false, false) => Judged::NotDone(
            "the code was used by somebody else: before the request was sent, or after it could be carried out",
        ),
        (false, true) if usage.periodic => Judged::Unknown(
            "the code is good for several periods; the next one is unused, whatever became of this one",
        ),
        (false, true) if known.mature => Judged::NotDone("the code is not used"),
        (false, true) => Judged::Unknown(
            "the code is not used, but the request may still be on its way: ask again in a minute",
        ),
    }
}

/// Whose number the platform's record bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The library's own for this command.
    Ours,
    /// The one that the caller gave with this command.
    Callers,
    /// The library's own for another command, here or elsewhere.
    Another,
    /// None that tells anything.
    Nobodys,
}

fn whose_mark(known: &Known<'_>, usage: &Usage) -> Whose {
    if known.mark.is_empty() {
        return Whose::Nobodys;
    }
    let before = usage.redeemer.strip_suffix(known.mark);
    if before.is_some_and(|rest| rest.is_empty() || rest.ends_with(' ')) {
        return if known.mark_is_ours { Whose::Ours } else { Whose::Callers };
    }
    let last = usage.redeemer.rsplit(' ').next().unwrap_or_default();
    let a_mark = last.len() == MARK_DIGITS && last.bytes().all(|b| b.is_ascii_digit());
    if a_mark { Whose::Another } else { Whose::Nobodys }
}

/// Where a use lies, against the time in which our request could be carried out.
enum When {
    Inside,
    Outside,
    Unclear(&'static str),
}

fn when(known: &Known<'_>, used_at: Option<i64>) -> When {
    let Some(at) = used_at else { return When::Unclear("the code is used, but not known since when") };
    let Some(alive) = known.alive else {
        return When::Unclear("the code is used, but it is not known when the request was sent");
    };
    // The platform writes whole seconds: the use lies somewhere in that one.
    let used =
        Span { earliest_ms: at.saturating_mul(1000), latest_ms: at.saturating_mul(1000).saturating_add(999) };
    let before = used.latest_ms < alive.earliest_ms.saturating_sub(HOSTS_MS);
    let after = used.earliest_ms > alive.latest_ms.saturating_add(HOSTS_MS);
    if before || after { When::Outside } else { When::Inside }
}
