//! Jobs under a real systemd and real daemons of cron, in containers: `tests/run --slow`. Needs root.
#![expect(clippy::disallowed_methods, reason = "tests start processes as their callers do")]
#![allow(
    unsafe_code,
    clippy::disallowed_types,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "rules of the program, not of what looks at it from outside"
)]

#[path = "../it/hard_lines.rs"]
mod hard_lines;

mod container;
mod daemons;
mod services;
