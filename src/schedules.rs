//! The jobs that a host starts by itself: found in crontabs, named, wrapped with jobmon, and unwrapped again.
//!
//! A crontab is kept byte for byte; what is changed is the command of a line and nothing else. Five programs read crontabs, each in its own way ([`Daemon`]), and what one of them
//! would not run must not be found out by changing it: a file that its daemon refuses is left alone.
//!
//! ```text
//! bytes ─► crontab   lines, jobs, variables, and what the daemon ignores       (Crontab)
//!       ─► names     one name for each job, unique within the host
//!       ─► plan      what becomes of each line and why; the new bytes            (Plan)
//! ```
//!
//! These are pure: bytes in, values and bytes out. At the rim, [`host`] and [`packages`] say what this machine has, and
//! [`apply`] reads and replaces crontabs.

pub mod apply;
pub mod calendar;
pub mod crontab;
pub mod daemon;
pub mod fields;
pub mod host;
pub mod keep_lines;
pub mod names;
pub mod others;
pub mod packages;
pub mod plan;
pub mod run_parts;
pub mod scan;
pub mod wrapped;

pub use crontab::{Crontab, Job, Kind, Layout};
pub use daemon::Daemon;
pub use fields::When;
