use super::*;
use crate::registry::testing::{Temp, at, key, record, soon};
use crate::registry::{Declaration, Registry};

fn remember(registry: &mut Registry, name: &str, seconds: u64, outcome: Outcome) {
    registry.remember(&record(name, seconds, outcome), &Declaration::default(), at(seconds + 10)).unwrap();
}

fn list(registry: &mut Registry, labels: &[(&str, &str)], outcomes: &[Outcome], limit: usize) -> Vec<String> {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let runs = registry.runs(&RunFilter { labels, outcomes: outcomes.to_vec(), ended_since: None, limit }).unwrap();
    let describe = |run: PastRun| {
        let second = crate::clock::since(at(0), run.record.facts.started_at).as_secs();
        format!("{} {second} {}", run.record.grouping_key.script_name(), run.record.facts.outcome)
    };
    runs.into_iter().map(describe).collect()
}

#[test]
fn runs_that_ended_lately_are_found_among_late_arrivals() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    for seconds in [1, 2, 100, 3, 101, 4] {
        remember(&mut registry, "a", seconds, Outcome::Success);
    }
    let mut check = |since, expected: &[SystemTime]| {
        let filter = RunFilter { ended_since: Some(since), limit: 9, ..RunFilter::default() };
        let ends: Vec<_> = registry.runs(&filter).unwrap().into_iter().map(|run| run.record.facts.ended_at).collect();
        assert_eq!(ends, expected);
    };
    check(at(50), &[at(111), at(110)]);
    check(at(111), &[at(111)]);
    check(at(112), &[]);
    check(at(13), &[at(14), at(111), at(13), at(110)]);
}

#[test]
fn the_newest_runs_that_are_asked_for_come_first() {
    use Outcome::*;
    let temp = Temp::new();
    let mut registry = temp.registry();
    for (name, seconds, outcome) in [
        ("a", 1, Success),
        ("b", 2, Failure),
        ("a", 3, Timeout),
        ("a", 4, Success),
        ("b", 5, Success),
        ("a", 6, Skipped),
    ] {
        remember(&mut registry, name, seconds, outcome);
    }
    let mut check = |labels: &[(&str, &str)], outcomes: &[Outcome], limit, expected: &[&str]| {
        assert_eq!(list(&mut registry, labels, outcomes, limit), expected, "{labels:?} {outcomes:?}");
    };
    check(&[], &[], 3, &["a 6 skipped", "b 5 success", "a 4 success"]);
    check(&[("script_name", "b")], &[], 9, &["b 5 success", "b 2 failure"]);
    check(&[("job", "script_monitor"), ("instance", "host")], &[], 2, &["a 6 skipped", "b 5 success"]);
    check(&[("job", "other")], &[], usize::MAX, &[]);
    check(&[("script_name", "b")], &[], usize::MAX, &["b 5 success", "b 2 failure"]);
    check(&[], &[Failure, Timeout], 9, &["a 3 timeout", "b 2 failure"]);
    check(&[("script_name", "a")], &[Success, Skipped], 2, &["a 6 skipped", "a 4 success"]);
    check(&[("script_name", "a")], &[], 0, &[]);
}

