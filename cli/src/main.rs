//! The command `kiosklink`, for the technician at the cabinet.

#![forbid(unsafe_code)]

use kiosklink::client::Client;
use kiosklink::clock::{Source, format_time};
use kiosklink::config::Config;
use kiosklink::error::{Advice, Error};
use kiosklink::json::Writer;
use kiosklink::{log, status};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

const HELP: &str = "\
kiosklink: asks a vendor's cloud from this device, as the firmware would

  kiosklink ping --accounts FILE [--account NAME] [--json]

  ping              is the platform there, does it take the credentials, and is this device's clock right?

  --accounts FILE   the JSON file of accounts that the firmware uses
  --account NAME    which of its accounts; not needed if it holds one
  --json            one line of JSON instead of words
  --help, --version say so, and stop

Ends with 0 if it worked, 1 if it did not (the reason is printed), 64 if it was called wrongly.";

/// `EX_USAGE` of sysexits.h.
const USAGE: u8 = 64;
/// A clock that is off by less needs no word.
const CLOCK_OFF_S: i64 = 5;

#[derive(Default)]
struct Ping {
    accounts: String,
    account: Option<String>,
    json: bool,
}

enum Wish {
    Ping(Ping),
    Say(String),
}

fn parse(mut given: impl Iterator<Item = String>) -> Result<Wish, String> {
    let mut ping = Ping::default();
    let mut command = None;
    while let Some(word) = given.next() {
        let (flag, mut inline) = match word.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag.to_owned(), Some(value.to_owned())),
            _ => (word, None),
        };
        let mut value =
            || inline.take().or_else(|| given.next()).ok_or_else(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--accounts" => ping.accounts = value()?,
            "--account" => ping.account = Some(value()?),
            "--json" => ping.json = true,
            "--help" | "-h" => return Ok(Wish::Say(HELP.into())),
            "--version" | "-V" => {
                return Ok(Wish::Say(format!("kiosklink {}", env!("CARGO_PKG_VERSION"))));
            }
            "ping" if command.is_none() => command = Some(()),
            other if other.starts_with('-') => {
                return Err(format!("unknown argument {other}; --help lists the known ones"));
            }
            other => return Err(format!("unknown command {other}; --help lists the known ones")),
        }
        if inline.is_some() {
            return Err(format!("{flag} takes no value"));
        }
    }
    command.ok_or("say what to do: ping; --help tells more")?;
    if ping.accounts.is_empty() {
        return Err("ping needs --accounts FILE".into());
    }
    Ok(Wish::Ping(ping))
}

/// What a ping that worked found out.
struct Pong {
    platform: &'static str,
    ms: u128,
    time_s: i64,
    source: &'static str,
    /// How far this device's clock is ahead, if the platform told the time.
    ahead_s: Option<i64>,
}

fn ping(wish: &Ping) -> Result<Pong, Error> {
    let client = Client::new(&Config::load(&wish.accounts, wish.account.as_deref())?)?;
    let started = Instant::now();
    client.ping()?;
    let ms = started.elapsed().as_millis();
    let (time_ms, source) = (client.now_ms(), client.time_source());
    let system_ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_millis() as i64,
        Err(before) => -(before.duration().as_millis() as i64),
    };
    Ok(Pong {
        platform: client.platform(),
        ms,
        time_s: time_ms.div_euclid(1000),
        source: match source {
            Source::Platform => "platform",
            Source::Firmware => "firmware",
            Source::System => "system",
            Source::Floor => "floor",
        },
        ahead_s: (source == Source::Platform).then(|| (system_ms - time_ms) / 1000),
    })
}

impl Pong {
    fn words(&self) -> String {
        let mut text = format!(
            "{} answers and takes the credentials, in {} ms with the connection.\n",
            self.platform, self.ms
        );
        match self.ahead_s {
            None => text.push_str("It did not tell the time."),
            Some(s) if s.abs() < CLOCK_OFF_S => {
                text.push_str(&format!("It is {}; this device's clock is right.", format_time(self.time_s)));
            }
            Some(s) => text.push_str(&format!(
                "It is {}; this device's clock is {} s {}: set it.",
                format_time(self.time_s),
                s.abs(),
                if s > 0 { "ahead" } else { "behind" }
            )),
        }
        text
    }

    fn json(&self) -> String {
        let mut w = Writer::new();
        w.raw("ok", "true").text("platform", self.platform).int("ms", self.ms as i64);
        w.int("time", self.time_s).text("time_source", self.source);
        if let Some(s) = self.ahead_s {
            w.int("clock_ahead_s", s);
        }
        w.finish()
    }
}

fn name_of(error: &Error) -> &'static str {
    status::name(error.status()).unwrap_or("KL_E_?")
}

fn error_words(error: &Error) -> String {
    let advice = match error.details().advice {
        Advice::None => "",
        Advice::Retry => "\nTrying again may help.",
        Advice::AskFirst => "\nFind out what became of it first.",
        Advice::CallPerson => "\nA person must look.",
        Advice::Fix => "\nTrying again will not help: something must be put right.",
    };
    format!("{}{advice}\n({})", log::mask(error.message()), name_of(error))
}

fn error_json(error: &Error) -> String {
    let d = error.details();
    let advice = match d.advice {
        Advice::None => "none",
        Advice::Retry => "retry",
        Advice::AskFirst => "ask_first",
        Advice::CallPerson => "call_person",
        Advice::Fix => "fix",
    };
    let mut w = Writer::new();
    w.raw("ok", "false").text("status", name_of(error)).int("code", d.status.into()).text("advice", advice);
    w.int("http_status", d.http_status.into()).int("platform_code", d.platform_code.into());
    w.int("os_errno", d.os_errno.into()).int("retry_after_ms", d.retry_after_ms.into());
    w.text("platform_message", &log::mask(&d.platform_message)).text("message", &log::mask(&d.message));
    w.finish()
}

fn main() -> ExitCode {
    let (code, text) = match parse(std::env::args().skip(1)) {
        Err(why) => {
            eprintln!("kiosklink: {why}");
            return ExitCode::from(USAGE);
        }
        Ok(Wish::Say(text)) => (ExitCode::SUCCESS, text),
        Ok(Wish::Ping(wish)) => match ping(&wish) {
            Ok(pong) => (ExitCode::SUCCESS, if wish.json { pong.json() } else { pong.words() }),
            Err(e) => (ExitCode::FAILURE, if wish.json { error_json(&e) } else { error_words(&e) }),
        },
    };
    // A reader that left early is not worth a panic.
    let _ = writeln!(io::stdout(), "{text}");
    code
}
