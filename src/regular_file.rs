//! Reading files that a person named or that lie where others write: nothing there makes jobmon wait, or use memory without
//! end.
//!
//! A pipe, a terminal or `/dev/zero` in the place of a file would. So a file is opened without waiting for a writer, has to
//! be a regular file, and is read up to a bound. `/dev/null` counts as an empty file: people link configuration there.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileContent {
    /// All of the file.
    pub bytes: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
    /// The user and the group that it belongs to.
    pub owner: (u32, u32),
}

impl FileContent {
    /// Who else than root can have written it, if anybody. An empty file says nothing, so everybody may write `/dev/null`.
    fn distrust(&self) -> Option<String> {
        let (user, group) = self.owner;
        match self.mode {
            _ if self.bytes.is_empty() => None,
            _ if user != 0 => Some(format!("belongs to user {user}")),
            mode if mode & 0o002 != 0 => Some("every user can write it".to_owned()),
            mode if mode & 0o020 != 0 && group != 0 => Some(format!("group {group} can write it")),
            _ => None,
        }
    }
}

/// Why a file cannot be read; says which.
#[derive(Debug)]
pub struct FileError {
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    NotRegular,
    LargerThan(u64),
    NotUtf8 { line: usize },
    Untrusted(String),
    Io(io::Error),
}

/// Opens a regular file for reading; without waiting for anybody, and never as a controlling terminal.
///
/// # Errors
/// What the system says, or that this is no regular file.
pub fn open(path: &Path) -> Result<File, FileError> {
    let error = |reason| FileError { path: path.to_owned(), reason };
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let file = file.map_err(|io| error(Reason::Io(io)))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_file() || is_null(&metadata) => Ok(file),
        Ok(_) => Err(error(Reason::NotRegular)),
        Err(io) => Err(error(Reason::Io(io))),
    }
}

/// Reads a regular file of at most so many bytes.
///
/// # Errors
/// As [`open`], or that the file is larger.
pub fn read(path: &Path, most: u64) -> Result<FileContent, FileError> {
    let error = |reason| FileError { path: path.to_owned(), reason };
    let file = open(path)?;
    let io = |io| error(Reason::Io(io));
    let metadata = file.metadata().map_err(io)?;
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > most {
        return Err(error(Reason::LargerThan(most)));
    }
    Ok(FileContent { bytes, mode: metadata.mode(), owner: (metadata.uid(), metadata.gid()) })
}

/// Reads a regular file of at most so many bytes of UTF-8, whose content jobmon obeys: configuration, passwords, headers. Root
/// obeys nobody else's. With the permission bits.
///
/// # Errors
/// As [`read`], that somebody else than root can write the file, or in which line it is not UTF-8.
pub fn read_settings(path: &Path, most: u64) -> Result<(String, u32), FileError> {
    let content = read(path, most)?;
    if nix::unistd::geteuid().is_root()
        && let Some(why) = content.distrust()
    {
        return Err(FileError { path: path.to_owned(), reason: Reason::Untrusted(why) });
    }
    match String::from_utf8(content.bytes) {
        Ok(text) => Ok((text, content.mode)),
        Err(error) => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(FileError { path: path.to_owned(), reason: Reason::NotUtf8 { line } })
        }
    }
}

/// The beginning of a regular file, up to so many bytes.
///
/// # Errors
/// As [`open`].
pub fn read_start(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    match open(path)?.take(most).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(FileError { path: path.to_owned(), reason: Reason::Io(error) }),
    }
}

/// Whether this could be read, for whoever leaves the reading to a library.
///
/// # Errors
/// As [`read`].
pub fn check(path: &Path, most: u64) -> Result<(), FileError> {
    let error = |reason| FileError { path: path.to_owned(), reason };
    let metadata = open(path)?.metadata().map_err(|io| error(Reason::Io(io)))?;
    if metadata.len() > most { Err(error(Reason::LargerThan(most))) } else { Ok(()) }
}

/// Whether this is `/dev/null`.
fn is_null(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == libc::makedev(1, 3)
}

impl FileError {
    /// Whether it cannot even be looked for: a directory on the way to it is closed to this user.
    pub fn is_out_of_reach(&self) -> bool {
        let denied = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
        matches!(&self.reason, Reason::Io(error) if denied(error))
            && self.path.symlink_metadata().is_err_and(|error| denied(&error))
    }

