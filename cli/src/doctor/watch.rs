//! `kiosklink doctor --watch`: a small question again and again over the same connections, and how the answers are spread.
//!
//! What the library's own ping hides is what this is about: each question is asked once, by the same transport, and the time of a
//! TCP connection beside it says how the link is at that moment.

use super::verdict::{self, End, Fault, Way};
use super::{accounts_of, lookup, millis, without_keys};
use crate::args::Given;
use crate::lang::t;
use crate::out::{Done, Stop, WRONG, columns, name_of, padded, say, time_of_day, width, wrapped};
use crate::signals;
use crate::tr;
use crate::verbs::system_ms;
use kiosklink::cancel::{CancelSource, CancelToken};
use kiosklink::client::Client;
use kiosklink::config::Config;
use kiosklink::error::{Error, Result as Answer};
use kiosklink::json::Writer;
use kiosklink::log::mask;
use kiosklink::platform::{self, Draft, Moment, Op, Platform, Way as TokenWay};
use kiosklink::status::*;
use kiosklink::time::clock::Clock;
use kiosklink::transport::{AddressFamily, Deadline, Purpose, Reply, Scheme, Transport, Url};
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// As often as a platform may be asked for hours.
const INTERVAL_MS: u64 = 2000;
const INTERVAL_LEAST_MS: u64 = 100;

/// How one question went.
enum Came {
    /// It was answered.
    Answered,
    /// The platform answered with an error.
    Refused(Error),
    /// No whole answer came.
    Lost(Error),
}

/// One question.
struct Beat {
    came: Came,
    /// From the question to the whole answer, a new connection included.
    ms: u64,
    /// A TCP connection at that moment; `None` if there was none, or a proxy stands between.
    link_ms: Option<u64>,
    /// A TCP connection was tried, and there was none.
    link_lost: bool,
    /// Over a connection that stood.
    reused: bool,
    /// Of the answer's headers and body.
    bytes: u64,
    fault: Fault,
}

/// Who asks.
struct Watch {
    platform: Box<dyn Platform>,
    transport: Transport,
    clock: Arc<Clock>,
    origin: Url,
    proxied: bool,
    connect_timeout: Duration,
    timeout: Duration,
    family: AddressFamily,
    /// Where the name leads; asked for again when there is no connection.
    addresses: Vec<SocketAddr>,
}

/// `kiosklink doctor --watch`
pub fn run(given: &Given, account: Option<&str>) -> Done {
    let names = accounts_of(given.accounts_file());
    if account.is_none() && names.len() > 1 {
        return Err(Stop::Usage(tr!("the file holds {} accounts: {}", names.len(), names.join(", "))));
    }
    let config = given.config_of(account)?;
    // The library's verdict on the settings. What is asked for needs no folder.
    let bare = without_keys(&config, &["state_dir", "refusals_file"]).unwrap_or(config);
    drop(Client::new(&bare)?);
    let count: u64 = given.number("count", 0)?;
    let interval = given.number("interval-ms", INTERVAL_MS)?.max(INTERVAL_LEAST_MS);
    let mut watch = Watch::new(&bare)?;
    let cancels = CancelSource::new();
    let token = cancels.token();
    let resource = |e| Error::os(KL_E_RESOURCE, "signals", &e);
    let (wake, mut woken) = UnixStream::pair().map_err(resource)?;
    signals::watch(wake).map_err(resource)?;
    std::thread::Builder::new()
        .name("doctor-signal".into())
        .spawn(move || {
            // The other end is never closed: a byte is a signal.
            let _ = woken.read(&mut [0]);
            cancels.cancel();
            signals::release();
        })
        .map_err(resource)?;
    let json = given.json();
    let mut sum = Sum::default();
    while !token.is_cancelled() && (count == 0 || sum.checks < count) {
        if sum.checks > 0 && token.pause(Duration::from_millis(interval)).is_err() {
            break;
        }
        let Some(beat) = watch.beat(&token) else { break };
        sum.add(&beat);
        say(&if json { beat.json(sum.checks) } else { beat.words(sum.checks) })?;
    }
    let (fault, verdict) = sum.verdict();
    if json {
        say(&sum.json(fault, &verdict))?;
    } else {
        sum.print(watch.proxied, &verdict)?;
    }
    Ok(if fault == Fault::None { 0 } else { WRONG })
}

