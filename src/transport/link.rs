//! How a connection comes about: TCP to an address, through a proxy or not, TLS over it or not. Each is a link that takes
//! what stands and makes more of it.

use super::conn::{self, Bound, Busy, Conn, Fault};
use super::dns::Found;
use super::failure::Phase;
use super::url::{Scheme, Url};
use super::{Timing, Transport, count, lock, millis, proxy, tls};
use crate::error::Error;
use crate::log::log_line;
use crate::status::*;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, HandshakeKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// A link that does not hold, and where.
type Broken = (Phase, Fault);

impl Transport {
    /// Makes a connection ready for a request.
    pub(super) fn open(
        &self,
        origin: &Url,
        bound: &Bound<'_>,
        request_follows: bool,
        timing: &mut Timing,
    ) -> Result<(Box<Conn>, Busy), Broken> {
        let bound = &bound.at_most(self.options.connect_timeout);
        let (host, port) = match &self.options.proxy {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => (origin.host.as_str(), origin.port),
        };
        let addresses = timed(&mut timing.dns_ms, || self.addresses(host, bound))?;
        let (conn, busy) = loop {
            let (mut conn, busy) = timed(&mut timing.connect_ms, || {
                let (mut conn, busy) = self.tcp(origin, host, port, &addresses, bound)?;
                self.through_proxy(&mut conn, origin, bound)?;
                Ok((conn, busy))
            })?;
            if origin.scheme == Scheme::Http
                || timed(&mut timing.tls_ms, || self.tls(&mut conn, origin, request_follows, bound))?
            {
                break (conn, busy);
            }
            log_line!(Debug, "{origin}: the certificate of the resumed session has ended, making a new one");
        };
        log_line!(
            Debug,
            "{origin}: connected (lookup {} ms, TCP {} ms, TLS {} ms)",
            timing.dns_ms,
            timing.connect_ms,
            timing.tls_ms
        );
        Ok((conn, busy))
    }

    /// Where to connect to.
    fn addresses(&self, host: &str, bound: &Bound<'_>) -> Result<Vec<IpAddr>, Broken> {
        let broken = |fault| (Phase::Dns, fault);
        match self.dns.resolve(host, bound).map_err(broken)? {
            Found::Addresses { list, asked } => {
                if asked {
                    count(&self.counters.lookups);
                }
                Ok(list)
            }
            Found::None(error) => {
                count(&self.counters.lookups);
                if let fault @ Fault::Resource(_) = Fault::repeated(&error) {
                    return Err(broken(fault));
                }
                let whose = if self.options.proxy.is_some() { "the proxy's name " } else { "the name " };
                let message = [whose, host, " cannot be looked up"].concat();
                Err(broken(Fault::Final(Error::os(KL_E_DNS, message, &error))))
            }
        }
    }

    /// A TCP connection to the first of the addresses that answers, each being tried in its turn.
    fn tcp(
        &self,
        origin: &Url,
        host: &str,
        port: u16,
        addresses: &[IpAddr],
        bound: &Bound<'_>,
    ) -> Result<(Box<Conn>, Busy), Broken> {
        let list: Vec<SocketAddr> = addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        match conn::connect(origin, &list, bound) {
            Ok((conn, busy, index)) => {
                count(&self.counters.connects);
                self.dns.prefer(host, addresses[index]);
                Ok((conn, busy))
            }
            Err(fault) => {
                // Neither is the addresses' fault.
                if !matches!(fault, Fault::Cancelled | Fault::Resource(_)) {
                    self.dns.doubt(host);
                }
                Err((Phase::Connect, bound.blame(fault)))
            }
        }
    }

    /// The platform at the other end of the proxy, if there is one.
    fn through_proxy(&self, conn: &mut Conn, origin: &Url, bound: &Bound<'_>) -> Result<(), Broken> {
        match &self.options.proxy {
            Some(proxy) => proxy::tunnel(conn, proxy, origin, bound).map_err(|fault| (Phase::Proxy, fault)),
            None => Ok(()),
        }
    }

    /// TLS to the platform, whatever is in between. False if it resumed a session that must not go on: it is forgotten,
    /// and another connection is needed.
    fn tls(
        &self,
        conn: &mut Conn,
        origin: &Url,
        request_follows: bool,
        bound: &Bound<'_>,
    ) -> Result<bool, Broken> {
        let broken = |fault| (Phase::Tls, fault);
        let name = ServerName::try_from(origin.host.clone()).map_err(|_| {
            let message = [&origin.host, " is not a name that a certificate can be for"].concat();
            broken(Fault::Final(Error::new(KL_E_CONFIG_VALUE, message)))
        })?;
        let config = lock(&self.tls).clone();
        let session =
            ClientConnection::new(config.clone(), name).map_err(|error| broken(Fault::tls(error)))?;
        tls::begin();
        conn.handshake(session, request_follows, bound).map_err(broken)?;
        conn.certificate = conn.tls().and_then(tls::validity);
        count(&self.counters.handshakes);
        let Some(tls) = conn.tls().filter(|tls| tls.handshake_kind() == Some(HandshakeKind::Resumed)) else {
            return Ok(true);
        };
        count(&self.counters.resumed);
        let ended = tls::has_ended(tls.peer_certificates(), &self.clock);
        if ended {
            *lock(&self.tls) = tls::forgetful(&config);
        }
        Ok(!ended)
    }
}

/// Does it, and says how long it took.
fn timed<T>(ms: &mut u32, link: impl FnOnce() -> Result<T, Broken>) -> Result<T, Broken> {
    let began = Instant::now();
    let outcome = link();
    *ms = millis(began.elapsed());
    outcome
}