    /// Whether there is no such file.
    pub fn is_missing(&self) -> bool {
        let missing = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
        matches!(&self.reason, Reason::Io(error) if missing.contains(&error.kind()))
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        match &self.reason {
            Reason::NotRegular => f.write_str("not a regular file"),
            Reason::LargerThan(most) => write!(f, "larger than {most} bytes"),
            Reason::NotUtf8 { line } => write!(f, "not valid UTF-8 in line {line}"),
            Reason::Untrusted(why) => write!(f, "{why}, so root does not use it"),
            Reason::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FileError {}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use nix::sys::stat::Mode;

    use super::*;

    #[test]
    fn only_regular_files_are_read_and_no_more_than_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let check = |make: &dyn Fn(), expected: Result<&[u8], &str>| {
            make();
            let read = read(&path, 8).map(|content| content.bytes).map_err(|error| error.to_string());
            let expected = expected.map(<[u8]>::to_vec).map_err(|reason| format!("{}: {reason}", path.display()));
            assert_eq!(read, expected);
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        };
        let write = |bytes: &'static [u8]| {
            let path = path.clone();
            move || fs::write(&path, bytes).unwrap()
        };
        let link = |target: &'static str| {
            let path = path.clone();
            move || symlink(target, &path).unwrap()
        };
        check(&write(b""), Ok(b""));
        check(&write(b"\xff234567\n"), Ok(b"\xff234567\n"));
        check(&write(b"123456789"), Err("larger than 8 bytes"));
        check(&|| {}, Err("No such file or directory (os error 2)"));
        check(&|| fs::create_dir(&path).unwrap(), Err("not a regular file"));
        check(&|| nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap(), Err("not a regular file"));
        check(&link("/dev/zero"), Err("not a regular file"));
        check(&link("/dev/tty"), {
            let terminal = OpenOptions::new().read(true).open("/dev/tty");
            if terminal.is_ok() { Err("not a regular file") } else { Err("No such device or address (os error 6)") }
        });
        check(&link("/dev/null"), Ok(b""));
        check(&link("file"), Err("Too many levels of symbolic links (os error 40)"));
        check(&link("/proc/self/mem"), Err("Input/output error (os error 5)"));
        let unreadable = || {
            fs::write(&path, "secret").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o200)).unwrap();
        };
        let is_root = nix::unistd::geteuid().is_root();
        check(&unreadable, if is_root { Ok(b"secret") } else { Err("Permission denied (os error 13)") });
    }

    #[test]
    fn text_is_utf_8_and_comes_with_its_permissions() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "a\nb\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert_eq!(read_settings(&path, 100).unwrap(), ("a\nb\n".to_owned(), 0o100_640));
        fs::write(&path, b"a\nb\n\xe4").unwrap();
        let error = read_settings(&path, 100).unwrap_err();
        assert_eq!(error.to_string(), format!("{}: not valid UTF-8 in line 3", path.display()));
        assert!(!error.is_missing());
        assert!(read_settings(&path.join("below"), 100).unwrap_err().is_missing());
    }

    #[test]
    fn root_obeys_no_file_that_others_can_write() {
        let check = |bytes: &[u8], mode: u32, owner: (u32, u32), expected: Option<&str>| {
            let content = FileContent { bytes: bytes.to_vec(), mode: 0o100_000 | mode, owner };
            assert_eq!(content.distrust().as_deref(), expected, "{mode:o} {owner:?}");
        };
        check(b"x", 0o644, (0, 0), None);
        check(b"x", 0o400, (0, 5), None);
        check(b"x", 0o664, (0, 0), None);
        check(b"x", 0o664, (0, 5), Some("group 5 can write it"));
        check(b"x", 0o646, (0, 0), Some("every user can write it"));
        check(b"x", 0o600, (1000, 0), Some("belongs to user 1000"));
        check(b"", 0o666, (0, 0), None);
    }

    #[test]
    fn a_start_may_be_all_there_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_start(&path, 3).unwrap(), b"123");
        assert_eq!(read_start(&path, 9).unwrap(), b"12345");
        assert!(check(&path, 5).is_ok());
        assert_eq!(check(&path, 4).unwrap_err().to_string(), format!("{}: larger than 4 bytes", path.display()));
    }
}
