//! `kiosklink doctor`: everything between this device and the platform, one line each.

mod certificates;
mod files;

use crate::args::Given;
use crate::lang::{language, t};
use crate::out::{Done, WRONG, coloured, name_of, padded, say, width, wrapped};
use crate::tr;
use crate::verbs::{CLOCK_OFF_S, system_ms};
use certificates::{Certificate, chain};
use files::{handed_over, journal, names_in, refusals, state, wants_folder};
use kiosklink::client::Client;
use kiosklink::config::{Config, KEYS};
use kiosklink::error::Error;
use kiosklink::json::Writer;
use kiosklink::log::mask;
use kiosklink::platform;
use kiosklink::status::*;
use kiosklink::time::clock::{BUILD_TIME, Source, format_time};
use kiosklink::transport::{Scheme, Url};
use kiosklink::wording::{self, Language};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A certificate that ends sooner than this is worth a word.
const DAYS_LEFT: i64 = 14;
/// A clock further off than this is bad: logs and certificates need it, even if signing does not.
const CLOCK_BAD_S: i64 = 300;
/// What is wrong with the client's certificate is told in the handshake, or with the first answer.
const CLIENT_CERT: &str = "set client_cert_file and client_key_file as the platform gave them";
const SERVER: &str = "it speaks TLS, but not as it must: show this line to whoever runs the server";
const PORT: &str = "does the port speak TLS?";
const PROXY: &str = "is proxy right, its password too, and may it connect to the platform?";

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    Look,
    Bad,
    /// Not looked at, because something before it is bad.
    Skipped,
}

struct Check {
    name: &'static str,
    state: State,
    what: String,
    cure: String,
}

/// An error in a line: in Chinese the meaning of its code before the library's own message.
fn said(error: &Error) -> String {
    let own = format!("{} ({})", error.message(), name_of(error));
    match language() {
        Language::English => own,
        Language::Chinese => format!("{}{own}", wording::of_status(error.status(), Language::Chinese)),
    }
}

/// What was found, line by line.
struct Findings {
    json: bool,
    all: Vec<Check>,
}

impl Findings {
    fn add(&mut self, name: &'static str, state: State, what: impl Into<String>, cure: impl Into<String>) {
        self.all.push(Check {
            name,
            state,
            what: mask(t(&what.into())).into_owned(),
            cure: mask(t(&cure.into())).into_owned(),
        });
    }

    fn good(&mut self, name: &'static str, what: impl Into<String>) {
        self.add(name, State::Good, what, "");
    }

    fn error(&mut self, name: &'static str, error: &Error, cure: &str) {
        self.add(name, State::Bad, said(error), cure);
    }