/// Whether the account uses such an address.
fn admits(family: AddressFamily, address: &SocketAddr) -> bool {
    match family {
        AddressFamily::Any => true,
        AddressFamily::V4 => address.is_ipv4(),
        AddressFamily::V6 => address.is_ipv6(),
    }
}

/// One question out, and what is said to the answer.
struct Asked {
    reply: Answer<Reply>,
    verdict: Answer<()>,
}

impl Watch {
    fn new(config: &Config) -> Answer<Watch> {
        let platform = platform::make(config)?;
        let clock = Arc::new(Clock::new());
        let options = config.transport()?;
        Ok(Watch {
            origin: platform.origin().clone(),
            platform,
            proxied: options.proxy.is_some(),
            connect_timeout: options.connect_timeout,
            timeout: Duration::from_millis(config.number("timeout_ms").into()),
            family: options.address_family,
            transport: Transport::new(options, clock.clone())?,
            clock,
            addresses: Vec::new(),
        })
    }

    /// How long a TCP connection takes at this moment. `Err` says why there is none.
    fn link(&mut self) -> Result<u64, End> {
        if self.addresses.is_empty() {
            let all = lookup(&self.origin.host, self.origin.port, self.connect_timeout);
            self.addresses = all.map_err(|_| End::Lookup)?;
            self.addresses.retain(|address| admits(self.family, address));
        }
        for at in 0..self.addresses.len() {
            let started = Instant::now();
            if TcpStream::connect_timeout(&self.addresses[at], self.connect_timeout).is_ok() {
                // The one that answers is asked first from now on.
                self.addresses.swap(0, at);
                return Ok(millis(started));
            }
        }
        self.addresses.clear();
        Err(End::Connect)
    }

    /// Asks once. `None` if it was cancelled.
    fn beat(&mut self, token: &CancelToken) -> Option<Beat> {
        let link = if self.proxied { None } else { Some(self.link()) };
        let started = Instant::now();
        let mut asked = self.ask(token);
        let mut bytes = asked.reply.as_ref().map_or(0, size);
        // The answer taught the platform's time: the same question, signed with it, is a new one.
        if asked.verdict.as_ref().is_err_and(|e| e.status() == KL_E_TIMESTAMP) && asked.reply.is_ok() {
            asked = self.ask(token);
            bytes += asked.reply.as_ref().map_or(0, size);
        }
        let ms = millis(started);
        if token.is_cancelled() {
            return None;
        }
        let timing = asked.reply.as_ref().map(|reply| reply.timing).unwrap_or_default();
        let link_ms = link.as_ref().and_then(|link| link.as_ref().ok()).copied();
        let made_ms = u64::from(timing.dns_ms) + u64::from(timing.connect_ms) + u64::from(timing.tls_ms);
        let way = Way {
            lookup_ms: timing.dns_ms.into(),
            connect_ms: link_ms.unwrap_or(timing.connect_ms.into()),
            handshake_ms: timing.tls_ms.into(),
            answer_ms: Some(ms.saturating_sub(made_ms)),
        };
        let verified = self.origin.scheme == Scheme::Https;
        let came = match (&asked.reply, asked.verdict) {
            (_, Ok(())) => Came::Answered,
            (Ok(_), Err(e)) => Came::Refused(e),
            (Err(_), Err(e)) => Came::Lost(e),
        };
        let end = match (&link, &came) {
            (Some(Err(end)), _) => end.clone(),
            (_, Came::Answered) => End::Answered,
            (_, Came::Refused(e) | Came::Lost(e)) => End::Answer { error: e.clone(), verified },
        };
        Some(Beat {
            came,
            ms,
            link_ms,
            link_lost: matches!(link, Some(Err(_))),
            reused: timing.reused,
            bytes,
            fault: verdict::of(&end, &way, &[]).0,
        })
    }

