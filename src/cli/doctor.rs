//! `jobmon doctor` and `jobmon config`: what is, and why.

use clap::{Args, ValueEnum};

use super::history::Format;
use super::settings::{GatewayArgs, RunSettings, StateArgs};

/// How findings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DoctorFormat {
    /// Words for people, at most 80 columns wide.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// Check the whole chain and say what to do next
///
/// Configuration, registry, gateways, and with --prometheus the server that scrapes them and its Alertmanagers, in this
/// order. What it reads it leaves as it is; only --fix changes something.
///
/// JSON: an object with "version" (1), "verdict" ("fine", "warning" or "broken"), "fixes" (with --fix: objects with
/// "step", "done" and "outcome") and "findings": objects with "area" ("configuration", "registry", "gateway",
/// "prometheus", "alertmanager"), "subject" (a directory, a URL or null), "check" (a name that stays the same from
/// version to version), "severity" (as the verdict), "what" and "next_step" (null where there is nothing to do).
///
/// Exit status: 0 fine, 1 warnings, 2 broken, 125 bad usage.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct DoctorArgs {
    /// Prometheus that should be scraping the gateways
    ///
    /// Credentials may stand in it. The certificates of the gateways' settings count for it too, their passwords do
    /// not.
    #[arg(long, value_name = "URL")]
    pub prometheus: Option<String>,

    /// Fix what can be fixed, and check again
    ///
    /// Deletes what disables a gateway for everybody and empty groups of this host, counts runs that wait in the
    /// journal, sends what is owed, and takes the state directory away from others. It says each step before it takes
    /// it. Damaged files that were set aside are left alone.
    #[arg(long)]
    pub fix: bool,

    /// Output format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: DoctorFormat,

    /// Which gateways, and how they are spoken to.
    #[command(flatten)]
    pub gateways: GatewayArgs,

    /// Where the registry is.
    #[command(flatten)]
    pub state: StateArgs,
}

/// Print the effective configuration and where each value comes from
///
/// Takes the flags of "jobmon run", and shows what a run with them would use. With -n NAME, the section [jobs.NAME] is
/// part of it. Secrets are masked.
///
/// Exit status: 0 fine, 1 something in the configuration is wrong (said on standard error), 125 bad usage.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct ConfigArgs {
    /// Output format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: Format,

    /// Everything that can be configured.
    #[command(flatten)]
    pub settings: RunSettings,
}
