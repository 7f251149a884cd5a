//! Spoils bytes: deterministic, from a seed. Shared with the simulator's tests.

#![allow(dead_code)]

/// Where a run begins unless `KIOSKLINK_FUZZ_SEED` says otherwise; each case adds one.
const FIRST_SEED: u64 = 20_240_612;

/// Longer than anything a platform sends; keeps a run of doublings from eating the memory.
const LARGEST: usize = 64 * 1024;

/// xorshift64*.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        // Neighbouring seeds must not give neighbouring numbers, and zero would stay zero.
        let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Rng((mixed ^ mixed >> 27) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// Less than `n`; 0 for 0.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.next() % n as u64) as usize }
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// A range within `len`, its ends in order.
    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let (a, b) = (self.below(len + 1), self.below(len + 1));
        // Mostly short: long ones leave nothing to look at.
        let end = if self.one_in(4) { b } else { (a + self.below(24)).min(len) };
        a.min(end)..a.max(end)
    }
}

/// Runs `KIOSKLINK_FUZZ_ITERATIONS` cases, or `usual` of them, and says the seed of one that fails. A seed in
/// `KIOSKLINK_FUZZ_SEED` with one iteration runs that case alone.
pub fn cases(usual: u64, mut case: impl FnMut(&mut Rng)) {
    struct Say(u64);
    impl Drop for Say {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("again with KIOSKLINK_FUZZ_SEED={} KIOSKLINK_FUZZ_ITERATIONS=1", self.0);
            }
        }
    }
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let first = number("KIOSKLINK_FUZZ_SEED").unwrap_or(FIRST_SEED);
    let count = number("KIOSKLINK_FUZZ_ITERATIONS").unwrap_or(usual);
    for seed in first..first + count {
        let say = Say(seed);
        case(&mut Rng::new(seed));
        drop(say);
    }
}

const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-1",
    "1",
    "2147483647",
    "2147483648",
    "-2147483649",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551616",
    "92233720368547758.07",
    "1e999",
    "1e-999",
    "1E400",
    "0.1",
    "0.001",
    "1.",
    "00",
    "99999999999999999999999999999999999999999999",
    "253402300800",
    "NaN",
];

const VALUES: &[&str] = &[
    "null",
    "true",
    "false",
    "[]",
    "{}",
    "\"\"",
    "[[]]",
    "[null]",
    "[1,2]",
    "{\"a\":1}",
    "\"1\"",
    "\"0000-00-00 00:00:00\"",
    "\"2024-02-30 25:61:61\"",
    "\"9999-12-31 23:59:59\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"中\"",
];

const TOKENS: &[&[u8]] = &[
    b"\0",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud83d",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"&",
    b"=",
    b"+",
    b"%",
    b"%zz",
    b"%00",
    b"%C4%E3",
    b"?",
    b"@",
    b"/",
    b"//",
    b"..",
    b" ",
    b"\r\n",
    b"\n\n",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xc4\xe3\xba\xc3\xb6\xa9\xb5\xa5",
    b"\xf0\x9f\x9a",
    "\u{2028}".as_bytes(),
    "\u{1F6AA}".as_bytes(),
    b"<",
    b">",
    b"</",
    b"/>",
    b"<a>",
    b"<a/>",
    b"<item/>",
    b"<item>1</item>",
    b"<![CDATA[",
    b"]]>",
    b"<!--",
    b"-->",
    b"<?x",
    b"?>",
    b"<!DOCTYPE a [<!ENTITY b \"c\">]>",
    b"&amp;",
    b"&#0;",
    b"&#x110000;",
    b"&#55296;",
    b"&b;",
    b"&#99999999999999999999;",
    b"success",
    b"ok",
    b"\"code\":0,",
    b"\"code\":200,",
    b"\"error_code\":0,",
    b"\"success\":true,",
];

