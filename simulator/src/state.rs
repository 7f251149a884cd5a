//! Everything that changes, behind one lock: time passes, requests come in, doors shut, answers arrive.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};

use crate::callback::{Attempt, CallbackBook, Delivery, Outgoing, Rendered, Style};
use crate::clock::Clock;
use crate::fault::{Fault, FaultBook, Noise};
use crate::message::{Reply, Request};
use crate::platform::{self, Exchange, Platform};
use crate::world::{Cause, NotOpened, Opening, World};

const MASK: &str = "[secret]";

/// Something that happens when its time comes.
enum Timer {
    Shut { cabinet: String, door: u32, opening: u64 },
    Platform { name: &'static str, event: Value },
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
}

impl Core {
    fn new(seed: u64, log_limit: usize, origin: String, http_origin: String) -> Self {
        Self {
            clock: Clock::new(),
            world: World::small(),
            faults: FaultBook::default(),
            callbacks: CallbackBook::default(),
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
        let opening = self.world.open_door(cabinet, door, self.clock.now_ms(), cause)?;
        if let Some(delay) = stays_open_ms {
            self.set_timer(delay, Timer::Shut { cabinet: cabinet.to_owned(), door, opening });
        }
        Ok(opening)
    }

    /// Puts a callback into the queue.
    pub fn notify(&mut self, what: Outgoing, render: &dyn Fn(Style, i64) -> Rendered) {
        let now = self.clock.now_ms();
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

    /// Answers a request to a platform, with the faults that are due.
    pub fn serve(&mut self, mut request: Request) -> Reply {
        self.run_due();
        let prefix = request.path.split('/').nth(1).unwrap_or_default().to_owned();
        let Some(platform) = self.platforms.iter_mut().find(|p| p.name() == prefix) else {
            return Reply::json(404, &json!({"error": format!("nothing is served under /{prefix}")}));
        };
        let core = &mut self.core;
        core.requests += 1;
        request.number = core.requests;
        let name = platform.name();
        let operation = platform.operation(&request);
        *core.by_operation.entry(format!("{name} {operation}")).or_default() += 1;
        let faults = core.faults.draw(name, &operation, &|| platform.says(&request));
        for fault in &faults {
            if let Some(mode) = fault.kills_token() {
                let _ = platform.control(core, "POST", &["tokens", "kill"], &json!({"mode": mode}));
            }
            if let Some(Ok(rule)) = fault.twists_callback(name).map(serde_json::from_value) {
                core.callbacks.rules.push(rule);
            }
        }
        let skew: i64 = faults.iter().map(Fault::skew_ms).sum();
        core.shift_clock(skew);
        let acts = faults.iter().all(Fault::acts);
        let mut exchange = Exchange::default();
        let at_ms = core.clock.now_ms();
        let mut reply =
            if acts { platform.handle(core, &request, &mut exchange) } else { Reply::json(200, &json!({})) };
        core.shift_clock(-skew);
        let before = String::from_utf8_lossy(&reply.body[..reply.body.len().min(8192)]).into_owned();
        for fault in &faults {
            *core.faults_applied.entry(fault.name().to_owned()).or_default() += 1;
            fault.apply(&mut reply, request.number);
        }
        core.remember(json!({
            "number": request.number, "at_ms": at_ms, "platform": name, "method": operation,
            "http_method": request.method, "path": request.path, "content_type": request.content_type(),
            "connection": request.connection, "tls": request.tls,
            "params": exchange.params, "signature": exchange.signature, "acted": acts,
            "faults": faults.iter().map(Fault::name).collect::<Vec<_>>(),
            "answer": {
                "status": reply.status, "length": reply.body.len(),
                "body": acts.then_some(before),
            },
        }));
        reply
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
        let target = self.core.clock.now_ms().saturating_add(by_ms.max(0));
        while let Some(entry) = self.core.timers.first_entry().filter(|e| e.key().0 <= target) {
            let ((due, _), timer) = entry.remove_entry();
            if due > self.core.clock.now_ms() {
                self.core.clock.move_to(due);
            }
            self.fire(timer);
        }
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