    /// One question, as the library's ping asks it.
    fn ask(&self, token: &CancelToken) -> Asked {
        let source = self.platform.tokens();
        let draft = match source {
            Some(source) => source.draft(TokenWay::Usual, None),
            None => self.platform.draft(&Op::Ping),
        };
        let draft = match draft {
            Ok(draft) => draft,
            Err(e) => return Asked { reply: Err(e.clone()), verdict: Err(e) },
        };
        let Draft { url, seal } = &draft;
        let mut signed = self.clock.signing_time(url.clock());
        let reply =
            self.transport.call(url, Purpose::Read, Deadline::after(self.timeout), token, &mut || {
                signed = self.clock.signing_time(url.clock());
                Ok(seal(&Moment { now_ms: signed.ms, token: "" }))
            });
        let reply = match reply {
            Ok(reply) => reply,
            Err(failure) => return Asked { reply: Err(failure.error.clone()), verdict: Err(failure.error) },
        };
        let verdict = match source {
            Some(source) => source.answer(&reply, self.clock.now_ms()).map(drop),
            None => self.platform.answer(&Op::Ping, &reply).map(drop),
        };
        let verdict = verdict.map_err(|e| {
            let named = e.status() == KL_E_TIMESTAMP;
            let of_time = named || e.status() == KL_E_AUTH;
            // Another time to sign with is known now.
            match of_time && self.clock.refused(url.clock(), &signed, named) {
                true => e.with(|d| d.status = KL_E_TIMESTAMP),
                false => e,
            }
        });
        Asked { reply: Ok(reply), verdict }
    }
}

/// The bytes of an answer's headers and body.
fn size(reply: &Reply) -> u64 {
    let headers: usize = reply.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    (headers + reply.body.len()) as u64
}

impl Beat {
    fn state(&self) -> &'static str {
        match self.came {
            Came::Answered => "answered",
            Came::Refused(_) => "refused",
            Came::Lost(_) => "lost",
        }
    }

    fn words(&self, n: u64) -> String {
        let link = match self.link_ms {
            Some(ms) => tr!(", link {} ms", ms),
            None if self.link_lost => t(", no link").to_owned(),
            None => String::new(),
        };
        let what = match &self.came {
            Came::Answered => tr!("answered in {} ms{}, {} bytes", self.ms, link, self.bytes),
            Came::Refused(e) => {
                tr!("refused in {} ms{}: {}", self.ms, link, super::said(e))
            }
            Came::Lost(e) => tr!("lost after {} ms{}: {}", self.ms, link, super::said(e)),
        };
        wrapped(&mask(&format!("{n:>4}  {}  {what}", time_of_day(system_ms().div_euclid(1000)))), 6, width())
    }

    fn json(&self, n: u64) -> String {
        let mut w = Writer::new();
        w.text("event", "check").int("n", int(n)).int("time", system_ms().div_euclid(1000));
        w.text("state", self.state()).int("ms", int(self.ms));
        if let Some(ms) = self.link_ms {
            w.int("link_ms", int(ms));
        }
        if !self.came_lost() {
            w.raw("reused", if self.reused { "true" } else { "false" });
        }
        w.int("bytes", int(self.bytes)).text("fault", self.fault.word());
        if let Came::Refused(e) | Came::Lost(e) = &self.came {
            w.text("status", name_of(e)).text("message", &mask(e.message()));
        }
        w.finish()
    }

    fn came_lost(&self) -> bool {
        matches!(self.came, Came::Lost(_))
    }
}

fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// All questions so far.
#[derive(Default)]
struct Sum {
    checks: u64,
    refused: u64,
    lost: u64,
    link_lost: u64,
    /// Connections that were made beside the first.
    connections: u64,
    bytes: u64,
    answers_ms: Vec<u64>,
    links_ms: Vec<u64>,
    faults: Vec<Fault>,
}

/// How times are spread: by rank, so that each is one that was measured.
#[derive(Debug, PartialEq, Eq)]
struct Spread {
    min: u64,
    median: u64,
    p95: u64,
    max: u64,
}

impl Spread {
    fn of(times: &[u64]) -> Option<Spread> {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        let rank = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        Some(Spread { min, median: rank(50), p95: rank(95), max })
    }

