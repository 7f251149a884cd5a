//! Jobs: functions of the firmware's own on threads of the library, each with a view of the client of its own.
//!
//! A client has one [`TaskPool`], made at the first use: a queue, a few threads, a descriptor that is readable while an ended
//! job waits to be taken. A job that acts (opens a door) is taken before one that does not, and one thread is left free for
//! such, so that a door never waits behind pages of stock. What runs is two words here ([`Job`]) that nobody looks at: the
//! thread that calls the function, and what it needs of C, is `ffi`'s.
//!
//! One more thread ([`watch`]) sees to what nobody else may be awake for: jobs that were cancelled, from a signal handler
//! perhaps, and jobs that were not begun in their time.

use super::Client;
use crate::cancel::Flag;
use crate::error::{Error, Result};
use crate::log::log_line;
use crate::process;
use crate::status::*;
use crate::sys::{self, NotForChildren, Readiness};
use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// As many jobs of a client that act may wait, run, or be ended and not taken; and as many that do not act.
const MOST: u32 = 32;
/// `kl_client_free` waits so long for jobs that run.
const PATIENCE: Duration = Duration::from_secs(3);
const WATCH_STACK: usize = 128 * 1024;
/// After a thread could not be made it is tried again.
const AGAIN: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(3600);

thread_local! {
    /// The pool that this thread works for, by its address; 0 for none.
    static INSIDE: Cell<usize> = const { Cell::new(0) };
}

/// What is to be run, in words that mean something to who runs it.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// The function.
    pub function: usize,
    /// What it is given.
    pub user: usize,
    /// What ends that.
    pub release: usize,
}

/// What the pool has done by those who know what a [`Job`] is.
pub struct Hooks {
    /// Makes a thread, with so much stack, that runs what [`TaskPool::take`] gives until it gives nothing, and calls
    /// [`TaskPool::thread_gone`] at its end.
    pub spawn: fn(Arc<TaskPool>, usize) -> io::Result<()>,
    /// The job's handle is freed and its function will not use what it is given any more.
    pub release: fn(Job),
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum TaskState {
    /// For a thread.
    Waiting = 1,
    Running = 2,
    /// Its function returned.
    Returned = 3,
    /// Its function was not called and will not be.
    NotStarted = 4,
    /// Its function left its thread by `pthread_exit`.
    Abandoned = 5,
}

/// How a job is to be run.
#[derive(Clone, Copy, Debug, Default)]
pub struct TaskOptions {
    /// Of its view, 0 for the client's.
    pub timeout_ms: u32,
    /// Not to be begun later than this; 0 for no bound.
    pub start_within_ms: u32,
    pub acts: bool,
}

/// What is known of a job.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    pub state: TaskState,
    /// What its function returned.
    pub result: i32,
    /// Why it was not started.
    pub why: kl_status,
    begun_ms: u64,
    ended_ms: u64,
    forgotten: bool,
}

/// One job.
pub struct Task {
    pool: Arc<TaskPool>,
    pub job: Job,
    /// Of its handle.
    number: usize,
    acts: bool,
    flag: Arc<Flag>,
    /// The view, until it has ended. Dropped with no lock held: it may be the last of its client.
    client: Mutex<Option<Client>>,
    started_ms: u64,
    /// Not to be begun after this time of the boot clock.
    begin_by_ms: Option<u64>,
    told: Mutex<Told>,
}

/// A job that has its place and does not wait for a thread yet.
pub struct Ticket(Option<Arc<Task>>);

/// What `kl_task_next` has.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// The handle of one that ended.
    Ended(usize),
    NoneNow,
    /// No job is under way.
    NoneComes,
}

/// The jobs of one client.
pub struct TaskPool {
    state: Mutex<Queue>,
    /// For threads: there may be something to take.
    work: Condvar,
    /// For who frees the client: a job or a thread has ended.
    gone: Condvar,
    hooks: &'static Hooks,
    threads: u32,
    stack: usize,
}

#[derive(Default)]
struct Queue {
    /// Those that act, and those that do not.
    waiting: [Vec<Arc<Task>>; 2],
    /// Those that wait, run, or ended and were not taken, by the same classes.
    places: [u32; 2],
    running: Vec<Arc<Task>>,
    ended: Vec<Arc<Task>>,
    /// Those with a ticket, which wait as soon as their handle is there.
    admitted: usize,
    threads: u32,
    watched: bool,
    closed: bool,
    /// The first leaves before the second is closed.
    event: Option<(NotForChildren, Readiness)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the first of a few.
fn first(list: &mut Vec<Arc<Task>>) -> Option<Arc<Task>> {
    (!list.is_empty()).then(|| list.remove(0))
}

impl Task {
    /// What is known of it now.
    pub fn told(&self) -> Told {
        *lock(&self.told)
    }

