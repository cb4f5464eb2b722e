//! `jobmon status`, `jobmon history` and `jobmon logs`: what the registry knows.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::settings::StateArgs;
use super::value;

/// How something is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people.
    #[default]
    Table,
    /// One JSON document.
    Json,
}

/// How a list of many things of one kind is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ListingFormat {
    /// A table for people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// Comma-separated values with a header line; what a spreadsheet would take for a formula has an apostrophe before it.
    Csv,
}

/// Which groups of the registry are meant.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(next_help_heading = "Selection")]
pub struct GroupFilterArgs {
    /// Only groups whose label "script_name" is NAME
    #[arg(id = "filter_name", short = 'n', long = "name", value_name = "NAME")]
    pub name: Option<String>,

    /// Only groups whose label "job" is JOB
    #[arg(id = "filter_job", short = 'j', long = "job", value_name = "JOB")]
    pub job: Option<String>,

    /// Only groups whose label "instance" is NAME
    #[arg(id = "filter_instance", long = "instance", value_name = "NAME")]
    pub instance: Option<String>,

    /// Only groups with this label, repeatable
    #[arg(id = "filter_label", short = 'l', long = "label", value_name = "K=V", value_parser = value::label)]
    pub labels: Vec<(String, String)>,
}

/// Show the last result of every group and what is still to be delivered
///
/// One line for each group of this host: last result, exit code, duration, when it ended, and whether every gateway has
/// it. What is owed is shown with the gateway, since when, and why.
///
/// A table is made to fit a terminal; into a pipe or a file it is written in full. Exit code: 0, also if there is nothing
/// to show; 1 if the registry cannot be read or was found damaged; 125 for bad usage.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct StatusArgs {
    /// Which groups.
    #[command(flatten)]
    pub filter: GroupFilterArgs,

    /// Output format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: Format,

    /// Where the registry is.
    #[command(flatten)]
    pub state: StateArgs,
}

/// Show past runs, newest first
///
/// A table is made to fit a terminal; into a pipe or a file it is written in full. Exit code: 0, also if there is nothing
/// to show; 1 if the registry cannot be read or was found damaged; 125 for bad usage.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct HistoryArgs {
    /// Which groups.
    #[command(flatten)]
    pub filter: GroupFilterArgs,

    /// Only runs with this result
    #[arg(long, value_name = "RESULT", value_parser = ["success", "warning", "failure", "timeout", "lost", "skipped"],
        help_heading = "Selection")]
    pub result: Option<String>,

    /// Only runs that ended within this time
    #[arg(long, value_name = "DURATION", value_parser = value::duration, allow_hyphen_values = true,
        help_heading = "Selection")]
    pub since: Option<Duration>,

    /// At most N runs; 0: all
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value::number, help_heading = "Selection")]
    pub limit: u64,

    /// Show the kept output and the attempts of each run
    #[arg(long)]
    pub output: bool,

    /// Output format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: ListingFormat,

    /// Where the registry is.
    #[command(flatten)]
    pub state: StateArgs,
}

/// Print the kept output of the last run of a job
///
/// The output is kept by "jobmon run --tail"; it is printed byte by byte as the job wrote it. Runs that were skipped are
/// passed over.
///
/// Exit code: 0; 1 if there is no such run, it kept no output, or the registry cannot be read; 125 for bad usage.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct LogsArgs {
    /// Value of the label "script_name"
    #[arg(id = "logs_name", value_name = "NAME")]
    pub name: OsString,

    /// Take the Nth last run instead of the last
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value::ordinal)]
    pub nth: u64,

    /// Where the registry is.
    #[command(flatten)]
    pub state: StateArgs,
}
