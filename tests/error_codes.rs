//! The tables of refusals in docs/platforms/*.md, row by row: each code in the vendor's shape comes out as the status, the
//! advice and the sentence that the page promises. A code cell is a list separated by commas: a number, and in backticks the
//! texts that it may come with.

mod common;

use common::root;
use kiosklink::config::Config;
use kiosklink::error::{Advice, Error, Outcome};
use kiosklink::model::RedeemRequest;
use kiosklink::platform::{self, Op, Platform};
use kiosklink::status::{self, *};
use kiosklink::transport::{Headers, Reply, Timing};

fn page(name: &str) -> String {
    let path = root().join("docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The rows of the table whose head begins with these words, their cells trimmed.
fn table(page: &str, head: &str) -> Vec<Vec<String>> {
    let mut lines = page.lines().skip_while(|line| !line.starts_with(head));
    assert!(lines.next().is_some(), "there is no table {head:?}");
    let cells = |line: &str| line.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect();
    lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect()
}

/// What stands in backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn status_of(cell: &str) -> kl_status {
    let name = *quoted(cell).first().unwrap_or_else(|| panic!("no status in {cell:?}"));
    status::ALL.iter().find(|(_, n)| *n == name).unwrap_or_else(|| panic!("{name} is no status")).0
}

/// The codes of a cell, each with its texts; a code without any has one that is empty.
fn codes(cell: &str) -> Vec<(i32, Vec<String>)> {
    let read = |item: &str| {
        let digits: String = item.trim().chars().take_while(char::is_ascii_digit).collect();
        let mut words: Vec<String> = quoted(item).into_iter().map(str::to_owned).collect();
        if words.is_empty() {
            words.push(String::new());
        }
        Some((digits.parse().ok()?, words))
    };
    cell.split(", ").filter_map(read).collect()
}

/// What docs/errors.md advises for a status.
fn advised(errors: &str, status: kl_status) -> Advice {
    let name = status::name(status).unwrap();
    let start = format!("| `{name}` |");
    let row = errors
        .lines()
        .find(|line| line.starts_with(&start))
        .unwrap_or_else(|| panic!("{name} is not listed"));
    advice(row.split('|').nth(4).unwrap().trim())
}

fn advice(word: &str) -> Advice {
    match word {
        "none" | "–" => Advice::None,
        "retry" => Advice::Retry,
        "ask first" => Advice::AskFirst,
        "call a person" => Advice::CallPerson,
        "fix" => Advice::Fix,
        other => panic!("{other:?} is no advice"),
    }
}

fn make(name: &str, settings: &[(&str, &str)]) -> Box<dyn Platform> {
    let mut config = Config::new(name).unwrap();
    for (key, value) in settings {
        config.set(key, value).unwrap();
    }
    platform::make(&config).unwrap()
}

fn refused(p: &dyn Platform, op: &Op<'_>, body: &str) -> Error {
    p.answer(op, &reply(body)).expect_err(body)
}

fn reply(body: &str) -> Reply {
    Reply { status: 200, headers: Headers::default(), body: body.into(), timing: Timing::default() }
}

#[track_caller]
fn assert_promised(e: &Error, body: &str, code: i32, status: kl_status, advice: Advice) {
    let d = e.details();
    let name = |s| status::name(s).unwrap();
    assert_eq!((name(d.status), d.advice, d.platform_code), (name(status), advice, code), "{body}: {e}");
}

#[test]
fn yopoint() {
    let p = make("yopoint", &[("app_id", "1"), ("app_secret", "a-secret")]);
    let errors = page("errors.md");
    let check = |method: &str, name: &str, status: kl_status, proves: bool| {
        let body = format!(r#"{{"error_code":-1,"error_msg":"{name}"}}"#);
        let e = refused(&*p, &Op::Call { method, params_json: "{}" }, &body);
        assert_promised(&e, &body, -1, status, advised(&errors, status));
        assert_eq!(e.details().outcome == Outcome::NotDone, proves, "{method} {name}");
        assert!(e.message().contains(name), "{e}");
    };
    let door = "cabinet.open.door";
    let rows = table(&page("platforms/yopoint.md"), "| `error_msg` | status |");
    let mut names = 0;
    for row in rows.iter().filter(|row| row[0] != "anything else") {
        names += 1;
        let (whole, status) = (&quoted(&row[0])[0], status_of(&row[1]));
        let (method, name) = whole.split_once(' ').unwrap_or((door, whole));
        let proves = row[2] == "not done";
        assert!((proves || row[2] == "**unknown**") && !row[3].is_empty(), "{row:?}");
        check(method, name, status, proves);
        // FAULTS A1: a name is compared whole, and counts where its row says.
        check(method, &format!("{name}_X"), KL_E_PLATFORM, false);
        check(method, &name.to_lowercase(), KL_E_PLATFORM, false);
        if method != door {
            let body = format!(r#"{{"error_code":-1,"error_msg":"{name}"}}"#);
            let e = refused(&*p, &Op::Call { method: "another.method", params_json: "{}" }, &body);
            assert!(e.details().outcome != Outcome::NotDone, "{e}");
        }
    }
    assert!(names > 30, "{rows:?}");
    check(door, "", KL_E_PLATFORM, false);
}

#[test]
fn dingshang() {
    let settings = [
        ("base_url", "https://d.example"),
        ("app_id", "ds1"),
        ("app_secret", "a-secret"),
        ("app_key", "kva"),
    ];
    let p = make("dingshang", &settings);
    let errors = page("errors.md");
    let request = RedeemRequest::default();
    let rows = table(&page("platforms/dingshang.md"), "| code | status | advice |");
    for row in &rows {
        let (code, status) = (row[0].parse().unwrap(), status_of(&row[1]));
        let body = format!(r#"{{"code":{code},"message":"sorry, no","data":{{}}}}"#);
        let e = refused(&*p, &Op::CodeRedeem(&request), &body);
        // The column is for commands: where the code proves nothing, finding out comes before anything else.
        let proves = row[3].is_empty();
        assert!(proves || row[3] == "**unknown**", "{row:?}");
        assert_promised(&e, &body, code, status, advised(&errors, status));
        assert_eq!(advice(&row[2]), if proves { e.details().advice } else { Advice::AskFirst }, "{row:?}");
        assert_eq!(e.details().outcome == Outcome::NotDone, proves, "{row:?}");
        assert!(e.message().contains(&row[4]), "{row:?}: {e}");
    }
    // Both generations.
    assert!(rows.iter().filter(|r| r[0].len() == 5).count() > 15 && rows.len() > 75, "{}", rows.len());
    for (message, status, proves) in [
        ("订单未支付", KL_E_ORDER_STATE, true),
        ("超出货道最大库存", KL_E_PARAMETER, true),
        ("别的", KL_E_PLATFORM, false),
    ] {
        let body = format!(r#"{{"code":0,"message":"{message}","data":null}}"#);
        let e = refused(&*p, &Op::CodeRedeem(&request), &body);
        assert_promised(&e, &body, 0, status, advised(&errors, status));
        assert_eq!(e.details().outcome == Outcome::NotDone, proves, "{message}");
    }
}

#[test]
fn youzan() {
    let settings = [("client_id", "1"), ("client_secret", "a-secret-of-16-b"), ("grant_id", "2")];
    let p = make("youzan", &settings);
    let errors = page("errors.md");
    let request = RedeemRequest { code: "10000000001".into(), ..RedeemRequest::default() };
    let rows = table(&page("platforms/youzan.md"), "| platform's code |");
    let mut seen = 0;
    for row in &rows {
        let status = status_of(&row[1]);
        let wanted =
            if row[3].contains("reads try again") { Advice::Retry } else { advised(&errors, status) };
        let rest = row[0] == "any other";
        let token = row[0].contains("(token)");
        for (code, texts) in if rest { codes("999999999, 50000 `出错了`, 7") } else { codes(&row[0]) } {
            for text in &texts {
                seen += 1;
                let plain = text.is_empty();
                let own = (4001..5000).contains(&code);
                // The words before an address are the beginning of a text.
                let text = if code == 4007 && !plain {
                    format!("{text}1.2.3.4非法调用有赞云")
                } else {
                    text.clone()
                };
                let shapes = [
                    format!(r#"{{"gw_err_resp":{{"err_code":{code},"err_msg":"{text}"}}}}"#),
                    format!(r#"{{"error_response":{{"code":{code},"msg":"{text}"}}}}"#),
                    format!(r#"{{"code":{code},"success":false,"data":null,"message":"{text}"}}"#),
                ];
                // The gateway's envelope holds its own numbers only.
                for body in &shapes[usize::from(!own)..] {
                    let answer = |body: &str| {
                        if token {
                            p.tokens().unwrap().answer(&reply(body), 0).expect_err(body)
                        } else {
                            refused(&*p, &Op::CodeRedeem(&request), body)
                        }
                    };
                    let e = answer(body);
                    assert_promised(&e, body, code, status, wanted);
                    assert_eq!(e.details().retry_after_ms > 0, status == KL_E_RATE_LIMIT, "{body}");
                    assert_eq!(e.details().outcome == Outcome::NotDone, row[2] == "yes", "{body}");
                    assert!(matches!(row[2].as_str(), "yes" | "no"), "{row:?}");
                    // A text is compared whole: with a letter more it is another one.
                    if !plain && !own && !token {
                        let other = answer(&body.replace(&text, &format!("{text}…")));
                        assert!(other.details().outcome != Outcome::NotDone, "{body}");
                    }
                    for (number, name) in [(1000, "client_secret"), (1103, "client_id or grant_id")] {
                        assert!(!plain || !token || code != number || e.message().contains(name), "{e}");
                    }
                }
            }
        }
    }
    assert!(seen >= 70, "{seen}");
}

#[test]
fn zhiyun() {
    let errors = page("errors.md");
    let rows = table(&page("platforms/zhiyun.md"), "| code | kl_status |");
    let mut seen = 0;
    for format in ["json", "xml"] {
        let settings = [
            ("base_url", "https://z.example"),
            ("client_id", "1100000001"),
            ("client_secret", "a-secret-of-16-b"),
            ("access_token", "abc"),
            ("format", format),
        ];
        let p = make("zhiyun", &settings);
        for row in &rows {
            let status = status_of(&row[1]);
            let wanted = if row[2].contains("try again") { Advice::Retry } else { advised(&errors, status) };
            let others = codes(if row[0].contains("others") { "999, 100001" } else { "" });
            for (code, texts) in codes(&row[0]).into_iter().chain(others) {
                for text in texts {
                    seen += 1;
                    let text = text.trim_end_matches('…');
                    let body = if format == "json" {
                        format!(r#"{{"code":{code},"message":"{text}"}}"#)
                    } else {
                        format!("<apiResponse><code>{code}</code><message>{text}</message></apiResponse>")
                    };
                    let from_token = p.tokens().unwrap().answer(&reply(&body), 0).expect_err(&body);
                    if row[0].contains("to `authorize`") {
                        assert_promised(&from_token, &body, code, status, wanted);
                        continue;
                    }
                    let e = refused(&*p, &Op::UserGet, &body);
                    assert_promised(&e, &body, code, status, wanted);
                    if row[2].contains("log in again") {
                        assert!(
                            e.message().contains("a person must log in")
                                && e.message().contains("access_token"),
                            "{e}"
                        );
                    }
                    // To authorize this one says something else, in a row of its own.
                    assert!(from_token.status() == status || code == 100_018, "{body}");
                }
            }
        }
    }
    assert!(seen > 45, "{seen}");
}

/// `kl_error` holds 255 bytes: what to do must not be lost behind what the platform said.
#[test]
fn long_words_leave_room_for_what_to_do() {
    let words = "签名错误 SIGN ".repeat(500);
    let dingshang = [
        ("base_url", "https://d.example"),
        ("app_id", "ds1"),
        ("app_secret", "a-secret"),
        ("app_key", "kva"),
    ];
    let zhiyun = [
        ("base_url", "https://z.example"),
        ("client_id", "1100000001"),
        ("client_secret", "a-secret-of-16-b"),
        ("access_token", "abc"),
    ];
    let youzan = [("client_id", "1"), ("client_secret", "a-secret-of-16-b"), ("grant_id", "2")];
    for (name, settings, body, hint) in [
        (
            "yopoint",
            &[("app_id", "1"), ("app_secret", "a-secret")][..],
            r#"{"error_code":-1,"error_msg":"ERR_SIGN","sub_error_msg":"#,
            "pasted with a blank",
        ),
        ("dingshang", &dingshang, r#"{"code":4006,"message":"#, "merchant key"),
        ("youzan", &youzan, r#"{"code":4204,"success":false,"message":"#, "capability pack"),
        ("zhiyun", &zhiyun, r#"{"code":100014,"message":"#, "new access_token"),
    ] {
        let e = refused(&*make(name, settings), &Op::Ping, &format!(r#"{body}"{words}"}}"#));
        // Dingshang's longest hint is itself of some length.
        assert!(
            e.message().contains(hint) && e.message().len() < 256,
            "{name}, {} bytes: {e}",
            e.message().len()
        );
        assert!(e.details().platform_message.len() > 5000, "{name}");
    }
}

/// The comment above each function of the header that answers with a status or an outcome.
fn comments() -> Vec<(String, String)> {
    let header = std::fs::read_to_string(root().join("include/kiosklink.h")).unwrap();
    let blocks = header.split("\n\n").filter_map(|block| block.split_once("KL_MUST_USE kl_"));
    let found: Vec<(String, String)> = blocks
        .filter(|(comment, _)| comment.starts_with("/**"))
        .map(|(comment, declared)| {
            let name = declared.split_once('(').unwrap().0.rsplit(' ').next().unwrap();
            let words =
                comment.lines().map(|l| l.trim().trim_start_matches("/**").trim_start_matches('*').trim());
            (name.to_owned(), words.filter(|w| *w != "/").collect::<Vec<_>>().join("\n"))
        })
        .collect();
    assert!(found.len() > 45, "only {}", found.len());
    found
}

/// The statuses that a list means: names, ranges of two names with "to" between, and groups.
fn listed(list: &str, groups: &[(String, Vec<kl_status>)]) -> Vec<kl_status> {
    let number = |name: &str| {
        let found = status::ALL.iter().find(|(_, n)| *n == name);
        found.unwrap_or_else(|| panic!("{name:?} in {list:?} is no status")).0
    };
    let mut all = Vec::new();
    for item in list.trim_end_matches('.').split(", ") {
        match (item.trim().split_once(" to "), item.trim().strip_prefix('*')) {
            (Some((from, to)), _) => {
                let range = number(from)..=number(to);
                all.extend(status::ALL.iter().map(|(n, _)| *n).filter(|n| range.contains(n)));
            }
            (None, Some(group)) => {
                let known = groups.iter().find(|(name, _)| name == group.trim_end_matches('*'));
                all.extend(&known.unwrap_or_else(|| panic!("{item} is no group")).1);
            }
            (None, None) => all.push(number(item.trim())),
        }
    }
    all
}

#[test]
fn each_function_lists_its_codes() {
    let header = std::fs::read_to_string(root().join("include/kiosklink.h")).unwrap();
    let mut groups: Vec<(String, Vec<kl_status>)> = Vec::new();
    for line in header.lines().filter_map(|l| l.strip_prefix(" * - *")) {
        let (name, list) = line.split_once("*: ").unwrap_or_else(|| panic!("{line:?} is no group"));
        let all = listed(list, &groups);
        groups.push((name.to_owned(), all));
    }
    let names: Vec<&str> = groups.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["network", "platform", "journal", "command"]);
    let any = listed("KL_E_NULL to KL_E_INTERNAL, KL_E_RESOURCE", &[]);
    let mut missing = Vec::new();
    for (name, comment) in comments() {
        let (text, list) = comment
            .rsplit_once("\nCodes: ")
            .unwrap_or_else(|| panic!("{name} does not say which codes it gives"));
        let list = list.trim().replace('\n', " ");
        let own = if list == "none of its own." { Vec::new() } else { listed(&list, &groups) };
        // What a comment speaks of stands in its list; kl_client_cancel speaks of other calls.
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            let found = status::ALL.iter().find(|(_, n)| *n == word && word != "KL_OK");
            let told = |code| own.contains(code) || any.contains(code) || name == "kl_client_cancel";
            if found.is_some_and(|(code, _)| !told(code)) {
                missing.push(format!("{name}: {word}"));
            }
        }
        assert!(own.iter().all(|code| !any.contains(code)), "{name} lists what any call can give");
    }
    assert_eq!(missing, [""; 0], "comments speak of codes that their lists do not have");
}
