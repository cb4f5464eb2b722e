//! `jobmon cron`: the jobs that this host starts by itself.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::history::Format;
use super::settings::StateArgs;

/// Find the jobs of crontabs, put jobmon in front of them, and take it away again
///
/// Nothing is changed without --apply: wrap, unwrap and restore show what they would do.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct CronArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: Cron,
}

/// What can be done with crontabs.
#[derive(Subcommand, Clone, Debug)]
#[allow(missing_docs, reason = "a comment at a variant would replace the help text of its arguments' type")]
pub enum Cron {
    Scan(Box<ScanArgs>),
    Wrap(Box<WrapArgs>),
    Unwrap(Box<UnwrapArgs>),
    Restore(Box<RestoreArgs>),
    RunParts(RunPartsArgs),
}

/// List every job that this host starts by itself: who watches it, and whether it will run at all
///
/// Root sees /etc/crontab, /etc/cron.d, the crontabs of all users, /etc/anacrontab, the scripts in directories that are
/// given to run-parts, and the timers of systemd; other users see their own crontab and timers. STATE is the last result for a
/// job that jobmon watches, the other tool that watches it, or the reason why it will not run: jobmon knows which program
/// reads the crontabs and what that one ignores.
///
/// Exit code: 0; 1 if a crontab could not be read, or with --check if a job will not run; 125 for bad usage.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(after_help = "Example: jobmon cron scan --check")]
pub struct ScanArgs {
    /// Crontab files [default: everything]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Show only jobs that will not run, and exit with 1 if there are any
    #[arg(long)]
    pub check: bool,

    /// Read a user in each line of the files, as in /etc/crontab
    #[arg(long)]
    pub system: bool,

    /// Program that reads the crontabs [default: the one of this host]
    #[arg(long, value_name = "DAEMON", value_enum)]
    pub daemon: Option<DaemonName>,

    /// Output format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: Format,

    /// Where the registry is.
    #[command(flatten)]
    pub state: StateArgs,
}

/// Run the scripts of a directory as run-parts does, each as a job of its own
///
/// The same scripts in the same order as run-parts(8), with the same messages for those that fail. The job
/// of a script is named after the directory and the script, such as "cron.daily-logrotate". Exit code: 0; 1 if a script
/// failed or the directory cannot be read; 125 for bad usage.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(after_help = "Example: jobmon cron run-parts --report /etc/cron.daily")]
pub struct RunPartsArgs {
    /// The directory
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,

    /// Print the name of each script that prints something
    #[arg(long)]
    pub report: bool,

    /// Argument for each script, repeatable
    #[arg(short, long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    pub arg: Vec<std::ffi::OsString>,
}

/// Which crontabs are meant.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(next_help_heading = "Crontabs")]
pub struct CrontabArgs {
    /// Crontab files; "-": standard input [default: your own crontab]
    ///
    /// /etc/crontab and files of /etc/cron.d have a user in each line, other files have none (see --system).
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Crontab of this user, repeatable
    #[arg(long, value_name = "USER")]
    pub user: Vec<String>,

    /// All crontabs: /etc/crontab, /etc/cron.d and those of the users (of other users for root only)
    #[arg(long)]
    pub all: bool,

    /// Read a user in each line, as in /etc/crontab
    #[arg(long)]
    pub system: bool,

    /// Program that reads the crontabs [default: the one of this host]
    ///
    /// Each reads a crontab in its own way. Where this host has none, Debian's cron is assumed, which is the strictest.
    #[arg(long, value_name = "DAEMON", value_enum)]
    pub daemon: Option<DaemonName>,
}

/// Programs that read crontabs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DaemonName {
    /// Debian's and Ubuntu's cron.
    Debian,
    /// cronie, the cron of Fedora, RHEL, Arch and openSUSE.
    Cronie,
    /// systemd-cron.
    SystemdCron,
    /// crond of busybox, the cron of Alpine.
    Busybox,
    /// supercronic, a cron for containers.
    Supercronic,
}

/// Which jobs are meant.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(next_help_heading = "Selection")]
pub struct JobArgs {
    /// Only the job with this name, repeatable
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,

