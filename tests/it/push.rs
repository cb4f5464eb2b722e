//! Writing and reading one gateway that is well.

use jobmon::sinks::pushgateway::{Answer, GroupLookup, ReadError, Remedy};

use crate::harness::client::{Caller, key};
use crate::harness::faults::{self, Faults};
use crate::harness::{PATIENCE, Prometheus, Pushgateway, eventually, http};

const TYPED: &str = "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n";

#[test]
fn put_replaces_the_group_and_post_only_the_metrics_it_names() {
    let gateway = Pushgateway::start();
    let caller = Caller::new(&gateway.url());
    let (ours, labels) = (key("j", &[("instance", "h")]), [("job", "j"), ("instance", "h")]);
    assert_eq!(caller.put(&ours, TYPED), Answer::Delivered { checked: true });
    assert_eq!(caller.post(&ours, "# TYPE a gauge\na 2\n"), Answer::Delivered { checked: true });
    assert_eq!((gateway.value(&labels, "a"), gateway.value(&labels, "b")), (Some(2.0), Some(1.0)));
    assert_eq!(caller.put(&ours, "# TYPE a gauge\na 3\n"), Answer::Delivered { checked: true });
    assert_eq!((gateway.value(&labels, "a"), gateway.value(&labels, "b")), (Some(3.0), None));
}

#[test]
fn an_empty_post_is_a_sign_of_life() {
    let gateway = Pushgateway::start();
    let caller = Caller::new(&gateway.url());
    let (ours, labels) = (key("j", &[]), [("job", "j")]);
    caller.put(&ours, TYPED);
    let before = gateway.value(&labels, "push_time_seconds").unwrap();
    assert_eq!(caller.post(&ours, ""), Answer::Delivered { checked: true });
    assert!(gateway.value(&labels, "push_time_seconds").unwrap() > before);
    assert_eq!(gateway.value(&labels, "a"), Some(1.0), "and keeps everything else");
}

/// "DELETE is exact-key only, always 202, also for nonexistent keys."
#[test]
fn delete_removes_exactly_the_group() {
    let gateway = Pushgateway::start();
    let caller = Caller::new(&gateway.url());
    for labels in [&[][..], &[("instance", "h")], &[("instance", "h"), ("script_name", "s")]] {
        assert_eq!(caller.put(&key("j", labels), TYPED), Answer::Delivered { checked: true });
    }
    assert_eq!(caller.delete(&key("j", &[("instance", "h")])), Answer::Delivered { checked: false });
    assert_eq!(caller.delete(&key("unknown", &[])), Answer::Delivered { checked: false });
    eventually(PATIENCE, "the group to be gone", || (gateway.keys().len() == 2).then_some(()));
    assert!(gateway.group(&[("job", "j")]).is_some());
    assert!(gateway.group(&[("job", "j"), ("instance", "h"), ("script_name", "s")]).is_some());
}

#[test]
fn a_gateway_that_does_not_check_says_so() {
    let gateway = Pushgateway::start_with(&["--push.disable-consistency-check"]);
    let caller = Caller::new(&gateway.url());
    assert_eq!(caller.put(&key("j", &[]), TYPED), Answer::Delivered { checked: false });
    assert!(!caller.status().unwrap().checks_pushes());
}

#[test]
fn memory_tells_groups_from_ghosts_and_near_misses() {
    let gateway = Pushgateway::start();
    let caller = Caller::new(&gateway.url());
    assert_eq!(caller.lookup(&key("j", &[])).unwrap(), GroupLookup::Absent, "of an empty gateway");
    caller.put(&key("j", &[("instance", "h")]), TYPED);
    caller.put(&key("j", &[("script_name", "s")]), TYPED);
    for (labels, remembered) in [
        (&[][..], false),
        (&[("instance", "h")], true),
        (&[("instance", "other")], false),
        (&[("script_name", "s")], true),
        (&[("script_name", "s"), ("instance", "h")], false),
    ] {
        let found = caller.lookup(&key("j", labels)).unwrap();
        assert_eq!(
            matches!(found, GroupLookup::Held { push_time } if push_time > 1.6e9),
            remembered,
            "{labels:?}: {found:?}"
        );
    }
    assert_eq!(gateway.put("/metrics/job/ghost", "a 1 1234\n"), 400);
    assert_eq!(caller.lookup(&key("ghost", &[])).unwrap(), GroupLookup::Ghost);
}

