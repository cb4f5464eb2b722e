//! The main job: `jobmon run` against a real Pushgateway, and on the registry alone.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::harness::faults::Refused;
use crate::harness::sandbox::{Ending, Run};
use crate::harness::{PATIENCE, Pushgateway, Sandbox, eventually};

/// The instance of every group here: a host name would differ from machine to machine.
const HOST: &str = "host1";

fn labels(name: &str) -> [(&'static str, String); 3] {
    [("job", "script_monitor".into()), ("instance", HOST.into()), ("script_name", name.into())]
}

/// The group as the gateway holds it: sample by sample, `family{own labels}` to value.
fn samples(gateway: &Pushgateway, name: &str) -> BTreeMap<String, f64> {
    let labels = labels(name);
    let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let group = gateway.group(&labels).unwrap_or_else(|| panic!("no group {labels:?} in {:?}", gateway.keys()));
    let mut samples = BTreeMap::new();
    for (family, content) in group.as_object().unwrap() {
        for metric in content["metrics"].as_array().into_iter().flatten() {
            let own: Vec<String> = metric["labels"]
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(name, _)| !labels.iter().any(|(label, _)| label == name))
                .map(|(name, value)| format!("{name}={}", value.as_str().unwrap()))
                .collect();
            let own = if own.is_empty() { String::new() } else { format!("{{{}}}", own.join(",")) };
            samples.insert(format!("{family}{own}"), metric["value"].as_str().unwrap().parse().unwrap());
        }
    }
    samples
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

fn run(sandbox: &Sandbox, gateway: &Pushgateway, name: &str, options: &[&str], command: &[&str]) -> Run {
    let url = gateway.url();
    let fixed = ["run", "--name", name, "--instance", HOST, "--gateway", &url];
    sandbox.jobmon(fixed.iter().chain(options).chain(&["--"]).chain(command))
}

/// Every family that a group has after its first finished run where nothing is configured ("The metric contract").
const FINISHED: [&str; 21] = [
    "push_failure_time_seconds",
    "push_time_seconds",
    "script_consecutive_failures",
    "script_cpu_seconds{mode=system}",
    "script_cpu_seconds{mode=user}",
    "script_duration_seconds",
    "script_end_timestamp_seconds",
    "script_exit_code",
    "script_last_failure_timestamp_seconds",
    "script_last_success_timestamp_seconds",
    "script_max_resident_memory_bytes",
    "script_result",
    "script_run_duration_seconds_total",
    "script_running",
    "script_runs_total{result=failure}",
    "script_runs_total{result=lost}",
    "script_runs_total{result=skipped}",
    "script_runs_total{result=success}",
    "script_runs_total{result=timeout}",
    "script_runs_total{result=warning}",
    "script_start_timestamp_seconds",
];

#[test]
fn a_first_success_is_reported_whole() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let before = now();
    run(&sandbox, &gateway, "backup", &[], &["true"]).run();
    let group = samples(&gateway, "backup");
    assert_eq!(group.keys().map(String::as_str).collect::<Vec<_>>(), FINISHED);
    for (sample, expected) in [
        ("script_running", 0.0),
        ("script_exit_code", 0.0),
        ("script_result", 1.0),
        ("script_consecutive_failures", 0.0),
        ("script_last_failure_timestamp_seconds", 0.0),
        ("script_runs_total{result=success}", 1.0),
        ("script_runs_total{result=failure}", 0.0),
        ("script_runs_total{result=timeout}", 0.0),
        ("script_runs_total{result=warning}", 0.0),
        ("script_runs_total{result=lost}", 0.0),
        ("script_runs_total{result=skipped}", 0.0),
    ] {
        assert_eq!(group[sample], expected, "{sample}");
    }
    let (start, end) = (group["script_start_timestamp_seconds"], group["script_end_timestamp_seconds"]);
    assert!(before <= start + 0.001 && start <= end && end <= now(), "{before} {start} {end}");
    assert_eq!(group["script_last_success_timestamp_seconds"], end);
    assert_eq!(group["script_run_duration_seconds_total"], group["script_duration_seconds"]);
    assert!(group["script_max_resident_memory_bytes"] > 100_000.0);
}

