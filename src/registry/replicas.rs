//! Replicas: which sink is to hold a group's state, which state it holds, and what is still to be done.
//!
//! What is pending is a group, not a message: the state is rendered when it is sent, so that many missed runs cost one
//! request and an old state never follows a newer one. A replica is written down before the first request that could make
//! it, and stays written down until its deletion was confirmed. How a sink is chosen, and every request, belongs to
//! [`crate::delivery`].

use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::groups::{self, Group, GroupId, integer, natural, optional_time};
use super::sink_health;
use super::sql;
use crate::clock::nanos_of;
use crate::destination::Sink;

/// What is to be at a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desired {
    /// The newest state of the group.
    Present,
    /// Nothing of the group, as soon as the sinks that are to hold it do.
    Absent,
    /// Nothing of the group: it was deleted there on purpose, and stays deleted until its next run.
    Cleared,
}

/// What a sink holds of a group, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Replica {
    /// The group.
    pub group: GroupId,
    /// The sink: a URL without credentials.
    pub sink: Sink,
    /// What is to be there.
    pub desired: Desired,
    /// The newest state that arrived, 0 for none.
    pub delivered_seq: u64,
    /// The newest state that was refused for good, 0 for none.
    pub rejected_seq: u64,
    /// Something of the group may be there: a request was made, or is about to be.
    pub may_exist: bool,
    /// Since when something is to be done here; none if nothing is.
    pub pending_since: Option<SystemTime>,
    /// Attempts that failed since the last success.
    pub attempts: u64,
    /// When the last attempt ended.
    pub last_attempt: Option<SystemTime>,
    /// Why it failed.
    pub last_error: Option<String>,
    /// When the last attempt that succeeded ended.
    pub succeeded_at: Option<SystemTime>,
    /// A request was given up that the sink may still carry out, after the next one.
    pub abandoned: bool,
}

/// Where a replica stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaStatus {
    /// The sink holds the newest state.
    Delivered,
    /// The newest state has not arrived yet.
    Pending,
    /// The newest state was refused for good; the next one is tried again.
    Rejected,
    /// A replica that is to be deleted.
    Stale,
    /// Nothing is there, and nothing is to be.
    Gone,
}

impl Replica {
    /// Where the replica stands if the group's state is `seq`.
    pub fn status(&self, seq: u64) -> ReplicaStatus {
        match self.desired {
            Desired::Present if self.delivered_seq >= seq => ReplicaStatus::Delivered,
            Desired::Present if self.rejected_seq >= seq => ReplicaStatus::Rejected,
            Desired::Present => ReplicaStatus::Pending,
            Desired::Absent | Desired::Cleared if self.may_exist => ReplicaStatus::Stale,
            Desired::Absent | Desired::Cleared => ReplicaStatus::Gone,
        }
    }
}

/// One thing to be done at one sink.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingAction {
    /// The group, with its present state.
    pub group: Group,
    /// Where, and since when.
    pub replica: Replica,
    /// What.
    pub action: Action,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Send the present state.
    Push,
    /// Delete the group.
    Delete,
}

/// Which pending actions to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingFilter {
    /// Only those whose time has come, at sinks that are not backing off.
    Actionable,
    /// All of them.
    All,
}

/// Why an attempt failed that will be made again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryableError {
    /// What happened, one line.
    pub reason: String,
    /// The sink may still carry out what was asked of it, even after what is asked of it next.
    pub abandoned: bool,
    /// How long it asks for no further request.
    pub retry_after: Option<Duration>,
    /// What has to wait because of it.
    pub against: Against,
}

/// What a failure counts against: what failed, and not everything near it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Against {
    /// The sink does not answer, or refuses everybody: all of this host leave it alone.
    #[default]
    Sink,
    /// The same, seen by a question or an announcement: a run's result is tried all the same.
    Questions,
    /// The sink refuses requests of this kind with these settings: credentials, a deletion that a proxy forbids.
    Requests(Action, Settings),
    /// Nothing else: it was not even asked (a file that cannot be read here), or refused this group only.
    Group,
}

/// With which credentials, headers, certificates and proxy a sink is spoken to: two that differ are told apart, save for one in
/// 65 536. So few bits, because a whole hash in a file would let passwords be guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings(pub u16);

