//! From configuration to what a group is told: what is expected of its job, and where it is to be.

use std::time::SystemTime;

use crate::config::{self, Config, Origin, Setting, UsageError};
use crate::delivery::route::Route;
use crate::destination::Sink;
use crate::registry::{Declaration, Expectations, ScheduleSpec};
use crate::schedule::{Schedule, Zone};
use crate::text::Warning;

/// Whose bad values are bad usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Those of flags. A job runs whatever its files and variables say, so there they are warnings, and left out.
    Flags,
    /// All: for commands that are about the schedule.
    Everything,
}

/// Checks the schedule as far as it comes from flags, before anything runs. Costs nothing where it does not.
///
/// # Errors
/// It is none, or can never come true, or the time zone is unknown.
pub fn check_flags(config: &Config) -> Result<(), UsageError> {
    let is_flag = |setting| config.origin(setting).is_flag();
    if is_flag(Setting::Schedule) || is_flag(Setting::Timezone) {
        schedule(config, Strictness::Flags)?;
    }
    Ok(())
}

/// The configured schedule, if it means something, and what was wrong with it.
///
/// # Errors
/// What is wrong is bad usage.
pub fn schedule(
    config: &Config,
    strictness: Strictness,
) -> Result<(Option<ScheduleSpec>, Option<Warning>), UsageError> {
    let refuse = |setting: Setting, value: &str, reason: String| {
        let origin = config.origin(setting);
        let place = match origin {
            Origin::Flag(_) => format!("{origin} {value:?}"),
            Origin::Variable(_) => format!("{origin}={value:?}"),
            _ => format!("{origin}: {} = {value:?}", setting.key()),
        };
        match strictness {
            Strictness::Flags if !origin.is_flag() => {
                Ok((None, Some(Warning::new(format!("{place}: {reason}; ignored")))))
            }
            _ => Err(UsageError::new(format!("{place}: {reason}"))),
        }
    };
    let expected = &config.expectations;
    let named = match expected.timezone.as_deref().map(|name| (name, name.parse::<Zone>())) {
        None => None,
        Some((_, Ok(zone))) => Some(zone),
        Some((name, Err(_))) => {
            return refuse(
                Setting::Timezone,
                name,
                "unknown time zone: use a name such as Europe/Berlin or UTC".to_owned(),
            );
        }
    };
    let Some(text) = &expected.schedule else { return Ok((None, None)) };
    // What the host's own zone is takes longer to find out than everything else before the job together.
    match Schedule::parse(text, named.unwrap_or_else(Zone::local)) {
        Ok(_) => Ok((Some(ScheduleSpec { cron: text.clone(), zone: expected.timezone.clone() }), None)),
        Err(error) => refuse(Setting::Schedule, text, format!("column {}: {}", error.column(), error.reason())),
    }
}

/// Where the group is to be, as configured.
pub fn route(config: &Config) -> Route {
    if config.report.no_push {
        return Route::default();
    }
    let textfiles = config.report.textfile_dir.clone().map(Sink::Textfile);
    Route {
        gateways: config.gateways.iter().map(config::Gateway::sink).collect(),
        spread: config.spread,
        others: textfiles.into_iter().collect(),
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
