//! Replicas that should not be: left behind by a failover, by a change of gateways, or deleted on purpose.
//!
//! Never loses the replica that should be. The stale one may be the same, by another name of the gateway (an address and a
//! host name, a prefix of a proxy, a symbolic link to a directory): so the state at home is pending again before anything
//! is deleted, and is sent once more afterwards. That costs a request for each move, and nothing has to be found out.

use std::time::{Duration, Instant, SystemTime};

use super::clients::Clients;
use super::group_lock;
use super::reconciler::{Reconciler, until_bookkeeping};
use super::restarts::QUESTION_TIMEOUT;
use super::send::{Delivery, Failure, badly_set, fair_share, judged, pending};
use crate::destination::Sink;
use crate::grouping::GroupingKey;
use crate::metrics::Exposition;
use crate::registry::{
    Action, Against, Desired, Group, GroupStatus, PendingAction, RegistryError, Replica, ReplicaStatus, RequestOutcome,
    RetryableError,
};
use crate::sinks::Remains;
use crate::sinks::pushgateway::{GroupLookup, ReadError, Remedy};

/// How long a reconciler waits for a gateway to confirm a deletion.
const DELETION_TIME: Duration = Duration::from_secs(2);

impl Reconciler<'_> {
    /// Carries out what is pending for a group: of one that is still registered, all of it.
    pub(super) async fn carry_out(
        &mut self,
        pending: &PendingAction,
        deadline: Instant,
    ) -> Result<Vec<Delivery>, RegistryError> {
        let Some(_lock) = group_lock::acquire(self.dir, &pending.group.key, deadline).await else {
            return Ok(Vec::new());
        };
        if let Some(status) = self.registry(deadline).group(&pending.group.key)? {
            return self.bring_up_to_date(status, deadline).await;
        }
        match self.backing_off(&pending.replica.sink, Action::Delete, deadline)? {
            // The turn of others has come.
            Some(failure) => {
                let (group, sink) = (pending.group.id, &pending.replica.sink);
                let reason = pending.replica.last_error.clone().unwrap_or_else(|| failure.to_string());
                self.registry(deadline).postpone(group, sink, &reason, SystemTime::now())?;
                Ok(Vec::new())
            }
            None => Ok(vec![self.delete(&pending.group, &pending.replica, deadline).await]),
        }
    }

    /// Deletes replicas of the group that should not be, as far as their time has come: what a failover left behind never
    /// goes before the destinations that are to hold the group do, so that no scrape misses it.
    pub(super) async fn delete_stale_replicas(
        &mut self,
        key: &GroupingKey,
        deadline: Instant,
    ) -> Result<Vec<Delivery>, RegistryError> {
        let mut deletions = Vec::new();
        let Some(GroupStatus { group, replicas }) = self.registry(deadline).group(key)? else { return Ok(deletions) };
        let seq = group.state.seq;
        let is_awaited = |replica: &Replica| replica.status(seq) == ReplicaStatus::Pending;
        let is_needed = replicas.iter().any(is_awaited);
        let homes = replicas.iter().filter(|replica| replica.desired == Desired::Present);
        let homes: Vec<Sink> = homes.map(|replica| replica.sink.clone()).collect();
        let mut stale = Vec::new();
        for replica in replicas.iter().filter(|replica| replica.status(seq) == ReplicaStatus::Stale) {
            let is_due = !is_needed || replica.desired == Desired::Cleared;
            if is_due && self.backing_off(&replica.sink, Action::Delete, deadline)?.is_none() {
                stale.push(replica);
            }
        }
        if stale.is_empty() {
            return Ok(deletions);
        }
        if let Some((home, failure)) = self.first_backing_off(&homes, deadline)? {
            let reason = format!("{home} has to answer first: {failure}");
            for replica in stale {
                self.registry(deadline).postpone(group.id, &replica.sink, &reason, SystemTime::now())?;
            }
            return Ok(deletions);
        }
        let delivered = replicas.iter().filter(|replica| replica.status(seq) == ReplicaStatus::Delivered);
        let delivered: Vec<Sink> = delivered.map(|replica| replica.sink.clone()).collect();
        if !delivered.is_empty() {
            self.registry(deadline).mark_pending(group.id, &delivered, SystemTime::now())?;
        }
        for (done, replica) in stale.iter().enumerate() {
            let share = fair_share(until_bookkeeping(deadline), stale.len() - done + 1);
            deletions.push(self.delete(&group, replica, share).await);
        }
        for home in delivered {
            let result = self.send_state(&group, &home, 1, until_bookkeeping(deadline), deadline).await;
            deletions.push(Delivery { sink: home, result, stand_in: None });
        }
        Ok(deletions)
    }

    /// Makes sure that homes which need nothing more still have what they were given, before what stands in for them
    /// goes. Gives the group as it is then.
    pub(super) async fn check_homes_for_restart(
        &mut self,
        status: GroupStatus,
        deadline: Instant,
    ) -> Result<GroupStatus, RegistryError> {
        let seq = status.group.state.seq;
        let stands = |standing| status.replicas.iter().filter(move |replica| replica.status(seq) == standing);
        if stands(ReplicaStatus::Stale).next().is_none() {
            return Ok(status);
        }
        for home in stands(ReplicaStatus::Delivered) {
            self.check_for_restart(&home.sink, time_for_a_question(deadline)).await?;
        }
        Ok(self.registry(deadline).group(&status.group.key)?.unwrap_or(status))
    }

    /// A home that is backing off, so that what stands in for it is all that scrapes see.
    fn first_backing_off<'h>(
        &mut self,
        homes: &'h [Sink],
        deadline: Instant,
    ) -> Result<Option<(&'h Sink, Failure)>, RegistryError> {
        for home in homes {
            if let Some(failure) = self.backing_off(home, Action::Push, deadline)? {
                return Ok(Some((home, failure)));
            }
        }
        Ok(None)
    }

    /// Deletes the group at one sink, and reads back whether it is gone. Only then is the replica forgotten.
    ///
    /// Where an earlier request was given up, it may have been carried out after all that: then it is done twice.
    async fn delete(&mut self, group: &Group, replica: &Replica, deadline: Instant) -> Delivery {
        let sink = &replica.sink;
        let mut result = match self.remains(group, sink, deadline) {
            Err(error) => Err(pending(&error.to_string())),
            Ok(remains) => match delete_at(self.clients, sink, &group.key, &remains, deadline).await {
                Ok(()) if sink.keeps_the_past() => {
                    self.settle(group, sink, &[], deadline);
                    Ok(())
                }
                Ok(()) if replica.abandoned => delete_at(self.clients, sink, &group.key, &remains, deadline).await,
                other => other,
            },
        };
        if let Err(failure) = &mut result {
            self.note_failure(sink, Action::Delete, failure);
        }
        let outcome = match &result {
            Ok(()) => RequestOutcome::Deleted,
            Err(Failure::Pending { error, .. }) => RequestOutcome::Failed(error.clone()),
            Err(Failure::Rejected(error) | Failure::WithoutJobMetrics(error)) => {
                let against = Against::Group;
                RequestOutcome::Failed(RetryableError { against, ..error.as_str().into() })
            }
        };
        // Not written down, the deletion is made once more.
        if let Err(error) = self.registry(deadline).finish_request(group.id, sink, &outcome, SystemTime::now()) {
            tracing::debug!("group {}: {error}", group.key);
        }
        Delivery { sink: sink.clone(), result, stand_in: None }
    }

    /// What a sink that keeps the past has of the group; nothing of another one.
    fn remains(&mut self, group: &Group, sink: &Sink, deadline: Instant) -> Result<Remains, RegistryError> {
        if !sink.keeps_the_past() {
            return Ok(Remains::default());
        }
        let (stamp, series) = self.registry(deadline).begin_end(group.id, sink, SystemTime::now())?;
        Ok(Remains { series: Exposition::of_series(series.iter().map(String::as_str)), stamp })
    }
}

