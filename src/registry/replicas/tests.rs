use std::time::Duration;

use super::*;
use crate::record::Outcome;
use crate::registry::testing::{Temp, at, key, record, sink};
use crate::registry::{Declaration, Past, Registry, RestartCheck, Retention};

const A: &str = "http://a:9091";
const B: &str = "http://b:9091";
const C: &str = "http://c:9091";

/// Runs `name` once for the sinks, and returns its group.
fn run(registry: &mut Registry, name: &str, urls: &[&str], seconds: u64) -> Group {
    let sinks = urls.iter().map(|url| sink(url)).collect();
    let declaration = Declaration { sinks: Some(sinks), ..Declaration::default() };
    registry.remember(&record(name, seconds, Outcome::Success), &declaration, at(seconds)).unwrap().group
}

fn deliver(registry: &mut Registry, group: &Group, url: &str, seconds: u64) {
    let seq = registry.begin_request(group.id, &sink(url), at(seconds)).unwrap().state.seq;
    registry.finish_request(group.id, &sink(url), &RequestOutcome::Delivered { seq }, at(seconds)).unwrap();
}

fn fail(registry: &mut Registry, group: &Group, url: &str, seconds: u64) {
    registry.begin_request(group.id, &sink(url), at(seconds)).unwrap();
    registry.finish_request(group.id, &sink(url), &RequestOutcome::Failed("refused".into()), at(seconds)).unwrap();
}

/// What can be done a long time later, as `NAME ACTION SINK`.
fn actionable(registry: &mut Registry) -> Vec<String> {
    actions(registry, PendingFilter::Actionable, 1_000_000)
}

fn actions(registry: &mut Registry, which: PendingFilter, seconds: u64) -> Vec<String> {
    let actions = registry.pending_actions(which, 100, at(seconds)).unwrap();
    let describe = |pending: &PendingAction| {
        let url = pending.replica.sink.gateway_url().unwrap();
        let place = url.strip_prefix("http://").unwrap().strip_suffix(":9091").unwrap();
        format!("{} {:?} {place}", pending.group.key.script_name(), pending.action)
    };
    actions.iter().map(describe).collect()
}

fn status(registry: &mut Registry, name: &str) -> Vec<ReplicaStatus> {
    let status = registry.group(&key(name)).unwrap().unwrap();
    status.replicas.iter().map(|replica| replica.status(status.group.state.seq)).collect()
}

#[test]
fn a_state_is_owed_until_it_is_delivered() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let group = run(&mut registry, "x", &[A], 100);
    assert_eq!(actionable(&mut registry), ["x Push a"]);
    fail(&mut registry, &group, A, 101);
    let replica = registry.group(&group.key).unwrap().unwrap().replicas.remove(0);
    assert_eq!(
        (replica.attempts, replica.pending_since, replica.last_error.as_deref()),
        (1, Some(at(100)), Some("refused"))
    );
    deliver(&mut registry, &group, A, 102);
    assert_eq!(actionable(&mut registry), Vec::<String>::new());
    let replica = registry.group(&group.key).unwrap().unwrap().replicas.remove(0);
    assert_eq!(
        (replica.attempts, replica.pending_since, replica.last_error, replica.succeeded_at),
        (0, None, None, Some(at(102)))
    );
    run(&mut registry, "x", &[A], 200);
    assert_eq!(status(&mut registry, "x"), [ReplicaStatus::Pending]);
}

#[test]
fn a_state_that_changed_under_way_is_still_owed() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let group = run(&mut registry, "x", &[A], 100);
    let sent = registry.begin_request(group.id, &sink(A), at(101)).unwrap().state.seq;
    run(&mut registry, "x", &[A], 102);
    registry.finish_request(group.id, &sink(A), &RequestOutcome::Delivered { seq: sent }, at(103)).unwrap();
    assert_eq!(actionable(&mut registry), ["x Push a"]);
    // An answer that comes late does not turn back what is known.
    deliver(&mut registry, &group, A, 104);
    registry.finish_request(group.id, &sink(A), &RequestOutcome::Delivered { seq: sent }, at(105)).unwrap();
    assert_eq!(status(&mut registry, "x"), [ReplicaStatus::Delivered]);
}

