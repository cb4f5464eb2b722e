//! The groups table: a [`GroupState`] as a row.

use std::collections::BTreeMap;
use std::time::SystemTime;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::clock::{duration_of, nanos_of, nanos_of_duration, time_of};
use super::group_state::{
    Expectations, GroupState, JobMetrics, LastRun, Past, Terms, expectations_as_json, key_of_labels,
};
use super::sql;
use crate::grouping::GroupingKey;
use crate::record::Outcome;

/// Names a group within one registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub(super) i64);

/// A group that the registry knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Names it within this registry.
    pub id: GroupId,
    /// Its grouping key.
    pub key: GroupingKey,
    /// What its runs add up to.
    pub state: GroupState,
    /// The command of the run recorded last, empty where there was none.
    pub command: String,
    /// [`Terms::route`] as it was last given.
    pub route: Option<String>,
    /// Unregistered: it is kept only for what is still to be deleted elsewhere, and not shown.
    pub retired: bool,
    expected: Expectations,
    registered: Expectations,
}

const COLUMNS: &str = "groups.id, groups.labels, groups.seq, groups.command, groups.success, groups.failure, \
    groups.timeout, groups.lost, groups.skipped, groups.duration_total, groups.last_start, groups.last_success, \
    groups.last_failure, groups.consecutive_failures, groups.past_known, groups.expected, groups.registered, \
    groups.route, groups.retired, groups.run_started, groups.run_ended, groups.run_duration, groups.run_outcome, \
    groups.run_exit_code, groups.run_signal, groups.run_cpu_user, groups.run_cpu_system, groups.run_max_resident, \
    groups.metrics_pushed, groups.metrics_of_run";

/// How many columns [`from_row`] takes up.
pub(super) const WIDTH: usize = 30;

/// `SELECT` of what [`from_row`] reads, with `more` columns behind it and `tail` from `FROM` on.
pub(super) fn select(more: &str, tail: &str) -> String {
    format!("SELECT {COLUMNS}{more} {tail}")
}

impl Group {
    /// Takes over what a run brought along.
    pub(super) fn expect(&mut self, terms: &Terms, now: SystemTime) {
        self.expected = terms.expectations.clone();
        self.settle_expectations(now);
        self.take_route(terms);
        self.retired = false;
    }

    /// Takes over what a registration says.
    pub(super) fn register(&mut self, terms: &Terms, now: SystemTime) {
        self.registered = terms.expectations.clone();
        self.settle_expectations(now);
        self.take_route(terms);
        self.retired = false;
        self.state.seq += 1;
    }

    /// What the last run said, else what was registered; and from whichever schedule that is, when the job is due next.
    /// Every report moves that time, also one of a run that knows nothing of a registered schedule.
    fn settle_expectations(&mut self, now: SystemTime) {
        let merged = self.expected.or(&self.registered);
        self.expected.next_start = merged.schedule.as_ref().and_then(|schedule| schedule.next_after(now));
        self.registered.next_start = None;
        self.state.expectations = self.expected.or(&self.registered);
    }

    /// Forgets everything but the key; a later run begins anew, and then it is known that nothing came before.
    pub(super) fn retire(&mut self) {
        let seq = self.state.seq + 1;
        self.state = GroupState { seq, past: Past::Known, ..GroupState::default() };
        self.expected = Expectations::default();
        self.registered = Expectations::default();
        self.route = None;
        self.retired = true;
    }

    /// Takes over metrics that were pushed for the job, and where the group is to be; nothing else changes.
    pub(super) fn push(&mut self, text: &str, replace: bool, terms: &Terms) {
        self.take_route(terms);
        self.retired = false;
        self.state.push(text, replace);
    }

    fn take_route(&mut self, terms: &Terms) {
        if terms.route.is_some() {
            self.route.clone_from(&terms.route);
        }
    }
}