    /// Whether it was cancelled.
    pub fn cancelled(&self) -> bool {
        self.flag.raised()
    }

    /// Milliseconds since it was started, and those that its function took so far or in all.
    pub fn ages_ms(&self) -> (u64, u64) {
        let (told, now) = (self.told(), sys::boot_ms());
        let ran = match told.state {
            TaskState::Waiting | TaskState::NotStarted => 0,
            TaskState::Running => now.saturating_sub(told.begun_ms),
            _ => told.ended_ms.saturating_sub(told.begun_ms),
        };
        (now.saturating_sub(self.started_ms), ran)
    }

    /// Its view, for as long as it has not ended.
    pub fn client(&self) -> Option<Client> {
        lock(&self.client).clone()
    }

    fn class(&self) -> usize {
        usize::from(!self.acts)
    }

    /// Why it is not to be begun.
    fn obstacle(&self, now_ms: u64) -> Option<kl_status> {
        let client = lock(&self.client);
        let freed = client.as_ref().map_or(Some(KL_E_CANCELLED), Client::obstacle);
        freed.or_else(|| self.begin_by_ms.filter(|by| *by < now_ms).map(|_| KL_E_STALE))
    }

    /// Its handle is freed: nobody will be given its result.
    pub fn forget(self: &Arc<Task>) {
        let pool = &self.pool;
        let mut state = pool.state();
        let mut told = lock(&self.told);
        told.forgotten = true;
        let over = !matches!(told.state, TaskState::Waiting | TaskState::Running);
        drop(told);
        if let Some(at) = state.ended.iter().position(|task| Arc::ptr_eq(task, self)) {
            state.ended.remove(at);
            state.taken(self.class());
        }
        drop(state);
        if over {
            (pool.hooks.release)(self.job);
        }
    }
}

impl Ticket {
    /// The job of it.
    pub fn task(&self) -> Option<Arc<Task>> {
        self.0.clone()
    }

    /// From now on it waits for a thread.
    pub fn wait(mut self) {
        let Some(task) = self.0.take() else { return };
        let pool = task.pool.clone();
        let mut state = pool.state();
        state.admitted -= 1;
        if state.closed {
            drop(state);
            return pool.end(&task, TaskState::NotStarted, 0, KL_E_CANCELLED);
        }
        let timed = task.begin_by_ms.is_some();
        state.waiting[task.class()].push(task);
        drop(state);
        pool.work.notify_one();
        if timed {
            sys::ring();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            let mut state = task.pool.state();
            state.places[task.class()] -= 1;
            state.admitted -= 1;
        }
    }
}

impl Queue {
    /// The next job that a thread may run: one that acts first, and no other on the last thread.
    fn next(&mut self, threads: u32) -> Option<Arc<Task>> {
        let reading = self.running.iter().filter(|task| !task.acts).count() as u32;
        match first(&mut self.waiting[0]) {
            None if reading + 1 < threads => first(&mut self.waiting[1]),
            acting => acting,
        }
    }

    /// Whether a job waits, or is one of those `coming` in a moment, for which no thread is free although one more may be made. A
    /// new thread is free from the beginning.
    fn short(&self, threads: u32, coming: usize) -> bool {
        let known = coming + self.waiting.iter().map(Vec::len).sum::<usize>() + self.running.len();
        self.threads < threads && known > self.threads as usize
    }

    /// One place is free again, and the descriptor says whether something is left.
    fn taken(&mut self, class: usize) {
        self.places[class] -= 1;
        if let (true, Some((_, event))) = (self.ended.is_empty(), &self.event) {
            event.clear();
        }
    }
}

impl TaskPool {
    fn new(threads: u32, stack: usize, hooks: &'static Hooks) -> Result<Arc<TaskPool>> {
        let made = Readiness::new().and_then(|event| Ok((process::not_for_children(event.as_fd())?, event)));
        let event = made.map_err(|e| Error::os(KL_E_RESOURCE, "no descriptor for the jobs", &e))?;
        let state = Mutex::new(Queue { event: Some(event), ..Queue::default() });
        Ok(Arc::new(TaskPool { state, work: Condvar::new(), gone: Condvar::new(), hooks, threads, stack }))
    }

    fn state(&self) -> MutexGuard<'_, Queue> {
        lock(&self.state)
    }

    /// The descriptor; `None` when the client is freed.
    pub fn fd(&self) -> Option<i32> {
        self.state().event.as_ref().map(|(_, event)| event.as_fd().as_raw_fd())
    }

