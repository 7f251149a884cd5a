//! The soak: thousands of commands in several threads and processes on platforms that do unkind things, while
//! processes are killed; then everything that was said is compared with what the simulator saw happen.

mod worker;

pub use worker::work;

use crate::crash::Noise;
use crate::preload::Failure;
use crate::stage::{Stage, list};
use kiosklink::client::Client;
use kiosklink::command::Physical;
use kiosklink::config::Config;
use kiosklink::error::{Error, Outcome};
use kiosklink::status::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How many commands a world sees before it is replaced: the simulator looks through lists.
const ROUND: usize = 2_500;
/// Cabinets, machines and lanes that each thread has for itself.
const CABINETS: usize = 6;
const MACHINES: usize = 2;
const LANES: usize = 4;
/// Every word in a request by which the simulator knows the command begins so.
const WORD: &str = "sk-";

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seed of everything.
    pub seed: u64,
    /// How many commands at least.
    pub commands: usize,
    /// Threads of each process.
    pub threads: usize,
    /// Processes.
    pub processes: usize,
    /// About how often a process is killed; 0: never.
    pub kill_ms: u64,
    /// So many of a hundred requests meet a fault.
    pub faults: u32,
    /// Whether there is a `state_dir`.
    pub journal: bool,
    /// A folder to work in.
    pub work: PathBuf,
    /// The program that is a worker when it is called with `--worker` and a file.
    pub program: PathBuf,
}

/// One act of a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Act {
    /// A door of a Yopoint cabinet.
    Door { cabinet: String },
    /// A code of Dingshang's, redeemed and dispensed: two commands.
    Pickup { machine: String, product: String, code: String },
    /// A lane of a Dingshang machine.
    Lane { machine: String, lane: String },
    /// A code of a Youzan shop.
    Redeem { code: String },
}

/// A customer's act, made from the seed and its number alone.
#[derive(Clone, Debug)]
struct Task {
    number: usize,
    id: String,
    act: Act,
    dice: Noise,
}

impl Task {
    /// The names of its commands.
    fn ids(&self) -> Vec<String> {
        match self.act {
            Act::Pickup { .. } => vec![format!("{}-r", self.id), format!("{}-d", self.id)],
            _ => vec![self.id.clone()],
        }
    }

    fn platform(&self) -> &'static str {
        match self.act {
            Act::Door { .. } => "yopoint",
            Act::Pickup { .. } | Act::Lane { .. } => "dingshang",
            Act::Redeem { .. } => "youzan",
        }
    }
}

fn machine_no(index: usize) -> String {
    format!("{}", 20_000_000 + index)
}

fn product_id(machine: usize, lane: usize) -> i64 {
    (100_000 + machine * 10 + lane) as i64
}

/// Task `number`, which one of so many threads does.
fn task(seed: u64, number: usize, threads: usize) -> Task {
    let mut dice = Noise(seed ^ (number as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93));
    dice.next();
    let thread = number % threads;
    let machine = thread * MACHINES + dice.below(MACHINES);
    let lane = dice.below(LANES);
    let act = match dice.below(100) {
        // Ids as `generate` makes them.
        0..50 => Act::Door { cabinet: format!("5e00{:020x}", thread * CABINETS + dice.below(CABINETS)) },
        50..70 => Act::Pickup {
            machine: machine_no(machine),
            product: product_id(machine, lane).to_string(),
            code: format!("{:07}", number + 1_000_000),
        },
        70..82 => Act::Lane { machine: machine_no(machine), lane: format!("A2{lane}") },
        _ => Act::Redeem { code: format!("{}", 40_000_000_000 + number) },
    };
    Task { number, id: format!("{WORD}{seed}-{number}"), act, dice }
}

/// What a worker needs to know.
#[derive(Clone, Debug)]
struct Brief {
    seed: u64,
    first: usize,
    end: usize,
    process: usize,
    processes: usize,
    threads: usize,
    accounts: PathBuf,
    folder: PathBuf,
    control: String,
    notify: String,
}

impl Brief {
    fn write(&self, path: &Path) -> std::io::Result<()> {
        let text = json!({
            "seed": self.seed, "first": self.first, "end": self.end, "process": self.process,
            "processes": self.processes, "threads": self.threads, "accounts": self.accounts,
            "folder": self.folder, "control": self.control, "notify": self.notify,
        });
        fs::write(path, text.to_string())
    }

