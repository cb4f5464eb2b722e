//! Signals reach the job as if jobmon were not there.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};

use crate::supervise_support::{
    By, CONVENIENCES, Running, answering, before_exec, children, eventually, finish, is_alive, kill, refuse,
    reset_signals, same, take_environment, under_bash, words,
};

/// Catches every signal that can be caught, until its input says something or ends. Not a shell: bash loses its own
/// signal mask when it is hit while it waits for input with a time limit.
const CATCHES_ALL: &str = "$SIG{$_} = sub {} for keys %SIG; $| = 1; print qq(ready $$ ), getppid, qq(\\n); \
    1 until defined sysread STDIN, $_, 1";

/// Sends every signal that a process can catch (32 and 33 belong to the C library), one after the other. The kernel's
/// own account says what was delivered: a shell merges, delays or misses some.
fn each_arrives_once(set_up: fn() -> std::io::Result<()>) {
    let catchable = (1..=64).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP, 32, 33].contains(signal));
    let mut traced = Traced::start(set_up);
    let mut sent = 0;
    for signal in catchable {
        kill(traced.jobmon, signal);
        sent += 1;
        assert_eq!(traced.deliveries("SI_USER", sent).len(), sent, "after signal {signal}");
    }
    traced.finish();
    let mut delivered = traced.deliveries("SI_USER", sent);
    assert_eq!(delivered.len(), sent, "{delivered:#?}");
    delivered.sort();
    delivered.dedup();
    assert_eq!(delivered.len(), sent, "a signal arrived as another: {delivered:#?}");
}

#[test]
fn every_signal_reaches_the_job_exactly_once() {
    each_arrives_once(|| Ok(()));
}

#[test]
fn every_signal_reaches_the_job_exactly_once_where_conveniences_are_refused() {
    each_arrives_once(|| refuse(&CONVENIENCES));
}

#[test]
fn the_signals_of_the_c_library_end_the_job_as_they_would_by_themselves() {
    for signal in [32, 33] {
        let status = same(|by| {
            let mut running = Running::start(&mut by.bash("echo ready; read -r line"));
            running.signal(signal);
            running.end()
        });
        assert_eq!(status.signal(), Some(signal));
    }
}

/// A job under jobmon, and what the kernel says it was delivered.
struct Traced {
    running: Running,
    job: String,
    jobmon: i32,
    log: std::path::PathBuf,
    _directory: tempfile::TempDir,
}

impl Traced {
    fn start(set_up: fn() -> std::io::Result<()>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("trace");
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-e", "trace=none", "-e", "signal=all", "-o"]).arg(&log);
        let wrapped = By::jobmon(&[]).command(&["perl", "-e", CATCHES_ALL]);
        command.args(words(&wrapped));
        take_environment(&mut command, &wrapped);
        before_exec(&mut command, move || reset_signals().and_then(|()| set_up()));
        let running = Running::start(&mut command);
        let (job, jobmon) = running.greeting.split_once(' ').expect("its own id and its parent's");
        Self { job: job.to_owned(), jobmon: jobmon.parse().unwrap(), log, _directory: directory, running }
    }

    /// The deliveries to the job that contain `text`, once there are `count`.
    fn deliveries(&self, text: &str, count: usize) -> Vec<String> {
        eventually(text, || {
            let trace = std::fs::read_to_string(&self.log).ok()?;
            let of_job = trace.lines().filter(|line| line.starts_with(&self.job) && line.contains(text));
            let lines: Vec<String> = of_job.map(str::to_owned).collect();
            (lines.len() >= count).then_some(lines)
        })
    }

    fn finish(&mut self) {
        self.running.say("enough");
        self.running.end();
    }
}

#[test]
fn queued_signals_keep_their_number_their_value_and_their_sender() {
    let mut traced = Traced::start(|| Ok(()));
    for value in [1001, 1002, 1003] {
        // SAFETY: numbers only.
        unsafe {
            libc::sigqueue(traced.jobmon, 40, libc::sigval { sival_ptr: std::ptr::without_provenance_mut(value) })
        };
    }
    traced.deliveries("SI_QUEUE", 3);
    traced.finish();
    let delivered = traced.deliveries("SI_QUEUE", 3);
    assert_eq!(delivered.len(), 3, "{delivered:?}");
    for (line, value) in delivered.iter().zip([1001, 1002, 1003]) {
        assert!(line.contains(&format!("si_int={value}")), "{line}");
        assert!(line.contains(&format!("si_pid={}", std::process::id())), "{line}");
    }
}