    /// Gives each ended job once.
    pub fn next(&self) -> Next {
        let mut state = self.state();
        match first(&mut state.ended) {
            Some(task) => {
                state.taken(task.class());
                Next::Ended(task.number)
            }
            None if state.places == [0, 0] => Next::NoneComes,
            None => Next::NoneNow,
        }
    }

    /// A place for one more job, and a thread for it if there may be one.
    fn admit(self: &Arc<TaskPool>, task: Task) -> Result<Ticket> {
        let class = task.class();
        let mut state = self.state();
        if state.closed {
            return Err(Error::new(KL_E_HANDLE, "the client was freed"));
        }
        if state.places[class] >= MOST {
            let kind = if task.acts { "32 jobs that act" } else { "32 jobs" };
            return Err(Error::new(KL_E_BUSY, [kind, " wait, run, or were not taken yet"].concat()));
        }
        state.places[class] += 1;
        state.admitted += 1;
        let watch = !std::mem::replace(&mut state.watched, true);
        let thread = state.short(self.threads, state.admitted);
        state.threads += u32::from(thread);
        drop(state);
        let ticket = Ticket(Some(Arc::new(task)));
        if watch {
            if let Err(error) = self.watch() {
                let mut state = self.state();
                state.watched = false;
                state.threads -= u32::from(thread);
                drop(state);
                return Err(Error::os(KL_E_RESOURCE, "no thread for jobs", &error));
            }
        }
        match if thread { (self.hooks.spawn)(self.clone(), self.stack) } else { Ok(()) } {
            // Those that there are will do.
            Err(error) if self.thread_gone() == 0 => {
                Err(Error::os(KL_E_RESOURCE, "no thread for jobs", &error))
            }
            _ => Ok(ticket),
        }
    }

    /// For a thread: the next job, which runs from now on. Waits for one; `None` when the client is freed.
    pub fn take(self: &Arc<TaskPool>) -> Option<Arc<Task>> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            let Some(task) = state.next(self.threads) else {
                INSIDE.set(0);
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let now = sys::boot_ms();
            if let Some(why) = task.obstacle(now) {
                drop(state);
                self.end(&task, TaskState::NotStarted, 0, why);
                state = self.state();
                continue;
            }
            let mut told = lock(&task.told);
            (told.state, told.begun_ms) = (TaskState::Running, now);
            drop(told);
            state.running.push(task.clone());
            INSIDE.set(Arc::as_ptr(self).addr());
            return Some(task);
        }
    }

    /// A job has ended like this. Once for each, by who took it out of the queue.
    pub fn end(&self, task: &Arc<Task>, how: TaskState, result: i32, why: kl_status) {
        let client = lock(&task.client).take();
        let mut state = self.state();
        state.running.retain(|running| !Arc::ptr_eq(running, task));
        let mut told = lock(&task.told);
        *told = Told { state: how, result, why, ended_ms: sys::boot_ms(), ..*told };
        let forgotten = told.forgotten;
        drop(told);
        if forgotten {
            state.places[task.class()] -= 1;
        } else if !state.closed {
            if let (true, Some((_, event))) = (state.ended.is_empty(), &state.event) {
                event.set();
            }
            state.ended.push(task.clone());
        }
        drop(state);
        self.gone.notify_all();
        drop(client);
        if forgotten {
            (self.hooks.release)(task.job);
        }
    }

    /// A thread of this pool ends, or could not be made. Gives how many are left.
    pub fn thread_gone(&self) -> u32 {
        let mut state = self.state();
        state.threads -= 1;
        let left = state.threads;
        drop(state);
        self.gone.notify_all();
        // There may be jobs that it leaves behind.
        self.work.notify_one();
        sys::ring();
        left
    }

    /// Nothing begins any more: what waits has ended, what runs was told.
    fn close(&self, patience: Duration) {
        let mut state = self.state();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        let ended = std::mem::take(&mut state.ended);
        let event = state.event.take();
        drop(state);
        drop((ended, event));
        self.work.notify_all();
        sys::ring();
        for task in waiting.iter().flatten() {
            self.end(task, TaskState::NotStarted, 0, KL_E_CANCELLED);
        }
        if patience.is_zero() || INSIDE.get() == std::ptr::from_ref(self).addr() {
            return;
        }
        let busy = |state: &mut Queue| state.threads > 0 || state.watched;
        let waited = self.gone.wait_timeout_while(self.state(), patience, busy);
        let running = waited.unwrap_or_else(PoisonError::into_inner).0.running.len();
        if running > 0 {
            log_line!(Warn, "the client is freed while {running} of its jobs still run");
        }
    }

    /// Makes the thread that [`round`](Self::round) is done on.
    fn watch(self: &Arc<TaskPool>) -> io::Result<()> {
        let pool = self.clone();
        let _blocked = sys::SignalsBlocked::begin();
        let watch = move || {
            sys::ordinary_thread(c"kl-jobs");
            INSIDE.set(Arc::as_ptr(&pool).addr());
            let mut seen = sys::rung();
            while let Some(time) = pool.round() {
                sys::listen(seen, time);
                seen = sys::rung();
            }
        };
        sys::thread(c"kl-jobs", WATCH_STACK, Box::new(watch))
    }

    /// Ends what was cancelled or not begun in time. Says how long nothing can come up by itself; `None` at the end.
    fn round(self: &Arc<TaskPool>) -> Option<Duration> {
        let now = sys::boot_ms();
        let mut state = self.state();
        if state.closed {
            state.watched = false;
            drop(state);
            self.gone.notify_all();
            return None;
        }
        let mut over = Vec::new();
        let mut first: Option<u64> = None;
        for waiting in &mut state.waiting {
            waiting.retain(|task| match task.obstacle(now) {
                Some(why) => {
                    over.push((task.clone(), why));
                    false
                }
                None => {
                    first = first.into_iter().chain(task.begin_by_ms).min();
                    true
                }
            });
        }
        let cancelled: Vec<Arc<Task>> =
            state.running.iter().filter(|task| task.cancelled()).cloned().collect();
        // Whoever admits a job makes its thread, and says if there is none to be had.
        let thread = state.short(self.threads, 0);
        state.threads += u32::from(thread);
        drop(state);
        for (task, why) in over {
            self.end(&task, TaskState::NotStarted, 0, why);
        }
        for client in cancelled.iter().filter_map(|task| task.client()) {
            client.give_up();
        }
        let mut time = first.map_or(LONG, |by| Duration::from_millis(by.saturating_sub(now) + 1));
        if thread && (self.hooks.spawn)(self.clone(), self.stack).is_err() {
            self.state().threads -= 1;
            time = time.min(AGAIN);
        } else if thread && self.state().short(self.threads, 0) {
            time = Duration::ZERO;
        }
        Some(time)
    }
}

