//! The table of everything that can be configured, and where each setting can stand.
//!
//! Keys of configuration files, `JOBMON_*` variables, the output of `jobmon config` and the manual's section on
//! configuration all come from this one list. What is expected of a job is in it by [`Expectation`].

use crate::expectation::Expectation;

/// Something that can be configured.
#[allow(missing_docs, reason = "the table below says what each is called; the help of its flag says what it does")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Setting {
    Job,
    Name,
    Instance,
    Scope,
    Labels,
    Ci,
    Gateways,
    Spread,
    PushTimeout,
    BasicAuthUser,
    BasicAuthPassword,
    BasicAuthPasswordFile,
    BearerToken,
    BearerTokenFile,
    Headers,
    CaFile,
    ClientCert,
    ClientKey,
    Insecure,
    RemoteWrite,
    NoPush,
    TextfileDir,
    PushRetry,
    Ephemeral,
    JobMetrics,
    SuccessCodes,
    WarningCodes,
    Expected(Expectation),
    Schedule,
    Timezone,
    Timeout,
    Signal,
    KillAfter,
    Lock,
    LockWait,
    LockExitCode,
    Retries,
    RetryDelay,
    Splay,
    Tail,
    Quiet,
    StateDir,
    HistoryMaxAge,
    HistoryMaxRuns,
    Verbose,
    Config,
}

/// Where a setting may stand in a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFile {
    /// At the top level and in a section `[jobs.NAME]`.
    Anywhere,
    /// At the top level only, because it is not a matter of one job.
    TopLevel,
    /// Nowhere; the text says why.
    Never(&'static str),
}

/// How a setting is called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// The long flag, without `--`; its help says what the setting does.
    Long(&'static str),
    /// No flag; what the setting does.
    None(&'static str),
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Which setting.
    pub setting: Setting,
    /// Its key in a configuration file.
    pub key: &'static str,
    /// Another spelling of the key that is read too: the plural of a list or the other name of a flag.
    pub key_alias: Option<&'static str>,
    /// Its environment variable.
    pub variable: &'static str,
    /// Another spelling of the variable, likewise.
    pub variable_alias: Option<&'static str>,
    /// Its flag.
    pub flag: Flag,
    /// Where it may stand in a file.
    pub in_file: InFile,
}

impl Setting {
    /// Its row of the table.
    pub fn spec(self) -> &'static Spec {
        SPECS.iter().find(|spec| spec.setting == self).expect("every setting has a row")
    }

    /// Its key in a configuration file, which is also what people see it called.
    pub fn key(self) -> &'static str {
        self.spec().key
    }

    /// Whether its value may only be shown masked, and its variable is kept from the job.
    pub fn is_secret(self) -> bool {
        matches!(self, Self::BasicAuthPassword | Self::BearerToken | Self::Headers)
    }

    /// Whether it restrains the job itself; every other setting is monitoring's own, and never keeps a job from running.
    pub fn restrains_the_job(self) -> bool {
        matches!(
            self,
            Self::Timeout
                | Self::Signal
                | Self::KillAfter
                | Self::Lock
                | Self::LockWait
                | Self::LockExitCode
                | Self::Retries
                | Self::RetryDelay
                | Self::Splay
                | Self::SuccessCodes
                | Self::WarningCodes
                | Self::Tail
                | Self::Quiet
        )
    }

    /// The setting that a file calls `key`.
    pub fn by_key(key: &str) -> Option<Self> {
        let named = |spec: &&Spec| spec.key == key || spec.key_alias == Some(key);
        SPECS.iter().find(named).map(|spec| spec.setting)
    }

    /// The setting of the environment variable `name`, and whether that is the name it should have.
    pub fn by_variable(name: &str) -> Option<(Self, bool)> {
        let named = |spec: &&Spec| spec.variable == name || spec.variable_alias == Some(name);
        SPECS.iter().find(named).map(|spec| (spec.setting, spec.variable == name))
    }
}

impl Spec {
    /// The id of the flag on the command line, if there is one: the long name with `_` for `-`.
    pub fn flag_id(&self) -> Option<String> {
        match self.flag {
            Flag::Long(long) => Some(long.replace('-', "_")),
            Flag::None(_) => None,
        }
    }
}

/// Variables that jobmon reads or sets and that are no settings.
pub const OTHER_VARIABLES: [&str; 1] = ["JOBMON_METRICS_FILE"];

const fn anywhere(setting: Setting, key: &'static str, variable: &'static str) -> Spec {
    Spec {
        setting,
        key,
        key_alias: None,
        variable,
        variable_alias: None,
        flag: Flag::Long(key),
        in_file: InFile::Anywhere,
    }
}

