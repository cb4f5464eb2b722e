//! What is known of a group: the state that its runs add up to. Pure; how it is stored belongs to [`super::groups`].

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::clock::{duration_of, nanos_of, nanos_of_duration, time_of};
use crate::destination::Sink;
use crate::expectation::{Amount, Amounts, Expectation, Range};
use crate::grouping::{GroupingKey, LabelError, LabelName, LabelValue};
use crate::metrics::{Exposition, Timestamp};
use crate::record::{Outcome, RunFacts, RunRecord};
use crate::schedule::{Schedule, Zone};

/// Finished runs by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunCounts([u64; Outcome::ALL.len()]);

impl RunCounts {
    /// How many runs ended so.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize]
    }

    /// All runs, skipped ones included.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Sets one count, as read from the database.
    pub(super) fn set(&mut self, outcome: Outcome, count: u64) {
        self.0[outcome as usize] = count;
    }

    /// These counts.
    pub fn new(counts: [u64; Outcome::ALL.len()]) -> Self {
        Self(counts)
    }

    fn add(&mut self, outcome: Outcome) {
        self.set(outcome, self.of(outcome).saturating_add(1));
    }
}

/// What somebody else remembers of a group: a gateway, or a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Finished runs by outcome.
    pub counts: RunCounts,
    /// Summed duration of finished runs.
    pub duration_total: Duration,
    /// When the last run ended that is counted there.
    pub last_end: Option<SystemTime>,
    /// When a run last ended in success.
    pub last_success: Option<SystemTime>,
    /// When a run last ended otherwise.
    pub last_failure: Option<SystemTime>,
    /// Unsuccessful runs since the last success.
    pub consecutive_failures: u64,
}

impl Memory {
    /// Of two memories of one group, the one with the most runs is the newest.
    pub fn newer(known: Option<Self>, other: Self) -> Self {
        known.filter(|known| known.counts.total() >= other.counts.total()).unwrap_or(other)
    }
}

/// Whether the counts here are all there are, or a gateway may remember earlier ones.
///
/// A registry that meets a group for the first time cannot tell a new job from a lost disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Past {
    /// Everything that ever happened to the group is in this state.
    Known,
    /// Runs from before this registry may have been reported to a gateway.
    #[default]
    Unknown,
}

/// When a job is due, as it was written; see [`crate::schedule`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// Five fields of cron, or a word such as `@daily`.
    pub cron: String,
    /// The name of the time zone; none for this machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

impl ScheduleSpec {
    /// The first time after `now`; none if this is no schedule (another version of jobmon may have thought so).
    pub fn next_after(&self, now: SystemTime) -> Option<SystemTime> {
        let zone = match &self.zone {
            Some(name) => name.parse().ok()?,
            None => Zone::local(),
        };
        Schedule::parse(&self.cron, zone).ok()?.next_after(now)
    }
}

/// What should be true of a job, exported so that one set of rules fits all jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectations {
    /// What is an amount.
    pub amounts: Amounts,
    /// When it is due.
    pub schedule: Option<ScheduleSpec>,
    /// When its schedule starts it next: computed from it whenever the state of the group changes.
    pub next_start: Option<SystemTime>,
}

impl Expectations {
    /// These, and of `others` those that are not set here.
    pub fn or(&self, others: &Self) -> Self {
        Self {
            amounts: self.amounts.or(&others.amounts),
            schedule: self.schedule.as_ref().or(others.schedule.as_ref()).cloned(),
            next_start: self.next_start.or(others.next_start),
        }
    }
}

