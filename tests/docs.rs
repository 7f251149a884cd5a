//! The documentation: programs in it compile and run, tables are whole, excerpts and links are real.
//!
//! Fences say what they are: `c complete`, `cpp complete`, `python complete` is compiled as it stands, with `run` behind it
//! also run against the simulator; `c from FILE` is part of that file; `c signature` is a declaration of the header. `json`
//! parses, `sh` is a script whose `make` and `kiosklink` commands exist. Other code in these languages is refused: nothing
//! would notice when it becomes wrong. `BLESS=1` writes the generated tables.

mod common;

use common::*;
use kiosklink::command::Act;
use kiosklink::config::{Config, Form, KEYS};
use kiosklink::error::{Advice, Error};
use kiosklink::model::{DoorRequest, RedeemRequest};
use kiosklink::platform::{Kind, Platform};
use kiosklink::status;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The README's and the documentation's pages.
fn pages() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        ["README.md", "README.zh-CN.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md"]
            .iter()
            .map(|name| root().join(name))
            .collect();
    all.extend(["simulator/README.md", "simulator/PLATFORMS-youzan.md"].map(|name| root().join(name)));
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "md") {
                all.push(path);
            }
        }
    }
    all.sort();
    all
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

struct Fence {
    /// The page and the line.
    at: String,
    /// The words behind the three backticks.
    words: Vec<String>,
    code: String,
}

fn fences() -> Vec<Fence> {
    let mut all = Vec::new();
    for page in pages() {
        let mut open: Option<Fence> = None;
        for (n, line) in text(&page).lines().enumerate() {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(words)) => {
                    let words = words.split_whitespace().map(str::to_owned).collect();
                    open =
                        Some(Fence { at: format!("{}:{}", name(&page), n + 1), words, code: String::new() });
                }
                (Some(_), Some(_)) => all.extend(open.take()),
                (Some(fence), None) => fence.code.extend([line, "\n"]),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a fence has no end", name(&page));
    }
    all
}

#[test]
fn programs_in_the_documentation_compile_and_run() {
    let folder = scratch("docs-programs");
    let sim = simulator();
    let world = accounts(&sim, "docs-world");
    let world = world.parent().unwrap();
    let lib = programs().join("../lib");
    let (mut compiled, mut ran) = (0, 0);
    // The Chinese README has the same ones.
    let own = |fence: &&Fence| !fence.at.starts_with("README.zh-CN.md");
    for (n, fence) in fences().iter().filter(own).enumerate() {
        let words: Vec<&str> = fence.words.iter().map(String::as_str).collect();
        let (language, more) = match words[..] {
            [language @ ("c" | "cpp" | "python"), "complete", ref more @ ..] => (language, more),
            _ => continue,
        };
        let runs = more == ["run"];
        assert!(runs || more.is_empty(), "{}: {more:?}?", fence.at);
        let source = folder.join(format!("block{n}.{language}"));
        std::fs::write(&source, &fence.code).unwrap();
        let program = source.with_extension("bin");
        let (mut build, mut start) = if language == "python" {
            let mut build = Command::new("python3");
            build.args(["-m", "py_compile"]).arg(&source);
            let mut start = Command::new("python3");
            start.arg(&source);
            (vec![build], start)
        } else {
            let (compilers, standard) =
                if language == "c" { (["cc", "clang"], "c11") } else { (["c++", "clang++"], "c++11") };
            let build = compilers.map(|compiler| {
                let mut build = Command::new(compiler);
                build.arg(format!("-std={standard}")).args([
                    "-Wall",
                    "-Wextra",
                    "-Wpedantic",
                    "-Werror",
                    "-I",
                ]);
                build.arg(root().join("include")).arg(&source).arg("-o").arg(&program);
                if runs {
                    build.arg("-L").arg(&lib).arg("-lkiosklink");
                } else {
                    build.arg("-c");
                }
                build
            });
            (build.into(), Command::new(&program))
        };
        for build in &mut build {
            let (code, said) = run(build);
            assert_eq!(code, 0, "{}: {said}", fence.at);
        }
        compiled += 1;
        if runs {
            // The programs name the accounts file without a folder.
            let python = root().join("python");
            start.current_dir(world).env("LD_LIBRARY_PATH", &lib).env("PYTHONPATH", python);
            let (code, said) = run(start.env("PYTHONDONTWRITEBYTECODE", "1"));
            assert_eq!(code, 0, "{}: {said}", fence.at);
            // The door's customer may have taken one already.
            let wanted: &[&str] = match language {
                "c" => &["The door opens: order VI"],
                "cpp" => &["10 x 农家矿泉水 550ml, 200 fen", "9 x 农家矿泉水 550ml, 200 fen"],
                _ => &["The door opens: order VI"],
            };
            assert!(
                wanted.iter().any(|w| said.contains(w)),
                "{}: none of {wanted:?} is in\n{said}",
                fence.at
            );
            ran += 1;
        }
    }
    assert!(compiled >= 9 && ran == 3, "{compiled} compiled, {ran} run: are the marks still there?");
    assert_eq!(openings(&sim).len(), 2, "README's doors, in C and in Python, opened once each");
}

