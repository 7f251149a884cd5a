use super::*;
use crate::config::Config;
use crate::sys::Ready;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

const LONG_ENOUGH: Duration = Duration::from_secs(60);

type Body = Box<dyn FnOnce(&Client) -> i32 + Send>;

/// What the jobs do, by their first word; how often each was released, by its second.
static BODIES: Mutex<Option<HashMap<usize, Body>>> = Mutex::new(None);
static RELEASED: Mutex<Vec<usize>> = Mutex::new(Vec::new());

static HOOKS: Hooks = Hooks { spawn: spawned, release: |job| lock(&RELEASED).push(job.user) };

/// A body that gives this leaves its thread.
const LEAVES: i32 = -1;

fn spawned(pool: Arc<TaskPool>, stack: usize) -> io::Result<()> {
    let work = move || {
        while let Some(task) = pool.take() {
            let body = lock(&BODIES).as_mut().unwrap().remove(&task.job.function).unwrap();
            let client = task.client().unwrap();
            let result = body(&client);
            drop(client);
            let how = if result == LEAVES { TaskState::Abandoned } else { TaskState::Returned };
            pool.end(&task, how, result, KL_OK);
            if result == LEAVES {
                break;
            }
        }
        pool.thread_gone();
    };
    thread::Builder::new().stack_size(stack).spawn(work).map(drop)
}

fn client() -> Client {
    let mut config = Config::new("yopoint").unwrap();
    for (key, value) in [
        ("base_url", "http://127.0.0.1:9"),
        ("allow_http", "yes"),
        ("app_id", "a"),
        ("app_secret", "secret-of-a-test"),
        ("state_dir", "none"),
    ] {
        config.set(key, value).unwrap();
    }
    Client::new(&config).unwrap()
}

const ACTS: TaskOptions = TaskOptions { timeout_ms: 0, start_within_ms: 0, acts: true };
const READS: TaskOptions = TaskOptions { timeout_ms: 0, start_within_ms: 0, acts: false };

/// A number that no other job of this process has.
fn fresh() -> usize {
    static LAST: AtomicUsize = AtomicUsize::new(1 << 20);
    LAST.fetch_add(2, Ordering::Relaxed)
}

fn start(
    client: &Client,
    options: TaskOptions,
    body: impl FnOnce(&Client) -> i32 + Send + 'static,
) -> Result<Arc<Task>> {
    let number = fresh();
    lock(&BODIES).get_or_insert_default().insert(number, Box::new(body));
    let job = Job { function: number, user: number, release: 0 };
    let ticket = client.task(job, options, number, &HOOKS)?;
    let task = ticket.task().unwrap();
    ticket.wait();
    Ok(task)
}

/// A job that says when it has begun and waits for a word.
fn held(client: &Client, options: TaskOptions) -> (Arc<Task>, Receiver<Client>, Sender<i32>) {
    let ((begun, has_begun), (word, words)) = (channel(), channel());
    let body = move |client: &Client| {
        let _ = begun.send(client.clone());
        words.recv_timeout(LONG_ENOUGH).unwrap_or(0)
    };
    (start(client, options, body).unwrap(), has_begun, word)
}

fn readable(pool: &TaskPool, wait: Duration) -> bool {
    let fd = match &pool.state().event {
        Some((_, event)) => event.as_fd().try_clone_to_owned().unwrap(),
        None => return false,
    };
    sys::wait(fd.as_fd(), Ready::Read, wait).unwrap()
}

/// The next job that ended, waited for by the descriptor.
fn next(pool: &TaskPool) -> usize {
    assert!(readable(pool, LONG_ENOUGH));
    match pool.next() {
        Next::Ended(number) => number,
        other => panic!("readable, and {other:?}"),
    }
}

fn status<T>(result: Result<T>) -> kl_status {
    result.err().map_or(KL_OK, |e| e.status())
}

fn how(task: &Task) -> (TaskState, i32, kl_status) {
    let told = task.told();
    (told.state, told.result, told.why)
}

fn released(task: &Task) -> usize {
    lock(&RELEASED).iter().filter(|user| **user == task.job.user).count()
}

