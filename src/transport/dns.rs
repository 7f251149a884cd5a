//! Lookups that cannot hang a call, pile up threads, or be needed twice.
//!
//! `getaddrinfo` can neither be given a deadline nor be ended, so it runs on a thread of its own; there is at most
//! one per client, and whoever needs the same name meanwhile waits for that one. What it found stays good for a
//! while, and after that is still better than nothing when the next lookup fails.

use super::conn::{Bound, Fault};
use super::{AddressFamily, Deadline, lock};
use crate::cancel::Wake;
use crate::log::log_line;
use crate::sys;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Turns a name into addresses. May block for as long as it likes.
pub trait Lookup: Send + Sync {
    /// The addresses of a host, the preferred one first.
    fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver, through `getaddrinfo`.
#[derive(Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = (host, 0u16).to_socket_addrs().map_err(|error| {
            // Without a descriptor left the resolver knows no name; it does not say why.
            let none_left = |e: &io::Error| matches!(e.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
            Socket::new(Domain::IPV4, Type::DGRAM, None).err().filter(none_left).unwrap_or(error)
        })?;
        let mut all: Vec<IpAddr> = found.map(|a| a.ip()).collect();
        all.dedup();
        Ok(all)
    }
}

/// Hosts remembered per client: its platform, its proxy, and some room.
const MAX_HOSTS: usize = 4;
/// Addresses kept per host.
pub(super) const MAX_ADDRESSES: usize = 16;
/// How long a call with an old address at hand waits for a new one.
const PATIENCE: Duration = Duration::from_secs(3);
/// musl's default is smaller, glibc's is 8 MiB of address space; NSS modules want some room.
const STACK: usize = 256 * 1024;

pub(super) struct Dns {
    lookup: Arc<dyn Lookup>,
    family: AddressFamily,
    fresh_for: Duration,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    known: Vec<Known>,
    flight: Option<Arc<Flight>>,
}

struct Known {
    host: String,
    /// In the order in which they are to be tried.
    addresses: Vec<IpAddr>,
    /// The one that answered last; it outlives the lookups, so that a dead one before it costs its time once.
    winner: Option<IpAddr>,
    at: Instant,
    stale: bool,
}

/// One lookup under way; the outcome is written once, under the lock of the state.
struct Flight {
    host: String,
    outcome: Mutex<Option<Result<(), Arc<io::Error>>>>,
}

/// What a lookup came to.
pub(super) enum Found {
    /// Addresses, and whether the resolver was asked for them.
    Addresses { list: Vec<IpAddr>, asked: bool },
    /// The resolver's refusal.
    None(Arc<io::Error>),
}

impl Dns {
    pub(super) fn new(lookup: Arc<dyn Lookup>, family: AddressFamily, fresh_for: Duration) -> Dns {
        let shared = Shared { state: Mutex::default(), changed: Condvar::new() };
        Dns { lookup, family, fresh_for, shared: Arc::new(shared) }
    }

