//! The header in the order in which a newcomer needs it. cbindgen's order is that of types, constants and functions; here
//! they stand by topic, each type before what uses it for the first time, its constants and its initialiser below it.

use std::collections::BTreeSet;

type Result<T> = std::result::Result<T, String>;

pub struct Topic {
    pub title: &'static str,
    /// Markdown, one paragraph.
    pub intro: &'static str,
    /// Functions and constants; a star at the end stands for all that begin so. Types come by themselves.
    items: &'static [&'static str],
}

/// In the order of the header and of `docs/api.md`. What is new has no place before it stands here.
pub const TOPICS: &[Topic] = &[
    Topic {
        title: "Versions",
        intro: "What was built, and whether this header fits it.",
        items: &["KL_ABI_VERSION", "KL_VERSION_NUMBER", "kl_version", "kl_abi_version", "kl_build_info"],
    },
    Topic {
        title: "Errors",
        intro: "What every call that acts or can fail returns and writes: docs/errors.md.",
        items: &["kl_status_name", "kl_error"],
    },
    Topic {
        title: "Settings",
        intro: "The settings of one account: docs/settings.md.",
        items: &[
            "KL_PLATFORM_*",
            "kl_config_new",
            "kl_config_load",
            "KL_KEY_*",
            "kl_config_set",
            "kl_config_free",
        ],
    },
    Topic {
        title: "Client",
        intro: "One account on one platform, for any number of threads: docs/threads.md.",
        items: &["kl_client_new", "kl_client_free", "kl_client_can", "kl_client_cancel", "kl_client_warm"],
    },
    Topic {
        title: "First calls",
        intro: "The platform, its cabinets and their goods, as whole lists, single pages, or one item after the other. \
                Nothing is changed by them, so they are tried again when the network fails.",
        items: &["kl_ping", "kl_cabinet_list", "kl_cabinets_*", "kl_cabinet_iter_*", "kl_stock_*"],
    },
    Topic {
        title: "Doors",
        intro: "Acts that cannot be undone, each sent at most once for its `request_id`: docs/journal.md.",
        items: &["KL_*_MAX", "kl_request_id_new", "kl_door_*", "kl_command_view", "kl_command_free"],
    },
    Topic {
        title: "Orders and money",
        intro: "Orders are read, made and paid for. Each write is sent at most once; what is returned says whether it is \
                done, not done or unknown.",
        items: &[
            "kl_order_get",
            "kl_order_list",
            "kl_orders_*",
            "kl_order_iter_*",
            "kl_payment_report",
            "kl_refund_apply",
            "kl_appeal_file",
            "kl_order_create",
            "kl_response_*",
        ],
    },
    Topic {
        title: "Pickup codes",
        intro: "Redeemed, which is a command as the opening of a door is; looked up, listed, made, cancelled.",
        items: &[
            "kl_redeem_check",
            "kl_code_redeem",
            "kl_code_lookup",
            "kl_code_list",
            "kl_codes_*",
            "kl_code_create",
            "kl_code_cancel",
        ],
    },
    Topic {
        title: "Commands and what became of them",
        intro: "What is recorded of doors, codes and other writes, and how what is unknown is settled: docs/journal.md.",
        items: &[
            "kl_command_wait",
            "kl_command_get",
            "kl_command_pending",
            "kl_command_list",
            "kl_commands_*",
            "kl_command_resolve",
            "kl_command_settle",
            "kl_command_overrule",
            "kl_journal_*",
        ],
    },
    Topic {
        title: "Visits",
        intro: "The commands of one customer, kept together until they are closed.",
        items: &["kl_visit_*", "kl_visits_*"],
    },
    Topic {
        title: "Views",
        intro: "The same client with a timeout and a cancel of its own: docs/threads.md.",
        items: &["kl_client_view"],
    },
    Topic {
        title: "Jobs",
        intro: "Functions of your own on threads of the library, for a loop that must not block: docs/threads.md.",
        items: &["kl_task_*", "kl_client_fd"],
    },
    Topic {
        title: "Callbacks",
        intro: "What a platform sends by itself, verified and taken apart: docs/flows.md has them step by step.",
        items: &["kl_event_*", "kl_http_*"],
    },
    Topic {
        title: "Any other call",
        intro: "The person and the company behind the account, and calls of a platform that have no function of their own.",
        items: &["kl_call", "kl_user_*", "kl_company_*"],
    },
    Topic {
        title: "Log, time and counters",
        intro: "The log and a trusted time are for the whole process, with no client.",
        items: &["kl_set_log", "kl_set_time", "kl_client_time", "kl_client_stats"],
    },
];

