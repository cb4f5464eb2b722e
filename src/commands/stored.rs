//! The registry as `status`, `history` and `logs` read it: what is stored, and what the journal still has to tell.

use std::time::{Duration, Instant, SystemTime};

use crate::cli::history::GroupFilterArgs;
use crate::config::Config;
use crate::registry::{Filter, Registry, RegistryError, StateDir, journal};

/// How long other processes may keep the registry busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// An open registry.
pub struct Stored {
    pub state: StateDir,
    pub registry: Registry,
    /// Nothing was found wrong with it.
    pub sound: bool,
}

/// Opens it; None if nothing was ever recorded, and a line in the log says so.
///
/// Runs that were lost become part of the history here as with every other jobmon, so that they are shown.
pub fn open(config: &Config) -> Result<Option<Stored>, String> {
    super::start_logging(config.verbosity);
    super::report_warnings(config);
    let Some(path) = &config.storage.state_dir else {
        return Err("no state folder: use --state-dir".to_owned());
    };
    if !path.exists() {
        super::complain(&format!("no runs recorded yet in {}", path.display()));
        return Ok(None);
    }
    let (state, warning) = StateDir::open(path)?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    let failed = |error: RegistryError| error.to_string();
    let (mut registry, warnings) = Registry::open(&state, Instant::now() + PATIENCE).map_err(failed)?;
    let mut sound = warnings.is_empty();
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let now = SystemTime::now();
    let leftovers = journal::leftovers(&state, None, now);
    for warning in leftovers.warnings {
        tracing::warn!("{warning}");
    }
    if !leftovers.runs.is_empty()
        && let Err(error) = registry.ingest(leftovers.runs, now)
    {
        tracing::warn!("{error}; lost runs are not shown");
        sound = false;
    }
    Ok(Some(Stored { state, registry, sound }))
}

/// The groups that were meant.
pub fn filter(args: &GroupFilterArgs) -> Filter {
    let named = [("script_name", &args.name), ("job", &args.job), ("instance", &args.instance)];
    let named = named.into_iter().filter_map(|(label, value)| Some((label.to_owned(), value.clone()?)));
    Filter { labels: named.chain(args.labels.iter().cloned()).collect(), ..Filter::default() }
}
