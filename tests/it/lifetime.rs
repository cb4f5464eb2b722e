//! How long a group lives: until its run has succeeded (`--ephemeral`), until nothing was pushed for a while
//! (`--clear-after`), or until somebody clears it.

use std::fs;
use std::path::Path;

use jobmon::record::Outcome;
use rusqlite::Connection;

use crate::delivery_support::{Host, holders, runs, value};
use crate::harness::{PATIENCE, Pushgateway, eventually};
use crate::janitor_support::Jobmon;

/// A job that goes on until it may end.
const UNTIL_TOLD: [&str; 3] = ["sh", "-c", "until [ -e ../go ]; do sleep 0.01; done"];

fn files(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

/// "delete the group when the run has succeeded (for CI jobs that will never run again), keep it when it failed"
#[test]
fn a_group_is_kept_when_its_run_failed_and_goes_when_one_has_succeeded() {
    let (host, one, other) = (Host::new(), Pushgateway::start(), Pushgateway::start());
    let directory = host.sandbox.path("textfiles");
    fs::create_dir(&directory).unwrap();
    let (here, there) = (one.url(), other.url());
    let ephemeral = ["--ephemeral", "--textfile-dir", directory.to_str().unwrap()];
    let run = |host: &Host, spread: &str, command: &str| {
        host.run(&[&here, &there], "ci", &[&ephemeral[..], &["--spread", spread]].concat(), &[command])
    };
    for gateway in [&one, &other] {
        assert_eq!(gateway.put("/metrics/job/script_monitor/instance/host1", "innocent 1\n"), 200);
    }
    run(&host, "all", "false").code(1).run();
    assert_eq!((holders(&[&one, &other], "ci"), files(&directory)), (vec![0, 1], 1));
    run(&host, "all", "true").run();
    assert_eq!((holders(&[&one, &other], "ci"), files(&directory)), (vec![], 0));

    // The next run is in a container of its own, which knows nothing of the one before.
    run(&host, "all", "false").code(1).run();
    let fresh = Host::new();
    run(&fresh, "hash", "true").run();
    assert_eq!((holders(&[&one, &other], "ci"), files(&directory)), (vec![], 0));
    assert_eq!(fresh.owed(), Vec::<String>::new());
    assert_eq!(fresh.outcomes("ci"), [Outcome::Success], "its history stays");
    assert_eq!((one.keys().len(), other.keys().len()), (1, 1), "groups of others stay");
}

#[test]
fn a_run_that_was_announced_is_taken_back() {
    let (host, gateway) = (Host::new(), Pushgateway::start());
    let job = host.run(&[&gateway.url()], "ci", &["--ephemeral"], &UNTIL_TOLD).spawn();
    eventually(PATIENCE, "the announcement", || (value(&gateway, "ci", "script_running") == Some(1.0)).then_some(()));
    host.sandbox.write("go", "");
    job.wait();
    assert!(gateway.keys().is_empty(), "{:?}", gateway.keys());
}

#[test]
fn a_deletion_that_a_gateway_missed_is_owed() {
    let host = Host::new();
    let file = format!("--persistence.file={}", host.sandbox.path("gateway.data").display());
    let mut gateway = Pushgateway::start_with(&[&file]);
    let url = gateway.url();
    host.run(&[&url], "ci", &["--ephemeral"], &["false"]).code(1).run();
    gateway.stop();
    host.run(&[&url], "ci", &["--ephemeral"], &["true"]).run();
    assert_eq!(host.owed(), [format!("delete {url}")]);
    gateway.restart();
    assert_eq!(holders(&[&gateway], "ci"), [0], "from its file");
    host.flush().run();
    assert_eq!((holders(&[&gateway], "ci"), host.owed()), (vec![], vec![]));
    // What it holds in its file is that of before: it brings the group back, and loses it again.
    gateway.kill();
    gateway.restart();
    host.flush().run();
    assert_eq!(holders(&[&gateway], "ci"), Vec::<usize>::new());
}

#[test]
fn without_a_usable_registry_the_group_goes_too_and_does_not_come_back() {
    let (host, gateway) = (Host::new(), Pushgateway::start());
    let url = gateway.url();
    let run = |command: &str| host.run(&[&url], "ci", &["--ephemeral"], &[command]);
    let nowhere = |command: &str| run(command).env("JOBMON_STATE_DIR", "/dev/null/state").any_stderr();
    nowhere("false").code(1).run();
    assert_eq!(holders(&[&gateway], "ci"), [0]);
    nowhere("true").run();
    assert_eq!(holders(&[&gateway], "ci"), Vec::<usize>::new());

    run("false").code(1).run();
    let set_version = |version: i64| {
        let connection = Connection::open(host.sandbox.state().join("registry.db")).unwrap();
        let before: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
        before
    };
    let version = set_version(1_000);
    run("true").stderr_contains("the result waits in").run();
    assert_eq!(holders(&[&gateway], "ci"), Vec::<usize>::new());
    set_version(version);
    host.run(&[&url], "other", &[], &["true"]).run();
    assert_eq!(host.outcomes("ci"), [Outcome::Failure, Outcome::Success]);
    host.flush().run();
    assert_eq!((holders(&[&gateway], "ci"), host.owed()), (vec![], vec![]));
}

/// "the group carries its own time to live (`script_ttl_seconds`), so that `jobmon clear --expired` on any host can
/// honour it"
#[test]
fn a_time_to_live_is_honoured_by_any_host_and_spares_what_lives() {
    let (host, gateway, elsewhere) = (Host::new(), Pushgateway::start(), Jobmon::new());
    let url = gateway.url();
    let file = host.sandbox.write("jobmon.toml", "[jobs.by-file]\nttl = \"2h\"\n");
    host.run(&[&url], "fresh", &["--clear-after", "1h"], &["true"]).run();
    host.run(&[&url], "by-file", &["--config", file.to_str().unwrap()], &["true"]).run();
    host.run(&[&url], "without", &[], &["true"]).run();
    host.run(&[&url], "over", &["--ttl", "1ms"], &["false"]).code(1).run();
    let running = host.run(&[&url], "running", &["--clear-after", "1ms"], &UNTIL_TOLD).spawn();
    eventually(PATIENCE, "the announcement", || {
        (value(&gateway, "running", "script_running") == Some(1.0)).then_some(())
    });
    for (name, seconds) in
        [("fresh", Some(3600.0)), ("by-file", Some(7200.0)), ("over", Some(0.001)), ("without", None)]
    {
        assert_eq!(value(&gateway, name, "script_ttl_seconds"), seconds, "{name}");
    }
    let clear = || elsewhere.run(&["clear", "--gateway", &url, "--expired"]).quietly(0).stdout();
    assert!(clear().ends_with("deleted 1 group\n"));
    assert!(clear().contains("none of 4 groups matches"));
    assert_eq!(holders(&[&gateway], "running"), [0]);
    host.sandbox.write("go", "");
    running.wait();
    assert!(clear().ends_with("deleted 1 group\n"));
    for (name, there) in [("fresh", 1), ("by-file", 1), ("without", 1), ("over", 0), ("running", 0)] {
        assert_eq!(holders(&[&gateway], name).len(), there, "{name}");
    }
}

/// "a group cleared on purpose is not owed again nor resurrected by `flush`, until the job runs again"
#[test]
fn what_was_cleared_stays_away_until_the_job_runs_again() {
    let (host, gateway) = (Host::new(), Pushgateway::start());
    let url = gateway.url();
    let clear = || {
        host.sandbox.jobmon(["clear", "--gateway", &url, "--name", "job"]).any_stdout().run();
        assert_eq!(holders(&[&gateway], "job"), Vec::<usize>::new());
    };
    host.run(&[&url], "job", &[], &["true"]).run();
    clear();
    assert_eq!(host.owed(), Vec::<String>::new());
    host.flush().run();
    host.run(&[&url], "other", &[], &["true"]).run();
    assert_eq!(holders(&[&gateway], "job"), Vec::<usize>::new());
    host.run(&[&url], "job", &[], &["true"]).run();
    assert_eq!(runs(&gateway, "job")["success"], 2.0, "nothing is forgotten here");

    // A run in progress says how it ended.
    let running = host.run(&[&url], "job", &[], &UNTIL_TOLD).spawn();
    eventually(PATIENCE, "the announcement", || (value(&gateway, "job", "script_running") == Some(1.0)).then_some(()));
    clear();
    host.sandbox.write("go", "");
    running.wait();
    assert_eq!((runs(&gateway, "job")["success"], value(&gateway, "job", "script_running")), (3.0, Some(0.0)));
}