    fn skip(&mut self, names: &[&'static str]) {
        for name in names {
            self.add(name, State::Skipped, "not looked at", "");
        }
    }

    /// Prints all of it and ends.
    fn end(self) -> Done {
        let bad = self.all.iter().any(|c| c.state == State::Bad);
        let shown = |state| match state {
            State::Good => t("good"),
            State::Look => t("look"),
            State::Bad => t("bad"),
            State::Skipped => "-",
        };
        let word = |state| match state {
            State::Good => "good",
            State::Look => "look",
            State::Bad => "bad",
            State::Skipped => "-",
        };
        if self.json {
            let all: Vec<String> = self
                .all
                .iter()
                .map(|c| {
                    let mut w = Writer::new();
                    w.text("check", c.name)
                        .text("state", if c.state == State::Skipped { "skipped" } else { word(c.state) });
                    w.text("what", &c.what).text("do", &c.cure);
                    w.finish()
                })
                .collect();
            let mut w = Writer::new();
            w.raw("ok", if bad { "false" } else { "true" }).raw("checks", &format!("[{}]", all.join(",")));
            say(&w.finish())?;
        } else {
            let indent = if width() < 60 { 2 } else { 19 };
            for c in &self.all {
                // Both languages' words are four columns wide.
                let head = padded(shown(c.state), 4);
                let line = wrapped(&format!("{head}  {:<11}  {}", c.name, c.what), indent, width());
                let colour = match c.state {
                    State::Good => "32",
                    State::Look => "33",
                    State::Bad => "31;1",
                    State::Skipped => "2",
                };
                // Only the word: the columns are counted without the marks.
                say(&line.replacen(&head, &coloured(&head, colour), 1))?;
                if !c.cure.is_empty() {
                    say(&wrapped(&format!("{:indent$}-> {}", "", c.cure), indent + 3, width()))?;
                }
            }
            say(&format!(
                "\n{}",
                if bad { t("Something is bad: see above.") } else { t("Nothing is bad.") }
            ))?;
        }
        Ok(if bad { WRONG } else { 0 })
    }
}

/// `kiosklink doctor`
pub fn run(given: &Given) -> Done {
    let mut f = Findings { json: given.json(), all: Vec::new() };
    let build = format!(
        "kiosklink {}, ABI {}, built {}",
        env!("CARGO_PKG_VERSION"),
        kiosklink::ffi::library::KL_ABI_VERSION,
        format_time(BUILD_TIME)
    );
    f.good("version", build);
    let account = given.args.first().map(String::as_str).or(given.get("account"));
    let config = match given.config_of(account) {
        Ok(config) => config,
        Err(crate::out::Stop::Failed(e)) => {
            f.error("settings", &e, "correct the accounts file; `kiosklink accounts` shows what is read");
            f.skip(&["state", "dns", "tcp", "tls", "platform", "clock"]);
            return f.end();
        }
        Err(other) => return Err(other),
    };
    let mut of_files = Findings { json: false, all: Vec::new() };
    let folder = state(&mut of_files, &config);
    let refusals_good = refusals(&mut of_files, &config);
    let folder_bad = of_files.all.iter().any(|c| c.state == State::Bad && c.name != "refusals");
    let before = folder.map(names_in).unwrap_or_default();
    let make = |c: &Config| platform::make(c).and_then(|p| Ok((p.origin().clone(), Client::new(c)?)));
    // What is wrong with a file is told once, and does not hide what is wrong with the network.
    let mut left_out = Vec::new();
    left_out.extend((!refusals_good).then_some("refusals_file"));
    left_out.extend(folder_bad.then_some("state_dir"));
    let library = make(&config).or_else(|e| {
        let trial = (1..1 << left_out.len()).find_map(|some: usize| {
            let without = left_out.iter().enumerate().filter(|(i, _)| some >> i & 1 == 1).map(|(_, k)| *k);
            make(&without_keys(&config, &without.collect::<Vec<_>>())?).ok()
        });
        trial.ok_or(e)
    });
    settings(&mut f, given, &config, library.as_ref().err());
    f.all.append(&mut of_files.all);
    match library {
        Ok((origin, client)) => {
            match folder {
                Some(folder) => {
                    journal(&mut f, &config, folder, &client);
                    handed_over(folder, &before);
                }
                None if wants_folder(&config) => f.skip(&["filesystem", "journal", "identity"]),
                None => {}
            }
            network(&mut f, &config, &origin, &client);
        }
        Err(_) => f.skip(&["dns", "tcp", "tls", "platform", "clock"]),
    }
    f.end()
}

/// The same account without some of its settings.
fn without_keys(config: &Config, keys: &[&str]) -> Option<Config> {
    let mut without = Config::new(config.platform().name()).ok()?;
    for key in KEYS.iter().filter(|k| !keys.contains(&k.name)) {
        if let Some(value) = config.get(key.name) {
            without.set(key.name, value).ok()?;
        }
    }
    Some(without)
}

fn settings(f: &mut Findings, given: &Given, config: &Config, error: Option<&Error>) {
    if let Some(e) = error {
        return f.error(
            "settings",
            e,
            "correct the account's settings; `kiosklink accounts` shows what is read",
        );
    }
    let name = config.platform().name();
    if let Some(path) = given.get("accounts") {
        use std::os::unix::fs::MetadataExt;
        if Path::new(path).metadata().is_ok_and(|m| m.mode() & 0o004 != 0) {
            return f.add(
                "settings",
                State::Look,
                tr!("{}; every user of this device can read the secrets in {}", name, path),
                format!("chmod 600 {path}"),
            );
        }
    }
    f.good("settings", tr!("{}, complete", name));
}

fn network(f: &mut Findings, config: &Config, origin: &Url, client: &Client) {
    let limit = Duration::from_millis(config.number("connect_timeout_ms").into());
    let proxied = config.get("proxy").is_some();
    if proxied {
        f.add("dns", State::Skipped, "the proxy looks the name up", "");
        f.add("tcp", State::Skipped, "the proxy connects", "");
    } else {
        let addresses = match lookup(&origin.host, origin.port, limit) {
            Ok(addresses) => addresses,
            Err(why) => {
                f.add(
                    "dns",
                    State::Bad,
                    why,
                    "is the network up, is /etc/resolv.conf right, is base_url spelled right?",
                );
                return f.skip(&["tcp", "tls", "platform", "clock"]);
            }
        };
        let list: Vec<String> = addresses.iter().map(|a| a.ip().to_string()).collect();
        f.good("dns", tr!("{} is {}", origin.host, list.join(", ")));
        let started = Instant::now();
        let mut reached = Err(String::new());
        for address in &addresses {
            match TcpStream::connect_timeout(address, limit) {
                Ok(_) => {
                    reached = Ok(*address);
                    break;
                }
                Err(e) => reached = Err(format!("{address}: {e}")),
            }
        }
        match reached {
            Ok(address) => f.good("tcp", tr!("{} answers in {} ms", address, started.elapsed().as_millis())),
            Err(why) => {
                f.add(
                    "tcp",
                    State::Bad,
                    why,
                    "is the port right? Does a firewall, or the SIM's tariff, let it through?",
                );
                return f.skip(&["tls", "platform", "clock"]);
            }
        }
        if origin.scheme == Scheme::Https && !tls(f, client, PORT, || chain(origin, &addresses, limit)) {
            return f.skip(&["platform", "clock"]);
        }
    }
    // What the proxy shows is the library's affair: only its verdict is told.
    if proxied && origin.scheme == Scheme::Https && !tls(f, client, PROXY, Vec::new) {
        return f.skip(&["platform", "clock"]);
    }
    if origin.scheme == Scheme::Http {
        f.add("tls", State::Look, "plain http: nothing is verified or hidden", "for a test on a desk only");
    }
    platform_says(f, client);
}

/// The addresses of a name. The system's lookup knows no limit, so it is left behind when its time is up.
fn lookup(host: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, String> {
    let (tell, told) = mpsc::channel();
    let name = host.to_owned();
    let job = move || {
        let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        // Nobody may be waiting any more.
        let _ = tell.send(found);
    };
    std::thread::Builder::new()
        .name("doctor-dns".into())
        .spawn(job)
        .map_err(|e| tr!("no thread for the lookup: {}", e))?;
    match told.recv_timeout(limit) {
        Ok(Ok(all)) if all.is_empty() => Err(tr!("{} has no address: the answer is empty", host)),
        Ok(Ok(all)) => Ok(all),
        Ok(Err(e)) => Err(tr!("{} has no address: {}", host, e)),
        Err(_) => Err(tr!("no answer within {} ms to the lookup of {}", limit.as_millis(), host)),
    }
}

/// The library's verdict on the handshake, and the chain with its days. `way` is the cure of what is not TLS's own.
fn tls(f: &mut Findings, client: &Client, way: &str, chain: impl FnOnce() -> Vec<Certificate>) -> bool {
    let started = Instant::now();
    let verdict = client.warm();
    let took = started.elapsed().as_millis();
    let chain = chain();
    if let Err(e) = verdict {
        let cure = match e.status() {
            KL_E_TLS_EXPIRED => {
                "is this device's clock right? If it is, whoever runs the server must renew it"
            }
            KL_E_TLS_NOT_YET_VALID => "set this device's clock: it is probably behind",
            KL_E_TLS_WRONG_NAME => {
                "is base_url right? Or does something between here and there answer in its place?"
            }
            KL_E_TLS_UNTRUSTED if e.message().contains("intermediate certificate is missing") => {
                "whoever runs the server must let it send the intermediate certificate too; or is ca_file another CA's?"
            }
            KL_E_TLS_UNTRUSTED if !e.message().contains("no known root") => {
                "whoever runs the server must replace the certificate"
            }
            KL_E_TLS_UNTRUSTED => {
                "is ca_file the right one? Or does something between here and there (a portal, a filter) answer in its place?"
            }
            KL_E_TLS_PIN => "the key is not the pinned one: a new certificate, or a man in the middle",
            KL_E_TLS_CLIENT_CERT => CLIENT_CERT,
            KL_E_CLOCK => "set this device's clock",
            KL_E_TIMEOUT_TLS => {
                "TCP is taken but TLS is not answered: a firewall, an overloaded server, or a port that speaks something else"
            }
            KL_E_TLS if spoke_tls(e.message()) => SERVER,
            KL_E_TLS => PORT,
            _ => way,
        };
        let shown = chain.first().map(|c| {
            tr!("; the server shows {} by {}, until {}", c.subject, c.issuer, format_time(c.not_after))
        });
        let what = format!("{}{}", said(&e), shown.unwrap_or_default());
        f.add("tls", State::Bad, what, cure);
        return false;
    }
    // A clock that was never set says nothing about days.
    let now = (system_ms() / 1000).max(BUILD_TIME);
    let (ended, valid): (Vec<&Certificate>, Vec<&Certificate>) =
        chain.iter().partition(|c| c.not_after < now);
    let described: Vec<String> = chain.iter().map(|c| tr!("{} by {}", c.subject, c.issuer)).collect();
    let soonest = valid.iter().min_by_key(|c| c.not_after);
    let days = soonest.map(|c| (c, (c.not_after - now) / 86_400));
    match (days, ended.first()) {
        (Some((c, days)), _) if days < DAYS_LEFT => f.add(
            "tls",
            State::Look,
            tr!("verified in {} ms; the certificate of {} ends in {} days, {}", took, c.subject, days, format_time(c.not_after)),
            "then nothing works any more: tell whoever runs the server",
        ),
        // It would have been refused if it were needed.
        (_, Some(c)) => f.add(
            "tls",
            State::Look,
            tr!("verified in {} ms; the server shows the certificate of {} too, which ended {} and is not needed", took, c.subject, format_time(c.not_after)),
            "tell whoever runs the server: other devices may stumble over it",
        ),
        (Some((_, days)), None) => {
            f.good("tls", tr!("verified in {} ms; {} days left: {}", took, days, described.join(", ")))
        }
        (None, None) => f.good("tls", tr!("verified in {} ms", took)),
    }
    true
}

/// Whether what answered was TLS all the same, by the library's words: then the port is right.
fn spoke_tls(words: &str) -> bool {
    ["cipher", "refused the TLS handshake", "rules of TLS", "(alert "].iter().any(|w| words.contains(w))
}

/// The credentials, and the clock by the platform's.
fn platform_says(f: &mut Findings, client: &Client) {
    let started = Instant::now();
    match client.ping() {
        Ok(()) => f.good("platform", tr!("takes the credentials, in {} ms", started.elapsed().as_millis())),
        Err(e) => {
            let cure = match e.status() {
                KL_E_HTTP | KL_E_PROTOCOL
                    if (200..400).contains(&e.details().http_status) || e.status() == KL_E_PROTOCOL =>
                {
                    "something else than the platform answers: a captive portal or proxy on this network, or base_url is wrong"
                }
                KL_E_HTTP if e.details().http_status >= 500 => {
                    "the platform is in trouble: try later, then ask the vendor"
                }
                KL_E_HTTP => "is base_url right?",
                KL_E_RATE_LIMIT => "too many calls: wait; is something else using this account in a loop?",
                KL_E_AUTH => {
                    "the id or the secret is wrong: compare with the vendor's console; `kiosklink sign explain` shows what is signed"
                }
                KL_E_TIMESTAMP => "set this device's clock: the answers do not contain the platform's time",
                KL_E_TOKEN => "a person must renew the authorisation or the access token",
                KL_E_PERMISSION | KL_E_ACCOUNT => "the account's owner must see to it",
                KL_E_TLS_CLIENT_CERT => CLIENT_CERT,
                KL_E_PROXY => PROXY,
                KL_E_TIMEOUT_REPLY => {
                    "the platform takes the request but does not answer: try later, then ask the vendor"
                }
                _ => "try again; if it stays, ask the vendor",
            };
            f.error("platform", &e, cure);
        }
    }
    let system = system_ms() / 1000;
    if client.time_source() != Source::Platform {
        return f.add(
            "clock",
            State::Look,
            tr!("it is {} here; the platform did not report its time", format_time(system)),
            "compare it with a watch",
        );
    }
    let ahead = system - client.now_ms() / 1000;
    let what = |side: &str| {
        tr!(
            "this device says {}, which is {} s {} the platform's time",
            format_time(system),
            ahead.abs(),
            side
        )
    };
    let side = if ahead > 0 { t("ahead of") } else { t("behind") };
    match ahead.abs() {
        0..=CLOCK_OFF_S => f.good("clock", tr!("{}, as the platform has it", format_time(system))),
        s if s <= CLOCK_BAD_S => {
            f.add("clock", State::Look, what(side), "set the clock, and keep it set (NTP)")
        }
        _ => f.add(
            "clock",
            State::Bad,
            what(side),
            "set the clock; kiosklink signs with the platform's time, but certificates and logs need it",
        ),
    }
}
