//! One account on one platform: the verbs as ordinary methods.

use crate::codes::{self, Turns};
use crate::command::{
    Act, Began, Begin, Command, CommandKind, Commands, End, JournalInfo, Moved, Physical, SettledBy, Ticket,
    not_done, unknown,
};
use crate::config::Config;
use crate::error::{Advice, Error, Outcome, Result, words};
use crate::event::{Event, Seen, SignedWith, Versions};
use crate::hex;
use crate::log::{Masked, log_line};
use crate::model::*;
use crate::platform::{
    self, Answer, Draft, Fate, Kind, Moment, Nature, Op, Platform, Token, TokenSource, Way, rules,
};
use crate::status::*;
use crate::time::clock::{Clock, Estimate, Origin, SigningTime, Source, monotonic_ms};
use crate::token::{Caller, Tokens, Want};
use crate::transport::{Deadline, Failure, Purpose, Reply, Stats, Transport};
use md5::{Digest, Md5};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

const OPEN: u8 = 0;
const RETIRED: u8 = 1;
const CLOSED: u8 = 2;

/// How long after a command the platform is first asked what the machine did; the pauses double from there.
const FIRST_ASK_MS: u64 = 1000;
/// The longest pause between two such questions.
const LONGEST_ASK_MS: u64 = 10_000;
/// How often a read is tried inside its deadline.
const ATTEMPTS: u32 = 3;
/// The bound of the first pause between two tries; that of the second is twice as long.
const PAUSE_MS: u64 = 500;
/// How often a read is tried that the platform puts off, if there is time: the pauses then are the platform's.
const LIMITED: u32 = 6;

/// One account on one platform. Cheap to clone; every clone is the same client. Any number of threads may use it.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    platform: Box<dyn Platform>,
    transport: Transport,
    clock: Arc<Clock>,
    tokens: Option<Tokens>,
    commands: Commands,
    seen: Seen,
    turns: Turns,
    versions: Versions,
    timeout: Duration,
    command_ttl_ms: u32,
    state: AtomicU8,
    cancels: Mutex<u32>,
    cancelled: Condvar,
    _masked: Vec<Masked>,
}

/// Follows the pages of a list and hands out one item after the other; holds one page at a time.
pub struct Pages<T> {
    fetch: Box<dyn FnMut(PageRequest) -> Result<Page<T>> + Send>,
    items: std::vec::IntoIter<T>,
    page: PageRequest,
    fetched: u64,
    first_of_page: String,
    finished: bool,
}

impl Client {
    /// Checks the settings and makes the client. Sends nothing and starts no thread.
    pub fn new(config: &Config) -> Result<Client> {
        let platform = platform::make(config)?;
        let clock = Arc::new(Clock::new());
        let tokens = Tokens::new(&*platform, config)?;
        let transport = Transport::new(config.transport()?, clock.clone())?;
        let commands = match config.folder("state_dir")? {
            // It only reads.
            Some(_) if platform.kind() == Kind::Zhiyun => Commands::in_memory(),
            Some(folder) => {
                let account = config.account();
                let short = hex::lower(&Md5::digest(&account)[..8]);
                let name = ["commands-", platform.kind().name(), "-", &short].concat();
                Commands::journaled(folder, name, account)
            }
            None => Commands::in_memory(),
        };
        Ok(Client(Arc::new(Inner {
            platform,
            transport,
            clock,
            tokens,
            commands,
            seen: Seen::default(),
            turns: Turns::default(),
            versions: Versions::default(),
            timeout: Duration::from_millis(config.number("timeout_ms").into()),
            command_ttl_ms: config.number("command_ttl_ms"),
            state: AtomicU8::new(OPEN),
            cancels: Mutex::new(0),
            cancelled: Condvar::new(),
            _masked: config.secrets().filter_map(Masked::new).collect(),
        })))
    }

