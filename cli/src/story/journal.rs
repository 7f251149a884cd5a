//! The moments that the journal of this device has recorded.

use super::{Kind, Moment, Source};
use crate::lang::t;
use crate::out::{name_of, outcome_word};
use crate::tr;
use kiosklink::command::record::{At, End, Record};
use kiosklink::command::{Act, Command, Physical, SettledBy};
use kiosklink::error::{Error, Outcome};

/// The device's clock counts seconds, and both clocks were read one after the other.
const JITTER_MS: i64 = 2_000;

/// The records of a journal.
pub struct Journal {
    records: Vec<(u64, Record)>,
    /// How many lines are none.
    pub unread: usize,
}

/// By what a command is known at the platform.
#[derive(Debug, Default)]
pub struct Numbers {
    /// What was sent with it.
    pub marks: Vec<String>,
    /// The order, the item, the delivery.
    pub orders: Vec<String>,
    /// The code that was redeemed.
    pub code: String,
}

impl Journal {
    /// From the text of the file.
    pub fn read(text: &str) -> Journal {
        let mut journal = Journal { records: Vec::new(), unread: 0 };
        for line in text.lines() {
            let content = line.splitn(3, ' ').nth(2).unwrap_or_default();
            match Record::from_text(content) {
                Ok(record) => journal.records.push(record),
                // The head is JSON.
                Err(_) if content.starts_with('{') || line.is_empty() => {}
                Err(_) => journal.unread += 1,
            }
        }
        journal
    }

    /// The names of its commands.
    pub fn names(&self) -> Vec<String> {
        let mut all: Vec<String> =
            self.records.iter().filter_map(|(_, r)| name(r)).map(str::to_owned).collect();
        all.sort();
        all.dedup();
        all
    }

    /// What a command does.
    pub fn act(&self, id: &str) -> Option<Act> {
        self.of(id).find_map(|(_, _, record)| match record {
            Record::Intent(i) => Some(i.act.clone()),
            Record::Was(w) => Some(w.act.clone()),
            _ => None,
        })
    }

    /// By what it is known at the platform.
    pub fn numbers(&self, id: &str, known: Option<&Command>) -> Numbers {
        let mut n = Numbers::default();
        let act = |act: &Act, n: &mut Numbers| match act {
            Act::Door(r) => n.orders.push(r.order_no.clone()),
            Act::Redeem(r) => {
                n.code = r.code.clone();
                n.marks.push(r.trade_no.clone());
            }
            Act::Write { order_no, trade_no, .. } => {
                n.orders.push(order_no.clone());
                n.marks.push(trade_no.clone());
            }
        };
        for (_, _, record) in self.of(id) {
            match record {
                Record::Intent(i) => {
                    n.marks.push(i.mark.clone());
                    act(&i.act, &mut n);
                }
                Record::Was(w) => {
                    n.marks.push(w.mark.clone());
                    n.orders.push(w.end.receipt.order_no.clone());
                    act(&w.act, &mut n);
                }
                Record::Ended(e) => {
                    let r = &e.end.receipt;
                    n.orders.extend([r.order_no.clone(), r.delivery_no.clone()]);
                }
                _ => {}
            }
        }
        if let Some(known) = known {
            n.marks.push(known.mark.clone());
            n.orders.extend([known.receipt.order_no.clone(), known.receipt.delivery_no.clone()]);
        }
        for list in [&mut n.marks, &mut n.orders] {
            list.retain(|text| !text.is_empty());
            list.sort();
            list.dedup();
        }
        n
    }

