//! What commands share that read or change groups: the registry of this host, and the way to its gateways.

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Error, Result};

use crate::cli::history::GroupFilterArgs;
use crate::config::{Config, Origin, Setting, UsageError};
use crate::delivery::{BackoffPolicy, Clients, Delivery, Failure, Reconciler};
use crate::registry::{Registry, RegistryError, RunFilter, StateDir, journal};
use crate::sinks::Driver;

/// How long other processes may keep the registry busy, each time that it is needed.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one request may take where nobody configured it. A gateway with 100 000 samples needs a second or two to list
/// them, more if pushes are queued before it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The registry of this host, open.
pub struct Session {
    /// Where it is.
    pub dir: StateDir,
    /// The registry.
    pub registry: Registry,
    /// Nothing was found wrong with it.
    pub is_sound: bool,
}

/// The same, with what delivers.
pub struct DeliverySession {
    session: Session,
    clients: Clients,
    driver: Driver,
    /// When talking to gateways has to be over.
    deadline: Instant,
}

impl Session {
    /// Opens the registry, and makes it where there is none; what was found wrong is logged.
    pub fn open(config: &Config, timeout: Duration) -> Result<Self> {
        let dir = state_dir(config)?;
        let (registry, warnings) = Registry::open(&dir, Instant::now() + timeout)?;
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        Ok(Self { dir, registry, is_sound: warnings.is_empty() })
    }

    /// The same where there is a state directory; none if there is not, because nothing was ever recorded.
    pub fn open_existing(config: &Config, timeout: Duration) -> Result<Option<Self>> {
        match &config.storage.state_dir {
            Some(path) if path.try_exists().is_ok_and(|exists| !exists) => Ok(None),
            _ => Self::open(config, timeout).map(Some),
        }
    }

    /// The registry as `status`, `history` and `logs` read it; none if nothing was ever recorded, and a line says so.
    pub fn open_for_reading(config: &Config) -> Result<Option<Self>> {
        let Some(mut session) = Self::open_existing(config, REGISTRY_TIMEOUT)? else {
            if let Some(directory) = &config.storage.state_dir {
                super::complain(&format!("no runs recorded yet in {}", directory.display()));
            }
            return Ok(None);
        };
        if let Err(error) = session.ingest_leftovers() {
            tracing::warn!("{error}; lost runs are not shown");
            session.is_sound = false;
        }
        Ok(Some(session))
    }

    /// Runs that were lost, or could not be recorded when they ended, become part of the history here as with every other
    /// jobmon.
    pub fn ingest_leftovers(&mut self) -> Result<(), RegistryError> {
        let now = SystemTime::now();
        let leftovers = journal::leftovers(&self.dir, None, now);
        for warning in leftovers.warnings {
            tracing::warn!("{warning}");
        }
        for (run, _) in self.registry.ingest(leftovers.runs, now)?.runs {
            tracing::info!("found in the journal: {} of {}", run.facts.outcome, run.grouping_key);
        }
        Ok(())
    }

    /// 0, or 1 where something was found wrong with the registry.
    pub fn exit_code(&self) -> ExitCode {
        if self.is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl DeliverySession {
    /// Opens the registry; what was found wrong is logged.
    pub fn open(config: &Config) -> Result<Self> {
        let deadline = Instant::now() + config.push_timeout;
        let session = Session::open(config, config.push_timeout)?;
        Ok(Self { session, clients: Clients::new(config), driver: driver()?, deadline })
    }

    /// The registry.
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.session.registry
    }

    /// Does something with a reconciler, which tries each destination once: a person is waiting.
    pub fn with_reconciler<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Reconciler<'_>, Instant) -> Result<T, RegistryError>,
    ) -> Result<T> {
        let Session { dir, registry, .. } = &mut self.session;
        let mut reconciler = Reconciler::new(dir, registry, &mut self.clients, BackoffPolicy::Ignore, REGISTRY_TIMEOUT);
        Ok(self.driver.block_on(work(&mut reconciler, self.deadline))?)
    }

    /// Asks the gateways something directly.
    pub fn with_clients<T>(&mut self, ask: impl AsyncFnOnce(&mut Clients, Instant) -> T) -> T {
        self.driver.block_on(ask(&mut self.clients, self.deadline))
    }
}

/// The state directory, made where it is missing; what is questionable about it is logged.
pub fn state_dir(config: &Config) -> Result<StateDir> {
    let path = config.storage.state_dir.as_ref().context("no state directory: name one with --state-dir")?;
    let (dir, warning) = StateDir::open(path).map_err(Error::msg)?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    Ok(dir)
}

/// The event loop of a command.
pub fn driver() -> Result<Driver> {
    Driver::new().context("no event loop")
}

/// How long one request may take: `--push-timeout` where somebody set it.
pub fn request_timeout(config: &Config) -> Duration {
    match config.origin(Setting::PushTimeout) {
        Origin::Default => REQUEST_TIMEOUT,
        _ => config.push_timeout,
    }
}

/// For what needs a gateway.
///
/// # Errors
/// Bad usage: nobody has said where to look.
pub fn demand_gateway(config: &Config) -> Result<(), UsageError> {
    if config.gateways.is_empty() {
        if !config.remote_write.is_empty() {
            return Err(UsageError::new(
                "no gateway is configured, and a database of remote write does not tell which groups it has: see \
                 \"jobmon status\" for those of this host, or ask the database",
            ));
        }
        return Err(UsageError::new(
            "no gateway is configured: name one with --gateway, JOBMON_GATEWAY or in a configuration file",
        ));
    }
    Ok(())
}

/// For what is about one job: it has to be named, because there is no command that could name it.
///
/// # Errors
/// Bad usage: it is not.
pub fn demand_name(config: &Config) -> Result<(), UsageError> {
    match config.origin(Setting::Name) {
        Origin::Default => Err(UsageError::new("no job given: use --name")),
        _ => Ok(()),
    }
}

/// The groups that were meant.
pub fn filter(args: &GroupFilterArgs) -> RunFilter {
    let named = [("script_name", &args.name), ("job", &args.job), ("instance", &args.instance)];
    let named = named.into_iter().filter_map(|(label, value)| Some((label.to_owned(), value.clone()?)));
    RunFilter { labels: named.chain(args.labels.iter().cloned()).collect(), ..RunFilter::default() }
}

/// 0 if everything arrived; else 1, and a line for each destination that says what becomes of it: `owed` is what the
/// destination does not have yet.
pub fn report_deliveries(deliveries: &[Delivery], owed: &str) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for Delivery { sink, result, .. } in deliveries {
        match result {
            Ok(()) => continue,
            Err(failure @ Failure::Pending { .. }) => {
                tracing::error!("{sink}: {failure}; {owed}, \"jobmon flush\" tries again");
            }
            Err(Failure::Rejected(answer)) => tracing::error!("{sink}: {answer}"),
            Err(failure @ Failure::WithoutJobMetrics(_)) => tracing::error!("{sink}: {failure}"),
        }
        code = ExitCode::FAILURE;
    }
    code
}
