//! Help, completion and the man page, all from the table.

use crate::args::{Given, flags_of, setting_flags, spelled};
use crate::lang::t;
use crate::out::{Done, Stop, columns, padded, quoted, say, width, wrapped};
use crate::table::{ACCOUNT, ALWAYS, Account, CHOICES, EXITS, Flag, JSON, VERBS, Verb};
use crate::tr;
use kiosklink::config::KEYS;

/// The line of a command with its arguments.
fn usage(verb: &Verb) -> String {
    let mut line = verb.words.join(" ");
    for arg in verb.args {
        line.push_str(&if arg.needed { format!(" {}", arg.name) } else { format!(" [{}]", arg.name) });
    }
    line
}

fn spelling(flag: &Flag) -> String {
    if flag.value.is_empty() { format!("--{}", flag.name) } else { format!("--{} {}", flag.name, flag.value) }
}

/// A text of the table as one line.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text of the table in the chosen language, in lines below an indentation.
fn wrap(text: &str, indent: usize) -> String {
    let text = one_line(text);
    wrapped(&format!("{}{}", " ".repeat(indent), t(&text)), indent, width()).trim_start().to_owned()
}

/// Names beside what they mean, or above it where the terminal is narrow.
fn listed(text: &mut String, rows: &[(String, &str)]) {
    let most = if width() < 70 { 2 } else { 28 };
    let wide = rows.iter().map(|(name, _)| columns(name)).max().unwrap_or(0).min(most);
    for (name, doc) in rows {
        let gap = if columns(name) > wide { format!("\n{}", " ".repeat(wide + 4)) } else { "  ".into() };
        text.push_str(&format!("  {}{gap}{}\n", padded(name, wide), wrap(doc, wide + 4)));
    }
}

/// The names of a command by the functions of C, as flags are spelled; none that is its only word.
fn others(verb: &'static Verb) -> impl Iterator<Item = String> {
    verb.also.iter().filter(|name| verb.words != [**name]).map(|name| spelled(name))
}

/// What help and man page say of them.
fn other_names(verb: &'static Verb) -> String {
    let names: Vec<String> = others(verb).map(|name| format!("kiosklink {name}")).collect();
    if names.is_empty() { String::new() } else { format!("The same: {}.", names.join(", ")) }
}

/// The help text: of one command, or of all.
pub fn help(verb: Option<&'static Verb>) -> String {
    let mut text = String::new();
    let Some(verb) = verb else {
        text.push_str(&format!(
            "kiosklink: {}\n\n",
            t("asks a vendor's cloud from this device, as the firmware would")
        ));
        text.push_str("  kiosklink COMMAND [--accounts FILE] [--account NAME] [--json] ...\n\n");
        listed(&mut text, &VERBS.iter().map(|v| (v.words.join(" "), v.doc)).collect::<Vec<_>>());
        text.push_str(&format!("\n{}\n", t("kiosklink help COMMAND explains one of them. Exit codes:")));
        listed(&mut text, &EXITS.iter().map(|(code, doc)| (code.to_string(), *doc)).collect::<Vec<_>>());
        return text.trim_end().to_owned();
    };
    text.push_str(&format!("kiosklink {}\n\n  {}\n", usage(verb), wrap(verb.doc, 2)));
    if !verb.more.is_empty() {
        text.push_str(&format!("\n  {}\n", wrap(verb.more, 2)));
    }
    let names: Vec<String> = others(verb).map(|name| format!("kiosklink {name}")).collect();
    if !names.is_empty() {
        let names = tr!("The same: {}.", names.join(", "));
        text.push_str(&format!("\n{}\n", wrapped(&format!("  {names}"), 2, width())));
    }
    let mut rows: Vec<(String, &str)> = verb.args.iter().map(|a| (a.name.to_owned(), a.doc)).collect();
    rows.extend(verb.flags.iter().chain(verb.json.then_some(&JSON)).map(|f| (spelling(f), f.doc)));
    if verb.account == Account::One {
        rows.extend(ACCOUNT.iter().map(|f| (spelling(f), f.doc)));
    }
    rows.extend(ALWAYS.iter().map(|f| (spelling(f), f.doc)));
    text.push('\n');
    listed(&mut text, &rows);
    if verb.account == Account::One {
        let all = setting_flags().iter().map(|f| format!("--{f}")).collect::<Vec<_>>().join(" ");
        let all = tr!("Every setting of the account is a flag too: {}", all);
        text.push_str(&format!("\n{}\n", wrapped(&format!("  {all}"), 2, width())));
    }
    text.push_str(&format!("\n{}\n", t("Examples:")));
    verb.examples.iter().for_each(|e| text.push_str(&format!("  kiosklink {e}\n")));
    text.trim_end().to_owned()
}

