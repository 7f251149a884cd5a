//! Real programs in C and C++ against the simulator, through the generated header.

mod common;

use common::*;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

#[test]
fn the_examples_tell_the_story_and_valgrind_finds_nothing() {
    let sim = simulator();
    let accounts = accounts(&sim, "examples");
    let (code, text) = run(valgrind(&programs().join("stock")).arg(&accounts).arg("yopoint"));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(CABINET) && text.contains("offline") && text.contains("2 door(s)"), "{text}");
    let (code, text) = run(valgrind(&programs().join("stock")).arg(&accounts).args(["yopoint", CABINET]));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("10 of 12") && text.contains("2.00 yuan"), "{text}");

    control(&sim, "POST", "/_sim/yopoint/settings", json!({"door_open_ms": 300, "recognition_ms": 100}));
    let open = |id: &str| {
        let mut command = valgrind(&programs().join("open_door"));
        command.arg(&accounts).args(["yopoint", CABINET, id]);
        command
    };
    let (code, text) = run(&mut open("a"));
    assert_eq!(code, 0, "{text}");
    for part in
        ["The platform answers.", "The door opens", "The door is shut.", "to pay: 2.00 yuan", "\"success\""]
    {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
    assert_eq!(openings(&sim).len(), 1);

    // Unknown, not done, never opened: each has its own words and its own exit code.
    fault(&sim, "cabinet.open.door", json!({"fault": "act_then_drop"}));
    let (code, text) = run(&mut open("b"));
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("KL_E_LOST") && text.contains("It may have opened"), "{text}");
    control(&sim, "POST", "/_sim/wait", json!({"for": "door_shut", "cabinet": CABINET, "door": 1}));
    fault(&sim, "cabinet.open.door", json!({"fault": "rate_limit"}));
    let (code, text) = run(&mut open("c"));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("KL_E_RATE_LIMIT") && text.contains("Trying again is safe"), "{text}");
    control(&sim, "POST", "/_sim/doors", json!({"cabinet": CABINET, "door": 1, "action": "jam"}));
    let (code, text) = run(&mut open("d"));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("never opened"), "{text}");
}

#[test]
fn a_pickup_code_becomes_goods_once() {
    let sim = simulator();
    let accounts = accounts(&sim, "pickup");
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"door_open_ms": 300}));
    let pickup =
        |arguments: &[&str]| run(valgrind(&programs().join("pickup")).arg(&accounts).args(arguments));
    let (code, text) = pickup(&["dingshang", "16327129", "new"]);
    assert_eq!(code, 0, "{text}");
    let made =
        text.lines().find_map(|l| l.strip_prefix("The shop made the code ")).unwrap().trim_end_matches('.');
    assert!(text.contains("is redeemed: order ") && text.ends_with("The goods are out.\n"), "{text}");
    let (code, text) = pickup(&["dingshang", "16327129", made]);
    assert_eq!(code, 1, "a used code is no code any more: {text}");

    let other = ["youzan", "", "10000000001", "yopoint", CABINET];
    let (code, text) = pickup(&other);
    assert_eq!(code, 0, "{text}");
    assert!(text.ends_with("The door was open and is shut.\n"), "{text}");
    let (code, text) = pickup(&other);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("KL_E_CODE_USED"), "{text}");

    // One piece fell and one door opened, however often the codes were typed.
    let opened = openings(&sim);
    assert_eq!(opened.len(), 2, "{opened:?}");
}

/// FAULTS A13: codes come again, for another customer; and a customer whose goods did not come types theirs again.
#[test]
fn a_code_that_comes_again_is_another_visit() {
    let sim = simulator();
    let file = accounts(&sim, "pickup-again");
    let mut all: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for account in ["youzan", "yopoint"] {
        let state = file.parent().unwrap().join(format!("state-{account}"));
        std::fs::create_dir_all(&state).unwrap();
        all["accounts"][account]["state_dir"] = json!(state);
    }
    std::fs::write(&file, all.to_string()).unwrap();
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"door_open_ms": 300}));
    let code = "10000000001";
    let pickup = || {
        let mut program = Command::new(programs().join("pickup"));
        run(program.arg(&file).args(["youzan", "", code, "yopoint", CABINET]))
    };
    let redeemed = || requests(&sim, "youzan.trade.selffetchcode.apply").len();
    // The door is refused after the code was redeemed: the customer types it again, and goes on where it was.
    fault(&sim, "cabinet.open.door", json!({"fault": "rate_limit"}));
    let (status, text) = pickup();
    assert_eq!(status, 3, "{text}");
    assert!(text.contains("The code is redeemed") && text.contains("KL_E_RATE_LIMIT"), "{text}");
    let (status, text) = pickup();
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("The code was redeemed earlier."), "{text}");
    assert_eq!((redeemed(), openings(&sim).len()), (1, 1));
    // That visit is over. Whoever types the code now is told what the shop says of it.
    let (status, text) = pickup();
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("KL_E_CODE_USED"), "{text}");
    assert_eq!((redeemed(), openings(&sim).len()), (2, 1));
    // The shop gives the same code to somebody else: goods for goods.
    let mut world = control(&sim, "GET", "/_sim/world", Value::Null);
    let orders = &mut world["platforms"]["youzan"]["orders"];
    let order = orders.as_array_mut().unwrap().iter_mut().find(|o| o["pickup"]["code"] == code).unwrap();
    let mut fresh = order["pickup"].take();
    fresh["used"] = json!(false);
    fresh["used_ms"] = json!(0);
    let path = format!("/_sim/youzan/orders/{}", order["tid"].as_str().unwrap());
    control(&sim, "PATCH", &path, json!({"pickup": fresh}));
    let (status, text) = pickup();
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("The code is redeemed") && !text.contains("earlier"), "{text}");
    assert_eq!((redeemed(), openings(&sim).len()), (3, 2));
}

