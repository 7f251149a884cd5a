//! One vocabulary of settings for C, the JSON file of accounts, Python and the command line.
//!
//! [`KEYS`] is the whole of it. The macros `KL_KEY_*` of the C header and the tables of the documentation are made
//! from it.

use crate::error::{Error, Result, quoted};
use crate::json::{Json, Kind as JsonKind};
use crate::log::log_line;
use crate::platform;
pub use crate::settings::{Form, Key, Settings};
use crate::settings::{Kind, key, read_file, secret};
use crate::status::*;
use crate::transport::{AddressFamily, ClientCert, Options, Proxy, Roots, Url, parse_pin};
use std::fs::File;
use std::io::Read;
use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

/// The settings that every platform knows.
#[rustfmt::skip]
const COMMON: &[Key] = &[
    key("base_url", Form::Url, "", "Where the platform is, `https://host[:port][/prefix]`. Default: the platform's own gateway; Dingshang has none."),
    key("allow_http", Form::YesNo, "no", "`yes` permits a `base_url` of plain http, for tests on a desk. Nothing is verified or hidden then."),
    key("ca_file", Form::Path, "", "PEM file of the only roots to trust, instead of the built-in ones."),
    key("ca_pem", Form::Pem, "", "The same as text."),
    key("pin_sha256", Form::Pins, "", "SHA-256 of a public key (SPKI) that the server's chain must hold, in Base64 or hex; several are separated by commas."),
    key("client_cert_file", Form::Path, "", "PEM file with this device's certificate chain, for mutual TLS."),
    key("client_key_file", Form::Path, "", "PEM file with the private key of that certificate."),
    key("connect_timeout_ms", Form::Millis(1, 600_000), "8000", "The most that lookup, TCP and TLS may take together, within `timeout_ms`."),
    key("timeout_ms", Form::Millis(1, 3_600_000), "20000", "The most that a call may take from entry to answer, everything included."),
    key("idle_timeout_ms", Form::Millis(0, 3_600_000), "60000", "How long an unused connection is kept."),
    key("max_reply_bytes", Form::Bytes(1024, 256 << 20), "4194304", "The largest answer that is read."),
    key("address_family", Form::OneOf(&["any", "ipv4", "ipv6"]), "any", "Which addresses are used: `any`, `ipv4` or `ipv6`."),
    secret(key("proxy", Form::Proxy, "", "An HTTP proxy that knows CONNECT, `http://[user:password@]host:port`.")),
    key("command_ttl_ms", Form::Millis(1, 3_600_000), "15000", "A command that could not be sent within this time is not sent any more."),
    key("state_dir", Form::Dir, "", "A folder that exists and is writable, kept across power cuts: the journal of commands is there, by which a door never opens twice for one request_id, and the token (Youzan). Processes may share it. Commands are refused without it; `none` says that a client is to remember its commands for its own life only."),
    key("state_dir_shared", Form::YesNo, "no", "`yes` takes a `state_dir` to which others than its owner may write, as on vfat. A user who can write there can make a door open again."),
    key("refusals_file", Form::Path, "", "JSON file with the operator's own table of refusals: which of the platform's names prove that nothing was done, each with its source and who signed it off (`docs/proof.md`)."),
    key("code_tries_per_minute", Form::Count(0, 6000), "30", "How many pickup codes may be tried at one cabinet in a minute before the next is refused (`KL_E_CODE_TRIES`), before anything is sent or written. A good code gives all tries back. 0: no bound."),
    key("task_threads", Form::Count(2, 16), "3", "How many jobs (`kl_task_start`) of this client may run at a time. One of the threads takes only jobs that act."),
    key("task_stack_kib", Form::Count(128, 65536), "256", "The stack of each of these threads, in KiB: for the library's calls and what your own function needs (`docs/threads.md`)."),
];

/// The settings of one platform each.
const OWN: [(&[Kind], &[Key]); 4] = [
    (&[Kind::Yopoint], platform::yopoint::keys::KEYS),
    (&[Kind::Dingshang], platform::dingshang::keys::KEYS),
    (&[Kind::Youzan], platform::youzan::keys::KEYS),
    (&[Kind::Zhiyun], platform::zhiyun::keys::KEYS),
];

const COUNT: usize = COMMON.len() + OWN[0].1.len() + OWN[1].1.len() + OWN[2].1.len() + OWN[3].1.len();

const ASSEMBLED: [Key; COUNT] = {
    let mut all = [COMMON[0]; COUNT];
    let (mut n, mut i) = (0, 0);
    while i < COMMON.len() {
        all[n] = COMMON[i];
        (n, i) = (n + 1, i + 1);
    }
    let mut part = 0;
    while part < OWN.len() {
        let (platforms, keys) = OWN[part];
        let mut i = 0;
        while i < keys.len() {
            all[n] = Key { platforms, ..keys[i] };
            (n, i) = (n + 1, i + 1);
        }
        part += 1;
    }
    all
};

