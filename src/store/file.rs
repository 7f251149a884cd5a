//! A folder that is opened once and held by its descriptor, and a file in it that is replaced whole or not at all.

use super::random;
use crate::error::{Error, Result};
use crate::log::log_line;
use crate::status::*;
use crate::sys::{self, Status};
use kiosklink_wire::hex;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The file by which a folder is tried. It stays: somebody may hold its lock.
const TRIED: &str = "kiosklink.try";

/// A folder for the journal and the tokens. Whatever the program changes afterwards, its working directory or the names
/// above the folder, this stays the same folder.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: File,
    path: PathBuf,
    kind: FileSystem,
    trial: std::result::Result<(), (i32, String)>,
    /// This file system cannot sync a folder, and that was said.
    unsyncable: AtomicBool,
}

/// What a folder lies on, for a technician.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileSystem {
    /// `ext4`, `tmpfs`, `overlay`, ...; empty if the system does not tell.
    pub(crate) name: String,
    /// Of an overlay: what its upper folder lies on.
    pub(crate) upper: String,
    /// It is gone with the power: tmpfs, ramfs, or an overlay on one.
    pub(crate) forgets: bool,
    /// It lies on another machine: locks may not hold.
    pub(crate) remote: bool,
    /// It keeps no owner and no mode (vfat, exfat).
    pub(crate) modeless: bool,
    /// The mount option by which a sync is less than a sync (`nobarrier`, `fsync=volatile`), if there is one.
    pub(crate) weak_sync: String,
}

/// An error for what is no ordinary file: a pipe or a device would be waited for, or never end.
fn ordinary(status: Status) -> io::Result<Status> {
    if status.ordinary { Ok(status) } else { Err(io::Error::other("it is no ordinary file")) }
}