#[test]
fn without_a_name_a_second_run_is_a_second_customer() {
    let sim = simulator();
    let file = accounts(&sim, "open-twice");
    let mut all: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let state = file.parent().unwrap().join("state");
    std::fs::create_dir_all(&state).unwrap();
    all["accounts"]["yopoint"]["state_dir"] = json!(state);
    std::fs::write(&file, all.to_string()).unwrap();
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"door_open_ms": 200, "recognition_ms": 50}));
    let open = || {
        let mut program = Command::new(programs().join("open_door"));
        run(program.arg(&file).args(["yopoint", CABINET]))
    };
    for n in 1..=2 {
        let (code, text) = open();
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("The payment is reported") && !text.contains("earlier run"), "{text}");
        assert_eq!(openings(&sim).len(), n);
    }
    // What comes after the opening fails: the next run finds the order whose payment was not reported.
    fault(&sim, "cabinet.order.get", json!({"fault": "drop_before_acting", "count": 10}));
    let (code, text) = open();
    assert_eq!(code, 3, "{text}");
    control(&sim, "DELETE", "/_sim/faults", Value::Null);
    let (code, text) = open();
    assert_eq!(code, 0, "{text}");
    assert_eq!(text.matches("was not reported").count(), 1, "{text}");
    assert_eq!(text.matches("The payment is reported").count(), 2, "{text}");
    assert_eq!(openings(&sim).len(), 4);
}

#[test]
fn valgrind_needs_no_suppressions_where_there_is_no_cipher() {
    let sim = simulator();
    let file = accounts(&sim, "plain");
    let mut all: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    all["accounts"]["yopoint"]["base_url"] = json!(format!("{}/yopoint", sim.http_origin()));
    all["accounts"]["yopoint"]["allow_http"] = json!(true);
    std::fs::write(&file, all.to_string()).unwrap();
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"door_open_ms": 100, "recognition_ms": 100}));
    for (program, arguments) in
        [("stock", &["yopoint", CABINET][..]), ("open_door", &["yopoint", CABINET, "plain"])]
    {
        let (code, text) = run(Command::new("valgrind")
            .args(["-q", "--error-exitcode=99", "--leak-check=full"])
            .arg(programs().join(program))
            .arg(&file)
            .args(arguments));
        assert_eq!(code, 0, "{text}");
    }
}

/// The library as it ships, without a name in it.
#[test]
fn valgrind_with_the_suppressions_that_ship_finds_nothing_in_a_stripped_library() {
    let sim = simulator();
    let file = accounts(&sim, "stripped");
    let folder = file.parent().unwrap().join("lib");
    std::fs::create_dir(&folder).unwrap();
    let library = folder.join("libkiosklink.so.1");
    let (code, text) =
        run(Command::new("strip").arg("-o").arg(&library).arg(programs().join("../lib/libkiosklink.so")));
    assert_eq!(code, 0, "{text}");
    let checked = |stripped: bool| {
        let mut command = Command::new("valgrind");
        command.args(["-q", "--error-exitcode=99", "--leak-check=full"]).arg(suppressions());
        if stripped {
            let file = root().join("packaging/suppressions/kiosklink-valgrind-stripped.supp");
            command.arg(format!("--suppressions={}", file.display()));
        }
        command.env("LD_LIBRARY_PATH", &folder);
        run(command.arg(programs().join("stock")).arg(&file).args(["yopoint", CABINET]))
    };
    let (code, text) = checked(true);
    assert!(code == 0 && !text.contains("=="), "{code} {text}");
    let (code, text) = checked(false);
    assert!(code == 99 && text.contains(&format!("in {}", library.display())), "{code} {text}");
}

#[test]
fn every_misuse_gets_an_error_code() {
    let sim = simulator();
    let accounts = accounts(&sim, "misuse");
    // A forked child ends with all that its parent had open, which valgrind holds for possibly lost.
    let mut command = Command::new("valgrind");
    command.args(["-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite"]);
    command.arg("--show-leak-kinds=definite");
    command.arg(suppressions());
    let (code, text) = run(command.arg(programs().join("misuse")).arg(&accounts).arg("yopoint"));
    assert_eq!((code, text.as_str()), (0, "no fault\n"));
}

#[test]
fn many_threads_share_a_client() {
    in_many_threads(
        "threads",
        |_| Command::new(programs().join("threads")),
        |code, text| {
            assert_eq!((code, text), (0, "no fault\n"));
        },
    );
}

/// With the suppressions that are installed TSan finds nothing in the program, and has much to say without them.
#[test]
fn tsan_with_the_suppressions_that_ship_finds_no_fault_in_a_program() {
    let program = |suppressed| move |folder: &Path| with_tsan(folder, "tests/c/threads.c", suppressed);
    in_many_threads("threads-tsan", program(true), |code, text| assert_eq!((code, text), (0, "no fault\n")));
    in_many_threads("threads-tsan-bare", program(false), |code, text| {
        assert!(code == 66 && text.contains("ThreadSanitizer: data race"), "{code} {text}");
    });
}

