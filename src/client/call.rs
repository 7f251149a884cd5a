//! One call: one deadline, one cancel, the only retry loop.
//!
//! A verb enters once and everything that it needs goes through the same [`Call`]: tokens, reads, the one guarded sending.
//! So no part of it can outlive the deadline, and a cancel ends it wherever it waits.

use super::{Client, Inner};
use crate::cancel::CancelToken;
use crate::command::book::{Claim, Wait};
use crate::command::{SettledBy, not_done, unknown};
use crate::error::{Advice, Error, Outcome, Result};
use crate::log::log_line;
use crate::model::*;
use crate::platform::{Answer, Draft, Moment, Op, Query, Span, Step, Token, TokenSource, Way};
use crate::status::*;
use crate::switch::off;
use crate::sys;
use crate::time::Deadline;
use crate::time::clock::{Origin, SigningTime, Source, monotonic_ms};
use crate::token::{Caller, Want};
use crate::transport::{Failure, Purpose, Reply};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often a read is tried inside its deadline.
const ATTEMPTS: u32 = 3;
/// The bound of the first pause between two tries; that of the second is twice as long.
const PAUSE_MS: u64 = 500;
/// How often a read is tried that the platform puts off, if there is time: the pauses then are the platform's.
const LIMITED: u32 = 6;
/// A first byte that leaves later than this after the last check means that the process was stopped between the two.
const LATE_MS: u64 = 1000;
/// How often it is tried to be the only one.
const TURN: Duration = Duration::from_millis(20);

/// A call under way.
pub(crate) struct Call<'a> {
    pub client: &'a Client,
    pub deadline: Deadline,
    pub token: CancelToken,
    /// What it may still send must leave before this, on the monotonic clock.
    pub expires: Option<u64>,
    /// When it was entered, on the monotonic clock; `None` for a part of another call and for a look at the journal, which are not
    /// counted.
    pub entered_ms: Option<u64>,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(entered) = self.entered_ms {
            self.inner().tally.took(monotonic_ms().saturating_sub(entered));
        }
    }
}

/// When a request was signed: by the time for this origin, and by the device's own clock.
struct Signed {
    time: SigningTime,
    at: u64,
    /// On the boot clock.
    checked_ms: u64,
}

/// A procedure's only runner for what it is about.
struct Turn<'a> {
    inner: &'a Inner,
    what: String,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.inner.turns().retain(|taken| *taken != self.what);
    }
}

