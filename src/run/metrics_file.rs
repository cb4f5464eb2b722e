//! `$JOBMON_METRICS_FILE`: a file of one run, in which its job may leave metrics of its own.
//!
//! It lies in `metrics/` below the state folder, for its owner alone, and is held with `flock(2)` while its jobmon lives:
//! a file that nobody holds was left by a jobmon that was killed, and goes when
//! another one sees to what such runs left. What is in it goes with it: nobody knows whether the run was done with it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::grouping::GroupingKey;
use crate::metrics::{self, LARGEST, Repeated};
use crate::registry::{StateDir, journal};

/// The variable in which the job finds the file.
pub const VARIABLE: &str = "JOBMON_METRICS_FILE";

/// Where metrics go that nobody will read: a job that appends to its file must not notice that there is none.
const NOWHERE: &str = "/dev/null";
/// How many wrong lines are named.
const MOST_FLAWS: usize = 5;

/// The file of one run.
#[derive(Debug)]
pub struct MetricsFile {
    path: PathBuf,
    held: Result<File, String>,
}

/// What a run left.
#[derive(Debug, PartialEq, Eq)]
pub struct Metrics {
    /// The lines that are right, in text format.
    pub text: String,
    /// What is wrong with the others, in one line.
    pub warning: Option<String>,
}

impl MetricsFile {
    /// A fresh, empty file below the state folder; a job whose file cannot be made writes to nowhere.
    pub fn create(state_dir: Option<&Path>) -> Self {
        let made = state_dir.ok_or_else(|| "no state directory".to_owned()).and_then(create);
        match made {
            Ok((path, file)) => Self { path, held: Ok(file) },
            Err(reason) => Self { path: NOWHERE.into(), held: Err(reason) },
        }
    }

    /// What the job is told.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The descriptor that holds the lock, for a process that goes on holding it.
    pub fn fd(&self) -> Option<RawFd> {
        self.held.as_ref().ok().map(AsRawFd::as_raw_fd)
    }

    /// Removes the file unread: nobody knows whether the run was done with it.
    pub fn discard(&self) {
        if self.held.is_ok() {
            _ = fs::remove_file(&self.path);
        }
    }

    /// Reads what the job wrote, and removes the file.
    pub fn read(&self, key: &GroupingKey) -> Metrics {
        let Self { path, held } = self;
        if let Err(reason) = held {
            return Metrics { text: String::new(), warning: Some(format!("metrics of the job are lost: {reason}")) };
        }
        let read = read(path);
        // A folder in its place is the job's own affair.
        _ = fs::remove_file(path);
        let (text, complaint) = match read {
            Ok(bytes) if bytes.len() > LARGEST => {
                (String::new(), format!("larger than {LARGEST} bytes: nothing of it is taken"))
            }
            Ok(bytes) => {
                let (metrics, flaws) = metrics::read(&bytes, key, Repeated::LastWins);
                let mut words: Vec<String> = flaws.iter().take(MOST_FLAWS).map(ToString::to_string).collect();
                if flaws.len() > MOST_FLAWS {
                    words.push(format!("and {} more", flaws.len() - MOST_FLAWS));
                }
                let left_out = if words.is_empty() { "" } else { "; left out" };
                (metrics.to_text(&[]), words.join("; ") + left_out)
            }
            // Whoever removes it has nothing to say.
            Err(error) if error.kind() == io::ErrorKind::NotFound => (String::new(), String::new()),
            Err(error) => (String::new(), error.to_string()),
        };
        let warning = (!complaint.is_empty()).then(|| format!("metrics of the job: {}: {complaint}", path.display()));
        Metrics { text, warning }
    }
}

fn create(state_dir: &Path) -> Result<(PathBuf, File), String> {
    let (dir, _) = StateDir::open(state_dir)?;
    let folder = folder(&dir);
    let failed = |error: io::Error| format!("{}: {error}", folder.display());
    dir.create_dir(&folder).map_err(failed)?;
    sweep(&dir);
    // Another jobmon that sweeps may take a file that is not locked yet.
    for _ in 0..3 {
        let path = folder.join(format!("{}.prom", journal::new_run_id().as_str()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(&path).map_err(failed)?;
        // Whatever the umask took.
        file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
        // Refused only by file systems without locks: then nobody else can lock it either, and nobody sweeps.
        _ = file.try_lock();
        if is_same(&file, &path) {
            return Ok((path, file));
        }
    }
    Err(failed(io::ErrorKind::NotFound.into()))
}

fn is_same(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(held), Ok(named)) => identity(held) == identity(named),
        _ => false,
    }
}

fn folder(dir: &StateDir) -> PathBuf {
    dir.path().join("metrics")
}

/// Removes what killed jobmons left.
pub fn sweep(dir: &StateDir) {
    let Ok(entries) = fs::read_dir(folder(dir)) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|ending| ending == "prom")
            && open(&path).is_ok_and(|file| file.try_lock().is_ok())
        {
            _ = fs::remove_file(path);
        }
    }
}

/// The file at `path` if it is a plain one: the job may have put anything in its place.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("not a plain file")),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(LARGEST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
