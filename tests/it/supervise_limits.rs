//! Time limits, locks, retries and delays.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Stdio;

use jobmon::record::Outcome;
use jobmon::registry::PendingFilter;

use crate::harness::Faults;
use crate::harness::faults::Behaviour;
use crate::supervise_support::{
    By, CONVENIENCES, History, Running, answering, before_exec, blocks, children, eventually, finish, is_alive, kill,
    refuse, state, under_bash,
};

#[test]
fn a_job_out_of_time_is_asked_to_end() {
    let history = History::new();
    let job = answering(&[("TERM", "say 'asked'; exit 3")], "");
    let mut running = Running::start(&mut history.command(&["--timeout", "2s"], &job));
    assert_eq!(running.rest(), ["asked"]);
    assert_eq!(running.end().code(), Some(124));
    let run = history.run();
    assert_eq!((run.facts.outcome, run.facts.exit_code, run.facts.signal), (Outcome::Timeout, 124, None));
}

#[test]
fn a_job_in_time_is_not_touched() {
    let end = finish(&mut By::jobmon(&["--timeout", "1000s"]).bash("exit 3"));
    assert_eq!((end.code, end.stderr.as_str()), (Some(3), ""));
}

#[test]
fn the_signal_of_the_time_limit_can_be_chosen() {
    let job = answering(&[("USR1", "say 'usr1'; exit")], "");
    let mut running = Running::start(&mut By::jobmon(&["--timeout", "2s", "--signal", "USR1"]).command(&job));
    assert_eq!(running.line(), "usr1");
    assert_eq!(running.end().code(), Some(124));
}

/// A job with descendants in every place that a wrapper may fail to reach.
const TREE: &str = "trap '' TERM
    sleep 1001 & child=$!
    setsid sleep 1002 & session=$!
    (trap '' TERM; setsid bash -c 'trap \"\" TERM; sleep 1003 & echo $!; wait' > \"$0\") &
    until [ -s \"$0\" ]; do sleep 0.01; done
    echo ready $child $session $(cat \"$0\")
    read -r line";

fn the_tree_goes(set_up: fn() -> std::io::Result<()>) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = By::jobmon(&["--timeout", "2s", "--kill-after", "300ms"]).bash(TREE);
    command.arg(directory.path().join("pid"));
    before_exec(&mut command, set_up);
    let mut running = Running::start(&mut command);
    let members: Vec<i32> = running.greeting.split(' ').map(|pid| pid.parse().unwrap()).collect();
    assert!(members.len() == 3 && members.iter().all(|&pid| is_alive(pid)));
    assert_eq!(running.end().code(), Some(124));
    for pid in members {
        assert!(!is_alive(pid), "{pid} survived");
    }
}

#[test]
fn a_job_that_ignores_term_is_killed_with_all_its_descendants() {
    the_tree_goes(|| Ok(()));
}

#[test]
fn the_whole_tree_goes_where_conveniences_are_refused() {
    the_tree_goes(|| refuse(&CONVENIENCES));
}

#[test]
fn descendants_that_outlive_an_obedient_job_go_too() {
    let script = "setsid bash -c 'trap \"\" TERM; echo ready $$; while :; do sleep 1000; done' & trap 'exit 0' TERM; while :; do wait; done";
    let mut running = Running::start(&mut By::jobmon(&["--timeout", "2s", "--kill-after", "200ms"]).bash(script));
    let stubborn: i32 = running.greeting.parse().unwrap();
    assert_eq!(running.end().code(), Some(124));
    assert!(!is_alive(stubborn));
}

#[test]
fn an_orphan_in_the_jobs_process_group_goes_too() {
    let script = "(sleep 1000 & echo ready $!); read -r line";
    let mut command = By::jobmon(&["--timeout", "2s", "--kill-after", "5s"]).bash(script);
    let mut running = Running::start(command.process_group(0));
    let orphan: i32 = running.greeting.parse().unwrap();
    assert_eq!(running.end().code(), Some(124));
    eventually("the end of the orphan", || (!is_alive(orphan)).then_some(()));
}

#[test]
fn neighbours_are_not_part_of_the_tree() {
    // The caller's own child becomes a child of jobmon, because jobmon is executed in the caller's place.
    let jobmon = By::jobmon(&["--timeout", "2s", "--kill-after", "100ms"]).bash("read -r line");
    let mut command = under_bash(&jobmon, "exec 8<&0; cat <&8 & echo ready $!; exec \"$@\" 8<&-");
    let mut running = Running::start(command.process_group(0));
    let neighbour: i32 = running.greeting.parse().unwrap();
    assert_eq!(running.end().code(), Some(124));
    assert!(is_alive(neighbour));
    kill(neighbour, libc::SIGKILL);
}

#[test]
fn signals_are_sent_on_after_the_time_limit_too() {
    let job = answering(&[("TERM", "say 'asked'"), ("USR1", "say 'usr1'; exit")], "");
    let mut running = Running::start(&mut By::jobmon(&["--timeout", "2s", "--kill-after", "1000s"]).command(&job));
    assert_eq!(running.line(), "asked");
    running.signal(libc::SIGUSR1);
    assert_eq!(running.line(), "usr1");
    assert_eq!(running.end().code(), Some(124));
}

#[test]
fn a_second_run_is_skipped_while_the_first_has_the_lock() {
    let history = History::new();
    let mut first = Running::start(&mut history.bash(&["--lock", "--name", "once"], "echo ready; read -r line"));
    let second = || finish(&mut history.bash(&["--lock", "--name", "once", "--lock-exit-code", "75"], "echo ran"));
    let skipped = second();
    assert_eq!((skipped.code, skipped.stdout.as_str(), skipped.stderr.as_str()), (Some(75), "", ""));
    assert_eq!(history.run().facts.outcome, Outcome::Skipped);
    // Another group is another lock, unless both name the same key.
    assert_eq!(finish(&mut history.bash(&["--lock", "--name", "other"], "echo ran")).stdout, "ran\n");
    // Whatever kills the holder releases it.
    history.wait_for_a_start();
    first.signal(libc::SIGKILL);
    first.end();
    assert_eq!(second().stdout, "ran\n");
    let outcomes: Vec<_> = history.runs().iter().map(|run| run.facts.outcome).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Lost).count(), 1, "{outcomes:?}");
}