/// What a run, or its registration, brings along for its group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declaration {
    /// What is expected of the job. What a run says outweighs what was registered.
    #[serde(default, with = "expectations_as_json")]
    pub expectations: Expectations,
    /// Where the state of the group is to be and nowhere else, pending there from now on. None: wherever it is to be already.
    /// An empty list: nowhere, so that replicas are to be deleted.
    #[serde(default)]
    pub sinks: Option<Vec<Sink>>,
    /// A note of delivery's to itself: how the sinks were chosen. Kept as it is.
    #[serde(default)]
    pub route: Option<String>,
    /// Where nothing of the group is to be once a run has succeeded, whoever sent it there (`--ephemeral`): another
    /// registry may have, that of the container in which the job failed before. Empty for every other job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdraw_from: Vec<Sink>,
}

impl Declaration {
    /// Whether a run that ended so is deleted from where it was reported, instead of being reported. One that ended with a
    /// warning is reported: somebody should look.
    pub fn withdraw(&self, outcome: Outcome) -> bool {
        outcome == Outcome::Success && !self.withdraw_from.is_empty()
    }
}

/// Metrics of a job's own, in text format and checked (see [`crate::metrics`]); part of the group, so that whoever
/// sends it, however late, sends them too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobMetrics {
    /// What `jobmon push` added, family by family.
    pub pushed: String,
    /// What the most recent finished run wrote that had a file for it.
    pub of_last_run: String,
}

impl JobMetrics {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pushed.is_empty() && self.of_last_run.is_empty()
    }

    /// All of them.
    pub fn exposition(&self) -> Exposition {
        Exposition::from_text(&self.of_last_run).or(Exposition::from_text(&self.pushed))
    }

    /// Families that were pushed replace those of the same names, whoever wrote them.
    fn push(&mut self, text: &str, replace: bool) {
        let (new, older) = (Exposition::from_text(text), Exposition::from_text(&self.pushed));
        self.of_last_run = Exposition::from_text(&self.of_last_run).without(&new).to_text(&[]);
        self.pushed = if replace { new } else { new.or(older) }.to_text(&[]);
    }

    /// A run's families replace those of the run before, all of them: what a run no longer says is no longer true.
    fn finish(&mut self, text: &str) {
        let new = Exposition::from_text(text);
        self.pushed = Exposition::from_text(&self.pushed).without(&new).to_text(&[]);
        self.of_last_run = new.to_text(&[]);
    }
}

/// The state of a group: everything that its metrics say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupState {
    /// The version of this state: larger after every change, never the same for two states.
    pub seq: u64,
    /// When this state came to be: the time of its samples in a database. Later than that of any state that a database may
    /// have, whatever the clock says; so a state that is sent again is the same to the byte.
    pub stamp: Timestamp,
    /// The latest time of samples of the group that a database may have.
    pub newest_sent: Timestamp,
    /// Runs in progress when this state came to be; each start that is told of, and each end, makes a new state.
    pub running: u32,
    /// Finished runs by outcome.
    pub counts: RunCounts,
    /// Summed duration of finished runs, skipped ones left out.
    pub duration_total: Duration,
    /// When the most recent run started, finished or not.
    pub last_start: Option<SystemTime>,
    /// The most recent finished run, skipped ones left out.
    pub last_run: Option<RunFacts>,
    /// When a run last ended in success.
    pub last_success: Option<SystemTime>,
    /// When a run last ended in anything but success or skipped.
    pub last_failure: Option<SystemTime>,
    /// Unsuccessful runs since the last success.
    pub consecutive_failures: u64,
    /// Whether there is more to the past of the group than this state knows.
    pub past: Past,
    /// What is expected of the job: as its last run said, else as registered.
    pub expectations: Expectations,
    /// What the job says of itself.
    pub job_metrics: JobMetrics,
}

/// When a record reaches the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// From the jobmon whose run it is, right after the end: it is the most recent one, whatever the clock says.
    Now,
    /// Later, from the journal, when newer runs may have been recorded already.
    Late(SystemTime),
}

impl GroupState {
    /// What one run that ended just now says of its group where there is no registry that knows more.
    pub fn of_one_run(record: &RunRecord, mut expectations: Expectations, now: SystemTime) -> Self {
        expectations.next_start = expectations.schedule.as_ref().and_then(|schedule| schedule.next_after(now));
        let mut state = Self { expectations, stamp: Timestamp::of(now), ..Self::default() };
        state.finish(record, Arrival::Now, 0);
        state
    }