/// Every setting. A name may stand here more than once, for other platforms each time: one macro, several meanings.
pub static KEYS: &[Key] = &ASSEMBLED;

/// [`KEYS`] for the library itself, without the texts that only the header and the documentation need.
static BARE: [Key; COUNT] = {
    let mut bare = ASSEMBLED;
    let mut i = 0;
    while i < bare.len() {
        bare[i].doc = "";
        i += 1;
    }
    bare
};

/// The settings of one account on one platform.
#[derive(Clone)]
pub struct Config(Settings);

impl Deref for Config {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.0
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut map = f.debug_map();
        map.entry(&"platform", &self.0.platform().name());
        for (key, value) in self.0.values() {
            map.entry(&key.name, &if key.secret { "***" } else { value });
        }
        map.finish()
    }
}

impl Config {
    /// No settings yet, for the platform of this name.
    pub fn new(platform: &str) -> Result<Config> {
        let Some(kind) = Kind::ALL.iter().find(|k| k.name() == platform) else {
            let near = nearest(platform, Kind::ALL.iter().map(|k| k.name()));
            return Err(Error::new(
                KL_E_PLATFORM_NAME,
                format!("there is no platform {}; did you mean {near}?", quoted(&shorten(platform))),
            ));
        };
        Ok(Config(Settings::new(*kind, &BARE)))
    }

