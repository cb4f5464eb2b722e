//! A gateway that one bad push has disabled for everybody: who is to blame, and how it is repaired.

use jobmon::sinks::pushgateway::{Answer, ComplaintKind, GroupLookup, Poison, RawKey, ReadError};

use crate::harness::client::{Caller, key};
use crate::harness::{PATIENCE, Pushgateway, eventually};

const BODY: &str = "# TYPE script_x gauge\nscript_x 1\n";

fn poison(answer: Answer) -> Poison {
    match answer {
        Answer::Poisoned(poison) => poison,
        other => panic!("not poisoned: {other:?}"),
    }
}

fn scrape_poison(caller: &Caller) -> Poison {
    match caller.check_scrape() {
        Err(ReadError::Poisoned(poison)) => poison,
        other => panic!("not poisoned: {other:?}"),
    }
}

fn repairs(gateway: &Pushgateway, caller: &Caller, raw: &RawKey) {
    assert_eq!(caller.delete_raw(raw), Answer::Delivered { checked: false });
    eventually(PATIENCE, "the gateway to be well again", || (gateway.scrape().status == 200).then_some(()));
    assert_eq!(caller.check_scrape(), Ok(()));
    assert_eq!(caller.put(&key("innocent", &[]), BODY), Answer::Delivered { checked: true });
}

/// "invalid UTF-8 in a grouping value: `PUT /metrics/job/bad/name/%FF`"
#[test]
fn invalid_utf8_is_named_and_deleted_by_its_raw_bytes() {
    let gateway = Pushgateway::start();
    let caller = Caller::new(&gateway.url());
    assert_eq!(caller.put(&key("innocent", &[]), BODY), Answer::Delivered { checked: true });
    assert_eq!(gateway.put("/metrics/job/bad/name/%FF%22%0A", BODY), 400);

    let poison = poison(caller.put(&key("ours", &[("script_name", "s")]), BODY));
    assert_eq!(
        poison.to_string(),
        r#"disabled for everybody by the group {job="bad",instance="",name="\xff\"\n"} (invalid UTF-8)"#
    );
    assert!(poison.complaints.iter().all(|complaint| complaint.kind == ComplaintKind::InvalidUtf8));
    assert_eq!(scrape_poison(&caller).culprit(), poison.culprit());
    // The list still works, shows the group as damaged, and finds ours.
    let groups = caller.groups(&[]).unwrap();
    assert_eq!(groups.iter().filter(|group| group.replaced_bytes).count(), 1);
    assert!(matches!(caller.lookup(&key("innocent", &[])).unwrap(), GroupLookup::Held { .. }));

    let keys = poison.complaints[0].candidate_keys();
    assert_eq!(keys[0], RawKey::new([("job", &b"bad"[..]), ("name", b"\xff\"\n")]));
    repairs(&gateway, &caller, &keys[0]);
}

/// "the *instance twin*: group `{job=t}` exists and somebody pushes `{job=t,instance=""}`"
#[test]
fn an_instance_twin_is_named_and_deleted() {
    for ours_is_the_twin in [false, true] {
        let gateway = Pushgateway::start();
        let caller = Caller::new(&gateway.url());
        assert_eq!(caller.put(&key("t", &[]), BODY), Answer::Delivered { checked: true });
        assert_eq!(gateway.put("/metrics/job/t/instance@base64/=", BODY), 400);

        // Also to the group whose twin it is, the twin is to blame and not the push.
        let ours = if ours_is_the_twin { key("t", &[]) } else { key("ours", &[]) };
        let poison = poison(caller.put(&ours, BODY));
        assert_eq!(poison.complaints[0].kind, ComplaintKind::Duplicate);
        assert_eq!(poison.culprit(), &RawKey::new([("job", "t"), ("instance", "")]));
        assert!(
            poison.to_string().starts_with("disabled for everybody by two groups that both show push_"),
            "{poison}"
        );
        assert!(matches!(caller.lookup(&key("t", &[])).unwrap(), GroupLookup::Held { .. } | GroupLookup::Ghost));

        let twin = RawKey::new([("job", "t"), ("instance", "")]);
        assert!(scrape_poison(&caller).complaints[0].candidate_keys().contains(&twin));
        repairs(&gateway, &caller, &twin);
        assert!(gateway.group(&[("job", "t")]).is_some(), "the older one stays");
    }
}

#[test]
fn several_culprits_are_all_named() {
    let gateway = Pushgateway::start();
    let caller = Caller::new(&gateway.url());
    gateway.put("/metrics/job/bad/name/%FF", "");
    gateway.put("/metrics/job/worse/name/%FE%80", "");
    let poison = scrape_poison(&caller);
    for raw in [
        RawKey::new([("job", &b"bad"[..]), ("name", b"\xff")]),
        RawKey::new([("job", &b"worse"[..]), ("name", b"\xfe\x80")]),
    ] {
        assert!(poison.complaints.iter().any(|complaint| complaint.candidate_keys().contains(&raw)), "{raw}");
        assert_eq!(caller.delete_raw(&raw), Answer::Delivered { checked: false });
    }
    eventually(PATIENCE, "the gateway to be well again", || (gateway.scrape().status == 200).then_some(()));
}

/// A conflict between two other groups, made while the check was off, names a metric of ours; it is still not our
/// fault.
#[test]
fn a_conflict_of_others_about_our_metric_is_not_our_rejection() {
    let directory = tempfile::tempdir().unwrap();
    let file = format!("--persistence.file={}", directory.path().join("groups").display());
    let mut unchecked = Pushgateway::start_with(&["--push.disable-consistency-check", &file]);
    assert_eq!(unchecked.put("/metrics/job/a", "# TYPE script_x gauge\nscript_x 1\n"), 202);
    assert_eq!(unchecked.put("/metrics/job/b", "# TYPE script_x counter\nscript_x 1\n"), 202);
    eventually(PATIENCE, "both groups", || (unchecked.keys().len() == 2).then_some(()));
    unchecked.stop();

    let gateway = Pushgateway::start_with(&[&file]);
    let caller = Caller::new(&gateway.url());
    let poison = poison(caller.put(&key("ours", &[]), BODY));
    assert_eq!(poison.complaints[0].kind, ComplaintKind::TypeConflict);
    assert_eq!(poison.to_string(), "disabled for everybody by metrics \"script_x\" of different types");

    // With one of them gone, what is left is a conflict of ours.
    let raw = RawKey::new([("job", "a")]);
    assert_eq!(caller.delete_raw(&raw), Answer::Delivered { checked: false });
    eventually(PATIENCE, "the gateway to be well again", || (gateway.scrape().status == 200).then_some(()));
    let Answer::Rejected(rejection) = caller.put(&key("ours", &[]), BODY) else { panic!("not rejected") };
    assert!(rejection.body.contains("script_x"), "{rejection}");
}
