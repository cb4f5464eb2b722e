//! Reading and replacing crontabs: the only place that changes one.
//!
//! A file is replaced whole or not at all, whatever is killed in between: the new text goes into a file beside it whose
//! name begins with a dot, which no daemon reads, and is renamed over it. Owner, mode and extended attributes (SELinux' label
//! is one) are the old file's; its time of change is a new one, because that is how a daemon notices. The crontab of a
//! user is crontab(1)'s to write.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Error, Result, bail, ensure};

mod backups;

pub use backups::{Backup, Backups};

/// A larger file is no crontab.
const LARGEST: u64 = 16 << 20;

/// Whose crontab it is, or which file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// The crontab of a user.
    User(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::User(user) => write!(f, "crontab of {user}"),
        }
    }
}

/// Held while crontabs are changed: two plans at once would not know of each other.
#[derive(Debug)]
pub struct EditLock(#[expect(dead_code, reason = "the lock is held as long as the file is open")] File);

impl EditLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// Another jobmon holds it, or the directory cannot be written.
    pub fn take(state: &Path) -> Result<Self> {
        let directory = state.join("locks");
        let path = directory.join("cron");
        let open = || {
            fs::create_dir_all(&directory)?;
            OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW)
                .open(&path)
        };
        let locked = || format!("lock {}", path.display());
        let file = open().with_context(locked)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(fs::TryLockError::WouldBlock) => {
                bail!("another jobmon is changing crontabs: try again when it is done")
            }
            Err(fs::TryLockError::Error(error)) => Err(error).with_context(locked),
        }
    }
}

/// The text of a crontab; none of a user who has none.
///
/// # Errors
/// It cannot be read; the text says which and why.
pub fn read(origin: &Origin) -> Result<Option<Vec<u8>>> {
    let text = match origin {
        Origin::File(path) => read_file(path).map(Some).map_err(Error::from),
        Origin::User(user) => read_user(user),
    };
    text.with_context(|| origin.to_string())
}

/// Replaces a crontab that still reads `expected` by `text`.
///
/// # Errors
/// It was changed meanwhile, or cannot be written; nothing was changed then.
pub fn replace(origin: &Origin, expected: &[u8], text: &[u8]) -> Result<()> {
    let replaced = match origin {
        Origin::File(path) => replace_file(path, expected, text).map_err(Error::from),
        Origin::User(user) => replace_user(user, expected, text),
    };
    replaced.with_context(|| origin.to_string())
}

const OLD_PLAN: &str = "was changed since the plan was made; nothing was changed";

/// Only a plain file, and not one without end.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    content(&open_plain(path)?)
}

fn open_plain(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a plain file")) }
}

fn content(file: &File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST { Err(io::Error::other("larger than 16 MiB")) } else { Ok(text) }
}

fn replace_file(path: &Path, expected: &[u8], text: &[u8]) -> io::Result<()> {
    // A link stays a link.
    let target = fs::canonicalize(path)?;
    let directory = target.parent().ok_or_else(|| io::Error::other("has no directory"))?;
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let old = open_plain(&target)?;
    let metadata = old.metadata()?;
    if content(&old)? != expected {
        return Err(io::Error::other(OLD_PLAN));
    }
    let temporary = directory.join(format!(".{name}.jobmon"));
    // What an earlier jobmon left that was killed; the lock says that there is no other.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_like(&old, &metadata, &temporary, text).and_then(|()| {
        let now = fs::metadata(&target)?;
        if (now.dev(), now.ino(), now.size(), now.mtime(), now.mtime_nsec())
            != (metadata.dev(), metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec())
        {
            return Err(io::Error::other(OLD_PLAN));
        }
        fs::rename(&temporary, &target)
    });
    if let Err(error) = written {
        _ = fs::remove_file(&temporary);
        return Err(error);
    }
    File::open(directory)?.sync_all()
}

/// Writes a file with the owner, the mode and the extended attributes of another.
fn write_like(old: &File, metadata: &fs::Metadata, path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (metadata.uid(), metadata.gid()) {
        std::os::unix::fs::fchown(&file, Some(metadata.uid()), Some(metadata.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(metadata.mode() & 0o7777))?;
    copy_attributes(old, &file)?;
    // Daemons compare whole seconds.
    if made.mtime() <= metadata.mtime() {
        let changed = metadata.modified()?.max(SystemTime::now()) + Duration::from_secs(1);
        file.set_modified(changed)?;
    }
    file.sync_all()
}

/// Extended attributes, where the file system has them.
fn copy_attributes(from: &File, to: &File) -> io::Result<()> {
    use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};
    // Attributes of Linux have at most 64 KiB each, and so has the list of their names.
    let mut names = vec![0_u8; 1 << 16];
    let length = match flistxattr(from, &mut names[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut value = vec![0_u8; 1 << 16];
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let length = fgetxattr(from, name, &mut value[..])?;
        let mut present = vec![0_u8; 1 << 16];
        // A label that the new file has from its directory need not be set, which may be forbidden.
        let is_there = fgetxattr(to, name, &mut present[..]).is_ok_and(|other| present[..other] == value[..length]);
        if !is_there {
            fsetxattr(to, name, &value[..length], XattrFlags::empty())?;
        }
    }
    Ok(())
}

fn read_user(user: &str) -> Result<Option<Vec<u8>>> {
    let output = crontab(user, &["-l"], &[])?;
    if output.status.success() {
        return Ok(Some(output.stdout));
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    // "no crontab for alice"; busybox has nothing to say.
    if complaint.contains("no crontab") || complaint.contains("can't open") {
        return Ok(None);
    }
    bail!("{}", first_line(&complaint))
}

fn replace_user(user: &str, expected: &[u8], text: &[u8]) -> Result<()> {
    ensure!(read_user(user)?.as_deref() == Some(expected), OLD_PLAN);
    let output = crontab(user, &["-"], text)?;
    ensure!(output.status.success(), "{}", first_line(&String::from_utf8_lossy(&output.stderr)));
    ensure!(read_user(user)?.as_deref() == Some(text), "crontab(1) installed something else than it was given");
    Ok(())
}

fn first_line(text: &str) -> &str {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or("crontab(1) failed without a word").trim()
}

/// crontab(1), which knows who may have a crontab and tells the daemon.
#[expect(clippy::disallowed_methods, reason = "crontab(1) is no job: it is waited for and leaves nothing behind")]
fn crontab(user: &str, arguments: &[&str], input: &[u8]) -> Result<Output> {
    let own = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
    let mut command = Command::new("crontab");
    if own.is_none_or(|own| own.name != user) {
        command.args(["-u", user]);
    }
    command.args(arguments).env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("crontab(1)")?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read it says why itself.
        _ = stdin.write_all(input);
    }
    child.wait_with_output().context("crontab(1)")
}

#[cfg(test)]
mod tests;
