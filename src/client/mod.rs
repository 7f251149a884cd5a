//! One account on one platform: the verbs as ordinary methods.

mod call;
mod callbacks;
mod later;
mod pages;
mod resolve;
mod tally;
pub(crate) mod task;
mod view;
mod work;

use crate::command::book::Commands;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::event::Versions;
use crate::log::Masked;
use crate::model::*;
use crate::platform::{self, Answer, Nature, Op, Platform};
use crate::status::*;
use crate::store::file::Folder;
use crate::time::Deadline;
use crate::time::clock::{Clock, Estimate, Source, monotonic_ms};
use crate::token::Tokens;
use crate::transport::{Stats, Transport};
use call::{Call, mismatch};
pub use callbacks::InHand;
use kiosklink_wire::hex;
use later::Later;
use md5::{Digest, Md5};
pub use pages::{Pages, Record};
use pages::{Windows, checked};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tally::Tally;
use task::Tasks;
use view::View;
use work::Work;

/// One account on one platform, or a view of it. Cheap to clone; every clone is the same client. Any number of threads may
/// use it.
#[derive(Clone)]
pub struct Client(Arc<Inner>, Arc<View>);

struct Inner {
    platform: Box<dyn Platform>,
    transport: Transport,
    clock: Arc<Clock>,
    tokens: Option<Tokens>,
    commands: Commands,
    /// Commands are refused: nobody said where they are to be remembered.
    forgetful: bool,
    versions: Versions,
    /// What is being done that only one may do at a time.
    turns: Mutex<Vec<String>>,
    command_ttl_ms: u32,
    tries_a_minute: u32,
    tasks: Tasks,
    tally: Tally,
    later: Later,
    retired: AtomicBool,
    _masked: Vec<Masked>,
}

/// Where the commands of a client are kept.
type MakeCommands<'a> = dyn Fn(&Config, &dyn Platform, Option<Arc<Folder>>) -> Result<Commands> + 'a;

impl Inner {
    fn turns(&self) -> MutexGuard<'_, Vec<String>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    /// Checks the settings and makes the client. Sends nothing and starts no thread.
    pub fn new(config: &Config) -> Result<Client> {
        Client::made(config, &|config, platform, folder| match folder {
            Some(folder) if !platform.only_reads() => {
                let account = config.account();
                let short = hex::lower(&Md5::digest(&account)[..8]);
                let name = ["commands-", platform.kind().name(), "-", &short].concat();
                Commands::journaled(folder, name, account)
            }
            _ => Commands::in_memory(),
        })
    }

    /// The same for a program that keeps the records of commands itself. A `state_dir` then only keeps tokens.
    #[cfg(feature = "ledger")]
    pub fn with_ledger(config: &Config, ledger: Arc<dyn crate::command::ledger::Ledger>) -> Result<Client> {
        Client::made(config, &|_, _, _| Ok(Commands::kept_by(ledger.clone())))
    }

    fn made(config: &Config, commands: &MakeCommands<'_>) -> Result<Client> {
        // TLS, tables and names need them, and some of those can only panic.
        crate::store::random::<8>()?;
        let platform = platform::make(config)?;
        let clock = Arc::new(Clock::new());
        let transport = Transport::new(config.transport()?, clock.clone())?;
        let folder = match config.get("state_dir").filter(|dir| *dir != "none") {
            Some(path) => Some(Arc::new(Folder::open(Path::new(path), config.yes("state_dir_shared"))?)),
            None => None,
        };
        let tokens = Tokens::in_folder(&*platform, folder.clone());
        let commands = commands(config, &*platform, folder)?;
        let timeout = Duration::from_millis(config.number("timeout_ms").into());
        let inner = Inner {
            platform,
            transport,
            clock,
            tokens,
            forgetful: config.get("state_dir").is_none() && !commands.durable(),
            commands,
            versions: Versions::default(),
            turns: Mutex::default(),
            command_ttl_ms: config.number("command_ttl_ms"),
            tries_a_minute: config.number("code_tries_per_minute"),
            tasks: Tasks::new(config.number("task_threads"), config.number("task_stack_kib")),
            tally: Tally::default(),
            later: Later::new(timeout),
            retired: AtomicBool::new(false),
            _masked: config.secrets().filter_map(Masked::new).collect(),
        };
        Ok(Client(Arc::new(inner), Arc::new(View::root(timeout))))
    }

