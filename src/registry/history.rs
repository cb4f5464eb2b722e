//! The history: every run that was recorded, its attempts and the end of its output, until retention takes them.

use std::cmp::Reverse;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::{Connection, OptionalExtension, Params, Row, Transaction, params};

use super::group_state::RunCounts;
use super::groups::{self, Group, GroupId, integer, natural};
use super::sql;
use crate::clock::{duration_of, nanos_of, nanos_of_duration, time_of};
use crate::grouping::GroupingKey;
use crate::record::{AttemptRecord, Outcome, RunFacts, RunId, RunRecord};

/// Which runs to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Labels that the group has, with these values; `job` and `script_name` are labels like any other.
    pub labels: Vec<(String, String)>,
    /// Only these outcomes; any, if there are none.
    pub outcomes: Vec<Outcome>,
    /// Only runs that ended at this time or later.
    pub ended_since: Option<SystemTime>,
    /// At most so many, the newest ones.
    pub limit: usize,
}

impl RunFilter {
    /// Whether the filter selects the group.
    pub fn selects(&self, key: &GroupingKey) -> bool {
        self.labels.iter().all(|(name, value)| key.get(name) == Some(value))
    }
}

/// A run of the history.
#[derive(Clone, Debug, PartialEq)]
pub struct PastRun {
    /// The record, attempts included; its output is left to [`super::Registry::output`].
    pub record: RunRecord,
    /// Whether the end of its output is kept.
    pub has_output: bool,
}

/// How long the history is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Runs that ended longer ago are removed.
    pub max_age: Duration,
    /// Of each group the newest so many runs are kept.
    pub runs_per_group: u32,
    /// Of each group the output of the newest so many runs that have one is kept.
    pub outputs_per_group: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { max_age: Duration::from_secs(400 * 24 * 3600), runs_per_group: 10_000, outputs_per_group: 50 }
    }
}

/// How many rows one transaction of retention removes at most: a few milliseconds' work.
const BATCH: u32 = 200;
/// Retention is due after so many runs, or after a day.
const RUNS_BETWEEN_RETENTIONS: i64 = 100;
const RETENTION_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// Adds a run and returns the id of its row; none, and nothing changes, if the history has it already.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    group: GroupId,
    record: &RunRecord,
) -> rusqlite::Result<Option<i64>> {
    let added = sql::execute(
        transaction,
        "INSERT INTO runs (run_id, group_id, command, started_at, ended_at, outcome, facts) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (run_id) DO NOTHING",
        params![
            record.run_id.as_str(),
            group.0,
            record.command,
            nanos_of(record.facts.started_at),
            nanos_of(record.facts.ended_at),
            record.facts.outcome as i64,
            serde_json::to_string(&record.facts).expect("numbers and texts are JSON"),
        ],
    )?;
    if added == 0 {
        return Ok(None);
    }
    let run = transaction.last_insert_rowid();
    for (number, attempt) in (1_i64..).zip(&record.attempts) {
        sql::execute(
            transaction,
            "INSERT INTO attempts (run, number, started_at, duration, exit_code) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![run, number, nanos_of(attempt.started_at), nanos_of_duration(attempt.duration), attempt.exit_code],
        )?;
    }
    if let Some(tail) = &record.output_tail {
        sql::execute(
            transaction,
            "INSERT INTO outputs (run, group_id, tail) VALUES (?1, ?2, ?3)",
            params![run, group.0, tail],
        )?;
    }
    Ok(Some(run))
}

/// Whether the history has the run.
pub(super) fn contains(connection: &Connection, run_id: &RunId) -> rusqlite::Result<bool> {
    sql::query_row(connection, "SELECT EXISTS (SELECT 1 FROM runs WHERE run_id = ?1)", [run_id.as_str()], |row| {
        row.get(0)
    })
}

/// Unsuccessful runs of a group that started after `time`, as far as the history goes back.
pub(super) fn failures_since(connection: &Connection, group: GroupId, time: SystemTime) -> rusqlite::Result<u64> {
    // `outcome <> 0` is what lets SQLite use the index of runs that were no plain success.
    sql::query_row(
        connection,
        "SELECT count(*) FROM runs WHERE group_id = ?1 AND outcome <> 0 AND outcome NOT IN (?2, ?3) AND started_at > ?4",
        params![group.0, Outcome::Warning as i64, Outcome::Skipped as i64, nanos_of(time)],
        |row| row.get(0).map(natural),
    )
}

/// The group's runs that ended until `end`, by outcome, and their summed duration, skipped ones left out.
pub(super) fn counted_until(
    connection: &Connection,
    group: GroupId,
    end: SystemTime,
) -> rusqlite::Result<(RunCounts, Duration)> {
    let all: Vec<RunFacts> = sql::query(
        connection,
        "SELECT facts FROM runs WHERE group_id = ?1 AND ended_at <= ?2",
        params![group.0, nanos_of(end)],
        |row| groups::json(row, 0),
    )?;
    let mut counts = [0; Outcome::ALL.len()];
    let mut total = Duration::ZERO;
    for facts in all {
        counts[facts.outcome as usize] += 1;
        if facts.outcome != Outcome::Skipped {
            total = total.saturating_add(facts.duration);
        }
    }
    Ok((RunCounts::new(counts), total))
}