fn in_many_threads(name: &str, program: impl Fn(&Path) -> Command, ended: impl Fn(i32, &str)) {
    let sim = simulator();
    let stalled = simulator();
    control(&stalled, "POST", "/_sim/tls", json!({"handshake_stall": true}));
    let file = accounts(&sim, name);
    let mut all: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let mut second = all["accounts"]["yopoint"].clone();
    second["base_url"] = json!(format!("{}/yopoint", stalled.origin()));
    second["timeout_ms"] = json!(60_000);
    second["connect_timeout_ms"] = json!(60_000);
    all["accounts"]["stalled"] = second;
    std::fs::write(&file, all.to_string()).unwrap();
    let (code, text) = run(program(file.parent().unwrap()).arg(&file).args(["yopoint", "stalled"]));
    ended(code, &text);
}

#[test]
fn a_cpp_global_makes_a_client_before_main() {
    let sim = simulator();
    let accounts = accounts(&sim, "global");
    let (code, text) = run(Command::new(programs().join("global")).arg(&accounts).arg("yopoint"));
    assert_eq!((code, text.as_str()), (0, "no fault\n"));
}

/// One prototype of the header: name, result, and the parameters as (type, name).
type Prototype = (String, String, Vec<(String, String)>);

fn prototypes() -> Vec<Prototype> {
    let header = std::fs::read_to_string(root().join("include/kiosklink.h")).unwrap();
    let mut plain = String::new();
    let mut rest = header.as_str();
    while let Some((before, after)) = rest.split_once("/*") {
        plain.push_str(before);
        rest = after.split_once("*/").unwrap().1;
    }
    plain.push_str(rest);
    let plain = plain.lines().filter(|l| !l.starts_with('#')).collect::<Vec<_>>().join(" ");
    let plain = plain.replace("KL_MUST_USE ", "");
    let mut found = Vec::new();
    for statement in plain.split(';') {
        let statement = statement.trim().trim_start_matches("extern \"C\" {").trim();
        if statement.contains("typedef") || statement.contains('{') || statement.contains('}') {
            continue;
        }
        let Some((head, tail)) = statement.split_once('(') else { continue };
        let name_at = head.rfind([' ', '*']).unwrap() + 1;
        let (result, name) = (head[..name_at].trim(), &head[name_at..]);
        let params = tail.trim_end_matches(')');
        let params = params
            .split(',')
            .map(str::trim)
            .filter(|p| *p != "void")
            .map(|p| {
                let at = p.rfind([' ', '*']).unwrap() + 1;
                (p[..at].trim().to_owned(), p[at..].to_owned())
            })
            .collect();
        found.push((name.to_owned(), result.to_owned(), params));
    }
    found
}

/// The pointers that may be NULL, by the header's own words.
const OPTIONAL: &[&str] =
    &["err", "user", "options", "callback", "account", "page", "params_json", "extra_json", "headers"];
/// What generated programs begin with: they look at `err` where a call acts, and not at all where it must only not crash.
const FRONT: &str = "#define KL_MUST_USE\n#include <kiosklink.h>\n#include <stdio.h>\n";

const OPTIONAL_IN: &[(&str, &str)] = &[
    ("kl_client_time", "source"),
    ("kl_event_set_reply", "message"),
    ("kl_event_set_reply", "data_json"),
    ("kl_command_settle", "note"),
];

#[test]
fn null_in_every_pointer_of_every_function() {
    let exports = std::fs::read_to_string(root().join("abi/exports.txt")).unwrap();
    let all = prototypes();
    let names: Vec<&str> = all.iter().map(|(n, _, _)| n.as_str()).collect();
    for name in exports.lines() {
        assert!(names.contains(&name), "{name} is exported but was not found in the header");
    }
    let mut source = String::from(FRONT);
    source.push_str(
        "int main(int argc, char **argv) {\n\
         (void)argc; int bad = 0; kl_error err = KL_ERROR_INIT;\n\
         kl_config *config = NULL; kl_client *client = NULL;\n\
         if (kl_config_load(argv[1], \"yopoint\", &config, &err) || kl_client_new(config, &client, &err)) return 64;\n",
    );
    let mut checks = 0;
    for (name, result, params) in &all {
        for (i, (kind, param)) in params.iter().enumerate() {
            if !kind.contains('*') && kind != "kl_log_fn" {
                continue;
            }
            let optional =
                OPTIONAL.contains(&param.as_str()) || OPTIONAL_IN.contains(&(name.as_str(), param.as_str()));
            source.push_str("{ ");
            let mut given = Vec::new();
            for (j, (kind, param)) in params.iter().enumerate() {
                given.push(if i == j { "NULL".to_owned() } else { valid(kind, param, j, &mut source) });
            }
            let call = format!("{name}({})", given.join(", "));
            if result == "kl_status" && !optional {
                checks += 1;
                writeln!(
                    source,
                    "kl_status s = {call}; if (s == KL_OK) {{ bad++; printf(\"{name}: {param} NULL is KL_OK\\n\"); }} \
                     else if (s != KL_E_NULL) {{ bad++; \
                     printf(\"{name}: {param} NULL is %s\\n\", kl_status_name(s)); }} }}"
                )
                .unwrap();
            } else if result == "kl_outcome" && !optional {
                // Nothing was named that could have been done, but where the name stands alone and nobody can be asked.
                let wanted = if name == "kl_command_resolve" && param == "client" {
                    "KL_UNKNOWN"
                } else {
                    "KL_NOT_DONE"
                };
                checks += 1;
                writeln!(
                    source,
                    "kl_outcome o = {call}; if (o != {wanted} || err.outcome != o || err.status != KL_E_NULL) {{ \
                     bad++; printf(\"{name}: {param} NULL is %d, %s\\n\", (int)o, kl_status_name(err.status)); }} }}"
                )
                .unwrap();
            } else {
                // Nothing to return, or allowed: it must only not crash.
                checks += 1;
                writeln!(source, "(void){call}; }}").unwrap();
            }
        }
    }
    source.push_str(
        "kl_client_free(client); kl_config_free(config);\nprintf(\"%d wrong\\n\", bad); return bad != 0; }\n",
    );
    assert!(checks > 150, "only {checks} checks");

    let program = compiled("null", &source, "lib");
    let sim = simulator();
    let accounts = accounts(&sim, "null-accounts");
    // The results it makes are not freed, so leaks are not looked for.
    let mut sweep = Command::new("valgrind");
    sweep.args(["-q", "--error-exitcode=99"]);
    sweep.arg(suppressions());
    let (code, text) = run(sweep.arg(program).arg(accounts));
    assert_eq!((code, text.as_str()), (0, "0 wrong\n"));
}

