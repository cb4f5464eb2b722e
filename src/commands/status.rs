//! `jobmon status`: every group with its last result, and what is still to be delivered.

use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Result;

use super::session::{Session, filter};
use crate::cli::history::{Format, StatusArgs};
use crate::config::Config;
use crate::registry::journal;
use crate::render::status::Status;

/// Prints it; 0 also if there is nothing to show, 1 if the registry cannot be read or was damaged.
pub fn run(args: &StatusArgs, config: &Config) -> Result<ExitCode> {
    let mut status = Status { now: SystemTime::now(), rows: Vec::new() };
    let mut code = ExitCode::SUCCESS;
    if let Some(mut session) = Session::open_for_reading(config)? {
        code = session.exit_code();
        let groups = session.registry.groups()?;
        let running = journal::running(&session.dir, status.now);
        status.collect(groups, running, &filter(&args.filter));
        if status.rows.is_empty() {
            super::complain("no group of the registry is selected");
        }
    }
    let text = match args.format {
        Format::Table => status.table(super::terminal_width()),
        Format::Json => status.json(),
    };
    Ok(super::print(&text, code))
}
