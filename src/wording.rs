//! What the codes mean, for people, in English and in Chinese: `codes.tsv`, of which the C library holds nothing
//! (include/kiosklink_text.h has the same for a program in C).

use crate::error::{Advice, Outcome};
use crate::status::{self, kl_status};

const TABLE: &str = include_str!("codes.tsv");

/// In which language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// 中文.
    Chinese,
}

impl Language {
    /// By a name like `zh`, `zh_CN.UTF-8` or `en`. What is neither Chinese nor known is English.
    pub fn of(name: &str) -> Language {
        if name.starts_with("zh") { Language::Chinese } else { Language::English }
    }
}

/// What a status means; empty for a number that is no code.
pub fn of_status(status: kl_status, language: Language) -> String {
    status::name(status).map_or_else(String::new, |name| cell(name, 3, language))
}

/// What the firmware, or the person at the device, does about a status; empty for a number that is no code.
pub fn help(status: kl_status, language: Language) -> String {
    status::name(status).map_or_else(String::new, |name| cell(name, 4, language))
}

/// What an outcome means; empty for none.
pub fn of_outcome(outcome: Outcome, language: Language) -> String {
    let name = match outcome {
        Outcome::None => return String::new(),
        Outcome::Done => "KL_DONE",
        Outcome::NotDone => "KL_NOT_DONE",
        Outcome::Unknown => "KL_UNKNOWN",
    };
    cell(name, 3, language)
}

/// What an advice means.
pub fn of_advice(advice: Advice, language: Language) -> String {
    let name = match advice {
        Advice::None => "KL_ADVICE_NONE",
        Advice::Retry => "KL_ADVICE_RETRY",
        Advice::AskFirst => "KL_ADVICE_ASK_FIRST",
        Advice::CallPerson => "KL_ADVICE_CALL_PERSON",
        Advice::Fix => "KL_ADVICE_FIX",
    };
    cell(name, 3, language)
}

/// One cell of a row, without Markdown. The Chinese columns stand two behind the English.
fn cell(name: &str, english: usize, language: Language) -> String {
    let column = if language == Language::Chinese { english + 2 } else { english };
    let row = TABLE.lines().find(|l| l.split('\t').next() == Some(name));
    let text = row.and_then(|row| row.split('\t').nth(column)).unwrap_or_default();
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        let (label, tail) = after.split_once("](").unwrap_or((after, ""));
        out.push_str(before);
        out.push_str(label);
        rest = tail.split_once(')').map_or("", |(_, tail)| tail);
    }
    out.push_str(rest);
    out.replace(['`', '*'], "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::*;

    #[test]
    fn every_code_has_its_texts_in_both_languages() {
        for (code, name) in ALL {
            for language in [Language::English, Language::Chinese] {
                for text in [of_status(*code, language), help(*code, language)] {
                    assert!(!text.is_empty() && !text.contains(['`', '*', '[', '\t']), "{name}: {text:?}");
                    assert_eq!(text.is_ascii(), language == Language::English, "{name}: {text}");
                }
            }
        }
        assert_eq!(of_status(-77, Language::Chinese), "");
    }

    #[test]
    fn a_language_is_known_by_its_beginning() {
        assert_eq!(Language::of("zh_CN.UTF-8"), Language::Chinese);
        for other in ["", "C", "en_GB.UTF-8", "de"] {
            assert_eq!(Language::of(other), Language::English, "{other}");
        }
        assert_eq!(of_status(KL_E_DNS, Language::Chinese), "平台的域名解析不到地址。");
        assert_eq!(of_outcome(Outcome::NotDone, Language::Chinese), "未执行：没有发生，以后也不会发生。");
        assert_eq!(help(KL_E_CLOCK, Language::English), "Sets the clock, or calls kl_set_time (time.md).");
    }
}
