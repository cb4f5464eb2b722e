//! A supervisor that is killed with SIGKILL at any moment of its job's life: the reporter outlives it, and the run is lost at
//! once, in the history and at the gateway, without any other jobmon.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jobmon::record::Outcome;
use tempfile::TempDir;

use crate::delivery_support::{Host, labels, runs, runs_in, value};
use crate::harness::{PATIENCE, Pushgateway, eventually};
use crate::reporter_support::{Watched, job_of};
use crate::supervise_support::{answering, is_alive, kill};

const ROUNDS: usize = 50;

/// How long it may take until the gateway knows.
const DEADLINE: Duration = Duration::from_secs(10);

/// A job that kills its parent so many microseconds after its first instruction: linked statically, because a dynamic linker
/// takes longer than most of these times.
const SOURCE: &str = r#"
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000LL + at.tv_nsec / 1000;
}

int main(int argc, char **argv) {
    long long end = now() + atoll(argv[1]);
    while (end - now() > 1000)
        usleep(end - now() - 1000);
    while (now() < end)
        ;
    kill(getppid(), SIGKILL);
    pause();
}
"#;

struct Killer {
    _directory: TempDir,
    program: PathBuf,
}

impl Killer {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (source, program) = (directory.path().join("killer.c"), directory.path().join("killer"));
        fs::write(&source, SOURCE).unwrap();
        let compiler = Command::new("cc").args(["-static", "-O1", "-o"]).arg(&program).arg(source).status();
        assert!(compiler.expect("install Debian package gcc").success());
        Self { _directory: directory, program }
    }
}

/// Kills each of fifty supervisors after this time, `at_once` of them at a time, and looks for what the gateway knows then.
fn killed_after(time: Duration, at_once: usize) {
    let gateway = Pushgateway::start();
    let url = gateway.url();
    let killer = Killer::new();
    let name = |number: usize| format!("job{number}");
    // Each on a host of its own, so that no other jobmon finds the run.
    let hosts: Vec<Host> = (0..ROUNDS).map(|_| Host::new()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((number, host)) =
            Some(next.fetch_add(1, Ordering::SeqCst)).and_then(|n| Some((n, hosts.get(n)?)))
        {
            let job = [killer.program.to_str().unwrap(), &time.as_micros().to_string()];
            host.run(&[&url], &name(number), &[], &job).signal(libc::SIGKILL).run();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(work);
        }
    });
    let mut missing: Vec<usize> = (0..ROUNDS).collect();
    let begun = Instant::now();
    while !missing.is_empty() && begun.elapsed() < DEADLINE {
        std::thread::sleep(Duration::from_millis(50));
        let groups = gateway.groups();
        let is_lost = |number: &usize| {
            let name = name(*number);
            let wanted: BTreeMap<_, _> = labels(&name).into_iter().collect();
            groups
                .iter()
                .any(|group| group["labels"] == serde_json::json!(wanted) && runs_in(group).get("lost") == Some(&1.0))
        };
        missing.retain(|number| !is_lost(number));
    }
    let histories: Vec<_> = missing.iter().map(|number| (*number, hosts[*number].outcomes(&name(*number)))).collect();
    assert!(histories.is_empty(), "killed after {time:?}, not lost at the gateway, with their history: {histories:?}");
    for (number, host) in hosts.iter().enumerate() {
        assert_eq!(host.outcomes(&name(number)), [Outcome::Lost]);
        assert_eq!(value(&gateway, &name(number), "script_running"), Some(0.0));
    }
}

#[test]
fn at_once() {
    killed_after(Duration::ZERO, 4);
}

#[test]
fn after_100_us() {
    killed_after(Duration::from_micros(100), 4);
}

#[test]
fn after_500_us() {
    killed_after(Duration::from_micros(500), 4);
}

#[test]
fn after_1_ms() {
    killed_after(Duration::from_millis(1), 4);
}

#[test]
fn after_2_ms() {
    killed_after(Duration::from_millis(2), 4);
}

#[test]
fn after_5_ms() {
    killed_after(Duration::from_millis(5), 4);
}

#[test]
fn after_50_ms() {
    killed_after(Duration::from_millis(50), 8);
}

#[test]
fn after_2_s() {
    killed_after(Duration::from_secs(2), ROUNDS);
}

fn job(then: &str) -> Vec<String> {
    answering(&[], then)
}