impl<'a> Call<'a> {
    /// How this call waits for the commands' gate.
    pub fn wait(&self) -> Wait<'_> {
        Wait { patience: self.deadline, token: &self.token }
    }

    fn inner(&self) -> &'a Inner {
        &self.client.0
    }

    /// A read: tried again inside its deadline, with growing pauses, when the network or the platform is in trouble.
    pub fn read(&self, op: &Op<'_>) -> Result<Answer> {
        self.patiently(op, &mut false).map_err(|e| e.with(|d| d.outcome = Outcome::None))
    }

    /// What a query asks, all pages of it.
    pub fn ask(&self, query: &Query) -> Result<Answer> {
        let Query::Stock(cabinet_id, extra_json) = query else { return self.read(&query.op()) };
        let extra_json = extra_json.as_deref();
        let (client, id) = (self, cabinet_id.as_str());
        let items = super::pages::collect(|page| {
            match client.read(&Op::Stock { cabinet_id: id, page, extra_json })? {
                Answer::Stock(page) => Ok(page),
                other => Err(mismatch(&other)),
            }
        })?;
        Ok(Answer::Stock(Page { items, total: None, more: Some(false) }))
    }

    /// A write: sent once. Its error says what became of it.
    pub fn write(&self, op: &Op<'_>) -> Result<Answer> {
        self.run(op, None).0
    }

    /// The verb's own act, in one call or in the steps that the platform says. With it, who says what became of it.
    pub fn run(&self, op: &Op<'_>, claim: Option<&Claim<'_>>) -> (Result<Answer>, SettledBy) {
        let (outcome, by) = self.steps(op, claim);
        (outcome.map_err(advised), by)
    }

    fn steps(&self, op: &Op<'_>, claim: Option<&Claim<'_>>) -> (Result<Answer>, SettledBy) {
        let Some(mut procedure) = self.inner().platform.procedure(op) else {
            return (self.send(op, Purpose::Command, claim), SettledBy::Answer);
        };
        let _turn = match procedure.exclusive().map(|what| self.only(what)).transpose() {
            Ok(turn) => turn,
            Err(e) => return (Err(not_done(e)), SettledBy::Answer),
        };
        let (mut last, mut by, mut sent) = (None, SettledBy::Answer, false);
        loop {
            match procedure.next(last.take()) {
                Step::Ask(query) => {
                    by = if sent { SettledBy::Query } else { by };
                    last = Some(self.ask(&query));
                }
                Step::Send if sent => {
                    let e = Error::new(KL_E_INTERNAL, "a procedure wanted to send twice");
                    return (Err(unknown(e)), SettledBy::Answer);
                }
                Step::Send => {
                    sent = true;
                    last = Some(self.send(op, Purpose::Command, claim));
                }
                Step::Pause(ms) => {
                    if let Err(e) = self.pause(Duration::from_millis(ms.into())) {
                        last = Some(Err(e));
                    }
                }
                Step::End(outcome) => {
                    return (outcome.map_err(|e| judged(Purpose::Command, sent, e)), by);
                }
            }
        }
    }

    /// Waits, unless the call is cancelled or over meanwhile.
    pub fn pause(&self, time: Duration) -> Result<()> {
        self.token.pause(time.min(self.deadline.remaining()))?;
        if self.deadline.expired() {
            return Err(Error::new(KL_E_TIMEOUT_REPLY, "the deadline passed between two steps of the call"));
        }
        Ok(())
    }

    fn only(&self, what: String) -> Result<Turn<'a>> {
        let inner = self.inner();
        loop {
            let mut turns = inner.turns();
            if !turns.contains(&what) {
                turns.push(what.clone());
                return Ok(Turn { inner, what });
            }
            drop(turns);
            if self.deadline.expired() {
                return Err(Error::new(KL_E_BUSY, "another thread is doing the same for this cabinet"));
            }
            self.token.pause(TURN)?;
        }
    }

    /// Something is tried once more.
    fn again(&self) {
        self.inner().tally.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// The only retry loop; `taken` becomes true when one of the tries may have been taken though its answer did not come.
    fn patiently(&self, op: &Op<'_>, taken: &mut bool) -> Result<Answer> {
        let mut corrected = false;
        let mut attempt = 0;
        let mut limited = 0;
        loop {
            attempt += 1;
            // As a command's, so that the error says whether it may have been taken.
            let error = match self.once(op, Purpose::Read) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            *taken |= error.details().outcome != Outcome::NotDone;
            if error.status() == KL_E_TIMESTAMP && !corrected {
                // The answer taught the platform's time: the same question, signed with it, is a new one.
                corrected = true;
                self.again();
                continue;
            }
            let again = error.details().advice == Advice::Retry && error.status() != KL_E_CANCELLED;
            let error = if error.status() == KL_E_RATE_LIMIT {
                // Each refusal of this kind asks for a longer pause than the one before.
                limited += 1;
                let asked = self.inner().platform.rate_pause_ms(limited);
                error.with(|d| d.retry_after_ms = d.retry_after_ms.max(asked))
            } else {
                error
            };
            if attempt - limited >= ATTEMPTS || limited >= LIMITED || !again {
                return Err(error);
            }
            let pause = pause_ms(attempt).max(error.details().retry_after_ms.into());
            if pause >= self.deadline.remaining().as_millis() as u64 {
                return Err(error);
            }
            log_line!(Debug, "trying again in {pause} ms: {}", error.message());
            self.again();
            self.token.pause(Duration::from_millis(pause))?;
        }
    }

    /// One request and its answer, sent as a read may be; the error says whether it may have been taken.
    fn once(&self, op: &Op<'_>, purpose: Purpose) -> Result<Answer> {
        self.send_as(op, purpose, Purpose::Command, None)
    }

    /// One request and its answer, with what became of it in the error.
    fn send(&self, op: &Op<'_>, purpose: Purpose, claim: Option<&Claim<'_>>) -> Result<Answer> {
        self.send_as(op, purpose, purpose, claim)
    }

    /// `judge`: whether the error is to say what became of it.
    fn send_as(
        &self,
        op: &Op<'_>,
        purpose: Purpose,
        judge: Purpose,
        claim: Option<&Claim<'_>>,
    ) -> Result<Answer> {
        self.client.check()?;
        self.token.check().map_err(|e| judged(judge, false, e))?;
        let inner = self.inner();
        if let (Op::Ping, Some(source)) = (op, inner.platform.tokens()) {
            // The platform is asked, and what it gives is used by the next call.
            return self.access(source, Want::Asked, purpose).map(|_| Answer::Pong);
        }
        let draft = inner.platform.draft(op).map_err(|e| judged(judge, false, e))?;
        let timeless = || inner.clock.signing_time(draft.url.clock()).source == Source::Floor;
        if timeless() && !matches!(op, Op::Ping) {
            // The device does not know the time. Any answer of the platform teaches it, a refusal too.
            if let Err(e) = self.send_as(&Op::Ping, Purpose::Read, Purpose::Read, None) {
                if timeless() {
                    return Err(judged(judge, false, e));
                }
            }
        }
        let exchange = |token: &str| self.exchange(op, &draft, purpose, judge, claim, token);
        let Some(source) = inner.platform.tokens().filter(|source| source.needed(op)) else {
            return exchange("");
        };
        let token = |want| self.access(source, want, purpose).map_err(|e| judged(judge, false, e));
        let shown = token(Want::Living)?;
        match exchange(&shown) {
            // Only where a row of the platform's table proves that nothing was done is it sent again; once.
            Err(e)
                if source.is_dead(&e)
                    && (purpose == Purpose::Read || e.details().outcome == Outcome::NotDone) =>
            {
                log_line!(Info, "the token was refused, another one is fetched: {}", e.message());
                exchange(&token(Want::Instead(&shown))?)
            }
            other => other,
        }
    }

    /// A token for this call. Its fetch spends from the call's deadline.
    fn access(&self, source: &dyn TokenSource, want: Want<'_>, purpose: Purpose) -> Result<String> {
        let Some(tokens) = &self.inner().tokens else {
            return Err(Error::new(KL_E_INTERNAL, "this client keeps no tokens"));
        };
        let fetcher = Fetcher { call: self, source };
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match tokens.get(want, self.deadline, &fetcher) {
                Ok(token) => return Ok(token),
                Err(error) => error,
            };
            // A read is tried again as a whole. A command is not, but this part of it can be: nothing was sent.
            let again = error.details().advice == Advice::Retry && error.status() != KL_E_CANCELLED;
            let pause = pause_ms(attempt).max(error.details().retry_after_ms.into());
            let late = pause >= self.deadline.remaining().as_millis() as u64
                || self.expires.is_some_and(|at| monotonic_ms() + pause >= at);
            if purpose == Purpose::Read || attempt == ATTEMPTS || !again || late {
                return Err(error);
            }
            self.again();
            self.token.pause(Duration::from_millis(pause))?;
        }
    }

    /// One request out, one reply in; with the time it was signed at, as the platform's clock stands now. A failure
    /// says whether a byte left.
    fn transfer(
        &self,
        draft: &Draft<'_>,
        purpose: Purpose,
        claim: Option<&Claim<'_>>,
        token: &str,
    ) -> std::result::Result<(Reply, Signed), Failure> {
        let inner = self.inner();
        let origin = draft.url.clock();
        let mut signed = Signed { time: SigningTime::FLOOR, at: 0, checked_ms: 0 };
        let reply = inner.transport.call(&draft.url, purpose, self.deadline, &self.token, &mut || {
            if let Some(claim) = claim {
                claim.sending(self.deadline.remaining(), self.platform_time(), &self.token)?;
            }
            self.token.check()?;
            // Last of all: nothing that takes time comes after it.
            signed.at = monotonic_ms();
            signed.checked_ms = sys::boot_ms();
            if self.expires.is_some_and(|at| signed.at >= at) {
                return Err(Error::new(
                    KL_E_STALE,
                    "the command's time to live passed before it could be sent",
                ));
            }
            signed.time = inner.clock.signing_time(origin);
            Ok((draft.seal)(&Moment { now_ms: signed.time.ms, token }))
        });
        let first = match &reply {
            Ok(reply) => reply.timing.first_write,
            Err(failure) => failure.first_write,
        };
        if let Some(claim) = claim.filter(|_| first.left && first.after_ms > signed.checked_ms + LATE_MS) {
            claim.sent_late(self.deadline.remaining(), self.platform_time());
        }
        let reply = reply?;
        inner.later.through();
        Ok((reply, signed))
    }

    /// The platform's time now, with its bounds; `None` if the platform has not told it.
    pub(super) fn platform_time(&self) -> Option<Span> {
        let inner = self.inner();
        let now = inner.clock.now(inner.platform.origin().clock());
        (now.source == Source::Platform).then_some(Span { earliest_ms: now.lo_ms, latest_ms: now.hi_ms })
    }

    /// Tells the clock what an answer says of the time that its request was signed by. True if it was refused and there
    /// is another time to try.
    fn timed(&self, origin: Origin<'_>, signed: &SigningTime, error: Option<&Error>) -> bool {
        let inner = self.inner();
        let Some(error) = error else {
            if inner.platform.checks_time() {
                inner.clock.accepted(origin, signed);
            }
            return false;
        };
        // A token that ended has nothing to do with it.
        matches!(error.status(), KL_E_AUTH | KL_E_TIMESTAMP)
            && !inner.platform.tokens().is_some_and(|source| source.is_dead(error))
            && inner.clock.refused(origin, signed, error.status() == KL_E_TIMESTAMP)
    }

    /// One request and its answer with this token.
    fn exchange(
        &self,
        op: &Op<'_>,
        draft: &Draft<'_>,
        purpose: Purpose,
        judge: Purpose,
        claim: Option<&Claim<'_>>,
        token: &str,
    ) -> Result<Answer> {
        let inner = self.inner();
        let (reply, signed) = self
            .transfer(draft, purpose, claim, token)
            .map_err(|failure| judged(judge, failure.left, failure.error))?;
        let origin = draft.url.clock();
        let answer = inner.platform.answer(op, &reply);
        let another = self.timed(origin, &signed.time, answer.as_ref().err());
        answer.map_err(|error| {
            let error = scrubbed(error, token);
            let refused = error.details().outcome == Outcome::NotDone || purpose == Purpose::Read;
            let error = if refused && another { self.mended(origin, &signed, error) } else { error };
            judged(judge, true, error)
        })
    }

    /// The refusal of a time that is put right now.
    fn mended(&self, origin: Origin<'_>, signed: &Signed, error: Error) -> Error {
        let then = signed.time.ms + (monotonic_ms() - signed.at) as i64;
        let s = ((self.inner().clock.signing_time(origin).ms - then) / 1000).to_string();
        error.with(|d| {
            d.status = KL_E_TIMESTAMP;
            d.advice = Advice::Retry;
            d.message
                .push_str(&["; the time it was signed at was ", &s, " s off, and is corrected now"].concat());
        })
    }
}

