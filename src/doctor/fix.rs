//! What can be fixed: worked out before anything is touched, then done step by step.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Error, Result, anyhow, bail};
use serde::Serialize;

use super::checks::gateway::ObservedGateway;
use super::checks::host::{ObservedHost, ObservedRegistry, ObservedStateDir};
use super::checks::list;
use crate::config::Config;
use crate::delivery::{BackoffPolicy, Clients, Reconciler};
use crate::grouping::GroupingKey;
use crate::janitor::apply::{self as janitor_apply, Event, Tally, Timeouts};
use crate::janitor::plan::{self as janitor_plan, Policy};
use crate::janitor::reading::read;
use crate::janitor::selector::{Condition, Selector};
use crate::registry::{Registry, StateDir, journal};
use crate::sinks::pushgateway::Client;
use crate::sinks::{Driver, Sink};
use crate::text::count;

/// How long other processes may keep the registry busy.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a gateway may take to carry out a deletion.
const DELETION_TIMEOUT: Duration = Duration::from_secs(60);

/// One step towards a chain that works.
#[derive(Clone, Debug, PartialEq)]
pub enum Fix {
    /// Give a directory or file of the state back to its owner alone.
    Chmod {
        /// Which.
        path: PathBuf,
        /// Its new permission bits.
        mode: u32,
    },
    /// Count the runs that wait in the journal.
    RecordLeftovers {
        /// How many.
        runs: usize,
    },
    /// Delete the groups that disable a gateway.
    DeletePoison {
        /// The gateway.
        gateway: String,
        /// The groups, for people.
        groups: Vec<String>,
    },
    /// Delete empty groups of this host that refused pushes left behind.
    DeleteGhosts {
        /// The gateway.
        gateway: String,
        /// Their keys.
        keys: Vec<GroupingKey>,
    },
    /// Send whatever is owed.
    Flush {
        /// Gateways that are to be asked first whether they were restarted.
        restarted: Vec<String>,
    },
}

/// A fix that was tried.
#[derive(Clone, Debug, Serialize)]
pub struct AppliedFix {
    /// What was to be done.
    pub step: String,
    /// Whether it was.
    pub done: bool,
    /// What came of it, or why it failed.
    pub outcome: String,
}

/// What would fix what was seen, in the order in which one step helps the next. Damaged files that were set aside are left
/// to people.
pub fn plan(host: &ObservedHost, gateways: &[ObservedGateway]) -> Vec<Fix> {
    let mut fixes = Vec::new();
    if let ObservedStateDir::Present(directory) = &host.state
        && directory.is_own
    {
        // A directory that others may only look into is as systemd makes it.
        if directory.mode & 0o022 != 0 || directory.mode & 0o700 != 0o700 {
            fixes.push(Fix::Chmod { path: directory.path.clone(), mode: 0o700 });
        }
        if directory.database_mode.is_some_and(|mode| mode & 0o077 != 0) {
            fixes.push(Fix::Chmod { path: directory.path.join("registry.db"), mode: 0o600 });
        }
    }
    let (undelivered, leftovers) = match &host.registry {
        ObservedRegistry::Open(contents) => (contents.undelivered.len(), contents.leftovers),
        ObservedRegistry::Absent | ObservedRegistry::Failed(_) => (0, 0),
    };
    if leftovers > 0 {
        fixes.push(Fix::RecordLeftovers { runs: leftovers });
    }
    for gateway in gateways {
        let Some(Ok(held)) = &gateway.held else { continue };
        let url = || gateway.url.clone();
        if !held.poison.is_empty() {
            let groups = held.poison.iter().map(|group| group.key.to_string()).collect();
            fixes.push(Fix::DeletePoison { gateway: url(), groups });
        }
        if !held.own_ghosts.is_empty() {
            fixes.push(Fix::DeleteGhosts { gateway: url(), keys: held.own_ghosts.clone() });
        }
    }
    let restarted = gateways.iter().filter(|gateway| gateway.was_restarted());
    let restarted: Vec<String> = restarted.map(|gateway| gateway.url.clone()).collect();
    if undelivered > 0 || leftovers > 0 || !restarted.is_empty() {
        fixes.push(Fix::Flush { restarted });
    }
    fixes
}

