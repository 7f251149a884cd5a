//! Certificates and handshakes: a certificate authority of its own, fresh at every start, and server
//! certificates that are right or wrong in exactly one way.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use serde::{Deserialize, Serialize};

/// What is wrong with the server certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateKind {
    /// Nothing.
    #[default]
    Good,
    /// It was valid during the year 2020 only.
    Expired,
    /// It becomes valid in the year 2090.
    NotYetValid,
    /// It names another host.
    WrongName,
    /// A different authority signed it.
    Untrusted,
    /// It ends in five days and a half.
    NearExpiry,
    /// Nothing; but beside it another one is shown that ended with the year 2020 and that nobody needs.
    EndedBeside,
}

/// Whether callers must show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// No certificate is asked for.
    #[default]
    None,
    /// Without a certificate of the simulator's client authority the handshake fails.
    Required,
}

/// How new handshakes are answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// The certificate shown.
    pub certificate: CertificateKind,
    /// The protocol versions spoken: `"1.2"`, `"1.3"`.
    pub versions: Vec<String>,
    /// Whether callers need a certificate.
    pub client_auth: ClientAuth,
    /// Accept the connection and never answer its first message.
    pub handshake_stall: bool,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            certificate: CertificateKind::Good,
            versions: vec!["1.2".into(), "1.3".into()],
            client_auth: ClientAuth::None,
            handshake_stall: false,
        }
    }
}

struct Authority {
    certificate: Certificate,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2099, 12, 31);
        let key = KeyPair::generate()?;
        Ok(Self { certificate: params.self_signed(&key)?, key })
    }

    fn issue(&self, mut params: CertificateParams) -> Result<(Certificate, KeyPair), rcgen::Error> {
        let key = KeyPair::generate()?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        Ok((params.signed_by(&key, &self.certificate, &self.key)?, key))
    }
}

struct Current {
    settings: TlsSettings,
    config: Arc<ServerConfig>,
    /// For so many handshakes this one instead.
    spoilt: Option<(Arc<ServerConfig>, u64)>,
    /// Made once, as a key costs time.
    wrong: Vec<(CertificateKind, Arc<ServerConfig>)>,
}

/// The authorities and the configuration of the next handshake.
pub struct Tls {
    authority: Authority,
    stranger: Authority,
    client_authority: Authority,
    ca_pem: String,
    client_cert_pem: String,
    client_key_pem: String,
    provider: Arc<CryptoProvider>,
    current: Mutex<Current>,
}

impl Tls {
    /// Makes the authorities and a good configuration.
    pub fn new() -> io::Result<Self> {
        Self::build().map_err(io::Error::other)
    }

    fn build() -> Result<Self, String> {
        let made = |e: rcgen::Error| format!("cannot make a certificate: {e}");
        let authority = Authority::new("kiosklink simulator CA").map_err(made)?;
        let client_authority = Authority::new("kiosklink simulator client CA").map_err(made)?;
        let stranger = Authority::new("kiosklink simulator stranger CA").map_err(made)?;
        let mut params = CertificateParams::new(Vec::<String>::new()).map_err(made)?;
        params.distinguished_name.push(DnType::CommonName, "kiosklink simulator client");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = date_time_ymd(2024, 1, 1);
        params.not_after = date_time_ymd(2090, 1, 1);
        let (client, client_key) = client_authority.issue(params).map_err(made)?;
        let provider = Arc::new(ring::default_provider());
        let settings = TlsSettings::default();
        let config = server_config(&authority, &stranger, &client_authority, &provider, &settings)?;
        Ok(Self {
            ca_pem: authority.certificate.pem(),
            client_cert_pem: client.pem(),
            client_key_pem: client_key.serialize_pem(),
            authority,
            stranger,
            client_authority,
            provider,
            current: Mutex::new(Current { settings, config, spoilt: None, wrong: Vec::new() }),
        })
    }

