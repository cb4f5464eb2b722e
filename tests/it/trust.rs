//! Root obeys no configuration, password or header file that somebody else can write, and what jobmon makes for itself can be
//! used whatever the umask says.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use crate::harness::{Pushgateway, Sandbox};
use crate::plain_user::{self, by_a_plain_user, is_root};
use crate::supervise_support::before_exec;

const NOBODY: u32 = 65534;

/// Somebody else who can write a file, and the words for him.
const OTHERS: [(&str, u32, Option<u32>); 3] = [
    ("belongs to user 65534", 0o600, Some(NOBODY)),
    ("every user can write it", 0o606, None),
    ("group 65534 can write it", 0o620, None),
];

fn leave_to_others(path: &Path, (why, mode, owner): (&str, u32, Option<u32>)) {
    if is_root() {
        chown(path, owner, why.starts_with("group").then_some(NOBODY)).unwrap();
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// What root says of it; another user obeys his own file.
fn said(lines: &[String]) -> String {
    if is_root() { lines.iter().map(|line| format!("jobmon: warning: {line}\n")).collect() } else { String::new() }
}

#[test]
fn a_configuration_file_of_somebody_else_is_not_used_by_root() {
    for others in OTHERS {
        let sandbox = Sandbox::new();
        let user = sandbox.write("home/.config/jobmon/config.toml", "lock-exit-code = 3\n");
        let named = sandbox.write("work/named.toml", "job = \"theirs\"\n");
        let link = sandbox.path("work/link.toml");
        symlink(&named, &link).unwrap();
        [&user, &named].into_iter().for_each(|path| leave_to_others(path, others));
        let why = format!("{}, so root does not use it; ignored", others.0);
        let lines = [format!("{}: {why}", user.display()), format!("link.toml: {why}")];
        let words = ["config", "--config", "link.toml", "--format", "json"];
        let run = sandbox.jobmon(words).code(i32::from(is_root())).stderr(said(&lines));
        let shown = run.any_stdout().run().stdout();
        assert_eq!(shown.contains("theirs"), !is_root(), "{shown}");
        // A job runs all the same.
        let run = sandbox.jobmon(["run", "--config", "link.toml", "--", "sh", "-c", "exit 7"]).code(7);
        run.stderr(said(&lines)).run();
        if is_root() {
            let line = format!("jobmon: configuration link.toml: {}, so root does not use it\n", others.0);
            sandbox.jobmon(["list", "--config", "link.toml"]).code(125).stderr(line).run();
        }
    }
}

#[test]
fn a_file_with_a_password_or_a_header_of_somebody_else_is_not_used_by_root() {
    let gateway = Pushgateway::start();
    for others in OTHERS {
        for option in ["--bearer-token-file", "--header"] {
            let sandbox = Sandbox::new();
            let file = sandbox.write("secret", "X-A: b\n");
            leave_to_others(&file, others);
            let path = file.display();
            let value = if option == "--header" { format!("@{path}") } else { path.to_string() };
            let words = ["run", "-n", "x", "-g", &gateway.url(), option, &value, "--", "sh", "-c", "exit 7"];
            let ran = sandbox.jobmon(words).code(7).any_stderr().run();
            let why = format!("{path}: {}, so root does not use it", others.0);
            assert_eq!(ran.stderr().contains(&why), is_root(), "{}", ran.stderr());
            assert_eq!(ran.stderr().lines().count(), 1, "{}", ran.stderr());
        }
    }
}

/// umask(2) 0777 takes even the owner's bits.
#[test]
fn directories_and_lock_files_survive_any_umask() {
    let (directory, gateway) = (plain_user::directory(), Pushgateway::start());
    let program = plain_user::copy_of_jobmon(directory.path());
    let state = directory.path().join("deep/er/state");
    let lock = format!("--state-dir={}", state.display());
    for round in 0..3 {
        let mut command = Command::new(&program);
        command.env_clear().env("HOME", directory.path()).current_dir("/");
        command.args(["run", "-n", "x", "-g", &gateway.url(), "--lock", "--job-metrics", "--tail=1K", &lock]);
        command.args(["--", "/bin/sh", "-c", "echo m 1 >> \"$JOBMON_METRICS_FILE\""]);
        before_exec(by_a_plain_user(&mut command), || {
            // SAFETY: a plain system call.
            unsafe { libc::umask(0o777) };
            Ok(())
        });
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*stderr), (Some(0), ""), "round {round}");
    }
    assert_eq!(plain_user::results(&program, &state, true), ["success"; 3]);
}
