//! Bytes as text.

/// In lower-case hexadecimal digits.
pub fn lower(bytes: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut digits = vec![0; bytes.len() * 2];
    for (two, b) in digits.chunks_exact_mut(2).zip(bytes) {
        two.copy_from_slice(&[HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
    }
    // Digits are characters.
    String::from_utf8(digits).unwrap_or_default()
}

/// The bytes that so many lower-case hexadecimal digits stand for.
pub fn from_lower<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |b: u8| if b.is_ascii_uppercase() { None } else { char::from(b).to_digit(16) };
    let mut out = [0; N];
    let pairs = text.as_bytes().chunks_exact(2);
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(pairs) {
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(out)
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// In base64 (RFC 4648, section 4), padded.
pub fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= three.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

/// What padded base64 stands for; `None` for whatever another writer would have written otherwise.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let bare = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    if text.len() % 4 == 0 { from_bare_base64(bare) } else { None }
}

/// The same without padding.
pub fn from_bare_base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut have) = (0u32, 0);
    for byte in text.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push((bits >> have) as u8);
        }
    }
    // Whole bytes, and zeroes behind them.
    (have < 6 && bits & ((1 << have) - 1) == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

    #[test]
    fn base64_is_what_another_reader_takes() {
        for length in 0..70u8 {
            let bytes: Vec<u8> = (0..length).map(|n| n.wrapping_mul(77) ^ length.wrapping_mul(31)).collect();
            let text = base64(&bytes);
            assert_eq!(text, STANDARD.encode(&bytes));
            assert_eq!(from_base64(&text).unwrap(), bytes);
        }
        // Every text of up to three of these, and every one of four and eight that is one change away from a good one.
        const PARTS: &[u8] = b"AQgw/+z09=-_ \n";
        let same = |text: &[u8]| {
            let text = std::str::from_utf8(text).unwrap();
            assert_eq!(from_base64(text), STANDARD.decode(text).ok(), "{text:?}");
            assert_eq!(from_bare_base64(text), STANDARD_NO_PAD.decode(text).ok(), "{text:?}");
        };
        for a in PARTS {
            same(&[*a]);
            for b in PARTS {
                same(&[*a, *b]);
                for c in PARTS {
                    same(&[*a, *b, *c]);
                    same(&[*a, b'A', *b, *c]);
                    same(&[b"QUFB", &[b'A', *a, *b, *c][..]].concat());
                }
            }
        }
        same("中".as_bytes());
    }
}
