//! `jobmon logs`: the kept output of one run.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use super::session::Session;
use crate::cli::history::LogsArgs;
use crate::config::Config;
use crate::record::Outcome;
use crate::registry::RunFilter;
use crate::text::timestamp;

/// Prints it as the job wrote it; 1 if there is no such run, it kept no output, or the registry cannot be read.
///
/// A run that was skipped did not run: it is passed over.
pub fn run(args: &LogsArgs, config: &Config) -> Result<ExitCode> {
    let name = args.name.to_string_lossy();
    let Some(mut session) = Session::open_for_reading(config)? else { return Ok(ExitCode::FAILURE) };
    let nth = usize::try_from(args.nth).unwrap_or(usize::MAX).min(i64::MAX as usize);
    let filter = RunFilter {
        labels: vec![("script_name".to_owned(), name.clone().into_owned())],
        outcomes: Outcome::ALL.into_iter().filter(|&outcome| outcome != Outcome::Skipped).collect(),
        limit: nth,
        ..RunFilter::default()
    };
    let runs = session.registry.runs(&filter)?;
    let Some(run) = runs.get(nth - 1) else {
        match runs.len() {
            0 => bail!("no run of {name:?} in the history: see \"jobmon status\" for names"),
            count => bail!("only {count} runs of {name:?} in the history"),
        }
    };
    let output = session.registry.output(&run.record.run_id)?.with_context(|| {
        let started = timestamp(run.record.facts.started_at);
        format!("the run of {name:?} at {started} kept no output: use \"jobmon run --tail\"")
    })?;
    Ok(super::print_bytes(&output, ExitCode::SUCCESS))
}
