//! The recipes against a real gateway: same labels and names as jobmon, and the exit status is the job's.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use jobmon::generate::recipe::{self, Language};
use jobmon::metrics::families::ScriptFamily;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::faults::{self, Behaviour, Refused};
use crate::harness::{Faults, Pushgateway};
use crate::programs::write_program;

/// A recipe in a directory, run by one interpreter.
struct Recipe {
    directory: TempDir,
    interpreter: &'static str,
}

impl Recipe {
    fn path(&self) -> PathBuf {
        self.directory.path().join("monitored")
    }

    fn command(&self, url: &str) -> Command {
        let mut command = self.caller(self.interpreter, url);
        command.arg(self.path());
        command
    }

    /// A program that is to call the recipe.
    fn caller(&self, program: &str, url: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.directory.path());
        for name in ["JOB", "INSTANCE", "PUSHGATEWAY_CURLRC", "PUSHGATEWAY_USER", "PUSHGATEWAY_TIMEOUT", "http_proxy"] {
            command.env_remove(name);
        }
        command.env("PUSHGATEWAY_URL", format!("{url}/")).env("INSTANCE", "h");
        command
    }

    fn run(&self, url: &str, arguments: &[&str]) -> Output {
        self.command(url).args(arguments).output().unwrap()
    }
}

/// Each recipe, once for each interpreter that it is meant for.
fn recipes() -> Vec<Recipe> {
    let recipes = [("dash", Language::Shell), ("bash", Language::Shell), ("python3", Language::Python)];
    recipes
        .map(|(interpreter, language)| {
            let recipe = Recipe { directory: tempfile::tempdir().unwrap(), interpreter };
            fs::write(recipe.path(), recipe::render(language)).unwrap();
            recipe
        })
        .into()
}

/// The values of the only group, by metric; its labels apart.
fn only_group(gateway: &Pushgateway) -> (BTreeMap<String, String>, BTreeMap<String, f64>) {
    let groups = gateway.groups();
    assert_eq!(groups.len(), 1, "{groups:?}");
    let labels = groups[0]["labels"].as_object().unwrap();
    let labels = labels.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
    let metrics = groups[0].as_object().unwrap().iter().filter(|(name, _)| name.starts_with("script_"));
    let value = |family: &Value| family["metrics"][0]["value"].as_str().unwrap().parse().unwrap();
    (labels, metrics.map(|(name, family)| (name.clone(), value(family))).collect())
}

#[test]
fn a_success_and_a_failure_after_it() {
    for recipe in recipes() {
        let gateway = Pushgateway::start();
        let output = recipe.run(&gateway.url(), &["-n", "backup", "sh", "-c", "cat; echo out; echo err >&2"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
        let (labels, good) = only_group(&gateway);
        let expected = [("instance", "h"), ("job", "script_monitor"), ("script_name", "backup")];
        assert!(labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).eq(expected), "{labels:?}");
        assert_eq!((good["script_exit_code"], good["script_result"]), (0.0, 1.0));
        let ended = good["script_end_timestamp_seconds"];
        assert_eq!(good["script_last_success_timestamp_seconds"], ended);
        assert!(ended >= good["script_start_timestamp_seconds"]);
        assert!(good["script_duration_seconds"] >= 0.0 && good["script_duration_seconds"] < 3600.0);
        assert!(!good.contains_key("script_last_failure_timestamp_seconds"));

        assert_eq!(recipe.run(&gateway.url(), &["-n", "backup", "sh", "-c", "exit 3"]).status.code(), Some(3));
        let (_, bad) = only_group(&gateway);
        assert_eq!((bad["script_exit_code"], bad["script_result"]), (3.0, 0.0));
        assert_eq!(bad["script_last_success_timestamp_seconds"], ended, "the last success is remembered");
        assert!(bad["script_last_failure_timestamp_seconds"] >= ended);
        let group = gateway.groups().remove(0);
        for (name, shape) in group.as_object().unwrap().iter().filter(|(name, _)| name.starts_with("script_")) {
            let ours = ScriptFamily::ALL.into_iter().find(|family| family.name() == name);
            let help = ours.unwrap_or_else(|| panic!("{name} is not ours")).spec().help;
            assert_eq!((shape["type"].as_str(), shape["help"].as_str()), (Some("GAUGE"), Some(help)), "{name}");
        }
    }
}

#[test]
fn the_exit_status_is_the_jobs_whatever_happens_to_the_push() {
    for recipe in recipes() {
        let nobody = Refused::new();
        let check = |command: &[&str], expected: i32| {
            let output = recipe.run(&nobody.url(), command);
            let status = output.status.code().or(output.status.signal().map(|signal| 128 + signal));
            assert_eq!(status, Some(expected), "{} {command:?}: {output:?}", recipe.interpreter);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("was not pushed"), "{said}");
        };
        check(&["true"], 0);
        check(&["sh", "-c", "exit 42"], 42);
        check(&["sh", "-c", "exit 255"], 255);
        check(&["sh", "-c", "kill -TERM $$"], 143);
        check(&["sh", "-c", "kill -KILL $$"], 137);
        check(&["/no/such/command"], 127);
        check(&["/etc/passwd"], 126);
        for bad_usage in [&[][..], &["-n"], &["-n", "x"]] {
            assert_eq!(recipe.run(&nobody.url(), bad_usage).status.code(), Some(125), "{}", recipe.interpreter);
        }
    }
}