impl From<&str> for RetryableError {
    fn from(reason: &str) -> Self {
        Self { reason: reason.to_owned(), ..Self::default() }
    }
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// The sink holds the state `seq`.
    Delivered {
        /// The sequence number of the state that was sent.
        seq: u64,
    },
    /// The sink holds nothing of the group any more.
    Deleted,
    /// No answer, or one that may change: the sink backs off, and the action stays pending.
    Failed(RetryableError),
    /// The state `seq` was refused for good; nothing is pending until the next state.
    Rejected {
        /// The sequence number of the state that was sent.
        seq: u64,
        /// What the sink said.
        error: String,
    },
}

const COLUMNS: &str = "replicas.group_id, replicas.sink, replicas.desired, replicas.cleared, \
    replicas.delivered_seq, replicas.rejected_seq, replicas.may_exist, replicas.pending_since, replicas.attempts, \
    replicas.last_attempt, replicas.last_error, replicas.succeeded_at, replicas.abandoned";

/// How many columns [`from_row`] takes up.
const WIDTH: usize = 13;

/// The group's state is a new one: it is pending at the sinks that already are to hold it, and at `more`.
pub(super) fn state_changed(
    transaction: &Transaction<'_>,
    group: &Group,
    more: &[Sink],
    now: SystemTime,
) -> rusqlite::Result<()> {
    sql::execute(
        transaction,
        "UPDATE replicas SET pending_since = ifnull(pending_since, ?2), may_exist = 1 WHERE group_id = ?1 AND desired = 1",
        params![group.id.0, nanos_of(now)],
    )?;
    for sink in more {
        want(transaction, group.id, sink, now)?;
    }
    Ok(())
}

/// The group is to be at these sinks and nowhere else.
pub(super) fn place(
    transaction: &Transaction<'_>,
    group: &Group,
    sinks: &[Sink],
    now: SystemTime,
) -> rusqlite::Result<()> {
    let replicas = replicas_of(transaction, group.id)?;
    let present = replicas.iter().filter(|replica| replica.desired == Desired::Present);
    for replica in present.clone().filter(|replica| !sinks.contains(&replica.sink)) {
        sql::execute(
            transaction,
            "UPDATE replicas SET desired = 0, cleared = 0, pending_since = iif(may_exist, ?3, NULL) \
             WHERE group_id = ?1 AND sink = ?2",
            params![group.id.0, replica.sink, nanos_of(now)],
        )?;
    }
    for sink in sinks.iter().filter(|&sink| !present.clone().any(|replica| replica.sink == *sink)) {
        want(transaction, group.id, sink, now)?;
    }
    Ok(())
}

/// The group is to be nowhere: its deletion is pending wherever a replica may be, and at the sinks `also`, of which
/// nothing is known.
pub(super) fn withdraw(
    transaction: &Transaction<'_>,
    group: &Group,
    also: &[Sink],
    now: SystemTime,
) -> rusqlite::Result<()> {
    place(transaction, group, &[], now)?;
    for sink in also {
        begin(transaction, group.id, sink, now)?;
    }
    Ok(())
}

/// The new state is to be at the sink. A replica may exist from now on.
fn want(transaction: &Transaction<'_>, group: GroupId, sink: &Sink, now: SystemTime) -> rusqlite::Result<()> {
    sql::execute(
        transaction,
        "INSERT INTO replicas (group_id, sink, desired, may_exist, pending_since) VALUES (?1, ?2, 1, 1, ?3) \
         ON CONFLICT (group_id, sink) \
         DO UPDATE SET desired = 1, cleared = 0, may_exist = 1, pending_since = ifnull(pending_since, ?3)",
        params![group.0, sink, nanos_of(now)],
    )?;
    Ok(())
}

/// Before a request: writes down that a replica may come to be at the sink, a stale one if it is not wanted there.
pub(super) fn begin(connection: &Connection, group: GroupId, sink: &Sink, now: SystemTime) -> rusqlite::Result<()> {
    sql::execute(
        connection,
        "INSERT INTO replicas (group_id, sink, desired, may_exist, pending_since) VALUES (?1, ?2, 0, 1, ?3) \
         ON CONFLICT (group_id, sink) \
         DO UPDATE SET may_exist = 1, cleared = 0, pending_since = ifnull(pending_since, ?3) \
         WHERE NOT may_exist OR pending_since IS NULL",
        params![group.0, sink, nanos_of(now)],
    )?;
    Ok(())
}