/// Spoils a sample in one to four ways. `other` lends a part now and then.
pub fn mutate(rng: &mut Rng, sample: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for _ in 0..1 + rng.below(4) {
        once(rng, &mut bytes, other);
        bytes.truncate(LARGEST);
    }
    bytes
}

/// The same for what must be UTF-8.
pub fn mutate_text(rng: &mut Rng, sample: &str, other: &str) -> String {
    String::from_utf8_lossy(&mutate(rng, sample.as_bytes(), other.as_bytes())).into_owned()
}

fn once(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    match rng.below(13) {
        0 if !bytes.is_empty() => {
            for _ in 0..1 + rng.below(6) {
                let at = rng.below(bytes.len());
                bytes[at] ^= 1 << rng.below(8);
            }
        }
        1 => bytes.truncate(rng.below(bytes.len() + 1)),
        2 => {
            bytes.truncate(rng.below(bytes.len() + 1));
            bytes.extend_from_slice(&other[rng.below(other.len() + 1)..]);
        }
        3 => {
            let range = rng.range(bytes.len());
            bytes.drain(range);
        }
        4 => {
            let range = rng.range(bytes.len());
            let part = bytes[range.clone()].repeat(1 + if rng.one_in(8) { rng.below(300) } else { 0 });
            bytes.splice(range.end..range.end, part);
        }
        5 => {
            let range = rng.range(other.len());
            let at = rng.below(bytes.len() + 1);
            bytes.splice(at..at, other[range].iter().copied());
        }
        6 | 7 => {
            let at = rng.below(bytes.len() + 1);
            let token = *rng.pick(TOKENS);
            bytes.splice(at..at, token.iter().copied());
        }
        8 => {
            // Deep nesting.
            let at = rng.below(bytes.len() + 1);
            let times = *rng.pick(&[33, 129, 4000]);
            let what = *rng.pick(&["[", "{\"a\":", "<a>"]);
            bytes.splice(at..at, what.repeat(times).bytes());
        }
        9 | 10 => {
            // A number becomes another one, or something else.
            let new = if rng.one_in(4) { *rng.pick(VALUES) } else { *rng.pick(NUMBERS) };
            let digit = |b: &u8| b.is_ascii_digit() || *b == b'-' || *b == b'.';
            if let Some(range) = found(rng, bytes, digit) {
                bytes.splice(range, new.bytes());
            }
        }
        11 => {
            // A string becomes something else, or another string.
            let new = if rng.one_in(3) { *rng.pick(NUMBERS) } else { *rng.pick(VALUES) };
            if let Some(range) = string(rng, bytes) {
                bytes.splice(range, new.bytes());
            }
        }
        _ => {
            // A key occurs twice, with another value.
            if let Some(range) = string(rng, bytes) {
                if bytes.get(range.end) == Some(&b':') {
                    let mut twin = bytes[range.clone()].to_vec();
                    twin.push(b':');
                    twin.extend(rng.pick(VALUES).bytes());
                    twin.push(b',');
                    bytes.splice(range.start..range.start, twin);
                }
            }
        }
    }
}

/// A run of bytes of a kind, somewhere.
fn found(rng: &mut Rng, bytes: &[u8], kind: impl Fn(&u8) -> bool) -> Option<std::ops::Range<usize>> {
    let from = rng.below(bytes.len());
    let start = bytes.get(from..)?.iter().position(&kind)? + from;
    let end = bytes[start..].iter().position(|b| !kind(b)).map_or(bytes.len(), |n| n + start);
    Some(start..end)
}

/// A text with its quotes, somewhere.
fn string(rng: &mut Rng, bytes: &[u8]) -> Option<std::ops::Range<usize>> {
    let from = rng.below(bytes.len());
    let start = bytes.get(from..)?.iter().position(|b| *b == b'"')? + from;
    let end = bytes[start + 1..].iter().position(|b| *b == b'"')? + start + 2;
    Some(start..end)
}
