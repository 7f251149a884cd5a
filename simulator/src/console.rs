//! The console in the browser: its files, the news that it lives on, and who may not use it.
//!
//! Nothing here changes the world. What the console does it does through the control API, like everybody else.

use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::control;
use crate::message::{Reply, Request};
use crate::state::State;

/// How many cabinets, orders, openings and the like are shown: the first of what stands there, the last of what
/// happens.
const SHOWN: usize = 60;
/// How many requests a console that has just come is told about.
const REQUESTS: usize = 200;
/// How much of a text is shown.
const TEXT: usize = 4_000;

/// Only what comes from here, no markup from texts, and in nobody's frame.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const FILES: [(&str, &str, &str); 5] = [
    ("/", "text/html; charset=utf-8", include_str!("../assets/console.html")),
    ("/console/console.css", "text/css; charset=utf-8", include_str!("../assets/console.css")),
    ("/console/console.js", "text/javascript; charset=utf-8", include_str!("../assets/console.js")),
    ("/console/texts.js", "text/javascript; charset=utf-8", include_str!("../assets/texts.js")),
    ("/console/icon.svg", "image/svg+xml", include_str!("../assets/icon.svg")),
];

/// Whether a path belongs to the console's page.
pub fn is_part(path: &str) -> bool {
    FILES.iter().any(|(known, ..)| *known == path)
}

/// A part of the console's page.
pub fn part(request: &Request) -> Option<Reply> {
    let (_, kind, text) = FILES.iter().find(|(path, ..)| *path == request.path)?;
    if request.method != "GET" {
        let mut reply = Reply::json(405, &json!({"error": "the console is only there to be read"}));
        reply.headers.push(("Allow".into(), "GET".into()));
        return Some(reply);
    }
    let mut reply = guarded(Reply::new(200, kind, *text));
    reply.headers.push(("Content-Security-Policy".into(), POLICY.into()));
    reply.headers.push(("X-Frame-Options".into(), "DENY".into()));
    Some(reply)
}

/// The head of the stream of news.
pub fn stream() -> Reply {
    guarded(Reply::new(200, "text/event-stream; charset=utf-8", ""))
}

fn guarded(mut reply: Reply) -> Reply {
    for (name, value) in [
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    ] {
        reply.headers.push((name.into(), value.into()));
    }
    reply
}

/// Refuses what a browser sends for somebody else's page. A program sends none of these headers and is not asked.
///
/// - `Host` must be the loopback at the control API and the console: a name of somebody's that is made to point here
///   (DNS rebinding) would else be the same origin.
/// - `Origin`, where there is one, must be this very address, at the platforms too: their accounts are no secret.
/// - `Sec-Fetch-Site`, where there is one, must not say that another page is behind the request. A link to the
///   console may be followed from anywhere.
pub fn refuse(request: &Request) -> Option<Reply> {
    let no = |why: String| {
        let mut reply = Reply::json(403, &json!({"error": why}));
        reply.headers.push(("Connection".into(), "close".into()));
        Some(reply)
    };
    let page = is_part(&request.path);
    let host = request.header("host");
    if let Some(host) = host.filter(|host| !is_loopback(host)) {
        if page || request.path.starts_with("/_sim") {
            return no(format!(
                "the simulator is at localhost, not at {host:?}: control requests must name the loopback as their Host"
            ));
        }
    }
    if let Some(origin) = request.header("origin") {
        let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        let own = authority
            .is_some_and(|a| is_loopback(a) && host.is_some_and(|host| host.eq_ignore_ascii_case(a)));
        if !own {
            return no(format!("a page at {origin:?} must not control the simulator"));
        }
    }
    match request.header("sec-fetch-site") {
        Some(site) if !page && !["same-origin", "none"].contains(&site) => {
            no(format!("a page from elsewhere ({site}) must not control the simulator"))
        }
        _ => None,
    }
}

