//! Names that nobody gave, and the one warning where several jobs may share one.

use std::fs;

use crate::harness::{Pushgateway, Sandbox};
use crate::programs::write_program;

#[test]
fn two_programs_of_one_name_are_told_apart_by_one_warning() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let url = gateway.url();
    for directory in ["a", "b"] {
        fs::create_dir(sandbox.path(format!("work/{directory}"))).unwrap();
        write_program(&sandbox.path(format!("work/{directory}/backup.sh")), "#!/bin/sh\n");
    }
    let [a, b] = ["a", "b"].map(|directory| sandbox.path(format!("work/{directory}/backup.sh")).display().to_string());
    let run = |words: &[&str]| sandbox.jobmon([&["run", "-g", &url, "--"], words].concat());
    run(&[&a]).run();
    run(&["nice", "sh", "-c", &format!("cd / && {a} x")]).run();
    let warning =
        format!("jobmon: warning: {a} and {b} are both counted as \"backup\": use --name to tell them apart\n");
    run(&[&b]).stderr(warning).run();
    // Once, not in the mail of every run.
    run(&[&a]).run();
    run(&[&b]).run();
    // A name that was given is for whatever its owner wants.
    for program in [&a, &b] {
        sandbox.jobmon(["run", "-g", &url, "-n", "named", "--", program]).run();
    }
    let status = sandbox.jobmon(["status", "--format", "json"]).any_stdout().run();
    let status: serde_json::Value = serde_json::from_str(&status.stdout()).unwrap();
    let names: Vec<_> =
        status["groups"].as_array().unwrap().iter().map(|group| &group["labels"]["script_name"]).collect();
    assert_eq!(names, ["backup", "named"]);
}

#[test]
fn a_command_that_names_nothing_is_told_so_once() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let url = gateway.url();
    let warning = |name: &str| {
        format!(
            "jobmon: warning: nothing in the command names the job, so it is called {name:?}, as others may be: use --name\n"
        )
    };
    let check = |words: &[&str], name: &str| {
        // Where nothing is delivered nothing is said.
        sandbox.jobmon([&["run"], words].concat()).run();
        let run = || sandbox.jobmon([&["run", "-g", &url], words].concat());
        run().stderr(warning(name)).run();
        run().run();
    };
    check(&["--", "python3", "-c", "pass"], "python3");
    check(&["--shell", "cd /; exit 0"], "cd");
    check(&["--", "sh", "-c", "A=1"], "sh");
    sandbox.jobmon(["run", "-g", &url, "-n", "named", "--", "perl", "-e", "1"]).run();
    sandbox.jobmon(["run", "-g", &url, "--", "perl", "-e", "1"]).env("JOBMON_NAME", "by_variable").run();
}

#[test]
fn of_runs_at_the_same_time_one_says_so() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let run = || sandbox.jobmon(["run", "-g", &gateway.url(), "--", "perl", "-e", "1"]).any_stderr().spawn();
    let running: Vec<_> = (0..8).map(|_| run()).collect();
    let said: usize = running.into_iter().map(|run| run.wait().stderr().matches("use --name").count()).sum();
    assert_eq!(said, 1);
}