    /// Sets one value. The same key again replaces it.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let Some(key) = self.keys().find(|k| k.name == name) else {
            let near = nearest(name, self.keys().map(|k| k.name));
            return Err(Error::new(
                KL_E_CONFIG_KEY,
                format!(
                    "{} has no key {}; did you mean {near}?",
                    self.platform().name(),
                    quoted(&shorten(name))
                ),
            ));
        };
        check(key, value).map_err(|why| {
            // Never the value itself: it may be a secret under a wrong name.
            Error::new(KL_E_CONFIG_VALUE, format!("{}: {why}", key.name))
        })?;
        self.0.put(key, value);
        Ok(())
    }

    /// Reads one account from a JSON file, `{"accounts": {"NAME": {"platform": "yopoint", "app_id": …}}}`. With
    /// no name the file must hold exactly one account. Relative paths in it count from the file's folder.
    pub fn load(path: &str, account: Option<&str>) -> Result<Config> {
        const LARGEST: u64 = 1 << 20;
        let fail = |why: String| Error::new(KL_E_CONFIG_FILE, format!("{path}: {why}"));
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|f| {
                warn_if_open_to_all(&f, path);
                f.take(LARGEST + 1).read_to_end(&mut bytes)
            })
            .map_err(|e| Error::os(KL_E_CONFIG_FILE, path, &e))?;
        if bytes.len() as u64 > LARGEST {
            return Err(fail("is larger than 1 MiB".into()));
        }
        let root = Json::parse(&bytes).and_then(Json::object).map_err(|b| fail(b.sentence("the file")))?;
        let accounts = root
            .object(&["accounts"])
            .map_err(|b| fail(b.sentence("the file")))?
            .ok_or_else(|| fail("has no \"accounts\"".into()))?;
        let (name, settings) = match (account, accounts.fields()) {
            (Some(wanted), all) => all.iter().find(|(n, _)| n == wanted).ok_or_else(|| {
                let near = nearest(wanted, all.iter().map(|(n, _)| n.as_ref()));
                fail(format!("has no account {}; did you mean {near}?", quoted(&shorten(wanted))))
            })?,
            (None, [one]) => one,
            (None, all) => return Err(fail(format!("holds {} accounts; name one", all.len()))),
        };
        let bad = |b: crate::json::Bad| fail(b.under(name).under("accounts").sentence("the file"));
        let settings = settings.object().map_err(bad)?;
        let platform = settings
            .string(&["platform"])
            .map_err(bad)?
            .ok_or_else(|| fail(format!("account {} does not say its \"platform\"", quoted(name))))?;
        let in_file =
            |e: Error| e.with(|d| d.message = format!("{path}: account {}: {}", quoted(name), d.message));
        let mut config = Config::new(&platform).map_err(in_file)?;
        for (key, value) in settings.fields() {
            if key == "platform" {
                continue;
            }
            let text = match value.kind() {
                JsonKind::String => value.string().map_err(bad)?.into_owned(),
                JsonKind::Number => value.text().to_owned(),
                JsonKind::Bool => (if value.text() == "true" { "yes" } else { "no" }).to_owned(),
                JsonKind::Null => continue,
                JsonKind::Array | JsonKind::Object => {
                    return Err(fail(format!("accounts.{name}.{key} must be a text, a number or a boolean")));
                }
            };
            let is_path = config.keys().any(|k| k.name == key && matches!(k.form, Form::Path | Form::Dir))
                // Says that there is no folder.
                && text != "none";
            let text = match Path::new(path).parent() {
                Some(folder) if is_path && Path::new(&text).is_relative() => {
                    folder.join(&text).to_string_lossy().into_owned()
                }
                _ => text,
            };
            config.set(key, &text).map_err(in_file)?;
        }
        Ok(config)
    }

    /// What tells this account from others of its platform, whatever its address is. No secret.
    pub(crate) fn account(&self) -> String {
        let mut account = self.platform().name().to_owned();
        for name in ["app_id", "client_id", "grant_id"] {
            if let Some(value) = self.get(name) {
                account.push(' ');
                account.push_str(value);
            }
        }
        account
    }

    /// How to connect, with every file read.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or settings that do not go together.
    pub fn transport(&self) -> Result<Options> {
        let read = |name: &str, code: kl_status| match self.get(name) {
            None => Ok(None),
            Some(path) => {
                read_file(path).map(Some).map_err(|e| Error::os(code, format!("{name} {path}"), &e))
            }
        };
        if self.get("ca_file").is_some() && self.get("ca_pem").is_some() {
            return Err(Error::new(
                KL_E_CONFIG_VALUE,
                "ca_file and ca_pem are both set; one of them is enough",
            ));
        }
        let pem = read("ca_file", KL_E_ROOTS)?.or_else(|| self.get("ca_pem").map(|p| p.as_bytes().to_vec()));
        let client_cert =
            match (read("client_cert_file", KL_E_CLIENT_CERT)?, read("client_key_file", KL_E_CLIENT_CERT)?) {
                (Some(chain_pem), Some(key_pem)) => Some(ClientCert { chain_pem, key_pem }),
                (None, None) => None,
                (Some(_), None) => return self.need("client_key_file").map(|_| Options::default()),
                (None, Some(_)) => return self.need("client_cert_file").map(|_| Options::default()),
            };
        let millis = |name| Duration::from_millis(self.number(name).into());
        Ok(Options {
            allow_http: self.yes("allow_http"),
            roots: pem.map_or(Roots::BuiltIn, Roots::Pem),
            pins: self
                .get("pin_sha256")
                .map_or(Ok(Vec::new()), |pins| pins.split(',').map(|pin| parse_pin(pin.trim())).collect())
                .map_err(|why| Error::new(KL_E_CONFIG_VALUE, format!("pin_sha256: {why}")))?,
            client_cert,
            connect_timeout: millis("connect_timeout_ms"),
            idle_timeout: millis("idle_timeout_ms"),
            max_reply_bytes: self.number("max_reply_bytes") as usize,
            address_family: match self.get("address_family") {
                Some("ipv4") => AddressFamily::V4,
                Some("ipv6") => AddressFamily::V6,
                _ => AddressFamily::Any,
            },
            proxy: match self.get("proxy") {
                None => None,
                Some(text) => Some(
                    Proxy::parse(text)
                        .map_err(|why| Error::new(KL_E_CONFIG_VALUE, format!("proxy: {why}")))?,
                ),
            },
            ..Options::default()
        })
    }

    /// Every secret value that is set. A proxy without a password is none: its address belongs into messages.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let holds = |k: &Key, v: &str| k.secret && (k.name != "proxy" || v.contains('@'));
        self.0.values().filter(move |(k, v)| holds(k, v)).map(|(_, v)| v)
    }
}

fn check(key: &Key, value: &str) -> std::result::Result<(), String> {
    let bounds = |low: u32, high: u32, unit: &str| match value.parse::<u32>() {
        Ok(n) if n >= low && n <= high => Ok(()),
        _ => Err(format!("must be a whole number of {unit} from {low} to {high}")),
    };
    if value.is_empty() {
        return Err("is empty".into());
    }
    if value.contains('\0') {
        return Err("holds a NUL".into());
    }
    match key.form {
        Form::Text if value.trim() != value => {
            Err("begins or ends with a blank; was it pasted with one?".into())
        }
        Form::Text if value.contains(char::is_control) => Err("holds a control character".into()),
        Form::Text | Form::Path | Form::Dir => Ok(()),
        Form::Millis(low, high) => bounds(low, high, "milliseconds"),
        Form::Bytes(low, high) => bounds(low, high, "bytes"),
        Form::Count(low, high) => bounds(low, high, "tries"),
        Form::YesNo if value != "yes" && value != "no" => Err("must be \"yes\" or \"no\"".into()),
        Form::OneOf(words) if !words.contains(&value) => {
            let listed: Vec<_> = words.iter().map(|w| quoted(w)).collect();
            Err(format!("must be {}", listed.join(" or ")))
        }
        Form::Proxy => Proxy::parse(value).map(|_| ()),
        Form::Url => Url::parse(value).map(|_| ()),
        Form::Pem if !value.contains("-----BEGIN ") => Err("holds no PEM block".into()),
        Form::Pins => value.split(',').try_for_each(|pin| parse_pin(pin.trim()).map(|_| ())),
        Form::YesNo | Form::OneOf(_) | Form::Pem => Ok(()),
    }
}

