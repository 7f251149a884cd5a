//! `abi/layout.json`: what the header promises in numbers. Every struct with the place of each field, every constant,
//! every function, read from the header itself; `tests/abi.rs` has C compilers confirm it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

type Result<T> = std::result::Result<T, String>;

/// A type and what goes by it: a field, a parameter.
pub struct Named {
    pub name: String,
    /// As C spells it without the name, `char[128]` for an array.
    pub ctype: String,
    /// The comment above it.
    pub doc: String,
}

pub struct Signature {
    pub returns: String,
    pub params: Vec<Named>,
}

/// What the header declares.
#[derive(Default)]
pub struct Header {
    /// Names and values; a value is written as in JSON.
    pub constants: BTreeMap<String, String>,
    pub structs: BTreeMap<String, Vec<Named>>,
    pub opaque: BTreeSet<String>,
    pub typedefs: BTreeMap<String, String>,
    pub callbacks: BTreeMap<String, Signature>,
    pub functions: BTreeMap<String, Signature>,
    /// The `_INIT` macros.
    pub inits: BTreeSet<String>,
    /// Every name in the header's order, with the comment above it.
    pub docs: Vec<(String, String)>,
}

/// The text of `abi/layout.json` and the ABI's number. `nodes`: the version of each symbol.
pub fn generate(header: &str, nodes: &BTreeMap<String, String>) -> Result<(String, u32)> {
    let header = read(header)?;
    let abi = header.constants.get("KL_ABI_VERSION").ok_or("the header has no KL_ABI_VERSION")?;
    let number = abi.parse().map_err(|_| format!("KL_ABI_VERSION is {abi}"))?;
    Ok((write(&header, number, nodes)?, number))
}

/// Takes a header apart.
pub fn read(text: &str) -> Result<Header> {
    let mut header = Header::default();
    let (code, docs) = without_comments(text);
    let code = directives(&code, &docs, &mut header)?;
    for declaration in declarations(&code) {
        declare(&declaration, &docs, &mut header).map_err(|why| format!("{why}: {declaration}"))?;
    }
    // A type may be declared before it is defined.
    header.opaque.retain(|name| !header.structs.contains_key(name));
    Ok(header)
}

/// A comment that belongs to what follows it leaves its number behind, `@7`: C has no such sign.
fn without_comments(text: &str) -> (String, Vec<String>) {
    let mut docs = Vec::new();
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['/', '"']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = if rest.starts_with("/*") {
            out.push(' ');
            let end = rest.find("*/");
            if let Some(doc) = end.and_then(|end| rest[..end].strip_prefix("/**")) {
                let lines = doc.lines().map(|line| match line.trim() {
                    "*" => "",
                    line => line.strip_prefix("* ").unwrap_or(line),
                });
                out.push_str(&format!("@{} ", docs.len()));
                docs.push(lines.collect::<Vec<_>>().join("\n").trim().to_owned());
            }
            end.map(|n| n + 2)
        } else if rest.starts_with("//") {
            rest.find('\n')
        } else {
            let end = match rest.strip_prefix('"') {
                Some(inside) => inside.find('"').map(|n| n + 2),
                None => Some(1),
            };
            out.push_str(&rest[..end.unwrap_or(rest.len())]);
            end
        };
        rest = &rest[end.unwrap_or(rest.len())..];
    }
    (out + rest, docs)
}

/// What was written above it, and the rest.
fn documented<'a>(text: &'a str, docs: &[String]) -> (String, &'a str) {
    let found = text.trim().strip_prefix('@').map(|t| t.split_once(' ').unwrap_or((t, "")));
    match found.and_then(|(number, rest)| Some((docs.get(number.parse::<usize>().ok()?)?, rest))) {
        Some((doc, rest)) => (doc.clone(), rest.trim()),
        None => (String::new(), text.trim()),
    }
}