/// One declaration with its comment.
pub struct Item {
    pub name: String,
    text: String,
}

/// The items of a header in their new order, each with its topic.
pub type Order = Vec<(String, usize)>;

struct Arranging<'a> {
    items: &'a [Item],
    done: BTreeSet<&'a str>,
    out: String,
    order: Order,
}

/// Puts the items of a header by topic. `extra` has texts that belong below an item.
pub fn arrange(items: &[Item], extra: impl Fn(&str) -> Option<String>) -> Result<(String, Order)> {
    let mut all = Arranging { items, done: BTreeSet::new(), out: String::new(), order: Vec::new() };
    for (number, topic) in TOPICS.iter().enumerate() {
        all.out.push_str(&heading(topic));
        for wanted in topic.items {
            let found: Vec<&Item> = items.iter().filter(|item| fits(wanted, &item.name)).collect();
            if found.is_empty() {
                return Err(format!("no {wanted} for the topic {}", topic.title));
            }
            found.into_iter().for_each(|item| all.put(item, number, &extra));
        }
    }
    let left: Vec<&str> = items.iter().map(|i| i.name.as_str()).filter(|n| !all.done.contains(n)).collect();
    match left.is_empty() {
        true => Ok((all.out, all.order)),
        false => Err(format!("no topic of xtask/src/arrange.rs has {}", left.join(", "))),
    }
}

impl<'a> Arranging<'a> {
    fn put(&mut self, item: &'a Item, topic: usize, extra: &impl Fn(&str) -> Option<String>) {
        if !self.done.insert(&item.name) {
            return;
        }
        for word in words(&code(&item.text)) {
            let used = self.items.iter().find(|i| i.name == word && i.is_type());
            if let Some(used) = used {
                self.put(used, topic, extra);
            }
        }
        self.out.extend([item.text.as_str(), "\n"]);
        self.order.push((item.name.clone(), topic));
        if let Some(more) = extra(&item.name) {
            self.out.extend([more.as_str(), "\n"]);
        }
        let members: Vec<&Item> =
            self.items.iter().filter(|i| item.is_set() && belongs(&i.name, &item.name)).collect();
        for member in members {
            self.done.insert(&member.name);
            self.out.extend([member.text.as_str(), "\n"]);
            self.order.push((member.name.clone(), topic));
        }
        self.out.push('\n');
    }
}

/// Whether a constant is one of a set: of the type whose name it bears, but for those that are written most often.
pub fn belongs(constant: &str, set: &str) -> bool {
    match (set, constant) {
        ("kl_status", "KL_OK") | ("kl_outcome", "KL_DONE" | "KL_NOT_DONE" | "KL_UNKNOWN") => true,
        ("kl_status", _) => constant.starts_with("KL_E_"),
        _ => constant.strip_prefix(&set.to_uppercase()).is_some_and(|rest| rest.starts_with('_')),
    }
}

fn fits(wanted: &str, name: &str) -> bool {
    match wanted.split_once('*') {
        Some((front, back)) => name.starts_with(front) && name.ends_with(back),
        None => name == wanted,
    }
}