#[test]
fn a_skipped_run_is_no_failure_for_cron() {
    let history = History::new();
    let mut first = Running::start(&mut history.bash(&["--lock=a key"], "echo ready; read -r line"));
    let skipped = finish(&mut history.bash(&["--lock=a key", "--name", "another"], "echo ran"));
    assert_eq!((skipped.code, skipped.stdout.as_str(), skipped.stderr.as_str()), (Some(0), "", ""));
    first.say("enough");
    assert_eq!(first.end().code(), Some(0));
}

#[test]
fn the_lock_is_free_while_the_result_is_delivered() {
    let gateway = Faults::start(Behaviour::HangAfterRequest);
    let history = History::new();
    let options = ["-n", "locked", "--lock", "--gateway", &gateway.url(), "--push-timeout", "1000s"];
    let mut first = Running::start(&mut history.bash(&options, "echo ready"));
    eventually("the delivery", || (gateway.connections() > 0 && children(first.pid()).is_empty()).then_some(()));
    assert_eq!(finish(&mut history.bash(&["-n", "locked", "--lock"], "echo ran")).stdout, "ran\n");
    first.signal(libc::SIGTERM);
    assert_eq!(first.end().code(), Some(0));
}

#[test]
fn a_daemon_that_the_job_leaves_behind_does_not_hold_the_lock() {
    let history = History::new();
    let script = "exec 8<&0; setsid cat <&8 & echo ready $!";
    let mut first = Running::start(&mut history.bash(&["-n", "locked", "--lock"], script));
    let daemon: i32 = first.greeting.parse().unwrap();
    assert_eq!(first.end().code(), Some(0));
    assert!(is_alive(daemon));
    assert_eq!(finish(&mut history.bash(&["-n", "locked", "--lock"], "echo ran")).stdout, "ran\n");
    kill(daemon, libc::SIGKILL);
}

#[test]
fn a_run_that_waits_for_the_lock_starts_when_it_is_free() {
    let history = History::new();
    let mut holder = Running::start(&mut history.bash(&["-n", "locked", "--lock"], "echo ready; read -r line"));
    let mut child = history.bash(&["-n", "locked", "--lock", "--lock-wait", "1000s"], "exit 6").spawn().unwrap();
    let pid = child.id() as i32;
    eventually("a run that waits", || {
        blocks(pid, libc::SIGTERM).and_then(|()| (state(pid) == Some('S')).then_some(()))
    });
    assert!(children(pid).is_empty());
    holder.say("enough");
    assert_eq!(holder.end().code(), Some(0));
    let status = eventually("the run", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(6));
}

