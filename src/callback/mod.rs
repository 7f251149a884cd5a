//! Connections on which callbacks come: the bytes that were read in, and out what is to be written, an event, and whether
//! the connection is kept. No socket, no thread, no clock of its own; bounded in head, body and time.

mod request;
#[cfg(test)]
mod tests;

use crate::client::{Client, InHand};
use crate::error::{Error, Result};
use crate::event::{Event, EventKind};
use crate::model::Verb;
use crate::status::*;
use request::{Asked, Came, Reader};

/// The bounds of a connection. 0 stands for what is usual.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// The first line and the headers of a request, in bytes: 1024 to 65,536, usually 16,384.
    pub max_head: usize,
    /// Its body, in bytes: up to 16 MiB, usually 256 KiB.
    pub max_body: usize,
    /// From the connection, or the answer before, to the last byte of a request, in milliseconds: up to an hour, usually 10 s.
    pub timeout_ms: u32,
    /// The connection ends after one answer.
    pub one_request: bool,
}

/// What to do with the connection once [`NextStep::write`] is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Read, and feed what came.
    Read,
    /// Handle [`Connection::event`], then say what became of it: [`Connection::reply`].
    Reply,
    /// Close it.
    Close,
}

/// What to do next.
#[derive(Debug)]
pub struct NextStep {
    /// What is written first. Often nothing.
    pub write: Vec<u8>,
    /// What is done then.
    pub then: Then,
    /// Why a request was refused; its details have the status that `write` answers with.
    pub refused: Option<Error>,
}

struct Account {
    client: Client,
    /// `None`: whatever no other account has.
    path: Option<String>,
}

enum State {
    Reading,
    /// An event of this account waits for its reply; whether the connection is kept then.
    Waiting(usize, Box<Event>, bool, #[allow(dead_code)] InHand),
    Closed,
}

/// One connection. An event counts as taken when it is replied to with 0, and by nothing else: what was not when this is dropped
/// or the process ends comes again and is no duplicate.
pub struct Connection {
    bounds: Bounds,
    accounts: Vec<Account>,
    reader: Reader,
    state: State,
    /// By when the request must be whole, on the caller's clock.
    end_ms: u64,
    /// Whose code runs.
    running: Option<usize>,
}

impl Connection {
    /// A connection that stands. `now_ms` is any clock in milliseconds that does not go back, here and below.
    pub fn new(bounds: Bounds, now_ms: u64) -> Result<Connection> {
        let or = |given: usize, usual| if given == 0 { usual } else { given };
        let bounds = Bounds {
            max_head: or(bounds.max_head, 16 << 10),
            max_body: or(bounds.max_body, 256 << 10),
            timeout_ms: or(bounds.timeout_ms as usize, 10_000) as u32,
            ..bounds
        };
        for (name, good) in [
            ("max_head is 1024 to 65536 bytes", (1 << 10..=64 << 10).contains(&bounds.max_head)),
            ("max_body is at most 16777216 bytes", bounds.max_body <= 16 << 20),
            ("timeout_ms is at most one hour", bounds.timeout_ms <= 3_600_000),
        ] {
            if !good {
                return Err(Error::new(KL_E_ARGUMENT, name));
            }
        }
        Ok(Connection {
            bounds,
            accounts: Vec::new(),
            reader: Reader::new(bounds.max_head, bounds.max_body),
            state: State::Reading,
            end_ms: now_ms.saturating_add(bounds.timeout_ms.into()),
            running: None,
        })
    }

