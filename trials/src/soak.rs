//! The soak: thousands of commands in several threads and processes on platforms with faults that speak in dialects,
//! while processes are killed; then everything that was said is compared with what the simulator saw happen.
//!
//! Time passes in steps. Within one the threads work as fast as they can; between two of them, while nothing is under way, all
//! clocks go ahead by 8 to 45 s, those of the processes by a shim and the simulator's by its control API: requests that a
//! platform holds are acted on, commands mature, and the rules count what they always count.

mod hands;
mod oracle;
mod report;
mod task;
mod time;
mod worker;

pub use report::{LEFT_MOST, REFUSED_MOST, Report};

use crate::crash::Noise;
use crate::preload::Failure;
use crate::stage::{Stage, list};
use kiosklink::error::Outcome;
use kiosklink::status::*;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use task::{Act, CABINETS, LANES, MACHINES, Task, machine_no, product_id, task};
use time::Time;
use worker::{Brief, End, place_of, results, results_of};

/// How many commands a world sees before it is replaced: the simulator looks through lists.
const ROUND: usize = 2_500;
/// Every word in a request by which the simulator knows the command begins so.
const WORD: &str = "sk-";
/// The shortest time between two steps: what a slow line still carries of the calls of one arrives before the clocks are moved
/// again, so that no request is on its way for longer than the rules allow for.
const STEP: Duration = Duration::from_millis(700);
/// How long a round may take.
const ROUND_LIMIT: Duration = Duration::from_secs(1_800);

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seed of everything.
    pub seed: u64,
    /// About how many commands.
    pub commands: usize,
    /// Threads of each process.
    pub threads: usize,
    /// Processes.
    pub processes: usize,
    /// In every second step a process is killed, so many milliseconds after its begin at most; 0: never.
    pub kill_ms: u64,
    /// So many of a hundred requests meet a fault.
    pub faults: u32,
    /// So many of a hundred answers are in a dialect.
    pub dialects: u32,
    /// Whether there is a `state_dir`.
    pub journal: bool,
    /// A folder to work in.
    pub work: PathBuf,
    /// The program that is a worker when it is called with `--worker`, `--receive` or `--look` and a file.
    pub program: PathBuf,
}

/// What a process of the soak does. Ends with the standard input, so that nobody is left behind.
pub fn child(role: &str, brief: &Path) -> Result<(), Failure> {
    let brief = Brief::read(brief)?;
    match role {
        "--receive" => hands::receive(&brief),
        "--look" => hands::look(&brief),
        _ => {
            std::thread::spawn(|| {
                let _ = std::io::stdin().read(&mut [0u8; 1]);
                std::process::exit(1);
            });
            worker::work(&brief)
        }
    }
}

