//! What one `layout.json` takes away from another that promised more. `tests/abi.rs` includes this file too.

use serde_json::Value;

/// What became of a promise.
#[derive(Debug, Default)]
pub struct Difference {
    /// Programs built with the older header break.
    pub broken: Vec<String>,
    /// There is more than before; nobody breaks.
    pub added: Vec<String>,
    /// Functions that came later to a symbol version that was promised without them.
    pub late: Vec<String>,
}

/// Holds the state of the header against an older one.
pub fn compare(old: &Value, new: &Value) -> Difference {
    let mut found = Difference::default();
    // Another number is another promise.
    if old["abi"] != new["abi"] {
        return found;
    }
    for kind in ["constants", "typedefs"] {
        each(&mut found, kind, old, new, |name, old, new, found| {
            // This one tells the versions apart.
            let grows = name == "KL_VERSION_NUMBER" && new.as_u64() > old.as_u64();
            if old != new && !grows {
                found.broken.push(format!("{name} was {old} and is {new}"));
            }
        });
    }
    for kind in ["functions", "callbacks"] {
        each(&mut found, kind, old, new, signature);
    }
    for name in names(&old["opaque"]) {
        if !names(&new["opaque"]).contains(&name) {
            found.broken.push(format!("the handle {name} is gone"));
        }
    }
    let nodes: Vec<&Value> =
        functions(old).map(|(_, f)| &f["node"]).filter(|node| node.is_string()).collect();
    for (name, function) in functions(new).filter(|(name, _)| old["functions"].get(name).is_none()) {
        if nodes.contains(&&function["node"]) {
            found.late.push(format!("{name} in {}", function["node"].as_str().unwrap_or("?")));
        }
    }
    let in_list = |list: &Value, name: &str| names(list).contains(&name);
    each(&mut found, "structs", old, new, |name, was, is, found| {
        let own = in_list(&old["caller_allocated"], name);
        if own != in_list(&new["caller_allocated"], name) {
            found.broken.push(format!("{name}: struct_size came or went"));
        }
        let fixed = in_list(&old["fixed_size"], name) || in_list(&new["fixed_size"], name);
        for bits in ["64", "32"] {
            layout(&format!("{name} ({bits} bits)"), &was[bits], &is[bits], own, fixed, found);
        }
    });
    found
}

fn functions(all: &Value) -> impl Iterator<Item = (&String, &Value)> {
    all["functions"].as_object().into_iter().flatten()
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// What is in both goes to `with`; the rest is gone or new.
fn each(
    found: &mut Difference,
    kind: &str,
    old: &Value,
    new: &Value,
    with: impl Fn(&str, &Value, &Value, &mut Difference),
) {
    for (name, was) in old[kind].as_object().into_iter().flatten() {
        match new[kind].get(name) {
            Some(is) => with(name, was, is, found),
            None => found.broken.push(format!("{name} is gone ({kind})")),
        }
    }
    for (name, _) in new[kind].as_object().into_iter().flatten() {
        if old[kind].get(name).is_none() {
            found.added.push(format!("{name} ({kind})"));
        }
    }
}

/// Names of parameters may change: no compiled program knows them.
fn signature(name: &str, old: &Value, new: &Value, found: &mut Difference) {
    let spelled = |s: &Value| {
        let params = s["params"].as_array().into_iter().flatten();
        let params: Vec<&str> = params.filter_map(|p| p["type"].as_str()).collect();
        format!("{} {name}({})", s["returns"].as_str().unwrap_or("?"), params.join(", "))
    };
    if spelled(old) != spelled(new) {
        found.broken.push(format!("{} became {}", spelled(old), spelled(new)));
    }
    if old["node"].is_string() && old["node"] != new["node"] {
        found.broken.push(format!("{name} had the symbol version {} and has {}", old["node"], new["node"]));
    }
}

/// `own`: its callers allocate it and say how large theirs is. `fixed`: it stands in arrays.
fn layout(name: &str, old: &Value, new: &Value, own: bool, fixed: bool, found: &mut Difference) {
    let list = |v: &Value| v["fields"].as_array().cloned().unwrap_or_default();
    let (was, is) = (list(old), list(new));
    let text = |f: &Value, key: &str| f[key].as_str().unwrap_or("?").to_owned();
    let number = |f: &Value, key: &str| f[key].as_u64().unwrap_or(0);
    for (i, field) in was.iter().enumerate() {
        let title = text(field, "name");
        let Some(now) = is.iter().find(|f| f["name"] == field["name"]) else {
            // What was kept free is there to be used.
            let used = title.starts_with("reserved")
                && is.get(i).is_some_and(|f| f["offset"] == field["offset"] && f["size"] == field["size"]);
            match used {
                true => found.added.push(format!("{name}: {} in the place of {title}", text(&is[i], "name"))),
                false => found.broken.push(format!("{name}: {title} is gone")),
            }
            continue;
        };
        for key in ["offset", "size"] {
            if now[key] != field[key] {
                let (was, is) = (number(field, key), number(now, key));
                found.broken.push(format!("{name}: the {key} of {title} was {was} and is {is}"));
            }
        }
        if now["type"] != field["type"] {
            let (was, is) = (text(field, "type"), text(now, "type"));
            found.broken.push(format!("{name}: {title} was {was} and is {is}"));
        }
    }
    // What the library allocates it aligns itself.
    if (own || fixed) && new["align"] != old["align"] {
        found.broken.push(format!("{name}: its alignment was {} and is {}", old["align"], new["align"]));
    }
    if number(new, "size") < number(old, "size") || (fixed && new["size"] != old["size"]) {
        let why = if fixed { ", and it stands in arrays" } else { "" };
        found.broken.push(format!("{name}: its size was {} and is {}{why}", old["size"], new["size"]));
    }
    for field in is.iter().skip(was.len()) {
        let title = text(field, "name");
        // An older caller's struct_size would claim it, and what is in padding is anything.
        if own && number(field, "offset") < number(old, "size") {
            found
                .broken
                .push(format!("{name}: {title} lies in what was padding; put a reserved field before it"));
        } else {
            found.added.push(format!("{name}: {title}"));
        }
    }
}
