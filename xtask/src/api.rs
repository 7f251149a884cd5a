//! `docs/api.md`: the reference of the C interface, written from the header with the Markdown of its comments, in its order.

use crate::arrange::{Order, TOPICS, belongs};
use crate::layout::{self, Header, Signature};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

type Result<T> = std::result::Result<T, String>;

/// The constants that header.rs makes of tables, and where they stand.
const KEYS: &str = "KL_KEY_";
const PLATFORMS: &str = "KL_PLATFORM_";
/// Those that errors.md explains.
const STATUSES: &str = "KL_E_*";

/// Numbers that belong together.
pub struct Group {
    /// `KL_DOOR_STATE_*`, or the name of one that stands alone.
    pub name: String,
    pub area: usize,
    pub members: Vec<String>,
}

pub struct Page<'a> {
    pub header: &'a Header,
    pub docs: BTreeMap<&'a str, &'a str>,
    /// The topic of every name.
    places: BTreeMap<String, usize>,
    pub groups: Vec<Group>,
    /// Where a mention leads.
    targets: BTreeMap<String, String>,
}

/// The text of `docs/api.md`. `exports` are the functions that it must have.
pub fn generate(header: &str, order: &Order, exports: &[String]) -> Result<String> {
    let header = layout::read(header)?;
    let page = Page::new(&header, order)?;
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

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl<'a> Page<'a> {
    pub fn new(header: &'a Header, order: &Order) -> Result<Page<'a>> {
        let places: BTreeMap<String, usize> = order.iter().cloned().collect();
        let mut groups: Vec<Group> = Vec::new();
        let mut targets = BTreeMap::new();
        for (name, area) in order {
            let set = order.iter().find(|(set, _)| header.typedefs.contains_key(set) && belongs(name, set));
            let members = || header.constants.keys().filter(|n| n.starts_with(name)).cloned().collect();
            let group = match (name.as_str(), set) {
                (KEYS, _) => Group { name: format!("{KEYS}*"), area: *area, members: Vec::new() },
                (PLATFORMS, _) => Group { name: format!("{PLATFORMS}*"), area: *area, members: members() },
                (_, Some((set, _))) if set == "kl_status" => {
                    targets.insert(name.clone(), "errors.md".to_owned());
                    Group { name: STATUSES.into(), area: *area, members: Vec::new() }
                }
                (_, Some((set, _))) => {
                    let members: Vec<String> =
                        order.iter().map(|(n, _)| n.clone()).filter(|n| belongs(n, set)).collect();
                    // An outcome is written so often that its names are short.
                    let name = if set == "kl_outcome" { "KL_*".into() } else { set.to_uppercase() + "_*" };
                    Group { name, area: *area, members }
                }
                _ if header.constants.contains_key(name) => {
                    Group { name: name.clone(), area: *area, members: vec![name.clone()] }
                }
                _ => continue,
            };
            if !groups.iter().any(|g| g.name == group.name) {
                groups.push(group);
            }
        }
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
                return Err(format!("{name} has no place in docs/api.md"));
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
        self.places.get(name).copied()
    }

    /// The names of an area that `kind` has, in the header's order.
    fn named(&self, area: usize, kind: impl Fn(&str) -> bool) -> Vec<&str> {
        let names = self.header.docs.iter().map(|(name, _)| name.as_str());
        names.filter(|n| self.area(n) == Some(area) && kind(n)).collect()
    }

    pub fn functions(&self, area: usize) -> Vec<&str> {
        self.named(area, |n| self.header.functions.contains_key(n))
    }

    pub fn types(&self, area: usize) -> Vec<&str> {
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
        for (n, area) in TOPICS.iter().enumerate() {
            let slug = area.title.to_lowercase().replace(',', "").replace(' ', "-");
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
        for (n, area) in TOPICS.iter().enumerate() {
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
pub fn spelled(name: &str, signature: &Signature) -> String {
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
    const NAMES: [&str; 6] =
        ["KL_DOOR_STATE_OPEN", "kl_thing", "kl_told", "kl_make", "kl_thing_free", "kl_thing_told"];

    fn order(names: &[&str]) -> Order {
        names.iter().map(|name| ((*name).to_owned(), 0)).collect()
    }

    fn page(header: &str, names: &[&str]) -> Result<String> {
        Page::new(&layout::read(header)?, &order(names))?.write()
    }

    #[test]
    fn comments_become_markdown_with_links() {
        // The areas' own words name functions of the real header.
        let header = layout::read(HEADER).unwrap();
        let page = Page::new(&header, &order(&NAMES)).unwrap();
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

Says so: [`kl_make`](#kl_make), [`KL_DOOR_STATE_OPEN`](#kl_door_state_open-constant), `kl_make` again, [time.md](time.md).

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
        let refused = |header: &str, names: &[&str]| page(header, names).unwrap_err();
        assert!(refused(HEADER, &NAMES[..3]).contains("kl_make has no place"));
        let renamed = HEADER.replace("See `kl_thing_free()`", "See `kl_thing_end()`");
        assert!(refused(&renamed, &NAMES).contains("names kl_thing_end, which the header does not have"));
        let bare = HEADER.replace("/** Ends it. */\n", "");
        assert!(refused(&bare, &NAMES).contains("kl_thing_free has no comment"));
    }

    #[test]
    fn every_export_is_in_the_committed_page() {
        let root = crate::root();
        let page = std::fs::read_to_string(root.join("docs/api.md")).unwrap();
        let exports = std::fs::read_to_string(root.join("abi/exports.txt")).unwrap();
        for name in exports.lines() {
            assert!(page.contains(&heading(name)), "docs/api.md does not name {name}");
        }
        assert!(exports.lines().count() > 80);
    }
}
