//! TLS: who is trusted, at what time, and what to call it when it fails.

use super::provider::{ED25519, is_ed25519, provider};
use super::roots::built_in;
use super::x509::{Fields, Name, common_name, rsa_bits};
use super::{ClientCert, Roots};
use crate::error::{Error, Result};
use crate::process::PerProcess;
use crate::status::*;
use crate::time::clock::{Clock, Validity, format_time};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ClientConnection, ResolvesClientCert, Resumption, verify_server_cert_signed_by_trust_anchor,
    verify_server_name,
};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// Servers whose sessions are remembered: the platform, and some room.
const SESSIONS: usize = 4;
/// A device clock further past a certificate's end than this is more likely wrong than the certificate forgotten.
const DOUBT_S: i64 = 30 * 86_400;

/// Shorter RSA keys are refused by what verifies signatures here.
pub(super) const MIN_RSA_BITS: usize = 2048;

/// SHA-256 of a certificate's public key (its SubjectPublicKeyInfo).
pub type Pin = [u8; 32];

/// Reads a pin: 64 hexadecimal digits, with or without colons, or base64, with or without `sha256/` before it.
pub fn parse_pin(text: &str) -> std::result::Result<Pin, String> {
    let bad = || "is neither 64 hexadecimal digits nor the base64 of 32 bytes".to_owned();
    let text = text.trim();
    let text = text.strip_prefix("sha256/").or_else(|| text.strip_prefix("sha256//")).unwrap_or(text);
    let hex: Vec<u8> = text.bytes().filter(|b| *b != b':').collect();
    if hex.len() == 64 && hex.iter().all(u8::is_ascii_hexdigit) {
        let digit = |b: u8| (b as char).to_digit(16).unwrap_or(0) as u8;
        let mut pin = [0; 32];
        for (byte, pair) in pin.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = digit(pair[0]) << 4 | digit(pair[1]);
        }
        return Ok(pin);
    }
    let bytes = kiosklink_wire::hex::from_bare_base64(text.trim_end_matches('=')).ok_or_else(bad)?;
    bytes.try_into().map_err(|_| bad())
}

/// Everything about TLS that the connections of one client share.
pub(super) fn client_config(
    roots: &Roots,
    pins: &[Pin],
    client_cert: Option<&ClientCert>,
    clock: Arc<Clock>,
) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(provider());
    let key = client_cert.map(|cert| load_client_cert(cert, &provider)).transpose()?;
    let verifier =
        Verifier { roots: load_roots(roots)?, pins: pins.to_vec(), clock, provider: provider.clone() };
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(Uptime))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new(KL_E_INTERNAL, format!("TLS cannot be set up: {e}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(Identity(key)));
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.enable_early_data = false;
    Ok(Arc::new(config))
}

/// The same, with no session remembered.
pub(super) fn forgetful(config: &ClientConfig) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Arc::new(config)
}

