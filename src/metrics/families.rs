//! What jobmon exports of every group: exactly those families that dashboards and rules are built on.
//!
//! Names, types and help texts are an interface: a Pushgateway that still holds an old group refuses a changed type, and
//! node_exporter drops series whose help text differs between two files. Nothing here is ever changed; a new family gets
//! a new name.
//!
//! A new family is a variant and a row here, and its value in `delivery::families`; nothing else has to know of it. One
//! that tells what is expected of a job is a row of [`Expectation`], and nothing here.

use super::MetricType;
use crate::expectation::Expectation;

/// A family that jobmon exports.
#[allow(missing_docs, reason = "the table below says what each tells")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptFamily {
    Running,
    StartTimestamp,
    EndTimestamp,
    Duration,
    ExitCode,
    Result,
    LastSuccess,
    LastFailure,
    ConsecutiveFailures,
    Runs,
    RunDuration,
    Cpu,
    MaxResidentMemory,
    NextStart,
    Expected(Expectation),
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct FamilySpec {
    /// Its name, unit and `_total` included.
    pub name: &'static str,
    /// Its type.
    pub metric_type: MetricType,
    /// What its values count, for people.
    pub unit: &'static str,
    /// When a group has it, for people. Where a group's past is unknown, what depends on it is missing all the same.
    pub present: &'static str,
    /// The name of its own label, if it has one.
    pub label: Option<&'static str>,
    /// Its help text.
    pub help: &'static str,
}

const ALWAYS: &str = "always";
const STARTED: &str = "once a run has started";
const FINISHED: &str = "once a run has ended";
const CONFIGURED: &str = "where configured";

const fn gauge(name: &'static str, unit: &'static str, present: &'static str, help: &'static str) -> FamilySpec {
    FamilySpec { name, metric_type: MetricType::Gauge, unit, present, label: None, help }
}

const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> FamilySpec {
    FamilySpec { name, metric_type: MetricType::Counter, unit, present: ALWAYS, label: None, help }
}

impl ScriptFamily {
    /// Every family, in the order in which they are written.
    pub const ALL: [Self; Self::OTHERS.len() + Expectation::ALL.len()] = {
        let mut all = [Self::NextStart; Self::OTHERS.len() + Expectation::ALL.len()];
        let mut row = 0;
        while row < all.len() {
            all[row] = if row < Self::OTHERS.len() {
                Self::OTHERS[row]
            } else {
                Self::Expected(Expectation::ALL[row - Self::OTHERS.len()])
            };
            row += 1;
        }
        all
    };

    /// Every family but those of what is expected as an amount.
    const OTHERS: [Self; 14] = [
        Self::Running,
        Self::StartTimestamp,
        Self::EndTimestamp,
        Self::Duration,
        Self::ExitCode,
        Self::Result,
        Self::LastSuccess,
        Self::LastFailure,
        Self::ConsecutiveFailures,
        Self::Runs,
        Self::RunDuration,
        Self::Cpu,
        Self::MaxResidentMemory,
        Self::NextStart,
    ];

