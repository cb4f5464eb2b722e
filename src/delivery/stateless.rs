//! Delivery where the registry cannot be used: what one run says of its group, sent once.
//!
//! Nothing can be pending, and nothing is known of the group's past, so the state is merged into what the gateway remembers.
//! A replica that a failover makes is written down nowhere. So there is none where the run's result waits in the journal,
//! from which its home will have it; and where nothing at all can be kept, as in a container without a volume, a run that
//! reaches its home deletes what earlier ones may have left with those who stand in.

use std::time::{Duration, Instant};

use super::clients::Clients;
use super::families::remembered;
use super::group_lock;
use super::route::Route;
use super::send::{Delivery, fail_over, fair_share, judged, send};
use super::stale_replicas::delete_at;
use crate::destination::Sink;
use crate::grouping::GroupingKey;
use crate::registry::{GroupState, Memory, Past, RunCounts, StateDir};
use crate::sinks::{Content, Remains};

/// A state that the registry does not have.
#[derive(Clone, Copy, Debug)]
pub struct StatelessReport<'a> {
    /// Its group.
    pub key: &'a GroupingKey,
    /// What the run says of it.
    pub state: &'a GroupState,
    /// Where it belongs, as the run was told when it started.
    pub homes: &'a [Sink],
    /// Who stands in.
    pub route: &'a Route,
    /// The result waits in the journal, and will be delivered from there.
    pub is_spooled: bool,
}

/// Sends the state to its homes, or to who stands in for them, until `deadline`; under the group's lock in `dir`, if there
/// is one.
pub async fn deliver(
    clients: &mut Clients,
    dir: Option<&StateDir>,
    report: StatelessReport<'_>,
    deadline: Instant,
) -> Vec<Delivery> {
    let StatelessReport { key, state, homes, route, is_spooled } = report;
    let _lock = match dir {
        Some(dir) => group_lock::acquire(dir, key, deadline).await,
        None => None,
    };
    let mut deliveries = Vec::new();
    for home in homes {
        let stand_ins = if is_spooled { Vec::new() } else { route.stand_ins(home, key) };
        let candidates: Vec<&Sink> = std::iter::once(home).chain(&stand_ins).collect();
        let state = with_the_past(clients, &candidates, key, state, fair_share(deadline, 2)).await;
        let send_to = async |sink: &Sink, share: Instant| send(clients, sink, key, &state, share).await;
        let delivery = fail_over(home, None, &candidates, deadline, send_to).await;
        if delivery.result.is_ok() {
            delete_stale_replicas(clients, home, &stand_ins, key, deadline).await;
        }
        deliveries.push(delivery);
    }
    deliveries
}

/// The state as it follows on what is remembered of the group by the one of `sinks` that remembers the most: an earlier run may
/// have been left with who stands in. As it is where nobody says.
async fn with_the_past(
    clients: &mut Clients,
    sinks: &[&Sink],
    key: &GroupingKey,
    state: &GroupState,
    deadline: Instant,
) -> GroupState {
    let mut most: Option<Memory> = None;
    for (asked, sink) in sinks.iter().enumerate() {
        let Ok(client) = clients.get(sink) else { continue };
        if let Ok(samples) = client.memory(key, fair_share(deadline, sinks.len() - asked)).await {
            most = Some(Memory::newer(most, remembered(&samples)));
        }
    }
    let mut state = state.clone();
    if let Some(memory) = most {
        state.adopt(&memory, &RunCounts::default(), Duration::ZERO);
    }
    state
}

/// Deletes the group, of which `state` is what this run would have said, at these sinks until `deadline`; under the group's lock
/// in `dir`, if there is one.
pub async fn withdraw(
    clients: &mut Clients,
    dir: Option<&StateDir>,
    key: &GroupingKey,
    state: &GroupState,
    sinks: &[Sink],
    deadline: Instant,
) -> Vec<Delivery> {
    let _lock = match dir {
        Some(dir) => group_lock::acquire(dir, key, deadline).await,
        None => None,
    };
    // What an earlier run of the job sent from another container, as far as it can be known.
    let content = Content::of(&GroupState { past: Past::Known, ..state.clone() });
    let remains = Remains { series: content.families.or(content.job_metrics), stamp: state.stamp };
    let mut deliveries = Vec::new();
    for (tried, sink) in sinks.iter().enumerate() {
        let share = fair_share(deadline, sinks.len() - tried);
        let result = delete_at(clients, sink, key, &remains, share).await;
        deliveries.push(Delivery { sink: sink.clone(), result, stand_in: None });
    }
    deliveries
}

/// A gateway is told to delete the group only if it certainly is another one than the home.
async fn delete_stale_replicas(
    clients: &mut Clients,
    home: &Sink,
    stand_ins: &[Sink],
    key: &GroupingKey,
    deadline: Instant,
) {
    for sink in stand_ins {
        if !are_two(clients, home, sink, fair_share(deadline, 2)).await {
            tracing::info!("group {key}: {sink} may hold an earlier state");
            continue;
        }
        let Ok(client) = clients.get(sink) else { continue };
        if let Err(failure) = judged(client.delete(key, &Remains::default(), fair_share(deadline, 2)).await) {
            tracing::info!("group {key}: {sink} may hold an earlier state: {failure}");
        }
    }
}

/// Whether these are two gateways, and not one by two names: each tells to the nanosecond when it was started. That the
/// first is asked again shows that it was not restarted in between.
async fn are_two(clients: &mut Clients, one: &Sink, other: &Sink, deadline: Instant) -> bool {
    let mut start_times = Vec::new();
    for sink in [one, other, one] {
        let Ok(client) = clients.get(sink) else { return false };
        let Ok(Some(start_time)) = client.start_time(deadline).await else { return false };
        start_times.push(start_time);
    }
    start_times[0] != start_times[1] && start_times[0] == start_times[2]
}
