//! Alone in its process, because it counts the process's threads.

mod net;

use kiosklink::transport::{Lookup, Options, Purpose, Url};
use net::*;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

struct Never;

impl Lookup for Never {
    fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        loop {
            thread::park();
        }
    }
}

fn threads() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find_map(|l| l.strip_prefix("Threads:")).unwrap().trim().parse().unwrap()
}

#[test]
fn a_resolver_that_never_answers_does_not_pile_up_threads() {
    let before = threads();
    let t = transport(Options { lookup: Some(Arc::new(Never)), ..options() });
    assert_eq!(threads(), before);
    for i in 0..100 {
        // Other names as well: still one thread per client.
        let url = Url::parse(&format!("http://cabinet{}.test/", i % 3)).unwrap();
        let outcome = call_in(&t, &url, Purpose::Read, Duration::from_millis(5));
        assert_eq!(failed(outcome), ("KL_E_TIMEOUT_DNS", false));
        assert!(threads() <= before + 1);
    }
    assert_eq!(threads(), before + 1);
}
