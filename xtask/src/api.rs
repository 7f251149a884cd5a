//! `docs/api.md`: the reference of the C interface, written from the header with the Markdown of its comments. What
//! stands where is told by the source file that an entry is declared in.

use crate::layout::{self, Header, Signature};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

type Result<T> = std::result::Result<T, String>;

struct Area {
    title: &'static str,
    /// Below `src/`.
    files: &'static [&'static str],
    intro: &'static str,
}

/// In the order of the page. What a new file declares has no place before the file stands here.
const AREAS: &[Area] = &[
    Area {
        title: "Library",
        files: &["ffi/library"],
        intro: "Versions, names, the log, a trusted time. For the whole process, with no client.",
    },
    Area {
        title: "Errors",
        files: &["ffi/error", "status"],
        intro: "What every call that acts or can fail returns and writes.",
    },
    Area {
        title: "Configuration",
        files: &["ffi/config"],
        intro: "The settings of one account: [settings.md](settings.md).",
    },
    Area {
        title: "Client",
        files: &["ffi/client"],
        intro: "One account on one platform, for any number of threads: [threads.md](threads.md).",
    },
    Area {
        title: "Reads",
        files: &["ffi/read", "ffi/identity"],
        intro: "Cabinets, stock and orders, as whole lists, single pages, or one item after the other; the person and the \
                company behind the account. Nothing is changed by them, so they are tried again when the network fails.",
    },
    Area {
        title: "Pickup codes",
        files: &["ffi/code"],
        intro: "Looked up, listed, made, cancelled. To redeem one is a command: `kl_code_redeem`.",
    },
    Area {
        title: "Commands",
        files: &["ffi/command", "ffi/visit", "command/mod", "model"],
        intro: "Acts that cannot be undone, each sent at most once for its `request_id`: [journal.md](journal.md).",
    },
    Area {
        title: "Other writes",
        files: &["ffi/write"],
        intro: "Orders made, payments reported, refunds and appeals. Each is sent at most once; what is returned says whether \
                it is done, not done or unknown.",
    },
    Area {
        title: "Callbacks",
        files: &["ffi/event"],
        intro: "What a platform sends by itself, verified and taken apart: [flows.md](flows.md) has them step by step.",
    },
    Area {
        title: "Everything else",
        files: &["ffi/call"],
        intro: "Calls of a platform that have no function of their own.",
    },
];

/// The constants that header.rs makes of tables, and where they stand.
const KEYS: &str = "KL_KEY_";
const PLATFORMS: &str = "KL_PLATFORM_";
const OF_CONFIG: &str = "Configuration";
/// The file whose constants errors.md explains.
const STATUS: &str = "status";
const STATUSES: &str = "KL_E_*";

/// Numbers that belong together.
struct Group {
    /// `KL_DOOR_STATE_*`, or the name of one that stands alone.
    name: String,
    area: usize,
    members: Vec<String>,
}

struct Page<'a> {
    header: &'a Header,
    docs: BTreeMap<&'a str, &'a str>,
    /// The area of every name that a file declares, and which of the area's files that is.
    places: BTreeMap<String, (usize, usize)>,
    groups: Vec<Group>,
    /// Where a mention leads.
    targets: BTreeMap<String, String>,
}

/// The text of `docs/api.md`. `exports` are the functions that it must have.
pub fn generate(root: &Path, header: &str, exports: &[String]) -> Result<String> {
    let header = layout::read(header)?;
    let mut places = BTreeMap::new();
    let mut runs = Vec::new();
    let files = |(n, area): (usize, &Area)| {
        area.files.iter().enumerate().map(move |(m, file)| ((n, m), *file)).collect::<Vec<_>>()
    };
    for (place, file) in AREAS.iter().enumerate().flat_map(files) {
        let path = format!("src/{file}.rs");
        let source = fs::read_to_string(root.join(&path)).map_err(|e| format!("{path}: {e}"))?;
        let (names, found) = declared(&source);
        places.extend(names.into_iter().map(|name| (name, place)));
        runs.extend(found.into_iter().map(|run| (place.0, file, run)));
    }
    let page = Page::new(&header, places, runs)?;
    let text = page.write()?;
    let missing: Vec<&str> =
        exports.iter().map(String::as_str).filter(|f| !text.contains(&heading(f))).collect();
    match missing.is_empty() {
        true => Ok(text),
        false => Err(format!("docs/api.md would not name {}", missing.join(", "))),
    }
}