    /// The families that tell of a run in progress.
    pub const OF_A_HEARTBEAT: [Self; 3] =
        [Self::Running, Self::StartTimestamp, Self::Expected(Expectation::HeartbeatInterval)];

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// Its row of the table.
    pub const fn spec(self) -> FamilySpec {
        match self {
            Self::Running => gauge("script_running", "runs", ALWAYS, "Runs of this script in progress."),
            Self::StartTimestamp => gauge(
                "script_start_timestamp_seconds",
                "Unix time",
                STARTED,
                "Unix time at which the most recent run of this script started.",
            ),
            Self::EndTimestamp => gauge(
                "script_end_timestamp_seconds",
                "Unix time",
                FINISHED,
                "Unix time at which the most recent finished run of this script ended.",
            ),
            Self::Duration => gauge(
                "script_duration_seconds",
                "seconds",
                FINISHED,
                "Wall duration of the most recent finished run of this script.",
            ),
            Self::ExitCode => gauge(
                "script_exit_code",
                "exit code",
                FINISHED,
                "Exit code of the most recent finished run: 128+n ended by signal n, 124 timed out, 126 not executable, \
                 127 not found, 255 lost.",
            ),
            Self::Result => gauge(
                "script_result",
                "0 or 1",
                FINISHED,
                "Whether the most recent finished run of this script succeeded (1), with or without a warning, or not (0).",
            ),
            Self::LastSuccess => gauge(
                "script_last_success_timestamp_seconds",
                "Unix time",
                ALWAYS,
                "Unix time at which a run of this script last ended in success, with or without a warning, 0 for never.",
            ),
            Self::LastFailure => gauge(
                "script_last_failure_timestamp_seconds",
                "Unix time",
                ALWAYS,
                "Unix time at which a run of this script last ended without success, 0 for never.",
            ),
            Self::ConsecutiveFailures => gauge(
                "script_consecutive_failures",
                "runs",
                ALWAYS,
                "Unsuccessful runs of this script since its last success.",
            ),
            Self::Runs => FamilySpec {
                label: Some("result"),
                ..counter(
                    "script_runs_total",
                    "runs",
                    "Finished runs of this script by result: success, warning (done, but somebody should look), failure, \
                     timeout, lost (its wrapper vanished) or skipped (another run held the lock).",
                )
            },
            Self::RunDuration => counter(
                "script_run_duration_seconds_total",
                "seconds",
                "Summed wall duration of the finished runs of this script.",
            ),
            Self::Cpu => FamilySpec {
                label: Some("mode"),
                ..gauge(
                    "script_cpu_seconds",
                    "seconds",
                    FINISHED,
                    "CPU time of the most recent finished run and the children it waited for, by mode.",
                )
            },
            Self::MaxResidentMemory => gauge(
                "script_max_resident_memory_bytes",
                "bytes",
                FINISHED,
                "Peak resident set size of the most recent finished run of this script.",
            ),
            Self::NextStart => gauge(
                "script_next_start_timestamp_seconds",
                "Unix time",
                CONFIGURED,
                "Unix time at which the schedule of this script starts its next run.",
            ),
            Self::Expected(expectation) => {
                let spec = expectation.spec();
                gauge(spec.family, spec.range.unit(), CONFIGURED, spec.family_help)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The interface that dashboards and rules are built on. This list only ever grows.
    #[test]
    fn names_and_types_are_those_that_were_promised() {
        use MetricType::{Counter, Gauge};
        let expected = [
            ("script_running", Gauge),
            ("script_start_timestamp_seconds", Gauge),
            ("script_end_timestamp_seconds", Gauge),
            ("script_duration_seconds", Gauge),
            ("script_exit_code", Gauge),
            ("script_result", Gauge),
            ("script_last_success_timestamp_seconds", Gauge),
            ("script_last_failure_timestamp_seconds", Gauge),
            ("script_consecutive_failures", Gauge),
            ("script_runs_total", Counter),
            ("script_run_duration_seconds_total", Counter),
            ("script_cpu_seconds", Gauge),
            ("script_max_resident_memory_bytes", Gauge),
            ("script_next_start_timestamp_seconds", Gauge),
            ("script_max_duration_seconds", Gauge),
            ("script_min_duration_seconds", Gauge),
            ("script_tolerated_failures", Gauge),
            ("script_expected_interval_seconds", Gauge),
            ("script_grace_seconds", Gauge),
            ("script_heartbeat_interval_seconds", Gauge),
            ("script_ttl_seconds", Gauge),
        ];
        assert_eq!(ScriptFamily::ALL.map(|family| (family.name(), family.spec().metric_type)), expected);
    }

    #[test]
    fn help_texts_never_change() {
        let all: String =
            ScriptFamily::ALL.map(|family| format!("{} {}\n", family.name(), family.spec().help)).concat();
        assert_eq!(
            crate::grouping::stable_hash(all.as_bytes()),
            12_894_164_935_340_632_668,
            "node_exporter drops series whose help text differs between two versions of jobmon"
        );
    }

    #[test]
    fn a_name_says_the_unit_as_prometheus_has_it() {
        for family in ScriptFamily::ALL {
            let FamilySpec { name, metric_type, unit, .. } = family.spec();
            let is_total = name.ends_with("_total");
            let ending = match unit {
                "seconds" | "Unix time" => "_seconds",
                "bytes" => "_bytes",
                _ => "",
            };
            assert!(name.trim_end_matches("_total").ends_with(ending), "{name}: {unit}");
            assert_eq!(name.contains("_timestamp_"), unit == "Unix time", "{name}: {unit}");
            assert_eq!(is_total, metric_type == MetricType::Counter, "{name}");
        }
    }
}
