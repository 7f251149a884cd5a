//! Reading JSON lazily and strictly, and writing it.
//!
//! A [`Json`] is a validated slice of the answer; an object or an array is opened one level at a time. So a page
//! of a thousand records costs its own text and one record, the raw text of every part stays readable, and every
//! complaint can say where. Who offers room for it ([`Tape`]) has the place of every part noted while the document is
//! checked, so that nothing of it is read a second time. An object in which a key occurs twice is refused when
//! that key is asked for: an `error_code` of -1 that a later 0 hides must not become a success.

pub use crate::text::push_string;
use crate::text::special;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;

/// What is wrong with a document, and where. One word wide: it passes through hundreds of `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad(Box<Complaint>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Complaint {
    /// The path, `data.data[3].Price`; empty for the document itself.
    at: String,
    /// What is wrong there.
    why: Cow<'static, str>,
}

impl Bad {
    /// A complaint about what is under a key.
    #[cold]
    pub fn new(at: &str, why: impl Into<Cow<'static, str>>) -> Bad {
        Bad(Box::new(Complaint { at: at.to_owned(), why: why.into() }))
    }

    #[cold]
    fn here(why: impl Into<Cow<'static, str>>) -> Bad {
        Bad::new("", why)
    }

    /// The path.
    pub fn at(&self) -> &str {
        &self.0.at
    }

    /// The same complaint seen from one level further out.
    #[must_use]
    pub fn under(mut self, step: &str) -> Bad {
        if self.0.at.is_empty() {
            self.0.at.push_str(step);
        } else {
            let dot = if self.0.at.starts_with('[') { "" } else { "." };
            self.0.at = [step, dot, &self.0.at].concat();
        }
        self
    }

    /// One sentence.
    pub fn sentence(&self, whose: &str) -> String {
        if self.0.at.is_empty() {
            [whose, " ", &self.0.why].concat()
        } else {
            [whose, ": ", &self.0.at, " ", &self.0.why].concat()
        }
    }
}

/// The kinds of JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    fn article(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Bool => "a boolean",
            Kind::Number => "a number",
            Kind::String => "a string",
            Kind::Array => "an array",
            Kind::Object => "an object",
        }
    }
}

/// One value: its own text, known to be well formed, and where it stands on the tape of its document, if there is one.
#[derive(Clone, Copy, Debug)]
pub struct Json<'a> {
    text: &'a str,
    place: Option<(&'a Tape, u32)>,
}

/// Two values are the same if they are written the same.
impl PartialEq for Json<'_> {
    fn eq(&self, other: &Json<'_>) -> bool {
        self.text == other.text
    }
}

impl Eq for Json<'_> {}

/// Where the parts of a document are: every value, and every key before its value, in the order of the text.
#[derive(Debug, Default)]
pub struct Tape(Vec<Node>);

/// One part of a document.
#[derive(Clone, Copy, Debug)]
struct Node {
    start: u32,
    /// Behind it; with [`Node::UNREAD`] set if the text must be looked at again: it is a string with escapes, an object with
    /// such a name, or its parts are not on the tape. With [`Node::TWICE`] if it is an object in which a name occurs twice.
    end: u32,
    /// The part behind it and all that is in it; of a name, the one behind its value.
    next: u32,
}

impl Node {
    const UNREAD: u32 = 1 << 31;
    const TWICE: u32 = 1 << 30;
    const END: u32 = Node::TWICE - 1;
}

/// What lies deeper is not put on the tape: how deep it goes is the sender's to say.
const TAPED_DEPTH: usize = 12;

impl Tape {
    fn node(&self, at: u32) -> Option<&Node> {
        self.0.get(at as usize)
    }

    /// Notes a part and says where.
    #[inline(always)]
    fn push(&mut self, start: usize, end: usize, unread: bool) -> u32 {
        let at = self.0.len() as u32;
        let end = end as u32 | if unread { Node::UNREAD } else { 0 };
        self.0.push(Node { start: start as u32, end, next: at + 1 });
        at
    }
}

/// An object, opened.
#[derive(Clone, Debug)]
pub struct Object<'a> {
    /// Where it is on the tape, by which fields are found without a list of them.
    taped: Option<Taped<'a>>,
    /// Its fields in the order of the text.
    fields: OnceCell<Vec<(Cow<'a, str>, Json<'a>)>>,
}

/// An object or array whose parts are on the tape.
#[derive(Clone, Copy, Debug)]
struct Taped<'a> {
    text: &'a str,
    tape: &'a Tape,
    /// Its first part, and the one behind its last.
    first: u32,
    end: u32,
    /// Where it begins in the document.
    base: u32,
    /// A name occurs twice in it.
    twice: bool,
}

impl<'a> Taped<'a> {
    #[inline(always)]
    fn range(&self, node: &Node) -> Range<usize> {
        (node.start - self.base) as usize..((node.end & Node::END) - self.base) as usize
    }

    /// The part that is here on the tape, if it is one of its own.
    fn part(&self, at: usize) -> Option<Json<'a>> {
        let node = self.tape.0.get(..self.end as usize)?.get(at)?;
        Some(Json { text: self.text.get(self.range(node))?, place: Some((self.tape, at as u32)) })
    }

    /// Where the part behind this one is.
    fn behind(&self, at: usize) -> usize {
        self.tape.0.get(at).map_or(usize::MAX, |node| node.next as usize)
    }

    /// The name from here on that is the same.
    #[inline(always)]
    fn name(&self, key: &str, mut at: u32) -> Option<u32> {
        let wanted = key.len() as u32 + 2;
        let nodes = self.tape.0.get(..self.end as usize).unwrap_or_default();
        while let Some(name) = nodes.get(at as usize) {
            // Most are of another length.
            if name.end.wrapping_sub(name.start) == wanted {
                let Range { start, end } = self.range(name);
                if self.text.as_bytes().get(start + 1..end - 1) == Some(key.as_bytes()) {
                    return Some(at);
                }
            }
            at = name.next;
        }
        None
    }

    /// The values of a key. Names with escapes are on no tape.
    fn each(&self, key: &str, take: &mut impl FnMut(Json<'a>)) {
        let mut at = self.first;
        while let Some(found) = self.name(key, at) {
            self.part(found as usize + 1).into_iter().for_each(&mut *take);
            if !self.twice {
                return;
            }
            at = self.behind(found as usize) as u32;
        }
    }
}