/// The jobs of a client, which may have none.
pub(super) struct Tasks {
    pool: Mutex<Option<Arc<TaskPool>>>,
    threads: u32,
    stack: usize,
}

impl Tasks {
    pub(super) fn new(threads: u32, stack_kib: u32) -> Tasks {
        Tasks { pool: Mutex::new(None), threads, stack: stack_kib as usize * 1024 }
    }

    fn made(&self) -> Option<Arc<TaskPool>> {
        lock(&self.pool).clone()
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        process::contained(|| {
            if let Some(pool) = self.made() {
                pool.close(Duration::ZERO);
            }
        });
    }
}

impl Client {
    /// The pool of its jobs. Makes no thread.
    pub fn tasks(&self, hooks: &'static Hooks) -> Result<Arc<TaskPool>> {
        let tasks = &self.0.tasks;
        let mut pool = lock(&tasks.pool);
        match &*pool {
            Some(pool) => Ok(pool.clone()),
            None => {
                let made = TaskPool::new(tasks.threads, tasks.stack, hooks)?;
                Ok(pool.insert(made).clone())
            }
        }
    }

    /// A place for a job whose handle will have this number. It begins to wait with `Ticket::wait`.
    pub fn task(
        &self,
        job: Job,
        options: TaskOptions,
        number: usize,
        hooks: &'static Hooks,
    ) -> Result<Ticket> {
        // One that was given up begins nothing.
        self.1.token()?;
        let pool = self.tasks(hooks)?;
        let flag = Arc::new(Flag::new(number));
        let started_ms = sys::boot_ms();
        let within = Some(options.start_within_ms).filter(|within| *within > 0);
        let task = Task {
            client: Mutex::new(Some(self.flagged_view(options.timeout_ms, flag.clone())?)),
            pool: pool.clone(),
            job,
            number,
            acts: options.acts,
            flag,
            started_ms,
            begin_by_ms: within.map(|within| started_ms + u64::from(within)),
            told: Mutex::new(Told {
                state: TaskState::Waiting,
                result: 0,
                why: KL_OK,
                begun_ms: 0,
                ended_ms: 0,
                forgotten: false,
            }),
        };
        pool.admit(task)
    }

    /// A view of it was freed, or all of it was.
    pub(super) fn end_tasks(&self, all: bool) {
        match self.0.tasks.made() {
            Some(pool) if all => pool.close(PATIENCE),
            Some(pool) if pool.state().waiting.iter().any(|waiting| !waiting.is_empty()) => sys::ring(),
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;