/// Whether [`begin`] has nothing left to write down.
pub(super) fn has_begun(connection: &Connection, group: GroupId, sink: &Sink) -> rusqlite::Result<bool> {
    let mut replicas = replicas_of(connection, group)?.into_iter();
    Ok(replicas.any(|replica| replica.sink == *sink && replica.may_exist && replica.pending_since.is_some()))
}

/// The sink may have these series too. Returns those that it may have besides.
pub(super) fn add_series(
    connection: &Connection,
    group: GroupId,
    sink: &Sink,
    series: &[String],
) -> rusqlite::Result<Vec<String>> {
    let query = "SELECT series FROM replicas WHERE group_id = ?1 AND sink = ?2";
    let known = sql::query_row(connection, query, params![group.0, sink], |row| row.get::<_, String>(0)).optional()?;
    let known = known.unwrap_or_default();
    let besides: Vec<String> =
        known.lines().filter(|line| !series.iter().any(|one| one == line)).map(str::to_owned).collect();
    if besides.len() + series.len() > known.lines().count() {
        set_series(connection, group, sink, &[series, &besides].concat())?;
    }
    Ok(besides)
}

/// These are the series that the sink may have of the group.
pub(super) fn set_series(
    connection: &Connection,
    group: GroupId,
    sink: &Sink,
    series: &[String],
) -> rusqlite::Result<()> {
    sql::execute(
        connection,
        "UPDATE replicas SET series = ?3 WHERE group_id = ?1 AND sink = ?2",
        params![group.0, sink, series.join("\n")],
    )?;
    Ok(())
}

/// After a request: writes down how it ended, for the replica and for the sink.
pub(super) fn finish(
    transaction: &Transaction<'_>,
    group: GroupId,
    sink: &Sink,
    outcome: &RequestOutcome,
    now: SystemTime,
) -> rusqlite::Result<()> {
    let (row, time) = ((group.0, sink), nanos_of(now));
    match outcome {
        RequestOutcome::Delivered { seq } => {
            // A replica that is not wanted there stays pending: its deletion.
            sql::execute(
                transaction,
                "UPDATE replicas SET delivered_seq = max(delivered_seq, ?3), may_exist = 1, abandoned = 0, attempts = 0, \
                 last_attempt = ?4, last_error = NULL, succeeded_at = ?4, pending_since = iif(desired AND ?3 >= \
                 (SELECT seq FROM groups WHERE id = ?1), NULL, ifnull(pending_since, ?4)) \
                 WHERE group_id = ?1 AND sink = ?2",
                params![row.0, row.1, integer(*seq), time],
            )?;
            sink_health::answered(transaction, sink, Action::Push, now)?;
            sink_health::prove(transaction, sink, true)
        }
        RequestOutcome::Deleted => {
            // What is wanted there again by now is pending from the beginning.
            sql::execute(
                transaction,
                "UPDATE replicas SET delivered_seq = 0, rejected_seq = 0, may_exist = desired, abandoned = 0, attempts = 0, \
                 last_attempt = ?3, last_error = NULL, succeeded_at = ?3, \
                 pending_since = iif(desired, ifnull(pending_since, ?3), NULL) WHERE group_id = ?1 AND sink = ?2",
                params![row.0, row.1, time],
            )?;
            sink_health::answered(transaction, sink, Action::Delete, now)
        }
        RequestOutcome::Failed(error) => {
            sql::execute(
                transaction,
                "UPDATE replicas SET attempts = attempts + 1, abandoned = abandoned OR ?5, last_attempt = ?3, \
                 last_error = ?4 WHERE group_id = ?1 AND sink = ?2",
                params![row.0, row.1, time, error.reason, error.abandoned],
            )?;
            sink_health::failed(transaction, sink, error, now)
        }
        RequestOutcome::Rejected { seq, error } => {
            sql::execute(
                transaction,
                "UPDATE replicas SET rejected_seq = max(rejected_seq, ?3), attempts = attempts + 1, last_attempt = ?4, \
                 last_error = ?5, pending_since = iif(desired AND ?3 >= (SELECT seq FROM groups WHERE id = ?1), NULL, \
                 pending_since) WHERE group_id = ?1 AND sink = ?2",
                params![row.0, row.1, integer(*seq), time, error],
            )?;
            sink_health::answered(transaction, sink, Action::Push, now)?;
            sink_health::prove(transaction, sink, false)
        }
    }
}

