//! The groups table: a [`GroupState`] as a row.

use std::collections::BTreeMap;
use std::time::SystemTime;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::group_state::{
    Declaration, Expectations, GroupState, JobMetrics, Past, expectations_as_json, key_of_labels,
};
use super::sql;
use crate::clock::{duration_of, nanos_of, nanos_of_duration, time_of};
use crate::grouping::{GroupingKey, LabelError};
use crate::metrics::Timestamp;
use crate::record::{Outcome, RunFacts};

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
    /// Whether somebody was told that its name may be that of several jobs.
    pub name_questioned: bool,
    /// [`Declaration::route`] as it was last given.
    pub route: Option<String>,
    /// Unregistered: it is kept only for what is still to be deleted elsewhere, and not shown.
    pub retired: bool,
    expected: Expectations,
    registered: Expectations,
}

const COLUMNS: &str = "groups.id, groups.seq, groups.retired, groups.state";

/// How many columns [`from_row`] takes up.
pub(super) const WIDTH: usize = 4;

/// `SELECT` of what [`from_row`] reads, with `more` columns behind it and `tail` from `FROM` on.
pub(super) fn select(more: &str, tail: &str) -> String {
    format!("SELECT {COLUMNS}{more} {tail}")
}

impl Group {
    /// Takes over what a run brought along.
    pub(super) fn expect(&mut self, declaration: &Declaration, now: SystemTime) {
        self.expected = declaration.expectations.clone();
        self.update_expectations(now);
        self.take_route(declaration);
        self.retired = false;
    }

    /// Takes over what a registration says.
    pub(super) fn register(&mut self, declaration: &Declaration, now: SystemTime) {
        self.registered = declaration.expectations.clone();
        self.update_expectations(now);
        self.take_route(declaration);
        self.retired = false;
        self.state.seq += 1;
    }

    /// What the last run said, else what was registered; and from whichever schedule that is, when the job is due next.
    /// Every report moves that time, also one of a run that knows nothing of a registered schedule.
    fn update_expectations(&mut self, now: SystemTime) {
        let merged = self.expected.or(&self.registered);
        self.expected.next_start = merged.schedule.as_ref().and_then(|schedule| schedule.next_after(now));
        self.registered.next_start = None;
        self.state.expectations = self.expected.or(&self.registered);
    }

    /// Forgets everything but the key; a later run begins anew, and then it is known that nothing came before.
    pub(super) fn retire(&mut self) {
        let GroupState { seq, stamp, newest_sent, .. } = self.state;
        self.state = GroupState { seq: seq + 1, stamp, newest_sent, past: Past::Known, ..GroupState::default() };
        self.expected = Expectations::default();
        self.registered = Expectations::default();
        self.name_questioned = false;
        self.route = None;
        self.retired = true;
    }

    /// Takes over metrics that were pushed for the job, and where the group is to be; nothing else changes.
    pub(super) fn push(&mut self, text: &str, replace: bool, declaration: &Declaration) {
        self.take_route(declaration);
        self.retired = false;
        self.state.push(text, replace);
    }

    fn take_route(&mut self, declaration: &Declaration) {
        if declaration.route.is_some() {
            self.route.clone_from(&declaration.route);
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
    let mut group = Group {
        id: GroupId(0),
        key: key.clone(),
        state: GroupState::default(),
        command: String::new(),
        name_questioned: false,
        route: None,
        retired: false,
        expected: Expectations::default(),
        registered: Expectations::default(),
    };
    sql::execute(
        connection,
        "INSERT INTO groups (key, seq, retired, state) VALUES (?1, 0, 0, ?2)",
        params![key.canonical(), StoredGroup::of(&group).to_json()],
    )?;
    group.id = GroupId(connection.last_insert_rowid());
    Ok(group)
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
    let changed = sql::execute(
        connection,
        "UPDATE groups SET seq = ?2, retired = ?3, state = ?4 WHERE id = ?1",
        params![group.id.0, integer(group.state.seq), group.retired, StoredGroup::of(group).to_json()],
    )?;
    debug_assert_eq!(changed, 1, "the group was read in this transaction");
    Ok(())
}

/// Reads what [`select`] selects.
pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Group> {
    let stored: StoredGroup = json(row, 3)?;
    let (id, seq, retired) = (GroupId(row.get(0)?), row.get(1).map(natural)?, row.get(2)?);
    stored.into_group(id, seq, retired).map_err(|error| unreadable(3, error))
}

/// What a row says of its group besides what queries ask for: a JSON object, read and written as a whole, because to
/// compile a statement takes as long as it has columns. Times and durations are nanoseconds; fields that a jobmon does not
/// find have their defaults.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct StoredGroup {
    /// All labels, job included.
    labels: BTreeMap<String, String>,
    command: String,
    stamp: Timestamp,
    newest_sent: Timestamp,
    running: u32,
    name_questioned: bool,
    /// By [`Outcome::ALL`].
    counts: [u64; Outcome::ALL.len()],
    duration_total: i64,
    last_start: Option<i64>,
    last_success: Option<i64>,
    last_failure: Option<i64>,
    consecutive_failures: u64,
    past_known: bool,
    #[serde(with = "expectations_as_json")]
    expected: Expectations,
    #[serde(with = "expectations_as_json")]
    registered: Expectations,
    route: Option<String>,
    last_run: Option<RunFacts>,
    metrics_pushed: String,
    metrics_of_run: String,
}

impl StoredGroup {
    fn of(group: &Group) -> Self {
        let state = &group.state;
        Self {
            labels: group
                .key
                .all_labels()
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            command: group.command.clone(),
            stamp: state.stamp,
            newest_sent: state.newest_sent,
            running: state.running,
            name_questioned: group.name_questioned,
            counts: Outcome::ALL.map(|outcome| state.counts.of(outcome)),
            duration_total: nanos_of_duration(state.duration_total),
            last_start: state.last_start.map(nanos_of),
            last_success: state.last_success.map(nanos_of),
            last_failure: state.last_failure.map(nanos_of),
            consecutive_failures: state.consecutive_failures,
            past_known: state.past == Past::Known,
            expected: group.expected.clone(),
            registered: group.registered.clone(),
            route: group.route.clone(),
            last_run: state.last_run.clone(),
            metrics_pushed: state.job_metrics.pushed.clone(),
            metrics_of_run: state.job_metrics.of_last_run.clone(),
        }
    }

    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers, texts and maps with text keys are JSON")
    }

