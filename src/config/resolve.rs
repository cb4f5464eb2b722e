//! The merge: layers and facts in, one [`Config`] out. Pure.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use super::layer::{Entry, Layers, Origin, Raw};
use super::parse::{self, Label, Reason};
use super::setting::{Setting, secret_variables};
use super::{
    Auth, Config, Connection, Expectations, Gateway, Header, LimitSettings, Lock, MASK, OutputSettings, Purpose,
    RemoteWrite, Report, Scope, Secret, SecretSource, Storage, UsageError, signal,
};
use crate::exit_code::ResultCodes;
use crate::expectation::{Amounts, Expectation};
use crate::grouping::{GroupingKey, LabelName, LabelValue};
use crate::naming;
use crate::text::Warning;

const DEFAULT_JOB: &str = "script_monitor";
const DEFAULT_PUSH_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_KILL_AFTER: Duration = Duration::from_secs(10);
const DEFAULT_RETRY_DELAY: Duration = Duration::from_secs(10);
const DEFAULT_HISTORY_MAX_AGE: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const DEFAULT_HISTORY_MAX_RUNS: u64 = 10_000;
const MOST_RETRIES: u64 = 1000;

/// What a table `[[remote-write]]` says besides its address: how gateways are spoken to.
const OF_A_RECEIVER: [Setting; 10] = [
    Setting::BasicAuthUser,
    Setting::BasicAuthPassword,
    Setting::BasicAuthPasswordFile,
    Setting::BearerToken,
    Setting::BearerTokenFile,
    Setting::Headers,
    Setting::CaFile,
    Setting::ClientCert,
    Setting::ClientKey,
    Setting::Insecure,
];

/// What the machine says; everything that configuration depends on besides what was written.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// `gethostname(2)`.
    pub host_name: OsString,
    /// The word that names the command, if there is a command; see [`naming`].
    pub command: Option<OsString>,
    /// The URL of this run, if a CI system is asked and knows one.
    pub run_url: Option<String>,
    /// The home directory.
    pub home: Option<PathBuf>,
    /// Whether this is root.
    pub is_root: bool,
    /// `$STATE_DIRECTORY`, as systemd sets it.
    pub state_directory: Option<OsString>,
    /// `$XDG_STATE_HOME`.
    pub xdg_state_home: Option<OsString>,
    /// The current directory; none if it has been deleted.
    pub working_directory: Option<PathBuf>,
}

/// Merges `layers`; `warnings` are those that arose while they were read.
///
/// # Errors
///
/// A value on the command line means nothing, and `purpose` makes that bad usage.
pub fn resolve(layers: &Layers, facts: &Facts, purpose: Purpose, warnings: Vec<Warning>) -> Result<Config, UsageError> {
    let (origins, label_origins) = (BTreeMap::new(), BTreeMap::new());
    let mut merge = Merge { layers, facts, purpose, warnings, origins, label_origins };
    let scope = merge.value(Setting::Scope, parse::scope)?.unwrap_or_default();
    let grouping_key = merge.grouping_key(scope)?;
    let gateways = merge.gateways()?;
    let spread = merge.value(Setting::Spread, parse::spread)?.unwrap_or_default();
    let connection = merge.connection()?;
    let remote_write = merge.remote_write()?;
    let push_timeout = merge.value(Setting::PushTimeout, parse::duration)?.unwrap_or(DEFAULT_PUSH_TIMEOUT);
    let report = merge.report()?;
    let expectations = merge.expectations()?;
    let limits = merge.limits()?;
    let result_codes = ResultCodes {
        success: merge.value(Setting::SuccessCodes, parse::exit_codes)?.unwrap_or_else(|| vec![0]),
        warning: merge.value(Setting::WarningCodes, parse::optional_exit_codes)?.unwrap_or_default(),
    };
    let output = OutputSettings {
        tail: merge.value(Setting::Tail, parse::bytes)?.flatten(),
        quiet: merge.value(Setting::Quiet, parse::truth)?.unwrap_or_default(),
    };
    let storage = merge.storage()?;
    let verbosity = merge.value(Setting::Verbose, |raw| parse::count(raw, 255))?.unwrap_or_default();
    let file = merge.path(Setting::Config)?;
    let secret_variables = merge.secret_variables();
    Ok(Config {
        grouping_key,
        scope,
        ci: merge.value(Setting::Ci, parse::truth)?.unwrap_or_default(),
        run_url: facts.run_url.clone(),
        gateways,
        spread,
        connection,
        remote_write,
        push_timeout,
        report,
        expectations,
        limits,
        result_codes,
        output,
        storage,
        file,
        verbosity: u8::try_from(verbosity).unwrap_or(u8::MAX),
        secret_variables,
        warnings: merge.warnings,
        origins: merge.origins,
        label_origins: merge.label_origins,
    })
}