fn strings(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

#[test]
fn with_everything_that_jobmon_does_for_a_job() {
    for options in [&["--tail", "1K"][..], &["--quiet"], &["--timeout", "1000s"], &["--lock"], &["--heartbeat", "1s"]] {
        let (host, gateway) = (Host::new(), Pushgateway::start());
        let words = job("exit");
        let run = host.run(&[&gateway.url()], "job", options, &strings(&words));
        // With --quiet the job would not be heard.
        let (running, _) = Watched::spawn(&run, "stderr");
        let job = job_of(running.pid());
        eventually(PATIENCE, "the start at the gateway", || {
            (value(&gateway, "job", "script_running") == Some(1.0)).then_some(())
        });
        kill(running.pid(), libc::SIGKILL);
        eventually(DEADLINE, "the run to be lost", || (*runs(&gateway, "job").get("lost")? == 1.0).then_some(()));
        assert!(!is_alive(job));
        assert_eq!(host.outcomes("job"), [Outcome::Lost], "{options:?}");
    }
}

#[test]
fn between_two_attempts() {
    let (host, gateway) = (Host::new(), Pushgateway::start());
    let options = ["--retries", "1", "--retry-delay", "1000s"];
    let run =
        host.run(&[&gateway.url()], "job", &options, &["sh", "-c", ": > ../ran; exit 1"]).signal(libc::SIGKILL).spawn();
    eventually(PATIENCE, "the first attempt", || host.sandbox.path("ran").exists().then_some(()));
    eventually(PATIENCE, "the start at the gateway", || {
        (value(&gateway, "job", "script_running") == Some(1.0)).then_some(())
    });
    run.send(libc::SIGKILL);
    run.wait();
    eventually(DEADLINE, "the run to be lost", || (*runs(&gateway, "job").get("lost")? == 1.0).then_some(()));
    assert_eq!(host.outcomes("job"), [Outcome::Lost]);
}

#[test]
fn a_job_that_survives_is_lost_when_it_ends() {
    let (host, gateway) = (Host::new(), Pushgateway::start());
    // As for one that became another user: the kernel forgets whose death it was to die of.
    let mut words = ["setpriv", "--pdeathsig", "clear", "--"].map(str::to_owned).to_vec();
    words.extend(job("print qq(got $_); until_a_line; exit 3"));
    let run = host.run(&[&gateway.url()], "job", &[], &strings(&words));
    let mut watched = Watched::start(&run, "stderr");
    eventually(PATIENCE, "the start at the gateway", || {
        (value(&gateway, "job", "script_running") == Some(1.0)).then_some(())
    });
    kill(watched.supervisor, libc::SIGKILL);
    eventually(PATIENCE, "the end of the supervisor", || watched.running.child.try_wait().unwrap());
    watched.running.say("go on");
    assert_eq!(watched.running.line(), "got go on");
    assert!(is_alive(watched.job));
    assert_eq!(host.outcomes("job"), []);
    assert_eq!(value(&gateway, "job", "script_running"), Some(1.0));
    watched.running.say("enough");
    eventually(DEADLINE, "the run to be lost", || (*runs(&gateway, "job").get("lost")? == 1.0).then_some(()));
    assert!(!is_alive(watched.job));
    assert_eq!(host.outcomes("job"), [Outcome::Lost]);
}

#[test]
fn together_with_its_whole_group_leaves_it_to_the_next_jobmon() {
    let (host, gateway) = (Host::new(), Pushgateway::start());
    let running = host.run(&[&gateway.url()], "job", &[], &["sleep", "1000"]).signal(libc::SIGKILL).spawn();
    eventually(PATIENCE, "the start at the gateway", || {
        (value(&gateway, "job", "script_running") == Some(1.0)).then_some(())
    });
    // SAFETY: numbers only; the sandbox makes a group for each command.
    assert_eq!(unsafe { libc::killpg(running.pid(), libc::SIGKILL) }, 0);
    running.wait();
    eventually(PATIENCE, "the end of all of them", || host.sandbox.processes().is_empty().then_some(()));
    assert_eq!(host.outcomes("job"), []);
    host.run(&[&gateway.url()], "next", &[], &["true"]).run();
    assert_eq!(host.outcomes("job"), [Outcome::Lost]);
    assert_eq!(runs(&gateway, "job")["lost"], 1.0);
}

#[test]
fn after_its_reporter_leaves_it_to_the_next_jobmon() {
    for harm in [libc::SIGKILL, libc::SIGSTOP] {
        let (host, gateway) = (Host::new(), Pushgateway::start());
        let words = job("exit");
        let watched = Watched::start(&host.run(&[&gateway.url()], "job", &[], &strings(&words)), "stderr");
        eventually(PATIENCE, "the start at the gateway", || {
            (value(&gateway, "job", "script_running") == Some(1.0)).then_some(())
        });
        let reporter = watched.reporter();
        kill(reporter, harm);
        kill(watched.supervisor, libc::SIGKILL);
        eventually(PATIENCE, "the end of the job", || (!is_alive(watched.job)).then_some(()));
        if harm == libc::SIGSTOP {
            // It has the run, and goes on with it once it can.
            kill(reporter, libc::SIGCONT);
            eventually(DEADLINE, "the run to be lost", || (*runs(&gateway, "job").get("lost")? == 1.0).then_some(()));
        }
        host.run(&[&gateway.url()], "next", &[], &["true"]).run();
        host.flush().run();
        assert_eq!(host.outcomes("job"), [Outcome::Lost]);
        assert_eq!(runs(&gateway, "job")["lost"], 1.0);
    }
}
