//! A run's result is worth more than an announcement or a question that failed a moment ago.

use std::time::SystemTime;

use crate::delivery_support::{Host, runs, value};
use crate::harness::faults::{Behaviour, Faults};
use crate::harness::{PATIENCE, Pushgateway, eventually};

#[test]
fn a_result_is_tried_whatever_became_of_its_announcement() {
    let host = Host::new();
    let server = Faults::start(Behaviour::ResetAfterRequest);
    let url = server.url();
    let job = ["sh", "-c", "while [ ! -e ../go ]; do sleep 0.01; done"];
    let running = host.run(&[&url], "job", &[], &job).spawn();
    let is_left_alone = || host.health(&url).filter(|health| health.is_backing_off(SystemTime::now())).map(|_| ());
    eventually(PATIENCE, "the announcement to fail", is_left_alone);
    let port = server.address().port();
    drop(server);
    let gateway = Pushgateway::start_at(port);
    // Further announcements would have to wait, whoever makes them.
    std::fs::write(host.sandbox.path("go"), "").unwrap();
    running.wait();
    assert_eq!(value(&gateway, "job", "script_result"), Some(1.0));
    assert_eq!(runs(&gateway, "job")["success"], 1.0);
    assert_eq!(host.owed(), Vec::<String>::new());
}

/// A sidecar or a gateway that comes up late, and a registry that ends with the container.
#[test]
fn with_push_retry_a_gateway_that_comes_up_late_gets_the_result() {
    let server = Faults::start(Behaviour::ResetAfterRequest);
    for has_registry in [true, false] {
        let host = Host::new();
        let server = if has_registry { &server } else { &Faults::start(Behaviour::ResetAfterRequest) };
        let options = ["--push-retry", "--push-timeout", "50s"];
        let mut run = host.run(&[&server.url()], "job", &options, &["true"]).any_stderr();
        if !has_registry {
            run = run.env("JOBMON_STATE_DIR", "/proc/none");
        }
        let running = run.spawn();
        eventually(PATIENCE, "attempts that fail", || (server.requests().len() >= 4).then_some(()));
        let gateway = Pushgateway::start();
        let url = gateway.url();
        server.set(Behaviour::Forward(url.trim_start_matches("http://").to_owned()));
        running.wait();
        assert_eq!(value(&gateway, "job", "script_result"), Some(1.0), "{has_registry}");
    }
}

/// Without it, what is left is left to later: a job does not stay for a gateway that is down.
#[test]
fn without_push_retry_one_attempt_is_enough() {
    let host = Host::new();
    let server = Faults::start(Behaviour::ResetAfterRequest);
    host.run(&[&server.url()], "job", &["--push-timeout", "50s"], &["true"]).run();
    let asked = server.requests().iter().filter(|request| request.method != "GET").count();
    assert!(asked <= 1, "{:?}", server.requests());
    assert_eq!(host.owed(), [format!("push {}", server.url())]);
}
