//! The two things std does not offer: the clock that the stamp program reads, and waiting for a child with a limit.
#![expect(unsafe_code, reason = "clock_gettime, pidfd_open and poll have no safe form in std")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// CLOCK_MONOTONIC in nanoseconds.
pub fn monotonic() -> i64 {
    let mut at = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `at` is a valid timespec to write to; CLOCK_MONOTONIC always exists on Linux, so the call cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut at) };
    at.tv_sec * 1_000_000_000 + at.tv_nsec
}

/// Blocks until the child has ended, or for `limit`. The child stays a zombie: its parent has to reap it.
pub fn ended_within(pid: u32, limit: Duration) -> bool {
    // SAFETY: no pointers; the result is checked before it is used as a descriptor.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
    let Ok(raw) = i32::try_from(raw) else { return false };
    if raw < 0 {
        return false;
    }
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(raw) };
    let mut poll = libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one valid pollfd, and the count says one.
    unsafe { libc::poll(&mut poll, 1, limit) == 1 }
}
