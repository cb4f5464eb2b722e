//! What has to be copied to every machine.

use std::fs;
use std::process::Command;

use crate::measure::Series;
use crate::sandbox::Bench;
use crate::table::{Goal, Line, Unit};

pub fn measure(bench: &Bench) -> Result<Vec<Line>, String> {
    let stripped = bench.directory("binary")?.join("jobmon");
    let status = Command::new("strip").arg("-o").arg(&stripped).arg(&bench.jobmon).status();
    let status = status.map_err(|error| format!("strip: {error}"))?;
    if !status.success() {
        return Err(format!("strip {}: {status}", bench.jobmon.display()));
    }
    let size = fs::metadata(&stripped).map_err(|error| error.to_string())?.len();
    Ok(vec![Line::new("jobmon", Unit::Bytes, Series::one(size as f64)).goal(Goal::ValueAtMost(8e6))])
}