#[test]
fn a_wait_for_the_lock_has_an_end_and_obeys_signals() {
    let history = History::new();
    let _holder = Running::start(&mut history.bash(&["-n", "locked", "--lock"], "echo ready; read -r line"));
    let options = ["-n", "locked", "--lock", "--lock-wait", "200ms", "--lock-exit-code", "9"];
    let end = finish(&mut history.bash(&options, "echo ran"));
    assert_eq!((end.code, end.stdout.as_str()), (Some(9), ""));
    let mut child = history.bash(&["-n", "locked", "--lock", "--lock-wait", "1000s"], "echo ran").spawn().unwrap();
    eventually("signals to be blocked", || blocks(child.id() as i32, libc::SIGTERM));
    kill(child.id() as i32, libc::SIGTERM);
    let status = eventually("the end", || child.try_wait().unwrap());
    assert_eq!(status.signal(), Some(libc::SIGTERM));
}

#[test]
fn a_lock_that_cannot_be_had_is_a_warning_and_the_job_runs() {
    let jobmon = By::jobmon(&["--lock", "--state-dir", "/proc/no"]).bash("echo ran");
    // The caller still holds the pipe at the end.
    let end = finish(&mut under_bash(&jobmon, "\"$@\"; exit $?"));
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"));
    let warnings: Vec<&str> = end.stderr.lines().filter(|line| line.contains("lock")).collect();
    assert_eq!(warnings.len(), 1, "{end:?}");
    assert!(warnings[0].starts_with("jobmon: warning: lock /proc/no/locks/run-"), "{end:?}");
    assert!(warnings[0].ends_with("; running without a lock"), "{end:?}");
}

#[test]
fn a_failure_is_tried_again_until_it_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let script = "echo x >> \"$0\"; [ $(wc -l < \"$0\") -ge 3 ]";
    let history = History::new();
    let mut command = history.bash(&["--retries", "5", "--retry-delay", "10ms"], script);
    let count = directory.path().join("count");
    assert_eq!(finish(command.arg(&count)).code, Some(0));
    assert_eq!(std::fs::read_to_string(&count).unwrap(), "x\nx\nx\n");
    // One run with three attempts.
    let run = history.run();
    let codes: Vec<_> = run.attempts.iter().map(|attempt| attempt.exit_code).collect();
    assert_eq!((run.facts.outcome, codes), (Outcome::Success, vec![1, 1, 0]));
}

#[test]
fn the_end_of_the_last_attempt_is_the_end_of_the_run() {
    let end = finish(&mut By::jobmon(&["--retries", "2", "--retry-delay", "10ms"]).bash("echo x; exit 7"));
    assert_eq!((end.code, end.stdout.as_str()), (Some(7), "x\nx\nx\n"));
    let end = finish(&mut By::jobmon(&["--retries", "2", "--retry-delay", "10ms"]).bash("echo x; kill -KILL $$"));
    assert_eq!((end.signal, end.stdout.as_str()), (Some(libc::SIGKILL), "x\nx\nx\n"));
    let end = finish(&mut By::jobmon(&["--retries", "2", "--retry-delay", "10ms"]).command(&["/no/such"]));
    assert_eq!((end.code, end.stderr.as_str()), (Some(127), "jobmon: /no/such: No such file or directory\n"));
}

#[test]
fn every_attempt_has_the_callers_streams_directory_and_time() {
    let directory = tempfile::tempdir().unwrap();
    let script = "pwd; read -r line; echo $line; sleep 1000";
    let mut command = By::jobmon(&["--retries", "1", "--retry-delay", "10ms", "--timeout", "2s"]).bash(script);
    command.current_dir(&directory).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"one\ntwo\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let here = directory.path().canonicalize().unwrap().display().to_string();
    // The shell's `read` takes one byte at a time from a pipe: the second line is left for the second attempt.
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{here}\none\n{here}\ntwo\n"));
    assert_eq!(output.status.code(), Some(124));
}

#[test]
fn a_signal_between_attempts_ends_the_run() {
    for (signal, ends) in [(libc::SIGTERM, true), (libc::SIGWINCH, false)] {
        let mut running =
            Running::start(&mut By::jobmon(&["--retries", "1", "--retry-delay", "1000s"]).bash("echo ready; exit 1"));
        eventually("the end of the first attempt", || children(running.pid()).is_empty().then_some(()));
        running.signal(signal);
        if ends {
            assert_eq!(running.end().signal(), Some(signal));
        } else {
            running.signal(libc::SIGINT);
            assert_eq!(running.end().signal(), Some(libc::SIGINT));
        }
        assert_eq!(running.rest(), Vec::<String>::new());
    }
}

