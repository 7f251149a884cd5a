//! The records of the journal, typed: written once, never parsed back by the writer. Their form on the disk is in
//! `docs/journal.md`.

use super::Span;
use super::{Act, Physical, SettledBy};
use crate::error::Outcome;
use crate::json::{Bad, Json, Object, Writer};
use crate::log;
use crate::model::*;
use crate::status::kl_status;

/// As much of a platform's answer is kept; a longer one is left out.
pub(crate) const JSON_KEPT: usize = 2048;

/// When something happened: by the device's clock, for people, and on the boot clock, for the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// Unix seconds.
    pub wall_s: i64,
    /// Milliseconds since the system was started.
    pub up_ms: u64,
}

/// A command is begun: the right to send it is claimed.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The caller's name for it.
    pub id: String,
    /// What it does.
    pub act: Act,
    /// Which process has the claim.
    pub owner: u64,
    /// Which start of the system it was.
    pub boot: String,
    /// When.
    pub at: At,
    /// The number that is sent with it, so that the platform's record shows whose it is; empty if there is none.
    pub mark: String,
    /// The mark is the library's own, and nobody else can have left it.
    pub mark_is_ours: bool,
    /// How long after the call's end it may still take effect, in milliseconds.
    pub hold_ms: u32,
    /// It is the repetition by which the platform is asked: an earlier try of the same name, sent then, may have happened.
    pub earlier: Option<Earlier>,
    /// What is needed to send it later, if the call that wanted it has ended.
    pub keep: Option<Box<Keep>>,
}

/// What is needed to send a command after its call has ended. Its time counts from that call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// When the call began.
    pub since: At,
    /// Which start of the system it was; empty if it cannot be known.
    pub boot: String,
    /// How long after that it may be sent, in milliseconds.
    pub within_ms: u32,
    /// The platform's time then, at the earliest, Unix milliseconds; `None` if it was not known.
    pub platform_ms: Option<i64>,
    /// The parts of the request that its act only has a digest of; `None` once it is not to be sent any more.
    pub rest: Option<Rest>,
}

/// The texts of a write that its act only has a digest of, in the order of the verb.
pub type Rest = [String; 4];

/// The sending of an earlier try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// When.
    pub at: At,
    /// Which start of the system it was.
    pub boot: String,
    /// How long that call went on at most, in milliseconds.
    pub left_ms: u32,
    /// The platform's time, if it was known.
    pub platform: Option<Span>,
}

/// It is about to leave: from here on it may happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The command.
    pub id: String,
    /// The claim: the number of its intent.
    pub claim: u64,
    /// When.
    pub at: At,
    /// How long the call goes on at most, in milliseconds.
    pub left_ms: u32,
    /// The platform's time, if it was known.
    pub platform: Option<Span>,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Done, not done, unknown.
    pub outcome: Outcome,
    /// Who says so.
    pub by: SettledBy,
    /// What the platform said.
    pub receipt: Receipt,
    /// What the machine does.
    pub physical: Physical,
    /// Why it is not done, as a code.
    pub status: kl_status,
    /// The same as a sentence, or the note of whoever settled it.
    pub message: String,
    /// The platform's refusal, whole; empty if it gave none.
    pub refusal: Refused,
}

/// A refusal as the platform gave it, for the vendor to explain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// The HTTP status; 0 if there was no answer.
    pub http: i32,
    /// The name or code, whole.
    pub name: String,
    /// The words.
    pub words: String,
}

/// The end of the command that has this claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The command.
    pub id: String,
    /// The claim that ended.
    pub claim: u64,
    /// When.
    pub at: At,
    /// How.
    pub end: End,
}

/// What the machine did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// The command.
    pub id: String,
    /// Its claim.
    pub claim: u64,
    /// When it was heard of.
    pub at: At,
    /// What.
    pub physical: Physical,
    /// The platform's words if it failed.
    pub error: String,
}

