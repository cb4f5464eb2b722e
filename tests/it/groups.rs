//! Listing all groups of a gateway.

use std::collections::BTreeMap;

use jobmon::sinks::pushgateway::Answer;

use crate::harness::client::{Caller, key};
use crate::harness::faults::{self, Behaviour, Faults};
use crate::harness::{PATIENCE, Pushgateway, eventually};

#[test]
fn a_list_has_keys_times_sizes_and_the_wanted_values() {
    let gateway = Pushgateway::start();
    let caller = Caller::new(&gateway.url());
    assert_eq!(caller.groups(&[]), Ok(Vec::new()));
    let body = "# TYPE script_ttl_seconds gauge\nscript_ttl_seconds 60\n\
        # TYPE script_runs_total counter\nscript_runs_total{result=\"success\"} 3\nscript_runs_total{result=\"lost\"} 0\n\
        # TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\ns_count 1\n\
        # TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n";
    assert_eq!(caller.put(&key("j", &[]), body), Answer::Delivered { checked: true });
    let groups = caller.groups(&["script_ttl_seconds", "script_runs_total"]).unwrap();
    let [group] = &groups[..] else { panic!("{groups:?}") };
    assert_eq!(group.labels, BTreeMap::from([("job".to_owned(), "j".to_owned())]));
    assert_eq!(group.value("script_ttl_seconds"), Some(60.0));
    let runs: Vec<_> = group.values.iter().filter_map(|s| Some((s.labels.get("result")?.as_str(), s.value))).collect();
    assert_eq!(
        BTreeMap::from_iter(runs.iter().map(|(result, value)| (*result, *value as u64))),
        BTreeMap::from([("lost", 0), ("success", 3)])
    );
    // As many as a scrape shows.
    let shown = gateway.scrape().text().lines().filter(|line| line.contains("job=\"j\"")).count();
    assert_eq!(group.samples, shown);
    assert!(!group.last_push_failed && !group.is_ghost() && group.push_time > 1.6e9);

    gateway.put("/metrics/job/j", "a 1 1234\n");
    assert!(caller.groups(&[]).unwrap()[0].last_push_failed);
}

/// "a pushed metric called `labels` or `last_push_successful` overwrites those keys"
#[test]
fn metrics_that_corrupt_the_api_do_not_break_the_list() {
    let gateway = Pushgateway::start();
    let caller = Caller::new(&gateway.url());
    let body = "labels 1\nlast_push_successful 2\n";
    for labels in [&[][..], &[("instance", "h"), ("script_name", "x")]] {
        assert_eq!(caller.put(&key("j", labels), body), Answer::Delivered { checked: true });
    }
    assert_eq!(gateway.put("/metrics/job/k/instance@base64/=", body), 200);
    let mut groups = caller.groups(&["labels", "last_push_successful"]).unwrap();
    groups.sort_by_key(|group| group.labels.len());
    let seen: Vec<_> = groups.iter().map(|g| (g.labels["job"].as_str(), g.labels.len(), g.instance_in_doubt)).collect();
    assert_eq!(seen.iter().filter(|(_, _, in_doubt)| *in_doubt).count(), 2, "{seen:?}");
    assert!(groups.iter().all(|group| group.value("labels") == Some(1.0) && group.samples == 4));
    for raw in groups.iter().flat_map(|group| group.candidate_keys()) {
        assert_eq!(caller.delete_raw(&raw), Answer::Delivered { checked: false });
    }
    eventually(PATIENCE, "all to be gone", || gateway.groups().is_empty().then_some(()));
}

#[test]
fn a_list_that_is_cut_is_an_error_after_the_groups_that_came() {
    let group = r#"{"labels":{"job":"a"},"last_push_successful":true}"#;
    let start = format!("{{\"status\":\"success\",\"data\":[{group},{group}");
    let server = Faults::start(faults::answer("200 OK", &[], &start));
    let error = Caller::new(&server.url()).groups(&[]).unwrap_err();
    assert_eq!(error.to_string(), "the list of groups was cut");
    server.set(Behaviour::Answer(format!("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{start}").into_bytes()));
    let error = Caller::new(&server.url()).groups(&[]).unwrap_err().to_string();
    assert!(error.starts_with("the answer was cut"), "{error}");
    let endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    server.set(Behaviour::Endless(endless));
    let error = Caller::new(&server.url()).groups(&[]).unwrap_err().to_string();
    assert!(error.contains("not a Pushgateway"), "{error}");
}
