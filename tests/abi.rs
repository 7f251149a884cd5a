//! What compiled programs rely on: `abi/layout.json` says it, C compilers confirm it, and nothing that was promised under
//! an ABI number (`abi/baseline-N.json`) changes while the number stays.

#[path = "../xtask/src/compare.rs"]
mod compare;
#[path = "../xtask/src/nodes.rs"]
mod nodes;

mod common;

use common::*;
use compare::{Difference, compare};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn layout() -> Value {
    serde_json::from_str(&read("abi/layout.json")).unwrap()
}

fn entries<'a>(all: &'a Value, kind: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    all[kind].as_object().unwrap_or_else(|| panic!("no {kind}")).iter()
}

fn types(signature: &Value) -> String {
    let params: Vec<&str> =
        signature["params"].as_array().unwrap().iter().map(|p| p["type"].as_str().unwrap()).collect();
    if params.is_empty() { "void".into() } else { params.join(", ") }
}

#[test]
fn nothing_promised_under_this_abi_number_has_changed() {
    let now = layout();
    assert_eq!(now["abi"], kiosklink::ffi::library::KL_ABI_VERSION, "run `make header`");
    let file = format!("abi/baseline-{}.json", now["abi"]);
    let promised = std::fs::read_to_string(root().join(&file))
        .unwrap_or_else(|e| panic!("{file}: {e}; a new ABI number is promised with `make abi-baseline`"));
    let found = compare(&serde_json::from_str(&promised).unwrap(), &now);
    assert!(
        found.broken.is_empty(),
        "this breaks programs built for ABI {}; docs/abi.md says what may change:\n  {}",
        now["abi"],
        found.broken.join("\n  ")
    );
    if !found.added.is_empty() {
        println!(
            "{file} is behind (a release runs `make abi-baseline`); new since:\n  {}",
            found.added.join("\n  ")
        );
    }
}

/// Statements that compile only if the header is as `layout.json` says.
fn claims(layout: &Value, bits: &str) -> String {
    let mut c =
        String::from("#include <kiosklink.h>\n#define TYPE(a, b) __builtin_types_compatible_p(a, b)\n");
    let mut claim = |what: String| {
        let quoted = what.replace('\\', "\\\\").replace('"', "\\\"");
        writeln!(c, "_Static_assert({what}, \"{quoted}\");").unwrap();
    };
    claim(format!("sizeof(void *) * 8 == {bits}"));
    for (name, models) in entries(layout, "structs") {
        let model = &models[bits];
        claim(format!("sizeof({name}) == {}", model["size"]));
        claim(format!("_Alignof({name}) == {}", model["align"]));
        for field in model["fields"].as_array().unwrap() {
            let title = field["name"].as_str().unwrap();
            let place = format!("((({name} *)0)->{title})");
            claim(format!("offsetof({name}, {title}) == {}", field["offset"]));
            claim(format!("sizeof{place} == {}", field["size"]));
            claim(format!("TYPE(__typeof__({place}), {})", field["type"].as_str().unwrap()));
        }
    }
    for (name, value) in entries(layout, "constants") {
        match value.as_str() {
            None => claim(format!("{name} == {value}")),
            Some(text) => {
                claim(format!("sizeof({name}) == {}", text.len() + 1));
                claim(format!("__builtin_strcmp({name}, \"{text}\") == 0"));
            }
        }
    }
    for (name, ctype) in entries(layout, "typedefs") {
        claim(format!("TYPE({name}, {})", ctype.as_str().unwrap()));
    }
    for (name, signature) in entries(layout, "callbacks") {
        claim(format!("TYPE({name}, {} (*)({}))", signature["returns"].as_str().unwrap(), types(signature)));
    }
    for (name, signature) in entries(layout, "functions") {
        let returns = signature["returns"].as_str().unwrap();
        claim(format!("TYPE(__typeof__(&{name}), {returns} (*)({}))", types(signature)));
    }
    c
}

