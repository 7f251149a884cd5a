//! Whose journal it is: an installation with a secret, bound to the machine, and a high-water mark beside the journal.
//!
//! A card that is copied carries its files, and would send the same numbers to the platform from two machines; a folder that
//! is restored forgets what was done since. Both are named, and a person *adopts* what is there: with a new secret, a new
//! epoch, and numbers above all that were ever given.

use super::file::Folder;
use super::{random, unhex};
use crate::error::Result;
use crate::json::{Json, Writer};
use kiosklink_wire::hex;
use ring::{digest, hmac};
use siphasher::sip128::{Hash128, SipHasher24};
use std::fs;
use std::io;
use std::path::Path;

/// More than this is no identity.
const LARGEST: u64 = 16 * 1024;
/// The form of the file.
const VERSION: i64 = 1;

/// Who names things to the platform. The secret is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    installation: [u8; 16],
    secret: [u8; 32],
    print_key: [u8; 32],
    epoch: u32,
}

impl Identity {
    /// One for the life of a client, without a folder.
    pub(crate) fn ephemeral() -> Result<Identity> {
        Ok(Identity::new(random()?, random()?, random()?, 1))
    }

    fn new(installation: [u8; 16], secret: [u8; 32], print_key: [u8; 32], epoch: u32) -> Identity {
        Identity { installation, secret, print_key, epoch }
    }

    /// The one that a program keeps elsewhere than in a folder.
    pub(crate) fn of_secret(kept: &[u8; 32]) -> Identity {
        let kept = hmac::Key::new(hmac::HMAC_SHA256, kept);
        let part = |purpose: &[u8]| {
            let mut out = [0; 32];
            out.copy_from_slice(hmac::sign(&kept, purpose).as_ref());
            out
        };
        let mut installation = [0; 16];
        installation.copy_from_slice(&part(b"installation")[..16]);
        Identity::new(installation, part(b"secret"), part(b"print key"), 1)
    }

    /// Public: which installation this is.
    pub(crate) fn installation(&self) -> &[u8; 16] {
        &self.installation
    }

    /// Grows when a person adopts a journal.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The number under which a command is sent to the platform: 24 decimal digits, the first not 0. The same for the same
    /// name at every try; unlike anybody else's, and unlike one's own of another epoch.
    pub(crate) fn mark(&self, name: &str) -> String {
        const HALF: u64 = 1_000_000_000_000;
        // A keyed hash whose output tells nothing of its key, and of which half is shown: nothing follows from it for another
        // name.
        let (mut first, mut second) = sip(&self.secret, name).as_u64();
        // Remainders of 64 bits: the bias is beyond measure.
        (first, second) = (HALF / 10 + first % (HALF / 10 * 9), second % HALF);
        let mut digits = [0; 24];
        for place in digits[..12].iter_mut().rev() {
            *place = b'0' + (first % 10) as u8;
            first /= 10;
        }
        for place in digits[12..].iter_mut().rev() {
            *place = b'0' + (second % 10) as u8;
            second /= 10;
        }
        String::from_utf8(digits.to_vec()).unwrap_or_default()
    }

    /// What is kept of a name when the name itself has no room any more. The same in every epoch.
    pub(crate) fn print(&self, name: &str) -> [u8; 12] {
        print(&self.print_key, name)
    }

    pub(super) fn print_key(&self) -> &[u8; 32] {
        &self.print_key
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

/// A name's fingerprint under a journal's key.
pub(super) fn print(print_key: &[u8; 32], name: &str) -> [u8; 12] {
    let mut out = [0; 12];
    out.copy_from_slice(&sip(print_key, name).as_bytes()[..12]);
    out
}

/// SipHash-2-4 of a name with 128 bits, by a key's first half.
fn sip(key: &[u8; 32], name: &str) -> Hash128 {
    let half = |from: usize| key[from..from + 8].iter().rev().fold(0, |all: u64, b| all << 8 | u64::from(*b));
    SipHasher24::new_with_keys(half(0), half(8)).hash(name.as_bytes())
}

/// The file `NAME.id`.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) identity: Identity,
    /// The journal that belongs to it was made: from here on a missing one is no fresh start.
    pub(super) made: bool,
    /// Numbers of records begin above this.
    pub(super) floor: u64,
    /// What it is bound to, see [`Machine`].
    bound: Vec<String>,
}

/// What was found under the name.
pub(super) enum Found {
    Nothing,
    Unreadable,
    Kept(Box<Kept>),
}

impl Kept {
    /// A new one, for the first journal of a folder.
    pub(super) fn fresh(machine: &Machine) -> Result<Kept> {
        Ok(Kept::bound_to(Identity::ephemeral()?, 0, machine))
    }

