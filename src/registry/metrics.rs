//! The metric families of a group, exactly those that dashboards and rules are built on.
//!
//! Names, types and help texts are an interface: a Pushgateway that still holds an old group refuses a changed type, and
//! node_exporter drops series whose help text differs between two files. Nothing here is ever changed; a new family gets
//! a new name.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

use super::clock::{seconds_of, seconds_of_duration};
use super::group_state::{GroupState, JobMetrics, LastRun, Past};
use crate::record::Outcome;

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only ever goes up, or starts anew.
    Counter,
}

/// When a group has a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Always, where the group's past is known; see [`Past`].
    Always,
    /// As soon as a run has started.
    Started,
    /// As soon as a run has ended.
    Finished,
    /// Only where configured.
    Configured,
}

/// One family that jobmon exports.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name, unit and `_total` included.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its help text.
    pub help: &'static str,
    /// When a group has it.
    pub presence: Presence,
    /// The name of its own label, if it has one.
    pub label: Option<&'static str>,
    /// Its samples for a state with so many runs in progress; none where the group does not have it.
    samples: fn(&GroupState, u32) -> Vec<Sample>,
    /// Whether the state knows its value although the group's past is unknown.
    known: fn(&GroupState) -> bool,
}

/// The families that tell of a run in progress.
pub const IN_A_HEARTBEAT: [&str; 3] =
    ["script_running", "script_start_timestamp_seconds", "script_heartbeat_interval_seconds"];

/// The value of the family's own label, and of the sample.
type Sample = (Option<&'static str>, f64);

const fn gauge(
    name: &'static str,
    presence: Presence,
    help: &'static str,
    samples: fn(&GroupState, u32) -> Vec<Sample>,
) -> Family {
    Family { name, kind: Kind::Gauge, help, presence, label: None, samples, known: |_| true }
}

/// Every family, in the order in which they are written.
pub const FAMILIES: [Family; 19] = [
    gauge("script_running", Presence::Always, "Runs of this script in progress.", |_, running| one(running)),
    gauge(
        "script_start_timestamp_seconds",
        Presence::Started,
        "Unix time at which the most recent run of this script started.",
        |state, _| perhaps(state.last_start.map(seconds_of)),
    ),
    gauge(
        "script_end_timestamp_seconds",
        Presence::Finished,
        "Unix time at which the most recent finished run of this script ended.",
        |state, _| of_last_run(state, |run| seconds_of(run.ended_at)),
    ),
    gauge(
        "script_duration_seconds",
        Presence::Finished,
        "Wall duration of the most recent finished run of this script.",
        |state, _| of_last_run(state, |run| seconds_of_duration(run.duration)),
    ),
    gauge(
        "script_exit_code",
        Presence::Finished,
        "Exit code of the most recent finished run: 128+n ended by signal n, 124 timed out, 126 not executable, \
         127 not found, 255 lost.",
        |state, _| of_last_run(state, |run| run.exit_code.into()),
    ),
    gauge(
        "script_result",
        Presence::Finished,
        "Whether the most recent finished run of this script succeeded (1) or not (0).",
        |state, _| of_last_run(state, |run| f64::from(u8::from(run.outcome == Outcome::Success))),
    ),
    Family {
        known: |state| state.last_success.is_some(),
        ..gauge(
            "script_last_success_timestamp_seconds",
            Presence::Always,
            "Unix time at which a run of this script last ended in success, 0 for never.",
            |state, _| one(state.last_success.map_or(0.0, seconds_of)),
        )
    },
    Family {
        known: |state| state.last_failure.is_some(),
        ..gauge(
            "script_last_failure_timestamp_seconds",
            Presence::Always,
            "Unix time at which a run of this script last ended without success, 0 for never.",
            |state, _| one(state.last_failure.map_or(0.0, seconds_of)),
        )
    },
    Family {
        known: |state| state.last_success.is_some(),
        ..gauge(
            "script_consecutive_failures",
            Presence::Always,
            "Unsuccessful runs of this script since its last success.",
            |state, _| one(state.consecutive_failures as f64),
        )
    },
    Family {
        name: "script_runs_total",
        kind: Kind::Counter,
        help: "Finished runs of this script by result: success, failure, timeout, lost (its wrapper vanished) or \
               skipped (another run held the lock).",
        presence: Presence::Always,
        label: Some("result"),
        samples: |state, _| {
            let sample = |outcome: Outcome| (Some(outcome.as_str()), state.counts.of(outcome) as f64);
            Outcome::ALL.into_iter().map(sample).collect()
        },
        known: |state| state.counts.total() >= 2,
    },
    Family {
        name: "script_run_duration_seconds_total",
        kind: Kind::Counter,
        help: "Summed wall duration of the finished runs of this script.",
        presence: Presence::Always,
        label: None,
        samples: |state, _| one(seconds_of_duration(state.duration_total)),
        known: |state| state.counts.total() >= 2,
    },
    Family {
        label: Some("mode"),
        ..gauge(
            "script_cpu_seconds",
            Presence::Finished,
            "CPU time of the most recent finished run and the children it waited for, by mode.",
            |state, _| {
                state.last_run.as_ref().map_or_else(Vec::new, |run| {
                    let modes = [("user", run.cpu_user), ("system", run.cpu_system)];
                    modes.into_iter().map(|(mode, time)| (Some(mode), seconds_of_duration(time))).collect()
                })
            },
        )
    },
    gauge(
        "script_max_resident_memory_bytes",
        Presence::Finished,
        "Peak resident set size of the most recent finished run of this script.",
        |state, _| of_last_run(state, |run| run.max_resident_bytes as f64),
    ),
    gauge(
        "script_max_duration_seconds",
        Presence::Configured,
        "Configured limit: a run of this script that takes longer than this takes too long.",
        |state, _| perhaps(state.expectations.max_duration.map(seconds_of_duration)),
    ),
    gauge(
        "script_expected_interval_seconds",
        Presence::Configured,
        "Configured interval: this script should succeed at least this often.",
        |state, _| perhaps(state.expectations.expected_interval.map(seconds_of_duration)),
    ),
    gauge(
        "script_next_start_timestamp_seconds",
        Presence::Configured,
        "Unix time at which the schedule of this script starts its next run.",
        |state, _| perhaps(state.expectations.next_start.map(seconds_of)),
    ),
    gauge(
        "script_grace_seconds",
        Presence::Configured,
        "Configured grace: how late a due run of this script may be before it counts as missed.",
        |state, _| perhaps(state.expectations.grace.map(seconds_of_duration)),
    ),
    gauge(
        "script_heartbeat_interval_seconds",
        Presence::Configured,
        "Configured interval at which this script reports while it runs.",
        |state, _| perhaps(state.expectations.heartbeat_interval.map(seconds_of_duration)),
    ),
    gauge(
        "script_ttl_seconds",
        Presence::Configured,
        "Configured time to live: this group may be deleted when it was last pushed longer ago than this.",
        |state, _| perhaps(state.expectations.ttl.map(seconds_of_duration)),
    ),
];

fn one(value: impl Into<f64>) -> Vec<Sample> {
    vec![(None, value.into())]
}

fn perhaps(value: Option<f64>) -> Vec<Sample> {
    value.map(one).unwrap_or_default()
}

fn of_last_run(state: &GroupState, value: impl Fn(&LastRun) -> f64) -> Vec<Sample> {
    perhaps(state.last_run.as_ref().map(value))
}

/// How a group is written to a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// PUT: the state is complete, and nothing else may stay in the group.
    Replace,
    /// POST: the gateway may remember what this registry does not know, and keeps it.
    Merge,
}

