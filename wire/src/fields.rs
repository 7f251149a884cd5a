//! A record of the journal as its fields, apart by tabs, and its line in the file.

use crate::json::Bad;
use crate::text::folded;
use std::ops::Range;

/// The fields of a record as they are written, each behind a tab. What is nothing at its end is left out.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<u8>);

impl Fields {
    /// Begins with a number, before which there is no tab.
    #[inline(never)]
    pub fn beginning(n: u64, capacity: usize) -> Fields {
        let mut w = Fields(Vec::with_capacity(capacity));
        digits(&mut w.0, n);
        w
    }

    /// What has neither tab nor backslash nor any other character that a text writes as two.
    #[inline(never)]
    pub fn plain(&mut self, field: &[u8]) -> &mut Fields {
        self.0.reserve(1 + field.len());
        self.0.push(b'\t');
        self.0.extend_from_slice(field);
        self
    }

    /// Any text.
    #[inline(never)]
    pub fn text(&mut self, text: &str) -> &mut Fields {
        if is_plain(text.as_bytes()) {
            return self.plain(text.as_bytes());
        }
        self.0.push(b'\t');
        for byte in text.bytes() {
            match byte {
                b'\t' => self.0.extend_from_slice(b"\\t"),
                b'\n' => self.0.extend_from_slice(b"\\n"),
                0 => self.0.extend_from_slice(b"\\0"),
                b'\\' => self.0.extend_from_slice(b"\\\\"),
                byte => self.0.push(byte),
            }
        }
        self
    }

    /// Nothing stands for 0.
    #[inline(never)]
    pub fn number(&mut self, n: u64) -> &mut Fields {
        self.0.push(b'\t');
        if n != 0 {
            digits(&mut self.0, n);
        }
        self
    }

    /// The same with a sign.
    #[inline(never)]
    pub fn int(&mut self, n: i64) -> &mut Fields {
        if n >= 0 {
            return self.number(n as u64);
        }
        self.plain(b"-");
        digits(&mut self.0, n.unsigned_abs());
        self
    }

    /// A number that may be 0 or none.
    #[inline(never)]
    pub fn maybe(&mut self, n: Option<i64>) -> &mut Fields {
        match n {
            Some(0) => self.plain(b"0"),
            Some(n) => self.int(n),
            None => self.plain(b""),
        }
    }

    /// The record's text.
    #[inline(never)]
    pub fn finish(mut self) -> String {
        while self.0.last() == Some(&b'\t') {
            self.0.pop();
        }
        // Of texts, digits and tabs.
        String::from_utf8(self.0).unwrap_or_default()
    }
}

/// Appends a number's decimal digits.
fn digits(out: &mut Vec<u8>, n: u64) {
    let mut digits = [b'0'; 20];
    let (mut at, mut rest) = (digits.len(), n);
    loop {
        // Nine at a time: a division of 64 bits is dear on a board.
        let mut nine = (rest % 1_000_000_000) as u32;
        rest /= 1_000_000_000;
        let end = if rest == 0 { at } else { at - 9 };
        while nine > 0 {
            at -= 1;
            digits[at] = b'0' + (nine % 10) as u8;
            nine /= 10;
        }
        if rest == 0 {
            break;
        }
        at = end;
    }
    out.extend_from_slice(&digits[at.min(digits.len() - 1)..]);
}

const ONES: u64 = u64::MAX / 255;

/// Whether nothing of a text is written as two characters. Eight bytes at a time: each of them with its highest bit set if
/// it is below eleven, or a backslash.
fn is_plain(text: &[u8]) -> bool {
    let special = |eight: u64| {
        let low = eight.wrapping_sub(ONES * 11) & !eight;
        let backslash = eight ^ ONES.wrapping_mul(u64::from(b'\\'));
        (low | backslash.wrapping_sub(ONES) & !backslash) & ONES << 7 != 0
    };
    let mut rest = text;
    while let Some((eight, more)) = rest.split_first_chunk() {
        if special(u64::from_le_bytes(*eight)) {
            return false;
        }
        rest = more;
    }
    !special(rest.iter().fold(u64::MAX >> 1, |all, byte| all << 8 | u64::from(*byte)))
}

/// Where the first tab is; the end if there is none.
fn tab(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(eight) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let zero = u64::from_le_bytes(*eight) ^ ONES.wrapping_mul(u64::from(b'\t'));
        let found = zero.wrapping_sub(ONES) & !zero & ONES << 7;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while text.get(at).is_some_and(|b| *b != b'\t') {
        at += 1;
    }
    at
}

/// The fields of a record as they are read; nothing behind the last.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(Option<&'a str>);

impl<'a> Reader<'a> {
    /// Of a record's text.
    pub fn new(text: &'a str) -> Reader<'a> {
        Reader(Some(text))
    }

    /// The next field as it stands.
    #[inline(never)]
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> &'a str {
        let Some(rest) = self.0 else { return "" };
        let end = tab(rest.as_bytes());
        self.0 = rest.get(end + 1..);
        rest.get(..end).unwrap_or_default()
    }