/// Whether the certificate under which a session began has ended since. A resumed one is not verified again, and could
/// otherwise go on for as long as the server takes its tickets.
pub(super) fn has_ended(certificates: Option<&[CertificateDer<'_>]>, clock: &Clock) -> bool {
    let leaf = certificates.and_then(|chain| Fields::read(chain.first()?));
    leaf.and_then(|leaf| leaf.validity).is_some_and(|(_, end)| end < clock.certificate().now_s)
}

/// The roots that clients of this process hold, each by the SHA-256 of its PEM, the built-in ones by `None`. A system's bundle is
/// 300 kB decoded.
type SharedRoots = Mutex<Vec<(Option<[u8; 32]>, Weak<RootCertStore>)>>;

static KNOWN: PerProcess<SharedRoots> = PerProcess::new();

/// Clients with the same roots share them.
fn load_roots(roots: &Roots) -> Result<Arc<RootCertStore>> {
    let name = match roots {
        Roots::BuiltIn => None,
        Roots::Pem(pem) => match sha256(pem) {
            None => return decode_roots(pem).map(Arc::new),
            some => some,
        },
    };
    // Held while they are decoded: who comes meanwhile with the same ones would only do it again.
    let mut known = super::lock(KNOWN.get());
    known.retain(|(_, roots)| roots.strong_count() > 0);
    let shared = known.iter().find(|(other, _)| *other == name);
    if let Some(roots) = shared.and_then(|(_, roots)| roots.upgrade()) {
        return Ok(roots);
    }
    let roots = Arc::new(match roots {
        Roots::BuiltIn => RootCertStore { roots: built_in() },
        Roots::Pem(pem) => decode_roots(pem)?,
    });
    known.push((name, Arc::downgrade(&roots)));
    Ok(roots)
}

fn decode_roots(pem: &[u8]) -> Result<RootCertStore> {
    let begins = certificates_in(pem);
    let total = begins.len();
    if total == 0 {
        return Err(Error::new(KL_E_ROOTS, "the CA roots hold no certificate in PEM form"));
    }
    let mut store = RootCertStore::empty();
    // Each block on its own, so that one that is broken does not hide how many others are.
    let ends = begins.iter().skip(1).copied().chain([pem.len()]);
    let blocks = begins.iter().zip(ends).map(|(begin, end)| &pem[*begin..end]);
    let good = blocks
        .filter(|block| CertificateDer::from_pem_slice(block).is_ok_and(|der| store.add(der).is_ok()))
        .count();
    if good < total {
        let message = format!("{} of the {total} CA roots cannot be read", total - good);
        return Err(Error::new(KL_E_ROOTS, message));
    }
    Ok(store)
}

/// Where certificates begin in a file. The files are large, and a dash is rare in them.
fn certificates_in(pem: &[u8]) -> Vec<usize> {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    let mut begins = Vec::new();
    let mut at = 0;
    while let Some(dash) = pem.get(at..).and_then(|rest| rest.iter().position(|b| *b == b'-')) {
        at += dash;
        if pem[at..].starts_with(BEGIN) {
            begins.push(at);
            at += BEGIN.len();
        } else {
            at += 1;
        }
    }
    begins
}

fn load_client_cert(cert: &ClientCert, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>> {
    let bad = |message: &str| Error::new(KL_E_CLIENT_CERT, message);
    let mut chain = Vec::new();
    for one in CertificateDer::pem_slice_iter(&cert.chain_pem) {
        chain.push(one.map_err(|_| bad("the client certificate is not valid PEM"))?);
    }
    let Some(leaf) = chain.first() else {
        return Err(bad("the client certificate file holds no certificate in PEM form"));
    };
    // Read by ourselves: webpki does not read version 1, which private CAs still give to devices, and what our own
    // certificate is worth is the server's to judge.
    let Some(fields) = Fields::read(leaf) else {
        return Err(bad("the client certificate cannot be read"));
    };
    let key = PrivateKeyDer::from_pem_slice(&cert.key_pem)
        .map_err(|_| bad("the client key file holds no unencrypted private key in PEM form"))?;
    if !ED25519 && is_ed25519(&key) {
        return Err(bad(
            "the client key is an Ed25519 key, which this build does not know: make it an ECDSA P-256 key, or build \
                        with the feature ed25519",
        ));
    }
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|_| bad("the client key is of a kind that cannot be used"))?;
    if key.public_key().is_some_and(|public| public.as_ref() != fields.spki) {
        return Err(bad("the client key does not belong to the client certificate"));
    }
    Ok(Arc::new(CertifiedKey::new(chain, key)))
}

/// The age of a session ticket, measured on a clock that nobody steps: sessions live only as long as the process.
#[derive(Debug)]
struct Uptime;

impl TimeProvider for Uptime {
    fn current_time(&self) -> Option<UnixTime> {
        let floor = crate::time::clock::BUILD_TIME.max(0) as u64;
        Some(UnixTime::since_unix_epoch(
            Duration::from_secs(floor) + Duration::from_millis(crate::time::clock::monotonic_ms()),
        ))
    }
}

thread_local! {
    /// Whether the server of the handshake on this thread asked for a client certificate.
    static ASKED: Cell<bool> = const { Cell::new(false) };
}

/// Call before a handshake: forgets what the last one on this thread was asked.
pub(super) fn begin() {
    ASKED.set(false);
}

struct Identity(Option<Arc<CertifiedKey>>);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        ASKED.set(true);
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

/// Our reason for refusing a certificate, on its way through rustls.
#[derive(Debug)]
struct Refused(Error);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.message())
    }
}

