//! What the platforms tell on their own.

use super::Client;
use super::resolve::LOOK;
use crate::cancel::CancelToken;
use crate::command::book::Wait;
use crate::command::record::End;
use crate::command::{CommandFilter, Moved, Physical, SettledBy};
use crate::error::{Error, Outcome, Result};
use crate::event::{Event, NO_IDENTITY, SignedWith};
use crate::log::log_line;
use crate::platform::Verdict;
use crate::status::KL_E_BUSY;
use crate::time::Deadline;
use kiosklink_wire::hex;

/// A callback that is being handled, until this is dropped.
pub struct InHand(Client, String);

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.0.turns().retain(|taken| *taken != self.1);
    }
}

impl Client {
    /// Verifies and parses a callback. `headers` are the lines of the HTTP request's head; `body` is its body, byte
    /// for byte. What it tells of a command is recorded: what the machine did, and that an opening whose answer was lost was
    /// taken. That a callback came before is known across restarts.
    pub fn event_parse(&self, headers: &str, body: &[u8]) -> Result<Event> {
        Ok(self.told(headers, body, true)?.0)
    }

    /// The same, but the callback counts as taken only when [`Client::event_answer`] answers it with 0: what a crash or a power
    /// cut interrupts comes again and is no duplicate. While it is in hand, another one like it is `KL_E_BUSY`.
    pub fn event_receive(&self, headers: &str, body: &[u8]) -> Result<(Event, InHand)> {
        self.told(headers, body, false)
    }

    fn told(&self, headers: &str, body: &[u8], take: bool) -> Result<(Event, InHand)> {
        let call = self.look()?;
        let now_ms = self.now_ms();
        let mut event = self.0.platform.event(headers, body, now_ms)?;
        let mut in_hand = InHand(self.clone(), String::new());
        if take {
            event.duplicate = self.seen_before(&event.identity, now_ms.div_euclid(1000));
        } else if event.identity != NO_IDENTITY {
            let what = ["event ", &hex::lower(&event.identity)].concat();
            let mut turns = self.0.turns();
            if turns.contains(&what) {
                return Err(Error::new(
                    KL_E_BUSY,
                    "the same callback is being handled on another connection",
                ));
            }
            turns.push(what.clone());
            drop(turns);
            in_hand.1 = what;
            event.duplicate = self.0.commands.was_seen(&event.identity, call.wait());
        }
        if let Some(physical) = self.0.platform.event_movement(&event) {
            // What nobody signed is a reason to ask.
            let believed = event.signed_with != SignedWith::Nothing;
            let moved = Moved {
                order_no: event.order_no.clone(),
                item_no: event.item_no.clone(),
                physical: if believed { physical } else { Physical::Pending },
                error: if physical == Physical::Failed { event.message.clone() } else { String::new() },
            };
            self.0.commands.moved(&moved, call.wait());
        }
        if event.signed_with != SignedWith::Nothing {
            self.settle_by(&event);
        }
        self.0.commands.flush();
        event.stale = event.version != 0 && self.0.versions.outdated(&event.subject, event.version);
        log_line!(
            Info,
            "callback {} for order {}, duplicate: {}",
            event.method,
            event.order_no,
            event.duplicate
        );
        Ok((event, in_hand))
    }

    fn seen_before(&self, identity: &[u8; 16], now_s: i64) -> bool {
        // A notice that cannot be told from another is never a duplicate.
        if *identity == NO_IDENTITY {
            return false;
        }
        match self.look() {
            Ok(call) => self.0.commands.seen_before(identity, now_s.max(1), call.wait()),
            Err(_) => false,
        }
    }

    /// A command whose answer was lost may be the one that a callback tells of. Only *done* is believed: that an order is
    /// there proves that it was made, that none is told of proves nothing.
    fn settle_by(&self, event: &Event) {
        let (platform, commands) = (&*self.0.platform, &self.0.commands);
        let settled = self.look().and_then(|call| {
            for open in commands.list(0, CommandFilter::Open, call.wait())? {
                let id = &open.request_id;
                let verdict = commands
                    .known(id, call.platform_time(), call.wait(), |k| platform.event_verdict(k, event))?;
                let Some(Verdict::Done(receipt, physical, message)) = verdict else { continue };
                if commands.order_claimed(&receipt.order_no, id)? {
                    continue;
                }
                let end = End {
                    outcome: Outcome::Done,
                    by: SettledBy::Event,
                    receipt,
                    physical,
                    message,
                    ..End::nothing()
                };
                commands.settle(id, end, false, call.wait()).map(drop)?;
            }
            Ok(())
        });
        if let Err(e) = settled {
            log_line!(Warn, "what a callback tells of a command could not be recorded: {}", e.message());
        }
    }

    /// The body that answers a callback: `code` 0 for taken. Any other code asks the platform to come again, and
    /// the repetition will not count as a duplicate.
    pub fn event_reply(
        &self,
        event: &Event,
        code: i32,
        message: &str,
        data_json: Option<&str>,
    ) -> Result<String> {
        let reply = self.0.platform.event_reply(event, code, message, data_json)?;
        if code != 0 {
            // An event may outlive its client.
            let token = CancelToken::never();
            let wait = Wait { patience: Deadline::after(LOOK), token: &token };
            self.0.commands.not_taken(&event.identity, wait);
        }
        Ok(reply)
    }

    /// The same for what [`Client::event_receive`] gave. With 0 it is taken, and that is on the disk when this returns.
    pub fn event_answer(
        &self,
        event: &Event,
        code: i32,
        message: &str,
        data_json: Option<&str>,
    ) -> Result<String> {
        if event.duplicate {
            return self.event_reply(event, code, message, data_json);
        }
        let reply = self.0.platform.event_reply(event, code, message, data_json)?;
        if code == 0 && event.identity != NO_IDENTITY {
            // An event may outlive its client.
            let token = CancelToken::never();
            let wait = Wait { patience: Deadline::after(LOOK), token: &token };
            self.0.commands.seen_before(&event.identity, self.now_ms().div_euclid(1000).max(1), wait);
            self.0.commands.flush();
        }
        Ok(reply)
    }

    /// The HTTP status that goes with [`Client::event_reply`].
    pub fn event_status(&self, code: i32) -> u16 {
        self.0.platform.event_status(code)
    }

    /// The body that answers what is none of the platform's callbacks, in the platform's words.
    pub fn event_refusal(&self) -> String {
        self.0.platform.event_reply(&Event::default(), 1, "FAIL", None).unwrap_or_default()
    }

    /// Whether the platform signs its callbacks.
    pub fn signs_events(&self) -> bool {
        self.0.platform.signs_events()
    }
}