/// What it is going to do.
impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chmod { path, mode } => write!(f, "chmod {mode:o} {}", path.display()),
            Self::RecordLeftovers { runs } => write!(f, "count {} from the journal", count(*runs, "run")),
            Self::DeletePoison { gateway, groups } => {
                write!(f, "delete at {gateway} what disables it: {}", list(groups))
            }
            Self::DeleteGhosts { gateway, keys } => write!(f, "delete at {gateway} empty groups: {}", list(keys)),
            Self::Flush { restarted } if restarted.is_empty() => f.write_str("send what is owed"),
            Self::Flush { restarted } => {
                write!(f, "send what is owed, and again what was at {}", list(restarted))
            }
        }
    }
}

/// Does it. One request may take `request_timeout`.
pub fn apply(fix: &Fix, config: &Config, driver: &Driver, request_timeout: Duration) -> AppliedFix {
    let result = match fix {
        Fix::Chmod { path, mode } => chmod(path, *mode),
        Fix::RecordLeftovers { .. } => record_leftovers(config),
        Fix::DeletePoison { gateway, .. } => {
            with_client(config, driver, gateway, async |client| delete_poison(client, request_timeout).await)
        }
        Fix::DeleteGhosts { gateway, keys } => {
            with_client(config, driver, gateway, async |client| delete_ghosts(client, keys, request_timeout).await)
        }
        Fix::Flush { restarted } => flush(config, driver, restarted, request_timeout),
    };
    let done = result.is_ok();
    AppliedFix { step: fix.to_string(), done, outcome: result.unwrap_or_else(|error| format!("{error:#}")) }
}

fn chmod(path: &Path, mode: u32) -> Result<String> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok("done".to_owned())
}

fn open(config: &Config) -> Result<(StateDir, Registry)> {
    let path = config.storage.state_dir.as_ref().context("no state directory")?;
    let (dir, _) = StateDir::open(path).map_err(Error::msg)?;
    let (registry, warnings) = Registry::open(&dir, Instant::now() + REGISTRY_TIMEOUT)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok((dir, registry))
}

fn record_leftovers(config: &Config) -> Result<String> {
    let (dir, mut registry) = open(config)?;
    let now = SystemTime::now();
    let leftovers = journal::leftovers(&dir, None, now);
    let ingested = registry.ingest(leftovers.runs, now)?;
    for warning in leftovers.warnings.iter().chain(&ingested.warnings) {
        tracing::warn!("{warning}");
    }
    Ok(format!("counted {}", ingested.runs.len()))
}

fn with_client<T>(
    config: &Config,
    driver: &Driver,
    gateway: &str,
    work: impl AsyncFnOnce(&Client) -> Result<T>,
) -> Result<T> {
    let mut clients = Clients::new(config);
    driver.block_on(work(clients.gateway(gateway).map_err(Error::msg)?))
}

/// Deletes what disables the gateway, and proves that it takes pushes again.
async fn delete_poison(client: &Client, request_timeout: Duration) -> Result<String> {
    let reading = read(client, Instant::now() + request_timeout).await?;
    let policy = Policy::Matching(Selector::new(vec![Condition::Poisoned]));
    let plan = janitor_plan::plan(&reading.groups, &policy, SystemTime::now());
    let mut failed = Vec::new();
    let mut event = |event: Event<'_>| match event {
        Event::Failed(group, reason) => failed.push(format!("{}: {reason}", group.key)),
        Event::Spared(group, why) => failed.push(format!("{} {}", group.key, why.as_str())),
        Event::GivenUp(_, reason) => failed.push(reason.to_owned()),
        Event::Deleting(_) | Event::Deleted(_) => {}
    };
    let timeouts = Timeouts { request: request_timeout, confirmation: DELETION_TIMEOUT };
    let Tally { deleted, .. } = janitor_apply::apply(client, &plan, &policy, timeouts, &mut event).await;
    if !failed.is_empty() {
        bail!("{}", failed.join("; "));
    }
    match client.check_scrape(Instant::now() + request_timeout).await {
        Ok(()) => Ok(format!("deleted {deleted}; it takes pushes again")),
        Err(error) => bail!("deleted {deleted}, but it still takes no pushes: {error}"),
    }
}

async fn delete_ghosts(client: &Client, keys: &[GroupingKey], request_timeout: Duration) -> Result<String> {
    let mut deleted = 0;
    for key in keys {
        let deadline = Instant::now() + request_timeout;
        let was_ghost = client.delete_ghost(key, deadline).await.map_err(|error| anyhow!("{key}: {error}"))?;
        deleted += usize::from(was_ghost);
    }
    Ok(format!("deleted {deleted}"))
}

