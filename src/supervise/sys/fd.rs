//! Descriptors: what they are, waiting for them, and letting go of them.
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::{CString, c_int, c_long};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout};

use super::process::Pid;
use super::{check, errno};

/// Opens something harmless that is closed by `exec`: `/dev/null`, or the root folder where there is no `/dev`.
pub(super) fn placeholder() -> RawFd {
    // SAFETY: both paths are valid C strings.
    unsafe {
        let fd = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        if fd >= 0 { fd } else { libc::open(c"/".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC) }
    }
}

/// What a descriptor is, as far as it matters for letting go of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file, a terminal or another device: nobody waits for its end.
    File,
    /// A pipe or a FIFO: a reader waits for the last writer to go.
    Pipe,
    /// A socket, with the numbers by which `$JOURNAL_STREAM` names one.
    Socket {
        /// st_dev.
        device: u64,
        /// st_ino.
        inode: u64,
    },
}

/// The kind of an open descriptor; None if it is closed.
pub fn kind(fd: RawFd) -> Option<FileKind> {
    // SAFETY: a zeroed `stat` is valid and filled in by the kernel; a closed number is an error.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        if libc::fstat(fd, &raw mut stat) != 0 {
            return None;
        }
        Some(match stat.st_mode & libc::S_IFMT {
            libc::S_IFIFO => FileKind::Pipe,
            libc::S_IFSOCK => FileKind::Socket { device: stat.st_dev as u64, inode: stat.st_ino as u64 },
            _ => FileKind::File,
        })
    }
}

/// Names an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inode {
    /// st_dev.
    pub device: u64,
    /// st_ino.
    pub number: u64,
}

/// What is open as a descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    /// Where it lies.
    pub inode: Inode,
    /// Whether it is a regular file.
    pub is_regular: bool,
    /// Size of a regular file.
    pub size: u64,
    /// Where the next write goes, unless it appends.
    pub position: u64,
    /// Whether every write goes to the end (O_APPEND).
    pub appends: bool,
}

/// Describes an open descriptor; None if it is closed.
pub fn describe(fd: RawFd) -> Option<Open> {
    // SAFETY: a zeroed `stat` is valid and filled in by the kernel; the rest takes and gives numbers.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        if libc::fstat(fd, &raw mut stat) != 0 {
            return None;
        }
        Some(Open {
            inode: Inode { device: stat.st_dev as u64, number: stat.st_ino as u64 },
            is_regular: stat.st_mode & libc::S_IFMT == libc::S_IFREG,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            position: u64::try_from(libc::lseek(fd, 0, libc::SEEK_CUR)).unwrap_or(0),
            appends: libc::fcntl(fd, libc::F_GETFL) & libc::O_APPEND != 0,
        })
    }
}

/// Whether a descriptor is a terminal.
pub fn is_terminal(fd: RawFd) -> bool {
    // SAFETY: asks about a number.
    unsafe { libc::isatty(fd) == 1 }
}

/// Whether `exec` hands a descriptor down: false for one that is closed, and for the placeholder of one that was.
pub fn is_handed_down(fd: RawFd) -> bool {
    // SAFETY: F_GETFD reads a flag of a number that may well be closed.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    flags >= 0 && flags & libc::FD_CLOEXEC == 0
}

/// Whether two descriptors of this process are copies of one another, with one offset and one set of flags; false where
/// the kernel does not say.
pub fn is_same_description(one: RawFd, other: RawFd) -> bool {
    const KCMP_FILE: c_long = 0;
    let own = c_long::from(Pid::own().0);
    // SAFETY: numbers only.
    unsafe { libc::syscall(libc::SYS_kcmp, own, own, KCMP_FILE, c_long::from(one), c_long::from(other)) == 0 }
}

/// Standard input, standard output or standard error of this process.
pub fn standard(fd: RawFd) -> BorrowedFd<'static> {
    debug_assert!((0..3).contains(&fd), "a standard descriptor");
    // SAFETY: the standard descriptors are open from before `main` on (`capture` sees to it) and replaced, never closed.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// How many bytes can be read from a pipe at once.
pub fn readable_bytes(fd: BorrowedFd<'_>) -> usize {
    let mut count: c_int = 0;
    // SAFETY: FIONREAD writes one int, and the pointer is to a local one.
    unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    usize::try_from(count).unwrap_or(0)
}

/// In a process of `fork_helper`: closes a descriptor that it got from its parent.
pub fn close_in_helper(fd: RawFd) {
    if fd > 2 {
        // SAFETY: the objects that own it are the parent's; the helper ends without dropping its copies of them.
        unsafe { libc::close(fd) };
    }
}

/// Lets go of standard descriptors: something harmless takes their place, so that no later file lands there.
pub fn replace_by_null(fds: &[RawFd]) {
    let null = placeholder();
    if null < 0 {
        return;
    }
    // SAFETY: `null` is open and ours; the standard descriptors are owned by no Rust object that closes them.
    unsafe {
        for &fd in fds {
            libc::dup3(null, fd, libc::O_CLOEXEC);
        }
        if null > 2 {
            libc::close(null);
        }
    }
}

