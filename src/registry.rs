//! What is kept on this host: the history of runs, the state of each group, and what is pending at which sink.
//!
//! The registry knows the truth about every group of this host; gateways and files hold replicas of it. It is the only place
//! of SQL. It leaves to others: which sinks a group has and every request ([`crate::delivery`]), and what an error
//! here means for a run, which is: nothing (the caller keeps the result in the [`journal`] and says so).
//!
//! ```text
//! STATE DIRECTORY (0700)
//!   registry.db        SQLite, write-ahead log, every commit of a run synced
//!   registry.lock      held while the database file is created or set aside
//!   runs/              the journal: one file for every run in progress
//!   locks/             lock files of others
//! ```
//!
//! # Exactly once
//!
//! A run is recorded in one transaction that adds it to the history, under a unique run id, and counts it in its group's
//! state. Its journal file is removed after that. Whatever is killed in between, a run that is found twice is counted once.
//!
//! # Time
//!
//! `now` is passed in. Order never rests on the clock alone: a state's version is a sequence number, and what a jobmon
//! reports of its own run just ended is the newest whatever the clock says.

pub mod group_state;
pub mod groups;
pub mod history;
pub mod journal;
pub mod replicas;
mod schema;
pub mod sink_health;
mod sql;
mod state_dir;
mod store;
#[cfg(test)]
pub(crate) mod testing;

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::Transaction;

use self::group_state::Arrival;
use self::store::{Durability, Store};
use crate::destination::Sink;
use crate::grouping::GroupingKey;
use crate::metrics::Timestamp;
use crate::record::{RunId, RunRecord};
use crate::text::Warning;

pub use self::group_state::{Declaration, Expectations, GroupState, JobMetrics, Memory, Past, RunCounts, ScheduleSpec};
pub use self::groups::{Group, GroupId};
pub use self::history::{PastRun, Retention, RunFilter};
pub use self::journal::RunStart;
pub use self::replicas::{
    Action, Against, Desired, PendingAction, PendingFilter, Replica, ReplicaStatus, RequestOutcome, RetryableError,
    Settings,
};
pub use self::sink_health::{RestartCheck, SinkHealth};
pub use self::state_dir::StateDir;

/// Why the registry cannot be used now. Nothing was changed; a run's result belongs into its journal file then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryError {
    /// Other processes held it until the deadline.
    Busy(PathBuf),
    /// The disk is full.
    Full(PathBuf),
    /// A newer jobmon wrote it; nothing of it is touched.
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this jobmon knows.
        known: i64,
    },
    /// Anything else: no permission, a read-only file system, a disk that fails.
    Unavailable(String),
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(path) => write!(f, "registry {}: locked by other processes", path.display()),
            Self::Full(path) => write!(f, "registry {}: no space left on device", path.display()),
            Self::Newer { path, found, known } => write!(
                f,
                "registry {}: written by a newer jobmon (version {found}, this one knows {known}): use that one",
                path.display()
            ),
            Self::Unavailable(reason) => write!(f, "registry {reason}"),
        }
    }
}

impl std::error::Error for RegistryError {}

/// What [`Registry::remember`] did.
#[derive(Clone, Debug, PartialEq)]
pub struct Remembered {
    /// The group with the run counted.
    pub group: Group,
    /// The command of the run recorded before, empty where there was none.
    pub previous_command: String,
    /// False if the run was in the history already, and nothing was changed.
    pub counted: bool,
    /// [`Registry::retain`] should be called, when there is time.
    pub retention_due: bool,
}

/// What [`Registry::ingest`] did.
#[derive(Debug, Default)]
pub struct Ingested {
    /// The runs that were counted, with their groups as they were afterwards.
    pub runs: Vec<(RunRecord, GroupId)>,
    /// Files that could not be removed; they do no harm.
    pub warnings: Vec<Warning>,
}

/// A group, and what is known of its replicas.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupStatus {
    /// The group.
    pub group: Group,
    /// Its replicas, by sink.
    pub replicas: Vec<Replica>,
}

/// The database of one state directory, open in this process. Not for sharing between threads: open one in each.
#[derive(Debug)]
pub struct Registry {
    store: Store,
}

impl Registry {
    /// Opens the registry; creates it where there is none, and sets a damaged one aside.
    ///
    /// Other processes are waited for until `deadline`, here and in all that follows, until
    /// [`set_deadline`](Self::set_deadline) names another; each call tries at least once.
    pub fn open(dir: &StateDir, deadline: Instant) -> Result<(Self, Vec<Warning>), RegistryError> {
        let mut store = Store::open(dir, deadline)?;
        let warnings = store.take_warnings();
        Ok((Self { store }, warnings))
    }

