//! The crash tester: a program, killed at every step and started again.

use crate::preload::{self, Death, Disk, Failure, Step};
use crate::stage::{Acts, Stage};
use kiosklink::client::Client;
use kiosklink::command::{Act, CommandFilter, SettledBy};
use kiosklink::config::Config;
use kiosklink::error::Outcome;
use kiosklink::model::DoorRequest;
use kiosklink::status::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a system that dies had for a boot, by its number: each power cut ends one. The last has the real one.
fn earlier_boot(number: usize) -> String {
    format!("0e0a7e1e-0000-4000-8000-{number:012}\n")
}

/// How long a start takes, on the platforms' clock.
const BOOT_MS: u64 = 5_000;
const SIGKILL: i32 = 9;

/// When in a step a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// The call is not made.
    Before,
    /// Half of its bytes are out.
    Middle,
    /// The call is made, its result never seen.
    After,
    /// The process lives: the call, a sync, fails this once, and what it was to make durable is lost with the next cut.
    Fails,
}

impl Moment {
    /// All of them.
    pub const ALL: [Moment; 4] = [Moment::Before, Moment::Middle, Moment::After, Moment::Fails];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Moment::Before => "before",
            Moment::Middle => "middle",
            Moment::After => "after",
            Moment::Fails => "fails",
        }
    }
}

/// What is to be tried.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program and its arguments, with placeholders.
    pub program: Vec<String>,
    /// The account that it is to use.
    pub account: String,
    /// The cabinet.
    pub cabinet: String,
    /// The name of the customer's action.
    pub request_id: String,
    /// The `request_id`s that the program gives to the library, with placeholders.
    pub ids: Vec<String>,
    /// Whether the accounts have a `state_dir`.
    pub journal: bool,
    /// The journal is so full that it is written anew during the run.
    pub full: bool,
    /// How many are run at a time.
    pub jobs: usize,
    /// Only these steps; empty: all.
    pub only: Vec<usize>,
    /// How the process dies.
    pub deaths: Vec<Death>,
    /// When in a step.
    pub moments: Vec<Moment>,
    /// The step and the moment at which the second start dies, and how; in every run.
    pub again: Option<(usize, Moment, Death)>,
    /// So many crash points are drawn at which the restarted program is killed too.
    pub pairs: usize,
    /// The seed of that draw, and of the simulator.
    pub seed: u64,
    /// How often a program is started again until it must have ended by itself.
    pub restarts: u32,
    /// How long one start may take.
    pub limit: Duration,
    /// A process that was killed is started again at once: the network is not waited for.
    pub restless: bool,
    /// How much faster the program's sleep goes.
    pub hurry: u32,
    /// Control calls before each run: method, path, body.
    pub sim: Vec<(String, String, Value)>,
    /// More settings of the accounts.
    pub keys: Vec<(String, Value)>,
    /// Says what each run did.
    pub verbose: bool,
    /// A folder to work in.
    pub work: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            program: Vec::new(),
            account: "yopoint".into(),
            cabinet: String::new(),
            request_id: "visit-1".into(),
            ids: Vec::new(),
            journal: true,
            full: false,
            jobs: 4,
            only: Vec::new(),
            deaths: Death::ALL.to_vec(),
            moments: Moment::ALL.to_vec(),
            again: None,
            pairs: 0,
            seed: 1,
            restarts: 3,
            limit: Duration::from_secs(30),
            restless: false,
            hurry: 20,
            sim: Vec::new(),
            keys: Vec::new(),
            verbose: false,
            work: PathBuf::new(),
        }
    }
}

/// One run: where the process dies, and perhaps where it dies again.
#[derive(Clone, Debug)]
pub struct Case {
    /// The number of the step.
    pub step: usize,
    /// When in it.
    pub moment: Moment,
    /// How.
    pub death: Death,
    /// The step and the moment at which the second start dies, and how.
    pub again: Option<(usize, Moment, Death)>,
}

