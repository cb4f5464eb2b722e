//! `jobmon config`: where every value comes from, and that nothing outside the command line is fatal.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::Value;

use crate::harness::Sandbox;
use crate::harness::sandbox::Output;

/// The user's configuration file.
const FILE: &str = "home/.config/jobmon/config.toml";
const JSON: [&str; 3] = ["config", "--format", "json"];

/// Value and origin of every setting that `jobmon config --format json` prints.
fn settings(ran: &Output) -> BTreeMap<String, (String, String)> {
    let rows: Vec<Value> = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    rows.iter()
        .map(|row| {
            let values: Vec<String> = row["values"].as_array().expect("an array").iter().map(text).collect();
            (text(&row["setting"]), (values.join(","), text(&row["origin"])))
        })
        .collect()
}

#[track_caller]
fn check(ran: &Output, setting: &str, value: &str, origin: &str) {
    let settings = settings(ran);
    assert_eq!(settings.get(setting), Some(&(value.to_owned(), origin.to_owned())), "{setting}");
}

#[test]
fn every_layer_is_read_and_named() {
    let sandbox = Sandbox::new().env("JOBMON_SPREAD", "all");
    let user = sandbox.write(FILE, "push-timeout = \"1s\"\nretries = 1\n[jobs.backup]\ngrace = \"5m\"\n");
    let explicit = sandbox.write("work/explicit.toml", "\nretries = 2\n[labels]\nteam = \"ops\"\n");
    let words = ["config", "--format", "json", "-n", "backup", "--config", "explicit.toml", "--tail", "1K"];
    let ran = sandbox.jobmon(words).env_remove("XDG_CONFIG_HOME").any_stdout().run();
    let user = user.display();
    check(&ran, "push-timeout", "1s", &format!("{user}:1"));
    check(&ran, "grace", "5m", &format!("{user}:4 [jobs.backup]"));
    check(&ran, "retries", "2", "explicit.toml:2");
    check(&ran, "labels.team", "ops", "explicit.toml:4");
    check(&ran, "spread", "all", "JOBMON_SPREAD");
    check(&ran, "tail", "1024", "--tail");
    check(&ran, "name", "backup", "--name");
    check(&ran, "config", &explicit.display().to_string(), "--config");
    check(&ran, "job", "script_monitor", "default");
}

#[test]
fn xdg_config_home_takes_the_place_of_the_home_directory() {
    let sandbox = Sandbox::new();
    sandbox.write(FILE, "retries = 1\n");
    let file = sandbox.write("xdg/jobmon/config.toml", "retries = 2\n");
    let ran = sandbox.jobmon(JSON).env("XDG_CONFIG_HOME", sandbox.path("xdg")).any_stdout().run();
    check(&ran, "retries", "2", &format!("{}:1", file.display()));
}

#[test]
fn what_is_wrong_outside_the_command_line_is_said_and_passed_over() {
    let sandbox = Sandbox::new().env("JOBMON_GATWAY", "http://gw").env("JOBMON_GATEWAY", "ftp://gw");
    let file = sandbox.write(FILE, "retires = 3\npush-timeout = \"soon\"\n[jobs.other]\ntimout = \"1s\"\n");
    let file = file.display();
    let ran = sandbox.jobmon(JSON).code(1).any_stdout().any_stderr().run();
    let stderr = ran.stderr();
    let mut said: Vec<&str> = stderr.lines().collect();
    said.sort_unstable();
    let mut expected = [
        "jobmon: warning: JOBMON_GATEWAY=\"ftp://gw\": an address starts with http:// or https://; ignored".to_owned(),
        "jobmon: warning: JOBMON_GATWAY is not a variable of jobmon: did you mean JOBMON_GATEWAY?".to_owned(),
        format!("jobmon: warning: {file}:1: unknown setting \"retires\": did you mean \"retries\"?"),
        format!(
            "jobmon: warning: {file}:2: push-timeout = \"soon\": not a duration such as 90s, 15m or 2h 30m; ignored"
        ),
        format!("jobmon: warning: {file}:4: unknown setting \"timout\": did you mean \"timeout\"?"),
    ];
    expected.sort_unstable();
    assert_eq!(said, expected);
    check(&ran, "push-timeout", "5s", "default");
}