    /// The platform's name.
    pub fn platform(&self) -> &'static str {
        self.0.platform.kind().name()
    }

    /// Opens a connection, or proves that one is alive, so that the next call is one round trip.
    pub fn warm(&self) -> Result<()> {
        self.0.transport.warm(self.0.platform.origin(), Deadline::after(self.0.timeout))
    }

    /// Asks the platform whether it is there and takes the credentials.
    pub fn ping(&self) -> Result<()> {
        self.read(&Op::Ping).map(drop)
    }

    /// One page of the account's cabinets.
    pub fn cabinet_list(&self, page: PageRequest) -> Result<Page<Cabinet>> {
        match self.read(&Op::CabinetList { page: checked(page)? })? {
            Answer::Cabinets(page) => Ok(page),
            other => Err(mismatch(&other)),
        }
    }

    /// All cabinets, page by page.
    pub fn cabinets(&self, page_size: u32) -> Pages<Cabinet> {
        let client = self.clone();
        Pages::new(page_size, move |page| client.cabinet_list(page))
    }

    /// One page of what a cabinet holds.
    pub fn stock_page(
        &self,
        cabinet_id: &str,
        page: PageRequest,
        extra_json: Option<&str>,
    ) -> Result<Page<StockItem>> {
        match self.read(&Op::Stock { cabinet_id, page: checked(page)?, extra_json })? {
            Answer::Stock(page) => Ok(page),
            other => Err(mismatch(&other)),
        }
    }

    /// All that a cabinet holds, page by page.
    pub fn stock(&self, cabinet_id: &str, page_size: u32, extra_json: Option<&str>) -> Pages<StockItem> {
        let (client, id, extra) = (self.clone(), cabinet_id.to_owned(), extra_json.map(str::to_owned));
        Pages::new(page_size, move |page| client.stock_page(&id, page, extra.as_deref()))
    }

    /// One order.
    pub fn order_get(&self, order: &OrderRef) -> Result<Order> {
        match self.read(&Op::OrderGet(order))? {
            Answer::Order(order) => Ok(*order),
            other => Err(mismatch(&other)),
        }
    }

    /// One page of the orders of a period.
    pub fn order_list(&self, query: &OrderQuery, page: PageRequest) -> Result<Page<Order>> {
        match self.read(&Op::OrderList { query, page: checked(page)? })? {
            Answer::Orders(page) => Ok(page),
            other => Err(mismatch(&other)),
        }
    }

    /// All orders of a period, page by page.
    pub fn orders(&self, query: &OrderQuery, page_size: u32) -> Pages<Order> {
        let (client, query) = (self.clone(), query.clone());
        let Some(bounds) = self.0.platform.order_list_bounds() else {
            return Pages::new(page_size, move |page| client.order_list(&query, page));
        };
        let mut windows = Windows::new(query.from, query.to, bounds);
        Pages::new(page_size, move |page| {
            windows.next_page(page.size, |from, to, page| {
                client.order_list(&OrderQuery { from, to, ..query.clone() }, page)
            })
        })
    }

    /// Opens a door: at most once for one `request_id`, in the life of this client or, with a `state_dir`, for as long as the
    /// journal remembers it (`docs/journal.md`).
    pub fn door_open(&self, r: &DoorRequest) -> Result<Command> {
        self.command(&Op::DoorOpen(r), &r.request_id, Act::Door(r.clone()), r.ttl_ms)
    }

    /// Redeems a pickup code: at most once for one `request_id`, as [`Client::door_open`] says.
    pub fn code_redeem(&self, r: &RedeemRequest) -> Result<Command> {
        self.command(&Op::CodeRedeem(r), &r.request_id, Act::Redeem(r.clone()), r.ttl_ms)
    }

    /// An act that cannot be undone.
    fn command(&self, op: &Op<'_>, request_id: &str, act: Act, ttl_ms: u32) -> Result<Command> {
        self.check().map_err(not_done)?;
        let deadline = Deadline::after(self.0.timeout);
        let ttl = if ttl_ms == 0 { self.0.command_ttl_ms } else { ttl_ms };
        let expires = monotonic_ms() + u64::from(ttl);
        self.0.platform.draft(op).map_err(not_done)?;
        let mut asked = false;
        loop {
            let now = self.now();
            let began = Began { at: now.ms.div_euclid(1000), platform_time: now.source == Source::Platform };
            let ticket = match self.0.commands.begin(request_id, act.clone(), began, deadline)? {
                Begin::Recorded(command) => return Ok(*command),
                Begin::Ask(why) if asked => return Err(why),
                Begin::Ask(_) => {
                    asked = true;
                    match self.find_out(request_id, Some(op), deadline) {
                        // It did not happen, and the caller asks for it now.
                        Err(e) if e.details().outcome == Outcome::NotDone => continue,
                        known => return known,
                    }
                }
                Begin::Send(ticket) => ticket,
            };
            let end = self.carry_out(op, &ticket, deadline, Some(expires));
            return ticket.settle(end, matches!(act, Act::Door(_)));
        }
    }

    /// Sends a command that may be sent.
    fn carry_out(
        &self,
        op: &Op<'_>,
        ticket: &Ticket<'_>,
        deadline: Deadline,
        expires: Option<u64>,
    ) -> Result<Receipt> {
        match self.send(op, Purpose::Command, deadline, Limits { expires, ticket: Some(ticket) }) {
            Ok(Answer::Taken(receipt)) => Ok(receipt),
            Ok(Answer::Json(json)) => Ok(Receipt { json, ..Receipt::default() }),
            Ok(Answer::UsedBy { order_no, refusal }) => {
                codes::whose(self, op, order_no, refusal, ticket, deadline)
            }
            Ok(other) => Err(unknown(mismatch(&other))),
            Err(e) => Err(ticket.doubt(e)),
        }
    }

    /// What is recorded of a command. Sends nothing.
    pub fn command_get(&self, request_id: &str) -> Result<Command> {
        self.check()?;
        self.0.commands.get(request_id)
    }

    /// The commands that are under way or unknown, the oldest first: after a start, what the last run left behind. Sends
    /// nothing.
    pub fn commands_pending(&self) -> Result<Vec<Command>> {
        self.check()?;
        self.0.commands.pending()
    }

    /// Finds out what became of a command, without ever doing it again: from the record, or by asking the platform. `Ok`
    /// is *done*; the outcome in the error says *not done* or *unknown*.
    pub fn command_resolve(&self, request_id: &str) -> Result<Command> {
        self.check()?;
        let known = self.0.commands.get(request_id)?;
        match known.outcome {
            Outcome::Unknown if known.status != KL_E_IN_FLIGHT => {
                self.find_out(request_id, None, Deadline::after(self.0.timeout))
            }
            _ => told(known),
        }
    }

    /// Decides an unknown command by what a sensor or a person saw. `outcome` is `Done` or `NotDone`, `by` is `Sensor` or
    /// `Person`; the note is kept. Telling the same twice does nothing; what is settled already stays as it is.
    pub fn command_settle(
        &self,
        request_id: &str,
        outcome: Outcome,
        by: SettledBy,
        note: &str,
    ) -> Result<()> {
        self.check()?;
        if !matches!(outcome, Outcome::Done | Outcome::NotDone)
            || !matches!(by, SettledBy::Sensor | SettledBy::Person)
        {
            return Err(Error::new(
                KL_E_ARGUMENT,
                "a command is settled as done or not done, by a sensor or a person",
            ));
        }
        let moves = self.0.commands.get(request_id)?.act.kind() == CommandKind::Door;
        let end = End {
            outcome,
            by,
            receipt: Receipt::default(),
            // Whoever saw that it was done saw the machine.
            physical: if moves && outcome == Outcome::Done { Physical::Confirmed } else { Physical::None },
            status: if outcome == Outcome::Done { KL_OK } else { KL_E_CANCELLED },
            message: words(note),
        };
        self.0.commands.settle(request_id, &end)
    }

    /// Waits until it is known what the machine did, for at most so long; 0 asks once. `Ok`: it is confirmed. The
    /// platform is asked at growing intervals, at once when a callback says that there is news.
    pub fn command_wait(&self, request_id: &str, timeout_ms: u32) -> Result<Command> {
        self.check()?;
        let deadline = Deadline::after(Duration::from_millis(timeout_ms.into()));
        self.0.commands.flush();
        let cancels = *self.0.cancels.lock().unwrap_or_else(PoisonError::into_inner);
        let mut resolved = false;
        let mut pause = FIRST_ASK_MS;
        let fresh = timeout_ms > 0 && self.0.commands.circumstances(request_id).elapsed_ms < 3 * FIRST_ASK_MS;
        let mut ask_at = monotonic_ms() + if fresh { FIRST_ASK_MS } else { 0 };
        let mut trouble = String::new();
        // A question is as long as any other, but not longer than the wait; a wait of nothing asks once.
        let within = || {
            let own = Deadline::after(self.0.timeout);
            if timeout_ms == 0 { own } else { own.earlier(deadline) }
        };
        loop {
            let seen = self.0.commands.changes();
            let known = self.0.commands.get(request_id)?;
            let movement = match (known.outcome, known.physical) {
                (Outcome::Unknown, _) if known.status == KL_E_IN_FLIGHT => None,
                (Outcome::Unknown, _) if resolved => return told(known),
                (Outcome::Unknown, _) => {
                    resolved = true;
                    self.find_out(request_id, None, within())?;
                    continue;
                }
                (Outcome::Done, Physical::Pending) => Some(&known),
                (Outcome::Done, _) => return moved(known),
                _ => return told(known),
            };
            if let Some(known) = movement {
                if monotonic_ms() >= ask_at || self.0.commands.hinted(request_id) {
                    match self.ask_movement(request_id, known, within()) {
                        Ok(true) => continue,
                        Ok(false) => {}
                        Err(e) => trouble = e.message().to_owned(),
                    }
                    ask_at = monotonic_ms() + pause;
                    pause = (pause * 2).min(LONGEST_ASK_MS);
                }
            }
            if *self.0.cancels.lock().unwrap_or_else(PoisonError::into_inner) != cancels {
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
            let next = Duration::from_millis(ask_at.saturating_sub(monotonic_ms()).clamp(10, 500));
            self.0.commands.wait(seen, next.min(deadline.remaining()));
        }
    }

    /// Asks the platform what the machine did, where it can be asked. Whether it knew.
    fn ask_movement(&self, request_id: &str, known: &Command, within: Deadline) -> Result<bool> {
        let platform = &*self.0.platform;
        let Some(query) = platform.movement_query(&known.act, &known.receipt) else { return Ok(false) };
        let answer = self.read_within(&query.op(), within)?;
        let Some((physical, why)) = platform.movement(&known.act, &known.receipt, &answer) else {
            return Ok(false);
        };
        self.0.commands.set_physical(request_id, physical, &why);
        Ok(true)
    }

    /// How the journal does: its size, what is unsettled, how long its syncs take.
    pub fn journal_info(&self) -> Result<JournalInfo> {
        self.check()?;
        self.0.commands.info()
    }

    /// After `KL_E_JOURNAL_DAMAGED`, when a person has decided to go on: puts the damaged file aside and keeps every record
    /// that could be read. What the damaged part knew is lost: a `request_id` from there would be sent again. Gives the
    /// old file's new name, `None` if nothing was damaged.
    pub fn journal_repair(&self) -> Result<Option<PathBuf>> {
        self.check()?;
        self.0.commands.repair()
    }

    /// Asks the platform what became of an unknown command. `op` is the caller's own request, if there is one.
    fn find_out(&self, request_id: &str, op: Option<&Op<'_>>, deadline: Deadline) -> Result<Command> {
        let (platform, commands) = (&*self.0.platform, &self.0.commands);
        let known = commands.get(request_id)?;
        if rules::repeat_asks(platform.kind(), &known.act) {
            let own;
            let op = match (op, &known.act) {
                (Some(op), _) => op,
                (None, Act::Redeem(r)) => {
                    own = Op::CodeRedeem(r);
                    &own
                }
                _ => return told(known),
            };
            let ticket = commands.again(request_id)?;
            let end = self.carry_out(op, &ticket, deadline, None);
            return ticket.settle(end, false);
        }
        let Some(query) = platform.fate_query(&known.act) else {
            return Err(still_unknown(&known, "this platform cannot be asked", Advice::CallPerson));
        };
        let answer = match self.read_within(&query.op(), deadline) {
            Ok(answer) => answer,
            Err(e) if e.status() == KL_E_NOT_FOUND => {
                let why = "the platform knows nothing of it, which proves nothing";
                return Err(still_unknown(&known, why, Advice::CallPerson));
            }
            Err(e) => {
                let why = ["the question failed: ", e.message()].concat();
                return Err(still_unknown(&known, &why, Advice::AskFirst));
            }
        };
        let end = match platform.fate(&known.act, &commands.circumstances(request_id), &answer) {
            Fate::Unknown(why) => return Err(still_unknown(&known, &why, Advice::CallPerson)),
            // An order that another command made says nothing of this one.
            Fate::Done(receipt, ..)
                if platform.order_is_new(&known.act) && commands.claimed(&receipt.order_no, request_id) =>
            {
                let why = "the order with this number was made by another command";
                return Err(still_unknown(&known, why, Advice::CallPerson));
            }
            Fate::Done(receipt, physical, message) => End {
                outcome: Outcome::Done,
                by: SettledBy::Query,
                receipt,
                physical,
                status: KL_OK,
                message,
            },
            Fate::NotDone(message) => End {
                outcome: Outcome::NotDone,
                by: SettledBy::Query,
                receipt: Receipt::default(),
                physical: Physical::None,
                status: KL_E_CANCELLED,
                message,
            },
        };
        commands.settle(request_id, &end)?;
        told(commands.get(request_id)?)
    }

    /// A write that the caller may have given a name.
    fn write_once(
        &self,
        op: &Op<'_>,
        request_id: &str,
        verb: &str,
        order_no: &str,
        trade_no: &str,
        rest: &[&str],
    ) -> Result<Receipt> {
        if request_id.is_empty() {
            return match self.write_any(op)? {
                Answer::Taken(receipt) => Ok(receipt),
                Answer::Json(json) => Ok(Receipt { json, ..Receipt::default() }),
                other => Err(mismatch(&other)),
            };
        }
        let mut digest = Md5::new();
        for part in rest {
            digest.update(part);
            digest.update([0]);
        }
        let act = Act::Write {
            verb: verb.to_owned(),
            order_no: order_no.to_owned(),
            trade_no: trade_no.to_owned(),
            digest: hex::lower(&digest.finalize()[..8]),
        };
        self.command(op, request_id, act, 0).map(|command| command.receipt)
    }

    /// One pickup code, looked up without using it.
    pub fn code_lookup(&self, query: &CodeQuery) -> Result<PickupCode> {
        match self.read(&Op::CodeLookup(query))? {
            Answer::Code(code) => Ok(*code),
            other => Err(mismatch(&other)),
        }
    }

    /// The codes that can still be used.
    pub fn code_list(&self, query: &CodeQuery) -> Result<Page<PickupCode>> {
        match self.read(&Op::CodeList(query))? {
            Answer::Codes(page) => Ok(page),
            other => Err(mismatch(&other)),
        }
    }

    /// Makes codes and gives exactly the new ones. Where that takes several calls, each has `timeout_ms`.
    pub fn code_create(&self, request: &CodeCreate) -> Result<Vec<PickupCode>> {
        codes::create(self, request)
    }

    /// Cancels one code, or all of a cabinet. Gives the platform's `data` as JSON.
    pub fn code_cancel(&self, request: &CodeCancel) -> Result<String> {
        self.write(&Op::CodeCancel(request))
    }

    /// Makes an order.
    pub fn order_create(&self, r: &OrderCreate) -> Result<Receipt> {
        let mut rest = vec![r.cabinet_id.clone(), r.notify_url.clone()];
        rest.extend(r.lines.iter().map(|(product, count)| [product, "*", &count.to_string()].concat()));
        rest.extend(r.extra_json.clone());
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        self.write_once(&Op::OrderCreate(r), &r.request_id, "order_create", "", &r.trade_no, &rest)
    }

    /// The person behind the account.
    pub fn user_get(&self) -> Result<User> {
        match self.read(&Op::UserGet)? {
            Answer::User(user) => Ok(*user),
            other => Err(mismatch(&other)),
        }
    }

    /// The company behind the account.
    pub fn company_get(&self) -> Result<Company> {
        match self.read(&Op::CompanyGet)? {
            Answer::Company(company) => Ok(*company),
            other => Err(mismatch(&other)),
        }
    }

    /// Asks for a refund on the customer's behalf. Gives the platform's `data` as JSON. Refused while it is not known what
    /// became of a command of this order.
    pub fn refund_apply(&self, claim: &Claim) -> Result<String> {
        self.check().map_err(not_done)?;
        self.0.platform.draft(&Op::RefundApply(claim)).map_err(not_done)?;
        self.0.commands.refuse_unsettled_order(&claim.order_no)?;
        self.claim(&Op::RefundApply(claim), "refund_apply", claim)
    }

    /// Disputes an order on the customer's behalf. Gives the platform's `data` as JSON.
    pub fn appeal_file(&self, claim: &Claim) -> Result<String> {
        self.claim(&Op::AppealFile(claim), "appeal_file", claim)
    }

    fn claim(&self, op: &Op<'_>, verb: &str, c: &Claim) -> Result<String> {
        let extra = c.extra_json.as_deref().unwrap_or_default();
        let rest = [&c.cabinet_id, &c.reason, &c.remarks, &c.phone, extra];
        self.write_once(op, &c.request_id, verb, &c.order_no, "", &rest).map(|receipt| receipt.json)
    }

    /// Reports a payment to the address that the platform gave for the order. Gives the platform's answer as JSON.
    pub fn payment_report(&self, r: &PaymentReport) -> Result<String> {
        // After it the platform knows the order by the payment's number: an end that a power cut took could not be found again.
        self.0.commands.flush();
        let (paid, amount) = (if r.paid { "paid" } else { "failed" }, r.amount.to_string());
        let texts = [&r.channel_json, &r.extra_json].map(|t| t.as_deref().unwrap_or_default());
        let rest = [&r.notify_url, &r.cabinet_id, paid, &amount, texts[0], texts[1]];
        self.write_once(
            &Op::PaymentReport(r),
            &r.request_id,
            "payment_report",
            &r.order_no,
            &r.trade_no,
            &rest,
        )
        .map(|receipt| receipt.json)
    }

    /// Any call of the platform by its own name. Gives the platform's `data` as JSON.
    pub fn call(&self, method: &str, params_json: &str) -> Result<String> {
        let op = Op::Call { method, params_json };
        let answer = match self.0.platform.nature(&op).map_err(not_done)? {
            Nature::Read => self.read(&op)?,
            Nature::Repeatable => {
                let mut taken = false;
                self.patiently(&op, Deadline::after(self.0.timeout), &mut taken)
                    .map_err(|e| fate(Purpose::Command, taken, e))?
            }
            Nature::Write | Nature::Command => return self.write(&op),
        };
        match answer {
            Answer::Json(json) => Ok(json),
            other => Err(mismatch(&other)),
        }
    }

    /// Verifies and parses a callback. `headers` are the lines of the HTTP request's head; `body` is its body, byte
    /// for byte. What it tells of a command is recorded: what the machine did, and that an opening whose answer was lost was
    /// taken.
    pub fn event_parse(&self, headers: &str, body: &[u8]) -> Result<Event> {
        let mut event = self.0.platform.event(headers, body, self.now_ms())?;
        event.duplicate = self.0.seen.before(&event.identity);
        if let Some(physical) = self.0.platform.event_movement(&event) {
            // What nobody signed is a reason to ask.
            let believed = event.signed_with != SignedWith::Nothing;
            self.0.commands.moved(&Moved {
                order_no: event.order_no.clone(),
                item_no: event.item_no.clone(),
                physical: if believed { physical } else { Physical::Pending },
                error: if physical == Physical::Failed { event.message.clone() } else { String::new() },
            });
        }
        if event.signed_with != SignedWith::Nothing && event.order.is_some() {
            self.settle_by(&event);
        }
        event.stale = event.version != 0 && self.0.versions.outdated(&event.subject, event.version);
        log_line!(
            Info,
            "callback {} for order {}, duplicate: {}",
            event.method,
            event.order_no,
            event.duplicate
        );
        Ok(event)
    }

    /// An opening whose answer was lost may be the one that a callback tells of. Only *done* is believed: that an order is
    /// there proves that it was made, that none is told of proves nothing.
    fn settle_by(&self, event: &Event) {
        let (platform, commands) = (&*self.0.platform, &self.0.commands);
        let settled = commands.pending().and_then(|all| {
            for known in all.iter().filter(|c| c.status != KL_E_IN_FLIGHT) {
                let Some(Fate::Done(receipt, physical, message)) = platform.event_fate(&known.act, event)
                else {
                    continue;
                };
                if commands.claimed(&receipt.order_no, &known.request_id) {
                    continue;
                }
                let end = End {
                    outcome: Outcome::Done,
                    by: SettledBy::Event,
                    receipt,
                    physical,
                    status: KL_OK,
                    message,
                };
                commands.settle(&known.request_id, &end)?;
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
            self.0.seen.forget(&event.identity);
        }
        Ok(reply)
    }

    /// Ends every call in flight with `KL_E_CANCELLED`. Later calls work.
    pub fn cancel(&self) {
        let mut cancels = self.0.cancels.lock().unwrap_or_else(PoisonError::into_inner);
        *cancels = cancels.wrapping_add(1);
        self.0.cancelled.notify_all();
        drop(cancels);
        self.0.commands.wake();
        if let Some(tokens) = &self.0.tokens {
            tokens.wake();
        }
        self.0.transport.cancel();
    }

    /// What the network layer has done so far.
    pub fn stats(&self) -> Stats {
        self.0.transport.stats()
    }

    /// The platform's time as this client knows it, Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.now().ms
    }

    /// The platform's time with its error bounds.
    pub(crate) fn now(&self) -> Estimate {
        self.0.clock.now(self.0.platform.origin().clock())
    }

    /// Where that time comes from.
    pub fn time_source(&self) -> Source {
        self.now().source
    }

    /// Takes the client out of use after a bug was caught in it.
    pub fn retire(&self) {
        self.0.state.store(RETIRED, Ordering::Relaxed);
        self.cancel();
    }

    /// Takes the client out of use for good, with everything that was made from it.
    pub fn close(&self) {
        self.0.state.store(CLOSED, Ordering::Relaxed);
        self.cancel();
    }

    /// Refuses the calls of a client that is out of use.
    pub fn check(&self) -> Result<()> {
        match self.0.state.load(Ordering::Relaxed) {
            OPEN => Ok(()),
            RETIRED => Err(Error::new(
                KL_E_RETIRED,
                "this client was retired after an internal error; make a new one",
            )),
            _ => Err(Error::new(KL_E_HANDLE, "the client was freed")),
        }
    }

    /// A read: tried again inside its deadline, with growing pauses, when the network or the platform is in trouble.
    fn read(&self, op: &Op<'_>) -> Result<Answer> {
        self.patiently(op, Deadline::after(self.0.timeout), &mut false)
    }

    /// A read that shares its deadline with other calls.
    pub(crate) fn read_within(&self, op: &Op<'_>, deadline: Deadline) -> Result<Answer> {
        self.patiently(op, deadline, &mut false)
    }

    /// The same; `taken` becomes true when one of the tries may have been taken though its answer did not come.
    fn patiently(&self, op: &Op<'_>, deadline: Deadline, taken: &mut bool) -> Result<Answer> {
        let mut corrected = false;
        let mut attempt = 0;
        let mut limited = 0;
        loop {
            attempt += 1;
            let error = match self.send(op, Purpose::Read, deadline, Limits::default()) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let lost =
                matches!(error.status(), KL_E_CANCELLED | KL_E_LOST | KL_E_TIMEOUT_SEND..=KL_E_TIMEOUT_REPLY);
            let answered = error.status() >= KL_E_HTTP && !self.0.platform.proves_not_done(&error);
            *taken |= lost || answered;
            if error.status() == KL_E_TIMESTAMP && !corrected {
                // The answer taught the platform's time: the same question, signed with it, is a new one.
                corrected = true;
                continue;
            }
            let again = error.details().advice == Advice::Retry && error.status() != KL_E_CANCELLED;
            let error = if error.status() == KL_E_RATE_LIMIT {
                // Each refusal of this kind asks for a longer pause than the one before.
                limited += 1;
                let asked = self.0.platform.rate_pause_ms(limited);
                error.with(|d| d.retry_after_ms = d.retry_after_ms.max(asked))
            } else {
                error
            };
            if attempt - limited >= ATTEMPTS || limited >= LIMITED || !again {
                return Err(error);
            }
            let pause = pause_ms(attempt).max(error.details().retry_after_ms.into());
            if pause >= deadline.remaining().as_millis() as u64 {
                return Err(error);
            }
            log_line!(Debug, "trying again in {pause} ms: {}", error.message());
            self.pause(Duration::from_millis(pause))?;
        }
    }

    /// A write: sent once. Its error says what became of it.
    pub(crate) fn write_any(&self, op: &Op<'_>) -> Result<Answer> {
        self.send(op, Purpose::Command, Deadline::after(self.0.timeout), Limits::default())
    }

    /// A write whose answer is the platform's `data`.
    fn write(&self, op: &Op<'_>) -> Result<String> {
        match self.write_any(op)? {
            Answer::Json(json) => Ok(json),
            other => Err(mismatch(&other)),
        }
    }

    /// One request and its answer, with what became of it in the error.
    fn send(&self, op: &Op<'_>, purpose: Purpose, deadline: Deadline, limits: Limits<'_>) -> Result<Answer> {
        self.check()?;
        let inner = &*self.0;
        if let (Op::Ping, Some(source)) = (op, inner.platform.tokens()) {
            // The platform is asked, and what it gives is used by the next call.
            return self.token(source, Want::Asked, purpose, deadline, limits.expires).map(|_| Answer::Pong);
        }
        let draft = inner.platform.draft(op).map_err(|e| fate(purpose, false, e))?;
        let unknown = || inner.clock.signing_time(draft.url.clock()).source == Source::Floor;
        if unknown() && !matches!(op, Op::Ping) {
            // The device does not know the time. Any answer of the platform teaches it, a refusal too.
            if let Err(e) = self.send(&Op::Ping, Purpose::Read, deadline, Limits::default()) {
                if unknown() {
                    return Err(fate(purpose, false, e));
                }
            }
        }
        let exchange = |token: &str| self.exchange(op, &draft, purpose, deadline, limits, token);
        let Some(source) = inner.platform.tokens().filter(|source| source.needed(op)) else {
            return exchange("");
        };
        let token = |want| {
            self.token(source, want, purpose, deadline, limits.expires).map_err(|e| fate(purpose, false, e))
        };
        let shown = token(Want::Living)?;
        match exchange(&shown) {
            // Such a refusal proves that nothing was done, so that a command may be sent again too; once.
            Err(e) if source.is_dead(&e) => {
                log_line!(Info, "the token was refused, another one is fetched: {}", e.message());
                exchange(&token(Want::Instead(&shown))?)
            }
            other => other,
        }
    }

    /// A token for this call. Its fetch spends from the call's deadline.
    fn token(
        &self,
        source: &dyn TokenSource,
        want: Want<'_>,
        purpose: Purpose,
        deadline: Deadline,
        expires: Option<u64>,
    ) -> Result<String> {
        let Some(tokens) = &self.0.tokens else {
            return Err(Error::new(KL_E_INTERNAL, "this client has no place for tokens"));
        };
        let cancels = *self.0.cancels.lock().unwrap_or_else(PoisonError::into_inner);
        let fetcher = Fetcher { client: self, source, deadline, expires, cancels };
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match tokens.get(want, deadline, &fetcher) {
                Ok(token) => return Ok(token),
                Err(error) => error,
            };
            // A read is tried again as a whole. A command is not, but this part of it can be: nothing was sent.
            let again = error.details().advice == Advice::Retry && error.status() != KL_E_CANCELLED;
            let pause = pause_ms(attempt).max(error.details().retry_after_ms.into());
            let late = pause >= deadline.remaining().as_millis() as u64
                || expires.is_some_and(|at| monotonic_ms() + pause >= at);
            if purpose == Purpose::Read || attempt == ATTEMPTS || !again || late {
                return Err(error);
            }
            self.pause(Duration::from_millis(pause))?;
        }
    }

    /// One request out, one reply in; with the time it was signed at, as the platform's clock stands now. A failure
    /// says whether a byte left.
    fn transfer(
        &self,
        draft: &Draft<'_>,
        purpose: Purpose,
        deadline: Deadline,
        limits: Limits<'_>,
        token: &str,
    ) -> std::result::Result<(Reply, Signed), Failure> {
        let inner = &*self.0;
        let origin = draft.url.clock();
        let mut signed = Signed { time: inner.clock.signing_time(origin), at: 0 };
        let reply = inner.transport.call(&draft.url, purpose, deadline, &mut || {
            if let Some(ticket) = limits.ticket {
                ticket.sending()?;
            }
            // Last of all: nothing that takes time comes after it.
            signed.at = monotonic_ms();
            if limits.expires.is_some_and(|at| signed.at >= at) {
                return Err(Error::new(
                    KL_E_STALE,
                    "the command's time to live passed before it could be sent",
                ));
            }
            signed.time = inner.clock.signing_time(origin);
            Ok((draft.seal)(&Moment { now_ms: signed.time.ms, token }))
        })?;
        Ok((reply, signed))
    }

    /// Tells the clock what an answer says of the time that its request was signed by. True if it was refused and there
    /// is another.
    fn judged(&self, origin: Origin<'_>, signed: &SigningTime, error: Option<&Error>) -> bool {
        let inner = &*self.0;
        let Some(error) = error else {
            if inner.platform.checks_time() {
                inner.clock.accepted(origin, signed);
            }
            return false;
        };
        let named = error.status() == KL_E_TIMESTAMP;
        // A token that ended has nothing to do with it.
        (named || error.status() == KL_E_AUTH)
            && !inner.platform.tokens().is_some_and(|source| source.is_dead(error))
            && inner.clock.refused(origin, signed, named)
    }

    /// One request and its answer with this token.
    fn exchange(
        &self,
        op: &Op<'_>,
        draft: &Draft<'_>,
        purpose: Purpose,
        deadline: Deadline,
        limits: Limits<'_>,
        token: &str,
    ) -> Result<Answer> {
        let inner = &*self.0;
        let (reply, signed) = self
            .transfer(draft, purpose, deadline, limits, token)
            .map_err(|failure| fate(purpose, failure.left, failure.error))?;
        let origin = draft.url.clock();
        let answer = inner.platform.answer(op, &reply);
        let another = self.judged(origin, &signed.time, answer.as_ref().err());
        answer.map_err(|error| {
            let error = scrubbed(error, token);
            if another {
                let off = inner.clock.signing_time(origin).ms
                    - (signed.time.ms + (monotonic_ms() - signed.at) as i64);
                let error = error.with(|d| {
                    d.status = KL_E_TIMESTAMP;
                    d.advice = Advice::Retry;
                    let s = off / 1000;
                    d.message
                        .push_str(&format!("; the time it was signed at was {s} s off, which is mended now"));
                });
                return fate(purpose, false, error);
            }
            fate(purpose, !inner.platform.proves_not_done(&error), error)
        })
    }

    pub(crate) fn platform_module(&self) -> &dyn Platform {
        &*self.0.platform
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.0.turns
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.0.timeout
    }

    /// Waits, unless the client is cancelled meanwhile.
    pub(crate) fn pause(&self, pause: Duration) -> Result<()> {
        let cancels = self.0.cancels.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *cancels;
        let (after, _) = self
            .0
            .cancelled
            .wait_timeout_while(cancels, pause, |now| *now == before)
            .unwrap_or_else(PoisonError::into_inner);
        if *after == before { Ok(()) } else { Err(Error::new(KL_E_CANCELLED, "the call was cancelled")) }
    }
}

