//! What a worker process does: its threads' tasks, one after the other, as firmware would.

use super::{Act, Brief, Clients, End, Task, results, task};
use crate::crash::Noise;
use crate::preload::Failure;
use kiosklink::client::Client;
use kiosklink::command::{Command, SettledBy};
use kiosklink::error::{Advice, Error, Outcome};
use kiosklink::model::{DoorRequest, Receipt, RedeemRequest};
use kiosklink::status::*;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the same command is sent again after it was not done.
const TRIES: u32 = 4;
/// How long another thread's command under the same name is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long after an unknown command its sensor is asked: what was sent must have arrived.
const GRACE: Duration = Duration::from_millis(250);

/// Does what a brief says. Ends with the standard input, so that nobody is left behind.
pub fn work(brief: &Path) -> Result<(), Failure> {
    let brief = Brief::read(brief)?;
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0u8; 1]);
        std::process::exit(1);
    });
    let clients = Clients::open(&brief.accounts).map_err(|e| e.message().to_owned())?;
    let (brief, clients) = (&brief, &clients);
    std::thread::scope(|scope| {
        let first = brief.process * brief.threads;
        let threads: Vec<_> = (first..first + brief.threads)
            .map(|thread| scope.spawn(move || Lane { brief, clients, thread }.run()))
            .collect();
        threads.into_iter().try_for_each(|t| t.join().map_err(|_| Failure::from("a thread panicked"))?)
    })
}

/// Who said what became of a command.
pub(super) fn word(by: SettledBy) -> &'static str {
    match by {
        SettledBy::Nobody => "nobody",
        SettledBy::Answer => "answer",
        SettledBy::Query => "query",
        SettledBy::Event => "event",
        SettledBy::Sensor => "sensor",
        SettledBy::Person => "person",
        SettledBy::Journal => "journal",
    }
}

struct Lane<'a> {
    brief: &'a Brief,
    clients: &'a Clients,
    thread: usize,
}