impl Case {
    fn words(&self) -> String {
        let mut text =
            format!("--only {} --moment {} --kind {}", self.step, self.moment.name(), self.death.name());
        if let Some((step, moment, death)) = self.again {
            let _ = write!(text, " --again {step}:{}:{}", moment.name(), death.name());
        }
        text
    }
}

/// What became of one of the program's commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Recorded as done.
    Done,
    /// Recorded as not done, or never begun.
    NotDone,
    /// Unknown, and a query told.
    Resolved,
    /// Unknown, and only a sensor could tell.
    Settled,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Ending {
    /// The run.
    pub case: Case,
    /// The process did die there.
    pub reached: bool,
    /// A power cut at that moment takes something.
    pub at_risk: bool,
    /// The exit code of the start that ended by itself.
    pub exit: Option<i32>,
    /// Something happened less often than without a crash.
    pub less: bool,
    /// What became of the commands.
    pub fates: Vec<Fate>,
    /// What must not be.
    pub violations: Vec<String>,
}

/// Everything that was found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The steps of a run without a crash.
    pub steps: Vec<Step>,
    /// What happens in such a run.
    pub acts: Acts,
    /// How many crash points there are: moments of steps.
    pub points: usize,
    /// The runs.
    pub endings: Vec<Ending>,
    /// Runs that need not be made, as nothing was at risk: the same as `kept`.
    pub same: BTreeMap<Death, usize>,
}

impl Report {
    /// How many runs have something that must not be.
    pub fn violations(&self) -> usize {
        self.endings.iter().filter(|e| !e.violations.is_empty()).count()
    }

    /// The table and the first violations.
    pub fn words(&self, shown: usize) -> String {
        let mut text = String::new();
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        for step in &self.steps {
            *names.entry(&step.name).or_default() += 1;
        }
        let names: Vec<_> = names.iter().map(|(name, n)| format!("{n} {name}")).collect();
        let _ =
            writeln!(text, "{} steps: {}; {} crash points.", self.steps.len(), names.join(", "), self.points);
        let _ = writeln!(
            text,
            "{:<28} {:>5} {:>6} {:>6} {:>10} | {:>5} {:>8} {:>8} {:>8} | {:>5}",
            "kind of death",
            "runs",
            "died",
            "same",
            "violations",
            "done",
            "not done",
            "resolved",
            "settled",
            "less"
        );
        for death in Death::ALL {
            let of: Vec<_> = self.endings.iter().filter(|e| e.case.death == death).collect();
            let same = self.same.get(&death).copied().unwrap_or(0);
            if of.is_empty() && same == 0 {
                continue;
            }
            let fate = |f: Fate| of.iter().flat_map(|e| &e.fates).filter(|x| **x == f).count();
            let _ = writeln!(
                text,
                "{:<28} {:>5} {:>6} {:>6} {:>10} | {:>5} {:>8} {:>8} {:>8} | {:>5}",
                death.about(),
                of.len(),
                of.iter().filter(|e| e.reached).count(),
                same,
                of.iter().filter(|e| !e.violations.is_empty()).count(),
                fate(Fate::Done),
                fate(Fate::NotDone),
                fate(Fate::Resolved),
                fate(Fate::Settled),
                of.iter().filter(|e| e.less).count(),
            );
        }
        for ending in self.endings.iter().filter(|e| !e.violations.is_empty()).take(shown) {
            let step = self.steps.iter().find(|s| s.number == ending.case.step);
            let what = step.map_or(String::new(), |s| format!("{} {}", s.name, s.place));
            let _ = writeln!(
                text,
                "VIOLATION {} ({what}): {}",
                ending.case.words(),
                ending.violations.join("; ")
            );
        }
        text
    }
}

