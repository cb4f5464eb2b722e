//! `jobmon cron`: crontabs are found, planned, shown and changed.

mod change;
mod edit;
mod program;
mod run_parts;
mod scan;
mod show;
mod sources;
mod timers;
mod units;

use std::process::ExitCode;

use anyhow::{Error, Result};

use crate::cli::cron::{Cron, CronArgs};
use crate::commands::complain;
use crate::config::Config;
use crate::text::one_line;

/// One line about what failed; the rest goes on.
fn fail(error: &Error) -> ExitCode {
    complain(&format!("jobmon: error: {}", one_line(&format!("{error:#}"))));
    ExitCode::FAILURE
}

/// Does what was asked for.
pub fn run(args: &CronArgs, config: &Config) -> Result<ExitCode> {
    match &args.what {
        Cron::Scan(args) => Ok(scan::run(args, config)),
        Cron::Wrap(args) => edit::wrap(args, config),
        Cron::Unwrap(args) => edit::unwrap(args, config),
        Cron::Restore(args) => edit::restore(args, config),
        Cron::RunParts(args) => run_parts::run(args),
    }
}
