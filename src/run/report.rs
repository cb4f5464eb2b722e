//! What is said of a run's end: it is kept first, then delivered, and what a person has to know is said last.

use std::time::{Duration, Instant, SystemTime};

use super::beside::until_stopped;
use super::monitor::Monitor;
use super::{metrics_file, settings};
use crate::delivery::stateless::{self, StatelessReport};
use crate::delivery::{BackoffPolicy, Delivery, Failure, Reconciler};
use crate::logging;
use crate::record::{Outcome, RunRecord, SuccessCodes};
use crate::registry::{GroupState, Registry, RegistryError, StateDir, journal};
use crate::supervise::{Execution, Job, StopWatch};

/// Once somebody has asked jobmon to stop, delivery takes no longer: whoever stops a job kills what is left of it soon.
const HASTE: Duration = Duration::from_secs(2);
/// How long the end of jobmon waits for a reader, of captured output or of its own words, that reads nothing.
const READER_PATIENCE: Duration = Duration::from_secs(5);
/// How many files of the journal one run looks at for runs that were lost.
const LEFTOVERS_OF_A_RUN: usize = 256;
/// How long it may take to record those that were.
const TIME_FOR_LEFTOVERS: Duration = Duration::from_millis(200);
/// How long retention may take at the end of a run.
const RETENTION_TIME: Duration = Duration::from_millis(5);

/// Where a run's result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// In the registry: what is not delivered is owed.
    Registry,
    /// In the journal, until a jobmon finds it that can use the registry.
    Journal,
    /// Nowhere on this host.
    Nowhere,
}

impl Monitor<'_> {
    /// Keeps the result, delivers it within the time for that, and says what a person has to know.
    pub fn report(&mut self, execution: &Execution, job: Job) {
        let budget = match execution.stop_requested {
            true => self.config.push_timeout.min(HASTE),
            false => self.config.push_timeout,
        };
        let deadline = self.ended_at.unwrap_or_else(Instant::now) + budget;
        for warning in job.warnings() {
            tracing::warn!("{warning}");
        }
        let mut watch = job.into_stop_watch();
        self.forget_what_vanished();
        self.open_state();
        let mut record = RunRecord::new(
            self.start.run_id.clone(),
            self.start.grouping_key.clone(),
            self.start.command.clone(),
            execution,
            &SuccessCodes::new(self.config.success_codes.clone()),
        );
        if let Some(file) = self.metrics_file.take() {
            let read = file.read(&self.start.grouping_key);
            if let Some(warning) = read.warning {
                tracing::warn!("{warning}");
            }
            // A run that did not start says nothing about its metrics.
            record.job_metrics = Some(read.text).filter(|_| record.outcome != Outcome::Skipped);
        }
        let kept = self.keep(&record, deadline);
        self.deliver(&mut watch, kept, &record, deadline);
        let patience = if execution.stop_requested { HASTE } else { READER_PATIENCE };
        watch.finish_output(patience);
        say(&mut watch, patience);
    }

    /// Somebody may have removed the state folder while the job ran: what is still open of it would be written to nowhere.
    fn forget_what_vanished(&mut self) {
        if self.state.as_ref().is_some_and(|state| !state.path().is_dir()) {
            self.state = None;
            self.was_state_opened = false;
            self.registry = None;
        }
        self.entry = self.entry.take().filter(journal::Entry::exists);
    }

    /// Records the run; into its journal file if the registry cannot take it.
    fn keep(&mut self, record: &RunRecord, deadline: Instant) -> Kept {
        // A registry that stays busy must leave time to tell the gateways.
        let patience = deadline.saturating_duration_since(Instant::now()) / 2;
        let error = match self.open_registry(Instant::now() + patience) {
            Ok(()) => match self.remember(record, deadline) {
                Ok(()) => return Kept::Registry,
                Err(error) => error,
            },
            Err(error) => error,
        };
        let Some(state) = &self.state else { return Kept::Nowhere };
        // A run that was skipped or never started has no journal file yet.
        let entry = match self.entry.take() {
            Some(entry) => Ok(entry),
            None => journal::Entry::begin(state, &self.start),
        };
        match entry.and_then(|entry| entry.finish(record)) {
            Ok(()) => {
                tracing::warn!("{error}; the result waits in {}", state.runs().display());
                Kept::Journal
            }
            Err(journal) => {
                tracing::warn!("{error}; journal: {journal}; this run leaves no record on this host");
                Kept::Nowhere
            }
        }
    }

    fn remember(&mut self, record: &RunRecord, deadline: Instant) -> Result<(), RegistryError> {
        let (Some(state), Some(registry)) = (&self.state, &mut self.registry) else { return Ok(()) };
        let now = SystemTime::now();
        ingest_leftovers(state, registry, now);
        let remembered = registry.remember(record, &self.start.declaration, now)?;
        for warning in registry.take_warnings() {
            tracing::warn!("{warning}");
        }
        if let Some(entry) = self.entry.take()
            && let Err(error) = entry.discard()
        {
            tracing::debug!("journal: {error}");
        }
        if remembered.retention_due {
            registry.set_deadline(deadline.min(Instant::now() + RETENTION_TIME));
            let retention = settings::retention(self.config);
            if let Err(error) = registry.retain(&retention, now, Instant::now() + RETENTION_TIME) {
                tracing::debug!("{error}");
            }
        }
        Ok(())
    }

    fn deliver(&mut self, watch: &mut StopWatch, kept: Kept, record: &RunRecord, deadline: Instant) {
        if self.route.is_empty() {
            return;
        }
        self.build_driver();
        let Some(driver) = &self.driver else { return };
        let key = &self.start.grouping_key;
        let (clients, route) = (&mut self.clients, &self.route);
        let deliveries = match (kept, &self.state, &mut self.registry) {
            (Kept::Registry, Some(dir), Some(registry)) => {
                let patience = self.config.push_timeout;
                let mut reconciler = Reconciler::new(dir, registry, clients, BackoffPolicy::Respect, patience);
                let work = async {
                    // Which are due is seen from their last answer, so before the next one.
                    let due = reconciler.due_restart_checks(&route.gateways, deadline)?;
                    let deliveries = reconciler.deliver(key, deadline).await?;
                    if deliveries.iter().all(Delivery::is_held) {
                        for url in due {
                            reconciler.check_for_restart(url, deadline).await?;
                        }
                        reconciler.flush_some(deadline).await?;
                    }
                    Ok::<_, RegistryError>(deliveries)
                };
                until_stopped(driver, watch, with_deadline(deadline, work)).flatten()
            }
            (_, dir, _) if self.start.declaration.withdraw(record.outcome) => {
                let everywhere = &self.start.declaration.withdraw_from;
                let work = async { Ok(stateless::withdraw(clients, dir.as_ref(), key, everywhere, deadline).await) };
                until_stopped(driver, watch, with_deadline(deadline, work)).flatten()
            }
            (kept, dir, _) => {
                let state =
                    GroupState::of_one_run(record, self.start.declaration.expectations.clone(), SystemTime::now());
                let homes = self.start.declaration.sinks.as_deref().unwrap_or_default();
                let is_spooled = kept == Kept::Journal;
                let run = StatelessReport { key, state: &state, homes, route, is_spooled };
                let work = async { Ok(stateless::deliver(clients, dir.as_ref(), run, deadline).await) };
                until_stopped(driver, watch, with_deadline(deadline, work)).flatten()
            }
        };
        if deliveries.is_none() {
            self.note_abandoned();
        }
        match deliveries {
            Some(Ok(deliveries)) => deliveries.iter().for_each(say_what_became),
            Some(Err(error)) => tracing::warn!("{error}; delivery is left to the next run"),
            None if kept == Kept::Nowhere => tracing::warn!("delivery was given up, and this run is kept nowhere"),
            None => tracing::info!("delivery was given up in time; it is owed"),
        }
    }
}

