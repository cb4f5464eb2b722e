//! Processes: their numbers, how they start and end, and what they used.
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::{CStr, CString, c_int, c_long};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

use super::time::boot_time;
use super::{check, errno};
use crate::supervise::ResourceUsage;
use crate::supervise::signals::SignalSet;

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

/// Starts a process that does `work` and ends with its result as exit code; it inherits everything that is open, and the
/// signal mask.
///
/// Like all of `supervise`, for a process with one thread: with more of them, a lock that another one holds would be held
/// for ever in the new process.
///
/// # Errors
/// There is no process to be had.
pub fn fork_helper(work: impl FnOnce() -> u8) -> io::Result<Pid> {
    // SAFETY: with one thread, the child is a whole process like its parent and may do what it likes.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // Never returns into frames that belong to the parent: a panic aborts.
            let code = work();
            // SAFETY: `_exit` runs no handlers of the parent.
            unsafe { libc::_exit(i32::from(code)) }
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

/// Takes the wait status of a child that has ended; none while it runs. A child that somebody else has reaped counts as
/// one that ended well.
pub fn take_status(pid: Pid) -> Option<i32> {
    let mut status = 0;
    // SAFETY: the pointer is to a local.
    (unsafe { libc::waitpid(pid.0, &raw mut status, libc::WNOHANG) } != 0).then_some(status)
}

/// Waits for the end of a child and takes its wait status; None if it has not ended within `patience`.
pub fn status_within(pid: Pid, patience: Duration) -> Option<i32> {
    let handle = handle(pid);
    let until = boot_time().saturating_add(patience);
    loop {
        if let Some(status) = take_status(pid) {
            return Some(status);
        }
        let left = until.saturating_sub(boot_time());
        if left.is_zero() {
            return None;
        }
        match &handle {
            Some(handle) => _ = super::wait_readable(&[handle.as_fd()], Some(left)),
            None => super::pause(left.min(Duration::from_micros(500))),
        }
    }
}

/// Asks for this process to be killed when its parent ends; false if the parent has ended already.
pub fn die_with(parent: Pid) -> bool {
    // SAFETY: takes one number.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0, 0, 0) };
    parent_pid() == parent.0
}

/// Leaves no core dump of this process: 1 is the size that also keeps one from being piped to a program (core(5)).
pub fn forbid_core_dump() {
    // SAFETY: a pointer to a local, filled in by the first call.
    unsafe {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit);
        limit.rlim_cur = limit.rlim_max.min(1);
        libc::setrlimit(libc::RLIMIT_CORE, &raw const limit);
    }
}

/// Ends this process at once: no destructors, no handlers, nothing that could fail.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: takes a number.
    unsafe { libc::_exit(code) }
}

/// Reaps every child that has ended, up to the first of `keep`: as the first process of a PID namespace, orphans are ours.
pub fn reap_orphans(keep: &[Pid]) {
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
            Some(pid) if !keep.contains(&pid) => reap(pid),
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

/// Has the allocator hold what the supervisor will need while the job runs, so that no limit on memory that is reached by
/// then can end it: memory that is freed at the end of the heap is kept for what comes (mallopt(3), M_TRIM_THRESHOLD).
pub fn reserve_memory() {
    const RESERVE: usize = 96 * 1024;
    let mut reserve: Vec<u8> = Vec::new();
    _ = reserve.try_reserve_exact(RESERVE);
}

/// Gives memory that was freed back to the kernel, where the C library can (malloc_trim(3)).
pub fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number; looks after its own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The path of what the kernel says of a process's signals, for [`reception`]; of no file where `/proc` shows others.
pub fn status_file(pid: Pid) -> CString {
    process_file(pid, "status")
}

/// `/proc/PID/NAME`; of no file where `/proc` shows others.
pub fn process_file(pid: Pid, name: &str) -> CString {
    let path = if has_proc() { format!("/proc/{}/{name}", pid.0) } else { String::new() };
    CString::new(path).expect("neither a number nor a name has a NUL")
}

/// Whether `/proc` shows the processes of this process's namespace: after `unshare --pid` without `--mount-proc` the numbers
/// there are those of strangers.
pub fn has_proc() -> bool {
    static HAS_PROC: OnceLock<bool> = OnceLock::new();
    *HAS_PROC.get_or_init(look_for_proc)
}

fn look_for_proc() -> bool {
    let mut text = [0_u8; 16];
    // SAFETY: a valid path, and a buffer of the length given.
    let length = unsafe { libc::readlink(c"/proc/self".as_ptr(), text.as_mut_ptr().cast(), text.len()) };
    let text = usize::try_from(length).ok().and_then(|length| text.get(..length));
    text.and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| text.parse().ok()) == Some(Pid::own().0)
}

/// What `/proc/PID/status` says of signals.
pub struct Reception {
    /// Signals sent to the whole process (`ShdPnd`) that it has not taken.
    pub pending: SignalSet,
    /// Whether it is stopped, and so takes none.
    pub is_stopped: bool,
    /// Whether it is at something, rather than waiting.
    is_awake: bool,
}

impl Reception {
    /// Whether the process has this signal, or is at something and may have just taken it.
    pub fn may_have(&self, signal: i32) -> bool {
        self.pending.contains(signal) || self.is_awake
    }
}

/// Reads the file at `status_file` (`/proc/PID/status`); none if that cannot be read.
pub fn reception(status_file: &CStr) -> Option<Reception> {
    let mut text = [0_u8; 4096];
    // SAFETY: a valid path, and a buffer of the length given.
    let length = unsafe {
        let fd = libc::open(status_file.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return None;
        }
        let length = libc::read(fd, text.as_mut_ptr().cast(), text.len());
        libc::close(fd);
        usize::try_from(length).ok()?
    };
    reception_in(text.get(..length)?)
}

fn reception_in(status: &[u8]) -> Option<Reception> {
    let field = |name: &[u8]| {
        let mut lines = status.split(|&byte| byte == b'\n');
        lines.find_map(|line| line.strip_prefix(name)).map(<[u8]>::trim_ascii)
    };
    let pending = std::str::from_utf8(field(b"ShdPnd:")?).ok()?;
    let pending = SignalSet::from_bits(u64::from_str_radix(pending, 16).ok()?);
    let state = field(b"State:").and_then(|state| state.first().copied());
    let is_stopped = matches!(state, Some(b'T' | b't'));
    let is_awake = matches!(state, Some(b'R' | b'D'));
    Some(Reception { pending, is_stopped, is_awake })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_of_signals_for_the_process_is_read_and_not_that_of_a_thread() {
        let status = b"Name:\tState: (x)\nState:\tT (stopped)\nSigQ:\t0/1\nSigPnd:\t0000000000000001\nShdPnd:\t0000000000004002\n";
        let Reception { pending, is_stopped, .. } = reception_in(status).unwrap();
        assert!(is_stopped && pending.contains(2) && pending.contains(15) && !pending.contains(1));
        assert!(!reception_in(&status.map(|byte| if byte == b'T' { b'S' } else { byte })).unwrap().is_stopped);
        assert!(reception_in(b"State:\tS (sleeping)\n").is_none());
        assert!(reception(c"/proc/self/status").is_some_and(|seen| !seen.is_stopped));
        assert!(reception(c"/proc/0/status").is_none());
    }
}
