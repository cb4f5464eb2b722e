//! The system calls of the supervisor: the one file of the crate with `unsafe` in it.
//!
//! Every function here is a thin, safe wrapper: it decides nothing. What is sent, kept or ended is decided above, in
//! values. What must hold for the unsafe parts to be sound is said at each of them; two rules hold for all:
//! between `fork` and `exec` nothing allocates, locks or panics; and a process id that is not positive cannot be formed
//! ([`Pid`]), because `kill(0)` and `kill(-1)` reach far more than one process.
//!
//! Signal masks go to the kernel directly, as 64 bits: the C library's versions silently leave out the two signals it
//! keeps for itself (32 and 33), and a mask that the caller had blocked would not come back whole.
#![expect(unsafe_code, reason = "the one audited file of system calls")]

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};
use std::time::Duration;

use super::ResourceUsage;
use super::signals::{Caught, SignalSet};

// ------------------------------------------------------------------------------------------- before main

/// SIGPIPE was ignored when the program started; jobmon ignores it in any case.
static SIGPIPE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);
/// The program's argument vector as the kernel laid it out, null where the C library does not pass it on.
static ARGV: AtomicPtr<*mut c_char> = AtomicPtr::new(ptr::null_mut());
/// Number of words in [`ARGV`].
static ARGC: AtomicI32 = AtomicI32::new(0);

/// Runs before `main`: does what the Rust runtime would do for a program that it starts (SIGPIPE ignored, so that writing
/// to nobody is an error, and no closed standard descriptors), and remembers how it was for the job.
extern "C" fn capture(argc: c_int, argv: *mut *mut c_char, _envp: *mut *mut c_char) {
    SIGPIPE_WAS_IGNORED.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
    // SAFETY: SIG_IGN is no handler of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    // Only glibc hands the program's arguments to the functions of `.init_array`.
    if cfg!(target_env = "gnu") {
        ARGC.store(argc, Ordering::Relaxed);
        ARGV.store(argv, Ordering::Relaxed);
    }
    for fd in 0..3 {
        // SAFETY: F_GETFD reads a flag of a number that may well be closed; nothing is dereferenced.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
            // Something close-on-exec takes the place: no file of jobmon's own can land on a standard descriptor, and
            // in the job it is closed again. The lowest free number is `fd`, because those below are taken by now.
            placeholder();
        }
    }
}

/// Kept by the linker in any binary that contains this module, because [`sigpipe_was_ignored`] mentions it.
#[used]
#[unsafe(link_section = ".init_array")]
static CAPTURE: extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) = capture;

/// Whether the caller ignored SIGPIPE, as systemd does by default.
fn sigpipe_was_ignored() -> bool {
    std::hint::black_box(&CAPTURE);
    SIGPIPE_WAS_IGNORED.load(Ordering::Relaxed)
}

/// Opens something harmless that is closed by `exec`: `/dev/null`, or the root folder where there is no `/dev`.
fn placeholder() -> RawFd {
    // SAFETY: both paths are valid C strings.
    unsafe {
        let fd = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        if fd >= 0 { fd } else { libc::open(c"/".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC) }
    }
}

/// Overwrites the words of the program's own arguments that `choose` picks (by index and bytes), so that `pgrep -f` for
/// the job's name finds the job alone. `std::env::args_os` shows the words empty from then on.
pub(super) fn blank_arguments(choose: impl Fn(usize, &[u8]) -> bool) {
    let argv = ARGV.load(Ordering::Relaxed);
    let argc = usize::try_from(ARGC.load(Ordering::Relaxed)).unwrap_or(0);
    if argv.is_null() {
        return;
    }
    for index in 1..argc {
        // SAFETY: the kernel laid out `argc` pointers to NUL-terminated strings in writable memory of this process; the
        // Rust runtime copies from there and keeps no reference. One thread calls this.
        unsafe {
            let word = *argv.add(index);
            if word.is_null() {
                return;
            }
            let length = libc::strlen(word);
            if choose(index, std::slice::from_raw_parts(word.cast::<u8>(), length)) {
                for offset in 0..length {
                    ptr::write_volatile(word.add(offset), 0);
                }
            }
        }
    }
}

