//! What a worker process does: its threads' tasks, step by step, as firmware would.

use super::hands::Clients;
use super::task::{Act, Task, task};
use super::time;
use crate::crash::Noise;
use crate::preload::Failure;
use crate::stage::list;
use kiosklink::client::Client;
use kiosklink::command::{Command, Physical, SettledBy};
use kiosklink::error::{Advice, Error, Outcome};
use kiosklink::model::{Complaint, DoorRequest, OrderCreate, PaymentReport, RedeemRequest};
use kiosklink::status::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often the same command is sent again after it was not done.
const TRIES: u32 = 4;
/// How long another thread's command under the same name is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many customers come to a thread's machines in one step.
const CUSTOMERS: usize = 8;
/// How often a door that is refused because of another's unknown is tried again, each time a step later.
const KNOCKS: u32 = 12;
/// How often the platform is asked once more after maturity, each time a step later, before a sensor or a person is: so often
/// it must have answered and told nothing (`KL_ADVICE_CALL_PERSON`).
const LATE_QUESTIONS: u32 = 5;
/// A question that fails is asked again, as the library advises, but not more often than this in all.
const LATE_MOST: u32 = 12;
/// How often a step is seen in which a settled answer should be possible, before that is an error.
const STEPS_MAX: u32 = 60;

/// What a worker needs to know.
#[derive(Clone, Debug)]
pub(super) struct Brief {
    pub seed: u64,
    pub first: usize,
    pub end: usize,
    pub process: usize,
    pub processes: usize,
    pub threads: usize,
    pub accounts: PathBuf,
    pub folder: PathBuf,
    pub time: PathBuf,
    pub control: String,
    pub notify: String,
}

impl Brief {
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let text = json!({
            "seed": self.seed, "first": self.first, "end": self.end, "process": self.process,
            "processes": self.processes, "threads": self.threads, "accounts": self.accounts,
            "folder": self.folder, "time": self.time, "control": self.control, "notify": self.notify,
        });
        fs::write(path, text.to_string())
    }

    pub fn read(path: &Path) -> Result<Brief, Failure> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let v: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        let number = |name: &str| v[name].as_u64().unwrap_or_default() as usize;
        let words = |name: &str| v[name].as_str().unwrap_or_default().to_owned();
        Ok(Brief {
            seed: v["seed"].as_u64().unwrap_or_default(),
            first: number("first"),
            end: number("end"),
            process: number("process"),
            processes: number("processes"),
            threads: number("threads"),
            accounts: words("accounts").into(),
            folder: words("folder").into(),
            time: words("time").into(),
            control: words("control"),
            notify: words("notify"),
        })
    }

    /// The results of one thread: a line for each look at a task; the last one holds.
    pub fn results(&self, thread: usize) -> PathBuf {
        results_of(&self.folder, self.first, thread)
    }

    /// How far a thread is.
    fn place(&self, thread: usize) -> PathBuf {
        self.folder.join(format!("at-{}-{thread}", self.first))
    }
}

pub(super) fn results_of(folder: &Path, first: usize, thread: usize) -> PathBuf {
    folder.join(format!("results-{first}-{thread}"))
}

/// The step that a thread has done, and whether it has nothing left to do.
pub(super) fn place_of(folder: &Path, first: usize, thread: usize) -> (u64, bool) {
    let text = fs::read_to_string(folder.join(format!("at-{first}-{thread}"))).unwrap_or_default();
    let mut words = text.split_whitespace();
    let step = words.next().and_then(|w| w.parse().ok()).unwrap_or(0);
    (step, words.next() == Some("over"))
}

/// What is recorded of a command.
pub(super) struct Known {
    pub outcome: Outcome,
    pub physical: Physical,
    pub by: String,
}

/// One answer of the library about one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub outcome: Outcome,
    pub how: String,
    pub twin: bool,
    pub began_ms: i64,
    pub ended_ms: i64,
    /// What the library said beside the outcome.
    pub words: String,
}