/// All that is left of a settled command when the journal was written anew.
#[derive(Clone, Debug)]
pub struct Was {
    /// The command.
    pub id: String,
    /// What it was about.
    pub act: Act,
    /// Its claim.
    pub claim: u64,
    /// When it was begun, and when it was settled.
    pub begun: At,
    /// The mark that was sent.
    pub mark: String,
    /// How it ended.
    pub end: End,
    /// What the machine did, as told later, with its words.
    pub moved: Option<(Physical, String)>,
}

/// The fingerprint of a done command that was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Print {
    /// Of its name, keyed: the name is not to be found out from it.
    pub name: [u8; 12],
    /// Of what it was about.
    pub act: u32,
    /// Its claim.
    pub claim: u64,
}

/// One record.
#[derive(Clone, Debug)]
pub enum Record {
    /// A command is begun.
    Intent(Intent),
    /// It leaves.
    Sent(Sent),
    /// It ended.
    Ended(Ended),
    /// The machine moved.
    Moved(Movement),
    /// A settled command in one record.
    Was(Was),
    /// Done commands of which only their fingerprints are left.
    Prints(Vec<Print>),
    /// Names that the library issued before this record number may have been forgotten.
    Forgotten(u64),
    /// A callback was taken: its identity, and when, Unix seconds.
    Seen([u8; 16], i64),
    /// The caller closed a visit.
    VisitClosed(String, At),
}

/// How the parts of a request are called that is kept.
const REST: [&str; 4] = ["k_1", "k_2", "k_3", "k_4"];

const KINDS: [&str; 9] = ["intent", "sent", "end", "moved", "was", "prints", "forgotten", "seen", "visit"];

