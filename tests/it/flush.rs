//! `jobmon flush`: what is owed is paid, what gateways forgot they get again, and what was deleted stays deleted.

use jobmon::sinks::pushgateway::Refusal;

use crate::delivery_support::{Host, labels, runs, value};
use crate::harness::faults::{self, Faults};
use crate::harness::{PATIENCE, Pushgateway, Sandbox, eventually};

#[test]
fn nothing_owed_is_nothing_done() {
    let host = Host::new();
    host.flush().run();
    host.run(&[], "job", &[], &["true"]).run();
    host.flush().run();
}

#[test]
fn a_host_without_a_registry_owes_nothing_and_one_is_waited_for() {
    let sandbox = Sandbox::new();
    let directory = sandbox.path("later");
    let flush = |words: &[&str]| sandbox.jobmon(["flush"].iter().chain(words)).env("JOBMON_STATE_DIR", &directory);
    flush(&[]).run();
    assert!(!directory.exists(), "looking leaves nothing behind");
    // A service that is started before the first job of its host.
    let mut gateway = Pushgateway::start();
    let url = gateway.url();
    gateway.kill();
    let service = flush(&["--loop", "20ms", "-g", &url]).signal(libc::SIGTERM).any_stderr().spawn();
    sandbox.jobmon(["run", "-n", "first", "-g", &url, "--", "true"]).env("JOBMON_STATE_DIR", &directory).run();
    gateway.restart();
    eventually(PATIENCE, "the first run to be delivered", || (!gateway.keys().is_empty()).then_some(()));
    service.send(libc::SIGTERM);
    service.wait();
}

/// "A warning is said once": what is wrong with a file is no news in the next round.
#[test]
fn a_warning_is_said_once_in_a_loop() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let url = gateway.url();
    let token = sandbox.write("token", "secret\n");
    let path = token.to_str().unwrap();
    sandbox.jobmon(["run", "-n", "x", "-g", &url, "--", "true"]).run();
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let warning = format!(
        "jobmon: warning: {path} holds a secret and can be read by every user of this machine: chmod o-r {path}\n"
    );
    let words = ["flush", "--loop", "100ms", "-g", &url, "--bearer-token-file", path, "-v"];
    let log = sandbox.path("stderr");
    let mut service =
        sandbox.jobmon(words).command().stderr(std::fs::File::create(&log).unwrap()).spawn().expect("jobmon starts");
    let said = || std::fs::read_to_string(&log).unwrap();
    eventually(PATIENCE, "several rounds", || (said().matches("nothing is owed\n").count() > 3).then_some(()));
    service.kill().unwrap();
    service.wait().unwrap();
    assert_eq!(said().matches(&warning).count(), 1, "{}", said());
}

#[test]
fn a_state_directory_that_cannot_be_used_is_said() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("a-file", "");
    let below = file.join("state");
    for (directory, words) in [(&file, "not a directory"), (&below, "Not a directory (os error 20)")] {
        let said = format!("jobmon: error: state directory {}: {words}\n", directory.display());
        for command in ["flush", "status", "history"] {
            sandbox
                .jobmon([command])
                .env("JOBMON_STATE_DIR", directory)
                .code(1)
                .any_stdout()
                .stderr(said.as_str())
                .run();
        }
    }
}