/// Prints what was held back while the streams were the job's alone.
fn say(watch: &mut StopWatch, patience: Duration) {
    if logging::has_held() && watch.restore_stderr() {
        logging::release(|stderr| watch.wait_until_writable(stderr, patience));
    }
}

/// Records runs that vanished, a few at a time: others' trouble must not keep this run from being recorded in time.
fn ingest_leftovers(state: &StateDir, registry: &mut Registry, now: SystemTime) {
    metrics_file::sweep(state);
    let leftovers = journal::leftovers(state, Some(LEFTOVERS_OF_A_RUN), now);
    for warning in leftovers.warnings {
        tracing::warn!("{warning}");
    }
    let until = Instant::now() + TIME_FOR_LEFTOVERS;
    for leftover in leftovers.runs {
        if Instant::now() >= until {
            return;
        }
        match registry.ingest(vec![leftover], now) {
            Ok(ingested) => {
                for (run, _) in &ingested.runs {
                    tracing::info!("found in the journal: {} of {}", run.outcome, run.grouping_key);
                }
            }
            Err(error) => {
                tracing::info!("{error}");
                return;
            }
        }
    }
}

async fn with_deadline<T>(deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout_at(deadline.into(), work).await.ok()
}

/// One line where a person has something to do; what is only late is not worth a mail.
fn say_what_became(delivery: &Delivery) {
    let sink = &delivery.sink;
    match &delivery.result {
        Ok(()) => tracing::debug!("delivered to {sink}"),
        Err(failure @ Failure::Pending { needs_setting: true, .. }) => tracing::warn!("{sink}: {failure}"),
        Err(failure @ Failure::Pending { needs_setting: false, .. }) => tracing::info!("{sink}: {failure}"),
        Err(Failure::Rejected(answer)) => tracing::error!("{sink}: {answer}"),
        Err(failure @ Failure::WithoutJobMetrics(_)) => tracing::error!("{sink}: {failure}"),
    }
    if let Some(stand_in) = &delivery.stand_in {
        tracing::info!("{stand_in} stands in for {sink}");
    }
}
