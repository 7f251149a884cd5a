//! The control API of a simulator on this computer.

use crate::args::Given;
use crate::out::{Stop, quoted};
use crate::tr;
use kiosklink::cancel::CancelToken;
use kiosklink::error::{Error, Outcome};
use kiosklink::json::Json;
use kiosklink::status::{KL_E_ARGUMENT, KL_E_NOT_FOUND, KL_E_PROTOCOL};
use kiosklink::time::clock::Clock;
use kiosklink::transport::{Deadline, Options, Purpose, Request, Transport, Url};
use std::sync::Arc;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A simulator.
pub struct Control {
    origin: String,
    transport: Transport,
}

/// Whether a host is this computer and nothing else.
fn is_here(host: &str) -> bool {
    let loopback = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    host == "localhost" || host.ends_with(".localhost") || loopback
}

impl Control {
    /// The one at an address: the console's, the account's, or any other of the same port.
    pub fn at(text: &str) -> Result<Control, Stop> {
        let url = Url::parse(text).map_err(|why| Stop::Usage(tr!("--simulator {}", why)))?;
        if !is_here(&url.host) {
            return Err(Stop::Usage(tr!(
                "a simulator is on this computer, and {} is not: nothing is sent there",
                quoted(&url.host)
            )));
        }
        // Its port speaks both. In plain HTTP there is no authority to be known.
        let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host };
        let options = Options { allow_http: true, ..Options::default() };
        let transport = Transport::new(options, Arc::new(Clock::new()))?;
        Ok(Control { origin: format!("http://{host}:{}", url.port), transport })
    }

    /// The one that the line names, else the one that the account's base_url leads to.
    pub fn of(given: &Given) -> Result<Control, Stop> {
        if let Some(url) = given.get("simulator") {
            return Control::at(url);
        }
        let config = given.config()?;
        let base = config.get("base_url").unwrap_or_default();
        if !Url::parse(base).is_ok_and(|url| is_here(&url.host)) {
            return Err(Stop::Usage(tr!(
                "the account's base_url leads to no simulator on this computer; --simulator URL names one"
            )));
        }
        Control::at(base)
    }

    /// Asks, or tells; the answer is JSON.
    pub fn ask(&self, method: &'static str, path: &str, body: &str) -> Result<String, Stop> {
        let url = Url::parse(&format!("{}/_sim{path}", self.origin))
            .map_err(|why| Error::new(KL_E_ARGUMENT, format!("the simulator's address {why}")))?;
        let purpose = if method == "GET" { Purpose::Read } else { Purpose::Command };
        let reply = self
            .transport
            .call(&url, purpose, Deadline::after(PATIENCE), &CancelToken::never(), &mut || {
                Ok(Request {
                    method,
                    url: url.clone().into(),
                    headers: vec![("Content-Type", "application/json".into())],
                    body: body.as_bytes().to_vec(),
                })
            })
            .map_err(|failure| failure.error.with(|d| d.outcome = Outcome::None))?;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        if reply.status == 200 && Json::parse(text.as_bytes()).is_ok() {
            return Ok(text);
        }
        let said = Json::parse(text.as_bytes()).and_then(Json::object).and_then(|o| o.string(&["error"]));
        Err(match (said.ok().flatten(), reply.status) {
            (Some(said), 404) => Error::new(KL_E_NOT_FOUND, said),
            (Some(said), _) => Error::new(KL_E_ARGUMENT, said),
            _ => {
                let what = format!("{} answers HTTP {} and is no simulator", self.origin, reply.status);
                Error::new(KL_E_PROTOCOL, what)
            }
        }
        .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_computer() {
        for here in ["localhost", "127.0.0.1", "::1", "a.localhost"] {
            assert!(is_here(here), "{here}");
        }
        for there in ["example.org", "10.0.0.1", "localhost.example.org", ""] {
            assert!(!is_here(there), "{there}");
        }
    }
}
