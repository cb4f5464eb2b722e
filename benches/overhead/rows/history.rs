//! Whether years of runs make anything slower.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, params_from_iter, types::Value};

use crate::measure::{Contender, interleave};
use crate::recipes::{self, Wrapper};
use crate::registry;
use crate::sandbox::Bench;
use crate::table::{Goal, Line, Unit, compare};

/// Scripts on the machine, all with the same share of the history: so many that none has more than is kept.
const SCRIPTS: usize = 200;
/// The history reaches back so far, whatever its length.
const SPAN: f64 = 80.0 * 86_400.0;

pub fn measure(bench: &Bench) -> Result<Vec<Line>, String> {
    let million = if bench.quick { 100_000 } else { 1_000_000 };
    let sizes = [("0", 0), ("10 thousand", 10_000), ("1 million", million)];
    let states: Vec<PathBuf> = sizes.iter().map(|&(_, runs)| filled(bench, runs)).collect::<Result<_, _>>()?;

    let wrappers = |what: &str, words: &[&str]| -> Result<Vec<Wrapper>, String> {
        let of = |(size, state): (&(&str, usize), &PathBuf)| {
            recipes::jobmon_command(bench, &format!("{what}, {} runs", size.0), state, words)
        };
        sizes.iter().zip(&states).map(of).collect()
    };
    let runs = wrappers("run", &["run", "-n", "script-0", "--", "true"])?;
    let statuses = wrappers("status", &["status"])?;
    let histories = wrappers("history -n X", &["history", "-n", "script-0"])?;
    let timed = |wrapper: &Wrapper| Ok(wrapper.call::<&str>(&[])?.seconds());
    let run = runs.iter().map(|wrapper| Contender::new(&wrapper.who, move || timed(wrapper)));
    let read = statuses.iter().chain(&histories).map(|wrapper| {
        let mut checked = false;
        Contender::new(&wrapper.who, move || {
            if !checked && !wrapper.output::<&str>(&[])?.contains("script-0") {
                return Err("does not show the script".to_owned());
            }
            checked = true;
            timed(wrapper)
        })
    });
    let contenders = run.chain(read);
    let all = runs.iter().chain(&statuses).chain(&histories);
    let mut measured = interleave(bench.count(100), contenders.collect());
    for (measured, wrapper) in measured.iter_mut().zip(all) {
        if measured.series.is_ok() {
            measured.instructions = Some(wrapper.instructions::<&str>(bench, &[])?);
        }
    }

    for (state, &(_, runs)) in states.iter().zip(&sizes) {
        let kept = registry::runs(state)?;
        if kept < runs {
            return Err(format!(
                "of {runs} runs only {kept} are left: the history was shortened while it was measured"
            ));
        }
    }

    let reads = measured.split_off(sizes.len());
    // Ratios the other way round would be of the longest history: the run with it is what is in question.
    let mut lines = compare(measured, Unit::Seconds, "run, 1 million runs", &[("run, 0 runs", Goal::RatioAtMost(1.1))]);
    lines.extend(reads.into_iter().map(|measured| Line::of(measured, Unit::Seconds).goal(Goal::ValueAtMost(0.05))));
    Ok(lines)
}

/// A state directory whose registry jobmon itself has made, with so many more runs.
fn filled(bench: &Bench, runs: usize) -> Result<PathBuf, String> {
    let state = bench.directory("state")?;
    for script in 0..SCRIPTS {
        let name = format!("script-{script}");
        recipes::jobmon(bench, "jobmon", &state, &["-n", &name])?.call(&["true"])?;
    }
    multiply(&state.join("registry.db"), runs).map_err(|error| format!("filling the registry: {error}"))?;
    Ok(state)
}

/// Adds copies of the runs that are there, each with an identity and a time of its own. Works from the columns that it
/// finds: the layout of the registry is nobody's interface.
fn multiply(path: &Path, runs: usize) -> rusqlite::Result<()> {
    if runs == 0 {
        return Ok(());
    }
    let registry = Connection::open(path)?;
    registry.pragma_update(None, "synchronous", "OFF")?;
    let sample: i64 = registry.query_row("SELECT count(*) FROM runs", [], |row| row.get(0))?;
    let columns: Vec<(String, String, i64)> = registry
        .prepare("SELECT name, upper(type), pk FROM pragma_table_info('runs')")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64());
    let step = SPAN / runs as f64;

    let mut names = Vec::new();
    let mut values = Vec::new();
    let mut parameters: Vec<Value> = vec![Value::from(runs as i64), Value::from(sample)];
    for (name, kind, key) in columns {
        let sampled: Value =
            registry.query_row(&format!("SELECT \"{name}\" FROM runs LIMIT 1"), [], |row| row.get(0))?;
        let moment = match sampled {
            Value::Integer(moment) => Some(moment as f64),
            Value::Real(moment) => Some(moment),
            _ => None,
        };
        // A number that is now in some power of ten of a second is a time.
        let scale = moment.and_then(|moment| {
            [1.0, 1e3, 1e6, 1e9].into_iter().find(|scale| (moment / scale / now - 1.0).abs() < 0.01)
        });
        let value = match (&sampled, scale) {
            _ if key == 1 && kind == "INTEGER" => continue,
            (Value::Text(_), _) if name == "run_id" => {
                format!("substr(lower(hex(randomblob(length(\"{name}\")))), 1, length(\"{name}\"))")
            }
            (Value::Blob(_), _) if name == "run_id" => format!("randomblob(length(\"{name}\"))"),
            (_, Some(scale)) => {
                parameters.push(Value::from(step * scale));
                let moved = format!("\"{name}\" - ({runs} - n.i) * ?{}", parameters.len());
                if matches!(sampled, Value::Integer(_)) { format!("CAST({moved} AS INTEGER)") } else { moved }
            }
            _ => format!("\"{name}\""),
        };
        names.push(format!("\"{name}\""));
        values.push(value);
    }
    let names = names.join(", ");
    let insert = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1), \
         sample AS MATERIALIZED (SELECT *, row_number() OVER () AS nth FROM runs LIMIT ?2) \
         INSERT INTO runs ({names}) SELECT {} FROM n JOIN sample ON sample.nth = 1 + n.i % ?2 ORDER BY n.i",
        values.join(", ")
    );
    registry.execute(&insert, params_from_iter(parameters))?;
    registry.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
}