#[test]
fn compilers_for_every_target_agree_with_the_layout() {
    let folder = scratch("abi-layout");
    let layout = layout();
    // clang compiles for every machine; the header wants stdint.h and stddef.h alone, which it brings along.
    for (compiler, bits, flags) in [
        ("cc", "64", &[][..]),
        ("clang", "64", &["--target=aarch64-linux-gnu", "-nostdlibinc"]),
        ("clang", "32", &["--target=armv7-linux-gnueabihf", "-nostdlibinc"]),
        ("clang", "32", &["--target=armv5te-linux-musleabi", "-nostdlibinc"]),
        // As some firmware is compiled.
        ("clang", "32", &["--target=armv7-linux-gnueabihf", "-nostdlibinc", "-fshort-enums"]),
    ] {
        let file = folder.join(format!("claims-{bits}.c"));
        std::fs::write(&file, claims(&layout, bits)).unwrap();
        let (code, text) = run(Command::new(compiler)
            .args(["-std=c11", "-fsyntax-only", "-Wall", "-Werror"])
            .args(flags)
            .arg(format!("-I{}", root().join("include").display()))
            .arg(&file));
        assert_eq!(code, 0, "{compiler} {flags:?}:\n{text}");
    }
}

/// What layout.json leaves out would be promised to nobody.
#[test]
fn the_layout_leaves_nothing_out() {
    let layout = layout();
    let known = |kind: &str| entries(&layout, kind).map(|(name, _)| name.clone()).collect::<BTreeSet<_>>();
    let exports: BTreeSet<String> = read("abi/exports.txt").lines().map(str::to_owned).collect();
    assert_eq!(known("functions"), exports);

    // The compiler's own view of the macros.
    let header = root().join("include/kiosklink.h");
    let (code, macros) = run(Command::new("cc").args(["-E", "-dM", "-x", "c"]).arg(&header));
    assert_eq!(code, 0, "{macros}");
    let macros: BTreeSet<String> = macros
        .lines()
        .filter_map(|l| l.strip_prefix("#define ")?.split_once(' '))
        .filter(|(name, value)| name.starts_with("KL_") && !name.contains('(') && !value.trim().is_empty())
        .filter(|(name, _)| !name.ends_with("_INIT") && *name != "KL_MUST_USE")
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(known("constants"), macros);

    let text = read("include/kiosklink.h");
    let types: BTreeSet<String> = text
        .lines()
        .filter_map(|l| l.strip_prefix("typedef struct "))
        .map(|l| l.trim_end_matches([' ', '{', ';']).split(' ').next().unwrap().to_owned())
        .collect();
    let mut all = known("structs");
    all.extend(layout["opaque"].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()));
    assert_eq!(all, types);

    // Whoever allocates a struct gets an initial value for it.
    let inits: BTreeSet<String> = text
        .lines()
        .filter_map(|l| l.strip_prefix("#define KL_")?.split_once("_INIT {sizeof("))
        .map(|(_, rest)| rest.split(')').next().unwrap().to_owned())
        .collect();
    let own: BTreeSet<String> = layout["caller_allocated"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(own, inits);
}

/// The number stands in four places that cannot read each other.
#[test]
fn the_soname_is_the_abi_number() {
    let name = format!("libkiosklink.so.{}", kiosklink::ffi::library::KL_ABI_VERSION);
    for file in ["build.rs", "scripts/check-artefact", "scripts/arm", "docs/abi.md"] {
        assert!(read(file).contains(&name), "{file} does not name {name}");
    }
}

// Symbol versions.

