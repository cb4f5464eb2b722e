//! The tables of the database, and its version.
//!
//! All times and durations are nanoseconds (see [`crate::clock`]). The version is SQLite's `user_version`: a jobmon leaves
//! a database of another version alone, also one that changes while it is open.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::sql;

/// The version that this jobmon writes.
pub(super) const VERSION: i64 = 1;

const TABLES: &str = "
    CREATE TABLE groups (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,             -- GroupingKey::canonical
        seq INTEGER NOT NULL,                 -- version of the state
        retired INTEGER NOT NULL,             -- 1: unregistered, not shown
        state TEXT NOT NULL                   -- the rest, JSON: groups::StoredGroup
    ) STRICT;

    -- AUTOINCREMENT is not needed: ids of the newest rows are never given twice while they exist, and order is all that
    -- they are for.
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE,
        group_id INTEGER NOT NULL,
        command TEXT NOT NULL,
        -- Of the facts, what queries ask for; outcome is the index in Outcome::ALL.
        started_at INTEGER NOT NULL, ended_at INTEGER NOT NULL, outcome INTEGER NOT NULL,
        facts TEXT NOT NULL                   -- JSON: RunFacts
    ) STRICT;
    CREATE INDEX runs_of_group ON runs (group_id);
    CREATE INDEX runs_notable ON runs (group_id, outcome) WHERE outcome <> 0;

    CREATE TABLE attempts (
        run INTEGER NOT NULL, number INTEGER NOT NULL,
        started_at INTEGER NOT NULL, duration INTEGER NOT NULL, exit_code INTEGER NOT NULL,
        PRIMARY KEY (run, number)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE outputs (run INTEGER PRIMARY KEY, group_id INTEGER NOT NULL, tail BLOB NOT NULL) STRICT;
    CREATE INDEX outputs_of_group ON outputs (group_id);

    CREATE TABLE replicas (
        group_id INTEGER NOT NULL, sink TEXT NOT NULL,
        desired INTEGER NOT NULL,             -- 1: the state is to be there, 0: nothing of the group is to be there
        cleared INTEGER NOT NULL DEFAULT 0,   -- 1: deleted on purpose
        delivered_seq INTEGER NOT NULL DEFAULT 0, -- the newest state that arrived, 0: none
        rejected_seq INTEGER NOT NULL DEFAULT 0, -- the newest state that was refused for good, 0: none
        may_exist INTEGER NOT NULL,           -- 1: something of the group may be there
        pending_since INTEGER,                -- null: nothing to do
        attempts INTEGER NOT NULL DEFAULT 0,  -- that failed, since the last success
        last_attempt INTEGER, last_error TEXT,
        succeeded_at INTEGER,                 -- the last success
        abandoned INTEGER NOT NULL DEFAULT 0, -- 1: a request was given up that may still be carried out
        series TEXT NOT NULL DEFAULT '',      -- of a sink that keeps the past: what it may have, one on each line
        PRIMARY KEY (group_id, sink)
    ) STRICT, WITHOUT ROWID;
    -- What is asked only when a gateway was restarted has no index: every run would read it.
    CREATE INDEX replicas_pending ON replicas (last_attempt, pending_since) WHERE pending_since IS NOT NULL;

    CREATE TABLE sink_health (
        sink TEXT PRIMARY KEY,
        start_time TEXT,
        proven INTEGER NOT NULL DEFAULT 0,    -- 1: it has shown that it is what its name says
        result_failed INTEGER NOT NULL DEFAULT 0, -- 1: it backs off because of a run's result, and not of less
        backoff_until INTEGER,
        failures INTEGER NOT NULL,
        last_error TEXT, last_failure INTEGER, last_success INTEGER
    ) STRICT, WITHOUT ROWID;

    -- What a sink refuses to some, or of some kind, backs off for itself.
    CREATE TABLE refusals (
        sink TEXT NOT NULL,
        action INTEGER NOT NULL,              -- 0: pushes, 1: deletions
        settings INTEGER NOT NULL,            -- Settings
        failures INTEGER NOT NULL, backoff_until INTEGER, last_error TEXT NOT NULL,
        PRIMARY KEY (sink, action, settings)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE notes (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

/// The version of the database, 0 for one that has no tables yet.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    sql::query_row(connection, "PRAGMA user_version", [], |row| row.get(0))
}

/// Whether there is no table at all: a new file, or one whose creation was cut short.
pub(super) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

/// Makes the tables, all or none, unless another process has done it meanwhile.
pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    if version(&transaction)? == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.execute_batch(&format!("PRAGMA user_version = {VERSION}"))?;
    }
    transaction.commit()
}
