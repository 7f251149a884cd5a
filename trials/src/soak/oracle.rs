//! What really happened, by the simulator's own record, and what of the library's answers does not fit.

use super::task::{Act, Task};
use super::worker::{End, Known, Told};
use crate::stage::list;
use kiosklink::command::Physical;
use kiosklink::error::Outcome;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// How far apart two clocks that are moved together may be for a moment.
const SLACK_MS: i64 = 150;

/// When each command's acts happened, on the platforms' clock.
#[derive(Default)]
pub(super) struct Truth {
    /// By the command's name.
    pub acts: BTreeMap<String, Vec<i64>>,
    /// Acts of a request that no command accounts for.
    pub nobodys: Vec<String>,
}

impl Truth {
    pub fn of(&self, id: &str) -> &[i64] {
        self.acts.get(id).map_or(&[], Vec::as_slice)
    }
}

/// Whose each act was. Only the words that the worker put into its requests tell, and the numbers that the platform gave; for a
/// door under a number that the library drew, that number. `marks`: those numbers, with the names of their commands.
pub(super) fn truth(
    acts: &Value,
    tasks: impl Iterator<Item = Task>,
    marks: &HashMap<String, String>,
) -> Truth {
    let mut by_word: HashMap<String, Task> = HashMap::new();
    let mut by_code: HashMap<String, Task> = HashMap::new();
    for task in tasks {
        if let Act::Redeem { code } = &task.act {
            by_code.insert(code.clone(), task.clone());
        }
        by_word.insert(task.id.clone(), task);
    }
    let mut by_order: HashMap<String, Task> = HashMap::new();
    let mut truth = Truth::default();
    for act in list(acts) {
        let text = |name: &str| act[name].as_str().unwrap_or_default();
        let word = text("notify_url").rsplit('/').next().unwrap_or_default();
        let name = match (text("platform"), text("kind")) {
            ("yopoint", "open_door") => {
                let mark = text("mark");
                if by_word.contains_key(mark) { Some(mark.to_owned()) } else { marks.get(mark).cloned() }
            }
            ("dingshang", "redeem" | "order") => by_word.get(word).map(|task| {
                by_order.insert(text("order").to_owned(), task.clone());
                task.ids()[0].clone()
            }),
            ("dingshang", "dispense") => by_word.get(word).map(|t| t.ids().pop().unwrap_or_default()),
            ("dingshang", "pay" | "refund" | "refund_apply") => {
                by_order.get(text("order")).map(|t| t.ids().pop().unwrap_or_default())
            }
            ("youzan", "redeem") => by_code.get(text("code")).map(|t| t.ids()[0].clone()),
            _ => None,
        };
        match name {
            Some(name) => {
                truth.acts.entry(name).or_default().push(act["at_ms"].as_i64().unwrap_or_default());
            }
            None => truth.nobodys.push(act.to_string()),
        }
    }
    truth
}

