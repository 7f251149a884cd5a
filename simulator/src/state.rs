//! Everything that changes, behind one lock: time passes, requests come in, doors shut, answers arrive.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::act::{Act, Doing};
use crate::callback::{Attempt, CallbackBook, Delivery, Outgoing, Rendered, Style};
use crate::clock::{Clock, system_ms};
use crate::dialect::{Accent, DialectBook};
use crate::fault::{Fault, FaultBook, Noise};
use crate::link::{Link, Travel};
use crate::message::{Ending, Portion, Reply, Request};
use crate::platform::{self, Exchange, Platform};
use crate::world::{Cause, NotOpened, Opening, World};

const MASK: &str = "[secret]";
/// How much of a request that was not looked at is kept in the log.
const SAID: usize = 2048;

/// Something that happens when its time comes.
enum Timer {
    Shut {
        cabinet: String,
        door: u32,
        opening: u64,
    },
    Platform {
        name: &'static str,
        event: Value,
    },
    /// Somebody else does something.
    Others {
        name: &'static str,
        body: Value,
    },
    /// A request comes through.
    Request {
        at: usize,
        request: Box<Request>,
    },
}

/// What is to befall a request that has been taken in.
pub struct Plan {
    /// The place of its platform.
    at: usize,
    name: &'static str,
    operation: String,
    faults: Vec<Fault>,
    accent: Accent,
    link: Travel,
    /// How long it is on its way up.
    pub uplink_ms: u64,
    /// It arrives even if its caller has hung up before.
    pub delivered: bool,
}

impl Plan {
    fn fault_names(&self) -> Vec<&'static str> {
        self.faults.iter().map(Fault::name).collect()
    }
}

/// What the platforms share.
pub struct Core {
    /// The platforms' time.
    pub clock: Clock,
    /// The cabinets.
    pub world: World,
    /// The faults in force.
    pub faults: FaultBook,
    /// The callbacks.
    pub callbacks: CallbackBook,
    /// The dialects in force.
    pub dialects: DialectBook,
    /// How fast the line is.
    pub link: Link,
    /// Numbers from the seed.
    pub noise: Noise,
    /// The https origin.
    pub origin: String,
    /// The http origin.
    pub http_origin: String,
    timers: BTreeMap<(i64, u64), Timer>,
    timers_set: u64,
    log: VecDeque<Value>,
    log_limit: usize,
    requests: u64,
    by_operation: BTreeMap<String, u64>,
    faults_applied: BTreeMap<String, u64>,
    acts: Vec<Act>,
    doing: Option<Doing>,
    /// It is somebody else who acts.
    others_act: bool,
    /// How far the clock is off for the request at hand.
    skew_ms: i64,
}

impl Core {
    fn new(seed: u64, log_limit: usize, origin: String, http_origin: String) -> Self {
        Self {
            clock: Clock::new(),
            world: World::small(),
            faults: FaultBook::default(),
            callbacks: CallbackBook::default(),
            dialects: DialectBook::default(),
            link: Link::default(),
            noise: Noise::new(seed),
            origin,
            http_origin,
            timers: BTreeMap::new(),
            timers_set: 0,
            log: VecDeque::new(),
            log_limit,
            requests: 0,
            by_operation: BTreeMap::new(),
            faults_applied: BTreeMap::new(),
            acts: Vec::new(),
            doing: None,
            others_act: false,
            skew_ms: 0,
        }
    }

    /// Lets a platform's [`Platform::timer`] be called after so long.
    pub fn after(&mut self, delay_ms: i64, name: &'static str, event: Value) {
        self.set_timer(delay_ms, Timer::Platform { name, event });
    }

    /// Forgets what was set with [`Core::after`] and has not come yet.
    pub fn forget(&mut self, name: &'static str, event: &Value) {
        self.timers.retain(
            |_, timer| !matches!(timer, Timer::Platform { name: n, event: e } if *n == name && e == event),
        );
    }

