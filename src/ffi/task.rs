//! Jobs: functions of the firmware's own on threads of the library, and the descriptor that says when one has ended.

use super::client::kl_client;
use super::error::kl_error;
use super::handle::{self, Handle, HandleKind};
use super::text::{self, caller_struct};
use super::{Out, caught, guard, look, with_client};
use crate::cancel::Flag;
use crate::client::Client;
use crate::client::task::{Hooks, Job, Next, Task, TaskOptions, TaskPool, TaskState, Told};
use crate::error::{Error, Result};
use crate::status::*;
use crate::sys;
use std::ffi::c_void;
use std::io;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

/// A job. Opaque; it outlives its client.
pub struct kl_task {
    _private: [u8; 0],
}

/// How far a job is: `KL_TASK_STATE_*`.
pub type kl_task_state = i32;

/// It waits for a thread.
pub const KL_TASK_STATE_WAITING: kl_task_state = 1;
/// Its function runs.
pub const KL_TASK_STATE_RUNNING: kl_task_state = 2;
/// Its function returned; `result` is what.
pub const KL_TASK_STATE_RETURNED: kl_task_state = 3;
/// Its function was not called and will not be: nothing was sent. `status` says why.
pub const KL_TASK_STATE_NOT_STARTED: kl_task_state = 4;
/// Its function left its thread by `pthread_exit`, or was torn out of it by `pthread_cancel`. What it had begun is in the
/// journal.
pub const KL_TASK_STATE_ABANDONED: kl_task_state = 5;

/// The function of a job. It runs on a thread of the library, with a view of the client that is its own: every blocking call
/// is made through that. The library frees the view when the function has returned. What it returns is the job's `result`.
pub type kl_task_fn = Option<unsafe extern "C" fn(client: *mut kl_client, user: *mut c_void) -> i32>;

/// Ends what a job was given, as `free` does.
pub type kl_task_release_fn = Option<unsafe extern "C" fn(user: *mut c_void)>;

/// How a job is run: `kl_task_options o = KL_TASK_OPTIONS_INIT;`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_task_options {
    /// `sizeof(kl_task_options)`.
    pub struct_size: u32,
    /// The most that each call through the job's view may take, up to one hour; 0: that of the client.
    pub timeout_ms: u32,
    /// The job is not begun later than this after `kl_task_start`; 0: no bound. One that was not begun has ended as
    /// `KL_TASK_STATE_NOT_STARTED` with `KL_E_STALE`.
    pub start_within_ms: u32,
    /// 1 for a job that opens a door or acts otherwise: it is taken before those that only read, and never waits for them to
    /// end.
    pub acts: i32,
    /// Called with `user` once, when the job has ended and its handle is freed: in `kl_task_free`, or where the job ends
    /// after that, on a thread of the library or in `kl_client_free`. NULL: nothing is.
    pub release: kl_task_release_fn,
}

caller_struct!(kl_task_options { struct_size, timeout_ms, start_within_ms, acts, release });

/// What is known of a job at the time of `kl_task_view`. Borrowed from the job, and written anew by the next `kl_task_view`
/// of it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_task_info {
    /// What `kl_task_start` was given.
    pub user: *mut c_void,
    /// How far it is.
    pub state: kl_task_state,
    /// What its function returned; 0 in every other state.
    pub result: i32,
    /// Why it was not started: `KL_E_CANCELLED` (`kl_task_cancel`, `kl_client_free`), `KL_E_STALE` (`start_within_ms`),
    /// `KL_E_RESOURCE`, `KL_E_RETIRED`. `KL_OK` in every other state.
    pub status: kl_status,
    /// 1 after `kl_task_cancel`, in whatever state.
    pub cancelled: i32,
    /// How long ago it was started by `kl_task_start`, in milliseconds; the time that the device sleeps counts.
    pub age_ms: u64,
    /// How long its function has been running, or ran in all, in milliseconds.
    pub run_ms: u64,
}

/// What a handle of a job stands for.
pub struct HeldTask {
    task: Arc<Task>,
    /// What C was shown.
    shown: Mutex<Box<Shown>>,
}

struct Shown(kl_task_info);

// SAFETY: the one pointer in it is the caller's own, which is handed back and never followed.
unsafe impl Send for Shown {}

impl Handle for kl_task {
    const KIND: HandleKind = HandleKind::Task;
    type Held = HeldTask;
}

static HOOKS: Hooks = Hooks { spawn, release };

