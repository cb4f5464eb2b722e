use std::time::Duration;

use super::*;
use crate::registry::group_state::{Arrival, Expectations};
use crate::registry::testing::{at, record};

/// The text for a state, without HELP and TYPE lines.
fn samples_of(state: &GroupState, running: u32) -> Vec<String> {
    let text = String::from_utf8(encode(&families(state, running).0)).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

fn write_of(state: &GroupState) -> Write {
    families(state, 0).1
}

fn names_of(state: &GroupState) -> Vec<String> {
    families(state, 0).0.iter().map(|family| family.name().to_owned()).collect()
}

fn after(past: Past, outcomes: &[Outcome]) -> GroupState {
    let mut state = GroupState { past, ..GroupState::default() };
    for (second, outcome) in (0..).step_by(100).zip(outcomes) {
        state.finish(&record("x", second, *outcome), Arrival::Now, 0);
    }
    state
}

/// The interface that dashboards and rules are built on. This list only ever grows.
#[test]
fn names_and_types_are_those_that_were_promised() {
    use Kind::*;
    use Presence::*;
    let expected = [
        ("script_running", Gauge, Always),
        ("script_start_timestamp_seconds", Gauge, Started),
        ("script_end_timestamp_seconds", Gauge, Finished),
        ("script_duration_seconds", Gauge, Finished),
        ("script_exit_code", Gauge, Finished),
        ("script_result", Gauge, Finished),
        ("script_last_success_timestamp_seconds", Gauge, Always),
        ("script_last_failure_timestamp_seconds", Gauge, Always),
        ("script_consecutive_failures", Gauge, Always),
        ("script_runs_total", Counter, Always),
        ("script_run_duration_seconds_total", Counter, Always),
        ("script_cpu_seconds", Gauge, Finished),
        ("script_max_resident_memory_bytes", Gauge, Finished),
        ("script_max_duration_seconds", Gauge, Configured),
        ("script_expected_interval_seconds", Gauge, Configured),
        ("script_next_start_timestamp_seconds", Gauge, Configured),
        ("script_grace_seconds", Gauge, Configured),
        ("script_heartbeat_interval_seconds", Gauge, Configured),
        ("script_ttl_seconds", Gauge, Configured),
    ];
    assert_eq!(FAMILIES.map(|family| (family.name, family.kind, family.presence)), expected);
}

#[test]
fn help_texts_never_change() {
    let all: String = FAMILIES.map(|family| format!("{} {}\n", family.name, family.help)).concat();
    let hash = crate::grouping::stable_hash(all.as_bytes());
    assert_eq!(
        hash, 13_708_303_901_574_851_192,
        "node_exporter drops series whose help text differs between two versions of jobmon"
    );
}

#[test]
fn before_the_first_run_has_ended_the_counters_are_there_with_zero() {
    let mut state = after(Past::Known, &[]);
    state.start(at(5));
    let expected = [
        "script_running 1",
        "script_start_timestamp_seconds 1790000005",
        "script_last_success_timestamp_seconds 0",
        "script_last_failure_timestamp_seconds 0",
        "script_consecutive_failures 0",
        "script_runs_total{result=\"success\"} 0",
        "script_runs_total{result=\"failure\"} 0",
        "script_runs_total{result=\"timeout\"} 0",
        "script_runs_total{result=\"lost\"} 0",
        "script_runs_total{result=\"skipped\"} 0",
        "script_run_duration_seconds_total 0",
    ];
    assert_eq!(samples_of(&state, 1), expected);
    assert_eq!(write_of(&state), Write::Replace);
}

#[test]
fn a_finished_run_is_told_in_full() {
    let mut state = after(Past::Known, &[Outcome::Success, Outcome::Failure]);
    state.last_run.as_mut().unwrap().duration = Duration::from_nanos(10_123_456_789);
    let expected = [
        "script_running 0",
        "script_start_timestamp_seconds 1790000100",
        "script_end_timestamp_seconds 1790000110",
        "script_duration_seconds 10.123456",
        "script_exit_code 1",
        "script_result 0",
        "script_last_success_timestamp_seconds 1790000010",
        "script_last_failure_timestamp_seconds 1790000110",
        "script_consecutive_failures 1",
        "script_runs_total{result=\"success\"} 1",
        "script_runs_total{result=\"failure\"} 1",
        "script_runs_total{result=\"timeout\"} 0",
        "script_runs_total{result=\"lost\"} 0",
        "script_runs_total{result=\"skipped\"} 0",
        "script_run_duration_seconds_total 20",
        "script_cpu_seconds{mode=\"user\"} 1.5",
        "script_cpu_seconds{mode=\"system\"} 0.25",
        "script_max_resident_memory_bytes 12582912",
    ];
    assert_eq!(samples_of(&state, 0), expected);
}

#[test]
fn what_is_configured_is_told_and_nothing_else() {
    let mut state = after(Past::Known, &[]);
    state.expectations = Expectations {
        max_duration: Some(Duration::from_millis(1500)),
        expected_interval: Some(Duration::from_secs(86400)),
        schedule: None,
        next_start: Some(at(7)),
        grace: Some(Duration::from_secs(300)),
        heartbeat_interval: Some(Duration::from_secs(30)),
        ttl: Some(Duration::ZERO),
    };
    let expected = [
        "script_max_duration_seconds 1.5",
        "script_expected_interval_seconds 86400",
        "script_next_start_timestamp_seconds 1790000007",
        "script_grace_seconds 300",
        "script_heartbeat_interval_seconds 30",
        "script_ttl_seconds 0",
    ];
    assert_eq!(samples_of(&state, 0)[10..], expected);
}

#[test]
fn with_an_unknown_past_only_what_is_known_is_told() {
    use Outcome::*;
    const COUNTERS: [&str; 2] = ["script_runs_total", "script_run_duration_seconds_total"];
    const SUCCESS: [&str; 2] = ["script_last_success_timestamp_seconds", "script_consecutive_failures"];
    const FAILURE: [&str; 1] = ["script_last_failure_timestamp_seconds"];
    let check = |outcomes: &[Outcome], absent: &[&[&str]], write| {
        let (unknown, known) = (after(Past::Unknown, outcomes), after(Past::Known, outcomes));
        let mut names = names_of(&known);
        names.retain(|name| !absent.concat().contains(&name.as_str()));
        assert_eq!(names_of(&unknown), names, "{outcomes:?}");
        assert_eq!((write_of(&unknown), write_of(&known)), (write, Write::Replace), "{outcomes:?}");
    };
    check(&[], &[&COUNTERS, &SUCCESS, &FAILURE], Write::Merge);
    check(&[Success], &[&COUNTERS, &FAILURE], Write::Merge);
    check(&[Failure], &[&COUNTERS, &SUCCESS], Write::Merge);
    check(&[Skipped], &[&COUNTERS, &SUCCESS, &FAILURE], Write::Merge);
    check(&[Failure, Failure], &[&SUCCESS], Write::Merge);
    check(&[Success, Skipped], &[&FAILURE], Write::Merge);
    check(&[Success, Lost], &[], Write::Replace);
    check(&[Failure, Success, Success], &[], Write::Replace);
}

#[test]
fn more_labels_come_first_and_are_escaped() {
    let families = families(&after(Past::Known, &[Outcome::Success]), 2).0;
    let text = encode(&with_labels(families, [("script_name", "a \"b\"\n\\")]));
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("\nscript_running{script_name=\"a \\\"b\\\"\\n\\\\\"} 2\n"), "{text}");
    assert!(text.contains("\nscript_runs_total{script_name=\"a \\\"b\\\"\\n\\\\\",result=\"success\"} 1\n"), "{text}");
}
