//! Time that passes: for the processes of the soak by a shim, for the simulator by its control API.

use crate::preload::{self, Failure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The clocks of the soak's processes, and the number of the step that they may do.
pub(super) struct Time {
    file: PathBuf,
    shim: PathBuf,
    ahead_ms: i64,
    step: u64,
}

impl Time {
    pub fn new(folder: &Path) -> Result<Time, Failure> {
        let time =
            Time { file: folder.join("time"), shim: preload::build_time(folder)?, ahead_ms: 0, step: 0 };
        time.write()?;
        Ok(time)
    }

    /// Puts a process under these clocks.
    pub fn over(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.shim).env("KL_TIME_FILE", &self.file);
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    pub fn ahead_ms(&self) -> i64 {
        self.ahead_ms
    }

    pub fn step(&self) -> u64 {
        self.step
    }

    /// So much time has passed; the next step may be done.
    pub fn pass(&mut self, ms: i64) -> Result<(), Failure> {
        self.ahead_ms += ms;
        self.step += 1;
        self.write()
    }

    /// Written in place, as others have the file mapped: the step last.
    fn write(&self) -> Result<(), Failure> {
        use std::os::unix::fs::FileExt;
        let fail = |e: std::io::Error| format!("{}: {e}", self.file.display());
        let file =
            fs::File::options().create(true).truncate(false).write(true).open(&self.file).map_err(fail)?;
        file.write_all_at(&self.ahead_ms.to_ne_bytes(), 0).map_err(fail)?;
        file.write_all_at(&self.step.to_ne_bytes(), 8).map_err(fail)
    }
}

/// The step that may be done now.
pub(super) fn step_now(file: &Path) -> u64 {
    let bytes = fs::read(file).unwrap_or_default();
    bytes.get(8..16).and_then(|b| b.try_into().ok()).map_or(0, u64::from_ne_bytes)
}
