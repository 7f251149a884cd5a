//! What became of a command: do, ask, judge, settle, wait.

use super::call::{Call, mismatch};
use super::work::Work;
use super::{Client, small};
use crate::command::book::{Begin, Claim, Request, Wait, kept};
use crate::command::record::End;
use crate::command::rules::Stage;
use crate::command::{
    Command, CommandFilter, CommandKind, JournalInfo, Physical, SettledBy, Visit, not_done, unknown,
};
use crate::error::{Advice, Error, Outcome, Result, words};
use crate::model::*;
use crate::platform::{Answer, Known, Verdict};
use crate::status::*;
use crate::time::Deadline;
use crate::time::clock::monotonic_ms;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long after a command the platform is first asked what the machine did; the pauses double from there.
const FIRST_ASK_MS: u64 = 1000;
/// The longest pause between two such questions.
const LONGEST_ASK_MS: u64 = 10_000;
/// How long a call that only looks at the journal waits for it.
pub(super) const LOOK: Duration = Duration::from_millis(2000);

impl Client {
    /// Opens a door: at most once for one `request_id`, in the life of this client or, with a `state_dir`, for as long as the
    /// journal remembers it (`docs/journal.md`).
    pub fn door_open(&self, r: &DoorRequest) -> Result<Command> {
        self.open_door(r.clone())
    }

    /// The same with a request that is the library's own.
    pub(crate) fn open_door(&self, r: DoorRequest) -> Result<Command> {
        self.command(Work::Door(Arc::new(r)))
    }

    /// Redeems a pickup code: at most once for one `request_id`, as [`Client::door_open`] says. The code is used in its one
    /// spelling: without blanks and invisible characters, full-width digits as the usual ones.
    pub fn code_redeem(&self, r: &RedeemRequest) -> Result<Command> {
        self.command(Work::redeem(r, &*self.0.platform))
    }

    /// Whether this request could be sent: what the platform's rules and the settings refuse, without sending or recording
    /// anything. To be asked before the first command of a visit, so that the second is not refused after it.
    pub fn door_check(&self, r: &DoorRequest) -> Result<()> {
        self.sendable(&Work::Door(Arc::new(r.clone())))
    }

    /// The same for a redemption.
    pub fn redeem_check(&self, r: &RedeemRequest) -> Result<()> {
        self.sendable(&Work::redeem(r, &*self.0.platform))
    }

    fn sendable(&self, work: &Work) -> Result<()> {
        self.check()?;
        work.check_texts()?;
        self.0.platform.draft(&work.op()).map(drop)?;
        self.remembered()?;
        if work.keep().is_some() && !self.0.commands.durable() {
            return Err(Error::new(KL_E_CONFIG_MISSING, "send_within_ms needs a \"state_dir\""));
        }
        Ok(())
    }

    /// Commands need a place to be remembered, unless the setting says that there is none.
    fn remembered(&self) -> Result<()> {
        if self.0.forgetful {
            return Err(Error::new(
                KL_E_CONFIG_MISSING,
                "commands need the key \"state_dir\", a folder that survives a power cut; \"none\" goes without one",
            ));
        }
        Ok(())
    }

    /// An act that cannot be undone.
    pub(super) fn command(&self, work: Work) -> Result<Command> {
        self.command_now(work).inspect_err(|e| {
            if e.status() == KL_E_KEPT {
                self.send_later();
            }
        })
    }