/// Whatever is handed over where a handle is wanted and is none that can be used: each function writes one line of the log, and says
/// what was wanted. Freeing NULL is allowed; `kl_task_cancel` is for signal handlers and writes nothing.
#[test]
fn every_misuse_of_a_handle_is_one_line_in_the_log_for_every_function() {
    let mut source = String::from(FRONT);
    source.push_str(
        "#include <stddef.h>\n#include <string.h>\nstatic int lines, bad; static char last[300];\n\
         static void on_line(void *user, kl_log_level level, const char *line) {\n\
           (void)user; (void)level; lines++; strncpy(last, line, sizeof last - 1); }\n\
         static void one(const char *function, const char *what, int wanted) {\n\
           if (lines != wanted || (wanted == 1 && strncmp(last, \"handle 0x\", 9) != 0)) {\n\
             bad++; printf(\"%s with a %s handle: %d lines, the last %s\\n\", function, what, lines, last); }\n\
           lines = 0; }\n\
         int main(int argc, char **argv) {\n(void)argc; kl_error err = KL_ERROR_INIT; char wild[64] = \"\";\n\
         kl_config *config = NULL, *gone_config = NULL; kl_client *client = NULL, *gone_client = NULL, *orphan = NULL, *parent = NULL;\n\
         if (kl_config_load(argv[1], \"yopoint\", &config, &err) || kl_config_load(argv[1], \"yopoint\", &gone_config, &err) ||\n\
             kl_client_new(config, &client, &err) || kl_client_new(config, &gone_client, &err) ||\n\
             kl_client_new(config, &parent, &err) || kl_client_view(parent, NULL, &orphan, &err)) return 64;\n\
         kl_config_free(gone_config); kl_client_free(gone_client); kl_client_free(parent);\n\
         if (kl_set_log(KL_LOG_LEVEL_ERROR, on_line, NULL, &err)) return 64;\n",
    );
    let handles: Vec<String> = {
        let layout = std::fs::read_to_string(root().join("abi/layout.json")).unwrap();
        let layout: Value = serde_json::from_str(&layout).unwrap();
        layout["opaque"].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
    };
    let mut tried = 0;
    for (name, _, params) in prototypes() {
        for (i, (kind, _)) in params.iter().enumerate() {
            let bare = kind.trim_start_matches("const ").trim_end_matches(" *");
            if !handles.iter().any(|handle| handle == bare) {
                continue;
            }
            let lines = |free_null: bool| usize::from(name != "kl_task_cancel" && !free_null);
            let frees = name.ends_with("_free");
            let mut cases = vec![("NULL", "NULL".to_owned(), lines(frees))];
            let other = if bare == "kl_config" { "client" } else { "config" };
            cases.push(("wrong", format!("({kind})(const void *){other}"), lines(false)));
            cases.push(("foreign", format!("({kind})(const void *)wild"), lines(false)));
            let freed = match bare {
                "kl_config" => Some("gone_config"),
                "kl_client" => Some("gone_client"),
                _ => None,
            };
            cases.extend(freed.map(|handle| ("freed", handle.to_owned(), 1)));
            // A view may be freed after its client.
            if bare == "kl_client" && !frees {
                cases.push(("orphan", "orphan".to_owned(), 1));
            }
            for (what, handle, wanted) in cases {
                source.push_str("{ ");
                let given: Vec<String> = (params.iter().enumerate())
                    .map(
                        |(j, (kind, param))| {
                            if i == j { handle.clone() } else { valid(kind, param, j, &mut source) }
                        },
                    )
                    .collect();
                // Another parameter that is no handle must not be the first to be found out.
                let given = given.join(", ");
                writeln!(source, "(void){name}({given}); one(\"{name}\", \"{what}\", {wanted}); }}").unwrap();
                tried += 1;
            }
        }
    }
    source.push_str(
        "(void)kl_set_log(KL_LOG_LEVEL_OFF, NULL, NULL, NULL); kl_client_free(orphan); kl_client_free(client); kl_config_free(config);\n\
         printf(\"%d wrong\\n\", bad); return bad != 0; }\n",
    );
    assert!(tried > 250, "only {tried}");
    let program = compiled("misuse-log", &source, "lib");
    let sim = simulator();
    let (code, text) = run(Command::new(program).arg(accounts(&sim, "misuse-log-accounts")));
    assert_eq!((code, text.as_str()), (0, "0 wrong\n"));
}

