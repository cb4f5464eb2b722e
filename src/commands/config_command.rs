//! `jobmon config`: the effective configuration and where each value comes from.

use std::process::ExitCode;

use crate::cli::doctor::ConfigArgs;
use crate::cli::history::Format;
use crate::config::{Config, show};
use crate::render::configuration;

/// Prints it; what is wrong with it is said on standard error, and then the exit code is 1.
pub fn run(args: &ConfigArgs, config: &Config) -> ExitCode {
    super::start_logging(config.verbosity);
    super::report_warnings(config);
    let rows = show(config);
    let text = match args.format {
        Format::Table => configuration::table(&rows),
        Format::Json => configuration::json(&rows),
    };
    super::print(&text, if config.warnings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