/// The families of a group and how they are to be written. `running` counts its runs in progress.
///
/// Where the past is unknown, the families that depend on it are left out until this registry has seen enough for
/// itself: the counters from its second run on (their drop is then a counter reset, which `rate()` handles), the others
/// from the first event of their kind on. With all of them it is complete, and replaces the group again.
pub fn families(state: &GroupState, running: u32) -> (Vec<MetricFamily>, Write) {
    let mut complete = true;
    let families = FAMILIES.iter().filter_map(|family| {
        let known = state.past == Past::Known || (family.known)(state);
        complete &= known;
        let samples = if known { (family.samples)(state, running) } else { Vec::new() };
        (!samples.is_empty()).then(|| shape(family, samples))
    });
    let families = families.collect();
    (families, if complete { Write::Replace } else { Write::Merge })
}

/// The families in text format 0.0.4, as a Pushgateway and node_exporter read it.
pub fn encode(families: &[MetricFamily]) -> Vec<u8> {
    let mut text = Vec::with_capacity(4096);
    TextEncoder::new().encode(families, &mut text).expect("every family has a name and a sample, and memory takes all");
    text
}

/// The families and the job's own metrics as one body in text format, with `labels` on every sample.
pub fn body<'a>(
    families: Vec<MetricFamily>,
    own: &JobMetrics,
    labels: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<u8> {
    let labels: Vec<_> = labels.into_iter().collect();
    let mut body = encode(&with_labels(families, labels.iter().copied()));
    if !own.is_empty() {
        body.extend(own.to_text(labels).into_bytes());
    }
    body
}

/// The families with more labels on every sample, for a sink that has no grouping key of its own.
pub fn with_labels<'a>(
    mut families: Vec<MetricFamily>,
    labels: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<MetricFamily> {
    let labels: Vec<LabelPair> = labels.into_iter().map(|(name, value)| pair(name, value)).collect();
    for metric in families.iter_mut().flat_map(MetricFamily::mut_metric) {
        let own = metric.take_label();
        metric.set_label(labels.iter().cloned().chain(own).collect());
    }
    families
}

fn shape(family: &Family, samples: Vec<Sample>) -> MetricFamily {
    let metric = |(label, value): Sample| {
        let mut metric = Metric::default();
        match family.kind {
            Kind::Gauge => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
        }
        if let Some((name, value)) = family.label.zip(label) {
            metric.set_label(vec![pair(name, value)]);
        }
        metric
    };
    let mut shaped = MetricFamily::default();
    shaped.set_name(family.name.to_owned());
    shaped.set_help(family.help.to_owned());
    shaped.set_field_type(match family.kind {
        Kind::Gauge => MetricType::GAUGE,
        Kind::Counter => MetricType::COUNTER,
    });
    shaped.set_metric(samples.into_iter().map(metric).collect());
    shaped
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

#[cfg(test)]
mod tests;