/// What must hold when the first byte of a command leaves.
#[derive(Clone, Copy, Default)]
struct Limits<'a> {
    /// The command's time to live, on the monotonic clock.
    expires: Option<u64>,
    /// The command, to be marked as sent.
    ticket: Option<&'a Ticket<'a>>,
}

/// When a request was signed: by the time for this origin, and by the device's own clock.
struct Signed {
    time: SigningTime,
    at: u64,
}

/// A call that needs a token.
struct Fetcher<'a> {
    client: &'a Client,
    source: &'a dyn TokenSource,
    deadline: Deadline,
    expires: Option<u64>,
    cancels: u32,
}

impl Caller for Fetcher<'_> {
    fn now_ms(&self) -> i64 {
        self.client.now_ms()
    }

    fn renew_before_ms(&self) -> i64 {
        self.source.renew_before_ms()
    }

    fn check(&self) -> Result<()> {
        let cancels = *self.client.0.cancels.lock().unwrap_or_else(PoisonError::into_inner);
        if cancels == self.cancels {
            return Ok(());
        }
        Err(Error::new(KL_E_CANCELLED, "the call was cancelled"))
    }

    fn pause(&self, time: Duration) -> Result<()> {
        self.client.pause(time)
    }

    fn fetch(&self, way: Way, old: Option<&Token>) -> Result<Token> {
        let draft = self.source.draft(way, old)?;
        let (reply, signed) = self
            .client
            .transfer(
                &draft,
                Purpose::Read,
                self.deadline,
                Limits { expires: self.expires, ticket: None },
                "",
            )
            .map_err(|failure| failure.error)?;
        // The reply may just have taught the time.
        let sent_ms = self.client.now_ms() - (monotonic_ms() - signed.at) as i64;
        let refresh = old.map_or("", |t| t.refresh.as_str());
        let answer = self.source.answer(&reply, sent_ms);
        self.client.judged(draft.url.clock(), &signed.time, answer.as_ref().err());
        answer.map_err(|e| scrubbed(e, refresh))
    }
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
        _ if known.status == KL_E_IN_FLIGHT => {
            Err(Error::new(KL_E_IN_FLIGHT, ["request_id ", id, " is under way"].concat())
                .with(|d| d.outcome = Outcome::Unknown))
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
        },
    )
}

