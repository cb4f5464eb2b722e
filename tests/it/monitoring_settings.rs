//! What only monitoring needs never keeps a job from running: a wrong value is a warning, an empty one counts as not given.
//! Bad usage is what restrains the job, and an option that does not exist.

use crate::harness::{Pushgateway, Sandbox};

/// Runs a job with these options, and compares all of what is said.
fn check(sandbox: &Sandbox, options: &[&str], warnings: &[&str]) {
    let arguments = [&["run"], options, &["--", "sh", "-c", "echo ran; exit 7"]].concat();
    let said: String = warnings.iter().map(|line| format!("jobmon: warning: {line}\n")).collect();
    sandbox.jobmon(arguments).code(7).stdout("ran\n").stderr(said).run();
}

#[test]
fn a_wrong_value_of_what_only_monitoring_needs_is_a_warning() {
    let sandbox = Sandbox::new();
    let check = |options: &[&str], warning: &str| check(&sandbox, options, &[warning]);
    let duration = "not a duration such as 90s, 15m or 2h 30m";
    check(&["-g", "ftp://gw"], "--gateway \"ftp://gw\": an address starts with http:// or https://; ignored");
    check(&["-g", "http://gw:99999"], "--gateway \"http://gw:99999\": \"99999\" is not a port; ignored");
    check(&["-l", "a-b=c"], "--label \"a-b=c\": label name \"a-b\" does not match [a-zA-Z_][a-zA-Z0-9_]*; ignored");
    check(&["-l", "job=x"], "--label \"job=x\": label name \"job\" is taken: use --job; ignored");
    check(&["--scope", "all"], "--scope \"all\": not \"host\" or \"service\"; ignored");
    check(
        &["--scope", "service", "--instance", "x"],
        "--instance cannot be used together with --scope service: leave one out; ignored",
    );
    check(&["--spread", "some"], "--spread \"some\": not \"hash\", \"all\", \"random\" or \"first\"; ignored");
    check(&["--push-timeout", "-1s"], "--push-timeout \"-1s\": a duration cannot be negative; ignored");
    check(&["--heartbeat=0s"], "--heartbeat \"0s\": zero: write \"off\" for none; ignored");
    check(&["--clear-after", "soon"], &format!("--clear-after \"soon\": {duration}; ignored"));
    check(&["--max-duration=long"], &format!("--max-duration \"long\": {duration}; ignored"));
    check(&["--min-duration=0s"], "--min-duration \"0s\": zero: write \"off\" for none; ignored");
    check(&["--tolerate=-1"], "--tolerate \"-1\": not a whole number from 0 to 1000000; ignored");
    check(&["--expect-every", "5"], "--expect-every \"5\": a duration needs a unit: 5s for seconds; ignored");
    check(&["--grace", "some"], &format!("--grace \"some\": {duration}; ignored"));
    check(&["--no-push=maybe"], "--no-push \"maybe\": not true or false; ignored");
    check(
        &["--header", "Authorization: Bearer x"],
        "--header: every user of this machine can read a command line: write the line into a file that only you can \
         read, and --header @FILE; ignored",
    );
    check(
        &["--schedule", "5 4 * *"],
        "--schedule \"5 4 * *\": column 8: day of week is missing: a schedule has five fields; ignored",
    );
    check(
        &["--schedule", "@reboot"],
        "--schedule \"@reboot\": column 1: @reboot names no time, so no run of it can be missed: leave the schedule out; \
         ignored",
    );
    check(
        &["--timezone", "CET/Nowhere"],
        "--timezone \"CET/Nowhere\": unknown time zone: use a name such as Europe/Berlin or UTC; ignored",
    );
    let textfiles = sandbox.path("nowhere");
    let textfiles = textfiles.to_str().unwrap();
    check(
        &["--textfile-dir", textfiles],
        &format!(
            "textfile:{textfiles}: No such file or directory (os error 2): create it, and have node_exporter read it with \
             --collector.textfile.directory"
        ),
    );
}

#[test]
fn an_empty_value_counts_as_not_given() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let sandbox = sandbox.env("JOBMON_GATEWAY", gateway.url()).env("JOBMON_INSTANCE", "host1");
    // As a pipeline writes them whose variables are not set.
    let options = [
        "-g",
        "",
        "-l",
        "branch=",
        "-l",
        "",
        "-n",
        "",
        "-j",
        "",
        "--instance",
        "",
        "--timeout",
        "",
        "--schedule",
        "",
        "--ca-file",
        "",
        "--header",
        "X-Team: ",
        "--header",
        "@",
        "--config",
        "",
        "--state-dir",
        "",
        "--quiet=",
        "--tail=",
    ];
    check(&sandbox, &options, &[]);
    let labels = [("job", "script_monitor"), ("instance", "host1"), ("script_name", "echo")];
    assert_eq!(gateway.value(&labels, "script_exit_code"), Some(7.0), "{:?}", gateway.keys());
}

#[test]
fn a_gateway_without_a_scheme_is_spoken_to_without_tls() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let url = gateway.url();
    let bare = url.strip_prefix("http://").unwrap();
    check(&sandbox, &["-n", "x", "--instance", "host1", "-g", bare], &[]);
    let labels = [("job", "script_monitor"), ("instance", "host1"), ("script_name", "x")];
    assert_eq!(gateway.value(&labels, "script_exit_code"), Some(7.0), "{:?}", gateway.keys());
}

#[test]
fn what_restrains_the_job_is_bad_usage_and_so_is_what_does_not_exist() {
    let sandbox = Sandbox::new();
    let check = |options: &[&str], line: &str| {
        let arguments = [&["run"], options, &["--", "touch", "ran"]].concat();
        sandbox.jobmon(arguments).code(125).stderr(format!("jobmon: {line}\n")).run();
        assert!(!sandbox.path("work/ran").exists(), "{options:?}");
    };
    let duration = "not a duration such as 90s, 15m or 2h 30m";
    check(&["--timeout", "soon"], &format!("--timeout \"soon\": {duration}"));
    check(&["--kill-after", "soon"], &format!("--kill-after \"soon\": {duration}"));
    check(&["--signal", "NOPE"], "--signal \"NOPE\": not a signal such as TERM, RTMIN+1 or 15");
    check(&["--lock-wait", "5"], "--lock-wait \"5\": a duration needs a unit: 5s for seconds");
    check(&["--lock-exit-code", "256"], "--lock-exit-code \"256\": not an exit code: a number from 0 to 255");
    check(&["--retries", "-1"], "--retries \"-1\": not a whole number from 0 to 1000");
    check(&["--retry-delay", "soon"], &format!("--retry-delay \"soon\": {duration}"));
    check(&["--splay", "soon"], &format!("--splay \"soon\": {duration}"));
    check(&["--success-codes", "256"], "--success-codes \"256\": \"256\" is not a code from 0 to 255");
    check(&["--warning-codes", "256"], "--warning-codes \"256\": \"256\" is not a code from 0 to 255");
    check(&["--tail", "2G"], "--tail \"2G\": more than 64M is more than the history should hold");
    check(&["--quiet=maybe"], "--quiet \"maybe\": not true or false");
    check(&["--gatewya", "x"], "unknown option --gatewya: did you mean --gateway? (see \"jobmon run --help\")");
    // And nothing of monitoring's own before it.
    check(&["-g", "ftp://gw", "--timeout", "soon"], &format!("--timeout \"soon\": {duration}"));
}
