//! The hub's certificate: the one that it is given, or one that it makes for itself. Kiosks pin its public key, so theirs need
//! no CA.

use crate::b64;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// What speaks TLS, and the pin of its key.
pub struct Tls {
    /// Takes connections.
    pub acceptor: TlsAcceptor,
    /// Base64 of SHA-256 of the public key (SPKI).
    pub pin: String,
}

/// Where the certificate is that the hub makes for itself.
pub fn own_files(data: &Path) -> (PathBuf, PathBuf) {
    (data.join("tls-cert.pem"), data.join("tls-key.pem"))
}

/// Makes a certificate for these names, unless there is one.
pub fn make(data: &Path, names: &[String]) -> Result<(), String> {
    let (cert_file, key_file) = own_files(data);
    if cert_file.exists() && key_file.exists() {
        return Ok(());
    }
    let wrong = |e: &dyn std::fmt::Display| format!("a certificate cannot be made: {e}");
    let mut params = rcgen::CertificateParams::new(names.to_vec()).map_err(|e| wrong(&e))?;
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(2100, 1, 1);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "kiosklink-hub");
    let key = rcgen::KeyPair::generate().map_err(|e| wrong(&e))?;
    let cert = params.self_signed(&key).map_err(|e| wrong(&e))?;
    let write = |path: &Path, text: &str, mode| {
        let mut file =
            fs::OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write(&key_file, &key.serialize_pem(), 0o600)
        .and_then(|()| write(&cert_file, &cert.pem(), 0o644))
        .map_err(|e| wrong(&e))
}

/// Reads a certificate chain with its key.
pub fn load(cert_file: &Path, key_file: &Path) -> Result<Tls, String> {
    let wrong = |file: &Path, e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert_file)
        .and_then(Iterator::collect)
        .map_err(|e| wrong(cert_file, &e))?;
    let pin = pin_of(chain.first().ok_or_else(|| wrong(cert_file, &"no certificate in it"))?)
        .map_err(|e| wrong(cert_file, &e))?;
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|e| wrong(key_file, &e))?;
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|b| b.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|e| wrong(key_file, &e))?;
    Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), pin })
}

/// The pin of a certificate file.
pub fn pin_of_file(cert_file: &Path) -> Option<String> {
    pin_of(&CertificateDer::from_pem_file(cert_file).ok()?).ok()
}

fn pin_of(cert: &CertificateDer<'_>) -> Result<String, String> {
    let cert = webpki::EndEntityCert::try_from(cert).map_err(|e| e.to_string())?;
    let key = cert.subject_public_key_info();
    Ok(b64(ring::digest::digest(&ring::digest::SHA256, &key).as_ref()))
}