    /// The authority that callers should trust.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The authority's certificate for a client of our own.
    pub fn ca_der(&self) -> CertificateDer<'static> {
        self.authority.certificate.der().clone()
    }

    /// A client certificate and its key, as callers need them when `client_auth` is `required`.
    pub fn client_pair_pem(&self) -> (&str, &str) {
        (&self.client_cert_pem, &self.client_key_pem)
    }

    /// The provider of the cryptography.
    pub fn provider(&self) -> Arc<CryptoProvider> {
        self.provider.clone()
    }

    /// The settings in force.
    pub fn settings(&self) -> TlsSettings {
        self.lock().settings.clone()
    }

    /// The configuration for a handshake that begins now; none when it is to be left unanswered.
    pub fn for_handshake(&self) -> Option<Arc<ServerConfig>> {
        let mut current = self.lock();
        if let Some((config, left)) = current.spoilt.as_mut().filter(|(_, left)| *left > 0) {
            *left -= 1;
            return Some(config.clone());
        }
        (!current.settings.handshake_stall).then(|| current.config.clone())
    }

    /// Shows another certificate in so many handshakes to come.
    pub fn spoil(&self, kind: &str, handshakes: u64) -> Result<(), String> {
        let kind: CertificateKind = serde_json::from_value(kind.into()).map_err(|e| e.to_string())?;
        let mut current = self.lock();
        if !current.wrong.iter().any(|(k, _)| *k == kind) {
            let settings = TlsSettings { certificate: kind, ..current.settings.clone() };
            let config = server_config(
                &self.authority,
                &self.stranger,
                &self.client_authority,
                &self.provider,
                &settings,
            )?;
            current.wrong.push((kind, config));
        }
        let config = current.wrong.iter().find(|(k, _)| *k == kind).map(|(_, config)| config.clone());
        current.spoilt = config.map(|config| (config, handshakes));
        Ok(())
    }

    /// Changes how new handshakes are answered. Tickets given out before are no longer honoured.
    pub fn configure(&self, settings: TlsSettings) -> Result<(), String> {
        let config = server_config(
            &self.authority,
            &self.stranger,
            &self.client_authority,
            &self.provider,
            &settings,
        )?;
        *self.lock() = Current { settings, config, spoilt: None, wrong: Vec::new() };
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn leaf(kind: CertificateKind) -> Result<CertificateParams, rcgen::Error> {
    let names: &[&str] = match kind {
        CertificateKind::WrongName => &["another-host.invalid"],
        _ => &["localhost", "127.0.0.1", "::1"],
    };
    let mut params = CertificateParams::new(names.iter().map(|n| n.to_string()).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, names[0]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    (params.not_before, params.not_after) = match kind {
        CertificateKind::Expired => (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 12, 31)),
        CertificateKind::NotYetValid => (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1)),
        // As long as a public authority would: a device whose clock is years ahead meets its end.
        _ => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let day = Duration::from_secs(86_400);
            let at = |since: Duration| date_time_ymd(1970, 1, 1) + since;
            let left = if kind == CertificateKind::NearExpiry { day * 11 / 2 } else { 367 * day };
            (at(now.saturating_sub(30 * day)), at(now + left))
        }
    };
    Ok(params)
}

fn server_config(
    authority: &Authority,
    stranger: &Authority,
    client_authority: &Authority,
    provider: &Arc<CryptoProvider>,
    settings: &TlsSettings,
) -> Result<Arc<ServerConfig>, String> {
    let issuer = if settings.certificate == CertificateKind::Untrusted { stranger } else { authority };
    let (certificate, key) = leaf(settings.certificate)
        .and_then(|params| issuer.issue(params))
        .map_err(|e| format!("cannot make the server certificate: {e}"))?;
    let mut versions: Vec<&'static SupportedProtocolVersion> = Vec::new();
    for version in &settings.versions {
        versions.push(match version.as_str() {
            "1.2" => &rustls::version::TLS12,
            "1.3" => &rustls::version::TLS13,
            other => return Err(format!("unknown TLS version {other:?}; known are \"1.2\" and \"1.3\"")),
        });
    }
    if versions.is_empty() {
        return Err("\"versions\" must name at least one of \"1.2\" and \"1.3\"".into());
    }
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(|e| e.to_string())?;
    let builder = match settings.client_auth {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Required => {
            let mut roots = RootCertStore::empty();
            roots.add(client_authority.certificate.der().clone()).map_err(|e| e.to_string())?;
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                    .build()
                    .map_err(|e| e.to_string())?,
            )
        }
    };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut chain = vec![certificate.der().clone()];
    if settings.certificate == CertificateKind::EndedBeside {
        let mut params = CertificateParams::new(Vec::<String>::new()).map_err(|e| e.to_string())?;
        params.distinguished_name.push(DnType::CommonName, "kiosklink simulator former CA");
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 12, 31));
        chain.push(stranger.issue(params).map_err(|e| e.to_string())?.0.der().clone());
    }
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|e| format!("the server certificate does not load: {e}"))?;
    config.ticketer = ring::Ticketer::new().map_err(|e| e.to_string())?;
    Ok(Arc::new(config))
}
