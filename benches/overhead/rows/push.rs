//! The shortest job, its result pushed to a gateway on the same machine.

use std::cell::Cell;

use crate::gateway::Gateway;
use crate::measure::{Contender, interleave};
use crate::recipes;
use crate::rows::tail;
use crate::sandbox::Bench;
use crate::table::{Goal, Line, Unit, compare};

pub fn measure(bench: &Bench) -> Result<Vec<Line>, String> {
    let gateway = Gateway::start()?;
    let url = gateway.url();
    let state = bench.directory("state")?;
    let jobmon = recipes::jobmon(bench, "jobmon", &state, &["-n", "of-jobmon", "-g", &url])?;
    let bash = recipes::bash_curl(bench, &url, "of-bash")?;
    let python = recipes::python(bench, &url, "of-python")?;
    let (timeout, recorded) = (recipes::timeout(bench)?, tail::recorded(bench));
    let job = ["true"];
    let runs = Cell::new(0);
    let contenders = vec![
        Contender::new(&jobmon.who, || {
            let call = jobmon.call(&job)?;
            runs.set(runs.get() + 1);
            Ok(call.seconds())
        }),
        Contender::new(&bash.who, || Ok(bash.call(&job)?.seconds())),
        Contender::new(&python.who, || Ok(python.call(&job)?.seconds())).every(5),
        // What is left when nothing is recorded: below this no wrapper with a process of its own can come.
        Contender::new("timeout 1h, then a bare push", || {
            Ok(timeout.call(&job)?.seconds() + tail::bare_push(&gateway, &recorded)?)
        }),
    ];
    let mut measured = interleave(bench.count(200), contenders);
    let arrived = arrived(&gateway, runs.get());
    for (measured, wrapper) in measured.iter_mut().zip([&jobmon, &bash, &python]) {
        if measured.series.is_ok() {
            measured.instructions = Some(wrapper.instructions(bench, &job)?);
        }
    }
    if let (Ok(_), Err(why)) = (&measured[0].series, arrived) {
        measured[0].series = Err(why);
    }
    let goals = [("bash + curl", Goal::RatioAtMost(0.42)), ("Python prometheus_client", Goal::RatioAtMost(0.05))];
    Ok(compare(measured, Unit::Seconds, "jobmon", &goals))
}

/// The gateway has to hold the result of the last run: a push that is merely remembered would be a cheap one.
fn arrived(gateway: &Gateway, runs: usize) -> Result<(), String> {
    let metrics = gateway.metrics()?;
    let counter = metrics.lines().find(|line| {
        let labels = ["script_name=\"of-jobmon\"", "result=\"success\""];
        line.starts_with("script_runs_total{") && labels.iter().all(|label| line.contains(label))
    });
    let counted = counter.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    if counted == Some(runs as f64) {
        return Ok(());
    }
    Err(format!("{runs} runs, but the gateway holds {}", counter.unwrap_or("no script_runs_total of them")))
}