impl std::error::Error for Refused {}

fn refuse(status: kl_status, message: String) -> rustls::Error {
    let error = Error::new(status, message);
    rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Refused(error)))))
}

struct Verifier {
    roots: Arc<RootCertStore>,
    pins: Vec<Pin>,
    clock: Arc<Clock>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    fn chain(
        &self,
        leaf: &ParsedCertificate<'_>,
        intermediates: &[CertificateDer<'_>],
        roots: &RootCertStore,
        at_s: i64,
    ) -> std::result::Result<(), rustls::Error> {
        let at = UnixTime::since_unix_epoch(Duration::from_secs(at_s.max(0) as u64));
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(leaf, roots, intermediates, at, algorithms)
    }

    /// Checks the chain at the best time there is, and returns the time at which it was found valid.
    ///
    /// A device that starts with its clock at 1970 knows only that now is not before the build. If a certificate
    /// begins after the build, the present may well lie in its validity, and refusing it would keep every such
    /// device offline for good; so the chain is then checked at that beginning. What is given up: with no clock at
    /// all, the end of a certificate's validity is only enforced against the build time. A clock that is set, by
    /// NTP, `kl_set_time` or the first verified answer of this server, closes that gap.
    fn valid_time(
        &self,
        leaf: &ParsedCertificate<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &str,
    ) -> std::result::Result<i64, rustls::Error> {
        let clock = self.clock.certificate_of(name);
        let check = |at| self.chain(leaf, intermediates, &self.roots, at);
        let clock_is_unset = !clock.confirmed && clock.system_s < clock.floor_s;
        // One wrong clock of somebody else must not put everything offline.
        let (at, found) = match (check(clock.now_s), clock.or_s) {
            (Err(error), Some(or_s)) if time_of(&error).is_some() => match check(or_s) {
                Err(other) if !clock_is_unset && time_of(&other).is_some() => (clock.now_s, Err(error)),
                found => (or_s, found),
            },
            (found, _) => (clock.now_s, found),
        };
        match found {
            Ok(()) => Ok(at),
            Err(error) => match time_of(&error) {
                Some(When::NotBefore(mut from)) if clock_is_unset => {
                    // An intermediate may begin later still; a path has few certificates.
                    for _ in 0..8 {
                        match check(from) {
                            Ok(()) => return Ok(from),
                            Err(error) => match time_of(&error) {
                                Some(When::NotBefore(later)) if later > from => from = later,
                                Some(When::NotAfter(end)) => return Err(expired(name, end, from)),
                                _ => return Err(error),
                            },
                        }
                    }
                    Err(error)
                }
                Some(When::NotBefore(from)) => Err(refuse(
                    KL_E_TLS_NOT_YET_VALID,
                    format!(
                        "the certificate of {name} is valid from {}, and it is {}{}",
                        format_time(from),
                        format_time(clock.now_s),
                        if clock.confirmed { "" } else { " by this device's clock" },
                    ),
                )),
                Some(When::NotAfter(end)) if clock.confirmed || end < clock.floor_s => {
                    Err(expired(name, end, clock.now_s))
                }
                Some(When::NotAfter(end)) => {
                    // Only the device's own clock says so. Whatever else is wrong with the chain comes first.
                    match check(end) {
                        Err(error) if time_of(&error).is_none() => return Err(error),
                        _ => {}
                    }
                    let (end_text, now_text) = (format_time(end), format_time(clock.system_s));
                    if clock.system_s - end > DOUBT_S {
                        Err(refuse(
                            KL_E_CLOCK,
                            format!(
                                "the certificate of {name} ended {end_text}, this device's clock says {now_text} \
                                 and nothing confirms it: set the clock or call kl_set_time"
                            ),
                        ))
                    } else {
                        Err(refuse(
                            KL_E_TLS_EXPIRED,
                            format!(
                                "the certificate of {name} ended {end_text}, and it is {now_text} by this \
                                 device's clock"
                            ),
                        ))
                    }
                }
                None => Err(error),
            },
        }
    }

    /// A refusal of webpki's, with what there is to see in the chain that was sent.
    fn why(
        &self,
        error: rustls::Error,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &str,
    ) -> rustls::Error {
        let rustls::Error::InvalidCertificate(reason) = &error else { return error };
        let why = match reason {
            CertificateError::BadSignature => self.short_key_in(leaf, intermediates),
            CertificateError::UnknownIssuer => self.missing_issuer(leaf, intermediates),
            _ => None,
        };
        why.map_or(error, |why| refuse(KL_E_TLS_UNTRUSTED, untrusted(name, &why)))
    }

    /// Whether a certificate of the chain was signed with an RSA key that is too short to prove anything.
    fn short_key_in(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Option<String> {
        let chain: Vec<Fields<'_>> =
            std::iter::once(leaf).chain(intermediates).filter_map(|der| Fields::read(der)).collect();
        let sent = chain.iter().map(|cert| (cert.subject, cert.spki));
        let roots = self.roots.roots.iter().map(|root| (&*root.subject, &*root.subject_public_key_info));
        let is_issuer = |name: &[u8]| chain.iter().any(|cert| cert.issuer == name);
        sent.chain(roots).filter(|(name, _)| is_issuer(name)).find_map(|(name, spki)| too_short(name, spki))
    }

    /// Where the chain that was sent ends, if its last certificate can be read.
    fn missing_issuer(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Option<String> {
        let sent: Vec<Fields<'_>> = intermediates.iter().filter_map(|der| Fields::read(der)).collect();
        let mut last = Fields::read(leaf)?;
        // Every step takes one of those that were sent, and none twice.
        for _ in 0..sent.len() {
            let above = sent.iter().find(|cert| cert.subject == last.issuer && last.issuer != last.subject);
            match above {
                Some(above) => last = *above,
                None => break,
            }
        }
        let issuer = common_name(last.issuer);
        Some(if last.issuer == last.subject {
            [
                "no known root vouches for it: it comes from ",
                &issuer,
                ", which is not among the CAs trusted here",
            ]
            .concat()
        } else {
            let what = ", which the server does not send and which is not among the CAs trusted here: \
                        an intermediate certificate is missing on the server, or the CA is another one";
            ["no known root vouches for it: it was issued by ", &issuer, what].concat()
        })
    }

    /// Whether the leaf's own key or that of a presented certificate *above* it is pinned. That a pinned certificate
    /// was merely sent along proves nothing, so the chain must hold with it alone as the root.
    fn pinned(&self, leaf: &ParsedCertificate<'_>, intermediates: &[CertificateDer<'_>], at_s: i64) -> bool {
        if self.has_pin(leaf) {
            return true;
        }
        intermediates.iter().any(|der| {
            let Ok(parsed) = ParsedCertificate::try_from(der) else { return false };
            if !self.has_pin(&parsed) {
                return false;
            }
            let mut alone = RootCertStore::empty();
            alone.add(der.clone().into_owned()).is_ok()
                && self.chain(leaf, intermediates, &alone, at_s).is_ok()
        })
    }

    fn has_pin(&self, cert: &ParsedCertificate<'_>) -> bool {
        let spki = cert.subject_public_key_info();
        sha256(&spki).is_some_and(|hash| self.pins.contains(&hash))
    }
}

fn expired(name: &str, end: i64, now: i64) -> rustls::Error {
    let message = format!(
        "the certificate of {name} ended {}, and it is {} or later",
        format_time(end),
        format_time(now)
    );
    refuse(KL_E_TLS_EXPIRED, message)
}

/// SHA-256 through the TLS provider, so that no second implementation is linked for it.
pub(super) fn sha256(data: &[u8]) -> Option<Pin> {
    let suite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13()?;
    suite.common.hash_provider.hash(data).as_ref().try_into().ok()
}

enum When {
    NotBefore(i64),
    NotAfter(i64),
}

fn time_of(error: &rustls::Error) -> Option<When> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            Some(When::NotBefore(not_before.as_secs() as i64))
        }
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            Some(When::NotAfter(not_after.as_secs() as i64))
        }
        _ => None,
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let leaf = ParsedCertificate::try_from(end_entity)?;
        let name = server_name.to_str();
        let at_s = self
            .valid_time(&leaf, intermediates, &name)
            .map_err(|error| self.why(error, end_entity, intermediates, &name))?;
        verify_server_name(&leaf, server_name).map_err(|error| match error {
            rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => refuse(KL_E_TLS_WRONG_NAME, wrong_name(server_name, end_entity)),
            error => error,
        })?;
        if !self.pins.is_empty() && !self.pinned(&leaf, intermediates, at_s) {
            let message = format!("no certificate of {name} has a pinned key");
            return Err(refuse(KL_E_TLS_PIN, message));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
            .map_err(|error| short_key(cert).unwrap_or(error))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
            .map_err(|error| short_key(cert).unwrap_or(error))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether the server turned our client certificate, or the lack of one, down. Alerts about certificates that a
/// client *receives* can only be about its own.
pub(super) fn is_about_our_cert(error: &rustls::Error) -> bool {
    use AlertDescription as A;
    match error {
        rustls::Error::AlertReceived(alert) => match *alert {
            A::CertificateRequired
            | A::NoCertificate
            | A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied => true,
            A::HandshakeFailure => ASKED.get(),
            _ => false,
        },
        _ => false,
    }
}

/// The code and the sentence for a failed handshake. `host` is the name that was asked for.
pub(super) fn explain(error: &rustls::Error, host: &str, has_cert: bool) -> Error {
    use CertificateError as C;
    use rustls::Error as R;
    if is_about_our_cert(error) {
        let what =
            if has_cert { "does not accept the client certificate" } else { "wants a client certificate" };
        return Error::new(KL_E_TLS_CLIENT_CERT, format!("{host} {what}{}", alert_in(error)));
    }
    let untrusted = |why: &str| Error::new(KL_E_TLS_UNTRUSTED, untrusted(host, why));
    match error {
        R::InvalidCertificate(certificate) => match certificate {
            C::Other(OtherError(cause)) => match cause.downcast_ref::<Refused>() {
                Some(Refused(error)) => error.clone(),
                None => untrusted(cause.downcast_ref().map_or("it breaks a rule of X.509", broken_rule)),
            },
            C::UnknownIssuer => untrusted("no known root vouches for it"),
            C::Expired | C::ExpiredContext { .. } => {
                Error::new(KL_E_TLS_EXPIRED, format!("the certificate of {host} has expired"))
            }
            C::NotValidYet | C::NotValidYetContext { .. } => {
                Error::new(KL_E_TLS_NOT_YET_VALID, format!("the certificate of {host} is not valid yet"))
            }
            C::BadSignature => untrusted("its signature is wrong"),
            C::Revoked => untrusted("it is revoked"),
            C::BadEncoding => untrusted("it cannot be read"),
            C::InvalidPurpose | C::InvalidPurposeContext { .. } => untrusted("it is not meant for servers"),
            C::UnsupportedSignatureAlgorithmContext { .. }
            | C::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => untrusted(
                "it is signed in a way that is not safe or not known here, such as with SHA-1 or with an Ed25519 key",
            ),
            _ => untrusted("it uses what is not supported here"),
        },
        R::NoCertificatesPresented => untrusted("there is none"),
        R::InvalidMessage(_) => Error::new(
            KL_E_TLS,
            format!("{host} does not answer in TLS: is the port right, and is this no captive portal?"),
        ),
        R::AlertReceived(AlertDescription::ProtocolVersion) | R::PeerIncompatible(_) => Error::new(
            KL_E_TLS,
            format!("{host} offers no version or cipher of TLS that is safe{}", alert_in(error)),
        ),
        // Nothing but the first message of the handshake can have displeased it.
        R::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity) => {
            let message = [
                host,
                " has no cipher in common with this library",
                &alert_in(error),
                ": it must offer TLS 1.3, or TLS 1.2 with ECDHE and AES-GCM or ChaCha20-Poly1305, and a certificate with an \
                  ECDSA or RSA key",
            ];
            Error::new(KL_E_TLS, message.concat())
        }
        R::AlertReceived(_) => {
            Error::new(KL_E_TLS, format!("{host} refused the TLS handshake{}", alert_in(error)))
        }
        _ => Error::new(KL_E_TLS, format!("the TLS handshake with {host} failed: {}", in_words(error))),
    }
}

