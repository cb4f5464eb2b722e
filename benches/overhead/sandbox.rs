//! Where everything runs: the binary under test, the helper programs, and a directory that is removed at the end.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// What every row needs to know.
pub struct Bench {
    /// The binary under test.
    pub jobmon: PathBuf,
    /// Prints nothing; writes when it began and ended to a file (`helpers/stamp.c`).
    pub stamp: PathBuf,
    /// Says how much memory a command took at most (`helpers/peak.c`).
    pub peak: PathBuf,
    /// Fewer repetitions.
    pub quick: bool,
    scratch: TempDir,
}

impl Bench {
    pub fn new(quick: bool) -> Result<Bench, String> {
        // Below the target directory: a registry in a tmpfs would make fsync free.
        let scratch = tempfile::Builder::new()
            .prefix("overhead-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .map_err(|error| format!("scratch directory in {}: {error}", env!("CARGO_TARGET_TMPDIR")))?;
        let jobmon = std::env::var_os("JOBMON_BENCH_BINARY")
            .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_jobmon")), PathBuf::from);
        let jobmon = install(&jobmon, scratch.path())?;
        let stamp = compile(scratch.path(), "stamp")?;
        let peak = compile(scratch.path(), "peak")?;
        Ok(Bench { jobmon, stamp, peak, quick, scratch })
    }

    /// How often: the full count, or a tenth with `--quick`.
    pub fn count(&self, full: usize) -> usize {
        if self.quick { (full / 10).max(3) } else { full }
    }

    /// A new empty directory, removed at the end of the measurement.
    pub fn directory(&self, name: &str) -> Result<PathBuf, String> {
        tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir_in(self.scratch.path())
            .map(TempDir::keep)
            .map_err(|error| format!("directory {name}: {error}"))
    }

    /// The environment of every measured command: small, the same for all, and nothing of the caller's.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        let home = self.scratch.path().as_os_str();
        [("PATH", "/usr/bin:/bin".as_ref()), ("HOME", home), ("LANG", "C.UTF-8".as_ref()), ("TMPDIR", home)]
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
            .to_vec()
    }
}

/// A file of the repository's `benches/` directory.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches").join(name)
}

/// The interpreter that `benches/setup` has given the official client library.
pub fn python() -> Result<PathBuf, String> {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prometheus_client/bin/python");
    if python.exists() { Ok(python) } else { Err("no prometheus_client: run benches/setup".to_owned()) }
}

/// The binary as a package manager installs it, like everything that it is compared with: written in large pieces. The
/// page cache keeps files in pieces of the size in which they were written, and what the linker has just written
/// through a mapping (or `install` has copied page by page) takes two to five times as long to be mapped and unmapped.
fn install(binary: &Path, directory: &Path) -> Result<PathBuf, String> {
    let installed = directory.join("jobmon");
    fs::read(binary)
        .and_then(|bytes| fs::write(&installed, bytes))
        .and_then(|()| fs::set_permissions(&installed, Permissions::from_mode(0o755)))
        .map_err(|error| format!("binary under test {}: {error}", binary.display()))?;
    Ok(installed)
}

fn compile(directory: &Path, name: &str) -> Result<PathBuf, String> {
    let program = directory.join(name);
    let status = Command::new("cc")
        .args(["-static", "-O2", "-Wall", "-o"])
        .arg(&program)
        .arg(file(&format!("helpers/{name}.c")))
        .status()
        .map_err(|error| format!("cc: {error}"))?;
    if status.success() { Ok(program) } else { Err(format!("cc could not build helpers/{name}.c: {status}")) }
}
