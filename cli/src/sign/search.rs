//! Tries known mistakes, alone and together, until one gives the sign that was received.

use super::mistakes::Found;
use super::rules::{Charset, Digest, Escape, JsonForm, Length, Normal, Order, Place, Recipe, Space, Whole};
use kiosklink::json::Json;

/// Mistakes of one class exclude each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Content,
    Field,
    Empty,
    Time,
    JsonSpace,
    JsonOrder,
    JsonSlash,
    JsonUnicode,
    JsonNumber,
    JsonHtml,
    Escape,
    Order,
    Join,
    Place,
    Secret,
    Text,
    Tail,
    Length,
    Charset,
    Digest,
}

/// One mistake, ready to be made.
struct Change {
    found: Found,
    class: Class,
    make: Box<dyn Fn(&mut Recipe)>,
}

/// What the search knows beside the recipe.
#[derive(Clone, Debug, Default)]
pub struct Clues {
    /// Every other secret or id that somebody could take for the right one: its setting and its value.
    pub other_secrets: Vec<(String, String)>,
    /// Fields that somebody could have signed without sending them.
    pub unsent: Vec<(String, String)>,
    /// The values in which a `+` stood as it is, read as if it had been meant.
    pub plus: Vec<(String, String)>,
    /// The parts of a content that could be taken for the right one: what it is, and the text.
    pub contents: Vec<(Found, String)>,
}

/// Ways to write the bytes of a digest that only move them: name and the digits, as they are moved.
fn moved(digits: &str) -> Vec<(&'static str, String)> {
    let bytes: Vec<&str> = (0..digits.len() / 2).filter_map(|i| digits.get(2 * i..2 * i + 2)).collect();
    let words =
        |size: usize| bytes.chunks(size.max(1)).flat_map(|w| w.iter().rev().copied()).collect::<String>();
    let nibbles = bytes.iter().map(|b| b.chars().rev().collect::<String>()).collect::<String>();
    vec![
        ("words of 4 bytes in the other order", words(4)),
        ("words of 8 bytes in the other order", words(8)),
        ("from the last byte to the first", words(bytes.len())),
        ("the halves of each byte swapped", nibbles),
    ]
}

/// Ways that change how long it is.
fn stretched(right: &str) -> Vec<(&'static str, String)> {
    let bytes: Vec<&str> = (0..right.len() / 2).filter_map(|i| right.get(2 * i..2 * i + 2)).collect();
    let spaced = |b: &&str| b.strip_prefix('0').map_or_else(|| (*b).to_owned(), |digit| format!(" {digit}"));
    let signed = |b: &&str| if *b >= "80" { format!("ffffff{b}") } else { (*b).to_owned() };
    let spaced: String = bytes.iter().map(spaced).collect();
    let long: String = bytes.iter().map(signed).collect();
    vec![
        // A form field loses the blank that it begins with.
        ("%2x without a zero", spaced.trim().to_owned()),
        ("%2x without a zero", spaced),
        ("signed char with %02x, then cut", long.chars().take(right.len()).collect()),
        ("signed char with %02x, then cut", long.chars().take(right.len() - 1).collect()),
        ("signed char with %02x", long),
    ]
}

/// A sign that is to be explained, with the digests that it may be a wrong writing of.
pub struct Given<'a> {
    text: &'a str,
    moved: Vec<(&'static str, String)>,
    odd: bool,
}

impl Given<'_> {
    /// Looks at it once.
    pub fn new(text: &str) -> Given<'_> {
        let low = text.to_ascii_lowercase();
        let hex = low.len() >= 32 && low.bytes().all(|b| b.is_ascii_hexdigit());
        // Each of them undoes itself.
        let moved = if hex { moved(&low) } else { Vec::new() };
        Given { text, moved, odd: low.contains(' ') || low.contains("ffffff") }
    }

    /// In which wrong way the bytes of this digest were written, if that gives the sign.
    pub fn written(&self, right: &str) -> Option<Found> {
        if right.eq_ignore_ascii_case(self.text) || right.len() < 32 || !right.is_ascii() {
            return None;
        }
        if self.text.len() + 1 == right.len()
            && right.get(..self.text.len()).is_some_and(|r| r.eq_ignore_ascii_case(self.text))
        {
            return Some(Found::new("sign-cut", "its buffer has no room for the NUL"));
        }
        if let Some((what, _)) = self.moved.iter().find(|(_, text)| text == right) {
            return Some(Found::new("digest-bytes", *what));
        }
        let all = if self.odd { stretched(right) } else { Vec::new() };
        let found = all.into_iter().find(|(_, text)| text != right && text.eq_ignore_ascii_case(self.text));
        found.map(|(what, _)| Found::new("digest-bytes", what))
    }

    /// Whether this digest is the sign, or a known wrong writing of it.
    pub fn fits(&self, right: &str) -> bool {
        same_sign(right, self.text) || self.written(right).is_some()
    }
}