    /// From now on other processes are waited for until `deadline`.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.store.set_deadline(deadline);
    }

    /// What was found wrong since the registry was opened, and put right.
    pub fn take_warnings(&mut self) -> Vec<Warning> {
        self.store.take_warnings()
    }

    // Runs

    /// A run has started that will not end at once: its start becomes part of the group's state.
    pub fn started(&mut self, start: &RunStart, now: SystemTime) -> Result<GroupStatus, RegistryError> {
        let running = self.running_of(&start.grouping_key, now);
        self.store.write(Durability::Crash, |transaction| {
            let mut group = groups::find_or_create(transaction, &start.grouping_key)?;
            group.expect(&start.declaration, now);
            group.state.start(start.facts.started_at);
            group.state.running = still_running(transaction, &running)?;
            group.state.stamp(now);
            groups::store(transaction, &group)?;
            place(transaction, &group, &start.declaration, now)?;
            replicas::state_changed(transaction, &group, &[], now)?;
            let replicas = replicas::replicas_of(transaction, group.id)?;
            Ok(GroupStatus { group, replicas })
        })
    }

    /// A run of this process has ended: adds it to the history, counts it in its group, so that the new state
    /// is pending at the sinks of `declaration`, and at no others; or the deletion of the group, if the declaration says so of
    /// such an end.
    /// Survives a power cut once it has returned.
    pub fn remember(
        &mut self,
        record: &RunRecord,
        declaration: &Declaration,
        now: SystemTime,
    ) -> Result<Remembered, RegistryError> {
        let running = self.running_of(&record.grouping_key, now);
        self.store.write(Durability::PowerCut, |transaction| count(transaction, record, declaration, &running, now))
    }

    /// Records the runs that were left in the journal, and removes their files.
    ///
    /// They count like any other run, but do not overwrite what newer runs have said since. Where a run is the first that
    /// is heard of its group, its declaration is the group's.
    pub fn ingest(&mut self, leftovers: Vec<journal::Leftover>, now: SystemTime) -> Result<Ingested, RegistryError> {
        let mut ingested = Ingested::default();
        for leftover in leftovers {
            let (record, declaration) = (leftover.record(), leftover.declaration());
            let running = self.running_of(&record.grouping_key, now);
            let group = self.store.write(Durability::PowerCut, |transaction| {
                if history::contains(transaction, &record.run_id)? {
                    return Ok(None);
                }
                let mut group = groups::find_or_create(transaction, &record.grouping_key)?;
                let newer_failures = history::failures_since(transaction, group.id, record.facts.started_at)?;
                history::insert(transaction, group.id, record)?;
                if group.state.seq == 0 {
                    group.expect(declaration, now);
                    group.command.clone_from(&record.command);
                }
                let is_placed = !replicas::replicas_of(transaction, group.id)?.is_empty();
                group.state.finish(record, Arrival::Late(now), newer_failures);
                group.state.running = still_running(transaction, &running)?;
                group.state.stamp(now);
                groups::store(transaction, &group)?;
                let is_newest =
                    group.state.last_run.as_ref().is_some_and(|run| run.started_at == record.facts.started_at);
                if is_newest && declaration.withdraw(record.facts.outcome) {
                    replicas::withdraw(transaction, &group, &declaration.withdraw_from, now)?;
                } else {
                    let sinks = declaration.sinks.as_deref().filter(|_| !is_placed && !group.retired);
                    replicas::state_changed(transaction, &group, sinks.unwrap_or_default(), now)?;
                }
                Ok(Some(group.id))
            })?;
            ingested.runs.extend(group.map(|group| (record.clone(), group)));
            let name = record.run_id.as_str().to_owned();
            if let Err(error) = leftover.discard() {
                ingested.warnings.push(Warning::new(format!("journal file of run {name} cannot be removed: {error}")));
            }
        }
        Ok(ingested)
    }

    /// The newest runs that the filter selects, newest first: in the order in which their ends became known.
    pub fn runs(&mut self, filter: &RunFilter) -> Result<Vec<PastRun>, RegistryError> {
        self.store.read(|transaction| history::runs(transaction, filter))
    }

    /// The end of a run's output, if it is kept.
    pub fn output(&mut self, run_id: &RunId) -> Result<Option<Vec<u8>>, RegistryError> {
        self.store.read(|transaction| history::output(transaction, run_id))
    }

    /// Removes what is too old or too much, in small transactions until `until`, and returns how many rows that were.
    ///
    /// What is not reached is left to the next call.
    pub fn retain(&mut self, retention: &Retention, now: SystemTime, until: Instant) -> Result<u64, RegistryError> {
        let oldest = now.checked_sub(TOMBSTONE_AGE).unwrap_or(SystemTime::UNIX_EPOCH);
        let (mut removed, too_old) = self.store.write(Durability::Crash, |transaction| {
            let too_old = history::too_old(transaction, retention, now)?;
            let forgotten = if too_old.is_certain() { replicas::forget(transaction, oldest)? } else { 0 };
            Ok((forgotten, too_old))
        })?;
        loop {
            let batch = self
                .store
                .write(Durability::Crash, |transaction| history::retain(transaction, retention, too_old, until))?;
            removed += batch;
            if batch == 0 || Instant::now() >= until {
                return Ok(removed);
            }
        }
    }

    /// The runs of the group that are in progress, and perhaps some that have been recorded since.
    fn running_of(&self, key: &GroupingKey, now: SystemTime) -> Vec<RunId> {
        journal::running_of(self.store.dir(), key, now)
    }

    // Groups

    /// Every group with its replicas, in the order in which they were first seen.
    pub fn groups(&mut self) -> Result<Vec<GroupStatus>, RegistryError> {
        self.store.read(|transaction| {
            let mut replicas = replicas::all_replicas(transaction)?.into_iter().peekable();
            let groups = groups::all(transaction)?.into_iter().map(|group| {
                // Both are sorted by group; replicas of retired groups are passed over.
                while replicas.next_if(|replica| replica.group < group.id).is_some() {}
                let mut of_group = Vec::new();
                while let Some(replica) = replicas.next_if(|replica| replica.group == group.id) {
                    of_group.push(replica);
                }
                GroupStatus { group, replicas: of_group }
            });
            Ok(groups.collect())
        })
    }

    /// One group with its replicas; none that is unknown or unregistered.
    pub fn group(&mut self, key: &GroupingKey) -> Result<Option<GroupStatus>, RegistryError> {
        self.store.read(|transaction| match groups::find(transaction, key)?.filter(|group| !group.retired) {
            None => Ok(None),
            Some(group) => Ok(Some(GroupStatus { replicas: replicas::replicas_of(transaction, group.id)?, group })),
        })
    }

    /// Makes a group known before its first run: its expectations are kept for all runs that do not say otherwise, and
    /// its state is pending at the sinks.
    pub fn register(
        &mut self,
        key: &GroupingKey,
        declaration: &Declaration,
        now: SystemTime,
    ) -> Result<Group, RegistryError> {
        let running = self.running_of(key, now);
        self.store.write(Durability::PowerCut, |transaction| {
            let mut group = groups::find_or_create(transaction, key)?;
            group.register(declaration, now);
            group.state.running = still_running(transaction, &running)?;
            group.state.stamp(now);
            groups::store(transaction, &group)?;
            place(transaction, &group, declaration, now)?;
            replicas::state_changed(transaction, &group, &[], now)?;
            Ok(group)
        })
    }

    /// Adds metrics of the job's own to its group, which is pending at its sinks then; `replace` drops what was pushed
    /// before. The text is checked ([`crate::metrics`]); of `declaration` only where the group is to be counts.
    pub fn push(
        &mut self,
        key: &GroupingKey,
        text: &str,
        replace: bool,
        declaration: &Declaration,
        now: SystemTime,
    ) -> Result<Group, RegistryError> {
        let running = self.running_of(key, now);
        self.store.write(Durability::PowerCut, |transaction| {
            let mut group = groups::find_or_create(transaction, key)?;
            group.push(text, replace, declaration);
            group.state.running = still_running(transaction, &running)?;
            group.state.stamp(now);
            groups::store(transaction, &group)?;
            place(transaction, &group, declaration, now)?;
            replicas::state_changed(transaction, &group, &[], now)?;
            Ok(group)
        })
    }

    /// Forgets a group; its deletion is pending wherever a replica may be, and at the sinks `also`: another registry may
    /// have sent it there. Its runs stay in the history until retention takes them; should it run again, it begins
    /// anew. False if there is no such group; then only the deletion at `also` is pending.
    pub fn unregister(&mut self, key: &GroupingKey, also: &[Sink], now: SystemTime) -> Result<bool, RegistryError> {
        self.store.write(Durability::PowerCut, |transaction| {
            let known = groups::find(transaction, key)?;
            let is_known = known.as_ref().is_some_and(|group| !group.retired);
            let mut group = match known {
                None if also.is_empty() => return Ok(false),
                None => groups::find_or_create(transaction, key)?,
                Some(group) => group,
            };
            if !group.retired {
                group.retire();
                groups::store(transaction, &group)?;
            }
            replicas::withdraw(transaction, &group, also, now)?;
            Ok(is_known)
        })
    }

    /// Somebody is about to be told that the group's name may be that of several jobs. False if that was said before.
    pub fn question_name(&mut self, group: GroupId) -> Result<bool, RegistryError> {
        self.store.write(Durability::Crash, |transaction| {
            let mut group = groups::get(transaction, group)?;
            let is_first = !std::mem::replace(&mut group.name_questioned, true);
            groups::store(transaction, &group)?;
            Ok(is_first)
        })
    }

    /// What the group's sinks remember of its past, as far as this registry does not: it counts on from there. Runs of this
    /// registry that were reported without it, and are part of that, are not counted twice.
    pub fn adopt(&mut self, group: GroupId, remembered: &Memory) -> Result<Group, RegistryError> {
        self.store.write(Durability::Crash, |transaction| {
            let (included, duration) = match remembered.last_end {
                Some(end) => history::counted_until(transaction, group, end + CLOCK_PRECISION)?,
                None => Default::default(),
            };
            let mut group = groups::get(transaction, group)?;
            group.state.adopt(remembered, &included, duration);
            groups::store(transaction, &group)?;
            Ok(group)
        })
    }

    // Replicas

    /// To be called before every request that could leave a replica of the group at the sink: writes that down, so
    /// that no replica is ever forgotten, and returns the group with the state to send.
    ///
    /// A sink that is not one of the group's holds a stale replica from then on, whose deletion is pending as soon as
    /// the group's own sinks have its newest state. Costs a sync only where there was anything to write.
    pub fn begin_request(&mut self, group: GroupId, sink: &Sink, now: SystemTime) -> Result<Group, RegistryError> {
        let begun = self.store.read(|transaction| {
            let begun = replicas::has_begun(transaction, group, sink)?;
            begun.then(|| groups::get(transaction, group)).transpose()
        })?;
        if let Some(group) = begun {
            return Ok(group);
        }
        self.store.write(Durability::PowerCut, |transaction| {
            replicas::begin(transaction, group, sink, now)?;
            groups::get(transaction, group)
        })
    }

    /// [`begin_request`](Self::begin_request) for a sink that [keeps the past](Sink::keeps_the_past): from now on it may have
    /// samples of the time of this state, in the `series` of the state that is read and sent. A state that was never sent
    /// and lies in the future, where a clock put it that has since been put right, gets its time anew.
    ///
    /// Also gives the series that the sink has from earlier and that the state lacks: they are to be ended.
    pub fn begin_samples(
        &mut self,
        group: GroupId,
        sink: &Sink,
        series: impl Fn(&GroupState) -> Vec<String>,
        now: SystemTime,
    ) -> Result<(Group, Vec<String>), RegistryError> {
        self.store.write(Durability::PowerCut, |transaction| {
            replicas::begin(transaction, group, sink, now)?;
            let mut group = groups::get(transaction, group)?;
            let state = &mut group.state;
            if state.stamp > state.newest_sent && state.stamp > Timestamp::of(now) {
                state.stamp(now);
            }
            // One millisecond more is for what ends with this state.
            state.newest_sent = state.newest_sent.max(state.stamp.plus_millis(1));
            groups::store(transaction, &group)?;
            let ended = replicas::add_series(transaction, group.id, sink, &series(&group.state))?;
            Ok((group, ended))
        })
    }

    /// Before all that a sink has of the group is ended there: the time of that, and the series that it has.
    pub fn begin_end(
        &mut self,
        group: GroupId,
        sink: &Sink,
        now: SystemTime,
    ) -> Result<(Timestamp, Vec<String>), RegistryError> {
        self.store.write(Durability::Crash, |transaction| {
            let mut group = groups::get(transaction, group)?;
            let time = Timestamp::of(now).max(group.state.newest_sent.plus_millis(2));
            group.state.newest_sent = time.plus_millis(1);
            groups::store(transaction, &group)?;
            Ok((time, replicas::add_series(transaction, group.id, sink, &[])?))
        })
    }

    /// These series, and no others, are what the sink has of the group.
    pub fn settle_series(&mut self, group: GroupId, sink: &Sink, series: &[String]) -> Result<(), RegistryError> {
        self.store.write(Durability::Crash, |transaction| replicas::set_series(transaction, group, sink, series))
    }

    /// The state is what it was, but of now: a database does not take it with the time that it had.
    pub fn stamp_anew(&mut self, group: GroupId, now: SystemTime) -> Result<(), RegistryError> {
        self.store.write(Durability::Crash, |transaction| {
            let mut group = groups::get(transaction, group)?;
            group.state.stamp(now);
            groups::store(transaction, &group)
        })
    }

    /// Writes down how a request ended, for the replica and for the gateway. Not synced: what a power cut takes is a request
    /// that will be made once more.
    pub fn finish_request(
        &mut self,
        group: GroupId,
        sink: &Sink,
        outcome: &RequestOutcome,
        now: SystemTime,
    ) -> Result<(), RegistryError> {
        self.store.write(Durability::Crash, |transaction| replicas::finish(transaction, group, sink, outcome, now))
    }

    /// What these sinks hold of the group may be gone in a moment: it is pending there again.
    pub fn mark_pending(&mut self, group: GroupId, sinks: &[Sink], now: SystemTime) -> Result<(), RegistryError> {
        self.store.write(Durability::PowerCut, |transaction| replicas::mark_pending(transaction, group, sinks, now))
    }

    /// What is pending at the sink has to wait, for a reason that is not the sink's: others come first.
    pub fn postpone(
        &mut self,
        group: GroupId,
        sink: &Sink,
        reason: &str,
        now: SystemTime,
    ) -> Result<(), RegistryError> {
        self.store.write(Durability::Crash, |transaction| replicas::postpone(transaction, group, sink, reason, now))
    }

    /// A request for the group was given up in the middle: wherever a replica may be, it may still be carried out.
    pub fn abandon(&mut self, key: &GroupingKey) -> Result<(), RegistryError> {
        self.store.write(Durability::Crash, |transaction| match groups::find(transaction, key)? {
            Some(group) => replicas::abandon(transaction, group.id),
            None => Ok(()),
        })
    }

    /// What is pending: what was tried least recently first, then what is pending longest.
    pub fn pending_actions(
        &mut self,
        filter: PendingFilter,
        limit: usize,
        now: SystemTime,
    ) -> Result<Vec<PendingAction>, RegistryError> {
        self.store.read(|transaction| replicas::pending_actions(transaction, filter, limit, now))
    }

    /// The group was deleted at the sink on purpose: nothing is pending there until it runs again, and should it come
    /// back by itself, its deletion is. False if this registry does not know the group: it belongs to another host.
    pub fn cleared(&mut self, key: &GroupingKey, sink: &Sink, now: SystemTime) -> Result<bool, RegistryError> {
        // Most groups of a gateway are other hosts'.
        if self.store.read(|transaction| groups::find(transaction, key))?.is_none() {
            return Ok(false);
        }
        self.store.write(Durability::PowerCut, |transaction| {
            let Some(group) = groups::find(transaction, key)? else { return Ok(false) };
            replicas::cleared(transaction, group.id, sink, now)?;
            Ok(true)
        })
    }

    /// The group is to be ended at a sink that keeps the past, on purpose: that is pending there, until it runs again. False if
    /// this registry has not sent it there.
    pub fn end_at(&mut self, key: &GroupingKey, sink: &Sink, now: SystemTime) -> Result<bool, RegistryError> {
        self.store.write(Durability::PowerCut, |transaction| match groups::find(transaction, key)? {
            Some(group) => replicas::end(transaction, group.id, sink, now),
            None => Ok(false),
        })
    }

    // Sinks

    /// A sink was started at `start_time`, in its own words. If that is news, whatever concerns it is pending again: states
    /// that it may have lost, deletions that it may have undone.
    pub fn record_start_time(
        &mut self,
        sink: &Sink,
        start_time: &str,
        now: SystemTime,
    ) -> Result<RestartCheck, RegistryError> {
        let known = self.sink_health(sink)?.and_then(|health| health.start_time);
        if known.as_deref() == Some(start_time) {
            return Ok(RestartCheck::Unchanged);
        }
        self.store.write(Durability::PowerCut, |transaction| sink_health::seen(transaction, sink, start_time, now))
    }

    /// A sink did not answer a question, or not well: what that counts against backs off for a while.
    pub fn record_failure(
        &mut self,
        sink: &Sink,
        error: &RetryableError,
        now: SystemTime,
    ) -> Result<(), RegistryError> {
        self.store.write(Durability::Crash, |transaction| sink_health::failed(transaction, sink, error, now))
    }

    /// Why the sink is not asked for `action` with these settings now; none if it may be. A run's result (`is_result`) is
    /// held up by results that failed, not by questions and announcements.
    pub fn backing_off(
        &mut self,
        sink: &Sink,
        action: Action,
        settings: Settings,
        is_result: bool,
        now: SystemTime,
    ) -> Result<Option<String>, RegistryError> {
        self.store.read(|transaction| sink_health::backing_off(transaction, sink, (action, settings), is_result, now))
    }

    /// Gives up what is pending at the sink and forgets it, as one that was never meant. Returns how many groups that
    /// concerns.
    pub fn forget_sink(&mut self, sink: &Sink) -> Result<u64, RegistryError> {
        self.store.write(Durability::PowerCut, |transaction| replicas::forget_sink(transaction, sink))
    }

    /// What this host knows of one sink.
    pub fn sink_health(&mut self, sink: &Sink) -> Result<Option<SinkHealth>, RegistryError> {
        self.store.read(|transaction| sink_health::get(transaction, sink))
    }

    /// What this host knows of every sink that it has spoken to, by name.
    pub fn known_sinks(&mut self) -> Result<Vec<SinkHealth>, RegistryError> {
        self.store.read(|transaction| sink_health::all(transaction))
    }

    // Health

    /// What SQLite finds wrong with the database file (`PRAGMA quick_check`), one line each; empty if nothing. Reads all
    /// of it.
    pub fn damage(&mut self) -> Result<Vec<String>, RegistryError> {
        self.store.read(|transaction| {
            let found: rusqlite::Result<Vec<String>> =
                transaction.prepare("PRAGMA quick_check(10)")?.query_map([], |row| row.get(0))?.collect();
            found.map(|lines| lines.into_iter().filter(|line| line != "ok").collect())
        })
    }
}