#[test]
fn what_the_job_does_to_its_own_group_does_not_come_back() {
    // A child of the job's is its descendant. One that is gone by the time that jobmon asks is nobody's: what it sends
    // arrives a second time, because a signal from outside must never be lost.
    let child = "pipe my $end, my $job; if (!fork) { close $job; $SIG{USR1} = 'IGNORE'; kill USR1 => 0; sysread $end, $_, 1; exit }";
    for sender in ["kill USR1 => 0", child] {
        let words = answering(
            &[("USR1", "say 'usr1'; $seen = 1"), ("USR2", "say 'usr2'")],
            &format!("{sender}; nap until $seen; until_a_line; exit 5"),
        );
        let seen = same(|by| {
            // The test itself is not to be hit.
            let mut running = Running::start(by.command(&words).process_group(0));
            running.say("send it");
            let first = running.line();
            // Whatever else comes of that one, comes before this one: the lower number is taken first.
            running.signal(libc::SIGUSR2);
            let second = running.line();
            running.say("enough");
            (first, second, running.rest(), running.end().code())
        });
        assert_eq!(seen, ("usr1".to_owned(), "usr2".to_owned(), vec![], Some(5)), "{sender}");
    }
}

#[test]
fn a_caller_in_the_same_process_group_is_heard() {
    // The shell of a script without job control is in the job's group, and its `kill` is meant all the same.
    let end = same(|by| {
        let command = by.command(&answering(&[("CONT", "say 'cont'"), ("TERM", "say 'term'; exit 4")], ""));
        let script = "mkfifo \"$FIFO\" \"$FIFO-in\"; \"$@\" < \"$FIFO-in\" > \"$FIFO\" & exec 4> \"$FIFO-in\" 3< \"$FIFO\"; \
                      read -r line <&3; kill -CONT $!; read -r one <&3; kill -TERM $!; wait $!; echo \"$one $?\"; cat <&3";
        let directory = tempfile::tempdir().unwrap();
        finish(under_bash(&command, script).env("FIFO", directory.path().join("fifo")).process_group(0))
    });
    assert_eq!(end.stdout, "cont 4\nterm\n");
}

#[test]
fn ignored_signals_stay_ignored_and_blocked_ones_blocked() {
    let seen = same(|by| {
        let mut command = by.command(&["grep", "^Sig[PBIC]\\|^ShdPnd", "/proc/self/status"]);
        before_exec(&mut command, || {
            // SAFETY: dispositions without handlers, and a mask of this process.
            unsafe {
                for signal in
                    [libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR2, libc::SIGPIPE, libc::SIGTTOU, libc::SIGCHLD, 40]
                {
                    libc::signal(signal, libc::SIG_IGN);
                }
                let mut set: libc::sigset_t = std::mem::zeroed();
                for signal in [libc::SIGUSR1, libc::SIGTERM, libc::SIGWINCH, 41] {
                    libc::sigaddset(&raw mut set, signal);
                }
                libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
                // Waiting for whoever unblocks them.
                libc::kill(libc::getpid(), libc::SIGUSR1);
                libc::kill(libc::getpid(), 41);
                libc::kill(libc::getpid(), 41);
            }
            Ok(())
        });
        // Two of signal 41 were queued, so the number of queued signals is part of the picture.
        finish(&mut command)
    });
    assert_eq!(seen.code, Some(0));
    assert!(seen.stdout.contains("SigIgn:\t0000008000211805"), "{seen:?}");
    assert!(!seen.stdout.contains("ShdPnd:\t0000000000000000"), "{seen:?}");
}

#[test]
fn the_default_dispositions_are_the_callers() {
    let seen = same(|by| finish(&mut by.command(&["grep", "^Sig[BIC]", "/proc/self/status"])));
    assert_eq!(seen.code, Some(0));
    assert!(seen.stdout.contains("SigIgn:\t0000000000000000"), "{seen:?}");
}

#[test]
fn nohup_protects_the_job_from_a_hang_up() {
    let status = same(|by| {
        let mut command = by.bash("echo ready; read -r line; exit 6");
        before_exec(&mut command, || {
            // SAFETY: no handler is installed.
            unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
            Ok(())
        });
        let mut running = Running::start(&mut command);
        running.signal(libc::SIGHUP);
        running.say("go on");
        running.end()
    });
    assert_eq!(status.code(), Some(6));
}

#[test]
fn a_signal_to_a_job_that_is_ending_is_not_the_end() {
    let mut running = Running::start(&mut By::jobmon(&[]).bash("echo ready; read -r line; exit 6"));
    let job = children(running.pid())[0];
    kill(job, libc::SIGKILL);
    // Sent to a job that is over or about to be.
    running.signal(libc::SIGUSR1);
    assert_eq!(running.end().signal(), Some(libc::SIGKILL));
}

#[test]
fn a_job_that_handles_term_decides_how_to_end() {
    let status = same(|by| {
        let mut running = Running::start(&mut by.command(&answering(&[("TERM", "exit 0")], "exit 1")));
        running.signal(libc::SIGTERM);
        running.end()
    });
    assert_eq!(status.code(), Some(0));
}

#[test]
fn killing_jobmon_kills_the_job() {
    let mut running = Running::start(&mut By::jobmon(&[]).bash("trap '' TERM HUP; echo ready; read -r line"));
    let job = children(running.pid())[0];
    running.signal(libc::SIGKILL);
    assert_eq!(running.end().signal(), Some(libc::SIGKILL));
    eventually("the end of the job", || (!is_alive(job)).then_some(()));
}