/// Whether a sign is the one given, in whatever letters, even if zeros of it were lost on the way.
pub fn same_sign(right: &str, given: &str) -> bool {
    let unpadded = || -> String {
        right
            .as_bytes()
            .chunks(2)
            .flat_map(|two| if two[0] == b'0' { &two[1..] } else { two })
            .map(|b| *b as char)
            .collect()
    };
    right.eq_ignore_ascii_case(given)
        || (given.len() < right.len()
            && given.len() > 20
            && (right.trim_start_matches('0').eq_ignore_ascii_case(given)
                || unpadded().eq_ignore_ascii_case(given)))
}

/// The mistakes that turn the recipe's sign into the one given, and the recipe that makes them; none if it is right as
/// it is, `None` if nothing known explains it.
pub fn search(base: &Recipe, given: &str, clues: &Clues) -> Option<(Vec<Found>, Recipe)> {
    let wanted = Given::new(given);
    let fits = |recipe: &Recipe| wanted.fits(&recipe.sign());
    if fits(base) {
        return Some((Vec::new(), base.clone()));
    }
    let mut all = changes(base, clues);
    // A digest of another length cannot be it, and costs the most.
    all.retain(|c| {
        let mut recipe = base.clone();
        (c.make)(&mut recipe);
        match recipe.digest {
            Digest::Sha1 => given.len() == 40,
            Digest::Sha256 => given.len() == 64,
            Digest::Md5Middle => given.len() == 16,
            Digest::Md5Base64 => given.len() == 24,
            _ => given.len() <= 32 || given.to_ascii_lowercase().contains("ffffff"),
        }
    });
    let plain = (base.bytes(), base.sign());
    // What changes nothing here cannot be the reason.
    let mut useful: Vec<&Change> = Vec::new();
    for change in &all {
        let mut recipe = base.clone();
        (change.make)(&mut recipe);
        if fits(&recipe) {
            return Some((vec![change.found.clone()], recipe));
        }
        if (recipe.bytes(), recipe.sign()) != plain {
            useful.push(change);
        }
    }
    let many = numerous(base);
    for change in &many {
        let mut recipe = base.clone();
        (change.make)(&mut recipe);
        if fits(&recipe) {
            return Some((named(&[change]), recipe));
        }
    }
    let together = |a: &Change, b: &Change| {
        a.class != b.class || (a.class == Class::Field && a.found.detail != b.found.detail)
    };
    let pair = |wanted: &dyn Fn(&Change, &Change) -> bool| {
        for (i, a) in useful.iter().enumerate() {
            for b in useful[..i].iter().filter(|b| together(a, b) && wanted(a, b)) {
                let mut recipe = base.clone();
                (b.make)(&mut recipe);
                (a.make)(&mut recipe);
                if fits(&recipe) {
                    return Some((named(&[b, a]), recipe));
                }
            }
        }
        None
    };
    let found = pair(&|a, b| !(a.rare() && b.rare()));
    if found.is_some() {
        return found;
    }
    // The few that most people make, with those of which there are many.
    for a in useful.iter().filter(|c| c.usual()) {
        for b in many
            .iter()
            .filter(|b| together(a, b) && b.class != Class::Order)
            .filter(|b| !matches!(b.found.id, "timestamp-drift" | "secret-letter"))
        {
            let mut recipe = base.clone();
            (b.make)(&mut recipe);
            (a.make)(&mut recipe);
            if fits(&recipe) {
                return Some((named(&[b, a]), recipe));
            }
        }
    }
    if let Some(found) = pair(&|a, b| a.rare() && b.rare()) {
        return Some(found);
    }
    // Three at a time only of the few.
    let usual: Vec<&Change> = useful.iter().copied().filter(|c| c.usual()).collect();
    for (i, a) in usual.iter().enumerate() {
        for (k, b) in usual[..i].iter().enumerate().filter(|(_, b)| together(a, b)) {
            for c in usual[..k].iter().filter(|c| together(a, c) && together(b, c)) {
                let mut recipe = base.clone();
                [*c, *b, a].iter().for_each(|change| (change.make)(&mut recipe));
                if fits(&recipe) {
                    return Some((named(&[c, b, a]), recipe));
                }
            }
        }
    }
    None
}

/// The names, each once. A change that stands for several fields left out is told as several.
fn named(changes: &[&Change]) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    for change in changes {
        if !all.contains(&change.found) {
            all.push(change.found.clone());
        }
    }
    all
}