impl Told {
    /// For a person who looks for the reason.
    pub fn words(&self) -> String {
        let Told { how, began_ms, ended_ms, words, .. } = self;
        format!("{} by {how} {began_ms}..{ended_ms} {words:?}", outcome_word(self.outcome))
    }
}

/// How far one command is, as the worker was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub id: String,
    pub outcome: Outcome,
    /// Who said so: `answer`, `recorded`, `query`, `wait`, `event`, `sensor`, `blocked`, or nobody.
    pub how: String,
    /// The status of the first answer.
    pub first: i32,
    /// It was at first not known what became of it.
    pub unknown: bool,
    /// It is to be followed in a later step.
    pub open: bool,
    /// It was given once more after it was done.
    pub repeated: bool,
    pub mark: String,
    pub order_no: String,
    pub item_no: String,
    /// How often it was refused because of another's unknown.
    pub knocks: u32,
    /// How often it was asked about after maturity, and how often the platform answered and told nothing.
    pub late: u32,
    pub answered: u32,
    /// How many steps it was followed.
    pub steps: u32,
    /// What the last question about it said.
    pub why: String,
    pub told: Vec<Told>,
    /// What the library just said.
    pub said: String,
}

impl Default for End {
    fn default() -> Self {
        End {
            id: String::new(),
            outcome: Outcome::Unknown,
            how: "nobody".into(),
            first: KL_OK,
            unknown: false,
            open: true,
            repeated: false,
            mark: String::new(),
            order_no: String::new(),
            item_no: String::new(),
            knocks: 0,
            late: 0,
            answered: 0,
            steps: 0,
            why: String::new(),
            told: Vec::new(),
            said: String::new(),
        }
    }
}

pub(super) fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::NotDone => "not done",
        _ => "unknown",
    }
}

pub(super) fn outcome_of(word: &Value) -> Outcome {
    match word.as_str() {
        Some("done") => Outcome::Done,
        Some("not done") => Outcome::NotDone,
        _ => Outcome::Unknown,
    }
}

impl End {
    fn shown(&self) -> Value {
        let told: Vec<_> = self
            .told
            .iter()
            .map(|t| {
                json!({"outcome": outcome_word(t.outcome), "how": t.how, "twin": t.twin,
                       "began": t.began_ms, "ended": t.ended_ms, "words": t.words})
            })
            .collect();
        json!({
            "id": self.id, "outcome": outcome_word(self.outcome), "how": self.how, "first": self.first,
            "unknown": self.unknown, "open": self.open, "repeated": self.repeated, "mark": self.mark,
            "order_no": self.order_no, "item_no": self.item_no, "knocks": self.knocks, "late": self.late,
            "answered": self.answered, "steps": self.steps, "why": self.why, "told": told,
        })
    }

    pub fn parse(value: &Value) -> End {
        let words = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| value[name].as_u64().unwrap_or_default() as u32;
        let flag = |name: &str| value[name].as_bool().unwrap_or_default();
        let told = |t: &Value| Told {
            outcome: outcome_of(&t["outcome"]),
            how: t["how"].as_str().unwrap_or_default().into(),
            twin: t["twin"].as_bool().unwrap_or_default(),
            began_ms: t["began"].as_i64().unwrap_or_default(),
            ended_ms: t["ended"].as_i64().unwrap_or_default(),
            words: t["words"].as_str().unwrap_or_default().into(),
        };
        End {
            id: words("id"),
            outcome: outcome_of(&value["outcome"]),
            how: words("how"),
            first: value["first"].as_i64().unwrap_or_default() as i32,
            unknown: flag("unknown"),
            open: flag("open"),
            repeated: flag("repeated"),
            mark: words("mark"),
            order_no: words("order_no"),
            item_no: words("item_no"),
            knocks: number("knocks"),
            late: number("late"),
            answered: number("answered"),
            steps: number("steps"),
            why: words("why"),
            told: list(&value["told"]).iter().map(told).collect(),
            said: String::new(),
        }
    }