/// What does not fit together: what happened, what was told at which time, what is recorded.
pub(super) fn contradictions(
    acts: &[i64],
    told: &[Told],
    end: Option<&End>,
    recorded: Option<&Known>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let times = acts.len();
    let first = acts.iter().min().copied();
    if times > 1 {
        wrong.push(format!("happened {times} times"));
    }
    if told.is_empty() && times > 0 {
        wrong.push("happened, and nobody reported it".into());
    }
    for answer in told {
        let (how, twin) = (&answer.how, if answer.twin { " (twin)" } else { "" });
        match answer.outcome {
            // An answer is true at its time: nothing had happened yet for a *not done*, whatever is tried later under this name.
            Outcome::NotDone if first.is_some_and(|at| at < answer.began_ms - SLACK_MS) => {
                wrong.push(format!("told to be not done by {how}{twin}, but had happened"));
            }
            Outcome::Done if first.is_none_or(|at| at > answer.ended_ms + SLACK_MS) => {
                wrong.push(format!("told to be done by {how}{twin}, but had not happened"));
            }
            _ => {}
        }
    }
    // The last answer of all holds for ever.
    let done = told.iter().any(|t| t.outcome == Outcome::Done)
        || recorded.is_some_and(|r| r.outcome == Outcome::Done);
    if let Some(end) = end {
        if end.outcome == Outcome::NotDone && times > 0 && !done {
            wrong.push(format!("at the end told to be not done by {}, but happened", end.how));
        }
    }
    let Some(known) = recorded else { return wrong };
    match (known.outcome, times) {
        (Outcome::Done, 0) => wrong.push(format!("recorded as done by {}, but did not happen", known.by)),
        (Outcome::NotDone, 1..) => wrong.push(format!("recorded as not done by {}, but happened", known.by)),
        (Outcome::Unknown, _) => wrong.push("recorded as unknown after everybody was asked".into()),
        _ => {}
    }
    if known.physical == Physical::Confirmed && times == 0 {
        wrong.push("recorded as moved, but did not move".into());
    }
    if known.physical == Physical::Failed && times > 0 {
        wrong.push("recorded as not moved, but moved".into());
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_found() {
        let told = |outcome, at: i64| Told {
            outcome,
            how: "answer".into(),
            twin: false,
            began_ms: at,
            ended_ms: at + 10,
            words: String::new(),
        };
        let end = |outcome| End { outcome, how: "answer".into(), ..End::default() };
        let known = |outcome| Known { outcome, physical: Physical::None, by: "answer".into() };
        let (done, not) = (Outcome::Done, Outcome::NotDone);
        let wrong = |acts: &[i64], told: &[Told], e: Outcome, recorded: Option<Outcome>| {
            contradictions(acts, told, Some(&end(e)), recorded.map(known).as_ref()).len()
        };
        assert_eq!(wrong(&[1005], &[told(done, 1000)], done, Some(done)), 0);
        assert_eq!(wrong(&[], &[told(not, 1000)], not, None), 0);
        assert_eq!(wrong(&[1005, 9000], &[told(done, 1000)], done, None), 1);
        assert_eq!(wrong(&[], &[told(done, 1000)], done, None), 1);
        // It was done after it was said to be done.
        assert_eq!(wrong(&[5000], &[told(done, 1000)], done, None), 1);
        // It happens after everybody was told that it will not.
        assert_eq!(wrong(&[5000], &[told(not, 1000)], not, None), 1);
        assert_eq!(wrong(&[1005], &[], done, None), 1);
        assert_eq!(wrong(&[1005], &[told(done, 1000)], done, Some(not)), 1);
        assert_eq!(wrong(&[], &[told(not, 1000)], not, Some(done)), 1);
        // Not done, tried again, done.
        assert_eq!(wrong(&[5005], &[told(not, 1000), told(done, 5000)], done, Some(done)), 0);
        // A repetition is told that it was not done, and the name's own history says otherwise.
        assert_eq!(wrong(&[1005], &[told(done, 1000), told(not, 5000)], done, Some(done)), 1);
    }

    #[test]
    fn an_act_belongs_to_the_command_whose_word_it_bears() {
        let tasks = || (0..200).map(|n| super::super::task::task(7, n, 4));
        let door = tasks().find(|t| matches!(t.act, Act::Door { own: false, .. })).expect("a door");
        let code = tasks().find(|t| matches!(t.act, Act::Redeem { .. })).expect("a code");
        let Act::Redeem { code: digits } = &code.act else { return };
        let acts = serde_json::json!([
            {"platform": "yopoint", "kind": "open_door", "mark": "drawn", "at_ms": 5},
            {"platform": "yopoint", "kind": "open_door", "mark": "nobody's", "at_ms": 6},
            {"platform": "youzan", "kind": "redeem", "code": digits, "at_ms": 7},
        ]);
        let marks = HashMap::from([("drawn".to_owned(), door.id.clone())]);
        let truth = truth(&acts, tasks(), &marks);
        assert_eq!((truth.of(&door.id), truth.of(&code.id), truth.nobodys.len()), (&[5][..], &[7][..], 1));
    }
}
