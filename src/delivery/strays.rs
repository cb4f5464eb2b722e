//! Copies that should not be: left behind by a failover, by a change of gateways, or deleted on purpose.
//!
//! Never loses the copy that should be: one that is found under another name of the same destination is left alone, and
//! where that cannot be found out, what is at home is owed again before the deletion.

use std::time::{Duration, Instant, SystemTime};

use super::clients::Clients;
use super::courier::{Courier, Delivery, Failure, badly_set, judged, pending, until_settling};
use super::flight;
use super::namesakes::{Relation, Silent, relation};
use super::route::Destination;
use super::sightings::PATIENCE_OF_A_QUESTION;
use crate::grouping::GroupingKey;
use crate::registry::{Copy, Debt, Group, GroupStatus, RegistryError, Settlement, Standing, Want};
use crate::sinks::pushgateway::{Client, Memory};
use crate::sinks::textfile::TextfileDir;

/// How long a courier waits for a gateway to confirm a deletion.
const DELETION_TIME: Duration = Duration::from_secs(2);

impl Courier<'_> {
    /// Pays what is owed of a debt's group: of one that is still registered, all of it.
    pub(super) async fn pay(&mut self, debt: &Debt, deadline: Instant) -> Result<Vec<Delivery>, RegistryError> {
        let Some(_flight) = flight::take(self.dir, &debt.group.key, deadline).await else { return Ok(Vec::new()) };
        if let Some(status) = self.registry(deadline).group(&debt.group.key)? {
            return self.bring_up_to_date(status, deadline).await;
        }
        match self.resting(&debt.copy.destination, deadline)? {
            Some(_) => Ok(Vec::new()),
            None => Ok(vec![self.delete(&debt.group, &debt.copy, deadline).await]),
        }
    }

    /// Deletes copies of the group that should not be, as far as their time has come: what a failover left behind never
    /// goes before the destinations that are to hold the group do, so that no scrape misses it.
    pub(super) async fn remove_strays(
        &mut self,
        key: &GroupingKey,
        deadline: Instant,
    ) -> Result<Vec<Delivery>, RegistryError> {
        let mut deletions = Vec::new();
        let Some(GroupStatus { group, copies }) = self.registry(deadline).group(key)? else { return Ok(deletions) };
        let seq = group.state.seq;
        let is_awaited = |copy: &Copy| copy.standing(seq) == Standing::Pending;
        let is_needed = copies.iter().any(is_awaited);
        let homes = copies.iter().filter(|copy| copy.want == Want::Present);
        let homes: Vec<String> = homes.map(|copy| copy.destination.clone()).collect();
        let mut is_home_in_doubt = false;
        for copy in copies.iter().filter(|copy| copy.standing(seq) == Standing::Stray) {
            let is_due = !is_needed || copy.want == Want::Cleared;
            if !is_due || self.resting(&copy.destination, deadline)?.is_some() {
                continue;
            }
            if let Some(silent) = self.first_resting(&homes, deadline)? {
                self.postpone(&group, copy, silent, deadline)?;
                continue;
            }
            match self.relation_to(&homes, copy, deadline).await {
                Ok(Relation::One) => deletions.push(self.is_no_stray(&group, copy, deadline)?),
                Ok(Relation::Two) => deletions.push(self.delete(&group, copy, deadline).await),
                Ok(Relation::Unknown) => {
                    // Written down first: whatever happens to the copies at home, they are sent once more.
                    self.registry(deadline).owe_again(group.id, &homes, SystemTime::now())?;
                    is_home_in_doubt = true;
                    deletions.push(self.delete(&group, copy, deadline).await);
                }
                Err(silent) => {
                    self.note_silence(&silent.destination, &silent.failure, deadline)?;
                    deletions.push(self.postpone(&group, copy, silent, deadline)?);
                }
            }
        }
        for home in homes.into_iter().filter(|_| is_home_in_doubt) {
            let result = self.send_state(&group, &home, 1, until_settling(deadline), deadline).await;
            deletions.push(Delivery { destination: home, result, stand_in: None });
        }
        Ok(deletions)
    }

    /// Makes sure that homes which need nothing more still have what they were given, before what stands in for them
    /// goes. Gives the group as it is then.
    pub(super) async fn look_at_homes(
        &mut self,
        status: GroupStatus,
        deadline: Instant,
    ) -> Result<GroupStatus, RegistryError> {
        let seq = status.group.state.seq;
        let stands = |standing| status.copies.iter().filter(move |copy| copy.standing(seq) == standing);
        if stands(Standing::Stray).next().is_none() {
            return Ok(status);
        }
        for home in stands(Standing::Delivered) {
            if let Destination::Gateway(url) = Destination::from_name(&home.destination) {
                self.look_at(&url, time_for_a_question(deadline)).await?;
            }
        }
        Ok(self.registry(deadline).group(&status.group.key)?.unwrap_or(status))
    }

    /// What the destination of a copy has to do with those that are to hold the group.
    async fn relation_to(&mut self, homes: &[String], copy: &Copy, deadline: Instant) -> Result<Relation, Silent> {
        let mut closest = Relation::Two;
        for home in homes {
            match relation(self.clients, home, &copy.destination, time_for_a_question(deadline)).await? {
                Relation::One => return Ok(Relation::One),
                Relation::Unknown => closest = Relation::Unknown,
                Relation::Two => {}
            }
        }
        Ok(closest)
    }

    /// The copy is the one at home, by another name of it: there is nothing to delete.
    fn is_no_stray(&mut self, group: &Group, copy: &Copy, deadline: Instant) -> Result<Delivery, RegistryError> {
        let destination = copy.destination.clone();
        tracing::info!("group {}: {destination} is another name of where it belongs", group.key);
        self.registry(deadline).settle(group.id, &destination, &Settlement::Deleted, SystemTime::now())?;
        Ok(Delivery { destination, result: Ok(()), stand_in: None })
    }

    /// A copy waits until it is known whether it is the one at home.
    fn postpone(
        &mut self,
        group: &Group,
        copy: &Copy,
        Silent { destination, failure }: Silent,
        deadline: Instant,
    ) -> Result<Delivery, RegistryError> {
        let stray = copy.destination.clone();
        let failure = match destination == stray {
            true => failure,
            false => pending(&format!("{destination} has to answer first: {failure}")),
        };
        self.registry(deadline).postpone(group.id, &stray, &failure.to_string(), SystemTime::now())?;
        Ok(Delivery { destination: stray, result: Err(failure), stand_in: None })
    }

    /// A home that is left alone just now, and so cannot be asked.
    fn first_resting(&mut self, homes: &[String], deadline: Instant) -> Result<Option<Silent>, RegistryError> {
        for home in homes {
            if let Some(failure) = self.resting(home, deadline)? {
                return Ok(Some(Silent { destination: home.clone(), failure }));
            }
        }
        Ok(None)
    }

    /// Deletes the group at one destination, and reads back whether it is gone. Only then is the copy forgotten.
    ///
    /// Where an earlier request was given up, it may have been carried out after all that: then it is done twice.
    async fn delete(&mut self, group: &Group, copy: &Copy, deadline: Instant) -> Delivery {
        let destination = copy.destination.as_str();
        let result = match delete_at(self.clients, destination, &group.key, deadline).await {
            Ok(()) if copy.abandoned => delete_at(self.clients, destination, &group.key, deadline).await,
            other => other,
        };
        let settlement = match &result {
            Ok(()) => Settlement::Deleted,
            Err(Failure::Pending { setback, .. }) => Settlement::Pending(setback.clone()),
            Err(Failure::Rejected(error) | Failure::WithoutJobMetrics(error)) => {
                Settlement::Pending(error.as_str().into())
            }
        };
        if let Err(failure) = &result {
            self.note_failure(destination, failure);
        }
        // Not written down, the deletion is made once more.
        if let Err(error) = self.registry(deadline).settle(group.id, destination, &settlement, SystemTime::now()) {
            tracing::debug!("group {}: {error}", group.key);
        }
        Delivery { destination: destination.to_owned(), result, stand_in: None }
    }
}

