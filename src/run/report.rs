//! What is said of a run's end: it is kept first, then delivered, and what a person has to know is said last.

use std::future::{Future, poll_fn};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use tokio::io::unix::AsyncFd;

use super::reporter::{self, Reporter};
use super::{Run, metrics_file, name, settings};
use crate::declaration;
use crate::delivery::stateless::{self, StatelessReport};
use crate::delivery::{BackoffPolicy, Cause, Clients, Delivery, Failure, Reconciler};
use crate::record::{Outcome, RunRecord};
use crate::registry::{GroupState, Registry, RegistryError, RunStart, StateDir, journal};
use crate::sinks::Driver;
use crate::supervise::{Execution, Listener, Start};

/// How long the registry may be busy when a request was given up.
const ABANDON_PATIENCE: Duration = Duration::from_millis(50);
/// How many files of the journal one run looks at for runs that were lost.
const LEFTOVERS_OF_A_RUN: usize = 256;
/// How long it may take to record those that were.
const TIME_FOR_LEFTOVERS: Duration = Duration::from_millis(200);
/// How long retention may take at the end of a run.
const RETENTION_TIME: Duration = Duration::from_millis(5);

/// How long to wait before a delivery is tried again that there is still time for (`--push-retry`).
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

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

impl Reporter<'_> {
    /// Keeps the result, and delivers it until `deadline`.
    pub(super) fn report_end(&mut self, execution: &Execution, deadline: Instant) {
        self.forget_what_vanished();
        let record = record_of(self.run, &self.start, execution);
        self.keep_and_deliver(&record, deadline);
    }

    /// The supervisor was killed and the job has ended: nobody knows how.
    pub(super) fn report_lost(&mut self) {
        self.forget_what_vanished();
        let mut record = journal::lost(&self.start, SystemTime::now());
        record.output_tail = self.listener.output_tail();
        if let Some(file) = self.run.metrics_file {
            file.discard();
        }
        let deadline = Instant::now() + self.run.config.push_timeout;
        self.keep_and_deliver(&record, deadline);
    }

    fn keep_and_deliver(&mut self, record: &RunRecord, deadline: Instant) {
        let mut registry = None;
        let kept = self.keep(record, &mut registry, deadline);
        self.deliver(kept, record, registry, deadline);
    }

    /// Somebody may have removed the state folder while the job ran: what is still open of it would be written to nowhere.
    fn forget_what_vanished(&mut self) {
        if self.state.as_ref().is_some_and(|state| !state.path().is_dir()) {
            self.state = None;
            self.open_state();
        }
        self.entry = self.entry.take().filter(journal::Entry::exists);
    }

    /// Records the run; into its journal file if the registry cannot take it.
    fn keep(&mut self, record: &RunRecord, registry: &mut Option<Registry>, deadline: Instant) -> Kept {
        // A registry that stays busy must leave time to tell the gateways.
        let patience = deadline.saturating_duration_since(Instant::now()) / 2;
        let Some(state) = &self.state else { return Kept::Nowhere };
        let error = match open_registry(state, Instant::now() + patience) {
            Ok(opened) => {
                let registry = registry.insert(opened);
                match remember(self.run, state, registry, record, &self.start, deadline) {
                    Ok(()) => {
                        if self.was_abandoned()
                            && let Err(error) = registry.abandon(&self.start.grouping_key)
                        {
                            tracing::debug!("{error}");
                        }
                        discard(self.entry.take());
                        return Kept::Registry;
                    }
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        // A run whose start could not be written down has no journal file yet.
        let kept = match self.entry.take() {
            Some(entry) => entry.finish(record),
            None => journal::keep(state, &self.start, record),
        };
        match kept {
            Ok(()) => {
                tracing::warn!("{error}; the result waits in {}", state.runs().display());
                Kept::Journal
            }
            Err(journal) => {
                tracing::warn!("{error}; journal: {journal}; this run could not be recorded");
                Kept::Nowhere
            }
        }
    }

    fn deliver(&mut self, kept: Kept, record: &RunRecord, registry: Option<Registry>, deadline: Instant) {
        if self.route.is_empty() {
            return;
        }
        let driver = match Driver::new() {
            Ok(driver) => driver,
            Err(error) => return tracing::warn!("no event loop: {error}; delivery is left to the next run"),
        };
        let Self { run, start, route, state, listener, .. } = self;
        let (key, declaration, dir) = (&start.grouping_key, &start.declaration, state.as_ref());
        let mut clients = Clients::new(run.config);
        let deliveries = match (kept, dir, registry) {
            (Kept::Registry, Some(dir), Some(mut registry)) => {
                let patience = run.config.push_timeout;
                let deliveries = {
                    let mut reconciler =
                        Reconciler::new(dir, &mut registry, &mut clients, BackoffPolicy::Respect, patience);
                    let work = async {
                        // Which are due is seen from their last answer, so before the next one.
                        let due = reconciler.due_restart_checks(&route.gateways, deadline)?;
                        let mut deliveries = reconciler.deliver(key, deadline).await?;
                        while run.config.report.push_retry && pause_before_retry(&deliveries, deadline).await {
                            reconciler.try_everything_again();
                            deliveries = reconciler.deliver(key, deadline).await?;
                        }
                        if deliveries.iter().all(Delivery::is_held) {
                            for url in due {
                                reconciler.check_for_restart(url, deadline).await?;
                            }
                            reconciler.flush_some(deadline).await?;
                        }
                        Ok::<_, RegistryError>(deliveries)
                    };
                    until_stopped(&driver, listener, deadline, work)
                };
                if deliveries.is_none() {
                    // A request may have been given up in the middle: what comes next has to come last.
                    registry.set_deadline(Instant::now() + ABANDON_PATIENCE);
                    if let Err(error) = registry.abandon(key) {
                        tracing::debug!("{error}");
                    }
                }
                deliveries
            }
            _ if declaration.withdraw(record.facts.outcome) => {
                let everywhere = &declaration.withdraw_from;
                let state = GroupState::of_one_run(record, declaration.expectations.clone(), SystemTime::now());
                let work =
                    async { Ok(stateless::withdraw(&mut clients, dir, key, &state, everywhere, deadline).await) };
                until_stopped(&driver, listener, deadline, work)
            }
            _ => {
                let state = GroupState::of_one_run(record, declaration.expectations.clone(), SystemTime::now());
                let homes = declaration.sinks.as_deref().unwrap_or_default();
                let is_spooled = kept == Kept::Journal;
                let report = StatelessReport { key, state: &state, homes, route, is_spooled };
                let work = async {
                    let mut deliveries = stateless::deliver(&mut clients, dir, report, deadline).await;
                    while run.config.report.push_retry && pause_before_retry(&deliveries, deadline).await {
                        deliveries = stateless::deliver(&mut clients, dir, report, deadline).await;
                    }
                    Ok(deliveries)
                };
                until_stopped(&driver, listener, deadline, work)
            }
        };
        match deliveries {
            Some(Ok(deliveries)) => deliveries.iter().for_each(say_what_became),
            Some(Err(error)) => tracing::warn!("{error}; delivery is left to the next run"),
            None if kept == Kept::Nowhere => {
                tracing::warn!("delivery timed out, and this run could not be recorded");
            }
            None => tracing::info!("delivery timed out and will be retried"),
        }
    }
}

/// Waits for a moment where something was not delivered that another attempt may deliver; false where there is none, or no time
/// for it.
async fn pause_before_retry(deliveries: &[Delivery], deadline: Instant) -> bool {
    let may_help = |delivery: &Delivery| {
        matches!(&delivery.result, Err(Failure::Pending { cause: Cause::Sink, .. })) && !delivery.is_held()
    };
    let retry_at = Instant::now() + RETRY_INTERVAL;
    if !deliveries.iter().any(may_help) || retry_at >= deadline {
        return false;
    }
    tokio::time::sleep_until(retry_at.into()).await;
    true
}

/// Keeps the result of a run whose reporter could not: in its journal file, for the next jobmon.
pub(super) fn record(run: &Run<'_>, start: &Start, execution: &Execution) -> bool {
    let Some(path) = &run.config.storage.state_dir else { return false };
    let start = reporter::run_start(run, start, &declaration::route(run.config));
    // First of all: from now on nobody finds a run that nobody works on.
    let _claim = journal::claim(path, &start);
    let record = record_of(run, &start, execution);
    StateDir::open(path).is_ok_and(|(state, _)| journal::keep(&state, &start, &record).is_ok())
}

/// The result by its name, with what the job left of its own.
fn record_of(run: &Run<'_>, start: &RunStart, execution: &Execution) -> RunRecord {
    let (run_id, key, command) = (start.run_id.clone(), start.grouping_key.clone(), start.command.clone());
    let codes = &run.config.result_codes;
    let mut record = RunRecord::new(run_id, key, command, start.facts.clone()).ended(execution, codes);
    if let Some(file) = run.metrics_file {
        let read = file.read(&start.grouping_key);
        if let Some(warning) = read.warning {
            tracing::warn!("{warning}");
        }
        // A run that did not start says nothing about its metrics.
        record.job_metrics = Some(read.text).filter(|_| record.facts.outcome != Outcome::Skipped);
    }
    record
}

fn open_registry(state: &StateDir, deadline: Instant) -> Result<Registry, RegistryError> {
    let (registry, warnings) = Registry::open(state, deadline)?;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(registry)
}

fn remember(
    run: &Run<'_>,
    state: &StateDir,
    registry: &mut Registry,
    record: &RunRecord,
    start: &RunStart,
    deadline: Instant,
) -> Result<(), RegistryError> {
    let now = SystemTime::now();
    ingest_leftovers(state, registry, now);
    let remembered = registry.remember(record, &start.declaration, now)?;
    if let Some(doubt) = name::doubt(run, &remembered)
        && !remembered.group.name_questioned
        && registry.question_name(remembered.group.id)?
    {
        tracing::warn!("{doubt}");
    }
    for warning in registry.take_warnings() {
        tracing::warn!("{warning}");
    }
    if remembered.retention_due {
        registry.set_deadline(deadline.min(Instant::now() + RETENTION_TIME));
        let retention = settings::retention(run.config);
        if let Err(error) = registry.retain(&retention, now, Instant::now() + RETENTION_TIME) {
            tracing::debug!("{error}");
        }
    }
    Ok(())
}

fn discard(entry: Option<journal::Entry>) {
    if let Some(Err(error)) = entry.map(journal::Entry::discard) {
        tracing::debug!("journal: {error}");
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
                    tracing::info!("found in the journal: {} of {}", run.facts.outcome, run.grouping_key);
                }
            }
            Err(error) => {
                tracing::info!("{error}");
                return;
            }
        }
    }
}

