//! What is expected of a job travels with its runs; what is not understood never stops one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::harness::{PATIENCE, Pushgateway, Sandbox, eventually};

const KEY: [(&str, &str); 3] = [("job", "script_monitor"), ("script_name", "job"), ("instance", "h")];
const NEXT: &str = "script_next_start_timestamp_seconds";

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

fn sandbox(gateway: &Pushgateway) -> Sandbox {
    Sandbox::new().env("JOBMON_INSTANCE", "h").env("JOBMON_GATEWAY", gateway.url()).env("TZ", "UTC")
}

#[test]
fn a_run_says_what_is_expected_of_its_job() {
    let gateway = Pushgateway::start();
    let sandbox = sandbox(&gateway);
    let flags = [
        "--max-duration",
        "90s",
        "--min-duration",
        "2s",
        "--tolerate",
        "2",
        "--expect-every",
        "1h",
        "--grace",
        "5m",
        "--schedule",
        "@hourly",
    ];
    sandbox.jobmon([&["run", "-n", "job"][..], &flags, &["--", "true"]].concat()).run();
    for (metric, seconds) in [
        ("script_max_duration_seconds", 90.0),
        ("script_min_duration_seconds", 2.0),
        ("script_tolerated_failures", 2.0),
        ("script_expected_interval_seconds", 3600.0),
        ("script_grace_seconds", 300.0),
    ] {
        assert_eq!(gateway.value(&KEY, metric), Some(seconds), "{metric}");
    }
    let next = gateway.value(&KEY, NEXT).unwrap();
    assert!(next % 3600.0 == 0.0 && next > now() - 60.0 && next <= now() + 3600.0, "{next}");
    // Nothing is expected any more: a limit that is taken from the crontab is gone from the gateway.
    sandbox.jobmon(["run", "-n", "job", "--", "true"]).run();
    let group = gateway.group(&KEY).unwrap();
    for metric in [NEXT, "script_max_duration_seconds", "script_min_duration_seconds", "script_tolerated_failures"] {
        assert!(group[metric].is_null(), "{metric}: {group}");
    }
}

#[test]
fn a_long_run_says_at_its_start_when_the_next_one_is_due() {
    let gateway = Pushgateway::start();
    let sandbox = sandbox(&gateway);
    let run =
        sandbox.jobmon(["run", "-n", "job", "--schedule", "@yearly", "--", "sh", "-c", "exec sleep 600"]).signal(15);
    let running = run.spawn();
    let next = eventually(PATIENCE, "the start of the run at the gateway", || gateway.value(&KEY, NEXT));
    assert!(next > now() && next < now() + 366.0 * 86400.0 + 1.0, "{next}");
    assert_eq!(gateway.value(&KEY, "script_running"), Some(1.0));
    running.send(15);
    running.wait();
    assert_eq!(gateway.value(&KEY, NEXT), Some(next));
}

#[test]
fn bad_surroundings_are_a_warning_and_the_job_runs() {
    let gateway = Pushgateway::start();
    let sandbox = sandbox(&gateway);
    let run = |variables: &[(&str, &str)], line: &str| {
        let run = sandbox.jobmon(["run", "-n", "job", "--", "sh", "-c", "echo ran"]);
        let run = variables.iter().fold(run, |run, (name, value)| run.env(*name, *value));
        run.stdout("ran\n").stderr(format!("jobmon: warning: {line}\n")).run();
        assert!(gateway.group(&KEY).unwrap()[NEXT].is_null());
        assert_eq!(gateway.value(&KEY, "script_result"), Some(1.0));
    };
    run(
        &[("JOBMON_SCHEDULE", "0 25 * * *")],
        "JOBMON_SCHEDULE=\"0 25 * * *\": column 3: hour \"25\" is not in 0..23; ignored",
    );
    run(
        &[("JOBMON_SCHEDULE", "@daily"), ("JOBMON_TIMEZONE", "Mars")],
        "JOBMON_TIMEZONE=\"Mars\": unknown time zone: use a name such as Europe/Berlin or UTC; ignored",
    );
    let file = sandbox.write("home/.config/jobmon/config.toml", "\n[jobs.job]\nschedule = \"* * * * * *\"\n");
    let place = format!("{}:3 [jobs.job]: schedule = \"* * * * * *\"", file.display());
    run(
        &[],
        &format!("{place}: column 11: text after the fifth field: a schedule has no seconds, year or command; ignored"),
    );
}

/// The clock of New York goes forward on the second Sunday of March at 2 o'clock and back in November.
#[test]
fn the_time_zone_has_its_summer_time() {
    let gateway = Pushgateway::start();
    let sandbox = sandbox(&gateway);
    let next = |zone: &str, cron: &str| {
        sandbox.jobmon(["run", "-n", "job", "--schedule", cron, "--timezone", zone, "--", "true"]).run();
        gateway.value(&KEY, NEXT).unwrap()
    };
    let hour = Duration::from_secs(3600).as_secs_f64();
    // Noon of 1 July is 16:00 UTC there, noon of 1 January 17:00; the machine's own zone plays no part.
    assert_eq!(next("America/New_York", "0 12 1 7 *") % (24.0 * hour), 16.0 * hour);
    assert_eq!(next("america/new_york", "0 12 1 1 *") % (24.0 * hour), 17.0 * hour);
    assert_eq!(next("UTC", "0 12 1 1 *") % (24.0 * hour), 12.0 * hour);
}
