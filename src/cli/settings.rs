//! The flags that are settings: each can also stand in a configuration file and in the environment.
//!
//! What is typed is kept as it was typed; [`crate::config`] gives it a meaning, so that a flag, a variable and a line
//! of a file are read by the same code. Every flag here has the id of its long name with `_` for `-`.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::expectation::{Expectation, ExpectationSpec, Heading};

/// Flags of every subcommand.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct CommonArgs {
    /// Read FILE after the system's and the user's configuration [env: JOBMON_CONFIG]
    ///
    /// Its values win over those of /etc/jobmon/config.toml and $XDG_CONFIG_HOME/jobmon/config.toml (where that
    /// variable is not set: ~/.config/jobmon/config.toml), and lose against JOBMON_* variables and flags.
    #[arg(long, value_name = "FILE", global = true, help_heading = "General")]
    pub config: Option<OsString>,

    /// Say more on standard error; twice: everything [env: JOBMON_VERBOSE]
    ///
    /// Without it, jobmon prints warnings and errors only, so that a healthy run prints nothing. The variable holds a
    /// number: 1 is -v, 2 is -vv.
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = "General")]
    pub verbose: u8,
}

/// Where the registry is.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct StateArgs {
    /// Directory of the registry [env: JOBMON_STATE_DIR]
    ///
    /// Holds the history, the state of every group and what is owed to gateways; made with mode 0700. Default:
    /// $STATE_DIRECTORY (set by systemd), for root /var/lib/jobmon, else $XDG_STATE_HOME/jobmon or
    /// ~/.local/state/jobmon.
    #[arg(long, value_name = "DIR", help_heading = "General")]
    pub state_dir: Option<OsString>,
}

/// The labels that name a group.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(next_help_heading = "Grouping key")]
pub struct GroupingArgs {
    /// Value of the label "job" [env: JOBMON_JOB] [default: script_monitor]
    #[arg(short, long, value_name = "JOB")]
    pub job: Option<OsString>,

    /// Value of the label "script_name" [env: JOBMON_NAME]
    ///
    /// Default of "jobmon run": the name of the program that does the work, without its last extension (/path/to/backup.sh
    /// becomes "backup"); a subcommand without a command has none. jobmon looks for it behind programs that start another one (env, nice, flock, timeout, sudo), behind
    /// interpreters, and in the line of "sh -c" and --shell. The name also selects the section [jobs.NAME] of the
    /// configuration files.
    #[arg(short, long, value_name = "NAME")]
    pub name: Option<OsString>,

    /// Value of the label "instance" [env: JOBMON_INSTANCE] [default: the host name]
    #[arg(long, value_name = "NAME")]
    pub instance: Option<OsString>,

    /// Whether the job belongs to this host or to a service [env: JOBMON_SCOPE] [default: host]
    ///
    /// A job of a service (a nightly billing run that any of several machines may do) has no label "instance": its
    /// group is the same wherever it runs. SCOPE is "host" or "service".
    #[arg(long, value_name = "SCOPE")]
    pub scope: Option<OsString>,

    /// Another label of the group, repeatable [env: JOBMON_LABELS]
    ///
    /// Labels of all configuration layers are combined; of one name the highest layer's value stays. Nothing that
    /// changes from run to run (a date, a process id, a commit) belongs here: every new value is a new group that stays
    /// at the gateway. Names with a meaning of their own cannot be used: job, instance, script_name, result, mode, le,
    /// quantile. The variable holds K=V pairs with commas between them.
    #[arg(short, long, value_name = "K=V")]
    pub label: Vec<OsString>,
}

/// Whether a CI system is asked what it runs.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct CiArgs {
    /// Take name, labels and URL of the run from the CI system [env: JOBMON_CI]
    ///
    /// In a job of GitHub Actions, GitLab, Jenkins, CircleCI, Buildkite, Drone, Woodpecker, Forgejo, Gitea or Azure
    /// Pipelines: the name is that of workflow and job, --scope is "service", the labels "repository" and "branch" are set,
    /// and --clear-after is 14d, because branches come and go. Each of these is overridden by an option, a variable or a
    /// file that says something else. "jobmon history" and "jobmon status" show the URL of the run; no metric has it. A tag
    /// is no branch. The jobs of a matrix have one name: tell them apart with --name or --label. Elsewhere nothing changes.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        help_heading = "Grouping key")]
    pub ci: Option<OsString>,
}

