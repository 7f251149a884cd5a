//! What of the platforms' documents is exercised by a test: `tests/platforms.tsv` says which test it is, the tests say
//! whether it holds, and the library says whether its verbs are those of the file.

use kiosklink::config::Config;
use kiosklink::event::Event;
use kiosklink::json::Json;
use kiosklink::model::*;
use kiosklink::platform::{self, Kind, Op, Platform};
use kiosklink::status::KL_E_UNSUPPORTED;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const FILE: &str = "tests/platforms.tsv";
const KINDS: [&str; 3] = ["verb", "endpoint", "callback"];
const NONE: &str = "none-by-design";
const HOWS: [&str; 3] = ["typed", "call", NONE];

/// One thing that a platform's documents name.
struct Row {
    line: usize,
    platform: Kind,
    kind: String,
    name: String,
    how: String,
    /// `target::test`; empty if there is none.
    test: String,
    note: String,
}

/// Prints the table. Fails with what has no test, or one that was not run or did not pass, and with every verb that
/// the library answers otherwise than the file says.
pub fn check(root: &Path) -> Result<(), String> {
    let text = fs::read_to_string(root.join(FILE)).map_err(|e| format!("{FILE}: {e}"))?;
    let rows = read(&text)?;
    let mut wrong = verbs_differ(&rows)?;
    let outcomes = run(root, &rows)?;
    matrix(&rows);
    let (exercised, missing, none) = table(&rows, &outcomes, &mut wrong);
    println!(
        "\n{} rows, {exercised} exercised, {missing} missing{}",
        rows.len(),
        if none == 0 { String::new() } else { format!(" ({none} left out by design)") }
    );
    if wrong.is_empty() { Ok(()) } else { Err(format!("not as it should be:\n  {}", wrong.join("\n  "))) }
}

fn read(text: &str) -> Result<Vec<Row>, String> {
    let mut rows: Vec<Row> = Vec::new();
    let mut names = BTreeSet::new();
    for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.is_empty() && !l.starts_with('#')) {
        let fail = |why: &str| format!("{FILE}:{}: {why}", i + 1);
        let cells: Vec<&str> = line.split('\t').collect();
        let &[platform, kind, name, how, test, note] = cells.as_slice() else {
            return Err(fail("must have six columns"));
        };
        let found = Kind::ALL.iter().find(|k| k.name() == platform);
        let platform = *found.ok_or_else(|| fail("no such platform"))?;
        if !KINDS.contains(&kind) || !HOWS.contains(&how) {
            return Err(fail(&format!("the kind is one of {KINDS:?}, the way one of {HOWS:?}")));
        }
        if kind == "verb" && (!verbs().contains(&name) || how == NONE) {
            return Err(fail("no such verb; one that a platform does not have has no row"));
        }
        if how == NONE && note.is_empty() {
            return Err(fail("what is left out needs a note that says why"));
        }
        if !test.is_empty() && !test.contains("::") {
            return Err(fail("a test is target::name"));
        }
        if !names.insert((platform.name(), kind, name)) {
            return Err(fail("stands here twice"));
        }
        let [kind, name, how, test, note] = [kind, name, how, test, note].map(str::to_owned);
        rows.push(Row { line: i + 1, platform, kind, name, how, test, note });
    }
    Ok(rows)
}