    /// An account whose callbacks come here, on this path, or without one on every path that no account has. Several may share
    /// a path: whose secret fits has the callback. One whose platform does not sign shares none.
    pub fn add(&mut self, client: &Client, path: Option<&str>) -> Result<()> {
        if !client.can(Verb::EventParse) {
            return Err(Error::new(KL_E_UNSUPPORTED, [client.platform(), " sends no callbacks"].concat()));
        }
        let path = path.filter(|p| !p.is_empty());
        if path
            .is_some_and(|p| !p.starts_with('/') || !p.bytes().all(|b| matches!(b, 0x21..=0x7e) && b != b'?'))
        {
            return Err(Error::new(KL_E_ARGUMENT, "path is not / and what may stand in an address"));
        }
        let unsigned = |c: &Client| !c.signs_events();
        let beside = |a: &Account| a.path.as_deref() == path && (unsigned(&a.client) || unsigned(client));
        if self.accounts.iter().any(beside) {
            return Err(Error::new(
                KL_E_ARGUMENT,
                "an account whose callbacks are not signed needs a path of its own",
            ));
        }
        self.accounts.push(Account { client: client.clone(), path: path.map(str::to_owned) });
        Ok(())
    }

    /// Takes all of what was read; no bytes say that the other side has ended. What an event says of commands is written to the
    /// journal, which may wait for the disk.
    ///
    /// `KL_E_BUSY`: an event waits for its reply; nothing is taken.
    pub fn feed(&mut self, bytes: &[u8], now_ms: u64) -> Result<NextStep> {
        if !self.is_reading()? {
            return Ok(closed());
        }
        if bytes.is_empty() {
            self.state = State::Closed;
            let refused = self.reader.has_begun().then(|| refusal(0, "cut off"));
            return Ok(NextStep { refused, ..closed() });
        }
        Ok(match self.reader.push(bytes) {
            Came::Whole(asked) => self.asked(asked, now_ms),
            Came::Refused(status) => self.refuse(status),
            // Drop by drop is not on time.
            _ if now_ms >= self.end_ms => self.late(),
            Came::GoOn => NextStep { write: b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), ..read() },
            Came::More => read(),
        })
    }

    /// Time has passed: gives up a request that is not whole when it should be, else [`Then::Read`].
    ///
    /// `KL_E_BUSY`: an event waits for its reply.
    pub fn tick(&mut self, now_ms: u64) -> Result<NextStep> {
        Ok(match self.is_reading()? {
            true if now_ms >= self.end_ms => self.late(),
            true => read(),
            false => closed(),
        })
    }

    /// How long until [`Connection::tick`] gives up.
    pub fn left_ms(&self, now_ms: u64) -> u32 {
        match self.state {
            State::Reading => self.end_ms.saturating_sub(now_ms) as u32,
            _ => 0,
        }
    }

    /// The event that waits for its reply, and the account that it is for, counted from 0 as they were added.
    pub fn event(&self) -> Option<(usize, &Event)> {
        match &self.state {
            State::Waiting(account, event, ..) => Some((*account, event)),
            _ => None,
        }
    }

    /// Answers the event. As for [`Client::event_reply`], `code` 0 is *taken*, which is written to the journal; after any other the
    /// platform comes again. `KL_E_ARGUMENT`: no event waits.
    pub fn reply(
        &mut self,
        code: i32,
        message: &str,
        data_json: Option<&str>,
        now_ms: u64,
    ) -> Result<NextStep> {
        let State::Waiting(account, event, keep, _) = &self.state else {
            return Err(Error::new(KL_E_ARGUMENT, "no event waits for a reply"));
        };
        let (account, keep) = (*account, *keep);
        let client = &self.accounts[account].client;
        self.running = Some(account);
        let body = client.event_answer(event, code, message, data_json);
        // A browser is not answered with an envelope.
        let body =
            if event.kind == EventKind::PayPage && code == 0 { body.map(|_| String::new()) } else { body };
        self.running = None;
        Ok(self.answer(client.event_status(code), &body?, keep, now_ms))
    }

    /// Gives the request up, or the event, which is not taken, and ends the connection with this status.
    pub fn refuse(&mut self, status: u16) -> NextStep {
        NextStep {
            refused: Some(refusal(status, &[&status.to_string(), " ", reason(status)].concat())),
            ..self.answer(status, "", false, 0)
        }
    }

    /// Ends the connection after a bug in it was caught; whose code ran is taken out of use.
    pub fn retire(&mut self) {
        self.state = State::Closed;
        if let Some(account) = self.running.take() {
            self.accounts[account].client.retire();
        }
    }

