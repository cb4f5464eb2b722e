//! A signal that is sent to the job's whole process group reaches the job as often as without jobmon, whoever sends it and
//! however; and where that cannot be told for certain, rather twice than never.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::Faults;
use crate::harness::faults::Behaviour;
use crate::harness::process::find;
use crate::reporter_support::{processes_beside, reporter_of};
use crate::supervise_support::{
    By, Running, before_exec, eventually, in_a_pid_namespace, kill, name, reset_signals, state, status_line,
    take_environment, under_bash, words,
};

/// How often each caller does it: what goes wrong here goes wrong now and then.
const ROUNDS: usize = 20;

/// Says `ready`, its own process id and its parent's; then writes a line for each delivery of a signal; SIGWINCH is the last.
///
/// Perl without its queue of signals (`PERL_SIGNALS=unsafe`, perlipc(1)): each delivery runs the handler at once, so that two
/// that follow each other closely are two. It ends by itself if nobody ends it.
const COUNTS: &str = "$| = 1; sub nap { select undef, undef, undef, 0.01 } \
    for my $name (qw(HUP INT TERM USR1 NUM40)) { $SIG{$name} = sub { syswrite STDOUT, qq($name\\n) } } \
    $SIG{WINCH} = sub { $over = 1 }; syswrite STDOUT, qq(ready $$ ) . getppid . qq(\\n); \
    for (1..6000) { last if $over; nap } nap for 1..5; syswrite STDOUT, qq(over\\n)";

/// A job that counts, and the processes that it is made of.
struct Counted {
    running: Running,
    job: i32,
    /// The process that the caller has started: jobmon, or the job.
    started: i32,
    by: By,
}

fn counting(by: &By) -> Command {
    let mut command = by.command(&["perl", "-e", COUNTS]);
    command.env("PERL_SIGNALS", "unsafe");
    command
}

impl Counted {
    #[track_caller]
    fn start(by: &By, command: &mut Command) -> Self {
        let running = Running::start(command);
        let (job, parent) = running.greeting.split_once(' ').expect("two process ids");
        let (job, parent) = (job.parse().unwrap(), parent.parse().unwrap());
        let counted = Self { running, job, started: if *by == By::Itself { job } else { parent }, by: by.clone() };
        if let (By::Jobmon(_), true) = (by, std::env::var_os("SETTLE").is_some()) {
            let reporter = reporter_of(counted.started, job);
            let mut idle = 0;
            eventually("idle", || {
                if state(reporter) == Some('S') {
                    idle += 1
                } else {
                    idle = 0
                }
                (idle > 4).then_some(())
            });
        }
        counted
    }

    /// As the leader of a process group of its own.
    #[track_caller]
    fn leader(by: &By) -> Self {
        Self::start(by, counting(by).process_group(0))
    }

    /// What jobmon has beside the job, the reporter first.
    #[track_caller]
    fn beside(&self) -> Vec<i32> {
        if self.by == By::Itself {
            return Vec::new();
        }
        reporter_of(self.started, self.job);
        processes_beside(self.started, self.job)
    }

    fn killpg(&self, signal: i32) {
        assert!(self.started > 1);
        // SAFETY: numbers only; the group was made for this job.
        assert_eq!(unsafe { libc::killpg(self.started, signal) }, 0, "{}", std::io::Error::last_os_error());
    }

    /// How often `name` was delivered, the `seen` ones that were waited for included.
    #[track_caller]
    fn deliveries(&mut self, name: &str, seen: usize) -> usize {
        for _ in 0..seen {
            assert_eq!(self.running.line(), name);
        }
        // What else comes of it comes before this one, which is sent on in its turn.
        kill(self.started, libc::SIGWINCH);
        let rest = self.running.rest();
        let (last, more) = rest.split_last().expect("the job says when it is over");
        assert_eq!(last, "over");
        assert!(more.iter().all(|line| line == name), "{rest:?}");
        seen + more.len()
    }
}

/// The deliveries to a job under jobmon are as many as to the same job by itself, every time.
#[track_caller]
fn as_many_as_directly(expected: usize, count: impl Fn(&By) -> usize) {
    as_many_as_directly_with(&[], expected, count);
}

#[track_caller]
fn as_many_as_directly_with(options: &[&str], expected: usize, count: impl Fn(&By) -> usize) {
    assert_eq!(count(&By::Itself), expected, "by itself");
    let counts: Vec<usize> = (0..ROUNDS).map(|_| count(&By::jobmon(options))).collect();
    assert_eq!(counts, vec![expected; ROUNDS]);
}

#[test]
fn killpg_of_a_group_made_by_setpgid_comes_once() {
    for (signal, name) in
        [(libc::SIGTERM, "TERM"), (libc::SIGINT, "INT"), (libc::SIGHUP, "HUP"), (libc::SIGUSR1, "USR1"), (40, "NUM40")]
    {
        as_many_as_directly(1, |by| {
            let mut counted = Counted::leader(by);
            counted.killpg(signal);
            counted.deliveries(name, 1)
        });
    }
}