    fn read(path: &Path) -> Result<Brief, Failure> {
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
            control: words("control"),
            notify: words("notify"),
        })
    }

    /// The results of one thread: a line for each task that is over.
    fn results(&self, thread: usize) -> PathBuf {
        self.folder.join(format!("results-{}-{thread}", self.first))
    }
}

/// How one command ended, as the worker was told.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    id: String,
    outcome: Outcome,
    /// Who said so: `answer`, `recorded`, `query`, `wait`, `sensor`, or nobody.
    how: String,
    /// The status of the first answer.
    first: i32,
    /// It was given once more after it was done.
    repeated: bool,
    /// Told to another process than the one whose command it is, which gave it too.
    twin: bool,
}

fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::NotDone => "not done",
        _ => "unknown",
    }
}

impl End {
    fn line(ends: &[End], number: usize) -> String {
        let shown: Vec<_> = ends
            .iter()
            .map(|e| {
                json!({"id": e.id, "outcome": outcome_word(e.outcome), "how": e.how, "first": e.first,
                       "repeated": e.repeated, "twin": e.twin})
            })
            .collect();
        format!("{}\n", json!({"n": number, "ends": shown}))
    }

    fn parse(value: &Value) -> End {
        End {
            id: value["id"].as_str().unwrap_or_default().into(),
            outcome: match value["outcome"].as_str() {
                Some("done") => Outcome::Done,
                Some("not done") => Outcome::NotDone,
                _ => Outcome::Unknown,
            },
            how: value["how"].as_str().unwrap_or_default().into(),
            first: value["first"].as_i64().unwrap_or_default() as i32,
            repeated: value["repeated"].as_bool().unwrap_or_default(),
            twin: value["twin"].as_bool().unwrap_or_default(),
        }
    }
}

/// The complete lines of a results file: a process may have died in the middle of one.
fn results(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Commands that ended.
    pub commands: usize,
    /// How they ended, and who said so.
    pub ends: BTreeMap<(String, String), usize>,
    /// Commands of which at first nobody knew, by the fault that the command's request met.
    pub unknown_by_fault: BTreeMap<String, usize>,
    /// Commands by the fault that they met.
    pub by_fault: BTreeMap<String, usize>,
    /// Unknown ones that only a sensor could settle, by platform and fault.
    pub by_sensor: BTreeMap<String, usize>,
    /// Repetitions of a `request_id`.
    pub repeated: usize,
    /// Processes killed.
    pub kills: usize,
    /// Callbacks taken, duplicates, refused ones.
    pub callbacks: [u64; 3],
    /// Physical openings and redemptions.
    pub acts: usize,
    /// Commands that the journal still had something to say about.
    pub recorded: usize,
    /// What must not be.
    pub violations: Vec<String>,
    /// How long the commands took.
    pub took: Duration,
}

impl Report {
    /// How many commands were at first unknown.
    pub fn unknown(&self) -> usize {
        self.unknown_by_fault.values().sum()
    }

    /// Everything in words.
    pub fn words(&self) -> String {
        let mut text = String::new();
        let share = |n: usize| 100.0 * n as f64 / self.commands.max(1) as f64;
        let _ = writeln!(
            text,
            "{} commands in {:.0} s ({:.0} a second), {} repetitions of a request_id, {} processes killed, \
             {} physical acts",
            self.commands,
            self.took.as_secs_f64(),
            self.commands as f64 / self.took.as_secs_f64().max(0.001),
            self.repeated,
            self.kills,
            self.acts,
        );
        let _ = writeln!(
            text,
            "callbacks: {} taken, {} of them duplicates, {} refused (forged)",
            self.callbacks[0], self.callbacks[1], self.callbacks[2]
        );
        for ((outcome, how), n) in &self.ends {
            let _ = writeln!(text, "  {outcome:<9} by {how:<12} {n:>7}  {:>5.2} %", share(*n));
        }
        let _ = writeln!(
            text,
            "unknown at first: {} ({:.2} %), by the fault that the request met:",
            self.unknown(),
            share(self.unknown())
        );
        for (fault, n) in &self.unknown_by_fault {
            let of = self.by_fault.get(fault).copied().unwrap_or(0);
            let _ = writeln!(text, "  {fault:<40} {n:>6} of {of:>6}");
        }
        let left: usize = self.by_sensor.values().sum();
        let _ = writeln!(text, "left to a sensor or a person: {left} ({:.2} %)", share(left));
        for (what, n) in &self.by_sensor {
            let _ = writeln!(text, "  {what:<40} {n:>6}");
        }
        let _ = writeln!(text, "recorded in the journals at the end of their round: {}", self.recorded);
        for violation in self.violations.iter().take(20) {
            let _ = writeln!(text, "VIOLATION {violation}");
        }
        let _ = writeln!(text, "{} violations.", self.violations.len());
        text
    }
}

