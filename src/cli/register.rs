//! `jobmon register`, `jobmon unregister` and `jobmon push`: groups without a run.

use std::path::PathBuf;

use clap::Args;

use super::settings::{CiArgs, ExpectationArgs, GatewayArgs, GroupingArgs, RemoteWriteArgs, StateArgs};

/// Write down what is expected of a job before it has ever run
///
/// A deployment step: the job's expectations are kept in the registry and sent to the gateways, so that a job that never
/// starts is missed too. Needs --name and at least one of the expectations, as flags or in the section [jobs.NAME].
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(after_help = "Example: jobmon register -n backup --schedule '30 2 * * *' --grace 30m --max-duration 2h")]
pub struct RegisterArgs {
    /// The group.
    #[command(flatten)]
    pub grouping: GroupingArgs,

    /// What is expected.
    #[command(flatten)]
    pub expectations: ExpectationArgs,

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

/// Remove a job: its expectations, its state and its groups at the gateways
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct UnregisterArgs {
    /// The group.
    #[command(flatten)]
    pub grouping: GroupingArgs,

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

/// Add metrics from a file or standard input to a job's group
///
/// The exposition format of Prometheus: names, types and values are checked before anything is sent, and families of
/// jobmon's own are refused.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(after_help = "Example: echo 'backup_bytes 12345' | jobmon push -n backup")]
pub struct PushArgs {
    /// File to read; "-" or nothing: standard input
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Drop all metrics that were pushed for the job before
    ///
    /// Without it, a family stays as it was pushed last until it is pushed again.
    #[arg(long)]
    pub replace: bool,

    /// The group.
    #[command(flatten)]
    pub grouping: GroupingArgs,

    /// Who else may say so.
    #[command(flatten)]
    pub ci: CiArgs,

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