    fn command_now(&self, mut work: Work) -> Result<Command> {
        let mut call = self.enter().map_err(|e| unknown_name(work.request_id(), e))?;
        if work.request_id().is_empty() && !work.needs_name() {
            // A write without a name is sent once in this call; its order is locked all the same.
            work.set_name(&self.0.commands.request_id_new(call.wait()).map_err(not_done)?);
        }
        let id = work.request_id().to_owned();
        let platform = &*self.0.platform;
        self.sendable(&work).map_err(|e| self.0.commands.outcome_of(&id, e, call.wait()))?;
        let ttl = if work.ttl_ms() == 0 { self.0.command_ttl_ms } else { work.ttl_ms() };
        call.expires = Some(monotonic_ms() + u64::from(ttl));
        let mut ahead = self.goes_at_once(&mut work, &id);
        let mut asked = false;
        loop {
            let begun = match ahead.take() {
                None => self.0.commands.begin(self.request(&work, &id), call.wait()),
                Some(mut claim) => {
                    let (receipt, by) = self.exchange(&call, &mut work, &mut claim);
                    let keep = claim.keep.take();
                    match claim.unclaimed() {
                        Err(mut claim) => {
                            claim.keep = keep;
                            return claim.finish(receipt, matches!(work, Work::Door(_)), by);
                        }
                        Ok(Some(begun)) => begun,
                        // It did not come to its sending: that is written as ever.
                        Ok(None) => match self.0.commands.begin(self.request(&work, &id), call.wait()) {
                            Ok(Begin::Claimed(mut claim)) => {
                                claim.keep = keep;
                                return claim.finish(receipt, matches!(work, Work::Door(_)), by);
                            }
                            other => other,
                        },
                    }
                }
            };
            match begun? {
                Begin::Recorded(command) => return Ok(*command),
                Begin::Ask(why) if asked => return Err(*why),
                Begin::Claimed(claim) => return self.carry_out(&call, work, claim),
                Begin::Ask(_) if platform.repeat_asks(&work.act()) => {
                    let claim = self.0.commands.again(&id, call.wait())?;
                    return self.carry_out(&call, work, claim);
                }
                Begin::Ask(_) => {
                    asked = true;
                    match self.find_out(&call, &id) {
                        // It did not happen, and the caller asks for it now.
                        Err(e) if e.details().outcome == Outcome::NotDone => {}
                        known => return known,
                    }
                }
            }
        }
    }

    fn request<'a>(&self, work: &'a Work, id: &'a str) -> Request<'a> {
        let act = work.act();
        Request {
            id,
            own_number: work.own_number(),
            hold_ms: self.0.platform.maturity(&act).hold_ms,
            tries_a_minute: self.0.tries_a_minute,
            act,
        }
    }