#[test]
fn excerpts_are_in_the_files_they_name() {
    let mut seen = 0;
    for fence in fences() {
        if let [_, from, file] = &fence.words[..] {
            if from == "from" {
                let whole = text(&root().join(file));
                assert!(whole.contains(&fence.code), "{}: this is not in {file}:\n{}", fence.at, fence.code);
                seen += 1;
            }
        }
    }
    assert!(seen >= 8, "only {seen} excerpts");
}

#[test]
fn no_sample_goes_unseen() {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let header = words(&text(&root().join("include/kiosklink.h")));
    let (mut signatures, mut scripts) = (0, 0);
    for Fence { at, words: mark, code } in fences() {
        match mark.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            // Other tests look at these.
            ["c" | "cpp" | "python", "complete"] | ["c" | "cpp" | "python", "complete", "run"] => {}
            [_, "from", _] => {}
            ["c", "signature"] => {
                assert!(header.contains(&words(&code)), "{at}: this is not in the header:\n{code}");
                signatures += 1;
            }
            ["json"] => {
                let parsed: Result<serde_json::Value, _> = serde_json::from_str(&code);
                assert!(parsed.is_ok(), "{at}: {}", parsed.unwrap_err());
            }
            ["sh"] => {
                let (status, said) = run(Command::new("sh").args(["-n", "-c", "--", &code]));
                assert_eq!(status, 0, "{at}: {said}");
                scripts += 1;
            }
            ["text"] | ["rust"] => {}
            _ => panic!("{at}: {mark:?} is looked at by no test; see the top of tests/docs.rs"),
        }
    }
    assert!(signatures > 80 && scripts > 20, "{signatures} signatures, {scripts} scripts");
    // Code that is only indented says not even what it is.
    for page in pages() {
        let (mut fence, mut list, mut empty) = (false, false, true);
        for (n, line) in text(&page).lines().enumerate() {
            fence ^= line.starts_with("```");
            if !line.starts_with(' ') && !line.is_empty() {
                list = line.starts_with(['-', '*']) || line.starts_with(|c: char| c.is_ascii_digit());
            }
            let block = !fence && !list && empty && line.starts_with("    ");
            assert!(!block, "{}:{}: put this code between fences", name(&page), n + 1);
            empty = line.is_empty();
        }
    }
}

/// The commands of every script, and those in running text, that begin with this word: where, and what follows it.
fn commands(program: &str) -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    let mut add = |at: &str, line: &str| {
        let words: Vec<&str> =
            line.split_whitespace().take_while(|w| !w.starts_with(['#', '<', '>', '|', '&'])).collect();
        if let [first, rest @ ..] = &words[..] {
            if *first == program {
                all.push((at.to_owned(), rest.iter().map(|w| (*w).to_owned()).collect()));
            }
        }
    };
    for fence in fences().iter().filter(|f| f.words == ["sh"]) {
        // A command begins a line, or follows another or a case.
        for line in fence.code.replace("\\\n", " ").lines() {
            line.split(['|', ';', '&', ')', '(']).for_each(|command| add(&fence.at, command));
        }
    }
    for page in pages() {
        let mut fence = false;
        let prose: String = text(&page)
            .lines()
            .filter(|line| {
                let mark = line.starts_with("```");
                fence ^= mark;
                !fence && !mark
            })
            .flat_map(|line| [line, "\n"])
            .collect();
        for span in prose.split('`').skip(1).step_by(2) {
            add(&name(&page), span);
        }
    }
    all
}

