//! Delivering what is pending from earlier: a little of it by every run, all of it by `jobmon flush`.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

use super::reconciler::Reconciler;
use super::send::{Delivery, Failure, pending};
use crate::grouping::GroupingKey;
use crate::registry::{GroupId, PendingAction, PendingFilter, RegistryError};

/// How many older actions a run looks at after its own delivery.
const ACTIONS_OF_A_RUN: usize = 8;
/// How long it takes for that at the most: its own report is delivered, and whoever waits for it waits for strangers.
const TIME_FOR_OLDER_ACTIONS: Duration = Duration::from_secs(2);
/// One request of a flush may take this long: a gateway that holds too much is slow, and a request that is given up is
/// carried out all the same.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// What a flush has done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flushed {
    /// Groups of which something was pending.
    pub groups: usize,
    /// What is still pending.
    pub left: Vec<PendingAction>,
}

impl Reconciler<'_> {
    /// Carries out a few older actions until `deadline` at the latest; what cannot be done stays pending.
    pub async fn flush_some(&mut self, deadline: Instant) -> Result<(), RegistryError> {
        let until = deadline.min(Instant::now() + TIME_FOR_OLDER_ACTIONS);
        for action in self.pending_actions(PendingFilter::Actionable, ACTIONS_OF_A_RUN, deadline)? {
            if Instant::now() >= until {
                return Ok(());
            }
            for delivery in self.carry_out(&action, until).await? {
                report(&action, &delivery);
            }
        }
        Ok(())
    }

    /// Deletes a group that was unregistered wherever a replica of it may be, each replica once, until `deadline`.
    pub async fn remove(&mut self, key: &GroupingKey, deadline: Instant) -> Result<Vec<Delivery>, RegistryError> {
        let mut deliveries = Vec::new();
        for action in self.pending_of(key, deadline)? {
            deliveries.extend(self.carry_out(&action, deadline).await?);
        }
        // What could not even be tried: another jobmon was still at it.
        for action in self.pending_of(key, deadline)? {
            let sink = action.replica.sink;
            if deliveries.iter().all(|delivery| delivery.sink != sink) {
                let result = Err(pending("another jobmon is still sending an earlier state"));
                deliveries.push(Delivery { sink, result, stand_in: None });
            }
        }
        Ok(deliveries)
    }

    /// Carries out whatever is pending, each action once.
    pub async fn flush(&mut self) -> Result<Flushed, RegistryError> {
        let deadline = || Instant::now() + REQUEST_TIMEOUT;
        let actions = self.pending_actions(PendingFilter::All, usize::MAX, deadline())?;
        let groups: HashSet<GroupId> = actions.iter().map(|action| action.group.id).collect();
        let mut visited = HashSet::new();
        for action in actions {
            // One visit brings a registered group up to date everywhere; a retired one is deleted place by place.
            if action.group.retired || visited.insert(action.group.id) {
                for delivery in self.carry_out(&action, deadline()).await? {
                    report(&action, &delivery);
                }
            }
        }
        let left = self.pending_actions(PendingFilter::All, usize::MAX, deadline())?;
        Ok(Flushed { groups: groups.len(), left })
    }

    fn pending_of(&mut self, key: &GroupingKey, deadline: Instant) -> Result<Vec<PendingAction>, RegistryError> {
        let actions = self.pending_actions(PendingFilter::All, usize::MAX, deadline)?;
        Ok(actions.into_iter().filter(|action| action.group.key == *key).collect())
    }

    fn pending_actions(
        &mut self,
        filter: PendingFilter,
        limit: usize,
        deadline: Instant,
    ) -> Result<Vec<PendingAction>, RegistryError> {
        self.registry(deadline).pending_actions(filter, limit, SystemTime::now())
    }
}

/// A refusal for good ends a pending action, so that it is said when it happens; the others can be asked for at any time.
fn report(action: &PendingAction, delivery: &Delivery) {
    let (group, sink) = (&action.group.key, &delivery.sink);
    match &delivery.result {
        Ok(()) => tracing::info!("group {group}: {sink} is up to date"),
        Err(failure @ Failure::Rejected(_)) => tracing::error!("group {group}: {sink}: {failure}"),
        Err(failure) => tracing::info!("group {group}: still owed to {sink}: {failure}"),
    }
}