#[test]
fn what_was_refused_for_good_is_not_sent_again_but_the_next_state_is() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let group = run(&mut registry, "x", &[A], 100);
    let refusal = RequestOutcome::Rejected { seq: 1, error: "400: bad".into() };
    registry.finish_request(group.id, &sink(A), &refusal, at(101)).unwrap();
    assert_eq!(actionable(&mut registry), Vec::<String>::new());
    assert_eq!(status(&mut registry, "x"), [ReplicaStatus::Rejected]);
    run(&mut registry, "x", &[A], 200);
    assert_eq!(actionable(&mut registry), ["x Push a"]);
}

#[test]
fn a_stale_replica_is_deleted_once_home_has_the_state() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let group = run(&mut registry, "x", &[A], 100);
    fail(&mut registry, &group, A, 101);
    deliver(&mut registry, &group, B, 102);
    assert_eq!(status(&mut registry, "x"), [ReplicaStatus::Pending, ReplicaStatus::Stale]);
    assert_eq!(actionable(&mut registry), ["x Push a"], "the replica at b is all that there is");
    assert_eq!(actions(&mut registry, PendingFilter::All, 200), ["x Push a", "x Delete b"]);

    // The next run is reported to where the first went, while home is still away.
    let group = run(&mut registry, "x", &[A], 200);
    fail(&mut registry, &group, A, 201);
    deliver(&mut registry, &group, B, 202);
    deliver(&mut registry, &group, A, 300);
    assert_eq!(actionable(&mut registry), ["x Delete b"]);
    registry.finish_request(group.id, &sink(B), &RequestOutcome::Deleted, at(301)).unwrap();
    assert_eq!(actionable(&mut registry), Vec::<String>::new());
    assert_eq!(status(&mut registry, "x"), [ReplicaStatus::Delivered, ReplicaStatus::Gone]);
}

#[test]
fn a_request_that_timed_out_may_have_left_a_copy() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let group = run(&mut registry, "x", &[A], 100);
    fail(&mut registry, &group, B, 101);
    deliver(&mut registry, &group, A, 102);
    assert_eq!(actionable(&mut registry), ["x Delete b"]);
}

#[test]
fn a_change_of_sinks_moves_the_group() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let group = run(&mut registry, "x", &[A, B], 100);
    for url in [A, B] {
        deliver(&mut registry, &group, url, 101);
    }
    run(&mut registry, "x", &[B, C], 200);
    assert_eq!(actions(&mut registry, PendingFilter::All, 300).len(), 3);
    deliver(&mut registry, &group, B, 201);
    assert_eq!(actionable(&mut registry), ["x Push c"]);
    deliver(&mut registry, &group, C, 202);
    assert_eq!(actionable(&mut registry), ["x Delete a"]);
    // Back again before the deletion was made: nothing to delete.
    run(&mut registry, "x", &[A, B], 300);
    assert_eq!(actions(&mut registry, PendingFilter::All, 400), ["x Push a", "x Push b", "x Delete c"]);
}