/// Takes the constants out and gives what remains when the preprocessor has gone: C's side of it, not C++'s.
fn directives(text: &str, docs: &[String], header: &mut Header) -> Result<String> {
    let mut code = String::new();
    // A comment that stands alone, until it is seen what it belongs to.
    let mut above = "";
    // For each open conditional whether its lines count.
    let mut open: Vec<bool> = Vec::new();
    let text = text.replace("\\\n", " ");
    for line in text.lines() {
        let Some(directive) = line.trim().strip_prefix('#') else {
            let alone = line.trim().starts_with('@') && documented(line, docs).1.is_empty();
            if alone {
                above = line;
            } else if !line.trim().is_empty() && open.iter().all(|counts| *counts) {
                code.extend([std::mem::take(&mut above), line, "\n"]);
            }
            continue;
        };
        let (word, rest) = directive.trim().split_once(char::is_whitespace).unwrap_or((directive.trim(), ""));
        match word {
            "if" | "ifdef" | "ifndef" => open.push(!rest.contains("__cplusplus") || word == "ifndef"),
            "else" | "elif" => {
                if let Some(last) = open.last_mut() {
                    *last = !*last;
                }
            }
            "endif" => {
                open.pop();
            }
            // The guard is the outermost conditional; what stands deeper is for compilers, no constant of ours.
            "define" if open.len() == 1 => {
                constant(rest.trim(), documented(std::mem::take(&mut above), docs).0, header)?;
            }
            _ => {}
        }
    }
    Ok(code)
}

fn constant(text: &str, doc: String, header: &mut Header) -> Result<()> {
    let (name, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let value = value.trim();
    if name.ends_with("_INIT") {
        header.inits.insert(name.to_owned());
    }
    if value.is_empty() || name.contains('(') || name.ends_with("_INIT") {
        return Ok(());
    }
    let bare = value.trim_start_matches('(').trim_end_matches(')').trim();
    let digits = bare.trim_end_matches(['u', 'U', 'l', 'L']);
    let number = match digits.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => digits.parse::<i64>().ok(),
    };
    let json = match number {
        Some(number) => number.to_string(),
        None if bare.starts_with('"') && bare.ends_with('"') && !bare.contains('\\') => bare.to_owned(),
        None => header.constants.get(bare).cloned().ok_or_else(|| format!("what is {name}'s {value}?"))?,
    };
    header.docs.push((name.to_owned(), doc));
    header.constants.insert(name.to_owned(), json);
    Ok(())
}

/// What ends with a semicolon outside of braces, in single spaces.
fn declarations(code: &str) -> Vec<String> {
    let mut all = Vec::new();
    let (mut depth, mut from) = (0, 0);
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ';' if depth == 0 => {
                all.push(code[from..at].split_whitespace().collect::<Vec<_>>().join(" "));
                from = at + 1;
            }
            _ => {}
        }
    }
    all
}

fn declare(text: &str, docs: &[String], header: &mut Header) -> Result<()> {
    let (doc, text) = documented(text, docs);
    if let Some(rest) = text.strip_prefix("typedef struct ") {
        return match rest.split_once('{') {
            Some((name, body)) => {
                let (body, _) = body.rsplit_once('}').ok_or("no end")?;
                let fields = body.split(';').map(str::trim).filter(|f| !f.is_empty());
                let fields = fields.map(|field| {
                    let (doc, field) = documented(field, docs);
                    Ok(Named { doc, ..named(field, &header.constants)? })
                });
                let fields = fields.collect::<Result<_>>()?;
                header.docs.push((name.trim().to_owned(), doc));
                header.structs.insert(name.trim().to_owned(), fields);
                Ok(())
            }
            None => {
                let name = rest.split(' ').next_back().unwrap_or(rest).to_owned();
                header.docs.push((name.clone(), doc));
                header.opaque.insert(name);
                Ok(())
            }
        };
    }
    if let Some(rest) = text.strip_prefix("typedef ") {
        if let Some((returns, rest)) = rest.split_once("(*") {
            let (name, params) = rest.split_once(")").ok_or("no name")?;
            let signature = signature(returns, params, &header.constants)?;
            header.docs.push((name.to_owned(), doc));
            header.callbacks.insert(name.to_owned(), signature);
        } else {
            let typedef = named(rest, &header.constants)?;
            header.docs.push((typedef.name.clone(), doc));
            header.typedefs.insert(typedef.name, typedef.ctype);
        }
        return Ok(());
    }
    let (front, _) = text.split_once('(').ok_or("not understood")?;
    let function = named(front, &header.constants)?;
    let signature = signature(&function.ctype, &text[front.len()..], &header.constants)?;
    header.docs.push((function.name.clone(), doc));
    header.functions.insert(function.name, signature);
    Ok(())
}