impl Change {
    /// Two of these together are tried last: there are many such pairs.
    fn rare(&self) -> bool {
        matches!(
            self.found.id,
            "blank-in-value"
                | "number-as-float"
                | "field-added"
                | "names-changed"
                | "values-quoted"
                | "secret-blank"
                | "secret-changed"
                | "secret-as-field"
                | "secret-wrong-name"
                | "leading-text"
                | "empty-as-text"
                | "charset-signed"
                | "url-encoded-whole"
                | "separator"
                | "no-equals"
                | "trailing-blank"
                | "text-cut"
                | "text-length"
                | "secret-cut"
                | "value-case"
                | "unicode-form"
        )
    }

    fn usual(&self) -> bool {
        matches!(
            self.found.id,
            "wrong-secret"
                | "not-sorted"
                | "url-encoded"
                | "json-spaces"
                | "json-unicode"
                | "json-slashes"
                | "secret-wrong-name"
                | "secret-not-joined"
                | "secret-in-front"
                | "trailing-newline"
                | "empty-dropped"
                | "field-left-out"
                | "gbk-signed"
                | "amp-entity"
                | "html-entity"
        )
    }
}

/// Everything that is tried.
fn changes(base: &Recipe, clues: &Clues) -> Vec<Change> {
    let mut all = Vec::new();
    let mut add = |class: Class, id: &'static str, detail: &str, make: Box<dyn Fn(&mut Recipe)>| {
        all.push(Change { found: Found::new(id, detail), class, make });
    };
    macro_rules! on {
        ($class:ident, $id:expr, $detail:expr, |$r:ident| $body:expr) => {
            add(
                Class::$class,
                $id,
                $detail,
                Box::new(move |$r: &mut Recipe| {
                    $body;
                }),
            )
        };
    }
    let pairs = base.names;

    // The secret's slot first: the most usual of all.
    for (name, value) in clues.other_secrets.clone() {
        on!(Secret, "wrong-secret", &name, |r| r.secret = value.clone());
    }

    // The time.
    if let Some(sent) = field(base, "timestamp").and_then(|t| t.parse::<i64>().ok()) {
        if sent >= 100_000_000_000 {
            on!(Time, "timestamp-unit-differs", "seconds signed, milliseconds sent", |r| set(
                r,
                "timestamp",
                &(sent / 1000).to_string()
            ));
            on!(Time, "timestamp-unit-differs", "whole seconds in milliseconds signed", |r| set(
                r,
                "timestamp",
                &(sent / 1000 * 1000).to_string()
            ));
        } else {
            on!(Time, "timestamp-unit-differs", "milliseconds signed, seconds sent", |r| set(
                r,
                "timestamp",
                &(sent * 1000).to_string()
            ));
            for off in (-3..=3).filter(|o| *o != 0) {
                on!(Time, "timestamp-drift", &format!("{off:+} s"), |r| set(
                    r,
                    "timestamp",
                    &(sent + off).to_string()
                ));
            }
        }
    }

    // Order and joining.
    if pairs {
        on!(Order, "not-sorted", "as they are sent", |r| r.order = Order::AsSent);
        on!(Order, "sorted-ignoring-case", "", |r| r.order = Order::IgnoringCase);
        on!(Order, "not-sorted", "from the end", |r| r.order = Order::Backwards);
        on!(Order, "not-sorted", "by value", |r| r.order = Order::ByValue);
        on!(Join, "separator", "＆", |r| r.whole.push(Whole::FullWidth));
        for between in ["", ",", ";", "|", "\n", " ", "&&", "?", ":", "＆"] {
            let name = match between {
                "" => "nothing",
                "\n" => "line breaks",
                " " => "spaces",
                other => other,
            };
            on!(Join, "separator", name, |r| r.between = between);
            // Some join the secret in the same way.
            on!(Join, "separator", name, |r| {
                r.between = between;
                if r.place == Place::After("&") {
                    r.place = Place::After(between);
                }
            });
        }
        for equals in ["", ":", " = ", "=>"] {
            on!(Join, "no-equals", "", |r| r.equals = equals);
        }
        on!(Join, "no-equals", "", |r| {
            (r.equals, r.between) = ("", "");
            if r.place == Place::After("&") {
                r.place = Place::After("");
            }
        });
        on!(Join, "values-only", "", |r| r.names = false);
        on!(Join, "values-only", "", |r| {
            (r.names, r.between) = (false, "");
            if r.place == Place::After("&") {
                r.place = Place::After("");
            }
        });
        on!(Join, "values-quoted", "", |r| r.quoted = true);
    } else {
        // Three texts in a row.
        on!(Order, "parts-order", "content first", |r| r.order = Order::Backwards);
        for between in ["&", ",", ":", "|", "\n", "_", "-", " ", "+"] {
            on!(Join, "separator", between, |r| (r.between, r.place) = (between, Place::After(between)));
        }
        let (id, content) = (value(base, 0), value(base, 1));
        let parts = |order: [&str; 3]| {
            order.iter().map(|p| (String::from("part"), (*p).to_owned())).collect::<Vec<_>>()
        };
        let secret = base.secret.clone();
        let front = parts([&*secret, &*id, &*content]);
        on!(Order, "secret-in-front", "", |r| (r.fields, r.place) = (front.clone(), Place::Nowhere));
        for (name, order) in [
            ("secret, content, client_id", [&*secret, &*content, &*id]),
            ("content, secret, client_id", [&*content, &*secret, &*id]),
            ("client_id, secret, content", [&*id, &*secret, &*content]),
        ] {
            let fields = parts(order);
            on!(Order, "parts-order", name, |r| (r.fields, r.place) = (fields.clone(), Place::Nowhere));
        }
        on!(Field, "field-left-out", "client_id", |r| r.fields.retain(|(n, _)| n != "client_id"));
        for (found, content) in clues.contents.clone() {
            let text = content.clone();
            add(
                Class::Content,
                found.id,
                &found.detail,
                Box::new(move |r: &mut Recipe| {
                    if let Some(slot) = r.fields.iter_mut().find(|(n, _)| n == "content") {
                        slot.1.clone_from(&text);
                    }
                }),
            );
        }
    }
    on!(Text, "amp-entity", "", |r| r.whole.push(Whole::Amp));
    on!(Text, "html-entity", "", |r| r.whole.push(Whole::Entities));
    on!(Text, "letters-changed", "small", |r| r.whole.push(Whole::Lower));
    on!(Text, "letters-changed", "capital", |r| r.whole.push(Whole::Upper));

    // Empty values.
    if base.drop_empty {
        on!(Empty, "empty-kept", "", |r| r.drop_empty = false);
    } else if pairs {
        on!(Empty, "empty-dropped", "", |r| r.drop_empty = true);
    }
    for text in ["null", "None", "nil", "undefined", "NULL", "\"\"", "{}", "[]"] {
        on!(Empty, "empty-as-text", text, |r| (r.drop_empty, r.empty_as) = (false, text));
    }

    // Which fields.
    if pairs {
        for (name, _) in base.fields.clone() {
            let detail = name.clone();
            on!(Field, "field-left-out", &detail, |r| r.fields.retain(|(n, _)| *n != name));
        }
        for (name, value) in clues.unsent.clone() {
            if field(base, &name).is_none() {
                let detail = if value.is_empty() { format!("{name}=") } else { name.clone() };
                on!(Field, "field-added", &detail, |r| r.fields.push((name.clone(), value.clone())));
            }
        }
        on!(Field, "names-changed", "small", |r| r.fields.iter_mut().for_each(|f| f.0 = f.0.to_lowercase()));
        on!(Field, "names-changed", "capital", |r| r
            .fields
            .iter_mut()
            .for_each(|f| f.0 = f.0.to_uppercase()));
        on!(Field, "names-changed", "first letter capital", |r| r
            .fields
            .iter_mut()
            .for_each(|f| f.0 = capital(&f.0)));
        on!(Field, "names-changed", "camelCase", |r| r.fields.iter_mut().for_each(|f| f.0 = camel(&f.0)));
    }
    for (i, (name, text)) in base.fields.clone().into_iter().enumerate() {
        let changed = |detail: &str, text: String| (detail.to_owned(), text);
        let mut variants = vec![
            changed(&name, text.trim().to_owned()),
            changed(&name, format!("{text}\n")),
            changed(&name, format!("{text}\r\n")),
            changed(&name, format!("{text} ")),
            changed(&name, format!(" {text}")),
        ];
        variants.retain(|(_, v)| *v != text);
        for (detail, text) in variants {
            on!(Content, "blank-in-value", &detail, |r| if let Some(f) = r.fields.get_mut(i) {
                f.1.clone_from(&text)
            });
        }
        for spelling in floats(&text) {
            let detail = format!("{name} as {spelling}");
            on!(Content, "number-as-float", &detail, |r| if let Some(f) = r.fields.get_mut(i) {
                f.1.clone_from(&spelling)
            });
        }
    }
    on!(Content, "number-as-float", "every number", |r| {
        r.fields.iter_mut().for_each(|f| {
            if let Some(s) = floats(&f.1).first() {
                f.1.clone_from(s)
            }
        });
    });
    on!(Content, "number-as-float", "every number", |r| {
        r.fields.iter_mut().for_each(|f| {
            if let Some(s) = floats(&f.1).get(1) {
                f.1.clone_from(s)
            }
        });
    });
    if let [first, ..] = &clues.plus[..] {
        let (detail, meant) = (first.0.clone(), clues.plus.clone());
        on!(Content, "plus-not-encoded", &detail, |r| {
            meant.iter().for_each(|(name, value)| set(r, name, value));
        });
    }

    for (name, text) in base.fields.clone() {
        for other in [text.to_uppercase(), text.to_lowercase()] {
            if other != text && text.len() <= 40 {
                let name = name.clone();
                on!(Content, "value-case", &name.clone(), |r| set(r, &name, &other));
            }
        }
    }
    if let Some(inside) = field(base, "biz_content").and_then(inside) {
        let flat: Vec<(String, String)> =
            base.fields.iter().filter(|(n, _)| n != "biz_content").cloned().chain(inside.clone()).collect();
        on!(Content, "biz-content-flattened", "", |r| r.fields.clone_from(&flat));
        let both: Vec<(String, String)> = base.fields.iter().cloned().chain(inside).collect();
        on!(Content, "biz-content-flattened", "beside biz_content", |r| r.fields.clone_from(&both));
    }

    // JSON in values.
    for (name, space) in [
        ("{\"a\": 1, \"b\": 2}", Space::Python),
        ("{\"a\":1,\"b\":2}", Space::Compact),
        ("one part a line, 2 spaces", Space::Lines(2)),
        ("one part a line, 4 spaces", Space::Lines(4)),
    ] {
        on!(JsonSpace, "json-spaces", name, |r| r.json = JsonForm { space: Some(space), ..r.json });
    }
    on!(JsonOrder, "json-sorted", "", |r| r.json.sorted = true);
    for yes in [true, false] {
        on!(JsonSlash, "json-slashes", "", |r| r.json.slashes = Some(yes));
        on!(JsonUnicode, "json-unicode", "", |r| r.json.unicode = Some(yes));
        on!(JsonNumber, "json-numbers", "", |r| r.json.numbers = Some(yes));
    }
    for signs in ["", "&=<>'", "&<>"] {
        on!(JsonHtml, "json-html-safe", "", |r| r.json.html_safe = Some(signs));
    }
    for digits in [0, 1, 2, 3, 6] {
        on!(JsonNumber, "json-numbers", "other digits behind the point", |r| r.json.decimals = Some(digits));
    }
    on!(JsonSpace, "json-python", "str(dict)", |r| r.json.python = true);

    // URL-encoding.
    use Escape::*;
    for escape in [Percent, Query, Component, Uri, Java, Slashes] {
        on!(Escape, "url-encoded", "", |r| r.escapes = vec![escape]);
        on!(Escape, "url-encoded-twice", "", |r| r.escapes = vec![escape, escape]);
        on!(Text, "url-encoded-whole", "", |r| r.whole.push(Whole::Escaped(escape)));
        // The text is encoded, the secret put behind it afterwards.
        if pairs {
            on!(Text, "url-encoded-whole", "", |r| {
                if let Place::After(between) = r.place {
                    let bare = Recipe { place: Place::Nowhere, ..r.clone() };
                    let text = super::rules::escaped(&bare.text(""), escape);
                    r.fields = vec![(String::new(), text)];
                    (r.names, r.escapes, r.place) = (false, Vec::new(), Place::After(between));
                }
            });
        }
    }
    for escape in [PercentLower, QueryLower] {
        on!(Escape, "url-encoded-lower-hex", "", |r| r.escapes = vec![escape]);
    }
    if !base.escapes.is_empty() {
        on!(Escape, "not-url-encoded", "", |r| r.escapes.clear());
    }

    // The secret's place.
    on!(Place, "secret-in-front", "", |r| r.place = Place::Before(""));
    on!(Place, "secret-in-front", "", |r| r.place = Place::Before("&"));
    on!(Place, "secret-both-ends", "", |r| r.place = Place::Both);
    on!(Place, "secret-missing", "", |r| r.place = Place::Nowhere);
    if pairs {
        on!(Place, "secret-not-joined", "", |r| r.place = Place::After(""));
        if base.place == Place::After("&key=") {
            on!(Place, "secret-without-name", "", |r| r.place = Place::After("&"));
            on!(Place, "secret-not-joined", "", |r| r.place = Place::After("key="));
            on!(Place, "secret-missing", "", |r| {
                r.place = Place::Nowhere;
                r.whole.push(Whole::Behind("&key="));
            });
        } else {
            on!(Place, "secret-missing", "", |r| {
                r.place = Place::Nowhere;
                r.whole.push(Whole::Behind("&"));
            });
            on!(Place, "secret-wrong-name", "&key=", |r| r.place = Place::After("&key="));
        }
        for name in [
            "&secret=",
            "&appSecret=",
            "&app_secret=",
            "&appsecret=",
            "&AppSecret=",
            "&appKey=",
            "&app_key=",
            "&appkey=",
            "&Key=",
            "&KEY=",
            "&sign_key=",
            "&token=",
            "&pay_key=",
            "&&",
            "?key=",
            "&key:",
        ] {
            on!(Place, "secret-wrong-name", name, |r| r.place = Place::After(name));
        }
        for name in [
            "key",
            "secret",
            "appSecret",
            "app_secret",
            "appsecret",
            "AppSecret",
            "appKey",
            "app_key",
            "appkey",
            "pay_key",
        ] {
            on!(Place, "secret-as-field", name, |r| r.place = Place::Field(name));
        }
        for front in ["POST", "POST&", "?", "&", "GET", "PUT"] {
            on!(Text, "leading-text", front, |r| r.whole.push(Whole::Before(front)));
        }
    }
    on!(Place, "hmac", "", |r| r.place = Place::Hmac);
    let behind = if let Place::After(between) = base.place { between } else { "" };
    for (digest, name) in [(Digest::Md5, "MD5"), (Digest::Sha1, "SHA-1"), (Digest::Sha256, "SHA-256")] {
        on!(Place, "hmac", name, |r| (r.place, r.digest) = (Place::Hmac, digest));
        for (place, how) in [
            (Place::HmacToo(behind), "the secret behind the text too"),
            (Place::HmacSwapped, "key and text swapped"),
        ] {
            on!(Place, "hmac", &format!("{name}, {how}"), |r| (r.place, r.digest) = (place, digest));
        }
        if !pairs {
            for (place, how) in [
                (Place::Hmac, "over the content alone"),
                (Place::HmacSwapped, "the content alone as the key"),
            ] {
                on!(Place, "hmac", &format!("{name}, {how}"), |r| {
                    r.fields.retain(|(n, _)| n == "content");
                    (r.place, r.digest) = (place, digest);
                });
            }
        }
    }

    // What stands at the end, where the secret usually is.
    for (id, tail, name) in [
        ("trailing-newline", "\n", ""),
        ("trailing-newline", "\r\n", ""),
        ("trailing-newline", "\r", ""),
        ("trailing-blank", " ", "a space"),
        ("trailing-blank", "\t", "a tab"),
        ("trailing-blank", "&", "&"),
        ("trailing-blank", "\0", "a NUL"),
        ("trailing-blank", "\u{feff}", "a byte order mark"),
        ("trailing-blank", "\u{a0}", "a non-breaking space"),
        ("trailing-blank", "\u{200b}", "a zero-width space"),
        ("trailing-blank", "\"", "a quote"),
    ] {
        on!(Tail, id, name, |r| r.whole.push(Whole::Behind(tail)));
    }
    for (front, name) in [("\u{feff}", "a byte order mark"), (" ", "a space"), ("\n", "a line break")] {
        on!(Tail, "leading-text", name, |r| r.whole.push(Whole::Before(front)));
    }
    let secret = base.secret.clone();
    for (name, changed) in [
        ("a line break", format!("{secret}\n")),
        ("a space", format!("{secret} ")),
        ("a space before it", format!(" {secret}")),
        ("a byte order mark before it", format!("\u{feff}{secret}")),
        ("a line break before it", format!("\n{secret}")),
        ("quotes", format!("\"{secret}\"")),
        ("quotes", format!("'{secret}'")),
        ("braces", format!("{{{secret}}}")),
        ("angle brackets", format!("<{secret}>")),
        ("the last letter missing", cut_last(&secret)),
        ("the first letter missing", secret.chars().skip(1).collect()),
    ] {
        on!(Secret, "secret-blank", name, |r| r.secret.clone_from(&changed));
    }
    use base64::Engine;
    use md5::Digest as _;
    let sum = super::rules::hex(&md5::Md5::digest(&secret));
    for (name, changed) in [
        ("hashed with MD5", sum.clone()),
        ("hashed with MD5", sum.to_uppercase()),
        ("turned to capital letters", secret.to_uppercase()),
        ("turned to small letters", secret.to_lowercase()),
        ("encoded with Base64", base64::engine::general_purpose::STANDARD.encode(&secret)),
        ("URL-encoded", super::rules::percent(&secret)),
        ("reversed", secret.chars().rev().collect()),
    ] {
        on!(Secret, "secret-changed", name, |r| r.secret.clone_from(&changed));
    }

    for most in (4..secret.len()).rev().filter(|n| secret.is_char_boundary(*n)) {
        let cut = secret[..most].to_owned();
        on!(Secret, "secret-cut", &format!("{most} bytes"), |r| r.secret.clone_from(&cut));
    }

    // What a buffer of C cuts, and what its size makes of it.
    for size in
        [32, 48, 64, 80, 96, 100, 128, 160, 200, 256, 300, 384, 400, 500, 512, 768, 1000, 1024, 2048, 4096]
    {
        for most in [size - 1, size] {
            let detail = format!("{most} bytes");
            on!(Length, "text-cut", &detail, |r| r.length = Length::Cut(most));
            on!(Length, "text-cut", &format!("{detail}, before the secret"), |r| r.length =
                Length::CutBefore(most));
        }
        on!(Length, "text-length", &format!("the buffer of {size} bytes"), |r| r.length =
            Length::Filled(size));
    }
    for (name, form) in [("NFD", Normal::Nfd), ("NFC", Normal::Nfc), ("NFKC", Normal::Nfkc)] {
        on!(Text, "unicode-form", name, |r| r.whole.push(Whole::Normal(form)));
    }

    // Letters into bytes, bytes into a sign.
    on!(Charset, "gbk-signed", "", |r| r.charset = Charset::Gbk);
    for (name, charset) in [
        ("UTF-8 taken for Latin-1", Charset::Twice),
        ("? for what is not ASCII", Charset::Questions),
        ("UTF-16", Charset::Utf16),
    ] {
        on!(Charset, "charset-signed", name, |r| r.charset = charset);
    }
    for (name, digest) in [
        ("MD5 over the hex of the MD5", Digest::Md5Twice),
        ("MD5 over the hex of the MD5", Digest::Md5TwiceUpper),
        ("the middle half of the MD5", Digest::Md5Middle),
        ("Base64 of the MD5", Digest::Md5Base64),
        ("SHA-1", Digest::Sha1),
        ("SHA-256", Digest::Sha256),
    ] {
        on!(Digest, "wrong-digest", name, |r| r.digest = digest);
    }
    all
}

