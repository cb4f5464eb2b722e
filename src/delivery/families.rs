//! What a group is told as: its state as metric families.

use std::time::{Duration, SystemTime};

use crate::expectation::Amount;
use crate::metrics::families::ScriptFamily;
use crate::metrics::{Exposition, MetricFamily, Sample, seconds, unix_seconds};
use crate::record::{Outcome, RunFacts};
use crate::registry::{GroupState, Memory, Past, RunCounts};
pub use crate::sinks::{Content, Write};

impl Content {
    /// What a state says.
    ///
    /// Where the past is unknown, the families that depend on it are left out until this registry has seen enough for
    /// itself: the counters from its second run on (their drop is then a counter reset, which `rate()` handles), the
    /// others from the first event of their kind on. With all of them it is complete, and replaces the group again.
    pub fn of(state: &GroupState) -> Self {
        let is_told = |family: &ScriptFamily| state.past == Past::Known || is_known(*family, state);
        let (told, untold): (Vec<_>, Vec<_>) = ScriptFamily::ALL.into_iter().partition(is_told);
        let families = told.into_iter().filter_map(|family| shape(family, values(family, state)));
        Self {
            families: Exposition::new(families),
            job_metrics: state.job_metrics.exposition(),
            write: if untold.is_empty() { Write::Replace } else { Write::Merge },
            stamp: state.stamp,
            ended: Exposition::default(),
        }
    }

    /// What is merged into a group of which nothing changed but that its run goes on.
    pub fn of_a_heartbeat(state: &GroupState) -> Self {
        let of_a_run = ScriptFamily::OF_A_HEARTBEAT.into_iter();
        let families = of_a_run.filter_map(|family| shape(family, values(family, state)));
        Self {
            families: Exposition::new(families),
            job_metrics: Exposition::default(),
            write: Write::Merge,
            stamp: state.stamp,
            ended: Exposition::default(),
        }
    }
}

/// What samples of a group remember of it: the inverse of [`Content::of`] for what outlives a run.
pub(super) fn remembered(samples: &[Sample]) -> Memory {
    let value = |family: ScriptFamily, label: Option<&str>| {
        let name = family.spec().name;
        let sample = samples
            .iter()
            .find(|sample| sample.name == name && sample.labels.first().map(|(_, value)| value.as_str()) == label);
        sample.map_or(0.0, |sample| sample.value).max(0.0)
    };
    let duration = |family| Duration::try_from_secs_f64(value(family, None)).unwrap_or_default();
    let time = |family| {
        // To the microsecond, as it was written.
        let since_epoch = Duration::from_micros((value(family, None) * 1e6).round() as u64);
        SystemTime::UNIX_EPOCH.checked_add(since_epoch).filter(|_| !since_epoch.is_zero())
    };
    Memory {
        counts: RunCounts::new(Outcome::ALL.map(|outcome| value(ScriptFamily::Runs, Some(outcome.as_str())) as u64)),
        duration_total: duration(ScriptFamily::RunDuration),
        last_end: time(ScriptFamily::EndTimestamp),
        last_success: time(ScriptFamily::LastSuccess),
        last_failure: time(ScriptFamily::LastFailure),
        consecutive_failures: value(ScriptFamily::ConsecutiveFailures, None) as u64,
    }
}

/// The value of the family's own label, and of the sample.
type Value = (Option<&'static str>, f64);

/// What the family says of the group; nothing where the group does not have it.
fn values(family: ScriptFamily, state: &GroupState) -> Vec<Value> {
    let expected = &state.expectations;
    match family {
        ScriptFamily::Running => one(state.running),
        ScriptFamily::StartTimestamp => perhaps(state.last_start.map(unix_seconds)),
        ScriptFamily::EndTimestamp => of_last_run(state, |run| unix_seconds(run.ended_at)),
        ScriptFamily::Duration => of_last_run(state, |run| seconds(run.duration)),
        ScriptFamily::ExitCode => of_last_run(state, |run| run.exit_code.into()),
        ScriptFamily::Result => of_last_run(state, |run| f64::from(u8::from(run.outcome.is_success()))),
        ScriptFamily::LastSuccess => one(state.last_success.map_or(0.0, unix_seconds)),
        ScriptFamily::LastFailure => one(state.last_failure.map_or(0.0, unix_seconds)),
        ScriptFamily::ConsecutiveFailures => one(state.consecutive_failures as f64),
        ScriptFamily::Runs => {
            let value = |outcome: Outcome| (Some(outcome.as_str()), state.counts.of(outcome) as f64);
            Outcome::ALL.into_iter().map(value).collect()
        }
        ScriptFamily::RunDuration => one(seconds(state.duration_total)),
        ScriptFamily::Cpu => state.last_run.as_ref().map_or_else(Vec::new, |run| {
            let modes = [("user", run.cpu_user), ("system", run.cpu_system)];
            modes.into_iter().map(|(mode, time)| (Some(mode), seconds(time))).collect()
        }),
        ScriptFamily::MaxResidentMemory => of_last_run(state, |run| run.max_resident_bytes as f64),
        ScriptFamily::NextStart => perhaps(expected.next_start.map(unix_seconds)),
        ScriptFamily::Expected(expectation) => perhaps(expected.amounts.get(expectation).map(number)),
    }
}

fn number(amount: Amount) -> f64 {
    match amount {
        Amount::Time(time) => seconds(time),
        Amount::Number(number) => number.into(),
    }
}

/// Whether the state knows what the family says although the group's past is unknown.
fn is_known(family: ScriptFamily, state: &GroupState) -> bool {
    match family {
        ScriptFamily::LastSuccess => state.last_success.is_some(),
        // Failures that this host has seen are never fewer than a memory that is older.
        ScriptFamily::ConsecutiveFailures => state.last_success.is_some() || state.consecutive_failures > 0,
        ScriptFamily::LastFailure => state.last_failure.is_some(),
        ScriptFamily::Runs | ScriptFamily::RunDuration => state.counts.total() >= 2,
        _ => true,
    }
}

fn one(value: impl Into<f64>) -> Vec<Value> {
    vec![(None, value.into())]
}

fn perhaps(value: Option<f64>) -> Vec<Value> {
    value.map(one).unwrap_or_default()
}

fn of_last_run(state: &GroupState, value: impl Fn(&RunFacts) -> f64) -> Vec<Value> {
    perhaps(state.last_run.as_ref().map(value))
}

fn shape(family: ScriptFamily, values: Vec<Value>) -> Option<MetricFamily> {
    let spec = family.spec();
    let sample = |(label, value): Value| {
        let label = spec.label.zip(label);
        let labels = label.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
        Sample { name: spec.name.to_owned(), labels, value }
    };
    (!values.is_empty()).then(|| MetricFamily {
        name: spec.name.to_owned(),
        metric_type: spec.metric_type,
        help: Some(spec.help.to_owned()),
        samples: values.into_iter().map(sample).collect(),
    })
}

#[cfg(test)]
mod tests;