/// The error without a token that the platform may have repeated in its words.
fn scrubbed(error: Error, token: &str) -> Error {
    if token.is_empty()
        || !error.details().platform_message.contains(token) && !error.message().contains(token)
    {
        return error;
    }
    error.with(|d| {
        d.platform_message = d.platform_message.replace(token, "***");
        d.message = d.message.replace(token, "***");
    })
}

/// A period cut into windows no longer than a platform lists at once, and into shorter ones where a window has more
/// pages than it gives out. Windows follow each other from the oldest to the newest and share no second.
struct Windows {
    /// The next one last.
    todo: Vec<(i64, i64)>,
    last_page: u32,
    page: u32,
}

/// The size that is asked for when the caller leaves it open.
const WINDOW_PAGE: u32 = 100;

impl Windows {
    fn new(from: i64, to: i64, (longest_s, last_page): (i64, u32)) -> Windows {
        let mut todo = Vec::new();
        if from < 0 || to < from || to - from > 200 * 366 * 86_400 {
            // Nonsense is for the platform's module to refuse, in words.
            todo.push((from, to));
        } else {
            let mut start = from;
            while start <= to {
                let end = to.min(start + longest_s - 1);
                todo.push((start, end));
                start = end + 1;
            }
        }
        todo.reverse();
        Windows { todo, last_page, page: 1 }
    }

