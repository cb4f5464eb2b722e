//! Servers that say yes to everything: a status of success is no delivery before a gateway has shown that it is one.

use std::net::TcpListener;

use jobmon::sinks::pushgateway::Refusal;

use crate::delivery_support::{Host, runs, value};
use crate::harness::faults::{Behaviour, Faults};
use crate::harness::process::Server;
use crate::harness::{Nginx, PATIENCE, Pushgateway, eventually, http};

/// VictoriaMetrics, with its path for pushes, which answers 204 to everything.
fn victoria_metrics(directory: &std::path::Path) -> (Server, String) {
    eventually(PATIENCE, "VictoriaMetrics on a free port", || {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let arguments =
            [format!("-httpListenAddr=127.0.0.1:{port}"), format!("-storageDataPath={}", directory.display())];
        let mut server = Server::start("victoria-metrics", "victoria-metrics", &arguments);
        let url = format!("http://127.0.0.1:{port}");
        eventually(PATIENCE, "VictoriaMetrics to answer or to give up", || {
            let is_ready = http::send("GET", &format!("{url}/health"), b"").is_ok_and(|answer| answer.status == 200);
            (is_ready || server.has_ended()).then_some(is_ready)
        })
        .then(|| (server, format!("{url}/api/v1/import/prometheus")))
    })
}

#[test]
fn the_import_path_of_victoria_metrics_is_named_and_nothing_counts_as_delivered() {
    let host = Host::new();
    let (_server, url) = victoria_metrics(&host.sandbox.path("victoria"));
    // Before 1.80 it says 400, and since then 204, to anything.
    let said = "not a Pushgateway, check the URL (this is the path by which VictoriaMetrics takes samples: alerts do not see them \
                for longer than five minutes; run a Pushgateway and let VictoriaMetrics scrape it)\n";
    host.run(&[&url], "job", &[], &["true"]).stderr_contains(said).run();
    assert_eq!(host.owed(), [format!("push {url}")]);
    let doctor = host.sandbox.jobmon(["doctor", "--gateway", &url]).any_stdout().any_stderr().any_ending().run();
    let words = doctor.stdout().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("does not answer as a Pushgateway (1.2 or later) does: "), "{words}");
    assert!(words.contains("this is the path by which VictoriaMetrics takes samples"), "{words}");
}

#[test]
fn a_server_that_says_yes_to_everything_gets_nothing() {
    let host = Host::new();
    let server = Faults::start(Behaviour::KeepAlive(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()));
    let run = || host.run(&[&server.url()], "job", &[], &["true"]);
    run().stderr_contains("200 to what no Pushgateway takes: not a Pushgateway, check the URL").run();
    assert_eq!(host.owed(), [format!("push {}", server.url())]);
    let bodies: Vec<_> = server.requests().into_iter().filter(|request| request.method != "GET").collect();
    assert!(bodies.iter().all(|request| !String::from_utf8_lossy(&request.body).contains("script_")), "{bodies:?}");
}

/// The proof is asked for once, and needs nothing that a push does not need.
#[test]
fn a_gateway_that_only_takes_pushes_shows_itself_once() {
    let (host, gateway) = (Host::new(), Pushgateway::start());
    let only_pushes = format!(
        "location / {{ limit_except PUT POST {{ deny all; }} proxy_pass {}; }} location = /unused {{ return 404; }}",
        gateway.url()
    );
    let proxy = Nginx::in_front_of(&gateway.url()).prefix("/elsewhere").directive(&only_pushes).start();
    // A push that cannot be read is all that a Pushgateway notes of it.
    let unreadable = || {
        let scrape = gateway.scrape().text();
        let count = scrape.lines().find(|line| {
            line.starts_with("pushgateway_http_requests_total{code=\"400\",handler=\"push\",method=\"post\"}")
        });
        count.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
    };
    for count in 1..=3 {
        host.run(&[&proxy.url()], "job", &[], &["true"]).run();
        // What nobody may be asked about is left out of the first state.
        let counted = runs(&gateway, "job").get("success").copied();
        assert_eq!(counted, (count > 1).then_some(f64::from(count)));
        assert_eq!(unreadable(), 1.0);
    }
    host.run(&[&proxy.url()], "other", &[], &["true"]).run();
    assert_eq!((value(&gateway, "other", "script_result"), unreadable()), (Some(1.0), 1.0));
    assert_eq!(gateway.keys().len(), 2);

    let doctor = host.sandbox.jobmon(["doctor", "--gateway", &proxy.url()]).any_stderr().any_ending();
    doctor.stdout_contains("takes pushes as a Pushgateway does").run();
    assert_eq!(unreadable(), 2.0);

    // Asked again where something was refused since: somebody else may listen there by now.
    assert_eq!(
        gateway
            .put("/metrics/job/foreign", "# TYPE script_max_duration_seconds counter\nscript_max_duration_seconds 1\n"),
        200
    );
    host.run(&[&proxy.url()], "job", &["--max-duration", "1h"], &["true"]).any_stderr().run();
    // Version 1.11 hangs up on what it refuses, and is asked at once; those before answer 400, which counts as well, and are
    // asked before the next push.
    assert_eq!(unreadable(), 3.0);
    gateway.send("DELETE", "/metrics/job/foreign", "");
    eventually(PATIENCE, "the foreign group to go", || (gateway.keys().len() == 2).then_some(()));
    host.run(&[&proxy.url()], "job", &[], &["true"]).any_stderr().run();
    let asked_before_the_next = f64::from(u8::from(gateway.refusal() != Refusal::HungUp));
    assert_eq!(unreadable(), 3.0 + asked_before_the_next);
}