#[test]
fn killpg_of_a_session_comes_once() {
    as_many_as_directly(1, |by| {
        let mut command = counting(by);
        before_exec(&mut command, || {
            // SAFETY: no arguments.
            if unsafe { libc::setsid() } < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
        });
        let mut counted = Counted::start(by, &mut command);
        counted.killpg(libc::SIGTERM);
        counted.deliveries("TERM", 1)
    });
}

#[test]
fn two_killpg_come_twice() {
    as_many_as_directly(2, |by| {
        let mut counted = Counted::leader(by);
        counted.killpg(libc::SIGTERM);
        // That far apart, and the first has arrived in any case.
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(counted.running.line(), "TERM");
        counted.killpg(libc::SIGTERM);
        1 + counted.deliveries("TERM", 1)
    });
}

#[test]
fn killpg_comes_once_after_the_group_was_stopped_and_continued() {
    as_many_as_directly(1, |by| {
        let mut counted = Counted::leader(by);
        for signal in [libc::SIGTSTP, libc::SIGSTOP] {
            counted.killpg(signal);
            for pid in [counted.job, counted.started] {
                eventually("all of it to be stopped", || (state(pid)? == 'T').then_some(()));
            }
            counted.killpg(libc::SIGCONT);
        }
        counted.killpg(libc::SIGTERM);
        counted.deliveries("TERM", 1)
    });
}

#[test]
fn killpg_comes_once_while_a_start_is_announced_and_the_gateway_hangs() {
    let gateway = Faults::start(Behaviour::HangAfterRequest);
    let url = gateway.url();
    let counts: Vec<usize> = std::thread::scope(|scope| {
        let round = || {
            let by = By::jobmon(&["--gateway", &url, "--push-timeout", "30s"]);
            let mut counted = Counted::leader(&by);
            eventually("the announcement", || (counted.beside().len() > 1).then_some(()));
            counted.killpg(libc::SIGTERM);
            assert_eq!(counted.running.line(), "TERM");
            // Here the end is not that of the output alone: a delivery is under way, and is given up at once.
            let count = counted.deliveries("TERM", 0) + 1;
            kill(counted.started, libc::SIGTERM);
            counted.running.end();
            count
        };
        let rounds: Vec<_> = (0..ROUNDS).map(|_| scope.spawn(round)).collect();
        rounds.into_iter().map(|round| round.join().unwrap()).collect()
    });
    assert_eq!(counts, [1; ROUNDS]);
}

#[test]
fn kill_of_a_job_of_the_shell_comes_once() {
    // bash(1): with `set -m`, "all processes run in a separate process group", and `kill %1` signals it.
    as_many_as_directly(1, |by| by_a_shell(by, "set -m; \"$@\" & read -r go; kill -TERM %1; wait"));
}

#[test]
fn kill_0_in_the_script_that_started_the_job_comes_once() {
    // kill(2): 0 is "every process in the process group of the calling process".
    let script = "trap : TERM; \"$@\" & read -r go; kill -TERM 0; while kill -0 $!; do wait; done 2>/dev/null";
    as_many_as_directly(1, |by| by_a_shell(by, script));
}

/// The deliveries of the TERM that a script sends once it reads a line.
fn by_a_shell(by: &By, script: &str) -> usize {
    let mut command = under_bash(&counting(by), script);
    let mut counted = Counted::start(by, command.process_group(0));
    counted.running.say("now");
    counted.deliveries("TERM", 1)
}

#[test]
fn a_walk_over_the_processes_comes_once() {
    // As a service manager does it that stops a service.
    for pause in [Duration::ZERO, Duration::from_millis(2)] {
        for child_first in [false, true] {
            for reporter_before_job in [false, true] {
                as_many_as_directly(1, |by| walked(by, pause, child_first, reporter_before_job));
            }
        }
    }
}

/// How long jobmon waits at the most for a signal to get from one process to the next, less a little.
const PACE: Duration = Duration::from_millis(15);

/// The deliveries of a signal that is sent to one process after the other, with a pause between them.
fn walked(by: &By, pause: Duration, child_first: bool, reporter_before_job: bool) -> usize {
    loop {
        let mut counted = Counted::leader(by);
        let mut pids = counted.beside();
        pids.insert(if reporter_before_job { pids.len() } else { 0 }, counted.job);
        if *by != By::Itself {
            pids.insert(if child_first { pids.len() } else { 0 }, counted.started);
        }
        let begun = Instant::now();
        for pid in pids {
            kill(pid, libc::SIGTERM);
            std::thread::sleep(pause);
        }
        let took = begun.elapsed();
        let deliveries = counted.deliveries("TERM", 1);
        if took < PACE {
            return deliveries;
        }
        // A machine that held up this very test in the middle: nobody waits that long.
        assert!((1..=2).contains(&deliveries), "{deliveries}");
    }
}