    /// The next page of all. After an error the same one is asked for again.
    fn next_page<T>(
        &mut self,
        size: u32,
        mut fetch: impl FnMut(i64, i64, PageRequest) -> Result<Page<T>>,
    ) -> Result<Page<T>> {
        let size = if size == 0 { WINDOW_PAGE } else { size };
        loop {
            let Some(&(from, to)) = self.todo.last() else {
                return Ok(Page { items: Vec::new(), total: None, more: Some(false) });
            };
            let page = fetch(from, to, PageRequest { number: self.page, size })?;
            let reach = u64::from(self.last_page) * u64::from(size);
            if self.page == 1 && page.total.is_some_and(|total| total > reach) && from < to {
                let middle = from + (to - from) / 2;
                self.todo.pop();
                self.todo.extend([(middle + 1, to), (from, middle)]);
                continue;
            }
            let seen = u64::from(self.page - 1) * u64::from(size) + page.items.len() as u64;
            let done = page.items.is_empty()
                || match (page.more, page.total) {
                    (Some(more), _) => !more,
                    (None, Some(total)) => seen >= total,
                    (None, None) => page.items.len() < size as usize,
                };
            if done {
                self.todo.pop();
                self.page = 1;
            } else {
                self.page += 1;
            }
            return Ok(Page { items: page.items, total: None, more: Some(!self.todo.is_empty()) });
        }
    }
}