/// Those of which there are many, tried last.
fn numerous(base: &Recipe) -> Vec<Change> {
    let mut all = Vec::new();
    if let Some(sent) = field(base, "timestamp").and_then(|t| t.parse::<i64>().ok()) {
        let mut at = |id, detail: String, other: i64| {
            all.push(Change {
                found: Found::new(id, detail),
                class: Class::Time,
                make: Box::new(move |r| set(r, "timestamp", &other.to_string())),
            });
        };
        if sent < 100_000_000_000 {
            for ms in 1..1000 {
                at("timestamp-unit-differs", "milliseconds signed, seconds sent".into(), sent * 1000 + ms);
            }
            for off in (-120..=120_i64).filter(|o| o.abs() > 3) {
                at("timestamp-drift", format!("{off:+} s"), sent + off);
            }
        } else {
            for off in (-2000..=2000).filter(|o| *o != 0) {
                at("timestamp-drift", format!("{off:+} ms"), sent + off);
            }
        }
    }
    let secret: Vec<char> = base.secret.chars().collect();
    let mut typed = |detail: String, other: Vec<char>| {
        let other: String = other.into_iter().collect();
        all.push(Change {
            found: Found::new("secret-letter", detail),
            class: Class::Secret,
            make: Box::new(move |r| r.secret.clone_from(&other)),
        });
    };
    for at in 0..secret.len() {
        let place = format!("the letter in place {}", at + 1);
        for c in ('0'..='9').chain('a'..='z').chain('A'..='Z').chain("_-+/=.".chars()) {
            if c != secret[at] {
                let mut other = secret.clone();
                other[at] = c;
                typed(place.clone(), other);
            }
        }
        let mut shorter = secret.clone();
        shorter.remove(at);
        typed(format!("{place} is missing"), shorter);
        let mut twice = secret.clone();
        twice.insert(at, secret[at]);
        typed(format!("{place} is there twice"), twice);
        if at > 0 && secret[at - 1] != secret[at] {
            let mut swapped = secret.clone();
            swapped.swap(at - 1, at);
            typed(format!("{place} and the one before it are swapped"), swapped);
        }
    }
    if !base.names {
        return all;
    }
    let n = base.fields.len();
    if (3..=6).contains(&n) {
        for places in permutations(n) {
            all.push(Change {
                found: Found::new("not-sorted", "in an order of its own"),
                class: Class::Order,
                make: Box::new(move |r| r.order = Order::Places(places.clone())),
            });
        }
    }
    if (4..=10).contains(&n) {
        for set in 1u32..(1 << n) - 1 {
            if set.count_ones() < 3 {
                continue;
            }
            let left: Vec<String> =
                (0..n).filter(|i| set & (1 << i) != 0).map(|i| base.fields[i].0.clone()).collect();
            let detail = left.join(", ");
            all.push(Change {
                found: Found::new("field-left-out", detail),
                class: Class::Field,
                make: Box::new(move |r| r.fields.retain(|(name, _)| !left.contains(name))),
            });
        }
    }
    all
}

fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for shorter in permutations(n - 1) {
        for at in 0..=shorter.len() {
            let mut longer = shorter.clone();
            longer.insert(at, n - 1);
            all.push(longer);
        }
    }
    all
}

fn field<'a>(recipe: &'a Recipe, name: &str) -> Option<&'a str> {
    recipe.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

/// The parameters in a JSON object, as fields.
fn inside(text: &str) -> Option<Vec<(String, String)>> {
    let object = Json::parse(text.as_bytes()).ok()?.object().ok()?;
    let value = |v: &Json<'_>| v.string().map_or_else(|_| v.text().to_owned(), |s| s.into_owned());
    Some(object.fields().iter().map(|(n, v)| (n.to_string(), value(v))).collect())
}

fn value(recipe: &Recipe, at: usize) -> String {
    recipe.fields.get(at).map(|(_, v)| v.clone()).unwrap_or_default()
}

fn set(recipe: &mut Recipe, name: &str, value: &str) {
    if let Some(slot) = recipe.fields.iter_mut().find(|(n, _)| n == name) {
        slot.1 = value.to_owned();
    }
}

fn capital(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or("").to_owned();
    words.fold(first, |all, word| all + &capital(word))
}

fn cut_last(text: &str) -> String {
    let mut chars = text.chars();
    chars.next_back();
    chars.as_str().to_owned()
}