/// Adds a run that has just ended to the history and counts it in its group, if it is not there already.
fn count(
    transaction: &Transaction<'_>,
    record: &RunRecord,
    declaration: &Declaration,
    running: &[RunId],
    now: SystemTime,
) -> rusqlite::Result<Remembered> {
    let mut group = groups::find_or_create(transaction, &record.grouping_key)?;
    let run = history::insert(transaction, group.id, record)?;
    let (mut previous_command, mut retention_due) = (String::new(), false);
    if let Some(run) = run {
        retention_due = history::is_retention_due(transaction, run, now)?;
        group.expect(declaration, now);
        previous_command = std::mem::replace(&mut group.command, record.command.clone());
        group.state.finish(record, Arrival::Now, 0);
        group.state.running = still_running(transaction, running)?;
        group.state.stamp(now);
        groups::store(transaction, &group)?;
        match declaration.withdraw(record.facts.outcome) {
            true => replicas::withdraw(transaction, &group, &declaration.withdraw_from, now)?,
            false => place(transaction, &group, declaration, now)?,
        }
        replicas::state_changed(transaction, &group, &[], now)?;
    }
    Ok(Remembered { group, previous_command, counted: run.is_some(), retention_due })
}

/// How many of these runs have not been recorded. Of two runs that end together, the one that is recorded second does not
/// count the first, whose file is still in the journal; so the newest state never tells of a run that is over.
fn still_running(transaction: &Transaction<'_>, running: &[RunId]) -> rusqlite::Result<u32> {
    let mut count = 0;
    for run_id in running {
        count += u32::from(!history::contains(transaction, run_id)?);
    }
    Ok(count)
}

/// The group is to be where its declaration say, if they say so.
fn place(
    transaction: &Transaction<'_>,
    group: &Group,
    declaration: &Declaration,
    now: SystemTime,
) -> rusqlite::Result<()> {
    match &declaration.sinks {
        Some(sinks) => replicas::place(transaction, group, sinks, now),
        None => Ok(()),
    }
}

/// A time that went to a sink and back, as a number of seconds, is this exact.
const CLOCK_PRECISION: Duration = Duration::from_millis(1);

/// How long a confirmed deletion is remembered, in case a gateway comes back with what it had saved before; and how long
/// one that cannot be made is tried, in case a gateway comes back at all.
const TOMBSTONE_AGE: Duration = Duration::from_secs(30 * 24 * 3600);

#[cfg(test)]
mod tests;
