//! The reporter as a process: where it belongs, what it holds, and that neither a time limit nor a first process takes it for
//! one of the job's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jobmon::record::Outcome;

use crate::delivery_support::{Host, runs, value};
use crate::harness::{PATIENCE, Pushgateway, eventually};
use crate::reporter_support::{Watched, job_of, reporter_of};
use crate::supervise_support::{
    By, Running, answering, before_exec, finish, in_a_pid_namespace, is_alive, reset_signals, status_line,
};

/// What a busy machine may need for the end.
const DEADLINE: Duration = Duration::from_secs(10);

/// A run of a job that waits for a line, in a sandbox.
fn watched(host: &Host, gateways: &[&str], options: &[&str], job: &[String]) -> Watched {
    let job: Vec<&str> = job.iter().map(String::as_str).collect();
    Watched::start(&host.run(gateways, "job", options, &job), "stderr")
}

/// What the descriptors of a process are, by number.
fn descriptors(pid: i32) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let mut found: Vec<_> = entries
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, fs::read_link(entry.path()).ok()?)))
        .collect();
    found.sort();
    found
}

#[test]
fn is_in_the_jobs_group_and_session_and_blocks_every_signal() {
    let host = Host::new();
    let mut watched = watched(&host, &[], &[], &answering(&[], ""));
    let reporter = watched.reporter();
    // SAFETY: numbers only.
    let ids = |pid: i32| unsafe { (libc::getpgid(pid), libc::getsid(pid)) };
    assert_eq!(ids(reporter), ids(watched.job));
    eventually(PATIENCE, "every signal to be blocked", || {
        let blocked = u64::from_str_radix(&status_line(reporter, "SigBlk")?, 16).ok()?;
        // KILL and STOP cannot be; 32 and 33 are the C library's.
        let others = [9, 19, 32, 33].iter().fold(0, |set, signal| set | 1_u64 << (signal - 1));
        (blocked | others == u64::MAX).then_some(())
    });
    watched.running.say("enough");
    assert_eq!(watched.end(DEADLINE).code, Some(0));
}

#[test]
fn holds_nothing_of_the_jobs() {
    for options in [&[][..], &["--tail", "1K"], &["--quiet"], &["--lock"], &["--lock", "--retries", "3"]] {
        let host = Host::new();
        // With --quiet the job's words come at the end.
        let job = answering(&[], "exit");
        let words: Vec<&str> = job.iter().map(String::as_str).collect();
        let run = host.run(&["http://127.0.0.1:1"], "job", options, &words);
        let (mut running, stderr) = Watched::spawn(&run, "stderr");
        let job = job_of(running.pid());
        let reporter = reporter_of(running.pid(), job);
        // What the caller has given to jobmon and the job.
        let callers: BTreeSet<PathBuf> = descriptors(job).into_iter().map(|(_, file)| file).collect();
        eventually(PATIENCE, "its standard streams to be nobody's", || {
            let standard = |number: &str| descriptors(reporter).into_iter().find(|(name, _)| name == number);
            ["0", "1", "2"]
                .iter()
                .all(|number| standard(number).is_some_and(|(_, file)| file == Path::new("/dev/null")))
                .then_some(())
        });
        for (number, file) in descriptors(reporter) {
            // Which of the first it is cannot be told, and none is the job's. The second is the end of the output that is kept.
            if ["anon_inode:", "/memfd:"].iter().any(|kind| file.to_string_lossy().starts_with(kind)) {
                continue;
            }
            // The end of a plain file is read once the job has ended.
            let is_read = options.contains(&"--tail") && file == stderr;
            let is_foreign = file == stderr && !is_read
                || file.to_string_lossy().starts_with("pipe:")
                || file.starts_with(host.sandbox.state().join("locks"))
                || callers.contains(&file)
                    && !is_read
                    && file != Path::new("/dev/null")
                    && !file.starts_with(host.sandbox.state());
            assert!(!is_foreign, "{options:?}: descriptor {number} is {}", file.display());
        }
        running.say("enough");
        let status = eventually(DEADLINE, "the end", || running.child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0));
    }
}

#[test]
fn does_not_hold_the_directory_of_the_start() {
    let host = Host::new();
    let mut watched = watched(&host, &[], &[], &answering(&[], ""));
    let reporter = watched.reporter();
    eventually(PATIENCE, "another directory", || {
        (fs::read_link(format!("/proc/{reporter}/cwd")).ok()? == Path::new("/")).then_some(())
    });
    watched.running.say("enough");
    assert_eq!(watched.end(DEADLINE).code, Some(0));
}

#[test]
fn is_gone_when_jobmon_is() {
    let host = Host::new();
    let mut watched = watched(&host, &[], &[], &answering(&[], ""));
    let reporter = watched.reporter();
    watched.running.say("enough");
    watched.end(DEADLINE);
    assert!(!is_alive(reporter));
}

