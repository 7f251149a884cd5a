//! What a program can do wrong at the border, for every function: written from `abi/layout.json`, so that a new function is
//! in it without a word. Each handle is NULL, of another kind, freed, foreign and stale; each struct has sizes that it never
//! had; each text is no UTF-8, or too long. The program only says what it was answered; what is right is judged here.

mod common;

use common::*;
use kiosklink_sim::Simulator;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const PLATFORMS: &[&str] = &["yopoint", "dingshang", "youzan", "zhiyun"];

struct Abi(Value);

impl Abi {
    fn new() -> Abi {
        Abi(serde_json::from_slice(&std::fs::read(root().join("abi/layout.json")).unwrap()).unwrap())
    }

    fn listed(&self, list: &str, name: &str) -> bool {
        self.0[list].as_array().unwrap().iter().any(|n| n == name)
    }

    /// The opaque type behind one pointer.
    fn handle<'a>(&self, kind: &'a str) -> Option<&'a str> {
        let name = kind.trim_start_matches("const ").strip_suffix(" *")?;
        self.listed("opaque", name).then_some(name)
    }

    /// The struct of the caller's behind one pointer.
    fn own<'a>(&self, kind: &'a str) -> Option<&'a str> {
        let name = kind.trim_start_matches("const ").strip_suffix(" *")?;
        self.listed("caller_allocated", name).then_some(name)
    }

    fn fields(&self, name: &str) -> Vec<(String, String)> {
        let fields = self.0["structs"][name]["64"]["fields"].as_array().unwrap();
        fields.iter().map(|f| (text_of(&f["name"]), text_of(&f["type"]))).collect()
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

const FRONT: &str = r#"#define KL_MUST_USE
#include <kiosklink.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static kl_client *client, *freed_client; static kl_config *config, *freed_config; static kl_http *http, *freed_http;
static kl_event *event; static kl_cabinet_iter *cabinet_iter;
static kl_error err; static void *stale; static char foreign[64], long_text[9001];
static void on_line(void *user, kl_log_level level, const char *line) { (void)user; (void)level; (void)line; }
static int32_t job(kl_client *c, void *user) { (void)c; (void)user; return 0; }
static void say(const char *f, const char *what, long long result) {
  printf("%s\t%s\t%lld\t%s\n", f, what, result, kl_status_name(err.status));
  memset(&err, 0, sizeof err); err.status = -9999;
}
"#;

/// What main does before and after.
const MAIN: &str = r#"int main(int argc, char **argv) {
  if (argc != 4) return 64;
  if (kl_config_load(argv[1], argv[2], &config, NULL) || kl_client_new(config, &client, NULL)) return 64;
  if (kl_config_new("yopoint", &freed_config, NULL) || kl_client_new(config, &freed_client, NULL)) return 64;
  if (kl_http_new(NULL, &http, NULL) || kl_http_new(NULL, &freed_http, NULL)) return 64;
  kl_config_free(freed_config); kl_client_free(freed_client); kl_http_free(freed_http);
  static const char body[] = "{\"method\":\"device.delivery.response\",\"order_id\":60}";
  if (kl_event_parse(client, NULL, (const uint8_t *)body, sizeof body - 1, &event, NULL)) event = NULL;
  if (kl_cabinet_iter_new(client, 1, &cabinet_iter, NULL)) return 64;
  memset(long_text, 'x', sizeof long_text - 1);
  err.status = -9999;
  kl_config *old = NULL, *next = NULL;
  if (kl_config_new("yopoint", &old, NULL)) return 64;
  stale = old; kl_config_free(old);
  for (long n = atol(argv[3]); n > 0; n--) {
    if (kl_config_new("yopoint", &next, NULL) || next == old) { printf("it came again\n"); return 1; }
    kl_config_free(next);
  }
  sweep();
  if (kl_config_set(config, "timeout_ms", "1000", &err)) printf("the config is spoilt: %s\n", err.message);
  if (kl_client_warm(client, &err)) printf("the client is spoilt: %s\n", err.message);
  kl_event_free(event); kl_cabinet_iter_free(cabinet_iter); kl_http_free(http);
  kl_client_free(client); kl_config_free(config);
  printf("end\n");
  return 0;
}
"#;

