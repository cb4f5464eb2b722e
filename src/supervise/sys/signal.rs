//! Signals: what the caller had set, what arrives, and what is sent on.
//!
//! Masks go to the kernel directly, as 64 bits: the C library's versions silently leave out the two signals it keeps for
//! itself (32 and 33), and a mask that the caller had blocked would not come back whole.
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::{c_int, c_long, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use super::check;
use super::process::Pid;
use super::startup::sigpipe_was_ignored;
use super::time::timespec;
use crate::supervise::signals::{Caught, SignalSet};

/// A signal as the kernel described it, to be queued again unchanged.
#[derive(Clone, Copy)]
pub struct Queued(pub(super) libc::siginfo_t);

impl Queued {
    /// Its number.
    pub fn signal(&self) -> i32 {
        self.0.si_signo
    }
}

/// Whether a signal's disposition is SIG_IGN.
pub(super) fn is_ignored(signal: i32) -> bool {
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
pub fn ignored_signals() -> SignalSet {
    let mut ignored: SignalSet = (1..=64).filter(|&signal| is_ignored(signal)).collect();
    if !sigpipe_was_ignored() {
        ignored.remove(libc::SIGPIPE);
    }
    ignored
}

/// Gives a signal its default disposition.
pub fn set_default(signal: i32) {
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
pub fn block(set: SignalSet) -> SignalSet {
    change_mask(libc::SIG_BLOCK, set)
}

/// Unblocks signals.
pub fn unblock(set: SignalSet) {
    change_mask(libc::SIG_UNBLOCK, set);
}

/// Replaces the signal mask.
pub fn set_mask(set: SignalSet) {
    change_mask(libc::SIG_SETMASK, set);
}

/// Takes the signals of `set` that are waiting, as the kernel describes them.
pub fn take_pending(set: SignalSet) -> Vec<Queued> {
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
pub fn wait_signal(set: SignalSet, timeout: Option<Duration>) -> Option<Caught> {
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
pub fn signal_descriptor(set: SignalSet) -> io::Result<OwnedFd> {
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
pub fn read_signal(fd: BorrowedFd<'_>) -> Option<Caught> {
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
pub fn send(pid: Pid, signal: i32) -> io::Result<()> {
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
pub fn send_like(pid: Pid, caught: &Caught) -> io::Result<()> {
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
pub fn stop_self(signal: i32) {
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
pub fn die_of(signal: i32) {
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

/// The first of the signals that are queued one by one instead of merged.
pub fn first_realtime_signal() -> i32 {
    // The kernel's number: the C library's own leaves out those that it keeps for itself.
    32
}