fn heading(topic: &Topic) -> String {
    let plain = topic.intro.replace('`', "");
    let mut out = format!("/* ---- {} ", topic.title);
    out.extend(std::iter::repeat_n('-', 117_usize.saturating_sub(out.len())));
    let mut width = 200;
    for word in plain.split_whitespace() {
        if width + word.len() + 1 > 115 {
            out.push_str("\n *");
            width = 2;
        }
        out.extend([" ", word]);
        width += word.len() + 1;
    }
    out + " */\n\n"
}

impl Item {
    /// `None` for what declares nothing of ours.
    pub fn read(block: &str) -> Option<Item> {
        let text = block.trim_matches('\n');
        let code = code(text);
        let code = code.trim();
        let name = if let Some(rest) = code.strip_prefix("#define ") {
            words(rest).first().cloned()
        } else if let Some((_, callback)) =
            code.strip_prefix("typedef ").and_then(|rest| rest.split_once("(*"))
        {
            words(callback).first().cloned()
        } else if code.starts_with("typedef struct ") && code.contains('{') {
            words(code).first().cloned()
        } else if code.starts_with("typedef ") {
            words(code).last().cloned()
        } else {
            code.split_once('(').and_then(|(front, _)| words(front).last().cloned())
        };
        name.filter(|name| name != "KL_MUST_USE" && !code.starts_with("#if"))
            .map(|name| Item { name, text: text.to_owned() })
    }

    /// Several declarations that stay together, under one name.
    pub fn together(name: &str, text: &str) -> Item {
        Item { name: name.into(), text: text.trim_matches('\n').into() }
    }

    fn is_type(&self) -> bool {
        code(&self.text).trim_start().starts_with("typedef ")
    }

    fn is_set(&self) -> bool {
        code(&self.text).trim_start().starts_with("typedef int32_t ")
    }
}

/// Without comments.
fn code(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/*") {
        out.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    out + rest
}

/// Our names in a text.
fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|w| w.starts_with("kl_") || w.starts_with("KL_"))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_comes_before_its_first_use_and_its_constants_below_it() {
        let texts = [
            "/** A. */\n#define KL_X_STATE_A 1",
            "/** Uses kl_late. */\ntypedef struct kl_thing {\n  /** One. */\n  kl_x_state state;\n} kl_thing;",
            "/** A state. */\ntypedef int32_t kl_x_state;",
            "/** Late. */\ntypedef struct kl_late kl_late;",
            "/** Told. */\ntypedef void (*kl_fn)(kl_late *late);",
            "/** Gives. */\nkl_thing *kl_give(kl_fn told);",
        ];
        let items: Vec<Item> = texts.iter().map(|t| Item::read(t).unwrap()).collect();
        let names: Vec<&str> = items.iter().map(|i| i.name.as_str()).collect();
        assert_eq!(names, ["KL_X_STATE_A", "kl_thing", "kl_x_state", "kl_late", "kl_fn", "kl_give"]);
        let mut all =
            Arranging { items: &items, done: BTreeSet::new(), out: String::new(), order: Vec::new() };
        all.put(&items[5], 0, &|name| (name == "kl_thing").then(|| "INIT".into()));
        let order: Vec<&str> = all.order.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(order, ["kl_x_state", "KL_X_STATE_A", "kl_thing", "kl_late", "kl_fn", "kl_give"]);
        assert!(all.out.contains("} kl_thing;\nINIT\n\n"), "{}", all.out);
        assert!(
            all.out.contains("typedef int32_t kl_x_state;\n/** A. */\n#define KL_X_STATE_A 1\n\n"),
            "{}",
            all.out
        );
        assert!(Item::read("#ifdef __cplusplus\nextern \"C\" {\n#endif").is_none());
    }

    #[test]
    fn what_has_no_topic_is_refused() {
        let items = [Item::read("/** New. */\nvoid kl_new(void);").unwrap()];
        assert!(arrange(&items, |_| None).is_err());
    }
}