#[test]
fn every_make_target_and_every_verb_exists() {
    let makefile = text(&root().join("Makefile"));
    let targets: Vec<&str> = makefile
        .lines()
        .filter(|l| l.starts_with(|c: char| c.is_ascii_lowercase()) && !l.contains('='))
        .filter_map(|l| l.split_once(':'))
        .flat_map(|(names, _)| names.split_whitespace())
        .collect();
    let made = commands("make");
    for (at, words) in &made {
        for word in words.iter().filter(|w| !w.contains('=') && !w.starts_with('-')) {
            assert!(targets.contains(&word.as_str()), "{at}: make {word} is in no Makefile");
        }
    }
    // Where the command has its verbs: `words: &["sign", "explain"],`, and C's names for them: `also: &["door_open"],`.
    let table = text(&root().join("cli/src/table.rs"));
    let listed = |field: &'static str| {
        let lines = table.lines().filter_map(move |l| l.trim().strip_prefix(field)?.strip_suffix("],"));
        lines.map(|list| list.split(", ").map(|word| word.trim_matches('"')).collect::<Vec<&str>>())
    };
    let verbs: Vec<Vec<&str>> = listed("words: &[").collect();
    let also: Vec<&str> = listed("also: &[").flatten().collect();
    let called = commands("kiosklink");
    for (at, words) in called.iter().filter(|(_, words)| !words.is_empty()) {
        let known = words[0] == "help"
            || words[0].starts_with("--")
            || also.contains(&words[0].replace('-', "_").as_str())
            || verbs
                .iter()
                .any(|verb| words.len() >= verb.len() && words.iter().zip(verb).all(|(w, v)| w == v));
        assert!(known, "{at}: kiosklink {} has no such verb", words.join(" "));
    }
    assert!(made.len() > 40 && called.len() > 10, "{} of make, {} of kiosklink", made.len(), called.len());
}

/// The Chinese README has the same commands and programs, the same platforms and the same order.
#[test]
fn the_chinese_readme_has_the_same_code() {
    let code = |page: &str| -> Vec<(Vec<String>, String)> {
        let at = format!("{page}:");
        fences().into_iter().filter(|f| f.at.starts_with(&at)).map(|f| (f.words, f.code)).collect()
    };
    let english = code("README.md");
    assert!(english.len() > 5);
    assert_eq!(code("README.zh-CN.md"), english);
    let linked = |page: &str| -> Vec<String> {
        let text = text(&root().join(page));
        let parts = text.split("](docs/platforms/").skip(1);
        parts.map(|part| part.split(')').next().unwrap().to_owned()).take(4).collect()
    };
    assert_eq!(linked("README.zh-CN.md"), linked("README.md"));
    let headings = |page: &str| text(&root().join(page)).lines().filter(|l| l.starts_with("### ")).count();
    assert_eq!(headings("README.zh-CN.md"), headings("README.md"));
}