/// The faults that requests meet, small enough that thousands of commands take minutes.
fn faults() -> Value {
    json!([
        "act_then_drop", "drop_before_acting",
        {"fault": "reset", "percent": 0}, {"fault": "reset", "percent": 60},
        {"fault": "half_open", "hold_ms": 2_000},
        {"fault": "late", "ms": 60}, {"fault": "late", "ms": 1_800},
        {"fault": "slow_drip", "bytes": 150, "ms": 3}, {"fault": "slow_drip", "bytes": 4, "ms": 60},
        "half_answer", {"fault": "wrong_length", "delta": 10}, {"fault": "wrong_length", "delta": -10},
        "answer_twice", "close_after_answer", "connection_close", "chunked", "no_content_length",
        "http_5xx", {"fault": "http_5xx", "code": 500, "act": true}, {"fault": "http_5xx", "code": 504, "act": true},
        {"fault": "rate_limit", "retry_after_s": 0},
        "html_portal", {"fault": "html_portal", "redirect": true}, {"fault": "html_portal", "act": true},
        "garbage", "gbk_body", "bom", "empty_body", "wrong_types", {"fault": "wrong_types", "mode": "strings"},
        "missing_fields", "unknown_fields", "null_fields", "duplicate_keys",
        {"fault": "deep_nesting", "depth": 2_000}, {"fault": "huge", "bytes": 300_000},
        "wrong_date", "no_date", "date_with_age",
        "bad_certificate", {"fault": "bad_certificate", "certificate": "wrong_name"},
        {"fault": "bad_certificate", "certificate": "untrusted", "handshakes": 2},
        {"fault": "bad_certificate", "certificate": "not_yet_valid"},
        "clock_skew", {"fault": "clock_skew", "offset_s": -7_200},
        "kill_token", {"fault": "kill_token", "mode": "expire"},
        {"fault": "twist_callback", "do": "duplicate"}, {"fault": "twist_callback", "do": "reorder"},
        {"fault": "twist_callback", "do": "delay", "ms": 100}, {"fault": "twist_callback", "do": "drop"},
        {"fault": "twist_callback", "do": "ms_timestamp"},
    ])
}

/// Runs everything, and tells on the way.
pub fn run(options: &Options, mut tell: impl FnMut(&str)) -> Result<Report, Failure> {
    let io = |e: std::io::Error| format!("{}: {e}", options.work.display());
    fs::create_dir_all(options.work.join("state")).map_err(io)?;
    let stage = Stage::new(&options.work, options.seed)?;
    let mut keys = vec![
        ("timeout_ms", json!(1_200)),
        ("connect_timeout_ms", json!(1_000)),
        ("max_reply_bytes", json!(200_000)),
    ];
    if options.journal {
        keys.push(("state_dir", json!(options.work.join("state"))));
    }
    let accounts = stage.accounts(&keys)?;
    let mut report = Report::default();
    let mut noise = Noise(options.seed);
    let mut first = 0;
    while report.commands < options.commands {
        let threads = options.processes * options.threads;
        // Some tasks have two commands.
        let wanted = (options.commands - report.commands).min(ROUND);
        let mut end = first;
        let mut count = 0;
        while count < wanted {
            count += task(options.seed, end, threads).ids().len();
            end += 1;
        }
        let round = Round { options, stage: &stage, accounts: &accounts, first, end };
        round.run(&mut report, &mut noise)?;
        tell(&format!("{} commands, {} violations", report.commands, report.violations.len()));
        first = end;
    }
    Ok(report)
}