/// Deletes the group at the sink, and reads back whether it is gone, where there is something to read: a database takes the
/// end of a group or refuses it.
pub(super) async fn delete_at(
    clients: &mut Clients,
    sink: &Sink,
    key: &GroupingKey,
    remains: &Remains,
    deadline: Instant,
) -> Result<(), Failure> {
    let client = clients.get(sink).map_err(badly_set)?;
    judged(client.delete(key, remains, deadline).await)?;
    if sink.keeps_the_past() {
        return Ok(());
    }
    let until = deadline.min(Instant::now() + DELETION_TIME);
    let mut pause = Duration::from_millis(2);
    loop {
        match client.lookup(key, until).await {
            Ok(GroupLookup::Absent) => return Ok(()),
            Ok(_) if Instant::now() + pause < until => tokio::time::sleep(pause).await,
            Ok(_) => return Err(pending("accepted the deletion, and still has the group")),
            Err(ReadError::Unavailable(outage)) if outage.remedy == Remedy::Setting => {
                tracing::debug!("group {key}: {sink} lets nobody see whether it is deleted: {outage}");
                return Ok(());
            }
            Err(error) => return Err(pending(&error.to_string())),
        }
        pause *= 2;
    }
}

fn time_for_a_question(deadline: Instant) -> Instant {
    until_bookkeeping(deadline).min(Instant::now() + QUESTION_TIMEOUT)
}