#[test]
fn a_signal_reaches_the_job_at_once() {
    for recipe in recipes() {
        let gateway = Pushgateway::start();
        let script = "trap 'echo told; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
        let mut child = recipe
            .command(&gateway.url())
            .args(["-n", "x", "sh", "-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        nix_kill(child.id());
        assert_eq!(lines.next().unwrap().unwrap(), "told");
        assert_eq!(child.wait().unwrap().code(), Some(7), "{}", recipe.interpreter);
        assert_eq!(only_group(&gateway).1["script_exit_code"], 7.0);
    }
}

/// What a caller may have done to the streams: the job runs all the same, with what it would have had.
#[test]
fn odd_streams_are_left_as_they_are() {
    for recipe in recipes() {
        let nobody = Refused::new();
        let monitored = format!("{} {} -n x", recipe.interpreter, recipe.path().display());
        let check = |caller: &str, expected: (i32, &str)| {
            let caller = caller.replace("MONITORED", &monitored);
            let mut command = recipe.caller("sh", &nobody.url());
            command.args(["-c", &caller]).stdin(Stdio::null()).stderr(Stdio::null());
            let output = command.output().unwrap();
            let seen = (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap());
            assert_eq!((seen.0, seen.1.as_str()), expected, "{caller}");
        };
        check("exec MONITORED sh -c 'echo out; exit 4' <&-", (4, "out\n"));
        check("exec MONITORED sh -c 'exit 4' >&-", (4, ""));
        check("exec MONITORED sh -c 'echo out; exit 4' 2>&-", (4, "out\n"));
        check("exec MONITORED sh -c 'echo out; exit 4' 2>/dev/full", (4, "out\n"));
        check("echo in | MONITORED sh -c 'cat <&5; cat' 5<<X\nfive\nX\n", (0, "five\nin\n"));
    }
}

/// A gateway that sends a byte now and then keeps nobody for longer than was allowed.
#[test]
fn a_gateway_that_trickles_is_given_up() {
    let answer = b"HTTP/1.1 200 OK\r\nX-Long: ".iter().copied().chain([b'x'; 10_000]).collect();
    let gateway = Faults::start(Behaviour::Drip(answer, Duration::from_millis(200)));
    for recipe in recipes() {
        let mut command = recipe.command(&gateway.url());
        let output = command.env("PUSHGATEWAY_TIMEOUT", "1").args(["-n", "x", "sh", "-c", "exit 4"]).output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("was not pushed: "), "{output:?}");
    }
}

#[test]
fn a_refusal_is_quoted() {
    let gateway = Faults::start(faults::answer("400 Bad Request", &[], "because of this"));
    for recipe in recipes() {
        let output = recipe.run(&gateway.url(), &["-n", "x", "sh", "-c", "exit 4"]);
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("because of this"), "{output:?}");
    }
}

