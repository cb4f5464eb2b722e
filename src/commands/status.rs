//! `jobmon status`: every group with its last result, and what is still to be delivered.

use std::process::ExitCode;
use std::time::SystemTime;

use super::stored;
use crate::cli::history::{Format, StatusArgs};
use crate::config::Config;
use crate::registry::journal;
use crate::render::status::Status;

/// Prints it; 0 also if there is nothing to show, 1 if the registry cannot be read or was damaged.
pub fn run(args: &StatusArgs, config: &Config) -> ExitCode {
    let mut status = Status { now: SystemTime::now(), rows: Vec::new() };
    let mut code = ExitCode::SUCCESS;
    match stored::open(config) {
        Ok(Some(mut stored)) => {
            if !stored.sound {
                code = ExitCode::FAILURE;
            }
            let filter = stored::filter(&args.filter);
            let groups = match stored.registry.groups() {
                Ok(groups) => groups,
                Err(error) => return super::fail(&error),
            };
            let running = journal::running(&stored.state, status.now);
            status.collect(groups, running, &filter);
            if status.rows.is_empty() {
                super::complain("no group of the registry is selected");
            }
        }
        Ok(None) => {}
        Err(error) => return super::fail(&error),
    }
    let text = match args.format {
        Format::Table => status.table(super::terminal_width()),
        Format::Json => status.json(),
    };
    super::print(&text, code)
}
