//! Manual pages and completions are what the code generates, and tools accept them.
//!
//! `JOBMON_UPDATE=1 cargo test --test it generated` writes them anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use jobmon::manual::{self, completions};

use crate::harness::{Sandbox, repository};

/// The directory in the repository has exactly these files with exactly this content, or is made to have them.
fn check_current(directory: &str, expected: impl IntoIterator<Item = (String, String)>) {
    let path = repository(directory);
    let expected: BTreeMap<String, String> = expected.into_iter().collect();
    if std::env::var_os("JOBMON_UPDATE").is_some_and(|value| !value.is_empty()) {
        write_anew(&path, &expected);
    }
    let present: BTreeMap<String, String> = fs::read_dir(&path)
        .unwrap_or_else(|error| panic!("{directory}: {error}"))
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect();
    let differing: Vec<&String> = expected
        .iter()
        .filter(|(name, content)| present.get(*name) != Some(content))
        .map(|(name, _)| name)
        .chain(present.keys().filter(|name| !expected.contains_key(*name)))
        .collect();
    assert!(
        differing.is_empty(),
        "{directory} is not what the code generates: {differing:?}; run: JOBMON_UPDATE=1 cargo test --test it generated"
    );
}

fn write_anew(path: &Path, expected: &BTreeMap<String, String>) {
    fs::create_dir_all(path).unwrap();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if !expected.contains_key(entry.file_name().to_str().unwrap()) {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    for (name, content) in expected {
        fs::write(path.join(name), content).unwrap();
    }
}

/// Runs a tool that must end well and say nothing.
fn check_silent(command: &mut Command) {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    assert!(status.success() && said.is_empty(), "{command:?}: {status}\n{said}");
}

#[test]
fn manual_pages_are_current() {
    check_current("man", manual::pages());
}

#[test]
fn completions_are_current() {
    let scripts = completions::FILES.map(|(shell, name)| (name.to_owned(), completions::script(shell)));
    check_current("completions", scripts);
}

#[test]
fn groff_accepts_every_manual_page() {
    let directory = tempfile::tempdir().unwrap();
    for (name, page) in manual::pages() {
        let path = directory.path().join(name);
        fs::write(&path, page).unwrap();
        check_silent(Command::new("groff").args(["-man", "-ww", "-z", "-Tutf8"]).arg(&path));
    }
}

#[test]
fn each_shell_accepts_its_completions() {
    let directory = tempfile::tempdir().unwrap();
    for (shell, name) in completions::FILES {
        let path = directory.path().join(name);
        fs::write(&path, completions::script(shell)).unwrap();
        let program = format!("{shell:?}").to_lowercase();
        check_silent(Command::new(program).arg("-n").arg(&path));
    }
}

/// The second word of every line that bash would complete is a subcommand.
#[test]
fn bash_completes_subcommands_and_options() {
    let script = completions::script(jobmon::cli::generate::CompletionShell::Bash);
    let complete = |words: &str| {
        let program = format!(
            "{script}\nCOMP_WORDS=({words} ''); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n_jobmon jobmon '' \"${{COMP_WORDS[-2]}}\"\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let output = Command::new("bash").args(["--norc", "-c", &program]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let check = |words: &str, expected: &str| {
        let offered = complete(words);
        assert!(offered.lines().any(|line| line == expected), "{words}: {expected} in\n{offered}");
    };
    check("jobmon", "run");
    check("jobmon run", "--gateway");
    check("jobmon generate", "completions");
}

#[test]
fn the_command_prints_what_is_in_the_repository() {
    let sandbox = Sandbox::new();
    let script = fs::read_to_string(repository("completions/jobmon.bash")).unwrap();
    sandbox.jobmon(["generate", "completions", "bash"]).stdout(script).run();
    sandbox.jobmon(["generate", "man", "."]).run();
    let page = fs::read_to_string(sandbox.path("work/jobmon-run.1")).unwrap();
    assert_eq!(page, fs::read_to_string(repository("man/jobmon-run.1")).unwrap());
    let ran = sandbox.jobmon(["generate", "man", "missing"]).code(1).any_stderr().run();
    let said = ran.stderr();
    assert!(said.starts_with("jobmon: error: missing/") && said.lines().count() == 1, "{said}");
}