fn heading(name: &str) -> String {
    format!("\n### `{name}`{}\n", if alone(name) { " (constant)" } else { "" })
}

/// A constant of no group. GitHub writes anchors in small letters: `KL_ABI_VERSION` would have that of `kl_abi_version`.
fn alone(name: &str) -> bool {
    name.starts_with("KL_") && !name.ends_with('*')
}

/// What a source file declares for C, and its constants in runs: those with no empty line between them.
fn declared(source: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let mut names = Vec::new();
    let mut runs: Vec<Vec<String>> = vec![Vec::new()];
    for line in source.lines().map(str::trim) {
        let name = |rest: &str| {
            let end = rest.find(|c: char| !word(c)).unwrap_or(rest.len());
            let ours = rest.starts_with("kl_") || rest.starts_with("KL_");
            ours.then(|| rest[..end].to_owned())
        };
        let constant = line.strip_prefix("pub const ").and_then(name);
        let function = || line.split_once("extern \"C\" fn ").and_then(|(_, rest)| name(rest));
        let named = |kind| line.strip_prefix(kind).and_then(name);
        if let Some(constant) = constant {
            runs.last_mut().expect("there is always one").push(constant.clone());
            names.push(constant);
        } else if !line.starts_with("///") && !line.starts_with('#') {
            runs.push(Vec::new());
            names.extend(function().or_else(|| named("pub struct ")).or_else(|| named("pub type ")));
        }
    }
    runs.retain(|run| !run.is_empty());
    (names, runs)
}

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl<'a> Page<'a> {
    fn new(
        header: &'a Header,
        places: BTreeMap<String, (usize, usize)>,
        runs: Vec<(usize, &str, Vec<String>)>,
    ) -> Result<Page<'a>> {
        let mut groups = Vec::new();
        let mut targets = BTreeMap::new();
        for (area, file, mut run) in runs {
            run.retain(|name| header.constants.contains_key(name));
            if file == STATUS {
                targets.extend(run.into_iter().map(|name| (name, "errors.md".to_owned())));
                if !groups.iter().any(|g: &Group| g.name == STATUSES) {
                    groups.push(Group { name: STATUSES.into(), area, members: Vec::new() });
                }
            } else if !run.is_empty() {
                let name = common(&run)?;
                targets.extend(run.iter().map(|member| (member.clone(), anchor(&name))));
                groups.push(Group { name, area, members: run });
            }
        }
        let config = AREAS.iter().position(|a| a.title == OF_CONFIG).ok_or("no place for the settings")?;
        let platforms: Vec<_> =
            header.docs.iter().map(|(n, _)| n.clone()).filter(|n| n.starts_with(PLATFORMS)).collect();
        groups.push(Group { name: format!("{PLATFORMS}*"), area: config, members: platforms });
        groups.push(Group { name: format!("{KEYS}*"), area: config, members: Vec::new() });
        for group in &groups {
            let mut all = group.members.iter().chain([&group.name]);
            all.try_for_each(|name| put(&mut targets, name, anchor(&group.name)))?;
        }
        for name in header.constants.keys().filter(|n| n.starts_with(KEYS)) {
            put(&mut targets, name, "settings.md".into())?;
        }
        for (name, _) in &header.docs {
            let kept = targets.contains_key(name);
            if !kept && !places.contains_key(name) {
                return Err(format!("{name} has no place in docs/api.md: name its file in xtask/src/api.rs"));
            }
            if !header.constants.contains_key(name) {
                put(&mut targets, name, anchor(name))?;
            }
        }
        for name in header.structs.keys() {
            let init = format!("{}_INIT", name.to_uppercase());
            if header.inits.contains(&init) {
                put(&mut targets, &init, anchor(name))?;
            }
        }
        let docs: BTreeMap<&str, &str> = header.docs.iter().map(|(n, d)| (n.as_str(), d.as_str())).collect();
        let page = Page { header, docs, places, groups, targets };
        page.anchors()?;
        Ok(page)
    }

    /// Two headings of one anchor would lead to the first of them only.
    fn anchors(&self) -> Result<()> {
        let entries = self.header.docs.iter().map(|(n, _)| n).filter(|n| self.area(n).is_some());
        let entries = entries.filter(|n| !self.header.constants.contains_key(*n));
        let mut seen = BTreeSet::new();
        for title in entries.chain(self.groups.iter().map(|g| &g.name)) {
            if !seen.insert(anchor(title)) {
                return Err(format!("two entries of docs/api.md have the anchor of {title}"));
            }
        }
        Ok(())
    }

    fn area(&self, name: &str) -> Option<usize> {
        self.places.get(name).map(|(area, _)| *area)
    }

    /// The names of an area that `kind` has, file by file in the header's order.
    fn named(&self, area: usize, kind: impl Fn(&str) -> bool) -> Vec<&str> {
        let names = self.header.docs.iter().map(|(name, _)| name.as_str());
        let mut names: Vec<&str> = names.filter(|n| self.area(n) == Some(area) && kind(n)).collect();
        names.sort_by_key(|name| self.places[*name].1);
        names
    }

    fn functions(&self, area: usize) -> Vec<&str> {
        self.named(area, |n| self.header.functions.contains_key(n))
    }

    fn types(&self, area: usize) -> Vec<&str> {
        let h = self.header;
        let plain = |n: &str| h.typedefs.contains_key(n) || h.callbacks.contains_key(n);
        let mut all = self.named(area, |n| h.opaque.contains(n));
        all.extend(self.named(area, |n| h.structs.contains_key(n)));
        all.extend(self.named(area, plain));
        all
    }

    fn doc(&self, name: &str) -> Result<String> {
        let doc = self.docs.get(name).copied().unwrap_or_default();
        match doc.is_empty() {
            true => Err(format!("{name} has no comment")),
            false => self.prose(doc, name),
        }
    }

    fn write(&self) -> Result<String> {
        let mut out = String::from(INTRO);
        out.push_str("\n## Contents\n\n");
        for (n, area) in AREAS.iter().enumerate() {
            let slug = area.title.to_lowercase().replace(' ', "-");
            writeln!(out, "- [{}](#{slug})", area.title).map_err(fail)?;
            let groups = self.groups.iter().filter(|g| g.area == n).map(|g| g.name.as_str());
            for (what, names) in
                [("Functions", self.functions(n)), ("Types", self.types(n)), ("Constants", groups.collect())]
            {
                if !names.is_empty() {
                    writeln!(out, "  - {what}: {}", self.list(&names, " · ")).map_err(fail)?;
                }
            }
        }
        for (n, area) in AREAS.iter().enumerate() {
            write!(out, "\n## {}\n\n{}\n", area.title, self.prose(area.intro, "")?).map_err(fail)?;
            for name in self.functions(n) {
                self.function(name, &mut out)?;
            }
            for name in self.types(n) {
                self.a_type(name, &mut out)?;
            }
            for group in self.groups.iter().filter(|g| g.area == n) {
                self.group(group, &mut out)?;
            }
        }
        Ok(out)
    }

    fn function(&self, name: &str, out: &mut String) -> Result<()> {
        let signature = spelled(name, &self.header.functions[name]);
        write!(out, "{}\n```c signature\n{signature};\n```\n\n{}\n", heading(name), self.doc(name)?)
            .map_err(fail)
    }

    fn a_type(&self, name: &str, out: &mut String) -> Result<()> {
        out.push_str(&heading(name));
        if let Some(callback) = self.header.callbacks.get(name) {
            let spelled = spelled(&format!("(*{name})"), callback);
            write!(out, "\n```c signature\ntypedef {spelled};\n```\n").map_err(fail)?;
        }
        if let Some(other) = self.header.typedefs.get(name) {
            write!(out, "\n```c signature\ntypedef {other} {name};\n```\n").map_err(fail)?;
        }
        write!(out, "\n{}\n", self.doc(name)?).map_err(fail)?;
        if self.header.opaque.contains(name) {
            return self.handle(name, out);
        }
        match self.header.structs.get(name) {
            Some(_) => self.fields(name, out),
            None => Ok(()),
        }
    }

    /// The functions one of whose parameters is of one of these types.
    fn takers(&self, types: &[String]) -> Vec<&str> {
        let takes = |s: &Signature| s.params.iter().any(|p| types.contains(&p.ctype));
        let names = self.header.docs.iter().map(|(name, _)| name.as_str());
        names.filter(|name| self.header.functions.get(*name).is_some_and(takes)).collect()
    }

    fn handle(&self, name: &str, out: &mut String) -> Result<()> {
        let free = format!("{name}_free");
        let makers = self.takers(&[format!("{name} **")]);
        if makers.is_empty() || !self.header.functions.contains_key(&free) {
            return Err(format!("the handle {name} needs a function that makes it, and {free}"));
        }
        let mut users = self.takers(&[format!("{name} *"), format!("const {name} *")]);
        // A client is taken by most functions: those that are about it stand beside it.
        users.retain(|user| *user != free && self.area(user) == self.area(name));
        write!(out, "\n- Made by {}.\n", self.list(&makers, ", ")).map_err(fail)?;
        if !users.is_empty() {
            writeln!(out, "- Taken by {}.", self.list(&users, ", ")).map_err(fail)?;
        }
        writeln!(out, "- Freed by {}.", self.list(&[&free], ", ")).map_err(fail)
    }

    fn fields(&self, name: &str, out: &mut String) -> Result<()> {
        let fields = &self.header.structs[name];
        let init = format!("{}_INIT", name.to_uppercase());
        let leads = [format!("const {name} *"), format!("const {name} *const *")];
        let inside: Vec<&str> = (self.header.structs.iter())
            .filter(|(_, fields)| fields.iter().any(|f| leads.contains(&f.ctype)))
            .map(|(other, _)| other.as_str())
            .collect();
        let sized = |name: &str| {
            self.header.structs.get(name).and_then(|f| f.first()).is_some_and(|f| f.name == "struct_size")
        };
        out.push('\n');
        if sized(name) {
            if !self.header.inits.contains(&init) {
                return Err(format!("{name} has a struct_size and no {init}"));
            }
            let takers = self.takers(&[format!("{name} *"), format!("const {name} *")]);
            let by = match takers.len() {
                0 if inside.is_empty() => return Err(format!("no function takes {name}")),
                0 => format!("As many as you like, a pointer to each in {}.", self.list(&inside, ", ")),
                1..=8 => format!("Taken by {}.", self.list(&takers, ", ")),
                n => format!("Taken by {n} functions."),
            };
            writeln!(
                out,
                "- Allocated by you; `{init}` fills in `struct_size` and zeroes the rest \
                 ([the rule](conventions.md#6-structs-that-you-allocate)).\n- {by}"
            )
            .map_err(fail)?;
        } else {
            let handed = [format!("const {name} **")];
            let mut from = self.takers(&handed);
            let given = |f: &str| {
                self.header.functions.get(f).is_some_and(|s| s.returns == format!("const {name} *"))
            };
            from.extend(self.header.docs.iter().map(|(n, _)| n.as_str()).filter(|n| given(n)));
            from.extend(inside);
            if from.is_empty() {
                return Err(format!("nothing leads to {name}"));
            }
            writeln!(
                out,
                "- The library's own, to be read through a pointer only ([the rule](conventions.md#5-structs-that-you-read)).\n\
                 - Found by {}.",
                self.list(&from, ", ")
            )
            .map_err(fail)?;
        }
        out.push_str("\n| field | type | |\n|---|---|---|\n");
        for field in fields {
            if field.doc.is_empty() {
                return Err(format!("{name}.{} has no comment", field.name));
            }
            let base = field.ctype.trim_start_matches("const ").trim_end_matches([' ', '*']);
            let linked = self.targets.get(base).filter(|_| base != name);
            let ctype = match linked {
                Some(target) => format!("[`{}`]({target})", field.ctype),
                None => format!("`{}`", field.ctype),
            };
            writeln!(out, "| `{}` | {ctype} | {} |", field.name, self.cell(&field.doc, name)?)
                .map_err(fail)?;
        }
        Ok(())
    }

    fn group(&self, group: &Group, out: &mut String) -> Result<()> {
        out.push_str(&heading(&group.name));
        if group.name.starts_with(KEYS) {
            let text = "\nThe settings, as texts for `kl_config_set`: the macro of `timeout_ms` is `KL_KEY_TIMEOUT_MS`. \
                        [settings.md](settings.md) has every one with its form and its default.\n";
            out.push_str(&self.prose(text, &group.name)?);
            return Ok(());
        }
        if group.name == STATUSES {
            let text = "\nWhat a call answered. `KL_OK` is 0; [errors.md](errors.md) has every other code with its number, what it \
                        means and what the firmware does about it. `kl_status_name` gives a code its name back.\n";
            out.push_str(&self.prose(text, &group.name)?);
            return Ok(());
        }
        if group.name.starts_with(PLATFORMS) {
            out.push_str(&self.prose("\nThe platforms, as texts for `kl_config_new`.\n", &group.name)?);
            out.push_str("\n| name | value | |\n|---|---|---|\n");
            for name in &group.members {
                let value = &self.header.constants[name];
                let page = value.trim_matches('"');
                writeln!(out, "| `{name}` | `{value}` | [platforms/{page}.md](platforms/{page}.md) |")
                    .map_err(fail)?;
            }
            return Ok(());
        }
        out.push_str("\n| name | value | |\n|---|---|---|\n");
        for name in &group.members {
            let doc = self.docs.get(name.as_str()).copied().unwrap_or_default();
            if doc.is_empty() {
                return Err(format!("{name} has no comment"));
            }
            let value = &self.header.constants[name];
            writeln!(out, "| `{name}` | {value} | {} |", self.cell(doc, &group.name)?).map_err(fail)?;
        }
        Ok(())
    }

    fn list(&self, names: &[&str], between: &str) -> String {
        let linked = names.iter().map(|name| match self.targets.get(*name) {
            Some(target) => format!("[`{name}`]({target})"),
            None => format!("`{name}`"),
        });
        linked.collect::<Vec<_>>().join(between)
    }

    /// In one line, and with no bar of its own.
    fn cell(&self, doc: &str, entry: &str) -> Result<String> {
        Ok(self.prose(&doc.split_whitespace().collect::<Vec<_>>().join(" "), entry)?.replace('|', "\\|"))
    }

    /// A comment as Markdown: our names are code, and the first mention of each other entry is a link. A name that the
    /// header does not have is an error: it was renamed, and the comment was not.
    fn prose(&self, doc: &str, entry: &str) -> Result<String> {
        let mut seen = BTreeSet::from([self.targets.get(entry).cloned().unwrap_or_default()]);
        let mut out = String::new();
        for (n, part) in doc.split('`').enumerate() {
            let code = n % 2 == 1;
            let name = part.trim_end_matches("()");
            if code && ours(name) {
                out.push_str(&self.mention(part, name, &mut seen)?);
            } else if code {
                // Of what is more than a name only the names are looked at.
                let page = pages(part);
                if page.starts_with('[') && page.ends_with(')') {
                    out.push_str(&page);
                    continue;
                }
                names(part).iter().try_for_each(|name| self.known(name))?;
                out.extend(["`", part, "`"]);
            } else {
                let mut rest = part;
                while let Some(name) = names(rest).first() {
                    let at = rest.find(name).unwrap_or_default();
                    out.push_str(&pages(&rest[..at]));
                    out.push_str(&self.mention(name, name, &mut seen)?);
                    rest = &rest[at + name.len()..];
                }
                out.push_str(&pages(rest));
            }
        }
        Ok(out)
    }

    fn known(&self, name: &str) -> Result<()> {
        match self.targets.contains_key(name) {
            true => Ok(()),
            false => Err(format!("a comment names {name}, which the header does not have")),
        }
    }

    fn mention(&self, shown: &str, name: &str, seen: &mut BTreeSet<String>) -> Result<String> {
        self.known(name)?;
        let target = &self.targets[name];
        Ok(match seen.insert(target.clone()) {
            true => format!("[`{shown}`]({target})"),
            false => format!("`{shown}`"),
        })
    }
}