    /// Not the job with this name, repeatable
    #[arg(long, value_name = "NAME")]
    pub skip: Vec<String>,
}

/// Put jobmon in front of the jobs of crontabs
///
/// Prints a plan (the name of each job, and the reason for each job that stays as it is) and the changes. With --apply it
/// makes exactly these changes. The command of a line is kept byte for byte inside quotes; a test in front of it
/// ("test -x PROGRAM && ...") stays in front, so that a test that fails is no run. A
/// comment "# jobmon: NAME" above the line gives the job another name.
///
/// A line that cannot be wrapped safely stays as it is. So does a file that cron refuses. Wrapping twice changes
/// nothing; if the schedule of a wrapped line was edited, --schedule is updated. Before a crontab is changed it
/// is saved in the state directory: see "jobmon cron restore".
///
/// With "-", a crontab is read from standard input and always written whole to standard output; the plan goes to standard
/// error.
///
/// Exit code: 0; 1 if a crontab could not be read or changed; 125 for bad usage.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(after_help = "Example: jobmon cron wrap --all --apply")]
pub struct WrapArgs {
    /// Which crontabs.
    #[command(flatten)]
    pub crontabs: CrontabArgs,

    /// Which jobs.
    #[command(flatten)]
    pub jobs: JobArgs,

    /// Record each run of this systemd service instead, through a drop-in for its unit; repeatable
    ///
    /// The service itself is not changed: systemd starts "jobmon record --systemd" when it has ended. --schedule or
    /// --expect-every is taken from its timer.
    #[arg(long, value_name = "UNIT", conflicts_with_all = ["paths", "user", "all"])]
    pub systemd: Vec<String>,

    /// Make the changes
    #[arg(long)]
    pub apply: bool,

    /// Path of jobmon in the lines [default: this program's]
    #[arg(long, value_name = "PATH")]
    pub jobmon: Option<PathBuf>,

    /// Write lines that also work where jobmon is not installed
    #[arg(long)]
    pub fallback: bool,

    /// Leave the lines of jobs as they are: make jobmon-sh their shell, and name each job in lines above it
    ///
    /// For lines that would become too long, and for mail that is sorted by its subject. jobmon-sh is jobmon by another name
    /// and has to be beside it.
    #[arg(long, conflicts_with = "fallback")]
    pub keep_lines: bool,

    /// Where backups are kept.
    #[command(flatten)]
    pub state: StateArgs,
}

/// Remove jobmon from the lines that "jobmon cron wrap" wrapped
///
/// The lines become what they were, byte for byte. Exit code: 0; 1 if a crontab could not be read or changed, or with
/// --check if a wrapped line is left; 125 for bad usage.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(after_help = "Example: jobmon cron unwrap --all --apply")]
pub struct UnwrapArgs {
    /// Which crontabs.
    #[command(flatten)]
    pub crontabs: CrontabArgs,

    /// Which jobs.
    #[command(flatten)]
    pub jobs: JobArgs,

    /// Remove the drop-in of this service of systemd instead; repeatable
    #[arg(long, value_name = "UNIT", conflicts_with_all = ["paths", "user", "all", "check"])]
    pub systemd: Vec<String>,

    /// Make the changes
    #[arg(long, conflicts_with = "check")]
    pub apply: bool,

    /// Print the crontabs that have wrapped lines, and exit with 1 if there are any
    #[arg(long)]
    pub check: bool,

    /// Where backups are kept.
    #[command(flatten)]
    pub state: StateArgs,
}

/// Put back what crontabs were before jobmon changed them
///
/// Puts back the newest backup of each crontab. Edits made since then are lost: the changes that are printed show them. Exit
/// code: 0; 1
/// if there is no backup, or a crontab could not be read or changed; 125 for bad usage.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(after_help = "Example: jobmon cron restore /etc/cron.d/backup --apply")]
pub struct RestoreArgs {
    /// Crontab files [default: every crontab that was changed]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Crontab of this user, repeatable
    #[arg(long, value_name = "USER")]
    pub user: Vec<String>,

    /// Make the changes
    #[arg(long)]
    pub apply: bool,

    /// Where backups are kept.
    #[command(flatten)]
    pub state: StateArgs,
}