#[test]
fn a_cleared_group_stays_away_until_it_runs_again() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let group = run(&mut registry, "x", &[A], 100);
    deliver(&mut registry, &group, A, 101);
    run(&mut registry, "x", &[A], 110);
    assert!(registry.cleared(&key("x"), &sink(A), at(120)).unwrap());
    assert!(!registry.cleared(&key("of another host"), &sink(A), at(120)).unwrap());
    assert_eq!(actionable(&mut registry), Vec::<String>::new());

    // The gateway was killed and came back with what it had saved before the deletion.
    assert_eq!(registry.record_start_time(&sink(A), "monday", at(130)).unwrap(), RestartCheck::FirstContact);
    assert_eq!(registry.record_start_time(&sink(A), "tuesday", at(140)).unwrap(), RestartCheck::Restarted(1));
    assert_eq!(actionable(&mut registry), ["x Delete a"]);
    registry.finish_request(group.id, &sink(A), &RequestOutcome::Deleted, at(150)).unwrap();
    assert_eq!(actionable(&mut registry), Vec::<String>::new());
    let replica = registry.group(&group.key).unwrap().unwrap().replicas.remove(0);
    assert_eq!(replica.desired, Desired::Cleared, "and again, should it do so again");

    run(&mut registry, "x", &[A], 200);
    assert_eq!(actionable(&mut registry), ["x Push a"]);
}

#[test]
fn a_push_that_crosses_a_clear_is_deleted_after_all() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let group = run(&mut registry, "x", &[A], 100);
    let seq = registry.begin_request(group.id, &sink(A), at(101)).unwrap().state.seq;
    registry.cleared(&key("x"), &sink(A), at(102)).unwrap();
    registry.finish_request(group.id, &sink(A), &RequestOutcome::Delivered { seq }, at(103)).unwrap();
    assert_eq!(actionable(&mut registry), ["x Delete a"]);
}

#[test]
fn a_restarted_gateway_gets_every_group_again() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    for name in ["x", "y", "z"] {
        let group = run(&mut registry, name, &[if name == "z" { B } else { A }], 100);
        deliver(&mut registry, &group, if name == "z" { B } else { A }, 101);
    }
    assert_eq!(registry.record_start_time(&sink(A), "monday", at(110)).unwrap(), RestartCheck::FirstContact);
    assert_eq!(registry.record_start_time(&sink(A), "monday", at(120)).unwrap(), RestartCheck::Unchanged);
    assert_eq!(actionable(&mut registry), Vec::<String>::new());
    assert_eq!(registry.record_start_time(&sink(A), "tuesday", at(130)).unwrap(), RestartCheck::Restarted(2));
    assert_eq!(actionable(&mut registry), ["x Push a", "y Push a"]);
    assert_eq!(registry.record_start_time(&sink(A), "tuesday", at(140)).unwrap(), RestartCheck::Unchanged);
    assert_eq!(registry.known_sinks().unwrap().len(), 2);
}

#[test]
fn actions_take_turns_and_a_gateway_that_backs_off_is_left_alone() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let groups: Vec<_> = ["p", "q", "r"].map(|name| run(&mut registry, name, &[A], 100)).into();
    let other = run(&mut registry, "s", &[B], 101);
    assert_eq!(
        actions(&mut registry, PendingFilter::Actionable, 102),
        ["p Push a", "q Push a", "r Push a", "s Push b"]
    );
    fail(&mut registry, &groups[0], A, 110);
    assert_eq!(actions(&mut registry, PendingFilter::Actionable, 110), ["s Push b"]);
    assert_eq!(actions(&mut registry, PendingFilter::All, 110), ["q Push a", "r Push a", "s Push b", "p Push a"]);
    assert_eq!(actionable(&mut registry), ["q Push a", "r Push a", "s Push b", "p Push a"]);
    // Seen from long before, the backoff was written under another clock.
    let long_before = at(110) - Duration::from_secs(1_000_000);
    assert_eq!(registry.pending_actions(PendingFilter::Actionable, 100, long_before).unwrap().len(), 4);
    deliver(&mut registry, &other, B, 111);
    assert_eq!(
        registry.pending_actions(PendingFilter::Actionable, 1, at(1000)).unwrap().len(),
        1,
        "no more than asked for"
    );
    assert_eq!(registry.pending_actions(PendingFilter::All, usize::MAX, at(1000)).unwrap().len(), 3);
}

