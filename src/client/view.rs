//! A view: the same client, with a timeout and a cancel of its own, and nothing else.

use super::Client;
use crate::cancel::{CancelSource, CancelToken, Flag};
use crate::error::{Error, Result};
use crate::status::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

const OPEN: u8 = 0;
/// Given up: nothing begins any more, what needs no waiting still answers.
const GIVEN_UP: u8 = 1;
/// Freed: it answers to nothing.
const CLOSED: u8 = 2;

/// The longest timeout that the settings take.
const TIMEOUT_MAX_MS: u32 = 3_600_000;

/// What the calls through one handle do not share with those through another. That of the client itself is the root of
/// those of its views.
pub(super) struct View {
    timeout: Duration,
    cancels: CancelSource,
    state: AtomicU8,
    parent: Option<Arc<View>>,
}

impl View {
    pub fn root(timeout: Duration) -> View {
        View { timeout, cancels: CancelSource::new(), state: AtomicU8::new(OPEN), parent: None }
    }

    /// The most that a call may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What a call heeds from its entry on. Taken first and asked afterwards: who gives up or frees does it the other way
    /// round, so that no call is missed.
    pub fn token(&self) -> Result<CancelToken> {
        let token = self.cancels.token();
        match self.state() {
            GIVEN_UP => Err(Error::new(KL_E_CANCELLED, "what this call belongs to was cancelled")),
            _ => self.check().map(|()| token),
        }
    }

    /// Refuses what was freed, itself or what it was made from.
    pub fn check(&self) -> Result<()> {
        if self.state() == CLOSED {
            return Err(Error::new(KL_E_HANDLE, "the client was freed"));
        }
        Ok(())
    }

    /// The worst of its own and of those that it was made from.
    fn state(&self) -> u8 {
        let (mut worst, mut at) = (OPEN, Some(self));
        while let Some(view) = at {
            worst = worst.max(view.state.load(Ordering::Acquire));
            if view.cancels.raised() {
                worst = worst.max(GIVEN_UP);
            }
            at = view.parent.as_deref();
        }
        worst
    }

    fn end(&self, as_what: u8) {
        self.state.fetch_max(as_what, Ordering::AcqRel);
        self.cancels.cancel();
    }
}

impl Client {
    /// The same client with a timeout of its own, 0 for this one's, and a cancel of its own. It is cancelled with this
    /// one, too.
    pub fn view(&self, timeout_ms: u32) -> Result<Client> {
        self.view_of(timeout_ms, self.1.cancels.child())
    }

    /// The same, given up when the flag is raised.
    pub(super) fn flagged_view(&self, timeout_ms: u32, flag: Arc<Flag>) -> Result<Client> {
        self.view_of(timeout_ms, self.1.cancels.flagged_child(Some(flag)))
    }

    fn view_of(&self, timeout_ms: u32, cancels: CancelSource) -> Result<Client> {
        let timeout = match timeout_ms {
            0 => self.1.timeout,
            1..=TIMEOUT_MAX_MS => Duration::from_millis(timeout_ms.into()),
            _ => return Err(Error::new(KL_E_ARGUMENT, "timeout_ms is longer than an hour")),
        };
        let view = View { timeout, cancels, state: AtomicU8::new(OPEN), parent: Some(self.1.clone()) };
        let view = Client(self.0.clone(), Arc::new(view));
        // One that was freed meanwhile had no child yet that it could end.
        view.check().map(|()| view)
    }

    /// Ends every call in flight with `KL_E_CANCELLED`, those of the views included. Later calls work. Waits for nothing.
    pub fn cancel(&self) {
        self.1.cancels.cancel();
        self.wake();
    }

    /// The same, for good: what needs the network or the journal is refused from now on (`KL_E_CANCELLED`).
    pub fn give_up(&self) {
        self.1.end(GIVEN_UP);
        self.wake();
    }

    /// Takes it out of use for good, with everything that was made from it.
    pub fn close(&self) {
        self.1.end(CLOSED);
        self.wake();
        let all = self.1.parent.is_none();
        self.end_tasks(all);
        if all {
            self.end_later();
        }
    }

    /// Why nothing may begin through it.
    pub(super) fn obstacle(&self) -> Option<kl_status> {
        match self.check().and_then(|()| self.1.token()) {
            Ok(_) => None,
            Err(error) if error.status() == KL_E_HANDLE => Some(KL_E_CANCELLED),
            Err(error) => Some(error.status()),
        }
    }