#[test]
fn the_descriptor_is_readable_exactly_while_something_is_there() {
    let client = client();
    let pool = client.tasks(&HOOKS).unwrap();
    assert!(pool.fd().unwrap() > 2 && pool.state().threads == 0, "no thread before the first job");
    assert_eq!((pool.next(), readable(&pool, Duration::ZERO)), (Next::NoneComes, false));
    let (one, begun, go) = held(&client, READS);
    begun.recv().unwrap();
    assert_eq!((pool.next(), readable(&pool, Duration::ZERO)), (Next::NoneNow, false));
    let two = start(&client, READS, |_| 2).unwrap();
    assert_eq!(next(&pool), two.number);
    assert_eq!((pool.next(), readable(&pool, Duration::ZERO)), (Next::NoneNow, false));
    let three = start(&client, READS, |_| 3).unwrap();
    go.send(1).unwrap();
    let mut both = [next(&pool), next(&pool)];
    both.sort_unstable();
    assert_eq!(both, [one.number, three.number]);
    assert_eq!((pool.next(), readable(&pool, Duration::ZERO)), (Next::NoneComes, false));
    assert_eq!([how(&one), how(&two), how(&three)], [1, 2, 3].map(|n| (TaskState::Returned, n, KL_OK)));
    assert_eq!(pool.fd(), client.view(0).unwrap().tasks(&HOOKS).unwrap().fd(), "one for the client");
}

// LOOP 7.1: a wakeup that is lost, or one that is for nothing.
#[test]
fn each_of_many_is_given_once_while_others_end() {
    let client = client();
    let pool = client.tasks(&HOOKS).unwrap();
    let (count, mut given) = (20_000, Vec::new());
    thread::scope(|s| {
        s.spawn(|| {
            for n in 0..count {
                while let Err(error) = start(&client, if n % 3 == 0 { ACTS } else { READS }, |_| 0) {
                    assert_eq!(error.status(), KL_E_BUSY);
                    thread::yield_now();
                }
            }
        });
        while given.len() < count {
            given.push(next(&pool));
        }
    });
    assert_eq!((pool.next(), readable(&pool, Duration::ZERO)), (Next::NoneComes, false));
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), count);
}

// LOOP 7.4: a door behind pages of stock that hang.
#[test]
fn what_acts_waits_for_nothing_that_does_not() {
    let client = client();
    let pool = client.tasks(&HOOKS).unwrap();
    let pages: Vec<_> = (0..MOST).map(|_| held(&client, READS)).collect();
    assert_eq!(status(start(&client, READS, |_| 0)), KL_E_BUSY);
    let door = start(&client, ACTS, |_| 7).unwrap();
    assert_eq!(next(&pool), door.number);
    assert_eq!(how(&door).1, 7);
    let begun = pages.iter().filter(|(page, ..)| how(page).0 == TaskState::Running).count();
    assert!(begun <= 2, "{begun} of three threads");
    // What was taken makes room, and so does what was freed.
    for (page, _, go) in &pages {
        go.send(0).unwrap();
        if how(page).0 == TaskState::Waiting {
            page.forget();
        }
    }
    let mut taken = 0;
    while pool.next() != Next::NoneComes {
        taken += 1;
        assert!(taken < 1_000_000);
        thread::yield_now();
    }
    assert!(start(&client, READS, |_| 0).is_ok());
}

#[test]
fn what_is_cancelled_before_it_begins_is_not_begun() {
    let client = client();
    let pool = client.tasks(&HOOKS).unwrap();
    let busy = [held(&client, READS), held(&client, READS)];
    busy.iter().for_each(|(_, begun, _)| drop(begun.recv().unwrap()));
    let waits = start(&client, READS, |_| panic!("it was called")).unwrap();
    Flag::raise(waits.number);
    // No thread is free, and none is needed to end it.
    assert_eq!(next(&pool), waits.number);
    assert_eq!((how(&waits), waits.cancelled()), ((TaskState::NotStarted, 0, KL_E_CANCELLED), true));
    busy.iter().for_each(|(_, _, go)| go.send(0).unwrap());
}

#[test]
fn a_cancel_ends_the_calls_of_one_job_for_good_and_replaces_no_result() {
    let client = client();
    let pool = client.tasks(&HOOKS).unwrap();
    let (one, begun, go) = held(&client, ACTS);
    let other = held(&client, READS);
    let (view, of_other) = (begun.recv().unwrap(), other.1.recv().unwrap());
    let token = view.1.token().unwrap();
    Flag::raise(one.number);
    assert!(token.is_cancelled(), "at once, before anybody is woken");
    assert!(token.pause(LONG_ENOUGH).is_err());
    let refused = |client: &Client| client.enter().err().map(|e| e.status());
    assert_eq!(refused(&view), Some(KL_E_CANCELLED));
    assert_eq!(refused(&view.view(0).unwrap()), Some(KL_E_CANCELLED));
    assert_eq!([refused(&of_other), refused(&client)], [None, None]);
    // What it began itself is refused too.
    assert_eq!(status(start(&view, READS, |_| 0)), KL_E_CANCELLED);
    go.send(5).unwrap();
    assert_eq!(next(&pool), one.number);
    assert_eq!((how(&one), one.cancelled()), ((TaskState::Returned, 5, KL_OK), true));
    other.2.send(6).unwrap();
    assert_eq!(next(&pool), other.0.number);
    Flag::raise(other.0.number);
    assert_eq!(how(&other.0), (TaskState::Returned, 6, KL_OK));
    assert_eq!(pool.next(), Next::NoneComes);
}

