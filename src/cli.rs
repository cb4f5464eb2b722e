//! The command line: subcommands and flags as data, and how a typed line becomes an [`Invocation`].
//!
//! Nothing here gives a setting a meaning: flags that can also stand in a file or in the environment are handed on as
//! they were typed ([`Flags`]), and [`crate::config`] reads them. clap never looks at the environment, because a bad
//! variable must not stop a job.

use std::ffi::{OsStr, OsString};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args as _, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub mod cron;
pub mod doctor;
pub mod generate;
pub mod history;
pub mod janitor;
pub mod record;
pub mod register;
pub mod run;
pub mod settings;
mod usage;
pub mod value;

use settings::CommonArgs;

use crate::exit_code;

/// Run a job unchanged, keep its result, and push it to a Prometheus Pushgateway
#[derive(Parser, Clone, Debug)]
#[command(
    name = "jobmon",
    version,
    disable_help_subcommand = true,
    after_help = "Example: jobmon run -n backup -g http://127.0.0.1:9091 -- /usr/local/bin/backup.sh /srv"
)]
pub struct Cli {
    /// Flags of every subcommand.
    #[command(flatten)]
    pub common: CommonArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands; their help is the documentation of their arguments' types.
#[derive(Subcommand, Clone, Debug)]
#[allow(missing_docs, reason = "a comment at a variant would replace the help text of its arguments' type")]
pub enum Command {
    Run(Box<run::RunArgs>),
    Status(history::StatusArgs),
    History(history::HistoryArgs),
    Logs(history::LogsArgs),
    Push(Box<register::PushArgs>),
    Register(Box<register::RegisterArgs>),
    Unregister(Box<register::UnregisterArgs>),
    Flush(Box<janitor::FlushArgs>),
    List(Box<janitor::ListArgs>),
    Clear(Box<janitor::ClearArgs>),
    Doctor(Box<doctor::DoctorArgs>),
    Config(Box<doctor::ConfigArgs>),
    Record(Box<record::RecordArgs>),
    Cron(Box<cron::CronArgs>),
    Generate(Box<generate::GenerateArgs>),
}

/// A command line that can be acted on.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// What to do.
    pub command: Command,
    /// The flags as typed, for [`crate::config`].
    pub flags: Flags,
}

/// The flags that were typed, by id (the long name with `_` for `-`), each with its values in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    values: Vec<(String, Vec<OsString>)>,
    /// How often `-v` was given.
    pub verbose: u8,
}

impl Flags {
    /// Flags by id; for tests of what reads them.
    pub fn new<'a>(values: impl IntoIterator<Item = (&'a str, Vec<OsString>)>, verbose: u8) -> Self {
        Self { values: values.into_iter().map(|(id, values)| (id.to_owned(), values)).collect(), verbose }
    }

    /// The values of the flag with this id, if it was typed.
    pub fn get(&self, id: &str) -> Option<&[OsString]> {
        self.values.iter().find(|(name, _)| name == id).map(|(_, values)| values.as_slice())
    }

    /// The others, without the flag with this id.
    pub fn without(&self, id: &str) -> Self {
        Self { values: self.values.iter().filter(|(name, _)| name != id).cloned().collect(), verbose: self.verbose }
    }

    fn from_matches(matches: &ArgMatches) -> Self {
        let typed = |id: &&clap::Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
        // The command is no flag, and how often -v was given has no text.
        let values = matches
            .ids()
            .filter(typed)
            .filter(|id| id.as_str() != "command" && id.as_str() != "verbose")
            .filter_map(|id| Some((id.as_str().to_owned(), matches.try_get_raw(id.as_str()).ok()??)))
            .map(|(id, values)| (id, values.map(OsStr::to_owned).collect()))
            .collect();
        Self { values, verbose: matches.get_count("verbose") }
    }
}

/// Why there is no [`Invocation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Help or version was asked for: print this on standard output and exit with 0.
    Information(String),
    /// No subcommand at all: print this help on standard error and exit with [`OWN_FAILURE`](crate::exit_code::OWN_FAILURE).
    Nothing(String),
    /// Bad usage: print this one line on standard error and exit with [`OWN_FAILURE`](crate::exit_code::OWN_FAILURE).
    Usage(String),
}

/// The whole command tree; for help, manual pages and completions.
pub fn command() -> clap::Command {
    // Not an attribute of the arguments: the text would be put together before every job.
    Cli::command().mut_subcommand("run", |run| run.after_long_help(exit_code::help()))
}

/// Reads a command line, the program's own name included.
///
/// `jobmon run …` is the line that stands before every job of a machine, so it is parsed with the arguments of `run`
/// alone: building the other subcommands would take longer than everything else that happens before the job starts.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, Ending> {
    let args: Vec<OsString> = args.into_iter().collect();
    let is_run = args.get(1).is_some_and(|word| word == "run");
    // What `run` alone cannot make sense of, help included, is for the whole tree to explain.
    let run = if is_run { parse_run(&args[1..]) } else { None };
    run.map_or_else(|| parse_any(args), Ok).and_then(checked)
}

/// `jobmon run` from the word `run` on, as a command of its own.
fn parse_run(args: &[OsString]) -> Option<Invocation> {
    let mut command = CommonArgs::augment_args(run::RunArgs::augment_args(clap::Command::new("run")));
    let matches = command.try_get_matches_from_mut(args).ok()?;
    let flags = Flags::from_matches(&matches);
    let run = run::RunArgs::from_arg_matches(&matches).ok()?;
    Some(Invocation { command: Command::Run(Box::new(run)), flags })
}

fn parse_any(mut args: Vec<OsString>) -> Result<Invocation, Ending> {
    // "jobmon help run", which many would type, is "jobmon run --help".
    if args.get(1).is_some_and(|word| word == "help") {
        args.remove(1);
        args.push("--help".into());
    }
    let mut command = command();
    if args.len() < 2 {
        return Err(Ending::Nothing(command.render_help().to_string()));
    }
    let path = usage::subcommand_path(&command, &args);
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let matches = command.try_get_matches_from_mut(args).map_err(|error| ending(&error, &path))?;
    let mut innermost = &matches;
    while let Some((_, inner)) = innermost.subcommand() {
        innermost = inner;
    }
    let flags = Flags::from_matches(innermost);
    let cli = Cli::from_arg_matches(&matches).map_err(|error| ending(&error, &path))?;
    Ok(Invocation { command: cli.command, flags })
}

/// What clap cannot know.
fn checked(invocation: Invocation) -> Result<Invocation, Ending> {
    let (words, run) = match &invocation.command {
        Command::Run(run) => ("run", &**run),
        Command::Generate(args) => match &args.what {
            generate::Generate::Systemd(args) => ("generate systemd", &args.run),
            _ => return Ok(invocation),
        },
        _ => return Ok(invocation),
    };
    if run.command.is_empty() && run.shell.is_none() {
        return Err(Ending::Usage(format!(
            "no command given: write \"jobmon {words} [OPTIONS] -- COMMAND ARGS...\" or --shell STRING"
        )));
    }
    Ok(invocation)
}

fn ending(error: &clap::Error, path: &[&str]) -> Ending {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ending::Information(error.render().to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Ending::Nothing(error.render().to_string()),
        _ => Ending::Usage(usage::one_line(error, path)),
    }
}

#[cfg(test)]
mod tests;