    /// A claim that is made with its sending, if that follows at once: over a connection that stands already, with nothing to
    /// be asked before.
    fn goes_at_once(&self, work: &mut Work, id: &str) -> Option<Claim<'_>> {
        let (inner, op) = (&*self.0, work.op());
        let platform = &*inner.platform;
        let at_once = inner.transport.stands(platform.origin())
            && platform.procedure(&op).is_none()
            && !platform.tokens().is_some_and(|source| source.needed(&op));
        if !at_once {
            return None;
        }
        let drawn = inner.commands.draw(id, work.own_number())?;
        // In this order: what is written is what is sent, and no copy of it.
        work.set_mark(&drawn.mark);
        Some(inner.commands.ahead(drawn, self.request(work, id)))
    }

    /// Sends a command that may be sent.
    pub(super) fn carry_out(&self, call: &Call<'_>, mut work: Work, mut claim: Claim<'_>) -> Result<Command> {
        let (receipt, by) = self.exchange(call, &mut work, &mut claim);
        claim.finish(receipt, matches!(work, Work::Door(_)), by)
    }

    /// The command and its answer.
    fn exchange(
        &self,
        call: &Call<'_>,
        work: &mut Work,
        claim: &mut Claim<'_>,
    ) -> (Result<Receipt>, SettledBy) {
        work.set_mark(&claim.mark);
        claim.keep = work.keep().map(Box::new);
        if let Some(keep) = &mut claim.keep {
            keep.platform_ms = call.platform_time().map(|now| now.earliest_ms);
        }
        let (answer, by) = call.run(&work.op(), Some(claim));
        let receipt = match answer {
            Ok(Answer::Taken(receipt)) => Ok(receipt),
            Ok(Answer::Json(json)) => Ok(Receipt { json, ..Receipt::default() }),
            Ok(other) => Err(unknown(mismatch(&other))),
            Err(e) => Err(e),
        };
        (receipt, by)
    }

    /// A name for a command that nobody has used. With a `state_dir` it bears the journal's number, so that a name that was
    /// forgotten is refused and never acted upon again.
    pub fn request_id_new(&self) -> Result<String> {
        let call = self.look()?;
        self.0.commands.request_id_new(call.wait())
    }

    /// What is recorded of a command. Sends nothing.
    pub fn command_get(&self, request_id: &str) -> Result<Command> {
        let call = self.look()?;
        self.0.commands.get(request_id, call.wait())
    }

    /// The commands that are under way or unknown, the oldest first: after a start, what the last run left behind. Sends
    /// nothing.
    pub fn commands_pending(&self) -> Result<Vec<Command>> {
        self.commands_list(0, CommandFilter::Open)
    }

    /// The commands after a sequence number, the oldest first. Sends nothing.
    pub fn commands_list(&self, since: u64, filter: CommandFilter) -> Result<Vec<Command>> {
        let call = self.look()?;
        self.0.commands.list(since, filter, call.wait())
    }

    /// The visits that were not closed, the oldest first, each with its commands. Sends nothing.
    pub fn visits(&self) -> Result<Vec<Visit>> {
        let call = self.look()?;
        self.0.commands.visits(call.wait())
    }

    /// Ends a visit: it is not listed any more. Its commands stay as they are. One that is closed already, or has no commands
    /// that are remembered, is closed.
    pub fn visit_close(&self, visit_id: &str) -> Result<()> {
        let call = self.look()?;
        if visit_id.is_empty() || visit_id.len() > KL_VISIT_ID_MAX {
            return Err(Error::new(KL_E_ARGUMENT, "visit_id must be 1 to 64 bytes of text"));
        }
        self.0.commands.visit_close(visit_id, call.wait())
    }

    /// Finds out what became of a command, without ever doing it again: from the record, or by asking the platform. `Ok`
    /// is *done*; the outcome in the error says *not done* or *unknown*. Nothing that is sent can open or redeem.
    pub fn command_resolve(&self, request_id: &str) -> Result<Command> {
        let call = self.enter().map_err(unknown)?;
        let known = self.0.commands.get(request_id, call.wait()).map_err(unless_never_begun)?;
        match known.outcome {
            Outcome::Unknown if known.stage == Stage::Unknown => self.find_out(&call, request_id),
            _ => told(known),
        }
    }

    /// Decides an unknown command by what a sensor or a person saw. `outcome` is `Done` or `NotDone`, `by` is `Sensor` or
    /// `Person`; the note is kept. Settling twice with the same outcome is not an error; what is settled already is not
    /// changed. *Not done* is refused (`KL_E_TOO_EARLY`) while the request may still take effect, and while its process
    /// lives (`KL_E_IN_FLIGHT`).
    pub fn command_settle(
        &self,
        request_id: &str,
        outcome: Outcome,
        by: SettledBy,
        note: &str,
    ) -> Result<()> {
        self.settle_by_hand(request_id, outcome, by, note, false)
    }

    /// A person's word against the clock: *not done* although the request may still take effect. If it does, the door opens
    /// after all. Everything else is as in [`Client::command_settle`].
    pub fn command_overrule(&self, request_id: &str, outcome: Outcome, note: &str) -> Result<()> {
        self.settle_by_hand(request_id, outcome, SettledBy::Person, note, true)
    }

    fn settle_by_hand(
        &self,
        request_id: &str,
        outcome: Outcome,
        by: SettledBy,
        note: &str,
        overrule: bool,
    ) -> Result<()> {
        let call = self.look()?;
        if !matches!(outcome, Outcome::Done | Outcome::NotDone)
            || !matches!(by, SettledBy::Sensor | SettledBy::Person)
        {
            return Err(Error::new(
                KL_E_ARGUMENT,
                "a command is settled as done or not done, by a sensor or a person",
            ));
        }
        let moves = self.0.commands.get(request_id, call.wait())?.kind == CommandKind::Door;
        let done = outcome == Outcome::Done;
        let end = End {
            outcome,
            by,
            // Whoever saw that it was done saw the machine.
            physical: if moves && done { Physical::Confirmed } else { Physical::None },
            status: if done { KL_OK } else { KL_E_CANCELLED },
            message: words(note),
            ..End::nothing()
        };
        self.0.commands.settle(request_id, end, overrule, call.wait()).map(drop)
    }

    /// Waits until it is known what the machine did, for at most so long; 0 asks once. `Ok`: it is confirmed. The
    /// platform is asked at growing intervals, at once when a callback says that there is news.
    pub fn command_wait(&self, request_id: &str, timeout_ms: u32) -> Result<Command> {
        let whole = self.enter()?;
        let deadline = Deadline::after(Duration::from_millis(timeout_ms.into()));
        let commands = &self.0.commands;
        commands.flush();
        let mut resolved = false;
        let mut pause = FIRST_ASK_MS;
        let mut ask_at = None;
        let mut trouble = String::new();
        // A question is as long as any other, but not longer than the wait; a wait of nothing asks once.
        let within = || {
            let own = Deadline::after(self.1.timeout());
            let deadline = if timeout_ms == 0 { own } else { own.earlier(deadline) };
            Call { client: self, deadline, token: whole.token.clone(), expires: None, entered_ms: None }
        };
        // Another thread may be inside just now; another process that does not let go is not waited for longer than asked.
        let patience = Duration::from_millis(u64::from(timeout_ms).max(100)).min(LOOK);
        let look = |token| Wait { patience: Deadline::after(patience), token };
        loop {
            let seen = commands.changes();
            let known = commands.get(request_id, look(&whole.token))?;
            let fresh = timeout_ms > 0 && known.age_ms < 3 * FIRST_ASK_MS;
            let ask = *ask_at.get_or_insert_with(|| monotonic_ms() + if fresh { FIRST_ASK_MS } else { 0 });
            let movement = match (known.outcome, known.physical) {
                (Outcome::Unknown, _) if known.stage != Stage::Unknown => false,
                (Outcome::Unknown, _) if resolved => return told(known),
                (Outcome::Unknown, _) => {
                    resolved = true;
                    self.find_out(&within(), request_id)?;
                    continue;
                }
                (Outcome::Done, Physical::Pending) => true,
                (Outcome::Done, _) => return moved(known),
                _ => return told(known),
            };
            if movement && (monotonic_ms() >= ask || commands.hinted(request_id)) {
                match self.ask_movement(&within(), request_id, &known) {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(e) => trouble = e.message().to_owned(),
                }
                ask_at = Some(monotonic_ms() + pause);
                pause = (pause * 2).min(LONGEST_ASK_MS);
            }
            if whole.token.is_cancelled() {
                return Err(after_the_command(&known, KL_E_CANCELLED, "the wait was cancelled".to_owned()));
            }
            if deadline.expired() {
                let mut message = "the time was up before it was known what the machine did".to_owned();
                if !trouble.is_empty() {
                    message.push_str("; the last question failed: ");
                    message.push_str(&trouble);
                }
                return Err(after_the_command(&known, KL_E_PENDING, message));
            }
            let next = ask_at.unwrap_or(0).saturating_sub(monotonic_ms()).clamp(10, 500);
            commands.wait(seen, Duration::from_millis(next).min(deadline.remaining()));
        }
    }

    /// Asks the platform what the machine did, where it can be asked. Whether it knew.
    fn ask_movement(&self, call: &Call<'_>, request_id: &str, known: &Command) -> Result<bool> {
        let platform = &*self.0.platform;
        let Some(query) = platform.movement_query(&known.act, &known.receipt) else { return Ok(false) };
        let answer = call.ask(&query)?;
        let Some((physical, why)) = platform.movement(&known.act, &known.receipt, &answer) else {
            return Ok(false);
        };
        self.0.commands.set_physical(request_id, physical, &why, call.wait());
        Ok(true)
    }

    /// How the journal does: its size, what is unsettled, how long its syncs take.
    pub fn journal_info(&self) -> Result<JournalInfo> {
        let call = self.look()?;
        self.0.commands.info(call.wait())
    }

    /// After `KL_E_JOURNAL_DAMAGED`, when a person has decided to go on: puts the damaged file aside and keeps every record
    /// that could be read. What the damaged part knew is lost: a `request_id` from there would be sent again. Gives the
    /// old file's new name, `None` if nothing was damaged.
    pub fn journal_repair(&self) -> Result<Option<PathBuf>> {
        let call = self.look()?;
        let aside = self.0.commands.repair(call.wait())?;
        // What waits in it could not be seen before.
        self.pick_up();
        Ok(aside)
    }

    /// After `KL_E_JOURNAL_MISSING`, `_OLDER` or `_COPIED`, when a person has decided to go on: the installation gets a new
    /// secret and the numbers jump over what was known. What the lost journal knew stays lost: a `request_id` from there
    /// would be sent again. The note is kept.
    pub fn journal_adopt(&self, note: &str) -> Result<()> {
        let call = self.look()?;
        self.0.commands.adopt(note, call.wait())
    }

    /// Asks the platform what became of an unknown command. Nothing that is sent here acts.
    fn find_out(&self, call: &Call<'_>, request_id: &str) -> Result<Command> {
        let (platform, commands) = (&*self.0.platform, &self.0.commands);
        let known = commands.get(request_id, call.wait()).map_err(unknown)?;
        let queries = commands
            .known(request_id, call.platform_time(), call.wait(), |k| platform.queries(k))
            .map_err(unknown)?;
        let (mut why, mut advice) = ("this platform cannot be asked".to_owned(), Advice::CallPerson);
        for query in queries {
            // What a platform did not show yet when it was asked may have come before its answer was here.
            let mature = commands.known(request_id, None, call.wait(), |k| k.mature).map_err(unknown)?;
            let answer = call.ask(&query);
            if let Err(e) = answer
                .as_ref()
                .map(drop)
                .or_else(|e| if e.status() == KL_E_NOT_FOUND { Ok(()) } else { Err(e) })
            {
                (why, advice) = (["the question failed: ", e.message()].concat(), Advice::AskFirst);
                if e.status() == KL_E_CANCELLED || call.deadline.expired() {
                    break;
                }
                continue;
            }
            let verdict = commands
                .known(request_id, call.platform_time(), call.wait(), |k| {
                    platform.judge(&Known { mature, ..*k }, &query, &answer)
                })
                .map_err(unknown)?;
            let end = match verdict {
                Verdict::Unknown(said) => {
                    if advice == Advice::CallPerson {
                        why = said;
                    }
                    continue;
                }
                // An order that another command made says nothing of this one.
                Verdict::Done(receipt, ..)
                    if platform.order_is_new(&known.act)
                        && commands.order_claimed(&receipt.order_no, request_id).map_err(unknown)? =>
                {
                    why = "the order with this number was made by another command".to_owned();
                    continue;
                }
                Verdict::Done(receipt, physical, message) => End {
                    outcome: Outcome::Done,
                    by: SettledBy::Query,
                    receipt,
                    physical,
                    message,
                    ..End::nothing()
                },
                Verdict::NotDone(message) => End {
                    outcome: Outcome::NotDone,
                    by: SettledBy::Query,
                    status: KL_E_CANCELLED,
                    message,
                    ..End::nothing()
                },
            };
            return told(commands.settle(request_id, end, false, call.wait()).map_err(unknown)?);
        }
        if known.mature_in_ms > 0 && advice == Advice::CallPerson {
            // It may yet show itself.
            advice = Advice::AskFirst;
        }
        Err(still_unknown(&known, &why, advice))
    }

    /// A look at the journal: nothing is sent.
    pub(super) fn look(&self) -> Result<Call<'_>> {
        let mut call = self.enter()?;
        call.deadline = call.deadline.earlier(Deadline::after(LOOK));
        call.entered_ms = None;
        Ok(call)
    }
}