#[test]
fn an_attempt_that_was_asked_to_stop_is_the_last() {
    let job = answering(&[("TERM", "exit 1")], "");
    let mut running = Running::start(&mut By::jobmon(&["--retries", "9", "--retry-delay", "0s"]).command(&job));
    running.signal(libc::SIGTERM);
    assert_eq!(running.end().code(), Some(1));
    assert_eq!(running.rest(), Vec::<String>::new());
}

#[test]
fn a_later_attempt_gets_signals_and_time_as_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let history = History::new();
    let first_fails = "[ -e \"$0\" ] || { touch \"$0\"; exit 1; }; exec \"$@\"";
    let options = ["--retries", "1", "--retry-delay", "10ms", "--timeout", "5s"];
    let mut command = history.bash(&options, first_fails);
    command.arg(directory.path().join("mark")).args(answering(&[("USR1", "say 'usr1'")], "nap while 1"));
    let mut running = Running::start(&mut command);
    running.signal(libc::SIGUSR1);
    assert_eq!(running.line(), "usr1");
    assert_eq!(running.end().code(), Some(124));
    let run = history.run();
    let ends: Vec<_> = run.attempts.iter().map(|attempt| attempt.exit_code).collect();
    assert_eq!((run.facts.outcome, ends), (Outcome::Timeout, vec![1, 124]));
}

#[test]
fn a_signal_that_the_caller_blocked_waits_for_the_next_attempt() {
    let directory = tempfile::tempdir().unwrap();
    // Until the kernel says that SIGUSR1 waits for this shell.
    let script = "[ -e \"$0\" ] || { touch \"$0\"; echo ready; exit 1; }; \
                  until grep -q '^ShdPnd:.*200$' /proc/$$/status; do sleep 0.01; done; echo pending; exit 6";
    let mut command = By::jobmon(&["--retries", "1", "--retry-delay", "2s"]).bash(script);
    command.arg(directory.path().join("mark"));
    before_exec(&mut command, || {
        // SAFETY: a set of this process.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigaddset(&raw mut set, libc::SIGUSR1);
            libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        }
        Ok(())
    });
    let mut running = Running::start(&mut command);
    eventually("the end of the first attempt", || children(running.pid()).is_empty().then_some(()));
    running.signal(libc::SIGUSR1);
    assert_eq!(running.line(), "pending");
    assert_eq!(running.end().code(), Some(6));
}

#[test]
fn a_signal_during_the_splay_ends_the_run() {
    let mut child = By::jobmon(&["--splay", "1000s"]).bash("echo ran").spawn().unwrap();
    eventually("signals to be blocked", || blocks(child.id() as i32, libc::SIGTERM));
    kill(child.id() as i32, libc::SIGTERM);
    assert_eq!(eventually("the end", || child.try_wait().unwrap()).signal(), Some(libc::SIGTERM));
    let end = finish(&mut By::jobmon(&["--splay", "50ms"]).bash("echo ran; exit 2"));
    assert_eq!((end.code, end.stdout.as_str()), (Some(2), "ran\n"));
}

#[test]
fn a_stop_signal_during_the_delivery_ends_it_and_the_result_is_kept() {
    let gateway = Faults::start(Behaviour::HangAfterRequest);
    let history = History::new();
    let options = ["--gateway", &gateway.url(), "--push-timeout", "1000s"];
    let mut running = Running::start(&mut history.bash(&options, "echo ready; exit 3"));
    eventually("the delivery", || (gateway.connections() > 0 && children(running.pid()).is_empty()).then_some(()));
    // The job is over: nobody is left to have this one.
    running.signal(libc::SIGUSR1);
    running.signal(libc::SIGTERM);
    assert_eq!(running.end().code(), Some(3));
    assert_eq!(history.run().facts.exit_code, 3);
    let owed = history.registry().pending_actions(PendingFilter::All, 9, std::time::SystemTime::now()).unwrap();
    assert_eq!(owed.len(), 1);
}