/// nginx and what is built on it end the handshake well, and say over HTTP that they want a client certificate, or
/// another one. Their page, word for word: no platform answers so.
pub(super) fn refused_over_http(status: u16, body: &[u8], host: &str) -> Option<Error> {
    let says = |words: &[u8]| body.windows(words.len()).any(|window| window == words);
    if status != 400 || body.len() > 4096 {
        return None;
    }
    let what = if says(b"<center>No required SSL certificate was sent</center>") {
        " wants a client certificate"
    } else if says(b"<center>The SSL certificate error</center>") {
        " does not accept the client certificate"
    } else {
        return None;
    };
    Some(Error::new(KL_E_TLS_CLIENT_CERT, [host, what, " (it says so over HTTP, as nginx does)"].concat()))
}

/// What broke a TLS connection, in words: rustls prints much of it with `{:?}`, which small builds compile away.
pub(super) fn in_words(error: &rustls::Error) -> String {
    use rustls::Error as R;
    match error {
        R::AlertReceived(_) => format!("the server ended it{}", alert_in(error)),
        R::InvalidMessage(_) => "what came is not TLS".to_owned(),
        R::InappropriateMessage { .. } | R::InappropriateHandshakeMessage { .. } => {
            "a message came out of its turn".to_owned()
        }
        R::PeerMisbehaved(_) => "the server breaks the rules of TLS".to_owned(),
        R::PeerIncompatible(_) => "the server does not know what TLS needs here".to_owned(),
        R::InvalidCertificate(_) => "the certificate is not good".to_owned(),
        error => error.to_string(),
    }
}

