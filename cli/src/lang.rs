//! The language of what is printed for people. `zh.tsv` has every sentence in Chinese beside the English one; a test compares it with
//! the sources. What a program reads (`--json`, names of columns, exit codes) is the same in every language, but for sentences in it.

use kiosklink::wording::Language;
use std::collections::HashMap;
use std::fmt::Display;
use std::sync::OnceLock;

static LANGUAGE: OnceLock<Language> = OnceLock::new();

/// By `--lang`, else by LC_ALL, LC_MESSAGES or LANG: the first that is set and not empty. Called once, before anything is read.
pub fn choose(line: &[String]) {
    let given = line.iter().enumerate().find_map(|(i, word)| match word.strip_prefix("--lang") {
        Some("") => line.get(i + 1).map(String::as_str),
        Some(rest) => rest.strip_prefix('='),
        None => None,
    });
    let of_system = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let name = given.map(str::to_owned).or(of_system).unwrap_or_default();
    // Chosen before: only in tests.
    let _ = LANGUAGE.set(Language::of(&name));
}

/// What was chosen.
pub fn language() -> Language {
    LANGUAGE.get().copied().unwrap_or_default()
}

/// Whether it is Chinese.
pub fn chinese() -> bool {
    language() == Language::Chinese
}

/// A sentence in the chosen language; as it is if there is no other.
pub fn t(english: &str) -> &str {
    if chinese() { in_chinese(english).unwrap_or(english) } else { english }
}

fn in_chinese(english: &str) -> Option<&'static str> {
    static TABLE: OnceLock<HashMap<&str, &str>> = OnceLock::new();
    let rows = || include_str!("zh.tsv").lines().filter_map(|line| line.split_once('\t'));
    TABLE.get_or_init(|| rows().collect()).get(english).copied()
}