impl Record {
    /// Which kind it is, as it is written.
    pub fn kind(&self) -> &'static str {
        KINDS[match self {
            Record::Intent(_) => 0,
            Record::Sent(_) => 1,
            Record::Ended(_) => 2,
            Record::Moved(_) => 3,
            Record::Was(_) => 4,
            Record::Prints(_) => 5,
            Record::Forgotten(_) => 6,
            Record::Seen(..) => 7,
            Record::VisitClosed(..) => 8,
        }]
    }

    /// As a line of the journal, with its number.
    pub fn to_json(&self, n: u64) -> String {
        let mut w = Writer::new();
        w.int("n", n as i64).text("k", self.kind());
        match self {
            Record::Intent(i) => {
                w.text("id", &i.id);
                write_act(&i.act, &mut w);
                write_at(i.at, &mut w);
                w.text("boot", &i.boot).int("owner", i.owner as i64).int("hold", i.hold_ms.into());
                write_mark(&i.mark, i.mark_is_ours, &mut w);
                if let Some(e) = &i.earlier {
                    w.int("e_t", e.at.wall_s).int("e_up", e.at.up_ms as i64).text("e_boot", &e.boot);
                    w.int("e_left", e.left_ms.into());
                    write_span(e.platform, ["e_from", "e_to"], &mut w);
                }
                if let Some(keep) = &i.keep {
                    write_keep(keep, &mut w);
                }
            }
            Record::Sent(s) => {
                w.text("id", &s.id).int("claim", s.claim as i64);
                write_at(s.at, &mut w);
                w.int("left", s.left_ms.into());
                write_span(s.platform, ["from", "to"], &mut w);
            }
            Record::Ended(e) => {
                w.text("id", &e.id).int("claim", e.claim as i64);
                write_at(e.at, &mut w);
                write_end(&e.end, &mut w);
            }
            Record::Moved(m) => {
                w.text("id", &m.id).int("claim", m.claim as i64);
                write_at(m.at, &mut w);
                w.int("physical", m.physical as i64).text("error", &log::mask(&m.error));
            }
            Record::Was(was) => {
                w.text("id", &was.id).int("claim", was.claim as i64);
                write_act(&was.act, &mut w);
                write_at(was.begun, &mut w);
                write_mark(&was.mark, true, &mut w);
                write_end(&was.end, &mut w);
                if let Some((physical, error)) = &was.moved {
                    w.int("moved", *physical as i64).text("error", error);
                }
            }
            Record::Prints(prints) => {
                let mut bytes = Vec::with_capacity(prints.len() * 24);
                for p in prints {
                    bytes.extend_from_slice(&p.name);
                    bytes.extend_from_slice(&p.act.to_le_bytes());
                    bytes.extend_from_slice(&p.claim.to_le_bytes());
                }
                w.text("prints", &crate::hex::lower(&bytes));
            }
            Record::Forgotten(below) => {
                w.int("below", *below as i64);
            }
            Record::Seen(identity, at) => {
                w.text("identity", &crate::hex::lower(identity)).int("t", *at);
            }
            Record::VisitClosed(id, at) => {
                w.text("id", id);
                write_at(*at, &mut w);
            }
        }
        w.finish()
    }

    /// From a line of the journal, with its number. What is not understood is an error: it is never passed over.
    pub fn from_json(json: Json<'_>) -> Result<(u64, Record), Bad> {
        let o = json.object()?;
        let fields = Fields(&o);
        let n = fields.number("n")?;
        let record = match fields.text("k").as_str() {
            "intent" => Record::Intent(Intent {
                id: fields.text("id"),
                act: read_act(&fields)?,
                owner: fields.number("owner")?,
                boot: fields.text("boot"),
                at: fields.at()?,
                mark: fields.text("mark"),
                mark_is_ours: fields.int("ours")? != 0,
                hold_ms: fields.small("hold")?,
                earlier: match o.int(&["e_left"])? {
                    None => None,
                    Some(_) => Some(Earlier {
                        at: At { wall_s: fields.int("e_t")?, up_ms: fields.number("e_up")? },
                        boot: fields.text("e_boot"),
                        left_ms: fields.small("e_left")?,
                        platform: read_span(&o, ["e_from", "e_to"])?,
                    }),
                },
                keep: read_keep(&o, &fields)?,
            }),
            "sent" => Record::Sent(Sent {
                id: fields.text("id"),
                claim: fields.number("claim")?,
                at: fields.at()?,
                left_ms: fields.small("left")?,
                platform: read_span(&o, ["from", "to"])?,
            }),
            "end" => Record::Ended(Ended {
                id: fields.text("id"),
                claim: fields.number("claim")?,
                at: fields.at()?,
                end: read_end(&fields)?,
            }),
            "moved" => Record::Moved(Movement {
                id: fields.text("id"),
                claim: fields.number("claim")?,
                at: fields.at()?,
                physical: physical(fields.int("physical")?)?,
                error: fields.text("error"),
            }),
            "was" => Record::Was(Was {
                id: fields.text("id"),
                act: read_act(&fields)?,
                claim: fields.number("claim")?,
                begun: fields.at()?,
                mark: fields.text("mark"),
                end: read_end(&fields)?,
                moved: match o.int(&["moved"])? {
                    Some(number) => Some((physical(number)?, fields.text("error"))),
                    None => None,
                },
            }),
            "prints" => Record::Prints(read_prints(&fields.text("prints"))?),
            "forgotten" => Record::Forgotten(fields.number("below")?),
            "seen" => {
                let bytes = unhex(&fields.text("identity"))?;
                let identity = bytes.try_into().map_err(|_| Bad::new("identity", "has a wrong length"))?;
                Record::Seen(identity, fields.int("t")?)
            }
            "visit" => Record::VisitClosed(fields.text("id"), fields.at()?),
            _ => return Err(Bad::new("k", "is no kind of record")),
        };
        Ok((n, record))
    }
}

/// The fields of a record as they are read.
struct Fields<'o, 'a>(&'o Object<'a>);

impl Fields<'_, '_> {
    fn text(&self, key: &str) -> String {
        self.0.string(&[key]).ok().flatten().unwrap_or_default()
    }

    fn int(&self, key: &str) -> Result<i64, Bad> {
        Ok(self.0.int(&[key])?.unwrap_or(0))
    }

