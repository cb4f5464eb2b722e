//! `jobmon register` and `jobmon unregister`: a job is known from before its first run until nobody wants it any more.

use std::process::ExitCode;
use std::time::SystemTime;

use super::desk::{Desk, demand_name, say_what_became};
use crate::config::Config;
use crate::declaration::{self, Strictness};
use crate::registry::Declaration;

/// Keeps what is expected of a job in the registry and sends it to the gateways, or owes it to them.
///
/// Nothing is printed when it is there. 1 if it could not be kept, or not be delivered; 125 for bad usage.
pub fn register(config: &Config) -> ExitCode {
    let terms = match demand_name(config).and_then(|()| expected(config)) {
        Ok(terms) => terms,
        Err(reason) => return super::bad_usage(&reason),
    };
    match try_register(config, &terms) {
        Ok(code) => code,
        Err(reason) => super::fail(&reason),
    }
}

fn expected(config: &Config) -> Result<Declaration, String> {
    let (schedule, _) = declaration::schedule(config, Strictness::Everything).map_err(|error| error.to_string())?;
    let expectations = declaration::expectations(config, schedule);
    let any = [expectations.max_duration, expectations.expected_interval].iter().any(Option::is_some);
    if !any && expectations.schedule.is_none() {
        return Err(format!(
            "nothing is expected of {}: give --schedule, --expect-every or --max-duration",
            config.grouping_key.script_name()
        ));
    }
    Ok(declaration::terms(config, expectations, &declaration::route(config), SystemTime::now()))
}

fn try_register(config: &Config, terms: &Declaration) -> Result<ExitCode, String> {
    let mut desk = Desk::open(config)?;
    let key = &config.grouping_key;
    desk.registry.register(key, terms, SystemTime::now()).map_err(|error| error.to_string())?;
    let deliveries = desk.with_reconciler(async |reconciler, deadline| reconciler.deliver(key, deadline).await)?;
    Ok(say_what_became(&deliveries, "registered here and owed there"))
}

/// Forgets a job and deletes its group wherever it is, or owes the deletion.
///
/// Nothing is printed when it is gone everywhere. 1 if nobody knows the job, or not everything could be deleted; 125 for
/// bad usage.
pub fn unregister(config: &Config) -> ExitCode {
    if let Err(reason) = demand_name(config) {
        return super::bad_usage(&reason);
    }
    match try_unregister(config) {
        Ok(code) => code,
        Err(reason) => super::fail(&reason),
    }
}

fn try_unregister(config: &Config) -> Result<ExitCode, String> {
    let mut desk = Desk::open(config)?;
    let key = &config.grouping_key;
    // The group may be at any of them: other flags, another spread, another registry.
    let destinations = declaration::route(config).everywhere();
    let is_known = desk.registry.group(key).map_err(|error| error.to_string())?.is_some();
    if !is_known && !may_be_elsewhere(&mut desk, config) {
        return Err(format!("no such job: {key}: this host does not know it, and no configured gateway holds it"));
    }
    desk.registry.unregister(key, &destinations, SystemTime::now()).map_err(|error| error.to_string())?;
    let deliveries = desk.with_reconciler(async |reconciler, deadline| reconciler.remove(key, deadline).await)?;
    Ok(say_what_became(&deliveries, "forgotten here, and to be deleted there"))
}

/// Whether a gateway holds the group, or does not say.
fn may_be_elsewhere(desk: &mut Desk, config: &Config) -> bool {
    desk.with_clients(async |clients, deadline| {
        for gateway in &config.gateways {
            if clients.may_hold(&gateway.sink(), &config.grouping_key, deadline).await {
                return true;
            }
        }
        false
    })
}