#[test]
fn a_wait_ends_with_the_cancel_of_its_job() {
    let client = client();
    let pool = client.tasks(&HOOKS).unwrap();
    let (begun, has_begun) = channel();
    let waits = move |client: &Client| {
        let token = client.1.token().unwrap();
        begun.send(()).unwrap();
        token.pause(LONG_ENOUGH).unwrap_err().status()
    };
    let task = start(&client, READS, waits).unwrap();
    has_begun.recv().unwrap();
    Flag::raise(task.number);
    assert_eq!((next(&pool), how(&task).1), (task.number, KL_E_CANCELLED));
}

#[test]
fn what_is_not_begun_in_its_time_is_not_begun() {
    let client = client();
    let pool = client.tasks(&HOOKS).unwrap();
    let busy = [held(&client, READS), held(&client, READS)];
    busy.iter().for_each(|(_, begun, _)| drop(begun.recv().unwrap()));
    let hurried = TaskOptions { start_within_ms: 1, ..READS };
    let late = start(&client, hurried, |_| panic!("it was called")).unwrap();
    assert_eq!(next(&pool), late.number);
    assert_eq!((how(&late), late.ages_ms().1), ((TaskState::NotStarted, 0, KL_E_STALE), 0));
    busy.iter().for_each(|(_, _, go)| go.send(0).unwrap());
    let patient = TaskOptions { start_within_ms: u32::MAX, ..READS };
    let in_time = start(&client, patient, |_| 8).unwrap();
    while how(&in_time).0 != TaskState::Returned {
        next(&pool);
    }
    assert_eq!(how(&in_time).1, 8);
}

#[test]
fn a_freed_job_is_not_returned_and_is_released_once() {
    let client = client();
    let pool = client.tasks(&HOOKS).unwrap();
    // While it runs.
    let (running, begun, go) = held(&client, READS);
    begun.recv().unwrap();
    running.forget();
    assert_eq!(released(&running), 0, "it is still used");
    // While it waits: it runs all the same.
    let (other, begun, go_other) = held(&client, READS);
    begun.recv().unwrap();
    let waiting = start(&client, READS, |_| 3).unwrap();
    waiting.forget();
    go.send(0).unwrap();
    while pool.next() != Next::NoneNow || pool.state().places != [0, 1] {
        thread::yield_now();
    }
    assert_eq!([&running, &waiting].map(|t| (how(t).0, released(t))), [(TaskState::Returned, 1); 2]);
    // When it has ended, before it was taken and after.
    go_other.send(0).unwrap();
    assert!(readable(&pool, LONG_ENOUGH));
    other.forget();
    assert_eq!((pool.next(), readable(&pool, Duration::ZERO), released(&other)), (Next::NoneComes, false, 1));
    let taken = start(&client, READS, |_| 4).unwrap();
    assert_eq!((next(&pool), released(&taken)), (taken.number, 0));
    taken.forget();
    assert_eq!(released(&taken), 1);
}

#[test]
fn a_freed_client_ends_its_jobs_and_the_jobs_outlive_it() {
    let client = client();
    let pool = client.tasks(&HOOKS).unwrap();
    let (cancelled, was_cancelled) = channel();
    let (begun, has_begun) = channel();
    let running = start(&client, ACTS, move |client| {
        let token = client.1.token().unwrap();
        begun.send(()).unwrap();
        let _ = cancelled.send(token.pause(LONG_ENOUGH).is_err());
        9
    });
    has_begun.recv().unwrap();
    let busy = [held(&client, READS), held(&client, READS)];
    busy.iter().for_each(|(_, begun, go)| {
        begun.recv().unwrap();
        go.send(0).unwrap();
    });
    let waiting: Vec<_> = (0..8).map(|_| start(&client, READS, |_| 0).unwrap()).collect();
    client.close();
    assert_eq!(was_cancelled.recv(), Ok(true));
    let state = pool.state();
    assert_eq!((state.threads, state.watched, state.running.len()), (0, false, 0), "nobody is left");
    drop(state);
    assert_eq!((how(&running.unwrap()), pool.fd()), ((TaskState::Returned, 9, KL_OK), None));
    for task in waiting {
        assert!(
            [(TaskState::Returned, 0, KL_OK), (TaskState::NotStarted, 0, KL_E_CANCELLED)]
                .contains(&how(&task))
        );
        task.forget();
        assert_eq!(released(&task), 1);
    }
    assert_eq!(status(start(&client, READS, |_| 0)), KL_E_HANDLE);
}

