//! The shims that are preloaded into a program, and what a power cut leaves of a folder.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

/// Why something could not be tried at all.
pub type Failure = String;

/// The shim's source; its head explains its environment variables.
const SOURCE: &str = include_str!("../preload/crash.c");
/// The same for the shim that lets time pass.
const TIME: &str = include_str!("../preload/time.c");

/// Compiles the shim that kills into a folder, with `$CC` or `cc`.
pub fn build(folder: &Path) -> Result<PathBuf, Failure> {
    compile(folder, "crash", SOURCE)
}

/// Compiles the shim that lets time pass.
pub fn build_time(folder: &Path) -> Result<PathBuf, Failure> {
    compile(folder, "time", TIME)
}

fn compile(folder: &Path, name: &str, text: &str) -> Result<PathBuf, Failure> {
    let (source, shim) = (folder.join([name, ".c"].concat()), folder.join([name, ".so"].concat()));
    fs::write(&source, text).map_err(|e| format!("{}: {e}", source.display()))?;
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let made = Command::new(&compiler)
        .args(["-std=c11", "-D_GNU_SOURCE", "-O1", "-shared", "-fPIC"])
        .arg(&source)
        .arg("-o")
        .arg(&shim)
        .arg("-ldl")
        .output()
        .map_err(|e| format!("the C compiler {compiler}: {e}"))?;
    if made.status.success() {
        return Ok(shim);
    }
    Err(format!("the shim does not compile:\n{}", String::from_utf8_lossy(&made.stderr)))
}

/// What a program does that can be interrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its number, from 1.
    pub number: usize,
    /// `write`, `send`, ...
    pub name: String,
    /// How many bytes go out; 0 where that is no question.
    pub bytes: usize,
    /// The file, or `socket`.
    pub place: String,
}

impl Step {
    /// Whether a part of it can have happened.
    pub fn has_middle(&self) -> bool {
        self.bytes > 1
    }

    /// Whether it is a sync, which a disk may refuse.
    pub fn is_sync(&self) -> bool {
        matches!(self.name.as_str(), "fsync" | "fdatasync")
    }
}

/// The steps that the shim wrote down.
pub fn steps(log: &Path) -> Vec<Step> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let parse = |line: &str| {
        let mut parts = line.split('\t');
        let number = parts.next()?.parse().ok()?;
        let name = parts.next()?.to_owned();
        let bytes = parts.next()?.parse().ok()?;
        let path = parts.next()?;
        let place = path.rsplit('/').next().unwrap_or(path).to_owned();
        Some(Step { number, name, bytes, place })
    };
    text.lines().filter_map(parse).collect()
}

/// How a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Death {
    /// The process is killed; the system goes on.
    Killed,
    /// The power is cut, and everything had been written by chance.
    Kept,
    /// The power is cut: nothing that was not synced is left, and renames, new and removed files are undone where their
    /// folder was not synced.
    Lost,
    /// The process is killed and the card drops off the bus and comes back: as `Lost`, but in the same boot.
    Reset,
    /// The power is cut: the folder is as it was, of what was added to a file since it was last synced half is there.
    Half,
    /// The power is cut: the folder is as it was, of what was added to a file the length is there, and NULs.
    Zeros,
}

impl Death {
    /// All of them.
    pub const ALL: [Death; 6] =
        [Death::Killed, Death::Kept, Death::Lost, Death::Reset, Death::Half, Death::Zeros];

    /// The word for it on the command line and in the table.
    pub fn name(self) -> &'static str {
        match self {
            Death::Killed => "killed",
            Death::Kept => "kept",
            Death::Lost => "lost",
            Death::Reset => "reset",
            Death::Half => "half",
            Death::Zeros => "zeros",
        }
    }

    /// What the table says of it.
    pub fn about(self) -> &'static str {
        match self {
            Death::Killed => "process killed",
            Death::Kept => "power cut, all was written",
            Death::Lost => "power cut, unsynced is gone",
            Death::Reset => "card reset, unsynced is gone",
            Death::Half => "power cut, half a tail",
            Death::Zeros => "power cut, a tail of NULs",
        }
    }

    /// Whether the system boots afterwards.
    pub fn boots(self) -> bool {
        !matches!(self, Death::Killed | Death::Reset)
    }
}

type Names = BTreeMap<String, Vec<u8>>;

/// A folder in the eyes of the shim: what is in it, and what of that no power cut can take.
pub struct Disk<'a> {
    /// The folder.
    pub folder: &'a Path,
    /// What the shim keeps beside it.
    pub shadow: &'a Path,
}

