//! `jobmon list`, `jobmon clear` and `jobmon flush`: what gateways hold and what they are owed.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::history::ListingFormat;
use super::settings::{GatewayArgs, RemoteWriteArgs, StateArgs};
use super::value;

/// Which groups of a gateway are meant.
///
/// The values are kept as typed: `K=V`, `K!=V`, `K=~REGEX` and `K!~REGEX` are read by [`crate::janitor`].
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(next_help_heading = "Selection")]
pub struct SelectorArgs {
    /// Groups whose label "job" is JOB
    #[arg(id = "select_job", short = 'j', long = "job", value_name = "JOB")]
    pub job: Option<String>,

    /// Groups whose label "script_name" is NAME
    #[arg(id = "select_name", short = 'n', long = "name", value_name = "NAME")]
    pub name: Option<String>,

    /// Groups whose label "instance" is NAME
    #[arg(id = "select_instance", long = "instance", value_name = "NAME")]
    pub instance: Option<String>,

    /// Groups with this label, repeatable
    ///
    /// K=V equal, K!=V not equal, K=~REGEX matches as a whole, K!~REGEX does not. A group without the label has the
    /// empty value.
    #[arg(id = "select_label", short = 'l', long = "label", value_name = "MATCH")]
    pub labels: Vec<String>,

    /// Groups whose last push is longer ago than this
    ///
    /// A push that was refused counts too: somebody still uses the group.
    #[arg(long, value_name = "DURATION", value_parser = value::duration, allow_hyphen_values = true)]
    pub older_than: Option<Duration>,

    /// Groups whose last run did not succeed, or whose last push was refused
    #[arg(long)]
    pub failed: bool,

    /// Groups that were never pushed successfully: left behind by a refused push
    #[arg(long)]
    pub ghost: bool,

    /// Groups whose time to live (script_ttl_seconds) is over
    ///
    /// Not those with a run in progress, unless it reported heartbeats and they stopped.
    #[arg(long)]
    pub expired: bool,

    /// Groups that disable the gateway for everybody
    ///
    /// Labels with invalid UTF-8, and groups that differ from another one by an empty label "instance" only.
    #[arg(long)]
    pub poisoned: bool,
}

/// By what `jobmon list` sorts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SortBy {
    /// The grouping key.
    #[default]
    Labels,
    /// The last push, oldest first.
    Age,
    /// The number of samples, largest first.
    Size,
    /// The last result, failures first.
    Result,
}

/// List the groups that gateways hold
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct ListArgs {
    /// Which groups.
    #[command(flatten)]
    pub selector: SelectorArgs,

    /// What to sort by
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    pub sort: SortBy,

    /// Output format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: ListingFormat,

    /// Warn about a gateway that holds more samples than this
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = value::number)]
    pub max_samples: u64,

    /// Which gateways, and how they are spoken to.
    #[command(flatten)]
    pub gateways: GatewayArgs,

    /// Where the registry is.
    #[command(flatten)]
    pub state: StateArgs,
}

/// Delete groups from gateways
///
/// A full grouping key (--job, --name and --instance; an empty value means no such label) deletes exactly that group,
/// anything less all groups that match. What would be deleted is worked out first and shown (--dry-run stops there);
/// every group is read again just before it is deleted and left alone if it was pushed meanwhile, and afterwards the
/// gateway is asked whether it is gone. A group that was cleared is not delivered again until its job runs again.
///
/// Exit status: 0 all deleted, 1 some could not be, 125 bad usage.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(
    after_help = "Example: jobmon clear -g http://127.0.0.1:9091 --job script_monitor --older-than 30d --dry-run"
)]
pub struct ClearArgs {
    /// Which groups.
    #[command(flatten)]
    pub selector: SelectorArgs,

    /// Every group of the gateway
    #[arg(long, help_heading = "Selection", conflicts_with_all = ["select_job", "select_name", "select_instance",
        "select_label", "older_than", "failed", "ghost", "expired", "poisoned"])]
    pub all: bool,

    /// Print what would be deleted and delete nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Do not ask, also on a terminal
    #[arg(short, long)]
    pub yes: bool,

    /// Exit with 1 when nothing matches
    #[arg(long)]
    pub require_match: bool,

    /// Which gateways, and how they are spoken to.
    #[command(flatten)]
    pub gateways: GatewayArgs,
    /// Which databases.
    #[command(flatten)]
    pub remote_write: RemoteWriteArgs,

    /// Where the registry is.
    #[command(flatten)]
    pub state: StateArgs,
}

/// Deliver what gateways are still owed
///
/// For a timer. Also finds runs that vanished, gateways that came back empty, and cleared groups that a gateway brought
/// back.
///
/// Exit status: 0 nothing is owed any more, 1 something still is.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct FlushArgs {
    /// Stay, and do it again at this interval
    #[arg(id = "flush_loop", long = "loop", value_name = "DURATION", value_parser = value::interval,
        allow_hyphen_values = true)]
    pub interval: Option<Duration>,

    /// Give up what is pending at this gateway or directory, and do nothing else
    ///
    /// For one that was mistyped or is gone for good: "jobmon flush" would try it for 30 days. Written as "jobmon status" and
    /// "jobmon doctor" name it. Nothing is deleted there.
    #[arg(long, value_name = "SINK", conflicts_with = "flush_loop")]
    pub forget: Vec<String>,

    /// Which gateways, and how they are spoken to.
    #[command(flatten)]
    pub gateways: GatewayArgs,
    /// Which databases.
    #[command(flatten)]
    pub remote_write: RemoteWriteArgs,

    /// Where the registry is.
    #[command(flatten)]
    pub state: StateArgs,
}