impl Lane<'_> {
    fn run(&self) -> Result<(), Failure> {
        let threads = self.brief.processes * self.brief.threads;
        let path = self.brief.results(self.thread);
        let io = |e: std::io::Error| format!("{}: {e}", path.display());
        let over = results(&path);
        let last = over.last().and_then(|v| v["n"].as_u64());
        // A line that was cut by a death is written again.
        let whole: String = over.iter().map(|v| format!("{v}\n")).collect();
        let part = path.with_extension("part");
        std::fs::write(&part, whole).and_then(|()| std::fs::rename(&part, &path)).map_err(io)?;
        let mut file = File::options().append(true).open(&path).map_err(io)?;
        for number in (self.brief.first..self.brief.end).filter(|n| n % threads == self.thread) {
            if last.is_some_and(|last| number as u64 <= last) {
                continue;
            }
            let task = task(self.brief.seed, number, threads);
            let mut ends = self.task(task.clone(), false)?;
            // Sometimes the command that another process is giving just now is given too, under the same name. Only
            // that one: the journal does not remember settled commands for ever.
            let neighbour = (self.thread + self.brief.threads) % threads;
            let over = results(&self.brief.results(neighbour)).last().and_then(|v| v["n"].as_u64());
            if let Some(over) = over.filter(|_| task.dice.clone().percent(5)) {
                let other = over as usize + threads;
                let task = super::task(self.brief.seed, other, threads);
                if other < self.brief.end && !matches!(task.act, Act::Pickup { .. } | Act::Lane { .. }) {
                    ends.extend(self.task(task, true)?);
                }
            }
            file.write_all(End::line(&ends, number).as_bytes()).map_err(io)?;
        }
        Ok(())
    }

    fn task(&self, mut task: Task, twin: bool) -> Result<Vec<End>, Failure> {
        let client = self.clients.of(&task).0;
        let url = format!("{}/dingshang/{}", self.brief.notify, task.id);
        let word = Some(json!({"memo": task.id}).to_string());
        let ids = task.ids();
        let door = DoorRequest { request_id: ids[0].clone(), ..DoorRequest::default() };
        let moved = |query: &str| self.moved(query);
        let mut ends = Vec::new();
        let dice = &mut task.dice;
        match &task.act {
            Act::Door { cabinet } => {
                let request = DoorRequest {
                    cabinet_id: cabinet.clone(),
                    order_no: task.id.clone(),
                    user_id: "soak".into(),
                    ..door
                };
                let truth = || moved(&format!("trade_no={}", task.id));
                ends.push(
                    self.command(client, dice, &ids[0], &|| client.door_open(&request), &truth, twin)?.0,
                );
            }
            Act::Lane { machine, lane } => {
                let request = DoorRequest {
                    cabinet_id: machine.clone(),
                    door: lane.clone(),
                    notify_url: url.clone(),
                    extra_json: word,
                    ..door
                };
                let truth = || moved(&format!("notify_url={url}"));
                ends.push(
                    self.command(client, dice, &ids[0], &|| client.door_open(&request), &truth, twin)?.0,
                );
            }
            Act::Redeem { code } => {
                let request = RedeemRequest {
                    request_id: ids[0].clone(),
                    code: code.clone(),
                    redeemer: task.id.clone(),
                    ..RedeemRequest::default()
                };
                let truth = || self.listed("/_sim/youzan/redemptions", "code", code);
                ends.push(
                    self.command(client, dice, &ids[0], &|| client.code_redeem(&request), &truth, twin)?.0,
                );
            }
            Act::Pickup { machine, product, code } => {
                let request = RedeemRequest {
                    request_id: ids[0].clone(),
                    code: code.clone(),
                    cabinet_id: machine.clone(),
                    product_id: product.clone(),
                    notify_url: url.clone(),
                    extra_json: word.clone(),
                    ..RedeemRequest::default()
                };
                let truth = || self.listed("/_sim/dingshang/orders", "notify_url", &url);
                let redeem = || client.code_redeem(&request);
                let (end, receipt) = self.command(client, dice, &ids[0], &redeem, &truth, twin)?;
                ends.push(end);
                if let Some(receipt) = receipt.filter(|r| !r.order_no.is_empty()) {
                    let request = DoorRequest {
                        request_id: ids[1].clone(),
                        cabinet_id: machine.clone(),
                        order_no: receipt.order_no,
                        item_no: receipt.item_no,
                        extra_json: word,
                        ..DoorRequest::default()
                    };
                    let truth = || moved(&format!("notify_url={url}"));
                    let open = || client.door_open(&request);
                    ends.push(self.command(client, dice, &ids[1], &open, &truth, twin)?.0);
                }
            }
        }
        Ok(ends)
    }

    /// Gives one command and follows it until everybody knows what became of it.
    fn command(
        &self,
        client: &Client,
        dice: &mut Noise,
        id: &str,
        send: &dyn Fn() -> Result<Command, Error>,
        truth: &dyn Fn() -> Result<bool, Failure>,
        twin: bool,
    ) -> Result<(End, Option<Receipt>), Failure> {
        let begun = Instant::now();
        let mut first = None;
        let mut tries = 0;
        let end = |outcome, how: &str, first: Option<i32>| End {
            id: id.into(),
            outcome,
            how: how.into(),
            first: first.unwrap_or(KL_OK),
            repeated: false,
            twin,
        };
        loop {
            tries += 1;
            let error = match send() {
                Ok(command) => {
                    let how = if command.recorded { "recorded" } else { "answer" };
                    let mut end = end(Outcome::Done, how, first);
                    if dice.percent(5) {
                        // A customer presses twice.
                        let again = send();
                        end.repeated = true;
                        let same = |c: &Command| c.recorded && c.receipt == command.receipt;
                        if !again.as_ref().is_ok_and(same) {
                            return Err(format!("{id}: done, and then {again:?}"));
                        }
                    }
                    return Ok((end, Some(command.receipt)));
                }
                Err(error) => error,
            };
            first.get_or_insert(error.status());
            match error.details().outcome {
                Outcome::NotDone => {
                    if tries < TRIES && error.details().advice == Advice::Retry {
                        let pause = error.details().retry_after_ms.clamp(5, 50);
                        std::thread::sleep(Duration::from_millis(pause.into()));
                        continue;
                    }
                    return Ok((end(Outcome::NotDone, "answer", first), None));
                }
                _ if error.status() == KL_E_IN_FLIGHT && begun.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(10));
                    tries -= 1;
                }
                _ => break,
            }
        }
        // Nobody knows. Sometimes the movement is waited for, which asks too.
        if dice.percent(30) {
            match client.command_wait(id, 60) {
                Ok(command) => return Ok((end(Outcome::Done, "wait", first), Some(command.receipt))),
                Err(e) if e.details().outcome == Outcome::Done => {
                    let known = client.command_get(id).map_err(|e| format!("{id}: {}", e.message()))?;
                    return Ok((end(Outcome::Done, "wait", first), Some(known.receipt)));
                }
                Err(e) if e.details().outcome == Outcome::NotDone => {
                    return Ok((end(Outcome::NotDone, "wait", first), None));
                }
                Err(_) => {}
            }
        }
        for _ in 0..3 {
            match client.command_resolve(id) {
                Ok(command) => {
                    return Ok((end(Outcome::Done, word(command.settled_by), first), Some(command.receipt)));
                }
                Err(e) if e.details().outcome == Outcome::NotDone => {
                    return Ok((end(Outcome::NotDone, "query", first), None));
                }
                Err(e) if e.details().advice == Advice::CallPerson => break,
                Err(_) => std::thread::sleep(Duration::from_millis(30)),
            }
        }
        // The door's contact is asked, when nothing can be on its way any more.
        std::thread::sleep(GRACE);
        let outcome = if truth()? { Outcome::Done } else { Outcome::NotDone };
        match client.command_settle(id, outcome, SettledBy::Sensor, "door contact") {
            Ok(()) => Ok((end(outcome, "sensor", first), None)),
            Err(e) => {
                // Somebody else was quicker, with the same or another answer, or the journal says no.
                let known = client.command_get(id).map_err(|e| format!("{id}: {}", e.message()))?;
                if known.outcome != outcome && !twin {
                    return Err(format!(
                        "{id}: the sensor says {outcome:?}, the journal {:?}: {}",
                        known.outcome,
                        e.message()
                    ));
                }
                Ok((end(known.outcome, word(known.settled_by), first), Some(known.receipt)))
            }
        }
    }

    /// Whether the simulator saw a door or a lane move.
    fn moved(&self, query: &str) -> Result<bool, Failure> {
        Ok(!super::list(&self.get(&format!("/_sim/openings?{query}"))?).is_empty())
    }

    fn listed(&self, path: &str, key: &str, value: &str) -> Result<bool, Failure> {
        Ok(super::list(&self.get(path)?).iter().any(|item| item[key] == value))
    }

    /// A look at the simulator, which stands for a sensor.
    fn get(&self, path: &str) -> Result<Value, Failure> {
        let host = self.brief.control.trim_start_matches("http://");
        let fail = |e: std::io::Error| format!("{host}{path}: {e}");
        let address = host.replace("localhost", "127.0.0.1");
        let mut stream = TcpStream::connect(address).map_err(fail)?;
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())
            .map_err(fail)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(fail)?;
        let text = String::from_utf8_lossy(&answer);
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).map_err(|e| format!("{host}{path}: {e}"))
    }
}
