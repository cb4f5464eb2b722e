//! Two hundred jobs that cron starts in the same second.

use std::io::pipe;
use std::path::Path;
use std::process::Stdio;

use crate::gateway::Gateway;
use crate::measure::{Contender, interleave, reap};
use crate::recipes::{self, Wrapper};
use crate::registry;
use crate::sandbox::Bench;
use crate::sys;
use crate::table::{Goal, Line, Unit, compare};

const JOBS: usize = 200;

pub fn measure(bench: &Bench) -> Result<Vec<Line>, String> {
    let jobmon = || {
        let gateway = Gateway::start()?;
        let state = bench.directory("state")?;
        let url = gateway.url();
        let seconds = at_once(|name| recipes::jobmon(bench, "jobmon", &state, &["-n", name, "-g", &url]))?;
        recorded(&state)?;
        delivered(&gateway)?;
        Ok(seconds)
    };
    let bash = || {
        let gateway = Gateway::start()?;
        let seconds = at_once(|name| recipes::bash_curl(bench, &gateway.url(), name))?;
        delivered(&gateway)?;
        Ok(seconds)
    };
    let python = || {
        let gateway = Gateway::start()?;
        let seconds = at_once(|name| recipes::python(bench, &gateway.url(), name))?;
        delivered(&gateway)?;
        Ok(seconds)
    };
    let turns = if bench.quick { 1 } else { 7 };
    let contenders = vec![
        Contender::new("jobmon", jobmon),
        Contender::new("bash + curl", bash),
        Contender::new("Python prometheus_client", python).every(7),
    ];
    let measured = interleave(turns, contenders);
    Ok(compare(measured, Unit::Seconds, "jobmon", &[("bash + curl", Goal::RatioAtMost(0.5))]))
}

/// Seconds from the moment that all may start to the moment that the last has ended. Everybody waits in a shell until
/// the writing end of a pipe is closed, and becomes the wrapper then.
fn at_once(wrapper: impl Fn(&str) -> Result<Wrapper, String>) -> Result<f64, String> {
    let wrappers: Vec<Wrapper> = (0..JOBS).map(|index| wrapper(&format!("job-{index}"))).collect::<Result<_, _>>()?;
    // As every night: not the first run of any of them.
    for wrapper in &wrappers {
        wrapper.call(&["true"])?;
    }
    let (gate, closed) = pipe().map_err(|error| format!("pipe: {error}"))?;
    let mut children = Vec::new();
    for wrapper in &wrappers {
        let mut waiting = wrapper.behind_gate(&["true"])?;
        waiting.stdin(Stdio::from(gate.try_clone().map_err(|error| format!("pipe: {error}"))?));
        children.push(waiting.spawn().map_err(|error| format!("{}: {error}", wrapper.who))?);
    }
    let began = sys::monotonic();
    drop(closed);
    let ended: Vec<_> = children.into_iter().map(reap).collect();
    let seconds = (sys::monotonic() - began) as f64 / 1e9;
    for (wrapper, status) in wrappers.iter().zip(ended) {
        wrapper.check(status?)?;
    }
    Ok(seconds)
}

/// All ends are in the registry.
fn recorded(state: &Path) -> Result<(), String> {
    match registry::runs(state)? {
        runs if runs == 2 * JOBS => Ok(()),
        runs => Err(format!("{JOBS} jobs twice, {runs} runs in the registry")),
    }
}

/// The result of every one is in the gateway.
fn delivered(gateway: &Gateway) -> Result<(), String> {
    let metrics = gateway.metrics()?;
    let results =
        metrics.lines().filter(|line| line.starts_with("script_exit_code{") && line.contains("\"job-")).count();
    if results == JOBS { Ok(()) } else { Err(format!("{JOBS} jobs, {results} of them in the gateway")) }
}