    /// Opens a door physically; after `stays_open_ms` it shuts by itself, if that is given.
    pub fn open_door(
        &mut self,
        cabinet: &str,
        door: u32,
        stays_open_ms: Option<i64>,
        cause: Cause,
    ) -> Result<u64, NotOpened> {
        let mut act = Act::new(&cause.by, "open_door").cabinet(cabinet);
        (act.door, act.order, act.mark) = (Some(door), cause.receipt.clone(), cause.trade_no.clone());
        if cause.by == "control" {
            act.by.clone_from(&cause.by);
        }
        let opening = self.world.open_door(cabinet, door, self.clock.now_ms(), cause)?;
        self.record(act);
        if let Some(delay) = stays_open_ms {
            self.set_timer(delay, Timer::Shut { cabinet: cabinet.to_owned(), door, opening });
        }
        Ok(opening)
    }

    /// Lets a lane's motor drop a piece.
    pub fn dispense(&mut self, machine: &str, number: u32, lane: &str, cause: Cause) -> u64 {
        let mut act = Act::new(&cause.by, "dispense").cabinet(machine);
        (act.door, act.lane) = (Some(number), Some(lane.to_owned()));
        (act.order, act.mark) = (cause.receipt.clone(), cause.trade_no.clone());
        act.notify_url.clone_from(&cause.notify_url);
        if cause.by == "control" {
            act.by.clone_from(&cause.by);
        }
        self.record(act);
        self.world.dispense(machine, number, lane, self.clock.now_ms(), cause)
    }

    /// Writes an act down, with the request that is being acted on if there is one.
    pub fn record(&mut self, mut act: Act) {
        act.number = self.acts.len() as u64 + 1;
        act.at_ms = self.clock.now_ms().saturating_sub(self.skew_ms);
        act.request = self.doing.map(|d| d.request);
        act.connection = self.doing.map(|d| d.connection);
        act.received_ms = self.doing.map(|d| d.received_ms);
        if act.by.is_empty() {
            act.by = match (self.others_act, self.doing) {
                (true, _) => "other",
                (false, Some(_)) => "request",
                (false, None) => "platform",
            }
            .into();
        }
        self.acts.push(act);
    }

    /// What a request has done, of the acts from a number on.
    fn did(&self, request: u64, from: usize) -> Vec<&Act> {
        self.acts[from.min(self.acts.len())..].iter().filter(|a| a.request == Some(request)).collect()
    }

    /// Everything that happened, oldest first.
    pub fn acts(&self) -> &[Act] {
        &self.acts
    }

    /// Lets somebody else do something at a platform.
    fn let_others(&mut self, platform: &mut dyn Platform, body: &Value) -> Result<Value, (u16, String)> {
        self.others_act = true;
        let answer = platform.others(self, body);
        self.others_act = false;
        answer
    }

    /// Lets a platform act on a request, with its clock off by so much.
    fn handle(
        &mut self,
        platform: &mut dyn Platform,
        request: &Request,
        skew_ms: i64,
        exchange: &mut Exchange,
    ) -> Reply {
        let received_ms = self.clock.now_ms();
        self.doing = Some(Doing { request: request.number, connection: request.connection, received_ms });
        self.skew_ms = skew_ms;
        self.shift_clock(skew_ms);
        let reply = platform.handle(self, request, exchange);
        self.shift_clock(-skew_ms);
        self.skew_ms = 0;
        self.doing = None;
        reply
    }

    /// Puts a callback into the queue.
    pub fn notify(&mut self, mut what: Outgoing, render: &dyn Fn(&Outgoing, Style, i64) -> Rendered) {
        let now = self.clock.now_ms();
        what.accent = self.dialects.draw_callback(what.platform, &what.method, &|| what.content.to_string());
        self.callbacks.add(what, now, render);
    }

    /// A number that changes when a timer or a callback is added.
    pub fn agenda(&self) -> u64 {
        self.timers_set + self.callbacks.added()
    }

    /// How many things are still to come by themselves.
    pub fn timers_pending(&self) -> usize {
        self.timers.len()
    }

