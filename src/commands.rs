//! One straight-line function for each subcommand.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use crate::cli::{self, Command, Ending, Flags, Invocation};
use crate::config::{self, Config, ExplicitFile, UsageError};
use crate::exit_code;

mod clear;
mod config_command;
mod cron;
mod desk;
mod doctor;
mod flush;
mod generate;
mod history;
mod jobmon_sh;
mod list;
mod logs;
mod push;
mod register;
mod run;
mod selection;
mod status;
mod stored;

pub use crate::logging::start_logging;

/// The program: parses the command line and runs the command that it names.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if jobmon_sh::is_called(&arguments) {
        return jobmon_sh::run(&arguments);
    }
    match cli::parse(arguments) {
        Ok(invocation) => dispatch(invocation),
        Err(Ending::Information(text)) => print(&text, ExitCode::SUCCESS),
        Err(Ending::Nothing(text)) => {
            complain(text.trim_end());
            ExitCode::from(exit_code::OWN_FAILURE)
        }
        Err(Ending::Usage(line)) => bad_usage(&line),
    }
}

/// The number that the process ends with, for a `main` that has to return one; `std` gives it to its own runtime alone.
pub fn number(code: ExitCode) -> u8 {
    io::stdout().flush().unwrap_or_default();
    (0..=u8::MAX).find(|&number| ExitCode::from(number) == code).expect("an exit code was made from a u8")
}

fn dispatch(invocation: Invocation) -> ExitCode {
    let Invocation { command, flags } = invocation;
    match command {
        Command::Run(args) => run::run(*args, &flags),
        Command::Config(args) => configured(&flags, ExplicitFile::MayFail, |config| config_command::run(&args, config)),
        // What is wrong with a file is a finding like any other.
        Command::Doctor(args) => configured(&flags, ExplicitFile::MayFail, |config| doctor::run(&args, config)),
        Command::Flush(args) => configured(&flags, ExplicitFile::MustLoad, |config| flush::run(&args, config)),
        Command::Cron(args) => logged(&flags, |config| cron::run(&args, config)),
        Command::Generate(args) => generate::run(&args, &flags),
        Command::Push(args) => logged(&flags, |config| push::run(&args, config)),
        Command::Register(_) => logged(&flags, register::register),
        Command::Unregister(_) => logged(&flags, register::unregister),
        Command::List(args) => configured(&flags, ExplicitFile::MustLoad, |config| list::run(&args, config)),
        Command::Clear(args) => configured(&flags, ExplicitFile::MustLoad, |config| clear::run(&args, config)),
        Command::Status(args) => configured(&flags, ExplicitFile::MustLoad, |config| status::run(&args, config)),
        Command::History(args) => configured(&flags, ExplicitFile::MustLoad, |config| history::run(&args, config)),
        Command::Logs(args) => configured(&flags, ExplicitFile::MustLoad, |config| logs::run(&args, config)),
    }
}

/// Runs a command with its configuration; what acts on groups acts on none if that is not what was meant.
fn configured(flags: &Flags, explicit: ExplicitFile, command: impl FnOnce(&Config) -> ExitCode) -> ExitCode {
    match config::load(flags, None, explicit) {
        Ok(config) => command(&config),
        Err(error) => refuse(&error),
    }
}

/// The same for a command that leaves the log to its caller.
fn logged(flags: &Flags, command: impl FnOnce(&Config) -> ExitCode) -> ExitCode {
    configured(flags, ExplicitFile::MustLoad, |config| {
        start_logging(config.verbosity);
        report_warnings(config);
        command(config)
    })
}

/// Says what was wrong with the configuration; once, when a command has its configuration.
pub fn report_warnings(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

fn refuse(error: &UsageError) -> ExitCode {
    bad_usage(&error.to_string())
}

/// One line on standard error, and the exit code for bad usage.
fn bad_usage(line: &str) -> ExitCode {
    complain(&format!("jobmon: {line}"));
    ExitCode::from(exit_code::OWN_FAILURE)
}

/// Prints `text` on standard output and ends with `code`; with 1 if it cannot be written.
///
/// A reader that has seen enough (`jobmon history | head`) is not worth a word.
pub fn print(text: &str, code: ExitCode) -> ExitCode {
    print_bytes(text.as_bytes(), code)
}

/// The same for what need not be text.
fn print_bytes(bytes: &[u8], code: ExitCode) -> ExitCode {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => code,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => code,
        Err(error) => {
            complain(&format!("jobmon: standard output: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// The width of the terminal that standard output is; `None` = not a terminal, nothing has to be shortened.
fn terminal_width() -> Option<usize> {
    let stdout = io::stdout();
    let size = stdout.is_terminal().then(|| terminal_size::terminal_size_of(&stdout)).flatten();
    size.map(|(width, _)| usize::from(width.0))
}

/// One line on standard error about what could not be done, and the exit code for that.
fn fail(error: &impl std::fmt::Display) -> ExitCode {
    complain(&format!("jobmon: error: {error}"));
    ExitCode::FAILURE
}

/// A line on standard error. Where even that cannot be written there is nobody left to tell.
fn complain(line: &str) {
    writeln!(io::stderr(), "{line}").unwrap_or_default();
}