/// What fetches a token within a call.
struct Fetcher<'c, 'a> {
    call: &'c Call<'a>,
    source: &'c dyn TokenSource,
}

impl Caller for Fetcher<'_, '_> {
    fn now_ms(&self) -> i64 {
        self.call.client.now_ms()
    }

    fn renew_before_ms(&self) -> i64 {
        self.source.renew_before_ms()
    }

    fn check(&self) -> Result<()> {
        self.call.token.check()
    }

    fn pause(&self, time: Duration) -> Result<()> {
        self.call.token.pause(time)
    }

    fn fetch(&self, way: Way, old: Option<&Token>) -> Result<Token> {
        let draft = self.source.draft(way, old)?;
        let (reply, signed) =
            self.call.transfer(&draft, Purpose::Read, None, "").map_err(|failure| failure.error)?;
        // The reply may just have taught the time.
        let sent_ms = self.now_ms() - (monotonic_ms() - signed.at) as i64;
        let refresh = old.map_or("", |t| t.refresh.as_str());
        let token = self.source.answer(&reply, sent_ms).map_err(|e| scrubbed(e, refresh));
        let origin = draft.url.clock();
        let another = self.call.timed(origin, &signed.time, token.as_ref().err());
        token.map_err(|e| if another { self.call.mended(origin, &signed, e) } else { e })
    }
}

