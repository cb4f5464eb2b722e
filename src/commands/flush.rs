//! `jobmon flush`: pay what gateways are still owed.

use std::collections::HashSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::list::driver;
use super::stored::{Stored, existing_state_dir};
use crate::cli::janitor::FlushArgs;
use crate::config::{self, Config};
use crate::delivery::{BackoffPolicy, Clients, Flushed, Reconciler};
use crate::registry::{Action, PendingAction, RegistryError, StateDir};
use crate::run::metrics_file;
use crate::sinks::{Driver, Sink};

/// How long other processes may keep the registry busy.
const REGISTRY_PATIENCE: Duration = Duration::from_secs(30);

/// No round begins sooner after the last one.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// Delivers what is owed, once or again and again; 0 if nothing is owed afterwards.
///
/// Once, for a person or a timer, every gateway gets a try, whatever failed before. With `--loop` a gateway that failed is
/// left alone until its backoff is over, what goes wrong is said when it is news, and only a signal ends it.
pub fn run(args: &FlushArgs, config: &Config) -> ExitCode {
    super::start_logging(config.verbosity);
    super::report_warnings(config);
    let Some(driver) = driver() else { return ExitCode::FAILURE };
    let Some(interval) = args.interval else {
        let complaints = round(config, &driver, BackoffPolicy::Ignore);
        complaints.iter().for_each(Complaint::say);
        return if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    };
    let interval = interval.max(SHORTEST_INTERVAL);
    let mut known = HashSet::new();
    loop {
        let complaints = round(config, &driver, BackoffPolicy::Respect);
        complaints.iter().filter(|complaint| !known.contains(*complaint)).for_each(Complaint::say);
        known = complaints.into_iter().collect();
        // A timer is made where its runtime is.
        driver.block_on(async { tokio::time::sleep(interval).await });
    }
}

/// Why a round did not settle everything.
#[derive(PartialEq, Eq, Hash)]
enum Complaint {
    /// One group and destination of which something is still owed, and why.
    Owed(String),
    /// Nothing could be done at all.
    Failed(String),
}

impl Complaint {
    fn say(&self) {
        match self {
            Self::Owed(line) => tracing::warn!("{line}"),
            Self::Failed(line) => tracing::error!("{line}"),
        }
    }
}

/// One round: what the journal and the gateways have to tell, then every pending action. Everything is opened anew, as it is by
/// then: the state folder, and the files of secrets and certificates.
fn round(config: &Config, driver: &Driver, backoff: BackoffPolicy) -> Vec<Complaint> {
    let flushed = match existing_state_dir(config) {
        // Nothing ever ran here, so nothing is owed.
        Ok(None) => return Vec::new(),
        Ok(Some(state)) => flush(config, state, driver, backoff).map_err(|error| error.to_string()),
        Err(error) => Err(error),
    };
    match flushed {
        Ok(flushed) => {
            if flushed.left.is_empty() {
                tracing::info!("{} groups delivered, nothing is owed", flushed.groups);
            }
            flushed.left.iter().map(still_owed).collect()
        }
        Err(error) => vec![Complaint::Failed(error)],
    }
}

fn flush(config: &Config, state: StateDir, driver: &Driver, backoff: BackoffPolicy) -> Result<Flushed, RegistryError> {
    let mut stored = Stored::open(state, Instant::now() + REGISTRY_PATIENCE)?;
    metrics_file::sweep(&stored.state);
    stored.ingest_leftovers()?;
    let gateways: Vec<Sink> = config.gateways.iter().map(config::Gateway::sink).collect();
    let mut clients = Clients::new(config);
    let mut reconciler = Reconciler::new(&stored.state, &mut stored.registry, &mut clients, backoff, REGISTRY_PATIENCE);
    driver.block_on(async {
        reconciler.check_all_for_restart(&gateways).await?;
        reconciler.flush().await
    })
}

fn still_owed(pending: &PendingAction) -> Complaint {
    let (group, sink) = (&pending.group.key, &pending.replica.sink);
    let what = match pending.action {
        Action::Push => "still owed to",
        Action::Delete => "still to be deleted at",
    };
    let reason = pending.replica.last_error.as_deref().unwrap_or("it was not tried yet");
    Complaint::Owed(format!("group {group}: {what} {sink}: {reason}"))
}
