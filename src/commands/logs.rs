//! `jobmon logs`: the kept output of one run.

use std::process::ExitCode;

use super::stored;
use crate::cli::history::LogsArgs;
use crate::config::Config;
use crate::record::Outcome;
use crate::registry::RunFilter;
use crate::text::timestamp;

/// Prints it as the job wrote it; 1 if there is no such run, it kept no output, or the registry cannot be read.
///
/// A run that was skipped did not run: it is passed over.
pub fn run(args: &LogsArgs, config: &Config) -> ExitCode {
    let name = args.name.to_string_lossy();
    let mut stored = match stored::open(config) {
        Ok(Some(stored)) => stored,
        Ok(None) => return ExitCode::FAILURE,
        Err(error) => return super::fail(&error),
    };
    let nth = usize::try_from(args.nth).unwrap_or(usize::MAX).min(i64::MAX as usize);
    let filter = RunFilter {
        labels: vec![("script_name".to_owned(), name.clone().into_owned())],
        outcomes: Outcome::ALL.into_iter().filter(|&outcome| outcome != Outcome::Skipped).collect(),
        limit: nth,
        ..RunFilter::default()
    };
    let runs = match stored.registry.runs(&filter) {
        Ok(runs) => runs,
        Err(error) => return super::fail(&error),
    };
    let Some(run) = runs.get(nth - 1) else {
        return super::fail(&match runs.len() {
            0 => format!("no run of {name:?} in the history: see \"jobmon status\" for names"),
            count => format!("only {count} runs of {name:?} in the history"),
        });
    };
    match stored.registry.output(&run.record.run_id) {
        Ok(Some(output)) => super::print_bytes(&output, ExitCode::SUCCESS),
        Ok(None) => super::fail(&format!(
            "the run of {name:?} at {} kept no output: use \"jobmon run --tail\"",
            timestamp(run.record.started_at)
        )),
        Err(error) => super::fail(&error),
    }
}