    /// The records of a command, each with its number and its place.
    fn of<'a>(&'a self, id: &'a str) -> impl Iterator<Item = (usize, u64, &'a Record)> {
        self.records
            .iter()
            .enumerate()
            .filter(move |(_, (_, record))| name(record) == Some(id))
            .map(|(place, (n, record))| (place, *n, record))
    }

    /// On which start of the system a record was written, as far as the intents around it tell; empty if they do not.
    fn boot(&self, place: usize, at: At) -> &str {
        fn intent((_, record): &(u64, Record)) -> Option<(&str, At)> {
            match record {
                Record::Intent(i) => Some((i.boot.as_str(), i.at)),
                _ => None,
            }
        }
        let before = self.records[..=place].iter().rev().find_map(intent);
        let after = self.records[place + 1..].iter().find_map(intent);
        let base = |at: At| at.wall_s.saturating_mul(1000).saturating_sub(at.up_ms as i64);
        let far = |other: At| base(at).saturating_sub(base(other)).unsigned_abs();
        match (before, after) {
            (Some((a, _)), Some((b, _))) if a == b => a,
            (Some((a, first)), Some((b, second))) => {
                if at.up_ms >= first.up_ms && far(first) <= far(second) {
                    a
                } else {
                    b
                }
            }
            (Some((a, first)), None) if at.up_ms + (JITTER_MS as u64) >= first.up_ms => a,
            (None, Some((b, second))) if at.up_ms <= second.up_ms => b,
            _ => "",
        }
    }

    /// The moments of a command, in the order of the records.
    pub fn moments(&self, id: &str) -> Vec<Moment> {
        let mut told: Vec<(usize, u64, At, Kind, String)> = Vec::new();
        for (place, n, record) in self.of(id) {
            match record {
                Record::Intent(i) => {
                    let first = told.is_empty();
                    let (kind, words) = if i.earlier.is_some() {
                        (
                            Kind::Asked,
                            tr!("the same request is made once more: that is how this platform is asked"),
                        )
                    } else if i.keep.is_some() {
                        (Kind::Kept, tr!("the whole request is on the disk, to be sent later"))
                    } else if first {
                        (Kind::Intent, tr!("claimed under this name; no byte has left"))
                    } else {
                        (Kind::Intent, tr!("claimed once more; no byte of this try has left"))
                    };
                    told.push((place, n, i.at, kind, words));
                }
                Record::Sent(s) => {
                    told.push((
                        place,
                        n,
                        s.at,
                        Kind::Sent,
                        tr!("on the disk; the first byte is about to leave"),
                    ));
                }
                Record::Ended(e) => {
                    let (kind, words) = ended(&e.end);
                    told.push((place, n, e.at, kind, words));
                }
                Record::Moved(m) => {
                    let (kind, words) = moved(m.physical, &m.error);
                    told.push((place, n, m.at, kind, words));
                }
                Record::Was(w) => {
                    told.push((place, n, w.begun, Kind::Intent, tr!("claimed under this name")));
                    let (kind, words) = ended(&w.end);
                    told.push((place, n, w.ended, kind, words));
                    if let Some((physical, error)) = &w.moved {
                        let (kind, words) = moved(*physical, error);
                        let words = tr!("{} (its time is not kept)", words);
                        told.push((place, n, w.ended, kind, words));
                    }
                }
                Record::Prints(_) | Record::Forgotten(_) | Record::Seen(..) | Record::VisitClosed(..) => {}
            }
        }
        self.placed(told)
    }

    /// Puts them on the line of time: by the boot clock while the system runs, by the device's clock over a restart.
    fn placed(&self, told: Vec<(usize, u64, At, Kind, String)>) -> Vec<Moment> {
        let mut out: Vec<Moment> = Vec::new();
        let mut before: Option<(At, &str)> = None;
        let (mut offset_ms, mut rough) = (0i64, false);
        for (place, number, at, kind, words) in told {
            let boot = self.boot(place, at);
            if let Some((last, last_boot)) = before {
                let wall = at.wall_s.saturating_sub(last.wall_s).saturating_mul(1000);
                let up = at.up_ms as i64 - last.up_ms as i64;
                let other = !boot.is_empty() && !last_boot.is_empty() && boot != last_boot;
                let note = |kind, words| Moment {
                    kind,
                    source: Source::Journal,
                    wall_s: at.wall_s,
                    offset_ms: 0,
                    rough: true,
                    words,
                    number,
                };
                if other || up < -JITTER_MS {
                    offset_ms = offset_ms.saturating_add(wall.max(0));
                    rough = true;
                    out.push(note(
                        Kind::Restart,
                        tr!(
                            "the system was started again before this; the distance is by the device's clock"
                        ),
                    ));
                } else {
                    offset_ms = offset_ms.saturating_add(up.max(0));
                    let jump = wall.saturating_sub(up);
                    if jump.abs() > JITTER_MS {
                        let s = jump.unsigned_abs() / 1000;
                        let words = if jump > 0 {
                            tr!("the device's clock was set forward by {} s before this", s)
                        } else {
                            tr!("the device's clock was set back by {} s before this", s)
                        };
                        out.push(Moment { rough, ..note(Kind::Clock, words) });
                    }
                }
                if let Some(last) = out.last_mut().filter(|m| matches!(m.kind, Kind::Restart | Kind::Clock)) {
                    if last.number == number {
                        last.offset_ms = offset_ms;
                    }
                }
            }
            before = Some((at, boot));
            out.push(Moment {
                kind,
                source: Source::Journal,
                wall_s: at.wall_s,
                offset_ms,
                rough,
                words,
                number,
            });
        }
        out
    }
}