/// Which gateways there are, and how they are spoken to.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(next_help_heading = "Gateways")]
pub struct GatewayArgs {
    /// Pushgateway to report to, repeatable [env: JOBMON_GATEWAY]
    ///
    /// An address such as http://127.0.0.1:9091, with a path where a reverse proxy has one; without a scheme it is http.
    /// The variable holds several addresses with spaces or commas between them. Without any gateway, results are kept in
    /// the registry alone.
    #[arg(short, long, value_name = "URL")]
    pub gateway: Vec<OsString>,

    /// User name for basic authentication [env: JOBMON_BASIC_AUTH_USER]
    ///
    /// The password comes from a file (below), from the variable JOBMON_BASIC_AUTH_PASSWORD, from the systemd
    /// credential "jobmon-basic-auth-password", or from a configuration file, never from the command line, which every
    /// user of the machine can read.
    #[arg(long, value_name = "USER")]
    pub basic_auth_user: Option<OsString>,

    /// File with the password for basic authentication [env: JOBMON_BASIC_AUTH_PASSWORD_FILE]
    #[arg(long, value_name = "FILE")]
    pub basic_auth_password_file: Option<OsString>,

    /// File with a bearer token [env: JOBMON_BEARER_TOKEN_FILE]
    ///
    /// Or the token itself in the variable JOBMON_BEARER_TOKEN or the systemd credential "jobmon-bearer-token".
    #[arg(long, value_name = "FILE")]
    pub bearer_token_file: Option<OsString>,

    /// Header to send with every request, repeatable [env: JOBMON_HEADERS]
    ///
    /// "NAME: VALUE", such as "X-Scope-OrgID: ops", or @FILE: a file with one header in each line, for values that must
    /// not be seen in the list of processes. The variable holds one header in each line.
    #[arg(long, value_name = "HEADER")]
    pub header: Vec<OsString>,

    /// Trust the certificates in FILE besides the system's (PEM) [env: JOBMON_CA_FILE]
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<OsString>,

    /// Certificate to show to the gateway (PEM) [env: JOBMON_CLIENT_CERT]
    #[arg(long, value_name = "FILE")]
    pub client_cert: Option<OsString>,

    /// Private key of --client-cert (PEM) [env: JOBMON_CLIENT_KEY]
    #[arg(long, value_name = "FILE")]
    pub client_key: Option<OsString>,

    /// Accept any certificate of a gateway [env: JOBMON_INSECURE]
    ///
    /// Whoever sits between this machine and the gateway can then read and change everything, passwords included.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub insecure: Option<OsString>,

    /// Which of several gateways get a group [env: JOBMON_SPREAD] [default: hash]
    ///
    /// "hash": one of them, always the same for one group, chosen by the grouping key; "all": every one; "random": any
    /// one; "first": the first that answers, in the order given.
    #[arg(long, value_name = "HOW")]
    pub spread: Option<OsString>,

    /// Longest time that talking to gateways may take [env: JOBMON_PUSH_TIMEOUT] [default: 5s]
    ///
    /// After a job, this is the most that jobmon stays because of a gateway; what could not be delivered by then is
    /// delivered by a later run or by "jobmon flush".
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub push_timeout: Option<OsString>,
}