/// The terminal sends what is typed to the job as well; passed on, it would be the second time, which many take for "at
/// once". In the shell the job is in the background, and hears of it from its wrapper alone.
#[test]
fn what_is_typed_reaches_the_job_once() {
    let recipes = recipes();
    let python = &recipes[2];
    let gateway = Pushgateway::start();
    // Not a shell: one that is told just before it reads goes on to read, and never says so.
    let job = r#"use POSIX; $| = 1; $SIG{INT} = sub { print "told\n" }; my $int = POSIX::SigSet->new(SIGINT);
        sigprocmask(SIG_BLOCK, $int); print "ready\n"; sigsuspend(POSIX::SigSet->new); sigprocmask(SIG_UNBLOCK, $int);
        print scalar <STDIN>"#;
    let words =
        ["python3", python.path().to_str().unwrap(), "-n", "x", "perl", "-e", job].map(|word| format!("{word:?}"));
    let terminal = format!("import pty, sys; sys.exit(pty.spawn([{}]) >> 8)", words.join(","));
    let mut command = python.caller("python3", &gateway.url());
    command.args(["-c", &terminal]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut typed = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap().trim().to_owned());
    assert_eq!(lines.find(|line| line.ends_with("ready")).as_deref(), Some("ready"));
    typed.write_all(b"\x03").unwrap();
    assert!(lines.next().unwrap().ends_with("told"));
    typed.write_all(b"done\n").unwrap();
    let rest: Vec<String> = lines.collect();
    assert!(rest.iter().all(|line| !line.contains("told")) && rest.iter().any(|line| line == "done"), "{rest:?}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(only_group(&gateway).1["script_exit_code"], 0.0);
}

fn nix_kill(pid: u32) {
    assert!(Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap().success());
}

#[test]
fn the_job_keeps_its_standard_input() {
    for recipe in recipes() {
        let gateway = Pushgateway::start();
        let mut command = recipe.command(&gateway.url());
        let mut child = command.args(["-n", "x", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"to the job").unwrap();
        assert_eq!(child.wait_with_output().unwrap().stdout, b"to the job", "{}", recipe.interpreter);
    }
}

/// "base64 every value that is not [A-Za-z0-9_:.-]+, or is . or .."; nothing that a label holds may disable the
/// gateway.
#[test]
fn awkward_names_arrive_as_they_are() {
    for recipe in recipes() {
        let gateway = Pushgateway::start();
        let long = "x".repeat(300);
        let names =
            ["/", "..", ".", "a b", "a+b", "100%", "a/b", "Π ü", "-", "a?b#c", "`id`$(id)", "it's \"x\"", &long];
        for name in names {
            let output = recipe.run(&gateway.url(), &["-n", name, "true"]);
            assert!(output.status.success() && output.stderr.is_empty(), "{} {name:?}: {output:?}", recipe.interpreter);
        }
        let mut pushed: Vec<String> =
            gateway.groups().iter().map(|group| group["labels"]["script_name"].as_str().unwrap().to_owned()).collect();
        pushed.sort();
        let mut expected: Vec<String> = names.map(str::to_owned).into();
        expected.sort();
        assert_eq!(pushed, expected, "{}", recipe.interpreter);

        // Invalid UTF-8 and an empty instance: each of them would disable the gateway.
        let status = recipe.command(&gateway.url()).arg("-n").arg(OsStr::from_bytes(b"caf\xe9")).arg("true").status();
        assert!(status.unwrap().success());
        assert!(
            recipe.command(&gateway.url()).env("INSTANCE", "").args(["-n", "svc", "true"]).status().unwrap().success()
        );
        let groups = gateway.groups();
        assert_eq!(groups.len(), names.len() + 2, "{groups:?}");
        assert!(groups.iter().any(|group| group["labels"].as_object().unwrap().len() == 2), "{groups:?}");
        assert!(groups.iter().all(|group| group["last_push_successful"] == true), "{groups:?}");
    }
}

#[test]
fn the_name_comes_from_the_command() {
    for recipe in recipes() {
        let gateway = Pushgateway::start();
        let script = recipe.directory.path().join("nightly.backup.sh");
        write_program(&script, "#!/bin/sh\n");
        assert!(recipe.run(&gateway.url(), &[script.to_str().unwrap()]).status.success());
        assert_eq!(only_group(&gateway).0["script_name"], "nightly.backup");
        // A directory has no name of its own here, and no label is ever empty.
        assert_eq!(recipe.run(&gateway.url(), &["/tmp/"]).status.code(), Some(126));
        let names: Vec<String> =
            gateway.groups().iter().map(|group| group["labels"]["script_name"].to_string()).collect();
        assert!(names.contains(&"\"unknown\"".to_owned()), "{names:?}");
    }
}

#[test]
fn the_shell_is_plain() {
    let shell = &recipes()[0];
    for interpreter in ["dash", "bash"] {
        let output = Command::new(interpreter).arg("-n").arg(shell.path()).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
}