    fn set_timer(&mut self, delay_ms: i64, timer: Timer) {
        self.timers_set += 1;
        self.timers.insert((self.clock.now_ms() + delay_ms.max(0), self.timers_set), timer);
    }

    /// Puts the clock elsewhere; what is to happen in a while still happens in that while.
    fn shift_clock(&mut self, by_ms: i64) {
        if by_ms == 0 {
            return;
        }
        let moved = self.clock.move_to(self.clock.now_ms().saturating_add(by_ms));
        let timers = std::mem::take(&mut self.timers);
        self.timers =
            timers.into_iter().map(|((due, n), timer)| ((due.saturating_add(moved), n), timer)).collect();
        self.callbacks.shift(moved);
    }

    fn remember(&mut self, entry: Value) {
        if self.log.len() >= self.log_limit {
            self.log.pop_front();
        }
        self.log.push_back(entry);
    }

    /// The request log, oldest first.
    pub fn log(&self) -> impl DoubleEndedIterator<Item = &Value> {
        self.log.iter()
    }

    /// How many requests the platforms were asked, under one name or altogether.
    pub fn request_count(&self, operation: Option<&str>) -> u64 {
        operation.map_or(self.requests, |name| self.by_operation.get(name).copied().unwrap_or_default())
    }

    /// The counters that live behind the lock.
    pub fn counts(&self) -> Value {
        json!({
            "requests": self.requests, "by_operation": self.by_operation,
            "faults": self.faults_applied, "openings": self.world.openings.len(),
            "callbacks": self.callbacks.deliveries().len(), "timers": self.timers.len(),
        })
    }
}

/// The simulator's state.
pub struct State {
    /// What the platforms share.
    pub core: Core,
    platforms: Vec<Box<dyn Platform>>,
    seed: u64,
    forgotten: u64,
}

impl State {
    /// The state at the start.
    pub fn new(seed: u64, log_limit: usize, origin: String, http_origin: String) -> Self {
        let core = Core::new(seed, log_limit, origin, http_origin);
        Self { core, platforms: platform::all(), seed, forgotten: 0 }
    }

    /// Goes back to the start: world, orders, settings, faults, callbacks, log, counters and clock.
    pub fn reset(&mut self) {
        let (origin, http) = (self.core.origin.clone(), self.core.http_origin.clone());
        let forgotten = self.forgotten + 1;
        *self = Self { forgotten, ..Self::new(self.seed, self.core.log_limit, origin, http) };
    }

    /// Forgets the request log; the counters go on.
    pub fn forget_log(&mut self) {
        self.core.log.clear();
        self.forgotten += 1;
    }

    /// How often the request log was forgotten.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// A platform by its name, and what it shares with the others.
    pub fn platform(&mut self, name: &str) -> Option<(&mut dyn Platform, &mut Core)> {
        let platform = self.platforms.iter_mut().find(|p| p.name() == name)?;
        Some((platform.as_mut(), &mut self.core))
    }

    /// All platforms.
    pub fn platforms(&self) -> impl Iterator<Item = &dyn Platform> {
        self.platforms.iter().map(AsRef::as_ref)
    }

    /// Takes a request to a platform in: which one, which operation, and what is to befall it. A request to nobody
    /// is answered at once.
    pub fn plan(&mut self, request: &mut Request) -> Result<Plan, Box<Reply>> {
        self.run_due();
        let prefix = request.path.split('/').nth(1).unwrap_or_default().to_owned();
        let Some(at) = self.platforms.iter().position(|p| p.name() == prefix) else {
            let why = json!({"error": format!("nothing is served under /{prefix}")});
            return Err(Box::new(Reply::json(404, &why)));
        };
        let (platform, core) = (&self.platforms[at], &mut self.core);
        core.requests += 1;
        request.number = core.requests;
        let name = platform.name();
        let operation = platform.operation(request);
        *core.by_operation.entry(format!("{name} {operation}")).or_default() += 1;
        let says = || platform.says(request);
        let faults = core.faults.draw(name, &operation, &says);
        let accent = core.dialects.draw(name, &operation, &says);
        let link = core.link.for_request(name, request.size);
        let slow: u64 = faults.iter().map(|f| f.uplink_ms(request.size, request.number)).sum();
        Ok(Plan {
            at,
            name,
            operation,
            uplink_ms: slow + link.up_ms,
            delivered: faults.iter().all(Fault::delivers) && link.delivered,
            faults,
            accent,
            link,
        })
    }

