//! Texts in quotes, as JSON spells them and as errors show them; and a quick sum of bytes.

/// The first byte from here on that does not stand for itself in a string; the end if there is none. A word at a time:
/// documents are mostly strings.
#[inline(always)]
pub fn special(bytes: &[u8], mut at: usize) -> usize {
    const ONES: usize = usize::MAX / 255;
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let word = usize::from_le_bytes(*word);
        // With this bit turned a quote is a blank, what is below a blank stays there, and nothing else comes there.
        let quote = word ^ (ONES * 2);
        let backslash = word ^ (ONES * b'\\' as usize);
        // A byte's top bit is set if it is one of them. Carries make that wrong only behind the first such byte.
        let found = (quote.wrapping_sub(ONES * 0x21) & !quote) | (backslash.wrapping_sub(ONES) & !backslash);
        let found = found & (ONES << 7);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += size_of::<usize>();
    }
    while bytes.get(at).is_some_and(|b| *b >= b' ' && !matches!(b, b'"' | b'\\')) {
        at += 1;
    }
    at
}

/// A sum of bytes, eight at a time: what is known and what is new, multiplied, and the product folded. What follows the last
/// whole eight comes with the length.
#[inline(never)]
pub fn folded(seed: u64, bytes: &[u8]) -> u64 {
    let mut sum = seed;
    let mut take = |new: u64| {
        let wide = u128::from(sum ^ new) * 0xF39C_C060_5CED_C835;
        sum = wide as u64 ^ (wide >> 64) as u64;
    };
    let mut rest = bytes;
    while let Some((eight, more)) = rest.split_first_chunk() {
        take(u64::from_le_bytes(*eight));
        rest = more;
    }
    take(rest.iter().fold(bytes.len() as u64, |all, byte| all << 8 | u64::from(*byte)));
    sum
}

/// Appends a string with its quotes and escapes.
pub fn push_string(out: &mut String, value: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push('"');
    let mut from = 0;
    loop {
        // What needs no escape goes over in one piece. The others are characters of their own in UTF-8.
        let at = special(value.as_bytes(), from);
        out.push_str(value.get(from..at).unwrap_or_default());
        match value.as_bytes().get(at) {
            None => break,
            Some(b'"') => out.push_str("\\\""),
            Some(b'\\') => out.push_str("\\\\"),
            Some(b'\n') => out.push_str("\\n"),
            Some(b'\r') => out.push_str("\\r"),
            Some(b'\t') => out.push_str("\\t"),
            Some(byte) => {
                out.push_str("\\u00");
                out.push(HEX[usize::from(byte >> 4)] as char);
                out.push(HEX[usize::from(byte & 15)] as char);
            }
        }
        from = at + 1;
    }
    out.push('"');
}