/// A view is a client for every function: it answers the same. When its client is freed, nothing answers through it.
#[test]
fn every_function_takes_a_view_for_its_client() {
    let mut source = String::from(FRONT);
    source.push_str(
        "int main(int argc, char **argv) {\n(void)argc; int bad = 0; kl_error err = KL_ERROR_INIT, of = KL_ERROR_INIT;\n\
         kl_config *config = NULL; kl_client *whole = NULL, *view = NULL, *client = NULL;\n\
         if (kl_config_load(argv[1], \"yopoint\", &config, &err) || kl_client_new(config, &whole, &err) ||\n\
             kl_client_view(whole, NULL, &client, &err) || kl_client_view(client, NULL, &view, &err)) return 64;\n\
         kl_client_free(view); view = client;\n",
    );
    let takes = |params: &[(String, String)]| params.first().is_some_and(|(kind, _)| kind == "kl_client *");
    let all: Vec<Prototype> = prototypes().into_iter().filter(|(_, _, params)| takes(params)).collect();
    let mut compared = 0;
    for freed in [false, true] {
        if freed {
            source.push_str("kl_client_free(whole);\n");
        }
        for (name, result, params) in &all {
            if !["kl_status", "kl_outcome"].contains(&result.as_str()) {
                continue;
            }
            compared += 1;
            source.push_str("{ ");
            let given: Vec<String> = params
                .iter()
                .enumerate()
                .map(|(j, (kind, param))| valid(kind, param, j, &mut source))
                .collect();
            let call = format!("{name}({})", given.join(", "));
            if freed {
                let how = if result == "kl_status" { "!=" } else { "== KL_DONE || err.status !=" };
                write!(source, "client = view; if ({call} {how} KL_E_HANDLE) ").unwrap();
            } else {
                write!(
                    source,
                    "client = whole; int32_t a = {call}; of = err; client = view; int32_t b = {call}; \
                     if (a != b || of.status != err.status) "
                )
                .unwrap();
            }
            writeln!(source, "{{ bad++; printf(\"{name}: %s\\n\", kl_status_name(err.status)); }} }}")
                .unwrap();
        }
    }
    source.push_str("kl_client_free(view); printf(\"%d wrong\\n\", bad); return bad != 0; }\n");
    assert!(compared > 80, "only {compared} calls");
    let program = compiled("views", &source, "lib");
    let sim = simulator();
    let (code, text) = run(Command::new(program).arg(accounts(&sim, "views-accounts")));
    assert_eq!((code, text.as_str()), (0, "0 wrong\n"));
}

/// Compiles a generated program against one of the builds of the library.
fn compiled(name: &str, source: &str, library: &str) -> PathBuf {
    let folder = scratch(name);
    let file = folder.join(name).with_extension("c");
    std::fs::write(&file, source).unwrap();
    let lib = programs().join("..").join(library);
    let program = folder.join(name);
    let (code, text) = run(Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-variable", "-I"])
        .arg(root().join("include"))
        .arg(&file)
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(&lib)
        .arg("-lkiosklink")
        .arg(format!("-Wl,-rpath,{}", lib.display())));
    assert_eq!(code, 0, "{text}");
    program
}

/// Calls, what became of acts, and handles, as a status page shows them.
#[test]
fn statistics_count_calls_acts_and_handles() {
    let source = "#include <kiosklink.h>\n#include <stdio.h>\n#include <string.h>\n\
        #define CHECK(c) do { if (!(c)) { bad++; printf(\"%d: %s\\n\", __LINE__, #c); } } while (0)\n\
        static kl_client *client; static int bad;\n\
        static kl_stats now(void) { kl_stats s = KL_STATS_INIT; CHECK(kl_client_stats(client, &s, NULL) == KL_OK); return s; }\n\
        int main(int argc, char **argv) {\n\
          kl_error err = {0}; kl_config *config = NULL; kl_client *view = NULL; kl_cabinets *list = NULL;\n\
          kl_command *command = NULL; kl_door_request door = {0}; kl_commands *all = NULL; (void)argc;\n\
          if (kl_config_load(argv[1], \"yopoint\", &config, &err) != KL_OK) return 64;\n\
          if (kl_client_new(config, &client, &err) != KL_OK || kl_client_view(client, NULL, &view, &err) != KL_OK) return 64;\n\
          kl_stats a = now();\n\
          CHECK(a.calls == 0 && a.call_ms == 0 && a.call_max_ms == 0 && a.done + a.not_done + a.unknown + a.retries == 0);\n\
          CHECK(a.handles == 3);\n\
          CHECK(kl_ping(view, &err) == KL_OK && kl_cabinet_list(client, NULL, &list, &err) == KL_OK);\n\
          a = now(); CHECK(a.calls == 2 && a.retries == 0 && a.handles == 4);\n\
          kl_cabinets_free(list); kl_cabinets_free(list); CHECK(now().handles == 3);\n\
          if (strcmp(argv[2], \"retry\") == 0) {\n\
            CHECK(kl_ping(client, &err) == KL_OK); a = now();\n\
            CHECK(a.calls == 3 && a.retries == 1 && a.call_max_ms >= 300 && a.call_ms >= a.call_max_ms);\n\
          } else {\n\
            door.request_id = argv[2]; door.cabinet_id = \"5f6da2362201410011000001\";\n\
            kl_outcome lost = strcmp(argv[2], \"lost\") == 0 ? KL_UNKNOWN : KL_DONE;\n\
            CHECK(kl_door_open(client, &door, &command, &err) == lost);\n\
            a = now(); CHECK(a.calls == 3 && a.done == (lost == KL_DONE) && a.unknown == (lost == KL_UNKNOWN) && a.not_done == 0);\n\
            kl_command_free(command);\n\
            CHECK(kl_door_open(view, &door, &command, &err) == lost); kl_command_free(command);\n\
            door.request_id = \"another\"; door.cabinet_id = NULL; CHECK(kl_door_open(view, &door, &command, &err) == KL_NOT_DONE);\n\
            a = now(); CHECK(a.calls == 4 && a.not_done == 1 && a.done + a.unknown == 2);\n\
            /* A look at the journal is no call, nor is what asks nobody. */\n\
            CHECK(kl_command_list(client, 0, KL_COMMAND_FILTER_ANY, &all, &err) == KL_OK && kl_client_can(client, KL_VERB_PING));\n\
            kl_commands_free(all); CHECK(now().calls == 4);\n\
          }\n\
          kl_client_free(view); kl_config_free(config); CHECK(now().handles == 1);\n\
          kl_client_free(client); return bad; }\n";
    let program = compiled("statistics", source, "lib");
    for (name, fault_at) in
        [("done", None), ("lost", Some("act_then_drop")), ("retry", Some("drop_before_acting"))]
    {
        let sim = simulator();
        let file = accounts(&sim, &format!("statistics-{name}"));
        let mut all: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        // Nobody can be asked what became of the lost one.
        all["accounts"]["yopoint"]["own_trade_no"] = json!("no");
        std::fs::write(&file, all.to_string()).unwrap();
        let method = if name == "retry" { "api.test" } else { "cabinet.open.door" };
        if let Some(what) = fault_at {
            // The retry's answer is late, too.
            fault(&sim, method, json!({"fault": what, "skip": if name == "retry" { 1 } else { 0 }}));
        }
        if name == "retry" {
            fault(&sim, method, json!({"fault": "late", "ms": 300, "skip": 1}));
        }
        let (code, text) = run(Command::new(&program).arg(&file).arg(name));
        assert_eq!((code, text.as_str()), (0, ""), "{name}");
    }
}

