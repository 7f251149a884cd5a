//! The cryptography of TLS: ring's, without Ed25519 unless a feature asks for it. No public CA issues it, and its code is
//! 26 kB on ARMv7.

use rustls::SignatureScheme as Scheme;
use rustls::crypto::{
    CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, WebPkiSupportedAlgorithms, ring,
};
use rustls::sign::SigningKey;
use rustls_pki_types::{PrivateKeyDer, SignatureVerificationAlgorithm};
use std::sync::Arc;
use webpki::ring as known;

/// Whether this build knows Ed25519.
pub(super) const ED25519: bool = cfg!(feature = "ed25519");

/// Named part by part: whatever `ring::default_provider` names would be linked.
pub(super) fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: ring::DEFAULT_CIPHER_SUITES.to_vec(),
        kx_groups: ring::DEFAULT_KX_GROUPS.to_vec(),
        signature_verification_algorithms: WebPkiSupportedAlgorithms { all: ALL, mapping: BY_SCHEME },
        secure_random: &Ours,
        key_provider: &Ours,
    }
}

type Algorithms = &'static [&'static dyn SignatureVerificationAlgorithm];

/// What may have signed a certificate.
const ALL: Algorithms = &[
    known::ECDSA_P256_SHA256,
    known::ECDSA_P256_SHA384,
    known::ECDSA_P384_SHA256,
    known::ECDSA_P384_SHA384,
    #[cfg(feature = "ed25519")]
    known::ED25519,
    known::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    known::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    known::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
    known::RSA_PKCS1_2048_8192_SHA256,
    known::RSA_PKCS1_2048_8192_SHA384,
    known::RSA_PKCS1_2048_8192_SHA512,
    known::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
    known::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
    known::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
];

/// What may sign a handshake, in the order of rustls. TLS 1.2 does not tie the curve to the scheme; TLS 1.3 does, and takes
/// the first.
const BY_SCHEME: &[(Scheme, Algorithms)] = &[
    (Scheme::ECDSA_NISTP384_SHA384, &[known::ECDSA_P384_SHA384, known::ECDSA_P256_SHA384]),
    (Scheme::ECDSA_NISTP256_SHA256, &[known::ECDSA_P256_SHA256, known::ECDSA_P384_SHA256]),
    #[cfg(feature = "ed25519")]
    (Scheme::ED25519, &[known::ED25519]),
    (Scheme::RSA_PSS_SHA512, &[known::RSA_PSS_2048_8192_SHA512_LEGACY_KEY]),
    (Scheme::RSA_PSS_SHA384, &[known::RSA_PSS_2048_8192_SHA384_LEGACY_KEY]),
    (Scheme::RSA_PSS_SHA256, &[known::RSA_PSS_2048_8192_SHA256_LEGACY_KEY]),
    (Scheme::RSA_PKCS1_SHA512, &[known::RSA_PKCS1_2048_8192_SHA512]),
    (Scheme::RSA_PKCS1_SHA384, &[known::RSA_PKCS1_2048_8192_SHA384]),
    (Scheme::RSA_PKCS1_SHA256, &[known::RSA_PKCS1_2048_8192_SHA256]),
];

#[derive(Debug)]
struct Ours;

impl SecureRandom for Ours {
    fn fill(&self, buf: &mut [u8]) -> Result<(), GetRandomFailed> {
        use ::ring::rand::SecureRandom;
        ::ring::rand::SystemRandom::new().fill(buf).map_err(|_| GetRandomFailed)
    }
}

impl KeyProvider for Ours {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        if let Ok(rsa) = ring::sign::RsaSigningKey::new(&key) {
            return Ok(Arc::new(rsa));
        }
        #[cfg(feature = "ed25519")]
        if let PrivateKeyDer::Pkcs8(pkcs8) = &key {
            if let Ok(ed25519) = ring::sign::any_eddsa_type(pkcs8) {
                return Ok(ed25519);
            }
        }
        ring::sign::any_ecdsa_type(&key)
    }
}

/// Whether a private key is of Ed25519, by what stands in its PKCS #8 behind the version.
pub(super) fn is_ed25519(key: &PrivateKeyDer<'_>) -> bool {
    const ALGORITHM: &[u8] = &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70];
    matches!(key, PrivateKeyDer::Pkcs8(pkcs8) if pkcs8.secret_pkcs8_der().get(5..12) == Some(ALGORITHM))
}

#[cfg(test)]
mod tests {
    use super::*;

    // An algorithm of ring's that is not named here would be lost without a word; one that is named twice or in another
    // order would be offered so.
    #[test]
    fn all_that_ring_verifies_is_verified_here_less_ed25519() {
        let (ours, theirs) = (provider(), ring::default_provider());
        let schemes = |p: &CryptoProvider| p.signature_verification_algorithms.supported_schemes();
        let expected: Vec<Scheme> =
            schemes(&theirs).into_iter().filter(|s| ED25519 || *s != Scheme::ED25519).collect();
        assert_eq!(schemes(&ours), expected);
        let less = usize::from(!ED25519);
        let (ours, theirs) =
            (ours.signature_verification_algorithms, theirs.signature_verification_algorithms);
        assert_eq!(ours.all.len() + less, theirs.all.len());
        assert_eq!(ours.mapping.len() + less, theirs.mapping.len());
        for one in ours.mapping {
            let theirs = theirs.mapping.iter().find(|(scheme, _)| *scheme == one.0).unwrap();
            let ids = |all: Algorithms| -> Vec<_> {
                all.iter().map(|a| (a.public_key_alg_id(), a.signature_alg_id())).collect()
            };
            assert_eq!(ids(one.1), ids(theirs.1));
        }
    }
}