/// `kiosklink completion SHELL`
pub fn completion(given: &Given) -> Done {
    let text = match given.arg(0).as_str() {
        "bash" => bash(),
        "zsh" => zsh(),
        "fish" => fish(),
        other => {
            return Err(Stop::Usage(tr!("completion knows bash, zsh and fish, not {}", quoted(other))));
        }
    };
    say(text.trim_end())?;
    Ok(0)
}

/// The first words, and what may follow each.
fn tree() -> Vec<(String, Vec<&'static str>)> {
    let mut all: Vec<(String, Vec<&str>)> = Vec::new();
    for verb in VERBS {
        match all.iter_mut().find(|(first, _)| *first == verb.words[0]) {
            Some((_, more)) => more.extend(verb.words.get(1)),
            None => all.push((verb.words[0].into(), verb.words.get(1).copied().into_iter().collect())),
        }
    }
    all.extend(VERBS.iter().flat_map(others).map(|name| (name, Vec::new())));
    all
}

/// What a first word alone does.
fn purpose(first: &str, more: &[&str]) -> String {
    let verb = VERBS.iter().find(|v| v.words == [first] || others(v).any(|name| name == first));
    verb.map_or_else(|| more.join(", "), |v| v.doc.to_owned())
}

/// The patterns of a shell's `case` for a command: "its first word its second".
fn pattern(verb: &'static Verb) -> String {
    let short = match verb.words {
        [one] => format!("\"{one} \"*"),
        words => format!("\"{}\"", words.join(" ")),
    };
    let others = others(verb).map(|name| format!("\"{name} \"*"));
    [short].into_iter().chain(others).collect::<Vec<_>>().join("|")
}

fn flag_words(verb: &'static Verb) -> String {
    flags_of(verb).map(|f| format!("--{f}")).collect::<Vec<_>>().join(" ")
}

/// The flags whose values are known, each with them.
fn valued() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    let mut seen: Vec<&str> = Vec::new();
    let all = VERBS.iter().flat_map(|v| v.flags).chain(ALWAYS).chain(ACCOUNT);
    all.filter(move |f| {
        let new = f.value.contains('|') && !seen.contains(&f.name);
        seen.push(f.name);
        new
    })
    .map(|f| (f.name, f.value.split('|').collect()))
}

/// The values of a command's arguments, where there are few.
fn arguments(verb: &Verb) -> Vec<&'static str> {
    let choices = |name: &str| CHOICES.iter().find(|(arg, _)| *arg == name).map_or(&[][..], |(_, all)| *all);
    verb.args.iter().flat_map(|a| choices(a.name)).copied().collect()
}

/// How fish completes a flag: values that are known, files, anything, or nothing.
fn fish_value(flag: &Flag) -> String {
    match flag.value {
        "" => String::new(),
        value if value.contains('|') => format!(" -x -a '{}'", value.replace('|', " ")),
        "FILE" | "@FILE" => " -r -F".to_owned(),
        _ => " -x".to_owned(),
    }
}

