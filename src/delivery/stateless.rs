//! Delivery where the registry cannot be used: what one run says of its group, sent once.
//!
//! Nothing is owed, and nothing is known of the group's past, so the state is merged into what the gateway remembers.
//! A replica that a failover makes is written down nowhere. So there is none where the run's result waits in the journal,
//! from which its home will have it; and where nothing at all can be kept, as in a container without a volume, a run that
//! reaches its home deletes what earlier ones may have left with those who stand in.

use std::time::Instant;

use super::clients::Clients;
use super::families::Content;
use super::group_lock;
use super::reconciler::{Delivery, Failure, badly_set, fair_share, judged, send, textfile_labels, write_textfile};
use super::route::{Destination, Route};
use super::stale_replicas::delete_at;
use crate::grouping::GroupingKey;
use crate::registry::{GroupState, StateDir};
use crate::sinks::textfile::TextfileDir;

/// A state that the registry does not have.
#[derive(Clone, Copy, Debug)]
pub struct StatelessReport<'a> {
    /// Its group.
    pub key: &'a GroupingKey,
    /// What the run says of it.
    pub state: &'a GroupState,
    /// Where it belongs, as the run was told when it started.
    pub homes: &'a [String],
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
        let mut at_home = Ok(());
        let mut stand_in = None;
        for (tried, candidate) in std::iter::once(home).chain(&stand_ins).enumerate() {
            let share = fair_share(deadline, 1 + stand_ins.len() - tried);
            let sent = send_once(clients, candidate, key, state, share).await;
            let is_over = !matches!(sent, Err(Failure::Pending { .. }));
            if tried == 0 {
                at_home = sent;
            } else if sent.is_ok() {
                stand_in = Some(candidate.clone());
            }
            if is_over {
                break;
            }
        }
        if at_home.is_ok() {
            delete_stale_replicas(clients, home, &stand_ins, key, deadline).await;
        }
        deliveries.push(Delivery { destination: home.clone(), result: at_home, stand_in });
    }
    deliveries
}

/// Deletes the group at these destinations until `deadline`, under the group's lock in `dir`, if there is one.
pub async fn withdraw(
    clients: &mut Clients,
    dir: Option<&StateDir>,
    key: &GroupingKey,
    destinations: &[String],
    deadline: Instant,
) -> Vec<Delivery> {
    let _lock = match dir {
        Some(dir) => group_lock::acquire(dir, key, deadline).await,
        None => None,
    };
    let mut deliveries = Vec::new();
    for (tried, destination) in destinations.iter().enumerate() {
        let share = fair_share(deadline, destinations.len() - tried);
        let result = delete_at(clients, destination, key, share).await;
        deliveries.push(Delivery { destination: destination.clone(), result, stand_in: None });
    }
    deliveries
}

/// A gateway is told to delete the group only if it certainly is another one than the home.
async fn delete_stale_replicas(
    clients: &mut Clients,
    home: &str,
    stand_ins: &[String],
    key: &GroupingKey,
    deadline: Instant,
) {
    for url in stand_ins {
        if !are_two(clients, home, url, fair_share(deadline, 2)).await {
            tracing::info!("group {key}: {url} may hold an earlier state");
            continue;
        }
        let Ok(client) = clients.get(url) else { continue };
        if let Err(failure) = judged(client.delete(key, fair_share(deadline, 2)).await) {
            tracing::info!("group {key}: {url} may hold an earlier state: {failure}");
        }
    }
}

/// Whether the URLs lead to two gateways, and not to one by two names: each gateway tells to the nanosecond when it was
/// started. That the first is asked again shows that it was not restarted in between.
async fn are_two(clients: &mut Clients, one: &str, other: &str, deadline: Instant) -> bool {
    let mut start_times = Vec::new();
    for url in [one, other, one] {
        let Ok(client) = clients.get(url) else { return false };
        let Ok(status) = client.status(deadline).await else { return false };
        start_times.push(status.start_time);
    }
    start_times[0] != start_times[1] && start_times[0] == start_times[2]
}

async fn send_once(
    clients: &mut Clients,
    destination: &str,
    key: &GroupingKey,
    state: &GroupState,
    deadline: Instant,
) -> Result<(), Failure> {
    let content = Content::of(state, 0);
    match Destination::from_name(destination) {
        Destination::Textfiles(directory) => {
            write_textfile(&TextfileDir::new(directory), key, &content.text(&textfile_labels(key)))
        }
        Destination::Gateway(url) => match clients.get(&url) {
            Err(reason) => Err(badly_set(reason)),
            Ok(client) => send(client, key, &content, deadline).await,
        },
    }
}