/// Deletes the group at the destination, and reads back whether it is gone.
pub(super) async fn delete_at(
    clients: &mut Clients,
    destination: &str,
    key: &GroupingKey,
    deadline: Instant,
) -> Result<(), Failure> {
    match Destination::from_name(destination) {
        Destination::Textfiles(folder) => {
            TextfileDir::new(folder).remove(key).map(|_| ()).map_err(|error| badly_set(error.to_string()))
        }
        Destination::Gateway(url) => match clients.get(&url) {
            Err(setup) => Err(badly_set(setup)),
            Ok(client) => delete_and_verify(client, key, deadline).await,
        },
    }
}

fn time_for_a_question(deadline: Instant) -> Instant {
    until_settling(deadline).min(Instant::now() + PATIENCE_OF_A_QUESTION)
}

async fn delete_and_verify(client: &Client, key: &GroupingKey, deadline: Instant) -> Result<(), Failure> {
    judged(client.delete(key, deadline).await)?;
    let until = deadline.min(Instant::now() + DELETION_TIME);
    let mut pause = Duration::from_millis(2);
    loop {
        match client.memory(key, until).await {
            Ok(Memory::Absent) => return Ok(()),
            Ok(_) if Instant::now() + pause < until => tokio::time::sleep(pause).await,
            Ok(_) => {
                return Err(pending("accepted the deletion, and still has the group"));
            }
            Err(error) => return Err(pending(&error.to_string())),
        }
        pause *= 2;
    }
}