/// Number of words on the program's own command line, 0 where it is not known.
pub(super) fn argument_count() -> usize {
    usize::try_from(ARGC.load(Ordering::Relaxed)).unwrap_or(0)
}

/// The caller's environment, entry by entry, as the kernel handed it over: order, duplicates and any bytes kept.
pub(super) fn environment() -> Vec<&'static CStr> {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    let mut entries = Vec::new();
    // SAFETY: `environ` is a null-terminated array of C strings. Nothing in this crate changes the environment
    // (`std::env::set_var` is unsafe and denied everywhere else), so that the strings live as long as the process.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            entries.push(CStr::from_ptr(*entry));
            entry = entry.add(1);
        }
    }
    entries
}

// ------------------------------------------------------------------------------------------- processes

/// A process id that names one process: always positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Pid(i32);

impl Pid {
    /// `pid`, if it names one process.
    pub(super) fn new(pid: i32) -> Option<Self> {
        (pid > 0).then_some(Self(pid))
    }

    /// This process.
    pub(super) fn own() -> Self {
        // SAFETY: getpid has no preconditions.
        Self(unsafe { libc::getpid() })
    }

    /// The number.
    pub(super) fn get(self) -> i32 {
        self.0
    }
}

/// The process that started this one; 0 if it is outside of the PID namespace.
pub(super) fn parent_pid() -> i32 {
    // SAFETY: getppid has no preconditions.
    unsafe { libc::getppid() }
}

/// Whether this process leads its session: then the kernel tells it, and it alone, of a hang-up.
pub(super) fn is_session_leader() -> bool {
    // SAFETY: getsid(0) asks about the calling process.
    unsafe { libc::getsid(0) == libc::getpid() }
}

/// Where the child writes why `exec` failed: one page shared by parent and child. Unlike a pipe it needs no descriptor
/// and so works when there is none left, and nobody has to wait for the `exec`.
pub(super) struct ExecError(*mut AtomicI32);

impl ExecError {
    /// A cell that holds 0. Without memory for it, the exit code of the child still says 126 or 127.
    pub(super) fn new() -> Self {
        // SAFETY: a fresh anonymous mapping, unmapped in `drop` and nowhere else.
        let page = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size_of::<AtomicI32>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        Self(if page == libc::MAP_FAILED { ptr::null_mut() } else { page.cast() })
    }

    /// Takes the error out: 0 if there is none.
    pub(super) fn take(&self) -> i32 {
        self.cell().map_or(0, |cell| cell.swap(0, Ordering::SeqCst))
    }

    fn cell(&self) -> Option<&AtomicI32> {
        // SAFETY: null, or the zeroed (so: valid) start of a page that lives as long as `self`.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for ExecError {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the mapping made in `new`; no reference to it outlives `self`.
            unsafe { libc::munmap(self.0.cast(), size_of::<AtomicI32>()) };
        }
    }
}

/// An environment variable whose value names this process, to name the job instead: systemd's way to say for whom
/// sockets and the watchdog are meant.
pub(super) struct Rename {
    /// Position in [`Image::envp`].
    pub entry: usize,
    /// `NAME=` and room for 20 digits and a NUL.
    pub text: Vec<u8>,
    /// Length of `NAME=`.
    pub prefix: usize,
    /// The value is the number of the process's pidfd inode rather than its process id.
    pub by_pidfd: bool,
}

/// Everything that `exec` needs, laid out before the `fork`.
pub(super) struct Image {
    /// What is looked for, by the rules of `execvp`.
    pub file: CString,
    /// The job's words and the environment strings that are not the caller's own: `argv` and `envp` point into them.
    #[expect(dead_code, reason = "owns what is pointed to")]
    pub texts: Vec<CString>,
    /// Null-terminated.
    pub argv: Vec<*const c_char>,
    /// Null-terminated.
    pub envp: Vec<*const c_char>,
    /// To be filled in by the child.
    pub renames: Vec<Rename>,
    /// Why `exec` failed in the child.
    pub error: ExecError,
    /// What becomes standard output and standard error of the child, where that is not the caller's.
    pub streams: [Option<RawFd>; 2],
}