/// Which rule a chain breaks that rustls has no name of its own for.
fn broken_rule(error: &webpki::Error) -> &'static str {
    use webpki::Error as W;
    match error {
        W::CaUsedAsEndEntity => {
            "it is the certificate of a CA, not of a server: let the CA sign one for the server, or make a \
             self-signed one with basicConstraints=CA:FALSE and trust that"
        }
        W::EndEntityUsedAsCa => "what vouches for it is not the certificate of a CA",
        W::NameConstraintViolation => "its CA may not vouch for this name",
        W::PathLenConstraintViolated => "its chain has more CAs than one of them allows",
        W::UnsupportedCertVersion => "it is not of X.509 version 3",
        W::UnsupportedCriticalExtension => "it has a critical extension that is not known here",
        _ => "it breaks a rule of X.509",
    }
}

/// The alert in words.
fn alert_in(error: &rustls::Error) -> String {
    let rustls::Error::AlertReceived(alert) = error else { return String::new() };
    let number = u8::from(*alert);
    let name = match number {
        40 => "handshake failure",
        42 => "bad certificate",
        43 => "unsupported certificate",
        44 => "certificate revoked",
        45 => "certificate expired",
        46 => "certificate unknown",
        48 => "unknown CA",
        49 => "access denied",
        70 => "protocol version",
        71 => "insufficient security",
        80 => "internal error",
        112 => "unrecognized name",
        116 => "certificate required",
        120 => "no application protocol",
        _ => return format!(" (alert {number})"),
    };
    format!(" (alert {number}, {name})")
}

