//! `kiosklink-soak`: thousands of commands on faulty platforms.

#![forbid(unsafe_code)]

use kiosklink_trials::soak::{self, Options};
use std::path::Path;
use std::process::ExitCode;

const HELP: &str = "\
kiosklink-soak: thousands of commands on platforms with faults, in several threads and processes that are killed

  kiosklink-soak [options]

  --seed N        the same seed gives the same commands and, for each command, the same faults (from the clock)
  --commands N    about so many (20000)
  --processes N   (2)
  --threads N     of each process (8)
  --kill-ms N     in every second step a process is killed, so many ms after its begin at most; 0: never (1500)
  --faults N      so many of a hundred requests meet a fault (25)
  --dialects N    so many of a hundred answers are in a dialect (10)
  --journal on|off    off: no state_dir; then violations must be found (on)
  --work DIR      a folder to work in (target/trials/soak-PID)

Exit: 0 no violation and the shares of what is left to people are kept, 1 not so, 2 it could not be tried, 64 wrong use.";

fn parse(mut given: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut options = Options {
        seed: now.as_secs() % 1_000_000,
        commands: 20_000,
        threads: 8,
        processes: 2,
        kill_ms: 1_500,
        faults: 25,
        dialects: 10,
        journal: true,
        work: format!("target/trials/soak-{}", std::process::id()).into(),
        program: std::env::current_exe().map_err(|e| e.to_string())?,
    };
    while let Some(flag) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{flag} needs a value"));
        fn number<T: std::str::FromStr>(flag: &str, text: &str) -> Result<T, String> {
            text.parse().map_err(|_| format!("{flag} {text}: not a whole number"))
        }
        match flag.as_str() {
            "--seed" => options.seed = number(&flag, &value()?)?,
            "--commands" => options.commands = number(&flag, &value()?)?,
            "--processes" => options.processes = number::<usize>(&flag, &value()?)?.max(1),
            "--threads" => options.threads = number::<usize>(&flag, &value()?)?.max(1),
            "--kill-ms" => options.kill_ms = number(&flag, &value()?)?,
            "--faults" => options.faults = number(&flag, &value()?)?,
            "--dialects" => options.dialects = number(&flag, &value()?)?,
            "--journal" => {
                options.journal = match value()?.as_str() {
                    "on" => true,
                    "off" => false,
                    other => return Err(format!("--journal {other}: on or off")),
                }
            }
            "--work" => options.work = value()?.into(),
            "--help" | "-h" => return Ok(None),
            other => return Err(format!("unknown argument {other}; --help lists the known ones")),
        }
    }
    options.work =
        std::path::absolute(&options.work).map_err(|e| format!("{}: {e}", options.work.display()))?;
    Ok(Some(options))
}

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    if let [role, brief] = &given[..] {
        if matches!(role.as_str(), "--worker" | "--receive" | "--look") {
            return match soak::child(role, Path::new(brief)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(why) => {
                    eprintln!("kiosklink-soak: {why}");
                    ExitCode::from(2)
                }
            };
        }
    }
    let options = match parse(given.into_iter()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("kiosklink-soak: {why}");
            return ExitCode::from(64);
        }
    };
    println!("seed {}", options.seed);
    let found = soak::run(&options, |line| println!("  {line}"));
    match found {
        Err(why) => {
            eprintln!("kiosklink-soak: seed {}: {why}", options.seed);
            ExitCode::from(2)
        }
        Ok(report) => {
            print!("{}", report.words());
            let kept =
                report.shares_are_kept(options.faults > 0 || options.dialects > 0 || options.kill_ms > 0);
            if !kept {
                println!("More is left to people than may be.");
            }
            let clean = report.violations.is_empty() && kept;
            if clean || !options.journal {
                let _ = std::fs::remove_dir_all(&options.work);
            } else {
                println!("seed {}; what the processes left is in {}", options.seed, options.work.display());
            }
            ExitCode::from(u8::from(!clean))
        }
    }
}