/// A shared library with these functions and no code of ours, linked with a version script or without.
fn linked(name: &str, functions: &str, script: Option<&str>) -> std::path::PathBuf {
    let folder = scratch(&format!("symbol-versions-{name}"));
    let (source, map, library) =
        (folder.join("all.c"), folder.join("script.map"), folder.join("libkiosklink.so.1"));
    let bodies: String = functions.lines().map(|f| format!("void {f}(void) {{}}\n")).collect();
    std::fs::write(&source, bodies).unwrap();
    let mut link = Command::new("cc");
    link.args(["-shared", "-fPIC", "-nostdlib", "-Wl,-soname,libkiosklink.so.1", "-o"])
        .arg(&library)
        .arg(&source);
    if let Some(script) = script {
        std::fs::write(&map, script).unwrap();
        link.arg(format!("-Wl,--version-script={}", map.display()));
    }
    let (code, text) = run(&mut link);
    assert_eq!(code, 0, "{text}");
    library
}

fn checked(script: &str, library: &std::path::Path) -> (i32, String) {
    run(Command::new(root().join("scripts").join(script)).arg(library))
}

#[test]
fn a_library_without_symbol_versions_or_with_wrong_ones_is_refused() {
    let (functions, map) = (read("abi/exports.txt"), read("abi/kiosklink.map"));
    let node = nodes::of_version(env!("CARGO_PKG_VERSION"));
    assert!(map.contains(&node), "{node} is not in abi/kiosklink.map");

    let (code, text) = checked("check-versions", &linked("right", &functions, Some(&map)));
    assert_eq!((code, text.as_str()), (0, ""));
    for (name, script, said) in [
        ("none", None, "have no version"),
        ("local", Some("{ global: kl_*; local: *; };".to_owned()), "have no version"),
        ("other", Some(map.replace(&node, "KIOSKLINK_9.9")), "@@KIOSKLINK_9.9"),
        ("one", Some(map.replace("    kl_version;\n", "")), "< kl_version@@"),
        ("more", Some(map.replace("    kl_version;", "    kl_version;\n    more;")), "> more@@"),
    ] {
        let functions = format!("{functions}more\n");
        let library = linked(name, &functions, script.as_deref());
        let (code, text) = checked("check-versions", &library);
        assert!(code == 1 && text.contains(said), "{name}: {code} {text}");
        // It is part of the check of what ships.
        let (code, text) = checked("check-artefact", &library);
        assert!(code == 1 && text.contains("not the symbol versions"), "{name}: {code} {text}");
    }
}

