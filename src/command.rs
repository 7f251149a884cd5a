//! Commands at most once: an act that cannot be undone has a name, its `request_id`, and under one name it is sent
//! at most once in the life of a client.

use crate::error::{Advice, Error, Outcome, Result};
use crate::model::Receipt;
use crate::status::*;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// The longest `request_id`, in bytes.
pub const KL_REQUEST_ID_MAX: usize = 128;

/// How many finished commands are remembered. Unknown ones are never forgotten.
const REMEMBERED: usize = 16_384;

/// A command that the platform took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The caller's name for it.
    pub request_id: String,
    /// What the platform said to it.
    pub receipt: Receipt,
    /// Answered from memory: nothing was sent this time.
    pub recorded: bool,
}

#[derive(Debug)]
enum State {
    InFlight,
    Done(Receipt),
    Unknown(Error),
}

#[derive(Debug)]
struct Entry {
    target: String,
    state: State,
}

/// The commands of one client.
#[derive(Debug, Default)]
pub(crate) struct Commands(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    entries: HashMap<String, Entry>,
    finished: VecDeque<String>,
}

/// What is to be done with a command.
#[derive(Debug)]
pub(crate) enum Begin<'a> {
    /// It was done before; this was the answer.
    Recorded(Command),
    /// Send it, then say how it ended.
    Send(Ticket<'a>),
}

/// The right to send one command once. Dropped without a word, the command counts as unknown.
#[derive(Debug)]
pub(crate) struct Ticket<'a> {
    commands: &'a Commands,
    request_id: String,
    again: bool,
    settled: bool,
}

impl Commands {
    /// Claims a `request_id` for an act on `target`, or says why nothing may be sent. `repeat_asks` says that the
    /// platform takes the same command again as a question, so that an unknown one may be sent once more.
    pub(crate) fn begin(&self, id: &str, target: &[&str], repeat_asks: bool) -> Result<Begin<'_>> {
        if id.is_empty() || id.len() > KL_REQUEST_ID_MAX || id.contains(char::is_control) {
            return Err(not_done(Error::new(
                KL_E_ARGUMENT,
                format!("request_id must be 1 to {KL_REQUEST_ID_MAX} bytes of text"),
            )));
        }
        // What the name stands for: the same name for another act is a bug of the caller's.
        let target = target.join("\u{1f}");
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = book.entries.get_mut(id) {
            if entry.target != target {
                return Err(not_done(Error::new(
                    KL_E_REQUEST_ID,
                    format!("request_id {id:?} was already used for another act; nothing was sent"),
                )));
            }
            return match &entry.state {
                State::Done(opened) => Ok(Begin::Recorded(Command {
                    request_id: id.to_owned(),
                    receipt: opened.clone(),
                    recorded: true,
                })),
                State::InFlight => Err(Error::new(
                    KL_E_IN_FLIGHT,
                    format!("request_id {id:?} is under way on another thread; nothing was sent"),
                )
                .with(|d| d.outcome = Outcome::Unknown)),
                State::Unknown(_) if repeat_asks => {
                    entry.state = State::InFlight;
                    Ok(Begin::Send(Ticket {
                        commands: self,
                        request_id: id.to_owned(),
                        again: true,
                        settled: false,
                    }))
                }
                State::Unknown(why) => Err(Error::new(
                    KL_E_UNSETTLED,
                    format!(
                        "what became of request_id {id:?} is not known ({}); nothing was sent",
                        why.message()
                    ),
                )
                .with(|d| d.outcome = Outcome::Unknown)),
            };
        }
        book.entries.insert(id.to_owned(), Entry { target, state: State::InFlight });
        Ok(Begin::Send(Ticket { commands: self, request_id: id.to_owned(), again: false, settled: false }))
    }
}

impl Ticket<'_> {
    /// What an error means for the command: that its repetition did nothing says nothing about the first try.
    pub(crate) fn doubt(&self, error: Error) -> Error {
        if !self.again || error.details().outcome != Outcome::NotDone {
            return error;
        }
        unknown(error.with(|d| d.message.push_str("; what became of the first try is still not known")))
    }

    /// Records how it ended. *Not done* frees the name: the caller may try again.
    pub(crate) fn settle(mut self, end: &Result<Receipt>) {
        self.settled = true;
        let mut book = self.commands.0.lock().unwrap_or_else(PoisonError::into_inner);
        match end {
            Err(e) if e.details().outcome == Outcome::NotDone => {
                book.entries.remove(&self.request_id);
            }
            Err(e) => book.mark(&self.request_id, State::Unknown(e.clone())),
            Ok(opened) => {
                book.mark(&self.request_id, State::Done(opened.clone()));
                book.finished.push_back(self.request_id.clone());
                if book.finished.len() > REMEMBERED {
                    if let Some(oldest) = book.finished.pop_front() {
                        book.entries.remove(&oldest);
                    }
                }
            }
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.settled {
            let lost = Error::new(KL_E_INTERNAL, "the call ended in an internal error");
            let mut book = self.commands.0.lock().unwrap_or_else(PoisonError::into_inner);
            book.mark(&self.request_id, State::Unknown(lost));
        }
    }
}

