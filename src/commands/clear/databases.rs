//! Databases of remote write: what this host has written there, and its end.
//!
//! A database tells nobody which groups it has, and forgets nothing by itself; so only this host's own groups are cleared, and
//! their past stays.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Result;

use super::super::session::{DeliverySession, Session};
use super::cleared::grouping_key;
use crate::config::{Config, RemoteWrite};
use crate::delivery::families::Content;
use crate::expectation::Expectation;
use crate::janitor::group::{KeyCertainty, RemoteGroup, ReportedRun};
use crate::janitor::plan::DeletionPlan;
use crate::janitor::reading::Reading;
use crate::registry::{GroupState, GroupStatus, ReplicaStatus};
use crate::sinks::Sink;
use crate::sinks::pushgateway::RawKey;
use crate::text::count;

/// How long other processes may keep the registry busy.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(5);

/// The groups of this host at each configured database, by the name of the sink.
pub(super) fn read(config: &Config) -> Result<Vec<(String, Reading)>> {
    if config.remote_write.is_empty() {
        return Ok(Vec::new());
    }
    let statuses = match Session::open_existing(config, REGISTRY_TIMEOUT)? {
        Some(mut session) => session.registry.groups()?,
        None => Vec::new(),
    };
    let sinks = config.remote_write.iter().map(RemoteWrite::sink);
    Ok(sinks.map(|sink| (sink.to_string(), reading(&sink, &statuses))).collect())
}

fn reading(sink: &Sink, statuses: &[GroupStatus]) -> Reading {
    let is_there = |status: &&GroupStatus| {
        let at_sink = status.replicas.iter().find(|replica| replica.sink == *sink);
        at_sink.is_some_and(|replica| replica.status(status.group.state.seq) != ReplicaStatus::Gone)
    };
    let groups: Vec<RemoteGroup> = statuses.iter().filter(is_there).map(as_group).collect();
    Reading { samples: groups.iter().map(|group| group.samples).sum(), groups, ..Reading::default() }
}

/// The group as a gateway would show it.
fn as_group(GroupStatus { group, .. }: &GroupStatus) -> RemoteGroup {
    let state: &GroupState = &group.state;
    let amounts = &state.expectations.amounts;
    RemoteGroup {
        key: RawKey::from(&group.key),
        certainty: KeyCertainty::Exact,
        push_time: Some(SystemTime::UNIX_EPOCH + state.stamp.since(Default::default())),
        push_failure_time: None,
        last_push_successful: true,
        last_run: ReportedRun {
            succeeded: state.last_run.as_ref().map(|run| run.outcome.is_success()),
            exit_code: state.last_run.as_ref().map(|run| run.exit_code),
            running: state.running,
            heartbeat: amounts.time(Expectation::HeartbeatInterval),
        },
        ttl: amounts.time(Expectation::Ttl),
        samples: Content::of(state).series().len() as u64 + 1,
        damage: Default::default(),
    }
}

/// Ends what is planned for one database; false if something failed, which is then pending.
pub(super) fn end(config: &Config, sink: &Sink, plan: &DeletionPlan<'_>) -> Result<bool> {
    let mut session = DeliverySession::open(config)?;
    let mut ended = 0;
    for group in &plan.deletions {
        let Some(key) = grouping_key(&group.key) else { continue };
        session.registry().end_at(&key, sink, SystemTime::now())?;
        let deliveries =
            session.with_reconciler(async |reconciler, deadline| reconciler.deliver(&key, deadline).await)?;
        match deliveries.into_iter().find(|delivery| delivery.sink == *sink).map(|delivery| delivery.result) {
            Some(Ok(())) => {
                ended += 1;
                let line =
                    format!("{sink}: ended {key}; its past stays until the database's own deletion of that selector\n");
                super::super::print(&line, ExitCode::SUCCESS);
            }
            Some(Err(failure)) => tracing::error!("{sink}: {key}: {failure}; \"jobmon flush\" tries again"),
            None => tracing::error!("{sink}: {key}: not tried; \"jobmon flush\" tries again"),
        }
    }
    super::super::print(&format!("{sink}: ended {}\n", count(ended, "group")), ExitCode::SUCCESS);
    Ok(ended == plan.deletions.len())
}
