//! `jobmon history` and `jobmon logs`: past runs and what they wrote.

use serde_json::Value;

use crate::harness::Sandbox;

fn history(sandbox: &Sandbox, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["history", "--format=json"], arguments].concat();
    let output = sandbox.jobmon(arguments).any_stdout().any_stderr().run();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    document["runs"].as_array().unwrap().clone()
}

fn exit_codes(runs: &[Value]) -> Vec<i64> {
    runs.iter().map(|run| run["exit_code"].as_i64().unwrap()).collect()
}

fn run(sandbox: &Sandbox, name: &str, code: i32) {
    sandbox.jobmon(["run", "-n", name, "--shell", &format!("exit {code}")]).code(code).run();
}

#[test]
fn runs_are_listed_from_the_newest_on_and_can_be_chosen() {
    let sandbox = Sandbox::new();
    for (name, code) in [("a", 1), ("b", 2), ("a", 0), ("a", 3), ("b", 0)] {
        run(&sandbox, name, code);
    }
    let listed = |arguments: &[&str]| exit_codes(&history(&sandbox, arguments));
    assert_eq!(listed(&[]), [0, 3, 0, 2, 1]);
    assert_eq!(listed(&["-n", "a"]), [3, 0, 1]);
    assert_eq!(listed(&["--limit=2"]), [0, 3]);
    assert_eq!(listed(&["--limit=0", "--result=failure"]), [3, 2, 1]);
    assert_eq!(listed(&["-n", "b", "--result=success"]), [0]);
    assert_eq!(listed(&["--since=1h"]), [0, 3, 0, 2, 1]);
    assert_eq!(listed(&["--since=0s"]), [0; 0]);
    assert_eq!(listed(&["-l", "script_name=b", "--limit=1"]), [0]);
    let output = sandbox.jobmon(["history", "-n", "a", "--limit=1"]).any_stdout().run();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["STARTED", "NAME", "RESULT", "EXIT", "DURATION"], "{text}");
    assert_eq!(lines[1][1..4], ["a", "failure", "3"], "{text}");
    sandbox.jobmon(["history", "-n", "c"]).stderr("no run of the history is selected\n").run();
}

#[test]
fn a_spreadsheet_gets_one_line_for_each_run() {
    let sandbox = Sandbox::new();
    let options = ["run", "-n", "a,\"b\"", "--instance", "h", "-l", "env=x\ny", "-l", "zone=z"];
    sandbox
        .jobmon(options.iter().chain(&["--tail", "1K", "--shell", "echo 1; echo 2; exit 4"]))
        .code(4)
        .any_stdout()
        .run();
    let csv = |options: &[&str]| {
        let output = sandbox.jobmon(["history", "--format=csv"].iter().chain(options)).any_stdout().run();
        let text = output.stdout();
        let [header, line] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        (header.to_owned(), line.to_owned())
    };
    let (header, line) = csv(&[]);
    assert!(header.starts_with("job,script_name,instance,labels,run_id,command,result,exit_code,"), "{header}");
    assert!(line.starts_with("script_monitor,\"a,\"\"b\"\"\",h,\"env=x\\ny,zone=z\","), "{line}");
    assert!(line.contains(",echo 1; echo 2; exit 4,failure,4,,") && line.ends_with(",1"), "{line}");
    let (header, line) = csv(&["--output"]);
    assert!(header.ends_with(",attempts,output") && line.ends_with(",1,1\\n2\\n"), "{header}\n{line}");
}

#[test]
fn attempts_and_output_are_shown_and_no_terminal_takes_orders_from_them() {
    let sandbox = Sandbox::new();
    let script = "printf 'one\\n\\033[31mtwo\\377'; exit 4";
    let options = ["run", "-n", "x", "--tail=1K", "--retries=1", "--retry-delay=0s", "--shell", script];
    sandbox.jobmon(options).code(4).any_stdout().run();
    let output = sandbox.jobmon(["history", "--output"]).any_stdout().run();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().next().unwrap().contains("  x  failure, exit code 4, "), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("  attempt ")).count(), 2, "{text}");
    let shown: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("  | ")).collect();
    assert_eq!(shown, ["one", "\\u{1b}[31mtwo\u{fffd}one", "\\u{1b}[31mtwo\u{fffd}"], "{text}");
    let runs = history(&sandbox, &["--output"]);
    assert_eq!(runs[0]["output_bytes"].as_str().unwrap(), "6f6e650a1b5b33316d74776fff".repeat(2));
    assert_eq!(runs[0]["attempts"].as_array().unwrap().len(), 2);
    assert!(history(&sandbox, &[])[0].get("output").is_none());
}

#[test]
fn logs_are_the_bytes_that_the_job_wrote() {
    let sandbox = Sandbox::new();
    let write = |text: &str| {
        let script = format!("printf '{text}'");
        sandbox.jobmon(["run", "-n", "x", "--tail=1K", "--shell", &script]).any_stdout().run();
    };
    write("first");
    write("\\000second\\377");
    sandbox.jobmon(["logs", "x"]).stdout(b"\0second\xff").run();
    sandbox.jobmon(["logs", "x", "--nth=2"]).stdout("first").run();
    sandbox
        .jobmon(["logs", "x", "--nth=3"])
        .code(1)
        .stderr("jobmon: error: only 2 runs of \"x\" in the history\n")
        .run();
    run(&sandbox, "x", 0);
    let output = sandbox.jobmon(["logs", "x"]).code(1).any_stderr().run();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.ends_with(" kept no output: use \"jobmon run --tail\"\n"), "{text}");
    let text = "jobmon: error: no run of \"y\" in the history: see \"jobmon status\" for names\n";
    sandbox.jobmon(["logs", "y"]).code(1).stderr(text).run();
}