impl Book {
    fn mark(&mut self, id: &str, state: State) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.state = state;
        }
    }
}

/// The error of a command of which nothing happened.
pub(crate) fn not_done(error: Error) -> Error {
    error.with(|d| d.outcome = Outcome::NotDone)
}

/// The error of a command that may have happened.
pub(crate) fn unknown(error: Error) -> Error {
    error.with(|d| {
        d.outcome = Outcome::Unknown;
        d.advice = Advice::AskFirst;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin<'a>(commands: &'a Commands, id: &str, door: &str) -> Result<Begin<'a>> {
        commands.begin(id, &["c", door], false)
    }

    fn ticket<'a>(commands: &'a Commands, id: &str) -> Ticket<'a> {
        match begin(commands, id, "1").unwrap() {
            Begin::Send(ticket) => ticket,
            Begin::Recorded(c) => panic!("recorded {c:?}"),
        }
    }

    #[test]
    fn a_name_is_sent_once() {
        let commands = Commands::default();
        let first = ticket(&commands, "a");
        assert_eq!(begin(&commands, "a", "1").unwrap_err().status(), KL_E_IN_FLIGHT);
        assert_eq!(begin(&commands, "a", "2").unwrap_err().status(), KL_E_REQUEST_ID);
        first.settle(&Ok(Receipt { order_no: "VI1".into(), ..Default::default() }));
        match begin(&commands, "a", "1").unwrap() {
            Begin::Recorded(c) => assert!(c.recorded && c.receipt.order_no == "VI1"),
            Begin::Send(_) => panic!("sent again"),
        }
    }

    #[test]
    fn unknown_stays_unknown_and_not_done_is_free_again() {
        let commands = Commands::default();
        ticket(&commands, "a").settle(&Err(unknown(Error::new(KL_E_TIMEOUT_REPLY, "no answer"))));
        let e = begin(&commands, "a", "1").unwrap_err();
        assert_eq!((e.status(), e.details().outcome), (KL_E_UNSETTLED, Outcome::Unknown));
        ticket(&commands, "b").settle(&Err(not_done(Error::new(KL_E_CONNECT, "refused"))));
        drop(ticket(&commands, "b"));
        assert_eq!(begin(&commands, "b", "1").unwrap_err().status(), KL_E_UNSETTLED);
    }

    #[test]
    fn where_repeating_asks_an_unknown_command_is_sent_once_more_at_a_time() {
        let commands = Commands::default();
        ticket(&commands, "a").settle(&Err(unknown(Error::new(KL_E_TIMEOUT_REPLY, "no answer"))));
        let again = commands.begin("a", &["c", "1"], true).unwrap();
        assert!(matches!(again, Begin::Send(_)));
        assert_eq!(commands.begin("a", &["c", "1"], true).unwrap_err().status(), KL_E_IN_FLIGHT);
        // A question that did not get through, or was refused, settles nothing.
        let Begin::Send(again) = again else { return };
        let e = again.doubt(not_done(Error::new(KL_E_CONNECT, "refused")));
        assert_eq!(e.details().outcome, Outcome::Unknown);
        again.settle(&Err(e));
        assert_eq!(begin(&commands, "a", "1").unwrap_err().status(), KL_E_UNSETTLED);
        // The first try is believed.
        let e = ticket(&commands, "b").doubt(not_done(Error::new(KL_E_CONNECT, "refused")));
        assert_eq!(e.details().outcome, Outcome::NotDone);
    }

    #[test]
    fn bad_names_are_refused_before_anything_is_sent() {
        let commands = Commands::default();
        for bad in [String::new(), "x".repeat(129), "a\nb".into()] {
            let e = begin(&commands, &bad, "1").unwrap_err();
            assert_eq!((e.status(), e.details().outcome), (KL_E_ARGUMENT, Outcome::NotDone));
        }
    }
}
