//! Running one command so that it does not notice: the process, its signals, its limits and its end.
//!
//! Knows nothing of names, registries or gateways: an [`Execution`] holds raw facts, and [`crate::record`] judges them.
//!
//! # Two processes
//!
//! The supervisor is the process that the caller started. From the start of the job to its own end it does nothing that
//! can fail: own code over system calls, one thread, no library that speaks to a network or a database. Everything else
//! about a run is done by the [`reporter`], a process that nothing depends on. What it does is passed in ([`Reporting`]).
//!
//! # Transparency
//!
//! The job stays in the caller's process group and session and gets its descriptors, signals and environment as the caller
//! had left them. jobmon blocks every signal and takes them one by one, with what the kernel says of each ([`signals`]);
//! it never touches the terminal.
//!
//! A job is started by `fork`, because `posix_spawn` can set neither the parent-death signal nor the dispositions that the
//! caller had, and runs no script without `#!`. If there is no process to be had, jobmon becomes the job: the job matters
//! more than its supervision.

mod capture;
mod channel;
mod deadline;
mod ending;
mod events;
mod job;
mod listener;
mod lock;
mod release;
mod reporter;
mod retry;
mod running;
mod signals;
mod spawn;
mod sys;
mod tree;
mod worker;

use std::time::{Duration, SystemTime};

pub use capture::Output;
pub use deadline::Moment;
pub use ending::end_as;
pub use listener::{Heard, Listener};
pub use lock::LockRequest;
pub use release::StandardError;
pub use reporter::{Reporting, Start};
pub use retry::{Retries, splay};
pub use running::TimeLimit;
pub use spawn::{CommandLine, Environment};
pub use tree::start_time;
pub use worker::Worker;

use job::Job;

/// How a run ended, as `wait(2)` and the supervisor's own actions say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It called `exit` with this code.
    Exited(i32),
    /// A signal ended it, and `core` says whether the kernel reported a core dump.
    Signaled {
        /// Number of the signal, 1 to 64.
        signal: i32,
        /// WCOREDUMP of the wait status.
        core: bool,
    },
    /// The time limit ended it.
    TimedOut {
        /// Whether SIGKILL was needed.
        killed: bool,
    },
    /// The command does not exist.
    NotFound {
        /// What `exec` said.
        errno: i32,
    },
    /// The command exists and cannot be executed.
    NotExecutable {
        /// What `exec` said.
        errno: i32,
    },
    /// It never started: another run held the lock.
    Skipped,
}

/// Resources of a process and the children it waited for, from the `wait4(2)` that took its status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceUsage {
    /// CPU time in user mode.
    pub user: Duration,
    /// CPU time in kernel mode.
    pub system: Duration,
    /// Peak resident set size in bytes.
    pub max_resident_bytes: u64,
}

/// One start of the command; a run with retries has several.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// When it started.
    pub started_at: SystemTime,
    /// By CLOCK_BOOTTIME: counts suspend, and no time change moves it.
    pub elapsed: Duration,
    /// How it ended.
    pub end: End,
}

/// What happened: everything that is known of a run once it is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    /// When the (first) command was started.
    pub started_at: SystemTime,
    /// When the (last) command had ended.
    pub ended_at: SystemTime,
    /// By CLOCK_BOOTTIME, from the first start to the last end.
    pub elapsed: Duration,
    /// How it ended.
    pub end: End,
    /// What it used, over all attempts (peak memory: the largest).
    pub usage: ResourceUsage,
    /// The starts, in order; the newest 100 of them.
    pub attempts: Vec<Attempt>,
    /// The end of its output, where that was asked for.
    pub output_tail: Option<Vec<u8>>,
    /// A signal asked jobmon to stop (TERM, INT, HUP, QUIT), whether or not the job obeyed: what is left to do is done
    /// in a shorter time.
    pub stop_requested: bool,
}

/// What restrains a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// A delay before everything else, as [`splay`] computes it.
    pub splay: Duration,
    /// No second run at the same time.
    pub lock: Option<LockRequest>,
    /// For each attempt.
    pub time_limit: Option<TimeLimit>,
    /// Further attempts after a failure.
    pub retries: Retries,
}

/// So many attempts of a run are remembered.
const MOST_ATTEMPTS: usize = 100;

/// Runs `command`, at once unless `limits` say otherwise, and has it reported on; returns when it is over and the report is
/// complete, or was given up.
///
/// Never fails: a command that cannot be executed is an [`End`] (and has been complained of on standard error, in one line),
/// and where the machine refuses a limit, the job runs without it and a warning says so.
///
/// Has to be called on the main thread, before any other thread is started: signals are blocked here, and threads inherit
/// that.
pub fn run(
    command: &CommandLine,
    limits: &Limits,
    environment: &Environment,
    output: &Output,
    reporting: &Reporting<'_>,
) -> Execution {
    Job::start(command, limits, environment, output, reporting).finish()
}

/// Before a long sleep: gives memory that is no longer needed back to the kernel.
pub fn give_memory_back() {
    sys::give_memory_back();
}

/// A number that differs from process to process and from call to call; no secret hangs on it.
fn random() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) as u32
}
