//! The line between callers and the platforms: how fast it is each way, and how long the way is.

use serde::{Deserialize, Serialize};

use crate::fault::travel_ms;
use crate::message::Reply;

/// What the line is like for requests to platforms; control requests do not feel it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Link {
    /// For which platform; null: for all.
    pub platform: Option<String>,
    /// How many bytes of a request come up in a second; null: all at once.
    pub up_bytes_per_s: Option<u64>,
    /// How many bytes of an answer go down in a second; null: all at once.
    pub down_bytes_per_s: Option<u64>,
    /// How long the way is, each way.
    pub latency_ms: u64,
    /// A request arrives although its caller has hung up before its last byte came up.
    pub delivered: bool,
}

impl Default for Link {
    fn default() -> Self {
        Self { platform: None, up_bytes_per_s: None, down_bytes_per_s: None, latency_ms: 0, delivered: true }
    }
}

/// What the line does to one request and its answer.
#[derive(Clone, Copy, Debug)]
pub struct Travel {
    /// How long the request is on its way.
    pub up_ms: u64,
    /// It arrives although its caller has hung up before.
    pub delivered: bool,
    down_bytes_per_s: Option<u64>,
    latency_ms: u64,
}

impl Link {
    /// What the line does to a request of so many bytes to a platform.
    pub fn for_request(&self, platform: &str, bytes: usize) -> Travel {
        if self.platform.as_deref().is_some_and(|p| p != platform) {
            return Travel { up_ms: 0, delivered: true, down_bytes_per_s: None, latency_ms: 0 };
        }
        Travel {
            up_ms: self.latency_ms + self.up_bytes_per_s.map_or(0, |rate| travel_ms(bytes, rate)),
            delivered: self.delivered,
            down_bytes_per_s: self.down_bytes_per_s,
            latency_ms: self.latency_ms,
        }
    }
}

impl Travel {
    /// Makes an answer as slow as the line.
    pub fn apply(&self, reply: &mut Reply) {
        reply.delay_ms += self.latency_ms;
        if let (Some(rate), None) = (self.down_bytes_per_s, reply.drip) {
            // Twenty pieces a second look even enough.
            let piece = (rate / 20).max(1);
            reply.drip = Some((piece as usize, travel_ms(piece as usize, rate)));
        }
    }
}
