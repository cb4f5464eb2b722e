//! `jobmon record`: runs that jobmon did not start.

use serde_json::{Value, json};

use crate::harness::{Pushgateway, Sandbox};

/// The runs of the history, newest first, with what no test can foresee left out.
fn runs(sandbox: &Sandbox) -> Vec<Value> {
    let text = sandbox.jobmon(["history", "--format", "json", "--output"]).any_stdout().run().stdout();
    let history: Value = serde_json::from_str(&text).unwrap();
    let keys = ["result", "exit_code", "signal", "duration_seconds", "command"];
    let chosen = |run: &Value| json!(keys.map(|key| run[key].clone()));
    history["runs"].as_array().unwrap().iter().map(chosen).collect()
}

#[test]
fn a_run_of_anything_is_kept_and_pushed() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let url = gateway.url();
    let record = |more: &[&str]| {
        sandbox.jobmon(["record", "-n", "nas", "--instance", "h", "-g", &url].iter().chain(more).copied())
    };
    record(&["--exit-code", "0", "--duration", "12m"]).run();
    record(&["--exit-code", "3"]).run();
    record(&["--exit-code", "24", "--success-codes", "0,24"]).run();
    assert_eq!(
        runs(&sandbox),
        [
            json!(["success", 24, null, 0.0, "nas"]),
            json!(["failure", 3, null, 0.0, "nas"]),
            json!(["success", 0, null, 720.0, "nas"])
        ]
    );
    let labels = [("job", "script_monitor"), ("instance", "h"), ("script_name", "nas")];
    let value = |metric: &str| gateway.value(&labels, metric);
    assert_eq!((value("script_exit_code"), value("script_run_duration_seconds_total")), (Some(24.0), Some(720.0)));
}

#[test]
fn bad_usage_is_one_line() {
    let sandbox = Sandbox::new();
    let check = |arguments: &[&str], line: &str| {
        sandbox.jobmon(arguments.iter().copied()).stderr(format!("jobmon: {line}\n")).code(125).run();
    };
    check(&["record", "-n", "x"], "--exit-code is missing (see \"jobmon record --help\")");
    check(&["record", "--exit-code", "0"], "no job given: use --name");
    check(
        &["record", "-n", "x", "--systemd", "--exit-code", "1"],
        "--systemd and --exit-code cannot be used together (see \"jobmon record --help\")",
    );
}

#[test]
fn a_service_is_recorded_as_systemd_judges_it() {
    let sandbox = Sandbox::new();
    let record = |result: &str, code: &str, status: &str, invocation: &str| {
        sandbox
            .jobmon(["record", "--systemd", "-n", "svc"])
            .env("SERVICE_RESULT", result)
            .env("EXIT_CODE", code)
            .env("EXIT_STATUS", status)
            .env("INVOCATION_ID", invocation)
    };
    record("success", "exited", "0", "a1").run();
    record("timeout", "killed", "TERM", "a2").run();
    record("oom-kill", "killed", "KILL", "a3").run();
    // A condition that failed is no run, and told twice is told once.
    record("exec-condition", "exited", "1", "a4").run();
    record("oom-kill", "killed", "KILL", "a3").run();
    assert_eq!(
        runs(&sandbox),
        [
            json!(["failure", 137, 9, 0.0, "svc"]),
            json!(["timeout", 124, 15, 0.0, "svc"]),
            json!(["success", 0, null, 0.0, "svc"])
        ]
    );
    let note = "systemd: a process was killed because memory ran out (OOM)\n";
    sandbox.jobmon(["logs", "svc"]).stdout(note).run();
}

#[test]
fn nothing_that_fails_here_makes_a_service_fail() {
    let sandbox = Sandbox::new();
    sandbox
        .jobmon(["record", "--systemd", "-n", "svc"])
        .stderr("jobmon: warning: $SERVICE_RESULT is not set: \"record --systemd\" is for ExecStopPost= of a service\n")
        .run();
    let record =
        sandbox.jobmon(["record", "--systemd", "-n", "svc", "-g", "http://127.0.0.1:1", "--push-timeout", "1s"]);
    record.env("SERVICE_RESULT", "success").env("EXIT_CODE", "exited").env("EXIT_STATUS", "0").any_stderr().run();
    sandbox
        .jobmon(["record", "--systemd", "-n", "svc", "--state-dir", "/dev/null/x"])
        .env("SERVICE_RESULT", "success")
        .any_stderr()
        .run();
}
