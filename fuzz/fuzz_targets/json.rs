#![no_main]

use kiosklink::json::{Json, Kind, Tape};
use libfuzzer_sys::fuzz_target;

/// The same document, read from its text and from its tape.
fn walk(json: Json<'_>, taped: Json<'_>) {
    assert_eq!(json, taped);
    match json.kind() {
        Kind::Array => {
            let (Ok(all), Ok(same)) = (json.array(), taped.array()) else { panic!("an array is one") };
            assert_eq!(all.len(), same.len());
            all.into_iter().zip(same).for_each(|(json, taped)| walk(json, taped));
        }
        Kind::Object => match (json.object(), taped.object()) {
            (Ok(object), Ok(same)) => {
                assert_eq!(object.fields(), same.fields());
                for ((name, value), (_, taped)) in object.fields().iter().zip(same.fields()) {
                    assert_eq!(object.get(name), same.get(name));
                    assert_eq!(object.last(name), same.last(name));
                    walk(*value, *taped);
                }
            }
            (object, same) => assert_eq!(object.err(), same.err()),
        },
        _ => {
            assert_eq!(json.string(), taped.string());
            let _ = (json.int(), json.float(), json.bool());
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut tape = Tape::default();
    match Json::parse(data) {
        Ok(json) => {
            let Ok(text) = std::str::from_utf8(data) else { panic!("JSON is UTF-8") };
            match Json::parse_all(text, &mut tape) {
                Ok(taped) => walk(json, taped),
                Err(bad) => panic!("{}", bad.sentence("it")),
            }
        }
        Err(bad) => {
            assert!(!bad.sentence("it").is_empty());
            if let Ok(text) = std::str::from_utf8(data) {
                assert_eq!(Json::parse_all(text, &mut tape), Err(bad));
            }
        }
    }
});
