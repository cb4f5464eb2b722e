//! One run at a time: an exclusive `flock(2)` on a file that is never removed.
//!
//! The lock is the kernel's: it goes with the process that holds it, whatever ended that, and a daemon that the job leaves
//! behind does not hold it, because the descriptor is closed by `exec`.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A lock that a run takes before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockRequest {
    /// The file; made if it is not there, never removed. Its folder has to exist.
    pub path: PathBuf,
    /// How long to wait for another run's end before this one is skipped; zero: not at all.
    pub wait: Duration,
}

/// What came of an attempt to take a lock.
pub(super) enum Taken {
    /// It is ours until the file is dropped.
    Ours(File),
    /// Another run has it.
    Busy(File),
}

/// Opens the lock file and tries to lock it.
///
/// # Errors
/// The file cannot be opened or locked: not for another run's sake.
pub(super) fn open_and_try(path: &Path) -> io::Result<Taken> {
    let file = open(path)?;
    attempt(file)
}

/// Tries to lock an open lock file.
///
/// # Errors
/// The file system has no locks.
pub(super) fn attempt(file: File) -> io::Result<Taken> {
    match file.try_lock() {
        Ok(()) => Ok(Taken::Ours(file)),
        Err(TryLockError::WouldBlock) => Ok(Taken::Busy(file)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn open(path: &Path) -> io::Result<File> {
    // Writing is asked for because NFS turns flock into a byte-range lock, which needs it. No symbolic link is followed:
    // the folder may be one that others can write to. Nonblocking, lest a FIFO of that name hang the run.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let with = |write: bool, create: bool| {
        OpenOptions::new().read(true).write(write).create(create).mode(0o600).custom_flags(flags).open(path)
    };
    // fs.protected_regular forbids root to open another user's file in a sticky folder with O_CREAT; and a file that
    // belongs to somebody else may still be readable, which is enough on a local file system.
    with(true, true).or_else(|error| match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            with(true, false).or_else(|_| with(false, false)).map_err(|_| error)
        }
        _ => Err(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cannot_hold_it_and_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = open_and_try(&path).unwrap();
        assert!(matches!(first, Taken::Ours(_)));
        let Taken::Busy(waiting) = open_and_try(&path).unwrap() else { panic!("locked twice") };
        drop(first);
        assert!(matches!(attempt(waiting).unwrap(), Taken::Ours(_)));
        assert!(path.exists());
    }

    #[test]
    fn a_symbolic_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        std::os::unix::fs::symlink(&target, folder.path().join("lock")).unwrap();
        assert!(open_and_try(&folder.path().join("lock")).is_err());
        assert!(!target.exists());
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(open_and_try(&folder.path().join("none/lock")).is_err());
    }
}
