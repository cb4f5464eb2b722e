use std::thread;

use super::testing::{Temp, at, key, record, sink, soon, start};
use super::*;
use crate::expectation::{Amount, Amounts, Expectation};
use crate::record::Outcome;

const A: &str = "http://a:9091";
const B: &str = "http://b:9091";

fn to(sinks: &[&str]) -> Declaration {
    Declaration { sinks: Some(sinks.iter().map(|url| sink(url)).collect()), ..Declaration::default() }
}

fn everything() -> RunFilter {
    RunFilter { limit: 1_000_000, ..RunFilter::default() }
}

#[test]
fn a_run_is_kept_whole() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let mut run = record("backup", 100, Outcome::Failure);
    run.facts.signal = Some(9);
    run.facts.exit_code = 137;
    run.output_tail = Some(b"\xff\x00tail\n".to_vec());
    run.attempts = vec![crate::record::AttemptRecord {
        started_at: at(100),
        duration: Duration::from_nanos(123_456_789),
        exit_code: 1,
    }];
    let remembered = registry.remember(&run, &to(&[A]), at(110)).unwrap();
    assert!(remembered.counted);
    assert_eq!(remembered.group.state.past, Past::Unknown);
    drop(registry);

    let mut registry = temp.registry();
    let runs = registry.runs(&everything()).unwrap();
    let expected = RunRecord { output_tail: None, ..run.clone() };
    assert_eq!(runs, [PastRun { record: expected, has_output: true }]);
    assert_eq!(registry.output(&run.run_id).unwrap(), run.output_tail);
    let status = registry.groups().unwrap();
    assert_eq!(status.iter().map(|status| &status.group).collect::<Vec<_>>(), [&remembered.group]);
    assert_eq!(status[0].replicas.iter().map(|replica| replica.sink.to_string()).collect::<Vec<_>>(), [A]);
    assert_eq!(status[0].group.command, run.command);
    assert_eq!(status[0].group.state.last_run.as_ref().unwrap().signal, Some(9));
}

#[test]
fn a_run_is_counted_once_however_often_it_is_reported() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let run = record("backup", 100, Outcome::Success);
    let first = registry.remember(&run, &to(&[A]), at(110)).unwrap();
    let again = registry.remember(&run, &to(&[A, B]), at(120)).unwrap();
    assert!(first.counted && !again.counted);
    assert_eq!(again.group, first.group);
    let replicas = registry.group(&run.grouping_key).unwrap().unwrap().replicas;
    assert_eq!(replicas.iter().map(|replica| replica.sink.to_string()).collect::<Vec<_>>(), [A], "nor sent elsewhere");
    assert_eq!(registry.runs(&everything()).unwrap().len(), 1);
}

#[test]
fn clocks_gone_mad_are_recorded_without_harm() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let year = Duration::from_secs(31_556_952);
    for time in [SystemTime::UNIX_EPOCH - year * 60, at(0) + year * 170, SystemTime::UNIX_EPOCH + year * 100_000] {
        let mut run = record("backup", 0, Outcome::Success);
        (run.facts.started_at, run.facts.ended_at, run.facts.duration) = (time, time, Duration::MAX);
        let remembered = registry.remember(&run, &to(&[A]), time).unwrap();
        assert_eq!(remembered.group.state.last_run.unwrap().outcome, Outcome::Success);
        registry.pending_actions(PendingFilter::Actionable, 10, time).unwrap();
        registry.finish_request(remembered.group.id, &sink(A), &RequestOutcome::Failed("down".into()), time).unwrap();
        registry.retain(&Retention::default(), time, Instant::now()).unwrap();
    }
    let runs = registry.groups().unwrap().remove(0).group.state;
    assert_eq!(runs.counts.total(), 3);
}