    fn json(&self) -> String {
        let mut w = Writer::new();
        w.int("min", int(self.min)).int("median", int(self.median));
        w.int("p95", int(self.p95)).int("max", int(self.max));
        w.finish()
    }

    fn cells(&self) -> [String; 4] {
        [self.min, self.median, self.p95, self.max].map(|ms| ms.to_string())
    }
}

impl Sum {
    fn add(&mut self, beat: &Beat) {
        self.checks += 1;
        self.bytes += beat.bytes;
        self.link_lost += u64::from(beat.link_lost);
        self.links_ms.extend(beat.link_ms);
        match beat.came {
            Came::Answered => self.answers_ms.push(beat.ms),
            Came::Refused(_) => self.refused += 1,
            Came::Lost(_) => self.lost += 1,
        }
        self.connections += u64::from(self.checks > 1 && !beat.came_lost() && !beat.reused);
        self.faults.push(beat.fault);
    }

    /// A share of all questions in percent, with one digit behind the point.
    fn percent(&self, part: u64) -> String {
        let tenths = (part * 1000 + self.checks / 2) / self.checks.max(1);
        format!("{}.{}", tenths / 10, tenths % 10)
    }

    /// Whose fault most of what went wrong was.
    fn verdict(&self) -> (Fault, String) {
        let of = |fault: Fault| self.faults.iter().filter(|f| **f == fault).count();
        let wrong = self.faults.iter().filter(|f| **f != Fault::None);
        // The first of several that are equal.
        let most = wrong.copied().rev().max_by_key(|f| of(*f)).unwrap_or(Fault::None);
        let (n, all) = (of(most), self.checks);
        let sentence = match most {
            Fault::None if self.checks == 0 => t("Nothing was checked.").to_owned(),
            Fault::None => t("Link and platform are good.").to_owned(),
            Fault::Link => {
                tr!("The link is at fault, not the platform: in {} of {} checks it was slow or lost.", n, all)
            }
            Fault::Platform => tr!(
                "The platform is at fault, not the link: in {} of {} checks it was slow, silent or answered with an error.",
                n,
                all
            ),
            Fault::Account => t("Link and platform are good; the platform refuses this account.").to_owned(),
            Fault::Proxy => t("The proxy is at fault, not the platform.").to_owned(),
            Fault::Between => {
                t("Something else answers in the platform's place: a portal or a proxy on this network.")
                    .to_owned()
            }
            Fault::Certificate => {
                t("The link works, but what answers does not prove that it is the platform: see tls.")
                    .to_owned()
            }
            Fault::Device => {
                t("What is bad is on this device: run kiosklink doctor without --watch.").to_owned()
            }
        };
        (most, sentence)
    }

    fn json(&self, fault: Fault, verdict: &str) -> String {
        let mut w = Writer::new();
        w.text("event", "summary").int("checks", int(self.checks));
        w.int("answered", self.answers_ms.len() as i64).int("refused", int(self.refused));
        w.int("lost", int(self.lost)).raw("loss_percent", &self.percent(self.lost));
        w.int("link_lost", int(self.link_lost)).int("reconnects", int(self.connections));
        w.int("bytes", int(self.bytes));
        for (name, times) in [("answer_ms", &self.answers_ms), ("link_ms", &self.links_ms)] {
            if let Some(spread) = Spread::of(times) {
                w.raw(name, &spread.json());
            }
        }
        w.text("fault", fault.word()).text("verdict", verdict);
        w.finish()
    }

