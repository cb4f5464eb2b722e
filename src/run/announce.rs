//! What is said of a run while it goes on: that it has started, and that it is still alive.

use std::time::{Duration, Instant, SystemTime};

use super::beside::{Beside, Ended, beside_job};
use super::monitor::{ANNOUNCE_AFTER, Monitor, PREPARE_AFTER, REGISTRY_PATIENCE, Step};
use crate::delivery::{BackoffPolicy, Delivery, Failure, Reconciler};
use crate::registry::{RegistryError, StateDir};
use crate::supervise::{self, Job, Moment};

/// When a running job is announced again if that failed; doubled every time, up to the last.
const ANNOUNCE_AGAIN: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(600));
/// A request that is under way when the job ends has this part of the time for delivery to come to its end: one that is
/// given up is carried out all the same, perhaps after the next one.
const GRACE_SHARE: u32 = 4;

/// How long something beside the job may take.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    /// As long as the job runs.
    whole: Duration,
    /// Once it has ended.
    grace: Duration,
}

impl Monitor<'_> {
    /// Does what is due beside the job.
    pub(super) fn step(&mut self, job: &mut Job) -> Option<Ended> {
        let (due, step) = self.next.take()?;
        let now = Moment::now();
        if step == Step::Prepare {
            self.next = Some((now.after(ANNOUNCE_AFTER.saturating_sub(PREPARE_AFTER)), Step::Announce));
            // Late means that the processors have more to do than they can: they need not do this.
            return if now.since(due) < PREPARE_AFTER / 4 { self.prepare(job) } else { None };
        }
        let (said, ended) = match step {
            Step::Prepare | Step::Announce => self.announce(job),
            Step::Beat => (true, self.beat(job)),
        };
        // A long job does without: memory, and a descriptor.
        self.registry = None;
        supervise::give_memory_back();
        let again = (!said).then(|| (self.announce_again_after(), Step::Announce));
        let beat = self.config.report.heartbeat.map(|interval| (interval, Step::Beat));
        // A beat tells what is still owed of the start, too.
        let next = if self.is_start_known { beat.or(again) } else { again.or(beat) };
        self.next = next.map(|(after, step)| (now.after(after), step));
        ended
    }

    /// Makes ready what the delivery of the result needs.
    fn prepare(&mut self, job: &mut Job) -> Option<Ended> {
        let homes = self.start.declaration.sinks.clone().unwrap_or_default();
        if homes.is_empty() || !self.try_registry() {
            return None;
        }
        // An answer that is still to come when the job ends is worth nothing.
        let allowance = Allowance { whole: ANNOUNCE_AFTER.saturating_sub(PREPARE_AFTER), grace: Duration::ZERO };
        self.beside(job, allowance, async |reconciler, deadline| reconciler.preconnect(&homes, deadline).await)?.ended
    }

    /// The job takes a while: makes its start durable and tells the gateways. False if that has to be done again.
    fn announce(&mut self, job: &mut Job) -> (bool, Option<Ended>) {
        if let Some(entry) = &self.entry
            && self.announcements == 0
            && let Err(error) = entry.sync()
        {
            tracing::debug!("journal: {error}");
        }
        self.announcements += 1;
        if self.route.is_empty() || self.state.is_none() {
            return (true, None);
        }
        if !self.try_registry() || !self.make_start_known() {
            return (false, None);
        }
        let key = self.start.grouping_key.clone();
        let Some(Beside { done, ended }) =
            self.push_beside(job, async |reconciler, deadline| reconciler.deliver(&key, deadline).await)
        else {
            return (false, None);
        };
        for delivery in done.iter().flatten() {
            if let Err(failure) = &delivery.result {
                tracing::info!("start of the run is not known to {}: {failure}", delivery.sink);
            }
        }
        let is_over = |delivery: &Delivery| delivery.is_held() || matches!(delivery.result, Err(Failure::Rejected(_)));
        (done.is_some_and(|deliveries| deliveries.iter().all(is_over)), ended)
    }

    fn make_start_known(&mut self) -> bool {
        if let (false, Some(registry)) = (self.is_start_known, &mut self.registry) {
            match registry.started(&self.start, SystemTime::now()) {
                Ok(_) => self.is_start_known = true,
                Err(error) => tracing::debug!("{error}"),
            }
        }
        self.is_start_known
    }

    fn announce_again_after(&self) -> Duration {
        let doubled = ANNOUNCE_AGAIN.0.saturating_mul(1 << self.announcements.saturating_sub(1).min(16));
        doubled.min(ANNOUNCE_AGAIN.1)
    }

    /// Says that the run is still alive: in the journal, and to the gateways.
    fn beat(&mut self, job: &mut Job) -> Option<Ended> {
        if let Some(entry) = &self.entry
            && let Err(error) = entry.heartbeat(SystemTime::now())
        {
            tracing::debug!("journal: {error}");
        }
        if self.route.is_empty() || !self.try_registry() || !self.make_start_known() {
            return None;
        }
        let key = self.start.grouping_key.clone();
        let urls = self.route.gateways.clone();
        // First, because one that was restarted is owed more than a sign of life.
        let work = self.push_beside(job, async |reconciler, deadline| {
            for url in reconciler.due_restart_checks(&urls, deadline)? {
                reconciler.check_for_restart(url, deadline).await?;
            }
            reconciler.heartbeat(&key, deadline).await
        });
        work.and_then(|work| work.ended)
    }

    /// A request may have been given up in the middle: what comes next has to come last.
    pub(super) fn note_abandoned(&mut self) {
        if let Some(registry) = &mut self.registry {
            registry.set_deadline(Instant::now() + REGISTRY_PATIENCE);
            if let Err(error) = registry.abandon(&self.start.grouping_key) {
                tracing::debug!("{error}");
            }
        }
    }

    /// Lets a reconciler push beside the job, within the time for one delivery. None if there is nothing to do it with.
    fn push_beside<T>(
        &mut self,
        job: &mut Job,
        work: impl AsyncFnOnce(&mut Reconciler<'_>, Instant) -> Result<T, RegistryError>,
    ) -> Option<Beside<T>> {
        let whole = self.config.push_timeout;
        let Beside { done, ended } = self.beside(job, Allowance { whole, grace: whole / GRACE_SHARE }, work)?;
        if done.is_none() {
            self.note_abandoned();
        }
        let done = done.and_then(|done| done.inspect_err(|error| tracing::debug!("{error}")).ok());
        Some(Beside { done, ended })
    }

    /// Lets a reconciler do `work` beside the job. None if there is nothing to do it with.
    fn beside<T>(
        &mut self,
        job: &mut Job,
        allowance: Allowance,
        work: impl AsyncFnOnce(&mut Reconciler<'_>, Instant) -> Result<T, RegistryError>,
    ) -> Option<Beside<Result<T, RegistryError>>> {
        self.build_driver();
        let (Some(state), Some(registry), Some(driver)) = (&self.state, &mut self.registry, &self.driver) else {
            return None;
        };
        let state: &StateDir = state;
        let mut reconciler =
            Reconciler::new(state, registry, &mut self.clients, BackoffPolicy::Respect, REGISTRY_PATIENCE);
        let deadline = Instant::now() + allowance.whole;
        Some(beside_job(driver, job, allowance.grace, work(&mut reconciler, deadline)))
    }
}
