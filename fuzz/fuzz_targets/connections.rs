#![no_main]

use kiosklink::callback::{Bounds, Connection, Then};
use kiosklink::client::Client;
use kiosklink_fuzz::{check, clients};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

/// What is written for these pieces, and whether an event came.
fn run(clients: &[Client], pieces: &[&[u8]]) -> (Vec<u8>, bool) {
    let bounds = Bounds { max_head: 1024, max_body: 4096, ..Bounds::default() };
    let mut connection = Connection::new(bounds, 0).expect("bounds");
    for client in clients {
        connection.add(client, client.signs_events().then_some("").or(Some("/unsigned"))).expect("an account");
    }
    let mut written = Vec::new();
    for piece in pieces.iter().filter(|p| !p.is_empty()) {
        let mut step = connection.feed(piece, 0).expect("no event waits");
        if let Some(error) = &step.refused {
            check(error);
        }
        if step.then == Then::Reply {
            step = connection.reply(0, "SUCCESS", None, 0).expect("a reply");
            written.extend_from_slice(&step.write);
            return (written, true);
        }
        if step.write.starts_with(b"HTTP/1.1 100") {
            continue;
        }
        written.extend_from_slice(&step.write);
        if !step.write.is_empty() || step.then == Then::Close {
            break;
        }
    }
    (written, false)
}

// The first byte says how the rest is cut: the first answer is the same, however a request comes. Only whether the connection
// is kept may differ, by what came with the request.
fuzz_target!(|data: &[u8]| {
    static CLIENTS: OnceLock<Vec<Client>> = OnceLock::new();
    let [cut, rest @ ..] = data else { return };
    let clients = CLIENTS.get_or_init(clients);
    let plain = |(written, event): (Vec<u8>, bool)| {
        (String::from_utf8_lossy(&written).replace("keep-alive", "close"), event)
    };
    let whole = plain(run(clients, &[rest]));
    let (a, b) = rest.split_at(usize::from(*cut).min(rest.len()));
    assert_eq!(plain(run(clients, &[a, b])), whole);
    let bytes: Vec<&[u8]> = rest.chunks(1).collect();
    assert_eq!(plain(run(clients, &bytes)), whole);
});