    fn into_group(self, id: GroupId, seq: u64, retired: bool) -> Result<Group, LabelError> {
        let mut state = GroupState {
            seq,
            stamp: self.stamp,
            newest_sent: self.newest_sent,
            running: self.running,
            duration_total: duration_of(self.duration_total),
            last_start: self.last_start.map(time_of),
            last_run: self.last_run,
            last_success: self.last_success.map(time_of),
            last_failure: self.last_failure.map(time_of),
            consecutive_failures: self.consecutive_failures,
            past: if self.past_known { Past::Known } else { Past::Unknown },
            expectations: self.expected.or(&self.registered),
            job_metrics: JobMetrics { pushed: self.metrics_pushed, of_last_run: self.metrics_of_run },
            ..GroupState::default()
        };
        for (outcome, count) in Outcome::ALL.into_iter().zip(self.counts) {
            state.counts.set(outcome, count);
        }
        Ok(Group {
            id,
            key: key_of_labels(self.labels)?,
            state,
            command: self.command,
            name_questioned: self.name_questioned,
            route: self.route,
            retired,
            expected: self.expected,
            registered: self.registered,
        })
    }
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

/// What a column of JSON says.
pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|error| unreadable(column, error))
}

fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::expectation::{Amounts, Expectation};
    use crate::registry::group_state::ScheduleSpec;
    use crate::registry::schema;
    use crate::registry::testing::{at, key};

    #[test]
    fn a_group_is_read_as_it_was_stored() {
        let connection = Connection::open_in_memory().unwrap();
        schema::create(&connection).unwrap();
        let new = find_or_create(&connection, &key("full")).unwrap();
        assert_eq!((&new.state, new.retired), (&GroupState::default(), false));
        let mut state = GroupState {
            seq: 12,
            stamp: Timestamp::of(at(5)),
            newest_sent: Timestamp::of(at(4)),
            running: 3,
            duration_total: Duration::from_millis(1500),
            last_start: Some(at(1)),
            last_run: Some(RunFacts {
                started_at: at(1),
                ended_at: at(2),
                duration: Duration::from_micros(1),
                outcome: Outcome::Failure,
                exit_code: 143,
                signal: Some(15),
                cpu_user: Duration::from_nanos(1),
                cpu_system: Duration::from_nanos(2),
                max_resident_bytes: 3,
                run_url: Some("https://ci/1".into()),
            }),
            last_success: Some(at(2)),
            last_failure: Some(at(3)),
            consecutive_failures: 2,
            past: Past::Known,
            job_metrics: JobMetrics { pushed: "a 1\n".into(), of_last_run: "b{c=\"d\"} 2\n".into() },
            ..GroupState::default()
        };
        for (outcome, count) in Outcome::ALL.into_iter().zip(1..) {
            state.counts.set(outcome, count);
        }
        let amount = |what, time| Amounts::default().with_time(what, time);
        let expected =
            Expectations { amounts: amount(Expectation::Grace, Duration::from_secs(2)), ..Expectations::default() };
        let registered = Expectations {
            schedule: Some(ScheduleSpec { cron: "@daily".into(), zone: None }),
            amounts: amount(Expectation::Ttl, Duration::from_nanos(1)),
            ..Expectations::default()
        };
        state.expectations = expected.or(&registered);
        let full = Group {
            id: new.id,
            key: key("full"),
            state,
            command: "backup \"two words\"".into(),
            name_questioned: true,
            route: Some("{\"gateways\":[]}".into()),
            retired: false,
            expected,
            registered,
        };
        store(&connection, &full).unwrap();
        assert_eq!(find(&connection, &key("full")).unwrap(), Some(full));
    }

    #[test]
    fn a_row_that_makes_no_sense_is_an_error() {
        let connection = Connection::open_in_memory().unwrap();
        schema::create(&connection).unwrap();
        let group = find_or_create(&connection, &key("x")).unwrap();
        for state in ["", "[]", "{}", r#"{"labels":{"job":""}}"#, r#"{"labels":{"job":"j"},"counts":[-1]}"#] {
            connection.execute("UPDATE groups SET state = ?1", [state]).unwrap();
            assert!(get(&connection, group.id).is_err(), "{state}");
        }
    }
}