#[test]
fn two_hundred_writers_lose_nothing() {
    let temp = Temp::new();
    thread::scope(|scope| {
        let writers: Vec<_> = (0..200)
            .map(|number| {
                let dir = &temp.dir;
                scope.spawn(move || {
                    // The file is created, too, by whoever comes first.
                    let (mut registry, warnings) = Registry::open(dir, soon()).unwrap();
                    assert_eq!(warnings, []);
                    let run = record("backup", number, Outcome::ALL[number as usize % 4]);
                    registry.remember(&run, &to(&[A]), at(number)).unwrap();
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
    });
    let state = temp.registry().group(&key("backup")).unwrap().unwrap().group.state;
    assert_eq!(state.seq, 200);
    for outcome in &Outcome::ALL[..4] {
        assert_eq!(state.counts.of(*outcome), 50, "{outcome}");
    }
    assert_eq!(state.duration_total, Duration::from_secs(2000));
    assert_eq!(temp.registry().runs(&everything()).unwrap().len(), 200);
}

#[test]
fn what_is_left_in_the_journal_is_counted_once_and_removed() {
    let temp = Temp::new();
    let run = start("backup", 100);
    let entry = journal::Entry::begin(&temp.dir, &run).unwrap();
    let finished = RunRecord { run_id: run.run_id, ..record("backup", 100, Outcome::Timeout) };
    entry.finish(&finished).unwrap();
    drop(entry);

    let found = journal::leftovers(&temp.dir, None, at(200)).runs;
    let found_by_another = journal::leftovers(&temp.dir, None, at(200)).runs;
    let mut registry = temp.registry();
    let ingested = registry.ingest(found, at(200)).unwrap();
    assert_eq!(ingested.runs.iter().map(|(run, _)| run).collect::<Vec<_>>(), [&finished]);
    let again = registry.ingest(found_by_another, at(201)).unwrap();
    assert!(again.runs.is_empty() && again.warnings.is_empty());
    let status = registry.group(&key("backup")).unwrap().unwrap();
    assert_eq!(status.group.state.counts.of(Outcome::Timeout), 1);
    assert_eq!(status.replicas[0].sink, sink("http://127.0.0.1:9091"), "its declaration is the group's");
    assert_eq!(status.replicas[0].status(1), ReplicaStatus::Pending);
    assert!(journal::leftovers(&temp.dir, None, at(300)).runs.is_empty());
}

#[test]
fn a_late_run_does_not_bring_back_what_was_cleared_or_unregistered() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let late = |name: &str| {
        let entry = journal::Entry::begin(&temp.dir, &start(name, 50)).unwrap();
        entry.finish(&record(name, 50, Outcome::Failure)).unwrap();
    };
    registry.remember(&record("cleared", 100, Outcome::Success), &to(&[A]), at(110)).unwrap();
    registry.cleared(&key("cleared"), &sink(A), at(120)).unwrap();
    registry.register(&key("gone"), &Declaration::default(), at(110)).unwrap();
    registry.unregister(&key("gone"), &[], at(120)).unwrap();
    late("cleared");
    late("gone");
    assert_eq!(registry.ingest(journal::leftovers(&temp.dir, None, at(200)).runs, at(200)).unwrap().runs.len(), 2);
    assert_eq!(registry.pending_actions(PendingFilter::All, 10, at(200)).unwrap(), []);
    assert_eq!(registry.groups().unwrap().len(), 1);
    assert_eq!(registry.runs(&everything()).unwrap().len(), 3);
}

#[test]
fn registered_expectations_last_until_a_run_says_otherwise() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let [hour, day] = [1, 24].map(|hours| Some(Amount::Time(Duration::from_secs(hours * 3600))));
    let expecting = |max_duration, expected_interval| {
        let mut amounts = Amounts::default();
        amounts.set(Expectation::MaxDuration, max_duration);
        amounts.set(Expectation::ExpectedInterval, expected_interval);
        Declaration { expectations: Expectations { amounts, ..Expectations::default() }, ..to(&[A]) }
    };
    let registered = registry.register(&key("backup"), &expecting(hour, day), at(0)).unwrap();
    assert_eq!((registered.state.seq, registered.state.last_run), (1, None));
    let run = |registry: &mut Registry, declaration: &Declaration| {
        let remembered = registry.remember(&record("backup", 100, Outcome::Success), declaration, at(110)).unwrap();
        let amounts = remembered.group.state.expectations.amounts;
        (amounts.get(Expectation::MaxDuration), amounts.get(Expectation::ExpectedInterval))
    };
    assert_eq!(run(&mut registry, &to(&[A])), (hour, day));
    assert_eq!(run(&mut registry, &expecting(day, None)), (day, day));
    assert_eq!(run(&mut registry, &to(&[A])), (hour, day), "a limit that is taken from the crontab is gone");
}

#[test]
fn every_report_moves_the_time_of_the_next_run_whoever_knows_the_schedule() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let hourly = |zone: &str| Declaration {
        expectations: Expectations {
            schedule: Some(ScheduleSpec { cron: "30 * * * *".into(), zone: Some(zone.into()) }),
            ..Expectations::default()
        },
        ..to(&[A])
    };
    // at(0) is 14:13:20 UTC.
    let half_past = |hours: u64| Some(at(1000 + hours * 3600));
    let registered = registry.register(&key("backup"), &hourly("UTC"), at(0)).unwrap();
    assert_eq!(registered.state.expectations.next_start, half_past(0));
    let plain = to(&[A]);
    let mut run = |seconds, declaration: &Declaration| {
        let remembered = registry.remember(&record("backup", seconds, Outcome::Success), declaration, at(seconds + 10));
        let group = registry.group(&key("backup")).unwrap().unwrap().group;
        assert_eq!(group.state, remembered.unwrap().group.state, "what is read back is what was said");
        group.state.expectations.next_start
    };
    assert_eq!(run(1001, &plain), half_past(1), "the run says nothing of a schedule, the registration does");
    assert_eq!(run(4700, &plain), half_past(2));
    // The wall clock of Kathmandu is 5:45 ahead.
    assert_eq!(run(8300, &hourly("Asia/Kathmandu")), half_past(2).map(|time| time + Duration::from_secs(900)));
    assert_eq!(run(8400, &plain), half_past(3), "what is gone from the crontab is gone");
    let unreadable = ScheduleSpec { cron: "30 * * * *".into(), zone: Some("Atlantis/Central".into()) };
    assert_eq!(unreadable.next_after(at(0)), None);
}

#[test]
fn metrics_of_a_jobs_own_are_part_of_its_group() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let own = |registry: &mut Registry| {
        let metrics = registry.group(&key("backup")).unwrap().unwrap().group.state.job_metrics;
        (metrics.pushed, metrics.of_last_run)
    };
    let a = |value: u8| format!("# TYPE a untyped\na {value}\n");
    let b = |value: u8| format!("# TYPE b untyped\nb {value}\n");
    let pushed = registry.push(&key("backup"), &a(1), false, &to(&[A]), at(0)).unwrap();
    assert_eq!((pushed.state.seq, pushed.state.last_run), (1, None));
    registry.push(&key("backup"), &b(1), false, &to(&[A]), at(0)).unwrap();
    assert_eq!(own(&mut registry), (b(1) + &a(1), String::new()));

    let run = |seconds, metrics: Option<String>| RunRecord {
        job_metrics: metrics,
        ..record("backup", seconds, Outcome::Success)
    };
    registry.remember(&run(100, Some(a(2))), &to(&[A]), at(110)).unwrap();
    assert_eq!(own(&mut registry), (b(1), a(2)), "of one name the newer");
    registry.remember(&run(200, None), &to(&[A]), at(210)).unwrap();
    assert_eq!(own(&mut registry), (b(1), a(2)), "a run without a file says nothing of them");

    // Through the journal, when the database was not to be had; an older run does not overwrite a newer one's.
    for (seconds, expected) in [(300, a(3)), (50, a(3))] {
        let begun = RunStart { run_id: journal::new_run_id(), ..start("backup", seconds) };
        let late =
            RunRecord { run_id: begun.run_id.clone(), ..run(seconds, Some(a(if seconds == 300 { 3 } else { 4 }))) };
        journal::Entry::begin(&temp.dir, &begun).unwrap().finish(&late).unwrap();
        registry.ingest(journal::leftovers(&temp.dir, None, at(400)).runs, at(400)).unwrap();
        assert_eq!(own(&mut registry).1, expected);
    }
    registry.push(&key("backup"), "", true, &to(&[A]), at(500)).unwrap();
    assert_eq!(own(&mut registry), (String::new(), a(3)));
    registry.unregister(&key("backup"), &[], at(510)).unwrap();
    registry.remember(&run(600, None), &to(&[A]), at(610)).unwrap();
    assert_eq!(own(&mut registry), (String::new(), String::new()));
}