/// Runs `function` on a thread of the library, with a view of the client of its own, and returns at once. Inside it the ordinary
/// calls are made: to redeem a code and then open a door is one job. When the job has ended, `kl_client_fd` is readable and
/// `kl_task_next` gives it. The first job makes the threads (`docs/threads.md`); what they are made of is set by
/// `task_threads` and `task_stack_kib`. `function` may start jobs. It may leave its thread by `pthread_exit`, not by `longjmp` or a
/// C++ exception. `options` may be NULL. End the job's handle with `kl_task_free`, before or after it has ended.
///
/// Errors: `KL_E_BUSY` at once if 32 jobs wait, run, or have ended and were not taken by `kl_task_next` (those with `acts`
/// are counted by themselves, up to 32 too); `KL_E_RESOURCE` for no thread or descriptor; `KL_E_CANCELLED` through the view
/// of a job that was cancelled; `KL_E_ARGUMENT`.
///
/// Codes: `KL_E_BUSY`, `KL_E_CANCELLED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_task_start(
    client: *mut kl_client,
    function: kl_task_fn,
    user: *mut c_void,
    options: *const kl_task_options,
    task: *mut *mut kl_task,
    err: *mut kl_error,
) -> kl_status {
    let out = Out::handle(task);
    with_client(client, err, |client| {
        out.present("task")?;
        let function = function.ok_or_else(|| Error::new(KL_E_NULL, "function is NULL"))?;
        let (mut how, mut release) = (TaskOptions::default(), None);
        if !options.is_null() {
            // SAFETY: the caller's struct is as long as its first field says.
            let theirs = unsafe { text::request("options", options)? };
            how.timeout_ms = theirs.timeout_ms;
            how.start_within_ms = theirs.start_within_ms;
            how.acts = theirs.acts != 0;
            release = theirs.release;
        }
        let job = Job {
            function: (function as *const c_void).expose_provenance(),
            user: user.expose_provenance(),
            release: release.map_or(0, |release| (release as *const c_void).expose_provenance()),
        };
        let room = handle::reserve::<kl_task>()?;
        let ticket = client.task(job, how, room.number(), &HOOKS)?;
        let Some(task) = ticket.task() else { return Ok(()) };
        let shown = Mutex::new(Box::new(Shown(info(&task, &task.told()))));
        // Whoever is given its number by `kl_task_next` finds it.
        out.write(room.fill(HeldTask { task, shown }));
        ticket.wait();
        Ok(())
    })
}

/// A descriptor that is readable (`poll`, `select`, `epoll`) exactly while `kl_task_next` has a job to give: one for a client
/// and all its views, the same until `kl_client_free`, which closes it. Take it out of your loop first. Never read or close it.
///
/// Codes: none of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_client_fd(client: *mut kl_client, fd: *mut i32, err: *mut kl_error) -> kl_status {
    let out = Out::cleared(fd, -1);
    with_client(client, err, |client| {
        out.present("fd")?;
        let fd = client.tasks(&HOOKS)?.fd();
        out.write(fd.ok_or_else(|| Error::new(KL_E_HANDLE, "the client was freed"))?);
        Ok(())
    })
}

/// The next job that has ended, in the order in which they did: each is given once, cancelled or not, unless its handle was
/// freed before. `*task` is the handle that `kl_task_start` gave. Waits for nothing.
///
/// `KL_OK` with NULL there: none is under way, so none will come. `KL_E_PENDING`: none now, and some will.
///
/// Codes: `KL_E_PENDING`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_task_next(
    client: *mut kl_client,
    task: *mut *mut kl_task,
    err: *mut kl_error,
) -> kl_status {
    let out = Out::handle(task);
    with_client(client, err, |client| {
        out.present("task")?;
        match client.tasks(&HOOKS)?.next() {
            Next::Ended(number) => out.write(ptr::without_provenance_mut(number)),
            Next::NoneComes => {}
            Next::NoneNow => return Err(Error::new(KL_E_PENDING, "no job has ended yet")),
        }
        Ok(())
    })
}

/// Cancels a job for good. One that was not begun is not: it has ended as `KL_TASK_STATE_NOT_STARTED`. In one that runs, the
/// call under way ends with `KL_E_CANCELLED` and every later one answers it; its function goes on with that. After its end
/// nothing happens: a result is never replaced. Waits for nothing, takes no lock and may be called in a signal handler; so it
/// has no error, and does nothing for what is no job.
#[unsafe(no_mangle)]
pub extern "C" fn kl_task_cancel(task: *mut kl_task) {
    if handle::looks_like(task.cast_const()) {
        Flag::raise(task.addr());
    }
}

/// What is known of a job now; NULL for what is none. Borrowed, until the next `kl_task_view` of the same job or its
/// `kl_task_free`. Waits for nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_task_view(task: *const kl_task) -> *const kl_task_info {
    look(task, ptr::null(), |held| {
        let mut shown = held.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.0 = info(&held.task, &held.task.told());
        &raw const shown.0
    })
}

/// Frees a job's handle. One that waits or runs goes on, and only its result is forgotten: `kl_task_next` does not give it.
/// NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_task_free(task: *mut kl_task) {
    guard(ptr::null_mut(), || {
        if let Some(held) = handle::take(task.cast_const()) {
            held.task.forget();
        }
        Ok(())
    });
}