/// Which runs are too old to be kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooOld {
    /// Those that ended before this.
    before: i64,
    /// The present: what ended after it was dated by another clock.
    now: i64,
    /// The clock has leapt.
    is_doubtful: bool,
}

impl TooOld {
    /// Whether what is remembered elsewhere may be forgotten for its age, too.
    pub(super) fn is_certain(self) -> bool {
        !self.is_doubtful
    }
}

/// The newest runs that the filter selects, newest first: in the order in which their ends became known.
pub(super) fn runs(transaction: &Transaction<'_>, filter: &RunFilter) -> rusqlite::Result<Vec<PastRun>> {
    let mut found: Vec<(i64, PastRun)> = Vec::new();
    // Unsuccessful runs are found by an index, but of one group at a time.
    let has_index = !filter.outcomes.is_empty() && !filter.outcomes.contains(&Outcome::Success);
    if filter.labels.is_empty() && !has_index {
        found = newest(transaction, None, filter)?;
    } else {
        for group in groups::all_with_retired(transaction)? {
            if filter.selects(&group.key) {
                found.extend(newest(transaction, Some(&group), filter)?);
            }
        }
        found.sort_by_key(|(id, _)| Reverse(*id));
        found.truncate(filter.limit);
    }
    let query = "SELECT started_at, duration, exit_code FROM attempts WHERE run = ?1 ORDER BY number";
    let mut attempts = transaction.prepare_cached(query)?;
    for (id, run) in &mut found {
        run.record.attempts = attempts.query_map([*id], attempt)?.collect::<Result<_, _>>()?;
    }
    Ok(found.into_iter().map(|(_, run)| run).collect())
}

/// The newest runs of one group, or of all.
fn newest(connection: &Connection, group: Option<&Group>, filter: &RunFilter) -> rusqlite::Result<Vec<(i64, PastRun)>> {
    let mut conditions = vec!["1".to_owned()];
    if let Some(group) = group {
        conditions.push(format!("runs.group_id = {}", group.id.0));
    }
    if !filter.outcomes.is_empty() {
        let outcomes: Vec<String> = filter.outcomes.iter().map(|outcome| (*outcome as i64).to_string()).collect();
        conditions.push(format!("runs.outcome IN ({})", outcomes.join(", ")));
        if !filter.outcomes.contains(&Outcome::Success) {
            conditions.push("runs.outcome <> 0".to_owned());
        }
    }
    if let Some(since) = filter.ended_since {
        conditions.push(format!("runs.ended_at >= {}", nanos_of(since)));
        conditions.push(format!("runs.id >= {}", first_since(connection, since)?));
    }
    let columns = ", runs.id, runs.run_id, runs.command, runs.facts, \
                   EXISTS (SELECT 1 FROM outputs WHERE outputs.run = runs.id)";
    // CROSS JOIN: the runs are found first, and each one's group by its id.
    let tail = format!(
        "FROM runs CROSS JOIN groups ON groups.id = runs.group_id WHERE {} ORDER BY runs.id DESC LIMIT {}",
        conditions.join(" AND "),
        integer(filter.limit as u64)
    );
    sql::query(connection, &groups::select(columns, &tail), [], past_run)
}

/// The id before which no run ended at `since` or later.
///
/// Ids are given when an end becomes known, which is after it happened. So the search goes back from the newest one, and
/// ends where so many runs in a row are older that no clock and no late arrival explains it.
fn first_since(connection: &Connection, since: SystemTime) -> rusqlite::Result<i64> {
    let query =
        "SELECT max(ended_at), min(id) FROM (SELECT id, ended_at FROM runs WHERE id < ?1 ORDER BY id DESC LIMIT 5000)";
    let mut block = connection.prepare_cached(query)?;
    let mut first = i64::MAX;
    loop {
        let (newest, id): (Option<i64>, Option<i64>) =
            block.query_row([first], |row| Ok((row.get(0)?, row.get(1)?)))?;
        match (newest, id) {
            (Some(newest), Some(id)) if newest >= nanos_of(since) => first = id,
            _ => return Ok(first),
        }
    }
}