    /// Whether no field follows.
    pub fn is_at_the_end(&self) -> bool {
        self.0.is_none()
    }

    /// The next field as a text.
    ///
    /// # Errors
    ///
    /// A backslash before something that no text is written with.
    #[inline(never)]
    pub fn text(&mut self) -> Result<String, Bad> {
        let field = self.next();
        if field.is_empty() {
            return Ok(String::new());
        }
        // Of what is written as two characters only the backslash is left.
        if is_plain(field.as_bytes()) {
            return Ok(field.to_owned());
        }
        let mut out = Vec::with_capacity(field.len());
        let mut rest = field.as_bytes();
        while let Some((byte, more)) = rest.split_first() {
            rest = more;
            if *byte != b'\\' {
                out.push(*byte);
                continue;
            }
            let Some((escaped, more)) = rest.split_first() else { return Err(Bad::new("", "is no text")) };
            rest = more;
            out.push(match escaped {
                b't' => b'\t',
                b'n' => b'\n',
                b'0' => 0,
                b'\\' => b'\\',
                _ => return Err(Bad::new("", "is no text")),
            });
        }
        // A character went over whole, or was one of these.
        String::from_utf8(out).map_err(|_| Bad::new("", "is no text"))
    }

    /// A number; nothing is 0.
    ///
    /// # Errors
    ///
    /// It has another character than digits, or does not fit.
    #[inline(never)]
    pub fn number(&mut self, what: &str) -> Result<u64, Bad> {
        number(self.next().as_bytes()).ok_or_else(|| Bad::new(what, "is no number"))
    }

    /// The same with a sign.
    ///
    /// # Errors
    ///
    /// As those of [`Reader::number`].
    #[inline(never)]
    pub fn int(&mut self, what: &str) -> Result<i64, Bad> {
        int(self.next(), what)
    }

    /// A number that may be none.
    ///
    /// # Errors
    ///
    /// As those of [`Reader::number`].
    #[inline(never)]
    pub fn maybe(&mut self, what: &str) -> Result<Option<i64>, Bad> {
        match self.next() {
            "" => Ok(None),
            field => int(field, what).map(Some),
        }
    }
}

fn int(field: &str, what: &str) -> Result<i64, Bad> {
    let n = match field.strip_prefix('-') {
        Some(digits) => number(digits.as_bytes()).and_then(|n| 0i64.checked_sub_unsigned(n)),
        None => number(field.as_bytes()).and_then(|n| i64::try_from(n).ok()),
    };
    n.ok_or_else(|| Bad::new(what, "is no number"))
}

/// Nothing is 0.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |n, digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        n.checked_mul(10)?.checked_add(digit.into())
    })
}

/// The number that a record was written with, before its first tab.
#[inline(never)]
pub fn number_of(record: &[u8]) -> Option<u64> {
    let end = tab(record);
    if end == 0 || end == record.len() { None } else { number(&record[..end]) }
}

/// A line: where its text is, and how long it is with its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where its text is.
    pub text: Range<usize>,
    /// Its length with its end.
    pub length: usize,
}

