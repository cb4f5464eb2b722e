//! Runs whose jobmon vanished, wherever it was at that moment: every one is in the history once.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use jobmon::record::Outcome;

use crate::delivery_support::{Host, Random, runs, value};
use crate::harness::{PATIENCE, Pushgateway, eventually};

/// Its reporter is killed with it: "a lost run … is found by the next jobmon on the host, … and counted once as `lost`"
#[test]
fn a_run_whose_processes_are_all_killed_is_reported_by_the_next_jobmon_once() {
    let host = Host::new();
    let gateway = Pushgateway::start();
    let url = gateway.url();
    let victim = host
        .run(&[&url], "victim", &[], &["sh", "-c", "echo $$ > ../pid; while :; do sleep 0.01; done"])
        .signal(libc::SIGKILL)
        .spawn();
    let pid: i32 = eventually(PATIENCE, "the job to start", || {
        fs::read_to_string(host.sandbox.path("pid")).ok()?.trim().parse().ok()
    });
    eventually(PATIENCE, "the start to be announced", || {
        (value(&gateway, "victim", "script_running") == Some(1.0)).then_some(())
    });
    victim.kill_with_its_reporter();
    eventually(PATIENCE, "the job to die with its jobmon", || {
        (!fs::exists(format!("/proc/{pid}")).unwrap()).then_some(())
    });

    // Any job's run does it, and it is reported in the same breath.
    host.run(&[&url], "other", &[], &["true"]).run();
    assert_eq!(host.outcomes("victim"), [Outcome::Lost]);
    assert_eq!(runs(&gateway, "victim")["lost"], 1.0);
    assert_eq!(value(&gateway, "victim", "script_running"), Some(0.0));
    assert_eq!(value(&gateway, "victim", "script_exit_code"), Some(255.0));
    assert_eq!(value(&gateway, "victim", "script_result"), Some(0.0));

    host.run(&[&url], "other", &[], &["true"]).run();
    host.flush().run();
    assert_eq!(host.outcomes("victim"), [Outcome::Lost]);
    assert_eq!(runs(&gateway, "victim")["lost"], 1.0);
}

/// The same without any gateway, and found by `jobmon flush`.
#[test]
fn a_flush_finds_lost_runs_too() {
    let host = Host::new();
    let victim =
        host.run(&[], "victim", &[], &["sh", "-c", ": > ../started; exec sleep 60"]).signal(libc::SIGKILL).spawn();
    let started = host.sandbox.path("started");
    eventually(PATIENCE, "the job to start", || started.exists().then_some(()));
    eventually(PATIENCE, "the journal", || {
        let entry = fs::read_dir(host.sandbox.state().join("runs")).ok()?.flatten().next()?;
        (entry.metadata().ok()?.len() > 0).then_some(())
    });
    victim.kill_with_its_reporter();
    host.flush().run();
    assert_eq!(host.outcomes("victim"), [Outcome::Lost]);
}

/// "kill -9 of jobmon at 50 random moments of a run: registry opens, every started run is in the history exactly once as
/// finished or lost"
#[test]
fn no_moment_for_a_kill_loses_a_run_or_counts_one_twice() {
    const KILLS: usize = 50;
    let host = Host::new();
    let gateway = Pushgateway::start();
    let url = gateway.url();
    // The job leaves its mark once its jobmon waits for it. Before that, in the first fraction of a millisecond, a kill
    // takes both, and nobody knows of the run: writing it down before the job is started would let a disk that hangs
    // keep the job from running.
    let body = "while read -r _ _ state _ < /proc/$PPID/stat && [ \"$state\" != S ]; do :; done; : > \"../mark-$1\"; sleep 0.05";
    let script = host.sandbox.script("job.sh", body);
    let script = script.to_str().unwrap();
    // From before its first instruction to after its last, however fast this machine is now.
    let begun = Instant::now();
    host.run(&[&url], "measured", &[], &[script, "measured"]).run();
    let longest = begun.elapsed() * 5 / 4;
    let mut random = Random::new(50);
    let mut killed = 0;
    for number in 0..KILLS {
        let argument = number.to_string();
        let running = host.run(&[&url], "job", &[], &[script, &argument]).any_ending().any_stderr().spawn();
        random.pause(longest);
        running.send(libc::SIGKILL);
        let ending = running.wait().ending;
        killed += usize::from(ending == crate::harness::sandbox::Ending::Signal(libc::SIGKILL));
        // What it left is what the next one works on.
        host.registry();
    }
    host.run(&[&url], "last", &[], &["true"]).any_stderr().run();
    host.flush_until_nothing_is_owed();

    let mut seen: BTreeMap<String, Vec<Outcome>> = BTreeMap::new();
    for run in host.history() {
        seen.entry(run.record.command.clone()).or_default().push(run.record.facts.outcome);
    }
    let mut marks = 0;
    for number in 0..KILLS {
        let outcomes = seen.get(&format!("{script} {number}")).cloned().unwrap_or_default();
        let has_started = host.sandbox.path(format!("mark-{number}")).exists();
        marks += usize::from(has_started);
        assert!(outcomes.len() <= 1, "run {number} is counted {outcomes:?}");
        assert!(!has_started || outcomes.len() == 1, "run {number} left its mark and is not in the history");
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Success | Outcome::Lost)), "{outcomes:?}");
    }
    let count = |outcome| seen.values().flatten().filter(|seen| **seen == outcome).count();
    eprintln!(
        "{killed} killed, {marks} left a mark, {} lost, {} succeeded",
        count(Outcome::Lost),
        count(Outcome::Success)
    );
    assert!(killed > 0 && marks > 0, "{killed} of {KILLS} were killed, and {marks} had started");
    let counted: f64 = runs(&gateway, "job").values().sum();
    assert_eq!(counted as usize, seen.values().map(Vec::len).sum::<usize>() - 2, "two are other jobs'");
}