/// How many pushes a gateway has counted since it was started.
fn pushes(gateway: &Pushgateway) -> u64 {
    let scrape = gateway.scrape().text();
    let lines = scrape.lines().filter(|line| line.starts_with("pushgateway_http_requests_total{"));
    let pushes = lines.filter(|line| line.contains("handler=\"push\""));
    pushes.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

#[test]
fn many_missed_runs_cost_one_request_and_none_is_missing() {
    let host = Host::new();
    let mut gateway = Pushgateway::start();
    let url = gateway.url();
    gateway.kill();
    for _ in 0..3 {
        host.run(&[&url], "job", &[], &["true"]).run();
    }
    let expected = format!("still owed to {url}: connection refused\n");
    host.flush().code(1).stderr_contains(&expected).run();
    gateway.restart();
    host.flush().run();
    assert_eq!(runs(&gateway, "job")["success"], 3.0);
    assert_eq!(pushes(&gateway), 1);
    host.flush().run();
    assert_eq!(pushes(&gateway), 1, "nothing was owed");
}

/// "a time-out counts as 'perhaps applied'; an older state never overwrites a newer one": a gateway that wakes up
/// carries out what was given up and what is asked of it then in any order.
#[test]
fn a_request_that_was_given_up_does_not_come_last() {
    let host = Host::new();
    let gateway = Pushgateway::start();
    let url = gateway.url();
    let run = |timeout| host.run(&[&url], "job", &["--push-timeout", timeout], &["true"]);
    run("30s").run();
    for round in 1..=10_u32 {
        gateway.send_signal(libc::SIGSTOP);
        run("300ms").run();
        let before = host.health(&url).unwrap();
        assert!(before.last_error.is_some_and(|error| error.starts_with("no complete answer")));
        let flush = host.flush().spawn();
        gateway.send_signal(libc::SIGCONT);
        flush.wait();
        assert_eq!(runs(&gateway, "job")["success"], f64::from(round + 1));
        assert_eq!(host.owed(), Vec::<String>::new());
    }
}

#[test]
fn a_later_run_of_any_job_pays_older_debts() {
    let host = Host::new();
    let mut gateway = Pushgateway::start();
    let url = gateway.url();
    gateway.kill();
    host.run(&[&url], "first", &[], &["true"]).run();
    gateway.restart();
    let healthy = Pushgateway::start();
    // Its own report goes elsewhere.
    eventually(PATIENCE, "the debt to be paid, after the backoff", || {
        host.run(&[&healthy.url()], "second", &[], &["true"]).run();
        (value(&gateway, "first", "script_result") == Some(1.0)).then_some(())
    });
    assert_eq!(host.owed(), Vec::<String>::new());
}

/// "A gateway that came back empty or with old groups is noticed (its start time) and gets every group of this host
/// again; a group that was deleted on purpose stays deleted."
#[test]
fn a_gateway_that_came_back_empty_gets_everything_again() {
    let host = Host::new();
    let mut gateway = Pushgateway::start();
    let url = gateway.url();
    for name in ["a", "b", "c"] {
        host.run(&[&url], name, &[], &["true"]).run();
    }
    gateway.restart();
    assert!(gateway.keys().is_empty());
    host.flush().run();
    for name in ["a", "b", "c"] {
        assert_eq!(runs(&gateway, name)["success"], 1.0, "{name}");
    }
}

#[test]
fn a_gateway_that_came_back_with_the_past_gets_the_present() {
    let host = Host::new();
    let file = host.sandbox.path("gateway.data");
    let argument = format!("--persistence.file={}", file.display());
    let mut gateway = Pushgateway::start_with(&[&argument, "--persistence.interval=24h"]);
    let url = gateway.url();
    host.run(&[&url], "kept", &[], &["true"]).run();
    host.run(&[&url], "cleared", &[], &["true"]).run();
    gateway.stop();
    gateway.restart();
    host.run(&[&url], "kept", &[], &["false"]).code(1).run();
    host.sandbox.jobmon(["clear", "--yes", "--gateway", &url, "--name", "cleared"]).any_stdout().any_stderr().run();
    eventually(PATIENCE, "the group to go", || gateway.group(&labels("cleared")).is_none().then_some(()));
    gateway.kill();
    gateway.restart();
    // What it had saved when it was stopped in order.
    assert!(gateway.group(&labels("cleared")).is_some());
    assert_eq!(value(&gateway, "kept", "script_exit_code"), Some(0.0));

    host.flush().run();
    assert_eq!(value(&gateway, "kept", "script_exit_code"), Some(1.0));
    assert_eq!(gateway.group(&labels("cleared")), None);
}

/// The refusal of one group says nothing about the others.
#[test]
fn a_group_that_is_refused_for_good_keeps_no_other_from_its_gateway() {
    let host = Host::new();
    let mut gateway = Pushgateway::start();
    let url = gateway.url();
    gateway.kill();
    for name in ["a", "b", "c"] {
        host.run(&[&url], name, &[], &["true"]).run();
    }
    gateway.restart();
    // Another type for a metric of ours: whatever we push is refused, and it is not said to be somebody else's fault.
    assert_eq!(gateway.put("/metrics/job/foreign", "# TYPE script_running counter\nscript_running 1\n"), 200);
    let output = host.flush().any_ending().any_stderr().run();
    let words = String::from_utf8(output.stderr).unwrap();
    let refusal = if gateway.refusal() == Refusal::HungUp { "refused without a reason" } else { "refused with 400" };
    assert_eq!(words.matches(refusal).count(), 3, "{words}");
    // No ghosts are left behind.
    assert_eq!(gateway.keys().len(), 1, "{:?}", gateway.keys());

    gateway.send("DELETE", "/metrics/job/foreign", "");
    eventually(PATIENCE, "the foreign group to go", || gateway.keys().is_empty().then_some(()));
    for name in ["a", "b", "c"] {
        host.run(&[&url], name, &[], &["true"]).run();
        assert_eq!(runs(&gateway, name)["success"], 2.0);
    }
}

#[test]
fn credentials_are_masked_wherever_a_gateway_is_named() {
    let host = Host::new();
    let server = Faults::start(faults::answer("401 Unauthorized", &[], "no"));
    let url = server.url().replace("http://", "http://user:s3cret@");
    let run = host.run(&[&url], "job", &["-vv"], &["true"]).any_stderr().run();
    let words = String::from_utf8(run.stderr).unwrap();
    assert!(words.contains("401") && !words.contains("s3cret"), "{words}");
    let flush = host.sandbox.jobmon(["flush", "-vv", "--gateway", &url]).code(1).any_stderr().run();
    let words = String::from_utf8(flush.stderr).unwrap();
    assert!(words.contains("401") && !words.contains("s3cret"), "{words}");
    assert_eq!(host.owed(), [format!("push {}", server.url())]);
    let sent: Vec<_> =
        server.requests().iter().map(|request| request.header("authorization").map(str::to_owned)).collect();
    assert!(
        !sent.is_empty() && sent.iter().all(|header| header.as_deref() == Some("Basic dXNlcjpzM2NyZXQ=")),
        "{sent:?}"
    );
    for file in ["registry.db", "registry.db-wal"] {
        let bytes = std::fs::read(host.sandbox.state().join(file)).unwrap_or_default();
        assert!(!bytes.windows(6).any(|window| window == b"s3cret"), "{file}");
    }
}

/// "`--loop D` for a small resident mode": it waits for the first run of all, says what is wrong when it is news, and
/// pays once it can; a signal ends it.
#[test]
fn a_resident_flush_pays_whenever_it_can() {
    let host = Host::new();
    let mut gateway = Pushgateway::start();
    let url = gateway.url();
    gateway.kill();
    let state = host.sandbox.path("later");
    let state = state.to_str().unwrap();
    let arguments = ["flush", "--loop", "100ms", "--state-dir", state];
    let resident = host.sandbox.jobmon(arguments).signal(libc::SIGTERM).any_stderr().spawn();
    let run = || host.run(&[&url], "job", &["--state-dir", state], &["true"]).run();
    for round in 1..=2 {
        for _ in 0..2 {
            run();
        }
        gateway.restart();
        let expected = Some(f64::from(round * 2));
        eventually(PATIENCE, "the debt to be paid, after the backoff", || {
            (runs(&gateway, "job").get("success").copied() == expected).then_some(())
        });
        gateway.kill();
    }
    resident.send(libc::SIGTERM);
    let words = String::from_utf8(resident.wait().stderr).unwrap();
    assert!(words.lines().all(|line| line.contains("still owed to")), "{words}");
    let said = words.matches("connection refused").count();
    assert!((1..=2).contains(&said), "once in each of the two outages: {words}");
}
