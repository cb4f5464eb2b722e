//! Stopping and continuing the job shows as stopping and continuing jobmon.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use crate::supervise_support::{By, Running, answering, children, eventually, kill, same, state};

/// The next change of a child's state, as a raw wait status.
fn wait_for_change(pid: i32) -> i32 {
    eventually("a change of state", || {
        let mut status = 0;
        // SAFETY: a pointer to a local.
        let answer = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED) };
        assert!(answer >= 0, "waitpid: {}", std::io::Error::last_os_error());
        (answer == pid).then_some(status)
    })
}

/// The job itself, whichever way it was started.
fn job_of(running: &Running) -> i32 {
    running.greeting.parse().unwrap()
}

/// In a process group of its own: the kernel does not stop members of an orphaned one, which the tests' may be.
fn start(by: &By) -> Running {
    Running::start(by.command(&answering(&[("CONT", "say 'cont'")], "exit 8")).process_group(0))
}

#[test]
fn a_stop_of_the_job_is_seen_and_a_continue_reaches_it_once() {
    for signal in [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU] {
        let seen = same(|by| {
            let mut running = start(&by);
            // To the job; for a stop by anything but SIGSTOP to jobmon, which has to send it on.
            kill(if signal == libc::SIGSTOP { job_of(&running) } else { running.pid() }, signal);
            let stopped = wait_for_change(running.pid());
            running.signal(libc::SIGCONT);
            let continued = wait_for_change(running.pid());
            let line = running.line();
            running.say("enough");
            let rest = running.rest();
            (stopped, continued, line, rest, running.end().code())
        });
        assert!(libc::WIFSTOPPED(seen.0) && libc::WSTOPSIG(seen.0) == signal, "{seen:?}");
        assert_eq!(seen.4, Some(8));
    }
}

#[test]
fn a_job_that_is_continued_behind_jobmons_back_wakes_it() {
    let mut running = start(&By::jobmon(&[]));
    let job = job_of(&running);
    kill(job, libc::SIGSTOP);
    assert!(libc::WIFSTOPPED(wait_for_change(running.pid())));
    kill(job, libc::SIGCONT);
    assert!(libc::WIFCONTINUED(wait_for_change(running.pid())));
    assert_eq!(running.line(), "cont");
    running.say("enough");
    assert_eq!(running.rest(), Vec::<String>::new());
    assert_eq!(running.end().code(), Some(8));
}

#[test]
fn a_job_that_is_killed_while_it_is_stopped_ends_the_run() {
    use std::os::unix::process::ExitStatusExt;
    let mut running = start(&By::jobmon(&[]));
    kill(job_of(&running), libc::SIGSTOP);
    assert!(libc::WIFSTOPPED(wait_for_change(running.pid())));
    kill(job_of(&running), libc::SIGKILL);
    assert_eq!(running.end().signal(), Some(libc::SIGKILL));
}

#[test]
fn the_time_limit_reaches_a_stopped_job() {
    let mut running = start(&By::jobmon(&["--timeout", "300ms", "--kill-after", "20s"]));
    kill(job_of(&running), libc::SIGSTOP);
    assert!(libc::WIFSTOPPED(wait_for_change(running.pid())));
    assert_eq!(running.end().code(), Some(124));
}

#[test]
fn a_job_that_stops_itself_at_once_finds_jobmon_without_what_it_inherited() {
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let mut command = By::jobmon(&[]).command(&["sh", "-c", "kill -STOP $$; exit 3"]);
        let mut child = command.current_dir(&directory).stdin(Stdio::null()).process_group(0).spawn().unwrap();
        let jobmon = i32::try_from(child.id()).unwrap();
        assert!(libc::WIFSTOPPED(wait_for_change(jobmon)));
        assert_eq!(std::fs::read_link(format!("/proc/{jobmon}/cwd")).unwrap(), Path::new("/"));
        kill(jobmon, libc::SIGCONT);
        assert!(libc::WIFCONTINUED(wait_for_change(jobmon)));
        let status = eventually("the end", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(3));
    }
}

#[test]
fn nothing_stays_behind_a_stop() {
    let mut running = start(&By::jobmon(&[]));
    for _ in 0..3 {
        kill(job_of(&running), libc::SIGSTOP);
        assert!(libc::WIFSTOPPED(wait_for_change(running.pid())));
        running.signal(libc::SIGCONT);
        assert!(libc::WIFCONTINUED(wait_for_change(running.pid())));
        assert_eq!(running.line(), "cont");
        eventually("one child", || (children(running.pid()) == [job_of(&running)]).then_some(()));
        eventually("sleep", || (state(running.pid()) == Some('S')).then_some(()));
    }
    running.say("enough");
    assert_eq!(running.end().code(), Some(8));
}