/// What the caller had set for its signals, to be set again in the job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inherited {
    /// Blocked.
    pub mask: SignalSet,
    /// Ignored.
    pub ignored: SignalSet,
}

/// A signal as the kernel described it, to be queued again unchanged.
#[derive(Clone, Copy)]
pub(super) struct Queued(libc::siginfo_t);

impl Queued {
    /// Its number.
    pub(super) fn signal(&self) -> i32 {
        self.0.si_signo
    }
}

/// Starts the job: `fork`, then `exec` in the child with everything as the caller had left it. `pending` are signals
/// that arrived before there was a job: they are the job's.
///
/// # Errors
/// There is no process to be had (RLIMIT_NPROC, memory). A failed `exec` is no error here: the child ends with 127
/// (ENOENT) or 126, and [`ExecError`] says why.
pub(super) fn fork_exec(image: &mut Image, inherited: &Inherited, pending: &[Queued]) -> io::Result<Pid> {
    let parent = Pid::own();
    // SAFETY: all signals are blocked by the caller of this function, so that no handler runs in the child; the child
    // calls only async-signal-safe functions and works on memory that was laid out before.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // SAFETY: PR_SET_PDEATHSIG takes one number. The parent's thread is its main thread and lives as long as it.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0, 0, 0) };
            let started_by = parent_pid();
            // 0: the job is the first process of a new PID namespace and cannot see its parent.
            if started_by != parent.0 && started_by != 0 {
                // SAFETY: killing oneself; `_exit` in case it takes a moment.
                unsafe {
                    libc::kill(libc::getpid(), libc::SIGKILL);
                    libc::_exit(i32::from(crate::exit_code::NOT_EXECUTABLE));
                }
            }
            for (to, from) in (1..).zip(image.streams) {
                if let Some(from) = from {
                    // SAFETY: numbers only; the copy is not close-on-exec.
                    unsafe { libc::dup2(from, to) };
                }
            }
            rename(image);
            let errno = exec(image, inherited, pending);
            complain(&image.file, errno);
            if let Some(cell) = image.error.cell() {
                cell.store(errno, Ordering::SeqCst);
            }
            let code =
                if errno == libc::ENOENT { crate::exit_code::NOT_FOUND } else { crate::exit_code::NOT_EXECUTABLE };
            // SAFETY: `_exit` runs no handlers of the parent.
            unsafe { libc::_exit(i32::from(code)) }
        }
        pid => Ok(Pid(pid)),
    }
}

/// Becomes the job, without supervision: for when there is no second process to be had. Returns the error number if the
/// command could not be executed; the signal mask is then the caller's.
pub(super) fn exec_in_place(image: &Image, inherited: &Inherited, pending: &[Queued]) -> i32 {
    exec(image, inherited, pending)
}

/// Says on standard error why a command could not be executed, in one line, as `env(1)` would. The process that failed to
/// become the command says it itself: nobody else has the job's standard error. Async-signal-safe.
pub(super) fn complain(file: &CStr, errno: i32) {
    let reason = match errno {
        libc::ENOENT => "No such file or directory",
        libc::EACCES => "Permission denied",
        libc::EPERM => "Operation not permitted",
        libc::ENOTDIR => "Not a directory",
        libc::EISDIR => "Is a directory",
        libc::ENOEXEC => "Exec format error",
        libc::E2BIG => "Argument list too long",
        libc::ETXTBSY => "Text file busy",
        libc::ELOOP => "Too many levels of symbolic links",
        libc::ENAMETOOLONG => "File name too long",
        libc::ENOMEM => "Cannot allocate memory",
        libc::EINVAL => "Invalid argument",
        libc::EIO => "Input/output error",
        _ => "Cannot be executed",
    };
    let parts = [&b"jobmon: "[..], file.to_bytes(), b": ", reason.as_bytes(), b"\n"]
        .map(|part| libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() });
    // SAFETY: the parts live until the call returns, and it only reads them. One call: one line, whole.
    unsafe { libc::writev(libc::STDERR_FILENO, parts.as_ptr(), parts.len() as c_int) };
}