fn name(record: &Record) -> Option<&str> {
    match record {
        Record::Intent(i) => Some(&i.id),
        Record::Sent(s) => Some(&s.id),
        Record::Ended(e) => Some(&e.id),
        Record::Moved(m) => Some(&m.id),
        Record::Was(w) => Some(&w.id),
        _ => None,
    }
}

/// A word with what else is known behind it.
fn with(word: &str, end: &End) -> String {
    let r = &end.receipt;
    let mut all = vec![word.to_owned()];
    if !r.order_no.is_empty() {
        all.push(tr!("order {}", r.order_no));
    }
    if !r.delivery_no.is_empty() {
        all.push(tr!("delivery {}", r.delivery_no));
    }
    if !end.refusal.name.is_empty() {
        all.push(tr!("the platform says {} (HTTP {})", end.refusal.name, end.refusal.http));
    }
    if end.outcome != Outcome::Done {
        all.push(name_of(&Error::new(end.status, "")).to_owned());
    }
    if !end.message.is_empty() {
        all.push(end.message.clone());
    }
    all.join(t("; "))
}

/// An outcome as people say it.
pub fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => t("done"),
        Outcome::NotDone => t("not done"),
        Outcome::Unknown => t("unknown"),
        Outcome::None => outcome_word(outcome),
    }
}

/// How it ended, and who says so.
fn ended(end: &End) -> (Kind, String) {
    let became = outcome(end.outcome);
    match (end.by, end.outcome) {
        (SettledBy::Query, _) => (Kind::Found, with(&tr!("the platform was asked: {}", became), end)),
        (SettledBy::Event, _) => (Kind::Callback, with(&tr!("a callback of the platform: {}", became), end)),
        (SettledBy::Sensor, _) => (Kind::Settled, with(&tr!("a sensor: {}", became), end)),
        (SettledBy::Person, _) => (Kind::Settled, with(&tr!("a person: {}", became), end)),
        (SettledBy::Journal, Outcome::Unknown) => {
            (Kind::Lost, with(&tr!("its process ended before an answer: {}", became), end))
        }
        (SettledBy::Journal, _) => (Kind::Settled, with(&tr!("its process ended before: {}", became), end)),
        (_, Outcome::Done) => (Kind::Completed, with(&tr!("the platform's answer: {}", became), end)),
        (_, Outcome::NotDone) => (Kind::NotDone, with(became, end)),
        (_, _) => (Kind::Lost, with(&tr!("no answer that can be relied upon: {}", became), end)),
    }
}