/// The name of the job: what `--name` or `JOBMON_NAME` say, else what the command is called. It is known before the
/// configuration files are read, because it selects a section of them.
///
/// # Errors
///
/// `--name` is not valid UTF-8, and `purpose` makes that bad usage.
pub(super) fn job_name(
    layers: &Layers,
    facts: &Facts,
    purpose: Purpose,
    warnings: &mut Vec<Warning>,
) -> Result<Option<(LabelValue, Origin)>, UsageError> {
    for entry in layers.of(Setting::Name) {
        match parse::label_value(&entry.raw) {
            Ok(name) => return Ok(Some((name, entry.origin.clone()))),
            Err(reason) => warnings.push(refuse(entry, &reason, purpose)?),
        }
    }
    let Some(command) = &facts.command else { return Ok(None) };
    let name = converted(naming::stem(command), "script_name", "the command's file name", warnings);
    // Only an empty word has no name; it is not found either, and that has to be counted somewhere.
    let name = LabelValue::new(name).or_else(|_| LabelValue::new("unnamed")).ok();
    Ok(name.map(|name| (name, Origin::Derived("command"))))
}

/// A warning about `entry`, or bad usage.
fn refuse(entry: &Entry, reason: &str, purpose: Purpose) -> Result<Warning, UsageError> {
    let value = entry.raw.quoted(entry.setting);
    complain(
        entry.setting,
        &entry.origin,
        format!("{}: {reason}", entry.origin.with_value(entry.setting, &value)),
        purpose,
    )
}

/// What is wrong with the value of `setting` from `origin`: a warning, or bad usage.
fn complain(setting: Setting, origin: &Origin, what: String, purpose: Purpose) -> Result<Warning, UsageError> {
    if origin.is_flag() && (purpose == Purpose::Command || setting.restrains_the_job()) {
        return Err(UsageError::new(what));
    }
    Ok(Warning::new(format!("{what}; ignored")))
}

/// Text of the machine's that becomes a label: made valid UTF-8, and said if that changed it.
fn converted(text: &OsStr, label: &str, what: &str, warnings: &mut Vec<Warning>) -> String {
    let converted = text.to_string_lossy();
    if text.to_str().is_none() {
        warnings.push(Warning::new(format!("{what} is not valid UTF-8: the label {label} is {converted:?}")));
    }
    converted.into_owned()
}

struct Merge<'a> {
    layers: &'a Layers,
    facts: &'a Facts,
    purpose: Purpose,
    warnings: Vec<Warning>,
    origins: BTreeMap<Setting, Origin>,
    label_origins: BTreeMap<String, Origin>,
}

