//! A gateway that refuses without an answer: a refusal all the same, of this push and of no other.
//!
//! Pushgateway 1.11.0 hangs up on every inconsistent push; other versions do behind an nginx that makes a hang-up of a 400.

use std::time::SystemTime;

use crate::delivery_support::{Host, labels, runs, value};
use crate::harness::faults::{Behaviour, Faults};
use crate::harness::{Nginx, PATIENCE, Pushgateway, eventually};

/// What nginx makes of a refusal: it closes the connection (its own code 444), or says what proxies say of a gateway that
/// closed it.
fn without_words(gateway: &Pushgateway, code: &str) -> Nginx {
    let named = format!("proxy_intercept_errors on; error_page 400 @refused; location @refused {{ return {code}; }}");
    Nginx::in_front_of(&gateway.url()).directive(&named).start()
}

#[test]
fn the_runs_own_state_arrives_without_the_jobs_metrics() {
    for code in ["444", "502"] {
        let (host, gateway) = (Host::new(), Pushgateway::start());
        let proxy = without_words(&gateway, code);
        assert_eq!(gateway.put("/metrics/job/other", "# TYPE rows gauge\nrows 1\n"), 200);
        let job = "printf '# TYPE rows counter\\nrows 1\\n' >> \"$JOBMON_METRICS_FILE\"; exit 4";
        let why = format!(
            "jobmon: error: {}: the job's own metrics were refused and left out: refused without a reason, by hanging up as \
             Pushgateway 1.11.0 does (1.11.2 says why): metric rows is a gauge there and a counter here\n",
            proxy.url()
        );
        host.run(&[&proxy.url()], "job", &["--job-metrics"], &["sh", "-c", job]).code(4).stderr(why).run();
        assert_eq!(value(&gateway, "job", "script_exit_code"), Some(4.0), "{code}");
        assert_eq!(host.owed(), Vec::<String>::new(), "{code}");
        assert_eq!(host.health(&proxy.url()).unwrap().failures, 0, "{code}");
    }
}

#[test]
fn what_is_refused_altogether_leaves_no_ghost_and_stops_nobody() {
    for code in ["444", "502"] {
        let (host, gateway) = (Host::new(), Pushgateway::start());
        let proxy = without_words(&gateway, code);
        let conflict = "# TYPE script_running counter\nscript_running 1\n";
        assert_eq!(gateway.put("/metrics/job/foreign", conflict), 200);
        let run = host.run(&[&proxy.url()], "job", &[], &["true"]);
        run.stderr_contains("metric script_running is a counter there and a gauge here").run();
        assert_eq!(gateway.keys().len(), 1, "{code}: {:?}", gateway.keys());
        assert_eq!(host.owed(), Vec::<String>::new(), "{code}");

        // Nothing is left of it for the next state of the group, or for another group.
        gateway.send("DELETE", "/metrics/job/foreign", "");
        eventually(PATIENCE, "the foreign group to go", || gateway.keys().is_empty().then_some(()));
        for name in ["job", "other"] {
            host.run(&[&proxy.url()], name, &[], &["true"]).run();
            assert_eq!(value(&gateway, name, "script_result"), Some(1.0), "{code} {name}");
        }
        assert_eq!(runs(&gateway, "job")["success"], 2.0, "{code}");
    }
}

/// A group whose last push failed long ago says nothing about a connection that is closed now.
#[test]
fn a_hang_up_that_is_no_refusal_is_an_outage() {
    let (host, gateway) = (Host::new(), Pushgateway::start());
    let hangs_up = Faults::start(Behaviour::CloseAfterRequest);
    let by_method = format!(
        "location /metrics/job {{ if ($request_method != GET) {{ proxy_pass {}; }} proxy_pass {}; }}",
        hangs_up.url(),
        gateway.url()
    );
    let proxy = Nginx::in_front_of(&gateway.url()).directive(&by_method).start();
    let path = format!("/metrics/job/script_monitor/instance/{}/script_name/job", labels("job")[1].1);
    assert_eq!(gateway.put("/metrics/job/other", "# TYPE rows gauge\nrows 1\n"), 200);
    assert_eq!(gateway.put(&path, "# TYPE rows counter\nrows 1\n"), 400);
    let failed = |gateway: &Pushgateway| value(gateway, "job", "push_failure_time_seconds").unwrap();
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    eventually(PATIENCE, "that failure to be old", || (now() - failed(&gateway) > 3.0).then_some(()));
    host.run(&[&proxy.url()], "job", &[], &["true"]).run();
    assert_eq!(host.owed(), [format!("push {}", proxy.url())]);
    assert!(host.health(&proxy.url()).unwrap().is_backing_off(SystemTime::now()));
}