    /// Counts on from what somebody else remembers. `included` of the runs that are counted here are part of that already: they
    /// were reported without this registry.
    pub fn adopt(&mut self, remembered: &Memory, included: &RunCounts, included_duration: Duration) {
        for outcome in Outcome::ALL {
            let own = self.counts.of(outcome).saturating_sub(included.of(outcome));
            self.counts.set(outcome, remembered.counts.of(outcome).saturating_add(own));
        }
        let own = self.duration_total.saturating_sub(included_duration);
        self.duration_total = remembered.duration_total.saturating_add(own);
        if self.last_success.is_none() {
            let unsuccessful = Outcome::ALL.into_iter().filter(|outcome| !outcome.is_success());
            let counted = unsuccessful.filter(|outcome| *outcome != Outcome::Skipped);
            let twice: u64 = counted.map(|outcome| included.of(outcome)).sum();
            let own = self.consecutive_failures.saturating_sub(twice);
            self.consecutive_failures = remembered.consecutive_failures.saturating_add(own);
        }
        self.last_success = self.last_success.or(remembered.last_success);
        self.last_failure = self.last_failure.or(remembered.last_failure);
        self.past = Past::Known;
    }

    /// Gives the state its time: now, or as soon as possible after what a database has.
    ///
    /// A family that leaves the group ends one millisecond after the state without it, so two are between states.
    pub(crate) fn stamp(&mut self, now: SystemTime) {
        self.stamp = Timestamp::of(now).max(self.newest_sent.plus_millis(2));
    }

    /// A run has started and is expected to take a while.
    pub(crate) fn start(&mut self, started_at: SystemTime) {
        self.seq += 1;
        self.last_start = Some(started_at);
    }

    /// Metrics were pushed for the job: they are added to those that were pushed before, or `replace` them all.
    pub(super) fn push(&mut self, text: &str, replace: bool) {
        self.seq += 1;
        self.job_metrics.push(text, replace);
    }

    /// A run has ended. `newer_failures` are the unsuccessful runs that started after this one, for late arrivals.
    pub(crate) fn finish(&mut self, record: &RunRecord, arrival: Arrival, newer_failures: u64) {
        self.seq += 1;
        self.counts.add(record.facts.outcome);
        if record.facts.outcome == Outcome::Skipped {
            return;
        }
        self.duration_total = self.duration_total.saturating_add(record.facts.duration);
        let most_recent = |known: Option<SystemTime>, time: SystemTime| match arrival {
            Arrival::Now => true,
            // What lies in the future was written by a clock that has since been put right.
            Arrival::Late(now) => known.is_none_or(|known| known <= time || known > now),
        };
        let succeeded = record.facts.outcome.is_success();
        let last_run_start = self.last_run.as_ref().map(|run| run.started_at);
        let is_last = most_recent(last_run_start, record.facts.started_at);
        // Of two runs that overlap, the one that started later was announced later, and its start stays; unless it lies
        // in the future, where a clock put it that has since been put right.
        let overlaps = |start| (record.facts.started_at..=record.facts.ended_at).contains(&start);
        let announced = arrival == Arrival::Now && self.last_start.is_some_and(overlaps);
        if !announced && most_recent(self.last_start, record.facts.started_at) {
            self.last_start = Some(record.facts.started_at);
        }
        if succeeded {
            if is_last {
                self.consecutive_failures = 0;
            } else if most_recent(self.last_success, record.facts.ended_at) {
                self.consecutive_failures = newer_failures;
            }
        } else if is_last || most_recent(self.last_success, record.facts.started_at) {
            self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        }
        let last_of_its_kind = if succeeded { &mut self.last_success } else { &mut self.last_failure };
        if most_recent(*last_of_its_kind, record.facts.ended_at) {
            *last_of_its_kind = Some(record.facts.ended_at);
        }
        if is_last {
            if let Some(text) = &record.job_metrics {
                self.job_metrics.finish(text);
            }
            self.last_run = Some(record.facts.clone());
        }
    }
}