/// A program that prints what it was called with, in place of rustc and of a linker.
fn printing(folder: &std::path::Path, name: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\necho \"{name} linker=${{KIOSKLINK_LINKER-none}} $*\"\n"))
        .unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn whatever_linker_was_chosen_is_run_and_gets_our_map() {
    let folder = scratch("symbol-versions-wrappers");
    let rustc = printing(&folder, "rustc");
    let with = |arguments: &[&str]| {
        let mut command = Command::new(root().join("scripts/rustc-versioned"));
        command.env_remove("KIOSKLINK_LINKER").arg(&rustc).args(arguments);
        let (code, text) = run(&mut command);
        assert_eq!(code, 0, "{text}");
        text
    };
    let ours = ["--crate-name", "kiosklink", "--crate-type", "cdylib"];
    for (chosen, linker) in [
        (&[][..], "cc"),
        (&["-C", "linker=arm-gcc"], "arm-gcc"),
        (&["-Clinker=one", "-C", "linker=two words"], "two words"),
        (&["--codegen", "linker=clang"], "clang"),
        (&["--codegen=linker=clang"], "clang"),
    ] {
        let text = with(&[&ours[..], chosen].concat());
        assert!(text.starts_with(&format!("rustc linker={linker} ")), "{text}");
        assert!(text.trim_end().ends_with("/scripts/link-versioned"), "{text}");
    }
    assert!(with(&["--crate-name=kiosklink", "--crate-type=cdylib,staticlib"]).contains("link-versioned"));
    // What is no shared library of ours is built as ever.
    for others in [
        &["--crate-name", "kiosklink", "--crate-type", "lib", "-C", "linker=x"][..],
        &["--crate-name", "kiosklink_sim", "--crate-type", "cdylib"],
        &["-vV"],
    ] {
        assert_eq!(with(others), format!("rustc linker=none {}\n", others.join(" ")));
    }

    // The linker.
    let linker = printing(&folder, "ld");
    let map = root().join("abi/kiosklink.map");
    let theirs = folder.join("list");
    let functions = read("abi/exports.txt");
    let link = |functions: &str| {
        let list = functions.lines().map(|f| format!("    {f};\n")).collect::<String>();
        std::fs::write(&theirs, format!("{{\n  global:\n{list}\n  local:\n    *;\n}};")).unwrap();
        let mut command = Command::new(root().join("scripts/link-versioned"));
        command
            .env("KIOSKLINK_LINKER", &linker)
            .args(["-a b"])
            .arg(format!("-Wl,--version-script={}", theirs.display()));
        run(command.arg("-shared"))
    };
    let (code, text) = link(&functions);
    let map = map.canonicalize().unwrap();
    let wanted = format!("-a b -Wl,--version-script={} -shared\n", map.display());
    assert!(code == 0 && text.ends_with(&wanted), "{text}");
    // A map that is behind the sources would hide a function.
    for other in [functions.replace("kl_version\n", ""), format!("{functions}kl_new\n")] {
        let (code, text) = link(&other);
        assert!(code == 1 && text.contains("make header"), "{code} {text}");
    }
    // The hook of the build for tests is in no version that ships.
    let (code, text) = link(&format!("{functions}kl_test_panic_at\n"));
    assert!(
        code == 0 && text.contains(&format!("--version-script={}.versioned ", theirs.display())),
        "{text}"
    );
    let made = std::fs::read_to_string(folder.join("list.versioned")).unwrap();
    assert!(
        made.starts_with(&read("abi/kiosklink.map"))
            && made.contains("KIOSKLINK_TEST { global:\nkl_test_panic_at;\n};")
    );
}

#[test]
fn a_function_keeps_its_symbol_version_and_a_new_one_gets_the_newest() {
    let first = nodes::generate("", ["kl_b", "kl_a"].into_iter(), "0.2.7");
    let second = nodes::generate(&first, ["kl_a", "kl_b", "kl_c"].into_iter(), "0.10.0");
    let third = nodes::generate(&second, ["kl_a", "kl_c", "kl_d"].into_iter(), "1.0.0");
    let found = nodes::read(&third);
    assert_eq!(found.len(), 3);
    assert_eq!(found["kl_a"], "KIOSKLINK_0.2");
    assert_eq!(found["kl_c"], "KIOSKLINK_0.10");
    assert_eq!(found["kl_d"], "KIOSKLINK_1.0");
    assert!(third.contains("} KIOSKLINK_0.2;\n") && third.contains("} KIOSKLINK_0.10;\n"), "{third}");
    assert_eq!(nodes::generate(&third, ["kl_a", "kl_c", "kl_d"].into_iter(), "1.0.1"), third);
    // The linker takes it.
    let library = linked("three", "kl_a\nkl_c\nkl_d\n", Some(&third));
    let (_, text) = run(Command::new("readelf").args(["--dyn-syms", "-W"]).arg(library));
    assert!(text.contains("kl_c@@KIOSKLINK_0.10"), "{text}");
}

// The comparison itself.

