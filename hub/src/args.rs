//! The command line.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// What is printed for `--help`.
pub const HELP: &str = "\
kiosklink-hub: one server for a fleet of kiosks

  kiosklink-hub --data DIR --accounts FILE [...]        runs the hub
  kiosklink-hub enrol --data DIR --accounts FILE --account A --cabinet C [...]
                                                        prints a code with which one kiosk enrols, once
  kiosklink-hub enrol --data DIR --device D             the same for a kiosk that lost its key
  kiosklink-hub devices --data DIR                      all kiosks, with their policy and when they were heard of
  kiosklink-hub revoke --data DIR --device D            this kiosk may do nothing any more, within the second
  kiosklink-hub expire --data DIR --device D --days N   its right to act ends then; 0: now; it may still change its key
  kiosklink-hub unsettled --data DIR                    commands that are unknown or under way, one JSON a line
  kiosklink-hub settle --data DIR --device D --request R --outcome done|not_done --who NAME --note TEXT [--overrule]
                                                        a person's word about an unknown command; --overrule: not done
                                                        although it may still come
  kiosklink-hub unowned --data DIR                      callbacks that belong to no kiosk, one JSON a line
  kiosklink-hub aside --data DIR                        callbacks that were refused, one JSON a line, the newest first

The hub:
  --listen ADDRESS:PORT   where kiosks and platforms reach it (0.0.0.0:8443)
  --admin ADDRESS:PORT    /healthz, /readyz and /metrics, plain HTTP, for the operator's own machines (127.0.0.1:9443)
  --public URL            its address on the internet: platforms are told URL/callback/ACCOUNT where they take an address
  --tls-cert F --tls-key F  certificate chain and key in PEM; without them the hub makes a certificate for itself
  --name HOST             a name in that certificate; may be given more than once (localhost, 127.0.0.1)
  --plain-http            no TLS: a proxy on the same machine ends it, and --listen is 127.0.0.1:8443. Requests are signed
                          all the same
  --threads N             calls to platforms at a time (32)

An enrolment:
  --cabinet C             a cabinet that the kiosk may use; may be given more than once
  --verbs A,B,...         what it may do, in place of what a kiosk usually does
  --code-tries N          how many wrong codes a minute (10)
  --hours N               how long the code is good (24)
  --days N                how long the kiosk may act; 0: for ever (0)";

/// A command with its options.
pub struct Args {
    /// `serve`, `enrol`, ...
    pub command: String,
    options: BTreeMap<String, Vec<String>>,
}

/// Options that have no value.
const FLAGS: &[&str] = &["overrule", "plain-http", "help", "version"];

/// What each command takes.
const COMMANDS: &[(&str, &[&str])] = &[
    (
        "serve",
        &[
            "data",
            "accounts",
            "listen",
            "admin",
            "public",
            "tls-cert",
            "tls-key",
            "name",
            "plain-http",
            "threads",
        ],
    ),
    ("enrol", &["data", "accounts", "account", "cabinet", "verbs", "code-tries", "hours", "days", "device"]),
    ("devices", &["data"]),
    ("revoke", &["data", "device"]),
    ("expire", &["data", "device", "days"]),
    ("unsettled", &["data"]),
    ("settle", &["data", "device", "request", "outcome", "who", "note", "overrule"]),
    ("unowned", &["data"]),
    ("aside", &["data"]),
];

impl Args {
    /// Reads the words behind the program's name.
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Args, String> {
        let mut words = words.peekable();
        let command = words.next_if(|w| !w.starts_with('-')).unwrap_or_else(|| "serve".into());
        let Some((_, known)) = COMMANDS.iter().find(|(name, _)| *name == command) else {
            return Err(format!("there is no command {command}; --help lists them"));
        };
        let mut options: BTreeMap<String, Vec<String>> = BTreeMap::new();
        while let Some(word) = words.next() {
            let (name, inline) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word, None),
            };
            let name = name.strip_prefix("--").ok_or_else(|| format!("{name} is no option"))?.to_owned();
            let flag = FLAGS.contains(&name.as_str());
            if !known.contains(&name.as_str()) && !matches!(name.as_str(), "help" | "version") {
                return Err(format!("{command} takes no --{name}"));
            }
            let value = match (flag, inline) {
                (true, None) => String::new(),
                (true, Some(_)) => return Err(format!("--{name} takes no value")),
                (false, Some(value)) => value,
                (false, None) => words.next().ok_or_else(|| format!("--{name} needs a value"))?,
            };
            options.entry(name).or_default().push(value);
        }
        Ok(Args { command, options })
    }

    /// Whether an option was given.
    pub fn has(&self, name: &str) -> bool {
        self.options.contains_key(name)
    }

    /// All values of an option.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.options.get(name).cloned().unwrap_or_default()
    }

    /// The last value of an option.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.options.get(name).and_then(|all| all.last()).map(String::as_str)
    }

    /// The value of an option that must be given.
    pub fn need(&self, name: &str) -> Result<&str, String> {
        self.get(name)
            .filter(|v| !v.is_empty())
            .ok_or_else(|| format!("--{name} is missing; --help says what it is"))
    }

    /// A folder or file that must be given.
    pub fn path(&self, name: &str) -> Result<PathBuf, String> {
        self.need(name).map(PathBuf::from)
    }

    /// A number, or what is usual.
    pub fn number(&self, name: &str, usual: i64, most: i64) -> Result<i64, String> {
        let Some(text) = self.get(name) else { return Ok(usual) };
        let good = text.parse().ok().filter(|n| (0..=most).contains(n));
        good.ok_or_else(|| format!("--{name} is a number from 0 to {most}"))
    }
}
