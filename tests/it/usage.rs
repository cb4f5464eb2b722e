//! Bad usage: exit code 125, one line on standard error that says what to write instead, nothing run.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::process::Stdio;

use crate::harness::Sandbox;

/// Runs jobmon with `words` and a command that would leave a file behind.
#[track_caller]
fn check(words: &[&str], expected: &str) {
    let sandbox = Sandbox::new();
    let ran = sandbox.jobmon(words).code(125).any_stderr().run();
    assert_eq!(ran.stderr().lines().count(), 1, "{words:?}: {}", ran.stderr());
    assert!(ran.stderr().starts_with(&format!("jobmon: {expected}")), "{words:?}: {}", ran.stderr());
    for directory in ["work", "state", "home/.config", "home/.local/state"] {
        let left = std::fs::read_dir(sandbox.path(directory)).unwrap().count();
        assert_eq!(left, 0, "{words:?} left something behind in {directory}");
    }
}

#[test]
fn bad_usage_is_one_line_and_125() {
    check(&["run"], "no command given: write \"jobmon run [OPTIONS] -- COMMAND ARGS...\"");
    check(&["run", "--nam", "x", "--", "touch", "ran"], "unknown option --nam: did you mean --name?");
    check(&["run", "-n"], "--name needs a value: --name <NAME>");
    check(&["run", "--shell", "touch ran", "touch", "ran"], "--shell and COMMAND cannot be used together");
    check(&["rnu", "--", "touch", "ran"], "unknown subcommand \"rnu\"");
    check(&["touch", "ran"], "unknown subcommand \"touch\": a command to run is written after \"jobmon run --\"");
    check(&["-v"], "a subcommand is missing after \"jobmon\": one of ");
    check(&["generate", "fortune"], "unknown subcommand \"fortune\" (see \"jobmon generate --help\")");
    check(
        &["--state-dir", "x", "status"],
        "unknown option --state-dir: options of a subcommand are written after its name",
    );
    check(&["config", "--format", "xml"], "--format \"xml\": not one of table, json");
    check(&["config", "--timeout", "-5s"], "--timeout \"-5s\": a duration cannot be negative");
    check(&["flush", "--loop", "0s"], "--loop \"0s\": without a pause it would never rest");
    check(&["config", "--timeout", "5"], "--timeout \"5\": a duration needs a unit: 5s for seconds");
    check(&["config", "--signal", "SIGFOO"], "--signal \"SIGFOO\": not a signal such as TERM, RTMIN+1 or 15");
    check(&["config", "--success-codes", "256"], "--success-codes \"256\": \"256\" is not a code from 0 to 255");
    check(&["list", "--gateway", "ftp://gw"], "--gateway \"ftp://gw\": an address starts with http:// or https://");
    check(&["push", "--label", "a-b=c"], "--label \"a-b=c\": ");
}

#[test]
fn text_that_is_not_utf_8_is_refused_where_it_was_typed() {
    let words = ["push".into(), "--name".into(), OsString::from_vec(b"caf\xe9".to_vec())];
    Sandbox::new().jobmon(words).code(125).stderr("jobmon: --name \"caf\\xE9\": not valid UTF-8\n").run();
}

#[test]
fn help_and_version_are_data() {
    let sandbox = Sandbox::new();
    for words in [&["--help"][..], &["-h"], &["--version"], &["run", "--help"], &["generate", "rules", "-h"]] {
        let ran = sandbox.jobmon(words).any_stdout().run();
        assert!(!ran.stdout.is_empty(), "{words:?}");
    }
}

#[test]
fn no_words_at_all_get_the_help_as_bad_usage() {
    Sandbox::new().jobmon([""; 0]).code(125).stderr_contains("Usage: jobmon").run();
}

#[test]
fn a_reader_that_has_gone_is_not_worth_a_word() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Sandbox::new().jobmon(["config"]).command().stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}

#[test]
fn output_that_cannot_be_written_is_said() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = Sandbox::new().jobmon(["config"]).command().stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "jobmon: standard output: No space left on device (os error 28)\n"
    );
}

#[test]
fn a_standard_error_that_cannot_be_written_changes_nothing() {
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let sandbox = Sandbox::new().env("JOBMON_TIMEOUT", "soon");
    let code = |word: &str| sandbox.jobmon([word]).command().stderr(full()).output().unwrap().status.code();
    assert_eq!(code("config"), Some(1), "a wrong variable");
    assert_eq!(code("--zap"), Some(125));
}