/// What is not looked at is warned of, at a door above all.
#[test]
fn an_answer_that_is_not_looked_at_is_warned_of() {
    let folder = scratch("must-use");
    let file = folder.join("must-use.c");
    let source = "#include <kiosklink.h>\nvoid f(kl_client *c, kl_door_request *r, kl_command **o) {\n\
                  kl_door_open(c, r, o, NULL); kl_ping(c, NULL); kl_command_free(*o);\n}\n";
    std::fs::write(&file, source).unwrap();
    let compile = |compiler: &str, more: &[&str]| {
        let mut command = Command::new(compiler);
        command
            .args(["-std=c11", "-Wall", "-c", "-o", "/dev/null", "-I"])
            .arg(root().join("include"))
            .args(more);
        run(command.arg(&file))
    };
    for compiler in ["gcc", "clang"] {
        let (code, said) = compile(compiler, &[]);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("kl_door_open") || said.contains("3:1"), "{compiler}: {said}");
        assert_eq!(said.matches("-Wunused-result").count(), 2, "{compiler}: {said}");
        assert_eq!(compile(compiler, &["-DKL_MUST_USE="]), (0, String::new()));
    }
}

/// FAULTS B8: with no room for its result nothing is sent, and what was not sent is not done.
#[test]
fn with_the_table_of_handles_full_nothing_is_sent() {
    let source = "#include <kiosklink.h>\n#include <stdio.h>\n\
        #define ACT(call) do { kl_outcome o = (call); \\\n\
          if (o != KL_NOT_DONE || err.status != KL_E_RESOURCE || err.outcome != o) { \\\n\
            bad++; printf(\"%s: %d %s\\n\", #call, (int)o, kl_status_name(err.status)); } } while (0)\n\
        int main(int argc, char **argv) {\n\
          (void)argc; int bad = 0; kl_error err = {0}; kl_config *config = NULL, *one = NULL; kl_client *client = NULL;\n\
          kl_stats before = KL_STATS_INIT, after = KL_STATS_INIT; kl_command *command = NULL; kl_orders *orders = NULL;\n\
          kl_response *response = NULL; kl_codes *codes = NULL;\n\
          kl_door_request door = {0}; kl_payment_report_request paid = {0}; kl_code_create_request codes_r = {0};\n\
          kl_order_create_request order = {0}; kl_claim_request claim = {0}; kl_redeem_request redeem = {0};\n\
          if (kl_config_load(argv[1], \"yopoint\", &config, &err) != KL_OK) return 64;\n\
          if (kl_client_new(config, &client, &err) != KL_OK || kl_ping(client, &err) != KL_OK) return 64;\n\
          long made = 0; while (kl_config_new(\"yopoint\", &one, &err) == KL_OK) made++;\n\
          if (err.status != KL_E_RESOURCE || made < 100000) bad++;\n\
          if (kl_client_stats(client, &before, &err) != KL_OK) bad++;\n\
          door.request_id = \"full\"; door.cabinet_id = \"5f6da2362201410011000001\";\n\
          redeem.request_id = \"full-code\"; redeem.code = \"123456\";\n\
          paid.result = KL_PAYMENT_RESULT_PAID; paid.amount = 1; paid.order_no = \"VI1\"; paid.report_url = argv[2];\n\
          codes_r.cabinet_id = order.cabinet_id = \"1\"; claim.order_no = \"VI1\";\n\
          ACT(kl_door_open(client, &door, &command, &err));\n\
          ACT(kl_code_redeem(client, &redeem, &command, &err));\n\
          ACT(kl_payment_report(client, &paid, &response, &err));\n\
          ACT(kl_refund_apply(client, &claim, &response, &err));\n\
          ACT(kl_appeal_file(client, &claim, &response, &err));\n\
          ACT(kl_order_create(client, &order, &orders, &err));\n\
          ACT(kl_code_create(client, &codes_r, &codes, &err));\n\
          ACT(kl_call(client, \"any.thing\", NULL, &response, &err));\n\
          if (kl_client_stats(client, &after, &err) != KL_OK || after.requests != before.requests) bad++;\n\
          kl_config_free(one); kl_config_free(config);\n\
          if (kl_door_open(client, &door, &command, &err) != KL_DONE) { bad++; printf(\"%s\\n\", err.message); }\n\
          printf(\"%d wrong\\n\", bad); return bad != 0; }\n";
    let program = compiled("full", source, "lib");
    let sim = simulator();
    let accounts = accounts(&sim, "full-accounts");
    let (code, text) = run(Command::new(program).arg(accounts).arg(format!("{}/yopoint/paid", sim.origin())));
    assert_eq!((code, text.as_str()), (0, "0 wrong\n"));
    assert_eq!(openings(&sim).len(), 1);
}