/// Says in the error of a command or a write what became of it: *not done* is that no byte left, or a row of the platform's
/// table of refusals; everything else is unknown. A read has no outcome.
fn judged(purpose: Purpose, left: bool, error: Error) -> Error {
    let proved = !left
        || error.details().outcome == Outcome::NotDone
        || off("envelope") && (400..500).contains(&error.details().http_status)
        || off("default-unknown");
    match purpose {
        Purpose::Read => error,
        // The advice is left alone: a read that is judged like this is tried again by it.
        Purpose::Command => {
            error.with(|d| d.outcome = if proved { Outcome::NotDone } else { Outcome::Unknown })
        }
    }
}

/// What is not known is asked first, whatever else its error advises.
fn advised(error: Error) -> Error {
    if error.details().outcome == Outcome::Unknown { unknown(error) } else { error }
}

/// The error without a token that the platform may have repeated in its words.
fn scrubbed(error: Error, token: &str) -> Error {
    if token.is_empty()
        || !error.details().platform_message.contains(token) && !error.message().contains(token)
    {
        return error;
    }
    error.with(|d| {
        d.platform_name = d.platform_name.replace(token, "***");
        d.platform_message = d.platform_message.replace(token, "***");
        d.message = d.message.replace(token, "***");
    })
}

pub(crate) fn mismatch(answer: &Answer) -> Error {
    Error::new(KL_E_INTERNAL, ["the platform's module answered with ", answer.kind()].concat())
}

/// Full jitter: anything from nothing to the bound, so that a street of kiosks does not come back at once.
fn pause_ms(attempt: u32) -> u64 {
    jitter(PAUSE_MS << (attempt - 1))
}

/// Anything below this.
pub(super) fn jitter(bound: u64) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(bound) % bound
}
