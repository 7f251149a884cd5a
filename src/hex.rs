//! Bytes as text.

/// In lower-case hexadecimal digits.
pub(crate) fn lower(bytes: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|b| [HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
    // Digits are characters.
    String::from_utf8(digits.collect()).unwrap_or_default()
}
