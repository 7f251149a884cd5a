//! `kiosklink-crowd`: thousands of kiosks at one simulator, each with a connection of its own.

#![forbid(unsafe_code)]

use kiosklink::client::Client;
use kiosklink::config::Config;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const HELP: &str = "\
kiosklink-crowd: thousands of kiosks at one simulator; each opens a TLS connection and keeps it, then some of them call

  kiosklink-crowd [options]

  --kiosks N      so many (10000)
  --rate N        calls in a second, each by another kiosk (500)
  --seconds N     for so long (10)
  --most-kb N     the memory that the simulator may hold at most (400000)

Every kiosk is a client of the library. Exit: 0 no call failed and memory, descriptors and threads are bounded, 1 not so,
2 it could not be tried, 64 wrong use.";

struct Options {
    kiosks: usize,
    rate: usize,
    seconds: usize,
    most_kb: usize,
}

fn parse(mut given: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options { kiosks: 10_000, rate: 500, seconds: 10, most_kb: 400_000 };
    while let Some(flag) = given.next() {
        if flag == "--help" || flag == "-h" {
            return Ok(None);
        }
        let text = given.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let number = || text.parse().map_err(|_| format!("{flag} {text}: not a whole number"));
        match flag.as_str() {
            "--kiosks" => options.kiosks = number()?,
            "--rate" => options.rate = number()?.max(1),
            "--seconds" => options.seconds = number()?,
            "--most-kb" => options.most_kb = number()?,
            other => return Err(format!("unknown argument {other}; --help lists the known ones")),
        }
    }
    Ok(Some(options))
}

/// The simulator as a process of its own, so that its memory can be told from the kiosks'.
struct Simulator {
    child: Child,
    folder: PathBuf,
}

/// What that process does: it ends with its standard input.
fn simulate(folder: &Path) -> Result<(), String> {
    let simulator = kiosklink_sim::Simulator::start(Default::default()).map_err(|e| e.to_string())?;
    let ca = folder.join("ca.pem");
    std::fs::write(&ca, simulator.ca_pem())
        .and_then(|()| simulator.write_accounts(&folder.join("accounts.json"), &ca.to_string_lossy()))
        .map_err(|e| format!("{}: {e}", folder.display()))?;
    println!("ready");
    let _ = std::io::stdin().read(&mut [0u8; 1]);
    Ok(())
}

