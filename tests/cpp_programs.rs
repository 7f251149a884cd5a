//! `kiosklink.hpp` in every dialect it promises, and C++ programs against the simulator.

mod common;

use common::*;
use kiosklink_sim::Simulator;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A vending machine of the simulator's world.
const MACHINE: &str = "16327129";

const WARNINGS: &[&str] = &["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wshadow", "-Wnon-virtual-dtor"];
const BARE: &[&str] = &["-fno-exceptions", "-fno-rtti"];

fn compiler(name: &str, standard: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.arg(format!("-std={standard}")).args(WARNINGS).args(flags).arg("-I").arg(root().join("include"));
    command
}

/// How a program finds the library.
#[derive(Clone, Copy)]
enum Library {
    Shared,
    Static,
}

/// Compiles and links one source file.
fn built(mut compiler: Command, source: &str, library: Library, program: PathBuf) -> PathBuf {
    let shared = programs().join("../lib");
    // Not every valgrind reads what newer compilers write.
    compiler.args(["-gdwarf-4", "-O1"]).arg(root().join(source)).arg("-o").arg(&program);
    match library {
        Library::Shared => compiler
            .arg("-L")
            .arg(&shared)
            .args(["-lkiosklink", "-lpthread"])
            .arg(format!("-Wl,-rpath,{}", shared.display())),
        Library::Static => compiler.args(["-x", "none"]).arg(target().join("debug/libkiosklink.a")).args([
            "-lpthread",
            "-ldl",
            "-lrt",
            "-lm",
        ]),
    };
    let (code, text) = run(&mut compiler);
    assert_eq!(code, 0, "{compiler:?}\n{text}");
    program
}

/// The static library, of the same code.
fn static_library() {
    build(env!("CARGO"), &["rustc", "-q", "-p", "kiosklink", "--lib", "--crate-type", "staticlib"]);
}

/// A simulator whose doors do not keep a test waiting.
fn quick() -> Simulator {
    let sim = simulator();
    control(&sim, "POST", "/_sim/yopoint/settings", json!({"door_open_ms": 100, "recognition_ms": 100}));
    sim
}

/// The simulator's accounts, for programs that valgrind slows down on a busy machine: nothing here measures time.
fn patient(sim: &Simulator, name: &str) -> PathBuf {
    let file = accounts(sim, name);
    let mut all: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for account in all["accounts"].as_object_mut().unwrap().values_mut() {
        account["timeout_ms"] = json!(300_000);
        account["connect_timeout_ms"] = json!(300_000);
    }
    std::fs::write(&file, all.to_string()).unwrap();
    file
}

/// What stands between comments.
fn code(source: &str) -> String {
    let mut plain = String::new();
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("/*") {
        plain.push_str(before);
        rest = after.split_once("*/").unwrap().1;
    }
    plain.push_str(rest);
    plain.lines().map(|l| l.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The words that begin with kl_, each with what follows it.
fn names(source: &str) -> Vec<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    source
        .match_indices("kl_")
        .filter(|(at, _)| !source[..*at].ends_with(is_part))
        .map(|(at, _)| {
            let rest = &source[at..];
            rest.split_at(rest.find(|c| !is_part(c)).unwrap_or(rest.len()))
        })
        .collect()
}

#[test]
fn every_function_of_the_header_is_reached_through_the_wrapper() {
    let read = |path: &str| code(&std::fs::read_to_string(root().join(path)).unwrap());
    let header = read("include/kiosklink.h");
    let functions: Vec<&str> =
        names(&header).into_iter().filter(|(_, next)| next.starts_with('(')).map(|(name, _)| name).collect();
    let exports = std::fs::read_to_string(root().join("abi/exports.txt")).unwrap();
    let mut sorted = functions.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, exports.lines().collect::<Vec<_>>(), "the header was not understood");

    let wrapper = read("include/kiosklink.hpp");
    let used: Vec<&str> = names(&wrapper).into_iter().map(|(name, _)| name).collect();
    let missing: Vec<_> = functions.iter().filter(|f| !used.contains(f)).collect();
    assert!(missing.is_empty(), "kiosklink.hpp does not use {missing:?}");

    // The program calls no function of the header by itself, yet needs every one of them: all through the wrapper.
    let program = read("tests/cpp/wrapper.cpp");
    let direct: Vec<_> = names(&program).into_iter().filter(|(name, _)| functions.contains(name)).collect();
    assert!(direct.is_empty(), "wrapper.cpp calls {direct:?}");
    let (status, text) =
        run(Command::new("nm").args(["-u", "--format=posix"]).arg(programs().join("wrapper")));
    assert_eq!(status, 0, "{text}");
    let needed: Vec<&str> = text.lines().filter_map(|l| l.split([' ', '@']).next()).collect();
    let unreached: Vec<_> = functions.iter().filter(|f| !needed.contains(f)).collect();
    assert!(unreached.is_empty(), "wrapper.cpp does not reach {unreached:?}");
}