const INTRO: &str = "# The C interface

Every function, type and constant of [`include/kiosklink.h`](../include/kiosklink.h). The rules that all of them keep (errors,
`NULL`, ownership, units) are in [conventions.md](conventions.md) and not repeated here; who may call what from which thread is in
[threads.md](threads.md).

Written by `make header` from the sources; do not edit.
";

/// What the names have in common, up to an underscore, with a star; a single name is its own.
fn common(names: &[String]) -> Result<String> {
    let [first, rest @ ..] = names else { return Err("no names".into()) };
    if rest.is_empty() {
        return Ok(first.clone());
    }
    let same = |n: &usize| rest.iter().all(|name| name.as_bytes().get(*n) == first.as_bytes().get(*n));
    let prefix = &first[..(0..first.len()).take_while(same).count()];
    match prefix.rfind('_') {
        Some(end) if end > 2 => Ok(format!("{}*", &prefix[..=end])),
        _ => Err(format!("{} have nothing in common: part them by an empty line", names.join(", "))),
    }
}

/// As GitHub makes it of a heading.
fn anchor(name: &str) -> String {
    let more = if alone(name) { "-constant" } else { "" };
    format!("#{}{more}", name.trim_end_matches('*').to_lowercase())
}

fn put(targets: &mut BTreeMap<String, String>, name: &str, target: String) -> Result<()> {
    match targets.insert(name.to_owned(), target.clone()) {
        Some(old) if old != target => Err(format!("{name} is two things")),
        _ => Ok(()),
    }
}