/// Runs everything.
pub fn run(options: &Options) -> Result<Report, Failure> {
    fs::create_dir_all(&options.work).map_err(|e| format!("{}: {e}", options.work.display()))?;
    let shim = preload::build(&options.work)?;
    let first = Job::new(options, &shim, 0)?;
    let reference = first.reference()?;
    let points = points(options, &reference.steps);
    let mut endings = Vec::new();
    let mut same = BTreeMap::new();

    // First the process alone dies: that also tells at which points a power cut takes something.
    let cases = |death: Death, points: &[(usize, Moment)]| {
        let case = |(step, moment): &(usize, Moment)| Case {
            step: *step,
            moment: *moment,
            death,
            again: options.again,
        };
        points.iter().map(case).collect::<Vec<_>>()
    };
    let mut at_risk = points.clone();
    if options.deaths.contains(&Death::Killed) || options.journal {
        let killed = all(options, &shim, &reference, cases(Death::Killed, &points))?;
        let risky = |e: &&Ending| e.at_risk || !e.reached;
        at_risk = killed.iter().filter(risky).map(|e| (e.case.step, e.case.moment)).collect();
        if options.deaths.contains(&Death::Killed) {
            endings.extend(killed);
        }
    }
    let mut more = Vec::new();
    for death in options.deaths.iter().copied().filter(|d| *d != Death::Killed) {
        // Without a journal a power cut is a kill.
        let of = match death {
            _ if !options.journal => continue,
            Death::Kept => &points,
            _ => &at_risk,
        };
        more.extend(cases(death, of));
        same.insert(death, points.len() - of.len());
    }
    more.extend(pairs(options, &points));
    endings.extend(all(options, &shim, &reference, more)?);
    Ok(Report { points: points.len(), steps: reference.steps, acts: reference.acts, endings, same })
}

/// Every moment of every step.
fn points(options: &Options, steps: &[Step]) -> Vec<(usize, Moment)> {
    let wanted = |s: &&Step| options.only.is_empty() || options.only.contains(&s.number);
    let of = |s: &Step| {
        let (number, middle) = (s.number, s.has_middle());
        let sync = s.is_sync();
        let fits = move |m: &Moment| match m {
            Moment::Middle => middle,
            Moment::Fails => sync,
            _ => true,
        };
        options.moments.clone().into_iter().filter(fits).map(move |m| (number, m))
    };
    steps.iter().filter(wanted).flat_map(of).collect()
}

/// Crash points, each with one at which the program dies again.
fn pairs(options: &Options, points: &[(usize, Moment)]) -> Vec<Case> {
    let mut noise = Noise(options.seed);
    let mut all = Vec::new();
    while all.len() < options.pairs && !points.is_empty() {
        let (step, moment) = points[noise.below(points.len())];
        // The second start often has fewer steps.
        let last = points.len().div_ceil(1 + noise.below(4));
        let again = points[noise.below(last)];
        let mut death = || options.deaths[noise.below(options.deaths.len())];
        all.push(Case { step, moment, death: death(), again: Some((again.0, again.1, death())) });
    }
    all
}

/// Numbers from a seed.
#[derive(Clone, Debug)]
pub struct Noise(pub u64);

impl Noise {
    /// The next number (SplitMix64).
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below a bound, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, chance: u32) -> bool {
        self.below(100) < chance as usize
    }
}

fn all(
    options: &Options,
    shim: &Path,
    reference: &Reference,
    cases: Vec<Case>,
) -> Result<Vec<Ending>, Failure> {
    let queue = Mutex::new(cases.into_iter().enumerate().collect::<VecDeque<_>>());
    let ended = Mutex::new(Vec::new());
    let locked = |n: usize| -> Result<(), Failure> {
        let job = Job::new(options, shim, n)?;
        loop {
            let Some((at, case)) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else {
                return Ok(());
            };
            let ending = job.one(&case, reference)?;
            if options.verbose {
                println!("{}: {ending:?}", case.words());
            }
            ended.lock().unwrap_or_else(PoisonError::into_inner).push((at, ending));
        }
    };
    std::thread::scope(|scope| {
        let jobs: Vec<_> = (1..=options.jobs.max(1)).map(|n| scope.spawn(move || locked(n))).collect();
        jobs.into_iter().try_for_each(|job| job.join().map_err(|_| Failure::from("a job panicked"))?)
    })?;
    let mut ended = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    ended.sort_by_key(|(at, _)| *at);
    Ok(ended.into_iter().map(|(_, ending)| ending).collect())
}