#[test]
fn no_panic_crosses_the_border_anywhere() {
    let mut source = String::from(FRONT);
    source.push_str(
        "void kl_test_panic_at(uint32_t n);\n\
         static kl_config *config;\n\
         static kl_client *fresh(void) { kl_client *c = NULL; kl_client_new(config, &c, NULL); return c; }\n\
         int main(int argc, char **argv) {\n(void)argc; int bad = 0; kl_error err = KL_ERROR_INIT;\n\
         if (kl_config_load(argv[1], \"yopoint\", &config, &err)) return 64;\n\
         kl_client *other = fresh(); if (other == NULL) return 64;\n",
    );
    let mut forced = 0;
    for (name, result, params) in prototypes() {
        let on_client =
            params.first().is_some_and(|(kind, param)| kind == "kl_client *" && param == "client");
        // The first guarded piece is the look-up of the handle, the second the call itself.
        let tells = result == "kl_status" || result == "kl_outcome";
        for at in if on_client && tells { 1..=2 } else { 1..=1 } {
            source.push_str("{ kl_client *client = fresh(); ");
            let given: Vec<String> = params
                .iter()
                .enumerate()
                .map(|(j, (kind, param))| valid(kind, param, j, &mut source))
                .collect();
            let call = format!("{name}({})", given.join(", "));
            write!(source, "kl_test_panic_at({at}); ").unwrap();
            if tells && name != "kl_client_free" {
                forced += 1;
                if result == "kl_status" {
                    write!(
                        source,
                        "kl_status s = {call}; kl_test_panic_at(0); if (s != KL_E_INTERNAL) {{ bad++; \
                         printf(\"{name} at {at}: %s\\n\", kl_status_name(s)); }} "
                    )
                    .unwrap();
                } else {
                    // Where the call itself broke off it is not known what happened; before it nothing did, and what the
                    // name stands for is not known.
                    let wanted =
                        if at == 2 || name == "kl_command_resolve" { "KL_UNKNOWN" } else { "KL_NOT_DONE" };
                    write!(
                        source,
                        "kl_outcome o = {call}; kl_test_panic_at(0); if (o != {wanted} || err.outcome != o || \
                         err.status != KL_E_INTERNAL) {{ bad++; printf(\"{name} at {at}: %d %s\\n\", (int)o, \
                         kl_status_name(err.status)); }} "
                    )
                    .unwrap();
                }
                if at == 2 {
                    write!(
                        source,
                        "if (kl_ping(client, NULL) != KL_E_RETIRED) {{ bad++; printf(\"{name}: not retired\\n\"); }} \
                         if (kl_client_warm(other, &err) != KL_OK) {{ bad++; printf(\"{name}: %s\\n\", err.message); }} "
                    )
                    .unwrap();
                }
            } else {
                write!(source, "(void){call}; kl_test_panic_at(0); ").unwrap();
            }
            source.push_str("kl_client_free(client); }\n");
        }
    }
    source.push_str("printf(\"%d wrong\\n\", bad); return bad != 0; }\n");
    assert!(forced > 60, "only {forced} panics");
    let program = compiled("panics", &source, "hooks");
    let sim = simulator();
    let accounts = accounts(&sim, "panics-accounts");
    let (code, text) = run(Command::new(program).arg(accounts));
    // Nothing is printed by the library either, not even the words of a panic.
    assert_eq!((code, text.as_str()), (0, "0 wrong\n"));
}

/// A valid argument of a type; declarations that it needs go before the call.
fn valid(kind: &str, param: &str, n: usize, source: &mut String) -> String {
    let bare = kind.trim_start_matches("const ").trim_end_matches('*').trim();
    match kind {
        "kl_client *" => "client".into(),
        "kl_config *" | "const kl_config *" => "config".into(),
        "kl_error *" => "&err".into(),
        "const char *" => "\"x\"".into(),
        "const uint8_t *" => "(const uint8_t *)\"x\"".into(),
        "char *" => {
            write!(source, "char v{n}[200] = \"\"; ").unwrap();
            format!("v{n}")
        }
        "void *" => "NULL".into(),
        "kl_log_fn" => "NULL".into(),
        _ if kind == "int64_t *" || (is_set(bare) && kind.ends_with(" *")) => {
            write!(source, "{bare} v{n} = 0; ").unwrap();
            format!("&v{n}")
        }
        _ if is_set(kind) => "0".into(),
        "size_t" | "int32_t" | "uint32_t" | "int64_t" | "uint64_t" => {
            // A length that a NULL does not have; everything else is 0.
            (if param == "len" || param == "size" { "200" } else { "0" }).into()
        }
        _ if kind.ends_with("**") => {
            let inner = kind.strip_suffix('*').unwrap();
            write!(source, "{inner} v{n} = NULL; ").unwrap();
            format!("&v{n}")
        }
        _ if kind.starts_with("const ") && has_init(bare)
            || ["kl_stats", "kl_journal_info"].contains(&bare) =>
        {
            write!(source, "{bare} v{n} = {}_INIT; ", bare.to_uppercase()).unwrap();
            format!("&v{n}")
        }
        // A result: one that was never made.
        _ => "NULL".into(),
    }
}