/// Appends a line: `<sum> <length> <text>`, with its end. The sum covers the length too, and with a seed the file's generation and
/// the place in it; without one it is a CRC.
#[inline(never)]
pub fn push_line(out: &mut Vec<u8>, text: &[u8], seed: Option<(u64, u64)>) {
    let begin = out.len();
    out.reserve(text.len() + 24);
    out.extend_from_slice(b"00000000 ");
    let length = hexadecimal(u32::try_from(text.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(&length[length.iter().position(|d| *d != b'0').unwrap_or(8)..]);
    out.push(b' ');
    out.extend_from_slice(text);
    let sum = hexadecimal(sum_of(&out[begin + 9..], seed));
    out[begin..begin + 8].copy_from_slice(&sum);
    out.push(b'\n');
}

/// The line that begins here, if its sum is right; its last byte is not looked at.
#[inline(never)]
pub fn line(bytes: &[u8], seed: Option<(u64, u64)>) -> Option<Line> {
    let (sum, rest) = bytes.split_at_checked(8)?;
    let rest = rest.strip_prefix(b" ")?;
    let digits = rest.iter().take(9).position(|b| *b == b' ')?;
    let length = usize::from_str_radix(std::str::from_utf8(&rest[..digits]).ok()?, 16).ok()?;
    let end = (digits + 1).checked_add(length)?;
    let covered = rest.get(..end)?;
    if sum != hexadecimal(sum_of(covered, seed)) {
        return None;
    }
    Some(Line { text: 9 + digits + 1..9 + end, length: 9 + end + 1 })
}

/// Eight hexadecimal digits.
#[inline(never)]
fn hexadecimal(number: u32) -> [u8; 8] {
    let digit = |i: usize| b"0123456789abcdef"[(number >> (28 - 4 * i) & 15) as usize];
    std::array::from_fn(digit)
}

/// The sum of a line. That of a head is the same in every version of the format.
fn sum_of(body: &[u8], seed: Option<(u64, u64)>) -> u32 {
    match seed {
        None => crc32(body),
        Some((generation, at)) => {
            let sum = folded(generation ^ at.rotate_left(32), body);
            sum as u32 ^ (sum >> 32) as u32
        }
    }
}

/// The CRC of Ethernet and zip, four bits at a time: only short files and heads have it.
fn crc32(bytes: &[u8]) -> u32 {
    const OF_FOUR: [u32; 16] = {
        let mut table = [0; 16];
        let mut i = 0;
        while i < 16 {
            let mut crc = i as u32;
            let mut bit = 0;
            while bit < 4 {
                crc = crc >> 1 ^ 0xEDB8_8320 & (crc & 1).wrapping_neg();
                bit += 1;
            }
            table[i] = crc;
            i += 1;
        }
        table
    };
    let four = |crc: u32| crc >> 4 ^ OF_FOUR[(crc & 15) as usize];
    !bytes.iter().fold(!0, |crc, byte| four(four(crc ^ u32::from(*byte))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_without_a_seed_is_that_of_ethernet() {
        assert_eq!((crc32(b"123456789"), crc32(b"")), (0xCBF4_3926, 0));
    }

    #[test]
    fn fields_are_read_as_they_were_written() {
        let texts = ["", "a", "seven77", "eight888", "\t", "a\tb\nc\0d\\", "中\t文 ☕", "12345678\n"];
        for n in [
            0,
            1,
            9,
            10,
            999_999_999,
            1_000_000_000,
            1_000_000_001,
            10_203_000_000_000_405,
            5_000_000_000_000_000_000,
            u64::MAX,
        ] {
            let mut w = Fields::beginning(n, 0);
            texts.iter().for_each(|text| {
                w.text(text);
            });
            let text = w
                .plain(b"p")
                .number(n)
                .int(-5)
                .int(i64::MIN)
                .maybe(None)
                .maybe(Some(0))
                .maybe(Some(-1))
                .clone()
                .finish();
            assert!(!text.contains(['\n', '\0']), "{text}");
            assert!(text.starts_with(&format!("{n}\t")), "{text}");
            assert_eq!(number_of(text.as_bytes()), Some(n), "{text}");
            let mut r = Reader::new(&text);
            assert_eq!(r.number("n"), Ok(n));
            for text in texts {
                assert_eq!(r.text().as_deref(), Ok(text));
            }
            assert_eq!((r.next(), r.number("n")), ("p", Ok(n)));
            assert_eq!([r.int("i"), r.int("i")], [Ok(-5), Ok(i64::MIN)]);
            assert!(!r.is_at_the_end());
            assert_eq!([r.maybe("m"), r.maybe("m"), r.maybe("m")], [Ok(None), Ok(Some(0)), Ok(Some(-1))]);
            assert!(r.is_at_the_end());
            assert_eq!((r.next(), r.number("n"), r.maybe("m")), ("", Ok(0), Ok(None)));
        }
    }

    #[test]
    fn what_is_no_field_is_an_error() {
        for text in ["\\", "a\\x", "\\t\\"] {
            assert!(Reader::new(text).text().is_err(), "{text}");
        }
        for text in ["x", "1x", "+1", "18446744073709551616", "/", ":"] {
            assert!(Reader::new(text).number("n").is_err(), "{text}");
            assert!(Reader::new(text).int("n").is_err(), "{text}");
        }
        assert!(Reader::new("9223372036854775808").int("n").is_err());
        for record in ["", "\t", "5", "x\t", "-5\t", "18446744073709551616\ta"] {
            assert_eq!(number_of(record.as_bytes()), None, "{record}");
        }
    }

    #[test]
    fn a_line_is_found_where_it_was_written_and_nowhere_else() {
        let text = "7\tabc";
        for seed in [None, Some((3, 0))] {
            let mut out = Vec::new();
            push_line(&mut out, text.as_bytes(), seed);
            let found = line(&out, seed).unwrap();
            assert_eq!((&out[found.text], found.length), (text.as_bytes(), out.len()));
            for other in [None, Some((3, 1)), Some((4, 0)), Some((3, 0))] {
                assert_eq!(line(&out, other).is_some(), other == seed, "{other:?}");
            }
            for at in 0..out.len() - 1 {
                let mut spoiled = out.clone();
                spoiled[at] ^= 1;
                assert_eq!(line(&spoiled, seed), None, "{at}");
                assert_eq!(line(&out[..at], seed), None, "{at}");
            }
        }
    }
}