#[test]
fn each_way_to_fail_has_its_exit_code() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    sandbox.write("not_executable", "echo no");
    let not_executable = sandbox.path("not_executable");
    let check = |name: &str, command: &[&str], ending: Ending, exit_code: f64, said: &str| {
        let job = run(&sandbox, &gateway, name, &[], command);
        let job = match ending {
            Ending::Code(code) => job.code(code),
            Ending::Signal(signal) => job.signal(signal),
        };
        if said.is_empty() {
            job.run()
        } else {
            job.stderr_contains(said).run()
        };
        let group = samples(&gateway, name);
        assert_eq!(group["script_exit_code"], exit_code, "{name}");
        assert_eq!(group["script_result"], 0.0, "{name}");
        assert_eq!(group["script_consecutive_failures"], 1.0, "{name}");
        assert_eq!(group["script_last_success_timestamp_seconds"], 0.0, "{name}");
        assert_eq!(group["script_last_failure_timestamp_seconds"], group["script_end_timestamp_seconds"], "{name}");
        assert_eq!(group["script_runs_total{result=failure}"], 1.0, "{name}");
        assert_eq!(group.keys().map(String::as_str).collect::<Vec<_>>(), FINISHED, "{name}");
    };
    check("fails", &["sh", "-c", "exit 3"], Ending::Code(3), 3.0, "");
    check("dies", &["sh", "-c", "kill -9 $$"], Ending::Signal(9), 137.0, "");
    check("missing", &["/no/such/script"], Ending::Code(127), 127.0, "No such file or directory");
    let path = not_executable.to_str().unwrap();
    check("locked", &[path], Ending::Code(126), 126.0, "Permission denied");
}

#[test]
fn a_run_after_a_failure_remembers_the_success_before_it() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    run(&sandbox, &gateway, "etl", &[], &["true"]).run();
    let success = samples(&gateway, "etl")["script_last_success_timestamp_seconds"];
    for failures in [1.0, 2.0] {
        run(&sandbox, &gateway, "etl", &[], &["false"]).code(1).run();
        let group = samples(&gateway, "etl");
        assert_eq!(group["script_last_success_timestamp_seconds"], success);
        assert_eq!(group["script_consecutive_failures"], failures);
        assert_eq!(group["script_runs_total{result=failure}"], failures);
        assert_eq!(group["script_runs_total{result=success}"], 1.0);
    }
    run(&sandbox, &gateway, "etl", &[], &["true"]).run();
    let group = samples(&gateway, "etl");
    assert_eq!(group["script_consecutive_failures"], 0.0);
    assert!(group["script_last_success_timestamp_seconds"] > success);
    assert!(group["script_last_failure_timestamp_seconds"] > success);
}

#[test]
fn a_fresh_registry_leaves_the_gateway_what_only_it_remembers() {
    let gateway = Pushgateway::start();
    let old = Sandbox::new();
    for _ in 0..3 {
        run(&old, &gateway, "etl", &[], &["true"]).run();
    }
    let before = samples(&gateway, "etl");
    let fresh = Sandbox::new();
    run(&fresh, &gateway, "etl", &[], &["false"]).code(1).run();
    let after = samples(&gateway, "etl");
    assert_eq!(after["script_result"], 0.0);
    assert_eq!(after["script_exit_code"], 1.0);
    assert_eq!(after["script_runs_total{result=success}"], 3.0, "counters of before are kept");
    assert_eq!(after["script_last_success_timestamp_seconds"], before["script_last_success_timestamp_seconds"]);
    assert_eq!(after["script_last_failure_timestamp_seconds"], after["script_end_timestamp_seconds"]);
}

#[test]
fn a_running_job_is_announced_and_a_finished_run_stays_visible_beside_it() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    run(&sandbox, &gateway, "slow", &[], &["sh", "-c", "exit 4"]).code(4).run();
    let job = run(&sandbox, &gateway, "slow", &[], &["sleep", "1000"]).signal(15).spawn();
    eventually(PATIENCE, "the start to be announced", || {
        (samples(&gateway, "slow")["script_running"] == 1.0).then_some(())
    });
    let running = samples(&gateway, "slow");
    assert_eq!(running["script_exit_code"], 4.0, "of the last finished run");
    assert!(running["script_start_timestamp_seconds"] > running["script_end_timestamp_seconds"]);
    job.send(15);
    job.wait();
    let group = samples(&gateway, "slow");
    assert_eq!(group["script_running"], 0.0);
    assert_eq!(group["script_exit_code"], 143.0);
    assert_eq!(group["script_runs_total{result=failure}"], 2.0);
}

