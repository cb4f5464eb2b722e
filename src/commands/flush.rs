//! `jobmon flush`: pay what gateways are still owed.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::list::driver;
use super::stored::{Stored, existing_state_dir};
use crate::cli::janitor::FlushArgs;
use crate::config::Config;
use crate::delivery::{Clients, Courier, Flushed, Patience};
use crate::registry::{Errand, RegistryError, StateDir};
use crate::sinks::Driver;

/// How long other processes may keep the registry busy.
const REGISTRY_PATIENCE: Duration = Duration::from_secs(30);

/// Delivers what is owed, once or again and again; 0 if nothing is owed afterwards.
///
/// Once, for a person or a timer, every gateway gets a try, whatever failed before. With `--loop` a gateway that failed is
/// left alone until its backoff is over, and only a signal ends it.
pub fn run(args: &FlushArgs, config: &Config) -> ExitCode {
    super::start_logging(config.verbosity);
    super::report_warnings(config);
    let Some(driver) = driver() else { return ExitCode::FAILURE };
    let mut clients = Clients::new(config);
    let mut state = None;
    loop {
        if state.is_none() {
            state = match existing_state_dir(config) {
                Ok(state) => state,
                Err(error) => return super::fail(&error),
            };
        }
        let patience = if args.interval.is_some() { Patience::RespectBackoff } else { Patience::TryEachOnce };
        let code = match &state {
            Some(state) => code(&round(config, state, &driver, &mut clients, patience)),
            // Nothing ever ran here, so nothing is owed.
            None => ExitCode::SUCCESS,
        };
        // What is left is tried again in the next round; it was said what and why.
        let Some(interval) = args.interval else { return code };
        // A timer is made where its runtime is.
        driver.block_on(async { tokio::time::sleep(interval).await });
    }
}

/// One round: what the journal and the gateways have to tell, then every debt.
fn round(
    config: &Config,
    state: &StateDir,
    driver: &Driver,
    clients: &mut Clients,
    patience: Patience,
) -> Result<Flushed, RegistryError> {
    let mut stored = Stored::open(state.clone(), Instant::now() + REGISTRY_PATIENCE)?;
    stored.ingest_leftovers()?;
    let gateways: Vec<String> = config.gateways.iter().map(|gateway| gateway.url().to_owned()).collect();
    let mut courier = Courier::new(state, &mut stored.registry, clients, patience, REGISTRY_PATIENCE);
    driver.block_on(async {
        courier.look_at_all(&gateways).await?;
        courier.flush().await
    })
}

/// Says what is still owed, one line for each group and destination.
fn code(flushed: &Result<Flushed, RegistryError>) -> ExitCode {
    match flushed {
        Ok(flushed) if flushed.left.is_empty() => {
            tracing::info!("{} groups delivered, nothing is owed", flushed.groups);
            ExitCode::SUCCESS
        }
        Ok(flushed) => {
            for debt in &flushed.left {
                let (group, destination) = (&debt.group.key, &debt.copy.destination);
                let what = match debt.errand {
                    Errand::Push => "still owed to",
                    Errand::Delete => "still to be deleted at",
                };
                let reason = debt.copy.last_error.as_deref().unwrap_or("it was not tried yet");
                tracing::warn!("group {group}: {what} {destination}: {reason}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
