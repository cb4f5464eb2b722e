//! Paying what is owed from earlier: a little of it by every run, all of it by `jobmon flush`.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

use super::courier::{Courier, Delivery, Failure, pending};
use crate::grouping::GroupingKey;
use crate::registry::{Debt, GroupId, RegistryError, Which};

/// How many older debts a run looks at after its own delivery.
const DEBTS_OF_A_RUN: usize = 8;
/// How long it takes for that at the most: its own report is delivered, and whoever waits for it waits for strangers.
const TIME_FOR_DEBTS: Duration = Duration::from_secs(2);
/// One request of a flush may take this long: a gateway that holds too much is slow, and a request that is given up is
/// carried out all the same.
const PATIENCE_OF_A_FLUSH: Duration = Duration::from_secs(60);

/// What a flush has done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flushed {
    /// Groups of which something was owed.
    pub groups: usize,
    /// What is still owed.
    pub left: Vec<Debt>,
}

impl Courier<'_> {
    /// Pays a few older debts until `deadline` at the latest; what cannot be paid stays owed.
    pub async fn pay_some(&mut self, deadline: Instant) -> Result<(), RegistryError> {
        let until = deadline.min(Instant::now() + TIME_FOR_DEBTS);
        for debt in self.registry(deadline).owed(Which::Payable, DEBTS_OF_A_RUN, SystemTime::now())? {
            if Instant::now() >= until {
                return Ok(());
            }
            for delivery in self.pay(&debt, until).await? {
                say(&debt, &delivery);
            }
        }
        Ok(())
    }

    /// Deletes a group that was unregistered wherever a copy of it may be, each copy once, until `deadline`.
    pub async fn remove(&mut self, key: &GroupingKey, deadline: Instant) -> Result<Vec<Delivery>, RegistryError> {
        let mut deliveries = Vec::new();
        for debt in self.debts_of(key, deadline)? {
            deliveries.extend(self.pay(&debt, deadline).await?);
        }
        // What could not even be tried: another jobmon was still at it.
        for debt in self.debts_of(key, deadline)? {
            let destination = debt.copy.destination;
            if deliveries.iter().all(|delivery| delivery.destination != destination) {
                let result = Err(pending("another jobmon is still sending an earlier state"));
                deliveries.push(Delivery { destination, result, stand_in: None });
            }
        }
        Ok(deliveries)
    }

    fn debts_of(&mut self, key: &GroupingKey, deadline: Instant) -> Result<Vec<Debt>, RegistryError> {
        let debts = self.registry(deadline).owed(Which::All, usize::MAX, SystemTime::now())?;
        Ok(debts.into_iter().filter(|debt| debt.group.key == *key).collect())
    }

    /// Pays whatever is owed, each debt once.
    pub async fn flush(&mut self) -> Result<Flushed, RegistryError> {
        let deadline = || Instant::now() + PATIENCE_OF_A_FLUSH;
        let debts = self.registry(deadline()).owed(Which::All, usize::MAX, SystemTime::now())?;
        let groups: HashSet<GroupId> = debts.iter().map(|debt| debt.group.id).collect();
        let mut paid = HashSet::new();
        for debt in debts {
            // One visit brings a registered group up to date everywhere; a retired one is deleted place by place.
            if debt.group.retired || paid.insert(debt.group.id) {
                for delivery in self.pay(&debt, deadline()).await? {
                    say(&debt, &delivery);
                }
            }
        }
        let left = self.registry(deadline()).owed(Which::All, usize::MAX, SystemTime::now())?;
        Ok(Flushed { groups: groups.len(), left })
    }
}

/// A refusal for good ends a debt, so that it is said when it happens; the others can be asked for at any time.
fn say(debt: &Debt, delivery: &Delivery) {
    let (group, destination) = (&debt.group.key, &delivery.destination);
    match &delivery.result {
        Ok(()) => tracing::info!("group {group}: {destination} is up to date"),
        Err(failure @ Failure::Rejected(_)) => tracing::error!("group {group}: {destination}: {failure}"),
        Err(failure) => tracing::info!("group {group}: still owed to {destination}: {failure}"),
    }
}
