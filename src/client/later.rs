//! Sends later what could not be sent: payment reports, refunds and appeals of which no byte left in their own call. A thread does
//! it that lives as long as something waits.

use super::call::{Call, jitter};
use super::view::View;
use super::work::Work;
use super::{Client, Inner};
use crate::cancel::{CancelSource, CancelToken};
use crate::command::book::Retry;
use crate::log::log_line;
use crate::platform::Op;
use crate::process;
use crate::sys;
use crate::time::Deadline;
use crate::time::clock::monotonic_ms;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// The bound of the first pause before a try; it doubles.
const FIRST_MS: u64 = 8_000;
/// The longest.
const LONGEST_MS: u64 = 240_000;
/// A call over TLS with the journal needs a quarter of it.
const STACK: usize = 256 * 1024;
/// How long the end of a client waits for the answer to what has left.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a client has to send later.
pub(super) struct Later(Arc<Shared>, Duration);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    news: Condvar,
    /// There is a thread.
    runs: AtomicBool,
    cancels: CancelSource,
}

#[derive(Default)]
struct State {
    runs: bool,
    /// Something was kept since the thread looked.
    more: bool,
    /// A call got through to the platform.
    through: bool,
    stopped: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next try: at most so long, and no longer than a part of it once another call got through. False: there is
    /// none.
    fn pause(&self, least: Duration, most: Duration) -> bool {
        let begun = Instant::now();
        let mut state = self.state();
        state.through = false;
        loop {
            let until = if state.through { least } else { most };
            let left = until.saturating_sub(begun.elapsed());
            if state.stopped || left.is_zero() {
                return !state.stopped;
            }
            state = self.news.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The thread ends, unless something was kept meanwhile.
    fn ends(&self) -> bool {
        let mut state = self.state();
        if std::mem::take(&mut state.more) && !state.stopped {
            return false;
        }
        state.runs = false;
        self.runs.store(false, Ordering::Relaxed);
        self.news.notify_all();
        true
    }
}

impl Later {
    pub(super) fn new(timeout: Duration) -> Later {
        Later(Arc::default(), timeout)
    }

    /// A call got through: what waits is tried soon.
    pub(super) fn through(&self) {
        if self.0.runs.load(Ordering::Relaxed) {
            self.0.state().through = true;
            self.0.news.notify_all();
        }
    }

    fn stop(&self) {
        self.0.state().stopped = true;
        self.0.news.notify_all();
    }
}

impl Drop for Later {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Client {
    /// Looks whether an earlier client left something that is kept; a thread then sends it. For a program that goes on: one that ends
    /// in a moment would only begin.
    pub fn pick_up(&self) {
        if self.0.commands.keeps_any() {
            self.send_later();
        }
    }

    /// Has a thread send what is kept. It lives as long as something waits.
    pub(super) fn send_later(&self) {
        let shared = self.0.later.0.clone();
        let mut state = shared.state();
        state.more = true;
        if state.runs || state.stopped {
            return;
        }
        let (inner, own) = (Arc::downgrade(&self.0), shared.clone());
        let _blocked = sys::SignalsBlocked::begin();
        let made = sys::thread(c"kl-later", STACK, Box::new(move || run(&inner, &own)));
        match made {
            Ok(()) => {
                state.runs = true;
                shared.runs.store(true, Ordering::Relaxed);
            }
            Err(e) => log_line!(Warn, "no thread can be had to send later what is kept: {e}"),
        }
    }

    /// Begins no more tries. What has left is waited for; what has not is kept on.
    pub(super) fn end_later(&self) {
        let shared = &self.0.later.0;
        self.0.later.stop();
        self.0.commands.unless_leaving(|| shared.cancels.cancel());
        let runs = |state: &mut State| state.runs;
        drop(shared.news.wait_timeout_while(shared.state(), PATIENCE, runs));
    }

    /// One try for each that is kept. If something still waits, how long the platform asks to wait, in milliseconds.
    fn send_kept(&self, token: &CancelToken) -> Option<u32> {
        let call = || Call {
            client: self,
            deadline: Deadline::after(self.1.timeout()),
            token: token.clone(),
            expires: None,
            entered_ms: None,
        };
        let commands = &self.0.commands;
        let mut asked = 0;
        let Ok(ids) = commands.kept(call().wait()) else { return Some(asked) };
        for id in &ids {
            if !self.0.later.0.state().stopped {
                asked = self.send_one(call(), id).max(asked);
            }
        }
        let waits = commands.kept(call().wait()).map_or(true, |ids| !ids.is_empty());
        waits.then_some(asked)
    }

    /// Gives how long the platform asks to wait.
    fn send_one(&self, mut call: Call<'_>, id: &str) -> u32 {
        let next = |call: &Call<'_>| self.0.commands.later(id, call.platform_time(), call.wait());
        let mut found = next(&call);
        if matches!(found, Ok(Retry::AskTime)) && call.read(&Op::Ping).is_ok() {
            found = next(&call);
        }
        let (claim, act, rest, left_ms) = match found {
            Ok(Retry::Claimed(claimed)) => *claimed,
            Ok(_) => return 0,
            Err(e) => {
                log_line!(Warn, "{id} waits on: {}", e.message());
                return 0;
            }
        };
        let Some(work) = Work::kept(id, act, rest) else { return 0 };
        call.expires = Some(monotonic_ms() + left_ms.min(self.0.command_ttl_ms.into()));
        match self.carry_out(&call, work, claim) {
            Ok(_) => {
                log_line!(Info, "{id} was sent later");
                0
            }
            Err(e) => {
                log_line!(Warn, "{id} was kept: {}", e.message());
                e.details().retry_after_ms
            }
        }
    }
}

fn run(inner: &Weak<Inner>, shared: &Shared) {
    sys::ordinary_thread(c"kl-later");
    let (mut bound, mut asked) = (FIRST_MS, 0);
    loop {
        let least = Duration::from_millis((bound / 8).max(asked));
        let goes_on = shared.pause(least, least + Duration::from_millis(jitter(bound)));
        let Some(inner) = inner.upgrade().filter(|_| goes_on) else { break };
        shared.state().more = false;
        let view = View::root(inner.later.1);
        let client = Client(inner, Arc::new(view));
        let mut waits = None;
        process::contained(|| waits = Some(client.send_kept(&shared.cancels.token())));
        match waits {
            Some(Some(ms)) => (bound, asked) = ((bound * 2).min(LONGEST_MS), ms.into()),
            Some(None) if shared.ends() => return,
            Some(None) => (bound, asked) = (FIRST_MS, 0),
            None => {
                client.retire();
                break;
            }
        }
    }
    shared.state().more = false;
    shared.ends();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::SettledBy;
    use crate::config::Config;
    use crate::error::{Advice, Outcome};
    use crate::model::Complaint;
    use crate::status::*;
    use std::path::{Path, PathBuf};

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let path = std::env::temp_dir().join(format!("kiosklink-later-{}-{name}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(&path).unwrap();
            Place(path)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// A client whose platform is not there.
    fn client(state_dir: &Path) -> Client {
        let mut config = Config::new("yopoint").unwrap();
        for (key, value) in [
            ("base_url", "http://127.0.0.1:9"),
            ("allow_http", "yes"),
            ("app_id", "a"),
            ("app_secret", "secret-of-a-test"),
            ("state_dir", state_dir.to_str().unwrap()),
            ("state_dir_shared", "yes"),
        ] {
            config.set(key, value).unwrap();
        }
        Client::new(&config).unwrap()
    }

    fn refund(id: &str) -> Complaint {
        Complaint {
            order_no: format!("VI-{id}"),
            request_id: id.into(),
            send_within_ms: 600_000,
            ..Complaint::default()
        }
    }

    fn runs(client: &Client) -> bool {
        client.0.later.0.state().runs
    }

    #[test]
    fn only_what_a_journal_remembers_is_kept() {
        let client = client(Path::new("none"));
        let e = client.refund_apply(&refund("a")).unwrap_err();
        assert_eq!((e.status(), e.details().outcome), (KL_E_CONFIG_MISSING, Outcome::NotDone));
        let e = client.refund_apply(&Complaint { send_within_ms: 0, ..refund("b") }).unwrap_err();
        assert_eq!((e.status(), e.details().outcome), (KL_E_CONNECT, Outcome::NotDone));
        assert!(!runs(&client));
    }

    #[test]
    fn its_thread_lives_from_the_call_to_the_end_of_the_client_and_the_next_one_goes_on() {
        let place = Place::new("thread");
        let first = client(&place.0);
        first.pick_up();
        assert!(!runs(&first), "nothing waits");
        let e = first.refund_apply(&refund("a")).unwrap_err();
        assert_eq!(
            (e.status(), e.details().outcome, e.details().advice),
            (KL_E_KEPT, Outcome::Unknown, Advice::None)
        );
        assert!(runs(&first));
        // A cancel of the caller's, before the end of the client, is not for it.
        first.cancel();
        assert!(runs(&first));
        first.close();
        assert!(!runs(&first), "it ended, and was waited for");
        let second = client(&place.0);
        assert!(!runs(&second));
        second.pick_up();
        assert!(runs(&second));
        let known = second.command_get("a").unwrap();
        assert_eq!((known.status, known.outcome), (KL_E_KEPT, Outcome::Unknown));
        assert!(known.kept_for_ms > 0 && known.sent_at == 0 && known.mature_in_ms == 0);
        // Nobody has it in hand: its time is all that has passed.
        while let Err(e) = second.command_settle("a", Outcome::NotDone, SettledBy::Person, "") {
            assert_eq!(e.status(), KL_E_IN_FLIGHT, "a try is under way");
        }
        second.close();
    }

    #[test]
    fn a_try_that_the_end_of_the_client_stops_leaves_it_waiting() {
        let place = Place::new("stopped");
        let client = client(&place.0);
        // No thread: the try is this test's own.
        client.0.later.stop();
        assert_eq!(client.refund_apply(&refund("a")).unwrap_err().status(), KL_E_KEPT);
        let call = |token| Call {
            client: &client,
            deadline: Deadline::after(Duration::from_secs(5)),
            token,
            expires: None,
            entered_ms: None,
        };
        let claim = match client.0.commands.later("a", None, call(CancelToken::never()).wait()) {
            Ok(Retry::Claimed(claimed)) => claimed,
            _ => panic!("it waits"),
        };
        let (claim, act, rest, _) = *claim;
        let source = CancelSource::new();
        let call = call(source.token());
        source.cancel();
        let e = client.carry_out(&call, Work::kept("a", act, rest).unwrap(), claim).unwrap_err();
        assert_eq!((e.status(), e.details().outcome), (KL_E_KEPT, Outcome::Unknown));
        assert_eq!(client.command_get("a").unwrap().status, KL_E_KEPT);
        client.close();
    }
}