#[test]
fn a_file_that_cannot_be_used_is_one_warning() {
    let check = |make: &dyn Fn(&std::path::Path), expected: &str| {
        let sandbox = Sandbox::new();
        let path = sandbox.write("home/.config/jobmon/other", "").with_file_name("config.toml");
        make(&path);
        let ran = sandbox.jobmon(JSON).code(1).any_stdout().any_stderr().run();
        assert_eq!(ran.stderr().lines().count(), 1, "{}", ran.stderr());
        let stderr = ran.stderr().replace(&path.display().to_string(), "FILE");
        assert!(stderr.starts_with(&format!("jobmon: warning: FILE{expected}")), "{stderr}");
    };
    let write = |content: &'static [u8]| move |path: &std::path::Path| std::fs::write(path, content).unwrap();
    check(&write(b"retries = 1\nname = = 2\n"), ":2: ");
    check(&write(b"retries = 1\n# caf\xe9\n"), ": not valid UTF-8 in line 2; ignored");
    check(&write(b"retries = 1\nretries = 2\n"), ":2: duplicate key");
    check(&|path| std::fs::create_dir(path).unwrap(), ": not a regular file; ignored");
    check(&|path| symlink(path, path).unwrap(), ": Too many levels of symbolic links");
    check(&|path| std::fs::write(path, vec![b'#'; (1 << 20) + 1]).unwrap(), ": larger than 1048576 bytes; ignored");
    check(
        &|path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR).unwrap(),
        ": not a regular file; ignored",
    );
}

#[test]
fn a_named_file_that_is_missing_is_a_warning() {
    let expected = "jobmon: warning: missing.toml: No such file or directory (os error 2); ignored\n";
    Sandbox::new().jobmon(["config", "--config", "missing.toml"]).code(1).stderr(expected).any_stdout().run();
}

#[test]
fn no_secret_is_printed() {
    let sandbox =
        Sandbox::new().env("JOBMON_GATEWAY", "http://me:hunter2@gw:9091").env("JOBMON_HEADERS", "X-Key: hunter2");
    let file = sandbox.write(FILE, "basic-auth-user = \"u\"\nbasic-auth-password = \"hunter2\"\n");
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    for format in ["table", "json"] {
        let ran = sandbox.jobmon(["config", "-vvv", "--format", format]).any_stdout().run();
        assert!(!ran.stdout().contains("hunter2") && ran.stdout().contains("********"), "{}", ran.stdout());
    }
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let path = file.display();
    let expected = format!(
        "jobmon: warning: {path} holds a secret and can be read by every user of this machine: chmod o-r {path}\n"
    );
    sandbox.jobmon(["config"]).code(1).stderr(expected).any_stdout().run();
}

#[test]
fn systemd_credentials_are_found() {
    let sandbox = Sandbox::new().env("JOBMON_BEARER_TOKEN_FILE", "");
    let path = sandbox.write("credentials/jobmon-bearer-token", "hunter2\n").display().to_string();
    let ran = sandbox.jobmon(JSON).env("CREDENTIALS_DIRECTORY", sandbox.path("credentials")).any_stdout().run();
    check(&ran, "bearer-token-file", &path, &path);
}

#[test]
fn the_table_fits_into_80_columns() {
    let sandbox = Sandbox::new();
    sandbox.write(FILE, format!("textfile-dir = \"/{}\"\n", "long/".repeat(30)));
    let words = ["config", "-n", "backup", "-l", "a_label_with_a_rather_long_name_indeed=value"];
    let ran = sandbox.jobmon(words).any_stdout().run();
    let longest = ran.stdout().lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(80), "{longest:?}\n{}", ran.stdout());
}

#[test]
fn without_home_or_current_directory_there_is_still_an_answer() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("work/gone")).unwrap();
    let script = r#"cd gone && rmdir ../gone && exec env -i "$0" config --state-dir /s"#;
    sandbox.program("/bin/sh", ["-c", script, env!("CARGO_BIN_EXE_jobmon")]).any_stdout().run();
}