const fn plural(spec: Spec, flag: &'static str, variable_alias: &'static str) -> Spec {
    Spec { key_alias: Some(flag), flag: Flag::Long(flag), variable_alias: Some(variable_alias), ..spec }
}

const fn without_flag(spec: Spec, about: &'static str) -> Spec {
    Spec { flag: Flag::None(about), ..spec }
}

const fn top_level(spec: Spec) -> Spec {
    Spec { in_file: InFile::TopLevel, ..spec }
}

const fn not_in_files(spec: Spec, reason: &'static str) -> Spec {
    Spec { in_file: InFile::Never(reason), ..spec }
}

const fn expected(expectation: Expectation) -> Spec {
    let spec = expectation.spec();
    let (variable, variable_alias) = spec.variable;
    Spec {
        key_alias: if spec.has_alias() { Some(spec.flag) } else { None },
        variable_alias,
        flag: Flag::Long(spec.flag),
        ..anywhere(Setting::Expected(expectation), spec.key, variable)
    }
}

/// Every setting, in the order in which they are shown.
pub static SPECS: [Spec; OTHERS.len() + Expectation::ALL.len()] = {
    let mut specs = [OTHERS[0]; OTHERS.len() + Expectation::ALL.len()];
    let (mut row, mut other) = (0, 0);
    while other < OTHERS.len() {
        if matches!(OTHERS[other].setting, Setting::Schedule) {
            let mut expectation = 0;
            while expectation < Expectation::ALL.len() {
                specs[row] = expected(Expectation::ALL[expectation]);
                (row, expectation) = (row + 1, expectation + 1);
            }
        }
        specs[row] = OTHERS[other];
        (row, other) = (row + 1, other + 1);
    }
    specs
};

/// Every setting but what is expected as an amount.
const OTHERS: [Spec; 45] = {
    use Setting as S;
    [
        anywhere(S::Job, "job", "JOBMON_JOB"),
        not_in_files(
            anywhere(S::Name, "name", "JOBMON_NAME"),
            "it selects the section [jobs.NAME]: write --name on the command line",
        ),
        anywhere(S::Instance, "instance", "JOBMON_INSTANCE"),
        anywhere(S::Scope, "scope", "JOBMON_SCOPE"),
        plural(anywhere(S::Labels, "labels", "JOBMON_LABELS"), "label", "JOBMON_LABEL"),
        top_level(anywhere(S::Ci, "ci", "JOBMON_CI")),
        plural(anywhere(S::Gateways, "gateways", "JOBMON_GATEWAY"), "gateway", "JOBMON_GATEWAYS"),
        anywhere(S::Spread, "spread", "JOBMON_SPREAD"),
        anywhere(S::PushTimeout, "push-timeout", "JOBMON_PUSH_TIMEOUT"),
        anywhere(S::BasicAuthUser, "basic-auth-user", "JOBMON_BASIC_AUTH_USER"),
        without_flag(
            anywhere(S::BasicAuthPassword, "basic-auth-password", "JOBMON_BASIC_AUTH_PASSWORD"),
            "Password for basic authentication",
        ),
        anywhere(S::BasicAuthPasswordFile, "basic-auth-password-file", "JOBMON_BASIC_AUTH_PASSWORD_FILE"),
        without_flag(anywhere(S::BearerToken, "bearer-token", "JOBMON_BEARER_TOKEN"), "Bearer token"),
        anywhere(S::BearerTokenFile, "bearer-token-file", "JOBMON_BEARER_TOKEN_FILE"),
        plural(anywhere(S::Headers, "headers", "JOBMON_HEADERS"), "header", "JOBMON_HEADER"),
        anywhere(S::CaFile, "ca-file", "JOBMON_CA_FILE"),
        anywhere(S::ClientCert, "client-cert", "JOBMON_CLIENT_CERT"),
        anywhere(S::ClientKey, "client-key", "JOBMON_CLIENT_KEY"),
        anywhere(S::Insecure, "insecure", "JOBMON_INSECURE"),
        anywhere(S::RemoteWrite, "remote-write", "JOBMON_REMOTE_WRITE"),
        anywhere(S::NoPush, "no-push", "JOBMON_NO_PUSH"),
        anywhere(S::TextfileDir, "textfile-dir", "JOBMON_TEXTFILE_DIR"),
        anywhere(S::PushRetry, "push-retry", "JOBMON_PUSH_RETRY"),
        anywhere(S::Ephemeral, "ephemeral", "JOBMON_EPHEMERAL"),
        anywhere(S::JobMetrics, "job-metrics", "JOBMON_JOB_METRICS"),
        anywhere(S::SuccessCodes, "success-codes", "JOBMON_SUCCESS_CODES"),
        anywhere(S::WarningCodes, "warning-codes", "JOBMON_WARNING_CODES"),
        anywhere(S::Schedule, "schedule", "JOBMON_SCHEDULE"),
        anywhere(S::Timezone, "timezone", "JOBMON_TIMEZONE"),
        anywhere(S::Timeout, "timeout", "JOBMON_TIMEOUT"),
        anywhere(S::Signal, "signal", "JOBMON_SIGNAL"),
        anywhere(S::KillAfter, "kill-after", "JOBMON_KILL_AFTER"),
        anywhere(S::Lock, "lock", "JOBMON_LOCK"),
        anywhere(S::LockWait, "lock-wait", "JOBMON_LOCK_WAIT"),
        anywhere(S::LockExitCode, "lock-exit-code", "JOBMON_LOCK_EXIT_CODE"),
        anywhere(S::Retries, "retries", "JOBMON_RETRIES"),
        anywhere(S::RetryDelay, "retry-delay", "JOBMON_RETRY_DELAY"),
        anywhere(S::Splay, "splay", "JOBMON_SPLAY"),
        anywhere(S::Tail, "tail", "JOBMON_TAIL"),
        anywhere(S::Quiet, "quiet", "JOBMON_QUIET"),
        top_level(anywhere(S::StateDir, "state-dir", "JOBMON_STATE_DIR")),
        without_flag(
            top_level(anywhere(S::HistoryMaxAge, "history-max-age", "JOBMON_HISTORY_MAX_AGE")),
            "How long runs are kept in the history; \"off\": for ever",
        ),
        without_flag(
            top_level(anywhere(S::HistoryMaxRuns, "history-max-runs", "JOBMON_HISTORY_MAX_RUNS")),
            "How many runs of each group are kept in the history; \"off\": all",
        ),
        top_level(anywhere(S::Verbose, "verbose", "JOBMON_VERBOSE")),
        not_in_files(
            anywhere(S::Config, "config", "JOBMON_CONFIG"),
            "a file cannot name another one: write --config on the command line",
        ),
    ]
};