    /// A new secret and epoch after `old`; the fingerprints stay readable by `print_key`. `anew`: another installation too.
    pub(super) fn adopting(
        old: Option<&Identity>,
        epoch: u32,
        floor: u64,
        anew: bool,
        print_key: Option<[u8; 32]>,
        machine: &Machine,
    ) -> Result<Kept> {
        let installation = match old.filter(|_| !anew) {
            Some(old) => old.installation,
            None => random()?,
        };
        let print_key = match print_key.or(old.map(|old| old.print_key)) {
            Some(key) => key,
            None => random()?,
        };
        Ok(Kept::bound_to(Identity::new(installation, random()?, print_key, epoch), floor, machine))
    }

    fn bound_to(identity: Identity, floor: u64, machine: &Machine) -> Kept {
        let bound = machine.hashed(&identity.installation);
        Kept { identity, made: false, floor, bound }
    }

    pub(super) fn read(folder: &Folder, name: &str) -> io::Result<Found> {
        let Some(bytes) = folder.read(name, LARGEST)? else { return Ok(Found::Nothing) };
        Ok(Kept::parse(&bytes).map_or(Found::Unreadable, |kept| Found::Kept(Box::new(kept))))
    }

    fn parse(bytes: &[u8]) -> Option<Kept> {
        let json = super::journal::unframed(bytes)?;
        let o = Json::parse(json).ok()?.object().ok()?;
        let text = |key| o.string(&[key]).ok().flatten();
        let int = |key| o.int(&[key]).ok().flatten();
        let mut bound = Vec::new();
        for source in o.array(&["bound"]).ok().flatten().unwrap_or_default() {
            bound.push(source.string().ok()?.into_owned());
        }
        if int("version")? != VERSION {
            return None;
        }
        Some(Kept {
            identity: Identity::new(
                unhex(&text("installation")?)?,
                unhex(&text("secret")?)?,
                unhex(&text("print")?)?,
                u32::try_from(int("epoch")?).ok()?,
            ),
            made: int("made")? == 1,
            floor: u64::try_from(int("floor")?).ok()?,
            bound,
        })
    }

    /// Durable when it returns.
    pub(super) fn write(&self, folder: &Folder, name: &str) -> io::Result<()> {
        let i = &self.identity;
        let mut bound = String::from("[");
        for source in &self.bound {
            if bound.len() > 1 {
                bound.push(',');
            }
            crate::json::push_string(&mut bound, source);
        }
        bound.push(']');
        let mut w = Writer::new();
        w.int("version", VERSION).text("installation", &hex::lower(&i.installation));
        w.int("epoch", i.epoch.into())
            .text("secret", &hex::lower(&i.secret))
            .text("print", &hex::lower(&i.print_key));
        w.int("made", self.made.into()).int("floor", i64::try_from(self.floor).unwrap_or(i64::MAX));
        w.raw("bound", &bound);
        folder.replace(name, &super::journal::framed(&w.finish())).map(drop)
    }

    /// How it fits the machine it is read on.
    pub(super) fn fits(&self, machine: &Machine) -> Fit {
        let now = machine.hashed(&self.identity.installation);
        let strong = |list: &[String]| list.iter().any(|s| !s.starts_with(WEAK));
        if !strong(&self.bound) || !strong(&now) {
            return Fit::Unbound;
        }
        if now.iter().any(|s| !s.starts_with(WEAK) && self.bound.contains(s)) {
            Fit::Same
        } else {
            Fit::Another
        }
    }

    /// Binds it to this machine's sources; true if that changed something.
    pub(super) fn rebind(&mut self, machine: &Machine) -> bool {
        let now = machine.hashed(&self.identity.installation);
        let change = !now.is_empty() && now != self.bound;
        if change {
            self.bound = now;
        }
        change
    }
}

/// Whether the machine is the one it was bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Same,
    /// Nothing of what it was bound to is here.
    Another,
    /// It, or this machine, has nothing to be bound by.
    Unbound,
}

/// How a source is marked that a copied card carries too: it never proves anything alone.
const WEAK: &str = "weak:";

/// What a copied card does not carry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine(pub(super) Vec<(&'static str, String)>);

