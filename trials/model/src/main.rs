//! `kiosklink-model`: the table of `make model`.

use kiosklink_model::knobs::{ALL, Knob, PLANS, Plan};
use kiosklink_model::search::{Found, search};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const USAGE: &str = "usage: kiosklink-model [--all-off | --knobs] [--only WORD] [--most STATES] [--traces]
  --all-off   only the worlds with all knobs off
  --knobs     only with a knob turned
  --only      only the worlds and knobs whose name holds one of these words, with commas between
  --most      stop a search after so many states (2000000)
  --traces    print the shortest way to each violation";

fn main() -> ExitCode {
    let (mut all_off, mut knobs, mut only, mut most, mut traces) =
        (false, false, String::new(), 2_000_000, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match (arg.as_str(), &mut args) {
            ("--all-off", _) => all_off = true,
            ("--knobs", _) => knobs = true,
            ("--traces", _) => traces = true,
            ("--only", rest) => only = rest.next().unwrap_or_default(),
            ("--most", rest) => most = rest.next().and_then(|n| n.parse().ok()).unwrap_or(most),
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(64);
            }
        }
    }
    let mut jobs: Vec<(&Plan, Option<usize>)> =
        PLANS.iter().filter(|_| !knobs).map(|plan| (plan, None)).collect();
    if !all_off {
        for (i, row) in ALL.iter().enumerate() {
            let plan =
                PLANS.iter().find(|plan| plan.name == row.1).expect("a knob's world is one of the worlds");
            jobs.push((plan, Some(i)));
        }
    }
    let called = |job: &(&Plan, Option<usize>)| match job.1 {
        None => job.0.name.to_owned(),
        Some(i) => format!("{:?}", ALL[i].0),
    };
    jobs.retain(|job| only.split(',').any(|word| called(job).contains(word)));
    println!("{:<24}{:<9}{:>10}{:>10}{:>8}  verdict", "knob", "world", "states", "journals", "s");
    let (at, bad) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let printing = Mutex::new(());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(job) = jobs.get(at.fetch_add(1, Ordering::Relaxed)) {
                    let began = Instant::now();
                    let knob: Option<Knob> = job.1.map(|i| ALL[i].0);
                    let found = search(job.0, knob, most);
                    let _one = printing.lock();
                    if !report(job.0, job.1, &found, began.elapsed().as_secs_f32(), traces) {
                        bad.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    match bad.into_inner() {
        0 => ExitCode::SUCCESS,
        n => {
            println!("{n} not as it should be");
            ExitCode::from(1)
        }
    }
}

/// Prints a line; whether it is as it should be.
fn report(plan: &Plan, row: Option<usize>, found: &Found, s: f32, traces: bool) -> bool {
    let (name, fine) = match row {
        None => ("all off".to_owned(), found.wrong.is_none()),
        Some(i) => (format!("{:?}", ALL[i].0), found.wrong.is_some()),
    };
    let verdict = match &found.wrong {
        None if found.whole => "nothing".to_owned(),
        None => format!("nothing within {} steps, then in a part", found.steps),
        Some((wrong, trace)) => format!("{} ({} steps)", wrong.words(), trace.len()),
    };
    println!("{name:<24}{:<9}{:>10}{:>10}{s:>8.1}  {verdict}", plan.name, found.states, found.journals);
    if let Some(i) = row {
        let lines = if ALL[i].3.is_empty() { String::new() } else { format!(" [{}]", ALL[i].3) };
        println!("    {}{lines}", ALL[i].4);
    } else {
        println!("    {}", plan.about);
    }
    if let Some((_, trace)) = found.wrong.as_ref().filter(|_| traces || !fine || row.is_none()) {
        for (i, line) in trace.iter().enumerate() {
            println!("    {:>3}. {line}", i + 1);
        }
    }
    fine
}