/// Whether a host, perhaps with a port, is this computer and nothing else.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, "")) => host,
            Some((host, port)) if port.starts_with(':') => host,
            _ => return false,
        },
        None => authority.split_once(':').map_or(authority, |(host, _)| host),
    };
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) => v6.to_ipv4_mapped().map_or(v6.is_loopback(), |v4| v4.is_loopback()),
        Ok(v4) => v4.is_loopback(),
        Err(_) => {
            let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

/// What one console has been told, so that it is told only what is new.
#[derive(Default)]
pub struct News {
    told: HashMap<&'static str, String>,
    /// The last request told of, and how often the log had been forgotten then.
    last: u64,
    forgotten: Option<u64>,
}

impl News {
    /// What has changed since the last call, as server-sent events. With `beat` the clock is told in any case.
    pub fn tell(&mut self, state: &State, beat: bool) -> String {
        let core = &state.core;
        let mut out = String::new();
        let clock = control::clock(state);
        let pace = json!([clock["offset_ms"].as_i64().unwrap_or(0) / 100, clock["frozen"]]).to_string();
        if self.told.insert("pace", pace.clone()).is_none_or(|old| old != pace) || beat {
            event(&mut out, "clock", &clock.to_string());
        }
        let world = &core.world;
        let cabinets: Vec<_> = (0..world.cabinet_count().min(SHOWN as u64))
            .filter_map(|i| world.cabinet_at(i))
            .chain(world.touched.values().take(SHOWN).filter(|t| !is_shown(world, &t.id)).cloned())
            .collect();
        self.section(
            &mut out,
            "world",
            json!({"goods": world.goods, "cabinets": cabinets, "cabinet_count": world.cabinet_count()}),
        );
        let openings = &world.openings;
        self.section(
            &mut out,
            "openings",
            json!({
                "count": openings.len(),
                "list": &openings[openings.len().saturating_sub(SHOWN)..],
            }),
        );
        for platform in state.platforms() {
            self.section(&mut out, platform.name(), platform.world());
        }
        self.section(&mut out, "faults", core.faults.show());
        self.section(&mut out, "dialects", json!({"on": core.dialects.show()["on"]}));
        let deliveries = core.callbacks.deliveries();
        let list: Vec<_> =
            deliveries.iter().skip(deliveries.len().saturating_sub(SHOWN)).map(|d| d.show()).collect();
        self.section(
            &mut out,
            "callbacks",
            json!({
                "count": deliveries.len(), "list": list, "targets": core.callbacks.targets(),
                "hold": core.callbacks.settings.hold,
            }),
        );
        self.requests(&mut out, state);
        out
    }

    fn section(&mut self, out: &mut String, name: &'static str, mut value: Value) {
        shorten(&mut value);
        let text = value.to_string();
        if self.told.get(name) != Some(&text) {
            event(out, name, &text);
            self.told.insert(name, text);
        }
    }

    fn requests(&mut self, out: &mut String, state: &State) {
        let fresh = self.forgotten != Some(state.forgotten());
        if fresh {
            (self.last, self.forgotten) = (0, Some(state.forgotten()));
        }
        let number = |entry: &Value| entry["number"].as_u64().unwrap_or(0);
        let last = self.last;
        let mut list: Vec<Value> =
            state.core.log().rev().take(REQUESTS).take_while(|e| number(e) > last).cloned().collect();
        if list.is_empty() && !fresh {
            return;
        }
        list.reverse();
        self.last = list.last().map_or(last, number);
        list.iter_mut().for_each(shorten);
        event(out, "requests", &json!({"fresh": fresh, "list": list}).to_string());
    }
}

fn is_shown(world: &crate::world::World, id: &str) -> bool {
    (0..world.cabinet_count().min(SHOWN as u64)).any(|i| world.cabinet_at(i).is_some_and(|c| c.id == id))
}

/// One event; JSON has no line ends of its own, so one `data` line holds it.
fn event(out: &mut String, name: &str, data: &str) {
    for part in ["event: ", name, "\ndata: ", data, "\n\n"] {
        out.push_str(part);
    }
}

/// Cuts long texts, and all but the last members of long lists.
fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > TEXT => {
            let end = (0..=TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(end);
            text.push('…');
        }
        Value::Array(list) => {
            list.drain(..list.len().saturating_sub(2 * REQUESTS));
            list.iter_mut().for_each(shorten);
        }
        Value::Object(members) => members.values_mut().for_each(shorten),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_and_nothing_else() {
        for host in ["localhost", "LOCALHOST:8443", "localhost.:1", "a.localhost", "127.0.0.1:1", "127.9.9.9"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["[::1]:8443", "[::1]", "[::ffff:127.0.0.1]:1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[::2]",
            "[::1]x",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn other_origins_are_refused_and_programs_are_not() {
        let ask = |path: &str, headers: &[(&str, &str)]| {
            let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            let request = Request { method: "POST".into(), path: path.into(), headers, ..Request::default() };
            refuse(&request).map(|reply| reply.status)
        };
        let here = ("Host", "localhost:8443");
        for path in ["/_sim/doors", "/yopoint/api/gateway/index"] {
            assert_eq!(ask(path, &[here]), None);
            assert_eq!(ask(path, &[]), None);
            assert_eq!(ask(path, &[here, ("Origin", "https://localhost:8443")]), None);
            for origin in
                ["http://evil.example", "http://localhost:3000", "null", "http://localhost:8443.evil.example"]
            {
                assert_eq!(ask(path, &[here, ("Origin", origin)]), Some(403), "{origin}");
            }
            assert_eq!(ask(path, &[here, ("Sec-Fetch-Site", "same-site")]), Some(403));
            assert_eq!(ask(path, &[here, ("Sec-Fetch-Site", "same-origin")]), None);
            let rebound = [("Host", "evil.example:8443"), ("Origin", "http://evil.example:8443")];
            assert_eq!(ask(path, &rebound), Some(403));
        }
        assert_eq!(ask("/_sim/doors", &[("Host", "evil.example:8443")]), Some(403));
        assert_eq!(ask("/", &[("Host", "evil.example:8443")]), Some(403));
        assert_eq!(ask("/", &[here, ("Sec-Fetch-Site", "cross-site")]), None);
        // Firmware calls the platforms by whatever name it has been given.
        assert_eq!(ask("/yopoint/api/gateway/index", &[("Host", "gateway.test")]), None);
    }

    #[test]
    fn only_news_is_told() {
        let mut state = State::new(1, 100, "https://localhost:1".into(), "http://localhost:1".into());
        let mut news = News::default();
        let first = news.tell(&state, true);
        for name in
            ["clock", "world", "openings", "yopoint", "dingshang", "youzan", "zhiyun", "faults", "callbacks"]
        {
            assert!(first.contains(&format!("event: {name}\n")), "{name}");
        }
        assert!(first.contains("event: requests\ndata: {\"fresh\":true,\"list\":[]}\n\n"), "{first}");
        assert_eq!(news.tell(&state, false), "");
        state.core.world.cabinets[0].doors[0].jammed = true;
        let second = news.tell(&state, false);
        assert!(second.starts_with("event: world\n") && second.matches("event: ").count() == 1, "{second}");
        state.forget_log();
        assert!(news.tell(&state, false).contains("\"fresh\":true"));
    }

    #[test]
    fn long_texts_and_lists_are_cut() {
        let mut value = json!({"a": "柜".repeat(9_000), "b": vec![1; 5_000]});
        shorten(&mut value);
        assert!(value["a"].as_str().is_some_and(|t| t.len() <= TEXT + 3 && t.ends_with('…')));
        assert_eq!(value["b"].as_array().map(Vec::len), Some(2 * REQUESTS));
    }
}