#[test]
fn an_unregistered_group_is_forgotten_and_deleted_everywhere() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let group = registry.remember(&record("backup", 100, Outcome::Success), &to(&[A, B]), at(110)).unwrap().group;
    registry.finish_request(group.id, &sink(A), &RequestOutcome::Delivered { seq: 1 }, at(111)).unwrap();
    assert!(registry.unregister(&key("backup"), &[], at(120)).unwrap());
    assert!(!registry.unregister(&key("backup"), &[], at(120)).unwrap());
    assert!(!registry.unregister(&key("other"), &[], at(120)).unwrap());
    assert_eq!(registry.group(&key("backup")).unwrap(), None);
    assert_eq!(registry.groups().unwrap(), []);
    let actions = registry.pending_actions(PendingFilter::Actionable, 10, at(130)).unwrap();
    let pending: Vec<_> = actions.iter().map(|action| (action.action, action.replica.sink.clone())).collect();
    assert_eq!(pending, [(Action::Delete, sink(B)), (Action::Delete, sink(A))], "A was spoken to more recently");
    for url in [A, B] {
        registry.finish_request(group.id, &sink(url), &RequestOutcome::Deleted, at(140)).unwrap();
    }
    assert_eq!(registry.pending_actions(PendingFilter::All, 10, at(150)).unwrap(), []);

    let again = registry.remember(&record("backup", 200, Outcome::Failure), &to(&[A]), at(210)).unwrap().group;
    assert_eq!((again.state.counts.total(), again.state.past), (1, Past::Known));
    assert!(again.state.seq > group.state.seq, "the version never goes back");
}

