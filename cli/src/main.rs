//! The command `kiosklink`, for whoever integrates a platform and for the technician at the cabinet.
//!
//! [`table`] lists the commands; [`args`] reads the line by it, [`manual`] makes help, completion and the man page of it.

#![deny(unsafe_code)]
#![warn(missing_docs)]

mod args;
mod board;
mod commands;
mod doctor;
mod export;
mod lang;
mod listen;
mod manual;
mod names;
mod out;
mod sign;
mod signals;
mod simulator;
mod story;
mod table;
mod trigger;
mod verbs;

use args::Wish;
use out::{OUTPUT, PIPE, Stop, USAGE, error_json_of, error_words, exit_code, note, say};
use std::process::ExitCode;

fn main() -> ExitCode {
    // What is no UTF-8 is no argument of ours; the reading says so.
    let line: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    lang::choose(&line);
    let (json, done) = match args::parse(line.into_iter()) {
        Err(why) => (false, Err(Stop::Usage(why))),
        Ok(Wish::Version) => (false, say(&format!("kiosklink {}", env!("CARGO_PKG_VERSION"))).map(|()| 0)),
        Ok(Wish::Help(verb)) => (false, say(&manual::help(verb)).map(|()| 0)),
        Ok(Wish::Run(given)) => {
            let done = (given.verb.run)(&given);
            // Said before the secrets are forgotten.
            match &done {
                Err(Stop::Failed(error)) => return ExitCode::from(failed(error, "", given.json())),
                Err(Stop::Act(error, id)) => return ExitCode::from(failed(error, id, given.json())),
                _ => {}
            }
            (given.json(), done)
        }
    };
    ExitCode::from(match done {
        Ok(code) => code,
        Err(Stop::Failed(error)) => failed(&error, "", json),
        Err(Stop::Act(error, id)) => failed(&error, &id, json),
        Err(Stop::Usage(why)) => {
            note(&format!("kiosklink: {why}"));
            USAGE
        }
        Err(Stop::Pipe) => PIPE,
        Err(Stop::Output(why)) => {
            note(&format!("kiosklink: {}", tr!("the output cannot be written: {}", why)));
            OUTPUT
        }
    })
}

/// Tells of an error: to a program where it reads, to a person where errors stand.
fn failed(error: &kiosklink::error::Error, request_id: &str, json: bool) -> u8 {
    let code = exit_code(error);
    if !json {
        note(&error_words(error));
        return code;
    }
    match say(&error_json_of(error, request_id)) {
        Ok(()) | Err(Stop::Pipe) => code,
        Err(_) => OUTPUT,
    }
}