    fn tell(&mut self, outcome: Outcome, how: &str, twin: bool, began_ms: i64) {
        let words = std::mem::take(&mut self.said);
        self.told.push(Told { outcome, how: how.into(), twin, began_ms, ended_ms: wall_ms(), words });
    }

    /// The library said what became of it.
    fn settle(&mut self, outcome: Outcome, how: &str, began_ms: i64) {
        (self.outcome, self.how, self.open) = (outcome, how.into(), false);
        self.tell(outcome, how, false, began_ms);
    }

    fn keep(&mut self, command: &Command) {
        let receipt = &command.receipt;
        if !receipt.order_no.is_empty() {
            (self.order_no, self.item_no) = (receipt.order_no.clone(), receipt.item_no.clone());
        }
        if !command.mark.is_empty() {
            self.mark.clone_from(&command.mark);
        }
    }
}

/// The complete lines of a results file: a process may have died in the middle of one.
pub(super) fn results(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Who said what became of a command.
pub(super) fn word(by: SettledBy) -> &'static str {
    match by {
        SettledBy::Nobody => "nobody",
        SettledBy::Answer => "answer",
        SettledBy::Query => "query",
        SettledBy::Event => "event",
        SettledBy::Sensor => "sensor",
        SettledBy::Person => "person",
        SettledBy::Journal => "journal",
    }
}

/// What the journal says; on a busy machine its lock may be waited for in vain a few times.
fn recorded(client: &Client, id: &str) -> Result<Command, Error> {
    let begun = Instant::now();
    loop {
        match client.command_get(id) {
            Err(e) if e.status() == KL_E_JOURNAL_BUSY && begun.elapsed() < PATIENCE => {}
            other => return other,
        }
    }
}

fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

/// Does what a brief says.
pub(super) fn work(brief: &Brief) -> Result<(), Failure> {
    let clients = Clients::open(&brief.accounts).map_err(|e| e.message().to_owned())?;
    let clients = &clients;
    std::thread::scope(|scope| {
        let first = brief.process * brief.threads;
        let threads: Vec<_> = (first..first + brief.threads)
            .map(|thread| {
                scope.spawn(move || {
                    if let Err(why) = (Lane { brief, clients, thread }).run() {
                        // The others would wait for this one for ever.
                        eprintln!("kiosklink-soak: thread {thread}: {why}");
                        std::process::exit(2);
                    }
                })
            })
            .collect();
        threads.into_iter().try_for_each(|t| t.join().map_err(|_| Failure::from("a thread panicked")))
    })
}

struct Lane<'a> {
    brief: &'a Brief,
    clients: &'a Clients,
    thread: usize,
}

/// A task under way, with its commands so far.
struct Visit {
    task: Task,
    ends: Vec<End>,
}

impl Visit {
    fn new(task: Task) -> Visit {
        Visit { task, ends: Vec::new() }
    }

    /// Nothing is left to do.
    fn over(&self) -> bool {
        let last = self.ends.last();
        last.is_some_and(|e| {
            // Done, as a sensor saw, but nobody knows the order: a person goes on.
            let last = self.ends.len() == self.task.ids().len() || e.order_no.is_empty();
            !e.open && (e.outcome != Outcome::Done || last)
        })
    }

    fn line(&self) -> String {
        let ends: Vec<_> = self.ends.iter().map(End::shown).collect();
        format!("{}\n", json!({"n": self.task.number, "ends": ends}))
    }
}