/// Says in the error of a command or a write what became of it; a read has no outcome.
fn fate(purpose: Purpose, may_have_happened: bool, error: Error) -> Error {
    match purpose {
        Purpose::Read => error,
        Purpose::Command if may_have_happened => unknown(error),
        Purpose::Command => not_done(error),
    }
}

pub(crate) fn mismatch(answer: &Answer) -> Error {
    Error::new(KL_E_INTERNAL, ["the platform's module answered with ", answer.kind()].concat())
}

fn checked(page: PageRequest) -> Result<PageRequest> {
    if page.number == 0 { Err(Error::new(KL_E_ARGUMENT, "pages are counted from 1")) } else { Ok(page) }
}

/// Full jitter: anything from nothing to the bound, so that a street of kiosks does not come back at once.
fn pause_ms(attempt: u32) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    let bound = PAUSE_MS << (attempt - 1);
    RandomState::new().hash_one(attempt) % bound
}

/// Items that can be told apart by the platform's own record.
pub trait Record {
    /// The record's text.
    fn json(&self) -> &str;
}

macro_rules! record {
    ($($t:ty),*) => { $(impl Record for $t { fn json(&self) -> &str { &self.json } })* };
}
record!(Cabinet, StockItem, Order, PickupCode);

impl Record for Command {
    fn json(&self) -> &str {
        &self.receipt.json
    }
}