    fn number(&self, key: &str) -> Result<u64, Bad> {
        u64::try_from(self.int(key)?).map_err(|_| Bad::new(key, "is negative"))
    }

    fn small(&self, key: &str) -> Result<u32, Bad> {
        u32::try_from(self.int(key)?).map_err(|_| Bad::new(key, "does not fit"))
    }

    fn at(&self) -> Result<At, Bad> {
        Ok(At { wall_s: self.int("t")?, up_ms: self.number("up")? })
    }
}

fn write_at(at: At, w: &mut Writer) {
    w.int("t", at.wall_s).int("up", at.up_ms as i64);
}

fn write_span(span: Option<Span>, keys: [&str; 2], w: &mut Writer) {
    if let Some(span) = span {
        w.int(keys[0], span.earliest_ms).int(keys[1], span.latest_ms);
    }
}

fn read_span(o: &Object<'_>, keys: [&str; 2]) -> Result<Option<Span>, Bad> {
    Ok(match (o.int(&[keys[0]])?, o.int(&[keys[1]])?) {
        (Some(earliest_ms), Some(latest_ms)) => Some(Span { earliest_ms, latest_ms }),
        _ => None,
    })
}

fn write_keep(keep: &Keep, w: &mut Writer) {
    w.int("k_t", keep.since.wall_s).int("k_up", keep.since.up_ms as i64).text("k_boot", &keep.boot);
    w.int("k_within", keep.within_ms.into());
    if let Some(ms) = keep.platform_ms {
        w.int("k_from", ms);
    }
    if let Some(rest) = &keep.rest {
        w.int("k_waits", 1);
        REST.iter().zip(rest).for_each(|(key, text)| {
            w.text(key, text);
        });
    }
}

fn read_keep(o: &Object<'_>, f: &Fields<'_, '_>) -> Result<Option<Box<Keep>>, Bad> {
    if o.int(&["k_within"])?.is_none() {
        return Ok(None);
    }
    Ok(Some(Box::new(Keep {
        since: At { wall_s: f.int("k_t")?, up_ms: f.number("k_up")? },
        boot: f.text("k_boot"),
        within_ms: f.small("k_within")?,
        platform_ms: o.int(&["k_from"])?,
        rest: if f.int("k_waits")? == 0 { None } else { Some(REST.map(|key| f.text(key))) },
    })))
}

fn write_mark(mark: &str, ours: bool, w: &mut Writer) {
    if !mark.is_empty() {
        w.text("mark", mark);
        if ours {
            w.int("ours", 1);
        }
    }
}

fn write_act(act: &Act, w: &mut Writer) {
    match act {
        Act::Door(r) => {
            w.text("act", "door")
                .text("cabinet_id", &r.cabinet_id)
                .text("door", &r.door)
                .text("user_id", &r.user_id)
                .text("order_no", &r.order_no)
                .text("item_no", &r.item_no)
                .text("notify_url", &r.notify_url)
                .text("extra_json", r.extra_json.as_deref().unwrap_or_default());
        }
        Act::Redeem(r) => {
            w.text("act", "redeem")
                .int("kind", r.kind as i64)
                .text("code", &r.code)
                .text("cabinet_id", &r.cabinet_id)
                .text("product_id", &r.product_id)
                .text("trade_no", &r.trade_no)
                .text("notify_url", &r.notify_url)
                .text("redeemer", &r.redeemer)
                .text("extra_json", r.extra_json.as_deref().unwrap_or_default());
        }
        Act::Write { verb, order_no, cabinet_id, paid, trade_no, digest, .. } => {
            w.text("act", verb)
                .text("order_no", order_no)
                .text("cabinet_id", cabinet_id)
                .text("trade_no", trade_no)
                .text("digest", digest);
            if *paid {
                w.int("paid", 1);
            }
        }
    }
    let (visit_id, context) = act.visit();
    w.text("visit", visit_id).text("context", context);
}