/// Each operation with nothing in it: whether a platform has it does not depend on its parameters.
fn with_each_op(mut with: impl FnMut(&Op<'_>)) {
    let page = PageRequest { number: 1, size: 0 };
    let (order, query, claim) = (OrderRef::default(), OrderQuery::default(), Complaint::default());
    let (codes, create, cancel) = (CodeQuery::default(), CodeCreate::default(), CodeCancel::default());
    for op in [
        Op::Ping,
        Op::CabinetList { page },
        Op::Stock { cabinet_id: "", page, extra_json: None },
        Op::DoorOpen(&DoorRequest::default()),
        Op::CodeRedeem(&RedeemRequest::default()),
        Op::CodeLookup(&codes),
        Op::CodeCreate(&create),
        Op::CodeCancel(&cancel),
        Op::CodeList(&codes),
        Op::OrderGet(&order),
        Op::OrderList { query: &query, page },
        Op::OrderCreate(&OrderCreate::default()),
        Op::PaymentReport(&PaymentReport::default()),
        Op::RefundApply(&claim),
        Op::AppealFile(&claim),
        Op::UserGet,
        Op::CompanyGet,
        Op::Call { method: "", params_json: "" },
    ] {
        with(&op);
    }
}

/// A new operation does not compile here until it has a name, and then belongs into the list above.
fn verb(op: &Op<'_>) -> &'static str {
    match op {
        Op::Ping => "ping",
        Op::CabinetList { .. } => "cabinet_list",
        Op::Stock { .. } => "stock_fetch",
        Op::DoorOpen(_) => "door_open",
        Op::CodeRedeem(_) => "code_redeem",
        Op::CodeLookup(_) => "code_lookup",
        Op::CodeCreate(_) => "code_create",
        Op::CodeCancel(_) => "code_cancel",
        Op::CodeList(_) => "code_list",
        Op::OrderGet(_) => "order_get",
        Op::OrderList { .. } => "order_list",
        Op::OrderCreate(_) => "order_create",
        Op::PaymentReport(_) => "payment_report",
        Op::RefundApply(_) => "refund_apply",
        Op::AppealFile(_) => "appeal_file",
        Op::UserGet => "user_get",
        Op::CompanyGet => "company_get",
        Op::Call { .. } => "call",
    }
}

fn verbs() -> Vec<&'static str> {
    let mut all = Vec::new();
    with_each_op(|op| all.push(verb(op)));
    all.extend(["event_parse", "event_reply"]);
    all
}

/// An account that is good for nothing: what is made of it is pure, and nothing is sent.
fn nobody(kind: Kind) -> Result<Box<dyn Platform>, String> {
    let settings: &[(&str, &str)] = match kind {
        Kind::Yopoint => &[("app_id", "1"), ("app_secret", "s"), ("pay_key", "k")],
        Kind::Dingshang => &[("app_id", "1"), ("app_secret", "s"), ("app_key", "k")],
        Kind::Youzan => &[("client_id", "1"), ("client_secret", "s"), ("grant_id", "1")],
        Kind::Zhiyun => &[("client_id", "1000000000"), ("client_secret", "s"), ("access_token", "t")],
    };
    let mut config = Config::new(kind.name()).map_err(|e| e.to_string())?;
    for (name, value) in [("base_url", "https://localhost")].iter().chain(settings) {
        config.set(name, value).map_err(|e| e.to_string())?;
    }
    platform::make(&config).map_err(|e| format!("{}: {e}", kind.name()))
}

/// The verbs that a platform has by the library's own account.
fn had(kind: Kind) -> Result<BTreeSet<&'static str>, String> {
    let platform = nobody(kind)?;
    let mut all = BTreeSet::new();
    let mut torn = None;
    with_each_op(|op| {
        let refuses = |e: Option<kiosklink::error::Error>| e.is_some_and(|e| e.status() == KL_E_UNSUPPORTED);
        // A ping may be no request of its own, but the fetching of a token: `nature` is what decides.
        match (refuses(platform.nature(op).err()), refuses(platform.draft(op).err())) {
            (false, _) => _ = all.insert(verb(op)),
            (true, true) => {}
            (true, false) => torn = Some(format!("{}: is {} a verb of it or not?", kind.name(), verb(op))),
        }
    });
    let of_events = [
        ("event_parse", platform.event("", b"", 0).err()),
        ("event_reply", platform.event_reply(&Event::default(), 0, "", None).err()),
    ];
    for (name, error) in of_events {
        if error.is_none_or(|e| e.status() != KL_E_UNSUPPORTED) {
            all.insert(name);
        }
    }
    torn.map_or(Ok(all), Err)
}

/// Where the library answers `KL_E_UNSUPPORTED` and the file has a row for the verb, or the other way round.
fn verbs_differ(rows: &[Row]) -> Result<Vec<String>, String> {
    let mut wrong = Vec::new();
    for &kind in Kind::ALL {
        let had = had(kind)?;
        for verb in verbs() {
            let written = cell(rows, kind, verb).is_some();
            if had.contains(verb) && !written {
                wrong.push(format!("{} {verb}: the library has it, {FILE} has no row for it", kind.name()));
            } else if written && !had.contains(verb) {
                wrong.push(format!("{} {verb}: the library answers KL_E_UNSUPPORTED", kind.name()));
            }
        }
    }
    Ok(wrong)
}

fn cell<'a>(rows: &'a [Row], platform: Kind, verb: &str) -> Option<&'a Row> {
    rows.iter().find(|r| r.platform == platform && r.kind == "verb" && r.name == verb)
}

/// Builds the test targets that the file names, as `make test` does, and runs the tests that it names.
fn run(root: &Path, rows: &[Row]) -> Result<BTreeMap<String, String>, String> {
    let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (target, test) in rows.iter().filter_map(|r| r.test.split_once("::")) {
        wanted.entry(target).or_default().insert(test);
    }
    let mut outcomes = BTreeMap::new();
    for (target, program) in build(root, wanted.keys().copied())? {
        let tests = &wanted[target.as_str()];
        // Their own tidings come only if something fails.
        let done = Command::new(&program)
            .arg("--exact")
            .args(tests)
            .current_dir(root)
            .output()
            .map_err(|e| format!("{}: {e}", program.display()))?;
        let said = String::from_utf8_lossy(&done.stdout);
        if !done.status.success() {
            eprint!("{said}{}", String::from_utf8_lossy(&done.stderr));
        }
        for line in said.lines().filter_map(|l| l.strip_prefix("test ")) {
            if let Some((name, outcome)) = line.split_once(" ... ") {
                outcomes.insert(format!("{target}::{name}"), outcome.trim().to_owned());
            }
        }
    }
    Ok(outcomes)
}

