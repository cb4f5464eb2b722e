//! The clock that counts suspend and that no change of the date moves, and timers on it.
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::c_long;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

pub(super) fn timespec(duration: Duration) -> libc::timespec {
    // Far beyond any deadline, and far below where the kernel's own arithmetic ends.
    const LONGEST: u64 = 4_000_000_000;
    libc::timespec {
        tv_sec: duration.as_secs().min(LONGEST) as libc::time_t,
        tv_nsec: duration.subsec_nanos() as c_long,
    }
}

/// Time since the machine was booted, suspend included; no change of the date moves it.
pub fn boot_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a pointer to a local. The clock exists since Linux 2.6.39.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A timer on the clock of [`boot_time`] that a poll can wait for.
pub fn timer_descriptor() -> io::Result<OwnedFd> {
    // SAFETY: numbers only; a new descriptor is nobody else's.
    unsafe {
        let fd = libc::timerfd_create(libc::CLOCK_BOOTTIME, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// Sets the timer to a moment of [`boot_time`], or to never.
pub fn set_timer(timer: BorrowedFd<'_>, at: Option<Duration>) {
    // All zeros would mean never.
    let value = timespec(at.map_or(Duration::ZERO, |at| at.max(Duration::from_nanos(1))));
    let new = libc::itimerspec { it_interval: timespec(Duration::ZERO), it_value: value };
    // SAFETY: a pointer to a local, and null for the old value.
    unsafe { libc::timerfd_settime(timer.as_raw_fd(), libc::TFD_TIMER_ABSTIME, &raw const new, ptr::null_mut()) };
}

/// Sleeps for a short while, or until a signal handler runs.
pub fn pause(duration: Duration) {
    let time = timespec(duration);
    // SAFETY: a pointer to a local, and null for the rest.
    unsafe { libc::nanosleep(&raw const time, ptr::null_mut()) };
}