impl Machine {
    #[cfg(test)]
    pub(super) fn of(sources: &[(&'static str, &str)]) -> Machine {
        Machine(sources.iter().map(|(k, v)| (*k, (*v).to_owned())).collect())
    }

    /// Reads what the system tells below `root`, which is `/` but in tests.
    pub(crate) fn read(root: &Path) -> Machine {
        let mut all = Vec::new();
        let mut add = |kind: &'static str, path: &Path| {
            let Ok(text) = fs::read(root.join(path)) else { return };
            let text = String::from_utf8_lossy(&text);
            let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_ascii_lowercase();
            // All zeros, all f, or nothing: nobody's number.
            let digits = text.strip_prefix("0x").unwrap_or(&text);
            let other_than = |not| digits.chars().any(|c| c.is_ascii_alphanumeric() && c != not);
            if other_than('0') && other_than('f') {
                all.push((kind, text));
            }
        };
        let names = |folder: &str| {
            let mut names: Vec<_> = fs::read_dir(root.join(folder))
                .into_iter()
                .flatten()
                .flatten()
                .map(|e| e.file_name())
                .collect();
            names.sort();
            names
        };
        for name in names("sys/class/net") {
            let device = Path::new("sys/class/net").join(name);
            // Bridges, tunnels and the like have no device, and their addresses are made up.
            if root.join(&device).join("device").exists() {
                add("net", &device.join("address"));
            }
        }
        for name in names("sys/block").iter().filter(|n| n.to_str().is_some_and(|n| n.starts_with("mmcblk")))
        {
            let device = Path::new("sys/block").join(name).join("device");
            add("card", &device.join("serial"));
            add("card", &device.join("cid"));
        }
        add("board", Path::new("proc/device-tree/serial-number"));
        add("board", Path::new("sys/class/dmi/id/product_uuid"));
        add("weak", Path::new("etc/machine-id"));
        Machine(all)
    }

    /// Each source as a hash that tells nothing of it, in a fixed order.
    pub(super) fn hashed(&self, installation: &[u8; 16]) -> Vec<String> {
        let mut out = Vec::new();
        for (kind, text) in &self.0 {
            let sum = digest::digest(
                &digest::SHA256,
                [&hex::lower(installation), " ", *kind, " ", text].concat().as_bytes(),
            );
            out.push([*kind, ":", &hex::lower(&sum.as_ref()[..8])].concat());
        }
        out.sort();
        out.dedup();
        out.truncate(32);
        out
    }
}

/// The file `NAME.mark`: what the journal is known to have held. It may lag behind, never run ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HighWater {
    pub(super) installation: [u8; 16],
    pub(super) epoch: u32,
    /// The number of a record that was synced.
    pub(super) last: u64,
}

impl HighWater {
    /// `None` if there is none, or none that can be read: it was being written when the power went.
    pub(super) fn read(folder: &Folder, name: &str) -> io::Result<Option<HighWater>> {
        Ok(folder.read(name, LARGEST)?.and_then(|bytes| HighWater::parse(&bytes)))
    }

    fn parse(bytes: &[u8]) -> Option<HighWater> {
        let json = super::journal::unframed(bytes)?;
        let o = Json::parse(json).ok()?.object().ok()?;
        let int = |key| o.int(&[key]).ok().flatten();
        Some(HighWater {
            installation: unhex(&o.string(&["installation"]).ok()??)?,
            epoch: u32::try_from(int("epoch")?).ok()?,
            last: u64::try_from(int("last")?).ok()?,
        })
    }

    /// Writes it in place, not synced. Others may have written a higher one of the same installation and epoch: it never goes
    /// back. Gives the number that is there then.
    pub(super) fn raise(mut self, folder: &Folder, name: &str) -> io::Result<u64> {
        use std::os::unix::fs::FileExt;
        let file = folder.open_file(name, libc::O_RDWR | libc::O_CREAT)?;
        let mut known = [0; 512];
        let length = file.read_at(&mut known, 0)?;
        if let Some(known) = HighWater::parse(&known[..length]) {
            if known.installation == self.installation && known.epoch == self.epoch {
                self.last = self.last.max(known.last);
            }
        }
        let mut w = Writer::new();
        w.text("installation", &hex::lower(&self.installation)).int("epoch", self.epoch.into());
        w.int("last", i64::try_from(self.last).unwrap_or(i64::MAX));
        let text = super::journal::framed(&w.finish());
        file.write_all_at(&text, 0)?;
        if length > text.len() {
            file.set_len(text.len() as u64)?;
        }
        Ok(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_the_published_siphash() {
        let key: [u8; 32] = std::array::from_fn(|i| i as u8);
        let text: String = (0..8).map(char::from).collect();
        let of = |length: usize| hex::lower(&print(&key, &text[..length]));
        // The beginnings of its authors' first vectors, and of one with a whole word.
        assert_eq!(of(0), "a3817f04ba25a8e66df67214");
        assert_eq!(of(1), "da87c1d86b99af4434765911");
        assert_eq!(of(8), "3b62a9ba6258f5610f83e264");
    }
}
