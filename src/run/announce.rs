//! What is said of a run while it goes on: that it has started, and that it is still alive. Each time by a worker, a process
//! of its own that ends with it.

use std::time::{Duration, Instant, SystemTime};

use super::Run;
use crate::delivery::route::Route;
use crate::delivery::{BackoffPolicy, Clients, Delivery, Failure, Reconciler};
use crate::registry::{Registry, RegistryError, RunStart, StateDir, journal};
use crate::sinks::Driver;

/// How long other processes may keep the registry busy while the job runs.
const REGISTRY_PATIENCE: Duration = Duration::from_millis(50);

/// What is known of a run by others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Announced {
    /// The registry counts the start as part of the group's state.
    pub is_known: bool,
    /// Every destination has it, or never will.
    pub is_told: bool,
    /// A request may have been given up.
    pub was_abandoned: bool,
}

impl Announced {
    /// As the exit code of a worker.
    pub(super) fn code(self) -> u8 {
        u8::from(self.is_known) | u8::from(self.is_told) << 1 | u8::from(self.was_abandoned) << 2
    }

    /// The inverse of [`code`](Self::code).
    pub(super) fn from_code(code: u8) -> Self {
        Self { is_known: code & 1 != 0, is_told: code & 2 != 0, was_abandoned: code & 4 != 0 }
    }

    /// What is known after another worker.
    pub(super) fn add(&mut self, later: Self) {
        self.is_known |= later.is_known;
        self.is_told = later.is_told;
        self.was_abandoned |= later.was_abandoned;
    }
}

/// The job takes a while: makes its start survive a power cut and tells the gateways.
pub(super) fn announce(run: &Run<'_>, start: &RunStart, route: &Route, state: &StateDir) -> Announced {
    if let Err(error) = journal::sync(state, start) {
        tracing::debug!("journal: {error}");
    }
    let mut announced = Announced { is_told: route.is_empty(), ..Announced::default() };
    if route.is_empty() {
        return announced;
    }
    let key = &start.grouping_key;
    let work = with_reconciler(run, start, state, &mut announced, async |reconciler, deadline| {
        reconciler.deliver(key, deadline).await
    });
    for delivery in work.iter().flatten() {
        if let Err(failure) = &delivery.result {
            tracing::info!("start of the run is not known to {}: {failure}", delivery.sink);
        }
    }
    let is_over = |delivery: &Delivery| delivery.is_held() || matches!(delivery.result, Err(Failure::Rejected(_)));
    announced.is_told = work.is_some_and(|deliveries| deliveries.iter().all(is_over));
    announced
}

/// Says that the run is still alive.
pub(super) fn heartbeat(run: &Run<'_>, start: &RunStart, route: &Route, state: &StateDir) -> Announced {
    let mut announced = Announced::default();
    let (key, urls) = (&start.grouping_key, &route.gateways);
    // First, because a gateway that was restarted is owed more than a sign of life.
    let work = with_reconciler(run, start, state, &mut announced, async |reconciler, deadline| {
        for url in reconciler.due_restart_checks(urls, deadline)? {
            reconciler.check_for_restart(url, deadline).await?;
        }
        reconciler.heartbeat(key, deadline).await
    });
    announced.is_told = work.is_some();
    announced
}

/// Makes the start part of the group's state, and does `work` within the time for one delivery; none if that could not be
/// done.
fn with_reconciler<T>(
    run: &Run<'_>,
    start: &RunStart,
    state: &StateDir,
    announced: &mut Announced,
    work: impl AsyncFnOnce(&mut Reconciler<'_>, Instant) -> Result<T, RegistryError>,
) -> Option<T> {
    let failed = |error: RegistryError| tracing::debug!("{error}");
    let (mut registry, warnings) = Registry::open(state, Instant::now() + REGISTRY_PATIENCE).map_err(failed).ok()?;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    registry.started(start, SystemTime::now()).map_err(failed).ok()?;
    announced.is_known = true;
    let driver = Driver::new().inspect_err(|error| tracing::debug!("no event loop: {error}")).ok()?;
    let mut clients = Clients::new(run.config);
    let deadline = Instant::now() + run.config.push_timeout;
    let mut reconciler =
        Reconciler::new(state, &mut registry, &mut clients, BackoffPolicy::Announcement, REGISTRY_PATIENCE);
    let work = work(&mut reconciler, deadline);
    match driver.block_on(async { tokio::time::timeout_at(deadline.into(), work).await }) {
        Ok(done) => done.map_err(failed).ok(),
        Err(_) => {
            announced.was_abandoned = true;
            None
        }
    }
}