/// The text of a document that is one, without what stands around it.
fn checked<'a>(text: &'a str, tape: Option<&mut Tape>) -> Result<&'a str, Bad> {
    if text.bytes().all(|b| b.is_ascii_whitespace()) {
        return Err(Bad::here("is empty"));
    }
    let mut check = Check::new(text.as_bytes());
    match check.document(tape) {
        Some(()) if check.is_dense() => {
            Err(Bad::here("has far more parts than an answer of its size can mean"))
        }
        Some(()) => Ok(text.trim_matches([' ', '\t', '\n', '\r'])),
        None => Err(wrong_at(text, check.at.min(text.len()))),
    }
}

#[cold]
fn wrong_at(text: &str, at: usize) -> Bad {
    let what = match text.trim_start().as_bytes() {
        [b'<', ..] => "is a web page, not JSON",
        _ if at >= text.len() => "is cut off",
        _ => "is not JSON",
    };
    let before = text.as_bytes().get(..at).unwrap_or_default();
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
    let words = [what, " (line ", &line.to_string(), ", column ", &column.to_string(), ")"];
    Bad::here(words.concat())
}

impl<'a> Json<'a> {
    /// Checks a whole document. A byte-order mark in front is skipped.
    pub fn parse(bytes: &'a [u8]) -> Result<Json<'a>, Bad> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|e| {
            Bad::here(format!("is not UTF-8 (byte {}{})", e.valid_up_to(), guess_charset(bytes)))
        })?;
        checked(text, None).map(|text| Json { text, place: None })
    }

    /// The same for a document of which much will be read.
    pub fn parse_all(text: &'a str, tape: &'a mut Tape) -> Result<Json<'a>, Bad> {
        let text = checked(text.strip_prefix('\u{feff}').unwrap_or(text), Some(tape))?;
        Ok(Json { text, place: tape.node(0).is_some().then_some((tape, 0)) })
    }

    /// The text, exactly as it came.
    pub fn text(self) -> &'a str {
        self.text
    }

    /// What the tape says of it, if it says all.
    #[inline(always)]
    fn node(self) -> Option<&'a Node> {
        let (tape, at) = self.place?;
        tape.node(at).filter(|node| node.end & Node::UNREAD == 0)
    }

    /// Its parts on the tape.
    fn taped(self) -> Option<Taped<'a>> {
        let ((tape, at), node) = (self.place?, self.node()?);
        let twice = node.end & Node::TWICE != 0;
        Some(Taped { text: self.text, tape, first: at + 1, end: node.next, base: node.start, twice })
    }

    /// Which kind of value it is.
    #[inline(always)]
    pub fn kind(self) -> Kind {
        match self.text.as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    fn wrong(self, wanted: &'static str) -> Bad {
        Bad::here(format!("is {}, expected {wanted}", self.kind().article()))
    }

    /// Opens an object.
    pub fn object(self) -> Result<Object<'a>, Bad> {
        if self.kind() != Kind::Object {
            return Err(self.wrong("an object"));
        }
        let taped = self.taped();
        let fields = OnceCell::new();
        if taped.is_none() {
            let (mut parts, mut all) = (Parts::of(self), Vec::new());
            while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
                all.push((name.string()?, value));
            }
            let _ = fields.set(all);
        }
        Ok(Object { taped, fields })
    }

    /// Opens an array.
    pub fn array(self) -> Result<Vec<Json<'a>>, Bad> {
        if self.kind() != Kind::Array {
            return Err(self.wrong("an array"));
        }
        Ok(Parts::of(self).collect())
    }

    /// What stands between the quotes of a string.
    fn inner(self) -> &'a str {
        self.text.get(1..self.text.len() - 1).unwrap_or_default()
    }

    /// A string, its escapes undone.
    pub fn string(self) -> Result<Cow<'a, str>, Bad> {
        if self.kind() != Kind::String {
            return Err(self.wrong("a string"));
        }
        let inner = self.inner();
        // What is special inside a string is an escape.
        if self.node().is_some() || special(inner.as_bytes(), 0) == inner.len() {
            return Ok(Cow::Borrowed(inner));
        }
        match unescaped(inner, None) {
            Some(text) => Ok(Cow::Owned(text)),
            None => Err(Bad::here("has a broken escape")),
        }
    }

    /// A string, its escapes undone, half a character (`\ud83d` alone) as U+FFFD. Empty for anything but a string.
    pub fn string_lossy(self) -> Cow<'a, str> {
        match self.string() {
            Ok(text) => text,
            Err(_) if self.kind() != Kind::String => Cow::Borrowed(""),
            Err(_) => Cow::Owned(unescaped(self.inner(), Some('\u{fffd}')).unwrap_or_default()),
        }
    }

    /// An integer.
    pub fn int(self) -> Result<i64, Bad> {
        if self.kind() != Kind::Number {
            return Err(self.wrong("an integer"));
        }
        self.text.parse().map_err(|_| {
            Bad::here(if self.text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
                "is too large a number"
            } else {
                "is a fraction, expected an integer"
            })
        })
    }

    /// A number of any kind.
    pub fn float(self) -> Result<f64, Bad> {
        if self.kind() != Kind::Number {
            return Err(self.wrong("a number"));
        }
        decimal(self.text).ok_or_else(|| Bad::here("is no number"))
    }

    /// `true` or `false`.
    pub fn bool(self) -> Result<bool, Bad> {
        if self.kind() != Kind::Bool {
            return Err(self.wrong("a boolean"));
        }
        Ok(self.text == "true")
    }
}

