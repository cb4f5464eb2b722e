//! `jobmon status`: what is known of every group, and what is owed.

use serde_json::Value;

use crate::harness::{PATIENCE, Pushgateway, Sandbox, eventually};

fn status(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let arguments = [&["status", "--format=json"], arguments].concat();
    let output = sandbox.jobmon(arguments).any_stdout().any_stderr().run();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn before_the_first_run_there_is_nothing_and_that_is_no_failure() {
    let sandbox = Sandbox::new();
    let missing = sandbox.path("missing");
    let told = format!("no runs recorded yet in {}\n", missing.display());
    sandbox.jobmon(["status"]).env("JOBMON_STATE_DIR", &missing).stderr(told.as_str()).run();
    sandbox.jobmon(["history"]).env("JOBMON_STATE_DIR", &missing).stderr(told.as_str()).run();
    let json = sandbox.jobmon(["status", "--format=json"]).env("JOBMON_STATE_DIR", &missing).any_stdout();
    let output = json.stderr(told.as_str()).run();
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), serde_json::json!({ "groups": [] }));
    assert!(!missing.exists(), "looking leaves nothing behind");
}

#[test]
fn every_group_has_one_line_with_its_last_result() {
    let sandbox = Sandbox::new();
    sandbox.jobmon(["run", "-n", "good", "--", "true"]).run();
    sandbox.jobmon(["run", "-n", "bad", "--", "false"]).code(1).run();
    sandbox.jobmon(["run", "-n", "bad", "--shell", "exit 3"]).code(3).run();
    let output = sandbox.jobmon(["status"]).any_stdout().run();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "RESULT", "EXIT", "DURATION", "ENDED", "DELIVERED"], "{text}");
    assert_eq!(lines[1][..3], ["bad", "failure", "3"], "{text}");
    assert_eq!(lines[2][..3], ["good", "success", "0"], "{text}");
    assert_eq!((lines.len(), lines[1].last(), text.lines().all(|line| line.len() <= 80)), (3, Some(&"-"), true));

    let bad = status(&sandbox, &["-n", "bad"]);
    assert_eq!(bad["groups"].as_array().unwrap().len(), 1);
    let group = &bad["groups"][0];
    assert_eq!((&group["labels"]["script_name"], &group["last_run"]["exit_code"]), (&"bad".into(), &3.into()));
    assert_eq!((&group["consecutive_failures"], &group["runs"]["failure"]), (&2.into(), &2.into()));
    sandbox.jobmon(["status", "-n", "neither"]).stderr("no group of the registry is selected\n").run();
}

#[test]
fn what_is_owed_is_shown_with_the_gateway_and_the_reason_until_it_is_paid() {
    let sandbox = Sandbox::new();
    let gateway = Pushgateway::start();
    let url = gateway.url();
    sandbox.jobmon(["run", "-n", "paid", "-g", &url, "--", "true"]).run();
    drop(gateway);
    sandbox.jobmon(["run", "-n", "owing", "-g", &url, "--", "true"]).any_stderr().run();
    let output = sandbox.jobmon(["status"]).any_stdout().run();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{text}"));
    assert!(line("paid").ends_with(" yes"), "{text}");
    assert!(line("owing").contains(" pending "), "{text}");
    assert!(line(url.trim_end_matches('/')).contains(" push  owing "), "{text}");
    let destination = &status(&sandbox, &["-n", "owing"])["groups"][0]["destinations"][0];
    assert_eq!((&destination["delivered"], &destination["owed"]), (&false.into(), &"push".into()));
    assert!(destination["owed_since_seconds"].is_number() && destination["last_error"].is_string(), "{destination}");
}

#[test]
fn a_run_in_progress_is_shown_from_its_first_moment_and_counted_as_lost_if_it_vanishes() {
    let sandbox = Sandbox::new();
    let running = sandbox.jobmon(["run", "-n", "long", "--", "sleep", "1000"]).any_stdout().any_stderr().spawn();
    eventually(PATIENCE, "a run in progress", || {
        let status = status(&sandbox, &[]);
        let group = status["groups"].get(0)?;
        (group["running_since_seconds"].as_array()?.len() == 1 && group["last_run"].is_null()).then_some(())
    });
    let output = sandbox.jobmon(["status"]).any_stdout().run();
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("NAME  RESULT  EXIT  DURATION  ENDED  RUNNING"));
    running.send(libc::SIGKILL);
    eventually(PATIENCE, "the loss", || {
        let status = status(&sandbox, &[]);
        (status["groups"][0]["last_run"]["result"] == "lost").then_some(())
    });
}

#[test]
fn a_damaged_registry_is_one_line() {
    let sandbox = Sandbox::new();
    sandbox.write("state/registry.db", "this is no database, and long enough to be sure of that: ".repeat(100));
    let output = sandbox.jobmon(["status"]).code(1).any_stderr().run();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.lines().next().unwrap().contains("set aside as"), "{text}");
    assert!(text.lines().filter(|line| line.contains("registry.db")).count() == 1, "{text}");
}
