//! The exit status is the job's own.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};

use crate::programs::write_program;
use crate::supervise_support::{By, CONVENIENCES, before_exec, finish, refuse, same};

#[test]
fn every_exit_code_arrives() {
    for code in 0..=255 {
        let direct = format!("exit {code}");
        let end = finish(&mut By::jobmon(&[]).command(&["sh", "-c", &direct]));
        assert_eq!((end.code, end.signal), (Some(code), None));
        assert_eq!((end.stdout, end.stderr), (String::new(), String::new()));
    }
}

#[test]
fn death_by_every_signal_shows_as_death_by_that_signal() {
    let suspending = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
    for signal in (1..=64).filter(|signal| !suspending.contains(signal)) {
        // The files of a core dump would litter the directory of the tests.
        let script = format!("ulimit -c 0; kill -{signal} $$");
        let end = same(|by| by.command(&["sh", "-c", &script]).stderr(Stdio::null()).status().unwrap());
        let ignored = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH].contains(&signal);
        assert_eq!(end.signal(), (!ignored).then_some(signal), "signal {signal}");
    }
}

#[test]
fn jobmon_dumps_no_core_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let end = By::jobmon(&[])
        .command(&["sh", "-c", "ulimit -S -c 0; kill -QUIT $$"])
        .current_dir(&directory)
        .status()
        .unwrap();
    assert_eq!((end.signal(), end.core_dumped()), (Some(libc::SIGQUIT), false));
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_executed_ends_as_under_env() {
    // A directory that may not be searched makes a command that is not there one that may not be executed.
    const PATH: &str = "/usr/bin:/bin";
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = directory.path().join(name);
        write_program(&path, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    for (word, code, reason) in [
        ("/no/such/command".to_owned(), 127, "No such file or directory"),
        ("no-such-command".to_owned(), 127, "No such file or directory"),
        (file("lost", "#!/no/such/interpreter\n", 0o755), 127, "No such file or directory"),
        (file("plain", "exit 0\n", 0o644), 126, "Permission denied"),
        (directory.path().to_str().unwrap().to_owned(), 126, "Permission denied"),
        (file("file", "", 0o755) + "/below", 126, "Not a directory"),
    ] {
        assert_eq!(finish(Command::new("env").arg("--").arg(&word).env("PATH", PATH)).code, Some(code), "env {word}");
        let end = finish(By::jobmon(&[]).command(&[&word]).env("PATH", PATH));
        assert_eq!(end.code, Some(code), "{word}");
        assert_eq!(end.stdout, "");
        assert_eq!(end.stderr, format!("jobmon: {word}: {reason}\n"));
    }
    assert_eq!(finish(&mut By::jobmon(&[]).command(&[""])).code, Some(127));
}

#[test]
fn a_script_without_an_interpreter_line_is_run_by_the_shell() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("script");
    write_program(&path, "echo \"$0 $1\"; exit 42\n");
    // `env` executes by execvp, as a shell does.
    let path = path.to_str().unwrap();
    let direct = finish(Command::new("env").args([path, "word"]));
    let wrapped = finish(&mut By::jobmon(&[]).command(&[path, "word"]));
    assert_eq!(wrapped, direct);
    assert_eq!(wrapped.code, Some(42));
}

#[test]
fn sigchld_ignored_by_the_caller_loses_no_status_and_stays_ignored() {
    for (words, code) in [(["sh", "-c", "exit 7"], 7), (["grep", "^SigIgn:.0000000000010000", "/proc/self/status"], 0)]
    {
        let seen = same(|by| {
            let mut command = by.command(&words);
            before_exec(&mut command, || {
                // SAFETY: no handler is installed.
                unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
                Ok(())
            });
            // The ignored signal is the child's; this process hears of its own children as always.
            finish(&mut command)
        });
        assert_eq!(seen.code, Some(code));
    }
}

#[test]
fn bad_usage_is_told_apart_from_the_jobs_codes_and_runs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ran");
    for options in
        [&["--no-such-option"][..], &["--signal", "NONSENSE"], &["--success-codes", "256"], &["--timeout", "-1s"]]
    {
        let end = finish(&mut By::jobmon(options).command(&["touch".as_ref(), file.as_os_str()]));
        assert_eq!((end.code, end.stdout.as_str()), (Some(125), ""), "{options:?}");
        assert!(end.stderr.starts_with("jobmon: "), "{end:?}");
        assert!(!file.exists(), "{options:?}");
    }
}

#[test]
fn the_job_runs_where_no_process_can_be_started() {
    const NOBODY: u32 = 65534;
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = directory.path().join("jobmon");
    write_program(&program, std::fs::read(env!("CARGO_BIN_EXE_jobmon")).unwrap());
    let mut command = Command::new(&program);
    command.args(["run", "--state-dir", "/proc/no", "--", "sh", "-c", "exit 9"]).current_dir("/");
    // The limit is one of users other than root.
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } == 0 {
        command.uid(NOBODY);
    }
    before_exec(&mut command, || {
        let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: a pointer to a local.
        unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) };
        Ok(())
    });
    let end = finish(&mut command);
    let said = "jobmon: warning: no process for the job (see RLIMIT_NPROC, pids.max): it runs without jobmon, and is not recorded\n";
    assert_eq!((end.code, end.stderr.as_str()), (Some(9), said));
}

#[test]
fn the_job_runs_with_hardly_any_descriptors_or_memory() {
    for (resource, limit) in [
        (libc::RLIMIT_NOFILE, 4),
        (libc::RLIMIT_NOFILE, 5),
        (libc::RLIMIT_NOFILE, 6),
        (libc::RLIMIT_NOFILE, 8),
        (libc::RLIMIT_AS, 30 << 20),
    ] {
        let mut command = By::jobmon(&[]).command(&["sh", "-c", "exit 9"]);
        before_exec(&mut command, move || {
            let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
            // SAFETY: a pointer to a local.
            unsafe { libc::setrlimit(resource, &raw const limit) };
            Ok(())
        });
        let end = finish(&mut command);
        // The run may leave no record then, which a warning says.
        assert_eq!((end.code, end.stdout.as_str()), (Some(9), ""), "{resource:?} {limit}: {end:?}");
        assert!(end.stderr.lines().all(|line| line.starts_with("jobmon: warning: ")), "{resource:?} {limit}: {end:?}");
    }
}

#[test]
fn a_filter_that_refuses_conveniences_changes_no_status() {
    for (script, code, signal) in [("exit 5", Some(5), None), ("kill -TERM $$", None, Some(libc::SIGTERM))] {
        let mut command = By::jobmon(&[]).command(&["sh", "-c", script]);
        before_exec(&mut command, || refuse(&CONVENIENCES));
        let end = finish(&mut command);
        assert_eq!((end.code, end.signal, end.stderr.as_str()), (code, signal, ""));
    }
}
