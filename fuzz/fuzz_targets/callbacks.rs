#![no_main]

use kiosklink_fuzz::{check, platforms};
use libfuzzer_sys::fuzz_target;

// The first byte chooses the platform; a body follows the headers behind an empty line, if there is one.
fuzz_target!(|data: &[u8]| {
    let [which, rest @ ..] = data else { return };
    let platforms = platforms();
    let platform = &platforms[usize::from(*which) % platforms.len()];
    let cut = rest.windows(4).position(|w| w == b"\r\n\r\n");
    let (head, body) = cut.map_or((&b""[..], rest), |at| (&rest[..at], &rest[at + 4..]));
    match platform.event(&String::from_utf8_lossy(head), body, 1_700_000_000_000) {
        Ok(event) => {
            if let Err(e) = platform.event_reply(&event, 0, "SUCCESS", None) {
                check(&e);
            }
        }
        Err(e) => check(&e),
    }
});
