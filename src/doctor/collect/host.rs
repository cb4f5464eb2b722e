//! Configuration, state directory and registry as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use nix::unistd::{AccessFlags, eaccess, geteuid};

use crate::config::{Config, Origin, show};
use crate::doctor::OwnGroup;
use crate::doctor::checks::host::{
    ObservedHost, ObservedRegistry, ObservedStateDir, RegistryContents, StateDirFacts, UndeliveredGroup,
};
use crate::registry::{
    Action, Desired, GroupStatus, PendingFilter, Registry, RegistryError, ReplicaStatus, StateDir, journal,
};

/// How long other processes may keep the registry busy.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Looks at this host, and says which gateway was started when, as far as the registry knows.
///
/// Makes nothing that is not there. Like every jobmon it sets a registry aside that is no database.
pub(super) fn collect(config: &Config) -> (ObservedHost, BTreeMap<String, String>) {
    let now = SystemTime::now();
    let mut start_times = BTreeMap::new();
    let state = config.storage.state_dir.as_deref();
    let registry =
        match state.filter(|directory| directory.join("registry.db").exists() || directory.join("runs").exists()) {
            None => ObservedRegistry::Absent,
            Some(directory) => match StateDir::open(directory) {
                // Said of the directory itself.
                Err(_) => ObservedRegistry::Absent,
                Ok((dir, _)) => match contents(&dir, now, &mut start_times) {
                    Ok(contents) => ObservedRegistry::Open(contents),
                    Err(error) => ObservedRegistry::Failed(error),
                },
            },
        };
    let host = ObservedHost {
        warnings: config.warnings.iter().map(ToString::to_string).collect(),
        files: files(config),
        gateways: config.gateways.iter().map(|gateway| gateway.url().to_owned()).collect(),
        no_push: config.report.no_push,
        textfiles: config.report.textfile_dir.clone().map(|directory| {
            let writable = if directory.is_dir() { may_write(&directory) } else { Err("not a directory".to_owned()) };
            (directory, writable)
        }),
        state: state.map_or(ObservedStateDir::Unknown, state_dir),
        registry,
    };
    (host, start_times)
}

/// The configuration files that count for something.
fn files(config: &Config) -> Vec<String> {
    let of_values = show(config).into_iter().filter_map(|shown| match shown.origin {
        Origin::File { path, .. } => Some(path.to_string()),
        _ => None,
    });
    let named = config.file.as_ref().map(|path| path.display().to_string());
    of_values.chain(named).collect::<BTreeSet<String>>().into_iter().collect()
}

fn state_dir(path: &Path) -> ObservedStateDir {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.ancestors().skip(1).find(|parent| parent.exists());
            return ObservedStateDir::Missing { path: path.to_owned(), creatable: parent.map_or(Ok(()), may_write) };
        }
        Err(error) => return ObservedStateDir::Unusable { path: path.to_owned(), reason: error.to_string() },
    };
    if let Err(reason) = StateDir::open(path) {
        return ObservedStateDir::Unusable { path: path.to_owned(), reason };
    }
    let database = fs::metadata(path.join("registry.db")).ok();
    ObservedStateDir::Present(StateDirFacts {
        path: path.to_owned(),
        mode: metadata.mode() & 0o7777,
        is_own: metadata.uid() == geteuid().as_raw(),
        writable: may_write(path),
        database_mode: database.map(|metadata| metadata.mode() & 0o7777),
        set_aside: set_aside(path),
    })
}

/// Why this user may not make files in the directory.
fn may_write(directory: &Path) -> Result<(), String> {
    eaccess(directory, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|error| error.desc().to_owned())
}

/// Damaged files that some jobmon set aside, without the logs beside a database.
fn set_aside(path: &Path) -> Vec<String> {
    let names = |directory: &Path| -> Vec<String> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path().display().to_string()).collect()
    };
    let databases = names(path)
        .into_iter()
        .filter(|name| name.contains("/registry.db.corrupt-") && !name.ends_with("-wal") && !name.ends_with("-shm"));
    let runs = names(&path.join("runs")).into_iter().filter(|name| name.ends_with(".corrupt"));
    let mut found: Vec<String> = databases.chain(runs).collect();
    found.sort();
    found
}

fn contents(
    dir: &StateDir,
    now: SystemTime,
    start_times: &mut BTreeMap<String, String>,
) -> Result<RegistryContents, RegistryError> {
    let leftovers = journal::leftovers(dir, None, now);
    let running = journal::running(dir, now);
    if !dir.database().exists() {
        return Ok(RegistryContents {
            leftovers: leftovers.runs.len(),
            running: running.len(),
            ..RegistryContents::default()
        });
    }
    let (mut registry, warnings) = Registry::open(dir, Instant::now() + REGISTRY_TIMEOUT)?;
    let damage = registry.damage()?;
    let groups = registry.groups()?;
    let undelivered = registry.pending_actions(PendingFilter::All, usize::MAX, now)?;
    for health in registry.known_sinks()? {
        start_times.extend(health.sink.gateway_url().map(str::to_owned).zip(health.start_time));
    }
    let repairs = warnings.into_iter().chain(registry.take_warnings()).map(|warning| warning.to_string());
    Ok(RegistryContents {
        repairs: repairs.collect(),
        damage,
        groups: groups.len(),
        rejected: groups.iter().flat_map(rejected).collect(),
        own: groups.iter().flat_map(own).collect(),
        leftovers: leftovers.runs.len(),
        running: running.len(),
        newest: groups.iter().flat_map(moments).chain(running.iter().map(|run| run.facts.started_at)).max(),
        undelivered: undelivered
            .into_iter()
            .map(|pending| UndeliveredGroup {
                group: pending.group.key.to_string(),
                destination: pending.replica.sink.to_string(),
                is_deletion: pending.action == Action::Delete,
                since: pending.replica.pending_since.unwrap_or(now),
                attempts: pending.replica.attempts,
                reason: pending.replica.last_error,
            })
            .collect(),
    })
}

/// What destinations refused for good: group, destination, words.
fn rejected(status: &GroupStatus) -> Vec<(String, String, String)> {
    let replicas =
        status.replicas.iter().filter(|replica| replica.status(status.group.state.seq) == ReplicaStatus::Rejected);
    let words = |replica: &crate::registry::Replica| replica.last_error.clone().unwrap_or_default();
    replicas.map(|replica| (status.group.key.to_string(), replica.sink.to_string(), words(replica))).collect()
}

/// Where the group is or should be.
fn own(status: &GroupStatus) -> Vec<OwnGroup> {
    let replicas =
        status.replicas.iter().filter(|replica| replica.desired == Desired::Present || replica.delivered_seq > 0);
    let gateways = replicas.filter_map(|replica| {
        Some(OwnGroup {
            key: status.group.key.clone(),
            gateway: replica.sink.gateway_url()?.to_owned(),
            delivered: replica.status(status.group.state.seq) == ReplicaStatus::Delivered,
            settled_at: replica.succeeded_at,
        })
    });
    gateways.collect()
}

/// Every moment of the past that is written down about a group.
fn moments(status: &GroupStatus) -> Vec<SystemTime> {
    let state = &status.group.state;
    let last_end = state.last_run.as_ref().map(|run| run.ended_at);
    let of_state = [state.last_start, state.last_success, state.last_failure, last_end];
    let of_copies =
        status.replicas.iter().flat_map(|replica| [replica.pending_since, replica.last_attempt, replica.succeeded_at]);
    of_state.into_iter().chain(of_copies).flatten().collect()
}