/// What no index answers takes seconds once there are a million runs.
#[test]
fn no_query_goes_through_the_whole_history() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    remember(&mut registry, "a", 1, Outcome::Failure);
    let plan = |sql: &str| -> String {
        let connection = rusqlite::Connection::open(temp.dir.database()).unwrap();
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps: Vec<String> = statement.query_map([], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        steps.join("; ")
    };
    let check = |sql: &str, expected: &str| {
        let plan = plan(sql);
        assert!(plan.contains(expected) && !plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
    };
    check("SELECT * FROM runs WHERE group_id = 1 ORDER BY id DESC LIMIT 5", "SEARCH runs USING INDEX runs_of_group");
    check(
        "SELECT count(*) FROM runs WHERE group_id = 1 AND outcome <> 0 AND outcome NOT IN (1, 5) AND started_at > 5",
        "SEARCH runs USING INDEX runs_notable",
    );
    check(
        "SELECT * FROM runs WHERE group_id = 1 AND outcome IN (2) AND outcome <> 0 ORDER BY id DESC LIMIT 5",
        "SEARCH runs USING INDEX runs_notable",
    );
    check("SELECT tail FROM outputs JOIN runs ON runs.id = outputs.run WHERE runs.run_id = 'x'", "SEARCH runs USING");
    check(
        "SELECT * FROM replicas CROSS JOIN groups ON groups.id = replicas.group_id WHERE replicas.pending_since IS NOT NULL \
         ORDER BY replicas.last_attempt, replicas.pending_since LIMIT 5",
        "replicas USING INDEX replicas_pending",
    );
}

#[test]
fn retention_takes_what_is_old_and_what_is_too_much() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let with_output = |name: &str, seconds| {
        let mut run = record(name, seconds, Outcome::Failure);
        run.output_tail = Some(b"tail".to_vec());
        run.attempts = vec![AttemptRecord { started_at: at(seconds), duration: Duration::ZERO, exit_code: 1 }; 2];
        run
    };
    for second in 0..450 {
        registry.remember(&with_output("a", second), &Declaration::default(), at(second + 10)).unwrap();
    }
    for second in 450..460 {
        registry.remember(&with_output("b", second), &Declaration::default(), at(second + 10)).unwrap();
    }
    let state = registry.group(&key("a")).unwrap().unwrap().group.state;
    let retention = Retention { max_age: Duration::from_secs(200), runs_per_group: 150, outputs_per_group: 5 };
    // Everything that ended before second 260 goes, then all but the newest of each group.
    assert!(registry.retain(&retention, at(460), soon()).unwrap() > 0);
    let kept = list(&mut registry, &[], &[], 1000);
    assert_eq!(kept.len(), 150 + 10);
    assert_eq!(kept.last().unwrap(), "a 300 failure");
    let runs = registry.runs(&RunFilter { limit: 1000, ..RunFilter::default() }).unwrap();
    assert_eq!(runs.iter().filter(|run| run.has_output).count(), 5 + 5);
    assert!(runs.iter().all(|run| run.record.attempts.len() == 2));
    assert_eq!(registry.retain(&retention, at(460), soon()).unwrap(), 0, "and then there is nothing left to do");
    let orphans: i64 = rusqlite::Connection::open(temp.dir.database())
        .unwrap()
        .query_row("SELECT count(*) FROM attempts WHERE run NOT IN (SELECT id FROM runs)", [], |row| row.get(0))
        .unwrap();
    assert_eq!(orphans, 0);
    assert_eq!(registry.group(&key("a")).unwrap().unwrap().group.state, state, "counts are for ever");
}

#[test]
fn retention_without_time_removes_one_batch_at_most() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    for second in 0..250 {
        remember(&mut registry, "a", second, Outcome::Success);
    }
    let retention = Retention { max_age: Duration::ZERO, runs_per_group: 1, outputs_per_group: 1 };
    let removed = registry.retain(&retention, at(9999), Instant::now()).unwrap();
    assert_eq!(removed, u64::from(BATCH));
    assert_eq!(list(&mut registry, &[], &[], 1000).len(), 50);
}

#[test]
fn retention_is_due_seldom_and_whatever_the_clock_does() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let mut run = 0;
    let mut due = |registry: &mut Registry, now| {
        run += 1;
        registry.remember(&record("a", run, Outcome::Success), &Declaration::default(), now).unwrap().retention_due
    };
    let day = 24 * 3600;
    assert!(due(&mut registry, at(0)), "never done before");
    registry.retain(&Retention::default(), at(0), Instant::now()).unwrap();
    assert!(!due(&mut registry, at(0)));
    assert!(!due(&mut registry, at(day - 1)));
    assert!(due(&mut registry, at(day)));
    registry.retain(&Retention::default(), at(1000 * day), Instant::now()).unwrap();
    assert!(due(&mut registry, at(day)), "the clock was put back");
    registry.retain(&Retention::default(), at(day), Instant::now()).unwrap();
    let by_count = (0..200).filter(|_| due(&mut registry, at(day))).count();
    assert_eq!(by_count, 2);
}

/// "clock stepped back or forward by years: … what was recorded before stays"
#[test]
fn a_clock_that_leaps_takes_no_history_with_it() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let retention = Retention::default();
    let years = 20 * 365 * 24 * 3600;
    let present = years;
    let mut run = |clock: u64| {
        registry.remember(&record("a", clock, Outcome::Success), &Declaration::default(), at(clock)).unwrap();
        registry.retain(&retention, at(clock + 10), soon()).unwrap();
        registry.runs(&RunFilter { limit: 1000, ..RunFilter::default() }).unwrap().len()
    };
    // The present, the future, the present, the past, and the present again.
    let clocks = [present, present + years, present + 100, 100, present + 200];
    for (count, clock) in (1..).zip(clocks) {
        assert_eq!(run(clock), count, "{clock}");
    }
    let age = retention.max_age.as_secs() + 3600;
    assert_eq!(run(present + age), 6, "so much later is not believed at once");
    assert_eq!(run(present + age + 1), 3, "what the clock dated into the future stays");
}