/// How languages print a whole number that became a float.
fn floats(text: &str) -> Vec<String> {
    let Ok(n) = text.parse::<i64>() else { return Vec::new() };
    if n.to_string() != text {
        return Vec::new();
    }
    let mut all = vec![format!("{text}.0")];
    // Go's %v and Lua's %.14g: an exponent of at least two digits.
    let digits = text.trim_start_matches('-');
    let exponent = digits.len() - 1;
    let (first, rest) = digits.split_at(1);
    let rest = rest.trim_end_matches('0');
    let dot = if rest.is_empty() { "" } else { "." };
    all.push(if exponent >= 6 { format!("{first}{dot}{rest}e+{exponent:02}") } else { text.to_owned() });
    all.retain(|s| s != text);
    if exponent >= 6 {
        let point = if rest.is_empty() { ".0" } else { "." };
        all.push(format!("{first}{point}{rest}E{exponent}"));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::mistakes::known;
    use super::*;

    #[test]
    fn every_mistake_that_is_tried_has_a_name() {
        let fields = ["appid", "timestamp", "x"].map(|n| (n.to_owned(), "1700000000".to_owned())).to_vec();
        for base in [
            Recipe::yopoint(fields.clone(), "secret"),
            Recipe::dingshang(fields, "secret", true),
            Recipe::youzan("id", "{}", "secret"),
        ] {
            let clues = Clues {
                other_secrets: vec![("a".into(), "b".into())],
                unsent: vec![("c".into(), "d".into())],
                plus: vec![("x".into(), "+".into())],
                contents: Vec::new(),
            };
            for change in changes(&base, &clues).iter().chain(&numerous(&base)) {
                assert!(known(change.found.id).is_some(), "{}", change.found.id);
            }
        }
    }

    #[test]
    fn a_digest_is_known_in_each_wrong_writing() {
        let right = "0a1b2c3d8e5f60718293a4b5c6d7e8f9";
        for (text, what) in [
            ("3d2c1b0a71605f8eb5a49382f9e8d7c6", "words of 4 bytes in the other order"),
            ("f9e8d7c6b5a49382 71605f8e3d2c1b0a", ""),
            ("a1b2c3d8e5f60718293a4b5c6d7e8f9", ""),
            ("a01b2c3d8e5f60718293a4b5c6d7e8f9", ""),
            ("a0b1c2d3e8f5061728394a5b6c7d8e9f", "the halves of each byte swapped"),
            ("a1b2c3dffffff8e5f6071ffffff82ffffff93ffffffa4ffffffb5ffffffc6ffffffd7ffffffe8fffffff9", ""),
            ("0a1b2c3dffffff8e5f6071ffffff82ff", "signed char with %02x, then cut"),
            ("0a1b2c3d8e5f60718293a4b5c6d7e8f", "its buffer has no room for the NUL"),
            (" a1b2c3d8e5f60718293a4b5c6d7e8f9", "%2x without a zero"),
            (right, ""),
        ] {
            let found = Given::new(text).written(right);
            assert_eq!(found.map(|f| f.detail).unwrap_or_default(), what, "{text}");
        }
    }

    #[test]
    fn numbers_as_other_languages_print_them() {
        assert_eq!(floats("16327129"), ["16327129.0", "1.6327129e+07", "1.6327129E7"]);
        assert_eq!(floats("5"), ["5.0"]);
        assert!(floats("007").is_empty() && floats("x").is_empty());
    }
}