impl<'a> Object<'a> {
    /// The fields in their order.
    pub fn fields(&self) -> &[(Cow<'a, str>, Json<'a>)] {
        self.fields.get_or_init(|| {
            let mut all = Vec::new();
            let Some(taped) = self.taped else { return all };
            let mut at = taped.first as usize;
            while let (Some(name), Some(value)) = (taped.part(at), taped.part(at + 1)) {
                all.push((Cow::Borrowed(name.inner()), value));
                at = taped.behind(at);
            }
            all
        })
    }

    /// The last value of a key, and whether another one stands before it.
    fn find(&self, key: &str) -> (Option<Json<'a>>, bool) {
        let (mut found, mut differ) = (None, false);
        let mut take = |value: Json<'a>| {
            differ |= found.is_some_and(|before: Json<'a>| before != value);
            found = Some(value);
        };
        match &self.taped {
            Some(taped) => taped.each(key, &mut take),
            None => self.fields().iter().filter(|(name, _)| name == key).for_each(|(_, value)| take(*value)),
        }
        (found.filter(|v| v.kind() != Kind::Null), differ)
    }

    /// The value of a key; `None` if it is missing or null. A key that occurs twice with two values is an error.
    pub fn get(&self, key: &str) -> Result<Option<Json<'a>>, Bad> {
        match self.find(key) {
            (found, false) => Ok(found),
            _ => Err(Bad::here("occurs twice with different values").under(key)),
        }
    }

    /// The last value of a key that the platform is known to repeat.
    pub fn last(&self, key: &str) -> Option<Json<'a>> {
        self.find(key).0
    }

    /// The value of the first of several spellings that is there.
    pub fn any(&self, keys: &[&str]) -> Result<Option<Json<'a>>, Bad> {
        for key in keys {
            if let Some(value) = self.get(key)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    fn typed<T>(&self, keys: &[&str], read: impl Fn(Json<'a>) -> Result<T, Bad>) -> Result<Option<T>, Bad> {
        for key in keys {
            if let Some(value) = self.get(key)? {
                return read(value).map(Some).map_err(|b| b.under(key));
            }
        }
        Ok(None)
    }

    /// A string under the first of these keys that is there.
    pub fn string(&self, keys: &[&str]) -> Result<Option<String>, Bad> {
        self.typed(keys, |v| v.string().map(Cow::into_owned))
    }

    /// An integer.
    pub fn int(&self, keys: &[&str]) -> Result<Option<i64>, Bad> {
        self.typed(keys, Json::int)
    }

    /// An integer that fits 32 bits.
    pub fn int32(&self, keys: &[&str]) -> Result<Option<i32>, Bad> {
        self.typed(keys, |v| i32::try_from(v.int()?).map_err(|_| Bad::here("is too large a number")))
    }

    /// A boolean.
    pub fn bool(&self, keys: &[&str]) -> Result<Option<bool>, Bad> {
        self.typed(keys, Json::bool)
    }

    /// An opened object.
    pub fn object(&self, keys: &[&str]) -> Result<Option<Object<'a>>, Bad> {
        self.typed(keys, Json::object)
    }

    /// An opened array.
    pub fn array(&self, keys: &[&str]) -> Result<Option<Vec<Json<'a>>>, Bad> {
        self.typed(keys, Json::array)
    }
}

/// A document as text. Bytes that are not UTF-8 (a vendor's words in GBK beside a clear refusal) become U+FFFD, two bytes of a
/// GBK character at once: the second may be a backslash.
pub fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let ascii = rest.iter().take_while(|b| b.is_ascii()).count();
        if ascii > 0 {
            out.push_str(std::str::from_utf8(&rest[..ascii]).unwrap_or_default());
            rest = &rest[ascii..];
            continue;
        }
        let utf8 = (2..=4).find_map(|n| std::str::from_utf8(rest.get(..n)?).ok());
        match (utf8, rest.get(1)) {
            (Some(character), _) => {
                out.push_str(character);
                rest = &rest[character.len()..];
            }
            (None, Some(0x40..=0x7e | 0x80..=0xfe)) if *first >= 0x81 => {
                out.push('\u{fffd}');
                rest = &rest[2..];
            }
            _ => {
                out.push('\u{fffd}');
                rest = &rest[1..];
            }
        }
    }
    Cow::Owned(out)
}

/// The inside of a well-formed string, its escapes undone. `instead` stands for half a character; without it there must be
/// none.
fn unescaped(inner: &str, instead: Option<char>) -> Option<String> {
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (character, len) = match escape(rest.as_bytes()) {
            Some(whole) => whole,
            None => (instead?, 6),
        };
        out.push(character);
        rest = rest.get(len..).unwrap_or_default();
    }
    out.push_str(rest);
    Some(out)
}

/// The character of the escape that begins here, and how long the escape is: of two, if two make the character.
fn escape(text: &[u8]) -> Option<(char, usize)> {
    let character = match text.get(1)? {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => {
            let high = unit(text)?;
            if !(0xd800..0xdc00).contains(&high) {
                return Some((char::from_u32(high)?, 6));
            }
            let low = unit(text.get(6..)?).filter(|low| (0xdc00..0xe000).contains(low))?;
            return Some((char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, 12));
        }
        other => char::from(*other),
    };
    Some((character, 2))
}

/// The number in `\uXXXX`.
fn unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |number, b| Some(number << 4 | char::from(*b).to_digit(16)?))
}