impl Simulator {
    fn start() -> Result<Simulator, String> {
        let folder = std::env::temp_dir().join(format!("kiosklink-crowd-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let child = Command::new(program)
            .arg("--simulate")
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| e.to_string())?;
        let mut simulator = Simulator { child, folder };
        let said = simulator.child.stdout.take().ok_or("no output of the simulator")?;
        let mut ready = String::new();
        BufReader::new(said).read_line(&mut ready).map_err(|e| e.to_string())?;
        if ready.is_empty() { Err("the simulator did not start".into()) } else { Ok(simulator) }
    }

    /// What the kernel says of it: memory in kB, threads, descriptors.
    fn size(&self) -> Result<(usize, usize, usize), String> {
        let process = format!("/proc/{}", self.child.id());
        let status = std::fs::read_to_string(format!("{process}/status")).map_err(|e| e.to_string())?;
        let fields: HashMap<&str, &str> = status.lines().filter_map(|line| line.split_once(':')).collect();
        let field = |name: &str| {
            let words = fields.get(name).and_then(|text| text.split_whitespace().next());
            words.and_then(|word| word.parse().ok()).ok_or_else(|| format!("no {name} in {process}/status"))
        };
        let open = std::fs::read_dir(format!("{process}/fd")).map_err(|e| e.to_string())?.count();
        Ok((field("VmRSS")?, field("Threads")?, open))
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn median(mut times: Vec<Duration>, of_hundred: usize) -> Duration {
    times.sort_unstable();
    times.get(times.len().saturating_sub(1) * of_hundred / 100).copied().unwrap_or_default()
}

fn run(options: &Options) -> Result<bool, String> {
    let simulator = Simulator::start()?;
    let (kb_before, _, fds_before) = simulator.size()?;
    let accounts = simulator.folder.join("accounts.json");
    let accounts = accounts.to_str().ok_or("a folder that is not UTF-8")?;
    let mut config = Config::load(accounts, Some("yopoint")).map_err(|e| e.to_string())?;
    for (key, value) in [("state_dir", "none"), ("idle_timeout_ms", "600000"), ("timeout_ms", "30000")] {
        config.set(key, value).map_err(|e| e.to_string())?;
    }

    let failed = Mutex::new(HashMap::<String, usize>::new());
    let fail =
        |why: String| *failed.lock().unwrap_or_else(PoisonError::into_inner).entry(why).or_default() += 1;
    let begun = Instant::now();
    let kiosks: Vec<Client> = std::thread::scope(|scope| {
        let open = |part: usize| {
            let (config, fail) = (&config, &fail);
            let mine = (part..options.kiosks).step_by(16);
            scope.spawn(move || {
                mine.filter_map(|_| {
                    let kiosk = Client::new(config).and_then(|kiosk| kiosk.ping().map(|()| kiosk));
                    kiosk.map_err(|e| fail(e.to_string())).ok()
                })
                .collect::<Vec<_>>()
            })
        };
        let parts: Vec<_> = (0..16).map(open).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
    });
    println!("{} kiosks have come in {:.1} s.", kiosks.len(), begun.elapsed().as_secs_f32());
    let (kb, threads, fds) = simulator.size()?;
    println!(
        "at rest: {kb} kB in memory ({kb_before} without them), {} descriptors more, {threads} threads",
        fds - fds_before
    );

    let (calls, next) = (options.rate * options.seconds, AtomicUsize::new(0));
    let (begun, times, most) = (Instant::now(), Mutex::new(Vec::new()), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..16.min(calls) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= calls || kiosks.is_empty() {
                        return;
                    }
                    let due = begun + Duration::from_micros(1_000_000 * number as u64 / options.rate as u64);
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    // 7919 is a prime: every kiosk comes once before one comes again.
                    let kiosk = &kiosks[number * 7919 % kiosks.len()];
                    let asked = Instant::now();
                    match kiosk.ping() {
                        Ok(()) => times.lock().unwrap_or_else(PoisonError::into_inner).push(asked.elapsed()),
                        Err(e) => fail(e.to_string()),
                    }
                    if number % options.rate == 0 {
                        let threads = simulator.size().map_or(0, |(_, threads, _)| threads);
                        most.fetch_max(threads, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (took, times) = (begun.elapsed(), times.into_inner().unwrap_or_else(PoisonError::into_inner));
    let (kb, threads, fds) = simulator.size()?;
    let made: usize = kiosks.iter().map(|kiosk| kiosk.stats().connects as usize).sum();
    println!(
        "{} calls in {:.1} s, half of them within {:.1} ms, 99 of 100 within {:.1} ms",
        times.len(),
        took.as_secs_f32(),
        median(times.clone(), 50).as_secs_f32() * 1_000.0,
        median(times, 99).as_secs_f32() * 1_000.0
    );
    println!(
        "after them: {kb} kB, {} descriptors more, {} threads at most; {made} connections were made",
        fds - fds_before,
        most.into_inner().max(threads)
    );
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.iter().for_each(|(why, count)| println!("{count} times: {why}"));
    println!("{} errors", failed.values().sum::<usize>());
    let bounded = kb <= options.most_kb && fds - fds_before <= options.kiosks && made == options.kiosks;
    Ok(failed.is_empty() && bounded)
}

fn main() -> ExitCode {
    kiosklink_sim::raise_descriptors();
    let given: Vec<String> = std::env::args().skip(1).collect();
    let options = match &given[..] {
        [role, folder] if role == "--simulate" => return end(simulate(Path::new(folder)).map(|()| true)),
        _ => parse(given.into_iter()),
    };
    let options = match options {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("kiosklink-crowd: {why}");
            return ExitCode::from(64);
        }
    };
    end(run(&options))
}

fn end(found: Result<bool, String>) -> ExitCode {
    match found {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("kiosklink-crowd: {why}");
            ExitCode::from(2)
        }
    }
}