#[test]
fn killing_the_process_group_leaves_nothing() {
    let mut command = By::jobmon(&[]).bash("exec 8<&0; cat <&8 & echo ready $!; wait");
    command.process_group(0);
    let mut running = Running::start(&mut command);
    let grandchild: i32 = running.greeting.parse().unwrap();
    // SAFETY: numbers only; the group is the one made above.
    assert_eq!(unsafe { libc::killpg(running.pid(), libc::SIGKILL) }, 0);
    assert_eq!(running.end().signal(), Some(libc::SIGKILL));
    eventually("the end of the grandchild", || (!is_alive(grandchild)).then_some(()));
}

#[test]
fn an_alarm_that_the_caller_had_set_reaches_the_job() {
    let status = same(|by| {
        let mut command = by.bash("read -r line");
        before_exec(&mut command, || {
            let soon = libc::itimerval {
                it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 },
                it_value: libc::timeval { tv_sec: 0, tv_usec: 50_000 },
            };
            // SAFETY: a pointer to a local, and null for the old value.
            unsafe {
                libc::syscall(
                    libc::SYS_setitimer,
                    libc::ITIMER_REAL,
                    &raw const soon,
                    std::ptr::null_mut::<libc::itimerval>(),
                )
            };
            Ok(())
        });
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let status = eventually("the end by the alarm", || child.try_wait().unwrap());
        drop(input);
        status
    });
    assert_eq!(status.signal(), Some(libc::SIGALRM));
}

#[test]
fn a_broken_pipe_ends_the_job_silently() {
    let end = same(|by| {
        let yes = by.command(&["yes"]);
        finish(&mut under_bash(&yes, "\"$@\" | head -1; echo \"${PIPESTATUS[0]}\""))
    });
    assert_eq!((end.stdout.as_str(), end.stderr.as_str()), ("y\n141\n", ""));
}

#[test]
fn a_signal_at_any_moment_of_the_start_is_not_lost() {
    for round in 0..60 {
        let mut child = By::jobmon(&[]).command(&["sleep", "1000"]).stdin(Stdio::null()).spawn().unwrap();
        let moment = std::time::Instant::now() + std::time::Duration::from_micros(round * 100);
        while std::time::Instant::now() < moment {
            std::hint::spin_loop();
        }
        kill(child.id() as i32, libc::SIGTERM);
        let status = eventually("the end", || child.try_wait().unwrap());
        assert_eq!(status.signal(), Some(libc::SIGTERM), "round {round}");
    }
}

#[test]
fn a_signal_to_the_whole_group_reaches_the_job() {
    // At least once: from inside of the group nobody can tell whether the sender meant all of it. A second one may come
    // while Perl ends and has its handlers no more.
    let job = answering(&[("USR2", "$SIG{USR2} = 'IGNORE'; exit 4")], "");
    let code = same(|by| {
        let mut running = Running::start(by.command(&job).process_group(0));
        // SAFETY: numbers only; the group is the one made above.
        assert_eq!(unsafe { libc::killpg(running.pid(), libc::SIGUSR2) }, 0);
        running.end().code()
    });
    assert_eq!(code, Some(4));
}

#[test]
fn a_job_that_may_not_be_signalled_is_waited_for() {
    // As for a job that became another user: kill(2) says EPERM.
    const SENDING: [libc::c_long; 5] = [
        libc::SYS_kill,
        libc::SYS_tgkill,
        libc::SYS_rt_sigqueueinfo,
        libc::SYS_rt_tgsigqueueinfo,
        libc::SYS_pidfd_send_signal,
    ];
    let mut command = By::jobmon(&[]).bash("echo ready; read -r line; exit 6");
    before_exec(&mut command, || refuse(&SENDING));
    let mut running = Running::start(&mut command);
    running.signal(libc::SIGTERM);
    running.say("enough");
    assert_eq!(running.end().code(), Some(6));
}

#[test]
fn the_same_signal_twice_is_two_signals() {
    let seen = same(|by| {
        let mut running = Running::start(&mut by.command(&answering(&[("USR1", "say 'usr1'")], "")));
        let lines: Vec<String> = (0..3)
            .map(|_| {
                running.signal(libc::SIGUSR1);
                running.line()
            })
            .collect();
        running.say("enough");
        (lines, running.rest(), running.end().code())
    });
    assert_eq!(seen, (vec!["usr1".to_owned(); 3], vec![], Some(0)));
}

#[test]
fn nohup_protects_the_job_from_a_hang_up_of_its_group() {
    let code = same(|by| {
        let mut command = under_bash(&by.bash("echo ready; read -r line; exit 6"), "trap '' HUP; exec \"$@\"");
        let mut running = Running::start(command.process_group(0));
        // SAFETY: numbers only; the group is the one made above.
        assert_eq!(unsafe { libc::killpg(running.pid(), libc::SIGHUP) }, 0);
        running.say("go on");
        running.end().code()
    });
    assert_eq!(code, Some(6));
}