fn small() -> Value {
    let fields = |pointer: u64| {
        json!([
            {"name": "struct_size", "type": "uint32_t", "offset": 0, "size": 4},
            {"name": "reserved", "type": "uint32_t", "offset": 4, "size": 4},
            {"name": "text", "type": "const char *", "offset": 8, "size": pointer},
            {"name": "kind", "type": "int32_t", "offset": 8 + pointer, "size": 4},
        ])
    };
    let model = |name: &str| {
        json!({name: {
            "64": {"size": 24, "align": 8, "fields": fields(8)},
            "32": {"size": 16, "align": 4, "fields": fields(4)},
        }})
    };
    let mut all = json!({
        "abi": 1,
        "caller_allocated": ["kl_own"],
        "fixed_size": ["kl_line"],
        "opaque": ["kl_client"],
        "typedefs": {"kl_status": "int32_t"},
        "callbacks": {},
        "structs": {},
        "constants": {"KL_ABI_VERSION": 1, "KL_E_X": 7, "KL_KEY_X": "x"},
        "functions": {"kl_x": {"returns": "kl_status", "params": [{"name": "a", "type": "int32_t"}]}},
    });
    for name in ["kl_own", "kl_theirs", "kl_line"] {
        all["structs"][name] = model(name)[name].clone();
    }
    all
}

fn after(change: impl FnOnce(&mut Value)) -> Difference {
    let mut new = small();
    change(&mut new);
    compare(&small(), &new)
}

#[track_caller]
fn broken(found: &Difference, part: &str) {
    assert!(found.broken.iter().any(|b| b.contains(part)), "{part:?} is not in {found:?}");
}

#[track_caller]
fn only_added(found: &Difference, count: usize) {
    assert!(found.broken.is_empty() && found.added.len() == count, "{found:?}");
}

fn fields<'a>(all: &'a mut Value, name: &str, bits: &str) -> &'a mut Vec<Value> {
    all["structs"][name][bits]["fields"].as_array_mut().unwrap()
}

/// One more pointer at the end.
fn grow(all: &mut Value, name: &str) {
    for (bits, pointer, end) in [("64", 8, 24), ("32", 4, 16)] {
        let field = json!({"name": "more", "type": "const char *", "offset": end, "size": pointer});
        fields(all, name, bits).push(field);
        all["structs"][name][bits]["size"] = json!(end + pointer);
    }
}

#[test]
fn a_symbol_version_stays_and_grows_no_more() {
    let node = |all: &mut Value, name: &str, node: &str| {
        all["functions"][name] = json!({"returns": "void", "params": [], "node": node});
    };
    let mut old = small();
    node(&mut old, "kl_y", "KIOSKLINK_0.2");
    let mut new = old.clone();
    node(&mut new, "kl_y", "KIOSKLINK_0.3");
    broken(&compare(&old, &new), "kl_y had the symbol version");
    let mut new = old.clone();
    node(&mut new, "kl_z", "KIOSKLINK_0.3");
    only_added(&compare(&old, &new), 1);
    assert!(compare(&old, &new).late.is_empty());
    node(&mut new, "kl_z", "KIOSKLINK_0.2");
    assert_eq!(compare(&old, &new).late, ["kl_z in KIOSKLINK_0.2"]);
}

#[test]
fn the_version_may_grow_and_nothing_else() {
    let version = |all: &mut Value, number: u32| all["constants"]["KL_VERSION_NUMBER"] = json!(number);
    let mut old = small();
    version(&mut old, 200);
    let mut new = old.clone();
    version(&mut new, 201);
    only_added(&compare(&old, &new), 0);
    version(&mut new, 199);
    broken(&compare(&old, &new), "KL_VERSION_NUMBER");
}

#[test]
fn the_same_is_no_difference() {
    only_added(&after(|_| {}), 0);
}

#[test]
fn a_moved_field_is_found_on_each_width() {
    for bits in ["64", "32"] {
        let found = after(|new| {
            let all = fields(new, "kl_theirs", bits);
            all[3]["offset"] = json!(20);
        });
        broken(&found, &format!("kl_theirs ({bits} bits): the offset of kind"));
        assert_eq!(found.broken.len(), 1, "{found:?}");
    }
}