impl Folder {
    /// Opens a folder that exists, and tries in it what a journal needs: a lock, a write, a sync. `KL_E_STATE_DIR` if it
    /// cannot be used or if others than its owner may write to it, unless `shared_folder_allowed`. A full or read-only one
    /// opens: what it holds can be read ([`Folder::usable`] tells).
    pub(crate) fn open(path: &Path, shared_folder_allowed: bool) -> Result<Folder> {
        let refused = |why: &str| {
            Error::new(KL_E_STATE_DIR, ["state_dir: ", &path.display().to_string(), ": ", why].concat())
        };
        let cannot = |e: &io::Error| {
            Error::os(KL_E_STATE_DIR, ["state_dir: ", &path.display().to_string()].concat(), e)
        };
        let fd = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_CLOEXEC)
            .open(path)
            .and_then(sys::high_fd)
            .map_err(|e| cannot(&e))?;
        let mode = fd.metadata().map_err(|e| cannot(&e))?.mode();
        if mode & 0o022 != 0 && !shared_folder_allowed {
            return Err(refused(
                "others than its owner can write to it, and so could make a door open again: chmod go-w",
            ));
        }
        let kind = FileSystem::of(&fd).unwrap_or_default();
        // The name by which people find it, whatever the working directory becomes.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut folder = Folder { fd, path, kind, trial: Ok(()), unsyncable: AtomicBool::new(false) };
        if let Err((what, e)) = folder.tried() {
            let name = folder.path.display().to_string();
            match e.raw_os_error() {
                Some(libc::EROFS | libc::ENOSPC | libc::EDQUOT) => {
                    log_line!(Warn, "state_dir: {name}: {what}: {e}");
                    folder.trial = Err((e.raw_os_error().unwrap_or(0), what.to_owned()));
                }
                _ => return Err(Error::os(KL_E_STATE_DIR, ["state_dir: ", &name, ": ", what].concat(), &e)),
            }
        }
        let words = folder.kind.words();
        if folder.kind.forgets || folder.kind.remote || !folder.kind.weak_sync.is_empty() {
            log_line!(Warn, "state_dir: {}: {words}", folder.path.display());
        } else {
            log_line!(Debug, "state_dir: {}: {words}", folder.path.display());
        }
        Ok(folder)
    }

    /// Which folder it is: device and inode.
    pub(crate) fn id(&self) -> io::Result<(u64, u64)> {
        sys::status(&self.fd).map(|status| status.id)
    }

    /// Where it was when it was opened, for people.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file's path, for people.
    pub(crate) fn shown(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// What it lies on.
    pub(crate) fn kind(&self) -> &FileSystem {
        &self.kind
    }

    /// Whether it could be written to and synced when it was opened.
    pub(crate) fn usable(&self) -> Result<()> {
        match &self.trial {
            Ok(()) => Ok(()),
            Err((code, what)) => Err(super::failed(
                what,
                &self.path.display().to_string(),
                &io::Error::from_raw_os_error(*code),
            )),
        }
    }

    /// Opens what is called `name`, closed on exec and never as one of the three standard descriptors. `flags` as for
    /// `open`; a new file is its owner's alone.
    pub(crate) fn open_file(&self, name: &str, flags: i32) -> io::Result<File> {
        super::fault("open", name)?;
        sys::open_at(&self.fd, name, flags)
    }

    /// Which file is called `name` now; `None` if there is none, an error for what is no ordinary file. Opens and closes
    /// nothing that a lock may lie on.
    pub(crate) fn stat(&self, name: &str) -> io::Result<Option<Status>> {
        match sys::status_at(&self.fd, name) {
            Ok(status) => ordinary(status).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The whole of a file, but of at most `most` bytes of it; `None` if there is none.
    pub(crate) fn read(&self, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        match self.open_file(name, libc::O_RDONLY) {
            Ok(file) => {
                ordinary(sys::status(&file)?)?;
                let mut bytes = Vec::new();
                file.take(most).read_to_end(&mut bytes)?;
                Ok(Some(bytes))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Puts a file of these bytes in the place of what is called `name`: whole or not at all, and durable when it returns.
    /// One at a time for each name: hold its gate. After an error it is not known which of the two is there.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<File> {
        let fresh = [name, ".new"].concat();
        // What a crash left behind.
        self.remove(&fresh)?;
        let mut file = self.open_file(&fresh, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL)?;
        let write = |file: &mut File| {
            super::fault("write", name)?;
            file.write_all(bytes)?;
            super::fault("sync", name)?;
            file.sync_all()?;
            super::fault("rename", name)?;
            sys::rename_at(&self.fd, &fresh, name)
        };
        if let Err(e) = write(&mut file) {
            let _ = self.remove(&fresh);
            return Err(e);
        }
        self.sync()?;
        Ok(file)
    }

    /// Makes the names in the folder durable. A rename that is *found* is made durable by its finder, with this.
    pub(crate) fn sync(&self) -> io::Result<()> {
        super::fault("sync-folder", "")?;
        match super::fault("fsync-folder", "").and_then(|()| self.fd.sync_all()) {
            // Some network and user-space file systems have no such thing.
            Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENOTSUP)) => {
                if !self.unsyncable.swap(true, Ordering::Relaxed) {
                    log_line!(
                        Warn,
                        "state_dir: {}: this file system cannot sync a folder: a new name in it may be lost with the power",
                        self.path.display()
                    );
                }
                Ok(())
            }
            other => other,
        }
    }

    /// Removes a name; no error if there is none.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match sys::unlink_at(&self.fd, name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Gives a file a second name; an error if that is taken.
    pub(crate) fn link(&self, from: &str, to: &str) -> io::Result<()> {
        sys::link_at(&self.fd, from, to)
    }

    fn tried(&self) -> std::result::Result<(), (&'static str, io::Error)> {
        let file = self
            .open_file(TRIED, libc::O_RDWR | libc::O_CREAT)
            .map_err(|e| ("no file can be made in it", e))?;
        if sys::try_lock(&file).map_err(|e| ("it knows no locks (flock)", e))? {
            let second =
                self.open_file(TRIED, libc::O_RDWR).map_err(|e| ("no file can be opened in it", e))?;
            if sys::try_lock(&second).map_err(|e| ("it knows no locks (flock)", e))? {
                return Err((
                    "a lock in it (flock) keeps nobody out",
                    io::Error::from_raw_os_error(libc::ENOLCK),
                ));
            }
        }
        let mark = random::<8>()
            .map_err(|_| ("the system gives no random numbers", io::Error::from_raw_os_error(libc::EIO)))?;
        use std::os::unix::fs::FileExt;
        super::fault("write", TRIED).map_err(|e| ("it cannot be written to", e))?;
        file.write_all_at(hex::lower(&mark).as_bytes(), 0).map_err(|e| ("it cannot be written to", e))?;
        super::fault("sync", TRIED).map_err(|e| ("it cannot be synced", e))?;
        file.sync_data().map_err(|e| ("it cannot be synced", e))?;
        self.sync().map_err(|e| ("it cannot be synced", e))
    }
}

impl FileSystem {
    /// What an open folder lies on.
    fn of(folder: &File) -> Option<FileSystem> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let info =
            fs::read_to_string(["/proc/self/fdinfo/", &folder.as_raw_fd().to_string()].concat()).ok()?;
        let id = info.lines().find_map(|l| l.strip_prefix("mnt_id:"))?.trim();
        Some(FileSystem::found(&mounts, id))
    }

    /// Read from the text of `mountinfo`: the mount of this number.
    pub(super) fn found(mounts: &str, id: &str) -> FileSystem {
        let Some(mount) = mounts.lines().filter_map(Mount::read).find(|m| m.id == id) else {
            return FileSystem::default();
        };
        let mut kind = FileSystem::from_mount(&mount);
        let upper = mount.options().find_map(|o| o.strip_prefix("upperdir="));
        if let Some(upper) = upper.filter(|_| mount.kind == "overlay") {
            let upper = unescaped(upper);
            let below = |m: &Mount<'_>| Path::new(&upper).starts_with(unescaped(m.point));
            // The longest mount point above it; the last of several that lie over each other.
            let under = mounts.lines().filter_map(Mount::read).filter(below).max_by_key(|m| m.point.len());
            if let Some(under) = under {
                let under = FileSystem::from_mount(&under);
                kind.forgets |= under.forgets;
                kind.remote |= under.remote;
                if kind.weak_sync.is_empty() {
                    kind.weak_sync = under.weak_sync;
                }
                kind.upper = under.name;
            }
        }
        kind
    }

    fn from_mount(mount: &Mount<'_>) -> FileSystem {
        const WEAK: &[&str] = &[
            "nobarrier",
            "barrier=0",
            "volatile",
            "fsync=volatile",
            "fsync_mode=nobarrier",
            "data=writeback",
            "eatmydata",
        ];
        FileSystem {
            name: mount.kind.to_owned(),
            upper: String::new(),
            forgets: matches!(mount.kind, "tmpfs" | "ramfs" | "rootfs" | "devtmpfs"),
            remote: matches!(
                mount.kind,
                "nfs" | "nfs4" | "cifs" | "smb3" | "9p" | "ceph" | "fuse.sshfs" | "virtiofs" | "afs"
            ),
            modeless: matches!(mount.kind, "vfat" | "msdos" | "exfat"),
            weak_sync: mount.options().find(|o| WEAK.contains(o)).unwrap_or_default().to_owned(),
        }
    }

    /// Whether a file here has as many names as it was given, for certain.
    pub(crate) fn links(&self) -> bool {
        const THESE: &[&str] =
            &["ext2", "ext3", "ext4", "f2fs", "xfs", "btrfs", "tmpfs", "overlay", "ubifs", "jffs2"];
        THESE.contains(&self.name.as_str())
    }

    /// One sentence.
    pub(crate) fn words(&self) -> String {
        let mut out =
            if self.name.is_empty() { "an unknown file system".to_owned() } else { self.name.clone() };
        if !self.upper.is_empty() {
            out.push_str(" over ");
            out.push_str(&self.upper);
        }
        if self.forgets {
            out.push_str("; it is gone with the power, and with it what is known of commands");
        }
        if self.remote {
            out.push_str("; it lies on another machine, where locks may not hold");
        }
        if self.modeless {
            out.push_str("; it keeps no owners and modes");
        }
        if !self.weak_sync.is_empty() {
            out.push_str("; mounted with ");
            out.push_str(&self.weak_sync);
            out.push_str(", so a sync may not reach the disk");
        }
        out
    }
}

/// A line of `mountinfo`.
struct Mount<'a> {
    id: &'a str,
    point: &'a str,
    flags: &'a str,
    kind: &'a str,
    more: &'a str,
}

impl<'a> Mount<'a> {
    fn read(line: &'a str) -> Option<Mount<'a>> {
        let (front, back) = line.split_once(" - ")?;
        let (mut front, mut back) = (front.split(' '), back.split(' '));
        let id = front.next()?;
        let point = front.nth(3)?;
        let flags = front.next()?;
        let kind = back.next()?;
        let more = back.nth(1).unwrap_or_default();
        Some(Mount { id, point, flags, kind, more })
    }

    fn options(&self) -> impl Iterator<Item = &'a str> {
        self.flags.split(',').chain(self.more.split(','))
    }
}

/// `mountinfo` writes blanks as `\040`.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}