/// The faults that requests meet, small enough that thousands of commands take minutes.
fn faults() -> Value {
    json!([
        "act_then_drop", "drop_before_acting",
        {"fault": "reset", "percent": 0}, {"fault": "reset", "percent": 60},
        {"fault": "half_open", "hold_ms": 1_500},
        {"fault": "late", "ms": 60}, {"fault": "late", "ms": 1_400},
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
        // The platform, a proxy or the network holds the request while time passes; the caller hears nothing, or a gateway.
        {"fault": "act_later", "act_after_ms": 4_000, "answer": "drop"},
        {"fault": "act_later", "act_after_ms": 25_000, "answer": "gateway"},
        {"fault": "act_later", "act_after_ms": 50_000, "answer": "hold", "hold_ms": 1_500},
        // Up to the time limit and beyond it.
        {"fault": "latency", "max_ms": 1_300}, {"fault": "slow_uplink", "bytes_per_s": 900},
        {"fault": "slow_uplink", "bytes_per_s": 900, "delivered": false},
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
    let state_dir = if options.journal { json!(options.work.join("state")) } else { json!("none") };
    let accounts = stage.accounts(&[
        ("timeout_ms", json!(1_000)),
        ("connect_timeout_ms", json!(900)),
        ("max_reply_bytes", json!(200_000)),
        ("code_tries_per_minute", json!(0)),
        ("state_dir", state_dir),
    ])?;
    let mut time = Time::new(&options.work)?;
    let mut report = Report::default();
    let mut noise = Noise(options.seed);
    let mut first = 0;
    // Some second commands never come, as the first was not done: no round is begun for them.
    while report.commands * 100 < options.commands * 95 {
        let threads = options.processes * options.threads;
        // Some tasks have two commands.
        let wanted = (options.commands - report.commands).min(ROUND);
        let mut end = first;
        let mut count = 0;
        while count < wanted {
            count += task(options.seed, end, threads).ids().len();
            end += 1;
        }
        let mut round = Round { options, stage: &stage, accounts: &accounts, time: &mut time, first, end };
        let before = report.violations.len();
        round.run(&mut report, &mut noise)?;
        report.violations[before..].iter().for_each(|violation| tell(&format!("VIOLATION {violation}")));
        tell(&format!(
            "{} commands in {:.0} s, {} violations",
            report.commands,
            report.took.as_secs_f64(),
            report.violations.len()
        ));
        first = end;
    }
    Ok(report)
}

struct Round<'a> {
    options: &'a Options,
    stage: &'a Stage,
    accounts: &'a Path,
    time: &'a mut Time,
    first: usize,
    end: usize,
}

/// The process that takes callbacks.
struct Receiver {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    url: String,
}

impl Receiver {
    /// How many callbacks were taken, were duplicates, were refused.
    fn stop(mut self) -> Result<[u64; 3], Failure> {
        drop(self.stdin);
        let mut text = String::new();
        self.stdout.read_line(&mut text).map_err(|e| e.to_string())?;
        self.child.wait().map_err(|e| e.to_string())?;
        let seen: Value = serde_json::from_str(&text).map_err(|e| format!("the receiver: {e}"))?;
        Ok([0, 1, 2].map(|i: usize| seen[i].as_u64().unwrap_or_default()))
    }
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
        // The time that has passed stays passed.
        sim.control("POST", "/_sim/clock", json!({"offset_ms": self.time.ahead_ms()}))?;
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
        let clock = sim.control("GET", "/_sim/clock", Value::Null)?;
        let yesterday = clock["now_ms"].as_i64().unwrap_or_default() - 86_400_000;
        let codes: Vec<Value> = self
            .tasks()
            .filter_map(|t| match t.act {
                Act::Pickup { machine, product, code, .. } => Some(json!({
                    "id": t.number + 1, "machine_no": machine, "product_id": product.parse::<i64>().unwrap_or(0),
                    "code": code, "created_ms": yesterday,
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

    /// The platforms become unkind.
    fn unkind(&self) -> Result<(), Failure> {
        if self.options.faults > 0 {
            let random = json!({"random": {
                "probability": f64::from(self.options.faults) / 100.0, "seed": self.options.seed, "word": WORD,
                "faults": faults(),
            }});
            self.stage.control("POST", "/_sim/faults", random)?;
        }
        if self.options.dialects > 0 {
            let dialect = json!({
                "seed": self.options.seed, "share": f64::from(self.options.dialects) / 100.0, "word": WORD,
            });
            self.stage.control("POST", "/_sim/dialect", dialect)?;
        }
        Ok(())
    }

    fn run(&mut self, report: &mut Report, noise: &mut Noise) -> Result<(), Failure> {
        self.world()?;
        let receiver = self.receiver()?;
        let yopoint = json!({"platform": "yopoint", "url": format!("{}/yopoint", receiver.url)});
        self.stage.control("POST", "/_sim/callbacks", yopoint)?;
        self.unkind()?;
        let (begun, ahead_ms) = (Instant::now(), self.time.ahead_ms());
        report.kills += self.commands(&receiver.url, noise)?;
        report.took += begun.elapsed();
        report.passed += begun.elapsed();
        report.passed += Duration::from_millis((self.time.ahead_ms() - ahead_ms).unsigned_abs());
        let faults = self.stage.control("GET", "/_sim/faults/met", Value::Null)?;
        let dialects = self.stage.control("GET", "/_sim/dialect/met", Value::Null)?;
        self.stage.control("DELETE", "/_sim/faults", Value::Null)?;
        self.stage.control("DELETE", "/_sim/dialect", Value::Null)?;
        self.stage.control("POST", "/_sim/tls", json!({"certificate": "good"}))?;
        let seen = receiver.stop()?;
        for (sum, n) in report.callbacks.iter_mut().zip(seen) {
            *sum += n;
        }
        self.compare(&Met { faults, dialects }, report)
    }

    /// A process of the soak, under its clocks.
    fn process(&self, role: &str, process: usize, notify: &str) -> Result<Command, Failure> {
        let brief = Brief {
            seed: self.options.seed,
            first: self.first,
            end: self.end,
            process,
            processes: self.options.processes,
            threads: self.options.threads,
            accounts: self.accounts.to_owned(),
            folder: self.options.work.clone(),
            time: self.time.file().to_owned(),
            control: self.stage.sim.http_origin(),
            notify: notify.to_owned(),
        };
        let path = self.options.work.join(format!("brief{role}-{process}.json"));
        brief.write(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut command = Command::new(&self.options.program);
        command.arg(role).arg(path);
        self.time.over(&mut command);
        Ok(command)
    }

    fn receiver(&self) -> Result<Receiver, Failure> {
        let io = |e: std::io::Error| format!("the receiver: {e}");
        let mut command = self.process("--receive", 0, "")?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(io)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the receiver has no pipes".into());
        };
        let mut stdout = BufReader::new(stdout);
        let mut url = String::new();
        stdout.read_line(&mut url).map_err(io)?;
        if url.is_empty() {
            return Err("the receiver did not start".into());
        }
        Ok(Receiver { child, stdin, stdout, url: url.trim().to_owned() })
    }

    /// Runs the worker processes to their end, lets time pass between their steps, and kills some on the way.
    fn commands(&mut self, notify: &str, noise: &mut Noise) -> Result<usize, Failure> {
        let io = |e: std::io::Error| format!("a worker: {e}");
        let start = |round: &Round<'_>, process: usize| -> Result<Child, Failure> {
            round.process("--worker", process, notify)?.stdin(Stdio::piped()).spawn().map_err(io)
        };
        let processes = self.options.processes;
        let mut workers = (0..processes).map(|p| start(self, p)).collect::<Result<Vec<_>, _>>()?;
        let mut over = vec![false; workers.len()];
        let mut kills = 0;
        let kill_ms = self.options.kill_ms;
        // In every second step, at some moment of it.
        let in_step = |noise: &mut Noise| {
            let ms = noise.next() % kill_ms.max(1);
            (kill_ms > 0 && noise.percent(50)).then(|| Instant::now() + Duration::from_millis(ms))
        };
        let mut next = in_step(noise);
        let limit = Instant::now() + ROUND_LIMIT;
        let mut stepped = Instant::now();
        self.time.pass(0)?;
        while over.iter().any(|o| !o) {
            for (worker, over) in workers.iter_mut().zip(&mut over) {
                if let Some(status) = worker.try_wait().map_err(io)? {
                    if !*over && !status.success() {
                        return Err(format!("a worker ended with {status}"));
                    }
                    *over = true;
                }
            }
            if self.is_step_done() && stepped.elapsed() >= STEP {
                let ms = 8_000 + noise.below(37_000);
                self.stage.control("POST", "/_sim/clock/advance", json!({"ms": ms}))?;
                self.time.pass(ms as i64)?;
                stepped = Instant::now();
                next = in_step(noise);
            }
            if next.is_some_and(|at| Instant::now() >= at) {
                let victim = noise.below(workers.len());
                if !over[victim] {
                    workers[victim].kill().and_then(|()| workers[victim].wait()).map_err(io)?;
                    // At once, whatever of its requests is still on its way.
                    workers[victim] = start(self, victim)?;
                    kills += 1;
                }
                next = None;
            }
            if Instant::now() > limit {
                workers.iter_mut().for_each(|w| drop(w.kill()));
                return Err("the workers did not end in time".into());
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        Ok(kills)
    }

    /// No thread has anything under way.
    fn is_step_done(&self) -> bool {
        (0..self.threads()).all(|thread| {
            let (step, over) = place_of(&self.options.work, self.first, thread);
            over || step >= self.time.step()
        })
    }

    /// What the journals know.
    fn look(&self) -> Result<Value, Failure> {
        let out = self.process("--look", 0, "")?.stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
        serde_json::from_slice(&out.stdout)
            .map_err(|e| format!("the journals: {e}: {}", String::from_utf8_lossy(&out.stderr)))
    }

    fn compare(&self, met: &Met, report: &mut Report) -> Result<(), Failure> {
        let mut ends: HashMap<String, End> = HashMap::new();
        for thread in 0..self.threads() {
            for line in results(&results_of(&self.options.work, self.first, thread)) {
                for end in list(&line["ends"]) {
                    let end = End::parse(end);
                    ends.insert(end.id.clone(), end);
                }
            }
        }
        let marks = ends.values().map(|e| (e.mark.clone(), e.id.clone())).collect();
        let acts = self.stage.control("GET", "/_sim/acts?by=request", Value::Null)?;
        let truth = oracle::truth(&acts, self.tasks(), &marks);
        report.acts += truth.acts.values().map(Vec::len).sum::<usize>();
        report.violations.extend(truth.nobodys.iter().map(|act| format!("nobody's command did {act}")));
        let journals = if self.options.journal { self.look()? } else { Value::Null };
        for left in list(&journals["left"]) {
            report.violations.push(format!("left unsettled: {left}"));
        }
        for task in self.tasks() {
            for (place, id) in task.ids().iter().enumerate() {
                let end = ends.get(id);
                let told = end.map_or(&[][..], |e| &e.told);
                let recorded = hands::known(&journals["known"][id]);
                for what in oracle::contradictions(truth.of(id), told, end, recorded.as_ref()) {
                    let met = met.all(&task, place);
                    let said: Vec<_> = told.iter().map(|t| t.words()).collect();
                    let said = said.join(", ");
                    let (acts, operation) = (truth.of(id), task.operation(place));
                    report
                        .violations
                        .push(format!("{id} ({operation}): {what}; met {met}; told {said}; acts {acts:?}"));
                }
                report.recorded += usize::from(recorded.is_some());
                if let Some(end) = end {
                    let floor = nothing_could_tell(&task, place, truth.of(id));
                    count(report, met, &task, place, end, floor);
                }
            }
        }
        Ok(())
    }
}

/// What the requests met, by the words in them.
struct Met {
    faults: Value,
    dialects: Value,
}

impl Met {
    /// Everything that its requests met, in order.
    fn all(&self, task: &Task, place: usize) -> String {
        let operation = task.operation(place);
        let key = format!("{} {operation}", task.id);
        format!("{} and {}", self.faults[&task.id], self.dialects[task.platform()][&key])
    }

    /// Of the command of this place: the fault of the last time it was sent, and the dialect.
    fn of(&self, task: &Task, place: usize) -> String {
        let operation = task.operation(place);
        let fault = list(&self.faults[&task.id])
            .iter()
            .filter_map(Value::as_str)
            .filter_map(|m| m.split_once(' ').filter(|(o, _)| *o == operation).map(|(_, f)| f))
            .next_back();
        let key = format!("{} {operation}", task.id);
        let dialects = &self.dialects[task.platform()][&key];
        let dialect = list(dialects).last().map(|d| d.as_str().map_or_else(|| d.to_string(), str::to_owned));
        match (fault.filter(|f| !f.is_empty() && *f != "-"), dialect.filter(|d| !d.is_empty() && d != "null"))
        {
            (None, None) => "nothing".to_owned(),
            (Some(fault), None) => fault.to_owned(),
            (None, Some(dialect)) => dialect,
            (Some(fault), Some(dialect)) => format!("{fault} + {dialect}"),
        }
    }
}

/// Whether nothing that a vendor documents could tell what became of this command, had it been lost. An opening, or a use of a
/// code, that never was: its absence proves nothing. A lane's test and an order that was to be made: no call asks for them.
fn nothing_could_tell(task: &Task, place: usize, acts: &[i64]) -> bool {
    match task.operation(place) {
        "cabinet.open.door" | "youzan.trade.selffetchcode.apply" => acts.is_empty(),
        "delivery_debug" | "order_create" => true,
        _ => false,
    }
}

fn count(report: &mut Report, met: &Met, task: &Task, place: usize, end: &End, floor: bool) {
    report.commands += 1;
    let door = matches!(task.operation(place), "cabinet.open.door" | "deliver" | "delivery_debug");
    report.doors += usize::from(door);
    *report.ends.entry((worker::outcome_word(end.outcome).into(), end.how.clone())).or_default() += 1;
    let mut met = met.of(task, place);
    if met == "nothing" {
        met = match end.first {
            KL_OK => met,
            KL_E_UNSETTLED => "nothing: its process was killed".to_owned(),
            first => format!("nothing of its own: {}", name(first).unwrap_or("?")),
        };
    }
    // Of several together each is counted.
    let kinds: Vec<&str> = if met.starts_with("nothing") {
        vec![&met]
    } else {
        met.split(" + ").flat_map(|m| m.split('+')).collect()
    };
    for kind in kinds {
        *report.by_fault.entry(kind.to_owned()).or_default() += 1;
        *report.unknown_by_fault.entry(kind.to_owned()).or_default() += usize::from(end.unknown);
    }
    report.unknown += usize::from(end.unknown);
    if end.how == "sensor" || end.outcome == Outcome::Unknown {
        // The reason without the name.
        let why = end.why.split(&end.id).last().unwrap_or_default().trim_start_matches(" is not known: ");
        let (outcome, operation) = (worker::outcome_word(end.outcome), task.operation(place));
        let what = format!("{outcome:<8} {} {operation}: {}", task.platform(), cut(why, 90));
        *report.by_sensor.entry((floor, what)).or_default() += 1;
    }
    if door {
        report.refused_first += usize::from(end.knocks > 0);
        report.refused += usize::from(end.how == "blocked");
    }
    let twins = end.told.iter().filter(|t| t.twin).count();
    report.repeated += usize::from(end.repeated) + twins;
}

fn cut(text: &str, most: usize) -> &str {
    let end = text.char_indices().nth(most).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_commands() {
        let all = |seed| (0..500).map(|n| task(seed, n, 8)).map(|t| (t.ids(), t.act)).collect::<Vec<_>>();
        assert_eq!(all(7), all(7));
        assert_ne!(all(7), all(8));
        for platform in ["yopoint", "dingshang", "youzan"] {
            assert!((0..500).any(|n| task(7, n, 8).platform() == platform));
        }
    }
}
