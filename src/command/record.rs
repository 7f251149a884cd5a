//! The records of the journal, typed: written once, never read back by the writer. Their form on the disk is in
//! `docs/journal.md`.

use super::Span;
use super::{Act, Physical, SettledBy};
use crate::error::Outcome;
use crate::json::Bad;
use crate::log;
use crate::model::*;
use crate::status::kl_status;
use kiosklink_wire::fields::{Fields, Reader};
pub use kiosklink_wire::prints::Print;
use kiosklink_wire::prints::{sextets, unsextets};

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
    /// The fingerprint of its name, if it was made.
    pub print: Option<[u8; 12]>,
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
    /// When it was begun.
    pub begun: At,
    /// When it was settled.
    pub ended: At,
    /// The mark that was sent.
    pub mark: String,
    /// The fingerprint of its name, if it was made.
    pub print: Option<[u8; 12]>,
    /// How it ended.
    pub end: End,
    /// What the machine did, as told later, with its words.
    pub moved: Option<(Physical, String)>,
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
    /// Done commands of which only their fingerprints are left, each as the text of a [`Print`].
    Prints(Vec<[u8; Print::LENGTH]>),
    /// Names that the library issued before this record number may have been forgotten.
    Forgotten(u64),
    /// A callback was taken: its identity, and when, Unix seconds.
    Seen([u8; 16], i64),
    /// The caller closed a visit.
    VisitClosed(String, At),
}

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

    /// When that was of which it tells; `None` if only the time of its writing is kept.
    pub fn at(&self) -> Option<At> {
        match self {
            Record::Intent(i) => Some(i.at),
            Record::Sent(s) => Some(s.at),
            Record::Ended(e) => Some(e.at),
            Record::Moved(m) => Some(m.at),
            Record::Was(was) => Some(was.ended),
            Record::VisitClosed(_, at) => Some(*at),
            Record::Prints(_) | Record::Forgotten(_) | Record::Seen(..) => None,
        }
    }

    /// As it stands in the journal, with its number. `now`: when it is written.
    pub fn to_text(&self, n: u64, now: At) -> String {
        let mut w = beginning(n, self.at().unwrap_or(now), self.kind());
        match self {
            Record::Intent(i) => {
                w.text(&i.id).number(i.owner).text(&i.boot).number(i.hold_ms.into());
                w.text(&i.mark).flag(i.mark_is_ours).print(i.print);
                w.flag(i.earlier.is_some());
                if let Some(e) = &i.earlier {
                    w.at(e.at).text(&e.boot).number(e.left_ms.into()).span(e.platform);
                }
                w.number(i.keep.as_ref().map_or(0, |keep| if keep.rest.is_some() { 2 } else { 1 }));
                if let Some(keep) = &i.keep {
                    w.at(keep.since).text(&keep.boot).number(keep.within_ms.into()).maybe(keep.platform_ms);
                    keep.rest.iter().flatten().for_each(|text| {
                        w.text(text);
                    });
                }
                w.act(&i.act);
            }
            Record::Sent(s) => {
                w.text(&s.id).number(s.claim).number(s.left_ms.into()).span(s.platform);
            }
            Record::Ended(e) => {
                w.text(&e.id).number(e.claim).end(&e.end);
            }
            Record::Moved(m) => {
                w.text(&m.id).number(m.claim).number(m.physical as u64).text(&log::mask(&m.error));
            }
            Record::Was(was) => {
                let moved = was.moved.as_ref().map(|(physical, error)| (*physical, error.as_str()));
                let Was { id, claim, begun, mark, print, end, act, .. } = was;
                self::was(&mut w, id, *claim, *begun, mark, *print, moved, end, act);
            }
            Record::Prints(prints) => {
                w.plain(prints.as_flattened());
            }
            Record::Forgotten(below) => {
                w.number(*below);
            }
            Record::Seen(identity, at) => {
                w.text(&kiosklink_wire::hex::lower(identity)).int(*at);
            }
            Record::VisitClosed(id, _) => {
                w.text(id);
            }
        }
        w.finish()
    }

    /// From the text of the journal, with its number. What is not understood is an error: it is never passed over.
    pub fn from_text(text: &str) -> Result<(u64, Record), Bad> {
        let mut r = Reader::new(text);
        let n = r.number("n")?;
        let at = r.at()?;
        let record = match r.next() {
            "intent" => {
                let id = r.text()?;
                let owner = r.number("owner")?;
                let boot = r.text()?;
                let hold_ms = r.small("hold")?;
                let mark = r.text()?;
                let mark_is_ours = r.flag("ours")?;
                let print = r.print()?;
                let earlier = if r.flag("earlier")? {
                    let (at, boot, left_ms) = (r.at()?, r.text()?, r.small("left")?);
                    Some(Earlier { at, boot, left_ms, platform: r.span()? })
                } else {
                    None
                };
                let keep = match r.number("kept")? {
                    0 => None,
                    kept @ (1 | 2) => {
                        let (since, boot, within_ms) = (r.at()?, r.text()?, r.small("within")?);
                        let platform_ms = r.maybe("from")?;
                        let rest =
                            if kept == 2 { Some([r.text()?, r.text()?, r.text()?, r.text()?]) } else { None };
                        Some(Box::new(Keep { since, boot, within_ms, platform_ms, rest }))
                    }
                    _ => return Err(Bad::new("kept", "is neither")),
                };
                let act = r.act(&id, &mark)?;
                Record::Intent(Intent {
                    id,
                    act,
                    owner,
                    boot,
                    at,
                    mark,
                    mark_is_ours,
                    hold_ms,
                    print,
                    earlier,
                    keep,
                })
            }
            "sent" => Record::Sent(Sent {
                id: r.text()?,
                claim: r.number("claim")?,
                at,
                left_ms: r.small("left")?,
                platform: r.span()?,
            }),
            "end" => Record::Ended(Ended { id: r.text()?, claim: r.number("claim")?, at, end: r.end()? }),
            "moved" => Record::Moved(Movement {
                id: r.text()?,
                claim: r.number("claim")?,
                at,
                physical: physical(r.int("physical")?)?,
                error: r.text()?,
            }),
            "was" => {
                let (id, claim, begun, mark) = (r.text()?, r.number("claim")?, r.at()?, r.text()?);
                let print = r.print()?;
                let moved = match (r.maybe("moved")?, r.text()?) {
                    (None, _) => None,
                    (Some(number), error) => Some((physical(number)?, error)),
                };
                let end = r.end()?;
                let act = r.act(&id, &mark)?;
                Record::Was(Was { id, act, claim, begun, ended: at, mark, print, end, moved })
            }
            "prints" => Record::Prints(Print::all(r.next())?),
            "forgotten" => Record::Forgotten(r.number("below")?),
            "seen" => {
                let identity = kiosklink_wire::hex::from_lower(r.next())
                    .ok_or_else(|| Bad::new("identity", "is none"))?;
                Record::Seen(identity, r.int("t")?)
            }
            "visit" => Record::VisitClosed(r.text()?, at),
            _ => return Err(Bad::new("k", "is no kind of record")),
        };
        if r.is_at_the_end() { Ok((n, record)) } else { Err(Bad::new("k", "has more than its kind has")) }
    }
}

