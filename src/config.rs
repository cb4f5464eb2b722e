//! What is configured: from flags, variables and files to one typed [`Config`] that knows where each value came from.
//!
//! Layers, from the weakest to the strongest:
//!
//! 1. built-in defaults, and what a CI system says of its job where that is wanted
//! 2. `/etc/jobmon/config.toml`, then `$XDG_CONFIG_HOME/jobmon/config.toml` (else `~/.config/jobmon/config.toml`), then
//!    the file of `--config`: what stands at their top level
//! 3. the section `[jobs.NAME]` of the same files, in the same order: the particular beats the general, also where the
//!    general is written in a stronger file
//! 4. systemd credentials, for secrets
//! 5. `JOBMON_*` variables
//! 6. flags
//!
//! A stronger value replaces a weaker one; lists (gateways, headers) are replaced as a whole, and labels are combined
//! name by name.
//!
//! An empty value counts as not given: it is what an unset variable of a script leaves.
//!
//! What is wrong is a [`Warning`] and the next weaker value counts: a job never fails to start because of its
//! surroundings. Only on the command line is it bad usage ([`UsageError`]), before anything runs: for a job, what restrains
//! the job itself ([`Setting::restrains_the_job`]); for any other command, everything ([`Purpose`]). The merge is pure
//! ([`resolve()`]); [`load()`] is the edge that reads files, environment and host name.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

mod file;
mod gateway;
mod layer;
mod load;
mod parse;
mod remote_write;
mod resolve;
mod secret;
pub mod setting;
mod show;
mod signal;

pub use gateway::Gateway;
pub use layer::{Entry, Layers, Origin, Raw};
pub use load::{load, naming_word};
pub use remote_write::RemoteWrite;
pub use resolve::{Facts, resolve};
pub use secret::{Header, MASK, ReadHeaders, ReadSecret, Secret, SecretSource};
pub use setting::{OTHER_VARIABLES, Setting, near_miss, secret_variables};
pub use show::{Shown, show};
pub use signal::{by_name as signal_number, name as signal_name};

use crate::exit_code::ResultCodes;
use crate::expectation::Amounts;
use crate::grouping::GroupingKey;
use crate::text::Warning;
use crate::text::without_controls;

/// What a configuration is for: it decides what becomes of a value on the command line that means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A job, which runs whatever its monitoring was told: bad usage is only what restrains the job.
    Job,
    /// A command that acts on gateways or the registry, perhaps on the wrong ones: everything is bad usage, and a
    /// configuration file that was named has to be usable.
    Command,
}

/// Everything that is configured, with defaults filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// The labels of the group. Without `script_name` where neither a name nor a command was given.
    pub grouping_key: GroupingKey,
    /// Whether the job belongs to this host or to a service.
    pub scope: Scope,
    /// Whether the CI system, if there is one, is asked for name, labels and URL.
    pub ci: bool,
    /// Where a person can look at this run, if a CI system says so.
    pub run_url: Option<String>,
    /// The gateways in the order given, none twice.
    pub gateways: Vec<Gateway>,
    /// Which of them get a group.
    pub spread: Spread,
    /// How gateways are spoken to.
    pub connection: Connection,
    /// The databases that take remote write, none twice.
    pub remote_write: Vec<RemoteWrite>,
    /// Longest time that gateways may take after a job.
    pub push_timeout: Duration,
    /// What is reported where, besides gateways.
    pub report: Report,
    /// What is expected of the job.
    pub expectations: Expectations,
    /// LimitSettings of the run.
    pub limits: LimitSettings,
    /// What the exit codes of the job mean.
    pub result_codes: ResultCodes,
    /// What happens to the job's output.
    pub output: OutputSettings,
    /// What is kept on this host.
    pub storage: Storage,
    /// The file that `--config` or `JOBMON_CONFIG` name.
    pub file: Option<PathBuf>,
    /// 0: warnings and errors, 1: also what happens, 2: everything.
    pub verbosity: u8,
    /// Environment variables that are kept from the job, because they hold or may hold a secret.
    pub secret_variables: Vec<&'static str>,
    /// What was wrong outside the command line; each is to be said once.
    pub warnings: Vec<Warning>,
    origins: BTreeMap<Setting, Origin>,
    label_origins: BTreeMap<String, Origin>,
}

impl Config {
    /// Where the value of `setting` comes from. Of labels: where the strongest was written.
    pub fn origin(&self, setting: Setting) -> &Origin {
        self.origins.get(&setting).unwrap_or(&Origin::Default)
    }

