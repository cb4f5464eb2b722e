//! Looks at every link of the chain once.

mod gateway;
mod host;
mod prometheus;

use std::time::{Duration, SystemTime};

use futures_util::future::join_all;

use super::Finding;
use super::checks;
use super::checks::gateway::ObservedGateway;
use super::checks::host::{ObservedHost, ObservedRegistry};
use crate::config::{self, Config};
use crate::delivery::Clients;
use crate::sinks::Driver;

/// Everything that was seen, and what is to be said of it.
pub struct Observations {
    /// This host.
    pub host: ObservedHost,
    /// The configured gateways.
    pub gateways: Vec<ObservedGateway>,
    /// What is to be said of all of it, in the order of the chain.
    pub findings: Vec<Finding>,
}

/// Looks at this host, its gateways and the server at `prometheus`, if one is named. An answer that grows with what a
/// gateway holds may take `request_timeout`.
pub fn collect(
    config: &Config,
    driver: &Driver,
    prometheus: Option<&config::Gateway>,
    request_timeout: Duration,
) -> Observations {
    let clients = Clients::new(config);
    let (host, known) = host::collect(config);
    let own = match &host.registry {
        ObservedRegistry::Open(contents) => contents.own.as_slice(),
        ObservedRegistry::Absent | ObservedRegistry::Failed(_) => &[],
    };
    let urls = config.gateways.iter().map(config::Gateway::url);
    // Those who do not answer are waited for together.
    let looks = urls.map(|url| gateway::collect(&clients, request_timeout, url, own, known.get(url)));
    let gateways = driver.block_on(join_all(looks));
    let mut findings = checks::host::findings(&host, SystemTime::now());
    findings.extend(gateways.iter().flat_map(checks::gateway::findings));
    if let Some(address) = prometheus {
        let urls = config.gateways.iter().map(|gateway| gateway.url().to_owned()).collect();
        findings.extend(match driver.block_on(prometheus::collect(&clients, address, urls, own)) {
            Ok(server) => checks::prometheus::findings(&server),
            Err(finding) => vec![*finding],
        });
    }
    Observations { host, gateways, findings }
}
