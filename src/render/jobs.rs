//! The jobs of a host as a table and as JSON. Pure.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::harmless_json;
use super::table::{Align, Column, Table};
use crate::record::{Outcome, RunFacts};
use crate::schedules::host::Found;
use crate::schedules::scan::State;
use crate::text::{ago, timestamp};

/// The jobs that a host starts by itself, at one moment.
pub struct Jobs {
    /// The moment.
    pub now: SystemTime,
    /// The jobs, in the order in which they are shown.
    pub rows: Vec<JobRow>,
    /// The last run of each job that the registry knows, by its name.
    pub last_runs: BTreeMap<String, RunFacts>,
    /// What reads the crontabs.
    pub daemon: Option<Found>,
}

/// One job, wherever it was found.
pub struct JobRow {
    /// Its name; none of a line that is no job.
    pub name: Option<String>,
    /// Who runs it.
    pub user: Option<String>,
    /// When, as it is written.
    pub schedule: String,
    /// When it is due next, if that is known.
    pub next: Option<SystemTime>,
    /// File or unit.
    pub place: String,
    /// The number of its line in the file.
    pub line: Option<usize>,
    /// Its command, without jobmon.
    pub command: String,
    /// Whether it runs, and who watches it.
    pub state: State,
}

impl Jobs {
    /// The jobs as a table of at most `width` columns.
    pub fn table(&self, width: Option<usize>) -> String {
        let mut table = Table::new(vec![
            Column::text("NAME"),
            Column::fixed("USER", Align::Left),
            Column::fixed("SCHEDULE", Align::Left),
            Column::fixed("NEXT", Align::Left),
            Column::text("WHERE"),
            Column::text("STATE"),
        ]);
        for row in &self.rows {
            let next = row.next.map_or_else(|| "-".to_owned(), |next| ago(next, self.now));
            let place = row.line.map_or_else(|| row.place.clone(), |line| format!("{}:{line}", row.place));
            let or_dash = |text: Option<&str>| text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned();
            table.push([
                or_dash(row.name.as_deref()),
                or_dash(row.user.as_deref()),
                or_dash(Some(&row.schedule.split_ascii_whitespace().collect::<Vec<_>>().join(" "))),
                next,
                place,
                self.state(row),
            ]);
        }
        table.render(width)
    }

    fn last_run(&self, row: &JobRow) -> Option<&RunFacts> {
        row.name.as_ref().and_then(|name| self.last_runs.get(name))
    }

    fn state(&self, row: &JobRow) -> String {
        match &row.state {
            State::Broken(reason) => format!("will not run: {reason}"),
            State::Other(tool) => format!("watched by {tool}"),
            State::Unmonitored => "not watched".to_owned(),
            State::Jobmon { is_outdated } => {
                let result = match self.last_run(row) {
                    None => "no run yet".to_owned(),
                    Some(run) if run.outcome == Outcome::Success => format!("success {}", ago(run.ended_at, self.now)),
                    Some(run) => format!("{} {} (exit {})", run.outcome, ago(run.ended_at, self.now), run.exit_code),
                };
                let outdated = if *is_outdated { "; time was edited: \"jobmon cron wrap\" tells jobmon" } else { "" };
                format!("jobmon: {result}{outdated}")
            }
        }
    }

    /// The jobs and the daemon as one JSON document.
    pub fn json(&self) -> String {
        let rows: Vec<Value> = self.rows.iter().map(|row| self.row_as_json(row)).collect();
        let daemon = self.daemon.map(|daemon| json!({ "name": daemon.daemon.as_str(), "running": daemon.is_running }));
        harmless_json(format!("{:#}\n", json!({ "daemon": daemon, "jobs": rows })))
    }

    fn row_as_json(&self, row: &JobRow) -> Value {
        let (state, tool, reason, is_outdated) = match &row.state {
            State::Jobmon { is_outdated } => ("watched", Some("jobmon"), None, *is_outdated),
            State::Other(tool) => ("watched", Some(*tool), None, false),
            State::Unmonitored => ("not-watched", None, None, false),
            State::Broken(reason) => ("will-not-run", None, Some(reason.as_str()), false),
        };
        let last = self.last_run(row).filter(|_| tool == Some("jobmon"));
        json!({
            "name": row.name,
            "user": row.user,
            "schedule": row.schedule,
            "next": row.next.map(timestamp),
            "where": row.place,
            "line": row.line,
            "command": row.command,
            "state": state,
            "tool": tool,
            "reason": reason,
            "schedule_outdated": is_outdated,
            "last": last.map(|run| json!({
                "result": run.outcome.as_str(),
                "exit_code": run.exit_code,
                "ended_at": timestamp(run.ended_at),
            })),
        })
    }
}
