//! One gateway as it answers.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use crate::delivery::Clients;
use crate::doctor::OwnGroup;
use crate::doctor::checks::gateway::{HeldGroups, ObservedGateway};
use crate::grouping::{GroupingKey, LabelValue};
use crate::janitor::reading::{Reading, read};
use crate::sinks::pushgateway::{self, Client, RawKey};

/// How long a small answer may take.
pub(super) const SMALL_ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// So many answers over connections of their own: of two gateways behind one address, one answers all of them once in 32.
const ASKED: usize = 6;

/// Asks one gateway as far as it answers; `request_timeout` is for answers that grow with what it holds. `own` are this host's
/// groups, at whatever gateway.
pub(super) async fn collect(
    clients: &Clients,
    request_timeout: Duration,
    url: &str,
    own: &[OwnGroup],
    known_start_time: Option<&String>,
) -> ObservedGateway {
    let own: Vec<OwnGroup> = own.iter().filter(|own| own.gateway == url).cloned().collect();
    let mut seen = ObservedGateway {
        url: url.to_owned(),
        setup: Ok(()),
        warnings: Vec::new(),
        readiness: None,
        status: None,
        proof: None,
        start_times: BTreeSet::new(),
        known_start_time: known_start_time.cloned(),
        scrape: None,
        held: None,
        own,
    };
    let built = clients.setup(url).and_then(|(setup, warnings)| {
        seen.warnings = warnings;
        let client = Client::new(&setup).map_err(|error| error.to_string())?;
        Ok((setup, client))
    });
    match built {
        Ok((setup, client)) => ask(&mut seen, &setup, &client, request_timeout).await,
        Err(reason) => seen.setup = Err(reason),
    }
    seen
}

async fn ask(seen: &mut ObservedGateway, setup: &pushgateway::Endpoint, client: &Client, request_timeout: Duration) {
    let soon = || Instant::now() + SMALL_ANSWER_TIMEOUT;
    let readiness = client.readiness(soon()).await.map(|readiness| (readiness, SystemTime::now()));
    let goes_on =
        readiness.as_ref().is_ok_and(|(readiness, _)| !matches!(readiness.status, 401 | 403 | 407 | 500 | 502..=504));
    let may_only_push = readiness.as_ref().is_ok_and(|(readiness, _)| matches!(readiness.status, 401 | 403 | 405));
    seen.readiness = Some(readiness);
    let nobody = GroupingKey::new(LabelValue::new("jobmon").expect("not empty"), []);
    if may_only_push {
        seen.proof = Some(client.prove(&nobody, soon()).await);
    }
    if !goes_on || matches!(seen.proof, Some(Ok(()))) {
        return;
    }
    let status = client.status(soon()).await;
    let is_pushgateway = status.is_ok();
    seen.start_times.extend(status.as_ref().ok().map(|status| status.start_time.clone()));
    seen.status = Some(status);
    if !is_pushgateway {
        seen.proof = Some(client.prove(&nobody, soon()).await);
        return;
    }
    for _ in 1..ASKED {
        // A balancer of connections would send all requests of one connection to the same gateway.
        if let Ok(client) = Client::new(setup)
            && let Ok(status) = client.status(soon()).await
        {
            seen.start_times.insert(status.start_time);
        }
    }
    seen.scrape = Some(client.check_scrape(Instant::now() + request_timeout).await);
    let reading = read(client, Instant::now() + request_timeout).await;
    seen.held = Some(reading.map(|reading| held(reading, &seen.own)).map_err(|error| error.to_string()));
}

fn held(reading: Reading, own: &[OwnGroup]) -> HeldGroups {
    let mut held = HeldGroups { groups: reading.groups.len(), samples: reading.samples, ..HeldGroups::default() };
    for own in own {
        match reading.get(&RawKey::from(&own.key)) {
            Some(group) if group.is_ghost() => held.own_ghosts.push(own.key.clone()),
            Some(group) => _ = held.own.insert(group.key.clone()),
            None => {}
        }
    }
    for group in reading.groups {
        if group.is_poison() {
            held.poison.push(group);
        } else if !group.last_push_successful {
            held.refused.push(group.key);
        }
    }
    held
}
