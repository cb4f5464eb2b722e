//! What jobmon costs, side by side with what a user would take instead.
//!
//! `cargo bench --bench overhead` measures every row, `cargo bench --bench overhead -- start push` only those. All commands of a
//! row run interleaved (A B C, A B C, …), because on a shared machine only ratios taken in one run mean anything. Nothing is
//! asserted: the table says which figure was reached, and the exit status says only whether everything could be measured.
//!
//! [`rows`] says what is measured, [`recipes`] how each command is called, [`measure`] how a sample is taken, [`gateway`] owns
//! the real Pushgateway, [`table`] prints.
#![expect(clippy::disallowed_methods, reason = "std starts all that is compared alike, from outside")]
#![allow(
    unsafe_code,
    clippy::disallowed_types,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "rules of the program, not of what looks at it from outside"
)]

mod gateway;
mod machine;
mod measure;
mod recipes;
mod registry;
mod rows;
mod sandbox;
mod sys;
mod table;

use std::process::ExitCode;

use crate::sandbox::Bench;
use crate::table::{Line, Table};

const HELP: &str = "\
usage: cargo bench --bench overhead -- [--quick] [--write] [ROW]...

  --quick   fewer repetitions, smaller amounts; the table says so
  --write   put the table and the machine into benches/README.md (all rows, not with --quick)
  --list-rows

JOBMON_BENCH_BINARY=PATH measures another binary than the one just built.
";

fn main() -> ExitCode {
    let mut quick = false;
    let mut write = false;
    let mut called_by_cargo_bench = false;
    let mut chosen: Vec<String> = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--bench" => called_by_cargo_bench = true,
            "--quick" => quick = true,
            "--write" => write = true,
            "--list-rows" => {
                rows::ROWS.iter().for_each(|row| println!("{:<11} {}", row.name, row.title));
                return ExitCode::SUCCESS;
            }
            // Test runners ask every target for its tests, `cargo test --all-targets` for one.
            "--list" | "--test" => return ExitCode::SUCCESS,
            name if rows::ROWS.iter().any(|row| row.name == name) => chosen.push(name.to_owned()),
            other => {
                eprint!("unknown argument or row: {other}\n{HELP}");
                return ExitCode::from(64);
            }
        }
    }
    if !called_by_cargo_bench {
        eprint!("{HELP}");
        return ExitCode::SUCCESS;
    }
    if write && (quick || !chosen.is_empty()) {
        eprintln!("--write wants the whole measurement: no --quick, no rows");
        return ExitCode::from(64);
    }
    match measure_all(quick, write, &chosen) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("overhead: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything could be measured.
fn measure_all(quick: bool, write: bool, chosen: &[String]) -> Result<bool, String> {
    let bench = Bench::new(quick)?;
    let machine = machine::describe(&bench);
    let mut table = Table::default();
    for row in rows::ROWS.iter().filter(|row| chosen.is_empty() || chosen.iter().any(|name| name == row.name)) {
        eprintln!("measuring {}: {}", row.name, row.title);
        let lines = (row.measure)(&bench).unwrap_or_else(|error| vec![Line::failed("jobmon", error)]);
        for failure in lines.iter().filter_map(Line::failure) {
            eprintln!("FAILED {}: {failure}", row.name);
        }
        table.add(row.title, lines);
    }
    let text = format!("{machine}\n{table}");
    println!("{text}");
    if write {
        table::write_into_readme(&text)?;
    }
    Ok(!table.failed())
}
