//! The registry as commands open it that show or deliver what is stored, and what the journal still has to tell.

use std::time::{Duration, Instant, SystemTime};

use crate::cli::history::GroupFilterArgs;
use crate::config::Config;
use crate::registry::{Registry, RegistryError, RunFilter, StateDir, journal};

/// How long other processes may keep the registry busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// An open registry.
pub struct Stored {
    pub state: StateDir,
    pub registry: Registry,
    /// Nothing was found wrong with it.
    pub sound: bool,
}

impl Stored {
    /// Opens the registry of a folder, and makes it where there is none; what was found wrong is said.
    pub fn open(state: StateDir, deadline: Instant) -> Result<Self, RegistryError> {
        let (registry, warnings) = Registry::open(&state, deadline)?;
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        Ok(Self { state, registry, sound: warnings.is_empty() })
    }

    /// Runs that were lost, or could not be recorded when they ended, become part of the history here as with every other
    /// jobmon.
    pub fn ingest_leftovers(&mut self) -> Result<(), RegistryError> {
        let now = SystemTime::now();
        let leftovers = journal::leftovers(&self.state, None, now);
        for warning in leftovers.warnings {
            tracing::warn!("{warning}");
        }
        for (run, _) in self.registry.ingest(leftovers.runs, now)?.runs {
            tracing::info!("found in the journal: {} of {}", run.outcome, run.grouping_key);
        }
        Ok(())
    }
}

/// The state folder, made where it is missing; what is questionable about it is said.
pub fn state_dir(config: &Config) -> Result<StateDir, String> {
    let path = config.storage.state_dir.as_ref().ok_or("no state folder: name one with --state-dir")?;
    let (state, warning) = StateDir::open(path)?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    Ok(state)
}

/// The same for who only looks: None if there is no such folder, because nothing was ever recorded.
pub fn existing_state_dir(config: &Config) -> Result<Option<StateDir>, String> {
    match &config.storage.state_dir {
        Some(path) if path.try_exists().is_ok_and(|exists| !exists) => Ok(None),
        _ => state_dir(config).map(Some),
    }
}

/// The registry as `status`, `history` and `logs` read it; None if nothing was ever recorded, and a line says so.
pub fn open(config: &Config) -> Result<Option<Stored>, String> {
    super::start_logging(config.verbosity);
    super::report_warnings(config);
    let Some(state) = existing_state_dir(config)? else {
        if let Some(folder) = &config.storage.state_dir {
            super::complain(&format!("no runs recorded yet in {}", folder.display()));
        }
        return Ok(None);
    };
    let mut stored = Stored::open(state, Instant::now() + PATIENCE).map_err(|error| error.to_string())?;
    if let Err(error) = stored.ingest_leftovers() {
        tracing::warn!("{error}; lost runs are not shown");
        stored.sound = false;
    }
    Ok(Some(stored))
}

/// The groups that were meant.
pub fn filter(args: &GroupFilterArgs) -> RunFilter {
    let named = [("script_name", &args.name), ("job", &args.job), ("instance", &args.instance)];
    let named = named.into_iter().filter_map(|(label, value)| Some((label.to_owned(), value.clone()?)));
    RunFilter { labels: named.chain(args.labels.iter().cloned()).collect(), ..RunFilter::default() }
}