fn signature(returns: &str, params: &str, constants: &BTreeMap<String, String>) -> Result<Signature> {
    let params = params.trim().strip_prefix('(').and_then(|p| p.strip_suffix(')')).ok_or("no parameters")?;
    let params = match params.trim() {
        "" | "void" => Vec::new(),
        list => list.split(',').map(|p| named(p.trim(), constants)).collect::<Result<_>>()?,
    };
    Ok(Signature { returns: spelled(returns), params })
}

/// `const char *name`, `char name[128]`, `char name[KL_SOME_MAX]`.
fn named(text: &str, constants: &BTreeMap<String, String>) -> Result<Named> {
    let (text, array) = match text.split_once('[') {
        Some((front, length)) => {
            let length = length.strip_suffix(']').ok_or("an array of arrays")?.trim();
            let number = constants.get(length).map_or(length, String::as_str);
            number.parse::<u64>().map_err(|_| format!("an array of {length}"))?;
            (front.trim(), format!("[{number}]"))
        }
        None => (text, String::new()),
    };
    let at = text.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').ok_or("a type without a name")?;
    let (ctype, name) = text.split_at(at + 1);
    if name.is_empty() || text.contains(['(', ')', ':']) {
        return Err(format!("not understood: {text}"));
    }
    Ok(Named { name: name.to_owned(), ctype: spelled(ctype) + &array, doc: String::new() })
}

/// One spelling for each type: `const kl_client *`, `kl_client **`, `const kl_client *const *`.
fn spelled(ctype: &str) -> String {
    let mut spelled = String::new();
    for word in ctype.replace('*', " * ").split_whitespace().filter(|w| *w != "struct") {
        if !spelled.is_empty() && !spelled.ends_with('*') {
            spelled.push(' ');
        }
        spelled.push_str(word);
    }
    spelled
}

/// Size and alignment by the rules of all our targets (System V on 64 bits, ARM's EABI on 32): every type is aligned to
/// its own size.
fn measure(header: &Header, ctype: &str, pointer: u64) -> Result<(u64, u64)> {
    if let Some((item, length)) = ctype.split_once('[') {
        let length: u64 = length.trim_end_matches(']').parse().map_err(|_| format!("{ctype}?"))?;
        let (size, align) = measure(header, item, pointer)?;
        return Ok((size * length, align));
    }
    let bare = ctype.strip_prefix("const ").unwrap_or(ctype);
    let size = match bare {
        _ if bare.ends_with('*') || header.callbacks.contains_key(bare) => pointer,
        "char" | "int8_t" | "uint8_t" => 1,
        "int16_t" | "uint16_t" => 2,
        "int32_t" | "uint32_t" | "float" => 4,
        "int64_t" | "uint64_t" | "double" => 8,
        "size_t" => pointer,
        _ => match (header.typedefs.get(bare), header.structs.get(bare)) {
            (Some(other), _) => return measure(header, other, pointer),
            (None, Some(fields)) => {
                return place(header, fields, pointer).map(|(_, size, align)| (size, align));
            }
            _ => return Err(format!("how large is {ctype}?")),
        },
    };
    Ok((size, size))
}

/// Each field's offset and size; the struct's size and alignment.
#[allow(clippy::type_complexity)]
fn place(header: &Header, fields: &[Named], pointer: u64) -> Result<(Vec<(u64, u64)>, u64, u64)> {
    let (mut end, mut most) = (0u64, 1u64);
    let mut places = Vec::new();
    for field in fields {
        let (size, align) = measure(header, &field.ctype, pointer)?;
        let offset = end.next_multiple_of(align);
        places.push((offset, size));
        end = offset + size;
        most = most.max(align);
    }
    Ok((places, end.next_multiple_of(most), most))
}

