//! What every command needs that changes a group without running anything: registry, clients and a reconciler.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::stored::{Stored, state_dir};
use crate::config::{Config, Origin, Setting};
use crate::delivery::{BackoffPolicy, Clients, Delivery, Failure, Reconciler};
use crate::registry::{Registry, RegistryError, StateDir};
use crate::sinks::Driver;

/// How long other processes may keep the registry busy, each time that it is needed.
const REGISTRY_PATIENCE: Duration = Duration::from_secs(5);

/// The registry of this host, open, and the way to its gateways.
pub struct Desk {
    dir: StateDir,
    /// The registry.
    pub registry: Registry,
    clients: Clients,
    driver: Driver,
    /// When talking to gateways has to be over.
    pub deadline: Instant,
}

impl Desk {
    /// Opens the registry; says what was questionable about it.
    ///
    /// # Errors
    /// One line: there is no registry to be had.
    pub fn open(config: &Config) -> Result<Self, String> {
        let dir = state_dir(config)?;
        let deadline = Instant::now() + config.push_timeout;
        let stored = Stored::open(dir, deadline).map_err(|error| error.to_string())?;
        let driver = Driver::new().map_err(|error| format!("no event loop: {error}"))?;
        Ok(Self { dir: stored.state, registry: stored.registry, clients: Clients::new(config), driver, deadline })
    }

    /// Does something with a reconciler, which tries each destination once: a person is waiting.
    pub fn with_reconciler<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Reconciler<'_>, Instant) -> Result<T, RegistryError>,
    ) -> Result<T, String> {
        let deadline = self.deadline;
        let mut reconciler =
            Reconciler::new(&self.dir, &mut self.registry, &mut self.clients, BackoffPolicy::Ignore, REGISTRY_PATIENCE);
        self.driver.block_on(work(&mut reconciler, deadline)).map_err(|error| error.to_string())
    }

    /// Asks the gateways something directly.
    pub fn with_clients<T>(&mut self, ask: impl AsyncFnOnce(&mut Clients, Instant) -> T) -> T {
        self.driver.block_on(ask(&mut self.clients, self.deadline))
    }
}

/// Which job: it has to be named, because there is no command that could name it.
///
/// # Errors
/// One line for bad usage.
pub fn demand_name(config: &Config) -> Result<(), String> {
    match config.origin(Setting::Name) {
        Origin::Default => Err("which job? name it with --name".to_owned()),
        _ => Ok(()),
    }
}

/// 0 if everything arrived; else 1, and a line for each destination that says what becomes of it: `owed` is what the
/// destination does not have yet.
pub fn say_what_became(deliveries: &[Delivery], owed: &str) -> ExitCode {
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
