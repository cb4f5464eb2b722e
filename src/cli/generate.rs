//! `jobmon generate`: files for the Prometheus side and for this host.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::run::RunArgs;
use super::settings::{GatewayArgs, StateArgs};
use super::value;

/// Print files for Prometheus, Grafana, Alertmanager, nginx and systemd
///
/// Each is printed on standard output and never holds a secret.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct GenerateArgs {
    /// What to print.
    #[command(subcommand)]
    pub what: Generate,
}

/// What can be generated.
#[derive(Subcommand, Clone, Debug)]
pub enum Generate {
    /// Alerting and recording rules for every job
    Rules(Box<RulesArgs>),
    /// A Grafana dashboard
    Dashboard(DashboardArgs),
    /// The scrape configuration for the gateways
    ScrapeConfig(Box<ScrapeConfigArgs>),
    /// Routes and receivers for Alertmanager
    Alertmanager(Box<AlertmanagerArgs>),
    /// An nginx site with TLS and basic authentication in front of a gateway
    Nginx(Box<NginxArgs>),
    /// A systemd service and timer for a job, and timers for flush and clear
    Systemd(Box<SystemdArgs>),
    /// The plain shell or Python equivalent, for machines that cannot have jobmon
    Recipe(RecipeArgs),
    /// The manual pages
    Man(ManArgs),
    /// The completion script of a shell
    Completions(CompletionsArgs),
}

/// `jobmon generate rules`
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct RulesArgs {
    /// Watch only groups whose label "job" has this value, repeatable [default: every job]
    #[arg(id = "rules_job", short = 'j', long = "job", value_name = "JOB")]
    pub jobs: Vec<String>,

    /// Address put into every alert; {alert} in it becomes the alert's name
    #[arg(long, value_name = "URL")]
    pub runbook_url: Option<String>,

    /// Keep the names ScriptFailure and ScriptLongRunning of the well-known recipe, corrected
    #[arg(long)]
    pub legacy_names: bool,

    /// Add an alert for every job that this host's registry knows, which fires while no gateway holds it
    #[arg(long)]
    pub per_job: bool,

    /// Limit for a run of a job that has no --max-duration; "off": none
    #[arg(long, value_name = "DURATION", value_parser = limit, default_value = "1h", allow_hyphen_values = true)]
    pub default_max_duration: Limit,

    /// Consecutive failures that are critical
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub consecutive_failures: u32,

    /// How long a group without limits of its own may go without a push
    #[arg(long, value_name = "DURATION", value_parser = positive, default_value = "14d", allow_hyphen_values = true)]
    pub stale_after: PositiveDuration,

    /// Let no alert wait longer than this before it fires
    ///
    /// Conditions that a slow scrape, a restart or a late push can bring about for a moment have to last from two
    /// minutes to an hour; this shortens all that wait longer. For trying the rules out.
    #[arg(long, value_name = "DURATION", value_parser = value::duration, allow_hyphen_values = true)]
    pub longest_wait: Option<Duration>,

    /// The labels of the alerts.
    #[command(flatten)]
    pub severities: SeverityArgs,

    /// Where the registry is.
    #[command(flatten)]
    pub state: StateArgs,
}

/// The values of the label "severity"; the same for rules and Alertmanager.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct SeverityArgs {
    /// Severity label of what somebody has to look at now
    #[arg(long, value_name = "LABEL", default_value = "critical")]
    pub critical_severity: String,

    /// Severity label of what somebody has to look at during the day
    #[arg(long, value_name = "LABEL", default_value = "warning")]
    pub warning_severity: String,

    /// Severity label of what is worth knowing
    #[arg(long, value_name = "LABEL", default_value = "info")]
    pub info_severity: String,
}

/// A duration, or none for "off".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit(pub Option<Duration>);

/// A duration that is longer than zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PositiveDuration(pub Duration);

fn limit(text: &str) -> Result<Limit, String> {
    if text == "off" {
        return Ok(Limit(None));
    }
    positive(text).map(|duration| Limit(Some(duration.0))).map_err(|reason| format!("{reason}, or \"off\" for none"))
}

fn positive(text: &str) -> Result<PositiveDuration, String> {
    match value::duration(text)? {
        Duration::ZERO => Err("zero".to_owned()),
        duration => Ok(PositiveDuration(duration)),
    }
}

/// `jobmon generate dashboard`
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct DashboardArgs {
    /// Title of the dashboard
    #[arg(long, value_name = "TITLE", default_value = "Jobs")]
    pub title: String,

    /// Value of the label "job" that is selected at first [default: all]
    #[arg(id = "dashboard_job", short = 'j', long = "job", value_name = "JOB")]
    pub job: Option<String>,
}

