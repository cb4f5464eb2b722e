//! Becoming the job: everything that `fork` and `exec` need is laid out beforehand, because in between nothing may
//! allocate, lock or panic.
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::{CStr, CString, c_char, c_int, c_long};
use std::io;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use super::process::{Pid, parent_pid, pidfd_inode};
use super::signal::{Queued, set_mask};
use crate::supervise::signals::SignalSet;

/// One page that parent and child share. Unlike a pipe it needs no descriptor and so works when there is none left.
pub struct SharedPage(*mut SharedCells);

/// Zeros are its valid start.
#[repr(C)]
struct SharedCells {
    /// Why `exec` failed in the child; 0 if it did not.
    error: AtomicI32,
    /// Whether the child may execute the command.
    is_released: AtomicU32,
}

/// How long the child waits to be released at the most: a parent that is stopped in between keeps no job from running.
static LONGEST_HOLD: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 200_000_000 };

impl SharedPage {
    /// A page of zeros. Without memory for it, the exit code of the child still says 126 or 127, and it waits for nothing.
    pub fn new() -> Self {
        // SAFETY: a fresh anonymous mapping, unmapped in `drop` and nowhere else.
        let page = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size_of::<SharedCells>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        Self(if page == libc::MAP_FAILED { ptr::null_mut() } else { page.cast() })
    }

    /// Takes the error out: 0 if there is none.
    pub fn take_error(&self) -> i32 {
        self.cells().map_or(0, |cells| cells.error.swap(0, Ordering::SeqCst))
    }

    /// Lets the child, and those of later attempts, execute the command.
    pub fn release(&self) {
        let Some(cells) = self.cells() else { return };
        cells.is_released.store(1, Ordering::SeqCst);
        // SAFETY: the cell lives as long as the page; the other arguments are numbers.
        unsafe {
            libc::syscall(libc::SYS_futex, cells.is_released.as_ptr(), libc::FUTEX_WAKE as c_long, 1 as c_long);
        }
    }

    /// In the child: waits until it is released. Async-signal-safe.
    fn wait_for_release(&self) {
        let Some(cells) = self.cells() else { return };
        if cells.is_released.load(Ordering::SeqCst) == 0 {
            // SAFETY: the cell lives as long as the page, and the time is a constant. The kernel looks at the cell again
            // before it sleeps, and no signal can interrupt, since all are blocked.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    cells.is_released.as_ptr(),
                    libc::FUTEX_WAIT as c_long,
                    0 as c_long,
                    &raw const LONGEST_HOLD,
                );
            }
        }
    }

    fn cells(&self) -> Option<&SharedCells> {
        // SAFETY: null, or the zeroed (so: valid) start of a page that lives as long as `self`.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for SharedPage {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the mapping made in `new`; no reference to it outlives `self`.
            unsafe { libc::munmap(self.0.cast(), size_of::<SharedCells>()) };
        }
    }
}

/// An environment variable whose value names this process, to name the job instead: systemd's way to say for whom
/// sockets and the watchdog are meant.
pub struct Rename {
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
pub struct Image {
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
    /// What the child says, and what it waits for.
    pub shared: SharedPage,
    /// What becomes standard output and standard error of the child, where that is not the caller's.
    pub streams: [Option<RawFd>; 2],
}

/// What the caller had set for its signals, to be set again in the job.
#[derive(Clone, Copy, Debug)]
pub struct Inherited {
    /// Blocked.
    pub mask: SignalSet,
    /// Ignored.
    pub ignored: SignalSet,
}

/// Starts the job: `fork`, then `exec` in the child with everything as the caller had left it. `pending` are signals
/// that arrived before there was a job: they are the job's. The command is not executed before [`SharedPage::release`].
///
/// # Errors
/// There is no process to be had (RLIMIT_NPROC, memory). A failed `exec` is no error here: the child ends with 127
/// (ENOENT) or 126, and [`SharedPage`] says why.
pub fn fork_exec(image: &mut Image, inherited: &Inherited, pending: &[Queued]) -> io::Result<Pid> {
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
            image.shared.wait_for_release();
            let errno = exec(image, inherited, pending);
            complain(&image.file, errno);
            if let Some(cells) = image.shared.cells() {
                cells.error.store(errno, Ordering::SeqCst);
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
pub fn exec_in_place(image: &Image, inherited: &Inherited, pending: &[Queued]) -> i32 {
    exec(image, inherited, pending)
}

/// Says on standard error why a command could not be executed, in one line, as `env(1)` would. The process that failed to
/// become the command says it itself: nobody else has the job's standard error. Async-signal-safe.
pub fn complain(file: &CStr, errno: i32) {
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