    /// A request that never came through: its caller hung up while it was on its way.
    pub fn lose(&mut self, request: &Request, plan: &Plan) -> Reply {
        self.core.remember(json!({
            "number": request.number, "at_ms": self.core.clock.now_ms(), "real_ms": system_ms(), "platform": plan.name,
            "method": plan.operation, "http_method": request.method, "path": request.path,
            "connection": request.connection, "tls": request.tls, "acted": false,
            "said": self.platforms[plan.at].says(request).chars().take(SAID).collect::<String>(),
            "faults": plan.fault_names(), "lost": "the caller hung up while the request was on its way",
        }));
        let mut reply = Reply::json(200, &json!({}));
        (reply.portion, reply.ending) = (Portion::Nothing, Ending::Close(0));
        reply
    }

    /// Answers a request, with what was planned for it.
    pub fn act(&mut self, request: &Request, plan: Plan) -> Reply {
        self.run_due();
        let core = &mut self.core;
        let platform = &mut self.platforms[plan.at];
        let name = plan.name;
        for fault in &plan.faults {
            if let Some(mode) = fault.kills_token() {
                let _ = platform.control(core, "POST", &["tokens", "kill"], &json!({"mode": mode}));
            }
            if let Some(Ok(rule)) = fault.twists_callback(name).map(serde_json::from_value) {
                core.callbacks.rules.push(rule);
            }
        }
        let brings = (!plan.accent.is_plain()).then(|| platform.others_for(request, &plan.accent));
        let others = brings.flatten();
        if let Some(body) = others.as_ref().filter(|_| plan.accent.others_come_first()) {
            let _ = core.let_others(platform.as_mut(), body);
        }
        let later = plan.faults.iter().find_map(Fault::acts_after_ms);
        let acts = plan.faults.iter().all(Fault::acts) && plan.accent.acts();
        let acts_now = acts && later.is_none();
        let skew: i64 = plan.faults.iter().map(Fault::skew_ms).sum();
        let (at_ms, real_ms) = (core.clock.now_ms(), system_ms());
        let before_acts = core.acts.len();
        let mut exchange = Exchange::default();
        let mut reply = if acts_now {
            core.handle(platform.as_mut(), request, skew, &mut exchange)
        } else {
            Reply::json(200, &json!({}))
        };
        if let Some(delay) = later.filter(|_| acts) {
            let timer = Timer::Request { at: plan.at, request: Box::new(request.clone()) };
            core.set_timer(delay, timer);
        }
        if let Some(body) = others.filter(|_| !plan.accent.others_come_first()) {
            match plan.accent.others_after_ms() {
                0 => drop(core.let_others(platform.as_mut(), &body)),
                delay => core.set_timer(delay, Timer::Others { name, body }),
            }
        }
        plan.accent.apply(&plan.operation, request, &mut reply);
        let before = String::from_utf8_lossy(&reply.body[..reply.body.len().min(8192)]).into_owned();
        let (code, text) = crate::story::verdict(&String::from_utf8_lossy(&reply.body));
        for fault in &plan.faults {
            *core.faults_applied.entry(fault.name().to_owned()).or_default() += 1;
            fault.apply(&mut reply, request.number);
        }
        plan.link.apply(&mut reply);
        let did = core.did(request.number, before_acts);
        // What was not looked at has no parameters; what it said names what it was about.
        let said: Option<String> = (!acts_now).then(|| platform.says(request).chars().take(SAID).collect());
        core.remember(json!({
            "number": request.number, "at_ms": at_ms.saturating_add(skew), "real_ms": real_ms, "platform": name,
            "method": plan.operation, "http_method": request.method, "path": request.path,
            "content_type": request.content_type(), "connection": request.connection, "tls": request.tls,
            "params": exchange.params, "signature": exchange.signature, "acted": acts_now, "said": said,
            "did": did, "acts_after_ms": later, "uplink_ms": plan.uplink_ms,
            "faults": plan.fault_names(), "dialect": plan.accent.names(),
            "answer": {
                "status": reply.status, "length": reply.body.len(), "sent": reply.portion.word(),
                "at_ms": core.clock.now_ms().saturating_add_unsigned(reply.delay_ms),
                "code": code, "text": text,
                "body": (acts_now || !plan.accent.is_plain()).then_some(before),
            },
        }));
        reply
    }