fn untrusted(host: &str, why: &str) -> String {
    ["the certificate of ", host, " is not trusted: ", why].concat()
}

/// The refusal of a certificate whose own RSA key is too short.
fn short_key(cert: &CertificateDer<'_>) -> Option<rustls::Error> {
    let fields = Fields::read(cert)?;
    let why = too_short(fields.subject, fields.spki)?;
    Some(refuse(KL_E_TLS_UNTRUSTED, ["the server's certificate is not trusted: ", &why].concat()))
}

fn too_short(name: &[u8], spki: &[u8]) -> Option<String> {
    let bits = rsa_bits(spki).filter(|bits| *bits < MIN_RSA_BITS)?;
    let (bits, least) = (bits.to_string(), MIN_RSA_BITS.to_string());
    Some(
        [
            "the RSA key of ",
            &common_name(name),
            " has ",
            &bits,
            " bits, and less than ",
            &least,
            " proves nothing",
        ]
        .concat(),
    )
}

fn wrong_name(server: &ServerName<'_>, certificate: &[u8]) -> String {
    let host = server.to_str();
    let mut message = ["the certificate is not for ", &host].concat();
    let Some(fields) = Fields::read(certificate) else { return message };
    let names = fields.names();
    let kind = if matches!(server, ServerName::IpAddress(_)) { "IP:" } else { "DNS:" };
    if names.is_empty() {
        let common = common_name(fields.subject);
        let what = [
            ": it has no subjectAltName, and its common name ",
            &common,
            " does not count; it needs one with ",
        ];
        what.iter().chain(&[kind, &host]).for_each(|part| message.push_str(part));
        return message;
    }
    if kind == "IP:" && names.iter().any(|name| matches!(name, Name::Dns(dns) if *dns == *host)) {
        message.push_str(" as an address: that stands in it as a DNS name; it needs subjectAltName IP:");
        message.push_str(&host);
        return message;
    }
    for (i, name) in names.iter().take(3).enumerate() {
        message.push_str(if i == 0 { " but for " } else { ", " });
        match name {
            Name::Dns(dns) => message.push_str(dns),
            Name::Ip(ip) => message.push_str(&ip.to_string()),
        }
    }
    if names.len() > 3 {
        message.push_str(", ...");
    }
    message
}