/// Fingerprints, one behind the other, in one record.
pub(super) fn prints_text(n: u64, now: At, prints: &[u8]) -> String {
    let mut w = Fields::beginning(n, prints.len() + 64);
    w.at(now).plain(KINDS[5].as_bytes()).plain(prints);
    w.finish()
}

/// A settled command in one record, written without a copy of it.
#[allow(clippy::too_many_arguments)]
pub(super) fn was_text(
    id: &str,
    claim: u64,
    begun: At,
    ended: At,
    mark: &str,
    print: Option<[u8; 12]>,
    moved: Option<(Physical, &str)>,
    end: &End,
    act: &Act,
) -> String {
    let mut w = beginning(claim, ended, KINDS[4]);
    was(&mut w, id, claim, begun, mark, print, moved, end, act);
    w.finish()
}

/// A record's beginning: its number, its time, its kind.
fn beginning(n: u64, at: At, kind: &str) -> Fields {
    let mut w = Fields::beginning(n, 512);
    w.at(at).plain(kind.as_bytes());
    w
}

#[allow(clippy::too_many_arguments)]
fn was(
    w: &mut Fields,
    id: &str,
    claim: u64,
    begun: At,
    mark: &str,
    print: Option<[u8; 12]>,
    moved: Option<(Physical, &str)>,
    end: &End,
    act: &Act,
) {
    w.text(id).number(claim).at(begun).text(mark).print(print);
    w.maybe(moved.map(|(physical, _)| physical as i64)).text(moved.map_or("", |(_, error)| error));
    w.end(end).act(act);
}