/// Whether this is one of our names and nothing else, perhaps `KL_DOOR_STATE_*`.
fn ours(text: &str) -> bool {
    names(text).first() == Some(&text)
}

/// Our names in a text, with the star behind those that end with an underscore.
fn names(text: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find(word).map(|n| from + n) {
        let mut end = text[start..].find(|c| !word(c)).map_or(text.len(), |n| start + n);
        if text[start..end].ends_with('_') && text[end..].starts_with('*') {
            end += 1;
        }
        let name = &text[start..end];
        // `KL_E_?` is none.
        if (name.starts_with("kl_") || name.starts_with("KL_")) && !name.ends_with('_') {
            all.push(name);
        }
        from = end;
    }
    all
}

/// Pages of the documentation are links.
fn pages(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("docs/") {
        let end = after.find(".md").map_or(0, |n| n + 3);
        let page = &after[..end];
        out.push_str(before);
        match page.is_empty() || page.contains(char::is_whitespace) {
            true => {
                out.push_str("docs/");
                rest = after;
            }
            false => {
                out.push_str(&format!("[{page}]({page})"));
                rest = &after[end..];
            }
        }
    }
    out + rest
}

/// A declaration without its semicolon, its parameters below each other where they would not fit into one line.
fn spelled(name: &str, signature: &Signature) -> String {
    let join = |ctype: &str, name: &str| match (ctype.ends_with('*'), ctype.split_once('[')) {
        (_, Some((item, length))) => format!("{item} {name}[{length}"),
        (true, _) => format!("{ctype}{name}"),
        (false, _) => format!("{ctype} {name}"),
    };
    let front = join(&signature.returns, name);
    let params: Vec<String> = signature.params.iter().map(|p| join(&p.ctype, &p.name)).collect();
    let params = if params.is_empty() { vec!["void".to_owned()] } else { params };
    let line = format!("{front}({})", params.join(", "));
    if line.len() <= 100 {
        return line;
    }
    let indent = format!(",\n{}", " ".repeat(front.len() + 1));
    format!("{front}({})", params.join(&indent))
}

