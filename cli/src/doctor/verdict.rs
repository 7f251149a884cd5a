//! Whose fault it is: the link's, the platform's, or something else's, in one word for a program and one sentence for a person.

use crate::lang::t;
use crate::tr;
use kiosklink::error::Error;
use kiosklink::status::*;

/// A lookup, a connection, a handshake that take longer than this come over a slow link.
const LOOKUP_SLOW_MS: u64 = 1000;
const CONNECT_SLOW_MS: u64 = 500;
const HANDSHAKE_SLOW_MS: u64 = 2000;
/// A platform that needs longer than this for a small answer, over and above the way there and back, is slow.
const ANSWER_SLOW_MS: u64 = 2000;

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is wrong.
    None,
    /// Settings, files, the clock.
    Device,
    /// What the account says of itself, or may do.
    Account,
    /// Name lookup, TCP, TLS.
    Link,
    /// The proxy that the account names.
    Proxy,
    /// What answers is not the platform.
    Between,
    /// What answers shows no certificate that holds.
    Certificate,
    /// The vendor's.
    Platform,
}

impl Fault {
    /// The word of `--json`.
    pub fn word(self) -> &'static str {
        match self {
            Fault::None => "none",
            Fault::Device => "device",
            Fault::Account => "account",
            Fault::Link => "link",
            Fault::Proxy => "proxy",
            Fault::Between => "between",
            Fault::Certificate => "certificate",
            Fault::Platform => "platform",
        }
    }
}

/// What the way to the platform was like, as far as it was gone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Way {
    /// The lookup of the name, in milliseconds; 0 if a proxy did it.
    pub lookup_ms: u64,
    /// The TCP connection: about one way there and back; 0 if a proxy made it.
    pub connect_ms: u64,
    /// The handshake alone; 0 if there was none.
    pub handshake_ms: u64,
    /// The answer to a small question over a connection that stood, if one came.
    pub answer_ms: Option<u64>,
}

impl Way {
    fn slow(&self) -> bool {
        self.lookup_ms >= LOOKUP_SLOW_MS
            || self.connect_ms >= CONNECT_SLOW_MS
            || self.handshake_ms >= HANDSHAKE_SLOW_MS
    }

    /// What the platform itself needed for its answer.
    pub fn platforms_ms(&self) -> u64 {
        self.answer_ms.unwrap_or(0).saturating_sub(self.connect_ms)
    }

    fn connected_ms(&self) -> u64 {
        self.lookup_ms + self.connect_ms + self.handshake_ms
    }
}

/// Where the way ended, and why.
#[derive(Clone, Debug)]
pub enum End {
    /// It was not gone at all.
    NotGone,
    /// No address, or no connection.
    Lookup,
    Connect,
    /// The library's verdict on the handshake.
    Handshake(Error),
    /// The platform's answer, or why there is none; `verified`: over TLS.
    Answer {
        error: Error,
        verified: bool,
    },
    /// All went well.
    Answered,
}

