//! The recipes against a real gateway: same labels and names as jobmon, and the exit status is the job's.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use jobmon::generate::recipe::{self, Language};
use jobmon::registry::metrics::FAMILIES;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::Pushgateway;
use crate::harness::faults::Refused;

/// A recipe in a folder, run by one interpreter.
struct Recipe {
    folder: TempDir,
    interpreter: &'static str,
}

impl Recipe {
    fn path(&self) -> PathBuf {
        self.folder.path().join("monitored")
    }

    fn command(&self, url: &str) -> Command {
        let mut command = Command::new(self.interpreter);
        command.arg(self.path()).current_dir(self.folder.path());
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
            let recipe = Recipe { folder: tempfile::tempdir().unwrap(), interpreter };
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
            let ours =
                FAMILIES.iter().find(|family| family.name == name).unwrap_or_else(|| panic!("{name} is not ours"));
            assert_eq!((shape["type"].as_str(), shape["help"].as_str()), (Some("GAUGE"), Some(ours.help)), "{name}");
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
        assert_eq!(recipe.run(&nobody.url(), &[]).status.code(), Some(125));
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

/// "base64 every value that is not [A-Za-z0-9_:.-]+, or is . or .."; nothing that a label holds may disable the gateway.
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
        let script = recipe.folder.path().join("nightly.backup.sh");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(recipe.run(&gateway.url(), &[script.to_str().unwrap()]).status.success());
        assert_eq!(only_group(&gateway).0["script_name"], "nightly.backup");
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
