//! Prometheus and its Alertmanagers as they answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use super::gateway::SMALL_ANSWER_TIMEOUT;
use crate::config;
use crate::delivery::Clients;
use crate::doctor::checks::prometheus::{ObservedAlertmanager, ObservedPrometheus, SeriesLabels};
use crate::doctor::prometheus_api::{PrometheusClient, QueryError};
use crate::doctor::{Area, Finding, OwnGroup, Place};
use crate::sinks::http::{Endpoint, HttpClient};

/// How long an answer may take that grows with the site.
const LONG_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Asks Prometheus as far as it answers. `gateways` are those that it should scrape, `own` this host's groups.
///
/// # Errors
/// The finding that no client can be built.
pub(super) async fn collect(
    clients: &Clients,
    address: &config::Gateway,
    gateways: Vec<String>,
    own: &[OwnGroup],
) -> Result<ObservedPrometheus, Box<Finding>> {
    let client = PrometheusClient::new(address.clone(), clients.tls()).map_err(|error| {
        let place = Place::at(Area::Prometheus, address.url());
        Box::new(place.broken("secrets", error.to_string(), "fix that file or setting"))
    })?;
    let own = own.iter().filter(|own| own.delivered && gateways.contains(&own.gateway)).cloned().collect();
    let readiness =
        client.readiness(Instant::now() + SMALL_ANSWER_TIMEOUT).await.map(|readiness| (readiness, SystemTime::now()));
    let mut seen = ObservedPrometheus {
        url: address.url().to_owned(),
        readiness,
        version: None,
        targets: None,
        configuration: None,
        rules: None,
        series: None,
        alertmanagers: None,
        gateways,
        own,
    };
    if seen.readiness.is_err() {
        return Ok(seen);
    }
    let version = client.version(Instant::now() + SMALL_ANSWER_TIMEOUT).await;
    let is_prometheus = version.is_ok();
    seen.version = Some(version);
    if is_prometheus {
        let later = || Instant::now() + LONG_ANSWER_TIMEOUT;
        seen.targets = Some(client.targets(later()).await);
        seen.configuration = Some(client.configuration(later()).await);
        seen.series = Some(series(&client, &seen.own).await);
        seen.rules = Some(client.rules(later()).await);
        seen.alertmanagers = Some(alertmanagers(clients, &client).await);
    }
    Ok(seen)
}

/// `push_time_seconds` of the jobs of this host; the one series that every group has.
async fn series(client: &PrometheusClient, own: &[OwnGroup]) -> Result<Vec<SeriesLabels>, QueryError> {
    let jobs: BTreeSet<&str> = own.iter().map(|own| own.key.job()).collect();
    let mut series = Vec::new();
    for job in jobs {
        // PromQL writes strings as Go does, which understands JSON's.
        let job = serde_json::Value::from(job);
        let expression = format!("push_time_seconds{{job={job}}} or push_time_seconds{{exported_job={job}}}");
        series.extend(client.series(&expression, Instant::now() + LONG_ANSWER_TIMEOUT).await?);
    }
    Ok(series)
}

async fn alertmanagers(clients: &Clients, client: &PrometheusClient) -> Result<Vec<ObservedAlertmanager>, QueryError> {
    let urls = client.alertmanagers(Instant::now() + SMALL_ANSWER_TIMEOUT).await?;
    // Prometheus may have forbidden it, and does not have to be asked to be the answer to the rest.
    let failures = client.failed_notifications(Instant::now() + LONG_ANSWER_TIMEOUT).await.ok();
    let mut found = Vec::new();
    for url in urls {
        let failed = |failures: &BTreeMap<String, f64>| failures.get(&url).copied().unwrap_or_default();
        let (shown, answers) = knock(clients, &url).await;
        found.push(ObservedAlertmanager { url: shown, failures: failures.as_ref().map(failed), answers });
    }
    Ok(found)
}

/// The address without credentials, and why nobody answers there.
async fn knock(clients: &Clients, url: &str) -> (String, Result<(), String>) {
    let base = url.split_once("/api/").map_or(url, |(base, _)| base);
    let address = match config::Gateway::parse(base) {
        Ok(address) => address,
        Err(error) => return ("(not shown)".to_owned(), Err(error)),
    };
    let shown = address.url().to_owned();
    let gateway = Endpoint { tls: clients.tls(), ..Endpoint::new(address) };
    let answers = match HttpClient::new(&gateway) {
        Err(error) => Err(error.to_string()),
        Ok(client) => match client.readiness(Instant::now() + SMALL_ANSWER_TIMEOUT).await {
            Ok(readiness) if matches!(readiness.status, 200 | 401 | 403) => Ok(()),
            Ok(readiness) => Err(format!("{} with {}", readiness.status, readiness.words)),
            Err(outage) => Err(outage.to_string()),
        },
    };
    (shown, answers)
}