fn bash() -> String {
    let firsts: Vec<String> = tree().into_iter().map(|(first, _)| first).collect();
    let values: Vec<String> = valued()
        .map(|(name, all)| {
            format!("  --{name}) COMPREPLY=($(compgen -W '{}' -- \"$cur\")); return ;;\n    ", all.join(" "))
        })
        .collect();
    let mut text = format!(
        "# kiosklink: completion for bash\n_kiosklink() {{\n  local cur=${{COMP_WORDS[COMP_CWORD]}} one=${{COMP_WORDS[1]:-}} two=${{COMP_WORDS[2]:-}} words=\n  \
         case ${{COMP_WORDS[COMP_CWORD-1]}} in\n    --accounts|--*-file|--output|--headers|--cert|--key) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n    \
         {}esac\n  \
         if [ \"$COMP_CWORD\" = 1 ]; then words='{} help --help --version'\n  else case \"$one $two\" in\n",
        values.concat(),
        firsts.join(" ")
    );
    for verb in VERBS {
        text.push_str(&format!(
            "    {}) words='{} {}' ;;\n",
            pattern(verb),
            arguments(verb).join(" "),
            flag_words(verb)
        ));
    }
    for (first, more) in tree().iter().filter(|(_, more)| !more.is_empty()) {
        text.push_str(&format!("    \"{first} \"*) words='{}' ;;\n", more.join(" ")));
    }
    text.push_str(
        "  esac; fi\n  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n  \
         [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$cur\"))\n}\ncomplete -o filenames -F _kiosklink kiosklink\n",
    );
    text
}

/// In single quotes of a shell.
fn single(text: &str) -> String {
    text.replace('\'', "'\\''")
}

fn zsh() -> String {
    let mut text =
        String::from("#compdef kiosklink\n_kiosklink() {\n  local -a firsts seconds flags\n  firsts=(\n");
    for (first, more) in tree() {
        text.push_str(&format!("    '{first}:{}'\n", single(&purpose(&first, &more)).replace(':', "\\:")));
    }
    text.push_str("  )\n  if (( CURRENT == 2 )); then _describe command firsts; return; fi\n  case \"$words[CURRENT-1]\" in\n");
    for (name, all) in valued() {
        text.push_str(&format!("    --{name}) compadd {}; return ;;\n", all.join(" ")));
    }
    text.push_str("  esac\n  case \"$words[2] $words[3]\" in\n");
    for verb in VERBS {
        text.push_str(&format!(
            "    {}) seconds=({}); flags=({}) ;;\n",
            pattern(verb),
            arguments(verb).join(" "),
            flag_words(verb)
        ));
    }
    for (first, more) in tree().iter().filter(|(_, more)| !more.is_empty()) {
        text.push_str(&format!("    \"{first} \"*) seconds=({}) ;;\n", more.join(" ")));
    }
    text.push_str(
        "  esac\n  compadd -a seconds\n  compadd -a flags\n  _files\n}\ncompdef _kiosklink kiosklink\n",
    );
    text
}

fn fish() -> String {
    // No file unless something takes one.
    let mut text = String::from("# kiosklink: completion for fish\ncomplete -c kiosklink -f\n");
    for (first, more) in tree() {
        text.push_str(&format!(
            "complete -c kiosklink -n __fish_use_subcommand -a {first} -d '{}'\n",
            purpose(&first, &more).replace('\\', "\\\\").replace('\'', "\\'")
        ));
    }
    for verb in VERBS {
        let seen = |word: &str| format!("__fish_seen_subcommand_from {word}");
        let short = verb.words.iter().map(|w| seen(w)).collect::<Vec<_>>().join("; and ");
        let when =
            [short].into_iter().chain(others(verb).map(|name| seen(&name))).collect::<Vec<_>>().join("; or ");
        if let [first, second] = verb.words {
            text.push_str(&format!(
                "complete -c kiosklink -n '{}' -a {second} -d '{}'\n",
                seen(first),
                verb.doc.replace('\\', "\\\\").replace('\'', "\\'")
            ));
        }
        let choices = arguments(verb);
        if !choices.is_empty() {
            text.push_str(&format!("complete -c kiosklink -n '{when}' -a '{}'\n", choices.join(" ")));
        }
        if verb.args.iter().any(|a| a.name == "FILE") {
            text.push_str(&format!("complete -c kiosklink -n '{when}' -F\n"));
        }
        for flag in verb.flags {
            let value = fish_value(flag);
            text.push_str(&format!(
                "complete -c kiosklink -n '{when}' -l {}{value} -d '{}'\n",
                flag.name,
                flag.doc.replace('\\', "\\\\").replace('\'', "\\'")
            ));
        }
    }
    for flag in ALWAYS.iter().chain([&JSON]).chain(ACCOUNT) {
        let value = fish_value(flag);
        text.push_str(&format!(
            "complete -c kiosklink -l {}{value} -d '{}'\n",
            flag.name,
            flag.doc.replace('\'', "\\'")
        ));
    }
    // A command's own flag may have the name of a setting.
    let own = |name: &str| VERBS.iter().flat_map(|v| v.flags).any(|f| f.name == name);
    for name in setting_flags().iter().filter(|name| !own(name)) {
        let files = if name.ends_with("-file") || name.ends_with("-dir") { " -r -F" } else { " -x" };
        text.push_str(&format!("complete -c kiosklink -l {name}{files}\n"));
    }
    text
}

