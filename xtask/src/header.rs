//! The C header: what cbindgen makes of the sources, the key macros from the table of settings, and an `_INIT` macro
//! for each struct that a caller allocates, by topic.

use crate::arrange::{self, Item, Order};
use kiosklink::config::{Form, KEYS, Key};
use kiosklink::platform::Kind;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

type Result<T> = std::result::Result<T, String>;

/// The header, twice.
pub struct Texts {
    /// As C reads it.
    pub header: String,
    /// The same with the Markdown of its comments, for the reference.
    pub marked: String,
    /// What it declares, in its order, each with its topic.
    pub order: Order,
}

/// Both texts of the header.
pub fn generate(root: &Path) -> Result<Texts> {
    let config =
        cbindgen::Config::from_file(root.join("cbindgen.toml")).map_err(|e| format!("cbindgen.toml: {e}"))?;
    let mut text = Vec::new();
    cbindgen::Builder::new()
        .with_crate(root)
        .with_config(config)
        .generate()
        .map_err(|e| format!("cbindgen: {e}"))?
        .write(&mut text);
    let text = String::from_utf8(text).map_err(|e| e.to_string())?;
    let (marked, order) = whole(&text)?;
    Ok(Texts { header: whole(&plain(&text))?.0, marked, order })
}

/// As it is written: with a mark on every function whose answer must be looked at.
pub fn must_use(header: &str) -> String {
    const MARK: &str = "KL_MUST_USE ";
    let mut out = String::new();
    // The lines of a long declaration stand below each other.
    let mut inside = false;
    for line in header.lines() {
        let begins = ["kl_status kl_", "kl_outcome kl_"].iter().any(|front| line.starts_with(front));
        if begins {
            out.push_str(MARK);
        } else if inside {
            out.extend(MARK.chars().map(|_| ' '));
        }
        inside = (begins || inside) && !line.ends_with(';');
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// With what cbindgen does not know, by topic.
fn whole(text: &str) -> Result<(String, Order)> {
    let text = tidy(text);
    let inits = inits(&text)?;
    // What stands in front of the first declaration stays there; all of them are C's, also in C++.
    let blocks: Vec<&str> = text.split("\n\n").map(|block| block.trim_matches('\n')).collect();
    let first = blocks.iter().position(|b| Item::read(b).is_some()).ok_or("the header declares nothing")?;
    let mut items: Vec<Item> = blocks.iter().filter_map(|block| Item::read(block)).collect();
    items.push(Item::together(PLATFORMS, &platforms()?));
    items.push(Item::together(KEY_MACROS, &keys()?));
    let (body, order) = arrange::arrange(&items, |name| inits.get(name).cloned())?;
    let end = "#ifdef __cplusplus\n}  // extern \"C\"\n#endif\n\n#endif  /* KIOSKLINK_H */\n";
    let begin = "\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n";
    Ok(([&blocks[..first].join("\n\n"), begin, &body, end].concat(), order))
}

const PLATFORMS: &str = "KL_PLATFORM_";
const KEY_MACROS: &str = "KL_KEY_";

/// The functions that the header declares, sorted.
pub fn functions(header: &str) -> Vec<String> {
    let mut names: Vec<String> = header
        .match_indices("kl_")
        .filter_map(|(at, _)| {
            let rest = &header[at..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
            let line = header[..at].rfind('\n').map_or(&header[..at], |n| &header[n + 1..at]);
            let declares =
                rest[end..].starts_with('(') && !line.trim_start().starts_with('*') && !line.is_empty();
            declares.then(|| rest[..end].to_owned())
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Rust's doc comments speak Markdown; C readers get plain text.
fn plain(text: &str) -> String {
    let mut text = text.replace('`', "");
    while let Some(at) = text.find("<https://") {
        text.remove(at);
        let end = text[at..].find('>').map_or(at, |n| at + n);
        text.remove(end);
    }
    text
}

/// Short comments take one line, and types go by their typedefs.
fn tidy(text: &str) -> String {
    let mut out = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let indent = &line[..line.len() - line.trim_start().len()];
        if line.trim() == "/**" {
            let body = lines.next().unwrap_or_default().trim().trim_start_matches("* ").to_owned();
            if lines.peek().is_some_and(|l| l.trim() == "*/") && body.len() + indent.len() < 100 {
                lines.next();
                out.extend([indent, "/** ", &body, " */\n"]);
            } else {
                out.extend([indent, "/**\n", indent, " * ", &body, "\n"]);
            }
            continue;
        }
        // C90 knows no such comment.
        let line = line
            .split("//")
            .next()
            .map_or(line, |code| if line.starts_with("#endif") { code.trim_end() } else { line });
        if line.contains("typedef struct ") {
            out.push_str(line);
        } else {
            out.push_str(&line.replace("struct kl_", "kl_"));
        }
        out.push('\n');
    }
    out
}

fn platforms() -> Result<String> {
    let mut out = String::from("/* The platforms, for kl_config_new. */\n");
    for kind in Kind::ALL {
        let name = kind.name();
        writeln!(out, "#define KL_PLATFORM_{} \"{name}\"", name.to_uppercase()).map_err(|e| e.to_string())?;
    }
    Ok(out)
}

fn keys() -> Result<String> {
    let line = |e: std::fmt::Error| e.to_string();
    let mut out =
        String::from("/* The settings, for kl_config_set; the same words in the JSON file of accounts. */\n");
    for (i, first) in KEYS.iter().enumerate() {
        if KEYS[..i].iter().any(|k| k.name == first.name) {
            continue;
        }
        // One macro for a name, with what it means to each group of platforms.
        let docs: Vec<String> = KEYS.iter().filter(|k| k.name == first.name).map(describe).collect();
        writeln!(out, "/**\n{} */", docs.iter().map(|d| wrapped(d)).collect::<String>()).map_err(line)?;
        writeln!(out, "#define KL_KEY_{} \"{}\"", first.name.to_uppercase(), first.name).map_err(line)?;
    }
    Ok(out)
}

/// What a key is and takes.
fn describe(key: &Key) -> String {
    let form = match key.form {
        Form::Text | Form::Url | Form::Proxy | Form::Pem | Form::Pins => String::new(),
        Form::Path => " A path.".into(),
        Form::Dir => " The path of a folder.".into(),
        Form::Millis(low, high) => format!(" Milliseconds, {low} to {high}."),
        Form::Bytes(low, high) => format!(" Bytes, {low} to {high}."),
        Form::Count(low, high) => format!(" A number, {low} to {high}."),
        Form::YesNo => " yes or no.".into(),
        Form::OneOf(words) => format!(" One of: {}.", words.join(", ")),
    };
    let default = if key.default.is_empty() { String::new() } else { format!(" Default: {}.", key.default) };
    let only = if key.platforms.is_empty() {
        String::new()
    } else {
        let names: Vec<_> = key.platforms.iter().map(|k| k.name()).collect();
        format!(" Only {}.", names.join(", "))
    };
    format!("{}{form}{default}{only}", key.doc.replace('`', ""))
}

fn wrapped(text: &str) -> String {
    let mut out = String::from(" *");
    let mut width = 2;
    for word in text.split_whitespace() {
        if width + word.len() + 1 > 110 {
            out.push_str("\n *");
            width = 2;
        }
        out.push(' ');
        out.push_str(word);
        width += word.len() + 1;
    }
    out.push('\n');
    out
}

/// Every struct whose first field is its size: `KL_X_INIT` with the size and zeroes for all the rest.
fn inits(text: &str) -> Result<BTreeMap<String, String>> {
    let mut out = BTreeMap::new();
    for part in text.split("typedef struct ").skip(1) {
        let Some((name, rest)) = part.split_once(" {") else { continue };
        let Some((body, _)) = rest.split_once("\n}") else { continue };
        let fields: Vec<&str> = without_comments(body)
            .lines()
            .map(str::trim)
            .filter(|l| l.ends_with(';'))
            .map(|l| &text[text.find(l).unwrap_or(0)..][..l.len()])
            .collect();
        if fields.first() != Some(&"uint32_t struct_size;") {
            continue;
        }
        let zero = |field: &&str| match field {
            f if f.contains('[') => "{0}",
            f if f.contains('*') => "NULL",
            _ => "0",
        };
        let values: Vec<&str> = fields[1..].iter().map(zero).collect();
        let init = format!("#define {}_INIT {{sizeof({name}), {}}}", name.to_uppercase(), values.join(", "));
        out.insert(name.to_owned(), init);
    }
    Ok(out)
}

fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/*") {
        out.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    out + rest
}