#[test]
fn the_first_announcement_of_a_group_has_its_counters_with_zero() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let job = run(&sandbox, &gateway, "new", &[], &["sleep", "1000"]).signal(9).spawn();
    let wanted = labels("new");
    let wanted: Vec<(&str, &str)> = wanted.iter().map(|(name, value)| (*name, value.as_str())).collect();
    eventually(PATIENCE, "the start to be announced", || gateway.group(&wanted));
    let group = samples(&gateway, "new");
    assert_eq!(group["script_running"], 1.0);
    for result in ["success", "warning", "failure", "timeout", "lost", "skipped"] {
        assert_eq!(group[&format!("script_runs_total{{result={result}}}")], 0.0);
    }
    assert_eq!(group["script_last_success_timestamp_seconds"], 0.0);
    for absent in ["script_exit_code", "script_result", "script_duration_seconds", "script_end_timestamp_seconds"] {
        assert!(!group.contains_key(absent), "{absent} describes a finished run, and there is none");
    }
    job.send(9);
    job.wait();
}

#[test]
fn streams_arguments_and_environment_are_the_jobs_own() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let script = sandbox.script("echo.sh", r#"printf '%s|' "$@"; cat; echo err >&2; printf '%s' "$PATH_TO_X""#);
    let script = script.to_str().unwrap();
    run(&sandbox, &gateway, "echo", &[], &[script, "two words", "", "--", "-n", "é\n"])
        .env("PATH_TO_X", "x=y")
        .stdin("input")
        .stdout("two words||--|-n|é\n|inputx=y")
        .stderr("err\n")
        .run();
}

#[test]
fn a_shell_line_is_run_by_the_shell_and_named_after_its_first_word() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let url = gateway.url();
    sandbox
        .jobmon(["run", "--instance", HOST, "-g", &url, "--shell", "LC_ALL=C sort -r | head -n 1; exit 5"])
        .stdin("a\nb\n")
        .stdout("b\n")
        .code(5)
        .run();
    assert_eq!(samples(&gateway, "sort")["script_exit_code"], 5.0);
}

#[test]
fn two_jobs_of_one_interpreter_are_two_groups() {
    let sandbox = Sandbox::new();
    for (name, exit) in [("report", "0"), ("backup", "3")] {
        let script = sandbox.script(format!("{name}.sh"), &format!("exit {exit}"));
        let command = format!("cd / && test -x {} && exec nice sh {}", script.display(), script.display());
        sandbox.jobmon(["run", "--", "env", "LC_ALL=C", "sh", "-c", &command]).any_ending().run();
    }
    let output = sandbox.jobmon(["status", "--format", "json"]).any_stdout().run().stdout();
    let status: serde_json::Value = serde_json::from_str(&output).unwrap();
    let groups = status.as_array().or_else(|| status["groups"].as_array()).unwrap();
    let mut names: Vec<&str> = groups.iter().map(|group| group["labels"]["script_name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["backup", "report"]);
}

#[test]
fn a_service_has_no_instance() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let url = gateway.url();
    sandbox.jobmon(["run", "-n", "billing", "--scope", "service", "-l", "team=a b/c", "-g", &url, "--", "true"]).run();
    let expected: BTreeMap<String, String> = [("job", "script_monitor"), ("script_name", "billing"), ("team", "a b/c")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    assert_eq!(gateway.keys(), [expected]);
}

#[test]
fn two_hundred_runs_of_one_group_at_once_are_two_hundred_runs() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let jobs: Vec<_> =
        (0..200).map(|_| run(&sandbox, &gateway, "crowd", &["--push-timeout", "120s"], &["true"]).spawn()).collect();
    for job in jobs {
        job.wait();
    }
    assert_eq!(samples(&gateway, "crowd")["script_runs_total{result=success}"], 200.0);
}

#[test]
fn secrets_of_jobmon_are_kept_from_the_job_and_nothing_else_is() {
    let sandbox = Sandbox::new();
    let environment = sandbox
        .jobmon(["run", "-n", "env", "--", "env", "-0"])
        .env("JOBMON_BEARER_TOKEN", "geheim")
        .env("JOBMON_NAME", "env")
        .env("EMPTY", "")
        .any_stdout()
        .run()
        .stdout;
    let unwrapped = sandbox.program("env", ["-0"]).env("JOBMON_NAME", "env").env("EMPTY", "").any_stdout().run().stdout;
    let sorted = |bytes: &[u8]| {
        let mut lines: Vec<String> =
            bytes.split(|b| *b == 0).map(|l| String::from_utf8_lossy(l).into_owned()).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&environment), sorted(&unwrapped));
}

