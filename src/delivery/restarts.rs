//! Whether a gateway is the one that was spoken to last time: one that was restarted may have lost what it held, and have
//! back what was deleted.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use super::reconciler::Reconciler;
use super::send::{Failure, no_answer};
use crate::destination::Sink;
use crate::registry::{Action, Against, RegistryError, RestartCheck};

/// Gateways are asked when they were started once in so long by one host, however many jobs it runs.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// When a gateway was started is known to it at once, whatever it holds.
pub(super) const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);

impl Reconciler<'_> {
    /// Those of `gateways` that it is time to ask when they were started: new ones, those that failed before, and the
    /// others once in a while.
    pub fn due_restart_checks<'s>(
        &mut self,
        gateways: &'s [Sink],
        deadline: Instant,
    ) -> Result<Vec<&'s Sink>, RegistryError> {
        let now = SystemTime::now();
        let mut due = Vec::new();
        for gateway in gateways {
            if self.is_restart_check_due(gateway, now, deadline)? {
                due.push(gateway);
            }
        }
        Ok(due)
    }

    fn is_restart_check_due(
        &mut self,
        gateway: &Sink,
        now: SystemTime,
        deadline: Instant,
    ) -> Result<bool, RegistryError> {
        let Some(health) = self.registry(deadline).sink_health(gateway)? else { return Ok(true) };
        let interval = |time: SystemTime| {
            let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            since_epoch.as_secs() / CHECK_INTERVAL.as_secs()
        };
        let is_due = health.last_success.is_none_or(|last| interval(last) != interval(now));
        Ok(is_due || health.start_time.is_none() || health.failures > 0)
    }

    /// Asks a sink when it was started, unless it is backing off. Of one that was restarted, all that it held and all that
    /// was deleted there is pending again.
    pub async fn check_for_restart(&mut self, sink: &Sink, deadline: Instant) -> Result<(), RegistryError> {
        if self.backing_off(sink, Action::Push, deadline)?.is_some() {
            return Ok(());
        }
        let Ok(client) = self.clients.get(sink) else { return Ok(()) };
        match client.start_time(deadline).await {
            Ok(None) => {}
            Ok(Some(start_time)) => {
                let check = self.registry(deadline).record_start_time(sink, &start_time, SystemTime::now())?;
                if let RestartCheck::Restarted(groups) = check {
                    tracing::info!("{sink} was restarted: {groups} groups are owed to it again");
                }
            }
            Err(error) => {
                tracing::debug!("{sink} does not say when it was started: {error}");
                if let Some(mut failure) = no_answer(&error) {
                    self.record_failure(sink, &mut failure, deadline)?;
                }
            }
        }
        Ok(())
    }

    /// A sink did not answer a question: all processes leave it alone for a while, but for a run's result.
    fn record_failure(&mut self, sink: &Sink, failure: &mut Failure, deadline: Instant) -> Result<(), RegistryError> {
        self.note_failure(sink, Action::Push, failure);
        match failure {
            Failure::Pending { error, .. } => {
                if error.against == Against::Sink {
                    error.against = Against::Questions;
                }
                self.registry(deadline).record_failure(sink, error, SystemTime::now())
            }
            Failure::Rejected(_) | Failure::WithoutJobMetrics(_) => Ok(()),
        }
    }

    /// Asks every gateway of `gateways`, and every sink that was ever spoken to, whether it was restarted.
    pub async fn check_all_for_restart(&mut self, gateways: &[Sink]) -> Result<(), RegistryError> {
        let deadline = Instant::now() + QUESTION_TIMEOUT;
        let known = self.registry(deadline).known_sinks()?.into_iter().map(|health| health.sink);
        let sinks: BTreeSet<Sink> = known.chain(gateways.iter().cloned()).collect();
        for sink in sinks {
            self.check_for_restart(&sink, Instant::now() + QUESTION_TIMEOUT).await?;
        }
        Ok(())
    }
}
