//! One run at a time: an exclusive `flock(2)` on a file that is never removed.
//!
//! The lock is the kernel's: it goes with the process that holds it, whatever ended that, and a daemon that the job leaves
//! behind does not hold it, because the descriptor is closed by `exec`.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
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
    Busy,
}

/// Opens the lock file and tries to lock it.
///
/// # Errors
/// The file cannot be opened or locked: not for another run's sake.
pub(super) fn take(path: &Path) -> io::Result<Taken> {
    // Somebody may remove the file between the two steps; then its lock keeps nobody out.
    for _ in 0..8 {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path)? => return Ok(Taken::Ours(file)),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Taken::Busy),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::other("it is removed again and again"))
}

/// Whether this is the file that `path` names.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    let named = fs::symlink_metadata(path);
    Ok(named.is_ok_and(|named| (named.dev(), named.ino()) == (held.dev(), held.ino())))
}

/// Cleaners of temporary directories spare a file with the sticky bit (XDG Base Directory Specification, systemd-tmpfiles),
/// and the owner gets back what a strange umask took. What belongs to somebody else is his to change.
fn protect(file: &File) {
    const MODE: u32 = 0o1600;
    if file.metadata().is_ok_and(|metadata| metadata.mode() & MODE != MODE) {
        _ = file.set_permissions(Permissions::from_mode(MODE));
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
    let file = with(true, true).or_else(|error| match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            with(true, false).or_else(|_| with(false, false)).map_err(|_| error)
        }
        _ => Err(error),
    })?;
    protect(&file);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cannot_hold_it_and_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = take(&path).unwrap();
        assert!(matches!(first, Taken::Ours(_)));
        assert!(matches!(take(&path).unwrap(), Taken::Busy));
        drop(first);
        assert!(matches!(take(&path).unwrap(), Taken::Ours(_)));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o1600);
    }

    /// A cleaner that spares nothing: from the next run on there is one lock again.
    #[test]
    fn a_lock_file_that_was_removed_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let Taken::Ours(orphan) = take(&path).unwrap() else { panic!("nobody has it") };
        fs::remove_file(&path).unwrap();
        let second = take(&path).unwrap();
        assert!(matches!(second, Taken::Ours(_)) && matches!(take(&path).unwrap(), Taken::Busy));
        assert!(!is_at(&orphan, &path).unwrap());
    }

    #[test]
    fn a_symbolic_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        std::os::unix::fs::symlink(&target, folder.path().join("lock")).unwrap();
        assert!(take(&folder.path().join("lock")).is_err());
        assert!(!target.exists());
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(take(&folder.path().join("none/lock")).is_err());
    }
}