/// A good argument of a type; what it needs goes before the call.
fn good(abi: &Abi, kind: &str, name: &str, before: &mut String) -> String {
    let local = |before: &mut String, kind: &str, value: &str| {
        write!(before, "{kind} v_{name} = {value}; ").unwrap();
        format!("&v_{name}")
    };
    if let Some(handle) = abi.handle(kind) {
        return match handle {
            "kl_client" => "client".into(),
            "kl_config" => "config".into(),
            "kl_http" => "http".into(),
            "kl_event" => "event".into(),
            "kl_cabinet_iter" => "cabinet_iter".into(),
            _ => "NULL".into(),
        };
    }
    if kind == "kl_error *" {
        return "&err".into();
    }
    if let Some(own) = abi.own(kind) {
        let place = local(before, own, &format!("{}_INIT", own.to_uppercase()));
        if kind.starts_with("const ") {
            for (field, kind) in abi.fields(own) {
                match kind.as_str() {
                    "const char *" => write!(before, "v_{name}.{field} = \"x\"; ").unwrap(),
                    "const kl_order_create_line *const *" => write!(
                        before,
                        "kl_order_create_line line = KL_ORDER_CREATE_LINE_INIT; const kl_order_create_line *lines[] = \
                         {{&line}}; line.product_id = \"x\"; line.quantity = 1; v_{name}.lines = lines; \
                         v_{name}.line_count = 1; "
                    )
                    .unwrap(),
                    "kl_payment_result" => write!(before, "v_{name}.{field} = KL_PAYMENT_RESULT_PAID; ").unwrap(),
                    _ => {}
                }
            }
        }
        return place;
    }
    match kind {
        "const char *" => "\"x\"".into(),
        "const uint8_t *" => "(const uint8_t *)\"x\"".into(),
        "char *" => {
            write!(before, "char v_{name}[200] = \"\"; ").unwrap();
            format!("v_{name}")
        }
        "void *" => "NULL".into(),
        "kl_log_fn" => "on_line".into(),
        "kl_task_fn" => "job".into(),
        _ if name == "size" => "200".into(),
        _ if kind.ends_with("**") => local(before, kind.strip_suffix('*').unwrap(), "NULL"),
        _ if kind.ends_with(" *") => local(before, kind.strip_suffix(" *").unwrap(), "0"),
        _ if name == "level" || name == "status" || name == "index" => "0".into(),
        _ => "1".into(),
    }
}

/// One call in which one thing is wrong.
struct Writer<'a> {
    abi: &'a Abi,
    function: &'a str,
    result: String,
    params: Vec<(String, String)>,
    out: String,
}