/// A name that was never begun is not done; what cannot be looked up is unknown.
fn unless_never_begun(error: Error) -> Error {
    if error.details().outcome == Outcome::NotDone { error } else { unknown(error) }
}

/// The error of a command that could not even be looked up; without a name nothing can have been done.
fn unknown_name(id: &str, error: Error) -> Error {
    if id.is_empty() { not_done(error) } else { unknown(error) }
}

/// A command's record as the answer to a question: `Ok` for *done* alone.
fn told(known: Command) -> Result<Command> {
    let id = &known.request_id;
    match known.outcome {
        Outcome::Done => Ok(known),
        Outcome::NotDone => {
            let message = ["request_id ", id, " did not happen: ", &known.message].concat();
            Err(not_done(Error::new(known.status, message)))
        }
        _ if known.stage == Stage::Kept => Err(kept(id, Error::new(KL_E_KEPT, known.message.as_str()))),
        _ if known.stage.in_flight() => {
            Err(unknown(Error::new(KL_E_IN_FLIGHT, ["request_id ", id, " is under way"].concat())))
        }
        _ => Err(still_unknown(&known, &known.message, Advice::AskFirst)),
    }
}

/// The machine's movement as the answer to a question: `Ok` for *confirmed* alone.
fn moved(known: Command) -> Result<Command> {
    let (status, message) = match known.physical {
        Physical::Confirmed => return Ok(known),
        Physical::Failed => (KL_E_NOT_MOVED, "the platform took the command, but the machine did not do it"),
        Physical::None => (KL_E_UNKNOWABLE, "nothing moves by this command"),
        _ => (KL_E_UNKNOWABLE, "the platform does not know what the machine did"),
    };
    let error = after_the_command(&known, status, message.to_owned());
    Err(error.with(|d| d.platform_message.clone_from(&known.physical_error)))
}

/// An error about what came after a command, which itself is as it is.
fn after_the_command(known: &Command, status: kl_status, message: String) -> Error {
    Error::new(status, message).with(|d| d.outcome = known.outcome)
}

fn still_unknown(known: &Command, why: &str, advice: Advice) -> Error {
    let id = &known.request_id;
    Error::new(KL_E_UNSETTLED, ["what became of request_id ", id, " is not known: ", why].concat()).with(
        |d| {
            d.outcome = Outcome::Unknown;
            d.advice = advice;
            d.retry_after_ms = small(known.mature_in_ms.into());
        },
    )
}