/// A sentence with its parts: `{}` takes the next one, `{2}` the second, since Chinese puts them in another order.
pub fn filled(english: &str, parts: &[&dyn Display]) -> String {
    let mut out = String::new();
    let mut rest = t(english);
    let mut next = 0;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let (number, tail) = after.split_once('}').unwrap_or((after, ""));
        let at = number.parse().map_or(next, |n: usize| n.saturating_sub(1));
        if let Some(part) = parts.get(at) {
            out.push_str(&part.to_string());
        }
        next += 1;
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// `format!` for people, in the chosen language: a text with `{}` and nothing else, and what stands for each.
#[macro_export]
macro_rules! tr {
    ($text:literal $(, $part:expr)* $(,)?) => {
        $crate::lang::filled($text, &[$(&$part as &dyn std::fmt::Display),*])
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manual::one_line;
    use crate::table::{ACCOUNT, ALWAYS, EXITS, JSON, VERBS};
    use std::collections::BTreeSet;

    /// The texts in quotes of a file but for its tests, as the compiler reads them, each with what stands before it.
    fn literals(source: &str) -> Vec<(String, String)> {
        let code = source.split("#[cfg(test)]\nmod tests").next().unwrap();
        let mut found = Vec::new();
        let mut before = String::new();
        let mut letters = code.chars().peekable();
        while let Some(c) = letters.next() {
            if c == '/' && letters.peek() == Some(&'/') {
                while letters.next_if(|c| *c != '\n').is_some() {}
            } else if c == '\'' && before.ends_with(|b: char| !b.is_alphanumeric()) {
                // A letter in quotes, or a lifetime, which nothing ends.
                let at = letters.next();
                if at == Some('\\') {
                    letters.next();
                }
                letters.next_if(|c| *c == '\'');
            } else if c == '"' {
                let mut text = String::new();
                while let Some(c) = letters.next() {
                    match c {
                        '"' => break,
                        '\\' => match letters.next() {
                            Some('\n') => while letters.next_if(|c| c.is_whitespace()).is_some() {},
                            Some('n') => text.push('\n'),
                            Some(c) => text.push(c),
                            None => break,
                        },
                        c => text.push(c),
                    }
                }
                found.push((before.trim_end().to_owned(), text));
                before = String::from("\"");
            } else {
                before.push(c);
            }
        }
        found
    }

    fn sources() -> Vec<(String, String)> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut all = Vec::new();
        for folder in [root.clone(), root.join("doctor"), root.join("sign"), root.join("story")] {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("lang.rs") {
                    all.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
                }
            }
        }
        all
    }

    /// Every sentence that the command can say in both languages.
    fn sentences() -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for (path, source) in sources() {
            for (before, text) in literals(&source) {
                let behind = |call: &str| {
                    before
                        .strip_suffix(call)
                        .is_some_and(|b| !b.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
                };
                // What is said of outcomes and advice; what doctor finds and advises is looked up as it is printed.
                let looked_up = (path.ends_with("/out.rs")
                    && (before.ends_with("=>") || before.ends_with("=> {"))
                    && text.ends_with('.'))
                    || (path.contains("/doctor/")
                        && text.contains(' ')
                        && !behind("format!(")
                        && !LIBRARYS.contains(&text.as_str()));
                if behind("tr!(") || behind("t(") || before.ends_with(".finish(") || looked_up {
                    all.insert(text);
                }
            }
        }
        let flags = ALWAYS.iter().chain(ACCOUNT).chain([&JSON]);
        all.extend(flags.map(|f| one_line(f.doc)));
        for verb in VERBS {
            all.extend([one_line(verb.doc), one_line(verb.more)]);
            all.extend(verb.args.iter().map(|a| one_line(a.doc)));
            all.extend(verb.flags.iter().map(|f| one_line(f.doc)));
        }
        all.extend(EXITS.iter().map(|(_, doc)| one_line(doc)));
        all.remove("");
        all
    }

    /// What doctor looks for in the library's messages.
    const LIBRARYS: &[&str] = &[
        "gone with the power",
        "a sync may not reach the disk",
        "another machine",
        "no owners and modes",
        "no known root",
        "intermediate certificate is missing",
        "refused the TLS handshake",
        "rules of TLS",
        "the table",
        "refusals_file: ",
        "row 1: ",
        "; ",
        ", ",
        "(alert ",
        "; damaged: ",
    ];

    #[test]
    fn every_sentence_is_there_in_chinese() {
        let all = sentences();
        assert!(all.len() > 300, "{}", all.len());
        let rows: Vec<&str> = include_str!("zh.tsv").lines().filter(|l| !l.starts_with('#')).collect();
        let named: BTreeSet<String> =
            rows.iter().map(|row| row.split('\t').next().unwrap().to_owned()).collect();
        assert_eq!(named.len(), rows.len(), "a row is there twice");
        let missing: Vec<&String> = all.difference(&named).collect();
        assert!(
            missing.is_empty(),
            "zh.tsv has no row for:\n{}",
            missing.iter().map(|s| s.as_str()).collect::<Vec<_>>().join("\n")
        );
        let idle: Vec<&String> = named.difference(&all).collect();
        assert!(
            idle.is_empty(),
            "nothing says:\n{}",
            idle.iter().map(|s| s.as_str()).collect::<Vec<_>>().join("\n")
        );
        for row in rows {
            let cells: Vec<&str> = row.split('\t').collect();
            let [english, chinese] = cells[..] else { panic!("{row}") };
            // Every part is used, each once.
            let parts = english.matches("{}").count();
            let numbered = (1..=parts).all(|n| chinese.matches(&format!("{{{n}}}")).count() == 1);
            assert!(chinese.matches("{}").count() == parts || (parts > 0 && numbered), "{row}");
            assert!(!chinese.is_ascii(), "{row}");
        }
    }

    #[test]
    fn parts_stand_where_the_language_wants_them() {
        assert_eq!(filled("a {} b {} c", &[&1, &"x"]), "a 1 b x c");
        assert_eq!(filled("{2} before {1}", &[&1, &"x"]), "x before 1");
        assert_eq!(filled("nothing", &[]), "nothing");
    }
}