    /// False when the connection is closed.
    fn is_reading(&self) -> Result<bool> {
        match self.state {
            State::Waiting(..) => Err(Error::new(KL_E_BUSY, "an event waits for its reply first")),
            State::Reading => Ok(true),
            State::Closed => Ok(false),
        }
    }

    fn late(&mut self) -> NextStep {
        if self.reader.has_begun() {
            return self.refuse(408);
        }
        // Nothing was asked.
        self.state = State::Closed;
        closed()
    }

    fn asked(&mut self, asked: Asked, now_ms: u64) -> NextStep {
        let keep = asked.keep && !self.bounds.one_request;
        let has = |path: Option<&str>| self.accounts.iter().any(|a| a.path.as_deref() == path);
        let path = Some(asked.path.as_str()).filter(|path| has(Some(path)));
        if !has(path) {
            return self.refuse(404);
        }
        let body = match (asked.get, asked.query.is_empty()) {
            (false, _) => asked.body.as_slice(),
            // What a browser brings, and Youzan's market messages, stand in the query.
            (true, false) => asked.query.as_bytes(),
            (true, true) => return self.refuse(405),
        };
        let mut worst: Option<(usize, Error)> = None;
        for at in 0..self.accounts.len() {
            let account = &self.accounts[at];
            if account.path.as_deref() != path {
                continue;
            }
            self.running = Some(at);
            let parsed =
                account.client.check().and_then(|()| account.client.event_receive(&asked.headers, body));
            self.running = None;
            match parsed {
                Ok((event, in_hand)) => {
                    self.state = State::Waiting(at, Box::new(event), keep, in_hand);
                    return NextStep { then: Then::Reply, ..read() };
                }
                Err(e) if worst.as_ref().is_none_or(|(_, before)| weight(&e) > weight(before)) => {
                    worst = Some((at, e));
                }
                Err(_) => {}
            }
        }
        let Some((at, error)) = worst else { return self.refuse(404) };
        let status = match error.status() {
            KL_E_EVENT_SIGNATURE | KL_E_EVENT_TIME => 403,
            KL_E_EVENT => 400,
            _ => 503,
        };
        let words = self.accounts[at].client.event_refusal();
        let refused = error.with(|d| d.http_status = status.into());
        NextStep { refused: Some(refused), ..self.answer(status, &words, keep, now_ms) }
    }

    /// The bytes of an answer; the connection is kept for the next request, or ends.
    fn answer(&mut self, status: u16, body: &str, keep: bool, now_ms: u64) -> NextStep {
        self.state = if keep { State::Reading } else { State::Closed };
        self.end_ms = now_ms.saturating_add(self.bounds.timeout_ms.into());
        let write = [
            "HTTP/1.1 ",
            &status.to_string(),
            " ",
            reason(status),
            if status == 405 { "\r\nAllow: POST, PUT, GET" } else { "" },
            if body.is_empty() { "" } else { "\r\nContent-Type: application/json" },
            "\r\nContent-Length: ",
            &body.len().to_string(),
            if keep { "\r\nConnection: keep-alive\r\n\r\n" } else { "\r\nConnection: close\r\n\r\n" },
            body,
        ];
        let then = if keep { Then::Read } else { Then::Close };
        NextStep { write: write.concat().into_bytes(), then, refused: None }
    }
}

fn read() -> NextStep {
    NextStep { write: Vec::new(), then: Then::Read, refused: None }
}

fn closed() -> NextStep {
    NextStep { then: Then::Close, ..read() }
}

fn refusal(status: u16, why: &str) -> Error {
    Error::new(KL_E_EVENT, ["the request: ", why].concat()).with(|d| d.http_status = status.into())
}

/// Of several accounts that refuse a callback, the one that says most: where the secret fitted, the reason is another one.
fn weight(error: &Error) -> u8 {
    match error.status() {
        KL_E_EVENT => 0,
        KL_E_EVENT_SIGNATURE => 1,
        KL_E_EVENT_TIME => 3,
        _ => 2,
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        505 => "HTTP Version Not Supported",
        _ => "Service Unavailable",
    }
}