/// `kiosklink man`
pub fn man(_: &Given) -> Done {
    say(page().trim_end())?;
    Ok(0)
}

/// Text as roff reads it.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('-', "\\-").replace('`', "");
    // groff reads bytes.
    let shown = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\[u{:04X}]", u32::from(c)) };
    let text: String = text.chars().map(shown).collect();
    match text.chars().next() {
        Some('.' | '\'') => format!("\\&{text}"),
        _ => text,
    }
}

fn page() -> String {
    let mut p = String::from(
        ".\\\" Made by `kiosklink man` from the table of commands.\n.TH KIOSKLINK 1 \"\" \"kiosklink ",
    );
    p.push_str(env!("CARGO_PKG_VERSION"));
    p.push_str("\" \"User Commands\"\n.SH NAME\nkiosklink \\- asks a vendor's cloud from this device, as the firmware would\n");
    p.push_str(".SH SYNOPSIS\n.B kiosklink\n.I COMMAND\n[\\fB\\-\\-accounts\\fR \\fIFILE\\fR] [\\fB\\-\\-account\\fR \\fINAME\\fR] [\\fB\\-\\-json\\fR] ...\n.SH COMMANDS\n");
    for verb in VERBS {
        p.push_str(&format!(".SS {}\n{}\n", roff(&usage(verb)), roff(verb.doc)));
        if !verb.more.is_empty() {
            p.push_str(&format!(
                ".PP\n{}\n",
                roff(&verb.more.split_whitespace().collect::<Vec<_>>().join(" "))
            ));
        }
        if !other_names(verb).is_empty() {
            p.push_str(&format!(".PP\n{}\n", roff(&other_names(verb))));
        }
        for arg in verb.args {
            p.push_str(&format!(".TP\n.I {}\n{}\n", arg.name, roff(arg.doc)));
        }
        for flag in verb.flags {
            p.push_str(&format!(".TP\n.B {}\n{}\n", roff(&spelling(flag)), roff(flag.doc)));
        }
        for example in verb.examples {
            p.push_str(&format!(".PP\n.EX\nkiosklink {}\n.EE\n", roff(example)));
        }
    }
    p.push_str(".SH OPTIONS\nOf every command that uses an account, or answers in JSON:\n");
    for flag in ACCOUNT.iter().chain([&JSON]).chain(ALWAYS) {
        p.push_str(&format!(".TP\n.B {}\n{}\n", roff(&spelling(flag)), roff(flag.doc)));
    }
    p.push_str(".SH SETTINGS\nEvery setting of an account is a flag too, laid over the file's.\n");
    for key in KEYS {
        let who: Vec<&str> = key.platforms.iter().map(|k| k.name()).collect();
        let who = if who.is_empty() { String::new() } else { format!(" ({})", who.join(", ")) };
        let value = if key.secret { "@FILE" } else { "VALUE" };
        p.push_str(&format!(
            ".TP\n.B \\-\\-{} {value}\n{}{}\n",
            roff(&spelled(key.name)),
            roff(key.doc),
            roff(&who)
        ));
    }
    p.push_str(".SH EXIT STATUS\n");
    for (code, doc) in EXITS {
        p.push_str(&format!(".TP\n.B {code}\n{}\n", roff(doc)));
    }
    p.push_str(".SH FILES\n.TP\n.I /etc/kiosklink/accounts.json\nThe accounts, if \\fB\\-\\-accounts\\fR names no other file.\n");
    p
}