/// The parts of a record as they are written.
trait Write {
    fn flag(&mut self, set: bool) -> &mut Fields;
    fn at(&mut self, at: At) -> &mut Fields;
    /// The earliest, and how much later the latest is.
    fn span(&mut self, span: Option<Span>) -> &mut Fields;
    fn print(&mut self, print: Option<[u8; 12]>) -> &mut Fields;
    fn end(&mut self, end: &End) -> &mut Fields;
    fn masked(&mut self, text: &str) -> &mut Fields;
    fn act(&mut self, act: &Act);
}

impl Write for Fields {
    fn flag(&mut self, set: bool) -> &mut Fields {
        self.number(set.into())
    }

    fn at(&mut self, at: At) -> &mut Fields {
        self.int(at.wall_s).number(at.up_ms)
    }

    fn span(&mut self, span: Option<Span>) -> &mut Fields {
        let width = span.map(|s| s.latest_ms.saturating_sub(s.earliest_ms));
        self.maybe(span.map(|s| s.earliest_ms)).maybe(width)
    }

    fn print(&mut self, print: Option<[u8; 12]>) -> &mut Fields {
        match print {
            Some(print) => self.plain(&sextets(&print)),
            None => self.plain(b""),
        }
    }

    fn end(&mut self, end: &End) -> &mut Fields {
        let outcome = match end.outcome {
            Outcome::Done => "done",
            Outcome::NotDone => "not_done",
            _ => "unknown",
        };
        let r = &end.receipt;
        self.plain(outcome.as_bytes())
            .number(end.by as u64)
            .int(end.status.into())
            .number(end.physical as u64);
        self.text(&r.order_no).text(&r.item_no).text(&r.delivery_no).text(&r.report_url);
        self.text(if r.json.len() <= JSON_KEPT { &r.json } else { "" });
        // Whatever a platform repeated in its words: no secret comes to rest on the disk.
        self.masked(&end.message).int(end.refusal.http.into());
        if end.refusal.http != 0 {
            self.masked(&end.refusal.name).masked(&end.refusal.words)
        } else {
            self.plain(b"\t")
        }
    }

    fn masked(&mut self, text: &str) -> &mut Fields {
        if text.is_empty() { self.plain(b"") } else { self.text(&log::mask(text)) }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Door(r) => {
                self.plain(b"door").text(&r.cabinet_id).text(&r.door).text(&r.user_id).text(&r.order_no);
                self.text(&r.item_no).text(&r.notify_url).text(r.extra_json.as_deref().unwrap_or_default());
            }
            Act::Redeem(r) => {
                self.plain(b"redeem").number(r.kind as u64).text(&r.code).text(&r.cabinet_id);
                self.text(&r.product_id).text(&r.trade_no).text(&r.notify_url).text(&r.redeemer);
                self.text(r.extra_json.as_deref().unwrap_or_default());
            }
            Act::Write { verb, order_no, cabinet_id, paid, trade_no, digest, .. } => {
                self.text(verb).text(order_no).text(cabinet_id).flag(*paid).text(trade_no).text(digest);
            }
        }
        let (visit_id, context) = act.visit();
        self.text(visit_id).text(context);
    }
}

