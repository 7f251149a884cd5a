//! `kiosklink-crashtest`: kills a firmware program at every step, and looks whether a door opens twice.

#![forbid(unsafe_code)]

use kiosklink_trials::crash::{self, Moment, Options};
use kiosklink_trials::preload::Death;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const HELP: &str = "\
kiosklink-crashtest: kills a firmware program at every journal write, sync and socket step, starts it again, and looks

  kiosklink-crashtest [options] -- ./program {accounts} {account} {cabinet} {request_id}

The program is given a simulator's account. It must end by itself, and use for one customer action the same request_id in
every start: a program that makes a new one after a restart cannot be protected, by nobody. In its arguments
{accounts}, {account}, {cabinet}, {request_id}, {code} (a pickup code, made for each run), {order} (an order
of Dingshang that nobody has paid) and {state_dir} are filled in.

  --account NAME        yopoint (the default), dingshang, youzan
  --cabinet ID          the cabinet or machine (the first of the simulator's world)
  --request-id TEXT     what {request_id} is (visit-1)
  --id TEXT             a request_id that the program gives to the library; may be repeated ({request_id}); * for all
                        that the journal knows
  --journal on|off      off: the accounts have no state_dir (on)
  --full                before each run the journal is filled so far that it is written anew during the run (yopoint)
  --set KEY=VALUE       one more setting of the accounts
  --sim 'POST /_sim/... {...}'   a control call of the simulator before each run; may be repeated
  --kind WORDS          killed,kept,lost,reset,half,zeros: the process is killed, or the power is cut and of what was not
                        synced all, nothing, half, or NULs are left; reset: nothing is left, in the same boot (all)
  --moment WORDS        before,middle,after the call of a step; fails: a sync fails once, and the process lives (all)
  --only N              only this step; may be repeated
  --again N:MOMENT:KIND the restarted program dies too, there and so
  --pairs N             so many crash points drawn by the seed at which the restarted program dies too (0)
  --restless            a killed program is started again at once: what is on its way is not waited for
  --seed N              (1)
  --jobs N              runs at a time (twice the processors)
  --limit-ms N          how long one start may take (30000)
  --hurry N             how much faster the program's sleep() goes (20)
  --work DIR            a folder to work in (target/trials/crash-PID)
  --expect-violations   the other way round: fails if there are none
  --verbose             what each run did, and what it printed where something was wrong

Exit: 0 no violation, 1 violations, 2 it could not be tried, 64 wrong use. With --expect-violations 0 and 1 change places.";

struct Wish {
    options: Options,
    expected: bool,
}

fn words<T: Copy>(text: &str, all: &[T], name: fn(T) -> &'static str) -> Result<Vec<T>, String> {
    let known = || all.iter().map(|t| name(*t)).collect::<Vec<_>>().join(", ");
    let find = |word: &str| all.iter().copied().find(|t| name(*t) == word);
    text.split(',').map(|w| find(w).ok_or_else(|| format!("{w:?} is none of {}", known()))).collect()
}

fn parse(mut given: impl Iterator<Item = String>) -> Result<Option<Wish>, String> {
    let mut options = Options {
        jobs: 2 * std::thread::available_parallelism().map_or(2, usize::from),
        work: format!("target/trials/crash-{}", std::process::id()).into(),
        ..Options::default()
    };
    let mut expected = false;
    let mut again = None;
    while let Some(flag) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{flag} needs a value"));
        fn number<T: std::str::FromStr>(flag: &str, text: &str) -> Result<T, String> {
            text.parse().map_err(|_| format!("{flag} {text}: not a whole number"))
        }
        match flag.as_str() {
            "--account" => options.account = value()?,
            "--cabinet" => options.cabinet = value()?,
            "--request-id" => options.request_id = value()?,
            "--id" => options.ids.push(value()?),
            "--journal" => {
                options.journal = match value()?.as_str() {
                    "on" => true,
                    "off" => false,
                    other => return Err(format!("--journal {other}: on or off")),
                }
            }
            "--full" => options.full = true,
            "--set" => {
                let text = value()?;
                let (key, value) = text.split_once('=').ok_or(format!("--set {text}: KEY=VALUE"))?;
                options.keys.push((key.to_owned(), json!(value)));
            }
            "--sim" => {
                let text = value()?;
                let mut parts = text.splitn(3, ' ');
                let (method, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                let body = parts.next().map_or(Ok(Value::Null), serde_json::from_str);
                let body = body.map_err(|e| format!("--sim {text}: {e}"))?;
                options.sim.push((method.to_owned(), path.to_owned(), body));
            }
            "--kind" => options.deaths = words(&value()?, &Death::ALL, Death::name)?,
            "--moment" => options.moments = words(&value()?, &Moment::ALL, Moment::name)?,
            "--only" => options.only.push(number(&flag, &value()?)?),
            "--again" => {
                let text = value()?;
                let mut parts = text.split(':');
                let step = number::<usize>(&flag, parts.next().unwrap_or_default())?;
                let moment = words(parts.next().unwrap_or("before"), &Moment::ALL, Moment::name)?;
                let death = words(parts.next().unwrap_or("killed"), &Death::ALL, Death::name)?;
                again = Some((step, moment[0], death[0]));
            }
            "--pairs" => options.pairs = number(&flag, &value()?)?,
            "--seed" => options.seed = number(&flag, &value()?)?,
            "--jobs" => options.jobs = number(&flag, &value()?)?,
            "--limit-ms" => options.limit = Duration::from_millis(number(&flag, &value()?)?),
            "--hurry" => options.hurry = number(&flag, &value()?)?,
            "--work" => options.work = value()?.into(),
            "--restless" => options.restless = true,
            "--expect-violations" => expected = true,
            "--verbose" => options.verbose = true,
            "--help" | "-h" => return Ok(None),
            "--" => {
                options.program = given.collect();
                break;
            }
            other => return Err(format!("unknown argument {other}; --help lists the known ones")),
        }
    }
    if options.full && (options.account != "yopoint" || !options.journal) {
        return Err("--full fills a journal by opening doors of yopoint".into());
    }
    if options.program.is_empty() {
        return Err("give the program behind --".into());
    }
    if options.cabinet.is_empty() {
        options.cabinet = match options.account.as_str() {
            "yopoint" => "5f6da2362201410011000001".into(),
            "dingshang" => "16327129".into(),
            _ => String::new(),
        };
    }
    if options.ids.is_empty() {
        options.ids.push("{request_id}".into());
    }
    options.again = again;
    options.work =
        std::path::absolute(&options.work).map_err(|e| format!("{}: {e}", options.work.display()))?;
    Ok(Some(Wish { options, expected }))
}

fn main() -> ExitCode {
    let wish = match parse(std::env::args().skip(1)) {
        Ok(Some(wish)) => wish,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("kiosklink-crashtest: {why}");
            return ExitCode::from(64);
        }
    };
    let begun = Instant::now();
    let found = crash::run(&wish.options);
    let _ = std::fs::remove_dir_all(&wish.options.work);
    match found {
        Err(why) => {
            eprintln!("kiosklink-crashtest: {why}");
            ExitCode::from(2)
        }
        Ok(report) => {
            let journal = if wish.options.journal { "on" } else { "off" };
            println!("{}; journal {journal}", wish.options.program.join(" "));
            print!("{}", report.words(if wish.expected { 3 } else { 20 }));
            let violations = report.violations();
            println!(
                "{} runs, {violations} with violations{}, {:.1} s.",
                report.endings.len(),
                if wish.expected { " (as they must be)" } else { "" },
                begun.elapsed().as_secs_f32()
            );
            ExitCode::from(u8::from((violations > 0) != wish.expected))
        }
    }
}
