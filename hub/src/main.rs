//! The hub as a program.

use kiosklink_hub::args::{Args, HELP};
use kiosklink_hub::{operator, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = Args::parse(std::env::args().skip(1)).and_then(|args| {
        if args.has("help") {
            println!("{HELP}");
            return Ok(());
        }
        if args.has("version") {
            println!("kiosklink-hub {}", env!("CARGO_PKG_VERSION"));
            return Ok(());
        }
        if args.command == "serve" { run::serve(&args) } else { operator::run(&args) }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("kiosklink-hub: {why}");
            ExitCode::FAILURE
        }
    }
}
