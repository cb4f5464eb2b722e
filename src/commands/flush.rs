//! `jobmon flush`: delivers what is pending.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use super::session::{Session, driver};
use crate::cli::janitor::FlushArgs;
use crate::config::{self, Config, UsageError};
use crate::delivery::{BackoffPolicy, Clients, Flushed, Reconciler};
use crate::logging;
use crate::registry::{Action, PendingAction};
use crate::run::metrics_file;
use crate::sinks::{Driver, Sink};
use crate::text::count;

/// How long other processes may keep the registry busy.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(30);

/// No round begins sooner after the last one.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// Delivers what is owed, once or again and again; 0 if nothing is owed afterwards.
///
/// Once, for a person or a timer, every gateway gets a try, whatever failed before. With `--loop` a gateway that failed is
/// left alone until its backoff is over, what goes wrong is said when it is news, and only a signal ends it.
pub fn run(args: &FlushArgs, config: &Config) -> Result<ExitCode> {
    if !args.forget.is_empty() {
        return forget(&args.forget, config);
    }
    let driver = driver()?;
    let Some(interval) = args.interval else {
        let problems = round(config, &driver, BackoffPolicy::Ignore);
        problems.iter().for_each(Problem::log);
        return Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    };
    let interval = interval.max(SHORTEST_INTERVAL);
    loop {
        logging::begin_round();
        round(config, &driver, BackoffPolicy::Respect).iter().for_each(Problem::log);
        // A timer is made where its runtime is.
        driver.block_on(async { tokio::time::sleep(interval).await });
    }
}

/// Gives up what is pending at these sinks; 0, or 1 if the registry knows nothing of one.
fn forget(sinks: &[String], config: &Config) -> Result<ExitCode> {
    let mut session = Session::open_existing(config, REGISTRY_TIMEOUT)?;
    let mut code = ExitCode::SUCCESS;
    for name in sinks {
        let sink = match Sink::from(name.clone()) {
            Sink::Pushgateway(url) => config::Gateway::parse(&url).map_err(UsageError::new)?.sink(),
            other => other,
        };
        let forgotten = session.as_mut().map_or(Ok(0), |session| session.registry.forget_sink(&sink))?;
        match forgotten {
            0 => {
                tracing::error!("{sink}: nothing is pending there, and no group is meant for it");
                code = ExitCode::FAILURE;
            }
            groups => tracing::info!("{sink}: given up for {}", count(groups as usize, "group")),
        }
    }
    Ok(code)
}

/// Why a round did not settle everything.
enum Problem {
    /// One group and destination of which something is still owed, and why.
    Owed(String),
    /// Nothing could be done at all.
    Failed(String),
}

impl Problem {
    fn log(&self) {
        match self {
            Self::Owed(line) => tracing::warn!("{line}"),
            Self::Failed(line) => tracing::error!("{line}"),
        }
    }
}

/// One round: what the journal and the gateways have to tell, then every pending action. Everything is opened anew, as it
/// is by then: the state directory, and the files of secrets and certificates.
fn round(config: &Config, driver: &Driver, backoff: BackoffPolicy) -> Vec<Problem> {
    match flush(config, driver, backoff) {
        // Nothing ever ran here, so nothing is owed.
        Ok(None) => Vec::new(),
        Ok(Some(flushed)) => {
            if flushed.left.is_empty() {
                tracing::info!("{} groups delivered, nothing is owed", flushed.groups);
            }
            flushed.left.iter().map(still_owed).collect()
        }
        Err(error) => vec![Problem::Failed(format!("{error:#}"))],
    }
}

fn flush(config: &Config, driver: &Driver, backoff: BackoffPolicy) -> Result<Option<Flushed>> {
    let Some(mut session) = Session::open_existing(config, REGISTRY_TIMEOUT)? else { return Ok(None) };
    metrics_file::sweep(&session.dir);
    session.ingest_leftovers()?;
    let gateways: Vec<Sink> = config.gateways.iter().map(config::Gateway::sink).collect();
    let mut clients = Clients::new(config);
    let mut reconciler = Reconciler::new(&session.dir, &mut session.registry, &mut clients, backoff, REGISTRY_TIMEOUT);
    let flushed = driver.block_on(async {
        reconciler.check_all_for_restart(&gateways).await?;
        reconciler.flush().await
    })?;
    Ok(Some(flushed))
}

fn still_owed(pending: &PendingAction) -> Problem {
    let (group, sink) = (&pending.group.key, &pending.replica.sink);
    let what = match pending.action {
        Action::Push => "still owed to",
        Action::Delete => "still to be deleted at",
    };
    let reason = pending.replica.last_error.as_deref().unwrap_or("it was not tried yet");
    Problem::Owed(format!("group {group}: {what} {sink}: {reason}"))
}