/// Puts signals back as the caller had them and executes the command. Async-signal-safe.
fn exec(image: &Image, inherited: &Inherited, pending: &[Queued]) -> i32 {
    // SAFETY: sets dispositions without handlers; queues to this process what the kernel itself had described; the
    // arrays are null-terminated and their strings outlive the call.
    unsafe {
        for signal in [libc::SIGCHLD, libc::SIGPIPE] {
            let disposition = if inherited.ignored.contains(signal) { libc::SIG_IGN } else { libc::SIG_DFL };
            libc::signal(signal, disposition);
        }
        for queued in pending {
            libc::syscall(
                libc::SYS_rt_sigqueueinfo,
                libc::getpid() as c_long,
                queued.0.si_signo as c_long,
                &raw const queued.0,
            );
        }
        set_mask(inherited.mask);
        libc::execvpe(image.file.as_ptr(), image.argv.as_ptr().cast(), image.envp.as_ptr().cast());
        *libc::__errno_location()
    }
}

/// In the child: writes the child's own numbers where the environment named the parent. Async-signal-safe.
fn rename(image: &mut Image) {
    let own = Pid::own();
    for rename in &mut image.renames {
        let number = if rename.by_pidfd { pidfd_inode(own).unwrap_or(0) } else { own.0 as u64 };
        let Some(room) = rename.text.get_mut(rename.prefix..) else { continue };
        let mut digits = [0_u8; 20];
        let (mut rest, mut count) = (number, 0);
        for digit in &mut digits {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            count += 1;
            if rest == 0 {
                break;
            }
        }
        room.fill(0);
        for (place, digit) in room.iter_mut().zip(digits.iter().take(count).rev()) {
            *place = *digit;
        }
        if let Some(entry) = image.envp.get_mut(rename.entry) {
            *entry = rename.text.as_ptr().cast();
        }
    }
}

