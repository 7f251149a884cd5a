//! What a setting is, and the settings of one account: the vocabulary in which platforms name their keys. [`crate::config`]
//! puts all keys together and reads them.

use crate::error::{Error, Result};
use crate::status::*;
use std::fs::File;
use std::io::{self, Read};

/// Larger is no bundle of certificates and no table.
const LARGEST_FILE: u64 = 4 << 20;

/// The whole of a file that a setting names. A device that never ends is as wrong as a file that is too large.
pub(crate) fn read_file(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(io::Error::other("it is larger than 4 MiB"));
    }
    Ok(bytes)
}

/// The platforms there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 友朋, cabinets and vending machines.
    Yopoint,
    /// 鼎商, vending machines, lockers and pickup codes.
    Dingshang,
    /// 有赞云, shops with pickup codes and e-vouchers.
    Youzan,
    /// 致云, who a user and their company are.
    Zhiyun,
}

impl Kind {
    /// Every platform.
    pub const ALL: &'static [Kind] = &[Kind::Yopoint, Kind::Dingshang, Kind::Youzan, Kind::Zhiyun];

    /// The name that settings use.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Yopoint => "yopoint",
            Kind::Dingshang => "dingshang",
            Kind::Youzan => "youzan",
            Kind::Zhiyun => "zhiyun",
        }
    }
}

/// What a value must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Any text without spaces at its ends.
    Text,
    /// Whole milliseconds within bounds.
    Millis(u32, u32),
    /// Whole bytes within bounds.
    Bytes(u32, u32),
    /// A whole number within bounds.
    Count(u32, u32),
    /// `yes` or `no`.
    YesNo,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// An `https` or `http` address.
    Url,
    /// An HTTP proxy.
    Proxy,
    /// A path; in the JSON file it counts from the file's own folder.
    Path,
    /// A path of a folder that exists; relative ones as above.
    Dir,
    /// One or more PEM blocks.
    Pem,
    /// SHA-256 of public keys, in Base64 or hex, separated by commas.
    Pins,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name everywhere.
    pub name: &'static str,
    /// The platforms that know it; empty means all.
    pub platforms: &'static [Kind],
    /// What its value must look like.
    pub form: Form,
    /// Whether its value is masked wherever it would appear.
    pub secret: bool,
    /// The value if it is not set; empty if there is none.
    pub default: &'static str,
    /// What it does, for the header and the documentation.
    pub doc: &'static str,
}

/// A setting that every platform knows, or every account of the platform whose table it stands in.
pub const fn key(name: &'static str, form: Form, default: &'static str, doc: &'static str) -> Key {
    Key { name, platforms: &[], form, secret: false, default, doc }
}

/// The same, masked wherever it would appear.
pub const fn secret(key: Key) -> Key {
    Key { secret: true, ..key }
}

/// The settings of one account on one platform.
#[derive(Clone)]
pub struct Settings {
    platform: Kind,
    values: Vec<(&'static Key, String)>,
    keys: &'static [Key],
}

impl Settings {
    /// No settings yet. `keys` are all that there are, of every platform.
    pub fn new(platform: Kind, keys: &'static [Key]) -> Settings {
        Settings { platform, values: Vec::new(), keys }
    }

    /// The platform.
    pub fn platform(&self) -> Kind {
        self.platform
    }

    /// The keys that this platform knows.
    pub fn keys(&self) -> impl Iterator<Item = &'static Key> + use<> {
        let platform = self.platform;
        self.keys.iter().filter(move |k| k.platforms.is_empty() || k.platforms.contains(&platform))
    }

    /// Keeps a value that was checked. The same key again replaces it.
    pub fn put(&mut self, key: &'static Key, value: &str) {
        match self.values.iter_mut().find(|(k, _)| k.name == key.name) {
            Some(slot) => slot.1 = value.to_owned(),
            None => self.values.push((key, value.to_owned())),
        }
    }

    /// Every value that was set, with its key.
    pub fn values(&self) -> impl Iterator<Item = (&'static Key, &str)> {
        self.values.iter().map(|(k, v)| (*k, v.as_str()))
    }

    /// The value of a key, or its default; `None` if it has neither.
    pub fn get(&self, name: &str) -> Option<&str> {
        if let Some((_, value)) = self.values.iter().find(|(k, _)| k.name == name) {
            return Some(value);
        }
        self.keys().find(|k| k.name == name).map(|k| k.default).filter(|d| !d.is_empty())
    }

    /// The value of a key that this platform cannot do without.
    pub fn need(&self, name: &'static str) -> Result<&str> {
        self.get(name).ok_or_else(|| {
            let platform = self.platform.name();
            Error::new(
                KL_E_CONFIG_MISSING,
                [platform, " needs the key \"", name, "\", which is not set"].concat(),
            )
        })
    }

    /// A number whose form was checked when it was set.
    pub fn number(&self, name: &str) -> u32 {
        self.get(name).and_then(|v| v.parse().ok()).unwrap_or(0)
    }

    /// Whether a yes-or-no key says yes.
    pub fn yes(&self, name: &str) -> bool {
        self.get(name) == Some("yes")
    }
}