impl Disk<'_> {
    /// Takes everything that is in the folder for safe.
    pub fn settle(&self) -> io::Result<()> {
        if self.shadow.exists() {
            fs::remove_dir_all(self.shadow)?;
        }
        fs::create_dir_all(self.shadow)?;
        let mut names = String::new();
        for entry in fs::read_dir(self.folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                let id = identity(&entry.metadata()?);
                fs::copy(entry.path(), self.shadow.join(&id))?;
                names += &format!("{id} {}\n", entry.file_name().to_string_lossy());
            }
        }
        fs::write(self.shadow.join("names"), names)
    }

    fn now(&self) -> io::Result<Names> {
        let mut all = Names::new();
        for entry in fs::read_dir(self.folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                all.insert(entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?);
            }
        }
        Ok(all)
    }

    fn synced(&self, id: &str) -> Vec<u8> {
        fs::read(self.shadow.join(id)).unwrap_or_default()
    }

    /// What is left when nothing is left that was not synced.
    fn safe(&self) -> io::Result<Names> {
        let listed = fs::read_to_string(self.shadow.join("names"))?;
        let entry = |line: &str| {
            let (id, name) = line.split_once(' ')?;
            Some((name.to_owned(), self.synced(id)))
        };
        Ok(listed.lines().filter_map(entry).collect())
    }

    /// Whether a power cut now would take anything.
    pub fn is_at_risk(&self) -> io::Result<bool> {
        Ok(self.now()? != self.safe()?)
    }

    /// Cuts the power. What is left is what the next start finds, and is safe.
    pub fn cut(&self, death: Death) -> io::Result<()> {
        let left = match death {
            Death::Killed => return Ok(()),
            Death::Kept => self.now()?,
            Death::Lost | Death::Reset => self.safe()?,
            Death::Half | Death::Zeros => {
                let mut left = Names::new();
                for (name, now) in self.now()? {
                    let synced = self.synced(&identity(&fs::metadata(self.folder.join(&name))?));
                    left.insert(name, torn(death, synced, now));
                }
                left
            }
        };
        for name in self.now()?.keys() {
            fs::remove_file(self.folder.join(name))?;
        }
        for (name, content) in left {
            fs::write(self.folder.join(name), content)?;
        }
        self.settle()
    }
}

fn torn(death: Death, synced: Vec<u8>, now: Vec<u8>) -> Vec<u8> {
    if !now.starts_with(&synced) {
        return if death == Death::Half { now } else { synced };
    }
    let added = now.len() - synced.len();
    let mut left = synced;
    match death {
        Death::Zeros => left.resize(left.len() + added, 0),
        _ => left.extend_from_slice(&now[left.len()..left.len() + added / 2]),
    }
    left
}

/// A file as the shim knows it. An inode's number alone is used again.
fn identity(meta: &fs::Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    let born = meta.created().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    format!("{}-{}-{}", meta.ino(), born.as_secs(), born.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(name: &str) -> (PathBuf, PathBuf) {
        let base = std::env::temp_dir().join(format!("kiosklink-trials-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        fs::create_dir_all(base.join("state")).unwrap();
        (base.join("state"), base.join("shadow"))
    }

    #[test]
    fn a_power_cut_takes_what_was_not_synced() {
        for (death, a, b) in [
            (Death::Killed, Some("one two"), Some("new")),
            (Death::Kept, Some("one two"), Some("new")),
            (Death::Lost, Some("one"), None),
            (Death::Reset, Some("one"), None),
            (Death::Half, Some("one t"), Some("n")),
            (Death::Zeros, Some("one\0\0\0\0"), Some("\0\0\0")),
        ] {
            let (folder, shadow) = folders(death.name());
            let disk = Disk { folder: &folder, shadow: &shadow };
            fs::write(folder.join("a"), "one").unwrap();
            disk.settle().unwrap();
            assert!(!disk.is_at_risk().unwrap());
            use std::io::Write;
            fs::OpenOptions::new().append(true).open(folder.join("a")).unwrap().write_all(b" two").unwrap();
            fs::write(folder.join("b"), "new").unwrap();
            assert!(disk.is_at_risk().unwrap());
            disk.cut(death).unwrap();
            let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
            assert_eq!((read("a").as_deref(), read("b").as_deref()), (a, b), "{}", death.name());
            assert_eq!(disk.is_at_risk().unwrap(), death == Death::Killed);
            fs::remove_dir_all(folder.parent().unwrap()).unwrap();
        }
    }

    #[test]
    fn a_rename_that_was_not_synced_is_undone() {
        let (folder, shadow) = folders("rename");
        let disk = Disk { folder: &folder, shadow: &shadow };
        fs::write(folder.join("a"), "old").unwrap();
        disk.settle().unwrap();
        fs::write(folder.join("a.part"), "new").unwrap();
        fs::rename(folder.join("a.part"), folder.join("a")).unwrap();
        disk.cut(Death::Lost).unwrap();
        assert_eq!(fs::read_to_string(folder.join("a")).unwrap(), "old");
        fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    }
}