    /// The table and what is to be said of it.
    fn print(&self, proxied: bool, verdict: &str) -> Result<(), Stop> {
        say("")?;
        let mut rows = vec![(String::new(), [t("min"), t("median"), "p95", t("max")].map(str::to_owned))];
        for (name, times) in [(t("answer ms"), &self.answers_ms), (t("link ms"), &self.links_ms)] {
            rows.extend(Spread::of(times).map(|spread| (name.to_owned(), spread.cells())));
        }
        let wide = rows.iter().map(|(name, _)| columns(name)).max().unwrap_or(0);
        for (name, cells) in rows.iter().filter(|_| rows.len() > 1) {
            let mut line = padded(name, wide);
            for cell in cells {
                line.extend(std::iter::repeat_n(' ', 7usize.saturating_sub(columns(cell))));
                line.push_str(cell);
            }
            say(&line)?;
        }
        let counts = tr!(
            "checks: {}, answered: {}, refused: {}, lost: {} ({} %), new connections: {}",
            self.checks,
            self.answers_ms.len(),
            self.refused,
            self.lost,
            self.percent(self.lost),
            self.connections
        );
        say(&wrapped(&counts, 2, width()))?;
        let bytes = match proxied {
            true => tr!("bytes that came: {}", self.bytes),
            false => tr!("bytes that came: {}; link lost: {}", self.bytes, self.link_lost),
        };
        say(&wrapped(&bytes, 2, width()))?;
        say(&wrapped(&format!("{verdict}{}", self.shares()), 0, width()))
    }

    /// How the faults are shared out, where there are several.
    fn shares(&self) -> String {
        let mut seen: Vec<Fault> = Vec::new();
        for fault in self.faults.iter().filter(|f| **f != Fault::None) {
            if !seen.contains(fault) {
                seen.push(*fault);
            }
        }
        if seen.len() < 2 {
            return String::new();
        }
        let each = seen
            .iter()
            .map(|fault| format!("{} {}", fault.word(), self.faults.iter().filter(|f| *f == fault).count()));
        tr!(" ({})", each.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(came: Came, ms: u64, fault: Fault) -> Beat {
        Beat { came, ms, link_ms: Some(ms / 2), link_lost: false, reused: true, bytes: 10, fault }
    }

    #[test]
    fn headers_and_body_are_counted() {
        use kiosklink::transport::{Headers, Timing};
        let (headers, body) = (Headers::of_type("text/x"), b"1234567".to_vec());
        let reply = Reply { status: 200, headers, body, timing: Timing::default() };
        assert_eq!(size(&reply), ("Content-Type: text/x\r\n".len() + 7) as u64);
    }

    #[test]
    fn only_addresses_that_the_account_uses_are_connected_to() {
        let (four, six) = (SocketAddr::from(([127, 0, 0, 1], 1)), SocketAddr::from(([0; 16], 1)));
        let which = |family| (admits(family, &four), admits(family, &six));
        assert_eq!(which(AddressFamily::Any), (true, true));
        assert_eq!(which(AddressFamily::V4), (true, false));
        assert_eq!(which(AddressFamily::V6), (false, true));
    }

    #[test]
    fn times_are_spread_by_rank() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[7]), Some(Spread { min: 7, median: 7, p95: 7, max: 7 }));
        let all: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(Spread::of(&all), Some(Spread { min: 1, median: 50, p95: 95, max: 100 }));
        assert_eq!(Spread::of(&[30, 10, 20]), Some(Spread { min: 10, median: 20, p95: 30, max: 30 }));
    }

    #[test]
    fn what_was_lost_and_whose_fault_it_was() {
        let mut sum = Sum::default();
        assert_eq!(sum.verdict().0, Fault::None);
        sum.add(&beat(Came::Answered, 40, Fault::None));
        assert_eq!((sum.verdict().0, sum.percent(sum.lost).as_str()), (Fault::None, "0.0"));
        let e = || Error::new(KL_E_TIMEOUT_REPLY, "x");
        sum.add(&beat(Came::Lost(e()), 900, Fault::Link));
        assert_eq!((sum.verdict().0, sum.percent(sum.lost).as_str()), (Fault::Link, "50.0"));
        sum.add(&beat(Came::Refused(e()), 50, Fault::Platform));
        // The first of several that are equal.
        assert_eq!((sum.verdict().0, sum.percent(sum.lost).as_str()), (Fault::Link, "33.3"));
        sum.add(&beat(Came::Lost(e()), 50, Fault::Platform));
        let (fault, says) = sum.verdict();
        assert!(fault == Fault::Platform && says.contains("in 2 of 4 checks"), "{says}");
        assert_eq!((sum.answers_ms.len(), sum.refused, sum.lost, sum.bytes), (1, 1, 2, 40));
        assert_eq!(sum.shares(), " (link 1, platform 2)");
    }
}