/// Whether the descriptor `fd`, above 2, was inherited: everything that jobmon opens is closed by `exec`, and what came
/// through the `exec` of jobmon itself is not.
pub fn is_inherited(fd: RawFd) -> bool {
    // SAFETY: numbers only.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    fd > 2 && flags >= 0 && flags & libc::FD_CLOEXEC == 0
}

/// Closes the descriptor `fd` if it was inherited.
pub fn close_inherited(fd: RawFd) {
    if is_inherited(fd) {
        // SAFETY: no Rust object owns a descriptor without FD_CLOEXEC: the standard library sets it on all it opens.
        unsafe { libc::close(fd) };
    }
}

/// The soft limit on the number of descriptors.
pub fn descriptor_limit() -> RawFd {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a pointer to a local.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    RawFd::try_from(limit.rlim_cur).unwrap_or(RawFd::MAX)
}

/// A name for what is open as `fd` that does not keep it open: no reader waits for it, yet `/proc/self/fd` leads back
/// to it.
pub fn path_descriptor(fd: RawFd) -> io::Result<OwnedFd> {
    let path = CString::new(format!("/proc/self/fd/{fd}"))?;
    // SAFETY: a valid path; a new descriptor is nobody else's.
    unsafe { Ok(OwnedFd::from_raw_fd(check(libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC))?)) }
}

/// Opens for writing, as descriptor `to`, what a [`path_descriptor`] names.
///
/// # Errors
/// Nobody reads from it any more.
pub fn reopen(path: BorrowedFd<'_>, to: RawFd) -> io::Result<()> {
    let path = CString::new(format!("/proc/self/fd/{}", path.as_raw_fd()))?;
    let flags = libc::O_WRONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: a valid path; the new descriptor is ours until it is closed here. It is another open file description
    // than the job's, so that O_NONBLOCK is nobody else's.
    unsafe {
        let fd = check(libc::open(path.as_ptr(), flags))?;
        let answer = check(libc::dup3(fd, to, libc::O_CLOEXEC)).map(drop);
        libc::close(fd);
        answer
    }
}

/// A poll set that is readable when one of `members` is.
pub fn poll_descriptor(members: &[BorrowedFd<'_>]) -> io::Result<OwnedFd> {
    // SAFETY: a new descriptor is nobody else's; the event is a local that the kernel copies.
    unsafe {
        let fd = check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?;
        let set = OwnedFd::from_raw_fd(fd);
        for member in members {
            add_to_poll(set.as_fd(), *member)?;
        }
        Ok(set)
    }
}

/// Adds a member to a [`poll_descriptor`], until it is closed.
pub fn add_to_poll(set: BorrowedFd<'_>, member: BorrowedFd<'_>) -> io::Result<()> {
    let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
    // SAFETY: the event is a local that the kernel copies.
    check(unsafe { libc::epoll_ctl(set.as_raw_fd(), libc::EPOLL_CTL_ADD, member.as_raw_fd(), &raw mut event) })
        .map(drop)
}

/// Waits, for however long, until a member of a [`poll_descriptor`] is readable.
///
/// # Errors
/// The kernel refuses to wait at all; an interruption is none.
pub fn poll(set: BorrowedFd<'_>) -> io::Result<()> {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: room for one event, and the count says so.
    let answer = unsafe { libc::epoll_wait(set.as_raw_fd(), &raw mut event, 1, -1) };
    if answer == -1 && errno() != libc::EINTR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Two connected sockets for messages (`SOCK_SEQPACKET`: each arrives whole, and the end of one process is an end of file
/// for the other), closed by `exec`; they never block.
pub fn message_sockets() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: room for two numbers; two new descriptors are nobody else's.
    unsafe {
        check(libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()))?;
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}

/// Sends one message; `WouldBlock` if there is no room for it.
pub fn send_message(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: a buffer of the length given, which is only read. MSG_NOSIGNAL: nobody listening is an error, no SIGPIPE.
    let sent = unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Takes one message; its length, 0 at the end of file.
pub fn receive_message(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<usize> {
    // SAFETY: a buffer of the length given.
    let length = unsafe { libc::recv(socket.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    usize::try_from(length).map_err(|_| io::Error::last_os_error())
}

/// Waits until one of `fds` is readable or at its end, or `timeout` has passed (none: for ever); true if one is.
pub fn wait_readable(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> bool {
    wait_for(fds, PollFlags::POLLIN, timeout)
}

/// Waits until `fd` takes what is written, or writing would be an error; false after `timeout`.
pub fn wait_writable(fd: BorrowedFd<'_>, timeout: Duration) -> bool {
    wait_for(&[fd], PollFlags::POLLOUT, Some(timeout))
}

fn wait_for(fds: &[BorrowedFd<'_>], flags: PollFlags, timeout: Option<Duration>) -> bool {
    let mut fds: Vec<_> = fds.iter().map(|fd| PollFd::new(*fd, flags)).collect();
    // Rounded up: what is left of a millisecond would be waited for with a busy processor.
    let millis = timeout.map(|timeout| timeout.as_nanos().div_ceil(1_000_000));
    let timeout = millis.map_or(PollTimeout::NONE, |millis| {
        i32::try_from(millis).ok().and_then(|millis| PollTimeout::try_from(millis).ok()).unwrap_or(PollTimeout::MAX)
    });
    matches!(nix::poll::poll(&mut fds, timeout), Ok(ready) if ready > 0)
}
