//! What a wrapper takes from the machine while its job sleeps.

use std::fs;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use crate::gateway::Gateway;
use crate::measure::{Series, reap};
use crate::recipes::{self, Wrapper};
use crate::sandbox::Bench;
use crate::table::{Goal, Line, Unit};

/// Long enough for everything that is done once while a job runs (the start push after about a second).
const SETTLE: Duration = Duration::from_secs(4);
/// What the wrappers run, and what is none of theirs.
const JOB: &str = "sleep";
const WATCH: Duration = Duration::from_secs(5);

pub fn measure(bench: &Bench) -> Result<Vec<Line>, String> {
    let gateway = Gateway::start()?;
    let url = gateway.url();
    let (alone, pushing) = (bench.directory("state")?, bench.directory("state")?);
    let subjects = [
        (recipes::jobmon(bench, "jobmon, no gateway", &alone, &["-n", "sleep"])?, Some(0.7e6)),
        (recipes::jobmon(bench, "jobmon, gateway", &pushing, &["-n", "sleep", "-g", &url])?, Some(0.7e6)),
        (recipes::timeout(bench)?, None),
        (recipes::dumb_init(bench)?, None),
        (recipes::runstat(bench)?, None),
        (recipes::chronic(bench)?, None),
        (recipes::bash_curl(bench, &url, "of-bash")?, None),
        (recipes::python(bench, &url, "of-python")?, None),
    ];
    // All at once: what is read of one does not depend on the others.
    let job = [JOB, &(SETTLE + WATCH + Duration::from_secs(2)).as_secs().to_string()];
    let children: Vec<Result<Child, String>> = subjects
        .iter()
        .map(|(wrapper, _)| wrapper.command(&job)?.spawn().map_err(|error| format!("{}: {error}", wrapper.who)))
        .collect();
    thread::sleep(SETTLE);
    // The pages of a program that was just built count as dirty until they are on the disk.
    Command::new("sync").status().map_err(|error| format!("sync: {error}"))?;
    let before: Vec<_> = children.iter().map(|child| observe(child.as_ref()?.id())).collect();
    thread::sleep(WATCH);
    let after: Vec<_> = children.iter().map(|child| observe(child.as_ref()?.id())).collect();

    let mut lines = Vec::new();
    for (((wrapper, limit), child), (before, after)) in subjects.iter().zip(children).zip(before.into_iter().zip(after))
    {
        let ended = child.and_then(reap);
        match before.and_then(|before| Ok((before, after?, ended?))) {
            Ok((before, after, status)) if status.success() => lines.extend(show(wrapper, *limit, &before, &after)),
            Ok((_, _, status)) => lines.push(Line::failed(&wrapper.who, format!("ended with {status}"))),
            Err(why) => lines.push(Line::failed(&wrapper.who, why)),
        }
    }
    Ok(lines)
}

fn show(wrapper: &Wrapper, limit: Option<f64>, before: &Footprint, after: &Footprint) -> Vec<Line> {
    let line = |what: &str, unit, value: u64, goal: Option<f64>| {
        let line = Line::new(format!("{}: {what}", wrapper.who), unit, Series::one(value as f64));
        match goal {
            Some(goal) => line.goal(Goal::ValueAtMost(goal)),
            None => line,
        }
    };
    let switches = after.switches - before.switches;
    let is_jobmon = limit.is_some();
    vec![
        line("memory of its own (dirty)", Unit::Bytes, after.dirty, limit),
        line("threads", Unit::Count, after.threads, is_jobmon.then_some(2.0)),
        line(&format!("wakeups in {} s", WATCH.as_secs()), Unit::Count, switches, is_jobmon.then_some(0.0)),
    ]
}

/// Of the wrapper: its process and those that it started beside the job.
#[derive(Default)]
struct Footprint {
    /// Bytes that the kernel cannot just drop; a page that several processes share counts for each of them by its part.
    dirty: u64,
    threads: u64,
    /// Times that any of its threads went to sleep, so was woken.
    switches: u64,
}

fn observe(pid: u32) -> Result<Footprint, String> {
    let mut footprint = Footprint::default();
    let mut processes = vec![pid];
    while let Some(pid) = processes.pop() {
        let rollup = read(&format!("/proc/{pid}/smaps_rollup"))?;
        let dirty = rollup.lines().filter(|line| line.starts_with("Pss_Dirty")).filter_map(number);
        footprint.dirty += dirty.sum::<u64>() * 1024;
        for task in fs::read_dir(format!("/proc/{pid}/task")).map_err(|error| format!("/proc/{pid}/task: {error}"))? {
            let task = task.map_err(|error| error.to_string())?.path();
            let status = read(&format!("{}/status", task.display()))?;
            footprint.threads += 1;
            let of_task = status.lines().filter(|line| line.contains("voluntary_ctxt_switches")).filter_map(number);
            footprint.switches += of_task.sum::<u64>();
            for child in read(&format!("{}/children", task.display()))?.split_whitespace() {
                if read(&format!("/proc/{child}/comm"))?.trim_end() != JOB {
                    processes.push(child.parse().map_err(|_| format!("{child} is no process id"))?);
                }
            }
        }
    }
    Ok(footprint)
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

/// The first number after the name of a field.
fn number(line: &str) -> Option<u64> {
    line.split_whitespace().nth(1)?.parse().ok()
}