/// "pushes always live under `/metrics/job`, even if --web.telemetry-path moves the scrape path"
#[test]
fn memory_finds_groups_where_the_scrape_was_moved() {
    let gateway = Pushgateway::start_with(&["--web.telemetry-path=/scrape"]);
    let caller = Caller::new(&gateway.url());
    caller.put(&key("j", &[]), TYPED);
    assert!(matches!(caller.lookup(&key("j", &[])).unwrap(), GroupLookup::Held { .. }));
    assert_eq!(caller.lookup(&key("k", &[])).unwrap(), GroupLookup::Absent);
}

/// "A failed push leaves a ghost group […] even if it never existed. After a permanent 400 on a group jobmon created,
/// DELETE it."
#[test]
fn a_refused_push_leaves_a_ghost_that_can_be_removed() {
    let gateway = Pushgateway::start();
    let caller = Caller::new(&gateway.url());
    caller.put(&key("other", &[]), "# TYPE script_x gauge\nscript_x 1\n");
    let ours = key("ours", &[("script_name", "s")]);
    for body in ["# TYPE script_x counter\nscript_x 1\n", "a 1 1234\n", "a 1\n# TYPE other_x gauge\nscript_x 1\n"] {
        let Answer::Rejected(rejection) = caller.put(&ours, body) else { panic!("{body}") };
        assert_eq!(rejection.refusal, gateway.refusal());
        assert!(rejection.may_leave_ghost(), "{rejection}");
        assert_eq!(caller.lookup(&ours).unwrap(), GroupLookup::Ghost);
        assert!(caller.delete_ghost(&ours).unwrap());
        eventually(PATIENCE, "the ghost to be gone", || (gateway.keys().len() == 1).then_some(()));
        assert!(!caller.delete_ghost(&ours).unwrap(), "nothing is left to delete");
    }
    // A group that was good once keeps what it had.
    caller.put(&ours, "b 1\n");
    assert!(matches!(caller.put(&ours, "a 1 1234\n"), Answer::Rejected(_)));
    assert!(!caller.delete_ghost(&ours).unwrap());
    assert_eq!(gateway.value(&[("job", "ours"), ("script_name", "s")], "b"), Some(1.0));
    // What cannot even be read leaves nothing.
    let Answer::Rejected(rejection) = caller.put(&key("malformed", &[]), "a b c\n") else { panic!() };
    assert!(!rejection.may_leave_ghost());
    assert!(rejection.to_string().starts_with("refused with 400: text format parsing error in line 1"), "{rejection}");
    assert_eq!(caller.lookup(&key("malformed", &[])).unwrap(), GroupLookup::Absent);
}

#[test]
fn status_tells_version_and_restarts() {
    let mut gateway = Pushgateway::start();
    let caller = Caller::new(&gateway.url());
    let before = caller.status().unwrap();
    assert!(before.version.starts_with(|c: char| c.is_ascii_digit()), "{}", before.version);
    assert!(before.checks_pushes() && !before.is_persistent());
    assert_eq!(before, caller.status().unwrap());
    gateway.restart();
    assert_ne!(before.start_time, caller.status().unwrap().start_time);
}

