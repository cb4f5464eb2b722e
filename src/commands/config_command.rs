//! `jobmon config`: the effective configuration and where each value comes from.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::doctor::ConfigArgs;
use crate::cli::history::Format;
use crate::config::{Config, show};
use crate::render::configuration;

/// Prints it; the exit code is 1 if something is wrong with it.
pub fn run(args: &ConfigArgs, config: &Config) -> Result<ExitCode> {
    let rows = show(config);
    let text = match args.format {
        Format::Table => configuration::table(&rows),
        Format::Json => configuration::json(&rows),
    };
    Ok(super::print(&text, if config.warnings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}