/// Flags that are rows of the table of [`Expectation`]: those that stand under one heading.
macro_rules! flags_of_the_table {
    ($(#[$about:meta])* $name:ident, $heading:path) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name;

        impl Args for $name {
            fn augment_args(command: Command) -> Command {
                let rows = Expectation::ALL.map(Expectation::spec).into_iter();
                command.args(rows.filter(|row| row.heading == $heading).map(flag))
            }

            fn augment_args_for_update(command: Command) -> Command {
                Self::augment_args(command)
            }
        }

        /// What was typed is read by [`crate::config`] alone.
        impl FromArgMatches for $name {
            fn from_arg_matches(_: &ArgMatches) -> Result<Self, clap::Error> {
                Ok(Self)
            }

            fn update_from_arg_matches(&mut self, _: &ArgMatches) -> Result<(), clap::Error> {
                Ok(())
            }
        }
    };
}

flags_of_the_table! {
    /// Amounts that a job can be expected to keep to, whoever runs it.
    AmountArgs, Heading::Expectations
}

flags_of_the_table! {
    /// Amounts that say what jobmon does as well.
    ReportingAmountArgs, Heading::Reporting
}

fn flag(row: ExpectationSpec) -> Arg {
    let about = format!("{} [env: {}]", row.about, row.variable.0);
    let details = if row.details.is_empty() { String::new() } else { format!("\n\n{}", row.details) };
    let flag = Arg::new(row.flag.replace('-', "_"))
        .long(row.flag)
        .value_name(row.range.value_name())
        .value_parser(clap::value_parser!(OsString))
        .allow_hyphen_values(true)
        .help_heading(match row.heading {
            Heading::Expectations => "Expectations",
            Heading::Reporting => "Reporting",
        })
        .help(about.clone());
    let flag = if details.is_empty() { flag } else { flag.long_help(about + &details) };
    if row.has_alias() { flag.visible_alias(row.key) } else { flag }
}

/// Databases that get the group.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(next_help_heading = "Reporting")]
pub struct RemoteWriteArgs {
    /// Database to report to with remote write, repeatable [env: JOBMON_REMOTE_WRITE]
    ///
    /// The address that samples are sent to: http://HOST:9090/api/v1/write of Prometheus (started with
    /// --web.enable-remote-write-receiver), /api/v1/write of VictoriaMetrics, /api/v1/push of Mimir, /api/v1/receive of
    /// Thanos. Beside gateways or instead of them. Credentials, headers and certificates stand in a section
    /// [[remote-write]] of a configuration file; those of gateways are not sent there. The variable holds several addresses
    /// with spaces or commas between them.
    #[arg(long, value_name = "URL")]
    pub remote_write: Vec<OsString>,
}

/// What is reported where.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(next_help_heading = "Reporting")]
pub struct ReportArgs {
    /// Keep the result in the registry and send nothing [env: JOBMON_NO_PUSH]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub no_push: Option<OsString>,

    /// Write the group to a file for node_exporter's textfile collector [env: JOBMON_TEXTFILE_DIR]
    ///
    /// One file for each group, replaced at once; together with gateways or instead of them. It has no labels job and
    /// instance, which the scrape adds, so groups on one host have to differ in another.
    #[arg(long, value_name = "DIR")]
    pub textfile_dir: Option<OsString>,

    /// What is expected as much as done.
    #[command(flatten)]
    pub expected: ReportingAmountArgs,

    /// Keep trying to deliver the result until --push-timeout is over [env: JOBMON_PUSH_RETRY]
    ///
    /// For containers that end with the job: a proxy or a gateway that comes up late still gets the result. Elsewhere what
    /// could not be delivered at once is delivered later anyway.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub push_retry: Option<OsString>,

    /// Delete the group when the run has succeeded, keep it when it has not [env: JOBMON_EPHEMERAL]
    ///
    /// For jobs that never run again under this name, such as those of a CI pipeline. What an earlier run left is
    /// deleted too, at every gateway that is named and in the directory of textfiles. A group whose run ended with a warning
    /// (--warning-codes) is kept, because somebody should look.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub ephemeral: Option<OsString>,

    /// Give the job a file for metrics of its own [env: JOBMON_JOB_METRICS]
    ///
    /// The job finds the file's name in $JOBMON_METRICS_FILE and may append lines in the exposition format to it; they
    /// are sent together with the run's own metrics. Without this, the job's environment is left as it is.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub job_metrics: Option<OsString>,
}

/// What is expected of a job; exported, so that the shipped alerting rules know each job's own limits.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(next_help_heading = "Expectations")]
pub struct ExpectationArgs {
    /// What is an amount.
    #[command(flatten)]
    pub amounts: AmountArgs,

    /// When the job is due, as in a crontab [env: JOBMON_SCHEDULE]
    ///
    /// Five fields ("30 2 * * *") or @hourly, @daily, @weekly, @monthly, @yearly. Exported as the time of the next run.
    #[arg(long, value_name = "CRON", allow_hyphen_values = true)]
    pub schedule: Option<OsString>,

    /// Time zone of --schedule, such as Europe/Berlin [env: JOBMON_TIMEZONE] [default: the host's]
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<OsString>,
}

/// Limits of a run.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// End the job and everything it started after this time [env: JOBMON_TIMEOUT]
    ///
    /// Time in which the machine is suspended counts; a changed clock does not. The run's result is "timeout" and
    /// jobmon exits with 124.
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, help_heading = "Time limits")]
    pub timeout: Option<OsString>,

    /// Signal that --timeout sends first [env: JOBMON_SIGNAL] [default: TERM]
    ///
    /// A name with or without SIG, RTMIN+N, RTMAX-N, or a number.
    #[arg(long, value_name = "SIGNAL", allow_hyphen_values = true, help_heading = "Time limits")]
    pub signal: Option<OsString>,

    /// Send KILL when the job still lives this long after that [env: JOBMON_KILL_AFTER] [default: 10s]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, help_heading = "Time limits")]
    pub kill_after: Option<OsString>,

    /// Do not start while another run holds the lock [env: JOBMON_LOCK]
    ///
    /// KEY defaults to the group: two runs of one group never overlap. A run that did not start because of it counts as
    /// "skipped". The lock ends with jobmon, whatever ends it, and a daemon that the job leaves behind does not hold
    /// it.
    #[arg(long, value_name = "KEY", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        help_heading = "Overlap and repetition")]
    pub lock: Option<OsString>,

    /// Wait this long for the lock before the run is skipped [env: JOBMON_LOCK_WAIT]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, help_heading = "Overlap and repetition")]
    pub lock_wait: Option<OsString>,

    /// Exit code of a skipped run [env: JOBMON_LOCK_EXIT_CODE] [default: 0]
    #[arg(long, value_name = "CODE", allow_hyphen_values = true, help_heading = "Overlap and repetition")]
    pub lock_exit_code: Option<OsString>,

    /// Run the command up to N times more when it fails [env: JOBMON_RETRIES] [default: 0]
    ///
    /// All attempts are one run; the history has each of them.
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Overlap and repetition")]
    pub retries: Option<OsString>,

    /// Wait between attempts; doubles each time, up to an hour [env: JOBMON_RETRY_DELAY] [default: 10s]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, help_heading = "Overlap and repetition")]
    pub retry_delay: Option<OsString>,

    /// Delay the start by a part of this time [env: JOBMON_SPLAY]
    ///
    /// Always the same part for one host and name, so that a thousand hosts do not start at the same second.
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, help_heading = "Overlap and repetition")]
    pub splay: Option<OsString>,

    /// What its exit codes mean.
    #[command(flatten)]
    pub codes: CodeArgs,
}