#[test]
fn one_connection_serves_many_requests() {
    let gateway = Pushgateway::start();
    let caller = Caller::new(&gateway.url());
    for count in 0..20 {
        caller.put(&key("j", &[]), &format!("a {count}\n"));
    }
    let connections = |text: &str| text.matches(&format!(":{:04X} ", gateway.port())).count();
    // Each end of an established connection is a line; the other test clients close theirs.
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let established: Vec<&str> =
        table.lines().filter(|line| line.split_whitespace().nth(3) == Some("01") && connections(line) > 0).collect();
    assert_eq!(established.len(), 2, "{established:#?}");
}

#[test]
fn what_goes_over_the_wire_is_one_plain_request() {
    let server = Faults::start(faults::answer("200 OK", &[], ""));
    let caller = Caller::new(&server.url());
    assert_eq!(caller.put(&key("j", &[("name", "a/b")]), TYPED), Answer::Delivered { checked: true });
    assert_eq!(caller.post(&key("j", &[]), ""), Answer::Delivered { checked: true });
    assert_eq!(caller.delete(&key("j", &[])), Answer::Delivered { checked: false });
    let requests = server.requests();
    let lines: Vec<_> = requests.iter().map(|request| (request.method.as_str(), request.path.as_str())).collect();
    assert_eq!(
        lines,
        [("PUT", "/metrics/job/j/name@base64/YS9i"), ("POST", "/metrics/job/j"), ("DELETE", "/metrics/job/j")]
    );
    assert_eq!(requests[0].body, TYPED.as_bytes());
    assert_eq!(requests[0].header("content-length"), Some(TYPED.len().to_string().as_str()));
    assert_eq!(requests[1].header("content-length"), Some("0"));
    for request in &requests {
        assert_eq!(request.header("transfer-encoding"), None);
        assert_eq!(request.header("content-type"), Some("text/plain; version=0.0.4"));
        assert_eq!(request.header("user-agent"), Some(concat!("jobmon/", env!("CARGO_PKG_VERSION"))));
        assert_eq!(request.header("authorization"), None);
    }
}

#[test]
fn a_server_of_another_kind_is_said_to_be_that() {
    let prometheus = Prometheus::start("global: {scrape_interval: 1s}\n");
    let caller = Caller::new(&prometheus.url());
    let setting = |what: &str, error: ReadError| match error {
        ReadError::Unavailable(outage) => {
            assert_eq!(outage.remedy, Remedy::Setting, "{outage}");
            assert!(outage.reason.contains("Pushgateway"), "{what}: {outage}");
        }
        ReadError::Poisoned(poison) => panic!("{poison}"),
    };
    setting("status", caller.status().unwrap_err());
    setting("groups", caller.groups(&[]).unwrap_err());
    match caller.put(&key("j", &[]), TYPED) {
        Answer::Unavailable(outage) => assert_eq!((outage.remedy, outage.perhaps_applied), (Remedy::Setting, false)),
        other => panic!("{other:?}"),
    }
    let page = Faults::start(faults::answer("200 OK", &[("Content-Type", "text/html")], "<title>Intranet</title>"));
    let caller = Caller::new(&page.url());
    for answer in
        [caller.status().unwrap_err(), caller.groups(&[]).unwrap_err(), caller.lookup(&key("j", &[])).unwrap_err()]
    {
        assert_eq!(answer.to_string(), "200 with an HTML page \"Intranet\": not a Pushgateway, check the URL");
    }
    let api = Faults::start(faults::answer("200 OK", &[], "{\"status\":\"success\",\"data\":{\"flags\":{}}}"));
    let error = Caller::new(&api.url()).status().unwrap_err().to_string();
    assert!(error.contains("not a Pushgateway") && error.contains("flags"), "{error}");
}

#[test]
fn the_tests_own_client_agrees_about_what_is_there() {
    let gateway = Pushgateway::start();
    Caller::new(&gateway.url()).put(&key("j", &[]), "a 1\n");
    assert!(gateway.scrape().text().contains("\na{instance=\"\",job=\"j\"} 1\n"));
    assert_eq!(http::get(&format!("{}/-/ready", gateway.url())).status, 200);
}
