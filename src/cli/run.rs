//! `jobmon run`.

use std::ffi::OsString;

use clap::Args;

use super::settings::RunSettings;

/// Run a command unchanged and report how it ended
///
/// The command gets jobmon's streams, environment, signals and terminal as if it had been started without jobmon, and
/// jobmon ends as the command ended. Whatever happens to the report, the exit status stays that of the command. An option
/// that only monitoring needs never keeps the command from running: a wrong value is a warning, an empty one counts as not
/// given. Of an option that is given twice the last counts.
///
/// Everything after the first word that is not an option belongs to the command; "--" in front of it makes that plain,
/// and any further "--" is the command's own.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(
    args_override_self = true,
    override_usage = "jobmon run [OPTIONS] -- COMMAND [ARGS]...\n       jobmon run [OPTIONS] --shell STRING",
    after_help = "Example: jobmon run -n backup -g http://127.0.0.1:9091 -- /usr/local/bin/backup.sh /srv"
)]
pub struct RunArgs {
    /// Everything that can be configured.
    #[command(flatten)]
    pub settings: RunSettings,

    /// Run STRING with /bin/sh -c, for lines with pipes and redirections
    #[arg(long, value_name = "STRING", allow_hyphen_values = true, conflicts_with = "command")]
    pub shell: Option<OsString>,

    /// The command and its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub command: Vec<OsString>,
}
