#![no_main]

use kiosklink::json::{Json, Kind};
use libfuzzer_sys::fuzz_target;

fn walk(json: Json<'_>) {
    match json.kind() {
        Kind::Array => json.array().into_iter().flatten().for_each(walk),
        Kind::Object => {
            if let Ok(object) = json.object() {
                for (name, value) in object.fields() {
                    let _ = object.get(name);
                    walk(*value);
                }
            }
        }
        _ => {
            let _ = (json.string(), json.int(), json.float(), json.bool());
        }
    }
}

fuzz_target!(|data: &[u8]| match Json::parse(data) {
    Ok(json) => walk(json),
    Err(bad) => assert!(!bad.sentence("it").is_empty()),
});