    /// Acts on a request that came through long after it was sent; nobody hears the answer.
    fn act_late(&mut self, at: usize, request: &Request) {
        let platform = &mut self.platforms[at];
        let mut exchange = Exchange::default();
        let before_acts = self.core.acts.len();
        let reply = self.core.handle(platform.as_mut(), request, 0, &mut exchange);
        let entry = json!({
            "number": request.number, "at_ms": self.core.clock.now_ms(), "real_ms": system_ms(), "platform": platform.name(),
            "method": platform.operation(request), "http_method": request.method, "path": request.path,
            "connection": request.connection, "tls": request.tls, "params": exchange.params,
            "signature": exchange.signature, "acted": true, "late": true, "faults": [],
            "did": self.core.did(request.number, before_acts),
            "answer": {
                "status": reply.status, "length": reply.body.len(), "sent": "nothing",
                "body": String::from_utf8_lossy(&reply.body[..reply.body.len().min(8192)]),
            },
        });
        self.core.remember(entry);
    }

    /// Lets somebody else do something at a platform, at once or in a while.
    pub fn others(&mut self, name: &str, body: &Value, after_ms: i64) -> Result<Value, (u16, String)> {
        let (platform, core) =
            self.platform(name).ok_or_else(|| (404, format!("there is no platform {name}")))?;
        if after_ms > 0 {
            let name = platform.name();
            core.set_timer(after_ms, Timer::Others { name, body: body.clone() });
            return Ok(json!({"after_ms": after_ms}));
        }
        core.let_others(platform, body)
    }

    /// Does everything that is due, in order. Answers when the next thing is due.
    pub fn run_due(&mut self) -> Option<i64> {
        let now = self.core.clock.now_ms();
        while let Some(entry) = self.core.timers.first_entry().filter(|e| e.key().0 <= now) {
            let timer = entry.remove();
            self.fire(timer);
        }
        self.core.timers.keys().next().map(|(due, _)| *due)
    }

    /// Lets time pass: everything due in between happens at its own time.
    pub fn advance(&mut self, by_ms: i64) {
        let begun = Instant::now();
        let target = self.core.clock.now_ms().saturating_add(by_ms.max(0));
        while let Some(entry) = self.core.timers.first_entry().filter(|e| e.key().0 <= target) {
            let ((due, _), timer) = entry.remove_entry();
            if due > self.core.clock.now_ms() {
                self.core.clock.move_to(due);
            }
            self.fire(timer);
        }
        // What that takes passes too: a clock beside this one that is moved as far shows the same.
        let took = if self.core.clock.is_frozen() { 0 } else { begun.elapsed().as_millis() as i64 };
        let target = target.saturating_add(took);
        if target > self.core.clock.now_ms() {
            self.core.clock.move_to(target);
        }
    }

