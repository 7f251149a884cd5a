//! The simulator as a program of its own.

#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use kiosklink_sim::{Options, Simulator};
use serde_json::{Value, json};

const HELP: &str = "\
kiosklink-sim: the platforms behind kiosklink, on the loopback

When it is ready it prints one line of JSON: addresses, the CA file, an account for each platform. \"console\" in it
is the address to open in a browser: http://localhost:PORT/ shows the doors, live.

  --listen ADDRESS:PORT   where to listen, loopback only (127.0.0.1:0, a free port)
  --ca-file PATH          write the certificate authority there, in PEM
  --info-file PATH        write the line of JSON there too, whole or not at all
  --accounts-file PATH    write a kiosklink accounts file there (needs --ca-file), and make the folder beside it that
                          its accounts name as their state_dir: accounts.state for accounts.json
  --seed N                the seed of everything that is made up (1)
  --dialect SEED | JSON   let the platforms speak in dialects: a seed for all of them, a quarter of the answers; or
                          what POST /_sim/dialect takes. May be given more than once
  --until-eof             stop when the standard input closes or the parent process ends
  --help, --version       say so, and stop

Everything else is done through /_sim or in the console at /; see the README of the simulator.";

#[derive(Default)]
struct Arguments {
    options: Options,
    ca_file: Option<PathBuf>,
    info_file: Option<PathBuf>,
    accounts_file: Option<PathBuf>,
    dialects: Vec<Value>,
    until_eof: bool,
}

enum Wish {
    Run(Arguments),
    Say(String),
}

fn parse(mut given: impl Iterator<Item = String>) -> Result<Wish, String> {
    let mut arguments = Arguments::default();
    while let Some(word) = given.next() {
        let (flag, mut inline) = match word.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        let mut value =
            || inline.take().or_else(|| given.next()).ok_or_else(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--listen" => {
                let text = value()?;
                let wrong = |_| format!("--listen {text}: not an address like 127.0.0.1:8443");
                arguments.options.listen = text.parse().map_err(wrong)?;
            }
            "--seed" => {
                let text = value()?;
                arguments.options.seed =
                    text.parse().map_err(|_| format!("--seed {text}: not a whole number"))?;
            }
            "--ca-file" => arguments.ca_file = Some(value()?.into()),
            "--info-file" => arguments.info_file = Some(value()?.into()),
            "--accounts-file" => arguments.accounts_file = Some(value()?.into()),
            "--dialect" => {
                let text = value()?;
                let wish = match text.parse::<u64>() {
                    Ok(seed) => json!({"seed": seed, "share": 0.25}),
                    Err(_) => serde_json::from_str(&text)
                        .map_err(|e| format!("--dialect {text}: neither a seed nor JSON: {e}"))?,
                };
                arguments.dialects.push(wish);
            }
            "--until-eof" => arguments.until_eof = true,
            "--help" | "-h" => return Ok(Wish::Say(HELP.into())),
            "--version" | "-V" => {
                return Ok(Wish::Say(format!("kiosklink-sim {}", env!("CARGO_PKG_VERSION"))));
            }
            other => return Err(format!("unknown argument {other}; --help lists the known ones")),
        }
        if inline.is_some() {
            return Err(format!("{flag} takes no value"));
        }
    }
    if arguments.accounts_file.is_some() && arguments.ca_file.is_none() {
        return Err("--accounts-file needs --ca-file, because the accounts name it".into());
    }
    Ok(Wish::Run(arguments))
}

/// Writes a file whole or not at all.
fn write_file(path: &Path, text: &str) -> Result<(), String> {
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}.part", std::process::id()));
    std::fs::write(&part, text)
        .and_then(|()| std::fs::rename(&part, path))
        .map_err(|e| format!("cannot write {}: {e}", path.display()))
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|e| format!("cannot make {} absolute: {e}", path.display()))
}

fn run(arguments: Arguments) -> Result<(), String> {
    let listen = arguments.options.listen;
    let simulator =
        Simulator::start(arguments.options).map_err(|e| format!("cannot start on {listen}: {e}"))?;
    for dialect in arguments.dialects {
        let (status, answer) = simulator.control("POST", "/_sim/dialect", dialect.clone());
        if status != 200 {
            return Err(format!("--dialect {dialect}: {}", answer["error"].as_str().unwrap_or_default()));
        }
    }
    let mut info = simulator.info();
    if let Some(path) = &arguments.ca_file {
        write_file(path, simulator.ca_pem())?;
        let shown = absolute(path)?.display().to_string();
        if let Some(accounts) = &arguments.accounts_file {
            simulator
                .write_accounts(accounts, &shown)
                .map_err(|e| format!("cannot write {}: {e}", accounts.display()))?;
        }
        info["ca_file"] = json!(shown);
    }
    let line = format!("{info}\n");
    if let Some(path) = &arguments.info_file {
        write_file(path, &line)?;
    }
    let mut out = io::stdout();
    out.write_all(line.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|e| format!("cannot print that it is ready: {e}"))?;
    if arguments.until_eof {
        watch_parent();
        let mut sink = [0u8; 256];
        while io::stdin().read(&mut sink).is_ok_and(|n| n > 0) {}
        return Ok(());
    }
    loop {
        std::thread::park();
    }
}

/// Ends the process when its parent is no longer the one that started it.
#[cfg(unix)]
fn watch_parent() {
    let parent = std::os::unix::process::parent_id();
    std::thread::spawn(move || {
        while std::os::unix::process::parent_id() == parent {
            std::thread::sleep(Duration::from_millis(500));
        }
        std::process::exit(0);
    });
}

#[cfg(not(unix))]
fn watch_parent() {}

fn main() -> ExitCode {
    kiosklink_sim::raise_descriptors();
    let result = parse(std::env::args().skip(1)).and_then(|wish| match wish {
        Wish::Say(text) => {
            println!("{text}");
            Ok(())
        }
        Wish::Run(arguments) => run(arguments),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("kiosklink-sim: {why}");
            ExitCode::FAILURE
        }
    }
}