#[test]
fn a_refused_push_is_one_line_and_does_not_touch_the_job() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    assert_eq!(gateway.put("/metrics/job/other", "# TYPE script_result counter\nscript_result 1\n"), 200);
    let output = run(&sandbox, &gateway, "typed", &[], &["sh", "-c", "echo out; exit 6"])
        .code(6)
        .stdout("out\n")
        .stderr_contains("script_result")
        .run();
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1);
    assert_eq!(gateway.keys().len(), 1, "no ghost is left behind");
}

#[test]
fn a_late_push_is_not_worth_a_word() {
    let sandbox = Sandbox::new();
    let nobody = Refused::new();
    sandbox.jobmon(["run", "-n", "x", "-g", &nobody.url(), "--", "true"]).run();
    sandbox
        .jobmon(["run", "-v", "-n", "x", "-g", &nobody.url(), "--", "true"])
        .stderr_contains("connection refused")
        .run();
}

#[test]
fn whatever_is_wrong_with_the_surroundings_the_job_runs() {
    let sandbox = Sandbox::new();
    let broken = sandbox.write("broken.toml", "gateways = [\n");
    let file = sandbox.write("a-file", "");
    let check = |arguments: &[&str], variables: &[(&str, &str)], said: &str| {
        let mut job = sandbox.jobmon(["run", "-n", "x"].iter().chain(arguments).chain(&["--", "echo", "ran"]));
        for (name, value) in variables {
            job = job.env(*name, *value);
        }
        let output = job.stdout("ran\n").stderr_contains(said).run();
        assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1, "{arguments:?} {variables:?}");
    };
    check(&["--config", broken.to_str().unwrap()], &[], "broken.toml");
    check(&["--config", "/no/such/file.toml"], &[], "/no/such/file.toml");
    check(&[], &[("JOBMON_PUSH_TIMEOUT", "soon")], "JOBMON_PUSH_TIMEOUT");
    check(&[], &[("JOBMON_GATEWAY", "ftp://gateway")], "JOBMON_GATEWAY");
    check(&["--state-dir", file.to_str().unwrap()], &[], "a-file");
}

#[test]
fn a_push_goes_out_without_a_registry_too() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let file = sandbox.write("a-file", "");
    run(&sandbox, &gateway, "x", &["--state-dir", file.to_str().unwrap()], &["sh", "-c", "exit 2"])
        .code(2)
        .stderr_contains("a-file")
        .run();
    let group = samples(&gateway, "x");
    assert_eq!(group["script_exit_code"], 2.0);
    assert_eq!(group["script_runs_total{result=failure}"], 1.0, "the gateway remembers none before it");
}

#[test]
fn the_time_that_a_job_takes_is_not_waited_for_twice() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    run(&sandbox, &gateway, "nap", &[], &["sleep", "0.3"]).run();
    let duration = samples(&gateway, "nap")["script_duration_seconds"];
    assert!(duration >= 0.3, "{duration}");
}

/// "Before the job starts, jobmon reads only its command line and its configuration", and certificates not at all for
/// `http://` gateways.
#[test]
fn nothing_but_configuration_is_read_before_the_job_starts() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let log = sandbox.path("trace");
    let tracing = ["-f", "-qq", "-e", "trace=file,network,process", "-o", log.to_str().unwrap()];
    let url = gateway.url();
    let wrapped = [env!("CARGO_BIN_EXE_jobmon"), "run", "-n", "x", "-g", &url, "--", "/bin/true"];
    sandbox.program("strace", tracing.iter().chain(&wrapped)).run();
    let trace = std::fs::read_to_string(log).unwrap();
    // Not where the job executes: jobmon goes on beside it from the fork.
    let (before, after) = trace.split_once(" clone(").expect("the job is started");
    assert!(after.contains("execve(\"/bin/true\""), "{trace}");
    for late in ["registry.db", ".run\"", "connect("] {
        assert!(!before.contains(late) && after.contains(late), "{late}\n{trace}");
    }
    for never in ["/etc/ssl", ".pem", ".crt"] {
        assert!(!trace.contains(never), "{never}\n{trace}");
    }
}