fn flush(config: &Config, driver: &Driver, restarted: &[String], request_timeout: Duration) -> Result<String> {
    let (dir, mut registry) = open(config)?;
    let mut clients = Clients::new(config);
    let mut reconciler = Reconciler::new(&dir, &mut registry, &mut clients, BackoffPolicy::Ignore, REGISTRY_TIMEOUT);
    let flushed = driver.block_on(async {
        for gateway in restarted {
            let sink = Sink::Pushgateway(gateway.clone());
            reconciler.check_for_restart(&sink, Instant::now() + request_timeout).await?;
        }
        reconciler.flush().await
    })?;
    let Some(pending) = flushed.left.first() else {
        return Ok(format!("sent {}, nothing is owed", flushed.groups));
    };
    let reason = pending.replica.last_error.as_deref().unwrap_or("not tried yet");
    let (group, sink) = (&pending.group.key, &pending.replica.sink);
    bail!("{} still owed, {group} to {sink}: {reason}", flushed.left.len())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::SystemTime;

    use super::*;
    use crate::doctor::checks::gateway::HeldGroups;
    use crate::doctor::checks::host::{RegistryContents, StateDirFacts, UndeliveredGroup};
    use crate::grouping::LabelValue;
    use crate::sinks::pushgateway::GatewayStatus;

    fn host(mode: u32, contents: RegistryContents) -> ObservedHost {
        let directory = StateDirFacts {
            path: "/s".into(),
            mode,
            is_own: true,
            writable: Ok(()),
            database_mode: Some(0o600),
            set_aside: vec!["/s/registry.db.corrupt-x".into()],
        };
        ObservedHost {
            warnings: Vec::new(),
            files: Vec::new(),
            gateways: Vec::new(),
            no_push: false,
            textfiles: None,
            state: ObservedStateDir::Present(directory),
            registry: ObservedRegistry::Open(contents),
        }
    }

    fn gateway(held: HeldGroups) -> ObservedGateway {
        let status = GatewayStatus { version: String::new(), start_time: "t2".into(), flags: BTreeMap::new() };
        ObservedGateway {
            url: "http://a".into(),
            setup: Ok(()),
            warnings: Vec::new(),
            readiness: None,
            status: Some(Ok(status)),
            proof: None,
            start_times: ["t2".to_owned()].into(),
            known_start_time: Some("t2".into()),
            scrape: None,
            held: Some(Ok(held)),
            own: Vec::new(),
        }
    }

    #[test]
    fn what_is_well_is_left_alone() {
        assert_eq!(plan(&host(0o700, RegistryContents::default()), &[gateway(HeldGroups::default())]), []);
        assert_eq!(plan(&host(0o755, RegistryContents::default()), &[]), []);
    }

    #[test]
    fn everything_is_fixed_in_order() {
        let undelivered = UndeliveredGroup {
            group: "g".into(),
            destination: "http://a".into(),
            is_deletion: false,
            since: SystemTime::UNIX_EPOCH,
            attempts: 1,
            reason: None,
        };
        let contents = RegistryContents { leftovers: 2, undelivered: vec![undelivered], ..RegistryContents::default() };
        let poison = crate::janitor::group::tests::group(&[("job", "bad")], 0);
        let ghost = GroupingKey::new(LabelValue::new("ghost").unwrap(), []);
        let mut gateway =
            gateway(HeldGroups { poison: vec![poison], own_ghosts: vec![ghost], ..HeldGroups::default() });
        gateway.known_start_time = Some("t1".into());
        let said: Vec<String> = plan(&host(0o777, contents), &[gateway]).iter().map(ToString::to_string).collect();
        let expected = [
            "chmod 700 /s",
            "count 2 runs from the journal",
            "delete at http://a what disables it: {job=\"bad\"}",
            "delete at http://a empty groups: {job=\"ghost\"}",
            "send what is owed, and again what was at http://a",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_directory_of_somebody_else_is_not_ours_to_change() {
        let mut host = host(0o777, RegistryContents::default());
        let ObservedStateDir::Present(directory) = &mut host.state else { panic!("it is there") };
        directory.is_own = false;
        assert_eq!(plan(&host, &[]), []);
    }
}