/// Whose fault it is, and the sentence that says so. `device`: the names of what is bad on this device.
pub fn of(end: &End, way: &Way, device: &[&str]) -> (Fault, String) {
    match end {
        End::NotGone => {
            let sentence =
                tr!("What is bad is on this device ({}); the network was not looked at.", device.join(", "));
            (Fault::Device, sentence)
        }
        End::Lookup => link(t("the lookup of its name")),
        End::Connect => link(t("the TCP connection")),
        End::Handshake(e) => match e.status() {
            KL_E_PROXY => proxy(),
            KL_E_CLOCK | KL_E_TLS_NOT_YET_VALID => clock(),
            KL_E_TLS_CLIENT_CERT => account(),
            KL_E_TLS_UNTRUSTED | KL_E_TLS_EXPIRED | KL_E_TLS_WRONG_NAME | KL_E_TLS_PIN => (
                Fault::Certificate,
                t("The link works, but what answers does not prove that it is the platform: see tls.")
                    .to_owned(),
            ),
            KL_E_DNS | KL_E_TIMEOUT_DNS => link(t("the lookup of its name")),
            KL_E_CONNECT | KL_E_TIMEOUT_CONNECT => link(t("the TCP connection")),
            _ => link(t("the TLS handshake")),
        },
        End::Answer { error, verified } => refused(error, *verified, way),
        End::Answered if way.slow() => (
            Fault::Link,
            tr!(
                "The link is slow, not the platform: name lookup {} ms, TCP {} ms, TLS {} ms; the platform itself took {} ms.",
                way.lookup_ms,
                way.connect_ms,
                way.handshake_ms,
                way.platforms_ms()
            ),
        ),
        End::Answered if way.platforms_ms() >= ANSWER_SLOW_MS => (
            Fault::Platform,
            tr!(
                "The platform is slow, not the link: there and back takes {} ms, the platform itself {} ms.",
                way.connect_ms,
                way.platforms_ms()
            ),
        ),
        End::Answered if !device.is_empty() => (
            Fault::Device,
            tr!("Link and platform are good; what is bad is on this device: {}.", device.join(", ")),
        ),
        End::Answered => (
            Fault::None,
            tr!(
                "Link and platform are good: connected in {} ms, answered in {} ms.",
                way.connected_ms(),
                way.answer_ms.unwrap_or(0)
            ),
        ),
    }
}

/// Whose fault an error is that came when the connection stood.
fn refused(e: &Error, verified: bool, way: &Way) -> (Fault, String) {
    let platform = |why: &str| (Fault::Platform, tr!("The link is good, the platform is at fault: {}.", why));
    match e.status() {
        KL_E_PROXY => proxy(),
        KL_E_TIMESTAMP | KL_E_CLOCK => clock(),
        KL_E_AUTH | KL_E_TOKEN | KL_E_PERMISSION | KL_E_ACCOUNT | KL_E_RATE_LIMIT | KL_E_TLS_CLIENT_CERT => {
            account()
        }
        KL_E_HTTP if e.details().http_status >= 500 => platform(t("it answers with an error of its own")),
        KL_E_HTTP if e.details().http_status >= 400 => (
            Fault::Device,
            t("The link is good, but nothing is at this address: is base_url right?").to_owned(),
        ),
        // Over TLS that holds nobody else can answer.
        KL_E_HTTP | KL_E_PROTOCOL | KL_E_TOO_LARGE if verified => {
            platform(t("what it answers is none of its answers"))
        }
        KL_E_HTTP | KL_E_PROTOCOL | KL_E_TOO_LARGE => (
            Fault::Between,
            t("Something else answers in the platform's place: a portal or a proxy on this network.")
                .to_owned(),
        ),
        KL_E_TIMEOUT_REPLY | KL_E_LOST if way.slow() => (
            Fault::Link,
            t("The link is at fault, not the platform: it is so slow that the answer did not come.")
                .to_owned(),
        ),
        KL_E_TIMEOUT_REPLY => platform(t("it takes the request and does not answer")),
        KL_E_LOST => platform(t("it takes the request and ends the connection")),
        KL_E_DNS..=KL_E_TIMEOUT_SEND | KL_E_TLS..=KL_E_TLS_PIN => link(t("the connection")),
        _ => platform(t("it answers with an error of its own")),
    }
}

fn link(what: &str) -> (Fault, String) {
    (Fault::Link, tr!("The link is at fault, not the platform: {} failed.", what))
}

fn proxy() -> (Fault, String) {
    (Fault::Proxy, t("The proxy is at fault, not the platform.").to_owned())
}

fn account() -> (Fault, String) {
    (Fault::Account, t("Link and platform are good; the platform refuses this account.").to_owned())
}

