//! The status of groups as tables and as JSON. Pure.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::labels::differing;
use super::table::{Align, Column, Table};
use crate::destination::Sink;
use crate::grouping::GroupingKey;
use crate::metrics::unix_seconds;
use crate::record::Outcome;
use crate::registry::{GroupState, GroupStatus, Replica, ReplicaStatus, RunFilter, RunStart};
use crate::text::{age_text, ago, duration};

/// Groups at one moment.
pub struct Status {
    /// The moment.
    pub now: SystemTime,
    /// The groups, by name.
    pub rows: Vec<StatusRow>,
}

/// One group.
pub struct StatusRow {
    key: GroupingKey,
    command: String,
    state: GroupState,
    replicas: Vec<Replica>,
    /// When its runs in progress have started, oldest first.
    running: Vec<SystemTime>,
}

/// Something that a destination has not got yet, for one or several groups.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Owed<'a> {
    sink: &'a Sink,
    what: &'static str,
    why: &'a str,
}

impl Status {
    /// Takes in what `filter` selects; a run in progress may be the first that is heard of its group.
    pub fn collect(&mut self, groups: Vec<GroupStatus>, running: Vec<RunStart>, filter: &RunFilter) {
        let mut rows: BTreeMap<GroupingKey, StatusRow> = BTreeMap::new();
        for GroupStatus { group, replicas } in groups.into_iter().filter(|status| filter.selects(&status.group.key)) {
            let row =
                StatusRow { key: group.key, command: group.command, state: group.state, replicas, running: Vec::new() };
            rows.insert(row.key.clone(), row);
        }
        for run in running.into_iter().filter(|run| filter.selects(&run.grouping_key)) {
            let row = rows.entry(run.grouping_key.clone()).or_insert_with(|| StatusRow {
                key: run.grouping_key,
                command: run.command,
                state: GroupState::default(),
                replicas: Vec::new(),
                running: Vec::new(),
            });
            row.running.push(run.facts.started_at);
        }
        self.rows = rows.into_values().collect();
        self.rows.sort_by_cached_key(|row| (row.key.script_name().to_owned(), row.key.clone()));
    }