impl<T: Record> Pages<T> {
    fn new(size: u32, fetch: impl FnMut(PageRequest) -> Result<Page<T>> + Send + 'static) -> Pages<T> {
        Pages {
            fetch: Box::new(fetch),
            items: Vec::new().into_iter(),
            page: PageRequest { number: 1, size },
            fetched: 0,
            first_of_page: String::new(),
            finished: false,
        }
    }

    /// The next item, `None` after the last. After an error the same page is asked for again.
    pub fn next_item(&mut self) -> Result<Option<T>> {
        loop {
            if let Some(item) = self.items.next() {
                return Ok(Some(item));
            }
            if self.finished {
                return Ok(None);
            }
            let page = (self.fetch)(self.page)?;
            let first = page.items.first().map_or("", Record::json);
            let repeated = !first.is_empty() && first == self.first_of_page;
            if repeated && page.more == Some(true) {
                return Err(Error::new(
                    KL_E_PROTOCOL,
                    format!("the answer: page {} is page {} again", self.page.number, self.page.number - 1),
                ));
            }
            if repeated {
                // Some gateways answer with the last page to every number behind it.
                self.finished = true;
                continue;
            }
            self.first_of_page = first.to_owned();
            self.fetched += page.items.len() as u64;
            self.finished = match (page.more, page.total) {
                (Some(more), _) => !more,
                (None, Some(total)) => self.fetched >= total,
                // A bare array says nothing: a short page is the last one, if the size is known at all.
                (None, None) => page.items.is_empty() || page.items.len() < self.page.size as usize,
            };
            self.page.number = self
                .page
                .number
                .checked_add(1)
                .ok_or_else(|| Error::new(KL_E_PROTOCOL, "the answer: the list has no end"))?;
            self.items = page.items.into_iter();
        }
    }

