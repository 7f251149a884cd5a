//! Sums in yuan. Times are in [`crate::time::calendar`].

pub(super) use crate::time::calendar::{to_wall, unix_time};

/// `"12.3"` as 1230 fen, digit by digit: no fraction of a yuan has an exact binary one. `None` if it is no price or finer than a fen.
pub(super) fn fen(text: &str) -> Option<i64> {
    let (yuan, rest) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(yuan) || !digits(rest) || rest.bytes().skip(2).any(|b| b != b'0') {
        return None;
    }
    let part = rest.bytes().chain(*b"00").take(2).fold(0, |sum, b| sum * 10 + i64::from(b - b'0'));
    yuan.parse::<i64>().ok()?.checked_mul(100)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_exact_or_nothing() {
        for (text, value) in [
            ("0.10", 10),
            ("3.00", 300),
            ("3", 300),
            ("1.5", 150),
            ("0.29", 29),
            ("1.100", 110),
            ("0", 0),
            ("92233720368547758.07", i64::MAX),
        ] {
            assert_eq!(fen(text), Some(value), "{text}");
        }
        for text in
            ["", ".", "1.", ".5", "-1.00", "+1", "1.005", "1e2", "1,00", "¥1", " 1", "92233720368547758.08"]
        {
            assert_eq!(fen(text), None, "{text}");
        }
    }
}