fn read_act(f: &Fields<'_, '_>) -> Result<Act, Bad> {
    let extra_json = Some(f.text("extra_json")).filter(|t| !t.is_empty());
    let (visit_id, context) = (f.text("visit"), f.text("context"));
    Ok(match f.text("act").as_str() {
        "" => return Err(Bad::new("act", "is missing")),
        "door" => Act::Door(DoorRequest {
            request_id: f.text("id"),
            cabinet_id: f.text("cabinet_id"),
            door: f.text("door"),
            user_id: f.text("user_id"),
            order_no: f.text("order_no"),
            item_no: f.text("item_no"),
            notify_url: f.text("notify_url"),
            ttl_ms: 0,
            extra_json,
            visit_id,
            context,
            mark: f.text("mark"),
        }),
        "redeem" => Act::Redeem(RedeemRequest {
            request_id: f.text("id"),
            kind: match f.int("kind")? {
                0 => CodeKind::Pickup,
                1 => CodeKind::Virtual,
                2 => CodeKind::Voucher,
                _ => return Err(Bad::new("kind", "is no kind of code")),
            },
            code: f.text("code"),
            cabinet_id: f.text("cabinet_id"),
            product_id: f.text("product_id"),
            trade_no: f.text("trade_no"),
            notify_url: f.text("notify_url"),
            redeemer: f.text("redeemer"),
            ttl_ms: 0,
            extra_json,
            visit_id,
            context,
            mark: f.text("mark"),
        }),
        verb => Act::Write {
            verb: verb.to_owned(),
            order_no: f.text("order_no"),
            cabinet_id: f.text("cabinet_id"),
            paid: f.int("paid")? != 0,
            trade_no: f.text("trade_no"),
            digest: f.text("digest"),
            visit_id,
            context,
        },
    })
}

fn write_end(end: &End, w: &mut Writer) {
    let outcome = match end.outcome {
        Outcome::Done => "done",
        Outcome::NotDone => "not_done",
        _ => "unknown",
    };
    let r = &end.receipt;
    w.text("outcome", outcome).int("by", end.by as i64);
    if end.status != 0 {
        w.int("status", end.status.into());
    }
    // Whatever a platform repeated in its words: no secret comes to rest on the disk.
    w.text("message", &log::mask(&end.message))
        .text("receipt_no", &r.order_no)
        .text("receipt_item", &r.item_no)
        .text("delivery_no", &r.delivery_no)
        .text("report_url", &r.report_url)
        .text("json", if r.json.len() <= JSON_KEPT { &r.json } else { "" });
    if end.physical != Physical::None {
        w.int("physical", end.physical as i64);
    }
    if end.refusal.http != 0 {
        w.int("http", end.refusal.http.into())
            .text("refusal", &log::mask(&end.refusal.name))
            .text("words", &log::mask(&end.refusal.words));
    }
}

fn read_end(f: &Fields<'_, '_>) -> Result<End, Bad> {
    let outcome = match f.text("outcome").as_str() {
        "done" => Outcome::Done,
        "not_done" => Outcome::NotDone,
        "unknown" => Outcome::Unknown,
        _ => return Err(Bad::new("outcome", "is none")),
    };
    let number = |key: &str| i32::try_from(f.int(key)?).map_err(|_| Bad::new(key, "does not fit"));
    Ok(End {
        outcome,
        by: settled_by(f.int("by")?)?,
        receipt: Receipt {
            order_no: f.text("receipt_no"),
            item_no: f.text("receipt_item"),
            delivery_no: f.text("delivery_no"),
            report_url: f.text("report_url"),
            json: f.text("json"),
        },
        physical: physical(f.int("physical")?)?,
        status: number("status")?,
        message: f.text("message"),
        refusal: Refused { http: number("http")?, name: f.text("refusal"), words: f.text("words") },
    })
}