impl Lane<'_> {
    fn threads(&self) -> usize {
        self.brief.processes * self.brief.threads
    }

    /// Step after step, until nothing is left. A thread whose process was killed goes on where its results end, at once.
    fn run(&self) -> Result<(), Failure> {
        let path = self.brief.results(self.thread);
        let io = |e: std::io::Error| format!("{}: {e}", path.display());
        let over = results(&path);
        // A line that was cut by a death is written again.
        let whole: String = over.iter().map(|v| format!("{v}\n")).collect();
        let part = path.with_extension("part");
        fs::write(&part, whole).and_then(|()| fs::rename(&part, &path)).map_err(io)?;
        let mut file = File::options().append(true).open(&path).map_err(io)?;
        let mut visits = BTreeMap::new();
        for line in &over {
            let number = line["n"].as_u64().unwrap_or_default() as usize;
            let ends = list(&line["ends"]).iter().map(End::parse).collect();
            visits.insert(number, Visit { task: task(self.brief.seed, number, self.threads()), ends });
        }
        let mut numbers = (self.brief.first..self.brief.end).filter(|n| n % self.threads() == self.thread);
        let last = visits.keys().next_back().copied();
        let mut next = numbers.find(|n| last.is_none_or(|last| *n > last));
        let (mut past, open): (BTreeMap<_, _>, _) = visits.into_iter().partition(|(_, visit)| visit.over());
        let mut visits: BTreeMap<usize, Visit> = open;
        let (mut done, _) = place_of(&self.brief.folder, self.brief.first, self.thread);
        loop {
            let step = self.next_step(done);
            for visit in visits.values_mut() {
                let mut dice = Noise(self.brief.seed ^ step << 40 ^ (visit.task.number as u64) << 8);
                self.follow(visit, &mut dice)?;
                file.write_all(visit.line().as_bytes()).map_err(io)?;
            }
            let (over, open) = visits.into_iter().partition::<BTreeMap<_, _>, _>(|(_, visit)| visit.over());
            past.extend(over);
            visits = open;
            // Firmware comes back to a name from any time ago.
            let mut dice = Noise(self.brief.seed ^ step << 24 ^ self.thread as u64);
            let old = dice.below(past.len());
            if let Some(visit) = past.values_mut().nth(old) {
                self.once_more(visit)?;
                file.write_all(visit.line().as_bytes()).map_err(io)?;
            }
            for _ in 0..CUSTOMERS {
                let Some(number) = next else { break };
                let mut visit = Visit::new(task(self.brief.seed, number, self.threads()));
                self.arrive(&mut visit)?;
                file.write_all(visit.line().as_bytes()).map_err(io)?;
                visits.insert(number, visit);
                next = numbers.next();
            }
            done = step;
            let over = next.is_none() && visits.values().all(Visit::over);
            let place = self.brief.place(self.thread);
            let text = format!("{step}{}", if over { " over" } else { "" });
            let part = place.with_extension("part");
            fs::write(&part, text).and_then(|()| fs::rename(&part, &place)).map_err(io)?;
            if over {
                return Ok(());
            }
        }
    }

    /// Waits until more time has passed.
    fn next_step(&self, done: u64) -> u64 {
        loop {
            let step = time::step_now(&self.brief.time);
            if step > done {
                return step;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    /// Gives a command once more that was done long ago.
    fn once_more(&self, visit: &mut Visit) -> Result<(), Failure> {
        let (task, before) = (&visit.task, &[][..]);
        let Some(end) = visit.ends.first_mut().filter(|end| end.outcome == Outcome::Done) else {
            return Ok(());
        };
        let began_ms = wall_ms();
        match self.send(self.clients.of(task), task, 0, before) {
            Ok(_) => end.tell(Outcome::Done, "old name", false, began_ms),
            Err(e) if e.details().outcome == Outcome::NotDone => {
                end.tell(Outcome::NotDone, "old name", false, began_ms);
            }
            Err(_) => {}
        }
        end.repeated = true;
        Ok(())
    }

    /// A customer comes.
    fn arrive(&self, visit: &mut Visit) -> Result<(), Failure> {
        let mut dice = visit.task.dice.clone();
        if let Some(after_ms) = visit.task.rival_after_ms {
            self.rival(&visit.task, after_ms)?;
        }
        // Sometimes another process gives the same command, under the same name, at the same time.
        let twin = dice.percent(4) && matches!(visit.task.act, Act::Door { .. } | Act::Redeem { .. });
        let begun = std::thread::scope(|scope| {
            let task = visit.task.clone();
            let other = twin.then(|| scope.spawn(move || self.twin(&task)));
            self.go_on(visit, &mut dice)?;
            match other.map(std::thread::ScopedJoinHandle::join) {
                None => Ok(None),
                Some(Ok(told)) => told.map(Some),
                Some(Err(_)) => Err("a thread panicked".into()),
            }
        })?;
        let Some(end) = visit.ends.first_mut().filter(|_| twin) else { return Ok(()) };
        end.told.extend(begun.flatten());
        if let Ok(known) = recorded(self.clients.of(&visit.task), &end.id) {
            end.keep(&known);
            if known.outcome == Outcome::Unknown {
                // This thread's try was not done, the twin's is unknown.
                (end.unknown, end.open, end.outcome) = (true, true, Outcome::Unknown);
            } else if known.outcome == Outcome::Done && end.outcome != Outcome::Done {
                end.settle(Outcome::Done, "recorded", wall_ms());
            }
        }
        Ok(())
    }

    /// The same command once more, from clients of their own: nothing but the journal is shared.
    fn twin(&self, task: &Task) -> Result<Option<Told>, Failure> {
        let clients = Clients::open(&self.brief.accounts).map_err(|e| e.message().to_owned())?;
        let began_ms = wall_ms();
        let outcome = match self.send(clients.of(task), task, 0, &[]) {
            Ok(_) => Outcome::Done,
            Err(e) if e.details().outcome == Outcome::NotDone => Outcome::NotDone,
            Err(_) => return Ok(None),
        };
        let words = String::new();
        Ok(Some(Told { outcome, how: "answer".into(), twin: true, began_ms, ended_ms: wall_ms(), words }))
    }

    /// Another kiosk, with another account and journal, or a person uses the same code.
    fn rival(&self, task: &Task, after_ms: u64) -> Result<(), Failure> {
        let what = match &task.act {
            Act::Pickup { machine, code, .. } => {
                json!({"platform": "dingshang", "do": "redeem", "machine": machine, "code": code, "after_ms": after_ms})
            }
            Act::Redeem { code } => {
                json!({"platform": "youzan", "do": "redeem", "code": code, "after_ms": after_ms})
            }
            _ => return Ok(()),
        };
        // Who comes too late is refused.
        self.call("POST", "/_sim/others", &what.to_string()).map(drop)
    }

    /// One look at a task in a later step.
    fn follow(&self, visit: &mut Visit, dice: &mut Noise) -> Result<(), Failure> {
        let client = self.clients.of(&visit.task);
        if visit.ends.last().is_some_and(|end| end.open) {
            let Some(mut end) = visit.ends.pop() else { return Ok(()) };
            let place = visit.ends.len();
            end.steps += 1;
            if end.steps > STEPS_MAX {
                return Err(format!("{}: not settled after {STEPS_MAX} steps", end.id));
            }
            if end.unknown {
                self.ask(client, &visit.task, place, &visit.ends, &mut end, dice)?;
            } else {
                self.give(client, &visit.task, place, &visit.ends, &mut end, dice)?;
            }
            visit.ends.push(end);
        }
        self.go_on(visit, dice)
    }

    /// Gives the commands that come next.
    fn go_on(&self, visit: &mut Visit, dice: &mut Noise) -> Result<(), Failure> {
        let ids = visit.task.ids();
        while !visit.over() && visit.ends.last().is_none_or(|end| !end.open) {
            let place = visit.ends.len();
            let order_no = visit.ends.last().map(|e| e.order_no.clone()).unwrap_or_default();
            let mut end = End { id: ids[place].clone(), order_no, ..End::default() };
            let client = self.clients.of(&visit.task);
            self.give(client, &visit.task, place, &visit.ends, &mut end, dice)?;
            visit.ends.push(end);
        }
        Ok(())
    }

    /// Sends one command of a task.
    fn send(&self, client: &Client, task: &Task, place: usize, before: &[End]) -> Result<Command, Error> {
        let request_id = task.ids()[place].clone();
        let url = format!("{}/dingshang/{}", self.brief.notify, task.id);
        let word = Some(json!({"memo": task.id}).to_string());
        let order_no = before.last().map(|e| e.order_no.clone()).unwrap_or_default();
        let written = |done: Result<(), Error>, id: &str| done.and_then(|()| recorded(client, id));
        match (&task.act, place) {
            (Act::Door { cabinet, own }, _) => client.door_open(&DoorRequest {
                request_id,
                cabinet_id: cabinet.clone(),
                order_no: if *own { task.id.clone() } else { String::new() },
                user_id: task.id.clone(),
                ..DoorRequest::default()
            }),
            (Act::Lane { machine, lane }, _) => client.door_open(&DoorRequest {
                request_id,
                cabinet_id: machine.clone(),
                door: lane.clone(),
                notify_url: url,
                extra_json: word,
                ..DoorRequest::default()
            }),
            (Act::Redeem { code }, _) => client.code_redeem(&RedeemRequest {
                request_id,
                code: code.clone(),
                redeemer: task.id.clone(),
                ..RedeemRequest::default()
            }),
            (Act::Pickup { machine, product, code, .. }, 0) => client.code_redeem(&RedeemRequest {
                request_id,
                code: code.clone(),
                cabinet_id: machine.clone(),
                product_id: product.clone(),
                notify_url: url,
                extra_json: word,
                visit_id: task.id.clone(),
                ..RedeemRequest::default()
            }),
            (Act::Pickup { machine, refund: false, .. }, _) => client.door_open(&DoorRequest {
                request_id,
                cabinet_id: machine.clone(),
                order_no,
                item_no: before.last().map(|e| e.item_no.clone()).unwrap_or_default(),
                extra_json: word,
                visit_id: task.id.clone(),
                ..DoorRequest::default()
            }),
            (Act::Pickup { machine, .. }, _) => {
                let claim = Complaint {
                    order_no,
                    cabinet_id: machine.clone(),
                    extra_json: word,
                    request_id: request_id.clone(),
                    ..Complaint::default()
                };
                written(client.refund_apply(&claim).map(drop), &request_id)
            }
            (Act::Buy { machine, product }, 0) => {
                let order = OrderCreate {
                    cabinet_id: machine.clone(),
                    notify_url: url,
                    lines: vec![(product.clone(), 1)],
                    request_id: request_id.clone(),
                    ..OrderCreate::default()
                };
                written(client.order_create(&order).map(drop), &request_id)
            }
            (Act::Buy { machine, .. }, _) => {
                let report = PaymentReport {
                    order_no,
                    cabinet_id: machine.clone(),
                    paid: true,
                    amount: -1,
                    extra_json: word,
                    request_id: request_id.clone(),
                    ..PaymentReport::default()
                };
                written(client.payment_report(&report).map(drop), &request_id)
            }
        }
    }

    /// Gives one command, again while it is not done and the library advises so.
    fn give(
        &self,
        client: &Client,
        task: &Task,
        place: usize,
        before: &[End],
        end: &mut End,
        dice: &mut Noise,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        let mut tries = 0;
        loop {
            tries += 1;
            let began_ms = wall_ms();
            let error = match self.send(client, task, place, before) {
                Ok(command) => {
                    end.keep(&command);
                    end.settle(Outcome::Done, if command.recorded { "recorded" } else { "answer" }, began_ms);
                    if dice.percent(5) {
                        self.press_twice(client, task, place, before, end, &command)?;
                    }
                    return Ok(());
                }
                Err(error) => error,
            };
            if end.first == KL_OK {
                end.first = error.status();
            }
            end.said = error.message().to_owned();
            if end.mark.is_empty() {
                if let Ok(known) = recorded(client, &end.id) {
                    end.keep(&known);
                }
            }
            let details = error.details();
            match details.outcome {
                Outcome::NotDone
                    if matches!(error.status(), KL_E_BLOCKED | KL_E_BUSY)
                        && details.platform_name.is_empty()
                        && details.http_status == 0 =>
                {
                    // Another's unknown stands in the way: the customer comes back.
                    end.settle(Outcome::NotDone, "blocked", began_ms);
                    end.knocks += 1;
                    end.open = end.knocks < KNOCKS;
                    return Ok(());
                }
                Outcome::NotDone => {
                    end.settle(Outcome::NotDone, "answer", began_ms);
                    if tries < TRIES && details.advice == Advice::Retry {
                        let pause = details.retry_after_ms.clamp(5, 50);
                        std::thread::sleep(Duration::from_millis(pause.into()));
                        continue;
                    }
                    return Ok(());
                }
                _ if error.status() == KL_E_IN_FLIGHT && begun.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(10));
                    tries -= 1;
                }
                _ => break,
            }
        }
        (end.unknown, end.open, end.outcome) = (true, true, Outcome::Unknown);
        // Firmware asks at once, too early, and a person claims at once that nothing moved.
        self.ask(client, task, place, before, end, dice)
    }

    /// A customer presses twice.
    fn press_twice(
        &self,
        client: &Client,
        task: &Task,
        place: usize,
        before: &[End],
        end: &mut End,
        command: &Command,
    ) -> Result<(), Failure> {
        let began_ms = wall_ms();
        let again = self.send(client, task, place, before);
        end.repeated = true;
        match again {
            // The record may be shorter than the answer.
            Ok(c) if c.recorded && c.receipt.order_no == command.receipt.order_no => Ok(()),
            Err(e) if e.details().outcome == Outcome::NotDone => {
                end.tell(Outcome::NotDone, "repetition", false, began_ms);
                Ok(())
            }
            Err(_) => Ok(()),
            Ok(other) => Err(format!("{}: done, and then {other:?}", end.id)),
        }
    }

    /// One question about an unknown command, in one of the ways that firmware has.
    fn ask(
        &self,
        client: &Client,
        task: &Task,
        place: usize,
        before: &[End],
        end: &mut End,
        dice: &mut Noise,
    ) -> Result<(), Failure> {
        let known = match recorded(client, &end.id) {
            Ok(known) => known,
            // Others were quicker at its lock all the time: in a later step.
            Err(e) if e.status() == KL_E_JOURNAL_BUSY => return Ok(()),
            // The journal was too busy to take the name; or it was found out not to be done, and forgotten, before the process that
            // asked could write it down. Firmware gives it again: a name that was sent all the same acts twice then.
            Err(e) if e.status() == KL_E_NOT_FOUND => {
                end.unknown = false;
                return Ok(());
            }
            Err(e) => return Err(format!("{}: {}", end.id, e.message())),
        };
        end.keep(&known);
        let mature = known.mature_in_ms == 0 && !known.stage.in_flight();
        if known.outcome != Outcome::Unknown {
            let began_ms = wall_ms();
            end.settle(known.outcome, word(known.settled_by), began_ms);
            return Ok(());
        }
        if mature && (end.answered >= LATE_QUESTIONS || end.late >= LATE_MOST) {
            return self.look(client, end, task);
        }
        let began_ms = wall_ms();
        // The same act once more, under the same name: on some platforms the way to ask. In the end both ways are tried.
        let (answer, how) = match dice.below(10) {
            _ if mature && end.late % 2 == 1 => (self.send(client, task, place, before), "repetition"),
            0..4 => (self.send(client, task, place, before), "repetition"),
            4 => (client.command_wait(&end.id, 60), "wait"),
            5 if !mature => return self.impatient(client, task, end),
            _ => (client.command_resolve(&end.id), "query"),
        };
        match answer {
            Ok(command) => {
                end.keep(&command);
                end.settle(Outcome::Done, how, began_ms);
            }
            Err(e) if e.details().outcome == Outcome::Done => end.settle(Outcome::Done, how, began_ms),
            Err(e) if e.details().outcome == Outcome::NotDone => {
                end.settle(Outcome::NotDone, how, began_ms);
                if how == "repetition" && matches!(e.status(), KL_E_BLOCKED | KL_E_BUSY) {
                    // It was known as not done, and given again; another one stands in the way.
                    end.how = "query".into();
                }
            }
            // Nobody was asked.
            Err(e) if e.status() == KL_E_JOURNAL_BUSY => {}
            Err(e) => {
                end.late += u32::from(mature);
                end.answered += u32::from(mature && e.details().advice == Advice::CallPerson);
                end.why = e.message().to_owned();
            }
        }
        Ok(())
    }

    /// A sensor or a person says at once that nothing moved. True as that is, it may still move.
    fn impatient(&self, client: &Client, task: &Task, end: &mut End) -> Result<(), Failure> {
        if self.happened(task, end)? {
            return Ok(());
        }
        let began_ms = wall_ms();
        if client.command_settle(&end.id, Outcome::NotDone, SettledBy::Sensor, "door contact").is_ok() {
            end.settle(Outcome::NotDone, "sensor", began_ms);
        }
        Ok(())
    }

    /// The door's contact, or a person at the platform's desk, says what became of it, when nothing can be on its way any
    /// more.
    fn look(&self, client: &Client, end: &mut End, task: &Task) -> Result<(), Failure> {
        let outcome = if self.happened(task, end)? { Outcome::Done } else { Outcome::NotDone };
        let began_ms = wall_ms();
        match client.command_settle(&end.id, outcome, SettledBy::Sensor, "door contact") {
            Ok(()) => end.settle(outcome, "sensor", began_ms),
            Err(e) => {
                // Somebody else was quicker, or the journal says no.
                let known = match recorded(client, &end.id) {
                    Ok(known) => known,
                    Err(e) if e.status() == KL_E_JOURNAL_BUSY => return Ok(()),
                    Err(e) => return Err(format!("{}: {}", end.id, e.message())),
                };
                if known.outcome == Outcome::Unknown {
                    return match e.status() {
                        KL_E_TOO_EARLY | KL_E_IN_FLIGHT | KL_E_JOURNAL_BUSY => Ok(()),
                        _ => Err(format!("{}: a sensor cannot settle it: {}", end.id, e.message())),
                    };
                }
                end.keep(&known);
                end.settle(known.outcome, word(known.settled_by), began_ms);
            }
        }
        Ok(())
    }

    /// Whether the simulator saw it.
    fn happened(&self, task: &Task, end: &End) -> Result<bool, Failure> {
        let url = format!("{}/dingshang/{}", self.brief.notify, task.id);
        let query = match (&task.act, end.id.rsplit('-').next().unwrap_or_default()) {
            (Act::Door { .. }, _) => format!("kind=open_door&mark={}", end.mark),
            (Act::Redeem { code }, _) => format!("platform=youzan&kind=redeem&code={code}"),
            (Act::Lane { .. }, _) | (Act::Pickup { .. }, "d") => format!("kind=dispense&notify_url={url}"),
            (Act::Pickup { .. }, "r") => format!("kind=redeem&notify_url={url}"),
            (Act::Pickup { .. }, _) => format!("platform=dingshang&kind=refund&order={}", end.order_no),
            (Act::Buy { .. }, "o") => format!("kind=order&notify_url={url}"),
            (Act::Buy { .. }, _) => format!("platform=dingshang&kind=pay&order={}", end.order_no),
        };
        Ok(!list(&self.call("GET", &format!("/_sim/acts?by=request&{query}"), "")?).is_empty())
    }

    /// A control call to the simulator.
    fn call(&self, method: &str, path: &str, body: &str) -> Result<Value, Failure> {
        let host = self.brief.control.trim_start_matches("http://");
        let fail = |e: std::io::Error| format!("{host}{path}: {e}");
        let mut stream = TcpStream::connect(host.replace("localhost", "127.0.0.1")).map_err(fail)?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + body).as_bytes()).map_err(fail)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(fail)?;
        let text = String::from_utf8_lossy(&answer);
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).map_err(|e| format!("{host}{path}: {e}"))
    }
}
