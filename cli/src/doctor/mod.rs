//! `kiosklink doctor`: everything between this device and the platform, one line each.

mod certificates;
mod files;
mod verdict;
mod watch;

use crate::args::Given;
use crate::lang::{language, t};
use crate::out::{Done, Stop, WRONG, coloured, name_of, padded, quoted, say, width, wrapped};
use crate::tr;
use crate::verbs::{CLOCK_OFF_S, system_ms};
use certificates::{Certificate, chain};
use files::{handed_over, journal, names_in, refusals, state, wants_folder};
use kiosklink::client::Client;
use kiosklink::config::{Config, KEYS};
use kiosklink::error::Error;
use kiosklink::json::{Json, Writer};
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
use verdict::{End, Way};

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
    /// How long it took, where that says something.
    ms: Option<u64>,
}

impl Check {
    /// A line for a person, and what to do about it.
    fn print(&self) -> Result<(), Stop> {
        let shown = match self.state {
            State::Good => t("good"),
            State::Look => t("look"),
            State::Bad => t("bad"),
            State::Skipped => "-",
        };
        let indent = if width() < 60 { 2 } else { 19 };
        // Both languages' words are four columns wide.
        let head = padded(shown, 4);
        let line = wrapped(&format!("{head}  {:<11}  {}", self.name, self.what), indent, width());
        let colour = match self.state {
            State::Good => "32",
            State::Look => "33",
            State::Bad => "31;1",
            State::Skipped => "2",
        };
        // Only the word: the columns are counted without the marks.
        say(&line.replacen(&head, &coloured(&head, colour), 1))?;
        if self.cure.is_empty() {
            return Ok(());
        }
        say(&wrapped(&format!("{:indent$}-> {}", "", self.cure), indent + 3, width()))
    }

    fn json(&self) -> String {
        let state = match self.state {
            State::Good => "good",
            State::Look => "look",
            State::Bad => "bad",
            State::Skipped => "skipped",
        };
        let mut w = Writer::new();
        w.text("check", self.name).text("state", state).text("what", &self.what).text("do", &self.cure);
        if let Some(ms) = self.ms {
            w.int("ms", i64::try_from(ms).unwrap_or(i64::MAX));
        }
        w.finish()
    }
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
    /// Why the output ended, if it did.
    ended: Option<Stop>,
    /// The account's name, its platform, and the names of all accounts of the file.
    account: String,
    platform: &'static str,
    accounts: Vec<String>,
    way: Way,
    end: End,
}

impl Findings {
    fn new(json: bool) -> Findings {
        Findings {
            json,
            all: Vec::new(),
            ended: None,
            account: String::new(),
            platform: "",
            accounts: Vec::new(),
            way: Way::default(),
            end: End::NotGone,
        }
    }

    /// One more line, which a person sees at once.
    fn add(&mut self, name: &'static str, state: State, what: impl Into<String>, cure: impl Into<String>) {
        self.add_timed(name, state, what, cure, None);
    }

    fn add_timed(
        &mut self,
        name: &'static str,
        state: State,
        what: impl Into<String>,
        cure: impl Into<String>,
        ms: Option<u64>,
    ) {
        let what = mask(t(&what.into())).into_owned();
        let cure = mask(t(&cure.into())).into_owned();
        let check = Check { name, state, what, cure, ms };
        if !self.json && self.ended.is_none() {
            self.ended = check.print().err();
        }
        self.all.push(check);
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

    /// The names of what is bad.
    fn bad(&self) -> Vec<&'static str> {
        self.all.iter().filter(|c| c.state == State::Bad).map(|c| c.name).collect()
    }

    /// Says whose fault it is, and ends.
    fn end(mut self) -> Done {
        if let Some(stop) = self.ended.take() {
            return Err(stop);
        }
        let bad = self.bad();
        let (fault, verdict) = verdict::of(&self.end, &self.way, &bad);
        if self.json {
            let all: Vec<String> = self.all.iter().map(Check::json).collect();
            let mut w = Writer::new();
            w.raw("ok", if bad.is_empty() { "true" } else { "false" });
            w.text("account", &self.account).text("platform", self.platform);
            if !self.accounts.is_empty() {
                let names: Vec<String> = self.accounts.iter().map(|name| quoted(name)).collect();
                w.raw("accounts", &format!("[{}]", names.join(",")));
            }
            w.text("fault", fault.word()).text("verdict", &verdict);
            w.raw("checks", &format!("[{}]", all.join(",")));
            say(&w.finish())?;
        } else {
            say("")?;
            say(&wrapped(&verdict, 0, width()))?;
            say(if bad.is_empty() { t("Nothing is bad.") } else { t("Something is bad: see above.") })?;
        }
        Ok(if bad.is_empty() { 0 } else { WRONG })
    }
}