impl Writer<'_> {
    /// The call with another expression for one parameter, and with `more` done to the good ones.
    fn case(&mut self, what: &str, at: usize, wrong: Option<&str>, more: &str) {
        let mut before = String::new();
        let mut given = Vec::new();
        for (n, (kind, name)) in self.params.iter().enumerate() {
            let usual = good(self.abi, kind, name, &mut before);
            given.push(match wrong {
                Some(other) if n == at => format!("({kind}){other}"),
                _ => usual,
            });
        }
        let call = format!("{}({})", self.function, given.join(", "));
        let said = match self.result.as_str() {
            "void" => format!("{call}; say(\"{}\", \"{what}\", 0);", self.function),
            kind if kind.ends_with('*') => {
                format!("const void *r = {call}; say(\"{}\", \"{what}\", r != NULL);", self.function)
            }
            _ => format!("long long r = (long long){call}; say(\"{}\", \"{what}\", r);", self.function),
        };
        writeln!(self.out, "  {{ {before}{more} {said} }}").unwrap();
    }

    fn cases(&mut self) {
        let acts = self.result == "kl_outcome";
        // As it should be, where that opens nothing and ends nothing.
        if !acts && !self.params.iter().any(|(kind, _)| self.abi.handle(kind).is_some()) {
            self.case("good", usize::MAX, None, "");
        }
        for (at, (kind, name)) in self.params.clone().into_iter().enumerate() {
            if let Some(handle) = self.abi.handle(&kind) {
                let (other, freed) = match handle {
                    "kl_client" => ("config", "freed_client"),
                    "kl_http" => ("client", "freed_http"),
                    "kl_config" => ("client", "freed_config"),
                    _ => ("client", "freed_config"),
                };
                for (what, value) in [
                    ("NULL", "NULL"),
                    ("wrong", &format!("(void *){other}")),
                    ("freed", &format!("(void *){freed}")),
                    ("foreign", "(void *)foreign"),
                    ("small", "(void *)(size_t)0x12345"),
                    ("minus-one", "(void *)(size_t)-1"),
                    ("stale", "stale"),
                ] {
                    self.case(&format!("handle {name} {what}"), at, Some(value), "");
                }
            } else if let Some(own) = self.abi.own(&kind) {
                let size = self.abi.0["structs"][own]["64"]["size"].as_u64().unwrap();
                let mut sizes = BTreeSet::from([4, 7, 9, 4097, 0xffff_ffff]);
                for field in self.abi.0["structs"][own]["64"]["fields"].as_array().unwrap() {
                    let (offset, wide) = (field["offset"].as_u64().unwrap(), field["size"].as_u64().unwrap());
                    // Through a field, and never between two.
                    if offset >= 8 {
                        sizes.extend([offset + 1, offset + wide - 1].into_iter().filter(|s| *s > offset));
                    }
                }
                // Between the known size and the largest that is taken, what is longer counts as newer.
                sizes.retain(|s| *s < size || *s > 4096);
                for wrong in sizes {
                    if kind == "kl_error *" {
                        let more = format!(
                            "struct {{ kl_error e; char more[5000]; }} u; memset(&u, 0x55, sizeof u); u.e.struct_size = \
                             {wrong}u;"
                        );
                        self.case(&format!("error {wrong}"), at, Some("&u.e"), &more);
                        self.out.truncate(self.out.trim_end().len() - 1);
                        let all =
                            "for (size_t n = 4; n < sizeof u; n++) if (((unsigned char *)&u)[n] != 0x55) ";
                        writeln!(self.out, "{all}{{ printf(\"it wrote\\n\"); break; }} }}").unwrap();
                    } else {
                        self.case(
                            &format!("size {name} {wrong}"),
                            at,
                            None,
                            &format!("v_{name}.struct_size = {wrong}u;"),
                        );
                    }
                }
                if kind.starts_with("const ") {
                    let more = format!(
                        "struct {{ {own} known; char newer[16]; }} u; memset(&u, 0, sizeof u); u.known = v_{name}; \
                         u.known.struct_size = {}u; u.newer[15] = 1;",
                        size + 16
                    );
                    self.case(&format!("size {name} longer and used"), at, Some("&u.known"), &more);
                    for (field, kind) in self.abi.fields(own) {
                        if kind == "const char *" {
                            let set = |value: &str| format!("v_{name}.{field} = {value};");
                            self.case(&format!("utf8 {name}.{field}"), at, None, &set("\"\\xff\\xfe\""));
                            self.case(&format!("long {name}.{field}"), at, None, &set("long_text"));
                        }
                    }
                }
            } else if kind == "const char *" {
                self.case(&format!("utf8 {name}"), at, Some("\"\\xc3\\x28\""), "");
                self.case(&format!("long {name}"), at, Some("long_text"), "");
            } else if kind.ends_with('*') || kind.ends_with("_fn") {
                self.case(&format!("pointer {name} NULL"), at, Some("NULL"), "");
            }
        }
    }
}