fn clock() -> (Fault, String) {
    (Fault::Device, t("The link is good; this device's clock is at fault.").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: kl_status, http: i32) -> Error {
        Error::new(status, "x").with(|d| d.http_status = http)
    }

    #[test]
    fn a_bad_link_is_told_from_a_bad_platform() {
        let good = Way { lookup_ms: 3, connect_ms: 20, handshake_ms: 60, answer_ms: Some(80) };
        let fault = |end: &End, way: &Way| of(end, way, &[]).0;
        assert_eq!(fault(&End::Answered, &good), Fault::None);
        for (way, whose) in [
            (Way { lookup_ms: 1000, ..good }, Fault::Link),
            (Way { connect_ms: 500, ..good }, Fault::Link),
            (Way { handshake_ms: 2000, ..good }, Fault::Link),
            // The way there and back is none of the platform's time.
            (Way { answer_ms: Some(2019), ..good }, Fault::None),
            (Way { answer_ms: Some(2020), ..good }, Fault::Platform),
            (Way { connect_ms: 700, answer_ms: Some(2500), ..good }, Fault::Link),
        ] {
            assert_eq!(fault(&End::Answered, &way), whose, "{way:?}");
        }
        let slow = Way { connect_ms: 900, ..good };
        for (status, http, verified, way, whose) in [
            (KL_E_HTTP, 503, true, &good, Fault::Platform),
            (KL_E_HTTP, 503, true, &slow, Fault::Platform),
            (KL_E_HTTP, 404, true, &good, Fault::Device),
            (KL_E_HTTP, 302, false, &good, Fault::Between),
            (KL_E_PROTOCOL, 200, false, &good, Fault::Between),
            (KL_E_PROTOCOL, 200, true, &good, Fault::Platform),
            (KL_E_TIMEOUT_REPLY, 0, true, &good, Fault::Platform),
            (KL_E_TIMEOUT_REPLY, 0, true, &slow, Fault::Link),
            (KL_E_LOST, 0, true, &good, Fault::Platform),
            (KL_E_LOST, 0, true, &slow, Fault::Link),
            (KL_E_CONNECT, 0, true, &good, Fault::Link),
            (KL_E_TIMEOUT_SEND, 0, true, &good, Fault::Link),
            (KL_E_AUTH, 200, true, &good, Fault::Account),
            (KL_E_RATE_LIMIT, 429, true, &good, Fault::Account),
            (KL_E_TIMESTAMP, 200, true, &good, Fault::Device),
            (KL_E_PROXY, 407, true, &good, Fault::Proxy),
            (KL_E_PLATFORM, 200, true, &good, Fault::Platform),
        ] {
            let end = End::Answer { error: error(status, http), verified };
            assert_eq!(fault(&end, way), whose, "{status} {http} {verified} {way:?}");
        }
        for (status, whose) in [
            (KL_E_TLS_EXPIRED, Fault::Certificate),
            (KL_E_TLS_WRONG_NAME, Fault::Certificate),
            (KL_E_TLS_UNTRUSTED, Fault::Certificate),
            (KL_E_TLS_PIN, Fault::Certificate),
            (KL_E_TLS_NOT_YET_VALID, Fault::Device),
            (KL_E_CLOCK, Fault::Device),
            (KL_E_TLS_CLIENT_CERT, Fault::Account),
            (KL_E_TIMEOUT_TLS, Fault::Link),
            (KL_E_TLS, Fault::Link),
            (KL_E_PROXY, Fault::Proxy),
            (KL_E_CONNECT, Fault::Link),
        ] {
            assert_eq!(fault(&End::Handshake(error(status, 0)), &good), whose, "{status}");
        }
        assert_eq!(of(&End::NotGone, &good, &["settings"]).0, Fault::Device);
        let (whose, says) = of(&End::Answered, &good, &["space", "clock"]);
        assert!(whose == Fault::Device && says.contains("space, clock"), "{says}");
        let (_, says) = of(&End::Lookup, &good, &[]);
        assert!(
            says.starts_with("The link is at fault, not the platform") && says.contains("name"),
            "{says}"
        );
    }
}
