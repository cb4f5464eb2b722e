//! One module for each row of the table.

mod binary;
mod burst;
mod groups;
mod history;
mod idle;
mod push;
mod run;
mod start;
mod tail;
mod throughput;

use crate::sandbox::Bench;
use crate::table::Line;

/// One figure. A command that cannot be measured is a failed line, a figure that cannot be measured at all an error.
pub struct Row {
    /// Chooses it on the command line.
    pub name: &'static str,
    pub title: &'static str,
    pub measure: fn(&Bench) -> Result<Vec<Line>, String>,
}

/// In the order of the table.
pub const ROWS: &[Row] = &[
    Row { name: "start", title: "start delay: exec → the job's first instruction", measure: start::measure },
    Row { name: "run", title: "`true`, no gateway: wall", measure: run::measure },
    Row { name: "push", title: "`true`, one push: wall", measure: push::measure },
    Row { name: "tail", title: "a job of 200 ms: its end → delivered and ended", measure: tail::measure },
    Row { name: "idle", title: "while a job sleeps", measure: idle::measure },
    Row { name: "history", title: "history of 0, 10 thousand, 1 million runs", measure: history::measure },
    Row { name: "burst", title: "200 jobs at one instant: wall until all have ended", measure: burst::measure },
    Row { name: "groups", title: "a gateway with 10 000 groups", measure: groups::measure },
    Row { name: "throughput", title: "1 GB of output through it", measure: throughput::measure },
    Row { name: "binary", title: "binary, stripped", measure: binary::measure },
];