/// The names of the accounts of a file, in its order; none if it cannot be read, which its reading says.
fn accounts_of(path: Option<&str>) -> Vec<String> {
    let read = || -> Option<Vec<String>> {
        let bytes = std::fs::read(path?).ok()?;
        let all = Json::parse(&bytes).ok()?.object().ok()?.object(&["accounts"]).ok()??;
        Some(all.fields().iter().map(|(name, _)| name.to_string()).collect())
    };
    read().unwrap_or_default()
}

/// `kiosklink doctor`
pub fn run(given: &Given) -> Done {
    let account = given.args.first().map(String::as_str).or(given.get("account"));
    if given.has("watch") {
        return watch::run(given, account);
    }
    let mut f = Findings::new(given.json());
    let build = format!(
        "kiosklink {}, ABI {}, built {}",
        env!("CARGO_PKG_VERSION"),
        kiosklink::ffi::library::KL_ABI_VERSION,
        format_time(BUILD_TIME)
    );
    f.good("version", build);
    f.accounts = accounts_of(given.accounts_file());
    f.account = match (account, &f.accounts[..]) {
        (Some(name), _) => name.to_owned(),
        (None, [only]) => only.clone(),
        (None, _) => String::new(),
    };
    if account.is_none() && f.accounts.len() > 1 {
        let what = tr!("the file holds {} accounts: {}", f.accounts.len(), f.accounts.join(", "));
        f.add("settings", State::Bad, what, tr!("name one of them: kiosklink doctor {}", f.accounts[0]));
        f.skip(&["state", "dns", "tcp", "tls", "platform", "clock"]);
        return f.end();
    }
    let config = match given.config_of(account) {
        Ok(config) => config,
        Err(Stop::Failed(e)) => {
            f.error("settings", &e, "correct the accounts file; `kiosklink accounts` shows what is read");
            f.skip(&["state", "dns", "tcp", "tls", "platform", "clock"]);
            return f.end();
        }
        Err(other) => return Err(other),
    };
    f.platform = config.platform().name();
    let folder = state(&mut f, &config);
    let refusals_good = refusals(&mut f, &config);
    let folder_bad = f.bad().iter().any(|name| *name != "refusals");
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
    if f.accounts.len() > 1 {
        let what = tr!(
            "{}, complete; this is {}, one of {} accounts: {}",
            name,
            f.account,
            f.accounts.len(),
            f.accounts.join(", ")
        );
        return f.good("settings", what);
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
        let started = Instant::now();
        let found = lookup(&origin.host, origin.port, limit);
        f.way.lookup_ms = millis(started);
        let addresses = match found {
            Ok(addresses) => addresses,
            Err(why) => {
                f.end = End::Lookup;
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
        f.add_timed(
            "dns",
            State::Good,
            tr!("{} is {}", origin.host, list.join(", ")),
            "",
            Some(f.way.lookup_ms),
        );
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
        let took = millis(started);
        f.way.connect_ms = took;
        match reached {
            Ok(address) => {
                let what = tr!("{} answers in {} ms", address, took);
                f.add_timed("tcp", State::Good, what, "", Some(took));
            }
            Err(why) => {
                f.end = End::Connect;
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
    platform_says(f, client, origin.scheme == Scheme::Https);
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
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
    let took = millis(started);
    // The library looks the name up and connects once more.
    f.way.handshake_ms = took.saturating_sub(f.way.lookup_ms + f.way.connect_ms);
    let chain = chain();
    if let Err(e) = verdict {
        f.end = End::Handshake(e.clone());
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
        (Some((c, days)), _) if days < DAYS_LEFT => f.add_timed(
            "tls",
            State::Look,
            tr!("verified in {} ms; the certificate of {} ends in {} days, {}", took, c.subject, days, format_time(c.not_after)),
            "then nothing works any more: tell whoever runs the server",
            Some(took),
        ),
        // It would have been refused if it were needed.
        (_, Some(c)) => f.add_timed(
            "tls",
            State::Look,
            tr!("verified in {} ms; the server shows the certificate of {} too, which ended {} and is not needed", took, c.subject, format_time(c.not_after)),
            "tell whoever runs the server: other devices may stumble over it",
            Some(took),
        ),
        (Some((_, days)), None) => {
            let what = tr!("verified in {} ms; {} days left: {}", took, days, described.join(", "));
            f.add_timed("tls", State::Good, what, "", Some(took));
        }
        (None, None) => {
            f.add_timed("tls", State::Good, tr!("verified in {} ms", took), "", Some(took));
        }
    }
    true
}

/// Whether what answered was TLS all the same, by the library's words: then the port is right.
fn spoke_tls(words: &str) -> bool {
    ["cipher", "refused the TLS handshake", "rules of TLS", "(alert "].iter().any(|w| words.contains(w))
}

/// The credentials, and the clock by the platform's.
fn platform_says(f: &mut Findings, client: &Client, verified: bool) {
    let started = Instant::now();
    match client.ping() {
        Ok(()) => {
            let took = millis(started);
            f.way.answer_ms = Some(took);
            f.end = End::Answered;
            f.add_timed(
                "platform",
                State::Good,
                tr!("takes the credentials, in {} ms", took),
                "",
                Some(took),
            );
        }
        Err(e) => {
            f.end = End::Answer { error: e.clone(), verified };
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
        _ => {
            let (more, cure) = zone_words(ahead);
            f.add("clock", State::Bad, format!("{}{more}", what(side)), cure);
        }
    }
}

/// What else is to be said of a clock that is so many seconds ahead, and what to do: a difference of whole hours is no drift.
fn zone_words(ahead: i64) -> (String, &'static str) {
    const CHINA_S: i64 = 8 * 3600;
    // As far as a real-time clock drifts in some months.
    let about = |s: i64| (ahead - s).abs() <= CLOCK_BAD_S;
    if about(CHINA_S) {
        let more = t("; eight hours are China Standard Time: the RTC keeps the local time as if it were UTC");
        return (
            more.to_owned(),
            "set the clock to UTC and write it into the RTC (hwclock --systohc --utc); China's time is a matter of the zone (Asia/Shanghai)",
        );
    }
    if about(-CHINA_S) {
        let more = t("; eight hours are China Standard Time: the RTC keeps UTC and is read as local time");
        return (
            more.to_owned(),
            "say that the RTC keeps UTC (timedatectl set-local-rtc 0, or UTC in /etc/adjtime), then set the clock",
        );
    }
    let hours = (ahead.abs() + 1800) / 3600;
    if (1..=14).contains(&hours) && about(ahead.signum() * hours * 3600) {
        return (
            tr!("; that is a zone's difference, {} h: local time and UTC are mixed up in the RTC", hours),
            "let the RTC keep UTC (timedatectl set-local-rtc 0), set the clock, and let the zone do the rest",
        );
    }
    (
        String::new(),
        "set the clock; kiosklink signs with the platform's time, but certificates and logs need it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_hours_are_known_for_what_they_are() {
        for (ahead, words, cure) in [
            (28_800, "local time as if it were UTC", "--systohc --utc"),
            (28_800 - 300, "local time as if it were UTC", "--systohc --utc"),
            (28_800 + 300, "local time as if it were UTC", "--systohc --utc"),
            (-28_800, "is read as local time", "/etc/adjtime"),
            (3_600, "zone's difference, 1 h", "set-local-rtc"),
            (-7_201, "zone's difference, 2 h", "set-local-rtc"),
            (28_800 + 301, "", "kiosklink signs with"),
            (301, "", "kiosklink signs with"),
            (5_400, "", "kiosklink signs with"),
            (15 * 3_600, "", "kiosklink signs with"),
            (-86_400 * 400, "", "kiosklink signs with"),
        ] {
            let (more, advice) = zone_words(ahead);
            assert!(more.contains(words) && more.is_empty() == words.is_empty(), "{ahead}: {more}");
            assert!(advice.contains(cure), "{ahead}: {advice}");
        }
    }
}