    /// For people: at most `width` columns wide.
    pub fn table(&self, width: Option<usize>) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let labels = differing(self.rows.iter().map(|row| &row.key));
        let labelled = labels.iter().any(|labels| !labels.is_empty());
        let busy = self.rows.iter().any(|row| !row.running.is_empty());
        let mut columns = vec![Column::text("NAME")];
        columns.extend(labelled.then(|| Column::text("LABELS")));
        columns.extend([Column::fixed("RESULT", Align::Left), Column::fixed("EXIT", Align::Right)]);
        columns.extend([Column::fixed("DURATION", Align::Right), Column::fixed("ENDED", Align::Right)]);
        columns.extend(busy.then(|| Column::fixed("RUNNING", Align::Left)));
        columns.push(Column::fixed("DELIVERED", Align::Left));
        let url = |row: &StatusRow| row.state.last_run.as_ref().and_then(|run| run.run_url.clone());
        let has_url = self.rows.iter().any(|row| url(row).is_some());
        columns.extend(has_url.then(|| Column::text("URL")));
        let mut table = Table::new(columns);
        for (row, labels) in self.rows.iter().zip(labels) {
            let mut cells = vec![row.key.script_name().to_owned()];
            cells.extend(labelled.then_some(labels));
            match &row.state.last_run {
                Some(run) => cells.extend([
                    run.outcome.to_string(),
                    run.exit_code.to_string(),
                    duration(run.duration),
                    ago(run.ended_at, self.now),
                ]),
                None => cells.extend(["-"; 4].map(str::to_owned)),
            }
            cells.extend(busy.then(|| self.running(row)));
            cells.push(self.delivered(row));
            cells.extend(has_url.then(|| url(row).unwrap_or_default()));
            table.push(cells);
        }
        table.render(width) + &self.owed_table(width)
    }

    /// `12s`, `2 since 3h`, or nothing.
    fn running(&self, row: &StatusRow) -> String {
        let since = |start: SystemTime| age_text(self.now.duration_since(start).unwrap_or_default());
        match row.running.as_slice() {
            [] => String::new(),
            [start] => since(*start),
            [first, ..] => format!("{} since {}", row.running.len(), since(*first)),
        }
    }

    /// One word for all destinations: the one that most needs somebody's attention.
    fn delivered(&self, row: &StatusRow) -> String {
        let is = |standing| row.replicas.iter().any(|replica| replica.status(row.state.seq) == standing);
        if is(ReplicaStatus::Rejected) {
            "rejected".to_owned()
        } else if is(ReplicaStatus::Pending) {
            let since = row.replicas.iter().filter(|replica| replica.status(row.state.seq) == ReplicaStatus::Pending);
            let since = since.filter_map(|replica| replica.pending_since).min();
            format!("pending {}", since.map(|since| self.age(since)).unwrap_or_default()).trim_end().to_owned()
        } else if is(ReplicaStatus::Delivered) {
            "yes".to_owned()
        } else {
            "-".to_owned()
        }
    }

    fn age(&self, since: SystemTime) -> String {
        age_text(self.now.duration_since(since).unwrap_or_default())
    }

    /// What is owed, to whom, since when and why; what is the same for several groups is one line.
    fn owed_table(&self, width: Option<usize>) -> String {
        let mut lines: BTreeMap<Owed<'_>, (Vec<&str>, Option<SystemTime>)> = BTreeMap::new();
        for row in &self.rows {
            for replica in &row.replicas {
                let Some(what) = pending_action(replica.status(row.state.seq)) else { continue };
                let why = replica.last_error.as_deref().unwrap_or("not tried yet");
                let owed = Owed { sink: &replica.sink, what, why };
                let (names, since) = lines.entry(owed).or_default();
                names.push(row.key.script_name());
                *since = [*since, replica.pending_since].into_iter().flatten().min();
            }
        }
        if lines.is_empty() {
            return String::new();
        }
        let mut table = Table::new(vec![
            Column::text("OWED TO"),
            Column::fixed("WHAT", Align::Left),
            Column::text("GROUPS"),
            Column::fixed("SINCE", Align::Right),
            Column::text("WHY"),
        ]);
        for (owed, (names, since)) in lines {
            let groups = if let [name] = names.as_slice() { (*name).to_owned() } else { names.len().to_string() };
            let since = since.map(|since| ago(since, self.now)).unwrap_or_default();
            table.push([&owed.sink.to_string(), owed.what, &groups, &since, owed.why]);
        }
        format!("\n{}", table.render(width))
    }

    /// For scripts: one document.
    pub fn json(&self) -> String {
        let groups: Vec<Value> = self.rows.iter().map(StatusRow::json).collect();
        format!("{:#}\n", json!({ "groups": groups }))
    }
}

/// What is to be done where a replica stands so.
fn pending_action(standing: ReplicaStatus) -> Option<&'static str> {
    match standing {
        ReplicaStatus::Pending => Some("push"),
        ReplicaStatus::Rejected => Some("refused"),
        ReplicaStatus::Stale => Some("delete"),
        ReplicaStatus::Delivered | ReplicaStatus::Gone => None,
    }
}

impl StatusRow {
    fn json(&self) -> Value {
        let state = &self.state;
        let runs: serde_json::Map<String, Value> =
            Outcome::ALL.iter().map(|&outcome| (outcome.to_string(), state.counts.of(outcome).into())).collect();
        let last_run = state.last_run.as_ref().map(|run| {
            let named = run.named().into_iter();
            named.map(|(name, fact)| (name.to_owned(), fact)).collect::<serde_json::Map<_, _>>()
        });
        let replicas: Vec<Value> = self
            .replicas
            .iter()
            .filter(|replica| replica.status(state.seq) != ReplicaStatus::Gone)
            .map(|replica| {
                json!({
                    "destination": replica.sink,
                    "delivered": replica.status(state.seq) == ReplicaStatus::Delivered,
                    "owed": pending_action(replica.status(state.seq)),
                    "owed_since_seconds": replica.pending_since.map(unix_seconds),
                    "attempts": replica.attempts,
                    "last_attempt_time_seconds": replica.last_attempt.map(unix_seconds),
                    "last_error": replica.last_error,
                })
            })
            .collect();
        json!({
            "labels": self.key.all_labels(),
            "command": self.command,
            "last_run": last_run,
            "last_success_time_seconds": state.last_success.map(unix_seconds),
            "last_failure_time_seconds": state.last_failure.map(unix_seconds),
            "consecutive_failures": state.consecutive_failures,
            "runs": runs,
            "running_since_seconds": self.running.iter().copied().map(unix_seconds).collect::<Vec<_>>(),
            "destinations": replicas,
        })
    }
}
