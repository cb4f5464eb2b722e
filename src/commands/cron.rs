//! `jobmon cron`: crontabs are found, planned, shown and changed.

mod edit;
mod run_parts;
mod scan;
mod sources;
mod timers;
mod units;

use std::process::ExitCode;

use crate::cli::cron::{Cron, CronArgs};
use crate::config::Config;

/// Does what was asked for.
pub fn run(args: &CronArgs, config: &Config) -> ExitCode {
    match &args.what {
        Cron::Scan(args) => scan::run(args, config),
        Cron::Wrap(args) => edit::wrap(args, config),
        Cron::Unwrap(args) => edit::unwrap(args, config),
        Cron::Restore(args) => edit::restore(args, config),
        Cron::RunParts(args) => run_parts::run(args),
    }
}
