//! Processes: their numbers, how they start and end, and what they used.
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::{CStr, c_int, c_long};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use super::time::boot_time;
use super::{check, errno};
use crate::supervise::ResourceUsage;

/// A process id that names one process: always positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(pub(super) i32);

impl Pid {
    /// `pid`, if it names one process.
    pub fn new(pid: i32) -> Option<Self> {
        (pid > 0).then_some(Self(pid))
    }

    /// This process.
    pub fn own() -> Self {
        // SAFETY: getpid has no preconditions.
        Self(unsafe { libc::getpid() })
    }

    /// The number.
    pub fn get(self) -> i32 {
        self.0
    }
}

/// The process that started this one; 0 if it is outside of the PID namespace.
pub fn parent_pid() -> i32 {
    // SAFETY: getppid has no preconditions.
    unsafe { libc::getppid() }
}

/// Whether this process leads its session: then the kernel tells it, and it alone, of a hang-up.
pub fn is_session_leader() -> bool {
    // SAFETY: getsid(0) asks about the calling process.
    unsafe { libc::getsid(0) == libc::getpid() }
}

/// The inode number of a process's pidfd, which names it for as long as the machine is up. Async-signal-safe.
pub fn pidfd_inode(pid: Pid) -> Option<u64> {
    let fd = pidfd_open(pid).ok()?;
    // SAFETY: a zeroed `stat` is valid, and the kernel fills it in.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        (libc::fstat(fd.as_raw_fd(), &raw mut stat) == 0).then_some(stat.st_ino as u64)
    }
}

/// Starts a process that does `work` and ends; it inherits everything that is open, and the signal mask.
///
/// Like all of `supervise`, for a process with one thread: with more of them, a lock that another one holds would be held
/// for ever in the new process.
///
/// # Errors
/// There is no process to be had.
pub fn fork_helper(work: impl FnOnce()) -> io::Result<Pid> {
    // SAFETY: with one thread, the child is a whole process like its parent and may do what it likes.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // Must not go up into frames that belong to the parent. What panics has said so on the standard error.
            _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            // SAFETY: `_exit` runs no handlers of the parent.
            unsafe { libc::_exit(0) }
        }
        pid => Ok(Pid(pid)),
    }
}

/// Makes this process the leader and only member of a process group of its own.
pub fn leave_process_group() {
    // SAFETY: numbers only; 0 is the calling process.
    unsafe { libc::setpgid(0, 0) };
}

/// What `wait4` had to tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Waited {
    /// Nothing new.
    Nothing,
    /// This signal stopped it.
    Stopped(i32),
    /// It was continued.
    Continued,
    /// It is over and reaped.
    Ended { status: i32, usage: ResourceUsage },
    /// There is no such child.
    Gone,
}

/// Takes one change of a child's state, without waiting for one.
pub fn wait(pid: Pid) -> Waited {
    let mut status = 0;
    // SAFETY: a zeroed `rusage` is valid; both pointers are to locals.
    let (answer, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let options = libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED;
        (libc::wait4(pid.0, &raw mut status, options, &raw mut usage), usage)
    };
    if answer == 0 || (answer == -1 && errno() == libc::EINTR) {
        Waited::Nothing
    } else if answer == -1 {
        Waited::Gone
    } else if libc::WIFSTOPPED(status) {
        Waited::Stopped(libc::WSTOPSIG(status))
    } else if libc::WIFCONTINUED(status) {
        Waited::Continued
    } else {
        Waited::Ended { status, usage: resource_usage(&usage) }
    }
}

/// Reaps a child that is known to be about to end (it was sent SIGKILL).
pub fn reap(pid: Pid) {
    let mut status = 0;
    // SAFETY: the pointer is to a local.
    while unsafe { libc::waitpid(pid.0, &raw mut status, 0) } == -1 && errno() == libc::EINTR {}
}

/// Reaps a child if it has ended; true if it is no child any more.
pub fn reap_if_ended(pid: Pid) -> bool {
    let mut status = 0;
    // SAFETY: the pointer is to a local.
    unsafe { libc::waitpid(pid.0, &raw mut status, libc::WNOHANG) != 0 }
}

