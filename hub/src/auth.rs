//! Who asks: signed requests, so that a proxy may end TLS.
//!
//! ```text
//! Authorization: KL1 device=D, key=N, challenge=C, nonce=R, signature=S
//! ```
//!
//! S is an ECDSA signature (P-256, SHA-256, ASN.1, Base64) over seven lines:
//!
//! ```text
//! KL1 \n METHOD \n path and query as sent \n device \n key number \n challenge \n nonce \n hex(SHA-256(body))
//! ```
//!
//! The challenge is the hub's own time under the hub's own seal, from any answer of the last minutes: a device whose clock stands
//! at 1970 signs as well as any other. A nonce is used once while its challenge lives. The seal is new at every start, so what
//! was signed before it is worth nothing after it.

use crate::store::{Answer, Device, Key, Store};
use crate::{b64, hex, unb64};
use ring::{digest, hmac, signature};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// How long a challenge is good, in milliseconds.
const GOOD_MS: u64 = 600_000;
/// Nonces of one device that are remembered at a time: so many requests in this time are enough for a kiosk.
const NONCES: usize = 6_000;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is not signed, or not in this form.
    Form,
    /// Its challenge is too old, of another start, or none: here is another one. Nothing was done.
    Challenge,
    /// It came before.
    Replay,
    /// Too many requests in a short time.
    Often,
    /// No such device, no such key, or the signature is wrong: not told apart.
    Unknown,
    /// The device was revoked.
    Revoked,
    /// The device's time is up: it may only change its key.
    Expired,
    /// The database is away.
    Away,
}

impl Refused {
    /// A word for programs and for the count.
    pub fn word(&self) -> &'static str {
        match self {
            Refused::Form => "unsigned",
            Refused::Challenge => "challenge",
            Refused::Replay => "replay",
            Refused::Often => "too_often",
            Refused::Unknown => "unknown_device",
            Refused::Revoked => "revoked",
            Refused::Expired => "expired",
            Refused::Away => "database",
        }
    }
}

/// A request, as far as it is signed.
pub struct Signed<'a> {
    /// `POST`.
    pub method: &'a str,
    /// Path and query as they were sent.
    pub target: &'a str,
    /// The header `Authorization`.
    pub authorization: &'a str,
    /// All of it.
    pub body: &'a [u8],
}

/// The parts of the header.
struct Parts<'a> {
    device: &'a str,
    key: u32,
    challenge: &'a str,
    nonce: &'a str,
    signature: Vec<u8>,
}

/// Who may ask.
pub struct Gate {
    seal: hmac::Key,
    store: Arc<dyn Store>,
    /// By device: the nonces of this stretch of time, and of the one before.
    nonces: Mutex<HashMap<String, Nonces>>,
}

#[derive(Default)]
struct Nonces {
    stretch: u64,
    now: HashSet<String>,
    before: HashSet<String>,
}

/// The text that is signed.
pub fn signed_text(
    method: &str,
    target: &str,
    device: &str,
    key: u32,
    challenge: &str,
    nonce: &str,
    body: &[u8],
) -> String {
    let body = hex(digest::digest(&digest::SHA256, body).as_ref());
    ["KL1", method, target, device, &key.to_string(), challenge, nonce, &body].join("\n")
}

/// Whether a signature is of this key.
pub fn verify(point: &[u8], text: &str, signature: &[u8]) -> bool {
    signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, point)
        .verify(text.as_bytes(), signature)
        .is_ok()
}

/// The point in a public key of P-256: SubjectPublicKeyInfo (DER) in Base64.
pub fn point_of(spki: &str) -> Option<Vec<u8>> {
    const HEAD: [u8; 26] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    let der = unb64(spki)?;
    let point = der.strip_prefix(&HEAD)?;
    (point.len() == 65 && point[0] == 4).then(|| point.to_vec())
}

impl Gate {
    /// With a seal of its own.
    pub fn new(store: Arc<dyn Store>) -> Gate {
        let seal = hmac::Key::new(hmac::HMAC_SHA256, &crate::random::<32>());
        Gate { seal, store, nonces: Mutex::default() }
    }