/// The inode number of a process's pidfd, which names it for as long as the machine is up. Async-signal-safe.
pub(super) fn pidfd_inode(pid: Pid) -> Option<u64> {
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
pub(super) fn fork_helper(work: impl FnOnce()) -> io::Result<Pid> {
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
pub(super) fn leave_process_group() {
    // SAFETY: numbers only; 0 is the calling process.
    unsafe { libc::setpgid(0, 0) };
}

/// What `wait4` had to tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Waited {
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
pub(super) fn wait(pid: Pid) -> Waited {
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
pub(super) fn reap(pid: Pid) {
    let mut status = 0;
    // SAFETY: the pointer is to a local.
    while unsafe { libc::waitpid(pid.0, &raw mut status, 0) } == -1 && errno() == libc::EINTR {}
}

/// Reaps a child if it has ended; true if it is no child any more.
pub(super) fn reap_if_ended(pid: Pid) -> bool {
    let mut status = 0;
    // SAFETY: the pointer is to a local.
    unsafe { libc::waitpid(pid.0, &raw mut status, libc::WNOHANG) != 0 }
}

/// Reaps every child that has ended except `keep`: as the first process of a PID namespace, orphans are ours.
pub(super) fn reap_orphans(keep: Option<Pid>) {
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
pub(super) fn set_subreaper(on: bool) {
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
pub(super) fn handle(pid: Pid) -> Option<OwnedFd> {
    pidfd_open(pid).ok()
}

/// Sends a signal through a [`handle`].
pub(super) fn send_by_handle(handle: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
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

// ------------------------------------------------------------------------------------------- signals

/// Whether a signal's disposition is SIG_IGN.
fn is_ignored(signal: i32) -> bool {
    // The kernel's `struct sigaction` starts with the handler on every architecture but MIPS; the C library's own
    // function refuses to answer for signals 32 and 33.
    let mut action = [0_usize; 16];
    // SAFETY: the buffer is larger than the kernel's structure; a null new action only asks.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            c_long::from(signal),
            ptr::null::<c_void>(),
            action.as_mut_ptr(),
            size_of::<u64>(),
        )
    };
    answer == 0 && action[0] == libc::SIG_IGN
}

/// The signals that the caller ignored.
pub(super) fn ignored_signals() -> SignalSet {
    let mut ignored: SignalSet = (1..=64).filter(|&signal| is_ignored(signal)).collect();
    if !sigpipe_was_ignored() {
        ignored.remove(libc::SIGPIPE);
    }
    ignored
}

/// Gives a signal its default disposition.
pub(super) fn set_default(signal: i32) {
    // SAFETY: SIG_DFL is no handler of ours.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

fn change_mask(how: c_int, set: SignalSet) -> SignalSet {
    let mut old = 0_u64;
    let new = set.bits();
    // SAFETY: both are pointers to 64-bit locals, and the size says so.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, c_long::from(how), &raw const new, &raw mut old, size_of::<u64>())
    };
    SignalSet::from_bits(old)
}

/// Blocks signals in this thread (and those it starts later); returns the mask before.
pub(super) fn block(set: SignalSet) -> SignalSet {
    change_mask(libc::SIG_BLOCK, set)
}

/// Unblocks signals.
pub(super) fn unblock(set: SignalSet) {
    change_mask(libc::SIG_UNBLOCK, set);
}

/// Replaces the signal mask.
pub(super) fn set_mask(set: SignalSet) {
    change_mask(libc::SIG_SETMASK, set);
}

/// Takes the signals of `set` that are waiting, as the kernel describes them.
pub(super) fn take_pending(set: SignalSet) -> Vec<Queued> {
    let mut pending = 0_u64;
    // SAFETY: a pointer to a 64-bit local, and the size says so.
    unsafe { libc::syscall(libc::SYS_rt_sigpending, &raw mut pending, size_of::<u64>()) };
    let waiting = SignalSet::from_bits(pending & set.bits());
    let mut taken = Vec::new();
    while !waiting.is_empty() {
        match timed_wait(waiting, Some(Duration::ZERO)) {
            Some(info) => taken.push(Queued(info)),
            None => break,
        }
    }
    taken
}

/// Waits until one of `set`, all of them blocked, arrives; None after `timeout` or when the kernel had another reason to
/// return.
pub(super) fn wait_signal(set: SignalSet, timeout: Option<Duration>) -> Option<Caught> {
    let info = timed_wait(set, timeout)?;
    // SAFETY: the accessors read the fields that kill(2), sigqueue(3) and tty signals fill in; of a signal that uses
    // the bytes for something else the numbers are meaningless, but any bits are valid for them.
    let (pid, uid, value) = unsafe { (info.si_pid(), info.si_uid(), info.si_value().sival_ptr as u64) };
    Some(Caught { signal: info.si_signo, code: info.si_code, pid, uid, value })
}

fn timed_wait(set: SignalSet, timeout: Option<Duration>) -> Option<libc::siginfo_t> {
    let bits = set.bits();
    let timeout = timeout.map(timespec);
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: a zeroed `siginfo_t` is valid and filled in by the kernel; the other pointers are to locals or null.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let answer =
            libc::syscall(libc::SYS_rt_sigtimedwait, &raw const bits, &raw mut info, timeout, size_of::<u64>());
        (answer > 0).then_some(info)
    }
}

/// A non-blocking descriptor that yields the signals of `set`, all of them blocked.
pub(super) fn signal_descriptor(set: SignalSet) -> io::Result<OwnedFd> {
    let bits = set.bits();
    // SAFETY: a pointer to a 64-bit local, and the size says so; a new descriptor is nobody else's.
    unsafe {
        let fd = libc::syscall(
            libc::SYS_signalfd4,
            -1 as c_long,
            &raw const bits,
            size_of::<u64>(),
            c_long::from(libc::SFD_CLOEXEC | libc::SFD_NONBLOCK),
        );
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd as RawFd)) }
    }
}

