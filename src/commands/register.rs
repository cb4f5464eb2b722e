//! `jobmon register` and `jobmon unregister`: a job is known from before its first run until nobody wants it any more.

use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Result, bail};

use super::session::{DeliverySession, demand_name, report_deliveries};
use crate::config::{Config, UsageError};
use crate::declaration;
use crate::registry::Declaration;

/// Keeps what is expected of a job in the registry and sends it to the gateways, or owes it to them.
///
/// Nothing is printed when it is there. 1 if it could not be kept, or not be delivered; 125 for bad usage.
pub fn register(config: &Config) -> Result<ExitCode> {
    demand_name(config)?;
    let declaration = expected(config)?;
    let mut session = DeliverySession::open(config)?;
    let key = &config.grouping_key;
    session.registry().register(key, &declaration, SystemTime::now())?;
    let deliveries = session.with_reconciler(async |reconciler, deadline| reconciler.deliver(key, deadline).await)?;
    Ok(report_deliveries(&deliveries, "registered here and owed there"))
}

fn expected(config: &Config) -> Result<Declaration, UsageError> {
    let schedule = declaration::schedule(config)?;
    let expectations = declaration::expectations(config, schedule);
    let any = expectations.amounts.iter().any(|(expectation, _)| expectation.spec().stands_alone);
    if !any && expectations.schedule.is_none() {
        return Err(UsageError::new(format!(
            "nothing is expected of {}: give --schedule, --expect-every, --max-duration or --min-duration",
            config.grouping_key.script_name()
        )));
    }
    Ok(declaration::declare(config, expectations, &declaration::route(config), SystemTime::now()))
}

/// Forgets a job and deletes its group wherever it is, or owes the deletion.
///
/// Nothing is printed when it is gone everywhere. 1 if nobody knows the job, or not everything could be deleted; 125 for
/// bad usage.
pub fn unregister(config: &Config) -> Result<ExitCode> {
    demand_name(config)?;
    let mut session = DeliverySession::open(config)?;
    let key = &config.grouping_key;
    // The group may be at any of them: other flags, another spread, another registry.
    let destinations = declaration::route(config).everywhere();
    let is_known = session.registry().group(key)?.is_some();
    if !is_known && !may_be_elsewhere(&mut session, config) {
        bail!("no such job: {key}: this host does not know it, and no configured gateway holds it");
    }
    session.registry().unregister(key, &destinations, SystemTime::now())?;
    let deliveries = session.with_reconciler(async |reconciler, deadline| reconciler.remove(key, deadline).await)?;
    Ok(report_deliveries(&deliveries, "forgotten here, and to be deleted there"))
}

/// Whether a gateway holds the group, or does not say.
fn may_be_elsewhere(session: &mut DeliverySession, config: &Config) -> bool {
    session.with_clients(async |clients, deadline| {
        for gateway in &config.gateways {
            if clients.may_hold(&gateway.sink(), &config.grouping_key, deadline).await {
                return true;
            }
        }
        false
    })
}
