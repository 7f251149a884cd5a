//! The certificates that a server shows, read for a technician. Whether to trust them is the library's verdict.

use kiosklink::transport::Url;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One certificate.
pub struct Certificate {
    /// Whose it is.
    pub subject: String,
    /// Who vouches for it.
    pub issuer: String,
    /// When it ends, Unix seconds.
    pub not_after: i64,
}

/// Takes whatever chain is shown, to be looked at: nothing is sent over this connection. Whether to trust it is the
/// library's verdict, given before.
#[derive(Debug)]
struct Witness(Mutex<Vec<Vec<u8>>>);

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all = std::iter::once(leaf).chain(more).map(|c| c.to_vec()).collect();
        // Seen is enough: the handshake ends here.
        Err(rustls::Error::General("seen".into()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("seen".into()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("seen".into()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The chain that the server shows; empty if none could be had.
pub fn chain(origin: &Url, addresses: &[SocketAddr], limit: Duration) -> Vec<Certificate> {
    let witness = Arc::new(Witness(Mutex::default()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let connect = || -> Option<()> {
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .ok()?
            .dangerous()
            .with_custom_certificate_verifier(witness.clone())
            .with_no_client_auth();
        let name = ServerName::try_from(origin.host.clone()).ok()?;
        let mut session = ClientConnection::new(Arc::new(config), name).ok()?;
        let end = Instant::now() + limit;
        let mut socket = addresses.iter().find_map(|a| TcpStream::connect_timeout(a, limit).ok())?;
        while session.is_handshaking() && Instant::now() < end {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            socket.set_read_timeout(Some(left)).ok()?;
            socket.set_write_timeout(Some(left)).ok()?;
            session.complete_io(&mut socket).ok()?;
        }
        Some(())
    };
    // What was seen counts, however it ended.
    let _ = connect();
    let all = witness.0.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().filter_map(|der| certificate(der)).collect()
}

/// Reads as much of a certificate as is shown.
fn certificate(der: &[u8]) -> Option<Certificate> {
    let (_, whole, _) = element(der)?;
    let (_, mut tbs, _) = element(whole)?;
    // The version may be absent.
    if tbs.first() == Some(&0xa0) {
        tbs = element(tbs)?.2;
    }
    let (_, _, rest) = element(tbs)?; // serial number
    let (_, _, rest) = element(rest)?; // algorithm
    let (_, issuer, rest) = element(rest)?;
    let (_, validity, rest) = element(rest)?;
    let (_, subject, _) = element(rest)?;
    let (_, _, after) = element(validity)?;
    let (tag, time, _) = element(after)?;
    Some(Certificate { subject: name(subject), issuer: name(issuer), not_after: time_of(tag, time)? })
}

/// Tag, content, and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, first) = (*der.first()?, *der.get(1)?);
    let (length, head) = if first < 0x80 {
        (usize::from(first), 2)
    } else {
        let bytes = usize::from(first & 0x7f);
        let length = der
            .get(2..2 + bytes)?
            .iter()
            .try_fold(0usize, |n, b| n.checked_mul(256)?.checked_add((*b).into()))?;
        (length, 2 + bytes)
    };
    let end = head.checked_add(length)?;
    Some((tag, der.get(head..end)?, der.get(end..)?))
}

/// The common name, or the organisation.
fn name(mut sets: &[u8]) -> String {
    let mut best = String::new();
    while let Some((_, set, rest)) = element(sets) {
        sets = rest;
        let read = || {
            let (_, pair, _) = element(set)?;
            let (_, oid, rest) = element(pair)?;
            let (_, value, _) = element(rest)?;
            Some((oid, String::from_utf8_lossy(value).into_owned()))
        };
        match read() {
            Some((&[0x55, 4, 3], value)) => return value,
            Some((&[0x55, 4, 10], value)) => best = value,
            _ => {}
        }
    }
    if best.is_empty() { "a certificate without a name".into() } else { best }
}

fn time_of(tag: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    // UTCTime has two digits of the year.
    let text = if tag == 0x17 {
        let year: u32 = text.get(..2)?.parse().ok()?;
        format!("{}{text}", if year < 50 { "20" } else { "19" })
    } else {
        text.to_owned()
    };
    let part = |from: usize, to: usize| text.get(from..to);
    let iso = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 14)?
    );
    crate::args::parse_time(&iso, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_certificates() {
        assert_eq!(time_of(0x17, b"231114221320Z"), Some(1_700_000_000));
        assert_eq!(time_of(0x18, b"20231114221320Z"), Some(1_700_000_000));
        assert_eq!(time_of(0x17, b"23111422132Z"), None);
        assert!(certificate(&[0x30, 0x82, 0xff]).is_none() && element(&[0x30, 0xff]).is_none());
    }
}
