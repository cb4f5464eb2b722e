use std::time::{Duration, SystemTime};

use super::*;
use crate::expectation::{Amount, Amounts, Expectation};
use crate::registry::Expectations;
use crate::registry::group_state::Arrival;
use crate::registry::testing::{at, record};

/// The text for a state, without HELP and TYPE lines.
fn samples_of(state: &GroupState) -> Vec<String> {
    let text = String::from_utf8(Content::of(state).text(&[])).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

fn write_of(state: &GroupState) -> Write {
    Content::of(state).write
}

fn names_of(state: &GroupState) -> Vec<String> {
    Content::of(state).families.families().iter().map(|family| family.name.clone()).collect()
}

fn after(past: Past, outcomes: &[Outcome]) -> GroupState {
    let mut state = GroupState { past, ..GroupState::default() };
    for (second, outcome) in (0..).step_by(100).zip(outcomes) {
        state.finish(&record("x", second, *outcome), Arrival::Now, 0);
    }
    state
}

#[test]
fn before_the_first_run_has_ended_the_counters_are_there_with_zero() {
    let mut state = after(Past::Known, &[]);
    state.start(at(5));
    state.running = 1;
    let expected = [
        "script_running 1",
        "script_start_timestamp_seconds 1790000005",
        "script_last_success_timestamp_seconds 0",
        "script_last_failure_timestamp_seconds 0",
        "script_consecutive_failures 0",
        "script_runs_total{result=\"success\"} 0",
        "script_runs_total{result=\"warning\"} 0",
        "script_runs_total{result=\"failure\"} 0",
        "script_runs_total{result=\"timeout\"} 0",
        "script_runs_total{result=\"lost\"} 0",
        "script_runs_total{result=\"skipped\"} 0",
        "script_run_duration_seconds_total 0",
    ];
    assert_eq!(samples_of(&state), expected);
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
        "script_runs_total{result=\"warning\"} 0",
        "script_runs_total{result=\"failure\"} 1",
        "script_runs_total{result=\"timeout\"} 0",
        "script_runs_total{result=\"lost\"} 0",
        "script_runs_total{result=\"skipped\"} 0",
        "script_run_duration_seconds_total 20",
        "script_cpu_seconds{mode=\"user\"} 1.5",
        "script_cpu_seconds{mode=\"system\"} 0.25",
        "script_max_resident_memory_bytes 12582912",
    ];
    assert_eq!(samples_of(&state), expected);
}

#[test]
fn what_is_configured_is_told_and_nothing_else() {
    let mut state = after(Past::Known, &[]);
    let mut amounts = Amounts::default()
        .with_time(Expectation::MaxDuration, Duration::from_millis(1500))
        .with_time(Expectation::MinDuration, Duration::from_secs(60))
        .with_time(Expectation::ExpectedInterval, Duration::from_secs(86400))
        .with_time(Expectation::Grace, Duration::from_secs(300))
        .with_time(Expectation::HeartbeatInterval, Duration::from_secs(30))
        .with_time(Expectation::Ttl, Duration::ZERO);
    amounts.set(Expectation::ToleratedFailures, Some(Amount::Number(2)));
    state.expectations = Expectations { amounts, schedule: None, next_start: Some(at(7)) };
    let expected = [
        "script_next_start_timestamp_seconds 1790000007",
        "script_max_duration_seconds 1.5",
        "script_min_duration_seconds 60",
        "script_tolerated_failures 2",
        "script_expected_interval_seconds 86400",
        "script_grace_seconds 300",
        "script_heartbeat_interval_seconds 30",
        "script_ttl_seconds 0",
    ];
    assert_eq!(samples_of(&state)[11..], expected);
}

#[test]
fn with_an_unknown_past_only_what_is_known_is_told() {
    use Outcome::*;
    const COUNTERS: [&str; 2] = ["script_runs_total", "script_run_duration_seconds_total"];
    const SUCCESS: [&str; 1] = ["script_last_success_timestamp_seconds"];
    const IN_A_ROW: [&str; 1] = ["script_consecutive_failures"];
    const FAILURE: [&str; 1] = ["script_last_failure_timestamp_seconds"];
    let check = |outcomes: &[Outcome], absent: &[&[&str]], write| {
        let (unknown, known) = (after(Past::Unknown, outcomes), after(Past::Known, outcomes));
        let mut names = names_of(&known);
        names.retain(|name| !absent.concat().contains(&name.as_str()));
        assert_eq!(names_of(&unknown), names, "{outcomes:?}");
        assert_eq!((write_of(&unknown), write_of(&known)), (write, Write::Replace), "{outcomes:?}");
    };
    check(&[], &[&COUNTERS, &SUCCESS, &IN_A_ROW, &FAILURE], Write::Merge);
    check(&[Success], &[&COUNTERS, &FAILURE], Write::Merge);
    check(&[Failure], &[&COUNTERS, &SUCCESS], Write::Merge);
    check(&[Skipped], &[&COUNTERS, &SUCCESS, &IN_A_ROW, &FAILURE], Write::Merge);
    check(&[Failure, Failure], &[&SUCCESS], Write::Merge);
    check(&[Success, Skipped], &[&FAILURE], Write::Merge);
    check(&[Success, Lost], &[], Write::Replace);
    check(&[Failure, Success, Success], &[], Write::Replace);
}

#[test]
fn more_labels_come_first_and_are_escaped() {
    let content = Content::of(&GroupState { running: 2, ..after(Past::Known, &[Outcome::Success]) });
    let text = String::from_utf8(content.text(&[("script_name", "a \"b\"\n\\")])).unwrap();
    assert!(text.contains("\nscript_running{script_name=\"a \\\"b\\\"\\n\\\\\"} 2\n"), "{text}");
    assert!(text.contains("\nscript_runs_total{script_name=\"a \\\"b\\\"\\n\\\\\",result=\"success\"} 1\n"), "{text}");
}

#[test]
fn clocks_gone_mad_are_finite_numbers() {
    let year = Duration::from_secs(31_556_952);
    for time in [SystemTime::UNIX_EPOCH - year * 60, SystemTime::UNIX_EPOCH + year * 100_000] {
        let mut state = after(Past::Known, &[Outcome::Success]);
        let run = state.last_run.as_mut().unwrap();
        (run.started_at, run.ended_at, run.duration) = (time, time, Duration::MAX);
        (state.last_start, state.duration_total) = (Some(time), Duration::MAX);
        assert!(!samples_of(&state).concat().to_lowercase().contains("inf"));
    }
}