/// A reader of grammar only, without recursion: how deep a document is nested is the sender's to say. `None` stands for what
/// is not JSON, and then `at` is the first byte of it: the end, if only the rest is missing.
///
/// Every byte of an answer goes through it, so its steps are put in line though the library is built for size.
struct Check<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Values beside others, and how many there may be.
    values: usize,
    most_values: usize,
    /// Objects and arrays that begin behind the end of another: depth alone makes no records.
    containers: usize,
    most_containers: usize,
    closed: bool,
}

impl Check<'_> {
    fn new(bytes: &[u8]) -> Check<'_> {
        let size = bytes.len();
        let (most_values, most_containers) = match size > SPARSE {
            true => (SPARSE / 4 + size / BYTES_A_VALUE, MAX_CONTAINERS),
            false => (size, size),
        };
        Check { bytes, at: 0, values: 0, most_values, containers: 0, most_containers, closed: false }
    }

    /// One value and nothing else; its parts are put on the tape.
    fn document(&mut self, tape: Option<&mut Tape>) -> Option<()> {
        let mut nothing = Tape::default();
        // Where no tape is wanted, no depth is on it.
        let (tape, mut depth) = match tape {
            Some(tape) if self.bytes.len() < Node::END as usize => (tape, TAPED_DEPTH),
            Some(tape) => (tape, 0),
            None => (&mut nothing, 0),
        };
        tape.0.clear();
        // One part for so many bytes is what answers have; to grow is dearer.
        tape.0.reserve(if depth > 0 { 16 + self.bytes.len() / 24 } else { 0 });
        // The opening brackets of what is not closed yet, and the nodes of those that are on the tape.
        let mut open = Vec::new();
        let mut nodes = [0; TAPED_DEPTH];
        // And of their last names, and a bit for each kind of name that was there.
        let mut names = [0; TAPED_DEPTH];
        let mut kinds = [0; TAPED_DEPTH];
        let mut at_key = false;
        loop {
            self.blanks();
            let from = self.at;
            let byte = self.next()?;
            let mut escaped = false;
            match byte {
                b'"' => escaped = self.string()?,
                _ if at_key => return None,
                b'{' | b'[' => {
                    self.containers += usize::from(std::mem::take(&mut self.closed));
                    if self.is_dense() {
                        // It will be refused, and needs no memory until then.
                        depth = 0;
                    }
                    self.at += 1;
                    self.blanks();
                    // `]` and `}` stand two behind their brackets.
                    if self.next()? == byte + 2 {
                        self.at += 1;
                        self.closed = true;
                    } else {
                        if open.len() < depth {
                            nodes[open.len()] = tape.push(from, 0, open.len() + 1 == depth);
                            if open.len() + 1 < depth {
                                kinds[open.len() + 1] = 0;
                            }
                        }
                        open.push(byte);
                        at_key = byte == b'{';
                        continue;
                    }
                }
                b't' => self.word(b"true")?,
                b'f' => self.word(b"false")?,
                b'n' => self.word(b"null")?,
                _ => self.number()?,
            }
            if open.len() < depth {
                let node = tape.push(from, self.at, escaped);
                if at_key {
                    names[open.len()] = node;
                    // The same for the same name; the quotes stand for letters that are not there.
                    let [first, last] = [self.bytes.get(from + 1), self.bytes.get(self.at.wrapping_sub(2))];
                    let letters = usize::from(*first?) + 5 * usize::from(*last?) + 7 * (self.at - from);
                    let kind = 1u64 << (letters % 64);
                    // Of 25 names a few share their bit with another.
                    if kinds[open.len()] & kind != 0 {
                        let object = nodes[open.len() - 1];
                        if self.is_repeated(tape, object, node) {
                            tape.0.get_mut(object as usize)?.end |= Node::TWICE;
                        }
                    }
                    kinds[open.len()] |= kind;
                }
            }
            self.blanks();
            if at_key {
                if self.next()? != b':' {
                    return None;
                }
                self.at += 1;
                at_key = false;
                if escaped && open.len() < depth {
                    tape.0.get_mut(nodes[open.len() - 1] as usize)?.end |= Node::UNREAD;
                }
                continue;
            }
            loop {
                let Some(&bracket) = open.last() else {
                    return (self.at == self.bytes.len()).then_some(());
                };
                let next = self.next()?;
                if bracket == b'{' && open.len() < depth {
                    let behind = tape.0.len() as u32;
                    tape.0.get_mut(names[open.len()] as usize)?.next = behind;
                }
                if next == b',' {
                    self.at += 1;
                    self.values += 1;
                    if self.is_dense() {
                        depth = 0;
                    }
                    at_key = bracket == b'{';
                    break;
                }
                if next != bracket + 2 {
                    return None;
                }
                self.at += 1;
                self.closed = true;
                open.pop();
                if open.len() < depth {
                    let behind = tape.0.len() as u32;
                    let node = tape.0.get_mut(nodes[open.len()] as usize)?;
                    node.end |= self.at as u32;
                    node.next = behind;
                }
                self.blanks();
            }
        }
    }

    /// Whether a name stands in its object before.
    fn is_repeated(&self, tape: &Tape, object: u32, name: u32) -> bool {
        let text = |node: &Node| self.bytes.get(node.start as usize..(node.end & Node::END) as usize);
        let Some(wanted) = tape.node(name) else { return true };
        let mut at = object + 1;
        while at < name {
            let Some(earlier) = tape.node(at) else { return true };
            if earlier.end.wrapping_sub(earlier.start) == wanted.end.wrapping_sub(wanted.start)
                && text(earlier) == text(wanted)
            {
                return true;
            }
            at = earlier.next;
        }
        false
    }

    /// Whether the document has so many parts that what is made of them could be much larger than its text: 4 MiB of
    /// `[{},{},...]` would become a million records.
    #[inline(always)]
    fn is_dense(&self) -> bool {
        self.values > self.most_values || self.containers > self.most_containers
    }

    #[inline(always)]
    fn next(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline(always)]
    fn blanks(&mut self) {
        // One comparison where there is none, which is nearly everywhere.
        while self.next().is_some_and(|b| b <= b' ' && matches!(b, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Exactly these bytes.
    fn word(&mut self, word: &[u8]) -> Option<()> {
        for byte in word {
            if self.next()? != *byte {
                return None;
            }
            self.at += 1;
        }
        Some(())
    }

    /// A string, whose quote is there. Says whether escapes are in it.
    fn string(&mut self) -> Option<bool> {
        let mut escaped = false;
        self.at += 1;
        loop {
            self.at = special(self.bytes, self.at);
            match self.next()? {
                b'"' => break,
                b'\\' => self.escape()?,
                _ => return None,
            }
            escaped = true;
        }
        self.at += 1;
        Some(escaped)
    }

    fn escape(&mut self) -> Option<()> {
        self.at += 1;
        match self.next()? {
            b'u' => {
                for _ in 0..4 {
                    self.at += 1;
                    self.next().filter(u8::is_ascii_hexdigit)?;
                }
            }
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
            _ => return None,
        }
        self.at += 1;
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        if self.next()? == b'-' {
            self.at += 1;
        }
        if self.next()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.next() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.next(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.next(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Option<()> {
        let from = self.at;
        while matches!(self.next(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        (self.at > from).then_some(())
    }
}

/// A decimal number, `-12.5e3`; `None` for whatever is none or is not finite. Exact up to 15 digits, beyond them as good as
/// a coordinate needs: std's own reading, exact to the last bit of any number, brings 14 kB of tables and arithmetic.
pub fn decimal(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (digits, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut power = exponent.parse::<i32>().ok()?;
    let mut mantissa = 0u64;
    for (i, byte) in whole.bytes().chain(fraction.bytes()).enumerate() {
        if !byte.is_ascii_digit() {
            return None;
        }
        // Digits that no longer fit are dropped, those before the point not without their weight.
        let fits = mantissa < 10u64.pow(18);
        if fits {
            mantissa = mantissa * 10 + u64::from(byte - b'0');
        }
        power = power.checked_add(i32::from(!fits) - i32::from(i >= whole.len()))?;
    }
    let mut value = mantissa as f64;
    // Up to 10^22 a double is exact. No double has more than 600 places between its ends.
    let mut places = power.unsigned_abs().min(700);
    while places > 0 && value != 0.0 {
        let step = places.min(22);
        let scale = (0..step).fold(1.0, |product, _| product * 10.0);
        value = if power < 0 { value / scale } else { value * scale };
        places -= step;
    }
    value.is_finite().then_some(if text.starts_with('-') { -value } else { value })
}

/// Up to this size a document may be made of nothing but parts.
const SPARSE: usize = 64 * 1024;
/// In a larger one there may be this many objects and arrays beside others: each may become a record of some hundred
/// bytes.
const MAX_CONTAINERS: usize = 32 * 1024;
/// And one value for so many bytes of text, beyond as many as fit into a small one.
const BYTES_A_VALUE: usize = 8;

/// A complaint for a key that must be there.
pub fn missing(key: &str) -> Bad {
    Bad::here("is missing").under(key)
}

fn guess_charset(bytes: &[u8]) -> &'static str {
    // GBK text is pairs of bytes from 0x81 up; enough to name the usual suspect, never to decode by.
    let high = bytes.iter().filter(|b| **b >= 0x81 && **b != 0xFF).count();
    if high >= 2 && high * 10 >= bytes.iter().filter(|b| **b >= 0x80).count() * 9 {
        "; perhaps GBK"
    } else {
        ""
    }
}

/// Cuts one level into its parts: by the tape, or else by the text. It was found to be well formed, so only the ends are looked
/// for.
struct Parts<'a> {
    taped: Option<Taped<'a>>,
    text: &'a str,
    /// Where the next part is: on the tape, or else in the text.
    at: usize,
}

impl<'a> Parts<'a> {
    /// Of an object or an array.
    fn of(level: Json<'a>) -> Parts<'a> {
        let taped = level.taped();
        Parts { taped, text: level.text, at: taped.map_or(1, |taped| taped.first as usize) }
    }

    fn scan(&mut self) -> Option<Json<'a>> {
        let bytes = self.text.as_bytes();
        let between = |b: u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':');
        let mut from = self.at;
        while between(*bytes.get(from)?) {
            from += 1;
        }
        let mut end = from;
        match bytes[from] {
            b'}' | b']' => return None,
            b'"' => end = string_end(bytes, from)?,
            b'{' | b'[' => end = container_end(bytes, from)?,
            _ => {
                while !(between(*bytes.get(end)?) || matches!(bytes[end], b'}' | b']')) {
                    end += 1;
                }
            }
        }
        self.at = end;
        self.text.get(from..end).map(|text| Json { text, place: None })
    }
}

/// Every value; by the text, in an object every key before its value.
impl<'a> Iterator for Parts<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Json<'a>> {
        let Some(taped) = &self.taped else { return self.scan() };
        let part = taped.part(self.at)?;
        self.at = taped.behind(self.at);
        Some(part)
    }
}

/// Behind the closing quote of the string that begins here.
#[inline(always)]
fn string_end(bytes: &[u8], quote: usize) -> Option<usize> {
    let mut at = quote + 1;
    loop {
        at = special(bytes, at);
        if *bytes.get(at)? == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Behind the closing bracket of the object or array that begins here.
fn container_end(bytes: &[u8], from: usize) -> Option<usize> {
    let (mut depth, mut end) = (0usize, from);
    loop {
        match bytes.get(end)? {
            b'"' => end = string_end(bytes, end)? - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        end += 1;
        if depth == 0 {
            return Some(end);
        }
    }
}

/// Writes one object, field by field.
#[derive(Debug, Default)]
pub struct Writer(String);

impl Writer {
    /// An object with no field yet.
    pub fn new() -> Writer {
        // Most need no more, and to grow is dearer than to write.
        Writer(String::with_capacity(256))
    }

    fn key(&mut self, key: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        push_string(&mut self.0, key);
        self.0.push(':');
    }

    /// Adds a string; nothing if it is empty.
    pub fn text(&mut self, key: &str, value: &str) -> &mut Writer {
        if !value.is_empty() {
            self.key(key);
            push_string(&mut self.0, value);
        }
        self
    }

    /// Adds an integer.
    pub fn int(&mut self, key: &str, value: i64) -> &mut Writer {
        self.key(key);
        self.0.push_str(&value.to_string());
        self
    }

    /// Adds JSON text as it is.
    pub fn raw(&mut self, key: &str, json: &str) -> &mut Writer {
        self.key(key);
        self.0.push_str(json);
        self
    }

    /// The text.
    pub fn finish(mut self) -> String {
        self.0.push_str(if self.0.is_empty() { "{}" } else { "}" });
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_as_std_reads_them() {
        for text in [
            "0",
            "-0",
            "1",
            "113.948236",
            "-22.5404",
            "+1.5",
            ".5",
            "5.",
            "1e3",
            "1E-3",
            "-12.5e+3",
            "1e22",
            "1e-22",
            "123456789012345",
            "0.000000000012345",
            "0e999",
            "179.999999999999",
        ] {
            let wanted: f64 = text.parse().unwrap();
            assert_eq!(decimal(text).map(f64::to_bits), Some(wanted.to_bits()), "{text}");
        }
        for text in [
            "113.94823600000000123456789",
            "0.30000000000000004",
            "12345678901234567890123456789",
            "1.7976931348623157e308",
            "2.5e-300",
            "0.0000000000000000000000000000000000001e37",
        ] {
            let wanted: f64 = text.parse().unwrap();
            let off = (decimal(text).unwrap() / wanted - 1.0).abs();
            assert!(off < 1e-14, "{text}: {off}");
        }
        assert_eq!(decimal("1e-999"), Some(0.0));
        for text in [
            "",
            "-",
            ".",
            "1e",
            "e1",
            "1.2.3",
            "0x10",
            "inf",
            "nan",
            "1e400",
            "--1",
            " 1",
            "1 ",
            "1e99999999999",
        ] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }

    fn parse(text: &str) -> Json<'_> {
        Json::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn says_where_and_what() {
        let doc = parse(r#"{"data":{"data":[{"Price":2},{"Price":"2"}]}}"#);
        let bad = (|| {
            let data = doc.object()?.object(&["data"])?.unwrap();
            for (i, item) in data.array(&["data"])?.unwrap().into_iter().enumerate() {
                let step = format!("data[{i}]");
                item.object().and_then(|o| o.int(&["Price"])).map_err(|b| b.under(&step).under("data"))?;
            }
            Ok::<_, Bad>(())
        })()
        .unwrap_err();
        assert_eq!(
            bad.sentence("the answer"),
            "the answer: data.data[1].Price is a string, expected an integer"
        );
    }

    #[test]
    fn a_key_that_occurs_twice_with_two_values_is_refused() {
        let text = r#"{"error_code":-1,"error_code":0,"same":1,"same":1,"none":null,"":7,"deep":{"x":[]}}"#;
        // A name with an escape is the same name.
        let escaped = text.replace("error_code\":0", "error\\u005fcode\":0");
        let mut tapes = [Tape::default(), Tape::default()];
        let [one, two] = &mut tapes;
        for json in [
            parse(text),
            parse(&escaped),
            Json::parse_all(text, one).unwrap(),
            Json::parse_all(&escaped, two).unwrap(),
        ] {
            let o = json.object().unwrap();
            assert_eq!(o.get("error_code").unwrap_err().at(), "error_code");
            assert_eq!(o.int(&["same"]).unwrap(), Some(1));
            assert_eq!(o.last("error_code").unwrap().int().unwrap(), 0);
            assert_eq!(
                (o.get("none").unwrap(), o.get("rror_code").unwrap(), o.last("none")),
                (None, None, None)
            );
            assert_eq!(o.int(&["absent", ""]).unwrap(), Some(7));
            assert_eq!(o.object(&["deep"]).unwrap().unwrap().get("x").unwrap().unwrap().text(), "[]");
            let names: Vec<_> = o.fields().iter().map(|(name, _)| name.as_ref()).collect();
            assert_eq!(names, ["error_code", "error_code", "same", "same", "none", "", "deep"]);
        }
        let mut tape = Tape::default();
        assert!(Json::parse_all(r#"{"\ud800":1}"#, &mut tape).unwrap().object().is_err());
    }

    #[test]
    fn names_what_came_instead_of_json() {
        let why = |b: &[u8]| Json::parse(b).unwrap_err().0.why.into_owned();
        assert!(why(b"").starts_with("is empty"));
        assert!(why(b"<html>login</html>").starts_with("is a web page"));
        assert!(why(b"{\"a\":1").starts_with("is cut off"));
        assert!(why(b"{\"a\":1} x").starts_with("is not JSON"));
        assert!(why(b"{\"a\":\"\xb2\xe2\xca\xd4\"}").contains("perhaps GBK"));
        assert_eq!(Json::parse(b"\xEF\xBB\xBF{}").unwrap().text(), "{}");
    }

    // FAULTS F13
    #[test]
    fn a_document_may_not_have_more_parts_than_its_text_can_mean() {
        let list = |part: &str, size: usize| {
            let parts = vec![part; size / (part.len() + 1)].join(",");
            ["[", &parts, "]"].concat()
        };
        const LARGEST: usize = 4 * 1024 * 1024;
        for part in ["{}", "[]", "1", "\"\"", "[{},{},{},{}]", "[[{}]]", "\n[ { } ]", "{\"a\":{\"b\":{}}}"] {
            let e = Json::parse(list(part, LARGEST).as_bytes()).unwrap_err();
            assert!(e.sentence("the answer").contains("more parts"), "{part}");
            assert!(Json::parse(list(part, SPARSE - 2).as_bytes()).is_ok(), "{part}");
            let mut tape = Tape::default();
            assert!(Json::parse_all(&list(part, LARGEST), &mut tape).is_err(), "{part}");
            assert!(tape.0.capacity() * size_of::<Node>() < 4 * LARGEST, "{part}: {}", tape.0.capacity());
        }
        let map = list(r#""1":{}"#, LARGEST).replace(['[', ']'], "");
        assert!(Json::parse(["{", &map, "}"].concat().as_bytes()).is_err());
        // What a platform really sends: some hundred bytes a record, and texts that look like parts.
        let record = r#"{"BarCode":"6901234567890","Name":"[{},{},{}]","Stock":"12","Price":450,"Slots":[{"No":"1","Qty":3}]}"#;
        let page = list(record, LARGEST / 4);
        assert_eq!(
            Json::parse(page.as_bytes()).unwrap().array().unwrap().len(),
            (LARGEST / 4) / (record.len() + 1)
        );
        let long = list(
            r#"{"Name":"\"[{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,{,"}"#,
            LARGEST / 2,
        );
        assert!(Json::parse(long.as_bytes()).is_ok());
    }

    #[test]
    fn deep_nesting_is_an_answer_not_a_crash() {
        let deep = format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000));
        let outcome = Json::parse(deep.as_bytes()).and_then(Json::array);
        assert!(outcome.is_err() || outcome.unwrap().len() == 1);
    }

    /// At every place of a word, whatever stands around it.
    #[test]
    fn strings_of_any_length_end_where_they_end() {
        for length in 0..40 {
            for at in 0..length {
                for special in ["\"", "\\", "\n", "\u{1f}", "\0"] {
                    for around in ["x", "\u{7f}", " ", "!", "\u{80}", "中", "\""] {
                        let text = [&around.repeat(at), special, &around.repeat(length - at)].concat();
                        let mut json = String::new();
                        push_string(&mut json, &text);
                        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
                        let row = ["[", &json, ",", &json, "]"].concat();
                        let cut = parse(&row).array().unwrap();
                        assert!(cut.len() == 2 && cut.iter().all(|j| j.text() == json), "{row}");
                    }
                }
            }
        }
    }

    /// Every level against another reader's idea of it, exactly as the text has it.
    #[test]
    fn levels_are_cut_where_their_values_end() {
        fn same(ours: Json<'_>, theirs: &serde_json::Value) {
            assert_eq!(serde_json::from_str::<serde_json::Value>(ours.text()).unwrap(), *theirs);
            match theirs {
                serde_json::Value::Array(all) => {
                    let cut = ours.array().unwrap();
                    assert_eq!(cut.len(), all.len(), "{}", ours.text());
                    cut.into_iter().zip(all).for_each(|(o, t)| same(o, t));
                }
                serde_json::Value::Object(all) => {
                    let cut = ours.object().unwrap();
                    assert_eq!(cut.fields().len(), all.len(), "{}", ours.text());
                    cut.fields().iter().for_each(|(key, value)| same(*value, &all[key.as_ref()]));
                }
                _ => {}
            }
        }
        for text in [
            r#" {"a":[1,-2.5e3 , true,null,false],"b":{"c":{},"d":[],"e":"}],{\"\\"},"f\"\u0041\\":"\\","":[[["]"]],{"x":[{}]}]} "#,
            "[\n]",
            "[0]",
            "{ }",
            "\"\"",
            "[\"\\\\\",\"\\\"\",\"\u{4e2d}\" , {\"\u{6587}\"\t:\r7}]",
            "12",
        ] {
            let (theirs, mut tape) = (serde_json::from_str(text).unwrap(), Tape::default());
            same(parse(text), &theirs);
            same(Json::parse_all(text, &mut tape).unwrap(), &theirs);
        }
        // Deeper than the tape goes, each level with something beside.
        let deep = format!("{}7{}", r#"[1,{"a":"\n\\","c":"#.repeat(20), r#","d":[{}]},"x"]"#.repeat(20));
        let (theirs, mut tape) = (serde_json::from_str(&deep).unwrap(), Tape::default());
        same(parse(&deep), &theirs);
        same(Json::parse_all(&deep, &mut tape).unwrap(), &theirs);
        assert!(tape.0.len() < 100, "{}", tape.0.len());
        assert!(parse(r#"{"\ud800":1}"#).object().is_err(), "half a character is no key");
    }

    /// Every document that is one change away from these, against another reader's idea of it.
    #[test]
    fn what_is_json_is_what_another_reader_takes() {
        use serde::de::IgnoredAny;
        use serde_json::from_str;
        /// The same value, by its text and by a tape.
        fn alike(json: Json<'_>, taped: Json<'_>) {
            assert_eq!(json, taped);
            assert_eq!((json.string(), json.array()), (taped.string(), taped.array()));
            match (json.object(), taped.object()) {
                (Ok(json), Ok(taped)) => {
                    assert_eq!(json.fields(), taped.fields());
                    for ((name, value), (_, same)) in json.fields().iter().zip(taped.fields()) {
                        assert_eq!((json.get(name), json.last(name)), (taped.get(name), taped.last(name)));
                        alike(*value, *same);
                    }
                }
                (json, taped) => assert_eq!(json.err(), taped.err()),
            }
            for (value, same) in json.array().into_iter().flatten().zip(taped.array().into_iter().flatten()) {
                alike(value, same);
            }
        }
        fn well_formed(text: &str) -> Result<(), usize> {
            let mut check = Check::new(text.as_bytes());
            check.document(None).ok_or(check.at)
        }
        const DOCUMENTS: [&str; 6] = [
            r#" {"a":[1,-2.5e3 , true,null,false],"b":{"c":{},"d":[ ],"":"}]{\"\\"},"f\u00e9\n":"\/\b\f\r\t"} "#,
            r#"[0,-0,10,0.5,1E+2,1e-2,12e3,[[]],[{}],"中\ud83d\ude00"]"#,
            "true",
            "\"\"",
            "[\r\n\t]",
            "-1.5e3",
        ];
        const CHANGES: &[u8] = b"{}[]\",:\\0123456789+-.eEtrufalsn/bx \n\t\r\x00\x1f\x7f";
        let mut tape = Tape::default();
        let mut same = |text: &str| {
            let (ours, theirs) = (well_formed(text), from_str::<IgnoredAny>(text));
            assert_eq!(ours.is_ok(), theirs.is_ok(), "{text:?}");
            // Another document's tape is written over.
            let (taped, json) = (Json::parse_all(text, &mut tape), Json::parse(text.as_bytes()));
            assert_eq!(taped, json);
            if let (Ok(taped), Ok(json)) = (taped, json) {
                alike(json, taped);
                if json.kind() == Kind::String {
                    let quoted = json.text();
                    assert_eq!(json.string().ok().as_deref(), from_str::<String>(quoted).ok().as_deref());
                }
            }
        };
        let mut tried = 0;
        for document in DOCUMENTS {
            for (at, _) in document.char_indices() {
                let (before, rest) = document.split_at(at);
                let behind = &rest[rest.chars().next().map_or(0, char::len_utf8)..];
                same(before);
                let cut = well_formed(before);
                assert!(cut.is_ok() || cut == Err(at), "{before:?} is cut off: {cut:?}");
                same(&[before, behind].concat());
                for change in CHANGES {
                    let change = char::from(*change).to_string();
                    same(&[before, &change, behind].concat());
                    same(&[before, &change, rest].concat());
                    tried += 2;
                }
            }
            same(document);
        }
        assert!(tried > 10_000, "{tried}");
        for text in [
            r#""\ud83d""#,
            r#""\ud83d\ude0""#,
            r#""\ude00\ud83d""#,
            r#""\ud83d\ud83d\ude00""#,
            r#""\uD83D\uDE00x""#,
        ] {
            same(text);
        }
        let why = |text: &str| Json::parse(text.as_bytes()).unwrap_err().0.why.into_owned();
        assert_eq!(why("{\n  \"a\": x}"), "is not JSON (line 2, column 8)");
        assert_eq!(why("[\n1,"), "is cut off (line 2, column 3)");
    }

    #[test]
    fn numbers_strings_and_nulls() {
        let o = parse(r#"{"big":99999999999999999999,"frac":1.5,"s":"a\u4e2d\n","n":null,"t":true}"#)
            .object()
            .unwrap();
        assert!(o.int(&["big"]).unwrap_err().0.why.contains("too large"));
        assert!(o.int(&["frac"]).unwrap_err().0.why.contains("fraction"));
        assert_eq!(o.string(&["s"]).unwrap().unwrap(), "a中\n");
        assert_eq!(o.string(&["n", "s"]).unwrap().unwrap(), "a中\n");
        assert_eq!(o.bool(&["t"]).unwrap(), Some(true));
        assert!(o.int32(&["missing"]).unwrap().is_none());
    }

    #[test]
    // FAULTS D: half an emoji, and words in GBK.
    fn broken_characters_lose_themselves_only() {
        for (text, want) in [
            (r#""a\ud83d""#, "a\u{fffd}"),
            (r#""\ud83d\ude00b""#, "\u{1f600}b"),
            (r#""\ude00\n\u0041\\""#, "\u{fffd}\nA\\"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""plain""#, "plain"),
            ("7", ""),
        ] {
            assert_eq!(Json::parse(text.as_bytes()).unwrap().string_lossy(), want, "{text}");
        }
        // 签名错误 in GBK, and a character whose second byte is a backslash.
        let gbk = b"{\"name\":\"ERR_SIGN\",\"words\":\"\xc7\xa9\xc3\xfb\xb4\xed\xce\xf3\x81\x5c\"}";
        let text = decoded(gbk);
        let o = Json::parse(text.as_bytes()).unwrap().object().unwrap();
        assert_eq!(o.string(&["name"]).unwrap().unwrap(), "ERR_SIGN");
        assert_eq!(decoded("签名 ok".as_bytes()), "签名 ok");
        assert_eq!(decoded(b"\xe7\xad\xbe \xff"), "签 \u{fffd}");
    }

    /// Of many names some share what the reader first looks at.
    #[test]
    fn among_many_names_the_one_that_occurs_twice_is_noticed() {
        let names: Vec<String> = (0..90).map(|n| ["n", &n.to_string(), "x"].concat()).collect();
        let fields: Vec<String> = names.iter().map(|name| format!("\"{name}\":{}", name.len())).collect();
        let mut tape = Tape::default();
        let once = format!("[{{{}}},{{\"n7x\":1}}]", fields.join(","));
        for item in Json::parse_all(&once, &mut tape).unwrap().array().unwrap() {
            assert_eq!(item.object().unwrap().get("n90x").unwrap(), None);
        }
        for name in &names {
            let twice = format!("{{\"deep\":[{{{},\"{name}\":\"other\"}}],\"{name}\":1}}", fields.join(","));
            let o = Json::parse_all(&twice, &mut tape).unwrap().object().unwrap();
            assert_eq!(o.int(&[name]).unwrap(), Some(1));
            let deep = o.array(&["deep"]).unwrap().unwrap()[0].object().unwrap();
            for other in &names {
                assert_eq!(deep.get(other).is_err(), other == name, "{other} beside {name}");
            }
        }
    }
}