#[test]
fn a_copy_is_written_down_before_it_is_made() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let group = run(&mut registry, "x", &[A], 100);
    registry.begin_request(group.id, &sink(B), at(101)).unwrap();
    // Killed here: whoever comes next knows of it.
    drop(registry);
    let mut registry = temp.registry();
    deliver(&mut registry, &group, A, 200);
    assert_eq!(actionable(&mut registry), ["x Delete b"]);
}

#[test]
fn what_was_settled_long_ago_is_forgotten() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    run(&mut registry, "x", &[A], 100);
    registry.cleared(&key("x"), &sink(A), at(100)).unwrap();
    registry.register(&key("never ran"), &Declaration::default(), at(100)).unwrap();
    registry.unregister(&key("never ran"), &[], at(100)).unwrap();
    let month = 31 * 24 * 3600;
    let mut retain = |now| {
        registry.retain(&crate::registry::Retention::default(), now, std::time::Instant::now()).unwrap();
        registry.group(&key("x")).unwrap().unwrap().replicas.len()
    };
    assert_eq!(retain(at(200)), 1);
    assert_eq!(retain(at(100 + month)), 0);
    // The row is gone, not just hidden: the group is a new one, whose past is unknown.
    let group = registry.register(&key("never ran"), &Declaration::default(), at(month)).unwrap();
    assert_eq!(group.state.past, Past::Unknown);
}

#[test]
fn what_may_be_lost_is_owed_again_and_what_waits_for_another_comes_last() {
    let temp = Temp::new();
    let mut registry = temp.registry();
    let group = run(&mut registry, "x", &[A], 100);
    fail(&mut registry, &group, B, 101);
    deliver(&mut registry, &group, A, 102);
    registry.mark_pending(group.id, &[A, B, C].map(sink), at(103)).unwrap();
    assert_eq!(status(&mut registry, "x"), [ReplicaStatus::Pending, ReplicaStatus::Stale]);
    assert_eq!(actionable(&mut registry), ["x Push a"]);
    deliver(&mut registry, &group, A, 104);

    let other = run(&mut registry, "y", &[A], 110);
    fail(&mut registry, &other, C, 111);
    deliver(&mut registry, &other, A, 112);
    assert_eq!(actionable(&mut registry), ["x Delete b", "y Delete c"]);
    registry.postpone(group.id, &sink(B), "a has to answer first", at(120)).unwrap();
    assert_eq!(actionable(&mut registry), ["y Delete c", "x Delete b"]);
    let replica = registry.group(&group.key).unwrap().unwrap().replicas.remove(1);
    assert_eq!((replica.last_error.as_deref(), replica.attempts), (Some("a has to answer first"), 1));
}

#[test]
fn what_cannot_be_deleted_is_given_up_when_nobody_has_answered_for_a_month() {
    const DAY: u64 = 24 * 3600;
    let temp = Temp::new();
    let mut registry = temp.registry();
    let group = run(&mut registry, "x", &[A], 100);
    fail(&mut registry, &group, B, 101);
    deliver(&mut registry, &group, C, 102);
    deliver(&mut registry, &group, A, 103);
    let mut owed_at = |day: u64| {
        registry.retain(&Retention::default(), at(day * DAY), std::time::Instant::now()).unwrap();
        actions(&mut registry, PendingFilter::All, day * DAY)
    };
    assert_eq!(owed_at(29), ["x Delete b", "x Delete c"]);
    assert_eq!(owed_at(31), ["x Delete c"], "that one has not failed");
    assert_eq!(owed_at(10_000), ["x Delete c"]);
    drop(temp.registry().finish_request(
        group.id,
        &sink(C),
        &RequestOutcome::Failed("refused".into()),
        at(10_001 * DAY),
    ));
    assert_eq!(owed_at(19_000), ["x Delete c"], "a clock that leaps is not believed");
    assert_eq!(owed_at(19_001), Vec::<String>::new());
}