impl Merge<'_> {
    /// The strongest value of `setting` that means something.
    fn value<T>(
        &mut self,
        setting: Setting,
        parse: impl Fn(&Raw) -> Result<T, Reason>,
    ) -> Result<Option<T>, UsageError> {
        let layers = self.layers;
        for entry in layers.of(setting) {
            match parse(&entry.raw) {
                Ok(value) => {
                    self.origins.insert(setting, entry.origin.clone());
                    return Ok(Some(value));
                }
                Err(reason) => self.refuse(entry, &reason)?,
            }
        }
        Ok(None)
    }

    fn complain(&mut self, setting: Setting, origin: &Origin, what: String) -> Result<(), UsageError> {
        self.warnings.push(complain(setting, origin, what, self.purpose)?);
        Ok(())
    }

    fn refuse(&mut self, entry: &Entry, reason: &str) -> Result<(), UsageError> {
        self.warnings.push(refuse(entry, reason, self.purpose)?);
        Ok(())
    }

    fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(Warning::new(text));
    }

    /// Where the value of `setting` comes from.
    fn origin(&self, setting: Setting) -> Origin {
        self.origins.get(&setting).cloned().unwrap_or(Origin::Default)
    }

    /// How strong the value of `setting` is.
    fn rank(&self, setting: Setting) -> u8 {
        self.origins.get(&setting).map_or(0, Origin::rank)
    }

    fn grouping_key(&mut self, scope: Scope) -> Result<GroupingKey, UsageError> {
        let job = match self.value(Setting::Job, parse::label_value)? {
            Some(job) => job,
            None => LabelValue::new(DEFAULT_JOB).expect("the default is not empty"),
        };
        let mut labels = self.labels()?;
        if let Some((name, origin)) = job_name(self.layers, self.facts, self.purpose, &mut self.warnings)? {
            labels.insert(label_name("script_name"), name);
            self.origins.insert(Setting::Name, origin);
        }
        if let Some(instance) = self.instance(scope)? {
            labels.insert(label_name("instance"), instance);
        }
        Ok(GroupingKey::new(job, labels))
    }

    fn instance(&mut self, scope: Scope) -> Result<Option<LabelValue>, UsageError> {
        let instance = self.value(Setting::Instance, parse::label_value)?;
        if scope == Scope::Service {
            if [Setting::Scope, Setting::Instance].into_iter().all(|setting| self.origin(setting).is_flag()) {
                let what = "--instance cannot be used together with --scope service: leave one out".to_owned();
                let origin = self.origin(Setting::Instance);
                self.complain(Setting::Instance, &origin, what)?;
            }
            let origin = self.origin(Setting::Scope);
            self.origins.insert(Setting::Instance, origin);
            return Ok(None);
        }
        if instance.is_some() {
            return Ok(instance);
        }
        let name = converted(&self.facts.host_name, "instance", "the host name", &mut self.warnings);
        let instance = LabelValue::new(name).ok();
        self.origins.insert(Setting::Instance, Origin::Derived("host name"));
        if instance.is_none() {
            self.warn("this host has no name: the label instance is left out; set it with --instance");
        }
        Ok(instance)
    }

    /// Labels of all layers, name by name.
    fn labels(&mut self) -> Result<BTreeMap<LabelName, LabelValue>, UsageError> {
        let mut labels = BTreeMap::new();
        let layers = self.layers;
        for entry in layers.of(Setting::Labels) {
            // Each label by itself, so that a message names the one that is wrong and its line.
            for (entry, pair) in single_labels(entry) {
                match pair {
                    Ok((name, value)) => {
                        self.origins.entry(Setting::Labels).or_insert_with(|| entry.origin.clone());
                        self.label_origins.entry(name.as_str().to_owned()).or_insert_with(|| entry.origin.clone());
                        labels.entry(name).or_insert(value);
                    }
                    Err(reason) => self.refuse(&entry, &reason)?,
                }
            }
        }
        Ok(labels)
    }

    /// The strongest layer's gateways; one that is no address is left out, and the others still count.
    fn gateways(&mut self) -> Result<Vec<Gateway>, UsageError> {
        let mut gateways: Vec<Gateway> = Vec::new();
        let layers = self.layers;
        let Some(entry) = layers.of(Setting::Gateways).next() else { return Ok(gateways) };
        self.origins.insert(Setting::Gateways, entry.origin.clone());
        let texts = match parse::list(&entry.raw) {
            Ok(texts) => texts,
            Err(reason) => {
                self.refuse(entry, &reason)?;
                return Ok(gateways);
            }
        };
        // What a separator in a variable cut off may be a part of the password that ends with an @ behind it.
        let last_at = texts.iter().rposition(|text| text.as_bytes().contains(&b'@')).unwrap_or_default();
        let in_doubt = if matches!(entry.origin, Origin::Variable(_)) { last_at } else { 0 };
        for (index, text) in texts.into_iter().enumerate() {
            let gateway = text.to_str().ok_or_else(|| "not valid UTF-8".to_owned()).and_then(Gateway::parse);
            match gateway {
                Ok(gateway) if gateways.iter().any(|other| other.url() == gateway.url()) => {}
                Ok(gateway) => gateways.push(gateway),
                Err(_) if index < in_doubt => {
                    let entry = Entry { raw: Raw::Text(MASK.into()), ..entry.clone() };
                    self.refuse(&entry, "not an address of a gateway")?;
                }
                Err(reason) => {
                    let entry = Entry { raw: Raw::Text(text), ..entry.clone() };
                    self.refuse(&entry, &reason)?;
                }
            }
        }
        Ok(gateways)
    }

    /// The strongest layer's receivers of remote write; each with what the strongest table of its URL says, wherever that
    /// stands: a flag names an address and no credentials.
    fn remote_write(&mut self) -> Result<Vec<RemoteWrite>, UsageError> {
        let mut receivers: Vec<RemoteWrite> = Vec::new();
        let layers = self.layers;
        let Some(entry) = layers.of(Setting::RemoteWrite).next() else { return Ok(receivers) };
        self.origins.insert(Setting::RemoteWrite, entry.origin.clone());
        let mut tables = Vec::new();
        for entry in layers.of(Setting::RemoteWrite) {
            if let Raw::Tables(written) = &entry.raw {
                for table in written {
                    tables.extend(self.receiver(table, &entry.origin)?);
                }
            }
        }
        let texts = match &entry.raw {
            Raw::Tables(written) => {
                // Warnings about these were given above.
                let urls = written.iter().filter_map(|table| table.iter().find(|(key, ..)| key == "url"));
                urls.filter_map(|(_, raw, _)| parse::list(raw).ok()).flatten().collect()
            }
            raw => match parse::list(raw) {
                Ok(texts) => texts,
                Err(reason) => {
                    self.refuse(entry, &reason)?;
                    return Ok(receivers);
                }
            },
        };
        let is_table = matches!(entry.raw, Raw::Tables(_));
        for text in texts {
            let read = text.to_str().ok_or_else(|| "not valid UTF-8".to_owned()).and_then(RemoteWrite::parse);
            match read {
                Ok(read) if receivers.iter().any(|other| other.address.url() == read.address.url()) => {}
                Ok(read) => {
                    let written = tables.iter().find(|table| table.address.url() == read.address.url());
                    receivers.push(written.cloned().unwrap_or(read));
                }
                Err(_) if is_table => {}
                Err(reason) => {
                    let entry = Entry { raw: Raw::Text(text), ..entry.clone() };
                    self.refuse(&entry, &reason)?;
                }
            }
        }
        Ok(receivers)
    }

    /// One table `[[remote-write]]`: an address, and settings called as those of gateways are.
    fn receiver(&mut self, table: &[(String, Raw, usize)], origin: &Origin) -> Result<Option<RemoteWrite>, UsageError> {
        let (mut url, mut query, mut layers) = (None, None, Layers::default());
        for (key, raw, line) in table {
            let origin = match origin {
                Origin::File { path, job, .. } => Origin::File { path: path.clone(), line: *line, job: job.clone() },
                other => other.clone(),
            };
            let setting = Setting::by_key(key).filter(|setting| OF_A_RECEIVER.contains(setting));
            match (key.as_str(), setting) {
                ("url", _) => url = Some((raw, origin)),
                ("query-url", _) => query = Some((raw, origin)),
                (_, Some(setting)) => layers.add([Entry { setting, raw: raw.clone(), origin }]),
                (_, None) => self.warn(format!("{origin}: [[remote-write]] has no setting {key:?}; ignored")),
            }
        }
        let read = |(raw, origin): (&Raw, Origin), parse: fn(&str) -> Result<RemoteWrite, Reason>| {
            let text = parse::text(raw).and_then(|text| parse(&text));
            text.map_err(|reason| {
                let shown = raw.quoted(Setting::RemoteWrite);
                Warning::new(format!("{origin}: [[remote-write]] {shown}: {reason}; ignored"))
            })
        };
        let as_query = |text: &str| {
            let address = Gateway::parse(text)?;
            Ok(RemoteWrite { address, connection: Connection::default(), query: None })
        };
        let Some(url) = url else {
            self.warn(format!("{origin}: [[remote-write]] without url; ignored"));
            return Ok(None);
        };
        let mut receiver = match read(url, RemoteWrite::parse) {
            Ok(receiver) => receiver,
            Err(warning) => {
                self.warnings.push(warning);
                return Ok(None);
            }
        };
        match query.map(|query| read(query, as_query)) {
            None => {}
            Some(Ok(query)) => receiver.query = Some(query.address),
            Some(Err(warning)) => self.warnings.push(warning),
        }
        let mut merge = Merge {
            layers: &layers,
            facts: self.facts,
            purpose: self.purpose,
            warnings: Vec::new(),
            origins: BTreeMap::new(),
            label_origins: BTreeMap::new(),
        };
        receiver.connection = merge.connection()?;
        self.warnings.extend(merge.warnings);
        Ok(Some(receiver))
    }

    fn connection(&mut self) -> Result<Connection, UsageError> {
        let connection = Connection {
            auth: self.auth()?,
            headers: self.headers()?,
            ca_file: self.path(Setting::CaFile)?,
            client_cert: self.path(Setting::ClientCert)?,
            client_key: self.path(Setting::ClientKey)?,
            insecure: self.value(Setting::Insecure, parse::truth)?.unwrap_or_default(),
        };
        if connection.client_key.is_some() && connection.client_cert.is_none() {
            self.warn("client-key is set without client-cert: no certificate is shown");
        }
        Ok(connection)
    }

    fn auth(&mut self) -> Result<Option<Auth>, UsageError> {
        let user = self.value(Setting::BasicAuthUser, parse::text)?;
        let password = self.secret(Setting::BasicAuthPassword, Setting::BasicAuthPasswordFile)?;
        let token = self.secret(Setting::BearerToken, Setting::BearerTokenFile)?;
        let basic = match (user, password) {
            (Some(user), Some(password)) => Some(Auth::Basic { user, password }),
            (Some(user), None) => {
                self.warn("basic-auth-user is set without a password: an empty one is sent");
                Some(Auth::Basic { user, password: SecretSource::Value(Secret::new("")) })
            }
            (None, Some(_)) => {
                self.warn("a password for basic authentication is configured without basic-auth-user: not used");
                None
            }
            (None, None) => None,
        };
        let Some(token) = token else { return Ok(basic) };
        if basic.is_none() {
            return Ok(Some(Auth::Bearer(token)));
        }
        let basic_rank = self.rank(Setting::BasicAuthUser);
        let token_rank = self.rank(Setting::BearerToken).max(self.rank(Setting::BearerTokenFile));
        if basic_rank == token_rank {
            self.warn("both basic authentication and a bearer token are configured: the token is used");
        }
        Ok(if basic_rank > token_rank { basic } else { Some(Auth::Bearer(token)) })
    }

    /// A secret that is written as it is or in a file: whichever is the stronger, of equals the file.
    fn secret(&mut self, value: Setting, file: Setting) -> Result<Option<SecretSource>, UsageError> {
        let text = self.value(value, parse::text)?.map(|text| SecretSource::Value(Secret::new(text)));
        let path = self.path(file)?.map(SecretSource::File);
        let weaker = if self.rank(value) > self.rank(file) { file } else { value };
        if text.is_some() && path.is_some() {
            self.origins.remove(&weaker);
        }
        Ok(if weaker == file { text.or(path) } else { path.or(text) })
    }

    fn headers(&mut self) -> Result<Vec<Header>, UsageError> {
        let layers = self.layers;
        let Some(entry) = layers.of(Setting::Headers).next() else { return Ok(Vec::new()) };
        self.origins.insert(Setting::Headers, entry.origin.clone());
        let read: Vec<Result<Header, Reason>> = match &entry.raw {
            Raw::Table(pairs) => pairs
                .iter()
                .map(|(name, value, _)| Header::parse(OsStr::new(&format!("{name}: {}", value.to_string_lossy()))))
                .collect(),
            raw => match parse::list(raw) {
                Ok(texts) => texts.iter().map(|text| Header::parse(text)).collect(),
                Err(reason) => vec![Err(reason)],
            },
        };
        let mut headers = Vec::new();
        for header in read {
            match header {
                Ok(header) if entry.origin.is_flag() && header.is_confidential() => {
                    let what = "--header: every user of this machine can read a command line: write the line into a \
                                file that only you can read, and --header @FILE";
                    self.complain(entry.setting, &entry.origin, what.to_owned())?;
                }
                Ok(Header::File(path)) => headers.push(Header::File(self.absolute(path))),
                Ok(header) => headers.push(header),
                Err(reason) => self.refuse(entry, &reason)?,
            }
        }
        Ok(headers)
    }

    fn report(&mut self) -> Result<Report, UsageError> {
        Ok(Report {
            no_push: self.value(Setting::NoPush, parse::truth)?.unwrap_or_default(),
            textfile_dir: self.path(Setting::TextfileDir)?,
            push_retry: self.value(Setting::PushRetry, parse::truth)?.unwrap_or_default(),
            ephemeral: self.value(Setting::Ephemeral, parse::truth)?.unwrap_or_default(),
            job_metrics: self.value(Setting::JobMetrics, parse::truth)?.unwrap_or_default(),
        })
    }

    fn expectations(&mut self) -> Result<Expectations, UsageError> {
        let mut amounts = Amounts::default();
        for expectation in Expectation::ALL {
            let range = expectation.spec().range;
            let amount = self.value(Setting::Expected(expectation), |raw| parse::amount(raw, range))?;
            amounts.set(expectation, amount.flatten());
        }
        let limits = [Expectation::MinDuration, Expectation::MaxDuration].map(|limit| amounts.time(limit));
        if let [Some(least), Some(most)] = limits
            && least > most
        {
            self.warn("min-duration is longer than max-duration: every run is too short or too long");
        }
        Ok(Expectations {
            amounts,
            schedule: self.value(Setting::Schedule, parse::text)?,
            timezone: self.value(Setting::Timezone, parse::text)?,
        })
    }

    fn limits(&mut self) -> Result<LimitSettings, UsageError> {
        let lock = self.value(Setting::Lock, parse::lock)?;
        let lock_wait = self.value(Setting::LockWait, parse::zero_or_optional_duration)?.flatten();
        Ok(LimitSettings {
            timeout: self.value(Setting::Timeout, parse::optional_duration)?.flatten(),
            signal: self.value(Setting::Signal, signal::parse)?.unwrap_or(libc::SIGTERM),
            kill_after: self
                .value(Setting::KillAfter, parse::zero_or_optional_duration)?
                .unwrap_or(Some(DEFAULT_KILL_AFTER)),
            // Whoever says how long to wait for the lock wants it.
            lock: lock.unwrap_or_else(|| lock_wait.map(|_| Lock::Group)),
            lock_wait: lock_wait.unwrap_or_default(),
            lock_exit_code: self.value(Setting::LockExitCode, parse::exit_code)?.unwrap_or_default(),
            retries: self
                .value(Setting::Retries, |raw| parse::count(raw, MOST_RETRIES))?
                .and_then(|retries| u32::try_from(retries).ok())
                .unwrap_or_default(),
            retry_delay: self.value(Setting::RetryDelay, parse::duration)?.unwrap_or(DEFAULT_RETRY_DELAY),
            splay: self
                .value(Setting::Splay, parse::zero_or_optional_duration)?
                .flatten()
                .filter(|splay| *splay > Duration::ZERO),
        })
    }

    fn storage(&mut self) -> Result<Storage, UsageError> {
        let state_dir = match self.path(Setting::StateDir)? {
            Some(state_dir) => Some(state_dir),
            None => self.default_state_dir(),
        };
        Ok(Storage {
            state_dir,
            history_max_age: self
                .value(Setting::HistoryMaxAge, parse::optional_duration)?
                .unwrap_or(Some(DEFAULT_HISTORY_MAX_AGE)),
            history_max_runs: self
                .value(Setting::HistoryMaxRuns, parse::optional_count)?
                .unwrap_or(Some(DEFAULT_HISTORY_MAX_RUNS)),
        })
    }

    fn default_state_dir(&mut self) -> Option<PathBuf> {
        // systemd.exec(5): several directories have colons between them.
        let first = self.facts.state_directory.as_deref().and_then(|list| list.as_bytes().split(|b| *b == b':').next());
        if let Some(first) = first.filter(|path| path.starts_with(b"/")) {
            self.origins.insert(Setting::StateDir, Origin::Derived("$STATE_DIRECTORY"));
            return Some(PathBuf::from(OsStr::from_bytes(first)));
        }
        if self.facts.is_root {
            return Some(PathBuf::from("/var/lib/jobmon"));
        }
        // XDG Base Directory Specification: a relative path is invalid and ignored.
        let xdg = self.facts.xdg_state_home.as_ref().map(PathBuf::from).filter(|path| path.is_absolute());
        let base = match xdg {
            Some(path) => {
                self.origins.insert(Setting::StateDir, Origin::Derived("$XDG_STATE_HOME"));
                Some(path)
            }
            None => self.facts.home.as_ref().map(|home| home.join(".local/state")),
        };
        if base.is_none() {
            self.warn("no home directory, so nothing can be kept on this host: set JOBMON_STATE_DIR");
        }
        base.map(|base| base.join("jobmon"))
    }

    /// A path, absolute and with the home directory in the place of a leading `~`: jobmon leaves the current directory
    /// while a job runs.
    fn path(&mut self, setting: Setting) -> Result<Option<PathBuf>, UsageError> {
        let path = self.value(setting, parse::path)?;
        Ok(path.map(|path| self.absolute(path)))
    }

    fn absolute(&self, path: PathBuf) -> PathBuf {
        if let (Ok(rest), Some(home)) = (path.strip_prefix("~"), &self.facts.home) {
            return home.join(rest);
        }
        match &self.facts.working_directory {
            Some(directory) => directory.join(path),
            None => path,
        }
    }

    fn secret_variables(&self) -> Vec<&'static str> {
        let holds_credentials = |entry: &&Entry| matches!(&entry.raw, Raw::List(texts) if texts.iter().any(|text| text.as_bytes().contains(&b'@')));
        let addresses =
            [Setting::Gateways, Setting::RemoteWrite].into_iter().flat_map(|setting| self.layers.of(setting));
        let addresses = addresses.filter(holds_credentials);
        let addresses = addresses.filter_map(|entry| match entry.origin {
            Origin::Variable(name) => Some(name),
            _ => None,
        });
        secret_variables().chain(addresses).collect()
    }
}

/// The labels of one written value; of a repeated flag the last comes first, because the last wins.
fn single_labels(entry: &Entry) -> Vec<(Entry, Result<Label, Reason>)> {
    let single = |text: &OsStr| Entry { raw: Raw::Text(text.to_owned()), ..entry.clone() };
    match (&entry.raw, &entry.origin) {
        (Raw::Table(pairs), Origin::File { path, job, .. }) => pairs
            .iter()
            .map(|(name, value, line)| {
                let origin = Origin::File { path: path.clone(), line: *line, job: job.clone() };
                // The text of a file is valid UTF-8.
                let value = value.to_string_lossy();
                let raw = Raw::Text(format!("{name}={value}").into());
                (Entry { setting: entry.setting, raw, origin }, parse::label_pair(name, &value))
            })
            .collect(),
        (raw, _) => match parse::list(raw) {
            Ok(texts) => texts.iter().rev().map(|text| (single(text), parse::label(text))).collect(),
            Err(reason) => vec![(entry.clone(), Err(reason))],
        },
    }
}

fn label_name(name: &str) -> LabelName {
    LabelName::new(name).expect("a name of jobmon's own follows the rules")
}

#[cfg(test)]
mod tests;