/// Variables that may hold a secret whatever their value is; they are taken out of the job's environment.
pub fn secret_variables() -> impl Iterator<Item = &'static str> {
    SPECS
        .iter()
        .filter(|spec| spec.setting.is_secret())
        .flat_map(|spec| std::iter::once(spec.variable).chain(spec.variable_alias))
}

/// The one of `known` that `typed` was probably meant to be: at most two edits away, or three in a long word.
pub fn near_miss<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = typed.to_lowercase().replace('_', "-");
    let allowed = match typed.len() {
        0..=3 => 1,
        4..=9 => 2,
        _ => 3,
    };
    known
        .into_iter()
        .map(|word| (strsim::osa_distance(&folded, &word.to_lowercase().replace('_', "-")), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_found_by_its_names() {
        for spec in &SPECS {
            assert_eq!(spec.setting.key(), spec.key);
            assert_eq!(Setting::by_key(spec.key), Some(spec.setting));
            assert_eq!(Setting::by_variable(spec.variable), Some((spec.setting, true)));
        }
    }

    #[test]
    fn no_two_settings_share_a_name() {
        let keys: Vec<&str> = SPECS.iter().flat_map(|spec| std::iter::once(spec.key).chain(spec.key_alias)).collect();
        let variables: Vec<&str> =
            SPECS.iter().flat_map(|spec| std::iter::once(spec.variable).chain(spec.variable_alias)).collect();
        for names in [keys, variables] {
            let unique: std::collections::BTreeSet<&&str> = names.iter().collect();
            assert_eq!(unique.len(), names.len(), "{names:?}");
        }
    }

    #[test]
    fn a_secret_has_no_flag_that_carries_it() {
        for spec in SPECS.iter().filter(|spec| spec.setting.is_secret() && spec.setting != Setting::Headers) {
            assert!(matches!(spec.flag, Flag::None(_)), "{}", spec.key);
        }
    }

    #[test]
    fn near_misses() {
        let check = |typed: &str, expected: Option<&str>| {
            assert_eq!(near_miss(typed, SPECS.iter().map(|spec| spec.key)), expected, "{typed}");
        };
        check("gatewys", Some("gateways"));
        check("push_timeout", Some("push-timeout"));
        check("push-timout", Some("push-timeout"));
        check("tiemout", Some("timeout"));
        check("jbo", Some("job"));
        check("Timeout", Some("timeout"));
        check("colour", None);
    }
}
