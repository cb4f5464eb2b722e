//! The system calls of the supervisor: the one place of the crate with `unsafe` in it.
//!
//! Every function here is a thin, safe wrapper: it decides nothing. What is sent, kept or ended is decided above, in
//! values. What must hold for the unsafe parts to be sound is said at each of them; two rules hold for all:
//! between `fork` and `exec` nothing allocates, locks or panics; and a process id that is not positive cannot be formed
//! ([`Pid`]), because `kill(0)` and `kill(-1)` reach far more than one process.

mod exec;
mod fd;
mod process;
mod signal;
mod startup;
mod time;

use std::ffi::c_int;
use std::io;

pub(super) use exec::*;
pub(super) use fd::*;
pub(super) use process::*;
pub(super) use signal::*;
pub(super) use startup::*;
pub(super) use time::*;

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn check(answer: c_int) -> io::Result<c_int> {
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}
