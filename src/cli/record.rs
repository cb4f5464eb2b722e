//! `jobmon record`: a run that jobmon did not start.

use std::time::Duration;

use clap::Args;

use super::settings::{CiArgs, CodeArgs, ExpectationArgs, GatewayArgs, GroupingArgs, RemoteWriteArgs, StateArgs};
use super::value;

/// Record a run that jobmon did not start
///
/// For what cannot be wrapped: the result is kept and sent like that of "jobmon run". Either with its facts, or for a
/// service of systemd, in its unit:
///
/// ExecStopPost=-/usr/bin/jobmon record --systemd
///
/// Result, exit code, signal, time limit (TimeoutStartSec=, RuntimeMaxSec=), memory that ran out and duration are then
/// those that systemd knows; a service whose conditions failed did not run. The job is named after the unit.
///
/// Exit code: 0; 1 if the run could not be kept or not be delivered (0 with --systemd, for which another result would make
/// the service fail); 125 for bad usage.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(after_help = "Example: jobmon record -n backup --exit-code 0 --duration 12m")]
pub struct RecordArgs {
    /// Take the facts from systemd, in ExecStopPost= of a service
    #[arg(long, conflicts_with_all = ["exit_code", "duration"])]
    pub systemd: bool,

    /// Exit code of the run
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8), required_unless_present = "systemd")]
    pub exit_code: Option<u8>,

    /// How long it ran; it ended now
    #[arg(long, value_name = "DURATION", value_parser = value::duration, allow_hyphen_values = true)]
    pub duration: Option<Duration>,

    /// The group.
    #[command(flatten)]
    pub grouping: GroupingArgs,

    /// Who else may say so.
    #[command(flatten)]
    pub ci: CiArgs,

    /// What is expected.
    #[command(flatten)]
    pub expectations: ExpectationArgs,

    /// What exit codes mean.
    #[command(flatten)]
    pub codes: CodeArgs,

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