/// The group of that key, if the registry knows it.
pub(super) fn find(connection: &Connection, key: &GroupingKey) -> rusqlite::Result<Option<Group>> {
    let id = sql::query_row(connection, "SELECT id FROM groups WHERE key = ?1", [key.canonical()], |row| row.get(0));
    id.optional()?.map(|id| get(connection, GroupId(id))).transpose()
}

/// The group of that id.
pub(super) fn get(connection: &Connection, id: GroupId) -> rusqlite::Result<Group> {
    sql::query_row(connection, &select("", "FROM groups WHERE id = ?1"), [id.0], from_row)
}

/// The group of that key; one that the registry meets for the first time has an unknown past.
pub(super) fn find_or_create(connection: &Connection, key: &GroupingKey) -> rusqlite::Result<Group> {
    if let Some(group) = find(connection, key)? {
        return Ok(group);
    }
    let labels = serde_json::to_string(&key.all_labels()).expect("a map with text keys is JSON");
    sql::execute(
        connection,
        "INSERT INTO groups (key, labels, seq, command, success, failure, timeout, lost, skipped, duration_total, \
         consecutive_failures, past_known, expected, registered, retired) \
         VALUES (?1, ?2, 0, '', 0, 0, 0, 0, 0, 0, 0, 0, '{}', '{}', 0)",
        params![key.canonical(), labels],
    )?;
    Ok(Group {
        id: GroupId(connection.last_insert_rowid()),
        key: key.clone(),
        state: GroupState::default(),
        command: String::new(),
        route: None,
        retired: false,
        expected: Expectations::default(),
        registered: Expectations::default(),
    })
}

/// Every group that is not retired, by id.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Group>> {
    sql::query(connection, &select("", "FROM groups WHERE retired = 0 ORDER BY id"), [], from_row)
}

/// Every group, by id; retired ones still have a history.
pub(super) fn all_with_retired(connection: &Connection) -> rusqlite::Result<Vec<Group>> {
    sql::query(connection, &select("", "FROM groups ORDER BY id"), [], from_row)
}

/// Writes back a group that was read in the same transaction.
pub(super) fn store(connection: &Connection, group: &Group) -> rusqlite::Result<()> {
    let state = &group.state;
    let count = |outcome| integer(state.counts.of(outcome));
    let run = state.last_run.as_ref();
    let changed = sql::execute(
        connection,
        "UPDATE groups SET seq = :seq, command = :command, success = :success, failure = :failure, \
         timeout = :timeout, lost = :lost, skipped = :skipped, duration_total = :duration_total, \
         last_start = :last_start, last_success = :last_success, last_failure = :last_failure, \
         consecutive_failures = :consecutive_failures, past_known = :past_known, expected = :expected, \
         registered = :registered, route = :route, retired = :retired, run_started = :run_started, \
         run_ended = :run_ended, run_duration = :run_duration, run_outcome = :run_outcome, \
         run_exit_code = :run_exit_code, run_signal = :run_signal, run_cpu_user = :run_cpu_user, \
         run_cpu_system = :run_cpu_system, run_max_resident = :run_max_resident, \
         metrics_pushed = :metrics_pushed, metrics_of_run = :metrics_of_run WHERE id = :id",
        named_params! {
            ":id": group.id.0,
            ":seq": integer(state.seq),
            ":command": group.command,
            ":success": count(Outcome::Success),
            ":failure": count(Outcome::Failure),
            ":timeout": count(Outcome::Timeout),
            ":lost": count(Outcome::Lost),
            ":skipped": count(Outcome::Skipped),
            ":duration_total": nanos_of_duration(state.duration_total),
            ":last_start": state.last_start.map(nanos_of),
            ":last_success": state.last_success.map(nanos_of),
            ":last_failure": state.last_failure.map(nanos_of),
            ":consecutive_failures": integer(state.consecutive_failures),
            ":past_known": state.past == Past::Known,
            ":expected": to_json(&group.expected),
            ":registered": to_json(&group.registered),
            ":route": group.route,
            ":retired": group.retired,
            ":run_started": run.map(|run| nanos_of(run.started_at)),
            ":run_ended": run.map(|run| nanos_of(run.ended_at)),
            ":run_duration": run.map(|run| nanos_of_duration(run.duration)),
            ":run_outcome": run.map(|run| run.outcome as i64),
            ":run_exit_code": run.map(|run| run.exit_code),
            ":run_signal": run.and_then(|run| run.signal),
            ":run_cpu_user": run.map(|run| nanos_of_duration(run.cpu_user)),
            ":run_cpu_system": run.map(|run| nanos_of_duration(run.cpu_system)),
            ":run_max_resident": run.map(|run| integer(run.max_resident_bytes)),
            ":metrics_pushed": state.job_metrics.pushed,
            ":metrics_of_run": state.job_metrics.of_last_run,
        },
    )?;
    debug_assert_eq!(changed, 1, "the group was read in this transaction");
    Ok(())
}