/// `jobmon generate scrape-config`
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct ScrapeConfigArgs {
    /// Time between two scrapes, and between two evaluations of the rules
    #[arg(long, value_name = "DURATION", value_parser = positive, default_value = "15s", allow_hyphen_values = true)]
    pub interval: PositiveDuration,

    /// File with rules for Prometheus to read, repeatable
    #[arg(long, value_name = "FILE")]
    pub rule_file: Vec<String>,

    /// Alertmanager that alerts are sent to, repeatable
    #[arg(long, value_name = "HOST:PORT")]
    pub alertmanager: Vec<String>,

    /// Add a block that sends the samples on to this address, repeatable
    #[arg(id = "scrape_remote_write", long = "remote-write", value_name = "URL")]
    pub remote_write: Vec<String>,

    /// Which gateways, and how they are spoken to.
    #[command(flatten)]
    pub gateways: GatewayArgs,
}

/// `jobmon generate alertmanager`
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct AlertmanagerArgs {
    /// Address that gets every alert
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/alerts")]
    pub webhook: String,

    /// Who gets a mail about what is critical
    #[arg(long, value_name = "ADDRESS", default_value = "oncall@example.com")]
    pub mail_to: String,

    /// Sender of these mails
    #[arg(long, value_name = "ADDRESS", default_value = "alertmanager@example.com")]
    pub mail_from: String,

    /// Mail server
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:25")]
    pub smarthost: String,

    /// User at the mail server
    #[arg(long, value_name = "USER", requires = "mail_password_file")]
    pub mail_user: Option<String>,

    /// File with the password of that user, on the machine of Alertmanager
    #[arg(long, value_name = "FILE", requires = "mail_user")]
    pub mail_password_file: Option<String>,

    /// How long to wait for more alerts of a kind before the first notification
    #[arg(long, value_name = "DURATION", value_parser = value::duration, default_value = "30s",
        allow_hyphen_values = true)]
    pub group_wait: Duration,

    /// How long to wait before a notification about a change
    #[arg(long, value_name = "DURATION", value_parser = positive, default_value = "5m", allow_hyphen_values = true)]
    pub group_interval: PositiveDuration,

    /// The labels of the alerts.
    #[command(flatten)]
    pub severities: SeverityArgs,
}

/// `jobmon generate nginx`
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct NginxArgs {
    /// Name of the server
    #[arg(long, value_name = "NAME", default_value = "pushgateway.example.org")]
    pub server_name: String,

    /// Where it listens
    #[arg(long, value_name = "[ADDRESS:]PORT", default_value = "443")]
    pub listen: String,

    /// Address or network that may connect, repeatable [default: this machine alone]
    #[arg(long, value_name = "CIDR")]
    pub allow: Vec<String>,

    /// The gateway behind it, spoken to without TLS
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9091")]
    pub upstream: String,

    /// File of the certificate with its chain (PEM)
    #[arg(long, value_name = "FILE", default_value = "/etc/nginx/pushgateway.crt")]
    pub certificate: String,

    /// File of the certificate's private key (PEM)
    #[arg(long, value_name = "FILE", default_value = "/etc/nginx/pushgateway.key")]
    pub certificate_key: String,

    /// File of users and password hashes, as htpasswd(1) writes it
    #[arg(long, value_name = "FILE", default_value = "/etc/nginx/pushgateway.htpasswd")]
    pub user_file: String,
}

/// `jobmon generate systemd`
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(
    override_usage = "jobmon generate systemd [OPTIONS] -- COMMAND [ARGS]...\n       \
                      jobmon generate systemd [OPTIONS] --shell STRING",
    after_help = "Example: jobmon generate systemd -n backup --on-calendar '*-*-* 02:30' -- /usr/local/bin/backup.sh /srv"
)]
pub struct SystemdArgs {
    /// The job, as for `jobmon run`: by the same rule, because its options are passed on.
    #[command(flatten)]
    pub run: RunArgs,

    /// When the timer starts the job, as in systemd.time(7) [default: as --schedule says, or daily]
    ///
    /// "off": no timer, the service always runs.
    #[arg(long, value_name = "CALENDAR")]
    pub on_calendar: Option<String>,

    /// Leave the command unwrapped: systemd starts it, and "jobmon record" when it has ended
    ///
    /// "jobmon run" sees a run while it goes on, its output, locks and retries. "jobmon record" sees only the end, with all that
    /// systemd knows of it (time limit, watchdog, memory that ran out), and nothing of jobmon is near the job.
    #[arg(long)]
    pub record: bool,

    /// User to run the job as
    #[arg(long, value_name = "USER", default_value = "root")]
    pub user: String,

    /// Path of jobmon on that machine
    #[arg(long, value_name = "PATH", default_value = "/usr/bin/jobmon")]
    pub jobmon: String,

    /// Add a timer for "jobmon clear --expired"; one host is enough
    #[arg(long)]
    pub clear: bool,
}

/// Languages of a recipe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RecipeLanguage {
    /// POSIX shell with curl.
    #[default]
    Shell,
    /// Python with its standard library.
    Python,
}

/// `jobmon generate recipe`
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct RecipeArgs {
    /// Language of the recipe
    #[arg(long, value_name = "LANGUAGE", value_enum, default_value_t)]
    pub language: RecipeLanguage,
}

/// `jobmon generate man`
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct ManArgs {
    /// Directory to write all pages into
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// `jobmon generate completions`
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: CompletionShell,
}

/// Shells that completion scripts are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CompletionShell {
    /// GNU bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
}
