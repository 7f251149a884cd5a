//! What is made of `src/codes.tsv`: the constants of `src/status.rs`, the table of docs/errors.md and
//! include/kiosklink_text.h.

use std::fmt::Write as _;

/// One line of the table.
pub struct Code {
    name: String,
    number: String,
    advice: String,
    meaning: String,
    cure: String,
    meaning_zh: String,
    cure_zh: String,
    /// Whether an empty line stands before it.
    first: bool,
}

/// The lines of the table; what has not seven columns is an error.
pub fn read(table: &str) -> Result<Vec<Code>, String> {
    let mut all = Vec::new();
    let mut first = false;
    for line in table.lines().filter(|l| !l.starts_with('#')) {
        if line.is_empty() {
            first = true;
            continue;
        }
        let cells: Vec<&str> = line.split('\t').collect();
        let [name, number, advice, meaning, cure, meaning_zh, cure_zh] = cells[..] else {
            return Err(format!("src/codes.tsv: {} columns in {line:?}", cells.len()));
        };
        let [name, number, advice, meaning, cure, meaning_zh, cure_zh] =
            [name, number, advice, meaning, cure, meaning_zh, cure_zh].map(str::to_owned);
        all.push(Code { name, number, advice, meaning, cure, meaning_zh, cure_zh, first });
        first = false;
    }
    Ok(all)
}

impl Code {
    fn is_status(&self) -> bool {
        self.name == "KL_OK" || self.name.starts_with("KL_E_")
    }
}

/// What stands between two lines of a file is replaced.
pub fn between(text: &str, begin: &str, end: &str, middle: &str) -> Result<String, String> {
    let (before, rest) = text.split_once(begin).ok_or_else(|| format!("no line {begin:?}"))?;
    let at = rest.find(end).ok_or_else(|| format!("no line {end:?}"))?;
    Ok([before, begin, middle, &rest[at..]].concat())
}

/// The constants, `ALL` and the usual advice, for src/status.rs.
pub fn status(codes: &[Code]) -> String {
    let codes: Vec<&Code> = codes.iter().filter(|c| c.is_status()).collect();
    let mut out = String::new();
    for code in &codes {
        if code.first {
            out.push('\n');
        }
        for line in wrapped(&code.meaning, 114) {
            let _ = writeln!(out, "/// {line}");
        }
        let _ = writeln!(out, "pub const {}: kl_status = {};", code.name, code.number);
    }
    out.push_str("\n/// Every code with its name, in the order of their numbers.\npub const ALL: &[(kl_status, &str)] = &[\n");
    for code in &codes {
        let _ = writeln!(out, "    ({0}, \"{0}\"),", code.name);
    }
    out.push_str("];\n\n/// The usual advice of a code.\n#[rustfmt::skip]\npub(crate) fn default_advice(status: kl_status) -> Advice {\n    match status {\n");
    for (advice, variant) in
        [("none", "None"), ("retry", "Retry"), ("ask first", "AskFirst"), ("call a person", "CallPerson")]
    {
        let names: Vec<&str> = codes.iter().filter(|c| c.advice == advice).map(|c| c.name.as_str()).collect();
        let lines = wrapped(&names.join(" | "), 104);
        let _ = writeln!(out, "        {} => Advice::{variant},", lines.join("\n        "));
    }
    out.push_str("        _ => Advice::Fix,\n    }\n}\n");
    out
}

/// The rows of docs/errors.md.
pub fn page(codes: &[Code]) -> String {
    let mut out = String::new();
    for c in codes.iter().filter(|c| c.is_status()) {
        let _ = writeln!(out, "| `{}` | {} | {} | {} | {} |", c.name, c.number, c.meaning, c.advice, c.cure);
    }
    out
}

/// include/kiosklink_text.h.
pub fn header(codes: &[Code]) -> String {
    let mut out = String::from(HEAD);
    for (function, doc, kind, front) in [
        ("kl_status_text", "What a status means.", "kl_status", ["KL_OK", "KL_E_"]),
        ("kl_outcome_text", "What an outcome means.", "kl_outcome", ["KL_DONE", "KL_NOT_DONE KL_UNKNOWN"]),
        ("kl_advice_text", "What an advice means.", "kl_advice", ["KL_ADVICE_", "KL_ADVICE_"]),
    ] {
        let mine =
            |c: &&Code| front.iter().any(|f| c.name.starts_with(f) || f.split(' ').any(|w| w == c.name));
        let rows: Vec<[&str; 3]> =
            codes.iter().filter(mine).map(|c| [c.name.as_str(), &c.meaning, &c.meaning_zh]).collect();
        out.push_str(&function_of(function, doc, kind, &rows));
        if kind == "kl_status" {
            let rows: Vec<[&str; 3]> =
                codes.iter().filter(mine).map(|c| [c.name.as_str(), &c.cure, &c.cure_zh]).collect();
            out.push_str(&function_of(
                "kl_status_help",
                "What the firmware, or the person at the device, does about a status.",
                kind,
                &rows,
            ));
        }
    }
    out.push_str("#ifdef __cplusplus\n}  // extern \"C\"\n#endif\n\n#endif  /* KIOSKLINK_TEXT_H */\n");
    out
}

const HEAD: &str = "\
/* kiosklink: what the codes of kiosklink.h mean, in English and in Chinese, UTF-8.
 *
 * Nothing of this is in the library: a program that includes it has what it calls, and only that. lang is \"zh\", or anything
 * that begins with it (\"zh_CN.UTF-8\", as setlocale says it), for Chinese; anything else and NULL for English. The answer is
 * static and never NULL: \"\" for a number that this version does not know.
 *
 * Generated from src/codes.tsv; do not edit. SPDX-License-Identifier: MIT OR Apache-2.0 */

#ifndef KIOSKLINK_TEXT_H
#define KIOSKLINK_TEXT_H

#include \"kiosklink.h\"

#if defined(__GNUC__)
#define KL_TEXT_FUNCTION static __inline__ __attribute__((__unused__))
#else
#define KL_TEXT_FUNCTION static
#endif

#ifdef __cplusplus
extern \"C\" {
#endif

";

fn function_of(function: &str, doc: &str, kind: &str, rows: &[[&str; 3]]) -> String {
    let mut out = format!(
        "/** {doc} */\nKL_TEXT_FUNCTION const char *{function}({kind} value, const char *lang) {{\n  \
         const int zh = lang != NULL && lang[0] == 'z' && lang[1] == 'h';\n  switch (value) {{\n"
    );
    for [name, english, chinese] in rows {
        let _ = writeln!(
            out,
            "    case {name}:\n      return zh ? {}\n                : {};",
            literal(chinese),
            literal(&unmarked(english))
        );
    }
    out.push_str("    default: return \"\";\n  }\n}\n\n");
    out
}

/// Without Markdown: no links, no marks.
pub fn unmarked(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        let Some((label, tail)) = after.split_once("](") else {
            out.push('[');
            rest = after;
            continue;
        };
        out.push_str(label);
        rest = tail.split_once(')').map_or("", |(_, tail)| tail);
    }
    out.push_str(rest);
    out.replace(['`', '*'], "")
}

fn literal(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
