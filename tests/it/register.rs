//! `jobmon register` and `jobmon unregister`: a job is known before its first run, and gone when nobody wants it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::harness::faults::Refused;
use crate::harness::{Pushgateway, Sandbox};

const KEY: [(&str, &str); 3] = [("job", "script_monitor"), ("script_name", "backup"), ("instance", "h")];

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// A sandbox whose jobs are on host `h` and go to `gateway`.
fn sandbox(gateway: &str) -> Sandbox {
    Sandbox::new().env("JOBMON_INSTANCE", "h").env("JOBMON_GATEWAY", gateway).env("TZ", "UTC")
}

#[test]
fn a_registered_job_is_at_the_gateway_before_it_has_ever_run() {
    let gateway = Pushgateway::start();
    let sandbox = sandbox(&gateway.url());
    let flags = ["--schedule", "30 2 * * *", "--grace", "30m", "--max-duration", "2h", "--expect-every", "1d"];
    sandbox.jobmon([&["register", "-n", "backup"][..], &flags].concat()).run();
    let value = |metric| gateway.value(&KEY, metric);
    assert_eq!(value("script_grace_seconds"), Some(1800.0));
    assert_eq!(value("script_max_duration_seconds"), Some(7200.0));
    assert_eq!(value("script_expected_interval_seconds"), Some(86400.0));
    assert_eq!(value("script_running"), Some(0.0));
    assert_eq!(value("script_last_success_timestamp_seconds"), Some(0.0));
    let next = value("script_next_start_timestamp_seconds").unwrap();
    assert!(next > now() && next <= now() + 86400.0 && next % 86400.0 == 9000.0, "{next} is no half past two");
    let group = gateway.group(&KEY).unwrap();
    assert_eq!(
        group["script_runs_total"]["metrics"].as_array().unwrap().len(),
        6,
        "a counter is there before it counts"
    );
    assert!(group["script_exit_code"].is_null() && group["script_start_timestamp_seconds"].is_null(), "{group}");

    // A run whose crontab line says nothing of all that keeps it; a later registration changes it.
    sandbox.jobmon(["run", "-n", "backup", "--", "true"]).run();
    assert_eq!(gateway.value(&KEY, "script_max_duration_seconds"), Some(7200.0));
    assert_eq!(gateway.value(&KEY, "script_next_start_timestamp_seconds"), Some(next));
    sandbox.jobmon(["register", "-n", "backup", "--expect-every", "2d"]).run();
    assert_eq!(gateway.value(&KEY, "script_expected_interval_seconds"), Some(172_800.0));
    let group = gateway.group(&KEY).unwrap();
    assert!(group["script_max_duration_seconds"].is_null(), "PUT leaves nothing stale: {group}");
    assert_eq!(gateway.value(&KEY, "script_result"), Some(1.0));
}

#[test]
fn expectations_may_stand_in_the_jobs_section() {
    let gateway = Pushgateway::start();
    let sandbox = sandbox(&gateway.url());
    sandbox.write(
        "home/.config/jobmon/config.toml",
        "[jobs.backup]\nschedule = \"@daily\"\ntimezone = \"Asia/Kathmandu\"\n",
    );
    sandbox.jobmon(["register", "-n", "backup"]).run();
    let next = gateway.value(&KEY, "script_next_start_timestamp_seconds").unwrap();
    assert_eq!(next % 86400.0, 18.25 * 3600.0, "midnight in Kathmandu");
}

#[test]
fn what_cannot_be_delivered_is_owed_and_said() {
    let refused = Refused::new();
    let sandbox = sandbox(&refused.url());
    let line = sandbox.jobmon(["register", "-n", "backup", "--expect-every", "1d"]).code(1).any_stderr().run().stderr;
    let line = String::from_utf8(line).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with(&format!("jobmon: error: {}: ", refused.url())), "{line}");
    assert!(line.ends_with("; registered here and owed there, \"jobmon flush\" tries again\n"), "{line}");

    // The next run, to a gateway that lives, brings the expectation along.
    let gateway = Pushgateway::start();
    sandbox.jobmon(["run", "-n", "backup", "-g", &gateway.url(), "--", "true"]).run();
    assert_eq!(gateway.value(&KEY, "script_expected_interval_seconds"), Some(86400.0));
}