#[test]
fn every_link_leads_somewhere() {
    let mut seen = 0;
    for page in pages() {
        // Code has brackets of its own.
        let mut code = false;
        let prose: String = text(&page)
            .lines()
            .filter(|line| {
                let fence = line.trim_start().starts_with("```");
                code ^= fence;
                !code && !fence
            })
            .flat_map(|line| [line, "\n"])
            .collect();
        for part in prose.split("](").skip(1) {
            let target = part.split(')').next().unwrap();
            if target.contains("://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(path.exists(), "{}: {target} does not exist", name(&page));
            if !heading.is_empty() {
                let slug = |line: &str| {
                    let words = line.trim_start_matches('#').trim().to_lowercase();
                    let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
                    kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
                };
                let found = text(&path).lines().filter(|l| l.starts_with('#')).any(|l| slug(l) == heading);
                assert!(found, "{}: {target} has no such heading", name(&page));
            }
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} links");
    let readme = text(&root().join("README.md"));
    for page in pages().iter().map(|p| name(p)).filter(|p| p.starts_with("docs/")) {
        assert!(readme.contains(&format!("]({page})")), "README does not name {page}");
    }
}

/// The cells of each row of a table whose first cell is code.
#[test]
fn every_page_is_in_the_site() {
    let summary = text(&root().join("packaging/site/SUMMARY.md"));
    let listed: Vec<&str> =
        summary.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(l, _)| l).collect();
    for page in pages() {
        let name = name(&page);
        assert_eq!(
            listed.iter().filter(|listed| **listed == name).count(),
            1,
            "{name} in packaging/site/SUMMARY.md"
        );
    }
    for page in listed {
        assert!(root().join(page).is_file(), "{page}");
    }
}

fn rows(page: &str) -> Vec<Vec<String>> {
    text(&root().join(page))
        .lines()
        .filter(|l| l.starts_with("| `"))
        .map(|l| l.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

#[test]
fn every_code_is_explained_with_its_number_and_advice() {
    let listed: Vec<Vec<String>> = rows("docs/errors.md").into_iter().filter(|row| row.len() == 5).collect();
    let expected: Vec<[String; 3]> = status::ALL
        .iter()
        .map(|(code, name)| {
            let advice = match Error::new(*code, "").details().advice {
                Advice::None => "none",
                Advice::Retry => "retry",
                Advice::AskFirst => "ask first",
                Advice::CallPerson => "call a person",
                Advice::Fix => "fix",
            };
            [format!("`{name}`"), code.to_string(), advice.into()]
        })
        .collect();
    let told: Vec<[String; 3]> =
        listed.iter().map(|row| [row[0].clone(), row[1].clone(), row[3].clone()]).collect();
    for wanted in &expected {
        assert!(told.contains(wanted), "docs/errors.md has no row that begins {}", wanted.join(" | "));
    }
    assert_eq!(told, expected, "docs/errors.md lists a code that is none, one twice, or in another order");
    for row in &listed {
        assert!(row[2].len() > 5 && row[4].len() > 5, "{row:?}");
    }
    let header = text(&root().join("include/kiosklink.h"));
    for (code, name) in status::ALL {
        assert!(header.contains(&format!("#define {name} {code}\n")), "{name} is not in the header");
    }
}

/// What stands between the marks of a page must be this; `BLESS=1` makes it so.
fn generated(page: &str, mark: &str, wanted: &str) {
    let path = root().join(page);
    let whole = text(&path);
    let begin = format!("<!-- generated: {mark} -->\n");
    let start = whole.find(&begin).expect("the mark") + begin.len();
    let end = start + whole[start..].find("<!-- end -->").expect("the end mark");
    if &whole[start..end] == wanted {
        return;
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, [&whole[..start], wanted, &whole[end..]].concat()).unwrap();
        return;
    }
    panic!("{page} is not what the sources say; BLESS=1 cargo test --test docs writes:\n{wanted}");
}

#[test]
fn the_settings_are_those_of_the_source() {
    let mut table = String::from("| key | for | form | default | |\n|---|---|---|---|---|\n");
    for key in KEYS {
        let platforms: Vec<_> = key.platforms.iter().map(|k| k.name()).collect();
        let form = match key.form {
            Form::Text => "text".into(),
            Form::Millis(low, high) => format!("{low} to {high} ms"),
            Form::Bytes(low, high) => format!("{low} to {high} bytes"),
            Form::Count(low, high) => format!("{low} to {high}"),
            Form::YesNo => "`yes`, `no`".into(),
            Form::OneOf(words) => words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "),
            Form::Url => "https address".into(),
            Form::Proxy => "http address".into(),
            Form::Path => "path".into(),
            Form::Dir => "folder".into(),
            Form::Pem => "PEM".into(),
            Form::Pins => "Base64 or hex".into(),
        };
        let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        let secret = if key.secret { " *Secret.*" } else { "" };
        let platforms = if platforms.is_empty() { "all".into() } else { platforms.join(", ") };
        writeln!(table, "| `{}` | {platforms} | {form} | {default} | {}{secret} |", key.name, key.doc)
            .unwrap();
    }
    generated("docs/settings.md", "settings", &table);
    let header = text(&root().join("include/kiosklink.h"));
    for key in KEYS {
        let define = format!("#define KL_KEY_{} \"{}\"", key.name.to_uppercase(), key.name);
        assert!(header.contains(&define), "{define} is not in the header");
    }
}

/// What the journal keeps of a verb; `None` if it keeps nothing.
fn act_of(verb: &str) -> Option<Act> {
    match verb.split(' ').next().unwrap() {
        "door_open" if verb.contains("lane") => {
            Some(Act::Door(DoorRequest { door: "A1".into(), ..DoorRequest::default() }.into()))
        }
        "door_open" => Some(Act::Door(
            DoorRequest { order_no: "1".into(), item_no: "1".into(), ..DoorRequest::default() }.into(),
        )),
        "code_redeem" => Some(Act::Redeem(RedeemRequest::default().into())),
        verb @ ("order_create" | "payment_report" | "refund_apply" | "appeal_file") => Some(Act::Write {
            verb: verb.into(),
            order_no: String::new(),
            cabinet_id: String::new(),
            paid: false,
            trade_no: String::new(),
            digest: String::new(),
            visit_id: String::new(),
            context: String::new(),
        }),
        _ => None,
    }
}

fn platform_of(kind: Kind) -> Box<dyn Platform> {
    let mut config = Config::new(kind.name()).unwrap();
    let needed = ["app_id", "app_secret", "app_key", "client_id", "client_secret", "grant_id"];
    for key in needed.iter().filter(|key| KEYS.iter().any(|k| k.name == **key && k.platforms.contains(&kind)))
    {
        config.set(key, "1234567890").unwrap();
    }
    config.set("base_url", "https://localhost").unwrap();
    kiosklink::platform::make(&config).unwrap()
}

#[test]
fn the_proofs_are_those_of_the_source() {
    let mut table = String::new();
    for (kind, rows) in kiosklink::platform::proof::rows() {
        writeln!(table, "\n### {}\n", kind.name()).unwrap();
        if rows.is_empty() {
            table.push_str("It only reads: there is nothing to prove.\n");
        }
        for r in rows {
            let or = |text: &'static str, none: &'static str| if text.is_empty() { none } else { text };
            writeln!(table, "**`{}`** (`{}`)\n", r.verb, r.call).unwrap();
            for (what, text) in [
                ("the mark", or(r.mark, "the platform keeps nothing of ours")),
                ("*done* is proved by", r.done),
                ("*not done* is proved by", r.not_done),
                ("the movement", or(r.movement, "nothing moves")),
                ("stays unknown", or(r.unknowable, "nothing")),
                ("source", r.source),
                ("the vendor would have to confirm", or(r.to_confirm, "nothing")),
            ] {
                writeln!(table, "- {what}: {text}").unwrap();
            }
            if let Some(act) = act_of(r.verb) {
                let maturity = platform_of(kind).maturity(&act);
                let s = maturity.hold_ms / 1000;
                assert_eq!(maturity.hold_ms % 1000, 0, "{} of {}", r.verb, kind.name());
                writeln!(table, "- maturity: {s} s after the call's deadline: {}", maturity.reason).unwrap();
            }
            table.push('\n');
        }
    }
    generated("docs/proof.md", "proof", &table);
}

#[test]
fn every_platform_has_its_page_and_its_row() {
    let readme = text(&root().join("README.md"));
    for kind in kiosklink::platform::Kind::ALL {
        let page = format!("docs/platforms/{}.md", kind.name());
        assert!(root().join(&page).exists(), "{page} is missing");
        let row = readme.lines().any(|l| l.starts_with("| ") && l.contains(&page));
        assert!(row, "README's table has no row for {}", kind.name());
        let whole = text(&root().join(&page));
        for key in KEYS.iter().filter(|k| k.platforms.contains(kind)) {
            assert!(whole.contains(&format!("`{}`", key.name)), "{page} does not explain {}", key.name);
        }
    }
}

/// What stands between backticks in a page's running text, with the lines it stands in.
fn spans(page: &Path) -> Vec<(String, String)> {
    let mut fence = false;
    let mut all = Vec::new();
    for line in text(page).lines() {
        fence ^= line.trim_start().starts_with("```");
        if !fence {
            all.extend(line.split('`').skip(1).step_by(2).map(|span| (span.to_owned(), line.to_owned())));
        }
    }
    all
}

// FAULTS G: pages named files and tests that had gone.
#[test]
fn every_file_and_every_test_that_is_named_exists() {
    const FOLDERS: [&str; 14] = [
        "src/",
        "tests/",
        "docs/",
        "trials/",
        "simulator/",
        "cli/",
        "xtask/",
        "python/",
        "scripts/",
        "examples-c/",
        "include/",
        "packaging/",
        "fuzz/",
        "abi/",
    ];
    let (mut files, mut tests) = (0, 0);
    // The changelog tells of what was.
    for page in pages().iter().filter(|p| !p.ends_with("CHANGELOG.md")) {
        for (span, line) in spans(page) {
            let path = span.split([' ', ':']).next().unwrap();
            if FOLDERS.iter().any(|f| path.starts_with(f)) && !path.contains(['*', '<', '{']) {
                assert!(root().join(path).exists(), "{}: {path} does not exist", name(page));
                files += 1;
            }
            // A test's name beside the file it is in.
            let is_name = span.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            let named: Vec<&str> =
                line.split('`').skip(1).step_by(2).filter(|s| s.ends_with(".rs")).collect();
            if is_name && span.matches('_').count() >= 3 && !named.is_empty() {
                let function = format!("fn {span}(");
                let found = named.iter().any(|file| text(&root().join(file)).contains(&function));
                assert!(found, "{}: no test {span} in {named:?}", name(page));
                tests += 1;
            }
        }
    }
    assert!(files > 60 && tests > 25, "{files} files, {tests} tests");
}

/// A number of the documentation: bytes, milliseconds, or a count.
fn number(words: &str) -> f64 {
    let (digits, unit) = words.split_once(' ').unwrap_or((words, ""));
    let digits: f64 = digits.replace(',', "").parse().unwrap_or_else(|e| panic!("{words}: {e}"));
    let each = match unit {
        "" | "bytes" | "ms" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        "days" => 86_400_000,
        _ => panic!("{words}: {unit}?"),
    };
    digits * f64::from(each)
}

/// The value of a constant in the text of its source: a product of numbers, or a duration, in milliseconds.
fn constant(name: &str, source: &str) -> f64 {
    let begin = format!("const {name}: ");
    let at = source.find(&begin).unwrap_or_else(|| panic!("no {begin}"));
    let (_, value) = source[at..].split_once(" = ").unwrap();
    let value = value.split(';').next().unwrap();
    let (value, each) = match value.strip_suffix(')').and_then(|v| v.split_once('(')) {
        Some(("Duration::from_secs", inner)) => (inner, 1000.0),
        Some(("Duration::from_millis", inner)) => (inner, 1.0),
        _ if name.ends_with("_S") => (value, 1000.0),
        _ => (value, 1.0),
    };
    value.split('*').map(|part| part.trim().replace('_', "").parse::<f64>().unwrap()).product::<f64>() * each
}

#[test]
fn the_bounds_are_those_of_the_source() {
    let mut seen = 0;
    for page in pages() {
        for line in text(&page).lines().filter(|l| l.starts_with('|')) {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [_, told, place] = cells[..] else { continue };
            let Some((constant_name, file)) = place.strip_prefix('`').and_then(|p| p.split_once("` in `"))
            else {
                continue;
            };
            let source = text(&root().join(file.trim_end_matches('`')));
            let value = constant(constant_name, &source);
            assert!(
                (number(told) - value).abs() < 0.5,
                "{}: {constant_name} is {value}, not {told}",
                name(&page)
            );
            seen += 1;
        }
    }
    assert!(seen >= 15, "only {seen} bounds");
}

#[test]
fn every_field_of_a_record_is_explained() {
    let source = text(&root().join("src/command/record.rs"));
    let page = text(&root().join("docs/journal.md"));
    let (_, records) = page.split_once("## The records").unwrap();
    let (_, kinds) = source.split_once("const KINDS").unwrap();
    let kinds: Vec<&str> = kinds.split(';').nth(1).unwrap().split('"').skip(1).step_by(2).collect();
    assert!(kinds.len() >= 9, "{kinds:?}");
    // `r.number("n")`: what is said of a field that is none.
    let mut fields: Vec<&str> = kinds;
    for call in [".number(\"", ".small(\"", ".int(\"", ".int32(\"", ".maybe(\"", ".flag(\""] {
        fields.extend(source.split(call).skip(1).filter_map(|rest| rest.split('"').next()));
    }
    fields.retain(|f| f.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    assert!(fields.len() > 30, "{}", fields.len());
    for field in fields {
        assert!(records.contains(&format!("`{field}`")), "docs/journal.md does not explain {field}");
    }
}