fn past_run(row: &Row<'_>) -> rusqlite::Result<(i64, PastRun)> {
    let column = |number: usize| groups::WIDTH + number;
    let facts: RunFacts = groups::json(row, column(3))?;
    let (run_id, command) = (RunId::new(row.get::<_, String>(column(1))?), row.get(column(2))?);
    let record = RunRecord::new(run_id, groups::from_row(row)?.key, command, facts);
    Ok((row.get(column(0))?, PastRun { record, has_output: row.get(column(4))? }))
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<AttemptRecord> {
    Ok(AttemptRecord { started_at: time_of(row.get(0)?), duration: duration_of(row.get(1)?), exit_code: row.get(2)? })
}

/// The end of a run's output, if it is kept.
pub(super) fn output(connection: &Connection, run_id: &RunId) -> rusqlite::Result<Option<Vec<u8>>> {
    let query = "SELECT tail FROM outputs JOIN runs ON runs.id = outputs.run WHERE runs.run_id = ?1";
    sql::query_row(connection, query, [run_id.as_str()], |row| row.get(0)).optional()
}

/// Whether it is time for retention, after the run of row `run` was added. Cheap: asked after every run.
pub(super) fn is_retention_due(transaction: &Transaction<'_>, run: i64, now: SystemTime) -> rusqlite::Result<bool> {
    if run % RUNS_BETWEEN_RETENTIONS == 0 {
        return Ok(true);
    }
    // A time in the future was written by a clock that has since been put right.
    Ok(last_retention(transaction)?
        .is_none_or(|last| last > now || crate::clock::since(last, now) >= RETENTION_INTERVAL))
}

/// Retention begins: notes that, and says which runs are too old, by the time of their end.
///
/// A clock that has gone on by more than the longest age since the last retention has leapt, or the host was off for that
/// long. It would take everything at once, so it is not believed before it says so a second time.
pub(super) fn too_old(
    transaction: &Transaction<'_>,
    retention: &Retention,
    now: SystemTime,
) -> rusqlite::Result<TooOld> {
    let has_leapt = last_retention(transaction)?.is_some_and(|last| crate::clock::since(last, now) > retention.max_age);
    sql::execute(
        transaction,
        "INSERT INTO notes (name, value) VALUES ('retention', ?1) ON CONFLICT (name) DO UPDATE SET value = ?1",
        [nanos_of(now)],
    )?;
    let oldest = now.checked_sub(retention.max_age).filter(|_| !has_leapt);
    Ok(TooOld { before: oldest.map_or(i64::MIN, nanos_of), now: nanos_of(now), is_doubtful: has_leapt })
}

fn last_retention(transaction: &Transaction<'_>) -> rusqlite::Result<Option<SystemTime>> {
    let query = "SELECT value FROM notes WHERE name = 'retention'";
    let last: Option<i64> = sql::query_row(transaction, query, [], |row| row.get(0)).optional()?;
    Ok(last.map(time_of))
}

/// One batch of retention: removes what is too old or too much, and says how many rows that were. The caller goes on
/// while there is something to remove and time.
pub(super) fn retain(
    transaction: &Transaction<'_>,
    retention: &Retention,
    too_old: TooOld,
    until: Instant,
) -> rusqlite::Result<u64> {
    // The rows with the lowest ids are the oldest but for late arrivals, which then go a little later. So does what a
    // clock that was put back has dated years ago; what it has dated into the future keeps nothing else.
    let mut removed = remove(
        transaction,
        "SELECT id FROM (SELECT id, ended_at, max(iif(ended_at > ?3, NULL, ended_at)) OVER (ORDER BY id) AS newest \
         FROM (SELECT id, ended_at FROM runs ORDER BY id LIMIT ?1)) WHERE newest < ?2 AND ended_at < ?2",
        [i64::from(BATCH), too_old.before, too_old.now],
    )?;
    let ids: Vec<i64> = sql::query(transaction, "SELECT id FROM groups", [], |row| row.get(0))?;
    for group in ids {
        if removed >= u64::from(BATCH) || Instant::now() >= until {
            break;
        }
        removed += remove(
            transaction,
            "SELECT id FROM runs WHERE group_id = ?1 AND id <= \
             (SELECT id FROM runs WHERE group_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2) ORDER BY id LIMIT 200",
            [group, i64::from(retention.runs_per_group)],
        )?;
        removed += sql::execute(
            transaction,
            "DELETE FROM outputs WHERE run IN (SELECT run FROM outputs WHERE group_id = ?1 ORDER BY run DESC \
             LIMIT 200 OFFSET ?2)",
            [group, i64::from(retention.outputs_per_group)],
        )? as u64;
    }
    Ok(removed)
}

/// Removes the runs whose ids `select` yields, with all that belongs to them.
fn remove(transaction: &Transaction<'_>, select: &str, parameters: impl Params) -> rusqlite::Result<u64> {
    let ids: Vec<i64> = sql::query(transaction, select, parameters, |row| row.get(0))?;
    let mut attempts = transaction.prepare_cached("DELETE FROM attempts WHERE run = ?1")?;
    let mut outputs = transaction.prepare_cached("DELETE FROM outputs WHERE run = ?1")?;
    let mut runs = transaction.prepare_cached("DELETE FROM runs WHERE id = ?1")?;
    for id in &ids {
        attempts.execute([id])?;
        outputs.execute([id])?;
        runs.execute([id])?;
    }
    Ok(ids.len() as u64)
}

#[cfg(test)]
mod tests;
