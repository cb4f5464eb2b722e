//! What a gateway or a file remembers of a group, and this registry does not: a registry that was lost counts on from there, and
//! what has changed here is never left to a memory that is older.

use jobmon::record::Outcome;

use crate::delivery_support::{Host, runs, value};
use crate::harness::faults::Refused;
use crate::harness::{Nginx, Pushgateway};

/// Loses the registry with everything in it.
fn lose(host: &Host) {
    std::fs::remove_dir_all(host.sandbox.state()).unwrap();
}

const FAILS: [&str; 1] = ["false"];

#[test]
fn after_a_loss_the_first_run_counts_on() {
    let (host, gateway) = (Host::new(), Pushgateway::start());
    let url = gateway.url();
    for command in ["true", "false", "true", "false"] {
        host.run(&[&url], "job", &[], &[command]).any_ending().run();
    }
    let (success, total) = (value(&gateway, "job", "script_last_success_timestamp_seconds"), duration(&gateway));
    lose(&host);
    host.run(&[&url], "job", &[], &FAILS).code(1).run();
    let counts = runs(&gateway, "job");
    assert_eq!((counts["success"], counts["failure"]), (2.0, 3.0));
    assert_eq!(value(&gateway, "job", "script_consecutive_failures"), Some(2.0));
    assert_eq!(value(&gateway, "job", "script_last_success_timestamp_seconds"), success);
    assert!(duration(&gateway) > total);
    host.run(&[&url], "job", &[], &["true"]).run();
    assert_eq!(value(&gateway, "job", "script_consecutive_failures"), Some(0.0));
    assert_eq!(runs(&gateway, "job")["success"], 3.0);
}

fn duration(gateway: &Pushgateway) -> Option<f64> {
    value(gateway, "job", "script_run_duration_seconds_total")
}

/// "five failures in a row are five, whatever the gateway remembers"
#[test]
fn failures_in_a_row_are_told_although_nobody_may_be_asked() {
    let (host, gateway) = (Host::new(), Pushgateway::start());
    let only_pushes = format!(
        "location /metrics/job {{ limit_except PUT POST {{ deny all; }} proxy_pass {}; }} location / {{ deny all; }}",
        gateway.url()
    );
    let proxy = Nginx::in_front_of(&gateway.url()).prefix("/unused").directive(&only_pushes).start();
    host.run(&[&proxy.url()], "job", &[], &["true"]).run();
    host.run(&[&proxy.url()], "job", &[], &["true"]).run();
    assert_eq!(value(&gateway, "job", "script_consecutive_failures"), Some(0.0));
    lose(&host);
    for count in 1..=5 {
        host.run(&[&proxy.url()], "job", &[], &FAILS).code(1).run();
        assert_eq!(value(&gateway, "job", "script_consecutive_failures"), Some(f64::from(count)));
    }
}

#[test]
fn a_textfile_remembers_too() {
    let host = Host::new();
    let directory = host.sandbox.path("textfiles");
    std::fs::create_dir(&directory).unwrap();
    let run = |command: &'static str| {
        host.run(&[], "job", &["--textfile-dir", directory.to_str().unwrap()], &[command]).any_ending().run();
        let file = std::fs::read_dir(&directory).unwrap().next().unwrap().unwrap();
        std::fs::read_to_string(file.path()).unwrap()
    };
    run("true");
    run("false");
    lose(&host);
    let text = run("false");
    assert!(text.contains("\nscript_consecutive_failures{script_name=\"job\"} 2\n"), "{text}");
    assert!(text.contains("\nscript_runs_total{script_name=\"job\",result=\"failure\"} 2\n"), "{text}");
    assert!(text.contains("\nscript_runs_total{script_name=\"job\",result=\"success\"} 1\n"), "{text}");
}

/// With `--spread all` one gateway that is down at the first run keeps none from its counters.
#[test]
fn of_several_gateways_those_that_answer_are_enough() {
    let (host, gateway, refused) = (Host::new(), Pushgateway::start(), Refused::new());
    host.run(&[&gateway.url(), &refused.url()], "job", &["--spread", "all"], &["true"]).run();
    assert_eq!(runs(&gateway, "job")["success"], 1.0);
    // A second one that was added after a loss is no reason to forget what the first one knows.
    lose(&host);
    let second = Pushgateway::start();
    host.run(&[&second.url(), &gateway.url()], "job", &["--spread", "all"], &["true"]).run();
    for gateway in [&gateway, &second] {
        assert_eq!(runs(gateway, "job")["success"], 2.0);
    }
}

/// A container that has no place for a registry counts on with every run.
#[test]
fn a_container_without_a_registry_counts_on() {
    let (host, gateway) = (Host::new(), Pushgateway::start());
    for count in 1..=3 {
        let run = host.run(&[&gateway.url()], "job", &["--scope", "service"], &FAILS).code(1).any_stderr();
        run.env("JOBMON_STATE_DIR", "/proc/none").run();
        let group = gateway.groups().into_iter().next().unwrap();
        let failures = group["script_consecutive_failures"]["metrics"][0]["value"].as_str().unwrap().to_owned();
        assert_eq!(failures, count.to_string());
        assert_eq!(crate::delivery_support::runs_in(&group)["failure"], f64::from(count));
    }
}

/// What was reported without the registry, because that was locked, is not counted again when it is recorded.
#[test]
fn a_run_that_was_reported_without_the_registry_is_counted_once() {
    let (host, gateway) = (Host::new(), Pushgateway::start());
    let url = gateway.url();
    for is_known in [false, true] {
        let name = if is_known { "known" } else { "new" };
        let mut expected = 0.0;
        if is_known {
            host.run(&[&url], name, &[], &["true"]).run();
            expected += 1.0;
        } else {
            // There has to be a database that can be locked.
            host.run(&[], "first", &[], &["true"]).run();
        }
        let lock = rusqlite::Connection::open(host.sandbox.state().join("registry.db")).unwrap();
        lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
        host.run(&[&url], name, &["--push-timeout", "2s"], &["true"]).stderr_contains("the result waits in").run();
        expected += 1.0;
        assert_eq!(runs(&gateway, name)["success"], expected, "{name}: while it was locked");
        lock.execute_batch("ROLLBACK").unwrap();
        drop(lock);
        host.run(&[&url], name, &[], &["true"]).run();
        expected += 1.0;
        assert_eq!(runs(&gateway, name)["success"], expected, "{name}: afterwards");
        assert_eq!(host.outcomes(name), vec![Outcome::Success; expected as usize]);
    }
}
