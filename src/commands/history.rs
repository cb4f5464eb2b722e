//! `jobmon history`: past runs, newest first.

use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Result;

use super::session::{Session, filter};
use crate::cli::history::{HistoryArgs, ListingFormat};
use crate::config::Config;
use crate::record::Outcome;
use crate::render::history::History;

/// Prints them; 0 also if there are none, 1 if the registry cannot be read or was damaged.
pub fn run(args: &HistoryArgs, config: &Config) -> Result<ExitCode> {
    let mut history = History::default();
    let mut code = ExitCode::SUCCESS;
    if let Some(mut session) = Session::open_for_reading(config)? {
        code = session.exit_code();
        let mut filter = filter(&args.filter);
        filter.outcomes = args.result.as_deref().and_then(Outcome::from_name).into_iter().collect();
        filter.ended_since = args.since.and_then(|since| SystemTime::now().checked_sub(since));
        // SQLite counts with 63 bits.
        filter.limit = usize::try_from(args.limit).ok().filter(|&limit| limit > 0).unwrap_or(i64::MAX as usize);
        let runs = session.registry.runs(&filter)?;
        if runs.is_empty() {
            super::complain("no run of the history is selected");
        }
        for run in runs {
            let output = match args.output && run.has_output {
                true => session.registry.output(&run.record.run_id).unwrap_or_default(),
                false => None,
            };
            history.runs.push((run, output));
        }
    }
    let text = match args.format {
        ListingFormat::Table if args.output => history.in_full(),
        ListingFormat::Table => history.table(super::terminal_width()),
        ListingFormat::Json => history.json(args.output),
        ListingFormat::Csv => history.csv(args.output),
    };
    Ok(super::print(&text, code))
}
