//! What the tests of the registry share.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use super::{Declaration, Registry, RunStart, StateDir, journal};
use crate::destination::Sink;
use crate::grouping::{GroupingKey, LabelName, LabelValue};
use crate::record::{Outcome, RunFacts, RunRecord};

/// A state directory that goes away with the test.
pub(super) struct Temp {
    _directory: TempDir,
    pub dir: StateDir,
}

impl Temp {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (dir, _) = StateDir::open(&directory.path().join("state")).unwrap();
        Self { _directory: directory, dir }
    }

    pub fn registry(&self) -> Registry {
        let (registry, warnings) = Registry::open(&self.dir, soon()).unwrap();
        assert_eq!(warnings, []);
        registry
    }

    pub fn key(&self, name: &str) -> GroupingKey {
        key(name)
    }
}

/// A deadline that only a hanging test meets.
pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// So many seconds after a day in 2026.
pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000 + seconds)
}

/// A gateway.
pub(super) fn sink(url: &str) -> Sink {
    Sink::Pushgateway(url.to_owned())
}

pub(crate) fn key(name: &str) -> GroupingKey {
    let labels = [("script_name", name), ("instance", "host")];
    let labels = labels.map(|(name, value)| (LabelName::new(name).unwrap(), LabelValue::new(value).unwrap()));
    GroupingKey::new(LabelValue::new("script_monitor").unwrap(), labels)
}

pub(super) fn start(name: &str, seconds: u64) -> RunStart {
    RunStart {
        run_id: journal::new_run_id(),
        grouping_key: key(name),
        command: format!("/usr/local/bin/{name} --all 'two words'"),
        facts: RunFacts::begun(at(seconds)),
        declaration: Declaration { sinks: Some(vec![sink("http://127.0.0.1:9091")]), ..Declaration::default() },
    }
}

/// A run that started at that second and took ten.
pub(crate) fn record(name: &str, seconds: u64, outcome: Outcome) -> RunRecord {
    let start = start(name, seconds);
    let facts = RunFacts {
        ended_at: at(seconds + 10),
        duration: Duration::from_secs(10),
        outcome,
        exit_code: i32::from(outcome != Outcome::Success && outcome != Outcome::Skipped),
        cpu_user: Duration::from_millis(1500),
        cpu_system: Duration::from_millis(250),
        max_resident_bytes: 12 << 20,
        ..start.facts
    };
    RunRecord::new(start.run_id, start.grouping_key, start.command, facts)
}