#[test]
fn a_second_stop_signal_ends_jobmon_and_the_result_is_kept() {
    for output in [&[][..], &["--tail", "1K"], &["--quiet"]] {
        let gateway = Faults::start(Behaviour::HangAfterRequest);
        let history = History::new();
        let mut options = vec!["--gateway", gateway.url().leak(), "--push-timeout", "1000s"];
        options.extend(output);
        // More than a pipe holds, and nobody reads it.
        let job = answering(&[("TERM", "exit 4")], "fork or exec 'yes'; open my $mark, '>', $ENV{MARK}; nap while 1");
        let directory = tempfile::tempdir().unwrap();
        let mark = directory.path().join("mark");
        let mut command = history.command(&options, &job);
        let mut child = command.env("MARK", &mark).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        eventually("the job", || mark.exists().then_some(()));
        let jobmon = i32::try_from(child.id()).unwrap();
        kill(jobmon, libc::SIGTERM);
        eventually("the result", || (history.runs_so_far() > 0).then_some(()));
        // It may have come to its end by itself meanwhile, which is 2 seconds later at the most.
        // SAFETY: numbers only; the child has not been waited for.
        unsafe { libc::kill(jobmon, libc::SIGTERM) };
        let status = eventually("the end", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(4), "{output:?}");
        assert_eq!((history.run().facts.outcome, history.run().facts.exit_code), (Outcome::Failure, 4));
        let owed = history.registry().pending_actions(PendingFilter::All, 9, std::time::SystemTime::now()).unwrap();
        assert_eq!(owed.len(), 1, "{output:?}");
    }
}

#[test]
fn a_job_that_was_asked_to_stop_is_recorded_and_its_delivery_is_short() {
    let gateway = Faults::start(Behaviour::HangAfterRequest);
    let history = History::new();
    let options = ["--gateway", &gateway.url(), "--push-timeout", "1000s"];
    let mut running = Running::start(&mut history.command(&options, &answering(&[("TERM", "exit 4")], "")));
    running.signal(libc::SIGTERM);
    // Not the 1000 seconds that a healthy run would wait for the gateway.
    assert_eq!(running.end().code(), Some(4));
    assert_eq!((history.run().facts.outcome, history.run().facts.exit_code), (Outcome::Failure, 4));
}

#[test]
fn a_run_whose_jobmon_was_killed_is_lost_and_counted_once() {
    let history = History::new();
    let mut running = Running::start(&mut history.bash(&["--name", "victim"], "echo ready; read -r line"));
    history.wait_for_a_start();
    running.signal(libc::SIGKILL);
    running.end();
    for _ in 0..2 {
        assert_eq!(finish(&mut history.bash(&["--name", "other"], "exit 0")).code, Some(0));
    }
    let lost: Vec<_> = history.runs().into_iter().filter(|run| run.facts.outcome == Outcome::Lost).collect();
    assert_eq!(lost.len(), 1);
    assert_eq!((lost[0].grouping_key.script_name(), lost[0].facts.exit_code), ("victim", 255));
}

#[test]
fn success_codes_change_what_counts_and_not_the_exit_status() {
    for (code, outcome) in [("24", Outcome::Success), ("23", Outcome::Failure), ("0", Outcome::Success)] {
        let history = History::new();
        let end = finish(&mut history.command(&["--success-codes", "0,24"], &["sh", "-c", &format!("exit {code}")]));
        assert_eq!(end.code, code.parse().ok());
        assert_eq!(history.run().facts.outcome, outcome, "exit code {code}");
    }
}

#[test]
fn a_parent_that_sends_signals_all_the_time_holds_up_no_time_limit() {
    let job = answering(&[("USR1", "")], "");
    let mut running = Running::start(&mut By::jobmon(&["--timeout", "1s"]).command(&job));
    let status = eventually("the end of the time limit", || {
        running.signal(libc::SIGUSR1);
        running.child.try_wait().unwrap()
    });
    assert_eq!(status.code(), Some(124));
}

#[test]
fn a_job_that_goes_on_after_a_hangup_is_retried() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("mark");
    let then = format!("exit 5 if -e '{0}'; open my $mark, '>', '{0}'; exit 1", mark.display());
    let job = answering(&[("HUP", "say 'read again'")], &then);
    let options = ["--retries", "1", "--retry-delay", "0s"];
    let mut running = Running::start(&mut By::jobmon(&options).command(&job));
    running.signal(libc::SIGHUP);
    assert_eq!(running.line(), "read again");
    running.say("go on");
    running.greet();
    running.say("go on");
    assert_eq!(running.end().code(), Some(5));
}

#[test]
fn a_time_limit_ends_nobody_that_an_outer_proc_shows() {
    // After `unshare --pid` without --mount-proc, the numbers in /proc are those of strangers.
    let jobmon = By::jobmon(&["--timeout", "300ms", "--kill-after", "1s"]).bash("sleep 1000 & sleep 1000");
    let end = finish(&mut under_bash(&jobmon, "unshare -Urpf \"$@\""));
    assert_eq!((end.code, end.stderr.as_str()), (Some(124), ""));
}
