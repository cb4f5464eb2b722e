//! Letting go of what the caller handed down, so that nobody waits for jobmon where the job alone was meant.
//!
//! While jobmon holds a copy of the job's stdout, a reader waits for jobmon's end instead of the job's; a copy of stdin
//! keeps a writer from noticing that nobody reads; a copy of descriptor 9 keeps the lock of `flock 9`. So all of them go
//! once the job has its own: standard input and output become `/dev/null`, inherited descriptors above 2 are closed, the
//! working folder becomes `/`.
//!
//! Standard error is where jobmon's own messages go. A file, a terminal and the journal have no reader that waits for an
//! end: it stays. A pipe has, and who reads from it (cron, a CI runner) closes it at its end of file: a message after the
//! job's end reaches them only if jobmon holds the pipe until then. So it is kept while there is something to deliver
//! that may fail ([`StandardError::Keep`]). Otherwise jobmon keeps only a name of it (O_PATH, which is no writer, so that
//! the reader sees the end of file when the job closes it) and opens it again for what is left to say. If by then nobody
//! reads any more, there is nobody to tell.

use std::fs;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use super::spawn::CommandLine;
use super::sys::{self, FileKind};

/// Where no list of open descriptors is to be had, those up to here are looked at.
const LAST_WITHOUT_LIST: RawFd = 4096;

/// What becomes of standard error where it is a pipe or a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandardError {
    /// It stays open: there may be something to say at the end, and it has to arrive.
    Keep,
    /// It is let go of: its reader sees the end of file as soon as the job has closed it.
    Release,
}

/// Standard error while it is let go of.
#[derive(Default)]
pub(super) struct Released {
    stderr: Stderr,
}

#[derive(Default)]
enum Stderr {
    /// Still open.
    #[default]
    Kept,
    /// A pipe, by name.
    Named(OwnedFd),
    /// Gone for good.
    Gone,
}

impl Released {
    /// Makes standard error what it was, for jobmon's last words; false if that is impossible: nobody would read them.
    pub(super) fn restore_stderr(&mut self) -> bool {
        let restored = match &self.stderr {
            Stderr::Kept => true,
            Stderr::Named(path) => sys::reopen(path.as_fd(), libc::STDERR_FILENO).is_ok(),
            Stderr::Gone => false,
        };
        self.stderr = if restored { Stderr::Kept } else { Stderr::Gone };
        restored
    }
}

/// PIPE_BUF: a pipe that is writable takes so many bytes without blocking (pipe(7)).
pub(super) const ATOMIC: usize = 4096;

/// Writes to standard error; false if nobody is there to read it.
pub(super) fn write_stderr(words: &[u8]) -> bool {
    nix::unistd::write(sys::standard(libc::STDERR_FILENO), words).is_ok()
}

/// Lets go of standard input and output, of inherited descriptors and of the working directory. The job must have been
/// started, and for the last time.
///
/// A file that the caller locked with fcntl(2) before it executed jobmon stays open: closing it would unlock it, because
/// such a lock belongs to the process. These are returned, to be [closed](close) when the job has ended.
pub(super) fn descriptors() -> Vec<RawFd> {
    sys::replace_by_null(&[0, 1]);
    let inherited = open_descriptors().into_iter().filter(|fd| sys::is_inherited(*fd));
    let (locked, others): (Vec<RawFd>, Vec<RawFd>) = inherited.partition(|fd| is_locked(*fd));
    close(others);
    // The directory that the job was started in can be unmounted or removed.
    _ = std::env::set_current_dir("/");
    locked
}

/// Closes inherited descriptors.
pub(super) fn close(fds: impl IntoIterator<Item = RawFd>) {
    fds.into_iter().for_each(sys::close_inherited);
}

/// Lets go of standard error, as far as somebody could wait for its end.
pub(super) fn stderr(policy: StandardError) -> Released {
    let stderr = match sys::kind(libc::STDERR_FILENO) {
        _ if policy == StandardError::Keep => Stderr::Kept,
        None | Some(FileKind::File) => Stderr::Kept,
        Some(FileKind::Socket { device, inode }) if is_journal(device, inode) => Stderr::Kept,
        Some(FileKind::Socket { .. }) => Stderr::Gone,
        Some(FileKind::Pipe) => sys::path_descriptor(libc::STDERR_FILENO).map_or(Stderr::Gone, Stderr::Named),
    };
    if !matches!(stderr, Stderr::Kept) {
        sys::replace_by_null(&[2]);
    }
    Released { stderr }
}

/// In a process that jobmon started to help: lets go of everything but `keep`, which are no standard descriptors.
pub(super) fn all_but(keep: &[RawFd]) {
    // First, so that there is a descriptor left for what follows.
    for fd in open_descriptors().into_iter().filter(|fd| !keep.contains(fd)) {
        sys::close_in_helper(fd);
    }
    sys::replace_by_null(&[0, 1, 2]);
    _ = std::env::set_current_dir("/");
}

/// Whether this process has locked a file with fcntl(2): of such locks, only its own are shown (proc_pid_fdinfo(5)).
fn is_locked(fd: RawFd) -> bool {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
    info.lines().any(|line| line.starts_with("lock:") && line.contains(" POSIX "))
}

/// Whether a socket is the journal's, by the variable that systemd sets for this question.
fn is_journal(device: u64, inode: u64) -> bool {
    std::env::var_os("JOURNAL_STREAM").is_some_and(|stream| stream.as_bytes() == format!("{device}:{inode}").as_bytes())
}

fn open_descriptors() -> Vec<RawFd> {
    match fs::read_dir("/proc/self/fd") {
        Ok(entries) => entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect(),
        Err(_) => (3..sys::descriptor_limit().min(LAST_WITHOUT_LIST)).collect(),
    }
}

/// Blanks the job's words on jobmon's own command line, so that `pgrep -f` for the job finds the job alone. "Is another
/// one running?" is a common first line of a cron script.
pub(super) fn words(command: &CommandLine) {
    let words: Vec<&[u8]> = command.words().into_iter().map(|word| word.as_bytes()).collect();
    let count = sys::argument_count();
    match command {
        CommandLine::Argv(_) => {
            let first = count.saturating_sub(words.len());
            let name = words.first().map_or(&b""[..], |word| file_name(word));
            // An option before them may hold the name too: `--name backup.sh`.
            sys::blank_arguments(|index, word| index >= first || contains(word, name));
        }
        CommandLine::Shell(text) => sys::blank_arguments(|_, word| contains(word, text.as_bytes())),
    }
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

fn contains(word: &[u8], name: &[u8]) -> bool {
    !name.is_empty() && word.windows(name.len()).any(|window| window == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_inside_of_a_word() {
        for (word, name, expected) in [
            ("--name=backup.sh", "backup.sh", true),
            ("backup.sh", "backup.sh", true),
            ("backup", "backup.sh", false),
            ("anything", "", false),
        ] {
            assert_eq!(contains(word.as_bytes(), name.as_bytes()), expected, "{word} {name}");
        }
        assert_eq!(file_name(b"/usr/bin/backup.sh"), b"backup.sh");
        assert_eq!(file_name(b"backup.sh"), b"backup.sh");
    }
}