/// Whatever the sinks hold of the group may be gone: it is pending at those that are to hold it.
pub(super) fn mark_pending(
    transaction: &Transaction<'_>,
    group: GroupId,
    sinks: &[Sink],
    now: SystemTime,
) -> rusqlite::Result<()> {
    for sink in sinks {
        sql::execute(
            transaction,
            "UPDATE replicas SET delivered_seq = 0, pending_since = ifnull(pending_since, ?3) \
             WHERE group_id = ?1 AND sink = ?2 AND desired",
            params![group.0, sink, nanos_of(now)],
        )?;
    }
    Ok(())
}

/// What is pending at a sink has to wait for another one: its turn comes after that of everything else.
pub(super) fn postpone(
    transaction: &Transaction<'_>,
    group: GroupId,
    sink: &Sink,
    reason: &str,
    now: SystemTime,
) -> rusqlite::Result<()> {
    sql::execute(
        transaction,
        "UPDATE replicas SET last_attempt = ?4, last_error = ?3 WHERE group_id = ?1 AND sink = ?2",
        params![group.0, sink, reason, nanos_of(now)],
    )?;
    Ok(())
}

/// A request for the group was given up, who knows where: wherever a replica may be, or was to be deleted.
pub(super) fn abandon(transaction: &Transaction<'_>, group: GroupId) -> rusqlite::Result<()> {
    sql::execute(
        transaction,
        "UPDATE replicas SET abandoned = 1 WHERE group_id = ?1 AND (may_exist OR cleared)",
        [group.0],
    )?;
    Ok(())
}

/// Nobody will speak to the sink any more: what is pending there is given up. Returns how many groups that concerns.
pub(super) fn forget_sink(transaction: &Transaction<'_>, sink: &Sink) -> rusqlite::Result<u64> {
    let replicas = sql::execute(transaction, "DELETE FROM replicas WHERE sink = ?1", [sink])?;
    sink_health::forget(transaction, sink)?;
    Ok(replicas as u64)
}

/// The group was deleted at the sink on purpose: nothing is pending there until it runs again.
pub(super) fn cleared(
    transaction: &Transaction<'_>,
    group: GroupId,
    sink: &Sink,
    now: SystemTime,
) -> rusqlite::Result<()> {
    sql::execute(
        transaction,
        "INSERT INTO replicas (group_id, sink, desired, cleared, may_exist, succeeded_at) \
         VALUES (?1, ?2, 0, 1, 0, ?3) \
         ON CONFLICT (group_id, sink) DO UPDATE SET desired = 0, cleared = 1, delivered_seq = 0, \
         rejected_seq = 0, may_exist = 0, attempts = 0, last_error = NULL, succeeded_at = ?3, pending_since = NULL",
        params![group.0, sink, nanos_of(now)],
    )?;
    Ok(())
}

/// What may be of the group at the sink is to be deleted there on purpose. False if nothing is.
pub(super) fn end(
    transaction: &Transaction<'_>,
    group: GroupId,
    sink: &Sink,
    now: SystemTime,
) -> rusqlite::Result<bool> {
    let changed = sql::execute(
        transaction,
        "UPDATE replicas SET desired = 0, cleared = 1, pending_since = ifnull(pending_since, ?3) \
         WHERE group_id = ?1 AND sink = ?2 AND may_exist",
        params![group.0, sink, nanos_of(now)],
    )?;
    Ok(changed > 0)
}

/// The sink may have lost whatever arrived there, and may have back whatever was deleted: everything that concerns
/// it is pending again. Returns how many groups that are.
pub(super) fn restarted(transaction: &Transaction<'_>, sink: &Sink, now: SystemTime) -> rusqlite::Result<u64> {
    let changed = sql::execute(
        transaction,
        "UPDATE replicas SET delivered_seq = 0, rejected_seq = 0, may_exist = 1, pending_since = ifnull(pending_since, ?2) \
         WHERE sink = ?1",
        params![sink, nanos_of(now)],
    )?;
    Ok(changed as u64)
}

