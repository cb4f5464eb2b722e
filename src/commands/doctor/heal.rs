//! Taking one step of a plan.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use crate::commands::list::patience;
use crate::config::Config;
use crate::delivery::{BackoffPolicy, Clients, Reconciler};
use crate::doctor::healing::Step;
use crate::grouping::GroupingKey;
use crate::janitor::apply::{self, Event, apply};
use crate::janitor::plan::{Policy, plan};
use crate::janitor::reading::read;
use crate::janitor::selector::{Condition, Selector};
use crate::registry::{Registry, StateDir, journal};
use crate::sinks::pushgateway::Client;
use crate::sinks::{Driver, Sink};

/// How long other processes may keep the registry busy.
const REGISTRY_PATIENCE: Duration = Duration::from_secs(30);
/// How long a gateway may take to carry out a deletion.
const PROOF: Duration = Duration::from_secs(60);

/// A step that was taken.
#[derive(Clone, Debug, Serialize)]
pub struct Healed {
    /// What was to be done.
    pub step: String,
    /// Whether it was.
    pub done: bool,
    /// What came of it, or why it failed.
    pub outcome: String,
}

/// Takes the step.
pub fn take(step: &Step, config: &Config, driver: &Driver) -> Healed {
    let result = match step {
        Step::Protect { path, mode } => fs::set_permissions(path, fs::Permissions::from_mode(*mode))
            .map(|()| "done".to_owned())
            .map_err(|error| error.to_string()),
        Step::Ingest { .. } => ingest(config),
        Step::Disarm { gateway, .. } => {
            Clients::new(config).gateway(gateway).and_then(|client| driver.block_on(disarm(client, patience(config))))
        }
        Step::Exorcise { gateway, keys } => Clients::new(config)
            .gateway(gateway)
            .and_then(|client| driver.block_on(exorcise(client, keys, patience(config)))),
        Step::Flush { restarted } => flush(config, driver, restarted),
    };
    let done = result.is_ok();
    Healed { step: step.to_string(), done, outcome: result.unwrap_or_else(|reason| reason) }
}

fn open(config: &Config) -> Result<(StateDir, Registry), String> {
    let path = config.storage.state_dir.as_ref().ok_or("no state folder")?;
    let (dir, _) = StateDir::open(path)?;
    let opened = Registry::open(&dir, Instant::now() + REGISTRY_PATIENCE);
    let (registry, warnings) = opened.map_err(|error| error.to_string())?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok((dir, registry))
}

fn ingest(config: &Config) -> Result<String, String> {
    let (dir, mut registry) = open(config)?;
    let now = SystemTime::now();
    let leftovers = journal::leftovers(&dir, None, now);
    let ingested = registry.ingest(leftovers.runs, now).map_err(|error| error.to_string())?;
    for warning in leftovers.warnings.iter().chain(&ingested.warnings) {
        tracing::warn!("{warning}");
    }
    Ok(format!("counted {}", ingested.runs.len()))
}

/// Deletes what disables the gateway, and proves that it takes pushes again.
async fn disarm(client: &Client, patience: Duration) -> Result<String, String> {
    let reading = read(client, Instant::now() + patience).await.map_err(|error| error.to_string())?;
    let policy = Policy::Matching(Selector::new(vec![Condition::Poisoned]));
    let plan = plan(&reading.groups, &policy, SystemTime::now());
    let mut failed = Vec::new();
    let mut event = |event: Event<'_>| match event {
        Event::Failed(group, reason) => failed.push(format!("{}: {reason}", group.key)),
        Event::Spared(group, why) => failed.push(format!("{} {}", group.key, why.as_str())),
        Event::GivenUp(_, reason) => failed.push(reason.to_owned()),
        Event::Deleting(_) | Event::Deleted(_) => {}
    };
    let timeouts = apply::Timeouts { request: patience, confirmation: PROOF };
    let tally = apply(client, &plan, &policy, timeouts, &mut event).await;
    if !failed.is_empty() {
        return Err(failed.join("; "));
    }
    match client.check_scrape(Instant::now() + timeouts.request).await {
        Ok(()) => Ok(format!("deleted {}; it takes pushes again", tally.deleted)),
        Err(error) => Err(format!("deleted {}, but it still takes no pushes: {error}", tally.deleted)),
    }
}

async fn exorcise(client: &Client, keys: &[GroupingKey], patience: Duration) -> Result<String, String> {
    let mut deleted = 0;
    for key in keys {
        let deadline = Instant::now() + patience;
        let was_ghost = client.delete_ghost(key, deadline).await.map_err(|error| format!("{key}: {error}"))?;
        deleted += usize::from(was_ghost);
    }
    Ok(format!("deleted {deleted}"))
}

fn flush(config: &Config, driver: &Driver, restarted: &[String]) -> Result<String, String> {
    let (dir, mut registry) = open(config)?;
    let mut clients = Clients::new(config);
    let mut reconciler = Reconciler::new(&dir, &mut registry, &mut clients, BackoffPolicy::Ignore, REGISTRY_PATIENCE);
    let flushed = driver.block_on(async {
        for gateway in restarted {
            reconciler
                .check_for_restart(&Sink::Pushgateway(gateway.clone()), Instant::now() + patience(config))
                .await?;
        }
        reconciler.flush().await
    });
    let flushed = flushed.map_err(|error| error.to_string())?;
    match flushed.left.first() {
        None => Ok(format!("sent {}, nothing is owed", flushed.groups)),
        Some(pending) => {
            let reason = pending.replica.last_error.as_deref().unwrap_or("not tried yet");
            let (group, sink) = (&pending.group.key, &pending.replica.sink);
            Err(format!("{} still owed, {group} to {sink}: {reason}", flushed.left.len()))
        }
    }
}
