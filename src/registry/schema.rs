//! The tables, and how a database of an older jobmon becomes one of this version.
//!
//! All times and durations are nanoseconds (see [`super::clock`]). A released migration is never changed: a new version is
//! a new entry at the end.

use rusqlite::Connection;

use super::sql;

/// Takes a database from version N, the index, to N + 1. The version is SQLite's `user_version`.
pub(super) const MIGRATIONS: &[&str] = &[
    // 0 to 1: the first tables.
    "
    CREATE TABLE groups (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,             -- GroupingKey::canonical
        labels TEXT NOT NULL,                 -- the same as a JSON object, job included
        seq INTEGER NOT NULL,                 -- version of the state
        command TEXT NOT NULL,                -- of the most recently recorded run
        success INTEGER NOT NULL, failure INTEGER NOT NULL, timeout INTEGER NOT NULL,
        lost INTEGER NOT NULL, skipped INTEGER NOT NULL,
        duration_total INTEGER NOT NULL,
        last_start INTEGER,
        last_success INTEGER, last_failure INTEGER,
        consecutive_failures INTEGER NOT NULL,
        past_known INTEGER NOT NULL,          -- 1: nothing happened before this registry
        expected TEXT NOT NULL,               -- expectations of the last run, JSON
        registered TEXT NOT NULL,             -- expectations as registered, JSON
        route TEXT,                           -- delivery's own note
        retired INTEGER NOT NULL,             -- 1: unregistered, not shown
        -- the most recent finished run, or nulls
        run_started INTEGER, run_ended INTEGER, run_duration INTEGER, run_outcome INTEGER, run_exit_code INTEGER,
        run_signal INTEGER, run_cpu_user INTEGER, run_cpu_system INTEGER, run_max_resident INTEGER
    ) STRICT;

    -- AUTOINCREMENT is not needed: ids of the newest rows are never given twice while they exist, and order is all that
    -- they are for.
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE,
        group_id INTEGER NOT NULL,
        command TEXT NOT NULL,
        started_at INTEGER NOT NULL, ended_at INTEGER NOT NULL, duration INTEGER NOT NULL,
        outcome INTEGER NOT NULL,             -- index in Outcome::ALL
        exit_code INTEGER NOT NULL, signal INTEGER,
        cpu_user INTEGER NOT NULL, cpu_system INTEGER NOT NULL, max_resident INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX runs_of_group ON runs (group_id);
    CREATE INDEX runs_unsuccessful ON runs (group_id, outcome) WHERE outcome <> 0;

    CREATE TABLE attempts (
        run INTEGER NOT NULL, number INTEGER NOT NULL,
        started_at INTEGER NOT NULL, duration INTEGER NOT NULL, exit_code INTEGER NOT NULL,
        PRIMARY KEY (run, number)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE outputs (run INTEGER PRIMARY KEY, group_id INTEGER NOT NULL, tail BLOB NOT NULL) STRICT;
    CREATE INDEX outputs_of_group ON outputs (group_id);

    CREATE TABLE copies (
        group_id INTEGER NOT NULL, destination TEXT NOT NULL,
        wanted INTEGER NOT NULL,              -- 1: the state is to be there, 0: nothing of the group is to be there
        cleared INTEGER NOT NULL,             -- 1: deleted on purpose
        delivered_seq INTEGER NOT NULL,       -- the newest state that arrived, 0: none
        rejected_seq INTEGER NOT NULL,        -- the newest state that was refused for good, 0: none
        perhaps INTEGER NOT NULL,             -- 1: something of the group may be there
        owed_since INTEGER,                   -- null: nothing to do
        attempts INTEGER NOT NULL,            -- that failed, since the last success
        last_attempt INTEGER, last_error TEXT,
        settled_at INTEGER,                   -- the last success
        PRIMARY KEY (group_id, destination)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX copies_owed ON copies (last_attempt, owed_since) WHERE owed_since IS NOT NULL;
    CREATE INDEX copies_at ON copies (destination);

    CREATE TABLE gateways (
        url TEXT PRIMARY KEY,
        start_time TEXT,
        backoff_until INTEGER,
        failures INTEGER NOT NULL,
        last_error TEXT, last_failure INTEGER, last_success INTEGER
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE notes (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    ",
    // 1 to 2: requests that were given up and may be carried out late.
    "
    ALTER TABLE copies ADD COLUMN abandoned INTEGER NOT NULL DEFAULT 0;
    ",
    // 2 to 3: metrics of the jobs' own, in text format.
    "
    ALTER TABLE groups ADD COLUMN metrics_pushed TEXT NOT NULL DEFAULT '';
    ALTER TABLE groups ADD COLUMN metrics_of_run TEXT NOT NULL DEFAULT '';
    ",
    // 3 to 4: of a group only what queries ask for is a column, and of the copies only what every run asks for an index.
    "
    CREATE TABLE groups_4 (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,             -- GroupingKey::canonical
        seq INTEGER NOT NULL,                 -- version of the state
        retired INTEGER NOT NULL,             -- 1: unregistered, not shown
        state TEXT NOT NULL                   -- the rest, JSON: groups::Stored
    ) STRICT;
    INSERT INTO groups_4 (id, key, seq, retired, state) SELECT id, key, seq, retired, json_object(
        'labels', json(labels), 'command', command, 'counts', json_array(success, failure, timeout, lost, skipped),
        'duration_total', duration_total, 'last_start', last_start, 'last_success', last_success,
        'last_failure', last_failure, 'consecutive_failures', consecutive_failures,
        'past_known', json(iif(past_known, 'true', 'false')), 'expected', json(expected), 'registered', json(registered),
        'route', route, 'last_run', json(iif(run_started IS NULL, NULL, json_object(
            'started', run_started, 'ended', ifnull(run_ended, run_started), 'duration', run_duration,
            'outcome', run_outcome, 'exit_code', run_exit_code, 'signal', run_signal, 'cpu_user', run_cpu_user,
            'cpu_system', run_cpu_system, 'max_resident', run_max_resident))),
        'metrics_pushed', metrics_pushed, 'metrics_of_run', metrics_of_run) FROM groups;
    DROP TABLE groups;
    ALTER TABLE groups_4 RENAME TO groups;
    -- Asked only when a gateway was restarted, but read by every run.
    DROP INDEX copies_at;
    ",
];

/// The version that this jobmon writes.
pub(super) fn current_version() -> i64 {
    MIGRATIONS.len() as i64
}

/// The version of the database, 0 for one that has no tables yet.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    sql::query_row(connection, "PRAGMA user_version", [], |row| row.get(0))
}

/// Whether the tables are those that this jobmon knows.
pub(super) fn is_current(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(version(connection)? == current_version())
}

/// Whether there is no table at all: a new file, or one whose creation was cut short.
pub(super) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

/// Brings the database to the version that `migrations` lead to, in one transaction.
pub(super) fn migrate(connection: &Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let transaction = rusqlite::Transaction::new_unchecked(connection, rusqlite::TransactionBehavior::Immediate)?;
    let from = usize::try_from(version(&transaction)?).unwrap_or(usize::MAX);
    for migration in migrations.iter().skip(from) {
        transaction.execute_batch(migration)?;
    }
    if from < migrations.len() {
        transaction.execute_batch(&format!("PRAGMA user_version = {}", migrations.len()))?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_migrated_from_wherever_it_is_and_no_further() {
        let steps = ["CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y; INSERT INTO a VALUES (1, 2)", "DELETE FROM a"];
        let connection = Connection::open_in_memory().unwrap();
        assert!(is_empty(&connection).unwrap());
        for known in [1, 1, 2, 2, 3] {
            migrate(&connection, &steps[..known]).unwrap();
            assert_eq!(version(&connection).unwrap(), known as i64);
        }
        assert!(!is_empty(&connection).unwrap());
        migrate(&connection, &steps[..1]).unwrap();
        assert_eq!(version(&connection).unwrap(), 3, "an older jobmon does not turn it back");
    }

    #[test]
    fn a_migration_that_fails_leaves_everything_as_it_was() {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection, &["CREATE TABLE a (x)"]).unwrap();
        assert!(migrate(&connection, &["", "CREATE TABLE b (x)", "CREATE TABLE a (x)"]).is_err());
        assert_eq!(version(&connection).unwrap(), 1);
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 1);
    }
}
