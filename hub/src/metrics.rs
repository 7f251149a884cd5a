//! What the hub counts, in the form of Prometheus. No name of a device, a cabinet or an order is a label: their number has no
//! bound.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

type Labels = Vec<(&'static str, String)>;

/// All of it.
pub struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    refused: Family<Labels, Counter>,
    commands: Family<Labels, Counter>,
    callbacks: Family<Labels, Counter>,
    /// From the request of a command to its answer.
    pub command_s: Histogram,
    /// From the callback to the commit.
    pub callback_s: Histogram,
    /// Connections that stand.
    pub connections: Gauge,
    /// Polls that wait.
    pub polls: Gauge,
    /// Threads that make calls.
    pub busy: Gauge,
    /// Calls that wait for a thread.
    pub queued: Gauge,
    /// Connections that could not be taken.
    pub not_taken: Counter,
    /// Events that were given to kiosks.
    pub delivered: Counter,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut registry = Registry::with_prefix("kiosklink_hub");
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let m = Metrics {
            requests: Family::default(),
            refused: Family::default(),
            commands: Family::default(),
            callbacks: Family::default(),
            command_s: seconds(),
            callback_s: seconds(),
            connections: Gauge::default(),
            polls: Gauge::default(),
            busy: Gauge::default(),
            queued: Gauge::default(),
            not_taken: Counter::default(),
            delivered: Counter::default(),
            registry: Registry::default(),
        };
        registry.register("requests", "Requests of kiosks by verb", m.requests.clone());
        registry.register("refused", "Requests that were refused, by reason", m.refused.clone());
        registry.register("commands", "Commands by verb and by what became of them", m.commands.clone());
        registry.register(
            "callbacks",
            "Callbacks by account and by what became of them",
            m.callbacks.clone(),
        );
        registry.register("command_seconds", "From a command's request to its answer", m.command_s.clone());
        registry.register("callback_seconds", "From a callback to its commit", m.callback_s.clone());
        registry.register("connections", "Connections that stand", m.connections.clone());
        registry.register("polls", "Polls that wait", m.polls.clone());
        registry.register("calls_running", "Calls to platforms under way", m.busy.clone());
        registry.register("calls_waiting", "Calls that wait for a thread", m.queued.clone());
        registry.register(
            "connections_not_taken",
            "Connections that could not be taken",
            m.not_taken.clone(),
        );
        registry.register(
            "events_delivered",
            "Events given to kiosks, repetitions included",
            m.delivered.clone(),
        );
        Metrics { registry, ..m }
    }
}

impl Metrics {
    /// A request with this verb.
    pub fn request(&self, verb: &str) {
        self.requests.get_or_create(&vec![("verb", verb.to_owned())]).inc();
    }

    /// A request was refused.
    pub fn refuse(&self, reason: &str) {
        self.refused.get_or_create(&vec![("reason", reason.to_owned())]).inc();
    }

    /// A command ended.
    pub fn command(&self, verb: &str, outcome: &str) {
        self.commands.get_or_create(&vec![("verb", verb.to_owned()), ("outcome", outcome.to_owned())]).inc();
    }

    /// A callback came.
    pub fn callback(&self, account: &str, result: &str) {
        self.callbacks
            .get_or_create(&vec![("account", account.to_owned()), ("result", result.to_owned())])
            .inc();
    }

    /// The page.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a text cannot fail.
        let _ = encode(&mut out, &self.registry);
        out
    }
}