// LOOP 7.6: nobody waits for itself.
#[test]
fn a_job_frees_its_client_and_goes_on() {
    let client = client();
    let of_job = client.clone();
    let (done, is_done) = channel();
    let task = start(&client, READS, move |view| {
        of_job.close();
        done.send(view.check().map_err(|e| e.status())).unwrap();
        4
    })
    .unwrap();
    assert_eq!(is_done.recv_timeout(LONG_ENOUGH).unwrap(), Err(KL_E_HANDLE));
    let pool = client.tasks(&HOOKS).unwrap();
    pool.close(LONG_ENOUGH);
    assert_eq!((how(&task), pool.state().threads), ((TaskState::Returned, 4, KL_OK), 0));
}

#[test]
fn a_freed_view_ends_the_jobs_that_were_made_with_it() {
    let client = client();
    let pool = client.tasks(&HOOKS).unwrap();
    let view = client.view(0).unwrap();
    let busy = [held(&client, READS), held(&client, READS)];
    busy.iter().for_each(|(_, begun, _)| drop(begun.recv().unwrap()));
    let (of_view, of_client) =
        (start(&view, READS, |_| panic!("it was called")).unwrap(), start(&client, READS, |_| 1).unwrap());
    view.close();
    assert_eq!(next(&pool), of_view.number);
    assert_eq!(how(&of_view), (TaskState::NotStarted, 0, KL_E_CANCELLED));
    busy.iter().for_each(|(_, _, go)| go.send(0).unwrap());
    while how(&of_client).0 != TaskState::Returned {
        next(&pool);
    }
}

// LOOP 7.8: a slot that is lost.
#[test]
fn a_job_that_leaves_its_thread_has_ended_and_another_thread_comes() {
    let client = client();
    let pool = client.tasks(&HOOKS).unwrap();
    for _ in 0..10 {
        let left: Vec<_> = (0..5).map(|_| start(&client, READS, |_| LEAVES).unwrap()).collect();
        for _ in &left {
            next(&pool);
        }
        assert!(left.iter().all(|task| how(task).0 == TaskState::Abandoned));
    }
    let after = start(&client, READS, |_| 1).unwrap();
    assert_eq!(next(&pool), after.number);
}

#[test]
fn without_a_thread_a_job_is_refused_and_leaves_nothing() {
    static NONE: Hooks = Hooks { spawn: |_, _| Err(io::Error::other("no thread")), release: |_| {} };
    let client = client();
    for _ in 0..2 * MOST {
        let number = fresh();
        let job = Job { function: number, user: number, release: 0 };
        assert_eq!(status(client.task(job, READS, number, &NONE)), KL_E_RESOURCE);
    }
    let pool = client.tasks(&NONE).unwrap();
    let state = pool.state();
    assert_eq!((state.places, state.admitted, state.threads), ([0, 0], 0, 0));
}

#[test]
fn each_job_has_a_thread_while_there_may_be_more() {
    for _ in 0..200 {
        let client = client();
        let pool = client.tasks(&HOOKS).unwrap();
        let held: Vec<_> = thread::scope(|s| {
            let started: Vec<_> = [ACTS, READS, READS]
                .map(|how| {
                    s.spawn({
                        let client = &client;
                        move || held(client, how)
                    })
                })
                .into();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        // All three at a time, whoever came first.
        held.iter().for_each(|(_, begun, _)| drop(begun.recv_timeout(LONG_ENOUGH).unwrap()));
        held.iter().for_each(|(_, _, go)| go.send(0).unwrap());
        for _ in 0..3 {
            next(&pool);
        }
        assert_eq!(pool.state().threads, 3);
    }
}

#[test]
fn a_client_that_is_forgotten_takes_its_threads_along() {
    let client = client();
    let pool = client.tasks(&HOOKS).unwrap();
    start(&client, READS, |_| 1).unwrap();
    next(&pool);
    drop(client);
    let state = pool.state();
    let busy = |state: &mut Queue| state.threads > 0 || state.watched;
    let (state, _) = pool.gone.wait_timeout_while(state, LONG_ENOUGH, busy).unwrap();
    assert!(state.closed && state.threads == 0 && !state.watched);
}