fn fail(e: std::fmt::Error) -> String {
    e.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "\
#ifndef X
#define X
/** The door is open, or it is not. */
#define KL_DOOR_STATE_OPEN 1
/** One `kl_thing`. Opaque. */
typedef struct kl_thing kl_thing;
/** Says so: kl_make, `KL_DOOR_STATE_OPEN`, `kl_make` again, `docs/time.md`. */
typedef struct kl_told {
  /** What it says | or not. */
  const char *text;
} kl_told;
/**
 * Makes one. See `kl_thing_free()`.
 *
 * - the first
 * - the second
 */
int32_t kl_make(const char *a_long_name_of_a_parameter, const char *another_long_name, kl_thing **out);
/** Ends it. */
void kl_thing_free(kl_thing *thing);
/** Reads it. */
const kl_told *kl_thing_told(const kl_thing *thing);
#endif
";
    const SOURCE: &str = "\
/// The door is open, or it is not.
pub const KL_DOOR_STATE_OPEN: i32 = 1;

pub struct kl_thing {
pub struct kl_told {
pub extern \"C\" fn kl_make(
pub extern \"C\" fn kl_thing_free(thing: *mut kl_thing) {
pub extern \"C\" fn kl_thing_told(thing: *const kl_thing) -> *const kl_told {
";

    fn page(header: &str, source: &str) -> Result<String> {
        let header = layout::read(header)?;
        let (names, runs) = declared(source);
        let places = names.into_iter().map(|name| (name, (0, 0))).collect();
        Page::new(&header, places, runs.into_iter().map(|run| (0, "ffi/x", run)).collect())?.write()
    }

    #[test]
    fn comments_become_markdown_with_links() {
        // The areas' own words name functions of the real header.
        let header = layout::read(HEADER).unwrap();
        let (names, runs) = declared(SOURCE);
        let places = names.into_iter().map(|name| (name, (0, 0))).collect();
        let runs = runs.into_iter().map(|run| (0, "ffi/x", run)).collect();
        let page = Page::new(&header, places, runs).unwrap();
        let mut out = String::new();
        page.function("kl_make", &mut out).unwrap();
        page.a_type("kl_told", &mut out).unwrap();
        page.a_type("kl_thing", &mut out).unwrap();
        let wanted = "
### `kl_make`

```c signature
int32_t kl_make(const char *a_long_name_of_a_parameter,
                const char *another_long_name,
                kl_thing **out);
```

Makes one. See [`kl_thing_free()`](#kl_thing_free).

- the first
- the second

### `kl_told`

Says so: [`kl_make`](#kl_make), [`KL_DOOR_STATE_OPEN`](#kl_door_open-constant), `kl_make` again, [time.md](time.md).

- The library's own, to be read through a pointer only ([the rule](conventions.md#5-structs-that-you-read)).
- Found by [`kl_thing_told`](#kl_thing_told).

| field | type | |
|---|---|---|
| `text` | `const char *` | What it says \\| or not. |

### `kl_thing`

One `kl_thing`. Opaque.

- Made by [`kl_make`](#kl_make).
- Taken by [`kl_thing_told`](#kl_thing_told).
- Freed by [`kl_thing_free`](#kl_thing_free).
";
        assert_eq!(out, wanted);
    }

    #[test]
    fn what_has_no_place_is_refused() {
        let refused = |header: &str, source: &str| page(header, source).unwrap_err();
        let homeless = SOURCE.replace("kl_make(", "kl_other(");
        assert!(refused(HEADER, &homeless).contains("kl_make has no place"));
        let renamed = HEADER.replace("See `kl_thing_free()`", "See `kl_thing_end()`");
        assert!(refused(&renamed, SOURCE).contains("names kl_thing_end, which the header does not have"));
        let bare = HEADER.replace("/** Ends it. */\n", "");
        assert!(refused(&bare, SOURCE).contains("kl_thing_free has no comment"));
    }

    #[test]
    fn every_export_is_in_the_committed_page() {
        let root = crate::root();
        let page = fs::read_to_string(root.join("docs/api.md")).unwrap();
        let exports = fs::read_to_string(root.join("abi/exports.txt")).unwrap();
        for name in exports.lines() {
            assert!(page.contains(&heading(name)), "docs/api.md does not name {name}");
        }
        assert!(exports.lines().count() > 80);
    }
}
