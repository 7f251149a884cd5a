//! What a certificate says of itself, for sentences and for pairing our own certificate with its key. Nothing is
//! trusted by what is read here: that is webpki's part, which refuses some certificates without a word of them.

use crate::time::calendar::asn1_time;
use crate::time::clock::Validity;
use std::net::IpAddr;

/// The fields of a certificate, as they stand in its DER.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    /// Who signed it: the content of the name.
    pub(super) issuer: &'a [u8],
    /// Whose it is: the content of the name.
    pub(super) subject: &'a [u8],
    /// The whole SubjectPublicKeyInfo.
    pub(super) spki: &'a [u8],
    /// When its validity begins and ends, Unix seconds; `None` if that cannot be read.
    pub(super) validity: Option<(i64, i64)>,
    /// What follows the key; nothing in X.509 version 1.
    rest: &'a [u8],
}

/// One thing that a certificate is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name {
    Dns(String),
    Ip(IpAddr),
}

/// One element of DER.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    whole: &'a [u8],
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0] EXPLICIT Version`, which version 1 does not have.
const VERSION: u8 = 0xA0;
/// 2.5.29.17 and 2.5.4.3, with their tag and length.
const SUBJECT_ALT_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x1D, 0x11];
const COMMON_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x03];
/// 1.2.840.113549.1.1.1
const RSA: &[u8] = &[0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];

impl<'a> Fields<'a> {
    /// Reads a certificate of any version; `None` if it is none.
    pub(super) fn read(certificate: &'a [u8]) -> Option<Fields<'a>> {
        let mut outer = certificate;
        let signed = next(&mut outer, SEQUENCE)?;
        if !outer.is_empty() {
            return None;
        }
        let mut parts = next(&mut { signed.content }, SEQUENCE)?.content;
        if parts.first() == Some(&VERSION) {
            next(&mut parts, VERSION)?;
        }
        next(&mut parts, INTEGER)?;
        next(&mut parts, SEQUENCE)?;
        let issuer = next(&mut parts, SEQUENCE)?.content;
        let validity = next(&mut parts, SEQUENCE)?.content;
        let subject = next(&mut parts, SEQUENCE)?.content;
        let spki = next(&mut parts, SEQUENCE)?.whole;
        Some(Fields { issuer, subject, spki, validity: period(validity), rest: parts })
    }

    /// The names and addresses that it is for: its subjectAltName.
    pub(super) fn names(&self) -> Vec<Name> {
        let mut names = Vec::new();
        let Some(at) = find(self.rest, SUBJECT_ALT_NAME) else { return names };
        let mut rest = &self.rest[at + SUBJECT_ALT_NAME.len()..];
        while let Some(element) = element(&mut rest) {
            let content = element.content;
            match element.tag {
                // The octets with the list, and the list in them.
                0x04 | SEQUENCE => rest = content,
                0x82 => names.push(Name::Dns(String::from_utf8_lossy(content).into_owned())),
                0x87 => match (<[u8; 4]>::try_from(content), <[u8; 16]>::try_from(content)) {
                    (Ok(four), _) => names.push(Name::Ip(IpAddr::from(four))),
                    (_, Ok(sixteen)) => names.push(Name::Ip(IpAddr::from(sixteen))),
                    _ => {}
                },
                // Whether the extension is critical; other kinds of name.
                _ => {}
            }
        }
        names
    }
}

/// The common name in the content of a name, in quotes; "without a name" if there is none.
pub(super) fn common_name(name: &[u8]) -> String {
    let value = find(name, COMMON_NAME).and_then(|at| {
        let mut rest = &name[at + COMMON_NAME.len()..];
        element(&mut rest)
    });
    match value {
        Some(value) => ["\"", &String::from_utf8_lossy(value.content), "\""].concat(),
        None => "without a name".to_owned(),
    }
}

/// How many bits the key of a SubjectPublicKeyInfo has, or of its content, if it is RSA.
pub(super) fn rsa_bits(spki: &[u8]) -> Option<usize> {
    let at = find(spki, RSA)?;
    // The key's parameters, NULL, are the rest of the algorithm.
    let mut rest = &spki[at + RSA.len()..];
    if rest.first() == Some(&0x05) {
        element(&mut rest)?;
    }
    let bits = next(&mut rest, BIT_STRING)?.content.strip_prefix(&[0])?;
    let mut numbers = next(&mut { bits }, SEQUENCE)?.content;
    let modulus = next(&mut numbers, INTEGER)?.content;
    let modulus = &modulus[modulus.iter().position(|b| *b != 0)?..];
    Some(modulus.len() * 8 - modulus[0].leading_zeros() as usize)
}

/// The two times of a validity.
fn period(mut validity: &[u8]) -> Option<(i64, i64)> {
    Some((unix_time(element(&mut validity)?)?, unix_time(element(&mut validity)?)?))
}

/// A time as RFC 5280 wants it, in UTC: `YYMMDDhhmmssZ` until 2049, then `YYYYMMDDhhmmssZ`.
fn unix_time(time: Element<'_>) -> Option<i64> {
    let digits = time.content.strip_suffix(b"Z")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |from: &[u8]| from.iter().fold(0i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let (year, rest) = match (time.tag, digits.len()) {
        (UTC_TIME, 12) => {
            let (two, rest) = digits.split_at(2);
            let two = number(two);
            (if two < 50 { 2000 + two } else { 1900 + two }, rest)
        }
        (GENERALIZED_TIME, 14) => {
            let (year, rest) = digits.split_at(4);
            (number(year), rest)
        }
        _ => return None,
    };
    let part = |at: usize| number(&rest[at..at + 2]);
    let (month, day) = (part(0), part(2));
    // Days by the years that begin in March, so that a leap day is a year's last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + part(4)) * 60 + part(6)) * 60 + part(8))
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// The next element, if it has this tag.
fn next<'a>(der: &mut &'a [u8], tag: u8) -> Option<Element<'a>> {
    element(der).filter(|element| element.tag == tag)
}

/// When a certificate begins and ends.
pub(super) fn validity(certificate: &[u8]) -> Option<Validity> {
    let mut outer = certificate;
    let mut signed = element(&mut outer)?.content;
    let mut body = element(&mut signed)?.content;
    // Version, unless it is the first; serial number, algorithm, issuer; then the validity.
    let first = element(&mut body)?;
    for _ in 0..if first.tag == 0xa0 { 3 } else { 2 } {
        element(&mut body)?;
    }
    let mut both = element(&mut body)?.content;
    let (begin, end) = (element(&mut both)?, element(&mut both)?);
    Some(Validity {
        not_before_s: asn1_time(begin.tag, begin.content)?,
        not_after_s: asn1_time(end.tag, end.content)?,
    })
}

/// The next element; `der` is then what follows it.
fn element<'a>(der: &mut &'a [u8]) -> Option<Element<'a>> {
    let whole = *der;
    let (head, rest) = whole.split_at_checked(2)?;
    let (length, rest) = match head[1] {
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (usize::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?)), rest.get(2..)?),
        0x80 | 0x83.. => return None,
        short => (usize::from(short), rest),
    };
    let (content, behind) = rest.split_at_checked(length)?;
    *der = behind;
    Some(Element { tag: head[0], content, whole: &whole[..whole.len() - behind.len()] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;

    fn der(pem: &[u8]) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem).unwrap()
    }

    #[test]
    fn certificates_of_both_versions_are_read() {
        let short = der(include_bytes!("../../tests/net/certs/short-leaf.pem"));
        let fields = Fields::read(&short).unwrap();
        assert_eq!(fields.issuer, fields.subject);
        assert_eq!(common_name(fields.subject), "\"cabinet.test\"");
        assert_eq!((rsa_bits(fields.spki), fields.names()), (Some(1024), vec![]));

        let leaf = der(include_bytes!("../../tests/net/certs/leaf-of-short-ca.pem"));
        let fields = Fields::read(&leaf).unwrap();
        assert_eq!(common_name(fields.issuer), "\"short\"");
        assert_eq!((rsa_bits(fields.spki), fields.names()), (None, vec![Name::Dns("cabinet.test".into())]));

        let old = der(include_bytes!("../../tests/net/certs/client-v1.pem"));
        let fields = Fields::read(&old).unwrap();
        assert_eq!(common_name(fields.subject), "\"kiosk-7\"");
        assert!(fields.rest.is_empty() && fields.names().is_empty());
    }

    #[test]
    fn the_end_of_a_validity_is_read_in_both_forms() {
        let end = |tag, text: &str| unix_time(Element { tag, content: text.as_bytes(), whole: &[] });
        assert_eq!(end(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(end(UTC_TIME, "000229235959Z"), Some(951_868_799));
        assert_eq!(end(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(end(GENERALIZED_TIME, "21261105013307Z"), Some(4_949_515_987));
        for bad in ["21261105013307", "2126110501330Z", "21261105013307+0100", ""] {
            assert_eq!(end(GENERALIZED_TIME, bad), None, "{bad}");
        }
        let leaf = der(include_bytes!("../../tests/net/certs/leaf-of-short-ca.pem"));
        assert_eq!(Fields::read(&leaf).unwrap().validity, Some((1_795_915_987, 4_949_515_987)));
    }

    #[test]
    fn whatever_is_cut_or_changed_is_read_or_refused_without_harm() {
        let whole = der(include_bytes!("../../tests/net/certs/leaf-of-short-ca.pem")).to_vec();
        for length in 0..whole.len() {
            assert!(Fields::read(&whole[..length]).is_none(), "{length}");
            for value in [0, 0x30, 0x7f, 0x80, 0x81, 0x82, 0xff] {
                let mut changed = whole.clone();
                changed[length] = value;
                if let Some(fields) = Fields::read(&changed) {
                    fields.names();
                    common_name(fields.subject);
                    rsa_bits(fields.spki);
                }
            }
        }
        assert_eq!(common_name(&[]), "without a name");
    }
}