#[test]
fn a_walk_by_the_first_process_comes_once() {
    // Which is not the parent here, and walks in the order of the process ids.
    let script = "(\"$@\"; :) & read -r go; \
        kill -TERM $(pgrep -x \"jobmon|reporter|perl\"); read -r go; kill -WINCH $(pgrep -ox \"jobmon|perl\"); wait";
    as_many_as_directly(1, |by| in_a_namespace(by, script));
}

/// The deliveries of what a script sends at the first line that it reads; at the second it sends SIGWINCH. The script is the
/// first process of a PID namespace, and sees no processes but its own.
fn in_a_namespace(by: &By, script: &str) -> usize {
    let mut running = Running::start(&mut in_a_pid_namespace(&counting(by), script));
    running.say("now");
    assert_eq!(running.line(), "TERM");
    running.say("last");
    let rest = running.rest();
    let (last, more) = rest.split_last().expect("the job says when it is over");
    assert_eq!(last, "over");
    assert!(more.iter().all(|line| line == "TERM"), "{rest:?}");
    1 + more.len()
}

#[test]
fn a_signal_to_all_of_a_name_arrives() {
    // The reporter is not to be hit: its copy of the signal would make it look like one to the group, and the job gets none.
    for sender in ["pkill -TERM -x jobmon", "pkill -TERM -f jobmon", "killall -s TERM jobmon"] {
        let script = format!("\"$@\" & read -r go; {sender}; read -r go; kill -WINCH $(pgrep -x jobmon); wait");
        let counts: Vec<usize> = (0..ROUNDS).map(|_| in_a_namespace(&By::jobmon(&[]), &script)).collect();
        assert_eq!(counts, [1; ROUNDS], "{sender}");
    }
    // By the name and by the words of the job.
    for sender in ["pkill -TERM -x perl", "pkill -TERM -f PERL_WORD", "killall -s TERM perl"] {
        // The script's own words are not meant.
        let sender = sender.replace("PERL_WORD", "\"6000[)]\"");
        let script =
            format!("\"$@\" & read -r go; {sender}; read -r go; kill -WINCH $(pgrep -ox \"jobmon|perl\"); wait");
        assert_eq!(in_a_namespace(&By::Itself, &script), 1, "{sender}");
        for _ in 0..ROUNDS {
            // Right after the start jobmon still has the job's words, and is hit, too.
            let deliveries = in_a_namespace(&By::jobmon(&[]), &script);
            assert!((1..=2).contains(&deliveries), "{deliveries} by {sender}");
        }
    }
}

#[test]
fn the_reporter_has_no_name_and_no_words_in_common_with_jobmon_or_the_job() {
    let options = ["--name", "word_of_an_option"];
    let mut counted = Counted::leader(&By::jobmon(&options));
    for pid in counted.beside() {
        assert_eq!(name(pid).as_deref(), Some("reporter"));
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        assert!(["jobmon", "perl", "word_of_an_option"].iter().all(|word| !words.contains(word)), "{words:?}");
    }
    counted.deliveries("TERM", 0);
}

/// Waits until the supervisor has taken a signal that it was sent: a second one that comes before that is one with the first,
/// as it would be for the job.
#[track_caller]
fn wait_until_taken(pid: i32, signal: i32) {
    eventually("a signal to be taken", || {
        let pending = u64::from_str_radix(&status_line(pid, "ShdPnd")?, 16).ok()?;
        (pending & 1 << (signal - 1) == 0).then_some(())
    });
}

#[test]
fn a_direct_signal_right_after_one_to_the_group_arrives() {
    as_many_as_directly(2, |by| {
        let mut counted = Counted::leader(by);
        counted.killpg(libc::SIGTERM);
        assert_eq!(counted.running.line(), "TERM");
        wait_until_taken(counted.started, libc::SIGTERM);
        kill(counted.started, libc::SIGTERM);
        1 + counted.deliveries("TERM", 1)
    });
    // By somebody who is not the parent, and whom nobody waits for.
    as_many_as_directly(2, |by| {
        let mut counted = Counted::leader(by);
        counted.killpg(libc::SIGTERM);
        assert_eq!(counted.running.line(), "TERM");
        wait_until_taken(counted.started, libc::SIGTERM);
        let mut sender = Command::new("bash");
        sender.args(["-c", "kill -TERM \"$0\"", &counted.started.to_string()]);
        assert!(sender.status().unwrap().success());
        1 + counted.deliveries("TERM", 1)
    });
}