/// What the exit codes of a job mean.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct CodeArgs {
    /// Exit codes that count as success [env: JOBMON_SUCCESS_CODES] [default: 0]
    ///
    /// Only in the metrics and for --retries and --quiet: jobmon's own exit status stays what the job said.
    #[arg(long, value_name = "CODES", allow_hyphen_values = true, help_heading = "Reporting")]
    pub success_codes: Option<OsString>,

    /// Exit codes that count as a warning [env: JOBMON_WARNING_CODES]
    ///
    /// The work is done, and somebody should look: such as 1 of borg or 24 of rsync. The run counts as successful, with the
    /// result "warning". It is not retried, and --quiet passes its output on. A code that is in --success-codes too is a
    /// warning. jobmon's own exit status stays what the job said. "off": none.
    #[arg(long, value_name = "CODES", allow_hyphen_values = true, help_heading = "Reporting")]
    pub warning_codes: Option<OsString>,
}

/// What happens to the output of a job.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Keep the last BYTES of the output in the history [env: JOBMON_TAIL]
    ///
    /// Such as 4096, 64K or 1M; shown by "jobmon logs NAME" and "jobmon history --output". Standard output and standard
    /// error together, in the order in which they were written if they are one pipe or one file. A file is read when
    /// the job has ended; for anything else the job writes to a pipe, and a process beside jobmon hands on what comes
    /// out of it. The output of a terminal is not kept.
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub tail: Option<OsString>,

    /// Pass the output on only if the run was not a success [env: JOBMON_QUIET]
    ///
    /// After a warning (--warning-codes) it is passed on. Until the end it is held back in a file without a name in the state directory, else in $TMPDIR. It is passed on as
    /// well if there is no room for it, or if jobmon is killed.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub quiet: Option<OsString>,
}

/// Every setting that has a flag; what `jobmon run` and `jobmon config` take.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct RunSettings {
    /// The labels that name the group.
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
    /// What is reported where.
    #[command(flatten)]
    pub report: ReportArgs,
    /// What is expected of the job.
    #[command(flatten)]
    pub expectations: ExpectationArgs,
    /// Limits of the run.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// What happens to the output.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Where the registry is.
    #[command(flatten)]
    pub state: StateArgs,
}