/// Does `work` until `deadline`, or until somebody asks jobmon to stop. None if it was given up.
fn until_stopped<T>(
    driver: &Driver,
    listener: &mut Listener,
    deadline: Instant,
    work: impl Future<Output = T>,
) -> Option<T> {
    driver.block_on(async {
        let watched = listener.watch().ok().and_then(watched);
        let stopped = async {
            loop {
                match &watched {
                    Some(watched) => match watched.readable().await {
                        Ok(mut ready) => ready.clear_ready(),
                        Err(_) => std::future::pending().await,
                    },
                    None => std::future::pending().await,
                }
                match listener.is_asked_to_stop() {
                    Some(true) => return,
                    Some(false) => {}
                    None => std::future::pending().await,
                }
            }
        };
        let (mut work, mut stopped) = (pin!(tokio::time::timeout_at(deadline.into(), work)), pin!(stopped));
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(done.ok()),
            Poll::Pending => stopped.as_mut().poll(context).map(|()| None),
        })
        .await
    })
}

/// The descriptor as the runtime watches it.
#[expect(deprecated, reason = "its unsafe successor asks for a descriptor that stays the same: an OwnedFd does")]
fn watched(fd: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, tokio::io::Interest::READABLE).ok()
}

/// One line where a person has something to do; what is only late is not worth a mail.
fn say_what_became(delivery: &Delivery) {
    let sink = &delivery.sink;
    match &delivery.result {
        Ok(()) => tracing::debug!("delivered to {sink}"),
        Err(failure @ Failure::Pending { cause, .. }) if cause.needs_setting() => tracing::warn!("{sink}: {failure}"),
        Err(failure @ Failure::Pending { .. }) => tracing::info!("{sink}: {failure}"),
        Err(Failure::Rejected(answer)) => tracing::error!("{sink}: {answer}"),
        Err(failure @ Failure::WithoutJobMetrics(_)) => tracing::error!("{sink}: {failure}"),
    }
    if let Some(stand_in) = &delivery.stand_in {
        tracing::info!("{stand_in} stands in for {sink}");
    }
}