    /// Corrects the clock: what was to happen in a while still happens in that while.
    pub fn set_clock(&mut self, to_ms: i64) {
        self.run_due();
        self.core.shift_clock(to_ms.saturating_sub(self.core.clock.now_ms()));
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Shut { cabinet, door, opening } => {
                let same = |o: &Opening| o.number == opening && o.shut_ms.is_none();
                if self.core.world.openings.get(opening as usize - 1).is_some_and(same) {
                    self.shut_door(&cabinet, door);
                }
            }
            Timer::Platform { name, event } => {
                if let Some((platform, core)) = self.platform(name) {
                    platform.timer(core, &event);
                }
            }
            Timer::Others { name, body } => {
                if let Some((platform, core)) = self.platform(name) {
                    let _ = core.let_others(platform, &body);
                }
            }
            Timer::Request { at, request } => self.act_late(at, &request),
        }
    }

    /// Shuts a door and lets the platform that had opened it know.
    pub fn shut_door(&mut self, cabinet: &str, door: u32) -> bool {
        let now = self.core.clock.now_ms();
        let Some(opening) = self.core.world.shut_door(cabinet, door, now) else { return false };
        if let Some((platform, core)) = self.platform(&opening.cause.by) {
            platform.door_shut(core, &opening);
        }
        true
    }

    /// Takes a cabinet's connection away or gives it back.
    pub fn set_online(&mut self, cabinet: &str, online: bool) -> bool {
        let Some(found) = self.core.world.cabinet_mut(cabinet) else { return false };
        let came_back = online && !found.online;
        found.online = online;
        if came_back {
            for platform in &mut self.platforms {
                platform.cabinet_online(&mut self.core, cabinet);
            }
        }
        true
    }

    /// Writes down how an attempt to deliver a callback ended.
    pub fn delivery_ended(&mut self, delivery: &Delivery, result: Result<(u16, String), String>) {
        let at_ms = self.core.clock.now_ms();
        let attempt = match result {
            Err(error) => Attempt { at_ms, status: None, answer: String::new(), error: Some(error) },
            Ok((status, answer)) => {
                let judged = match self.platform(delivery.what.platform) {
                    Some((platform, core)) => platform.answered(core, &delivery.what, status, &answer),
                    None => Ok(()),
                };
                Attempt { at_ms, status: Some(status), answer, error: judged.err() }
            }
        };
        let schedule = self.platform(delivery.what.platform).and_then(|(platform, _)| platform.retries());
        let Some(tried) = self.core.callbacks.finish(delivery.id, attempt, schedule) else { return };
        let again = self
            .platform(delivery.what.platform)
            .and_then(|(platform, _)| platform.render_again(&delivery.what, delivery.style, tried));
        if let (Some(rendered), Some(waiting)) = (again, self.core.callbacks.delivery_mut(delivery.id)) {
            waiting.rendered = rendered;
        }
    }

    /// Sends a delivery again, perhaps in another style; answers the number of the first copy.
    pub fn resend(&mut self, id: u64, style: Style, delay_ms: i64, copies: u64) -> Option<u64> {
        let old = self.core.callbacks.delivery_mut(id)?.clone();
        let now = self.core.clock.now_ms();
        let (platform, core) = self.platform(old.what.platform)?;
        let rendered = platform.render(&old.what, style, now);
        let mut first = None;
        for _ in 0..copies.max(1) {
            let copy =
                core.callbacks.push(old.what.clone(), style, rendered.clone(), now + delay_ms, Some(id));
            first.get_or_insert(copy);
        }
        first
    }

    /// What a user needs to reach the platforms, by name.
    pub fn accounts(&self) -> Map<String, Value> {
        let mut accounts = Map::new();
        for platform in &self.platforms {
            let mut account = Map::new();
            account.insert("platform".into(), json!(platform.name()));
            account.insert("base_url".into(), json!(format!("{}/{}", self.core.origin, platform.name())));
            account.extend(platform.credentials());
            accounts.insert(platform.name().into(), Value::Object(account));
        }
        accounts
    }
}

/// A text with every occurrence of a secret, and of the others that it may have been mistaken for, replaced.
pub fn mask_all(text: &str, secret: &str, others: &[(&str, &str)]) -> String {
    others.iter().filter(|(_, other)| !other.is_empty()).fold(mask(text, secret), |text, (_, other)| {
        match text.strip_suffix(other) {
            // Where a secret stands; a value that happens to be the same is not one.
            Some(front) => format!("{front}[another secret]"),
            None => text,
        }
    })
}

/// A text with every occurrence of a secret replaced.
pub fn mask(text: &str, secret: &str) -> String {
    if secret.is_empty() { text.to_owned() } else { text.replace(secret, MASK) }
}