/// A run without a crash.
struct Reference {
    steps: Vec<Step>,
    acts: Acts,
    paid: Acts,
    exit: i32,
}

/// What one thread works with.
struct Job<'a> {
    options: &'a Options,
    shim: &'a Path,
    folder: PathBuf,
    stage: Stage,
}

/// How a start of the program ended.
struct Start {
    status: Option<ExitStatus>,
}

/// What the program is given in one run.
struct Scene {
    accounts: PathBuf,
    code: String,
    order: String,
}

impl<'a> Job<'a> {
    fn new(options: &'a Options, shim: &'a Path, number: usize) -> Result<Job<'a>, Failure> {
        let folder = options.work.join(format!("job-{number}"));
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let stage = Stage::new(&folder, options.seed)?;
        Ok(Job { options, shim, folder, stage })
    }

    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn shadow(&self) -> PathBuf {
        self.folder.join("shadow")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("steps")
    }

    fn filled(&self, word: &str, scene: &Scene) -> String {
        word.replace("{accounts}", &scene.accounts.to_string_lossy())
            .replace("{account}", &self.options.account)
            .replace("{cabinet}", &self.options.cabinet)
            .replace("{request_id}", &self.options.request_id)
            .replace("{code}", &scene.code)
            .replace("{order}", &scene.order)
            .replace("{state_dir}", &self.state().to_string_lossy())
    }

    /// A new world, a new journal.
    fn scene(&self) -> Result<Scene, Failure> {
        let io = |e: std::io::Error| format!("{}: {e}", self.folder.display());
        for folder in [self.state(), self.shadow()] {
            emptied(&folder).map_err(io)?;
            fs::create_dir_all(&folder).map_err(io)?;
        }
        self.stage.control("POST", "/_sim/reset", Value::Null)?;
        // Doors that stay open for two seconds would make thousands of runs last.
        let quick = json!({"door_open_ms": 30, "recognition_ms": 10});
        self.stage.control("POST", "/_sim/yopoint/settings", quick)?;
        self.stage.control("POST", "/_sim/dingshang/settings", json!({"result_ms": 20}))?;
        let mut keys = vec![("timeout_ms", json!(10_000))];
        if self.options.journal {
            keys.push(("state_dir", json!(self.state())));
        } else {
            keys.push(("state_dir", json!("none")));
        }
        keys.extend(self.options.keys.iter().map(|(k, v)| (k.as_str(), v.clone())));
        let accounts = self.stage.accounts(&keys)?;
        let asked = |what| self.options.program.iter().chain(&self.options.ids).any(|w| w.contains(what));
        let (code, order) = (asked("{code}"), asked("{order}"));
        let (mut scene, given) =
            (Scene { accounts, code: String::new(), order: String::new() }, &self.options);
        if code || order {
            let plain = self.stage.sim.accounts(&self.folder.join("ca.pem").to_string_lossy());
            let path = self.folder.join("shop.json");
            fs::write(&path, plain.to_string()).map_err(io)?;
            if code {
                scene.code = self.stage.new_code(&path, &given.account, &given.cabinet)?;
            }
            if order {
                scene.order = self.stage.new_order(&path, &given.account, &given.cabinet)?;
            }
        }
        self.stage.settle()?;
        for (method, path, body) in &self.options.sim {
            self.stage.control(method, path, body.clone())?;
        }
        if self.options.full {
            return self.fill(scene);
        }
        self.disk(|disk| disk.settle())?;
        Ok(scene)
    }

    /// Puts earlier commands into the journal, until the next one makes the library write it anew.
    fn fill(&self, scene: Scene) -> Result<Scene, Failure> {
        let io = |e: std::io::Error| format!("{}: {e}", self.folder.display());
        let kept = self.folder.join("full");
        if !kept.exists() {
            let most = self.earlier(&scene, usize::MAX)?;
            for entry in fs::read_dir(self.state()).map_err(io)? {
                fs::remove_file(entry.map_err(io)?.path()).map_err(io)?;
            }
            self.earlier(&scene, most)?;
            fs::create_dir_all(&kept).map_err(io)?;
            copy(&self.state(), &kept).map_err(io)?;
            // What happened for that belongs to another day.
            return self.scene();
        }
        copy(&kept, &self.state()).map_err(io)?;
        self.disk(|disk| disk.settle())?;
        Ok(scene)
    }

    /// Gives so many commands, or as many as the journal takes before it is written anew; answers how many.
    fn earlier(&self, scene: &Scene, most: usize) -> Result<usize, Failure> {
        let client = self.client(scene)?;
        let words = |e: kiosklink::error::Error| format!("the journal cannot be filled: {}", e.message());
        let mut bytes = 0;
        for n in 0..most.min(5_000) {
            let request = DoorRequest {
                request_id: format!("earlier-{n}"),
                cabinet_id: self.options.cabinet.clone(),
                user_id: "customer-0".into(),
                ..DoorRequest::default()
            };
            client.door_open(&request).map_err(words)?;
            self.stage.control("POST", "/_sim/clock/advance", json!({"ms": 100}))?;
            let now = client.journal_info().map_err(words)?.bytes;
            if now < bytes {
                return Ok(n);
            }
            bytes = now;
        }
        Ok(most)
    }

    fn disk<T>(&self, act: impl FnOnce(Disk<'_>) -> std::io::Result<T>) -> Result<T, Failure> {
        let (folder, shadow) = (self.state(), self.shadow());
        act(Disk { folder: &folder, shadow: &shadow }).map_err(|e| format!("{}: {e}", folder.display()))
    }

    /// Starts the program and waits for its end; none if it did not end in time.
    fn start(
        &self,
        scene: &Scene,
        kill: Option<(usize, Moment)>,
        boot: Option<usize>,
        log: bool,
    ) -> Result<Start, Failure> {
        let words: Vec<String> = self.options.program.iter().map(|w| self.filled(w, scene)).collect();
        let Some((program, arguments)) = words.split_first() else {
            return Err("no program is given".into());
        };
        let io = |e: std::io::Error| format!("{program}: {e}");
        let output =
            File::options().create(true).append(true).open(self.folder.join("output")).map_err(io)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(io)?)
            .stderr(output)
            .env("LD_PRELOAD", self.shim)
            .env("KL_CRASH_DIR", self.state())
            .env("KL_CRASH_SHADOW", self.shadow())
            .env("KL_CRASH_HURRY", self.options.hurry.to_string());
        if log {
            command.env("KL_CRASH_LOG", self.log());
        }
        if let Some((step, moment)) = kill {
            command.env("KL_CRASH_AT", step.to_string()).env("KL_CRASH_HOW", moment.name());
        }
        if let Some(number) = boot {
            let boot = self.folder.join("boot_id");
            fs::write(&boot, earlier_boot(number)).map_err(io)?;
            command.env("KL_CRASH_BOOT_ID", boot);
        }
        let mut child = command.spawn().map_err(io)?;
        let end = Instant::now() + self.options.limit;
        loop {
            if let Some(status) = child.try_wait().map_err(io)? {
                return Ok(Start { status: Some(status) });
            }
            if Instant::now() >= end {
                child.kill().and_then(|()| child.wait()).map_err(io)?;
                return Ok(Start { status: None });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What the last run printed.
    fn output(&self) -> String {
        fs::read_to_string(self.folder.join("output")).unwrap_or_default()
    }

    fn forget_output(&self) {
        let _ = fs::remove_file(self.folder.join("output"));
    }

    /// A run without a crash: how many steps it has, and what it does.
    fn reference(&self) -> Result<Reference, Failure> {
        self.forget_output();
        let _ = fs::remove_file(self.log());
        let scene = self.scene()?;
        let start = self.start(&scene, None, None, true)?;
        let exit = start.status.and_then(|s| s.code());
        let Some(exit) = exit else {
            return Err(format!(
                "the program does not end by itself, even without a crash:\n{}",
                self.output()
            ));
        };
        self.stage.settle()?;
        let (steps, acts, paid) = (preload::steps(&self.log()), self.stage.acts()?, self.stage.payments()?);
        if steps.is_empty() {
            return Err(format!(
                "the shim saw no step: is the program linked dynamically with its C library?\n{}",
                self.output()
            ));
        }
        let opened: u64 = acts.values().sum();
        if self.options.journal {
            let client = self.client(&scene)?;
            let names = self.names(&client, &scene)?;
            let acted = |id: &&String| client.command_get(id).is_ok_and(|c| !is_report(&c.act));
            let ids = names.iter().filter(acted).count();
            if ids as u64 != opened {
                return Err(format!(
                    "without a crash {opened} things happen, but the journal of {:?} knows {ids} of the request_ids given \
                     with --id; give each that the program uses. It printed:\n{}",
                    self.options.account,
                    self.output()
                ));
            }
        }
        if acts.is_empty() && paid.is_empty() {
            return Err(format!(
                "the program opens no door, redeems no code and reports no payment, even without a crash; it exits with {exit}:\n{}",
                self.output()
            ));
        }
        Ok(Reference { steps, acts, paid, exit })
    }

    fn one(&self, case: &Case, reference: &Reference) -> Result<Ending, Failure> {
        self.forget_output();
        let scene = self.scene()?;
        let mut ending = Ending {
            case: case.clone(),
            reached: false,
            at_risk: false,
            exit: None,
            less: false,
            fates: Vec::new(),
            violations: Vec::new(),
        };
        let killed = |s: &Start| s.status.is_some_and(|s| s.signal() == Some(SIGKILL));
        let mut kills = VecDeque::from([(case.step, case.moment, case.death)]);
        kills.extend(case.again);
        let mut starts = 0;
        let last = loop {
            let kill = kills.pop_front();
            // A start that is to die by a power cut is in a boot of its own.
            let boot = Some(starts).filter(|_| kill.is_some_and(|(.., death)| death.boots()));
            let start = self.start(&scene, kill.map(|(step, moment, _)| (step, moment)), boot, false)?;
            starts += 1;
            if start.status.is_none() {
                let limit = self.options.limit.as_secs_f32();
                ending.violations.push(format!("start {starts} did not end within {limit} s"));
                break start;
            }
            // After a sync that failed the process goes on to its end, and what was not made durable is lost then.
            let failed = kill.is_some_and(|(_, moment, _)| moment == Moment::Fails) && !killed(&start);
            if !killed(&start) && !failed || starts > self.options.restarts as usize + 2 {
                break start;
            }
            // What was sent arrives long before a machine has started again, and doors have shut meanwhile. A process is
            // started again at once, whatever is still on its way.
            if kill.is_none_or(|(.., death)| death.boots()) || !self.options.restless {
                self.stage.settle()?;
                self.stage.control("POST", "/_sim/clock/advance", json!({"ms": BOOT_MS}))?;
            }
            if starts == 1 {
                ending.reached = true;
                ending.at_risk = self.options.journal && self.disk(|disk| disk.is_at_risk())?;
            }
            if let Some((.., death)) = kill {
                self.disk(|disk| disk.cut(death))?;
            }
        };
        self.stage.settle()?;
        ending.exit = last.status.and_then(|s| s.code());
        if let Some(signal) = last.status.and_then(|s| s.signal()) {
            ending.violations.push(format!("the program died of signal {signal} by itself"));
        }
        if starts == 1
            && case.moment != Moment::Fails
            && ending.exit.is_some_and(|code| code != reference.exit)
        {
            ending.violations.push(format!("it was not killed, and yet exits with {:?}", ending.exit));
        }
        let acts = self.stage.acts()?;
        for (what, times) in &acts {
            // What a run without a crash does not do at all is compared with once.
            let once = reference.acts.get(what).copied().unwrap_or(1);
            if *times > once {
                ending.violations.push(format!("{what}: {times} times, not {once}"));
            }
        }
        let sum = |acts: &Acts| acts.values().sum::<u64>();
        let paid = self.stage.payments()?;
        for (order, times) in paid.iter().filter(|(_, times)| **times > 1) {
            ending.violations.push(format!("order {order} was reported as paid {times} times"));
        }
        ending.less = sum(&acts) < sum(&reference.acts) || sum(&paid) < sum(&reference.paid);
        if self.options.journal {
            self.ask(&scene, &acts, &paid, &mut ending)?;
        }
        if !ending.violations.is_empty() && self.options.verbose {
            println!("{}", self.output());
        }
        Ok(ending)
    }

    fn client(&self, scene: &Scene) -> Result<Client, Failure> {
        let words = |e: kiosklink::error::Error| e.message().to_owned();
        let config = Config::load(&scene.accounts.to_string_lossy(), Some(&self.options.account));
        config.and_then(|config| Client::new(&config)).map_err(words)
    }

    /// The names of the program's acts: those given, or with `*` all that the journal knows.
    fn names(&self, client: &Client, scene: &Scene) -> Result<Vec<String>, Failure> {
        if !self.options.ids.iter().any(|id| id == "*") {
            return Ok(self.options.ids.iter().map(|id| self.filled(id, scene)).collect());
        }
        match client.commands_list(0, CommandFilter::Any) {
            Ok(all) => Ok(all.into_iter().map(|c| c.request_id).collect()),
            Err(e) => Err(e.message().to_owned()),
        }
    }

    /// What is said of each report is true, and one of which nobody knows can be settled by what the platform has booked.
    fn payments(&self, client: &Client, paid: &Acts, ending: &mut Ending) -> Result<(), Failure> {
        let mut wrong = |what: String| ending.violations.push(what);
        let Ok(all) = client.commands_list(0, CommandFilter::Any) else { return Ok(()) };
        for known in all {
            let Act::Write { order_no, .. } = &known.act else { continue };
            let (id, happened) = (&known.request_id, paid.contains_key(order_no));
            if !is_report(&known.act) {
                continue;
            }
            match known.outcome {
                Outcome::Done if !happened => {
                    wrong(format!("{id}: the payment is said to be done, but is not"))
                }
                Outcome::NotDone if happened => {
                    wrong(format!("{id}: the payment is said to be not done, but is"))
                }
                Outcome::Unknown => {
                    let seen = if happened { Outcome::Done } else { Outcome::NotDone };
                    if let Err(e) = settled(client, id, seen) {
                        wrong(format!("{id}: the payment cannot be settled: {}", e.message()));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What the library says of the program's commands, afterwards.
    fn ask(&self, scene: &Scene, acts: &Acts, paid: &Acts, ending: &mut Ending) -> Result<(), Failure> {
        let client = self.client(scene)?;
        let mut done = 0;
        let (mut doors, mut doubted) = (Vec::new(), Vec::new());
        for id in self.names(&client, scene)? {
            let mut wrong = |what: String| ending.violations.push(format!("{id}: {what}"));
            let known = match client.command_get(&id) {
                Ok(known) => known,
                Err(e) if e.status() == KL_E_NOT_FOUND => {
                    ending.fates.push(Fate::NotDone);
                    continue;
                }
                Err(e) => {
                    wrong(format!("the journal cannot be read: {}", e.message()));
                    continue;
                }
            };
            let happened = happened(&known.act, acts, paid);
            if let Act::Door(request) = &known.act {
                doors.push(request.clone());
            }
            let (outcome, fate) = match known.outcome {
                Outcome::Done if known.settled_by == SettledBy::Sensor => (Outcome::Done, Fate::Settled),
                Outcome::Done if known.settled_by == SettledBy::Answer => (Outcome::Done, Fate::Done),
                Outcome::Done => (Outcome::Done, Fate::Resolved),
                Outcome::NotDone => (Outcome::NotDone, Fate::NotDone),
                _ if known.status == KL_E_IN_FLIGHT => {
                    wrong("counts as under way, and nobody is left who does it".into());
                    continue;
                }
                _ => match client.command_resolve(&id) {
                    Ok(_) => (Outcome::Done, Fate::Resolved),
                    Err(e) if e.details().outcome == Outcome::NotDone => (Outcome::NotDone, Fate::Resolved),
                    Err(_) => {
                        let seen = if happened { Outcome::Done } else { Outcome::NotDone };
                        if let Err(e) = settled(&client, &id, seen) {
                            wrong(format!("a sensor cannot settle it: {}", e.message()));
                        }
                        (seen, Fate::Settled)
                    }
                },
            };
            ending.fates.push(fate);
            done += u64::from(outcome == Outcome::Done && !is_report(&known.act));
            match (outcome, happened) {
                (Outcome::Done, false) => wrong("is said to be done, but did not happen".into()),
                (Outcome::NotDone, true) => {
                    doubted.push(format!("{id}: is said to be not done, but happened"))
                }
                _ => {}
            }
        }
        let opened: u64 = acts.values().sum();
        // A program that makes its names may have begun anew after one that was not done: the same code, by another name. Then
        // as many are done as there were acts.
        if opened > done || !self.options.ids.iter().any(|id| id == "*") {
            ending.violations.append(&mut doubted);
        }
        if opened > done && ending.violations.is_empty() {
            ending.violations.push(format!("{opened} things happened, and only {done} are said to be done"));
        }
        self.payments(&client, paid, ending)?;
        match client.commands_pending() {
            Ok(left) if left.is_empty() => {}
            Ok(left) => {
                let names: Vec<_> = left.iter().map(|c| c.request_id.as_str()).collect();
                ending.violations.push(format!("left unsettled: {}", names.join(", ")));
            }
            Err(e) => ending.violations.push(format!("the journal cannot be read: {}", e.message())),
        }
        // Whatever it was: the door can be opened for the next customer. A fault that the program did not live to meet is not
        // theirs.
        self.stage.control("DELETE", "/_sim/faults", json!(null))?;
        for (n, door) in doors.into_iter().enumerate() {
            let request_id = format!("{}-next-{n}", self.options.request_id);
            if let Err(e) = client.door_open(&DoorRequest { request_id, ..(*door).clone() }) {
                if !matches!(e.status(), KL_E_ORDER_STATE | KL_E_DUPLICATE | KL_E_BUSY)
                    && e.details().platform_code == 0
                {
                    ending.violations.push(format!("the next customer is refused: {}", e.message()));
                }
            }
        }
        Ok(())
    }
}

/// What a sensor saw. Before maturity *not done* must be refused; here nothing is on its way any more, and a person who knows
/// that says so aloud.
fn settled(client: &Client, id: &str, seen: Outcome) -> Result<(), kiosklink::error::Error> {
    match client.command_settle(id, seen, SettledBy::Sensor, "door contact") {
        Err(e) if e.status() == KL_E_TOO_EARLY => client.command_overrule(id, seen, "looked at the door"),
        other => other,
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Whether the simulator saw it.
fn happened(act: &Act, acts: &Acts, paid: &Acts) -> bool {
    match act {
        Act::Door(request) => {
            let cabinet = format!(" of {}", request.cabinet_id);
            acts.keys().any(|what| what.starts_with("door ") && what.ends_with(&cabinet))
        }
        Act::Redeem(_) => acts.keys().any(|what| what.starts_with("code ")),
        Act::Write { order_no, .. } => is_report(act) && paid.contains_key(order_no),
    }
}

/// Whether it tells the platform of a payment: what it does is counted by order, not as an act.
fn is_report(act: &Act) -> bool {
    matches!(act, Act::Write { verb, .. } if verb == "payment_report")
}

/// Removes a folder with all in it. A process that was killed in the middle of a call may finish making a file.
fn emptied(folder: &std::path::Path) -> std::io::Result<()> {
    let mut tries = 0;
    loop {
        match fs::remove_dir_all(folder) {
            Err(e) if e.raw_os_error() == Some(39) && tries < 100 => tries += 1,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => return other,
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
