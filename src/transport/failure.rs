//! What a failure is called: the code, and a sentence that names the right party.

use super::conn::Fault;
use super::{Call, Transport, millis, tls};
use crate::error::Error;
use crate::status::*;

/// Where a call stands, for the words and the code of its failure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Dns,
    Connect,
    Proxy,
    Tls,
    Send,
    Reply,
}

impl Transport {
    /// `left`: whether a byte of the request left.
    pub(super) fn error(&self, call: &Call<'_>, phase: Phase, fault: Fault, left: bool) -> Error {
        let origin = call.origin;
        let ms = millis(call.started.elapsed());
        let target = match (phase, &self.options.proxy) {
            // The platform has no part in it yet.
            (Phase::Dns | Phase::Connect, Some(proxy)) => ["the proxy ", &proxy.to_string()].concat(),
            _ => origin.host_port(),
        };
        let doing = match phase {
            Phase::Dns => "looking up",
            Phase::Connect => "connecting to",
            Phase::Proxy => "asking the proxy for",
            Phase::Tls => "shaking hands with",
            Phase::Send => "sending to",
            Phase::Reply => "waiting for the answer of",
        };
        match fault {
            Fault::Final(error) => error,
            Fault::Cancelled => {
                Error::new(KL_E_CANCELLED, format!("cancelled while {doing} {target} after {ms} ms"))
            }
            Fault::Timeout => {
                let status = match phase {
                    Phase::Dns => KL_E_TIMEOUT_DNS,
                    Phase::Connect | Phase::Proxy => KL_E_TIMEOUT_CONNECT,
                    Phase::Tls => KL_E_TIMEOUT_TLS,
                    Phase::Send => KL_E_TIMEOUT_SEND,
                    Phase::Reply => KL_E_TIMEOUT_REPLY,
                };
                Error::new(status, format!("the time was up while {doing} {target}, after {ms} ms"))
            }
            Fault::Resource(error) => {
                let message = format!("the system refused what {doing} {target} needs");
                Error::os(KL_E_RESOURCE, message, &error)
            }
            Fault::Tls(error) if phase == Phase::Tls => {
                tls::explain(&error, &origin.host, self.options.client_cert.is_some())
            }
            // In TLS 1.3 the server judges our certificate after the handshake is over for us.
            Fault::Tls(error) if tls::is_about_our_cert(&error) => {
                tls::explain(&error, &origin.host, self.options.client_cert.is_some())
            }
            Fault::Tls(error) => {
                let why = tls::in_words(&error);
                let message =
                    format!("the TLS connection broke while {doing} {target}, after {ms} ms: {why}");
                Error::new(KL_E_LOST, message)
            }
            Fault::Closed => {
                let (status, what) = match phase {
                    Phase::Tls => (KL_E_CONNECT, "the server closed the connection"),
                    Phase::Dns | Phase::Connect => (KL_E_CONNECT, "the connection was closed"),
                    Phase::Proxy => (KL_E_PROXY, "the proxy closed the connection"),
                    Phase::Send => (KL_E_LOST, "the connection was closed"),
                    Phase::Reply => (KL_E_LOST, "the connection was closed"),
                };
                Error::new(status, format!("{what} while {doing} {target}, after {ms} ms"))
            }
            Fault::Os(error) => {
                let status = match phase {
                    Phase::Dns | Phase::Connect | Phase::Tls => KL_E_CONNECT,
                    Phase::Proxy => KL_E_PROXY,
                    Phase::Send | Phase::Reply => KL_E_LOST,
                };
                let sent = if left { "" } else { ", nothing was sent" };
                Error::os(status, format!("{doing} {target} failed after {ms} ms{sent}"), &error)
            }
        }
    }
}