#[test]
fn a_field_that_changed_is_found() {
    broken(&after(|new| fields(new, "kl_theirs", "64")[3]["type"] = json!("uint32_t")), "kind was int32_t");
    broken(&after(|new| fields(new, "kl_theirs", "64")[3]["name"] = json!("sort")), "kind is gone");
    broken(&after(|new| drop(fields(new, "kl_theirs", "32").pop())), "kind is gone");
    let found = after(|new| fields(new, "kl_theirs", "64").swap(2, 3));
    only_added(&found, 0); // Only the order in the list: the offsets are the same.
}

#[test]
fn a_changed_number_is_found() {
    broken(&after(|new| new["constants"]["KL_E_X"] = json!(8)), "KL_E_X was 7 and is 8");
    broken(&after(|new| new["constants"]["KL_KEY_X"] = json!("y")), "KL_KEY_X was \"x\"");
    broken(&after(|new| new["typedefs"]["kl_status"] = json!("int64_t")), "kl_status");
}

#[test]
fn what_is_gone_is_found() {
    for (kind, name) in
        [("functions", "kl_x"), ("constants", "KL_E_X"), ("structs", "kl_own"), ("typedefs", "kl_status")]
    {
        broken(&after(|new| drop(new[kind].as_object_mut().unwrap().remove(name))), name);
    }
    broken(&after(|new| new["opaque"] = json!([])), "the handle kl_client");
}

#[test]
fn a_changed_signature_is_found() {
    let param = |new: &mut Value, key: &str, to: &str| new["functions"]["kl_x"]["params"][0][key] = json!(to);
    broken(
        &after(|new| param(new, "type", "int64_t")),
        "kl_status kl_x(int32_t) became kl_status kl_x(int64_t)",
    );
    broken(&after(|new| new["functions"]["kl_x"]["returns"] = json!("void")), "became void kl_x");
    broken(&after(|new| new["functions"]["kl_x"]["params"] = json!([])), "became kl_status kl_x()");
    only_added(&after(|new| param(new, "name", "b")), 0);
}

#[test]
fn every_struct_may_grow() {
    assert_eq!(layout()["fixed_size"], json!([]), "a list in a struct is an array of pointers");
}

#[test]
fn structs_may_grow_unless_they_stand_in_arrays() {
    only_added(&after(|new| grow(new, "kl_theirs")), 2);
    only_added(&after(|new| grow(new, "kl_own")), 2);
    broken(&after(|new| grow(new, "kl_line")), "kl_line (64 bits): its size was 24 and is 32");
    broken(&after(|new| new["structs"]["kl_theirs"]["64"]["size"] = json!(20)), "its size was 24 and is 20");
    // A first field of 64 bits in what an older program laid on its stack; what the library allocates it aligns itself.
    broken(&after(|new| new["structs"]["kl_own"]["32"]["align"] = json!(8)), "its alignment");
    only_added(&after(|new| new["structs"]["kl_theirs"]["32"]["align"] = json!(8)), 0);
}

#[test]
fn padding_belongs_to_no_field() {
    // On 64 bits four bytes follow `kind`: an older caller's struct_size includes them, whatever is in them.
    let into_padding = |name: &'static str| {
        after(move |new| {
            let field = json!({"name": "more", "type": "int32_t", "offset": 20, "size": 4});
            fields(new, name, "64").push(field);
        })
    };
    broken(&into_padding("kl_own"), "more lies in what was padding");
    only_added(&into_padding("kl_theirs"), 1);
}

#[test]
fn what_was_reserved_may_be_used() {
    only_added(&after(|new| fields(new, "kl_own", "64")[1]["name"] = json!("flags")), 1);
}

#[test]
fn new_things_are_no_harm_and_a_new_number_is_a_new_promise() {
    only_added(&after(|new| new["functions"]["kl_y"] = new["functions"]["kl_x"].clone()), 1);
    only_added(&after(|new| new["constants"]["KL_E_Y"] = json!(9)), 1);
    only_added(
        &after(|new| {
            new["abi"] = json!(2);
            new["functions"] = json!({});
        }),
        0,
    );
}