/// What is pending: what was tried least recently first, then what is pending longest.
pub(super) fn pending_actions(
    connection: &Connection,
    which: PendingFilter,
    limit: usize,
    now: SystemTime,
) -> rusqlite::Result<Vec<PendingAction>> {
    // Most of the time nothing is, and this is a fifth of the work of compiling the whole question.
    let is_any = sql::query_row(
        connection,
        "SELECT EXISTS (SELECT 1 FROM replicas WHERE pending_since IS NOT NULL)",
        [],
        |row| row.get::<_, bool>(0),
    )?;
    if !is_any {
        return Ok(Vec::new());
    }
    // A stale replica goes only when no sink that is to hold the group is waiting for it; a backoff that would end
    // later than any backoff can was written under another clock.
    let actionable = "AND (replicas.desired OR replicas.cleared OR groups.retired OR NOT EXISTS \
         (SELECT 1 FROM replicas AS home WHERE home.group_id = replicas.group_id AND home.desired \
          AND home.pending_since IS NOT NULL)) \
         AND NOT EXISTS (SELECT 1 FROM sink_health WHERE sink_health.sink = replicas.sink \
          AND sink_health.backoff_until > ?1 AND sink_health.backoff_until <= ?2)";
    let tail = format!(
        "FROM replicas CROSS JOIN groups ON groups.id = replicas.group_id WHERE replicas.pending_since IS NOT NULL {} \
         ORDER BY replicas.last_attempt, replicas.pending_since LIMIT {}",
        if which == PendingFilter::Actionable { actionable } else { "AND ?1 <= ?2" },
        integer(limit as u64)
    );
    let query = groups::select(&format!(", {COLUMNS}"), &tail);
    let pending = |row: &Row<'_>| {
        let replica = from_row(row, groups::WIDTH)?;
        let action = if replica.desired == Desired::Present { Action::Push } else { Action::Delete };
        Ok(PendingAction { group: groups::from_row(row)?, replica, action })
    };
    let farthest = nanos_of(now).saturating_add(crate::clock::nanos_of_duration(sink_health::LONGEST_BACKOFF));
    sql::query(connection, &query, params![nanos_of(now), farthest], pending)
}

/// What is known of a group's replicas, by sink.
pub(super) fn replicas_of(connection: &Connection, group: GroupId) -> rusqlite::Result<Vec<Replica>> {
    let query = format!("SELECT {COLUMNS} FROM replicas WHERE group_id = ?1 ORDER BY sink");
    sql::query(connection, &query, [group.0], |row| from_row(row, 0))
}

/// What is known of every replica, by group and sink.
pub(super) fn all_replicas(connection: &Connection) -> rusqlite::Result<Vec<Replica>> {
    let query = format!("SELECT {COLUMNS} FROM replicas ORDER BY group_id, sink");
    sql::query(connection, &query, [], |row| from_row(row, 0))
}

/// Removes what was confirmed to be deleted before `oldest`, what has been waiting for its deletion since then at a
/// sink that has not answered since then either (it is gone for good, or never was one), and retired groups without
/// replicas.
pub(super) fn forget(transaction: &Transaction<'_>, oldest: SystemTime) -> rusqlite::Result<u64> {
    let replicas = sql::execute(
        transaction,
        "DELETE FROM replicas WHERE NOT desired AND iif(may_exist, pending_since < ?1 AND last_error IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM sink_health WHERE sink_health.sink = replicas.sink AND last_success >= ?1), succeeded_at < ?1)",
        [nanos_of(oldest)],
    )?;
    let groups = sql::execute(
        transaction,
        "DELETE FROM groups WHERE retired AND NOT EXISTS (SELECT 1 FROM replicas WHERE group_id = groups.id) \
         AND NOT EXISTS (SELECT 1 FROM runs WHERE group_id = groups.id)",
        [],
    )?;
    Ok((replicas + groups) as u64)
}

fn from_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Replica> {
    let column = |number: usize| first + number;
    debug_assert!(WIDTH == COLUMNS.split(", ").count());
    Ok(Replica {
        group: GroupId(row.get(column(0))?),
        sink: row.get(column(1))?,
        desired: match (row.get(column(2))?, row.get(column(3))?) {
            (true, _) => Desired::Present,
            (false, true) => Desired::Cleared,
            (false, false) => Desired::Absent,
        },
        delivered_seq: natural(row.get(column(4))?),
        rejected_seq: natural(row.get(column(5))?),
        may_exist: row.get(column(6))?,
        pending_since: optional_time(row, column(7))?,
        attempts: natural(row.get(column(8))?),
        last_attempt: optional_time(row, column(9))?,
        last_error: row.get(column(10))?,
        succeeded_at: optional_time(row, column(11))?,
        abandoned: row.get(column(12))?,
    })
}

#[cfg(test)]
mod tests;