/// Reads what [`select`] selects.
pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Group> {
    let time = |column| row.get::<_, Option<i64>>(column).map(|nanos| nanos.map(time_of));
    let count = |column| row.get(column).map(natural);
    let labels: BTreeMap<String, String> = from_json(row, 1)?;
    let key = key_of_labels(labels).map_err(|error| unreadable(1, error))?;
    let (expected, registered) = (expectations(row, 15)?, expectations(row, 16)?);
    let mut state = GroupState {
        seq: count(2)?,
        duration_total: duration_of(row.get(9)?),
        last_start: time(10)?,
        last_success: time(11)?,
        last_failure: time(12)?,
        consecutive_failures: count(13)?,
        past: if row.get(14)? { Past::Known } else { Past::Unknown },
        expectations: expected.or(&registered),
        job_metrics: JobMetrics { pushed: row.get(28)?, of_last_run: row.get(29)? },
        ..GroupState::default()
    };
    for (column, outcome) in (4..).zip(Outcome::ALL) {
        state.counts.set(outcome, count(column)?);
    }
    if let Some(started_at) = time(19)? {
        let outcome = row.get::<_, Option<i64>>(22)?.and_then(outcome_of);
        state.last_run = Some(LastRun {
            started_at,
            ended_at: time(20)?.unwrap_or(started_at),
            duration: duration_of(row.get(21)?),
            outcome: outcome.ok_or_else(|| unreadable(22, std::fmt::Error))?,
            exit_code: row.get(23)?,
            signal: row.get(24)?,
            cpu_user: duration_of(row.get(25)?),
            cpu_system: duration_of(row.get(26)?),
            max_resident_bytes: count(27)?,
        });
    }
    Ok(Group {
        id: GroupId(row.get(0)?),
        key,
        state,
        command: row.get(3)?,
        route: row.get(17)?,
        retired: row.get(18)?,
        expected,
        registered,
    })
}

/// The outcome at that index of [`Outcome::ALL`].
pub(super) fn outcome_of(index: i64) -> Option<Outcome> {
    Outcome::ALL.get(usize::try_from(index).ok()?).copied()
}

/// A count as SQLite stores it.
pub(super) fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The inverse of [`integer`].
pub(super) fn natural(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// An optional time as SQLite stores it.
pub(super) fn optional_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<SystemTime>> {
    row.get::<_, Option<i64>>(column).map(|nanos| nanos.map(time_of))
}

fn to_json(expectations: &Expectations) -> String {
    let mut json = Vec::new();
    expectations_as_json::serialize(expectations, &mut serde_json::Serializer::new(&mut json))
        .expect("numbers are JSON, and memory takes all");
    String::from_utf8(json).expect("JSON is text")
}

fn expectations(row: &Row<'_>, column: usize) -> rusqlite::Result<Expectations> {
    let text: String = row.get(column)?;
    expectations_as_json::deserialize(&mut serde_json::Deserializer::from_str(&text))
        .map_err(|error| unreadable(column, error))
}

fn from_json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|error| unreadable(column, error))
}

fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