#[test]
fn bad_usage_is_said_before_anything_is_written() {
    let sandbox = Sandbox::new();
    let check = |arguments: &[&str], line: &str| {
        sandbox.jobmon(arguments).code(125).stderr(format!("jobmon: {line}\n")).run();
        assert!(!sandbox.state().join("registry.db").exists(), "{arguments:?}");
    };
    check(&["register", "--expect-every", "1d"], "no job given: use --name");
    check(&["unregister"], "no job given: use --name");
    check(
        &["register", "-n", "x", "--grace", "1h"],
        "nothing is expected of x: give --schedule, --expect-every, --max-duration or --min-duration",
    );
    check(
        &["register", "-n", "x", "--schedule", "0 0 30 2 *"],
        "--schedule \"0 0 30 2 *\": column 5: no month of this schedule has a day 30: it never fires",
    );
    check(
        &["register", "-n", "x", "--schedule", "@daily", "--timezone", "Mars/Base"],
        "--timezone \"Mars/Base\": unknown time zone: use a name such as Europe/Berlin or UTC",
    );
    sandbox.jobmon(["register", "-n", "x", "--max-duration", "-5s"]).code(125).stderr_contains("--max-duration").run();
    // What a job only warns of is an error here, wherever it stands.
    sandbox
        .jobmon(["register", "-n", "x"])
        .env("JOBMON_SCHEDULE", "61 * * * *")
        .code(125)
        .stderr("jobmon: JOBMON_SCHEDULE=\"61 * * * *\": column 1: minute \"61\" is not in 0..59\n")
        .run();
}

#[test]
fn unregister_removes_the_job_everywhere() {
    let (one, two) = (Pushgateway::start(), Pushgateway::start());
    let textfiles = tempfile::tempdir().unwrap();
    let sandbox = sandbox(&one.url()).env("JOBMON_TEXTFILE_DIR", textfiles.path());
    let urls = [one.url(), two.url()];
    let both = ["-g", &urls[0], "-g", &urls[1], "--spread", "all"];
    sandbox.jobmon([&["run", "-n", "backup"][..], &both, &["--", "true"]].concat()).run();
    sandbox.jobmon(["run", "-n", "other", "--", "true"]).run();
    assert_eq!(std::fs::read_dir(textfiles.path()).unwrap().count(), 2);
    sandbox.jobmon(["unregister", "-n", "backup"]).run();
    assert!(two.keys().is_empty(), "the registry knows where it was");
    assert_eq!(one.keys().len(), 1, "no other job is touched");
    assert_eq!(std::fs::read_dir(textfiles.path()).unwrap().count(), 1);

    let line = "no such job: {job=\"script_monitor\",instance=\"h\",script_name=\"backup\"}: this host does not know it, and \
                no configured gateway holds it";
    sandbox.jobmon(["unregister", "-n", "backup"]).code(1).stderr(format!("jobmon: error: {line}\n")).run();
}

#[test]
fn a_job_of_another_registry_can_be_unregistered_too() {
    let gateway = Pushgateway::start();
    let sandbox = sandbox(&gateway.url());
    gateway.put("/metrics/job/script_monitor/instance/h/script_name/backup", "script_result 1\n");
    gateway.put("/metrics/job/script_monitor/instance/h", "script_result 1\n");
    sandbox.jobmon(["unregister", "-n", "backup"]).run();
    assert_eq!(gateway.keys().len(), 1, "the shorter key is another group");
}

#[test]
fn a_deletion_that_is_not_possible_now_is_owed() {
    let mut gateway = Pushgateway::start_with(&["--persistence.interval=1s"]);
    let sandbox = sandbox(&gateway.url());
    sandbox.jobmon(["run", "-n", "backup", "--", "true"]).run();
    gateway.stop();
    let said = sandbox.jobmon(["unregister", "-n", "backup"]).code(1).any_stderr().run().stderr;
    let said = String::from_utf8(said).unwrap();
    assert!(said.ends_with("; forgotten here, and to be deleted there, \"jobmon flush\" tries again\n"), "{said}");
    gateway.restart();
    gateway.put("/metrics/job/script_monitor/instance/h/script_name/backup", "script_result 1\n");
    sandbox.jobmon(["unregister", "-n", "backup"]).run();
    assert!(gateway.keys().is_empty());
}
