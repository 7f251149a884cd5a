//! The connections at rest, without a thread and with one descriptor each, and the threads for those that are not.
//!
//! One thread waits for all sockets at once. When something comes, a thread of the pool goes on with that connection; there
//! are as many as connections are busy, also with staying mute.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};

use crate::connection::{self, Guest, Rest};
use crate::server::Shared;

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);
/// So long a thread without work waits for some.
const PATIENCE: Duration = Duration::from_secs(5);
/// When no descriptor is left for a new connection, it is tried again after this.
const BREATH: Duration = Duration::from_millis(50);

/// Connections at rest, and threads.
pub struct Crowd {
    registry: Registry,
    waker: Waker,
    resting: Mutex<Resting>,
    work: Mutex<Work>,
    comes: Condvar,
    workers: AtomicUsize,
}

#[derive(Default)]
struct Resting {
    guests: HashMap<u64, (Box<dyn Guest>, Instant)>,
    /// When each has rested for as long as it may.
    ends: BTreeSet<(Instant, u64)>,
    over: bool,
}

#[derive(Default)]
struct Work {
    /// Connections with something to read, or (true) that have rested for as long as they may.
    ready: VecDeque<(Box<dyn Guest>, bool)>,
    /// Threads that wait for one.
    waiting: usize,
    over: bool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Crowd {
    /// An empty one, and what waits for its sockets.
    pub fn new() -> io::Result<(Self, Poll)> {
        let poll = Poll::new()?;
        let crowd = Self {
            registry: poll.registry().try_clone()?,
            waker: Waker::new(poll.registry(), WAKER)?,
            resting: Mutex::default(),
            work: Mutex::default(),
            comes: Condvar::new(),
            workers: AtomicUsize::new(0),
        };
        Ok((crowd, poll))
    }

    /// How many threads are with connections.
    pub fn workers(&self) -> usize {
        self.workers.load(Ordering::Relaxed)
    }

    /// Ends the waiting; whoever is with a connection ends with it.
    pub fn stop(&self) {
        let mut work = locked(&self.work);
        work.over = true;
        work.ready.clear();
        drop(work);
        self.comes.notify_all();
        let mut resting = locked(&self.resting);
        resting.over = true;
        // They hold what all threads share, and are held by it.
        resting.guests.clear();
        drop(resting);
        self.wake();
    }

    /// Has the waiting thread look again. An eventfd, whose write fails only when it is full: then it is awake.
    fn wake(&self) {
        let _ = self.waker.wake();
    }

    /// Lets a connection rest until something comes; false if it cannot.
    fn rest(&self, (guest, limit): Rest) -> bool {
        let (number, end) = (guest.number(), Instant::now() + limit);
        let fd = guest.wire().as_raw_fd();
        let mut resting = locked(&self.resting);
        if resting.over {
            return false;
        }
        let first = resting.ends.first().is_none_or(|(first, _)| end < *first);
        resting.guests.insert(number, (guest, end));
        resting.ends.insert((end, number));
        // What has come already is told of at once.
        let there = self.registry.register(&mut SourceFd(&fd), Token(number as usize), Interest::READABLE);
        if there.is_err() {
            resting.take(number);
        }
        drop(resting);
        if first {
            self.wake();
        }
        there.is_ok()
    }

    /// Takes a connection that rests.
    fn rouse(&self, number: u64) -> Option<Box<dyn Guest>> {
        let guest = locked(&self.resting).take(number)?;
        // A socket that is not registered tells of nothing, which is what is wanted.
        let _ = self.registry.deregister(&mut SourceFd(&guest.wire().as_raw_fd()));
        Some(guest)
    }

    /// Gives a connection to a thread: one that waits, or a new one.
    fn submit(&self, shared: &Arc<Shared>, guest: Box<dyn Guest>, expired: bool) {
        let mut work = locked(&self.work);
        if work.over {
            return;
        }
        work.ready.push_back((guest, expired));
        if work.ready.len() <= work.waiting {
            return self.comes.notify_one();
        }
        let shared = shared.clone();
        self.workers.fetch_add(1, Ordering::Relaxed);
        let run = move || {
            while let Some((guest, expired)) = shared.crowd.next() {
                let number = guest.number();
                let rests = guest.go_on(expired).is_some_and(|rest| shared.crowd.rest(rest));
                if !rests {
                    shared.went(number);
                }
            }
            shared.crowd.workers.fetch_sub(1, Ordering::Relaxed);
        };
        // Without a new thread the next one that is done goes on with it.
        if std::thread::Builder::new().name("sim-worker".into()).spawn(run).is_err() {
            self.workers.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn next(&self) -> Option<(Box<dyn Guest>, bool)> {
        let end = Instant::now() + PATIENCE;
        let mut work = locked(&self.work);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match work.ready.pop_front() {
                found @ Some(_) => return found,
                None if work.over || left.is_zero() => return None,
                None => {}
            }
            work.waiting += 1;
            (work, _) = self.comes.wait_timeout(work, left).unwrap_or_else(PoisonError::into_inner);
            work.waiting -= 1;
        }
    }
}

impl Resting {
    fn take(&mut self, number: u64) -> Option<Box<dyn Guest>> {
        let (guest, end) = self.guests.remove(&number)?;
        self.ends.remove(&(end, number));
        Some(guest)
    }
}

/// Accepts connections and waits for those that rest, until the simulator stops.
pub fn attend(shared: &Arc<Shared>, listener: std::net::TcpListener, mut poll: Poll) -> io::Result<()> {
    let crowd = &shared.crowd;
    listener.set_nonblocking(true)?;
    let mut listener = TcpListener::from_std(listener);
    crowd.registry.register(&mut listener, LISTENER, Interest::READABLE)?;
    let (mut events, mut number, mut breath) = (Events::with_capacity(1024), 0, None);
    while !shared.is_stopping() {
        let now = Instant::now();
        let end = locked(&crowd.resting).ends.first().map(|(end, _)| end.saturating_duration_since(now));
        let wait = [end, breath].into_iter().flatten().min();
        match poll.poll(&mut events, wait) {
            Err(e) if e.kind() != ErrorKind::Interrupted => return Err(e),
            _ => {}
        }
        for event in events.iter().filter(|event| event.token() != WAKER && event.token() != LISTENER) {
            if let Some(guest) = crowd.rouse(event.token().0 as u64) {
                crowd.submit(shared, guest, false);
            }
        }
        if breath.is_some() || events.iter().any(|event| event.token() == LISTENER) {
            breath = accept(shared, &listener, &mut number);
        }
        loop {
            let first = locked(&crowd.resting).ends.first().copied();
            let Some((_, due)) = first.filter(|(end, _)| *end <= Instant::now()) else { break };
            if let Some(guest) = crowd.rouse(due) {
                crowd.submit(shared, guest, true);
            }
        }
    }
    Ok(())
}

/// Takes what has connected; when to look again, if not all of it could be taken.
fn accept(shared: &Arc<Shared>, listener: &TcpListener, number: &mut u64) -> Option<Duration> {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => std::net::TcpStream::from(stream),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return None,
            Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => continue,
            Err(_) => return Some(BREATH),
        };
        *number += 1;
        let blocking = stream.set_nonblocking(false);
        let rest = blocking.and_then(|()| connection::begin(shared, *number, stream));
        if !rest.is_ok_and(|rest| shared.crowd.rest(rest)) {
            shared.went(*number);
        }
    }
}