/// When the server's own certificate begins and ends.
pub(super) fn validity(tls: &ClientConnection) -> Option<Validity> {
    super::x509::validity(tls.peer_certificates()?.first()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_shared_by_their_content_and_freed_with_their_last_client() {
        let made = |name: &str| {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut params = rcgen::CertificateParams::default();
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            Roots::Pem(params.self_signed(&key).unwrap().pem().into_bytes())
        };
        let (one, two) = (made("one"), made("two"));
        let first = load_roots(&one).unwrap();
        assert!(Arc::ptr_eq(&first, &load_roots(&one).unwrap()));
        assert!(!Arc::ptr_eq(&first, &load_roots(&two).unwrap()));
        assert_ne!(first.roots, load_roots(&two).unwrap().roots);
        let built_in = load_roots(&Roots::BuiltIn).unwrap();
        assert!(Arc::ptr_eq(&built_in, &load_roots(&Roots::BuiltIn).unwrap()));
        let weak = Arc::downgrade(&first);
        drop(first);
        assert!(weak.upgrade().is_none());
        assert_eq!(load_roots(&one).unwrap().roots.len(), 1);
    }

    #[test]
    fn pins_are_read_in_every_common_form() {
        let pin = sha256(b"x").unwrap();
        let hex: String = pin.iter().map(|b| format!("{b:02X}")).collect();
        let colons: Vec<String> = pin.iter().map(|b| format!("{b:02x}")).collect();
        use base64::Engine;
        let b64 = base64::engine::general_purpose::STANDARD.encode(pin);
        for text in [&hex, &colons.join(":"), &b64, &format!("sha256/{b64}"), &format!(" {b64} ")] {
            assert_eq!(parse_pin(text).unwrap(), pin, "{text}");
        }
        for bad in ["", "abc", "sha256/", &hex[1..], "%%%%", &b64[4..]] {
            assert!(parse_pin(bad).is_err(), "{bad}");
        }
    }
}
