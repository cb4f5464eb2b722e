//! The shortest job, with nothing but the registry.

use std::cell::Cell;

use crate::measure::{Contender, interleave};
use crate::recipes;
use crate::registry;
use crate::sandbox::Bench;
use crate::table::{Goal, Line, Unit, compare};

pub fn measure(bench: &Bench) -> Result<Vec<Line>, String> {
    let state = bench.directory("state")?;
    let wrappers = [
        recipes::jobmon(bench, "jobmon", &state, &[])?,
        recipes::direct(bench)?,
        recipes::timeout(bench)?,
        recipes::dumb_init(bench)?,
        recipes::runstat(bench)?,
        recipes::chronic(bench)?,
    ];
    let job = ["true"];
    let contenders = wrappers.iter().map(|wrapper| {
        let stride = if wrapper.who == "chronic" { 3 } else { 1 };
        let job = if wrapper.who == "no wrapper" { ["/usr/bin/true"] } else { job };
        Contender::new(&wrapper.who, move || Ok(wrapper.call(&job)?.seconds())).every(stride)
    });
    let calls = Cell::new(0);
    let mut contenders: Vec<_> = contenders.collect();
    contenders[0] = Contender::new(&wrappers[0].who, || {
        let call = wrappers[0].call(&job)?;
        calls.set(calls.get() + 1);
        Ok(call.seconds())
    });
    let mut measured = interleave(bench.count(300), contenders);
    let recorded = registry::runs(&state).and_then(|runs| match runs == calls.get() {
        true => Ok(()),
        false => Err(format!("{} runs, {runs} of them in the registry", calls.get())),
    });
    if let (Ok(_), Err(why)) = (&measured[0].series, recorded) {
        measured[0].series = Err(why);
    }
    for (measured, wrapper) in measured.iter_mut().zip(&wrappers) {
        if measured.series.is_ok() {
            let job = if wrapper.who == "no wrapper" { ["/usr/bin/true"] } else { job };
            measured.instructions = Some(wrapper.instructions(bench, &job)?);
        }
    }
    Ok(compare(measured, Unit::Seconds, "jobmon", &[("timeout 1h", Goal::RatioAtMost(1.8))]))
}