/// The program, and the names of the functions that are in it.
fn program(folder: &Path) -> PathBuf {
    let abi = Abi::new();
    let mut source = String::from(FRONT);
    let mut all = String::new();
    for (function, about) in abi.0["functions"].as_object().unwrap() {
        let params = about["params"].as_array().unwrap();
        let mut writer = Writer {
            abi: &abi,
            function,
            result: text_of(&about["returns"]),
            params: params.iter().map(|p| (text_of(&p["type"]), text_of(&p["name"]))).collect(),
            out: String::new(),
        };
        writer.cases();
        write!(source, "static void sweep_{function}(void) {{\n{}}}\n", writer.out).unwrap();
        writeln!(all, "  sweep_{function}();").unwrap();
    }
    write!(source, "static void sweep(void) {{\n{all}}}\n{MAIN}").unwrap();
    let file = folder.join("misuse.c");
    std::fs::write(&file, source).unwrap();
    file
}

fn built(name: &str, flags: &[&str], library: &Path) -> PathBuf {
    let folder = scratch(name);
    let (source, program) = (program(&folder), folder.join("misuse"));
    let strict =
        ["-O0", "-Wall", "-Wextra", "-Werror", "-Wno-unused-variable", "-Wno-unused-but-set-variable"];
    compiled(&source, &program, &[&strict[..], flags].concat(), library);
    program
}

/// Answers of the functions whose texts have no bound of their own: a longer one is looked for, and not found.
const LOOKED_FOR: &[&str] = &["kl_command_resolve"];

/// What was said of one case.
struct Said<'a> {
    function: &'a str,
    case: &'a str,
    result: i64,
    status: &'a str,
}

/// The code that a case must have been answered with, or one that comes before it.
fn judged(abi: &Abi, said: &Said, none: &mut Option<i64>) -> Result<bool, String> {
    let returns = text_of(&abi.0["functions"][said.function]["returns"]);
    let (acts, tells) = (returns == "kl_outcome", returns == "kl_status");
    let (kind, what) = said.case.split_once(' ').unwrap_or((said.case, ""));
    if acts && ![2, 3].contains(&said.result) {
        return Err("an act that is wrong was done".into());
    }
    let status = if tells { kiosklink::status::name(said.result as i32).unwrap_or("?") } else { said.status };
    let wanted = match kind {
        "handle" if what.ends_with("NULL") => {
            // What a function without a status says of NULL it says of every handle that is none.
            *none = Some(said.result);
            "KL_E_NULL"
        }
        "handle" if !acts && !tells => {
            return if Some(said.result) == *none {
                Ok(true)
            } else {
                Err("another answer than for NULL".into())
            };
        }
        "handle" => "KL_E_HANDLE",
        "error" if acts => return Ok(true),
        "error" if !tells => return Err("takes an error and tells nothing".into()),
        "error" | "size" => "KL_E_ARGUMENT",
        "utf8" => "KL_E_UTF8",
        "long" if (acts && !LOOKED_FOR.contains(&said.function)) || said.function.ends_with("_check") => {
            "KL_E_ARGUMENT"
        }
        _ => return Ok(true),
    };
    // A platform that has no such verb says so first, and an event needs to be there before its answer is looked at.
    let first = ["utf8", "size", "long"].contains(&kind)
        && (status == "KL_E_UNSUPPORTED" || (said.function == "kl_event_set_reply" && status == "KL_E_NULL"));
    match () {
        () if status == wanted || (!acts && !tells) => Ok(true),
        () if first => Ok(false),
        () => Err(format!("{status}, not {wanted}")),
    }
}