struct Round<'a> {
    options: &'a Options,
    stage: &'a Stage,
    accounts: &'a Path,
    first: usize,
    end: usize,
}

impl Round<'_> {
    fn threads(&self) -> usize {
        self.options.processes * self.options.threads
    }

    fn tasks(&self) -> impl Iterator<Item = Task> + '_ {
        (self.first..self.end).map(|n| task(self.options.seed, n, self.threads()))
    }

    /// A world in which every task can be done.
    fn world(&self) -> Result<(), Failure> {
        let (sim, threads) = (self.stage, self.threads());
        sim.control("POST", "/_sim/reset", Value::Null)?;
        let quick = json!({"door_open_ms": 4, "recognition_ms": 4});
        sim.control("POST", "/_sim/yopoint/settings", quick)?;
        let many = json!({"cabinets": threads * CABINETS, "stock_lines": 2, "orders": 0});
        sim.control("POST", "/_sim/yopoint/generate", many)?;
        sim.control("POST", "/_sim/dingshang/settings", json!({"result_ms": 3}))?;
        sim.control("POST", "/_sim/youzan/settings", json!({"redemption_messages": []}))?;
        let mut machines = sim.control("GET", "/_sim/dingshang/machines", Value::Null)?;
        let sample = machines[0].take();
        let made: Vec<Value> = (0..threads * MACHINES)
            .map(|m| {
                let mut machine = sample.clone();
                machine["machine_no"] = json!(machine_no(m));
                let lanes = (0..LANES).map(|l| {
                    let mut lane = sample["lanes"][0].clone();
                    lane["product_id"] = json!(product_id(m, l));
                    lane["channel"] = json!(format!("A2{l}"));
                    (lane["stock"], lane["capacity"]) = (json!(100_000), json!(100_000));
                    lane
                });
                machine["lanes"] = lanes.collect();
                machine
            })
            .collect();
        let codes: Vec<Value> = self
            .tasks()
            .filter_map(|t| match t.act {
                Act::Pickup { machine, product, code } => Some(json!({
                    "id": t.number + 1, "machine_no": machine, "product_id": product.parse::<i64>().unwrap_or(0),
                    "code": code, "created_ms": 0,
                })),
                _ => None,
            })
            .collect();
        let world = json!({"platforms": {"dingshang": {"machines": made, "codes": codes}}});
        sim.control("PATCH", "/_sim/world", world)?;
        for task in self.tasks() {
            if let Act::Redeem { code } = &task.act {
                let tid = format!("E2027{:019}", task.number);
                let order = json!({"tid": tid, "pickup": {"code": code}, "message": null});
                sim.control("POST", "/_sim/youzan/orders", order)?;
            }
        }
        Ok(())
    }

    fn run(&self, report: &mut Report, noise: &mut Noise) -> Result<(), Failure> {
        self.world()?;
        let receiver = Receiver::start(self.accounts)?;
        let yopoint = json!({"platform": "yopoint", "url": format!("{}/yopoint", receiver.url)});
        self.stage.control("POST", "/_sim/callbacks", yopoint)?;
        if self.options.faults > 0 {
            let random = json!({"random": {
                "probability": f64::from(self.options.faults) / 100.0, "seed": self.options.seed, "word": WORD,
                "faults": faults(),
            }});
            self.stage.control("POST", "/_sim/faults", random)?;
        }
        let begun = Instant::now();
        report.kills += self.commands(&receiver.url, noise)?;
        report.took += begun.elapsed();
        let met = self.stage.control("GET", "/_sim/faults/met", Value::Null)?;
        self.stage.control("DELETE", "/_sim/faults", Value::Null)?;
        self.stage.control("POST", "/_sim/tls", json!({"certificate": "good"}))?;
        let seen = receiver.stop();
        for (sum, n) in report.callbacks.iter_mut().zip(seen) {
            *sum += n;
        }
        self.compare(&met, report)
    }

    /// Runs the worker processes to their end, and kills some on the way.
    fn commands(&self, notify: &str, noise: &mut Noise) -> Result<usize, Failure> {
        let io = |e: std::io::Error| format!("a worker: {e}");
        let start = |process: usize| -> Result<Child, Failure> {
            let brief = Brief {
                seed: self.options.seed,
                first: self.first,
                end: self.end,
                process,
                processes: self.options.processes,
                threads: self.options.threads,
                accounts: self.accounts.to_owned(),
                folder: self.options.work.clone(),
                control: self.stage.sim.http_origin(),
                notify: notify.to_owned(),
            };
            let path = self.options.work.join(format!("brief-{process}.json"));
            brief.write(&path).map_err(io)?;
            let mut command = Command::new(&self.options.program);
            command.arg("--worker").arg(path).stdin(Stdio::piped());
            command.spawn().map_err(|e| format!("{}: {e}", self.options.program.display()))
        };
        let mut workers = (0..self.options.processes).map(&start).collect::<Result<Vec<_>, _>>()?;
        let mut over = vec![false; workers.len()];
        let mut kills = 0;
        let pause = |noise: &mut Noise| {
            let ms = self.options.kill_ms;
            (ms > 0).then(|| Instant::now() + Duration::from_millis(ms / 2 + noise.next() % ms.max(1)))
        };
        let mut next = pause(noise);
        let limit = Instant::now() + Duration::from_secs(3_600);
        while over.iter().any(|o| !o) {
            for (worker, over) in workers.iter_mut().zip(&mut over) {
                if let Some(status) = worker.try_wait().map_err(io)? {
                    if !*over && !status.success() {
                        return Err(format!("a worker ended with {status}"));
                    }
                    *over = true;
                }
            }
            if next.is_some_and(|at| Instant::now() >= at) {
                let victim = noise.below(workers.len());
                if !over[victim] {
                    workers[victim].kill().and_then(|()| workers[victim].wait()).map_err(io)?;
                    workers[victim] = start(victim)?;
                    kills += 1;
                }
                next = pause(noise);
            }
            if Instant::now() > limit {
                workers.iter_mut().for_each(|w| drop(w.kill()));
                return Err("the workers did not end within an hour".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(kills)
    }

    /// What happened, by command: how often the simulator saw it.
    fn truth(&self) -> Result<BTreeMap<String, u64>, Failure> {
        let mut truth = BTreeMap::new();
        let mut by_word: BTreeMap<String, u64> = BTreeMap::new();
        for opening in list(&self.stage.control("GET", "/_sim/openings", Value::Null)?) {
            let cause = &opening["cause"];
            let url = cause["notify_url"].as_str().and_then(|u| u.rsplit('/').next());
            if let Some(word) = url.or(cause["trade_no"].as_str()) {
                *by_word.entry(word.to_owned()).or_default() += 1;
            }
        }
        let mut orders: BTreeMap<u64, u64> = BTreeMap::new();
        for order in list(&self.stage.control("GET", "/_sim/dingshang/orders", Value::Null)?) {
            if let Some(row) = order["pickup_code_id"].as_u64() {
                *orders.entry(row).or_default() += 1;
            }
        }
        let mut codes: BTreeMap<String, u64> = BTreeMap::new();
        for redemption in list(&self.stage.control("GET", "/_sim/youzan/redemptions", Value::Null)?) {
            *codes.entry(redemption["code"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        for task in self.tasks() {
            let moved = by_word.get(&task.id).copied().unwrap_or(0);
            let ids = task.ids();
            match &task.act {
                Act::Pickup { .. } => {
                    let row = task.number as u64 + 1;
                    truth.insert(ids[0].clone(), orders.get(&row).copied().unwrap_or(0));
                    truth.insert(ids[1].clone(), moved);
                }
                Act::Redeem { code } => {
                    truth.insert(ids[0].clone(), codes.get(code).copied().unwrap_or(0));
                }
                Act::Door { .. } | Act::Lane { .. } => {
                    truth.insert(ids[0].clone(), moved);
                }
            }
        }
        Ok(truth)
    }

    fn compare(&self, met: &Value, report: &mut Report) -> Result<(), Failure> {
        let truth = self.truth()?;
        report.acts += truth.values().sum::<u64>() as usize;
        let mut reported: BTreeMap<String, Vec<End>> = BTreeMap::new();
        for thread in 0..self.threads() {
            for line in results(&self.options.work.join(format!("results-{}-{thread}", self.first))) {
                for end in list(&line["ends"]) {
                    let end = End::parse(end);
                    reported.entry(end.id.clone()).or_default().push(end);
                }
            }
        }
        let clients = Clients::open(self.accounts).map_err(|e| e.message().to_owned())?;
        if self.options.journal {
            for (platform, left) in clients.pending()? {
                report.violations.push(format!("{platform}: {left} is left unsettled"));
            }
        }
        for task in self.tasks() {
            for id in task.ids() {
                let times = truth.get(&id).copied().unwrap_or(0);
                let told = reported.get(&id).map_or(&[][..], Vec::as_slice);
                let recorded = if self.options.journal { clients.of(&task).recorded(&id)? } else { None };
                for what in contradictions(times, told, recorded.as_ref()) {
                    // How much happened in between tells whether the journal may have forgotten the first.
                    let at = self.openings(&task)?;
                    report.violations.push(format!("{id}: {what}{at}"));
                }
                report.recorded += usize::from(recorded.is_some());
                report.repeated +=
                    told.iter().map(|e| usize::from(e.repeated) + usize::from(e.twin)).sum::<usize>();
                if let Some(end) = told.iter().find(|e| !e.twin) {
                    self.count(report, met, &task, end);
                }
            }
        }
        Ok(())
    }

    /// Where in the order of all openings a command's are.
    fn openings(&self, task: &Task) -> Result<String, Failure> {
        let query = format!("/_sim/openings?trade_no={}", task.id);
        let found = self.stage.control("GET", &query, Value::Null)?;
        let numbers: Vec<String> = list(&found).iter().map(|o| o["number"].to_string()).collect();
        Ok(if numbers.is_empty() { String::new() } else { format!(" (openings {})", numbers.join(", ")) })
    }

    fn count(&self, report: &mut Report, met: &Value, task: &Task, end: &End) {
        report.commands += 1;
        *report.ends.entry((outcome_word(end.outcome).into(), end.how.clone())).or_default() += 1;
        // The requests of a pickup share a word; the operation says whose they are.
        let operation = match &task.act {
            Act::Door { .. } => "cabinet.open.door",
            Act::Lane { .. } => "delivery_debug",
            Act::Pickup { .. } if end.id.ends_with("-r") => "consume",
            Act::Pickup { .. } => "deliver",
            Act::Redeem { .. } => "youzan.trade.selffetchcode.apply",
        };
        let faults: Vec<&str> = list(&met[&task.id])
            .iter()
            .filter_map(Value::as_str)
            .filter_map(|m| m.split_once(' ').filter(|(o, _)| *o == operation).map(|(_, f)| f))
            .collect();
        // It may have been sent more than once, as it was not done at first: the last time counts.
        let fault = faults.last().map_or_else(
            || match end.first {
                KL_E_UNSETTLED => "none: its process was killed".to_owned(),
                first => format!("none of its own: {}", name(first).unwrap_or("?")),
            },
            |f| (*f).to_owned(),
        );
        *report.by_fault.entry(fault.clone()).or_default() += 1;
        let settled = matches!(end.how.as_str(), "query" | "wait" | "sensor" | "event" | "nobody");
        if settled || end.outcome == Outcome::Unknown {
            *report.unknown_by_fault.entry(fault.clone()).or_default() += 1;
        }
        if end.how == "sensor" || end.outcome == Outcome::Unknown {
            *report.by_sensor.entry(format!("{} {operation}: {fault}", task.platform())).or_default() += 1;
        }
    }
}

/// What does not fit together: what happened, what was told, what is recorded.
fn contradictions(times: u64, told: &[End], recorded: Option<&Known>) -> Vec<String> {
    let mut wrong = Vec::new();
    if times > 1 {
        wrong.push(format!("happened {times} times"));
    }
    if told.is_empty() && times > 0 {
        wrong.push("happened, and nobody reported it".into());
    }
    // Where two gave the same command, one may have been told that it was not done before the other one did it.
    let done = told.iter().any(|e| e.outcome == Outcome::Done);
    let done = done || recorded.is_some_and(|r| r.outcome == Outcome::Done);
    let later = done && told.iter().any(|e| e.twin);
    for end in told {
        match (end.outcome, times) {
            (Outcome::Done, 0) => wrong.push(format!("told to be done by {}, but did not happen", end.how)),
            (Outcome::NotDone, 1..) if !later => {
                wrong.push(format!("told to be not done by {}, but happened", end.how));
            }
            _ => {}
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

/// What is recorded of a command.
struct Known {
    outcome: Outcome,
    physical: Physical,
    by: &'static str,
}

/// A client for each account.
struct Clients(BTreeMap<&'static str, Client>);

/// A client of one account.
struct OfAccount<'a>(&'a Client);

impl Clients {
    fn open(accounts: &Path) -> Result<Clients, Error> {
        let client = |name: &'static str| {
            let config = Config::load(&accounts.to_string_lossy(), Some(name))?;
            Ok((name, Client::new(&config)?))
        };
        ["yopoint", "dingshang", "youzan"].into_iter().map(client).collect::<Result<_, _>>().map(Clients)
    }

    fn of(&self, task: &Task) -> OfAccount<'_> {
        OfAccount(&self.0[task.platform()])
    }

    /// The commands that are not settled.
    fn pending(&self) -> Result<Vec<(&'static str, String)>, Failure> {
        let mut all = Vec::new();
        for (name, client) in &self.0 {
            let left = client.commands_pending().map_err(|e| e.message().to_owned())?;
            all.extend(left.into_iter().map(|c| (*name, c.request_id)));
        }
        Ok(all)
    }
}

impl OfAccount<'_> {
    /// What the journal says of a command; none if it has forgotten it, as it does with old ones.
    fn recorded(&self, id: &str) -> Result<Option<Known>, Failure> {
        match self.0.command_get(id) {
            Ok(c) => {
                Ok(Some(Known { outcome: c.outcome, physical: c.physical, by: worker::word(c.settled_by) }))
            }
            Err(e) if e.status() == KL_E_NOT_FOUND => Ok(None),
            Err(e) => Err(format!("{id}: {}", e.message())),
        }
    }
}

/// Takes callbacks and gives them to clients of its own: one more process's worth of them.
struct Receiver {
    url: String,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    seen: Arc<[AtomicU64; 3]>,
}

impl Receiver {
    fn start(accounts: &Path) -> Result<Receiver, Failure> {
        let clients = Clients::open(accounts).map_err(|e| e.message().to_owned())?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|e| e.to_string())?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let stop = Arc::new(AtomicBool::new(false));
        let seen: Arc<[AtomicU64; 3]> = Arc::default();
        let (stopped, counts) = (stop.clone(), seen.clone());
        let serve = move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let _ = take(stream, &clients, &counts);
            }
        };
        let thread = Some(std::thread::spawn(serve));
        Ok(Receiver { url: format!("http://{address}"), stop, thread, seen })
    }

    fn stop(mut self) -> [u64; 3] {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        [0, 1, 2].map(|i| self.seen[i].load(Ordering::SeqCst))
    }
}

fn take(mut stream: TcpStream, clients: &Clients, seen: &[AtomicU64; 3]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut bytes = Vec::new();
    let mut piece = [0u8; 8192];
    let (head, body) = loop {
        let n = stream.read(&mut piece)?;
        if n == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&piece[..n]);
        let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
        let length = head.lines().find_map(|l| {
            let (name, value) = l.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if bytes.len() >= at + 4 + length.unwrap_or(0) {
            break (head, bytes[at + 4..].to_vec());
        }
    };
    let platform = if head.starts_with("POST /yopoint") { "yopoint" } else { "dingshang" };
    let client = &clients.0[platform];
    let reply = match client.event_parse(&head, &body) {
        Ok(event) => {
            seen[0].fetch_add(1, Ordering::SeqCst);
            seen[1].fetch_add(u64::from(event.duplicate), Ordering::SeqCst);
            client.event_reply(&event, 0, "ok", None).ok()
        }
        Err(_) => {
            seen[2].fetch_add(1, Ordering::SeqCst);
            None
        }
    };
    let (status, body) = reply.map_or(("400 Bad Request", String::new()), |body| ("200 OK", body));
    let answer =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes())
}