#[test]
fn a_time_limit_leaves_it_to_report() {
    let (host, gateway) = (Host::new(), Pushgateway::start());
    // Nothing is waited for after the job has obeyed.
    let options = ["--timeout", "2s", "--kill-after", "1000s"];
    let watched = watched(&host, &[&gateway.url()], &options, &answering(&[("TERM", "exit 3")], ""));
    eventually(PATIENCE, "the start at the gateway", || {
        (value(&gateway, "job", "script_running") == Some(1.0)).then_some(())
    });
    let end = watched.end(DEADLINE);
    assert_eq!((end.code, end.stderr.as_str()), (Some(124), ""));
    assert_eq!(host.outcomes("job"), [Outcome::Timeout]);
    assert_eq!(runs(&gateway, "job")["timeout"], 1.0);
}

#[test]
fn a_time_limit_that_has_to_kill_leaves_it_to_report() {
    let (host, gateway) = (Host::new(), Pushgateway::start());
    let options = ["--timeout", "2s", "--kill-after", "100ms"];
    let job = answering(&[("TERM", "")], "nap while 1");
    let watched = watched(&host, &[&gateway.url()], &options, &job);
    let end = watched.end(DEADLINE);
    assert_eq!((end.code, end.stderr.as_str()), (Some(124), ""));
    assert_eq!(host.outcomes("job"), [Outcome::Timeout]);
    assert_eq!(runs(&gateway, "job")["timeout"], 1.0);
}

/// `jobmon run` as the first process of a PID namespace, to its end.
fn as_the_first_process(
    host: &Host,
    gateway: &Pushgateway,
    options: &[&str],
    script: &str,
) -> crate::supervise_support::Finished {
    let run = host.run(&[&gateway.url()], "job", options, &["bash", "-c", script]).command();
    let mut command = in_a_pid_namespace(&run, "exec \"$@\"");
    before_exec(&mut command, reset_signals);
    finish(&mut command)
}

#[test]
fn the_first_process_records_and_delivers() {
    for (script, code, outcome) in [
        ("exit 0", 0, Outcome::Success),
        ("exit 7", 7, Outcome::Failure),
        ("kill -TERM $$", 143, Outcome::Failure),
        // Orphans, of which some end while the job runs and some are left.
        ("for i in {1..20}; do (true & true); done; (sleep 1000 & true); exit 7", 7, Outcome::Failure),
    ] {
        let (host, gateway) = (Host::new(), Pushgateway::start());
        let end = as_the_first_process(&host, &gateway, &[], script);
        assert_eq!((end.code, end.stderr.as_str()), (Some(code), ""), "{script}");
        assert_eq!(host.outcomes("job"), [outcome], "{script}");
        assert_eq!(runs(&gateway, "job")[outcome.as_str()], 1.0, "{script}");
    }
}

#[test]
fn a_time_limit_of_the_first_process_leaves_it_to_report() {
    // Everything in the namespace is a descendant of the first process, the reporter too.
    let (host, gateway) = (Host::new(), Pushgateway::start());
    let options = ["--timeout", "2s", "--kill-after", "1000s"];
    let script = "(setsid sleep 1000 & true); trap 'exit 3' TERM; while :; do sleep 1000 & wait; done";
    let end = as_the_first_process(&host, &gateway, &options, script);
    assert_eq!((end.code, end.stderr.as_str()), (Some(124), ""));
    assert_eq!(host.outcomes("job"), [Outcome::Timeout]);
    assert_eq!(runs(&gateway, "job")["timeout"], 1.0);
}

#[test]
fn a_first_process_that_is_given_orphans_keeps_the_reporter() {
    // Told apart while it runs, too: the start is announced by a worker of the reporter.
    let (host, gateway) = (Host::new(), Pushgateway::start());
    let run =
        host.run(&[&gateway.url()], "job", &[], &["bash", "-c", "echo ready; (true & true); read -r line; exit 7"]);
    let mut running = Running::start(&mut in_a_pid_namespace(&run.command(), "exec \"$@\""));
    eventually(PATIENCE, "the start at the gateway", || {
        (value(&gateway, "job", "script_running") == Some(1.0)).then_some(())
    });
    running.say("enough");
    assert_eq!(running.end().code(), Some(7));
    assert_eq!(runs(&gateway, "job")["failure"], 1.0);
}

#[test]
fn a_job_without_a_reporter_is_a_job_all_the_same() {
    // No socket pair, hence nobody to talk to.
    let by = By::jobmon(&[]);
    let mut command = by.bash("exit 5");
    before_exec(&mut command, || crate::supervise_support::refuse(&[libc::SYS_socketpair]));
    assert_eq!(finish(&mut command).code, Some(5));
}