    /// All that is left.
    pub fn collect_all(mut self) -> Result<Vec<T>> {
        let mut all = Vec::new();
        while let Some(item) = self.next_item()? {
            all.push(item);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(n: u32) -> Cabinet {
        Cabinet { json: format!("{{\"n\":{n}}}"), ..Cabinet::default() }
    }

    fn walk(
        size: u32,
        fetch: impl FnMut(PageRequest) -> Result<Page<Cabinet>> + Send + 'static,
    ) -> Result<usize> {
        Pages::new(size, fetch).collect_all().map(|all| all.len())
    }

    fn bare(items: Vec<Cabinet>) -> Result<Page<Cabinet>> {
        Ok(Page { items, total: None, more: None })
    }

    #[test]
    fn a_bare_list_ends_at_a_short_an_empty_or_a_repeated_page() {
        assert_eq!(
            walk(2, |p| bare(if p.number < 3 {
                vec![item(p.number * 2), item(p.number * 2 + 1)]
            } else {
                vec![item(9)]
            }))
            .unwrap(),
            5
        );
        assert_eq!(
            walk(2, |p| bare(if p.number < 3 {
                vec![item(p.number * 2), item(p.number * 2 + 1)]
            } else {
                vec![]
            }))
            .unwrap(),
            4
        );
        assert_eq!(walk(0, |p| bare(vec![item(p.number.min(3))])).unwrap(), 3);
    }

    #[test]
    fn a_paginator_is_believed_but_not_for_ever() {
        let total = |p: PageRequest| Ok(Page { items: vec![item(p.number)], total: Some(3), more: None });
        assert_eq!(walk(1, total).unwrap(), 3);
        let liar = |_| Ok(Page { items: vec![item(1)], total: None, more: Some(true) });
        assert_eq!(walk(1, liar).unwrap_err().status(), KL_E_PROTOCOL);
    }

    /// Every second from `from` to `to` holds `each` items.
    fn windowed(from: i64, to: i64, bounds: (i64, u32), size: u32, each: i64) -> (Vec<i64>, u32) {
        let mut windows = Windows::new(from, to, bounds);
        let (mut seen, mut calls) = (Vec::new(), 0);
        loop {
            let page = windows
                .next_page(size, |from, to, page| {
                    calls += 1;
                    assert!(to - from < bounds.0 && page.number <= bounds.1);
                    let all: Vec<i64> = (from * each..(to + 1) * each).collect();
                    let start = ((page.number - 1) * size) as usize;
                    let items: Vec<i64> = all.iter().skip(start).take(size as usize).copied().collect();
                    Ok(Page { items, total: Some(all.len() as u64), more: None })
                })
                .unwrap();
            seen.extend(page.items);
            if page.more == Some(false) {
                return (seen, calls);
            }
        }
    }

    #[test]
    fn periods_are_split_and_joined_in_order() {
        // Longer than one list covers; more pages than one list has; both.
        for (from, to, bounds, size, each) in
            [(5, 24, (7, 100), 10, 1), (0, 9, (100, 2), 3, 1), (3, 99, (10, 3), 4, 2), (7, 7, (10, 1), 5, 1)]
        {
            let (seen, _) = windowed(from, to, bounds, size, each);
            assert_eq!(seen, (from * each..(to + 1) * each).collect::<Vec<_>>());
        }
        assert_eq!(windowed(0, 6, (7, 100), 10, 1).1, 1);
        // An empty window in the middle is no end, and an error asks for the same page again.
        let mut windows = Windows::new(0, 29, (10, 100));
        let mut failed = false;
        let pages = Pages::new(2, move |page| {
            windows.next_page(page.size, |from, _, _| {
                if from == 20 && !std::mem::replace(&mut failed, true) {
                    return Err(Error::new(KL_E_LOST, "lost"));
                }
                bare(if from == 10 { vec![] } else { vec![item(from as u32)] })
            })
        });
        let mut pages = pages;
        assert_eq!(pages.next_item().unwrap(), Some(item(0)));
        assert_eq!(pages.next_item().unwrap_err().status(), KL_E_LOST);
        assert_eq!(pages.next_item().unwrap(), Some(item(20)));
        assert_eq!(pages.next_item().unwrap(), None);
    }

    #[test]
    fn after_an_error_the_same_page_is_asked_for_again() {
        let mut failed = false;
        let mut pages = Pages::new(1, move |p: PageRequest| {
            if p.number == 2 && !std::mem::replace(&mut failed, true) {
                return Err(Error::new(KL_E_LOST, "lost"));
            }
            bare(if p.number < 3 { vec![item(p.number)] } else { vec![] })
        });
        assert!(pages.next_item().unwrap().is_some());
        assert_eq!(pages.next_item().unwrap_err().status(), KL_E_LOST);
        assert_eq!(pages.next_item().unwrap().unwrap(), item(2));
        assert!(pages.next_item().unwrap().is_none());
    }
}