/// The key of a map of labels, `job` included, as the registry and its journal store it.
pub(super) fn key_of_labels(mut labels: BTreeMap<String, String>) -> Result<GroupingKey, LabelError> {
    let job = LabelValue::new(labels.remove("job").unwrap_or_default())?;
    let labels: Result<Vec<_>, LabelError> =
        labels.into_iter().map(|(name, value)| Ok((LabelName::new(name)?, LabelValue::new(value)?))).collect();
    Ok(GroupingKey::new(job, labels?))
}

/// Expectations as JSON: the amounts by their keys (times in nanoseconds), the schedule as it was written, and when it
/// starts the job next. What another version of jobmon expects is ignored.
pub(super) mod expectations_as_json {
    use super::*;

    #[derive(Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Stored {
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        amounts: BTreeMap<String, i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        schedule: Option<ScheduleSpec>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_start: Option<i64>,
    }

    pub fn serialize<S: serde::Serializer>(these: &Expectations, serializer: S) -> Result<S::Ok, S::Error> {
        let amounts = these.amounts.iter().map(|(expectation, amount)| {
            let number = match amount {
                Amount::Time(time) => nanos_of_duration(time),
                Amount::Number(number) => number.into(),
            };
            (expectation.spec().key.to_owned(), number)
        });
        let next_start = these.next_start.map(nanos_of);
        Stored { amounts: amounts.collect(), schedule: these.schedule.clone(), next_start }.serialize(serializer)
    }

    pub fn deserialize<'a, D: serde::Deserializer<'a>>(deserializer: D) -> Result<Expectations, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        let mut amounts = Amounts::default();
        for expectation in Expectation::ALL {
            let spec = expectation.spec();
            let amount = stored.amounts.get(spec.key).map(|&number| match spec.range {
                Range::Duration | Range::DurationOrZero => Amount::Time(duration_of(number)),
                Range::Count => Amount::Number(u32::try_from(number).unwrap_or_default()),
            });
            amounts.set(expectation, amount);
        }
        Ok(Expectations { amounts, schedule: stored.schedule, next_start: stored.next_start.map(time_of) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::testing::{at, record, sink};

    fn after(runs: &[(u64, Outcome)]) -> GroupState {
        let mut state = GroupState::default();
        for (start, outcome) in runs {
            state.finish(&record("x", *start, *outcome), Arrival::Now, 0);
        }
        state
    }

    #[test]
    fn counters_and_times_follow_the_runs() {
        use Outcome::*;
        // A run of `record` starts at the given second and takes ten.
        let check =
            |runs: &[(u64, Outcome)], success: Option<u64>, failure: Option<u64>, failures: u64, last: Outcome| {
                let state = after(runs);
                assert_eq!(state.seq, runs.len() as u64);
                assert_eq!(state.counts.total(), runs.len() as u64);
                assert_eq!(state.last_success, success.map(at), "{runs:?}");
                assert_eq!(state.last_failure, failure.map(at), "{runs:?}");
                assert_eq!(state.consecutive_failures, failures, "{runs:?}");
                assert_eq!(state.last_run.unwrap().outcome, last, "{runs:?}");
            };
        check(&[(100, Success)], Some(110), None, 0, Success);
        check(&[(100, Failure)], None, Some(110), 1, Failure);
        check(&[(100, Success), (200, Failure), (300, Timeout)], Some(110), Some(310), 2, Timeout);
        check(&[(100, Failure), (200, Success)], Some(210), Some(110), 0, Success);
        check(&[(100, Success), (200, Skipped)], Some(110), None, 0, Success);
        check(&[(100, Failure), (200, Warning)], Some(210), Some(110), 0, Warning);
        check(&[(100, Lost), (200, Skipped), (300, Failure)], None, Some(310), 2, Failure);
        // The clock was put back: what ended just now is the most recent all the same.
        check(&[(900, Failure), (100, Success)], Some(110), Some(910), 0, Success);
        assert_eq!(after(&[(900, Failure), (100, Success)]).duration_total, Duration::from_secs(20));
    }

    #[test]
    fn a_skipped_run_changes_nothing_but_its_counter() {
        let before = after(&[(100, Outcome::Failure)]);
        let mut state = before.clone();
        state.finish(&record("x", 200, Outcome::Skipped), Arrival::Now, 0);
        assert_eq!(state.counts.of(Outcome::Skipped), 1);
        let expected = GroupState { seq: 2, counts: state.counts, ..before };
        assert_eq!(state, expected);
    }

    #[test]
    fn the_start_of_the_run_that_started_last_stays() {
        let mut state = GroupState::default();
        state.start(at(100));
        state.start(at(105));
        state.finish(&record("x", 100, Outcome::Success), Arrival::Now, 0);
        assert_eq!(state.last_start, Some(at(105)));
        state.finish(&record("x", 170, Outcome::Success), Arrival::Now, 0);
        assert_eq!(state.last_start, Some(at(170)), "a short run is not announced");
        state.start(at(1_000_000));
        state.finish(&record("x", 200, Outcome::Success), Arrival::Now, 0);
        assert_eq!(state.last_start, Some(at(200)), "the clock was put back");
    }

    #[test]
    fn a_late_arrival_does_not_overwrite_what_is_newer() {
        use Outcome::*;
        let check = |runs: &[(u64, Outcome)], late: (u64, Outcome), newer_failures: u64, expected: (Outcome, u64)| {
            let mut state = after(runs);
            state.finish(&record("x", late.0, late.1), Arrival::Late(at(1000)), newer_failures);
            let last = state.last_run.unwrap().outcome;
            assert_eq!((last, state.consecutive_failures), expected, "{runs:?} then late {late:?}");
            assert_eq!(state.counts.total(), runs.len() as u64 + 1);
        };
        check(&[(100, Success)], (200, Lost), 0, (Lost, 1));
        check(&[(300, Success)], (200, Lost), 0, (Success, 0));
        check(&[(300, Failure)], (200, Lost), 0, (Failure, 2));
        check(&[(100, Success), (300, Failure)], (200, Failure), 0, (Failure, 2));
        check(&[(100, Failure), (300, Failure)], (200, Success), 1, (Failure, 1));
        check(&[], (200, Lost), 0, (Lost, 1));
        // Recorded under a clock that ran years ahead: it does not keep the state for years.
        check(&[(5000, Success)], (200, Lost), 0, (Lost, 1));
    }

    #[test]
    fn declarations_survive_their_json() {
        let declaration = Declaration {
            expectations: Expectations {
                amounts: Amounts::default().with_time(Expectation::MaxDuration, Duration::from_millis(1500)),
                next_start: Some(at(5)),
                ..Expectations::default()
            },
            sinks: Some(vec![sink("http://a:9091")]),
            route: None,
            withdraw_from: vec![sink("http://a:9091")],
        };
        let json = serde_json::to_string(&declaration).unwrap();
        assert_eq!(serde_json::from_str::<Declaration>(&json).unwrap(), declaration);
        assert_eq!(serde_json::from_str::<Declaration>("{\"later\":1}").unwrap(), Declaration::default());
    }

    #[test]
    fn labels_make_a_key_or_an_error() {
        let labels = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let key = key_of_labels(labels(&[("job", "j"), ("instance", "h")])).unwrap();
        assert_eq!(key.to_string(), r#"{job="j",instance="h"}"#);
        assert_eq!(key_of_labels(labels(&[("instance", "h")])), Err(LabelError::EmptyValue));
        assert!(key_of_labels(labels(&[("job", "j"), ("a-b", "h")])).is_err());
    }
}