/// Those whose size their callers know, so that they cannot grow: they stand in arrays (a field in the plural, with a
/// count beside it) or inside of another struct.
fn fixed(header: &Header) -> BTreeSet<&str> {
    let mut all = BTreeSet::new();
    for fields in header.structs.values() {
        let counted = fields.iter().any(|f| f.name.ends_with("count"));
        for field in fields {
            let bare = field.ctype.trim_start_matches("const ");
            let target = bare.split([' ', '[']).next().unwrap_or(bare);
            // Pointers to structs may stand in an array, the structs themselves may then grow.
            let direct = bare.matches('*').count() == 1;
            let array = direct && bare.ends_with('*') && counted && field.name.ends_with('s');
            let within = array || !bare.ends_with('*');
            all.extend(
                header.structs.get_key_value(target).filter(|_| within).map(|(name, _)| name.as_str()),
            );
        }
    }
    all
}

fn write(header: &Header, abi: u32, nodes: &BTreeMap<String, String>) -> Result<String> {
    let fail = |e: std::fmt::Error| e.to_string();
    let list =
        |names: Vec<&str>| names.iter().map(|name| format!("\n    \"{name}\"")).collect::<Vec<_>>().join(",");
    let by_caller = header.structs.iter().filter(|(_, f)| f.first().is_some_and(|f| f.name == "struct_size"));
    let mut out = format!("{{\n  \"abi\": {abi},\n");
    for (key, names) in [
        ("caller_allocated", by_caller.map(|(name, _)| name.as_str()).collect()),
        ("fixed_size", fixed(header).into_iter().collect()),
        ("opaque", header.opaque.iter().map(String::as_str).collect::<Vec<_>>()),
    ] {
        write!(out, "  \"{key}\": [{}\n  ],\n", list(names)).map_err(fail)?;
    }

    let entries = |entries: Vec<String>| format!("{{\n    {}\n  }}", entries.join(",\n    "));
    let params = |signature: &Signature| {
        let each = signature.params.iter().map(pair);
        format!("[{}]", each.map(|p| format!("{{{p}}}")).collect::<Vec<_>>().join(", "))
    };
    let signatures = |all: &BTreeMap<String, Signature>| {
        let each = all.iter().map(|(name, s)| {
            let node = nodes.get(name).map_or(String::new(), |node| format!(", \"node\": \"{node}\""));
            format!("\"{name}\": {{\"returns\": \"{}\", \"params\": {}{node}}}", s.returns, params(s))
        });
        entries(each.collect())
    };
    let typedefs = header.typedefs.iter().map(|(name, ctype)| format!("\"{name}\": \"{ctype}\""));
    writeln!(out, "  \"typedefs\": {},", entries(typedefs.collect())).map_err(fail)?;
    writeln!(out, "  \"callbacks\": {},", signatures(&header.callbacks)).map_err(fail)?;

    let mut structs = Vec::new();
    for (name, fields) in &header.structs {
        let mut models = Vec::new();
        for (bits, pointer) in [("64", 8), ("32", 4)] {
            let (places, size, align) = place(header, fields, pointer).map_err(|e| format!("{name}: {e}"))?;
            let each = fields.iter().zip(&places).map(|(field, (offset, size))| {
                format!("        {{{}, \"offset\": {offset}, \"size\": {size}}}", pair(field))
            });
            let each = each.collect::<Vec<_>>().join(",\n");
            models.push(format!(
                "      \"{bits}\": {{\"size\": {size}, \"align\": {align}, \"fields\": [\n{each}\n      ]}}"
            ));
        }
        structs.push(format!("\"{name}\": {{\n{}\n    }}", models.join(",\n")));
    }
    writeln!(out, "  \"structs\": {},", entries(structs)).map_err(fail)?;
    let constants = header.constants.iter().map(|(name, value)| format!("\"{name}\": {value}"));
    writeln!(out, "  \"constants\": {},", entries(constants.collect())).map_err(fail)?;
    writeln!(out, "  \"functions\": {}\n}}", signatures(&header.functions)).map_err(fail)?;
    Ok(out)
}

fn pair(named: &Named) -> String {
    format!("\"name\": \"{}\", \"type\": \"{}\"", named.name, named.ctype)
}