/// Whether this is the type of a set of constants.
fn is_set(name: &str) -> bool {
    let header = std::fs::read_to_string(root().join("include/kiosklink.h")).unwrap();
    header.contains(&format!("typedef int32_t {name};"))
}

fn has_init(name: &str) -> bool {
    let header = std::fs::read_to_string(root().join("include/kiosklink.h")).unwrap();
    header.contains(&format!("#define {}_INIT", name.to_uppercase()))
}

#[test]
fn the_header_alone_compiles_in_every_dialect() {
    let folder = scratch("dialects");
    let c = folder.join("header.c");
    std::fs::write(
        &c,
        "#include \"kiosklink.h\"\nint main(void) { kl_error e = KL_ERROR_INIT; return (int)e.status; }\n",
    )
    .unwrap();
    let cpp = folder.join("header.cpp");
    std::fs::copy(&c, &cpp).unwrap();
    let mut tried = 0;
    for (compilers, standards, file) in [
        (["gcc", "clang"], &["c90", "c99", "c11", "c17"][..], &c),
        (["g++", "clang++"], &["c++11", "c++20"][..], &cpp),
    ] {
        for compiler in compilers {
            for standard in standards {
                let (code, text) = run(Command::new(compiler)
                    .arg(format!("-std={standard}"))
                    .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I"])
                    .arg(root().join("include"))
                    .arg(file));
                assert_eq!(code, 0, "{compiler} {standard}: {text}");
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 12);
}

#[test]
fn the_library_exports_its_names_with_their_versions_and_no_others() {
    let library = programs().join("../lib/libkiosklink.so");
    let (code, text) = run(Command::new("nm").args(["-D", "--defined-only"]).arg(&library));
    assert_eq!(code, 0, "{text}");
    let name = |line: &str| line.split([' ', '@']).nth(2).map(str::to_owned);
    let mut exported: Vec<String> = text.lines().filter(|l| !l.contains(" A ")).filter_map(name).collect();
    exported.sort_unstable();
    let listed = std::fs::read_to_string(root().join("abi/exports.txt")).unwrap();
    assert_eq!(exported, listed.lines().collect::<Vec<_>>());
    let (code, text) = run(Command::new(root().join("scripts/check-versions")).arg(&library));
    assert_eq!(code, 0, "{text}");
    let (_, text) = run(Command::new("readelf").arg("-d").arg(&library));
    assert!(text.contains("[libkiosklink.so.1]") && text.contains("NODELETE"), "{text}");
}

/// With all of clang's warnings but those that are about the program and not about the header.
#[test]
fn all_warnings_of_clang_find_nothing_in_the_header() {
    let folder = scratch("weverything");
    let file = folder.join("header.c");
    std::fs::write(&file, "#include <kiosklink.h>\n").unwrap();
    let strict = |language: &str, standard: &str, include: &str| {
        run(Command::new("clang")
            .args(["-x", language, &format!("-std={standard}"), "-Weverything", "-Werror", "-fsyntax-only"])
            .args(["-I", include])
            .arg(&file))
    };
    let include = root().join("include");
    for standard in ["c90", "c99", "c11", "c17"] {
        let (code, text) = strict("c", standard, include.to_str().unwrap());
        assert_eq!(code, 0, "{standard}: {text}");
    }
    for standard in ["c++98", "c++11", "c++17", "c++20"] {
        let (code, text) = strict("c++", standard, include.to_str().unwrap());
        assert_eq!(code, 0, "{standard}: {text}");
    }
    // It would have found something: a parameter list that is none.
    let spoiled = std::fs::read_to_string(include.join("kiosklink.h"))
        .unwrap()
        .replace("kl_abi_version(void)", "kl_abi_version()");
    std::fs::write(folder.join("kiosklink.h"), spoiled).unwrap();
    let (code, text) = strict("c", "c11", folder.to_str().unwrap());
    assert!(code != 0 && text.contains("-Wstrict-prototypes"), "{text}");
}

/// What is wrong, and whether gcc and clang say so: as the page of wrong programs and the table in docs/conventions.md have it.
#[test]
fn what_compilers_catch_is_what_the_conventions_say() {
    let page = root().join("tests/header/wrong.c");
    let source = std::fs::read_to_string(&page).unwrap();
    let mut rows = String::new();
    for line in source.lines().filter(|l| l.contains("WRONG == ")) {
        let (number, what) = line.split_once("WRONG == ").unwrap().1.split_once(" /* ").unwrap();
        let mut row = format!("| {} |", what.trim_end_matches(" */"));
        for compiler in ["gcc", "clang"] {
            let (_, said) = run(Command::new(compiler)
                .args(["-std=c11", "-Wall", "-Wextra", "-c", &format!("-DWRONG={number}"), "-I"])
                .arg(root().join("include"))
                .arg("-o")
                .arg(scratch("wrong").join("wrong.o"))
                .arg(&page));
            let says = match said {
                s if s.contains("error:") || s.contains("warning:") => " seen |",
                _ => " not seen |",
            };
            row += says;
        }
        rows += &row;
        rows.push('\n');
    }
    assert_eq!(rows.lines().count(), 10);
    let conventions = std::fs::read_to_string(root().join("docs/conventions.md")).unwrap();
    assert!(conventions.contains(&rows), "docs/conventions.md should have\n{rows}");
}