/// Reaps every child that has ended except `keep`: as the first process of a PID namespace, orphans are ours.
pub fn reap_orphans(keep: Option<Pid>) {
    loop {
        // SAFETY: a zeroed `siginfo_t` is valid; WNOWAIT leaves the child to be reaped by its number.
        let pid = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
            if libc::waitid(libc::P_ALL, 0, &raw mut info, options) != 0 {
                return;
            }
            info.si_pid()
        };
        match Pid::new(pid) {
            Some(pid) if Some(pid) != keep => reap(pid),
            _ => return,
        }
    }
}

fn resource_usage(usage: &libc::rusage) -> ResourceUsage {
    let duration = |time: libc::timeval| {
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_usec).unwrap_or(0) * 1000)
    };
    ResourceUsage {
        user: duration(usage.ru_utime),
        system: duration(usage.ru_stime),
        max_resident_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024),
    }
}

/// Sets whether orphaned descendants come to this process instead of to init.
pub fn set_subreaper(on: bool) {
    // SAFETY: takes one number.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, libc::c_ulong::from(on), 0, 0, 0) };
}

fn pidfd_open(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: takes two numbers and returns a new descriptor that nobody else owns.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, c_long::from(pid.0), 0 as c_long);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd as RawFd)) }
    }
}

/// A handle on a process that is not a child and whose number may be used again by another, if the kernel has such
/// handles (Linux 5.3).
pub fn handle(pid: Pid) -> Option<OwnedFd> {
    pidfd_open(pid).ok()
}

/// Sends a signal through a [`handle`].
pub fn send_by_handle(handle: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: numbers and a null pointer, which means "as kill(2) would".
    let answer = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            c_long::from(handle.as_raw_fd()),
            c_long::from(signal),
            ptr::null::<libc::siginfo_t>(),
            0 as c_long,
        )
    };
    check(answer as c_int).map(drop)
}

/// Starts a process that wakes this one, about to stop itself, with SIGCONT once the child at `stat_file`
/// (`/proc/PID/stat`) is not stopped any more, or at `deadline`: a stopped process hears nothing of its children.
pub fn fork_waker(stat_file: &CStr, deadline: Option<Duration>) -> io::Result<Pid> {
    let parent = Pid::own();
    // SAFETY: as in `fork_exec`; the child calls async-signal-safe functions only, on locals.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0, 0, 0);
            loop {
                let pause = libc::timespec { tv_sec: 0, tv_nsec: 50_000_000 };
                libc::nanosleep(&raw const pause, ptr::null_mut());
                if libc::getppid() != parent.0 {
                    libc::_exit(0);
                }
                if !is_stopped(stat_file) || deadline.is_some_and(|deadline| boot_time() >= deadline) {
                    libc::kill(parent.0, libc::SIGCONT);
                    libc::_exit(0);
                }
            }
        },
        pid => Ok(Pid(pid)),
    }
}

/// Whether the process at `stat_file` is stopped by a signal; false if that cannot be read. Async-signal-safe.
pub fn is_stopped(stat_file: &CStr) -> bool {
    let mut text = [0_u8; 128];
    // SAFETY: a valid path, and a buffer of the length given.
    let length = unsafe {
        let fd = libc::open(stat_file.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return false;
        }
        let length = libc::read(fd, text.as_mut_ptr().cast(), text.len());
        libc::close(fd);
        usize::try_from(length).unwrap_or(0)
    };
    let text = text.get(..length).unwrap_or_default();
    // `PID (NAME) STATE …`: the name may contain anything, so the last parenthesis counts.
    let state = text.iter().rposition(|&byte| byte == b')').and_then(|end| text.get(end + 2));
    state.is_some_and(|&state| state == b'T' || state == b't')
}

/// Gives memory that was freed back to the kernel, where the C library can (malloc_trim(3)).
pub fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number; looks after its own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}