fn warn_if_open_to_all(file: &File, path: &str) {
    use std::os::unix::fs::MetadataExt;
    if file.metadata().is_ok_and(|m| m.mode() & 0o004 != 0) {
        log_line!(Warn, "{path} holds secrets and every user can read it; chmod 600 is better");
    }
}

/// For a message. Half a secret would no longer be known for one, so they are masked before the cut.
fn shorten(text: &str) -> String {
    crate::log::mask(text).chars().take(40).collect()
}

/// The candidate that needs the fewest edits, in quotes.
fn nearest<'a>(wanted: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    // All that is known here is ASCII, so that Unicode's tables can stay out.
    let wanted = shorten(&wanted.to_ascii_lowercase());
    quoted(candidates.min_by_key(|c| edits(wanted.as_bytes(), c.as_bytes())).unwrap_or(""))
}

fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new("yopoint").unwrap()
    }

    fn refused(key: &str, value: &str) -> (kl_status, String) {
        let e = config().set(key, value).unwrap_err();
        (e.status(), e.message().to_owned())
    }

    #[test]
    fn a_misspelt_name_is_met_with_the_nearest() {
        assert!(Config::new("yopiont").unwrap_err().message().contains("\"yopoint\""));
        for (wrong, right) in
            [("appid", "app_id"), ("secret", "app_secret"), ("timeout", "timeout_ms"), ("CA_FILE", "ca_file")]
        {
            let (status, message) = refused(wrong, "x");
            assert_eq!(status, KL_E_CONFIG_KEY);
            assert!(message.contains(&format!("{right:?}")), "{message}");
        }
    }

    #[test]
    fn a_wrong_value_is_refused_without_being_repeated() {
        for (key, value) in [
            ("timeout_ms", "-5"),
            ("timeout_ms", "soon"),
            ("allow_http", "true"),
            ("address_family", "ipv5"),
            ("base_url", "ftp://x"),
            ("base_url", ""),
            ("ca_pem", "hello"),
            ("pin_sha256", "zz"),
            ("app_secret", " s3cret"),
            ("app_secret", "s3cret\n"),
            ("app_secret", "s3\u{7}cret"),
        ] {
            let (status, message) = refused(key, value);
            assert_eq!(status, KL_E_CONFIG_VALUE, "{key}={value}");
            assert!(message.starts_with(key));
            assert!(!message.contains("cret\n") && !message.contains("s3"), "{message}");
        }
    }

    #[test]
    fn defaults_hold_to_their_own_form() {
        for key in KEYS.iter().filter(|k| !k.default.is_empty()) {
            check(key, key.default).unwrap();
        }
        assert_eq!(config().number("timeout_ms"), 20_000);
        assert!(config().get("app_id").is_none());
        assert_eq!(config().need("app_id").unwrap_err().status(), KL_E_CONFIG_MISSING);
    }

    // FAULTS F13: a file that never ends is not read to its end.
    #[test]
    fn a_file_without_end_is_refused() {
        for key in ["ca_file", "refusals_file"] {
            let mut c = config();
            c.set("app_id", "1").unwrap();
            c.set("app_secret", "hush-hush").unwrap();
            c.set(key, "/dev/zero").unwrap();
            let made = match key {
                "ca_file" => c.transport().map(drop),
                _ => platform::make(&c).map(drop),
            };
            let e = made.unwrap_err();
            assert!(e.message().contains("larger than 4 MiB"), "{key}: {e}");
        }
    }

    // FAULTS G: the proxy's address was masked exactly when it holds no password.
    #[test]
    fn a_proxys_address_is_a_secret_only_with_a_password_in_it() {
        for (proxy, secret) in [("http://10.0.0.1:3128", false), ("http://u:pass@10.0.0.1:3128", true)] {
            let mut c = config();
            c.set("proxy", proxy).unwrap();
            c.set("app_secret", "hush-hush").unwrap();
            assert_eq!(c.secrets().any(|s| s == proxy), secret, "{proxy}");
            assert!(c.secrets().any(|s| s == "hush-hush"));
        }
    }

    #[test]
    fn debug_output_masks() {
        let mut c = config();
        c.set("app_secret", "hush-hush").unwrap();
        c.set("app_id", "123").unwrap();
        let text = format!("{c:?}");
        assert!(text.contains("123") && !text.contains("hush"), "{text}");
    }
}