#[test]
fn it_compiles_in_every_dialect_with_and_without_exceptions() {
    let mut tried = 0;
    for name in ["g++", "clang++"] {
        for standard in ["c++11", "c++14", "c++17", "c++20"] {
            for flags in [&[][..], BARE] {
                let mut command = compiler(name, standard, flags);
                // What a careful firmware has on besides.
                command.args(["-Wconversion", "-Wold-style-cast", "-fsyntax-only"]);
                command.arg(root().join("examples-c/kiosk.cpp"));
                // In C++11 they are compiled where they run.
                if standard == "c++20" {
                    command.args(["wrapper", "ownership"].map(|n| root().join(format!("tests/cpp/{n}.cpp"))));
                }
                let (status, text) = run(&mut command);
                assert_eq!(status, 0, "{command:?}\n{text}");
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 16);
}

/// The names of functions with a class of kiosklink.hpp in them, as the linker sees them.
fn mangled(object: &Path) -> std::collections::BTreeSet<String> {
    let (code, text) = run(Command::new("nm").arg("--defined-only").arg(object));
    assert_eq!(code, 0, "{text}");
    text.lines()
        .filter_map(|l| l.split(' ').nth(2))
        .filter(|n| n.contains("9kiosklink"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn parts_with_and_without_exceptions_make_one_program_and_do_not_mix() {
    let folder = scratch("cpp-parts");
    let version: Vec<&str> = env!("CARGO_PKG_VERSION").split('.').collect();
    let space = format!("v{}_{}", version[0], version[1]);
    for name in ["g++", "clang++"] {
        let object = |half: &str, flags: &[&str]| {
            let to = folder.join(format!("{name}-{half}.o"));
            let mut command = compiler(name, "c++11", flags);
            command
                .args(["-Wconversion", "-c"])
                .arg(root().join("tests/cpp/parts/mixed.cpp"))
                .arg("-o")
                .arg(&to);
            let (code, text) = run(&mut command);
            assert_eq!(code, 0, "{text}");
            to
        };
        let linked = |other: &Path, program: &Path| {
            let shared = programs().join("../lib");
            let mut command = Command::new(name);
            command.arg(folder.join(format!("{name}-throwing.o"))).arg(other).arg("-o").arg(program);
            command.arg("-L").arg(&shared).arg("-lkiosklink").arg(format!("-Wl,-rpath,{}", shared.display()));
            run(&mut command)
        };
        let throwing = object("throwing", &[]);
        let bare = object("bare", BARE);
        let program = folder.join(format!("{name}-mixed"));
        assert_eq!(linked(&bare, &program), (0, String::new()));
        assert_eq!(run(&mut Command::new(&program)), (0, "no fault\n".to_owned()));

        let (throwing, bare) = (mangled(&throwing), mangled(&bare));
        let in_space = |space: &str| format!("9kiosklink{}{space}", space.len());
        let nothrow = format!("{space}_nothrow");
        assert!(
            throwing.len() > 10 && throwing.iter().all(|n| n.contains(&in_space(&space))),
            "{throwing:?}"
        );
        assert!(bare.len() > 10 && bare.iter().all(|n| n.contains(&in_space(&nothrow))), "{bare:?}");
        assert!(throwing.is_disjoint(&bare));

        // A class of the one is none of the other's, and the linker says so.
        let crossed = object("crossed", &[BARE, &["-DCROSS"]].concat());
        let (code, text) = linked(&crossed, &folder.join("crossed"));
        assert!(code != 0 && text.contains("status_of(kiosklink::v"), "{code} {text}");
    }
}

/// What the compiler says of a function body as C++11 with these flags; nothing if it compiles.
fn complaint(folder: &Path, body: &str, flags: &[&str]) -> String {
    let source = folder.join("piece.cpp");
    let text = format!(
        "#include <kiosklink.hpp>\nusing namespace kiosklink;\n\
         void body(Client &client, kl_page &page, Error &err) {{ (void)client; (void)page; (void)err; {body} }}\n"
    );
    std::fs::write(&source, text).unwrap();
    let mut piece = Command::new("g++");
    piece.args(["-std=c++11", "-fsyntax-only", "-I"]).arg(root().join("include")).args(flags).arg(&source);
    let (code, said) = run(&mut piece);
    assert_eq!(code == 0, said.is_empty(), "{said}");
    said
}

#[test]
fn what_would_dangle_or_be_freed_twice_does_not_compile() {
    let folder = scratch("cpp-pieces");
    let open = "client.door_open(DoorRequest(\"v\", \"c\"), err)";
    let call = "client.call(\"m\", nullptr, err)";
    let parse = "client.event_parse(nullptr, \"\", 0, err)";
    let fetch = "client.stock_fetch(\"c\", err)";
    let walk = "client.stock_iter(\"c\", 0, nullptr, err)";
    let options = "kl_http_options o = KL_HTTP_OPTIONS_INIT;";
    // Each with a neighbour that does compile, so that a slip in the piece itself is found out, and the compiler's word.
    let pieces = [
        ("Client b(std::move(client));".into(), "Client b(client);".into(), "deleted"),
        ("Client b; b = std::move(client);".into(), "Client b; b = client;".into(), "deleted"),
        (format!("Stock a = {fetch}, b(std::move(a));"), format!("Stock a = {fetch}, b(a);"), "deleted"),
        (format!("Command c = {open}; (void)c->order_no;"), format!("(void){open}->order_no;"), "deleted"),
        (format!("Command c = {open}; (void)c.view();"), format!("(void){open}.view();"), "deleted"),
        (format!("Response r = {call}; (void)r.json();"), format!("(void){call}.json();"), "deleted"),
        (format!("Event e = {parse}; (void)e.reply();"), format!("(void){parse}.reply();"), "deleted"),
        (
            format!("{options} Http h(o, err); (void)h.tick(err);"),
            format!("{options} (void)Http(o, err).tick(err);"),
            "deleted",
        ),
        (format!("Stock s = {fetch}; (void)s.at(0);"), format!("(void){fetch}.at(0);"), "deleted"),
        (format!("Stock s = {fetch}; (void)s[0];"), format!("(void){fetch}[0];"), "deleted"),
        (format!("Stock s = {fetch}; (void)s.begin();"), format!("(void){fetch}.begin();"), "deleted"),
        // A list lives as long as the loop over it; a walk behind each() would not.
        (
            format!("for (const auto &item : {fetch}) (void)item;"),
            format!("for (const auto &item : {walk}.each(err)) (void)item;"),
            "deleted",
        ),
        (format!("StockIter i = {walk}; (void)i.next(err);"), format!("(void){walk}.next(err);"), "deleted"),
        ("client.cabinet_list(page, err);".into(), "client.cabinet_list(nullptr, err);".into(), "nullptr"),
        ("if (client) return;".into(), "int n = client; (void)n;".into(), "cannot convert"),
    ];
    let good: String = pieces.iter().map(|(good, _, _)| format!("{{ {good} }} ")).collect();
    for flags in [&[][..], BARE] {
        assert_eq!(complaint(&folder, &good, flags), "");
    }
    for (n, (_, bad, why)) in pieces.iter().enumerate() {
        let said = complaint(&folder, bad, if n % 2 == 0 { &[] } else { BARE });
        assert!(said.contains("error:") && said.contains(why), "{bad}\n{said}");
    }
    // Without exceptions, or by choice, what would throw is not there at all.
    assert_eq!(complaint(&folder, "client.ping();", &[]), "");
    for flags in [BARE, &["-DKIOSKLINK_EXCEPTIONS=0"]] {
        assert!(complaint(&folder, "client.ping();", flags).contains("no matching function"), "{flags:?}");
    }
}

#[test]
fn every_call_with_and_without_exceptions_and_valgrind_finds_nothing() {
    let folder = scratch("cpp-wrapper");
    for (name, standard, flags) in [("g++", "c++11", &[][..]), ("clang++", "c++20", BARE)] {
        let sim = quick();
        let accounts = patient(&sim, "cpp-wrapper-world");
        let program = built(
            compiler(name, standard, flags),
            "tests/cpp/wrapper.cpp",
            Library::Shared,
            folder.join(format!("wrapper-{name}")),
        );
        let (code, text) = run(valgrind(&program).arg(&accounts).args([CABINET, MACHINE]));
        assert_eq!((code, text.as_str()), (0, "no fault\n"), "{name} {standard} {flags:?}");
        // One customer's door, and one more where calls may throw.
        let visits = if flags.is_empty() { 2 } else { 1 };
        let opened = openings(&sim).iter().filter(|o| o["cabinet"] == CABINET).count();
        assert_eq!(opened, visits, "{name} {standard} {flags:?}");

        // Without a number of its own nobody can be asked for the opening.
        let sim = quick();
        let accounts = patient(&sim, "cpp-lost-world");
        let mut all: Value = serde_json::from_slice(&std::fs::read(&accounts).unwrap()).unwrap();
        all["accounts"]["yopoint"]["own_trade_no"] = json!("no");
        std::fs::write(&accounts, all.to_string()).unwrap();
        fault(&sim, "cabinet.open.door", json!({"fault": "act_then_drop"}));
        let (code, text) = run(Command::new(&program).arg(&accounts).args([CABINET, "lost"]));
        assert_eq!((code, text.as_str()), (0, "no fault\n"), "{name} {standard} {flags:?}");
        assert_eq!(openings(&sim).len(), 1);
    }
}

#[test]
fn handles_are_owned_once_and_valgrind_finds_nothing() {
    let folder = scratch("cpp-ownership");
    for (name, standard, flags) in [("clang++", "c++11", &[][..]), ("g++", "c++20", BARE)] {
        let sim = quick();
        let accounts = patient(&sim, "cpp-ownership-world");
        let program = built(
            compiler(name, standard, flags),
            "tests/cpp/ownership.cpp",
            Library::Shared,
            folder.join(format!("ownership-{name}")),
        );
        let mut command = if flags.is_empty() { valgrind(&program) } else { Command::new(&program) };
        let (code, text) = run(command.arg(&accounts).arg(CABINET));
        assert_eq!((code, text.as_str()), (0, "no fault\n"), "{name} {standard} {flags:?}");
        assert_eq!(openings(&sim).len(), 1, "six threads, one customer's action");
    }
}

#[test]
fn the_same_program_by_every_compiler_with_either_library() {
    static_library();
    let sim = quick();
    let accounts = patient(&sim, "cpp-compilers-world");
    let folder = scratch("cpp-compilers");
    let mut said = Vec::new();
    for (name, standard) in [("gcc", "c11"), ("clang", "c11"), ("g++", "c++11"), ("clang++", "c++11")] {
        for (way, library) in [("shared", Library::Shared), ("static", Library::Static)] {
            let mut command = Command::new(name);
            command.arg(format!("-std={standard}")).args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"]);
            command.arg(root().join("include"));
            // The language of a .c file is C for g++ as well, unless it is told.
            command.args(if standard == "c11" { ["-x", "c"] } else { ["-x", "c++"] });
            let program =
                built(command, "examples-c/stock.c", library, folder.join(format!("stock-{name}-{way}")));
            let (_, needed) = run(Command::new("readelf").arg("-d").arg(&program));
            assert_eq!(needed.contains("libkiosklink.so.1"), way == "shared", "{name} {way}");
            let (code, text) = run(Command::new(&program).arg(&accounts).args(["yopoint", CABINET]));
            assert_eq!(code, 0, "{name} {way}: {text}");
            said.push(text);
        }
    }
    assert!(
        said.len() == 8 && said[0].contains("10 of 12") && said.iter().all(|t| *t == said[0]),
        "{said:?}"
    );
}

#[test]
fn the_kiosk_tells_its_visit() {
    static_library();
    let folder = scratch("cpp-kiosk");
    for (name, library) in [("g++", Library::Shared), ("clang++", Library::Static)] {
        let sim = quick();
        let accounts = patient(&sim, "cpp-kiosk-world");
        let state = folder.join(format!("state-{name}"));
        std::fs::create_dir(&state).unwrap();
        let program = built(
            compiler(name, "c++11", BARE),
            "examples-c/kiosk.cpp",
            library,
            folder.join(format!("kiosk-{name}")),
        );
        let kiosk = |arguments: &[&str]| {
            let checked = arguments[0] == "visit-1" && name == "g++";
            let mut command = if checked { valgrind(&program) } else { Command::new(&program) };
            run(command.arg(&accounts).arg(&state).args(["yopoint", CABINET]).args(arguments))
        };
        let shut = || {
            let wait = json!({"for": "door_shut", "cabinet": CABINET, "door": 1, "timeout_ms": 20_000});
            control(&sim, "POST", "/_sim/wait", wait);
        };
        let (code, text) = kiosk(&["visit-1", "youzan", "10000000001"]);
        assert_eq!(code, 0, "{text}");
        for part in [
            "yopoint: 0 command(s) from before.",
            "10 x 农家矿泉水 550ml, 2.00 yuan",
            "The door opens: order VI",
            "visit-1: it moved, order VI",
            "The code is redeemed.",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        shut();
        let (code, text) = kiosk(&["visit-2", "youzan", "10000000001"]);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("This code was used before"), "{text}");
        shut();

        fault(&sim, "cabinet.open.door", json!({"fault": "rate_limit"}));
        let (code, text) = kiosk(&["visit-3"]);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("KL_E_RATE_LIMIT") && text.contains("Trying again is safe"), "{text}");

        // A lost answer, and what the next start makes of it: found by the query, not sent again.
        fault(&sim, "cabinet.open.door", json!({"fault": "act_then_drop"}));
        let (code, text) = kiosk(&["visit-4"]);
        assert_eq!(code, 2, "{text}");
        assert!(text.contains("KL_E_LOST") && text.contains("find out before anybody tries again"), "{text}");
        assert_eq!(openings(&sim).len(), 3);
        shut();
        let (code, text) = kiosk(&["visit-4"]);
        assert_eq!(code, 0, "{text}");
        for part in [
            "yopoint: 1 command(s) from before.",
            "visit-4: it was done.",
            "(it did before, nothing was sent)",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        assert_eq!(openings(&sim).len(), 3);

        // Taken by the platform, but the bolt is stuck.
        control(&sim, "POST", "/_sim/doors", json!({"cabinet": CABINET, "door": 1, "action": "jam"}));
        let (code, text) = kiosk(&["visit-5"]);
        assert_eq!(code, 3, "{text}");
        assert!(text.contains("visit-5: nothing moved"), "{text}");

        let (code, text) = run(Command::new(&program).args(["one", "two"]));
        assert!(code == 64 && text.starts_with("use: kiosk "), "{text}");
    }
}

/// Their classes are not the same, so what goes from one to the other is C's.
#[test]
fn files_with_and_without_exceptions_hand_over_handles() {
    let folder = scratch("cpp-mixed");
    let write = |name: &str, text: &str| {
        let file = folder.join(name);
        std::fs::write(
            &file,
            format!("#include <kiosklink.hpp>\n#include <cstdio>\nusing namespace kiosklink;\n{text}"),
        )
        .unwrap();
        file
    };
    let bare = write(
        "bare.cpp",
        "kl_stock *fetch(kl_client *lent, const char *cabinet, kl_error *err) {\n\
         \x20 Client client(lent);\n\
         \x20 Error own;\n\
         \x20 Stock stock = client.stock_fetch(cabinet, own);\n\
         \x20 client.release();\n\
         \x20 *err = *own.raw();\n\
         \x20 return stock.release();\n\
         }\n",
    );
    let throwing = write(
        "throwing.cpp",
        "kl_stock *fetch(kl_client *lent, const char *cabinet, kl_error *err);\n\
         int main(int, char **argv) try {\n\
         \x20 Client client(Config::load(argv[1], \"yopoint\"));\n\
         \x20 Error err;\n\
         \x20 Stock stock(fetch(client.get(), argv[2], err.raw()));\n\
         \x20 std::printf(\"%d\\n\", int(stock.size()));\n\
         \x20 fetch(client.get(), \"\", err.raw());\n\
         \x20 throw err;\n\
         } catch (const Error &e) { std::printf(\"%s\\n\", e.name()); }\n",
    );
    let object = folder.join("bare.o");
    let (code, text) = run(compiler("g++", "c++11", BARE).args(["-Os", "-c", "-o"]).arg(&object).arg(&bare));
    assert_eq!(code, 0, "{text}");
    let mut linking = compiler("g++", "c++11", &[]);
    linking.arg(&object);
    let program = built(linking, throwing.to_str().unwrap(), Library::Shared, folder.join("mixed"));
    let sim = simulator();
    let accounts = patient(&sim, "cpp-mixed-world");
    let (code, text) = run(Command::new(program).arg(accounts).arg(CABINET));
    assert_eq!((code, text.as_str()), (0, "4\nKL_E_ARGUMENT\n"));
}