/// Takes one signal out of a [`signal_descriptor`].
pub(super) fn read_signal(fd: BorrowedFd<'_>) -> Option<Caught> {
    // SAFETY: a zeroed `signalfd_siginfo` is valid, and `read` fills in whole ones only.
    let info = unsafe {
        let mut info: libc::signalfd_siginfo = std::mem::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        if libc::read(fd.as_raw_fd(), (&raw mut info).cast(), size) != size as isize {
            return None;
        }
        info
    };
    Some(Caught {
        signal: info.ssi_signo as i32,
        code: info.ssi_code,
        pid: info.ssi_pid as i32,
        uid: info.ssi_uid,
        value: info.ssi_ptr,
    })
}

/// Sends a signal to one process.
pub(super) fn send(pid: Pid, signal: i32) -> io::Result<()> {
    // SAFETY: `Pid` is positive: one process, never a group.
    check(unsafe { libc::kill(pid.0, signal) }).map(drop)
}

/// The part of the kernel's `siginfo_t` that a queued signal uses.
#[repr(C)]
struct QueuedInfo {
    signal: c_int,
    errno: c_int,
    code: c_int,
    #[cfg(target_pointer_width = "64")]
    padding: c_int,
    pid: libc::pid_t,
    uid: libc::uid_t,
    value: usize,
    rest: [u64; 12],
}

/// Sends a signal on as it came: a value that `sigqueue(3)` attached arrives too.
pub(super) fn send_like(pid: Pid, caught: &Caught) -> io::Result<()> {
    // Descriptions with a code of 0 or more are the kernel's to make: kill(2) describes them.
    if caught.code >= 0 || caught.code == libc::SI_TKILL {
        return send(pid, caught.signal);
    }
    let info = QueuedInfo {
        signal: caught.signal,
        errno: 0,
        code: caught.code,
        #[cfg(target_pointer_width = "64")]
        padding: 0,
        pid: caught.pid,
        uid: caught.uid,
        value: caught.value as usize,
        rest: [0; 12],
    };
    const { assert!(size_of::<QueuedInfo>() >= size_of::<libc::siginfo_t>()) };
    // SAFETY: the structure is as large as the kernel's and laid out like it, and `Pid` names one process.
    let answer = unsafe {
        libc::syscall(libc::SYS_rt_sigqueueinfo, c_long::from(pid.0), c_long::from(caught.signal), &raw const info)
    };
    // The queue may be full, or the description refused: the signal itself still has to arrive.
    check(answer as c_int).map(drop).or_else(|_| send(pid, caught.signal))
}

/// Stops this process as `signal` (TSTP, TTIN, TTOU or STOP) does by default, and returns once it is continued, or at
/// once if the kernel does not stop a process of an orphaned group. SIGCONT must be blocked.
pub(super) fn stop_self(signal: i32) {
    let mut only = SignalSet::default();
    only.insert(signal);
    // SAFETY: the old disposition is put back as it was read; killing oneself has no other preconditions.
    unsafe {
        let before = libc::signal(signal, libc::SIG_DFL);
        let mask = change_mask(libc::SIG_UNBLOCK, only);
        libc::kill(libc::getpid(), signal);
        set_mask(mask);
        if before != libc::SIG_ERR {
            libc::signal(signal, before);
        }
    }
}

/// Dies of `signal` without a core dump of its own. Returns only if that signal does not end a process.
pub(super) fn die_of(signal: i32) {
    let mut only = SignalSet::default();
    only.insert(signal);
    // SAFETY: numbers only.
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        libc::signal(signal, libc::SIG_DFL);
        libc::kill(libc::getpid(), signal);
        change_mask(libc::SIG_UNBLOCK, only);
    }
}

