//! What a result means: warnings, runs that are too short, failures that are tolerated.

use serde_json::{Value, json};

use crate::harness::{Pushgateway, Sandbox};

const KEY: [(&str, &str); 3] = [("job", "script_monitor"), ("script_name", "job"), ("instance", "h")];

fn sandbox(gateway: &Pushgateway) -> Sandbox {
    Sandbox::new().env("JOBMON_INSTANCE", "h").env("JOBMON_GATEWAY", gateway.url())
}

/// Result, exit code and signal of the newest run.
fn newest(sandbox: &Sandbox) -> Value {
    let text = sandbox.jobmon(["history", "--format=json", "--limit=1"]).any_stdout().run().stdout();
    let history: Value = serde_json::from_str(&text).unwrap();
    json!(["result", "exit_code", "signal"].map(|key| history["runs"][0][key].clone()))
}

#[test]
fn a_warning_is_a_success_that_is_counted_apart() {
    let gateway = Pushgateway::start();
    let sandbox = sandbox(&gateway);
    let run = |flags: &[&str], code: i32| {
        let script = format!("exit {code}");
        sandbox.jobmon([&["run", "-n", "job"][..], flags, &["--shell", &script]].concat()).code(code).run();
    };
    run(&[], 1);
    let value = |metric: &str| gateway.value(&KEY, metric).unwrap();
    assert_eq!((value("script_result"), value("script_consecutive_failures")), (0.0, 1.0));
    assert_eq!(value("script_last_success_timestamp_seconds"), 0.0);
    run(&["--warning-codes", "1,24"], 1);
    assert_eq!(newest(&sandbox), json!(["warning", 1, null]));
    assert_eq!((value("script_result"), value("script_exit_code")), (1.0, 1.0));
    assert_eq!(value("script_consecutive_failures"), 0.0);
    assert_eq!(value("script_last_success_timestamp_seconds"), value("script_end_timestamp_seconds"));
    let counts: Vec<Value> = gateway.group(&KEY).unwrap()["script_runs_total"]["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sample| json!([sample["labels"]["result"], sample["value"]]))
        .collect();
    let expected = [("failure", 1), ("lost", 0), ("skipped", 0), ("success", 0), ("timeout", 0), ("warning", 1)];
    let mut counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
    counts.sort();
    assert_eq!(counts, expected.map(|(result, count)| format!("[\"{result}\",\"{count}\"]")));

    let status = sandbox.jobmon(["status"]).any_stdout().run().stdout();
    let words: Vec<&str> = status.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(words[..3], ["job", "warning", "1"], "{status}");
    let history = sandbox.jobmon(["history", "--result=warning"]).any_stdout().run().stdout();
    let words: Vec<&str> = history.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((words[1..4].to_vec(), history.lines().count()), (vec!["job", "warning", "1"], 2), "{history}");
    let csv = sandbox.jobmon(["history", "--format=csv", "--result=warning"]).any_stdout().run().stdout();
    assert!(csv.lines().nth(1).unwrap().contains(",exit 1,warning,1,,"), "{csv}");
}

/// "a code in both lists is a warning; time-outs and signals are decided first"
#[test]
fn what_counts_as_a_warning() {
    let check = |flags: &[&str], script: &str, expected: Value| {
        let sandbox = Sandbox::new();
        sandbox
            .jobmon([&["run", "-n", "job"][..], flags, &["--shell", script]].concat())
            .any_ending()
            .any_stderr()
            .run();
        assert_eq!(newest(&sandbox), expected, "{flags:?} {script}");
    };
    check(&["--warning-codes", "1,24"], "exit 24", json!(["warning", 24, null]));
    check(&["--warning-codes", "1,24"], "exit 2", json!(["failure", 2, null]));
    check(&["--warning-codes", "1,24"], "exit 0", json!(["success", 0, null]));
    check(&["--warning-codes", "1", "--success-codes", "0,1"], "exit 1", json!(["warning", 1, null]));
    check(&["--warning-codes", "0"], "exit 0", json!(["warning", 0, null]));
    check(&["--warning-codes", "off"], "exit 1", json!(["failure", 1, null]));
    check(&["--warning-codes", "1-255"], "kill -KILL $$", json!(["failure", 137, 9]));
    check(&["--warning-codes", "1-255", "--timeout", "50ms"], "sleep 600", json!(["timeout", 124, null]));
    check(&["--warning-codes", "1-255"], "exec /nonexistent", json!(["warning", 127, null]));
    let sandbox = Sandbox::new();
    let missing = sandbox.jobmon(["run", "-n", "job", "--warning-codes", "1-255", "--", "/nonexistent"]);
    missing.code(127).any_stderr().run();
    assert_eq!(newest(&sandbox), json!(["failure", 127, null]));
}

#[test]
fn a_warning_is_not_retried_and_its_output_is_passed_on() {
    let sandbox = Sandbox::new();
    let run = |flags: &[&str], code: i32| {
        let script = format!("echo said; exit {code}");
        let flags = [&["run", "-n", "job", "--warning-codes=1,24"][..], flags, &["--shell", &script]].concat();
        sandbox.jobmon(flags).code(code)
    };
    let retries = ["--retries=2", "--retry-delay=0s"];
    run(&retries, 1).stdout("said\n").run();
    run(&retries, 2).stdout("said\nsaid\nsaid\n").run();
    run(&["--quiet"], 24).stdout("said\n").run();
    run(&["--quiet"], 0).run();
    run(&["--quiet", "--success-codes=0,24"], 24).stdout("said\n").run();
}

#[test]
fn a_file_and_a_variable_can_say_what_a_warning_is() {
    let sandbox = Sandbox::new();
    sandbox.write("home/.config/jobmon/config.toml", "[jobs.rsync]\nwarning-codes = [24]\n");
    sandbox.jobmon(["run", "-n", "rsync", "--shell", "exit 24"]).code(24).run();
    assert_eq!(newest(&sandbox)[0], "warning");
    sandbox.jobmon(["run", "-n", "borg", "--shell", "exit 1"]).env("JOBMON_WARNING_CODES", "1").code(1).run();
    assert_eq!(newest(&sandbox)[0], "warning");
    sandbox.jobmon(["record", "-n", "borg", "--exit-code=1", "--warning-codes=1"]).run();
    assert_eq!(newest(&sandbox), json!(["warning", 1, null]));
}

/// "Delete the group when the run has succeeded": what somebody should look at is not deleted.
#[test]
fn a_warning_keeps_a_group_that_goes_with_success() {
    let gateway = Pushgateway::start();
    let sandbox = sandbox(&gateway);
    let run = |code: i32| {
        let script = format!("exit {code}");
        let flags = ["run", "-n", "job", "--ephemeral", "--warning-codes=1", "--shell", &script];
        sandbox.jobmon(flags).code(code).run();
        gateway.group(&KEY).is_some()
    };
    assert!(run(1));
    assert!(!run(0));
}
