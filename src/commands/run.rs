//! `jobmon run`: what was typed becomes a command and its configuration.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::Flags;
use crate::cli::run::RunArgs;
use crate::config::{self, Purpose};
use crate::run;
use crate::supervise::CommandLine;

/// Runs the command and ends as it ended; returns only for bad usage, before anything ran.
pub fn run(args: RunArgs, flags: &Flags) -> Result<ExitCode> {
    let naming_word = config::naming_word(&args.command, args.shell.as_deref());
    let config = config::load(flags, naming_word, Purpose::Job)?;
    let command = match args.shell {
        Some(line) => CommandLine::Shell(line),
        None => CommandLine::Argv(args.command),
    };
    run::run(&config, &command)
}