/// The test programs of the library by target. Other packages have targets of the same names.
fn build<'a>(
    root: &Path,
    targets: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<String, PathBuf>, String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--workspace", "--features", "kiosklink/test-hooks", "--no-run"]);
    cargo.args(["--quiet", "--message-format", "json-render-diagnostics"]);
    let mut wanted = BTreeSet::new();
    for target in targets {
        match target {
            "lib" => cargo.arg("--lib"),
            other => cargo.args(["--test", other]),
        };
        wanted.insert(target);
    }
    let made =
        cargo.current_dir(root).stderr(Stdio::inherit()).output().map_err(|e| format!("cargo: {e}"))?;
    if !made.status.success() {
        return Err("the tests do not build".into());
    }
    let manifest = fs::canonicalize(root.join("Cargo.toml")).map_err(|e| e.to_string())?;
    let mut programs = BTreeMap::new();
    for line in made.stdout.split(|b| *b == b'\n').filter(|l| l.starts_with(b"{")) {
        let artifact = artifact(line).map_err(|b| b.sentence("what cargo says"))?;
        let Some((path, kind, name, program)) = artifact else { continue };
        let target = if kind == "lib" { kind } else { name };
        if Path::new(&path) == manifest && wanted.contains(target.as_str()) {
            programs.insert(target, PathBuf::from(program));
        }
    }
    Ok(programs)
}

/// Manifest, kind of target, name and program of a message about one that was made.
fn artifact(line: &[u8]) -> Result<Option<(String, String, String, String)>, kiosklink::json::Bad> {
    let message = Json::parse(line)?.object()?;
    let text = |o: &kiosklink::json::Object<'_>, name: &str| o.string(&[name]).map(Option::unwrap_or_default);
    if text(&message, "reason")? != "compiler-artifact" {
        return Ok(None);
    }
    let Some(target) = message.object(&["target"])? else { return Ok(None) };
    let kind = match message.get("executable")?.zip(target.get("kind")?) {
        Some((_, kinds)) => kinds.array()?.into_iter().next(),
        None => None,
    };
    let Some(kind) = kind else { return Ok(None) };
    let kind = kind.string()?.into_owned();
    Ok(Some((text(&message, "manifest_path")?, kind, text(&target, "name")?, text(&message, "executable")?)))
}

/// The verbs by platform.
fn matrix(rows: &[Row]) {
    print!("{:<16}", "verb");
    for kind in Kind::ALL {
        print!("{:<11}", kind.name());
    }
    println!();
    for verb in verbs() {
        print!("{verb:<16}");
        for &kind in Kind::ALL {
            print!("{:<11}", if cell(rows, kind, verb).is_some() { "yes" } else { "-" });
        }
        println!();
    }
    println!("-: answered KL_E_UNSUPPORTED, with nothing sent");
}

/// Prints every row with what became of its test, and counts those that are exercised, missing and left out.
fn table(
    rows: &[Row],
    outcomes: &BTreeMap<String, String>,
    wrong: &mut Vec<String>,
) -> (usize, usize, usize) {
    let width = |of: fn(&Row) -> &str| rows.iter().map(|r| of(r).chars().count()).max().unwrap_or(0);
    let (name, how, test) = (width(|r| &r.name), width(|r| &r.how), width(|r| &r.test));
    let (mut exercised, mut missing, mut none) = (0, 0, 0);
    for &platform in Kind::ALL {
        println!("\n{}", platform.name());
        for row in rows.iter().filter(|r| r.platform == platform) {
            let outcome = match (row.test.as_str(), outcomes.get(&row.test).map(String::as_str)) {
                ("", _) if row.how == NONE => "-",
                ("", _) => "NO TEST",
                (_, None) => "NOT RUN",
                (_, Some("ok")) => "ok",
                (_, Some(_)) => "FAILED",
            };
            match (outcome, row.how.as_str()) {
                ("ok" | "-", NONE) => none += 1,
                ("ok", _) => exercised += 1,
                _ => {
                    missing += 1;
                    wrong.push(format!(
                        "{FILE}:{}: {} {} {}: {outcome} {}",
                        row.line,
                        platform.name(),
                        row.kind,
                        row.name,
                        row.test
                    ));
                }
            }
            let line = format!(
                "  {:<8}  {:<name$}  {:<how$}  {outcome:<7}  {:<test$}  {}",
                row.kind, row.name, row.how, row.test, row.note
            );
            println!("{}", line.trim_end());
        }
    }
    (exercised, missing, none)
}