    /// Where the value of the label `name` comes from.
    pub fn label_origin(&self, name: &str) -> &Origin {
        self.label_origins.get(name).unwrap_or(&Origin::Default)
    }
}

/// Whether a job belongs to a host or to a service; a service's group has no label `instance`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// To this host.
    #[default]
    Host,
    /// To a service, whichever host runs it.
    Service,
}

/// How groups are spread over several gateways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spread {
    /// Rendezvous hashing of the grouping key: every host computes the same home for the same key, and adding or
    /// removing one of N gateways moves about one group in N.
    #[default]
    Hash,
    /// Every gateway gets every group.
    All,
    /// A gateway drawn anew for each run.
    Random,
    /// The first that answers, in the order given.
    First,
}

impl Spread {
    /// Every spread, in the order in which help lists them.
    pub const ALL: [Self; 4] = [Self::Hash, Self::All, Self::Random, Self::First];

    /// The name on the command line and in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::All => "all",
            Self::Random => "random",
            Self::First => "first",
        }
    }

    /// The spread of that name, the inverse of [`as_str`](Self::as_str).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|spread| spread.as_str() == name)
    }
}

/// How gateways are spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// For gateways without credentials of their own, and preferred to those.
    pub auth: Option<Auth>,
    /// Headers to send with every request.
    pub headers: Vec<Header>,
    /// PEM file with certificates to trust besides the system's; an absolute path, like the others.
    pub ca_file: Option<PathBuf>,
    /// PEM file with the certificate to show.
    pub client_cert: Option<PathBuf>,
    /// PEM file with its private key; where there is none, it is in the file of the certificate.
    pub client_key: Option<PathBuf>,
    /// Accept any certificate.
    pub insecure: bool,
}

/// How jobmon says who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// User name and password (RFC 7617).
    Basic {
        /// The user name.
        user: String,
        /// The password; empty where none is configured.
        password: SecretSource,
    },
    /// A token (RFC 6750).
    Bearer(SecretSource),
}

/// What is reported, besides the end of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Send nothing.
    pub no_push: bool,
    /// Directory for node_exporter's textfile collector.
    pub textfile_dir: Option<PathBuf>,
    /// Delivery of a result is tried again and again while there is time for it, instead of being left to later.
    pub push_retry: bool,
    /// Delete the group after a success.
    pub ephemeral: bool,
    /// Give the job a file for metrics of its own.
    pub job_metrics: bool,
}

/// What is expected of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectations {
    /// What is an amount.
    pub amounts: Amounts,
    /// When it is due, as in a crontab; not yet understood ([`crate::declaration::schedule`]).
    pub schedule: Option<String>,
    /// Time zone of the schedule by its name; not yet understood.
    pub timezone: Option<String>,
}

/// LimitSettings of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// After this time the job is ended.
    pub timeout: Option<Duration>,
    /// Number of the signal that does it first.
    pub signal: i32,
    /// KILL is sent this long after that; never, where there is none.
    pub kill_after: Option<Duration>,
    /// The lock that a run must get.
    pub lock: Option<Lock>,
    /// How long to wait for it; zero: not at all.
    pub lock_wait: Duration,
    /// Exit code of a run that did not get it.
    pub lock_exit_code: u8,
    /// How often a failed command is run again.
    pub retries: u32,
    /// Wait before the first of these.
    pub retry_delay: Duration,
    /// Longest delay of the start.
    pub splay: Option<Duration>,
}

/// A lock that keeps runs from overlapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lock {
    /// The group's own.
    Group,
    /// One that several groups share.
    Named(String),
}

/// What happens to the output of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputSettings {
    /// Keep this many bytes of its end.
    pub tail: Option<u64>,
    /// Pass it on only if the run was not a success.
    pub quiet: bool,
}

/// What is kept on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Directory of the registry. None only where there is no home directory to put it into; that is among the
    /// warnings.
    pub state_dir: Option<PathBuf>,
    /// Runs that ended longer ago are forgotten.
    pub history_max_age: Option<Duration>,
    /// Of each group, older runs than the newest so many are forgotten.
    pub history_max_runs: Option<u64>,
}

/// Something that is wrong on the command line: one line that says what, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError(String);

impl UsageError {
    /// Bad usage; control characters cannot forge another line.
    pub fn new(text: impl Into<String>) -> Self {
        Self(without_controls(&text.into()))
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}