/// What the machine did.
fn moved(physical: Physical, error: &str) -> (Kind, String) {
    let words = match physical {
        Physical::Confirmed => tr!("the platform reports: the machine moved"),
        Physical::Failed => tr!("the platform reports: the machine did not move"),
        Physical::Unknowable => tr!("the platform does not report what the machine did"),
        Physical::None | Physical::Pending => tr!("what the machine does is not reported yet"),
    };
    (Kind::Moved, if error.is_empty() { words } else { format!("{words}{}{error}", t("; ")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A journal of records: number, wall seconds, boot milliseconds, and the rest with `;` for a tab.
    fn journal(records: &[(u64, i64, u64, &str)]) -> Journal {
        let lines = records
            .iter()
            .map(|(n, t, up, rest)| format!("00000000 1 {n}\t{t}\t{up}\t{}", rest.replace(';', "\t")));
        let head = "00000000 1 {\"n\":0}".to_owned();
        Journal::read(&[head].into_iter().chain(lines).collect::<Vec<_>>().join("\n"))
    }

    const INTENT: &str = "intent;a;2;boot-1;60000;m;1;;;;door;c;1";
    const OTHER: &str = "intent;b;2;boot-2;60000;m;1;;;;door;c;1";

    fn told(records: &[(u64, i64, u64, &str)]) -> Vec<(Kind, i64, bool)> {
        let journal = journal(records);
        assert_eq!(journal.unread, 0);
        journal.moments("a").iter().map(|m| (m.kind, m.offset_ms, m.rough)).collect()
    }

    #[test]
    fn the_boot_clock_says_how_long_it_took() {
        let all = told(&[
            (1, 1_000, 5_000, INTENT),
            (2, 1_000, 5_108, "sent;a;1;19000"),
            (3, 1_001, 5_900, "end;a;1;unknown;;203"),
            (4, 1_009, 13_100, "end;a;1;done;2;;1;VI1"),
            (5, 1_020, 25_000, "moved;a;1;2"),
        ]);
        assert_eq!(
            all,
            [
                (Kind::Intent, 0, false),
                (Kind::Sent, 108, false),
                (Kind::Lost, 900, false),
                (Kind::Found, 8_100, false),
                (Kind::Moved, 20_000, false)
            ]
        );
    }

    #[test]
    fn a_clock_that_was_set_moves_nothing_and_is_told() {
        for (wall, word) in [(1_000 + 7_201, "forward by 7200 s"), (1_000 - 7_199, "back by 7200 s")] {
            let records = [(1, 1_000, 5_000, INTENT), (2, wall, 6_000, "sent;a;1;19000")];
            let journal = journal(&records);
            let all = journal.moments("a");
            assert_eq!((all[1].kind, all[1].offset_ms), (Kind::Clock, 1_000));
            assert!(all[1].words.contains(word), "{}", all[1].words);
            assert_eq!((all[2].kind, all[2].offset_ms, all[2].rough), (Kind::Sent, 1_000, false));
        }
        // Seconds are cut, and the two clocks are read one after the other.
        assert_eq!(told(&[(1, 1_000, 5_000, INTENT), (2, 1_002, 5_500, "sent;a;1;1")]).len(), 2);
    }

    #[test]
    fn over_a_restart_the_devices_clock_has_to_do() {
        let ends = "end;a;1;done;2;;1;VI1";
        for records in [
            // The boot clock went back.
            &[(1, 1_000, 90_000, INTENT), (2, 1_060, 4_000, ends)][..],
            // It did not, but another command names another start of the system.
            &[(1, 1_000, 3_000, INTENT), (2, 1_050, 3_500, OTHER), (3, 1_060, 13_500, ends)],
        ] {
            let all = told(records);
            let want = [(Kind::Intent, 0, false), (Kind::Restart, 60_000, true), (Kind::Found, 60_000, true)];
            assert_eq!(all, want, "{records:?}");
        }
    }

    #[test]
    fn a_short_record_keeps_two_moments() {
        let was = "was;a;1;900;100;m;;2;;done;1;;;VI7;;;;;;;;;door;c;1";
        let journal = journal(&[(1, 905, 5_100, was)]);
        let all = journal.moments("a");
        let kinds: Vec<Kind> = all.iter().map(|m| m.kind).collect();
        assert_eq!(kinds, [Kind::Intent, Kind::Completed, Kind::Moved]);
        assert_eq!((all[1].offset_ms, all[1].wall_s), (5_000, 905));
        assert!(all[1].words.contains("VI7"), "{}", all[1].words);
        let numbers = journal.numbers("a", None);
        assert_eq!((numbers.marks, numbers.orders), (vec!["m".to_owned()], vec!["VI7".to_owned()]));
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_the_rest_is_told() {
        let text = "0 1 1\t1000\t5\tintent\ta\nrubbish\n\u{fffd}\u{fffd}\n";
        assert_eq!(Journal::read(text).unread, 3);
    }
}