    /// The addresses of a host, bound by the deadline and by cancel.
    pub(super) fn resolve(&self, host: &str, bound: &Bound<'_>) -> Result<Found, Fault> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(Found::Addresses { list: vec![ip], asked: false });
        }
        let state = lock(&self.shared.state);
        if let Some(list) = self.fresh(&state, host) {
            return Ok(Found::Addresses { list, asked: false });
        }
        let old = state.known.iter().find(|k| k.host == host).map(|k| k.addresses.clone());
        // The state is a lock of this module, held while nothing is waited for; so a cancel may wake by it.
        drop(state);
        let registered = bound.token.register(self.shared.clone()).map_err(|_| Fault::Cancelled)?;
        let found = self.wait(host, old, bound);
        drop(registered);
        found
    }

    /// What is known of a host and new enough to be used without asking.
    fn fresh(&self, state: &State, host: &str) -> Option<Vec<IpAddr>> {
        let known = state.known.iter().find(|k| k.host == host)?;
        (!known.stale && known.at.elapsed() < self.fresh_for).then(|| known.addresses.clone())
    }

    /// Begins a lookup, or joins the one under way, and waits for what it finds.
    fn wait(&self, host: &str, old: Option<Vec<IpAddr>>, bound: &Bound<'_>) -> Result<Found, Fault> {
        let mut state = lock(&self.shared.state);
        let patience = old.as_ref().map(|_| Deadline::after(PATIENCE.min(bound.remaining() / 3)));
        let mut mine: Option<Arc<Flight>> = None;
        loop {
            if let Some(flight) = &mine {
                if let Some(outcome) = lock(&flight.outcome).clone() {
                    let known = state.known.iter().find(|k| k.host == host);
                    return match (outcome, known, old) {
                        (Ok(()), Some(k), _) => {
                            Ok(Found::Addresses { list: k.addresses.clone(), asked: true })
                        }
                        (Err(error), _, Some(list)) => {
                            log_line!(Warn, "lookup of {host} failed ({error}): using its last good address");
                            Ok(Found::Addresses { list, asked: true })
                        }
                        (Err(error), _, None) => Ok(Found::None(error)),
                        (Ok(()), None, _) => Ok(Found::None(Arc::new(no_address()))),
                    };
                }
            }
            let left = match bound.check() {
                Ok(left) => left,
                Err(Fault::Timeout) if old.is_some() => Duration::ZERO,
                Err(fault) => return Err(fault),
            };
            let left = patience.map_or(left, |p| p.remaining().min(left));
            if let (true, Some(list)) = (left.is_zero(), &old) {
                log_line!(Warn, "lookup of {host} takes too long: using its last good address");
                return Ok(Found::Addresses { list: list.clone(), asked: true });
            }
            if mine.is_none() {
                mine = match &state.flight {
                    Some(flight) if flight.host == host => Some(flight.clone()),
                    Some(_) => None,
                    None => {
                        // One that was under way may have ended since the first look.
                        if let Some(list) = self.fresh(&state, host) {
                            return Ok(Found::Addresses { list, asked: true });
                        }
                        match self.start(&mut state, host) {
                            Ok(flight) => Some(flight),
                            Err(error) => match old {
                                Some(list) => return Ok(Found::Addresses { list, asked: false }),
                                None => return Err(Fault::Resource(error)),
                            },
                        }
                    }
                };
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn start(&self, state: &mut State, host: &str) -> io::Result<Arc<Flight>> {
        let flight = Arc::new(Flight { host: host.to_owned(), outcome: Mutex::new(None) });
        let (lookup, family) = (self.lookup.clone(), self.family);
        // Settles the flight even if the lookup panics, so that nobody waits for a dead thread.
        struct Landing(Arc<Shared>, Arc<Flight>, Option<io::Result<Vec<IpAddr>>>);
        impl Drop for Landing {
            fn drop(&mut self) {
                crate::process::contained(|| self.settle());
            }
        }
        impl Landing {
            fn settle(&mut self) {
                let Landing(shared, flight, result) = self;
                let result = result.take().unwrap_or_else(|| Err(io::Error::other("the resolver panicked")));
                let mut state = lock(&shared.state);
                let outcome = result.map(|addresses| state.remember(&flight.host, addresses));
                *lock(&flight.outcome) = Some(outcome.map_err(Arc::new));
                state.flight = None;
                drop(state);
                shared.changed.notify_all();
            }
        }
        let (shared, own) = (self.shared.clone(), flight.clone());
        // The state is locked here, so a quick lookup cannot settle before `flight` is in its place below.
        let work = move || {
            let mut landing = Landing(shared, own, None);
            let found = lookup.lookup(&landing.1.host).and_then(|mut all| {
                all.retain(|ip| family.admits(ip));
                let mut all = interleaved(all, None);
                all.truncate(MAX_ADDRESSES);
                if all.is_empty() { Err(no_address()) } else { Ok(all) }
            });
            landing.2 = Some(found);
        };
        sys::thread(c"kiosklink-dns", STACK, Box::new(work))?;
        state.flight = Some(flight.clone());
        Ok(flight)
    }

    /// The next call asks the resolver again: no address of this host answered.
    pub(super) fn doubt(&self, host: &str) {
        if let Some(known) = lock(&self.shared.state).known.iter_mut().find(|k| k.host == host) {
            known.stale = true;
        }
    }

    /// The address that answered comes first the next time, and after the next lookups too.
    pub(super) fn prefer(&self, host: &str, good: IpAddr) {
        if let Some(known) = lock(&self.shared.state).known.iter_mut().find(|k| k.host == host) {
            known.winner = Some(good);
            if let Some(at) = known.addresses.iter().position(|ip| *ip == good) {
                known.addresses[..=at].rotate_right(1);
            }
        }
    }
}

impl Wake for Shared {
    /// The calls that wait for a lookup see that they were cancelled.
    fn wake(&self) {
        drop(lock(&self.state));
        self.changed.notify_all();
    }
}

impl State {
    fn remember(&mut self, host: &str, addresses: Vec<IpAddr>) {
        let winner = self.known.iter().find(|k| k.host == host).and_then(|k| k.winner);
        self.known.retain(|k| k.host != host);
        if self.known.len() >= MAX_HOSTS {
            self.known.remove(0);
        }
        let winner = winner.filter(|ip| addresses.contains(ip));
        let addresses = interleaved(addresses, winner);
        self.known.push(Known { host: host.to_owned(), addresses, winner, at: Instant::now(), stale: false });
    }
}

/// The order in which addresses are tried: the last winner first, then the families in turn, each in the resolver's
/// own order. So one family that leads nowhere costs one step and not a row of them.
fn interleaved(addresses: Vec<IpAddr>, winner: Option<IpAddr>) -> Vec<IpAddr> {
    let Some(first) = winner.or_else(|| addresses.first().copied()) else { return addresses };
    let rest = addresses.into_iter().filter(|ip| *ip != first);
    let (same, other): (Vec<IpAddr>, Vec<IpAddr>) = rest.partition(|ip| ip.is_ipv4() == first.is_ipv4());
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    let mut order = vec![first];
    loop {
        let two = [other.next(), same.next()];
        if two == [None, None] {
            return order;
        }
        order.extend(two.into_iter().flatten());
    }
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "it has no address of the wanted family")
}

#[cfg(test)]
mod tests {
    use super::*;

    // FAULTS F6
    #[test]
    fn families_take_turns_and_the_winner_comes_first() {
        let ips = |list: &[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
        let resolved = ips(&["::1", "::2", "::3", "10.0.0.1", "10.0.0.2"]);
        let order = interleaved(resolved.clone(), None);
        assert_eq!(order, ips(&["::1", "10.0.0.1", "::2", "10.0.0.2", "::3"]));
        let order = interleaved(resolved, Some("10.0.0.2".parse().unwrap()));
        assert_eq!(order, ips(&["10.0.0.2", "::1", "10.0.0.1", "::2", "::3"]));
        assert_eq!(interleaved(vec![], None), ips(&[]));
    }
}