    /// A call begins: one deadline and one cancel for all of it.
    fn enter(&self) -> Result<Call<'_>> {
        self.check()?;
        let (deadline, token) = (Deadline::after(self.1.timeout()), self.1.token()?);
        Ok(Call { client: self, deadline, token, expires: None, entered_ms: Some(monotonic_ms()) })
    }

    fn read(&self, op: &Op<'_>) -> Result<Answer> {
        self.enter()?.read(op)
    }

    /// The platform's name.
    pub fn platform(&self) -> &'static str {
        self.0.platform.kind().name()
    }

    /// Opens a connection, or proves that one is alive, so that the next call is one round trip.
    pub fn warm(&self) -> Result<()> {
        let call = self.enter()?;
        self.0.transport.warm(self.0.platform.origin(), call.deadline, &call.token)
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

    /// Whether the platform has this verb. Sends nothing.
    pub fn can(&self, verb: Verb) -> bool {
        let platform = &*self.0.platform;
        let page = PageRequest { number: 1, size: 0 };
        let has = |op: Op<'_>| platform.nature(&op).is_ok();
        match verb {
            Verb::Ping | Verb::Call => true,
            Verb::EventParse => platform.calls_back(),
            Verb::CabinetList => has(Op::CabinetList { page }),
            Verb::StockFetch => has(Op::Stock { cabinet_id: "", page, extra_json: None }),
            Verb::DoorOpen => has(Op::DoorOpen(&DoorRequest::default())),
            Verb::CodeRedeem => has(Op::CodeRedeem(&RedeemRequest::default())),
            Verb::CodeLookup => has(Op::CodeLookup(&CodeQuery::default())),
            Verb::CodeList => has(Op::CodeList(&CodeQuery::default())),
            Verb::CodeCreate => has(Op::CodeCreate(&CodeCreate::default())),
            Verb::CodeCancel => has(Op::CodeCancel(&CodeCancel::default())),
            Verb::OrderGet => has(Op::OrderGet(&OrderRef::default())),
            Verb::OrderList => has(Op::OrderList { query: &OrderQuery::default(), page }),
            Verb::OrderCreate => has(Op::OrderCreate(&OrderCreate::default())),
            Verb::PaymentReport => has(Op::PaymentReport(&PaymentReport::default())),
            Verb::RefundApply => has(Op::RefundApply(&Complaint::default())),
            Verb::AppealFile => has(Op::AppealFile(&Complaint::default())),
            Verb::UserGet => has(Op::UserGet),
            Verb::CompanyGet => has(Op::CompanyGet),
        }
    }

    /// One pickup code, looked up without using it.
    pub fn code_lookup(&self, query: &CodeQuery) -> Result<PickupCode> {
        let query = &CodeQuery { code: self.0.platform.canonical_code(&query.code), ..query.clone() };
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

    /// Makes codes and gives exactly the new ones, all within one `timeout_ms`.
    pub fn code_create(&self, request: &CodeCreate) -> Result<Vec<PickupCode>> {
        match self.write(&Op::CodeCreate(request))? {
            Answer::Codes(page) => Ok(page.items),
            other => Err(crate::command::unknown(mismatch(&other))),
        }
    }

    /// Cancels one code, or all of a cabinet. Gives the platform's `data` as JSON.
    pub fn code_cancel(&self, request: &CodeCancel) -> Result<String> {
        match self.write(&Op::CodeCancel(request))? {
            Answer::Json(json) => Ok(json),
            other => Err(crate::command::unknown(mismatch(&other))),
        }
    }

    /// Makes an order.
    pub fn order_create(&self, r: &OrderCreate) -> Result<Receipt> {
        self.command(Work::Create(r.clone())).map(|command| command.receipt)
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
    pub fn refund_apply(&self, claim: &Complaint) -> Result<String> {
        self.command(Work::Refund(claim.clone())).map(|command| command.receipt.json)
    }

    /// Disputes an order on the customer's behalf. Gives the platform's `data` as JSON.
    pub fn appeal_file(&self, claim: &Complaint) -> Result<String> {
        self.command(Work::Appeal(claim.clone())).map(|command| command.receipt.json)
    }

    /// Reports a payment to the address that the platform gave for the order. Gives the platform's answer as JSON.
    pub fn payment_report(&self, r: &PaymentReport) -> Result<String> {
        // After it the platform knows the order by the payment's number: an end that a power cut took could not be found again.
        self.0.commands.flush();
        self.command(Work::Payment(r.clone())).map(|command| command.receipt.json)
    }

    /// Any call of the platform by its own name. Gives the platform's `data` as JSON.
    pub fn call(&self, method: &str, params_json: &str) -> Result<String> {
        let op = Op::Call { method, params_json };
        let nature = self.0.platform.nature(&op).map_err(crate::command::not_done)?;
        let call = self.enter().map_err(crate::command::not_done)?;
        let answer = match nature {
            Nature::Read => call.read(&op)?,
            Nature::Write | Nature::Command => call.write(&op)?,
        };
        match answer {
            Answer::Json(json) => Ok(json),
            other => Err(mismatch(&other)),
        }
    }

    /// A write that is not recorded: sent once in this call.
    fn write(&self, op: &Op<'_>) -> Result<Answer> {
        let call = self.enter().map_err(crate::command::not_done)?;
        self.0.platform.draft(op).map_err(crate::command::not_done)?;
        call.write(op)
    }

    /// What the network layer has done so far.
    pub fn stats(&self) -> Stats {
        self.0.transport.stats()
    }

    /// What its calls, and those of its views, have come to.
    pub(crate) fn tally(&self) -> &Tally {
        &self.0.tally
    }

    /// The platform's time with its error bounds.
    pub(crate) fn now(&self) -> Estimate {
        self.0.clock.now(self.0.platform.origin().clock())
    }

    /// The platform's time as this client knows it, Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.now().ms
    }

    /// Where that time comes from.
    pub fn time_source(&self) -> Source {
        self.now().source
    }

    /// Takes the client out of use after a bug was caught in it, with all its views.
    pub fn retire(&self) {
        self.0.retired.store(true, Ordering::Relaxed);
        self.cancel();
    }

    /// Refuses the calls of a client that is out of use.
    pub fn check(&self) -> Result<()> {
        if self.0.retired.load(Ordering::Relaxed) {
            return Err(Error::new(
                KL_E_RETIRED,
                "this client was retired after an internal error; make a new one",
            ));
        }
        self.1.check()
    }
}

/// Milliseconds that fit the fields of the C structures.
fn small(ms: u64) -> u32 {
    u32::try_from(ms).unwrap_or(u32::MAX)
}
