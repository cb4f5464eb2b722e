//! One straight-line function for each subcommand.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::Result;

use crate::cli::{self, Command, Ending, Flags, Invocation};
use crate::config::{self, Config, Purpose, UsageError};
use crate::exit_code;
use crate::logging;

mod clear;
mod config_command;
mod cron;
mod doctor;
mod flush;
mod generate;
mod history;
mod jobmon_sh;
mod list;
mod logs;
mod push;
mod record;
mod register;
mod run;
mod selection;
mod session;
mod status;
mod systemctl;

/// The program: parses the command line and runs the command that it names.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if jobmon_sh::is_called(&arguments) {
        return jobmon_sh::run(&arguments);
    }
    match cli::parse(arguments) {
        Ok(invocation) => dispatch(invocation).unwrap_or_else(|error| fail(&error)),
        Err(Ending::Information(text)) => print(&text, ExitCode::SUCCESS),
        Err(Ending::Nothing(text)) => {
            complain(text.trim_end());
            ExitCode::from(exit_code::OWN_FAILURE)
        }
        Err(Ending::Usage(line)) => fail(&UsageError::new(line).into()),
    }
}

/// The number that the process ends with, for a `main` that has to return one; `std` gives it to its own runtime alone.
pub fn number(code: ExitCode) -> u8 {
    stdout().flush().unwrap_or_default();
    (0..=u8::MAX).find(|&number| ExitCode::from(number) == code).expect("an exit code was made from a u8")
}

fn dispatch(Invocation { command, flags }: Invocation) -> Result<ExitCode> {
    // What acts on groups acts on none if its configuration is not what was meant.
    let config = || configured(&flags, Purpose::Command);
    match command {
        Command::Run(args) => run::run(*args, &flags),
        Command::Record(args) => record::run(&args, &flags),
        Command::Generate(args) => generate::run(&args, &flags),
        // What is wrong with a file is what these two are about.
        Command::Config(args) => config_command::run(&args, &configured(&flags, Purpose::Job)?),
        Command::Doctor(args) => doctor::run(&args, &config::load(&flags, None, Purpose::Job)?),
        Command::Flush(args) => flush::run(&args, &config()?),
        Command::Cron(args) => cron::run(&args, &config()?),
        Command::Push(args) => push::run(&args, &config()?),
        Command::Register(_) => register::register(&config()?),
        Command::Unregister(_) => register::unregister(&config()?),
        Command::List(args) => list::run(&args, &config()?),
        Command::Clear(args) => clear::run(&args, &config()?),
        Command::Status(args) => status::run(&args, &config()?),
        Command::History(args) => history::run(&args, &config()?),
        Command::Logs(args) => logs::run(&args, &config()?),
    }
}

/// The configuration of a command that has no job to start; what was wrong with it is logged, once.
fn configured(flags: &Flags, purpose: Purpose) -> Result<Config> {
    let config = config::load(flags, None, purpose)?;
    log_configuration(&config);
    Ok(config)
}

/// Starts the log, with what was wrong with the configuration.
fn log_configuration(config: &Config) {
    logging::start_logging(config.verbosity);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

/// One line on standard error about why a command failed, and the exit code for that.
fn fail(error: &anyhow::Error) -> ExitCode {
    if error.is::<UsageError>() {
        complain(&format!("jobmon: {error}"));
        return ExitCode::from(exit_code::OWN_FAILURE);
    }
    complain(&format!("jobmon: error: {error:#}"));
    ExitCode::FAILURE
}

/// Prints `text` on standard output and ends with `code`; with 1 if it cannot be written.
///
/// A reader that has seen enough (`jobmon history | head`) is not worth a word.
pub fn print(text: &str, code: ExitCode) -> ExitCode {
    print_bytes(text.as_bytes(), code)
}

/// The same for what need not be text.
fn print_bytes(bytes: &[u8], code: ExitCode) -> ExitCode {
    let mut stdout = self::stdout().lock();
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
    let stdout = self::stdout();
    let size = stdout.is_terminal().then(|| terminal_size::terminal_size_of(&stdout)).flatten();
    size.map(|(width, _)| usize::from(width.0))
}

/// A line on standard error. Where even that cannot be written there is nobody left to tell.
fn complain(line: &str) {
    writeln!(stderr(), "{line}").unwrap_or_default();
}

/// Where the results of a command go.
#[expect(clippy::disallowed_methods, reason = "commands print")]
fn stdout() -> io::Stdout {
    io::stdout()
}

/// Where its questions and complaints go.
#[expect(clippy::disallowed_methods, reason = "commands print")]
fn stderr() -> io::Stderr {
    io::stderr()
}