    /// A challenge at this time of a clock that only goes forward, in milliseconds.
    pub fn challenge(&self, now_ms: u64) -> String {
        let time = now_ms.to_be_bytes();
        let tag = hmac::sign(&self.seal, &time);
        hex(&[&time, tag.as_ref()].concat())
    }

    /// When a challenge was given; `None` if it is none of ours or too old.
    fn given(&self, challenge: &str, now_ms: u64) -> Option<u64> {
        let bytes = crate::unhex(challenge)?;
        let (time, tag) = bytes.split_at_checked(8)?;
        hmac::verify(&self.seal, time, tag).ok()?;
        let time = u64::from_be_bytes(time.try_into().ok()?);
        (time <= now_ms && now_ms - time < GOOD_MS).then_some(time)
    }

    /// Takes a nonce once.
    fn fresh(&self, device: &str, nonce: &str, now_ms: u64) -> Result<(), Refused> {
        let stretch = now_ms / GOOD_MS;
        let mut all = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.entry(device.to_owned()).or_default();
        if own.stretch != stretch {
            let last = std::mem::take(&mut own.now);
            own.before = if own.stretch + 1 == stretch { last } else { HashSet::new() };
            own.stretch = stretch;
        }
        if own.now.contains(nonce) || own.before.contains(nonce) {
            return Err(Refused::Replay);
        }
        if own.now.len() >= NONCES {
            return Err(Refused::Often);
        }
        own.now.insert(nonce.to_owned());
        Ok(())
    }

    fn known(&self, id: &str) -> Answer<Option<(Device, Vec<Key>)>> {
        // What is no name of a device is not asked for.
        if id.len() > 64 { Ok(None) } else { self.store.device(id) }
    }

    /// Whose request this is, and by which key. `at`: Unix seconds. `expired_too`: what a device may ask whose time is up.
    /// Blocks on the database.
    pub fn admit(
        &self,
        r: &Signed<'_>,
        now_ms: u64,
        at: i64,
        expired_too: bool,
    ) -> Result<(Device, Key), Refused> {
        let parts = parse(r.authorization).ok_or(Refused::Form)?;
        if self.given(parts.challenge, now_ms).is_none() {
            return Err(Refused::Challenge);
        }
        let found = self.known(parts.device).map_err(|_| Refused::Away)?;
        let (device, keys) = found.ok_or(Refused::Unknown)?;
        let key = keys.into_iter().find(|k| k.number == parts.key).ok_or(Refused::Unknown)?;
        let text =
            signed_text(r.method, r.target, &device.id, key.number, parts.challenge, parts.nonce, r.body);
        if !verify(&key.point, &text, &parts.signature) {
            return Err(Refused::Unknown);
        }
        // Only the holder of the key is told what became of the device.
        if device.revoked_at != 0 {
            return Err(Refused::Revoked);
        }
        self.fresh(&device.id, parts.nonce, now_ms)?;
        if device.expires_at != 0 && device.expires_at <= at && !expired_too {
            return Err(Refused::Expired);
        }
        Ok((device, key))
    }
}

fn parse(header: &str) -> Option<Parts<'_>> {
    let mut found: HashMap<&str, &str> = HashMap::new();
    for part in header.strip_prefix("KL1 ")?.split(',') {
        let (name, value) = part.trim().split_once('=')?;
        if found.insert(name, value).is_some() {
            return None;
        }
    }
    let nonce = *found.get("nonce")?;
    if !(16..=64).contains(&nonce.len())
        || !nonce.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    {
        return None;
    }
    Some(Parts {
        device: found.get("device")?,
        key: found.get("key")?.parse().ok()?,
        challenge: found.get("challenge").copied().unwrap_or_default(),
        nonce,
        signature: unb64(found.get("signature")?)?,
    })
}

/// What a header says, for a client.
pub fn header(device: &str, key: u32, challenge: &str, nonce: &str, signature: &[u8]) -> String {
    format!(
        "KL1 device={device}, key={key}, challenge={challenge}, nonce={nonce}, signature={}",
        b64(signature)
    )
}