#[test]
fn a_direct_signal_after_a_reporter_that_was_late_arrives() {
    for _ in 0..ROUNDS {
        let mut counted = Counted::leader(&By::jobmon(&[]));
        let reporter = reporter_of(counted.started, counted.job);
        kill(reporter, libc::SIGSTOP);
        // Stopped as well, so that the two do not become one.
        kill(counted.started, libc::SIGSTOP);
        counted.killpg(libc::SIGTERM);
        // Once from the sender, and once from jobmon, which could not know.
        assert_eq!(counted.running.line(), "TERM");
        kill(counted.started, libc::SIGCONT);
        assert_eq!(counted.running.line(), "TERM");
        // Now the reporter has its own, which says nothing about what comes next.
        kill(reporter, libc::SIGCONT);
        wait_until_taken(reporter, libc::SIGTERM);
        kill(counted.started, libc::SIGTERM);
        assert_eq!(counted.deliveries("TERM", 1), 1);
    }
}

#[test]
fn a_direct_signal_comes_once() {
    as_many_as_directly(3, |by| {
        let mut counted = Counted::leader(by);
        for _ in 0..2 {
            kill(counted.started, libc::SIGTERM);
            assert_eq!(counted.running.line(), "TERM");
        }
        kill(counted.started, libc::SIGTERM);
        2 + counted.deliveries("TERM", 1)
    });
}

#[test]
fn a_signal_to_the_group_arrives_whatever_became_of_the_reporter() {
    for harm in [libc::SIGSTOP, libc::SIGKILL] {
        for _ in 0..ROUNDS {
            let mut counted = Counted::leader(&By::jobmon(&[]));
            let reporter = reporter_of(counted.started, counted.job);
            kill(reporter, harm);
            counted.killpg(libc::SIGTERM);
            let deliveries = counted.deliveries("TERM", 1);
            assert!((1..=2).contains(&deliveries), "{deliveries} after signal {harm} to the reporter");
        }
    }
}

#[test]
fn supervisord_that_stops_a_group_sends_one_signal() {
    // "stopasgroup: If true, … supervisor will send the stop signal to the whole process group"
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("job.pl"), COUNTS).unwrap();
    let mut config = format!(
        "[supervisord]\nnodaemon=true\nlogfile={}\npidfile={}\nchildlogdir={}\n\
         [group:both]\nprograms=direct,jobmon\n",
        path("log"),
        path("pid"),
        path("")
    );
    let mut supervisord = Command::new(find("supervisord", "supervisor"));
    for (way, by) in [("direct", By::Itself), ("jobmon", By::jobmon(&[]))] {
        let command = by.command(&["perl", &path("job.pl")]);
        take_environment(&mut supervisord, &command);
        let line: Vec<_> = words(&command).iter().map(|word| format!("\"{}\"", word.display())).collect();
        config += &format!(
            "[program:{way}]\ncommand={}\nnumprocs={ROUNDS}\nprocess_name={way}-%(process_num)d\nstopasgroup=true\n\
             stopwaitsecs=60\nstdout_logfile={}\n",
            line.join(" "),
            path(&format!("{way}-%(process_num)d")),
        );
    }
    fs::write(path("config"), config).unwrap();
    supervisord.args(["-c", &path("config")]).current_dir("/").env("PERL_SIGNALS", "unsafe");
    supervisord.stdin(Stdio::null()).stdout(Stdio::null());
    before_exec(&mut supervisord, reset_signals);
    let mut supervisord = supervisord.spawn().unwrap();
    let logs: Vec<_> = ["direct", "jobmon"]
        .iter()
        .flat_map(|way| (0..ROUNDS).map(move |number| (*way, number)))
        .map(|(way, number)| (way, path(&format!("{way}-{number}"))))
        .collect();
    let text = |path: &str| fs::read_to_string(Path::new(path)).unwrap_or_default();
    let wait_for = |path: &str, word: &str| eventually(word, || Some(text(path)).filter(|text| text.contains(word)));
    let started: Vec<i32> = logs
        .iter()
        .map(|(way, log)| {
            let greeting = wait_for(log, "ready ");
            let mut pids = greeting.lines().next().unwrap().split(' ').skip(1).map(|pid| pid.parse().unwrap());
            let (job, parent) = (pids.next().unwrap(), pids.next().unwrap());
            if *way == "direct" { job } else { parent }
        })
        .collect();
    kill(i32::try_from(supervisord.id()).unwrap(), libc::SIGTERM);
    for ((_, log), pid) in logs.iter().zip(started) {
        wait_for(log, "TERM");
        kill(pid, libc::SIGWINCH);
    }
    let status = eventually("the end of supervisord", || supervisord.try_wait().unwrap());
    assert!(status.success(), "{status}");
    for (way, log) in &logs {
        let lines: Vec<String> = text(log).lines().skip(1).map(str::to_owned).collect();
        assert_eq!(lines, ["TERM", "over"], "{way} {log}");
    }
}