fn info(task: &Task, told: &Told) -> kl_task_info {
    let (age_ms, run_ms) = task.ages_ms();
    kl_task_info {
        user: ptr::with_exposed_provenance_mut(task.job.user),
        state: told.state as i32,
        result: told.result,
        status: told.why,
        cancelled: task.cancelled().into(),
        age_ms,
        run_ms,
    }
}

/// A thread of a pool.
struct Worker {
    pool: Arc<TaskPool>,
    /// What it runs, and the handle of the job's view.
    runs: Option<(Arc<Task>, *mut kl_client)>,
}

/// What a worker calls. Plain words: nothing of it is to be dropped where `pthread_exit` may tear through.
#[derive(Clone, Copy)]
struct Call {
    function: unsafe extern "C-unwind" fn(*mut kl_client, *mut c_void) -> i32,
    client: *mut kl_client,
    user: *mut c_void,
}

fn spawn(pool: Arc<TaskPool>, stack: usize) -> io::Result<()> {
    let worker = Box::into_raw(Box::new(Worker { pool, runs: None }));
    let _blocked = sys::SignalsBlocked::begin();
    sys::bare_thread(stack, work, worker.cast()).inspect_err(|_| {
        // SAFETY: made above, and no thread has it.
        drop(unsafe { Box::from_raw(worker) });
    })
}

/// The body of a thread. Whatever ends it, [`gone`] is called after it.
extern "C-unwind" fn work(worker: *mut c_void) -> *mut c_void {
    if begin(worker) {
        while let Some(call) = next(worker.cast()) {
            // SAFETY: a function of the caller's, of the type that `kl_task_start` asked for, but for what may leave it, which
            // is the same code; `user` is what came with it. Nothing in this frame is to be dropped.
            let result = unsafe { (call.function)(call.client, call.user) };
            ended(worker.cast(), TaskState::Returned, result);
        }
    }
    ptr::null_mut()
}

#[inline(never)]
fn begin(worker: *mut c_void) -> bool {
    sys::never_cancelled();
    sys::ordinary_thread(c"kl-job");
    let kept = sys::at_thread_end(gone, worker);
    if !kept {
        // SAFETY: this is the thread's only end then, and nothing uses it afterwards.
        unsafe { gone(worker) };
    }
    kept
}

/// The next job, with a view of its own; `None` at the end, also after a bug.
#[inline(never)]
fn next(worker: *mut Worker) -> Option<Call> {
    let mut call = None;
    let _ = caught(&mut || {
        // SAFETY: made by `spawn` for this thread alone, which frees it when it ends.
        let worker = unsafe { &mut *worker };
        while let Some(task) = worker.pool.take() {
            match view(&task) {
                Ok(client) => {
                    let function: *const c_void = ptr::with_exposed_provenance(task.job.function);
                    call = Some(Call {
                        // SAFETY: the word was made of a `kl_task_fn` that was not NULL. "C-unwind" is the same code.
                        function: unsafe {
                            std::mem::transmute::<
                                *const c_void,
                                unsafe extern "C-unwind" fn(*mut kl_client, *mut c_void) -> i32,
                            >(function)
                        },
                        client,
                        user: ptr::with_exposed_provenance_mut(task.job.user),
                    });
                    worker.runs = Some((task, client));
                    return;
                }
                Err(error) => worker.pool.end(&task, TaskState::NotStarted, 0, error.status()),
            }
        }
    });
    call
}

/// The handle of a job's view.
fn view(task: &Task) -> Result<*mut kl_client> {
    let client: Client = task.client().ok_or_else(|| Error::new(KL_E_CANCELLED, "the job was ended"))?;
    Ok(handle::reserve::<kl_client>()?.fill(client).cast())
}

/// What a worker ran has ended, if it ran something.
#[inline(never)]
fn ended(worker: *mut Worker, how: TaskState, result: i32) {
    let _ = caught(&mut || {
        // SAFETY: as in `next`.
        let worker = unsafe { &mut *worker };
        if let Some((task, client)) = worker.runs.take() {
            if let Some(client) = handle::take(client.cast_const()) {
                client.close();
            }
            worker.pool.end(&task, how, result, KL_OK);
        }
    });
}

/// The end of a thread, whichever: what it was in the middle of is abandoned.
unsafe extern "C" fn gone(worker: *mut c_void) {
    let worker: *mut Worker = worker.cast();
    ended(worker, TaskState::Abandoned, 0);
    let _ = caught(&mut || {
        // SAFETY: made by `spawn`, and this is called once, by the last that the thread does.
        let worker = unsafe { Box::from_raw(worker) };
        worker.pool.thread_gone();
    });
}

fn release(job: Job) {
    if job.release != 0 {
        let function: *const c_void = ptr::with_exposed_provenance(job.release);
        // SAFETY: the word was made of a function of the caller's, of this type, which takes what came with it once.
        unsafe {
            let function = std::mem::transmute::<*const c_void, unsafe extern "C" fn(*mut c_void)>(function);
            function(ptr::with_exposed_provenance_mut(job.user));
        }
    }
}
