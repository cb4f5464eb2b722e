//! How much later a job begins because something stands in front of it.

use std::fs;
use std::path::Path;

use crate::measure::{Contender, interleave};
use crate::recipes::{self, Wrapper};
use crate::sandbox::Bench;
use crate::table::{Goal, Line, Unit, compare};

/// From just before the fork (the same for all, about 0.1 ms) to the first act of a statically linked job.
pub fn measure(bench: &Bench) -> Result<Vec<Line>, String> {
    let stamps = bench.directory("stamps")?.join("stamps");
    let state = bench.directory("state")?;
    let wrappers = [
        recipes::jobmon(bench, "jobmon", &state, &[])?,
        recipes::direct(bench)?,
        recipes::timeout(bench)?,
        recipes::dumb_init(bench)?,
        recipes::runstat(bench)?,
        recipes::chronic(bench)?,
    ];
    let contenders = wrappers.iter().map(|wrapper| {
        let stride = if wrapper.who == "chronic" { 3 } else { 1 };
        Contender::new(&wrapper.who, || delay(bench, wrapper, &stamps)).every(stride)
    });
    let measured = interleave(bench.count(300), contenders.collect());
    Ok(compare(measured, Unit::Seconds, "jobmon", &[("timeout 1h", Goal::RatioAtMost(1.2))]))
}

fn delay(bench: &Bench, wrapper: &Wrapper, stamps: &Path) -> Result<f64, String> {
    clear(stamps)?;
    let call = wrapper.call(&[bench.stamp.as_os_str(), stamps.as_os_str()])?;
    Ok((read(stamps)?.began - call.began) as f64 / 1e9)
}

/// When the stamp program did its first and its last act.
pub struct Stamps {
    pub began: i64,
    pub ended: i64,
}

/// Readings of an earlier call must never pass for those of the next.
pub fn clear(stamps: &Path) -> Result<(), String> {
    fs::write(stamps, [0; 16]).map_err(|error| format!("{}: {error}", stamps.display()))
}

pub fn read(stamps: &Path) -> Result<Stamps, String> {
    let bytes = fs::read(stamps).map_err(|error| format!("{}: {error}", stamps.display()))?;
    let (first, second) = bytes.split_at_checked(8).ok_or("no stamps")?;
    let number = |bytes: &[u8]| bytes.try_into().map(i64::from_ne_bytes).map_err(|_| "half a stamp".to_owned());
    let stamps = Stamps { began: number(first)?, ended: number(second)? };
    if stamps.began == 0 || stamps.ended == 0 { Err("the job did not run".to_owned()) } else { Ok(stamps) }
}
