//! One table of texts: what Rust, C and the Chinese pages say of a code is the same, in the terms of docs/glossary.tsv.

mod common;

use common::{root, run, scratch};
use kiosklink::error::{Advice, Outcome};
use kiosklink::status;
use kiosklink::wording::{Language, help, of_advice, of_outcome, of_status};
use std::fmt::Write as _;
use std::process::Command;

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The rows of a table, without its comments.
fn rows(path: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| line.split('\t').map(str::to_owned).collect();
    text(path).lines().filter(|l| !l.is_empty() && !l.starts_with('#')).map(cells).collect()
}

#[test]
fn the_header_of_texts_says_what_the_library_says() {
    let mut source = String::from("#include <kiosklink_text.h>\n#include <stdio.h>\nint main(void) {\n");
    let mut wanted = String::new();
    for (name, language) in [("NULL", Language::English), ("\"zh_CN.UTF-8\"", Language::Chinese)] {
        for (code, _) in status::ALL {
            let _ = writeln!(
                source,
                "puts(kl_status_text({code}, {name}));puts(kl_status_help({code}, {name}));"
            );
            let _ = writeln!(wanted, "{}\n{}", of_status(*code, language), help(*code, language));
        }
        for outcome in [Outcome::None, Outcome::Done, Outcome::NotDone, Outcome::Unknown] {
            let _ = writeln!(source, "puts(kl_outcome_text({}, {name}));", outcome as i32);
            let _ = writeln!(wanted, "{}", of_outcome(outcome, language));
        }
        for advice in [Advice::None, Advice::Retry, Advice::AskFirst, Advice::CallPerson, Advice::Fix] {
            let _ = writeln!(source, "puts(kl_advice_text({}, {name}));", advice as i32);
            let _ = writeln!(wanted, "{}", of_advice(advice, language));
        }
    }
    source.push_str("puts(kl_status_text(-77, \"zh\"));return 0;}\n");
    wanted.push('\n');
    let folder = scratch("wording");
    let (file, program) = (folder.join("texts.c"), folder.join("texts"));
    std::fs::write(&file, source).unwrap();
    // C++ too: a static function that nothing calls must not be warned of.
    for (compiler, more) in
        [("gcc", ["-std=c90", "-xc"]), ("g++", ["-std=c++11", "-xc++"]), ("gcc", ["-std=c99", "-xc"])]
    {
        let (code, said) = run(Command::new(compiler)
            .args(more)
            .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror"])
            .arg("-I")
            .arg(root().join("include"))
            .arg(&file)
            .arg("-o")
            .arg(&program));
        assert_eq!(code, 0, "{compiler} {more:?}: {said}");
        assert_eq!(run(&mut Command::new(&program)), (0, wanted.clone()), "{compiler} {more:?}");
    }
}

/// Where a term stands as a word of its own, also in the plural.
fn places(text: &str, term: &str) -> Vec<(usize, usize)> {
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(term)
        .map(|(at, found)| {
            let end = at + found.len();
            (at, if text[end..].starts_with('s') { end + 1 } else { end })
        })
        .filter(|(at, end)| !letter(text[..*at].chars().next_back()) && !letter(text[*end..].chars().next()))
        .collect()
}

/// The terms that an English text holds and its Chinese one does not.
fn missing<'a>(english: &str, chinese: &str, glossary: &'a [Vec<String>]) -> Vec<&'a str> {
    // A flag is no term, nor is the order of bytes.
    let english =
        english.to_lowercase().replace("nothing was done", "not done").replace("byte order mark", "");
    let english: String =
        english.split(' ').filter(|word| !word.starts_with("--")).collect::<Vec<_>>().join(" ");
    let all: Vec<(&Vec<String>, (usize, usize))> = glossary
        .iter()
        .flat_map(|row| places(&english, &row[0]).into_iter().map(move |at| (row, at)))
        .collect();
    let inside = |(from, to): (usize, usize)| {
        all.iter().any(|(_, (a, b))| *a <= from && to <= *b && b - a > to - from)
    };
    let mut found: Vec<&str> = all
        .iter()
        .filter(|(row, at)| !inside(*at) && !row[1].split('|').any(|word| chinese.contains(word)))
        .map(|(row, _)| row[0].as_str())
        .collect();
    found.dedup();
    found
}

#[test]
fn every_chinese_text_uses_the_terms_of_the_glossary() {
    let glossary = rows("docs/glossary.tsv");
    assert!(glossary.len() > 20);
    assert_eq!(missing("It is not done.", "这个未执行。", &glossary), Vec::<&str>::new());
    assert_eq!(missing("Commands are not done.", "命令完成", &glossary), ["not done"]);
    let mut pairs: Vec<[String; 3]> = Vec::new();
    for row in rows("src/codes.tsv") {
        pairs.push([row[0].clone(), row[3].clone(), row[5].clone()]);
    }
    for row in std::fs::exists(root().join("cli/src/zh.tsv"))
        .unwrap()
        .then(|| rows("cli/src/zh.tsv"))
        .into_iter()
        .flatten()
    {
        pairs.push(["cli/src/zh.tsv".into(), row[0].clone(), row[1].clone()]);
    }
    let mut wrong = String::new();
    for [at, english, chinese] in &pairs {
        for term in missing(english, chinese, &glossary) {
            let _ = writeln!(wrong, "{at}: {term}: {english} / {chinese}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_chinese_readme_shows_the_glossary() {
    let page = text("README.zh-CN.md");
    for row in rows("docs/glossary.tsv") {
        let names: Vec<String> =
            row[2].split(", ").filter(|n| !n.is_empty()).map(|n| format!("`{n}`")).collect();
        let line = format!("| {} | {} | {} |", row[1].replace('|', "、"), row[0], names.join("，"));
        let line = line.replace("|  |", "| |");
        assert!(page.contains(&line), "README.zh-CN.md has no row {line}");
    }
}