fn read_prints(text: &str) -> Result<Vec<Print>, Bad> {
    let bytes = unhex(text)?;
    if bytes.len() % 24 != 0 {
        return Err(Bad::new("prints", "has a wrong length"));
    }
    let number = |part: &[u8]| part.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
    Ok(bytes
        .chunks_exact(24)
        .map(|c| {
            let mut name = [0; 12];
            name.copy_from_slice(&c[..12]);
            Print { name, act: number(&c[12..16]) as u32, claim: number(&c[16..]) }
        })
        .collect())
}

fn unhex(text: &str) -> Result<Vec<u8>, Bad> {
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    let pair = |p: &[u8]| Some(digit(p[0])? << 4 | digit(*p.get(1)?)?);
    text.as_bytes()
        .chunks(2)
        .map(pair)
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(|| Bad::new("", "is not hexadecimal"))
}

fn physical(number: i64) -> Result<Physical, Bad> {
    Ok(match number {
        0 => Physical::None,
        1 => Physical::Pending,
        2 => Physical::Confirmed,
        3 => Physical::Failed,
        4 => Physical::Unknowable,
        _ => return Err(Bad::new("physical", "is no movement")),
    })
}

fn settled_by(number: i64) -> Result<SettledBy, Bad> {
    Ok(match number {
        0 => SettledBy::Nobody,
        1 => SettledBy::Answer,
        2 => SettledBy::Query,
        3 => SettledBy::Event,
        4 => SettledBy::Sensor,
        5 => SettledBy::Person,
        6 => SettledBy::Journal,
        _ => return Err(Bad::new("by", "is nobody")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every field another than its default, so that a forgotten one is seen.
    fn samples() -> Vec<Record> {
        let at = At { wall_s: 1_700_000_000, up_ms: 5 };
        let end = End {
            outcome: Outcome::Unknown,
            by: SettledBy::Query,
            receipt: Receipt {
                order_no: "o".into(),
                item_no: "i".into(),
                delivery_no: "d".into(),
                report_url: "u".into(),
                json: "{}".into(),
            },
            physical: Physical::Pending,
            status: 401,
            message: "m \"\n".into(),
            refusal: Refused { http: 400, name: "ERR_X".into(), words: "w".into() },
        };
        let door = DoorRequest {
            request_id: "a".into(),
            cabinet_id: "c".into(),
            door: "1".into(),
            user_id: "u".into(),
            order_no: "o".into(),
            item_no: "i".into(),
            notify_url: "n".into(),
            ttl_ms: 0,
            extra_json: Some("{}".into()),
            visit_id: "v".into(),
            context: "x".into(),
            mark: "7".into(),
        };
        let redeem = RedeemRequest {
            request_id: "a".into(),
            kind: CodeKind::Voucher,
            code: "0123".into(),
            cabinet_id: "c".into(),
            product_id: "p".into(),
            trade_no: "t".into(),
            notify_url: "n".into(),
            redeemer: "r".into(),
            ttl_ms: 0,
            extra_json: None,
            visit_id: "v".into(),
            context: "x".into(),
            mark: "7".into(),
        };
        let write = Act::Write {
            verb: "refund_apply".into(),
            order_no: "o".into(),
            cabinet_id: "c".into(),
            paid: true,
            trade_no: "t".into(),
            digest: "d".into(),
            visit_id: "v".into(),
            context: "x".into(),
        };
        let intent = |act: Act| {
            Record::Intent(Intent {
                id: "a".into(),
                act,
                owner: 3,
                boot: "b".into(),
                at,
                mark: "7".into(),
                mark_is_ours: true,
                hold_ms: 60_000,
                earlier: Some(Earlier {
                    at,
                    boot: "b0".into(),
                    left_ms: 7,
                    platform: Some(Span { earliest_ms: 3, latest_ms: 4 }),
                }),
                keep: None,
            })
        };
        let kept = |platform_ms, rest: Option<[&str; 4]>| {
            let mut record = intent(write.clone());
            if let Record::Intent(i) = &mut record {
                i.keep = Some(Box::new(Keep {
                    since: At { wall_s: 1_600_000_000, up_ms: 6 },
                    boot: "b1".into(),
                    within_ms: 3_600_000,
                    platform_ms,
                    rest: rest.map(|rest| rest.map(str::to_owned)),
                }));
            }
            record
        };
        vec![
            intent(Act::Door(door.clone())),
            intent(Act::Redeem(redeem)),
            kept(Some(1_600_000_000_001), Some(["U", "12", "{}", "E"])),
            kept(None, Some([""; 4])),
            kept(Some(0), None),
            intent(write),
            Record::Sent(Sent {
                id: "a".into(),
                claim: 9,
                at,
                left_ms: 20_000,
                platform: Some(Span { earliest_ms: 1, latest_ms: 2 }),
            }),
            Record::Ended(Ended { id: "a".into(), claim: 9, at, end: end.clone() }),
            Record::Moved(Movement {
                id: "a".into(),
                claim: 9,
                at,
                physical: Physical::Failed,
                error: "e".into(),
            }),
            Record::Was(Was {
                id: "a".into(),
                act: Act::Door(door),
                claim: 9,
                begun: at,
                mark: "7".into(),
                end,
                moved: Some((Physical::Confirmed, "e".into())),
            }),
            Record::Prints(vec![
                Print { name: [7; 12], act: 0xfedc_ba98, claim: 1 << 40 },
                Print { name: [0; 12], act: 0, claim: 0 },
            ]),
            Record::Forgotten(12),
            Record::Seen([9; 16], 1_700_000_000),
            Record::VisitClosed("v".into(), at),
        ]
    }

    #[test]
    fn what_is_written_is_read_back_whole() {
        for record in samples() {
            let text = record.to_json(41);
            let (n, read) = Record::from_json(Json::parse(text.as_bytes()).unwrap()).unwrap();
            assert_eq!((n, format!("{read:?}")), (41, format!("{record:?}")), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for record in samples() {
            let text = record.to_json(41);
            for (from, to) in [
                ("\"k\":\"", "\"k\":\"x"),
                ("\"outcome\":\"unknown\"", "\"outcome\":\"maybe\""),
                ("\"by\":2", "\"by\":9"),
                ("\"physical\":", "\"physical\":9"),
                ("\"claim\":9", "\"claim\":-9"),
                ("\"identity\":\"09", "\"identity\":\"0x"),
                ("\"prints\":\"07", "\"prints\":\"7"),
            ] {
                let broken = text.replacen(from, to, 1);
                if broken != text {
                    assert!(Record::from_json(Json::parse(broken.as_bytes()).unwrap()).is_err(), "{broken}");
                }
            }
        }
    }

    #[test]
    fn no_secret_in_anybodys_words_comes_to_rest_on_the_disk() {
        let _kept = log::Masked::new("s3cret-of-a-test");
        let end = End {
            message: "m s3cret-of-a-test".into(),
            refusal: Refused {
                http: 400,
                name: "n s3cret-of-a-test".into(),
                words: "s3cret-of-a-test w".into(),
            },
            ..End::nothing()
        };
        let (id, at, error) = ("a".to_owned(), At::default(), "jam s3cret-of-a-test".to_owned());
        for record in [
            Record::Ended(Ended { id: id.clone(), claim: 1, at, end }),
            Record::Moved(Movement { id, claim: 1, at, physical: Physical::Failed, error }),
        ] {
            let text = record.to_json(1);
            assert!(text.contains("***") && !text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn a_long_answer_is_left_out() {
        let written = |bytes: usize| {
            let receipt = Receipt { json: "x".repeat(bytes), ..Receipt::default() };
            let end = End { receipt, ..End::nothing() };
            Record::Ended(Ended { id: "a".into(), claim: 1, at: At::default(), end }).to_json(1).len()
        };
        assert!(written(JSON_KEPT) > JSON_KEPT && written(JSON_KEPT + 1) < 400);
    }
}