    /// Has those that wait for the journal or a token look at their cancel.
    fn wake(&self) {
        self.0.commands.wake();
        if let Some(tokens) = &self.0.tokens {
            tokens.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn client() -> Client {
        let mut config = Config::new("yopoint").unwrap();
        for (key, value) in [
            ("base_url", "http://127.0.0.1:9"),
            ("allow_http", "yes"),
            ("app_id", "a"),
            ("app_secret", "secret-of-a-test"),
            ("state_dir", "none"),
            ("timeout_ms", "700"),
        ] {
            config.set(key, value).unwrap();
        }
        Client::new(&config).unwrap()
    }

    fn refused(client: &Client) -> [i32; 2] {
        let code = |result: Result<()>| result.map_or_else(|e| e.status(), |()| KL_OK);
        [code(client.check()), code(client.enter().map(drop))]
    }

    #[test]
    fn a_view_has_its_own_time_and_no_longer_than_an_hour() {
        let client = client();
        let view = client.view(50).unwrap();
        assert_eq!(view.1.timeout(), Duration::from_millis(50));
        assert_eq!(view.view(0).unwrap().1.timeout(), Duration::from_millis(50));
        assert_eq!(client.view(0).unwrap().1.timeout(), Duration::from_millis(700));
        assert!(client.view(TIMEOUT_MAX_MS).is_ok());
        assert_eq!(client.view(TIMEOUT_MAX_MS + 1).err().unwrap().status(), KL_E_ARGUMENT);
        assert!(view.enter().unwrap().deadline.remaining() <= Duration::from_millis(50));
    }

    #[test]
    fn a_cancel_goes_down_and_not_up_nor_aside() {
        let client = client();
        let (one, two) = (client.view(0).unwrap(), client.view(0).unwrap());
        let below = one.view(0).unwrap();
        let all = [&client, &one, &two, &below];
        let cancelled = |by: &Client| {
            let tokens = all.map(|c| c.1.token().unwrap());
            by.cancel();
            tokens.map(|t| t.is_cancelled())
        };
        assert_eq!(cancelled(&one), [false, true, false, true]);
        assert_eq!(cancelled(&two), [false, false, true, false]);
        assert_eq!(cancelled(&client), [true; 4]);
        assert!(all.iter().all(|c| refused(c) == [KL_OK; 2]), "later calls work");
    }

    #[test]
    fn what_is_given_up_stays_so_with_its_views() {
        let client = client();
        let job = client.view(0).unwrap();
        let (view, running) = (job.view(0).unwrap(), job.1.token().unwrap());
        job.give_up();
        assert!(running.is_cancelled());
        assert_eq!(refused(&job), [KL_OK, KL_E_CANCELLED]);
        assert_eq!(refused(&view), [KL_OK, KL_E_CANCELLED]);
        assert_eq!(refused(&job.view(0).unwrap()), [KL_OK, KL_E_CANCELLED], "also one that is made later");
        assert_eq!(refused(&client), [KL_OK; 2]);
    }

    #[test]
    fn what_is_freed_takes_its_views_along_in_any_order() {
        let client = client();
        let (one, two) = (client.view(0).unwrap(), client.view(0).unwrap());
        let below = one.view(0).unwrap();
        one.close();
        // The job that it belonged to may be cancelled only now.
        one.give_up();
        assert_eq!([&one, &below].map(refused), [[KL_E_HANDLE; 2]; 2]);
        assert_eq!([&client, &two].map(refused), [[KL_OK; 2]; 2]);
        assert_eq!(one.view(0).err().unwrap().status(), KL_E_HANDLE);
        let running = two.1.token().unwrap();
        client.close();
        assert!(running.is_cancelled());
        assert_eq!([&client, &two].map(refused), [[KL_E_HANDLE; 2]; 2]);
        drop(client);
        assert_eq!(refused(&two), [KL_E_HANDLE; 2]);
    }

    #[test]
    fn a_bug_retires_the_client_with_all_its_views() {
        let client = client();
        let view = client.view(0).unwrap();
        view.retire();
        assert_eq!([&client, &view].map(refused), [[KL_E_RETIRED; 2]; 2]);
    }
}