/// Runs the program for each platform; nothing was sent to a door, every function was there, and every case had its
/// answer on one platform at least.
fn judge(
    sim: &Simulator,
    name: &str,
    platforms: &[&str],
    rounds: &str,
    mut command: impl FnMut() -> Command,
) {
    let abi = Abi::new();
    let (mut right, mut all, mut wrong) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for platform in platforms {
        let accounts = accounts(sim, &format!("{name}-{platform}"));
        let (code, text) = run(command().arg(accounts).args([platform, rounds]));
        assert!(
            code == 0 && text.ends_with("end\n"),
            "{platform}: {code}\n{}",
            text.lines().last().unwrap_or("")
        );
        let mut none = None;
        for line in text.lines().filter(|l| *l != "end") {
            let [function, case, result, status] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{platform}: {line}")
            };
            let said = Said { function, case, result: result.parse().unwrap(), status };
            all.insert(format!("{function} {case}"));
            match judged(&abi, &said, &mut none) {
                Ok(true) => drop(right.insert(format!("{function} {case}"))),
                Ok(false) => {}
                Err(why) => wrong.push(format!("{platform}: {function}, {case}: {why}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(all.len() > 2500, "only {} cases", all.len());
    if platforms.len() == PLATFORMS.len() {
        let unseen: Vec<_> = all.difference(&right).collect();
        assert!(unseen.is_empty(), "on no platform: {unseen:?}");
    }
    let exports = std::fs::read_to_string(root().join("abi/exports.txt")).unwrap();
    let missing: Vec<_> =
        exports.lines().filter(|f| !all.iter().any(|case| case.starts_with(&format!("{f} ")))).collect();
    assert!(missing.is_empty(), "not in the program: {missing:?}");
    assert!(openings(sim).is_empty());
}

#[test]
fn every_function_answers_every_misuse() {
    let program = built("misuse-plain", &[], &usual_library());
    judge(&simulator(), "misuse-plain", PLATFORMS, "1000", || Command::new(&program));
}

/// The numbers of handles are used up before one comes again: on 64 bits never.
#[test]
fn a_handle_stays_dead_for_ten_million_rounds() {
    build("make", &["-s", "lib"]);
    let library = scratch("misuse-library");
    for name in ["libkiosklink.so", "libkiosklink.so.1"] {
        std::os::unix::fs::symlink(target().join("release/libkiosklink.so"), library.join(name)).unwrap();
    }
    let program = built("misuse-rounds", &[], &library);
    judge(&simulator(), "misuse-rounds", &["dingshang"], "10000000", || Command::new(&program));
}

#[test]
fn the_sanitizers_find_nothing_in_misuse() {
    let (sim, all) = (simulator(), "-fno-sanitize-recover=all");
    // The results of calls that went well are not freed.
    let memory = built("misuse-asan", &["-fsanitize=address,undefined", all], &usual_library());
    judge(&sim, "misuse-asan", &["dingshang"], "1000", || {
        let mut command = Command::new(&memory);
        command.env("ASAN_OPTIONS", "detect_leaks=0");
        command
    });
    let threads = built("misuse-tsan", &["-fsanitize=thread"], &usual_library());
    judge(&sim, "misuse-tsan", &["dingshang"], "1000", || {
        let mut command = Command::new("setarch");
        command.arg("-R").arg(&threads);
        let supp = root().join("packaging/suppressions/kiosklink-tsan.supp");
        command.env("TSAN_OPTIONS", format!("exitcode=66 suppressions={}", supp.display()));
        command
    });
}

#[test]
fn valgrind_finds_nothing_in_misuse() {
    let program = built("misuse-valgrind", &["-gdwarf-4"], &usual_library());
    judge(&simulator(), "misuse-valgrind", &["dingshang"], "100", || {
        let mut command = Command::new("valgrind");
        command.args(["-q", "--error-exitcode=99"]);
        command.arg(suppressions());
        command.arg(&program);
        command
    });
}