/// Starts a process that wakes this one, about to stop itself, with SIGCONT once the child at `stat_file`
/// (`/proc/PID/stat`) is not stopped any more, or at `deadline`: a stopped process hears nothing of its children.
pub(super) fn fork_waker(stat_file: &CStr, deadline: Option<Duration>) -> io::Result<Pid> {
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
pub(super) fn is_stopped(stat_file: &CStr) -> bool {
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

// ------------------------------------------------------------------------------------------- time and events

fn timespec(duration: Duration) -> libc::timespec {
    // Far beyond any deadline, and far below where the kernel's own arithmetic ends.
    const LONGEST: u64 = 4_000_000_000;
    libc::timespec {
        tv_sec: duration.as_secs().min(LONGEST) as libc::time_t,
        tv_nsec: duration.subsec_nanos() as c_long,
    }
}

/// Time since the machine was booted, suspend included; no change of the date moves it.
pub(super) fn boot_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a pointer to a local. The clock exists since Linux 2.6.39.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A timer on the clock of [`boot_time`] that a poll can wait for.
pub(super) fn timer_descriptor() -> io::Result<OwnedFd> {
    // SAFETY: numbers only; a new descriptor is nobody else's.
    unsafe {
        let fd = libc::timerfd_create(libc::CLOCK_BOOTTIME, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// Sets the timer to a moment of [`boot_time`], or to never.
pub(super) fn set_timer(timer: BorrowedFd<'_>, at: Option<Duration>) {
    // All zeros would mean never.
    let value = timespec(at.map_or(Duration::ZERO, |at| at.max(Duration::from_nanos(1))));
    let new = libc::itimerspec { it_interval: timespec(Duration::ZERO), it_value: value };
    // SAFETY: a pointer to a local, and null for the old value.
    unsafe { libc::timerfd_settime(timer.as_raw_fd(), libc::TFD_TIMER_ABSTIME, &raw const new, ptr::null_mut()) };
}

/// A poll set that is readable when one of `members` is.
pub(super) fn poll_descriptor(members: &[BorrowedFd<'_>]) -> io::Result<OwnedFd> {
    // SAFETY: a new descriptor is nobody else's; the event is a local that the kernel copies.
    unsafe {
        let fd = check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?;
        let set = OwnedFd::from_raw_fd(fd);
        for member in members {
            let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
            check(libc::epoll_ctl(fd, libc::EPOLL_CTL_ADD, member.as_raw_fd(), &raw mut event))?;
        }
        Ok(set)
    }
}

/// Waits, for however long, until a member of a [`poll_descriptor`] is readable.
///
/// # Errors
/// The kernel refuses to wait at all; an interruption is none.
pub(super) fn poll(set: BorrowedFd<'_>) -> io::Result<()> {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: room for one event, and the count says so.
    let answer = unsafe { libc::epoll_wait(set.as_raw_fd(), &raw mut event, 1, -1) };
    if answer == -1 && errno() != libc::EINTR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sleeps for a short while, or until a signal handler runs.
pub(super) fn pause(duration: Duration) {
    let time = timespec(duration);
    // SAFETY: a pointer to a local, and null for the rest.
    unsafe { libc::nanosleep(&raw const time, ptr::null_mut()) };
}

// ------------------------------------------------------------------------------------------- descriptors

/// What a descriptor is, as far as it matters for letting go of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
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
pub(super) fn kind(fd: RawFd) -> Option<Kind> {
    // SAFETY: a zeroed `stat` is valid and filled in by the kernel; a closed number is an error.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        if libc::fstat(fd, &raw mut stat) != 0 {
            return None;
        }
        Some(match stat.st_mode & libc::S_IFMT {
            libc::S_IFIFO => Kind::Pipe,
            libc::S_IFSOCK => Kind::Socket { device: stat.st_dev as u64, inode: stat.st_ino as u64 },
            _ => Kind::File,
        })
    }
}

/// Names an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inode {
    /// st_dev.
    pub device: u64,
    /// st_ino.
    pub number: u64,
}

/// What is open as a descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
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
pub(super) fn describe(fd: RawFd) -> Option<Open> {
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
pub(super) fn is_terminal(fd: RawFd) -> bool {
    // SAFETY: asks about a number.
    unsafe { libc::isatty(fd) == 1 }
}

/// Whether `exec` hands a descriptor down: false for one that is closed, and for the placeholder of one that was.
pub(super) fn is_handed_down(fd: RawFd) -> bool {
    // SAFETY: F_GETFD reads a flag of a number that may well be closed.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    flags >= 0 && flags & libc::FD_CLOEXEC == 0
}

/// Whether two descriptors of this process are copies of one another, with one offset and one set of flags; false where
/// the kernel does not say.
pub(super) fn is_same_description(one: RawFd, other: RawFd) -> bool {
    const KCMP_FILE: c_long = 0;
    let own = c_long::from(Pid::own().0);
    // SAFETY: numbers only.
    unsafe { libc::syscall(libc::SYS_kcmp, own, own, KCMP_FILE, c_long::from(one), c_long::from(other)) == 0 }
}

/// Standard input, standard output or standard error of this process.
pub(super) fn standard(fd: RawFd) -> BorrowedFd<'static> {
    debug_assert!((0..3).contains(&fd), "a standard descriptor");
    // SAFETY: the standard descriptors are open from before `main` on (`capture` sees to it) and replaced, never closed.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// How many bytes can be read from a pipe at once.
pub(super) fn readable_bytes(fd: BorrowedFd<'_>) -> usize {
    let mut count: c_int = 0;
    // SAFETY: FIONREAD writes one int, and the pointer is to a local one.
    unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    usize::try_from(count).unwrap_or(0)
}

/// In a process of [`fork_helper`]: closes a descriptor that it got from its parent.
pub(super) fn close_in_helper(fd: RawFd) {
    if fd > 2 {
        // SAFETY: the objects that own it are the parent's; the helper ends without dropping its copies of them.
        unsafe { libc::close(fd) };
    }
}

/// Lets go of standard descriptors: something harmless takes their place, so that no later file lands there.
pub(super) fn replace_by_null(fds: &[RawFd]) {
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

/// Closes the descriptor `fd` if it was inherited: everything that jobmon opens is closed by `exec`, and what came
/// through the `exec` of jobmon itself is not.
pub(super) fn close_inherited(fd: RawFd) {
    // SAFETY: no Rust object owns a descriptor without FD_CLOEXEC: the standard library sets it on all it opens.
    unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFD);
        if fd > 2 && flags >= 0 && flags & libc::FD_CLOEXEC == 0 {
            libc::close(fd);
        }
    }
}

/// Gives memory that was freed back to the kernel, where the C library can (malloc_trim(3)).
pub(super) fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number; looks after its own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The soft limit on the number of descriptors.
pub(super) fn descriptor_limit() -> RawFd {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a pointer to a local.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    RawFd::try_from(limit.rlim_cur).unwrap_or(RawFd::MAX)
}

/// A name for what is open as `fd` that does not keep it open: no reader waits for it, yet `/proc/self/fd` leads back
/// to it.
pub(super) fn path_descriptor(fd: RawFd) -> io::Result<OwnedFd> {
    let path = CString::new(format!("/proc/self/fd/{fd}"))?;
    // SAFETY: a valid path; a new descriptor is nobody else's.
    unsafe { Ok(OwnedFd::from_raw_fd(check(libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC))?)) }
}

/// Opens for writing, as descriptor `to`, what a [`path_descriptor`] names.
///
/// # Errors
/// Nobody reads from it any more.
pub(super) fn reopen(path: BorrowedFd<'_>, to: RawFd) -> io::Result<()> {
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

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn check(answer: c_int) -> io::Result<c_int> {
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}
