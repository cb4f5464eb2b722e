//! Whatever runs a group has had, its exposition is one that Prometheus' own tools accept.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use jobmon::delivery::families::{Content, Write};
use jobmon::expectation::{Amount, Amounts, Expectation, Range};
use jobmon::grouping::{GroupingKey, LabelName, LabelValue};
use jobmon::metrics::families::ScriptFamily;
use jobmon::record::{Outcome, RunFacts, RunRecord};
use jobmon::registry::{Declaration, Expectations, GroupState, Memory, Registry, RunStart, StateDir, journal};
use proptest::prelude::*;

use crate::harness::Sandbox;

/// `promtool check metrics` is silent on the text; it reports missing help, odd units and badly named counters.
fn assert_promtool_is_silent(text: &[u8]) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts: install the Debian package prometheus");
    promtool.stdin.take().unwrap().write_all(text).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}\n{}", String::from_utf8_lossy(text));
}

/// A time anywhere, also where no clock should be: from 1900 on, and by the hundred thousand years.
fn times() -> impl Strategy<Value = SystemTime> {
    let usual = (0..4_000_000_000_000_000_000_u64).prop_map(|n| SystemTime::UNIX_EPOCH + Duration::from_nanos(n));
    let before = (0..2_200_000_000_u64).prop_map(|s| SystemTime::UNIX_EPOCH - Duration::from_secs(s));
    let beyond = (0..4_000_000_000_000_u64).prop_map(|s| SystemTime::UNIX_EPOCH + Duration::from_secs(s));
    prop_oneof![8 => usual, 1 => before, 1 => beyond]
}

fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![8 => (0..u64::MAX).prop_map(Duration::from_nanos), 1 => Just(Duration::ZERO), 1 => Just(Duration::MAX)]
}

fn key() -> GroupingKey {
    let labels = [(LabelName::new("script_name").unwrap(), LabelValue::new("a \"b\"\n").unwrap())];
    GroupingKey::new(LabelValue::new("script_monitor").unwrap(), labels)
}

fn records() -> impl Strategy<Value = RunRecord> {
    let numbers = (any::<i32>(), proptest::option::of(1..64), any::<u64>());
    let outcomes = proptest::sample::select(&Outcome::ALL[..]);
    (times(), times(), durations(), outcomes, numbers, (durations(), durations())).prop_map(
        |(started_at, ended_at, duration, outcome, (exit_code, signal, max_resident_bytes), (cpu_user, cpu_system))| {
            let facts = RunFacts {
                started_at,
                ended_at,
                duration,
                outcome,
                exit_code,
                signal,
                cpu_user,
                cpu_system,
                max_resident_bytes,
                ..RunFacts::begun(started_at)
            };
            RunRecord::new(journal::new_run_id(), key(), "x".into(), facts)
        },
    )
}

fn expectations() -> impl Strategy<Value = Expectations> {
    let amounts = proptest::collection::vec(proptest::option::of(durations()), Expectation::ALL.len());
    (amounts, proptest::option::of(times())).prop_map(|(times, next_start)| {
        let mut amounts = Amounts::default();
        for (expectation, time) in Expectation::ALL.into_iter().zip(times) {
            let amount = time.map(|time| match expectation.spec().range {
                Range::Count => Amount::Number(time.subsec_nanos()),
                _ => Amount::Time(time),
            });
            amounts.set(expectation, amount);
        }
        Expectations { amounts, schedule: None, next_start }
    })
}

/// Checks the text line by line and returns the names of its families.
fn check_text(text: &[u8]) -> BTreeSet<String> {
    let text = std::str::from_utf8(text).unwrap();
    assert!(text.ends_with('\n') && !text.contains('\r'));
    let mut names = BTreeSet::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# TYPE ") {
            names.insert(comment.split(' ').next().unwrap().to_owned());
        } else if !line.starts_with('#') {
            let words: Vec<_> = line.split(' ').collect();
            assert_eq!(words.len(), 2, "a name, a value and no timestamp: {line}");
            assert!(words[1].parse::<f64>().unwrap().is_finite(), "{line}");
        }
    }
    names
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_runs_make_an_exposition_with_the_promised_families(
        runs in proptest::collection::vec(records(), 1..6),
        expectations in expectations(),
        known in any::<bool>(),
        running in any::<u32>(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let (dir, _) = StateDir::open(directory.path()).unwrap();
        let (mut registry, _) = Registry::open(&dir, Instant::now() + Duration::from_secs(60)).unwrap();
        let declaration = Declaration { expectations, ..Declaration::default() };
        let start = RunStart {
            run_id: runs[0].run_id.clone(),
            grouping_key: key(),
            command: "x".into(),
            facts: RunFacts::begun(runs[0].facts.started_at),
            declaration: declaration.clone(),
        };
        let mut state = registry.started(&start, runs[0].facts.started_at).unwrap().group;
        if known {
            state = registry.adopt(state.id, &Memory::default()).unwrap();
        }
        let is_configured = |f: &ScriptFamily| f.spec().present == "where configured";
        let configured: BTreeSet<String> = check_text(&Content::of(&GroupState { running, ..state.state }).text(&[]))
            .into_iter()
            .filter(|name| ScriptFamily::ALL.iter().any(|f| f.name() == name && is_configured(f)))
            .collect();
        for run in &runs {
            let state = registry.remember(run, &declaration, run.facts.ended_at).unwrap().group.state;
            let content = Content::of(&GroupState { running, ..state.clone() });
            let names = check_text(&content.text(&[]));
            prop_assert!(!known || content.write == Write::Replace);
            if content.write == Write::Replace {
                // Nothing stale can stay in the group: the same set after every run.
                let finished = state.last_run.is_some();
                let expected: BTreeSet<String> = ScriptFamily::ALL
                    .into_iter()
                    .filter(|f| match f.spec().present {
                        "always" | "once a run has started" => true,
                        "once a run has ended" => finished,
                        "where configured" => configured.contains(f.name()),
                        other => panic!("{other}"),
                    })
                    .map(|f| f.name().to_owned())
                    .collect();
                prop_assert_eq!(names, expected);
            }
        }
        let group = registry.group(&key()).unwrap().unwrap().group;
        let content = Content::of(&GroupState { running, ..group.state });
        assert_promtool_is_silent(&content.text(&[]));
        assert_promtool_is_silent(&content.text(&group.key.labels().collect::<Vec<_>>()));
    }
}

#[test]
fn promtool_would_say_so() {
    let caught = std::panic::catch_unwind(|| assert_promtool_is_silent(b"# TYPE x_count counter\nx_count 1\n"));
    assert!(caught.is_err());
}

/// "Grouping labels override body labels silently": a label of a family of ours cannot be one of the group.
#[test]
fn no_label_of_the_group_is_one_of_a_family() {
    let sandbox = Sandbox::new();
    for label in ScriptFamily::ALL.iter().filter_map(|family| family.spec().label) {
        let flag = format!("{label}=x");
        let line = format!("--label {flag:?}: label name {label:?} is taken by jobmon's own metrics");
        sandbox.jobmon(["push", "--label", &flag]).code(125).stderr_contains(&line).run();
        let run = sandbox.jobmon(["run", "-n", "x", "--", "true"]).env("JOBMON_LABELS", &flag);
        run.stderr_contains(&format!("label name {label:?} is taken")).run();
    }
}
