//! The state directory: where everything lies, and whether it can be trusted.

use crate::text::Warning;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// A state directory that exists, is a directory, and belongs to this user.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// Checks the directory `path` and creates it, with its parents, where it is missing (mode 0700).
    ///
    /// A directory of another user is refused: its owner could point our files elsewhere. A directory of our own that
    /// others may write to works and is warned about. The error is a whole sentence for people; a job runs without it.
    pub fn open(path: &Path) -> Result<(Self, Option<Warning>), String> {
        let failed = |error: io::Error| format!("state directory {}: {error}", path.display());
        let metadata = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_private(path).map_err(failed)?;
                fs::metadata(path).map_err(failed)?
            }
            other => other.map_err(failed)?,
        };
        if !metadata.is_dir() {
            return Err(format!("state directory {}: not a directory", path.display()));
        }
        let (owner, user) = (metadata.uid(), nix::unistd::geteuid().as_raw());
        if owner != user && owner != 0 {
            return Err(format!(
                "state directory {}: belongs to user {owner}, jobmon runs as user {user}: choose another with --state-dir",
                path.display()
            ));
        }
        let warning = (metadata.mode() & 0o022 != 0).then(|| {
            let mode = metadata.mode() & 0o7777;
            Warning::new(format!(
                "state directory {}: others may write to it (mode {mode:o}): chmod 700",
                path.display()
            ))
        });
        Ok((Self { path: path.to_path_buf() }, warning))
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.path.join("registry.db")
    }

    /// Name of [`runs`](Self::runs).
    pub(super) const RUNS: &str = "runs";

    /// The directory of the journal; may not exist yet.
    pub fn runs(&self) -> PathBuf {
        self.path.join(Self::RUNS)
    }

    /// The directory of lock files; may not exist yet. See [`create_dir`](Self::create_dir).
    pub fn locks(&self) -> PathBuf {
        self.path.join("locks")
    }

    /// Creates a directory below the state directory (mode 0700); one that exists is left as it is.
    pub fn create_dir(&self, path: &Path) -> io::Result<()> {
        create_private(path)
    }

    /// Gives the owner of a file that was just created what a strange umask took.
    pub fn keep_usable(&self, file: &File) {
        // What belongs to somebody else is his to change.
        _ = undo_umask(file);
    }

    /// Takes the lock under which the database file is created or set aside; held until the file is closed.
    pub(super) fn lock_database_file(&self, deadline: Instant) -> io::Result<File> {
        let lock = private_file().create(true).truncate(false).open(self.path.join("registry.lock"))?;
        self.keep_usable(&lock);
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(fs::TryLockError::Error(error)) => return Err(error),
                Err(fs::TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(fs::TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

/// Options that open a file for reading and writing, for its owner alone, and never through a symbolic link. Should
/// somebody have put a pipe in its place, reading from it fails instead of waiting for ever.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

/// Takes back what a strange umask took from the owner of a file that was just created.
pub(super) fn undo_umask(file: &File) -> io::Result<()> {
    if file.metadata()?.mode() & 0o600 == 0o600 { Ok(()) } else { file.set_permissions(Permissions::from_mode(0o600)) }
}

/// `mkdir -p` where only the last directory is private (parents get the usual mode), and one that exists is left alone.
fn create_private(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    let mut created = builder.create(path);
    if matches!(&created, Err(error) if error.kind() == io::ErrorKind::NotFound)
        && let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty())
    {
        create_parents(parent)?;
        created = builder.create(path);
    }
    match created {
        // The umask may have taken the owner's own bits.
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(0o700)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// `mkdir -p`, where the owner of a new directory can use it whatever the umask says.
fn create_parents(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_parents(parent)?;
    }
    match fs::create_dir(path) {
        Ok(()) => {
            let mode = fs::metadata(path)?.mode() & 0o7777;
            if mode & 0o700 == 0o700 { Ok(()) } else { fs::set_permissions(path, Permissions::from_mode(mode | 0o700)) }
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_directory_is_created_for_its_owner_alone() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a/b/jobmon");
        let (dir, warning) = StateDir::open(&path).unwrap();
        assert_eq!(warning, None);
        assert_eq!(fs::metadata(dir.path()).unwrap().mode() & 0o7777, 0o700);
        StateDir::open(&path).unwrap();
    }

    #[test]
    fn what_is_no_directory_is_an_error_and_what_others_may_write_to_a_warning() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(StateDir::open(&file).unwrap_err().ends_with("not a directory"));
        assert!(StateDir::open(&file.join("below")).is_err());

        let lax = temp.path().join("lax");
        fs::create_dir(&lax).unwrap();
        fs::set_permissions(&lax, Permissions::from_mode(0o777)).unwrap();
        let (_, warning) = StateDir::open(&lax).unwrap();
        assert!(warning.unwrap().to_string().contains("mode 777"));
    }

    #[test]
    fn many_may_create_it_at_once() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("deep/er");
        thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| StateDir::open(&path).map(|_| ()))).collect();
            for thread in threads {
                thread.join().unwrap().unwrap();
            }
        });
    }
}
