//! The harness itself: every server starts, answers and ends.

use crate::harness::faults::Refused;
use crate::harness::{Alertmanager, NodeExporter, PATIENCE, Prometheus, Pushgateway, eventually, http};

#[test]
fn a_pushgateway_comes_back_on_its_port() {
    let mut gateway = Pushgateway::start();
    assert_eq!(gateway.put("/metrics/job/a", "m 1\n"), 200);
    assert_eq!(gateway.value(&[("job", "a")], "m"), Some(1.0));
    let port = gateway.port();
    gateway.kill();
    assert!(http::send("GET", &gateway.url(), b"").is_err());
    gateway.restart();
    assert_eq!(gateway.port(), port);
    assert!(gateway.keys().is_empty(), "a gateway without persistence forgets");
}

#[test]
fn a_pushgateway_with_persistence_remembers_what_it_wrote_at_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("groups");
    let mut gateway = Pushgateway::start_with(&[&format!("--persistence.file={}", file.display())]);
    gateway.put("/metrics/job/a", "m 1\n");
    gateway.stop();
    gateway.restart();
    assert_eq!(gateway.value(&[("job", "a")], "m"), Some(1.0));
    // "SIGKILL loses pushes since the last persist and resurrects deleted groups"
    gateway.put("/metrics/job/b", "m 1\n");
    gateway.send("DELETE", "/metrics/job/a", "");
    eventually(PATIENCE, "the group to be gone", || gateway.group(&[("job", "a")]).is_none().then_some(()));
    gateway.kill();
    gateway.restart();
    assert!(gateway.group(&[("job", "a")]).is_some());
    assert!(gateway.group(&[("job", "b")]).is_none());
    assert!(gateway.log().contains("Listening on"));
}

#[test]
fn prometheus_and_alertmanager_answer_their_apis() {
    let alertmanager = Alertmanager::start("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n");
    assert!(alertmanager.alerts().is_empty());
    let prometheus = Prometheus::start("global: {scrape_interval: 1s}\n");
    let [(_, value)] = &prometheus.query("vector(1) + 1")[..] else { panic!("one series") };
    assert_eq!(*value, 2.0);
}

#[test]
fn node_exporter_reads_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.prom"), "my_metric 7\n").unwrap();
    assert!(NodeExporter::start(directory.path()).scrape().contains("\nmy_metric 7\n"));
}

#[test]
fn a_refused_port_refuses() {
    let error = http::send("GET", &Refused::new().url(), b"").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}