#[test]
fn the_start_of_a_run_is_owed_before_its_end() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let status = registry.started(&start("backup", 100), at(101)).unwrap();
    assert_eq!((status.group.state.seq, status.group.state.last_start), (1, Some(at(100))));
    assert_eq!(status.replicas[0].status(1), ReplicaStatus::Pending);
    assert_eq!(registry.runs(&everything()).unwrap(), []);
}

#[test]
fn a_state_counts_the_runs_in_progress_when_it_came_to_be() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let (one, two) = (start("a", 1), start("a", 2));
    let entries = [&one, &two].map(|run| journal::Entry::begin(&temp.dir, run).unwrap());
    assert_eq!(registry.started(&two, at(3)).unwrap().group.state.running, 2);
    // Both end at once: their files are still there when their ends are recorded.
    let end = |start: &RunStart| RunRecord { run_id: start.run_id.clone(), ..record("a", 1, Outcome::Success) };
    let remembered = registry.remember(&end(&one), &one.declaration, at(12)).unwrap();
    assert_eq!(remembered.group.state.running, 1);
    assert_eq!(registry.register(&key("a"), &to(&[A]), at(12)).unwrap().state.running, 1);
    let remembered = registry.remember(&end(&two), &two.declaration, at(12)).unwrap();
    assert_eq!(remembered.group.state.running, 0);
    assert_eq!(registry.group(&key("a")).unwrap().unwrap().group.state.running, 0, "and it is kept");
    drop(entries);
}

#[test]
fn an_error_is_a_line_that_names_the_file() {
    let check = |error: RegistryError, expected: &str| assert_eq!(error.to_string(), expected);
    check(RegistryError::Busy("/s/registry.db".into()), "registry /s/registry.db: locked by other processes");
    check(RegistryError::Full("/s/registry.db".into()), "registry /s/registry.db: no space left on device");
    check(
        RegistryError::Newer { path: "/s/registry.db".into(), found: 2, known: 1 },
        "registry /s/registry.db: written by a newer jobmon (version 2, this one knows 1): use that one",
    );
}

#[test]
fn a_run_that_is_to_leave_no_trace_is_withdrawn_from_everywhere_unless_a_newer_one_is_known() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let declaration = Declaration { withdraw_from: [A, B].map(sink).to_vec(), ..to(&[A]) };
    let late = |registry: &mut Registry, seconds: u64| {
        let run = RunStart { declaration: declaration.clone(), ..start("ci", seconds) };
        let entry = journal::Entry::begin(&temp.dir, &run).unwrap();
        entry.finish(&RunRecord { run_id: run.run_id, ..record("ci", seconds, Outcome::Success) }).unwrap();
        drop(entry);
        registry.ingest(journal::leftovers(&temp.dir, None, at(500)).runs, at(500)).unwrap();
    };
    let pending = |registry: &mut Registry| {
        let actions = registry.pending_actions(PendingFilter::All, 10, at(500)).unwrap();
        let mut pending: Vec<_> = actions.into_iter().map(|action| (action.replica.sink, action.action)).collect();
        pending.sort_by(|a, b| a.0.cmp(&b.0));
        pending
    };
    let (push, delete) = ((sink(A), Action::Push), |url: &str| (sink(url), Action::Delete));
    registry.remember(&record("ci", 100, Outcome::Failure), &declaration, at(110)).unwrap();
    assert_eq!(pending(&mut registry), std::slice::from_ref(&push));
    late(&mut registry, 50);
    assert_eq!(pending(&mut registry), std::slice::from_ref(&push), "the failure came after it");
    late(&mut registry, 150);
    assert_eq!(pending(&mut registry), [delete(A), delete(B)]);
    registry.remember(&record("ci", 200, Outcome::Timeout), &declaration, at(210)).unwrap();
    assert_eq!(pending(&mut registry), [push, delete(B)]);
    registry.remember(&record("ci", 300, Outcome::Success), &declaration, at(310)).unwrap();
    assert_eq!(pending(&mut registry), [delete(A), delete(B)]);
}