/// The parts of a record as they are read.
trait Read {
    fn small(&mut self, what: &str) -> Result<u32, Bad>;
    fn flag(&mut self, what: &str) -> Result<bool, Bad>;
    fn at(&mut self) -> Result<At, Bad>;
    fn span(&mut self) -> Result<Option<Span>, Bad>;
    fn print(&mut self) -> Result<Option<[u8; 12]>, Bad>;
    fn end(&mut self) -> Result<End, Bad>;
    fn int32(&mut self, what: &str) -> Result<i32, Bad>;
    fn act(&mut self, id: &str, mark: &str) -> Result<Act, Bad>;
}

impl Read for Reader<'_> {
    fn small(&mut self, what: &str) -> Result<u32, Bad> {
        u32::try_from(self.number(what)?).map_err(|_| Bad::new(what, "does not fit"))
    }

    fn flag(&mut self, what: &str) -> Result<bool, Bad> {
        match self.next() {
            "" => Ok(false),
            "1" => Ok(true),
            _ => Err(Bad::new(what, "is neither")),
        }
    }

    fn at(&mut self) -> Result<At, Bad> {
        Ok(At { wall_s: self.int("t")?, up_ms: self.number("up")? })
    }

    fn span(&mut self) -> Result<Option<Span>, Bad> {
        let (earliest, width) = (self.maybe("from")?, self.maybe("width")?);
        Ok(earliest
            .zip(width)
            .map(|(earliest_ms, width)| Span { earliest_ms, latest_ms: earliest_ms.saturating_add(width) }))
    }

    fn print(&mut self) -> Result<Option<[u8; 12]>, Bad> {
        match self.next() {
            "" => Ok(None),
            field => unsextets(field.as_bytes()).map(Some).ok_or_else(|| Bad::new("print", "is none")),
        }
    }

    fn end(&mut self) -> Result<End, Bad> {
        let outcome = match self.next() {
            "done" => Outcome::Done,
            "not_done" => Outcome::NotDone,
            "unknown" => Outcome::Unknown,
            _ => return Err(Bad::new("outcome", "is none")),
        };
        let (by, status) = (settled_by(self.int("by")?)?, self.int32("status")?);
        let physical = physical(self.int("physical")?)?;
        let receipt = Receipt {
            order_no: self.text()?,
            item_no: self.text()?,
            delivery_no: self.text()?,
            report_url: self.text()?,
            json: self.text()?,
        };
        let message = self.text()?;
        let refusal = Refused { http: self.int32("http")?, name: self.text()?, words: self.text()? };
        Ok(End { outcome, by, receipt, physical, status, message, refusal })
    }

    fn int32(&mut self, what: &str) -> Result<i32, Bad> {
        i32::try_from(self.int(what)?).map_err(|_| Bad::new(what, "does not fit"))
    }

    fn act(&mut self, id: &str, mark: &str) -> Result<Act, Bad> {
        let (request_id, mark) = (id.to_owned(), mark.to_owned());
        let given = |t: String| Some(t).filter(|t| !t.is_empty());
        Ok(match self.text()?.as_str() {
            "" => return Err(Bad::new("act", "is missing")),
            "door" => Act::Door(
                DoorRequest {
                    request_id,
                    cabinet_id: self.text()?,
                    door: self.text()?,
                    user_id: self.text()?,
                    order_no: self.text()?,
                    item_no: self.text()?,
                    notify_url: self.text()?,
                    ttl_ms: 0,
                    extra_json: given(self.text()?),
                    visit_id: self.text()?,
                    context: self.text()?,
                    mark,
                }
                .into(),
            ),
            "redeem" => Act::Redeem(
                RedeemRequest {
                    request_id,
                    kind: match self.number("kind")? {
                        0 => CodeKind::Pickup,
                        1 => CodeKind::Virtual,
                        2 => CodeKind::Voucher,
                        _ => return Err(Bad::new("kind", "is no kind of code")),
                    },
                    code: self.text()?,
                    cabinet_id: self.text()?,
                    product_id: self.text()?,
                    trade_no: self.text()?,
                    notify_url: self.text()?,
                    redeemer: self.text()?,
                    ttl_ms: 0,
                    extra_json: given(self.text()?),
                    visit_id: self.text()?,
                    context: self.text()?,
                    mark,
                }
                .into(),
            ),
            verb => Act::Write {
                verb: verb.to_owned(),
                order_no: self.text()?,
                cabinet_id: self.text()?,
                paid: self.flag("paid")?,
                trade_no: self.text()?,
                digest: self.text()?,
                visit_id: self.text()?,
                context: self.text()?,
            },
        })
    }
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

    const NOW: At = At { wall_s: 1_800_000_000, up_ms: 77 };

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
            message: "m \t\n\\\0".into(),
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
                print: Some([3; 12]),
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
            intent(Act::Door(door.clone().into())),
            intent(Act::Redeem(redeem.into())),
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
                act: Act::Door(door.into()),
                claim: 9,
                begun: at,
                ended: At { wall_s: 1_700_000_001, up_ms: 6 },
                mark: "7".into(),
                print: Some([4; 12]),
                end,
                moved: Some((Physical::Confirmed, "e".into())),
            }),
            Record::Prints(vec![
                Print::new(&[7; 12], 0xfedc_ba98, 1 << 40).text(),
                Print::new(&[0; 12], 0, 0).text(),
            ]),
            Record::Forgotten(12),
            Record::Seen([9; 16], 1_700_000_000),
            Record::VisitClosed("v".into(), at),
        ]
    }

    #[test]
    fn what_is_written_is_read_back_whole() {
        for record in samples() {
            let text = record.to_text(41, NOW);
            let (n, read) = Record::from_text(&text).unwrap();
            assert_eq!((n, format!("{read:?}")), (41, format!("{record:?}")), "{text}");
        }
    }

    #[test]
    fn every_record_bears_its_time() {
        for record in samples() {
            let text = record.to_text(41, NOW);
            let mut fields = text.split('\t').skip(1);
            let at = At {
                wall_s: fields.next().unwrap().parse().unwrap(),
                up_ms: fields.next().unwrap().parse().unwrap(),
            };
            assert_eq!(at, record.at().unwrap_or(NOW), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        let mut tried = 0;
        for record in samples() {
            let text = record.to_text(41, NOW);
            for (from, to) in [
                ("\tend\t", "\txend\t"),
                ("\tunknown\t", "\tmaybe\t"),
                ("\tunknown\t2", "\tunknown\t9"),
                ("\t9\t3\te", "\t9\t93\te"),
                ("\ta\t9", "\ta\t-9"),
                ("\t09090909", "\t0x090909"),
                ("\tprints\t", "\tprints\t-"),
                ("\t7\t1\t", "\t7\t2\t"),
                ("\t2\t1600", "\t3\t1600"),
                ("{}", "{\\x}"),
                ("1700000000\t5", "1700000000\t5x"),
            ] {
                let broken = text.replacen(from, to, 1);
                if broken != text {
                    tried += 1;
                    assert!(Record::from_text(&broken).is_err(), "{broken}");
                }
            }
            // A field more than its kind has, and as a text with an end of a record in it.
            let longer = [&text, "\t\t\t\t\t\t\t\t\t\t\t\tx"].concat();
            assert!(Record::from_text(&longer).is_err(), "{longer}");
            assert!(!text.contains(['\n', '\0']));
        }
        assert!(tried > 30, "{tried}");
    }

    #[test]
    fn messages_are_masked_before_they_are_written_to_the_disk() {
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
            let text = record.to_text(1, NOW);
            assert!(text.contains("***") && !text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn a_long_answer_is_left_out() {
        let written = |bytes: usize| {
            let receipt = Receipt { json: "x".repeat(bytes), ..Receipt::default() };
            let end = End { receipt, ..End::nothing() };
            Record::Ended(Ended { id: "a".into(), claim: 1, at: At::default(), end }).to_text(1, NOW).len()
        };
        assert!(written(JSON_KEPT) > JSON_KEPT && written(JSON_KEPT + 1) < 400);
    }
}
