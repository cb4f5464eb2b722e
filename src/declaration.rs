//! From configuration to what a group is told: what is expected of its job, and where it is to be.

use std::time::SystemTime;

use crate::config::{self, Config, Setting, UsageError};
use crate::delivery::route::Route;
use crate::destination::Sink;
use crate::registry::{Declaration, Expectations, ScheduleSpec};
use crate::schedule::{Schedule, Zone};

/// The configured schedule, if there is one.
///
/// # Errors
/// It is none, or can never come true, or the time zone is unknown; says where it was written.
pub fn schedule(config: &Config) -> Result<Option<ScheduleSpec>, UsageError> {
    let refuse = |setting: Setting, value: &str, reason: &str| {
        let place = config.origin(setting).with_value(setting, &format!("{value:?}"));
        UsageError::new(format!("{place}: {reason}"))
    };
    let expected = &config.expectations;
    let zone = expected.timezone.as_deref().map(|name| {
        let unknown = "unknown time zone: use a name such as Europe/Berlin or UTC";
        name.parse::<Zone>().map_err(|_| refuse(Setting::Timezone, name, unknown))
    });
    let zone = zone.transpose()?;
    let Some(text) = &expected.schedule else { return Ok(None) };
    match Schedule::parse(text, zone.unwrap_or_else(Zone::local)) {
        Ok(_) => Ok(Some(ScheduleSpec { cron: text.clone(), zone: expected.timezone.clone() })),
        Err(error) => Err(refuse(Setting::Schedule, text, &format!("column {}: {}", error.column(), error.reason()))),
    }
}

/// The same for a run, which does without a schedule that is wrong.
pub fn schedule_of_a_run(config: &Config) -> Option<ScheduleSpec> {
    schedule(config).unwrap_or_else(|error| {
        tracing::warn!("{error}; ignored");
        None
    })
}

/// Where the group is to be, as configured.
pub fn route(config: &Config) -> Route {
    if config.report.no_push {
        return Route::default();
    }
    let databases = config.remote_write.iter().map(config::RemoteWrite::sink);
    let textfiles = config.report.textfile_dir.clone().map(Sink::Textfile);
    Route {
        gateways: config.gateways.iter().map(config::Gateway::sink).collect(),
        spread: config.spread,
        others: databases.chain(textfiles).collect(),
    }
}

/// What is expected of the job, with its schedule, if it has one.
pub fn expectations(config: &Config, schedule: Option<ScheduleSpec>) -> Expectations {
    Expectations { amounts: config.expectations.amounts, schedule, next_start: None }
}

/// What a run or a registration brings along for its group.
pub fn declare(config: &Config, expectations: Expectations, route: &Route, now: SystemTime) -> Declaration {
    let seed = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    Declaration {
        expectations,
        sinks: (!route.is_empty()).then(|| route.homes(&config.grouping_key, seed)),
        route: (!route.is_empty()).then(|| route.to_note()),
        withdraw_from: if config.report.ephemeral { route.everywhere() } else { Vec::new() },
    }
}
