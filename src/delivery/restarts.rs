//! Whether a gateway is the one that was spoken to last time: one that was restarted may have lost what it held, and have
//! back what was deleted.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use super::reconciler::{Failure, Reconciler, fair_share, silence};
use super::route::Destination;
use crate::registry::{RegistryError, RestartCheck};

/// Gateways are asked when they were started once in so long by one host, however many jobs it runs.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// When a gateway was started is known to it at once, whatever it holds.
pub(super) const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);

impl Reconciler<'_> {
    /// Those of `urls` that it is time to ask when they were started: new ones, those that failed before, and the others
    /// once in a while.
    pub fn due_restart_checks<'u>(
        &mut self,
        urls: &'u [String],
        deadline: Instant,
    ) -> Result<Vec<&'u String>, RegistryError> {
        let now = SystemTime::now();
        let mut due = Vec::new();
        for url in urls {
            if self.is_restart_check_due(url, now, deadline)? {
                due.push(url);
            }
        }
        Ok(due)
    }

    /// While a job runs, calls at the gateways that its result will be sent to, those that are left alone just now excepted:
    /// names are resolved, connections made and certificates judged then, and the connections are kept for the result.
    ///
    /// Nothing comes of the answer, whatever it is, or of its absence: what counts is the answer to the result.
    pub async fn preconnect(&mut self, homes: &[String], deadline: Instant) -> Result<(), RegistryError> {
        for (called, home) in homes.iter().enumerate() {
            let Destination::Gateway(url) = Destination::from_name(home) else { continue };
            if self.resting(&url, deadline)?.is_some() {
                continue;
            }
            let share = fair_share(deadline, homes.len() - called);
            if let Ok(client) = self.clients.get(&url)
                && let Err(outage) = client.readiness(share).await
            {
                tracing::debug!("gateway {url}: {outage}");
            }
        }
        Ok(())
    }

    fn is_restart_check_due(&mut self, url: &str, now: SystemTime, deadline: Instant) -> Result<bool, RegistryError> {
        let Some(gateway) = self.registry(deadline).gateway(url)? else { return Ok(true) };
        let interval = |time: SystemTime| {
            let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            since_epoch.as_secs() / CHECK_INTERVAL.as_secs()
        };
        let is_due = gateway.last_success.is_none_or(|last| interval(last) != interval(now));
        Ok(is_due || gateway.start_time.is_none() || gateway.failures > 0)
    }

    /// Asks a gateway when it was started, unless it is left alone just now. Of one that was restarted, all that it held
    /// and all that was deleted there is owed again.
    pub async fn check_for_restart(&mut self, url: &str, deadline: Instant) -> Result<(), RegistryError> {
        if self.resting(url, deadline)?.is_some() {
            return Ok(());
        }
        let Ok(client) = self.clients.get(url) else { return Ok(()) };
        match client.status(deadline).await {
            Ok(status) => {
                let seen = self.registry(deadline).gateway_seen(url, &status.start_time, SystemTime::now())?;
                if let RestartCheck::Restarted(groups) = seen {
                    tracing::info!("gateway {url} was restarted: {groups} groups are owed to it again");
                }
            }
            Err(error) => {
                tracing::debug!("gateway {url} does not say when it was started: {error}");
                if let Some(failure) = silence(&error) {
                    self.note_silence(url, &failure, deadline)?;
                }
            }
        }
        Ok(())
    }

    /// A gateway did not answer a question: it is left alone by all processes for a while, as after a push.
    pub(super) fn note_silence(
        &mut self,
        url: &str,
        failure: &Failure,
        deadline: Instant,
    ) -> Result<(), RegistryError> {
        self.note_failure(url, failure);
        match failure {
            Failure::Pending { error, .. } => self.registry(deadline).gateway_failed(url, error, SystemTime::now()),
            Failure::Rejected(_) | Failure::WithoutJobMetrics(_) => Ok(()),
        }
    }

    /// Asks every gateway of `gateways`, and every one that was ever spoken to, whether it was restarted.
    pub async fn check_all_for_restart(&mut self, gateways: &[String]) -> Result<(), RegistryError> {
        let deadline = Instant::now() + QUESTION_TIMEOUT;
        let known = self.registry(deadline).gateways()?.into_iter().map(|gateway| gateway.url);
        let urls: BTreeSet<String> = known.chain(gateways.iter().cloned()).filter(|url| url.contains("://")).collect();
        for url in urls {
            self.check_for_restart(&url, Instant::now() + QUESTION_TIMEOUT).await?;
        }
        Ok(())
    }
}
